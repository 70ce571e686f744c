//! What an http request and a stream connection have in common, and the modules both register.

pub mod access;
pub mod build;
pub mod contexts;
pub mod errorlog;
pub mod format;
pub mod forwarded;
pub mod geo;
pub mod geoip;
pub mod hashing;
pub mod limit_conn;
pub mod listening;
pub mod map;
pub mod open_logs;
pub mod paths;
pub mod pattern;
pub mod pools;
pub mod resolver;
pub mod rows;
pub mod shared;
pub mod slot;
pub mod split_clients;
pub mod tls;
pub mod used;
