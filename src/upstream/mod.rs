//! Groups of servers: the choice of the next server, and what is remembered of the outcome.
//!
//! `settings` is the group as configured, `group` the group at work; a balancer is a function over one set of peers.

pub mod checks;
pub mod directives;
pub mod group;
mod hash;
pub mod health;
pub mod health_check;
mod ip_hash;
mod least_conn;
mod least_time;
pub mod measured;
pub mod names;
pub mod peer;
pub mod queue;
mod random;
mod round_robin;
pub mod settings;
pub mod sticky;
pub mod times;
mod view;
pub mod watch;

pub use group::Group;
pub use view::{Inputs, PeerRef, Pick};
