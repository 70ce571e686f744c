//! Every module of the product. Their order is behaviour.

use crate::conf::module::Module;

/// Rows that nginx 1.23.4 does not have; why each is here stands at its definition.
pub const EXTENSIONS: &[&str] = &["ip_hash"];

/// Every module, with every row of nginx 1.23.4's, served or not.
pub fn modules() -> Vec<Module> {
    let mut modules = super::core::MODULES.to_vec();
    modules.extend(crate::http::modules::all().iter().map(|module| module.conf));
    modules.extend_from_slice(crate::upstream::directives::HTTP_MODULES);
    modules.extend(crate::stream::modules::all().iter().map(|module| module.conf));
    modules.extend(crate::mail::modules());
    modules.extend_from_slice(&super::tuning::MODULES);
    modules
}

#[cfg(test)]
mod tests;
