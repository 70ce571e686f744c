//! The product's front door.

pub mod cli;
mod missing;
pub mod modules;
pub mod wording;
