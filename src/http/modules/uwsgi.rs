//! `ngx_http_uwsgi_module`: requests passed on to uwsgi servers.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Flag, Number, Text};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::codec::params as codec;
use crate::http::gateway::cache;
use crate::http::gateway::cache::{CacheConf, Caching, Store, cache_rows};
use crate::http::gateway::conf;
use crate::http::gateway::conf::gateway::UWSGI;
use crate::http::gateway::conf::{
    Gateway, GatewayConf, NEXT_FASTCGI, buffer_rows, connection_rows, header_rows, socket_rows,
};
use crate::http::gateway::engine::Engine;
use crate::http::gateway::params::{self, Destination, Params, Written};
use crate::http::gateway::pass;
use crate::http::gateway::protocol::{BodyLength, Protocol, Target};
use crate::http::gateway::secure;
use crate::http::gateway::secure::{SecureConf, secure_rows};
use crate::http::heart::location::Pattern;
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::http::heart::upstream::Pool;
use crate::http::modules::core::opened;
use crate::log::Level;
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

const GATEWAY: [crate::conf::module::Module; 6] = [
    rows(&connection_rows!("uwsgi", UWSGI, NEXT_FASTCGI), &[Scope::of::<GatewayConf<UWSGI>>(HTTP_LEVELS)]),
    rows(&socket_rows!("uwsgi", UWSGI), &[]),
    rows(&header_rows!("uwsgi", UWSGI), &[]),
    rows(&buffer_rows!("uwsgi", UWSGI), &[]),
    rows(&cache_rows!("uwsgi", UWSGI, NEXT_FASTCGI), &[Scope::of::<CacheConf<UWSGI>>(HTTP_LEVELS)]),
    rows(&secure_rows!("uwsgi", UWSGI), &[Scope::of::<SecureConf<UWSGI>>(HTTP_LEVELS)]),
];

const OWN: crate::conf::module::Module = rows(DIRECTIVES, &[Scope::of::<Uwsgi>(HTTP_LEVELS)]);

const fn rows(directives: &'static [Directive], scopes: &'static [Scope]) -> crate::conf::module::Module {
    crate::conf::module::Module { name: "ngx_http_uwsgi_module", directives, scopes }
}

const DIRECTIVES: &[Directive] = &[
    Directive::new("uwsgi_pass", LOCATION.or(IF_IN_LOCATION), Arity::Exactly(1), &Custom(pass_))
        .doc("Sets the server that requests of the location are passed to."),
    Directive::new(
        "uwsgi_modifier1",
        HTTP_ANY,
        Arity::Exactly(1),
        &Number(|c: &mut Uwsgi| &mut c.modifiers[0], 0..=255),
    )
    .doc("Sets the first modifier of packets."),
    Directive::new(
        "uwsgi_modifier2",
        HTTP_ANY,
        Arity::Exactly(1),
        &Number(|c: &mut Uwsgi| &mut c.modifiers[1], 0..=255),
    )
    .doc("Sets the second modifier of packets."),
    Directive::new("uwsgi_param", HTTP_ANY, Arity::Between(2, 3), &Custom(uwsgi_param))
        .words(&["if_not_empty"])
        .doc("Sets a parameter of the request that is passed on."),
    Directive::new("uwsgi_string", HTTP_ANY, Arity::Exactly(1), &Text(|c: &mut Uwsgi| &mut c.string))
        .doc("Sets a text behind the parameters."),
    Directive::new(
        "uwsgi_cache_background_update",
        HTTP_ANY,
        Arity::Exactly(1),
        &Flag(|c: &mut CacheConf<UWSGI>| &mut c.background),
    )
    .default("off")
    .doc("Fetches an answer that has expired while a client gets the old one."),
];

/// Settings of the module.
#[derive(Default)]
struct Uwsgi {
    pass: Option<Word>,
    modifiers: [Option<u64>; 2],
    params: Vec<Written>,
    string: Option<Word>,
}

impl Conf for Uwsgi {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list params; string);
        for (own, outer) in self.modifiers.iter_mut().zip(outer.modifiers) {
            *own = own.or(outer);
        }
    }
}

fn declare(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    match levels.level.own::<Uwsgi>().and_then(|conf| conf.pass.as_ref()) {
        Some(word) if !used::varies(&word.bytes) => pass::look_up(word, split(&word.bytes).0, None, cx),
        _ => Ok(()),
    }
}

fn check(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    conf::check_sizes::<UWSGI>(levels, "uwsgi")?;
    cache::check::<UWSGI>(levels, "uwsgi", cx)?;
    let own = levels.level.own::<Uwsgi>();
    if own.and_then(|conf| conf.pass.as_ref()).is_some_and(|word| word.after("suwsgi://").is_some()) {
        secure::check::<UWSGI>(levels, "uwsgi", cx)?;
    }
    for (_, value, _) in own.map(|conf| conf.params.as_slice()).unwrap_or_default() {
        cx.text(value).map_err(|complaint| Diagnostic::emerg(complaint.message))?;
    }
    Ok(())
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<Uwsgi>() else { return Ok(()) };
    let Some(pass) = levels.level.own::<Uwsgi>().and_then(|conf| conf.pass.as_ref()) else { return Ok(()) };
    let Some(gateway) = levels.get::<GatewayConf<UWSGI>>() else { return Ok(()) };
    let gateway = cx.once(gateway, |cx| Gateway::new(gateway, "uwsgi", cx))?;
    let caching = Caching::new::<UWSGI>(levels, "uwsgi", false, cx)?;
    let store = Store::new::<UWSGI>(levels, cx)?;
    let protocol = Passed {
        destination: Destination::new(pass, split, cx)?,
        params: Params::new(&conf.params, &gateway, cx)?.kept(caching.is_some()),
        string: conf.string.as_ref().map(|word| word.bytes.clone()).unwrap_or_default(),
        modifiers: conf.modifiers.map(|number| number.unwrap_or(0) as u8),
    };
    place.adds_slash |=
        matches!(opened(levels.level), Some(Pattern::Exact(name) | Pattern::Prefix(name, _)) if name.ends_with(b"/"));
    let tls = match levels.get::<SecureConf<UWSGI>>() {
        Some(conf) if split(&pass.bytes).1 || used::varies(&pass.bytes) => {
            Some(cx.once(conf, |cx| secure::side::<UWSGI>(conf, "uwsgi", levels, (false, cx)))?)
        }
        _ => None,
    };
    place.content(Engine { gateway, protocol, tls, caching, store });
    Ok(())
}

fn pass_(cx: &mut Setting<'_>, conf: &mut Uwsgi, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.pass)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    pass::setter(cx, word, split(&word.bytes).0)?;
    conf.pass = Some(word.clone());
    Ok(())
}

fn uwsgi_param(_: &mut Setting<'_>, conf: &mut Uwsgi, statement: &Statement) -> Result<(), Diagnostic> {
    conf.params.extend(params::written(statement.arguments())?);
    Ok(())
}

/// Requests of a location on their way to uwsgi servers.
struct Passed {
    destination: Destination,
    params: Params,
    string: Box<[u8]>,
    modifiers: [u8; 2],
}

impl Protocol for Passed {
    fn target(&self, request: &Request) -> Result<Target, u16> {
        self.destination.target(request, split)
    }

    fn pool(&self) -> Option<&Arc<Pool>> {
        self.destination.pool()
    }

    fn encode(&self, request: &Request, _: &Target, _: BodyLength, out: &mut Vec<u8>) -> Result<(), u16> {
        let mut params = request.event_loop().text();
        self.params.each(request, |name, value| codec::uwsgi(name, value, &mut params));
        params.extend_from_slice(&self.string);
        let Ok(length) = u16::try_from(params.len()) else {
            request.log(Level::Alert, &format!("uwsgi request is too big: {}", params.len()));
            return Err(500);
        };
        let ([first, second], [low, high]) = (self.modifiers, length.to_le_bytes());
        out.extend_from_slice(&[first, low, high, second]);
        out.extend_from_slice(&params);
        request.event_loop().give_text(params);
        Ok(())
    }

    fn shown(&self, request: &Request, _: Vec<u8>) -> Vec<u8> {
        self.params.lines(request)
    }

    fn passes_chunks(&self, request: &Request) -> bool {
        !request.body.is_chunked()
    }

    fn scheme(&self, secure: bool) -> &'static str {
        if secure { "suwsgi://" } else { "uwsgi://" }
    }
}

/// What follows the scheme, and whether that is the one of TLS.
fn split(text: &[u8]) -> (&[u8], bool) {
    let after = |scheme: &str| {
        let (head, rest) = text.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme.as_bytes()).then_some(rest)
    };
    match (after("uwsgi://"), after("suwsgi://")) {
        (Some(rest), _) => (rest, false),
        (None, Some(rest)) => (rest, true),
        (None, None) => (text, false),
    }
}
