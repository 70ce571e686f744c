//! bytes ⇄ requests: accepting, reading heads, keep-alive, pipelining, lingering close.

use crate::http::drivers::handshake;
use crate::http::drivers::handshake::Begun;
use crate::http::drivers::phase;
use crate::http::drivers::reading::{HeadError, read_head};
use crate::http::heart::client::Closed;
use crate::http::heart::client::Connection;
use crate::http::heart::client::Lifecycle;
use crate::http::heart::client::LoopState;
use crate::http::heart::port::{Port, Virtual};
use crate::http::heart::request::Request;
use crate::http::heart::site::{Server, Site};
use crate::http::heart::wire::Upgraded;
use crate::http::route::encode;
use crate::log::Level;
use crate::net::address::Address;
use crate::net::deadline::Deadline;
use crate::net::event_loop::Buffer;
use crate::net::proxy_protocol::MAX_HEADER;
use crate::net::transport::Transport;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

/// Takes an accepted connection in; the future serves it to its end.
pub fn serve(
    loop_state: &Rc<LoopState>,
    site: Arc<Site>,
    port: &Port,
    (stream, peer): (Transport, Address),
) -> Option<impl Future<Output = ()> + use<>> {
    let connection = Connection::open(loop_state, site, port, (stream, peer));
    let local = if port.virtuals.len() > 1 { connection.local() } else { None };
    let entry = port.of(local)?.clone();
    Some(requests(connection, entry))
}

/// The loop over a connection's requests. What it keeps while it waits is what a waiting connection costs.
#[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
fn requests(connection: Rc<Connection>, mut entry: Arc<Virtual>) -> impl Future<Output = ()> {
    async move {
        let mut deadline = Deadline::new();
        let mut patience = millis(entry.default.head.timeout);
        let mut rest: Option<Box<Buffer>> = None;
        // The server the TLS handshake named.
        let mut named = None;
        if entry.proxy_protocol || entry.secure || entry.http2 || entry.default.h2.enabled {
            let Some(begun) = Box::pin(preface(&connection, &entry)).await else { return };
            (named, rest) = begun;
        }
        loop {
            let pipelined = rest.is_some() && connection.requests.get() > 0;
            if rest.is_none() {
                connection.begin_wait(&mut deadline, patience);
                let ready = wait(&connection.stream, &mut deadline).await;
                connection.end_wait();
                if ready.is_err() {
                    return;
                }
            }
            let bytes = match rest.take() {
                Some(bytes) => *bytes,
                None => match connection.input() {
                    Ok(Some(bytes)) => bytes,
                    Ok(None) => continue,
                    Err(Closed) => return,
                },
            };
            if connection.lifecycle.get() == Lifecycle::Following {
                let Some(next) = connection.entry() else { return };
                named = named.and_then(|old: Arc<Server>| next.names.find_name(&old.name).cloned());
                entry = next;
                connection.lifecycle.set(Lifecycle::Current);
            }
            let server = named.as_ref().unwrap_or(&entry.default);
            let mut seat = connection.seat(Request::begin(&connection, server, bytes));
            let Some(request) = seat.as_mut() else { return };
            request.pipelined = pipelined;
            let over = Box::pin(handle(request, &entry, &mut deadline)).await;
            // One place for the tunnel, whatever the compiler keeps of a pattern's parts.
            let mut tunnel = seat.as_mut().as_mut().and_then(|request| request.tunnel.take());
            if let Some(tunnel) = &tunnel {
                tunnel.begin(&connection.loop_state.event_loop, &mut deadline);
            }
            if tunnel.is_some() {
                let suspended = connection.loop_state.suspend(seat);
                let outcome = poll_fn(|cx| poll_tunnel(&mut tunnel, &connection, &mut deadline, cx)).await;
                seat = suspended.resume(&connection);
                if let (Some(request), Some(tunnel)) = (seat.as_mut(), &tunnel) {
                    tunnel.finish(request, outcome);
                }
            }
            connection.loop_state.counters.writing.fetch_sub(1, Ordering::Relaxed);
            let Some(request) = seat.as_mut() else { return };
            let next_step = if over {
                NextStep::Closed
            } else {
                phase::log(request);
                match end(request) {
                    Some(next_step) => next_step,
                    None => Box::pin(end_slowly(request)).await,
                }
            };
            connection.loop_state.leave(seat);
            let NextStep::On(beyond, timeout) = next_step else { return connection.finish() };
            (rest, patience) = (beyond, timeout);
        }
    }
}

/// What comes before the first request: a PROXY protocol head, a TLS handshake, the choice of HTTP/2, which is served to its
/// end. The server the handshake named, and bytes that came already; nothing where the connection is done.
async fn preface(
    connection: &Rc<Connection>,
    entry: &Arc<Virtual>,
) -> Option<(Option<Arc<Server>>, Option<Box<Buffer>>)> {
    let mut rest = None;
    if entry.proxy_protocol {
        rest = Box::pin(announce(connection, entry)).await.ok()?;
    }
    if entry.secure {
        let (named, rest) = match Box::pin(handshake::shake(connection, entry, rest)).await.ok()? {
            Begun::Secure(server) => (server, None),
            Begun::Plain(bytes) => (None, Some(bytes)),
        };
        if connection.stream.tls().is_some_and(|tls| tls.speaks(b"h2")) {
            Box::pin(crate::http::drivers::h2::serve(connection, entry.clone(), named, None)).await;
            return None;
        }
        return Some((named, rest));
    }
    if entry.http2 || entry.default.h2.enabled {
        let head = entry.default.head.timeout;
        let (is_http2, first) = Box::pin(crate::http::drivers::h2::sniff(connection, head, rest)).await.ok()?;
        if is_http2 {
            Box::pin(crate::http::drivers::h2::serve(connection, entry.clone(), None, first)).await;
            return None;
        }
        return Some((None, first));
    }
    Some((None, rest))
}

/// Moves what there is between both ends of a tunnel; done at once where there is none.
fn poll_tunnel(
    tunnel: &mut Option<Box<dyn Upgraded>>,
    connection: &Connection,
    deadline: &mut Deadline,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    tunnel.as_mut().map_or(Poll::Ready(Ok(())), |tunnel| tunnel.poll(connection, deadline, cx))
}

/// A time in so many milliseconds as fit.
fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

impl Connection {
    /// Lets go of the connection when its log lines are written. Where requests of the server's own, such as mirrored ones,
    /// still keep it open, its output ends now.
    fn finish(self: &Rc<Self>) {
        if Rc::strong_count(self) > 1 {
            self.loop_state.event_loop.write_logs();
            self.stream.shutdown();
        }
        self.loop_state.event_loop.end_logged(self.clone());
    }

    /// Begins to wait for a request.
    fn begin_wait(&self, deadline: &mut Deadline, patience: u32) {
        self.idle.set(true);
        self.idle_since.set(self.loop_state.event_loop.clock.instant());
        self.loop_state.counters.waiting.fetch_add(1, Ordering::Relaxed);
        deadline.set(self.loop_state.event_loop.clock.instant(), Duration::from_millis(patience.into()));
    }

    /// The wait is over.
    fn end_wait(&self) {
        self.loop_state.counters.waiting.fetch_sub(1, Ordering::Relaxed);
        self.idle.set(false);
    }
}

/// Waits for input.
pub fn wait<'a>(stream: &'a Transport, deadline: &'a mut Deadline) -> impl Future<Output = Result<(), TimedOut>> + 'a {
    poll_fn(|cx| {
        if stream.poll_readable(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        deadline.poll(cx).map(|()| Err(TimedOut))
    })
}

/// Nothing came in time.
pub struct TimedOut;

/// Reads the PROXY protocol head a listener asks for; what came behind it.
async fn announce(connection: &Rc<Connection>, entry: &Arc<Virtual>) -> Result<Option<Box<Buffer>>, Closed> {
    let log = &entry.default.base.settings.error_log;
    let say = |level, text: &str| {
        let (client, bound) = (connection.peer.host_text(), &connection.bound);
        let text = format!("{text} while reading PROXY protocol, client: {client}, server: {bound}");
        log.write(level, Some(connection.number), &text);
    };
    let mut deadline = Deadline::new();
    let mut buffer = loop {
        deadline.set(connection.loop_state.event_loop.clock.instant(), entry.default.head.timeout);
        if wait(&connection.stream, &mut deadline).await.is_err() {
            return Err(Closed);
        }
        match connection.input() {
            Ok(Some(buffer)) => break buffer,
            Ok(None) => {}
            Err(Closed) => {
                say(Level::Info, "client closed connection");
                return Err(Closed);
            }
        }
    };
    // nginx looks for the header in its first buffer for a request.
    let most = MAX_HEADER.min(entry.default.head.first);
    let peeked = buffer.filled().get(..most).unwrap_or_else(|| buffer.filled());
    match crate::net::proxy_protocol::parse(peeked) {
        Ok((length, header)) => {
            *connection.proxied.borrow_mut() = header.map(Box::new);
            buffer.start += length;
            buffer.compact();
            Ok((buffer.end > 0).then(|| Box::new(buffer)))
        }
        // Differs from nginx: what came is read, so the connection ends without a reset. [test: a_proxy_header_that_is_too_large_ends_its_connection_without_a_reset]
        Err(broken) => {
            if let Some(text) = broken.message() {
                say(Level::Error, &text);
            }
            Err(Closed)
        }
    }
}

/// One request from its first bytes until its phases are done; whether that is all there is to say.
async fn handle(request: &mut Request, entry: &Arc<Virtual>, deadline: &mut Deadline) -> bool {
    let loop_state = request.connection.loop_state.clone();
    let counters = &loop_state.counters;
    counters.reading.fetch_add(1, Ordering::Relaxed);
    let head = read_head(request, entry, deadline).await;
    counters.reading.fetch_sub(1, Ordering::Relaxed);
    counters.writing.fetch_add(1, Ordering::Relaxed);
    deadline.clear();
    match head {
        Ok(()) => {
            phase::run(request).await;
            false
        }
        Err(HeadError::Silent) => true,
        Err(HeadError::Logged(status)) => {
            request.response.status = status;
            phase::log(request);
            true
        }
        Err(HeadError::Answer(status)) => {
            request.malformed = !request.body.is_pending();
            phase::refuse(request, status).await;
            false
        }
    }
}

/// Serves a request that came on a stream of its own.
pub async fn handle_stream(request: &mut Request, entry: &Arc<Virtual>) {
    let over = handle(request, entry, &mut Deadline::new()).await;
    request.connection.loop_state.counters.writing.fetch_sub(1, Ordering::Relaxed);
    if !over {
        phase::log(request);
    }
    request.held.clear();
}

/// What becomes of a connection after a request.
enum NextStep {
    /// It goes on: with what came already, or a wait of so many milliseconds.
    On(Option<Box<Buffer>>, u32),
    /// It ends.
    Closed,
}

/// After a response: keep the connection or close it, if that can be told at once.
fn end(request: &mut Request) -> Option<NextStep> {
    request.held.clear();
    if request.abandoned || request.response.broken {
        return Some(NextStep::Closed);
    }
    if request.body.is_cut() {
        request.keepalive = false;
        request.lingering = true;
    }
    if !request.keepalive {
        let broken = !request.malformed && !request.body.is_cut() && request.skip_buffered().is_err();
        let over = broken || !awaits(request) && !lingers(request);
        return over.then_some(NextStep::Closed);
    }
    if request.body.is_pending() {
        return None;
    }
    let bytes = &mut request.head.bytes;
    let input = if bytes.filled().is_empty() {
        None
    } else {
        let mut rest = std::mem::replace(bytes, Buffer::new(0));
        rest.compact();
        Some(Box::new(rest))
    };
    Some(NextStep::On(input, millis(request.location.settings.keepalive_timeout)))
}

/// The same where something is to be read first: the rest of a body, or what a client still sends while its connection is
/// closed as politely as the settings ask for.
async fn end_slowly(request: &mut Request) -> NextStep {
    if request.keepalive {
        return if request.discard_body().await { end(request).unwrap_or(NextStep::Closed) } else { NextStep::Closed };
    }
    let location = request.location.clone();
    let settings = &location.settings;
    if awaits(request) && !(request.discard_body().await && lingers(request)) {
        return NextStep::Closed;
    }
    request.event_loop().write_logs();
    request.connection.stream.shutdown();
    let _ = tokio::time::timeout(settings.lingering_time, drain(request, settings.lingering_timeout)).await;
    NextStep::Closed
}

/// Whether the rest of a body that nobody wants is awaited before the client is told that nothing follows.
fn awaits(request: &Request) -> bool {
    request.body.is_pending() && !request.malformed && !request.body.is_cut()
}

/// Whether what the client still sends is read and forgotten before its connection is closed.
fn lingers(request: &Request) -> bool {
    match request.location.settings.lingering {
        crate::http::heart::settings::Lingering::Off => false,
        crate::http::heart::settings::Lingering::On => {
            request.lingering || !request.head.bytes.filled().is_empty() || request.connection.stream.is_readable()
        }
        crate::http::heart::settings::Lingering::Always => true,
    }
}

async fn drain(request: &Request, patience: Duration) {
    let mut buffer = request.event_loop().buffer();
    loop {
        match request.connection.stream.try_read(buffer.all()) {
            Ok(0) => break,
            Ok(_) => tokio::task::yield_now().await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if tokio::time::timeout(patience, request.connection.stream.readable()).await.is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    request.event_loop().give(buffer);
}

impl Request {
    /// Whether this connection may go on after this request.
    pub fn may_keep(&self) -> bool {
        let settings = &self.location.settings;
        settings.keepalive_timeout > Duration::ZERO
            && self.connection.lifecycle.get() != Lifecycle::Retired
            && self.connection.requests.get() < settings.keepalive_requests
            && self.event_loop().clock.instant().saturating_duration_since(self.connection.since)
                <= settings.keepalive_time
            && encode::wants_keepalive(self)
            && !encode::is_disabled(self)
    }
}
