//! What is served: servers and their steps, immutable and shared by all loops.

use super::handshake::Secure;
use super::health::HealthCheck;
use super::module::{Content, Handler, PHASES};
use super::session::Session;
use super::upstream::Upstreams;
use crate::log::Log;
use crate::net::address::Address;
use crate::net::listen::Options;
use crate::net::resolver::Lookup;
use crate::script::variable::Definitions;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// One stream configuration, ready to serve.
pub struct Site {
    /// The sockets and who is served on them.
    pub ports: Vec<Arc<Port>>,
    /// What the configuration's own variables mean.
    pub definitions: Definitions<Session>,
    /// The groups of backends.
    pub upstreams: Upstreams,
    /// The servers whose groups are checked.
    pub checked: Vec<Arc<Server>>,
}

/// A server.
pub struct Server {
    /// The steps of each phase.
    pub steps: [Box<[Box<dyn Handler>]>; PHASES],
    /// TLS, where an address of the server has it.
    pub tls: Option<Secure>,
    /// `preread_buffer_size`.
    pub preread_size: usize,
    /// `preread_timeout`.
    pub preread_timeout: Duration,
    /// What it does in the end.
    pub content: Box<dyn Content>,
    /// `error_log`.
    pub error_log: Log,
    /// `resolver` and `resolver_timeout`.
    pub resolver: Option<Lookup>,
    /// `tcp_nodelay`.
    pub tcp_nodelay: bool,
    /// `proxy_protocol_timeout`.
    pub proxy_protocol_timeout: Duration,
    /// `health_check`.
    pub health: Option<HealthCheck>,
}

/// The server of one address.
pub struct Virtual {
    /// The address.
    pub address: Address,
    /// Who is served there.
    pub server: Arc<Server>,
    /// Whether connections begin with a PROXY protocol head.
    pub proxy_protocol: bool,
    /// Whether they speak TLS.
    pub secure: bool,
}

/// One listening socket and what is served on it.
pub struct Port {
    /// What it is bound to.
    pub address: Address,
    /// Its options.
    pub options: Options,
    /// Addresses served on it, the bound one last; several when a wildcard socket serves specific addresses too.
    pub virtuals: Vec<Virtual>,
}

impl Port {
    /// The server for a connection to `local`.
    pub fn of(&self, local: Option<SocketAddr>) -> Option<&Virtual> {
        let local = local.map(|local| local.ip().to_canonical());
        let specific = self.virtuals.iter().find(|entry| entry.address.ip() == local && local.is_some());
        specific.or_else(|| self.virtuals.last())
    }
}
