//! Routes: as they are configured, as they are put into the kernel, and what the kernel says of their end.

use super::encap::Encap;
use super::message::Body;
use super::netlink::{Attributes, Commands, Request};
use netlink_packet_core::NLM_F_CREATE;
use nix::errno::Errno;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The table routes are in unless they say otherwise.
pub const MAIN_TABLE: u32 = 254;
/// The number of keepalived among the makers of routes.
pub const KEEPALIVED: u8 = 18;

const UNICAST: u8 = 1;
const NOWHERE: u8 = 255;
const ONLINK: u8 = 4;

const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_FLOW: u16 = 11;
const RTA_TABLE: u16 = 15;
const RTA_PREF: u16 = 20;
const RTA_EXPIRES: u16 = 23;
const RTA_TTL_PROPAGATE: u16 = 26;

/// The metric that tells which of the others are locked.
const RTAX_LOCK: u16 = 1;
/// The metric that is a name.
const RTAX_CC_ALGO: u16 = 16;

/// One of several ways to a destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NextHop<D> {
    /// The router.
    pub via: Option<IpAddr>,
    /// The interface.
    pub dev: Option<D>,
    /// Its weight, less one, if given.
    pub weight: Option<u8>,
    /// The router counts as reachable on the interface.
    pub onlink: bool,
    /// The realms.
    pub realms: Option<u32>,
    /// The header before packets.
    pub encap: Option<Encap>,
}

/// A route; `D` is how it names interfaces: by name in a configuration, by number in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route<D> {
    /// It is for IPv6.
    pub ipv6: bool,
    /// The destination network.
    pub destination: (IpAddr, u8),
    /// The source network (IPv6).
    pub source: Option<(IpAddr, u8)>,
    /// The address packets are sent from.
    pub preferred_source: Option<IpAddr>,
    /// The router.
    pub via: Option<IpAddr>,
    /// The interface.
    pub dev: Option<D>,
    /// The router counts as reachable on the interface.
    pub onlink: bool,
    /// The table.
    pub table: u32,
    /// Who made it; keepalived unless given.
    pub protocol: Option<u8>,
    /// How far the destination is, if given.
    pub scope: Option<u8>,
    /// What becomes of packets, if given.
    pub kind: Option<u8>,
    /// The type of service.
    pub tos: u8,
    /// The metric among routes to the same destination.
    pub metric: Option<u32>,
    /// The realms.
    pub realms: Option<u32>,
    /// Seconds until it goes (IPv6).
    pub expires: Option<u32>,
    /// The preference of the router (IPv6).
    pub preference: Option<u8>,
    /// Whether MPLS passes the time to live on.
    pub ttl_propagate: Option<bool>,
    /// Numbers of TCP and of the path, by the kernel's number of each.
    pub metrics: Vec<(u16, u32)>,
    /// Which of them are locked, a bit each.
    pub locked: u32,
    /// The congestion control.
    pub congestion: Option<String>,
    /// The header before packets.
    pub encap: Option<Encap>,
    /// Several ways.
    pub next_hops: Vec<NextHop<D>>,
}

impl<D> Route<D> {
    /// A route to a network, with every default.
    pub const fn to(ipv6: bool, destination: (IpAddr, u8)) -> Self {
        Self {
            ipv6,
            destination,
            source: None,
            preferred_source: None,
            via: None,
            dev: None,
            onlink: false,
            table: MAIN_TABLE,
            protocol: None,
            scope: None,
            kind: None,
            tos: 0,
            metric: None,
            realms: None,
            expires: None,
            preference: None,
            ttl_propagate: None,
            metrics: Vec::new(),
            locked: 0,
            congestion: None,
            encap: None,
            next_hops: Vec::new(),
        }
    }
}

/// Everywhere.
pub const fn everywhere(ipv6: bool) -> (IpAddr, u8) {
    if ipv6 { (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0) } else { (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0) }
}

impl Route<String> {
    /// The same, its interfaces by number; nothing while one of them is missing.
    pub fn resolve(&self, index: &dyn Fn(&str) -> Option<u32>) -> Option<Route<u32>> {
        let number = |dev: &Option<String>| match dev {
            Some(name) => index(name).map(Some),
            None => Some(None),
        };
        let next_hops: Option<Vec<NextHop<u32>>> = self
            .next_hops
            .iter()
            .map(|hop| {
                let NextHop { via, weight, onlink, realms, encap, .. } = *hop;
                Some(NextHop { via, dev: number(&hop.dev)?, weight, onlink, realms, encap })
            })
            .collect();
        let Self { ipv6, destination, source, preferred_source, via, onlink, table, protocol, scope, kind, .. } = *self;
        let Self { tos, metric, realms, expires, preference, ttl_propagate, locked, .. } = *self;
        Some(Route {
            ipv6,
            destination,
            source,
            preferred_source,
            via,
            dev: number(&self.dev)?,
            onlink,
            table,
            protocol,
            scope,
            kind,
            tos,
            metric,
            realms,
            expires,
            preference,
            ttl_propagate,
            metrics: self.metrics.clone(),
            locked,
            congestion: self.congestion.clone(),
            encap: self.encap,
            next_hops: next_hops?,
        })
    }
}

impl Route<u32> {
    fn body(&self, (scope, kind): (u8, u8)) -> Body {
        let (network, length) = self.destination;
        let source = self.source.map_or(0, |(_, length)| length);
        let table = u8::try_from(self.table).unwrap_or(0);
        let protocol = self.protocol.unwrap_or(KEEPALIVED);
        let mut fixed = vec![family(self.ipv6), length, source, self.tos, table, protocol, scope, kind];
        fixed.extend(u32::from(if self.onlink { ONLINK } else { 0 }).to_ne_bytes());
        let mut body = Body::new(&fixed);
        if table == 0 {
            body.number(RTA_TABLE, self.table);
        }
        body.address(RTA_DST, network);
        let addresses =
            [(RTA_SRC, self.source.map(|(ip, _)| ip)), (RTA_PREFSRC, self.preferred_source), (RTA_GATEWAY, self.via)];
        for (kind, ip) in addresses {
            if let Some(ip) = ip {
                body.address(kind, ip);
            }
        }
        let numbers =
            [(RTA_OIF, self.dev), (RTA_PRIORITY, self.metric), (RTA_FLOW, self.realms), (RTA_EXPIRES, self.expires)];
        for (kind, number) in numbers {
            if let Some(number) = number {
                body.number(kind, number);
            }
        }
        if let Some(preference) = self.preference {
            body.attribute(RTA_PREF, &[preference]);
        }
        if let Some(propagate) = self.ttl_propagate {
            body.attribute(RTA_TTL_PROPAGATE, &[u8::from(propagate)]);
        }
        if let Some(encap) = &self.encap {
            encap.add(&mut body);
        }
        self.add_metrics(&mut body);
        self.add_next_hops(&mut body);
        body
    }

    fn add_metrics(&self, body: &mut Body) {
        if self.metrics.is_empty() && self.congestion.is_none() {
            return;
        }
        let mut inside = Body::new(&[]);
        for (kind, number) in &self.metrics {
            inside.number(*kind, *number);
        }
        if let Some(name) = &self.congestion {
            inside.attribute(RTAX_CC_ALGO, name.as_bytes());
        }
        if self.locked != 0 {
            inside.number(RTAX_LOCK, self.locked);
        }
        body.attribute(RTA_METRICS, inside.bytes());
    }

    fn add_next_hops(&self, body: &mut Body) {
        let mut all = Vec::new();
        for hop in &self.next_hops {
            let mut inside = Body::new(&[]);
            if let Some(via) = hop.via {
                inside.address(RTA_GATEWAY, via);
            }
            if let Some(realms) = hop.realms {
                inside.number(RTA_FLOW, realms);
            }
            if let Some(encap) = &hop.encap {
                encap.add(&mut inside);
            }
            let length = u16::try_from(inside.bytes().len().saturating_add(8)).unwrap_or(u16::MAX);
            all.extend(length.to_ne_bytes());
            all.extend([if hop.onlink { ONLINK } else { 0 }, hop.weight.unwrap_or_default()]);
            all.extend(hop.dev.unwrap_or_default().to_ne_bytes());
            all.extend(inside.bytes());
        }
        if !all.is_empty() {
            body.attribute(RTA_MULTIPATH, &all);
        }
    }

    /// Puts the route into the kernel. One that is there already is left as it is.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn add(&self, commands: &mut Commands) -> io::Result<()> {
        let body = self.body((self.scope.unwrap_or_default(), self.kind.unwrap_or(UNICAST)));
        match commands.ask(Request::NewRoute, body.bytes(), NLM_F_CREATE) {
            Err(error) if error.raw_os_error() == Some(Errno::EEXIST as i32) => Ok(()),
            outcome => outcome,
        }
    }

    /// Takes the route away. One that has gone by itself, as it had to expire, is fine.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn remove(&self, commands: &mut Commands) -> io::Result<()> {
        let body = self.body((self.scope.unwrap_or(NOWHERE), self.kind.unwrap_or_default()));
        match commands.ask(Request::DeleteRoute, body.bytes(), 0) {
            Err(_) if self.expires.is_some() => Ok(()),
            outcome => outcome,
        }
    }

    /// Whether what the kernel says is about this route.
    pub fn is(&self, seen: &Seen) -> bool {
        (self.ipv6, self.destination, self.table, self.tos) == (seen.ipv6, seen.destination, seen.table, seen.tos)
            // Without a metric IPv6 has its own default.
            && self.metric.is_none_or(|metric| metric == seen.metric)
            && self.dev.is_none_or(|dev| seen.dev == Some(dev))
    }
}

const fn family(ipv6: bool) -> u8 {
    if ipv6 { 10 } else { 2 }
}

/// What the kernel says of a route of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// It is for IPv6.
    pub ipv6: bool,
    /// The destination network.
    pub destination: (IpAddr, u8),
    /// The table.
    pub table: u32,
    /// The type of service.
    pub tos: u8,
    /// The metric.
    pub metric: u32,
    /// The interface.
    pub dev: Option<u32>,
}

impl Seen {
    /// The body of a route message; `None` for those of other makers.
    pub fn read(body: &[u8]) -> Option<Self> {
        let [family, length, _, tos, table, protocol, ..] = *body.first_chunk::<8>()?;
        let ipv6 = match family {
            2 => false,
            10 => true,
            _ => return None,
        };
        if protocol != KEEPALIVED {
            return None;
        }
        let (network, _) = everywhere(ipv6);
        let mut seen =
            Self { ipv6, destination: (network, length), table: u32::from(table), tos, metric: 0, dev: None };
        for (kind, value) in Attributes(body.get(12..)?) {
            let number = || value.try_into().map(u32::from_ne_bytes).ok();
            match kind {
                RTA_DST => seen.destination.0 = super::address::ip(value)?,
                RTA_OIF => seen.dev = number(),
                RTA_PRIORITY => seen.metric = number()?,
                RTA_TABLE => seen.table = number()?,
                _ => {}
            }
        }
        Some(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_of_a_route_is_known_again() {
        let mut route = Route::to(false, ("203.0.113.0".parse().unwrap(), 24));
        (route.dev, route.metric, route.table) = (Some(7_u32), Some(5), 1000);
        let body = route.body((0, UNICAST));
        let seen = Seen::read(body.bytes()).unwrap();
        assert!(route.is(&seen), "{seen:?}");
        for other in [
            Seen { dev: Some(8), ..seen.clone() },
            Seen { metric: 6, ..seen.clone() },
            Seen { table: 254, ..seen.clone() },
            Seen { destination: ("203.0.113.0".parse().unwrap(), 25), ..seen.clone() },
        ] {
            assert!(!route.is(&other), "{other:?}");
        }
        route.protocol = Some(3);
        assert_eq!(Seen::read(route.body((0, UNICAST)).bytes()), None);
    }

    #[test]
    fn a_route_waits_for_its_interfaces() {
        let mut route = Route::to(false, everywhere(false));
        route.next_hops = vec![NextHop { dev: Some("b".to_owned()), ..NextHop::default() }];
        assert_eq!(route.resolve(&|_| None), None);
        let resolved = route.resolve(&|name| (name == "b").then_some(3)).unwrap();
        assert_eq!(resolved.next_hops[0].dev, Some(3));
    }
}
