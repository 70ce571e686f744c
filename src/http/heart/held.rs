//! Responses whose head waits for the whole body, because the head depends on it.

use crate::http::heart::request::Request;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Makes another body out of a whole one, and another head.
pub trait Whole: Send + Sync {
    /// Looks at a response's head before it is sent.
    fn head(&self, request: &mut Request) -> Decision;

    /// Looks at what has come of a body.
    fn begin(&self, request: &mut Request, held: &HeldResponse) -> Progress;

    /// Makes the body; the head is changed in `request`. An error is the status that takes the response's place.
    fn make<'r>(&'r self, request: &'r mut Request, bytes: Vec<u8>) -> Making<'r>;
}

/// A body that is made.
pub type Making<'r> = Pin<Box<dyn Future<Output = Result<Vec<u8>, u16>> + 'r>>;

/// What is done with a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Its body is collected, up to so many bytes.
    Hold(u64),
    /// Another status takes its place.
    Refuse(u16),
    /// It ends without an answer.
    Cut,
}

/// What is done with a body of which a part has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More of it is needed.
    More,
    /// What has come is enough; the rest is dropped.
    Enough,
    /// It is sent as it is.
    Pass,
    /// Another status takes its place.
    Refuse(u16),
}

/// What makes another body at a place.
pub struct AtPlace(pub Arc<dyn Whole>);

/// A response that is held back.
pub struct HeldResponse {
    /// Who waits for its body.
    pub whole: Arc<dyn Whole>,
    /// What came of the body.
    pub bytes: Vec<u8>,
    /// How long it may be.
    pub most: u64,
    /// Whether the rest of the body is dropped.
    pub is_enough: bool,
    /// Whether the body has ended.
    pub is_all: bool,
    /// The status that takes the response's place.
    pub refused: Option<u16>,
    /// Whether it was refused for its head alone: then the headers stay that were added to it.
    pub keeps_headers: bool,
}

impl HeldResponse {
    /// A response of which nothing has come, with its longest body.
    pub const fn new(whole: Arc<dyn Whole>, most: u64) -> Self {
        Self { whole, bytes: Vec::new(), most, is_enough: false, is_all: false, refused: None, keeps_headers: false }
    }
}
