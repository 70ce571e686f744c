//! `ngx_http_slice_filter_module`: large responses fetched in slices. Checked, not served yet.

use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::Size;
use crate::http::heart::module::Module;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_slice_filter_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Slice>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] =
    &[Directive::checked("slice", HTTP_ANY, Arity::Exactly(1), &Size(|c: &mut Slice| &mut c.slice))
        .default("0")
        .since("1.9.8")
        .doc("Sets the size of a slice; 0 for the whole.")];

/// Settings of the module.
#[derive(Default)]
struct Slice {
    slice: Option<u64>,
}

impl Conf for Slice {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; slice);
    }
}
