//! All modules of a product: look-up by name and context, near misses.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::directive::{Contexts, Directive};
use super::module::{Module, Scope};
use super::near::near;
use hashbrown::HashMap;
use std::any::TypeId;

/// A row's number in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId(pub u32);

/// Every row of every module of a product.
pub struct Registry {
    rows: Vec<(&'static Directive, &'static str)>,
    scopes: Vec<Scope>,
    by_name: HashMap<&'static [u8], Vec<RowId>>,
    by_type: HashMap<TypeId, usize>,
    /// The rows with a default that write to a conf.
    defaults: HashMap<TypeId, Vec<RowId>>,
}

impl Registry {
    /// The registry of `modules`, in their order.
    pub fn new(modules: &[Module]) -> Self {
        let mut registry = Self {
            rows: Vec::new(),
            scopes: Vec::new(),
            by_name: HashMap::new(),
            by_type: HashMap::new(),
            defaults: HashMap::new(),
        };
        for module in modules {
            for scope in module.scopes {
                registry.by_type.insert((scope.type_of)(), registry.scopes.len());
                registry.scopes.push(*scope);
            }
            for row in module.directives {
                let id = RowId(registry.rows.len() as u32);
                registry.by_name.entry(row.name.as_bytes()).or_default().push(id);
                if row.default.is_some() {
                    registry.defaults.entry(row.set.target()).or_default().push(id);
                }
                registry.rows.push((row, module.name));
            }
        }
        registry
    }

    /// Every row with its module's name, in order: what the self-checks walk.
    #[cfg(test)]
    pub fn rows(&self) -> impl Iterator<Item = (RowId, &'static Directive, &'static str)> {
        self.rows.iter().enumerate().map(|(index, (row, module))| (RowId(index as u32), *row, *module))
    }

    /// The row called `name` in `context`.
    pub fn find(&self, name: &[u8], context: Contexts) -> Option<(RowId, &'static Directive)> {
        self.named(name).find(|(_, row)| row.contexts.meets(context))
    }

    /// All rows called `name`.
    pub fn named(&self, name: &[u8]) -> impl Iterator<Item = (RowId, &'static Directive)> {
        let ids = self.by_name.get(name).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| self.rows.get(id.0 as usize).map(|(row, _)| (*id, *row)))
    }

    /// The rows with a default that write to settings of a type.
    pub fn with_default(&self, type_of: TypeId) -> impl Iterator<Item = (RowId, &'static Directive)> {
        let ids = self.defaults.get(&type_of).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| self.rows.get(id.0 as usize).map(|(row, _)| (*id, *row)))
    }

    /// The scope that keeps settings of a type.
    pub fn scope(&self, type_of: TypeId) -> Option<&Scope> {
        self.by_type.get(&type_of).and_then(|index| self.scopes.get(*index))
    }

    /// All scopes.
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// The places where a row called `name` may stand.
    pub fn places(&self, name: &[u8]) -> Contexts {
        self.named(name).fold(Contexts(0), |sum, (_, row)| sum.or(row.contexts))
    }

    /// The known name in `context` that is nearest to `name`, if one is near.
    pub fn nearest(&self, name: &str, context: Contexts) -> Option<&'static str> {
        near(name, self.rows.iter().filter(|(row, _)| row.contexts.meets(context)).map(|(row, _)| row.name))
    }
}
