//! HTTP/2 frame by frame, beside the installed nginx: heads and bodies that contradict each other, limits, endings.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use compat_tests::http2::{Frame, RawConnection, block, frame, status};
use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{mount, wait_for};

const CONF: &str = r#"worker_processes 1;
events { }
http {
    error_log logs/error.log info;
    log_format line "$status|$request_method|$request_uri|$http_host|$request_length|$body_bytes_sent|$request_completion";
    access_log logs/access.log line;
    limit_conn_zone $server_name zone=one:1m;
    server {
        listen 127.0.0.1:8080 http2;
        server_name first;
        location / { return 200 "$host|$http_host\n"; }
        location /444 { return 444; }
        location /pass { proxy_pass http://127.0.0.1:8082/; }
        location /raw { proxy_pass http://127.0.0.1:8082/; proxy_request_buffering off; proxy_http_version 1.1; }
        location /small { client_max_body_size 10; proxy_pass http://127.0.0.1:8082/; }
        location /few { limit_conn one 1; proxy_pass http://127.0.0.1:8083/; }
    }
    server { listen 127.0.0.1:8080 http2; server_name second; location / { return 200 "second\n"; } }
    server { listen 127.0.0.1:8081 http2; keepalive_requests 2; location / { return 200 "text\n"; } }
    server { listen 127.0.0.1:8084 http2; keepalive_time 1ms; location / { return 200 "text\n"; } }
    server { listen 127.0.0.1:8085 http2; keepalive_timeout 1s; root html; }
    server { listen 127.0.0.1:8086 http2; send_timeout 1s; reset_timedout_connection on; root html; location = / { return 200 "text\n"; } }
    server {
        listen 127.0.0.1:8082;
        client_max_body_size 0;
        location / { return 200 "$request_method $http_content_length $http_expect\n"; }
    }
}
"#;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const WITH_PRIORITY: u8 = 0x20;

/// How long an end is waited for that must not come.
const SILENCE: Duration = Duration::from_secs(3);

fn started(program: Program) -> TestBed {
    let testbed = TestBed::new(program).expect("a host");
    testbed.write(CONF).expect("a configuration");
    testbed.command(&[]).expect("a start");
    testbed
}

fn head(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let own = [(":method", method), (":scheme", "http"), (":authority", "first"), (":path", path)];
    block(&[&own[..], more].concat())
}

fn without_authority(more: &[(&str, &str)]) -> Vec<u8> {
    block(&[&[(":method", "GET"), (":scheme", "http"), (":path", "/")], more].concat())
}

/// A whole head that ends the stream, or does not.
fn opens(stream: u32, block: &[u8], ends: bool) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | u8::from(ends), stream, block)
}

/// What happened to a stream and its connection: every kind of news in the order it came.
fn news(bare: &mut RawConnection) -> io::Result<Vec<String>> {
    let mut seen = Vec::new();
    let mut lengths = std::collections::BTreeMap::<u32, usize>::new();
    let (mut open, mut asked) = (1_usize, false);
    loop {
        let next = match bare.frame() {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                seen.push("silence".to_owned());
                return Ok(seen);
            }
            next => next?,
        };
        let Some(Frame { kind, flags, stream, payload }) = next else {
            seen.push("closed".to_owned());
            return Ok(seen);
        };
        let number = |range: std::ops::Range<usize>| {
            payload.get(range).and_then(|code| code.try_into().ok()).map_or(0, u32::from_be_bytes)
        };
        let mut ended = flags & END != 0 && matches!(kind, DATA | HEADERS);
        match kind {
            DATA => *lengths.entry(stream).or_default() += payload.len(),
            HEADERS => seen.push(format!("{stream} status {}", status(&payload))),
            RST_STREAM => {
                seen.push(format!("{stream} reset {}", number(0..4)));
                ended = open > 0;
            }
            GOAWAY => seen.push(format!("goaway {}", number(4..8))),
            PING if flags & END != 0 => return Ok(seen),
            _ => {}
        }
        if ended {
            if kind != RST_STREAM {
                seen.push(format!("{stream} ended after {}", lengths.get(&stream).copied().unwrap_or(0)));
            }
            open = open.saturating_sub(1);
        }
        if open == 0 && !std::mem::replace(&mut asked, true) {
            // What the end of a stream brings with it comes before this is answered.
            std::thread::sleep(Duration::from_millis(200));
            if bare.send(PING, 0, 0, &[1; 8]).is_err() {
                continue;
            }
        }
    }
}

/// The same bytes to both programs on a connection each: what came back.
fn compared(cases: &[Case]) -> [Vec<(&'static str, Vec<String>)>; 2] {
    [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let one = |(name, bytes): &Case| {
            let bytes = bytes.clone();
            let seen = testbed.host().run(move || {
                let mut bare = RawConnection::new(local(8080), SILENCE)?;
                bare.raw(&bytes)?;
                news(&mut bare)
            });
            (*name, seen.expect("a host").expect("frames"))
        };
        cases.iter().map(one).collect()
    })
}

fn padded(kind: u8, flags: u8, stream: u32, more: &[u8], payload: &[u8]) -> Vec<u8> {
    let pad = 100;
    frame(kind, flags | PADDED, stream, &[&[pad][..], more, payload, &[0; 100]].concat())
}

/// A name, and the bytes of a connection.
type Case = (&'static str, Vec<u8>);

fn bodies() -> Vec<Case> {
    let post = |path, more: &[(&str, &str)]| opens(1, &head("POST", path, more), false);
    vec![
        ("GET", opens(1, &head("GET", "/", &[]), true)),
        ("HEAD", opens(1, &head("HEAD", "/", &[]), true)),
        ("HEAD passed on", opens(1, &head("HEAD", "/pass", &[]), true)),
        ("end in empty DATA", [opens(1, &head("GET", "/pass", &[]), false), frame(DATA, END, 1, &[])].concat()),
        ("body and its length", [post("/pass", &[("content-length", "5")]), frame(DATA, END, 1, b"12345")].concat()),
        (
            "Expect",
            [post("/pass", &[("content-length", "5"), ("expect", "100-continue")]), frame(DATA, END, 1, b"12345")]
                .concat(),
        ),
        (
            "Expect, raw",
            [post("/raw", &[("content-length", "5"), ("expect", "100-continue")]), frame(DATA, END, 1, b"12345")]
                .concat(),
        ),
        ("Host alone", opens(1, &without_authority(&[("host", "second")]), true)),
        ("neither", opens(1, &without_authority(&[]), true)),
        (
            "padded",
            [padded(HEADERS, END_HEADERS, 1, &[], &head("POST", "/pass", &[])), padded(DATA, END, 1, &[], b"12345")]
                .concat(),
        ),
    ]
}

fn frames() -> Vec<Case> {
    let post = |path, more: &[(&str, &str)]| opens(1, &head("POST", path, more), false);
    vec![
        (
            "priority in HEADERS",
            frame(
                HEADERS,
                END | END_HEADERS | WITH_PRIORITY,
                1,
                &[&[0, 0, 0, 0, 15][..], &head("GET", "/", &[])].concat(),
            ),
        ),
        (
            "padded with priority",
            padded(HEADERS, END | END_HEADERS | WITH_PRIORITY, 1, &[0, 0, 0, 0, 15], &head("GET", "/", &[])),
        ),
        (
            "PRIORITY",
            [
                frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 9]),
                opens(5, &head("GET", "/", &[]), true),
                frame(PRIORITY, 0, 5, &[0, 0, 0, 3, 9]),
            ]
            .concat(),
        ),
        ("padding longer than the frame", frame(HEADERS, END | END_HEADERS | PADDED, 1, &[200, 0, 0])),
        ("DATA on stream 0", frame(DATA, END, 0, b"1")),
        ("HEADERS on an even stream", opens(2, &head("GET", "/", &[]), true)),
        ("return 444", opens(1, &head("GET", "/444", &[]), true)),
        ("return 444 with a body", post("/444", &[("content-length", "5")])),
        ("too large by its length, no body yet", post("/small", &[("content-length", "11")])),
        ("too large without a length", [post("/small", &[]), frame(DATA, END, 1, b"12345678901")].concat()),
    ]
}

fn heads() -> Vec<Case> {
    let post = |path, more: &[(&str, &str)]| opens(1, &head("POST", path, more), false);
    vec![
        (
            "too large without a length, in pieces",
            [post("/small", &[]), frame(DATA, 0, 1, b"123456"), frame(DATA, 0, 1, b"789012")].concat(),
        ),
        (
            "just as large as may be",
            [post("/small", &[]), frame(DATA, 0, 1, b"12345"), frame(DATA, END, 1, b"67890")].concat(),
        ),
        ("answered before the body", post("/", &[("content-length", "5")])),
        ("path *", opens(1, &head("OPTIONS", "*", &[]), true)),
        ("unknown method", opens(1, &head("FOO", "/pass", &[]), true)),
        ("TRACE", opens(1, &head("TRACE", "/", &[]), true)),
        ("nothing in a name", opens(1, &head("GET", "/", &[("", "b")]), true)),
        (
            "scheme https",
            opens(
                1,
                &block(&[(":scheme", "https"), (":path", "/"), (":method", "GET"), (":authority", "first")]),
                true,
            ),
        ),
    ]
}

#[test]
fn frames_are_answered_as_by_nginx() {
    let cases = [bodies(), frames(), heads()].concat();
    let [original, ours] = compared(&cases);
    let different: Vec<_> = original
        .iter()
        .zip(&ours)
        .filter(|(original, ours)| original != ours)
        .map(|((name, original), (_, ours))| format!("{name}: nginx {original:?}, ours {ours:?}"))
        .collect();
    assert!(different.is_empty(), "{different:#?}");
}

const REFUSED: &[&str] = &["1 status 400", "1 ended after 157"];
const SERVED: &[&str] = &["1 status 200", "1 ended after 12"];
const RESET: &[&str] = &["1 reset 1"];
const CUT: &[&str] = &["goaway 1", "closed"];

/// What nginx does with a message, and what we do.
type Malformed = (&'static str, &'static [&'static str], &'static [&'static str], Vec<u8>);

fn malformed_bodies() -> Vec<Malformed> {
    let post = |path, more: &[(&str, &str)]| opens(1, &head("POST", path, more), false);
    vec![
        (
            "body shorter than said",
            REFUSED,
            RESET,
            [post("/pass", &[("content-length", "9")]), frame(DATA, END, 1, b"12345")].concat(),
        ),
        (
            "body longer than said",
            REFUSED,
            RESET,
            [post("/pass", &[("content-length", "3")]), frame(DATA, END, 1, b"12345")].concat(),
        ),
        (
            "body longer than said, in pieces",
            REFUSED,
            RESET,
            [post("/pass", &[("content-length", "3")]), frame(DATA, 0, 1, b"12"), frame(DATA, END, 1, b"345")].concat(),
        ),
        (
            "no body where one is said",
            REFUSED,
            RESET,
            opens(1, &head("POST", "/pass", &[("content-length", "5")]), true),
        ),
        (
            "raw: body shorter than said",
            REFUSED,
            RESET,
            [post("/raw", &[("content-length", "9")]), frame(DATA, END, 1, b"12345")].concat(),
        ),
        (
            "raw: body longer than said",
            REFUSED,
            RESET,
            [post("/raw", &[("content-length", "3")]), frame(DATA, END, 1, b"12345")].concat(),
        ),
        (
            "length that is no number",
            &["1 status 400", "1 ended after 157", "1 reset 0"],
            RESET,
            [post("/pass", &[("content-length", "x")]), frame(DATA, END, 1, b"12345")].concat(),
        ),
        (
            "trailers",
            &["goaway 1", "closed"],
            &["1 status 200", "1 ended after 8"],
            [post("/pass", &[]), frame(DATA, 0, 1, b"12345"), opens(1, &block(&[("x-a", "b")]), true)].concat(),
        ),
        (
            "trailers with a length",
            &["goaway 1", "closed"],
            &["1 status 200", "1 ended after 8"],
            [
                post("/pass", &[("content-length", "5")]),
                frame(DATA, 0, 1, b"12345"),
                opens(1, &block(&[("x-a", "b")]), true),
            ]
            .concat(),
        ),
    ]
}

fn malformed_frames() -> Vec<Malformed> {
    let post = |path, more: &[(&str, &str)]| opens(1, &head("POST", path, more), false);
    vec![
        (
            "PRIORITY on itself",
            &["goaway 1", "closed"],
            RESET,
            [frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 9]), opens(1, &head("GET", "/", &[]), true)].concat(),
        ),
        (
            "PRIORITY of the wrong size",
            &["goaway 6", "closed"],
            CUT,
            [frame(PRIORITY, 0, 1, &[0, 0, 0, 1]), opens(1, &head("GET", "/", &[]), true)].concat(),
        ),
        (
            "DATA on a closed stream",
            &["1 status 200", "1 ended after 12"],
            CUT,
            [opens(1, &head("GET", "/", &[]), true), frame(DATA, END, 1, b"1")].concat(),
        ),
        ("RST_STREAM on an idle stream", &["silence"], CUT, frame(RST_STREAM, 0, 5, &[0, 0, 0, 8])),
        ("upper case", &["1 reset 1"], CUT, opens(1, &head("GET", "/", &[("X-A", "b")]), true)),
        ("connection", SERVED, RESET, opens(1, &head("GET", "/", &[("connection", "close")]), true)),
        ("te", SERVED, RESET, opens(1, &head("GET", "/", &[("te", "gzip")]), true)),
        (
            "transfer-encoding",
            &["1 status 200", "1 ended after 8"],
            RESET,
            [post("/pass", &[("transfer-encoding", "chunked")]), frame(DATA, END, 1, b"12345")].concat(),
        ),
        (
            "no method",
            REFUSED,
            RESET,
            opens(1, &block(&[(":scheme", "http"), (":path", "/"), (":authority", "a")]), true),
        ),
    ]
}

fn malformed_heads() -> Vec<Malformed> {
    vec![
        (
            "no path",
            REFUSED,
            RESET,
            opens(1, &block(&[(":scheme", "http"), (":method", "GET"), (":authority", "a")]), true),
        ),
        (
            "no scheme",
            REFUSED,
            RESET,
            opens(1, &block(&[(":path", "/"), (":method", "GET"), (":authority", "a")]), true),
        ),
        ("empty path", REFUSED, RESET, opens(1, &head("GET", "", &[]), true)),
        ("path without slash", REFUSED, RESET, opens(1, &head("GET", "x", &[]), true)),
        ("two paths", REFUSED, RESET, opens(1, &head("GET", "/", &[(":path", "/")]), true)),
        (
            "pseudo field behind others",
            REFUSED,
            RESET,
            opens(1, &block(&[(":method", "GET"), ("x-a", "b"), (":path", "/"), (":scheme", "http")]), true),
        ),
        ("unknown pseudo field", REFUSED, CUT, opens(1, &head("GET", "/", &[(":x", "/")]), true)),
        ("CONNECT", &["1 status 405", "1 ended after 157"], RESET, opens(1, &head("CONNECT", "/", &[]), true)),
        ("line feed in a value", &["1 reset 1"], CUT, opens(1, &head("GET", "/", &[("x-a", "b\nc")]), true)),
    ]
}

#[test]
fn malformed_messages_end_their_stream_or_connection() {
    let table = [malformed_bodies(), malformed_frames(), malformed_heads()].concat();
    let cases: Vec<_> = table.iter().map(|(name, .., bytes)| (*name, bytes.clone())).collect();
    let seen = compared(&cases);
    for (at, (name, nginx, ours, _)) in table.iter().enumerate() {
        assert_eq!([&seen[0][at].1[..], &seen[1][at].1[..]], [*nginx, *ours], "{name}");
    }
}

/// What its server has sent of an answer that it cuts reaches the client before the reset.
#[test]
fn an_answer_that_its_server_cuts_is_passed_as_far_as_it_came() {
    let told = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let seen = testbed.host().run(|| {
            let backend = TcpListener::bind(local(8083))?;
            let serving = std::thread::spawn(move || {
                for _ in 0..20 {
                    let (mut connection, _) = backend.accept()?;
                    let _ = connection.read(&mut [0; 4096])?;
                    connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")?;
                }
                io::Result::Ok(())
            });
            let mut bare = RawConnection::new(local(8080), LIMIT)?;
            let mut seen = Vec::new();
            for stream in (1..40).step_by(2) {
                bare.raw(&opens(stream, &head("GET", "/few", &[]), true))?;
                let mut length = 0;
                loop {
                    let Frame { kind, payload, .. } = bare.frame()?.ok_or(io::ErrorKind::UnexpectedEof)?;
                    match kind {
                        HEADERS => seen.push(format!("status {}", status(&payload))),
                        DATA => length += payload.len(),
                        RST_STREAM => break,
                        _ => {}
                    }
                }
                seen.push(format!("{length} bytes, reset"));
            }
            serving.join().map_err(|_| io::ErrorKind::Other)??;
            io::Result::Ok(seen)
        });
        seen.expect("a host").expect("frames")
    });
    assert_eq!(told[1], told[0]);
    assert_eq!(told[0].first().map(String::as_str), Some("status 200"));
}

#[test]
fn a_client_that_leaves_within_a_file_does_not_hold_up_others() {
    for resets in [true, false] {
        let testbed = started(Program::Ours);
        let served = testbed.host().run(move || {
            mount::file(&format!("{PREFIX}/html/big.bin"), &vec![b'x'; 1 << 20], 0o644)?;
            let mut bare = RawConnection::new(local(8086), SILENCE)?;
            bare.raw(&opens(1, &head("GET", "/big.bin", &[]), true))?;
            let mut left = 65_535;
            while left > 0 {
                let frame = bare.frame()?.ok_or(io::ErrorKind::UnexpectedEof)?;
                left -= if frame.kind == DATA { frame.payload.len() } else { 0 };
            }
            if resets {
                bare.send(RST_STREAM, 0, 1, &[0, 0, 0, 8])?;
                // The connection serves on.
                bare.raw(&opens(3, &head("GET", "/", &[]), true))?;
                let frame = bare.wait_for(HEADERS)?.ok_or(io::ErrorKind::UnexpectedEof)?;
                return Ok(frame.stream == 3);
            }
            drop(bare);
            io::Result::Ok(true)
        });
        assert!(served.expect("a host").expect("frames"), "resets {resets}");
        testbed.wait_for_text(8082, "/", "GET").expect("others are served");
        let lines = || testbed.file("logs/access.log").ok().filter(|log| log.contains("/big.bin"));
        let log = wait_for("the request's line", LIMIT, lines).expect("a line");
        assert!(log.lines().any(|line| line.starts_with("200|GET|/big.bin|first|") && line.ends_with('|')), "{log}");
    }
}

/// A response that is not taken: the memory of its server is bounded, and `send_timeout` ends it.
#[test]
fn a_client_that_takes_nothing_is_cut_off_after_send_timeout() {
    let told = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let codes = testbed.host().run(|| {
            mount::file(&format!("{PREFIX}/html/big.bin"), &vec![b'x'; 8 << 20], 0o644)?;
            // The windows stay as they are: the stream's, then the connection's is used up.
            let mut bare = RawConnection::new(local(8086), LIMIT)?;
            bare.raw(&opens(1, &head("GET", "/big.bin", &[]), true))?;
            let stream = bare.wait_for(RST_STREAM)?.map(|frame| frame.payload);
            // The windows are wide open, but nothing is read.
            let mut wide = RawConnection::new(local(8086), LIMIT)?;
            wide.send(4, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff])?;
            wide.send(8, 0, 0, &0x7000_0000_u32.to_be_bytes())?;
            wide.raw(&opens(1, &head("GET", "/big.bin", &[]), true))?;
            std::thread::sleep(Duration::from_secs(3));
            let mut length = 0;
            let whole = loop {
                match wide.frame() {
                    Ok(Some(frame)) if frame.kind == DATA => {
                        length += frame.payload.len();
                        if frame.flags & END != 0 {
                            break true;
                        }
                    }
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => break false,
                }
            };
            io::Result::Ok((stream, whole, length < 8 << 20))
        });
        let codes = codes.expect("a host").expect("frames");
        let log = testbed.file("logs/error.log").expect("a log");
        (codes, log.contains("client timed out (110: Connection timed out)"))
    });
    assert_eq!(told[1], ((Some(vec![0, 0, 0, 1]), false, true), true));
    assert_eq!(told[0], told[1]);
}

/// What waits for the socket is sent though no request is at work any more.
#[test]
fn keepalive_timeout_does_not_cut_a_response() {
    let told = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let length = testbed.host().run(|| {
            mount::file(&format!("{PREFIX}/html/big.bin"), &vec![b'x'; 8 << 20], 0o644)?;
            let mut bare = RawConnection::new(local(8085), LIMIT)?;
            bare.send(4, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff])?;
            bare.send(8, 0, 0, &0x7000_0000_u32.to_be_bytes())?;
            // Many at once fill what the system and the server keep.
            let heads = (0..100_u32).flat_map(|one| opens(one * 2 + 1, &head("GET", "/part.bin", &[]), true));
            mount::file(&format!("{PREFIX}/html/part.bin"), &vec![b'x'; 60_000], 0o644)?;
            bare.raw(&heads.collect::<Vec<u8>>())?;
            std::thread::sleep(Duration::from_secs(8));
            let mut length = 0;
            while length < 100 * 60_000 {
                let Some(frame) = bare.frame()? else { break };
                length += if frame.kind == DATA { frame.payload.len() } else { 0 };
            }
            io::Result::Ok(length)
        });
        length.expect("a host").expect("frames")
    });
    assert_eq!(told, [100 * 60_000; 2]);
}

#[test]
fn limit_conn_counts_streams() {
    let told = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let seen = testbed.host().run(|| {
            let silent = TcpListener::bind(local(8083))?;
            let mut bare = RawConnection::new(local(8080), SILENCE)?;
            bare.raw(&opens(1, &head("GET", "/few", &[]), true))?;
            let (waiting, _) = silent.accept()?;
            bare.raw(&opens(3, &head("GET", "/few", &[]), true))?;
            let refused = bare.wait_for(HEADERS)?.map(|frame| (frame.stream, status(&frame.payload)));
            bare.send(RST_STREAM, 0, 1, &[0, 0, 0, 8])?;
            let mut rest = Vec::new();
            // The end of the request that was given up is seen by its backend.
            let _ = (&waiting).read_to_end(&mut rest);
            bare.raw(&opens(5, &head("GET", "/few", &[]), true))?;
            let (again, _) = silent.accept()?;
            drop(again);
            let taken = bare.wait_for(HEADERS)?.map(|frame| (frame.stream, frame.payload.is_empty()));
            io::Result::Ok((refused, taken))
        });
        seen.expect("a host").expect("frames")
    });
    assert_eq!(told[1], (Some((3, 503)), Some((5, false))));
    assert_eq!(told[0], told[1]);
}

/// After the last request it may have, a client is told to come no more, and what it asked before is answered.
#[test]
fn connections_end_after_their_requests_and_time() {
    for port in [8081, 8084] {
        let told = [Program::Original, Program::Ours].map(|program| {
            let testbed = started(program);
            let seen = testbed.host().run(move || {
                let mut bare = RawConnection::new(local(port), LIMIT)?;
                bare.raw(&opens(1, &head("GET", "/", &[]), true))?;
                bare.wait_for(DATA)?;
                std::thread::sleep(Duration::from_millis(50));
                bare.raw(&opens(3, &head("GET", "/", &[]), true))?;
                let (mut goaway, mut answered) = (false, 0);
                while let Some(frame) = bare.frame()? {
                    match frame.kind {
                        GOAWAY => goaway = true,
                        DATA => answered += usize::from(frame.flags & END != 0),
                        _ => {}
                    }
                    if frame.kind == PING && frame.flags & END == 0 {
                        bare.send(PING, END, 0, &frame.payload)?;
                    }
                }
                io::Result::Ok((goaway, answered))
            });
            seen.expect("a host").expect("frames")
        });
        assert_eq!(told, [(true, 1); 2], "{port}");
    }
}
