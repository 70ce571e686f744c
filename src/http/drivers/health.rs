//! Checks of servers while serving: requests of the server's own, without a client.

use crate::check::grpc;
use crate::check::health::State;
use crate::http::codec::h1::{Method, RequestLine};
use crate::http::heart::body::Saved;
use crate::http::heart::client::{Connection, LoopState};
use crate::http::heart::health::{Asked, HealthCheck, Kept, Question};
use crate::http::heart::request::Request;
use crate::http::heart::site::{Location, Server, Site};
use crate::http::heart::wire::{Sink, Wire};
use crate::log::Level;
use crate::net::event_loop::Buffer;
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
    // Requests belong to a connection: this one's other end is kept, and says nothing.
    let (ours, theirs) = Socket::pair(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    let connection = Connection::detached(loop_state, site.clone(), Transport::new(ours)?);
    let theirs = Rc::new(theirs);
    let mut running = Vec::new();
    for (server, location) in &site.checked {
        let Some(health) = location.attached::<HealthCheck>() else { continue };
        let asker = Rc::new(Asker {
            connection: connection.clone(),
            _theirs: theirs.clone(),
            server: server.clone(),
            location: location.clone(),
        });
        running.push(watch::watch(&health.pool, &health.check, asker, &loop_state.event_loop));
    }
    Ok(running)
}

/// Asks the servers of a location.
struct Asker {
    connection: Rc<Connection>,
    _theirs: Rc<Socket>,
    server: Arc<Server>,
    location: Arc<Location>,
}

/// What is kept of a server from check to check.
#[derive(Default)]
struct Between {
    connection: Kept,
    /// What the last check was at.
    action: &'static str,
}

/// A request for a server, without a client.
fn request(asker: &Asker, health: &HealthCheck, peer: &Peer) -> Request {
    let (method, uri, fields): (&[u8], &[u8], &[(&str, &str)]) = match &health.question {
        Question::Get { uri, .. } => (b"GET", uri, &[]),
        Question::Grpc { .. } => {
            (b"POST", grpc::PATH.as_bytes(), &[("Content-Type", "application/grpc"), ("TE", "trailers")])
        }
    };
    let mut text = [method, b" ", uri, b" HTTP/1.0"].concat();
    let line = text.len();
    let mut parts = Vec::new();
    for (name, value) in fields {
        let name_at = text.len();
        text.extend_from_slice(name.as_bytes());
        let value_at = text.len();
        text.extend_from_slice(value.as_bytes());
        parts.push((name_at as u32..value_at as u32, value_at as u32..text.len() as u32));
    }
    let mut bytes = Buffer::new(text.len());
    bytes.all().copy_from_slice(&text);
    (bytes.start, bytes.end) = (text.len(), text.len());
    let mut request = Request::begin(&asker.connection, &asker.server, bytes);
    request.head.line = RequestLine {
        line: 0..line as u32,
        method_name: 0..method.len() as u32,
        uri: method.len() as u32 + 1..(method.len() + 1 + uri.len()) as u32,
        version: 1000,
        ..RequestLine::default()
    };
    request.head.end = text.len() as u32;
    for (name, value) in parts {
        let _ = request.head.add(name, value);
    }
    let (path, args) = crate::http::codec::uri::split(uri);
    request.set_uri(path, args);
    request.location = asker.location.clone();
    request.wire = Wire::Sub(Sink::Nowhere);
    request.method = Method::Get;
    if let Question::Grpc { service, .. } = &health.question {
        request.method = Method::Post;
        request.body.saved = Some(Saved::Memory(Rc::new(grpc::question(service))));
    }
    request.check = Some(health.context(peer).into());
    request
}

impl Ask for Asker {
    type Kept = Between;

    fn ask<'a>(&'a self, peer: &'a Peer, kept: &'a mut Between) -> Pin<Box<dyn Future<Output = Outcome> + 'a>> {
        Box::pin(async move {
            let health = self.location.attached::<HealthCheck>()?;
            let gateway = self.location.content.as_ref()?.checks()?;
            self.connection.loop_state.event_loop.clock.update();
            let mut request = request(self, health, peer);
            let Asked { passed, action } = gateway.check(&mut request, health, peer, &mut kept.connection).await;
            kept.action = action;
            passed
        })
    }

    fn changed(&self, peer: &Peer, kept: &mut Between, state: State) {
        let Some(health) = self.location.attached::<HealthCheck>() else { return };
        let (level, what) = match state {
            State::Healthy => (Level::Notice, "healthy"),
            State::Unhealthy | State::Checking => (Level::Warn, "unhealthy"),
        };
        health.pool.queue.iter().for_each(|queue| queue.freed_all());
        let text = format!("peer is {what} while {}{}", kept.action, health.context(peer));
        self.location.settings.error_log.write(level, None, &crate::conf::bytes::raw(&text));
    }
}
