//! `------< Global definitions >------`: what `global_defs` says, with the defaults.

use crate::keepalived::blocks::lvs::FlushOnStop;
use crate::keepalived::site::Site;
use crate::keepalived::slot::Command;
use crate::keepalived::track::security::Policy;
use crate::vrrp::config::Announcing;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// How long a script at the start or at the end may take, unless told.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a mail server may take.
const SMTP: Duration = Duration::from_secs(30);

/// The tables' name where none is given.
const TABLE: &str = "keepalived";

fn truth(value: Option<bool>) -> &'static str {
    if value == Some(true) { "true" } else { "false" }
}

/// Writes them; only the process of virtual routers knows the default interface. Writing to a `String` cannot fail, so outcomes are not looked at.
pub fn write(out: &mut String, site: &Site, has_routers: bool) {
    out.push_str("------< Global definitions >------\n");
    names(out, site);
    mail(out, site);
    scripts(out, site);
    servers(out, site, has_routers);
    fifos(out, site);
    routers(out, site);
    firewall(out, site);
    processes(out, site);
}

/// One line, indented by a blank.
macro_rules! line {
    ($out:expr, $($text:tt)*) => {{ let _ = writeln!($out, " {}", format_args!($($text)*)); }};
}

fn names(out: &mut String, site: &Site) {
    let (root, global) = (&site.root, &site.global);
    line!(out, "Network namespace = {}", root.net_namespace.as_deref().unwrap_or("(default)"));
    let ipvs = match root.ipvs_namespace.as_deref() {
        None => "(main namespace)",
        Some("") => "(default)",
        Some(name) => name,
    };
    line!(out, "Network namespace ipvs = {ipvs}");
    for (what, name) in [
        ("Instance", &root.instance),
        ("Parent process", &global.process_name),
        ("VRRP process", &global.vrrp_process_name),
        ("LVS process", &global.checkers.name),
        ("BFD process", &global.bfd.name),
    ] {
        if let Some(name) = name {
            line!(out, "{what} name = {name}");
        }
    }
    let host = || nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    line!(out, "Router ID = {}", global.router_id.clone().unwrap_or_else(host));
}

fn mail(out: &mut String, site: &Site) {
    let (global, lvs) = (&site.global, &site.lvs);
    if let Some((server, port)) = &global.smtp_server {
        line!(out, "Smtp server = {server}");
        line!(out, "Smtp server port = {port}");
    }
    if let Some(name) = &global.smtp_helo {
        line!(out, "Smtp HELO name = {name}");
    }
    if let Some(patience) = global.smtp_timeout.or_else(|| global.smtp_server.is_some().then_some(SMTP)) {
        line!(out, "Smtp server connection timeout = {}", patience.as_secs());
    }
    if let Some(from) = &global.mail_from {
        line!(out, "Email notification from = {from}");
        line!(out, "Email notification to:");
        global.mail_to.iter().for_each(|to| line!(out, "  {to}"));
    }
    for (name, value) in [
        ("smtp_alert", global.smtp_alert),
        ("smtp_alert_vrrp", global.smtp_alert_vrrp),
        ("smtp_alert_checker", lvs.smtp_alert),
    ] {
        let word = value.map_or("unset", |on| if on { "on" } else { "off" });
        line!(out, "Default {name} = {word}");
    }
    line!(out, "Checkers log all failures = {}", truth(lvs.log_all_failures));
}

/// A script that may be run, with whom it runs as.
fn script(out: &mut String, what: &str, command: Option<&Command>, policy: &Policy, rest: &str) {
    if let Some(program) = command.and_then(|command| policy.judge(command).program) {
        line!(out, "{what} = {program}, uid:gid {}:{}{rest}", program.uid, program.gid);
    }
}

fn scripts(out: &mut String, site: &Site) {
    let global = &site.global;
    let policy = Policy::of(global);
    if let Some(file) = &global.reload_time_file {
        let repeat = if global.reload_repeat == Some(true) { " (repeat)" } else { "" };
        line!(out, "Reload time file = {file}{repeat}");
    }
    let seconds = |given: Option<Duration>| given.unwrap_or(PATIENCE).as_secs();
    let patience = format!(", timeout {}", seconds(global.startup_script_timeout));
    script(out, "Startup script", global.startup_script.as_ref(), &policy, &patience);
    let patience = format!(" timeout {}", seconds(global.shutdown_script_timeout));
    script(out, "Shutdown script", global.shutdown_script.as_ref(), &policy, &patience);
    line!(out, "Dynamic interfaces = {}", truth(global.dynamic_interfaces));
    if global.no_email_faults == Some(true) {
        line!(out, "Send emails for fault transitions = off");
    }
}

fn servers(out: &mut String, site: &Site, has_routers: bool) {
    let lvs = &site.lvs;
    // The third is UDP's; the word is 2.1.5's own.
    for (what, seconds) in [("TCP", lvs.timeouts.tcp), ("TCP FIN", lvs.timeouts.tcp_fin), ("TCP", lvs.timeouts.udp)] {
        if seconds > 0 {
            line!(out, "LVS {what} timeout = {seconds}");
        }
    }
    if has_routers {
        line!(out, "Default interface = {}", site.global.default_interface.as_deref().unwrap_or("eth0"));
    }
    if let Some(sync) = &lvs.sync {
        let daemon = &sync.daemon;
        if let Some(name) = &sync.instance {
            line!(out, "LVS syncd vrrp instance = {name}");
        }
        line!(out, "LVS syncd interface = {}", daemon.interface);
        line!(out, "LVS syncd syncid = {}", daemon.id);
        if let Some(longest) = daemon.longest {
            line!(out, "LVS syncd maxlen = {longest}");
        }
        if let Some(group) = daemon.group {
            line!(out, "LVS mcast group {group}");
        }
        if let Some(port) = daemon.port {
            line!(out, "LVS syncd mcast port = {port}");
        }
        if let Some(ttl) = daemon.ttl {
            line!(out, "LVS syncd mcast ttl = {ttl}");
        }
    }
    line!(out, "LVS flush = {}", lvs.flush);
    let at_the_end = match lvs.flush_on_stop {
        Some(FlushOnStop::Everything) => "full",
        Some(FlushOnStop::Servers) => "VS",
        None => "disabled",
    };
    line!(out, "LVS flush on stop = {at_the_end}");
}

fn fifos(out: &mut String, site: &Site) {
    let (global, lvs) = (&site.global, &site.lvs);
    let policy = Policy::of(global);
    let (uid, gid) = policy.default_user();
    let of = |name: &str| global.fifo_scripts.iter().find(|(one, _)| *one == name).map(|(_, command)| command);
    for (what, path, command) in [
        ("Global", &global.notify_fifo, of("notify_fifo_script")),
        ("VRRP", &global.vrrp_notify_fifo, of("vrrp_notify_fifo_script")),
        ("LVS", &lvs.fifo, lvs.fifo_script.as_ref()),
    ] {
        if let Some(path) = path {
            line!(out, "{what} notify fifo = {path}, uid:gid {uid}:{gid}");
            script(out, &format!("{what} notify fifo script"), command, &policy, "");
        }
    }
}

fn routers(out: &mut String, site: &Site) {
    let global = &site.global;
    let default = Announcing::default();
    let number = |value: Option<i64>, default: i64| value.unwrap_or(default);
    line!(out, "VRRP notify priority changes = {}", truth(global.notify_priority_changes));
    line!(out, "VRRP IPv4 mcast group = {}", global.mcast_group4.unwrap_or(Ipv4Addr::new(224, 0, 0, 18)));
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
    line!(out, "VRRP IPv6 mcast group = {}", global.mcast_group6.unwrap_or(group));
    line!(out, "Gratuitous ARP delay = {}", number(global.garp_delay, default.delay.as_secs() as i64));
    line!(out, "Gratuitous ARP repeat = {}", number(global.garp_repeat, i64::from(default.repeat)));
    line!(out, "Gratuitous ARP refresh timer = {}", number(global.garp_refresh, default.refresh.as_secs() as i64));
    let repeat = number(global.garp_refresh_repeat, i64::from(default.refresh_repeat));
    line!(out, "Gratuitous ARP refresh repeat = {repeat}");
    let (delay, repeat) =
        (global.garp_lower_delay.or(global.garp_delay), global.garp_lower_repeat.or(global.garp_repeat));
    line!(out, "Gratuitous ARP lower priority delay = {}", number(delay, default.lower_delay.as_secs() as i64));
    line!(out, "Gratuitous ARP lower priority repeat = {}", number(repeat, i64::from(default.lower_repeat)));
    let lower = global.lower_prio_no_advert != Some(true);
    line!(out, "Send advert after receive lower priority advert = {lower}");
    let higher = truth(global.higher_prio_send_advert);
    line!(out, "Send advert after receive higher priority advert = {higher}");
    let seconds = |value: Option<Duration>| value.unwrap_or_default().as_secs_f64();
    line!(out, "Gratuitous ARP interval = {:.6}", seconds(global.garp_interval));
    line!(out, "Gratuitous NA interval = {:.6}", seconds(global.gna_interval));
    line!(out, "VRRP default protocol version = {}", global.version.unwrap_or(2));
}

fn firewall(out: &mut String, site: &Site) {
    let global = &site.global;
    let needed = site.instances.iter().any(|one| one.vmac.is_some() || one.router.no_accept);
    if let Some(table) = global.nftables.as_deref().or_else(|| needed.then_some(TABLE)) {
        line!(out, "nftables table name = {table}");
        line!(out, "nftables base chain priority = {}", global.nftables_priority.unwrap_or(-1));
        let with = if global.nftables_counters == Some(true) { "with" } else { "without" };
        line!(out, "nftables {with} counters");
        let force = if global.nftables_ifindex == Some(true) { "" } else { "don't " };
        line!(out, "nftables {force}force use ifindex for link local IPv6");
    }
    line!(out, "VRRP check unicast_src = {}", truth(global.check_unicast_src));
    line!(out, "VRRP skip check advert addresses = {}", truth(global.skip_check_adv_addr));
    line!(out, "VRRP strict mode = {}", truth(global.strict));
}

fn processes(out: &mut String, site: &Site) {
    let (global, lvs) = (&site.global, &site.lvs);
    let checkers = &global.checkers;
    for (what, (nice, no_swap, realtime, processors)) in [
        ("VRRP", (global.nice, global.no_swap, global.realtime, &global.processors)),
        ("Checker", (checkers.nice, checkers.no_swap, checkers.realtime, &checkers.processors)),
    ] {
        line!(out, "{what} process priority = {}", nice.unwrap_or(0));
        line!(out, "{what} don't swap = {}", truth(no_swap));
        line!(out, "{what} realtime priority = {}", realtime.unwrap_or(0));
        if !processors.is_empty() {
            let list: Vec<String> = processors.iter().map(ToString::to_string).collect();
            line!(out, "{what} CPU Affinity = {}", list.join(" "));
        }
    }
    line!(out, "Script security {}", if global.script_security == Some(true) { "enabled" } else { "disabled" });
    let (uid, gid) = Policy::of(global).default_user();
    line!(out, "Default script uid:gid {uid}:{gid}");
    line!(out, "rs_init_notifies = {}", u8::from(lvs.init_notifies == Some(true)));
    line!(out, "no_checker_emails = {}", u8::from(lvs.no_checker_mails == Some(true)));
    line!(out, "umask = 0{:o}", global.umask.unwrap_or(0o177));
    if let Some(delay) = global.startup_delay {
        line!(out, "vrrp_startup_delay = {}", delay.as_secs_f64());
    }
    if global.log_unknown_vrids == Some(true) {
        line!(out, "log_unknown_vrids");
    }
}
