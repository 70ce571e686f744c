//! `#@rkeepalived check`: what rkeepalived asks itself, in a file that keepalived reads as it always did.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::process::Command;

use super::pair::{LIMIT, Pair, configuration};
use super::{TRACKED, pairs};
use compat_tests::process::Running;
use compat_tests::program::Program;
use compat_tests::wait_for;
use nix::sys::signal::{Signal, kill};

/// A configuration whose script has this check beside it.
fn with_check(priority: u8, check: &str) -> String {
    let text = configuration("BACKUP", priority, TRACKED);
    text.replacen(" interval 1\n", &format!(" interval 1\n #@rkeepalived check {check}\n"), 1)
}

#[test]
fn a_check_in_the_loop_moves_the_address() -> io::Result<()> {
    for (a, b) in pairs() {
        let mut pair = Pair::new(a, b)?;
        let listen = || TcpListener::bind("127.0.0.1:8099");
        let (backend, other) = (pair.a.host.run(listen)??, pair.b.host.run(listen)??);
        let check = "tcp 127.0.0.1:8099 interval 0.05";
        pair.a.start(&with_check(120, check))?;
        pair.b.start(&with_check(100, check))?;
        pair.a.becomes_master()?;
        wait_for("one master", LIMIT, || (!pair.b.is_master()).then_some(()))?;
        // keepalived does not know of the backend and runs the script; ours does not run it, whatever it would say.
        pair.a.host.run(|| fs::write("/tmp/broken", ""))??;
        if a == Program::Ours {
            drop(backend);
        }
        pair.b.becomes_master()?;
        pair.a.lets_go()?;
        pair.a.says("Entering FAULT STATE")?;
        if a == Program::Ours {
            pair.a.says("VRRP_Script(check) failed (Connection refused)")?;
            assert!(!pair.a.log().contains("now returning"), "{}", pair.a.log());
            let _again = pair.a.host.run(listen)??;
            pair.a.becomes_master()?;
            pair.a.says("VRRP_Script(check) succeeded")?;
        }
        drop(other);
    }
    Ok(())
}

const NGINX: &str = "daemon off;
pid /tmp/nginx.pid;
error_log /dev/null;
worker_processes 2;
events { }
http {
    access_log off;
    client_body_temp_path /tmp/body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    server { listen 127.0.0.1:8080; location / { return 200 ok; } }
}
";

/// Starts rnginx on a host.
fn start_nginx(pair: &Pair, first: bool) -> io::Result<Running> {
    let host = if first { &pair.a.host } else { &pair.b.host };
    host.run(|| fs::write("/tmp/nginx.conf", NGINX))??;
    let mut command = Command::new(Program::Ours.nginx()?);
    command.args(["-c", "/tmp/nginx.conf", "-e", "/dev/null"]);
    let running = host.start(command)?;
    wait_for("rnginx", LIMIT, || {
        let connect = || std::net::TcpStream::connect("127.0.0.1:8080").is_ok();
        host.run(connect).is_ok_and(|listens| listens).then_some(())
    })
    .map_err(|error| io::Error::other(format!("{error}; {}", running.output())))?;
    Ok(running)
}

/// The worker of the first host.
fn worker(pair: &Pair, master: &Running) -> io::Result<nix::unistd::Pid> {
    let all = pair.a.host.processes("rnginx")?;
    all.into_iter().find(|pid| *pid != master.pid()).ok_or_else(|| io::Error::other("no worker"))
}

#[test]
fn the_address_follows_rnginx() -> io::Result<()> {
    let check = "rnginx /tmp/nginx.pid interval 0.1 timeout 0.5";
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let (first, _second) = (start_nginx(&pair, true)?, start_nginx(&pair, false)?);
    pair.a.start(&with_check(120, check))?;
    pair.b.start(&with_check(100, check))?;
    pair.a.becomes_master()?;
    wait_for("one master", LIMIT, || (!pair.b.is_master()).then_some(()))?;
    // A worker that dies is followed by another, which answers.
    let before = worker(&pair, &first)?;
    kill(before, Signal::SIGKILL)?;
    let after = wait_for("another worker", LIMIT, || worker(&pair, &first).ok().filter(|pid| *pid != before))?;
    assert!(!pair.a.log().contains("VRRP_Script(check) failed"), "{}", pair.a.log());
    // One that hangs is down.
    kill(after, Signal::SIGSTOP)?;
    pair.a.says("VRRP_Script(check) timed_out")?;
    pair.b.becomes_master()?;
    pair.a.lets_go()?;
    kill(after, Signal::SIGCONT)?;
    pair.a.becomes_master()?;
    wait_for("one master", LIMIT, || (!pair.b.is_master()).then_some(()))?;
    // One that is told to end is down before it has ended.
    first.signal(Signal::SIGQUIT);
    pair.a.says("VRRP_Script(check) failed (")?;
    pair.b.becomes_master()?;
    pair.a.lets_go()?;
    first.wait(LIMIT)?;
    // Its successor has another number.
    let _third = start_nginx(&pair, true)?;
    pair.a.becomes_master()?;
    Ok(())
}

#[test]
fn both_keepaliveds_skip_the_line_and_unknown_words_are_errors() -> io::Result<()> {
    let pair = Pair::new(Program::Original, Program::Ours)?;
    let test = |program: Program, check: &str| -> io::Result<(Option<i32>, String)> {
        pair.a.configure(&with_check(120, check))?;
        let mut command = Command::new(program.keepalived()?);
        command.args(["-t", "-f", "/etc/keepalived/keepalived.conf"]);
        let run = pair.a.host.start(command)?;
        let code = run.wait(LIMIT)?.code();
        Ok((code, run.output()))
    };
    for check in ["tcp 127.0.0.1:80", "http http://127.0.0.1/ status 200-399", "rnginx /run/nginx.pid timeout 0.2"] {
        let (original, ours) = (test(Program::Original, check)?, test(Program::Ours, check)?);
        assert_eq!(original, ours, "{check}");
    }
    let (original, ours) = (test(Program::Original, "tcpp {")?, test(Program::Ours, "tcpp {")?);
    assert!(!original.1.contains("tcpp"), "{}", original.1);
    let line = "(/etc/keepalived/keepalived.conf: Line 10) vrrp_script check #@rkeepalived: unknown check 'tcpp', expected tcp, http or rnginx";
    assert!(ours.1.contains(line), "{}", ours.1);
    Ok(())
}
