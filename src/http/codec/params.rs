//! Parameters of a request as uwsgi and SCGI carry them.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// Appends a parameter of an uwsgi packet.
pub fn uwsgi(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    for text in [name, value] {
        out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend_from_slice(text);
    }
}

/// Appends a parameter of an SCGI request.
pub fn scgi(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    for text in [name, value] {
        out.extend_from_slice(text);
        out.push(0);
    }
}

/// Appends an SCGI request's parameters as a netstring.
pub fn netstring(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(bytes.len().to_string().as_bytes());
    out.push(b':');
    out.extend_from_slice(bytes);
    out.push(b',');
}
