//! Interfaces, and those of kind macvlan that are made here.

use super::message::Body;
use super::netlink::{Attributes, Commands, Request};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use std::io;

const IFF_UP: u32 = 0x1;
const IFF_LOOPBACK: u32 = 0x8;
const IFF_RUNNING: u32 = 0x40;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_MACVLAN_MODE: u16 = 1;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number, never used twice for two interfaces at once.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its flags (IFF_*).
    pub flags: u32,
    /// Administratively up, with carrier.
    pub up: bool,
    /// It reaches this host only.
    pub loopback: bool,
    /// Its Ethernet address, if it has one.
    pub mac: Option<[u8; 6]>,
    /// The largest packet.
    pub mtu: u32,
    /// The number of the interface below it.
    pub base: Option<u32>,
    /// What kind of virtual interface it is.
    pub kind: Kind,
}

/// The kinds of interfaces that are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A macvlan in private mode, as VRRP uses it.
    PrivateMacvlan,
    /// A macvlan or ipvlan in another mode.
    OtherVlan,
    /// Anything else.
    #[default]
    Other,
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
            flags,
            up: flags & IFF_UP != 0 && flags & IFF_RUNNING != 0,
            loopback: flags & IFF_LOOPBACK != 0,
            mac: None,
            mtu: 0,
            base: None,
            kind: Kind::default(),
        };
        for (kind, value) in Attributes(body.get(16..)?) {
            match kind {
                IFLA_ADDRESS => link.mac = value.try_into().ok(),
                IFLA_IFNAME => {
                    link.name = String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned();
                }
                IFLA_MTU => link.mtu = value.try_into().map_or(0, u32::from_ne_bytes),
                IFLA_LINK => link.base = value.try_into().ok().map(u32::from_ne_bytes),
                IFLA_LINKINFO => link.kind = Kind::read(value),
                _ => {}
            }
        }
        if link.kind == Kind::Other {
            // Of other kinds it may be a peer, such as a veth's.
            link.base = None;
        }
        (!link.name.is_empty()).then_some(link)
    }
}

/// A macvlan's mode in which its siblings on the same interface receive nothing from it.
const PRIVATE: u32 = 1;

impl Kind {
    fn read(info: &[u8]) -> Self {
        let (mut kind, mut mode) = (None, None);
        for (attribute, value) in Attributes(info) {
            match attribute {
                IFLA_INFO_KIND => kind = Some(value.strip_suffix(&[0]).unwrap_or(value)),
                IFLA_INFO_DATA => {
                    let found = Attributes(value).find(|(attribute, _)| *attribute == IFLA_MACVLAN_MODE);
                    mode = found.and_then(|(_, mode)| mode.try_into().ok()).map(u32::from_ne_bytes);
                }
                _ => {}
            }
        }
        match kind {
            Some(b"macvlan") if mode == Some(PRIVATE) => Self::PrivateMacvlan,
            Some(b"macvlan" | b"ipvlan") => Self::OtherVlan,
            _ => Self::Other,
        }
    }
}

/// The fixed part of a message about a link: its number, and the flags to be set.
fn header(index: u32, flags: u32) -> Body {
    const UNUSED: u32 = 0;
    let words = [UNUSED, index, flags, flags];
    Body::new(&words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>())
}

fn nested(attributes: &[(u16, &[u8])]) -> Body {
    let mut body = Body::new(&[]);
    attributes.iter().for_each(|(kind, value)| body.attribute(*kind, value));
    body
}

/// A macvlan in private mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Macvlan {
    /// Its name.
    pub name: String,
    /// The number of the interface below it.
    pub base: u32,
    /// Its Ethernet address.
    pub mac: [u8; 6],
}

impl Macvlan {
    /// Makes the interface.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn add(&self, commands: &mut Commands) -> io::Result<()> {
        let mode = nested(&[(IFLA_MACVLAN_MODE, &PRIVATE.to_ne_bytes())]);
        let info = nested(&[(IFLA_INFO_KIND, b"macvlan"), (IFLA_INFO_DATA, mode.bytes())]);
        let mut body = header(0, 0);
        body.attribute(IFLA_LINKINFO, info.bytes());
        body.number(IFLA_LINK, self.base);
        body.name(IFLA_IFNAME, &self.name);
        body.attribute(IFLA_ADDRESS, &self.mac);
        commands.ask(Request::NewLink, body.bytes(), NLM_F_CREATE | NLM_F_EXCL)
    }
}

/// Removes an interface.
///
/// # Errors
/// What the kernel answered.
pub fn remove(commands: &mut Commands, index: u32) -> io::Result<()> {
    commands.ask(Request::DeleteLink, header(index, 0).bytes(), 0)
}

/// Sets an interface up.
///
/// # Errors
/// What the kernel answered.
pub fn set_up(commands: &mut Commands, index: u32) -> io::Result<()> {
    commands.ask(Request::NewLink, header(index, IFF_UP).bytes(), 0)
}

/// The IPv4 settings of an interface, by the kernel's numbers (IPV4_DEVCONF).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv4Setting {
    /// `rp_filter`.
    RpFilter = 8,
    /// `arp_filter`.
    ArpFilter = 13,
    /// `arp_ignore`.
    ArpIgnore = 19,
    /// `promote_secondaries`.
    PromoteSecondaries = 20,
    /// `accept_local`.
    AcceptLocal = 23,
}

/// Changes IPv4 settings of an interface.
///
/// # Errors
/// What the kernel answered.
pub fn set_ipv4(commands: &mut Commands, index: u32, settings: &[(Ipv4Setting, u32)]) -> io::Result<()> {
    const AF_INET: u16 = 2;
    const IFLA_INET_CONF: u16 = 1;
    let mut values = Body::new(&[]);
    settings.iter().for_each(|(setting, value)| values.number(*setting as u16, *value));
    let conf = nested(&[(IFLA_INET_CONF, values.bytes())]);
    let family = nested(&[(AF_INET, conf.bytes())]);
    let mut body = header(index, 0);
    body.attribute(IFLA_AF_SPEC, family.bytes());
    commands.ask(Request::NewLink, body.bytes(), 0)
}

/// Keeps the kernel from giving an interface a link-local address made from its Ethernet address.
///
/// # Errors
/// What the kernel answered.
pub fn no_generated_address(commands: &mut Commands, index: u32) -> io::Result<()> {
    const AF_INET6: u16 = 10;
    const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
    const NONE: u8 = 1;
    let mode = nested(&[(IFLA_INET6_ADDR_GEN_MODE, &[NONE])]);
    let family = nested(&[(AF_INET6, mode.bytes())]);
    let mut body = header(index, 0);
    body.attribute(IFLA_AF_SPEC, family.bytes());
    commands.ask(Request::NewLink, body.bytes(), 0)
}
