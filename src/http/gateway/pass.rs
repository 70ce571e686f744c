//! Where a gateway's `*_pass` leads: checked as written, and looked up before anything is merged.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::Word;
use crate::conf::walk::Setting;
use crate::http::heart::module::Compile;
use crate::net::address::{self, Host};
use crate::session::used;

/// Checks an address without variables; `text` is what follows the scheme, up to a URI where the gateway takes one.
///
/// # Errors
/// nginx's words.
pub fn setter(cx: &mut Setting<'_>, word: &Word, text: &[u8]) -> Result<(), Diagnostic> {
    if used::varies(&word.bytes) {
        return used::word(cx, word);
    }
    plain(word, text)
}

/// Checks an address in which a dollar is a letter like another.
///
/// # Errors
/// nginx's words.
pub fn plain(word: &Word, text: &[u8]) -> Result<(), Diagnostic> {
    let whole = String::from_utf8_lossy(text);
    address::parse(&whole, false)
        .map(|_| ())
        .map_err(|what| Diagnostic::emerg(format!("{what} in upstream \"{whole}\"")).point(word.span))
}

/// The part of an address before its URI.
pub fn host(text: &[u8]) -> &[u8] {
    let end = match text.strip_prefix(b"unix:") {
        Some(path) => memchr::memchr(b':', path).map(|colon| colon + 5),
        None => memchr::memchr2(b'/', b'?', text),
    };
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

/// Finds the servers of an address without variables; a gateway without a `port` of its own needs one written.
///
/// # Errors
/// A group named with a port, a port that lacks, a host that is not found.
pub fn look_up(word: &Word, text: &[u8], port: Option<u16>, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let name = String::from_utf8_lossy(host(text)).into_owned();
    if cx.upstreams.get(&name).is_some() {
        return Ok(());
    }
    let fail = |text: String| Diagnostic::emerg(text).at(word.span);
    let endpoint = address::parse(&name, false).map_err(|what| fail(format!("{what} in upstream \"{name}\"")))?;
    match (&endpoint.host, endpoint.port) {
        (Host::Name(host), Some(port)) if cx.upstreams.get(host).is_some() => {
            return Err(fail(format!("upstream \"{host}\" may not have port {port}")));
        }
        (Host::Name(_) | Host::Ip(_), None) if port.is_none() => {
            return Err(fail(format!("no port in upstream \"{name}\"")));
        }
        _ => {}
    }
    cx.upstreams
        .implicit(&name, &endpoint, port.unwrap_or(0), cx.build)
        .map(|_| ())
        .map_err(|complaint| complaint.at(word.span))
}
