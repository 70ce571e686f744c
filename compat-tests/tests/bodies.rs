//! Large bodies both ways: every byte arrives, whichever way it is taken through.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use compat_tests::arena::pattern;
use compat_tests::client;
use compat_tests::program::Program;
use compat_tests::service::Service;
use compat_tests::testbed::{LIMIT, TestBed, local};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const CONF: &str = "worker_processes 1;
error_log logs/error.log info;
events { }
http {
    access_log off;
    upstream kept { server 127.0.0.1:9101; keepalive 4; }
    upstream pair { server 127.0.0.1:9102 max_fails=0; server 127.0.0.1:9101; }
    server {
        listen 127.0.0.1:8080;
        client_max_body_size 10m;
        proxy_http_version 1.1;
        location / { return 200 \"ready\\n\"; }
        location /one { proxy_pass http://127.0.0.1:9101; }
        location /kept { proxy_pass http://kept; proxy_set_header Connection \"\"; }
        location /next { proxy_pass http://pair; }
        location /page { proxy_pass http://127.0.0.1:9102; error_page 502 = @other; }
        location /stopped { proxy_pass http://127.0.0.1:9103; }
        location @other { proxy_pass http://127.0.0.1:9101; }
    }
}
";

/// Sends bodies back (9101), or reads them and hangs up (9102).
fn echo(stream: TcpStream, port: u16) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let headers = client::headers(&mut reader)?;
        let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
        let body = client::exactly(&mut reader, length)?;
        if port == 9102 {
            return Ok(());
        }
        write!(writer, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")?;
        writer.write_all(&body)?;
    }
}

fn backends(testbed: &TestBed) -> Vec<Service> {
    let listen = |port| testbed.host().run(move || TcpListener::bind(local(port))).expect("a host").expect("a port");
    let start = |port| Service::start(listen(port), move |stream, _| drop(echo(stream, port))).expect("a backend");
    [9101, 9102].map(start).into()
}

/// A program that serves, and the servers behind it.
fn started(program: Program) -> (TestBed, Vec<Service>) {
    let testbed = TestBed::new(program).expect("a host");
    let behind = backends(&testbed);
    testbed.write(CONF).expect("a configuration");
    testbed.command(&[]).unwrap_or_else(|error| panic!("{program:?} starts: {error}"));
    testbed.wait_for_text(8080, "/", "ready").expect("an answer");
    (testbed, behind)
}

/// How a client sends.
#[derive(Clone, Copy, Debug)]
enum Sends {
    AtOnce,
    InSmallPieces,
}

/// Sends a body on a connection and returns what comes back, read slowly where `slowly`.
fn sent_and_back(stream: &mut TcpStream, how: (&str, Sends, bool), body: &[u8]) -> io::Result<Vec<u8>> {
    let (request, sends, slowly) = how;
    write!(stream, "{request} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len())?;
    let mut writer = stream.try_clone()?;
    let copy = body.to_vec();
    let sender = std::thread::spawn(move || match sends {
        Sends::AtOnce => writer.write_all(&copy),
        Sends::InSmallPieces => copy.chunks(700).try_for_each(|piece| {
            std::thread::sleep(Duration::from_micros(50));
            writer.write_all(piece)
        }),
    });
    let mut reader = BufReader::with_capacity(1, stream.try_clone()?);
    if !slowly {
        let answer = client::response(&mut reader, false)?;
        sender.join().expect("a sender")?;
        return Ok(answer.body);
    }
    let mut line = String::new();
    reader.read_line(&mut line)?;
    client::headers(&mut reader)?;
    std::thread::sleep(Duration::from_millis(300));
    let mut answer = vec![0; body.len()];
    for piece in answer.chunks_mut(64 * 1024) {
        stream.read_exact(piece)?;
        std::thread::sleep(Duration::from_millis(2));
    }
    sender.join().expect("a sender")?;
    Ok(answer)
}

#[test]
fn large_bodies_arrive_whole_both_ways() {
    let sizes = [16_384, 16_385, 40_000, 65_536, 200_000, 262_144, 278_000, 300_000];
    for program in [Program::Original, Program::Ours] {
        let (testbed, _backends) = started(program);
        let mut count = 0;
        for request in ["POST /one", "POST /kept", "PUT /next", "POST /page"] {
            for sends in [Sends::AtOnce, Sends::InSmallPieces] {
                let talk = move || -> io::Result<Vec<bool>> {
                    let mut stream = client::connect(local(8080), LIMIT)?;
                    stream.set_nodelay(true)?;
                    let same = |size| {
                        let body = pattern(size);
                        Ok(sent_and_back(&mut stream, (request, sends, false), &body)? == body)
                    };
                    sizes.into_iter().map(same).collect()
                };
                let same = testbed.host().run(talk).expect("a host");
                let same = same.unwrap_or_else(|error| panic!("{program:?}, {request}, {sends:?}: {error}"));
                assert_eq!(same, [true; 8], "{program:?}, {request}, {sends:?}: the bodies of {sizes:?}");
                count += same.len();
            }
        }
        println!("{program:?}: {count} bodies there and back");
    }
}

#[test]
fn a_slow_reader_gets_every_byte() {
    for program in [Program::Original, Program::Ours] {
        let (testbed, _backends) = started(program);
        let talk = || -> io::Result<bool> {
            let mut stream = client::connect(local(8080), LIMIT)?;
            let body = pattern(9_000_000);
            Ok(sent_and_back(&mut stream, ("POST /kept", Sends::AtOnce, true), &body)? == body)
        };
        let same = testbed.host().run(talk).expect("a host").expect("an answer");
        assert!(same, "{program:?}: a response of 9 MB that is read slowly");
    }
}

#[test]
fn a_body_that_is_only_announced_takes_no_memory_from_others() {
    let (testbed, _backends) = started(Program::Ours);
    testbed.write(&CONF.replace("10m", "0")).expect("a configuration");
    testbed.command(&["-s", "reload"]).expect("-s reload");
    testbed.wait_for_text(8080, "/", "ready").expect("an answer");
    let talk = || -> io::Result<bool> {
        let mut idle = client::connect(local(8080), LIMIT)?;
        idle.write_all(b"POST /one HTTP/1.1\r\nHost: x\r\nContent-Length: 63000000\r\n\r\nx")?;
        std::thread::sleep(Duration::from_millis(200));
        let body = pattern(5_000_000);
        let mut stream = client::connect(local(8080), LIMIT)?;
        Ok(sent_and_back(&mut stream, ("POST /one", Sends::AtOnce, false), &body)? == body)
    };
    assert!(testbed.host().run(talk).expect("a host").expect("an answer"), "a body of 5 MB");
    let log = testbed.file("logs/error.log").expect("a log");
    assert!(!log.contains("client request body is buffered to a temporary file"), "{log}");
}

/// Sends a large response that is in the worker's socket, as far as it holds it, before the worker runs again.
fn send_to_a_stopped(worker: Pid, mut stream: TcpStream, size: usize) -> io::Result<()> {
    client::headers(&mut BufReader::new(stream.try_clone()?))?;
    kill(worker, Signal::SIGSTOP)?;
    stream.set_write_timeout(Some(Duration::from_millis(100)))?;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
    let response = [head.as_bytes(), &pattern(size)].concat();
    let mut rest = response.as_slice();
    while !rest.is_empty() {
        match stream.write(rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(error) if client::silence(&error) => break,
            Err(error) => return Err(error),
        }
    }
    kill(worker, Signal::SIGCONT)?;
    stream.set_write_timeout(None)?;
    stream.write_all(rest)
}

#[test]
fn what_a_client_takes_at_once_is_not_put_into_a_file() {
    for program in [Program::Original, Program::Ours] {
        let (testbed, _backends) = started(program);
        // Sockets take megabytes before anybody reads them.
        let roomy = || std::fs::write("/proc/sys/net/ipv4/tcp_rmem", "4096 4194304 6291456");
        testbed.host().run(roomy).expect("a host").expect("larger buffers");
        let worker = testbed.workers(testbed.master().expect("a master")).expect("workers")[0];
        let listener = testbed.host().run(|| TcpListener::bind(local(9103))).expect("a host").expect("a port");
        let size = Arc::new(AtomicUsize::new(0));
        let sent = Arc::clone(&size);
        let backend =
            Service::start(listener, move |stream, _| drop(send_to_a_stopped(worker, stream, sent.load(Relaxed))));
        let talk = move || -> io::Result<()> {
            for wanted in [100_000, 250_000, 300_000, 1_000_000] {
                size.store(wanted, Relaxed);
                let mut stream = client::connect(local(8080), LIMIT)?;
                write!(stream, "GET /stopped HTTP/1.1\r\nHost: x\r\n\r\n")?;
                let answer = client::response(&mut BufReader::new(stream), false)?;
                assert!(answer.body == pattern(wanted), "{wanted} bytes");
            }
            Ok(())
        };
        testbed.host().run(talk).expect("a host").unwrap_or_else(|error| panic!("{program:?}: {error}"));
        drop(backend);
        let log = testbed.file("logs/error.log").expect("a log");
        assert!(!log.contains("upstream response is buffered"), "{program:?}: {log}");
    }
}

#[test]
fn a_body_is_read_before_a_location_is_chosen_where_that_is_asked_for() {
    let testbed = TestBed::new(Program::Ours).expect("a host");
    let conf = "worker_processes 1;
events { }
http {
    access_log off;
    map $http_content_type $is_json { application/json 1; }
    server {
        listen 127.0.0.1:8080;
        client_body_early_read $is_json;
        client_max_body_size 256;
        client_body_buffer_size 256;
        location / { return 200 \"got '$request_body' $request_body_file\\n\"; }
        location /ready { return 200 \"ready\\n\"; }
    }
}
";
    testbed.write(conf).expect("a configuration");
    testbed.command(&[]).expect("a start");
    testbed.wait_for_text(8080, "/ready", "ready").expect("an answer");
    let ask = |kind: &'static str, framing: &'static str, body: String| {
        let text =
            format!("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\n{framing}\r\n{body}");
        let bytes = testbed.host().run(move || client::raw(local(8080), text.as_bytes(), LIMIT)).expect("a host");
        let text = String::from_utf8_lossy(&bytes.expect("an answer")).into_owned();
        let line = text.lines().next().unwrap_or_default().to_owned();
        (line, text.rsplit("\r\n\r\n").next().unwrap_or_default().to_owned())
    };
    let ok = "HTTP/1.1 200 OK".to_owned();
    let json = "application/json";
    let four = || "{  }".to_owned();
    assert_eq!(ask(json, "Content-Length: 4\r\n", four()), (ok.clone(), "got '{  }' \n".to_owned()));
    assert_eq!(ask("text/plain", "Content-Length: 4\r\n", four()), (ok.clone(), "got '' \n".to_owned()));
    let chunks = "4\r\n{  }\r\n0\r\n\r\n".to_owned();
    assert_eq!(ask(json, "Transfer-Encoding: chunked\r\n", chunks), (ok, "got '{  }' \n".to_owned()));
    let large = ask(json, "Content-Length: 300\r\n", "x".repeat(300)).0;
    assert_eq!(large, "HTTP/1.1 413 Request Entity Too Large");
    let large = ask(json, "Transfer-Encoding: chunked\r\n", format!("12c\r\n{}\r\n0\r\n\r\n", "x".repeat(300))).0;
    assert_eq!(large, "HTTP/1.1 413 Request Entity Too Large");
}
