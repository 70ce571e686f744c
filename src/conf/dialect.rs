//! What differs between the two languages.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::contexts::Contexts;
use super::source::SourceId;
use super::tree::Block;

/// What differs between the two languages' manners.
#[derive(Clone, Copy)]
pub struct Dialect {
    /// Reads a text into statements.
    pub lex: fn(&[u8], SourceId) -> Block,
    /// Stop at the first fatal complaint (nginx), or report and go on (keepalived).
    pub stop: bool,
    /// Where the dialect stops: report and go on all the same, with the statement left out.
    pub every: bool,
    /// The words for what the walk itself finds.
    pub wording: &'static dyn Wording,
}

/// A product's words for the complaints of the walk.
pub trait Wording: Sync {
    /// No row has the name.
    fn unknown(&self, name: &str) -> String;
    /// Rows have the name, but not here.
    fn not_allowed(&self, name: &str) -> String;
    /// A block where none belongs.
    fn unterminated(&self, name: &str) -> String;
    /// No block where one belongs.
    fn no_block(&self, name: &str) -> String;
    /// A wrong number of arguments.
    fn arity(&self, name: &str) -> String;
    /// What the places directives may stand in are called.
    fn places(&self) -> &'static [(Contexts, &'static str)] {
        &[]
    }
    /// Where a name that no row has is known to be from.
    fn origin(&self, _name: &str) -> Option<String> {
        None
    }
    /// A row, or part of one, that is known and not served; `what` is a directive's quoted name and perhaps a parameter's.
    fn unserved(&self, what: &str) -> String;
    /// The blocks that only pass settings on to those inside.
    fn groups(&self) -> Contexts {
        Contexts(0)
    }
}
