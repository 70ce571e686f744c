//! The Virtual Router Redundancy Protocol: pure; no clock, no socket, no file.
//!
//! `wire` and `neighbour` are bytes, `config` is a valid router, `machine` is the router itself, and `announce` schedules
//! its announcements to neighbours. `weight` and `group` are functions over routers; `node` is all routers of a host and
//! applies them; `network` lets several nodes talk to each other on a fake clock. The daemon runs one node, `explain` and
//! the tests a network of them.

pub mod announce;
pub mod config;
pub mod conflict;
pub mod counters;
pub mod group;
mod limit;
pub mod machine;
pub mod neighbour;
pub mod network;
pub mod node;
pub mod note;
pub mod refusal;
pub mod weight;
pub mod wire;
