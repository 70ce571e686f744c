//! What would become of a connection: the phases that serve it, run without leaving this process.

use super::connection::enter;
use super::session::{Accepted, Ledger, LoopState, Session, Wire};
use super::site::{Content, Ending, Site};
use super::udp::Receiver;
use crate::net::address::Address;
use crate::net::event_loop::EventLoop;
use crate::net::transport::Transport;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;

/// What becomes of a connection.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The listening address.
    pub listener: String,
    /// Whether the client has to begin with a PROXY protocol head.
    pub announced: bool,
    /// How it ends.
    pub ending: Ending,
}

/// A worker that counts nothing.
struct Nobody;

impl Ledger for Nobody {
    fn opened(&self) -> u64 {
        1
    }

    fn numbered(&self) {}

    fn closed(&self) {}
}

/// Tells what becomes of a connection from one address to another; with `udp`, of datagrams.
///
/// # Errors
/// What the system said; `NotFound` when nobody listens there.
pub fn explain(site: &Arc<Site>, from: SocketAddr, to: SocketAddr, udp: bool) -> io::Result<Trace> {
    let exact = |bound: &Address| matches!(bound, Address::Ip(bound) if *bound == to);
    let any = |bound: &Address| {
        matches!(bound, Address::Ip(bound)
            if bound.port() == to.port() && bound.ip().is_unspecified() && bound.is_ipv6() == to.is_ipv6())
    };
    let ports = || site.ports.iter().filter(|port| port.options.udp == udp);
    let port = ports().find(|port| exact(&port.address)).or_else(|| ports().find(|port| any(&port.address)));
    let entry = port.and_then(|port| port.of(Some(to))).ok_or(io::ErrorKind::NotFound)?;
    // Sockets are registered with a runtime's driver, even where nobody waits for them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _entered = runtime.enter();
    let event_loop = Rc::new(EventLoop::new(0, Arc::default()));
    let loop_state = LoopState::new(event_loop, Arc::new(Nobody));
    let wire = if udp {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        let own = Address::Ip(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        Receiver::new(loop_state.clone(), socket.into(), &own)?.wire(from)
    } else {
        let (ours, _theirs) = Socket::pair(Domain::UNIX, Type::STREAM, None)?;
        ours.set_nonblocking(true)?;
        Wire::Stream(Rc::new(Transport::new(ours)?))
    };
    let accepted = Accepted { wire, peer: Address::Ip(from), bound: entry.address.clone(), local: Some(to) };
    let mut session = Session::new(loop_state, site.clone(), entry.server.clone(), accepted);
    let ending = match enter(&mut session) {
        Some(status) => Ending::Refused(status),
        None => {
            let content: &dyn Content = &*entry.server.content;
            content.explain(&session)
        }
    };
    Ok(Trace { listener: entry.address.to_string(), announced: entry.proxy_protocol, ending })
}
