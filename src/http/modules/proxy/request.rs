//! The request a backend gets: the lines nginx sends, in its order.

use super::rewrite::{Flags, Pair, Redirect};
use crate::conf::bytes;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::Word;
use crate::http::codec::hpack;
use crate::http::gateway::cache;
use crate::http::gateway::lookup::Servers;
use crate::http::gateway::protocol::{BodyLength, Protocol, Target};
use crate::http::heart::module::{Compile, Text};
use crate::http::heart::request::Request;
use crate::http::heart::upstream::Pool;
use crate::log::Level;
use crate::net::address;
use std::sync::Arc;

/// Where a location's requests go.
pub enum Destination {
    /// A group known beforehand.
    Fixed {
        /// The group.
        pool: Arc<Pool>,
        /// `$proxy_host`.
        host: Box<[u8]>,
        /// The URI that replaces the location's name, if there is one.
        uri: Option<Box<[u8]>>,
        /// Whether over TLS.
        secure: bool,
        /// As written.
        url: Box<[u8]>,
    },
    /// A text with variables.
    Variable(Text),
}

/// The protocol of the proxy module.
pub struct Proxy {
    /// Where to.
    pub destination: Destination,
    /// The location's name, which a URI of `proxy_pass` replaces.
    pub location: Box<[u8]>,
    /// The headers set here, in order.
    pub headers: Headers,
    /// The same for requests whose answers may be kept.
    pub headers_of_cache: Option<Headers>,
    /// 1000, 1001 or 2000.
    pub version: u16,
    /// `proxy_pass_request_headers`.
    pub pass_request_headers: bool,
    /// `proxy_method`.
    pub method: Option<Text>,
    /// `proxy_set_body`.
    pub body: Option<Text>,
    /// `proxy_redirect`; nothing for the default.
    pub redirects: Option<Box<[Redirect]>>,
    /// Where an outer place passes requests on, and its name, for redirects by default: what it makes of them holds here too.
    pub around: Option<Box<(Destination, Box<[u8]>)>>,
    /// `proxy_cookie_domain`.
    pub cookie_domains: Vec<Pair>,
    /// `proxy_cookie_path`.
    pub cookie_paths: Vec<Pair>,
    /// `proxy_cookie_flags`.
    pub cookie_flags: Vec<Flags>,
}

/// A header line of the request.
pub enum Line {
    /// A line of the configuration.
    Set(Box<[u8]>, Text),
    /// `Host: $proxy_host`.
    Host,
    /// `Connection: close`.
    Close,
    /// `Content-Length`.
    Length,
    /// `Transfer-Encoding`.
    Coding,
    /// `If-Modified-Since: $upstream_cache_last_modified`.
    Since,
    /// `If-None-Match: $upstream_cache_etag`.
    NoneMatch,
}

/// Headers set here, and the names that are therefore not taken from the client.
pub struct Headers {
    /// The lines, in order.
    pub lines: Box<[Line]>,
    /// Those beside [`DEFAULTS`].
    names: Box<[Box<[u8]>]>,
}

/// Headers nginx sets unless the configuration does; those without a line only keep the client's away.
const DEFAULTS: [(&str, Option<Line>); 8] = [
    ("Host", Some(Line::Host)),
    ("Connection", Some(Line::Close)),
    ("Content-Length", Some(Line::Length)),
    ("Transfer-Encoding", Some(Line::Coding)),
    ("TE", None),
    ("Keep-Alive", None),
    ("Expect", None),
    ("Upgrade", None),
];

/// The same, beside those, for requests whose answers may be kept.
const OF_CACHE: [(&str, Option<Line>); 6] = [
    ("If-Modified-Since", Some(Line::Since)),
    ("If-Unmodified-Since", None),
    ("If-None-Match", Some(Line::NoneMatch)),
    ("If-Match", None),
    ("Range", None),
    ("If-Range", None),
];

/// The names of the headers that are sent whether they are configured or not.
pub fn default_names() -> Vec<&'static str> {
    DEFAULTS.iter().map(|(name, _)| *name).collect()
}

/// Joins the configured headers with the defaults; `kept` for requests whose answers may be kept.
pub fn headers(set: &[(Word, Word)], kept: bool, cx: &mut Compile<'_, '_>) -> Result<Headers, Diagnostic> {
    let given = |name: &str| set.iter().any(|(word, _)| word.bytes.eq_ignore_ascii_case(name.as_bytes()));
    let mut lines = Vec::with_capacity(set.len() + DEFAULTS.len());
    for (name, value) in set.iter().filter(|(_, value)| !value.bytes.is_empty()) {
        lines.push(Line::Set(name.bytes.clone(), cx.text(value)?));
    }
    let of_cache = OF_CACHE.into_iter().filter(|_| kept);
    lines.extend(DEFAULTS.into_iter().chain(of_cache).filter(|(name, _)| !given(name)).filter_map(|(_, line)| line));
    let own = |name: &&Word| !DEFAULTS.iter().any(|(known, _)| name.bytes.eq_ignore_ascii_case(known.as_bytes()));
    let mut names: Vec<Box<[u8]>> =
        set.iter().map(|(name, _)| name).filter(own).map(|name| name.bytes.clone()).collect();
    names.extend(OF_CACHE.iter().filter(|_| kept).map(|(name, _)| name.as_bytes().into()));
    Ok(Headers { names: names.into(), lines: lines.into() })
}

impl Headers {
    /// Whether the client's header of this name is not passed on.
    pub fn replace(&self, name: &[u8]) -> bool {
        let same = |known: &[u8]| known.len() == name.len() && name.eq_ignore_ascii_case(known);
        DEFAULTS.iter().any(|(known, _)| same(known.as_bytes())) || self.names.iter().any(|known| same(known))
    }

    /// Passes the client's headers on that nothing replaces.
    fn pass(&self, request: &Request, out: &mut Vec<u8>) {
        for (name, value, _) in request.head.iter() {
            if self.replace(name) {
                continue;
            }
            out.extend_from_slice(name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Appends a line whose value is a variable's, unless that is empty.
fn variable(name: &[u8], value: fn(&Request, u32, &mut Vec<u8>) -> bool, request: &Request, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(name);
    if value(request, 0, out) {
        out.extend_from_slice(b"\r\n");
    } else {
        out.truncate(start);
    }
}

/// `$proxy_host` of an address: without the protocol's own port.
pub fn host_header(text: &str, secure: bool) -> String {
    if text.starts_with("unix:") {
        return "localhost".to_owned();
    }
    text.strip_suffix(if secure { ":443" } else { ":80" }).unwrap_or(text).to_owned()
}

/// The getter of `$proxy_host`.
pub fn proxy_host(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(&request.attempts.host);
    !request.attempts.host.is_empty()
}

/// The getter of `$proxy_port`.
pub fn proxy_port(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    let host = &request.attempts.host;
    if host.is_empty() {
        return false;
    }
    let port = memchr::memrchr(b':', host)
        .and_then(|at| host.get(at + 1..))
        .filter(|port| port.iter().all(u8::is_ascii_digit));
    out.extend_from_slice(port.unwrap_or(if request.attempts.secure { b"443" } else { b"80" }));
    true
}

/// The getter of `$proxy_add_x_forwarded_for`.
pub fn add_x_forwarded_for(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    for value in request.head.named(b"x_forwarded_for") {
        out.extend_from_slice(value);
        out.extend_from_slice(b", ");
    }
    out.extend_from_slice(request.client().host_text().as_bytes());
    true
}

impl Protocol for Proxy {
    fn pool(&self) -> Option<&Arc<Pool>> {
        match &self.destination {
            Destination::Fixed { pool, .. } => Some(pool),
            Destination::Variable(_) => None,
        }
    }

    fn cache_key(&self, target: &Target) -> Vec<u8> {
        let name = target.servers.name().as_bytes();
        let scheme = self.scheme(target.secure).as_bytes();
        if name.starts_with(b"unix:") {
            return [scheme, name, b":", &target.uri].concat();
        }
        [scheme, &target.host, &target.uri].concat()
    }

    fn target(&self, request: &Request) -> Result<Target, u16> {
        match &self.destination {
            Destination::Fixed { pool, host, uri, secure, .. } => {
                let uri = self.uri(request, uri.as_deref());
                Ok(Target { servers: Servers::Known(pool.clone()), uri, host: host.to_vec(), secure: *secure })
            }
            Destination::Variable(text) => {
                let url = text.text(request);
                self.variable(request, &url)
            }
        }
    }

    fn encode(&self, request: &Request, target: &Target, body: BodyLength, out: &mut Vec<u8>) -> Result<(), u16> {
        if self.version == 2000 {
            self.fields(request, target, body, out);
            return Ok(());
        }
        match &self.method {
            _ if request.attempts.cache.as_get => out.extend_from_slice(b"GET"),
            Some(method) => method.write(request, out),
            None => out.extend_from_slice(request.method_name()),
        }
        out.push(b' ');
        out.extend_from_slice(&target.uri);
        out.extend_from_slice(if self.version == 1001 { b" HTTP/1.1\r\n" } else { b" HTTP/1.0\r\n" });
        let headers = self.headers(request);
        for line in &*headers.lines {
            match line {
                Line::Set(name, value) => {
                    let start = out.len();
                    out.extend_from_slice(name);
                    out.extend_from_slice(b": ");
                    let before = out.len();
                    value.write(request, out);
                    if out.len() == before {
                        out.truncate(start);
                    } else {
                        out.extend_from_slice(b"\r\n");
                    }
                }
                Line::Host if target.host.is_empty() => {}
                Line::Host => {
                    out.extend_from_slice(b"Host: ");
                    out.extend_from_slice(&target.host);
                    out.extend_from_slice(b"\r\n");
                }
                Line::Close => out.extend_from_slice(b"Connection: close\r\n"),
                Line::Length => {
                    if let BodyLength::Known(length) = body {
                        out.extend_from_slice(b"Content-Length: ");
                        out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
                        out.extend_from_slice(b"\r\n");
                    }
                }
                Line::Since => variable(b"If-Modified-Since: ", cache::last_modified, request, out),
                Line::NoneMatch => variable(b"If-None-Match: ", cache::etag, request, out),
                Line::Coding => {
                    if body == BodyLength::Chunked {
                        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
                    }
                }
            }
        }
        if self.pass_request_headers {
            headers.pass(request, out);
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn shown(&self, _: &Request, head: Vec<u8>) -> Vec<u8> {
        if self.version == 2000 { hpack::shown(&head) } else { head }
    }

    fn passes_chunks(&self, request: &Request) -> bool {
        self.body.is_none() && (self.version >= 1001 || !request.body.is_chunked())
    }

    fn body(&self, request: &Request) -> Option<Vec<u8>> {
        self.body.as_ref().map(|body| body.text(request))
    }

    fn rewrite(&self, request: &Request, name: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        match name {
            b"Set-Cookie" => super::rewrite::cookie(request, self, value),
            b"Refresh" => super::rewrite::refresh(request, self, value),
            _ => super::rewrite::apply(request, self, value),
        }
    }

    fn scheme(&self, secure: bool) -> &'static str {
        if secure { "https://" } else { "http://" }
    }
}

impl Proxy {
    /// The headers of a request.
    pub fn headers(&self, request: &Request) -> &Headers {
        self.headers_of_cache.as_ref().filter(|_| request.attempts.cache.keeps).unwrap_or(&self.headers)
    }

    /// The URI to ask for: as the client sent it, or with the location's name replaced.
    fn uri(&self, request: &Request, replacement: Option<&[u8]>) -> Vec<u8> {
        if replacement.is_none() && request.uri_as_sent {
            return request.raw_uri().to_vec();
        }
        // The name of the location is gone from a path that was rewritten in it.
        let replacement = replacement.filter(|_| request.valid_location);
        let mut uri = replacement.unwrap_or_default().to_vec();
        let prefix = if replacement.is_some() { self.location.len() } else { 0 };
        let rest = request.uri.get(prefix..).unwrap_or_default();
        if request.is_quoted() || request.internal {
            crate::http::codec::uri::escape(rest, crate::http::codec::uri::PATH, &mut uri);
        } else {
            uri.extend_from_slice(rest);
        }
        if request.has_args && !request.args.is_empty() {
            uri.push(b'?');
            uri.extend_from_slice(&request.args);
        }
        uri
    }

    fn variable(&self, request: &Request, url: &[u8]) -> Result<Target, u16> {
        let shown = || bytes::text(url);
        let begins = |scheme: &[u8]| url.get(..scheme.len()).is_some_and(|own| own.eq_ignore_ascii_case(scheme));
        let secure = begins(b"https://");
        let (port, length) = if secure { (443, 8) } else { (80, 7) };
        let rest = url.get(length..).unwrap_or_default();
        if !secure && !begins(b"http://") || rest.is_empty() {
            request.log(Level::Error, &format!("invalid URL prefix in \"{}\"", shown()));
            return Err(500);
        }
        let (host, given) = super::split(rest);
        let text = String::from_utf8_lossy(host).into_owned();
        let uri = match given {
            [] => self.uri(request, None),
            [b'?', ..] => [b"/", given].concat(),
            given => given.to_vec(),
        };
        if let Some(pool) = request.site.upstreams.get(&text) {
            let servers = Servers::Known(pool.clone());
            return Ok(Target { servers, uri, host: text.into_bytes(), secure });
        }
        let endpoint = address::parse(&text, false).map_err(|what| {
            let shown = bytes::text(rest);
            request.log(Level::Error, &format!("{what} in upstream \"{shown}\""));
            500_u16
        })?;
        let servers = match request.site.upstreams.of_address(&endpoint, port) {
            Some(pool) => Servers::Known(pool.clone()),
            None => Servers::of(&text, endpoint, Some(port)).ok_or(500_u16)?,
        };
        Ok(Target { servers, uri, host: host_header(&text, secure).into_bytes(), secure })
    }
}
