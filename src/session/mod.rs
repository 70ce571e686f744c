//! What an http request and a stream connection have in common, and the modules both register.

pub mod contexts;
