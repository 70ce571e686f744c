//! What a module tells the configuration front end: its rows, and the settings it keeps at each level.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::contexts::Contexts;
use super::diagnostic::Diagnostic;
use super::directive::Directive;
use super::level::AnyConf;
use hashbrown::HashMap;
use std::any::{Any, TypeId};

/// One level's settings for one module: what was given there, everything else `None`.
pub trait Conf: Any + Default + Send + Sync {
    /// Takes from the enclosing level what this level leaves unset.
    fn inherit(&mut self, outer: &Self);
}

/// Settings a module keeps, and the contexts that have a set of their own.
#[derive(Clone, Copy)]
pub struct Scope {
    /// The conf's type.
    pub type_of: fn() -> TypeId,
    /// A conf with nothing given.
    pub new: fn() -> AnyConf,
    /// `Conf::inherit` through the type.
    pub inherit: fn(&mut dyn Any, &dyn Any),
    /// The contexts that have one.
    pub contexts: Contexts,
}

impl Scope {
    /// The scope of `C` in `contexts`.
    pub const fn of<C: Conf>(contexts: Contexts) -> Self {
        Self {
            type_of: TypeId::of::<C>,
            new: || Box::new(C::default()),
            inherit: |inner, outer| {
                if let (Some(inner), Some(outer)) = (inner.downcast_mut::<C>(), outer.downcast_ref::<C>()) {
                    inner.inherit(outer);
                }
            },
            contexts,
        }
    }
}

/// The scopes of all modules, by the types of their settings.
#[derive(Default)]
pub struct Scopes {
    all: Vec<Scope>,
    by_type: HashMap<TypeId, usize>,
}

impl Scopes {
    /// Adds a scope.
    pub fn add(&mut self, scope: Scope) {
        self.by_type.insert((scope.type_of)(), self.all.len());
        self.all.push(scope);
    }

    /// The scope that keeps settings of a type.
    pub fn of(&self, type_of: TypeId) -> Option<&Scope> {
        self.by_type.get(&type_of).and_then(|index| self.all.get(*index))
    }

    /// All scopes, in the order of the modules.
    pub fn all(&self) -> &[Scope] {
        &self.all
    }
}

/// A module of a product.
#[derive(Clone, Copy)]
pub struct Module {
    /// The original's name for it (`ngx_http_limit_conn_module`).
    pub name: &'static str,
    /// Its rows, in the manual's order.
    pub directives: &'static [Directive],
    /// The settings it keeps.
    pub scopes: &'static [Scope],
}

/// A setting of merged levels whose row has a default: the walk has put that in where nothing was given.
pub trait Merged {
    /// What the setting holds.
    type Value;

    /// The value.
    ///
    /// # Errors
    /// The row has no default.
    fn merged(self) -> Result<Self::Value, Diagnostic>;
}

impl<T> Merged for Option<T> {
    type Value = T;

    fn merged(self) -> Result<T, Diagnostic> {
        self.ok_or_else(|| Diagnostic::emerg("a setting without a default is not given"))
    }
}

/// Merges listed fields: `inherit!(self, outer; list a, b; c, d)`. A list is taken whole where the inner one is empty.
macro_rules! inherit {
    ($inner:ident, $outer:ident; list $($list:ident),+ $(; $($field:ident),* $(,)?)?) => {
        $(if $inner.$list.is_empty() { $inner.$list.clone_from(&$outer.$list); })+
        $($(if $inner.$field.is_none() { $inner.$field.clone_from(&$outer.$field); })*)?
    };
    ($inner:ident, $outer:ident; $($field:ident),+ $(,)?) => {
        $(if $inner.$field.is_none() { $inner.$field.clone_from(&$outer.$field); })+
    };
}
pub(crate) use inherit;
