//! A daemon in a network namespace of its own.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::pair::{LIMIT, Pair, Side, VIRTUAL, configuration};
use compat_tests::program::Program;
use compat_tests::wait_for;
use nix::sys::signal::Signal;

/// What a command prints on the host, and its code.
fn shell(side: &Side, line: &str) -> io::Result<(String, i32)> {
    let mut command = Command::new("sh");
    command.args(["-c", line]);
    let running = side.host.start(command)?;
    let code = running.wait(LIMIT)?.code().unwrap_or(-1);
    Ok((running.output(), code))
}

/// Whether the address is in the namespace.
fn holds(pair: &Pair) -> bool {
    shell(&pair.a, "ip -n red -br addr").is_ok_and(|(text, _)| text.contains(&VIRTUAL.to_string()))
}

#[test]
fn a_daemon_runs_in_a_network_namespace() -> io::Result<()> {
    for program in [Program::Original, Program::Ours] {
        let mut pair = Pair::new(program, Program::Ours)?;
        let made = "ip netns add red && ip -n red link add ens33 type veth peer name other && ip -n red link set ens33 up && \
                    ip -n red link set other up && ip -n red addr add 192.168.7.1/24 dev ens33 && ip link del ens33";
        let (said, code) = shell(&pair.a, made)?;
        assert_eq!(code, 0, "{said}");
        pair.a.host.run(|| {
            fs::write("/tmp/notify", "#!/bin/sh\necho $3 $(stat -L -c %i /proc/self/ns/net) >> /tmp/told\n")?;
            fs::set_permissions("/tmp/notify", fs::Permissions::from_mode(0o755))
        })??;
        let text = |name: &str| {
            let text = configuration("BACKUP", 120, "").replacen(" advert_int", " notify /tmp/notify\n advert_int", 1);
            format!("net_namespace {name}\n{text}")
        };
        pair.a.start(&text("red"))?;
        pair.a.says("Changing syslog ident to Keepalived_red")?;
        wait_for("the address", LIMIT, || holds(&pair).then_some(()))
            .map_err(|error| io::Error::other(format!("{error}; {}", pair.a.log())))?;
        assert!(!pair.a.is_master(), "{}: the address is in the other namespace", program.name());
        let number = shell(&pair.a, "stat -L -c %i /run/netns/red")?.0;
        let line = format!("MASTER {}", number.trim_end());
        let told = || pair.a.host.run(|| fs::read_to_string("/tmp/told").unwrap_or_default()).unwrap_or_default();
        wait_for(&line, LIMIT, || told().lines().any(|one| one == line).then_some(()))
            .map_err(|error| io::Error::other(format!("{error}; {}", told())))?;
        let files = shell(&pair.a, "cd /run/keepalived && find . -name '*.pid' | sort")?.0;
        assert_eq!(files, "./red/keepalived.pid\n./red/vrrp.pid\n", "{}", program.name());
        pair.a.configure(&text("blue"))?;
        pair.a.signal(Signal::SIGHUP);
        pair.a.says("Cannot change network namespace at a reload - please restart keepalived")?;
        assert!(holds(&pair), "{}", pair.a.log());
        pair.a.stop()?;
        assert_eq!(shell(&pair.a, "ls /run/keepalived 2>&1 | grep -v cannot")?.0, "", "{}", program.name());
        assert!(!holds(&pair), "{}: the address is still here", program.name());
    }
    let pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.configure(&configuration("BACKUP", 120, ""))?;
    let program = Program::Ours.keepalived()?.display().to_string();
    let lines = "Failed to open /run/netns/nowhere\nUnable to set network namespace nowhere - exiting\n";
    assert_eq!(shell(&pair.a, &format!("{program} -t -s nowhere"))?, (lines.to_owned(), 3));
    let (said, code) = shell(&pair.a, &format!("{program} -n -l -s nowhere"))?;
    assert!(said.contains("Unable to set network namespace nowhere - exiting") && code == 1, "{code}: {said}");
    Ok(())
}
