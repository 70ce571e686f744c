//! Words, quotes and comments of both dialects.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod command;
pub mod keepalived;
pub mod nginx;
