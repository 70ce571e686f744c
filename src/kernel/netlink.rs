//! Route netlink: asking and being told.

use super::address::Address;
use super::link::Link;
use super::{route, rule};
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;

/// The multicast groups that tell of links and addresses.
const GROUPS: [u32; 3] = [1, 5, 9];
/// Those that tell of routes and rules.
const ROUTE_GROUPS: [u32; 4] = [7, 8, 11, 19];

/// A message of the kernel is never longer than this (NLMSG_GOODSIZE).
const BUFFER: usize = 32 * 1024;

/// Answers waited for before a request counts as unanswered.
const PATIENCE: usize = 64 * 1024;

/// What the kernel tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A link is there, or is different now.
    Link(Link),
    /// A link is gone.
    LinkGone(Link),
    /// An address is there.
    Address(Address),
    /// An address is gone.
    AddressGone(Address),
    /// A route of ours was put.
    Route(route::Seen),
    /// A route of ours is gone.
    RouteGone(route::Seen),
    /// A rule of ours is gone.
    RuleGone(rule::Seen),
    /// Some changes were lost: everything must be asked for again.
    Lost,
}

/// Being told.
pub struct Monitor {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Monitor {
    /// A monitor that hears of changes from now on.
    ///
    /// # Errors
    /// What the system said.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        for group in GROUPS {
            socket.add_membership(group)?;
        }
        socket.set_non_blocking(true)?;
        // A burst of changes on a busy host must fit; a kernel that refuses leaves its default.
        let _ = socket.set_rx_buf_sz(1_i32 << 20);
        Ok(Self { socket, buffer: vec![0; BUFFER] })
    }

    /// Receives changes of routes and rules too. Call it only where they are tracked: a full routing table changes often.
    ///
    /// # Errors
    /// What the system said.
    pub fn watch_routes(&mut self) -> io::Result<()> {
        ROUTE_GROUPS.into_iter().try_for_each(|group| self.socket.add_membership(group))
    }

    /// Reads what has been told, as far as it is there.
    pub fn read(&mut self, changes: &mut Vec<Change>) {
        for _ in 0..PATIENCE {
            match self.socket.recv(&mut self.buffer.as_mut_slice(), 0) {
                Ok(0) => return,
                Ok(length) => {
                    for (kind, body) in Messages(self.buffer.get(..length).unwrap_or_default()) {
                        changes.extend(change(kind, body));
                    }
                }
                Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => changes.push(Change::Lost),
                Err(_) => return,
            }
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What is asked of the kernel in bytes of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Put a route.
    NewRoute,
    /// Take a route away.
    DeleteRoute,
    /// Put a rule.
    NewRule,
    /// Take a rule away.
    DeleteRule,
    /// Make a link, or change one.
    NewLink,
    /// Take a link away.
    DeleteLink,
}

impl Request {
    /// Its name and number, as keepalived tells them.
    pub const fn shown(self) -> (&'static str, u16) {
        match self {
            Self::NewRoute => ("RTM_NEWROUTE", RTM_NEWROUTE),
            Self::DeleteRoute => ("RTM_DELROUTE", RTM_DELROUTE),
            Self::NewRule => ("RTM_NEWRULE", RTM_NEWRULE),
            Self::DeleteRule => ("RTM_DELRULE", RTM_DELRULE),
            Self::NewLink => ("RTM_NEWLINK", RTM_NEWLINK),
            Self::DeleteLink => ("RTM_DELLINK", RTM_DELLINK),
        }
    }
}

/// Asking.
pub struct Commands {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Commands {
    /// A socket for requests.
    ///
    /// # Errors
    /// What the system said.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; BUFFER] })
    }

    /// The number of the last request.
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Sends a request and waits for its acknowledgement.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn request(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        let sequence = self.send(message, NLM_F_REQUEST | NLM_F_ACK | flags)?;
        self.answers(sequence, &mut |_, _| ())
    }

    /// Sends a request with a body of our own and waits for its acknowledgement.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn ask(&mut self, request: Request, body: &[u8], flags: u16) -> io::Result<()> {
        const HEADER: usize = 16;
        self.sequence = self.sequence.wrapping_add(1);
        let length = u32::try_from(HEADER.saturating_add(body.len())).unwrap_or(u32::MAX);
        let (_, kind) = request.shown();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((NLM_F_REQUEST | NLM_F_ACK | flags).to_ne_bytes());
        bytes.extend(self.sequence.to_ne_bytes());
        bytes.extend(0_u32.to_ne_bytes());
        bytes.extend(body);
        self.socket.send(&bytes, 0)?;
        self.answers(self.sequence, &mut |_, _| ())
    }

    /// Every link there is.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn links(&mut self) -> io::Result<Vec<Link>> {
        let ask = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let sequence = self.send(ask, NLM_F_REQUEST | NLM_F_DUMP)?;
        let mut links = Vec::new();
        self.answers(sequence, &mut |kind, body| {
            if let Some(Change::Link(link)) = change(kind, body) {
                links.push(link);
            }
        })?;
        Ok(links)
    }

    /// Every address there is.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn addresses(&mut self) -> io::Result<Vec<Address>> {
        let ask = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let sequence = self.send(ask, NLM_F_REQUEST | NLM_F_DUMP)?;
        let mut addresses = Vec::new();
        self.answers(sequence, &mut |kind, body| {
            if let Some(Change::Address(address)) = change(kind, body) {
                addresses.push(address);
            }
        })?;
        Ok(addresses)
    }

    fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<u32> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        Ok(self.sequence)
    }

    fn answers(&mut self, sequence: u32, see: &mut dyn FnMut(u16, &[u8])) -> io::Result<()> {
        for _ in 0..PATIENCE {
            let length = self.socket.recv(&mut self.buffer.as_mut_slice(), 0)?;
            let bytes = self.buffer.get(..length).unwrap_or_default();
            // A late answer to an earlier request is not ours to judge.
            if bytes.get(8..12).is_some_and(|of| of != sequence.to_ne_bytes()) {
                continue;
            }
            for (kind, body) in Messages(bytes) {
                match kind {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => return verdict(body),
                    _ => see(kind, body),
                }
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// The result that an acknowledgement carries.
///
/// # Errors
/// What the kernel answered.
pub fn verdict(body: &[u8]) -> io::Result<()> {
    match body.first_chunk().map(|code| i32::from_ne_bytes(*code)) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn change(kind: u16, body: &[u8]) -> Option<Change> {
    match kind {
        RTM_NEWLINK => Link::read(body).map(Change::Link),
        RTM_DELLINK => Link::read(body).map(Change::LinkGone),
        RTM_NEWADDR => Address::read(body).map(Change::Address),
        RTM_DELADDR => Address::read(body).map(Change::AddressGone),
        RTM_NEWROUTE => route::Seen::read(body).map(Change::Route),
        RTM_DELROUTE => route::Seen::read(body).map(Change::RouteGone),
        RTM_DELRULE => rule::Seen::read(body).map(Change::RuleGone),
        _ => None,
    }
}

/// The messages of a datagram: type and body.
pub struct Messages<'a>(pub &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = u32::from_ne_bytes(*self.0.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes(self.0.get(4..6)?.try_into().ok()?);
        let body = self.0.get(16..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    }
}

/// The attributes behind a message's fixed part: type and value.
pub struct Attributes<'a>(pub &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16::from_ne_bytes(*self.0.first_chunk()?));
        let kind = u16::from_ne_bytes(self.0.get(2..4)?.try_into().ok()?);
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        // The two highest bits are flags.
        Some((kind & 0x3fff, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_answer_of_the_kernel_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 16_u16..34) {
            for (kind, body) in Messages(&bytes) {
                let _ = change(kind, body);
            }
            let _ = (change(kind, &bytes), verdict(&bytes));
        }
    }

    #[test]
    fn the_loopback_link_is_found() {
        let mut commands = Commands::open().unwrap();
        assert!(commands.links().unwrap().iter().any(|link| link.name == "lo" && link.index == 1));
    }
}
