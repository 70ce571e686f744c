//! IPVS over generic netlink: virtual services, their destinations, timeouts and the sync daemon.
//!
//! [`Ipvs`] is what a caller programs. [`Netlink`] sends each request to the kernel, [`table::Table`] keeps the services in
//! memory and answers as the kernel does.

pub mod table;

use super::message::Body;
use super::netlink::{Attributes, Messages, verdict};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};
use nix::errno::Errno;
use std::io;
use std::net::IpAddr;

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// Marks an attribute that holds attributes.
const NESTED: u16 = 0x8000;
/// The family that knows the numbers of all others, and its question for one.
const CONTROLLER: (u16, u8) = (0x10, 3);
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
/// The version of IPVS's messages.
const VERSION: u8 = 1;
const SERVICE: u16 = 1;
const DESTINATION: u16 = 2;
const DAEMON: u16 = 3;
const TIMEOUT_TCP: u16 = 4;
const TIMEOUT_TCP_FIN: u16 = 5;
const TIMEOUT_UDP: u16 = 6;
/// The command that reads the timeouts.
const GET_CONFIG: u8 = 13;
/// An acknowledgement and the header of what it is about.
const BUFFER: usize = 8 * 1024;
/// Answers waited for before a request counts as unanswered.
const PATIENCE: usize = 1024;

/// Clients stay with their server for a while.
pub const PERSISTENT: u32 = 1;
/// Each packet is scheduled by itself.
pub const ONE_PACKET: u32 = 4;
/// The flags that belong to the scheduler.
pub const SCHEDULER_FLAGS: [u32; 3] = [8, 0x10, 0x20];
/// The netmask of a service that tells every IPv4 address from the others.
pub const WHOLE_ADDRESS: u32 = u32::MAX;

/// The protocol of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp = 6,
    /// UDP.
    Udp = 17,
    /// SCTP.
    Sctp = 132,
}

/// What makes a service the same one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Packets to an address and port; port 0 is any.
    Address(Protocol, IpAddr, u16),
    /// Packets with a firewall mark, by whether they are IPv6.
    Mark(u32, bool),
}

/// A virtual service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// What is served.
    pub key: Key,
    /// The scheduler.
    pub scheduler: String,
    /// The persistence engine; empty for none.
    pub engine: String,
    /// [`PERSISTENT`], [`ONE_PACKET`] and [`SCHEDULER_FLAGS`].
    pub flags: u32,
    /// Seconds a client stays with its server.
    pub timeout: u32,
    /// Clients that differ outside of it count as one: a mask in network order for IPv4, a prefix length for IPv6.
    pub netmask: u32,
}

/// How packets reach a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Their destination is rewritten.
    Nat,
    /// They are sent on unchanged.
    Direct,
    /// They are sent inside another packet.
    Tunnel(Tunnel),
}

/// The outer packet of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunnel {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation, to a port.
    Gue(u16, Checksum),
    /// GRE.
    Gre(Checksum),
}

/// Whether the outer packet has a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// None.
    Without = 0,
    /// A full one.
    Full = 1,
    /// One that offloads the inner packet's.
    Remote = 2,
}

/// A destination of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// How packets reach it.
    pub method: Method,
    /// How much it gets, compared with others.
    pub weight: i32,
    /// The connections above which it gets no new ones; 0 is no limit.
    pub upper: u32,
    /// The connections below which it gets new ones again.
    pub lower: u32,
}

/// The kernel's timeouts in seconds; 0 leaves one as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Of idle TCP connections.
    pub tcp: u32,
    /// Of TCP connections after a FIN.
    pub tcp_fin: u32,
    /// Of UDP.
    pub udp: u32,
}

/// The half of the sync daemon that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncState {
    /// It sends connections.
    Master = 1,
    /// It receives them.
    Backup = 2,
}

/// How the sync daemon sends and receives connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncDaemon {
    /// The interface.
    pub interface: String,
    /// Daemons with the same number belong together.
    pub id: u32,
    /// The longest packet.
    pub longest: Option<u16>,
    /// The port.
    pub port: Option<u16>,
    /// The TTL.
    pub ttl: Option<u8>,
    /// The multicast group.
    pub group: Option<IpAddr>,
}

/// What is asked of IPVS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Make a service.
    AddService(Service),
    /// Change a service.
    EditService(Service),
    /// Remove a service and its destinations.
    DeleteService(Service),
    /// Give a service a destination.
    AddDestination(Service, Destination),
    /// Change a destination.
    EditDestination(Service, Destination),
    /// Take a destination away.
    DeleteDestination(Service, Destination),
    /// Remove everything.
    Flush,
    /// Set the timeouts.
    SetTimeouts(Timeouts),
    /// Start half of the sync daemon.
    StartDaemon(SyncState, SyncDaemon),
    /// Stop half of the sync daemon, by its number.
    StopDaemon(SyncState, u32),
}

/// What can be programmed.
pub trait Ipvs {
    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// What the kernel answered.
    fn request(&mut self, request: &Request) -> io::Result<()>;

    /// The timeouts as they are.
    ///
    /// # Errors
    /// What the kernel answered.
    fn timeouts(&mut self) -> io::Result<Timeouts>;
}

impl Request {
    /// The command's number.
    const fn number(&self) -> u8 {
        match self {
            Self::AddService(_) => 1,
            Self::EditService(_) => 2,
            Self::DeleteService(_) => 3,
            Self::AddDestination(..) => 5,
            Self::EditDestination(..) => 6,
            Self::DeleteDestination(..) => 7,
            Self::StartDaemon(..) => 9,
            Self::StopDaemon(..) => 10,
            Self::SetTimeouts(_) => 12,
            Self::Flush => 17,
        }
    }

    /// The name and number of the socket option that does the same, as keepalived tells them.
    pub const fn shown(&self) -> (&'static str, u32) {
        match self {
            Self::AddService(_) => ("IP_VS_SO_SET_ADD", 1154),
            Self::EditService(_) => ("IP_VS_SO_SET_EDIT", 1155),
            Self::DeleteService(_) => ("IP_VS_SO_SET_DEL", 1156),
            Self::Flush => ("IP_VS_SO_SET_FLUSH", 1157),
            Self::AddDestination(..) => ("IP_VS_SO_SET_ADDDEST", 1159),
            Self::DeleteDestination(..) => ("IP_VS_SO_SET_DELDEST", 1160),
            Self::EditDestination(..) => ("IP_VS_SO_SET_EDITDEST", 1161),
            Self::SetTimeouts(_) => ("IP_VS_SO_SET_TIMEOUT", 1162),
            Self::StartDaemon(..) => ("IP_VS_SO_SET_STARTDAEMON", 1163),
            Self::StopDaemon(..) => ("IP_VS_SO_SET_STOPDAEMON", 1164),
        }
    }

    /// What keepalived says of the kernel's answer, where it has words of its own.
    pub fn words(&self, error: Errno) -> &'static str {
        match (self, error) {
            (Self::AddService(_), Errno::EEXIST) => "Service already exists",
            (Self::AddService(_) | Self::EditService(_), Errno::ENOENT) => "Scheduler or persistence engine not found",
            (Self::AddDestination(..), Errno::EEXIST) => "Destination already exists",
            (Self::EditDestination(..) | Self::DeleteDestination(..), Errno::ENOENT) => "No such destination",
            (Self::StartDaemon(..), Errno::EEXIST) => "Daemon has already run",
            (Self::StopDaemon(..), Errno::ESRCH) => "No daemon is running",
            (_, Errno::ESRCH) => "No such service",
            (_, Errno::EPERM) => "Permission denied (you must be root)",
            (_, Errno::EINVAL) => "Invalid operation.  Possibly wrong module version, address not unicast, ...",
            (_, Errno::ENOPROTOOPT) => "Protocol not available",
            (_, Errno::ENOMEM) => "Memory allocation problem",
            (_, Errno::EOPNOTSUPP) => "Operation not supported with IPv6",
            (_, Errno::EAFNOSUPPORT) => "Operation not supported with specified address family",
            (_, Errno::EMSGSIZE) => "Module is wrong version",
            _ => error.desc(),
        }
    }

    /// The message behind the netlink header.
    fn body(&self) -> Body {
        let mut body = Body::new(&[self.number(), VERSION, 0, 0]);
        match self {
            Self::AddService(service) | Self::EditService(service) | Self::DeleteService(service) => {
                service.write(&mut body);
            }
            Self::AddDestination(service, destination)
            | Self::EditDestination(service, destination)
            | Self::DeleteDestination(service, destination) => {
                service.write(&mut body);
                destination.write(&mut body);
            }
            Self::Flush => {}
            Self::SetTimeouts(timeouts) => {
                body.number(TIMEOUT_TCP, timeouts.tcp);
                body.number(TIMEOUT_TCP_FIN, timeouts.tcp_fin);
                body.number(TIMEOUT_UDP, timeouts.udp);
            }
            Self::StartDaemon(state, daemon) => daemon.write(&mut body, *state),
            Self::StopDaemon(state, id) => {
                let mut inner = Body::new(&[]);
                inner.number(1, *state as u32);
                inner.number(3, *id);
                body.attribute(DAEMON | NESTED, inner.bytes());
            }
        }
        body
    }
}

/// `AF_INET` or `AF_INET6`.
const fn family(ipv6: bool) -> u16 {
    if ipv6 { 10 } else { 2 }
}

/// An address in a field that has room for either family.
fn either(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V6(ip) => ip.octets(),
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
    }
}

impl Service {
    fn write(&self, body: &mut Body) {
        const FAMILY: u16 = 1;
        const PROTOCOL: u16 = 2;
        const ADDRESS: u16 = 3;
        const PORT: u16 = 4;
        const MARK: u16 = 5;
        const SCHEDULER: u16 = 6;
        const FLAGS: u16 = 7;
        const TIMEOUT: u16 = 8;
        const NETMASK: u16 = 9;
        const ENGINE: u16 = 11;
        let mut inner = Body::new(&[]);
        match &self.key {
            Key::Mark(mark, ipv6) => {
                inner.attribute(FAMILY, &family(*ipv6).to_ne_bytes());
                inner.number(MARK, *mark);
            }
            Key::Address(protocol, ip, port) => {
                inner.attribute(FAMILY, &family(ip.is_ipv6()).to_ne_bytes());
                inner.attribute(PROTOCOL, &(*protocol as u16).to_ne_bytes());
                inner.attribute(ADDRESS, &either(*ip));
                inner.attribute(PORT, &port.to_be_bytes());
            }
        }
        inner.name(SCHEDULER, &self.scheduler);
        if !self.engine.is_empty() {
            inner.name(ENGINE, &self.engine);
        }
        inner.attribute(FLAGS, &[self.flags.to_ne_bytes(), u32::MAX.to_ne_bytes()].concat());
        inner.number(TIMEOUT, self.timeout);
        inner.number(NETMASK, self.netmask);
        body.attribute(SERVICE | NESTED, inner.bytes());
    }
}

impl Destination {
    fn write(&self, body: &mut Body) {
        const ADDRESS: u16 = 1;
        const PORT: u16 = 2;
        const METHOD: u16 = 3;
        const WEIGHT: u16 = 4;
        const UPPER: u16 = 5;
        const LOWER: u16 = 6;
        const FAMILY: u16 = 11;
        const TUNNEL: u16 = 13;
        const TUNNEL_PORT: u16 = 14;
        const TUNNEL_FLAGS: u16 = 15;
        let mut inner = Body::new(&[]);
        inner.attribute(FAMILY, &family(self.ip.is_ipv6()).to_ne_bytes());
        inner.attribute(ADDRESS, &either(self.ip));
        inner.attribute(PORT, &self.port.to_be_bytes());
        inner.number(
            METHOD,
            match self.method {
                Method::Nat => 0,
                Method::Tunnel(_) => 2,
                Method::Direct => 3,
            },
        );
        inner.number(WEIGHT, self.weight.cast_unsigned());
        if let Method::Tunnel(tunnel) = self.method {
            inner.attribute(
                TUNNEL,
                &[match tunnel {
                    Tunnel::Ipip => 0,
                    Tunnel::Gue(..) => 1,
                    Tunnel::Gre(_) => 2,
                }],
            );
            if let Tunnel::Gue(port, _) = tunnel {
                inner.attribute(TUNNEL_PORT, &port.to_be_bytes());
            }
            if let Tunnel::Gue(_, checksum) | Tunnel::Gre(checksum) = tunnel {
                inner.attribute(TUNNEL_FLAGS, &(checksum as u16).to_ne_bytes());
            }
        }
        inner.number(UPPER, self.upper);
        inner.number(LOWER, self.lower);
        body.attribute(DESTINATION | NESTED, inner.bytes());
    }
}

impl SyncDaemon {
    fn write(&self, body: &mut Body, state: SyncState) {
        let mut inner = Body::new(&[]);
        inner.number(1, state as u32);
        inner.name(2, &self.interface);
        inner.number(3, self.id);
        if let Some(longest) = self.longest {
            inner.attribute(4, &longest.to_ne_bytes());
        }
        if let Some(port) = self.port {
            inner.attribute(7, &port.to_ne_bytes());
        }
        if let Some(ttl) = self.ttl {
            inner.attribute(8, &[ttl]);
        }
        match self.group {
            Some(IpAddr::V4(ip)) => inner.attribute(5, &ip.octets()),
            Some(IpAddr::V6(ip)) => inner.attribute(6, &ip.octets()),
            None => {}
        }
        body.attribute(DAEMON | NESTED, inner.bytes());
    }
}

/// The kernel's IPVS.
pub struct Netlink {
    socket: Socket,
    family: u16,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// Finds the kernel's IPVS.
    ///
    /// # Errors
    /// What the system said; `ENOENT` where there is none.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_GENERIC)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        let mut own = Self { socket, family: 0, sequence: 0, buffer: vec![0; BUFFER] };
        let (controller, get_family) = CONTROLLER;
        let mut question = Body::new(&[get_family, 1, 0, 0]);
        question.name(FAMILY_NAME, "IPVS");
        let mut found = None;
        own.ask(controller, question.bytes(), &mut |body| {
            let number = Attributes(body).find(|(kind, _)| *kind == FAMILY_ID).map(|(_, value)| value);
            found = number.and_then(|value| value.first_chunk().copied()).map(u16::from_ne_bytes).or(found);
        })?;
        own.family = found.ok_or(io::ErrorKind::InvalidData)?;
        Ok(own)
    }

    fn ask(&mut self, kind: u16, body: &[u8], see: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        const HEADER: usize = 16;
        const GENERIC_HEADER: usize = 4;
        self.sequence = self.sequence.wrapping_add(1);
        let length = u32::try_from(HEADER.saturating_add(body.len())).unwrap_or(u32::MAX);
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
        bytes.extend(self.sequence.to_ne_bytes());
        bytes.extend(0_u32.to_ne_bytes());
        bytes.extend(body);
        self.socket.send(&bytes, 0)?;
        for _ in 0..PATIENCE {
            let length = self.socket.recv(&mut self.buffer.as_mut_slice(), 0)?;
            let bytes = self.buffer.get(..length).unwrap_or_default();
            // A late answer to an earlier request is not ours to judge.
            if bytes.get(8..12).is_some_and(|of| of != self.sequence.to_ne_bytes()) {
                continue;
            }
            for (kind, body) in Messages(bytes) {
                match kind {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => return verdict(body),
                    _ => see(body.get(GENERIC_HEADER..).unwrap_or_default()),
                }
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// Reads any bytes as messages of the kernel, with their attributes.
#[cfg(any(fuzzing, test))]
pub fn read(bytes: &[u8]) {
    for (kind, body) in Messages(bytes) {
        let _ = (kind == NLMSG_ERROR).then(|| verdict(body));
        Attributes(body).for_each(drop);
    }
}

impl Ipvs for Netlink {
    fn request(&mut self, request: &Request) -> io::Result<()> {
        self.ask(self.family, request.body().bytes(), &mut |_| ())
    }

    fn timeouts(&mut self) -> io::Result<Timeouts> {
        let mut timeouts = Timeouts::default();
        self.ask(self.family, &[GET_CONFIG, VERSION, 0, 0], &mut |body| {
            for (kind, value) in Attributes(body) {
                let value = value.first_chunk().copied().map(u32::from_ne_bytes).unwrap_or_default();
                match kind {
                    TIMEOUT_TCP => timeouts.tcp = value,
                    TIMEOUT_TCP_FIN => timeouts.tcp_fin = value,
                    TIMEOUT_UDP => timeouts.udp = value,
                    _ => {}
                }
            }
        })?;
        Ok(timeouts)
    }
}

#[cfg(test)]
mod tests;
