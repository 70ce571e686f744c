//! What raw and link-layer sockets need beyond socket2.

use std::io;
use std::net::Ipv6Addr;
use std::os::fd::{AsFd, AsRawFd};

/// The address family of link-layer sockets.
pub const LINK_LAYER: i32 = libc::AF_PACKET;

/// Sends a whole frame out of the interface with this index.
///
/// # Errors
/// What sendto(2) said.
#[expect(unsafe_code, reason = "no crate builds a sockaddr_ll without it")]
pub fn send_frame(socket: &impl AsFd, index: u32, frame: &[u8]) -> io::Result<()> {
    // SAFETY: sockaddr_ll is integers and bytes, so zeroes are a valid value; the pointers are to live data of the given
    // lengths, and the kernel only reads.
    let sent = unsafe {
        let mut to: libc::sockaddr_ll = std::mem::zeroed();
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_ifindex = index as i32;
        to.sll_halen = 6;
        if let (Some(slot), Some(mac)) = (to.sll_addr.get_mut(..6), frame.get(..6)) {
            slot.copy_from_slice(mac);
        }
        libc::sendto(
            socket.as_fd().as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            0,
            (&raw const to).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if sent >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sets an integer socket option.
///
/// # Errors
/// What setsockopt(2) said.
fn set_option(socket: &impl AsFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    set_value(socket, (level, name), &value)
}

/// Sets a socket option of plain integers.
///
/// # Errors
/// What setsockopt(2) said.
#[expect(unsafe_code, reason = "neither nix nor socket2 knows every option")]
fn set_value<T: Copy>(socket: &impl AsFd, (level, name): (i32, i32), value: &T) -> io::Result<()> {
    // SAFETY: the pointer is to a live value of the given size, which the kernel only reads.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Fills in an IPv6 raw socket's checksum at `offset` of each message, and checks it on receipt.
///
/// # Errors
/// What setsockopt(2) said.
pub fn ipv6_checksum(socket: &impl AsFd, offset: i32) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_CHECKSUM, offset)
}

/// Has an ICMPv6 raw socket receive messages of this type only.
///
/// # Errors
/// What setsockopt(2) said.
pub fn icmpv6_only(socket: &impl AsFd, kind: u8) -> io::Result<()> {
    const FILTER: i32 = 1;
    // A bit for each type that is kept out.
    let mut kept_out = [u32::MAX; 8];
    if let Some(word) = kept_out.get_mut(usize::from(kind >> 5)) {
        *word &= !(1 << (kind & 31));
    }
    set_value(socket, (libc::IPPROTO_ICMPV6, FILTER), &kept_out)
}

/// Has an IPv6 raw socket tell the destination of each packet it receives.
///
/// # Errors
/// What setsockopt(2) said.
pub fn ipv6_receive_destination(socket: &impl AsFd) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
}

/// Has a socket tell the TTL of each IPv4 packet it receives.
///
/// # Errors
/// What setsockopt(2) said.
pub fn receive_ttl(socket: &impl AsFd) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_IP, libc::IP_RECVTTL, 1)
}

/// The source address and the interface of an IPv6 packet, as a control message has them.
pub type PacketInfo = libc::in6_pktinfo;

/// The control message for packets from `source`, out of the interface with this index.
pub const fn packet_info(source: Ipv6Addr, index: u32) -> PacketInfo {
    PacketInfo { ipi6_addr: libc::in6_addr { s6_addr: source.octets() }, ipi6_ifindex: index }
}

/// Sends IPv4 multicast out of the interface with this index, whether or not it has an address.
///
/// # Errors
/// What setsockopt(2) said.
pub fn multicast_interface(socket: &impl AsFd, index: u32) -> io::Result<()> {
    let any = libc::in_addr { s_addr: libc::INADDR_ANY };
    let request = libc::ip_mreqn { imr_multiaddr: any, imr_address: any, imr_ifindex: index as i32 };
    set_value(socket, (libc::IPPROTO_IP, libc::IP_MULTICAST_IF), &request)
}

/// Marks what a socket sends as interactive, so that it passes a busy queue first.
///
/// # Errors
/// What setsockopt(2) said.
pub fn urgent(socket: &impl AsFd) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_PRIORITY, 6)
}
