//! `ngx_http_grpc_module`: requests passed on to gRPC servers, over HTTP/2.
//!
//! A connection carries one request at a time, as in nginx. Bodies go both ways as they come.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Pairs};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::codec::h1::Method;
use crate::http::codec::hpack::{self, index};
use crate::http::codec::uri;
use crate::http::gateway::conf::gateway::GRPC;
use crate::http::gateway::conf::{Gateway, GatewayConf, NEXT_GRPC, connection_rows, header_rows, socket_rows};
use crate::http::gateway::engine::Engine;
use crate::http::gateway::params::Destination;
use crate::http::gateway::pass;
use crate::http::gateway::protocol::{BodyLength, Protocol, Target};
use crate::http::gateway::secure;
use crate::http::gateway::secure::{SecureConf, secure_rows};
use crate::http::heart::location::Pattern;
use crate::http::heart::module::{Compile, LocationBuilder, Module, Text};
use crate::http::heart::request::Request;
use crate::http::heart::upstream::Pool;
use crate::http::modules::core::opened;
use crate::script::variable::Variable;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS, IF_IN_LOCATION, LOCATION};
use crate::session::slot::free;
use crate::session::used;
use std::sync::Arc;

/// The module.
pub fn modules() -> Vec<Module> {
    let mut modules: Vec<Module> = GATEWAY.map(Module::new).to_vec();
    modules.push(Module::new(OWN).variables(VARIABLES).declare(declare).check(check).install(install));
    modules
}

const GATEWAY: [crate::conf::module::Module; 4] = [
    rows(&connection_rows!("grpc", GRPC, NEXT_GRPC), &[Scope::of::<GatewayConf<GRPC>>(HTTP_LEVELS)]),
    rows(&socket_rows!("grpc", GRPC), &[]),
    rows(&header_rows!("grpc", GRPC), &[]),
    rows(&secure_rows!("grpc", GRPC), &[Scope::of::<SecureConf<GRPC>>(HTTP_LEVELS)]),
];

const OWN: crate::conf::module::Module = rows(DIRECTIVES, &[Scope::of::<Grpc>(HTTP_LEVELS)]);

const fn rows(directives: &'static [Directive], scopes: &'static [Scope]) -> crate::conf::module::Module {
    crate::conf::module::Module { name: "ngx_http_grpc_module", directives, scopes }
}

const DIRECTIVES: &[Directive] = &[
    Directive::new("grpc_pass", LOCATION.or(IF_IN_LOCATION), Arity::Exactly(1), &Custom(pass_))
        .doc("Sets the server that requests of the location are passed to."),
    Directive::new("grpc_set_header", HTTP_ANY, Arity::Exactly(2), &Pairs(|c: &mut Grpc| &mut c.headers))
        .doc("Sets a header of the request that is passed on; an empty value leaves it out."),
];

static VARIABLES: &[Variable<Request>] = &[Variable::new("grpc_internal_trailers", trailers)];

/// Settings of the module.
#[derive(Default)]
struct Grpc {
    pass: Option<Word>,
    headers: Vec<(Word, Word)>,
}

impl Conf for Grpc {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list headers);
    }
}

fn declare(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    match levels.level.own::<Grpc>().and_then(|conf| conf.pass.as_ref()) {
        Some(word) if !used::varies(&word.bytes) => pass::look_up(word, split(&word.bytes).0, None, cx),
        _ => Ok(()),
    }
}

fn check(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let own = levels.level.own::<Grpc>();
    if own.and_then(|conf| conf.pass.as_ref()).is_some_and(|word| split(&word.bytes).1) {
        secure::check::<GRPC>(levels, "grpc", cx)?;
    }
    for (_, value) in own.map(|conf| conf.headers.as_slice()).unwrap_or_default() {
        cx.text(value).map_err(|complaint| Diagnostic::emerg(complaint.message))?;
    }
    Ok(())
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<Grpc>() else { return Ok(()) };
    let Some(pass) = levels.level.own::<Grpc>().and_then(|conf| conf.pass.as_ref()) else { return Ok(()) };
    let Some(gateway) = levels.get::<GatewayConf<GRPC>>() else { return Ok(()) };
    let gateway = cx.once(gateway, |cx| Gateway::new(&gateway.fixed(), "grpc", cx))?;
    let protocol =
        Passed { destination: Destination::new(pass, split, cx)?, headers: Headers::new(&conf.headers, cx)? };
    place.adds_slash |=
        matches!(opened(levels.level), Some(Pattern::Exact(name) | Pattern::Prefix(name, _)) if name.ends_with(b"/"));
    let tls = match levels.get::<SecureConf<GRPC>>() {
        Some(conf) if split(&pass.bytes).1 || used::varies(&pass.bytes) => {
            Some(cx.once(conf, |cx| secure::side::<GRPC>(conf, "grpc", levels, (true, cx)))?)
        }
        _ => None,
    };
    place.content(Engine { gateway, protocol, tls, caching: None, store: None });
    Ok(())
}

fn pass_(cx: &mut Setting<'_>, conf: &mut Grpc, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.pass)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    pass::setter(cx, word, split(&word.bytes).0)?;
    conf.pass = Some(word.clone());
    Ok(())
}

/// What follows the scheme, and whether that is the one of TLS.
fn split(text: &[u8]) -> (&[u8], bool) {
    let after = |scheme: &str| {
        let (head, rest) = text.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme.as_bytes()).then_some(rest)
    };
    match (after("grpc://"), after("grpcs://")) {
        (Some(rest), _) => (rest, false),
        (None, Some(rest)) => (rest, true),
        (None, None) => (text, false),
    }
}

/// The getter of `$grpc_internal_trailers`: whether the client takes trailers.
fn trailers(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    let wanted = |value: &[u8]| value.to_ascii_lowercase().windows(8).any(|part| part == b"trailers");
    let takes = request.head.named(b"te").next().is_some_and(wanted);
    if takes {
        out.extend_from_slice(b"trailers");
    }
    takes
}

/// Headers that are not taken from the client; the first two nginx sets unless the configuration does.
const OWN_NAMES: [&str; 8] =
    ["Content-Length", "TE", "Host", "Connection", "Transfer-Encoding", "Keep-Alive", "Expect", "Upgrade"];

/// The headers of a request.
struct Headers {
    set: Vec<(Box<[u8]>, Text)>,
    /// Names that are set here, whatever the value.
    names: Vec<Box<[u8]>>,
}

impl Headers {
    fn new(set: &[(Word, Word)], cx: &mut Compile<'_, '_>) -> Result<Self, Diagnostic> {
        let texts = set.iter().filter(|(_, value)| !value.bytes.is_empty());
        let texts = texts.map(|(name, value)| Ok((name.bytes.clone(), cx.text(value)?)));
        Ok(Self {
            set: texts.collect::<Result<_, Diagnostic>>()?,
            names: set.iter().map(|(name, _)| name.bytes.clone()).collect(),
        })
    }

    /// Whether a header of this name is set here.
    fn sets(&self, name: &[u8]) -> bool {
        self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// Appends the headers of a request.
    fn write(&self, request: &Request, body: BodyLength, out: &mut Vec<u8>) {
        let mut value = request.event_loop().text();
        for (name, text) in &self.set {
            value.clear();
            text.write(request, &mut value);
            if !value.is_empty() {
                hpack::literal(name, &value, out);
            }
        }
        if let BodyLength::Known(length) = body
            && !self.sets(b"Content-Length")
        {
            hpack::literal(b"Content-Length", itoa::Buffer::new().format(length).as_bytes(), out);
        }
        value.clear();
        if trailers(request, 0, &mut value) && !self.sets(b"TE") {
            hpack::literal(b"TE", &value, out);
        }
        request.event_loop().give_text(value);
        let own = |name: &[u8]| OWN_NAMES.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()));
        for (name, value, _) in request.head.iter().filter(|(name, ..)| !own(name) && !self.sets(name)) {
            hpack::literal(name, value, out);
        }
    }
}

/// Requests of a location on their way to gRPC servers.
struct Passed {
    destination: Destination,
    headers: Headers,
}

/// The path that is asked for: as the client sent it, or as it was rewritten.
fn path(request: &Request) -> Vec<u8> {
    if request.uri_as_sent {
        return request.raw_uri().to_vec();
    }
    let mut path = Vec::new();
    uri::escape(&request.uri, uri::PATH, &mut path);
    if request.has_args && !request.args.is_empty() {
        path.push(b'?');
        path.extend_from_slice(&request.args);
    }
    path
}

impl Protocol for Passed {
    fn target(&self, request: &Request) -> Result<Target, u16> {
        self.destination.target(request, split)
    }

    fn pool(&self) -> Option<&Arc<Pool>> {
        self.destination.pool()
    }

    fn encode(&self, request: &Request, target: &Target, body: BodyLength, out: &mut Vec<u8>) -> Result<(), u16> {
        match request.method {
            Method::Get => hpack::indexed(index::METHOD, out),
            Method::Post => hpack::indexed(index::POST, out),
            _ => hpack::named(index::METHOD, request.method_name(), out),
        }
        hpack::indexed(if target.secure { index::HTTPS } else { index::HTTP }, out);
        match path(request).as_slice() {
            b"/" if request.uri_as_sent => hpack::indexed(index::PATH, out),
            path => hpack::named(index::PATH, path, out),
        }
        if !self.headers.sets(b"Host") {
            let host: &[u8] = if target.host.starts_with(b"unix:") { b"localhost" } else { &target.host };
            hpack::named(index::AUTHORITY, host, out);
        }
        self.headers.write(request, body, out);
        Ok(())
    }

    fn shown(&self, _: &Request, head: Vec<u8>) -> Vec<u8> {
        hpack::shown(&head)
    }

    fn passes_chunks(&self, _: &Request) -> bool {
        true
    }

    fn scheme(&self, secure: bool) -> &'static str {
        if secure { "grpcs://" } else { "grpc://" }
    }
}
