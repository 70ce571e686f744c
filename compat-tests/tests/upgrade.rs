//! USR2: a new program on the old one's sockets, and back again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use compat_tests::load::{Plan, run};
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::wait_for;
use nix::sys::signal::{Signal, kill};

const CONF: &str = "worker_processes 1;
events { }
http {
    access_log off;
    server { listen 127.0.0.1:8080; location / { return 200 \"first\\n\"; } }
}
";

/// Who is asked.
const PROGRAMS: &[Program] = &[Program::Original, Program::Ours];

fn started(program: Program) -> TestBed {
    let testbed = TestBed::new(program).expect("a host");
    testbed.write(CONF).expect("a configuration");
    testbed.command(&[]).unwrap_or_else(|error| panic!("{program:?} starts: {error}"));
    testbed.wait_for_text(8080, "/", "first").expect("an answer");
    testbed
}

#[test]
fn usr2_starts_a_new_master_beside_the_old_one_and_nobody_is_refused() {
    for program in PROGRAMS {
        let testbed = started(*program);
        let old = testbed.master().expect("a master");
        let stop = Arc::new(AtomicBool::new(false));
        let plan = Plan {
            address: local(8080),
            request: b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(),
            body: Arc::new(b"first\n".to_vec()),
            plain: false,
            connections: 2,
            fresh: true,
        };
        let stopped = Arc::clone(&stop);
        let load = testbed.host().spawn(move || run(&plan, Duration::from_secs(60), &stopped)).expect("a host");
        kill(old, Signal::SIGUSR2).expect("a master");
        let new =
            wait_for("a new master", LIMIT, || testbed.master().ok().filter(|pid| *pid != old)).expect("a new master");
        assert_eq!(testbed.named("logs/nginx.pid.oldbin").expect("the old pid file"), old, "{program:?}");
        wait_for("new workers", LIMIT, || testbed.workers(new).ok().filter(|all| !all.is_empty()))
            .expect("new workers");
        kill(old, Signal::SIGQUIT).expect("the old master");
        testbed.wait_for_end(old).expect("the old master ends");
        testbed.wait_for_text(8080, "/", "first").expect("the new one serves");
        std::thread::sleep(Duration::from_millis(100));
        stop.store(true, Ordering::Relaxed);
        let figures = load.join().expect("a client").expect("figures");
        assert!(figures.answers > 0 && figures.failed + figures.wrong == 0, "{program:?}: {figures:?}");
        assert!(testbed.file("logs/nginx.pid.oldbin").is_err(), "{program:?}: the old pid file stays");
    }
}

#[test]
fn an_upgrade_can_be_taken_back() {
    for program in PROGRAMS {
        let testbed = started(*program);
        let old = testbed.master().expect("a master");
        kill(old, Signal::SIGUSR2).expect("a master");
        let new =
            wait_for("a new master", LIMIT, || testbed.master().ok().filter(|pid| *pid != old)).expect("a new master");
        wait_for("new workers", LIMIT, || testbed.workers(new).ok().filter(|all| !all.is_empty()))
            .expect("new workers");
        kill(old, Signal::SIGWINCH).expect("the old master");
        let gone = || testbed.workers(old).ok().filter(|all| all.iter().all(|pid| tree_of(new).contains(pid)));
        wait_for("the old workers to end", LIMIT, gone).expect("the old workers end");
        kill(old, Signal::SIGHUP).expect("the old master");
        wait_for("the old workers", LIMIT, || {
            testbed.workers(old).ok().filter(|all| all.iter().any(|pid| !tree_of(new).contains(pid)))
        })
        .expect("the old workers are back");
        kill(new, Signal::SIGQUIT).expect("the new master");
        testbed.wait_for_end(new).expect("the new master ends");
        testbed.wait_for_text(8080, "/", "first").expect("the old one serves");
        wait_for("the pid file", LIMIT, || testbed.master().ok().filter(|pid| *pid == old))
            .expect("the pid file is back");
    }
}

fn tree_of(pid: nix::unistd::Pid) -> Vec<nix::unistd::Pid> {
    compat_tests::measure::tree(pid).unwrap_or_default()
}
