//! `ngx_http_autoindex_module`: listings of folders. Checked, not served yet.

use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::Need;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Choice, Flag};
use crate::http::heart::module::Module;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_autoindex_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Autoindex>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::checked("autoindex", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Autoindex| &mut c.autoindex))
        .default("off")
        .doc("Lists folders that have no index file."),
    Directive::checked(
        "autoindex_format",
        HTTP_ANY,
        Arity::Exactly(1),
        &Choice(|c: &mut Autoindex| &mut c.autoindex_format, FORMATS),
    )
    .default("html")
    .since("1.7.9")
    .needs(Need::Rows(&["autoindex"]))
    .doc("Sets the format of listings."),
    Directive::checked(
        "autoindex_localtime",
        HTTP_ANY,
        Arity::Flag,
        &Flag(|c: &mut Autoindex| &mut c.autoindex_localtime),
    )
    .default("off")
    .needs(Need::Rows(&["autoindex"]))
    .doc("Shows times of the server's zone instead of UTC."),
    Directive::checked(
        "autoindex_exact_size",
        HTTP_ANY,
        Arity::Flag,
        &Flag(|c: &mut Autoindex| &mut c.autoindex_exact_size),
    )
    .default("on")
    .needs(Need::Rows(&["autoindex"]))
    .doc("Shows sizes in bytes instead of rounded."),
];

const FORMATS: &[(&str, u8)] = &[("html", 0), ("json", 1), ("jsonp", 2), ("xml", 3)];

/// Settings of the module.
#[derive(Default)]
struct Autoindex {
    autoindex: Option<bool>,
    autoindex_format: Option<u8>,
    autoindex_localtime: Option<bool>,
    autoindex_exact_size: Option<bool>,
}

impl Conf for Autoindex {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; autoindex, autoindex_format, autoindex_localtime, autoindex_exact_size);
    }
}
