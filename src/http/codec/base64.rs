//! base64 as nginx reads it: up to the first `=`, and nothing where another character comes before (RFC 4648).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// Which characters encode 62 and 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    /// `+` and `/`.
    Standard,
    /// `-` and `_`.
    Url,
}

/// The bytes of a text; nothing where it is no base64.
pub fn decode(text: &[u8], alphabet: Alphabet) -> Option<Vec<u8>> {
    let (plus, slash) = match alphabet {
        Alphabet::Standard => (b'+', b'/'),
        Alphabet::Url => (b'-', b'_'),
    };
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held, mut count) = (0_u32, 0, 0_usize);
    for byte in text.iter().take_while(|byte| **byte != b'=') {
        let value = match *byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            other if other == plus => 62,
            other if other == slash => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        count += 1;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held & 0xff) as u8);
        }
    }
    (count % 4 != 1).then_some(out)
}

#[cfg(test)]
mod tests;
