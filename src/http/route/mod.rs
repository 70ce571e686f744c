//! From a head to its place, and from a decision to bytes.

pub mod closed;
pub mod conditional;
pub mod credentials;
pub mod encode;
pub mod finish;
pub mod hold;
pub mod open;
pub mod output;
pub mod range;
pub mod rename;
pub mod target;
pub mod variables;
