//! A response: its head and what its body is made of.

use crate::http::heart::filter::{BodyFilter, Include, Then};
use crate::http::heart::held::HeldResponse;
use crate::http::heart::site::Kept;
use crate::http::heart::wire::Spout;
use crate::log::clock;
use crate::net::open_file::Opened;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What a response's body is.
#[derive(Default)]
pub enum Content {
    /// Nothing.
    #[default]
    None,
    /// Bytes.
    Bytes(Cow<'static, [u8]>),
    /// Bytes of the configuration.
    Shared(Arc<[u8]>),
    /// Parts of a file, each behind some bytes (multipart ranges), and bytes behind the last.
    File(Rc<Opened>, Vec<(Vec<u8>, Range<u64>)>, Vec<u8>),
    /// It is sent piece by piece by its handler.
    Streamed,
}

/// Extra headers, in one run of bytes.
#[derive(Default)]
pub struct Headers {
    bytes: Vec<u8>,
    entries: Vec<(u32, u32, u32)>,
}

/// Names whose place in the head depends on their value.
pub const LOCATION: &[u8] = b"Location";

impl Headers {
    /// Adds a header.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(name);
        let middle = self.bytes.len() as u32;
        self.bytes.extend_from_slice(value);
        self.entries.push((start, middle, self.bytes.len() as u32));
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let at = |from: u32, to: u32| self.bytes.get(from as usize..to as usize).unwrap_or_default();
        self.entries.iter().map(move |(start, middle, end)| (at(*start, *middle), at(*middle, *end)))
    }

    /// Gives the first header called `name` another value, where it is.
    pub fn replace(&mut self, name: &[u8], value: &[u8]) {
        let found = self.iter().position(|(own, _)| own.eq_ignore_ascii_case(name));
        let Some(at) = found else { return };
        self.add(name, value);
        if let Some(entry) = self.entries.pop()
            && let Some(old) = self.entries.get_mut(at)
        {
            *old = entry;
        }
    }

    /// Takes every header called `name` out.
    pub fn remove(&mut self, name: &[u8]) {
        let bytes = &self.bytes;
        self.entries.retain(|(start, middle, _)| {
            !bytes.get(*start as usize..*middle as usize).unwrap_or_default().eq_ignore_ascii_case(name)
        });
    }

    /// Forgets all headers.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }
}

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `gzip`
    Gzip,
    /// `br`
    Brotli,
    /// `zstd`
    Zstd,
}

impl Coding {
    /// Its name in Accept-Encoding and Content-Encoding.
    pub const fn name(self) -> &'static [u8] {
        match self {
            Self::Gzip => b"gzip",
            Self::Brotli => b"br",
            Self::Zstd => b"zstd",
        }
    }
}

/// What a compression made of a body.
#[derive(Clone, Copy, Debug)]
pub struct Compressed {
    /// How it was compressed.
    pub coding: Coding,
    /// Bytes before.
    pub before: u64,
    /// Bytes after.
    pub after: u64,
}

/// A response.
#[derive(Default)]
pub struct Response {
    /// The status; 0 until known.
    pub status: u16,
    /// The error's status, which wins over `status`.
    pub error: u16,
    /// A backend's own status line (`200 Fine`).
    pub reason: Vec<u8>,
    /// Content-Type.
    pub content_type: Vec<u8>,
    /// The charset a backend asks for (X-Accel-Charset).
    pub forced_charset: Option<Vec<u8>>,
    /// Content-Length, when known.
    pub length: Option<u64>,
    /// Last-Modified.
    pub last_modified: Option<i64>,
    /// Whether Last-Modified is among `headers` already (a backend's).
    pub last_modified_passed: bool,
    /// ETag; also among `headers`.
    pub etag: Vec<u8>,
    /// Whether Location is a backend's own and stays as it is.
    pub location_as_is: bool,
    /// Whether a backend's Server is among `headers`.
    pub server_passed: bool,
    /// Whether a backend's Date is among `headers`.
    pub date_passed: bool,
    /// Everything else.
    pub headers: Headers,
    /// Whether fields follow the body.
    pub expects_trailers: bool,
    /// The fields behind the body, once it has ended.
    pub trailers: Headers,
    /// Whether ranges of it may be asked for.
    pub ranges: bool,
    /// Whether only one range of it may be asked for at a time.
    pub single_range: bool,
    /// Whether it was looked at whether it is a slice.
    pub is_slice_seen: bool,
    /// Where its body begins in the whole of which it is a slice.
    pub offset: u64,
    /// The range of a streamed body that is sent, counted from the next byte on.
    pub part: Option<Range<u64>>,
    /// Whether clients are told that the answer depends on Accept-Encoding.
    pub vary: bool,
    /// Whether the client may be given gzip, once that is known.
    pub may_gzip: Option<bool>,
    /// How a filter compressed the body, once it has ended.
    pub compressed: Option<Compressed>,
    /// Whether conditional request headers are ignored.
    pub unconditional: bool,
    /// The body.
    pub content: Content,
    /// Whether the connection becomes a tunnel.
    pub upgrade: bool,
    /// Whether the head was given to the connection.
    pub head_made: bool,
    /// Whether no body follows the head.
    pub head_only: bool,
    /// Whether the body is sent in chunks.
    pub chunked: bool,
    /// Bytes of the head.
    pub head_bytes: u64,
    /// Bytes given to the client.
    pub sent: u64,
    /// Whether the client is gone.
    pub broken: bool,
    /// Whether it was larger than the buffer of a response that is kept in memory.
    pub overflowed: bool,
    /// What waits for the whole body before the head is sent.
    pub held: Option<Box<HeldResponse>>,
    /// Whether it was looked at whether it must wait.
    pub was_held: bool,
    /// The filters its body goes through.
    pub filters: Vec<Box<dyn BodyFilter>>,
    /// Those that see it behind all others, with the responses that were put into it.
    pub coders: Vec<Box<dyn BodyFilter>>,
    /// What waits for the response to another request.
    pub later: Option<Box<Later>>,
    /// Whether all of the body is in the output.
    pub complete: bool,
    /// Bytes made and not sent yet.
    pub out: Vec<u8>,
}

/// What is left of a response that was sent, beside Content-Type and status line.
pub struct SentResponse {
    status: u16,
    error: u16,
    head_bytes: u64,
    sent: u64,
    chunked: bool,
    head_only: bool,
    broken: bool,
    complete: bool,
    server_passed: bool,
    date_passed: bool,
    location_as_is: bool,
    /// Extra headers, where variables show them.
    pub headers: Option<Box<Headers>>,
}

impl Response {
    /// What is left of a response whose connection has become a tunnel; nothing where it was more than a head.
    pub fn ended(&mut self) -> Option<SentResponse> {
        let plain = self.is_plain()
            && matches!(self.content, Content::None | Content::Streamed)
            && (self.out.is_empty() && self.etag.is_empty() && self.trailers.entries.is_empty())
            && (self.forced_charset.is_none() && self.last_modified.is_none() && self.part.is_none())
            && (self.compressed.is_none() && self.offset == 0 && self.length.is_none());
        if !plain {
            return None;
        }
        let headers = std::mem::take(&mut self.headers);
        Some(SentResponse {
            status: self.status,
            error: self.error,
            head_bytes: self.head_bytes,
            sent: self.sent,
            chunked: self.chunked,
            head_only: self.head_only,
            broken: self.broken,
            complete: self.complete,
            server_passed: self.server_passed,
            date_passed: self.date_passed,
            location_as_is: self.location_as_is,
            headers: (!headers.entries.is_empty()).then(|| Box::new(headers)),
        })
    }

    /// Makes a new response what that one was, without its headers.
    pub const fn restore(&mut self, ended: &SentResponse) {
        (self.status, self.error) = (ended.status, ended.error);
        (self.head_bytes, self.sent) = (ended.head_bytes, ended.sent);
        (self.chunked, self.head_only, self.broken) = (ended.chunked, ended.head_only, ended.broken);
        (self.server_passed, self.date_passed) = (ended.server_passed, ended.date_passed);
        self.location_as_is = ended.location_as_is;
        (self.head_made, self.upgrade, self.complete) = (true, true, ended.complete);
    }

    /// Makes the response ready for another request, in its allocations.
    pub fn reset(&mut self) {
        let Self {
            status,
            error,
            reason,
            content_type,
            forced_charset,
            length,
            last_modified,
            last_modified_passed,
            etag,
            location_as_is,
            server_passed,
            date_passed,
            headers,
            expects_trailers,
            trailers,
            ranges,
            single_range,
            is_slice_seen,
            offset,
            part,
            vary,
            may_gzip,
            compressed,
            unconditional,
            content,
            upgrade,
            head_made,
            head_only,
            chunked,
            head_bytes,
            sent,
            broken,
            overflowed,
            held,
            was_held,
            filters,
            coders,
            later,
            complete,
            out,
        } = self;
        (*status, *error, *length, *last_modified) = (0, 0, None, None);
        for text in [reason, content_type, etag, out] {
            text.clear();
        }
        for flag in
            [last_modified_passed, location_as_is, server_passed, date_passed, ranges, single_range, unconditional]
        {
            *flag = false;
        }
        for flag in [upgrade, head_made, head_only, chunked, complete, broken, overflowed] {
            *flag = false;
        }
        headers.clear();
        trailers.clear();
        (*expects_trailers, *part, *offset, *is_slice_seen) = (false, None, 0, false);
        (*vary, *may_gzip, *compressed, *forced_charset) = (false, None, None, None);
        *content = Content::None;
        (*head_bytes, *sent) = (0, 0);
        filters.clear();
        coders.clear();
        *later = None;
        (*held, *was_held) = (None, false);
    }

    /// Lets go of memory that is not filled.
    pub fn shrink(&mut self, kept: Kept) {
        if !kept.sent {
            self.headers = Headers::default();
        }
        for text in [&mut self.content_type, &mut self.etag, &mut self.reason, &mut self.headers.bytes] {
            text.shrink_to_fit();
        }
        self.headers.entries.shrink_to_fit();
    }

    /// Whether its body is sent as it is.
    pub const fn is_plain(&self) -> bool {
        !self.chunked
            && self.filters.is_empty()
            && self.coders.is_empty()
            && self.later.is_none()
            && self.held.is_none()
    }

    /// The status as sent.
    pub const fn final_status(&self) -> u16 {
        if self.error != 0 { self.error } else { self.status }
    }

    /// Sets a whole body.
    pub fn set(&mut self, status: u16, content_type: &[u8], body: Cow<'static, [u8]>) {
        self.status = status;
        self.content_type.clear();
        self.content_type.extend_from_slice(content_type);
        self.length = Some(body.len() as u64);
        self.content = Content::Bytes(body);
    }

    /// Sets the redirect target.
    pub fn redirect(&mut self, target: &[u8]) {
        self.headers.remove(LOCATION);
        self.headers.add(LOCATION, target);
        self.location_as_is = false;
    }

    /// The redirect target.
    pub fn location(&self) -> Option<&[u8]> {
        self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(LOCATION)).map(|(_, value)| value)
    }

    /// Sets the ETag.
    pub fn set_etag(&mut self, etag: &[u8]) {
        self.etag.clear();
        self.etag.extend_from_slice(etag);
        self.headers.add(b"ETag", etag);
    }

    /// Takes the ETag back.
    pub fn clear_etag(&mut self) {
        self.etag.clear();
        self.headers.remove(b"ETag");
    }

    /// The body is not the same byte by byte any more: the ETag becomes a weak one.
    pub fn weaken_etag(&mut self) {
        if self.etag.is_empty() || self.etag.starts_with(b"W/") {
            return;
        }
        if !self.etag.starts_with(b"\"") {
            return self.clear_etag();
        }
        self.etag.splice(..0, *b"W/");
        self.headers.replace(b"ETag", &self.etag);
    }

    /// The first value of a header among the extra ones.
    pub fn header(&self, name: &[u8]) -> Option<&[u8]> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The body becomes another: nothing that was said about its bytes holds any more.
    pub fn change_body(&mut self) {
        self.length = None;
        self.ranges = false;
        self.headers.remove(b"Accept-Ranges");
    }

    /// The bytes of a streamed body's next piece that are in the range asked for.
    pub fn select<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let Some(part) = &mut self.part else { return bytes };
        let length = bytes.len() as u64;
        let (start, end) = (part.start.min(length), part.end.min(length));
        (part.start, part.end) = (part.start - start, part.end - end);
        bytes.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Takes all headers back: another response comes in place of this one.
    pub fn clear_headers(&mut self) {
        self.headers.clear();
        self.etag.clear();
        (self.last_modified, self.last_modified_passed) = (None, false);
        (self.server_passed, self.date_passed, self.location_as_is) = (false, false, false);
    }

    /// Takes Last-Modified back.
    pub fn clear_last_modified(&mut self) {
        self.last_modified = None;
        if std::mem::take(&mut self.last_modified_passed) {
            self.headers.remove(b"Last-Modified");
        }
    }

    /// Takes WWW-Authenticate back, when another check granted.
    pub fn forget_challenge(&mut self) {
        self.headers.remove(b"WWW-Authenticate");
    }
}

/// `200 OK` and so on; nothing for statuses nginx has no words for.
pub const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Time-out",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Large",
        415 => "Unsupported Media Type",
        416 => "Requested Range Not Satisfiable",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "",
    }
}

/// A date for a header.
pub fn date(unix: i64) -> String {
    clock::http_date(unix)
}

/// What of a body is not in the output yet, in order.
#[derive(Default)]
pub struct Later {
    /// What is next.
    pub queue: VecDeque<Waiting>,
}

impl Later {
    /// Whether a filter has not seen all that it was given.
    pub fn has_input(&self) -> bool {
        self.queue.iter().any(|waiting| matches!(waiting, Waiting::Input { .. }))
    }
}

/// A part of a body that waits.
pub enum Waiting {
    /// Filtered bytes.
    Bytes(Vec<u8>, Then),
    /// The response to another request.
    Include(Box<Include>),
    /// The same, once the request has begun.
    Playing(Playing),
    /// What the filters from this one on have to see.
    Input {
        /// The first of these filters.
        from: usize,
        /// Its input.
        bytes: Vec<u8>,
        /// What follows.
        then: Then,
    },
}

/// Another request at work.
pub struct Playing {
    /// It, at work.
    pub request: Pin<Box<dyn Future<Output = Ended>>>,
    /// Where its bytes come out.
    pub spout: Rc<Spout>,
    /// Its outcome, where it is done before its turn comes.
    pub ended: Option<Ended>,
    /// Takes the body instead of the client.
    pub keep: Option<Box<dyn FnOnce(Vec<u8>)>>,
}

impl Playing {
    /// Lets the request go on; whether it is done.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if self.ended.is_none()
            && let Poll::Ready(ended) = self.request.as_mut().poll(cx)
        {
            self.ended = Some(ended);
        }
        self.ended.is_some()
    }
}

/// How another request ended.
#[derive(Clone, Copy)]
pub struct Ended {
    /// Its status.
    pub status: u16,
    /// Whether nothing can follow: its response was larger than its buffer, or a slice that did not come whole.
    pub failed: bool,
}
