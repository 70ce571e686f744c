//! What the kernel has told of links and addresses, kept up to date.

use crate::kernel::address::Address;
use crate::kernel::link::Link;
use crate::kernel::netlink::{Change, Commands};
use crate::kernel::packet::Port;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

/// Links by number, addresses in the kernel's order.
#[derive(Debug, Default)]
pub struct World {
    links: BTreeMap<u32, Link>,
    addresses: Vec<Address>,
}

/// A change that is worth a line or an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// An interface is there that was not.
    Added(Link),
    /// An interface is gone.
    Deleted(Link),
    /// An interface went up or down.
    Moved(Link),
    /// An address is there that was not.
    Assigned(Address, String),
    /// An address is gone.
    Deassigned(Address, String),
}

impl World {
    /// The world as it is now.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn ask(commands: &mut Commands) -> io::Result<Self> {
        let links = commands.links()?.into_iter().map(|link| (link.index, link)).collect();
        Ok(Self { links, addresses: commands.addresses()? })
    }

    /// The interface called `name`.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|link| link.name == name)
    }

    /// Both names of the interface called `name`.
    pub fn port(&self, name: &str) -> Option<Port> {
        self.link(name).map(|link| Port { name: link.name.clone(), index: link.index })
    }

    /// Whether the interface called `name` is there, up, and has carrier.
    pub fn is_up(&self, name: &str) -> bool {
        self.link(name).is_some_and(|link| link.up)
    }

    /// The address adverts from `name` carry: its first one that is not in `virtual_addresses`; link-local for IPv6.
    pub fn source(&self, name: &str, ipv6: bool, virtual_addresses: &[IpAddr]) -> Option<IpAddr> {
        const LINK: u8 = 253;
        let index = self.link(name)?.index;
        let fits = |address: &&Address| {
            address.index == index
                && address.ip.is_ipv6() == ipv6
                && (!ipv6 || address.scope == LINK && !address.tentative)
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
    pub fn apply(&mut self, change: Change) -> Option<Turn> {
        match change {
            Change::Link(link) => match self.links.insert(link.index, link.clone()) {
                None => Some(Turn::Added(link)),
                Some(before) => (before.up != link.up).then_some(Turn::Moved(link)),
            },
            Change::LinkGone(link) => {
                self.addresses.retain(|address| address.index != link.index);
                self.links.remove(&link.index).map(Turn::Deleted)
            }
            Change::Address(address) => {
                let name = self.links.get(&address.index)?.name.clone();
                let same = |one: &&mut Address| one.index == address.index && one.ip == address.ip;
                if let Some(known) = self.addresses.iter_mut().find(same) {
                    let settled = known.tentative && !address.tentative;
                    *known = address.clone();
                    return settled.then_some(Turn::Assigned(address, name));
                }
                self.addresses.push(address.clone());
                Some(Turn::Assigned(address, name))
            }
            Change::AddressGone(address) => {
                self.addresses.retain(|one| one.index != address.index || one.ip != address.ip);
                let name = self.links.get(&address.index)?.name.clone();
                Some(Turn::Deassigned(address, name))
            }
            Change::Lost => None,
        }
    }
}
