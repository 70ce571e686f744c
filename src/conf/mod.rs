//! The configuration language: text in, merged settings out. Pure but for `disk`.
//!
//! `source` holds texts and spans, `lex` makes words of them, `tree` is what both dialects become, `walk` checks it
//! against the rows of a `registry` and merges levels. Complaints are `diagnostic`s.

pub mod brace;
pub mod bytes;
pub mod diagnostic;
pub mod directive;
pub mod disk;
pub mod effect;
pub mod expand;
#[cfg(test)]
pub mod fuzz;
pub mod level;
pub mod lex;
pub mod module;
pub mod near;
pub mod print;
pub mod registry;
pub mod slot;
pub mod source;
pub mod tree;
pub mod value;
pub mod walk;
