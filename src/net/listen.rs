//! Listening sockets: opened by the parent, shared by all loops, kept over reloads.

use super::address::Address;
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// `so_keepalive=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepAlive {
    /// `on` or `off`.
    Switch(bool),
    /// Idle time, interval and count, each where given.
    Timed(Option<Duration>, Option<Duration>, Option<u32>),
}

/// The socket options of `listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `backlog=`.
    pub backlog: i32,
    /// `rcvbuf=` in bytes.
    pub rcvbuf: Option<usize>,
    /// `sndbuf=` in bytes.
    pub sndbuf: Option<usize>,
    /// `ipv6only=`.
    pub ipv6only: bool,
    /// `reuseport`.
    pub reuseport: bool,
    /// `deferred`.
    pub deferred: bool,
    /// `fastopen=`.
    pub fastopen: Option<u32>,
    /// `so_keepalive=`.
    pub keepalive: Option<KeepAlive>,
    /// Datagrams instead of streams.
    pub udp: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            backlog: 511,
            rcvbuf: None,
            sndbuf: None,
            ipv6only: true,
            reuseport: false,
            deferred: false,
            fastopen: None,
            keepalive: None,
            udp: false,
        }
    }
}

/// A call that failed: its name and what the system said.
#[derive(Debug)]
pub struct Failed {
    /// `socket()`, `bind()`, `listen()`, …
    pub call: &'static str,
    /// What it said.
    pub error: io::Error,
}

fn call<T>(call: &'static str, outcome: io::Result<T>) -> Result<T, Failed> {
    outcome.map_err(|error| Failed { call, error })
}

/// What an open listening socket is bound to, and whether it takes datagrams; nothing for sockets of another family.
pub fn bound(fd: &OwnedFd) -> Option<(Address, bool)> {
    let socket = socket2::SockRef::from(fd);
    let name = socket.local_addr().ok()?;
    let udp = socket.r#type().ok()? == Type::DGRAM;
    if let Some(address) = name.as_socket() {
        return Some((Address::Ip(address), udp));
    }
    let path = name.as_pathname()?.to_str()?.to_owned();
    Some((Address::Unix(path), udp))
}

/// `address` in the system's form.
///
/// # Errors
/// A path that is too long.
pub fn sock_addr(address: &Address) -> io::Result<SockAddr> {
    match address {
        Address::Ip(address) => Ok(SockAddr::from(*address)),
        Address::Unix(path) => SockAddr::unix(path),
    }
}

/// Opens, binds and listens; in a `test` without taking datagrams away from a server that runs.
///
/// # Errors
/// The call that failed and why.
pub fn open(address: &Address, options: &Options, test: bool) -> Result<OwnedFd, Failed> {
    let name = call("bind()", sock_addr(address))?;
    let (kind, protocol) = match (options.udp, address) {
        (true, Address::Ip(_)) => (Type::DGRAM, Some(Protocol::UDP)),
        (true, Address::Unix(_)) => (Type::DGRAM, None),
        (false, Address::Ip(_)) => (Type::STREAM, Some(Protocol::TCP)),
        (false, Address::Unix(_)) => (Type::STREAM, None),
    };
    let socket = call("socket()", Socket::new(name.domain(), kind.nonblocking().cloexec(), protocol))?;
    // With it two datagram sockets may have one address, and the second one gets what comes.
    if !(options.udp && test) {
        call("setsockopt(SO_REUSEADDR)", socket.set_reuse_address(true))?;
    }
    if options.reuseport {
        call("setsockopt(SO_REUSEPORT)", socket.set_reuse_port(true))?;
    }
    if name.domain() == Domain::IPV6 {
        call("setsockopt(IPV6_V6ONLY)", socket.set_only_v6(options.ipv6only))?;
    }
    call("bind()", socket.bind(&name))?;
    if let Address::Unix(path) = address {
        use std::os::unix::fs::PermissionsExt as _;
        call("chmod()", std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)))?;
    }
    if !options.udp {
        call("listen()", socket.listen(options.backlog))?;
    }
    configure(&socket, options);
    Ok(socket.into())
}

/// Sets what may be set again on a socket that listens already; nginx only logs failures here.
pub fn configure(socket: &Socket, options: &Options) {
    if let Some(bytes) = options.rcvbuf {
        let _ = socket.set_recv_buffer_size(bytes);
    }
    if let Some(bytes) = options.sndbuf {
        let _ = socket.set_send_buffer_size(bytes);
    }
    match options.keepalive {
        Some(KeepAlive::Switch(on)) => {
            let _ = socket.set_keepalive(on);
        }
        Some(KeepAlive::Timed(idle, interval, count)) => {
            let mut keepalive = TcpKeepalive::new();
            if let Some(idle) = idle {
                keepalive = keepalive.with_time(idle);
            }
            if let Some(interval) = interval {
                keepalive = keepalive.with_interval(interval);
            }
            if let Some(count) = count {
                keepalive = keepalive.with_retries(count);
            }
            let _ = socket.set_tcp_keepalive(&keepalive);
        }
        None => {}
    }
    if options.deferred {
        crate::sys::socket::defer_accept(socket, 1);
    }
    if let Some(queue) = options.fastopen {
        crate::sys::socket::fast_open(socket, queue);
    }
}
