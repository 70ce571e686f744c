//! Shared zones: bounded tables behind short locks, found by name, kept over reloads.

pub mod cache;
pub mod registry;
pub mod table;
