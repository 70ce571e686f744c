//! One accepted or opened byte stream. Plain today; TLS is another variant behind the same calls.
//!
//! Rules from measurement: wait for readiness without holding a buffer; a short read clears readiness, so that no
//! read is spent on EAGAIN; writes go to the socket at once and wait only when it is full; an own connect that is
//! done at once (loopback) is not waited for.

use super::address::Address;
use super::listen::sock_addr;
use super::reactor::{Reactor, Source, Way};
use socket2::{Domain, Protocol, Socket, Type};
use std::future::poll_fn;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// A connected socket on an event loop.
pub struct Stream {
    // Before the socket: it leaves the reactor's table, then is closed.
    source: Source,
    socket: Socket,
}

const FULL: io::ErrorKind = io::ErrorKind::WouldBlock;

impl Stream {
    /// Puts a connected, non-blocking socket on a loop. It may have something to read already.
    pub fn new(reactor: &Rc<Reactor>, socket: Socket) -> Self {
        Self { source: reactor.enter(true, true), socket }
    }

    /// The socket, for options and addresses.
    pub const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The descriptor, for splice and sendfile.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Ready when there is something to read (or an end, or an error).
    pub fn poll_readable(&self, cx: &Context<'_>) -> Poll<()> {
        self.source.poll(&self.socket, Way::Read, cx)
    }

    /// Ready when the socket takes bytes again.
    pub fn poll_writable(&self, cx: &Context<'_>) -> Poll<()> {
        self.source.poll(&self.socket, Way::Write, cx)
    }

    /// Waits until there is something to read.
    pub async fn readable(&self) {
        poll_fn(|cx| self.poll_readable(cx)).await;
    }

    /// Waits until the socket takes bytes.
    pub async fn writable(&self) {
        poll_fn(|cx| self.poll_writable(cx)).await;
    }

    /// Whether something (also an end) can be read, without a system call.
    pub fn is_readable(&self) -> bool {
        self.source.is_ready(Way::Read)
    }

    /// Whether a connection stands that was said to be pending. If not, it is writable when it does.
    pub fn stands(&self) -> bool {
        if !self.source.is_ready(Way::Write) {
            return false;
        }
        let stands = self.socket.peer_addr().is_ok();
        if !stands {
            self.source.filled();
        }
        stands
    }

    /// Reads once.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; what recv(2) said otherwise.
    pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        let room = into.len();
        let outcome = self.try_input(|mut socket| socket.read(into));
        // A short read empties the socket: readiness is cleared without asking it again.
        if outcome.as_ref().is_ok_and(|count| *count > 0 && *count < room) {
            self.source.drained();
        }
        outcome
    }

    /// Looks whether there is a byte to read, and leaves it there; 0 at the end.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; what recv(2) said otherwise.
    pub fn try_peek(&self) -> io::Result<usize> {
        let mut byte = [std::mem::MaybeUninit::new(0_u8)];
        self.try_input(|socket| socket.peek(&mut byte))
    }

    /// Runs a read-like call, unless it is known to block, and clears readiness when it would.
    ///
    /// # Errors
    /// What the call said.
    pub fn try_input<T>(&self, run: impl FnOnce(&Socket) -> io::Result<T>) -> io::Result<T> {
        if !self.source.is_ready(Way::Read) {
            return Err(FULL.into());
        }
        let outcome = run(&self.socket);
        if outcome.as_ref().is_err_and(|error| error.kind() == FULL) {
            self.source.drained();
        }
        outcome
    }

    /// Runs a write-like call at once; on `WouldBlock` the next wait is a real one.
    ///
    /// # Errors
    /// What the call said.
    pub fn try_output<T>(&self, run: impl FnOnce(&Socket) -> io::Result<T>) -> io::Result<T> {
        let outcome = run(&self.socket);
        if outcome.as_ref().is_err_and(|error| error.kind() == FULL) {
            self.source.filled();
        }
        outcome
    }

    /// Writes once.
    ///
    /// # Errors
    /// `WouldBlock` when the socket is full; what send(2) said otherwise.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_output(|mut socket| socket.write(bytes))
    }

    /// Ends the sending side.
    pub fn shutdown(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}

/// How an outgoing connection is made.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// The local address to bind (`proxy_bind`).
    pub bind: Option<Address>,
    /// `SO_KEEPALIVE`.
    pub keepalive: bool,
    /// `TCP_NODELAY`.
    pub nodelay: bool,
    /// Bytes follow at once: the handshake's last packet is theirs, where it would have been one of its own.
    pub speaks: bool,
}

/// Begins a connection; the flag tells whether it is still pending. Bytes may be written at once either way: a
/// socket that is not connected yet says `WouldBlock`.
///
/// # Errors
/// What socket(2), bind(2) or connect(2) said.
pub fn connect(reactor: &Rc<Reactor>, address: &Address, how: &Outgoing) -> io::Result<(Stream, bool)> {
    let name = sock_addr(address)?;
    let tcp = matches!(address, Address::Ip(_));
    let protocol = tcp.then_some(Protocol::TCP);
    let socket = Socket::new(name.domain(), Type::STREAM.nonblocking().cloexec(), protocol)?;
    if how.keepalive {
        socket.set_keepalive(true)?;
    }
    if how.nodelay && name.domain() != Domain::UNIX {
        socket.set_tcp_nodelay(true)?;
    }
    if how.speaks && tcp {
        // The kernel holds the acknowledgement back for up to 200 ms, as HAProxy asks it to (`tcp-smart-connect`).
        let _ = socket.set_tcp_quickack(false);
    }
    if let Some(local) = &how.bind {
        crate::sys::socket::bind_without_port(&socket);
        socket.bind(&sock_addr(local)?)?;
    }
    let pending = match socket.connect(&name) {
        Ok(()) => false,
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => true,
        Err(error) => return Err(error),
    };
    // A connection to this machine stands already when connect(2) says that it is pending.
    let near = matches!(address, Address::Ip(ip) if ip.ip().is_loopback());
    let source = reactor.enter(false, near || !pending);
    Ok((Stream { source, socket }, pending))
}

/// A deadline that is moved often and fires rarely: the timer below it is armed again only when it goes off early.
#[derive(Default)]
pub struct Deadline {
    at: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// No deadline.
    pub const fn new() -> Self {
        Self { at: None, sleep: None }
    }

    /// Moves the deadline to so long after `now`, which may be the loop's idea of it.
    pub fn set(&mut self, now: std::time::Instant, after: Duration) {
        // Far deadlines are capped, so that the sum cannot overflow.
        self.at = Some(Instant::from_std(now) + after.min(Duration::from_secs(86_400 * 365)));
    }

    /// Takes the deadline away; the timer stays for the next one.
    pub const fn clear(&mut self) {
        self.at = None;
    }

    /// Ready when the deadline has passed.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
        Poll::Pending
    }
}

use std::future::Future as _;
