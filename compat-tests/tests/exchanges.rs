//! Every way an exchange with a backend can end, made by a generator and lived through by the installed nginx and by ours:
//! what the client got, what each backend executed, and who gets the next request.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use compat_tests::arena::pattern;
use compat_tests::client;
use compat_tests::mount;
use compat_tests::program::Program;
use compat_tests::service::Service;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::wait_for;

/// What the first server does with the request.
const ENDS: [&str; 10] =
    ["ok", "refuse", "close", "midhead", "garbage", "midbody", "midchunk", "badchunk", "status503", "early"];
/// How the client sends.
const SENDS: [&str; 4] = ["GET", "POST whole", "POST split", "POST chunks"];
/// When the client leaves.
const LEAVES: [&str; 3] = ["while it waits", "in the middle of the answer", "in the middle of its body"];

/// One case of the generator.
#[derive(Clone, Copy, Debug)]
struct Case {
    number: usize,
    end: &'static str,
    sends: &'static str,
    request_buffering: bool,
    buffering: bool,
    kept: bool,
    two: bool,
}

impl Case {
    fn name(&self) -> String {
        let on = |flag| if flag { "on" } else { "off" };
        format!(
            "{} to \"{}\", request_buffering {}, buffering {}, {} connection, {}",
            self.sends,
            self.end,
            on(self.request_buffering),
            on(self.buffering),
            if self.kept { "kept" } else { "fresh" },
            if self.two { "two servers" } else { "one server" },
        )
    }

    /// Its group and its location.
    fn conf(&self) -> (String, String) {
        let number = self.number;
        let first = if self.end == "refuse" { 9109 } else { 9101 };
        let second = if self.two { "server 127.0.0.1:9102;" } else { "" };
        let keep = if self.kept { "keepalive 4;" } else { "" };
        let close = if self.kept { "proxy_set_header Connection \"\";" } else { "" };
        let on = |flag| if flag { "on" } else { "off" };
        (
            format!("upstream u{number} {{ server 127.0.0.1:{first}; {second} {keep} }}\n"),
            format!(
                "location /c{number}/ {{ proxy_pass http://u{number}/; {close} proxy_request_buffering {}; proxy_buffering {}; }}\n",
                on(self.request_buffering),
                on(self.buffering)
            ),
        )
    }
}

/// All cases whose end and way of sending are among these.
fn cases(ends: &[&'static str], sends: &[&'static str]) -> Vec<Case> {
    let mut all = Vec::new();
    for end in ends {
        for sends in sends {
            for bits in 0..16 {
                let bit = |place: u32| bits >> place & 1 == 1;
                all.push(Case {
                    number: all.len(),
                    end,
                    sends,
                    request_buffering: bit(0),
                    buffering: bit(1),
                    kept: bit(2),
                    two: bit(3),
                });
            }
        }
    }
    all
}

fn conf(cases: &[Case]) -> String {
    let (groups, locations): (Vec<_>, Vec<_>) = cases.iter().map(Case::conf).unzip();
    format!(
        "worker_processes 1;
worker_rlimit_nofile 4096;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    proxy_http_version 1.1;
    proxy_next_upstream error timeout invalid_header http_503;
    {}
    server {{
        listen 127.0.0.1:8080;
        location / {{ return 200 \"ready\\n\"; }}
        {}
    }}
}}
",
        groups.concat(),
        locations.concat()
    )
}

/// What the backends executed, by case.
type Executed = Arc<Mutex<BTreeMap<usize, Vec<String>>>>;

fn note(executed: &Executed, case: usize, text: String) {
    executed.lock().unwrap_or_else(PoisonError::into_inner).entry(case).or_default().push(text);
}

/// Requests on one connection: `/<end>/<case>`; the second server always answers.
fn backend(stream: TcpStream, port: u16, executed: &Executed) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let headers = client::headers(&mut reader)?;
        let mut words = line.split([' ', '/']).filter(|word| !word.is_empty());
        let method = words.next().unwrap_or_default().to_owned();
        let end = words.next().unwrap_or_default().to_owned();
        let case = words.next().and_then(|word| word.parse().ok()).unwrap_or(usize::MAX);
        let end = if port == 9102 { "ok" } else { end.as_str() };
        let header = |name: &str| {
            headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
        };
        if end == "early" {
            writer.write_all(b"HTTP/1.1 413 Early\r\nContent-Length: 5\r\n\r\nearly")?;
        }
        let length = header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        if end == "wait" || end == "event" {
            return until_closed(&mut reader, &mut writer, end, |text| note(executed, case, format!("{port} {text}")));
        }
        let body = match header("transfer-encoding") {
            Some(_) => client::chunked(&mut reader)?,
            None => client::exactly(&mut reader, length)?,
        };
        note(executed, case, format!("{port} {method} {end} {}", String::from_utf8_lossy(&body)));
        match end {
            "ok" => write!(writer, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{port}")?,
            "early" => {}
            "close" => return Ok(()),
            "midhead" => return writer.write_all(b"HTTP/1.1 200 OK\r\nConte"),
            "garbage" => return writer.write_all(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"),
            "midbody" => return writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
            "midchunk" => return writer.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf"),
            "badchunk" => {
                return writer.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nXX\r\n");
            }
            "status503" => writer.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy")?,
            other => return Err(io::Error::other(format!("no end {other}"))),
        }
    }
}

/// Waits, perhaps after a part of an answer, until the connection is closed.
fn until_closed(reader: &mut impl Read, writer: &mut impl Write, end: &str, note: impl Fn(&str)) -> io::Result<()> {
    note("began");
    if end == "event" {
        // One event of a stream of which the next is far away.
        writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n")?;
    }
    let mut rest = Vec::new();
    let _ = reader.read_to_end(&mut rest);
    note("closed");
    Ok(())
}

fn backends(testbed: &TestBed, executed: &Executed) -> Vec<Service> {
    let listen = |port| testbed.host().run(move || TcpListener::bind(local(port))).expect("a host").expect("a port");
    let start = |port| {
        let executed = executed.clone();
        Service::start(listen(port), move |stream, _| {
            // Before the socket is shut down, so that what was written arrives.
            let copy = stream.try_clone();
            drop(backend(stream, port, &executed));
            drop(copy.map(|copy| copy.shutdown(Shutdown::Both)));
        })
        .expect("a backend")
    };
    [9101, 9102].map(start).into()
}

/// Sends a request with its body, as `sends` says.
fn send(stream: &mut TcpStream, sends: &str, path: &str) -> io::Result<()> {
    let host = "Host: x\r\nConnection: close\r\n";
    match sends {
        "GET" => write!(stream, "GET {path} HTTP/1.1\r\n{host}\r\n"),
        "POST whole" => write!(stream, "POST {path} HTTP/1.1\r\n{host}Content-Length: 5\r\n\r\nhello"),
        "POST split" => {
            write!(stream, "POST {path} HTTP/1.1\r\n{host}Content-Length: 5\r\n\r\nhe")?;
            std::thread::sleep(Duration::from_millis(30));
            stream.write_all(b"llo")
        }
        "POST chunks" => {
            write!(stream, "POST {path} HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n")?;
            std::thread::sleep(Duration::from_millis(30));
            stream.write_all(b"3\r\nllo\r\n0\r\n\r\n")
        }
        other => Err(io::Error::other(format!("no way to send {other}"))),
    }
}

/// Status and body of an answer, and how it ends.
fn got(stream: TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut bytes = Vec::new();
    let end = match reader.read_to_end(&mut bytes) {
        Ok(_) => "",
        Err(error) if client::silence(&error) => " and silence",
        Err(_) => " and a reset",
    };
    let text = String::from_utf8_lossy(&bytes);
    let status = text.split(' ').nth(1).unwrap_or("nothing");
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    // nginx's own pages are compared elsewhere.
    let body = if body.starts_with("<html>") { "page" } else { body };
    format!("{status} {}{end}", body.escape_debug())
}

/// Lives through one case.
fn live(case: &Case) -> io::Result<String> {
    let ask = |end: &str, sends: &str| -> io::Result<String> {
        let mut stream = client::connect(local(8080), LIMIT)?;
        send(&mut stream, sends, &format!("/c{}/{end}/{}", case.number, case.number))?;
        Ok(got(stream))
    };
    if case.kept {
        // Each server has a connection that is kept.
        for _ in 0..if case.two { 2 } else { 1 } {
            ask("ok", "GET")?;
        }
    }
    let end = if case.end == "refuse" { "ok" } else { case.end };
    let first = ask(end, case.sends)?;
    let next = [ask("ok", "GET")?, ask("ok", "GET")?];
    Ok(format!("client got {first}; the next {} and {}", next[0], next[1]))
}

/// Starts a program with these cases and lives through all of them, several at a time.
fn all(program: Program, cases: &[Case], live: fn(&Case) -> io::Result<String>) -> Vec<String> {
    let testbed = TestBed::new(program).expect("a host");
    let executed = Executed::default();
    let _behind = backends(&testbed, &executed);
    testbed.write(&conf(cases)).expect("a configuration");
    testbed.command(&[]).unwrap_or_else(|error| panic!("{program:?} starts: {error}"));
    testbed.wait_for_text(8080, "/", "ready").expect("an answer");
    let mut seen = vec![String::new(); cases.len()];
    let shares: Vec<Vec<Case>> = (0..8).map(|share| cases.iter().skip(share).step_by(8).copied().collect()).collect();
    let threads: Vec<_> = shares
        .into_iter()
        .map(|share| {
            let work = move || share.iter().map(|case| (case.number, live(case))).collect::<Vec<_>>();
            testbed.host().spawn(work).expect("a thread")
        })
        .collect();
    for thread in threads {
        for (number, outcome) in thread.join().expect("no panic") {
            seen[number] = outcome.unwrap_or_else(|error| format!("error: {error}"));
        }
    }
    // What was executed is known when the connections are closed.
    std::thread::sleep(Duration::from_millis(300));
    let executed = executed.lock().unwrap_or_else(PoisonError::into_inner);
    for (case, text) in cases.iter().zip(&mut seen) {
        let mut list = executed.get(&case.number).cloned().unwrap_or_default();
        if case.end == "early" {
            // The answer is there before the request is: the next one may overtake it.
            list.sort_unstable();
        }
        let list = list.join(", ");
        text.push_str(&format!("; executed: {list}"));
    }
    seen
}

/// Compares both programs over all cases; `excused` tells why a case may differ.
fn compare(cases: &[Case], live: fn(&Case) -> io::Result<String>, excused: fn(&Case) -> Option<&'static str>) {
    let theirs = all(Program::Original, cases, live);
    let ours = all(Program::Ours, cases, live);
    if let Some(path) = std::env::var_os("RHA_SHOW_CASES") {
        let text: Vec<_> = cases.iter().zip(&ours).map(|(case, ours)| format!("{}: {ours}\n", case.name())).collect();
        std::fs::write(path, text.concat()).expect("a list");
    }
    let mut differ = Vec::new();
    for (case, (theirs, ours)) in cases.iter().zip(theirs.iter().zip(&ours)) {
        if theirs != ours && excused(case).is_none() {
            differ.push(format!("{}\n    nginx: {theirs}\n    ours:  {ours}", case.name()));
        }
    }
    assert!(differ.is_empty(), "{} of {} cases differ:\n{}", differ.len(), cases.len(), differ.join("\n"));
}

#[test]
fn every_end_of_an_exchange_is_nginxs() {
    compare(&cases(&ENDS, &SENDS), live, |case| match (case.end, case.sends) {
        ("early", "POST split" | "POST chunks") => Some("which of answer and body is first is a matter of time"),
        _ => None,
    });
}

/// The client leaves; whether the backend saw that soon.
fn leave(case: &Case) -> io::Result<String> {
    let mut stream = client::connect(local(8080), LIMIT)?;
    let path = format!("/c{}/{}/{}", case.number, case.end, case.number);
    let host = "Host: x\r\nConnection: close\r\n";
    match case.sends {
        "while it waits" => {
            write!(stream, "GET {path} HTTP/1.1\r\n{host}\r\n")?;
            std::thread::sleep(Duration::from_millis(150));
        }
        "in the middle of the answer" => {
            write!(stream, "GET {path} HTTP/1.1\r\n{host}\r\n")?;
            let mut piece = [0; 100];
            stream.read_exact(&mut piece)?;
        }
        _ => {
            write!(stream, "POST {path} HTTP/1.1\r\n{host}Content-Length: 10\r\n\r\nhello")?;
            std::thread::sleep(Duration::from_millis(150));
        }
    }
    drop(stream);
    std::thread::sleep(Duration::from_millis(700));
    let next = client::get(local(8080), &format!("/c{}/ok/{}", case.number, case.number), &[], LIMIT)?;
    Ok(format!("the next {} {}", next.status, next.text()))
}

#[test]
fn a_backend_is_left_as_soon_as_its_client_has_gone() {
    let mut all = Vec::new();
    for (end, sends) in [("wait", LEAVES[0]), ("event", LEAVES[1]), ("wait", LEAVES[2])] {
        // While it buffers, nginx holds small pieces back: its client would see no event.
        for case in cases(&[end], &[sends]).into_iter().filter(|case| end == "wait" || !case.buffering) {
            all.push(Case { number: all.len(), ..case });
        }
    }
    compare(&all, leave, |_| None);
}

#[test]
fn a_streamed_body_is_not_sent_twice() {
    let testbed = TestBed::new(Program::Ours).expect("a host");
    let executed = Executed::default();
    let _behind = backends(&testbed, &executed);
    testbed
        .write(
            "events { }
http {
    access_log off;
    proxy_http_version 1.1;
    server {
        listen 127.0.0.1:8080;
        error_page 503 = @other;
        proxy_intercept_errors on;
        location / { return 200 \"ready\\n\"; }
        location /one/ { proxy_pass http://127.0.0.1:9101/; proxy_request_buffering off; }
        location @other { rewrite ^/one(.*) $1 break; proxy_pass http://127.0.0.1:9102; }
    }
}
",
        )
        .expect("a configuration");
    testbed.command(&[]).expect("it starts");
    testbed.wait_for_text(8080, "/", "ready").expect("an answer");
    let asked = |sends: &'static str| {
        testbed
            .host()
            .run(move || {
                let mut stream = client::connect(local(8080), LIMIT)?;
                send(&mut stream, sends, "/one/status503/1")?;
                io::Result::Ok(got(stream))
            })
            .expect("a host")
            .expect("an answer")
    };
    assert_eq!(asked("POST whole"), "200 9102");
    assert_eq!(asked("POST split"), "502 page");
    let bodies = |executed: &Executed| {
        executed.lock().unwrap_or_else(PoisonError::into_inner).get(&1).cloned().unwrap_or_default()
    };
    let executed = wait_for("what was executed", LIMIT, || Some(bodies(&executed)).filter(|list| list.len() == 3));
    let executed = executed.expect("three requests");
    assert_eq!(executed, ["9101 POST status503 hello", "9102 POST ok hello", "9101 POST status503 hello"]);
}

/// Bytes of a response that its client does not read for a while.
const LARGE: usize = 20 << 20;

/// A program before a backend that answers every request with `reply`, and the flag that says that all was written.
fn behind(program: Program, conf: &str, reply: Vec<u8>, end: bool) -> (TestBed, Service, Arc<AtomicBool>) {
    let testbed = TestBed::new(program).expect("a host");
    let listener = testbed.host().run(|| TcpListener::bind(local(9101))).expect("a host").expect("a port");
    let written = Arc::new(AtomicBool::new(false));
    let flag = written.clone();
    let serve = move |mut stream: TcpStream, _| {
        let mut head = [0; 4096];
        let _ = stream.read(&mut head);
        if end {
            flag.store(stream.write_all(&reply).is_ok(), Ordering::SeqCst);
        } else {
            while stream.write_all(&reply).is_ok() {}
            flag.store(true, Ordering::SeqCst);
        }
    };
    let service = Service::start(listener, serve).expect("a backend");
    testbed.write(conf).expect("a configuration");
    (testbed, service, written)
}

const BUFFERED: &str = "events { }
http {
    access_log off;
    proxy_temp_path /tmp/small;
    server {
        listen 127.0.0.1:8080;
        location / { return 200 \"ready\\n\"; }
        location /large { proxy_pass http://127.0.0.1:9101; }
    }
}
";

fn large() -> Vec<u8> {
    let mut reply = format!("HTTP/1.0 200 OK\r\nContent-Length: {LARGE}\r\n\r\n").into_bytes();
    reply.extend(pattern(LARGE));
    reply
}

/// Mounts the folder of temporary files.
fn small(testbed: &TestBed, options: &'static str) {
    let mount = move || mount::folder("/tmp/small").and_then(|()| mount::tmpfs("/tmp/small", options));
    testbed.host().run(mount).expect("a host").expect("a folder");
}

/// Asks for the large response; reads it when `first` is done.
fn read_later(testbed: &TestBed, first: impl Fn() + Send + 'static) -> Vec<u8> {
    let talk = move || {
        let mut stream = client::connect(local(8080), LIMIT)?;
        stream.write_all(b"GET /large HTTP/1.0\r\n\r\n")?;
        first();
        Ok(client::response(&mut BufReader::new(stream), false)?.body)
    };
    let body: io::Result<_> = testbed.host().run(talk).expect("a host");
    body.expect("a response")
}

#[test]
fn a_backend_is_free_before_a_slow_client_has_its_answer() {
    for program in [Program::Original, Program::Ours] {
        // In the folder that is made at the start, and belongs to the worker's user.
        let conf = BUFFERED.replace("proxy_temp_path /tmp/small;", "");
        let (testbed, _service, written) = behind(program, &conf, large(), true);
        testbed.command(&[]).unwrap_or_else(|error| panic!("{program:?} starts: {error}"));
        testbed.wait_for_text(8080, "/", "ready").expect("an answer");
        let body = read_later(&testbed, move || {
            wait_for("the backend to be free", LIMIT, || written.load(Ordering::SeqCst).then_some(())).expect("free");
        });
        assert!(body == pattern(LARGE), "{program:?}");
    }
}

#[test]
fn a_response_goes_on_when_its_file_takes_no_more() {
    let (testbed, _service, _) = behind(Program::Ours, BUFFERED, large(), true);
    small(&testbed, "777,size=1m");
    testbed.command(&[]).expect("it starts");
    testbed.wait_for_text(8080, "/", "ready").expect("an answer");
    let body = read_later(&testbed, || std::thread::sleep(Duration::from_millis(300)));
    assert!(body == pattern(LARGE));
    let log = testbed.file("logs/error.log").expect("a log");
    assert!(log.contains("No space left on device"), "{log}");
}

#[test]
fn a_backend_that_only_announces_is_given_up() {
    let interim = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n".to_vec();
    let (testbed, _service, given_up) = behind(Program::Ours, BUFFERED, interim, false);
    small(&testbed, "777,size=1m");
    testbed.command(&[]).expect("it starts");
    testbed.wait_for_text(8080, "/", "ready").expect("an answer");
    assert_eq!(testbed.get(8080, "/large").expect("an answer").status, 502);
    wait_for("the backend's connection to end", LIMIT, || given_up.load(Ordering::SeqCst).then_some(()))
        .expect("an end");
}

#[test]
fn a_switch_of_protocols_that_nobody_asked_for_ends_the_connection() {
    let reply = b"HTTP/1.1 101 Switching\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n\
        HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled";
    let conf = BUFFERED.replace("9101;", "9101; proxy_http_version 1.1; proxy_read_timeout 1s;");
    let [original, ours] = [Program::Original, Program::Ours].map(|program| {
        let (testbed, _service, _) = behind(program, &conf, reply.to_vec(), true);
        testbed.command(&[]).expect("it starts");
        testbed.wait_for_text(8080, "/", "ready").expect("an answer");
        let text = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let answer = testbed.host().run(|| client::raw(local(8080), text, LIMIT)).expect("a host").expect("an answer");
        String::from_utf8_lossy(&answer).into_owned()
    });
    let lines = |answer: &str| -> Vec<String> {
        let fixed = |line: &&str| !line.starts_with("Date: ") && !line.starts_with("Server: ");
        answer.lines().filter(fixed).map(str::to_owned).collect()
    };
    assert_eq!(lines(&ours), ["HTTP/1.1 101 Switching", "Connection: upgrade", "Upgrade: foo", ""]);
    // The head is nginx's, which takes the rest for a body of unknown length on a connection that goes on.
    assert_eq!(lines(&original)[..4], lines(&ours));
}
