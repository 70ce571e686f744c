//! Every module of the product, in nginx's order: first what is served, then what is only known.

use super::missing;
use crate::conf::directive::Directive;
use crate::conf::module::Module;

/// Rows that nginx 1.23.4 does not have; why each is here stands at its definition.
pub const EXTENSIONS: &[&str] = &["ip_hash"];

/// The modules that are served. Their order is behaviour.
fn served() -> Vec<Module> {
    let mut modules = super::core::MODULES.to_vec();
    modules.extend(crate::http::modules::all().iter().map(|module| module.conf));
    modules.extend_from_slice(crate::upstream::directives::HTTP_MODULES);
    modules.extend(crate::stream::modules::all().iter().map(|module| module.conf));
    modules.extend(crate::mail::modules());
    modules.extend_from_slice(&super::tuning::MODULES);
    modules
}

/// Every module: the served ones, then the rows that are known and not served. A row that is served wins over its
/// missing twin, so that none is absent and none is there twice.
pub fn modules() -> Vec<Module> {
    let mut modules = served();
    let have = modules.clone();
    for module in missing::MODULES.iter().flat_map(|file| file.iter()) {
        let runs = module.directives.chunk_by(|a, b| is_served(&have, a) == is_served(&have, b));
        let missing = runs.filter(|run| run.first().is_some_and(|row| !is_served(&have, row)));
        modules.extend(missing.map(|run| Module { directives: run, ..*module }));
    }
    modules
}

fn is_served(modules: &[Module], missing: &Directive) -> bool {
    let mut rows = modules.iter().flat_map(|module| module.directives);
    rows.any(|row| row.name == missing.name && row.contexts.meets(missing.contexts))
}

#[cfg(test)]
mod tests;
