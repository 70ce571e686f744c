//! One client's connection: who it is, what was counted, and where its lines go.

use super::datagrams::Client;
use super::site::{Server, Site};
use super::upstream::Pool;
use crate::log::Level;
use crate::net::address::Address;
use crate::net::event_loop::EventLoop;
use crate::net::proxy_protocol::Header;
use crate::net::transport::Transport;
use crate::script::regex::Captures;
use crate::script::template::Template;
use crate::script::variable::{Definitions, Slots, Subject};
use crate::session::limit_conn::Ticket;
use crate::session::tls::Shaken;
use crate::tls::preread::Hello;
use crate::upstream::measured::Measured;
use crate::upstream::times::Point;
use slab::Slab;
use std::cell::{Cell, OnceCell, RefCell};
use std::net::SocketAddr;
use std::rc::{Rc, Weak as RcWeak};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Compiled text with a session's variables.
pub type Text = Template<Session>;

/// Where a worker counts connections; their numbers are shared with http's.
pub trait Ledger {
    /// A connection was accepted; its number.
    fn opened(&self) -> u64;
    /// A connection to a server took a number of its own.
    fn numbered(&self);
    /// It has ended.
    fn closed(&self);
}

/// One loop's share of the stream server.
pub struct LoopState {
    /// The loop's own things.
    pub event_loop: Rc<EventLoop>,
    /// The worker's counts.
    pub ledger: Arc<dyn Ledger>,
    /// Bytes of datagrams that wait for their sessions.
    pub queued: Rc<Cell<usize>>,
    open: RefCell<Slab<Open>>,
}

/// What carries a session's bytes.
#[derive(Clone)]
pub enum Wire {
    /// A connection of its own.
    Stream(Rc<Transport>),
    /// Datagrams that come and go through a listening socket.
    Datagrams(Rc<Client>),
}

/// The wire of a session that may have ended.
enum WeakWire {
    Stream(RcWeak<Transport>),
    Datagrams(RcWeak<Client>),
}

impl Wire {
    fn downgrade(&self) -> WeakWire {
        match self {
            Self::Stream(stream) => WeakWire::Stream(Rc::downgrade(stream)),
            Self::Datagrams(client) => WeakWire::Datagrams(Rc::downgrade(client)),
        }
    }
}

impl WeakWire {
    /// Ends the session.
    fn close(&self) {
        match self {
            Self::Stream(stream) => {
                if let Some(stream) = stream.upgrade() {
                    let _ = stream.socket().shutdown(std::net::Shutdown::Both);
                }
            }
            Self::Datagrams(client) => {
                if let Some(client) = client.upgrade() {
                    client.close();
                }
            }
        }
    }
}

/// A session a loop may have to end.
struct Open {
    wire: WeakWire,
    site: Weak<Site>,
    retired: Option<Instant>,
}

impl LoopState {
    /// The stream server's share of a loop.
    pub fn new(event_loop: Rc<EventLoop>, ledger: Arc<dyn Ledger>) -> Rc<Self> {
        Rc::new(Self { event_loop, ledger, queued: Rc::default(), open: RefCell::default() })
    }

    /// Whether no connection is open.
    pub fn is_idle(&self) -> bool {
        self.open.borrow().is_empty()
    }

    /// Marks the connections of sites other than `current`; they go on until [`Self::close_retired`].
    pub fn retire(&self, current: Option<&Arc<Site>>) {
        for (_, open) in self.open.borrow_mut().iter_mut() {
            if current.is_some_and(|current| std::ptr::eq(open.site.as_ptr(), Arc::as_ptr(current))) {
                open.retired = None;
            } else {
                open.retired.get_or_insert_with(Instant::now);
            }
        }
    }

    /// Ends the connections that were marked at this time or before.
    pub fn close_retired(&self, by: Instant) {
        let open = self.open.borrow();
        let marked = open.iter().filter(|(_, open)| open.retired.is_some_and(|at| at <= by));
        marked.for_each(|(_, open)| open.wire.close());
    }
}

/// What became of one attempt to reach a server.
pub struct Attempt {
    /// Its address, or the group's name where none was to be had.
    pub peer: String,
    /// Bytes it was sent.
    pub sent: u64,
    /// Bytes it sent.
    pub received: u64,
    /// How long connecting took.
    pub connect: Option<Duration>,
    /// When its first byte came.
    pub first_byte: Option<Duration>,
    /// How long it lasted.
    pub session: Option<Duration>,
    /// When it began.
    pub began: Instant,
    /// Its times, where the group balances by them; until it ends.
    pub measured: Option<Box<Measured<Pool>>>,
}

impl Attempt {
    /// Notes that the connection is established.
    pub fn note_connect(&mut self) {
        let time = self.began.elapsed();
        self.connect = Some(time);
        if let Some(measured) = &mut self.measured {
            measured.reached(Point::Connect, time);
        }
    }

    /// Notes that the server has sent something.
    pub fn note_first_byte(&mut self) {
        if self.first_byte.is_some() {
            return;
        }
        let time = self.began.elapsed();
        self.first_byte = Some(time);
        if let Some(measured) = &mut self.measured {
            measured.reached(Point::FirstByte, time);
        }
    }
}

/// A client's connection on its way through the phases.
pub struct Session {
    /// Its bytes.
    pub wire: Wire,
    slot: usize,
    /// The loop it lives on.
    pub loop_state: Rc<LoopState>,
    /// The configuration it was accepted by.
    pub site: Arc<Site>,
    /// Who serves it.
    pub server: Arc<Server>,
    /// Its number, for logs and `$connection`.
    pub number: u64,
    /// Who is at the other end.
    pub peer: Address,
    /// What is known of its TLS handshake.
    pub shaken: Option<Box<Shaken>>,
    /// What was read of its bytes before the content begins.
    pub preread: Vec<u8>,
    /// What a ClientHello among them says.
    pub hello: Option<Box<Hello>>,
    /// The client a trusted PROXY protocol head names instead.
    pub real: Option<Box<Address>>,
    /// What a PROXY protocol head said.
    pub proxied: Option<Box<Header>>,
    /// The listening address.
    pub bound: Address,
    local: OnceCell<Option<SocketAddr>>,
    /// When it was accepted.
    pub since: Instant,
    /// How it ended.
    pub status: u16,
    /// Bytes the client sent.
    pub received: u64,
    /// Bytes the client was sent.
    pub sent: u64,
    /// The servers that were tried.
    pub attempts: Vec<Attempt>,
    /// `$limit_conn_status`.
    pub limit_conn_status: &'static str,
    /// Its places in zones.
    pub tickets: Vec<Ticket>,
    slots: Slots,
    captures: RefCell<Captures>,
    /// Of a check of a server: what its log lines add.
    pub check: Option<Box<str>>,
}

impl Subject for Session {
    fn slots(&self) -> &Slots {
        &self.slots
    }

    fn definitions(&self) -> &Definitions<Self> {
        &self.site.definitions
    }

    fn captures(&self) -> &RefCell<Captures> {
        &self.captures
    }

    fn alert(&self, text: &str) {
        self.log(Level::Alert, text, "");
    }

    fn error(&self, text: &str) {
        self.log(Level::Error, text, "");
    }
}

/// What is known of a connection when it is accepted.
pub struct Accepted {
    /// Its bytes.
    pub wire: Wire,
    /// Who is at the other end.
    pub peer: Address,
    /// The listening address.
    pub bound: Address,
    /// The local address, where it is known already.
    pub local: Option<SocketAddr>,
}

impl Session {
    /// A session that begins now.
    pub fn new(loop_state: Rc<LoopState>, site: Arc<Site>, server: Arc<Server>, accepted: Accepted) -> Self {
        let open = Open { wire: accepted.wire.downgrade(), site: Arc::downgrade(&site), retired: None };
        let slot = loop_state.open.borrow_mut().insert(open);
        let number = loop_state.ledger.opened();
        Self::at(loop_state, (site, server), accepted, (slot, number))
    }

    /// A session of the server's own: it has no client, and is not counted.
    pub fn detached(loop_state: Rc<LoopState>, of: (Arc<Site>, Arc<Server>), stream: Rc<Transport>) -> Self {
        let nowhere = Address::Unix(String::new());
        let accepted = Accepted { wire: Wire::Stream(stream), peer: nowhere.clone(), bound: nowhere, local: None };
        Self::at(loop_state, of, accepted, (usize::MAX, 0))
    }

    fn at(
        loop_state: Rc<LoopState>,
        (site, server): (Arc<Site>, Arc<Server>),
        accepted: Accepted,
        (slot, number): (usize, u64),
    ) -> Self {
        let mut slots = Slots::default();
        slots.reset(site.definitions.len());
        let local = OnceCell::new();
        if let Some(known) = accepted.local {
            let _ = local.set(Some(known));
        }
        Self {
            number,
            wire: accepted.wire,
            slot,
            peer: accepted.peer,
            bound: accepted.bound,
            local,
            loop_state,
            site,
            server,
            shaken: None,
            preread: Vec::new(),
            hello: None,
            real: None,
            proxied: None,
            since: Instant::now(),
            status: 0,
            received: 0,
            sent: 0,
            attempts: Vec::new(),
            limit_conn_status: "",
            tickets: Vec::new(),
            slots,
            captures: RefCell::default(),
            check: None,
        }
    }

    /// The loop's own things.
    pub fn event_loop(&self) -> &Rc<EventLoop> {
        &self.loop_state.event_loop
    }

    /// Its connection, where it has one of its own.
    pub const fn stream(&self) -> Option<&Rc<Transport>> {
        match &self.wire {
            Wire::Stream(stream) => Some(stream),
            Wire::Datagrams(_) => None,
        }
    }

    /// What nginx puts before the word "client" in a line of a session of datagrams.
    pub const fn kind(&self) -> &'static str {
        match &self.wire {
            Wire::Stream(_) => "",
            Wire::Datagrams(_) => "udp ",
        }
    }

    /// The client's address: the real one where one is known.
    pub fn client_address(&self) -> &Address {
        self.real.as_deref().unwrap_or(&self.peer)
    }

    /// The client's address as text, without port.
    pub fn client(&self) -> String {
        text(self.client_address())
    }

    /// The address the client connected to.
    pub fn local(&self) -> Option<SocketAddr> {
        *self.local.get_or_init(|| match &self.bound {
            Address::Ip(bound) if !bound.ip().is_unspecified() && bound.port() > 0 => Some(*bound),
            Address::Ip(_) => self.stream()?.socket().local_addr().ok().and_then(|name| name.as_socket()),
            Address::Unix(_) => None,
        })
    }

    /// Whether a line of `level` would be written at all.
    pub fn logs(&self, level: Level) -> bool {
        self.server.error_log.takes(level)
    }

    /// Writes a line without saying whom it is about.
    pub fn log_bare(&self, level: Level, text: &str) {
        self.server.error_log.write(level, Some(self.number), &crate::conf::bytes::raw(text));
    }

    /// Writes a line with what nginx adds to all of them: client and server, and `more`.
    pub fn log(&self, level: Level, text: &str, more: &str) {
        if let Some(check) = self.check.as_ref().filter(|_| self.logs(level)) {
            let line = format!("{text}{check}");
            return self.server.error_log.write(level, None, &crate::conf::bytes::raw(&line));
        }
        if self.logs(level) {
            let (kind, client, bound) = (self.kind(), self.client(), &self.bound);
            self.log_bare(level, &format!("{text}, {kind}client: {client}, server: {bound}{more}"));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.slot == usize::MAX {
            return;
        }
        let _ = self.loop_state.open.borrow_mut().try_remove(self.slot);
        self.loop_state.ledger.closed();
    }
}

/// An address as `$remote_addr` shows it.
pub fn text(address: &Address) -> String {
    match address {
        Address::Ip(address) => address.ip().to_string(),
        Address::Unix(path) => format!("unix:{path}"),
    }
}
