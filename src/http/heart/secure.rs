//! TLS of a server: what its handshakes are made of.

use crate::http::heart::request::Request;
use crate::session::tls::Named;
use crate::tls::clients::Verdict;
use crate::tls::context::ServerContext;
use crate::tls::directives::Verify;
use crate::tls::facts::Facts;
use crate::tls::revocation::Revocation;
use crate::tls::stapling::Staple;
use rustls::server::ClientHello;
use rustls::{CommonState, ServerConfig};
use std::sync::Arc;

/// TLS towards the servers of a gateway.
pub type ServerSide = crate::session::tls::ServerSide<Request>;

/// TLS of a server.
pub struct ServerTls {
    /// What handshakes are made of; none for a server that has no certificate.
    pub context: Option<Contexts>,
    /// `ssl_verify_client`.
    pub verify: Verify,
    /// `ssl_reject_handshake`.
    pub rejects: bool,
}

/// The same with HTTP/1 alone in ALPN, and with HTTP/2.
pub struct Contexts {
    h1: ServerContext,
    h2: ServerContext,
    /// Certificates and keys that variables name, and where those files are.
    named: Option<Named<Request>>,
}

/// Protocols of ALPN without HTTP/2 (RFC 7301 §6).
const H1: [&[u8]; 3] = [b"http/1.1", b"http/1.0", b"http/0.9"];
const H2: [&[u8]; 4] = [b"h2", b"http/1.1", b"http/1.0", b"http/0.9"];

impl Contexts {
    /// Both of a server.
    pub fn new(context: ServerContext, named: Option<Named<Request>>) -> Self {
        Self { h1: context.clone().protocols(&H1), h2: context.protocols(&H2), named }
    }

    /// Judges what a client has shown.
    pub fn verdict(&self, state: &CommonState, now: i64) -> Verdict {
        self.h1.clients().verdict(state.peer_certificates(), now)
    }

    /// The OCSP responses that are to be fetched now.
    pub fn due(&self, now: i64) -> impl Iterator<Item = &Arc<Staple>> {
        self.h1.staples().iter().filter(move |staple| staple.is_due(now))
    }

    /// How clients' certificates are asked about, and the chain of one that was accepted.
    pub fn revocation(&self, state: &CommonState, now: i64) -> Option<(Arc<Revocation>, Vec<Facts>)> {
        let chain = self.h1.clients().chain(state.peer_certificates()?, now);
        self.h1.revocation().map(|revocation| (revocation.clone(), chain))
    }

    /// Whether the client is to be refused for an older version than it speaks.
    pub fn is_fallback(&self, hello: &ClientHello<'_>) -> bool {
        self.h1.is_fallback(hello)
    }

    /// The configuration of a handshake; where certificates are named by variables, `request` makes what evaluates them.
    ///
    /// # Errors
    /// Why a certificate cannot be loaded.
    pub fn config(
        &self,
        http2: bool,
        hello: &ClientHello<'_>,
        request: impl FnOnce() -> Request,
    ) -> Result<Arc<ServerConfig>, String> {
        let context = if http2 { &self.h2 } else { &self.h1 };
        match &self.named {
            None => Ok(context.config(hello)),
            Some(named) => Ok(context.with_pairs(hello, named.load(&request())?)),
        }
    }
}
