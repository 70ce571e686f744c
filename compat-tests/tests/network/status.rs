//! The control socket: `rkeepalived status`, `watch`, `explain` and `plan`, and clients that mean no good.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use super::pair::{LIMIT, Pair, Side, configuration};
use compat_tests::program::Program;
use compat_tests::wait_for;
use nix::sys::signal::{Signal, kill};
use serde_json::Value;

/// The socket beside the usual pid file.
const SOCKET: &str = "/run/keepalived.sock";
const TRACKED: &str = " track_script {\n check weight 7\n }\n";

/// What a query prints, and its code.
fn query(side: &Side, words: &[&str]) -> io::Result<(String, i32)> {
    let mut command = Command::new(Program::Ours.keepalived()?);
    command.args(words);
    let running = side.host.start(command)?;
    let code = running.wait(LIMIT)?.code().unwrap_or(-1);
    Ok((running.output(), code))
}

fn status(side: &Side) -> io::Result<Value> {
    let (text, code) = query(side, &["status", "--json"])?;
    if code != 0 {
        return Err(io::Error::other(text));
    }
    serde_json::from_str(&text).map_err(|error| io::Error::other(format!("{error}: {text}")))
}

/// Waits for the first instance to be as asked.
fn wait_status(side: &Side, what: &str, is: impl Fn(&Value) -> bool) -> io::Result<Value> {
    wait_for(what, LIMIT, || status(side).ok().filter(|status| is(&status["instances"][0])))
        .map_err(|error| io::Error::other(format!("{error}: {:?}; {}", status(side), side.log())))
}

#[test]
fn a_daemon_tells_its_status() -> io::Result<()> {
    let mut pair = Pair::started(Program::Ours, Program::Ours, TRACKED)?;
    let mode = pair.a.host.run(|| fs::metadata(SOCKET).map(|file| file.permissions().mode() & 0o777))??;
    assert_eq!(mode, 0o600);
    let master = wait_status(&pair.a, "the master's status", |one| {
        one["state"] == "MASTER" && one["counters"]["adverts_sent"].as_u64() > Some(1)
    })?;
    let one = &master["instances"][0];
    assert_eq!((&one["name"], &one["base_priority"], &one["priority"]), (&"nginx".into(), &120.into(), &127.into()));
    assert_eq!(
        (&one["held"], &one["addresses"][0], &one["obstacles"]),
        (&1.into(), &"192.168.110.10/32".into(), &Value::Array(Vec::new()))
    );
    assert_eq!((&one["tracks"][1]["reading"], &one["tracks"][1]["adds"]), (&"good".into(), &7.into()), "{one}");
    assert_eq!((&master["scripts"][0]["name"], &master["scripts"][0]["reading"]), (&"check".into(), &"good".into()));
    assert_eq!(one["transitions"][1]["reason"], "no advert of a master came in time", "{one}");
    let backup = wait_status(&pair.b, "the backup's status", |one| one["master"]["priority"] == 127)?;
    let one = &backup["instances"][0];
    assert_eq!((&one["state"], &one["master"]["address"]), (&"BACKUP".into(), &"192.168.110.11".into()));
    let (text, code) = query(&pair.b, &["explain", "nginx"])?;
    let why = "not master because master 192.168.110.11 has priority 127, this router 107";
    assert!(code == 0 && text.contains(why) && text.contains("script check: good, weight 7: +7"), "{text}");
    assert_eq!(query(&pair.b, &["explain", "other"])?, ("rkeepalived: there is no instance other\n".to_owned(), 1));
    let (text, _) = query(&pair.b, &["status"])?;
    assert!(text.contains("nginx     BACKUP") && text.contains("SCRIPT  RESULT"), "{text}");

    let mut watch = Command::new(Program::Ours.keepalived()?);
    watch.arg("watch");
    let watch = pair.b.host.start(watch)?;
    let watches = |status: &Value| status.is_object();
    wait_status(&pair.b, "an answer", watches)?;
    pair.a.stop()?;
    assert!(!pair.a.host.run(|| fs::exists(SOCKET))??, "the socket of a daemon that has stopped is still there");
    pair.b.becomes_master()?;
    wait_for("the change", LIMIT, || watch.output().contains("instance nginx  BACKUP -> MASTER").then_some(()))
        .map_err(|error| io::Error::other(format!("{error}: {}", watch.output())))?;
    pair.b.host.run(|| fs::write("/tmp/broken", ""))??;
    wait_for("the script", LIMIT, || watch.output().contains("script check  good -> bad: status 1").then_some(()))
        .map_err(|error| io::Error::other(format!("{error}: {}", watch.output())))?;
    let (text, code) = query(&pair.a, &["status"])?;
    assert_eq!(
        (text.as_str(), code),
        ("rkeepalived: no daemon answers at /run/keepalived.sock: No such file or directory\n", 1)
    );
    pair.b.set_up(false)?;
    wait_status(&pair.b, "the fault", |one| one["obstacles"][0] == "interface ens33 is down")?;
    Ok(())
}

#[test]
fn a_plan_shows_what_a_reload_would_change() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.start(&configuration("BACKUP", 120, ""))?;
    pair.a.becomes_master()?;
    let plan = |pair: &Pair| query(&pair.a, &["plan", "-f", "/etc/keepalived/keepalived.conf"]);
    assert_eq!(plan(&pair)?, ("A reload would change nothing.\n".to_owned(), 0));
    pair.a.configure(&configuration("BACKUP", 99, "").replace("123456", "654321"))?;
    let (text, code) = plan(&pair)?;
    let expected = "vrrp_instance nginx: changed\n  keeps its state\n    - priority 120\n    - authentication > auth_pass ********\n    \
                    + priority 99\n    + authentication > auth_pass ********\n";
    assert_eq!((text.as_str(), code), (expected, 0));
    let shown = pair.a.host.run(|| -> io::Result<String> {
        let mut stream = UnixStream::connect(SOCKET)?;
        stream.write_all(b"GET /configuration HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map(|_| text)
    })??;
    assert!(shown.contains("auth_pass ") && !shown.contains("123456"), "{shown}");
    pair.a.configure("vrrp_instance nginx {\n interface nowhere\n virtual_router_id 51\n}\n")?;
    let (text, code) = plan(&pair)?;
    assert!(text.starts_with("A reload would be refused, and nothing would change:\n") && code == 3, "{text}");
    let used = "A reload would change nothing.\n";
    pair.a.configure(&configuration("BACKUP", 110, ""))?;
    pair.a.signal(Signal::SIGHUP);
    wait_for("the new configuration", LIMIT, || plan(&pair).is_ok_and(|(text, _)| text == used).then_some(()))?;
    let status = status(&pair.a)?;
    assert_eq!(
        (&status["reloads"]["used"], &status["reloads"]["last_refused"]),
        (&1.into(), &false.into()),
        "{status}"
    );
    Ok(())
}

#[test]
fn silent_slow_and_hostile_clients_keep_nobody_from_an_answer() -> io::Result<()> {
    let pair = Pair::started(Program::Ours, Program::Ours, TRACKED)?;
    let connect = || UnixStream::connect(SOCKET);
    let clients = pair.a.host.run(move || -> io::Result<Vec<UnixStream>> {
        let mut clients: Vec<UnixStream> = (0..40).map(|_| connect()).collect::<Result<_, _>>()?;
        // Some say nothing, some half a request, some too much, some nonsense, and some read nothing of what they asked for.
        for (at, client) in clients.iter_mut().enumerate() {
            client.set_nonblocking(true)?;
            let words: Vec<u8> = match at % 5 {
                0 => Vec::new(),
                1 => b"GET /status HTTP/1.1\r\nHost:".to_vec(),
                2 => [b"GET /".to_vec(), vec![b'x'; 1 << 20]].concat(),
                3 => b"\0\xff\r\n\r\n".to_vec(),
                _ => b"GET /watch HTTP/1.1\r\nHost: x\r\n\r\nGET /watch HTTP/1.1\r\n".to_vec(),
            };
            // A client that is cut off already is one less.
            let _ = client.write(&words);
        }
        Ok(clients)
    })??;
    let other = pair.a.host.run(move || -> io::Result<String> {
        let mut client = connect()?;
        client.set_read_timeout(Some(LIMIT))?;
        client.write_all(b"POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")?;
        let mut text = String::new();
        client.read_to_string(&mut text)?;
        Ok(text)
    })??;
    assert!(other.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{other}");
    wait_for("an answer", 2 * LIMIT, || status(&pair.a).ok())?;
    assert!(pair.a.is_master() && !pair.b.is_master(), "{}", pair.a.log());
    drop(clients);
    Ok(())
}

#[test]
fn a_vrrp_process_that_does_not_answer_is_told_of_by_its_parent() -> io::Result<()> {
    let pair = Pair::started(Program::Ours, Program::Ours, TRACKED)?;
    let before = wait_status(&pair.a, "the status", |one| one["state"] == "MASTER")?;
    let pid = before["vrrp"]["pid"].as_i64().unwrap_or_default() as i32;
    let pid = pair.a.host.outer(pid)?;
    let stopped = kill(pid, Signal::SIGSTOP);
    assert!(stopped.is_ok(), "{stopped:?}");
    std::thread::sleep(Duration::from_secs(1));
    let during = status(&pair.a)?;
    let later = status(&pair.a)?;
    assert_eq!((&during["updated"], &during["vrrp"]), (&later["updated"], &before["vrrp"]));
    wait_for("the silence", LIMIT, || {
        let (text, _) = query(&pair.a, &["status"]).ok()?;
        text.contains("the VRRP process has not reported for ").then_some(())
    })?;
    let killed = kill(pid, Signal::SIGKILL);
    assert!(killed.is_ok(), "{killed:?}");
    let after = wait_for("another process", LIMIT, || status(&pair.a).ok().filter(|now| now["vrrp"]["deaths"] == 1))?;
    assert_eq!(after["pid"], before["pid"]);
    wait_status(&pair.a, "the new process", |one| one["state"] == "BACKUP" && one["changes"] == 1)?;
    Ok(())
}

#[test]
fn a_socket_is_left_to_the_daemon_that_has_it_and_taken_from_one_that_is_gone() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let text = configuration("BACKUP", 120, "");
    pair.a.start(&text)?;
    pair.a.becomes_master()?;
    pair.a.kill()?;
    wait_for("the socket", LIMIT, || pair.a.host.run(|| fs::exists(SOCKET)).ok()?.ok()?.then_some(()))?;
    let (answer, code) = query(&pair.a, &["status"])?;
    assert_eq!(
        (answer.as_str(), code),
        ("rkeepalived: no daemon answers at /run/keepalived.sock: Connection refused\n", 1)
    );
    pair.a.restart()?;
    let first = wait_for("the status", LIMIT, || status(&pair.a).ok())?;

    let mut second = Command::new(Program::Ours.keepalived()?);
    second.args(["-n", "-l", "-f", "/etc/keepalived/keepalived.conf", "-p", "/run/2.pid", "-r", "/run/2v.pid"]);
    second.args(["--control-socket", SOCKET]);
    let second = pair.a.host.start(second)?;
    let line = "Unable to open control socket /run/keepalived.sock - Address already in use";
    wait_for(line, LIMIT, || second.output().contains(line).then_some(()))?;
    assert_eq!(status(&pair.a)?["pid"], first["pid"]);
    second.stop(LIMIT)?;
    assert_eq!(status(&pair.a)?["pid"], first["pid"]);
    let file = pair.a.host.run(|| {
        fs::write("/run/3.sock", "text")?;
        fs::read_to_string("/run/3.sock")
    })??;
    let mut third = Command::new(Program::Ours.keepalived()?);
    third.args(["-n", "-l", "-f", "/etc/keepalived/keepalived.conf", "-p", "/run/3.pid", "-r", "/run/3v.pid"]);
    let third = pair.a.host.start(third)?;
    let line = "Unable to open control socket /run/3.sock - Address already in use";
    wait_for(line, LIMIT, || third.output().contains(line).then_some(()))?;
    third.stop(LIMIT)?;
    assert_eq!(pair.a.host.run(|| fs::read_to_string("/run/3.sock"))??, file);
    pair.a.stop()?;
    pair.a.host.run(|| fs::remove_file("/run/3.sock"))??;
    pair.a.start_with(&text, &["--no-control-socket"])?;
    pair.a.becomes_master()?;
    assert!(!pair.a.host.run(|| fs::exists(SOCKET))??);
    Ok(())
}

#[test]
fn prometheus_is_told_the_numbers_and_nothing_else() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.start_with(&configuration("BACKUP", 120, TRACKED), &["--metrics-address", "127.0.0.1:9650"])?;
    pair.a.becomes_master()?;
    let get = |path: &'static str| {
        pair.a.host.run(move || -> io::Result<String> {
            let mut client = std::net::TcpStream::connect("127.0.0.1:9650")?;
            client.set_read_timeout(Some(LIMIT))?;
            client.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())?;
            let mut text = String::new();
            client.read_to_string(&mut text)?;
            Ok(text)
        })?
    };
    let state = "keepalived_vrrp_state{iname=\"nginx\",intf=\"ens33\",vrid=\"51\",ip_address=\"192.168.110.10\"} 2";
    let text = wait_for("the state", LIMIT, || get("/metrics").ok().filter(|text| text.contains(state)))?;
    for line in ["HTTP/1.1 200 OK", "keepalived_up 1", "keepalived_script_state{name=\"check\"} 1"] {
        assert!(text.lines().any(|one| one.trim_end() == line), "{line}: {text}");
    }
    for path in ["/status", "/configuration", "/watch", "/"] {
        assert!(get(path)?.starts_with("HTTP/1.1 404"), "{path}");
    }
    Ok(())
}

#[test]
fn what_keeps_an_instance_from_being_master_is_logged_at_the_start_if_that_is_asked_for() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let text = configuration("BACKUP", 120, "");
    pair.a.start_with(&text, &["--explain-start"])?;
    pair.a.says("(nginx) not master because it waits whether a master advertises")?;
    pair.b.set_up(false)?;
    pair.b.start_with(&text, &["--explain-start"])?;
    pair.b.says("(nginx) not master because interface ens33 is down")?;
    Ok(())
}

/// What the control socket answers.
fn fetch(side: &Side, path: &'static str) -> io::Result<String> {
    side.host.run(move || -> io::Result<String> {
        let mut stream = UnixStream::connect(SOCKET)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map(|_| text)
    })?
}

/// A virtual server with two real servers: one at a port where the test listens, one at none, whose script fails too.
fn checked(quorum: &str, more: &str) -> String {
    let check = " TCP_CHECK {\n connect_timeout 1\n }";
    format!(
        "global_defs {{\n script_user root\n}}\nvirtual_server 10.9.9.1 80 {{\n delay_loop 1\n delay_before_retry 1\n warmup 0\n lb_algo rr\n lb_kind NAT\n \
         protocol TCP\n quorum {quorum}\n quorum_down \"/bin/true down\"\n sorry_server 10.0.0.9 80\n real_server 127.0.0.1 \
         8081 {{\n weight 2\n notify_down \"/bin/true gone\"\n{check}\n }}\n real_server 127.0.0.1 8082 {{\n weight 1\n \
         inhibit_on_failure\n{check}\n MISC_CHECK {{\n misc_path /bin/false\n }}\n }}\n}}\n{more}"
    )
}

/// Prometheus is told of both.
fn tells_numbers(side: &Side) -> io::Result<()> {
    let numbers = fetch(side, "/metrics")?;
    for line in [
        "rkeepalived_virtual_server_quorum_up{virtual_server=\"[10.9.9.1]:tcp:80\"} 1",
        "rkeepalived_virtual_server_sorry{virtual_server=\"[10.9.9.1]:tcp:80\"} 0",
        "rkeepalived_real_server_up{virtual_server=\"[10.9.9.1]:tcp:80\",real_server=\"[127.0.0.1]:tcp:8082\"} 0",
        "rkeepalived_real_server_failed_checks{virtual_server=\"[10.9.9.1]:tcp:80\",real_server=\"[127.0.0.1]:tcp:8082\"} 2",
    ] {
        assert!(numbers.lines().any(|one| one == line), "{line}: {numbers}");
    }
    Ok(())
}

#[test]
fn virtual_servers_have_a_status_and_reasons() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let listener = pair.a.host.run(|| std::net::TcpListener::bind("127.0.0.1:8081"))??;
    pair.a.start_without_ipvs(&checked("2", ""))?;
    let server = |what: &str, is: &dyn Fn(&Value) -> bool| {
        wait_for(what, LIMIT, || status(&pair.a).ok().map(|all| all["virtual_servers"][0].clone()).filter(is))
            .map_err(|error| io::Error::other(format!("{error}: {:?}; {}", status(&pair.a), pair.a.log())))
    };
    let one = server("both failures", &|one| {
        one["real_servers"][1]["failures"].as_array().is_some_and(|all| all.len() == 2)
    })?;
    assert_eq!(
        (&one["name"], &one["quorum_up"], &one["weight"]),
        (&"[10.9.9.1]:tcp:80".into(), &true.into(), &2.into())
    );
    let failures = &one["real_servers"][1]["failures"];
    assert_eq!(failures[0]["check"], "TCP_CHECK");
    assert_eq!(failures[0]["reason"], "TCP connection to [127.0.0.1]:tcp:8082 failed.");
    assert_eq!(failures[1]["reason"], "/usr/bin/false exited with status 1");
    assert!(failures[1]["since"].as_f64() > Some(1.0), "{failures}");
    let (shown, code) = query(&pair.a, &["explain", "10.9.9.1:80"])?;
    for line in [
        "[10.9.9.1]:tcp:80 is answered by 1 of 2 real servers\nit has its quorum: weight 2, quorum 2\n",
        "real server [127.0.0.1]:tcp:8081 is up, weight 2, 1 check\n  if it fails: it is removed, notify_down runs, mail is sent; \
         weight 0 is left, the quorum is lost, sorry server [10.0.0.9]:tcp:80 answers alone, quorum_down runs\n",
        "real server [127.0.0.1]:tcp:8082 is down, weight 1, 2 checks\n  TCP_CHECK: TCP connection to [127.0.0.1]:tcp:8082 \
         failed. (since ",
        "  if all its checks succeed: it gets its weight, mail is sent; the weight becomes 3, the quorum is kept\n",
    ] {
        assert!(code == 0 && shown.contains(line), "{line}: {shown}");
    }
    let (shown, _) = query(&pair.a, &["status"])?;
    assert!(shown.contains("[10.9.9.1]:tcp:80  up      2       2       1 of 2 real servers"), "{shown}");
    assert!(shown.contains("the process of health checks "), "{shown}");
    tells_numbers(&pair.a)?;

    let mut watch = Command::new(Program::Ours.keepalived()?);
    watch.arg("watch");
    let watch = pair.a.host.start(watch)?;
    wait_for("a client that watches", LIMIT, || {
        // What was asked before is answered before.
        status(&pair.a).is_ok().then_some(())
    })?;
    drop(listener);
    let one = server("the sorry server", &|one| one["sorry_answers"] == true)?;
    assert_eq!((&one["quorum_up"], &one["real_servers"][0]["up"]), (&false.into(), &false.into()));
    let (shown, _) = query(&pair.a, &["explain", "[10.9.9.1]:tcp:80"])?;
    assert!(
        shown.contains(
            "it is added, mail is sent; the weight becomes 2, the quorum is gained, the sorry server leaves\n"
        ),
        "{shown}"
    );
    for line in [
        "real server [127.0.0.1]:tcp:8081 of [10.9.9.1]:tcp:80  up -> down: TCP connection to [127.0.0.1]:tcp:8081 failed.",
        "virtual server [10.9.9.1]:tcp:80  up -> down: weight 0 of 2",
    ] {
        wait_for(line, LIMIT, || watch.output().contains(line).then_some(()))
            .map_err(|error| io::Error::other(format!("{error}: {}", watch.output())))?;
    }
    // A reload: one more virtual server, and what is known of the first is known again after its next check.
    let more = "virtual_server fwmark 5 {\n lb_algo rr\n lb_kind DR\n real_server 127.0.0.1 {\n }\n}\n";
    pair.a.configure(&checked("1", more))?;
    pair.a.signal(Signal::SIGHUP);
    wait_for("the second virtual server", LIMIT, || {
        status(&pair.a).ok().filter(|all| all["virtual_servers"][1]["name"] == "FWM 5")
    })?;
    server("the reason after the reload", &|one| {
        one["quorum"] == 1
            && one["real_servers"][0]["failures"][0]["reason"] == "TCP connection to [127.0.0.1]:tcp:8081 failed."
    })?;
    assert_eq!(query(&pair.a, &["explain", "FWM 5"])?.1, 0);
    assert_eq!(
        query(&pair.a, &["explain", "10.9.9.1"])?,
        ("rkeepalived: there is no instance 10.9.9.1\n".to_owned(), 1)
    );
    Ok(())
}
