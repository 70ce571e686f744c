//! Why a packet was not an advert for us, in keepalived's words.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt;
use std::net::IpAddr;

/// One check a packet did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Shorter than an IP header and a VRRP header.
    Packet {
        /// Over IPv6.
        ipv6: bool,
        /// Bytes received.
        length: usize,
    },
    /// Shorter than its address count demands.
    Short {
        /// Bytes received.
        length: usize,
        /// Bytes demanded.
        expected: usize,
    },
    /// Longer than its address count demands.
    Long {
        /// Bytes received.
        length: usize,
        /// Bytes demanded.
        expected: usize,
    },
    /// It has crossed a router (RFC 9568 §7.1).
    Hops {
        /// The TTL or hop limit it had.
        received: u8,
    },
    /// The other version of the protocol.
    Version {
        /// Its version.
        received: u8,
        /// Ours.
        expected: u8,
    },
    /// An authentication type nobody has defined.
    AuthenticationType {
        /// The type it had.
        received: u8,
    },
    /// Another authentication type than ours.
    AuthenticationMismatch {
        /// The type it had.
        received: u8,
        /// Ours.
        expected: u8,
    },
    /// The password is not ours.
    Password,
    /// There is an authentication header where none is expected, or the reverse.
    Header {
        /// One is expected.
        expected: bool,
    },
    /// The authentication header is not for an advert; nothing is said.
    Foreign,
    /// The check value of the authentication header is not that of our password.
    CheckValue,
    /// The index of the authentication header is not the sender's address.
    Index {
        /// The sender's address, as a number.
        received: u32,
        /// The index.
        expected: u32,
    },
    /// The number of the authentication header was seen before.
    Replayed {
        /// The number it had.
        sequence: u32,
        /// The greatest so far.
        last: u32,
    },
    /// There is no trailer where one is demanded.
    NoTrailer {
        /// The sender.
        source: IpAddr,
    },
    /// The trailer is of no known kind.
    Trailer {
        /// The sender.
        source: IpAddr,
    },
    /// No key has the number in the trailer.
    Key {
        /// The sender.
        source: IpAddr,
        /// The number.
        id: u8,
    },
    /// The hash of the trailer is not that of our key.
    Hash {
        /// The sender.
        source: IpAddr,
    },
    /// The time in the trailer is too far from ours.
    Stale {
        /// The sender.
        source: IpAddr,
        /// The seconds it is behind.
        skew: i32,
        /// The seconds it may be away.
        window: u32,
    },
    /// The sequence of the trailer was seen before.
    Repeated {
        /// The sender.
        source: IpAddr,
    },
    /// An advert with a trailer comes from no configured peer.
    Stranger {
        /// The sender.
        source: IpAddr,
    },
    /// The sender advertises in another rhythm (VRRPv2 only).
    Interval {
        /// Our interval in seconds.
        mine: u64,
        /// The sender's.
        theirs: u64,
    },
    /// Not an advertisement.
    Type {
        /// The type it had.
        received: u8,
    },
    /// Another number of addresses than ours.
    Count {
        /// The number it had.
        received: u8,
        /// Ours.
        expected: usize,
    },
    /// The checksum does not fit.
    Checksum {
        /// The version, which decides what is summed.
        version: u8,
    },
    /// Multicast where we speak unicast, or the reverse.
    Kind {
        /// `multi` or `uni`.
        expected: &'static str,
        /// The other.
        received: &'static str,
    },
    /// One of our addresses is not among the sender's.
    Address {
        /// The virtual router.
        vrid: u8,
        /// The address.
        address: IpAddr,
    },
    /// The sender is no configured peer.
    Peer {
        /// The sender.
        source: IpAddr,
    },
    /// The router owns its addresses, and drops the adverts of others.
    Owner {
        /// The sender.
        source: IpAddr,
    },
    /// The peer is nearer or farther than configured.
    Range {
        /// The TTL or hop limit it had.
        received: u8,
        /// The least.
        low: u8,
        /// The most.
        high: u8,
    },
}

impl Refusal {
    /// Whether the packet passed every check before those of its addresses and its sender.
    pub const fn is_late(&self) -> bool {
        self.is_advert() || matches!(self, Self::Count { .. })
    }

    /// Whether the packet was an advert of our version, kind and password all the same.
    pub const fn is_advert(&self) -> bool {
        matches!(self, Self::Address { .. } | Self::Peer { .. } | Self::Range { .. })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packet { ipv6, length } => {
                write!(f, "IPv{} VRRP packet too short - {length} bytes", if *ipv6 { 6 } else { 4 })
            }
            Self::Short { length, expected } => {
                write!(f, "vrrp packet too short, length {length} and expect {expected}")
            }
            Self::Long { length, expected } => write!(f, "vrrp packet too long, length {length} and expect {expected}"),
            Self::Hops { received } => write!(f, "invalid TTL/HL. Received {received} and expect 255"),
            Self::Version { received, expected } => {
                write!(f, "wrong version. Received {received} and expect {expected}")
            }
            Self::AuthenticationType { received } => write!(f, "Invalid auth type: {received}"),
            Self::AuthenticationMismatch { received, expected } => {
                write!(f, "received a {received} auth, expecting {expected}!")
            }
            Self::Password => write!(f, "received an invalid passwd!"),
            Self::Header { expected: false } => write!(f, "Received AH header but auth type not AH"),
            Self::Header { expected: true } => write!(f, "No AH header but auth type is AH"),
            Self::Foreign => Ok(()),
            Self::CheckValue => {
                let why = "Due to fields mutation or bad password !";
                write!(f, "IPSEC-AH : invalid IPSEC HMAC-MD5 value. {why}")
            }
            Self::Index { received, expected } => {
                write!(f, "IPSEC AH : invalid IPSEC SPI value. {received} and expect {expected}")
            }
            Self::Replayed { sequence, last } => {
                let what = "already processed. Packet dropped.";
                write!(f, "IPSEC-AH : sequence number {sequence} {what} Local({last})")
            }
            Self::Interval { mine, theirs } => {
                write!(f, "advertisement interval mismatch mine={mine} sec rcv'd={theirs} sec")
            }
            Self::Type { received } => write!(f, "Invalid packet type. {received} and expect 1"),
            Self::Count { received, expected } => {
                write!(f, "received an unexpected ip number count {received}, expected {expected}!")
            }
            Self::Checksum { version } => write!(f, "Invalid VRRPv{version} checksum"),
            Self::Kind { expected, received } => {
                write!(f, "Expected {expected}cast packet but received {received}cast packet")
            }
            Self::Address { vrid, address } => {
                write!(f, "ip address associated with VRID {vrid} not present in MASTER advert : {address}")
            }
            Self::NoTrailer { source } => write!(f, "missing authentication trailer from {source}"),
            Self::Trailer { source } => write!(f, "malformed authentication trailer from {source}"),
            Self::Key { source, id } => write!(f, "unknown authentication key id {id} from {source}"),
            Self::Hash { source } => write!(f, "invalid authentication HMAC from {source}"),
            Self::Stale { source, skew, window } => {
                let what = "stale authentication trailer";
                write!(f, "{what} from {source}, clock skew {skew} sec exceeds window {window} sec")
            }
            Self::Repeated { source } => write!(f, "replayed authentication trailer from {source}"),
            Self::Peer { source } | Self::Stranger { source } => {
                write!(f, "unicast source address {source} not a unicast peer")
            }
            Self::Owner { source } => write!(f, "Dropping packet(s) from {source} since we are address owner"),
            Self::Range { received, low, high } => write!(f, "TTL/HL {received} not in range {low} - {high}"),
        }
    }
}
