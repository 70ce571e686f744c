//! Lightweight tunnels of routes: the header a route puts before its packets.

use super::message::Body;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const RTA_ENCAP_TYPE: u16 = 21;
const RTA_ENCAP: u16 = 22;

const LWTUNNEL_ENCAP_MPLS: u16 = 1;
const LWTUNNEL_ENCAP_IP: u16 = 2;
const LWTUNNEL_ENCAP_ILA: u16 = 3;
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
pub enum Encap {
    /// `encap ip` and `encap ip6`.
    Tunnel(Tunnel),
    /// `encap mpls`.
    Mpls(Labels),
    /// `encap ila`: the upper half of the IPv6 address that packets get, as the wire has it.
    Ila([u8; 8]),
}

/// The entries of an MPLS label stack (RFC 3032 §2.1), outermost first; without any the kernel refuses the route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    entries: [u32; Self::MOST],
    count: usize,
}

impl Labels {
    /// The labels there is room for, as in keepalived.
    pub const MOST: usize = 2;
    /// The greatest label.
    pub const GREATEST: u32 = 0xf_ffff;

    /// A stack of these labels; nothing where there are none, too many, or one is too great.
    pub fn new(labels: &[u32]) -> Option<Self> {
        let mut stack = Self { count: labels.len(), ..Self::default() };
        let (last, _) = labels.split_last()?;
        if labels.len() > Self::MOST || labels.iter().any(|label| *label > Self::GREATEST) {
            return None;
        }
        for (entry, label) in stack.entries.iter_mut().zip(labels) {
            *entry = label << 12;
        }
        // The bottom of the stack.
        *stack.entries.get_mut(labels.len() - 1)? = (last << 12) | 0x100;
        Some(stack)
    }

    /// The entries as the wire has them, read as numbers.
    pub fn entries(&self) -> &[u32] {
        self.entries.get(..self.count).unwrap_or_default()
    }
}

/// The header of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
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
        // Both have one attribute.
        const VALUE: u16 = 1;
        let mut inside = Body::new(&[]);
        let kind = match self {
            Self::Tunnel(tunnel) => tunnel.add(&mut inside),
            Self::Mpls(labels) => {
                let bytes: Vec<u8> = labels.entries().iter().flat_map(|entry| entry.to_be_bytes()).collect();
                inside.attribute(VALUE, &bytes);
                LWTUNNEL_ENCAP_MPLS
            }
            Self::Ila(locator) => {
                inside.attribute(VALUE, locator);
                LWTUNNEL_ENCAP_ILA
            }
        };
        body.attribute(RTA_ENCAP, inside.bytes());
        body.attribute(RTA_ENCAP_TYPE, &kind.to_ne_bytes());
    }
}

impl Tunnel {
    /// Adds its attributes; the number of its kind.
    fn add(&self, inside: &mut Body) -> u16 {
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
        kind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_label_is_the_bottom_of_the_stack() {
        assert_eq!(Labels::new(&[100, 200]).unwrap().entries(), [0x6_4000, 0xc_8100]);
        assert_eq!(Labels::new(&[Labels::GREATEST]).unwrap().entries(), [0xffff_f100]);
        assert_eq!([Labels::new(&[]), Labels::new(&[1, 2, 3]), Labels::new(&[1 << 20])], [None; 3]);
        assert!(Labels::default().entries().is_empty());
    }
}
