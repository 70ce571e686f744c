//! What is said to be sent is sent: the lines about announcements, beside what another machine of the network sees.

use std::io;
use std::process::Command;

use super::pair::{LIMIT, PORT, Pair, VIRTUAL, configuration};
use compat_tests::process::Running;
use compat_tests::program::Program;
use compat_tests::wait_for;

/// What the other machine sees of a kind of packets, from now on.
fn watch(pair: &Pair, filter: &str) -> io::Result<Running> {
    let mut command = Command::new("tcpdump");
    command.args(["-i", PORT, "-n", "-l", "-t", filter]);
    let running = pair.b.host.start(command)?;
    wait_for("the capture", LIMIT, || running.output().contains("listening on").then_some(()))?;
    Ok(running)
}

#[test]
fn every_announcement_that_is_said_to_be_sent_is_seen() -> io::Result<()> {
    for program in [Program::Original, Program::Ours] {
        let mut pair = Pair::new(program, Program::Ours)?;
        let seen = watch(&pair, "arp")?;
        let more =
            " garp_master_delay 1\n garp_master_repeat 3\n garp_master_refresh 2\n garp_master_refresh_repeat 2\n";
        pair.a.start(&configuration("MASTER", 200, more))?;
        pair.a.becomes_master()?;
        let address = VIRTUAL.to_string();
        let said =
            |pair: &Pair| pair.a.log().matches(&format!("Sending gratuitous ARP on {PORT} for {address}")).count();
        // At the change, a second later, and at two refreshes at least.
        wait_for("the announcements", LIMIT, || (said(&pair) >= 10).then_some(()))?;
        let ask = format!("Request who-has {address} (ff:ff:ff:ff:ff:ff) tell {address}");
        let plain = format!("Request who-has {address} tell {address}");
        let count = || seen.output().lines().filter(|line| line.contains(&ask) || line.contains(&plain)).count();
        // A frame and its line may lie on both sides of a look.
        wait_for("as many frames", LIMIT, || (count() == said(&pair)).then_some(()))
            .map_err(|error| io::Error::other(format!("{}: {error}: {} {}", program.name(), count(), said(&pair))))?;
    }
    Ok(())
}

/// A script that is said to be disabled is never run.
#[test]
fn a_script_that_is_said_to_be_disabled_is_not_run() -> io::Result<()> {
    for program in [Program::Original, Program::Ours] {
        let mut pair = Pair::new(program, Program::Ours)?;
        let make = |path: &'static str, mode: &str| {
            let text = format!("printf '#!/bin/sh\\necho run >>/tmp/ran\\n' >{path}; chmod {mode} {path}");
            let mut command = Command::new("sh");
            command.args(["-c", &text]);
            pair.a.host.start(command)?.success(LIMIT)
        };
        make("/tmp/open.sh", "777")?;
        make("/tmp/plain.sh", "644")?;
        let scripts = "vrrp_script open {\n script /tmp/open.sh\n interval 1\n}\nvrrp_script plain {\n script /tmp/plain.sh\n \
                       interval 1\n}\nvrrp_script gone {\n script /tmp/gone.sh\n interval 1\n}\n";
        let text =
            configuration("BACKUP", 120, " track_script {\n open weight 1\n plain weight 1\n gone weight 1\n }\n");
        let text = text.replacen("vrrp_instance", &format!("{scripts}vrrp_instance"), 1);
        pair.a.start(&text)?;
        for line in [
            "Unsafe permissions found for script '/tmp/open.sh' - disabling.",
            "Disabling track script open due to insecure",
            "WARNING - script '/tmp/plain.sh' is not executable for uid:gid 0:0 - disabling.",
            "Disabling track script gone since not found/accessible",
        ] {
            pair.a.says(line).map_err(|error| io::Error::other(format!("{}: {error}", program.name())))?;
        }
        pair.a.becomes_master()?;
        let ran = pair.a.host.run(|| std::path::Path::new("/tmp/ran").exists())?;
        assert!(!ran, "{}: {}", program.name(), pair.a.log());
    }
    Ok(())
}
