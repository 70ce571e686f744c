//! What a complete head asks for: its path decoded, its host checked, its server found, its body framed.

use crate::http::codec::h1;
use crate::http::codec::h1::Method;
use crate::http::heart::head::Known;
use crate::http::heart::port::Virtual;
use crate::http::heart::request::Request;
use crate::http::heart::site::Server;
use crate::http::route::encode;
use crate::script::regex::MatchError;
use crate::tls::directives::Verify;
use std::sync::Arc;

/// A status, and nginx's words for the log.
pub type Refusal = (u16, String);

/// Makes a request of a head.
///
/// # Errors
/// What to answer, and what to log at level info.
pub fn locate(request: &mut Request, entry: &Virtual) -> Result<(), Refusal> {
    if request.host.is_empty()
        && let Some(server) = entry.names.find_name(b"").cloned()
    {
        adopt(request, server);
    }
    if request.version() > 1000 && request.header(Known::Host).is_none() {
        return Err((
            400,
            "client sent HTTP/1.1 request without \"Host\" header while reading client request headers".into(),
        ));
    }
    let reading = |(status, text): Refusal| (status, format!("{text} while reading client request headers"));
    request.frame_body().map_err(reading)?;
    match request.method {
        Method::Connect => return Err(reading((405, "client sent CONNECT method".to_owned()))),
        Method::Trace => return Err(reading((405, "client sent TRACE method".to_owned()))),
        _ => {}
    }
    request.keepalive = request.version() >= 1000 && encode::wants_keepalive(request);
    Ok(())
}

/// Decodes the path.
///
/// # Errors
/// As [`locate`].
pub fn path(request: &mut Request) -> Result<(), Refusal> {
    let line = &request.head.line;
    let raw = request.head.text(&line.path);
    let raw: &[u8] = if raw.is_empty() { b"/" } else { raw };
    let mut uri = std::mem::take(&mut request.uri);
    uri.clear();
    let fine = if line.complex {
        h1::normalise(raw, request.server.head.merge_slashes, &mut uri)
    } else {
        uri.extend_from_slice(raw);
        Ok(())
    };
    if let Some(args) = line.args.clone() {
        let mut kept = std::mem::take(&mut request.args);
        kept.clear();
        let text = request.head.text(&args);
        let end = memchr::memchr(b'#', text).unwrap_or(text.len());
        kept.extend_from_slice(text.get(..end).unwrap_or_default());
        request.has_args = !kept.is_empty();
        request.args = kept;
    }
    request.uri = uri;
    fine.map_err(|_| (400, "client sent invalid request while reading client request line".to_owned()))
}

/// Finds the server of the host at `part`; false when that is no host.
///
/// # Errors
/// When PCRE2 gives up the expression of a name.
pub fn serve(request: &mut Request, entry: &Virtual, part: &h1::Part) -> Result<bool, MatchError> {
    let mut host = std::mem::take(&mut request.host);
    let valid = validate_into(request.head.text(part), &mut host);
    if !valid {
        host.clear();
    }
    request.host = host;
    if valid {
        find(request, entry)?;
    }
    Ok(valid)
}

/// Whether a client that named one server in its TLS handshake asks another that wants certificates for something.
pub fn is_misdirected(request: &Request) -> bool {
    request.connection.asked().is_some_and(|asked| asked.as_bytes() != request.host)
        && request.server.tls.as_ref().is_some_and(|tls| tls.verify != Verify::Off)
}

/// Finds the server of the request's host.
fn find(request: &mut Request, entry: &Virtual) -> Result<(), MatchError> {
    let mut groups: &[(usize, String)] = &[];
    let found = {
        let mut captures = request.captures.borrow_mut();
        entry.names.find(&request.host, &mut captures, |expression| groups = expression.names())?.cloned()
    };
    request.keep_groups(groups);
    match found {
        Some(server) => adopt(request, server),
        // The name of the handshake does not hold for another host.
        None if request.connection.asked().is_some_and(|asked| asked.as_bytes() != request.host) => {
            adopt(request, entry.default.clone());
        }
        None => {}
    }
    Ok(())
}

fn adopt(request: &mut Request, server: Arc<Server>) {
    request.location = server.base.clone();
    request.server = server;
}

/// Whether `text` can be a host; then it is in `host`, in lower case, without port and without a dot at its end.
pub fn validate_into(text: &[u8], host: &mut Vec<u8>) -> bool {
    let Some(end) = host_end(text) else { return false };
    host.clear();
    host.extend_from_slice(text.get(..end).unwrap_or_default());
    host.make_ascii_lowercase();
    if host.last() == Some(&b'.') {
        host.pop();
    }
    !host.is_empty()
}

/// Whether `text` can be a host.
pub fn validate(text: &[u8]) -> bool {
    host_end(text).is_some_and(|end| !matches!(text.get(..end), None | Some([] | [b'.'])))
}

fn host_end(text: &[u8]) -> Option<usize> {
    let mut end = text.len();
    let mut bracket = text.first() == Some(&b'[');
    for (index, byte) in text.iter().enumerate() {
        match byte {
            b':' if !bracket => {
                end = end.min(index);
            }
            b']' => bracket = false,
            0..=0x20 | 0x7f | b'/' => return None,
            b'.' if text.get(index + 1) == Some(&b'.') => return None,
            _ => {}
        }
    }
    Some(end)
}
