//! What a backend's odd reply, a failed condition or an unusable file becomes: the answer, its line in the access log and
//! the line in the error log, by the installed nginx and by ours.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, SystemTime};

use compat_tests::client;
use compat_tests::compare::both;
use compat_tests::mount;
use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::service::Service;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::wait_for;

const CONF: &str = r#"worker_processes 1;
events { }
http {
    log_format all "$request|$status|$upstream_status|$sent_http_content_length|$body_bytes_sent|$limit_conn_status";
    access_log logs/access.log all;
    limit_conn_zone $arg_key zone=keys:1m;
    server {
        listen 127.0.0.1:8080;
        location /reply/ { proxy_pass http://127.0.0.1:9101/; }
        location /straight/ { proxy_buffering off; proxy_pass http://127.0.0.1:9101/; }
        location /domain/ {
            proxy_cookie_domain a.com b.com;
            proxy_cookie_path /x /y;
            proxy_pass http://127.0.0.1:9101/;
        }
        location /flags/ { proxy_cookie_flags ~ httponly secure samesite=lax; proxy_pass http://127.0.0.1:9101/; }
        location /flagged/ { proxy_cookie_flags $arg_cookie $arg_a $arg_b NoSameSite; proxy_pass http://127.0.0.1:9101/; }
        location /cased/ { proxy_cookie_flags ~^[ABC]$ httponly secure; proxy_pass http://127.0.0.1:9101/; }
        location /bare/ { proxy_cookie_flags ~ nosecure nohttponly; proxy_pass http://127.0.0.1:9101/; }
        location /page/ { error_page 412 416 = /shown; root html; try_files /file.html =404; }
        location /kept/ { error_page 412 416 /shown; root html; try_files /file.html =404; }
        location /named/ { error_page 412 416 @named; root html; try_files /file.html =404; }
        location /missing/ { error_page 412 416 /nothing; root html; try_files /file.html =404; }
        location /moved/ { error_page 412 416 http://x/y; root html; try_files /file.html =404; }
        location /plain/ { root html; try_files /file.html =404; }
        location /small { client_max_body_size 1; error_page 413 @small; proxy_pass http://127.0.0.1:9101; }
        location @small { lingering_close off; proxy_pass http://127.0.0.1:9101; }
        location /shown { return 200 "shown $status\n"; }
        location @named { return 200 "named $status\n"; }
        location /limit { limit_conn keys 1; proxy_pass http://127.0.0.1:9101/plain; }
        location /url/none { set $to ""; proxy_pass http://$to; }
        location /url/other { set $to "ftp://a"; proxy_pass $to; }
        location /url/port { set $to "http://127.0.0.1:1:2/x"; proxy_pass $to; }
        location /url/host { set $to "http://:80"; proxy_pass $to; }
        location /index/file/ { alias html/; index file.html/x nothing; }
        location /index/below/ { alias html/file.html/; index a b; }
        location /index/long/ { alias html/; index $arg_name; }
    }
}
"#;

/// Bytes that the file does not have.
const RANGE: &str = "Range: bytes=100-200\r\n";

/// What the backend answers, by path.
const REPLIES: &[(&str, &str)] = &[
    ("/plain", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("/small", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nsmall"),
    ("/headless", "just text\n"),
    ("/204", "HTTP/1.1 204 No Content\r\nContent-Type: text/x\r\nContent-Length: 5\r\nX: y\r\n\r\n"),
    ("/204/body", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc"),
    ("/304/body", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\nabc"),
    ("/empty/body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nabc"),
    ("/304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nX: y\r\n\r\n"),
    (
        "/cookies",
        "HTTP/1.0 200 OK\r\n\
         Set-Cookie: a=1;  Domain=A.com ;path = /x; secure ;  HttpOnly;SameSite=Strict\r\n\
         Set-Cookie: b=2;Domain=A.com;Path=/x\r\n\
         Set-Cookie: c = 3 ; domain = a.com ; max-age=1;\r\n\
         Set-Cookie: d=4; expires=never\r\n\
         Set-Cookie: e ; Domain=a.com\r\n\
         Content-Length: 2\r\n\r\nok",
    ),
];

/// An answer whose head is as long as `proxy_buffer_size`.
fn full() -> String {
    let (line, length) = ("HTTP/1.1 200 OK\r\n", "Content-Length: 2\r\n\r\n");
    let value = "b".repeat(4096 - line.len() - "X-Big: \r\n".len() - length.len());
    format!("{line}X-Big: {value}\r\n{length}ok")
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut head = [0; 4096];
    let length = stream.read(&mut head)?;
    let text = String::from_utf8_lossy(&head[..length]).into_owned();
    let path = text.split([' ', '?']).nth(1).unwrap_or_default();
    let reply = REPLIES.iter().find(|(known, _)| *known == path).map(|(_, reply)| (*reply).to_owned());
    stream.write_all(reply.unwrap_or_else(|| if path == "/full" { full() } else { String::new() }).as_bytes())
}

/// Heads and bodies without what names the server or the time.
fn comparable(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer).into_owned();
    let kept = text.split_inclusive('\n').filter(|line| !line.starts_with("Date: ") && !line.starts_with("Server: "));
    let kept: String = kept.collect();
    kept.replace(" (Ubuntu)", "").replace("nginx/1.22.1", "nginx/1.23.4")
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("<{byte:02x}>")).collect()
}

/// The texts of an error log, without what differs from run to run.
fn texts(log: &[u8]) -> Vec<String> {
    let log: String =
        log.utf8_chunks().map(|chunk| format!("{}{}", chunk.valid(), hexadecimal(chunk.invalid()))).collect();
    let texts = log.lines().filter_map(|line| {
        let (head, rest) = line.split_once(": *")?;
        let level = head.rsplit_once('[')?.1.split(']').next()?;
        let text = rest.split_once(' ')?.1.split(", client: ").next()?;
        Some(format!("[{level}] {text}"))
    });
    texts.collect()
}

/// The answers to these, the lines of the access log and the texts of the error log.
fn outcome(program: Program, requests: &[String]) -> io::Result<(Vec<String>, Vec<String>, Vec<String>)> {
    let testbed = TestBed::new(program)?;
    let listener = testbed.host().run(|| TcpListener::bind(local(9101)))??;
    let _backend = Service::start(listener, |stream, _| drop(serve(stream)))?;
    testbed.write(CONF)?;
    testbed.host().run(|| {
        let path = format!("{PREFIX}/html/file.html");
        mount::file(&path, b"0123456789\n", 0o644)?;
        let file = std::fs::File::options().write(true).open(path)?;
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000))
    })??;
    testbed.command(&[])?;
    let sent = requests.to_vec();
    let answers = testbed.host().run(move || {
        let ask = |text: &String| client::raw(local(8080), text.as_bytes(), LIMIT).map(|answer| comparable(&answer));
        sent.iter().map(ask).collect::<io::Result<Vec<_>>>()
    })??;
    let lines = wait_for("a line for each request", LIMIT, || {
        let log = testbed.file("logs/access.log").ok()?;
        (log.lines().count() == requests.len()).then(|| log.lines().map(str::to_owned).collect())
    })?;
    let log = testbed.host().run(|| std::fs::read(format!("{PREFIX}/logs/error.log")))??;
    Ok((answers, lines, texts(&log)))
}

fn request(method: &str, path: &str, header: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n")
}

/// Compares both programs.
fn same(requests: &[String]) {
    let [original, ours] = both(|program| outcome(program, requests));
    for (at, request) in requests.iter().enumerate() {
        assert_eq!(original.0[at], ours.0[at], "{request}");
        assert_eq!(original.1[at], ours.1[at], "{request}");
    }
    assert_eq!(original.2, ours.2);
}

#[test]
fn odd_replies_are_passed_on_as_nginx_passes_them() {
    let mut requests = vec![request("GET", "/reply/headless", "")];
    const PATHS: [&str; 15] = [
        "/cased/cookies",
        "/reply/204",
        "/reply/304",
        "/reply/204/body",
        "/reply/304/body",
        "/reply/empty/body",
        "/straight/204/body",
        "/straight/304/body",
        "/straight/empty/body",
        "/domain/cookies",
        "/flags/cookies",
        "/bare/cookies",
        "/flagged/cookies?cookie=a&a=SECURE&b=httponly",
        "/flagged/cookies?cookie=B&a=nonsense&b=Secure",
        "/flagged/cookies?cookie=d&a=&b=samesite=lax",
    ];
    for path in PATHS {
        requests.extend([request("GET", path, ""), request("HEAD", path, "")]);
    }
    same(&requests);
}

#[test]
fn a_body_that_is_too_large_is_not_awaited_for_the_error_page_of_a_backend() {
    // Of the second nothing more comes.
    same(&["2", "50000000"].map(|length| request("POST", "/small", &format!("Content-Length: {length}\r\n")) + "xx"));
}

#[test]
fn failed_conditions_and_ranges_are_answered_by_their_error_page() {
    let mut requests = Vec::new();
    for place in ["page", "kept", "named", "missing", "moved", "plain"] {
        for header in [
            "If-Match: \"x\"\r\n",
            "If-Unmodified-Since: Mon, 01 Jan 1990 00:00:00 GMT\r\n",
            RANGE,
            "If-Match: *\r\nRange: bytes=1-2\r\n",
        ] {
            // Of a page that has none of the ranges either, nginx 1.22 says both lengths, 1.23 its own.
            if (place, header) == ("page", RANGE) {
                continue;
            }
            requests.extend(["GET", "HEAD"].map(|method| request(method, &format!("/{place}/"), header)));
        }
    }
    same(&requests);
}

#[test]
fn what_cannot_be_asked_or_opened_is_logged_in_nginxs_words() {
    let long = "n".repeat(300);
    let paths = ["/limit", "/limit?key=1", "/url/none", "/url/other", "/url/port", "/url/host", "/index/file/"];
    let mut requests: Vec<String> = paths.iter().map(|path| request("GET", path, "")).collect();
    requests.push(request("GET", "/index/below/", ""));
    requests.push(request("GET", &format!("/limit?key={long}"), ""));
    // A name that is no UTF-8.
    requests.push(request("GET", "/nothing%D6%D0", ""));
    requests.push(request("GET", &format!("/index/long/?name={long}"), ""));
    same(&requests);
}

#[test]
fn a_head_that_fills_its_buffer_loses_no_body() {
    let requests = [request("GET", "/reply/full", "")];
    let [theirs, ours] = both(|program| outcome(program, &requests));
    assert!(theirs.0[0].ends_with("\r\n\r\n") && theirs.2.len() == 1, "{theirs:?}");
    assert!(ours.0[0].ends_with("\r\n\r\nok") && ours.2.is_empty(), "{ours:?}");
}

#[test]
fn addresses_of_a_name_are_asked_in_the_systems_order() {
    let [theirs, ours] = both(|program| {
        let testbed = TestBed::new(program)?;
        testbed.host().run(|| mount::file("/etc/hosts", b"127.0.0.1 both\n::1 both\n", 0o644))??;
        let place = "location / { proxy_pass http://both:9/; }";
        testbed.write(&format!("events {{ }}\nhttp {{ server {{ listen 127.0.0.1:8080; {place} }} }}\n"))?;
        testbed.command(&[])?;
        // Both have failed then: the second request finds none, and names their host.
        let statuses = [testbed.get(8080, "/")?.status, testbed.get(8080, "/")?.status];
        let log = testbed.file("logs/error.log")?;
        let lines = log.lines().filter(|line| line.contains("connect() failed") || line.contains("no live upstreams"));
        let asked = lines.filter_map(|line| line.split_once("upstream: "));
        let asked: Vec<_> = asked.map(|(_, rest)| rest.split(',').next().unwrap_or_default().to_owned()).collect();
        Ok((statuses, asked))
    });
    assert_eq!(ours, theirs);
    assert_eq!(theirs.1.get(2).map(String::as_str), Some("\"http://both/\""), "{theirs:?}");
}
