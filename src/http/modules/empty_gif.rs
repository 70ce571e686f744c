//! `ngx_http_empty_gif_module`: one transparent pixel. Checked, not served yet.

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
    name: "ngx_http_empty_gif_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<E>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[Directive::checked("empty_gif", LOCATION, Arity::Exactly(0), &Custom(empty_gif))
    .doc("Answers with a picture of one transparent pixel.")];

/// Settings of the module.
#[derive(Default)]
struct E {
    here: bool,
}

impl Conf for E {
    fn inherit(&mut self, _: &Self) {}
}

fn empty_gif(_: &mut Setting<'_>, conf: &mut E, _: &Statement) -> Result<(), Diagnostic> {
    conf.here = true;
    Ok(())
}
