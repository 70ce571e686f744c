//! Words, quotes and comments of both dialects.

pub mod nginx;
