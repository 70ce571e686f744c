//! What an HTTP/2 client sends, frame by frame as it is read: how much of it is payload, how many streams are wasted, and
//! whether a head is incomplete (RFC 9113 §10.5).
//!
//! The h2 crate bounds what it keeps; this bounds the work a client makes.

use h2::Reason;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Length of the preface, and of a frame's head.
const PREFACE: usize = 24;
const HEAD: usize = 9;
/// What the overhead of a connection may be beyond eight times its payload, in eighths (nginx's number).
const SPARE: u64 = 1 << 20;
/// Time over which wasted streams are counted.
const WINDOW: Duration = Duration::from_secs(1);
/// Wasted streams that are always allowed in that time.
const LEAST: u64 = 100;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Why a connection is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// Nearly all that is sent is overhead.
    Overhead,
    /// Streams are opened to be given up, or beyond the limit.
    ///
    /// Differs from nginx: 1.23.4 serves such clients for ever; later versions end their connections. [test: streams_opened_to_be_reset_end_the_connection]
    Streams,
}

impl Flood {
    /// The line of the error log.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Overhead => "http2 flood detected",
            Self::Streams => "client sent too many refused streams",
        }
    }

    /// The error of the GOAWAY.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Overhead => Reason::NO_ERROR,
            Self::Streams => Reason::ENHANCE_YOUR_CALM,
        }
    }
}

/// Where in the sequence of frames the reader is.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// In the preface: bytes that are left of it.
    Preface(usize),
    /// In a frame's head: what there is of it.
    Head([u8; HEAD], usize),
    /// In a frame's payload: bytes that are left of it.
    Payload(usize),
}

/// What was read of a connection.
pub struct Inbound {
    part: Cell<Part>,
    /// Bytes read, and those of them (and of responses) that are payload.
    total: Cell<u64>,
    payload: Cell<u64>,
    /// Whether a head has begun and not ended: its last frame and whether that is incomplete.
    head_open: Cell<bool>,
    head_ends: Cell<bool>,
    /// The highest number of a stream, how many were opened, and how many frames gave one up.
    highest: Cell<u32>,
    opened: Cell<u64>,
    resets: Cell<u64>,
    /// Whether the socket takes nothing now.
    pub blocked: Cell<bool>,
    /// Bytes the socket has taken.
    pub written: Cell<u64>,
    /// Streams whose requests were begun.
    pub accepted: Cell<u64>,
    /// Wasted streams that are allowed in a [`WINDOW`].
    allowed: u64,
    window: Cell<Option<Window>>,
    /// Bytes read since the connection's task was last run.
    pub at_once: Cell<usize>,
}

impl Inbound {
    /// Nothing was read; `streams` may be open at once.
    pub const fn new(streams: u32) -> Self {
        let twice = streams as u64 * 2;
        Self {
            part: Cell::new(Part::Preface(PREFACE)),
            total: Cell::new(0),
            payload: Cell::new(0),
            head_open: Cell::new(false),
            head_ends: Cell::new(false),
            highest: Cell::new(0),
            opened: Cell::new(0),
            resets: Cell::new(0),
            blocked: Cell::new(false),
            written: Cell::new(0),
            accepted: Cell::new(0),
            allowed: if twice > LEAST { twice } else { LEAST },
            window: Cell::new(None),
            at_once: Cell::new(0),
        }
    }

    /// Takes note of bytes that were read.
    pub fn read(&self, mut bytes: &[u8]) {
        self.total.set(self.total.get() + bytes.len() as u64);
        self.at_once.set(self.at_once.get() + bytes.len());
        while !bytes.is_empty() {
            let (taken, next) = match self.part.get() {
                Part::Preface(left) | Part::Payload(left) => {
                    let taken = left.min(bytes.len());
                    let is_preface = matches!(self.part.get(), Part::Preface(_));
                    let next = if is_preface { Part::Preface(left - taken) } else { Part::Payload(left - taken) };
                    (taken, next)
                }
                Part::Head(mut head, have) => {
                    let taken = (HEAD - have).min(bytes.len());
                    for (to, from) in head.iter_mut().skip(have).zip(bytes) {
                        *to = *from;
                    }
                    let have = have + taken;
                    (taken, if have == HEAD { Part::Payload(self.frame(head)) } else { Part::Head(head, have) })
                }
            };
            bytes = bytes.get(taken..).unwrap_or_default();
            self.part.set(match next {
                Part::Preface(0) | Part::Payload(0) => {
                    if self.head_ends.replace(false) {
                        self.head_open.set(false);
                    }
                    Part::Head([0; HEAD], 0)
                }
                part => part,
            });
        }
    }

    /// Takes note of a frame; the length of its payload.
    fn frame(&self, head: [u8; HEAD]) -> usize {
        let [a, b, c, kind, flags, stream @ ..] = head;
        let length = u32::from_be_bytes([0, a, b, c]);
        let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
        if matches!(kind, DATA | HEADERS | CONTINUATION) {
            self.payload.set(self.payload.get() + u64::from(length));
        }
        if matches!(kind, HEADERS | CONTINUATION) {
            self.head_open.set(true);
            self.head_ends.set(flags & END_HEADERS != 0);
        }
        if kind == HEADERS && stream > self.highest.get() {
            self.highest.set(stream);
            self.opened.set(self.opened.get() + 1);
        }
        if kind == RST_STREAM {
            self.resets.set(self.resets.get() + 1);
        }
        length as usize
    }

    /// Takes note of a response's body bytes.
    pub fn add_response(&self, count: usize) {
        self.total.set(self.total.get() + count as u64);
        self.payload.set(self.payload.get() + count as u64);
    }

    /// Whether a head has begun and not ended.
    pub const fn is_head_open(&self) -> bool {
        self.head_open.get()
    }

    /// Whether the client does nothing but make work; asked when all streams that may be begun are.
    pub fn flood(&self, now: Instant) -> Option<Flood> {
        if self.total.get() / 8 > self.payload.get() + SPARE {
            return Some(Flood::Overhead);
        }
        let wasted = self.opened.get().saturating_sub(self.accepted.get()) + self.resets.get();
        let mut window = self.window.get();
        let last = window.map_or(0, |window| window.last);
        let (began, before) = match window {
            Some(window) if now.saturating_duration_since(window.began) < WINDOW => (window.began, window.before),
            _ => (now, last),
        };
        window = Some(Window { began, before, last: wasted });
        self.window.set(window);
        (wasted.saturating_sub(before) > self.allowed).then_some(Flood::Streams)
    }
}

/// A stretch of time in which wasted streams are counted.
#[derive(Clone, Copy, Debug)]
struct Window {
    began: Instant,
    /// How many were wasted before it began, and until it was last looked at.
    before: u64,
    last: u64,
}

#[cfg(test)]
mod tests;
