//! What other hosts say in neighbour advertisements (RFC 4861 §4.4), which are to IPv6 what ARP packets are to IPv4.

use super::arp::Claim;
use crate::sys;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, IoSliceMut};
use std::net::Ipv6Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// The type of the message.
const ADVERTISEMENT: u8 = 136;
/// The bytes before the options.
const HEAD: usize = 24;
/// The option with the Ethernet address of the target.
const TARGET_ADDRESS: u8 = 2;
/// The length of that option, in units of eight bytes.
const ETHERNET: u8 = 1;
/// What no router has passed on.
const HOPS: i32 = 255;
/// More than any advertisement has.
const LONGEST: usize = 512;

/// Hears the neighbour advertisements that come to this host, on all interfaces.
#[derive(Debug)]
pub struct AdvertisementListener {
    socket: Socket,
}

impl AdvertisementListener {
    /// Hears from now on.
    ///
    /// # Errors
    /// What the system said.
    pub fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV6, Type::RAW.nonblocking(), Some(Protocol::ICMPV6))?;
        sys::packet::icmpv6_only(&socket, ADVERTISEMENT)?;
        socket.set_recv_hoplimit_v6(true)?;
        sys::packet::ipv6_receive_destination(&socket)?;
        Ok(Self { socket })
    }

    /// The next claim, if a packet has come; `None` inside for one that claims nothing.
    pub fn receive(&self) -> Option<Option<Claim>> {
        let mut bytes = [0; LONGEST];
        let mut control = nix::cmsg_space!(i32, sys::packet::PacketInfo);
        let (mut index, mut hops) = (0, 0);
        let length = {
            let mut slices = [IoSliceMut::new(&mut bytes)];
            let fd = self.socket.as_raw_fd();
            let message = recvmsg::<SockaddrIn6>(fd, &mut slices, Some(&mut control), MsgFlags::empty()).ok()?;
            for one in message.cmsgs().ok()? {
                match one {
                    ControlMessageOwned::Ipv6HopLimit(limit) => hops = limit,
                    ControlMessageOwned::Ipv6PacketInfo(info) => index = info.ipi6_ifindex,
                    _ => {}
                }
            }
            message.bytes
        };
        let claim = if hops == HOPS { claim(index, bytes.get(..length).unwrap_or_default()) } else { None };
        Some(claim)
    }
}

impl AsFd for AdvertisementListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What an advertisement claims: its target is at the Ethernet address of its option.
fn claim(index: u32, bytes: &[u8]) -> Option<Claim> {
    let head = bytes.first_chunk::<HEAD>().filter(|head| head[0] == ADVERTISEMENT && head[1] == 0)?;
    let target: [u8; 16] = head.last_chunk().copied()?;
    let mut options = bytes.get(HEAD..)?;
    loop {
        let [kind, units, ..] = *options else { return None };
        let (option, rest) = options.split_at_checked(usize::from(units) * 8).filter(|_| units > 0)?;
        if (kind, units) == (TARGET_ADDRESS, ETHERNET) {
            return Some(Claim { index, mac: *option.last_chunk()?, ip: Ipv6Addr::from(target).into() });
        }
        options = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advertisement_claims_its_target() {
        let target: Ipv6Addr = "fe80::110".parse().unwrap();
        let option = [2, 1, 2, 0, 0, 0, 0, 7];
        let packet = [&[136, 0, 0xaa, 0xaa, 0x20, 0, 0, 0], target.octets().as_slice(), &option].concat();
        let expected = Some(Claim { index: 3, mac: [2, 0, 0, 0, 0, 7], ip: target.into() });
        assert_eq!(claim(3, &packet), expected);
        let other = [14, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(claim(3, &[&packet[..24], &other, &option].concat()), expected);
        for length in 0..packet.len() {
            assert_eq!(claim(3, &packet[..length]), None, "{length}");
        }
        // An option without a length ends nowhere; a solicitation is none.
        assert_eq!(claim(3, &[&packet[..24], &[1, 0], &option].concat()), None);
        assert_eq!(claim(3, &[&[135], &packet[1..]].concat()), None);
    }
}
