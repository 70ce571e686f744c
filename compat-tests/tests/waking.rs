//! What a loop knows when only a timer wakes it: the time, and which files there are.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, SystemTime};

use compat_tests::client;
use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};

const CONF: &str = "worker_processes 1;
events { }
http {
    access_log off;
    server {
        listen 127.0.0.1:8080;
        root .;
        error_page 504 =200 /page;
        location / { return 200 \"ready\\n\"; }
        location = /page { internal; }
        location /two { proxy_pass http://127.0.0.1:9101; proxy_read_timeout 2s; }
        location /four { proxy_pass http://127.0.0.1:9101; proxy_read_timeout 4s; }
    }
}
";

const DAY: i64 = 86_400;

/// The second of the day of a header's date.
fn of_day(date: &str) -> Option<i64> {
    let time = date.split(' ').nth(4)?;
    time.split(':').try_fold(0, |sum, part| Some(sum * 60 + part.parse::<i64>().ok()?))
}

#[test]
fn an_answer_after_a_timeout_has_its_own_time_and_the_file_of_that_moment() {
    for program in [Program::Original, Program::Ours] {
        let testbed = TestBed::new(program).expect("a host");
        testbed.write(CONF).expect("a configuration");
        testbed.command(&[]).unwrap_or_else(|error| panic!("{program:?} starts: {error}"));
        testbed.wait_for_text(8080, "/", "ready").expect("an answer");
        let page = Path::new(PREFIX).join("page");
        let talk = move || -> io::Result<Vec<(String, Option<i64>, i64)>> {
            // Takes connections and never answers.
            let _silent = TcpListener::bind(local(9101))?;
            std::fs::write(&page, "old")?;
            let mut streams = Vec::new();
            for target in ["/two", "/four"] {
                let mut stream = client::connect(local(8080), LIMIT)?;
                write!(stream, "GET {target} HTTP/1.0\r\nHost: x\r\n\r\n")?;
                streams.push(stream);
            }
            let mut seen = Vec::new();
            for stream in &mut streams {
                stream.set_read_timeout(Some(Duration::from_secs(8)))?;
                let mut text = String::new();
                stream.read_to_string(&mut text)?;
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                let date = text.lines().find_map(|line| line.strip_prefix("Date: "));
                let date = date.and_then(of_day);
                seen.push((
                    text.rsplit("\r\n\r\n").next().unwrap_or_default().to_owned(),
                    date,
                    now.as_secs() as i64 % DAY,
                ));
                let next = page.with_extension("next");
                std::fs::write(&next, "new")?;
                std::fs::rename(&next, &page)?;
            }
            Ok(seen)
        };
        let seen = testbed.host().run(talk).expect("a host").expect("two answers");
        let bodies: Vec<_> = seen.iter().map(|(body, ..)| body.as_str()).collect();
        assert_eq!(bodies, ["old", "new"], "{program:?}");
        for (_, date, now) in &seen {
            assert!(date.is_some_and(|date| (now - date).rem_euclid(DAY) <= 1), "{program:?}: {date:?} at {now}");
        }
    }
}
