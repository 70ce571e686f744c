//! `check`, `check_status` and their kin: the directives of the third-party module upstream_check, in http and in stream.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use compat_tests::program::Program;
use compat_tests::service::Service;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{certificates, client, mount, peer, wait_for};

fn testbed() -> TestBed {
    let testbed = TestBed::new(Program::Ours).expect("a testbed");
    let files = certificates::all().expect("certificates");
    let put = move || {
        files.iter().for_each(|(name, bytes)| {
            mount::file(&format!("{}/conf/{name}", peer::PREFIX), bytes, 0o644).expect("a file");
        });
    };
    testbed.host().run(put).expect("files");
    testbed
}

/// Writes a configuration with these blocks of http and stream.
fn write(testbed: &TestBed, http: &str, stream: &str) {
    let conf = format!(
        "worker_processes 2;\nevents {{ }}\nhttp {{\naccess_log off;\ncheck_shm_size 10m;\n{http}\n\
         server {{ listen 127.0.0.1:8443 ssl; ssl_certificate ec.pem; ssl_certificate_key ec.key; return 204; }}\n}}\n\
         stream {{\n{stream}\n}}\n"
    );
    testbed.write(&conf).expect("a file");
}

fn start(testbed: &TestBed) {
    testbed.command(&[]).expect("a start");
    testbed.wait_for_listener().expect("a listener");
}

/// Answers each request with what `answer` makes of it; nothing ends the connection.
fn serve(testbed: &TestBed, port: u16, answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync + 'static) -> Service {
    let listener = testbed.host().run(move || TcpListener::bind(local(port))).expect("a host").expect("a listener");
    let work = move |mut stream: TcpStream| -> io::Result<()> {
        let mut bytes = [0; 4096];
        loop {
            let count = stream.read(&mut bytes)?;
            let Some(answer) = answer(&bytes[..count]).filter(|_| count > 0) else { return Ok(()) };
            stream.write_all(&answer)?;
        }
    };
    Service::start(listener, move |stream, _| drop(work(stream))).expect("a server")
}

/// Greets each connection with these bytes, and waits for its end.
fn greet(testbed: &TestBed, port: u16, bytes: &'static [u8]) -> Service {
    let listener = testbed.host().run(move || TcpListener::bind(local(port))).expect("a host").expect("a listener");
    let work = move |mut stream: TcpStream| -> io::Result<()> {
        stream.write_all(bytes)?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    };
    Service::start(listener, move |stream, _| drop(work(stream))).expect("a server")
}

fn status(status: u16) -> Option<Vec<u8>> {
    Some(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").into_bytes())
}

fn get(testbed: &TestBed, target: &str) -> (u16, String, String) {
    let answer = testbed.get(8080, target).expect("an answer");
    let kind = answer.header("content-type").unwrap_or_default().to_owned();
    (answer.status, kind, answer.text())
}

const PAGE: &str = r##"<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN
"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">
<html xmlns="http://www.w3.org/1999/xhtml">
<head>
  <title>Nginx http upstream check status</title>
</head>
<body>
<h1>Nginx http upstream check status</h1>
<h2>Check upstream server number: 1, generation: 1</h2>
<table style="background-color:white" cellspacing="0"        cellpadding="3" border="1">
  <tr bgcolor="#C0C0C0">
    <th>Index</th>
    <th>Upstream</th>
    <th>Name</th>
    <th>Status</th>
    <th>Rise counts</th>
    <th>Fall counts</th>
    <th>Check type</th>
    <th>Check port</th>
  </tr>
  <tr bgcolor="#FF0000">
    <td>1</td>
    <td>one</td>
    <td>127.0.0.1:9</td>
    <td>down</td>
    <td>0</td>
    <td>1</td>
    <td>tcp</td>
    <td>0</td>
  </tr>
</table>
</body>
</html>
"##;

#[test]
fn the_page_of_checks_is_that_of_the_module() {
    let testbed = testbed();
    let _up = serve(&testbed, 9181, |_| status(200));
    let http = "upstream one { server 127.0.0.1:9181; server 127.0.0.1:9; check interval=3600000 rise=1 fall=1; }
        upstream two { server 127.0.0.2:9; check interval=3600000 rise=1 fall=1 type=http port=9182; }
        server { listen 127.0.0.1:8080;
            location /status { check_status; }
            location /csv { check_status csv; }
            location / { proxy_pass http://one; } location /two { proxy_pass http://two; } }";
    let _port = {
        let listener =
            testbed.host().run(|| TcpListener::bind(("127.0.0.2", 9182))).expect("a host").expect("a listener");
        Service::start(listener, |mut stream, _| {
            let _ = stream.read(&mut [0; 512]).and_then(|_| stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n"));
        })
        .expect("a server")
    };
    write(&testbed, http, "");
    start(&testbed);
    let csv =
        "0,one,127.0.0.1:9181,up,1,0,tcp,0\n1,one,127.0.0.1:9,down,0,1,tcp,0\n2,two,127.0.0.2:9,up,1,0,http,9182\n";
    let all = wait_for("the first checks", LIMIT, || (get(&testbed, "/csv").2 == csv).then_some(()));
    assert!(all.is_ok(), "{}", get(&testbed, "/csv").2);
    let (code, kind, text) = get(&testbed, "/status?status=down");
    assert_eq!((code, kind.as_str(), text.as_str()), (200, "text/html", PAGE));
    let row = |row: &str, comma: &str| format!("    {{{row}}}{comma}\n");
    let up = r#""index": 0, "upstream": "one", "name": "127.0.0.1:9181", "status": "up", "rise": 1, "fall": 0, "type": "tcp", "port": 0"#;
    let last = r#""index": 2, "upstream": "two", "name": "127.0.0.2:9", "status": "up", "rise": 1, "fall": 0, "type": "http", "port": 9182"#;
    let head = "{\"servers\": {\n  \"total\": 2,\n  \"generation\": 1,\n  \"server\": [\n";
    let json = format!("{head}{}{}  ]\n}}}}\n", row(up, ","), row(last, ""));
    let (_, kind, text) = get(&testbed, "/status?format=json&status=UP");
    assert_eq!((kind.as_str(), text), ("application/json", json));
    let down = get(&testbed, "/status?format=json&status=down").2;
    assert!(down.ends_with("\"port\": 0}\n  ]\n}}\n"), "{down}");
    let (_, kind, text) = get(&testbed, "/status?format=csv&status=down");
    assert_eq!((kind.as_str(), text.as_str()), ("text/plain", "1,one,127.0.0.1:9,down,0,1,tcp,0\n"));
    assert_eq!(get(&testbed, "/csv?format=xml&status=odd").2, csv);
    let log = testbed.file("logs/error.log").expect("a log");
    for text in ["bad argument: \"xml\"", "bad argument: \"odd\"", "disable check peer: 127.0.0.1:9 "] {
        assert_eq!(log.contains(text), text != "disable check peer: 127.0.0.1:9 ", "{text}: {log}");
    }
    // Another configuration without checks.
    write(&testbed, "server { listen 127.0.0.1:8080; location /status { check_status; } }", "");
    testbed.command(&["-s", "reload"]).expect("a reload");
    let none = || (get(&testbed, "/status").0 == 500).then_some(());
    wait_for("the page without servers", LIMIT, none).expect("a page");
    assert!(testbed.file("logs/error.log").expect("a log").contains("can not find any check server"));
}

/// A check, what its server listens with, and what it comes to.
const TYPES: &[(u16, &str, bool)] = &[
    (9181, "check rise=1 fall=1 interval=50 timeout=400", true),
    (9, "check rise=1 fall=1 interval=50 timeout=400", false),
    (9181, "check rise=1 fall=1 interval=50 timeout=400 type=http", true),
    (9182, "check rise=1 fall=1 interval=50 timeout=400 type=http", false),
    (9182, "check rise=1 fall=1 interval=50 timeout=400 type=http; check_http_expect_alive http_4xx http_5xx", true),
    (9183, "check rise=1 fall=1 interval=50 timeout=400 type=http", false),
    (9184, "check rise=1 fall=1 interval=50 timeout=400 type=http", false),
    (
        9185,
        "check rise=1 fall=1 interval=50 timeout=400 type=http; check_http_send \"HEAD /own HTTP/1.0\\r\\n\\r\\n\"",
        true,
    ),
    (9186, "check rise=1 fall=1 interval=50 timeout=400 type=fastcgi; check_fastcgi_param REQUEST_URI /own", true),
    (9186, "check rise=1 fall=1 interval=50 timeout=400 type=fastcgi", false),
    (9181, "check rise=1 fall=1 interval=50 timeout=400 type=fastcgi", false),
    (8443, "check rise=1 fall=1 interval=50 timeout=400 type=ssl_hello", true),
    (9181, "check rise=1 fall=1 interval=50 timeout=400 type=ssl_hello", false),
    (9187, "check rise=1 fall=1 interval=50 timeout=400 type=mysql", true),
    (9188, "check rise=1 fall=1 interval=50 timeout=400 type=mysql", false),
    (9189, "check rise=1 fall=1 interval=50 timeout=400 type=ajp", true),
    (9181, "check rise=1 fall=1 interval=50 timeout=400 type=ajp", false),
];

#[test]
fn every_type_of_check_judges_servers_in_http_and_in_stream() {
    let testbed = testbed();
    let _services = [
        serve(&testbed, 9181, |_| status(200)),
        serve(&testbed, 9182, |_| status(503)),
        // A line that never ends, and an answer that never comes.
        serve(&testbed, 9183, |_| Some(b"HTTP/1.1 20".to_vec())),
        serve(&testbed, 9184, |_| Some(Vec::new())),
        serve(&testbed, 9185, |asked| status(if asked == b"HEAD /own HTTP/1.0\r\n\r\n" { 200 } else { 500 })),
        serve(&testbed, 9186, |asked| {
            let is_own = asked.windows(15).any(|part| part == b"REQUEST_URI/own");
            let content: &[u8] = if is_own { b"Status: 500 X\r\n\r\n" } else { b"" };
            Some(
                [&[1, 6, 0, 1, 0, content.len() as u8, 0, 0][..], content, &[1, 3, 0, 1, 0, 8, 0, 0], &[0; 8]].concat(),
            )
        }),
        greet(&testbed, 9187, &[74, 0, 0, 0, 10, b'8', b'.', b'0']),
        greet(&testbed, 9188, b"220 mail\r\n"),
        serve(&testbed, 9189, |asked| (asked == [0x12, 0x34, 0, 1, 0x0a]).then(|| vec![0x41, 0x42, 0, 1, 9])),
    ];
    let (mut http, mut places, mut stream) = (String::new(), String::new(), String::new());
    for (number, (port, check, good)) in TYPES.iter().enumerate() {
        let check = check.replacen("check", &format!("check default_down={good}"), 1);
        http += &format!("upstream u{number} {{ server 127.0.0.1:{port}; {check}; }}\n");
        places += &format!("location = /u{number} {{ proxy_pass http://u{number}; }}\n");
        stream += &format!(
            "upstream u{number} {{ server 127.0.0.1:{port}; {check}; }}\nserver {{ listen 127.0.0.1:{}; proxy_pass u{number}; }}\n",
            7000 + number
        );
    }
    http += &format!("server {{ listen 127.0.0.1:8080; location /status {{ check_status csv; }}\n{places} }}");
    write(&testbed, &http, &stream);
    start(&testbed);
    for (number, (port, check, good)) in TYPES.iter().enumerate() {
        let start = format!("{number},u{number},127.0.0.1:{port},{},", if *good { "up" } else { "down" });
        let is_there = || get(&testbed, "/status").2.lines().any(|line| line.starts_with(&start)).then_some(());
        let found = wait_for("the state", LIMIT, is_there);
        assert!(found.is_ok(), "{check}: {start}: {}", get(&testbed, "/status").2);
    }
    // Of two servers that greet, connections go to the one that greets as MySQL does.
    for (number, greeting) in [(13, &[74, 0, 0, 0, 10, b'8', b'.', b'0'][..]), (14, b"")] {
        let found = wait_for("the greeting", LIMIT, || {
            let limit = std::time::Duration::from_millis(200);
            let answer = testbed.host().run(move || client::raw(local(7000 + number), b"", limit)).ok()?.ok()?;
            (answer == greeting).then_some(())
        });
        assert!(found.is_ok(), "{number}");
    }
    let log = || testbed.file("logs/error.log").expect("a log");
    for text in [
        "[error] 1: connect() failed (111: Connection refused) with peer: 127.0.0.1:9 ",
        "[error] 1: check time out with peer: 127.0.0.1:9184 ",
        "[error] 1: check protocol http error with peer: 127.0.0.1:9182 ",
        "[error] 1: check protocol ssl_hello error with peer: 127.0.0.1:9181 ",
        "[error] 1: enable check peer: 127.0.0.1:9187 ",
        "[error] 1: disable check peer: 127.0.0.1:9188 ",
    ] {
        let (level, text) = text.split_once(" 1: ").expect("a level");
        let found = || log().lines().any(|line| line.contains(level) && line.contains(text)).then_some(());
        assert!(wait_for("the line", LIMIT, found).is_ok(), "{text}: {}", log());
    }
    assert_eq!(get(&testbed, "/u1").0, 502);
}

#[test]
fn requests_avoid_a_server_that_is_down_and_a_reload_keeps_what_is_known() {
    let testbed = testbed();
    let well = Arc::new(AtomicBool::new(true));
    let answers = [9181, 9182].map(|port: u16| {
        let well = Arc::clone(&well);
        serve(&testbed, port, move |asked| {
            let is_check = asked.starts_with(b"GET / HTTP/1.0\r\n\r\n");
            if is_check && port == 9182 && !well.load(Ordering::Relaxed) {
                return status(500);
            }
            Some(format!("HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\n{port}").into_bytes())
        })
    });
    let http = |check: &str| {
        format!(
            "upstream group {{ server 127.0.0.1:9181; server 127.0.0.1:9182; check type=http {check}; }}
            server {{ listen 127.0.0.1:8080; location / {{ proxy_pass http://group; }} }}"
        )
    };
    write(&testbed, &http("interval=30 rise=2 fall=2"), "");
    start(&testbed);
    let ask = || {
        let mut answers: Vec<String> = (0..8).map(|_| get(&testbed, "/").2).collect();
        answers.sort();
        answers.dedup();
        answers
    };
    let wait_for_answers = |expected: &[&str]| {
        let found = wait_for("the answers", LIMIT, || (ask() == expected).then_some(()));
        assert!(found.is_ok(), "{:?}, not {expected:?}", ask());
    };
    wait_for_answers(&["9181", "9182"]);
    well.store(false, Ordering::Relaxed);
    wait_for_answers(&["9181"]);
    // Nine checks must pass, and the next one is far: both states are those from before the reload.
    write(&testbed, &http("interval=3600000 rise=9"), "");
    testbed.command(&["-s", "reload"]).expect("a reload");
    well.store(true, Ordering::Relaxed);
    assert_eq!(ask(), ["9181"]);
    write(&testbed, &http("interval=30 rise=2"), "");
    testbed.command(&["-s", "reload"]).expect("a reload");
    wait_for_answers(&["9181", "9182"]);
    drop(answers);
}

#[test]
fn a_connection_serves_as_many_checks_as_it_may() {
    let testbed = testbed();
    let served = Arc::new(Mutex::new(Vec::new()));
    let count = Arc::new(AtomicUsize::new(0));
    let listener = testbed.host().run(|| TcpListener::bind(local(9181))).expect("a host").expect("a listener");
    let (seen, next) = (Arc::clone(&served), Arc::clone(&count));
    let work = move |mut stream: TcpStream| -> io::Result<()> {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; 512];
        while stream.read(&mut bytes)? > 0 {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(number);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        }
        Ok(())
    };
    let _server = Service::start(listener, move |stream, _| drop(work(stream))).expect("a server");
    let http = "upstream group { server 127.0.0.1:9181; check interval=20 type=http; check_keepalive_requests 3;
        check_http_send \"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n\"; }
        server { listen 127.0.0.1:8080; location / { proxy_pass http://group; } location /status { check_status; } }";
    write(&testbed, http, "");
    start(&testbed);
    let seen = || served.lock().unwrap_or_else(PoisonError::into_inner).clone();
    wait_for("nine checks", LIMIT, || (seen().len() >= 9).then_some(())).expect("checks");
    assert_eq!(seen().get(..9), Some(&[0, 0, 0, 1, 1, 1, 2, 2, 2][..]));
}
