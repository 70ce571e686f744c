//! `ngx_http_scgi_module`: requests passed on to SCGI servers.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Flag};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::codec::params as codec;
use crate::http::gateway::cache;
use crate::http::gateway::cache::{CacheConf, Caching, Store, cache_rows};
use crate::http::gateway::conf;
use crate::http::gateway::conf::gateway::SCGI;
use crate::http::gateway::conf::{
    Gateway, GatewayConf, NEXT_FASTCGI, buffer_rows, connection_rows, header_rows, socket_rows,
};
use crate::http::gateway::engine::Engine;
use crate::http::gateway::params::{self, Destination, Params, Written};
use crate::http::gateway::pass;
use crate::http::gateway::protocol::{BodyLength, Protocol, Target};
use crate::http::heart::location::Pattern;
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::http::heart::upstream::Pool;
use crate::http::modules::core::opened;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS, IF_IN_LOCATION, LOCATION};
use crate::session::slot::free;
use crate::session::used;
use std::sync::Arc;

/// The module.
pub fn modules() -> Vec<Module> {
    let mut modules: Vec<Module> = GATEWAY.map(Module::new).to_vec();
    modules.push(Module::new(OWN).declare(declare).check(check).install(install));
    modules
}

const GATEWAY: [crate::conf::module::Module; 5] = [
    rows(&connection_rows!("scgi", SCGI, NEXT_FASTCGI), &[Scope::of::<GatewayConf<SCGI>>(HTTP_LEVELS)]),
    rows(&socket_rows!("scgi", SCGI), &[]),
    rows(&header_rows!("scgi", SCGI), &[]),
    rows(&buffer_rows!("scgi", SCGI), &[]),
    rows(&cache_rows!("scgi", SCGI, NEXT_FASTCGI), &[Scope::of::<CacheConf<SCGI>>(HTTP_LEVELS)]),
];

const OWN: crate::conf::module::Module = rows(DIRECTIVES, &[Scope::of::<Scgi>(HTTP_LEVELS)]);

const fn rows(directives: &'static [Directive], scopes: &'static [Scope]) -> crate::conf::module::Module {
    crate::conf::module::Module { name: "ngx_http_scgi_module", directives, scopes }
}

const DIRECTIVES: &[Directive] = &[
    Directive::new("scgi_pass", LOCATION.or(IF_IN_LOCATION), Arity::Exactly(1), &Custom(pass_))
        .doc("Sets the server that requests of the location are passed to."),
    Directive::new("scgi_param", HTTP_ANY, Arity::Between(2, 3), &Custom(scgi_param))
        .words(&["if_not_empty"])
        .doc("Sets a parameter of the request that is passed on."),
    Directive::new(
        "scgi_cache_background_update",
        HTTP_ANY,
        Arity::Flag,
        &Flag(|c: &mut CacheConf<SCGI>| &mut c.background),
    )
    .default("off")
    .doc("Fetches an answer that has expired while a client gets the old one."),
];

/// Settings of the module.
#[derive(Default)]
struct Scgi {
    pass: Option<Word>,
    params: Vec<Written>,
}

impl Conf for Scgi {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list params);
    }
}

fn declare(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    match levels.level.own::<Scgi>().and_then(|conf| conf.pass.as_ref()) {
        Some(word) if !used::varies(&word.bytes) => pass::look_up(word, split(&word.bytes).0, None, cx),
        _ => Ok(()),
    }
}

fn check(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    conf::check_sizes::<SCGI>(levels, "scgi")?;
    cache::check::<SCGI>(levels, "scgi", cx)?;
    let own = levels.level.own::<Scgi>();
    for (_, value, _) in own.map(|conf| conf.params.as_slice()).unwrap_or_default() {
        cx.text(value).map_err(|complaint| Diagnostic::emerg(complaint.message))?;
    }
    Ok(())
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<Scgi>() else { return Ok(()) };
    let Some(pass) = levels.level.own::<Scgi>().and_then(|conf| conf.pass.as_ref()) else { return Ok(()) };
    let Some(gateway) = levels.get::<GatewayConf<SCGI>>() else { return Ok(()) };
    let gateway = cx.once(gateway, |cx| Gateway::new(gateway, "scgi", cx))?;
    let caching = Caching::new::<SCGI>(levels, "scgi", false, cx)?;
    let store = Store::new::<SCGI>(levels, cx)?;
    let protocol = Passed {
        destination: Destination::new(pass, split, cx)?,
        params: Params::new(&conf.params, &gateway, cx)?.kept(caching.is_some()),
    };
    place.adds_slash |=
        matches!(opened(levels.level), Some(Pattern::Exact(name) | Pattern::Prefix(name, _)) if name.ends_with(b"/"));
    let tls = None;
    place.content(Engine { gateway, protocol, tls, caching, store });
    Ok(())
}

fn pass_(cx: &mut Setting<'_>, conf: &mut Scgi, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.pass)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    pass::setter(cx, word, split(&word.bytes).0)?;
    conf.pass = Some(word.clone());
    Ok(())
}

fn scgi_param(_: &mut Setting<'_>, conf: &mut Scgi, statement: &Statement) -> Result<(), Diagnostic> {
    conf.params.extend(params::written(statement.arguments())?);
    Ok(())
}

/// Requests of a location on their way to SCGI servers.
struct Passed {
    destination: Destination,
    params: Params,
}

impl Protocol for Passed {
    fn target(&self, request: &Request) -> Result<Target, u16> {
        self.destination.target(request, split)
    }

    fn pool(&self) -> Option<&Arc<Pool>> {
        self.destination.pool()
    }

    fn encode(&self, request: &Request, _: &Target, body: BodyLength, out: &mut Vec<u8>) -> Result<(), u16> {
        let length = match body {
            BodyLength::Known(length) => length,
            BodyLength::None | BodyLength::Chunked => 0,
        };
        let mut params = request.event_loop().text();
        codec::scgi(b"CONTENT_LENGTH", length.to_string().as_bytes(), &mut params);
        self.params.each(request, |name, value| codec::scgi(name, value, &mut params));
        codec::netstring(&params, out);
        request.event_loop().give_text(params);
        Ok(())
    }

    fn shown(&self, request: &Request, _: Vec<u8>) -> Vec<u8> {
        self.params.lines(request)
    }

    fn passes_chunks(&self, request: &Request) -> bool {
        !request.body.is_chunked()
    }

    fn scheme(&self, _: bool) -> &'static str {
        "scgi://"
    }
}

/// An address has no scheme.
const fn split(text: &[u8]) -> (&[u8], bool) {
    (text, false)
}
