//! What all gateways do with a request: read its body where that is buffered, find its servers, ask them.
//!
//! Differs from nginx: a body that was streamed to one server is not announced, without its bytes, to another that an error page leads to; the answer is 502. [test: a_streamed_body_is_not_sent_twice]

use super::attempts;
use super::cache::{self, Caching, Fetch, Looked, Store};
use super::conf::{Dialect, Gateway};
use super::lookup::Servers;
use super::protocol::{BodyLength, Protocol, Target};
use crate::http::heart::body::Saved;
use crate::http::heart::handler::{Explain, Flow, Handler};
use crate::http::heart::health::Checkable;
use crate::http::heart::request::Request;
use crate::http::heart::secure::ServerSide;
use crate::http::heart::settings::FileOnly;
use crate::http::heart::trace::Trace;
use crate::log::Level;
use crate::net::resolver::Lookup;
use crate::upstream::Inputs;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;

/// A gateway of a location.
pub struct Engine<P> {
    /// The settings.
    pub gateway: Arc<Gateway>,
    /// The protocol.
    pub protocol: P,
    /// TLS towards the servers, where it may be needed.
    pub tls: Option<Arc<ServerSide>>,
    /// The cache, where there is one.
    pub caching: Option<Arc<Caching>>,
    /// Where answers become files for good.
    pub store: Option<Arc<Store>>,
}

impl<P: Protocol> Handler for Engine<P> {
    fn is_gateway(&self) -> bool {
        true
    }

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

    fn explains(&self) -> Option<&dyn Explain> {
        Some(self)
    }

    fn checks(&self) -> Option<&dyn Checkable> {
        Some(self)
    }
}

impl<P: Protocol> Explain for Engine<P> {
    fn explain(&self, request: &mut Request, trace: &mut Trace) -> Option<Flow<'static>> {
        Some(self.tell(request, trace))
    }
}

impl<P: Protocol> Engine<P> {
    async fn pass(&self, request: &mut Request) -> Result<Flow<'static>, u16> {
        request.attempts.renew();
        request.attempts.cache.stores = self.store.is_some();
        if request.body.streamed && self.gateway.pass_body && request.body.saved.is_none() {
            request.log(Level::Error, "request body was passed on as it came and cannot be sent again");
            return Err(502);
        }
        // A body that nobody wants any more, as after 413, is neither read nor sent.
        if request.body.is_announced() && request.body.is_begun() && request.body.saved.is_none() {
            request.body.saved = Some(Saved::Memory(Rc::default()));
        }
        let streams = !self.gateway.request_buffering && self.gateway.pass_body && self.protocol.passes_chunks(request);
        let unbuffered = streams && !request.body_is_at_hand();
        if unbuffered && request.body.is_announced() && !request.is_subrequest() {
            poll_fn(|cx| request.poll_continue(cx)).await;
            request.body.promise();
        } else if request.body.is_announced() || request.body.expects() {
            // As in nginx, a body that need not be read first need not be in a file.
            let only = if streams { FileOnly::Off } else { request.location.body_in_file };
            Box::pin(request.save_body(only)).await?;
        }
        if let Some(body) = self.protocol.body(request) {
            request.body.saved = Some(Saved::Memory(Rc::new(body)));
        }
        let target = self.protocol.target(request)?;
        request.attempts.host.clear();
        request.attempts.host.extend_from_slice(&target.host);
        match cache::look(self, request, &target).await? {
            Looked::Answered(flow) => Ok(flow),
            Looked::Asks(None) => self.ask(request, target, &mut None).await,
            Looked::Asks(mut fetch) => {
                let outcome = self.ask(request, target, &mut fetch).await;
                match (outcome, fetch) {
                    (Err(status), Some(fetch)) => fetch.missed(self, request, status),
                    (outcome, _) => outcome,
                }
            }
        }
    }

    /// Asks the servers; `fetch` is for a cache.
    async fn ask(
        &self,
        request: &mut Request,
        target: Target,
        fetch: &mut Option<Box<Fetch>>,
    ) -> Result<Flow<'static>, u16> {
        request.attempts.begin();
        let mut out = request.event_loop().text();
        let body = self.body_length(request);
        let is_http = matches!(self.gateway.dialect, Dialect::Http | Dialect::Http2);
        request.attempts.body_length = match body {
            BodyLength::Known(length) => Some(length).filter(|_| is_http),
            BodyLength::None | BodyLength::Chunked => None,
        };
        request.attempts.in_chunks = self.gateway.dialect == Dialect::Http && body == BodyLength::Chunked;
        self.protocol.encode(request, &target, body, &mut out)?;
        let Target { servers, uri, secure, .. } = target;
        let local = self.gateway.local(request);
        let pool = servers.find(request, &self.gateway).await?;
        request.attempts.url = Some((self.protocol.scheme(secure), uri));
        request.attempts.secure = secure;
        let flow = attempts::run(self, request, &pool, (&out, local), fetch).await;
        request.event_loop().give_text(out);
        flow
    }

    /// What would be sent, and to whom: what [`Self::pass`] does up to the first connection.
    fn tell(&self, request: &mut Request, trace: &mut Trace) -> Flow<'static> {
        let target = match self.protocol.target(request) {
            Ok(target) => target,
            Err(status) => return Flow::Finish(status),
        };
        request.attempts.host.clear();
        request.attempts.host.extend_from_slice(&target.host);
        let mut out = Vec::new();
        if let Err(status) = self.protocol.encode(request, &target, self.body_length(request), &mut out) {
            return Flow::Finish(status);
        }
        let choice = match &target.servers {
            Servers::Known(pool) => {
                let key = pool.key.as_ref().map(|key| key.text(request));
                let session = pool.sticky.as_ref().map(|sticky| sticky.server(&sticky.id(request), request));
                let session = session.unwrap_or_default();
                let key_text = key.as_deref().unwrap_or_default();
                let inputs = Inputs { client: request.client().ip(), key: key_text, session: &session };
                let mut choice = pool.group.explain(inputs, self.gateway.next_tries).keyed(key.as_deref());
                choice.order.extend(pool.live.iter().flat_map(|live| live.texts().map(str::to_owned)));
                choice
            }
            Servers::Host { name, port } if request.location.attached::<Lookup>().is_some() => {
                Servers::choice(name, *port)
            }
            Servers::Host { .. } => return Flow::Finish(502),
        };
        let shown = self.protocol.shown(request, out);
        trace.passes(self.protocol.scheme(target.secure), target.servers.name(), shown, choice);
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
}
