//! Health checks of real servers, and what they mean for a virtual server: pure; no clock, no socket, no file.
//!
//! `schedule` says when a check is made and what one result comes to, `report` what is said of it; `server` is a virtual
//! server with its real servers, its quorum and its sorry server. Each kind of check is a file.

pub mod dns;
pub mod file;
pub mod grpc;
pub mod health;
pub mod http;
pub mod misc;
pub mod mqtt;
pub mod ping;
pub mod probe;
pub mod report;
pub mod schedule;
pub mod server;
pub mod smtp;
pub mod tcp;
pub mod udp;
