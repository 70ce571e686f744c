//! BFD sessions between two hosts: up and down, and what becomes of the virtual routers that track them.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;

use super::pair::{LIMIT, Pair, Side, VIRTUAL};
use compat_tests::program::Program;
use compat_tests::wait_for;
use nix::sys::signal::{Signal, kill};

/// An instance on `own` that tracks a session with `other`; `more` stands inside the session.
fn configuration(priority: u8, (own, other): (u8, u8), more: &str) -> String {
    format!(
        "bfd_instance session {{\n neighbor_ip 192.168.110.{other}\n source_ip 192.168.110.{own}\n{more}\n}}\n\
         vrrp_instance V {{\n interface ens33\n virtual_router_id 51\n priority {priority}\n \
         virtual_ipaddress {{\n {VIRTUAL}\n }}\n track_bfd {{\n session weight -30\n }}\n}}\n"
    )
}

/// Both hosts with a session between them.
fn started(more: &str) -> io::Result<Pair> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.start(&configuration(120, (11, 12), more))?;
    pair.b.start(&configuration(100, (12, 11), more))?;
    for side in [&pair.a, &pair.b] {
        side.says("BFD_Instance(session) Entering Up state")?;
        side.says("Tracked BFD instance session is UP")?;
    }
    pair.a.becomes_master()?;
    Ok(pair)
}

/// How often the log has this.
fn count(side: &Side, line: &str) -> usize {
    side.log().matches(line).count()
}

/// Waits for a line to be there so often.
fn wait_count(side: &Side, line: &str, times: usize) -> io::Result<()> {
    wait_for(line, LIMIT, || (count(side, line) >= times).then_some(()))
        .map_err(|error| io::Error::other(format!("{error}; {}", side.log())))
}

/// The machine's number of a process of a host by its pid file.
fn process(side: &Side, name: &'static str) -> io::Result<nix::unistd::Pid> {
    let text = side.host.run(move || std::fs::read_to_string(format!("/run/{name}.pid")))??;
    let number: i32 = text.trim().parse().map_err(|_| io::Error::other(text.clone()))?;
    side.host.outer(number)
}

#[test]
fn a_session_comes_up_and_its_end_lowers_the_priority() -> io::Result<()> {
    let pair = started("")?;
    pair.a.says("BFD_Instance(session) Detection time is 50 ms (was 5000 ms)")?;
    let bfd = process(&pair.b, "bfd")?;
    for signal in [Signal::SIGSTOP, Signal::SIGCONT] {
        let sent = kill(bfd, signal);
        assert!(sent.is_ok(), "{sent:?}");
        if signal == Signal::SIGSTOP {
            pair.a.says("BFD_Instance(session) Expired after ")?;
            pair.a.says("Entering Down state (Local diagnostic - Control Detection Time Expired")?;
            pair.a.says("VRRP_Instance(V) Tracked BFD instance session is DOWN")?;
            pair.a.says("(V) Changing effective priority from 120 to 90")?;
        }
    }
    wait_count(&pair.a, "BFD_Instance(session) Entering Up state", 2)?;
    wait_count(&pair.a, "(V) Changing effective priority from 90 to 120", 2)?;
    Ok(())
}

#[test]
fn a_session_with_the_original_comes_up_and_ends_both_ways_round() -> io::Result<()> {
    for (one, other) in [(Program::Ours, Program::Original), (Program::Original, Program::Ours)] {
        let mut pair = Pair::new(one, other)?;
        pair.a.start(&configuration(120, (11, 12), ""))?;
        pair.b.start(&configuration(100, (12, 11), " min_tx 20\n min_rx 30\n multiplier 4"))?;
        // Later originals have other words before and behind.
        for side in [&pair.a, &pair.b] {
            side.says("(session) Entering Up state")?;
        }
        // The slower of what one sends and the other receives, times what the other may lose.
        match one {
            Program::Ours => pair.a.says("BFD_Instance(session) Detection time is 80 ms")?,
            Program::Original => pair.b.says("BFD_Instance(session) Detection time is 150 ms")?,
        }
        pair.a.becomes_master()?;
        pair.b.stop()?;
        pair.a.says("(session) Entering Down state")?;
    }
    Ok(())
}

#[test]
fn each_process_is_started_again_and_learns_what_the_other_knows() -> io::Result<()> {
    let pair = started("")?;
    let sent = kill(process(&pair.b, "bfd")?, Signal::SIGKILL);
    assert!(sent.is_ok(), "{sent:?}");
    pair.b.says("BFD child process(")?;
    wait_count(&pair.b, "BFD_Instance(session) Entering Up state", 2)?;
    let up = count(&pair.a, "Tracked BFD instance session is UP");
    let sent = kill(process(&pair.a, "vrrp")?, Signal::SIGKILL);
    assert!(sent.is_ok(), "{sent:?}");
    pair.a.says("VRRP child process(")?;
    wait_count(&pair.a, "Tracked BFD instance session is UP", up + 1)?;
    pair.a.becomes_master()?;
    Ok(())
}

#[test]
fn a_reload_leaves_a_session_up_and_changes_its_times() -> io::Result<()> {
    let pair = started("")?;
    pair.a.configure(&configuration(120, (11, 12), " min_tx 100\n min_rx 100"))?;
    pair.a.signal(Signal::SIGHUP);
    pair.b.says("BFD_Instance(session) Detection time is 500 ms (was 50 ms)")?;
    assert_eq!((count(&pair.a, "Entering Down state"), count(&pair.b, "Entering Down state")), (0, 0));
    assert!(pair.a.is_master());
    Ok(())
}

#[test]
fn a_link_that_is_down_ends_the_session_and_a_passive_end_waits() -> io::Result<()> {
    let pair = started("")?;
    pair.b.set_up(false)?;
    pair.a.says("BFD_Instance(session) Expired after ")?;
    pair.b.says("BFD_Instance(session) Error sending packet")?;
    pair.b.set_up(true)?;
    wait_count(&pair.a, "BFD_Instance(session) Entering Up state", 2)?;
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.start(&configuration(120, (11, 12), " passive"))?;
    pair.a.becomes_master()?;
    assert_eq!(count(&pair.a, "Entering Up state"), 0);
    pair.b.start(&configuration(100, (12, 11), ""))?;
    pair.a.says("BFD_Instance(session) Entering Up state")?;
    Ok(())
}

#[test]
fn packets_that_are_wrong_or_come_from_strangers_change_nothing() -> io::Result<()> {
    let pair = started("")?;
    pair.a.host.run(|| -> io::Result<()> {
        let own = IpAddr::from([192, 168, 110, 11]);
        let socket = UdpSocket::bind(SocketAddr::new(own, 0))?;
        let valid: [u8; 24] =
            [0x20, 0x40, 5, 24, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0x0f, 0x42, 0x40, 0, 0, 0x27, 0x10, 0, 0, 0, 0];
        for length in 0..=24 {
            for value in [0, 0xff] {
                let mut bytes = valid;
                if let Some(byte) = bytes.get_mut(length) {
                    *byte = value;
                }
                let bytes = if value == 0 { bytes.get(..length).unwrap_or_default() } else { &bytes };
                socket.send_to(bytes, SocketAddr::new(own, 3784))?;
            }
        }
        socket.send_to(&[0xff; 2000], SocketAddr::new(own, 3784))?;
        Ok(())
    })??;
    for line in [
        "Packet is too small: 23 bytes",
        "Packet size mismatch: length field: 255 bytes, buffer size: 24 bytes",
        "Discarding bogus packet from [192.168.110.11]:",
        "(session is not found - your discriminator field is ",
    ] {
        pair.a.says(line)?;
    }
    assert_eq!((count(&pair.a, "Entering Down state"), pair.a.is_master()), (0, true), "{}", pair.a.log());
    Ok(())
}

/// A group whose instances track nothing; the group tracks a session.
fn grouped(priority: u8, (own, other): (u8, u8)) -> String {
    format!(
        "bfd_instance session {{\n neighbor_ip 192.168.110.{other}\n source_ip 192.168.110.{own}\n}}\n\
         vrrp_sync_group G {{\n group {{\n V\n W\n }}\n track_bfd {{\n session\n }}\n}}\n\
         vrrp_instance V {{\n interface ens33\n virtual_router_id 51\n priority {priority}\n \
         virtual_ipaddress {{\n {VIRTUAL}\n }}\n}}\n\
         vrrp_instance W {{\n interface ens33\n virtual_router_id 52\n priority {priority}\n \
         virtual_ipaddress {{\n 192.168.110.251\n }}\n}}\n"
    )
}

#[test]
fn a_group_whose_session_is_down_is_in_fault() -> io::Result<()> {
    for program in [Program::Original, Program::Ours] {
        let mut pair = Pair::new(program, Program::Ours)?;
        pair.a.start(&grouped(120, (11, 12)))?;
        pair.b.start(&configuration(100, (12, 11), ""))?;
        pair.a.says("(session) Entering Up state")?;
        pair.a.becomes_master()?;
        let bfd = process(&pair.b, "bfd")?;
        let sent = kill(bfd, Signal::SIGSTOP);
        assert!(sent.is_ok(), "{sent:?}");
        pair.a.says("(V) Entering FAULT STATE")?;
        pair.a.says("(W) Entering FAULT STATE")?;
        wait_for("the address to go", LIMIT, || (!pair.a.is_master()).then_some(()))?;
        let sent = kill(bfd, Signal::SIGCONT);
        assert!(sent.is_ok(), "{sent:?}");
        pair.a.becomes_master()?;
    }
    Ok(())
}

#[test]
fn the_bfd_process_has_its_own_priority_memory_and_processors() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let words = "global_defs {\n bfd_priority -5\n bfd_no_swap\n bfd_cpu_affinity 1\n}\n";
    pair.a.start(&format!("{words}{}", configuration(120, (11, 12), "")))?;
    pair.a.becomes_master()?;
    let bfd = process(&pair.a, "bfd")?;
    let about = |file: &str| std::fs::read_to_string(format!("/proc/{bfd}/{file}")).unwrap_or_default();
    let niceness = || about("stat").rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(16).map(str::to_owned));
    let status = |name: &str| {
        about("status").lines().find_map(|line| line.strip_prefix(name)).map(|text| text.trim().to_owned())
    };
    assert_eq!(niceness().as_deref(), Some("-5"));
    assert_eq!(status("Cpus_allowed_list:").as_deref(), Some("1"));
    assert!(status("VmLck:").is_some_and(|text| text != "0 kB"), "{}", about("status"));
    pair.a.configure(&configuration(120, (11, 12), ""))?;
    pair.a.signal(Signal::SIGHUP);
    wait_for("the niceness of before", LIMIT, || (niceness().as_deref() == Some("0")).then_some(()))?;
    wait_for("the processors of before", LIMIT, || {
        status("Cpus_allowed_list:").filter(|list| list != "1").map(|_| ())
    })?;
    assert_eq!(status("VmLck:").as_deref(), Some("0 kB"));
    Ok(())
}

#[test]
fn all_runs_every_process_whatever_the_file_holds() -> io::Result<()> {
    for program in [Program::Original, Program::Ours] {
        let mut pair = Pair::new(program, Program::Ours)?;
        pair.a.start_with("global_defs {\n router_id x\n}\n", &["--all", "-c", "/run/checks.pid"])?;
        let names = ["Healthcheck", "VRRP", "BFD"];
        pair.a.says("Starting BFD child process, pid=")?;
        let log = pair.a.log();
        let places = names.map(|name| log.find(&format!("Starting {name} child process, pid=")));
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{}: {log}", program.name());
        for (file, name) in ["checks", "vrrp", "bfd"].into_iter().zip(names) {
            wait_for(file, LIMIT, || process(&pair.a, file).ok())?;
            let sent = kill(process(&pair.a, file)?, Signal::SIGKILL);
            assert!(sent.is_ok(), "{sent:?}");
            let respawned = format!("Starting {name} child process, pid=");
            wait_count(&pair.a, &respawned, 2)?;
        }
        pair.a.signal(Signal::SIGHUP);
        // The parent and each of the three.
        wait_count(&pair.a, "Reloading", 4)?;
        pair.a.stop()?;
        assert!(!pair.a.host.run(|| std::path::Path::new("/run/checks.pid").exists())?);
    }
    Ok(())
}

#[test]
fn the_pid_file_of_a_process_that_is_not_to_run_is_not_looked_at() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    pair.a.host.run(|| std::fs::write("/run/bfd.pid", "1\n"))??;
    pair.a.start(&configuration(120, (11, 12), ""))?;
    pair.a.says("daemon is already running")?;
    pair.a.start_with(&configuration(120, (11, 12), ""), &["-B"])?;
    pair.a.says("Startup complete")?;
    Ok(())
}

#[test]
fn the_bfd_process_shows_its_sessions() -> io::Result<()> {
    for program in [Program::Original, Program::Ours] {
        let mut pair = Pair::new(program, Program::Ours)?;
        pair.a.start(&configuration(120, (11, 12), " min_rx 40\n max_hops 3"))?;
        pair.b.start(&configuration(100, (12, 11), " multiplier 4"))?;
        pair.a.says("(session) Entering Up state")?;
        let shown = || {
            pair.a.signal(Signal::SIGUSR1);
            let text = pair.a.host.run(|| std::fs::read_to_string("/tmp/keepalived_bfd.data").unwrap_or_default());
            text.ok()
                .filter(|text| text.contains("   remote state = Up\n") && text.contains("local detection time = 160"))
        };
        let text = wait_for("the other end's times", LIMIT, shown)?;
        // Later originals tell microseconds.
        let text = text.replace("000 us", " ms");
        let (_, session) = text.split_once(" BFD Instance = session\n").unwrap_or_default();
        let lines: Vec<&str> = session.lines().map(str::trim).collect();
        for line in [
            "Neighbor IP = 192.168.110.12",
            "Source IP = 192.168.110.11",
            "Required min RX interval = 40 ms",
            "Desired min TX interval = 10 ms",
            "Desired idle TX interval = 1000 ms",
            "Detection multiplier = 5",
            "TTL = 255",
            "max_hops = 3",
            "passive = false",
            "send event to VRRP process = Yes",
            "send event to checker process = Yes",
            "send error = false",
            "local state = Up",
            "local diag = No Diagnostic",
            "remote diag = No Diagnostic",
            "remote min tx intv = 10 ms",
            "remote min rx intv = 10 ms",
            "remote demand = 0",
            "remote detect multiplier = 4",
            "local tx intv = 10 ms",
            "remote tx intv = 40 ms",
            "local detection time = 160 ms",
            "remote detection time = 50 ms",
        ] {
            assert!(lines.contains(&line), "{}: {line}: {session}", program.name());
        }
    }
    Ok(())
}

#[test]
fn sessions_over_several_hops_have_a_port_of_their_own() -> io::Result<()> {
    let mut pair = started(" multihop\n max_hops 10")?;
    assert_eq!(count(&pair.a, "Entering Down state"), 0, "{}", pair.a.log());
    let ports = |side: &Side| -> io::Result<[bool; 2]> {
        let mut sockets = Command::new("cat");
        sockets.arg("/proc/net/udp6");
        let sockets = side.host.start(sockets)?;
        sockets.success(LIMIT)?;
        let udp = sockets.output();
        // 3784 and 4784.
        Ok([":0EC8 ", ":12B0 "].map(|port| udp.contains(port)))
    };
    assert_eq!(ports(&pair.a)?, [false, true]);
    // The other end waits at the other port.
    pair.b.stop()?;
    pair.b.start(&configuration(100, (12, 11), ""))?;
    pair.a.says("Entering Down state")?;
    wait_for("the other port", LIMIT, || ports(&pair.b).ok().filter(|ports| *ports == [true, false]).map(|_| ()))?;
    pair.b.configure(&configuration(100, (12, 11), " multihop on"))?;
    pair.b.signal(Signal::SIGHUP);
    wait_count(&pair.a, "BFD_Instance(session) Entering Up state", 2)?;
    assert_eq!(ports(&pair.b)?, [false, true]);
    Ok(())
}
