//! The PROXY protocol, versions 1 and 2, as nginx reads and writes it (haproxy's proxy-protocol.txt, 2020).
//!
//! A header must be there whole in what was peeked: nginx refuses one that arrives in pieces, and so do we. What is
//! neither TCP over IPv4 nor over IPv6 (UNKNOWN, LOCAL, datagrams, unix sockets) is accepted and names nobody.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The most bytes a reader peeks at: version 1 needs 107, version 2 has room for its options (nginx 1.23.2 and later).
pub const MAX_HEADER: usize = 4096;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Who a header speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The client's address, as written in version 1.
    pub source: Box<str>,
    /// The address the client connected to.
    pub destination: Box<str>,
    /// The client's port.
    pub source_port: u16,
    /// The port the client connected to.
    pub destination_port: u16,
    /// The options behind the addresses of version 2.
    pub options: Box<[u8]>,
}

/// Why a header is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Neither version; what was there, up to the first line end.
    Text(Box<[u8]>),
    /// Version 2's signature with another version.
    Version(u8),
    /// Longer than what was peeked.
    TooLarge,
    /// Version 2 with less room than its addresses take; nginx says nothing of it.
    Short,
}

impl Broken {
    /// nginx's words for the error log; none where it has none.
    pub fn message(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(format!("broken header: \"{}\"", String::from_utf8_lossy(text))),
            Self::Version(version) => Some(format!("unknown PROXY protocol version: {version}")),
            Self::TooLarge => Some("header is too large".to_owned()),
            Self::Short => None,
        }
    }
}

/// Reads the header `bytes` begin with: how long it is, and whom it speaks for.
///
/// # Errors
/// Why nginx would refuse it.
pub fn parse(bytes: &[u8]) -> Result<(usize, Option<Header>), Broken> {
    if bytes.len() >= 16 && bytes.starts_with(SIGNATURE) {
        return version_2(bytes);
    }
    version_1(bytes).ok_or_else(|| {
        let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next();
        Broken::Text(line.unwrap_or_default().into())
    })
}

fn version_1(bytes: &[u8]) -> Option<(usize, Option<Header>)> {
    let body = bytes.strip_prefix(b"PROXY ").filter(|body| body.len() >= 2)?;
    if body.starts_with(b"UNKNOWN") {
        let end = memchr::memmem::find(body, b"\r\n")?;
        return Some((bytes.len() - body.len() + end + 2, None));
    }
    let [b'T', b'C', b'P', b'4' | b'6', b' ', rest @ ..] = body else { return None };
    let (source, rest) = address(rest)?;
    let (destination, rest) = address(rest)?;
    let (source_port, rest) = port(rest, b' ')?;
    let (destination_port, rest) = port(rest, b'\r')?;
    let rest = rest.strip_prefix(b"\n")?;
    let header = Header { source, destination, source_port, destination_port, options: Box::default() };
    Some((bytes.len() - rest.len(), Some(header)))
}

/// Text up to a space; nginx looks at its letters only.
fn address(bytes: &[u8]) -> Option<(Box<str>, &[u8])> {
    let end = memchr::memchr(b' ', bytes)?;
    let (text, rest) = bytes.split_at(end);
    let plain = text.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
    let text = std::str::from_utf8(text).ok().filter(|_| plain)?;
    Some((text.into(), rest.get(1..)?))
}

fn port(bytes: &[u8], separator: u8) -> Option<(u16, &[u8])> {
    let end = memchr::memchr(separator, bytes)?;
    let (text, rest) = bytes.split_at(end);
    if text.is_empty() {
        return None;
    }
    let number = text.iter().try_fold(0_u32, |sum, byte| {
        byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')).filter(|sum| *sum <= 0xffff)
    })?;
    Some((u16::try_from(number).ok()?, rest.get(1..)?))
}

fn version_2(bytes: &[u8]) -> Result<(usize, Option<Header>), Broken> {
    let [_, _, _, _, _, _, _, _, _, _, _, _, version_command, family_transport, high, low, body @ ..] = bytes else {
        return Err(Broken::Short);
    };
    if version_command >> 4 != 2 {
        return Err(Broken::Version(version_command >> 4));
    }
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let body = body.get(..length).ok_or(Broken::TooLarge)?;
    let size = 16 + length;
    if version_command & 15 != 1 || family_transport & 15 != 1 {
        return Ok((size, None));
    }
    match family_transport >> 4 {
        1 => addresses::<4>(body, |ip| Ipv4Addr::from(ip).into()),
        2 => addresses::<16>(body, |ip| Ipv6Addr::from(ip).into()),
        _ => return Ok((size, None)),
    }
    .map(|header| (size, Some(header)))
    .ok_or(Broken::Short)
}

fn addresses<const N: usize>(body: &[u8], ip: fn([u8; N]) -> IpAddr) -> Option<Header> {
    let (source, rest) = body.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (source_port, rest) = rest.split_first_chunk::<2>()?;
    let (destination_port, options) = rest.split_first_chunk::<2>()?;
    Some(Header {
        source: ip(*source).to_string().into(),
        destination: ip(*destination).to_string().into(),
        source_port: u16::from_be_bytes(*source_port),
        destination_port: u16::from_be_bytes(*destination_port),
        options: options.into(),
    })
}

/// Appends a version 1 header that speaks for `client`, who connected to `server`; other sockets are UNKNOWN.
pub fn write(client: Option<SocketAddr>, server: Option<SocketAddr>, out: &mut Vec<u8>) {
    let (Some(client), Some(server)) = (client, server) else {
        out.extend_from_slice(b"PROXY UNKNOWN\r\n");
        return;
    };
    let family = if client.is_ipv4() { 4 } else { 6 };
    let text = format!("PROXY TCP{family} {} {} {} {}\r\n", client.ip(), server.ip(), client.port(), server.port());
    out.extend_from_slice(text.as_bytes());
}

impl Header {
    /// The value of an option by nginx's name for it (`$proxy_protocol_tlv_…`): `alpn`, `ssl_cn`, `0x04`, ….
    pub fn option(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        let Some(inner) = name.strip_prefix(b"ssl_") else {
            return find(&self.options, kind(OPTIONS, name)?).map(Cow::Borrowed);
        };
        // One byte of flags and four of the verification's outcome come before the options inside.
        let (head, options) = find(&self.options, 0x20)?.split_first_chunk::<5>()?;
        if inner == b"verify" {
            let [_, verify @ ..] = *head;
            return Some(Cow::Owned(u32::from_be_bytes(verify).to_string().into_bytes()));
        }
        find(options, kind(SSL_OPTIONS, inner)?).map(Cow::Borrowed)
    }
}

const OPTIONS: &[(&str, u8)] = &[("alpn", 1), ("authority", 2), ("unique_id", 5), ("ssl", 0x20), ("netns", 0x30)];
const SSL_OPTIONS: &[(&str, u8)] =
    &[("version", 0x21), ("cn", 0x22), ("cipher", 0x23), ("sig_alg", 0x24), ("key_alg", 0x25)];

/// The number of an option: by name, or as `0x21`.
fn kind(names: &[(&str, u8)], name: &[u8]) -> Option<u8> {
    if let Some((_, kind)) = names.iter().find(|(known, _)| known.as_bytes() == name) {
        return Some(*kind);
    }
    let digits = name.strip_prefix(b"0x").filter(|digits| !digits.is_empty())?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn find(mut options: &[u8], wanted: u8) -> Option<&[u8]> {
    while let [kind, high, low, rest @ ..] = options {
        let (value, next) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
        if *kind == wanted {
            return Some(value);
        }
        options = next;
    }
    None
}

#[cfg(test)]
mod tests;
