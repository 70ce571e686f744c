//! A request whose connection has become a tunnel: what its log line needs, in little memory.
//!
//! A tunnel may be open for days, and its request has nothing to do but to be logged at the end. Its texts are put into one
//! allocation, its structures go back to the loop for other requests; what few requests have is not taken apart: then the
//! request is kept whole.

use crate::http::codec::h1::{Method, RequestLine};
use crate::http::heart::body::{Body, ReadBody};
use crate::http::heart::client::{Connection, LoopState};
use crate::http::heart::head::{Head, PackedHeader};
use crate::http::heart::request::Request;
use crate::http::heart::response::SentResponse;
use crate::http::heart::site::{Location, Server, Site};
use crate::http::heart::upstream::EndedAttempts;
use crate::http::heart::wire::Wire;
use crate::net::address::Address;
use crate::net::event_loop::Buffer;
use crate::script::variable::Slots;
use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Texts of a suspended request: the head, path, arguments, host; Content-Type and status line of the response; host and
/// URI of the backend request.
const TEXTS: usize = 8;

/// A request that waits for the end of its tunnel.
pub struct Suspended(Box<Kept>);

#[expect(clippy::large_enum_variant, reason = "few are whole, and none is moved")]
enum Kept {
    /// One that has more than most.
    Whole(Box<Option<Request>>),
    /// What the log line of any other needs.
    Packed(Packed),
}

/// A request in little memory.
struct Packed {
    site: Arc<Site>,
    server: Arc<Server>,
    location: Arc<Location>,
    real: Option<Box<Address>>,
    texts: Box<[u8]>,
    ends: [u32; TEXTS],
    line: RequestLine,
    headers: Box<[PackedHeader]>,
    behind: u32,
    body: ReadBody,
    response: SentResponse,
    attempts: EndedAttempts,
    slots: Slots,
    started: Duration,
    head_length: u64,
    serial: u64,
    held: Box<[Box<dyn Any>]>,
    limits: Option<Box<[&'static str; 2]>>,
    flags: Flags,
}

/// What was decided about it.
#[derive(Clone, Copy)]
struct Flags {
    method: Method,
    uri_changes: u8,
    forced_get: bool,
    has_args: bool,
    uri_as_sent: bool,
    internal: bool,
    error_page: bool,
    uri_changed: bool,
    valid_location: bool,
    uri_behind_alias: bool,
    lost_upstream: bool,
    keepalive: bool,
    lingering: bool,
    abandoned: bool,
    pipelined: bool,
}

impl LoopState {
    /// Puts a request aside until its tunnel ends.
    pub fn suspend(&self, mut seat: Box<Option<Request>>) -> Suspended {
        match seat.as_mut().as_mut().and_then(Packed::of) {
            Some(packed) => {
                self.leave(seat);
                Suspended(Box::new(Kept::Packed(packed)))
            }
            None => Suspended(Box::new(Kept::Whole(seat))),
        }
    }
}

impl Suspended {
    /// The request, for its log line.
    pub fn resume(self, connection: &Rc<Connection>) -> Box<Option<Request>> {
        match *self.0 {
            Kept::Whole(seat) => seat,
            Kept::Packed(packed) => connection.seat(packed.unpack(connection)),
        }
    }
}

impl Packed {
    /// Moves the values of the log line out of a request; nothing where it has values that a packed one cannot hold.
    fn of(request: &mut Request) -> Option<Self> {
        if !is_usual(request) {
            return None;
        }
        let (body, headers) = (request.body.ended()?, request.head.packed()?);
        let response = request.response.ended()?;
        let (attempts, host, url) = request.attempts.ended();
        let limits = [request.limit_conn_status, request.limit_req_status];
        let limits = (limits != [""; 2]).then(|| Box::new(limits));
        let mut ends = [0; TEXTS];
        let mut bytes = Vec::new();
        let texts: [&[u8]; TEXTS] = [
            request.head.bytes.at(0, request.head.bytes.end),
            &request.uri,
            &request.args,
            &request.host,
            &request.response.content_type,
            &request.response.reason,
            &host,
            &url,
        ];
        bytes.reserve_exact(texts.iter().map(|text| text.len()).sum());
        for (text, end) in texts.iter().zip(&mut ends) {
            bytes.extend_from_slice(text);
            *end = bytes.len() as u32;
        }
        Some(Self {
            site: request.site.clone(),
            server: request.server.clone(),
            location: request.location.clone(),
            real: request.real.take().map(Box::new),
            texts: bytes.into(),
            ends,
            line: std::mem::take(&mut request.head.line),
            headers,
            behind: request.head.end,
            body,
            response,
            attempts,
            slots: std::mem::take(&mut request.slots),
            started: request.started,
            head_length: request.head_length,
            serial: request.serial,
            held: std::mem::take(&mut request.held).into(),
            limits,
            flags: Flags::of(request),
        })
    }

    fn text(&self, number: usize) -> &[u8] {
        let end = |number: usize| self.ends.get(number).map_or(0, |end| *end as usize);
        let start = number.checked_sub(1).map_or(0, end);
        self.texts.get(start..end(number)).unwrap_or_default()
    }

    /// The request again, in the allocations of another one.
    fn unpack(self, connection: &Rc<Connection>) -> Request {
        let head = self.text(0);
        let mut bytes = Buffer::new(head.len());
        bytes.room().copy_from_slice(head);
        (bytes.start, bytes.end) = (head.len(), head.len());
        let scratch = connection.loop_state.scratch();
        let head = Head::parsed(bytes, self.line.clone(), &self.headers, self.behind);
        let mut request = Request::new(connection.clone(), (self.site.clone(), self.server.clone()), head, scratch);
        let texts = [&mut request.uri, &mut request.args, &mut request.host];
        for (number, text) in texts.into_iter().enumerate() {
            text.extend_from_slice(self.text(number + 1));
        }
        request.body = Body::read(&self.body);
        request.response.restore(&self.response);
        request.response.content_type.extend_from_slice(self.text(4));
        request.response.reason.extend_from_slice(self.text(5));
        let (host, url) = (self.text(6).to_vec(), self.text(7).to_vec());
        let Self {
            location, real, response, attempts, slots, started, head_length, serial, held, limits, flags, ..
        } = self;
        if let Some(headers) = response.headers {
            request.response.headers = *headers;
        }
        request.attempts.restore(attempts, host, url);
        (request.location, request.real, request.slots) = (location, real.map(|real| *real), slots);
        request.held = held.into();
        (request.started, request.head_length, request.serial) = (started, head_length, serial);
        if let Some([connections, requests]) = limits.map(|limits| *limits) {
            (request.limit_conn_status, request.limit_req_status) = (connections, requests);
        }
        flags.apply(&mut request);
        request
    }
}

/// Whether a request has nothing but what a packed one keeps. Every field of a request is named here or there.
fn is_usual(request: &Request) -> bool {
    let Request {
        wire,
        parent,
        tunnel,
        captures,
        malformed,
        bad_line,
        includes,
        pace,
        secure_link,
        client_id,
        slices,
        check,
        attempts,
        // Packed as they are.
        connection: _,
        real: _,
        site: _,
        server: _,
        location: _,
        head: _,
        method: _,
        forced_get: _,
        uri: _,
        args: _,
        has_args: _,
        uri_as_sent: _,
        host: _,
        body: _,
        response: _,
        slots: _,
        internal: _,
        error_page: _,
        uri_changes: _,
        uri_changed: _,
        valid_location: _,
        uri_behind_alias: _,
        lost_upstream: _,
        keepalive: _,
        lingering: _,
        abandoned: _,
        started: _,
        head_length: _,
        pipelined: _,
        held: _,
        serial: _,
        limit_conn_status: _,
        limit_req_status: _,
    } = request;
    matches!(wire, Wire::H1)
        && parent.is_none()
        && tunnel.is_none()
        && captures.borrow().is_empty()
        && !malformed
        && bad_line.is_none()
        && includes.is_unused()
        && pace.is_unlimited()
        && secure_link.get().is_none()
        && client_id.borrow().is_none()
        && slices.get().is_none()
        && check.is_none()
        && attempts.cache.is_unused()
}

impl Flags {
    const fn of(request: &Request) -> Self {
        Self {
            method: request.method,
            uri_changes: request.uri_changes,
            forced_get: request.forced_get,
            has_args: request.has_args,
            uri_as_sent: request.uri_as_sent,
            internal: request.internal,
            error_page: request.error_page,
            uri_changed: request.uri_changed,
            valid_location: request.valid_location,
            uri_behind_alias: request.uri_behind_alias,
            lost_upstream: request.lost_upstream,
            keepalive: request.keepalive,
            lingering: request.lingering,
            abandoned: request.abandoned,
            pipelined: request.pipelined,
        }
    }

    const fn apply(self, request: &mut Request) {
        request.method = self.method;
        request.uri_changes = self.uri_changes;
        request.forced_get = self.forced_get;
        request.has_args = self.has_args;
        request.uri_as_sent = self.uri_as_sent;
        request.internal = self.internal;
        request.error_page = self.error_page;
        request.uri_changed = self.uri_changed;
        request.valid_location = self.valid_location;
        request.uri_behind_alias = self.uri_behind_alias;
        request.lost_upstream = self.lost_upstream;
        request.keepalive = self.keepalive;
        request.lingering = self.lingering;
        request.abandoned = self.abandoned;
        request.pipelined = self.pipelined;
    }
}
