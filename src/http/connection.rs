//! bytes ⇄ requests: accepting, reading heads, keep-alive, pipelining, lingering close.

use super::body::Budget;
use super::encode;
use super::handshake::{self, Begun};
use super::head::Head;
use super::listen::{Port, Virtual};
use super::phase;
use super::reading::{Refused, read_head};
use super::request::{Parts, Request};
use super::site::{Server, Site};
use crate::log::{Level, Log};
use crate::net::address::Address;
use crate::net::deadline::Deadline;
use crate::net::proxy_protocol::MAX_HEADER;
use crate::net::tcp;
use crate::net::transport::Transport;
use crate::net::turn::{Buffer, Turn};
use crate::session::tls::Shaken;
use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// What a worker counts, for `stub_status`.
#[derive(Default)]
pub struct Counters {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections open.
    pub active: AtomicU64,
    /// Requests begun.
    pub requests: AtomicU64,
    /// Connections reading a head.
    pub reading: AtomicU64,
    /// Connections with a request at work.
    pub writing: AtomicU64,
    /// Idle connections.
    pub waiting: AtomicU64,
    /// Numbers for connections.
    pub serial: AtomicU64,
}

/// One loop's share of the http server.
pub struct Front {
    /// The loop's own things.
    pub turn: Rc<Turn>,
    /// What the worker counts.
    pub counters: Arc<Counters>,
    /// Memory for bodies.
    pub budget: Budget,
    /// Idle backend connections.
    pub idle: Rc<super::upstream::Idle>,
    /// Connections of this loop, for retiring them.
    pub open: RefCell<slab::Slab<std::rc::Weak<Connection>>>,
    /// Keys for numbers nobody can guess.
    pub random: std::hash::RandomState,
    #[expect(clippy::vec_box, reason = "a waiting connection has room for a pointer, not for a request")]
    seats: RefCell<Vec<Box<Option<Request>>>>,
    parts: RefCell<Vec<Parts>>,
    serials: Cell<u64>,
    /// The second in which connections were last closed to make room.
    reused: Cell<u64>,
}

/// Seats a loop keeps for requests to come.
const SEATS: usize = 256;
/// Bytes of bodies a loop keeps in memory.
const BUDGET: u64 = 64 << 20;

impl Front {
    /// The http server's share of a loop.
    pub fn new(turn: Rc<Turn>, counters: Arc<Counters>) -> Rc<Self> {
        Rc::new(Self {
            idle: Rc::default(),
            turn,
            counters,
            budget: Budget::new(BUDGET),
            open: RefCell::default(),
            random: std::hash::RandomState::new(),
            seats: RefCell::default(),
            parts: RefCell::default(),
            serials: Cell::new(1),
            reused: Cell::new(u64::MAX),
        })
    }

    /// A number for a multipart boundary.
    pub fn next_boundary(&self) -> u64 {
        self.serials.replace(self.serials.get() + 1)
    }

    /// A number for a temporary file.
    pub fn next_temp(&self) -> u64 {
        self.next_boundary() + ((self.turn.number as u64) << 32) + u64::from(std::process::id()) * 100_000
    }

    /// Takes memory for a body; it is given back when the result is dropped.
    pub fn hold(self: &Rc<Self>, bytes: usize) -> Held {
        let mut held = Held { front: self.clone(), bytes: 0 };
        held.grow(bytes);
        held
    }

    /// Connections of other sites than `current` go over to it with their next request, if it still listens where they
    /// came in; the rest end after the request they are at, or, while they wait for one, after a moment in which a request
    /// that is on its way is still served.
    ///
    /// Differs from nginx: waiting connections are not closed, which fails such requests. [test: reloads_under_load_fail_no_request_and_cut_no_tunnel]
    pub fn retire(self: &Rc<Self>, current: Option<&Arc<Site>>) {
        let mut waits = false;
        for (_, connection) in self.open.borrow().iter() {
            let Some(connection) = connection.upgrade() else { continue };
            if current.is_some_and(|current| Arc::ptr_eq(current, &connection.site.borrow())) {
                continue;
            }
            connection.follow(current);
            waits |= connection.standing.get() == Standing::Retired && connection.idle.get();
        }
        if waits {
            let front = self.clone();
            crate::net::turn::spawn(async move {
                tokio::time::sleep(GRACE).await;
                front.close_idle();
            });
        }
    }

    /// Whether another connection may be opened. When nearly all of `worker_connections` are taken, those that have waited
    /// longest for a request are closed, as nginx closes them.
    pub fn has_room(&self, log: &Log) -> bool {
        let most = self.turn.connections.get();
        let open = tcp::open_count() + self.turn.listening.get();
        if open < most.saturating_sub(most / 16) {
            return true;
        }
        let closed = self.close_oldest();
        let second = self.turn.clock.now().as_secs();
        if closed > 0 && self.reused.replace(second) != second {
            log.write(Level::Warn, None, &format!("{most} worker_connections are not enough, reusing connections"));
        }
        open < most || closed > 0
    }

    /// Closes an eighth of the connections that wait for a request, 32 at most: those that have waited longest.
    fn close_oldest(&self) -> usize {
        let open = self.open.borrow();
        let mut waiting: Vec<_> = open
            .iter()
            .filter_map(|(_, connection)| connection.upgrade())
            .filter(|connection| connection.idle.get() && !connection.closing.get())
            .collect();
        waiting.sort_by_key(|connection| connection.idle_since.get());
        let count = (waiting.len() / 8).clamp(1, 32);
        let closed = waiting.iter().take(count);
        for connection in closed.clone() {
            connection.closing.set(true);
            let _ = connection.stream.socket().shutdown(std::net::Shutdown::Both);
        }
        closed.len()
    }

    fn close_idle(&self) {
        for (_, connection) in self.open.borrow().iter() {
            if let Some(connection) = connection.upgrade()
                && connection.standing.get() == Standing::Retired
                && connection.idle.get()
            {
                let _ = connection.stream.socket().shutdown(std::net::Shutdown::Both);
            }
        }
    }
}

impl Front {
    /// Closes connections that are still at something under a site that was replaced at this time or before.
    pub fn close_retired(&self, by: Instant) {
        for (_, connection) in self.open.borrow().iter() {
            if let Some(connection) = connection.upgrade()
                && connection.replaced.get() <= by
                && match connection.standing.get() {
                    Standing::Current => false,
                    Standing::Following => !connection.idle.get(),
                    Standing::Retired => true,
                }
            {
                let _ = connection.stream.socket().shutdown(std::net::Shutdown::Both);
            }
        }
    }
}

/// How long a waiting connection outlives its configuration.
const GRACE: Duration = Duration::from_millis(500);

/// Memory taken from the loop's budget.
pub struct Held {
    front: Rc<Front>,
    bytes: u64,
}

impl Held {
    /// Makes it at least `bytes`; false when the budget does not allow it.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let more = (bytes as u64).saturating_sub(self.bytes);
        if more > 0 && !self.front.budget.take(more) {
            return false;
        }
        self.bytes += more;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.front.budget.give(self.bytes);
    }
}

/// How a connection stands to the configuration its loop serves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is served by it.
    Current,
    /// Its next request will be.
    Following,
    /// There is no next request: nobody listens where it came in any more.
    Retired,
}

/// A client's connection.
pub struct Connection {
    /// Its bytes.
    pub stream: Transport,
    /// The loop it lives on.
    pub front: Rc<Front>,
    /// The configuration its next request is served by.
    pub site: RefCell<Arc<Site>>,
    /// Its number, for logs and `$connection`.
    pub number: u64,
    /// Who is at the other end.
    pub peer: Address,
    /// What a PROXY protocol head said.
    pub proxied: RefCell<Option<crate::net::proxy_protocol::Header>>,
    local: OnceCell<Option<SocketAddr>>,
    /// What it was accepted on.
    pub bound: Address,
    /// Requests so far.
    pub requests: Cell<u64>,
    /// When it was accepted.
    pub since: Instant,
    /// Whether it waits for a request.
    pub idle: Cell<bool>,
    /// Since when.
    pub idle_since: Cell<Instant>,
    /// Whether it was closed to make room for others.
    closing: Cell<bool>,
    /// Whether `TCP_NODELAY` is set.
    pub nodelay: Cell<bool>,
    /// What is known of its TLS handshake.
    pub shaken: OnceCell<Box<Shaken>>,
    /// Whether what it carries came over TLS.
    pub secure: Cell<bool>,
    /// When its configuration was replaced by the loop's.
    replaced: Cell<Instant>,
    /// How it stands to the loop's configuration.
    pub standing: Cell<Standing>,
    /// The task of a connection with HTTP/2, to be told when that changes.
    pub driver: RefCell<Option<Waker>>,
    slot: Cell<usize>,
}

impl Connection {
    /// A connection that was accepted.
    pub fn open(front: &Rc<Front>, site: Arc<Site>, port: &Port, (stream, peer): (Transport, Address)) -> Rc<Self> {
        front.counters.accepted.fetch_add(1, Ordering::Relaxed);
        front.counters.active.fetch_add(1, Ordering::Relaxed);
        let number = front.counters.serial.fetch_add(1, Ordering::Relaxed) + 1;
        let connection = Rc::new(Self {
            stream,
            front: front.clone(),
            site: RefCell::new(site),
            number,
            peer,
            proxied: RefCell::default(),
            local: OnceCell::new(),
            bound: port.address.clone(),
            requests: Cell::new(0),
            since: front.turn.clock.instant(),
            idle: Cell::new(true),
            idle_since: Cell::new(front.turn.clock.instant()),
            closing: Cell::new(false),
            nodelay: Cell::new(false),
            shaken: OnceCell::new(),
            secure: Cell::new(false),
            replaced: Cell::new(front.turn.clock.instant()),
            standing: Cell::new(Standing::Current),
            driver: RefCell::default(),
            slot: Cell::new(usize::MAX),
        });
        connection.slot.set(front.open.borrow_mut().insert(Rc::downgrade(&connection)));
        connection
    }

    /// The name of a server its client asked for in the TLS handshake.
    pub fn asked(&self) -> Option<&str> {
        self.shaken.get().filter(|shaken| shaken.is_known).and_then(|shaken| shaken.asked.as_deref())
    }

    /// Settles the address the client connected to, where there is no socket to ask.
    pub fn set_local(&self, local: SocketAddr) {
        let _ = self.local.set(Some(local));
    }

    /// Goes over to `current` with the next request, or to no other.
    fn follow(&self, current: Option<&Arc<Site>>) {
        if self.standing.get() == Standing::Current {
            self.replaced.set(Instant::now());
        }
        let port = |site: &&Arc<Site>| site.ports.iter().any(|port| port.address == self.bound);
        match current.filter(port) {
            Some(site) => {
                *self.site.borrow_mut() = site.clone();
                self.standing.set(Standing::Following);
            }
            None => self.standing.set(Standing::Retired),
        }
        if let Some(driver) = &*self.driver.borrow() {
            driver.wake_by_ref();
        }
    }

    /// Who serves its requests.
    pub fn entry(&self) -> Option<Arc<Virtual>> {
        let site = self.site.borrow();
        let port = site.ports.iter().find(|port| port.address == self.bound)?;
        let local = if port.virtuals.len() > 1 { self.local() } else { None };
        port.of(local).cloned()
    }

    /// The address the client connected to.
    pub fn local(&self) -> Option<SocketAddr> {
        *self.local.get_or_init(|| match &self.bound {
            Address::Ip(bound) if !bound.ip().is_unspecified() => Some(*bound),
            Address::Ip(_) => self.stream.socket().local_addr().ok().and_then(|name| name.as_socket()),
            Address::Unix(_) => None,
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let _ = self.front.open.borrow_mut().try_remove(self.slot.get());
        self.front.counters.active.fetch_sub(1, Ordering::Relaxed);
    }
}

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
                return Box::pin(super::h2::serve(&connection, entry, named, None)).await;
            }
        } else if entry.http2 || entry.default.h2.enabled {
            match Box::pin(super::h2::sniff(&connection, entry.default.head.timeout, rest)).await {
                Ok((true, first)) => return Box::pin(super::h2::serve(&connection, entry, None, first)).await,
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
            let Course::On(beyond, timeout) = course else { return };
            rest = beyond.map(Box::new);
            patience = millis(timeout);
        }
    }
}

/// A time in so many milliseconds as fit.
fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// There is nothing more to read, or nothing more to say.
pub struct Over;

impl Connection {
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

    /// What came in; nothing when that was a false alarm.
    pub fn input(&self) -> Result<Option<Buffer>, Over> {
        let turn = &self.front.turn;
        let mut buffer = turn.buffer();
        match self.stream.try_read(buffer.room()) {
            Ok(count) if count > 0 => {
                buffer.end = count;
                Ok(Some(buffer))
            }
            outcome => {
                turn.give(buffer);
                match outcome {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                    _ => Err(Over),
                }
            }
        }
    }

    /// A place for a request, so that it is not moved about.
    pub fn seat(&self, request: Request) -> Box<Option<Request>> {
        let mut seat = self.front.seats.borrow_mut().pop().unwrap_or_default();
        *seat = Some(request);
        seat
    }
}

impl Front {
    /// Takes a seat back, and of its request what another can use.
    pub fn leave(&self, mut seat: Box<Option<Request>>) {
        if let Some(finished) = seat.take() {
            finished.retire();
        }
        if self.seats.borrow().len() < SEATS {
            self.seats.borrow_mut().push(seat);
        }
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
    request.connection.stream.shutdown();
    let _ = tokio::time::timeout(settings.lingering_time, drain(request, settings.lingering_timeout)).await;
    Course::Closed
}

/// Whether what the client still sends is awaited before its connection is closed.
fn lingers(request: &Request) -> bool {
    match request.location.settings.lingering {
        super::core::Lingering::Off => false,
        super::core::Lingering::On => {
            request.lingering && request.body.is_pending()
                || !request.head.bytes.filled().is_empty()
                || request.connection.stream.is_readable()
        }
        super::core::Lingering::Always => true,
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
    /// A request that begins with these bytes.
    pub fn begin(connection: &Rc<Connection>, server: &Arc<Server>, bytes: Buffer) -> Self {
        let front = &connection.front;
        let parts = front.parts.borrow_mut().pop().unwrap_or_default();
        let site = connection.site.borrow().clone();
        let mut request = Self::new(connection.clone(), (site, server.clone()), Head::new(bytes), parts);
        request.slots.reset(request.site.definitions.len());
        request.started = front.turn.clock.now();
        request.serial = connection.requests.get() + 1;
        request
    }

    /// Gives the buffer back to the loop, and what another request can use.
    fn retire(mut self) {
        let front = self.connection.front.clone();
        front.turn.give(std::mem::replace(&mut self.head.bytes, Buffer::new(0)));
        let parts = self.parts();
        if front.parts.borrow().len() < SEATS {
            front.parts.borrow_mut().push(parts);
        }
    }

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
