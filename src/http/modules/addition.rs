//! `ngx_http_addition_filter_module`: text before and after a response. Checked, not served yet.

use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::Need;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::Text;
use crate::conf::tree::Word;
use crate::http::module::Module;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};
use crate::session::slot::MimeTypes;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_addition_filter_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Addition>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::checked(
        "add_before_body",
        HTTP_ANY,
        Arity::Exactly(1),
        &Text(|c: &mut Addition| &mut c.add_before_body),
    )
    .neutral(&[""])
    .doc("Puts the answer to a subrequest before responses."),
    Directive::checked("add_after_body", HTTP_ANY, Arity::Exactly(1), &Text(|c: &mut Addition| &mut c.add_after_body))
        .neutral(&[""])
        .doc("Puts the answer to a subrequest after responses."),
    Directive::checked(
        "addition_types",
        HTTP_ANY,
        Arity::AtLeast(1),
        &MimeTypes(|c: &mut Addition| &mut c.addition_types, "text/html"),
    )
    .since("0.7.9")
    .needs(Need::Rows(&["add_before_body", "add_after_body"]))
    .doc("Sets the MIME types of responses that are added to beside text/html."),
];

/// Settings of the module.
#[derive(Default)]
struct Addition {
    add_before_body: Option<Word>,
    add_after_body: Option<Word>,
    addition_types: Vec<Box<[u8]>>,
}

impl Conf for Addition {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list addition_types; add_before_body, add_after_body);
    }
}
