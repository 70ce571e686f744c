//! A stream of an HTTP/2 connection: a request's body, and the way of its response.

use crate::http::codec::h2::head;
use crate::http::heart::filter::Then;
use crate::http::heart::inbound::Inbound;
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderName, HeaderValue};
use std::cell::{Cell, RefCell};
use std::io::{self};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// Bytes of responses that wait for a stream's window.
pub const SEND_BUFFER: usize = 64 * 1024;

/// One stream: a request's body, and the way of its response.
pub struct Stream {
    receive: RefCell<RecvStream>,
    respond: RefCell<SendResponse<Bytes>>,
    send: RefCell<Option<SendStream<Bytes>>>,
    /// What follows the response's body.
    trailers: RefCell<http::HeaderMap>,
    ended: Cell<bool>,
    /// The client has given the stream up, or left.
    gone: Cell<bool>,
    /// The error of the RST_STREAM, should the response not end.
    reason: Cell<Reason>,
    inbound: Rc<Inbound>,
}

fn broken(error: h2::Error) -> io::Error {
    error.into_io().unwrap_or_else(|| io::ErrorKind::ConnectionReset.into())
}

impl Stream {
    /// A stream whose request's head was read.
    pub fn new(receive: RecvStream, respond: SendResponse<Bytes>, inbound: Rc<Inbound>) -> Self {
        Self {
            receive: RefCell::new(receive),
            respond: RefCell::new(respond),
            send: RefCell::default(),
            trailers: RefCell::default(),
            ended: Cell::new(false),
            gone: Cell::new(false),
            reason: Cell::new(Reason::INTERNAL_ERROR),
            inbound,
        }
    }

    /// Whether the request's body has ended.
    pub fn is_received(&self) -> bool {
        self.receive.borrow().is_end_stream()
    }

    /// The next bytes of the request's body; none at its end.
    pub fn poll_data(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let mut receive = self.receive.borrow_mut();
        let data = ready!(receive.poll_data(cx));
        Poll::Ready(data.map(|outcome| {
            let bytes = outcome.map_err(broken)?;
            receive.flow_control().release_capacity(bytes.len()).map_err(broken)?;
            Ok(bytes)
        }))
    }

    /// Sends a head, given as text; `ends` where no body follows.
    ///
    /// # Errors
    /// The stream is gone.
    pub fn send_head(&self, text: &[u8], ends: bool) -> io::Result<()> {
        let sent = self.respond.borrow_mut().send_response(head(text), ends).map_err(broken)?;
        *self.send.borrow_mut() = Some(sent);
        self.ended.set(ends);
        Ok(())
    }

    /// Sends early hints, given as text.
    ///
    /// # Errors
    /// The stream is gone.
    pub fn send_hints(&self, text: &[u8]) -> io::Result<()> {
        self.respond.borrow_mut().send_informational(head(text)).map_err(broken)
    }

    /// How many of so many body bytes the window takes now.
    ///
    /// # Errors
    /// `WouldBlock` when it takes none; another error when the stream is gone.
    pub fn room(&self, wanted: usize) -> io::Result<usize> {
        let mut send = self.send.borrow_mut();
        let Some(send) = send.as_mut() else { return Err(io::ErrorKind::NotConnected.into()) };
        if self.gone.get() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        send.reserve_capacity(wanted.min(SEND_BUFFER));
        match send.capacity().min(wanted) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }

    /// Sends body bytes, as many as the window takes.
    pub fn try_send(&self, bytes: &[u8], then: Then) -> io::Result<usize> {
        let count = self.room(bytes.len())?;
        let mut send = self.send.borrow_mut();
        let Some(send) = send.as_mut() else { return Err(io::ErrorKind::NotConnected.into()) };
        let ends = then == Then::Last && count == bytes.len() && self.trailers.borrow().is_empty();
        let piece = Bytes::copy_from_slice(bytes.get(..count).unwrap_or_default());
        send.send_data(piece, ends).map_err(broken)?;
        self.ended.set(ends);
        self.inbound.add_response(count);
        Ok(count)
    }

    /// Ready when the window takes bytes, or the stream is gone.
    pub fn poll_sendable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut send = self.send.borrow_mut();
        let Some(send) = send.as_mut() else { return Poll::Ready(()) };
        while send.capacity() == 0 {
            match ready!(send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => {
                    self.gone.set(true);
                    break;
                }
            }
        }
        Poll::Ready(())
    }

    /// Fields that follow the body when it ends; those that HTTP/2 cannot carry are left out.
    pub fn set_trailers<'a>(&self, fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
        let mut trailers = self.trailers.borrow_mut();
        for (name, value) in fields {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                trailers.append(name, value);
            }
        }
    }

    /// Ends the response.
    pub fn end(&self) {
        if let Some(send) = self.send.borrow_mut().as_mut()
            && !self.ended.replace(true)
        {
            let trailers = self.trailers.take();
            let _ = match trailers.is_empty() {
                true => send.send_data(Bytes::new(), true),
                false => send.send_trailers(trailers),
            };
        }
    }

    /// Whether the response is cut: begun, and not to be ended.
    pub fn is_cut(&self) -> bool {
        !self.ended.get() && !self.gone.get() && self.send.borrow().is_some()
    }

    /// Should the response not end, the client is told that the fault is its own: it was too slow, or is not answered.
    pub fn blame_client(&self) {
        self.reason.set(Reason::PROTOCOL_ERROR);
    }

    /// Ready when the client has given the stream up.
    pub fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.send.borrow_mut().as_mut() {
            Some(send) => send.poll_reset(cx).map(drop),
            None => self.respond.borrow_mut().poll_reset(cx).map(drop),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // A response without its end must not be taken for a whole one.
        if !self.ended.get() {
            match self.send.borrow_mut().as_mut() {
                Some(send) => send.send_reset(self.reason.get()),
                None => self.respond.borrow_mut().send_reset(self.reason.get()),
            }
        }
    }
}
