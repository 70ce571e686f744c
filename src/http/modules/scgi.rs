//! `ngx_http_scgi_module`: requests passed on to SCGI servers. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::{Need, Omission, needing};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Flag};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::gateway::cache;
use crate::http::gateway::cache::{CacheConf, cache_rows};
use crate::http::gateway::conf;
use crate::http::gateway::conf::gateway::SCGI;
use crate::http::gateway::conf::{GatewayConf, NEXT_FASTCGI, buffer_rows, connection_rows, header_rows, unserved};
use crate::http::gateway::pass;
use crate::http::heart::module::{Compile, Module};
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS, IF_IN_LOCATION, LOCATION};
use crate::session::slot::free;
use crate::session::used;

/// The module.
pub fn modules() -> Vec<Module> {
    let mut modules: Vec<Module> = GATEWAY.map(Module::new).to_vec();
    modules.push(Module::new(OWN).declare(declare).check(check));
    modules
}

/// What uses the rows.
const PASS: Need = Need::Rows(&["scgi_pass"]);

const GATEWAY: [crate::conf::module::Module; 4] = [
    rows(
        &needing(unserved(connection_rows!("scgi", SCGI, NEXT_FASTCGI)), PASS),
        &[Scope::of::<GatewayConf<SCGI>>(HTTP_LEVELS)],
    ),
    rows(&needing(unserved(header_rows!("scgi", SCGI)), PASS), &[]),
    rows(&needing(unserved(buffer_rows!("scgi", SCGI)), PASS), &[]),
    rows(&needing(cache_rows!("scgi", SCGI, NEXT_FASTCGI), PASS), &[Scope::of::<CacheConf<SCGI>>(HTTP_LEVELS)]),
];

const OWN: crate::conf::module::Module = rows(DIRECTIVES, &[Scope::of::<Scgi>(HTTP_LEVELS)]);

const fn rows(directives: &'static [Directive], scopes: &'static [Scope]) -> crate::conf::module::Module {
    crate::conf::module::Module { name: "ngx_http_scgi_module", directives, scopes }
}

const DIRECTIVES: &[Directive] = &[
    Directive::checked("scgi_pass", LOCATION.or(IF_IN_LOCATION), Arity::Exactly(1), &Custom(pass_))
        .omitted(Omission::ClosesHere("requests are answered with 503"))
        .doc("Sets the server that requests of the location are passed to."),
    Directive::checked("scgi_param", HTTP_ANY, Arity::Between(2, 3), &Custom(scgi_param))
        .words(&["if_not_empty"])
        .needs(PASS)
        .doc("Sets a parameter of the request that is passed on."),
    Directive::checked(
        "scgi_cache_background_update",
        HTTP_ANY,
        Arity::Flag,
        &Flag(|c: &mut CacheConf<SCGI>| &mut c.background),
    )
    .default("off")
    .needs(PASS)
    .doc("Fetches an answer that has expired while a client gets the old one."),
];

/// Settings of the module.
#[derive(Default)]
struct Scgi {
    pass: Option<Word>,
    params: Vec<(Word, Word)>,
}

impl Conf for Scgi {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list params);
    }
}

fn declare(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    match levels.level.own::<Scgi>().and_then(|conf| conf.pass.as_ref()) {
        Some(word) if !used::varies(&word.bytes) => pass::look_up(word, address(word), None, cx),
        _ => Ok(()),
    }
}

fn check(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    conf::check_sizes::<SCGI>(levels, "scgi")?;
    cache::check::<SCGI>(levels, "scgi", cx)?;
    let own = levels.level.own::<Scgi>();
    for (_, value) in own.map(|conf| conf.params.as_slice()).unwrap_or_default() {
        cx.text(value).map_err(|complaint| Diagnostic::emerg(complaint.message))?;
    }
    Ok(())
}

/// What follows the scheme, where there is one.
fn address(word: &Word) -> &[u8] {
    &word.bytes
}

fn pass_(cx: &mut Setting<'_>, conf: &mut Scgi, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.pass)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    pass::setter(cx, word, address(word))?;
    conf.pass = Some(word.clone());
    Ok(())
}

fn scgi_param(_: &mut Setting<'_>, conf: &mut Scgi, statement: &Statement) -> Result<(), Diagnostic> {
    let [name, value, rest @ ..] = statement.arguments() else { return Ok(()) };
    if let Some(word) = rest.first()
        && !word.is("if_not_empty")
    {
        return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span));
    }
    conf.params.push((name.clone(), value.clone()));
    Ok(())
}
