//! Lightweight tunnels of routes: the header a route puts before its packets.

use super::message::Body;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const RTA_ENCAP_TYPE: u16 = 21;
const RTA_ENCAP: u16 = 22;

const LWTUNNEL_ENCAP_IP: u16 = 2;
const LWTUNNEL_ENCAP_IP6: u16 = 4;

/// The header's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// `encap ip`.
    Ipv4 {
        /// Where it goes to.
        dst: Option<Ipv4Addr>,
        /// Where it comes from.
        src: Option<Ipv4Addr>,
    },
    /// `encap ip6`.
    Ipv6 {
        /// Where it goes to.
        dst: Option<Ipv6Addr>,
        /// Where it comes from.
        src: Option<Ipv6Addr>,
    },
}

/// The header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encap {
    /// Its addresses.
    pub addresses: Addresses,
    /// The tunnel's number.
    pub id: Option<u64>,
    /// The type of service, or traffic class.
    pub tos: Option<u8>,
    /// The TTL, or hop limit.
    pub ttl: Option<u8>,
    /// The tunnel's flags.
    pub flags: Option<u16>,
}

impl Encap {
    /// Adds it to a route or a next hop.
    pub fn add(&self, body: &mut Body) {
        // Both families have one numbering.
        const ID: u16 = 1;
        const DST: u16 = 2;
        const SRC: u16 = 3;
        const TTL: u16 = 4;
        const TOS: u16 = 5;
        const FLAGS: u16 = 6;
        let (kind, dst, src) = match self.addresses {
            Addresses::Ipv4 { dst, src } => (LWTUNNEL_ENCAP_IP, dst.map(IpAddr::V4), src.map(IpAddr::V4)),
            Addresses::Ipv6 { dst, src } => (LWTUNNEL_ENCAP_IP6, dst.map(IpAddr::V6), src.map(IpAddr::V6)),
        };
        let mut inside = Body::new(&[]);
        if let Some(id) = self.id {
            inside.attribute(ID, &id.to_be_bytes());
        }
        for (number, ip) in [(DST, dst), (SRC, src)] {
            if let Some(ip) = ip {
                inside.address(number, ip);
            }
        }
        for (number, value) in [(TOS, self.tos), (TTL, self.ttl)] {
            if let Some(value) = value {
                inside.attribute(number, &[value]);
            }
        }
        if let Some(flags) = self.flags {
            inside.attribute(FLAGS, &flags.to_ne_bytes());
        }
        body.attribute(RTA_ENCAP, inside.bytes());
        body.attribute(RTA_ENCAP_TYPE, &kind.to_ne_bytes());
    }
}
