//! The stream modules, one file each; the list's order is behaviour.
//!
//! Steps of a phase run in list order. Twins bring their rows along in http's list.

pub mod access;
pub mod answer;
pub mod core_rows;
pub mod geo;
pub mod geoip;
pub mod health_check;
pub mod limit_conn;
pub mod log;
pub mod map;
pub mod proxy;
pub mod realip;
pub mod set;
pub mod split_clients;
pub mod ssl;
pub mod ssl_preread;

use super::module::Module;

/// Every module, in order.
pub fn all() -> Vec<Module> {
    [
        geoip::modules(),
        core_rows::modules(),
        realip::modules(),
        set::modules(),
        limit_conn::modules(),
        access::modules(),
        map::modules(),
        geo::modules(),
        split_clients::modules(),
        log::modules(),
        ssl::modules(),
        ssl_preread::modules(),
        proxy::modules(),
        answer::modules(),
        health_check::modules(),
    ]
    .concat()
}
