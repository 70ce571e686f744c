//! What carries a request's body in and its response out: the connection itself, or another request.

use crate::http::heart::client::Connection;
use crate::http::heart::filter::Then;
use crate::http::heart::request::Request;
use crate::http::heart::stream::Stream;
use crate::net::deadline::Deadline;
use crate::net::event_loop::EventLoop;
use crate::net::tcp::Tcp;
use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;
use std::task::{Context, Poll};

/// What a request came on.
#[derive(Default)]
pub enum Wire {
    /// A connection that carries one request after the other.
    #[default]
    H1,
    /// A stream of an HTTP/2 connection.
    H2(Box<Stream>),
    /// Nothing: the server made it, and wants its response.
    Sub(Sink),
}

/// Where the body of a response to a request of the server's own goes.
pub enum Sink {
    /// Nowhere: its head is what is asked for.
    Nowhere,
    /// Into the response to another request.
    Into(Rc<Spout>),
    /// Into memory, as a whole.
    Memory(Rc<Spout>),
}

/// Bytes of a response on their way into another.
#[derive(Default)]
pub struct Spout {
    bytes: RefCell<Vec<u8>>,
}

/// Bytes that wait in a spout before more are made.
const ROOM: usize = 64 * 1024;

impl Spout {
    /// Takes what is there.
    pub fn take(&self) -> Vec<u8> {
        self.bytes.take()
    }

    /// How much is there.
    pub fn len(&self) -> usize {
        self.bytes.borrow().len()
    }

    /// The receiver polls the sender again after it has taken bytes.
    fn put(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut held = self.bytes.borrow_mut();
        if held.len() >= ROOM {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        held.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn is_full(&self) -> bool {
        self.bytes.borrow().len() >= ROOM
    }
}

/// Takes a response's bytes.
pub trait Carries {
    /// Sends bytes of the response, as many as are taken.
    ///
    /// # Errors
    /// `WouldBlock` when none are taken now; what the system said otherwise.
    fn try_send(&self, bytes: &[u8], then: Then) -> io::Result<usize>;

    /// Sends from a file at `offset`, which is moved on; 0 where the file ends.
    ///
    /// # Errors
    /// As [`Self::try_send`], and what the file said.
    fn try_send_file(&self, file: &File, offset: &mut u64, count: usize) -> io::Result<usize>;
}

impl Carries for Request {
    fn try_send(&self, bytes: &[u8], then: Then) -> io::Result<usize> {
        let allowed = bytes.get(..self.pace_allows(bytes.len())?).unwrap_or_default();
        let then = if allowed.len() < bytes.len() { Then::Flush } else { then };
        let bytes = allowed;
        let sent = match &self.wire {
            Wire::H1 if then == Then::More => self.connection.stream.try_write_more(bytes),
            Wire::H1 => self.connection.stream.try_write(bytes),
            Wire::H2(stream) => stream.try_send(bytes, then),
            Wire::Sub(Sink::Nowhere) => Ok(bytes.len()),
            Wire::Sub(Sink::Into(spout)) => spout.put(bytes),
            Wire::Sub(Sink::Memory(spout)) => {
                spout.bytes.borrow_mut().extend_from_slice(bytes);
                Ok(bytes.len())
            }
        }?;
        self.pace_sent(sent);
        Ok(sent)
    }

    fn try_send_file(&self, file: &File, offset: &mut u64, count: usize) -> io::Result<usize> {
        match &self.wire {
            Wire::H1 => {
                let sent = self.connection.stream.try_send_file(file, offset, self.pace_allows(count)?)?;
                self.pace_sent(sent);
                Ok(sent)
            }
            Wire::H2(_) | Wire::Sub(_) => {
                let room = if let Wire::H2(stream) = &self.wire { stream.room(count)? } else { count };
                let mut piece = vec![0; room.min(ROOM)];
                let count = file.read_at(&mut piece, *offset)?;
                let sent =
                    if count > 0 { self.try_send(piece.get(..count).unwrap_or_default(), Then::Flush)? } else { 0 };
                *offset += sent as u64;
                Ok(sent)
            }
        }
    }
}

impl Request {
    /// Ready when bytes are taken again.
    pub fn poll_sendable(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.poll_pace(cx).is_pending() {
            return Poll::Pending;
        }
        match &self.wire {
            Wire::H1 => self.connection.stream.poll_writable(cx),
            Wire::H2(stream) => stream.poll_sendable(cx),
            // The parent request polls this task again after it has emptied the spout.
            Wire::Sub(Sink::Into(spout)) if spout.is_full() => Poll::Pending,
            Wire::Sub(_) => Poll::Ready(()),
        }
    }

    /// Ready when all that was taken is with the system, and the response has its end.
    pub fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.wire {
            Wire::H1 => self.connection.stream.poll_flush(cx),
            Wire::H2(stream) => {
                stream.end();
                Poll::Ready(())
            }
            Wire::Sub(_) => Poll::Ready(()),
        }
    }

    /// The client was too slow, or is not to be answered: should the response not end, an HTTP/2 client is told so.
    pub fn blame_client(&self) {
        if let Wire::H2(stream) = &self.wire {
            stream.blame_client();
        }
    }

    /// Ready when the client has left.
    pub fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.wire {
            Wire::H1 => self.connection.stream.poll_hangup(cx),
            Wire::H2(stream) => stream.poll_gone(cx),
            Wire::Sub(_) => Poll::Pending,
        }
    }

    /// The socket, where the kernel may move bytes into it.
    pub fn direct(&self) -> Option<&Tcp> {
        match &self.wire {
            Wire::H1 if !self.is_paced() => self.connection.stream.direct(),
            Wire::H1 | Wire::H2(_) | Wire::Sub(_) => None,
        }
    }

    /// Whether nobody wants the response's body.
    pub const fn is_for_its_head(&self) -> bool {
        matches!(self.wire, Wire::Sub(Sink::Nowhere))
    }
}

/// A connection after its server agreed to another protocol: what becomes of it until it ends.
pub trait Upgraded {
    /// Begins to count the time in which nothing moves.
    fn begin(&self, event_loop: &EventLoop, deadline: &mut Deadline);

    /// Ready when both sides have ended, one failed, or nothing moved for the read timeout.
    fn poll(&mut self, client: &Connection, deadline: &mut Deadline, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Notes what the request's log line tells of it.
    fn finish(&self, request: &mut Request, outcome: io::Result<()>);
}
