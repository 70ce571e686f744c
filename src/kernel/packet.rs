//! Raw and link-layer sockets on one interface: adverts in and out, ARP and neighbour advertisements out.

use crate::sys;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, sendmsg};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, SockFilter, Socket, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// No advert is longer than 8 + 255 * 16 bytes and an IP header.
const LONGEST: usize = 4608;

/// An interface by both its names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
}

/// A packet that came in; IPv4 ones begin with their IP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The sender.
    pub source: IpAddr,
    /// The destination, where the socket tells (IPv6).
    pub destination: Option<IpAddr>,
    /// The hop limit, where the socket tells (IPv6).
    pub hops: Option<u8>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Which packets a socket receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listen {
    /// Those to a multicast group, which the socket joins.
    Group(IpAddr),
    /// Those to an address of this host.
    Address(IpAddr),
}

/// Why a pair of sockets could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// There is no such group to join, or no room for it.
    Join(io::Error),
    /// The address is not one of this host's.
    Bind(io::Error),
    /// Anything else.
    Socket(io::Error),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}

/// Where raw packets of one protocol come in, and multicast groups are joined.
#[derive(Debug)]
pub struct Receiver {
    socket: Socket,
    ipv6: bool,
}

impl Receiver {
    /// Receives packets of `protocol` on `port`.
    ///
    /// # Errors
    /// What the system said, and when.
    pub fn open(port: &Interface, protocol: u8, listen: Listen) -> Result<Self, OpenError> {
        let (Listen::Group(ip) | Listen::Address(ip)) = listen;
        let ipv6 = ip.is_ipv6();
        let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(Protocol::from(i32::from(protocol))))?;
        socket.bind_device(Some(port.name.as_bytes()))?;
        if ipv6 {
            socket.set_multicast_all_v6(false)?;
            sys::packet::ipv6_checksum(&socket, 6)?;
            socket.set_recv_hoplimit_v6(true)?;
            sys::packet::ipv6_receive_destination(&socket)?;
        } else {
            socket.set_multicast_all_v4(false)?;
        }
        match listen {
            Listen::Group(IpAddr::V4(group)) => {
                let device = InterfaceIndexOrAddress::Index(port.index);
                socket.join_multicast_v4_n(&group, &device).map_err(OpenError::Join)?;
                // Bound to the group, it receives nothing that is sent to this host alone.
                socket.bind(&SockAddr::from(SocketAddr::new(ip, 0)))?;
            }
            Listen::Group(IpAddr::V6(group)) => {
                socket.join_multicast_v6(&group, port.index).map_err(OpenError::Join)?;
            }
            Listen::Address(IpAddr::V4(_)) => {
                socket.bind(&SockAddr::from(SocketAddr::new(ip, 0))).map_err(OpenError::Bind)?;
            }
            Listen::Address(IpAddr::V6(own)) => {
                let own = SocketAddrV6::new(own, 0, 0, port.index);
                socket.bind(&SockAddr::from(own)).map_err(OpenError::Bind)?;
            }
        }
        Ok(Self { socket, ipv6 })
    }

    /// The next packet, if one has come.
    pub fn receive(&self) -> Option<Received> {
        let mut bytes = vec![0; LONGEST];
        let mut control = nix::cmsg_space!(i32, sys::packet::PacketInfo);
        let (mut destination, mut hops) = (None, None);
        let (source, length) = {
            let mut slices = [IoSliceMut::new(&mut bytes)];
            if self.ipv6 {
                let fd = self.socket.as_raw_fd();
                let message = recvmsg::<SockaddrIn6>(fd, &mut slices, Some(&mut control), MsgFlags::empty()).ok()?;
                for one in message.cmsgs().ok()? {
                    match one {
                        ControlMessageOwned::Ipv6HopLimit(limit) => hops = u8::try_from(limit).ok(),
                        ControlMessageOwned::Ipv6PacketInfo(info) => {
                            destination = Some(IpAddr::from(info.ipi6_addr.s6_addr));
                        }
                        _ => {}
                    }
                }
                (IpAddr::V6(message.address?.ip()), message.bytes)
            } else {
                let fd = self.socket.as_raw_fd();
                let message = recvmsg::<nix::sys::socket::SockaddrIn>(fd, &mut slices, None, MsgFlags::empty()).ok()?;
                (IpAddr::V4(message.address?.ip()), message.bytes)
            }
        };
        bytes.truncate(length);
        Some(Received { source, destination, hops, bytes })
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Receiver {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Where raw packets go out.
#[derive(Debug)]
pub struct Sender {
    socket: Socket,
    index: u32,
}

impl Sender {
    /// Sends `protocol` out of `port`; IPv4 packets bring their own header.
    ///
    /// # Errors
    /// What the system said.
    pub fn open(port: &Interface, ipv6: bool, protocol: u8) -> io::Result<Self> {
        let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(Protocol::from(i32::from(protocol))))?;
        socket.bind_device(Some(port.name.as_bytes()))?;
        // Nothing that comes in is ever read here, so nothing may pile up.
        socket.attach_filter(&[SockFilter::new(0x06, 0, 0, 0)])?;
        if ipv6 {
            socket.set_multicast_if_v6(port.index)?;
            socket.set_multicast_loop_v6(false)?;
            socket.set_multicast_hops_v6(255)?;
            sys::packet::ipv6_checksum(&socket, 6)?;
        } else {
            socket.set_header_included_v4(true)?;
            sys::packet::multicast_interface(&socket, port.index)?;
            socket.set_multicast_loop_v4(false)?;
        }
        // As keepalived does: adverts pass a busy queue first.
        sys::packet::urgent(&socket)?;
        Ok(Self { socket, index: port.index })
    }

    /// Sends an IPv4 packet with its header.
    ///
    /// # Errors
    /// What the system said.
    pub fn send(&self, bytes: &[u8], destination: IpAddr) -> io::Result<()> {
        self.socket.send_to(bytes, &SockAddr::from(SocketAddr::new(destination, 0))).map(|_| ())
    }

    /// Sends the payload of an IPv6 packet from `source`, with a hop limit other than the socket's if one is given.
    ///
    /// # Errors
    /// What the system said.
    pub fn send_v6(
        &self,
        bytes: &[u8],
        (source, destination): (Ipv6Addr, Ipv6Addr),
        hops: Option<u8>,
    ) -> io::Result<()> {
        let info = sys::packet::packet_info(source, self.index);
        let limit = hops.map(i32::from);
        let mut control = vec![ControlMessage::Ipv6PacketInfo(&info)];
        control.extend(limit.as_ref().map(ControlMessage::Ipv6HopLimit));
        let to = SockaddrIn6::from(SocketAddrV6::new(destination, 0, 0, self.index));
        let slices = [IoSlice::new(bytes)];
        sendmsg(self.socket.as_raw_fd(), &slices, &control, MsgFlags::empty(), Some(&to))?;
        Ok(())
    }
}

impl AsRawFd for Sender {
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
    pub fn send(&self, port: &Interface, frame: &[u8]) -> io::Result<()> {
        sys::packet::send_frame(&self.socket, port.index, frame)
    }
}
