//! The stream modules, one file each; the list's order is behaviour.
//!
//! Steps of a phase run in list order. Twins bring their rows along in http's list.

use super::module::Module;

macro_rules! modules {
    ($($name:ident),* $(,)?) => {
        $(pub mod $name;)*
        /// Every served module, in order.
        pub fn all() -> Vec<Module> {
            [$($name::modules()),*].concat()
        }
    };
}

modules! { core_rows, realip, set, limit_conn, access, map, geo, geoip, split_clients, log, ssl, ssl_preread, proxy, answer }
