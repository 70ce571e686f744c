//! What keepalived says that it ignores or disables: does it? A configuration with the line and one without it are dumped
//! (`-d`), and the dumps compared. keepalived 2.1.5's outcomes are recorded in `fixtures/keepalived/ignored.tsv`.
//!
//! Where keepalived says so and does something else, ours does what it says.

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use compat_tests::net::{Host, Switch};
use compat_tests::program::Program;
use compat_tests::{mount, recorded, root};

/// A configuration with everything, and `@` where a case puts its lines.
const BASE: &str = "fixtures/keepalived/ignored.conf";

/// Where; what is given before and holds; what is ignored.
type Case = (&'static str, &'static str, &'static str);

/// A `;` ends a line.
const CASES: &[Case] = &[
    ("global", "", "router_id"),
    ("global", "", "notification_email_from"),
    ("global", "", "vrrp_garp_master_refresh x"),
    ("global", "", "vrrp_garp_master_delay x"),
    ("global", "", "vrrp_garp_lower_prio_delay x"),
    ("global", "", "max_auto_priority 200"),
    ("global", "", "min_auto_priority_delay 0"),
    ("global", "", "smtp_connect_timeout x"),
    ("global", "", "lvs_timeouts tcp x"),
    ("global", "", "lvs_sync_daemon a_name_that_is_too_long V"),
    ("global", "notify_fifo /tmp/one", "notify_fifo /tmp/two"),
    ("global", "vrrp_notify_fifo /tmp/one", "vrrp_notify_fifo /tmp/two"),
    ("global", "vrrp_notify_fifo_script /bin/true", "vrrp_notify_fifo_script /bin/false"),
    ("global", "nftables one", "nftables two"),
    ("script", "", "interval x"),
    ("process", "quorum 5", "quorum_max 3"),
    ("process", "quorum_max 3", "quorum 5"),
    ("process", "", "weight"),
    ("process", "weight 5", "weight 6"),
    ("process", "", "param_match some"),
    ("process_end", "", "process other"),
    ("file", "", "weight"),
    ("file", "weight 5", "weight 6"),
    ("file_end", "", "file /tmp/g"),
    ("top", "", "vrrp_track_file g {;}"),
    ("top", "", "vrrp_sync_group H {;group {;nosuch;V;};}"),
    ("top", "", "static_rules {;from 10.0.0.0/8;}"),
    ("instance", "state MASTER", "state BACKUP"),
    ("instance", "", "advert_int 0"),
    ("instance", "", "advert_int -1"),
    ("instance", "", "advert_int x"),
    ("instance", "version 3", "version 2"),
    ("instance", "", "garp_master_delay x"),
    ("instance", "", "garp_master_refresh x"),
    ("instance", "use_vmac", "promote_secondaries"),
    ("instance", "", "old_unicast_checksum some"),
    ("instance", "notify_master /bin/true", "notify_master /bin/false"),
    ("address", "", "fe80::1"),
    ("track_script", "", "nosuch"),
    ("track_script", "", "s"),
    ("track_script", "", "t weight"),
    ("track_script", "", "t foo"),
    ("track_interface", "", "eth0"),
    ("track_interface", "", "eth1 foo"),
    ("track_interface", "", "eth1 weight"),
    ("track_file", "", "f"),
    ("track_file", "", "h foo"),
    ("track_file", "", "h weight 5 foo"),
    ("track_file", "", "h weight"),
    ("track_process", "", "nosuch"),
    ("track_process", "", "q weight"),
    ("track_process", "", "p"),
    ("track_process", "", "q foo"),
    ("rule", "", "from 10.0.0.0/8"),
    ("server", "", "delay_loop x"),
    ("server", "", "delay_before_retry x"),
    ("server", "", "warmup x"),
    ("server", "", "connect_timeout x"),
    ("server", "", "hysteresis x"),
    ("server", "", "lb_algo nosuch"),
    ("server", "", "sh-port"),
    ("server", "", "protocol FOO"),
    ("server", "quorum_up /bin/true", "quorum_up /bin/false"),
    ("server", "quorum_down /bin/true", "quorum_down /bin/false"),
    ("real", "", "uthreshold x"),
    ("real", "", "lthreshold x"),
    ("real", "", "delay_before_retry x"),
    ("real", "", "warmup x"),
    ("real", "", "connect_timeout x"),
    ("real", "", "delay_loop x"),
    ("real", "notify_up /bin/true", "notify_up /bin/false"),
    ("real", "", "FILE_CHECK {;}"),
    ("real", "", "HTTP_GET {;}"),
    ("checker", "", "connect_ip nosuch"),
    ("checker", "", "bindto nosuch"),
    ("checker", "", "bind_if a_name_that_is_too_long"),
    ("checker", "", "delay_loop x"),
    ("http", "", "url {;status_code 200;}"),
    ("dns", "", "type NOSUCH"),
    ("dns", "", "name b..c"),
    ("dns", "", "name c.d"),
    ("vgroup", "", "fwmark x"),
    ("vgroup", "", "fwmark 5 foo"),
    ("top", "", "virtual_server fwmark x {;real_server 10.0.0.9 80 {;};}"),
    ("top", "", "virtual_server 10.0.0.8 80 {;lb_algo rr;lb_kind NAT;protocol TCP;}"),
    ("file", "", "weight 300"),
    ("process", "", "fork_delay x"),
    ("process", "", "weight 300"),
    ("process", "", "quorum 0"),
    ("process", "", "quorum_max 70000"),
    ("script", "", "timeout x"),
    ("server", "", "sorry_server_inhibit"),
    ("global", "lvs_sync_daemon ens33 V", "lvs_sync_daemon eth0 V"),
    ("instance", "version 3", "authentication {;auth_type PASS;auth_pass x;}"),
    ("instance", "", "authentication {;auth_type PASS;}"),
    ("track_interface", "", "ens33"),
    ("group", "notify_master /bin/true", "notify_master /bin/false"),
    ("group", "", "track_script {;nosuch;}"),
];

/// A part of what a line gives is ignored: the same line without it does the same.
const PARTS: &[(&str, &str, &str)] = &[
    ("address", "192.0.2.2", "192.0.2.2 foo"),
    ("address", "192.0.2.2", "192.0.2.2 scope nosuch"),
    ("address", "192.0.2.2 peer 192.0.2.3", "192.0.2.2/24 peer 192.0.2.3"),
    ("address", "192.0.2.2 peer 192.0.2.3", "192.0.2.2 brd + peer 192.0.2.3"),
    ("track_script", "t", "t weight 300"),
    ("track_script", "t weight 5", "t weight 5 foo"),
    ("track_interface", "eth1 weight 5", "eth1 weight 5 foo"),
    ("track_interface", "eth1 weight 5", "eth1 weight 5 noreverse"),
    ("track_interface", "eth1", "eth1 weight 300"),
    ("track_file", "h", "h weight 300"),
    ("track_process", "q weight 5", "q weight 5 foo"),
    ("track_process", "q", "q weight 300"),
    (
        "instance",
        "virtual_ipaddress_excluded {;2001:db8::5 dev ens33;}",
        "virtual_ipaddress_excluded {;2001:db8::5 dev ens33 scope link;}",
    ),
    (
        "instance",
        "virtual_ipaddress_excluded {;2001:db8::5 dev ens33;}",
        "virtual_ipaddress_excluded {;2001:db8::5 dev ens33 label a;}",
    ),
    ("global", "lvs_sync_daemon ens33 V", "lvs_sync_daemon ens33 V maxlen 0"),
    ("global", "lvs_sync_daemon ens33 V", "lvs_sync_daemon ens33 V group x"),
    ("global", "lvs_sync_daemon ens33 V", "lvs_sync_daemon ens33 V group 10.0.0.1"),
    ("instance", "use_vmac", "use_vmac a_name_that_is_too_long_here"),
];

const SESSION: &str = "bfd_instance B {;neighbor_ip 192.168.100.12;}";

/// Lines of keywords that keepalived 2.1.5 does not know, or the recorded one was built without, and of which ours alone is
/// asked: where, what is there without them, and with them.
const OWN: &[(&str, &str, &str)] = &[
    ("top", SESSION, "bfd_instance B {;neighbor_ip 192.168.100.12;ttl 300;}"),
    ("top", SESSION, "bfd_instance B {;neighbor_ip 192.168.100.12;max_hops 300;}"),
    ("top", SESSION, "bfd_instance B {;neighbor_ip 192.168.100.12;min_tx 0;}"),
    ("top", SESSION, "bfd_instance B {;neighbor_ip 192.168.100.12;min_rx x;}"),
    ("top", SESSION, "bfd_instance B {;neighbor_ip 192.168.100.12;multiplier 0;}"),
    ("top", SESSION, "bfd_instance B {;neighbor_ip 192.168.100.12;weight 300;}"),
    ("top", SESSION, "bfd_instance B {;neighbor_ip 192.168.100.12;source_ip nosuch;}"),
    ("top", "", "bfd_instance B {;}"),
    ("top", "", "bfd_instance B {;neighbor_ip 192.168.100.12;source_ip fe80::1;}"),
    (
        "top",
        "bfd_instance B {;neighbor_ip 192.168.100.12;}",
        "bfd_instance B {;neighbor_ip 192.168.100.12;};bfd_instance C {;neighbor_ip 192.168.100.12;}",
    ),
    ("instance", "strict_mode on", "strict_mode on;authentication {;auth_type PASS;auth_pass x;}"),
    ("instance", "use_vmac vrrp.9", "use_vmac vrrp.9 zz:zz:zz:zz:zz:zz"),
    ("instance", "", "owner_ignore_adverts"),
    ("global", "", "vmac_prefix a_prefix_that_is_too_long"),
    ("global", "", "include_check some"),
    ("global", "", "snmp_socket a b c"),
    ("global", "router_id one", "router_id one;vrrp_garp_extra_if"),
];

/// Lines that keepalived says it ignores, and does not: what it does instead. Ours ignores them.
const NOT_SO: &[(&str, &str)] = &[
    ("global vrrp_garp_master_delay x", "the delay becomes 0"),
    ("global vrrp_garp_lower_prio_delay x", "the delay becomes 0"),
    ("global smtp_connect_timeout x", "the time becomes 1 s"),
    ("instance garp_master_delay x", "the delay becomes 0"),
    ("script timeout x", "the time becomes 1 s"),
    ("server delay_before_retry x", "the delay becomes 0"),
    ("server warmup x", "the delay becomes 0"),
    ("real delay_before_retry x", "the delay becomes 0"),
    ("real warmup x", "the delay becomes 0"),
    ("real HTTP_GET {;}", "it dies of the check"),
    ("checker connect_ip nosuch", "the address becomes what lies in memory"),
    ("vgroup fwmark x", "the mark becomes 0"),
    ("top virtual_server fwmark x {;real_server 10.0.0.9 80 {;};}", "the mark becomes 0"),
];

/// The file with these lines at a mark.
fn with(base: &str, mark: &str, lines: &[&str]) -> String {
    let lines: Vec<String> = lines.iter().filter(|line| !line.is_empty()).map(|line| line.replace(';', "\n")).collect();
    let mut out = String::new();
    for line in base.lines() {
        match line.strip_prefix('@') {
            Some(name) if name == mark => lines.iter().for_each(|line| out += &format!("{line}\n")),
            Some(_) => {}
            None => out += &format!("{line}\n"),
        }
    }
    out
}

/// The lines of a dump at the start; none if there is none.
fn dump(host: &Host, keepalived: &Path, text: String) -> io::Result<Vec<String>> {
    host.run(move || mount::file("/etc/keepalived/keepalived.conf", text.as_bytes(), 0o644))??;
    let mut command = Command::new(keepalived);
    command.args(["-n", "-l", "-d", "-f", "/etc/keepalived/keepalived.conf"]);
    // The kernel may have no IPVS.
    match keepalived == Program::Ours.keepalived()? {
        true => drop(command.arg("--simulate-ipvs")),
        false => drop(command.env("LD_PRELOAD", "/tmp/ipvs.so")),
    }
    let running = host.start(command)?;
    // The dump is written at once; what follows it has its own time.
    let (end, mut seen, mut since) = (Instant::now() + Duration::from_secs(20), 0, Instant::now());
    while Instant::now() < end && running.ended().is_none() {
        std::thread::sleep(Duration::from_millis(20));
        let said = running.output();
        if said.len() != seen {
            (seen, since) = (said.len(), Instant::now());
        }
        if since.elapsed() > Duration::from_millis(500)
            && said.contains("VRRP Topology")
            && said.contains("LVS Topology")
        {
            break;
        }
    }
    running.stop(Duration::from_secs(10))?;
    let said = running.output();
    let lines = said.lines().filter_map(|line| line.split_once(" 20").and_then(|(_, rest)| rest.split_once(": ")));
    // What an event may change meanwhile, and what is known of interfaces, which is the kernel's.
    let changing = [
        "Last transition",
        "Status =",
        "State =",
        "Master down timer",
        "fd_in",
        "Effective",
        "Total",
        "Num member",
        "VRRP Sync Group",
        "index =",
        "IPv4 address",
        "IPv6 address",
        "MAC ",
        "MAC =",
        "Reset ",
        "discriminator",
        "Original ",
    ];
    let own = |line: &&str| {
        (line.starts_with(' ') || line.starts_with("---")) && !changing.iter().any(|word| line.contains(word))
    };
    Ok(lines.map(|(_, line)| line).filter(own).map(str::to_owned).collect())
}

/// What is in one list and not in the other, in its order.
fn minus(one: &[String], other: &[String]) -> Vec<String> {
    let mut rest = other.to_vec();
    let mut left = Vec::new();
    for line in one {
        match rest.iter().position(|other| other == line) {
            Some(at) => drop(rest.swap_remove(at)),
            None => left.push(line.trim().to_owned()),
        }
    }
    left
}

/// A machine with the interfaces that the file names.
fn machine() -> io::Result<(Host, Vec<Switch>)> {
    let host = Host::new("reader")?;
    let mut switches = Vec::new();
    for (number, interface) in (0..).zip(["ens33", "eth0", "eth1"]) {
        let switch = Switch::new()?;
        switch.plug(&host, interface, Ipv4Addr::new(192, 168, 100 + number, 11), 24)?;
        switches.push(switch);
    }
    let library = compat_tests::ipvs::library()?;
    host.run(move || -> io::Result<()> {
        mount::replace("/etc/keepalived")?;
        mount::file("/tmp/ipvs.so", library, 0o755)
    })??;
    Ok((host, switches))
}

/// What a keepalived says of a case, and what the line changes.
fn row(host: &Host, keepalived: &Path, key: &str, texts: [String; 2]) -> io::Result<Vec<String>> {
    let [without, with] = texts;
    let file = "/etc/keepalived/keepalived.conf";
    let put = |text: String| host.run(move || mount::file(file, text.as_bytes(), 0o644));
    put(without.clone())??;
    let before = recorded::told(host, keepalived, file)?;
    put(with.clone())??;
    let said = recorded::told(host, keepalived, file)?;
    let known: Vec<&str> = before.split(" | ").collect();
    // Without the numbers of lines, which the one line more moves.
    let bare = |line: &str| {
        line.split_once(") ").filter(|_| line.starts_with("(FILE: ")).map_or(line, |(_, rest)| rest).to_owned()
    };
    let old: Vec<String> = known.iter().map(|line| bare(line)).collect();
    let new: Vec<String> = said.split(" | ").map(bare).skip(1).collect();
    let more = minus(&new, &old);
    let (without, with) = (dump(host, keepalived, without)?, dump(host, keepalived, with)?);
    let died = with.iter().any(|line| line.contains("Please report a bug"));
    let effect: Vec<String> = match (without.is_empty(), with.is_empty()) {
        _ if died => vec!["dies".to_owned()],
        (false, false) => {
            let added = minus(&with, &without).into_iter().map(|line| format!("+{line}"));
            let removed = minus(&without, &with).into_iter().map(|line| format!("-{line}"));
            let mut all: Vec<String> = added.chain(removed).collect();
            all.sort();
            all
        }
        _ => vec!["no dump".to_owned()],
    };
    Ok(vec![key.to_owned(), more.join(" | "), effect.join(" | ")])
}

/// The rows of cases. Several machines: each run waits most of the time.
fn rows(keepalived: &Path, cases: &[(String, [String; 2])]) -> io::Result<Vec<Vec<String>>> {
    let share = cases.len().div_ceil(8);
    std::thread::scope(|scope| {
        let run = |cases: &[(String, [String; 2])]| -> io::Result<Vec<Vec<String>>> {
            let (host, _switches) = machine()?;
            cases.iter().map(|(key, texts)| row(&host, keepalived, key, texts.clone())).collect()
        };
        let runs: Vec<_> = cases.chunks(share).map(|cases| scope.spawn(move || run(cases))).collect();
        let mut all = Vec::new();
        for run in runs {
            all.extend(run.join().expect("rows")?);
        }
        Ok(all)
    })
}

#[test]
fn what_keepalived_says_it_ignores_is_ignored() -> io::Result<()> {
    let base = std::fs::read_to_string(root().join(BASE))?;
    let whole = CASES.iter().map(|(mark, given, ignored)| {
        let texts = [with(&base, mark, &[given]), with(&base, mark, &[given, ignored])];
        (format!("{mark} {given}{}{ignored}", if given.is_empty() { "" } else { "; " }), texts)
    });
    let parts = PARTS.iter().map(|(mark, without, line)| {
        (format!("{mark} part of {line}"), [with(&base, mark, &[without]), with(&base, mark, &[line])])
    });
    let cases: Vec<(String, [String; 2])> = whole.chain(parts).collect();
    let table = |keepalived: PathBuf| rows(&keepalived, &cases);
    if let Some(path) = recorded::recorder() {
        return recorded::write("ignored.tsv", &table(path)?);
    }
    let (theirs, ours) = (recorded::read("ignored.tsv")?, table(Program::Ours.keepalived()?)?);
    assert_eq!(theirs.len(), ours.len());
    let mut wrong = Vec::new();
    for (theirs, ours) in theirs.iter().zip(&ours) {
        let [key, said, effect] = &theirs[..] else { return Err(io::Error::other("a row has three cells")) };
        assert!(said.to_lowercase().contains("ignor") || said.contains("isabl"), "{key}: {said}");
        let not_so = NOT_SO.iter().any(|(line, _)| line == key);
        assert_eq!(not_so, !effect.is_empty(), "{key}: {effect}");
        if ours[..2] != theirs[..2] || !ours[2].is_empty() {
            wrong.push(format!("theirs {}\nours   {}", theirs.join("\t"), ours.join("\t")));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), ours.len(), wrong.join("\n"));
    Ok(())
}

#[test]
fn what_only_ours_is_asked_of_is_ignored_when_it_says_so() -> io::Result<()> {
    let base = std::fs::read_to_string(root().join(BASE))?;
    let of = |(mark, without, line): &(&str, &str, &str)| {
        (format!("{mark} {line}"), [with(&base, mark, &[without]), with(&base, mark, &[line])])
    };
    let cases: Vec<(String, [String; 2])> = OWN.iter().map(of).collect();
    let wrong: Vec<String> = rows(&Program::Ours.keepalived()?, &cases)?
        .into_iter()
        .filter(|row| {
            let said = row[1].to_lowercase();
            !row[2].is_empty() || !(said.contains("ignor") || said.contains("disabl"))
        })
        .map(|row| row.join("\t"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
