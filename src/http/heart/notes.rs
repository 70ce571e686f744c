//! What modules keep with a request, so that they work it out once.

use std::cell::{Cell, RefCell};
use std::ops::Range;

/// What is known of a request's link; the first use settles it for the whole request.
#[derive(Clone, Default)]
pub struct Link {
    /// `$secure_link`: 1, 0 for a link that has ended, or what follows the checksum in the path; nothing for a wrong one.
    pub value: Option<Vec<u8>>,
    /// `$secure_link_expires`.
    pub expires: Option<Vec<u8>>,
}

/// How far a response that is fetched in slices has come: shared by a request and those made for its slices.
#[derive(Default)]
pub struct Slices {
    /// Where the next slice begins.
    pub start: Cell<u64>,
    /// Where the last one ends.
    pub end: Cell<u64>,
    /// The length of the whole.
    pub whole: Cell<u64>,
    /// The ETag all slices must have.
    pub etag: RefCell<Option<Vec<u8>>>,
    /// `$slice_range`.
    pub range: RefCell<String>,
    /// Whether the slice that was asked for has come.
    pub is_there: Cell<bool>,
    /// Whether no slice is asked for any more.
    pub is_over: Cell<bool>,
    /// The part of the whole that is sent, where that is not all.
    pub part: RefCell<Option<Range<u64>>>,
}

impl Slices {
    /// Asks for the slice from `start` on.
    pub fn ask(&self, size: u64) {
        let start = self.start.get();
        *self.range.borrow_mut() = format!("bytes={start}-{}", start.saturating_add(size - 1));
        self.is_there.set(false);
    }
}

/// What is known of the client by its `userid` cookie.
#[derive(Clone, Default)]
pub struct Client {
    /// The identity it has; nothing where the last number is 0.
    pub got: [u32; 4],
    /// The one it is given; nothing where the last number is 0.
    pub set: [u32; 4],
    /// The value of its cookie.
    pub cookie: Vec<u8>,
    /// Whether it is given another one for what it has.
    pub is_reset: bool,
}
