//! `ngx_stream_geo_module`: the stream half of a twin.

use crate::session::geo;
use crate::stream::module::Module;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::twin("ngx_stream_geo_module").declare(|levels, cx| geo::declare(levels, &mut cx.names))]
}
