//! address × name → server: the choice at run time.

use crate::http::heart::site::Server;
use crate::net::address::Address;
use crate::net::listen::Options;
use crate::script::hash::Wildcards;
use std::net::SocketAddr;
use std::sync::Arc;

/// The servers of one address.
pub struct Virtual {
    /// The address.
    pub address: Address,
    /// The server for unknown names.
    pub default: Arc<Server>,
    /// The servers by name.
    pub names: Wildcards<Arc<Server>>,
    /// Whether connections begin with a PROXY protocol head.
    pub proxy_protocol: bool,
    /// Whether connections are to speak TLS.
    pub secure: bool,
    /// Whether they may speak HTTP/2.
    pub http2: bool,
}

/// One listening socket and what is served on it.
pub struct Port {
    /// What it is bound to.
    pub address: Arc<Address>,
    /// Its options.
    pub options: Options,
    /// Addresses served on it, the bound one last; several when a wildcard socket serves specific addresses too.
    pub virtuals: Vec<Arc<Virtual>>,
}

impl Port {
    /// The servers for a connection to `local`.
    pub fn of(&self, local: Option<SocketAddr>) -> Option<&Arc<Virtual>> {
        if let (Some(local), true) = (local, self.virtuals.len() > 1) {
            let ip = local.ip().to_canonical();
            let specific = self.virtuals.iter().find(|entry| entry.address.ip() == Some(ip));
            if specific.is_some() {
                return specific;
            }
        }
        self.virtuals.last()
    }
}
