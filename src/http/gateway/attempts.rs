//! One server after the other: who is asked, the one rule of whether another may be, and what becomes of an answer.

use super::cache::{self, Fetch, Keep};
use super::conf::{Dialect, Gateway, next};
use super::engine::Engine;
use super::exchange::{Exchange, Failure, Stage};
use super::protocol::Protocol;
use super::relay;
use super::tunnel::Tunnel;
use super::upload::Upload;
use super::upstream_response::{self, UpstreamResponse};
use crate::http::codec::h1::Method;
use crate::http::heart::handler::Flow;
use crate::http::heart::request::Request;
use crate::http::heart::response::Content;
use crate::http::heart::secure::ServerSide;
use crate::http::heart::sticky::Passing;
use crate::http::heart::upstream::{Asker, Attempt, InUse, Pool, Secured};
use crate::http::route::range;
use crate::log::Level;
use crate::net::outgoing::Local;
use crate::upstream::Inputs;
use crate::upstream::Pick;
use crate::upstream::queue::Queue;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// What failed, and how far it had come.
struct Missed {
    failure: Failure,
    stage: Stage,
    /// On a connection kept from an earlier request.
    kept: bool,
    /// The body was passed on as it came.
    streamed: bool,
    /// All of the request was sent.
    whole: bool,
}

/// A request on its way through a group.
struct Attempts<'a, P> {
    engine: &'a Engine<P>,
    pool: &'a Arc<Pool>,
    head: &'a [u8],
    pick: Pick,
    begun: Instant,
    /// Where connections come from.
    local: Option<Local>,
}

/// Asks one server after the other, and takes the answer to the client; `local` is where connections come from.
///
/// # Errors
/// The status to answer with.
pub async fn run<P: Protocol>(
    engine: &Engine<P>,
    request: &mut Request,
    pool: &Arc<Pool>,
    (head, local): (&[u8], Option<Local>),
    fetch: &mut Option<Box<Fetch>>,
) -> Result<Flow<'static>, u16> {
    let key = pool.key.as_ref().map(|key| key.text(request)).unwrap_or_default();
    let id = pool.sticky.as_ref().map(|sticky| sticky.id(request)).unwrap_or_default();
    let session = pool.sticky.as_ref().map(|sticky| sticky.server(&id, request)).unwrap_or_default();
    let inputs = Inputs { client: request.client().ip(), key: &key, session: &session };
    let mut pick = pool.group.pick(inputs);
    pick.limit(engine.gateway.next_tries);
    let begun = request.event_loop().clock.instant();
    let mut attempts = Attempts { engine, pool, head, pick, begun, local };
    let mut is_marked = false;
    loop {
        let clock = &request.event_loop().clock;
        let now = (clock.instant(), clock.now().as_secs());
        let mut used = InUse::select(pool, &mut attempts.pick, now, Asker::of(engine));
        if used.is_none() && !is_marked {
            used = attempts.wait(request, inputs).await?;
        }
        let Some(mut used) = used else {
            let peer = pool.group.host.as_str().into();
            request.attempts.list.push(Attempt { peer, status: 502, ..Attempt::default() });
            request.log(Level::Error, "no live upstreams while connecting to upstream");
            fetch.iter_mut().for_each(|fetch| fetch.note_failure(next::NO_LIVE));
            return Err(502);
        };
        let Some(peer) = pool.group.peer(used.peer) else { return Err(500) };
        request.attempts.list.push(Attempt { peer: peer.name.clone(), ..Attempt::default() });
        let again = std::mem::replace(&mut is_marked, true);
        let passing = pool.sticky.as_ref().zip(pool.group.id(used.peer)).map(|(sticky, server)| {
            sticky.mark(request, server, again);
            sticky.passing(&id, server)
        });
        match attempts.exchange(request, &mut used).await {
            Ok((exchange, reply, upload)) => {
                let flow = deliver(engine, request, (exchange, used, passing.as_ref()), (reply, upload), fetch).await;
                passing.iter().for_each(|passing| passing.learn(request, false));
                return Ok(flow);
            }
            Err(missed) => {
                fetch.iter_mut().for_each(|fetch| fetch.note_failure(missed.failure.bit()));
                attempts.next(request, used, &missed)?;
            }
        }
    }
}

impl<'a, P: Protocol> Attempts<'a, P> {
    /// Waits in the group's queue until a server can be asked; nothing where there is none in time, no room or no queue.
    ///
    /// # Errors
    /// The status where the client leaves meanwhile.
    async fn wait(&mut self, request: &mut Request, inputs: Inputs<'_>) -> Result<Option<InUse>, u16> {
        let Some(place) = self.pool.queue.as_ref().and_then(Queue::enter) else { return Ok(None) };
        let watch = !self.engine.gateway.ignore_client_abort;
        loop {
            let mut turn = pin!(place.wait());
            let is_left = poll_fn(|cx| match turn.as_mut().poll(cx) {
                Poll::Ready(is_left) => Poll::Ready(Some(is_left)),
                Poll::Pending if watch => request.poll_gone(cx).map(|()| None),
                Poll::Pending => Poll::Pending,
            });
            match is_left.await {
                Some(true) => {}
                Some(false) => return Ok(None),
                None => {
                    request.log(Level::Info, "epoll_wait() reported that client prematurely closed connection");
                    request.response.broken = true;
                    return Err(499);
                }
            }
            // All servers may be asked again.
            self.pick = self.pool.group.pick(inputs);
            self.pick.limit(self.engine.gateway.next_tries);
            let clock = &request.event_loop().clock;
            let now = (clock.instant(), clock.now().as_secs());
            if let Some(used) = InUse::select(self.pool, &mut self.pick, now, Asker::of(self.engine)) {
                return Ok(Some(used));
            }
        }
    }

    /// Connects (or takes an idle connection), sends, and reads the response's head.
    async fn exchange(
        &self,
        request: &mut Request,
        used: &mut InUse,
    ) -> Result<(Exchange, UpstreamResponse, Option<Upload<'a>>), Missed> {
        let gateway = &self.engine.gateway;
        let address = self.pool.group.peer(used.peer).map(|peer| &peer.address);
        let secured = match secured(self.engine.tls.as_ref(), request, request.attempts.secure) {
            Secure::Tls(secured) => Some(secured),
            Secure::Unable => return Err(Missed::before(Failure::Local(500))),
            Secure::Plain => None,
        };
        let http2 = gateway.dialect.has_frames();
        let idle_connection = request.connection.loop_state.idle.take(used, secured.as_ref(), http2);
        let mut exchange = match (idle_connection, address) {
            (Some(idle_connection), _) => {
                request.attempts.update(|attempt| attempt.connect = Some(Duration::ZERO));
                Exchange::reuse(idle_connection, secured, request.event_loop())
            }
            (None, Some(address)) => {
                Exchange::open(request, gateway, (address, self.local.clone()), secured).map_err(Missed::before)?
            }
            (None, None) => return Err(Missed::before(Failure::Local(500))),
        };
        let mut upload = Some(Upload::new(request, gateway, self.head));
        let streamed = upload.as_ref().is_some_and(Upload::is_streamed);
        let outcome = exchange.converse(request, gateway, self.head, &mut upload).await;
        let (stage, kept) = (exchange.stage(), exchange.kept);
        let whole = upload.is_none();
        let missed = |failure| Missed { failure, stage, kept, streamed, whole };
        let reply = outcome.map_err(missed)?;
        request.attempts.update(|attempt| attempt.status = reply.status);
        let failure = Failure::Status(reply.status);
        let bit = failure.bit();
        if bit != 0 && self.pick.left() > 1 && self.may_repeat(request, &missed(failure), bit) {
            return Err(missed(failure));
        }
        used.answered(request.event_loop().clock.since(used.since));
        Ok((exchange, reply, upload))
    }

    /// The rule of `*_next_upstream`: whether what failed like this may be sent to another server.
    fn may_repeat(&self, request: &Request, missed: &Missed, bit: u32) -> bool {
        let Gateway { next: allowed, next_timeout, .. } = *self.engine.gateway;
        let sent = missed.stage.is_sent();
        let once = matches!(request.method, Method::Post | Method::Patch) || request.method_name() == b"LOCK";
        let bits = if sent && once { bit | next::NON_IDEMPOTENT } else { bit };
        allowed & bits == bits
            && !(sent && missed.streamed)
            && (next_timeout.is_zero() || request.event_loop().clock.since(self.begun) < next_timeout)
    }

    /// After a failure: whether to go on, or the status to answer with.
    fn next(&mut self, request: &mut Request, used: InUse, missed: &Missed) -> Result<(), u16> {
        let Missed { failure, stage, kept, whole, .. } = *missed;
        let elapsed = request.event_loop().clock.since(used.since);
        request.attempts.update(|attempt| {
            attempt.response = Some(elapsed);
            attempt.status = failure.status();
        });
        let bit = failure.bit();
        if bit == 0 {
            return Err(failure.status());
        }
        // A wait that ends is the reading of an answer, also before its first byte.
        let action = match (failure, stage) {
            (Failure::Timeout, Stage::Sending) if whole => Stage::Reading.action(),
            _ => stage.action(),
        };
        let seconds = request.event_loop().clock.now().as_secs();
        if used.end(failure.counts(), &mut self.pick, seconds) {
            request.log(Level::Warn, &format!("upstream server temporarily disabled while {action}"));
        }
        if failure == Failure::Timeout {
            request.log(Level::Error, &format!("upstream timed out (110: Connection timed out) while {action}"));
        }
        if kept && failure == Failure::Error {
            self.pick.allow_another();
        }
        if self.pick.left() > 0 && self.may_repeat(request, missed, bit) {
            return Ok(());
        }
        Err(failure.status())
    }
}

/// What secures a connection to a server.
pub enum Secure {
    /// Nothing.
    Plain,
    /// These settings.
    Tls(Secured),
    /// TLS is asked for, and there are no settings: nothing is sent in the clear.
    Unable,
}

/// What secures a connection of a gateway with these settings, which is to speak TLS or not.
pub fn secured(tls: Option<&Arc<ServerSide>>, request: &Request, secure: bool) -> Secure {
    match (tls, secure) {
        (_, false) => Secure::Plain,
        (None, true) => Secure::Unable,
        (Some(side), true) => {
            Secure::Tls(Secured { side: side.clone(), name: side.name(request, &request.attempts.host).into() })
        }
    }
}

impl Missed {
    /// A failure before anything was sent.
    const fn before(failure: Failure) -> Self {
        Self { failure, stage: Stage::Connecting, kept: false, streamed: false, whole: false }
    }
}

/// Takes a reply to the client.
async fn deliver<P: Protocol>(
    engine: &Engine<P>,
    request: &mut Request,
    (mut exchange, used, passing): (Exchange, InUse, Option<&Passing>),
    (reply, upload): (UpstreamResponse, Option<Upload<'_>>),
    fetch: &mut Option<Box<Fetch>>,
) -> Flow<'static> {
    let gateway = &engine.gateway;
    let bytes = exchange.buffer.filled();
    if request.site.kept.upstream {
        upstream_response::keep(request, bytes, &reply);
    }
    passing.iter().for_each(|passing| passing.learn(request, true));
    fetch.iter_mut().for_each(|fetch| fetch.heed(request, gateway, bytes, &reply));
    if let Some(instead) = fetch.as_ref().and_then(|fetch| fetch.instead(request, &reply)) {
        finish(request, exchange, used, &reply, upload.is_none());
        return match fetch.take() {
            Some(fetch) => fetch.give(engine, request, instead),
            None => Flow::Finish(500),
        };
    }
    if let Some(flow) = away(engine, request, bytes, &reply, fetch) {
        finish(request, exchange, used, &reply, upload.is_none());
        return flow;
    }
    upstream_response::head(request, gateway, &engine.protocol, bytes, &reply);
    let kept = fetch.as_ref().is_some_and(|fetch| fetch.may_keep());
    cache::ranges(request, gateway, kept, false);
    request.response.unconditional = !kept;
    exchange.buffer.start += reply.head as usize;
    exchange.reusable &= reply.keepalive;
    request.attempts.update(|attempt| attempt.length = 0);
    request.begin_slices();
    if range::is_unsatisfiable(request) {
        range::say_length(request);
        exchange.reusable = false;
        finish(request, exchange, used, &reply, false);
        return Flow::Finish(416);
    }
    if reply.status == 101 && !request.is_subrequest() {
        request.keepalive = false;
        request.response.upgrade = true;
    }
    if reply.upgrade && !request.is_subrequest() {
        request.response.content = Content::Streamed;
        request.start();
        // The connection goes on with it when the phases, and all they hold, are done.
        let tunnel = Tunnel::new(request, exchange, gateway, used);
        request.tunnel = Some(Box::new(tunnel));
        return Flow::Done;
    }
    let store = engine.store.as_deref();
    let keep = fetch.take().map(Keep::Cache).or_else(|| store.map(Keep::Store));
    relay::run(request, (exchange, used), (reply, upload), gateway, keep).await;
    if request.response.held.is_none() {
        request.attempts.url = None;
    }
    Flow::Done
}

/// Where a reply leads that is not shown: X-Accel-Redirect, or an error page of the configuration.
fn away<P: Protocol>(
    engine: &Engine<P>,
    request: &mut Request,
    bytes: &[u8],
    reply: &UpstreamResponse,
    fetch: &mut Option<Box<Fetch>>,
) -> Option<Flow<'static>> {
    if let Some(flow) = upstream_response::redirect(request, &engine.gateway, bytes, reply) {
        return Some(flow);
    }
    // memcached's 404 has no body: the location answers.
    if reply.status == 404 && matches!(engine.gateway.dialect, Dialect::Memcached { .. }) {
        return Some(Flow::Finish(404));
    }
    if !engine.gateway.intercept_errors || reply.status < 300 {
        return None;
    }
    let pages = &request.location.settings.error_pages;
    if !pages.iter().any(|page| page.status == reply.status) {
        return None;
    }
    upstream_response::challenge(request, bytes, reply);
    if let Some(fetch) = fetch.take() {
        fetch.remember(request, reply.status);
    }
    Some(Flow::Finish(reply.status))
}

/// Ends an exchange whose body nobody wants: the connection is kept when nothing more comes on it.
fn finish(request: &mut Request, exchange: Exchange, used: InUse, reply: &UpstreamResponse, sent: bool) {
    let elapsed = request.event_loop().clock.since(used.since);
    request.attempts.update(|attempt| attempt.response = Some(elapsed));
    let whole = exchange.buffer.filled().len() == reply.head as usize && reply.has_no_body();
    let mut exchange = exchange;
    let keep = whole && sent && reply.keepalive && exchange.reusable && exchange.settle(request);
    request.event_loop().give(std::mem::replace(&mut exchange.buffer, crate::net::event_loop::Buffer::new(0)));
    let secured = exchange.secured.take();
    let reusable = exchange.into_parts(request.event_loop());
    if keep {
        let loop_state = &request.connection.loop_state;
        loop_state.idle.put_idle(&used, reusable, secured, loop_state.event_loop.clock.instant());
    }
    request.attempts.url = None;
}
