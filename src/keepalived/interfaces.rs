//! What the kernel has told of links and addresses, kept up to date.

use crate::kernel::address::Address;
use crate::kernel::link::Link;
use crate::kernel::monitor::Change;
use crate::kernel::netlink::Commands;
use crate::kernel::packet::Interface;
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::IpAddr;

/// Links by number, addresses in the kernel's order.
#[derive(Debug, Default)]
pub struct Interfaces {
    links: BTreeMap<u32, Link>,
    addresses: Vec<Address>,
    /// The state of links whose drivers are asked; what the kernel tells of it does not count.
    polled: BTreeMap<String, bool>,
}

/// A change that is worth a line or an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InterfaceEvent {
    /// An interface is there that was not.
    Added(Link),
    /// An interface is gone.
    Deleted(Link),
    /// An interface went up or down.
    Moved(Link),
    /// An interface has another name than the one given.
    Renamed(String, Link),
    /// An address is there that was not.
    Assigned(Address, String),
    /// An address is gone.
    Deassigned(Address, String),
}

impl Interfaces {
    /// All interfaces as they are now.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn ask(commands: &mut Commands) -> io::Result<Self> {
        let links = commands.links()?.into_iter().map(|link| (link.index, link)).collect();
        Ok(Self { links, addresses: commands.addresses()?, polled: BTreeMap::new() })
    }

    /// The interface called `name`.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|link| link.name == name)
    }

    /// All interfaces.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// The number of the interface a macvlan is on, or of the interface itself.
    pub fn base(&self, link: &Link) -> u32 {
        link.base.filter(|base| self.links.contains_key(base)).unwrap_or(link.index)
    }

    /// Both names of the interface called `name`.
    pub fn port(&self, name: &str) -> Option<Interface> {
        self.link(name).map(|link| Interface { name: link.name.clone(), index: link.index })
    }

    /// Whether the interface called `name` is there, up, and has carrier.
    pub fn is_up(&self, name: &str) -> bool {
        self.link(name).is_some_and(|link| self.polled.get(name).copied().unwrap_or(link.up))
    }

    /// Takes what the driver of a link says from now on; what was known before.
    pub fn set_polled(&mut self, name: &str, up: bool) -> Option<bool> {
        self.polled.insert(name.to_owned(), up)
    }

    /// No driver is asked any more.
    pub fn forget_polled(&mut self) {
        self.polled.clear();
    }

    /// The address adverts from `name` carry: its first one that is not in `virtual_addresses`; link-local for IPv6. One
    /// that is still tentative counts: duplicate address detection is over before the first advert is due.
    pub fn source(&self, name: &str, ipv6: bool, virtual_addresses: &HashSet<IpAddr>) -> Option<IpAddr> {
        const LINK: u8 = 253;
        let index = self.link(name)?.index;
        let fits = |address: &&Address| {
            address.index == index
                && address.ip.is_ipv6() == ipv6
                && (!ipv6 || address.scope == LINK)
                && !virtual_addresses.contains(&address.ip)
        };
        self.addresses.iter().find(fits).map(|address| address.ip)
    }

    /// Whether the interface called `name` holds `ip`.
    pub fn holds(&self, name: &str, ip: IpAddr) -> bool {
        let Some(link) = self.link(name) else { return false };
        self.addresses.iter().any(|address| address.index == link.index && address.ip == ip)
    }

    /// Takes a change; what it comes to.
    pub fn apply(&mut self, change: Change) -> Option<InterfaceEvent> {
        match change {
            Change::Link(link) => match self.links.insert(link.index, link.clone()) {
                None => Some(InterfaceEvent::Added(link)),
                Some(before) if before.name != link.name => Some(InterfaceEvent::Renamed(before.name, link)),
                Some(_) if self.polled.contains_key(&link.name) => None,
                Some(before) => (before.up != link.up).then_some(InterfaceEvent::Moved(link)),
            },
            Change::LinkGone(link) => {
                self.addresses.retain(|address| address.index != link.index);
                self.links.remove(&link.index).map(InterfaceEvent::Deleted)
            }
            Change::Address(address) => {
                let name = self.links.get(&address.index)?.name.clone();
                let same = |one: &&mut Address| one.index == address.index && one.ip == address.ip;
                if let Some(known) = self.addresses.iter_mut().find(same) {
                    *known = address;
                    return None;
                }
                self.addresses.push(address.clone());
                Some(InterfaceEvent::Assigned(address, name))
            }
            Change::AddressGone(address) => {
                self.addresses.retain(|one| one.index != address.index || one.ip != address.ip);
                let name = self.links.get(&address.index)?.name.clone();
                Some(InterfaceEvent::Deassigned(address, name))
            }
            // Routes and rules are their holders' business.
            Change::Route(_) | Change::RouteGone(_) | Change::RuleGone(_) | Change::Lost => None,
        }
    }

    /// The changes that were not told while this became `now`; to be applied in order.
    pub fn missed(&self, now: &Self) -> Vec<Change> {
        let is_there =
            |address: &&Address| now.addresses.iter().any(|one| (one.index, one.ip) == (address.index, address.ip));
        let gone = self.addresses.iter().filter(|address| !is_there(address)).cloned().map(Change::AddressGone);
        let links = self.links.values().filter(|link| !now.links.contains_key(&link.index));
        let removed = links.cloned().map(Change::LinkGone);
        let present = now.links.values().cloned().map(Change::Link);
        gone.chain(removed).chain(present).chain(now.addresses.iter().cloned().map(Change::Address)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str, up: bool) -> Link {
        Link {
            index,
            name: name.to_owned(),
            flags: if up { 0x1043 } else { 0x1002 },
            up,
            loopback: false,
            mac: None,
            mtu: 1500,
            base: None,
            kind: crate::kernel::link::Kind::Other,
        }
    }

    fn address(index: u32, ip: &str) -> Address {
        Address { index, ip: ip.parse().unwrap(), prefix: 24, tentative: false, scope: 0, secondary: false }
    }

    fn interfaces(links: &[Link], addresses: &[Address]) -> Interfaces {
        let links = links.iter().map(|link| (link.index, link.clone())).collect();
        Interfaces { links, addresses: addresses.to_vec(), polled: BTreeMap::new() }
    }

    #[test]
    fn what_was_missed_comes_to_the_same_as_what_was_told() {
        let mut old = interfaces(
            &[link(1, "stays", true), link(2, "goes", true), link(3, "falls", true), link(4, "before", true)],
            &[address(1, "192.0.2.1"), address(1, "192.0.2.10"), address(2, "192.0.2.2")],
        );
        let new = interfaces(
            &[link(1, "stays", true), link(3, "falls", false), link(4, "after", true), link(5, "comes", true)],
            &[address(1, "192.0.2.1"), address(5, "192.0.2.5")],
        );
        let turns: Vec<InterfaceEvent> = old.missed(&new).into_iter().filter_map(|change| old.apply(change)).collect();
        let expected = [
            InterfaceEvent::Deassigned(address(1, "192.0.2.10"), "stays".to_owned()),
            InterfaceEvent::Deassigned(address(2, "192.0.2.2"), "goes".to_owned()),
            InterfaceEvent::Deleted(link(2, "goes", true)),
            InterfaceEvent::Moved(link(3, "falls", false)),
            InterfaceEvent::Renamed("before".to_owned(), link(4, "after", true)),
            InterfaceEvent::Added(link(5, "comes", true)),
            InterfaceEvent::Assigned(address(5, "192.0.2.5"), "comes".to_owned()),
        ];
        assert_eq!(turns, expected);
        assert!(old.missed(&new).into_iter().filter_map(|change| old.apply(change)).next().is_none());
    }

    #[test]
    fn a_tentative_address_is_a_source() {
        const LINK: u8 = 253;
        let tentative = Address { tentative: true, scope: LINK, prefix: 64, ..address(1, "fe80::1") };
        let interfaces = interfaces(&[link(1, "eth0", true)], &[tentative]);
        assert_eq!(interfaces.source("eth0", true, &HashSet::new()), Some("fe80::1".parse().unwrap()));
    }
}
