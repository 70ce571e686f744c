//! The sockets of one interface and family, shared by all routers that speak there.

use super::site::Instance;
use crate::kernel::packet::{Inlet, Outlet, Port};
use crate::vrrp::refusal::Refusal;
use crate::vrrp::wire::{self, Datagram, PROTOCOL};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

/// A pair of sockets.
pub struct Channel {
    /// The interface.
    pub port: Port,
    /// The family.
    pub ipv6: bool,
    /// The group, if somebody speaks multicast here.
    pub group: Option<IpAddr>,
    /// The configured source of adverts, if nobody does.
    unicast: Option<IpAddr>,
    /// Where packets come in.
    pub inlet: Inlet,
    outlet: Outlet,
}

impl Channel {
    /// Opens the sockets an instance needs at a port.
    ///
    /// # Errors
    /// What the system said.
    pub fn open(port: Port, instance: &Instance) -> io::Result<Self> {
        let (ipv6, group) = (instance.router.is_ipv6(), instance.group);
        let unicast = instance.source.filter(|_| group.is_none());
        let inlet = Inlet::open(&port, ipv6, PROTOCOL, group)?;
        let outlet = Outlet::open(&port, ipv6, PROTOCOL)?;
        Ok(Self { port, ipv6, group, unicast, inlet, outlet })
    }

    /// keepalived's line about a pair of sockets.
    pub fn describe(&self) -> String {
        let family = if self.ipv6 { "IPv6" } else { "IPv4" };
        let (fd_in, fd_out) = (self.inlet.as_raw_fd(), self.outlet.as_raw_fd());
        let kind = self.unicast.map(|source| format!(", unicast, address({source})")).unwrap_or_default();
        let index = self.port.index;
        format!("VRRP sockpool: [ifindex({index:3}), family({family}), proto({PROTOCOL}), fd({fd_in},{fd_out}){kind}]")
    }

    /// The next packet.
    pub fn receive(&self) -> Option<Result<Datagram, Refusal>> {
        let received = self.inlet.receive()?;
        if !self.ipv6 {
            return Some(wire::ipv4_packet(&received.bytes));
        }
        let hops = received.hops.unwrap_or_default();
        Some(Ok(Datagram { source: received.source, destination: None, hops, payload: received.bytes }))
    }

    /// Sends an advert of `priority` to the group or to every peer.
    ///
    /// # Errors
    /// What the system said, first of all.
    pub fn advertise(&self, instance: &Instance, source: IpAddr, (priority, id): (u8, u16)) -> io::Result<()> {
        let group = instance.group.map(|group| (group, wire::HOPS));
        let peers = instance.router.peers.iter().map(|peer| (peer.address, instance.unicast_ttl));
        let mut outcome = Ok(());
        for (destination, ttl) in group.into_iter().chain(peers) {
            let payload = wire::emit(&instance.router, priority, source, destination);
            let bytes = match (source, destination) {
                (IpAddr::V4(from), IpAddr::V4(to)) => {
                    let mut packet = wire::ipv4_header(from, to, (ttl, id), payload.len()).to_vec();
                    packet.extend(payload);
                    packet
                }
                (IpAddr::V6(from), IpAddr::V6(_)) => {
                    self.outlet.bind_source(from, self.port.index)?;
                    payload
                }
                _ => continue,
            };
            let sent = self.outlet.send(&bytes, destination);
            outcome = outcome.and(sent);
        }
        outcome
    }
}
