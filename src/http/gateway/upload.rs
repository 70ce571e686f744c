//! A request on its way to a backend: its head, then its body from memory, from a file, or as it comes from the client.
//!
//! It is sent as far as the connection takes it, before, while and after the answer is read: a backend may answer before
//! it has the whole request. A body that is passed on as it comes is not touched before the connection is established.

use super::conf::{Dialect, Gateway};
use super::exchange::{Exchange, Failure};
use crate::http::codec::fastcgi;
use crate::http::heart::body::{BodyFile, Saved};
use crate::http::heart::request::Request;
use crate::log::Level;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Bytes of a file sent at a time.
const PIECE: u64 = 64 * 1024;

/// Where the rest of a body comes from.
enum Rest {
    /// There is none (or no more).
    None,
    /// From memory, from this byte on.
    Memory(Rc<Vec<u8>>, usize),
    /// From a file: the next byte and the length.
    File(Rc<BodyFile>, u64, u64),
    /// From the client.
    Client,
}

/// How a body is framed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Frame {
    /// Not at all.
    Plain,
    /// In chunks.
    Chunked,
    /// In FastCGI's records; whether the last was made.
    Records(bool),
    /// In HTTP/2 frames, the head too.
    Frames(Framed),
}

/// How far a request in HTTP/2 frames has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Framed {
    /// Nothing was made yet.
    Begins,
    /// The head was made.
    Goes,
    /// The rest waits for the server's window.
    Waits,
    /// The end of the stream was made.
    Ended,
}

/// A request that is being sent.
pub struct Upload<'a> {
    /// What is sent as it is before the body; nothing where it is framed.
    head: &'a [u8],
    /// The fields of a head that is framed.
    fields: &'a [u8],
    /// What the client sent beyond the server's window, from `spare_at` on.
    spare: Vec<u8>,
    spare_at: usize,
    piece: Vec<u8>,
    /// How much of `head`, or of `piece` when the head is sent, has been sent.
    at: usize,
    rest: Rest,
    frame: Frame,
    send_timeout: Duration,
}

impl<'a> Upload<'a> {
    /// The request with this head.
    pub fn new(request: &Request, gateway: &Gateway, head: &'a [u8]) -> Self {
        let rest = match &request.body.saved {
            _ if !gateway.pass_body => Rest::None,
            Some(Saved::Memory(body)) => Rest::Memory(body.clone(), 0),
            Some(Saved::File(file, length)) => Rest::File(file.clone(), 0, *length),
            None if request.body.is_pending() => Rest::Client,
            None => Rest::None,
        };
        let frame = match (gateway.dialect, &rest) {
            (Dialect::FastCgi, _) => Frame::Records(false),
            (dialect, _) if dialect.has_frames() => Frame::Frames(Framed::Begins),
            (Dialect::Http, Rest::Client) if request.body.is_chunked() => Frame::Chunked,
            _ => Frame::Plain,
        };
        let (head, fields) = if matches!(frame, Frame::Frames(_)) { (&[][..], head) } else { (head, &[][..]) };
        Self {
            head,
            fields,
            spare: Vec::new(),
            spare_at: 0,
            piece: Vec::new(),
            at: 0,
            rest,
            frame,
            send_timeout: gateway.send_timeout,
        }
    }

    /// Whether the client's body is passed on as it comes: nobody else can get it again.
    pub const fn is_streamed(&self) -> bool {
        matches!(self.rest, Rest::Client)
    }

    /// Sends what the connection takes; ready when all has been sent.
    ///
    /// # Errors
    /// Why it cannot be sent, logged.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        request: &mut Request,
        gateway: &Gateway,
        exchange: &mut Exchange,
    ) -> Poll<Result<(), Failure>> {
        // The first piece goes with the head, but for a body on its way: what of it was sent cannot be sent again.
        if self.at == 0 && self.piece.is_empty() && !matches!(self.rest, Rest::Client) {
            ready!(self.poll_refill(cx, request, exchange))?;
        }
        loop {
            if self.is_empty() && !ready!(self.poll_refill(cx, request, exchange))? {
                return Poll::Ready(Ok(()));
            }
            match self.put(exchange) {
                Ok(count) => {
                    exchange.established(request);
                    exchange.expect(request, gateway.send_timeout);
                    request.attempts.update(|attempt| attempt.sent += count as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(exchange.poll_writable(cx, request, gateway))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(exchange.not_sent(request, &error))),
            }
        }
    }

    /// Whether nothing is left of head and piece, nor of a body in memory.
    fn is_empty(&self) -> bool {
        self.at == self.head.len() + self.piece.len() && self.ready().is_empty()
    }

    /// What of a body in memory can be sent as it is.
    fn ready(&self) -> &[u8] {
        match &self.rest {
            Rest::Memory(body, at) if self.frame == Frame::Plain => body.get(*at..).unwrap_or_default(),
            _ => b"",
        }
    }

    /// Writes once, and counts what was taken.
    fn put(&mut self, exchange: &Exchange) -> io::Result<usize> {
        let head = self.head.get(self.at..).unwrap_or_default();
        let piece = self.piece.get(self.at.saturating_sub(self.head.len())..).unwrap_or_default();
        let body = self.ready();
        let count = match (head, piece, body) {
            (bytes, [], []) | ([], bytes, []) | ([], [], bytes) => exchange.stream.try_write(bytes),
            _ => {
                let pieces = [IoSlice::new(head), IoSlice::new(piece), IoSlice::new(body)];
                exchange.stream.try_write_vectored(&pieces)
            }
        }?;
        let first = count.min(head.len() + piece.len());
        self.at += first;
        if count > first
            && let Rest::Memory(_, at) = &mut self.rest
        {
            *at += count - first;
        }
        Ok(count)
    }

    /// Gets the next piece of the body; false when there is none.
    fn poll_refill(
        &mut self,
        cx: &mut Context<'_>,
        request: &mut Request,
        exchange: &mut Exchange,
    ) -> Poll<Result<bool, Failure>> {
        if self.at > 0 {
            self.at = self.head.len();
        }
        self.piece.clear();
        if let Frame::Frames(framed) = self.frame {
            return self.poll_frames(cx, request, exchange, framed);
        }
        match &mut self.rest {
            Rest::Memory(body, at) if matches!(self.frame, Frame::Records(_)) => {
                let rest = body.get(*at..).unwrap_or_default();
                let taken = rest.get(..fastcgi::PIECE).unwrap_or(rest);
                *at += taken.len();
                self.piece.extend_from_slice(taken);
            }
            Rest::None | Rest::Memory(..) => {}
            Rest::File(file, at, length) => {
                let size = usize::try_from((*length - *at).min(PIECE)).unwrap_or_default();
                self.piece.resize(size, 0);
                read_at(request, file, &mut self.piece, at)?;
            }
            Rest::Client => {
                request.body.streamed = true;
                exchange.hurry(request);
                // The client's own limit of time counts while its body is awaited.
                exchange.expect_nothing();
                let mut body = Vec::new();
                let more = ready!(request.poll_body(cx, &mut body)).map_err(Failure::Client)?;
                if self.frame == Frame::Chunked {
                    frame(&body, more, &mut self.piece);
                } else {
                    self.piece = body;
                }
                if !more {
                    self.rest = Rest::None;
                }
            }
        }
        if let Frame::Records(ended) = &mut self.frame {
            let body = std::mem::take(&mut self.piece);
            fastcgi::stdin(&body, &mut self.piece);
            let is_over = match &self.rest {
                Rest::None => true,
                Rest::Memory(body, at) => *at == body.len(),
                Rest::File(_, at, length) => at == length,
                Rest::Client => false,
            };
            if is_over && !std::mem::replace(ended, true) {
                fastcgi::stdin_end(&mut self.piece);
            }
        }
        Poll::Ready(Ok(!self.piece.is_empty()))
    }
}

impl Upload<'_> {
    /// Makes the next frames: the head, then as much of the body as the server's window takes. Pending also while the
    /// window is closed: the server's frames open it.
    fn poll_frames(
        &mut self,
        cx: &mut Context<'_>,
        request: &mut Request,
        exchange: &mut Exchange,
        framed: Framed,
    ) -> Poll<Result<bool, Failure>> {
        let window = {
            let Some(frames) = &mut exchange.frames else { return Poll::Ready(Err(Failure::Local(500))) };
            if framed == Framed::Begins {
                let ends = self.is_at_end();
                frames.begin(self.fields, ends, &mut self.piece);
                self.frame = Frame::Frames(if ends { Framed::Ended } else { Framed::Goes });
                return Poll::Ready(Ok(true));
            }
            self.piece.extend_from_slice(frames.control());
            frames.sent_control(self.piece.len());
            frames.window()
        };
        if framed == Framed::Ended {
            return Poll::Ready(Ok(!self.piece.is_empty()));
        }
        if self.spare_at == self.spare.len() {
            self.spare.clear();
            self.spare_at = 0;
            match self.poll_spare(cx, request, exchange, window) {
                Poll::Ready(outcome) => outcome?,
                Poll::Pending if self.piece.is_empty() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Ok(true)),
            }
        }
        let rest = self.spare.get(self.spare_at..).unwrap_or_default();
        let taken = rest.get(..window).unwrap_or(rest);
        let ends = taken.len() == rest.len() && self.is_at_end();
        if taken.is_empty() && !ends {
            if framed != Framed::Waits {
                self.frame = Frame::Frames(Framed::Waits);
                exchange.expect(request, self.send_timeout);
            }
            return if self.piece.is_empty() { Poll::Pending } else { Poll::Ready(Ok(true)) };
        }
        if let Some(frames) = &mut exchange.frames {
            frames.data(taken, ends, &mut self.piece);
        }
        self.spare_at += taken.len();
        self.frame = Frame::Frames(if ends { Framed::Ended } else { Framed::Goes });
        Poll::Ready(Ok(true))
    }

    /// Whether nothing of the body is left beside `spare`.
    fn is_at_end(&self) -> bool {
        match &self.rest {
            Rest::None => true,
            Rest::Memory(body, at) => *at == body.len(),
            Rest::File(_, at, length) => at == length,
            Rest::Client => false,
        }
    }

    /// Gets more of the body into `spare`: of what is kept, no more than the window takes.
    fn poll_spare(
        &mut self,
        cx: &mut Context<'_>,
        request: &mut Request,
        exchange: &mut Exchange,
        window: usize,
    ) -> Poll<Result<(), Failure>> {
        match &mut self.rest {
            Rest::None => {}
            Rest::Memory(body, at) => {
                let rest = body.get(*at..).unwrap_or_default();
                let taken = rest.get(..window.min(PIECE as usize)).unwrap_or(rest);
                self.spare.extend_from_slice(taken);
                *at += taken.len();
            }
            Rest::File(file, at, length) => {
                let size = usize::try_from((*length - *at).min(PIECE)).unwrap_or_default().min(window);
                self.spare.resize(size, 0);
                read_at(request, file, &mut self.spare, at)?;
            }
            Rest::Client => {
                request.body.streamed = true;
                exchange.hurry(request);
                // The client's own limit of time counts while its body is awaited.
                exchange.expect_nothing();
                if !ready!(request.poll_body(cx, &mut self.spare)).map_err(Failure::Client)? {
                    self.rest = Rest::None;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Fills `piece` from a body's file.
fn read_at(request: &Request, file: &BodyFile, piece: &mut [u8], at: &mut u64) -> Result<(), Failure> {
    if let Err(error) = file.file.read_exact_at(piece, *at) {
        let text = crate::conf::walk::errno(&error);
        request.log(Level::Crit, &format!("pread() failed ({text}) while sending request to upstream"));
        return Err(Failure::Local(500));
    }
    *at += piece.len() as u64;
    Ok(())
}

/// Frames a piece of a body as a chunk, the last with the end behind it.
fn frame(body: &[u8], more: bool, out: &mut Vec<u8>) {
    if !body.is_empty() {
        out.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
        out.extend_from_slice(body);
        out.extend_from_slice(b"\r\n");
    }
    if !more {
        out.extend_from_slice(b"0\r\n\r\n");
    }
}
