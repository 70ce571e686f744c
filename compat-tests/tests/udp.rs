//! Stream servers of datagrams: sessions, their ends and their lines, beside nginx's own.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use compat_tests::compare::{alike, both};
use compat_tests::datagrams::{Answerer, LIMIT, LONGEST, client, receive};
use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{TestBed, local};
use compat_tests::wait_for;
use nix::sys::signal::Signal;

/// Servers of every kind; `LOOPS` and `MORE` are replaced.
const CONF: &str = r#"worker_processes LOOPS;
events { worker_connections 256; }
stream {
    log_format all '$server_port $protocol $status $bytes_received $bytes_sent $upstream_addr '
                   '$upstream_bytes_sent $upstream_bytes_received $limit_conn_status';
    access_log logs/access.log all;
    error_log logs/stream.log info;
    limit_conn_zone $binary_remote_addr zone=one:1m;
    map $protocol $mapped { UDP datagrams; default others; }
    geo $remote_addr $where { 127.0.0.0/8 here; default there; }
    upstream two { server 127.0.0.1:9 max_fails=1 fail_timeout=60s; server 127.0.0.1:9101; }
    upstream hashed { hash $remote_addr consistent; server 127.0.0.1:9101; server 127.0.0.1:9102; }
    upstream least { least_conn; server 127.0.0.1:9101; }
    upstream chance { random two least_conn; server 127.0.0.1:9101; server 127.0.0.1:9101; }
    upstream down { server 127.0.0.1:9101 down; }
    proxy_timeout 1s;
    server { listen 127.0.0.1:8101 udp rcvbuf=256k sndbuf=256k; proxy_pass 127.0.0.1:9101; proxy_responses 1; }
    server { listen 127.0.0.1:8102 udp; return "$remote_addr $server_port $bytes_received $protocol $mapped $where"; }
    server { listen 127.0.0.1:8103 udp; proxy_pass 127.0.0.1:9; proxy_responses 1; }
    server { listen 127.0.0.1:8104 udp reuseport; proxy_pass 127.0.0.1:9101; }
    server { listen 127.0.0.1:8105 udp; deny all; proxy_pass 127.0.0.1:9101; }
    server { listen 127.0.0.1:8106 udp; proxy_pass 127.0.0.1:9101; proxy_requests 1; proxy_responses 1; }
    server { listen 127.0.0.1:8107 udp; proxy_pass 127.0.0.1:9101; proxy_requests 2; }
    server { listen 127.0.0.1:8108 udp; proxy_pass two; proxy_responses 1; }
    server { listen 127.0.0.1:8109 udp; proxy_pass 127.0.0.1:9101; limit_conn one 1; }
    server { listen 127.0.0.1:8110 udp; proxy_pass 127.0.0.1:9101; proxy_bind 192.0.2.1; }
    server { listen 127.0.0.1:8111-8113 udp; return $server_port; }
    server { listen [::1]:8114 udp; proxy_pass 127.0.0.1:9101; proxy_responses 1; }
    server { listen 8115 udp; return $server_addr; }
    server { listen 127.0.0.9:8115 udp; return "own $server_addr"; }
    server { listen 127.0.0.1:8116 udp; proxy_pass 127.0.0.1:9101; proxy_responses 3; }
    server { listen 127.0.0.1:8117 udp; proxy_pass hashed; proxy_responses 1; }
    server { listen 127.0.0.1:8118 udp; proxy_pass least; proxy_responses 1; }
    server { listen 127.0.0.1:8119 udp; proxy_pass chance; proxy_responses 1; }
    server { listen 127.0.0.1:8120 udp; proxy_pass down; }
    server { listen 127.0.0.1:8121 udp; set $to 127.0.0.1:9101; proxy_pass $to; proxy_responses 1; }
    server { listen 127.0.0.1:8122 udp; proxy_pass 127.0.0.1:9101; proxy_responses 0; }
    server { listen 127.0.0.1:8123 udp; return ""; }
    MORE
}
"#;

/// A host with the servers of a text, and backends on 9101 and 9102.
fn testbed(program: Program, text: &str) -> io::Result<(TestBed, Vec<Answerer>)> {
    let testbed = TestBed::new(program)?;
    let bind = |port: u16| testbed.host().run(move || UdpSocket::bind(local(port)))?;
    let backends = [9101, 9102].map(|port| Answerer::start(bind(port)?)).into_iter().collect::<io::Result<_>>()?;
    testbed.write(text)?;
    testbed.command(&[])?;
    Ok((testbed, backends))
}

fn conf(loops: usize, more: &str) -> String {
    CONF.replace("LOOPS", &loops.to_string()).replace("MORE", more)
}

/// A client on the host of a stand.
fn open(testbed: &TestBed, to: SocketAddr) -> io::Result<UdpSocket> {
    testbed.host().run(move || client(to))?
}

/// Sends a datagram and receives so many answers.
fn ask(socket: &UdpSocket, datagram: &[u8], answers: usize) -> io::Result<Vec<String>> {
    socket.send(datagram)?;
    let all = receive(socket, answers, LIMIT)?;
    Ok(all.iter().map(|answer| String::from_utf8_lossy(answer).into_owned()).collect())
}

/// Error log lines without what changes from run to run, in order of their texts.
fn steady(log: &str) -> Vec<String> {
    let about = |line: &&str| line.contains("udp") && !line.contains("signal");
    let mut lines: Vec<String> = log.lines().filter(about).map(steady_line).collect();
    lines.sort();
    lines
}

fn steady_line(line: &str) -> String {
    let level = line.split(' ').nth(2).unwrap_or_default();
    let text = line.split_once('*').and_then(|(_, rest)| rest.split_once(' ')).map_or(line, |(_, text)| text);
    let mut steady = format!("{level} ");
    for (at, piece) in text.replace("[::1]:", "[::1] 127.0.0.1:").split("127.0.0.1:").enumerate() {
        let digits = piece.find(|char: char| !char.is_ascii_digit()).unwrap_or(piece.len());
        let (port, rest) = piece.split_at(if at == 0 { 0 } else { digits });
        // Ports that the system chose.
        let port = if port.parse().is_ok_and(|port: u32| port >= 32_768) { "P" } else { port };
        steady += if at == 0 { "" } else { "127.0.0.1:" };
        steady += port;
        steady += rest;
    }
    steady
}

/// Who asks which port what, and how many answers come.
const QUESTIONS: &[(&str, &[&str], usize)] = &[
    ("127.0.0.1:8101", &["hello", "", "#1 hello again"], 1),
    ("127.0.0.1:8102", &["x", "", "xyz"], 1),
    ("127.0.0.1:8103", &["nobody"], 0),
    ("127.0.0.1:8104", &["#3 hello", "#3 who", "#3 who"], 3),
    ("127.0.0.1:8105", &["denied"], 0),
    ("127.0.0.1:8106", &["who", "who", "who"], 1),
    ("127.0.0.1:8107", &["who", "who", "who", "who", "who"], 1),
    ("127.0.0.1:8110", &["no such address"], 0),
    ("127.0.0.1:8111", &["x"], 1),
    ("127.0.0.1:8113", &["x"], 1),
    ("[::1]:8114", &["six"], 1),
    ("127.0.0.1:8115", &["x"], 1),
    ("127.0.0.7:8115", &["x"], 1),
    ("127.0.0.9:8115", &["x"], 1),
    ("127.0.0.1:8116", &["#2 too few"], 2),
    ("127.0.0.1:8117", &["who"], 1),
    ("127.0.0.1:8118", &["who"], 1),
    ("127.0.0.1:8119", &["hello"], 1),
    ("127.0.0.1:8120", &["nobody"], 0),
    ("127.0.0.1:8121", &["who"], 1),
    ("127.0.0.1:8122", &["no answer"], 0),
    ("127.0.0.1:8123", &["no text"], 0),
];

#[test]
fn sessions_and_their_lines_are_nginxs() {
    let [original, ours] = both(|program| {
        let (testbed, _backends) = testbed(program, &conf(1, ""))?;
        let mut answers = Vec::new();
        for (to, datagrams, count) in QUESTIONS {
            let to: SocketAddr = to.parse().map_err(io::Error::other)?;
            let socket = open(&testbed, to)?;
            // The system may choose a port again: sessions are told apart for one client at a time.
            let mut seen = Vec::new();
            for datagram in *datagrams {
                for answer in ask(&socket, datagram.as_bytes(), *count)? {
                    let known = seen.iter().position(|other| *other == answer);
                    let shown = if datagram.ends_with("who") { String::new() } else { answer.clone() };
                    answers.push(format!("{to} {known:?} {shown}"));
                    seen.push(answer);
                }
            }
        }
        // One session for each, of which the last keeps its place until its time is over.
        for _ in 0..2 {
            let socket = open(&testbed, local(8109))?;
            socket.send(b"hello")?;
            answers.push(format!("8109 {}", receive(&socket, 1, Duration::from_millis(500))?.len()));
        }
        // A server that refuses is out after its first session. Before nginx 1.23 the client got an empty datagram then.
        for _ in 0..3 {
            let socket = open(&testbed, local(8108))?;
            socket.send(b"hello")?;
            let all = receive(&socket, 1, Duration::from_millis(500))?;
            answers.push(format!("8108 {}", all.iter().filter(|answer| !answer.is_empty()).count()));
        }
        let mut lines = testbed.access_lines(35)?;
        lines.sort();
        Ok((answers, lines, steady(&testbed.file("logs/stream.log")?)))
    });
    alike("answer", &original.0, &ours.0);
    alike("access log line", &original.1, &ours.1);
    alike("error log line", &original.2, &ours.2);
}

#[test]
fn datagrams_are_never_cut() {
    let [original, ours] = both(|program| {
        let (testbed, _backends) = testbed(program, &conf(1, ""))?;
        let socket = open(&testbed, local(8104))?;
        let mut lengths = Vec::new();
        for length in [1, 20_000, LONGEST] {
            socket.send(&vec![b'x'; length])?;
            lengths.push(receive(&socket, 1, LIMIT)?.first().map(Vec::len));
        }
        Ok(lengths)
    });
    assert_eq!(original, [Some(1), Some(16_384), Some(16_384)]);
    assert_eq!(ours, [Some(1), Some(20_000), Some(LONGEST)]);
}

#[test]
fn a_proxy_header_is_in_the_first_datagram() {
    let more = "server { listen 127.0.0.1:8130 udp; proxy_pass 127.0.0.1:9101; proxy_protocol on; }";
    let [original, ours] = both(|program| {
        let (testbed, _backends) = testbed(program, &conf(1, more))?;
        let socket = open(&testbed, local(8130))?;
        let own = socket.local_addr()?.port().to_string();
        let answers = [ask(&socket, b"one", 1)?, ask(&socket, b"two", 1)?].concat();
        Ok(answers.iter().map(|answer| answer.replace(&own, "P")).collect::<Vec<_>>())
    });
    assert_eq!(original, ["PROXY TCP4 127.0.0.1 127.0.0.1 P 8130\r\none", "two"]);
    assert_eq!(original, ours);
}

#[test]
fn a_client_has_one_session_whatever_loops_there_are() {
    let (testbed, _backends) = testbed(Program::Ours, &conf(4, "")).expect("a server");
    for port in [8101, 8104] {
        let clients: Vec<UdpSocket> = (0..8).map(|_| open(&testbed, local(port)).expect("a client")).collect();
        let question: &[u8] = if port == 8101 { b"who" } else { b"#1 who" };
        for socket in &clients {
            let first = ask(socket, question, 1).expect("an answer");
            for _ in 0..8 {
                // A session of 8101 ends with its answer.
                let again = ask(socket, question, 1).expect("an answer");
                assert!(port == 8101 || again == first, "{again:?} {first:?}");
            }
        }
    }
}

#[test]
fn a_reload_keeps_the_sessions_of_known_clients() {
    let text = |server: &str| format!("events {{ }} stream {{ server {{ listen 127.0.0.1:8101 udp; {server} }} }}");
    let (testbed, _backends) = testbed(Program::Ours, &text("proxy_pass 127.0.0.1:9101;")).expect("a server");
    let known = open(&testbed, local(8101)).expect("a client");
    assert_eq!(ask(&known, b"who", 1).expect("an answer"), ["a"]);
    testbed.write(&text("return new;")).expect("a configuration");
    testbed.command(&["-s", "reload"]).expect("a reload");
    wait_for("the new configuration", LIMIT, || {
        let stranger = open(&testbed, local(8101)).ok()?;
        (ask(&stranger, b"who", 1).ok()? == ["new"]).then_some(())
    })
    .expect("the new answer");
    assert_eq!(ask(&known, b"who", 1).expect("an answer"), ["a"]);
    // A listener that is gone ends its sessions, and its port is free.
    testbed.write("events { } http { server { listen 127.0.0.1:8080; } }").expect("a configuration");
    testbed.command(&["-s", "reload"]).expect("a reload");
    wait_for("a free port", LIMIT, || testbed.host().run(|| UdpSocket::bind(local(8101))).ok()?.ok()).expect("a port");
}

#[test]
fn an_answer_that_is_under_way_at_quit_comes() {
    let text = "events { } stream { server { listen 127.0.0.1:8101 udp; proxy_pass 127.0.0.1:9101; } }";
    let (testbed, backends) = testbed(Program::Ours, text).expect("a server");
    let (waits, idle) =
        (open(&testbed, local(8101)).expect("a client"), open(&testbed, local(8101)).expect("a client"));
    assert_eq!(ask(&idle, b"who", 1).expect("an answer"), ["a"]);
    waits.send(b"late").expect("sent");
    wait_for("the question", LIMIT, || (backends[0].waiting() == 1).then_some(())).expect("it came");
    let master = testbed.master().expect("a master");
    testbed.signal(Signal::SIGQUIT).expect("a signal");
    // Nobody receives any more.
    wait_for("no answer", LIMIT, || {
        let socket = open(&testbed, local(8101)).ok()?;
        socket.send(b"who").ok()?;
        receive(&socket, 1, Duration::from_millis(300)).ok()?.is_empty().then_some(())
    })
    .expect("the end");
    backends[0].answer().expect("sent");
    let answers = receive(&waits, 1, LIMIT).expect("an answer");
    assert_eq!(answers, [b"late".to_vec()]);
    testbed.wait_for_end(master).expect("the end");
}

#[test]
fn a_new_binary_takes_the_sockets_over() {
    let text = "events { } stream { server { listen 127.0.0.1:8101 udp; return $pid; }
        server { listen 127.0.0.1:8104 udp reuseport; return $pid; } }";
    let (testbed, _backends) = testbed(Program::Ours, text).expect("a server");
    let old = testbed.master().expect("a master");
    let answer = |port| -> io::Result<Vec<String>> { ask(&open(&testbed, local(port))?, b"x", 1) };
    let before = [8101, 8104].map(|port| answer(port).expect("an answer"));
    testbed.signal(Signal::SIGUSR2).expect("a signal");
    let new =
        wait_for("a new master", LIMIT, || testbed.master().ok().filter(|pid| *pid != old)).expect("a new master");
    wait_for("new workers", LIMIT, || testbed.workers(new).ok().filter(|all| !all.is_empty())).expect("new workers");
    nix::sys::signal::kill(old, Signal::SIGQUIT).expect("the old master");
    testbed.wait_for_end(old).expect("the old master ends");
    let after = [8101, 8104].map(|port| answer(port).expect("an answer"));
    for (before, after) in before.iter().zip(&after) {
        assert!(before != after && after.len() == 1, "{before:?} {after:?}");
    }
}

#[test]
fn a_flood_of_clients_is_told_of_once_a_second() {
    let text =
        "events { worker_connections 32; } stream { server { listen 127.0.0.1:8101 udp; proxy_pass 127.0.0.1:9101; }
        server { listen 127.0.0.1:8102 udp; return x; } }";
    let (testbed, _backends) = testbed(Program::Ours, text).expect("a server");
    let clients: Vec<UdpSocket> = (0..400).map(|_| open(&testbed, local(8101)).expect("a client")).collect();
    for client in &clients {
        client.send(b"flood").expect("sent");
    }
    let said = || {
        let log = testbed.file("logs/error.log").ok()?;
        let count = log.matches("[alert]").filter(|_| log.contains("32 worker_connections are not enough")).count();
        (count > 0).then_some(count)
    };
    let count = wait_for("a line", LIMIT, said).expect("a line");
    assert!(count < 60, "{count}");
    let answered: usize =
        clients.iter().map(|client| receive(client, 1, Duration::from_millis(1)).map_or(0, |all| all.len())).sum();
    assert!((1..32).contains(&answered), "{answered}");
}

#[test]
fn a_client_that_does_not_read_loses_datagrams_and_keeps_its_session() {
    let text = "events { } stream { error_log logs/stream.log info;
        server { listen unix:PREFIX/logs/u.sock udp; proxy_pass 127.0.0.1:9101; } }";
    let (testbed, _backends) = testbed(Program::Ours, &text.replace("PREFIX", PREFIX)).expect("a server");
    let talk = move || -> io::Result<(usize, Vec<u8>)> {
        let own = format!("{PREFIX}/logs/client.sock");
        let socket = UnixDatagram::bind(&own)?;
        std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o777))?;
        socket.connect(format!("{PREFIX}/logs/u.sock"))?;
        let mut bytes = [0; 64];
        let mut ask = |datagram: &[u8], patience: Duration| -> io::Result<Option<Vec<u8>>> {
            if !datagram.is_empty() {
                socket.send(datagram)?;
            }
            socket.set_read_timeout(Some(patience))?;
            Ok(socket.recv(&mut bytes).ok().map(|length| bytes[..length].to_vec()))
        };
        ask(b"who", LIMIT)?;
        socket.send(b"#2000 x")?;
        std::thread::sleep(Duration::from_millis(500));
        let mut count = 0;
        while ask(b"", Duration::from_millis(200))?.is_some() {
            count += 1;
        }
        Ok((count, ask(b"who", LIMIT)?.unwrap_or_default()))
    };
    let (count, letter) = testbed.host().run(talk).expect("a host").expect("answers");
    assert!((1..2000).contains(&count), "{count}");
    assert_eq!(letter, b"a");
    let log = testbed.file("logs/stream.log").expect("a log");
    assert_eq!(
        log.matches("udp client unix:").filter(|_| log.contains("client.sock connected to")).count(),
        1,
        "{log}"
    );
}
