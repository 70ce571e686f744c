//! A connected socket on an event loop.
//!
//! The socket is registered with the runtime's own driver. Rules from measurement: wait for readiness without holding a
//! buffer; a short read clears readiness, so that no read is spent on EAGAIN; writes go to the socket at once and wait
//! only when it is full; an own connect that is done at once (loopback) is not waited for. Every call takes from the
//! [`budget`] of the task that makes it: when that is used up the call says `WouldBlock`, and the next wait ends after
//! the other tasks had their turn. No loop over a socket can therefore hold up its thread.

use super::budget::{self, Direction};
use crate::sys::socket::Watched;
use socket2::Socket;
use std::cell::Cell;
use std::io::{self, Read as _};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};
use tokio::io::Interest;

/// A connected socket on an event loop.
pub struct Tcp {
    socket: Watched<Socket>,
    /// Whether [`Self::poll_hangup`] took the driver's word for something to read.
    unread: Cell<bool>,
    _counted: Counted,
}

thread_local! {
    /// Sockets open on this thread's loop.
    static OPEN: Cell<usize> = const { Cell::new(0) };
}

/// One of the connections of a loop, counted until it is dropped.
pub struct Counted(());

impl Counted {
    /// One more.
    pub fn new() -> Self {
        OPEN.set(OPEN.get() + 1);
        Self(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        OPEN.set(OPEN.get().saturating_sub(1));
    }
}

/// How many connections this thread's loop has open, with clients and with servers.
pub fn open_count() -> usize {
    OPEN.get()
}

const FULL: io::ErrorKind = io::ErrorKind::WouldBlock;

impl Tcp {
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
        ready!(budget::poll_proceed(Direction::Input, cx));
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
        ready!(budget::poll_proceed(Direction::Output, cx));
        self.socket.poll_write_ready(cx).map(drop)
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
        if !budget::is_left(Direction::Input) {
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
        budget::spend(Direction::Input, outcome.as_ref().copied().unwrap_or(0));
        outcome
    }

    /// Looks whether there is a byte to read, and leaves it there; 0 at the end.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; what recv(2) said otherwise.
    pub fn try_peek(&self) -> io::Result<usize> {
        if !budget::is_left(Direction::Input) {
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
        if !budget::is_left(Direction::Input) {
            return Err(FULL.into());
        }
        let outcome = self.input(run);
        budget::spend(Direction::Input, outcome.as_ref().copied().unwrap_or(0));
        outcome
    }

    /// Runs a write-like call that says how many bytes it moved at once; on `WouldBlock` the next wait is a real one.
    ///
    /// # Errors
    /// What the call said.
    pub fn try_output(&self, run: impl FnOnce(&Socket) -> io::Result<usize>) -> io::Result<usize> {
        if !budget::is_left(Direction::Output) {
            return Err(FULL.into());
        }
        let outcome = run(self.socket());
        if outcome.as_ref().is_err_and(|error| error.kind() == FULL) {
            let _ = self.socket.try_io(Interest::WRITABLE, |_| Err::<(), _>(FULL.into()));
        }
        budget::spend(Direction::Output, outcome.as_ref().copied().unwrap_or(0));
        outcome
    }

    /// Ends the sending side.
    pub fn shutdown(&self) {
        let _ = self.socket().shutdown(Shutdown::Write);
    }
}
