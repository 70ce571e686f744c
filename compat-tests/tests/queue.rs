//! `queue` of NGINX Plus: requests that wait for a server that can be asked.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use compat_tests::program::Program;
use compat_tests::service::Service;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{client, wait_for};

const CONF: &str = r#"worker_processes 2;
events { }
http {
    log_format status "$status $uri";
    access_log logs/access.log status;
    upstream one { server 127.0.0.1:9151 max_conns=1; queue 1 timeout=60s; }
    upstream short { server 127.0.0.1:9151 max_conns=1; queue 5 timeout=200ms; }
    upstream out { least_conn; server 127.0.0.1:9 fail_timeout=1s; server 127.0.0.1:10 fail_timeout=1s; queue 5; }
    server {
        listen 127.0.0.1:8080;
        location /ping { return 204; }
        location /one { proxy_pass http://one; }
        location /short { proxy_pass http://short; }
        location /out { proxy_pass http://out; proxy_next_upstream_tries 1; }
    }
}
"#;

/// A server that holds its answers until it is told to give them.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    asked: AtomicUsize,
}

impl Gate {
    fn open(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.opened.notify_all();
    }

    fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut bytes = [0; 4096];
        if stream.read(&mut bytes)? == 0 {
            return Ok(());
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        while !*open {
            open = self.opened.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
        drop(open);
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nanswer\n")
    }

    fn wait_for_requests(&self, count: usize) {
        let asked = || (self.asked.load(Ordering::Relaxed) >= count).then_some(());
        wait_for("requests at the server", LIMIT, asked).expect("requests");
    }
}

fn testbed() -> (TestBed, Arc<Gate>, Service) {
    stand_with(CONF)
}

fn stand_with(conf: &str) -> (TestBed, Arc<Gate>, Service) {
    let testbed = TestBed::new(Program::Ours).expect("a testbed");
    testbed.write(conf).expect("a file");
    let gate = Arc::new(Gate::default());
    let listener = testbed.host().run(|| TcpListener::bind(local(9151))).expect("a host").expect("a listener");
    let serving = Arc::clone(&gate);
    let service = Service::start(listener, move |stream, _| drop(serving.answer(stream))).expect("a server");
    testbed.command(&[]).expect("a start");
    testbed.wait_for_listener().expect("a listener");
    (testbed, gate, service)
}

/// A request on a thread of its own; its status.
fn begin(testbed: &TestBed, target: &'static str) -> JoinHandle<u16> {
    let ask = move || client::get(local(8080), target, &[], LIMIT).map_or(0, |answer| answer.status);
    testbed.host().spawn(ask).expect("a thread")
}

#[test]
fn a_request_waits_for_a_server_and_a_full_queue_refuses() {
    let (testbed, gate, _service) = testbed();
    let first = begin(&testbed, "/one/first");
    gate.wait_for_requests(1);
    // One of the two finds the queue full.
    let others = ["/one/second", "/one/third"].map(|target| begin(&testbed, target));
    let lines = testbed.access_lines(1).expect("a line");
    assert!(lines[0].starts_with("502 "), "{lines:?}");
    assert_eq!(gate.asked.load(Ordering::Relaxed), 1, "nothing was sent beyond max_conns");
    gate.open();
    assert_eq!(first.join().expect("a thread"), 200);
    let mut statuses = others.map(|other| other.join().expect("a thread"));
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 502]);
}

#[test]
fn a_client_that_leaves_gives_its_place_up() {
    let (testbed, gate, _service) = stand_with(&CONF.replace("worker_processes 2", "worker_processes 1"));
    let first = begin(&testbed, "/one/first");
    gate.wait_for_requests(1);
    let leaving = testbed.host().run(|| -> io::Result<TcpStream> {
        let mut stream = client::connect(local(8080), LIMIT)?;
        stream.write_all(b"GET /one/leaves HTTP/1.1\r\nHost: x\r\n\r\n")?;
        Ok(stream)
    });
    let leaving = leaving.expect("a host").expect("a connection");
    // One loop reads what came first.
    for _ in 0..3 {
        assert_eq!(testbed.get(8080, "/ping").expect("an answer").status, 204);
    }
    assert_eq!(testbed.get(8080, "/one/refused").expect("an answer").status, 502);
    leaving.shutdown(Shutdown::Both).expect("a socket");
    drop(leaving);
    let left = || testbed.file("logs/access.log").ok()?.contains("499 /one/leaves").then_some(());
    wait_for("the line of the client that left", LIMIT, left).expect("a line");
    let second = begin(&testbed, "/one/second");
    gate.open();
    assert_eq!((first.join().expect("a thread"), second.join().expect("a thread")), (200, 200));
}

#[test]
fn a_request_that_waited_long_enough_is_refused() {
    let (testbed, gate, _service) = testbed();
    let first = begin(&testbed, "/short/first");
    gate.wait_for_requests(1);
    assert_eq!(testbed.get(8080, "/short/second").expect("an answer").status, 502);
    let log = testbed.file("logs/error.log").expect("a log");
    assert!(log.contains("no live upstreams while connecting to upstream"), "{log}");
    gate.open();
    assert_eq!(first.join().expect("a thread"), 200);
}

#[test]
fn a_server_that_is_available_by_time_alone_ends_the_wait() {
    let (testbed, ..) = testbed();
    // Both are taken out; the third request waits until one may be asked again.
    for target in ["/out/first", "/out/second", "/out/third"] {
        assert_eq!(testbed.get(8080, target).expect("an answer").status, 502);
    }
    let log = testbed.file("logs/error.log").expect("a log");
    assert!(!log.contains("no live upstreams"), "{log}");
    assert_eq!(log.matches("connect() failed").count(), 3, "{log}");
}
