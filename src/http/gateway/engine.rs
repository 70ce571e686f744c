//! connect, send, read the head, relay, next server: what all gateways do with a request.

use super::conf::{Gateway, next};
use super::exchange::{Exchange, Failure};
use super::reply::Reply;
use super::tunnel::Tunnel;
use super::{relay, reply};
use crate::http::codec::h1::Method;
use crate::http::explain::Story;
use crate::http::phase::{Flow, Handler};
use crate::http::request::Request;
use crate::http::upstream::{Attempt, Pool};
use crate::log::Level;
use crate::upstream::group::Pick;
use crate::upstream::{Inputs, PeerRef};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a gateway's protocol must know.
pub trait Protocol: Send + Sync {
    /// The group a request goes to, and the URI it asks for there.
    ///
    /// # Errors
    /// The status to answer with, when there is no such place.
    fn target(&self, request: &Request) -> Result<Target, u16>;

    /// Appends the request's head; `body` is the length of the body that follows, nothing for chunks.
    fn encode(&self, request: &Request, target: &Target, body: BodyLength, out: &mut Vec<u8>);

    /// Whether a body of unknown length can be passed on as it comes.
    fn passes_chunks(&self, request: &Request) -> bool;

    /// A body that replaces the client's.
    fn body(&self, request: &Request) -> Option<Vec<u8>>;

    /// Rewrites a response's headers (Location, Refresh, Set-Cookie).
    fn rewrite(&self, request: &Request, name: &[u8], value: &[u8]) -> Option<Vec<u8>>;

    /// `http://`, for logs.
    fn scheme(&self) -> &'static str;
}

/// Where a request goes.
pub struct Target {
    /// The servers.
    pub pool: Arc<Pool>,
    /// Path and arguments.
    pub uri: Vec<u8>,
    /// The host (and port) the configuration or a variable names.
    pub host: Vec<u8>,
}

/// How the body of a passed request is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none.
    None,
    /// So many bytes.
    Known(u64),
    /// Chunks.
    Chunked,
}

/// A gateway of a location.
pub struct Engine<P> {
    /// The settings.
    pub gateway: Arc<Gateway>,
    /// The protocol.
    pub protocol: P,
}

impl<P: Protocol> Handler for Engine<P> {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        Flow::Wait(Box::pin(async move {
            match self.pass(request).await {
                Ok(flow) => flow,
                Err(status) => {
                    request.attempts.url = None;
                    Flow::Finish(status)
                }
            }
        }))
    }

    fn explain(&self, request: &mut Request, story: &mut Story) -> Option<Flow<'static>> {
        Some(self.tell(request, story))
    }
}

/// Whole seconds, as groups count them.
fn seconds(request: &Request) -> u64 {
    request.turn().clock.now().as_secs()
}

impl<P: Protocol> Engine<P> {
    async fn pass(&self, request: &mut Request) -> Result<Flow<'static>, u16> {
        let unbuffered = !self.gateway.request_buffering
            && self.gateway.pass_body
            && self.protocol.passes_chunks(request)
            && !request.body_is_at_hand();
        let announced = request.body.is_announced();
        if announced && !unbuffered || !announced && request.body.expects() {
            Box::pin(request.save_body()).await?;
        }
        if let Some(body) = self.protocol.body(request) {
            request.body.saved = Some(crate::http::body::Saved::Memory(body));
        }
        let target = self.protocol.target(request)?;
        request.attempts.host.clear();
        request.attempts.host.extend_from_slice(&target.host);
        let mut out = request.turn().text();
        self.protocol.encode(request, &target, self.body_length(request), &mut out);
        let Target { pool, uri, .. } = target;
        request.attempts.url = Some((self.protocol.scheme(), uri));
        let flow = self.ask(request, &pool, &out).await;
        request.turn().give_text(out);
        flow
    }

    /// Asks one server after the other.
    async fn ask(&self, request: &mut Request, pool: &Arc<Pool>, out: &[u8]) -> Result<Flow<'static>, u16> {
        let key = pool.key.as_ref().map(|key| key.text(request)).unwrap_or_default();
        let mut pick = pool.group.pick(Inputs { client: client_ip(request), key: &key });
        pick.limit(self.gateway.next_tries);
        let begun = request.turn().clock.instant();
        loop {
            let Some(peer) = pool.group.select(&mut pick, seconds(request)) else {
                request.attempts.list.push(Attempt {
                    peer: pool.group.name.as_str().into(),
                    status: 502,
                    ..Attempt::default()
                });
                request.log(Level::Error, "no live upstreams while connecting to upstream");
                return Err(502);
            };
            match self.attempt(request, pool, peer, out, &mut pick).await {
                Ok(flow) => return Ok(flow),
                Err((failure, stage)) => self.again(request, failure, stage, &mut pick, begun)?,
            }
        }
    }

    /// What would be sent, and to whom: what [`Self::pass`] does up to the first connection.
    fn tell(&self, request: &mut Request, story: &mut Story) -> Flow<'static> {
        let target = match self.protocol.target(request) {
            Ok(target) => target,
            Err(status) => return Flow::Finish(status),
        };
        request.attempts.host.clear();
        request.attempts.host.extend_from_slice(&target.host);
        let mut out = Vec::new();
        self.protocol.encode(request, &target, self.body_length(request), &mut out);
        let key = target.pool.key.as_ref().map(|key| key.text(request));
        let inputs = Inputs { client: client_ip(request), key: key.as_deref().unwrap_or_default() };
        let choice = target.pool.group.explain(inputs, self.gateway.next_tries);
        story.passes(self.protocol.scheme(), &target.pool.group.name, out, choice.keyed(key.as_deref()));
        Flow::Done
    }

    fn body_length(&self, request: &Request) -> BodyLength {
        if !self.gateway.pass_body {
            return BodyLength::None;
        }
        match (&request.body.saved, request.body.announced()) {
            (Some(saved), _) => BodyLength::Known(saved.len()),
            (None, Some(length)) => BodyLength::Known(length),
            (None, None) if request.body.is_chunked() => BodyLength::Chunked,
            _ => BodyLength::None,
        }
    }

    /// One server: Ok when the request is over, whatever the client was told.
    async fn attempt(
        &self,
        request: &mut Request,
        pool: &Arc<Pool>,
        peer: PeerRef,
        out: &[u8],
        pick: &mut Pick,
    ) -> Result<Flow<'static>, (Failure, bool)> {
        let Some(address) = pool.group.peer(peer).map(|peer| (peer.name.clone(), peer.address.clone())) else {
            return Err((Failure::Local(500), false));
        };
        request.attempts.list.push(Attempt { peer: address.0, ..Attempt::default() });
        let begun = request.turn().clock.instant();
        let outcome = self.exchange(request, (pool, peer, &address.1), out, pick).await;
        let elapsed = request.turn().clock.since(begun);
        let now = seconds(request);
        match outcome {
            Ok((mut exchange, reply)) => {
                let result = self.deliver(request, &mut exchange, reply).await;
                if result.upgraded {
                    // The connection goes on with it when the phases, and all they hold, are done.
                    let tunnel = Tunnel::new(request, exchange, &self.gateway, (pool, peer, begun));
                    request.tunnel = Some(Box::new(tunnel));
                    return Ok(result.flow);
                }
                let elapsed = request.turn().clock.since(begun);
                note(request, |attempt| attempt.response = Some(elapsed));
                let failed = !result.upstream_complete;
                pool.group.free(peer, failed, pick, now);
                if result.reusable {
                    let (stream, requests, opened) = exchange.into_parts(request.turn());
                    let now = request.turn().clock.instant();
                    request.connection.front.idle.park((pool, peer), (stream, requests + 1, opened), now);
                }
                request.attempts.url = None;
                Ok(result.flow)
            }
            Err((failure, sent)) => {
                note(request, |attempt| {
                    attempt.response = Some(elapsed);
                    attempt.status = failure.status();
                });
                let counts = failure.counts();
                if pool.group.free(peer, counts, pick, now) && counts {
                    request.log(Level::Warn, "upstream server temporarily disabled while connecting to upstream");
                }
                Err((failure, sent))
            }
        }
    }

    /// Connects (or takes an idle connection), sends, and reads the response's head.
    async fn exchange(
        &self,
        request: &mut Request,
        (pool, peer, address): (&Arc<Pool>, PeerRef, &crate::net::address::Address),
        out: &[u8],
        pick: &Pick,
    ) -> Result<(Exchange, Reply), (Failure, bool)> {
        let parked = request.connection.front.idle.take(pool, peer);
        let pooled = parked.is_some();
        let mut exchange = match parked {
            Some(parked) => Exchange::reuse(parked, request.turn()),
            None => Exchange::open(request, &self.gateway, address).map_err(|failure| (failure, false))?,
        };
        if pooled {
            note(request, |attempt| attempt.connect = Some(Duration::ZERO));
        }
        let outcome = self.converse(request, &mut exchange, out, pick).await;
        match outcome {
            Ok(reply) => Ok((exchange, reply)),
            // A kept connection that turns out to be closed says nothing about its server: try a new one.
            Err(Failure::Error) if pooled && !exchange.received => {
                let mut exchange =
                    Exchange::open(request, &self.gateway, address).map_err(|failure| (failure, false))?;
                let outcome = self.converse(request, &mut exchange, out, pick).await;
                let connected = exchange.connected;
                outcome.map(|reply| (exchange, reply)).map_err(|failure| (failure, connected))
            }
            Err(failure) => Err((failure, exchange.connected)),
        }
    }

    async fn converse(
        &self,
        request: &mut Request,
        exchange: &mut Exchange,
        out: &[u8],
        pick: &Pick,
    ) -> Result<Reply, Failure> {
        exchange.send(request, &self.gateway, out).await?;
        let reply = exchange.read_head(request, &self.gateway).await?;
        note(request, |attempt| attempt.status = reply.status);
        let wanted = match reply.status {
            500 => next::HTTP_500,
            502 => next::HTTP_502,
            503 => next::HTTP_503,
            504 => next::HTTP_504,
            403 => next::HTTP_403,
            404 => next::HTTP_404,
            429 => next::HTTP_429,
            _ => 0,
        };
        if wanted != 0 && self.gateway.next & wanted != 0 && pick.left() > 1 && self.repeatable(request, true) {
            return Err(Failure::Status(reply.status));
        }
        Ok(reply)
    }

    /// Whether a request may be sent to another server after it was sent to one.
    fn repeatable(&self, request: &Request, sent: bool) -> bool {
        if !sent {
            return true;
        }
        let once = matches!(request.method, Method::Post | Method::Patch) || request.method_name() == b"LOCK";
        (!once || self.gateway.next & next::NON_IDEMPOTENT != 0)
            && (self.gateway.request_buffering || !request.body.is_pending())
    }

    /// After a failure: whether to go on, or the status to answer with.
    fn again(
        &self,
        request: &mut Request,
        failure: Failure,
        sent: bool,
        pick: &mut Pick,
        begun: Instant,
    ) -> Result<(), u16> {
        let bit = match failure {
            Failure::Error | Failure::Connect => next::ERROR,
            Failure::Timeout => next::TIMEOUT,
            Failure::InvalidHead => next::INVALID_HEADER,
            Failure::Status(_) => u32::MAX,
            Failure::Aborted => return Err(499),
            Failure::Local(status) => return Err(status),
        };
        let allowed = bit == u32::MAX || self.gateway.next & bit != 0 && self.repeatable(request, sent);
        let in_time =
            self.gateway.next_timeout.is_zero() || request.turn().clock.since(begun) < self.gateway.next_timeout;
        if allowed && in_time && pick.left() > 0 {
            return Ok(());
        }
        Err(failure.status())
    }

    /// Takes a reply to the client.
    async fn deliver(&self, request: &mut Request, exchange: &mut Exchange, mut reply: Reply) -> Delivered {
        let mut delivered = Delivered { flow: Flow::Done, reusable: false, upgraded: false, upstream_complete: true };
        if let Some(flow) = reply::redirect(request, &self.gateway, exchange, &reply) {
            delivered.flow = flow;
            return delivered;
        }
        if self.gateway.intercept_errors && reply.status >= 300 {
            let location = request.location.clone();
            if location.settings.error_pages.iter().any(|page| page.status == reply.status) {
                reply::challenge(request, exchange, &reply);
                delivered.flow = Flow::Finish(reply.status);
                return delivered;
            }
        }
        reply::head(request, &self.gateway, &self.protocol, exchange, &mut reply);
        if reply.status == 101 && reply.upgrade && !request.is_subrequest() {
            request.keepalive = false;
            request.response.upgrade = true;
            request.response.content = crate::http::response::Content::Streamed;
            request.start();
            delivered.upgraded = true;
            return delivered;
        }
        let end = relay::run(request, exchange, &self.gateway, reply).await;
        delivered.reusable = end.reusable && exchange.reusable;
        delivered.upstream_complete = end.complete;
        delivered
    }
}

/// What came of a delivery.
struct Delivered {
    flow: Flow<'static>,
    reusable: bool,
    upgraded: bool,
    upstream_complete: bool,
}

/// Changes the current attempt.
pub fn note(request: &mut Request, change: impl FnOnce(&mut Attempt)) {
    if let Some(attempt) = request.attempts.list.last_mut() {
        change(attempt);
    }
}

/// The client's address, for `ip_hash`.
fn client_ip(request: &Request) -> Option<std::net::IpAddr> {
    let real = request.connection.real.borrow();
    real.as_ref().unwrap_or(&request.connection.peer).ip()
}
