//! Datagrams of a listening socket: one session per client address and port.
//!
//! A loop receives for all sessions of its sockets. A datagram of a client that has a session waits in the session's
//! queue until its task takes it; any other one begins a session, whose phases run at once. What waits is bounded, for a
//! session and for the loop; what does not fit is dropped, as a full socket drops it.
//!
//! Differs from nginx: a client keeps its session over a reload, as a connection does. [test: a_reload_keeps_the_sessions_of_known_clients]
//!
//! Differs from nginx: no datagram is cut to `proxy_buffer_size`. [test: datagrams_are_never_cut]

use super::connection::{enter, finish, greet};
use super::session::{Accepted, LoopState, Session, Wire};
use super::site::{Port, Site};
use crate::log::Level;
use crate::net::address::Address;
use crate::net::event_loop::spawn;
use crate::net::tcp::Counted;
use crate::net::udp::UdpListener;
use hashbrown::HashMap;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Waker};

/// Bytes that wait for a session, unless it is one datagram alone.
const SESSION: usize = 64 * 1024;
/// Bytes that wait for the sessions of a loop.
const LOOP: usize = 16 * 1024 * 1024;
/// What a datagram that waits takes beside its bytes.
const EACH: usize = 64;

/// Who sent a datagram, and where it came to, where the socket is bound to every address.
type Key = (Address, Option<IpAddr>);

/// A listening socket and the sessions of its clients.
struct Listener {
    socket: UdpListener,
    bound: Address,
    loop_state: Rc<LoopState>,
    /// The sessions that take more of their clients' datagrams.
    clients: RefCell<HashMap<Key, Weak<Client>>>,
    /// Every session.
    all: RefCell<Slab<Weak<Client>>>,
}

/// A session's side of a listening socket.
pub struct Client {
    listener: Rc<Listener>,
    slot: Cell<usize>,
    key: Key,
    queue: RefCell<VecDeque<Vec<u8>>>,
    waiting: Cell<usize>,
    /// Datagrams that are still the session's; 0 is no limit.
    left: Cell<u64>,
    closing: Cell<Closing>,
    waker: RefCell<Option<Waker>>,
    _counted: Counted,
}

/// Whether a session is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// It is not.
    Open,
    /// Nobody receives from its client any more: it waits for an answer that is under way.
    ///
    /// Differs from nginx: a worker that ends waits for 5 seconds for the answer to a datagram, and passes it on. [test: an_answer_that_is_under_way_at_quit_comes]
    Draining,
    /// It ends now.
    Now,
}

impl Client {
    /// The oldest datagram that waits.
    pub fn take(&self) -> Option<Vec<u8>> {
        let datagram = self.queue.borrow_mut().pop_front()?;
        self.charge(datagram.len(), false);
        Some(datagram)
    }

    /// Whether no datagram waits.
    pub fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    /// Has the task woken for the next datagram, and when the session is to end.
    pub fn register(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if waker.as_ref().is_none_or(|known| !known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// Whether the session is to end.
    pub const fn closing(&self) -> Closing {
        self.closing.get()
    }

    /// Ends the session.
    pub fn close(&self) {
        self.closing.set(Closing::Now);
        self.wake();
    }

    /// Sends the client a datagram.
    ///
    /// # Errors
    /// What sendmsg(2) said.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.listener.socket.try_send(bytes, &self.key.0, self.key.1)
    }

    /// Adds a datagram to those that wait, if there is room.
    fn push(&self, bytes: &[u8]) {
        let size = bytes.len() + EACH;
        let is_full = !self.is_empty() && self.waiting.get() + size > SESSION;
        if is_full || self.listener.loop_state.queued.get() + size > LOOP {
            return;
        }
        self.charge(bytes.len(), true);
        self.queue.borrow_mut().push_back(bytes.to_vec());
        self.wake();
    }

    fn charge(&self, length: usize, more: bool) {
        let loop_state = &self.listener.loop_state.queued;
        for count in [&self.waiting, loop_state] {
            let size = length + EACH;
            count.set(if more { count.get() + size } else { count.get().saturating_sub(size) });
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Counts a datagram against those that are the session's: with the last one the client may begin another.
    fn count(&self) {
        match self.left.get() {
            0 => {}
            1 => self.forget(),
            left => self.left.set(left - 1),
        }
    }

    fn forget(&self) {
        let mut clients = self.listener.clients.borrow_mut();
        if clients.get(&self.key).is_some_and(|known| std::ptr::eq(known.as_ptr(), self)) {
            clients.remove(&self.key);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        while self.take().is_some() {}
        self.forget();
        let _ = self.listener.all.borrow_mut().try_remove(self.slot.get());
    }
}

/// Receives for a listening socket; its sessions drain when it is dropped.
pub struct Receiver(Rc<Listener>);

/// Why there is no datagram.
pub enum Unreceived {
    /// It was longer than any over IP.
    Cut,
    /// What recvmsg(2) said.
    Failed(io::Error),
}

/// A datagram of a client without a session.
pub struct First {
    bytes: Vec<u8>,
    key: Key,
}

impl Receiver {
    /// Begins to receive.
    ///
    /// # Errors
    /// What the system said.
    pub fn new(loop_state: Rc<LoopState>, socket: OwnedFd, bound: &Address) -> io::Result<Self> {
        let socket = UdpListener::new(socket, bound)?;
        Ok(Self(Rc::new(Listener {
            socket,
            bound: bound.clone(),
            loop_state,
            clients: RefCell::default(),
            all: RefCell::default(),
        })))
    }

    /// Hands datagrams to the sessions of their clients until one has none.
    ///
    /// # Errors
    /// There was none.
    pub async fn first(&self) -> Result<First, Unreceived> {
        let event_loop = self.0.loop_state.event_loop.clone();
        loop {
            poll_fn(|cx| self.0.socket.poll_readable(cx)).await;
            let mut scratch = event_loop.scratch();
            let outcome = self.0.socket.try_receive(&mut scratch);
            let outcome = outcome.map(|received| self.deliver(received, &scratch));
            event_loop.give_scratch(scratch);
            match outcome {
                Ok(None) => {}
                Ok(Some(first)) => return first,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(Unreceived::Failed(error)),
            }
        }
    }

    /// Gives a datagram to the session of its client; the datagram where there is none.
    fn deliver(&self, received: crate::net::udp::Received, bytes: &[u8]) -> Option<Result<First, Unreceived>> {
        if received.is_cut {
            return Some(Err(Unreceived::Cut));
        }
        let bytes = bytes.get(..received.length).unwrap_or_default();
        let key = (received.from, received.to);
        let known = self.0.clients.borrow().get(&key).and_then(Weak::upgrade);
        match known {
            Some(client) => {
                client.push(bytes);
                client.count();
                None
            }
            None => Some(Ok(First { bytes: bytes.to_vec(), key })),
        }
    }

    /// The wire of a client that sends nothing, for a session that is only told of.
    pub fn wire(&self, client: SocketAddr) -> Wire {
        Wire::Datagrams(self.client((Address::Ip(client), None), 0))
    }

    fn client(&self, key: Key, left: u64) -> Rc<Client> {
        let client = Rc::new(Client {
            listener: self.0.clone(),
            slot: Cell::new(usize::MAX),
            key,
            queue: RefCell::default(),
            waiting: Cell::new(0),
            left: Cell::new(left),
            closing: Cell::new(Closing::Open),
            waker: RefCell::default(),
            _counted: Counted::new(),
        });
        client.slot.set(self.0.all.borrow_mut().insert(Rc::downgrade(&client)));
        client
    }

    /// Begins a session with its client's first datagram.
    pub fn begin(&self, site: Arc<Site>, port: &Port, first: First) {
        let loop_state = &self.0.loop_state;
        let local = match (&self.0.bound, first.key.1) {
            (Address::Ip(bound), to) => Some(SocketAddr::new(to.unwrap_or_else(|| bound.ip()), bound.port())),
            (Address::Unix(_), _) => None,
        };
        if loop_state.queued.get() + first.bytes.len() + EACH > LOOP {
            return;
        }
        let Some(entry) = port.of(local) else { return };
        let server = entry.server.clone();
        let client = self.client(first.key, server.content.datagrams());
        let wire = Wire::Datagrams(client.clone());
        let accepted = Accepted { wire, peer: client.key.0.clone(), bound: entry.address.clone(), local };
        loop_state.event_loop.clock.update();
        let mut session = Session::new(loop_state.clone(), site, server.clone(), accepted);
        session.received = first.bytes.len() as u64;
        greet(&session);
        if let Some(status) = enter(&mut session) {
            finish(&mut session, status);
            return;
        }
        // A socket without a name may be anybody's.
        if !matches!(&client.key.0, Address::Unix(path) if path.is_empty()) {
            self.0.clients.borrow_mut().insert(client.key.clone(), Rc::downgrade(&client));
        }
        client.push(&first.bytes);
        client.count();
        drop(client);
        spawn(async move {
            let status = server.content.run(&mut session).await;
            finish(&mut session, status);
        });
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let all: Vec<_> = self.0.all.borrow().iter().filter_map(|(_, client)| client.upgrade()).collect();
        for client in all {
            client.closing.set(Closing::Draining);
            client.wake();
        }
    }
}

/// How bad nginx takes a send or a receive that failed: what a network does is of level `usual`.
pub fn gravity(error: &io::Error, usual: Level) -> Level {
    const USUAL: [i32; 9] = [
        libc::ECONNRESET,
        libc::EPIPE,
        libc::ENOTCONN,
        libc::ETIMEDOUT,
        libc::ECONNREFUSED,
        libc::ENETDOWN,
        libc::ENETUNREACH,
        libc::EHOSTDOWN,
        libc::EHOSTUNREACH,
    ];
    if error.raw_os_error().is_some_and(|code| USUAL.contains(&code)) { usual } else { Level::Alert }
}
