//! User instructions a request, counted by valgrind's callgrind: the one figure that a busy machine does not blur.
//!
//! Two runs with different numbers of requests are subtracted, so that start and end do not count.

use std::fs;
use std::io::{self, BufReader, Write};
use std::time::Duration;

use crate::arena::{Arena, Contestant, Size};
use crate::client;
use crate::program::installed;

const LIMIT: Duration = Duration::from_secs(20);
/// Requests of the two runs.
const REQUESTS: [u64; 2] = [1000, 4000];
/// What is asked.
const TARGETS: [(&str, &str); 4] =
    [("return 200", "/ret"), ("static 1 KiB", "/1k.bin"), ("proxy, kept", "/kept/ret"), ("access_log on", "/log/ret")];

/// Counts and prints.
pub fn report(arena: &Arena, contestants: &[Contestant], only: &str) {
    const NAME: &str = "user instructions a request";
    if !NAME.contains(only) {
        return;
    }
    let Ok(valgrind) = installed("valgrind") else {
        println!("{NAME}: valgrind is not installed");
        return;
    };
    println!("{NAME}");
    for (name, target) in TARGETS {
        print!("    {name:16}");
        for contestant in contestants {
            match counted(arena, *contestant, &valgrind.to_string_lossy(), target) {
                Ok(count) => print!("{:>12}: {count:>8.0}", contestant.name()),
                Err(error) => print!("{:>12}: VOID ({error})", contestant.name()),
            }
        }
        println!();
    }
}

fn counted(arena: &Arena, contestant: Contestant, valgrind: &str, target: &'static str) -> io::Result<f64> {
    let [few, many] = [
        run(arena, contestant, valgrind, target, REQUESTS[0])?,
        run(arena, contestant, valgrind, target, REQUESTS[1])?,
    ];
    Ok(many.saturating_sub(few) as f64 / (REQUESTS[1] - REQUESTS[0]) as f64)
}

/// Instructions of all processes of a server that answered so many requests.
fn run(arena: &Arena, contestant: Contestant, valgrind: &str, target: &'static str, requests: u64) -> io::Result<u64> {
    const FOLDER: &str = "/tmp/callgrind";
    arena.run(|| {
        let _ = fs::remove_dir_all(FOLDER);
        fs::create_dir_all(FOLDER)?;
        fs::set_permissions(FOLDER, std::os::unix::fs::PermissionsExt::from_mode(0o777))
    })??;
    let above = [valgrind, "--tool=callgrind", "--trace-children=yes", "--callgrind-out-file=/tmp/callgrind/%p"];
    let server = arena.start_under(contestant, Size::FAST, &above.map(str::to_owned))?;
    let address = contestant.address(1);
    arena.load(move || -> io::Result<()> {
        let stream = client::connect(address, LIMIT)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        for _ in 0..requests {
            (&stream).write_all(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
            client::response(&mut reader, false)?;
        }
        Ok(())
    })??;
    server.stop()?;
    arena.run(|| -> io::Result<u64> {
        let mut sum = 0;
        for entry in fs::read_dir(FOLDER)? {
            let text = fs::read_to_string(entry?.path())?;
            let total = text.lines().rev().find_map(|line| line.strip_prefix("totals: "));
            sum += total.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(sum)
    })?
}
