//! Values of memcached, beside the installed nginx: a server that answers by the last part of the key.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use compat_tests::client;
use compat_tests::compare::{self, alike, both};
use compat_tests::program::Program;
use compat_tests::service::Service;
use compat_tests::testbed::{LIMIT, TestBed, local};

const CONF: &str = r#"worker_processes 1;
error_log logs/error.log info;
events { }
http {
    server_tokens off;
    types { text/html html; text/plain txt; }
    default_type application/octet-stream;
    log_format all "$request|$status|$upstream_status|$upstream_response_length|$upstream_bytes_sent|$upstream_addr";
    access_log logs/access.log all;
    upstream kept { server 127.0.0.1:9111; keepalive 1; }
    upstream two { server 127.0.0.1:9112; server 127.0.0.1:9111; }
    gunzip on;
    server {
        listen 127.0.0.1:8080;
        root html;
        set $memcached_key "$uri";
        location / { memcached_pass 127.0.0.1:9111; }
        location /kept/ { memcached_pass kept; }
        location /flags/ { memcached_pass 127.0.0.1:9111; memcached_gzip_flag 2; }
        location /else/ { memcached_pass 127.0.0.1:9111; error_page 404 502 = @else; }
        location @else { return 200 "else\n"; }
        location /next/ { memcached_pass two; memcached_next_upstream not_found invalid_response error; }
        location /last/ { memcached_pass two; memcached_next_upstream off; }
        location /small/ { memcached_pass 127.0.0.1:9111; memcached_buffer_size 16; }
        location /nobody/ { memcached_pass 127.0.0.1:9; }
        location /empty/ { set $memcached_key ""; memcached_pass 127.0.0.1:9111; }
        location /gzip/ { gzip on; gzip_min_length 1; gzip_types text/plain; memcached_pass 127.0.0.1:9111; }
        location = /slash/ { memcached_pass 127.0.0.1:9111; }
    }
}
"#;

/// "body", compressed.
const GZIP: &[u8] =
    &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b, 0xca, 0x4f, 0xa9, 0x04, 0, 0xb2, 0x0b, 0xa8, 0xdb, 4, 0, 0, 0];

/// What the server sends for a key, and whether it closes the connection then.
fn value(key: &str) -> (Vec<u8>, bool) {
    let name = key.rsplit('/').next().unwrap_or_default();
    let name = name.split('.').next().unwrap_or_default();
    let good = |flags: &str, body: &[u8]| {
        [format!("VALUE {key} {flags} {}\r\n", body.len()).as_bytes(), body, b"\r\nEND\r\n"].concat()
    };
    let text = |text: String| text.into_bytes();
    match name {
        "missing" => (text("END\r\n".to_owned()), false),
        "none" => (good("0", b""), false),
        "large" => (good("0", "0123456789".repeat(30_000).as_bytes()), false),
        "zip" => (good("2", GZIP), false),
        "both" => (good("3", b"body"), false),
        "flags" => (good("x", b"body"), false),
        "key" => (text("VALUE other 0 4\r\nbody\r\nEND\r\n".to_owned()), false),
        "longer" => (text(format!("VALUE {key}x 0 4\r\nbody\r\nEND\r\n")), false),
        "length" => (text(format!("VALUE {key} 0 four\r\nbody\r\nEND\r\n")), false),
        "line" => (text("ERROR\r\n".to_owned()), false),
        "bare" => (text("END\n".to_owned()), false),
        "trailer" => (text(format!("VALUE {key} 0 4\r\nbody\r\nSTOP\r\n")), false),
        "more" => ([good("0", b"body"), b"more".to_vec()].concat(), false),
        "short" => (text(format!("VALUE {key} 0 40\r\nbody")), true),
        "untrailed" => (text(format!("VALUE {key} 0 4\r\nbody")), true),
        "half" => (text(format!("VALUE {key} 0 4\r\nbody\r\nE")), true),
        "nothing" => (Vec::new(), true),
        "cut" => (text("VALUE ".to_owned()), true),
        _ => (good("0", b"body of a value"), false),
    }
}

const NAMES: &[&str] = &[
    "good.txt",
    "missing",
    "none",
    "large.html",
    "zip",
    "both",
    "flags",
    "key",
    "longer",
    "length",
    "line",
    "bare",
    "trailer",
    "more",
    "short",
    "untrailed",
    "half",
    "nothing",
    "cut",
    "a%20b%25",
];

/// Answers requests of a connection; `counts` tells which connection it is, and which request on it.
fn serve(stream: TcpStream, number: usize) -> io::Result<()> {
    let (mut reader, mut stream) = (BufReader::new(stream.try_clone()?), stream);
    for turn in 1.. {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let key = line.strip_prefix("get ").and_then(|line| line.strip_suffix("\r\n")).unwrap_or("not a get");
        if key.ends_with("/count") {
            let body = format!("connection {number}, request {turn}\n");
            // The trailer may come late.
            stream.write_all(format!("VALUE {key} 0 {}\r\n{body}\r\nE", body.len()).as_bytes())?;
            stream.write_all(b"ND\r\n")?;
            continue;
        }
        let (bytes, closes) = value(key);
        stream.write_all(&bytes)?;
        if closes {
            return Ok(());
        }
    }
    Ok(())
}

/// Answers everything with a line of its own.
fn always(stream: TcpStream, line: &[u8]) -> io::Result<()> {
    let (mut reader, mut stream) = (BufReader::new(stream.try_clone()?), stream);
    let mut asked = String::new();
    while reader.read_line(&mut asked)? > 0 {
        stream.write_all(line)?;
    }
    Ok(())
}

/// Answers, lines of the access log, texts of the error log.
type Outcome = (Vec<(String, String)>, Vec<String>, Vec<String>);

fn outcome(program: Program, asked: Vec<String>) -> io::Result<Outcome> {
    let testbed = TestBed::new(program)?;
    testbed.write(CONF)?;
    let mut services = Vec::new();
    let listener = testbed.host().run(|| TcpListener::bind(local(9111)))??;
    let number = AtomicUsize::new(0);
    services.push(Service::start(listener, move |stream, _| {
        drop(serve(stream, number.fetch_add(1, Ordering::Relaxed)));
    })?);
    let listener = testbed.host().run(|| TcpListener::bind(local(9112)))??;
    services.push(Service::start(listener, move |stream, _| drop(always(stream, b"END\r\n")))?);
    testbed.command(&[])?;
    testbed.wait_for_listener()?;
    let count = asked.len();
    let answers = testbed.host().run(move || {
        asked
            .into_iter()
            .map(|text| Ok((text.clone(), steady(&client::raw(local(8080), text.as_bytes(), LIMIT)?))))
            .collect::<io::Result<Vec<_>>>()
    })??;
    let lines = testbed.access_lines(count)?;
    let text = |line: &str| Some(line.split_once(": *")?.1.split_once(' ')?.1.split(", client: ").next()?.to_owned());
    let log = testbed.file("logs/error.log")?;
    let about = |line: &&str| line.contains("memcached");
    let mut errors: Vec<String> = log.lines().filter(about).filter_map(text).collect();
    // The original logs errors a second time, into its file of the command line.
    errors.dedup();
    // What was being done then depends on how much was read at once, and which of two sockets was ready first.
    for error in errors.iter_mut().filter(|error| error.starts_with("upstream prematurely closed")) {
        error.truncate("upstream prematurely closed connection".len());
    }
    errors.dedup();
    Ok((answers, lines, errors))
}

fn steady(answer: &[u8]) -> String {
    compare::steady(&answer.escape_ascii().to_string().replace("\\r\\n", "\n"))
}

fn get(method: &str, target: &str, headers: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n")
}

/// Compares both programs.
fn same(asked: &[String]) -> Outcome {
    let [original, ours] = both(|program| outcome(program, asked.to_vec()));
    alike("answer", &original.0, &ours.0);
    alike("access log", &original.1, &ours.1);
    alike("error log", &original.2, &ours.2);
    ours
}

#[test]
fn values_are_answered_as_by_nginx() {
    let mut asked = Vec::new();
    for name in NAMES {
        asked.push(get("GET", &format!("/{name}"), ""));
        asked.push(get("HEAD", &format!("/{name}"), ""));
    }
    asked.push(get("GET", "/a.txt?b", ""));
    asked.push("POST /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx".to_owned());
    asked.push("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx".to_owned());
    for target in ["/else/missing", "/else/line", "/next/a", "/last/a", "/nobody/a", "/empty/a", "/slash", "/small/a"] {
        asked.push(get("GET", target, ""));
    }
    let (answers, ..) = same(&asked);
    assert!(answers[0].1.ends_with("\n\nbody of a value"), "{}", answers[0].1);
}

#[test]
fn flags_say_what_is_compressed() {
    let mut asked = Vec::new();
    for name in ["zip", "both", "flags", "good"] {
        for headers in ["", "Accept-Encoding: gzip\r\n"] {
            asked.push(get("GET", &format!("/flags/{name}"), headers));
        }
    }
    asked.push(get("GET", "/gzip/a.txt", "Accept-Encoding: gzip\r\n"));
    let (answers, ..) = same(&asked);
    assert!(answers[1].1.contains("Content-Encoding: gzip"), "{}", answers[1].1);
}

#[test]
fn a_range_of_a_value_is_cut_as_by_nginx() {
    let ranges = ["0-3", "5-", "-4", "0-0,5-6", "99-", "400000-", "3-2", "x"];
    let mut asked = Vec::new();
    for target in ["/good.txt", "/large.html", "/missing", "/none"] {
        for range in ranges {
            asked.push(get("GET", target, &format!("Range: bytes={range}\r\n")));
        }
    }
    asked.push(get("HEAD", "/good.txt", "Range: bytes=1-2\r\n"));
    asked.push(get("GET", "/good.txt", "Range: bytes=1-2\r\nIf-Range: \"x\"\r\n"));
    let (answers, ..) = same(&asked);
    assert!(answers[0].1.contains("206 Partial Content") && answers[0].1.ends_with("\n\nbody"), "{}", answers[0].1);
}

#[test]
fn connections_to_memcached_are_kept() {
    let names = ["count", "count", "missing", "count", "trailer", "count", "more", "count"];
    let asked: Vec<String> = names.iter().map(|name| get("GET", &format!("/kept/{name}"), "")).collect();
    let (answers, ..) = same(&asked);
    assert!(answers[3].1.ends_with("connection 0, request 4\\n"), "{}", answers[3].1);
    assert!(answers[5].1.ends_with("connection 1, request 1\\n"), "{}", answers[5].1);
}
