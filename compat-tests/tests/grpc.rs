//! gRPC servers, beside the installed nginx: one that speaks HTTP/2 well, and one that sends frames as they are given.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use compat_tests::compare::{self, both};
use compat_tests::http2::{self, RawConnection, block, frame};
use compat_tests::program::Program;
use compat_tests::service::Service;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{client, wait_for};

const CONF: &str = r#"worker_processes 1;
error_log logs/error.log info;
events { }
http {
    server_tokens off;
    default_type application/octet-stream;
    log_format some "$request|$status|$upstream_status|$upstream_addr|$sent_trailer_grpc_status";
    log_format all "$request|$status|$upstream_status|$upstream_response_length|$upstream_bytes_received|$upstream_addr|$upstream_http_content_type|$sent_trailer_grpc_status";
    access_log logs/access.log some;
    upstream kept { server 127.0.0.1:9121; keepalive 1; }
    upstream two { server 127.0.0.1:9123; server 127.0.0.1:9121; }
    upstream odd { server 127.0.0.1:9122; server 127.0.0.1:9121 backup; }
    upstream mixed { server 127.0.0.1:9125; keepalive 4; }
    server {
        listen 127.0.0.1:8080;
        listen 127.0.0.1:8081 http2;
        client_max_body_size 0;
        location / { grpc_pass 127.0.0.1:9121; }
        location /scheme/ { grpc_pass grpc://localhost:9121; }
        location /kept/ { grpc_pass kept; }
        location /two/ { grpc_pass two; }
        location /off/ { grpc_pass two; grpc_next_upstream off; }
        location /odd/ { grpc_pass odd; grpc_next_upstream invalid_header non_idempotent; }
        location /hostile/ { grpc_pass 127.0.0.1:9122; grpc_read_timeout 1s; access_log logs/access.log all; }
        location /small/ { grpc_pass 127.0.0.1:9121; grpc_buffer_size 64; }
        location /window/ { grpc_pass 127.0.0.1:9124; }
        location /set/ {
            grpc_pass 127.0.0.1:9121;
            grpc_set_header Host of.$arg_host;
            grpc_set_header X-Set "a $request_method";
            grpc_set_header X-Empty $arg_none;
            grpc_set_header X-Gone "";
            grpc_set_header TE "";
        }
        location /hide/ { grpc_pass 127.0.0.1:9121; grpc_hide_header x-own; grpc_pass_header Date; grpc_pass_header x-pad; }
        location /ignore/ { grpc_pass 127.0.0.1:9121; grpc_ignore_headers X-Accel-Redirect; }
        location /page/ { grpc_pass 127.0.0.1:9121; grpc_intercept_errors on; error_page 404 502 = @page; }
        location @page { add_header grpc-status 14; return 204; }
        location /name/ { set $to 127.0.0.1:9121; grpc_pass grpc://$to; }
        location /group/ { set $to kept; grpc_pass $to; }
        location /unknown/ { set $to nobody.invalid:9; grpc_pass $to; }
        location /noport/ { set $to 127.0.0.1; grpc_pass $to; }
        location /rewrite/ { rewrite ^/rewrite/(.*) "/echo %$1?b=c" break; grpc_pass 127.0.0.1:9121; }
        location /mixed/grpc { grpc_pass mixed; }
        location /mixed/http { proxy_pass http://mixed; proxy_http_version 1.1; proxy_set_header Connection ""; }
        location /internal { internal; return 200 "internal\n"; }
    }
}
"#;

/// What a request looked like.
fn seen(parts: &http::request::Parts) -> String {
    let mut text = format!("{} {}\n", parts.method, parts.uri);
    for (name, value) in &parts.headers {
        text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    }
    text
}

type Respond = h2::server::SendResponse<Bytes>;

/// Reads a body; its length and its last bytes.
async fn drain(body: &mut h2::RecvStream) -> String {
    let (mut length, mut last) = (0, Vec::new());
    while let Some(Ok(bytes)) = body.data().await {
        let _ = body.flow_control().release_capacity(bytes.len());
        length += bytes.len();
        last.extend_from_slice(&bytes);
        last.drain(..last.len().saturating_sub(8));
    }
    format!("{length} bytes, {:?}\n", String::from_utf8_lossy(&last))
}

/// Answers one request by the last part of its path; `count` tells the connection and the request on it.
async fn answer(
    request: http::Request<h2::RecvStream>,
    mut respond: Respond,
    count: (usize, usize),
) -> Result<(), h2::Error> {
    let (parts, mut body) = request.into_parts();
    let name = parts.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
    let head = || http::Response::builder().header("content-type", "application/grpc");
    let trailers = |status: &str| {
        let mut fields = http::HeaderMap::new();
        fields.insert("grpc-status", http::HeaderValue::from_str(status).expect("a status"));
        fields.insert("x-own", http::HeaderValue::from_static("trailer"));
        fields
    };
    let whole = |head: http::response::Builder| head.body(()).expect("a head");
    match &*name {
        "only" => {
            respond.send_response(whole(head().header("grpc-status", "5")), true)?;
        }
        "missing" | "refused" => {
            let status = if name == "missing" { 404 } else { 503 };
            drain(&mut body).await;
            let mut send = respond.send_response(whole(head().status(status).header("content-length", "5")), false)?;
            send.send_data(Bytes::from_static(b"page\n"), true)?;
        }
        "nothing" => {
            respond.send_response(whole(head().status(204)), true)?;
        }
        "length" => {
            drain(&mut body).await;
            let mut send = respond.send_response(whole(head().header("content-length", "5")), false)?;
            send.send_data(Bytes::from_static(b"01234"), false)?;
            send.send_trailers(trailers("0"))?;
        }
        "headers" => {
            let fields = [
                ("date", "today"),
                ("server", "own"),
                ("x-own", "head"),
                ("x-pad", "pad"),
                ("x-accel-expires", "5"),
                ("x-accel-redirect", "/internal"),
                ("set-cookie", "a=b"),
                ("set-cookie", "c=d"),
                ("location", "/elsewhere"),
                ("etag", "\"tag\""),
                ("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ];
            let head = fields.iter().fold(head(), |head, (name, value)| head.header(*name, *value));
            let mut send = respond.send_response(whole(head), false)?;
            send.send_trailers(trailers("0"))?;
        }
        "early" => {
            let mut send = respond.send_response(whole(head()), false)?;
            send.send_data(Bytes::from_static(b"early\n"), true)?;
            send.send_reset(h2::Reason::NO_ERROR);
        }
        "large" => {
            let mut send = respond.send_response(whole(head()), false)?;
            send.send_data(Bytes::from("0123456789".repeat(30_000)), false)?;
            send.send_trailers(trailers("0"))?;
        }
        "duplex" => {
            let mut send = respond.send_response(whole(head()), false)?;
            while let Some(Ok(bytes)) = body.data().await {
                let _ = body.flow_control().release_capacity(bytes.len());
                send.send_data(bytes, false)?;
            }
            send.send_trailers(trailers("0"))?;
        }
        "count" => {
            drain(&mut body).await;
            let mut send = respond.send_response(whole(head()), false)?;
            send.send_data(Bytes::from(format!("connection {}, request {}\n", count.0, count.1)), true)?;
        }
        _ => {
            let text = format!("{}{}", seen(&parts), drain(&mut body).await);
            let mut send = respond.send_response(whole(head()), false)?;
            send.send_data(Bytes::from(text), false)?;
            send.send_trailers(trailers("0"))?;
        }
    }
    Ok(())
}

/// Serves a connection well; streams begin with a window of so many bytes.
pub fn serve(stream: TcpStream, number: usize, window: u32) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    stream.set_nonblocking(true)?;
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::from_std(stream)?;
        let mut builder = h2::server::Builder::new();
        builder.initial_window_size(window);
        let mut connection = builder.handshake::<_, Bytes>(stream).await.map_err(io::Error::other)?;
        let mut turn = 0;
        while let Some(Ok((request, respond))) = connection.accept().await {
            turn += 1;
            tokio::spawn(answer(request, respond, (number, turn)));
        }
        Ok(())
    })
}

/// What the hostile server sends when a request has come, and whether it closes the connection then.
pub type Script = Arc<Mutex<(Vec<u8>, bool)>>;

pub fn play(stream: TcpStream, script: &Script) -> io::Result<()> {
    let mut connection = RawConnection::accept(stream)?;
    while let Some(frame) = connection.frame()? {
        if matches!(frame.kind, 0 | 1) && frame.flags & 1 != 0 {
            break;
        }
    }
    let (bytes, closes) = script.lock().unwrap_or_else(PoisonError::into_inner).clone();
    connection.raw(&bytes)?;
    if closes {
        // What was sent is read before the end: both name in their logs what they were at.
        std::thread::sleep(Duration::from_millis(200));
        return connection.finish();
    }
    while connection.frame()?.is_some() {}
    Ok(())
}

/// Answers HTTP/1 and HTTP/2, with the connection's number and that of the request on it.
fn either(mut stream: TcpStream, number: usize) -> io::Result<()> {
    let mut first = [0; 4];
    stream.peek(&mut first)?;
    if first == *b"PRI " {
        return serve(stream, number, 65_535);
    }
    let mut bytes = [0; 4096];
    for turn in 1.. {
        if stream.read(&mut bytes)? == 0 {
            break;
        }
        let body = format!("connection {number}, request {turn}\n");
        stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
    }
    Ok(())
}

/// One request, and what the hostile server does with it.
#[derive(Clone, Default)]
struct Row {
    name: String,
    /// An HTTP/1 request as it is sent.
    text: Vec<u8>,
    script: Vec<u8>,
    closes: bool,
}

impl Row {
    fn of(text: impl Into<Vec<u8>>) -> Self {
        let text = text.into();
        let name = String::from_utf8_lossy(text.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
        Self { name, text, ..Self::default() }
    }

    fn hostile(name: &str, script: &[Vec<u8>], closes: bool) -> Self {
        let text = post("/hostile/x", "Content-Length: 5\r\n", "hello");
        Self { name: name.to_owned(), text: text.into(), script: script.concat(), closes }
    }
}

fn post(target: &str, headers: &str, body: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n{body}")
}

fn get(method: &str, target: &str, headers: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n")
}

/// Answers, lines of the access log, texts of the error log.
type Outcome = (Vec<(String, String)>, Vec<String>, Vec<String>);

/// A stand with all servers.
fn testbed(program: Program, script: &Script) -> io::Result<(TestBed, Vec<Service>)> {
    let testbed = TestBed::new(program)?;
    testbed.write(CONF)?;
    let mut services = Vec::new();
    let mut listen = |port: u16, work: Box<dyn Fn(TcpStream, usize) + Send + Sync>| {
        let listener = testbed.host().run(move || TcpListener::bind(local(port)))??;
        let number = AtomicUsize::new(0);
        let serve = move |stream, _| work(stream, number.fetch_add(1, Ordering::Relaxed));
        services.push(Service::start(listener, serve)?);
        io::Result::Ok(())
    };
    let script = Arc::clone(script);
    listen(9121, Box::new(|stream, number| drop(serve(stream, number, 65_535))))?;
    listen(9122, Box::new(move |stream, _| drop(play(stream, &script))))?;
    listen(9124, Box::new(|stream, number| drop(serve(stream, number, 10))))?;
    listen(9125, Box::new(|stream, number| drop(either(stream, number))))?;
    testbed.command(&[])?;
    testbed.wait_for_listener()?;
    Ok((testbed, services))
}

fn outcome(program: Program, rows: Vec<Row>) -> io::Result<Outcome> {
    let script = Script::default();
    let (testbed, _services) = testbed(program, &script)?;
    let count = rows.len();
    let answers = testbed.host().run(move || {
        rows.into_iter()
            .map(|row| {
                *script.lock().unwrap_or_else(PoisonError::into_inner) = (row.script, row.closes);
                Ok((row.name, steady(&client::raw(local(8080), &row.text, LIMIT)?)))
            })
            .collect::<io::Result<Vec<_>>>()
    })??;
    let lines = testbed.access_lines(count)?;
    let text = |line: &str| Some(line.split_once(": *")?.1.split_once(' ')?.1.to_owned());
    let log = testbed.file("logs/error.log")?;
    let mut errors: Vec<String> = log.lines().filter(|line| line.contains("upstream")).filter_map(text).collect();
    // The original logs errors a second time, into its file of the command line.
    errors.dedup();
    Ok((answers, lines, errors))
}

fn steady(answer: &[u8]) -> String {
    compare::steady(&answer.escape_ascii().to_string().replace("\\r\\n", "\n").replace("\\n", "\n"))
}

/// Compares both programs.
fn same(rows: &[Row]) -> Outcome {
    let [original, ours] = both(|program| outcome(program, rows.to_vec()));
    let mut wrong = Vec::new();
    for (original, ours) in original.0.iter().zip(&ours.0).filter(|(original, ours)| original != ours) {
        wrong.push(format!("{}\n{}\n---\n{}", original.0, original.1, ours.1));
    }
    for (original, ours) in [(&original.1, &ours.1), (&original.2, &ours.2)] {
        wrong.extend(original.iter().filter(|line| !ours.contains(line)).map(|line| format!("nginx: {line}")));
        wrong.extend(ours.iter().filter(|line| !original.contains(line)).map(|line| format!("ours: {line}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!((original.1.len(), original.2.len()), (ours.1.len(), ours.2.len()));
    ours
}

#[test]
fn answers_are_those_of_nginx() {
    let mut rows = Vec::new();
    let names = ["echo", "only", "missing", "refused", "nothing", "length", "headers", ""];
    for name in names {
        rows.push(Row::of(post(&format!("/{name}"), "TE: Trailers, x\r\nContent-Length: 5\r\n", "hello")));
        rows.push(Row::of(get("GET", &format!("/{name}?a=b"), "X-Y: z\r\nTE: gzip\r\n")));
        rows.push(Row::of(get("HEAD", &format!("/{name}"), "")));
    }
    rows.push(Row::of("GET /length HTTP/1.0\r\n\r\n"));
    rows.push(Row::of("GET /large HTTP/1.0\r\n\r\n"));
    rows.push(Row::of("GET /echo HTTP/1.0\r\n\r\n"));
    rows.push(Row::of(post("/echo", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n")));
    rows.push(Row::of(post("/echo", "Content-Length: 0\r\n", "")));
    rows.push(Row::of(get("PATCH", "/echo", "Expect: 100-continue\r\nUpgrade: x\r\nKeep-Alive: y\r\nCookie: a\r\n")));
    for target in [
        "/scheme/echo",
        "/set/echo?host=name",
        "/two/echo",
        "/off/echo",
        "/small/headers",
        "/hide/headers",
        "/ignore/headers",
        "/page/missing",
        "/page/echo",
        "/name/echo",
        "/group/echo",
        "/unknown/echo",
        "/noport/echo",
        "/rewrite/x",
        "/echo%20%25?%20",
    ] {
        rows.push(Row::of(get("GET", target, "")));
    }
    let (answers, ..) = same(&rows);
    let echo = &answers[0].1;
    assert!(
        echo.contains("te: trailers") && echo.contains("5 bytes, ") && echo.contains("0\nx-own: trailer"),
        "{echo}"
    );
}

#[test]
fn bodies_of_any_length_keep_to_the_servers_window() {
    let mut rows = Vec::new();
    for target in ["/echo", "/window/echo"] {
        for length in [9, 10, 11, 66_000, 300_000] {
            let body = "x".repeat(length);
            rows.push(Row::of(post(target, &format!("Content-Length: {length}\r\n"), &body)));
            let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
            rows.push(Row::of(post(target, "Transfer-Encoding: chunked\r\n", &chunked)));
        }
    }
    let (answers, ..) = same(&rows);
    assert!(answers.last().is_some_and(|(_, text)| text.contains("300000 bytes")), "{answers:#?}");
}

#[test]
fn connections_are_kept() {
    let rows: Vec<Row> = ["count", "count", "only", "count", "missing", "count"]
        .iter()
        .map(|name| Row::of(post(&format!("/kept/{name}"), "Content-Length: 5\r\n", "hello")))
        .collect();
    let (answers, ..) = same(&rows);
    assert!(answers[3].1.contains("connection 0, request 4"), "{answers:#?}");
}

#[test]
fn connections_of_a_group_are_kept_by_protocol() {
    let rows =
        ["http", "grpc/count", "http", "grpc/count"].map(|name| Row::of(get("GET", &format!("/mixed/{name}"), "")));
    let (answers, ..) = outcome(Program::Ours, rows.to_vec()).expect("answers");
    for ((_, text), wanted) in answers.iter().zip(["0, request 1", "1, request 1", "0, request 2", "1, request 2"]) {
        assert!(text.contains(&format!("connection {wanted}")), "{answers:#?}");
    }
}

#[test]
fn both_sides_may_speak_at_once() {
    for program in [Program::Original, Program::Ours] {
        let (testbed, _services) = testbed(program, &Script::default()).expect("servers");
        let outcome = testbed.host().run(|| -> io::Result<Vec<String>> {
            let mut stream = client::connect(local(8080), LIMIT)?;
            let head = post("/duplex", "Transfer-Encoding: chunked\r\n", "");
            stream.write_all(head.as_bytes())?;
            let mut pieces = Vec::new();
            let mut read = |stream: &mut TcpStream, end: &str| {
                let mut text = String::new();
                let mut bytes = [0; 4096];
                while !text.ends_with(end) {
                    match stream.read(&mut bytes)? {
                        0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text)),
                        count => text.push_str(&String::from_utf8_lossy(&bytes[..count])),
                    }
                }
                pieces.push(text);
                io::Result::Ok(())
            };
            for word in ["one", "two", "three"] {
                stream.write_all(format!("{:x}\r\n{word}\r\n", word.len()).as_bytes())?;
                read(&mut stream, &format!("{word}\r\n"))?;
            }
            stream.write_all(b"0\r\n\r\n")?;
            read(&mut stream, "0\r\ngrpc-status: 0\r\nx-own: trailer\r\n\r\n")?;
            Ok(pieces)
        });
        let pieces = outcome.expect("the host").unwrap_or_else(|error| panic!("{program:?}: {error}"));
        assert_eq!(&pieces[1..3], ["3\r\ntwo\r\n", "5\r\nthree\r\n"], "{program:?}");
    }
}

#[test]
fn trailers_reach_http2_clients() {
    let answers = [Program::Original, Program::Ours].map(|program| {
        let (testbed, _services) = testbed(program, &Script::default()).expect("servers");
        let requests = ["/echo", "/only", "/length", "/missing", "/headers", "/large"]
            .map(|target| http2::Request::get(target).header("te", "trailers").body("POST", b"hello".to_vec()));
        testbed.host().run(move || http2::exchange(local(8081), &requests, LIMIT)).expect("the host").expect("answers")
    });
    assert_eq!(answers[0], answers[1]);
    assert_eq!(
        answers[1][0].trailers,
        [("grpc-status", "0"), ("x-own", "trailer")].map(|(a, b)| (a.to_owned(), b.to_owned()))
    );
}

fn settings() -> Vec<u8> {
    frame(4, 0, 0, &[])
}

fn head(flags: u8) -> Vec<u8> {
    frame(1, flags | 4, 1, &block(&[(":status", "200"), ("a", "b")]))
}

fn trailers() -> Vec<u8> {
    frame(1, 5, 1, &block(&[("grpc-status", "0")]))
}

#[test]
fn faults_of_servers_have_nginxs_ends() {
    let data = |flags: u8, bytes: &[u8]| frame(0, flags, 1, bytes);
    let fields = |fields: &[(&str, &str)]| frame(1, 4, 1, &block(fields));
    let ends = |fields: &[(&str, &str)]| frame(1, 5, 1, &block(fields));
    let rows: Vec<(&str, Vec<Vec<u8>>, bool)> = vec![
        ("all", vec![settings(), head(0), data(0, b"text"), trailers()], false),
        ("only", vec![settings(), ends(&[(":status", "200"), ("grpc-status", "9")])], false),
        ("nothing", vec![], true),
        ("settings", vec![settings()], true),
        ("half a head", vec![settings(), head(0)[..12].to_vec()], true),
        ("no end", vec![settings(), head(0), data(0, b"text")], true),
        ("no end of the time", vec![settings(), head(0), data(0, b"text")], false),
        ("no head of the time", vec![settings()], false),
        ("HTTP/1", vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()], true),
        ("data first", vec![settings(), data(1, b"text")], false),
        ("no status", vec![fields(&[("a", "b")])], false),
        ("two", vec![fields(&[(":status", "200"), (":status", "200")])], false),
        ("informational", vec![fields(&[(":status", "100")]), head(1)], false),
        ("letters", vec![fields(&[(":status", "2x0")])], false),
        ("pseudo", vec![fields(&[(":status", "200"), (":x", "y")])], false),
        ("capitals", vec![fields(&[(":status", "200"), ("A", "y")])], false),
        ("shorter", vec![fields(&[(":status", "200"), ("content-length", "9")]), data(1, b"text")], false),
        ("longer", vec![fields(&[(":status", "200"), ("content-length", "3")]), data(1, b"text")], false),
        ("another stream", vec![frame(1, 4, 3, &[0x88])], false),
        ("data of another", vec![head(0), frame(0, 1, 3, b"text")], false),
        ("push", vec![frame(5, 4, 1, &[0, 0, 0, 2, 0x82])], false),
        ("reset", vec![frame(3, 0, 1, &[0, 0, 0, 8])], false),
        ("reset in the body", vec![head(0), data(0, b"text"), frame(3, 0, 1, &[0, 0, 0, 8])], false),
        ("reset behind it", vec![head(0), data(1, b"text"), frame(3, 0, 1, &[0, 0, 0, 0])], false),
        ("goaway", vec![frame(7, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 1])], false),
        ("goaway behind", vec![frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]), head(0), data(1, b"text")], false),
        ("window", vec![frame(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff])], false),
        ("windows", vec![frame(4, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff])], false),
        ("ping", vec![frame(6, 0, 0, &[1; 8]), head(0), frame(6, 0, 0, &[2; 8]), data(1, b"text")], false),
        ("a ping's answer", vec![frame(6, 1, 0, &[1; 8])], false),
        ("pings", vec![frame(6, 0, 0, &[1; 8]).repeat(3)], true),
        ("too large a frame", vec![frame(0, 0, 1, &[0; 20_000])], false),
        ("too large a head", vec![fields(&[(":status", "200"), ("a", &"b".repeat(5000))])], false),
        ("trailers without an end", vec![head(0), fields(&[("a", "b")])], false),
        ("a status behind", vec![head(0), ends(&[(":status", "200")])], false),
        ("more behind", vec![head(0), trailers(), data(1, b"text")], false),
        ("padding", vec![head(0), frame(0, 9, 1, b"\x04text\0\0\0\0")], false),
        ("too much padding", vec![head(0), frame(0, 9, 1, b"\x05text")], false),
        ("unknown", vec![frame(77, 255, 0, b"?"), head(0), frame(77, 255, 1, b"?"), data(1, b"text")], false),
    ];
    let rows: Vec<Row> = rows.into_iter().map(|(name, script, closes)| Row::hostile(name, &script, closes)).collect();
    let (answers, ..) = same(&rows);
    assert!(answers[0].1.contains("4\ntext\n0\ngrpc-status: 0\n"), "{answers:#?}");
}

#[test]
fn an_answer_that_ended_is_whole_though_its_server_closes() {
    let script = [settings(), head(0), frame(0, 1, 1, b"text")];
    let (answers, ..) = outcome(Program::Ours, vec![Row::hostile("closes", &script, true)]).expect("an answer");
    assert!(answers[0].1.ends_with("4\ntext\n0\n"), "{answers:#?}");
}

#[test]
fn another_server_is_asked_where_one_is_at_fault() {
    let row = |name: &str, script: Vec<u8>| {
        let text = post("/odd/echo", "Content-Length: 5\r\n", "hello");
        Row { name: name.to_owned(), text: text.into(), script, closes: false }
    };
    let rows = [
        row("goaway", frame(7, 0, 0, &[0; 8])),
        row("reset", frame(3, 0, 1, &[0, 0, 0, 7])),
        row("no status", frame(1, 4, 1, &block(&[("a", "b")]))),
    ];
    same(&rows);
}

#[test]
fn a_client_that_leaves_ends_the_request_to_the_server() {
    let (testbed, _services) = testbed(Program::Ours, &Script::default()).expect("servers");
    let left = testbed.host().run(|| -> io::Result<()> {
        let mut stream = client::connect(local(8080), LIMIT)?;
        stream.write_all(post("/hostile/x", "Content-Length: 5\r\n", "hello").as_bytes())
    });
    left.expect("the host").expect("a request");
    let lines = wait_for("the request's line", LIMIT, || {
        let log = testbed.file("logs/access.log").ok()?;
        log.contains("/hostile/x").then_some(log)
    });
    let lines = lines.expect("a line");
    assert!(lines.contains("|499|"), "{lines}");
}

/// Servers over TLS, which are the program itself, and what their clients are asked to be.
const TLS: &str = r#"worker_processes 1;
events { }
http {
    server_tokens off;
    log_format all "$request|$status|$upstream_status|$upstream_addr";
    access_log off;
    # Those of 1.23.4, which the installed one does not have by itself.
    ssl_protocols TLSv1.2 TLSv1.3;
    grpc_ssl_protocols TLSv1.2 TLSv1.3;
    upstream alive { server 127.0.0.1:9446; keepalive 1; }
    server {
        listen 127.0.0.1:8080;
        access_log logs/access.log all;
        grpc_ssl_session_reuse off;
        location /plain { grpc_pass grpcs://127.0.0.1:9443; }
        location /old { grpc_pass grpcs://127.0.0.1:9443; grpc_ssl_protocols TLSv1.2; }
        location /trusted {
            grpc_pass grpcs://127.0.0.1:9443;
            grpc_ssl_verify on;
            grpc_ssl_trusted_certificate ec.pem;
            grpc_ssl_name ec;
        }
        location /untrusted { grpc_pass grpcs://127.0.0.1:9443; grpc_ssl_verify on; grpc_ssl_trusted_certificate cert.pem; grpc_ssl_name ec; }
        location /misnamed { grpc_pass grpcs://127.0.0.1:9443; grpc_ssl_verify on; grpc_ssl_trusted_certificate ec.pem; grpc_ssl_name other; }
        location /named { grpc_pass grpcs://127.0.0.1:9443; grpc_ssl_server_name on; grpc_ssl_name example.com; }
        location /shown { grpc_pass grpcs://127.0.0.1:9444; grpc_ssl_certificate client.pem; grpc_ssl_certificate_key client.key; }
        location /unshown { grpc_pass grpcs://127.0.0.1:9444; }
        location /no-tls { grpc_pass grpcs://127.0.0.1:9446; }
        location /no-http2 { grpc_pass grpcs://127.0.0.1:9447; }
        location /bound { grpc_pass 127.0.0.1:9446; grpc_bind 127.0.0.3; }
        location /variable { grpc_pass 127.0.0.1:9446; grpc_bind $arg_from; }
        location /alive { grpc_pass alive; grpc_socket_keepalive on; }
        location /nobody { grpc_pass 127.0.0.1:99; grpc_connect_timeout 1s; }
    }
    server {
        listen 127.0.0.1:9443 ssl http2;
        ssl_certificate ec.pem;
        ssl_certificate_key ec.key;
        location / { return 200 "$ssl_protocol name $ssl_server_name\n"; }
    }
    server {
        listen 127.0.0.1:9444 ssl http2;
        ssl_certificate ec.pem;
        ssl_certificate_key ec.key;
        ssl_client_certificate ca.pem;
        ssl_verify_client on;
        location / { return 200 "client $ssl_client_verify\n"; }
    }
    server { listen 127.0.0.1:9446 http2; location / { return 200 "from $remote_addr\n"; } }
    server { listen 127.0.0.1:9447 ssl; ssl_certificate ec.pem; ssl_certificate_key ec.key; location / { return 200 "no HTTP/2\n"; } }
}
"#;

fn secured(program: Program) -> io::Result<Outcome> {
    let testbed = super::tls::prepared(program, TLS);
    testbed.command(&[])?;
    testbed.wait_for_listener()?;
    let targets = [
        "/plain",
        "/old",
        "/trusted",
        "/untrusted",
        "/misnamed",
        "/named",
        "/shown",
        "/unshown",
        "/no-tls",
        "/no-http2",
        "/bound",
        "/variable?from=127.0.0.9",
        "/variable?from=nobody",
        "/alive",
        "/nobody",
    ];
    let count = targets.len();
    let answers = testbed.host().run(move || {
        let ask = |target: &str| {
            // A connection is kept when its request was read to its end.
            let body = post(target, "Content-Length: 5\r\n", "hello");
            let text = if target == "/alive" { get("GET", target, "") } else { body };
            Ok((target.to_owned(), steady(&client::raw(local(8080), text.as_bytes(), LIMIT)?)))
        };
        targets.into_iter().map(ask).collect::<io::Result<Vec<_>>>()
    })??;
    // The connection to the group is still open; once everything is acknowledged, its timer is that of SO_KEEPALIVE.
    wait_for("a connection with SO_KEEPALIVE", LIMIT, || {
        let sockets = super::tls::shell(&testbed, "ss -Htno state established dst 127.0.0.1:9446");
        sockets.contains("timer:(keepalive").then_some(())
    })?;
    let lines = testbed.access_lines(count)?;
    let text = |line: &str| Some(line.split_once(": *")?.1.split_once(' ')?.1.split(", client: ").next()?.to_owned());
    let log = testbed.file("logs/error.log")?;
    // What a handshake fails of is said in the words of each library.
    let cut = |text: String| text.split_once(" (SSL: ").map_or(text.clone(), |(before, _)| before.to_owned());
    let errors = log.lines().filter(|line| line.contains("upstream")).filter_map(text).map(cut).collect();
    Ok((answers, lines, errors))
}

#[test]
fn servers_are_spoken_to_over_tls_from_the_address_that_is_set() {
    let [original, ours] = both(secured);
    compare::alike("answer", &original.0, &ours.0);
    compare::alike("access log", &original.1, &ours.1);
    compare::alike("error log", &original.2, &ours.2);
    let answer = |target: &str| ours.0.iter().find(|(name, _)| name == target).map_or("", |(_, answer)| answer);
    for (target, text) in [
        ("/plain", "TLSv1.3 name "),
        ("/old", "TLSv1.2 name "),
        ("/named", "name example.com"),
        ("/shown", "client SUCCESS"),
        ("/bound", "from 127.0.0.3"),
        ("/variable?from=127.0.0.9", "from 127.0.0.9"),
        ("/untrusted", "502"),
        ("/misnamed", "502"),
    ] {
        assert!(answer(target).contains(text), "{target}: {}", answer(target));
    }
}
