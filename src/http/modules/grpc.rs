//! `ngx_http_grpc_module`: requests passed on to gRPC servers. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::{Need, Omission, needing};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Pairs};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::gateway::conf::gateway::GRPC;
use crate::http::gateway::conf::{GatewayConf, NEXT_GRPC, connection_rows, header_rows, unserved};
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
const PASS: Need = Need::Rows(&["grpc_pass"]);

const GATEWAY: [crate::conf::module::Module; 3] = [
    rows(
        &needing(unserved(connection_rows!("grpc", GRPC, NEXT_GRPC)), PASS),
        &[Scope::of::<GatewayConf<GRPC>>(HTTP_LEVELS)],
    ),
    rows(&needing(unserved(header_rows!("grpc", GRPC)), PASS), &[]),
    rows(&needing(unserved(secure_rows!("grpc", GRPC)), PASS), &[Scope::of::<SecureConf<GRPC>>(HTTP_LEVELS)]),
];

const OWN: crate::conf::module::Module = rows(DIRECTIVES, &[Scope::of::<Grpc>(HTTP_LEVELS)]);

const fn rows(directives: &'static [Directive], scopes: &'static [Scope]) -> crate::conf::module::Module {
    crate::conf::module::Module { name: "ngx_http_grpc_module", directives, scopes }
}

const DIRECTIVES: &[Directive] = &[
    Directive::checked("grpc_pass", LOCATION.or(IF_IN_LOCATION), Arity::Exactly(1), &Custom(pass_))
        .omitted(Omission::ClosesHere("requests are answered with 503"))
        .doc("Sets the server that requests of the location are passed to."),
    Directive::checked("grpc_set_header", HTTP_ANY, Arity::Exactly(2), &Pairs(|c: &mut Grpc| &mut c.headers))
        .needs(PASS)
        .doc("Sets a header of the request that is passed on; an empty value leaves it out."),
];

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
        Some(word) if !used::varies(&word.bytes) => pass::look_up(word, address(word), None, cx),
        _ => Ok(()),
    }
}

fn check(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let own = levels.level.own::<Grpc>();
    if own.and_then(|conf| conf.pass.as_ref()).is_some_and(|word| word.after("grpcs://").is_some()) {
        secure::check::<GRPC>(levels, "grpc", cx)?;
    }
    for (_, value) in own.map(|conf| conf.headers.as_slice()).unwrap_or_default() {
        cx.text(value).map_err(|complaint| Diagnostic::emerg(complaint.message))?;
    }
    Ok(())
}

/// What follows the scheme, where there is one.
fn address(word: &Word) -> &[u8] {
    let text = &*word.bytes;
    let begins =
        |scheme: &&str| text.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme.as_bytes()));
    let scheme = ["grpc://", "grpcs://"].into_iter().find(begins).unwrap_or_default();
    text.get(scheme.len()..).unwrap_or_default()
}

fn pass_(cx: &mut Setting<'_>, conf: &mut Grpc, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.pass)?;
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    pass::setter(cx, word, address(word))?;
    conf.pass = Some(word.clone());
    Ok(())
}
