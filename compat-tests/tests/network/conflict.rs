//! `--detect-conflicts`: another host that holds the address of a master is reported.

use std::fs;
use std::io;
use std::process::Command;

use super::pair::{LIMIT, PORT, Pair, configuration};
use compat_tests::program::Program;
use compat_tests::wait_for;
use serde_json::Value;

#[test]
fn a_second_master_is_reported_and_nobody_gives_way_to_it() -> io::Result<()> {
    for other in [Program::Original, Program::Ours] {
        let mut pair = Pair::new(Program::Ours, other)?;
        let fifo = " vrrp_notify_fifo /tmp/fifo\n";
        let text = configuration("BACKUP", 120, "").replacen(" script_user", &format!("{fifo} script_user"), 1);
        pair.a.start_with(&text, &["--detect-conflicts"])?;
        pair.a.becomes_master()?;
        // Another password: neither believes the other, and both hold the address.
        pair.b.start(&configuration("BACKUP", 100, "").replace("123456", "654321"))?;
        pair.b.becomes_master()?;
        let line =
            "(nginx) Conflict: 192.168.110.12 advertises too, and its adverts are refused: received an invalid passwd!";
        pair.a.says(line)?;
        let shown = pair.b.host.run(|| Command::new("ip").args(["-br", "link", "show", PORT]).output())??;
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        let mac = shown.split_whitespace().nth(2).unwrap_or_default();
        // What the other host announced may have come before this one was listened to.
        let mut arping = Command::new("sh");
        arping.args([
            "-c",
            "for i in 1 2 3 4; do ping -c 1 -W 1 -I 192.168.110.10 192.168.110.99; ip neigh flush all; done",
        ]);
        let _pings = pair.b.host.start(arping)?;
        pair.a.says(&format!("(nginx) Conflict: {} has 192.168.110.10 too, by ARP", mac))?;
        assert!(pair.a.is_master(), "{}", pair.a.log());
        let program = Program::Ours.keepalived()?;
        let conflicts = || -> io::Result<Value> {
            let mut status = Command::new(&program);
            status.args(["status", "--json"]);
            let running = pair.a.host.start(status)?;
            running.success(LIMIT)?;
            let status: Value = serde_json::from_str(&running.output())?;
            Ok(status["instances"][0]["conflicts"].clone())
        };
        let both = || conflicts().ok().filter(|conflicts| conflicts.as_array().map(Vec::len) == Some(2));
        wait_for("both in the status", LIMIT, both)
            .map_err(|error| io::Error::other(format!("{error}: {:?}", conflicts())))?;
        let told = || -> io::Result<String> {
            pair.a.host.run(|| {
                use std::io::Read as _;
                use std::os::unix::fs::OpenOptionsExt as _;
                let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
                let mut fifo = fs::OpenOptions::new().read(true).custom_flags(flags).open("/tmp/fifo")?;
                let mut bytes = vec![0; 4096];
                let length = fifo.read(&mut bytes)?;
                Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
            })?
        };
        wait_for("the FIFO", LIMIT, || told().ok()?.contains("INSTANCE \"nginx\" CONFLICT 120").then_some(()))?;
    }
    Ok(())
}

/// An instance over IPv6 that announces its address each second while it is master.
fn over_ipv6(vrid: u8) -> String {
    format!(
        "vrrp_instance W {{\n interface {PORT}\n virtual_router_id {vrid}\n priority 100\n advert_int 0.1\n \
         garp_master_refresh 1\n virtual_ipaddress {{\n fe80::110\n }}\n}}\n"
    )
}

#[test]
fn an_address_of_ipv6_that_another_host_announces_is_reported() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.start_with(&over_ipv6(51), &["--detect-conflicts"])?;
    pair.a.says("(W) Entering MASTER STATE")?;
    // Another virtual router: both hold the address.
    pair.b.start(&over_ipv6(52))?;
    pair.b.says("(W) Entering MASTER STATE")?;
    pair.a.says("advertises fe80::110 too, as virtual router 52")?;
    let shown = pair.b.host.run(|| Command::new("ip").args(["-br", "link", "show", PORT]).output())??;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let mac = shown.split_whitespace().nth(2).unwrap_or_default();
    pair.a.says(&format!("(W) Conflict: {mac} has fe80::110 too, by neighbour advertisement"))
}
