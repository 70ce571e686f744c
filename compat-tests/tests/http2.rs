//! HTTP/2, beside the installed nginx: the same requests on one connection, and what no client would send.

use compat_tests::client;
use compat_tests::http2::{Answer, RawConnection, Request, exchange};
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};

const CONF: &str = r#"worker_processes 1;
events { }
http {
    server_tokens off;
    log_format line "$request|$status|$http2|$server_protocol|$body_bytes_sent|$http_host|$content_length|$http_cookie";
    access_log logs/access.log line;
    types { text/html html; text/plain txt; }
    server {
        listen 127.0.0.1:8080 http2;
        root html;
        add_header X-A a;
        location = /text { return 200 "text\n"; }
        location = /empty { return 204; }
        location = /gone { return 410; }
        location = /moved { return 301 /text; }
        location = /agent { return 200 "[$http_user_agent][$http_cookie][$request_uri][$args]\n"; }
        location /pass/ { proxy_pass http://127.0.0.1:8081/; }
        location /stream/ { proxy_pass http://127.0.0.1:8081/; proxy_request_buffering off; proxy_http_version 1.1; proxy_buffering off; }
        location /small/ { client_max_body_size 10; proxy_pass http://127.0.0.1:8081/; }
        location /dead/ { proxy_pass http://127.0.0.1:1; }
        location /link { add_header Link "</text>; rel=preload"; http2_push_preload on; http2_push /text; return 200 "linked\n"; }
        location /gzip/ { gzip on; gzip_min_length 1; gzip_types text/plain; alias html/; }
    }
    server {
        listen 127.0.0.1:8082 http2;
        http2_max_concurrent_streams 7;
    }
    server {
        listen 127.0.0.1:8081;
        client_max_body_size 0;
        location / { return 200 "$request_method $request_uri $http_content_length $http_transfer_encoding $http_connection\n"; }
        location /file { alias html/big.txt; }
    }
}
"#;

fn started(program: Program) -> TestBed {
    let testbed = TestBed::new(program).expect("a host");
    testbed.write(CONF).expect("a configuration");
    let put = || {
        let text: String = (0..60_000).map(|number| format!("{number}\n")).collect();
        compat_tests::mount::file(&format!("{}/html/big.txt", compat_tests::peer::PREFIX), text.as_bytes(), 0o644)?;
        compat_tests::mount::file(&format!("{}/html/a.html", compat_tests::peer::PREFIX), b"<p>a</p>\n", 0o644)?;
        // Both programs tell when a file was changed.
        ["big.txt", "a.html"].iter().try_for_each(|name| {
            let file = std::fs::File::open(format!("{}/html/{name}", compat_tests::peer::PREFIX))?;
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000))
        })
    };
    testbed.host().run(put).expect("a host").expect("files");
    testbed.command(&[]).expect("a start");
    testbed
}

fn ask(testbed: &TestBed, requests: Vec<Request>) -> Vec<Answer> {
    testbed.host().run(move || exchange(local(8080), &requests, LIMIT)).expect("a host").expect("answers")
}

fn requests() -> Vec<Request> {
    let mut all: Vec<Request> =
        ["/text", "/empty", "/gone", "/moved", "/none", "/a.html", "/big.txt", "/pass/x?y=1", "/pass/file", "/dead/"]
            .map(Request::get)
            .into();
    all.push(Request::get("/agent?a=%20b").header("user-agent", "x").header("cookie", "a=1").header("cookie", "b=2"));
    all.push(Request::get("/big.txt").header("range", "bytes=100-199"));
    all.push(Request::get("/big.txt").header("range", "bytes=0-9,100-109"));
    all.push(Request { method: "HEAD".to_owned(), ..Request::get("/big.txt") });
    all.push(Request { method: "OPTIONS".to_owned(), ..Request::get("/pass/o") });
    for folder in ["/pass/", "/stream/", "/small/"] {
        for size in [0, 5, 300_000] {
            all.push(Request::get(folder).body("POST", vec![b'x'; size]));
            let announced = Request::get(folder).header("content-length", &size.to_string());
            all.push(announced.body("PUT", vec![b'y'; size]));
        }
    }
    all
}

#[test]
fn requests_at_once_are_answered_as_by_nginx() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let mut answers = ask(&testbed, requests());
        for answer in &mut answers {
            // A file's time is that of its host's start.
            answer.headers.retain(|(name, _)| name != "last-modified" && name != "etag");
            // A boundary is a number nobody can know.
            for (name, value) in &mut answer.headers {
                if name == "content-type" && value.starts_with("multipart") {
                    "multipart".clone_into(value);
                    answer.body.clear();
                }
            }
        }
        answers
    });
    for ((request, original), ours) in requests().iter().zip(&original).zip(&ours) {
        let length = request.body.as_ref().map(Vec::len);
        assert_eq!(original, ours, "{} {} {length:?}", request.method, request.target);
    }
}

#[test]
fn streams_are_logged_as_by_nginx() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        for request in requests() {
            ask(&testbed, vec![request]);
        }
        let lines =
            || testbed.file("logs/access.log").ok().filter(|log| log.matches("|h2c|").count() == requests().len());
        let log = compat_tests::wait_for("lines of all requests", LIMIT, lines).expect("lines");
        let mut lines: Vec<String> = log.lines().filter(|line| line.contains("|h2c|")).map(str::to_owned).collect();
        lines.sort();
        lines
    });
    assert_eq!(original, ours);
}

#[test]
fn an_address_without_tls_speaks_both_versions() {
    let testbed = started(Program::Ours);
    assert_eq!(ask(&testbed, vec![Request::get("/text")])[0].body, b"text\n");
    let plain =
        testbed.host().run(|| client::get(local(8080), "/text", &[], LIMIT)).expect("a host").expect("an answer");
    assert_eq!((plain.status, plain.text().as_str()), (200, "text\n"));
}

#[test]
fn nothing_is_pushed() {
    let testbed = started(Program::Ours);
    let kinds = testbed.host().run(|| {
        let mut bare = RawConnection::new(local(8080), LIMIT)?;
        let fields = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/link")];
        bare.headers(1, &fields, true)?;
        let mut kinds = Vec::new();
        while let Some(frame) = bare.frame()? {
            kinds.push(frame.kind);
            if frame.kind == 0 && frame.flags & 1 != 0 {
                break;
            }
        }
        std::io::Result::Ok(kinds)
    });
    let kinds = kinds.expect("a host").expect("frames");
    assert!(kinds.contains(&1) && kinds.contains(&0) && !kinds.contains(&5), "{kinds:?}");
}

#[test]
fn as_many_streams_are_announced_as_the_setting_says() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        [8080, 8082].map(|port| {
            let settings = testbed.host().run(move || RawConnection::new(local(port), LIMIT)?.wait_for(4));
            let settings = settings.expect("a host").expect("frames").expect("settings");
            let streams = settings.payload.chunks_exact(6).find(|pair| pair[..2] == [0, 3]);
            streams.and_then(|pair| pair[2..].try_into().ok()).map(u32::from_be_bytes)
        })
    });
    assert_eq!(original, ours);
    assert_eq!(ours, [Some(128), Some(7)]);
}

#[test]
fn a_connection_is_told_to_come_no_more_when_its_server_ends() {
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let testbed = started(program);
        let bare = testbed.host().run(|| {
            let mut bare = RawConnection::new(local(8080), LIMIT)?;
            let fields = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/text")];
            bare.headers(1, &fields, true)?;
            bare.wait_for(0)?;
            std::io::Result::Ok(bare)
        });
        let mut bare = bare.expect("a host").expect("an answer");
        testbed.command(&["-s", "quit"]).expect("-s quit");
        let told = bare.goaway().expect("frames");
        let master = testbed.master();
        bare.finish().expect("an end");
        if let Ok(master) = master {
            testbed.wait_for_end(master).expect("it ends");
        }
        told
    });
    assert_eq!((original, ours), (Some(0), Some(0)));
}
