//! Addresses on interfaces.

use super::netlink::{Attributes, Commands};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope, CacheInfo};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// What the kernel says of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface.
    pub index: u32,
    /// The address.
    pub ip: IpAddr,
    /// Its network's length.
    pub prefix: u8,
    /// Duplicate address detection is not over (RFC 4862 §5.4).
    pub tentative: bool,
    /// Its scope, in the kernel's numbers.
    pub scope: u8,
    /// Another address of its network came first.
    pub secondary: bool,
}

impl Address {
    /// The body of an address message.
    pub fn read(body: &[u8]) -> Option<Self> {
        const TENTATIVE: u8 = 0x40;
        const SECONDARY: u8 = 0x01;
        let [_, prefix, flags, scope] = *body.first_chunk()?;
        let index = u32::from_ne_bytes(body.get(4..8)?.try_into().ok()?);
        let (mut address, mut local) = (None, None);
        for (kind, value) in Attributes(body.get(8..)?) {
            match kind {
                1 => address = ip(value),
                2 => local = ip(value),
                _ => {}
            }
        }
        // With a peer, `address` is the far end.
        let ip = local.or(address)?;
        let (tentative, secondary) = (flags & TENTATIVE != 0, flags & SECONDARY != 0);
        Some(Self { index, ip, prefix, tentative, scope, secondary })
    }
}

/// An address in a message, by its length.
pub(super) fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => <[u8; 4]>::try_from(value).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(value).ok().map(IpAddr::from),
        _ => None,
    }
}

/// An address as it is to be put on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The interface.
    pub index: u32,
    /// The address.
    pub ip: IpAddr,
    /// Its network's length.
    pub prefix: u8,
    /// Its scope (IPv4).
    pub scope: u8,
    /// Its label (IPv4).
    pub label: Option<String>,
    /// Its broadcast address (IPv4).
    pub broadcast: Option<Ipv4Addr>,
    /// The far end, and the length of its network.
    pub peer: Option<(IpAddr, u8)>,
    /// `home`.
    pub home: bool,
    /// Without duplicate address detection (IPv6).
    pub nodad: bool,
    /// `mngtmpaddr`.
    pub manage_temporary: bool,
    /// `noprefixroute`.
    pub no_prefix_route: bool,
    /// `autojoin`.
    pub auto_join: bool,
    /// Seconds it is preferred as a source; `None` for ever.
    pub preferred: Option<u32>,
}

impl Wanted {
    fn message(&self) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.family = if self.ip.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
        message.header.prefix_len = self.peer.map_or(self.prefix, |(_, prefix)| prefix);
        message.header.index = self.index;
        message.header.scope = AddressScope::from(self.scope);
        let attributes = &mut message.attributes;
        attributes.push(AddressAttribute::Local(self.ip));
        attributes.push(AddressAttribute::Address(self.peer.map_or(self.ip, |(ip, _)| ip)));
        attributes.extend(self.broadcast.map(AddressAttribute::Broadcast));
        if let Some(label) = &self.label {
            attributes.push(AddressAttribute::Label(label.clone()));
        }
        let flags = self.flags();
        if !flags.is_empty() {
            attributes.push(AddressAttribute::Flags(flags));
        }
        if let Some(preferred) = self.preferred {
            let mut info = CacheInfo::default();
            info.ifa_preferred = preferred;
            info.ifa_valid = u32::MAX;
            attributes.push(AddressAttribute::CacheInfo(info));
        }
        message
    }

    fn flags(&self) -> AddressFlags {
        let mut flags = AddressFlags::empty();
        flags.set(AddressFlags::Homeaddress, self.home);
        flags.set(AddressFlags::Nodad, self.nodad && self.ip.is_ipv6());
        flags.set(AddressFlags::Managetempaddr, self.manage_temporary);
        flags.set(AddressFlags::Noprefixroute, self.no_prefix_route);
        flags.set(AddressFlags::Mcautojoin, self.auto_join);
        flags
    }

    /// Puts the address on its interface. One that is there already is left as it is.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn add(&self, commands: &mut Commands) -> io::Result<()> {
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        match commands.request(RouteNetlinkMessage::NewAddress(self.message()), flags) {
            Err(error) if error.raw_os_error() == Some(Errno::EEXIST as i32) => Ok(()),
            outcome => outcome,
        }
    }

    /// Takes the address away. One that is not there is fine.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn remove(&self, commands: &mut Commands) -> io::Result<()> {
        let gone = [Errno::EADDRNOTAVAIL as i32, Errno::ENODEV as i32];
        match commands.request(RouteNetlinkMessage::DelAddress(self.message()), 0) {
            Err(error) if error.raw_os_error().is_some_and(|code| gone.contains(&code)) => Ok(()),
            outcome => outcome,
        }
    }
}
