//! The http server: requests through phases, filters and gateways.
//!
//! | inner floor | room | what is there | may be a circle |
//! |---|---|---|---|
//! | 0 | codec | bytes ⇄ meaning, without input or output: HTTP/1 and HTTP/2 heads, URI escaping | no |
//! | 1 | heart | a request, its connection, its site, its handlers and filters: they name each other by nature | yes |
//! | 2 | route | target, variables, what a status answers, the writer | no |
//! | 3 | gateway | passing requests on | no |
//! | 4 | modules | nginx's modules, one a file | no |
//! | 5 | drivers | connections into requests, the phase runner, requests of the server's own | no |
//! | 6 | build | settings into a site; the dry run | no |
//!
//! Imports point down. `compat-tests/tests/house.rs` reads this table and holds the code to it.

mod build;
mod codec;
mod drivers;
#[cfg(fuzzing)]
pub mod fuzz;
mod gateway;
mod heart;
pub mod modules;
mod route;

pub use build::explain;
pub use build::site;
pub use drivers::connection::serve;
pub use drivers::health::start as start_checks;
pub use heart::client::{Counters, LoopState};
pub use heart::port::Port;
pub use heart::site::Site;
pub use heart::trace;
pub use route::encode::{SERVER, SERVER_BUILD};
