use super::*;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::lex;
use crate::conf::module::Scope;
use crate::conf::registry::Registry;
use crate::conf::source::{Memory, Sources};
use crate::conf::walk::{Bases, Dialect, Levels, Walk, Wording};
use crate::log::Log;
use crate::net::address::Address;
use crate::net::event_loop::{EventLoop, Unwritten, spawn};
use crate::net::transport::Transport;
use crate::session::build::{Build, Resolve};
use crate::session::contexts::{MAIN, STREAM};
use crate::session::shared::Shared;
use crate::session::{access, limit_conn, map};
use crate::zone::registry::Registry as Zones;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

struct Words;

impl Wording for Words {
    fn unknown(&self, name: &str) -> String {
        format!("unknown {name}")
    }
    fn not_allowed(&self, name: &str) -> String {
        format!("not allowed {name}")
    }
    fn unterminated(&self, name: &str) -> String {
        name.to_owned()
    }
    fn no_block(&self, name: &str) -> String {
        name.to_owned()
    }
    fn arity(&self, name: &str) -> String {
        format!("arity {name}")
    }
    fn unserved(&self, what: &str) -> String {
        what.to_owned()
    }
}

struct Nobody;

impl Resolve for Nobody {
    fn resolve(&self, host: &str) -> Vec<IpAddr> {
        if host == "localhost" { vec![Ipv4Addr::LOCALHOST.into()] } else { Vec::new() }
    }
}

/// The site of a configuration, or the complaint as the error log shows it.
/// The zones of the process belong to no protocol.
const ZONES: crate::conf::module::Module =
    crate::conf::module::Module { name: "zones", directives: &[], scopes: &[Scope::of::<Shared>(MAIN)] };

fn compile(text: &str) -> Result<Site, String> {
    let mut all = [access::MODULES, map::MODULES, limit_conn::MODULES].concat();
    all.extend_from_slice(crate::upstream::directives::HTTP_MODULES);
    all.push(ZONES);
    all.extend(modules::all().iter().map(|module| module.conf));
    let registry = Registry::new(&all);
    let loader = Memory::of("/c", text);
    let mut sources = Sources::default();
    let dialect = Dialect { lex: lex::nginx::file, stop: true, every: false, wording: &Words };
    let mut walk = Walk::new(&registry, dialect, (&loader, &mut sources), Bases::default(), MAIN);
    let fatal = walk.file("/c").err();
    let walked = walk.finish(fatal);
    let zones = Zones::default();
    let mut build = Build {
        prefix: "/".to_owned(),
        folder: "/",
        files: &loader,
        temp: None,
        access_log_path: "/dev/null",
        resolver: &Nobody,
        logs: Default::default(),
        folders: Vec::new(),
        every: false,
        complaints: Vec::new(),
        unserved: Vec::new(),
        late: Vec::new(),
        zones: &zones,
        declared: Default::default(),
        noted: Default::default(),
        used: Default::default(),
        named_at: Default::default(),
        transparent: false,
    };
    let outcome = match walked.fatal {
        Some(complaint) => Err(complaint),
        None => {
            let main = Levels::of(&walked.level);
            let level = walked.level.children.iter().find(|level| level.context == STREAM).expect("stream {}");
            let built = site(&main.inside(level), &mut build, &Log::default());
            let zones = walked.level.own::<Shared>().map_or(Ok(()), Shared::finish).map_err(Diagnostic::emerg);
            built.and_then(|site| zones.map(|()| site))
        }
    };
    outcome.map_err(|complaint| crate::conf::print::nginx(&complaint, &sources))
}

#[test]
fn complaints_are_nginxs() {
    for (inside, complaint) in [
        ("server { listen 1; listen 1; return x; }", "duplicate \"0.0.0.0:1\" address and port pair in /c:1"),
        (
            "server { listen 1; return x; }\nserver { listen *:1; return x; }",
            "duplicate \"0.0.0.0:1\" address and port pair in /c:2",
        ),
        ("server {\n listen 1; }", "no handler for server in /c:1"),
        ("server { return x; }", "no \"listen\" is defined for server in /c:1"),
        ("server { listen 1; proxy_pass nohost; }", "no port in upstream \"nohost\" in /c:1"),
        ("server { listen 1; proxy_pass 1.1.1.1; }", "no port in upstream \"1.1.1.1\" in /c:1"),
        ("server { listen 1; proxy_pass nohost.invalid:1; }", "host not found in upstream \"nohost.invalid\" in /c:1"),
        (
            "server { listen 1; proxy_pass u:1; } upstream u { server 127.0.0.1:1; }",
            "upstream \"u\" may not have port 1 in /c:1",
        ),
        ("server { listen 1; proxy_pass 127.0.0.1:1; proxy_bind foo; }", "invalid address \"foo\" in /c:1"),
        ("server { listen 1 deferred; return x; }", "the invalid \"deferred\" parameter in /c:1"),
        ("server { listen 1 backlog=0; return x; }", "invalid backlog \"backlog=0\" in /c:1"),
        ("server { listen 1; return x; return y; }", "\"return\" directive is duplicate in /c:1"),
        ("server { listen 1; set $pid a; return x; }", "the duplicate \"pid\" variable in /c:1"),
        ("server { listen 1; set b a; return x; }", "invalid variable name \"b\" in /c:1"),
        ("server { listen 1; access_log a.log; return x; }", "log format is not specified in /c:1"),
        ("server { listen 1; return $nope; }", "unknown \"nope\" variable"),
        (
            "server { listen unix:; return x; }",
            "no path in the unix domain socket in \"unix:\" of the \"listen\" directive in /c:1",
        ),
        (
            "server { listen 1; set_real_ip_from nohost.invalid; return x; }",
            "host not found in set_real_ip_from \"nohost.invalid\" in /c:1",
        ),
        (
            "server { listen 1; proxy_upload_rate x; return x; }",
            "\"proxy_upload_rate\" directive invalid value in /c:1",
        ),
        (
            "server { listen 1; proxy_pass 127.0.0.1:2; proxy_pass 127.0.0.1:2; }",
            "\"proxy_pass\" directive is duplicate in /c:1",
        ),
        ("server { listen 1; limit_conn z 1; return x; }", "zero size shared memory zone \"z\""),
    ] {
        assert_eq!(compile(&format!("stream {{ {inside} }}")).err().as_deref(), Some(complaint), "{inside}");
    }
    assert_eq!(compile("stream { } stream { }").err().as_deref(), Some("\"stream\" directive is duplicate in /c:1"));
    assert!(compile("stream { server { listen 1; return x; } server { listen 127.0.0.1:1; return y; } }").is_ok());
}

#[test]
fn a_wildcard_socket_serves_specific_addresses_too() {
    let text = "stream { server { listen 1; return any; } server { listen 127.0.0.9:1; return one; }
        server { listen 127.0.0.8:1 bind; return own; } server { listen [::]:1; return six; } }";
    let site = compile(text).expect("a site");
    let shown: Vec<_> = site.ports.iter().map(|port| (port.address.to_string(), port.virtuals.len())).collect();
    assert_eq!(shown, [("0.0.0.0:1".to_owned(), 2), ("127.0.0.8:1".to_owned(), 1), ("[::]:1".to_owned(), 1)]);
    let at = |text: &str| Some(SocketAddr::new(text.parse().expect("an address"), 1));
    let port = &site.ports[0];
    let of = |local| port.of(local).map(|entry| entry.address.to_string());
    assert_eq!(of(at("127.0.0.9")).as_deref(), Some("127.0.0.9:1"));
    assert_eq!(of(at("127.0.0.1")).as_deref(), Some("0.0.0.0:1"));
}

#[derive(Default)]
struct Counts {
    open: AtomicU64,
    all: AtomicU64,
}

impl Ledger for Counts {
    fn opened(&self) -> u64 {
        self.open.fetch_add(1, Ordering::SeqCst);
        self.all.fetch_add(1, Ordering::SeqCst) + 1
    }
    fn numbered(&self) {}
    fn closed(&self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Serves `connections` connections of the first server of a configuration; the address and the thread.
fn serving(text: &str, connections: usize) -> (SocketAddr, std::thread::JoinHandle<u64>) {
    let text = text.to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let run = move || {
        let site = Arc::new(compile(&text).expect("a site"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let counts = Arc::new(Counts::default());
        let ledger = counts.clone();
        runtime.block_on(async move {
            let event_loop = Rc::new(EventLoop::new(0, Unwritten::default()));
            let loop_state = LoopState::new(event_loop.clone(), ledger);
            event_loop.enter();
            let mut tasks = Vec::new();
            for _ in 0..connections {
                let (stream, peer) = listener.accept().expect("a client");
                stream.set_nonblocking(true).expect("non-blocking");
                let stream = Transport::new(stream.into()).expect("a socket");
                let client = (stream, Address::Ip(peer));
                tasks.push(spawn(serve(loop_state.clone(), site.clone(), site.ports[0].clone(), client)));
            }
            for task in tasks {
                task.await.expect("a session that ends");
            }
            assert!(loop_state.is_idle());
        });
        assert_eq!(counts.open.load(Ordering::SeqCst), 0);
        counts.all.load(Ordering::SeqCst)
    };
    (address, std::thread::spawn(run))
}

fn patient(stream: &TcpStream) {
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
}

/// A server that echoes one connection in pieces of many sizes until its client ends.
fn echo() -> (SocketAddr, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let run = move || {
        let (mut stream, _) = listener.accept().expect("a client");
        patient(&stream);
        let mut buffer = vec![0; 300_000];
        let mut size = 1;
        while let Ok(count @ 1..) = stream.read(&mut buffer[..size]) {
            stream.write_all(&buffer[..count]).expect("room");
            size = size % 280_001 + 7919;
        }
    };
    (address, std::thread::spawn(run))
}

/// Sends `total` bytes through a relay to an echo and checks every byte that comes back.
fn there_and_back(extra: &str, total: usize) {
    let (backend, backend_thread) = echo();
    let text = format!("stream {{ server {{ listen 1; proxy_pass {backend}; {extra} }} }}");
    let (address, relay) = serving(&text, 1);
    let mut client = TcpStream::connect(address).expect("a relay");
    patient(&client);
    let mut sender = client.try_clone().expect("a second handle");
    let byte = |at: usize| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0];
    let writer = std::thread::spawn(move || {
        let mut at = 0;
        let mut size = 3;
        while at < total {
            let end = (at + size).min(total);
            let piece: Vec<u8> = (at..end).map(byte).collect();
            sender.write_all(&piece).expect("room");
            at = end;
            size = size * 3 % 1_000_003 + 1;
        }
    });
    let mut seen = 0;
    let mut buffer = vec![0; 70_000];
    while seen < total {
        let count = client.read(&mut buffer).expect("bytes");
        assert!(count > 0, "ended after {seen} of {total}");
        for (offset, got) in buffer[..count].iter().enumerate() {
            assert_eq!(*got, byte(seen + offset), "byte {}", seen + offset);
        }
        seen += count;
    }
    writer.join().expect("all sent");
    drop(client);
    relay.join().expect("the relay");
    backend_thread.join().expect("the backend");
}

#[test]
fn every_byte_comes_through_copied_and_spliced() {
    there_and_back("", 1);
    there_and_back("", 20_000);
    there_and_back("", 9_000_000);
}

#[test]
fn limited_rates_lose_nothing() {
    there_and_back("proxy_upload_rate 10m; proxy_download_rate 20m;", 300_000);
}

#[test]
fn half_closed_clients_get_their_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let backend = listener.local_addr().expect("its address");
    let late = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("the end");
        stream.write_all(format!("got {}", all.len()).as_bytes()).expect("room");
    });
    let (address, relay) =
        serving(&format!("stream {{ server {{ listen 1; proxy_pass {backend}; proxy_half_close on; }} }}"), 1);
    let mut client = TcpStream::connect(address).expect("a relay");
    patient(&client);
    client.write_all(&[b'x'; 500_000]).expect("room");
    client.shutdown(Shutdown::Write).expect("half closed");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert_eq!(answer, "got 500000");
    late.join().expect("the backend");
    relay.join().expect("the relay");
}

#[test]
fn dead_servers_are_passed_over_and_clients_told() {
    let (backend, echo) = echo();
    let text = format!(
        "stream {{ upstream u {{ server 127.0.0.1:9; server {backend}; }} server {{ listen 1; proxy_pass u; }} }}"
    );
    let (address, relay) = serving(&text, 1);
    let mut client = TcpStream::connect(address).expect("a relay");
    patient(&client);
    client.write_all(b"hello").expect("room");
    let mut answer = [0; 5];
    client.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"hello");
    drop(client);
    relay.join().expect("the relay");
    echo.join().expect("the backend");
    let (address, relay) = serving("stream { server { listen 1; proxy_pass 127.0.0.1:9; } }", 1);
    let mut client = TcpStream::connect(address).expect("a relay");
    patient(&client);
    assert_eq!(client.read(&mut answer).expect("an end"), 0);
    relay.join().expect("the relay");
}

#[test]
fn a_proxy_header_names_the_client() {
    let text = "stream { server { listen 127.0.0.1:1 proxy_protocol; set_real_ip_from 127.0.0.0/8;
        set $who \"$remote_addr:$remote_port via $realip_remote_addr\"; return \"$who $proxy_protocol_server_port\"; } }";
    let mut answers = Vec::new();
    for head in ["PROXY TCP4 192.0.2.7 198.51.100.1 4321 1883\r\n", "PROXY UNKNOWN\r\n"] {
        let (address, server) = serving(text, 1);
        let mut client = TcpStream::connect(address).expect("a server");
        patient(&client);
        client.write_all(head.as_bytes()).expect("room");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("an answer");
        answers.push(answer);
        assert_eq!(server.join().expect("the server"), 1);
    }
    assert_eq!(answers[0], "192.0.2.7:4321 via 127.0.0.1 1883");
    assert!(answers[1].starts_with("127.0.0.1:"), "{}", answers[1]);
}
