//! TLS: the rows every server that terminates it has, and what can be known of certificates, keys and ciphers before serving.
//!
//! nginx hands all of this to OpenSSL while it merges settings; the words of its complaints are OpenSSL's.

mod certificate;
pub mod check;
pub mod ciphers;
pub mod client;
pub mod clients;
pub mod context;
mod der;
pub mod directives;
mod dn;
pub mod facts;
pub mod files;
pub mod info;
pub mod kept;
pub mod key;
mod names;
pub mod ocsp;
pub mod pairs;
mod pem;
mod policy;
pub mod preread;
pub mod responder;
pub mod revocation;
pub mod sessions;
mod signature;
pub mod stapling;
mod suites;
#[cfg(test)]
mod testing;
pub mod upstream;
pub mod verify;

pub use client::ClientConf;
pub use directives::TlsConf;
