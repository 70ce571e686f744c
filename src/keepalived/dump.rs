//! keepalived.data, keepalived.stats and keepalived.json: what is known, for people and programs. Passwords never show.
//!
//! Differs from keepalived: passwords are not shown. [test: a_dump_never_shows_a_password]

use super::channel::Channel;
use super::site::{Instance, Site, What};
use super::track::script::ScriptRunner;
use crate::vrrp::config::{Authentication, Version};
use crate::vrrp::machine::{Router, StateKind};
use crate::vrrp::weight::Verdict;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{SystemTime, UNIX_EPOCH};

/// An instance as it is now.
pub struct Seen<'a> {
    /// As configured.
    pub instance: &'a Instance,
    /// As it runs.
    pub machine: &'a Router,
    /// The address its adverts carry.
    pub source: Option<IpAddr>,
    /// When its state changed last.
    pub since: SystemTime,
}

/// Everything there is to see.
pub struct View<'a> {
    /// As configured.
    pub site: &'a Site,
    /// The instances.
    pub instances: Vec<Seen<'a>>,
    /// The scripts.
    pub scripts: &'a [ScriptRunner],
    /// The sockets.
    pub channels: &'a [Channel],
}

/// Writes a dump file that only its owner can read, never through a link and never into somebody else's file.
///
/// # Errors
/// What the system said.
pub fn write(path: &str, text: &str) -> io::Result<()> {
    let draft = format!("{path}.{}", std::process::id());
    // A left-over of our own name is in the way of a file made anew.
    let _ = fs::remove_file(&draft);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&draft, path)
}

const fn word(state: StateKind) -> &'static str {
    match state {
        StateKind::Initialise => "INIT",
        StateKind::Backup => "BACKUP",
        StateKind::Master => "MASTER",
        StateKind::Fault => "FAULT",
    }
}

/// keepalived.data. Writing to a `String` cannot fail, so outcomes are not looked at.
pub fn data(view: &View<'_>) -> String {
    let mut out = String::new();
    globals(&mut out, view.site);
    out.push_str("------< VRRP Topology >------\n");
    view.instances.iter().for_each(|seen| instance(&mut out, seen));
    if !view.site.groups.is_empty() {
        out.push_str("------< VRRP Sync groups >------\n");
        for group in &view.site.groups {
            let _ = writeln!(
                out,
                " VRRP Sync Group = {}\n   VRRP member instances = {}",
                group.name,
                group.members.join(" ")
            );
        }
    }
    out.push_str("------< VRRP Sockpool >------\n");
    for channel in view.channels {
        let _ = writeln!(out, " {}", channel.describe());
    }
    out.push_str("------< VRRP Scripts >------\n");
    for runner in view.scripts {
        let script = &runner.script;
        let status = match runner.verdict() {
            Verdict::Good => "GOOD",
            Verdict::Bad => "BAD",
            Verdict::Unknown => "INIT",
        };
        let _ = writeln!(out, " VRRP Script = {}", script.name);
        match runner.program() {
            Some(program) => {
                let _ = writeln!(out, "   Command = {program}\n   Script uid:gid = {}:{}", program.uid, program.gid);
            }
            None => out.push_str("   Command = (disabled)\n"),
        }
        let _ = writeln!(
            out,
            "   Interval = {} sec\n   Timeout = {} sec\n   Weight = {}\n   Rise = {}\n   Fall = {}\n   Status = {status}",
            script.interval.as_secs(),
            script.timeout.as_secs(),
            script.weight,
            script.rise,
            script.fall
        );
    }
    out
}

fn globals(out: &mut String, site: &Site) {
    let global = &site.global;
    let truth = |value: Option<bool>| if value == Some(true) { "true" } else { "false" };
    out.push_str("------< Global definitions >------\n");
    let _ = writeln!(out, " Router ID = {}", global.router_id.as_deref().unwrap_or_default());
    let _ = writeln!(out, " Dynamic interfaces = {}", truth(global.dynamic_interfaces));
    let _ = writeln!(out, " VRRP default protocol version = {}", global.version.unwrap_or(2));
    let _ = writeln!(out, " VRRP check unicast_src = {}", truth(global.check_unicast_src));
    let _ = writeln!(out, " VRRP skip check advert addresses = {}", truth(global.skip_check_adv_addr));
    let _ = writeln!(out, " VRRP strict mode = {}", truth(global.strict));
    let security = if global.script_security == Some(true) { "enabled" } else { "disabled" };
    let _ = writeln!(out, " Script security {security}");
}

fn instance(out: &mut String, seen: &Seen<'_>) {
    let Seen { instance, machine, source, since } = seen;
    let router = &instance.router;
    let enabled = |value: bool| if value { "enabled" } else { "disabled" };
    let mut line = |text: String| {
        let _ = writeln!(out, "   {text}");
    };
    line(format!("VRRP Version = {}", router.version.number()));
    line(format!("State = {}", word(machine.state())));
    if let Some(heard) = machine.heard().filter(|_| machine.state() == StateKind::Backup) {
        line(format!("Master router = {}", heard.source));
        line(format!("Master priority = {}", heard.priority));
    }
    let at = since.duration_since(UNIX_EPOCH).unwrap_or_default();
    line(format!("Last transition = {}.{:06}", at.as_secs(), at.subsec_micros()));
    line(format!("Master down timer = {} usecs", machine.master_down().as_micros()));
    line(format!("Interface = {}", instance.interface));
    if router.skip_check_adv_addr {
        line("Skip checking advert IP addresses".to_owned());
    }
    line(format!("Using src_ip = {}", source.map_or("(none)".to_owned(), |source| source.to_string())));
    let announcing = &router.announcing;
    line(format!("Gratuitous ARP delay = {}", announcing.delay.as_secs()));
    line(format!("Gratuitous ARP repeat = {}", announcing.repeat));
    line(format!("Gratuitous ARP refresh = {}", announcing.refresh.as_secs()));
    line(format!("Gratuitous ARP refresh repeat = {}", announcing.refresh_repeat));
    line(format!("Gratuitous ARP lower priority delay = {}", announcing.lower_delay.as_secs()));
    line(format!("Gratuitous ARP lower priority repeat = {}", announcing.lower_repeat));
    line(format!("Send advert after receive lower priority advert = {}", !router.lower_prio_no_advert));
    line(format!("Send advert after receive higher priority advert = {}", router.higher_prio_send_advert));
    line(format!("Virtual Router ID = {}", router.vrid));
    line(format!("Priority = {}", router.priority));
    line(format!("Effective priority = {}", machine.priority()));
    match router.version {
        Version::V2 => line(format!("Advert interval = {} sec", router.interval.as_secs())),
        Version::V3 => line(format!("Advert interval = {} milli-sec", router.interval.as_millis())),
    }
    line("Accept = enabled".to_owned());
    line(format!("Preempt = {}", enabled(router.preempt)));
    line(format!("Promote_secondaries = {}", enabled(instance.promote_secondaries)));
    let kind = if router.authentication == Authentication::None { "none" } else { "SIMPLE_PASSWORD" };
    line(format!("Authentication type = {kind}"));
    let (own, excluded) = instance.addresses.split_at(router.addresses.len().min(instance.addresses.len()));
    for (title, list) in [("Virtual IP", own), ("Virtual IP Excluded", excluded)] {
        if !list.is_empty() {
            line(format!("{title} ({}):", list.len()));
        }
        for address in list {
            let dev = address.dev.as_deref().unwrap_or(&instance.interface);
            line(format!("  {}/{} dev {dev} scope {}", address.ip, address.prefix, scope(address.scope)));
        }
    }
    for tracking in &instance.tracking {
        let (kind, name) = match &tracking.what {
            What::Interface(name) => ("interface", name),
            What::Script(name) => ("script", name),
            What::File(name) => ("file", name),
        };
        line(format!("Tracked {kind} {name} weight {}", tracking.weight));
    }
    let head = format!(" VRRP Instance = {}\n", instance.name);
    let start = out.rfind("   VRRP Version").unwrap_or(out.len());
    out.insert_str(start, &head);
}

fn scope(number: u8) -> String {
    match number {
        0 => "global".to_owned(),
        200 => "site".to_owned(),
        253 => "link".to_owned(),
        254 => "host".to_owned(),
        255 => "nowhere".to_owned(),
        other => other.to_string(),
    }
}

/// keepalived.stats.
pub fn stats(view: &View<'_>) -> String {
    let mut out = String::new();
    for seen in &view.instances {
        let c = seen.machine.counters();
        let _ = write!(
            out,
            "VRRP Instance: {}\n  Advertisements:\n    Received: {}\n    Sent: {}\n  Became master: {}\n  Released master: {}\n  \
             Packet Errors:\n    Length: {}\n    TTL: {}\n    Invalid Type: {}\n    Advertisement Interval: {}\n    \
             Address List: {}\n  Authentication Errors:\n    Invalid Type: {}\n    Type Mismatch: {}\n    Failure: {}\n  \
             Priority Zero:\n    Received: {}\n    Sent: {}\n",
            seen.instance.name,
            c.received,
            c.sent,
            c.became_master,
            c.released_master,
            c.length,
            c.ttl,
            c.invalid_type,
            c.interval,
            c.address_list,
            c.auth_invalid,
            c.auth_mismatch,
            c.auth_failure,
            c.zero_received,
            c.zero_sent
        );
    }
    out
}

/// keepalived.json: the keys people's tools read.
pub fn json(view: &View<'_>) -> String {
    let instances: Vec<String> = view.instances.iter().map(json_instance).collect();
    format!("[{}]\n", instances.join(","))
}

fn json_instance(seen: &Seen<'_>) -> String {
    let Seen { instance, machine, .. } = seen;
    let (router, c) = (&instance.router, machine.counters());
    let state = match machine.state() {
        StateKind::Initialise => 0,
        StateKind::Backup => 1,
        StateKind::Master => 2,
        StateKind::Fault => 3,
    };
    let vips: Vec<String> =
        instance.addresses.iter().map(|one| quoted(&format!("{}/{}", one.ip, one.prefix))).collect();
    let since = seen.since.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!(
        "{{\"data\":{{\"iname\":{},\"ifp_ifname\":{},\"master_priority\":{},\"last_transition\":{}.{:06},\"vrid\":{},\
         \"base_priority\":{},\"effective_priority\":{},\"vipset\":{},\"adver_int\":{},\"nopreempt\":{},\"preempt_delay\":{},\
         \"state\":{state},\"wantstate\":{},\"version\":{},\"vips\":[{}],\"auth_type\":{}}},\
         \"stats\":{{\"advert_rcvd\":{},\"advert_sent\":{},\"become_master\":{},\"release_master\":{},\"packet_len_err\":{},\
         \"advert_interval_err\":{},\"ip_ttl_err\":{},\"invalid_type_rcvd\":{},\"addr_list_err\":{},\"invalid_authtype\":{},\
         \"authtype_mismatch\":{},\"auth_failure\":{},\"pri_zero_rcvd\":{},\"pri_zero_sent\":{}}}}}",
        quoted(&instance.name),
        quoted(&instance.interface),
        machine.heard().map_or(0, |heard| heard.priority),
        since.as_secs(),
        since.subsec_micros(),
        router.vrid,
        router.priority,
        machine.priority(),
        machine.state() == StateKind::Master,
        router.interval.as_secs_f64(),
        !router.preempt,
        router.preempt_delay.as_secs_f64(),
        if instance.wants_master { 2 } else { 1 },
        router.version.number(),
        vips.join(","),
        router.authentication.number(),
        c.received,
        c.sent,
        c.became_master,
        c.released_master,
        c.length,
        c.interval,
        c.ttl,
        c.invalid_type,
        c.address_list,
        c.auth_invalid,
        c.auth_mismatch,
        c.auth_failure,
        c.zero_received,
        c.zero_sent
    )
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::expand::Environment;
    use crate::conf::source::Memory;
    use crate::keepalived::read::read;
    use crate::keepalived::slot::Machine;

    #[test]
    fn a_dump_never_shows_a_password() {
        let text = include_str!("read/article.conf");
        let machine = Machine { has_interface: &|_| true, has_user: &|_, _| true };
        let site = read(&Memory::of("k", text), "k", &Environment::default(), &machine).unwrap().site;
        let machines: Vec<Router> = site.instances.iter().map(|one| Router::new(one.router.clone(), None)).collect();
        let instances = site.instances.iter().zip(&machines);
        let instances =
            instances.map(|(instance, machine)| Seen { instance, machine, source: None, since: UNIX_EPOCH });
        let view = View { site: &site, instances: instances.collect(), scripts: &[], channels: &[] };
        let all = [data(&view), stats(&view), json(&view), format!("{site:?}")].concat();
        assert!(
            all.contains("VRRP Instance = nginx") && all.contains("Authentication type = SIMPLE_PASSWORD"),
            "{all}"
        );
        assert!(!all.contains("123456") && !all.contains("49, 50, 51"), "{all}");
    }
}
