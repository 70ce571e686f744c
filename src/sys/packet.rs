//! What raw and link-layer sockets need beyond socket2.

use std::io;
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
#[expect(unsafe_code, reason = "neither nix nor socket2 knows every option")]
fn set_option(socket: &impl AsFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the pointer is to a live integer of the given size.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
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

/// Marks what a socket sends as interactive, so that it passes a busy queue first.
///
/// # Errors
/// What setsockopt(2) said.
pub fn urgent(socket: &impl AsFd) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_PRIORITY, 6)
}
