//! `ngx_http_core_module` as a member of the list; its rows stand in `http::core`.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::walk::Levels;
use crate::http::core::ServerConf;
use crate::http::module::{Compile, Module};

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(crate::http::core::MODULE).check(check)]
}

fn check(levels: &Levels<'_>, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    match levels.get::<ServerConf>() {
        Some(conf) if conf.has_small_heads() => Err(Diagnostic::emerg(
            "the \"large_client_header_buffers\" size must be equal to or greater than \"connection_pool_size\"",
        )),
        _ => Ok(()),
    }
}
