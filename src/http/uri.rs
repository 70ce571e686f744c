//! Escaping of URIs, as nginx's `ngx_escape_uri` kinds.

/// Which bytes are escaped.
pub type Kind = fn(u8) -> bool;

/// In a path: control characters, space, `"#%<>?\^`{|}` and bytes over 0x7e.
pub const PATH: Kind = |byte| matches!(byte, 0..=0x20 | b'"' | b'#' | b'%' | b'<' | b'>' | b'?' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x7f..=0xff);
/// In arguments: as in a path, and `&`, `+`, `;`.
pub const ARGS: Kind = |byte| matches!(byte, b'&' | b'+' | b';') || PATH(byte);

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
