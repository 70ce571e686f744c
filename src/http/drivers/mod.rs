//! Connections into requests, and requests through their phases.

pub mod connection;
pub mod h2;
pub mod handshake;
pub mod health;
pub mod phase;
pub mod reading;
pub mod subrequest;
