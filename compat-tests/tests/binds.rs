//! `proxy_bind` and its kin beside nginx's own: addresses that are this machine's, that are not, and `transparent` ones.

use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;

use compat_tests::client;
use compat_tests::compare::{alike, both};
use compat_tests::datagrams::receive;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::wait_for;
use nix::sys::signal::Signal;

/// `TRANSPARENT` is replaced.
const CONF: &str = r#"worker_processes 1;
user nobody nogroup;
events { }
http {
    access_log off;
    error_log logs/http.log info;
    upstream two { server 127.0.0.1:9151; server 127.0.0.1:9152; }
    server {
        listen 127.0.0.1:8080;
        location / { proxy_bind 127.0.0.2 TRANSPARENT; proxy_pass http://two; }
        location /named { proxy_bind $arg_from TRANSPARENT; proxy_pass http://two; }
        location /foreign { proxy_bind 192.0.2.1; proxy_pass http://two; }
        location /off { proxy_bind off; proxy_pass http://two; }
        location /page { proxy_bind 192.0.2.1; proxy_pass http://two; error_page 500 /off; }
    }
    server { listen 127.0.0.1:9151; listen 127.0.0.1:9152; return 200 "$remote_addr\n"; }
}
stream {
    error_log logs/stream.log info;
    log_format t "$server_port $status $upstream_addr";
    access_log logs/sessions.log t;
    upstream two { server 127.0.0.1:9153; server 127.0.0.1:9154; }
    server { listen 127.0.0.1:8081; proxy_bind 127.0.0.2 TRANSPARENT; proxy_pass two; }
    server { listen 127.0.0.1:8082; proxy_bind 192.0.2.1; proxy_pass two; }
    server { listen 127.0.0.1:8083 udp; proxy_bind 127.0.0.2 TRANSPARENT; proxy_pass 127.0.0.1:9155; proxy_responses 1; }
    server { listen 127.0.0.1:9153; listen 127.0.0.1:9154; listen 127.0.0.1:9155 udp; return "$remote_addr\n"; }
}
"#;

fn testbed(program: Program, word: &str) -> io::Result<TestBed> {
    let testbed = TestBed::new(program)?;
    testbed.write(&CONF.replace("TRANSPARENT", word))?;
    testbed.command(&[])?;
    testbed.wait_for_listener()?;
    Ok(testbed)
}

fn get(testbed: &TestBed, target: &str) -> io::Result<(u16, String)> {
    let answer = testbed.get(8080, target)?;
    let text = answer.text();
    Ok((answer.status, if answer.status == 200 { text } else { String::new() }))
}

/// What a session over TCP gets.
fn session(testbed: &TestBed, port: u16) -> io::Result<String> {
    let answer = testbed.host().run(move || client::raw(local(port), b"", LIMIT))??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// What a session of datagrams gets.
fn datagram(testbed: &TestBed, port: u16) -> io::Result<String> {
    let socket = testbed.host().run(move || UdpSocket::bind(local(0)))??;
    socket.connect(local(port))?;
    socket.send(b"x")?;
    let answers = receive(&socket, 1, LIMIT)?;
    Ok(String::from_utf8_lossy(&answers.concat()).into_owned())
}

/// The lines of a log that tell of servers, without what changes.
fn lines(testbed: &TestBed, file: &str) -> io::Result<Vec<String>> {
    let log = testbed.file(file)?;
    let tells = |line: &&str| line.contains("bind(") || line.contains("local address") || line.contains("setsockopt");
    let text =
        |line: &str| Some(format!("{}{}", line.split(' ').nth(2)?, line.split_once(": *")?.1.split_once(' ')?.1));
    let of = |line: &str| text(line).map(|text| text.split(", client").next().unwrap_or_default().to_owned());
    Ok(log.lines().filter(tells).filter_map(of).collect())
}

/// What the worker may do.
fn capabilities(testbed: &TestBed) -> io::Result<Vec<String>> {
    let worker = testbed.workers(testbed.master()?)?.pop().ok_or_else(|| io::Error::other("no worker"))?;
    let status = std::fs::read_to_string(format!("/proc/{worker}/status"))?;
    let sets =
        status.lines().filter(|line| ["CapInh", "CapPrm", "CapEff", "Uid"].iter().any(|set| line.starts_with(set)));
    Ok(sets.map(str::to_owned).collect())
}

#[test]
fn an_address_that_is_not_this_machines_ends_requests_and_sessions() {
    let [original, ours] = both(|program| {
        let testbed = testbed(program, "")?;
        let mut seen = Vec::new();
        for target in ["/", "/named?from=127.0.0.3", "/named?from=x", "/named", "/foreign", "/off", "/page", "/"] {
            seen.push(format!("{target} {:?}", get(&testbed, target)?));
        }
        for port in [8081, 8082] {
            seen.push(format!("{port} {:?}", session(&testbed, port)?));
        }
        seen.push(format!("{:?}", datagram(&testbed, 8083)?));
        wait_for("the lines of sessions", LIMIT, || {
            let log = testbed.file("logs/sessions.log").ok()?;
            (log.lines().filter(|line| line.starts_with("808")).count() >= 3).then_some(())
        })?;
        let sessions = testbed.file("logs/sessions.log")?;
        seen.extend(sessions.lines().filter(|line| line.starts_with("808")).map(str::to_owned));
        seen.extend(lines(&testbed, "logs/http.log")?);
        seen.extend(lines(&testbed, "logs/stream.log")?);
        seen.extend(capabilities(&testbed)?);
        Ok(seen)
    });
    alike("answers", &original, &ours);
    assert!(ours.iter().any(|line| line.contains("bind(192.0.2.1) failed (99")), "{ours:#?}");
    assert!(ours.iter().any(|line| line.starts_with("/foreign (500")), "{ours:#?}");
}

#[test]
fn transparent_connections_need_one_capability_alone() {
    let [original, ours] = both(|program| {
        let testbed = testbed(program, "transparent")?;
        let mut seen = Vec::new();
        for target in ["/", "/named?from=127.0.0.3", "/named?from=127.0.0.3:4444", "/off"] {
            seen.push(format!("{target} {:?}", get(&testbed, target)?));
        }
        seen.push(session(&testbed, 8081)?);
        seen.push(datagram(&testbed, 8083)?);
        seen.extend(capabilities(&testbed)?);
        Ok(seen)
    });
    alike("answers", &original, &ours);
    assert!(ours.iter().any(|line| line == "CapEff:\t0000000000002000"), "{ours:#?}");
    assert!(ours.iter().any(|line| line.starts_with("/ (200, \"127.0.0.2")), "{ours:#?}");
}

#[test]
fn a_reload_to_transparent_connections_gets_a_worker_that_may_make_them() {
    let testbed = testbed(Program::Ours, "").expect("a testbed");
    let [before, ..] = &*testbed.workers(testbed.master().expect("a master")).expect("workers") else {
        panic!("a worker")
    };
    testbed.write(&CONF.replace("TRANSPARENT", "transparent")).expect("a file");
    testbed.signal(Signal::SIGHUP).expect("a reload");
    testbed.wait_for_end(*before).expect("another worker");
    testbed.wait_for_text(8080, "/", "127.0.0.2").expect("an answer");
    let sets = capabilities(&testbed).expect("capabilities");
    assert!(sets.iter().any(|line| line == "CapEff:\t0000000000002000"), "{sets:#?}");
}

#[test]
fn buffers_of_connections_to_servers_have_the_sizes_that_are_set() {
    const SIZED: &str = "worker_processes 1;
events { }
http {
    access_log off;
    server {
        listen 127.0.0.1:8080;
        proxy_socket_rcvbuf 20k;
        proxy_socket_sndbuf 30k;
        location / { proxy_pass http://127.0.0.1:9161; }
        location /fast { fastcgi_socket_rcvbuf 20k; fastcgi_socket_sndbuf 30k; fastcgi_pass 127.0.0.1:9162; }
        location /grpc { grpc_socket_rcvbuf 20k; grpc_socket_sndbuf 30k; grpc_pass 127.0.0.1:9163; }
        location /usual { proxy_socket_rcvbuf 0; proxy_socket_sndbuf 0; proxy_pass http://127.0.0.1:9165; }
    }
}
stream {
    server { listen 127.0.0.1:8081; proxy_socket_rcvbuf 20k; proxy_socket_sndbuf 30k; proxy_pass 127.0.0.1:9164; }
}
";
    let testbed = TestBed::new(Program::Ours).expect("a host");
    testbed.write(SIZED).expect("a configuration");
    // They take connections and say nothing.
    let listen = |port| testbed.host().run(move || TcpListener::bind(local(port))).expect("a host").expect("a port");
    let _servers: Vec<TcpListener> = (9161..=9165).map(listen).collect();
    testbed.command(&[]).expect("a start");
    testbed.wait_for_listener().expect("a listener");
    let ask = |port, target: &'static str| {
        let asked = testbed.host().run(move || -> io::Result<TcpStream> {
            let mut stream = client::connect(local(port), LIMIT)?;
            stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())?;
            Ok(stream)
        });
        asked.expect("a host").expect("a connection")
    };
    let _asked = [ask(8080, "/"), ask(8080, "/fast"), ask(8080, "/grpc"), ask(8081, "/"), ask(8080, "/usual")];
    // The kernel shows twice what was asked for (socket(7)).
    let shown = |port: u16| {
        wait_for(&format!("a connection to {port}"), LIMIT, || {
            let mut command = Command::new("ss");
            command.args(["-tmnH", "dport", "=", &format!(":{port}")]);
            let running = testbed.host().start(command).ok()?;
            running.success(LIMIT).ok()?;
            let text = running.output();
            text.contains("skmem:").then_some(text)
        })
    };
    for port in 9161..=9164 {
        let text = shown(port).expect("a connection");
        assert!(text.contains(",rb40960,") && text.contains(",tb61440,"), "{port}: {text}");
    }
    let usual = shown(9165).expect("a connection");
    assert!(!usual.contains(",rb40960,") && !usual.contains(",tb61440,"), "{usual}");
}
