//! Socket options that neither std nor socket2 sets.

use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, recvmsg};
use socket2::{SockAddr, Socket};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::unix::AsyncFd;

fn set(socket: &impl AsFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    #[expect(unsafe_code, reason = "setsockopt of options without a wrapper")]
    // SAFETY: the pointer and length describe one i32 that lives over the call; the descriptor is borrowed.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(&value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `TCP_DEFER_ACCEPT`: a connection is accepted when its first bytes are there.
pub fn defer_accept(socket: &impl AsFd, seconds: i32) {
    let _ = set(socket, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, seconds);
}

/// `TCP_FASTOPEN` with a queue of pending openings.
pub fn fast_open(socket: &impl AsFd, queue: u32) {
    let _ = set(socket, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, i32::try_from(queue).unwrap_or(i32::MAX));
}

/// `IP_BIND_ADDRESS_NO_PORT`: binding an address leaves the choice of the port to connect.
pub fn bind_without_port(socket: &impl AsFd) {
    let _ = set(socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1);
}

/// `IP_TRANSPARENT` or `IPV6_TRANSPARENT`: the socket may be bound to an address that is not this machine's.
///
/// # Errors
/// What setsockopt(2) said: it needs CAP_NET_RAW or CAP_NET_ADMIN.
pub fn set_transparent(socket: &Socket, is_ipv4: bool) -> io::Result<()> {
    if is_ipv4 {
        set(socket, libc::IPPROTO_IP, libc::IP_TRANSPARENT, 1)
    } else {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_TRANSPARENT, 1)
    }
}

/// What the kernel knows of a TCP connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFacts {
    /// The smoothed round-trip time in microseconds.
    pub rtt: u32,
    /// Its variance.
    pub rtt_variance: u32,
    /// The congestion window in segments.
    pub send_window: u32,
    /// The space for what is received.
    pub receive_space: u32,
}

/// `TCP_INFO`.
///
/// # Errors
/// What getsockopt(2) said: the socket is not TCP's.
pub fn tcp_facts(socket: &impl AsFd) -> io::Result<TcpFacts> {
    let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    let number = socket.as_fd().as_raw_fd();
    #[expect(unsafe_code, reason = "getsockopt of an option without a wrapper")]
    // SAFETY: the kernel writes no more than `length` bytes, and any bytes, zeros too, make the structure.
    let info = unsafe {
        let into = info.as_mut_ptr().cast();
        match libc::getsockopt(number, libc::IPPROTO_TCP, libc::TCP_INFO, into, &raw mut length) {
            0 => info.assume_init(),
            _ => return Err(io::Error::last_os_error()),
        }
    };
    Ok(TcpFacts {
        rtt: info.tcpi_rtt,
        rtt_variance: info.tcpi_rttvar,
        send_window: info.tcpi_snd_cwnd,
        receive_space: info.tcpi_rcv_space,
    })
}

/// Descriptors that the kernel hands over in one message at most (`SCM_MAX_FD`).
const MOST: usize = 253;

/// Receives a message and the descriptors that came with it, closed on exec; the message's length.
///
/// # Errors
/// What recvmsg(2) said.
pub fn receive(socket: &impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut control = nix::cmsg_space!([RawFd; MOST]);
    let mut parts = [io::IoSliceMut::new(buffer)];
    let fd = socket.as_fd().as_raw_fd();
    let got = recvmsg::<UnixAddr>(fd, &mut parts, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for message in got.cmsgs()? {
        if let ControlMessageOwned::ScmRights(received) = message {
            #[expect(unsafe_code, reason = "descriptors arrive as numbers")]
            // SAFETY: the kernel made these descriptors for this process with this message, and nobody else knows them.
            descriptors.extend(received.into_iter().map(|raw| unsafe { OwnedFd::from_raw_fd(raw) }));
        }
    }
    Ok((got.bytes, descriptors))
}

/// Accepts one connection, non-blocking and closed on exec.
///
/// # Errors
/// What accept4(2) said.
pub fn accept(listener: &impl AsFd) -> io::Result<(Socket, SockAddr)> {
    let fd = listener.as_fd().as_raw_fd();
    #[expect(unsafe_code, reason = "accept4 with both flags in one call has no safe wrapper")]
    // SAFETY: the storage and length are valid for the call; the descriptor it returns is owned by nobody else.
    unsafe {
        SockAddr::try_init(|storage, length| {
            let got = libc::accept4(fd, storage.cast(), length, libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC);
            if got < 0 { Err(io::Error::last_os_error()) } else { Ok(Socket::from_raw_fd(got)) }
        })
    }
}

/// Whether [`inherited`] was called.
static INHERITED: AtomicBool = AtomicBool::new(false);

/// Takes the descriptors with these numbers that the program was started with, apart from standard input and output, and
/// closes them on exec from now on. The first call does; later ones find nothing.
pub fn inherited(numbers: &[RawFd]) -> Vec<OwnedFd> {
    if INHERITED.swap(true, Ordering::Relaxed) {
        return Vec::new();
    }
    numbers.iter().filter_map(|number| take(*number)).collect()
}

/// Takes a descriptor that is not closed on exec.
fn take(number: RawFd) -> Option<OwnedFd> {
    if number < 3 {
        return None;
    }
    #[expect(unsafe_code, reason = "descriptors are inherited as numbers")]
    // SAFETY: fcntl takes integers. What this process opens is closed on exec, so a descriptor that is not was there when
    // the program started, and nobody owns it: from here on it is closed on exec too, and is not taken again.
    unsafe {
        let own = libc::fcntl(number, libc::F_GETFD) == 0 && libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) == 0;
        own.then(|| OwnedFd::from_raw_fd(number))
    }
}

/// An epoll descriptor that is readable when `listener` is, and of which one is woken for each connection: many loops
/// can wait for one socket without waking all.
///
/// # Errors
/// What `epoll_create1(2)` or `epoll_ctl(2)` said.
pub fn exclusive(listener: &impl AsFd) -> io::Result<OwnedFd> {
    let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLEXCLUSIVE) as u32, u64: 0 };
    #[expect(unsafe_code, reason = "nix's epoll does not give its descriptor away")]
    // SAFETY: the event lives over the call; the new descriptor is owned by nobody else.
    unsafe {
        let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let fd = OwnedFd::from_raw_fd(fd);
        if libc::epoll_ctl(fd.as_raw_fd(), libc::EPOLL_CTL_ADD, listener.as_fd().as_raw_fd(), &raw mut event) < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(fd)
    }
}

/// A descriptor's owner on the event loop. It is only lent, so that it cannot be exchanged for another while the loop
/// knows the descriptor.
#[derive(Debug)]
pub struct Watched<T: AsRawFd>(AsyncFd<T>);

impl<T: AsRawFd> std::ops::Deref for Watched<T> {
    type Target = AsyncFd<T>;

    fn deref(&self) -> &AsyncFd<T> {
        &self.0
    }
}

/// Types that own one descriptor, which they keep until they are dropped.
mod owner {
    /// A type that does.
    pub trait Owner {}
    impl Owner for std::os::fd::OwnedFd {}
    impl Owner for socket2::Socket {}
}

/// Puts a descriptor's owner on the event loop.
///
/// # Errors
/// When the loop cannot register it.
pub fn watch<T: owner::Owner + AsRawFd + 'static>(io: T) -> io::Result<Watched<T>> {
    #[expect(unsafe_code, reason = "tokio asks for a promise about the descriptor")]
    // SAFETY: an `Owner` owns one descriptor, the one `as_raw_fd` names, from here until the `AsyncFd` that owns it in turn
    // is dropped; `Watched` gives nobody a chance to replace it.
    unsafe {
        AsyncFd::register(io).map(Watched).map_err(io::Error::from)
    }
}

#[cfg(test)]
mod tests;
