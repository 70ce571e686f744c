//! Route netlink: requests, and the parts of messages.

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use std::io;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
pub(super) const RTM_NEWLINK: u16 = 16;
pub(super) const RTM_DELLINK: u16 = 17;
pub(super) const RTM_NEWROUTE: u16 = 24;
pub(super) const RTM_DELROUTE: u16 = 25;
const RTM_NEWRULE: u16 = 32;
pub(super) const RTM_DELRULE: u16 = 33;

/// A message of the kernel is never longer than this (NLMSG_GOODSIZE).
pub(super) const BUFFER: usize = 32 * 1024;

/// Answers waited for before a request counts as unanswered.
pub(super) const PATIENCE: usize = 64 * 1024;

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

    /// Sends a message; its number.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<u32> {
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

    /// Gives what answers a request to `see`, until the kernel says that this is all.
    ///
    /// # Errors
    /// What the kernel answered, or that it did not.
    pub(super) fn answers(&mut self, sequence: u32, see: &mut dyn FnMut(u16, &[u8])) -> io::Result<()> {
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
