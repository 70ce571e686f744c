//! `rkeepalived`: keepalived's command line, files, processes and behaviour.
//!
//! A configuration goes through `read` (text → blocks → checked `site`); `cli` runs the parent, which keeps one child;
//! the child is `router`, a loop that turns netlink messages, packets and script results into events for the machines of
//! `crate::vrrp` and their actions into system calls. `replay` runs the same machines on a fake clock.

mod bfd;
mod blocks;
mod channel;
mod checkers;
mod contexts;
mod control;
mod dump;
pub mod failover;
mod fifo;
#[cfg(any(fuzzing, test))]
pub mod fuzz;
mod genhash;
mod interfaces;
mod log;
mod mail;
mod names;
mod namespace;
mod notify;
mod options;
mod parent;
mod plan;
mod query;
mod read;
mod record;
mod report;
mod router;
mod scheduling;
mod secret;
mod shown;
mod site;
mod slot;
mod status;
mod track;
pub mod view;

pub mod cli;
mod replay;

pub use contexts::PLACES;
pub use options::all as options;
pub use replay::replay;

use crate::conf::directive::Directive;

/// Every keyword there is, in the manual's order.
pub fn rows() -> impl Iterator<Item = &'static Directive> {
    blocks::MODULES.iter().flat_map(|module| module.directives)
}
