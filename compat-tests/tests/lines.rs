//! Lines of the error log that are about the processes, from the start to the end, the installed nginx beside ours.

use std::fs;
use std::io::{self, Read, Write};
use std::net::UdpSocket;

use compat_tests::client;
use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{mount, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PROGRAMS: [Program; 2] = [Program::Original, Program::Ours];

/// A configuration whose error log takes notices.
fn conf(http: &str) -> String {
    format!(
        "error_log logs/life.log notice;
worker_processes 1;
events {{ }}
http {{
    access_log off;
    {http}
    server {{ listen 127.0.0.1:8080; location / {{ return 200 \"ready\\n\"; }} }}
}}
"
    )
}

fn started(program: Program, text: &str) -> TestBed {
    let testbed = TestBed::new(program).expect("a host");
    testbed.write(text).expect("a configuration");
    testbed.command(&["-e", "logs/life.log"]).unwrap_or_else(|error| panic!("{program:?} starts: {error}"));
    testbed.wait_for_text(8080, "/", "ready").expect("an answer");
    testbed
}

/// A line without the numbers of processes.
fn unnumbered(text: &str) -> String {
    let mut before = "";
    let mut words = Vec::new();
    for word in text.split(' ') {
        let number = word.trim_end_matches(',');
        let numeric = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        words.push(match numeric && ["process", "from"].contains(&before) {
            true if number == word => "N",
            true => "N,",
            false => word,
        });
        before = word;
    }
    words.join(" ")
}

/// The log's lines without stamps and process ids. The program's own name, its compiler and nginx's channel between
/// processes (SIGIO) are left out.
fn words(testbed: &TestBed) -> Vec<String> {
    let log = testbed.file("logs/life.log").unwrap_or_default();
    let own = |line: &String| line.contains("] nginx/") || line.contains("] built by") || line.contains("SIGIO");
    let line = |line: &str| {
        let (_, rest) = line.split_once('[')?;
        let (level, rest) = rest.split_once("] ")?;
        let (_, text) = rest.split_once(": ")?;
        Some(format!("[{level}] {}", unnumbered(text)))
    };
    log.lines().filter_map(line).filter(|line| !own(line)).collect()
}

/// Waits until the log ends in these lines, and has more lines than before.
fn wait_for_lines(testbed: &TestBed, before: usize, last: &[&str]) -> Vec<String> {
    let ended = || Some(words(testbed)).filter(|lines| lines.len() > before && lines.ends_with(&owned(last)));
    wait_for(&format!("{last:?}"), LIMIT, ended).unwrap_or_else(|error| panic!("{error}: {:#?}", words(testbed)))
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

fn worker(testbed: &TestBed) -> Pid {
    let master = testbed.master().expect("a master");
    *testbed.workers(master).expect("workers").first().expect("a worker")
}

/// What happens to a server, and the lines that end it.
type Step = (fn(&TestBed), &'static [&'static str]);

const STARTED: &[&str] = &["[notice] start worker process N"];

const LIFE: &[Step] = &[
    (|testbed| kill(worker(testbed), Signal::SIGKILL).expect("a worker"), STARTED),
    (|testbed| kill(worker(testbed), Signal::SIGTERM).expect("a worker"), STARTED),
    (
        |testbed| testbed.signal(Signal::SIGUSR1).expect("a master"),
        &["[notice] reopening logs", "[notice] reopening logs"],
    ),
    (
        |testbed| drop(testbed.command(&["-e", "logs/life.log", "-s", "reopen"]).expect("-s reopen")),
        &["[notice] reopening logs", "[notice] reopening logs"],
    ),
    (|testbed| testbed.signal(Signal::SIGWINCH).expect("a master"), &["[notice] worker process N exited with code 0"]),
    (|testbed| testbed.signal(Signal::SIGHUP).expect("a master"), STARTED),
    (
        |testbed| drop(testbed.command(&["-e", "logs/life.log", "-s", "quit"]).expect("-s quit")),
        &["[notice] worker process N exited with code 0", "[notice] exit"],
    ),
];

#[test]
fn a_life_is_logged_as_nginx_logs_it() {
    let [theirs, ours] = PROGRAMS.map(|program| {
        let testbed = started(program, &conf(""));
        let mut lines = wait_for_lines(&testbed, 0, STARTED);
        for pid in [testbed.master().expect("a master"), worker(&testbed)] {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
            assert!(status.contains("Umask:\t0000"), "{program:?}: {status}");
        }
        for (act, last) in LIFE {
            act(&testbed);
            lines = wait_for_lines(&testbed, lines.len(), last);
            // A signal that reaches nginx's worker before it waits for events is seen with its next event only.
            if *last == STARTED {
                testbed.wait_for_text(8080, "/", "ready").expect("an answer");
            }
        }
        lines
    });
    assert_eq!(ours, theirs);
    assert!(ours.contains(&"[notice] signal process started".to_owned()), "{ours:#?}");
}

/// Starts the program on another file; what it printed and logged.
fn refused(program: Program, text: &str) -> (String, Vec<String>) {
    let testbed = TestBed::new(program).expect("a host");
    let text = text.to_owned();
    let write = move || mount::file(&format!("{PREFIX}/conf/other.conf"), text.as_bytes(), 0o644);
    testbed.host().run(write).expect("a host").expect("a file");
    let error = testbed.command(&["-e", "logs/life.log", "-c", "conf/other.conf"]).expect_err("a start that fails");
    (error.to_string(), words(&testbed))
}

#[test]
fn why_a_start_is_refused_is_in_the_error_log() {
    let http = "events { } http { access_log off; server { listen 127.0.0.1:8080; } }";
    let cases = [
        ("unknown directive \"nonsense\"", format!("{http} nonsense;")),
        ("bind() to 192.0.2.77:80 failed", http.replace("127.0.0.1:8080", "192.0.2.77:80")),
        ("open() \"/nonexistent/a.log\" failed", http.replace("off", "/nonexistent/a.log")),
        ("open() \"/nonexistent/a.pid\" failed", format!("pid /nonexistent/a.pid; {http}")),
    ];
    for (message, text) in cases {
        let text = format!("error_log logs/life.log notice;\n{text}");
        // Debian's nginx writes its pid file later than nginx does.
        let emergencies = |mut lines: Vec<String>| {
            lines.retain(|line| line.starts_with("[emerg] "));
            lines
        };
        let theirs = emergencies(refused(Program::Original, &text).1);
        let (shown, ours) = refused(Program::Ours, &text);
        let ours = emergencies(ours);
        assert_eq!(ours, theirs, "{message}");
        assert!(ours.iter().any(|line| line.contains(message)), "{message}: {ours:#?}");
        assert!(shown.contains(&format!("nginx: [emerg] {message}")), "{message}: {shown}");
    }
}

#[test]
fn an_address_in_use_is_in_the_error_log_with_every_try() {
    let logged = PROGRAMS.map(|program| {
        let testbed = started(program, &conf(""));
        let before = wait_for_lines(&testbed, 0, STARTED).len();
        testbed.command(&["-e", "logs/life.log"]).expect_err("the port is taken");
        words(&testbed).split_off(before)
    });
    let [theirs, ours] = logged;
    assert_eq!(ours, theirs);
    assert_eq!(ours.last().map(String::as_str), Some("[emerg] still could not bind()"));
}

#[test]
fn a_full_disk_under_the_access_log_is_an_alert() {
    for program in PROGRAMS {
        let testbed = started(program, &conf("").replace("access_log off", "access_log /dev/full"));
        for _ in 0..5 {
            testbed.get(8080, "/").expect("an answer");
        }
        let text = "write() to \"/dev/full\" failed (28: No space left on device) while logging request";
        let alerts = || -> Vec<_> { words(&testbed).into_iter().filter(|line| line.contains(text)).collect() };
        wait_for("an alert", LIMIT, || (!alerts().is_empty()).then_some(()))
            .unwrap_or_else(|error| panic!("{program:?}: {error}: {:#?}", words(&testbed)));
        // Once a minute.
        assert_eq!(alerts().len(), 1, "{program:?}");
        assert!(alerts().iter().all(|line| line.starts_with("[alert] ")), "{program:?}: {:#?}", alerts());
    }
}

#[test]
fn lines_to_syslog_have_their_time_stamp() -> io::Result<()> {
    for program in PROGRAMS {
        let testbed = TestBed::new(program)?;
        let server = testbed.host().run(|| UdpSocket::bind(local(5514)))??;
        server.set_read_timeout(Some(LIMIT))?;
        testbed.write(&conf("").replace("logs/life.log", "syslog:server=127.0.0.1:5514,tag=web,nohostname"))?;
        testbed.command(&["-e", "logs/life.log"])?;
        let mut packet = [0; 2000];
        let length = server.recv(&mut packet)?;
        let text = String::from_utf8_lossy(&packet[..length]).into_owned();
        let (_, line) = text.split_once("web: ").unwrap_or_else(|| panic!("{program:?}: {text}"));
        let shape: String = line.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).take(30).collect();
        assert_eq!(shape, "0000/00/00 00:00:00 [notice] 0", "{program:?}: {text}");
    }
    Ok(())
}

#[test]
fn lines_of_before_usr1_are_in_the_old_access_log() {
    for program in PROGRAMS {
        let testbed =
            started(program, &conf("").replace("access_log off", "access_log logs/access.log combined buffer=64k"));
        testbed.get(8080, "/before").expect("an answer");
        assert_eq!(testbed.file("logs/access.log").expect("a log"), "", "{program:?}: lines wait");
        testbed.rename("logs/access.log", "logs/old.log").expect("a log");
        testbed.signal(Signal::SIGUSR1).expect("a master");
        let has = || testbed.file("logs/old.log").ok().filter(|log| log.contains("/before"));
        wait_for("the line in the old log", LIMIT, has).unwrap_or_else(|error| panic!("{program:?}: {error}"));
        let new = wait_for("a new log", LIMIT, || testbed.file("logs/access.log").ok()).expect("a new log");
        assert!(!new.contains("/before"), "{program:?}: {new}");
    }
}

#[test]
fn a_second_change_of_the_binary_is_ignored() {
    for program in PROGRAMS {
        let testbed = started(program, &conf(""));
        let old = testbed.master().expect("a master");
        kill(old, Signal::SIGUSR2).expect("a master");
        let new = wait_for("a new master", LIMIT, || testbed.master().ok().filter(|pid| *pid != old))
            .unwrap_or_else(|error| panic!("{program:?}: {error}"));
        wait_for("new workers", LIMIT, || testbed.workers(new).ok().filter(|all| !all.is_empty()))
            .expect("new workers");
        for (count, master) in [(1, old), (2, new)] {
            kill(master, Signal::SIGUSR2).expect("a master");
            let text = "[crit] the changing binary signal is ignored: you should shutdown or terminate before either old \
                        or new binary's process";
            let said = || (words(&testbed).iter().filter(|line| *line == text).count() == count).then_some(());
            wait_for("the refusal", LIMIT, said)
                .unwrap_or_else(|error| panic!("{program:?}: {error}: {:#?}", words(&testbed)));
        }
        kill(new, Signal::SIGTERM).expect("the new master");
        testbed.wait_for_end(new).unwrap_or_else(|error| panic!("{program:?}: {error}"));
        testbed.wait_for_text(8080, "/", "ready").expect("the old one serves");
    }
}

#[test]
fn headers_that_fill_the_buffers_are_logged_as_nginx_logs_them() {
    let line = |name: &str, length: usize| format!("{name}: {}\r\n", "v".repeat(length));
    let heads = [
        line("A", 40).repeat(900),
        line("Long", 40_000),
        format!("{}{}", line("A", 90).repeat(300), line("Long", 8000)),
        line("A", 4000).repeat(9),
    ];
    let [theirs, ours] = PROGRAMS.map(|program| {
        let testbed = started(program, &conf("").replace("notice", "info"));
        for head in &heads {
            let bytes = format!("GET / HTTP/1.1\r\nHost: x\r\n{head}\r\n").into_bytes();
            let answer = testbed.host().run(move || client::raw(local(8080), &bytes, LIMIT)).expect("a host");
            assert!(answer.expect("an answer").starts_with(b"HTTP/1.1 400 Bad Request"), "{program:?}");
        }
        let told = || {
            let lines: Vec<_> = words(&testbed).into_iter().filter(|line| line.contains("too long header")).collect();
            (lines.len() == heads.len()).then_some(lines)
        };
        let lines = wait_for("the lines", LIMIT, told);
        // Every line of the log is one: what clients send begins none.
        let log = testbed.file("logs/life.log").unwrap_or_default();
        assert!(log.lines().all(|line| line.contains(" [")), "{program:?}: {log}");
        lines.unwrap_or_else(|error| panic!("{program:?}: {error}: {log}"))
    });
    assert_eq!(ours, theirs);
}

#[test]
fn a_proxy_header_that_is_too_large_ends_its_connection_without_a_reset() {
    const OPTIONS: u16 = 3000;
    let addresses = [10, 1, 2, 3, 10, 4, 5, 6, 4, 87, 0, 80];
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    header.extend((addresses.len() as u16 + 3 + OPTIONS).to_be_bytes());
    header.extend(addresses);
    header.push(4);
    header.extend(OPTIONS.to_be_bytes());
    header.extend([b'z'; OPTIONS as usize]);
    for program in PROGRAMS {
        let testbed = started(program, &conf("server { listen 127.0.0.1:8081 proxy_protocol; }"));
        let header = header.clone();
        let ended = testbed.host().run(move || -> io::Result<usize> {
            let mut stream = client::connect(local(8081), LIMIT)?;
            stream.write_all(&header)?;
            stream.read_to_end(&mut Vec::new())
        });
        let ended = ended.expect("a host");
        let is_reset = ended.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset);
        assert_eq!(is_reset, program == Program::Original, "{ended:?}");
        let told = || words(&testbed).into_iter().find(|line| line.contains("header is too large"));
        wait_for("the line", LIMIT, told).unwrap_or_else(|error| panic!("{program:?}: {error}"));
    }
}
