//! The Virtual Router Redundancy Protocol: pure; no clock, no socket, no file.
//!
//! `wire` and `neighbour` are bytes, `config` is a valid router, `machine` is the router itself with `announce` as its
//! voice towards the neighbours. `weight` and `group` are functions over routers; what they find out enters the machine
//! as events, so that there is one way in.

pub mod announce;
pub mod config;
pub mod group;
mod limit;
pub mod machine;
pub mod neighbour;
pub mod note;
pub mod refusal;
pub mod weight;
pub mod wire;
