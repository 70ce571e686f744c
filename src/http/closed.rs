//! A place that must not answer, because what protects it or makes its answers is not served.

use super::phase::{Flow, Handler};
use super::request::Request;
use crate::log::Level;

/// Refuses every request with 503, where limits are enforced.
pub struct Closed;

impl Handler for Closed {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        request.log(Level::Error, "the location is closed, as a directive it has is not served");
        Flow::Finish(503)
    }
}
