//! A request on its way: its head, what was decided about it, and its response.

use crate::conf::bytes;
use crate::http::codec::h1::Method;
use crate::http::heart::body::Body;
use crate::http::heart::client::Connection;
use crate::http::heart::head::{Head, Known};
use crate::http::heart::includes::Includes;
use crate::http::heart::notes::{Client, Link, Slices};
use crate::http::heart::pace::Pace;
use crate::http::heart::response::Response;
use crate::http::heart::site::{Location, Server, Site};
use crate::http::heart::upstream::Attempts;
use crate::http::heart::wire::Upgraded;
use crate::http::heart::wire::Wire;
use crate::log::Level;
use crate::net::address::Address;
use crate::net::event_loop::EventLoop;
use crate::script::regex::Captures;
use crate::script::variable::{Definitions, Slots, Subject};
use std::any::Any;
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A request.
pub struct Request {
    /// The connection it came on.
    pub connection: Rc<Connection>,
    /// What carries its body in and the response out.
    pub wire: Wire,
    /// The client a trusted proxy names, instead of the connection's peer.
    pub real: Option<Address>,
    /// The configuration it is served by.
    pub site: Arc<Site>,
    /// The virtual server.
    pub server: Arc<Server>,
    /// The location (the server's base until one is chosen).
    pub location: Arc<Location>,
    /// The head as it came.
    pub head: Head,
    /// The method; an error page may make it GET.
    pub method: Method,
    /// Whether the method's name is GET whatever the head says.
    pub forced_get: bool,
    /// The decoded path.
    pub uri: Vec<u8>,
    /// The arguments.
    pub args: Vec<u8>,
    /// Whether there was a `?`.
    pub has_args: bool,
    /// Whether path and arguments are as the client sent them.
    pub uri_as_sent: bool,
    /// The host in lower case, without port; empty when none was sent.
    pub host: Vec<u8>,
    /// The request's body.
    pub body: Body,
    /// The response.
    pub response: Box<Response>,
    /// Values of the configuration's variables.
    pub slots: Slots,
    /// What the last expression captured.
    pub captures: RefCell<Captures>,
    /// Whether it was redirected internally.
    pub internal: bool,
    /// Whether an error page is being shown.
    pub error_page: bool,
    /// URI changes still allowed.
    pub uri_changes: u8,
    /// Whether a rewrite rule changed the URI, so that the location must be chosen again.
    pub uri_changed: bool,
    /// Whether the URI still begins with the location's name; not after `rewrite … break`.
    pub valid_location: bool,
    /// Whether `alias` in a location with an expression is a folder, and the URI names a file in it; so after `try_files`.
    pub uri_behind_alias: bool,
    /// Whether an `if` that passes requests on was left for one of a location that does not.
    pub lost_upstream: bool,
    /// Whether the connection goes on afterwards.
    pub keepalive: bool,
    /// Whether unread input is waited for before the connection is closed.
    pub lingering: bool,
    /// Whether the connection must be cut without an answer (444).
    pub abandoned: bool,
    /// Set on requests made by the server itself.
    pub parent: Option<Box<Parent>>,
    /// What the backends did.
    pub attempts: Box<Attempts>,
    /// What becomes of the connection after the phases, when a backend agreed to another protocol.
    pub tunnel: Option<Box<dyn Upgraded>>,
    /// When the first byte was there.
    pub started: Duration,
    /// Bytes of the head.
    pub head_length: u64,
    /// Whether head or body were malformed, so that nothing behind them can be read.
    pub malformed: bool,
    /// What is wrong with the request line.
    pub bad_line: Option<crate::http::codec::h1::LineError>,
    /// Whether its first bytes came with those of the request before.
    pub pipelined: bool,
    /// Things that end with the request.
    pub held: Vec<Box<dyn Any>>,
    /// A number for this request on its connection.
    pub serial: u64,
    /// What its commands of server side includes have set.
    pub includes: Includes,
    /// The verdict of connection limits, for `$limit_conn_status`.
    pub limit_conn_status: &'static str,
    /// The verdict of rate limits, for `$limit_req_status`.
    pub limit_req_status: &'static str,
    /// How fast the response is sent.
    pub pace: Pace,
    /// What is known of its link, once that was asked.
    pub secure_link: OnceCell<Box<Link>>,
    /// What is known of its client's cookie, once that was asked.
    pub client_id: RefCell<Option<Box<Client>>>,
    /// How far a response that is fetched in slices has come, once `$slice_range` was asked.
    pub slices: OnceCell<Rc<Slices>>,
    /// Of a check of a server: what its log lines add.
    pub check: Option<Box<str>>,
}

/// Allocations that go from request to request.
#[derive(Default)]
pub struct RequestScratch {
    uri: Vec<u8>,
    args: Vec<u8>,
    host: Vec<u8>,
    headers: Vec<crate::http::heart::head::Header>,
    response: Box<Response>,
    slots: Slots,
    captures: RefCell<Captures>,
    attempts: Box<Attempts>,
}

/// What a subrequest knows of the request it was made for.
pub struct Parent {
    /// The main request's URI, for logs.
    pub uri: Vec<u8>,
    /// The charset of the main response, into which others are converted.
    pub charset: Option<Vec<u8>>,
    /// How deep subrequests are nested.
    pub depth: u8,
    /// The stub, sent where its response fails or is empty: its type and its bytes.
    pub stub: Option<(Vec<u8>, Vec<u8>)>,
}

impl Subject for Request {
    fn slots(&self) -> &Slots {
        &self.slots
    }

    fn definitions(&self) -> &Definitions<Self> {
        &self.site.definitions
    }

    fn captures(&self) -> &RefCell<Captures> {
        &self.captures
    }

    fn uninitialized(&self, name: &str) {
        if self.location.warns {
            self.log(Level::Warn, &format!("using uninitialized \"{name}\" variable"));
        }
    }

    fn alert(&self, text: &str) {
        self.log(Level::Alert, text);
    }

    fn error(&self, text: &str) {
        self.log(Level::Error, text);
    }
}

impl Request {
    /// A request with this head, in the allocations of an earlier one.
    pub fn new(
        connection: Rc<Connection>,
        (site, server): (Arc<Site>, Arc<Server>),
        mut head: Head,
        scratch: RequestScratch,
    ) -> Self {
        let location = server.base.clone();
        let RequestScratch { uri, args, host, headers, response, slots, captures, attempts } = scratch;
        if head.headers.is_empty() {
            head.headers = headers;
        }
        Self {
            connection,
            wire: Wire::H1,
            real: None,
            site,
            server,
            location,
            head,
            method: Method::Get,
            forced_get: false,
            uri,
            args,
            has_args: false,
            uri_as_sent: true,
            host,
            body: Body::default(),
            response,
            slots,
            captures,
            internal: false,
            error_page: false,
            uri_changes: crate::http::heart::handler::URI_CHANGES + 1,
            uri_changed: false,
            valid_location: true,
            uri_behind_alias: false,
            lost_upstream: false,
            keepalive: false,
            lingering: false,
            abandoned: false,
            parent: None,
            attempts,
            tunnel: None,
            started: Duration::ZERO,
            head_length: 0,
            malformed: false,
            bad_line: None,
            pipelined: false,
            held: Vec::new(),
            serial: 0,
            includes: Includes::default(),
            limit_conn_status: "",
            limit_req_status: "",
            pace: Pace::default(),
            secure_link: OnceCell::new(),
            client_id: RefCell::default(),
            slices: OnceCell::new(),
            check: None,
        }
    }

    /// The allocations of a finished request, emptied.
    pub fn scratch(self) -> RequestScratch {
        let Self { mut uri, mut args, mut host, head, mut response, .. } = self;
        let Self { slots, captures, mut attempts, .. } = self;
        for text in [&mut uri, &mut args, &mut host] {
            text.clear();
        }
        let mut headers = head.headers;
        headers.clear();
        response.reset();
        captures.borrow_mut().clear();
        attempts.clear();
        RequestScratch { uri, args, host, headers, response, slots, captures, attempts }
    }

    /// Lets go of all memory that is not filled: the request waits, perhaps for days, for its log line.
    pub fn shrink(&mut self) {
        let fitted = self.head.bytes.fitted();
        let whole = std::mem::replace(&mut self.head.bytes, fitted);
        self.event_loop().give(whole);
        for text in [&mut self.uri, &mut self.args, &mut self.host] {
            text.shrink_to_fit();
        }
        self.head.headers.shrink_to_fit();
        self.response.shrink(self.site.kept);
        self.attempts.shrink();
    }

    /// Keeps what the named groups of the last matching expression captured.
    pub fn keep_groups(&self, groups: &[(usize, String)]) {
        let captures = self.captures.borrow();
        for (number, name) in groups {
            if let (Some(id), Some(text)) = (self.site.definitions.named(name), captures.group(*number)) {
                self.slots.put(id, text);
            }
        }
    }

    /// The loop's own things.
    pub fn event_loop(&self) -> &Rc<EventLoop> {
        &self.connection.loop_state.event_loop
    }

    /// Whether the server made the request itself.
    pub const fn is_subrequest(&self) -> bool {
        self.parent.is_some()
    }

    /// The client's address: the real one where one is known.
    pub fn client(&self) -> &Address {
        self.real.as_ref().unwrap_or(&self.connection.peer)
    }

    /// The method's name.
    pub fn method_name(&self) -> &[u8] {
        if self.forced_get { b"GET" } else { self.head.text(&self.head.line.method_name) }
    }

    /// 9, 1000 or 1001.
    pub const fn version(&self) -> u16 {
        self.head.line.version
    }

    /// The first value of a header the server knows.
    pub fn header(&self, known: Known) -> Option<&[u8]> {
        self.head.get(known)
    }

    /// Takes a location, or what it has for methods like this one, for the location.
    pub fn choose(&mut self, location: Arc<Location>) {
        self.slices = OnceCell::new();
        let name = self.method_name();
        self.location = match &location.except {
            Some(except) if !except.allowed.iter().any(|allowed| **allowed == *name) => except.place.clone(),
            _ => location,
        };
    }

    /// Takes an `if` of the location for the location.
    pub fn enter(&mut self, place: Arc<Location>) {
        self.lost_upstream |= self.location.content.is_some() && place.content.is_none();
        self.location = place;
        self.keepalive = self.keepalive && self.may_keep();
    }

    /// Whether the client sent the path with escapes.
    pub fn is_quoted(&self) -> bool {
        !self.is_subrequest() && self.head.text(&self.head.line.path).contains(&b'%')
    }

    /// Whether texts that an expression took from the path are escaped where they become arguments: when the client's path
    /// had escapes or a `+`.
    pub fn escapes_captures(&self) -> bool {
        !self.is_subrequest() && memchr::memchr2(b'%', b'+', self.head.text(&self.head.line.path)).is_some()
    }

    /// Path and arguments as the client sent them.
    pub fn raw_uri(&self) -> &[u8] {
        let uri = self.head.text(&self.head.line.uri);
        if uri.is_empty() && self.head.line.host.is_some() { b"/" } else { uri }
    }

    /// Replaces path and arguments, as redirects do.
    pub fn set_uri(&mut self, path: &[u8], args: Option<&[u8]>) {
        self.uri.clear();
        self.uri.extend_from_slice(path);
        self.args.clear();
        self.has_args = args.is_some();
        self.args.extend_from_slice(args.unwrap_or_default());
        self.uri_as_sent = false;
    }

    /// The file a path names under `root` or `alias`.
    pub fn file_path(&self) -> Vec<u8> {
        let root = &self.location.settings.root;
        let mut path = Vec::with_capacity(128);
        root.path.write(self, &mut path);
        if !root.alias || root.prefix_length.is_none() && self.uri_behind_alias {
            path.extend_from_slice(&self.uri);
        } else if let Some(prefix) = root.prefix_length {
            path.extend_from_slice(self.uri.get(prefix..).unwrap_or_default());
        }
        path
    }

    /// Whether no file can be found, because `alias` replaces a location's name that the path has lost; logged.
    pub fn lost_alias(&self) -> bool {
        let lost = self.location.settings.root.alias && !self.valid_location;
        if lost {
            let name = self.location.pattern.as_ref().map(|pattern| pattern.name()).unwrap_or_default();
            let name = bytes::text(name);
            let text = format!("\"alias\" cannot be used in location \"{name}\" where URI was rewritten");
            self.log(Level::Alert, &text);
        }
        lost
    }

    /// 413 when the announced body is larger than the location allows.
    pub fn check_body_size(&mut self) -> Option<u16> {
        let most = self.location.settings.client_max_body_size;
        let announced = self.body.announced()?;
        if most == 0 || announced <= most || self.is_subrequest() || self.body.is_begun() {
            return None;
        }
        self.body.refuse();
        self.log(Level::Error, &format!("client intended to send too large body: {announced} bytes"));
        Some(413)
    }

    /// Sets the redirect to the location's own name, which ends in a slash.
    pub fn redirect_to_slash(&mut self) {
        let name = self.location.pattern.as_ref().map(|pattern| pattern.name().to_vec()).unwrap_or_default();
        let mut target = Vec::new();
        crate::http::codec::uri::escape(&name, crate::http::codec::uri::PATH, &mut target);
        if !self.args.is_empty() {
            target.push(b'?');
            target.extend_from_slice(&self.args);
        }
        self.response.redirect(&target);
    }

    /// Writes an error log line with nginx's context behind it.
    pub fn log(&self, level: Level, message: &str) {
        let log = &self.location.settings.error_log;
        if !log.takes(level) {
            return;
        }
        let mut line = message.to_owned();
        if let Some(check) = &self.check {
            line.push_str(check);
            return log.write(level, None, &bytes::raw(&line));
        }
        self.context(&mut line);
        log.write(level, Some(self.connection.number), &bytes::raw(&line));
    }

    /// `, client: …, server: …, request: "…", upstream: "…", host: "…"`.
    fn context(&self, line: &mut String) {
        use std::fmt::Write as _;
        let text = bytes::text;
        let _ = write!(line, ", client: {}", self.client().host_text());
        let _ = write!(line, ", server: {}", text(&self.server.name));
        if !self.head.line.line.is_empty() {
            let _ = write!(line, ", request: \"{}\"", text(self.head.text(&self.head.line.line)));
        }
        if let Some(parent) = &self.parent {
            let _ = write!(line, ", subrequest: \"{}\"", text(&self.uri));
            let _ = &parent.uri;
        }
        if let Some(upstream) = self.attempts.current_url() {
            let _ = write!(line, ", upstream: \"{}\"", text(&upstream));
        }
        if let Some(host) = self.header(Known::Host) {
            let _ = write!(line, ", host: \"{}\"", text(host));
        }
        if let Some(referer) = self.header(Known::Referer) {
            let _ = write!(line, ", referrer: \"{}\"", text(referer));
        }
    }
}
