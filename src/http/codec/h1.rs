//! HTTP/1.x heads, byte for byte as nginx reads them: what it accepts, what it refuses, and with which words.
//!
//! Nothing is copied: results are ranges of the text that was given. A head may come in pieces; each call looks at a
//! whole line or says that more is needed, and refuses at the first wrong byte, not at the end of the line.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::ops::Range;

/// Bytes of the buffer a head was parsed from.
pub type Part = Range<u32>;

/// The request methods nginx knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Method {
    /// GET
    #[default]
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// TRACE
    Trace,
    /// CONNECT
    Connect,
    /// PATCH
    Patch,
    /// The WebDAV methods: MKCOL, COPY, MOVE, PROPFIND, PROPPATCH, LOCK, UNLOCK.
    Dav,
    /// Any other word of capitals.
    Unknown,
}

fn method_of(name: &[u8]) -> Method {
    match name {
        b"GET" => Method::Get,
        b"HEAD" => Method::Head,
        b"POST" => Method::Post,
        b"PUT" => Method::Put,
        b"DELETE" => Method::Delete,
        b"OPTIONS" => Method::Options,
        b"TRACE" => Method::Trace,
        b"CONNECT" => Method::Connect,
        b"PATCH" => Method::Patch,
        b"MKCOL" | b"COPY" | b"MOVE" | b"PROPFIND" | b"PROPPATCH" | b"LOCK" | b"UNLOCK" => Method::Dav,
        _ => Method::Unknown,
    }
}

/// What is wrong with a request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineError {
    /// Not a word of capitals.
    Method,
    /// Anything else that is malformed.
    Request,
    /// The version is malformed.
    Protocol,
    /// `HTTP/2.0` and up.
    Version,
    /// Anything but GET without a version.
    Http09Method,
}

/// A request line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestLine {
    /// The line without its end.
    pub line: Part,
    /// The method.
    pub method: Method,
    /// The method's name.
    pub method_name: Part,
    /// The host of an absolute URI.
    pub host: Option<Part>,
    /// Path and arguments as sent; empty for an absolute URI without a path.
    pub uri: Part,
    /// The path, without arguments.
    pub path: Part,
    /// What follows the `?`.
    pub args: Option<Part>,
    /// Whether the path must be decoded or normalised.
    pub complex: bool,
    /// 9, 1000, 1001, …: major × 1000 + minor, as nginx counts.
    pub version: u16,
    /// First byte behind the line.
    pub end: u32,
}

const fn part(start: usize, end: usize) -> Part {
    start as u32..end as u32
}

/// Parses a request line at the start of `text`; `None` when more is needed.
///
/// # Errors
/// What is wrong, found at the earliest byte that shows it.
pub fn request_line(text: &[u8]) -> Result<Option<RequestLine>, LineError> {
    let blank = text.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let mut line = RequestLine::default();
    let Some(method_end) = method_end(text, blank)? else { return Ok(None) };
    line.method_name = part(blank, method_end);
    line.method = method_of(text.get(blank..method_end).unwrap_or_default());
    let Some((start, first)) = scan(text, method_end, |byte| byte == b' ') else { return Ok(None) };
    let path_start = match first {
        b'/' => start,
        byte if byte.is_ascii_alphabetic() => match absolute(text, start, &mut line)? {
            Some(at) => at,
            None => return Ok(None),
        },
        _ => return Err(LineError::Request),
    };
    let Some(end) = uri(text, path_start, &mut line)? else { return Ok(None) };
    version(text, end, blank, line)
}

/// Where the method at `start` ends; `None` when more is needed.
fn method_end(text: &[u8], start: usize) -> Result<Option<usize>, LineError> {
    match scan(text, start, |byte| byte.is_ascii_uppercase() || matches!(byte, b'_' | b'-')) {
        Some((end, b' ')) if end > start => Ok(Some(end)),
        Some(_) => Err(LineError::Method),
        None => Ok(None),
    }
}

/// The method of a request line that is wrong, or not complete, behind it.
pub fn method_of_broken(text: &[u8]) -> Method {
    let blank = text.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    match method_end(text, blank) {
        Ok(Some(end)) => method_of(text.get(blank..end).unwrap_or_default()),
        _ => Method::Unknown,
    }
}

/// The first byte from `at` on that does not satisfy `skip`, with its place.
fn scan(text: &[u8], at: usize, skip: impl Fn(u8) -> bool) -> Option<(usize, u8)> {
    let rest = text.get(at..)?;
    let offset = rest.iter().position(|byte| !skip(*byte))?;
    rest.get(offset).map(|byte| (at + offset, *byte))
}

/// The scheme and host of an absolute URI; gives where the path begins.
fn absolute(text: &[u8], start: usize, line: &mut RequestLine) -> Result<Option<usize>, LineError> {
    let scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let Some((colon, byte)) = scan(text, start, scheme) else { return Ok(None) };
    if byte != b':' {
        return Err(LineError::Request);
    }
    for offset in 1..=2 {
        match text.get(colon + offset) {
            Some(b'/') => {}
            Some(_) => return Err(LineError::Request),
            None => return Ok(None),
        }
    }
    let host = colon + 3;
    let end = if text.get(host) == Some(&b'[') {
        let inside = |byte: u8| byte.is_ascii_alphanumeric() || b":.-_~!$&'()*+,;=".contains(&byte);
        match scan(text, host + 1, inside) {
            Some((at, b']')) => at + 1,
            Some(_) => return Err(LineError::Request),
            None => return Ok(None),
        }
    } else {
        let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
        match scan(text, host, inside) {
            Some((at, _)) => at,
            None => return Ok(None),
        }
    };
    if end == host {
        return Err(LineError::Request);
    }
    line.host = Some(part(host, end));
    let mut at = end;
    if text.get(at) == Some(&b':') {
        match scan(text, at + 1, |byte| byte.is_ascii_digit()) {
            Some((after, _)) => at = after,
            None => return Ok(None),
        }
    }
    match text.get(at) {
        Some(b'/' | b'?' | b' ') => Ok(Some(at)),
        Some(_) => Err(LineError::Request),
        None => Ok(None),
    }
}

/// The path and arguments; gives where they end.
fn uri(text: &[u8], start: usize, line: &mut RequestLine) -> Result<Option<usize>, LineError> {
    let mut previous = 0;
    let (mut query, mut fragment) = (None, false);
    let mut end = None;
    for (offset, byte) in text.get(start..).unwrap_or_default().iter().enumerate() {
        match byte {
            b' ' | b'\r' | b'\n' => {
                end = Some(start + offset);
                break;
            }
            0..0x20 | 0x7f => return Err(LineError::Request),
            b'?' if query.is_none() && !fragment => query = Some(start + offset),
            b'#' => (line.complex, fragment) = (true, true),
            b'%' if query.is_none() => line.complex = true,
            b'/' | b'.' if query.is_none() && previous == b'/' => line.complex = true,
            _ => {}
        }
        previous = *byte;
    }
    let Some(end) = end else { return Ok(None) };
    line.uri = part(start, end);
    line.path = part(start, query.unwrap_or(end));
    line.args = query.map(|query| part(query + 1, end));
    Ok(Some(end))
}

/// A wrong number inside a version.
const fn protocol(error: LineError) -> LineError {
    match error {
        LineError::Request => LineError::Protocol,
        other => other,
    }
}

/// The version and the line's end.
fn version(text: &[u8], at: usize, start: usize, mut line: RequestLine) -> Result<Option<RequestLine>, LineError> {
    let Some((mut at, first)) = scan(text, at, |byte| byte == b' ') else { return Ok(None) };
    let mut line_end = at;
    if first == b'H' {
        for wanted in *b"HTTP/" {
            match text.get(at) {
                Some(byte) if *byte == wanted => at += 1,
                Some(_) => return Err(LineError::Protocol),
                None => return Ok(None),
            }
        }
        let Some((after, major)) = request_major(text, at)? else { return Ok(None) };
        match text.get(after) {
            Some(b'.') => {}
            Some(_) => return Err(LineError::Protocol),
            None => return Ok(None),
        }
        let Some((after, minor)) = digits(text, after + 1).map_err(protocol)? else { return Ok(None) };
        line.version = major * 1000 + minor;
        let Some((blanks, _)) = scan(text, after, |byte| byte == b' ') else { return Ok(None) };
        (at, line_end) = (blanks, blanks);
    } else {
        if matches!(first, b'\r' | b'\n') && line.method != Method::Get {
            return Err(LineError::Http09Method);
        }
        line.version = 9;
    }
    line.line = part(start, line_end);
    let end = match (text.get(at), text.get(at + 1)) {
        (Some(b'\n'), _) => at + 1,
        (Some(b'\r'), Some(b'\n')) => at + 2,
        (Some(b'\r'), None) => return Ok(None),
        _ => return Err(if line.version == 9 { LineError::Request } else { LineError::Protocol }),
    };
    line.end = end as u32;
    Ok(Some(line))
}

/// A number as nginx reads one in a version: any digits that amount to no more than 999.
fn digits(text: &[u8], at: usize) -> Result<Option<(usize, u16)>, LineError> {
    let mut value = 0_u16;
    let mut end = at;
    loop {
        match text.get(end) {
            Some(byte) if byte.is_ascii_digit() && value <= 99 => value = value * 10 + u16::from(byte - b'0'),
            Some(byte) if !byte.is_ascii_digit() && end > at => return Ok(Some((end, value))),
            Some(_) => return Err(LineError::Request),
            None => return Ok(None),
        }
        end += 1;
    }
}

/// The major version of a request: `1`; other numbers are not served, and none begins with 0.
fn request_major(text: &[u8], at: usize) -> Result<Option<(usize, u16)>, LineError> {
    match (text.get(at), text.get(at + 1)) {
        (Some(b'1'), Some(b'0'..=b'9')) | (Some(b'2'..=b'9'), _) => Err(LineError::Version),
        (Some(b'1'), Some(_)) => Ok(Some((at + 1, 1))),
        (Some(b'1') | None, _) => Ok(None),
        (Some(_), _) => Err(LineError::Protocol),
    }
}

/// Where in a segment the normalisation of a path is.
#[derive(Clone, Copy)]
enum Segment {
    /// Inside a name.
    Name,
    /// Behind a `/`.
    Start,
    /// Behind `/.`.
    Dot,
    /// Behind `/..`.
    DotDot,
}

/// Decodes and normalises a path (`%41`, `//`, `/./`, `/../`) into `out`. Gives the arguments that a `?` behind a
/// `#`-less path begins, never any here; `merge` is `merge_slashes`.
///
/// # Errors
/// A bad `%` sequence, a zero byte, or a way out of the root.
pub fn normalise(path: &[u8], merge: bool, out: &mut Vec<u8>) -> Result<(), LineError> {
    out.clear();
    let mut rest = path;
    let mut segment = Segment::Name;
    while let Some((byte, escaped, after)) = decoded(rest)? {
        segment = match (segment, byte) {
            (_, b'#') if !escaped => break,
            (Segment::Name, b'/') => {
                out.push(b'/');
                Segment::Start
            }
            (segment @ (Segment::Start | Segment::Dot | Segment::DotDot), b'/') => {
                leave(segment, out)?;
                if matches!(segment, Segment::Start) && !merge {
                    out.push(b'/');
                }
                Segment::Start
            }
            (segment, byte) => {
                out.push(byte);
                match (segment, byte) {
                    (Segment::Start, b'.') => Segment::Dot,
                    (Segment::Dot, b'.') => Segment::DotDot,
                    _ => Segment::Name,
                }
            }
        };
        rest = after;
    }
    leave(segment, out)
}

/// Removes a segment that was `.`, or `..` with the segment before it.
fn leave(segment: Segment, out: &mut Vec<u8>) -> Result<(), LineError> {
    match segment {
        Segment::Name | Segment::Start => {}
        Segment::Dot => out.truncate(out.len() - 1),
        Segment::DotDot => {
            out.truncate(out.len() - 3);
            let Some(slash) = memchr::memrchr(b'/', out) else { return Err(LineError::Request) };
            out.truncate(slash + 1);
        }
    }
    Ok(())
}

/// A byte, whether it came as an escape, and the rest.
type Decoded<'a> = (u8, bool, &'a [u8]);

/// The next byte of a path.
fn decoded(text: &[u8]) -> Result<Option<Decoded<'_>>, LineError> {
    match text {
        [] => Ok(None),
        [b'%', high, low, rest @ ..] => match (hex(*high), hex(*low)) {
            (Some(0), Some(0)) => Err(LineError::Request),
            (Some(high), Some(low)) => Ok(Some((high << 4 | low, true, rest))),
            _ => Err(LineError::Request),
        },
        [b'%', ..] => Err(LineError::Request),
        [byte, rest @ ..] => Ok(Some((*byte, false, rest))),
    }
}

const fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// One header line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderLine {
    /// The name as sent.
    pub name: Part,
    /// The value without the white space around it.
    pub value: Part,
    /// Whether the name has bytes nginx does not take in a name (the line is skipped, or kept on request).
    pub odd: bool,
    /// First byte behind the line.
    pub end: u32,
}

/// What comes next in a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A header.
    Header(HeaderLine),
    /// The empty line; first byte behind it.
    End(u32),
    /// The line is not complete.
    More,
}

/// Parses the header line at `at`.
///
/// # Errors
/// Where the line cannot be a header: the place of the wrong byte.
pub fn header_line(text: &[u8], at: u32, underscores: bool) -> Result<Next, u32> {
    let start = at as usize;
    let rest = text.get(start..).unwrap_or_default();
    match rest {
        [] | [b'\r'] => return Ok(Next::More),
        [b'\n', ..] => return Ok(Next::End(at + 1)),
        [b'\r', b'\n', ..] => return Ok(Next::End(at + 2)),
        [b'\r', ..] => return Err(at + 1),
        [0..=0x20 | 0x7f | b':', ..] => return Err(at),
        _ => {}
    }
    let mut odd = false;
    let mut name_end = None;
    for (offset, byte) in rest.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => {}
            b'_' if underscores => {}
            b':' | b'\r' | b'\n' => {
                name_end = Some(start + offset);
                break;
            }
            0..=0x20 | 0x7f => return Err(at + offset as u32),
            _ => odd = true,
        }
    }
    let Some(name_end) = name_end else { return Ok(Next::More) };
    let value_start = if text.get(name_end) == Some(&b':') { name_end + 1 } else { name_end };
    header_value(text, value_start, part(start, name_end), odd)
}

fn header_value(text: &[u8], from: usize, name: Part, odd: bool) -> Result<Next, u32> {
    let Some((start, _)) = scan(text, from, |byte| byte == b' ') else { return Ok(Next::More) };
    let rest = text.get(start..).unwrap_or_default();
    let stop = memchr::memchr3(b'\r', b'\n', 0, rest);
    let Some(stop) = stop else { return Ok(Next::More) };
    let line_end = start + stop;
    let mut after = line_end;
    loop {
        match text.get(after) {
            Some(b'\r') => after += 1,
            Some(b'\n') => break,
            Some(_) => return Err(after as u32),
            None => return Ok(Next::More),
        }
    }
    let blanks = rest.get(..stop).unwrap_or_default().iter().rev().take_while(|byte| **byte == b' ').count();
    Ok(Next::Header(HeaderLine { name, value: part(start, line_end - blanks), odd, end: after as u32 + 1 }))
}

/// A response's status line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusLine {
    /// 1000 or 1001, …
    pub version: u16,
    /// The status.
    pub status: u16,
    /// The status and what follows it: `200 OK`.
    pub text: Part,
    /// First byte behind the line.
    pub end: u32,
}

/// Parses a status line at the start of `text`; `None` when more is needed.
///
/// # Errors
/// When it is not one: nginx then takes the response as HTTP/0.9.
pub fn status_line(text: &[u8]) -> Result<Option<StatusLine>, LineError> {
    for (index, wanted) in b"HTTP/".iter().enumerate() {
        match text.get(index) {
            Some(byte) if byte == wanted => {}
            Some(_) => return Err(LineError::Request),
            None => return Ok(None),
        }
    }
    if text.get(5) == Some(&b'0') {
        return Err(LineError::Request);
    }
    let Some((at, major)) = digits(text, 5)? else { return Ok(None) };
    match text.get(at) {
        Some(b'.') => {}
        Some(_) => return Err(LineError::Request),
        None => return Ok(None),
    }
    let Some((at, minor)) = digits(text, at + 1)? else { return Ok(None) };
    let Some((at, _)) = scan(text, at, |byte| byte == b' ') else { return Ok(None) };
    let mut status = 0;
    for offset in 0..3 {
        match text.get(at + offset) {
            Some(byte) if byte.is_ascii_digit() => status = status * 10 + u16::from(byte - b'0'),
            Some(_) => return Err(LineError::Request),
            None => return Ok(None),
        }
    }
    match text.get(at + 3) {
        Some(b' ' | b'.' | b'\r' | b'\n') => {}
        Some(_) => return Err(LineError::Request),
        None => return Ok(None),
    }
    let Some(stop) = memchr::memchr2(b'\r', b'\n', text.get(at..).unwrap_or_default()) else { return Ok(None) };
    let text_end = at + stop;
    let line_end = match (text.get(text_end), text.get(text_end + 1)) {
        (Some(b'\n'), _) => text_end,
        (_, Some(b'\n')) => text_end + 1,
        (_, Some(_)) => return Err(LineError::Request),
        (_, None) => return Ok(None),
    };
    Ok(Some(StatusLine {
        version: major.saturating_mul(1000).saturating_add(minor),
        status,
        text: part(at, text_end),
        end: line_end as u32 + 1,
    }))
}

/// The chunked coding (RFC 9112 §7.1), in pieces.
#[derive(Clone, Debug, Default)]
pub struct Chunked {
    state: ChunkState,
    left: u64,
    /// The lines behind the last chunk, where they are kept.
    trailers: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ChunkState {
    #[default]
    Start,
    Size,
    Extension,
    SizeFeed,
    Data,
    DataEnd,
    DataFeed,
    Trailer,
    TrailerFeed,
    TrailerLine,
    TrailerLineFeed,
    Done,
}

impl ChunkState {
    const fn is_trailer(self) -> bool {
        matches!(self, Self::Trailer | Self::TrailerFeed | Self::TrailerLine | Self::TrailerLineFeed)
    }
}

/// What a step over chunked bytes found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Body bytes, as a range of what was given; then go on behind them.
    Data(Range<usize>),
    /// All that was given is used up.
    More,
    /// The body has ended; bytes from here on are not part of it.
    End(usize),
}

/// A chunk whose head cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadChunk;

impl Chunked {
    /// At the beginning; whether the lines behind the last chunk are kept.
    pub fn keeping(trailers: bool) -> Self {
        Self { trailers: trailers.then(Vec::new), ..Self::default() }
    }

    /// The lines behind the last chunk so far, with the empty one that ends them.
    pub fn trailers(&self) -> &[u8] {
        self.trailers.as_deref().unwrap_or_default()
    }

    /// Whether the last chunk and the trailer were seen.
    pub const fn is_ended(&self) -> bool {
        matches!(self.state, ChunkState::Done)
    }

    /// Bytes of the chunk under way that have not come yet.
    pub const fn left(&self) -> u64 {
        match self.state {
            ChunkState::Data => self.left,
            _ => 0,
        }
    }

    /// Looks at `text` from `at` on.
    ///
    /// # Errors
    /// When a chunk's head or end is malformed.
    pub fn step(&mut self, text: &[u8], mut at: usize) -> Result<Piece, BadChunk> {
        while let Some(byte) = text.get(at).copied() {
            if self.state == ChunkState::Data {
                let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(text.len() - at);
                self.left -= take as u64;
                if self.left == 0 {
                    self.state = ChunkState::DataEnd;
                }
                return Ok(Piece::Data(at..at + take));
            }
            if self.state == ChunkState::Done {
                return Ok(Piece::End(at));
            }
            at += 1;
            if let Some(trailers) = &mut self.trailers
                && self.state.is_trailer()
            {
                trailers.push(byte);
            }
            self.state = self.after(byte)?;
        }
        Ok(if self.is_ended() { Piece::End(at) } else { Piece::More })
    }

    fn after(&mut self, byte: u8) -> Result<ChunkState, BadChunk> {
        use ChunkState::{
            Data, DataEnd, DataFeed, Done, Extension, Size, SizeFeed, Start, Trailer, TrailerFeed, TrailerLine,
            TrailerLineFeed,
        };
        Ok(match (self.state, byte) {
            (Start | Size, byte) if hex(byte).is_some() => {
                let digit = u64::from(hex(byte).unwrap_or_default());
                let left = if self.state == Start { 0 } else { self.left };
                self.left = left.checked_mul(16).and_then(|left| left.checked_add(digit)).ok_or(BadChunk)?;
                // nginx adds the chunk's end to it.
                if self.left > i64::MAX as u64 - 4 {
                    return Err(BadChunk);
                }
                Size
            }
            (Size | Extension, b'\r') => SizeFeed,
            (Size | Extension | SizeFeed, b'\n') if self.left == 0 => Trailer,
            (Size | Extension | SizeFeed, b'\n') => Data,
            (Size, b';' | b' ' | b'\t') => Extension,
            (Extension, _) => Extension,
            (DataEnd, b'\r') => DataFeed,
            (DataEnd | DataFeed, b'\n') => Start,
            (Trailer, b'\r') => TrailerFeed,
            (Trailer | TrailerFeed, b'\n') => Done,
            (TrailerLine, b'\r') => TrailerLineFeed,
            (TrailerLine | TrailerLineFeed, b'\n') => Trailer,
            (Trailer | TrailerLine, _) => TrailerLine,
            // A CR must be followed by LF.
            (Start | Size | SizeFeed | DataEnd | DataFeed | TrailerFeed | TrailerLineFeed | Data | Done, _) => {
                return Err(BadChunk);
            }
        })
    }
}

#[cfg(test)]
mod tests;
