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

use crate::http::codec::h2::Preface;
use crate::http::codec::h2::preface;
use crate::http::codec::h2::text;
use crate::http::heart::client::Closed;
use crate::http::heart::client::{Connection, Lifecycle};
use crate::http::heart::inbound::Inbound;
use crate::http::heart::port::Virtual;
use crate::http::heart::request::Request;
use crate::http::heart::site::Server;
use crate::http::heart::stream::SEND_BUFFER;
use crate::http::heart::stream::Stream;
use crate::http::heart::wire::Wire;
use crate::log::Level;
use crate::net::deadline::Deadline;
use crate::net::event_loop::Buffer;
use bytes::Bytes;
use h2::server::{Connection as Driver, SendResponse};
use h2::{Reason, RecvStream};
use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The window of a connection: a stream that nobody reads must not hold up the others.
const WINDOW: u32 = 16 << 20;
/// Time in which a client answers a GOAWAY.
const FAREWELL: Duration = Duration::from_secs(5);
/// Bytes that are dropped of a connection that was ended.
const LINGERING: usize = 256 * 1024;
/// Bytes read from a connection before other connections of its loop have their turn.
const READ_AT_ONCE: usize = 64 * 1024;

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
            if first.filled().is_empty()
                && let Some(spent) = this.first.take()
            {
                this.connection.loop_state.event_loop.give(*spent);
            }
            return Poll::Ready(Ok(()));
        }
        // The crate reads for as long as there is something.
        if this.inbound.at_once.get() >= READ_AT_ONCE {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let (stream, event_loop) = (&this.connection.stream, &this.connection.loop_state.event_loop);
        // Bytes come by way of the loop's vector: reading into the crate's buffer would zero all of it first, and make
        // pages of memory of what an idle connection never uses.
        let mut scratch = event_loop.scratch();
        let most = into.remaining().min(scratch.len());
        let outcome = loop {
            match stream.try_read(scratch.get_mut(..most).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if stream.poll_readable(cx).is_pending() {
                        break Poll::Pending;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Poll::Ready(Err(error)),
                Ok(count) => {
                    let bytes = scratch.get(..count).unwrap_or_default();
                    this.inbound.read(bytes);
                    into.put_slice(bytes);
                    break Poll::Ready(Ok(()));
                }
            }
        };
        event_loop.give_scratch(scratch);
        outcome
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
    let handshake = Box::pin(builder.handshake::<_, Bytes>(io));
    let driver = match tokio::time::timeout(own.head.timeout, handshake).await {
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
                if connection.lifecycle.get() == Lifecycle::Following {
                    let Some(next) = connection.entry() else { return };
                    server = server.and_then(|old| next.names.find_name(&old.name).cloned());
                    entry = next;
                    connection.lifecycle.set(Lifecycle::Current);
                }
                let server = server.as_ref().unwrap_or(&entry.default).clone();
                let open = Open::new(&running.streams);
                let inbound = running.inbound.clone();
                let task = answer(connection.clone(), (entry.clone(), server), (request, respond), inbound, open);
                crate::net::event_loop::spawn(task);
                running.count(connection, &own);
            }
        }
    }
    let broken = running.broken;
    drop(running);
    if broken {
        // Closed at once, the rest of what the client sends would make the system drop the GOAWAY.
        let limit = own.base.settings.lingering_timeout.min(FAREWELL);
        // Boxed, so that connections at work do not keep its room.
        let _ = tokio::time::timeout(limit, Box::pin(drain(connection))).await;
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
            self.deadline.set(connection.loop_state.event_loop.clock.instant(), FAREWELL);
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
        let since = connection.loop_state.event_loop.clock.instant().saturating_duration_since(connection.since);
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
        let now = connection.loop_state.event_loop.clock.instant();
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
            self.send_deadline.set(connection.loop_state.event_loop.clock.instant(), server.base.settings.send_timeout);
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
            if connection.lifecycle.get() == Lifecycle::Retired {
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
                let now = connection.loop_state.event_loop.clock.instant();
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
    let mut bytes = connection.loop_state.event_loop.buffer();
    if bytes.size() < text.len() {
        bytes.grow(text.len());
    }
    if let Some(room) = bytes.room().get_mut(..text.len()) {
        room.copy_from_slice(&text);
        bytes.end += text.len();
    }
    drop(text);
    let stream = Stream::new(receive, respond, inbound);
    let mut seat = connection.seat(Request::begin(&connection, &server, bytes));
    if let Some(request) = seat.as_mut() {
        request.wire = Wire::H2(Box::new(stream));
        Box::pin(crate::http::drivers::connection::handle_stream(request, &entry)).await;
        if matches!(&request.wire, Wire::H2(stream) if stream.is_cut()) {
            // RST_STREAM drops what is queued of the stream: the connection's turn, which comes first, sends it.
            tokio::task::yield_now().await;
        }
    }
    connection.loop_state.leave(seat);
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
) -> Result<(bool, Option<Box<Buffer>>), Closed> {
    let mut deadline = Deadline::new();
    deadline.set(connection.loop_state.event_loop.clock.instant(), patience);
    loop {
        match first.as_ref().map_or(Preface::Part, |first| preface(first.filled())) {
            Preface::Whole => return Ok((true, first)),
            Preface::Other => return Ok((false, first)),
            Preface::Part => {}
        }
        if crate::http::drivers::connection::wait(&connection.stream, &mut deadline).await.is_err() {
            return Err(Closed);
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
