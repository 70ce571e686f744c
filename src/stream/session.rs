//! One client's connection: who it is, what was counted, and where its lines go.

use super::site::{Server, Site};
use crate::log::Level;
use crate::net::address::Address;
use crate::net::proxy_protocol::Header;
use crate::net::transport::Transport;
use crate::net::turn::Turn;
use crate::script::regex::Captures;
use crate::script::variable::{Definitions, Slots, Subject};
use crate::session::limit_conn::Ticket;
use crate::session::tls::Shaken;
use crate::tls::preread::Hello;
use slab::Slab;
use std::cell::{OnceCell, RefCell};
use std::net::SocketAddr;
use std::rc::{Rc, Weak as RcWeak};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

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
pub struct Front {
    /// The loop's own things.
    pub turn: Rc<Turn>,
    /// The worker's counts.
    pub ledger: Arc<dyn Ledger>,
    open: RefCell<Slab<Open>>,
}

/// A connection a loop may have to end.
struct Open {
    stream: RcWeak<Transport>,
    site: Weak<Site>,
    retired: Option<Instant>,
}

impl Front {
    /// The stream server's share of a loop.
    pub fn new(turn: Rc<Turn>, ledger: Arc<dyn Ledger>) -> Rc<Self> {
        Rc::new(Self { turn, ledger, open: RefCell::default() })
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
        for stream in marked.filter_map(|(_, open)| open.stream.upgrade()) {
            let _ = stream.socket().shutdown(std::net::Shutdown::Both);
        }
    }
}

/// What became of one attempt to reach a server.
#[derive(Clone, Debug)]
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
}

/// A client's connection on its way through the phases.
pub struct Session {
    /// Its bytes.
    pub stream: Rc<Transport>,
    slot: usize,
    /// The loop it lives on.
    pub front: Rc<Front>,
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
    pub stream: Transport,
    /// Who is at the other end.
    pub peer: Address,
    /// The listening address.
    pub bound: Address,
    /// The local address, where it is known already.
    pub local: Option<SocketAddr>,
}

impl Session {
    /// A session that begins now.
    pub fn new(front: Rc<Front>, site: Arc<Site>, server: Arc<Server>, accepted: Accepted) -> Self {
        let mut slots = Slots::default();
        slots.reset(site.definitions.len());
        let local = OnceCell::new();
        if let Some(known) = accepted.local {
            let _ = local.set(Some(known));
        }
        let stream = Rc::new(accepted.stream);
        let open = Open { stream: Rc::downgrade(&stream), site: Arc::downgrade(&site), retired: None };
        let slot = front.open.borrow_mut().insert(open);
        Self {
            number: front.ledger.opened(),
            stream,
            slot,
            peer: accepted.peer,
            bound: accepted.bound,
            local,
            front,
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
        }
    }

    /// The loop's own things.
    pub fn turn(&self) -> &Rc<Turn> {
        &self.front.turn
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
            Address::Ip(_) => self.stream.socket().local_addr().ok().and_then(|name| name.as_socket()),
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
        if self.logs(level) {
            let (client, bound) = (self.client(), &self.bound);
            self.log_bare(level, &format!("{text}, client: {client}, server: {bound}{more}"));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.front.open.borrow_mut().try_remove(self.slot);
        self.front.ledger.closed();
    }
}

/// An address as `$remote_addr` shows it.
pub fn text(address: &Address) -> String {
    match address {
        Address::Ip(address) => address.ip().to_string(),
        Address::Unix(_) => "unix:".to_owned(),
    }
}
