//! Merged settings into a site, and the dry run of a request.

pub mod explain;
mod settings;
mod site;

pub use site::site;
