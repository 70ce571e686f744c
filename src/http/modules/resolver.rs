//! `resolver` and `resolver_timeout` of `ngx_http_core_module`.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::walk::Levels;
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::session::contexts::HTTP_ANY;
use crate::session::resolver;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).declare(|levels, cx| resolver::declare(levels, cx.build)).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_core_module",
    directives: &resolver::rows(HTTP_ANY, None),
    scopes: &[],
};

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    if let Some(lookup) = resolver::lookup(levels, cx.build)? {
        place.attach(lookup);
    }
    Ok(())
}
