//! Asks one server of a gateway for its health: the gateway's own request, on a connection of its own.

use super::attempts::{Secure, secured};
use super::conf::Gateway;
use super::engine::Engine;
use super::exchange::{Exchange, Failure, Stage};
use super::protocol::{BodyLength, Protocol, Target};
use super::upload::Upload;
use super::upstream_response::{self, Framing, UpstreamResponse};
use crate::check::grpc;
use crate::http::codec::h1::{Chunked, Piece};
use crate::http::codec::memcached::Trailer;
use crate::http::heart::health::{Asked, Asking, BODY, Checkable, HealthCheck, Kept, Question, Tests, usual};
use crate::http::heart::request::Request;
use crate::http::heart::upstream::{Attempt, Pool, Reusable, Secured};
use crate::log::Level;
use crate::net::address::Address;
use crate::net::event_loop::Buffer;
use crate::upstream::peer::Peer;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A connection between two checks.
struct Waiting(Reusable, Option<Secured>);

/// What is said where this side cannot ask.
const ACTION: &str = "connecting to upstream";
const READING: &str = "reading upstream";
const GRPC: &str = "checking gRPC status";

impl<P: Protocol> Checkable for Engine<P> {
    fn pool(&self) -> Option<&Arc<Pool>> {
        self.protocol.pool()
    }

    fn check<'r>(
        &'r self,
        request: &'r mut Request,
        health: &'r HealthCheck,
        peer: &'r Peer,
        kept: &'r mut Kept,
    ) -> Asking<'r> {
        Box::pin(async move {
            let before = kept.take().and_then(|kept| kept.downcast::<Waiting>().ok());
            let mut out = request.event_loop().text();
            let asked = match self.begin(request, health, &mut out) {
                Some(target) => ask(self, request, (health, peer), (&target, &out), (before, kept)).await,
                None => Asked::unable(ACTION),
            };
            request.event_loop().give_text(out);
            asked
        })
    }
}

impl<P: Protocol> Engine<P> {
    /// Makes the head of the request that is sent; nothing where there is none, which is logged.
    fn begin(&self, request: &mut Request, health: &HealthCheck, out: &mut Vec<u8>) -> Option<Target> {
        let mut target = self.protocol.target(request).ok()?;
        if let Question::Get { uri, .. } = &health.question {
            target.uri = uri.to_vec();
        }
        request.attempts.host.clear();
        request.attempts.host.extend_from_slice(&target.host);
        request.attempts.secure = target.secure;
        let body = request.body.saved.as_ref().map_or(BodyLength::None, |body| BodyLength::Known(body.len()));
        self.protocol.encode(request, &target, body, out).ok()?;
        Some(target)
    }
}

async fn ask<P: Protocol>(
    engine: &Engine<P>,
    request: &mut Request,
    (health, peer): (&HealthCheck, &Peer),
    (target, out): (&Target, &[u8]),
    (before, kept): (Option<Box<Waiting>>, &mut Kept),
) -> Asked {
    let gateway = &*engine.gateway;
    let secured = match secured(engine.tls.as_ref(), request, target.secure) {
        Secure::Plain => None,
        Secure::Tls(secured) => Some(secured),
        Secure::Unable => return Asked::unable(ACTION),
    };
    let now = request.event_loop().clock.instant();
    let is_fresh = |waiting: &Waiting| {
        let age = now.saturating_duration_since(waiting.0.opened);
        health.keepalive.is_some_and(|time| age <= time) && !waiting.0.stream.has_input()
    };
    let mut waiting = before.filter(|waiting| is_fresh(waiting));
    loop {
        request.attempts.list.clear();
        request.attempts.list.push(Attempt { peer: peer.name.clone(), ..Attempt::default() });
        let again = waiting.take();
        let was_kept = again.is_some();
        let opened = match again {
            Some(waiting) => {
                let Waiting(reusable, secured) = *waiting;
                Ok(Exchange::resume(reusable, secured, request.event_loop()))
            }
            None => {
                let address =
                    health.check.port.map_or_else(|| peer.address.clone(), |port| at_port(&peer.address, port));
                Exchange::open(request, gateway, (&address, gateway.local(request)), secured.clone())
            }
        };
        let mut exchange = match opened {
            Ok(exchange) => exchange,
            Err(failure) => return failed(request, failure, Stage::Connecting.action()),
        };
        let mut upload = Some(Upload::new(request, gateway, out));
        match exchange.converse(request, gateway, out, &mut upload).await {
            Ok(reply) => return answered(gateway, request, health, (exchange, reply, upload.is_none()), kept).await,
            // A server may close a connection that was kept.
            Err(Failure::Error) if was_kept => {}
            Err(failure) => {
                let stage = exchange.stage();
                let whole = upload.is_none() && failure == Failure::Timeout && stage == Stage::Sending;
                let action = if whole { Stage::Reading.action() } else { stage.action() };
                return failed(request, failure, action);
            }
        }
    }
}

fn failed(request: &Request, failure: Failure, action: &'static str) -> Asked {
    if failure == Failure::Timeout {
        request.log(Level::Error, &format!("upstream timed out (110: Connection timed out) while {action}"));
    }
    let is_theirs = !matches!(failure, Failure::Local(_) | Failure::Client(_) | Failure::Aborted);
    Asked { passed: is_theirs.then_some(false), action }
}

fn at_port(address: &Address, port: u16) -> Address {
    match address {
        Address::Ip(ip) => Address::Ip(SocketAddr::new(ip.ip(), port)),
        Address::Unix(path) => Address::Unix(path.clone()),
    }
}

/// Judges an answer, and keeps its connection where that is wanted.
async fn answered(
    gateway: &Gateway,
    request: &mut Request,
    health: &HealthCheck,
    (mut exchange, reply, sent): (Exchange, UpstreamResponse, bool),
    kept: &mut Kept,
) -> Asked {
    request.attempts.update(|attempt| attempt.status = reply.status);
    let head = exchange.buffer.filled().to_vec();
    if request.site.kept.upstream {
        upstream_response::keep(request, &head, &reply);
    }
    let tests = match &health.question {
        Question::Get { tests, .. } => tests.as_ref(),
        Question::Grpc { .. } => None,
    };
    let wants_body = matches!(health.question, Question::Grpc { .. }) || tests.is_some_and(Tests::has_body);
    let judged = match tests {
        Some(tests) => tests.judge_head(request, reply.status, || Box::new(reply.fields(&head))),
        None => usual(reply.status),
    };
    let mut body = Body { framing: reply.framing, chunks: Chunked::default(), bytes: Vec::new(), is_over: false };
    if (wants_body && judged.is_ok() || health.keepalive.is_some())
        && let Err(failure) = body.read(&mut exchange, request, gateway, reply.head as usize).await
    {
        return failed(request, failure, READING);
    }
    let asked = match (&health.question, tests) {
        (Question::Grpc { status, .. }, _) => {
            let trailers = exchange.frames.as_ref().map(|frames| frames.trailers.as_slice()).unwrap_or_default();
            let trailers = trailers.iter().map(|field| (&*field.name, &*field.value));
            let found = grpc::status(reply.fields(&head).chain(trailers));
            let good = reply.status == 200 && grpc::is_healthy(found, &body.bytes, *status);
            Asked { passed: Some(good), action: GRPC }
        }
        (_, Some(tests)) => Asked::judged(judged.and_then(|last| tests.judge_rest(request, &body.bytes, last))),
        (_, None) => Asked::judged(judged),
    };
    exchange.reusable &= reply.keepalive && body.is_over && sent;
    if health.keepalive.is_some() && exchange.reusable && exchange.settle(request) {
        let secured = exchange.secured.take();
        let reusable = exchange.into_parts(request.event_loop());
        *kept = Some(Box::new(Waiting(reusable, secured)));
    }
    asked
}

/// The body of an answer while it comes in.
struct Body {
    framing: Framing,
    chunks: Chunked,
    bytes: Vec<u8>,
    /// Its end has come.
    is_over: bool,
}

impl Body {
    /// Reads as much of it as is examined.
    async fn read(
        &mut self,
        exchange: &mut Exchange,
        request: &mut Request,
        gateway: &Gateway,
        head: usize,
    ) -> Result<(), Failure> {
        let mut first = std::mem::replace(&mut exchange.buffer, Buffer::new(0));
        first.start += head;
        let (start, end) = (first.start, first.end);
        let bytes = first.all().get_mut(start..end).unwrap_or_default();
        let count = match exchange.frames {
            Some(_) => exchange.take_apart(request, bytes, READING)?.answer,
            None => bytes.len(),
        };
        self.take(exchange, request, bytes.get(..count).unwrap_or_default())?;
        request.event_loop().give(first);
        exchange.expect(request, gateway.read_timeout);
        let mut scratch = request.event_loop().buffer();
        let outcome = poll_fn(|cx| match self.poll(cx, exchange, request, scratch.all()) {
            Poll::Pending => exchange.poll_expected(cx).map(|()| Err(Failure::Timeout)),
            ready => ready,
        });
        let outcome = outcome.await;
        request.event_loop().give(scratch);
        outcome
    }

    fn is_enough(&self) -> bool {
        self.is_over || self.bytes.len() >= BODY
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Exchange,
        request: &mut Request,
        scratch: &mut [u8],
    ) -> Poll<Result<(), Failure>> {
        while !self.is_enough() {
            exchange.poll_control(cx, request)?;
            match exchange.stream.try_read(scratch) {
                Ok(0) if self.framing == Framing::Close => self.is_over = true,
                Ok(0) => {
                    let text = format!("upstream prematurely closed connection while {READING}");
                    request.log(Level::Error, &text);
                    return Poll::Ready(Err(Failure::Error));
                }
                Ok(count) => {
                    request.attempts.update(|attempt| attempt.received += count as u64);
                    let bytes = scratch.get_mut(..count).unwrap_or_default();
                    let count = exchange.take_apart(request, bytes, READING)?.answer;
                    self.take(exchange, request, bytes.get(..count).unwrap_or_default())?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if exchange.stream.poll_readable(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let text = crate::conf::walk::errno(&error);
                    request.log(Level::Error, &format!("recv() failed ({text}) while {READING}"));
                    return Poll::Ready(Err(Failure::Error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes bytes in, without the frames or records they came in.
    fn take(&mut self, exchange: &Exchange, request: &Request, bytes: &[u8]) -> Result<(), Failure> {
        match &mut self.framing {
            Framing::None => self.is_over = true,
            Framing::Length(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= take as u64;
                self.is_over = *left == 0;
                self.bytes.extend_from_slice(bytes.get(..take).unwrap_or_default());
            }
            Framing::Close => self.bytes.extend_from_slice(bytes),
            Framing::Chunked => self.take_chunks(request, bytes)?,
            Framing::Value(value) => {
                let (body, state) = value.take(bytes);
                self.bytes.extend_from_slice(body);
                self.is_over = state == Trailer::Complete;
                if state == Trailer::Invalid {
                    request.log(Level::Error, &format!("memcached sent invalid trailer while {READING}"));
                    return Err(Failure::InvalidHead);
                }
            }
            Framing::Records(_) => {
                self.bytes.extend_from_slice(bytes);
                self.is_over = exchange.records.as_ref().is_none_or(|records| records.is_over());
            }
            Framing::Frames(..) => {
                self.bytes.extend_from_slice(bytes);
                self.is_over = exchange.frames.as_ref().is_none_or(|frames| frames.is_over());
            }
        }
        self.bytes.truncate(BODY);
        Ok(())
    }

    fn take_chunks(&mut self, request: &Request, bytes: &[u8]) -> Result<(), Failure> {
        let mut at = 0;
        loop {
            match self.chunks.step(bytes, at) {
                Ok(Piece::Data(range)) => {
                    at = range.end;
                    self.bytes.extend_from_slice(bytes.get(range).unwrap_or_default());
                }
                Ok(Piece::More) => return Ok(()),
                Ok(Piece::End(_)) => {
                    self.is_over = true;
                    return Ok(());
                }
                Err(_) => {
                    request.log(Level::Error, &format!("upstream sent invalid chunked response while {READING}"));
                    return Err(Failure::InvalidHead);
                }
            }
        }
    }
}
