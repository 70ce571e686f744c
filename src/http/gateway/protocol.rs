//! What a gateway asks of the protocol it speaks, and where its requests go.

use super::lookup::Servers;
use crate::http::heart::request::Request;
use crate::http::heart::upstream::Pool;
use std::sync::Arc;

/// What a gateway's protocol must know.
pub trait Protocol: Send + Sync {
    /// The group a request goes to, and the URI it asks for there.
    ///
    /// # Errors
    /// The status to answer with, when there is no such place.
    fn target(&self, request: &Request) -> Result<Target, u16>;

    /// The group requests go to, where it is known beforehand.
    fn pool(&self) -> Option<&Arc<Pool>>;

    /// Appends the request's head; `body` is the length of the body that follows, nothing for chunks.
    ///
    /// # Errors
    /// The status to answer with, where the protocol cannot carry the head; logged.
    fn encode(&self, request: &Request, target: &Target, body: BodyLength, out: &mut Vec<u8>) -> Result<(), u16>;

    /// The head as a person reads it.
    fn shown(&self, _request: &Request, head: Vec<u8>) -> Vec<u8> {
        head
    }

    /// Whether a body of unknown length can be passed on as it comes.
    fn passes_chunks(&self, request: &Request) -> bool;

    /// What answers are kept by in a cache where `*_cache_key` says nothing.
    fn cache_key(&self, _target: &Target) -> Vec<u8> {
        Vec::new()
    }

    /// A body that replaces the client's.
    fn body(&self, _request: &Request) -> Option<Vec<u8>> {
        None
    }

    /// Rewrites a response's headers (Location, Refresh, Set-Cookie).
    fn rewrite(&self, _request: &Request, _name: &[u8], _value: &[u8]) -> Option<Vec<u8>> {
        None
    }

    /// `http://` or, with TLS, `https://`, and so for others, for logs.
    fn scheme(&self, secure: bool) -> &'static str;
}

/// Where a request goes.
pub struct Target {
    /// The servers.
    pub servers: Servers,
    /// Path and arguments.
    pub uri: Vec<u8>,
    /// The host (and port) the configuration or a variable names.
    pub host: Vec<u8>,
    /// Whether it is spoken to over TLS.
    pub secure: bool,
}

/// How the body of a passed request is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none.
    None,
    /// So many bytes.
    Known(u64),
    /// Chunks.
    Chunked,
}
