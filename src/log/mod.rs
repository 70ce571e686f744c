//! Levels, sinks and line formats of the daemons' logs, and files that access logs share.

pub mod clock;
pub mod error;
pub mod event;
pub mod file;
pub mod journal;
pub mod level;
pub mod syslog;

pub use error::{Log, Sink};
pub use level::Level;
