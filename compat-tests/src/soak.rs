//! Half an hour of everything at once, nginx and rnginx beside each other: mixed traffic, a reload every ten seconds,
//! servers that die and return, slow clients, malformed requests. Reports what clients saw, which lines the error logs have,
//! and what memory and descriptors did.

mod servers;
mod traffic;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::arena::{Arena, Contestant, PREFIX, Server, Size};
use crate::measure::{memory, quantile};
use traffic::{CLIENTS, Seen};

/// Between two reloads.
const RELOAD: Duration = Duration::from_secs(10);
/// Descriptors that may be open at the end and were not at the start.
const KEPT: usize = 32;
const CONTESTANTS: [Contestant; 2] = [Contestant::Nginx, Contestant::Ours];

/// A figure and its name.
type Row = (&'static str, fn(&Sample) -> f64);

/// What a server's processes held at a moment.
#[derive(Clone, Copy)]
struct Sample {
    processes: usize,
    memory: u64,
    descriptors: usize,
}

impl Sample {
    fn take(server: &Server) -> io::Result<Self> {
        let pids = server.processes()?;
        let open = |pid: &Pid| fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        Ok(Self { processes: pids.len(), memory: memory(&pids), descriptors: pids.iter().map(open).sum() })
    }
}

/// Runs for so many minutes. `false`: something grew, leaked or failed that did not with nginx.
///
/// # Errors
/// When a server cannot be started.
pub fn run(arena: &Arena, minutes: u64) -> io::Result<bool> {
    let servers: Vec<_> = CONTESTANTS
        .iter()
        .map(|contestant| arena.start_with(*contestant, Size::FREE, "soak.conf"))
        .collect::<io::Result<_>>()?;
    let mut behind: Vec<_> =
        servers::PORTS.iter().map(|port| servers::start(arena, *port).map(Some)).collect::<io::Result<_>>()?;
    let tunnels = servers::start(arena, servers::TUNNELS)?;
    let before = servers.iter().map(Sample::take).collect::<io::Result<Vec<_>>>()?;
    let seen: Vec<_> = servers.iter().map(|_| Arc::new(Seen::default())).collect();
    let mut clients = Vec::new();
    for (server, seen) in servers.iter().zip(&seen) {
        let ports = [1, 5, 2].map(|service| server.contestant().address(service));
        for (count, client) in CLIENTS {
            for _ in 0..count {
                let seen = seen.clone();
                clients.push(arena.spawn(move || client(ports, &seen))?);
            }
        }
    }
    let mut samples = vec![Vec::new(); servers.len()];
    let begin = Instant::now();
    for round in 0_u32.. {
        let wait = |tenths: u32| {
            sleep((begin + RELOAD * round + RELOAD / 10 * tenths).saturating_duration_since(Instant::now()));
        };
        // The server that was dead returns, and the other dies when everybody may have seen it.
        let (alive, dead) = ((round % 2) as usize, ((round + 1) % 2) as usize);
        if behind[alive].is_none() {
            behind[alive] = Some(servers::start(arena, servers::PORTS[alive])?);
        }
        wait(3);
        drop(behind[dead].take());
        wait(8);
        for (server, samples) in servers.iter().zip(&mut samples) {
            samples.push(Sample::take(server)?);
            arena.reload(server)?;
        }
        wait(10);
        if begin.elapsed() >= Duration::from_secs(60 * minutes) {
            break;
        }
    }
    seen.iter().for_each(|seen| seen.over.store(true, Ordering::Relaxed));
    for client in clients {
        client.join().map_err(|_| io::Error::other("a client panicked"))?;
    }
    // Kept connections to servers behind and workers of earlier configurations end.
    drop((behind, tunnels));
    sleep(Duration::from_secs(25));
    let mut good = true;
    let logs = servers.iter().map(|server| kinds(arena, server.contestant())).collect::<io::Result<Vec<_>>>()?;
    for (place, server) in servers.iter().enumerate() {
        let last = Sample::take(server)?;
        good &= report(server.contestant(), (before[place], last), &samples[place], &seen[place].counts());
    }
    println!("lines of the error logs");
    let all: std::collections::BTreeSet<_> = logs.iter().flat_map(BTreeMap::keys).collect();
    for line in all {
        let [theirs, ours] = [0, 1].map(|place| logs[place].get(line).copied().unwrap_or(0));
        let only = if theirs == 0 { "  (not nginx)" } else { "" };
        println!("{theirs:>9}{ours:>9}  {line}{only}");
    }
    for server in servers {
        server.stop()?;
    }
    Ok(good)
}

/// Prints what one server did; whether it neither grew nor leaked nor failed anybody.
fn report(who: Contestant, (before, last): (Sample, Sample), samples: &[Sample], seen: &BTreeMap<String, u64>) -> bool {
    println!("{}", who.name());
    let quarter = |part: usize, field: fn(&Sample) -> f64| {
        let figures: Vec<f64> =
            samples.chunks(samples.len().div_ceil(4)).nth(part).unwrap_or_default().iter().map(field).collect();
        quantile(&figures, 0.5)
    };
    let rows: [Row; 3] = [
        ("processes", |sample| sample.processes as f64),
        ("memory in MiB", |sample| sample.memory as f64 / f64::from(1 << 20)),
        ("descriptors", |sample| sample.descriptors as f64),
    ];
    for (name, field) in rows {
        let quarters: Vec<String> = (0..4).map(|part| format!("{:.1}", quarter(part, field))).collect();
        println!(
            "    {name}: {:.1} before, {} in the quarters, {:.1} when all had left",
            field(&before),
            quarters.join(" "),
            field(&last)
        );
    }
    for (what, count) in seen {
        println!("{count:>9}  {what}");
    }
    // Words in capitals are what no server may do.
    let is_fault = |word: &str| word.len() > 2 && word.chars().all(|letter| letter.is_ascii_uppercase());
    let faults = seen.keys().filter(|what| what.split(' ').any(is_fault));
    let (second, fourth) = (quarter(1, rows[1].1), quarter(3, rows[1].1));
    let grew = fourth > second * 1.05 + 1.0;
    // Pipes that splice(2) used are kept for the next time.
    let leaked = last.descriptors > before.descriptors + KEPT;
    let faulty = faults.count() > 0;
    for (is, what) in [(grew, "memory grew"), (leaked, "descriptors leaked"), (faulty, "clients were failed")] {
        if is {
            println!("    FAULT: {what}");
        }
    }
    !(grew || leaked || faulty)
}

/// The lines of an error log, numbers and quoted text left out, and how often each was written.
fn kinds(arena: &Arena, who: Contestant) -> io::Result<BTreeMap<String, u64>> {
    let path = format!("{PREFIX}/logs/soak-{}.log", who.base());
    let bytes = arena.run(move || fs::read(path))??;
    let mut kinds = BTreeMap::new();
    for line in String::from_utf8_lossy(&bytes).lines() {
        *kinds.entry(kind(line)).or_default() += 1;
    }
    Ok(kinds)
}

/// A line without stamp, numbers, quoted text and what follows the client's address.
fn kind(line: &str) -> String {
    let text = line.split_once('[').map_or(line, |(_, rest)| rest);
    let text = text.split(", client: ").next().unwrap_or_default();
    let mut kind = String::new();
    let mut quoted = false;
    for character in text.chars() {
        match character {
            '"' => {
                quoted = !quoted;
                kind.push('"');
            }
            _ if quoted => {}
            '0'..='9' if kind.ends_with('N') => {}
            '0'..='9' => kind.push('N'),
            _ => kind.push(character),
        }
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::kind;

    #[test]
    fn lines_of_one_kind_are_told_by_their_text() {
        let line = "2026/11/30 10:00:00 [error] 7#7: *12 open() \"/a/b\" failed (2: No such file or directory), client: 127.0.0.1";
        assert_eq!(kind(line), "error] N#N: *N open() \"\" failed (N: No such file or directory)");
    }
}
