//! What every part of the http server knows: requests, connections, sites, handlers, filters.

pub mod body;
pub mod client;
pub mod filter;
pub mod handler;
pub mod head;
pub mod held;
pub mod inbound;
pub mod includes;
pub mod location;
pub mod module;
pub mod notes;
pub mod pace;
pub mod port;
pub mod referers;
pub mod request;
pub mod response;
pub mod script;
pub mod secure;
pub mod settings;
pub mod site;
pub mod sticky;
pub mod stream;
pub mod suspended;
pub mod trace;
pub mod upstream;
pub mod wire;
