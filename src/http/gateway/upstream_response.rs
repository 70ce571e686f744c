//! A backend's response head: parsed, judged, and turned into the response the client gets.

use super::conf::{Dialect, Gateway};
use super::protocol::Protocol;
use crate::http::codec::grpc;
use crate::http::codec::h1;
use crate::http::codec::h1::{Next, Part};
use crate::http::codec::hpack;
use crate::http::codec::memcached::{self, Answer, Trailed};
use crate::http::codec::uri;
use crate::http::heart::handler::Flow;
use crate::http::heart::head::Known;
use crate::http::heart::request::Request;
use crate::http::heart::response::{LOCATION, reason};
use crate::http::route::finish;
use crate::log::{Level, clock};

/// How the body of a reply ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// After so many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    Close,
    /// With a FastCGI request, after so many bytes where that is known.
    Records(Option<u64>),
    /// After so many bytes and memcached's trailer.
    Value(Trailed),
    /// With an HTTP/2 stream, after so many bytes where that is announced; whether it ended with the head.
    Frames(Option<u64>, bool),
}

/// A response head.
#[derive(Debug)]
pub struct UpstreamResponse {
    /// The status.
    pub status: u16,
    /// `200 OK`, as sent.
    pub text: Part,
    /// Names and values.
    pub headers: Vec<(Part, Part)>,
    /// Bytes of the head.
    pub head: u32,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the connection stays open.
    pub keepalive: bool,
    /// Whether the connection changes its protocol, as the client asked for.
    pub upgrade: bool,
    /// `X-Accel-Buffering`.
    pub buffering: Option<bool>,
    /// Whether a value is compressed, by its flags.
    pub gzip: bool,
}

impl UpstreamResponse {
    /// Names and values of a head that begins `bytes`.
    pub fn fields<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.headers.iter().map(|(name, value)| (of(bytes, name), of(bytes, value)))
    }
}

fn of<'a>(bytes: &'a [u8], part: &Part) -> &'a [u8] {
    bytes.get(part.start as usize..part.end as usize).unwrap_or_default()
}

/// Parses the head `bytes` begin with, an answer to `asked`; nothing when more is needed.
///
/// # Errors
/// nginx's words for a head that cannot be understood.
pub fn parse(
    request: &Request,
    dialect: Dialect,
    asked: &[u8],
    bytes: &[u8],
) -> Result<Option<UpstreamResponse>, Invalid> {
    match dialect {
        Dialect::Memcached { gzip } => value(request, gzip, asked, bytes),
        // The method sent need not be the client's.
        Dialect::Http => {
            let is_head = asked.get(..5).is_some_and(|method| method.eq_ignore_ascii_case(b"HEAD "));
            head_of(request, dialect, is_head, bytes).map_err(Invalid::Head)
        }
        // What a program sends for HEAD all the same is kept, where that is asked for.
        _ => {
            let is_head = request.method == h1::Method::Head && !request.attempts.cache.keeps;
            head_of(request, dialect, is_head, bytes).map_err(Invalid::Head)
        }
    }
}

/// The head of an HTTP/2 server's answer as one of HTTP/1, which a cache keeps.
pub fn as_text(head: &grpc::Head) -> grpc::Head {
    let line = format!("HTTP/1.1 {} {}\r\n", head.status, reason(head.status));
    let mut text =
        grpc::Head { status: head.status, text: line.into_bytes(), ends: head.ends, ..grpc::Head::default() };
    for (name, value) in &head.fields {
        text.push(of(&head.text, name), of(&head.text, value));
    }
    text.text.extend_from_slice(b"\r\n");
    text
}

/// The informational reply whose head a server sent in frames.
pub fn of_hints(head: &grpc::Head) -> UpstreamResponse {
    let (status, headers) = (head.status, head.fields.clone());
    UpstreamResponse { status, headers, head: head.text.len() as u32, ..UpstreamResponse::without_line() }
}

/// The reply whose head a server sent in frames; its text is that of the head.
///
/// # Errors
/// nginx's words for a head that cannot be understood.
pub fn of_frames(
    request: &Request,
    dialect: Dialect,
    asked: &[u8],
    head: &grpc::Head,
) -> Result<UpstreamResponse, String> {
    let mut reply = UpstreamResponse {
        status: head.status,
        headers: head.fields.clone(),
        head: head.text.len() as u32,
        keepalive: true,
        ..UpstreamResponse::without_line()
    };
    let is_grpc = dialect == Dialect::Grpc;
    let is_head = match is_grpc {
        true => request.method == h1::Method::Head,
        // The method sent need not be the client's.
        false => hpack::method(asked).is_some_and(|method| method.eq_ignore_ascii_case(b"HEAD")),
    };
    frame(request, is_head, &head.text, &mut reply)?;
    let left = match reply.framing {
        Framing::None => Some(0),
        Framing::Length(length) => Some(length),
        _ => None,
    };
    reply.framing = Framing::Frames(left.filter(|_| !head.ends), head.ends);
    (reply.keepalive, reply.upgrade) = (true, false);
    reply.buffering = reply.buffering.filter(|_| !is_grpc);
    Ok(reply)
}

/// A head that cannot be understood.
pub enum Invalid {
    /// Why, up to the action the log line names.
    Head(String),
    /// It has been logged.
    Logged,
}

/// Parses memcached's answer to a `get`.
fn value(request: &Request, gzip: u64, asked: &[u8], bytes: &[u8]) -> Result<Option<UpstreamResponse>, Invalid> {
    let key = memcached::key(asked);
    match memcached::head(bytes, key, gzip != 0) {
        Ok(None) => Ok(None),
        Ok(Some((head, Answer::NotFound))) => {
            request.log(
                Level::Info,
                &format!(
                    "key: \"{}\" was not found by memcached while reading response header from upstream",
                    shown(key)
                ),
            );
            Ok(Some(UpstreamResponse {
                status: 404,
                head,
                framing: Framing::None,
                keepalive: true,
                ..UpstreamResponse::without_line()
            }))
        }
        Ok(Some((head, Answer::Value { flags, length }))) => Ok(Some(UpstreamResponse {
            head,
            framing: Framing::Value(Trailed::new(length)),
            // nginx reads no value for an answer without a body.
            keepalive: request.method != h1::Method::Head,
            gzip: flags & gzip != 0,
            ..UpstreamResponse::without_line()
        })),
        Err((what, line)) => {
            let text = match what.part() {
                Some(part) => {
                    format!("memcached sent invalid {part} in response \"{}\" for key \"{}\"", shown(line), shown(key))
                }
                None => format!("memcached sent invalid response: \"{}\"", shown(line)),
            };
            request.log(Level::Error, &format!("{text} while reading response header from upstream"));
            Err(Invalid::Logged)
        }
    }
}

fn shown(bytes: &[u8]) -> String {
    crate::conf::bytes::text(bytes).into_owned()
}

/// Parses the head of an HTTP server or a program.
fn head_of(
    request: &Request,
    dialect: Dialect,
    is_head: bool,
    bytes: &[u8],
) -> Result<Option<UpstreamResponse>, String> {
    if dialect == Dialect::FastCgi {
        return program(request, dialect, is_head, bytes);
    }
    let line = match h1::status_line(bytes) {
        Ok(Some(line)) => line,
        Ok(None) => return Ok(None),
        Err(_) if dialect == Dialect::Cgi => return program(request, dialect, is_head, bytes),
        Err(_) => {
            request.log(
                Level::Error,
                "upstream sent no valid HTTP/1.0 header while reading response header from upstream",
            );
            return Ok(Some(UpstreamResponse::without_line()));
        }
    };
    let mut reply = UpstreamResponse {
        status: line.status,
        text: line.text,
        keepalive: line.version > 1000,
        ..UpstreamResponse::without_line()
    };
    if !headers(bytes, line.end, &mut reply)? {
        return Ok(None);
    }
    frame(request, is_head, bytes, &mut reply)?;
    if dialect == Dialect::Cgi {
        reply.ends_with_program(dialect, is_head);
    }
    Ok(Some(reply))
}

/// Parses the head of a CGI program's answer (RFC 3875 §6.3): the status is in a header, if anywhere.
fn program(
    request: &Request,
    dialect: Dialect,
    is_head: bool,
    bytes: &[u8],
) -> Result<Option<UpstreamResponse>, String> {
    let mut reply = UpstreamResponse::without_line();
    if !headers(bytes, 0, &mut reply)? {
        return Ok(None);
    }
    frame(request, is_head, bytes, &mut reply)?;
    let named = |name: &[u8]| reply.headers.iter().find(|(own, _)| of(bytes, own).eq_ignore_ascii_case(name));
    if let Some((_, value)) = named(b"status") {
        let shown = of(bytes, value);
        let digits = shown.get(..3).and_then(crate::conf::value::number);
        let Some(status) = digits.and_then(|status| u16::try_from(status).ok()) else {
            return Err(format!("upstream sent invalid status \"{}\"", crate::conf::bytes::text(shown)));
        };
        (reply.status, reply.text) = (status, value.clone());
    } else if named(b"location").is_some() {
        reply.status = 302;
    }
    let bodiless = matches!(reply.status, 204 | 304);
    if bodiless {
        reply.framing = Framing::None;
    }
    if reply.status == 101 {
        reply.switches(dialect == Dialect::Cgi && request.header(Known::Upgrade).is_some());
    }
    reply.ends_with_program(dialect, is_head);
    Ok(Some(reply))
}

/// Reads header lines from `at` on; whether all are there.
fn headers(bytes: &[u8], mut at: u32, reply: &mut UpstreamResponse) -> Result<bool, String> {
    // As many as most have.
    reply.headers.reserve(16);
    loop {
        match h1::header_line(bytes, at, true) {
            Ok(Next::Header(header)) => {
                at = header.end;
                reply.headers.push((header.name, header.value));
            }
            Ok(Next::End(end)) => {
                reply.head = end;
                return Ok(true);
            }
            Ok(Next::More) => return Ok(false),
            Err(place) => {
                let shown = bytes.get(at as usize..place as usize).unwrap_or_default();
                let odd = bytes.get(place as usize).copied().unwrap_or_default();
                return Err(format!(
                    "upstream sent invalid header: \"{}\\x{odd:02x}...\"",
                    String::from_utf8_lossy(shown)
                ));
            }
        }
    }
}

/// Headers of which the first counts, and others are left out.
const SINGLE: [&[u8]; 11] = [
    b"status",
    b"content-type",
    b"date",
    b"last-modified",
    b"etag",
    b"server",
    b"location",
    b"refresh",
    b"expires",
    b"x-accel-expires",
    b"x-accel-redirect",
];

/// Where a header of this name came before, of those that may come once.
fn earlier(bytes: &[u8], before: &[(Part, Part)], name: &[u8]) -> Option<(Part, Part)> {
    before.iter().find(|(other, _)| of(bytes, other).eq_ignore_ascii_case(name)).cloned()
}

/// Leaves out repeated headers, and finds how the body ends.
fn frame(request: &Request, is_head: bool, bytes: &[u8], reply: &mut UpstreamResponse) -> Result<(), String> {
    let mut length = None;
    let mut chunked = false;
    let text = |part: &Part| String::from_utf8_lossy(of(bytes, part)).into_owned();
    let mut at = 0;
    while let Some((name_at, value_at)) = reply.headers.get(at).cloned() {
        let (name, value) = (of(bytes, &name_at), of(bytes, &value_at));
        let is = |wanted: &[u8]| name.len() == wanted.len() && name.eq_ignore_ascii_case(wanted);
        let before = reply.headers.get(..at).unwrap_or_default();
        let framing = is(b"content-length") || is(b"transfer-encoding");
        if (framing || SINGLE.iter().any(|single| is(single)))
            && let Some((first, previous)) = earlier(bytes, before, name)
        {
            let line = format!(
                "upstream sent duplicate header line: \"{}: {}\", previous value: \"{}: {}\"",
                text(&name_at),
                text(&value_at),
                text(&first),
                text(&previous)
            );
            if framing {
                return Err(line);
            }
            request.log(Level::Warn, &format!("{line}, ignored while reading response header from upstream"));
            reply.headers.remove(at);
            continue;
        }
        at += 1;
        match name.len() {
            14 if is(b"content-length") => {
                if chunked {
                    return Err(BOTH.to_owned());
                }
                let invalid = || {
                    let (name, value) = (text(&name_at), text(&value_at));
                    format!("upstream sent invalid \"Content-Length\" header: \"{name}: {value}\"")
                };
                length = Some(crate::conf::value::number(value).ok_or_else(invalid)?);
            }
            17 if is(b"transfer-encoding") => {
                if length.is_some() {
                    return Err(BOTH.to_owned());
                }
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(format!("upstream sent unknown \"Transfer-Encoding\": \"{}\"", text(&value_at)));
                }
                chunked = true;
            }
            10 if is(b"connection") => {
                let holds = |word: &[u8]| value.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
                if holds(b"close") {
                    reply.keepalive = false;
                } else if holds(b"keep-alive") {
                    reply.keepalive = true;
                }
            }
            17 if is(b"x-accel-buffering") => {
                reply.buffering = Some(value.eq_ignore_ascii_case(b"yes"));
            }
            _ => {}
        }
    }
    let head_only = is_head || matches!(reply.status, 204 | 304);
    reply.framing = match (head_only, chunked, length) {
        (true, ..) => Framing::None,
        (_, true, _) => Framing::Chunked,
        (_, _, Some(length)) => Framing::Length(length),
        _ => Framing::Close,
    };
    if reply.status == 101 {
        reply.switches(request.header(Known::Upgrade).is_some());
    }
    Ok(())
}

const BOTH: &str = "upstream sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time";

impl UpstreamResponse {
    /// A reply with status 101: a tunnel where the client asked for one, else nothing that follows is passed on.
    fn switches(&mut self, asked: bool) {
        self.keepalive = false;
        self.upgrade = asked;
        if !asked {
            self.framing = Framing::None;
        }
    }

    /// A response without a head, as HTTP/0.9 has it, or before its headers are read.
    const fn without_line() -> Self {
        Self {
            status: 200,
            text: 0..0,
            headers: Vec::new(),
            head: 0,
            framing: Framing::Close,
            keepalive: false,
            upgrade: false,
            buffering: None,
            gzip: false,
        }
    }

    /// The body ends as a program's does: chunks and other protocols are not its matter.
    fn ends_with_program(&mut self, dialect: Dialect, is_head: bool) {
        self.framing = match (dialect, self.framing) {
            // Of an answer to HEAD nothing is waited for.
            (Dialect::FastCgi, _) if is_head => Framing::None,
            (Dialect::FastCgi, Framing::None) => Framing::Records(Some(0)),
            (Dialect::FastCgi, Framing::Length(length)) => Framing::Records(Some(length)),
            (Dialect::FastCgi, _) => Framing::Records(None),
            (_, Framing::Chunked) => Framing::Close,
            (_, other) => other,
        };
        self.keepalive = matches!(self.framing, Framing::Records(_));
    }

    /// Names and values of the headers.
    pub fn named<'b>(&self, bytes: &'b [u8]) -> impl Iterator<Item = (&'b [u8], &'b [u8])> {
        self.headers.iter().map(|(name, value)| (of(bytes, name), of(bytes, value)))
    }

    /// Whether there is a header of this name.
    fn has(&self, bytes: &[u8], name: &[u8]) -> bool {
        self.headers.iter().any(|(own, _)| of(bytes, own).eq_ignore_ascii_case(name))
    }

    /// Whether nothing follows the head.
    pub const fn has_no_body(&self) -> bool {
        matches!(self.framing, Framing::None | Framing::Length(0) | Framing::Frames(_, true))
    }
}

/// Keeps the head for `$upstream_http_…`, whatever becomes of the reply.
pub fn keep(request: &mut Request, bytes: &[u8], reply: &UpstreamResponse) {
    let head = bytes.get(..reply.head as usize).unwrap_or_default();
    request.attempts.keep(head, reply.headers.clone());
}

/// Follows X-Accel-Redirect, unless it is to be ignored.
pub fn redirect(
    request: &mut Request,
    gateway: &Gateway,
    bytes: &[u8],
    reply: &UpstreamResponse,
) -> Option<Flow<'static>> {
    if gateway.ignore_headers & 1 != 0 {
        return None;
    }
    set_rate(request, gateway, bytes, reply);
    let found = reply.headers.iter().find(|(name, _)| of(bytes, name).eq_ignore_ascii_case(b"x-accel-redirect"))?;
    let target = of(bytes, &found.1).to_vec();
    // Headers of the reply that survive the redirect, as in nginx.
    for (name, value) in &reply.headers {
        let (name, value) = (of(bytes, name), of(bytes, value));
        let kept: [&[u8]; 6] =
            [b"Content-Type", b"Set-Cookie", b"Content-Disposition", b"Cache-Control", b"Expires", b"Accept-Ranges"];
        if kept.first().is_some_and(|kind| name.eq_ignore_ascii_case(kind)) {
            request.response.content_type = value.to_vec();
        }
        if kept.iter().skip(1).any(|keep| name.eq_ignore_ascii_case(keep)) {
            request.response.headers.add(name, value);
        }
    }
    let next = if target.starts_with(b"@") {
        finish::named(request, &target)
    } else {
        let Some((path, args)) = uri::safe(&target) else {
            let shown = String::from_utf8_lossy(&target);
            request.log(
                Level::Error,
                &format!("unsafe URI \"{shown}\" was detected while reading response header from upstream"),
            );
            return Some(Flow::Finish(404));
        };
        if request.method != h1::Method::Head {
            request.method = h1::Method::Get;
            request.forced_get = true;
        }
        finish::jump(request, &path, args)
    };
    Some(match next {
        finish::Next::Send => Flow::Done,
        finish::Next::Restart(target) => Flow::Restart(target),
    })
}

/// Sets how fast the client is sent the response, as X-Accel-Limit-Rate says.
fn set_rate(request: &Request, gateway: &Gateway, bytes: &[u8], reply: &UpstreamResponse) {
    let named = |name: &Part| of(bytes, name).eq_ignore_ascii_case(b"x-accel-limit-rate");
    let found = reply.headers.iter().find(|(name, _)| gateway.ignore_headers & 4 == 0 && named(name));
    if let Some(rate) = found.and_then(|(_, value)| crate::conf::value::number(of(bytes, value))) {
        request.pace.set(rate);
    }
}

/// Keeps the challenge of an intercepted 401.
pub fn challenge(request: &mut Request, bytes: &[u8], reply: &UpstreamResponse) {
    for (name, value) in &reply.headers {
        if reply.status == 401 && of(bytes, name).eq_ignore_ascii_case(b"www-authenticate") {
            let value = of(bytes, value).to_vec();
            request.response.headers.add(b"WWW-Authenticate", &value);
        }
    }
}

/// Makes the client's response head of a reply.
pub fn head<P: Protocol>(
    request: &mut Request,
    gateway: &Gateway,
    protocol: &P,
    bytes: &[u8],
    reply: &UpstreamResponse,
) {
    set_rate(request, gateway, bytes, reply);
    request.response.status = reply.status;
    if request.response.error != 0 && reply.status != 0 {
        // An error page that is fetched from a backend keeps the error's status.
        request.response.status = request.response.error;
    } else {
        request.response.reason.clear();
        request.response.reason.extend_from_slice(of(bytes, &reply.text));
    }
    for (name, value) in &reply.headers {
        pass(request, gateway, protocol, of(bytes, name), of(bytes, value));
    }
    if gateway.ignore_headers & 16 == 0 {
        let named = |name: &Part| of(bytes, name).eq_ignore_ascii_case(b"x-accel-charset");
        let charset = reply.headers.iter().rfind(|(name, _)| named(name));
        request.response.forced_charset = charset.map(|(_, value)| of(bytes, value).to_vec());
    }
    if reply.gzip {
        request.response.headers.add(b"Content-Encoding", b"gzip");
    }
    request.response.length = match reply.framing {
        Framing::Length(length) => Some(length),
        Framing::Value(value) => Some(value.left()),
        Framing::Frames(_, true) => Some(0),
        Framing::None | Framing::Records(_) | Framing::Frames(_, false) => announced(bytes, reply),
        _ => None,
    };
    if request.response.final_status() == 304 {
        request.response.length = request.response.length.filter(|_| reply.status == 304);
    }
    request.response.ranges = matches!(reply.framing, Framing::Value(_));
    request.response.single_range = request.response.ranges;
    request.response.unconditional = true;
    let http = gateway.dialect == Dialect::Http;
    request.response.server_passed = gateway.passes_server && (http || reply.has(bytes, b"server"));
    request.response.date_passed = gateway.passes_date && (http || reply.has(bytes, b"date"));
    if reply.text.is_empty() && reply.head == 0 {
        request.response.status = 0;
        request.head.line.version = 9;
        request.keepalive = false;
        request.response.head_only = request.method == h1::Method::Head;
    }
}

/// The length a response to HEAD announces.
fn announced(bytes: &[u8], reply: &UpstreamResponse) -> Option<u64> {
    let found = reply.headers.iter().find(|(name, _)| of(bytes, name).eq_ignore_ascii_case(b"content-length"))?;
    crate::conf::value::number(of(bytes, &found.1))
}

/// Takes one header over.
fn pass<P: Protocol>(request: &mut Request, gateway: &Gateway, protocol: &P, name: &[u8], value: &[u8]) {
    if gateway.hides(name) {
        return;
    }
    let lower = |wanted: &[u8]| name.len() == wanted.len() && name.eq_ignore_ascii_case(wanted);
    let response = &mut request.response;
    match name.len() {
        12 if lower(b"content-type") => {
            response.content_type.clear();
            response.content_type.extend_from_slice(value);
            return;
        }
        14 if lower(b"content-length") => return,
        17 if lower(b"transfer-encoding") => return,
        10 if lower(b"connection") || lower(b"keep-alive") => return,
        13 if lower(b"last-modified") => {
            response.last_modified = clock::parse_http_date(value);
            response.last_modified_passed = true;
        }
        4 if lower(b"etag") => {
            response.etag.clear();
            response.etag.extend_from_slice(value);
        }
        _ => {}
    }
    let rewritten = match name.len() {
        8 if lower(b"location") => protocol.rewrite(request, LOCATION, value),
        7 if lower(b"refresh") => protocol.rewrite(request, b"Refresh", value),
        10 if lower(b"set-cookie") => protocol.rewrite(request, b"Set-Cookie", value),
        _ => None,
    };
    if lower(b"location") {
        request.response.location_as_is = rewritten.is_none();
    }
    request.response.headers.add(name, rewritten.as_deref().unwrap_or(value));
}
