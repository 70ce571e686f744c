//! `ngx_http_split_clients_module`: the http half of a twin.

use crate::http::heart::module::Module;
use crate::session::split_clients;

/// The module, with stream's rows beside its own.
pub fn modules() -> Vec<Module> {
    let [http, stream] = split_clients::MODULES;
    vec![Module::new(http).declare(|levels, cx| split_clients::declare(levels, &mut cx.names)), Module::new(stream)]
}
