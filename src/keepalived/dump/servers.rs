//! keepalived_check.data: virtual servers, their real servers, and the checks.
//!
//! Differs from keepalived: the password of `SSL` is not shown. [test: the_checkers_dump_what_keepalived_dumps]
//!
//! Differs from keepalived: after a reload the weights of real servers that were there before stay as they were; there they are 0 until something changes them. [test: the_checkers_dump_what_keepalived_dumps]
//!
//! Differs from keepalived: a new entry of a group counts all of its destinations; there it counts one. [test: the_checkers_dump_what_keepalived_dumps]
//!
//! Differs from keepalived: the attempts of web and mail checks that have failed are not counted further. [test: the_checkers_dump_what_keepalived_dumps]

use crate::check::dns;
use crate::check::http::{Get, Progress, Regex, ServerName, Url, Version};
use crate::check::server::VirtualServer as Machine;
use crate::keepalived::blocks::server::{Entry, ServerGroup};
use crate::keepalived::site::Site;
use crate::keepalived::site::server::{Check, Connection, Identity, Misc, Probe, RealServer, VirtualServer};
use crate::keepalived::site::stated::Stated;
use crate::keepalived::slot::Command;
use crate::keepalived::track::security::Policy;
use crate::kernel::ipvs::{Checksum, Key, Method, ONE_PACKET, Protocol, SCHEDULER_FLAGS, Tunnel};
use crate::sys::pcre;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// A virtual server as it is now.
pub struct Seen<'a> {
    /// As configured.
    pub given: &'a VirtualServer,
    /// As it runs.
    pub machine: &'a Machine,
    /// Of each real server's checks.
    pub checks: Vec<Vec<CheckSeen>>,
    /// Its checks are made.
    pub enabled: bool,
    /// It was there before the last reload.
    pub kept: Option<&'a Kept>,
}

/// What a check remembers.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckSeen {
    /// The failed attempts since its last result.
    pub attempts: u32,
    /// Its page.
    pub progress: Progress,
}

/// What a virtual server had before the last reload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Of each real server: its weight, if it was there.
    pub weights: Box<[Option<i64>]>,
    /// The entries of its group that were there.
    pub entries: HashSet<Entry>,
}

/// How many destinations an entry of a group has, for a protocol; for a firewall mark without one, by family.
pub type Alive<'a> = &'a dyn Fn(&str, Entry, Option<Protocol>, bool) -> u32;

/// Everything there is to see.
pub struct View<'a> {
    /// As configured.
    pub site: &'a Site,
    /// The virtual servers.
    pub servers: Vec<Seen<'a>>,
    /// The destinations of groups.
    pub alive: Alive<'a>,
    /// The number in a file, and whether the file was there before the last reload.
    pub file: &'a dyn Fn(&str) -> (i64, bool),
}

/// One line. Writing to a `String` cannot fail, so outcomes are not looked at.
macro_rules! line {
    ($out:expr, $($text:tt)*) => {{ let _ = writeln!($out, $($text)*); }};
}

const fn on(value: bool) -> &'static str {
    if value { "ON" } else { "OFF" }
}

const fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

const fn enabled(value: bool) -> &'static str {
    if value { "enabled" } else { "disabled" }
}

fn seconds(duration: Duration) -> String {
    format!("{:.6}", duration.as_secs_f64())
}

/// The whole dump.
pub fn data(view: &View<'_>) -> String {
    let mut out = String::new();
    super::globals::write(&mut out, view.site, false);
    tls(&mut out, view);
    if !view.servers.is_empty() {
        out.push_str("------< LVS Topology >------\n System is compiled with LVS v1.2.1\n");
        view.site.root.server_groups.iter().for_each(|one| group(&mut out, one, view));
        view.servers.iter().for_each(|seen| server(&mut out, seen, view));
    }
    checks(&mut out, view);
    files(&mut out, view);
    sessions(&mut out, view);
    out
}

fn probes<'a>(view: &'a View<'_>) -> impl Iterator<Item = &'a Probe> {
    let reals = view.servers.iter().flat_map(|seen| &seen.given.reals);
    reals.flat_map(|real| real.checks.iter().map(|check| &check.probe))
}

fn tls(out: &mut String, view: &View<'_>) {
    let secure = probes(view).any(|probe| matches!(probe, Probe::Http(_, get) if get.secure));
    let given = view.site.tls.as_ref();
    if given.is_none() && !secure {
        return;
    }
    out.push_str("------< SSL definitions >------\n");
    let Some(given) = given else { return out.push_str(" Using autogen SSL context\n") };
    if given.password.is_none() && given.ca.is_none() && given.certificate.is_none() && given.key.is_none() {
        return out.push_str(" Using autogen SSL context\n");
    }
    for (name, file) in [("CA-file", &given.ca), ("Certificate file", &given.certificate), ("Key file", &given.key)] {
        if let Some(file) = file {
            line!(out, " {name} : {}", file.text());
        }
    }
}

fn group(out: &mut String, group: &ServerGroup, view: &View<'_>) {
    let name = &group.name;
    let has = |ipv6: bool| {
        yes(group.entries.iter().any(|entry| match entry {
            Entry::Addresses(ip, ..) => ip.is_ipv6() == ipv6,
            Entry::Mark(_, family) => *family == Some(ipv6),
        }))
    };
    line!(out, " ------< Virtual server group >------");
    line!(out, " Virtual Server Group = {name}, IPv4 = {}, IPv6 = {}", has(false), has(true));
    let is_mark = |entry: &&Entry| matches!(entry, Entry::Mark(..));
    let (marks, ranges): (Vec<&Entry>, Vec<&Entry>) = group.entries.iter().partition(is_mark);
    for entry in ranges.into_iter().chain(marks) {
        match *entry {
            Entry::Addresses(ip, more, port) => {
                let last = match ip {
                    _ if more == 0 => None,
                    std::net::IpAddr::V4(own) => Some(format!("{}", u32::from(own.octets()[3]).wrapping_add(more))),
                    std::net::IpAddr::V6(own) => Some(format!("{:x}", u32::from(own.segments()[7]).wrapping_add(more))),
                };
                match last {
                    Some(last) => line!(out, "   VIP Range = {ip}-{last}, VPORT = {port}"),
                    None => line!(out, "   VIP = {ip}, VPORT = {port}"),
                }
                let of = |protocol| (view.alive)(name, *entry, Some(protocol), false);
                let (tcp, udp, sctp) = (of(Protocol::Tcp), of(Protocol::Udp), of(Protocol::Sctp));
                line!(out, "     Alive: {tcp} tcp, {udp} udp, {sctp} sctp");
            }
            Entry::Mark(mark, family) => {
                let family = family.map_or("", |ipv6| if ipv6 { " IPv6" } else { " IPv4" });
                line!(out, "   FWMARK = {mark}{family}");
                let of = |ipv6| (view.alive)(name, *entry, None, ipv6);
                line!(out, "   Alive: {} IPv4, {} IPv6", of(false), of(true));
            }
        }
        let own = |seen: &&Seen<'_>| matches!(&seen.given.identity, Identity::Group(of, _) if of == name);
        let mut servers = view.servers.iter().filter(own);
        let kept = servers.any(|seen| seen.kept.is_some_and(|kept| kept.entries.contains(entry)));
        line!(out, "     reloaded = {}", if kept { "True" } else { "False" });
    }
}

fn method(method: Method) -> String {
    let checksum = |kind| match kind {
        Checksum::Without => "no checksum",
        Checksum::Full => "checksum",
        Checksum::Remote => "remote checksum",
    };
    let method = match method {
        Method::Nat => "NAT".to_owned(),
        Method::Direct => "DR".to_owned(),
        Method::Tunnel(Tunnel::Ipip) => "TUN, type = IPIP".to_owned(),
        Method::Tunnel(Tunnel::Gue(port, kind)) => format!("TUN, type = GUE, port = {port}, {}", checksum(kind)),
        Method::Tunnel(Tunnel::Gre(kind)) => format!("TUN, type = GRE, {}", checksum(kind)),
    };
    format!("forwarding method = {method}")
}

/// A script that may be run, with whom it runs as.
fn script(out: &mut String, what: &str, command: Option<&Command>, policy: &Policy) {
    if let Some(program) = command.and_then(|command| policy.judge(command).program) {
        line!(out, "{what} = {program}, uid:gid {}:{}", program.uid, program.gid);
    }
}

/// What checks inherit, as far as it is given.
fn attempts(out: &mut String, stated: &Stated) {
    if let Some(retry) = stated.retry {
        line!(out, "   Retry count = {retry}");
    }
    if let Some(delay) = stated.retry_delay {
        line!(out, "   Retry delay = {}", seconds(delay));
    }
    if let Some(warmup) = stated.warmup {
        line!(out, "   Warmup = {}", seconds(warmup));
    }
}

fn server(out: &mut String, seen: &Seen<'_>, view: &View<'_>) {
    let given = seen.given;
    let (config, stated, service) = (&given.config, &given.stated, &given.service);
    let policy = Policy::of(&view.site.global);
    line!(out, " ------< Virtual server >------");
    match (&given.identity, &service.key) {
        (Identity::Group(..), _) => line!(out, " VS GROUP = {}", config.name),
        (_, Key::Mark(mark, _)) => line!(out, " VS FWMARK = {mark}"),
        (_, Key::Address(_, ip, port)) => line!(out, " VS VIP = {ip}, VPORT = {port}"),
    }
    if let Some(host) = &stated.checks.host {
        line!(out, "   VirtualHost = {host}");
    }
    let ipv6 = match &service.key {
        Key::Address(_, ip, _) => ip.is_ipv6(),
        Key::Mark(_, ipv6) => *ipv6,
    };
    line!(out, "   Address family = inet{}", if ipv6 { "6" } else { "" });
    line!(out, "   connection timeout = {}", seconds(stated.checks.timeout));
    line!(out, "   delay_loop = {}", seconds(stated.checks.delay));
    scheduling(out, given, ipv6);
    line!(out, "   alpha is {}", on(stated.checks.alpha));
    line!(out, "   omega is {}", on(config.omega));
    attempts(out, &stated.checks);
    line!(out, "   Inhibit on failure is {}", on(stated.inhibit));
    line!(out, "   quorum = {}, hysteresis = {}", config.quorum, config.hysteresis);
    script(out, "   Quorum up notify script", given.up.as_ref(), &policy);
    script(out, "   Quorum down notify script", given.down.as_ref(), &policy);
    if given.suspend {
        line!(out, "   Using HA suspend");
    }
    line!(out, "   Using smtp notification = {}", yes(given.mails));
    line!(out, "   default {}", method(stated.method));
    if let Some((sorry, destination)) = config.sorry.as_ref().zip(given.sorry.as_ref()) {
        let duplicates = if sorry.duplicates { "(duplicates rs) " } else { "" };
        line!(out, "   sorry server {duplicates}= {}", sorry.name);
        line!(out, "     {}", method(destination.method));
        line!(out, "     Inhibit on failure is {}", on(sorry.inhibit));
    }
    line!(out, "   alive = {}", u8::from(seen.machine.is_set()));
    line!(out, "   quorum_state_up = {}", u8::from(seen.machine.has_quorum()));
    line!(out, "   reloaded = {}", u8::from(seen.kept.is_some()));
    given.reals.iter().enumerate().for_each(|(at, one)| real(out, at, one, seen, &policy));
}

/// The scheduler, persistence and protocol.
fn scheduling(out: &mut String, given: &VirtualServer, ipv6: bool) {
    let service = &given.service;
    line!(out, "   lvs_sched = {}", service.scheduler);
    // Its flag is never set.
    line!(out, "   Hashed = disabled");
    let names: &[&str] = match service.scheduler.as_str() {
        "sh" => &["sh-fallback", "sh-port"],
        "mh" => &["mh-fallback", "mh-port"],
        _ => &["flag-1", "flag-2", "flag-3"],
    };
    let mut flags: Vec<(&str, u32)> = names.iter().copied().zip(SCHEDULER_FLAGS).collect();
    if names.len() == 2 {
        flags.reverse();
    }
    for (name, flag) in flags {
        line!(out, "   {name} = {}", enabled(service.flags & flag != 0));
    }
    let one_packet = service.flags & ONE_PACKET != 0;
    let inactive = one_packet && given.protocol != Some(Protocol::Udp);
    let why = if inactive { " (inactive due to not UDP)" } else { "" };
    line!(out, "   One packet scheduling = {}{why}", enabled(one_packet));
    if service.timeout > 0 {
        line!(out, "   persistence timeout = {}", service.timeout);
    }
    match given.stated.granularity {
        Some(bits) if ipv6 => line!(out, "   persistence granularity = {bits}"),
        Some(mask) => line!(out, "   persistence granularity = {}", Ipv4Addr::from(mask.to_ne_bytes())),
        None => {}
    }
    let protocol = match given.protocol {
        Some(Protocol::Tcp) => "TCP",
        Some(Protocol::Udp) => "UDP",
        Some(Protocol::Sctp) => "SCTP",
        None => "none",
    };
    line!(out, "   protocol = {protocol}");
}

fn real(out: &mut String, at: usize, real: &RealServer, seen: &Seen<'_>, policy: &Policy) {
    let (Some(config), Some(state)) = (seen.given.config.reals.get(at), seen.machine.real(at)) else { return };
    let (destination, stated) = (&real.destination, &real.stated);
    line!(out, "   ------< Real server >------");
    let (ip, port) = (destination.ip, destination.port);
    line!(out, "   RIP = {ip}, RPORT = {port}, WEIGHT = {} EFF WEIGHT = {}", state.weight, state.effective);
    line!(out, "   {}", method(destination.method));
    line!(out, "   Alpha is {}", on(stated.alpha));
    line!(out, "   connection timeout = {}", seconds(stated.timeout));
    line!(out, "   connection limit range = {} -> {}", destination.lower, destination.upper);
    line!(out, "   Delay loop = {}", seconds(stated.delay));
    attempts(out, stated);
    line!(out, "   Inhibit on failure is {}", on(config.inhibit));
    script(out, "     RS up notify script", real.up.as_deref(), policy);
    script(out, "     RS down notify script", real.down.as_deref(), policy);
    if let Some(host) = &stated.host {
        line!(out, "    VirtualHost = {host}");
    }
    line!(out, "   Using smtp notification = {}", yes(real.mails));
    line!(out, "   initial weight = {}", config.weight);
    let before = seen.kept.and_then(|kept| *kept.weights.get(at)?);
    line!(out, "   previous weight = {}", before.unwrap_or_default());
    line!(out, "   alive = {}", u8::from(state.alive));
    line!(out, "   num failed checkers = {}", state.failed);
    line!(out, "   RS set = {}", u8::from(state.set));
    line!(out, "   reloaded = {}", u8::from(before.is_some()));
    let files: Vec<String> = real.checks.iter().filter_map(|check| tracked(&check.probe)).collect();
    let sessions = real.checks.iter().filter_map(|check| match &check.probe {
        Probe::Session(name) => Some(format!("     {name}\n")),
        _ => None,
    });
    let sessions: String = sessions.collect();
    if !files.is_empty() {
        line!(out, "   Tracked Files");
        files.iter().for_each(|file| line!(out, "     {file}"));
    }
    if !sessions.is_empty() {
        line!(out, "   Tracked BFDs\n{}", sessions.trim_end());
    }
}

/// A tracked file, as its real server shows it.
fn tracked(probe: &Probe) -> Option<String> {
    let Probe::File(name, factor) = probe else { return None };
    Some(format!("{name}, weight {}{}", factor.weight, if factor.reverse { " reverse" } else { "" }))
}

const fn file_of(probe: &Probe) -> Option<&str> {
    match probe {
        Probe::File(name, _) => Some(name.as_str()),
        _ => None,
    }
}

/// The checks in the order they were made in: those of files behind all others.
fn checks(out: &mut String, view: &View<'_>) {
    let expressions = expressions(view);
    let start = out.len();
    for of_files in [false, true] {
        for seen in &view.servers {
            for (at, real) in seen.given.reals.iter().enumerate() {
                for (number, one) in real.checks.iter().enumerate() {
                    if matches!(one.probe, Probe::File(..)) == of_files {
                        check(out, one, (at, number), seen, (view, &expressions));
                    }
                }
            }
        }
    }
    if out.len() > start {
        out.insert_str(start, "------< Health checkers >------\n");
    }
}

/// Expressions by pattern and options: how many pages use each.
type Expressions<'a> = HashMap<(&'a [u8], u32), usize>;

fn expressions<'a>(view: &'a View<'_>) -> Expressions<'a> {
    let mut used = Expressions::new();
    for probe in probes(view) {
        let Probe::Http(_, get) = probe else { continue };
        for regex in get.urls.iter().filter_map(|url| url.regex.as_deref()) {
            *used.entry((&regex.pattern, regex.options)).or_default() += 1;
        }
    }
    used
}

/// The time between failures where nothing is said of it; none is the usual time between checks.
const fn usual_delay(probe: &Probe) -> Duration {
    match probe {
        Probe::Http(..) => Duration::from_secs(3),
        Probe::Dns(..) => Duration::ZERO,
        _ => Duration::from_secs(1),
    }
}

fn check(
    out: &mut String,
    check: &Check,
    (real, number): (usize, usize),
    seen: &Seen<'_>,
    (view, expressions): (&View<'_>, &Expressions<'_>),
) {
    let config = &seen.given.config;
    let (Some(named), Some(known)) = (config.reals.get(real), seen.machine.check(real, number)) else { return };
    let remembered = seen.checks.get(real).and_then(|all| all.get(number)).copied().unwrap_or_default();
    let told = check.probe.is_told();
    let timing = &check.timing;
    // A check that nobody makes has the greatest numbers there are.
    let micros = |duration: Duration| if told { u128::from(u64::MAX) } else { duration.as_micros() };
    line!(out, " {} -> {}", config.name, named.name);
    line!(out, "   Enabled = {}", yes(told || seen.enabled));
    line!(out, "   Up = {}", yes(known.up));
    line!(out, "   Has run = {}", yes(known.has_run));
    // As keepalived 2.1.5 shows it.
    line!(out, "   Alpha = {}", yes(known.has_run));
    line!(out, "   Delay loop = {} us", micros(timing.delay));
    line!(out, "   Warmup = {} us", micros(timing.warmup));
    line!(out, "   Retries = {}", if told { u32::MAX } else { timing.retry });
    line!(out, "   Delay before retry = {} us", micros(timing.delay_before_retry));
    line!(out, "   Retries iterations = {}", if told { 0 } else { remembered.attempts });
    line!(out, "   Default delay before retry = {} us", usual_delay(&check.probe).as_micros());
    line!(out, "   Log all failures = {}", yes(check.log_all));
    let is_up = (seen.enabled, known.up, known.has_run);
    match &check.probe {
        Probe::Http(to, get) => {
            let kind = if get.secure { "SSL" } else { "HTTP" };
            let version = match get.version {
                Version::V10 => "1.0",
                Version::V10Close => "1.0C",
                Version::V11 => "1.1",
            };
            line!(out, "   Keepalive method = {kind}_GET, http protocol {version}");
            options(out, check, Some(to), is_up, remembered.attempts);
            pages(out, get, remembered.progress, expressions);
        }
        Probe::Tcp(to) => {
            line!(out, "   Keepalive method = TCP_CHECK");
            options(out, check, Some(to), is_up, remembered.attempts);
        }
        Probe::Udp(to, exchange) => {
            line!(out, "   Keepalive method = UDP_CHECK");
            options(out, check, Some(to), is_up, remembered.attempts);
            line!(out, "   Require reply = {}", yes(exchange.reply.is_some()));
        }
        Probe::Dns(to, kind, name) => {
            line!(out, "   Keepalive method = DNS_CHECK");
            options(out, check, Some(to), is_up, remembered.attempts);
            let named = dns::TYPES.iter().find(|(_, number)| number == kind).map_or("?", |(name, _)| name);
            line!(out, "   Type = {named}");
            line!(out, "   Name = {name}");
        }
        Probe::Ping(to) => {
            line!(out, "   Keepalive method = PING_CHECK");
            options(out, check, Some(to), is_up, remembered.attempts);
        }
        Probe::Smtp(to, helo) => {
            line!(out, "   Keepalive method = SMTP_CHECK");
            line!(out, "   helo = {helo}");
            options(out, check, Some(to), is_up, remembered.attempts);
        }
        Probe::Misc(misc) => {
            program(out, misc, &Policy::of(&view.site.global));
            options(out, check, None, is_up, remembered.attempts);
        }
        Probe::File(name, _) => {
            line!(out, "   Keepalive method = FILE_CHECK");
            line!(out, "     Tracked file = {name}");
            line!(out, "     Reloaded = {}", if (view.file)(name).1 { "Yes" } else { "No" });
        }
        Probe::Session(name) => {
            line!(out, "   Keepalive method = BFD_CHECK");
            line!(out, "   Name = {name}");
            line!(out, "   Alpha is {}", on(check.alpha));
        }
    }
}

fn program(out: &mut String, misc: &Misc, policy: &Policy) {
    line!(out, "   Keepalive method = MISC_CHECK");
    let program = policy.judge(&misc.command).program;
    if let Some(program) = &program {
        line!(out, "   script = {program}");
    }
    line!(out, "   timeout = {}", if misc.own_limit { misc.limit.as_secs() } else { 0 });
    line!(out, "   dynamic = {}", if misc.dynamic { "YES" } else { "NO" });
    if let Some(program) = &program {
        line!(out, "   uid:gid = {}:{}", program.uid, program.gid);
    }
}

fn pair(address: SocketAddr) -> String {
    format!("[{}]:{}", address.ip(), address.port())
}

/// What all checks have that are made.
fn options(
    out: &mut String,
    check: &Check,
    connection: Option<&Connection>,
    (enabled, up, has_run): (bool, bool, bool),
    attempts: u32,
) {
    let timing = &check.timing;
    if let Some(Connection { to, options }) = connection {
        line!(out, "   Connection");
        line!(out, "     Dest = {}", pair(*to));
        if let Some(from) = options.from {
            line!(out, "     Bind to = {}", pair(from));
        }
        if let Some(interface) = &options.interface {
            line!(out, "     Bind i/f = {interface}");
        }
        if options.mark != 0 {
            line!(out, "     Mark = {}", options.mark);
        }
        line!(out, "     Timeout = {}", seconds(options.timeout));
    }
    line!(out, "   Alpha is {}", on(check.alpha));
    line!(out, "   Log all failures {}", on(check.log_all));
    line!(out, "   Delay loop = {}", seconds(timing.delay));
    if timing.retry > 0 {
        line!(out, "   Retry count = {}", timing.retry);
        line!(out, "   Retry delay = {}", seconds(timing.delay_before_retry));
    }
    line!(out, "   Warmup = {}", seconds(timing.warmup));
    line!(out, "   Enabled = {}", u8::from(enabled));
    line!(out, "   Is up = {}", u8::from(up));
    line!(out, "   Has run = {}", u8::from(has_run));
    line!(out, "   Retries left before fail = {attempts}");
    line!(out, "   Delay before retry = {}", seconds(usual_delay(&check.probe)));
}

fn pages(out: &mut String, get: &Get, progress: Progress, expressions: &Expressions<'_>) {
    if let Some(host) = get.host.as_ref().filter(|_| get.own_host) {
        line!(out, "   Virtualhost = {host}");
    }
    let set = |value: bool| if value { "" } else { "un" };
    line!(out, "   Enable SNI {}set", set(get.server_name != ServerName::Absent));
    line!(out, "   Fast recovery {}set", set(get.fast_recovery));
    get.urls.iter().for_each(|url| page(out, url, expressions));
    if let Some(url) = progress.failed(get) {
        line!(out, "   Failed URL = {}", url.path);
    }
}

fn page(out: &mut String, url: &Url, expressions: &Expressions<'_>) {
    line!(out, "   Checked url = {}", url.path);
    if let Some(digest) = url.digest {
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        line!(out, "     digest = {digest}");
    }
    line!(out, "     HTTP Status Code(s)");
    for (first, last) in merged(&url.statuses) {
        if first == last {
            line!(out, "       {first}");
        } else {
            line!(out, "       {first}-{last}");
        }
    }
    if let Some(host) = &url.host {
        line!(out, "     Virtual host = {host}");
    }
    if let Some(regex) = &url.regex {
        expression(out, regex, expressions);
    }
}

/// Ranges in order, those that touch as one; 200 to 299 where there are none.
fn merged(given: &[(u16, u16)]) -> Vec<(u16, u16)> {
    let mut ranges = if given.is_empty() { vec![(200, 299)] } else { given.to_vec() };
    ranges.sort_unstable();
    let mut merged: Vec<(u16, u16)> = Vec::new();
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(known) if first <= known.1.saturating_add(1) => known.1 = known.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

fn expression(out: &mut String, regex: &Regex, expressions: &Expressions<'_>) {
    line!(out, "     Regex = \"{}\"", String::from_utf8_lossy(&regex.pattern));
    if regex.no_match {
        line!(out, "     Regex no match");
    }
    match (regex.min, regex.max) {
        (0, None) => {}
        (min, None) => line!(out, "     Regex min offset = {min}"),
        (min, Some(max)) => line!(out, "     Regex min offset = {min}, max_offset = {max}"),
    }
    let named = pcre::OPTIONS.iter().filter(|(_, bit)| regex.options & bit != 0);
    let named: String = named.map(|(name, _)| format!(" {name}")).collect();
    line!(out, "     Regex options:{named}");
    let used = expressions.get(&(&*regex.pattern, regex.options)).copied().unwrap_or_default();
    line!(out, "     Regex ref count = {used}");
    if let Some((start, most)) = regex.stack {
        line!(out, "     Regex stack start {start}, max {most}");
    }
}

/// The real servers whose checks `wanted` finds something for, with that.
fn tracking<'a>(view: &View<'a>, wanted: impl Fn(&Probe) -> Option<String>) -> Vec<(&'a str, &'a str, String)> {
    let mut found = Vec::new();
    for given in view.servers.iter().map(|seen| seen.given) {
        for (real, named) in given.reals.iter().zip(&given.config.reals) {
            let shown = real.checks.iter().filter_map(|check| wanted(&check.probe));
            found.extend(shown.map(|shown| (given.config.name.as_str(), &*named.name, shown)));
        }
    }
    found
}

fn files(out: &mut String, view: &View<'_>) {
    let used: HashSet<&str> = probes(view).filter_map(file_of).collect();
    if used.is_empty() {
        return;
    }
    line!(out, "------< Checker track files >------");
    for file in view.site.files.iter().filter(|file| used.contains(file.name.as_str())) {
        let reverse = if file.reverse { " reverse" } else { "" };
        line!(out, " Track file = {}", file.name);
        line!(out, "   File = {}", file.path.as_deref().unwrap_or_default());
        line!(out, "   Status = {}", (view.file)(&file.name).0);
        line!(out, "   Weight = {}{reverse}", file.weight.unwrap_or_default());
        let own = |probe: &Probe| match probe {
            Probe::File(name, factor) if *name == file.name => {
                Some(format!("weight {}{}", factor.weight, if factor.reverse { " reverse" } else { "" }))
            }
            _ => None,
        };
        for (at, (server, real, weight)) in tracking(view, own).into_iter().enumerate() {
            if at == 0 {
                line!(out, "   Tracking instances :");
            }
            line!(out, "     {server} -> {real}, {weight}");
        }
    }
}

fn sessions(out: &mut String, view: &View<'_>) {
    let sessions: Vec<_> = view.site.sessions.iter().filter(|session| session.for_checkers).collect();
    if sessions.is_empty() {
        return;
    }
    line!(out, "------< Checker track BFDs >------");
    for session in sessions {
        line!(out, " Checker Track BFD = {}", session.name);
        line!(out, "   Tracking RS :");
        let own = |probe: &Probe| matches!(probe, Probe::Session(name) if *name == session.name).then(String::new);
        for (_, real, _) in tracking(view, own) {
            line!(out, "   {real}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::expand::Environment;
    use crate::conf::source::Memory;
    use crate::keepalived::read::read;
    use crate::keepalived::slot::Machine as Host;

    fn dump(text: &str) -> String {
        let host = Host { has_interface: &|_| true, has_user: &|_, _| true, read_secret: &|_| None };
        let site = read(&Memory::of("k", text), "k", &Environment::default(), &host).unwrap().into_site();
        let machines: Vec<Machine> = site.servers.iter().map(|server| Machine::new(server.config.clone())).collect();
        let seen = site.servers.iter().zip(&machines).map(|(given, machine)| Seen {
            given,
            machine,
            checks: Vec::new(),
            enabled: true,
            kept: None,
        });
        data(&View { site: &site, servers: seen.collect(), alive: &|_, _, _, _| 0, file: &|_| (0, false) })
    }

    #[test]
    fn expressions_and_sessions_are_shown() {
        let page = "url {\n path /\n regex \"wor[kl]d\"\n regex_no_match\n regex_options caseless multiline\n \
                    regex_min_offset 2\n regex_max_offset 60\n regex_stack 1024 65536\n }\n";
        let text = format!(
            "bfd_instance far {{\n neighbor_ip 10.0.0.9\n source_ip 10.0.0.1\n}}\nvirtual_server 10.0.0.1 80 {{\n lb_algo \
             rr\n lb_kind NAT\n protocol TCP\n real_server 10.0.0.2 80 {{\n HTTP_GET {{\n {page} {page} }}\n BFD_CHECK \
             {{\n name far\n alpha\n }}\n }}\n}}\n"
        );
        let shown = dump(&text);
        let regex = "     Regex = \"wor[kl]d\"\n     Regex no match\n     Regex min offset = 2, max_offset = 60\n     Regex \
                     options: caseless multiline\n     Regex ref count = 2\n     Regex stack start 1024, max 65536\n";
        assert_eq!(shown.matches(regex).count(), 2, "{shown}");
        for part in [
            "   reloaded = 0\n   Tracked BFDs\n     far\n------< Health checkers >------\n",
            "   Delay before retry = 18446744073709551615 us\n",
            "   Keepalive method = BFD_CHECK\n   Name = far\n   Alpha is ON\n",
            "------< Checker track BFDs >------\n Checker Track BFD = far\n   Tracking RS :\n   [10.0.0.2]:tcp:80\n",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }

    #[test]
    fn a_file_counts_from_the_start_where_other_checks_wait_for_a_success() {
        let file = "track_file load {\n file /nowhere/load\n}\n";
        let checks = "TCP_CHECK {\n }\n FILE_CHECK {\n track_file load\n weight 1\n }\n";
        let text = format!(
            "{file}virtual_server 10.0.0.1 80 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n alpha\n real_server \
             10.0.0.2 80 {{\n {checks} }}\n}}\n"
        );
        let shown = dump(&text);
        assert!(shown.contains("   Alpha is ON\n") && shown.contains("   num failed checkers = 1\n"), "{shown}");
    }

    #[test]
    fn status_codes_that_touch_are_one_range() {
        assert_eq!(merged(&[(301, 301), (200, 204), (205, 299), (300, 300)]), [(200, 301)]);
        assert_eq!(merged(&[]), [(200, 299)]);
    }
}
