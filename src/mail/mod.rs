//! The mail proxy: known, checked as nginx checks it, and not served.

mod auth;
mod core;
mod listen;
mod protocol;
mod proxy;
mod row;
mod settings;
mod site;
mod ssl;

use crate::conf::module::Module;

pub use site::check;

/// Every module of mail, in nginx's order.
pub fn modules() -> Vec<Module> {
    let mut modules = vec![core::MODULE];
    modules.extend_from_slice(&protocol::MODULES);
    modules.extend([crate::session::tls::MODULES[2], ssl::MODULE, auth::MODULE]);
    modules.extend_from_slice(&proxy::MODULES);
    modules
}
