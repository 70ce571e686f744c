//! The stream server: connections through phases to a proxy or a fixed answer.
//!
//! `connection` takes an accepted socket through its phases; `relay` moves the bytes; `build` makes the immutable
//! `site` of merged settings; the modules stand in `modules`.

mod build;
mod connection;
mod core;
pub mod explain;
mod handshake;
mod listen;
mod module;
pub mod modules;
mod relay;
mod session;
mod site;
mod upstream;
mod variables;

#[cfg(test)]
mod tests;

pub use build::site;
pub use connection::serve;
pub use session::{Front, Ledger};
pub use site::{Port, Site};
