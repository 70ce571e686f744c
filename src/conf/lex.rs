//! Words, quotes and comments of both dialects.

pub mod keepalived;
pub mod nginx;
