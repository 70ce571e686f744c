//! What would become of a connection: the phases that serve it, run without leaving this process.

use super::connection::enter;
use super::module::Content;
use super::session::{Accepted, Front, Ledger, Session};
use super::site::Site;
use crate::net::address::Address;
use crate::net::transport::Transport;
use crate::net::turn::Turn;
use crate::upstream::group::Choice;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// What becomes of a connection.
#[derive(Clone, Debug)]
pub struct Story {
    /// The listening address.
    pub listener: String,
    /// Whether the client has to begin with a PROXY protocol head.
    pub announced: bool,
    /// How it ends.
    pub ending: Ending,
}

/// How a connection ends, or goes on.
#[derive(Clone, Debug)]
pub enum Ending {
    /// A phase ends it with this status.
    Refused(u16),
    /// It is answered with a text.
    Answers(String),
    /// It is passed on.
    Passes {
        /// The group.
        group: String,
        /// Who is asked.
        choice: Choice,
        /// Whether the server is sent a PROXY protocol head.
        announces: bool,
    },
    /// Nobody can be asked; why.
    Fails(String),
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

/// Tells what becomes of a connection from one address to another.
///
/// # Errors
/// What the system said; `NotFound` when nobody listens there.
pub fn explain(site: &Arc<Site>, from: SocketAddr, to: SocketAddr) -> io::Result<Story> {
    let exact = |bound: &Address| matches!(bound, Address::Ip(bound) if *bound == to);
    let any = |bound: &Address| {
        matches!(bound, Address::Ip(bound)
            if bound.port() == to.port() && bound.ip().is_unspecified() && bound.is_ipv6() == to.is_ipv6())
    };
    let ports = || site.ports.iter();
    let port = ports().find(|port| exact(&port.address)).or_else(|| ports().find(|port| any(&port.address)));
    let entry = port.and_then(|port| port.of(Some(to))).ok_or(io::ErrorKind::NotFound)?;
    // Sockets are registered with a runtime's driver, even where nobody waits for them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _entered = runtime.enter();
    let (ours, _theirs) = Socket::pair(Domain::UNIX, Type::STREAM, None)?;
    ours.set_nonblocking(true)?;
    let turn = Rc::new(Turn::new(0, Arc::default()));
    let stream = Transport::new(ours)?;
    let front = Front::new(turn, Arc::new(Nobody));
    let accepted = Accepted { stream, peer: Address::Ip(from), bound: entry.address.clone(), local: Some(to) };
    let mut session = Session::new(front, site.clone(), entry.server.clone(), accepted);
    let ending = match enter(&mut session) {
        Some(status) => Ending::Refused(status),
        None => {
            let content: &dyn Content = &*entry.server.content;
            content.explain(&session)
        }
    };
    Ok(Story { listener: entry.address.to_string(), announced: entry.proxy_protocol, ending })
}
