//! A place that must not answer, because what protects it or makes its answers is not served.

use crate::http::heart::handler::{Flow, Handler};
use crate::http::heart::request::Request;
use crate::log::Level;

/// Refuses every request with 503.
pub struct Closed;

impl Handler for Closed {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        request.log(Level::Error, "the request is refused, as it depends on something that is not served");
        Flow::Finish(503)
    }
}
