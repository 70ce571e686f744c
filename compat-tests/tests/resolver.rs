//! Names that are looked up while serving, beside the installed nginx: a name server that answers, lies and is silent.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use compat_tests::compare::{self, alike, both};
use compat_tests::program::Program;
use compat_tests::service::Service;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{client, wait_for};

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;

/// What was asked, in order: transport, name and type.
type Asked = Arc<Mutex<Vec<String>>>;

/// What the name `moving.ex` has now: its addresses, or a code; nothing where nobody answers.
type Moving = Arc<Mutex<Option<Result<Vec<[u8; 4]>, u16>>>>;

/// A name server at one port, over UDP and TCP.
pub struct NameServer {
    asked: Asked,
    moving: Moving,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    _tcp: Service,
}

impl NameServer {
    /// Starts one that answers by the first label of the name, or nobody at all.
    pub fn start(testbed: &TestBed, port: u16, silent: bool) -> io::Result<Self> {
        let socket = testbed.host().run(move || UdpSocket::bind(local(port)))??;
        let liar = testbed.host().run(|| UdpSocket::bind(local(0)))??;
        let listener = testbed.host().run(move || TcpListener::bind(local(port)))??;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let (asked, stop) = (Asked::default(), Arc::new(AtomicBool::new(false)));
        let (noted, stopped) = (Arc::clone(&asked), Arc::clone(&stop));
        let moving = Moving::default();
        let moves = Arc::clone(&moving);
        let thread = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while !stopped.load(Ordering::Acquire) {
                let Ok((count, from)) = socket.recv_from(&mut buffer) else { continue };
                let query = &buffer[..count];
                note(&noted, port, "udp", query);
                let name = name_of(query);
                let messages = match name.as_str() {
                    _ if silent => Vec::new(),
                    "moving.ex." => moved(query, &moves),
                    _ => answers(query, false),
                };
                for message in messages {
                    // A lie comes from another port.
                    let lie = name.starts_with("liar") && message.ends_with(&[127, 0, 0, 9]);
                    let _ = if lie { &liar } else { &socket }.send_to(&message, from);
                }
            }
        });
        let noted = Arc::clone(&asked);
        let tcp = Service::start(listener, move |stream, _| drop(serve_tcp(stream, port, &noted)))?;
        Ok(Self { asked, moving, stop, thread: Some(thread), _tcp: tcp })
    }

    /// Changes what `moving.ex` has.
    fn moves(&self, to: Option<Result<&[u8], u16>>) {
        let to = to.map(|to| to.map(|last| last.iter().map(|byte| [127, 0, 0, *byte]).collect()));
        *self.moving.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn moved(query: &[u8], moving: &Moving) -> Vec<Vec<u8>> {
    match &*moving.lock().unwrap_or_else(PoisonError::into_inner) {
        None => Vec::new(),
        Some(Err(code)) => vec![reply(query, *code, &[])],
        Some(Ok(all)) => {
            let records: Vec<(u16, u32, &[u8])> = all.iter().map(|address| (A, 1, address.as_slice())).collect();
            vec![reply(query, 0, &records)]
        }
    }
}

fn serve_tcp(mut stream: TcpStream, port: u16, noted: &Asked) -> io::Result<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut query)?;
        note(noted, port, "tcp", &query);
        for message in answers(&query, true) {
            // In two parts.
            stream.write_all(&(message.len() as u16).to_be_bytes()[..1])?;
            stream.write_all(&(message.len() as u16).to_be_bytes()[1..])?;
            stream.write_all(&message)?;
        }
    }
}

fn note(asked: &Asked, port: u16, transport: &str, query: &[u8]) {
    let line = format!("{port} {transport} {} {} {:?}", name_of(query), kind_of(query), &query[2..12]);
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(line);
}

fn name_of(query: &[u8]) -> String {
    let (mut name, mut at) = (String::new(), 12);
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        name.push_str(&String::from_utf8_lossy(&query[at + 1..end]));
        name.push('.');
        at = end;
    }
    name
}

fn kind_of(query: &[u8]) -> u16 {
    u16::from_be_bytes([query[query.len() - 4], query[query.len() - 3]])
}

/// A response to a query: flags besides those of every response, and records.
fn reply(query: &[u8], flags: u16, records: &[(u16, u32, &[u8])]) -> Vec<u8> {
    let mut message = query.to_vec();
    message[2..4].copy_from_slice(&(0x8180 | flags).to_be_bytes());
    message[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
    for (kind, ttl, data) in records {
        message.extend_from_slice(&[0xc0, 12]);
        message.extend_from_slice(&kind.to_be_bytes());
        message.extend_from_slice(&[0, 1]);
        message.extend_from_slice(&ttl.to_be_bytes());
        message.extend_from_slice(&(data.len() as u16).to_be_bytes());
        message.extend_from_slice(data);
    }
    message
}

/// What is sent back, by the first label of the name.
fn answers(query: &[u8], tcp: bool) -> Vec<Vec<u8>> {
    const HOME: &[u8] = &[127, 0, 0, 1];
    const AWAY: &[u8] = &[127, 0, 0, 9];
    let (name, kind) = (name_of(query), kind_of(query));
    let one = |flags, records: &[(u16, u32, &[u8])]| vec![reply(query, flags, records)];
    let target = |label: &str| [&[label.len() as u8], label.as_bytes(), b"\x02ex\0"].concat();
    let good = || one(0, &[(A, 60, HOME)]);
    match name.split('.').next().unwrap_or_default() {
        "six" if kind == AAAA => one(0, &[(AAAA, 60, &Ipv6Addr::LOCALHOST.octets())]),
        "halffail" if kind == AAAA => one(2, &[]),
        "six" => one(0, &[]),
        _ if kind == AAAA => one(0, &[]),
        "nx" | "unknown" => one(3, &[]),
        "formerr" => one(1, &[]),
        "servfail" => one(2, &[]),
        "notimp" => one(4, &[]),
        "refused" => one(5, &[]),
        "eleven" => one(11, &[]),
        "empty" => one(0, &[]),
        "none" => Vec::new(),
        "two" => one(0, &[(A, 60, AWAY), (A, 60, HOME)]),
        "wrongid" => {
            let mut lie = reply(query, 0, &[(A, 60, AWAY)]);
            lie[1] ^= 0x55;
            [vec![lie], good()].concat()
        }
        "liar" => [one(0, &[(A, 60, AWAY)]), good()].concat(),
        "other" => {
            let mut lie = reply(query, 0, &[(A, 60, AWAY)]);
            lie[13] = b'x';
            [vec![lie], good()].concat()
        }
        "twice" => [good(), good()].concat(),
        "query" => [vec![query.to_vec()], good()].concat(),
        "short" => [vec![query[..11].to_vec()], good()].concat(),
        "trunc" if !tcp => one(0x0200, &[]),
        "truncated" => one(0x0200, &[]),
        "alias" => one(0, &[(CNAME, 60, &target("ok"))]),
        "both" => one(0, &[(CNAME, 60, &target("nowhere")), (A, 60, HOME)]),
        "away" => one(0, &[(CNAME, 60, &target("nx"))]),
        "ring" => one(0, &[(CNAME, 60, &target("gnir"))]),
        "gnir" => one(0, &[(CNAME, 60, &target("ring"))]),
        "self" => one(0, &[(CNAME, 60, &[0xc0, 12])]),
        "txt" => one(0, &[(16, 60, b"\x01x")]),
        "some" => one(0, &[(16, 60, b"\x01x"), (A, 60, HOME)]),
        "length" => [one(0, &[(A, 60, &[127, 0, 0])]), good()].concat(),
        "family" => [one(0, &[(AAAA, 60, &[0; 16])]), good()].concat(),
        "outside" => [one(0, &[(CNAME, 60, b"\x3fa")]), good()].concat(),
        "zero" => one(0, &[(A, 0, HOME)]),
        _ => good(),
    }
}

const CONF: &str = r#"worker_processes 1;
error_log logs/error.log info;
events { }
http {
    server_tokens off;
    log_format all "$uri|$status|$upstream_status|$upstream_addr";
    access_log logs/access.log all;
    resolver 127.0.0.1:5353 ipv6=off;
    resolver_timeout 1s;
    upstream group.ex { server 127.0.0.1:9111; }
    server {
        listen 127.0.0.1:8080;
        location /proxy/ { proxy_pass http://$arg_h:9111; }
        location /port/ { proxy_pass http://$arg_h; proxy_connect_timeout 1s; }
        location /fastcgi/ { fastcgi_pass $arg_h:9112; }
        location /uwsgi/ { uwsgi_pass $arg_h:9113; }
        location /scgi/ { scgi_pass $arg_h:9113; }
        location /portless/ { fastcgi_pass $arg_h; }
        location /six/ { resolver 127.0.0.1:5353; proxy_pass http://$arg_h:9114; }
        location /dead/ { resolver 127.0.0.1:5399 ipv6=off; proxy_pass http://$arg_h:9111; }
        location /late/ { resolver 127.0.0.1:5354 127.0.0.1:5353 ipv6=off; resolver_timeout 30s; proxy_pass http://$arg_h:9111; }
        location /page/ { error_page 502 = /failed; proxy_pass http://$arg_h:9111; }
        location = /failed { return 200 "failed\n"; }
        location /valid/ { resolver 127.0.0.1:5353 ipv6=off valid=600s; proxy_pass http://$arg_h:9111; }
    }
    server { listen 127.0.0.1:8081; resolver_timeout 1s; location / { proxy_pass http://$arg_h:9111; } }
}
stream {
    map $server_port $to {
        8091 ok.ex:9111;
        8092 nx.ex:9111;
        8093 none.ex:9111;
        8094 ok.ex;
        8095 127.0.0.1:9111;
        8096 two.ex:9111;
    }
    resolver 127.0.0.1:5353 ipv6=off;
    resolver_timeout 1s;
    server { listen 127.0.0.1:8091; listen 127.0.0.1:8092; listen 127.0.0.1:8093; listen 127.0.0.1:8094; proxy_pass $to; }
    server { listen 127.0.0.1:8095; listen 127.0.0.1:8096; proxy_pass $to; }
}
"#;

/// Answers what a gateway understands, by port.
fn backend(mut stream: TcpStream, port: u16) -> io::Result<()> {
    let mut buffer = [0; 8192];
    if stream.read(&mut buffer)? == 0 {
        return Ok(());
    }
    let cgi = b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nbackend\n";
    let answer = match port {
        9112 => {
            let end = b"\x01\x03\x00\x01\x00\x08\x00\x00\0\0\0\0\0\0\0\0";
            [&[1, 6, 0, 1, 0, cgi.len() as u8, 0, 0], cgi.as_slice(), end].concat()
        }
        _ => b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nbackend\n".to_vec(),
    };
    stream.write_all(&answer)
}

/// A running server, its name servers and backends.
struct Lab {
    testbed: TestBed,
    names: Vec<NameServer>,
    _backends: Vec<Service>,
}

/// Answers, access log, lines about names in the error log, what the name servers saw.
type Outcome = (Vec<(String, String)>, Vec<String>, Vec<String>, Vec<String>);

impl Lab {
    fn start(program: Program, conf: &str) -> io::Result<Self> {
        let testbed = TestBed::new(program)?;
        testbed.write(conf)?;
        let mut backends = Vec::new();
        for port in [9111, 9112, 9113] {
            let listener = testbed.host().run(move || TcpListener::bind(local(port)))??;
            backends.push(Service::start(listener, move |stream, _| drop(backend(stream, port)))?);
        }
        let names = vec![NameServer::start(&testbed, 5353, false)?, NameServer::start(&testbed, 5354, true)?];
        testbed.command(&[])?;
        let connects = move || client::connect(local(8080), LIMIT).is_ok();
        wait_for("the server to listen", LIMIT, || testbed.host().run(connects).ok()?.then_some(()))?;
        Ok(Self { testbed, names, _backends: backends })
    }

    /// Sends requests one after the other, each to a port with a target.
    fn outcome(&self, asked: Vec<(u16, String)>) -> io::Result<Outcome> {
        let lines = asked.iter().filter(|(port, _)| *port < 8090).count();
        let answers = self.testbed.host().run(move || {
            let ask = |(port, target): (u16, String)| {
                let text = format!("GET {target} HTTP/1.0\r\nHost: x\r\n\r\n");
                let answer = client::raw(local(port), text.as_bytes(), LIMIT).unwrap_or_default();
                Ok((format!("{port} {target}"), steady(&answer)))
            };
            asked.into_iter().map(ask).collect::<io::Result<Vec<_>>>()
        })??;
        let log: Vec<String> = wait_for("a line for each request", LIMIT, || {
            let log = self.testbed.file("logs/access.log").ok()?;
            (log.lines().count() >= lines).then(|| log.lines().map(str::to_owned).collect())
        })?;
        let errors = errors(&self.testbed.file("logs/error.log")?);
        Ok((answers, log, errors, self.names.iter().flat_map(NameServer::asked).collect()))
    }
}

fn steady(answer: &[u8]) -> String {
    compare::steady(&String::from_utf8_lossy(answer).replace('\r', ""))
}

/// What an error log says about names, without what differs from run to run.
fn errors(log: &str) -> Vec<String> {
    let about = |line: &&str| ["resolv", "DNS", "upstream", "prematurely"].iter().any(|word| line.contains(word));
    let text = |line: &str| {
        let (head, text) = line.split_once(": ")?;
        let level = head.split('[').nth(1)?.split(']').next()?.to_owned();
        let text = text.strip_prefix('*').and_then(|text| text.split_once(' ')).map_or(text, |(_, text)| text);
        // Ids of queries are random.
        let ids = ["wrong ident", "query id", "invalid UDP"].iter().any(|what| text.contains(what));
        let mut words = text.split(' ').collect::<Vec<_>>();
        if ids {
            words
                .iter_mut()
                .filter(|word| word.trim_end_matches(',').parse::<u16>().is_ok())
                .for_each(|word| *word = "N");
            words.iter_mut().filter(|word| word.starts_with("id:")).for_each(|word| *word = "id:N");
        }
        Some(format!("{level} {}", words.join(" ")))
    };
    let mut errors: Vec<String> = log.lines().filter(about).filter_map(text).collect();
    // The original logs errors a second time, into its file of the command line.
    errors.dedup();
    errors
}

/// Compares both programs.
fn same(conf: &str, asked: &[(u16, &str)]) -> Outcome {
    let asked: Vec<(u16, String)> = asked.iter().map(|(port, target)| (*port, (*target).to_owned())).collect();
    let [original, ours] = both(|program| Lab::start(program, conf).and_then(|lab| lab.outcome(asked.clone())));
    alike("answer", &original.0, &ours.0);
    assert_eq!(original.1, ours.1, "access log");
    assert_eq!(original.2, ours.2, "error log");
    assert_eq!(original.3, ours.3, "queries");
    ours
}

#[test]
fn names_in_variables_are_looked_up_by_every_gateway() {
    let asked = [
        (8080, "/proxy/?h=ok.ex"),
        (8080, "/proxy/?h=ok.ex"),
        (8080, "/proxy/?h=OK.ex"),
        (8080, "/proxy/?h=ok.ex."),
        (8080, "/proxy/?h=127.0.0.1"),
        (8080, "/proxy/?h=two.ex"),
        (8080, "/port/?h=group.ex"),
        (8080, "/port/?h=group.ex:9111"),
        (8080, "/port/?h=ok.ex:9111/inside"),
        (8080, "/fastcgi/?h=ok.ex"),
        (8080, "/uwsgi/?h=ok.ex"),
        (8080, "/scgi/?h=ok.ex"),
        (8080, "/portless/?h=ok.ex"),
        (8080, "/portless/?h=nx.ex"),
        (8080, "/valid/?h=zero.ex"),
        (8080, "/valid/?h=zero.ex"),
        (8081, "/?h=ok.ex"),
        (8091, "x"),
        (8095, "x"),
        (8096, "x"),
    ];
    let (answers, ..) = same(CONF, &asked);
    assert!(answers[0].1.ends_with("backend"), "{answers:?}");
}

#[test]
fn names_without_addresses_are_502() {
    let mut asked: Vec<(u16, String)> = Vec::new();
    let names = ["nx", "servfail", "notimp", "refused", "empty", "away", "self", "ring", "a..b", ".ok"];
    asked.extend(names.iter().map(|name| (8080, format!("/proxy/?h={name}.ex"))));
    asked.extend(["fastcgi", "uwsgi", "scgi", "page"].map(|kind| (8080, format!("/{kind}/?h=nx.ex"))));
    asked.extend([(8080, "/six/?h=six.ex".to_owned()), (8080, "/six/?h=halffail.ex".to_owned())]);
    asked.extend([(8092, "x".to_owned()), (8094, "x".to_owned())]);
    let asked: Vec<(u16, &str)> = asked.iter().map(|(port, target)| (*port, target.as_str())).collect();
    let (answers, ..) = same(CONF, &asked);
    assert!(answers[0].1.contains("502 Bad Gateway"), "{answers:?}");
}

#[test]
fn lies_of_a_name_server_are_logged_and_not_believed() {
    let names = ["wrongid", "liar", "other", "twice", "query", "short", "length", "family", "some"];
    let names = names.iter().chain(&["alias", "both", "trunc"]);
    let targets: Vec<String> = names.map(|name| format!("/proxy/?h={name}.ex")).collect();
    let asked: Vec<(u16, &str)> = targets.iter().map(|target| (8080, target.as_str())).collect();
    let (answers, _, errors, asked) = same(CONF, &asked);
    assert!(answers.iter().all(|(_, answer)| answer.ends_with("backend")), "{answers:?}");
    assert!(errors.iter().any(|line| line.contains("wrong ident")), "{errors:?}");
    assert!(asked.iter().any(|line| line.contains("tcp trunc.ex.")), "{asked:?}");
}

#[test]
fn who_is_not_answered_is_told_so_after_resolver_timeout() {
    let asked = [
        (8080, "/proxy/?h=none.ex"),
        (8080, "/proxy/?h=formerr.ex"),
        (8080, "/proxy/?h=eleven.ex"),
        (8080, "/proxy/?h=txt.ex"),
        (8080, "/proxy/?h=outside.ex"),
        (8080, "/dead/?h=ok.ex"),
        (8080, "/late/?h=ok.ex"),
        (8093, "x"),
    ];
    let (.., errors, _) = same(CONF, &asked);
    assert!(errors.iter().any(|line| line.contains("could not be resolved (110: Operation timed out)")), "{errors:?}");
}

#[test]
fn a_client_that_leaves_ends_its_wait() {
    let outcome = |program| {
        let lab = Lab::start(program, CONF)?;
        lab.testbed.host().run(|| {
            let mut stream = client::connect(local(8080), LIMIT)?;
            stream.write_all(b"GET /late/?h=none.ex HTTP/1.0\r\n\r\n")
        })??;
        let log = wait_for("the line of the request", LIMIT, || {
            lab.testbed.file("logs/access.log").ok().filter(|log| !log.is_empty())
        })?;
        Ok::<_, io::Error>((log, errors(&lab.testbed.file("logs/error.log")?)))
    };
    let [original, ours] = [Program::Original, Program::Ours]
        .map(|program| outcome(program).unwrap_or_else(|error| panic!("{program:?}: {error}")));
    assert_eq!(original, ours);
    assert!(ours.0.contains("|499|"), "{ours:?}");
}

/// Groups whose servers have names that are looked up again and again.
const MOVING: &str = r#"worker_processes 2;
error_log logs/error.log info;
events { }
http {
    server_tokens off;
    resolver 127.0.0.1:5353 ipv6=off;
    resolver_timeout 1s;
    upstream moving { zone moving 64k; server moving.ex:9121 resolve; keepalive 4; }
    upstream both { zone both 64k; server 127.0.0.3:9121 down; server moving.ex:9121 resolve backup; }
    upstream checked { zone checked 64k; server moving.ex:9121 resolve; }
    match first { body ~ "^from 127.0.0.1$"; }
    server {
        listen 127.0.0.1:8080;
        location / { proxy_pass http://moving; proxy_http_version 1.1; proxy_set_header Connection ""; }
        location /checked/ { proxy_pass http://checked; health_check uri=/check interval=50ms match=first mandatory; }
        location /both/ { proxy_pass http://both; }
        location /name/ { set $name moving; proxy_pass http://$name; }
    }
}
stream {
    upstream moving { zone streams 64k; resolver 127.0.0.1:5353 ipv6=off; server moving.ex:9121 resolve; }
    server { listen 127.0.0.1:8091; proxy_pass moving; }
}
"#;

/// Says which address it was asked at; a slow answer ends when `gate` opens.
fn addressed(mut stream: TcpStream, gate: &AtomicBool) -> io::Result<()> {
    let mut buffer = [0; 8192];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        let at = stream.local_addr()?.ip();
        let text = format!("from {at}\n");
        stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len()).as_bytes())?;
        if buffer[..count].starts_with(b"GET /slow") {
            stream.write_all(&text.as_bytes()[..4])?;
            while !gate.load(Ordering::Acquire) {
                thread::sleep(Duration::from_millis(5));
            }
            stream.write_all(&text.as_bytes()[4..])?;
        } else {
            stream.write_all(text.as_bytes())?;
        }
    }
}

/// A server with groups that move, the name server, and who answers at 127.0.0.1 and 127.0.0.2.
struct Movers {
    testbed: TestBed,
    names: NameServer,
    gate: Arc<AtomicBool>,
    _backends: Vec<Service>,
}

impl Movers {
    fn start(first: Option<Result<&[u8], u16>>) -> io::Result<Self> {
        let testbed = TestBed::new(Program::Ours)?;
        testbed.write(MOVING)?;
        let gate = Arc::new(AtomicBool::new(false));
        let mut backends = Vec::new();
        for last in [1, 2] {
            let listener = testbed.host().run(move || TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), 9121)))??;
            let gate = Arc::clone(&gate);
            backends.push(Service::start(listener, move |stream, _| drop(addressed(stream, &gate)))?);
        }
        let names = NameServer::start(&testbed, 5353, false)?;
        names.moves(first);
        testbed.command(&[])?;
        let connects = move || client::connect(local(8080), LIMIT).is_ok();
        wait_for("the server to listen", LIMIT, || testbed.host().run(connects).ok()?.then_some(()))?;
        Ok(Self { testbed, names, gate, _backends: backends })
    }
}

#[test]
fn servers_follow_their_names_and_requests_in_progress_go_on() {
    let lab = Movers::start(Some(Ok(&[1]))).expect("a server");
    let testbed = &lab.testbed;
    for (port, target) in [(8080, "/"), (8080, "/both/"), (8080, "/name/"), (8091, "/")] {
        testbed.wait_for_text(port, target, "from 127.0.0.1").expect("an answer of the first address");
    }
    let slow = testbed.host().run(|| {
        let mut stream = client::connect(local(8080), LIMIT)?;
        stream.write_all(b"GET /slow HTTP/1.0\r\n\r\n")?;
        Ok::<_, io::Error>(stream)
    });
    let mut slow = slow.and_then(|stream| stream).expect("a connection");
    let mut answer = vec![0; 4096];
    let mut read = slow.read(&mut answer).expect("a head");
    lab.names.moves(Some(Ok(&[2])));
    for (port, target) in [(8080, "/"), (8080, "/both/"), (8080, "/name/"), (8091, "/")] {
        testbed.wait_for_text(port, target, "from 127.0.0.2").expect("an answer of the second address");
    }
    for _ in 0..20 {
        assert!(testbed.get(8080, "/").expect("an answer").text().contains("from 127.0.0.2"));
    }
    lab.gate.store(true, Ordering::Release);
    while let Ok(count @ 1..) = slow.read(&mut answer[read..]) {
        read += count;
    }
    assert!(answer[..read].ends_with(b"from 127.0.0.1\n"), "{:?}", String::from_utf8_lossy(&answer[..read]));
    lab.names.moves(Some(Ok(&[1, 2])));
    testbed.wait_for_text(8080, "/", "from 127.0.0.1").expect("an answer of both");
    testbed.wait_for_text(8080, "/", "from 127.0.0.2").expect("an answer of both");
}

#[test]
fn checks_follow_the_servers_of_a_name() {
    let lab = Movers::start(Some(Ok(&[2]))).expect("a server");
    let testbed = &lab.testbed;
    let log = || testbed.file("logs/error.log").expect("a log");
    let found = |text: &str| {
        let found = wait_for("the line", LIMIT, || log().contains(text).then_some(()));
        assert!(found.is_ok(), "{text}: {}", log());
    };
    // Each address is checked as soon as the name has it, and not before it passed.
    found(
        "peer is unhealthy while checking body, health check \"first\" of peer 127.0.0.2:9121 in upstream \"checked\"",
    );
    assert_eq!(testbed.get(8080, "/checked/").expect("an answer").status, 502);
    lab.names.moves(Some(Ok(&[2, 1])));
    testbed.wait_for_text(8080, "/checked/", "from 127.0.0.1").expect("an answer of the healthy address");
    for _ in 0..20 {
        assert!(testbed.get(8080, "/checked/").expect("an answer").text().contains("from 127.0.0.1"));
    }
    found("peer is healthy while checking body, health check \"first\" of peer 127.0.0.1:9121 in upstream \"checked\"");
    // What is known of an address stays known while others come and go.
    let unhealthy = || log().matches("peer is unhealthy").count();
    assert_eq!(unhealthy(), 1);
    lab.names.moves(Some(Ok(&[2])));
    let refused = || (testbed.get(8080, "/checked/").ok()?.status == 502).then_some(());
    wait_for("the end of the healthy address", LIMIT, refused).expect("a refusal");
    assert_eq!(unhealthy(), 1, "{}", log());
}

#[test]
fn a_name_that_is_gone_has_no_servers_and_one_that_is_not_answered_keeps_them() {
    let lab = Movers::start(Some(Ok(&[1]))).expect("a server");
    let testbed = &lab.testbed;
    testbed.wait_for_text(8080, "/", "from 127.0.0.1").expect("an answer");
    // Neither silence nor an error of the name server says that the addresses are gone.
    for (state, line) in [(Some(Err(2)), "(2: Server failure)"), (None, "(110: Operation timed out)")] {
        lab.names.moves(state);
        wait_for("the error", LIMIT, || {
            let log = testbed.file("logs/error.log").ok()?;
            log.contains(&format!("[error] {}: moving.ex could not be resolved {line}\n", ids(&log)?)).then_some(())
        })
        .expect("a line in the error log");
        assert!(testbed.get(8080, "/").expect("an answer").text().contains("from 127.0.0.1"));
    }
    // A reload keeps them as well, although nobody answers.
    testbed.command(&["-s", "reload"]).expect("a reload");
    wait_for("the reload", LIMIT, || testbed.file("logs/error.log").ok()?.contains("signal 1").then_some(()))
        .expect("a line");
    for _ in 0..50 {
        assert!(testbed.get(8080, "/").expect("an answer").text().contains("from 127.0.0.1"));
    }
    lab.names.moves(Some(Err(3)));
    wait_for("502", LIMIT, || (testbed.get(8080, "/").ok()?.status == 502).then_some(())).expect("502");
    assert!(testbed.file("logs/error.log").expect("a log").contains("no live upstreams while connecting to upstream"));
    lab.names.moves(Some(Ok(&[2])));
    wait_for("the name to be back", LIMIT * 2, || {
        testbed.get(8080, "/").ok()?.text().contains("from 127.0.0.2").then_some(())
    })
    .expect("an answer");
}

/// The process and thread of the worker that logged last.
fn ids(log: &str) -> Option<&str> {
    log.lines().rev().find(|line| line.contains("moving.ex could"))?.split("[error] ").nth(1)?.split(": ").next()
}

#[test]
fn names_at_run_time_need_a_zone_and_a_resolver() {
    let testbed = TestBed::new(Program::Ours).expect("a stand");
    for (group, complaint) in [
        ("server a.ex resolve;", "resolving names at run time requires upstream \"u\" to be in shared memory"),
        ("zone z 64k; server a.ex resolve;", "no resolver defined to resolve names at run time in upstream \"u\""),
    ] {
        testbed.write(&format!("events {{ }} http {{ upstream u {{ {group} }} }}")).expect("a file");
        let refused = testbed.command(&["-t"]).expect_err("a refusal").to_string();
        assert!(refused.contains(complaint), "{refused}");
    }
}
