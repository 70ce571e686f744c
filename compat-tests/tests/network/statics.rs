//! Groups of static addresses and of interfaces, and instances of another destination or without addresses.

use std::fs;
use std::io;

use compat_tests::program::Program;
use compat_tests::wait_for;

use super::pair::{LIMIT, PORT, Pair, VIRTUAL};
use super::vmac::{instance, shell, shows};

const OTHER: &str = "ip link add other type veth peer name far; ip link set other up; ip link set far up";

fn holder(more: &str) -> String {
    instance("nginx", 51, &format!("{more}\n virtual_ipaddress {{\n {VIRTUAL}/24\n }}"))
}

#[test]
fn a_track_group_tracks_the_interfaces_of_static_things() -> io::Result<()> {
    let statics = [
        "static_ipaddress {\n 10.9.0.1/24 dev other track_group tg\n}\n",
        "static_routes {\n 10.10.0.0/24 dev other track_group tg\n}\n",
        "static_rules {\n from 10.11.0.0/24 dev other table 77 preference 900 track_group tg\n}\n",
    ];
    for program in [Program::Ours, Program::Original] {
        for fixed in statics {
            let mut pair = Pair::new(program, Program::Ours)?;
            shell(&pair.a, OTHER)?;
            let group = "track_group tg {\n group {\n nginx\n nobody\n }\n}\n";
            let free = instance("free", 52, " virtual_ipaddress {\n 192.168.110.20/24\n }");
            pair.a.start(&[group, fixed, &holder(""), &free].concat())?;
            pair.a.says("vrrp instance nobody specified in track group tg doesn't exist - ignoring")?;
            pair.a.becomes_master()?;
            shell(&pair.a, "ip link set other down")?;
            pair.a.says("(nginx) Entering FAULT STATE")?;
            pair.a.lets_go()?;
            shows(&pair.a, "ip -o addr show dev ens33 | grep 192.168.110.20", true)?;
            shell(&pair.a, "ip link set other up")?;
            pair.a.becomes_master()?;
            shows(&pair.a, "ip -o addr show dev ens33 | grep 192.168.110.20", true)?;
        }
    }
    Ok(())
}

#[test]
fn every_announcement_of_a_garp_group_is_sent() -> io::Result<()> {
    let mut pair = Pair::new(Program::Ours, Program::Ours)?;
    let group = format!("garp_group {{\n garp_interval 0.05\n interfaces {{\n {PORT}\n }}\n}}\n");
    let other = instance("other", 52, " garp_master_delay 0\n virtual_ipaddress {\n 192.168.110.20/24\n }");
    pair.a.start(&[&group, &holder(" garp_master_delay 0"), &other].map(|text| text.as_str()).concat())?;
    for ip in ["192.168.110.10", "192.168.110.20"] {
        let line = format!("Sending gratuitous ARP on {PORT} for {ip}");
        wait_for(&line, LIMIT, || (pair.a.log().matches(&line).count() == 5).then_some(()))?;
    }
    Ok(())
}

#[test]
fn an_instance_has_a_group_of_its_own_for_its_adverts() -> io::Result<()> {
    for (a, b) in [(Program::Ours, Program::Original), (Program::Original, Program::Ours)] {
        let mut pair = Pair::new(a, b)?;
        let other = instance("other", 51, " virtual_ipaddress {\n 192.168.110.20/24\n }");
        let text = holder(" mcast_dst_ip 224.0.0.99") + &other;
        pair.a.start(&text)?;
        pair.a.becomes_master()?;
        pair.b.start(&text.replace("priority 120", "priority 100"))?;
        pair.b.says("(nginx) Entering BACKUP STATE")?;
        pair.a.stop()?;
        pair.b.becomes_master()?;
        pair.a.restart()?;
        pair.a.becomes_master()?;
        pair.b.lets_go()?;
    }
    Ok(())
}

#[test]
fn unicast_without_peers_is_a_fault_where_that_is_asked_for() -> io::Result<()> {
    for program in [Program::Ours, Program::Original] {
        let mut pair = Pair::new(program, Program::Ours)?;
        let other = instance("other", 52, " virtual_ipaddress {\n 192.168.110.20/24\n }");
        pair.a.start(&(holder(" unicast_fault_no_peer") + &other))?;
        pair.a.says("(nginx) Cannot use unicast without any peers - going to fault state")?;
        shows(&pair.a, "ip -o addr show dev ens33 | grep 192.168.110.20", true)?;
        assert!(!pair.a.is_master(), "{}", pair.a.log());
    }
    Ok(())
}

#[test]
fn other_interfaces_are_announced_again_and_again_where_that_is_asked_for() -> io::Result<()> {
    for program in [Program::Ours, Program::Original] {
        let mut pair = Pair::new(program, Program::Ours)?;
        shell(&pair.a, OTHER)?;
        let addresses = format!("{VIRTUAL}/24\n 10.9.0.10/24 dev other\n 10.9.0.11/24 dev other");
        let more = format!(" garp_extra_if all 1\n garp_master_delay 0\n virtual_ipaddress {{\n {addresses}\n }}");
        pair.a.start(&instance("nginx", 51, &more))?;
        let count = |dev: &str, ip: &str| {
            pair.a.log().matches(&format!("(nginx) Sending/queueing gratuitous ARPs on {dev} for {ip}")).count()
        };
        wait_for("announcements", LIMIT, || (count("other", "10.9.0.10") == 4).then_some(()))?;
        assert_eq!((count(PORT, "192.168.110.10"), count("other", "10.9.0.11")), (1, 1), "{}", pair.a.log());
    }
    Ok(())
}

#[test]
fn the_words_about_the_process_do_what_they_say() -> io::Result<()> {
    for program in [Program::Ours, Program::Original] {
        for (word, mode) in [("023", "644"), ("0x3f", "600"), ("IWGRP|IRWXO", ""), ("IWGRP | IXOTH", "646")] {
            let mut pair = Pair::new(program, Program::Ours)?;
            let globals = format!(
                "global_defs {{\n script_user root\n umask {word}\n vmac_prefix zz\n disable_local_igmp\n \
                 vrrp_cpu_affinity 0\n}}\n"
            );
            let more = " use_vmac\n notify_master \"/bin/sh -c 'echo >/tmp/made'\"";
            let igmp = "cat /proc/sys/net/ipv4/igmp_link_local_mcast_reports";
            pair.a.start(&(globals + &holder(more)))?;
            shows(&pair.a, "ip -o addr show dev zz.51 | grep 192.168.110.10", true)?;
            if !mode.is_empty() {
                shows(&pair.a, "ls /tmp/made", true)?;
                assert_eq!(shell(&pair.a, "stat -c %a /tmp/made")?.trim(), mode, "{} {word}", program.name());
            }
            assert_eq!(shell(&pair.a, igmp)?.trim(), "0");
            let mut allowed = Vec::new();
            for pid in pair.a.host.processes("keepalived")?.into_iter().chain(pair.a.host.processes("rkeepalived")?) {
                let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
                allowed.extend(
                    status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:\t")).map(str::to_owned),
                );
            }
            assert!(allowed.iter().any(|list| list == "0"), "{}: {allowed:?}", program.name());
            pair.a.stop()?;
            assert_eq!(shell(&pair.a, igmp)?.trim(), "1");
        }
    }
    Ok(())
}
