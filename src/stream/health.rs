//! `health_check` of a server: what its group's servers are asked, and the tasks that ask.

use super::session::{LoopState, Session};
use super::site::{Server, Site};
use super::upstream::Pool;
use crate::check::health::State;
use crate::log::Level;
use crate::net::transport::Transport;
use crate::script::regex::Expression;
use crate::upstream::health::Check;
use crate::upstream::peer::Peer;
use crate::upstream::watch::{self, Ask, Outcome, Running};
use socket2::{Domain, Socket, Type};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A server's check of its group's servers.
pub struct HealthCheck {
    /// When it is made, and what its results come to.
    pub check: Arc<Check>,
    /// Whose servers are asked.
    pub pool: Arc<Pool>,
    /// `health_check_timeout`.
    pub timeout: Duration,
    /// Bytes of an answer that are examined.
    pub most: usize,
    /// What is asked.
    pub question: Question,
}

/// What a server is asked.
pub enum Question {
    /// To take a connection, and what `match` says.
    Tcp(Tests),
    /// To answer a datagram, or not to refuse it.
    Udp(Tests),
    /// To answer an MQTT CONNECT with a CONNACK of code 0, or of this one.
    Mqtt(Option<u8>),
}

/// A `match` block; empty where there is none.
#[derive(Default)]
pub struct Tests {
    /// Its name.
    pub name: String,
    /// `send`.
    pub send: Vec<u8>,
    /// `expect`.
    pub expect: Option<Expect>,
}

/// What an answer must be.
pub enum Expect {
    /// It begins with this.
    Literal(Vec<u8>),
    /// It matches.
    Matches(Expression),
}

impl HealthCheck {
    /// What log lines add.
    pub fn context(&self, peer: &Peer) -> String {
        let name = match &self.question {
            Question::Tcp(tests) | Question::Udp(tests) => &*tests.name,
            Question::Mqtt(_) => "",
        };
        let port = self.check.port.map(|port| format!(", port {port}")).unwrap_or_default();
        let (peer, group) = (&peer.name, &self.pool.group.name);
        format!(", health check \"{name}\" of peer {peer} in upstream \"{group}\"{port}")
    }
}

/// What a check of a server came to.
pub struct Asked {
    /// Whether it passed; nothing where this side could not ask.
    pub passed: Option<bool>,
    /// What it was at, in the words of log lines.
    pub action: &'static str,
}

/// The future of a check.
pub type Asking<'s> = Pin<Box<dyn Future<Output = Asked> + 's>>;

/// A content whose servers can be checked.
pub trait Checkable {
    /// The group that is known beforehand.
    fn pool(&self) -> Option<&Arc<Pool>>;

    /// Asks a server; `session` has no client.
    fn check<'s>(&'s self, session: &'s mut Session, health: &'s HealthCheck, peer: &'s Peer) -> Asking<'s>;
}

/// Checks the servers of a site for as long as the results are held; to be called on one loop.
///
/// # Errors
/// What the system said where there is no socket.
pub fn start(loop_state: &Rc<LoopState>, site: &Arc<Site>) -> io::Result<Vec<Running>> {
    if site.checked.is_empty() {
        return Ok(Vec::new());
    }
    // Sessions belong to a connection: this one's other end is kept, and says nothing.
    let (ours, theirs) = Socket::pair(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    let (ours, theirs) = (Rc::new(Transport::new(ours)?), Rc::new(theirs));
    let mut running = Vec::new();
    for server in &site.checked {
        let Some(health) = &server.health else { continue };
        let asker = Rc::new(Asker {
            loop_state: loop_state.clone(),
            site: site.clone(),
            server: server.clone(),
            wire: ours.clone(),
            _theirs: theirs.clone(),
        });
        running.push(watch::watch(&health.pool, &health.check, asker, &loop_state.event_loop));
    }
    Ok(running)
}

/// Asks the servers of a server's group.
struct Asker {
    loop_state: Rc<LoopState>,
    site: Arc<Site>,
    server: Arc<Server>,
    wire: Rc<Transport>,
    _theirs: Rc<Socket>,
}

impl Ask for Asker {
    /// What the last check was at.
    type Kept = &'static str;

    fn ask<'a>(&'a self, peer: &'a Peer, kept: &'a mut &'static str) -> Pin<Box<dyn Future<Output = Outcome> + 'a>> {
        Box::pin(async move {
            let health = self.server.health.as_ref()?;
            let content = self.server.content.checks()?;
            self.loop_state.event_loop.clock.update();
            let (loop_state, site, server) = (self.loop_state.clone(), self.site.clone(), self.server.clone());
            let mut session = Session::detached(loop_state, (site, server), self.wire.clone());
            session.check = Some(health.context(peer).into());
            let Asked { passed, action } = content.check(&mut session, health, peer).await;
            *kept = action;
            passed
        })
    }

    fn changed(&self, peer: &Peer, kept: &mut &'static str, state: State) {
        let Some(health) = &self.server.health else { return };
        let (level, what) = match state {
            State::Healthy => (Level::Notice, "healthy"),
            State::Unhealthy | State::Checking => (Level::Warn, "unhealthy"),
        };
        let text = format!("peer is {what} while {kept}{}", health.context(peer));
        self.server.error_log.write(level, None, &crate::conf::bytes::raw(&text));
    }
}
