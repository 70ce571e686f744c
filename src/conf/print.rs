//! Complaints as the operator sees them: nginx's line, a picture of the place, and data.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod json;
mod nginx;
mod picture;

pub use json::{data, report};
pub use nginx::{line, nginx};
pub use picture::picture;
