//! Where dumps are written, what FIFOs are told at a reload, and the groups scripts run with.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::pair::{LIMIT, Pair, Side, configuration};
use compat_tests::program::Program;
use compat_tests::{recorded, wait_for};
use nix::sys::signal::Signal;

/// A virtual router with these lines in `global_defs` and these before it.
fn with(lines: &str, before: &str) -> String {
    // The installed keepalived looks for the user of a FIFO's script when it reads the FIFO.
    let last = " enable_script_security\n";
    let text = configuration("BACKUP", 120, "").replacen(last, &format!("{last}{lines}"), 1);
    format!("{before}{text}")
}

fn contents(pair: &Pair, path: &'static str) -> Option<String> {
    pair.a.host.run(move || fs::read_to_string(path)).ok()?.ok()
}

#[test]
fn dumps_are_written_where_the_configuration_says() -> io::Result<()> {
    for program in [Program::Original, Program::Ours] {
        let mut pair = Pair::new(program, Program::Ours)?;
        pair.a.start(&with(" data_use_instance\n", "instance blue\n"))?;
        pair.a.becomes_master()?;
        pair.a.signal(Signal::SIGUSR1);
        let text = wait_for("the data", LIMIT, || {
            contents(&pair, "/tmp/keepalived.blue.data").filter(|text| text.contains("VRRP Sockpool"))
        })?;
        assert!(text.contains("VRRP Instance = nginx"), "{}: {text}", program.name());
    }
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.host.run(|| fs::create_dir("/tmp/state"))??;
    let lines = " state_dump_file /tmp/state/\n stats_dump_file /tmp/state/counters\n json_dump_file /tmp/state/all.json\n \
                 json_version 2\n";
    let text = with(lines, "vrrp_track_process sleeper {\n process sleep\n}\n");
    let tracks = " track_process {\n sleeper weight 5\n }\n virtual_ipaddress {";
    pair.a.start(&text.replacen(" virtual_ipaddress {", tracks, 1))?;
    pair.a.becomes_master()?;
    pair.a.signal(Signal::SIGUSR1);
    pair.a.signal(Signal::SIGUSR2);
    let mut json = Command::new("sh");
    json.args(["-c", "kill -36 $(cat /run/keepalived.pid)"]);
    pair.a.host.start(json)?.success(LIMIT)?;
    for (path, what) in [
        ("/tmp/state/keepalived.data", "VRRP Instance = nginx"),
        ("/tmp/state/counters", "VRRP Instance: nginx"),
        ("/tmp/state/all.json", "{\"vrrp\":[{\"data\":{\"iname\":\"nginx\""),
        ("/tmp/state/all.json", "\"track_process\":[\"sleeper\"],\"auth_type\":1"),
        ("/tmp/state/all.json", "\"track_process\":[{\"process\":\"sleeper\","),
    ] {
        wait_for(path, LIMIT, || contents(&pair, path).filter(|text| text.contains(what)))?;
    }
    Ok(())
}

#[test]
fn states_are_written_to_fifos_at_a_reload() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let other = |text: &str| {
        let text = text.replace("router_id 51", "router_id 52").replace("192.168.110.10", "192.168.110.20");
        text.replace("vrrp_instance nginx", "vrrp_instance idle")
    };
    let lines = " fifo_write_vrrp_states_on_reload\n vrrp_notify_fifo /tmp/fifo\n";
    let both = configuration("BACKUP", 100, "");
    let second = both.split_once("vrrp_instance").map(|(_, rest)| other(&format!("vrrp_instance{rest}")));
    let text = format!("{}{}", with(lines, ""), second.unwrap_or_default());
    pair.b.start(&other(&configuration("BACKUP", 200, "")))?;
    pair.b.says("Entering MASTER STATE")?;
    pair.a.host.run(|| fs::write("/tmp/read", "#!/bin/sh\ncat /tmp/fifo > /tmp/told\n"))??;
    pair.a.host.run(|| fs::set_permissions("/tmp/read", fs::Permissions::from_mode(0o755)))??;
    pair.a.host.run(|| nix::unistd::mkfifo("/tmp/fifo", nix::sys::stat::Mode::from_bits_truncate(0o600)))??;
    let _reader = pair.a.host.start(Command::new("/tmp/read"))?;
    pair.a.start(&text)?;
    pair.a.becomes_master()?;
    let told = || contents(&pair, "/tmp/told").unwrap_or_default();
    wait_for("the first states", LIMIT, || told().contains("INSTANCE \"nginx\" MASTER 120").then_some(()))?;
    let before = told().lines().count();
    pair.a.signal(Signal::SIGHUP);
    let line = "INSTANCE \"idle\" BACKUP 100";
    wait_for("the states", LIMIT, || told().lines().skip(before).any(|one| one == line).then_some(()))
        .map_err(|error| io::Error::other(format!("{error}: {}; {}", told(), pair.a.log())))?;
    let after: Vec<String> = told().lines().skip(before).map(str::to_owned).collect();
    assert_eq!(after, ["INSTANCE \"nginx\" MASTER 120", "INSTANCE \"idle\" BACKUP 100"]);
    Ok(())
}

#[test]
fn scripts_run_with_the_groups_of_their_user_if_that_is_asked_for() -> io::Result<()> {
    for (asks, expected) in [(true, "1 12"), (false, "1")] {
        let mut pair = Pair::new(Program::Ours, Program::Ours)?;
        pair.a.host.run(|| {
            compat_tests::mount::file("/etc/group", b"root:x:0:\ndaemon:x:1:\nman:x:12:daemon\n", 0o644)?;
            fs::write("/tmp/script", "#!/bin/sh\nid -G > /tmp/groups/all\n")?;
            fs::set_permissions("/tmp/script", fs::Permissions::from_mode(0o755))?;
            fs::create_dir("/tmp/groups")?;
            fs::set_permissions("/tmp/groups", fs::Permissions::from_mode(0o777))
        })??;
        let lines = if asks { " set_supplementary_groups\n" } else { "" };
        let text = with(lines, "").replacen(" advert_int 1", " advert_int 1\n notify_master /tmp/script daemon", 1);
        pair.a.start(&text)?;
        pair.a.becomes_master()?;
        let groups = wait_for("the groups", LIMIT, || contents(&pair, "/tmp/groups/all").filter(|all| !all.is_empty()))
            .map_err(|error| io::Error::other(format!("{error}: {}", pair.a.log())))?;
        assert_eq!(groups.trim_end(), expected);
    }
    Ok(())
}

/// The lines of the checkers' dump behind the global definitions, once the host has said these lines and another dump is
/// asked for.
fn checkers_dump(side: &Side, lines: &[&str]) -> io::Result<String> {
    for line in lines {
        side.says(line)?;
    }
    side.host.run(|| drop(fs::remove_file("/tmp/keepalived_check.data")))?;
    side.signal(Signal::SIGUSR1);
    let whole = wait_for("the checkers' dump", LIMIT, || {
        let text = side.host.run(|| fs::read_to_string("/tmp/keepalived_check.data")).ok()?.ok()?;
        text.ends_with("weight 3 reverse\n").then_some(text)
    })?;
    Ok(whole.split_once("------< SSL").map(|(_, rest)| format!("------< SSL{rest}")).unwrap_or_default())
}

/// What is in a file of `fixtures/keepalived/dump`.
fn fixture(name: &str) -> io::Result<String> {
    fs::read_to_string(compat_tests::root().join("fixtures/keepalived/dump").join(name))
}

/// What both dumps say, line by line, where theirs may be another one.
fn differing(theirs: &str, ours: &str, may_differ: &[(&str, &str)]) -> Vec<String> {
    let theirs: Vec<&str> = theirs.lines().filter(|line| !line.starts_with(" Password")).collect();
    let ours: Vec<&str> = ours.lines().collect();
    let known = |theirs: &str, ours: &str| {
        may_differ
            .iter()
            .any(|(one, other)| theirs.trim_start().starts_with(one) && ours.trim_start().starts_with(other))
    };
    let mut wrong = Vec::new();
    if theirs.len() != ours.len() {
        wrong.push(format!("{} lines are recorded, and there are {}", theirs.len(), ours.len()));
    }
    for (at, (theirs, ours)) in theirs.iter().zip(&ours).enumerate() {
        if theirs != ours && !known(theirs, ours) {
            wrong.push(format!("{}: theirs {theirs}; ours {ours}", at + 1));
        }
    }
    wrong
}

#[test]
fn the_checkers_dump_what_keepalived_dumps() -> io::Result<()> {
    const SETTLED: [&str; 6] = [
        "Removing service [127.0.0.1]:tcp:9001 to VS",
        "Removing service [127.0.0.1]:tcp:9002 to VS",
        "Disabling service [127.0.0.1]:tcp:9003 to VS",
        "Removing service [127.0.0.1]:tcp:9004 to VS",
        "Removing service [127.0.0.1]:tcp:9006 to VS",
        "Adding sorry server [127.0.0.9]:tcp:80 to VS [10.9.9.2]:tcp:80",
    ];
    const RELOADED: [&str; 1] = ["Changing weight from 4 to 6 for active service [10.0.0.1]:sctp:5060"];
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.host.run(|| fs::write("/tmp/load", "3\n"))??;
    // A name that leads elsewhere is replaced, not followed.
    pair.a.host.run(|| std::os::unix::fs::symlink("/tmp/elsewhere", "/tmp/keepalived_check.data"))??;
    let recorder = recorded::recorder();
    match &recorder {
        Some(path) => pair.a.start_original(path, &fixture("start.conf")?)?,
        None => pair.a.start_without_ipvs(&fixture("start.conf")?)?,
    }
    let start = checkers_dump(&pair.a, &SETTLED)?;
    pair.a.configure(&fixture("reload.conf")?)?;
    pair.a.signal(Signal::SIGHUP);
    let reload = checkers_dump(&pair.a, &RELOADED)?;
    if recorder.is_some() {
        let folder = compat_tests::root().join("fixtures/keepalived/dump");
        fs::write(folder.join("start.data"), start)?;
        return fs::write(folder.join("reload.data"), reload);
    }
    let mode =
        pair.a.host.run(|| fs::metadata("/tmp/keepalived_check.data").map(|about| about.permissions().mode()))??;
    assert_eq!(mode & 0o7777, 0o600);
    assert!(!pair.a.host.run(|| fs::exists("/tmp/elsewhere"))??);
    assert!(!start.contains("s3cret") && !reload.contains("s3cret"));
    // The keepalived of the recording had no IPVS for IPv6; it counts the attempts of failed web and mail checks on.
    let counted = [
        ("Alive: 0 tcp, 0 udp, 0 sctp", "Alive: 1 tcp, 0 udp, 0 sctp"),
        ("Retries iterations = 2", "Retries iterations = "),
        ("Retries left before fail = 2", "Retries left before fail = "),
    ];
    assert_eq!(differing(&fixture("start.data")?, &start, &counted), [""; 0]);
    let weights = [("RIP = ", "RIP = "), ("Alive: 0 tcp, 1 udp, 0 sctp", "Alive: 0 tcp, 5 udp, 0 sctp")];
    assert_eq!(differing(&fixture("reload.data")?, &reload, &[&counted[..], &weights].concat()), [""; 0]);
    // The weights of real servers are as they were.
    let effective =
        |text: &str| text.lines().filter(|line| line.contains("EFF WEIGHT")).map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (effective(&start), effective(&reload));
    assert_eq!(before.iter().filter(|line| !after.contains(line)).count(), 2, "{before:?} {after:?}");
    Ok(())
}
