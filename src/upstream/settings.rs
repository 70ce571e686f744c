//! An `upstream {}` as configured, and the group it becomes once names are resolved.

use super::group::{Group, Method};
use super::hash::Points;
use super::peer::Peer;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::module::Conf;
use crate::conf::source::Span;
use crate::conf::tree::Word;
use crate::net::address::{Address, Endpoint, Host};
use crate::session::build::Build;
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
}

/// The balancing method that was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balancer {
    /// `least_conn`.
    LeastConn,
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
    /// `keepalive_requests`.
    pub keepalive_requests: Option<u64>,
    /// `keepalive_time`.
    pub keepalive_time: Option<Duration>,
    /// `keepalive_timeout`.
    pub keepalive_timeout: Option<Duration>,
    /// `zone`.
    pub zone: Option<Zone>,
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
        let (mut peers, mut backups) = (Vec::new(), Vec::new());
        for server in &self.servers {
            let found = server.found(default_port, resolve)?;
            let set = if server.backup { &mut backups } else { &mut peers };
            set.extend(found.into_iter().map(|address| server.peer(address)));
        }
        if peers.is_empty() {
            let complaint = Diagnostic::emerg(format!("no servers in upstream \"{name}\""));
            return Err(match at {
                Some(at) => complaint.at(at),
                None => complaint,
            });
        }
        let method = self.method(&peers);
        Ok(Group::new(name, peers, backups, method))
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
        for server in self.servers.iter().filter(|_| every) {
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

    fn method(&self, peers: &[Peer]) -> Method {
        match &self.balancer {
            None => Method::RoundRobin,
            Some(Balancer::LeastConn) => Method::LeastConn,
            Some(Balancer::IpHash) => Method::IpHash,
            Some(Balancer::Hash(_, false)) => Method::Hash,
            Some(Balancer::Hash(_, true)) => Method::Consistent(Points::new(peers)),
            Some(Balancer::Random(false)) => Method::Random,
            Some(Balancer::Random(true)) => Method::RandomTwo,
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

    fn peer(&self, address: Address) -> Peer {
        Peer {
            weight: self.weight,
            max_conns: self.max_conns,
            max_fails: self.max_fails,
            fail_timeout: self.fail_timeout,
            down: self.down,
            ..Peer::new(address, &self.text)
        }
    }
}
