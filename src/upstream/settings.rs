//! An `upstream {}` as configured, and the group it becomes once names are resolved.

use super::group::{Group, Method};
use super::hash::Points;
use super::names::Names;
use super::peer::Peer;
use super::sticky::StickyText;
use super::times::Rule;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::module::Conf;
use crate::conf::source::Span;
use crate::conf::tree::Word;
use crate::conf::walk::Levels;
use crate::net::address::{Address, Endpoint, Host};
use crate::session::build::Build;
use crate::session::resolver;
use crate::zone::registry::Declared;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// One `server`.
#[derive(Clone, Debug)]
pub struct Server {
    /// The address as written.
    pub text: String,
    /// What it names.
    pub endpoint: Endpoint,
    /// The whole statement.
    pub at: Span,
    /// `weight=`.
    pub weight: u32,
    /// `max_conns=`.
    pub max_conns: usize,
    /// `max_fails=`.
    pub max_fails: u32,
    /// `fail_timeout=` in seconds.
    pub fail_timeout: u64,
    /// `down`.
    pub down: bool,
    /// `backup`.
    pub backup: bool,
    /// It is a name without the port that stream needs.
    pub needs_port: bool,
    /// `drain`: only requests of its sessions are sent to it.
    pub drain: bool,
    /// `route=`: its id for `sticky`.
    pub route: Option<String>,
    /// `resolve`: its name is looked up while serving.
    pub resolve: bool,
    /// `service=`: the name is that of a domain, and its servers those of the service.
    pub service: Option<String>,
    /// `slow_start=` in seconds.
    pub slow_start: u64,
}

/// The balancing method that was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balancer {
    /// `least_conn`.
    LeastConn,
    /// `least_time`.
    LeastTime(Rule),
    /// `ip_hash`.
    IpHash,
    /// `hash`, with its key and whether it is consistent.
    Hash(Word, bool),
    /// `random`, and whether of two.
    Random(bool),
}

/// `zone`: a name, and a size unless it is given elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// The name.
    pub name: String,
    /// The size in bytes; 0 where none is given.
    pub size: u64,
}

/// Settings of an `upstream {}`.
#[derive(Clone, Debug, Default)]
pub struct Upstream {
    /// The servers, in order.
    pub servers: Vec<Server>,
    /// The method; round robin where none is named.
    pub balancer: Option<Balancer>,
    /// `keepalive`: how many idle connections a loop keeps.
    pub keepalive: Option<u64>,
    /// `keepalive … local`: a location reuses its own connections only.
    pub keepalive_local: bool,
    /// `keepalive_requests`.
    pub keepalive_requests: Option<u64>,
    /// `keepalive_time`.
    pub keepalive_time: Option<Duration>,
    /// `keepalive_timeout`.
    pub keepalive_timeout: Option<Duration>,
    /// `zone`.
    pub zone: Option<Zone>,
    /// `sticky`.
    pub sticky: Option<StickyText>,
    /// `queue`: how many requests wait for a server, and how long.
    pub queue: Option<(u64, Duration)>,
}

impl Conf for Upstream {
    fn inherit(&mut self, _: &Self) {}
}

impl Upstream {
    /// Declares the zone the group names.
    ///
    /// # Errors
    /// nginx's words when the name is taken by another kind or size.
    pub fn declare(&self, zones: &mut Declared, at: Option<Span>) -> Result<(), Diagnostic> {
        let Some(zone) = &self.zone else { return Ok(()) };
        zones.declare(&zone.name, zone.size, "upstream").map_err(|text| {
            let complaint = Diagnostic::emerg(text);
            match at {
                Some(at) => complaint.at(at),
                None => complaint,
            }
        })
    }
}

/// Finds the addresses of a host name, IPv4 before IPv6.
pub type Resolve<'a> = &'a mut dyn FnMut(&str) -> io::Result<Vec<IpAddr>>;

/// All addresses an endpoint names.
///
/// # Errors
/// What the resolver said; no address at all is an error too.
pub fn addresses(endpoint: &Endpoint, default_port: u16, resolve: Resolve<'_>) -> io::Result<Vec<Address>> {
    let port = endpoint.port.unwrap_or(default_port);
    let with_port = |ip: IpAddr| Address::Ip(SocketAddr::new(ip, port));
    match &endpoint.host {
        Host::Ip(ip) => Ok(vec![with_port(*ip)]),
        Host::Unix(path) => Ok(vec![Address::Unix(path.clone())]),
        Host::Any => Err(io::ErrorKind::InvalidInput.into()),
        Host::Name(name) => {
            let found = resolve(name)?;
            if found.is_empty() {
                Err(io::ErrorKind::NotFound.into())
            } else {
                Ok(found.into_iter().map(with_port).collect())
            }
        }
    }
}

impl Upstream {
    /// The key of `hash`, to be compiled by whoever knows the variables.
    pub const fn key(&self) -> Option<&Word> {
        match &self.balancer {
            Some(Balancer::Hash(key, _)) => Some(key),
            _ => None,
        }
    }

    /// The group at work; `at` is where the block opens.
    ///
    /// # Errors
    /// `host not found in upstream` for a name without addresses, `no servers in upstream` when all are backups.
    pub fn group(
        &self,
        name: &str,
        at: Option<Span>,
        default_port: u16,
        resolve: Resolve<'_>,
    ) -> Result<Group, Diagnostic> {
        let [peers, backups] = self.peers(default_port, resolve)?;
        if peers.is_empty() && !self.servers.iter().any(|server| server.resolve && !server.backup) {
            return Err(placed(Diagnostic::emerg(format!("no servers in upstream \"{name}\"")), at));
        }
        let method = Balancer::method(self.balancer.as_ref(), &peers);
        Ok(Group::new(name, peers, backups, method))
    }

    /// The primary peers and the backups whose addresses are known before serving.
    fn peers(&self, default_port: u16, resolve: Resolve<'_>) -> Result<[Vec<Peer>; 2], Diagnostic> {
        let (mut peers, mut backups) = (Vec::new(), Vec::new());
        for server in self.servers.iter().filter(|server| !server.resolve) {
            let found = server.found(default_port, resolve)?;
            let set = if server.backup { &mut backups } else { &mut peers };
            set.extend(found.into_iter().map(|address| server.peer(address)));
        }
        Ok([peers, backups])
    }

    /// The servers whose names are looked up while serving; `levels` are those of the block, and `at` is where it opens.
    ///
    /// # Errors
    /// A group without a zone, or without a resolver.
    pub fn names(
        &self,
        name: &str,
        at: Option<Span>,
        default_port: u16,
        levels: &Levels<'_>,
        build: &Build<'_>,
    ) -> Result<Option<Names>, Diagnostic> {
        let servers: Vec<Server> = self.servers.iter().filter(|server| server.resolve).cloned().collect();
        if servers.is_empty() {
            return Ok(None);
        }
        let refused = |text: String| placed(Diagnostic::emerg(text), at);
        if self.zone.is_none() {
            let text = format!("resolving names at run time requires upstream \"{name}\" to be in shared memory");
            return Err(refused(text));
        }
        let Some(lookup) = resolver::lookup(levels, build)? else {
            let text = format!("no resolver defined to resolve names at run time in upstream \"{name}\"");
            return Err(refused(text));
        };
        let fixed = self.peers(default_port, &mut |host| Ok(build.resolver.resolve(host)))?;
        Ok(Some(Names::new(name, fixed, servers, self.balancer.clone(), (default_port, lookup))))
    }

    /// [`Self::group`] while a product compiles. Where every complaint is wanted, each server that is not found is noted,
    /// and an empty group stands in, so that whoever names it finds it.
    ///
    /// # Errors
    /// As `group`.
    pub fn groups(
        &self,
        name: &str,
        at: Option<Span>,
        default_port: u16,
        build: &mut Build<'_>,
    ) -> Result<Group, Diagnostic> {
        let resolver = build.resolver;
        let mut resolve = |host: &str| Ok(resolver.resolve(host));
        let before = build.failed();
        let every = build.every;
        for server in self.servers.iter().filter(|server| every && !server.resolve) {
            let found = server.found(default_port, &mut resolve);
            build.part(found.map(drop))?;
        }
        let group = if build.failed() > before {
            None
        } else {
            build.part(self.group(name, at, default_port, &mut resolve))?
        };
        Ok(group.unwrap_or_else(|| Group::implicit(name, std::iter::empty())))
    }
}

/// A complaint about a block that opens at `at`.
pub fn placed(complaint: Diagnostic, at: Option<Span>) -> Diagnostic {
    match at {
        Some(at) => complaint.at(at),
        None => complaint,
    }
}

impl Balancer {
    /// How a group with these primary peers chooses.
    pub fn method(balancer: Option<&Self>, peers: &[Peer]) -> Method {
        match balancer {
            None => Method::RoundRobin,
            Some(Self::LeastConn) => Method::LeastConn,
            Some(Self::LeastTime(rule)) => Method::LeastTime(*rule),
            Some(Self::IpHash) => Method::IpHash,
            Some(Self::Hash(_, false)) => Method::Hash,
            Some(Self::Hash(_, true)) => Method::Consistent(Points::new(peers)),
            Some(Self::Random(false)) => Method::Random,
            Some(Self::Random(true)) => Method::RandomTwo,
        }
    }
}

impl Server {
    fn found(&self, default_port: u16, resolve: Resolve<'_>) -> Result<Vec<Address>, Diagnostic> {
        let refused =
            |what: &str| Diagnostic::emerg(format!("{what} in upstream \"{}\"", self.text)).at(self.at).early();
        let found = addresses(&self.endpoint, default_port, resolve).map_err(|_| refused("host not found"))?;
        if self.needs_port { Err(refused("no port")) } else { Ok(found) }
    }

    /// The peer at one of its addresses.
    pub fn peer(&self, address: Address) -> Peer {
        Peer {
            weight: self.weight,
            max_conns: self.max_conns,
            max_fails: self.max_fails,
            fail_timeout: self.fail_timeout,
            down: self.down || self.drain,
            drains: self.drain,
            route: self.route.clone(),
            slow_start: self.slow_start,
            ..Peer::new(address, &self.text)
        }
    }
}
