//! Virtual servers checked and completed, with every default.

use super::stated::{Stated, StatedServer};
use crate::check::dns;
use crate::check::file::Factor;
use crate::check::http::{Get, ServerName};
use crate::check::schedule::Timing;
use crate::check::server::{Config, RealConfig, SorryConfig};
use crate::check::smtp;
use crate::check::udp::{Exchange, Reply};
use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::keepalived::blocks::checker::Checker;
use crate::keepalived::blocks::file::File;
use crate::keepalived::blocks::lvs::Lvs;
use crate::keepalived::blocks::real::Real;
use crate::keepalived::blocks::server::{Entry, Server, ServerGroup, Target, trio};
use crate::keepalived::slot::{Command, complain};
use crate::kernel::ipvs::{Destination, Key, Method, ONE_PACKET, PERSISTENT, Protocol, Service, WHOLE_ADDRESS};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// A virtual server.
#[derive(Clone, Debug)]
pub struct VirtualServer {
    /// What its machine needs to know.
    pub config: Arc<Config>,
    /// What identifies it across a reload.
    pub identity: Identity,
    /// The service, without its key where it is a group.
    pub service: Service,
    /// The group's entries; none for a server of its own.
    pub entries: Vec<Entry>,
    /// Its protocol, where it has one.
    pub protocol: Option<Protocol>,
    /// The real servers.
    pub reals: Vec<RealServer>,
    /// The sorry server.
    pub sorry: Option<Destination>,
    /// `quorum_up`.
    pub up: Option<Command>,
    /// `quorum_down`.
    pub down: Option<Command>,
    /// Mail is sent when its quorum changes.
    pub mails: bool,
    /// Its checks are made only while this host has its address.
    pub suspend: bool,
    /// What its block says besides.
    pub stated: Box<StatedServer>,
}

impl VirtualServer {
    /// Whether an address is one of its own.
    pub fn has_address(&self, ip: IpAddr) -> bool {
        let own = |first: IpAddr, more: u32| match (first, ip) {
            (IpAddr::V4(first), IpAddr::V4(ip)) => ip.to_bits().wrapping_sub(first.to_bits()) <= more,
            (IpAddr::V6(first), IpAddr::V6(ip)) => ip.to_bits().wrapping_sub(first.to_bits()) <= u128::from(more),
            _ => false,
        };
        matches!(self.service.key, Key::Address(_, address, _) if address == ip)
            || self.entries.iter().any(|entry| matches!(entry, Entry::Addresses(first, more, _) if own(*first, *more)))
    }
}

/// What makes a virtual server the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// The key of its service.
    Key(Key),
    /// The group's name, and its number among the servers of the group.
    Group(String, usize),
}

/// A real server.
#[derive(Clone, Debug)]
pub struct RealServer {
    /// As the kernel knows it.
    pub destination: Destination,
    /// `notify_up`.
    pub up: Option<Box<Command>>,
    /// `notify_down`.
    pub down: Option<Box<Command>>,
    /// Mail is sent when it comes or goes.
    pub mails: bool,
    /// Its checks.
    pub checks: Box<[Check]>,
    /// What its checks inherit.
    pub stated: Arc<Stated>,
}

/// A health check.
#[derive(Clone, Debug)]
pub struct Check {
    /// When it is made.
    pub timing: Arc<Timing>,
    /// It counts as failed until it has succeeded.
    pub alpha: bool,
    /// Every failed attempt is logged.
    pub log_all: bool,
    /// What is done.
    pub probe: Probe,
}

/// What a check does. Two that are equal are the same across a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It connects.
    Tcp(Connection),
    /// It asks for pages.
    Http(Connection, Arc<Get>),
    /// It sends a packet, and may require an answer.
    Udp(Connection, Exchange),
    /// It asks for records of a type and name.
    Dns(Connection, u16, String),
    /// It sends an echo request.
    Ping(Connection),
    /// It speaks with a mail server, to which it gives this name.
    Smtp(Connection, String),
    /// It runs a script.
    Misc(Misc),
    /// The number in the file with this name.
    File(String, Factor),
    /// The BFD session with this name.
    Session(String),
}

/// A script that checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misc {
    /// The script.
    pub command: Command,
    /// How long it may run.
    pub limit: Duration,
    /// That is said of it, and is not the time between checks.
    pub own_limit: bool,
    /// Its exit status sets the weight of the real server.
    pub dynamic: bool,
    /// The weight that is configured.
    pub weight: i64,
}

impl Probe {
    /// The name of its block.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tcp(_) => "TCP_CHECK",
            Self::Http(_, get) if get.secure => "SSL_GET",
            Self::Http(..) => "HTTP_GET",
            Self::Udp(..) => "UDP_CHECK",
            Self::Dns(..) => "DNS_CHECK",
            Self::Ping(_) => "PING_CHECK",
            Self::Smtp(..) => "SMTP_CHECK",
            Self::Misc(_) => "MISC_CHECK",
            Self::File(..) => "FILE_CHECK",
            Self::Session(_) => "BFD_CHECK",
        }
    }

    /// Whether another check goes on where this one was.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Misc(one), Self::Misc(other)) => one.command == other.command,
            _ => self == other,
        }
    }
}

/// Where a check connects to, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The address and port.
    pub to: SocketAddr,
    /// How.
    pub options: Arc<ConnectOptions>,
}

/// How a check connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// The own address and port.
    pub from: Option<SocketAddr>,
    /// The interface.
    pub interface: Option<String>,
    /// The firewall mark of its packets; 0 for none.
    pub mark: u32,
    /// How long connecting may take, and each step after it.
    pub timeout: Duration,
}

/// The scheduler where none is named.
const SCHEDULER: &str = "wlc";
/// Persistence of a service for all ports.
const PERSISTENCE: i64 = 360;
/// Between two checks.
const DELAY: Duration = Duration::from_secs(60);
/// How long connecting may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Completes virtual servers in order, and says what keepalived says of them.
pub fn complete(
    given: &[&Server],
    groups: &[ServerGroup],
    defaults: Defaults<'_>,
) -> (Vec<VirtualServer>, Vec<Diagnostic>) {
    let mut said = Vec::new();
    let mut members: HashMap<String, usize> = HashMap::new();
    let mut linked = Vec::new();
    for server in given {
        match Completion::link(server, groups, defaults) {
            Ok(mut completion) => {
                if let Identity::Group(group, number) = &mut completion.identity {
                    let next = members.entry(group.clone()).or_default();
                    *number = *next;
                    *next += 1;
                }
                linked.push(completion);
            }
            Err(complaint) => said.extend(complaint),
        }
    }
    let mut servers = Vec::new();
    for mut completion in linked {
        servers.extend(completion.complete());
        said.append(&mut completion.said);
    }
    (servers, said)
}

/// What `global_defs` says for all.
#[derive(Clone, Copy, Debug)]
pub struct Defaults<'a> {
    /// About virtual servers.
    pub lvs: &'a Lvs,
    /// `smtp_alert`.
    pub smtp_alert: Option<bool>,
    /// The tracked files.
    pub files: &'a [File],
}

impl Defaults<'_> {
    /// Whether mail is sent where a server says nothing of it.
    fn mails(&self) -> Option<bool> {
        self.lvs.smtp_alert.or(self.smtp_alert)
    }
}

/// A virtual server while it is completed.
struct Completion<'a> {
    server: Server,
    defaults: Defaults<'a>,
    entries: Vec<Entry>,
    identity: Identity,
    said: Vec<Diagnostic>,
}

/// A complaint that fails no configuration test.
fn warn(text: String) -> Diagnostic {
    Diagnostic::new(Severity::Warn, text)
}

/// The family of a virtual server of a group; an error where they do not go together.
fn family(server: &Server, group: &ServerGroup) -> Result<bool, Diagnostic> {
    let has = |wanted: bool| {
        group.entries.iter().any(|entry| match entry {
            Entry::Addresses(ip, ..) => ip.is_ipv6() == wanted,
            Entry::Mark(_, family) => *family == Some(wanted),
        })
    };
    let of_addresses = group.entries.iter().find_map(|entry| match entry {
        Entry::Addresses(ip, ..) => Some(ip.is_ipv6()),
        Entry::Mark(..) => None,
    });
    let name = &group.name;
    let (ipv4, ipv6) = (has(false), has(true));
    match server.ipv6 {
        Some(_) if ipv4 && ipv6 => {
            let text = format!("with IPv4 & IPv6 doesn't match virtual server [{name}]:0 - ignoring");
            Err(warn(format!("Virtual server group {name} {text}")))
        }
        Some(own) if ipv4 && own || ipv6 && !own => {
            let text = format!("address family doesn't match virtual server [{name}]:0 - ignoring");
            Err(warn(format!("Virtual server group {name} {text}")))
        }
        own => Ok(own.or(of_addresses).unwrap_or(false)),
    }
}

impl<'a> Completion<'a> {
    /// Finds what a virtual server serves.
    ///
    /// # Errors
    /// Its group does not exist or is of another family; what is said of that.
    fn link(given: &Server, groups: &[ServerGroup], defaults: Defaults<'a>) -> Result<Self, Option<Diagnostic>> {
        let mut server = given.clone();
        let mut entries = Vec::new();
        let identity = match server.target.clone().ok_or(None)? {
            Target::Address(ip, port) => {
                Identity::Key(Key::Address(server.protocol.unwrap_or(Protocol::Udp), ip, port))
            }
            Target::Mark(mark) => Identity::Key(Key::Mark(mark, server.ipv6 == Some(true))),
            Target::Group(name) => {
                let found = groups.iter().find(|known| known.name == name).ok_or_else(|| {
                    let text = format!("specified but not configured - ignoring virtual erver [{name}]:0");
                    warn(format!("Virtual server group {name} {text}"))
                })?;
                server.ipv6 = Some(family(&server, found)?);
                entries.clone_from(&found.entries);
                Identity::Group(name, 0)
            }
        };
        Ok(Self { server, defaults, entries, identity, said: Vec::new() })
    }

    fn say(&mut self, text: String) {
        self.said.push(complain(text));
    }

    /// As log lines name it.
    fn shown(&self) -> String {
        match (&self.identity, &self.server.target) {
            (Identity::Group(name, number), _) => format!("[{name}]:{number}"),
            (_, Some(Target::Mark(mark))) => format!("FWM {mark}"),
            (_, Some(Target::Address(ip, port))) => trio(*ip, self.server.protocol, *port),
            (Identity::Key(_), _) => String::new(),
        }
    }

    /// Everything a virtual server is; `None` where it is ignored.
    fn complete(&mut self) -> Option<VirtualServer> {
        if self.server.reals.is_empty() {
            self.say(format!("Virtual server {} has no real servers - ignoring", self.shown()));
            return None;
        }
        self.judge();
        let duplicates = self.judge_reals();
        self.judge_quorum();
        self.judge_ports();
        let name = self.shown();
        let identity = self.identity.clone();
        let key = match &identity {
            Identity::Key(key) => key.clone(),
            Identity::Group(..) => Key::Mark(0, self.server.ipv6 == Some(true)),
        };
        // Another protocol than the one read may have become the default.
        let key = match key {
            Key::Address(_, ip, port) => Key::Address(self.server.protocol.unwrap_or(Protocol::Udp), ip, port),
            mark @ Key::Mark(..) => mark,
        };
        let server = &self.server;
        let config = Config {
            name,
            group: matches!(identity, Identity::Group(..)),
            quorum: server.quorum.unwrap_or(1),
            hysteresis: server.hysteresis.unwrap_or(0),
            omega: server.omega == Some(true),
            init_notifies: self.defaults.lvs.init_notifies == Some(true),
            reals: server.reals.iter().map(|real| self.machine(real)).collect(),
            sorry: server.sorry.map(|(ip, port)| SorryConfig {
                name: trio(ip, server.protocol, port),
                inhibit: server.sorry_inhibit,
                duplicates,
            }),
        };
        let method = server.sorry_method.or(server.method).unwrap_or(Method::Nat);
        Some(VirtualServer {
            config: Arc::new(config),
            identity: match identity {
                Identity::Key(_) => Identity::Key(key.clone()),
                group @ Identity::Group(..) => group,
            },
            service: self.service(key),
            entries: self.entries.clone(),
            protocol: server.protocol,
            reals: server.reals.iter().map(|real| self.real(real)).collect(),
            sorry: server.sorry.map(|(ip, port)| Destination { ip, port, method, weight: 1, upper: 0, lower: 0 }),
            up: server.up.clone(),
            down: server.down.clone(),
            mails: server.mails.or_else(|| self.defaults.mails()) == Some(true),
            suspend: server.suspend == Some(true),
            stated: Box::new(StatedServer::of(server, (DELAY, TIMEOUT))),
        })
    }

    fn service(&self, key: Key) -> Service {
        let server = &self.server;
        let timeout = server.persistence.map_or(0, |seconds| seconds as u32);
        let one_packet = if server.one_packet == Some(true) { ONE_PACKET } else { 0 };
        let persistent = if timeout > 0 { PERSISTENT } else { 0 };
        let whole = if server.ipv6 == Some(true) { 128 } else { WHOLE_ADDRESS };
        Service {
            key,
            scheduler: server.scheduler.clone().unwrap_or_else(|| SCHEDULER.to_owned()),
            engine: if timeout > 0 { server.engine.clone() } else { String::new() },
            flags: server.flags | one_packet | persistent,
            timeout,
            netmask: server.granularity.filter(|_| timeout > 0).unwrap_or(whole),
        }
    }

    fn machine(&self, real: &Real) -> RealConfig {
        RealConfig {
            name: trio(real.address, self.server.protocol, real.port).into(),
            weight: real.weight.or(self.server.weight).unwrap_or(1),
            inhibit: self.inhibits(real),
            alphas: self.checks(real).iter().map(|check| check.alpha).collect(),
        }
    }

    fn inhibits(&self, real: &Real) -> bool {
        real.inhibit.or(self.server.inhibit) == Some(true)
    }

    fn real(&self, real: &Real) -> RealServer {
        let limit = |limit: Option<i64>| limit.map_or(0, |limit| limit as u32);
        RealServer {
            destination: Destination {
                ip: real.address,
                port: real.port,
                method: real.method.or(self.server.method).unwrap_or(Method::Nat),
                weight: real.weight.or(self.server.weight).unwrap_or(1) as i32,
                upper: limit(real.most),
                lower: limit(real.least),
            },
            up: real.up.clone().map(Box::new),
            down: real.down.clone().map(Box::new),
            // Unlike everybody else they send mail where nothing is said.
            mails: real.mails.or_else(|| self.defaults.mails()).unwrap_or(true),
            checks: self.checks(real),
            stated: Arc::new(Stated::of(real, &self.server, (DELAY, TIMEOUT))),
        }
    }

    fn checks(&self, real: &Real) -> Box<[Check]> {
        let check = |check: &Checker| self.check(real, check);
        real.checks.iter().flat_map(|given| each_host(given).into_iter().filter_map(|one| check(&one))).collect()
    }

    /// A check with its defaults, which are the real server's and the virtual server's.
    fn check(&self, real: &Real, given: &Checker) -> Option<Check> {
        let server = &self.server;
        let delay = given.delay.or(real.delay).or(server.delay).unwrap_or(DELAY);
        let connection = || self.connection(real, given);
        let probe = match given.kind {
            "TCP_CHECK" => Probe::Tcp(connection()),
            "HTTP_GET" | "SSL_GET" => Probe::Http(connection(), Arc::new(self.get(real, given))),
            "UDP_CHECK" => Probe::Udp(connection(), exchange(given)),
            "FILE_CHECK" => {
                let name = given.name.clone()?;
                let file = self.defaults.files.iter().find(|file| file.name == name);
                let own = given.weight.filter(|weight| *weight != 0);
                let factor = match own {
                    Some(weight) => Factor { weight, reverse: given.reverse },
                    None => Factor {
                        weight: file.and_then(|file| file.weight).map_or(0, i64::from),
                        reverse: file.is_some_and(|file| file.reverse),
                    },
                };
                Probe::File(name, factor)
            }
            "BFD_CHECK" => Probe::Session(given.name.clone()?),
            "PING_CHECK" => Probe::Ping(connection()),
            "DNS_CHECK" => {
                let name = given.name.clone().unwrap_or_default();
                Probe::Dns(connection(), given.record.unwrap_or(dns::SOA), name)
            }
            "SMTP_CHECK" => {
                let helo = given.name.clone().unwrap_or_else(|| smtp::HELO.to_owned());
                Probe::Smtp(connection(), helo)
            }
            "MISC_CHECK" => Probe::Misc(Misc {
                command: given.command.clone()?,
                limit: given
                    .limit
                    .filter(|seconds| *seconds > 0)
                    .map_or_else(|| server.delay.unwrap_or(DELAY), |seconds| Duration::from_secs(seconds as u64)),
                own_limit: given.limit.is_some_and(|seconds| seconds > 0),
                dynamic: given.dynamic == Some(true),
                weight: real.weight.or(server.weight).unwrap_or(1),
            }),
            _ => return None,
        };
        let (retry, before_retry) = match &probe {
            Probe::Http(..) => (1, Duration::from_secs(3)),
            Probe::Dns(..) => (3, delay),
            Probe::Misc(_) => (0, Duration::from_secs(1)),
            Probe::Tcp(_) | Probe::Udp(..) | Probe::Ping(_) | Probe::Smtp(..) | Probe::File(..) | Probe::Session(_) => {
                (1, Duration::from_secs(1))
            }
        };
        let retry = given.retry.or(real.retry).or(server.retry).map_or(retry, |retry| retry as u32);
        Some(Check {
            timing: Arc::new(Timing {
                delay,
                retry,
                delay_before_retry: given
                    .retry_delay
                    .or(real.retry_delay)
                    .or(server.retry_delay)
                    .unwrap_or(before_retry),
                warmup: given.warmup.or(real.warmup).or(server.warmup).unwrap_or(delay),
            }),
            // What is in a file is known from the start.
            alpha: !matches!(probe, Probe::File(..)) && given.alpha.or(real.alpha).or(server.alpha) == Some(true),
            log_all: given.log_all.or(self.defaults.lvs.log_all_failures) == Some(true),
            probe,
        })
    }

    fn get(&self, real: &Real, given: &Checker) -> Get {
        let hosts = [&given.host, &real.host, &self.server.host];
        // The real server's name is asked for, but not given in the handshake.
        let of_host = || ServerName::OfHost(given.host.clone().or_else(|| self.server.host.clone()));
        let server_name = match (given.server_name, &given.sni_name) {
            (Some(true), Some(name)) => ServerName::Given(name.clone()),
            (Some(true), None) => of_host(),
            _ => ServerName::Absent,
        };
        Get {
            urls: given.urls.clone(),
            version: given.version,
            host: hosts.into_iter().flatten().next().cloned(),
            own_host: given.host.is_some(),
            fast_recovery: given.fast_recovery == Some(true),
            secure: given.kind == "SSL_GET",
            server_name,
            tls_compliant: given.tls_compliant == Some(true),
        }
    }

    fn connection(&self, real: &Real, given: &Checker) -> Connection {
        let ip = given.address.unwrap_or(real.address);
        let any = if ip.is_ipv6() { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
        let bind_port = given.bind_port.map_or(0, |port| port as u16);
        let options = ConnectOptions {
            from: (given.bind.is_some() || bind_port > 0)
                .then(|| SocketAddr::new(given.bind.unwrap_or(any), bind_port)),
            interface: given.bind_interface.clone(),
            mark: given.mark.map_or(0, |mark| mark as u32),
            timeout: given.timeout.or(real.timeout).or(self.server.timeout).unwrap_or(TIMEOUT),
        };
        let to = SocketAddr::new(ip, given.port.map_or(real.check_port, |port| port as u16));
        Connection { to, options: Arc::new(options) }
    }

    /// What does not concern the real servers.
    fn judge(&mut self) {
        let is_mark = |entry: &Entry| matches!(entry, Entry::Mark(..));
        let group = matches!(self.identity, Identity::Group(..));
        let marks = matches!(self.server.target, Some(Target::Mark(_))) || self.entries.iter().any(is_mark);
        let addresses = if group { !self.entries.iter().all(is_mark) } else { !marks };
        let shown = self.shown();
        if marks && self.server.suspend == Some(true) {
            self.say(format!("Virtual server {shown}: cannot use ha_suspend with fwmarks - clearing ha_suspend"));
            self.server.suspend = None;
        }
        if addresses && self.server.protocol.is_none() {
            self.say(format!("Virtual server {shown}: no protocol set - defaulting to UDP"));
            self.server.protocol = Some(Protocol::Udp);
        }
        let shown = self.shown();
        if addresses && self.server.one_packet == Some(true) && self.server.protocol != Some(Protocol::Udp) {
            self.say(format!("Virtual server {shown}: one packet scheduling requires UDP - resetting"));
            self.server.one_packet = None;
        }
        let all_ports = matches!(self.server.target, Some(Target::Address(_, 0)))
            || self.entries.iter().any(|entry| matches!(entry, Entry::Addresses(_, _, 0)));
        if all_ports && self.server.persistence.is_none() {
            self.say(format!("Virtual server {shown}: zero port only valid for persistent services - setting"));
            self.server.persistence = Some(PERSISTENCE);
        }
        if !addresses && self.server.protocol.is_some() {
            let text = "protocol specified for fwmark - protocol will be ignored";
            self.say(format!("Warning: Virtual server {shown}: {text}"));
        }
        if self.server.scheduler.is_none() {
            self.say(format!("Virtual server {shown}: no scheduler set, setting default '{SCHEDULER}'"));
        }
    }

    /// Real servers that are there twice, or are the sorry server as well; whether one is.
    fn judge_reals(&mut self) -> bool {
        let shown = self.shown();
        let mut kept: Vec<Real> = Vec::new();
        let mut places: HashMap<(IpAddr, u16), usize> = HashMap::new();
        let mut duplicates = false;
        for real in std::mem::take(&mut self.server.reals) {
            let name = trio(real.address, self.server.protocol, real.port);
            if let Some(first) = places.get(&(real.address, real.port)).and_then(|at| kept.get(*at)) {
                let text = format!("VS {shown}: real server {name} is duplicated - removing second rs");
                self.said.push(complain(text).beside(real.span, first.span));
                continue;
            }
            if real.method.is_none() {
                self.default_method(&shown);
            }
            let inhibit = self.inhibits(&real);
            if self.server.sorry == Some((real.address, real.port)) {
                duplicates = true;
                if inhibit != self.server.sorry_inhibit {
                    let verb = if inhibit { "setting" } else { "clearing" };
                    let text = format!("matches sorry server, but inhibit setting differs, {verb} on sorry server");
                    self.say(format!("Virtual server {shown}: real server {name} {text}"));
                    self.server.sorry_inhibit = inhibit;
                }
            }
            places.insert((real.address, real.port), kept.len());
            kept.push(real);
        }
        self.server.reals = kept;
        if self.server.sorry.is_some() && self.server.sorry_method.is_none() {
            self.default_method(&shown);
        }
        duplicates
    }

    fn default_method(&mut self, shown: &str) {
        if self.server.method.is_none() {
            self.say(format!("Virtual server {shown}: no forwarding method set, setting default NAT"));
            self.server.method = Some(Method::Nat);
        }
    }

    fn judge_quorum(&mut self) {
        let shown = self.shown();
        let server = &self.server;
        let weight: i64 = server.reals.iter().map(|real| real.weight.or(server.weight).unwrap_or(1)).sum();
        let mut quorum = server.quorum.unwrap_or(1);
        let hysteresis = server.hysteresis.unwrap_or(0);
        if quorum > weight {
            let text = format!("exceeds total weight of real servers {weight}, reducing quorum to {weight}");
            self.say(format!("Warning - quorum {quorum} for {shown} {text}"));
            quorum = weight;
            self.server.quorum = Some(quorum);
        }
        if hysteresis >= quorum {
            let set = (quorum as u32).wrapping_sub(1);
            let text = format!("hysteresis {hysteresis} >= quorum {quorum}; setting hysteresis to {set}");
            self.say(format!("Virtual server {shown}: {text}"));
            self.server.hysteresis = Some(i64::from(set));
        }
    }

    /// Only NAT can change a port.
    fn judge_ports(&mut self) {
        if matches!(self.identity, Identity::Group(..)) {
            return self.judge_group_ports();
        }
        let (shown, port, protocol) = (self.shown(), self.server.port(), self.server.protocol);
        let mark = matches!(self.server.target, Some(Target::Mark(_)));
        let method = self.server.method.unwrap_or(Method::Nat);
        let mut reals = std::mem::take(&mut self.server.reals);
        for real in &mut reals {
            let name = trio(real.address, protocol, real.port);
            if real.method.unwrap_or(method) == Method::Nat {
                if !mark && real.port == 0 {
                    real.port = port;
                }
            } else if mark && real.port != 0 {
                let text = format!("real server {name} has port specified - clearing");
                self.say(format!("WARNING - fwmark virtual server {shown}, {text}"));
                real.port = 0;
            } else if !mark && real.port != port {
                if real.port != 0 {
                    let text = format!("real server {name} ports don't match - resetting");
                    self.say(format!("WARNING - virtual server {shown} and {text}"));
                }
                real.port = port;
            }
        }
        self.server.reals = reals;
        let nat = self.server.sorry_method.unwrap_or(method) == Method::Nat;
        let Some((ip, sorry)) = self.server.sorry.filter(|_| !nat) else { return };
        if mark && sorry != 0 {
            self.say(format!("WARNING - fwmark virtual server {shown}, sorry server has port specified - clearing"));
        } else if !mark && sorry != 0 && sorry != port {
            self.say(format!("WARNING - virtual server {shown} and sorry server ports don't match - resetting"));
        }
        self.server.sorry = Some((ip, if mark { 0 } else { port }));
    }

    /// The same for a group, whose entries give the ports.
    fn judge_group_ports(&mut self) {
        let (shown, protocol) = (self.shown(), self.server.protocol);
        let method = self.server.method.unwrap_or(Method::Nat);
        let own = |real: &&Real| real.method.unwrap_or(method) != Method::Nat && real.port != 0;
        let reals: Vec<(String, u16)> = self
            .server
            .reals
            .iter()
            .filter(own)
            .map(|real| (trio(real.address, protocol, real.port), real.port))
            .collect();
        let nat = self.server.sorry_method.unwrap_or(method) == Method::Nat;
        let sorry = self.server.sorry.map(|(_, port)| port).filter(|port| !nat && *port != 0);
        let ignored = "has port specified - port will be ignored";
        if self.entries.iter().any(|entry| matches!(entry, Entry::Mark(..))) {
            for (name, _) in &reals {
                self.say(format!("WARNING - fwmark virtual server {shown}, real server {name} {ignored}"));
            }
            if sorry.is_some() {
                self.say(format!("WARNING - fwmark virtual server {shown}, sorry server {ignored}"));
            }
        }
        for entry in self.entries.clone() {
            let Entry::Addresses(ip, more, port) = entry else { continue };
            let range = range(ip, more, port);
            for (name, _) in reals.iter().filter(|(_, own)| *own != port) {
                self.say(format!("virtual server {shown}:[{range}] and real server {name} ports don't match"));
            }
            if sorry.is_some_and(|own| own != port) {
                self.say(format!("WARNING - virtual server {shown}, sorry server {ignored}"));
            }
        }
    }
}

/// What a UDP check sends, and what it requires.
fn exchange(given: &Checker) -> Exchange {
    let length = |given: Option<i64>, or: usize| given.map_or(or, |length| length as usize);
    let reply = given.require_reply.then(|| Reply {
        data: given.reply.clone(),
        least: length(given.least_reply, 0),
        most: length(given.most_reply, 255),
    });
    Exchange { payload: given.payload.clone(), reply }
}

/// A mail check for each of its hosts: the first takes the place of the check itself, unless that says where to connect.
fn each_host(given: &Checker) -> Vec<Checker> {
    let own = given.address.is_some()
        || given.port.is_some()
        || given.bind.is_some()
        || given.bind_port.is_some()
        || given.bind_interface.is_some()
        || given.mark.is_some()
        || given.timeout.is_some();
    let host = |host: &Checker| Checker {
        address: host.address,
        port: host.port,
        bind: host.bind,
        bind_port: host.bind_port,
        bind_interface: host.bind_interface.clone(),
        mark: host.mark,
        timeout: host.timeout,
        hosts: Vec::new(),
        ..given.clone()
    };
    let itself = (own || given.hosts.is_empty()).then(|| given.clone());
    itself.into_iter().chain(given.hosts.iter().map(host)).collect()
}

/// Addresses of a group as keepalived names them.
fn range(ip: IpAddr, more: u32, port: u16) -> String {
    match ip {
        _ if more == 0 => format!("{ip}:{port}"),
        IpAddr::V4(own) => format!("{ip}-{},{port}", u32::from(own.octets()[3]) + more),
        IpAddr::V6(own) => format!("{ip}-{:x},{port}", u32::from(own.segments()[7]) + more),
    }
}
