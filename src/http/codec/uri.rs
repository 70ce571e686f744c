//! Escaping of URIs, as nginx's `ngx_escape_uri` kinds, and what a path from outside may lead to.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// Which bytes are escaped.
pub type Kind = fn(u8) -> bool;

/// In a path: control characters, space, `"#%<>?\^`{|}` and bytes over 0x7e.
pub const PATH: Kind = |byte| matches!(byte, 0..=0x20 | b'"' | b'#' | b'%' | b'<' | b'>' | b'?' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x7f..=0xff);
/// In arguments: as in a path, and `&`, `+`, `;`.
pub const ARGS: Kind = |byte| matches!(byte, b'&' | b'+' | b';') || PATH(byte);
/// In text between tags: as in a path but `?`, and `'`.
pub const HTML: Kind = |byte| byte == b'\'' || byte != b'?' && PATH(byte);

/// In the target of a page that leads on.
pub const REFRESH: Kind = |byte| matches!(byte, 0..=0x20 | b'"' | b'\'' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'~' | 0x7f..=0xff);

/// In a part of a path: all but letters, digits, `-`, `.`, `_` and `~`.
pub const COMPONENT: Kind = |byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'.' | b'_' | b'~');

/// In a key of memcached.
pub const MEMCACHED: Kind = |byte| matches!(byte, 0..=0x20 | b'%');

/// Appends `text` with the characters that are markup as entities.
pub fn escape_html(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            byte => out.push(*byte),
        }
    }
}

/// Appends `text` with escaped bytes as `%XX`.
pub fn escape(text: &[u8], kind: Kind, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text {
        if kind(*byte) {
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or_default();
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        } else {
            out.push(*byte);
        }
    }
}

/// Decodes `%XX`; a percent sign that two digits do not follow is left out with what it would have begun.
pub fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let Some(first) = rest.next() else { break };
        let digit = |byte: u8| (byte as char).to_digit(16);
        let Some(high) = digit(*first) else {
            out.push(*first);
            continue;
        };
        let Some(low) = rest.next().and_then(|second| digit(*second)) else { continue };
        out.push((high << 4 | low) as u8);
    }
    out
}

/// The target of an internal redirect that a backend or a client names: its path decoded, its arguments as they are.
/// Nothing where it is empty, holds a zero byte, or leads upwards.
pub fn safe(target: &[u8]) -> Option<(Vec<u8>, Option<&[u8]>)> {
    let (path, args) = split(target);
    if path.is_empty() || leads_up(path) {
        return None;
    }
    let decoded = if path.contains(&b'%') { unescape(path) } else { path.to_vec() };
    (!leads_up(&decoded)).then_some((decoded, args))
}

/// Path and arguments of a target.
pub fn split(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'?', target) {
        Some(at) => (target.get(..at).unwrap_or_default(), target.get(at + 1..)),
        None => (target, None),
    }
}

/// Whether a path has a part `..` or a zero byte.
fn leads_up(path: &[u8]) -> bool {
    path.contains(&0) || path.split(|byte| *byte == b'/').any(|part| part == b"..")
}

#[cfg(test)]
mod tests {
    use super::{safe, unescape};

    #[test]
    fn a_path_that_leads_upwards_is_none() {
        let cases: [(&[u8], Option<&[u8]>); 13] = [
            (b"/a/b?x=%2e", Some(b"/a/b")),
            (b"/a%3fb", Some(b"/a?b")),
            (b"/a%20b", Some(b"/a b")),
            (b"/prot/../secret", None),
            (b"/prot/%2e%2e/secret", None),
            (b"/prot/%2e%2e", None),
            (b"..", None),
            (b"../x", None),
            (b"", None),
            (b"?x", None),
            (b"/a..b/...", Some(b"/a..b/...")),
            (b"/a%00b", None),
            (b"/a?/../", Some(b"/a")),
        ];
        for (given, wanted) in cases {
            assert_eq!(safe(given).map(|(path, _)| path).as_deref(), wanted, "{}", given.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_escape_loses_its_percent_sign() {
        assert_eq!(unescape(b"a%zb%4%41%"), b"azb41");
        assert_eq!(unescape(b"%41%2fx"), b"A/x");
    }
}
