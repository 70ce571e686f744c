//! rnginx: nginx.conf files, nginx's command line, signals, logs and verdicts.
//!
//! `cli` parses arguments, `generation` compiles a configuration, `open` opens what it declared, `parent` holds the
//! sockets and the signals, `worker` and `serve` run the event loops.

mod bundle;
mod channel;
pub mod cli;
mod core;
mod foreign;
mod generation;
mod layout;
mod missing;
pub mod modules;
mod open;
mod parent;
mod serve;
mod tuning;
mod verdict;
pub mod wording;
mod worker;

/// Where a directive that nginx 1.23.4 does not have is from, in a sentence's words.
pub fn origin(name: &str) -> Option<String> {
    foreign::origin(name)
}
