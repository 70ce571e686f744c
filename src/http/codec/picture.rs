//! Pictures: what they are and how large, by their first bytes, and what `image_filter` makes of them.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod change;

pub use change::{Action, Change, Made, Refused, make};

/// The kinds of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JPEG.
    Jpeg,
    /// GIF.
    Gif,
    /// PNG.
    Png,
    /// WebP.
    Webp,
}

/// How many bytes tell what a picture is.
pub const ENOUGH: usize = 16;

impl Format {
    /// The kind of a picture that begins with these bytes.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes.first_chunk::<ENOUGH>()? {
            [0xff, 0xd8, ..] => Some(Self::Jpeg),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            _ => None,
        }
    }

    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Gif => "gif",
            Self::Png => "png",
            Self::Webp => "webp",
        }
    }
}

/// The size of a picture in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Its width.
    pub width: u64,
    /// Its height.
    pub height: u64,
    /// Whether more than a twentieth of it says something about it: such a picture is made anew.
    pub is_heavy: bool,
}

/// The size a picture says it has; nothing where it says none.
pub fn size(format: Format, bytes: &[u8]) -> Option<Size> {
    let (width, height) = match format {
        Format::Jpeg => return jpeg(bytes),
        Format::Gif => match bytes.get(6..10)? {
            &[a, b, c, d] => (u64::from(b) << 8 | u64::from(a), u64::from(d) << 8 | u64::from(c)),
            _ => return None,
        },
        // Of the four bytes of a number the lower two.
        Format::Png => match bytes.get(18..24)? {
            &[a, b, _, _, c, d] => (u64::from(a) << 8 | u64::from(b), u64::from(c) << 8 | u64::from(d)),
            _ => return None,
        },
        Format::Webp => webp(bytes)?,
    };
    Some(Size { width, height, is_heavy: false })
}

fn jpeg(bytes: &[u8]) -> Option<Size> {
    let byte = |at: usize| bytes.get(at).copied().unwrap_or_default();
    let number = |at: usize| u64::from(byte(at)) << 8 | u64::from(byte(at + 1));
    let (mut width, mut height, mut notes) = (0, 0, 0);
    let mut at = 2;
    while at + 10 < bytes.len() {
        let mark = byte(at + 1);
        if byte(at) != 0xff || mark == 0xff {
            at += 1;
            continue;
        }
        at += 1;
        if matches!(mark, 0xc0..=0xc3 | 0xc9..=0xcb) && (width == 0 || height == 0) {
            (width, height) = (number(at + 6), number(at + 4));
        }
        let length = number(at + 1);
        if matches!(mark, 0xe1..=0xef) {
            notes += length;
        }
        at += length as usize;
    }
    let is_heavy = ((bytes.len() / 20) as u64) < notes;
    (width > 0 && height > 0).then_some(Size { width, height, is_heavy })
}

fn webp(bytes: &[u8]) -> Option<(u64, u64)> {
    let byte = |at: usize| u64::from(bytes.get(at).copied().unwrap_or_default());
    if bytes.len() < 30 {
        return None;
    }
    match bytes.get(12..16)? {
        b"VP8 " if byte(20) & 1 == 0 && bytes.get(23..26) == Some(&[0x9d, 0x01, 0x2a]) => {
            Some(((byte(26) | byte(27) << 8) & 0x3fff, (byte(28) | byte(29) << 8) & 0x3fff))
        }
        b"VP8L" if byte(20) == 0x2f => Some((
            ((byte(21) | byte(22) << 8) & 0x3fff) + 1,
            ((byte(22) >> 6 | byte(23) << 2 | byte(24) << 10) & 0x3fff) + 1,
        )),
        b"VP8X" => {
            Some(((byte(24) | byte(25) << 8 | byte(26) << 16) + 1, (byte(27) | byte(28) << 8 | byte(29) << 16) + 1))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
