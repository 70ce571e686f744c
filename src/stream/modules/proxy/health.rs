//! Asks one server of a proxy's group for its health.

use super::{Proxy, Server, Target, Unreached};
use crate::check::mqtt::{self, Answer};
use crate::conf::walk::errno;
use crate::log::Level;
use crate::net::address::Address;
use crate::net::deadline::Deadline;
use crate::net::transport::Transport;
use crate::net::udp::Udp;
use crate::stream::session::Session;
use crate::stream::site::{Asked, Asking, Checkable, Expect, HealthCheck, Question, Tests};
use crate::stream::upstream::Pool;
use crate::upstream::peer::Peer;
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// What is sent over UDP where `match` says nothing.
const DATAGRAM: &[u8] = b"nginx health check";
/// The longest datagram.
const LONGEST: usize = 65_535;

const CONNECTING: &str = "connecting to upstream";
const SENDING: &str = "sending to upstream";
const READING: &str = "reading from upstream";
const CHECKING: &str = "checking response";

/// Why a check did not pass.
enum Fault {
    /// The server's.
    Server,
    /// This side's.
    Local,
}

impl Checkable for Proxy {
    fn pool(&self) -> Option<&Arc<Pool>> {
        match &self.target {
            Target::Pool(pool) => Some(pool),
            Target::Text(_) => None,
        }
    }

    fn check<'s>(&'s self, session: &'s mut Session, health: &'s HealthCheck, peer: &'s Peer) -> Asking<'s> {
        Box::pin(async move {
            let action = Cell::new(CONNECTING);
            let address = match (&peer.address, health.check.port) {
                (Address::Ip(ip), Some(port)) => Address::Ip(SocketAddr::new(ip.ip(), port)),
                (address, _) => address.clone(),
            };
            let asking = async {
                match &health.question {
                    Question::Udp(tests) => self.datagram(session, (&address, tests), &action).await,
                    Question::Tcp(_) | Question::Mqtt(_) => self.converse(session, (&address, health), &action).await,
                }
            };
            let is_silent = matches!(&health.question, Question::Udp(tests) if tests.expect.is_none());
            let outcome = tokio::time::timeout(health.timeout, asking).await;
            let passed = match outcome {
                Ok(Ok(())) => Some(true),
                Ok(Err(Fault::Server)) => Some(false),
                Ok(Err(Fault::Local)) => None,
                // Nothing was refused in all that time.
                Err(_) if is_silent && action.get() == READING => Some(true),
                Err(_) => {
                    let text = format!("{} while {}", super::TIMED_OUT, action.get());
                    super::log(session, Level::Error, &text);
                    Some(false)
                }
            };
            Asked { passed, action: action.get() }
        })
    }
}

impl Proxy {
    async fn converse(
        &self,
        session: &mut Session,
        (address, health): (&Address, &HealthCheck),
        action: &Cell<&'static str>,
    ) -> Result<(), Fault> {
        let mut deadline = Deadline::new();
        let server = match self.connect(session, address, &mut deadline).await {
            Ok(Server::Stream(server)) => server,
            Ok(Server::Datagrams(_)) | Err(Unreached::Local) => return Err(Fault::Local),
            Err(Unreached::Server) => return Err(Fault::Server),
        };
        let mut first = if self.tls.is_some() { Vec::new() } else { self.head(session) };
        match &health.question {
            Question::Mqtt(code) => {
                first.extend_from_slice(&mqtt::CONNECT);
                send(session, &server, &first, action).await?;
                let judge = |bytes: &[u8]| match mqtt::answer(bytes) {
                    Answer::Partial => None,
                    Answer::Connack(found) => Some(found == 0 || Some(found) == *code),
                    Answer::Invalid => Some(false),
                };
                read(session, &server, (health.most, action), judge).await?;
                let _ = server.try_write(&mqtt::DISCONNECT);
                Ok(())
            }
            Question::Tcp(tests) | Question::Udp(tests) => {
                first.extend_from_slice(&tests.send);
                send(session, &server, &first, action).await?;
                let Some(expect) = &tests.expect else { return Ok(()) };
                read(session, &server, (health.most, action), |bytes| judge(expect, bytes, session)).await
            }
        }
    }

    async fn datagram(
        &self,
        session: &mut Session,
        (address, tests): (&Address, &Tests),
        action: &Cell<&'static str>,
    ) -> Result<(), Fault> {
        let bind = self.local(session);
        let server =
            Udp::connect(address, bind.as_ref(), self.buffers).map_err(|unconnected| {
                match super::complain(session, address, unconnected) {
                    Unreached::Server => Fault::Server,
                    Unreached::Local => Fault::Local,
                }
            })?;
        action.set(SENDING);
        let bytes = if tests.send.is_empty() { DATAGRAM } else { &tests.send };
        let failed = |call: &str, error: &io::Error| {
            let text = format!("{call}() failed ({}) while {}", errno(error), action.get());
            super::log(session, Level::Error, &text);
            Fault::Server
        };
        server.try_send(bytes).map_err(|error| failed("send", &error))?;
        action.set(READING);
        let mut answer = vec![0; LONGEST];
        loop {
            match server.try_receive(&mut answer) {
                Ok(count) => {
                    let Some(expect) = &tests.expect else { return Ok(()) };
                    action.set(CHECKING);
                    let bytes = answer.get(..count).unwrap_or_default();
                    return match judge(expect, bytes, session) {
                        Some(true) => Ok(()),
                        _ => Err(Fault::Server),
                    };
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    server.readable().await;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("recv", &error)),
            }
        }
    }
}

/// Whether an answer is the one that is expected; nothing while more may make it so.
fn judge(expect: &Expect, bytes: &[u8], session: &Session) -> Option<bool> {
    match expect {
        Expect::Literal(literal) if bytes.len() >= literal.len() => Some(bytes.starts_with(literal)),
        Expect::Literal(literal) => (!literal.starts_with(bytes)).then_some(false),
        Expect::Matches(expression) => match expression.matches(bytes) {
            Ok(matches) => matches.then_some(true),
            Err(error) => {
                super::log(session, Level::Alert, &error.to_string());
                Some(false)
            }
        },
    }
}

async fn send(
    session: &Session,
    server: &Transport,
    mut rest: &[u8],
    action: &Cell<&'static str>,
) -> Result<(), Fault> {
    while !rest.is_empty() {
        action.set(SENDING);
        match server.try_write(rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => server.writable().await,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                super::log(session, Level::Error, &format!("send() failed ({}) while {SENDING}", errno(&error)));
                return Err(Fault::Server);
            }
        }
    }
    Ok(())
}

/// Reads until an answer is judged, and at most so many bytes.
async fn read(
    session: &Session,
    server: &Transport,
    (most, action): (usize, &Cell<&'static str>),
    mut judge: impl FnMut(&[u8]) -> Option<bool>,
) -> Result<(), Fault> {
    action.set(READING);
    let mut answer = vec![0; most.max(1)];
    let mut count = 0;
    loop {
        match server.try_read(answer.get_mut(count..).unwrap_or_default()) {
            Ok(0) => {
                action.set(CHECKING);
                return Err(Fault::Server);
            }
            Ok(more) => {
                count += more;
                if let Some(good) = judge(answer.get(..count).unwrap_or_default()) {
                    action.set(CHECKING);
                    return if good { Ok(()) } else { Err(Fault::Server) };
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => server.readable().await,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                super::log(session, Level::Error, &format!("recv() failed ({}) while {READING}", errno(&error)));
                return Err(Fault::Server);
            }
        }
    }
}
