//! The only room with unsafe code: what std and nix do not wrap.

pub mod socket;
pub mod time;
