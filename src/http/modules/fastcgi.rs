//! `ngx_http_fastcgi_module`: requests passed on to FastCGI servers. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::{Need, Omission, needing};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Flag, List, Text};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::gateway::cache;
use crate::http::gateway::cache::{CacheConf, cache_rows};
use crate::http::gateway::conf;
use crate::http::gateway::conf::gateway::FASTCGI;
use crate::http::gateway::conf::{GatewayConf, NEXT_FASTCGI, buffer_rows, connection_rows, header_rows, unserved};
use crate::http::gateway::pass;
use crate::http::heart::module::{Compile, Module};
use crate::script::regex::Expression;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS, IF_IN_LOCATION, LOCATION};
use crate::session::slot::{Lowat, free};
use crate::session::used;

/// The module.
pub fn modules() -> Vec<Module> {
    let mut modules: Vec<Module> = GATEWAY.map(Module::new).to_vec();
    modules.push(Module::new(OWN).declare(declare).check(check));
    modules
}

/// What uses the rows.
const PASS: Need = Need::Rows(&["fastcgi_pass"]);

const GATEWAY: [crate::conf::module::Module; 4] = [
    rows(
        &needing(unserved(connection_rows!("fastcgi", FASTCGI, NEXT_FASTCGI)), PASS),
        &[Scope::of::<GatewayConf<FASTCGI>>(HTTP_LEVELS)],
    ),
    rows(&needing(unserved(header_rows!("fastcgi", FASTCGI)), PASS), &[]),
    rows(&needing(unserved(buffer_rows!("fastcgi", FASTCGI)), PASS), &[]),
    rows(
        &needing(cache_rows!("fastcgi", FASTCGI, NEXT_FASTCGI), PASS),
        &[Scope::of::<CacheConf<FASTCGI>>(HTTP_LEVELS)],
    ),
];

const OWN: crate::conf::module::Module = rows(DIRECTIVES, &[Scope::of::<FastCgi>(HTTP_LEVELS)]);

const fn rows(directives: &'static [Directive], scopes: &'static [Scope]) -> crate::conf::module::Module {
    crate::conf::module::Module { name: "ngx_http_fastcgi_module", directives, scopes }
}

const DIRECTIVES: &[Directive] = &[
    Directive::checked("fastcgi_pass", LOCATION.or(IF_IN_LOCATION), Arity::Exactly(1), &Custom(pass_))
        .omitted(Omission::ClosesHere("requests are answered with 503"))
        .doc("Sets the server that requests of the location are passed to."),
    Directive::checked("fastcgi_index", HTTP_ANY, Arity::Exactly(1), &Text(|c: &mut FastCgi| &mut c.index))
        .needs(PASS)
        .doc("Sets the file of paths that end in a slash."),
    Directive::checked("fastcgi_split_path_info", HTTP_ANY, Arity::Exactly(1), &Custom(split_path_info))
        .needs(PASS)
        .doc("Sets the expression that parts script and path."),
    Directive::checked("fastcgi_param", HTTP_ANY, Arity::Between(2, 3), &Custom(fastcgi_param))
        .words(&["if_not_empty"])
        .needs(PASS)
        .doc("Sets a parameter of the request that is passed on."),
    Directive::checked("fastcgi_catch_stderr", HTTP_ANY, Arity::Exactly(1), &List(|c: &mut FastCgi| &mut c.catch))
        .needs(PASS)
        .doc("Takes an answer as bad whose error stream has the text."),
    Directive::checked("fastcgi_keep_conn", HTTP_ANY, Arity::Flag, &Flag(|c: &mut FastCgi| &mut c.keep))
        .default("off")
        .needs(PASS)
        .doc("Keeps connections to servers open."),
    Directive::checked("fastcgi_send_lowat", HTTP_ANY, Arity::Exactly(1), &Lowat(|c: &mut FastCgi| &mut c.lowat))
        .needs(PASS)
        .doc("Sets how much the kernel must take at once."),
    Directive::checked(
        "fastcgi_cache_background_update",
        HTTP_ANY,
        Arity::Flag,
        &Flag(|c: &mut CacheConf<FASTCGI>| &mut c.background),
    )
    .default("off")
    .needs(PASS)
    .doc("Fetches an answer that has expired while a client gets the old one."),
];

/// Settings of the module.
#[derive(Default)]
struct FastCgi {
    pass: Option<Word>,
    index: Option<Word>,
    split: Option<Word>,
    params: Vec<(Word, Word)>,
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
        Some(word) if !used::varies(&word.bytes) => pass::look_up(word, address(word), None, cx),
        _ => Ok(()),
    }
}

fn check(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    conf::check_sizes::<FASTCGI>(levels, "fastcgi")?;
    cache::check::<FASTCGI>(levels, "fastcgi", cx)?;
    let own = levels.level.own::<FastCgi>();
    for (_, value) in own.map(|conf| conf.params.as_slice()).unwrap_or_default() {
        cx.text(value).map_err(|complaint| Diagnostic::emerg(complaint.message))?;
    }
    Ok(())
}

/// What follows the scheme, where there is one.
fn address(word: &Word) -> &[u8] {
    &word.bytes
}

fn pass_(cx: &mut Setting<'_>, conf: &mut FastCgi, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.pass)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    pass::setter(cx, word, address(word))?;
    conf.pass = Some(word.clone());
    Ok(())
}

fn split_path_info(cx: &mut Setting<'_>, conf: &mut FastCgi, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.split)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    let expression = Expression::compile(&word.text(), false).map_err(Diagnostic::emerg)?;
    if expression.groups() != 2 {
        return Err(Diagnostic::emerg(format!("pattern \"{}\" must have 2 captures", word.text())));
    }
    conf.split = Some(word.clone());
    Ok(())
}

fn fastcgi_param(_: &mut Setting<'_>, conf: &mut FastCgi, statement: &Statement) -> Result<(), Diagnostic> {
    let [name, value, rest @ ..] = statement.arguments() else { return Ok(()) };
    if let Some(word) = rest.first()
        && !word.is("if_not_empty")
    {
        return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span));
    }
    conf.params.push((name.clone(), value.clone()));
    Ok(())
}
