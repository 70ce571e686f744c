//! bytes ⇄ requests: accepting, reading heads, keep-alive, pipelining, lingering close.

use crate::http::drivers::handshake;
use crate::http::drivers::handshake::Begun;
use crate::http::drivers::phase;
use crate::http::drivers::reading::{Refused, read_head};
use crate::http::heart::client::Connection;
use crate::http::heart::client::Front;
use crate::http::heart::client::Over;
use crate::http::heart::client::Standing;
use crate::http::heart::port::{Port, Virtual};
use crate::http::heart::request::Request;
use crate::http::heart::site::{Server, Site};
use crate::http::route::encode;
use crate::log::Level;
use crate::net::address::Address;
use crate::net::deadline::Deadline;
use crate::net::proxy_protocol::MAX_HEADER;
use crate::net::transport::Transport;
use crate::net::turn::Buffer;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

/// Takes an accepted connection in; the future serves it to its end.
pub fn serve(
    front: &Rc<Front>,
    site: Arc<Site>,
    port: &Port,
    (stream, peer): (Transport, Address),
) -> Option<impl Future<Output = ()> + use<>> {
    let connection = Connection::open(front, site, port, (stream, peer));
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
        if entry.proxy_protocol {
            match Box::pin(announce(&connection, &entry)).await {
                Ok(beyond) => rest = beyond,
                Err(Over) => return,
            }
        }
        // The server the TLS handshake named.
        let mut named = None;
        if entry.secure {
            match Box::pin(handshake::shake(&connection, &entry, rest)).await {
                Ok(Begun::Secure(server)) => (named, rest) = (server, None),
                Ok(Begun::Plain(bytes)) => rest = Some(bytes),
                Err(Over) => return,
            }
            if connection.stream.tls().is_some_and(|tls| tls.speaks(b"h2")) {
                return Box::pin(crate::http::drivers::h2::serve(&connection, entry, named, None)).await;
            }
        } else if entry.http2 || entry.default.h2.enabled {
            match Box::pin(crate::http::drivers::h2::sniff(&connection, entry.default.head.timeout, rest)).await {
                Ok((true, first)) => {
                    return Box::pin(crate::http::drivers::h2::serve(&connection, entry, None, first)).await;
                }
                Ok((false, first)) => rest = first,
                Err(Over) => return,
            }
        }
        loop {
            let pipelined = rest.is_some() && connection.requests.get() > 0;
            if rest.is_none() && !connection.waits(&mut deadline, patience).await {
                return;
            }
            let bytes = match rest.take() {
                Some(bytes) => *bytes,
                None => match connection.input() {
                    Ok(Some(bytes)) => bytes,
                    Ok(None) => continue,
                    Err(Over) => return,
                },
            };
            if connection.standing.get() == Standing::Following {
                let Some(next) = connection.entry() else { return };
                named = named.and_then(|old: Arc<Server>| next.names.find_name(&old.name).cloned());
                entry = next;
                connection.standing.set(Standing::Current);
            }
            let server = named.as_ref().unwrap_or(&entry.default);
            let mut seat = connection.seat(Request::begin(&connection, server, bytes));
            let Some(request) = seat.as_mut() else { return };
            request.pipelined = pipelined;
            let over = Box::pin(handle(request, &entry, &mut deadline)).await;
            if let Some(mut tunnel) = seat.as_mut().as_mut().and_then(|request| request.tunnel.take()) {
                tunnel.begin(&connection.front.turn, &mut deadline);
                let outcome = poll_fn(|cx| tunnel.poll(&connection, &mut deadline, cx)).await;
                if let Some(request) = seat.as_mut() {
                    tunnel.finish(request, outcome);
                }
            }
            connection.front.counters.writing.fetch_sub(1, Ordering::Relaxed);
            let Some(request) = seat.as_mut() else { return };
            let course = if over {
                Course::Closed
            } else {
                phase::log(request);
                match end(request) {
                    Some(course) => course,
                    None => Box::pin(end_slowly(request)).await,
                }
            };
            connection.front.leave(seat);
            let Course::On(beyond, timeout) = course else { return connection.finish() };
            rest = beyond.map(Box::new);
            patience = millis(timeout);
        }
    }
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
            self.front.turn.write_logs();
            self.stream.shutdown();
        }
        self.front.turn.end_logged(self.clone());
    }

    /// Waits for a request; false when none came in time.
    async fn waits(&self, deadline: &mut Deadline, patience: u32) -> bool {
        self.idle.set(true);
        self.idle_since.set(self.front.turn.clock.instant());
        self.front.counters.waiting.fetch_add(1, Ordering::Relaxed);
        deadline.set(self.front.turn.clock.instant(), Duration::from_millis(patience.into()));
        let ready = wait(&self.stream, deadline).await;
        self.front.counters.waiting.fetch_sub(1, Ordering::Relaxed);
        self.idle.set(false);
        ready.is_ok()
    }
}

/// Waits for input.
pub async fn wait(stream: &Transport, deadline: &mut Deadline) -> io::Result<()> {
    poll_fn(|cx| {
        if stream.poll_readable(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        deadline.poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    })
    .await
}

/// Reads the PROXY protocol head a listener asks for; what came behind it.
async fn announce(connection: &Rc<Connection>, entry: &Arc<Virtual>) -> Result<Option<Box<Buffer>>, Over> {
    let log = &entry.default.base.settings.error_log;
    let say = |level, text: &str| {
        let (client, bound) = (connection.peer.host_text(), &connection.bound);
        let text = format!("{text} while reading PROXY protocol, client: {client}, server: {bound}");
        log.write(level, Some(connection.number), &text);
    };
    let mut deadline = Deadline::new();
    let mut buffer = loop {
        deadline.set(connection.front.turn.clock.instant(), entry.default.head.timeout);
        if wait(&connection.stream, &mut deadline).await.is_err() {
            return Err(Over);
        }
        match connection.input() {
            Ok(Some(buffer)) => break buffer,
            Ok(None) => {}
            Err(Over) => {
                say(Level::Info, "client closed connection");
                return Err(Over);
            }
        }
    };
    // nginx looks for the header in its first buffer for a request.
    let most = MAX_HEADER.min(entry.default.head.first);
    let peeked = buffer.filled().get(..most).unwrap_or_else(|| buffer.filled());
    match crate::net::proxy_protocol::parse(peeked) {
        Ok((length, header)) => {
            *connection.proxied.borrow_mut() = header;
            buffer.start += length;
            buffer.compact();
            Ok((buffer.end > 0).then(|| Box::new(buffer)))
        }
        Err(broken) => {
            if let Some(text) = broken.message() {
                say(Level::Error, &text);
            }
            Err(Over)
        }
    }
}

/// One request from its first bytes until its phases are done; whether that is all there is to say.
async fn handle(request: &mut Request, entry: &Arc<Virtual>, deadline: &mut Deadline) -> bool {
    let front = request.connection.front.clone();
    let counters = &front.counters;
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
        Err(Refused::Silent) => true,
        Err(Refused::Logged(status)) => {
            request.response.status = status;
            phase::log(request);
            true
        }
        Err(Refused::Answer(status)) => {
            request.malformed = true;
            phase::refuse(request, status).await;
            false
        }
    }
}

/// Serves a request that came on a stream of its own.
pub async fn handle_stream(request: &mut Request, entry: &Arc<Virtual>) {
    let over = handle(request, entry, &mut Deadline::new()).await;
    request.connection.front.counters.writing.fetch_sub(1, Ordering::Relaxed);
    if !over {
        phase::log(request);
    }
    request.held.clear();
}

/// What becomes of a connection after a request.
enum Course {
    /// It goes on: with what came already, or a wait of so long.
    On(Option<Buffer>, Duration),
    /// It ends.
    Closed,
}

/// After a response: keep the connection or close it, if that can be told at once.
fn end(request: &mut Request) -> Option<Course> {
    request.held.clear();
    if request.abandoned || request.response.broken {
        return Some(Course::Closed);
    }
    if !request.keepalive {
        let over = !request.malformed && request.skip_buffered().is_err() || !lingers(request);
        return over.then_some(Course::Closed);
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
        Some(rest)
    };
    Some(Course::On(input, request.location.settings.keepalive_timeout))
}

/// The same where something is to be read first: the rest of a body, or what a client still sends while its connection is
/// closed as politely as the settings ask for.
async fn end_slowly(request: &mut Request) -> Course {
    if request.keepalive {
        return if request.discard_body().await { end(request).unwrap_or(Course::Closed) } else { Course::Closed };
    }
    let location = request.location.clone();
    let settings = &location.settings;
    // What is left of a body is awaited before the client is told that nothing follows.
    let awaited = request.lingering && !request.malformed && request.body.is_pending();
    if awaited && !(request.discard_body().await && lingers(request)) {
        return Course::Closed;
    }
    request.turn().write_logs();
    request.connection.stream.shutdown();
    let _ = tokio::time::timeout(settings.lingering_time, drain(request, settings.lingering_timeout)).await;
    Course::Closed
}

/// Whether what the client still sends is awaited before its connection is closed.
fn lingers(request: &Request) -> bool {
    match request.location.settings.lingering {
        crate::http::heart::settings::Lingering::Off => false,
        crate::http::heart::settings::Lingering::On => {
            request.lingering && request.body.is_pending()
                || !request.head.bytes.filled().is_empty()
                || request.connection.stream.is_readable()
        }
        crate::http::heart::settings::Lingering::Always => true,
    }
}

async fn drain(request: &Request, patience: Duration) {
    let mut buffer = request.turn().buffer();
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
    request.turn().give(buffer);
}

impl Request {
    /// Whether this connection may go on after this request.
    pub fn may_keep(&self) -> bool {
        let settings = &self.location.settings;
        settings.keepalive_timeout > Duration::ZERO
            && self.connection.standing.get() != Standing::Retired
            && self.connection.requests.get() < settings.keepalive_requests
            && self.turn().clock.instant().saturating_duration_since(self.connection.since) <= settings.keepalive_time
            && encode::wants_keepalive(self)
            && !encode::is_disabled(self)
    }
}
