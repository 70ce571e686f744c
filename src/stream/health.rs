//! `health_check` of a server: the tasks that ask its group's servers.

use super::session::{LoopState, Session};
use super::site::{Asked, Server, Site};
use crate::check::health::State;
use crate::log::Level;
use crate::net::transport::Transport;
use crate::upstream::peer::Peer;
use crate::upstream::watch::{self, Ask, Outcome, Running};
use socket2::{Domain, Socket, Type};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

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
