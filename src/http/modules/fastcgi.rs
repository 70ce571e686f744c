//! `ngx_http_fastcgi_module`: requests passed on to FastCGI servers.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::Omission;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Flag, List, Text};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::codec::fastcgi;
use crate::http::gateway::cache;
use crate::http::gateway::cache::{CacheConf, Caching, Store, cache_rows};
use crate::http::gateway::conf;
use crate::http::gateway::conf::gateway::FASTCGI;
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
use crate::http::heart::script::Script;
use crate::http::heart::upstream::Pool;
use crate::http::modules::core::opened;
use crate::log::Level;
use crate::script::regex::Expression;
use crate::script::variable::Variable;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS, IF_IN_LOCATION, LOCATION};
use crate::session::pattern;
use crate::session::slot::{Lowat, free};
use crate::session::used;
use std::sync::Arc;

/// The module.
pub fn modules() -> Vec<Module> {
    let mut modules: Vec<Module> = GATEWAY.map(Module::new).to_vec();
    modules.push(Module::new(OWN).declare(declare).check(check).install(install).variables(VARIABLES));
    modules
}

const GATEWAY: [crate::conf::module::Module; 5] = [
    rows(&connection_rows!("fastcgi", FASTCGI, NEXT_FASTCGI), &[Scope::of::<GatewayConf<FASTCGI>>(HTTP_LEVELS)]),
    rows(&socket_rows!("fastcgi", FASTCGI), &[]),
    rows(&header_rows!("fastcgi", FASTCGI), &[]),
    rows(&buffer_rows!("fastcgi", FASTCGI), &[]),
    rows(&cache_rows!("fastcgi", FASTCGI, NEXT_FASTCGI), &[Scope::of::<CacheConf<FASTCGI>>(HTTP_LEVELS)]),
];

const OWN: crate::conf::module::Module = rows(DIRECTIVES, &[Scope::of::<FastCgi>(HTTP_LEVELS)]);

const fn rows(directives: &'static [Directive], scopes: &'static [Scope]) -> crate::conf::module::Module {
    crate::conf::module::Module { name: "ngx_http_fastcgi_module", directives, scopes }
}

const DIRECTIVES: &[Directive] = &[
    Directive::new("fastcgi_pass", LOCATION.or(IF_IN_LOCATION), Arity::Exactly(1), &Custom(pass_))
        .doc("Sets the server that requests of the location are passed to."),
    Directive::new("fastcgi_index", HTTP_ANY, Arity::Exactly(1), &Text(|c: &mut FastCgi| &mut c.index))
        .doc("Sets the file of paths that end in a slash."),
    Directive::new("fastcgi_split_path_info", HTTP_ANY, Arity::Exactly(1), &Custom(split_path_info))
        .doc("Sets the expression that parts script and path."),
    Directive::new("fastcgi_param", HTTP_ANY, Arity::Between(2, 3), &Custom(fastcgi_param))
        .words(&["if_not_empty"])
        .doc("Sets a parameter of the request that is passed on."),
    Directive::new("fastcgi_catch_stderr", HTTP_ANY, Arity::Exactly(1), &List(|c: &mut FastCgi| &mut c.catch))
        .doc("Takes an answer as bad whose error stream has the text."),
    Directive::new("fastcgi_keep_conn", HTTP_ANY, Arity::Flag, &Flag(|c: &mut FastCgi| &mut c.keep))
        .default("off")
        .doc("Keeps connections to servers open."),
    Directive::checked("fastcgi_send_lowat", HTTP_ANY, Arity::Exactly(1), &Lowat(|c: &mut FastCgi| &mut c.lowat))
        .omitted(Omission::Tunes("the system has no use for it"))
        .doc("Sets how much the kernel must take at once."),
    Directive::new(
        "fastcgi_cache_background_update",
        HTTP_ANY,
        Arity::Flag,
        &Flag(|c: &mut CacheConf<FASTCGI>| &mut c.background),
    )
    .default("off")
    .doc("Fetches an answer that has expired while a client gets the old one."),
];

/// Settings of the module.
#[derive(Default)]
struct FastCgi {
    pass: Option<Word>,
    index: Option<Word>,
    split: Option<Word>,
    params: Vec<Written>,
    catch: Vec<Word>,
    keep: Option<bool>,
    lowat: Option<u64>,
}

impl Conf for FastCgi {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list params, catch; index, split, keep, lowat);
    }
}

fn declare(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    match levels.level.own::<FastCgi>().and_then(|conf| conf.pass.as_ref()) {
        Some(word) if !used::varies(&word.bytes) => pass::look_up(word, split(&word.bytes).0, None, cx),
        _ => Ok(()),
    }
}

fn check(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    conf::check_sizes::<FASTCGI>(levels, "fastcgi")?;
    cache::check::<FASTCGI>(levels, "fastcgi", cx)?;
    let own = levels.level.own::<FastCgi>();
    for (_, value, _) in own.map(|conf| conf.params.as_slice()).unwrap_or_default() {
        cx.text(value).map_err(|complaint| Diagnostic::emerg(complaint.message))?;
    }
    Ok(())
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<FastCgi>() else { return Ok(()) };
    if conf.index.is_some() || conf.split.is_some() {
        let split = conf.split.as_ref().map(|word| Expression::compile(&word.text(), false)).transpose();
        place.script = Some(Arc::new(Script {
            index: conf.index.as_ref().map(|word| word.bytes.clone()).unwrap_or_default(),
            split: split.map_err(Diagnostic::emerg)?,
        }));
    }
    let Some(pass) = levels.level.own::<FastCgi>().and_then(|conf| conf.pass.as_ref()) else { return Ok(()) };
    let Some(gateway) = levels.get::<GatewayConf<FASTCGI>>() else { return Ok(()) };
    let gateway = {
        let mut gateway = Gateway::new(gateway, "fastcgi", cx)?;
        gateway.keep = conf.keep.unwrap_or(false);
        gateway.catch = conf.catch.iter().map(|word| word.bytes.clone()).collect();
        Arc::new(gateway)
    };
    let caching = Caching::new::<FASTCGI>(levels, "fastcgi", false, cx)?;
    let store = Store::new::<FASTCGI>(levels, cx)?;
    let protocol = Passed {
        destination: Destination::new(pass, split, cx)?,
        params: Params::new(&conf.params, &gateway, cx)?.kept(caching.is_some()),
        keep: conf.keep.unwrap_or(false),
    };
    place.adds_slash |=
        matches!(opened(levels.level), Some(Pattern::Exact(name) | Pattern::Prefix(name, _)) if name.ends_with(b"/"));
    let tls = None;
    place.content(Engine { gateway, protocol, tls, caching, store });
    Ok(())
}

fn pass_(cx: &mut Setting<'_>, conf: &mut FastCgi, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.pass)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    pass::setter(cx, word, split(&word.bytes).0)?;
    conf.pass = Some(word.clone());
    Ok(())
}

fn split_path_info(cx: &mut Setting<'_>, conf: &mut FastCgi, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.split)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    let expression = pattern::compile(word, &word.text(), false)?;
    if expression.groups() != 2 {
        return Err(Diagnostic::emerg(format!("pattern \"{}\" must have 2 captures", word.text())));
    }
    conf.split = Some(word.clone());
    Ok(())
}

fn fastcgi_param(_: &mut Setting<'_>, conf: &mut FastCgi, statement: &Statement) -> Result<(), Diagnostic> {
    conf.params.extend(params::written(statement.arguments())?);
    Ok(())
}

/// Requests of a location on their way to FastCGI servers.
struct Passed {
    destination: Destination,
    params: Params,
    /// Whether the server is asked to leave the connection open.
    keep: bool,
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
        self.params.each(request, |name, value| fastcgi::param(name, value, &mut params));
        if params.len() > fastcgi::MOST {
            request.log(Level::Alert, &format!("fastcgi request record is too big: {}", params.len()));
            return Err(500);
        }
        fastcgi::begin(self.keep, out);
        fastcgi::params(&params, out);
        request.event_loop().give_text(params);
        Ok(())
    }

    fn shown(&self, request: &Request, _: Vec<u8>) -> Vec<u8> {
        self.params.lines(request)
    }

    fn passes_chunks(&self, _: &Request) -> bool {
        true
    }

    fn scheme(&self, _: bool) -> &'static str {
        "fastcgi://"
    }
}

/// An address has no scheme.
const fn split(text: &[u8]) -> (&[u8], bool) {
    (text, false)
}

const VARIABLES: &[Variable<Request>] =
    &[Variable::new("fastcgi_script_name", script_name), Variable::new("fastcgi_path_info", path_info)];

fn script_name(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    let Some((name, _)) = request.script() else { return false };
    out.extend_from_slice(&name);
    if name.ends_with(b"/") {
        out.extend_from_slice(request.script_index());
    }
    true
}

fn path_info(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    let Some((_, path)) = request.script() else { return false };
    out.extend_from_slice(&path);
    true
}
