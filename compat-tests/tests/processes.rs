//! Parent and workers when something goes wrong, the installed nginx beside ours: who still listens, who ends, who serves.

use std::fs::{self, Permissions};
use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;

use compat_tests::peer::PREFIX;
use compat_tests::program::{Program, installed};
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{client, mount, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PROGRAMS: [Program; 2] = [Program::Original, Program::Ours];

/// A configuration with these directives in events and in http.
fn conf(events: &str, http: &str) -> String {
    format!(
        "worker_processes 1;
events {{ {events} }}
http {{
    access_log off;
    server {{ listen 127.0.0.1:8080; location / {{ return 200 \"ready\\n\"; }} location /slow {{ proxy_pass http://127.0.0.1:9101; }} }}
    {http}
}}
"
    )
}

fn started(program: Program, events: &str) -> TestBed {
    let testbed = TestBed::new(program).expect("a host");
    testbed.write(&conf(events, "")).expect("a configuration");
    testbed.command(&[]).unwrap_or_else(|error| panic!("{program:?} starts: {error}"));
    testbed.wait_for_text(8080, "/", "ready").expect("an answer");
    testbed
}

/// Whether a port of the host takes connections.
fn listens(testbed: &TestBed, port: u16) -> bool {
    testbed.host().run(move || TcpStream::connect(local(port)).is_ok()).expect("a host")
}

fn worker(testbed: &TestBed) -> Pid {
    let master = testbed.master().expect("a master");
    *testbed.workers(master).expect("workers").first().expect("a worker")
}

#[test]
fn nobody_can_connect_to_a_server_that_quits() {
    for program in PROGRAMS {
        let testbed = started(program, "");
        let master = testbed.master().expect("a master");
        let backend = testbed.host().run(|| std::net::TcpListener::bind(local(9101))).expect("a host").expect("a port");
        let talk = || {
            let mut stream = client::connect(local(8080), LIMIT)?;
            stream.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
            client::response(&mut BufReader::new(stream), false)
        };
        let waiting = testbed.host().spawn(talk).expect("a thread");
        let (mut request, _) = backend.accept().expect("the request");
        let mut head = [0; 1000];
        let _ = request.read(&mut head).expect("a head");
        testbed.signal(Signal::SIGQUIT).expect("a master");
        wait_for("the port to be closed", LIMIT, || (!listens(&testbed, 8080)).then_some(()))
            .unwrap_or_else(|error| panic!("{program:?}: {error}"));
        request.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\ndone").expect("an answer");
        let answer = waiting.join().expect("no panic").unwrap_or_else(|error| panic!("{program:?}: {error}"));
        assert_eq!(answer.text(), "done", "{program:?}");
        testbed.wait_for_end(master).unwrap_or_else(|error| panic!("{program:?}: {error}"));
    }
}

#[test]
fn a_reload_that_fails_leaves_no_listener_behind() {
    for program in PROGRAMS {
        let testbed = started(program, "");
        // The second address is on no interface.
        testbed.write(&conf("", "server { listen 127.0.0.1:8081; listen 192.0.2.77:8082; }")).expect("a configuration");
        let _ = testbed.command(&["-s", "reload"]);
        wait_for("the reload to fail", LIMIT, || {
            testbed.file("logs/error.log").ok().filter(|log| log.contains("192.0.2.77:8082 failed")).map(|_| ())
        })
        .unwrap_or_else(|error| panic!("{program:?}: {error}"));
        assert!(!listens(&testbed, 8081), "{program:?}: a port of the failed reload is open");
        testbed.wait_for_text(8080, "/", "ready").expect("the old configuration serves");
    }
}

#[test]
fn a_listener_that_a_reload_takes_away_is_closed() {
    for program in PROGRAMS {
        let testbed = TestBed::new(program).expect("a host");
        testbed.write(&conf("", "server { listen 127.0.0.1:8081; }")).expect("a configuration");
        testbed.command(&[]).unwrap_or_else(|error| panic!("{program:?} starts: {error}"));
        testbed.wait_for_text(8080, "/", "ready").expect("an answer");
        assert!(listens(&testbed, 8081), "{program:?}");
        testbed.write(&conf("", "")).expect("a configuration");
        testbed.command(&["-s", "reload"]).expect("a reload");
        wait_for("the port to be closed", LIMIT, || (!listens(&testbed, 8081)).then_some(()))
            .unwrap_or_else(|error| panic!("{program:?}: {error}"));
    }
}

#[test]
fn a_worker_that_does_not_answer_holds_nobody_up() {
    for program in PROGRAMS {
        let testbed = started(program, "");
        let master = testbed.master().expect("a master");
        kill(worker(&testbed), Signal::SIGSTOP).expect("a worker");
        testbed.signal(Signal::SIGHUP).expect("a master");
        std::thread::sleep(Duration::from_millis(200));
        testbed.signal(Signal::SIGTERM).expect("a master");
        testbed.wait_for_end(master).unwrap_or_else(|error| panic!("{program:?}: {error}"));
    }
}

#[test]
fn workers_serve_on_when_their_master_is_killed() {
    for program in PROGRAMS {
        let testbed = started(program, "");
        let (master, worker) = (testbed.master().expect("a master"), worker(&testbed));
        let mut kept =
            testbed.host().run(|| client::connect(local(8080), LIMIT)).expect("a host").expect("a connection");
        kill(master, Signal::SIGKILL).expect("a master");
        testbed.wait_for_end(master).expect("the master ends");
        std::thread::sleep(Duration::from_millis(200));
        kept.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("a request");
        let mut text = String::new();
        kept.read_to_string(&mut text).expect("an answer");
        assert!(text.ends_with("ready\n"), "{program:?}: {text}");
        assert_eq!(testbed.get(8080, "/").expect("an answer").text(), "ready\n", "{program:?}");
        let log = testbed.file("logs/error.log").expect("a log");
        let text = "[alert] N: the master process is gone: this worker serves on until it is told to end";
        let told = log.lines().any(|line| text.split(" N: ").all(|part| line.contains(part)));
        assert_eq!(told, program == Program::Ours, "{log}");
        kill(worker, Signal::SIGQUIT).expect("a worker");
        testbed.wait_for_end(worker).unwrap_or_else(|error| panic!("{program:?}: {error}"));
    }
}

/// Opens so many silent connections, then asks ten times; how many were answered.
fn served_beside(testbed: &TestBed, silent: usize) -> usize {
    let talk = move || {
        let silent: Vec<_> = (0..silent).filter_map(|_| client::connect(local(8080), LIMIT).ok()).collect();
        std::thread::sleep(Duration::from_millis(100));
        let asked = (0..10)
            .filter(|_| client::get(local(8080), "/", &[], LIMIT).is_ok_and(|answer| answer.text() == "ready\n"));
        let asked = asked.count();
        drop(silent);
        asked
    };
    testbed.host().run(talk).expect("a host")
}

#[test]
fn silent_connections_give_way_when_all_are_taken() {
    for program in PROGRAMS {
        let testbed = started(program, "worker_connections 16;");
        assert_eq!(served_beside(&testbed, 40), 10, "{program:?}");
    }
}

#[test]
fn a_reload_changes_how_many_connections_there_may_be() {
    for program in PROGRAMS {
        let testbed = started(program, "worker_connections 8;");
        testbed.write(&conf("worker_connections 512;", "")).expect("a configuration");
        testbed.command(&["-s", "reload"]).expect("a reload");
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(served_beside(&testbed, 100), 10, "{program:?}");
        let log = testbed.file("logs/error.log").expect("a log");
        assert!(!log.contains("are not enough"), "{program:?}: {log}");
    }
}

#[test]
fn processes_have_nginxs_titles() {
    for program in PROGRAMS {
        let testbed = started(program, "");
        let title = |pid: Pid| {
            let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned()
        };
        let master = testbed.master().expect("a master");
        let wanted = format!("nginx: master process {PREFIX}/sbin/nginx -p {PREFIX} -c conf/nginx.conf");
        assert_eq!(title(master), wanted, "{program:?}");
        assert_eq!(title(worker(&testbed)), "nginx: worker process", "{program:?}");
    }
}

#[test]
fn an_upgrade_leads_from_nginx_to_rnginx_and_back() {
    for (from, to) in [(Program::Original, Program::Ours), (Program::Ours, Program::Original)] {
        let testbed = started(from, "");
        let old = testbed.master().expect("a master");
        let next = match to {
            Program::Original => installed("nginx"),
            Program::Ours => Program::Ours.nginx(),
        };
        let next = fs::read(next.expect("a program")).expect("its bytes");
        let path = format!("{PREFIX}/sbin/nginx");
        let install = move || fs::remove_file(&path).and_then(|()| mount::file(&path, &next, 0o755));
        testbed.host().run(install).expect("a host").expect("another program");
        kill(old, Signal::SIGUSR2).expect("a master");
        let new = wait_for("a new master", LIMIT, || testbed.master().ok().filter(|pid| *pid != old))
            .unwrap_or_else(|error| panic!("{from:?}: {error}: {:?}", testbed.file("logs/error.log")));
        wait_for("new workers", LIMIT, || testbed.workers(new).ok().filter(|all| !all.is_empty()))
            .expect("new workers");
        kill(old, Signal::SIGQUIT).expect("the old master");
        testbed.wait_for_end(old).unwrap_or_else(|error| panic!("{from:?}: {error}"));
        testbed.wait_for_text(8080, "/", "ready").unwrap_or_else(|error| panic!("{from:?}: {error}"));
        let log = testbed.file("logs/error.log").expect("a log");
        assert!(!log.contains("[emerg]"), "{from:?}: {log}");
    }
}

/// A folder that somebody else has made, perhaps an earlier program as root: the workers could not write into it.
#[test]
fn folders_that_are_there_already_become_the_workers() {
    let [theirs, ours] = PROGRAMS.map(|program| {
        let testbed = TestBed::new(program).expect("a host");
        let more = "proxy_temp_path spare/proxy; client_body_temp_path spare/bodies;";
        testbed.write(&conf("", more)).expect("a configuration");
        let made = testbed.host().run(|| -> io::Result<()> {
            for (folder, mode) in [("", 0o755), ("/proxy", 0o500), ("/bodies", 0o750)] {
                let path = format!("{PREFIX}/spare{folder}");
                fs::create_dir(&path)?;
                fs::set_permissions(&path, Permissions::from_mode(mode))?;
            }
            Ok(())
        });
        made.expect("a host").expect("folders");
        testbed.command(&[]).expect("a start");
        ["proxy", "bodies"].map(|folder| {
            let state = testbed.host().run(move || fs::metadata(format!("{PREFIX}/spare/{folder}")));
            let state = state.expect("a host").expect("a folder");
            (state.uid(), state.mode() & 0o7777)
        })
    });
    assert_eq!(ours, theirs);
    assert_ne!(theirs[0].0, 0, "{theirs:?}");
}
