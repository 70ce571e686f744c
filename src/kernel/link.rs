//! Interfaces.

use super::netlink::Attributes;

const IFF_UP: u32 = 0x1;
const IFF_LOOPBACK: u32 = 0x8;
const IFF_RUNNING: u32 = 0x40;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number, never used twice for two interfaces at once.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Administratively up, with carrier.
    pub up: bool,
    /// It reaches this host only.
    pub loopback: bool,
    /// Its Ethernet address, if it has one.
    pub mac: Option<[u8; 6]>,
    /// The largest packet.
    pub mtu: u32,
}

impl Link {
    /// The body of a link message; `None` for what says nothing about a whole link (such as bridge port messages).
    pub fn read(body: &[u8]) -> Option<Self> {
        const AF_UNSPEC: u8 = 0;
        if *body.first()? != AF_UNSPEC {
            return None;
        }
        let index = u32::from_ne_bytes(body.get(4..8)?.try_into().ok()?);
        let flags = u32::from_ne_bytes(body.get(8..12)?.try_into().ok()?);
        let mut link = Self {
            index,
            name: String::new(),
            up: flags & IFF_UP != 0 && flags & IFF_RUNNING != 0,
            loopback: flags & IFF_LOOPBACK != 0,
            mac: None,
            mtu: 0,
        };
        for (kind, value) in Attributes(body.get(16..)?) {
            match kind {
                1 => link.mac = value.try_into().ok(),
                3 => link.name = String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned(),
                4 => link.mtu = value.try_into().map_or(0, u32::from_ne_bytes),
                _ => {}
            }
        }
        (!link.name.is_empty()).then_some(link)
    }
}
