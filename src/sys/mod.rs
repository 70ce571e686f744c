//! The only room with unsafe code: what std and nix do not wrap.

pub mod inotify;
pub mod linkbeat;
pub mod lookup;
pub mod memory;
pub mod packet;
pub mod pcre;
pub mod pipe;
pub mod process;
pub mod signal;
pub mod socket;
pub mod time;
pub mod zlib;
