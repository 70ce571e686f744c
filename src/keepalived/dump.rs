//! keepalived.data, keepalived.stats and keepalived.json: what is known, for people and programs. Passwords never show.
//!
//! Differs from keepalived: passwords are not shown. [test: a_dump_never_shows_a_password]

mod files;
mod globals;
mod processes;
pub mod servers;
pub mod sessions;

use super::blocks::address::Address;
use super::blocks::dumps::JsonVersion;
use super::blocks::group::Group;
use super::blocks::instance::Notify;
use super::blocks::process::ParamMatch;
use super::channel::Channel;
use super::site::{Instance, Site, Tracking, What};
use super::slot::{Command, general};
use super::track::file::FileRunner;
use super::track::process::ProcessRunner;
use super::track::script::ScriptRunner;
use super::track::security::Policy;
use crate::vrrp::config::{Announcing, Authentication, Checksum, Config, Version};
use crate::vrrp::machine::{Router, StateKind};
use crate::vrrp::weight::Verdict;
use crate::vrrp::wire;
use std::fmt::{self, Write as _};
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
    /// The files.
    pub files: &'a [FileRunner],
    /// The processes.
    pub processes: &'a [ProcessRunner],
    /// The sockets.
    pub channels: Vec<&'a Channel>,
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

/// A state, as the dumps have it.
pub const fn word(state: StateKind) -> &'static str {
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
    globals::write(&mut out, view.site, true);
    let root = &view.site.root;
    // They are held from the start.
    let addresses = root.addresses.iter().map(|one| address_line(one, "", true));
    for (title, list) in [
        ("Addresses", addresses.collect()),
        ("Routes", root.routes.iter().map(ToString::to_string).collect::<Vec<String>>()),
        ("Rules", root.rules.iter().map(ToString::to_string).collect()),
    ] {
        if !list.is_empty() {
            let _ = writeln!(out, "------< Static {title} >------");
        }
        list.iter().for_each(|shown| {
            let _ = writeln!(out, "     {shown}");
        });
    }
    files::groups(&mut out, view);
    out.push_str("------< VRRP Topology >------\n");
    view.instances.iter().for_each(|seen| instance(&mut out, seen, view.site));
    out.push_str("------< VRRP Sockpool >------\n");
    for channel in &view.channels {
        let _ = writeln!(out, " {}", channel.describe());
    }
    if !view.site.groups.is_empty() {
        out.push_str("------< VRRP Sync groups >------\n");
        view.site.groups.iter().for_each(|group| sync_group(&mut out, group, view));
    }
    if !view.scripts.is_empty() {
        out.push_str("------< VRRP Scripts >------\n");
        view.scripts.iter().for_each(|runner| script(&mut out, runner, view));
    }
    files::tracked(&mut out, view);
    if !view.processes.is_empty() {
        out.push_str("------< VRRP Track processes >------\n");
        view.processes.iter().for_each(|runner| process(&mut out, runner, view));
    }
    out
}

fn sync_group(out: &mut String, group: &Group, view: &View<'_>) {
    let members = view.instances.iter().filter(|seen| group.members.contains(&seen.instance.name));
    let states: Vec<StateKind> = members.map(|seen| seen.machine.state()).collect();
    let state = match states.as_slice() {
        all if all.contains(&StateKind::Fault) => StateKind::Fault,
        all if all.iter().all(|state| *state == StateKind::Master) => StateKind::Master,
        _ => StateKind::Backup,
    };
    let faults = states.iter().filter(|state| **state == StateKind::Fault).count();
    let init = states.iter().filter(|state| **state == StateKind::Initialise).count();
    let _ = writeln!(out, " VRRP Sync Group = {}, {}", group.name, word(state));
    let _ = writeln!(out, "   Num member fault {faults}, num member init {init}\n   VRRP member instances :");
    group.members.iter().for_each(|member| {
        let _ = writeln!(out, "     {member}");
    });
    out.push_str("   Using smtp notification = no\n");
    notify_scripts(out, &group.notify, &Policy::of(&view.site.global));
}

/// The notify scripts that may be run, with whom they run as.
fn notify_scripts(out: &mut String, notify: &Notify, policy: &Policy) {
    let scripts = [
        ("Backup", &notify.backup),
        ("Master", &notify.master),
        ("Fault", &notify.fault),
        ("Stop", &notify.stop),
        ("Deleted", &notify.deleted),
        ("Generic", &notify.any),
        ("Master rx lower priority", &notify.master_rx_lower_pri),
    ];
    for (name, command) in scripts {
        if let Some(program) = command.as_ref().and_then(|command| policy.judge(command).program) {
            let (uid, gid) = (program.uid, program.gid);
            let _ = writeln!(out, "   {name} state transition script = {program}, uid:gid {uid}:{gid}");
        }
    }
}

fn script(out: &mut String, runner: &ScriptRunner, view: &View<'_>) {
    let script = &runner.script;
    let status = match runner.verdict() {
        Verdict::Good => "GOOD",
        Verdict::Bad => "BAD",
        Verdict::Unknown => "INIT",
    };
    let mut line = |text: String| {
        let _ = writeln!(out, "   {text}");
    };
    line(match (runner.program(), &script.probe) {
        (_, Some(target)) => format!("Command = (check {target})"),
        (Some(program), None) => format!("Command = {program}"),
        (None, None) => "Command = (disabled)".to_owned(),
    });
    line(format!("Interval = {} sec", script.interval.as_secs_f64()));
    line(format!("Timeout = {} sec", script.timeout.as_secs_f64()));
    line(format!("Weight = {}{}", script.weight, if script.reverse { " reverse" } else { "" }));
    line(format!("Rise = {}", script.rise));
    line(format!("Fall = {}", script.fall));
    line(format!("Insecure = {}", if runner.is_disabled() { "yes" } else { "no" }));
    line(format!("Status = {status}"));
    if let Some(program) = runner.program() {
        line(format!("Script uid:gid = {}:{}", program.uid, program.gid));
    }
    line("Tracking instances :".to_owned());
    for seen in &view.instances {
        let own = |tracking: &&Tracking| tracking.what == What::Script(script.name.clone());
        if let Some(tracking) = seen.instance.tracking.iter().find(own) {
            line(format!("  {}, weight {}", seen.instance.name, tracking.weight));
        }
    }
    let start = out.rfind("   Command =").unwrap_or(out.len());
    out.insert_str(start, &format!(" VRRP Script = {}\n", script.name));
}

fn process(out: &mut String, runner: &ProcessRunner, view: &View<'_>) {
    let process = &runner.process;
    let _ = writeln!(out, " VRRP Track process = {}", process.name);
    let mut line = |text: String| {
        let _ = writeln!(out, "   {text}");
    };
    line(format!("Process = {}", process.path));
    if let Some(parameters) = process.parameters.strip_suffix(&[0]) {
        line(format!("Parameters = {}", String::from_utf8_lossy(parameters).replace('\0', " ")));
    }
    match process.param_match {
        None => {}
        Some(ParamMatch::Exact) => line("Param match".to_owned()),
        Some(ParamMatch::Partial) => line("Param match = partial".to_owned()),
        Some(ParamMatch::Initial) => line("Param match = initial".to_owned()),
    }
    line(format!("Min processes = {}", process.quorum));
    if let Some(most) = process.quorum_max {
        line(format!("Max processes = {most}"));
    }
    line(format!("Current processes = {}", runner.count()));
    line(format!("Have quorum = {}", runner.has_quorum()));
    line(format!("Weight = {}{}", process.weight, if process.reverse { " reverse" } else { "" }));
    line(format!("Terminate delay = {:.6}s", process.terminate_delay.as_secs_f64()));
    line(format!("Fork delay = {:.6}s", process.fork_delay.as_secs_f64()));
    let (fork, terminate) = runner.delays();
    let running = |waits: bool| if waits { "running" } else { "not running" };
    line(format!("Fork delay timer {}", running(fork)));
    line(format!("Terminate delay timer {}", running(terminate)));
    line(format!("Full command = {}", process.full_command));
    line("Tracking VRRP instances :".to_owned());
    line("Tracking instances :".to_owned());
    for seen in &view.instances {
        let own = |tracking: &&Tracking| tracking.what == What::Process(process.name.clone());
        if let Some(Tracking { weight, reverse, .. }) = seen.instance.tracking.iter().find(own) {
            let reverse = if *reverse { " reverse" } else { "" };
            line(format!("  {}, weight {weight}{reverse}", seen.instance.name));
        }
    }
}

fn instance(out: &mut String, seen: &Seen<'_>, site: &Site) {
    let Seen { instance, machine, source, since } = seen;
    let router = &instance.router;
    let enabled = |value: bool| if value { "enabled" } else { "disabled" };
    let mut line = |text: String| {
        let _ = writeln!(out, "   {text}");
    };
    line(format!("VRRP Version = {}", router.version.number()));
    let group = site.groups.iter().find(|group| group.members.contains(&instance.name));
    if let Some(group) = group {
        line(format!("Sync group = {}", group.name));
    }
    if router.is_ipv6() {
        line("Using Native IPv6".to_owned());
    }
    line(format!("State = {}", word(machine.state())));
    line(format!("Wantstate = {}", word(wanted(seen))));
    if let Some(heard) = machine.heard().filter(|_| machine.state() == StateKind::Backup) {
        line(format!("Master router = {}", heard.source));
        line(format!("Master priority = {}", heard.priority));
    }
    let at = since.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, micros) = (at.as_secs(), at.subsec_micros());
    let date = crate::log::clock::ctime(i64::try_from(seconds).unwrap_or_default());
    line(format!("Last transition = {seconds}.{micros:06} ({date}.{micros:06})"));
    line(format!("Master down timer = {} usecs", machine.master_down().as_micros()));
    if let Some(vmac) = &instance.vmac {
        let (device, base, xmit) = (instance.device(), &instance.interface, vmac.xmit_base);
        line(format!("Use VMAC, i/f name {device}, is_up = true, xmit_base = {xmit}"));
        line(format!("Interface = {device}, vmac on {base}{}", if xmit { ", xmit base i/f" } else { "" }));
    } else {
        line(format!("Interface = {}", instance.interface));
    }
    if router.skip_check_adv_addr {
        line("Skip checking advert IP addresses".to_owned());
    }
    let configured = if instance.source.is_some() { " (from configuration)" } else { "" };
    let shown = source.map_or("(none)".to_owned(), |source| source.to_string());
    line(format!("Using src_ip = {shown}{configured}"));
    announcing(&mut line, router);
    line(format!("Virtual Router ID = {}", router.vrid));
    line(format!("Priority = {}", router.priority));
    line(format!("Effective priority = {}", machine.priority()));
    line(format!("Total priority = {}", machine.priority()));
    match router.version {
        Version::V2 => line(format!("Advert interval = {} sec", router.interval.as_secs())),
        Version::V3 => line(format!("Advert interval = {} milli-sec", router.interval.as_millis())),
    }
    line(format!("Accept = {}", if router.no_accept { "disabled" } else { "enabled" }));
    line(format!("Preempt = {}", enabled(router.preempt)));
    if !router.preempt_delay.is_zero() {
        line(format!("Preempt delay = {} secs", general(router.preempt_delay.as_secs_f64())));
    }
    line(format!("Promote_secondaries = {}", enabled(instance.promote_secondaries)));
    if router.version == Version::V2 {
        let kind = match router.authentication {
            Authentication::None => "none",
            Authentication::Pass(_) => "SIMPLE_PASSWORD",
            Authentication::Ah(_) => "IPSEC_AH",
        };
        line(format!("Authentication type = {kind}"));
    }
    if let Some(hmac) = &router.hmac {
        line("Authentication extension = HMAC-SHA256-128".to_owned());
        line(format!("  Keys = {}, active key id = {}", hmac.keys.len(), hmac.active));
        line(format!("  Mode = {}", hmac.mode.word()));
        let anti_replay = hmac.window.map(|window| format!("time, window = {window} sec"));
        line(format!("  Anti replay = {}", anti_replay.unwrap_or_else(|| "monotonic".to_owned())));
    }
    addresses_and_tracking(&mut line, seen);
    line(format!("Using smtp notification = {}", if instance.mails { "yes" } else { "no" }));
    line(format!("Notify deleted = {}", if instance.notify_deleted { "Deleted" } else { "Fault" }));
    notify_scripts(out, instance.notify(), &Policy::of(&site.global));
    let _ = writeln!(out, "   Notify priority changes = {}", instance.notify_priority_changes);
    let head = format!(" VRRP Instance = {}\n", instance.name);
    let start = out.rfind("   VRRP Version").unwrap_or(out.len());
    out.insert_str(start, &head);
}

/// What it announces, and when.
fn announcing(line: &mut dyn FnMut(String), router: &Config) {
    let announcing = &router.announcing;
    line(format!("Gratuitous ARP delay = {}", announcing.delay.as_secs()));
    line(format!("Gratuitous ARP repeat = {}", announcing.repeat));
    line(format!("Gratuitous ARP refresh = {}", announcing.refresh.as_secs()));
    line(format!("Gratuitous ARP refresh repeat = {}", announcing.refresh_repeat));
    line(format!("Gratuitous ARP lower priority delay = {}", announcing.lower_delay.as_secs()));
    line(format!("Gratuitous ARP lower priority repeat = {}", announcing.lower_repeat));
    line(format!("Send advert after receive lower priority advert = {}", !router.lower_prio_no_advert));
    line(format!("Send advert after receive higher priority advert = {}", router.higher_prio_send_advert));
}

fn addresses_and_tracking(line: &mut dyn FnMut(String), seen: &Seen<'_>) {
    let (instance, router) = (seen.instance, &seen.instance.router);
    let held = seen.machine.state() == StateKind::Master;
    let (own, excluded) = instance.addresses.split_at(router.addresses.len().min(instance.addresses.len()));
    for (title, list) in [("Virtual IP", own), ("Virtual IP Excluded", excluded)] {
        if !list.is_empty() {
            line(format!("{title} :"));
        }
        list.iter().for_each(|address| line(format!("  {}", address_line(address, instance.device(), held))));
    }
    if !router.peers.is_empty() {
        // Over IPv6 the kernel chooses where nothing is said.
        if let Some(ttl) = instance.unicast_ttl.or_else(|| (!router.is_ipv6()).then_some(wire::HOPS)) {
            line(format!("Unicast TTL = {ttl}"));
        }
        line(format!("Check unicast src : {}", if router.check_unicast_src { "yes" } else { "no" }));
        line("Unicast Peer :".to_owned());
        for peer in &router.peers {
            let (least, most) = (peer.hops.start(), peer.hops.end());
            line(format!("  {} min_ttl {least} max_ttl {most}", peer.address));
        }
        let word = match router.checksum {
            Checksum::Adaptive => "no",
            Checksum::Standard => "never",
            Checksum::Group => "config",
            Checksum::Detected => "auto",
            Checksum::WithoutAddresses => "no",
        };
        line(format!("Unicast checksum compatibility = {word}"));
    }
    for (title, list) in [
        ("Routes", instance.routes.iter().map(ToString::to_string).collect::<Vec<String>>()),
        ("Rules", instance.rules.iter().map(ToString::to_string).collect()),
    ] {
        if !list.is_empty() {
            line(format!("Virtual {title} :"));
        }
        list.iter().for_each(|shown| line(format!("  {shown}")));
    }
    let tracked = |wanted: fn(&What) -> bool| instance.tracking.iter().filter(move |one| wanted(&one.what));
    let interfaces: Vec<&Tracking> = tracked(|what| matches!(what, What::Interface(_))).collect();
    let scripts = tracked(|what| matches!(what, What::Script(_))).collect();
    let files = tracked(|what| matches!(what, What::File(_))).collect();
    let others = interfaces.into_iter().filter(|one| one.what != What::Interface(instance.interface.clone())).collect();
    let processes = tracked(|what| matches!(what, What::Process(_))).collect();
    let sessions = tracked(|what| matches!(what, What::Session(_))).collect();
    let lists: [(&str, Vec<&Tracking>); 5] =
        [("interfaces", others), ("scripts", scripts), ("files", files), ("processes", processes), ("BFDs", sessions)];
    for (title, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        line(format!("Tracked {title} :"));
        for Tracking { what, weight, reverse } in list {
            let (name, comma) = match what {
                What::Interface(name) | What::Script(name) => (name, ""),
                What::File(name) | What::Process(name) => (name, ","),
                What::Session(name) => (name, ":"),
            };
            line(format!("  {name}{comma} weight {weight}{}", if *reverse { " reverse" } else { "" }));
        }
    }
}

/// The state it aims at: that it has once it is master.
fn wanted(seen: &Seen<'_>) -> StateKind {
    let master = seen.machine.state() == StateKind::Master || seen.instance.wants_master;
    if master { StateKind::Master } else { StateKind::Backup }
}

/// An address with its options, and whether the interface has it.
/// An address, on this device unless it names one.
fn address_line(address: &Address, device: &str, set: bool) -> String {
    let dev = address.dev.as_deref().unwrap_or(device);
    let mut text = address.shown();
    if let Some(broadcast) = address.broadcast {
        let _ = write!(text, " brd {broadcast}");
    }
    let _ = write!(text, " dev {dev} scope {}", scope(address.scope));
    if let Some(label) = &address.label {
        let _ = write!(text, " label {label}");
    }
    if let Some((peer, prefix)) = address.peer {
        let _ = write!(text, " peer {peer}/{prefix}");
    }
    let options = [
        (address.home, " home"),
        (!address.nodad, " -nodad"),
        (address.manage_temporary, " mngtmpaddr"),
        (address.no_prefix_route, " noprefixroute"),
        (address.auto_join, " autojoin"),
        (!address.track, " no_track"),
    ];
    text.extend(options.iter().filter(|(given, _)| *given).map(|(_, name)| *name));
    if address.ip.is_ipv6() {
        match address.preferred {
            Some(0) => text.push_str(" deprecated"),
            Some(seconds) => text.push_str(&format!(" preferred_lft {seconds}")),
            None => text.push_str(" preferred_lft forever"),
        }
    }
    if set {
        text.push_str(" set");
    }
    text
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
             Address List: {}\n  Authentication Errors:\n    Invalid Type: {}\n    Type Mismatch: {}\n    Failure: {}\n{}  \
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
            trailer_stats(seen),
            c.zero_received,
            c.zero_sent
        );
    }
    out
}

/// The errors of trailers by keepalived's names, of an instance that has them.
fn trailer_errors(seen: &Seen<'_>) -> Option<[(&'static str, &'static str, u64); 6]> {
    seen.instance.router.hmac.as_ref()?;
    let errors = &seen.machine.counters().trailers;
    Some([
        ("Missing", "auth_ext_missing", errors.missing),
        ("Malformed", "auth_ext_malformed", errors.malformed),
        ("Unknown Key", "auth_ext_unknown_key", errors.unknown_key),
        ("Invalid HMAC", "auth_ext_invalid_hmac", errors.invalid_hmac),
        ("Stale", "auth_ext_stale", errors.stale),
        ("Replay", "auth_ext_replay", errors.replayed),
    ])
}

/// The lines of keepalived.stats about trailers.
fn trailer_stats(seen: &Seen<'_>) -> String {
    let Some(errors) = trailer_errors(seen) else { return String::new() };
    let lines = errors.iter().map(|(name, _, count)| format!("    {name}: {count}\n"));
    std::iter::once("  Authentication Extension Errors:\n".to_owned()).chain(lines).collect()
}

/// keepalived.json.
pub fn json(view: &View<'_>) -> String {
    let instances: Vec<String> = view.instances.iter().map(|seen| json_instance(seen, view)).collect();
    let list = format!("[{}]", instances.join(","));
    if view.site.global.dumps.json_version == JsonVersion::One {
        return format!("{list}\n");
    }
    let mut whole = Members::default();
    whole.add("vrrp", list);
    if !view.processes.is_empty() {
        let processes: Vec<String> = view.processes.iter().map(processes::json).collect();
        whole.add("track_process", format!("[{}]", processes.join(",")));
    }
    format!("{}\n", whole.object())
}

/// The members of an object, in order: a name and a value that is JSON.
#[derive(Default)]
struct Members(Vec<String>);

impl Members {
    fn add(&mut self, name: &str, value: impl fmt::Display) {
        self.0.push(format!("{}:{value}", quoted(name)));
    }

    /// A switch that is shown as a number.
    fn bit(&mut self, name: &str, value: bool) {
        self.add(name, u8::from(value));
    }

    /// A list; one that is empty is left out.
    fn list(&mut self, name: &str, items: impl Iterator<Item = String>) {
        let items: Vec<String> = items.map(|item| quoted(&item)).collect();
        if !items.is_empty() {
            self.add(name, format!("[{}]", items.join(",")));
        }
    }

    fn object(&self) -> String {
        format!("{{{}}}", self.0.join(","))
    }
}

fn json_instance(seen: &Seen<'_>, view: &View<'_>) -> String {
    let Seen { instance, machine, .. } = seen;
    let router = &instance.router;
    let mut data = Members::default();
    data.add("iname", quoted(&instance.name));
    let own = |tracking: &Tracking| tracking.what == What::Interface(instance.interface.clone());
    data.bit("dont_track_primary", !instance.tracking.iter().any(own));
    data.bit("skip_check_adv_addr", router.skip_check_adv_addr);
    data.bit("strict_mode", view.site.global.strict == Some(true));
    data.add("vmac_ifname", quoted(instance.vmac.as_ref().map_or("", |_| instance.device())));
    data.add("ifp_ifname", quoted(instance.device()));
    let heard = machine.heard().filter(|_| machine.state() == StateKind::Backup);
    data.add("master_priority", heard.map_or(0, |heard| heard.priority));
    let since = seen.since.duration_since(UNIX_EPOCH).unwrap_or_default();
    data.add("last_transition", format!("{}.{:06}", since.as_secs(), since.subsec_micros()));
    json_announcing(&mut data, &router.announcing);
    data.bit("lower_prio_no_advert", router.lower_prio_no_advert);
    data.bit("higher_prio_send_advert", router.higher_prio_send_advert);
    data.add("vrid", router.vrid);
    data.add("base_priority", router.priority);
    data.add("effective_priority", machine.priority());
    let master = machine.state() == StateKind::Master;
    data.add("vipset", master);
    data.add("promote_secondaries", instance.promote_secondaries);
    data.add("adver_int", general(router.interval.as_secs_f64()));
    data.add("master_adver_int", general(machine.master_interval().as_secs_f64()));
    data.add("accept", 1);
    data.add("nopreempt", !router.preempt);
    data.add("preempt_delay", router.preempt_delay.as_secs());
    data.add("state", number(machine.state()));
    data.add("wantstate", number(wanted(seen)));
    data.add("version", router.version.number());
    data.add("smtp_alert", false);
    data.add("notify_deleted", instance.notify_deleted);
    json_scripts(&mut data, instance);
    let held = seen.machine.state() == StateKind::Master;
    let (vips, excluded) = instance.addresses.split_at(router.addresses.len().min(instance.addresses.len()));
    data.list("vips", vips.iter().map(|address| address_line(address, instance.device(), held)));
    data.list("evips", excluded.iter().map(|address| address_line(address, instance.device(), held)));
    json_tracking(&mut data, instance, view);
    data.add("auth_type", router.authentication.number());
    let mut both = Members::default();
    both.add("data", data.object());
    both.add("stats", json_counters(seen));
    both.object()
}

/// A state's number.
const fn number(state: StateKind) -> u8 {
    match state {
        StateKind::Initialise => 0,
        StateKind::Backup => 1,
        StateKind::Master => 2,
        StateKind::Fault => 3,
    }
}

fn json_announcing(data: &mut Members, announcing: &Announcing) {
    data.add("garp_delay", general(announcing.delay.as_secs_f64()));
    data.add("garp_refresh", announcing.refresh.as_secs());
    data.add("garp_rep", announcing.repeat);
    data.add("garp_refresh_rep", announcing.refresh_repeat);
    data.add("garp_lower_prio_delay", announcing.lower_delay.as_secs());
    data.add("garp_lower_prio_rep", announcing.lower_repeat);
}

fn json_scripts(data: &mut Members, instance: &Instance) {
    let notify = instance.notify();
    let scripts = [
        ("script_backup", &notify.backup),
        ("script_master", &notify.master),
        ("script_fault", &notify.fault),
        ("script_stop", &notify.stop),
        ("script_deleted", &notify.deleted),
        ("script", &notify.any),
        ("script_master_rx_lower_pri", &notify.master_rx_lower_pri),
    ];
    for (name, command) in scripts {
        if let Some(command) = command {
            data.add(name, quoted(&command_line(command)));
        }
    }
}

/// A command with each word in quotes, the program by the path its links lead to.
fn command_line(command: &Command) -> String {
    let Some((program, arguments)) = command.words.split_first() else { return String::new() };
    let program = fs::canonicalize(program).map_or_else(|_| program.clone(), |path| path.display().to_string());
    let words = std::iter::once(&program).chain(arguments);
    words.map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
}

fn json_tracking(data: &mut Members, instance: &Instance, view: &View<'_>) {
    let others = instance.tracking.iter().filter_map(|tracking| match &tracking.what {
        What::Interface(name) if *name != instance.interface => Some(name.clone()),
        _ => None,
    });
    data.list("track_ifp", others);
    let scripts = instance.tracking.iter().filter_map(|tracking| match &tracking.what {
        What::Script(name) => view.site.scripts.iter().find(|script| script.name == *name),
        _ => None,
    });
    data.list("track_script", scripts.map(|script| command_line(&script.command)));
    if view.site.global.dumps.json_version == JsonVersion::Two {
        data.list("track_process", processes::tracked(instance));
    }
}

fn json_counters(seen: &Seen<'_>) -> String {
    let c = seen.machine.counters();
    let counters = [
        ("advert_rcvd", c.received),
        ("advert_sent", c.sent),
        ("become_master", c.became_master),
        ("release_master", c.released_master),
        ("packet_len_err", c.length),
        ("advert_interval_err", c.interval),
        ("ip_ttl_err", c.ttl),
        ("invalid_type_rcvd", c.invalid_type),
        ("addr_list_err", c.address_list),
        ("invalid_authtype", c.auth_invalid),
        ("authtype_mismatch", c.auth_mismatch),
        ("auth_failure", c.auth_failure),
    ];
    let trailers = trailer_errors(seen).into_iter().flatten().map(|(_, name, count)| (name, count));
    let zero = [("pri_zero_rcvd", c.zero_received), ("pri_zero_sent", c.zero_sent)];
    let mut stats = Members::default();
    counters.into_iter().chain(trailers).chain(zero).for_each(|(name, count)| stats.add(name, count));
    stats.object()
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
        let machine = Machine { has_interface: &|_| true, has_user: &|_, _| true, read_secret: &|_| None };
        let site = read(&Memory::of("k", text), "k", &Environment::default(), &machine).unwrap().site;
        let machines: Vec<Router> = site.instances.iter().map(|one| Router::new(one.router.clone(), None)).collect();
        let instances = site.instances.iter().zip(&machines);
        let instances =
            instances.map(|(instance, machine)| Seen { instance, machine, source: None, since: UNIX_EPOCH });
        let view = View {
            site: &site,
            instances: instances.collect(),
            scripts: &[],
            files: &[],
            processes: &[],
            channels: Vec::new(),
        };
        let all = [data(&view), stats(&view), json(&view), format!("{site:?}")].concat();
        assert!(
            all.contains("VRRP Instance = nginx") && all.contains("Authentication type = SIMPLE_PASSWORD"),
            "{all}"
        );
        assert!(!all.contains("123456") && !all.contains("49, 50, 51"), "{all}");
    }

    /// What keepalived 2.1.5 shows of an instance, in its order; passwords aside.
    const KEYS: [&str; 32] = [
        "iname",
        "dont_track_primary",
        "skip_check_adv_addr",
        "strict_mode",
        "vmac_ifname",
        "ifp_ifname",
        "master_priority",
        "last_transition",
        "garp_delay",
        "garp_refresh",
        "garp_rep",
        "garp_refresh_rep",
        "garp_lower_prio_delay",
        "garp_lower_prio_rep",
        "lower_prio_no_advert",
        "higher_prio_send_advert",
        "vrid",
        "base_priority",
        "effective_priority",
        "vipset",
        "promote_secondaries",
        "adver_int",
        "master_adver_int",
        "accept",
        "nopreempt",
        "preempt_delay",
        "state",
        "wantstate",
        "version",
        "smtp_alert",
        "notify_deleted",
        "script_master",
    ];

    #[test]
    fn an_instance_is_shown_with_keepaliveds_keys() {
        let text = "vrrp_script s {\n script \"/nowhere/s a 'b c'\"\n}\nvrrp_instance V {\n interface eth0\n \
                    virtual_router_id 5\n advert_int 1\n notify_master '/nowhere/n m'\n virtual_ipaddress {\n 10.9.0.100/24 label \
                    eth0:1\n 10.9.0.101\n 10.9.0.102/24 brd +\n }\n virtual_ipaddress_excluded {\n fe80::99/64\n \
                    fe80::98\n }\n track_script {\n s\n }\n track_interface {\n eth1\n }\n}\n";
        let machine = Machine { has_interface: &|_| true, has_user: &|_, _| true, read_secret: &|_| None };
        let site = read(&Memory::of("k", text), "k", &Environment::default(), &machine).unwrap().site;
        let router = Router::new(site.instances[0].router.clone(), None);
        let seen = Seen { instance: &site.instances[0], machine: &router, source: None, since: UNIX_EPOCH };
        let view =
            View { site: &site, instances: vec![seen], scripts: &[], files: &[], processes: &[], channels: Vec::new() };
        let shown = json(&view);
        let at: Vec<Option<usize>> = KEYS.iter().map(|key| shown.find(&format!("\"{key}\":"))).collect();
        assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{shown}");
        let lists = "\"vips\":[\"10.9.0.100/24 dev eth0 scope global label eth0:1\",\"10.9.0.101 dev eth0 scope global\",\
                     \"10.9.0.102/24 brd 10.9.0.255 dev eth0 scope global\"],\
                     \"evips\":[\"fe80::99/64 dev eth0 scope global preferred_lft forever\",\
                     \"fe80::98 dev eth0 scope global deprecated\"],\
                     \"track_ifp\":[\"eth1\"],\"track_script\":[\"'/nowhere/s' 'a' 'b c'\"],\"auth_type\":0}";
        assert!(shown.contains(lists) && shown.contains("\"script_master\":\"'/nowhere/n' 'm'\""), "{shown}");
        assert!(shown.contains("\"adver_int\":1,") && shown.contains("\"garp_delay\":5,"), "{shown}");
    }
}
