//! memcached's text protocol, as far as a `get` of one key needs it: the request, the line before a value, the trailer
//! behind it.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::uri;
use crate::conf::value;

/// What follows a value.
const TRAILER: &[u8; 7] = b"\r\nEND\r\n";

/// Appends the request for a key.
pub fn get(key: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"get ");
    uri::escape(key, uri::MEMCACHED, out);
    out.extend_from_slice(b"\r\n");
}

/// The key of a request that [`get`] made, escaped.
pub fn key(request: &[u8]) -> &[u8] {
    let key = request.strip_prefix(b"get ").unwrap_or_default();
    key.strip_suffix(b"\r\n").unwrap_or(key)
}

/// The first line of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// There is no such key.
    NotFound,
    /// A value follows.
    Value {
        /// Its flags; 0 where they are not read.
        flags: u64,
        /// Its length.
        length: u64,
    },
}

/// The part of a first line that is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// All of it.
    Line,
    /// Another key than the one asked for.
    Key,
    /// Flags that are no number.
    Flags,
    /// A length that is no number.
    Length,
}

impl Invalid {
    /// Its name, unless it is the whole line.
    pub const fn part(self) -> Option<&'static str> {
        match self {
            Self::Line => None,
            Self::Key => Some("key"),
            Self::Flags => Some("flags"),
            Self::Length => Some("length"),
        }
    }
}

/// What a first line says, with its length where it is complete; or what is invalid, and the line as nginx shows it.
pub type Head<'b> = Result<Option<(u32, Answer)>, (Invalid, &'b [u8])>;

/// Parses the first line of an answer about `key`, with its length; nothing when its end is missing. Flags are a number
/// only where `reads_flags`.
///
/// # Errors
/// What is invalid, and the line as nginx shows it.
pub fn head<'b>(bytes: &'b [u8], key: &[u8], reads_flags: bool) -> Head<'b> {
    let Some(end) = memchr::memchr(b'\n', bytes) else { return Ok(None) };
    let whole = bytes.get(..end).unwrap_or_default();
    let Some(line) = whole.strip_suffix(b"\r") else { return Err((Invalid::Line, whole)) };
    let size = u32::try_from(end + 1).unwrap_or(u32::MAX);
    if line == b"END" {
        return Ok(Some((size, Answer::NotFound)));
    }
    let Some(rest) = line.strip_prefix(b"VALUE ") else { return Err((Invalid::Line, line)) };
    let Some(rest) = rest.strip_prefix(key) else { return Err((Invalid::Key, line)) };
    let Some(rest) = rest.strip_prefix(b" ") else { return Err((Invalid::Line, line)) };
    let Some(space) = memchr::memchr(b' ', rest) else { return Err((Invalid::Line, line)) };
    let (flags, length) = rest.split_at(space);
    let flags = match reads_flags {
        true => value::number(flags).ok_or((Invalid::Flags, line))?,
        false => 0,
    };
    let length = length.get(1..).and_then(value::number).ok_or((Invalid::Length, line))?;
    Ok(Some((size, Answer::Value { flags, length })))
}

/// What is still to come of a value and its trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailed {
    left: u64,
    trailer: u8,
}

/// What has come of a trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trailer {
    /// Not all of it.
    Expected,
    /// All of it, and nothing else.
    Complete,
    /// Something else, or more.
    Invalid,
}

impl Trailed {
    /// A value of so many bytes, of which nothing has come.
    pub const fn new(length: u64) -> Self {
        Self { left: length, trailer: 0 }
    }

    /// Bytes of the value still to come.
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// The bytes of the value that `bytes` begin with, and what has come of the trailer.
    pub fn take<'b>(&mut self, bytes: &'b [u8]) -> (&'b [u8], Trailer) {
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let (body, rest) = bytes.split_at_checked(count).unwrap_or_default();
        self.left -= body.len() as u64;
        let expected = TRAILER.get(usize::from(self.trailer)..).unwrap_or_default();
        let state = match expected.strip_prefix(rest) {
            None => Trailer::Invalid,
            Some(b"") => Trailer::Complete,
            Some(left) => {
                self.trailer = (TRAILER.len() - left.len()) as u8;
                Trailer::Expected
            }
        };
        (body, state)
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Invalid, Trailed, Trailer, get, head, key};

    #[test]
    fn a_key_is_escaped_and_found_again() {
        let mut out = Vec::new();
        get(b"/a b%\r\n", &mut out);
        assert_eq!(out, b"get /a%20b%25%0D%0A\r\n");
        assert_eq!(key(&out), b"/a%20b%25%0D%0A");
    }

    #[test]
    fn first_lines_are_read() {
        let read = |bytes: &'static [u8]| head(bytes, b"k", true).map_err(|(what, _)| what);
        let value = |flags, length| Answer::Value { flags, length };
        assert_eq!(read(b"VALUE k 0 12\r"), Ok(None));
        assert_eq!(read(b"VALUE k 2 12\r\nbody"), Ok(Some((14, value(2, 12)))));
        assert_eq!(read(b"END\r\n"), Ok(Some((5, Answer::NotFound))));
        for (bytes, what) in [
            (&b"VALUE x 0 12\r\n"[..], Invalid::Key),
            (b"VALUE kk 0 12\r\n", Invalid::Line),
            (b"VALUE k 12\r\n", Invalid::Line),
            (b"VALUE k a 12\r\n", Invalid::Flags),
            (b"VALUE k 0 1 2\r\n", Invalid::Length),
            (b"VALUE k 0 12\n", Invalid::Line),
            (b"ERROR\r\n", Invalid::Line),
            (b"\n", Invalid::Line),
        ] {
            assert_eq!(read(bytes), Err(what), "{}", bytes.escape_ascii());
        }
        assert_eq!(head(b"VALUE k a 12\r\n", b"k", false), Ok(Some((14, value(0, 12)))));
    }

    #[test]
    fn a_value_ends_with_its_trailer_however_it_comes() {
        let whole = b"body\r\nEND\r\n";
        for piece in 1..=whole.len() {
            let (mut value, mut body) = (Trailed::new(4), Vec::new());
            let states: Vec<Trailer> = whole
                .chunks(piece)
                .map(|bytes| {
                    let (part, state) = value.take(bytes);
                    body.extend_from_slice(part);
                    state
                })
                .collect();
            assert_eq!(body, b"body");
            let (last, before) = states.split_last().expect("a piece");
            assert_eq!(*last, Trailer::Complete, "{piece}");
            assert!(before.iter().all(|state| *state == Trailer::Expected), "{piece}");
        }
        assert_eq!(Trailed::new(4).take(b"body\r\nEND\r\nx"), (&b"body"[..], Trailer::Invalid));
        assert_eq!(Trailed::new(4).take(b"bodymore"), (&b"body"[..], Trailer::Invalid));
        assert_eq!(Trailed::new(0).take(b"\r\nEN"), (&b""[..], Trailer::Expected));
    }
}
