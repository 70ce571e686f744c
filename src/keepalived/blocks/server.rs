//! `virtual_server`, `virtual_server_group` and `SSL`.

use super::real::Real;
use super::root::Root;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Opens, Support};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::{Block, Custom};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::Setting;
use crate::keepalived::contexts::{REAL_SERVER, SERVER, SERVER_GROUP, SSL};
use crate::keepalived::slot::{
    Command, MICROSECOND, Nothing, Present, Run, Seconds, Switch, Text, Unsigned, address, again, also, at_end,
    complain, count, first, worded,
};
use crate::kernel::ipvs::{Checksum, Method, Protocol, SCHEDULER_FLAGS, Tunnel};
use crate::tls::key::Passwords;
use std::net::IpAddr;
use std::time::Duration;

/// The keywords of virtual servers.
pub const MODULE: Module = Module {
    name: "virtual_server",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Server>(SERVER), Scope::of::<Tls>(SSL)],
};

const BARE: Arity = Arity::AtLeast(0);
const ONE: Arity = Arity::AtLeast(1);
/// The largest number without a sign.
const WIDE: i64 = u32::MAX as i64;
/// The longest time, in microseconds.
pub const LONGEST: f64 = u64::MAX as f64 / 1e6;
/// The longest time to connect, in seconds.
pub const MOST_SECONDS: f64 = u32::MAX as f64 / 1e6;
const TWICE: &str = "((null)) {k} script already specified - ignoring {v}";
const SCHEDULERS: [&str; 13] = ["rr", "wrr", "lc", "wlc", "lblc", "sh", "mh", "dh", "fo", "ovf", "lblcr", "sed", "nq"];

const fn row(name: &'static str, arity: Arity, set: &'static dyn crate::conf::directive::Set) -> Directive {
    Directive::new(name, SERVER, arity, set)
}

const DIRECTIVES: &[Directive] = &[
    Directive::new("password", SSL, BARE, &Custom(tls)).doc("The password of the key."),
    Directive::new("ca", SSL, BARE, &Custom(tls))
        .doc("A file with certificates of authorities. It must be readable; certificates of servers are not verified."),
    Directive::new("certificate", SSL, BARE, &Custom(tls))
        .doc("The file with the certificate that is shown to servers that ask for one, and those that signed it."),
    Directive::new("key", SSL, BARE, &Custom(tls)).doc("The file with the key of the certificate."),
    Directive::new("fwmark", SERVER_GROUP, BARE, &Nothing).doc("A firewall mark that belongs to the virtual server."),
    row("ip_family", ONE, &Custom(family))
        .words(&["inet", "inet6"])
        .doc("The family of addresses of a virtual server by firewall mark."),
    row("retry", ONE, &Unsigned(|c: &mut Server| &mut c.retry, 1..=WIDE, "retry value invalid - {v}"))
        .doc("How often a failed check is repeated before the server counts as down."),
    row(
        "delay_before_retry",
        ONE,
        &Seconds(
            |c: &mut Server| &mut c.retry_delay,
            0.0..=LONGEST,
            "virtual server delay before retry '{v}' invalid - ignoring",
        ),
    )
    .doc("Seconds between a failed check and its repetition."),
    row(
        "warmup",
        ONE,
        &Seconds(|c: &mut Server| &mut c.warmup, 0.0..=LONGEST, "virtual server warmup '{v}' invalid - ignoring"),
    )
    .doc("The longest random delay before the first check, so that checks do not start together."),
    row(
        "connect_timeout",
        ONE,
        &Seconds(
            |c: &mut Server| &mut c.timeout,
            MICROSECOND..=MOST_SECONDS,
            "virtual server connect_timeout {v} invalid - ignoring",
        ),
    )
    .doc("Seconds after which a connection that is not made counts as failed."),
    row(
        "delay_loop",
        ONE,
        &Seconds(
            |c: &mut Server| &mut c.delay,
            MICROSECOND..=LONGEST,
            "virtual server delay loop '{v}' invalid - ignoring",
        ),
    )
    .doc("Seconds between two checks."),
    row("inhibit_on_failure", BARE, &Present(|c: &mut Server| &mut c.inhibit, true))
        .doc("Sets the weight of a failed server to zero, where it would otherwise be taken out."),
    row("lb_algo", ONE, &Custom(scheduler))
        .words(&["rr", "wrr", "lc", "wlc", "lblc", "sh", "mh", "dh", "fo", "ovf", "lblcr", "sed", "nq", "twos"])
        .doc("How the next server is chosen."),
    row("lvs_sched", ONE, &Custom(scheduler))
        .words(&["rr", "wrr", "lc", "wlc", "lblc", "sh", "mh", "dh", "fo", "ovf", "lblcr", "sed", "nq", "twos"])
        .doc("How the next server is chosen, in the newer spelling."),
    row("hashed", BARE, &Custom(flag))
        .support(Support::Inert("keepalived 2.1.5 does not set the flag either"))
        .doc("The flag hashed of the scheduler."),
    row("ops", BARE, &Present(|c: &mut Server| &mut c.one_packet, true)).doc("Schedules every UDP packet by itself."),
    row("flag-1", BARE, &Custom(flag)).doc("The first flag of the scheduler."),
    row("flag-2", BARE, &Custom(flag)).doc("The second flag of the scheduler."),
    row("flag-3", BARE, &Custom(flag)).doc("The third flag of the scheduler."),
    row("sh-port", BARE, &Custom(flag)).doc("Source hashing looks at the port too."),
    row("sh-fallback", BARE, &Custom(flag))
        .doc("Source hashing goes on to another server where the chosen one is down."),
    row("mh-port", BARE, &Custom(flag)).doc("Maglev hashing looks at the port too."),
    row("mh-fallback", BARE, &Custom(flag))
        .doc("Maglev hashing goes on to another server where the chosen one is down."),
    row("lb_kind", ONE, &Custom(forwarding))
        .words(&["NAT", "DR", "TUN"])
        .doc("How packets reach the servers: NAT, DR or TUN."),
    row("lvs_method", ONE, &Custom(forwarding))
        .words(&["NAT", "DR", "TUN"])
        .doc("How packets reach the servers: NAT, DR or TUN, with the kind of tunnel."),
    row("persistence_engine", ONE, &Custom(engine)).doc("What recognises a client again."),
    row("persistence_timeout", BARE, &Custom(persistence)).doc("Seconds a client stays with its server."),
    row("persistence_granularity", ONE, &Custom(granularity)).doc("The mask of addresses that count as one client."),
    row("protocol", ONE, &Custom(protocol)).words(&["TCP", "UDP", "SCTP"]).doc("TCP, UDP or SCTP."),
    row("ha_suspend", BARE, &Present(|c: &mut Server| &mut c.suspend, true))
        .doc("Checks nothing while the address is not here."),
    row("smtp_alert", BARE, &Switch(|c: &mut Server| &mut c.mails, "Invalid virtual_server smtp_alert parameter {v}"))
        .doc("Whether mail is sent when a server comes or goes."),
    row("virtualhost", BARE, &Text(|c: &mut Server| &mut c.host, "virtual server virtualhost missing"))
        .doc("The host name that web checks ask for."),
    row("alpha", BARE, &Present(|c: &mut Server| &mut c.alpha, true))
        .doc("Servers count as down until their first check succeeds."),
    row("omega", BARE, &Present(|c: &mut Server| &mut c.omega, true))
        .doc("At the end the scripts of servers that go are run."),
    row("quorum_up", ONE, &Run(|c: &mut Server| &mut c.up, TWICE))
        .doc("A script that is run when there are enough servers again."),
    row("quorum_down", ONE, &Run(|c: &mut Server| &mut c.down, TWICE))
        .doc("A script that is run when there are no longer enough servers."),
    row(
        "quorum",
        ONE,
        &Unsigned(|c: &mut Server| &mut c.quorum, 1..=WIDE, "Quorum {v} must be in [1, 4294967295]. Setting to 1."),
    )
    .doc("How much weight of servers is enough."),
    row(
        "hysteresis",
        ONE,
        &Unsigned(|c: &mut Server| &mut c.hysteresis, 0..=WIDE, "Hysteresis {v} must be in [0, 4294967295] - ignoring"),
    )
    .doc("How far the weight must be above or below the quorum before it counts."),
    row(
        "weight",
        ONE,
        &Unsigned(
            |c: &mut Server| &mut c.weight,
            1..=i32::MAX as i64,
            "Virtual server weight {v} is outside range 1-2147483647",
        ),
    )
    .doc("The weight of servers that name none."),
    row("sorry_server", ONE, &Custom(sorry)).doc("The server that answers when no other is up."),
    row("sorry_server_inhibit", BARE, &Custom(sorry_inhibit)).doc("Applies inhibit_on_failure to the sorry server."),
    row("sorry_server_lvs_method", BARE, &Custom(sorry_forwarding)).doc("How packets reach the sorry server."),
    row("snmp_name", BARE, &Custom(snmp_name)).doc("The name shown over SNMP."),
    row(
        "real_server",
        Arity::Block(1, 255, Opens::Context(REAL_SERVER)),
        &Block(super::real::open, super::real::close),
    )
    .doc("One server."),
];

/// What a virtual server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An address and a port, which may be 0.
    Address(IpAddr, u16),
    /// A firewall mark.
    Mark(u32),
    /// A group.
    Group(String),
}

/// The addresses, ports and firewall marks of a group.
#[derive(Clone, Debug, Default)]
pub struct ServerGroup {
    /// Its name.
    pub name: String,
    /// Its entries, in order.
    pub entries: Vec<Entry>,
}

/// An entry of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// Consecutive addresses: the first, how many more, and their port.
    Addresses(IpAddr, u32, u16),
    /// A firewall mark, and whether it is for IPv6 where that is said.
    Mark(u32, Option<bool>),
}

/// A virtual server as configured.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// What it is.
    pub target: Option<Target>,
    /// The family, as soon as something says it.
    pub ipv6: Option<bool>,
    /// `retry`.
    pub retry: Option<i64>,
    /// `delay_before_retry`.
    pub retry_delay: Option<Duration>,
    /// `warmup`.
    pub warmup: Option<Duration>,
    /// `connect_timeout`.
    pub timeout: Option<Duration>,
    /// `delay_loop`.
    pub delay: Option<Duration>,
    /// `inhibit_on_failure`.
    pub inhibit: Option<bool>,
    /// `lb_algo`.
    pub scheduler: Option<String>,
    /// The flags of the scheduler.
    pub flags: u32,
    /// `ops`.
    pub one_packet: Option<bool>,
    /// `lb_kind`.
    pub method: Option<Method>,
    /// `persistence_engine`.
    pub engine: String,
    /// `persistence_timeout`, in seconds.
    pub persistence: Option<i64>,
    /// The mask of `persistence_granularity`, as the kernel takes it.
    pub granularity: Option<u32>,
    /// `smtp_alert`.
    pub mails: Option<bool>,
    /// `protocol`.
    pub protocol: Option<Protocol>,
    /// `ha_suspend`.
    pub suspend: Option<bool>,
    /// `virtualhost`.
    pub host: Option<String>,
    /// `alpha`.
    pub alpha: Option<bool>,
    /// `omega`.
    pub omega: Option<bool>,
    /// `quorum_up`.
    pub up: Option<Command>,
    /// `quorum_down`.
    pub down: Option<Command>,
    /// `quorum`.
    pub quorum: Option<i64>,
    /// `hysteresis`.
    pub hysteresis: Option<i64>,
    /// `weight`.
    pub weight: Option<i64>,
    /// `sorry_server`.
    pub sorry: Option<(IpAddr, u16)>,
    /// `sorry_server_inhibit`.
    pub sorry_inhibit: bool,
    /// `sorry_server_lvs_method`.
    pub sorry_method: Option<Method>,
    /// The real servers that were kept.
    pub reals: Vec<Real>,
}

impl Conf for Server {
    fn inherit(&mut self, _: &Self) {}
}

impl Server {
    /// Its port, if it has one.
    pub fn port(&self) -> u16 {
        match self.target {
            Some(Target::Address(_, port)) => port,
            _ => 0,
        }
    }
}

/// An address, protocol and port as keepalived names them.
pub fn trio(ip: IpAddr, protocol: Option<Protocol>, port: u16) -> String {
    let protocol = match protocol {
        Some(Protocol::Tcp) => "tcp",
        Some(Protocol::Udp) => "udp",
        Some(Protocol::Sctp) => "sctp",
        None => "none",
    };
    format!("[{ip}]:{protocol}:{port}")
}

type Outcome = Result<(), Diagnostic>;

/// A port: 1 to 65535, or 0 for any.
///
/// # Errors
/// It is none.
pub fn port(word: Option<&Word>) -> Result<u16, Diagnostic> {
    match word.map(Word::text) {
        None => Ok(0),
        Some(text) if text == "0" => Ok(0),
        Some(text) => count(&text, &(1..=65_535)).map(|port| port as u16),
    }
}

/// `virtual_server ADDRESS [PORT] | fwmark N | group NAME {`.
///
/// # Errors
/// It is neither.
pub fn open(cx: &mut Setting<'_>, server: &mut Server, statement: &Statement) -> Outcome {
    let words = statement.arguments();
    let (text, second) = (first(statement), words.get(1));
    let need = |name: &str| {
        let start = "*** Configuration line starting `virtual_server` is missing a parameter after keyword";
        complain(format!("{start} `{name}` at word position 3"))
    };
    match text.as_str() {
        "group" => {
            let name = second.ok_or_else(|| need("group"))?;
            server.target = Some(Target::Group(name.text().into_owned()));
        }
        "fwmark" => {
            let word = second.ok_or_else(|| need("fwmark"))?.text();
            let mark = count(&word, &(0..=WIDE)).map_err(|wrong| {
                cx.report(wrong.at(statement.span));
                complain(format!("virtual server fwmark '{word}' must be in [0, 4294967295] - ignoring"))
            })?;
            server.target = Some(Target::Mark(mark as u32));
        }
        ip => {
            let invalid = || match second {
                Some(port) => format!("Invalid virtual server IP address/port {ip}/{} - skipping", port.text()),
                None => format!("Invalid virtual server IP address {ip} - skipping"),
            };
            let port = port(second).map_err(|wrong| {
                cx.report(wrong.at(statement.span));
                complain(invalid())
            })?;
            let address = address(ip).ok_or_else(|| complain(invalid()))?;
            server.ipv6 = Some(address.is_ipv6());
            server.target = Some(Target::Address(address, port));
        }
    }
    Ok(())
}

/// `}` of a virtual server: it is completed once all is read.
///
/// # Errors
/// None.
pub fn close(_: &mut Setting<'_>) -> Outcome {
    Ok(())
}

/// `virtual_server_group NAME {`.
///
/// # Errors
/// Nothing is left of it.
pub fn group(cx: &mut Setting<'_>, root: &mut Root, statement: &Statement) -> Outcome {
    let name = first(statement);
    if statement.arguments().len() > 1 {
        return Err(complain(
            "*** Configuration line starting `***MISSING ***` is missing a parameter at word position 1",
        ));
    }
    let mut entries = Vec::new();
    for line in super::track::lines(cx, statement) {
        match entry(cx, &name, &line) {
            Ok(entry) => entries.push(entry),
            Err(complaint) => cx.report(complaint.at(line.span)),
        }
    }
    if !entries.is_empty() {
        root.server_groups.push(ServerGroup { name, entries });
        return Ok(());
    }
    Err(at_end(statement, format!("virtual server group {name} has no entries - removing")))
}

/// `fwmark N [inet|inet6]` or `ADDRESS[-END] [PORT]`.
fn entry(cx: &mut Setting<'_>, group: &str, line: &Statement) -> Result<Entry, Diagnostic> {
    let words = line.arguments();
    let text = line.name();
    if text == "fwmark" {
        let Some(word) = words.first() else {
            let start = "*** Configuration line starting `fwmark` is missing a parameter after keyword";
            return Err(complain(format!("{start} `fwmark` at word position 2")));
        };
        let mark = count(&word.text(), &(0..=WIDE)).map_err(|wrong| {
            cx.report(wrong.at(line.span));
            complain(format!("({group}): fwmark '{}' must be in [0, 4294967295] - ignoring", word.text()))
        })?;
        return match words.get(1) {
            Some(word) if !word.is("inet") && !word.is("inet6") => {
                Err(complain(format!("({group}): fwmark '{mark}' family {} unknown - ignoring", word.text())))
            }
            family => Ok(Entry::Mark(mark as u32, family.map(|word| word.is("inet6")))),
        };
    }
    let (start, end) = text.split_once('-').map_or((&*text, None), |(start, end)| (start, Some(end)));
    let with_port = words.first().map(|port| format!("/port/{}", port.text())).unwrap_or_default();
    let shown = format!("{text} {with_port}");
    let invalid = || complain(format!("Invalid virtual server group IP address {shown} - skipping"));
    let port = port(words.first()).map_err(|wrong| {
        cx.report(wrong.at(line.span));
        invalid()
    })?;
    let address: IpAddr = start.parse().map_err(|_| invalid())?;
    let Some(end) = end else { return Ok(Entry::Addresses(address, 0, port)) };
    let (radix, low, most) = match address {
        IpAddr::V4(ip) => (10, u32::from(ip.octets()[3]), 255),
        IpAddr::V6(ip) => (16, u32::from(ip.segments()[7]), 0xffff),
    };
    let digits = end.chars().take_while(|c| c.is_digit(radix)).count();
    if digits < end.len() || end.is_empty() {
        let rest = end.get(digits..).unwrap_or_default();
        return Err(complain(format!("Virtual server group range '{text}' has extra characters at end '{rest}'")));
    }
    match u32::from_str_radix(end, radix) {
        Ok(high) if high > most => Err(complain(format!("Virtual server group range '{text}' end '{end}' too large"))),
        Ok(high) if high <= low => {
            Err(complain(format!("Address range end is not greater than address range start - {text} - skipping")))
        }
        Ok(high) => Ok(Entry::Addresses(address, high - low, port)),
        Err(_) => Err(complain(format!("Virtual server group range '{text}' end '{end}' too large"))),
    }
}

/// What `SSL` says.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// `password`.
    pub password: Option<Passwords>,
    /// `ca`.
    pub ca: Option<Word>,
    /// `certificate`.
    pub certificate: Option<Word>,
    /// `key`.
    pub key: Option<Word>,
}

impl Conf for Tls {
    fn inherit(&mut self, _: &Self) {}
}

/// `SSL {`.
///
/// # Errors
/// None; a second one replaces the first.
pub fn open_ssl(cx: &mut Setting<'_>, _: &mut Tls, statement: &Statement) -> Outcome {
    let known = cx.around().and_then(|around| around.children.iter().find(|level| level.context == SSL));
    if let Some(first) = known.map(|level| level.span) {
        cx.report(again("SSL context already specified - replacing").at(statement.span).earlier(first));
    }
    Ok(())
}

fn tls(cx: &mut Setting<'_>, tls: &mut Tls, statement: &Statement) -> Outcome {
    let shown = match cx.row.name {
        "ca" => "cafile",
        "certificate" => "certfile",
        "key" => "keyfile",
        other => other,
    };
    let Some(word) = statement.arguments().first().cloned() else {
        return Err(complain(format!("SSL {shown} missing")));
    };
    let known = match cx.row.name {
        "password" => tls.password.replace(Passwords::read(&word.bytes)).is_some(),
        "ca" => tls.ca.replace(word).is_some(),
        "certificate" => tls.certificate.replace(word).is_some(),
        _ => tls.key.replace(word).is_some(),
    };
    if known { Err(again(format!("SSL {shown} already specified - replacing"))) } else { Ok(()) }
}

fn family(_: &mut Setting<'_>, server: &mut Server, statement: &Statement) -> Outcome {
    let text = first(statement);
    let ipv6 = match text.as_str() {
        "inet" => false,
        "inet6" => true,
        other => return Err(complain(format!("unknown address family {other}"))),
    };
    if server.ipv6.is_some_and(|other| other != ipv6) {
        return Err(complain(format!("Virtual server specified family {text} conflicts with server family")));
    }
    server.ipv6 = Some(ipv6);
    Ok(())
}

fn scheduler(_: &mut Setting<'_>, server: &mut Server, statement: &Statement) -> Outcome {
    let text = first(statement);
    if !SCHEDULERS.contains(&text.as_str()) {
        return Err(complain(format!("Invalid lvs_scheduler '{text}' - ignoring")));
    }
    server.scheduler = Some(text);
    Ok(())
}

fn flag(cx: &mut Setting<'_>, server: &mut Server, _: &Statement) -> Outcome {
    let [first, second, third] = SCHEDULER_FLAGS;
    let name = cx.row.name;
    server.flags |= match (name, server.scheduler.as_deref()) {
        ("flag-1", _) => first,
        ("flag-2", _) => second,
        ("flag-3", _) => third,
        ("sh-fallback", Some("sh")) | ("mh-fallback", Some("mh")) => first,
        ("sh-port", Some("sh")) | ("mh-port", Some("mh")) => second,
        (_, Some("sh" | "mh")) => 0,
        _ => return Err(complain(format!("{name} only applies to sh scheduler - ignoring"))),
    };
    Ok(())
}

fn engine(_: &mut Setting<'_>, server: &mut Server, statement: &Statement) -> Outcome {
    const LONGEST_NAME: usize = 15;
    let text = first(statement);
    server.engine = text.chars().take(LONGEST_NAME).collect();
    if text.len() > LONGEST_NAME {
        return Err(complain(format!("persistence_name too long, truncating - {text}")));
    }
    Ok(())
}

/// `NAT | DR | TUN [type KIND] [port N] [csum|nocsum|remcsum]`.
///
/// # Errors
/// There is no such method, or its options do not fit it.
pub fn method(statement: &Statement, of: &str) -> Result<Method, Diagnostic> {
    let mut words = statement.arguments().iter();
    let name = words.next().map(|word| word.text().into_owned()).unwrap_or_default();
    if !["NAT", "DR", "TUN"].contains(&name.as_str()) {
        return Err(complain(format!("PARSER : unknown [{name}] routing method for {of} server.")));
    }
    let (mut kind, mut port, mut sum) = ("ipip".to_owned(), None, None);
    while let Some(word) = words.next() {
        match &*word.text() {
            "type" => {
                let word = words.next().ok_or_else(|| complain(format!("Missing tunnel type for {of} server.")))?;
                kind = word.text().into_owned();
                if !["ipip", "gue", "gre"].contains(&kind.as_str()) {
                    return Err(complain(format!("Unknown tunnel type {kind} for {of} server.")));
                }
            }
            "port" => {
                let missing = || complain(format!("Missing port for {of} server gue tunnel."));
                let word = words.next().ok_or_else(missing)?;
                port = u16::try_from(count(&word.text(), &(1..=65_535))?).ok();
            }
            "nocsum" => sum = Some(Checksum::Without),
            "csum" => sum = Some(Checksum::Full),
            "remcsum" => sum = Some(Checksum::Remote),
            option => return Err(complain(format!("Invalid tunnel option {option} for {of} server."))),
        }
    }
    let tunnel = match (kind.as_str(), port, sum.unwrap_or(Checksum::Without)) {
        ("gue", Some(port), sum) => Tunnel::Gue(port, sum),
        ("gue", None, _) | (_, Some(_), _) => {
            return Err(complain("gue tunnels require port, otherwise cannot have port."));
        }
        ("gre", None, Checksum::Remote) => {
            return Err(complain("gre tunnels do not support remote checksum option."));
        }
        ("gre", None, sum) => Tunnel::Gre(sum),
        (_, None, Checksum::Without) if sum.is_none() => Tunnel::Ipip,
        _ => return Err(complain("ipip tunnels do not support checksum option.")),
    };
    Ok(match name.as_str() {
        "NAT" => Method::Nat,
        "DR" => Method::Direct,
        _ => Method::Tunnel(tunnel),
    })
}

fn forwarding(_: &mut Setting<'_>, server: &mut Server, statement: &Statement) -> Outcome {
    server.method = Some(method(statement, "virtual")?);
    Ok(())
}

fn persistence(cx: &mut Setting<'_>, server: &mut Server, statement: &Statement) -> Outcome {
    server.persistence = Some(360);
    if statement.arguments().is_empty() {
        return Ok(());
    }
    let judged = count(&first(statement), &(1..=2_678_400));
    server.persistence = Some(judged.map_err(|wrong| also(cx, statement, wrong, "persistence_timeout invalid"))?);
    Ok(())
}

fn granularity(_: &mut Setting<'_>, server: &mut Server, statement: &Statement) -> Outcome {
    let text = first(statement);
    let ipv6 = server.ipv6.unwrap_or_else(|| !text.contains('.'));
    let mask = if ipv6 {
        text.parse().ok().filter(|length| (1..=128).contains(length))
    } else {
        mask(&text).map(|mask| u32::from_ne_bytes(mask.to_be_bytes()))
    };
    let Some(mask) = mask else {
        let shown = if ipv6 { "IPv6" } else { "IPv4" };
        return Err(complain(format!("Invalid {shown} persistence_granularity specified - {text}")));
    };
    server.granularity = Some(mask);
    server.ipv6 = Some(ipv6);
    server.persistence.get_or_insert(360);
    Ok(())
}

/// An IPv4 mask as inet_aton(3) reads one: up to four parts, the last of which fills what is left.
fn mask(text: &str) -> Option<u32> {
    let parts: Vec<u32> = text.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let (last, bytes) = parts.split_last()?;
    let left = 4_usize.checked_sub(bytes.len()).filter(|left| *left > 0)?;
    let most = u32::MAX.checked_shr(u32::try_from((4 - left) * 8).ok()?)?;
    let mut mask = Some(*last).filter(|last| *last <= most)?;
    for (at, byte) in bytes.iter().enumerate() {
        mask |= Some(*byte).filter(|byte| *byte <= 255)? << (24 - 8 * at);
    }
    Some(mask)
}

fn protocol(_: &mut Setting<'_>, server: &mut Server, statement: &Statement) -> Outcome {
    let text = first(statement);
    server.protocol = Some(match text.to_ascii_uppercase().as_str() {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        _ => return Err(complain(format!("Unknown protocol {text} - ignoring"))),
    });
    Ok(())
}

fn sorry(cx: &mut Setting<'_>, server: &mut Server, statement: &Statement) -> Outcome {
    let ip = first(statement);
    let invalid = || complain(format!("Invalid sorry server IP address {ip} - skipping"));
    let given = statement.arguments().get(1);
    let port = port(given).map_err(|wrong| {
        cx.report(wrong.at(statement.span));
        invalid()
    })?;
    let address = address(&ip).ok_or_else(invalid)?;
    if server.ipv6.is_some_and(|ipv6| ipv6 != address.is_ipv6()) {
        let text =
            format!("Address family of virtual server and sorry server {ip} don't match - skipping sorry server.");
        return Err(complain(text));
    }
    server.sorry = Some((address, if given.is_some() { port } else { server.port() }));
    Ok(())
}

fn sorry_inhibit(_: &mut Setting<'_>, server: &mut Server, _: &Statement) -> Outcome {
    if server.sorry.is_none() {
        return Err(complain("Ignoring sorry_server inhibit used before or without sorry_server"));
    }
    server.sorry_inhibit = true;
    Ok(())
}

fn sorry_forwarding(_: &mut Setting<'_>, server: &mut Server, statement: &Statement) -> Outcome {
    if server.sorry.is_none() {
        return Err(complain("sorry_server forwarding used without sorry_server"));
    }
    server.sorry_method = Some(method(statement, "sorry")?);
    Ok(())
}

fn snmp_name(cx: &mut Setting<'_>, _: &mut Server, statement: &Statement) -> Outcome {
    if statement.arguments().len() == 1 {
        return Ok(());
    }
    Err(complain(worded("virtual server {k} missing or extra parameters", cx, "")))
}
