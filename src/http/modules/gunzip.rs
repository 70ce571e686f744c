//! `ngx_http_gunzip_filter_module`: compressed responses for clients that cannot read them. Checked, not served yet.

use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::Omission;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Buffers, Flag};
use crate::http::module::Module;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_gunzip_filter_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Gunzip>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::checked("gunzip", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Gunzip| &mut c.gunzip))
        .default("off")
        .since("1.3.6")
        .doc("Decompresses responses for clients that do not take compressed ones."),
    Directive::checked("gunzip_buffers", HTTP_ANY, Arity::Exactly(2), &Buffers(|c: &mut Gunzip| &mut c.gunzip_buffers))
        .default("32 4k")
        .since("1.3.6")
        .omitted(Omission::Tunes("only the memory of gunzip"))
        .doc("Sets the number and size of buffers for decompressing."),
];

/// Settings of the module.
#[derive(Default)]
struct Gunzip {
    gunzip: Option<bool>,
    gunzip_buffers: Option<(u64, u64)>,
}

impl Conf for Gunzip {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; gunzip, gunzip_buffers);
    }
}
