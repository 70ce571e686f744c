//! `ngx_http_mirror_module`: copies of requests. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::Need;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Flag};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::Setting;
use crate::http::heart::module::Module;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_mirror_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Mirror>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::checked("mirror", HTTP_ANY, Arity::Exactly(1), &Custom(mirror))
        .default("off")
        .since("1.13.4")
        .doc("Sends a copy of requests to another URI, and ignores the answer."),
    Directive::checked("mirror_request_body", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Mirror| &mut c.request_body))
        .default("on")
        .since("1.13.4")
        .needs(Need::Rows(&["mirror"]))
        .doc("Sends the bodies too."),
];

/// Settings of the module.
#[derive(Default)]
struct Mirror {
    request_body: Option<bool>,
    targets: Option<Vec<Word>>,
}

impl Conf for Mirror {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; request_body);
        inherit!(self, outer; targets);
    }
}

fn mirror(cx: &mut Setting<'_>, conf: &mut Mirror, statement: &Statement) -> Result<(), Diagnostic> {
    let Some(word) = statement.arguments().first() else { return Ok(()) };
    match (&mut conf.targets, word.is("off")) {
        (Some(_), true) => return Err(cx.complain("is duplicate")),
        (Some(targets), false) if targets.is_empty() => return Err(cx.complain("is duplicate")),
        (Some(targets), false) => targets.push(word.clone()),
        (none, true) => *none = Some(Vec::new()),
        (none, false) => *none = Some(vec![word.clone()]),
    }
    Ok(())
}
