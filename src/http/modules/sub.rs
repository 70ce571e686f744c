//! `ngx_http_sub_filter_module`: strings replaced in responses. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::Need;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Flag};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::Setting;
use crate::http::module::Module;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};
use crate::session::slot::MimeTypes;
use crate::session::used;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_sub_filter_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Sub>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::checked("sub_filter", HTTP_ANY, Arity::Exactly(2), &Custom(sub_filter))
        .doc("Replaces a string by another."),
    Directive::checked(
        "sub_filter_types",
        HTTP_ANY,
        Arity::AtLeast(1),
        &MimeTypes(|c: &mut Sub| &mut c.types, "text/html"),
    )
    .needs(Need::Rows(&["sub_filter"]))
    .doc("Sets the MIME types that are looked into beside text/html."),
    Directive::checked("sub_filter_once", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Sub| &mut c.once))
        .default("on")
        .needs(Need::Rows(&["sub_filter"]))
        .doc("Replaces the first only."),
    Directive::checked("sub_filter_last_modified", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Sub| &mut c.last_modified))
        .default("off")
        .since("1.5.1")
        .needs(Need::Rows(&["sub_filter"]))
        .doc("Keeps the Last-Modified header."),
];

/// Settings of the module.
#[derive(Default)]
struct Sub {
    types: Vec<Box<[u8]>>,
    once: Option<bool>,
    last_modified: Option<bool>,
    pairs: Vec<(Word, Word)>,
}

impl Conf for Sub {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list pairs, types; once, last_modified);
    }
}

fn sub_filter(cx: &mut Setting<'_>, conf: &mut Sub, statement: &Statement) -> Result<(), Diagnostic> {
    let [search, replacement] = statement.arguments() else { return Ok(()) };
    if search.bytes.is_empty() {
        return Err(Diagnostic::emerg("empty search pattern").point(search.span));
    }
    used::word(cx, search)?;
    used::word(cx, replacement)?;
    conf.pairs.push((search.clone(), replacement.clone()));
    Ok(())
}
