//! What other hosts say in ARP packets.

use crate::sys;
use nix::sys::socket::{LinkAddr, recvfrom};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// The Ethernet type of ARP.
const ETHERTYPE: u16 = 0x0806;
/// An ARP packet of IPv4 over Ethernet.
const LENGTH: usize = 28;
/// Hardware Ethernet, protocol IPv4, the lengths of both addresses.
const HEAD: [u8; 6] = [0, 1, 0x08, 0, 6, 4];

/// Who says that an address is his.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The interface it came in on.
    pub index: u32,
    /// The Ethernet address.
    pub mac: [u8; 6],
    /// The address.
    pub ip: IpAddr,
}

/// Hears the ARP packets of other hosts on all interfaces.
#[derive(Debug)]
pub struct ArpListener {
    socket: Socket,
}

impl ArpListener {
    /// Hears from now on.
    ///
    /// # Errors
    /// What the system said.
    pub fn open() -> io::Result<Self> {
        let packet = Domain::from(sys::packet::LINK_LAYER);
        let protocol = Protocol::from(i32::from(ETHERTYPE.to_be()));
        Ok(Self { socket: Socket::new(packet, Type::DGRAM.nonblocking(), Some(protocol))? })
    }

    /// The next claim, if a packet has come; `None` inside for one that claims nothing.
    pub fn receive(&self) -> Option<Option<Claim>> {
        let mut bytes = [0; LENGTH];
        let (length, from) = recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut bytes).ok()?;
        let index = u32::try_from(from?.ifindex()).unwrap_or_default();
        Some(claim(index, bytes.get(..length).unwrap_or_default()))
    }
}

impl AsFd for ArpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What the sender of a packet claims; one that looks for a free address claims none.
fn claim(index: u32, bytes: &[u8]) -> Option<Claim> {
    let rest = bytes.strip_prefix(&HEAD)?;
    let mac: [u8; 6] = rest.get(2..8)?.try_into().ok()?;
    let ip: [u8; 4] = rest.get(8..12)?.try_into().ok()?;
    let ip = Ipv4Addr::from(ip);
    (!ip.is_unspecified()).then_some(Claim { index, mac, ip: ip.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_of_an_arp_packet_claims_its_address() {
        let mut packet = [HEAD.as_slice(), &[0, 2], &[2, 0, 0, 0, 0, 7], &[192, 0, 2, 10], &[0; 10]].concat();
        let expected = Claim { index: 3, mac: [2, 0, 0, 0, 0, 7], ip: [192, 0, 2, 10].into() };
        assert_eq!(claim(3, &packet), Some(expected));
        assert_eq!(claim(3, &packet[..17]), None);
        packet[14..18].fill(0);
        assert_eq!(claim(3, &packet), None);
        packet[0] = 6;
        assert_eq!(claim(3, &packet), None);
    }
}
