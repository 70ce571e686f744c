//! TLS over a socket: rustls' connection, its bytes moved when the socket takes or has them.
//!
//! Bytes written are encrypted at once and kept where the socket is full; no more are taken before it has those. An end
//! without `close_notify` is an end, as for nginx.

use super::event_loop::Buffer;
use super::tcp::Tcp;
use rustls::server::{Accepted, AcceptedAlert, Acceptor};
use rustls::{CommonState, Connection, IoState};
use std::cell::RefCell;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::task::{Context, Poll, ready};

/// Why a handshake failed.
#[derive(Debug)]
pub enum TlsError {
    /// The peer closed the connection.
    Closed,
    /// The socket failed.
    Io(io::Error),
    /// What the peer sent, or did not accept, does not do.
    Protocol(rustls::Error),
}

/// A client's hello on its way in.
#[derive(Default)]
pub struct Hello {
    acceptor: Acceptor,
}

impl Hello {
    /// Takes bytes in; the hello once it is whole.
    ///
    /// # Errors
    /// What is wrong; the client has been told.
    pub fn take(&mut self, bytes: &mut Buffer, tcp: &Tcp) -> Result<Option<Accepted>, TlsError> {
        while !bytes.filled().is_empty() {
            let mut rest = bytes.filled();
            let count = self.acceptor.read_tls(&mut rest).map_err(TlsError::Io)?;
            bytes.start += count;
            match self.acceptor.accept() {
                Ok(Some(accepted)) => return Ok(Some(accepted)),
                Ok(None) => {}
                Err((error, alert)) => {
                    tell(alert, tcp);
                    return Err(TlsError::Protocol(error));
                }
            }
        }
        Ok(None)
    }
}

/// Sends an alert, if the socket takes it.
pub fn tell(mut alert: AcceptedAlert, tcp: &Tcp) {
    let _ = alert.write_all(&mut Io(tcp));
}

/// A TLS session of either side.
pub struct Session {
    state: RefCell<State>,
}

struct State {
    connection: Connection,
    /// Decrypted bytes that wait to be read.
    plain: usize,
    /// Bytes a client sent before the handshake was over (early data, RFC 8446 §2.3); they come first.
    early: Vec<u8>,
    /// Nothing more comes.
    ended: bool,
    /// `close_notify` has been queued, or nothing may be sent any more.
    closed: bool,
}

/// Plaintext encrypted at a time.
const PIECE: usize = 64 * 1024;

/// rustls' view of the socket.
struct Io<'a>(&'a Tcp);

impl io::Read for Io<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(into)
    }
}

impl io::Write for Io<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_output(|socket| socket.send_with_flags(bytes, libc::MSG_NOSIGNAL))
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_output(|socket| socket.send_vectored_with_flags(pieces, libc::MSG_NOSIGNAL))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

impl State {
    /// Gives the socket what waits for it.
    fn flush(&mut self, tcp: &Tcp) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Io(tcp)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if !is_full(&error) {
                        self.closed = true;
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Reads once from the socket and decrypts.
    fn pull(&mut self, tcp: &Tcp) -> io::Result<()> {
        match self.connection.read_tls(&mut Io(tcp)) {
            Ok(0) => {
                self.ended = true;
                return Ok(());
            }
            Ok(_) => {}
            Err(error) => {
                self.ended |= !is_full(&error) && error.kind() != io::ErrorKind::Interrupted;
                return Err(error);
            }
        }
        self.process(tcp).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn process(&mut self, tcp: &Tcp) -> Result<(), rustls::Error> {
        let outcome = self.connection.process_new_packets();
        // An answer (or an alert) leaves if it can; the next write or wait takes the rest along.
        let _ = self.flush(tcp);
        match outcome {
            Ok(state) => {
                self.note(&state);
                if let Connection::Server(server) = &mut self.connection
                    && let Some(mut early) = server.early_data()
                {
                    let _ = early.read_to_end(&mut self.early);
                }
                Ok(())
            }
            Err(error) => {
                (self.ended, self.closed) = (true, true);
                Err(error)
            }
        }
    }

    fn note(&mut self, state: &IoState) {
        self.plain = state.plaintext_bytes_to_read();
        self.ended |= state.peer_has_closed();
    }
}

impl Session {
    /// The session of a connection that has not shaken hands yet; `first` was read already.
    pub fn new(mut connection: Connection, first: &[u8]) -> Self {
        let mut rest = first;
        while !rest.is_empty() {
            // What is wrong with it is found when the handshake goes on.
            if !matches!(connection.read_tls(&mut rest), Ok(1..)) {
                break;
            }
        }
        Self { state: RefCell::new(State { connection, plain: 0, early: Vec::new(), ended: false, closed: false }) }
    }

    /// What was agreed on.
    pub fn look<T>(&self, with: impl FnOnce(&CommonState) -> T) -> T {
        with(&self.state.borrow().connection)
    }

    /// Whether this protocol was agreed on (ALPN, RFC 7301).
    pub fn speaks(&self, protocol: &[u8]) -> bool {
        self.look(|state| state.alpn_protocol() == Some(protocol))
    }

    /// Whether decrypted bytes, or the end, wait to be read.
    pub fn has_plain(&self) -> bool {
        let state = self.state.borrow();
        state.plain > 0 || !state.early.is_empty() || state.ended
    }

    /// Whether decrypted bytes wait to be read.
    pub fn has_bytes(&self) -> bool {
        self.state.borrow().plain > 0
    }

    /// Whether bytes or an end can be read now.
    pub fn has_input(&self, tcp: &Tcp) -> bool {
        let mut state = self.state.borrow_mut();
        while state.plain == 0 && !state.ended {
            if let Err(error) = state.pull(tcp) {
                return !is_full(&error);
            }
        }
        true
    }

    /// Takes the handshake on; ready when it is over.
    pub fn poll_handshake(&self, tcp: &Tcp, cx: &mut Context<'_>) -> Poll<Result<(), TlsError>> {
        loop {
            let mut state = self.state.borrow_mut();
            match state.flush(tcp) {
                Ok(()) => {}
                Err(error) if is_full(&error) => {
                    ready!(tcp.poll_writable(cx));
                    continue;
                }
                Err(error) => return Poll::Ready(Err(TlsError::Io(error))),
            }
            if let Err(error) = state.process(tcp) {
                return Poll::Ready(Err(TlsError::Protocol(error)));
            }
            if state.connection.wants_write() {
                continue;
            }
            if !state.connection.is_handshaking() || !state.early.is_empty() {
                return Poll::Ready(Ok(()));
            }
            match state.connection.read_tls(&mut Io(tcp)) {
                Ok(0) => return Poll::Ready(Err(TlsError::Closed)),
                Ok(_) => {}
                Err(error) if is_full(&error) => ready!(tcp.poll_readable(cx)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(TlsError::Io(error))),
            }
        }
    }

    /// Ready when something can be read; what waits to be sent is sent meanwhile.
    pub fn poll_readable(&self, tcp: &Tcp, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_plain() {
            return Poll::Ready(());
        }
        let _ = self.poll_flush(tcp, cx);
        tcp.poll_readable(cx)
    }

    /// Ready when the socket has taken everything, or failed. What was written behind early data leaves when the handshake
    /// is over, so that is taken on.
    pub fn poll_flush(&self, tcp: &Tcp, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut state = self.state.borrow_mut();
            match state.flush(tcp) {
                Err(error) if is_full(&error) => {
                    ready!(tcp.poll_writable(cx));
                    continue;
                }
                Ok(()) => {}
                Err(_) => return Poll::Ready(()),
            }
            if !state.connection.is_handshaking() || state.ended {
                return Poll::Ready(());
            }
            match state.pull(tcp) {
                Err(error) if is_full(&error) => ready!(tcp.poll_readable(cx)),
                Ok(()) | Err(_) => {}
            }
        }
    }

    /// Reads once.
    pub fn read(&self, tcp: &Tcp, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        loop {
            if !state.early.is_empty() {
                let count = state.early.len().min(into.len());
                let taken: Vec<u8> = state.early.drain(..count).collect();
                into.get_mut(..count).unwrap_or_default().copy_from_slice(&taken);
                return Ok(count);
            }
            if state.plain > 0 {
                let count = state.connection.reader().read(into)?;
                state.plain -= count.min(state.plain);
                return Ok(count);
            }
            if state.ended {
                return Ok(0);
            }
            state.pull(tcp)?;
        }
    }

    /// Writes what is encrypted at a time.
    pub fn write(&self, tcp: &Tcp, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        state.flush(tcp)?;
        if state.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        // Pieces that are written together share records.
        let mut left = PIECE;
        let fits = |piece: &&IoSlice<'_>| left.checked_sub(piece.len()).inspect(|rest| left = *rest).is_some();
        let together = pieces.iter().take_while(fits).count();
        let count = match (pieces.get(..together).unwrap_or_default(), pieces.first()) {
            ([], Some(large)) => state.connection.writer().write(large.get(..PIECE).unwrap_or_default())?,
            (together, _) => state.connection.writer().write_vectored(together)?,
        };
        match state.flush(tcp) {
            Err(error) if !is_full(&error) => Err(error),
            // No more is kept before the handshake is over.
            Ok(()) | Err(_) if count == 0 && pieces.iter().any(|piece| !piece.is_empty()) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            Ok(()) | Err(_) => Ok(count),
        }
    }

    /// Tells the peer that nothing follows, if the socket takes that.
    pub fn close(&self, tcp: &Tcp) {
        let Ok(mut state) = self.state.try_borrow_mut() else { return };
        if !std::mem::replace(&mut state.closed, true) && !state.connection.is_handshaking() {
            state.connection.send_close_notify();
            let _ = state.flush(tcp);
        }
    }
}
