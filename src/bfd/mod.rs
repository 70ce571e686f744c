//! Bidirectional Forwarding Detection (RFC 5880, single hop RFC 5881): pure; no clock, no socket, no randomness of its own.
//!
//! `packet` is the control packet as bytes, `session` is one session, `sessions` is all of a host and finds the session of a
//! packet.

pub mod packet;
pub mod session;
pub mod sessions;
