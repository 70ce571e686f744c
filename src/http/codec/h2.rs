//! HTTP/2 heads as text and back (RFC 9113 §8), and the preface.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use http::{HeaderName, HeaderValue, StatusCode};

/// What every client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first bytes of a connection tell.
#[derive(Debug, PartialEq, Eq)]
pub enum Preface {
    /// HTTP/2.
    Whole,
    /// HTTP/2, as far as one can see.
    Part,
    /// Something else.
    Other,
}

/// Whether a connection that begins like this speaks HTTP/2.
pub fn preface(bytes: &[u8]) -> Preface {
    if bytes.starts_with(PREFACE) {
        Preface::Whole
    } else if PREFACE.starts_with(bytes) {
        Preface::Part
    } else {
        Preface::Other
    }
}

/// A response head from its text; the fields that are the connection's own are left out (RFC 9113 §8.2.2).
pub fn head(text: &[u8]) -> http::Response<()> {
    let mut response = http::Response::new(());
    let mut lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let status = lines.next().and_then(|line| line.get(9..12)).and_then(|digits| StatusCode::from_bytes(digits).ok());
    *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for line in lines {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii_start();
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) else { continue };
        if !matches!(name.as_str(), "connection" | "keep-alive" | "transfer-encoding" | "upgrade" | "proxy-connection")
        {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// A request's head as text.
pub fn text(parts: &http::request::Parts) -> Vec<u8> {
    let mut text = Vec::with_capacity(512);
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    for part in [parts.method.as_str(), " ", path, " HTTP/1.1\r\n"] {
        text.extend_from_slice(part.as_bytes());
    }
    let mut line = |name: &[u8], value: &[u8]| {
        for part in [name, b": ", value, b"\r\n"] {
            text.extend_from_slice(part);
        }
    };
    if let Some(authority) = parts.uri.authority() {
        line(b"host", authority.as_str().as_bytes());
    }
    let mut cookies: Vec<&[u8]> = Vec::new();
    for (name, value) in &parts.headers {
        if name == http::header::COOKIE {
            cookies.push(value.as_bytes());
        } else {
            line(name.as_str().as_bytes(), value.as_bytes());
        }
    }
    if !cookies.is_empty() {
        line(b"cookie", &cookies.join(&b"; "[..]));
    }
    text.extend_from_slice(b"\r\n");
    text
}

#[cfg(test)]
mod tests;
