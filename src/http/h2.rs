//! HTTP/2 (RFC 9113): a connection's streams become requests; frames, flow control and HPACK are the h2 crate's.
//!
//! A stream's head is written as the text of an HTTP/1 head, so that limits, variables and gateways read it like any
//! other. Each stream is a task of the connection's loop. A response's head goes the other way: its text becomes a
//! HEADERS frame.
//!
//! Differs from nginx: a malformed message (RFC 9113 §8.1.1) is refused with RST_STREAM and has no answer; frames that break other rules of the protocol end the connection. [test: malformed_messages_end_their_stream_or_connection]
//!
//! Differs from nginx: trailers of a request are taken, and dropped. [test: malformed_messages_end_their_stream_or_connection]
//!
//! Differs from nginx: of a head that is too large only the stream is refused. [test: heads_that_are_too_large_are_refused_and_the_connection_serves_on]

use super::connection::{Connection, Over, Standing};
use super::filter::Then;
use super::inbound::Inbound;
use super::listen::Virtual;
use super::request::Request;
use super::site::Server;
use super::wire::Wire;
use crate::log::Level;
use crate::net::deadline::Deadline;
use crate::net::turn::Buffer;
use bytes::Bytes;
use h2::server::{Connection as Driver, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderName, HeaderValue, StatusCode};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What every client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of responses that wait for a stream's window.
const SEND_BUFFER: usize = 64 * 1024;
/// The window of a connection: a stream that nobody reads must not hold up the others.
const WINDOW: u32 = 16 << 20;
/// Time in which a client answers a GOAWAY.
const FAREWELL: Duration = Duration::from_secs(5);
/// Bytes that are dropped of a connection that was ended.
const LINGERING: usize = 256 * 1024;
/// Bytes read from a connection before other connections of its loop have their turn.
const READ_AT_ONCE: usize = 64 * 1024;

/// How a server speaks HTTP/2.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// `http2 on`.
    pub enabled: bool,
    /// `http2_max_concurrent_streams`.
    pub streams: u32,
    /// `http2_body_preread_size`: the window of a stream.
    pub window: u32,
}

/// What the first bytes of a connection tell.
#[derive(Debug, PartialEq, Eq)]
pub enum Preface {
    /// HTTP/2.
    Whole,
    /// HTTP/2, as far as one can see.
    Part,
    /// Something else.
    Other,
}

/// Whether a connection that begins like this speaks HTTP/2.
pub fn preface(bytes: &[u8]) -> Preface {
    if bytes.starts_with(PREFACE) {
        Preface::Whole
    } else if PREFACE.starts_with(bytes) {
        Preface::Part
    } else {
        Preface::Other
    }
}

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

/// A response head from its text; the fields that are the connection's own are left out (RFC 9113 §8.2.2).
fn head(text: &[u8]) -> http::Response<()> {
    let mut response = http::Response::new(());
    let mut lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let status = lines.next().and_then(|line| line.get(9..12)).and_then(|digits| StatusCode::from_bytes(digits).ok());
    *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for line in lines {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii_start();
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) else { continue };
        if !matches!(name.as_str(), "connection" | "keep-alive" | "transfer-encoding" | "upgrade" | "proxy-connection")
        {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// A request's head as text.
fn text(parts: &http::request::Parts) -> Vec<u8> {
    let mut text = Vec::with_capacity(512);
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    for part in [parts.method.as_str(), " ", path, " HTTP/1.1\r\n"] {
        text.extend_from_slice(part.as_bytes());
    }
    let mut line = |name: &[u8], value: &[u8]| {
        for part in [name, b": ", value, b"\r\n"] {
            text.extend_from_slice(part);
        }
    };
    if let Some(authority) = parts.uri.authority() {
        line(b"host", authority.as_str().as_bytes());
    }
    let mut cookies: Vec<&[u8]> = Vec::new();
    for (name, value) in &parts.headers {
        if name == http::header::COOKIE {
            cookies.push(value.as_bytes());
        } else {
            line(name.as_str().as_bytes(), value.as_bytes());
        }
    }
    if !cookies.is_empty() {
        line(b"cookie", &cookies.join(&b"; "[..]));
    }
    text.extend_from_slice(b"\r\n");
    text
}

/// The connection as the h2 crate sees it.
struct Io {
    connection: Rc<Connection>,
    /// What was read before.
    first: Option<Box<Buffer>>,
    inbound: Rc<Inbound>,
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(first) = &mut this.first {
            let count = first.filled().len().min(into.remaining());
            let bytes = first.filled().get(..count).unwrap_or_default();
            this.inbound.read(bytes);
            into.put_slice(bytes);
            first.start += count;
            if first.filled().is_empty() {
                this.first = None;
            }
            return Poll::Ready(Ok(()));
        }
        // The crate reads for as long as there is something.
        if this.inbound.at_once.get() >= READ_AT_ONCE {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let stream = &this.connection.stream;
        loop {
            match stream.try_read(into.initialize_unfilled()) {
                Ok(count) => {
                    this.inbound.read(into.initialize_unfilled().get(..count).unwrap_or_default());
                    into.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(stream.poll_readable(cx)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = &self.connection.stream;
        loop {
            match stream.try_write_vectored(pieces) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.inbound.blocked.set(true);
                    ready!(stream.poll_writable(cx));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => {
                    self.inbound.blocked.set(false);
                    self.inbound.written.set(self.inbound.written.get() + *outcome.as_ref().unwrap_or(&0) as u64);
                    return Poll::Ready(outcome);
                }
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.connection.stream.poll_flush(cx);
        self.inbound.blocked.set(flushed.is_pending());
        flushed.map(Ok)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.connection.stream.poll_flush(cx));
        self.connection.stream.shutdown();
        Poll::Ready(Ok(()))
    }
}

/// The streams of a connection at work.
#[derive(Default)]
struct Streams {
    open: Cell<usize>,
    /// The connection's task.
    driver: Cell<Option<Waker>>,
}

/// One of them, counted until it is dropped.
struct Open(Rc<Streams>);

impl Open {
    fn new(streams: &Rc<Streams>) -> Self {
        streams.open.set(streams.open.get() + 1);
        Self(streams.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
        if let Some(driver) = self.0.driver.take() {
            driver.wake();
        }
    }
}

/// Serves a connection to its end; `first` was read from it already, `server` is the one the TLS handshake named.
pub async fn serve(
    connection: &Rc<Connection>,
    mut entry: Arc<Virtual>,
    mut server: Option<Arc<Server>>,
    first: Option<Box<Buffer>>,
) {
    let own = server.as_ref().unwrap_or(&entry.default).clone();
    let _ = connection.stream.socket().set_tcp_nodelay(true);
    connection.nodelay.set(true);
    let inbound = Rc::new(Inbound::new(own.h2.streams));
    let io = Io { connection: connection.clone(), first, inbound: inbound.clone() };
    let mut builder = h2::server::Builder::new();
    let room = own.head.large_count.saturating_mul(own.head.large_size).saturating_add(own.head.first);
    builder
        .max_concurrent_streams(own.h2.streams)
        .initial_window_size(own.h2.window)
        .initial_connection_window_size(WINDOW)
        // RFC 9113 counts 32 bytes more for each field. Heads that are too large are answered as in HTTP/1.
        .max_header_list_size(u32::try_from(room.saturating_mul(2)).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER);
    let driver = match tokio::time::timeout(own.head.timeout, builder.handshake::<_, Bytes>(io)).await {
        Ok(Ok(driver)) => driver,
        Ok(Err(error)) => return ended(connection, &own, &error),
        Err(_) => return say(connection, &own, "client timed out (110: Connection timed out)"),
    };
    let mut running = Running::new(driver, inbound);
    loop {
        match poll_fn(|cx| running.poll(connection, &own, cx)).await {
            None => break,
            Some(Err(error)) => {
                ended(connection, &own, &error);
                running.broken = true;
                break;
            }
            Some(Ok((request, respond))) => {
                if connection.standing.get() == Standing::Following {
                    let Some(next) = connection.entry() else { return };
                    server = server.and_then(|old| next.names.find_name(&old.name).cloned());
                    entry = next;
                    connection.standing.set(Standing::Current);
                }
                let server = server.as_ref().unwrap_or(&entry.default).clone();
                let open = Open::new(&running.streams);
                let inbound = running.inbound.clone();
                let task = answer(connection.clone(), (entry.clone(), server), (request, respond), inbound, open);
                crate::net::turn::spawn(task);
                running.count(connection, &own);
            }
        }
    }
    let broken = running.broken;
    drop(running);
    if broken {
        // Closed at once, the rest of what the client sends would make the system drop the GOAWAY.
        let limit = own.base.settings.lingering_timeout.min(FAREWELL);
        let _ = tokio::time::timeout(limit, drain(connection)).await;
    }
}

/// Reads and drops what a client still sends, some of it.
async fn drain(connection: &Connection) {
    let mut left = LINGERING;
    let mut piece = [0; 4096];
    while left > 0 {
        match connection.stream.try_read(&mut piece) {
            Ok(0) => return,
            Ok(count) => left = left.saturating_sub(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll_fn(|cx| connection.stream.poll_readable(cx)).await;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

type Accepted = (http::Request<RecvStream>, SendResponse<Bytes>);

/// A connection at work.
struct Running {
    driver: Driver<Io, Bytes>,
    streams: Rc<Streams>,
    inbound: Rc<Inbound>,
    deadline: Deadline,
    /// No stream is open, and the deadline runs.
    waits: bool,
    /// Runs while a head is incomplete.
    head_deadline: Deadline,
    head_waits: bool,
    /// Runs while the socket takes nothing; how many bytes had been written when it was set.
    send_deadline: Deadline,
    send_waits: Option<u64>,
    /// The client was told to come no more.
    leaving: bool,
    /// The connection ends with an error, whatever its streams are at.
    broken: bool,
    /// Streams whose requests were begun, and those of them after the client was told to come no more.
    accepted: u64,
    late: u32,
}

impl Running {
    fn new(driver: Driver<Io, Bytes>, inbound: Rc<Inbound>) -> Self {
        Self {
            driver,
            streams: Rc::default(),
            inbound,
            deadline: Deadline::new(),
            waits: false,
            head_deadline: Deadline::new(),
            head_waits: false,
            send_deadline: Deadline::new(),
            send_waits: None,
            leaving: false,
            broken: false,
            accepted: 0,
            late: 0,
        }
    }

    /// Tells the client to come no more.
    fn leave(&mut self) {
        if !std::mem::replace(&mut self.leaving, true) {
            self.driver.graceful_shutdown();
            self.waits = false;
        }
    }

    /// Ends the connection with all its streams.
    fn cut(&mut self, connection: &Connection, reason: Reason) {
        if !std::mem::replace(&mut self.broken, true) {
            self.leaving = true;
            self.driver.abrupt_shutdown(reason);
            self.deadline.set(connection.front.turn.clock.instant(), FAREWELL);
        }
    }

    /// Counts a stream that was begun: a client that has had as many as it may is told to come no more, and one that
    /// keeps coming is cut off.
    fn count(&mut self, connection: &Connection, server: &Server) {
        self.accepted += 1;
        self.inbound.accepted.set(self.accepted);
        if self.leaving {
            self.late += 1;
            if self.late > server.h2.streams.saturating_mul(2) && !self.broken {
                say(connection, server, "client opens streams after GOAWAY");
                self.cut(connection, Reason::ENHANCE_YOUR_CALM);
            }
        }
        let settings = &server.base.settings;
        let since = connection.front.turn.clock.instant().saturating_duration_since(connection.since);
        if self.accepted >= settings.keepalive_requests || since > settings.keepalive_time {
            self.leave();
        }
    }

    /// Ends the connection of a client that does nothing but make work, or never finishes a head.
    ///
    /// Differs from nginx: an incomplete head has `client_header_timeout` whether or not another timer runs. [test: half_a_head_is_waited_for_as_long_as_client_header_timeout_says]
    fn guard(&mut self, connection: &Connection, server: &Server, cx: &mut Context<'_>) {
        if self.broken {
            return;
        }
        let now = connection.front.turn.clock.instant();
        if let Some(flood) = self.inbound.flood(now) {
            say(connection, server, flood.text());
            return self.cut(connection, flood.reason());
        }
        if !self.inbound.is_head_open() {
            self.head_waits = false;
            return;
        }
        if !std::mem::replace(&mut self.head_waits, true) {
            self.head_deadline.set(now, server.head.timeout);
        }
        if self.head_deadline.poll(cx).is_ready() {
            say(connection, server, "client timed out (110: Connection timed out)");
            self.cut(connection, Reason::PROTOCOL_ERROR);
        }
    }

    /// Whether the client has taken nothing for `send_timeout`, of what waits for the socket.
    fn is_stuck(&mut self, connection: &Connection, server: &Server, cx: &mut Context<'_>) -> bool {
        if !self.inbound.blocked.get() {
            self.send_waits = None;
            return false;
        }
        let written = Some(self.inbound.written.get());
        if std::mem::replace(&mut self.send_waits, written) != written {
            self.send_deadline.set(connection.front.turn.clock.instant(), server.base.settings.send_timeout);
        }
        self.send_deadline.poll(cx).is_ready()
    }

    /// The next stream; none when the connection is over.
    fn poll(
        &mut self,
        connection: &Connection,
        server: &Server,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Accepted, h2::Error>>> {
        self.streams.driver.set(Some(cx.waker().clone()));
        *connection.driver.borrow_mut() = Some(cx.waker().clone());
        self.inbound.at_once.set(0);
        loop {
            if connection.standing.get() == Standing::Retired {
                self.leave();
            }
            if let Poll::Ready(next) = self.driver.poll_accept(cx) {
                self.waits = false;
                connection.idle.set(false);
                match next {
                    Some(Ok(_)) if self.broken => continue,
                    // The error of a connection that was cut is the server's own.
                    Some(Err(_)) if self.broken => return Poll::Ready(None),
                    next => return Poll::Ready(next),
                }
            }
            let cut_before = self.broken;
            self.guard(connection, server, cx);
            if self.broken && !cut_before {
                // The crate sends the GOAWAY.
                continue;
            }
            if self.broken {
                return self.deadline.poll(cx).map(|()| None);
            }
            if self.is_stuck(connection, server, cx) {
                say(connection, server, "client timed out (110: Connection timed out)");
                return Poll::Ready(None);
            }
            // Responses that have ended may still wait for the socket.
            let idle = self.streams.open.get() == 0 && !self.inbound.blocked.get();
            connection.idle.set(idle);
            if !idle {
                self.waits = false;
                return Poll::Pending;
            }
            if !std::mem::replace(&mut self.waits, true) {
                let now = connection.front.turn.clock.instant();
                connection.idle_since.set(now);
                let patience = if self.leaving { FAREWELL } else { server.base.settings.keepalive_timeout };
                self.deadline.set(now, patience);
            }
            ready!(self.deadline.poll(cx));
            if self.leaving {
                return Poll::Ready(None);
            }
            self.leave();
        }
    }
}

/// Serves one stream.
async fn answer(
    connection: Rc<Connection>,
    (entry, server): (Arc<Virtual>, Arc<Server>),
    (request, respond): Accepted,
    inbound: Rc<Inbound>,
    open: Open,
) {
    let (parts, receive) = request.into_parts();
    let text = text(&parts);
    drop(parts);
    let mut bytes = connection.front.turn.buffer();
    if bytes.size() < text.len() {
        bytes.grow(text.len());
    }
    if let Some(room) = bytes.room().get_mut(..text.len()) {
        room.copy_from_slice(&text);
        bytes.end += text.len();
    }
    drop(text);
    let stream = Stream {
        receive: RefCell::new(receive),
        respond: RefCell::new(respond),
        send: RefCell::default(),
        trailers: RefCell::default(),
        ended: Cell::new(false),
        gone: Cell::new(false),
        reason: Cell::new(Reason::INTERNAL_ERROR),
        inbound,
    };
    let mut seat = connection.seat(Request::begin(&connection, &server, bytes));
    if let Some(request) = seat.as_mut() {
        request.wire = Wire::H2(Box::new(stream));
        Box::pin(super::connection::handle_stream(request, &entry)).await;
    }
    connection.front.leave(seat);
    drop(open);
}

fn say(connection: &Connection, server: &Server, what: &str) {
    let (client, bound) = (connection.peer.host_text(), &connection.bound);
    let text = format!("{what} while processing HTTP/2 connection, client: {client}, server: {bound}");
    server.base.settings.error_log.write(Level::Info, Some(connection.number), &text);
}

/// Logs why a connection ended, unless the client just closed it.
fn ended(connection: &Connection, server: &Server, error: &h2::Error) {
    if error.is_io() && error.get_io().is_some_and(|io| io.kind() != io::ErrorKind::InvalidData) {
        return;
    }
    say(connection, server, &format!("client sent something invalid: {error}"));
}

/// Waits for the first bytes of a connection that may speak HTTP/2 without TLS; whether it does.
pub async fn sniff(
    connection: &Connection,
    patience: Duration,
    mut first: Option<Box<Buffer>>,
) -> Result<(bool, Option<Box<Buffer>>), Over> {
    let mut deadline = Deadline::new();
    deadline.set(connection.front.turn.clock.instant(), patience);
    loop {
        match first.as_ref().map_or(Preface::Part, |first| preface(first.filled())) {
            Preface::Whole => return Ok((true, first)),
            Preface::Other => return Ok((false, first)),
            Preface::Part => {}
        }
        if super::connection::wait(&connection.stream, &mut deadline).await.is_err() {
            return Err(Over);
        }
        if let Some(more) = connection.input()? {
            match &mut first {
                None => first = Some(Box::new(more)),
                Some(first) => {
                    for byte in more.filled() {
                        first.push(*byte);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
