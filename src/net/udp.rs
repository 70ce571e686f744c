//! Datagram sockets on an event loop: those that listen, and those that are connected to a server.

use super::address::Address;
use super::budget::{self, Direction};
use super::listen::sock_addr;
use super::outgoing::{BufferSizes, Local, Unconnected};
use super::tcp::Counted;
use crate::sys::socket::{Watched, watch};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrLike, SockaddrStorage, UnixAddr, recvmsg, sendmsg,
    setsockopt, sockopt,
};
use socket2::{Protocol, Socket, Type};
use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut, Read as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::task::{Context, Poll, ready};
use tokio::io::Interest;

const FULL: io::ErrorKind = io::ErrorKind::WouldBlock;

/// A socket that takes datagrams from everybody.
pub struct UdpListener {
    socket: Watched<Socket>,
    is_unix: bool,
    /// Room for the control message that names a datagram's destination; where the socket is bound to every address.
    control: Option<RefCell<Vec<u8>>>,
}

/// A datagram that was received.
#[derive(Debug, PartialEq, Eq)]
pub struct Received {
    /// Its length.
    pub length: usize,
    /// Whether it was longer than that.
    pub is_cut: bool,
    /// The sender; the empty path for a socket that is bound to none.
    pub from: Address,
    /// The address it came to, where the socket is bound to every address.
    pub to: Option<IpAddr>,
}

impl UdpListener {
    /// Registers a bound socket with the loop of this thread.
    ///
    /// # Errors
    /// What the system said.
    pub fn new(socket: OwnedFd, bound: &Address) -> io::Result<Self> {
        let socket = Socket::from(socket);
        let control = match bound.ip().filter(IpAddr::is_unspecified) {
            None => None,
            Some(IpAddr::V4(_)) => {
                setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
                Some(RefCell::new(nix::cmsg_space!(libc::in_pktinfo)))
            }
            Some(IpAddr::V6(_)) => {
                setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
                Some(RefCell::new(nix::cmsg_space!(libc::in6_pktinfo)))
            }
        };
        Ok(Self { socket: watch(socket)?, is_unix: bound.ip().is_none(), control })
    }

    /// Ready when a datagram may have come.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(budget::poll_proceed(Direction::Input, cx));
        self.socket.poll_read_ready(cx).map(drop)
    }

    /// Receives a datagram.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; what recvmsg(2) said otherwise.
    pub fn try_receive(&self, into: &mut [u8]) -> io::Result<Received> {
        let outcome = self.socket.try_io(Interest::READABLE, |socket| match self.is_unix {
            true => self.receive(socket, into, of_path),
            false => self.receive(socket, into, of_ip),
        });
        budget::spend(Direction::Input, outcome.as_ref().map_or(0, |received| received.length));
        outcome
    }

    fn receive<S: SockaddrLike>(
        &self,
        socket: &Socket,
        into: &mut [u8],
        sender: fn(Option<&S>) -> Address,
    ) -> io::Result<Received> {
        let mut slices = [IoSliceMut::new(into)];
        let mut control = self.control.as_ref().map(RefCell::borrow_mut);
        let control = control.as_deref_mut().map(Vec::as_mut_slice);
        let message = recvmsg::<S>(socket.as_raw_fd(), &mut slices, control, MsgFlags::empty())?;
        let to = match message.cmsgs() {
            Ok(mut all) if self.control.is_some() => all.find_map(|one| destination(&one)),
            _ => None,
        };
        let is_cut = message.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC);
        Ok(Received { length: message.bytes, is_cut, from: sender(message.address.as_ref()), to })
    }

    /// Sends a datagram from this socket, in the name of `from` where the socket is bound to every address.
    ///
    /// # Errors
    /// `WouldBlock` when the socket is full; what sendmsg(2) said otherwise.
    pub fn try_send(&self, bytes: &[u8], to: &Address, from: Option<IpAddr>) -> io::Result<()> {
        let socket = self.socket.get_ref();
        budget::spend(Direction::Output, bytes.len());
        match (to, from) {
            // Nobody can be reached at a socket without a name.
            (Address::Unix(path), _) if path.is_empty() => Err(io::Error::from_raw_os_error(libc::ECONNREFUSED)),
            (Address::Ip(to), Some(IpAddr::V4(from))) => {
                let source = libc::in_addr { s_addr: u32::from_ne_bytes(from.octets()) };
                let any = libc::in_addr { s_addr: libc::INADDR_ANY };
                let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: any };
                send_from(socket, bytes, to, &ControlMessage::Ipv4PacketInfo(&info))
            }
            (Address::Ip(to), Some(IpAddr::V6(from))) => {
                let source = libc::in6_addr { s6_addr: from.octets() };
                let info = libc::in6_pktinfo { ipi6_addr: source, ipi6_ifindex: 0 };
                send_from(socket, bytes, to, &ControlMessage::Ipv6PacketInfo(&info))
            }
            _ => socket.send_to(bytes, &sock_addr(to)?).map(drop),
        }
    }
}

fn send_from(socket: &Socket, bytes: &[u8], to: &SocketAddr, source: &ControlMessage<'_>) -> io::Result<()> {
    let to = SockaddrStorage::from(*to);
    let pieces = [IoSlice::new(bytes)];
    sendmsg(socket.as_raw_fd(), &pieces, std::slice::from_ref(source), MsgFlags::empty(), Some(&to))?;
    Ok(())
}

/// Where a datagram came to.
fn destination(message: &ControlMessageOwned) -> Option<IpAddr> {
    match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(IpAddr::V4(info.ipi_addr.s_addr.to_ne_bytes().into())),
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr))),
        _ => None,
    }
}

fn of_ip(name: Option<&SockaddrStorage>) -> Address {
    let v4 = name.and_then(SockaddrStorage::as_sockaddr_in).map(|v4| SocketAddr::V4(SocketAddrV4::from(*v4)));
    let v6 = || name.and_then(SockaddrStorage::as_sockaddr_in6).map(|v6| SocketAddr::V6(SocketAddrV6::from(*v6)));
    v4.or_else(v6).map_or_else(|| of_path(None), Address::Ip)
}

fn of_path(name: Option<&UnixAddr>) -> Address {
    let path = name.and_then(UnixAddr::path).and_then(|path| path.to_str());
    Address::Unix(path.unwrap_or_default().to_owned())
}

/// A datagram socket that is connected to a server.
pub struct Udp {
    socket: Watched<Socket>,
    _counted: Counted,
}

impl Udp {
    /// Connects to a server, from `local` where an address is given.
    ///
    /// # Errors
    /// The call that failed, and what the system said.
    pub fn connect(server: &Address, local: Option<&Local>, buffers: BufferSizes) -> Result<Self, Unconnected> {
        let name = sock_addr(server).map_err(Unconnected::Server)?;
        let protocol = matches!(server, Address::Ip(_)).then_some(Protocol::UDP);
        let socket = Socket::new(name.domain(), Type::DGRAM.nonblocking().cloexec(), protocol)
            .map_err(|error| Unconnected::socket("socket", error))?;
        buffers.set(&socket);
        if let Some(local) = local {
            local.bind(&socket, true)?;
        }
        socket.connect(&name).map_err(Unconnected::Server)?;
        let socket = watch(socket).map_err(|error| Unconnected::socket("epoll_ctl", error))?;
        Ok(Self { socket, _counted: Counted::new() })
    }

    /// Its own address.
    pub fn local(&self) -> Option<SocketAddr> {
        self.socket.get_ref().local_addr().ok()?.as_socket()
    }

    /// Waits until a datagram or an error may have come.
    pub async fn readable(&self) {
        let _ = self.socket.ready(Interest::READABLE | Interest::ERROR).await;
    }

    /// Ready when the socket takes datagrams again.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(budget::poll_proceed(Direction::Output, cx));
        self.socket.poll_write_ready(cx).map(drop)
    }

    /// Receives a datagram, or an error that came in the answer to one that was sent.
    ///
    /// # Errors
    /// `WouldBlock` when there is neither; what recv(2) said otherwise.
    pub fn try_receive(&self, into: &mut [u8]) -> io::Result<usize> {
        if !budget::is_left(Direction::Input) {
            return Err(FULL.into());
        }
        // Each kind of readiness is asked for, and forgotten, by itself.
        let mut outcome = self.socket.try_io(Interest::READABLE, |mut socket| socket.read(into));
        if outcome.as_ref().is_err_and(|error| error.kind() == FULL) {
            outcome = self.socket.try_io(Interest::ERROR, |mut socket| socket.read(into));
        }
        budget::spend(Direction::Input, outcome.as_ref().copied().unwrap_or(0));
        outcome
    }

    /// Sends a datagram.
    ///
    /// # Errors
    /// `WouldBlock` when the socket is full; what send(2) said otherwise.
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<()> {
        let outcome = self.socket.get_ref().send(bytes);
        if outcome.as_ref().is_err_and(|error| error.kind() == FULL) {
            let _ = self.socket.try_io(Interest::WRITABLE, |_| Err::<(), _>(FULL.into()));
        }
        budget::spend(Direction::Output, bytes.len());
        outcome.map(drop)
    }
}

#[cfg(test)]
mod tests;
