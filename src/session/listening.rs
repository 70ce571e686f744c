//! The socket options of `listen`, the same words in http and stream.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::Word;
use crate::conf::value;
use crate::net::listen::{KeepAlive, Options};
use std::net::SocketAddr;

/// Takes `word` as a socket option; false when it is none.
///
/// # Errors
/// nginx's words for a bad value.
pub fn option(options: &mut Options, word: &Word) -> Result<bool, Diagnostic> {
    let text = word.text();
    let (name, value) = text.split_once('=').unwrap_or((&text, ""));
    let number = || value::number(value.as_bytes()).filter(|number| *number > 0);
    let size = || value::size(value.as_bytes(), false).map(|bytes| bytes as usize);
    let fail = |what: &str| Err(Diagnostic::emerg(format!("invalid {what} \"{text}\"")));
    match (name, text.contains('=')) {
        ("reuseport", false) => options.reuseport = true,
        ("deferred", false) => options.deferred = true,
        ("backlog", true) => match number() {
            Some(length) => options.backlog = i32::try_from(length).unwrap_or(i32::MAX),
            None => return fail("backlog"),
        },
        ("rcvbuf", true) => match size() {
            Some(bytes) => options.rcvbuf = Some(bytes),
            None => return fail("rcvbuf"),
        },
        ("sndbuf", true) => match size() {
            Some(bytes) => options.sndbuf = Some(bytes),
            None => return fail("sndbuf"),
        },
        ("fastopen", true) => match value::number(value.as_bytes()) {
            Some(length) => options.fastopen = Some(u32::try_from(length).unwrap_or(u32::MAX)),
            None => return fail("fastopen"),
        },
        ("ipv6only", true) => match value {
            "on" => options.ipv6only = true,
            "off" => options.ipv6only = false,
            _ if value.starts_with('o') => {
                return Err(Diagnostic::emerg(format!("invalid ipv6only flags \"{value}\"")));
            }
            _ => return Ok(false),
        },
        ("so_keepalive", true) => match keepalive(value) {
            Some(keepalive) => options.keepalive = Some(keepalive),
            None => return Err(Diagnostic::emerg(format!("invalid so_keepalive value: \"{value}\""))),
        },
        ("setfib", true) => return Err(Diagnostic::emerg(format!("invalid parameter \"{text}\""))),
        _ => return Ok(false),
    }
    Ok(true)
}

/// The address of a `*_bind`: bare, or with a port behind it; only with a port is an IPv6 address in brackets.
pub fn local(text: &str) -> Option<SocketAddr> {
    let bare = text.parse().ok().map(|ip| SocketAddr::new(ip, 0));
    bare.or_else(|| text.parse().ok().filter(|address: &SocketAddr| address.port() > 0))
}

fn keepalive(value: &str) -> Option<KeepAlive> {
    match value {
        "on" => return Some(KeepAlive::Switch(true)),
        "off" => return Some(KeepAlive::Switch(false)),
        _ => {}
    }
    let mut parts = value.splitn(3, ':');
    let mut time = || match parts.next() {
        None | Some("") => Some(None),
        Some(text) => value::time(text.as_bytes(), true).map(Some),
    };
    let (idle, interval) = (time()?, time()?);
    let count = match parts.next() {
        None | Some("") => None,
        Some(text) => Some(u32::try_from(value::number(text.as_bytes())?).ok()?),
    };
    (idle.is_some() || interval.is_some() || count.is_some()).then_some(KeepAlive::Timed(idle, interval, count))
}
