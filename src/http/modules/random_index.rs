//! `ngx_http_random_index_module`: any file of a folder. Checked, not served yet.

use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::Flag;
use crate::http::heart::module::Module;
use crate::session::contexts::{HTTP_LEVELS, LOCATION};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_random_index_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<RandomIndex>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] =
    &[Directive::checked("random_index", LOCATION, Arity::Flag, &Flag(|c: &mut RandomIndex| &mut c.random_index))
        .default("off")
        .doc("Answers requests that end in a slash with a file chosen by lot.")];

/// Settings of the module.
#[derive(Default)]
struct RandomIndex {
    random_index: Option<bool>,
}

impl Conf for RandomIndex {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; random_index);
    }
}
