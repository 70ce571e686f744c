//! A request head: the bytes as they came, the request line, and headers as ranges of those bytes.

use crate::http::codec::h1::{Part, RequestLine};
use crate::net::event_loop::Buffer;

/// The headers the server itself looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Known {
    /// Host
    Host,
    /// Connection
    Connection,
    /// If-Modified-Since
    IfModifiedSince,
    /// If-Unmodified-Since
    IfUnmodifiedSince,
    /// If-Match
    IfMatch,
    /// If-None-Match
    IfNoneMatch,
    /// User-Agent
    UserAgent,
    /// Referer
    Referer,
    /// Content-Length
    ContentLength,
    /// Content-Type
    ContentType,
    /// Range
    Range,
    /// If-Range
    IfRange,
    /// Transfer-Encoding
    TransferEncoding,
    /// Expect
    Expect,
    /// Upgrade
    Upgrade,
    /// Authorization
    Authorization,
    /// Keep-Alive
    KeepAlive,
    /// Accept-Encoding
    AcceptEncoding,
    /// Via
    Via,
    /// Content-Range
    ContentRange,
}

/// How many known headers there are.
const KNOWN: usize = 20;

/// Known names with whether a second one is refused.
const NAMES: [(&[u8], Known, bool); KNOWN] = [
    (b"host", Known::Host, true),
    (b"connection", Known::Connection, false),
    (b"if-modified-since", Known::IfModifiedSince, true),
    (b"if-unmodified-since", Known::IfUnmodifiedSince, true),
    (b"if-match", Known::IfMatch, true),
    (b"if-none-match", Known::IfNoneMatch, true),
    (b"user-agent", Known::UserAgent, false),
    (b"referer", Known::Referer, false),
    (b"content-length", Known::ContentLength, true),
    (b"content-type", Known::ContentType, false),
    (b"range", Known::Range, false),
    (b"if-range", Known::IfRange, true),
    (b"transfer-encoding", Known::TransferEncoding, true),
    (b"expect", Known::Expect, true),
    (b"upgrade", Known::Upgrade, false),
    (b"authorization", Known::Authorization, true),
    (b"keep-alive", Known::KeepAlive, false),
    (b"accept-encoding", Known::AcceptEncoding, false),
    (b"via", Known::Via, false),
    (b"content-range", Known::ContentRange, true),
];

/// The value of a cookie in a Cookie line. Pairs may be separated by commas as well, but a value ends at a semicolon only.
pub fn cookie_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = line;
    loop {
        if let Some(value) = set_cookie_of(rest, name) {
            return Some(value);
        }
        // What follows the name where a `=` is missing belongs to the pair, even a separator.
        let named = rest.split_at_checked(name.len()).filter(|(own, _)| own.eq_ignore_ascii_case(name));
        let behind = named.map_or(rest, |(_, behind)| without_blanks(behind).get(1..).unwrap_or_default());
        let end = memchr::memchr2(b';', b',', behind)?;
        rest = without_blanks(behind.get(end + 1..).unwrap_or_default());
    }
}

/// The value of a cookie in a Set-Cookie line; there may be blanks around the `=`.
pub fn set_cookie_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (own, rest) = line.split_at_checked(name.len())?;
    let value = without_blanks(without_blanks(rest).strip_prefix(b"=").filter(|_| own.eq_ignore_ascii_case(name))?);
    value.split(|byte| *byte == b';').next()
}

fn without_blanks(text: &[u8]) -> &[u8] {
    text.get(text.iter().take_while(|byte| **byte == b' ').count()..).unwrap_or_default()
}

/// One header.
#[derive(Clone, Debug)]
pub struct Header {
    /// Its name as sent.
    pub name: Part,
    /// Its value.
    pub value: Part,
    /// What it is, if the server looks at it.
    pub known: Option<Known>,
}

/// A header of a head of less than 64 KiB.
pub struct PackedHeader {
    ends: [u16; 4],
    known: Option<Known>,
}

impl From<&Header> for PackedHeader {
    fn from(header: &Header) -> Self {
        let Header { name, value, known } = header;
        Self { ends: [name.start, name.end, value.start, value.end].map(|at| at as u16), known: *known }
    }
}

impl From<&PackedHeader> for Header {
    fn from(packed: &PackedHeader) -> Self {
        let [start, middle, from, to] = packed.ends.map(u32::from);
        Self { name: start..middle, value: from..to, known: packed.known }
    }
}

/// A head under construction or complete.
pub struct Head {
    /// The bytes; unread input begins at `bytes.start`.
    pub bytes: Buffer,
    /// The request line.
    pub line: RequestLine,
    /// The headers, in order.
    pub headers: Vec<Header>,
    first: [u16; KNOWN],
    /// First byte behind the head.
    pub end: u32,
}

impl Head {
    /// An empty head over `bytes`.
    pub fn new(bytes: Buffer) -> Self {
        Self { bytes, line: RequestLine::default(), headers: Vec::new(), first: [u16::MAX; KNOWN], end: 0 }
    }

    /// Its headers in half their memory; nothing of a head that is larger than most.
    pub fn packed(&self) -> Option<Box<[PackedHeader]>> {
        u16::try_from(self.end).ok()?;
        Some(self.headers.iter().map(PackedHeader::from).collect())
    }

    /// A head that was read before, over its bytes.
    pub fn parsed(bytes: Buffer, line: RequestLine, headers: &[PackedHeader], end: u32) -> Self {
        let mut first = [u16::MAX; KNOWN];
        for (index, header) in (0..).zip(headers) {
            if let Some(slot) = header.known.and_then(|known| first.get_mut(known as usize))
                && *slot == u16::MAX
            {
                *slot = index;
            }
        }
        Self { bytes, line, headers: headers.iter().map(Header::from).collect(), first, end }
    }

    /// Makes the request line's version that of HTTP/2; it is the last word of the line.
    pub fn say_http2(&mut self) {
        let end = self.line.line.end as usize;
        if let Some(digits) = end.checked_sub(3).and_then(|start| self.bytes.all().get_mut(start..end)) {
            digits.copy_from_slice(b"2.0");
            self.line.version = 2000;
        }
    }

    /// The bytes of a part.
    pub fn text(&self, part: &Part) -> &[u8] {
        self.bytes.at(part.start as usize, part.end as usize)
    }

    /// Adds a header; gives the earlier value's part when the name may not come twice.
    pub fn add(&mut self, name: Part, value: Part) -> Option<(Known, Part)> {
        let known = self.known_name(&name);
        let index = u16::try_from(self.headers.len()).unwrap_or(u16::MAX);
        let mut clash = None;
        if let Some((known, single)) = known
            && let Some(first) = self.first.get_mut(known as usize)
        {
            if *first == u16::MAX {
                *first = index;
            } else if single {
                clash = self.headers.get(usize::from(*first)).map(|header| (known, header.value.clone()));
            }
        }
        self.headers.push(Header { name, value, known: known.map(|(known, _)| known) });
        clash
    }

    fn known_name(&self, name: &Part) -> Option<(Known, bool)> {
        let text = self.text(name);
        NAMES
            .iter()
            .find(|(known, ..)| known.len() == text.len() && text.eq_ignore_ascii_case(known))
            .map(|row| (row.1, row.2))
    }

    /// The first value of a known header.
    pub fn get(&self, known: Known) -> Option<&[u8]> {
        let index = *self.first.get(known as usize)?;
        self.headers.get(usize::from(index)).map(|header| self.text(&header.value))
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8], Option<Known>)> {
        self.headers.iter().map(|header| (self.text(&header.name), self.text(&header.value), header.known))
    }

    /// The values of all headers called `name` with `-` written as `_` (the names of variables).
    pub fn named(&self, name: &[u8]) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |(header, ..)| variable_name_is(header, name)).map(|(_, value, _)| value)
    }
}

/// Whether `header`, in lower case and with `_` for `-`, is `name`.
pub fn variable_name_is(header: &[u8], name: &[u8]) -> bool {
    header.len() == name.len()
        && header.iter().zip(name).all(|(a, b)| {
            let a = if *a == b'-' { b'_' } else { a.to_ascii_lowercase() };
            a == *b
        })
}
