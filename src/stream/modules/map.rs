//! `ngx_stream_map_module`: the stream half of a twin.

use crate::session::map;
use crate::stream::module::Module;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::twin("ngx_stream_map_module").declare(|levels, cx| map::declare(levels, &mut cx.names, cx.build))]
}
