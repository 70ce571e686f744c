//! rnginx: nginx.conf files, nginx's command line, signals, logs and verdicts.
//!
//! `cli` parses arguments, `generation` compiles a configuration, `open` opens what it declared, `parent` holds the
//! sockets and the signals, `worker` and `serve` run the event loops.

mod bundle;
mod channel;
pub mod cli;
mod core;
pub mod explain;
mod foreign;
#[cfg(fuzzing)]
pub mod fuzz;
mod generation;
mod layout;
mod liveness;
pub mod modules;
mod open;
mod options;
mod parent;
mod serve;
mod tuning;
mod unserved;
mod verdict;
pub mod view;
pub mod wording;
mod worker;

pub use options::all as options;
