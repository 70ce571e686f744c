//! The datagrams of clients that wait for their sessions, and the way back through the listening socket.

use crate::log::Level;
use crate::net::address::Address;
use crate::net::tcp::Counted;
use crate::net::udp::UdpListener;
use hashbrown::HashMap;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::task::{Context, Waker};

/// Bytes that wait for a session, unless it is one datagram alone.
const SESSION: usize = 64 * 1024;
/// Bytes that wait for the sessions of a loop.
const LOOP: usize = 16 * 1024 * 1024;
/// What a datagram that waits takes beside its bytes.
const EACH: usize = 64;

/// Who sent a datagram, and where it came to, where the socket is bound to every address.
pub type Key = (Address, Option<IpAddr>);

/// A listening socket and the sessions of its clients.
pub struct Listener {
    /// The socket.
    pub socket: UdpListener,
    /// What it is bound to.
    pub bound: Address,
    /// Bytes that wait for the sessions of the loop.
    queued: Rc<Cell<usize>>,
    /// The sessions that take more of their clients' datagrams.
    pub clients: RefCell<HashMap<Key, Weak<Client>>>,
    /// Every session.
    pub all: RefCell<Slab<Weak<Client>>>,
}

impl Listener {
    /// A listening socket without clients; what waits for them counts in `queued`.
    pub fn new(socket: UdpListener, bound: Address, queued: Rc<Cell<usize>>) -> Self {
        Self { socket, bound, queued, clients: RefCell::default(), all: RefCell::default() }
    }

    /// Whether the loop has room for a datagram.
    pub fn takes(&self, bytes: &[u8]) -> bool {
        self.queued.get() + bytes.len() + EACH <= LOOP
    }

    /// A new session's side.
    pub fn client(self: &Rc<Self>, key: Key, left: u64) -> Rc<Client> {
        let client = Rc::new(Client {
            listener: self.clone(),
            slot: Cell::new(usize::MAX),
            key,
            queue: RefCell::default(),
            waiting: Cell::new(0),
            left: Cell::new(left),
            closing: Cell::new(Closing::Open),
            waker: RefCell::default(),
            _counted: Counted::new(),
        });
        client.slot.set(self.all.borrow_mut().insert(Rc::downgrade(&client)));
        client
    }

    /// Has the sessions end when what is under way has come.
    pub fn drain(&self) {
        let all: Vec<_> = self.all.borrow().iter().filter_map(|(_, client)| client.upgrade()).collect();
        for client in all {
            client.closing.set(Closing::Draining);
            client.wake();
        }
    }
}

/// A session's side of a listening socket.
pub struct Client {
    listener: Rc<Listener>,
    slot: Cell<usize>,
    /// Who sends.
    pub key: Key,
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
    pub fn push(&self, bytes: &[u8]) {
        let size = bytes.len() + EACH;
        let is_full = !self.is_empty() && self.waiting.get() + size > SESSION;
        if is_full || !self.listener.takes(bytes) {
            return;
        }
        self.charge(bytes.len(), true);
        self.queue.borrow_mut().push_back(bytes.to_vec());
        self.wake();
    }

    fn charge(&self, length: usize, more: bool) {
        for count in [&self.waiting, &*self.listener.queued] {
            let size = length + EACH;
            count.set(if more { count.get() + size } else { count.get().saturating_sub(size) });
        }
    }

    /// Wakes the session's task.
    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Counts a datagram against those that are the session's: with the last one the client may begin another.
    pub fn count(&self) {
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
