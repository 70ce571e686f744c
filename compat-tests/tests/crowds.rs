//! Many connections at once, and one that always has more: nobody waits for the others.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use compat_tests::arena::raise_limit;
use compat_tests::client;
use compat_tests::measure::{memory, tree};
use compat_tests::program::Program;
use compat_tests::stand::{LIMIT, Stand, local};
use nix::sys::signal::{Signal, kill};

const CONF: &str = "worker_processes 1;
worker_rlimit_nofile 8192;
events { worker_connections 8192; }
http {
    access_log off;
    keepalive_requests 100000;
    client_max_body_size 0;
    server {
        listen 127.0.0.1:8080 backlog=4096;
        location / { return 200 \"ready\\n\"; }
        location /saved { proxy_pass http://127.0.0.1:8080/; }
    }
}
";

fn started(program: Program) -> Stand {
    let stand = Stand::new(program).expect("a host");
    stand.write(CONF).expect("a configuration");
    stand.command(&[]).unwrap_or_else(|error| panic!("{program:?} starts: {error}"));
    stand.wait_for_text(8080, "/", "ready").expect("an answer");
    stand
}

#[test]
fn every_request_of_bursts_over_many_kept_connections_is_answered() {
    raise_limit().expect("a limit");
    for program in [Program::Original, Program::Ours] {
        let stand = started(program);
        let worker = *stand.workers(stand.master().expect("a master")).expect("workers").first().expect("a worker");
        let talk = move || -> std::io::Result<usize> {
            let mut streams = Vec::new();
            for _ in 0..1500 {
                streams.push(client::connect(local(8080), LIMIT)?);
            }
            let mut answered = 0;
            for _ in 0..5 {
                // All of them find the worker asleep, and are ready at once when it wakes.
                kill(worker, Signal::SIGSTOP)?;
                for stream in &mut streams {
                    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")?;
                }
                kill(worker, Signal::SIGCONT)?;
                for stream in &mut streams {
                    let mut answer = Vec::new();
                    let mut piece = [0; 1024];
                    while !answer.ends_with(b"ready\n") {
                        match stream.read(&mut piece)? {
                            0 => break,
                            count => answer.extend_from_slice(&piece[..count]),
                        }
                    }
                    answered += usize::from(answer.ends_with(b"ready\n"));
                }
            }
            Ok(answered)
        };
        let answered = stand.host().run(talk).expect("a host").expect("answers to all");
        assert_eq!(answered, 5 * 1500, "{program:?}");
    }
}

#[test]
fn a_listener_survives_thousands_of_half_requests_closed_at_once() {
    raise_limit().expect("a limit");
    for program in [Program::Original, Program::Ours] {
        let stand = started(program);
        let talk = || -> std::io::Result<()> {
            let mut streams = Vec::new();
            for _ in 0..3000 {
                let mut stream = client::connect(local(8080), LIMIT)?;
                stream.write_all(b"GET / HT")?;
                streams.push(stream);
            }
            drop(streams);
            for _ in 0..900 {
                let answer = client::get(local(8080), "/", &[], LIMIT)?;
                assert_eq!(answer.text(), "ready\n");
            }
            Ok(())
        };
        stand.host().run(talk).expect("a host").unwrap_or_else(|error| panic!("{program:?}: {error}"));
    }
}

/// Bytes of a body that goes to a file.
const BODY: usize = 256 << 20;

#[test]
fn others_are_served_while_a_large_body_is_saved() {
    for program in [Program::Original, Program::Ours] {
        let stand = started(program);
        let talk = move || -> std::io::Result<usize> {
            let ended = Arc::new(AtomicBool::new(false));
            let flag = ended.clone();
            std::thread::scope(|scope| {
                let upload = scope.spawn(move || -> std::io::Result<()> {
                    let mut stream = client::connect(local(8080), LIMIT)?;
                    write!(stream, "POST /saved HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY}\r\n\r\n")?;
                    let piece = vec![b'x'; 1 << 20];
                    let sent = (0..BODY / piece.len()).try_for_each(|_| stream.write_all(&piece));
                    flag.store(true, Ordering::Relaxed);
                    sent
                });
                let mut meanwhile = 0;
                while !ended.load(Ordering::Relaxed) {
                    let answer = client::get(local(8080), "/", &[], LIMIT)?;
                    assert_eq!(answer.text(), "ready\n");
                    meanwhile += usize::from(!ended.load(Ordering::Relaxed));
                }
                upload.join().map_err(|_| std::io::Error::other("the upload panicked"))?.map(|()| meanwhile)
            })
        };
        let meanwhile = stand.host().run(talk).expect("a host").unwrap_or_else(|error| panic!("{program:?}: {error}"));
        assert!(meanwhile >= 10, "{program:?}: {meanwhile} answers before the body was there");
    }
}

/// Clients that send a byte of a body and wait.
const SLOW: usize = 500;

#[test]
fn a_slow_upload_holds_no_more_than_it_has_sent() {
    raise_limit().expect("a limit");
    for program in [Program::Original, Program::Ours] {
        let stand = started(program);
        let master = stand.master().expect("a master");
        let processes = || tree(master).expect("processes");
        let before = memory(&processes());
        let open = || -> std::io::Result<Vec<std::net::TcpStream>> {
            let head = format!("POST /saved HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\nx", 100_000);
            (0..SLOW)
                .map(|_| {
                    let mut stream = client::connect(local(8080), LIMIT)?;
                    stream.write_all(head.as_bytes())?;
                    Ok(stream)
                })
                .collect()
        };
        let mut streams = stand.host().run(open).expect("a host").expect("connections");
        std::thread::sleep(std::time::Duration::from_millis(300));
        // Another byte, behind the head's own read.
        streams.iter_mut().for_each(|stream| stream.write_all(b"y").expect("a byte"));
        std::thread::sleep(std::time::Duration::from_millis(300));
        let each = memory(&processes()).saturating_sub(before) / SLOW as u64;
        assert!(each < 32 * 1024, "{program:?}: {each} bytes a client");
    }
}
