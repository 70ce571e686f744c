//! The byte stream of a connection: a socket, or TLS over one. All that rooms above see.
//!
//! Calls do not wait: they say `WouldBlock`, and a `poll_` call tells when to try again. What the kernel moves between
//! descriptors (sendfile, splice) needs [`Transport::direct`], which a connection with TLS does not give.

use super::address::Address;
use super::listen::sock_addr;
use super::outgoing::{BufferSizes, Local, Unconnected};
use super::tcp::Tcp;
use super::tls_session::{Session, TlsError};
use rustls::Connection;
use socket2::{Domain, Protocol, Socket, Type};
use std::cell::OnceCell;
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::task::{Context, Poll};

/// Bytes of a file read and encrypted at a time.
const PIECE: usize = 64 * 1024;

/// An accepted or opened byte stream.
pub struct Transport {
    tcp: Tcp,
    /// Present once TLS has begun.
    tls: OnceCell<Box<Session>>,
}

impl Transport {
    /// Registers a connected, non-blocking socket with the loop of this thread.
    ///
    /// # Errors
    /// What `epoll_ctl(2)` said.
    pub fn new(socket: Socket) -> io::Result<Self> {
        Ok(Self { tcp: Tcp::new(socket)?, tls: OnceCell::new() })
    }

    /// The socket, for options and addresses.
    pub fn socket(&self) -> &Socket {
        self.tcp.socket()
    }

    /// The socket below TLS, for what comes before the handshake.
    pub const fn tcp(&self) -> &Tcp {
        &self.tcp
    }

    /// The socket, where its bytes are the stream's own: the kernel may move them.
    pub fn direct(&self) -> Option<&Tcp> {
        self.tls.get().is_none().then_some(&self.tcp)
    }

    /// The TLS session, once it has begun.
    pub fn tls(&self) -> Option<&Session> {
        self.tls.get().map(|session| &**session)
    }

    /// From now on bytes are this session's, beginning with those read already; nothing where one has begun.
    pub fn secure(&self, connection: Connection, first: &[u8]) {
        let _ = self.tls.set(Box::new(Session::new(connection, first)));
    }

    /// Ready when the handshake is over.
    ///
    /// # Errors
    /// Why it failed.
    pub fn poll_handshake(&self, cx: &mut Context<'_>) -> Poll<Result<(), TlsError>> {
        match self.tls.get() {
            Some(session) => session.poll_handshake(&self.tcp, cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Ready when there is something to read (or an end, or an error).
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.tls.get() {
            None => self.tcp.poll_readable(cx),
            Some(session) => session.poll_readable(&self.tcp, cx),
        }
    }

    /// Ready when the peer has ended its sending side or the connection is broken, whatever is left to read before that.
    pub fn poll_hangup(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.tcp.poll_hangup(cx)
    }

    /// Ready when the stream takes bytes again, and has given all it took before to the socket.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.tls.get() {
            None => self.tcp.poll_writable(cx),
            Some(session) => session.poll_flush(&self.tcp, cx),
        }
    }

    /// Ready when the socket has all that was written. Waits for nothing where it has.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.tls.get() {
            None => Poll::Ready(()),
            Some(session) => session.poll_flush(&self.tcp, cx),
        }
    }

    /// Waits until there is something to read.
    pub async fn readable(&self) {
        poll_fn(|cx| self.poll_readable(cx)).await;
    }

    /// Waits until the stream takes bytes.
    pub async fn writable(&self) {
        poll_fn(|cx| self.poll_writable(cx)).await;
    }

    /// Whether something (also an end) may be there to read, without a system call.
    pub fn is_readable(&self) -> bool {
        self.tls.get().is_some_and(|session| session.has_plain()) || self.tcp.is_readable()
    }

    /// Whether something (also an end) can be read now: the kernel is asked. What a TLS session keeps to itself, such as
    /// tickets that come late, is not something.
    pub fn has_input(&self) -> bool {
        match self.tls.get() {
            None => self.tcp.has_input(),
            Some(session) => session.has_input(&self.tcp),
        }
    }

    /// Whether a connection that should be silent has something to say, without a system call where nothing came.
    pub fn is_spent(&self) -> bool {
        self.is_readable() && (self.tls.get().is_none() || self.has_input())
    }

    /// Whether a connect(2) that was pending has succeeded. If not, the socket is writable when it has ended.
    pub fn is_connected(&self) -> bool {
        self.tcp.is_connected()
    }

    /// Reads once; 0 at the end.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; what recv(2) said otherwise; `InvalidData` for what is not TLS.
    pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        match self.tls.get() {
            None => self.tcp.try_read(into),
            Some(session) => session.read(&self.tcp, into),
        }
    }

    /// Writes once.
    ///
    /// # Errors
    /// `WouldBlock` when the stream is full; what send(2) said otherwise.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write_flags(bytes, libc::MSG_NOSIGNAL)
    }

    /// The same when more follows at once: a packet may wait for it.
    ///
    /// # Errors
    /// As [`Self::try_write`].
    pub fn try_write_more(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write_flags(bytes, libc::MSG_NOSIGNAL | libc::MSG_MORE)
    }

    fn write_flags(&self, bytes: &[u8], flags: i32) -> io::Result<usize> {
        match self.tls.get() {
            None => self.tcp.try_output(|socket| socket.send_with_flags(bytes, flags)),
            Some(session) => session.write(&self.tcp, &[IoSlice::new(bytes)]),
        }
    }

    /// Writes several runs of bytes at once.
    ///
    /// # Errors
    /// As [`Self::try_write`].
    pub fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.tls.get() {
            None => self.tcp.try_output(|socket| socket.send_vectored_with_flags(pieces, libc::MSG_NOSIGNAL)),
            Some(session) => session.write(&self.tcp, pieces),
        }
    }

    /// Sends once from a file at `offset`, which is moved on: by sendfile(2) where nothing is encrypted; 0 where the file ends.
    ///
    /// # Errors
    /// As [`Self::try_write`], and what the file said.
    pub fn try_send_file(&self, file: &File, offset: &mut u64, count: usize) -> io::Result<usize> {
        let Some(tcp) = self.direct() else {
            let mut piece = vec![0; count.min(PIECE)];
            let count = file.read_at(&mut piece, *offset)?;
            let sent = if count > 0 { self.try_write(piece.get(..count).unwrap_or_default())? } else { 0 };
            *offset += sent as u64;
            return Ok(sent);
        };
        let mut at = i64::try_from(*offset).map_err(io::Error::other)?;
        let sent = tcp.try_output(|socket| {
            nix::sys::sendfile::sendfile(socket.as_fd(), file.as_fd(), Some(&mut at), count).map_err(io::Error::from)
        })?;
        *offset += sent as u64;
        Ok(sent)
    }

    /// Ends the sending side.
    pub fn shutdown(&self) {
        if let Some(session) = self.tls.get() {
            session.close(&self.tcp);
        }
        self.tcp.shutdown();
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        if let Some(session) = self.tls.get() {
            session.close(&self.tcp);
        }
    }
}

/// How an outgoing connection is made.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// The local address to bind (`proxy_bind`).
    pub bind: Option<Local>,
    /// The sizes of the socket's buffers.
    pub buffers: BufferSizes,
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
/// The call that failed, and what the system said.
pub fn connect(address: &Address, how: &Outgoing) -> Result<(Transport, bool), Unconnected> {
    let name = sock_addr(address).map_err(Unconnected::Server)?;
    let tcp = matches!(address, Address::Ip(_));
    let protocol = tcp.then_some(Protocol::TCP);
    let socket = Socket::new(name.domain(), Type::STREAM.nonblocking().cloexec(), protocol)
        .map_err(|error| Unconnected::socket("socket", error))?;
    how.buffers.set(&socket);
    if how.keepalive {
        let _ = socket.set_keepalive(true);
    }
    if how.nodelay && name.domain() != Domain::UNIX {
        let _ = socket.set_tcp_nodelay(true);
    }
    if how.speaks && tcp {
        // The kernel holds the acknowledgement back for up to 200 ms, as HAProxy asks it to (`tcp-smart-connect`).
        let _ = socket.set_tcp_quickack(false);
    }
    if let Some(local) = &how.bind {
        local.bind(&socket, false)?;
    }
    let pending = match socket.connect(&name) {
        Ok(()) => false,
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => true,
        Err(error) => return Err(Unconnected::Server(error)),
    };
    let stream = Transport::new(socket).map_err(|error| Unconnected::socket("epoll_ctl", error))?;
    Ok((stream, pending))
}
