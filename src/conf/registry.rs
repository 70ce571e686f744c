//! All modules of a product: look-up by name and context, near misses.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::contexts::Contexts;
use super::directive::Directive;
use super::module::{Module, Scopes};
use super::near::near;
use hashbrown::HashMap;
use std::any::TypeId;

/// Every row of every module of a product.
pub struct Registry {
    rows: Vec<(&'static Directive, &'static str)>,
    scopes: Scopes,
    by_name: HashMap<&'static [u8], Vec<&'static Directive>>,
    /// The rows with a default that write to a conf.
    defaults: HashMap<TypeId, Vec<&'static Directive>>,
}

impl Registry {
    /// The registry of `modules`, in their order.
    pub fn new(modules: &[Module]) -> Self {
        let mut registry =
            Self { rows: Vec::new(), scopes: Scopes::default(), by_name: HashMap::new(), defaults: HashMap::new() };
        for module in modules {
            for scope in module.scopes {
                registry.scopes.add(*scope);
            }
            for row in module.directives {
                registry.by_name.entry(row.name.as_bytes()).or_default().push(row);
                if row.default.is_some() {
                    registry.defaults.entry(row.set.target()).or_default().push(row);
                }
                registry.rows.push((row, module.name));
            }
        }
        registry
    }

    /// Every row with its module's name, in order: what the self-checks walk.
    #[cfg(test)]
    pub fn rows(&self) -> impl Iterator<Item = (&'static Directive, &'static str)> {
        self.rows.iter().copied()
    }

    /// The row called `name` in `context`.
    pub fn find(&self, name: &[u8], context: Contexts) -> Option<&'static Directive> {
        self.named(name).find(|row| row.contexts.meets(context))
    }

    /// All rows called `name`.
    pub fn named(&self, name: &[u8]) -> impl Iterator<Item = &'static Directive> {
        self.by_name.get(name).into_iter().flatten().copied()
    }

    /// The rows with a default that write to settings of a type.
    pub fn with_default(&self, type_of: TypeId) -> impl Iterator<Item = &'static Directive> {
        self.defaults.get(&type_of).into_iter().flatten().copied()
    }

    /// The scopes of all modules.
    pub const fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// The places where a row called `name` may stand.
    pub fn places(&self, name: &[u8]) -> Contexts {
        self.named(name).fold(Contexts(0), |sum, row| sum.or(row.contexts))
    }

    /// The known name in `context` that is nearest to `name`, if one is near.
    pub fn nearest(&self, name: &str, context: Contexts) -> Option<&'static str> {
        near(name, self.rows.iter().filter(|(row, _)| row.contexts.meets(context)).map(|(row, _)| row.name))
    }
}
