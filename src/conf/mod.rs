//! The configuration language: text in, merged settings out. Pure but for `disk`.
//!
//! `source` holds texts and spans, `lex` makes words of them, `tree` is what both dialects become, `walk` checks it
//! against the rows of a `registry` and merges levels; a row's setter is handed a `setting`, which knows the levels and
//! nothing of the rows. Complaints are `diagnostic`s.

pub mod brace;
pub mod bytes;
mod contexts;
pub mod diagnostic;
mod dialect;
pub mod directive;
pub mod disk;
pub mod effect;
pub mod expand;
mod firsts;
#[cfg(test)]
pub mod fuzz;
pub mod level;
pub mod lex;
mod load;
pub mod module;
pub mod near;
mod omission;
pub mod print;
pub mod registry;
mod setting;
pub mod slot;
pub mod source;
pub mod tree;
pub mod value;
pub mod walk;
