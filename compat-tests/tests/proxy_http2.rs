//! HTTP/2 towards servers (`proxy_http_version 2`) and fields behind bodies (`proxy_pass_trailers`), as of nginx 1.29.4
//! and 1.27.2.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use compat_tests::client;
use compat_tests::http2::{block, frame};
use compat_tests::program::Program;
use compat_tests::service::Service;
use compat_tests::testbed::{LIMIT, TestBed, local};

use super::grpc::{Script, play, serve};

const CONF: &str = r#"worker_processes 1;
error_log logs/errors.log info;
events { }
http {
    server_tokens off;
    log_format t "$request|$status|$upstream_status|$upstream_addr|$upstream_trailer_x_own|$sent_trailer_x_own";
    access_log logs/access.log t;
    proxy_cache_path logs/cache keys_zone=c:1m;
    upstream kept { server 127.0.0.1:9141; keepalive 2; }
    upstream two { server 127.0.0.1:9142 max_fails=0; server 127.0.0.1:9141 backup; }
    proxy_http_version 2;
    server {
        listen 127.0.0.1:8080;
        client_max_body_size 0;
        location / { proxy_pass http://127.0.0.1:9141; }
        location /set/ {
            proxy_pass http://127.0.0.1:9141;
            proxy_set_header Host of.$arg_host;
            proxy_set_header X-Set "a $request_method";
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }
        location /method/ { proxy_pass http://127.0.0.1:9141/; proxy_method OPTIONS; proxy_set_body "own body"; }
        location /straight/ { proxy_pass http://127.0.0.1:9141; proxy_request_buffering off; proxy_buffering off; }
        location /window/ { proxy_pass http://127.0.0.1:9143; }
        location /kept/ { proxy_pass http://kept; }
        location /trailers/ { proxy_pass http://127.0.0.1:9141; proxy_pass_trailers on; proxy_hide_header grpc-status; }
        location /hostile/ { proxy_pass http://127.0.0.1:9142; early_hints 1; }
        location /next/ { proxy_pass http://two; proxy_next_upstream error timeout invalid_header http_503; }
        location /stay/ { proxy_pass http://two; proxy_next_upstream error timeout; }
        location /cached/ {
            proxy_pass http://127.0.0.1:9141;
            proxy_cache c;
            proxy_cache_key $arg_key;
            proxy_cache_valid 200 1h;
            add_header X-Cache $upstream_cache_status;
        }
        location /old/ {
            proxy_pass http://127.0.0.1:9;
            proxy_http_version 1.1;
            proxy_cache c;
            proxy_cache_key $arg_key;
            proxy_cache_valid 200 1h;
            add_header X-Cache $upstream_cache_status;
        }
        location /chunks/ { proxy_pass http://127.0.0.1:9144; proxy_http_version 1.1; proxy_pass_trailers on; }
        location /chunks/off { proxy_pass http://127.0.0.1:9144; proxy_http_version 1.1; }
        location /chunks/small { proxy_pass http://127.0.0.1:9144; proxy_http_version 1.1; proxy_pass_trailers on; proxy_buffer_size 128; }
    }
}
"#;

/// Answers over HTTP/1 in chunks, with what the path names behind the last.
fn chunks(mut stream: TcpStream) -> io::Result<()> {
    let mut bytes = [0; 4096];
    let count = stream.read(&mut bytes)?;
    let asked = String::from_utf8_lossy(&bytes[..count]).into_owned();
    let trailers = match asked.split(' ').nth(1).and_then(|path| path.rsplit('/').next()).unwrap_or_default() {
        "plain" | "off" => "X-Own: one\r\nx-own: two\r\n".to_owned(),
        "framing" => {
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nX-Own: end\r\n".to_owned()
        }
        "small" => format!("X-Own: {}\r\n", "x".repeat(200)),
        "invalid" => "X-Own\0: y\r\n".to_owned(),
        _ => String::new(),
    };
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    let text = format!("{head}5\r\nhello\r\n0\r\n{trailers}\r\n");
    // In two pieces, of which the second begins within a field.
    let middle = text.len() - trailers.len() / 2 - 2;
    stream.write_all(&text.as_bytes()[..middle])?;
    std::thread::sleep(std::time::Duration::from_millis(50));
    stream.write_all(&text.as_bytes()[middle..])
}

fn testbed(script: &Script) -> io::Result<(TestBed, Vec<Service>)> {
    let testbed = TestBed::new(Program::Ours)?;
    testbed.write(CONF)?;
    let mut services = Vec::new();
    let mut listen = |port: u16, work: Box<dyn Fn(TcpStream, usize) + Send + Sync>| {
        let listener = testbed.host().run(move || TcpListener::bind(local(port)))??;
        let number = AtomicUsize::new(0);
        let serve = move |stream, _| work(stream, number.fetch_add(1, Ordering::Relaxed));
        services.push(Service::start(listener, serve)?);
        io::Result::Ok(())
    };
    let script = Script::clone(script);
    listen(9141, Box::new(|stream, number| drop(serve(stream, number, 65_535))))?;
    listen(9142, Box::new(move |stream, _| drop(play(stream, &script))))?;
    listen(9143, Box::new(|stream, number| drop(serve(stream, number, 10))))?;
    listen(9144, Box::new(|stream, _| drop(chunks(stream))))?;
    testbed.command(&[])?;
    testbed.wait_for_listener()?;
    Ok((testbed, services))
}

/// What comes back for a request; what is cut comes back as far as it was.
fn ask(testbed: &TestBed, method: &str, target: &str, rest: &str) -> String {
    let text = format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{rest}");
    let answer = testbed.host().run(move || client::raw(local(8080), text.as_bytes(), LIMIT)).expect("a host");
    String::from_utf8_lossy(&answer.expect("an answer")).into_owned()
}

fn get(testbed: &TestBed, target: &str) -> String {
    ask(testbed, "GET", target, "\r\n")
}

#[test]
fn requests_are_fields_and_answers_are_as_over_http1() {
    let (testbed, _services) = testbed(&Script::default()).expect("a testbed");
    let echo = get(&testbed, "/echo?a=b");
    assert!(echo.starts_with("HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: "), "{echo}");
    assert!(echo.contains("Content-Type: application/grpc\r\n"), "names of fields that are known: {echo}");
    assert!(echo.contains("GET http://127.0.0.1:9141/echo?a=b\n") && echo.contains("0 bytes"), "{echo}");
    let sent = ask(&testbed, "POST", "/echo", "Content-Length: 5\r\nX-Y: z\r\nTE: trailers\r\n\r\nhello");
    assert!(sent.contains("content-length: 5\nx-y: z\n5 bytes, \"hello\"") && !sent.contains("\nte: "), "{sent}");
    let chunked = ask(&testbed, "POST", "/straight/echo", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert!(chunked.contains("5 bytes, \"hello\""), "{chunked}");
    let method = ask(&testbed, "POST", "/method/echo", "Content-Length: 5\r\n\r\nhello");
    assert!(method.contains("OPTIONS http://127.0.0.1:9141/echo\n"), "{method}");
    assert!(method.contains("content-length: 8\n8 bytes, \"own body\""), "{method}");
    let missing = get(&testbed, "/missing");
    assert!(missing.starts_with("HTTP/1.1 404 Not Found\r\n") && missing.ends_with("\r\n\r\npage\n"), "{missing}");
    let nothing = get(&testbed, "/nothing");
    assert!(nothing.starts_with("HTTP/1.1 204 No Content\r\n") && nothing.ends_with("\r\n\r\n"), "{nothing}");
    let head = ask(&testbed, "HEAD", "/missing", "\r\n");
    assert!(head.starts_with("HTTP/1.1 404") && head.contains("Content-Length: 5\r\n"), "{head}");
    let large = get(&testbed, "/large");
    assert!(large.len() > 300_000 && large.ends_with("0\r\n\r\n"), "{}", large.len());
}

#[test]
fn a_request_over_http2_has_no_fields_of_a_connection() {
    let (testbed, _services) = testbed(&Script::default()).expect("a testbed");
    let rest = "Upgrade: websocket\r\nKeep-Alive: 5\r\nProxy-Connection: a\r\nExpect: x\r\n\r\n";
    let echo = ask(&testbed, "GET", "/set/echo?host=name", rest);
    assert!(echo.contains("GET http://of.name/set/echo?host=name\nx-set: a GET\n0 bytes"), "{echo}");
}

#[test]
fn bodies_keep_to_the_servers_window() {
    let (testbed, _services) = testbed(&Script::default()).expect("a testbed");
    for target in ["/echo", "/window/echo", "/straight/echo"] {
        for length in [9_usize, 11, 66_000, 300_000] {
            let body = "x".repeat(length);
            let sent = ask(&testbed, "POST", target, &format!("Content-Length: {length}\r\n\r\n{body}"));
            assert!(sent.contains(&format!("{length} bytes")), "{target} {length}: {sent}");
            let chunked = format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n");
            let sent = ask(&testbed, "POST", target, &chunked);
            assert!(sent.contains(&format!("{length} bytes")), "{target} {length} in chunks: {sent}");
        }
    }
}

#[test]
fn connections_carry_one_request_after_the_other() {
    let (testbed, _services) = testbed(&Script::default()).expect("a testbed");
    for request in 1..4 {
        let count = get(&testbed, "/kept/count");
        assert!(count.contains(&format!("connection 0, request {request}\n")), "{count}");
    }
    let head = ask(&testbed, "HEAD", "/kept/nothing", "\r\n");
    assert!(head.starts_with("HTTP/1.1 204"), "{head}");
    let count = get(&testbed, "/kept/count");
    assert!(count.contains("connection 0, request 5\n"), "{count}");
}

#[test]
fn a_cache_keeps_answers_of_both_versions_alike() {
    let (testbed, _services) = testbed(&Script::default()).expect("a testbed");
    let [first, second, old] = ["/cached/length?key=1", "/cached/length?key=1", "/old/length?key=1"].map(|target| {
        let answer = get(&testbed, target);
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let cache = head.lines().find(|line| line.starts_with("X-Cache: ")).expect("a field").to_owned();
        let kept: Vec<_> =
            head.lines().filter(|line| !line.starts_with("X-Cache") && !line.starts_with("Date")).collect();
        (cache, kept.join("\n"), body.to_owned())
    });
    assert_eq!([&first.0, &second.0, &old.0], ["X-Cache: MISS", "X-Cache: HIT", "X-Cache: HIT"]);
    assert_eq!(first.1, second.1);
    assert_eq!((&second.1, &second.2), (&old.1, &old.2));
    assert_eq!(first.2, "01234");
}

#[test]
fn trailers_are_passed_on_where_that_is_asked_for() {
    let (testbed, _services) = testbed(&Script::default()).expect("a testbed");
    let with = get(&testbed, "/trailers/echo");
    assert!(with.ends_with("0\r\nx-own: trailer\r\n\r\n"), "{with}");
    let without = get(&testbed, "/echo");
    assert!(without.ends_with("0\r\n\r\n"), "{without}");
    let chunked = get(&testbed, "/chunks/plain");
    assert!(chunked.ends_with("5\r\nhello\r\n0\r\nX-Own: one\r\nx-own: two\r\n\r\n"), "{chunked}");
    let off = get(&testbed, "/chunks/off");
    assert!(off.ends_with("5\r\nhello\r\n0\r\n\r\n"), "{off}");
    let empty = get(&testbed, "/chunks/none");
    assert!(empty.ends_with("5\r\nhello\r\n0\r\n\r\n"), "{empty}");
    let lines = testbed.access_lines(5).expect("five lines");
    let ends: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split_once("9141|").or(line.split_once("9144|")))
        .map(|(_, end)| end)
        .collect();
    assert_eq!(ends, ["trailer|trailer", "trailer|-", "one, two|one, two", "-|-", "-|-"]);
}

#[test]
fn trailers_do_not_frame_a_body() {
    let (testbed, _services) = testbed(&Script::default()).expect("a testbed");
    let framing = get(&testbed, "/chunks/framing");
    assert!(framing.ends_with("5\r\nhello\r\n0\r\nX-Own: end\r\n\r\n"), "{framing}");
}

#[test]
fn trailers_that_cannot_be_taken_end_the_answer() {
    let (testbed, _services) = testbed(&Script::default()).expect("a testbed");
    for (target, line) in [
        ("/chunks/small", "upstream sent too big trailers while reading upstream"),
        ("/chunks/invalid", "upstream sent invalid trailer: \"X-Own\\x00...\" while reading upstream"),
    ] {
        let answer = get(&testbed, target);
        assert!(!answer.ends_with("0\r\n\r\n"), "{target}: {answer}");
        let log = testbed.file("logs/errors.log").expect("a log");
        assert!(log.contains(line), "{target}: {log}");
    }
}

fn settings() -> Vec<u8> {
    frame(4, 0, 0, &[])
}

fn head(flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(1, flags | 4, 1, &block(fields))
}

fn set(script: &Script, frames: &[Vec<u8>], closes: bool) {
    *script.lock().unwrap_or_else(PoisonError::into_inner) = (frames.concat(), closes);
}

#[test]
fn informational_answers_in_frames_are_passed_over() {
    let script = Script::default();
    let (testbed, _services) = testbed(&script).expect("a testbed");
    let inform = |status| head(0, &[(":status", status), ("link", "</a>"), ("x-info", status)]);
    let whole = [head(0, &[(":status", "200"), ("a", "b")]), frame(0, 1, 1, b"body")].concat();
    set(&script, &[settings(), inform("100"), inform("103"), inform("102"), whole.clone()], true);
    let answer = get(&testbed, "/hostile/x");
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nx-info: 103\r\n\r\nHTTP/1.1 200 OK\r\n";
    assert!(answer.starts_with(hints) && answer.contains("\r\n\r\n4\r\nbody\r\n0\r\n"), "{answer}");
    let many: Vec<_> = std::iter::repeat_n(inform("102"), 65).collect();
    set(&script, &[settings(), many.concat(), whole], true);
    let answer = get(&testbed, "/hostile/x");
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    for (frames, line) in [
        (inform("101"), "upstream sent unexpected :status \"101\""),
        (head(1, &[(":status", "103")]), "upstream prematurely closed stream"),
    ] {
        set(&script, &[settings(), frames], true);
        let answer = get(&testbed, "/hostile/x");
        assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
        let log = testbed.file("logs/errors.log").expect("a log");
        assert!(log.contains(line), "{line}: {log}");
    }
}

/// A server that dies at each step, and what becomes of its requests: with others allowed and without.
#[test]
fn a_server_that_fails_is_followed_by_the_next_where_that_is_allowed() {
    let script = Script::default();
    let (testbed, _services) = testbed(&script).expect("a testbed");
    let reset = |error: u8| frame(3, 0, 1, &[0, 0, 0, error]);
    let goaway = |last: u8, error: u8| frame(7, 0, 0, &[0, 0, 0, last, 0, 0, 0, error]);
    let ok = [(":status", "200"), ("content-length", "5")];
    let steps: [(&str, Vec<Vec<u8>>, bool, bool); 9] = [
        ("nothing at all", vec![], true, true),
        ("its settings alone", vec![settings()], true, true),
        ("the beginning of a head", vec![settings(), head(0, &ok)[..12].to_vec()], true, true),
        ("a frame of another stream", vec![settings(), frame(1, 5, 3, &block(&ok))], true, false),
        ("data before a head", vec![settings(), frame(0, 1, 1, b"x")], true, false),
        ("a stream that is reset", vec![settings(), reset(7)], true, false),
        ("a GOAWAY before the stream", vec![settings(), goaway(0, 0)], true, false),
        ("a push", vec![settings(), frame(5, 4, 1, &[0; 8])], true, false),
        ("status 503", vec![settings(), head(1, &[(":status", "503")])], true, false),
    ];
    for (name, frames, next, error) in steps {
        set(&script, &frames, true);
        let allowed = get(&testbed, "/next/echo");
        assert_eq!(
            allowed.starts_with("HTTP/1.1 200") && allowed.contains("GET http://two"),
            next,
            "{name}: {allowed}"
        );
        let stays = get(&testbed, "/stay/echo");
        assert_eq!(stays.starts_with("HTTP/1.1 200"), error, "{name}: {stays}");
    }
    let answered = [settings(), head(0, &ok), frame(0, 0, 1, b"hel")];
    for (name, frames) in [
        ("a part of the body", answered.to_vec()),
        ("a reset within the body", [answered.to_vec(), vec![reset(2)]].concat()),
        ("too little of the body", vec![settings(), head(0, &ok), frame(0, 1, 1, b"hel")]),
        ("too much of the body", vec![settings(), head(0, &ok), frame(0, 1, 1, b"hello world")]),
    ] {
        set(&script, &frames, true);
        let answer = get(&testbed, "/next/echo");
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 200 OK"), "{name}: {answer}");
        assert!(!answer.ends_with("hello"), "{name}: {answer}");
    }
    set(&script, &[answered.to_vec(), vec![goaway(1, 0), frame(0, 1, 1, b"lo")]].concat(), true);
    let answer = get(&testbed, "/next/echo");
    assert!(answer.ends_with("\r\n\r\nhello"), "a GOAWAY behind the stream lets it end: {answer}");
}
