//! What would become of a request: the phases that serve it, run without leaving this process.
//!
//! Handlers that would ask somebody else tell instead (`Handler::explain`); all others run as they do when they serve,
//! on a connection whose other end is here.

use crate::conf::source::Span;
use crate::http::drivers::phase;
use crate::http::drivers::phase::Runner;
use crate::http::drivers::reading::{HeadError, read_head};
use crate::http::heart::client::{Connection, Counters, LoopState};
use crate::http::heart::handler::Explain;
use crate::http::heart::handler::{Flow, Handler, Phase};
use crate::http::heart::port::{Port, Virtual};
use crate::http::heart::request::Request;
use crate::http::heart::site::{Location, Site};
use crate::http::heart::trace::Chosen;
use crate::http::heart::trace::Trace;
use crate::http::route::finish;
use crate::http::route::hold::Released;
use crate::net::address::Address;
use crate::net::deadline::Deadline;
use crate::net::event_loop::EventLoop;
use crate::net::transport::Transport;
use socket2::{Domain, Socket, Type};
use std::future::Future;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A request that is asked about.
pub struct Question {
    /// Its head, byte for byte.
    pub head: Vec<u8>,
    /// Whom it comes from.
    pub from: SocketAddr,
    /// The address it is sent to.
    pub to: SocketAddr,
    /// Whether it is sent over TLS.
    pub secure: bool,
}

/// Tells what becomes of a request.
///
/// # Errors
/// What the system said; `NotFound` when nobody listens there.
pub fn explain(site: &Arc<Site>, question: Question) -> io::Result<Trace> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let event_loop = Rc::new(EventLoop::new(0, Arc::default()));
        let loop_state = LoopState::new(event_loop, Arc::new(Counters::default()));
        told(&loop_state, site, question).await
    })
}

async fn told(loop_state: &Rc<LoopState>, site: &Arc<Site>, question: Question) -> io::Result<Trace> {
    let (port, entry) = listener(site, question.to).ok_or(io::ErrorKind::NotFound)?;
    if question.secure && !entry.secure {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let (ours, theirs) = Socket::pair(Domain::UNIX, Type::STREAM, None)?;
    ours.set_nonblocking(true)?;
    let reader = std::thread::spawn(move || answer(theirs));
    let stream = Transport::new(ours)?;
    let connection = Connection::open(loop_state, site.clone(), port, (stream, Address::Ip(question.from)));
    connection.set_local(question.to);
    connection.secure.set(question.secure);
    let mut trace = Trace { listener: entry.address.to_string(), ..Trace::default() };
    let mut bytes = loop_state.event_loop.buffer();
    bytes.grow(question.head.len().max(bytes.size()));
    if let Some(room) = bytes.room().get_mut(..question.head.len()) {
        room.copy_from_slice(&question.head);
        bytes.end += question.head.len();
    }
    let mut request = Request::begin(&connection, &entry.default, bytes);
    drop(connection);
    let mut deadline = Deadline::new();
    match read_head(&mut request, entry, &mut deadline).await {
        Err(HeadError::Answer(497)) => {
            trace.server = server(&request, entry);
            trace.steps.push(("head", "the client speaks plain HTTP where TLS is spoken".to_owned(), None));
            let mut teller = Teller { trace };
            teller.finishes(&request, 497);
            let _ = finish::special(&mut request, 497);
            trace = teller.trace;
        }
        Ok(()) => {
            trace.server = server(&request, entry);
            let mut teller = Teller { trace };
            phase::pass(&mut teller, &mut request).await;
            trace = teller.trace;
        }
        Err(HeadError::Answer(status) | HeadError::Logged(status)) => {
            trace.server = server(&request, entry);
            trace.steps.push(("head", format!("the request is refused with {status}"), None));
            finish::special(&mut request, status);
        }
        Err(HeadError::Silent) => {}
    }
    if trace.passed.is_some() {
        request.response.status = 200;
    } else if request.response.error == 0
        && matches!(request.response.content, crate::http::heart::response::Content::File(..))
    {
        trace.file = Some(String::from_utf8_lossy(&request.file_path()).into_owned());
    }
    let _ = tokio::time::timeout(Duration::from_secs(5), send(&mut request)).await;
    trace.status = request.response.final_status();
    drop(request);
    trace.answer = reader.join().unwrap_or_default();
    Ok(trace)
}

/// The port and the servers for an address: one that is bound to it, or to every address.
fn listener(site: &Site, to: SocketAddr) -> Option<(&Arc<Port>, &Arc<Virtual>)> {
    let fits = |port: &&Arc<Port>, exact: bool| match &*port.address {
        Address::Ip(bound) => {
            let any = bound.ip().is_unspecified() && (bound.is_ipv6() == to.is_ipv6());
            bound.port() == to.port() && (bound.ip() == to.ip() || !exact && any)
        }
        Address::Unix(_) => false,
    };
    let port =
        site.ports.iter().find(|port| fits(port, true)).or_else(|| site.ports.iter().find(|port| fits(port, false)))?;
    port.of(Some(to)).map(|entry| (port, entry))
}

/// The head a client would get.
fn answer(mut socket: Socket) -> Vec<(String, String)> {
    const HEAD: usize = 64 * 1024;
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    let end = |text: &[u8]| text.windows(4).position(|four| four == b"\r\n\r\n");
    while end(&text).is_none() && text.len() < HEAD {
        match socket.read(&mut piece) {
            Ok(count) if count > 0 => text.extend_from_slice(piece.get(..count).unwrap_or_default()),
            _ => break,
        }
    }
    let head = text.get(..end(&text).unwrap_or(text.len())).unwrap_or_default();
    let head = String::from_utf8_lossy(head);
    let lines = head.split("\r\n").skip(1).filter_map(|line| line.split_once(": "));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn server(request: &Request, entry: &Virtual) -> (String, Option<Span>, String) {
    let host = String::from_utf8_lossy(&request.host).into_owned();
    let why = match entry.names.how(&request.host) {
        Some(how) => format!("\"{host}\" by {how}"),
        None if host.is_empty() => "the default server of the address: there is no host".to_owned(),
        None => format!("the default server of the address: no server is called \"{host}\""),
    };
    (String::from_utf8_lossy(&request.server.name).into_owned(), request.server.base.span, why)
}

fn named(location: &Location) -> (String, Option<Span>) {
    (location.pattern.as_ref().map_or_else(String::new, |pattern| pattern.text()), location.span)
}

/// Steps are told, and taken where that does no harm.
struct Teller {
    trace: Trace,
}

/// Sends the response, or the page that takes its place when all of it is known.
async fn send(request: &mut Request) {
    request.respond().await;
    if let Released::Refused(status) = request.release().await {
        finish::own_page(request, status);
        request.respond().await;
    }
}

impl Teller {
    /// What becomes of a request the server makes itself, and of the one it is made for. Somebody else's answer is
    /// supposed to be 200.
    async fn inner(&mut self, step: &dyn Explain, request: &mut Request, uri: &[u8]) -> Flow<'static> {
        let mut sub = request.made_for(uri);
        let mut teller = Self { trace: Trace::default() };
        let runner: Pin<Box<dyn Future<Output = ()> + '_>> = Box::pin(phase::pass(&mut teller, &mut sub));
        runner.await;
        let mut trace = teller.trace;
        if trace.passed.is_some() {
            sub.response.status = 200;
        }
        send(&mut sub).await;
        trace.status = sub.response.final_status();
        let uri = String::from_utf8_lossy(uri).into_owned();
        let text = match &trace.passed {
            Some(passed) => format!("asks {uri}, which is passed on to {}: goes on if the answer is 2xx", passed.group),
            None => format!("asks {uri}, which is answered with {}", trace.status),
        };
        self.trace.steps.push(("auth_request", text, None));
        self.trace.inner.push((uri, trace));
        step.answered(request, &sub)
    }
}

impl Runner for Teller {
    async fn settle(&mut self, step: &dyn Handler, request: &mut Request, phase: Phase) -> Flow<'static> {
        let (path, args, internal) = (request.uri.clone(), request.args.clone(), request.internal);
        let explained = match step.explains().map(|teller| (teller, teller.asks())) {
            Some((teller, Some(uri))) => Some(self.inner(teller, request, uri).await),
            Some((teller, None)) => teller.explain(request, &mut self.trace),
            None => None,
        };
        let told = explained.is_some();
        let flow = match explained {
            Some(flow) => flow,
            None => step.run(request).settled().await,
        };
        let text = |path: &[u8], args: &[u8]| {
            let mark = if args.is_empty() { "" } else { "?" };
            format!("{}{mark}{}", String::from_utf8_lossy(path), String::from_utf8_lossy(args))
        };
        let name = words(phase);
        if !told && (request.uri != path || request.args != args) {
            let manner = if request.internal && !internal { " (internally)" } else { "" };
            let (before, after) = (text(&path, &args), text(&request.uri, &request.args));
            self.trace.steps.push((name, format!("{before} becomes {after}{manner}"), None));
        }
        match &flow {
            Flow::Finish(status) => self.trace.steps.push((name, format!("ends with {status}"), None)),
            Flow::Done if phase < Phase::Content => {
                let status = request.response.status;
                let target = request.response.location().map(|to| format!(" to {}", String::from_utf8_lossy(to)));
                self.trace.steps.push((name, format!("answers with {status}{}", target.unwrap_or_default()), None));
            }
            _ => {}
        }
        flow
    }

    fn located(&mut self, request: &Request) {
        self.trace.entered.clear();
        let considered = request.server.locations.considered(&request.uri);
        let considered = considered.into_iter().map(|(location, thought)| {
            let (name, span) = named(&location);
            (name, span, thought)
        });
        let path = String::from_utf8_lossy(&request.uri).into_owned();
        let location = request.location.pattern.is_some().then(|| named(&request.location));
        let is_named = location.as_ref().is_some_and(|(name, _)| name.starts_with('@'));
        let considered = if is_named { Vec::new() } else { considered.collect() };
        if !self.trace.chosen.is_empty() {
            let text = match &location {
                Some((name, _)) => format!("{path} is served by location {name}"),
                None => format!("{path} fits no location"),
            };
            self.trace.steps.push(("location", text, location.as_ref().and_then(|(_, span)| *span)));
        }
        self.trace.chosen.push(Chosen { path, location, considered });
    }

    fn finishes(&mut self, request: &Request, status: u16) {
        let page = request.location.settings.error_pages.iter().find(|page| page.status == status);
        if let Some(page) = page {
            let target = String::from_utf8_lossy(&page.target.text(request)).into_owned();
            self.trace.steps.push(("error_page", format!("{status} is answered by {target}"), None));
        }
    }
}

const fn words(phase: Phase) -> &'static str {
    match phase {
        Phase::PostRead => "post-read",
        Phase::ServerRewrite => "server rewrite",
        Phase::Rewrite => "rewrite",
        Phase::Preaccess => "limits",
        Phase::Access => "access",
        Phase::Precontent => "try_files",
        Phase::Content => "content",
        Phase::Log => "log",
    }
}
