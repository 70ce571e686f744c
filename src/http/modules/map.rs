//! `ngx_http_map_module`: the http half of a twin.

use crate::http::heart::module::Module;
use crate::session::map;

/// The module, with stream's rows beside its own.
pub fn modules() -> Vec<Module> {
    let [http, stream] = map::MODULES;
    vec![Module::new(http).declare(|levels, cx| map::declare(levels, &mut cx.names, cx.build)), Module::new(stream)]
}
