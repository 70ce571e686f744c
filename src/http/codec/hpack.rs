//! HPACK without a dynamic table (RFC 7541): what is left of it where SETTINGS_HEADER_TABLE_SIZE is 0.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::conf::bytes::text;

/// The static table (RFC 7541, appendix A); its indexes begin with 1.
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// Indexes of the static table that requests use.
pub mod index {
    /// `:authority`
    pub const AUTHORITY: u8 = 1;
    /// `:method`, and with `GET`.
    pub const METHOD: u8 = 2;
    /// `:method: POST`
    pub const POST: u8 = 3;
    /// `:path`, and with `/`.
    pub const PATH: u8 = 4;
    /// `:scheme: http`
    pub const HTTP: u8 = 6;
    /// `:scheme: https`
    pub const HTTPS: u8 = 7;
}

/// Symbols of the Huffman code: bytes, and the end of the string.
const SYMBOLS: usize = 257;
/// Bits of the longest code.
const LONGEST: usize = 30;

/// The bits of every symbol's code (RFC 7541, appendix B). Codes of a length follow each other in the order of their
/// symbols, and behind the shorter ones.
const BITS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26, 30,
];

/// The Huffman code.
struct Code {
    /// The code of every symbol.
    codes: [u32; SYMBOLS],
    /// Symbols in the order of their codes.
    symbols: [u16; SYMBOLS],
    /// The first code of every length, how many there are, and the place of its symbol in `symbols`.
    lengths: [(u32, u32, u16); LONGEST + 1],
}

const CODE: Code = code();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, where an index out of bounds is an error")]
const fn code() -> Code {
    let mut made = Code { codes: [0; SYMBOLS], symbols: [0; SYMBOLS], lengths: [(0, 0, 0); LONGEST + 1] };
    let (mut next, mut place, mut bits) = (0_u32, 0_u16, 1);
    while bits <= LONGEST {
        next <<= 1;
        made.lengths[bits] = (next, 0, place);
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if BITS[symbol] as usize == bits {
                made.codes[symbol] = next;
                made.symbols[place as usize] = symbol as u16;
                made.lengths[bits].1 += 1;
                next += 1;
                place += 1;
            }
            symbol += 1;
        }
        bits += 1;
    }
    made
}

/// The symbol of the end of a string.
const END: u16 = 256;

/// Decodes a Huffman-coded string; nothing where it is none.
fn decoded(bytes: &[u8]) -> Option<Vec<u8>> {
    static TABLE: Code = CODE;
    let mut out = Vec::with_capacity(bytes.len() * 8 / 5);
    let (mut code, mut bits, mut ones) = (0_u32, 0_usize, true);
    for at in 0..bytes.len() * 8 {
        let bit = u32::from(bytes.get(at / 8)? >> (7 - at % 8) & 1);
        code = code << 1 | bit;
        bits += 1;
        ones &= bit == 1;
        let (first, count, place) = *TABLE.lengths.get(bits)?;
        if code.wrapping_sub(first) < count {
            let symbol = *TABLE.symbols.get(usize::from(place) + (code - first) as usize)?;
            if symbol == END {
                return None;
            }
            out.push(symbol as u8);
            (code, bits, ones) = (0, 0, true);
        }
    }
    // What is left is the beginning of the end's code. It is short by the standard, and nginx takes any.
    ones.then_some(out)
}

/// Appends an integer behind the bits that `first` has already, in the room of so many bits (RFC 7541 §5.1).
fn integer(first: u8, bits: u32, value: usize, out: &mut Vec<u8>) {
    let most = (1_usize << bits) - 1;
    if value < most {
        return out.push(first | value as u8);
    }
    out.push(first | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        out.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}

/// Appends a string: coded where that makes it shorter.
fn string(bytes: &[u8], out: &mut Vec<u8>) {
    static TABLE: Code = CODE;
    let bits: usize = bytes.iter().map(|byte| usize::from(BITS.get(usize::from(*byte)).copied().unwrap_or(0))).sum();
    let size = bits.div_ceil(8);
    if size >= bytes.len() {
        integer(0, 7, bytes.len(), out);
        return out.extend_from_slice(bytes);
    }
    integer(128, 7, size, out);
    let (mut held, mut pending) = (0_u64, 0_u32);
    for byte in bytes {
        let symbol = usize::from(*byte);
        let (Some(code), Some(bits)) = (TABLE.codes.get(symbol), BITS.get(symbol)) else { continue };
        held = held << bits | u64::from(*code);
        pending += u32::from(*bits);
        while pending >= 8 {
            pending -= 8;
            out.push((held >> pending) as u8);
        }
    }
    if pending > 0 {
        out.push((held << (8 - pending)) as u8 | (0xff >> pending) as u8);
    }
}

/// Appends a field of the static table.
pub fn indexed(index: u8, out: &mut Vec<u8>) {
    out.push(128 | index);
}

/// Appends a field whose name is one of the static table, as one to be indexed.
pub fn named(index: u8, value: &[u8], out: &mut Vec<u8>) {
    out.push(64 | index);
    string(value, out);
}

/// Appends a field, its name in lower case, as one not to be indexed.
pub fn literal(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.push(0);
    string(&name.to_ascii_lowercase(), out);
    string(value, out);
}

/// A field of a head.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// The name.
    pub name: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

/// Reads the field `bytes` begin with, and its length there; nothing when more is needed. A change of the table's size is
/// no field.
///
/// Differs from nginx: a field whose coded name is empty is refused, as one that no client could read. [test: what_no_server_may_send_is_named_as_nginx_names_it]
///
/// # Errors
/// nginx's words for what no server may send here.
pub fn field(bytes: &[u8]) -> Result<Option<(usize, Option<Field>)>, String> {
    let Some(first) = bytes.first().copied() else { return Ok(None) };
    let mut at = 1;
    let index = match first {
        128.. => {
            let (name, value) = entry(first & 127)?;
            let field = Field { name: name.into(), value: value.into() };
            return Ok(Some((at, Some(field))));
        }
        64.. => first & 63,
        32.. => {
            return match first & 31 {
                0 => Ok(Some((at, None))),
                size => Err(format!("upstream sent invalid http2 dynamic table size update: {size}")),
            };
        }
        _ if first & 15 < 15 => first & 15,
        _ => {
            let Some(more) = bytes.get(at).copied() else { return Ok(None) };
            if more >= 128 {
                return Err("upstream sent http2 table index with continuation flag".to_owned());
            }
            at += 1;
            15 + more
        }
    };
    if index > 0 {
        entry(index)?;
    }
    let name = if index == 0 {
        let Some(name) = string_at(bytes, &mut at, "name")? else { return Ok(None) };
        Some(name)
    } else {
        None
    };
    let Some(value) = string_at(bytes, &mut at, "value")? else { return Ok(None) };
    let name = match name {
        Some(name) => name.text()?,
        None => entry(index)?.0.into(),
    };
    let value = value.text()?;
    let odd = |(place, byte): (usize, &u8)| {
        *byte <= b' ' || *byte == 127 || byte.is_ascii_uppercase() || *byte == b':' && place > 0
    };
    if name.is_empty()
        || index == 0 && name.iter().enumerate().any(odd)
        || value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n'))
    {
        return Err(format!("upstream sent invalid header: \"{}: {}\"", text(&name), text(&value)));
    }
    Ok(Some((at, Some(Field { name, value }))))
}

/// An entry of the static table.
fn entry(index: u8) -> Result<(&'static str, &'static str), String> {
    let entry = usize::from(index).checked_sub(1).and_then(|at| STATIC.get(at));
    entry.copied().ok_or_else(|| format!("upstream sent invalid http2 table index: {index}"))
}

/// A string as it was sent.
struct Sent<'a> {
    bytes: &'a [u8],
    is_coded: bool,
}

impl Sent<'_> {
    fn text(&self) -> Result<Vec<u8>, String> {
        if !self.is_coded {
            return Ok(self.bytes.to_vec());
        }
        decoded(self.bytes).ok_or_else(|| "upstream sent invalid encoded header".to_owned())
    }
}

/// The string at `at`, which moves behind it.
fn string_at<'a>(bytes: &'a [u8], at: &mut usize, what: &str) -> Result<Option<Sent<'a>>, String> {
    let Some(first) = bytes.get(*at).copied() else { return Ok(None) };
    let mut length = usize::from(first & 127);
    *at += 1;
    if length == 127 {
        for shift in [0, 7, 14] {
            let Some(more) = bytes.get(*at).copied() else { return Ok(None) };
            *at += 1;
            length += usize::from(more & 127) << shift;
            if more < 128 {
                break;
            }
            if shift == 14 {
                return Err(format!("upstream sent too large http2 header {what} length"));
            }
        }
    }
    if length == 0 && what == "name" {
        return Err("upstream sent zero http2 header name length".to_owned());
    }
    let Some(string) = bytes.get(*at..*at + length) else { return Ok(None) };
    *at += length;
    Ok(Some(Sent { bytes: string, is_coded: first >= 128 }))
}

/// A block of fields as a person reads it, one a line.
pub fn shown(block: &[u8]) -> Vec<u8> {
    let (mut lines, mut rest) = (Vec::new(), block);
    while let Ok(Some((length, field))) = field(rest) {
        rest = rest.get(length..).unwrap_or_default();
        if let Some(field) = field {
            lines.extend([&*field.name, b": ", &field.value, b"\n"].concat());
        }
    }
    lines
}

/// The value of the first field, which of a request is its method.
pub fn method(block: &[u8]) -> Option<Box<[u8]>> {
    field(block).ok()??.1.map(|field| field.value.into())
}

#[cfg(test)]
mod tests;
