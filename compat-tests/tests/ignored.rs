//! What nginx says that it ignores is ignored: with it and without it the same requests get the same answers, from both
//! programs, which say the same line. What keepalived says so of is in `keepalived_ignored`.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{client, mount, wait_for};
use nix::sys::signal::{Signal, kill};

use crate::tls::{curl, prepared, shell};

const PROGRAMS: [Program; 2] = [Program::Original, Program::Ours];

/// A message, and what is ignored.
struct Ignored {
    /// What the line says, from its first to its last word that is the same everywhere.
    says: (&'static str, &'static str),
    /// A configuration with `@` in the place of the ignored.
    file: &'static str,
    /// What stands at `@`, in the one of two runs.
    ignored: &'static str,
}

/// Two servers of one address; `host` chooses.
const NAMES: &str = "http { server { listen 8080; server_name a; location / { return 200 \"first $host\\n\"; } }
    server { listen 8080; server_name b @; location / { return 200 \"second $host\\n\"; } } }";

const GATEWAY: &str = "http { server { listen 8080; location / { proxy_pass http://127.0.0.1:9101; @ } } }";
const FASTCGI: &str = "http { server { listen 8080; location / { fastcgi_pass 127.0.0.1:9101; @ } } }";
const PLAIN: &str = "http { server { listen 8080 @; location / { return 200 \"here $host\\n\"; } } }";
const IN_SERVER: &str = "http { server { listen 8080; @ location / { return 200 \"here $host\\n\"; } } }";
const TLS: &str = "http { server { listen 8443 ssl; @ ssl_certificate cert.pem; ssl_certificate_key key.pem; \
                   location / { return 200 \"here $ssl_protocol $ssl_cipher\\n\"; } } }";

const CASES: &[Ignored] = &[
    Ignored { says: ("conflicting server name \"a\" on 0.0.0.0:8080", ", ignored"), file: NAMES, ignored: "a" },
    Ignored { says: ("conflicting server name \"b\" on 0.0.0.0:8080", ", ignored"), file: NAMES, ignored: "b" },
    Ignored {
        says: ("accept filters \"accept_filter=dataready\"", "are not supported on this platform, ignored"),
        file: PLAIN,
        ignored: "accept_filter=dataready",
    },
    Ignored { says: ("\"send_lowat\"", "is not supported, ignored"), file: IN_SERVER, ignored: "send_lowat 1000;" },
    Ignored {
        says: ("\"proxy_send_lowat\"", "is not supported, ignored"),
        file: GATEWAY,
        ignored: "proxy_send_lowat 1000;",
    },
    Ignored {
        says: ("\"fastcgi_send_lowat\"", "is not supported, ignored"),
        file: FASTCGI,
        ignored: "fastcgi_send_lowat 1000;",
    },
    Ignored {
        says: ("\"debug_connection\" is ignored, you need to rebuild nginx", "to enable it"),
        file: "events { @ } http { server { listen 8080; location / { return 200 \"here\\n\"; } } }",
        ignored: "debug_connection 127.0.0.1;",
    },
    Ignored { says: ("\"ssl_stapling\" ignored, ", "cert.pem"), file: TLS, ignored: "ssl_stapling on;" },
    Ignored {
        says: ("could not build optimal server_names_hash", "; ignoring server_names_hash_bucket_size"),
        file: "http { @ server { listen 8080; server_name a b c d e f g h i j k l m n o p q r s t u v w; \
               location / { return 200 \"first $host\\n\"; } } server { listen 8080; server_name z y x; \
               location / { return 200 \"second $host\\n\"; } } }",
        ignored: "server_names_hash_max_size 2; server_names_hash_bucket_size 64;",
    },
];

const ONCE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";

/// The same as a FastCGI response: a record of output, and the end.
const RECORDS: &[u8] = b"\x01\x06\0\x01\0\x1f\x01\0Content-Type: text/plain\r\n\r\nok\n\0\
                         \x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0";

/// Headers that a response has once, all of them twice.
const TWICE: &[u8] = b"HTTP/1.1 200 OK\r\nETag: 1\r\nETag: 2\r\nServer: 1\r\nServer: 2\r\nDate: 1\r\nDate: 2\r\n\
                       Last-Modified: 1\r\nLast-Modified: 2\r\nLocation: 1\r\nLocation: 2\r\nRefresh: 1\r\nRefresh: 2\r\n\
                       Content-Type: 1\r\nContent-Type: 2\r\nExpires: 1\r\nExpires: 2\r\nVary: 1\r\nVary: 2\r\n\
                       Content-Length: 3\r\nConnection: close\r\n\r\nok\n";

/// A backend that gives `answer` to whatever comes.
fn backend(testbed: &TestBed, answer: &'static [u8]) -> io::Result<()> {
    let listener = testbed.host().run(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 9101)))??;
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let _ = stream.write_all(answer);
            let _ = stream.shutdown(Shutdown::Write);
        }
    });
    Ok(())
}

/// The answers to a few requests: what is the same each time.
fn behaviour(testbed: &TestBed, tls: bool) -> Vec<String> {
    let plain = ["a", "b", "z"].map(|name| {
        let ask = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
        let answer = testbed.host().run(move || client::raw(local(8080), ask.as_bytes(), LIMIT));
        let answer = answer.ok().and_then(Result::ok).unwrap_or_default();
        let text = String::from_utf8_lossy(&answer).into_owned();
        text.lines()
            .filter(|line| !line.starts_with("Date: ") && !line.starts_with("Server: "))
            .collect::<Vec<_>>()
            .join("|")
    });
    if !tls {
        return plain.to_vec();
    }
    let asked = ["--tls-max 1.2", "--tlsv1.3"];
    asked.map(|words| curl(testbed, &format!("{words} https://127.0.0.1:8443/"))).to_vec()
}

/// What a program says when it starts with this file, and what it does then.
fn outcome(program: Program, file: &str, tls: bool) -> (String, Vec<String>) {
    let head = if file.contains("events {") { "" } else { "events { }\n" };
    let testbed = prepared(program, &format!("{head}{file}"));
    let answer = if file.contains("fastcgi_pass") { RECORDS } else { ONCE };
    backend(&testbed, answer).expect("a backend");
    let said = testbed.command(&[]).unwrap_or_else(|error| panic!("{} {file}: {error}", program.name()));
    let port = if tls { 8443 } else { 8080 };
    let connects = || testbed.host().run(move || client::connect(local(port), LIMIT).is_ok()).ok()?.then_some(());
    wait_for("a listener", LIMIT, connects).expect("a listener");
    (said, behaviour(&testbed, tls))
}

#[test]
fn what_nginx_says_it_ignores_is_ignored() {
    for case in CASES {
        let tls = case.file.contains("8443");
        let mut seen = Vec::new();
        // Debian's nginx is built to debug.
        let programs = if case.ignored.contains("debug_connection") { &PROGRAMS[1..] } else { &PROGRAMS };
        for program in programs.iter().copied() {
            let (said, with) = outcome(program, &case.file.replace('@', case.ignored), tls);
            let (first, last) = case.says;
            let told = said.lines().any(|line| line.split_once(first).is_some_and(|(_, rest)| rest.contains(last)));
            assert!(told, "{}: {first} … {last}: {said}", program.name());
            let (silent, without) = outcome(program, &case.file.replace('@', ""), tls);
            assert!(!silent.contains(first), "{}: {silent}", program.name());
            assert_eq!(with, without, "{}: {first}", program.name());
            assert!(with.iter().any(|answer| answer.contains("200")), "{with:?}");
            seen.push(with);
        }
        // Debian's OpenSSL and ours prefer other ciphers for TLS 1.3.
        if !tls {
            assert!(seen.windows(2).all(|two| two[0] == two[1]), "{}: {seen:?}", case.says.0);
        }
    }
}

/// Second lines of headers that a response has once: the client gets the first ones, and the log names both, as from nginx
/// 1.23.4 (the installed one may be older, and pass on both).
#[test]
fn a_header_line_of_a_backend_that_is_ignored_is_not_passed_on() {
    let testbed =
        prepared(Program::Ours, &format!("error_log logs/warn.log warn; events {{ }} {}", GATEWAY.replace('@', "")));
    backend(&testbed, TWICE).expect("a backend");
    testbed.command(&[]).expect("a start");
    testbed.wait_for_listener().expect("a listener");
    let answer = testbed.get(8080, "/").expect("an answer");
    let log = testbed.file("logs/warn.log").expect("a log");
    for name in ["ETag", "Server", "Date", "Last-Modified", "Location", "Refresh", "Content-Type", "Expires"] {
        let values: Vec<&str> =
            answer.headers.iter().filter(|(one, _)| one == name).map(|(_, value)| value.as_str()).collect();
        let own = matches!(name, "Server" | "Date");
        assert!(values.len() == 1 && (own || values == ["1"]), "{name}: {values:?}");
        let line = format!(
            "upstream sent duplicate header line: \"{name}: 2\", previous value: \"{name}: 1\", ignored while reading \
             response header from upstream"
        );
        assert!(log.contains(&line), "{line}\n{log}");
    }
    assert_eq!(answer.headers.iter().filter(|(name, _)| name == "Vary").count(), 2);
    assert!(!log.contains("\"Vary"), "{log}");
}

/// A server that is said to be disabled for a time is not asked in it.
#[test]
fn a_server_that_is_disabled_is_not_asked() {
    for program in PROGRAMS {
        let text = "error_log logs/warn.log warn; events { } http { upstream u { server 127.0.0.1:9102; server 127.0.0.1:9101; } \
                    server { listen 8080; location / { proxy_pass http://u; } } }";
        let testbed = prepared(program, text);
        backend(&testbed, ONCE).expect("a backend");
        testbed.command(&[]).expect("a start");
        testbed.wait_for_listener().expect("a listener");
        for _ in 0..6 {
            assert_eq!(testbed.get(8080, "/").expect("an answer").text(), "ok\n");
        }
        let log = testbed.file("logs/warn.log").expect("a log");
        let counted = |what: &str| log.matches(what).count();
        let seen =
            (counted("upstream server temporarily disabled while connecting to upstream"), counted("connect() failed"));
        assert_eq!(seen, (1, 1), "{}: {log}", program.name());
    }
}

/// Started by somebody who may not change users: whom `user` names does not matter.
#[test]
fn user_is_ignored_by_who_may_not_change_users() {
    for program in PROGRAMS {
        let testbed = TestBed::new(program).expect("a host");
        let text = "user www-data; pid /tmp/own/nginx.pid; error_log /tmp/own/error.log; events { } http { access_log off; \
                    client_body_temp_path /tmp/own/b; proxy_temp_path /tmp/own/p; fastcgi_temp_path /tmp/own/f; \
                    uwsgi_temp_path /tmp/own/u; scgi_temp_path /tmp/own/s; \
                    server { listen 8080; return 200 \"here\\n\"; } }";
        let put = move || -> io::Result<()> {
            mount::file("/tmp/own/nginx.conf", text.as_bytes(), 0o644)?;
            std::os::unix::fs::chown("/tmp/own", Some(1234), Some(1234))
        };
        testbed.host().run(put).expect("a host").expect("files");
        let mut command = Command::new(format!("{PREFIX}/sbin/nginx"));
        command.args(["-c", "/tmp/own/nginx.conf", "-e", "/tmp/own/error.log"]).uid(1234).gid(1234);
        let running = testbed.host().start(command).expect("a program");
        running.success(LIMIT).unwrap_or_else(|error| panic!("{}: {error}", program.name()));
        let line =
            "the \"user\" directive makes sense only if the master process runs with super-user privileges, ignored";
        assert!(running.output().contains(line), "{}: {}", program.name(), running.output());
        testbed.wait_for_text(8080, "/", "here").expect("an answer");
        let users = shell(
            &testbed,
            "for p in $(cat /tmp/own/nginx.pid) $(cat /proc/$(cat /tmp/own/nginx.pid)/task/*/children); do grep Uid: /proc/$p/status; done",
        );
        let lines: Vec<&str> = users.lines().collect();
        assert!(lines.len() >= 2 && lines.iter().all(|line| *line == "Uid:\t1234\t1234\t1234\t1234"), "{users}");
    }
}

/// A worker that is told what only a master does goes on.
#[test]
fn a_worker_ignores_signals_that_are_its_masters() {
    for program in PROGRAMS {
        let testbed = TestBed::new(program).expect("a host");
        let text = "worker_processes 1; error_log logs/notice.log notice; events { } \
                    http { server { listen 8080; return 200 \"first\\n\"; } }";
        testbed.write(text).expect("a configuration");
        testbed.command(&[]).expect("a start");
        let worker = testbed.workers(testbed.master().expect("a master")).expect("workers")[0];
        for (signal, name) in [(Signal::SIGHUP, "SIGHUP"), (Signal::SIGUSR2, "SIGUSR2")] {
            kill(worker, signal).expect("a worker");
            wait_for("a line", LIMIT, || {
                let log = testbed.file("logs/notice.log").ok()?;
                let mut lines = log.lines().filter(|line| line.contains(&format!("({name}) received")));
                lines.any(|line| line.ends_with(", ignoring")).then_some(())
            })
            .unwrap_or_else(|error| panic!("{} {name}: {error}", program.name()));
            assert_eq!(testbed.get(8080, "/").expect("an answer").text(), "first\n");
            assert_eq!(testbed.workers(testbed.master().expect("a master")).expect("workers"), [worker]);
        }
    }
}

/// What rustls does not speak is named at the start, and not spoken; what is left is.
#[test]
fn what_is_not_spoken_is_not_spoken() {
    let file = TLS.replace('@', "ssl_protocols TLSv1 TLSv1.1 TLSv1.2;");
    let testbed = prepared(Program::Ours, &format!("events {{ }} {file}"));
    let said = testbed.command(&[]).expect("a start");
    assert!(said.contains("name what is not supported and ignored: TLSv1, TLSv1.1"), "{said}");
    let ask = |words: &str| curl(&testbed, &format!("{words} --ciphers DEFAULT@SECLEVEL=0 https://127.0.0.1:8443/"));
    wait_for("an answer", LIMIT, || ask("--tls-max 1.2").contains("|200|").then_some(())).expect("TLS 1.2");
    assert!(ask("--tls-max 1.1").contains("|000|"), "{}", ask("--tls-max 1.1"));
    assert!(ask("--tlsv1.3").contains("|000|"), "{}", ask("--tlsv1.3"));
}
