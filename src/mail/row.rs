//! The row of a directive of mail.

use crate::conf::directive::{Arity, Contexts, Directive, Set, Support};

/// A row of mail: none is served.
pub const fn row(name: &'static str, contexts: Contexts, arity: Arity, set: &'static dyn Set) -> Directive {
    Directive::new(name, contexts, arity, set).support(Support::Missing)
}
