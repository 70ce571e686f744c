//! Balancers and kept connections of nginx's later versions: `least_time` and `keepalive … local`.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use compat_tests::client;
use compat_tests::program::Program;
use compat_tests::service::Service;
use compat_tests::testbed::{LIMIT, TestBed, local};

const CONF: &str = r#"worker_processes 1;
events { }
http {
    access_log off;
    upstream header { server 127.0.0.1:9131; server 127.0.0.1:9132; least_time header; }
    upstream last { zone last 64k; server 127.0.0.1:9131; server 127.0.0.1:9132; least_time last_byte; }
    upstream inflight { server 127.0.0.1:9131; server 127.0.0.1:9132; least_time header inflight; }
    upstream backup { server 127.0.0.1:9; server 127.0.0.1:9131 backup; server 127.0.0.1:9132 backup; least_time header; }
    upstream one { server 127.0.0.1:9132; keepalive 4; }
    upstream each { server 127.0.0.1:9132; keepalive 4 local; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    server {
        listen 127.0.0.1:8080;
        location /header { proxy_pass http://header; }
        location /last { proxy_pass http://last; }
        location /inflight { proxy_pass http://inflight; }
        location /backup { proxy_pass http://backup; }
        location /one/a { proxy_pass http://one; }
        location /one/b { proxy_pass http://one; }
        location /each/a { proxy_pass http://each; }
        location /each/b { proxy_pass http://each; }
    }
}
stream {
    upstream first { server 127.0.0.1:9131; server 127.0.0.1:9132; least_time first_byte; }
    upstream whole { server 127.0.0.1:9131; server 127.0.0.1:9132; least_time last_byte inflight; }
    upstream connect { server 127.0.0.1:9131; server 127.0.0.1:9132; least_time connect; }
    server { listen 127.0.0.1:8081; proxy_pass first; }
    server { listen 127.0.0.1:8082; proxy_pass whole; }
    server { listen 127.0.0.1:8083; proxy_pass connect; }
}
"#;

/// Answers each request after `pause` with the port and the number of the connection.
fn answer(mut stream: TcpStream, number: usize, pause: Duration) -> io::Result<()> {
    let port = stream.local_addr()?.port();
    let mut bytes = [0; 4096];
    loop {
        let count = stream.read(&mut bytes)?;
        let asked = String::from_utf8_lossy(&bytes[..count]).into_owned();
        thread::sleep(pause);
        let body = format!("{port} {number}\n");
        stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
        if count == 0 || asked.contains("Connection: close") {
            return Ok(());
        }
    }
}

/// A testbed whose server 9131 is slow.
fn testbed() -> io::Result<(TestBed, Vec<Service>)> {
    let testbed = TestBed::new(Program::Ours)?;
    testbed.write(CONF)?;
    let mut services = Vec::new();
    for (port, pause) in [(9131_u16, 150), (9132, 0)] {
        let listener = testbed.host().run(move || TcpListener::bind(local(port)))??;
        let number = AtomicUsize::new(0);
        services.push(Service::start(listener, move |stream, _| {
            let _ = answer(stream, number.fetch_add(1, Ordering::Relaxed) + 1, Duration::from_millis(pause));
        })?);
    }
    testbed.command(&[])?;
    testbed.wait_for_listener()?;
    Ok((testbed, services))
}

/// The answers to so many requests, one after the other.
fn ask(testbed: &TestBed, port: u16, target: &str, count: usize) -> Vec<String> {
    (0..count).map(|_| testbed.get(port, target).expect("an answer").text()).collect()
}

fn slow(answers: &[String]) -> usize {
    answers.iter().filter(|answer| answer.starts_with("9131 ")).count()
}

#[test]
fn the_server_that_answers_sooner_is_asked() {
    let (testbed, _services) = testbed().expect("a testbed");
    for target in ["/header", "/last", "/inflight", "/backup"] {
        let answers = ask(&testbed, 8080, target, 12);
        assert_eq!(slow(&answers), 1, "{target}: {answers:?}");
    }
    for port in [8081, 8082] {
        let answers = ask(&testbed, port, "/", 12);
        assert_eq!(slow(&answers), 1, "{port}: {answers:?}");
    }
    let answers = ask(&testbed, 8083, "/", 6);
    assert_eq!(slow(&answers), 3, "both take connections at once: {answers:?}");
}

#[test]
fn with_inflight_a_server_that_is_silent_is_avoided_before_it_answers() {
    let (testbed, _services) = testbed().expect("a testbed");
    // The first request goes to the slow server, and others are sent while it waits.
    let host = testbed.host();
    let begun = host.run(move || -> io::Result<TcpStream> {
        let mut waiting = client::connect(local(8080), LIMIT)?;
        waiting.write_all(b"GET /inflight HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        Ok(waiting)
    });
    let mut waiting = begun.expect("a host").expect("a connection");
    let answers = ask(&testbed, 8080, "/inflight", 4);
    assert!(slow(&answers) <= 1, "{answers:?}");
    let mut text = String::new();
    waiting.read_to_string(&mut text).expect("an answer");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}

#[test]
fn a_location_keeps_its_own_connections_with_local() {
    let (testbed, _services) = testbed().expect("a testbed");
    let numbers = |group: &str| -> Vec<String> {
        ["a", "b", "a", "b"].iter().flat_map(|place| ask(&testbed, 8080, &format!("/{group}/{place}"), 1)).collect()
    };
    let [a, b, again, other] = &numbers("each")[..] else { panic!("four answers") };
    assert_eq!((a == again, b == other, a == b), (true, true, false), "{a} {b} {again} {other}");
    let shared = numbers("one");
    assert!(shared.iter().all(|answer| *answer == shared[0]), "{shared:?}");
}
