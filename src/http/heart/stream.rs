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

    /// Sends body bytes, as many as the window takes.
    pub fn try_send(&self, bytes: &[u8], then: Then) -> io::Result<usize> {
        let mut send = self.send.borrow_mut();
        let Some(send) = send.as_mut() else { return Err(io::ErrorKind::NotConnected.into()) };
        send.reserve_capacity(bytes.len().min(SEND_BUFFER));
        let count = send.capacity().min(bytes.len());
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
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
                Some(Err(_)) | None => break,
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
                Some(send) => send.send_reset(Reason::INTERNAL_ERROR),
                None => self.respond.borrow_mut().send_reset(Reason::INTERNAL_ERROR),
            }
        }
    }
}
