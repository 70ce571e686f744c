//! The http server: requests through phases, filters and gateways.
//!
//! A connection reads heads (`codec`, `head`, `connection`), a request finds its server and location (`listen`,
//! `location`), runs through phases (`phase`), gets a response (`response`, `finish`) that filters see, and is logged.
//! `build` makes the immutable `site` of merged settings.

mod base64;
mod body;
mod build;
mod closed;
mod codec;
mod conditional;
mod connection;
mod core;
mod encode;
pub mod explain;
mod filter;
mod finish;
#[cfg(fuzzing)]
pub mod fuzz;
mod gateway;
mod h2;
mod handshake;
mod head;
mod inbound;
mod known;
mod listen;
mod location;
mod module;
pub mod modules;
mod output;
mod pace;
mod phase;
mod range;
mod reading;
mod request;
mod response;
mod secure;
mod site;
mod subrequest;
mod target;
mod upstream;
mod uri;
mod variables;
mod wire;

pub use build::site;
pub use connection::{Counters, Front, serve};
pub use encode::{SERVER, SERVER_BUILD};
pub use listen::Port;
pub use site::Site;
