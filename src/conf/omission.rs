//! What a row says of its being left out, where it is not served.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::level::Levels;

/// What happens where a row is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omission {
    /// Requests are served otherwise than asked.
    Changes,
    /// The row protects: the block, and the blocks that receive its value, answer nobody without it.
    Closes(&'static str),
    /// The block itself answers nobody without the row, which the blocks inside do not receive.
    ClosesHere(&'static str),
    /// Something is not opened at all without the row: what.
    Withholds(&'static str),
    /// No client sees the difference: why.
    Tunes(&'static str),
}

/// What must be there for a row to have an effect.
#[derive(Clone, Copy)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// One of these rows, not served either, with an effect at a level that receives the value.
    Rows(&'static [&'static str]),
    /// The same, with what lacks where there is none.
    AnyOf(&'static [&'static str], &'static str),
    /// Whatever the module looks for at a level that receives the value; and what lacks where no level has it.
    Where(fn(&Levels<'_>) -> bool, &'static str),
}
