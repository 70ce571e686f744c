//! `ngx_http_uwsgi_module`: requests passed on to uwsgi servers. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::{Need, Omission, needing};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Flag, Number, Text};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::gateway::cache;
use crate::http::gateway::cache::{CacheConf, cache_rows};
use crate::http::gateway::conf;
use crate::http::gateway::conf::gateway::UWSGI;
use crate::http::gateway::conf::{GatewayConf, NEXT_FASTCGI, buffer_rows, connection_rows, header_rows, unserved};
use crate::http::gateway::pass;
use crate::http::gateway::secure;
use crate::http::gateway::secure::{SecureConf, secure_rows};
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
const PASS: Need = Need::Rows(&["uwsgi_pass"]);

const GATEWAY: [crate::conf::module::Module; 5] = [
    rows(
        &needing(unserved(connection_rows!("uwsgi", UWSGI, NEXT_FASTCGI)), PASS),
        &[Scope::of::<GatewayConf<UWSGI>>(HTTP_LEVELS)],
    ),
    rows(&needing(unserved(header_rows!("uwsgi", UWSGI)), PASS), &[]),
    rows(&needing(unserved(buffer_rows!("uwsgi", UWSGI)), PASS), &[]),
    rows(&needing(cache_rows!("uwsgi", UWSGI, NEXT_FASTCGI), PASS), &[Scope::of::<CacheConf<UWSGI>>(HTTP_LEVELS)]),
    rows(&needing(unserved(secure_rows!("uwsgi", UWSGI)), PASS), &[Scope::of::<SecureConf<UWSGI>>(HTTP_LEVELS)]),
];

const OWN: crate::conf::module::Module = rows(DIRECTIVES, &[Scope::of::<Uwsgi>(HTTP_LEVELS)]);

const fn rows(directives: &'static [Directive], scopes: &'static [Scope]) -> crate::conf::module::Module {
    crate::conf::module::Module { name: "ngx_http_uwsgi_module", directives, scopes }
}

const DIRECTIVES: &[Directive] = &[
    Directive::checked("uwsgi_pass", LOCATION.or(IF_IN_LOCATION), Arity::Exactly(1), &Custom(pass_))
        .omitted(Omission::ClosesHere("requests are answered with 503"))
        .doc("Sets the server that requests of the location are passed to."),
    Directive::checked(
        "uwsgi_modifier1",
        HTTP_ANY,
        Arity::Exactly(1),
        &Number(|c: &mut Uwsgi| &mut c.modifiers[0], 0..=255),
    )
    .needs(PASS)
    .doc("Sets the first modifier of packets."),
    Directive::checked(
        "uwsgi_modifier2",
        HTTP_ANY,
        Arity::Exactly(1),
        &Number(|c: &mut Uwsgi| &mut c.modifiers[1], 0..=255),
    )
    .needs(PASS)
    .doc("Sets the second modifier of packets."),
    Directive::checked("uwsgi_param", HTTP_ANY, Arity::Between(2, 3), &Custom(uwsgi_param))
        .words(&["if_not_empty"])
        .needs(PASS)
        .doc("Sets a parameter of the request that is passed on."),
    Directive::checked("uwsgi_string", HTTP_ANY, Arity::Exactly(1), &Text(|c: &mut Uwsgi| &mut c.string))
        .needs(PASS)
        .doc("Sets a text behind the parameters."),
    Directive::checked(
        "uwsgi_cache_background_update",
        HTTP_ANY,
        Arity::Exactly(1),
        &Flag(|c: &mut CacheConf<UWSGI>| &mut c.background),
    )
    .default("off")
    .needs(PASS)
    .doc("Fetches an answer that has expired while a client gets the old one."),
];

/// Settings of the module.
#[derive(Default)]
struct Uwsgi {
    pass: Option<Word>,
    modifiers: [Option<u64>; 2],
    params: Vec<(Word, Word)>,
    string: Option<Word>,
}

impl Conf for Uwsgi {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list params; string);
    }
}

fn declare(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    match levels.level.own::<Uwsgi>().and_then(|conf| conf.pass.as_ref()) {
        Some(word) if !used::varies(&word.bytes) => pass::look_up(word, address(word), None, cx),
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
    for (_, value) in own.map(|conf| conf.params.as_slice()).unwrap_or_default() {
        cx.text(value).map_err(|complaint| Diagnostic::emerg(complaint.message))?;
    }
    Ok(())
}

/// What follows the scheme, where there is one.
fn address(word: &Word) -> &[u8] {
    let text = &*word.bytes;
    let begins =
        |scheme: &&str| text.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme.as_bytes()));
    let scheme = ["uwsgi://", "suwsgi://"].into_iter().find(begins).unwrap_or_default();
    text.get(scheme.len()..).unwrap_or_default()
}

fn pass_(cx: &mut Setting<'_>, conf: &mut Uwsgi, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.pass)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    pass::setter(cx, word, address(word))?;
    conf.pass = Some(word.clone());
    Ok(())
}

fn uwsgi_param(_: &mut Setting<'_>, conf: &mut Uwsgi, statement: &Statement) -> Result<(), Diagnostic> {
    let [name, value, rest @ ..] = statement.arguments() else { return Ok(()) };
    if let Some(word) = rest.first()
        && !word.is("if_not_empty")
    {
        return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span));
    }
    conf.params.push((name.clone(), value.clone()));
    Ok(())
}
