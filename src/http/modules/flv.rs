//! `ngx_http_flv_module`: Flash videos from a given byte on. Checked, not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope};
use crate::conf::slot::Custom;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::http::heart::module::Module;
use crate::session::contexts::{HTTP_LEVELS, LOCATION};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_flv_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Flv>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[Directive::checked("flv", LOCATION, Arity::Exactly(0), &Custom(flv))
    .doc("Answers from the byte the argument start names.")];

/// Settings of the module.
#[derive(Default)]
struct Flv {
    here: bool,
}

impl Conf for Flv {
    fn inherit(&mut self, _: &Self) {}
}

fn flv(_: &mut Setting<'_>, conf: &mut Flv, _: &Statement) -> Result<(), Diagnostic> {
    conf.here = true;
    Ok(())
}
