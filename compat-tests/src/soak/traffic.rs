//! What clients do to a server for half an hour: ask, read slowly, send slowly, leave, talk nonsense.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::arena::pattern;
use crate::client;
use crate::idle::UPGRADE;

/// How long a client waits for anything: longer than every time limit of the configuration together.
const LIMIT: Duration = Duration::from_secs(25);

/// What one server's clients saw.
#[derive(Debug, Default)]
pub struct Seen {
    counts: Mutex<BTreeMap<String, u64>>,
    /// Set when the clients are to end.
    pub over: AtomicBool,
}

impl Seen {
    fn count(&self, what: &str) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(what.to_owned()).or_default() += 1;
    }

    /// What was seen, and how often.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }
}

/// A client: the server's port for HTTP, that for TLS, that for streams.
pub type Client = fn([SocketAddr; 3], &Seen);

/// Every client, and how many of it there are.
pub const CLIENTS: [(usize, Client); 9] = [
    (4, asking),
    (3, reading_slowly),
    (2, leaving),
    (2, sending_slowly),
    (1, talking_nonsense),
    (6, tunnelling),
    (1, over_tls),
    (2, streaming),
    (1, saying_half),
];

/// What is asked for on kept connections: the length of a right answer's body, and whether a server behind may spoil it.
const TARGETS: [(&str, usize, bool); 14] = [
    ("/ret", 6, false),
    ("/1k.bin", 1024, false),
    ("/100k.bin", 102_400, false),
    ("/gzip/1k.bin", 1024, false),
    ("/paced/1k.bin", 1024, true),
    ("/few/1k.bin", 1024, true),
    ("/auth/1k.bin", 1024, true),
    ("/dying/bytes/900", 900, true),
    ("/dying/chunks/50000", 50_000, true),
    ("/straight/bytes/300000", 300_000, true),
    ("/straight/slowly/4000", 4000, true),
    ("/sorry/bytes/10", 10, true),
    ("/cached/bytes/700", 700, true),
    ("/cached/chunks/20000", 20_000, true),
];

fn asking(ports: [SocketAddr; 3], seen: &Seen) {
    let mut number = 0;
    while seen.goes_on() {
        let Ok(stream) = client::connect(ports[0], LIMIT) else {
            seen.count("asking: no connection");
            sleep(Duration::from_millis(100));
            continue;
        };
        let mut reader = BufReader::new(stream);
        let mut first = true;
        while seen.goes_on() {
            number += 1;
            let (target, length, spoiled) = TARGETS[number % TARGETS.len()];
            let post = number % 5 == 0 && spoiled && target.starts_with("/dying");
            let (method, body) = if post { ("POST", "Content-Length: 3000\r\n") } else { ("GET", "") };
            let mut request = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{body}\r\n").into_bytes();
            if post {
                request.extend(pattern(3000));
            }
            let answer = reader.get_mut().write_all(&request).and_then(|()| client::response(&mut reader, false));
            match answer {
                Ok(answer) if answer.status == 200 && answer.body.len() == length => seen.count("asking: 200, whole"),
                Ok(answer) if answer.status == 200 && !spoiled => seen.count("asking: 200, WRONG LENGTH"),
                Ok(answer) if spoiled => {
                    let whole = if answer.status == 200 { ", of another length" } else { "" };
                    seen.count(&format!("asking: {}{whole}", answer.status));
                }
                Ok(answer) => seen.count(&format!("asking: {} for {target}", answer.status)),
                // A reload closes idle connections, at a moment when a request may be under way.
                Err(_) if !first && !spoiled => {
                    seen.count("asking: kept connection closed");
                    break;
                }
                Err(_) if spoiled => {
                    seen.count("asking: an answer was cut");
                    break;
                }
                Err(error) => {
                    seen.count(&format!("asking: FAILED {target}: {error}"));
                    break;
                }
            }
            first = false;
            sleep(Duration::from_millis(3));
        }
    }
}

fn reading_slowly(ports: [SocketAddr; 3], seen: &Seen) {
    while seen.goes_on() {
        let read = || {
            let mut stream = client::connect(ports[0], LIMIT)?;
            stream.write_all(b"GET /straight/bytes/400000 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let (mut bytes, mut buffer) = (0, [0; 8192]);
            loop {
                match stream.read(&mut buffer)? {
                    0 => return io::Result::Ok(bytes),
                    got => bytes += got,
                }
                sleep(Duration::from_millis(40));
            }
        };
        let whole = read().is_ok_and(|bytes| bytes > 400_000);
        seen.count(if whole { "reading slowly: whole" } else { "reading slowly: not whole" });
    }
}

fn leaving(ports: [SocketAddr; 3], seen: &Seen) {
    const TARGETS: [&str; 5] =
        ["/1m.bin", "/dying/bytes/900000", "/straight/slowly/4000", "/cached/chunks/30000", "/gzip/1m.bin"];
    let mut number = 0;
    while seen.goes_on() {
        number += 1;
        let leave = || {
            let mut stream = client::connect(ports[0], LIMIT)?;
            write!(stream, "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", TARGETS[number % TARGETS.len()])?;
            if number % 3 > 0 {
                let _ = stream.read(&mut [0; 2000])?;
            }
            io::Result::Ok(())
        };
        seen.count(if leave().is_ok() { "leaving: left" } else { "leaving: no answer" });
        sleep(Duration::from_millis(30));
    }
}

fn sending_slowly(ports: [SocketAddr; 3], seen: &Seen) {
    let mut number = 0;
    while seen.goes_on() {
        number += 1;
        let send = || {
            let stream = client::connect(ports[0], LIMIT)?;
            let mut reader = BufReader::new(stream);
            let target = if number % 2 == 0 { "/dying/bytes/10" } else { "/straight/bytes/10" };
            let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000\r\n\r\n");
            reader.get_mut().write_all(head.as_bytes())?;
            let body = pattern(20_000);
            for (place, piece) in body.chunks(400).enumerate() {
                // Some leave in the middle, some stop and wait.
                match (number % 4, place) {
                    (2, 20) => return Ok(0),
                    (3, 20) => break,
                    _ => reader.get_mut().write_all(piece)?,
                }
                sleep(Duration::from_millis(20));
            }
            client::response(&mut reader, false).map(|answer| answer.status)
        };
        match send() {
            Ok(0) => seen.count("sending slowly: left"),
            Ok(status) => seen.count(&format!("sending slowly: {status}")),
            Err(_) => seen.count("sending slowly: no answer"),
        }
    }
}

fn talking_nonsense(ports: [SocketAddr; 3], seen: &Seen) {
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(40_000));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(9000));
    let all: [&[u8]; 16] = [
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.0\r\n\r\n",
        b"GET /%00 HTTP/1.0\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /dying/bytes/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /straight/bytes/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense and more",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        long.as_bytes(),
        many.as_bytes(),
    ];
    for bytes in all.iter().cycle() {
        if !seen.goes_on() {
            return;
        }
        for address in [ports[0], ports[1]] {
            let answer = client::raw(address, bytes, Duration::from_secs(6));
            let status = answer.ok().and_then(|answer| {
                let text = String::from_utf8_lossy(&answer).into_owned();
                text.split(' ').nth(1).and_then(|word| word.parse::<u16>().ok())
            });
            seen.count(&format!("nonsense: {}", status.map_or("closed".to_owned(), |status| status.to_string())));
        }
    }
}

fn tunnelling(ports: [SocketAddr; 3], seen: &Seen) {
    while seen.goes_on() {
        let mut begun = false;
        let mut talk = || {
            let stream = client::connect(ports[0], LIMIT)?;
            let mut reader = BufReader::new(stream);
            let request = String::from_utf8_lossy(UPGRADE).replace("/mqtt", "/tunnel");
            reader.get_mut().write_all(request.as_bytes())?;
            if client::response(&mut reader, false)?.status != 101 {
                return Err(io::Error::other("no tunnel"));
            }
            begun = true;
            while seen.goes_on() {
                reader.get_mut().write_all(b"0123456789")?;
                client::exactly(&mut reader, 10)?;
                seen.count("tunnels: messages there and back");
                sleep(Duration::from_millis(300));
            }
            io::Result::Ok(())
        };
        if talk().is_err() {
            seen.count(if begun { "tunnels: CUT" } else { "tunnels: none" });
            sleep(Duration::from_millis(300));
        }
    }
}

fn over_tls(ports: [SocketAddr; 3], seen: &Seen) {
    let mut number = 0;
    while seen.goes_on() {
        number += 1;
        let version = ["--http2", "--http1.1"][number % 2];
        let url = |target: &str| format!("https://{}{target}", ports[1]);
        let mut command = Command::new("curl");
        command.args(["-sk", "--max-time", "25", version, "-w", "%{http_code} %{size_download}\n"]);
        for target in ["/1m.bin", "/ret", "/gzip/100k.bin", "/dying/bytes/5000", "/cached/bytes/700"] {
            command.args(["-o", "/dev/null", &url(target)]);
        }
        match command.output() {
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                for (place, line) in text.lines().enumerate() {
                    let right = ["200 1048576", "200 6", "200 102400"].get(place).is_none_or(|right| *right == line);
                    let status = line.split(' ').next().unwrap_or_default();
                    seen.count(&if right { format!("TLS: {status}") } else { format!("TLS: WRONG {line}") });
                }
            }
            Err(error) => seen.count(&format!("TLS: {error}")),
        }
        sleep(Duration::from_millis(300));
    }
}

fn streaming(ports: [SocketAddr; 3], seen: &Seen) {
    while seen.goes_on() {
        let talk = || {
            let stream = client::connect(ports[2], LIMIT)?;
            let mut reader = BufReader::new(stream);
            for _ in 0..20 {
                reader.get_mut().write_all(b"GET /bytes/2000 HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
                let answer = client::response(&mut reader, false)?;
                seen.count(if answer.body.len() == 2000 { "streams: answers" } else { "streams: cut answers" });
                sleep(Duration::from_millis(20));
            }
            io::Result::Ok(())
        };
        seen.count(if talk().is_ok() { "streams: ended" } else { "streams: broken" });
        sleep(Duration::from_millis(10));
    }
}

fn saying_half(ports: [SocketAddr; 3], seen: &Seen) {
    while seen.goes_on() {
        let mut streams: Vec<_> = (0..40)
            .filter_map(|number| {
                let mut stream = client::connect(ports[number % 2], LIMIT).ok()?;
                stream.write_all(if number % 2 == 0 { b"GET / HT" } else { b"\x16\x03\x01" }).ok()?;
                Some(stream)
            })
            .collect();
        let begin = Instant::now();
        for stream in &mut streams {
            let _ = stream.read_to_end(&mut Vec::new());
        }
        let late = begin.elapsed() > Duration::from_secs(12);
        seen.count(if late { "half requests: KEPT FOR LONG" } else { "half requests: closed" });
    }
}
