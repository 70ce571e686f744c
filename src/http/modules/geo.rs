//! `ngx_http_geo_module`: the http half of a twin.

use crate::http::heart::module::Module;
use crate::session::geo;

/// The module, with stream's rows beside its own.
pub fn modules() -> Vec<Module> {
    let [http, stream] = geo::MODULES;
    vec![Module::new(http).declare(|levels, cx| geo::declare(levels, &mut cx.names)), Module::new(stream)]
}
