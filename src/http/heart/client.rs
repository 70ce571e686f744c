//! A client's connection and the loop it lives on: what is known of them, and what requests take from them.

use crate::http::heart::body::Budget;
use crate::http::heart::head::Head;
use crate::http::heart::port::{Port, Virtual};
use crate::http::heart::request::{Request, RequestScratch};
use crate::http::heart::site::{Server, Site};
use crate::log::{Level, Log};
use crate::net::address::Address;
use crate::net::event_loop::{Buffer, EventLoop};
use crate::net::tcp;
use crate::net::transport::Transport;
use crate::session::tls::Shaken;
use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
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
    /// Configurations served so far.
    pub generation: AtomicU64,
}

/// One loop's share of the http server.
pub struct LoopState {
    /// The loop's own things.
    pub event_loop: Rc<EventLoop>,
    /// What the worker counts.
    pub counters: Arc<Counters>,
    /// Memory for bodies.
    pub budget: Budget,
    /// Idle backend connections.
    pub idle: Rc<crate::http::heart::upstream::Idle>,
    /// Connections of this loop, for retiring them.
    pub open: RefCell<slab::Slab<std::rc::Weak<Connection>>>,
    /// Keys for unpredictable request ids.
    pub random: std::hash::RandomState,
    #[expect(clippy::vec_box, reason = "a waiting connection has room for a pointer, not for a request")]
    request_slab: RefCell<Vec<Box<Option<Request>>>>,
    scratch: RefCell<Vec<RequestScratch>>,
    serials: Cell<u64>,
    /// The second in which connections were last closed to make room.
    reused: Cell<u64>,
}

/// Seats a loop keeps for requests to come.
const REQUEST_SLAB: usize = 256;
/// Bytes of bodies a loop keeps in memory.
const BUDGET: u64 = 64 << 20;

impl LoopState {
    /// The http server's share of a loop.
    pub fn new(event_loop: Rc<EventLoop>, counters: Arc<Counters>) -> Rc<Self> {
        Rc::new(Self {
            idle: Rc::default(),
            event_loop,
            counters,
            budget: Budget::new(BUDGET),
            open: RefCell::default(),
            random: std::hash::RandomState::new(),
            request_slab: RefCell::default(),
            scratch: RefCell::default(),
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
        self.next_boundary() + ((self.event_loop.number as u64) << 32) + u64::from(std::process::id()) * 100_000
    }

    /// Where a file of an earlier process has the number, the next ones are far from it, as in nginx.
    pub fn skip_temps(&self) {
        let step = std::hash::BuildHasher::hash_one(&self.random, (self.serials.get(), std::process::id())) % (1 << 32);
        self.serials.set(self.serials.get() + step);
    }

    /// Takes memory for a body; it is given back when the result is dropped.
    pub fn hold(self: &Rc<Self>, bytes: usize) -> BudgetGuard {
        let mut held = BudgetGuard { loop_state: self.clone(), bytes: 0 };
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
            waits |= connection.lifecycle.get() == Lifecycle::Retired && connection.idle.get();
        }
        if waits {
            let loop_state = self.clone();
            crate::net::event_loop::spawn(async move {
                tokio::time::sleep(GRACE).await;
                loop_state.close_idle();
            });
        }
    }

    /// Whether another connection may be opened. When nearly all of `worker_connections` are taken, those that have waited
    /// longest for a request are closed, as nginx closes them.
    pub fn has_room(&self, log: &Log) -> bool {
        let most = self.event_loop.connections.get();
        let open = tcp::open_count() + self.event_loop.listening.get();
        if open < most.saturating_sub(most / 16) {
            return true;
        }
        let closed = self.close_oldest();
        let second = self.event_loop.clock.now().as_secs();
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
                && connection.lifecycle.get() == Lifecycle::Retired
                && connection.idle.get()
            {
                let _ = connection.stream.socket().shutdown(std::net::Shutdown::Both);
            }
        }
    }
}

impl LoopState {
    /// Closes connections that are still at something under a site that was replaced at this time or before.
    pub fn close_retired(&self, by: Instant) {
        for (_, connection) in self.open.borrow().iter() {
            if let Some(connection) = connection.upgrade()
                && connection.replaced.get() <= by
                && match connection.lifecycle.get() {
                    Lifecycle::Current => false,
                    Lifecycle::Following => !connection.idle.get(),
                    Lifecycle::Retired => true,
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
pub struct BudgetGuard {
    loop_state: Rc<LoopState>,
    bytes: u64,
}

impl BudgetGuard {
    /// Makes it at least `bytes`; false when the budget does not allow it.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let more = (bytes as u64).saturating_sub(self.bytes);
        if more > 0 && !self.loop_state.budget.take(more) {
            return false;
        }
        self.bytes += more;
        true
    }
}

impl Drop for BudgetGuard {
    fn drop(&mut self) {
        self.loop_state.budget.give(self.bytes);
    }
}

/// Whether a connection uses the current configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lifecycle {
    /// It uses the loop's configuration.
    Current,
    /// It moves to the loop's configuration with its next request.
    Following,
    /// No further requests: its listening address is gone from the configuration.
    Retired,
}

/// A client's connection.
pub struct Connection {
    /// Its bytes.
    pub stream: Transport,
    /// The loop it lives on.
    pub loop_state: Rc<LoopState>,
    /// The configuration its next request is served by.
    pub site: RefCell<Arc<Site>>,
    /// Its number, for logs and `$connection`.
    pub number: u64,
    /// The client's address.
    pub peer: Address,
    /// What a PROXY protocol head said.
    pub proxied: RefCell<Option<Box<crate::net::proxy_protocol::Header>>>,
    local: OnceCell<Option<SocketAddr>>,
    /// What it was accepted on.
    pub bound: Arc<Address>,
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
    /// The result of its TLS handshake.
    pub shaken: OnceCell<Box<Shaken>>,
    /// Whether what it carries came over TLS.
    pub secure: Cell<bool>,
    /// When its configuration was replaced by the loop's.
    replaced: Cell<Instant>,
    /// Whether it uses the loop's configuration.
    pub lifecycle: Cell<Lifecycle>,
    /// The task of a connection with HTTP/2, to be told when that changes.
    pub driver: RefCell<Option<Waker>>,
    slot: Cell<usize>,
}

impl Connection {
    /// A connection that was accepted.
    pub fn open(
        loop_state: &Rc<LoopState>,
        site: Arc<Site>,
        port: &Port,
        (stream, peer): (Transport, Address),
    ) -> Rc<Self> {
        loop_state.counters.accepted.fetch_add(1, Ordering::Relaxed);
        loop_state.counters.active.fetch_add(1, Ordering::Relaxed);
        let number = loop_state.counters.serial.fetch_add(1, Ordering::Relaxed) + 1;
        let connection = Rc::new(Self::new(loop_state, site, (port.address.clone(), number), (stream, peer)));
        connection.slot.set(loop_state.open.borrow_mut().insert(Rc::downgrade(&connection)));
        connection
    }

    /// What requests of the server's own belong to: it has no client, and is not counted.
    pub fn detached(loop_state: &Rc<LoopState>, site: Arc<Site>, stream: Transport) -> Rc<Self> {
        let nowhere = Address::Unix(String::new());
        let bound = Arc::new(nowhere.clone());
        Rc::new(Self::new(loop_state, site, (bound, 0), (stream, nowhere)))
    }

    fn new(
        loop_state: &Rc<LoopState>,
        site: Arc<Site>,
        (bound, number): (Arc<Address>, u64),
        (stream, peer): (Transport, Address),
    ) -> Self {
        Self {
            stream,
            loop_state: loop_state.clone(),
            site: RefCell::new(site),
            number,
            peer,
            proxied: RefCell::default(),
            local: OnceCell::new(),
            bound,
            requests: Cell::new(0),
            since: loop_state.event_loop.clock.instant(),
            idle: Cell::new(true),
            idle_since: Cell::new(loop_state.event_loop.clock.instant()),
            closing: Cell::new(false),
            nodelay: Cell::new(false),
            shaken: OnceCell::new(),
            secure: Cell::new(false),
            replaced: Cell::new(loop_state.event_loop.clock.instant()),
            lifecycle: Cell::new(Lifecycle::Current),
            driver: RefCell::default(),
            slot: Cell::new(usize::MAX),
        }
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
        if self.lifecycle.get() == Lifecycle::Current {
            self.replaced.set(Instant::now());
        }
        let port = |site: &&Arc<Site>| site.ports.iter().any(|port| port.address == self.bound);
        match current.filter(port) {
            Some(site) => {
                *self.site.borrow_mut() = site.clone();
                self.lifecycle.set(Lifecycle::Following);
            }
            None => self.lifecycle.set(Lifecycle::Retired),
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
        *self.local.get_or_init(|| match &*self.bound {
            Address::Ip(bound) if !bound.ip().is_unspecified() => Some(*bound),
            Address::Ip(_) => self.stream.socket().local_addr().ok().and_then(|name| name.as_socket()),
            Address::Unix(_) => None,
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.slot.get() == usize::MAX {
            return;
        }
        let _ = self.loop_state.open.borrow_mut().try_remove(self.slot.get());
        self.loop_state.counters.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The connection can neither be read nor written any more.
pub struct Closed;

impl Connection {
    /// What came in; nothing when that was a false alarm.
    pub fn input(&self) -> Result<Option<Buffer>, Closed> {
        let event_loop = &self.loop_state.event_loop;
        let mut buffer = event_loop.buffer();
        match self.stream.try_read(buffer.room()) {
            Ok(count) if count > 0 => {
                buffer.end = count;
                Ok(Some(buffer))
            }
            outcome => {
                event_loop.give(buffer);
                match outcome {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                    _ => Err(Closed),
                }
            }
        }
    }

    /// A place for a request, so that it is not moved about.
    pub fn seat(&self, request: Request) -> Box<Option<Request>> {
        let mut seat = self.loop_state.request_slab.borrow_mut().pop().unwrap_or_default();
        *seat = Some(request);
        seat
    }
}

impl LoopState {
    /// Allocations of a request that has ended.
    pub fn scratch(&self) -> RequestScratch {
        self.scratch.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a seat back, and of its request what another can use.
    pub fn leave(&self, mut seat: Box<Option<Request>>) {
        if let Some(finished) = seat.take() {
            finished.retire();
        }
        if self.request_slab.borrow().len() < REQUEST_SLAB {
            self.request_slab.borrow_mut().push(seat);
        }
    }
}

impl Request {
    /// A request that begins with these bytes.
    pub fn begin(connection: &Rc<Connection>, server: &Arc<Server>, bytes: Buffer) -> Self {
        let loop_state = &connection.loop_state;
        let scratch = loop_state.scratch();
        let site = connection.site.borrow().clone();
        let mut request = Self::new(connection.clone(), (site, server.clone()), Head::new(bytes), scratch);
        request.slots.reset(request.site.definitions.len());
        request.started = loop_state.event_loop.clock.now();
        request.serial = connection.requests.get() + 1;
        request
    }

    /// Gives the buffer back to the loop, and what another request can use.
    fn retire(mut self) {
        let loop_state = self.connection.loop_state.clone();
        loop_state.event_loop.give(std::mem::replace(&mut self.head.bytes, Buffer::new(0)));
        let scratch = self.scratch();
        if loop_state.scratch.borrow().len() < REQUEST_SLAB {
            loop_state.scratch.borrow_mut().push(scratch);
        }
    }
}
