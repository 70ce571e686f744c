//! What `-t` says of a file, asked of the installed keepalived and of ours: the same lines.
//!
//! keepalived 2.2.7 reads a file twice and says some things twice, its parent without the file's name; that is left out.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::process::Command;

use compat_tests::mount;
use compat_tests::net::{Host, Switch};
use compat_tests::program::Program;

/// The beginning of a fine instance, six lines; what is wrong comes behind it.
const INSTANCE: &str = "vrrp_instance V {\n interface ens33\n virtual_router_id 5\n virtual_ipaddress {\n 1.2.3.4\n}\n";

/// Files with mistakes: what is theirs, whether it stands inside [`INSTANCE`].
const FILES: &[(bool, &str)] = &[
    (true, "}\nfoo bar\n"),
    (true, ""),
    (true, " priority\n}\n"),
    (true, " priority 300\n}\n"),
    (true, " state FOO\n advert_int x\n advert_int 0.5\n preempt_delay 2000\n}\n"),
    (true, " authentication {\n auth_type FOO\n auth_pass 1234567890\n}\n}\n"),
    (true, " priority 255\n nopreempt\n}\n"),
    (true, " state MASTER\n priority 120\n nopreempt\n}\n"),
    (true, " virtual_router_id 300\n}\n"),
    (true, " state MASTER\n preempt_delay 5\n}\n"),
    (true, " nopreempt\n preempt_delay 5\n}\n"),
    (true, " version 3\n authentication {\n auth_type PASS\n auth_pass x\n}\n}\n"),
    (true, " track_interface {\n zz9\n}\n}\n"),
    (true, " track_script {\n nope\n}\n}\n"),
    (true, " unicast_peer {\n 1.2.3\n 1.2.3.9 foo 3\n}\n}\n"),
    (true, " skip_check_adv_addr maybe\n}\n"),
    (true, " strict_mode on\n nopreempt extra words\n}\n"),
    (true, "}\nvrrp_sync_group G {\n group {\n V\n nope\n }\n}\n"),
    (true, "}\nvrrp_instance W {\n interface ens33\n virtual_router_id 5\n virtual_ipaddress {\n 1.2.3.4\n}\n}\n"),
    (true, "}\nvrrp_instance V {\n interface ens33\n virtual_router_id 6\n}\n"),
    (false, ""),
    (false, "vrrp_instance {\n}\n"),
    (false, "vrrp_instance V {\n interface ens33\n}\n"),
    (false, "vrrp_instance V {\n interface foo0\n virtual_router_id 5\n}\n"),
    (
        false,
        "vrrp_instance V {\n interface ens33\n virtual_router_id 5\n virtual_ipaddress {\n 1.2.3.400\n 1.2.3.4 dev\n 1.2.3.5 \
         foo\n 1.2.3.6/99\n }\n}\n",
    ),
    (
        false,
        "vrrp_instance V {\n interface ens33\n virtual_router_id 5\n virtual_ipaddress {\n fe80::1\n 1.2.3.4\n}\n}\n",
    ),
    (false, "vrrp_script s {\n interval 0.5\n weight 300\n}\n"),
    (false, "include /etc/keepalived/nothing*.conf\n"),
];

/// The lines of `-t`, without order, and whether it was content.
fn said(host: &Host, program: Program) -> io::Result<(BTreeSet<String>, bool)> {
    let path = program.keepalived()?;
    let allowed: &[&str] = if program == Program::Ours { &["--allow-unserved"] } else { &[] };
    let test = move || Command::new(path).args(["-t", "-f", "/etc/keepalived/keepalived.conf"]).args(allowed).output();
    let output = host.run(test)??;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let own = |line: &&str| {
        !line.starts_with("(Line ")
            && !line.starts_with("rkeepalived: not served: ")
            && !line.contains("Unknown keyword '}'")
    };
    Ok((text.lines().filter(own).map(str::to_owned).collect(), output.status.success()))
}

#[test]
fn mistakes_are_complained_about_in_keepaliveds_words() -> io::Result<()> {
    if Program::Original.keepalived().is_err() {
        return Ok(());
    }
    let (switch, host) = (Switch::new()?, Host::new("reader")?);
    switch.plug(&host, "ens33", Ipv4Addr::new(192, 168, 110, 11), 24)?;
    host.run(|| mount::replace("/etc/keepalived"))??;
    let mut wrong = Vec::new();
    for (inside, text) in FILES {
        let text = if *inside { format!("{INSTANCE}{text}") } else { (*text).to_owned() };
        let file = text.clone();
        host.run(move || fs::write("/etc/keepalived/keepalived.conf", file))??;
        let (theirs, ours) = (said(&host, Program::Original)?, said(&host, Program::Ours)?);
        if theirs != ours {
            wrong.push(format!("{text}\ntheirs {theirs:#?}\nours {ours:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n----\n"));
    Ok(())
}
