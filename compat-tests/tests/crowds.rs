//! Many connections at once, and one that always has more: nobody waits for the others.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use compat_tests::arena::raise_limit;
use compat_tests::http2::{block, frame};
use compat_tests::idle::{ACKNOWLEDGED, Secure, UPGRADE, answered, end_of_stream, open, open_secure};
use compat_tests::measure::{memory, tree};
use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::reflect::{Manner, Reflector};
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{certificates, client, mount};
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
        listen 127.0.0.1:8443 ssl http2 backlog=4096;
        ssl_certificate ec.pem;
        ssl_certificate_key ec.key;
        location / { return 200 \"ready\\n\"; }
        location = /big.bin { root html; }
        location /saved { proxy_pass http://127.0.0.1:8080/; }
        location /mqtt {
            proxy_pass http://127.0.0.1:9101;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }
    }
}
";

fn started(program: Program) -> TestBed {
    let testbed = TestBed::new(program).expect("a host");
    let put = || -> io::Result<()> {
        for (name, bytes) in certificates::all()? {
            mount::file(&format!("{PREFIX}/conf/{name}"), bytes, 0o644)?;
        }
        mount::file(&format!("{PREFIX}/html/big.bin"), &[b'x'; 60_000], 0o644)
    };
    testbed.host().run(put).expect("a host").expect("files");
    testbed.write(CONF).expect("a configuration");
    testbed.command(&[]).unwrap_or_else(|error| panic!("{program:?} starts: {error}"));
    testbed.wait_for_text(8080, "/", "ready").expect("an answer");
    testbed
}

#[test]
fn every_request_of_bursts_over_many_kept_connections_is_answered() {
    raise_limit().expect("a limit");
    for program in [Program::Original, Program::Ours] {
        let testbed = started(program);
        let worker = *testbed.workers(testbed.master().expect("a master")).expect("workers").first().expect("a worker");
        let talk = move || -> io::Result<usize> {
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
        let answered = testbed.host().run(talk).expect("a host").expect("answers to all");
        assert_eq!(answered, 5 * 1500, "{program:?}");
    }
}

#[test]
fn a_listener_survives_thousands_of_half_requests_closed_at_once() {
    raise_limit().expect("a limit");
    for program in [Program::Original, Program::Ours] {
        let testbed = started(program);
        let talk = || -> io::Result<()> {
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
        testbed.host().run(talk).expect("a host").unwrap_or_else(|error| panic!("{program:?}: {error}"));
    }
}

/// Bytes of a body that goes to a file.
const BODY: usize = 256 << 20;

#[test]
fn others_are_served_while_a_large_body_is_saved() {
    for program in [Program::Original, Program::Ours] {
        let testbed = started(program);
        let talk = move || -> io::Result<usize> {
            let ended = Arc::new(AtomicBool::new(false));
            let flag = ended.clone();
            std::thread::scope(|scope| {
                let upload = scope.spawn(move || -> io::Result<()> {
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
                upload.join().map_err(|_| io::Error::other("the upload panicked"))?.map(|()| meanwhile)
            })
        };
        let meanwhile =
            testbed.host().run(talk).expect("a host").unwrap_or_else(|error| panic!("{program:?}: {error}"));
        assert!(meanwhile >= 10, "{program:?}: {meanwhile} answers before the body was there");
    }
}

/// Clients that send a byte of a body and wait.
const SLOW: usize = 500;

#[test]
fn a_slow_upload_holds_no_more_than_it_has_sent() {
    raise_limit().expect("a limit");
    for program in [Program::Original, Program::Ours] {
        let testbed = started(program);
        let master = testbed.master().expect("a master");
        let processes = || tree(master).expect("processes");
        let before = memory(&processes());
        let open = || -> io::Result<Vec<std::net::TcpStream>> {
            let head = format!("POST /saved HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\nx", 100_000);
            (0..SLOW)
                .map(|_| {
                    let mut stream = client::connect(local(8080), LIMIT)?;
                    stream.write_all(head.as_bytes())?;
                    Ok(stream)
                })
                .collect()
        };
        let mut streams = testbed.host().run(open).expect("a host").expect("connections");
        std::thread::sleep(std::time::Duration::from_millis(300));
        // Another byte, behind the head's own read.
        streams.iter_mut().for_each(|stream| stream.write_all(b"y").expect("a byte"));
        std::thread::sleep(std::time::Duration::from_millis(300));
        let each = memory(&processes()).saturating_sub(before) / SLOW as u64;
        assert!(each < 32 * 1024, "{program:?}: {each} bytes a client");
    }
}

#[test]
fn an_idle_tunnel_takes_little_memory() {
    const TUNNELS: usize = 1500;
    raise_limit().expect("descriptors");
    let testbed = started(Program::Ours);
    let listener = testbed.host().run(|| -> io::Result<TcpListener> {
        let listener = TcpListener::bind(local(9101))?;
        nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(4095)?)?;
        Ok(listener)
    });
    let listener = listener.expect("a host").expect("a port");
    let _backend = Reflector::start(vec![(listener, Manner::Upgrade)], || ()).expect("a backend");
    let tunnels =
        |count| testbed.host().run(move || open(local(8080), count, UPGRADE)).expect("a host").expect("tunnels");
    let pids = tree(testbed.master().expect("a master")).expect("processes");
    // The first take what is no connection's: code pages, tables.
    let _first = tunnels(100);
    let before = memory(&pids);
    let _all = tunnels(TUNNELS);
    let each = memory(&pids).saturating_sub(before) / TUNNELS as u64;
    assert!(each > 500, "{each} bytes: there are none");
    assert!(each < 3000, "{each} bytes a tunnel; it is about 2500 where the request waits in little memory");
}

/// A body that is sent, and one that is fetched, over HTTP/1.1.
fn exchange(stream: &mut Secure) -> io::Result<()> {
    let mut post = format!("POST /saved HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", 3 << 14).into_bytes();
    post.resize(post.len() + (3 << 14), b'y');
    answered(stream, &post)?;
    answered(stream, b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n")
}

/// A request over HTTP/2. The h2 crate keeps what it has: 28 KB, of which little is ever used, and more after a body was sent.
fn exchange_http2(stream: &mut Secure) -> io::Result<()> {
    let mut get = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    get.extend(frame(4, 0, 0, &[]));
    let fields = [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "x")];
    get.extend(frame(1, 5, 1, &block(&fields)));
    stream.write_all(&get)?;
    end_of_stream(stream)?;
    stream.write_all(ACKNOWLEDGED)
}

#[test]
fn idle_connections_over_tls_free_their_buffers() {
    const IDLE: usize = 400;
    raise_limit().expect("descriptors");
    for (protocol, exchange, most) in [
        (&b"http/1.1"[..], exchange as fn(&mut Secure) -> io::Result<()>, 16 * 1024),
        (b"h2", exchange_http2, 34 * 1024),
    ] {
        let testbed = started(Program::Ours);
        let opened = |count| {
            let open = move || open_secure(local(8443), count, protocol, exchange);
            testbed.host().run(open).expect("a host").expect("connections")
        };
        let pids = tree(testbed.master().expect("a master")).expect("processes");
        let _first = opened(50);
        let before = memory(&pids);
        let _all = opened(IDLE);
        let each = memory(&pids).saturating_sub(before) / IDLE as u64;
        assert!(each > 4000, "{each} bytes: there are none");
        assert!(each < most, "{}: {each} bytes a connection", String::from_utf8_lossy(protocol));
    }
}
