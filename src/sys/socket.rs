//! Socket options that neither std nor socket2 sets.

use std::os::fd::AsRawFd;

fn set(socket: &impl AsRawFd, level: i32, name: i32, value: i32) {
    #[expect(unsafe_code, reason = "setsockopt of options without a wrapper")]
    // SAFETY: the pointer and length describe one i32 that lives over the call; the descriptor is borrowed.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(&value).cast(),
            std::mem::size_of::<i32>() as libc::socklen_t,
        );
    }
}

/// `TCP_DEFER_ACCEPT`: a connection is accepted when its first bytes are there.
pub fn defer_accept(socket: &impl AsRawFd, seconds: i32) {
    set(socket, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, seconds);
}

/// `TCP_FASTOPEN` with a queue of pending openings.
pub fn fast_open(socket: &impl AsRawFd, queue: u32) {
    set(socket, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, i32::try_from(queue).unwrap_or(i32::MAX));
}

/// `IP_BIND_ADDRESS_NO_PORT`: binding an address leaves the choice of the port to connect.
pub fn bind_without_port(socket: &impl AsRawFd) {
    set(socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1);
}
