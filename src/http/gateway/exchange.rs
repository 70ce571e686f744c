//! One conversation with a backend: its connection, the request on its way out, the head on its way in.
//!
//! Differs from nginx: 1xx answers before an answer are not taken for the answer. [test: backends_see_what_nginx_shows_them]
//! Differs from nginx: an answer without a head ends the connection. [test: backends_see_what_nginx_shows_them]
//! Differs from nginx: after a 101 that the client did not ask for nothing is passed on, and both connections end at once. [test: a_switch_of_protocols_that_nobody_asked_for_ends_the_connection]
//! Differs from nginx: a head that fills `proxy_buffer_size` to its last byte costs no byte of the body. [test: a_head_that_fills_its_buffer_loses_no_body]
//! Differs from nginx: what a backend answered before it closed is read although more of the request was to be sent. [test: every_end_of_an_exchange_is_nginxs]

use super::conf::{Dialect, Gateway, next};
use super::hints;
use super::upload::Upload;
use super::upstream_response::{self, Invalid, UpstreamResponse};
use crate::http::codec::fastcgi::{self, Found, Records};
use crate::http::codec::grpc::{Fault, Frames, Link};
use crate::http::codec::h1::Method;
use crate::http::heart::request::Request;
use crate::http::heart::upstream::{IdleConnection, Reusable, Secured};
use crate::log::Level;
use crate::net::address::Address;
use crate::net::deadline::Deadline;
use crate::net::event_loop::{Buffer, EventLoop};
use crate::net::outgoing::{Local, Unconnected, severity};
use crate::net::transport::{self, Outgoing, Transport};
use crate::session::tls;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Why a conversation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server could not be reached, the connection broke or ended early.
    Error,
    /// The server took too long.
    Timeout,
    /// The response cannot be understood.
    InvalidHead,
    /// A status that the configuration takes as a failure.
    Status(u16),
    /// The client has gone.
    Aborted,
    /// The client's body cannot be passed on: the status to answer with.
    Client(u16),
    /// Something on our side: the status to answer with.
    Local(u16),
}

impl Failure {
    /// The status the client gets when nobody else is asked.
    pub const fn status(self) -> u16 {
        match self {
            Self::Timeout => 504,
            Self::Error | Self::InvalidHead => 502,
            Self::Status(status) | Self::Client(status) | Self::Local(status) => status,
            Self::Aborted => 499,
        }
    }

    /// The condition of `*_next_upstream` that it is; 0 for none.
    pub const fn bit(self) -> u32 {
        match self {
            Self::Error => next::ERROR,
            Self::Timeout => next::TIMEOUT,
            Self::InvalidHead => next::INVALID_HEADER,
            Self::Status(status) => status_bit(status),
            Self::Aborted | Self::Client(_) | Self::Local(_) => 0,
        }
    }

    /// Whether it speaks against the server.
    pub const fn counts(self) -> bool {
        match self {
            Self::Error | Self::Timeout | Self::InvalidHead => true,
            Self::Status(status) => !matches!(status, 403 | 404),
            Self::Aborted | Self::Client(_) | Self::Local(_) => false,
        }
    }
}

/// The condition of `*_next_upstream` that a status is.
pub const fn status_bit(status: u16) -> u32 {
    match status {
        500 => next::HTTP_500,
        502 => next::HTTP_502,
        503 => next::HTTP_503,
        504 => next::HTTP_504,
        403 => next::HTTP_403,
        404 => next::HTTP_404,
        429 => next::HTTP_429,
        _ => 0,
    }
}

/// What a conversation is at, in the words of nginx's log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The connection is not established.
    Connecting,
    /// It is, and TLS is not.
    Handshaking,
    /// It is, and nothing was received.
    Sending,
    /// A part of the response's head was received.
    Reading,
}

impl Stage {
    /// The action nginx's log names.
    pub const fn action(self) -> &'static str {
        match self {
            Self::Connecting => "connecting to upstream",
            Self::Handshaking => "SSL handshaking to upstream",
            Self::Sending => "sending request to upstream",
            Self::Reading => "reading response header from upstream",
        }
    }

    /// Whether the request may have reached the server.
    pub const fn is_sent(self) -> bool {
        matches!(self, Self::Sending | Self::Reading)
    }
}

/// A conversation.
pub struct Exchange {
    /// The connection.
    pub stream: Transport,
    /// What was read and not used yet.
    pub buffer: Buffer,
    /// Whether the connection may serve another request.
    pub reusable: bool,
    /// Whether the connection was kept from an earlier request.
    pub kept: bool,
    /// What secures the connection.
    pub secured: Option<Secured>,
    /// What a FastCGI server sends, taken apart.
    pub records: Option<Box<Records>>,
    /// The frames of a gRPC server.
    pub frames: Option<Box<Frames>>,
    /// Where it leads, until TLS has begun.
    address: Option<Address>,
    stage: Stage,
    deadline: Deadline,
    requests: u64,
    opened: Instant,
}

/// Informational responses before a response (RFC 9110 §15.2).
#[derive(Default)]
struct Interim {
    /// How many came.
    count: u32,
    /// Bytes of early hints.
    hints: usize,
}

/// Heads of informational responses that are passed over (RFC 9110 §15.2).
const INFORMATIONAL: u32 = 64;

/// Reads of frames before an answer's head until other requests of the loop have their turn.
const READS_AT_ONCE: u32 = 16;

impl Exchange {
    /// Goes on with an idle connection.
    pub fn reuse(idle_connection: IdleConnection, secured: Option<Secured>, event_loop: &EventLoop) -> Self {
        let IdleConnection { stream, requests, opened, link, .. } = idle_connection;
        Self::resume(Reusable { stream, requests, opened, link }, secured, event_loop)
    }

    /// Goes on with a connection that has served a request.
    pub fn resume(reusable: Reusable, secured: Option<Secured>, event_loop: &EventLoop) -> Self {
        let Reusable { stream, requests, opened, link } = reusable;
        let frames = link.map(|link| Box::new(Frames::new(link)));
        Self { kept: true, secured, frames, ..Self::new(stream, (requests, opened), event_loop, Stage::Sending) }
    }

    fn new(stream: Transport, (requests, opened): (u64, Instant), event_loop: &EventLoop, stage: Stage) -> Self {
        let deadline = event_loop.deadline();
        Self {
            stream,
            buffer: Buffer::new(0),
            reusable: true,
            kept: false,
            secured: None,
            records: None,
            frames: None,
            address: None,
            stage,
            deadline,
            requests,
            opened,
        }
    }

    /// The connection for the next request.
    pub fn into_parts(self, event_loop: &EventLoop) -> Reusable {
        event_loop.give_deadline(self.deadline);
        let link = self.frames.map(|frames| frames.link());
        Reusable { stream: self.stream, requests: self.requests + 1, opened: self.opened, link }
    }

    /// Begins to connect. A connection still on its way is waited for only when nothing can be sent yet: on loopback it
    /// is established when connect(2) returns.
    ///
    /// # Errors
    /// Why it failed, logged.
    pub fn open(
        request: &Request,
        gateway: &Gateway,
        (address, local): (&Address, Option<Local>),
        secured: Option<Secured>,
    ) -> Result<Self, Failure> {
        let loop_state = &request.connection.loop_state;
        if !loop_state.has_room(&request.location.settings.error_log) {
            let most = loop_state.event_loop.connections.get();
            let text = format!("{most} worker_connections are not enough while connecting to upstream");
            request.log(Level::Alert, &text);
            return Err(Failure::Local(500));
        }
        let (buffers, keepalive) = (gateway.buffers, gateway.socket_keepalive);
        let how = Outgoing { bind: local, buffers, keepalive, nodelay: false, speaks: true };
        let (stream, _) = transport::connect(address, &how).map_err(|unconnected| {
            let (level, call, error, failure) = match unconnected {
                Unconnected::Local { call, level, error } => (level, call, error, Failure::Local(500)),
                Unconnected::Server(error) => {
                    (severity(&error), format!("connect() to {address}"), error, Failure::Error)
                }
            };
            let text = crate::conf::walk::errno(&error);
            request.log(level, &format!("{call} failed ({text}) while connecting to upstream"));
            failure
        })?;
        let now = request.event_loop().clock.instant();
        let mut exchange = Self::new(stream, (0, now), request.event_loop(), Stage::Connecting);
        exchange.deadline.set(now, gateway.connect_timeout);
        exchange.address = secured.is_some().then(|| address.clone());
        exchange.secured = secured;
        Ok(exchange)
    }

    /// What it is at.
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether the request may have reached the server.
    pub fn is_sent(&self) -> bool {
        self.stage.is_sent()
    }

    /// Notes that the connection is established.
    pub fn established(&mut self, request: &mut Request) {
        if !self.is_sent() {
            self.stage = Stage::Sending;
            let time = request.event_loop().clock.since(self.opened);
            request.attempts.update(|attempt| attempt.connect = Some(time));
        }
    }

    /// Gives the server so much time from now on.
    pub fn expect(&mut self, request: &Request, time: Duration) {
        self.deadline.set(request.event_loop().clock.instant(), time);
    }

    /// Ready when what was due has not come in time.
    pub fn poll_expected(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.deadline.poll(cx)
    }

    /// Nothing is due from the server.
    pub const fn expect_nothing(&mut self) {
        self.deadline.clear();
    }

    /// Small pieces are sent as they come, where the location says so.
    pub fn hurry(&self, request: &Request) {
        if request.location.settings.tcp_nodelay {
            let _ = self.stream.socket().set_tcp_nodelay(true);
        }
    }

    /// Ready when the connection is established and takes bytes.
    ///
    /// # Errors
    /// Why it could not be established, logged.
    pub fn poll_writable(
        &mut self,
        cx: &mut Context<'_>,
        request: &mut Request,
        gateway: &Gateway,
    ) -> Poll<Result<(), Failure>> {
        ready!(self.stream.poll_writable(cx));
        if self.stage == Stage::Connecting {
            let outcome = self.stream.socket().take_error().and_then(|error| error.map_or(Ok(()), Err));
            if let Err(error) = outcome {
                return Poll::Ready(Err(self.not_sent(request, &error)));
            }
            self.established(request);
            self.expect(request, gateway.send_timeout);
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when the request may be sent: at once without TLS, else after the handshake.
    fn poll_secured(
        &mut self,
        cx: &mut Context<'_>,
        request: &mut Request,
        gateway: &Gateway,
    ) -> Poll<Result<(), Failure>> {
        let Some(secured) = self.secured.clone().filter(|_| !self.is_sent()) else { return Poll::Ready(Ok(())) };
        if self.stage == Stage::Connecting {
            ready!(self.stream.poll_writable(cx));
            let outcome = self.stream.socket().take_error().and_then(|error| error.map_or(Ok(()), Err));
            if let Err(error) = outcome {
                return Poll::Ready(Err(self.not_sent(request, &error)));
            }
            self.stage = Stage::Handshaking;
            let Some(address) = self.address.take() else { return Poll::Ready(Err(Failure::Local(500))) };
            match secured.side.connect(request, &address, &secured.name) {
                Ok(session) => self.stream.secure(session, b""),
                // The certificate for the server cannot be loaded.
                Err(text) => {
                    self.insecure(request, &text);
                    return Poll::Ready(Err(Failure::Local(500)));
                }
            }
        }
        let failed = ready!(self.stream.poll_handshake(cx)).err().map(|error| tls::failed(&error));
        let judged = || {
            let now = request.event_loop().clock.now().as_secs() as i64;
            let session = self.stream.tls()?;
            session.look(|state| secured.side.verify(state, &secured.name, now)).err()
        };
        if let Some(text) = failed.or_else(judged) {
            return Poll::Ready(Err(self.insecure(request, &text)));
        }
        self.established(request);
        self.expect(request, gateway.send_timeout);
        Poll::Ready(Ok(()))
    }

    fn insecure(&self, request: &Request, text: &str) -> Failure {
        request.log(Level::Error, &format!("{text} while {}", self.stage.action()));
        Failure::Error
    }

    /// Logs why nothing (more) could be sent.
    pub fn not_sent(&self, request: &Request, error: &io::Error) -> Failure {
        let call = if self.stage == Stage::Connecting { "connect" } else { "writev" };
        let (text, action) = (crate::conf::walk::errno(error), self.stage.action());
        request.log(Level::Error, &format!("{call}() failed ({text}) while {action}"));
        Failure::Error
    }

    /// Sends the request and reads up to the end of the response's head; what is left of the request is sent by the caller.
    ///
    /// # Errors
    /// Why it failed, logged.
    pub async fn converse(
        &mut self,
        request: &mut Request,
        gateway: &Gateway,
        asked: &[u8],
        upload: &mut Option<Upload<'_>>,
    ) -> Result<UpstreamResponse, Failure> {
        let begun = request.event_loop().clock.instant();
        self.records = (gateway.dialect == Dialect::FastCgi).then(Box::default);
        if gateway.dialect.has_frames() && self.frames.is_none() {
            self.frames = Some(Box::new(Frames::new(Link::default())));
        }
        self.frames.iter_mut().for_each(|frames| frames.informs = gateway.dialect == Dialect::Http2);
        // What becomes a file is fetched for others too.
        let cache = &request.attempts.cache;
        let watch = !gateway.ignore_client_abort && !cache.keeps && !cache.stores;
        let mut interim = Interim::default();
        let reply = poll_fn(|cx| {
            for event_loop in 0.. {
                match self.poll_secured(cx, request, gateway) {
                    Poll::Ready(Ok(())) => self.poll_upload(cx, request, gateway, upload)?,
                    Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                    Poll::Pending => {}
                }
                if !self.is_sent() {
                    break;
                }
                let found = match self.frames {
                    Some(_) => self.poll_frames(cx, request, (gateway, asked), &mut interim),
                    None => self.poll_head(cx, request, (gateway, asked), &mut interim),
                };
                if found.is_ready() {
                    return found;
                }
                // Frames that came may let more be sent.
                if !self.frames.as_mut().is_some_and(|frames| std::mem::take(&mut frames.moved)) {
                    break;
                }
                if event_loop == READS_AT_ONCE {
                    cx.waker().wake_by_ref();
                    break;
                }
            }
            if watch && request.poll_gone(cx).is_ready() {
                return Poll::Ready(Err(self.client_left(request)));
            }
            ready!(self.deadline.poll(cx));
            Poll::Ready(Err(Failure::Timeout))
        })
        .await?;
        let time = request.event_loop().clock.since(begun);
        request.attempts.update(|attempt| attempt.header = Some(time));
        Ok(reply)
    }

    /// Sends what can be sent; all of it, and `upload` is gone.
    fn poll_upload(
        &mut self,
        cx: &mut Context<'_>,
        request: &mut Request,
        gateway: &Gateway,
        upload: &mut Option<Upload<'_>>,
    ) -> Result<(), Failure> {
        let Some(sending) = upload else {
            return match self.poll_control(cx, request) {
                // The server may have answered before it closed.
                Err(_) if self.stream.has_input() && !self.is_over() => Ok(()),
                outcome => outcome,
            };
        };
        match sending.poll(cx, request, gateway, self) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Ok(())) => {}
            // The server may have answered before it closed.
            Poll::Ready(Err(Failure::Error)) if self.is_sent() && self.stream.has_input() && !self.is_over() => {
                self.reusable = false;
            }
            Poll::Ready(Err(failure)) => return Err(failure),
        }
        *upload = None;
        self.expect(request, gateway.read_timeout);
        Ok(())
    }

    /// Sends the frames that answer a server's, when no others are on their way.
    ///
    /// # Errors
    /// Why they cannot be sent, logged.
    pub fn poll_control(&mut self, cx: &mut Context<'_>, request: &mut Request) -> Result<(), Failure> {
        let Some(frames) = &mut self.frames else { return Ok(()) };
        while !frames.control().is_empty() {
            match self.stream.try_write(frames.control()) {
                Ok(count) => {
                    frames.sent_control(count);
                    request.attempts.update(|attempt| attempt.sent += count as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.stream.poll_writable(cx).is_pending() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    frames.sent_control(frames.control().len());
                    self.reusable = false;
                    return Err(self.not_sent(request, &error));
                }
            }
        }
        Ok(())
    }

    /// Whether the connection may carry another request, as far as its frames tell; the last of them are sent.
    pub fn settle(&mut self, request: &mut Request) -> bool {
        let Some(frames) = &mut self.frames else { return true };
        if frames.is_over() && !frames.control().is_empty() {
            let count = self.stream.try_write(frames.control()).unwrap_or(0);
            frames.sent_control(count);
            request.attempts.update(|attempt| attempt.sent += count as u64);
        }
        frames.is_clean()
    }

    /// Reads up to the end of the head of an answer in frames. Pending also when frames came that are to be answered.
    ///
    /// Differs from nginx: informational answers other than hints are passed over. [test: informational_answers_in_frames_are_passed_over]
    fn poll_frames(
        &mut self,
        cx: &mut Context<'_>,
        request: &mut Request,
        (gateway, asked): (&Gateway, &[u8]),
        interim: &mut Interim,
    ) -> Poll<Result<UpstreamResponse, Failure>> {
        let Some(frames) = &mut self.frames else { return Poll::Ready(Err(Failure::Local(500))) };
        let mut scratch = request.event_loop().scratch();
        let mut reads = 0;
        let outcome = loop {
            if reads == READS_AT_ONCE {
                cx.waker().wake_by_ref();
                break Poll::Pending;
            }
            reads += 1;
            let most = gateway.buffer_size.saturating_sub(frames.held()).min(scratch.len());
            match self.stream.try_read(scratch.get_mut(..most).unwrap_or_default()) {
                Ok(0) => {
                    let text = "upstream prematurely closed connection while reading response header from upstream";
                    request.log(Level::Error, text);
                    break Poll::Ready(Err(Failure::Error));
                }
                Ok(count) => {
                    request.attempts.update(|attempt| attempt.received += count as u64);
                    let bytes = scratch.get(..count).unwrap_or_default();
                    match take_head(frames, bytes, request, gateway, interim) {
                        Ok(Some(used)) => break Poll::Ready(Ok(bytes.get(used..).unwrap_or_default())),
                        Ok(None) if frames.held() >= gateway.buffer_size => {
                            let text = "upstream sent too big header while reading response header from upstream";
                            request.log(Level::Error, text);
                            break Poll::Ready(Err(Failure::InvalidHead));
                        }
                        Ok(None) if frames.moved => break Poll::Pending,
                        Ok(None) => {}
                        Err(fault) => {
                            complain_of(request, &fault, Stage::Reading.action());
                            break Poll::Ready(Err(Failure::InvalidHead));
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.stream.poll_readable(cx).is_pending() {
                        break Poll::Pending;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let (text, action) = (crate::conf::walk::errno(&error), Stage::Reading.action());
                    request.log(Level::Error, &format!("recv() failed ({text}) while {action}"));
                    break Poll::Ready(Err(Failure::Error));
                }
            }
        };
        let found = outcome.map(|outcome| {
            self.stage = Stage::Reading;
            let rest = outcome?;
            let mut head = frames.answer();
            if gateway.dialect == Dialect::Http2 {
                head = upstream_response::as_text(&head);
            }
            let reply = upstream_response::of_frames(request, gateway.dialect, asked, &head).map_err(|text| {
                request.log(Level::Error, &format!("{text} while reading response header from upstream"));
                Failure::InvalidHead
            })?;
            self.buffer = filled(request.event_loop(), &[&head.text, rest]);
            Ok(reply)
        });
        request.event_loop().give_scratch(scratch);
        found
    }

    /// Whether the server has closed the connection without a word, or broken it.
    fn is_over(&self) -> bool {
        if let Some(session) = self.stream.tls() {
            return !session.has_bytes();
        }
        let mut byte = [std::mem::MaybeUninit::new(0_u8)];
        !matches!(self.stream.socket().peek(&mut byte), Ok(1..))
    }

    /// Reads up to the end of the response's head.
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        request: &mut Request,
        (gateway, asked): (&Gateway, &[u8]),
        interim: &mut Interim,
    ) -> Poll<Result<UpstreamResponse, Failure>> {
        loop {
            if self.buffer.size() == 0 {
                if self.stream.poll_readable(cx).is_pending() {
                    return Poll::Pending;
                }
                self.buffer = request.event_loop().buffer();
            }
            if self.buffer.room().is_empty() {
                self.buffer.compact();
                if self.buffer.room().is_empty() {
                    let size = self.buffer.size() * 2;
                    self.buffer.grow(size);
                }
            }
            let mut errors = Vec::new();
            match self.stream.try_read(self.buffer.room()) {
                Ok(0) => {
                    self.stage = Stage::Reading;
                    let text = "upstream prematurely closed connection while reading response header from upstream";
                    request.log(Level::Error, text);
                    return Poll::Ready(Err(Failure::Error));
                }
                Ok(count) => {
                    self.buffer.end += count;
                    self.stage = Stage::Reading;
                    request.attempts.update(|attempt| attempt.received += count as u64);
                    if self.records.is_some() {
                        let (start, end) = (self.buffer.end - count, self.buffer.end);
                        let mut buffer = std::mem::replace(&mut self.buffer, Buffer::new(0));
                        let room = buffer.all().get_mut(start..end).unwrap_or_default();
                        let found = self.take_apart(request, room, Stage::Reading.action());
                        self.buffer = buffer;
                        let found = found?;
                        self.buffer.end = start + found.answer;
                        errors = found.errors;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_readable(cx));
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.stage = Stage::Reading;
                    let text = crate::conf::walk::errno(&error);
                    let action = self.stage.action();
                    request.log(Level::Error, &format!("recv() failed ({text}) while {action}"));
                    return Poll::Ready(Err(Failure::Error));
                }
            }
            let parsed = self.parse(request, gateway, asked, interim);
            let head = parsed.as_ref().ok().and_then(|reply| Some(u64::from(reply.as_ref()?.head)));
            Self::complain(request, gateway, &errors, head)?;
            match parsed {
                Ok(Some(reply)) if reply.head as usize <= gateway.buffer_size => return Poll::Ready(Ok(reply)),
                Ok(None) if self.buffer.filled().len() < gateway.buffer_size => {
                    if let Some(what) = self.records.as_ref().and_then(|records| early(records)) {
                        request.log(Level::Error, &format!("{what} while reading response header from upstream"));
                        return Poll::Ready(Err(Failure::InvalidHead));
                    }
                }
                Ok(_) => {
                    let text = "upstream sent too big header while reading response header from upstream";
                    request.log(Level::Error, text);
                    return Poll::Ready(Err(Failure::InvalidHead));
                }
                Err(Invalid::Logged) => return Poll::Ready(Err(Failure::InvalidHead)),
                Err(Invalid::Head(text)) => {
                    request.log(Level::Error, &format!("{text} while reading response header from upstream"));
                    return Poll::Ready(Err(Failure::InvalidHead));
                }
            }
        }
    }

    /// Takes records apart: what they hold of the answer is at the beginning of `bytes` afterwards, and its length the
    /// result; with what was said on the error stream.
    ///
    /// # Errors
    /// A record that cannot be; logged.
    pub fn take_apart(&mut self, request: &Request, bytes: &mut [u8], action: &str) -> Result<Found, Failure> {
        if let Some(frames) = &mut self.frames {
            return match frames.take_body(bytes) {
                Ok(answer) => Ok(Found { answer, errors: Vec::new() }),
                Err(fault) => {
                    complain_of(request, &fault, action);
                    Err(Failure::InvalidHead)
                }
            };
        }
        let answer = bytes.len();
        let Some(records) = &mut self.records else { return Ok(Found { answer, errors: Vec::new() }) };
        records.take(bytes).map_err(|text| {
            request.log(Level::Error, &format!("{text} while {action}"));
            Failure::InvalidHead
        })
    }

    /// Logs what a FastCGI server said on the error stream while the head was read, and behind it; an error where
    /// `fastcgi_catch_stderr` names it.
    fn complain(
        request: &Request,
        gateway: &Gateway,
        errors: &[(u64, Vec<u8>)],
        head: Option<u64>,
    ) -> Result<(), Failure> {
        let mut caught = false;
        for (place, error) in errors {
            let behind = head.is_some_and(|head| *place >= head);
            // Behind the head of an answer to HEAD nothing is read.
            if behind && request.method == Method::Head {
                continue;
            }
            said(request, error, if behind { "reading upstream" } else { Stage::Reading.action() });
            caught |= !behind && gateway.catch.iter().any(|text| memchr::memmem::find(error, text).is_some());
        }
        if caught { Err(Failure::InvalidHead) } else { Ok(()) }
    }

    /// Parses what is there; interim responses are passed over, or on as early hints.
    fn parse(
        &mut self,
        request: &mut Request,
        gateway: &Gateway,
        asked: &[u8],
        interim: &mut Interim,
    ) -> Result<Option<UpstreamResponse>, Invalid> {
        loop {
            match upstream_response::parse(request, gateway.dialect, asked, self.buffer.filled())? {
                Some(reply) if matches!(reply.status, 100 | 102..=199) => {
                    interim.count += 1;
                    if interim.count > INFORMATIONAL {
                        return Err(Invalid::Head("upstream sent too many informational responses".to_owned()));
                    }
                    if reply.status == 103 && gateway.dialect == Dialect::Http {
                        hints::pass(request, gateway, (&reply, self.buffer.filled()), &mut interim.hints);
                    }
                    self.buffer.start += reply.head as usize;
                    self.buffer.compact();
                }
                other => return Ok(other),
            }
        }
    }

    fn client_left(&self, request: &mut Request) -> Failure {
        let action = self.stage.action();
        request.log(
            Level::Info,
            &format!(
                "epoll_wait() reported that client prematurely closed connection, so upstream connection is closed too while {action}"
            ),
        );
        request.response.broken = true;
        Failure::Aborted
    }
}

/// Takes bytes in up to the end of the answer's head; informational answers are passed over, or on as early hints.
fn take_head(
    frames: &mut Frames,
    bytes: &[u8],
    request: &mut Request,
    gateway: &Gateway,
    interim: &mut Interim,
) -> Result<Option<usize>, Fault> {
    let mut at = 0;
    while let Some(used) = frames.take_head(bytes.get(at..).unwrap_or_default())? {
        at += used;
        if !frames.is_informational() {
            return Ok(Some(at));
        }
        let head = frames.answer();
        interim.count += 1;
        if interim.count > INFORMATIONAL {
            return Err(Fault(vec!["upstream sent too many informational responses".to_owned()]));
        }
        if head.status == 103 {
            hints::pass(request, gateway, (&upstream_response::of_hints(&head), &head.text), &mut interim.hints);
        }
    }
    Ok(None)
}

/// Logs what no gRPC server may send.
fn complain_of(request: &Request, Fault(lines): &Fault, action: &str) {
    for line in lines {
        request.log(Level::Error, &format!("{line} while {action}"));
    }
}

/// A buffer with these runs of bytes.
pub fn filled(event_loop: &EventLoop, runs: &[&[u8]]) -> Buffer {
    let mut buffer = event_loop.buffer();
    let total = runs.iter().map(|run| run.len()).sum();
    buffer.grow(total);
    for run in runs {
        if let Some(room) = buffer.room().get_mut(..run.len()) {
            room.copy_from_slice(run);
        }
        buffer.end += run.len();
    }
    buffer
}

/// Why an answer has no head any more.
const fn early(records: &Records) -> Option<&'static str> {
    if records.is_closed {
        Some("upstream prematurely closed FastCGI stdout")
    } else if records.is_ended {
        Some("upstream sent unexpected FastCGI record: 3")
    } else {
        None
    }
}

/// Logs a piece of a FastCGI server's error stream.
pub fn said(request: &Request, error: &[u8], action: &str) {
    let text = crate::conf::bytes::text(fastcgi::shown(error));
    request.log(Level::Error, &format!("FastCGI sent in stderr: \"{text}\" while {action}"));
}
