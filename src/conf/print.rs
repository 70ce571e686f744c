//! Complaints as the operator sees them: nginx's line, a picture of the place, and data.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod json;
mod nginx;
mod picture;
pub mod sarif;

pub use json::Format;
pub use nginx::{line, nginx};
pub use picture::{count, picture};
