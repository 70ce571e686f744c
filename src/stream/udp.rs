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
use super::datagrams::{Key, Listener};
use super::session::{Accepted, LoopState, Session, Wire};
use super::site::{Port, Site};
use crate::net::address::Address;
use crate::net::event_loop::spawn;
use crate::net::udp::UdpListener;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// Receives for a listening socket; its sessions drain when it is dropped.
pub struct Receiver {
    listener: Rc<Listener>,
    loop_state: Rc<LoopState>,
}

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
        let listener = Rc::new(Listener::new(socket, bound.clone(), loop_state.queued.clone()));
        Ok(Self { listener, loop_state })
    }

    /// Hands datagrams to the sessions of their clients until one has none.
    ///
    /// # Errors
    /// There was none.
    pub async fn first(&self) -> Result<First, Unreceived> {
        let event_loop = self.loop_state.event_loop.clone();
        loop {
            poll_fn(|cx| self.listener.socket.poll_readable(cx)).await;
            let mut scratch = event_loop.scratch();
            let outcome = self.listener.socket.try_receive(&mut scratch);
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
        let known = self.listener.clients.borrow().get(&key).and_then(Weak::upgrade);
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
        Wire::Datagrams(self.listener.client((Address::Ip(client), None), 0))
    }

    /// Begins a session with its client's first datagram.
    pub fn begin(&self, site: Arc<Site>, port: &Port, first: First) {
        let loop_state = &self.loop_state;
        let local = match (&self.listener.bound, first.key.1) {
            (Address::Ip(bound), to) => Some(SocketAddr::new(to.unwrap_or_else(|| bound.ip()), bound.port())),
            (Address::Unix(_), _) => None,
        };
        if !self.listener.takes(&first.bytes) {
            return;
        }
        let Some(entry) = port.of(local) else { return };
        let server = entry.server.clone();
        let client = self.listener.client(first.key, server.content.datagrams());
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
            self.listener.clients.borrow_mut().insert(client.key.clone(), Rc::downgrade(&client));
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
        self.listener.drain();
    }
}
