//! `early_hints`, as of nginx 1.29.0: 103 responses of a server on their way to clients.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use compat_tests::client;
use compat_tests::http2::RawConnection;
use compat_tests::program::Program;
use compat_tests::service::Service;
use compat_tests::testbed::{LIMIT, TestBed, local};

const CONF: &str = "events { }
http {
    access_log off;
    error_log logs/hints.log info;
    server {
        listen 127.0.0.1:8080;
        listen 127.0.0.1:8081 http2;
        location / { early_hints $arg_hints $arg_more; proxy_hide_header X-Hidden; proxy_pass http://127.0.0.1:9101; }
        location /never { proxy_pass http://127.0.0.1:9101; }
        location /ready { return 200 ready; }
    }
}
";

/// A server of hints: two for most requests, eight long ones for `/long`.
fn testbed() -> (TestBed, Service) {
    let testbed = TestBed::new(Program::Ours).expect("a host");
    let listener = testbed.host().run(|| TcpListener::bind(local(9101))).expect("a host").expect("a port");
    let backend = Service::start(listener, |mut stream, _| {
        let mut request = [0; 4096];
        let length = stream.read(&mut request).unwrap_or(0);
        let target = String::from_utf8_lossy(&request[..length]).into_owned();
        let mut reply = String::new();
        if target.contains("/long") {
            for number in 0..8 {
                reply += &format!("HTTP/1.1 103 Early Hints\r\nLink: <{number}{}>\r\n\r\n", "x".repeat(1000));
            }
        } else if target.contains("/framed") {
            reply += "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\nconnection: close\r\nLink: <a>\r\n\r\n";
        } else {
            reply += "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nX-Hidden: 1\r\nX-Shown: 2\r\n\r\n";
            reply += "HTTP/1.1 103 Early Hints\r\nX-Hidden: 1\r\n\r\n";
            reply += "HTTP/1.1 103 Other Words\r\nlink: </script.js>\r\n\r\n";
        }
        reply += "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let _ = stream.write_all(reply.as_bytes());
    })
    .expect("a backend");
    testbed.write(CONF).expect("a configuration");
    testbed.command(&[]).expect("it starts");
    testbed.wait_for_text(8080, "/ready", "ready").expect("an answer");
    (testbed, backend)
}

fn raw(testbed: &TestBed, target: &str, version: &str) -> String {
    let request = format!("GET {target} HTTP/{version}\r\nHost: x\r\nConnection: close\r\n\r\n");
    let answer = testbed.host().run(move || client::raw(local(8080), request.as_bytes(), LIMIT)).expect("a host");
    String::from_utf8_lossy(&answer.expect("an answer")).into_owned()
}

#[test]
fn hints_come_before_the_response_where_they_are_asked_for() {
    let (testbed, _backend) = testbed();
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nX-Shown: 2\r\n\r\n\
                 HTTP/1.1 103 Early Hints\r\nlink: </script.js>\r\n\r\nHTTP/1.1 200 OK\r\n";
    for target in ["/?hints=1", "/?hints=0&more=yes"] {
        let answer = raw(&testbed, target, "1.1");
        assert!(answer.starts_with(hints) && answer.ends_with("\r\n\r\nok"), "{target}: {answer}");
    }
    for (target, version) in [("/", "1.1"), ("/?hints=0", "1.1"), ("/?hints=1", "1.0"), ("/never?hints=1", "1.1")] {
        let answer = raw(&testbed, target, version);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok"), "{target}: {answer}");
    }
}

#[test]
fn hints_that_are_longer_than_a_buffer_are_left_out() {
    let (testbed, _backend) = testbed();
    let answer = raw(&testbed, "/long?hints=1", "1.1");
    let count = answer.matches("HTTP/1.1 103 Early Hints\r\n").count();
    assert!((1..8).contains(&count) && answer.ends_with("\r\n\r\nok"), "{count}: {answer}");
    let log = testbed.file("logs/hints.log").expect("a log");
    assert!(log.contains("[info]") && log.contains("upstream sent too big early hints"), "{log}");
}

#[test]
fn hints_do_not_frame_a_body() {
    let (testbed, _backend) = testbed();
    let answer = raw(&testbed, "/framed?hints=1", "1.1");
    assert!(answer.starts_with("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\n"), "{answer}");
}

#[test]
fn hints_have_heads_of_their_own_in_http2() {
    let (testbed, _backend) = testbed();
    for (target, heads) in [("/?hints=1", 3), ("/never", 1)] {
        let count = testbed
            .host()
            .run(move || -> std::io::Result<usize> {
                let mut connection = RawConnection::new(local(8081), LIMIT)?;
                let fields = [(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", target)];
                connection.headers(1, &fields, true)?;
                let mut count = 0;
                while let Some(frame) = connection.frame()? {
                    count += usize::from(frame.kind == 1 && frame.stream == 1);
                    // The stream ends with a DATA frame.
                    if frame.kind == 0 && frame.flags & 1 == 1 {
                        break;
                    }
                }
                Ok(count)
            })
            .expect("a host")
            .expect("frames");
        assert_eq!(count, heads, "{target}");
    }
}
