//! A host with one of the programs, and backends whose answers the path of a request describes.

use std::io::{self, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use compat_tests::net::Host;
use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::service::Service;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{client, wait_for};

/// What the configurations have in common; `PATHS` and `PLACES` are a test's own.
pub const CONF: &str = r#"worker_processes 1;
error_log logs/info.log info;
events { }
http {
    server_tokens off;
    log_format all "$request|$status|$upstream_cache_status|$upstream_status|$upstream_http_x_count";
    access_log logs/access.log all;
    gzip_types text/plain;
    PATHS
    server {
        listen 127.0.0.1:8080;
        proxy_cache a;
        proxy_read_timeout 5s;
        location / { proxy_pass http://127.0.0.1:9111; }
        PLACES
    }
}
"#;

pub const PATHS: &str = "proxy_cache_path cache levels=1:2 keys_zone=a:1m use_temp_path=off;
    proxy_cache_path flat keys_zone=b:1m;";

/// A server that answers by the path, and counts its answers in `X-Count`.
#[derive(Default)]
pub struct Backend {
    count: AtomicUsize,
    /// Requests below `/held` are answered while this is open.
    held: Mutex<bool>,
    changed: Condvar,
    /// What it was sent.
    heads: Mutex<Vec<String>>,
    /// Whether it fails.
    fails: Mutex<Option<&'static str>>,
}

impl Backend {
    pub fn fail(&self, with: Option<&'static str>) {
        *self.fails.lock().expect("a lock") = with;
    }

    pub fn hold(&self, held: bool) {
        *self.held.lock().expect("a lock") = held;
        self.changed.notify_all();
    }

    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("a lock").clone()
    }

    pub fn answer(&self, mut stream: std::net::TcpStream) -> io::Result<()> {
        let head = client_head(&mut stream)?;
        self.heads.lock().expect("a lock").push(head.clone());
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let count = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        if target.starts_with("/held") {
            let held = self.held.lock().expect("a lock");
            drop(self.changed.wait_while(held, |held| *held).expect("a lock"));
        }
        if let Some(with) = *self.fails.lock().expect("a lock") {
            return stream.write_all(with.as_bytes());
        }
        let body = format!("{}\n", target.split('?').next().unwrap_or_default());
        let answer = answer(&target, &head, &body, count);
        let bodiless = head.starts_with("HEAD ");
        let end = if bodiless { answer.find("\r\n\r\n").map_or(answer.len(), |at| at + 4) } else { answer.len() };
        let answer = &answer.as_bytes()[..end];
        if target.starts_with("/half") {
            stream.write_all(&answer[..answer.len() / 2])?;
            let held = self.held.lock().expect("a lock");
            drop(self.changed.wait_while(held, |held| *held).expect("a lock"));
            return stream.write_all(&answer[answer.len() / 2..]);
        }
        stream.write_all(answer)
    }
}

/// Reads a request's head.
pub fn client_head(stream: &mut std::net::TcpStream) -> io::Result<String> {
    use std::io::Read as _;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Reads a request of a gateway's protocol: FastCGI, SCGI or uwsgi.
pub fn packet(stream: &mut std::net::TcpStream, protocol: Protocol) -> io::Result<Vec<u8>> {
    use std::io::{BufRead as _, BufReader, Read as _};
    let mut bytes = Vec::new();
    match protocol {
        Protocol::FastCgi => loop {
            let head = client::exactly(stream, 8)?;
            let length = usize::from(u16::from_be_bytes([head[4], head[5]]));
            bytes.extend(client::exactly(stream, length)?);
            client::exactly(stream, head[6].into())?;
            if head[1] == 5 && length == 0 {
                return Ok(bytes);
            }
        },
        Protocol::Scgi => {
            let mut reader = BufReader::new(stream);
            let mut digits = Vec::new();
            reader.read_until(b':', &mut digits)?;
            let digits = String::from_utf8_lossy(&digits[..digits.len() - 1]).into_owned();
            client::exactly(&mut reader, digits.parse::<usize>().map_err(io::Error::other)? + 1)
        }
        Protocol::Uwsgi => {
            let mut head = [0; 4];
            stream.read_exact(&mut head)?;
            client::exactly(stream, u16::from_le_bytes([head[1], head[2]]).into())
        }
    }
}

/// What a gateway speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    FastCgi,
    Scgi,
    Uwsgi,
}

impl Backend {
    /// Answers as a program behind a gateway; the parameter `TARGET` ends in a blank.
    pub fn program(&self, mut stream: std::net::TcpStream, protocol: Protocol) -> io::Result<()> {
        let bytes = packet(&mut stream, protocol)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let target = text.split("TARGET").nth(1).unwrap_or_default().trim_start_matches(|c: char| c != '/');
        let target = target.split(' ').next().unwrap_or_default();
        let conditions = ["HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_RANGE", "HTTP_IF_RANGE"];
        let seen: Vec<&str> = conditions.into_iter().filter(|name| text.contains(name)).collect();
        self.heads.lock().expect("a lock").push(format!("{target} {seen:?}"));
        let count = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let since = text.contains("HTTP_IF_NONE_MATCH") && text.contains("\"tag\"");
        let head = if since { "If-None-Match: \"tag\"" } else { "" };
        let answer = answer(target, head, &format!("{target}\n"), count).replacen("HTTP/1.1", "Status:", 1);
        let answer = answer.into_bytes();
        if protocol != Protocol::FastCgi {
            return stream.write_all(&answer);
        }
        let mut records = Vec::new();
        for part in answer.chunks(30_000) {
            let [high, low] = (part.len() as u16).to_be_bytes();
            records.extend([1, 6, 0, 1, high, low, 0, 0]);
            records.extend(part);
        }
        records.extend([1, 6, 0, 1, 0, 0, 0, 0, 1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        stream.write_all(&records)
    }
}

/// What is answered: the path names headers, separated by commas, with `=` between name and value.
pub fn answer(target: &str, head: &str, body: &str, count: usize) -> String {
    let mut lines = format!("X-Count: {count}\r\n");
    let (path, args) = target.split_once('?').unwrap_or((target, ""));
    let mut status = "200 OK";
    for arg in args.split('&').filter(|arg| !arg.is_empty()) {
        let (name, value) = arg.split_once('=').unwrap_or((arg, ""));
        let value = value.replace('+', " ");
        match name {
            "status" if value == "404" => status = "404 Not Found",
            "status" if value == "301" => status = "301 Moved Permanently",
            "status" if value == "500" => status = "500 Internal Server Error",
            "status" => status = "503 Busy",
            _ => lines += &format!("{name}: {value}\r\n"),
        }
    }
    if path.contains("tagged") {
        let since = head.contains("If-None-Match: \"tag\"") || head.contains("If-Modified-Since: Mon, 28 Sep 1970");
        if since {
            return format!("HTTP/1.1 304 Not Modified\r\nETag: \"tag\"\r\n{lines}\r\n");
        }
        lines += "ETag: \"tag\"\r\nLast-Modified: Mon, 28 Sep 1970 06:00:00 GMT\r\n";
    }
    let body = if path.contains("large") { "0123456789".repeat(30_000) } else { body.to_owned() };
    if path.contains("chunked") {
        let end = if path.contains("broken") { "" } else { "0\r\n\r\n" };
        return format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n{lines}\r\n{:x}\r\n{body}\r\n{end}",
            body.len()
        );
    }
    let length = if path.contains("short") { body.len() + 5 } else { body.len() };
    format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n{lines}\r\n{body}")
}

/// A host with one of the programs at work, and its backend.
pub struct Bench {
    pub testbed: TestBed,
    pub backend: Arc<Backend>,
    _services: Vec<Service>,
}

impl Bench {
    pub fn new(program: Program, paths: &str, places: &str) -> Self {
        let bench = Self::stopped(program, paths, places).expect("a host");
        bench.start();
        bench
    }

    pub fn stopped(program: Program, paths: &str, places: &str) -> io::Result<Self> {
        let testbed = TestBed::new(program)?;
        testbed.write(&CONF.replace("PATHS", paths).replace("PLACES", places))?;
        let backend = Arc::new(Backend::default());
        let listener = testbed.host().run(|| TcpListener::bind(local(9111)))??;
        let own = backend.clone();
        let mut services = vec![Service::start(listener, move |stream, _| drop(own.answer(stream)))?];
        for (port, protocol) in [(9112, Protocol::FastCgi), (9113, Protocol::Scgi), (9114, Protocol::Uwsgi)] {
            let listener = testbed.host().run(move || TcpListener::bind(local(port)))??;
            let own = backend.clone();
            services.push(Service::start(listener, move |stream, _| drop(own.program(stream, protocol)))?);
        }
        Ok(Self { testbed, backend, _services: services })
    }

    pub fn start(&self) {
        self.testbed.command(&[]).expect("it starts");
        let connects = move || client::connect(local(8080), LIMIT).is_ok();
        wait_for("the server to listen", LIMIT, || self.testbed.host().run(connects).ok()?.then_some(()))
            .expect("a listener");
    }

    /// Sends a request, and gives the answer back without what differs from second to second.
    pub fn ask(&self, text: &str) -> String {
        ask(self.testbed.host(), text)
    }

    pub fn get(&self, target: &str) -> String {
        self.ask(&get("GET", target, ""))
    }

    /// The lines of the access log, once there are so many.
    pub fn lines(&self, count: usize) -> Vec<String> {
        wait_for("lines of the log", LIMIT, || {
            let log = self.testbed.file("logs/access.log").ok()?;
            (log.lines().count() >= count).then(|| log.lines().map(str::to_owned).collect())
        })
        .expect("a log")
    }

    /// The files below a folder of the prefix, by name, without the times of their headers.
    pub fn files(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let folder = format!("{PREFIX}/{folder}");
        let mut files = self.testbed.host().run(move || below(&folder)).expect("a host").expect("files");
        files.sort();
        files
    }
}

pub fn ask(host: &Host, text: &str) -> String {
    let text = text.to_owned();
    let answer =
        host.run(move || client::raw(local(8080), text.as_bytes(), LIMIT)).expect("a host").expect("an answer");
    let mut text = answer.escape_ascii().to_string().replace("\\r\\n", "\n");
    // Boundaries are numbers that temporary files get as well.
    if let Some(boundary) = text.split("boundary=").nth(1).and_then(|rest| rest.get(..20)).map(str::to_owned) {
        text = text.replace(&boundary, "boundary");
    }
    let varies = |line: &&str| !line.starts_with("Date: ") && !line.starts_with("Server: ");
    text.lines().filter(varies).collect::<Vec<_>>().join("\n")
}

/// Name and bytes of all files below a folder.
pub fn below(folder: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(below(&path.to_string_lossy())?);
        } else {
            files.push((path.to_string_lossy().into_owned(), std::fs::read(&path)?));
        }
    }
    Ok(files)
}

/// A file without the seconds at which it was written and until when it is fresh.
pub fn timeless((name, mut bytes): (String, Vec<u8>)) -> (String, String) {
    for time in [8..16, 40..48] {
        bytes[time].fill(0);
    }
    (name, bytes.escape_ascii().to_string())
}

pub fn get(method: &str, target: &str, headers: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n")
}
