//! Passing requests on: one engine for every protocol a backend may speak.

pub mod conf;
pub mod engine;
pub mod exchange;
pub mod relay;
pub mod reply;
pub mod tunnel;
