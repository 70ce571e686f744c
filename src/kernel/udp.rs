//! UDP sockets whose packets tell where they came to and how far they have come.

use crate::sys;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// No packet that anybody reads here is longer; one that is counts as longer all the same.
const LONGEST: usize = 512;

/// A packet that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The sender.
    pub source: SocketAddr,
    /// The address of this host it came to.
    pub destination: Option<IpAddr>,
    /// The TTL or hop limit.
    pub hops: Option<u8>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Receives packets to one port, over IPv4 and IPv6.
#[derive(Debug)]
pub struct UdpReceiver(Socket);

impl UdpReceiver {
    /// Listens on every address.
    ///
    /// # Errors
    /// What the system said.
    pub fn open(port: u16) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV6, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        socket.set_only_v6(false)?;
        socket.set_recv_hoplimit_v6(true)?;
        sys::packet::receive_ttl(&socket)?;
        sys::packet::ipv6_receive_destination(&socket)?;
        socket.bind(&SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port).into())?;
        Ok(Self(socket))
    }

    /// The next packet, if one has come.
    pub fn receive(&self) -> Option<Datagram> {
        let mut bytes = vec![0; LONGEST];
        let mut control = nix::cmsg_space!(i32, i32, sys::packet::PacketInfo);
        let (mut destination, mut hops) = (None, None);
        let (source, length) = {
            let mut slices = [IoSliceMut::new(&mut bytes)];
            let fd = self.0.as_raw_fd();
            let message = recvmsg::<SockaddrIn6>(fd, &mut slices, Some(&mut control), MsgFlags::empty()).ok()?;
            for one in message.cmsgs().ok()? {
                match one {
                    ControlMessageOwned::Ipv6HopLimit(limit) | ControlMessageOwned::Ipv4Ttl(limit) => {
                        hops = u8::try_from(limit).ok();
                    }
                    ControlMessageOwned::Ipv6PacketInfo(info) => {
                        destination = Some(plain(Ipv6Addr::from(info.ipi6_addr.s6_addr)));
                    }
                    _ => {}
                }
            }
            (message.address.map(|from| SocketAddr::new(plain(from.ip()), from.port()))?, message.bytes)
        };
        bytes.truncate(length);
        Some(Datagram { source, destination, hops, bytes })
    }
}

impl AsFd for UdpReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for UdpSender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// An address of IPv4 as such.
fn plain(ip: Ipv6Addr) -> IpAddr {
    ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4)
}

/// Sends packets to one address.
#[derive(Debug)]
pub struct UdpSender {
    socket: Socket,
    to: SockAddr,
}

impl UdpSender {
    /// Sends to `to` from `source`, or the address the system chooses, and from the first of `ports` that is free, with this
    /// TTL or hop limit.
    ///
    /// # Errors
    /// What the system said.
    pub fn open(
        to: SocketAddr,
        source: Option<IpAddr>,
        ports: impl Iterator<Item = u16>,
        hops: u8,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(to), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        let any = if to.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
        let mut outcome = Err(io::ErrorKind::AddrInUse.into());
        for port in ports {
            outcome = socket.bind(&SocketAddr::new(source.unwrap_or(any), port).into());
            if !matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::AddrInUse) {
                break;
            }
        }
        outcome?;
        if to.is_ipv4() {
            socket.set_ttl_v4(u32::from(hops))?;
        } else {
            socket.set_unicast_hops_v6(u32::from(hops))?;
        }
        Ok(Self { socket, to: to.into() })
    }

    /// Sends a packet.
    ///
    /// # Errors
    /// What the system said.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.socket.send_to(bytes, &self.to).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_tell_where_they_came_to_and_how_far() {
        let receiver = UdpReceiver::open(0).unwrap();
        let port = receiver.0.local_addr().unwrap().as_socket().unwrap().port();
        for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            let sender = UdpSender::open(SocketAddr::new(ip, port), Some(ip), 49152.., 254).unwrap();
            sender.send(b"packet").unwrap();
            let received = std::iter::repeat_with(|| receiver.receive()).take(1_000_000).flatten().next().unwrap();
            assert_eq!((received.source.ip(), received.destination, received.hops), (ip, Some(ip), Some(254)));
            assert!(received.source.port() >= 49152 && received.bytes == b"packet");
        }
    }
}
