//! `ngx_stream_split_clients_module`: the stream half of a twin.

use crate::session::split_clients;
use crate::stream::module::Module;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![
        Module::twin("ngx_stream_split_clients_module")
            .declare(|levels, cx| split_clients::declare(levels, &mut cx.names)),
    ]
}
