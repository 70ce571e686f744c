//! `ngx_http_proxy_module`: requests passed on over HTTP/1.0, HTTP/1.1 and HTTP/2.

mod http2;
mod request;
mod rewrite;

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Support};
use crate::conf::effect::Omission;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Choice, Custom, Flag, Number, Pairs, Text};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::gateway::cache;
use crate::http::gateway::cache::{CacheConf, Caching, Store, cache_rows};
use crate::http::gateway::conf;
use crate::http::gateway::conf::gateway::PROXY;
use crate::http::gateway::conf::{
    Dialect, Gateway, GatewayConf, NEXT, buffer_rows, connection_rows, header_rows, socket_rows,
};
use crate::http::gateway::engine::Engine;
use crate::http::gateway::pass;
use crate::http::gateway::secure;
use crate::http::gateway::secure::{SecureConf, secure_rows};
use crate::http::heart::location::Pattern;
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::http::modules::core::opened;
use crate::net::address::{self, Host};
use crate::script::variable::Variable;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS, IF_IN_LOCATION, LIMIT_EXCEPT, LOCATION};
use crate::session::hashing::{self, Sizes};
use crate::session::slot::{Lowat, Value};
use crate::session::used;
use request::{Destination, Proxy};
use std::sync::Arc;

/// The module, and the upstream variables every gateway fills.
pub fn modules() -> Vec<Module> {
    let mut modules: Vec<Module> = GATEWAY.map(Module::new).to_vec();
    modules.push(Module::new(MODULE).variables(VARIABLES).declare(declare).check(check).install(install));
    modules.push(Module::new(rows(&[], &[])).variables(UPSTREAM));
    modules
}

const GATEWAY: [crate::conf::module::Module; 6] = [
    rows(&connection_rows!("proxy", PROXY, NEXT), &[Scope::of::<GatewayConf<PROXY>>(HTTP_LEVELS)]),
    rows(&socket_rows!("proxy", PROXY), &[]),
    rows(&header_rows!("proxy", PROXY), &[]),
    rows(&buffer_rows!("proxy", PROXY), &[]),
    rows(&cache_rows!("proxy", PROXY, NEXT), &[Scope::of::<CacheConf<PROXY>>(HTTP_LEVELS)]),
    rows(&secure_rows!("proxy", PROXY), &[Scope::of::<SecureConf<PROXY>>(HTTP_LEVELS)]),
];

const fn rows(directives: &'static [Directive], scopes: &'static [Scope]) -> crate::conf::module::Module {
    crate::conf::module::Module { name: "ngx_http_proxy_module", directives, scopes }
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_proxy_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<ProxyConf>(HTTP_LEVELS)],
};

const UNTUNED: Support = Support::Inert("hash tables here grow by themselves");

const DIRECTIVES: &[Directive] = &[
    Directive::new("proxy_pass", LOCATION.or(IF_IN_LOCATION).or(LIMIT_EXCEPT), Arity::Exactly(1), &Custom(proxy_pass))
        .doc("Sets the protocol, address and optionally the URI that requests of the location are passed to."),
    Directive::new("proxy_set_header", HTTP_ANY, Arity::Exactly(2), &Pairs(|c: &mut ProxyConf| &mut c.headers))
        .doc("Sets a header of the request that is passed on; an empty value leaves it out."),
    Directive::new(
        "proxy_http_version",
        HTTP_ANY,
        Arity::Exactly(1),
        &Choice(|c: &mut ProxyConf| &mut c.version, VERSIONS),
    )
    .default("1.0")
    .since("1.1.4")
    .doc("Sets the protocol version towards the backend."),
    Directive::new(
        "proxy_pass_trailers",
        HTTP_ANY,
        Arity::Flag,
        &Flag(|c: &mut GatewayConf<PROXY>| &mut c.pass_trailers),
    )
    .default("off")
    .since("1.27.2")
    .doc("Passes the fields behind a backend's response on to the client."),
    Directive::new("proxy_method", HTTP_ANY, Arity::Exactly(1), &Value(|c: &mut ProxyConf| &mut c.method))
        .doc("Sets the method of the request that is passed on."),
    Directive::new("proxy_set_body", HTTP_ANY, Arity::Exactly(1), &Text(|c: &mut ProxyConf| &mut c.body))
        .doc("Sets the body of the request that is passed on."),
    Directive::new("proxy_redirect", HTTP_ANY, Arity::Between(1, 2), &Custom(rewrite::redirect))
        .words(&["default", "off"])
        .doc("Sets how Location and Refresh headers of backends are rewritten."),
    Directive::new("proxy_cookie_domain", HTTP_ANY, Arity::Between(1, 2), &Custom(rewrite::cookie_domain))
        .words(&["off"])
        .doc("Sets how the domain of backends' cookies is rewritten."),
    Directive::new("proxy_cookie_path", HTTP_ANY, Arity::Between(1, 2), &Custom(rewrite::cookie_path))
        .words(&["off"])
        .doc("Sets how the path of backends' cookies is rewritten."),
    Directive::new("proxy_cookie_flags", HTTP_ANY, Arity::Between(1, 4), &Custom(rewrite::cookie_flags))
        .words(&[
            "off",
            "secure",
            "nosecure",
            "httponly",
            "nohttponly",
            "samesite=strict",
            "samesite=lax",
            "samesite=none",
            "nosamesite",
        ])
        .since("1.19.3")
        .doc("Sets or takes away flags of backends' cookies."),
    Directive::checked("proxy_send_lowat", HTTP_ANY, Arity::Exactly(1), &Lowat(|c: &mut ProxyConf| &mut c.send_lowat))
        .omitted(Omission::Tunes("the system has no use for it"))
        .doc("Sets how much the kernel must take at once."),
    Directive::new(
        "proxy_cache_background_update",
        HTTP_ANY,
        Arity::Flag,
        &Flag(|c: &mut CacheConf<PROXY>| &mut c.background),
    )
    .default("off")
    .since("1.11.10")
    .doc("Fetches an answer that has expired while a client gets the old one."),
    Directive::new("proxy_cache_convert_head", HTTP_ANY, Arity::Flag, &Flag(|c: &mut ProxyConf| &mut c.convert_head))
        .default("on")
        .since("1.9.7")
        .doc("Asks for the whole where a client asks for the head of what is cached."),
    Directive::new(
        "proxy_headers_hash_max_size",
        HTTP_ANY,
        Arity::Exactly(1),
        &Number(|c: &mut ProxyConf| &mut c.hash_max_size, 0..=u64::MAX),
    )
    .support(UNTUNED)
    .doc("Sizes nginx's tables of headers."),
    Directive::new(
        "proxy_headers_hash_bucket_size",
        HTTP_ANY,
        Arity::Exactly(1),
        &Number(|c: &mut ProxyConf| &mut c.hash_bucket_size, 0..=u64::MAX),
    )
    .support(UNTUNED)
    .doc("Sizes nginx's tables of headers."),
];

const VERSIONS: &[(&str, u16)] = &[("1.0", 1000), ("1.1", 1001), ("2", HTTP2)];
/// HTTP/2.
const HTTP2: u16 = 2000;

static VARIABLES: &[Variable<Request>] = &[
    Variable::new("proxy_host", request::proxy_host).changeable(),
    Variable::new("proxy_port", request::proxy_port).changeable(),
    Variable::new("proxy_add_x_forwarded_for", request::add_x_forwarded_for),
    Variable::new("proxy_internal_body_length", |r, _, out| {
        r.attempts.body_length.is_some_and(|length| number(length, out))
    }),
    Variable::new("proxy_internal_chunked", |r, _, out| {
        out.extend_from_slice(if r.attempts.in_chunks { b"chunked" } else { b"" });
        r.attempts.in_chunks
    }),
];

static UPSTREAM: &[Variable<Request>] = &[
    Variable::new("upstream_addr", |r, _, out| {
        r.attempts.each(out, |attempt, out| {
            out.extend_from_slice(attempt.peer.as_bytes());
            true
        })
    }),
    Variable::new("upstream_status", |r, _, out| {
        r.attempts.each(out, |attempt, out| {
            out.extend_from_slice(itoa::Buffer::new().format(attempt.status).as_bytes());
            attempt.status != 0
        })
    }),
    Variable::new("upstream_connect_time", |r, _, out| r.attempts.each(out, |attempt, out| time(attempt.connect, out))),
    Variable::new("upstream_header_time", |r, _, out| r.attempts.each(out, |attempt, out| time(attempt.header, out))),
    Variable::new("upstream_response_time", |r, _, out| {
        r.attempts.each(out, |attempt, out| time(attempt.response, out))
    }),
    Variable::new("upstream_response_length", |r, _, out| {
        r.attempts.each(out, |attempt, out| number(attempt.length, out))
    }),
    Variable::new("upstream_bytes_received", |r, _, out| {
        r.attempts.each(out, |attempt, out| number(attempt.received, out))
    }),
    Variable::new("upstream_bytes_sent", |r, _, out| r.attempts.each(out, |attempt, out| number(attempt.sent, out))),
    Variable::new("upstream_cache_status", |r, _, out| {
        out.extend_from_slice(r.attempts.cache.status.as_bytes());
        !r.attempts.cache.status.is_empty()
    }),
    Variable::new("upstream_cache_last_modified", cache::last_modified),
    Variable::new("upstream_cache_etag", cache::etag),
];

fn time(time: Option<std::time::Duration>, out: &mut Vec<u8>) -> bool {
    time.is_some_and(|time| crate::http::route::variables::seconds(out, time))
}

fn number(value: u64, out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    true
}

/// Settings of the module.
#[derive(Default)]
pub struct ProxyConf {
    pass: Option<Word>,
    headers: Vec<(Word, Word)>,
    version: Option<u16>,
    method: Option<Word>,
    body: Option<Word>,
    redirects: Option<Vec<rewrite::RedirectText>>,
    cookie_domains: Option<Vec<(Word, Word)>>,
    cookie_paths: Option<Vec<(Word, Word)>>,
    cookie_flags: Option<Vec<(Word, Vec<Word>)>>,
    send_lowat: Option<u64>,
    convert_head: Option<bool>,
    hash_max_size: Option<u64>,
    hash_bucket_size: Option<u64>,
}

impl ProxyConf {
    /// The names of `proxy_set_header`.
    fn set_names(&self) -> impl Iterator<Item = &[u8]> {
        self.headers.iter().map(|(name, _)| &*name.bytes)
    }
}

impl Conf for ProxyConf {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list headers; version, method, body, redirects, cookie_domains, cookie_paths, cookie_flags);
        inherit!(self, outer; send_lowat, convert_head, hash_max_size, hash_bucket_size);
    }
}

fn check(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    conf::check_sizes::<PROXY>(levels, "proxy")?;
    cache::check::<PROXY>(levels, "proxy", cx)?;
    check_hashes(levels, cx)?;
    let own = levels.level.own::<ProxyConf>();
    let headers = own.map(|conf| conf.headers.as_slice()).unwrap_or_default();
    for value in headers.iter().map(|(_, value)| value).chain(own.and_then(|conf| conf.body.as_ref())) {
        // nginx compiles these where it merges, and names that place.
        cx.text(value).map_err(|complaint| Diagnostic::emerg(complaint.message))?;
    }
    let pass = own.and_then(|conf| conf.pass.as_ref());
    if pass.is_some_and(is_secure) {
        secure::check::<PROXY>(levels, "proxy", cx)?;
    }
    Ok(())
}

/// Judges the tables nginx makes where a level has headers of its own: of those it hides, and of those it sets.
fn check_hashes(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<ProxyConf>() else { return Ok(()) };
    let sizes = Sizes { most: conf.hash_max_size.unwrap_or(512), bucket: conf.hash_bucket_size.unwrap_or(64) };
    let hidden = levels.level.own::<GatewayConf<PROXY>>().map(|conf| conf.hide.as_slice()).unwrap_or_default();
    let set: Vec<&[u8]> = levels.level.own::<ProxyConf>().into_iter().flat_map(ProxyConf::set_names).collect();
    let hidden: Vec<&[u8]> = hidden.iter().map(|word| &*word.bytes).collect();
    for (own, defaults) in [(hidden, conf::HIDDEN.to_vec()), (set, request::default_names())] {
        let missing = |name: &&[u8]| !own.iter().any(|own: &&[u8]| own.eq_ignore_ascii_case(name));
        let defaults = defaults.iter().map(|name| name.as_bytes()).filter(missing);
        if !own.is_empty() {
            let keys = own.iter().copied().chain(defaults);
            cx.build.complaints.extend(hashing::check("proxy_headers_hash", keys, sizes)?);
        }
    }
    Ok(())
}

fn declare(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    match levels.level.own::<ProxyConf>().and_then(|conf| conf.pass.as_ref()) {
        Some(word) if !used::varies(&word.bytes) => {
            pass::look_up(word, rest_of(word)?, Some(if is_secure(word) { 443 } else { 80 }), cx)
        }
        _ => Ok(()),
    }
}

/// Whether requests are passed on over TLS.
fn is_secure(pass: &Word) -> bool {
    pass.bytes.get(..8).is_some_and(|head| head.eq_ignore_ascii_case(b"https://"))
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(pass) = levels.level.own::<ProxyConf>().and_then(|conf| conf.pass.as_ref()) else { return Ok(()) };
    let Some(conf) = levels.get::<ProxyConf>() else { return Ok(()) };
    let Some(gateway) = levels.get::<GatewayConf<PROXY>>() else { return Ok(()) };
    let version = conf.version.unwrap_or(1000);
    let gateway = self::gateway(gateway, version, cx)?;
    let caching = Caching::new::<PROXY>(levels, "proxy", conf.convert_head.unwrap_or(true), cx)?;
    let store = Store::new::<PROXY>(levels, cx)?;
    let destination = destination(pass, cx)?;
    let location = name_of(levels);
    let around = outermost(levels).filter(|_| conf.redirects.is_none());
    let around = around.filter(|(around, _)| !std::ptr::eq(around.level, levels.level));
    let around = around.map(|(around, pass)| self::destination(pass, cx).map(|to| Box::new((to, name_of(&around)))));
    let protocol = Proxy {
        headers: request::headers(&conf.headers, false, cx)?,
        headers_of_cache: caching.is_some().then(|| request::headers(&conf.headers, true, cx)).transpose()?,
        version,
        method: conf.method.as_ref().map(|word| cx.text(word)).transpose()?,
        body: conf.body.as_ref().map(|word| cx.text(word)).transpose()?,
        redirects: conf.redirects.as_deref().map(|texts| rewrite::redirects(texts, cx)).transpose()?,
        around: around.transpose()?,
        cookie_domains: rewrite::domains(conf.cookie_domains.as_deref(), cx)?,
        cookie_paths: rewrite::pairs(conf.cookie_paths.as_deref(), cx)?,
        cookie_flags: rewrite::flags(conf.cookie_flags.as_deref(), cx)?,
        destination,
        location,
        pass_request_headers: gateway.pass_headers,
    };
    place.adds_slash |= protocol.location.ends_with(b"/");
    let tls = match levels.get::<SecureConf<PROXY>>() {
        Some(conf) if is_secure(pass) || used::varies(&pass.bytes) => {
            let side = |http2, cx: &mut Compile<'_, '_>| secure::side::<PROXY>(conf, "proxy", levels, (http2, cx));
            Some(match version {
                HTTP2 => cx.once(conf, |cx| side(true, cx).map(|side| OfHttp2(Arc::new(side))))?.0.clone(),
                _ => cx.once(conf, |cx| side(false, cx))?,
            })
        }
        _ => None,
    };
    place.content(Engine { gateway, protocol, tls, caching, store });
    Ok(())
}

/// What locations with HTTP/2 share, apart from what the others do.
struct OfHttp2<T>(Arc<T>);

/// The gateway of merged settings for a version of HTTP.
fn gateway(conf: &GatewayConf<PROXY>, version: u16, cx: &mut Compile<'_, '_>) -> Result<Arc<Gateway>, Diagnostic> {
    if version != HTTP2 {
        return cx.once(conf, |cx| Gateway::new(conf, "proxy", cx));
    }
    let shared = cx.once(conf, |cx| {
        let gateway = Gateway::new(conf, "proxy", cx)?;
        Ok(OfHttp2(Arc::new(Gateway { dialect: Dialect::Http2, ..gateway })))
    })?;
    Ok(shared.0.clone())
}

/// The name of a location that is a path.
fn name_of(levels: &Levels<'_>) -> Box<[u8]> {
    match opened(levels.level) {
        Some(Pattern::Exact(name) | Pattern::Prefix(name, _)) => name.clone(),
        _ => Box::default(),
    }
}

/// The outermost place that passes requests on to an address that is known beforehand: what it makes of redirects holds
/// in the places inside it too.
fn outermost<'a>(levels: &Levels<'a>) -> Option<(Levels<'a>, &'a Word)> {
    let pass = levels.level.own::<ProxyConf>().and_then(|conf| conf.pass.as_ref());
    let own = pass.filter(|pass| !used::varies(&pass.bytes)).map(|pass| (*levels, pass));
    levels.outer.and_then(outermost).or(own)
}

/// What follows the scheme of `proxy_pass`.
fn rest_of(url: &Word) -> Result<&[u8], Diagnostic> {
    let scheme = |name: &[u8]| url.bytes.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name));
    if scheme(b"http://") {
        return Ok(url.bytes.get(7..).unwrap_or_default());
    }
    if scheme(b"https://") {
        return Ok(url.bytes.get(8..).unwrap_or_default());
    }
    Err(Diagnostic::emerg("invalid URL prefix").point(url.span))
}

/// Host and URI of what follows a scheme.
fn split(rest: &[u8]) -> (&[u8], &[u8]) {
    let at = if let Some(path) = rest.strip_prefix(b"unix:") {
        memchr::memchr(b':', path).map_or(rest.len(), |colon| colon + 5)
    } else {
        memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len())
    };
    let (host, uri) = rest.split_at(at);
    (host, uri.strip_prefix(b":").unwrap_or(uri))
}

fn destination(pass: &Word, cx: &mut Compile<'_, '_>) -> Result<Destination, Diagnostic> {
    if pass.bytes.contains(&b'$') {
        return Ok(Destination::Variable(cx.text(pass)?));
    }
    let rest = rest_of(pass)?;
    let (host, uri) = split(rest);
    let text = String::from_utf8_lossy(host).into_owned();
    let pool = match cx.upstreams.get(&text) {
        Some(pool) => pool.clone(),
        None => {
            let port = if is_secure(pass) { 443 } else { 80 };
            let fail = |what: &str| {
                let text = format!("{what} in upstream \"{}\"", crate::conf::bytes::text(rest));
                Diagnostic::emerg(text).at(pass.span)
            };
            let endpoint = address::parse(&text, false).map_err(fail)?;
            if let (Host::Name(name), Some(port)) = (&endpoint.host, endpoint.port)
                && cx.upstreams.get(name).is_some()
            {
                let text = format!("upstream \"{name}\" may not have port {port}");
                return Err(Diagnostic::emerg(text).at(pass.span));
            }
            cx.upstreams.implicit(&text, &endpoint, port, cx.build).map_err(|complaint| complaint.at(pass.span))?
        }
    };
    Ok(Destination::Fixed {
        pool,
        host: request::host_header(&text, is_secure(pass)).into_bytes().into(),
        secure: is_secure(pass),
        uri: (!uri.is_empty()).then(|| if uri.starts_with(b"?") { [b"/", uri].concat().into() } else { uri.into() }),
        url: pass.bytes.clone(),
    })
}

fn proxy_pass(cx: &mut Setting<'_>, conf: &mut ProxyConf, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.pass.is_some() {
        return Err(cx.duplicate());
    }
    let Some(url) = statement.words.get(1) else { return Ok(()) };
    if used::varies(&url.bytes) {
        used::word(cx, url)?;
    }
    if !used::varies(&url.bytes) {
        let rest = rest_of(url)?;
        address::parse(&String::from_utf8_lossy(pass::host(rest)), false).map_err(|what| {
            let text = format!("{what} in upstream \"{}\"", crate::conf::bytes::text(rest));
            Diagnostic::emerg(text).point(url.span)
        })?;
        let (_, uri) = split(rest);
        // A location whose own line is wrong has no pattern.
        let plain = matches!(cx.level().and_then(opened), None | Some(Pattern::Exact(_) | Pattern::Prefix(..)));
        if !uri.is_empty() && (!plain || cx.context() != LOCATION) {
            return Err(Diagnostic::emerg(
                "\"proxy_pass\" cannot have URI part in location given by regular expression, or inside named location, or inside \"if\" statement, or inside \"limit_except\" block",
            ));
        }
    }
    conf.pass = Some(url.clone());
    Ok(())
}
