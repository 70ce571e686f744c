//! The live comparison: the same configuration and the same bytes to the installed nginx and to ours, each on a host of
//! its own, so that ports and paths are equal and nothing has to be excused.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::backend::{Record, Seen};
use crate::case::{Case, Config, Group, Request};
use crate::client;
use crate::mount;
use crate::net::Host;
use crate::process::{Running, listens};
use crate::program::Program;
use crate::service::Service;
use crate::wait_for;

/// Where both are installed, each on its host.
pub const PREFIX: &str = "/usr/local/nginx-1.23.4";
/// The port of the server that `== server` describes.
pub const PORT: u16 = 8080;
const HTTP_BACKENDS: [u16; 4] = [9001, 9002, 9003, 9004];
const TCP_BACKENDS: [u16; 3] = [9011, 9012, 9013];
/// How long the server may think.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a complete answer is watched for more, or for the close.
const AFTER: Duration = Duration::from_millis(80);
/// What every case logs.
const LOG: &str = r#"log_format peer '$remote_addr "$request" $status $body_bytes_sent/$bytes_sent/$request_length '
    '[$request_method|$scheme|$host|$uri|$args|$server_protocol] "$http_referer" "$http_user_agent" '
    '$connection_requests $pipe$request_completion up:$upstream_addr $upstream_status';"#;

/// A host with one of the two programs and its backends.
#[derive(Debug)]
pub struct Bench {
    program: Program,
    host: Host,
    record: Arc<Record>,
    _backends: Vec<Service>,
}

/// A started server and how far its log was read.
struct Server<'a> {
    bench: &'a Bench,
    running: Running,
    read: usize,
    read_errors: usize,
}

/// Everything a case brought to light.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// What came back, connection by connection.
    pub answers: Vec<Vec<u8>>,
    /// What the backends were sent.
    pub seen: Vec<Seen>,
    /// The lines of the access log.
    pub log: Vec<String>,
    /// The lines of the error log, where the case asks for them.
    pub errors: Vec<String>,
}

impl Bench {
    /// Sets a host up.
    pub fn new(program: Program) -> io::Result<Self> {
        let host = Host::new(program.name())?;
        let binary = std::fs::read(program.nginx()?)?;
        // Read here: a host does not see the machine's /tmp, where the repository may lie.
        let mut site = Vec::new();
        read(&crate::root().join("fixtures/nginx/peer/html"), "", &mut site)?;
        host.run(move || install(&binary, &site))??;
        let record = Arc::new(Record::default());
        let listen = |port: u16| host.run(move || TcpListener::bind((Ipv4Addr::LOCALHOST, port)))?;
        let mut backends = Vec::new();
        for port in HTTP_BACKENDS {
            backends.push(record.serve_http(listen(port)?)?);
        }
        for port in TCP_BACKENDS {
            backends.push(record.serve_tcp(listen(port)?)?);
        }
        Ok(Self { program, host, record, _backends: backends })
    }

    /// The machine.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Who runs on it.
    pub fn program(&self) -> Program {
        self.program
    }

    /// What its backends saw, and what they answer.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Runs every case of a group on one started server.
    pub fn run(&self, group: &Group) -> io::Result<Vec<Result<Outcome, String>>> {
        let mut server = Server::start(self, &group.config)?;
        let outcomes = group.cases.iter().map(|case| server.run(case).map_err(|error| error.to_string())).collect();
        server.running.signal(Signal::SIGTERM);
        server.running.wait(PATIENCE)?;
        Ok(outcomes)
    }
}

/// The files both have.
fn install(binary: &[u8], site: &[(String, Option<Vec<u8>>)]) -> io::Result<()> {
    for folder in ["/var/log/nginx", "/var/lib/nginx", &format!("{PREFIX}/logs"), &format!("{PREFIX}/conf")] {
        mount::folder(folder)?;
    }
    mount::file(&format!("{PREFIX}/sbin/nginx"), binary, 0o755)?;
    mount::folder(&format!("{PREFIX}/html"))?;
    for (name, bytes) in site {
        let target = format!("{PREFIX}/html{name}");
        match bytes {
            Some(bytes) => settled(&target, bytes, 0o644)?,
            None => mount::folder(&target)?,
        }
    }
    // Sizes that are awkward to keep in a repository.
    for (name, size) in [("100k.bin", 100 * 1024), ("1m.bin", 1024 * 1024)] {
        let bytes: Vec<u8> = (0..size).map(|place: u32| (place % 251) as u8).collect();
        settled(&format!("{PREFIX}/html/{name}"), &bytes, 0o644)?;
    }
    settled(&format!("{PREFIX}/html/forbidden.txt"), b"nobody may read this\n", 0o000)?;
    mount::folder(&format!("{PREFIX}/html/empty"))
}

/// The folders (without bytes) and files below `from`, folders first.
fn read(from: &std::path::Path, below: &str, into: &mut Vec<(String, Option<Vec<u8>>)>) -> io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let name = format!("{below}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            into.push((name.clone(), None));
            read(&entry.path(), &name, into)?;
        } else {
            into.push((name, Some(std::fs::read(entry.path())?)));
        }
    }
    Ok(())
}

/// Writes a file whose time is the same on every host, every day.
fn settled(path: &str, content: &[u8], mode: u32) -> io::Result<()> {
    mount::file(path, content, mode)?;
    let time = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    std::fs::File::options().write(true).open(path)?.set_modified(time)
}

/// The file a configuration becomes.
pub fn render(config: &Config) -> String {
    let mut text = format!("{}worker_processes 1;\nevents {{ worker_connections 512; }}\n", config.main);
    if config.server.is_some() || !config.http.is_empty() {
        let _ = write!(
            text,
            "http {{\ntypes {{ text/html html; text/plain txt; application/json json; image/gif gif; }}\n\
             default_type application/octet-stream;\n{LOG}\naccess_log logs/access.log peer;\n{}",
            config.http
        );
        if let Some(server) = &config.server {
            let _ = write!(text, "server {{\nlisten 127.0.0.1:{PORT};\nserver_name localhost;\n{server}}}\n");
        }
        text += "}\n";
    }
    if let Some(stream) = &config.stream {
        let _ = write!(text, "stream {{\n{stream}}}\n");
    }
    text
}

/// The first port of each `listen` in a text.
fn ports(text: &str) -> Vec<u16> {
    text.split("listen ")
        .skip(1)
        .filter(|rest| !rest.split(';').next().is_some_and(|words| words.contains("udp")))
        .filter_map(|rest| rest.split([';', ' ']).next()?.rsplit(':').next()?.parse().ok())
        .collect()
}

impl<'a> Server<'a> {
    fn start(bench: &'a Bench, config: &Config) -> io::Result<Self> {
        let text = render(config);
        let ports = ports(&text);
        bench.host.run(move || {
            std::fs::write(format!("{PREFIX}/conf/nginx.conf"), &text)?;
            for name in ["access.log", "error.log", "stream.log"] {
                std::fs::write(format!("{PREFIX}/logs/{name}"), "")?;
            }
            io::Result::Ok(())
        })??;
        let mut globals = "daemon off; error_log logs/error.log; pid logs/nginx.pid;".to_owned();
        if bench.program == Program::Original && config.stream.is_some() {
            globals += " load_module /usr/lib/nginx/modules/ngx_stream_module.so;";
        }
        let mut command = Command::new(format!("{PREFIX}/sbin/nginx"));
        command.args(["-p", PREFIX, "-c", "conf/nginx.conf", "-g", &globals]);
        let running = bench.host.start(command)?;
        let ready = wait_for("the server to listen", PATIENCE, || {
            if running.ended().is_some() {
                return Some(false);
            }
            ports.iter().all(|port| listens(running.pid(), *port)).then_some(true)
        });
        match ready {
            Ok(true) => Ok(Self { bench, running, read: 0, read_errors: 0 }),
            Ok(false) => Err(io::Error::other(format!("it did not start: {}", running.output()))),
            Err(error) => Err(io::Error::other(format!("{error}: {}", running.output()))),
        }
    }

    fn run(&mut self, case: &Case) -> io::Result<Outcome> {
        self.bench.record.set_reply(case.reply_from, case.reply.clone());
        let mut outcome = Outcome::default();
        let mut clients = Vec::new();
        let from = if case.from.is_empty() { vec!["127.0.0.1".to_owned()] } else { case.from.clone() };
        for address in from.iter().cycle().take(from.len() * case.times) {
            let address: IpAddr = address.parse().map_err(io::Error::other)?;
            let held = case.clone();
            let (answer, port) = self.bench.host.run(move || converse(&held, address))??;
            outcome.answers.push(tidy(answer));
            clients.push(port);
        }
        outcome.log = self.log(if case.tcp { 0 } else { case.requests.len() * outcome.answers.len() });
        let errors = self.errors();
        outcome.errors = if case.errors { errors } else { Vec::new() };
        outcome.seen = self.bench.record.take();
        for seen in &mut outcome.seen {
            seen.bytes = anonymous(&tidy(std::mem::take(&mut seen.bytes)), &clients);
        }
        for line in outcome.log.iter_mut().chain(&mut outcome.errors) {
            *line = String::from_utf8_lossy(&anonymous(line.as_bytes(), &clients)).into_owned();
        }
        for answer in &mut outcome.answers {
            *answer = anonymous(answer, &clients);
        }
        if case.sorted {
            outcome.answers.sort();
            outcome.seen.sort();
            outcome.log.sort();
        }
        Ok(outcome)
    }

    /// The lines of the error log since the last case.
    fn errors(&mut self) -> Vec<String> {
        let text = self.bench.host.run(|| std::fs::read(format!("{PREFIX}/logs/error.log")).unwrap_or_default());
        let text = text.unwrap_or_default();
        let fresh = String::from_utf8_lossy(text.get(self.read_errors..).unwrap_or_default()).into_owned();
        self.read_errors = text.len();
        fresh.lines().filter(|line| line.contains(": *")).map(plain).collect()
    }

    /// The lines logged since the last case; waits a moment for as many as there were requests.
    fn log(&mut self, expected: usize) -> Vec<String> {
        let end = Instant::now() + Duration::from_millis(if expected == 0 { 20 } else { 150 });
        loop {
            let text = self.bench.host.run(|| {
                ["access.log", "stream.log"]
                    .map(|name| std::fs::read(format!("{PREFIX}/logs/{name}")).unwrap_or_default())
                    .concat()
            });
            let text = text.unwrap_or_default();
            let fresh = String::from_utf8_lossy(text.get(self.read..).unwrap_or_default()).into_owned();
            if fresh.lines().count() >= expected && expected > 0 || Instant::now() > end {
                self.read = text.len();
                return fresh.lines().map(str::to_owned).collect();
            }
            std::thread::sleep(Duration::from_millis(3));
        }
    }
}

/// `[level] message` of a line of the error log: without the time, the process and the connection's number.
fn plain(line: &str) -> String {
    let (level, rest) = line.split_once('[').and_then(|(_, rest)| rest.split_once("] ")).unwrap_or(("", line));
    let message = rest.split_once(": *").and_then(|(_, rest)| rest.split_once(' ')).map_or(rest, |(_, rest)| rest);
    format!("[{level}] {message}")
}

/// Holds one conversation; says what came and from which port it was held.
fn converse(case: &Case, from: IpAddr) -> io::Result<(Vec<u8>, u16)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, case.port.unwrap_or(PORT)));
    let mut stream = connect(from, address)?;
    let port = stream.local_addr()?.port();
    let mut answer = Vec::new();
    let mut asked: Vec<&Request> = Vec::new();
    let mut packet = Vec::new();
    let mut closed = false;
    let mut requests = case.requests.iter().peekable();
    while let Some(request) = requests.next() {
        asked.push(request);
        packet.extend(&request.bytes);
        if requests.peek().is_some_and(|next| next.pipelined) {
            continue;
        }
        if stream.write_all(&std::mem::take(&mut packet)).is_err() {
            break;
        }
        if requests.peek().is_none() && case.half_close {
            stream.shutdown(Shutdown::Write)?;
        }
        closed = read_answers(&mut stream, &mut answer, &asked, case.tcp)?;
        if closed {
            break;
        }
    }
    if !closed {
        closed = more(&mut stream, &mut answer, AFTER)?.is_none();
    }
    answer.extend(if closed { &b"<closed>"[..] } else { b"<open>" });
    Ok((answer, port))
}

fn connect(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};
    use std::os::fd::AsRawFd;
    if from == IpAddr::V4(Ipv4Addr::LOCALHOST) {
        return TcpStream::connect_timeout(&to, PATIENCE);
    }
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::from((from, 0))))?;
    connect(socket.as_raw_fd(), &SockaddrStorage::from(to))?;
    Ok(TcpStream::from(socket))
}

/// Reads until every request has its answer; true when the server closed.
fn read_answers(stream: &mut TcpStream, answer: &mut Vec<u8>, asked: &[&Request], tcp: bool) -> io::Result<bool> {
    let end = Instant::now() + if tcp { Duration::from_millis(600) } else { PATIENCE };
    while tcp || !complete(answer, asked) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        match more(stream, answer, left)? {
            None => return Ok(true),
            Some(0) => return Ok(false),
            Some(_) => {}
        }
    }
    Ok(false)
}

/// Reads once: `None` at the end, `Some(0)` when nothing came in time.
fn more(stream: &mut TcpStream, answer: &mut Vec<u8>, limit: Duration) -> io::Result<Option<usize>> {
    stream.set_read_timeout(Some(limit.max(Duration::from_millis(1))))?;
    let mut buffer = [0; 64 * 1024];
    match stream.read(&mut buffer) {
        Ok(0) => Ok(None),
        Ok(length) => {
            answer.extend(&buffer[..length]);
            Ok(Some(length))
        }
        Err(error) if client::silence(&error) => Ok(Some(0)),
        // A reset is a close too: which of both is seen depends on what was still unread.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the bytes hold an answer to each request.
fn complete(answer: &[u8], asked: &[&Request]) -> bool {
    let mut reader = answer;
    asked.iter().all(|request| {
        loop {
            match bounded_response(&mut reader, request.is_head()) {
                Some(100..=199) => {}
                Some(_) => return true,
                None => return false,
            }
        }
    })
}

/// The status of a response that is there as a whole; `None` while it is not, or if only a close would end it.
fn bounded_response(reader: &mut &[u8], bodiless: bool) -> Option<u16> {
    let mut rest = *reader;
    let answer = client::response(&mut rest, bodiless).ok()?;
    let bounded = bodiless
        || matches!(answer.status, 100..=199 | 204 | 304)
        || answer.header("content-length").is_some()
        || answer.header("transfer-encoding").is_some();
    let whole = answer.status >= 100 && bounded;
    *reader = rest;
    whole.then_some(answer.status)
}

/// Makes equal what must differ: the moment, and the version in the reference's own name.
fn tidy(mut bytes: Vec<u8>) -> Vec<u8> {
    for name in [&b"\r\nDate: "[..], b"\r\nExpires: "] {
        let mut from = 0;
        while let Some(at) = find(&bytes[from..], name).map(|at| at + from + name.len()) {
            from = at;
            let end = at + find(&bytes[at..], b"\r\n").unwrap_or(0);
            if end == at + 29 && bytes[at..end].ends_with(b" GMT") && !bytes[at..end].ends_with(b"1970 00:00:01 GMT") {
                bytes.splice(at..end, *b"(an HTTP date of twenty-nine)");
            }
        }
    }
    while let Some(at) = find(&bytes, b"nginx/1.22.1").or_else(|| find(&bytes, b"nginx/1.23.4")) {
        bytes.splice(at..at + 12, *b"nginx/1.2x.y");
    }
    bytes
}

/// Replaces the client's ephemeral ports.
fn anonymous(bytes: &[u8], ports: &[u16]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for port in ports {
        let digits = port.to_string().into_bytes();
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        // Inside a longer number they are no port.
        let alone = |at: usize| !(digit(at + digits.len()) || at > 0 && digit(at - 1));
        let places: Vec<usize> = bytes
            .windows(digits.len())
            .enumerate()
            .filter(|(at, one)| *one == digits && alone(*at))
            .map(|(at, _)| at)
            .collect();
        for at in places.into_iter().rev() {
            bytes.splice(at..at + digits.len(), *b"(port)");
        }
    }
    bytes
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// The statuses of the responses in an answer.
pub fn statuses(case: &Case, answer: &[u8]) -> Vec<u16> {
    let mut reader = answer;
    let mut found = Vec::new();
    let mut asked = case.requests.iter().peekable();
    while let Ok(response) = client::response(&mut reader, asked.peek().is_some_and(|request| request.is_head())) {
        if response.status == 0 {
            break;
        }
        if response.status >= 200 {
            asked.next();
        }
        found.push(response.status);
    }
    found
}

/// A readable account of how two outcomes differ; `None` when they do not.
pub fn difference(original: &Outcome, ours: &Outcome) -> Option<String> {
    if original == ours {
        return None;
    }
    let mut text = String::new();
    let mut compare = |what: &str, a: &[u8], b: &[u8]| {
        if a != b {
            let _ = writeln!(text, "    {what}\n      nginx: {}\n      ours:  {}", shown(a, b), shown(b, a));
        }
    };
    let none = Vec::new();
    for place in 0..original.answers.len().max(ours.answers.len()) {
        let (a, b) = (original.answers.get(place).unwrap_or(&none), ours.answers.get(place).unwrap_or(&none));
        compare(&format!("answer {}", place + 1), a, b);
    }
    let line = |seen: Option<&Seen>| {
        seen.map_or_else(Vec::new, |seen| [format!("{}#{} ", seen.port, seen.turn).as_bytes(), &seen.bytes].concat())
    };
    for place in 0..original.seen.len().max(ours.seen.len()) {
        compare("at the backend", &line(original.seen.get(place)), &line(ours.seen.get(place)));
    }
    compare("access log", original.log.join("\n").as_bytes(), ours.log.join("\n").as_bytes());
    compare("error log", original.errors.join("\n").as_bytes(), ours.errors.join("\n").as_bytes());
    Some(text)
}

/// The part of `bytes` around the first place where it differs from `other`.
fn shown(bytes: &[u8], other: &[u8]) -> String {
    let same = bytes.iter().zip(other).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(90);
    let to = bytes.len().min(same + 220);
    let dots = |cut: bool| if cut { "..." } else { "" };
    format!("{}{}{}", dots(from > 0), bytes[from..to].escape_ascii(), dots(to < bytes.len()))
}
