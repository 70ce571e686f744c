//! Socket options that neither std nor socket2 sets.

use socket2::{SockAddr, Socket};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use tokio::io::unix::AsyncFd;

fn set(socket: &impl AsRawFd, level: i32, name: i32, value: i32) {
    #[expect(unsafe_code, reason = "setsockopt of options without a wrapper")]
    // SAFETY: the pointer and length describe one i32 that lives over the call; the descriptor is borrowed.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(&value).cast(),
            size_of::<i32>() as libc::socklen_t,
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

/// Takes a descriptor that was just received from another process.
pub fn own(raw: RawFd) -> OwnedFd {
    #[expect(unsafe_code, reason = "descriptors arrive as numbers")]
    // SAFETY: the kernel made the descriptor for this process with SCM_RIGHTS, and nobody else knows its number.
    unsafe {
        OwnedFd::from_raw_fd(raw)
    }
}

/// Accepts one connection, non-blocking and closed on exec.
///
/// # Errors
/// What accept4(2) said.
pub fn accept(listener: &impl AsRawFd) -> io::Result<(Socket, SockAddr)> {
    let fd = listener.as_raw_fd();
    #[expect(unsafe_code, reason = "accept4 with both flags in one call has no safe wrapper")]
    // SAFETY: the storage and length are valid for the call; the descriptor it returns is owned by nobody else.
    unsafe {
        SockAddr::try_init(|storage, length| {
            let got = libc::accept4(fd, storage.cast(), length, libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC);
            if got < 0 { Err(io::Error::last_os_error()) } else { Ok(Socket::from_raw_fd(got)) }
        })
    }
}

/// Takes a listening socket that an older binary left open under this number; nothing when it is none.
pub fn inherited(raw: RawFd) -> Option<OwnedFd> {
    if raw < 3 {
        return None;
    }
    #[expect(unsafe_code, reason = "descriptors are inherited as numbers")]
    // SAFETY: fcntl takes integers; only a descriptor that exists is taken, before this process opens any of its own
    // that could have the same number.
    unsafe {
        (libc::fcntl(raw, libc::F_SETFD, libc::FD_CLOEXEC) == 0).then(|| OwnedFd::from_raw_fd(raw))
    }
}

/// An epoll descriptor that is readable when `listener` is, and of which one is woken for each connection: many loops
/// can wait for one socket without waking all.
///
/// # Errors
/// What `epoll_create1(2)` or `epoll_ctl(2)` said.
pub fn exclusive(listener: &impl AsRawFd) -> io::Result<OwnedFd> {
    let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLEXCLUSIVE) as u32, u64: 0 };
    #[expect(unsafe_code, reason = "nix's epoll does not give its descriptor away")]
    // SAFETY: the event lives over the call; the new descriptor is owned by nobody else.
    unsafe {
        let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let fd = OwnedFd::from_raw_fd(fd);
        if libc::epoll_ctl(fd.as_raw_fd(), libc::EPOLL_CTL_ADD, listener.as_raw_fd(), &raw mut event) < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(fd)
    }
}

/// Puts a descriptor's owner on the event loop.
///
/// # Errors
/// When the loop cannot register it.
pub fn watch<T: AsFd + AsRawFd + 'static>(io: T) -> io::Result<AsyncFd<T>> {
    #[expect(unsafe_code, reason = "tokio asks for a promise about the descriptor")]
    // SAFETY: an `AsFd` of this crate's types (`Socket`, `OwnedFd`) owns one descriptor, the one `as_raw_fd` names, from
    // here until the `AsyncFd` that owns it in turn is dropped.
    unsafe {
        AsyncFd::register(io).map_err(io::Error::from)
    }
}
