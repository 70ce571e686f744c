//! Bytes as text and back: configurations and file names need not be UTF-8, and nothing of them may get lost.
//!
//! A byte that is no UTF-8 is one character of a range nobody uses; [`raw`] makes it a byte again, [`shown`] the sign for a
//! character that cannot be shown, where the text goes to somebody who takes nothing but UTF-8.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// The character that stands for the byte 0; only bytes from 0x80 on are written so.
const FIRST: u32 = 0x10_ff00;

/// The character a byte is written as.
fn written(byte: u8) -> char {
    char::from_u32(FIRST + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The byte a character stands for.
fn byte(c: char) -> Option<u8> {
    u8::try_from(u32::from(c).checked_sub(FIRST)?).ok()
}

/// Bytes as text.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        // The first byte of those characters, which is all but never there.
        Ok(text) if memchr::memchr(0xf4, bytes).is_none() => return Cow::Borrowed(text),
        _ => {}
    }
    let mut out = String::with_capacity(bytes.len() * 4);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match byte(c) {
                // Written as the bytes it is made of, it stays what it was.
                Some(_) => out.extend(c.encode_utf8(&mut [0; 4]).bytes().map(written)),
                None => out.push(c),
            }
        }
        out.extend(chunk.invalid().iter().copied().map(written));
    }
    Cow::Owned(out)
}

/// The bytes a text was made of.
pub fn raw(text: &str) -> Cow<'_, [u8]> {
    if memchr::memchr(0xf4, text.as_bytes()).is_none() {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match byte(c) {
            Some(byte) => out.push(byte),
            None => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(out)
}

/// The path a text is the name of.
pub fn path(text: &str) -> PathBuf {
    OsStr::from_bytes(&raw(text)).into()
}

/// A text for somebody who takes nothing but UTF-8.
pub fn shown(text: &str) -> Cow<'_, str> {
    match raw(text) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_gets_lost() {
        let odd =
            [&b"/a/\xd6\xd0\xce\xc4"[..], b"\xff\x80", "\u{10ff41} \u{10ffff} \u{fffd}".as_bytes(), "中文".as_bytes()];
        for bytes in odd {
            assert_eq!(*raw(&text(bytes)), *bytes);
        }
        assert_eq!((text(b"\xd6 a").chars().count(), &*text(b"abc")), (3, "abc"));
        assert_eq!((&*shown(&text(b"a\xd6\xd0")), &*shown("中")), ("a\u{fffd}\u{fffd}", "中"));
        assert_eq!(path(&text(b"/\xd6")).as_os_str().as_bytes(), b"/\xd6");
    }

    proptest::proptest! {
        #[test]
        fn whatever_bytes_come_back(bytes: Vec<u8>) {
            assert_eq!(*raw(&text(&bytes)), *bytes);
        }
    }
}
