//! The stream server: connections through phases to a proxy or a fixed answer.
//!
//! `connection` takes an accepted socket through its phases, `udp` a client's `datagrams`; `relay` moves the bytes; `build` makes the immutable
//! `site` of merged settings; the modules are in `modules`.

mod build;
mod connection;
mod core;
mod datagrams;
pub mod explain;
mod handshake;
mod health;
mod listen;
mod module;
pub mod modules;
mod pace;
mod relay;
mod session;
mod site;
mod udp;
mod upstream;
mod variables;

#[cfg(test)]
mod tests;

pub use build::site;
pub use connection::serve;
pub use health::start as start_checks;
pub use session::{Ledger, LoopState};
pub use site::{Ending, Port, Site};
pub use udp::{Receiver, Unreceived};
