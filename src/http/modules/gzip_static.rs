//! `ngx_http_gzip_static_module`: files that were compressed before. Checked, not served yet.

use crate::conf::directive::{Arity, Directive};
use crate::conf::effect::Omission;
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::Choice;
use crate::http::module::Module;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_gzip_static_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<GzipStatic>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[Directive::checked(
    "gzip_static",
    HTTP_ANY,
    Arity::Exactly(1),
    &Choice(|c: &mut GzipStatic| &mut c.gzip_static, WHEN),
)
.default("off")
.omitted(Omission::Transparent("no ready compressed files are sent"))
.doc("Answers with the file whose name has .gz added, for clients that take it or always.")];

const WHEN: &[(&str, u8)] = &[("off", 0), ("on", 1), ("always", 2)];

/// Settings of the module.
#[derive(Default)]
struct GzipStatic {
    gzip_static: Option<u8>,
}

impl Conf for GzipStatic {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; gzip_static);
    }
}
