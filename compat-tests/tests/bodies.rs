//! Large bodies both ways: every byte arrives, whichever way it is taken through.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use compat_tests::arena::pattern;
use compat_tests::client;
use compat_tests::program::Program;
use compat_tests::service::Service;
use compat_tests::stand::{LIMIT, Stand, local};

const CONF: &str = "worker_processes 1;
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

fn backends(stand: &Stand) -> Vec<Service> {
    let listen = |port| stand.host().run(move || TcpListener::bind(local(port))).expect("a host").expect("a port");
    let start = |port| Service::start(listen(port), move |stream, _| drop(echo(stream, port))).expect("a backend");
    [9101, 9102].map(start).into()
}

/// A program that serves, and the servers behind it.
fn started(program: Program) -> (Stand, Vec<Service>) {
    let stand = Stand::new(program).expect("a host");
    let behind = backends(&stand);
    stand.write(CONF).expect("a configuration");
    stand.command(&[]).unwrap_or_else(|error| panic!("{program:?} starts: {error}"));
    stand.wait_for_text(8080, "/", "ready").expect("an answer");
    (stand, behind)
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
        let (stand, _backends) = started(program);
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
                let same = stand.host().run(talk).expect("a host");
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
        let (stand, _backends) = started(program);
        let talk = || -> io::Result<bool> {
            let mut stream = client::connect(local(8080), LIMIT)?;
            let body = pattern(9_000_000);
            Ok(sent_and_back(&mut stream, ("POST /kept", Sends::AtOnce, true), &body)? == body)
        };
        let same = stand.host().run(talk).expect("a host").expect("an answer");
        assert!(same, "{program:?}: a response of 9 MB that is read slowly");
    }
}

#[test]
fn a_body_that_is_only_announced_takes_no_memory_from_others() {
    let (stand, _backends) = started(Program::Ours);
    stand.write(&CONF.replace("10m", "0")).expect("a configuration");
    stand.command(&["-s", "reload"]).expect("-s reload");
    stand.wait_for_text(8080, "/", "ready").expect("an answer");
    let talk = || -> io::Result<bool> {
        let mut idle = client::connect(local(8080), LIMIT)?;
        idle.write_all(b"POST /one HTTP/1.1\r\nHost: x\r\nContent-Length: 63000000\r\n\r\nx")?;
        std::thread::sleep(Duration::from_millis(200));
        let body = pattern(5_000_000);
        let mut stream = client::connect(local(8080), LIMIT)?;
        Ok(sent_and_back(&mut stream, ("POST /one", Sends::AtOnce, false), &body)? == body)
    };
    assert!(stand.host().run(talk).expect("a host").expect("an answer"), "a body of 5 MB");
    let log = stand.file("logs/error.log").expect("a log");
    assert!(!log.contains("buffered to a temporary file"), "{log}");
}
