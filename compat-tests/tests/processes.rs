//! Parent and workers when something goes wrong, the installed nginx beside ours: who still listens, who ends, who serves.

use std::fs;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use compat_tests::peer::PREFIX;
use compat_tests::program::{Program, installed};
use compat_tests::stand::{LIMIT, Stand, local};
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

fn started(program: Program, events: &str) -> Stand {
    let stand = Stand::new(program).expect("a host");
    stand.write(&conf(events, "")).expect("a configuration");
    stand.command(&[]).unwrap_or_else(|error| panic!("{program:?} starts: {error}"));
    stand.wait_for_text(8080, "/", "ready").expect("an answer");
    stand
}

/// Whether a port of the host takes connections.
fn listens(stand: &Stand, port: u16) -> bool {
    stand.host().run(move || TcpStream::connect(local(port)).is_ok()).expect("a host")
}

fn worker(stand: &Stand) -> Pid {
    let master = stand.master().expect("a master");
    *stand.workers(master).expect("workers").first().expect("a worker")
}

#[test]
fn nobody_can_connect_to_a_server_that_quits() {
    for program in PROGRAMS {
        let stand = started(program, "");
        let master = stand.master().expect("a master");
        let backend = stand.host().run(|| std::net::TcpListener::bind(local(9101))).expect("a host").expect("a port");
        let talk = || {
            let mut stream = client::connect(local(8080), LIMIT)?;
            stream.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
            client::response(&mut BufReader::new(stream), false)
        };
        let waiting = stand.host().spawn(talk).expect("a thread");
        let (mut request, _) = backend.accept().expect("the request");
        let mut head = [0; 1000];
        let _ = request.read(&mut head).expect("a head");
        stand.signal(Signal::SIGQUIT).expect("a master");
        wait_for("the port to be closed", LIMIT, || (!listens(&stand, 8080)).then_some(()))
            .unwrap_or_else(|error| panic!("{program:?}: {error}"));
        request.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\ndone").expect("an answer");
        let answer = waiting.join().expect("no panic").unwrap_or_else(|error| panic!("{program:?}: {error}"));
        assert_eq!(answer.text(), "done", "{program:?}");
        stand.wait_for_end(master).unwrap_or_else(|error| panic!("{program:?}: {error}"));
    }
}

#[test]
fn a_reload_that_fails_leaves_no_listener_behind() {
    for program in PROGRAMS {
        let stand = started(program, "");
        // The second address is on no interface.
        stand.write(&conf("", "server { listen 127.0.0.1:8081; listen 192.0.2.77:8082; }")).expect("a configuration");
        let _ = stand.command(&["-s", "reload"]);
        wait_for("the reload to fail", LIMIT, || {
            stand.file("logs/error.log").ok().filter(|log| log.contains("192.0.2.77:8082 failed")).map(|_| ())
        })
        .unwrap_or_else(|error| panic!("{program:?}: {error}"));
        assert!(!listens(&stand, 8081), "{program:?}: a port of the failed reload is open");
        stand.wait_for_text(8080, "/", "ready").expect("the old configuration serves");
    }
}

#[test]
fn a_listener_that_a_reload_takes_away_is_closed() {
    for program in PROGRAMS {
        let stand = Stand::new(program).expect("a host");
        stand.write(&conf("", "server { listen 127.0.0.1:8081; }")).expect("a configuration");
        stand.command(&[]).unwrap_or_else(|error| panic!("{program:?} starts: {error}"));
        stand.wait_for_text(8080, "/", "ready").expect("an answer");
        assert!(listens(&stand, 8081), "{program:?}");
        stand.write(&conf("", "")).expect("a configuration");
        stand.command(&["-s", "reload"]).expect("a reload");
        wait_for("the port to be closed", LIMIT, || (!listens(&stand, 8081)).then_some(()))
            .unwrap_or_else(|error| panic!("{program:?}: {error}"));
    }
}

#[test]
fn a_worker_that_does_not_answer_holds_nobody_up() {
    for program in PROGRAMS {
        let stand = started(program, "");
        let master = stand.master().expect("a master");
        kill(worker(&stand), Signal::SIGSTOP).expect("a worker");
        stand.signal(Signal::SIGHUP).expect("a master");
        std::thread::sleep(Duration::from_millis(200));
        stand.signal(Signal::SIGTERM).expect("a master");
        stand.wait_for_end(master).unwrap_or_else(|error| panic!("{program:?}: {error}"));
    }
}

#[test]
fn workers_serve_on_when_their_master_is_killed() {
    for program in PROGRAMS {
        let stand = started(program, "");
        let (master, worker) = (stand.master().expect("a master"), worker(&stand));
        let mut kept = stand.host().run(|| client::connect(local(8080), LIMIT)).expect("a host").expect("a connection");
        kill(master, Signal::SIGKILL).expect("a master");
        stand.wait_for_end(master).expect("the master ends");
        std::thread::sleep(Duration::from_millis(200));
        kept.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("a request");
        let mut text = String::new();
        kept.read_to_string(&mut text).expect("an answer");
        assert!(text.ends_with("ready\n"), "{program:?}: {text}");
        assert_eq!(stand.get(8080, "/").expect("an answer").text(), "ready\n", "{program:?}");
        kill(worker, Signal::SIGQUIT).expect("a worker");
        stand.wait_for_end(worker).unwrap_or_else(|error| panic!("{program:?}: {error}"));
    }
}

/// Opens so many silent connections, then asks ten times; how many were answered.
fn served_beside(stand: &Stand, silent: usize) -> usize {
    let talk = move || {
        let silent: Vec<_> = (0..silent).filter_map(|_| client::connect(local(8080), LIMIT).ok()).collect();
        std::thread::sleep(Duration::from_millis(100));
        let asked = (0..10)
            .filter(|_| client::get(local(8080), "/", &[], LIMIT).is_ok_and(|answer| answer.text() == "ready\n"));
        let asked = asked.count();
        drop(silent);
        asked
    };
    stand.host().run(talk).expect("a host")
}

#[test]
fn silent_connections_give_way_when_all_are_taken() {
    for program in PROGRAMS {
        let stand = started(program, "worker_connections 16;");
        assert_eq!(served_beside(&stand, 40), 10, "{program:?}");
    }
}

#[test]
fn a_reload_changes_how_many_connections_there_may_be() {
    for program in PROGRAMS {
        let stand = started(program, "worker_connections 8;");
        stand.write(&conf("worker_connections 512;", "")).expect("a configuration");
        stand.command(&["-s", "reload"]).expect("a reload");
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(served_beside(&stand, 100), 10, "{program:?}");
        let log = stand.file("logs/error.log").expect("a log");
        assert!(!log.contains("are not enough"), "{program:?}: {log}");
    }
}

#[test]
fn processes_have_nginxs_titles() {
    for program in PROGRAMS {
        let stand = started(program, "");
        let title = |pid: Pid| {
            let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned()
        };
        let master = stand.master().expect("a master");
        let wanted = format!("nginx: master process {PREFIX}/sbin/nginx -p {PREFIX} -c conf/nginx.conf");
        assert_eq!(title(master), wanted, "{program:?}");
        assert_eq!(title(worker(&stand)), "nginx: worker process", "{program:?}");
    }
}

#[test]
fn an_upgrade_leads_from_nginx_to_rnginx_and_back() {
    for (from, to) in [(Program::Original, Program::Ours), (Program::Ours, Program::Original)] {
        let stand = started(from, "");
        let old = stand.master().expect("a master");
        let next = match to {
            Program::Original => installed("nginx"),
            Program::Ours => Program::Ours.nginx(),
        };
        let next = fs::read(next.expect("a program")).expect("its bytes");
        let path = format!("{PREFIX}/sbin/nginx");
        let install = move || fs::remove_file(&path).and_then(|()| mount::file(&path, &next, 0o755));
        stand.host().run(install).expect("a host").expect("another program");
        kill(old, Signal::SIGUSR2).expect("a master");
        let new = wait_for("a new master", LIMIT, || stand.master().ok().filter(|pid| *pid != old))
            .unwrap_or_else(|error| panic!("{from:?}: {error}: {:?}", stand.file("logs/error.log")));
        wait_for("new workers", LIMIT, || stand.workers(new).ok().filter(|all| !all.is_empty())).expect("new workers");
        kill(old, Signal::SIGQUIT).expect("the old master");
        stand.wait_for_end(old).unwrap_or_else(|error| panic!("{from:?}: {error}"));
        stand.wait_for_text(8080, "/", "ready").unwrap_or_else(|error| panic!("{from:?}: {error}"));
        let log = stand.file("logs/error.log").expect("a log");
        assert!(!log.contains("[emerg]"), "{from:?}: {log}");
    }
}
