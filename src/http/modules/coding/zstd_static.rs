//! `ngx_http_zstd_static_module`, a third party's module: files that were compressed with zstd before.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::Choice;
use crate::conf::walk::Levels;
use crate::http::heart::handler::Phase;
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::response::Coding;
use crate::http::modules::gzip;
use crate::http::modules::gzip_static::{Compressed, WHEN};
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_zstd_static_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<ZstdStatic>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] =
    &[Directive::new("zstd_static", HTTP_ANY, Arity::Exactly(1), &Choice(|c: &mut ZstdStatic| &mut c.when, WHEN))
        .default("off")
        .doc("Answers with the file whose name has .zst added, for clients that take it or always.")];

/// Settings of the module.
#[derive(Default)]
struct ZstdStatic {
    when: Option<u8>,
}

impl Conf for ZstdStatic {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; when);
    }
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let when = levels.get::<ZstdStatic>().and_then(|conf| conf.when).unwrap_or_default();
    if when != 0 {
        place.step(Phase::Content, Compressed::new(Coding::Zstd, when == 2, gzip::clients(levels, cx)?));
    }
    Ok(())
}
