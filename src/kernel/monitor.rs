//! What the kernel tells of links, addresses, routes and rules: lists on request, and changes as they come.

use super::address::Address;
use super::link::Link;
use super::netlink::{
    BUFFER, Commands, Messages, PATIENCE, RTM_DELLINK, RTM_DELROUTE, RTM_DELRULE, RTM_NEWLINK, RTM_NEWROUTE,
};
use super::{route, rule};
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;

/// The multicast groups that tell of links and addresses.
const GROUPS: [u32; 3] = [1, 5, 9];
/// Those that tell of routes and rules.
const ROUTE_GROUPS: [u32; 4] = [7, 8, 11, 19];

/// What the kernel tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A link is there, or is different now.
    Link(Link),
    /// A link is gone.
    LinkGone(Link),
    /// An address is there.
    Address(Address),
    /// An address is gone.
    AddressGone(Address),
    /// A route of ours was put.
    Route(route::Seen),
    /// A route of ours is gone.
    RouteGone(route::Seen),
    /// A rule of ours is gone.
    RuleGone(rule::Seen),
    /// Some changes were lost: everything must be asked for again.
    Lost,
}

/// A socket that receives what the kernel tells.
pub struct Monitor {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Monitor {
    /// A socket that receives changes from now on.
    ///
    /// # Errors
    /// What the system said.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        for group in GROUPS {
            socket.add_membership(group)?;
        }
        socket.set_non_blocking(true)?;
        // A burst of changes on a busy host must fit; a kernel that refuses leaves its default.
        let _ = socket.set_rx_buf_sz(1_i32 << 20);
        Ok(Self { socket, buffer: vec![0; BUFFER] })
    }

    /// Receives changes of routes and rules too. Call it only where they are tracked: a full routing table changes often.
    ///
    /// # Errors
    /// What the system said.
    pub fn watch_routes(&mut self) -> io::Result<()> {
        ROUTE_GROUPS.into_iter().try_for_each(|group| self.socket.add_membership(group))
    }

    /// Reads what has been told, as far as it is there.
    pub fn read(&mut self, changes: &mut Vec<Change>) {
        for _ in 0..PATIENCE {
            match self.socket.recv(&mut self.buffer.as_mut_slice(), 0) {
                Ok(0) => return,
                Ok(length) => {
                    for (kind, body) in Messages(self.buffer.get(..length).unwrap_or_default()) {
                        changes.extend(change(kind, body));
                    }
                }
                Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => changes.push(Change::Lost),
                Err(_) => return,
            }
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Commands {
    /// Every link there is.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn links(&mut self) -> io::Result<Vec<Link>> {
        let ask = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let sequence = self.send(ask, NLM_F_REQUEST | NLM_F_DUMP)?;
        let mut links = Vec::new();
        self.answers(sequence, &mut |kind, body| {
            if let Some(Change::Link(link)) = change(kind, body) {
                links.push(link);
            }
        })?;
        Ok(links)
    }

    /// Every address there is.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn addresses(&mut self) -> io::Result<Vec<Address>> {
        let ask = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let sequence = self.send(ask, NLM_F_REQUEST | NLM_F_DUMP)?;
        let mut addresses = Vec::new();
        self.answers(sequence, &mut |kind, body| {
            if let Some(Change::Address(address)) = change(kind, body) {
                addresses.push(address);
            }
        })?;
        Ok(addresses)
    }
}

fn change(kind: u16, body: &[u8]) -> Option<Change> {
    match kind {
        RTM_NEWLINK => Link::read(body).map(Change::Link),
        RTM_DELLINK => Link::read(body).map(Change::LinkGone),
        RTM_NEWADDR => Address::read(body).map(Change::Address),
        RTM_DELADDR => Address::read(body).map(Change::AddressGone),
        RTM_NEWROUTE => route::Seen::read(body).map(Change::Route),
        RTM_DELROUTE => route::Seen::read(body).map(Change::RouteGone),
        RTM_DELRULE => rule::Seen::read(body).map(Change::RuleGone),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::netlink::verdict;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_answer_of_the_kernel_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 16_u16..34) {
            for (kind, body) in Messages(&bytes) {
                let _ = change(kind, body);
            }
            let _ = (change(kind, &bytes), verdict(&bytes));
        }
    }

    #[test]
    fn the_loopback_link_is_found() {
        let mut commands = Commands::open().unwrap();
        assert!(commands.links().unwrap().iter().any(|link| link.name == "lo" && link.index == 1));
    }
}
