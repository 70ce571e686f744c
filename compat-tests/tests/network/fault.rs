//! What keeps a router from taking part, and what it says and holds meanwhile.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use super::pair::{LIMIT, PORT, Pair, VIRTUAL, configuration};
use compat_tests::program::Program;
use compat_tests::{link, wait_for};
use nix::sys::signal::Signal;

/// Longer than a backup waits for a silent master.
const LONG: Duration = Duration::from_secs(5);

fn unicast(own: u8, other: u8) -> String {
    format!(" unicast_src_ip 192.168.110.{own}\n unicast_peer {{\n 192.168.110.{other}\n }}\n")
}

fn run(pair: &Pair, program: &'static str, arguments: &[&'static str]) -> io::Result<()> {
    let words = arguments.to_vec();
    let status = pair.a.host.run(move || Command::new(program).args(words).status())??;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{program} {arguments:?}: {status}"))) }
}

#[test]
fn a_router_whose_sockets_cannot_be_opened_is_in_fault() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    run(&pair, "sysctl", &["-qw", "net.ipv4.igmp_max_memberships=0"])?;
    pair.a.start(&configuration("BACKUP", 120, ""))?;
    pair.a.says("(ens33) cant do IP_ADD_MEMBERSHIP errno=No buffer space available (105)")?;
    pair.a.says("(nginx) Entering FAULT STATE")?;
    std::thread::sleep(LONG);
    assert!(!pair.a.is_master(), "{}", pair.a.log());
    assert_eq!(pair.a.log().matches("IP_ADD_MEMBERSHIP").count(), 1, "said once: {}", pair.a.log());
    run(&pair, "sysctl", &["-qw", "net.ipv4.igmp_max_memberships=20"])?;
    pair.a.becomes_master()?;
    Ok(())
}

#[test]
fn a_unicast_source_on_no_interface_is_a_fault_until_it_is_there() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.start(&configuration("BACKUP", 120, &unicast(77, 12)))?;
    pair.a.says("bind unicast_src 192.168.110.77 failed 99 - Cannot assign requested address")?;
    pair.a.says("(nginx): entering FAULT state (src address not configured)")?;
    pair.a.says("(nginx) Entering FAULT STATE")?;
    std::thread::sleep(LONG);
    assert!(!pair.a.is_master(), "{}", pair.a.log());
    pair.a.host.run(|| link::add_address(PORT, Ipv4Addr::new(192, 168, 110, 77), 24))??;
    pair.a.becomes_master()?;
    Ok(())
}

#[test]
fn a_master_that_loses_its_own_address_still_says_farewell() -> io::Result<()> {
    for more in [String::new(), " unicast_peer {\n 192.168.110.12\n }\n".to_owned()] {
        let mut pair = Pair::new(Program::Ours, Program::Ours)?;
        pair.a.start(&configuration("BACKUP", 120, &more))?;
        pair.a.becomes_master()?;
        let lost = Instant::now();
        run(&pair, "ip", &["addr", "del", "192.168.110.11/24", "dev", PORT])?;
        pair.a.says("(nginx) Entering FAULT STATE")?;
        if more.is_empty() {
            pair.a.says("(nginx) sent 0 priority")?;
            wait_for("priority 0", LIMIT, || pair.sniffer.advert(pair.a.address, lost, |priority| priority == 0))?;
        }
        pair.a.lets_go()?;
    }
    Ok(())
}

#[test]
fn a_farewell_that_cannot_be_sent_is_not_claimed() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let began = Instant::now();
    pair.a.start(&configuration("BACKUP", 120, ""))?;
    pair.a.becomes_master()?;
    // Its first advert has left before the link goes.
    wait_for("an advert", LIMIT, || pair.sniffer.advert(pair.a.address, began, |priority| priority > 0))?;
    pair.a.set_up(false)?;
    pair.a.says("(nginx) Entering FAULT STATE")?;
    pair.a.says("(nginx) removing VIPs.")?;
    let log = pair.a.log();
    assert!(!log.contains("sent 0 priority") && !log.contains("send advert error"), "{log}");
    Ok(())
}

#[test]
fn a_script_that_may_not_be_run_is_left_out_unless_asked_otherwise() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let text = configuration("BACKUP", 120, " track_script {\n check\n }\n");
    let text = text.replace("/usr/bin/test ! -e /tmp/broken", "/tmp/missing");
    pair.a.start(&text)?;
    pair.a.says("Script /tmp/missing cannot be accessed - No such file or directory")?;
    pair.a.says("Disabling track script check since not found/accessible")?;
    pair.a.becomes_master()?;
    pair.a.stop()?;
    pair.a.start_with(&text, &["--fault-on-disabled-script"])?;
    pair.a.says("Track script check counts as failed")?;
    std::thread::sleep(LONG);
    assert!(!pair.a.is_master(), "{}", pair.a.log());
    Ok(())
}

#[test]
fn an_instance_of_which_something_is_left_out_holds_no_address() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let text = configuration("BACKUP", 120, " use_ipvlan 192.168.110.13\n");
    pair.a.start_with(&text, &["--allow-unserved"])?;
    pair.a.says("(nginx) entering FAULT state (what it asks for is not served)")?;
    std::thread::sleep(LONG);
    assert!(!pair.a.is_master(), "{}", pair.a.log());
    pair.a.configure(&configuration("BACKUP", 120, ""))?;
    pair.a.signal(Signal::SIGHUP);
    pair.a.becomes_master()?;
    Ok(())
}

/// Niceness and scheduling policy of the daemon's processes, parent and child.
fn scheduling(pair: &Pair) -> io::Result<Vec<(i32, i32)>> {
    let mut found = Vec::new();
    for pid in pair.a.host.processes("rkeepalived")? {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let field = |at: usize| fields.get(at).and_then(|text| text.parse().ok()).unwrap_or(i32::MIN);
        // proc(5): nice is the 19th field, policy the 41st; the name is the second.
        found.push((field(16), field(38)));
    }
    found.sort_unstable();
    Ok(found)
}

#[test]
fn a_reload_changes_how_the_process_is_scheduled() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let with =
        |options: &str| configuration("BACKUP", 120, "").replacen(" router_id x", &format!(" router_id x{options}"), 1);
    pair.a.start(&with("\n vrrp_priority -3"))?;
    pair.a.becomes_master()?;
    // The policies of sched(7): 0 is the ordinary one, 2 is SCHED_RR.
    for (options, child) in [("\n vrrp_priority -3", (-3, 0)), ("\n vrrp_rt_priority 10", (0, 2)), ("", (0, 0))] {
        pair.a.configure(&with(options))?;
        pair.a.signal(Signal::SIGHUP);
        let mut wanted = vec![(0, 0), child];
        wanted.sort_unstable();
        let is_so = || scheduling(&pair).ok().filter(|all| *all == wanted);
        wait_for(&format!("{wanted:?} for {options:?}"), LIMIT, is_so)
            .map_err(|error| io::Error::other(format!("{error}: {:?}", scheduling(&pair))))?;
    }
    assert!(pair.a.is_master(), "{}", pair.a.log());
    Ok(())
}

#[test]
fn a_reload_leaves_static_addresses_alone() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let fixed = |addresses: &str| {
        let statics = format!("static_ipaddress {{\n{addresses}}}\n");
        [statics, configuration("BACKUP", 120, "")].concat()
    };
    let [first, second] = [31, 32].map(|last| Ipv4Addr::new(192, 168, 110, last));
    let holds = |pair: &Pair, ip| pair.a.host.addresses(PORT).is_ok_and(|all| all.contains(&ip));
    pair.a.start(&fixed(" 192.168.110.31/32 dev ens33\n 192.168.110.32/32 dev ens33\n"))?;
    pair.a.becomes_master()?;
    // A lifetime given by hand is lost when the address is taken away and put back.
    let lifetime = ["addr", "change", "192.168.110.31/32", "dev", PORT, "valid_lft", "9000", "preferred_lft", "8000"];
    run(&pair, "ip", &lifetime)?;
    pair.a.configure(&fixed(" 192.168.110.31/32 dev ens33\n"))?;
    pair.a.signal(Signal::SIGHUP);
    wait_for("the second to go", LIMIT, || (!holds(&pair, second)).then_some(()))?;
    assert!(holds(&pair, first), "{}", pair.a.log());
    let shown =
        pair.a.host.run(|| Command::new("ip").args(["-o", "addr", "show", "to", "192.168.110.31"]).output())??;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("192.168.110.31/32") && !shown.contains("forever"), "{shown}");
    Ok(())
}

#[test]
fn an_interface_that_is_renamed_loses_the_address() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.start(&configuration("BACKUP", 120, ""))?;
    pair.a.becomes_master()?;
    run(&pair, "ip", &["link", "set", "ens33", "name", "other"])?;
    pair.a.says("Interface name has changed from ens33 to other")?;
    pair.a.says("(nginx) Entering FAULT STATE")?;
    wait_for("the address to go", LIMIT, || {
        pair.a.host.addresses("other").is_ok_and(|all| !all.contains(&VIRTUAL)).then_some(())
    })?;
    run(&pair, "ip", &["link", "set", "other", "name", "ens33"])?;
    pair.a.becomes_master()?;
    Ok(())
}

#[test]
fn a_tracked_file_counts_as_soon_as_it_is_written() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let file = "track_file f {\n file /tmp/value\n weight 0\n}\n";
    let text = [file, &configuration("BACKUP", 120, " track_file {\n f\n }\n")].concat();
    pair.a.start(&text)?;
    pair.a.becomes_master()?;
    pair.a.host.run(|| fs::write("/tmp/value", "1\n"))??;
    pair.a.says("(nginx): tracked file f now FAULT state")?;
    pair.a.lets_go()?;
    pair.a.host.run(|| fs::write("/tmp/value", "0\n"))??;
    pair.a.says("(nginx): tracked file f leaving FAULT state")?;
    pair.a.becomes_master()?;
    Ok(())
}

#[test]
fn scripts_run_with_keepaliveds_umask() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.host.run(|| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::write("/tmp/told", "#!/bin/sh\numask > /tmp/umask\n")?;
        fs::set_permissions("/tmp/told", fs::Permissions::from_mode(0o755))
    })??;
    pair.a.start(&configuration("BACKUP", 120, " notify_master /tmp/told\n"))?;
    let mask = wait_for("the mask", LIMIT, || {
        pair.a.host.run(|| fs::read_to_string("/tmp/umask").ok()).ok()?.filter(|text| !text.is_empty())
    })?;
    assert_eq!(mask.trim(), "0177");
    Ok(())
}

#[test]
fn no_process_is_counted_where_the_kernel_reports_none() -> io::Result<()> {
    // The kernel reports processes to its first network namespace only.
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let mut command = Command::new("sleep");
    command.arg("77");
    let _sleeper = pair.a.host.start(command)?;
    let text = configuration("BACKUP", 120, " track_process {\n sleeper\n }\n");
    pair.a.start(&format!("vrrp_track_process sleeper {{\n process sleep 77\n}}\n{text}"))?;
    pair.a.says("Failed to set/clear process event listen - errno")?;
    pair.a.says("(nginx) entering FAULT state (tracked process sleeper quorum not achieved)")
}

#[test]
fn processes_are_read_where_that_is_asked_for() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let text = configuration("BACKUP", 120, " track_process {\n sleeper\n }\n");
    let text = format!("vrrp_track_process sleeper {{\n process sleep 77\n}}\n{text}");
    pair.a.start_with(&text, &["--read-processes"])?;
    pair.a.says("Failed to set/clear process event listen - errno")?;
    pair.a.says("(nginx) entering FAULT state (tracked process sleeper quorum not achieved)")?;
    let mut command = Command::new("sleep");
    command.arg("77");
    let sleeper = pair.a.host.start(command)?;
    pair.a.says("Quorum gained for tracked process sleeper")?;
    pair.a.becomes_master()?;
    drop(sleeper);
    pair.a.says("Quorum lost for tracked process sleeper")?;
    pair.a.says("(nginx) Entering FAULT STATE")?;
    pair.a.lets_go()?;
    Ok(())
}
