//! What stands between a response and the client: filters know requests and bytes, no sockets.

use super::request::Request;

/// A filter of a location: looks at each response's head, and may give a filter for the body.
pub trait Filter: Send + Sync {
    /// Changes the head; whoever leaves no body filter is not asked again for this response.
    fn head(&self, request: &mut Request) -> Option<Box<dyn BodyFilter>>;
}

/// The part of a filter that sees one response's body.
pub trait BodyFilter {
    /// Takes bytes, appends what becomes of them; `last` with the final ones.
    fn body(&mut self, bytes: &[u8], last: bool, out: &mut Vec<u8>);
}
