//! What clients are told: the status as text, made once for all who ask, and lines for those who watch.

use super::connection::Kind;
use super::metrics;
use crate::keepalived::report::Report;
use crate::keepalived::status::server::{RealServer, VirtualServer};
use crate::keepalived::status::{self, Instance, Script, Status};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use serde::Serialize;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

/// Clients that may watch at once.
const WATCHERS: usize = 8;
/// Bytes that may wait for a client that watches; with more it is cut off.
const WAITING: usize = 256 * 1024;
/// Instances, groups or scripts at most.
const MOST: usize = 65_536;
/// The longest text of a configuration that is kept.
const LONGEST: usize = 4 << 20;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// A change, for those who watch.
#[derive(Debug, Serialize)]
pub struct Event<'a> {
    /// When, in seconds since 1970.
    at: f64,
    /// What it is about: process, reload, instance, script, virtual server or real server.
    subject: &'static str,
    /// Its name; none for the process and reloads.
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    /// What it was.
    from: &'a str,
    /// What it is.
    to: &'a str,
    /// Why.
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
}

/// The pieces of an answer that are not sent yet.
#[derive(Debug, Default)]
struct Pieces {
    waiting: VecDeque<Bytes>,
    size: usize,
    /// Nothing more comes.
    whole: bool,
}

/// The body of an answer.
#[derive(Debug)]
pub struct Reply {
    pieces: Rc<RefCell<Pieces>>,
    ends: bool,
}

/// The status, and who watches it.
pub struct Answers {
    status: Status,
    configuration: String,
    watchers: Vec<Weak<RefCell<Pieces>>>,
    /// The status as JSON, until it changes.
    json: Option<Bytes>,
    /// Its numbers, until it changes.
    metrics: Option<Bytes>,
}

impl Answers {
    /// Answers about this.
    pub fn new(status: Status) -> Self {
        Self { status, configuration: String::new(), watchers: Vec::new(), json: None, metrics: None }
    }

    /// The answer to a request.
    pub fn answer(&mut self, method: &Method, path: &str, kind: Kind) -> Response<Reply> {
        if *method != Method::GET && *method != Method::HEAD {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET is answered\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match (kind, path) {
            (Kind::Control, "/status") => whole(StatusCode::OK, JSON, self.json()),
            (Kind::Control, "/configuration") => text(StatusCode::OK, TEXT, &self.configuration),
            (Kind::Control, "/watch") => self.watch(),
            (Kind::Control | Kind::Metrics, "/metrics") => whole(StatusCode::OK, metrics::KIND, self.metrics()),
            _ => text(StatusCode::NOT_FOUND, TEXT, "there is no such page\n"),
        }
    }

    fn json(&mut self) -> Bytes {
        let status = &self.status;
        self.json
            .get_or_insert_with(|| {
                let mut text = serde_json::to_vec(status).unwrap_or_default();
                text.push(b'\n');
                Bytes::from(text)
            })
            .clone()
    }

    fn metrics(&mut self) -> Bytes {
        let status = &self.status;
        self.metrics.get_or_insert_with(|| Bytes::from(metrics::metrics(status))).clone()
    }

    fn watch(&mut self) -> Response<Reply> {
        self.watchers.retain(|watcher| watcher.strong_count() > 0);
        if self.watchers.len() >= WATCHERS {
            return text(StatusCode::SERVICE_UNAVAILABLE, TEXT, "too many clients watch\n");
        }
        let pieces = Rc::default();
        self.watchers.push(Rc::downgrade(&pieces));
        let mut response = Response::new(Reply { pieces, ends: false });
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        response
    }

    /// Tells everybody who watches.
    fn tell(&mut self, event: &Event<'_>) {
        let Ok(mut line) = serde_json::to_vec(event) else { return };
        line.push(b'\n');
        let line = Bytes::from(line);
        self.watchers.retain(|watcher| {
            let Some(pieces) = watcher.upgrade() else { return false };
            let mut pieces = pieces.borrow_mut();
            pieces.size += line.len();
            let fits = pieces.size <= WAITING;
            if fits {
                pieces.waiting.push_back(line.clone());
            } else {
                *pieces = Pieces { whole: true, ..Pieces::default() };
            }
            fits
        });
    }

    /// The VRRP process runs with this number, or does not run.
    pub fn set_process(&mut self, pid: Option<i32>) {
        let before = self.status.vrrp.pid;
        self.status.vrrp.pid = pid;
        self.status.vrrp.serving = false;
        (self.json, self.metrics) = (None, None);
        let word = |pid: Option<i32>| if pid.is_some() { "running" } else { "absent" };
        if pid.is_none() {
            // Its routers are nothing any more, whatever they were last.
            for instance in &mut self.status.instances {
                let Instance { name, vrid, version, interface, base_priority, priority, .. } = std::mem::take(instance);
                let obstacles = vec!["the VRRP process does not run".to_owned()];
                let (state, since) = ("INIT".into(), status::now());
                let known = Instance { name, vrid, version, interface, base_priority, priority, ..Instance::default() };
                *instance = Instance { state, since, obstacles, ..known };
            }
        }
        if before != pid {
            self.status.vrrp.deaths += u64::from(pid.is_none());
            self.tell(&Event { to: word(pid), from: word(before), ..Event::of("process", "") });
        }
    }

    /// The process of health checks runs with this number, or does not run: nothing is known of virtual servers then.
    pub fn set_checkers(&mut self, pid: Option<i32>) {
        self.status.checkers = pid;
        self.status.virtual_servers = Vec::new();
        (self.json, self.metrics) = (None, None);
    }

    /// Takes a report of the VRRP process, or of that of health checks.
    pub fn take(&mut self, report: Report) {
        (self.json, self.metrics) = (None, None);
        match report {
            Report::Running => self.reload(true),
            Report::Refused => self.reload(false),
            Report::Configuration { first, text } => {
                if first {
                    self.configuration.clear();
                }
                if self.configuration.len() + text.len() <= LONGEST {
                    self.configuration.push_str(&text);
                }
            }
            Report::Count(instances, groups, scripts) => {
                self.status.instances.resize_with(instances.min(MOST), Instance::default);
                self.status.groups.resize_with(groups.min(MOST), Default::default);
                self.status.scripts.resize_with(scripts.min(MOST), Script::default);
            }
            Report::Lateness(lateness) => {
                self.status.lateness = lateness;
                self.status.updated = Some(status::now());
            }
            Report::Instance(at, instance) => self.instance(at, *instance),
            Report::Group(at, group) => {
                if let Some(known) = self.status.groups.get_mut(at) {
                    *known = group;
                }
            }
            Report::Script(at, script) => {
                let Some(known) = self.status.scripts.get_mut(at) else { return };
                let before = std::mem::replace(known, script.clone());
                if before.name == script.name && before.reading != script.reading {
                    let reason = script.last_result.as_deref().unwrap_or_default();
                    let (from, to) = (before.reading.as_ref(), script.reading.as_ref());
                    self.tell(&Event { from, to, reason, ..Event::of("script", &script.name) });
                }
            }
            Report::Servers(count) => {
                self.status.virtual_servers.resize_with(count.min(MOST), VirtualServer::default);
            }
            Report::Server(at, reals, server) => self.server((at, reals), *server),
            Report::Real(at, real, own) => self.real(at, real, *own),
            Report::Read | Report::Ended => {}
        }
    }

    fn server(&mut self, (at, reals): (usize, usize), mut server: VirtualServer) {
        let Some(known) = self.status.virtual_servers.get_mut(at) else { return };
        server.real_servers = std::mem::take(&mut known.real_servers);
        server.real_servers.resize_with(reals.min(MOST), RealServer::default);
        let (name, quorum_up) = (server.name.clone(), server.quorum_up);
        let reason = format!("weight {} of {}", server.weight, server.quorum);
        let before = std::mem::replace(known, server);
        if before.name == name && before.quorum_up != quorum_up {
            let word = |up| if up { "up" } else { "down" };
            let (from, to) = (word(before.quorum_up), word(quorum_up));
            self.tell(&Event { from, to, reason: &reason, ..Event::of("virtual server", &name) });
        }
    }

    fn real(&mut self, at: usize, real: usize, own: RealServer) {
        let Some(server) = self.status.virtual_servers.get_mut(at) else { return };
        let of = server.name.clone();
        let Some(known) = server.real_servers.get_mut(real) else { return };
        let before = std::mem::replace(known, own.clone());
        if before.name == own.name && before.up != own.up {
            let word = |up| if up { "up" } else { "down" };
            let (from, to) = (word(before.up), word(own.up));
            let reason = own.failures.first().map(|one| one.reason.as_str()).unwrap_or_default();
            let name = format!("{} of {of}", own.name);
            self.tell(&Event { from, to, reason, ..Event::of("real server", &name) });
        }
    }

    /// The first configuration is no reload.
    fn reload(&mut self, used: bool) {
        if !std::mem::replace(&mut self.status.vrrp.serving, true) {
            return;
        }
        let reloads = &mut self.status.reloads;
        reloads.used += u64::from(used);
        reloads.refused += u64::from(!used);
        (reloads.last_refused, reloads.at) = (!used, Some(status::now()));
        self.tell(&Event { to: if used { "used" } else { "refused" }, ..Event::of("reload", "") });
    }

    fn instance(&mut self, at: usize, instance: Instance) {
        let Some(known) = self.status.instances.get_mut(at) else { return };
        let before = std::mem::replace(known, instance.clone());
        // The place of another one, or a new life.
        let same = before.name == instance.name && before.changes <= instance.changes;
        let fresh = instance.changes.saturating_sub(if same { before.changes } else { 0 });
        let skipped = instance.transitions.len().saturating_sub(usize::try_from(fresh).unwrap_or(usize::MAX));
        for change in instance.transitions.iter().skip(skipped) {
            let (from, to, reason) = (change.from.as_ref(), change.to.as_ref(), change.reason.as_ref());
            self.tell(&Event { at: change.at, from, to, reason, ..Event::of("instance", &instance.name) });
        }
        if same && before.priority != instance.priority {
            let (from, to) = (before.priority.to_string(), instance.priority.to_string());
            self.tell(&Event { from: &from, to: &to, ..Event::of("priority", &instance.name) });
        }
    }
}

impl<'a> Event<'a> {
    fn of(subject: &'static str, name: &'a str) -> Self {
        Self { at: status::now(), subject, name, from: "", to: "", reason: "" }
    }
}

fn text(code: StatusCode, kind: &'static str, body: &str) -> Response<Reply> {
    whole(code, kind, Bytes::copy_from_slice(body.as_bytes()))
}

fn whole(code: StatusCode, kind: &'static str, body: Bytes) -> Response<Reply> {
    let pieces = Pieces { size: body.len(), waiting: VecDeque::from([body]), whole: true };
    let mut response = Response::new(Reply { pieces: Rc::new(RefCell::new(pieces)), ends: true });
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Reply {
    /// Whether it is complete already.
    pub const fn has_end(&self) -> bool {
        self.ends
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut pieces = self.pieces.borrow_mut();
        match pieces.waiting.pop_front() {
            Some(piece) => {
                pieces.size -= piece.len();
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            None if pieces.whole => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        let pieces = self.pieces.borrow();
        pieces.whole && pieces.waiting.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let pieces = self.pieces.borrow();
        if pieces.whole { SizeHint::with_exact(pieces.size as u64) } else { SizeHint::default() }
    }
}
