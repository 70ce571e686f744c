//! The places a directive may stand in.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// A set of the places a directive may stand in; each product names its own bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Contexts(pub u64);

impl Contexts {
    /// Either set.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the two have a place in common.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}
