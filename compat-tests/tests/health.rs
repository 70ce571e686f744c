//! Active health checks: `health_check` and `match` of NGINX Plus, by their description on nginx.org.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use compat_tests::program::Program;
use compat_tests::service::Service;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{certificates, mount, peer, wait_for};
use nix::sys::socket::{setsockopt, sockopt};

/// What a backend does with a connection.
#[derive(Clone)]
enum Does {
    /// Sends this for each request.
    Answers(String),
    /// Sends this for ever.
    Floods(String),
    /// Reads, and says nothing.
    Nothing,
    /// Closes at once.
    Closes,
    /// Resets the connection.
    Resets,
}

fn status(status: u16) -> Does {
    Does::Answers(format!("HTTP/1.1 {status} X\r\nContent-Length: 3\r\n\r\nup\n"))
}

/// What backends do by port and by the first words of a request, and what they were asked.
#[derive(Default)]
struct Backends {
    does: Mutex<Vec<(u16, &'static str, Does)>>,
    /// The address asked, the number of the connection, and the head.
    asked: Mutex<Vec<(SocketAddr, usize, String)>>,
    ended: Mutex<usize>,
    count: Mutex<usize>,
}

impl Backends {
    fn set(&self, port: u16, target: &'static str, does: Does) {
        let mut all = self.does.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(own, known, _)| (*own, *known) != (port, target));
        all.push((port, target, does));
    }

    fn asked(&self) -> Vec<(SocketAddr, usize, String)> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn heads(&self, port: u16, target: &str) -> Vec<String> {
        let heads = self.asked().into_iter().filter(|(at, _, head)| at.port() == port && head.contains(target));
        heads.map(|(_, _, head)| head).collect()
    }

    fn ended(&self) -> usize {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn found(&self, port: u16, head: &str) -> Does {
        let all = self.does.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.iter().find(|(own, target, _)| *own == port && head.contains(target));
        found.map_or_else(
            || Does::Answers(format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{port}\n")),
            |row| row.2.clone(),
        )
    }

    fn converse(&self, stream: &mut TcpStream) -> io::Result<()> {
        let at = stream.local_addr()?;
        let number = {
            let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
            *count += 1;
            *count
        };
        if matches!(self.found(at.port(), "connection"), Does::Closes) {
            return Ok(());
        }
        let mut head = Vec::new();
        let mut bytes = [0; 4096];
        loop {
            let count = stream.read(&mut bytes)?;
            if count == 0 {
                return Ok(());
            }
            head.extend_from_slice(&bytes[..count]);
            if !head.windows(4).any(|four| four == b"\r\n\r\n") {
                continue;
            }
            let text = String::from_utf8_lossy(&std::mem::take(&mut head)).into_owned();
            self.asked.lock().unwrap_or_else(PoisonError::into_inner).push((at, number, text.clone()));
            match self.found(at.port(), &text) {
                Does::Answers(answer) => {
                    stream.write_all(answer.as_bytes())?;
                    if text.contains("Connection: close") || answer.contains("Connection: close") {
                        return Ok(());
                    }
                }
                Does::Floods(answer) => loop {
                    stream.write_all(answer.as_bytes())?;
                },
                Does::Nothing => {}
                Does::Closes => return Ok(()),
                Does::Resets => {
                    setsockopt(&*stream, sockopt::Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 })?;
                    return Ok(());
                }
            }
        }
    }

    /// Serves an address of the testbed.
    fn serve(self: &Arc<Self>, testbed: &TestBed, address: SocketAddr) -> io::Result<Service> {
        let listener = testbed.host().run(move || TcpListener::bind(address))??;
        let all = Arc::clone(self);
        Service::start(listener, move |mut stream, _| {
            let _ = all.converse(&mut stream);
            *all.ended.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        })
    }
}

/// A testbed with this http block, and backends at 9141 and 9142.
fn testbed(conf: &str) -> io::Result<(TestBed, Arc<Backends>, Vec<Service>)> {
    let testbed = TestBed::new(Program::Ours)?;
    let backends = Arc::new(Backends::default());
    let services = [9141, 9142].map(|port| backends.serve(&testbed, local(port)));
    let services = services.into_iter().collect::<io::Result<_>>()?;
    write(&testbed, conf)?;
    Ok((testbed, backends, services))
}

fn write(testbed: &TestBed, conf: &str) -> io::Result<()> {
    testbed.write(&format!(
        "worker_processes 2;\nerror_log logs/error.log notice;\nevents {{ worker_connections 8192; }}\nhttp {{\n\
         access_log off;\nproxy_read_timeout 300ms;\nproxy_connect_timeout 300ms;\n{conf}\n}}\n"
    ))
}

/// Starts the program.
fn start(testbed: &TestBed) -> io::Result<()> {
    testbed.command(&[])?;
    testbed.wait_for_listener()
}

fn text(testbed: &TestBed, target: &str) -> String {
    testbed.get(8080, target).map(|answer| format!("{} {}", answer.status, answer.text())).unwrap_or_default()
}

/// Waits until so many answers in a row are those that are expected.
fn wait_for_answers(testbed: &TestBed, target: &str, expected: &[&str]) {
    let all = || {
        let mut texts: Vec<String> = (0..8).map(|_| text(testbed, target)).collect();
        texts.sort();
        texts.dedup();
        (texts == expected).then_some(())
    };
    if wait_for("the answers", LIMIT, all).is_err() {
        let answers: Vec<String> = (0..8).map(|_| text(testbed, target)).collect();
        let log = testbed.file("logs/error.log").unwrap_or_default();
        panic!("{target}: {answers:?}, not {expected:?}\n{log}");
    }
}

/// The lines of the error log that hold a text, from the level on.
fn logged(testbed: &TestBed, what: &str) -> Vec<String> {
    let log = testbed.file("logs/error.log").unwrap_or_default();
    let lines = log.lines().filter(|line| line.contains(what));
    lines.map(|line| line.split_once(" [").map_or(line, |(_, rest)| rest).to_owned()).collect()
}

/// A log line without the numbers of its process.
fn plain(line: &str) -> String {
    let (level, rest) = line.split_once("] ").unwrap_or_default();
    format!("[{level}] {}", rest.split_once(": ").unwrap_or_default().1)
}

const GROUP: &str = "
    upstream group { zone group 64k; server 127.0.0.1:9141; server 127.0.0.1:9142; }
    match ok { status 200; }
    server {
        listen 127.0.0.1:8080;
        location / { proxy_pass http://group/; proxy_next_upstream off; }
        location = /check {
            proxy_pass http://group/replaced;
            proxy_set_header Host of.checks;
            proxy_set_header X-URI $request_method:$uri:$args;
            health_check uri=/health?a=b interval=50ms match=ok fails=2 passes=2;
        }
    }";

#[test]
fn a_server_whose_checks_fail_gets_no_requests_until_they_pass() {
    let (testbed, backends, _services) = testbed(GROUP).expect("a testbed");
    start(&testbed).expect("a server");
    wait_for_answers(&testbed, "/", &["200 9141\n", "200 9142\n"]);
    backends.set(9142, "GET /health", status(302));
    wait_for_answers(&testbed, "/", &["200 9141\n"]);
    backends.set(9142, "GET /health", status(200));
    wait_for_answers(&testbed, "/", &["200 9141\n", "200 9142\n"]);
    let behind = "while checking status code, health check \"ok\" of peer 127.0.0.1:9142 in upstream \"group\"";
    let lines: Vec<String> = logged(&testbed, "peer is ").iter().map(|line| plain(line)).collect();
    assert_eq!(lines, [format!("[warn] peer is unhealthy {behind}"), format!("[notice] peer is healthy {behind}")]);
    let head = "GET /health?a=b HTTP/1.0\r\nHost: of.checks\r\nX-URI: GET:/health:a=b\r\nConnection: close\r\n\r\n";
    for port in [9141, 9142] {
        let heads = backends.heads(port, "/health");
        assert!(heads.len() > 3 && heads.iter().all(|found| found == head), "{heads:?}");
    }
    // Nobody but the checks asks for that.
    assert!(backends.asked().iter().all(|(_, _, head)| !head.contains("replaced")));
}

/// A `match` block, what a backend answers, and what a check comes to.
struct Case {
    tests: &'static str,
    does: Does,
    good: bool,
    /// What log lines name.
    action: &'static str,
}

fn answers(tests: &'static str, head: &str, body: &str, good: bool, action: &'static str) -> Case {
    let answer = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    Case { tests, does: Does::Answers(answer), good, action }
}

fn cases() -> Vec<Case> {
    let (status, header, body) = ("checking status code", "checking header", "checking body");
    let raw = |tests, answer: &str, good, action| Case { tests, does: Does::Answers(answer.to_owned()), good, action };
    let text = "200 OK\r\nContent-Type: text/html";
    let long = "x".repeat(300 * 1024);
    vec![
        answers("", "200 OK", "", true, status),
        answers("", "399 X", "", true, status),
        answers("", "400 X", "", false, status),
        answers("", "503 X", "", false, status),
        answers("status ! 500;", "500 X", "", false, status),
        answers("status ! 500;", "404 X", "", true, status),
        answers("status 200 204;", "204 X", "", true, status),
        answers("status 200 204;", "201 X", "", false, status),
        answers("status 200-399;", "301 X", "", true, status),
        answers("status ! 400-599;", "404 X", "", false, status),
        answers("status 301-303 307;", "307 X", "", true, status),
        answers("status 301-303 307;", "304 X", "", false, status),
        answers("header Content-Type = text/html;", text, "", true, header),
        answers("header Content-Type = text/html;", "200 OK", "", false, header),
        answers("header content-type = text/plain;", text, "", false, header),
        answers("header Content-Type != text/plain;", text, "", true, header),
        answers("header Content-Type != text/html;", text, "", false, header),
        answers("header Content-Type != text/html;", "200 OK", "", false, header),
        answers("header Content-Type ~ ^text/;", text, "", true, header),
        answers("header Content-Type ~ ^html;", text, "", false, header),
        answers("header Content-Type !~ plain;", text, "", true, header),
        answers("header Content-Type !~ html;", text, "", false, header),
        answers("header Content-Type;", text, "", true, header),
        answers("header Content-Type;", "200 OK", "", false, header),
        answers("header ! Refresh;", text, "", true, header),
        answers("header ! Refresh;", "200 OK\r\nRefresh: 1", "", false, header),
        answers("status 200; body ~ \"Welcome to nginx!\";", "200 OK", "a Welcome to nginx! b", true, body),
        answers("status 200; body ~ \"Welcome to nginx!\";", "200 OK", "a welcome to nginx! b", false, body),
        answers("status 200; body ~ \"Welcome to nginx!\";", "404 X", "Welcome to nginx!", false, status),
        answers("body !~ \"maintenance mode\";", "200 OK", "all is well", true, body),
        answers("body !~ \"maintenance mode\";", "200 OK", "maintenance mode", false, body),
        // Only the first 256k of a body are examined.
        answers("body !~ y;", "200 OK", &format!("{long}y"), true, body),
        answers("require $good_status;", "204 X", "", true, status),
        answers("require $good_status;", "404 X", "", false, "checking variables"),
        answers("require $upstream_http_x_own $good_status;", "200 OK\r\nX-Own: 0", "", false, "checking variables"),
        answers("require $upstream_http_x_own $good_status;", "200 OK\r\nX-Own: 1", "", true, status),
        raw(
            "body ~ ^onetwo$;",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
            true,
            body,
        ),
        raw("body ~ ^one$;", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\none", true, body),
        raw(
            "body ~ one;",
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\none",
            false,
            "reading upstream",
        ),
        raw("body ~ one;", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\none", false, "reading upstream"),
        // The body is not waited for where nobody looks at it.
        raw("status 200;", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", true, status),
        raw("", "HTTP/1.1 200 OK\r\nContent-Le", false, "reading response header from upstream"),
        raw("", "HTTP/1.1 200 OK\r\nConnection: close\r\n", false, "reading response header from upstream"),
        raw(
            "",
            &format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(8192)),
            false,
            "reading response header from upstream",
        ),
        Case {
            tests: "body ~ never;",
            does: Does::Floods(format!("HTTP/1.1 200 OK\r\n\r\n{long}")),
            good: false,
            action: body,
        },
        Case {
            tests: "",
            does: Does::Floods("HTTP/1.1 200 OK\r\nX: y\r\n".to_owned()),
            good: false,
            action: "reading response header from upstream",
        },
        Case { tests: "", does: Does::Nothing, good: false, action: "reading response header from upstream" },
        Case { tests: "", does: Does::Closes, good: false, action: "reading response header from upstream" },
        Case { tests: "", does: Does::Resets, good: false, action: "reading response header from upstream" },
    ]
}

/// Targets that live as long as the program.
fn target(number: usize) -> &'static str {
    Box::leak(format!("GET /case{number} ").into_boxed_str())
}

#[test]
fn every_test_of_match_judges_answers() {
    let cases = cases();
    let mut conf = "map $upstream_status $good_status { 200 1; 204 1; }\n".to_owned();
    let mut places = String::new();
    for (number, case) in cases.iter().enumerate() {
        conf += &format!("upstream u{number} {{ zone u{number} 64k; server 127.0.0.1:9141; }}\n");
        let mut matching = String::new();
        if !case.tests.is_empty() {
            conf += &format!("match m{number} {{ {} }}\n", case.tests);
            matching = format!("match=m{number}");
        }
        // Each begins as the opposite of what it is to come to.
        let mandatory = if case.good { "mandatory" } else { "" };
        places += &format!(
            "location = /u{number} {{ proxy_pass http://u{number}/; }}\n location = /c{number} {{ proxy_pass http://u{number}; \
             health_check uri=/case{number} interval=100ms {matching} {mandatory}; }}\n"
        );
    }
    conf += &format!("server {{ listen 127.0.0.1:8080; {places} }}");
    let (testbed, backends, _services) = testbed(&conf).expect("a testbed");
    for (number, case) in cases.iter().enumerate() {
        backends.set(9141, target(number), case.does.clone());
    }
    start(&testbed).expect("a server");
    for (number, case) in cases.iter().enumerate() {
        let expected = if case.good { "200 9141\n" } else { "502 " };
        let answers = || text(&testbed, &format!("/u{number}")).starts_with(expected).then_some(());
        let name = if case.tests.is_empty() { String::new() } else { format!("m{number}") };
        let (level, what) = if case.good { ("notice", "healthy") } else { ("warn", "unhealthy") };
        let line = format!(
            "[{level}] peer is {what} while {}, health check \"{name}\" of peer 127.0.0.1:9141 in upstream \"u{number}\"",
            case.action
        );
        let lines = || logged(&testbed, &format!("in upstream \"u{number}\""));
        let found = wait_for("the answer", LIMIT, answers);
        assert!(found.is_ok(), "{number}: {}: {:?}", case.tests, lines());
        assert!(lines().iter().any(|found| plain(found) == line), "{line}: {:?}", lines());
        let changes = lines().iter().filter(|line| line.contains("peer is ")).count();
        assert_eq!(changes, 1, "{number}: {:?}", lines());
    }
    let silent = logged(&testbed, "upstream timed out");
    let line = "[error] upstream timed out (110: Connection timed out) while reading response header from upstream, health \
                check \"\" of peer 127.0.0.1:9141 in upstream";
    assert!(silent.iter().any(|found| plain(found).starts_with(line)), "{silent:?}");
    let reset = logged(&testbed, "recv() failed (104: Connection reset by peer)");
    assert!(!reset.is_empty());
}

#[test]
fn a_server_that_takes_no_connection_is_unhealthy() {
    let conf = "upstream full { zone full 64k; server 127.0.0.1:9143; }
        server { listen 127.0.0.1:8080; location = /u { proxy_pass http://full/; }
        location = /c { proxy_pass http://full; health_check uri=/health interval=100ms; } }";
    let (testbed, _backends, _services) = testbed(conf).expect("a testbed");
    let filled = testbed.host().run(|| -> io::Result<_> {
        let listener = TcpListener::bind(local(9143))?;
        let mut waiting = Vec::new();
        // Nobody accepts: once its queue is full, the system answers no more.
        while let Ok(stream) = TcpStream::connect_timeout(&local(9143), Duration::from_millis(300)) {
            waiting.push(stream);
        }
        Ok((listener, waiting))
    });
    let _filled = filled.expect("a host").expect("a full queue");
    start(&testbed).expect("a server");
    let line = "[warn] peer is unhealthy while connecting to upstream, health check \"\" of peer 127.0.0.1:9143 in upstream \"full\"";
    let told = || logged(&testbed, "in upstream \"full\"").iter().any(|found| plain(found) == line).then_some(());
    assert!(wait_for("its end", LIMIT, told).is_ok(), "{:?}", logged(&testbed, "full"));
    assert!(text(&testbed, "/u").starts_with("502 "));
}

#[test]
fn a_mandatory_check_comes_before_requests_and_persistent_outlives_a_reload() {
    // After the first check the next one is far.
    let group = |check: &str| {
        format!(
            "upstream group {{ zone group 64k; server 127.0.0.1:9141; }}\nserver {{ listen 127.0.0.1:8080; location / {{ \
             proxy_pass http://group; proxy_read_timeout 60s; health_check uri=/health interval=1h {check}; }} }}"
        )
    };
    let (testbed, backends, _services) = testbed(&group("mandatory persistent")).expect("a testbed");
    backends.set(9141, "GET /health", Does::Nothing);
    start(&testbed).expect("a server");
    let checks = || (!backends.heads(9141, "GET /health").is_empty()).then_some(());
    wait_for("a check", LIMIT, checks).expect("a check");
    assert!(text(&testbed, "/").starts_with("502 "));
    let reload = |check: &str| {
        write(&testbed, &group(check)).expect("a file");
        let before = backends.heads(9141, "GET /health").len();
        testbed.command(&["-s", "reload"]).expect("a reload");
        let begun = || (backends.heads(9141, "GET /health").len() > before).then_some(());
        wait_for("a check of the new configuration", LIMIT, begun).expect("a check");
    };
    backends.set(9141, "GET /health", status(200));
    reload("mandatory persistent");
    wait_for_answers(&testbed, "/", &["200 9141\n"]);
    backends.set(9141, "GET /health", Does::Nothing);
    for (check, expected) in [("mandatory persistent", "200 "), ("", "200 "), ("mandatory", "502 ")] {
        reload(check);
        assert!(text(&testbed, "/").starts_with(expected), "{check}: {}", text(&testbed, "/"));
    }
}

#[test]
fn an_unhealthy_server_stays_so_over_a_reload() {
    let conf = "upstream group { zone group 64k; server 127.0.0.1:9141; server 127.0.0.1:9142; }
        server { listen 127.0.0.1:8080; location / { proxy_pass http://group; proxy_read_timeout 60s; health_check uri=/health; } }";
    let (testbed, backends, _services) = testbed(conf).expect("a testbed");
    backends.set(9142, "GET /health", status(500));
    start(&testbed).expect("a server");
    wait_for_answers(&testbed, "/", &["200 9141\n"]);
    // The next check has no answer: what is known of the server is from before the reload.
    backends.set(9142, "GET /health", Does::Nothing);
    let before = backends.heads(9142, "GET /health").len();
    testbed.command(&["-s", "reload"]).expect("a reload");
    let begun = || (backends.heads(9142, "GET /health").len() > before).then_some(());
    wait_for("a check of the new configuration", LIMIT, begun).expect("a check");
    wait_for_answers(&testbed, "/", &["200 9141\n"]);
    // A reload in the middle of a check ends it.
    let ended = backends.ended();
    let asked = backends.heads(9142, "GET /health").len();
    testbed.command(&["-s", "reload"]).expect("a reload");
    let next = || (backends.heads(9142, "GET /health").len() > asked && backends.ended() > ended).then_some(());
    wait_for("the end of the check, and another", LIMIT, next).expect("an end");
    backends.set(9142, "GET /health", status(200));
    testbed.command(&["-s", "reload"]).expect("a reload");
    wait_for_answers(&testbed, "/", &["200 9141\n", "200 9142\n"]);
}

#[test]
fn reloads_in_the_middle_of_checks_leave_nothing_open() {
    let conf = "upstream group { zone group 64k; server 127.0.0.1:9141; server 127.0.0.1:9142; }
        server { listen 127.0.0.1:8080; location / { proxy_pass http://group; proxy_read_timeout 60s; health_check uri=/health; }
            location /status { stub_status; } }";
    let (testbed, backends, _services) = testbed(conf).expect("a testbed");
    for port in [9141, 9142] {
        backends.set(port, "GET /health", Does::Nothing);
    }
    start(&testbed).expect("a server");
    let checks = || [9141, 9142].map(|port| backends.heads(port, "GET /health").len());
    wait_for("the checks", LIMIT, || (checks() == [1, 1]).then_some(())).expect("checks");
    let worker = testbed.workers(testbed.master().expect("a master")).expect("workers")[0];
    let open = || std::fs::read_dir(format!("/proc/{worker}/fd")).expect("a process").count();
    let active =
        || testbed.get(8080, "/status").expect("an answer").text().lines().next().unwrap_or_default().to_owned();
    let reload = |round: usize| {
        testbed.command(&["-s", "reload"]).expect("a reload");
        wait_for("the next checks", LIMIT, || (checks() == [round, round]).then_some(())).expect("checks");
        wait_for("the ends of the last", LIMIT, || (backends.ended() == 2 * round - 2).then_some(())).expect("ends");
    };
    // A first reload leaves one descriptor more than a start does; later ones leave as many.
    reload(2);
    let before = (open(), active());
    (3..8).for_each(reload);
    let same = wait_for("the same", LIMIT, || ((open(), active()) == before).then_some(()));
    assert!(same.is_ok(), "{:?}, not {before:?}", (open(), active()));
    assert_eq!(before.1, "Active connections: 1 ", "checks are no clients");
}

#[test]
fn a_port_of_its_own_and_a_kept_connection() {
    let conf = "upstream group { zone group 64k; server 127.0.0.1:9141; }
        proxy_http_version 1.1; proxy_set_header Connection \"\";
        server { listen 127.0.0.1:8080; location / { proxy_pass http://group; health_check uri=/health port=9142 interval=20ms keepalive_time=10m; } }";
    let (testbed, backends, _services) = testbed(conf).expect("a testbed");
    start(&testbed).expect("a server");
    let many = || (backends.heads(9142, "GET /health").len() > 5).then_some(());
    wait_for("checks", LIMIT, many).expect("checks");
    let connections: std::collections::BTreeSet<usize> =
        backends.asked().iter().filter(|(at, ..)| at.port() == 9142).map(|(_, number, _)| *number).collect();
    assert_eq!(connections.len(), 1, "one connection serves all checks");
    assert!(backends.heads(9141, "/health").is_empty());
    // A server that closes it is asked again on another.
    backends.set(
        9142,
        "GET /health",
        Does::Answers("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()),
    );
    let seen = backends.heads(9142, "GET /health").len();
    wait_for("checks", LIMIT, || (backends.heads(9142, "GET /health").len() > seen + 5).then_some(())).expect("checks");
    assert_eq!(logged(&testbed, "peer is "), Vec::<String>::new());
    backends.set(9142, "GET /health", status(500));
    wait_for("the change", LIMIT, || logged(&testbed, "peer is ").pop()).expect("a change");
    let line = plain(&logged(&testbed, "peer is ")[0]);
    assert!(line.ends_with("of peer 127.0.0.1:9141 in upstream \"group\", port 9142"), "{line}");
}

#[test]
fn checks_speak_tls_where_requests_do() {
    let conf = "upstream good { zone good 64k; server 127.0.0.1:8443; }
        upstream wrong { zone wrong 64k; server 127.0.0.1:8443; }
        upstream plain { zone plain 64k; server 127.0.0.1:9141; }
        proxy_ssl_verify on; proxy_ssl_trusted_certificate ec.pem;
        server { listen 127.0.0.1:8443 ssl; ssl_certificate ec.pem; ssl_certificate_key ec.key; return 200 \"secure\\n\"; }
        server {
            listen 127.0.0.1:8080;
            location /good { proxy_pass https://good; proxy_ssl_name ec; health_check interval=50ms mandatory; }
            location /wrong { proxy_pass https://wrong; proxy_ssl_name other; health_check interval=50ms; }
            location /plain { proxy_pass https://plain; proxy_ssl_name ec; health_check interval=50ms; }
        }";
    let (testbed, backends, _services) = testbed(conf).expect("a testbed");
    backends.set(9141, "connection", Does::Closes);
    let files = certificates::all().expect("certificates");
    testbed
        .host()
        .run(move || {
            files.iter().for_each(|(name, bytes)| {
                mount::file(&format!("{}/conf/{name}", peer::PREFIX), bytes, 0o644).expect("a file");
            });
        })
        .expect("files");
    start(&testbed).expect("a server");
    wait_for_answers(&testbed, "/good", &["200 secure\n"]);
    for group in ["wrong", "plain"] {
        let line =
            || logged(&testbed, &format!("in upstream \"{group}\"")).into_iter().find(|line| line.contains("peer is"));
        let line = plain(&wait_for("the change", LIMIT, line).expect("a line"));
        let expected = "[warn] peer is unhealthy while SSL handshaking to upstream, health check \"\"";
        assert!(line.starts_with(expected), "{line}");
    }
}

/// Answers gRPC health checks by the name of the service.
fn serve_grpc(stream: TcpStream) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    stream.set_nonblocking(true)?;
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::from_std(stream)?;
        let mut connection = h2::server::handshake(stream).await.map_err(io::Error::other)?;
        while let Some(Ok((request, respond))) = connection.accept().await {
            tokio::spawn(async move { drop(answer_grpc(request, respond).await) });
        }
        Ok(())
    })
}

async fn answer_grpc(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<bytes::Bytes>,
) -> Result<(), h2::Error> {
    let (parts, mut body) = request.into_parts();
    let mut message = Vec::new();
    while let Some(Ok(bytes)) = body.data().await {
        message.extend_from_slice(&bytes);
    }
    let field = |name: &str| parts.headers.get(name).map(|value| value.as_bytes().to_vec()).unwrap_or_default();
    let is_check = parts.uri.path() == "/grpc.health.v1.Health/Check"
        && field("content-type") == b"application/grpc"
        && field("te") == b"trailers";
    let service = String::from_utf8_lossy(message.get(7..).unwrap_or_default()).into_owned();
    let (status, answer): (_, &'static [u8]) = match &*service {
        "" if is_check => ("0", &[0, 0, 0, 0, 2, 8, 1]),
        "not.Serving" => ("0", &[0, 0, 0, 0, 2, 8, 2]),
        "un.Known" => ("5", &[]),
        _ => ("12", &[]),
    };
    let head = http::Response::builder().header("content-type", "application/grpc");
    if answer.is_empty() {
        respond.send_response(head.header("grpc-status", status).body(()).expect("a head"), true)?;
        return Ok(());
    }
    let mut send = respond.send_response(head.body(()).expect("a head"), false)?;
    send.send_data(bytes::Bytes::from_static(answer), false)?;
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static(status));
    send.send_trailers(trailers)
}

#[test]
fn grpc_servers_are_asked_by_the_health_checking_protocol() {
    let rows = [
        ("a", "", true),
        ("b", "grpc_service=not.Serving", false),
        ("c", "grpc_service=un.Known", false),
        ("d", "grpc_service=other", false),
        ("e", "grpc_service=other grpc_status=12", true),
        ("f", "grpc_service=un.Known grpc_status=12", false),
    ];
    let mut conf = String::new();
    let mut places = String::new();
    for (name, words, good) in rows {
        let mandatory = if good { "mandatory keepalive_time=1h" } else { "" };
        conf += &format!("upstream {name} {{ zone {name} 64k; server 127.0.0.1:9144; }}\n");
        places += &format!(
            "location = /{name} {{ grpc_pass {name}; health_check interval=50ms {mandatory} type=grpc {words}; }}\n"
        );
    }
    conf += &format!("server {{ listen 127.0.0.1:8080; {places} }}");
    let (testbed, _, _services) = testbed(&conf).expect("a testbed");
    let listener = testbed.host().run(|| TcpListener::bind(local(9144))).expect("a host").expect("a listener");
    let _grpc = Service::start(listener, |stream, _| drop(serve_grpc(stream))).expect("a server");
    start(&testbed).expect("a server");
    for (name, words, good) in rows {
        let is_change = |line: &String| line.contains("peer is");
        let line = || logged(&testbed, &format!("in upstream \"{name}\"")).into_iter().find(is_change);
        let found = wait_for("a change", LIMIT, line);
        let line =
            plain(&found.unwrap_or_else(|error| {
                panic!("{name}: {error}: {}", testbed.file("logs/error.log").unwrap_or_default())
            }));
        let (level, what) = if good { ("notice", "healthy") } else { ("warn", "unhealthy") };
        assert!(line.starts_with(&format!("[{level}] peer is {what} while checking gRPC status")), "{words}: {line}");
    }
}

#[test]
fn two_thousand_servers_are_checked_each() {
    let servers: String =
        (0..2000).map(|number| format!("server 127.7.{}.{}:9143;\n", number / 250, number % 250 + 1)).collect();
    let conf = format!(
        "upstream many {{ zone many 1m; {servers} }}
        server {{ listen 127.0.0.1:8080; location / {{ proxy_pass http://many; proxy_read_timeout 60s; 
         proxy_connect_timeout 60s; health_check uri=/health interval=2s; }} }}"
    );
    let (testbed, backends, _services) = testbed(&conf).expect("a testbed");
    let _many = backends.serve(&testbed, SocketAddr::from(([0, 0, 0, 0], 9143))).expect("a backend");
    start(&testbed).expect("a server");
    let each = || {
        let mut asked: Vec<SocketAddr> =
            backends.asked().iter().filter(|(_, _, head)| head.contains("/health")).map(|(at, ..)| *at).collect();
        asked.sort();
        asked.dedup();
        (asked.len() == 2000).then_some(())
    };
    wait_for("a check of each server", Duration::from_secs(60), each).expect("checks");
    assert_eq!(logged(&testbed, "peer is "), Vec::<String>::new());
    assert!(text(&testbed, "/").starts_with("200 "));
}
