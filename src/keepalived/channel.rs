//! The sockets of one interface, family and destination (a multicast group, or one own address for unicast), shared by
//! all routers that use them.

use super::site::Instance;
use crate::kernel::packet::{Interface, Listen, OpenError, Receiver, Sender};
use crate::vrrp::config::Authentication;
use crate::vrrp::node::RouterId;
use crate::vrrp::refusal::Refusal;
use crate::vrrp::wire::{self, Datagram, Numbers, PROTOCOL};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::time::{SystemTime, UNIX_EPOCH};

/// Which sockets a router needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The interface.
    pub port: Interface,
    /// What comes in.
    pub listen: Listen,
    /// The IP protocol: VRRP, or authentication headers.
    pub protocol: u8,
}

impl Key {
    /// What an instance on `port` needs whose adverts carry `source`; nothing while unicast has no source.
    pub fn of(instance: &Instance, port: Interface, source: Option<IpAddr>) -> Option<Self> {
        let listen = match instance.group {
            Some(group) => Listen::Group(group),
            None => Listen::Address(source?),
        };
        let protected = matches!(instance.router.authentication, Authentication::Ah(_));
        let protocol = if protected { wire::ah::PROTOCOL } else { PROTOCOL };
        Some(Self { port, listen, protocol })
    }

    /// Whether it is for IPv6.
    pub const fn is_ipv6(&self) -> bool {
        let (Listen::Group(ip) | Listen::Address(ip)) = self.listen;
        ip.is_ipv6()
    }

    /// keepalived's line about a pair of sockets with these descriptors.
    pub fn describe(&self, (fd_in, fd_out): (i32, i32)) -> String {
        let (ip, kind) = match self.listen {
            Listen::Group(group) => (group, String::new()),
            Listen::Address(source) => (source, format!(", unicast, address({source})")),
        };
        let family = if ip.is_ipv6() { "IPv6" } else { "IPv4" };
        let (index, protocol) = (self.port.index, self.protocol);
        format!("VRRP sockpool: [ifindex({index:3}), family({family}), proto({protocol}), fd({fd_in},{fd_out}){kind}]")
    }
}

/// The time of day, as trailers of adverts have it.
pub fn clock() -> u64 {
    wire::hmac::clock(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A pair of sockets.
pub struct Channel {
    /// What it was opened for.
    pub key: Key,
    /// Where packets come in.
    pub receiver: Receiver,
    sender: Sender,
    /// The routers that use it, by their numbers on the wire.
    pub routers: BTreeMap<u8, RouterId>,
}

/// All open pairs of sockets, in the order they were opened.
#[derive(Default)]
pub struct SocketPool {
    channels: BTreeMap<u64, Channel>,
    serials: BTreeMap<Key, u64>,
    next: u64,
}

impl SocketPool {
    /// The pair for a key, if it is open.
    pub fn get(&self, key: &Key) -> Option<&Channel> {
        self.channels.get(self.serials.get(key)?)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, key: &Key) -> Option<&mut Channel> {
        self.channels.get_mut(self.serials.get(key)?)
    }

    /// Every pair and its serial number.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Channel)> {
        self.channels.iter().map(|(serial, channel)| (*serial, channel))
    }

    /// Every pair, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Channel> {
        self.channels.values_mut()
    }

    /// The pair with a serial number.
    pub fn numbered(&self, serial: u64) -> Option<&Channel> {
        self.channels.get(&serial)
    }

    /// Adds a pair.
    pub fn insert(&mut self, channel: Channel) {
        self.serials.insert(channel.key.clone(), self.next);
        self.channels.insert(self.next, channel);
        self.next += 1;
    }

    /// Closes every pair that is not wanted.
    pub fn retain(&mut self, wanted: impl Fn(&Channel) -> bool) {
        self.channels.retain(|_, channel| wanted(channel));
        self.serials.retain(|_, serial| self.channels.contains_key(serial));
    }
}

impl Channel {
    /// Opens a pair of sockets.
    ///
    /// # Errors
    /// What the system said, and when.
    pub fn open(key: Key) -> Result<Self, OpenError> {
        let receiver = Receiver::open(&key.port, key.protocol, key.listen)?;
        let sender = Sender::open(&key.port, key.is_ipv6(), key.protocol)?;
        Ok(Self { key, receiver, sender, routers: BTreeMap::new() })
    }

    /// keepalived's line about it.
    pub fn describe(&self) -> String {
        self.key.describe(self.descriptors())
    }

    /// The descriptors, in and out.
    pub fn descriptors(&self) -> (i32, i32) {
        (self.receiver.as_raw_fd(), self.sender.as_raw_fd())
    }

    /// The next packet.
    pub fn receive(&self) -> Option<Result<Datagram, Refusal>> {
        let received = self.receiver.receive()?;
        let datagram = if self.key.is_ipv6() {
            let hops = received.hops.unwrap_or_default();
            wire::ipv6_payload((received.source, received.destination), hops, received.bytes)
        } else {
            wire::ipv4_packet(&received.bytes)
        };
        Some(datagram.map(|datagram| Datagram { clock: clock(), ..datagram }))
    }

    /// Sends an advert of `priority` to the group or to every peer; where it could not be sent to, and why.
    pub fn advertise(
        &self,
        instance: &Instance,
        source: IpAddr,
        (priority, id, numbers): (u8, u16, Numbers),
    ) -> Vec<(IpAddr, io::Error)> {
        let peers = instance.router.peers.iter().map(|peer| peer.address);
        let destinations = instance.group.into_iter().chain(peers);
        let send = |destination| {
            self.send(instance, (source, destination), (priority, id, numbers)).err().map(|error| (destination, error))
        };
        destinations.filter_map(send).collect()
    }

    fn send(
        &self,
        instance: &Instance,
        (source, destination): (IpAddr, IpAddr),
        (priority, id, numbers): (u8, u16, Numbers),
    ) -> io::Result<()> {
        let hops = if instance.group.is_some() { Some(wire::HOPS) } else { instance.unicast_ttl };
        match (source, destination) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let numbers = (hops.unwrap_or(wire::HOPS), id, numbers);
                self.sender.send(&wire::ipv4_advert(&instance.router, priority, (from, to), numbers), destination)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let payload = wire::signed(&instance.router, priority, (source, destination), numbers.hmac);
                self.sender.send_v6(&payload, (from, to), hops)
            }
            _ => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }
}
