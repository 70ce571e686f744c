//! Reloads: what changes, what does not, and that nobody is cut off.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use compat_tests::load::{Plan, run};
use compat_tests::program::Program;
use compat_tests::reflect::{Manner, Reflector};
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{client, wait_for};

/// The configuration of a generation.
fn conf(generation: usize, more: &str) -> String {
    format!(
        "worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    server {{
        listen 127.0.0.1:8080;
        location / {{ return 200 \"generation {generation:4}\\n\"; }}
        location /same {{ return 200 \"same\\n\"; }}
        location /mqtt {{ proxy_pass http://127.0.0.1:9101; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection \"Upgrade\"; proxy_read_timeout 60s; }}
    }}
    {more}
}}
stream {{ server {{ listen 127.0.0.1:8090; proxy_pass 127.0.0.1:9102; }} }}
"
    )
}

fn started(program: Program) -> (TestBed, Reflector) {
    let testbed = TestBed::new(program).expect("a host");
    let listen =
        |port| testbed.host().run(move || std::net::TcpListener::bind(local(port))).expect("a host").expect("a port");
    let listeners = vec![(listen(9101), Manner::Upgrade), (listen(9102), Manner::Echo)];
    let reflector = Reflector::start(listeners, || ()).expect("backends");
    testbed.write(&conf(0, "")).expect("a configuration");
    testbed.command(&[]).unwrap_or_else(|error| panic!("{program:?} starts: {error}"));
    testbed.wait_for_text(8080, "/", "generation    0").expect("an answer");
    (testbed, reflector)
}

#[test]
fn a_reload_changes_answers_and_listening_ports() {
    for program in [Program::Original, Program::Ours] {
        let (testbed, _backends) = started(program);
        testbed.write(&conf(1, "server { listen 127.0.0.1:8081; return 200 \"more\\n\"; }")).expect("a configuration");
        testbed.command(&["-s", "reload"]).expect("-s reload");
        testbed.wait_for_text(8080, "/", "generation    1").expect("the new answer");
        testbed.wait_for_text(8081, "/", "more").expect("the new port");
        testbed.write(&conf(2, "")).expect("a configuration");
        testbed.command(&["-s", "reload"]).expect("-s reload");
        testbed.wait_for_text(8080, "/", "generation    2").expect("the new answer");
        wait_for("the port to close", LIMIT, || testbed.get(8081, "/").is_err().then_some(()))
            .expect("the port closes");
    }
}

const UPGRADE: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A WebSocket and a stream connection, both in use.
fn tunnels(testbed: &TestBed) -> Vec<TcpStream> {
    let open = || -> std::io::Result<Vec<TcpStream>> {
        let mut web = client::connect(local(8080), LIMIT)?;
        web.write_all(UPGRADE)?;
        client::response(&mut std::io::BufReader::with_capacity(1, web.try_clone()?), false)?;
        Ok(vec![web, client::connect(local(8090), LIMIT)?])
    };
    testbed.host().run(open).expect("a host").expect("two tunnels")
}

fn alive(mut stream: &TcpStream) -> bool {
    let mut answer = [0; 4];
    stream.write_all(b"ping").is_ok() && stream.read_exact(&mut answer).is_ok() && answer == *b"ping"
}

#[test]
fn reloads_under_load_fail_no_request_and_cut_no_tunnel() {
    let (testbed, _backends) = started(Program::Ours);
    let master = testbed.master().expect("a master");
    let stop = Arc::new(AtomicBool::new(false));
    let loads: Vec<_> = [false, true]
        .into_iter()
        .map(|fresh| {
            let connection = if fresh { "Connection: close\r\n" } else { "" };
            let plan = Plan {
                address: local(8080),
                request: format!("GET /same HTTP/1.1\r\nHost: x\r\n{connection}\r\n").into_bytes(),
                body: Arc::new(b"same\n".to_vec()),
                plain: false,
                connections: 4,
                fresh,
            };
            let stopped = Arc::clone(&stop);
            testbed.host().spawn(move || run(&plan, Duration::from_secs(120), &stopped)).expect("a host")
        })
        .collect();
    let mut open = Vec::new();
    for generation in 1..=20 {
        open.extend(tunnels(&testbed));
        testbed.write(&conf(generation, "")).expect("a configuration");
        testbed.command(&["-s", "reload"]).expect("-s reload");
        testbed.wait_for_text(8080, "/", &format!("generation {generation:4}")).expect("the new answer");
    }
    let workers = testbed.workers(master).expect("workers");
    assert_eq!(workers.len(), 1, "one worker process, however many generations have tunnels");
    stop.store(true, Ordering::Relaxed);
    for load in loads {
        let figures = load.join().expect("a client").expect("figures");
        assert!(figures.answers > 0 && figures.failed + figures.wrong == 0, "{figures:?}");
    }
    let cut = open.iter().filter(|stream| !alive(stream)).count();
    assert_eq!(cut, 0, "of {} tunnels", open.len());
}
