//! Datagrams between a client and a server, until as many have come as the configuration expects.

use super::{InUse, Proxy, Unreached, complain, counts, finish, log, rate_of};
use crate::conf::walk::errno;
use crate::log::Level;
use crate::net::address::Address;
use crate::net::budget::{self, Direction};
use crate::net::deadline::Deadline;
use crate::net::outgoing::{BufferSizes, Local};
use crate::net::udp::Udp;
use crate::stream::datagrams::{Client, Closing, gravity};
use crate::stream::pace::Pace;
use crate::stream::session::{Session, Wire};
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How long a session that nobody receives for waits for its server.
const DRAIN: Duration = Duration::from_secs(5);

/// Opens a socket for the datagrams of a session.
pub fn connect(
    session: &mut Session,
    address: &Address,
    local: Option<&Local>,
    buffers: BufferSizes,
) -> Result<Udp, Unreached> {
    session.loop_state.ledger.numbered();
    let server =
        Udp::connect(address, local, buffers).map_err(|unconnected| complain(session, address, unconnected))?;
    if let Some(attempt) = session.attempts.last_mut() {
        attempt.note_connect();
    }
    if session.logs(Level::Info) {
        let own = server.local().map_or_else(|| "unix:".to_owned(), |own| own.to_string());
        session.log_bare(Level::Info, &format!("udp proxy {own} connected to {address}"));
    }
    Ok(server)
}

/// How an exchange ended.
enum End {
    /// As many datagrams came as were expected.
    Done,
    /// Nothing came for too long.
    TimedOut,
    /// A side could not be sent to.
    Failed,
    /// Nobody receives from the client any more.
    ShutDown,
    /// The time of earlier configurations is over.
    Closed,
}

/// A session's datagrams on their way.
struct Exchange<'a> {
    proxy: &'a Proxy,
    session: &'a mut Session,
    client: Rc<Client>,
    server: &'a Udp,
    /// Datagrams of the client, and of the server.
    requests: u64,
    responses: u64,
    /// A datagram that the socket to the server did not take.
    held: Option<Vec<u8>>,
    up: Pace,
    down: Pace,
    since: Instant,
    /// The server refused, or cannot be sent to.
    failed: bool,
}

impl Proxy {
    /// Exchanges datagrams with a server until the session ends; its status.
    pub async fn exchange(&self, session: &mut Session, server: &Udp, in_use: InUse) -> u16 {
        let Wire::Datagrams(client) = session.wire.clone() else { return 500 };
        let (up, down) = (Pace::new(rate_of(&self.upload, session)), Pace::new(rate_of(&self.download, session)));
        let mut exchange = Exchange {
            proxy: self,
            session,
            client,
            server,
            requests: 0,
            responses: 0,
            held: None,
            up,
            down,
            since: Instant::now(),
            failed: false,
        };
        let end = exchange.run().await;
        let is_late = matches!(end, End::TimedOut) && exchange.lacks_answers();
        let failed = exchange.failed || is_late;
        finish(exchange.session, failed);
        let status = exchange.tell(&end);
        let session = exchange.session;
        session.event_loop().clock.update();
        if failed && in_use.failed(session.event_loop().clock.now().as_secs()).1 {
            log(session, Level::Warn, "upstream server temporarily disabled while proxying connection");
        }
        status
    }
}

impl Exchange<'_> {
    async fn run(&mut self) -> End {
        let event_loop = self.session.event_loop().clone();
        let server = self.server;
        let mut readable = pin!(server.readable());
        let (mut idle, mut drain) = (Deadline::new(), Deadline::new());
        let mut draining = false;
        idle.set(Instant::now(), self.proxy.timeout);
        poll_fn(|cx| {
            self.client.register(cx);
            match self.client.closing() {
                Closing::Open => {}
                Closing::Now => return Poll::Ready(End::Closed),
                Closing::Draining if !draining => {
                    draining = true;
                    drain.set(Instant::now(), DRAIN);
                }
                Closing::Draining => {}
            }
            let before = (self.requests, self.responses);
            if let Some(end) = self.send(cx) {
                return Poll::Ready(end);
            }
            while self.down.allowance(cx, self.received(), self.since).is_some() {
                match self.receive() {
                    Ok(true) => {}
                    Ok(false) => {
                        if readable.as_mut().poll(cx).is_pending() {
                            break;
                        }
                        readable.set(server.readable());
                        if budget::poll_proceed(Direction::Input, cx).is_pending() {
                            break;
                        }
                    }
                    Err(end) => return Poll::Ready(end),
                }
            }
            if before != (self.requests, self.responses) || self.up.is_resting() || self.down.is_resting() {
                idle.set(event_loop.clock.instant(), self.proxy.timeout);
            }
            if self.is_done() {
                return Poll::Ready(End::Done);
            }
            if draining && (self.responses >= self.requests || drain.poll(cx).is_ready()) {
                return Poll::Ready(End::ShutDown);
            }
            idle.poll(cx).map(|()| End::TimedOut)
        })
        .await
    }

    /// Whether as many datagrams have come as are expected, and none waits.
    fn is_done(&self) -> bool {
        let complete = self.proxy.requests == 0 || self.requests >= self.proxy.requests;
        complete && self.is_answered() && self.held.is_none() && self.client.is_empty()
    }

    /// Whether every datagram has its answers, where so many are known.
    fn is_answered(&self) -> bool {
        self.proxy.responses.is_some_and(|each| self.responses >= each.saturating_mul(self.requests))
    }

    /// Whether fewer answers have come than are expected.
    fn lacks_answers(&self) -> bool {
        self.proxy.responses.is_some() && !self.is_answered()
    }

    /// Bytes the server has sent.
    fn received(&self) -> u64 {
        self.session.attempts.last().map_or(0, |attempt| attempt.received)
    }

    /// Sends the server what waits.
    fn send(&mut self, cx: &mut Context<'_>) -> Option<End> {
        loop {
            let datagram = self.held.take().or_else(|| self.next(cx))?;
            match self.server.try_send(&datagram) {
                Ok(()) => {
                    if let Some(attempt) = self.session.attempts.last_mut() {
                        attempt.sent += datagram.len() as u64;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => self.held = Some(datagram),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.held = Some(datagram);
                    if self.server.poll_writable(cx).is_pending() {
                        return None;
                    }
                }
                Err(error) => {
                    self.failed = true;
                    self.complain(&error, ("sendmsg", Level::Error), "sending to upstream");
                    return Some(End::Failed);
                }
            }
        }
    }

    /// The client's next datagram, if the rate allows one; the first is behind a PROXY protocol head where there is one.
    fn next(&mut self, cx: &mut Context<'_>) -> Option<Vec<u8>> {
        if self.requests == 0 {
            let datagram = self.client.take()?;
            self.requests = 1;
            let mut first = self.proxy.head(self.session);
            first.extend_from_slice(&datagram);
            return Some(first);
        }
        if self.client.is_empty() {
            return None;
        }
        self.up.allowance(cx, self.session.received, self.since)?;
        let datagram = self.client.take()?;
        self.requests += 1;
        self.session.received += datagram.len() as u64;
        self.up.moved(datagram.len());
        Some(datagram)
    }

    /// Passes a datagram of the server on; false when there is none.
    fn receive(&mut self) -> Result<bool, End> {
        let event_loop = self.session.event_loop().clone();
        let mut scratch = event_loop.scratch();
        let outcome = self.server.try_receive(&mut scratch);
        let outcome = match outcome {
            Ok(length) => {
                self.arrived(length);
                self.pass_on(scratch.get(..length).unwrap_or_default()).map(|()| true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => {
                self.failed = true;
                self.complain(&error, ("recv", Level::Error), "reading from upstream");
                // A refusal is an answer.
                self.arrived(0);
                Ok(true)
            }
        };
        event_loop.give_scratch(scratch);
        outcome
    }

    fn arrived(&mut self, length: usize) {
        self.responses += 1;
        self.down.moved(length);
        if let Some(attempt) = self.session.attempts.last_mut() {
            attempt.received += length as u64;
            attempt.note_first_byte();
        }
    }

    /// Sends the client a datagram.
    ///
    /// Differs from nginx: what the client's socket does not take is dropped. [test: a_client_that_does_not_read_loses_datagrams_and_keeps_its_session]
    fn pass_on(&mut self, datagram: &[u8]) -> Result<(), End> {
        match self.client.send(datagram) {
            Ok(()) => self.session.sent += datagram.len() as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                self.complain(&error, ("sendmsg", Level::Info), "sending to client");
                return Err(End::Failed);
            }
        }
        Ok(())
    }

    fn complain(&self, error: &io::Error, (call, usual): (&str, Level), doing: &str) {
        let text = format!("{call}() failed ({}) while proxying and {doing}", errno(error));
        log(self.session, gravity(error, usual), &text);
    }

    /// Logs how the session ended; its status.
    fn tell(&self, end: &End) -> u16 {
        let session = &*self.session;
        let info = |text: &str| session.log_bare(Level::Info, text);
        let packets = || {
            let (requests, responses) = (self.requests, self.responses);
            format!(", packets from/to client:{requests}/{responses}{}", counts(session))
        };
        match end {
            End::Failed => {}
            End::Done if session.logs(Level::Info) => info(&format!("udp done{}", packets())),
            End::TimedOut if self.lacks_answers() => {
                let text = "upstream timed out (110: Connection timed out) while proxying connection";
                log(session, Level::Error, text);
                return 502;
            }
            End::TimedOut if session.logs(Level::Info) => info(&format!("udp timed out{}", packets())),
            End::ShutDown => info("disconnected on shutdown"),
            End::Closed => log(session, Level::Info, "shutdown timeout while proxying connection"),
            End::Done | End::TimedOut => {}
        }
        200
    }
}
