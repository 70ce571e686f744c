//! One accepted or opened byte stream. Plain today; TLS is another variant behind the same calls.
//!
//! The socket is registered with the runtime's own driver. Rules from measurement: wait for readiness without holding a
//! buffer; a short read clears readiness, so that no read is spent on EAGAIN; writes go to the socket at once and wait
//! only when it is full; an own connect that is done at once (loopback) is not waited for. Every call takes from the
//! [`budget`] of the task that makes it: when that is used up the call says `WouldBlock`, and the next wait ends after
//! the other tasks had their turn. No loop over a stream can therefore hold up its thread.

use super::address::Address;
use super::budget;
use super::listen::sock_addr;
use crate::sys::socket::Watched;
use socket2::{Domain, Protocol, Socket, Type};
use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::Interest;
use tokio::time::{Instant, Sleep};

/// A connected socket on an event loop.
pub struct Stream {
    socket: Watched<Socket>,
    /// Whether [`Self::poll_hangup`] took the driver's word for something to read.
    unread: Cell<bool>,
    _counted: Counted,
}

thread_local! {
    /// Streams open on this thread's loop.
    static OPEN: Cell<usize> = const { Cell::new(0) };
}

/// One of the streams of a loop, counted until it is dropped.
struct Counted;

impl Counted {
    fn new() -> Self {
        OPEN.set(OPEN.get() + 1);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        OPEN.set(OPEN.get().saturating_sub(1));
    }
}

/// How many streams this thread's loop has open, of clients and of servers.
pub fn open_count() -> usize {
    OPEN.get()
}

const FULL: io::ErrorKind = io::ErrorKind::WouldBlock;

impl Stream {
    /// Registers a connected, non-blocking socket with the loop of this thread.
    ///
    /// # Errors
    /// What `epoll_ctl(2)` said.
    pub fn new(socket: Socket) -> io::Result<Self> {
        Ok(Self { socket: crate::sys::socket::watch(socket)?, unread: Cell::new(false), _counted: Counted::new() })
    }

    /// The socket, for options and addresses.
    pub fn socket(&self) -> &Socket {
        self.socket.get_ref()
    }

    /// The descriptor, for splice and sendfile.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }

    /// Ready when there is something to read (or an end, or an error).
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(budget::poll_proceed(cx));
        if self.unread.get() {
            return Poll::Ready(());
        }
        self.socket.poll_read_ready(cx).map(drop)
    }

    /// Ready when the peer has ended its sending side or the connection is broken, whatever is left to read before that.
    pub fn poll_hangup(&self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Ok(mut guard) = ready!(self.socket.poll_read_ready(cx)) else { return Poll::Ready(()) };
            if guard.ready().is_read_closed() {
                return Poll::Ready(());
            }
            self.unread.set(true);
            guard.clear_ready();
        }
    }

    /// Ready when the socket takes bytes again.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(budget::poll_proceed(cx));
        self.socket.poll_write_ready(cx).map(drop)
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
        self.unread.get() || self.socket.try_io(Interest::READABLE, |_| Ok(())).is_ok()
    }

    /// Whether something (also an end) can be read now: the kernel is asked.
    pub fn has_input(&self) -> bool {
        let mut byte = [std::mem::MaybeUninit::new(0_u8)];
        !self.socket().peek(&mut byte).is_err_and(|error| error.kind() == FULL)
    }

    /// Runs a read-like call where something may be there, and forgets that when it is not.
    fn input(&self, run: impl FnOnce(&Socket) -> io::Result<usize>) -> io::Result<usize> {
        if !self.unread.get() {
            return self.socket.try_io(Interest::READABLE, run);
        }
        let outcome = run(self.socket());
        if outcome.as_ref().is_err_and(|error| error.kind() == FULL) {
            self.unread.set(false);
        }
        outcome
    }

    /// Whether a connect(2) that was pending has succeeded. If not, the socket is writable when it has ended.
    pub fn is_connected(&self) -> bool {
        self.socket().peer_addr().is_ok()
    }

    /// Reads once.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; what recv(2) said otherwise.
    pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        if !budget::is_left() {
            return Err(FULL.into());
        }
        let room = into.len();
        let mut short = 0;
        // A short read empties the socket: readiness is cleared without asking it again.
        let outcome = self.input(|mut socket| match socket.read(into) {
            Ok(count) if count > 0 && count < room => {
                short = count;
                Err(FULL.into())
            }
            other => other,
        });
        let outcome = if short > 0 { Ok(short) } else { outcome };
        budget::spend(outcome.as_ref().copied().unwrap_or(0));
        outcome
    }

    /// Looks whether there is a byte to read, and leaves it there; 0 at the end.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; what recv(2) said otherwise.
    pub fn try_peek(&self) -> io::Result<usize> {
        if !budget::is_left() {
            return Err(FULL.into());
        }
        let mut byte = [std::mem::MaybeUninit::new(0_u8)];
        self.input(|socket| socket.peek(&mut byte))
    }

    /// Runs a read-like call that says how many bytes it moved, unless it is known to block.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; what the call said otherwise.
    pub fn try_input(&self, run: impl FnOnce(&Socket) -> io::Result<usize>) -> io::Result<usize> {
        if !budget::is_left() {
            return Err(FULL.into());
        }
        let outcome = self.input(run);
        budget::spend(outcome.as_ref().copied().unwrap_or(0));
        outcome
    }

    /// Runs a write-like call that says how many bytes it moved at once; on `WouldBlock` the next wait is a real one.
    ///
    /// # Errors
    /// What the call said.
    pub fn try_output(&self, run: impl FnOnce(&Socket) -> io::Result<usize>) -> io::Result<usize> {
        if !budget::is_left() {
            return Err(FULL.into());
        }
        let outcome = run(self.socket());
        if outcome.as_ref().is_err_and(|error| error.kind() == FULL) {
            let _ = self.socket.try_io(Interest::WRITABLE, |_| Err::<(), _>(FULL.into()));
        }
        budget::spend(outcome.as_ref().copied().unwrap_or(0));
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
        let _ = self.socket().shutdown(Shutdown::Write);
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
pub fn connect(address: &Address, how: &Outgoing) -> io::Result<(Stream, bool)> {
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
    Ok((Stream::new(socket)?, pending))
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
