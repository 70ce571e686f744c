//! `ngx_http_core_module` as a member of the list; its rows stand in `http::core`.

use crate::http::module::Module;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(crate::http::core::MODULE)]
}
