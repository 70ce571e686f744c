//! TLS: the rows every server that terminates it has, and what can be known of certificates, keys and ciphers before serving.
//!
//! nginx hands all of this to OpenSSL while it merges settings; the words of its complaints are OpenSSL's.

mod certificate;
pub mod check;
pub mod ciphers;
pub mod client;
pub mod directives;
mod names;

pub use client::ClientConf;
pub use directives::TlsConf;
