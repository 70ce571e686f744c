//! Filters between a response and the client: they see requests and bytes, no sockets.
//!
//! Filters see a response in the order of [`Slot`], which is nginx's, whatever the order of the modules. A filter may put
//! the response to another request of the server's own between its bytes ([`Pieces::include`]); the writer
//! ([`crate::http::route::output`]) sends everything in order.

use crate::http::heart::request::Request;
use crate::log::Level;
use std::borrow::Cow;

/// When a filter sees a response: nginx's order, first to see it first.
///
/// In full: slice, `not_modified`, the body's ranges, copy, headers, userid, gunzip, addition, sub, image, xslt, charset,
/// ssi; here the responses to the server's own requests come in; then zstd, brotli, gzip, the head's ranges, chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// `slice`; before the conditions of the request are looked at.
    Slice,
    /// `expires`, `add_header`.
    Headers,
    /// `userid`.
    Userid,
    /// `gunzip`.
    Gunzip,
    /// `add_before_body`, `add_after_body`.
    Addition,
    /// `sub_filter`.
    Sub,
    /// `charset`.
    Charset,
    /// `ssi`.
    Ssi,
    /// `zstd`, of a module that is loaded behind brotli's and so sees a response before it.
    Zstd,
    /// `brotli`.
    Brotli,
    /// `gzip`.
    Gzip,
}

impl Slot {
    /// Whether it sees the whole of what is sent, other responses included.
    pub fn is_last(self) -> bool {
        self >= Self::Zstd
    }
}

/// A filter of a location: looks at each response's head, and may give a filter for the body.
pub trait Filter: Send + Sync {
    /// Its place among the filters.
    fn slot(&self) -> Slot;

    /// Changes the head; whoever leaves no body filter is not asked again for this response.
    fn head(&self, request: &mut Request) -> Option<Box<dyn BodyFilter>>;
}

/// What follows the bytes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// More.
    More,
    /// Nothing for now: what a filter holds back goes on, as far as it can.
    Flush,
    /// Nothing at all: they were the last.
    Last,
}

/// The part of a filter that sees one response's body.
pub trait BodyFilter {
    /// Takes bytes, and appends what becomes of them.
    ///
    /// # Errors
    /// The response cannot go on; why has been logged.
    fn body(&mut self, request: &mut Request, bytes: &[u8], then: Then, out: &mut Pieces<'_>) -> Result<(), Failed>;

    /// Whether a part of the input is still to be filtered. The writer sends what there is, the responses to other requests
    /// included, and then calls [`Self::body`] again, without new bytes and with the same `then`.
    fn holds(&self) -> bool {
        false
    }
}

impl Request {
    /// Logs why a filter failed.
    pub fn log_filter(&self, level: Level, text: &str) {
        let answer = if self.attempts.current_url().is_some() { "" } else { "response " };
        self.log(level, &format!("{text} while sending {answer}to client"));
    }
}

/// A response that cannot go on.
#[derive(Clone, Copy, Debug)]
pub struct Failed;

/// A piece of a body.
pub enum Piece<'a> {
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// The response to a request of the server's own.
    Include(Box<Include>),
}

impl Piece<'_> {
    /// Its bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.into_owned(),
            Self::Include(_) => Vec::new(),
        }
    }
}

/// A request whose response's body comes here.
#[derive(Default)]
pub struct Include {
    /// Its path.
    pub uri: Vec<u8>,
    /// Its arguments.
    pub args: Option<Vec<u8>>,
    /// The stub: sent where its response fails or is empty.
    pub stub: Option<Vec<u8>>,
    /// Takes the response's body, which is then not sent.
    pub keep: Option<Box<dyn FnOnce(Vec<u8>)>>,
    /// Whether it is this request once more, for the next slice; the path is then of no account.
    pub repeats: bool,
}

/// What a filter makes, in order.
#[derive(Default)]
pub struct Pieces<'a> {
    list: Vec<Piece<'a>>,
}

impl<'a> Pieces<'a> {
    /// Bytes at the end, to append to.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        if !matches!(self.list.last(), Some(Piece::Bytes(Cow::Owned(_)))) {
            self.list.push(Piece::Bytes(Cow::Owned(Vec::new())));
        }
        match self.list.last_mut() {
            Some(Piece::Bytes(bytes)) => bytes.to_mut(),
            _ => unreachable!("a piece was just added"),
        }
    }

    /// The response to a request of the server's own comes next.
    pub fn include(&mut self, include: Include) {
        self.list.push(Piece::Include(Box::new(include)));
    }

    /// The pieces, in order.
    pub fn into_list(self) -> Vec<Piece<'a>> {
        self.list
    }
}
