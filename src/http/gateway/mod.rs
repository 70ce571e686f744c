//! Passing requests on: one engine for every protocol a backend may speak.

pub mod attempts;
pub mod buffer;
pub mod cache;
pub mod conf;
pub mod engine;
pub mod exchange;
pub mod health;
pub mod hints;
pub mod lookup;
pub mod params;
pub mod pass;
pub mod protocol;
pub mod relay;
pub mod secure;
pub mod tunnel;
pub mod upload;
pub mod upstream_response;
