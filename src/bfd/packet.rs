//! The control packet (RFC 5880 §4.1), and what makes one invalid, in keepalived's words.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt;

/// The port packets are sent to (RFC 5881 §4).
pub const PORT: u16 = 3784;
/// The UDP port of sessions over several hops (RFC 5883 §5).
pub const MULTIHOP_PORT: u16 = 4784;
/// The length of a packet without authentication.
pub const LENGTH: usize = 24;
/// The only version.
const VERSION: u8 = 1;

/// The state of a session (RFC 5880 §6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Somebody has turned it off.
    AdminDown,
    /// There is no session, or it has just failed.
    Down,
    /// The other end sends, and may not know of this one.
    Init,
    /// Both ends hear each other.
    Up,
}

impl State {
    const fn of(number: u8) -> Self {
        match number {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::AdminDown => 0,
            Self::Down => 1,
            Self::Init => 2,
            Self::Up => 3,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AdminDown => "AdminDown",
            Self::Down => "Down",
            Self::Init => "Init",
            Self::Up => "Up",
        })
    }
}

/// Why a session left the Up state last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Diagnostic(u8);

impl Diagnostic {
    /// It has not.
    pub const NONE: Self = Self(0);
    /// No packet came in time.
    pub const EXPIRED: Self = Self(1);
    /// The other end said it is down.
    pub const NEIGHBOUR_DOWN: Self = Self(3);
    /// The greatest that is defined.
    const LAST: u8 = 8;
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "No Diagnostic",
            1 => "Control Detection Time Expired",
            2 => "Echo Function Failed",
            3 => "Neighbor Signaled Session Down",
            4 => "Forwarding Plane Reset",
            5 => "Path Down",
            6 => "Concatenated Path Down",
            7 => "Administratively Down",
            8 => "Reverse Concatenated Path Down",
            _ => "Unknown",
        })
    }
}

/// A control packet. Times are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Why the sender's session failed last.
    pub diagnostic: Diagnostic,
    /// The sender's state.
    pub state: State,
    /// An answer is wanted: the sender's times have changed.
    pub poll: bool,
    /// This is that answer.
    pub last: bool,
    /// It is authenticated.
    pub authenticated: bool,
    /// The sender wants no periodic packets.
    pub demand: bool,
    /// Packets that may be lost, times the interval, before the session fails.
    pub multiplier: u8,
    /// The sender's number of the session.
    pub mine: u32,
    /// The receiver's number of the session; zero while it is not known.
    pub yours: u32,
    /// The least time between packets the sender would like to send.
    pub min_tx: u32,
    /// The least time between packets the sender can receive.
    pub min_rx: u32,
}

/// Why bytes are no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// There are too few of them.
    Short(usize),
    /// The length inside is another.
    Length {
        /// The length inside.
        field: u8,
        /// The bytes that came.
        received: usize,
    },
    /// Another version of the protocol.
    Version(u8),
    /// A session with it would fail at once.
    Multiplier,
    /// It is for several receivers.
    Multipoint,
    /// It has no number of its session.
    Mine,
    /// It does not name the receiver's session, whose existence its state depends on.
    Yours,
    /// It asks and answers at once.
    PollAndFinal,
    /// A diagnostic nobody has defined.
    Diagnostic(u8),
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(length) => write!(f, "Packet is too small: {length} bytes"),
            Self::Length { field, received } => {
                write!(f, "Packet size mismatch: length field: {field} bytes, buffer size: {received} bytes")
            }
            Self::Version(version) => write!(f, "Packet is of unsupported version: {version}"),
            Self::Multiplier => write!(f, "Packet 'detection multiplier' field is zero"),
            Self::Multipoint => write!(f, "Packet has 'multipoint' flag"),
            Self::Mine => write!(f, "Packet 'my discriminator' field is zero"),
            Self::Yours => {
                write!(f, "Packet 'your discriminator' field is zero and 'state' field is not Down or AdminDown")
            }
            Self::PollAndFinal => write!(f, "Packet has both poll and final  flags set"),
            Self::Diagnostic(number) => write!(f, "Packet has invalid 'diag' field: {number}"),
        }
    }
}

impl Packet {
    /// Reads a packet (RFC 5880 §6.8.6).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let Some(&[first, flags, multiplier, length, ref rest @ ..]) = bytes.first_chunk::<LENGTH>() else {
            return Err(Invalid::Short(bytes.len()));
        };
        if usize::from(length) != bytes.len() {
            return Err(Invalid::Length { field: length, received: bytes.len() });
        }
        let number = |at: usize| {
            let word = rest.get(at * 4..).and_then(|rest| rest.first_chunk::<4>());
            word.map_or(0, |word| u32::from_be_bytes(*word))
        };
        let flag = |mask: u8| flags & mask != 0;
        let packet = Self {
            diagnostic: Diagnostic(first & 0x1f),
            state: State::of(flags >> 6),
            poll: flag(0x20),
            last: flag(0x10),
            authenticated: flag(0x04),
            demand: flag(0x02),
            multiplier,
            mine: number(0),
            yours: number(1),
            min_tx: number(2),
            min_rx: number(3),
        };
        let unnamed = packet.yours == 0 && matches!(packet.state, State::Init | State::Up);
        match () {
            () if first >> 5 != VERSION => Err(Invalid::Version(first >> 5)),
            () if multiplier == 0 => Err(Invalid::Multiplier),
            () if flag(0x01) => Err(Invalid::Multipoint),
            () if packet.mine == 0 => Err(Invalid::Mine),
            () if unnamed => Err(Invalid::Yours),
            () if packet.poll && packet.last => Err(Invalid::PollAndFinal),
            () if packet.diagnostic.0 > Diagnostic::LAST => Err(Invalid::Diagnostic(packet.diagnostic.0)),
            () => Ok(packet),
        }
    }

    /// Its bytes.
    pub fn emit(&self) -> [u8; LENGTH] {
        let flags = [(self.poll, 0x20), (self.last, 0x10), (self.authenticated, 0x04), (self.demand, 0x02)];
        let flags = flags.iter().filter(|(set, _)| *set).fold(self.state.number() << 6, |all, (_, mask)| all | mask);
        let mut bytes = [0; LENGTH];
        let head = [VERSION << 5 | self.diagnostic.0, flags, self.multiplier, LENGTH as u8];
        let numbers = [self.mine, self.yours, self.min_tx, self.min_rx].map(u32::to_be_bytes);
        let all = head.into_iter().chain(numbers.into_iter().flatten());
        bytes.iter_mut().zip(all).for_each(|(slot, byte)| *slot = byte);
        bytes
    }
}

#[cfg(test)]
mod tests;
