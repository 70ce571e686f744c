//! Raw and link-layer sockets on one interface: adverts in and out, ARP and neighbour advertisements out.

use crate::sys;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, SockFilter, Socket, Type};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// No advert is longer than 8 + 255 * 16 bytes and an IP header.
const LONGEST: usize = 4608;

/// An interface by both its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
}

/// A packet that came in by an IPv6 socket; IPv4 ones begin with their IP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The sender.
    pub source: IpAddr,
    /// The hop limit, where the socket tells (IPv6).
    pub hops: Option<u8>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Where raw packets of one protocol come in, and multicast groups are joined.
#[derive(Debug)]
pub struct Inlet {
    socket: Socket,
    ipv6: bool,
}

impl Inlet {
    /// Hears `protocol` on `port`, and `group` if given.
    ///
    /// # Errors
    /// What the system said.
    pub fn open(port: &Port, ipv6: bool, protocol: u8, group: Option<IpAddr>) -> io::Result<Self> {
        let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(Protocol::from(i32::from(protocol))))?;
        socket.bind_device(Some(port.name.as_bytes()))?;
        if ipv6 {
            socket.set_multicast_all_v6(false)?;
            sys::packet::ipv6_checksum(&socket, 6)?;
            socket.set_recv_hoplimit_v6(true)?;
        } else {
            socket.set_multicast_all_v4(false)?;
        }
        match group {
            Some(IpAddr::V4(group)) => {
                socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(port.index))?;
            }
            Some(IpAddr::V6(group)) => socket.join_multicast_v6(&group, port.index)?,
            None => {}
        }
        Ok(Self { socket, ipv6 })
    }

    /// The next packet, if one has come.
    pub fn receive(&self) -> Option<Received> {
        let mut bytes = vec![0; LONGEST];
        let mut control = nix::cmsg_space!(i32);
        let (source, length, hops) = {
            let mut slices = [IoSliceMut::new(&mut bytes)];
            if self.ipv6 {
                let fd = self.socket.as_raw_fd();
                let message = recvmsg::<SockaddrIn6>(fd, &mut slices, Some(&mut control), MsgFlags::empty()).ok()?;
                let hops = message.cmsgs().ok()?.find_map(|one| match one {
                    ControlMessageOwned::Ipv6HopLimit(hops) => u8::try_from(hops).ok(),
                    _ => None,
                });
                (IpAddr::V6(message.address?.ip()), message.bytes, hops)
            } else {
                let fd = self.socket.as_raw_fd();
                let message = recvmsg::<nix::sys::socket::SockaddrIn>(fd, &mut slices, None, MsgFlags::empty()).ok()?;
                (IpAddr::V4(message.address?.ip()), message.bytes, None)
            }
        };
        bytes.truncate(length);
        Some(Received { source, hops, bytes })
    }
}

impl AsFd for Inlet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Inlet {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Where raw packets go out.
#[derive(Debug)]
pub struct Outlet {
    socket: Socket,
}

impl Outlet {
    /// Sends `protocol` out of `port`; IPv4 packets bring their own header.
    ///
    /// # Errors
    /// What the system said.
    pub fn open(port: &Port, ipv6: bool, protocol: u8) -> io::Result<Self> {
        let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(Protocol::from(i32::from(protocol))))?;
        socket.bind_device(Some(port.name.as_bytes()))?;
        // Nothing that comes in is ever read here, so nothing may pile up.
        socket.attach_filter(&[SockFilter::new(0x06, 0, 0, 0)])?;
        if ipv6 {
            socket.set_multicast_if_v6(port.index)?;
            socket.set_multicast_loop_v6(false)?;
            socket.set_multicast_hops_v6(255)?;
            socket.set_unicast_hops_v6(255)?;
            sys::packet::ipv6_checksum(&socket, 6)?;
        } else {
            socket.set_header_included_v4(true)?;
            socket.set_multicast_loop_v4(false)?;
        }
        // As keepalived does: adverts pass a busy queue first.
        sys::packet::urgent(&socket)?;
        Ok(Self { socket })
    }

    /// Sends a whole packet.
    ///
    /// # Errors
    /// What the system said.
    pub fn send(&self, bytes: &[u8], destination: IpAddr) -> io::Result<()> {
        self.socket.send_to(bytes, &SockAddr::from(SocketAddr::new(destination, 0))).map(|_| ())
    }

    /// Chooses the address IPv6 packets carry.
    ///
    /// # Errors
    /// What the system said.
    pub fn bind_source(&self, source: Ipv6Addr, index: u32) -> io::Result<()> {
        self.socket.bind(&SockAddr::from(SocketAddrV6::new(source, 0, 0, index)))
    }
}

impl AsRawFd for Outlet {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Whole Ethernet frames, out of any interface.
#[derive(Debug)]
pub struct Frames {
    socket: Socket,
}

impl Frames {
    /// A socket that sends only: protocol 0 hears nothing.
    ///
    /// # Errors
    /// What the system said.
    pub fn open() -> io::Result<Self> {
        let packet = Domain::from(sys::packet::LINK_LAYER);
        Ok(Self { socket: Socket::new(packet, Type::RAW.nonblocking(), Some(Protocol::from(0)))? })
    }

    /// Sends a frame, its header included.
    ///
    /// # Errors
    /// What the system said.
    pub fn send(&self, port: &Port, frame: &[u8]) -> io::Result<()> {
        sys::packet::send_frame(&self.socket, port.index, frame)
    }
}
