//! Signals and `-s`: what an operator's scripts rely on, asked of nginx and of rnginx alike.

use std::io::{Read, Write};
use std::time::Duration;

use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{client, wait_for};
use nix::sys::signal::{Signal, kill};

/// Who is asked.
const PROGRAMS: &[Program] = &[Program::Original, Program::Ours];

const CONF: &str = "worker_processes 1;
events { }
http {
    access_log logs/access.log;
    server {
        listen 127.0.0.1:8080;
        location / { return 200 \"first\\n\"; }
        location /slow { proxy_pass http://127.0.0.1:9001; }
    }
}
";

fn started(program: Program, conf: &str) -> TestBed {
    let testbed = TestBed::new(program).expect("a host");
    testbed.write(conf).expect("a configuration");
    testbed.command(&[]).unwrap_or_else(|error| panic!("{program:?} starts: {error}"));
    testbed.wait_for_text(8080, "/", "first").expect("an answer");
    testbed
}

#[test]
fn usr1_and_reopen_open_the_logs_anew() {
    for program in PROGRAMS {
        let testbed = started(*program, CONF);
        for (old, by_signal) in [("logs/old.1", true), ("logs/old.2", false)] {
            testbed.rename("logs/access.log", old).expect("the log is there");
            if by_signal {
                testbed.signal(Signal::SIGUSR1).expect("a master");
            } else {
                testbed.command(&["-s", "reopen"]).expect("-s reopen");
            }
            wait_for("a new log", LIMIT, || testbed.file("logs/access.log").ok()).expect("a new log");
            let sees = || {
                testbed.get(8080, "/after").expect("an answer");
                testbed.file("logs/access.log").ok().filter(|log| log.contains("/after"))
            };
            wait_for("lines in the new log", LIMIT, sees)
                .unwrap_or_else(|error| panic!("{program:?} by signal {by_signal}: {error}"));
        }
    }
}

#[test]
fn quit_lets_a_request_finish_and_term_does_not() {
    for program in PROGRAMS {
        for (signal, word, finishes) in [(Signal::SIGQUIT, "quit", true), (Signal::SIGTERM, "stop", false)] {
            for by_signal in [true, false] {
                let testbed = started(*program, CONF);
                let master = testbed.master().expect("a master");
                // The answer comes in two halves with a second between them.
                let listener =
                    testbed.host().run(|| std::net::TcpListener::bind(local(9100))).expect("a host").expect("a port");
                testbed.write(&CONF.replace("9001", "9100")).expect("a configuration");
                testbed.command(&["-s", "reload"]).expect("-s reload");
                let slow = std::thread::spawn(move || {
                    let (mut stream, _) = listener.accept().expect("a request");
                    let _ = stream.read(&mut [0; 4096]);
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
                    std::thread::sleep(Duration::from_millis(800));
                    let _ = stream.write_all(b"other");
                });
                let asked = testbed
                    .host()
                    .spawn(|| {
                        // A worker of before the reload may still answer the first ones.
                        wait_for("the slow backend", LIMIT, || {
                            client::raw(local(8080), b"GET /slow HTTP/1.0\r\n\r\n", LIMIT)
                                .ok()
                                .filter(|answer| answer.is_empty() || answer.windows(5).any(|five| five == b"first"))
                        })
                    })
                    .expect("a host");
                std::thread::sleep(Duration::from_millis(400));
                if by_signal {
                    kill(master, signal).expect("a master");
                } else {
                    testbed.command(&["-s", word]).expect("-s");
                }
                let answer = asked.join().expect("a client").expect("an answer");
                assert_eq!(answer.ends_with(b"firstother"), finishes, "{program:?} {word}: {}", answer.escape_ascii());
                testbed.wait_for_end(master).expect("it ends");
                assert!(testbed.file("logs/nginx.pid").is_err(), "{program:?} {word}: the pid file stays");
                assert!(testbed.get(8080, "/").is_err(), "{program:?} {word}: somebody still listens");
                slow.join().expect("a backend");
            }
        }
    }
}

#[test]
fn a_broken_configuration_leaves_the_old_one_serving() {
    for program in PROGRAMS {
        let testbed = started(*program, CONF);
        testbed.write("events { } http { nonsense; }").expect("a configuration");
        assert!(testbed.command(&["-s", "reload"]).is_err(), "{program:?}: -s reload says that it did not work");
        testbed.signal(Signal::SIGHUP).expect("a master");
        let told = || testbed.file("logs/error.log").ok().filter(|log| log.contains("unknown directive \"nonsense\""));
        wait_for("the reason in the error log", LIMIT, told).expect("the reason in the error log");
        assert_eq!(testbed.get(8080, "/").expect("an answer").text(), "first\n");
    }
}

#[test]
fn winch_ends_the_workers_and_hup_brings_them_back() {
    for program in PROGRAMS {
        let testbed = started(*program, CONF);
        let master = testbed.master().expect("a master");
        testbed.signal(Signal::SIGWINCH).expect("a master");
        wait_for("no workers", LIMIT, || testbed.workers(master).ok().filter(Vec::is_empty)).expect("no workers");
        testbed.signal(Signal::SIGHUP).expect("a master");
        testbed.wait_for_text(8080, "/", "first").expect("workers again");
        assert_eq!(testbed.master().expect("a master"), master);
    }
}

#[test]
fn a_killed_worker_is_replaced_and_waiting_connections_are_served() {
    for program in PROGRAMS {
        let testbed = started(*program, CONF);
        let master = testbed.master().expect("a master");
        let workers = testbed.workers(master).expect("workers");
        workers.iter().for_each(|worker| kill(*worker, Signal::SIGKILL).expect("a worker"));
        let begin = std::time::Instant::now();
        assert_eq!(testbed.get(8080, "/").expect("a connection that waited").text(), "first\n");
        println!("{program:?}: served {:?} after the worker was killed", begin.elapsed());
        let fresh = testbed.workers(master).expect("workers");
        assert!(!fresh.is_empty() && fresh.iter().all(|pid| !workers.contains(pid)));
        let told = || testbed.file("logs/error.log").ok().filter(|log| log.contains("exited on signal 9"));
        wait_for("the alert", LIMIT, told).expect("the alert");
    }
}

#[test]
fn a_second_start_on_the_same_port_is_refused_as_nginx_refuses_it() {
    for program in PROGRAMS {
        let testbed = started(*program, CONF);
        let error = testbed.command(&[]).expect_err("the port is taken").to_string();
        let words = "bind() to 127.0.0.1:8080 failed (98: Address already in use)";
        assert!(error.contains(words) && error.contains("still could not bind()"), "{program:?}: {error}");
    }
}

#[test]
fn a_signal_without_a_pid_file_is_refused_as_nginx_refuses_it() {
    for program in PROGRAMS {
        let testbed = TestBed::new(*program).expect("a host");
        testbed.write(CONF).expect("a configuration");
        let error = testbed.command(&["-s", "stop"]).expect_err("nobody runs").to_string();
        let words = "open() \"/usr/local/nginx-1.23.4/logs/nginx.pid\" failed (2: No such file or directory)";
        assert!(error.contains(words), "{program:?}: {error}");
    }
}

#[test]
fn a_single_process_serves_on_when_it_is_asked_to_reload() {
    let testbed = started(Program::Ours, &format!("error_log logs/error.log notice;\nmaster_process off;\n{CONF}"));
    testbed.write(&format!("master_process off;\n{}", CONF.replace("first", "second"))).expect("a configuration");
    testbed.signal(Signal::SIGHUP).expect("a process");
    let log = || testbed.file("logs/error.log").ok().filter(|log| log.contains("(SIGHUP) received"));
    let log = wait_for("the signal to arrive", LIMIT, log).expect("a line");
    assert!(log.lines().any(|line| line.contains("(SIGHUP) received") && line.ends_with(", ignoring")), "{log}");
    testbed.wait_for_text(8080, "/", "first").expect("an answer");
}
