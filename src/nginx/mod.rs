//! The product's front door.

pub mod cli;
