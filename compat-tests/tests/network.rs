//! Real networks: rkeepalived beside rkeepalived, and beside the installed keepalived both ways round.
//!
//! No timing is asserted; what was measured is printed (`--nocapture`).

mod announced;
mod bfd;
mod checkers;
mod conflict;
mod dumps;
mod fault;
mod firewall;
mod kinds;
mod late;
mod linkbeat;
mod mails;
mod namespace;
mod pair;
mod probes;
mod real_servers;
mod reloads;
mod schedule;
mod scripts;
mod statics;
mod status;
mod story;
mod trailers;
mod vmac;
mod ways;

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Instant;

use compat_tests::link;
use compat_tests::program::Program;
use compat_tests::wait_for;
use compat_tests::wire::Frame;
use nix::sys::signal::Signal;
use pair::{LIMIT, PORT, Pair, VIRTUAL, configuration};

const TRACKED: &str = " track_script {\n check\n }\n";

/// Who stands against whom: ours against ours, and both ways round against the installed keepalived.
fn pairs() -> Vec<(Program, Program)> {
    vec![(Program::Ours, Program::Ours), (Program::Ours, Program::Original), (Program::Original, Program::Ours)]
}

fn report(what: &str, (a, b): (Program, Program), since: Instant, at: Instant) {
    println!("{what}: {} -> {}: {:.1} ms", a.name(), b.name(), (at - since).as_secs_f64() * 1000.0);
}

#[test]
fn a_master_that_stops_is_followed_and_takes_over_again() -> io::Result<()> {
    for (a, b) in pairs() {
        let mut pair = Pair::started(a, b, TRACKED)?;
        let asked = Instant::now();
        pair.a.stop()?;
        pair.b.becomes_master()?;
        let gave_up =
            wait_for("priority 0", LIMIT, || pair.sniffer.advert(pair.a.address, asked, |priority| priority == 0))?;
        let took =
            wait_for("an advert", LIMIT, || pair.sniffer.advert(pair.b.address, gave_up.0, |priority| priority > 0))?;
        report("TERM", (a, b), gave_up.0, took.0);
        pair.a.restart()?;
        pair.a.becomes_master()?;
        pair.b.lets_go()?;
        pair.b.says("Master received advert from 192.168.110.11 with higher priority 120, ours 100")?;
    }
    Ok(())
}

#[test]
fn a_recording_of_a_run_is_a_test() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.record(&configuration("BACKUP", 100, TRACKED))?;
    pair.a.becomes_master()?;
    pair.b.start(&configuration("BACKUP", 120, TRACKED))?;
    pair.a.lets_go()?;
    pair.b.stop()?;
    pair.a.becomes_master()?;
    pair.a.stop()?;
    let recording = pair.a.host.run(|| fs::read_to_string("/tmp/recording"))??;
    assert!(!recording.contains("123456"), "the password is in it");
    for step in ["nginx advert 192.168.110.12 prio 120", "nginx timeout", "> nginx add addresses", "nginx stop"] {
        assert!(recording.contains(step), "{step} is missing in\n{recording}");
    }
    let again = rha::keepalived::replay(&recording).map_err(io::Error::other)?;
    let place = again.lines().zip(recording.lines()).find(|(again, then)| again != then);
    assert_eq!(again, recording, "{place:?}");
    Ok(())
}

#[test]
fn a_pair_with_authentication_headers_has_one_master() -> io::Result<()> {
    for (a, b) in pairs() {
        let mut pair = Pair::new(a, b)?;
        let text = |priority, password| {
            let text = configuration("BACKUP", priority, "").replace("auth_type PASS", "auth_type AH");
            text.replace("123456", password)
        };
        pair.a.start(&text(120, "123456"))?;
        pair.a.becomes_master()?;
        pair.b.start(&text(100, "123456"))?;
        pair.b.says("Entering BACKUP STATE")?;
        pair.a.stop()?;
        pair.b.becomes_master()?;
        pair.a.restart()?;
        pair.a.becomes_master()?;
        pair.b.lets_go()?;
        // Another password: neither believes the other.
        pair.b.stop()?;
        pair.b.start(&text(100, "654321"))?;
        pair.b.says("IPSEC-AH : invalid IPSEC HMAC-MD5 value. Due to fields mutation or bad password !")?;
        pair.b.becomes_master()?;
    }
    Ok(())
}

#[test]
fn a_killed_master_is_followed_after_three_intervals() -> io::Result<()> {
    for (a, b) in pairs() {
        let pair = Pair::started(a, b, TRACKED)?;
        // Until B has heard A, B's own clock runs from its start.
        wait_for("an advert of the master", LIMIT, || {
            pair.sniffer
                .advert(pair.a.address, Instant::now(), |_| true)
                .or_else(|| pair.sniffer.last_advert(pair.a.address, Instant::now()).map(|at| (at, 120)))
        })?;
        let killed = Instant::now();
        pair.a.kill()?;
        pair.b.becomes_master()?;
        let took = wait_for("an advert", LIMIT, || pair.sniffer.advert(pair.b.address, killed, |_| true))?;
        report("KILL", (a, b), killed, took.0);
        if let Some(last) = pair.sniffer.last_advert(pair.a.address, took.0) {
            report("KILL since the last advert", (a, b), last, took.0);
        }
        assert!(pair.a.is_master(), "the kernel keeps the address of a killed daemon");
    }
    Ok(())
}

#[test]
fn a_link_that_goes_down_is_a_fault_until_it_is_up() -> io::Result<()> {
    for (a, b) in pairs() {
        let pair = Pair::started(a, b, TRACKED)?;
        let down = Instant::now();
        pair.a.set_up(false)?;
        let at = pair.b.becomes_master()?;
        report("link down", (a, b), down, at);
        pair.a.says("Netlink reports ens33 down")?;
        pair.a.says("(nginx) Entering FAULT STATE")?;
        pair.a.set_up(true)?;
        pair.a.says("Netlink reports ens33 up")?;
        pair.a.becomes_master()?;
        pair.b.lets_go()?;
    }
    Ok(())
}

#[test]
fn a_failed_script_gives_the_address_away_until_it_succeeds() -> io::Result<()> {
    for (a, b) in pairs() {
        let pair = Pair::started(a, b, TRACKED)?;
        pair.a.host.run(|| fs::write("/tmp/broken", ""))??;
        let asked = Instant::now();
        pair.b.becomes_master()?;
        pair.a.says("VRRP_Script(check) failed (exited with status 1)")?;
        pair.a.says("(nginx) Entering FAULT STATE")?;
        let gave_up =
            wait_for("priority 0", LIMIT, || pair.sniffer.advert(pair.a.address, asked, |priority| priority == 0))?;
        let took =
            wait_for("an advert", LIMIT, || pair.sniffer.advert(pair.b.address, gave_up.0, |priority| priority > 0))?;
        report("script", (a, b), gave_up.0, took.0);
        pair.a.host.run(|| fs::remove_file("/tmp/broken"))??;
        pair.a.becomes_master()?;
        pair.b.lets_go()?;
    }
    Ok(())
}

#[test]
fn nopreempt_leaves_the_lesser_master_in_peace() -> io::Result<()> {
    for (a, b) in pairs() {
        let mut pair = Pair::started(a, b, " nopreempt\n")?;
        pair.a.stop()?;
        pair.b.becomes_master()?;
        pair.a.restart()?;
        pair.a.says("Entering BACKUP STATE")?;
        // Longer than the whole wait a preempting host would have had.
        let until = Instant::now() + std::time::Duration::from_secs(5);
        while Instant::now() < until {
            assert!(pair.b.is_master() && !pair.a.is_master(), "{}", pair.a.log());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
    Ok(())
}

/// The advert a program sends, without what counts up and what is summed over that.
fn advert_of(program: Program) -> io::Result<Vec<u8>> {
    let mut pair = Pair::new(program, Program::Ours)?;
    pair.a.start(&configuration("BACKUP", 120, ""))?;
    pair.a.becomes_master()?;
    let bytes = wait_for("an advert", LIMIT, || {
        pair.sniffer.heard().into_iter().find_map(|(_, frame)| match frame {
            Frame::Advert(from, 120, bytes) if from == pair.a.address => Some(bytes),
            _ => None,
        })
    })?;
    let mut bytes = bytes;
    for at in [4, 5, 10, 11] {
        bytes[at] = 0;
    }
    Ok(bytes)
}

#[test]
fn adverts_are_byte_for_byte_keepaliveds() -> io::Result<()> {
    assert_eq!(advert_of(Program::Ours)?, advert_of(Program::Original)?);
    Ok(())
}

#[test]
fn every_announcement_of_the_articles_pace_is_sent() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let paced = configuration("BACKUP", 120, "").replace(" router_id x", " router_id x\n vrrp_garp_interval 0.001");
    let began = Instant::now();
    pair.a.start(&paced)?;
    wait_for("ten announcements", LIMIT, || (pair.sniffer.announcements(VIRTUAL, began) >= 10).then_some(()))?;
    assert_eq!(pair.sniffer.announcements(VIRTUAL, began), 10);
    Ok(())
}

#[test]
fn an_address_that_is_taken_away_comes_back() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.start(&configuration("BACKUP", 120, ""))?;
    pair.a.becomes_master()?;
    pair.a.host.run(|| Command::new("ip").args(["addr", "del", "192.168.110.10/32", "dev", PORT]).status())??;
    pair.a.says("Netlink reflector reports IP 192.168.110.10 removed from ens33")?;
    pair.a.says("Entering BACKUP STATE")?;
    pair.a.becomes_master()?;
    Ok(())
}

#[test]
fn a_source_that_is_tracked_must_be_there() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let source = Ipv4Addr::new(192, 168, 110, 77);
    let more = format!(" mcast_src_ip {source}\n track_src_ip\n");
    pair.a.start(&configuration("BACKUP", 120, &more))?;
    pair.a.says("entering FAULT state\n")?;
    pair.a.host.run(move || link::add_address(PORT, source, 24))??;
    pair.a.becomes_master()?;
    Ok(())
}

#[test]
fn an_error_of_sending_is_said_once() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.start(&configuration("BACKUP", 120, " dont_track_primary\n"))?;
    pair.a.becomes_master()?;
    pair.a.set_up(false)?;
    pair.a.says("send advert error")?;
    // Three more adverts would be due.
    std::thread::sleep(std::time::Duration::from_millis(3500));
    let log = pair.a.log();
    assert_eq!(log.matches("send advert error").count(), 1, "{log}");
    Ok(())
}

#[test]
fn an_interface_that_is_made_anew_is_used_again() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.start(&configuration("BACKUP", 120, ""))?;
    pair.a.becomes_master()?;
    pair.a.host.run(|| link::remove(PORT))??;
    pair.a.says("Interface ens33 deleted")?;
    pair.a.says("(nginx) Entering FAULT STATE")?;
    let again = Instant::now();
    pair.switch.plug(&pair.a.host, PORT, pair.a.address, 24)?;
    pair.a.says("Interface ens33 added")?;
    pair.a.becomes_master()?;
    wait_for("an advert", LIMIT, || pair.sniffer.advert(pair.a.address, again, |priority| priority == 120))?;
    Ok(())
}

#[test]
fn a_reload_keeps_the_master_and_changes_what_it_holds() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let first = configuration("BACKUP", 120, "");
    pair.a.start(&first)?;
    pair.a.becomes_master()?;
    pair.a.configure(
        &first.replace("scope global\n", "scope global\n 192.168.110.20\n").replace("priority 120", "priority 130"),
    )?;
    let asked = Instant::now();
    pair.a.signal(Signal::SIGHUP);
    let second = Ipv4Addr::new(192, 168, 110, 20);
    wait_for("the second address", LIMIT, || pair.a.host.addresses(PORT).ok()?.contains(&second).then_some(()))?;
    wait_for("the new priority", LIMIT, || pair.sniffer.advert(pair.a.address, asked, |priority| priority == 130))?;
    pair.a.configure(&first)?;
    pair.a.signal(Signal::SIGHUP);
    wait_for("one address", LIMIT, || (!pair.a.host.addresses(PORT).ok()?.contains(&second)).then_some(()))?;
    assert!(pair.a.is_master());
    assert!(pair.sniffer.advert(pair.a.address, asked, |priority| priority == 0).is_none(), "it never gave up");
    // The address that went is no news, nor is the one that stayed.
    let since = Instant::now();
    wait_for("an advert", LIMIT, || pair.sniffer.advert(pair.a.address, since, |priority| priority == 120))?;
    let log = pair.a.log();
    assert_eq!(log.matches("Entering MASTER STATE").count(), 1, "{log}");
    assert!(!log.contains("Deassigned address") && !log.contains("Assigned address 192.168.110.10 "), "{log}");
    Ok(())
}

#[test]
fn a_broken_file_is_refused_at_a_reload() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.start(&configuration("BACKUP", 120, ""))?;
    pair.a.becomes_master()?;
    pair.a.configure("vrrp_instance V {\n interface nothing\n virtual_router_id 1\n")?;
    pair.a.signal(Signal::SIGHUP);
    pair.a.says("The configuration cannot be run - keeping the old one")?;
    assert!(pair.a.is_master());
    Ok(())
}

#[test]
fn a_killed_vrrp_process_is_back_at_once() -> io::Result<()> {
    for program in [Program::Original, Program::Ours] {
        let mut pair = Pair::new(program, Program::Ours)?;
        pair.a.start(&configuration("BACKUP", 120, ""))?;
        pair.a.becomes_master()?;
        let inner = pair.a.host.run(|| fs::read_to_string("/run/vrrp.pid"))??.trim().parse().expect("a number");
        nix::sys::signal::kill(pair.a.host.outer(inner)?, Signal::SIGKILL)?;
        pair.a.says("exited due to signal 9 (Killed)")?;
        pair.a.says(&format!("VRRP child process({inner}) died: Respawning"))?;
        pair.a.says("Restart of VRRP process delayed 0 seconds to limit respawn rate")?;
        let again = || (pair.a.log().matches("Entering MASTER STATE").count() == 2).then_some(());
        wait_for("a second life", LIMIT, again)?;
        assert!(pair.a.is_master());
    }
    Ok(())
}

#[test]
fn a_configuration_that_cannot_be_run_ends_with_code_3() -> io::Result<()> {
    let pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.configure("vrrp_instance V {\n interface nothing\n virtual_router_id 1\n}\n")?;
    let mut command = Command::new(Program::Ours.keepalived()?);
    command.args(["-n", "-l", "-G"]);
    let daemon = pair.a.host.start(command)?;
    assert_eq!(daemon.wait(LIMIT)?.code(), Some(3), "{}", daemon.output());
    Ok(())
}

#[test]
fn the_pid_file_is_there_when_the_starter_ends() -> io::Result<()> {
    let pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.configure(&configuration("BACKUP", 120, ""))?;
    let starter = pair.a.host.start(Command::new(Program::Ours.keepalived()?))?;
    starter.success(LIMIT)?;
    let inner = pair.a.host.run(|| fs::read_to_string("/run/keepalived.pid"))??.trim().parse().expect("a number");
    let daemon = pair.a.host.outer(inner)?;
    assert_eq!(fs::read_to_string(format!("/proc/{daemon}/comm"))?.trim(), "rkeepalived");
    pair.a.becomes_master()?;
    let second = pair.a.host.start(Command::new(Program::Ours.keepalived()?))?;
    second.success(LIMIT)?;
    nix::sys::signal::kill(daemon, Signal::SIGUSR2)?;
    let stats = wait_for("the statistics", LIMIT, || {
        pair.a.host.run(|| fs::read_to_string("/tmp/keepalived.stats").ok()).ok()?
    })?;
    assert!(stats.starts_with("VRRP Instance: nginx\n  Advertisements:\n    Received: 0\n    Sent: "), "{stats}");
    nix::sys::signal::kill(daemon, Signal::SIGTERM)?;
    pair.a.lets_go()?;
    wait_for("the pid files to go", LIMIT, || {
        pair.a.host.run(|| !fs::exists("/run/keepalived.pid").unwrap_or(true)).ok()?.then_some(())
    })?;
    Ok(())
}

/// A group of three: VRRPv3 by multicast, VRRPv3 by unicast, VRRPv3 over IPv6 with an excluded IPv4 address.
fn group(priority: u8, own: u8, other: u8) -> String {
    let instance = |name: &str, vrid: u8, more: &str| {
        format!(
            "vrrp_instance {name} {{\n interface {PORT}\n virtual_router_id {vrid}\n priority {priority}\n version 3\n \
             notify_master \"/usr/bin/touch /tmp/master-{name}\"\n{more}\n}}\n"
        )
    };
    let unicast = format!(" unicast_src_ip 192.168.110.{own}\n unicast_peer {{\n 192.168.110.{other}\n }}\n");
    [
        "global_defs {\n vrrp_notify_fifo /tmp/fifo\n script_user root\n enable_script_security\n}\n".to_owned(),
        "vrrp_sync_group G {\n group {\n M U S\n }\n}\n".to_owned(),
        instance("M", 11, " advert_int 0.1\n virtual_ipaddress {\n 10.9.9.1/24\n }\n"),
        instance("U", 12, &format!(" advert_int 0.25\n{unicast} virtual_ipaddress {{\n 10.9.8.1/24\n }}\n")),
        instance(
            "S",
            13,
            " virtual_ipaddress {\n fe80::99\n 2001:db8::1/64\n }\n virtual_ipaddress_excluded {\n 10.9.7.1\n }\n",
        ),
    ]
    .concat()
}

#[test]
fn a_group_of_all_kinds_moves_as_one() -> io::Result<()> {
    let addresses = [[10, 9, 9, 1], [10, 9, 8, 1], [10, 9, 7, 1]].map(Ipv4Addr::from);
    for (a, b) in pairs() {
        let mut pair = Pair::new(a, b)?;
        pair.b.start(&group(100, 12, 11))?;
        pair.a.start(&group(120, 11, 12))?;
        let holds = |side: &pair::Side| {
            side.host.addresses(PORT).map_or(0, |all| addresses.iter().filter(|one| all.contains(one)).count())
        };
        wait_for("all of it at one host", LIMIT, || (holds(&pair.a) == 3 && holds(&pair.b) == 0).then_some(()))
            .map_err(|error| io::Error::other(format!("{error}; {}; {}", pair.a.log(), pair.b.log())))?;
        for name in ["M", "U", "S"] {
            let path = format!("/tmp/master-{name}");
            wait_for("the script's trace", LIMIT, || {
                let path = path.clone();
                pair.a.host.run(move || fs::exists(path).unwrap_or(false)).ok()?.then_some(())
            })?;
        }
        pair.a.stop()?;
        wait_for("all of it at the other", LIMIT, || (holds(&pair.b) == 3 && holds(&pair.a) == 0).then_some(()))
            .map_err(|error| io::Error::other(format!("{error}; {}", pair.b.log())))?;
    }
    Ok(())
}

#[test]
fn a_fifo_gets_a_line_a_change_and_keeps_it_over_a_reload() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let text = configuration("BACKUP", 120, "").replace(" router_id x", " router_id x\n vrrp_notify_fifo /tmp/fifo");
    pair.a.start(&text)?;
    pair.a.becomes_master()?;
    pair.a.signal(Signal::SIGHUP);
    pair.a.says("Reloading\n")?;
    let read = || {
        use std::io::Read as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
        let mut fifo = fs::OpenOptions::new().read(true).custom_flags(flags).open("/tmp/fifo")?;
        let mut bytes = [0; 4096];
        let length = fifo.read(&mut bytes)?;
        io::Result::Ok(String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned())
    };
    let lines = pair.a.host.run(read)??;
    assert_eq!(lines, "INSTANCE \"nginx\" BACKUP 120\nINSTANCE \"nginx\" MASTER 120\n");
    Ok(())
}
