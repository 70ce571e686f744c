//! How a connection ends behind an answer, the installed nginx beside ours: when the client is told that nothing follows,
//! and whether what it still sends is taken or breaks the connection, and with it perhaps the answer.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use compat_tests::client;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};

/// How long an end is waited for that may not come.
const SILENCE: Duration = Duration::from_millis(1500);

const PLACES: [&str; 6] = ["/", "/400", "/404", "/streamed", "/proxied", "/small"];

const BODIES: [(&str, &str, &str); 8] = [
    ("no body", "", ""),
    ("half a body", "Content-Length: 50\r\n", "hello"),
    ("nothing of a body", "Content-Length: 50\r\n", ""),
    ("a whole body", "Content-Length: 5\r\n", "hello"),
    ("half a chunk", "Transfer-Encoding: chunked\r\n", "32\r\nhello"),
    ("a broken chunk", "Transfer-Encoding: chunked\r\n", "zz\r\nhello"),
    ("length and chunks", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    ("length, chunks, nothing of a body", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", ""),
];

fn conf(lingering: &str) -> String {
    format!(
        "worker_processes 1;
events {{ }}
http {{
    access_log off;
    lingering_close {lingering};
    lingering_timeout 60s;
    lingering_time 60s;
    server {{
        listen 127.0.0.1:8080;
        location / {{ return 200 \"text\\n\"; }}
        location /400 {{ return 400; }}
        location /404 {{ return 404; }}
        location /streamed {{ proxy_request_buffering off; proxy_http_version 1.1; proxy_pass http://127.0.0.1:9; }}
        location /proxied {{ proxy_pass http://127.0.0.1:9; }}
        location /small {{ client_max_body_size 4; proxy_pass http://127.0.0.1:9; }}
    }}
}}
"
    )
}

/// Sends a request; the answer's first line, whether an end followed, and what became of more bytes.
fn end(request: &str) -> io::Result<String> {
    let mut stream = client::connect(local(8080), LIMIT)?;
    stream.write_all(request.as_bytes())?;
    stream.set_read_timeout(Some(SILENCE))?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    let ended = loop {
        match stream.read(&mut piece) {
            Ok(0) => break "then the end",
            Ok(count) => answer.extend_from_slice(piece.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break "then a reset",
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break "then nothing",
            Err(error) => return Err(error),
        }
    };
    let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
    let more = if ended == "then the end" { taken(&mut stream) } else { "" };
    Ok(format!("{line}, {ended}{more}"))
}

/// What becomes of bytes behind the end.
fn taken(stream: &mut TcpStream) -> &'static str {
    let begin = Instant::now();
    while begin.elapsed() < SILENCE {
        if stream.write_all(b"x").is_err() {
            return ", more breaks it";
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    ", more is taken"
}

fn requests() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for place in PLACES {
        for (name, head, body) in BODIES {
            for close in ["", "Connection: close\r\n"] {
                let request = format!("POST {place} HTTP/1.1\r\nHost: x\r\n{close}{head}\r\n{body}");
                all.push((format!("{place} {name} {}", close.trim_end()), request));
            }
        }
    }
    let trace = "TRACE / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
    all.push(("TRACE with a body".to_owned(), trace.to_owned()));
    all.push(("pipelined".to_owned(), "GET /400 HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n".to_owned()));
    all
}

/// Every request, all at once.
fn ends(program: Program, lingering: &str) -> Vec<(String, String)> {
    let testbed = TestBed::new(program).expect("a host");
    testbed.write(&conf(lingering)).expect("a configuration");
    testbed.command(&[]).expect("a start");
    let asked = testbed.host().run(|| -> io::Result<Vec<(String, String)>> {
        let asking: Vec<_> =
            requests().into_iter().map(|(name, request)| (name, std::thread::spawn(move || end(&request)))).collect();
        asking.into_iter().map(|(name, end)| Ok((name, end.join().map_err(|_| ErrorKind::Other)??))).collect()
    });
    asked.expect("a host").expect("answers")
}

fn compare(lingering: &str) {
    let (theirs, ours) = (ends(Program::Original, lingering), ends(Program::Ours, lingering));
    let different: Vec<_> = theirs
        .iter()
        .zip(&ours)
        .filter(|(theirs, ours)| theirs != ours)
        .map(|((name, theirs), (_, ours))| format!("{name}: nginx \"{theirs}\", ours \"{ours}\""))
        .collect();
    assert!(different.is_empty(), "{different:#?}");
    let kinds = ["then nothing", "more is taken", "more breaks it"];
    let seen = |kind: &str| theirs.iter().any(|(_, end)| end.contains(kind));
    assert!(lingering != "on" || kinds.iter().all(|kind| seen(kind)), "{theirs:#?}");
}

#[test]
fn connections_end_as_lingering_close_on_says() {
    compare("on");
}

#[test]
fn connections_end_as_lingering_close_off_says() {
    compare("off");
}

#[test]
fn connections_end_as_lingering_close_always_says() {
    compare("always");
}
