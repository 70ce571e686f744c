//! The built-in names of http and what they mean.

use crate::http::codec::h1::LineError;
use crate::http::heart::head::cookie_of;
use crate::http::heart::head::{Known, variable_name_is};
use crate::http::heart::request::Request;
use crate::http::route::credentials::credentials;
use crate::http::route::encode;
use crate::log::Level;
use crate::net::address::Address;
use crate::script::variable::{Family, Variable};
use crate::sys::socket::{TcpFacts, tcp_facts};
use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;

/// Names the core module brings.
pub static VARIABLES: &[Variable<Request>] = &[
    Variable::new("http_host", known).data(Known::Host as u32),
    Variable::new("http_user_agent", known).data(Known::UserAgent as u32),
    Variable::new("http_referer", known).data(Known::Referer as u32),
    Variable::new("http_via", |r, _, out| request_header(r, b"via", out)),
    Variable::new("http_x_forwarded_for", |r, _, out| request_header(r, b"x_forwarded_for", out)),
    Variable::new("http_cookie", |r, _, out| request_header(r, b"cookie", out)),
    Variable::new("content_length", content_length),
    Variable::new("content_type", known).data(Known::ContentType as u32),
    Variable::new("host", host),
    Variable::new("binary_remote_addr", binary_remote_addr),
    Variable::new("remote_addr", remote_addr),
    Variable::new("remote_port", remote_port),
    Variable::new("remote_user", remote_user),
    Variable::new("proxy_protocol_addr", proxy_protocol).data(0),
    Variable::new("proxy_protocol_port", proxy_protocol).data(1),
    Variable::new("proxy_protocol_server_addr", proxy_protocol).data(2),
    Variable::new("proxy_protocol_server_port", proxy_protocol).data(3),
    Variable::new("tcpinfo_rtt", |r, _, out| tcp(r, |facts| facts.rtt, out)),
    Variable::new("tcpinfo_rttvar", |r, _, out| tcp(r, |facts| facts.rtt_variance, out)),
    Variable::new("tcpinfo_snd_cwnd", |r, _, out| tcp(r, |facts| facts.send_window, out)),
    Variable::new("tcpinfo_rcv_space", |r, _, out| tcp(r, |facts| facts.receive_space, out)),
    Variable::new("server_addr", server_addr),
    Variable::new("server_port", server_port),
    Variable::new("server_protocol", server_protocol),
    Variable::new("scheme", |r, _, out| put(out, if r.connection.secure.get() { b"https" } else { b"http" })),
    Variable::new("https", |r, _, out| put(out, if r.connection.secure.get() { b"on" } else { b"" })),
    Variable::new("request_uri", |r, _, out| put(out, r.raw_uri())),
    Variable::new("uri", uri),
    Variable::new("document_uri", uri),
    Variable::new("request", |r, _, out| put(out, r.head.text(&r.head.line.line))),
    Variable::new("document_root", document_root),
    Variable::new("realpath_root", realpath_root),
    Variable::new("query_string", args),
    Variable::new("args", args).assign(set_args).changeable(),
    Variable::new("limit_rate", limit_rate).assign(set_limit_rate).changeable(),
    Variable::new("is_args", |r, _, out| put(out, if r.args.is_empty() { b"" } else { b"?" })),
    Variable::new("request_filename", |r, _, out| !r.lost_alias() && put(out, &r.file_path())),
    Variable::new("server_name", |r, _, out| put(out, &r.server.name)),
    Variable::new("request_method", |r, _, out| some(out, r.method_name())),
    Variable::new("bytes_sent", |r, _, out| number(out, r.response.sent)),
    Variable::new("body_bytes_sent", |r, _, out| number(out, r.response.sent.saturating_sub(r.response.head_bytes))),
    Variable::new("pipe", |r, _, out| put(out, if r.pipelined { b"p" } else { b"." })),
    Variable::new("request_completion", completion),
    Variable::new("request_body", request_body),
    Variable::new("request_body_file", request_body_file),
    Variable::new("request_length", |r, _, out| number(out, r.head_length + r.body.raw)),
    Variable::new("request_time", request_time),
    Variable::new("request_id", request_id),
    Variable::new("status", status),
    Variable::new("connection", |r, _, out| number(out, r.connection.number)),
    Variable::new("connection_requests", |r, _, out| number(out, r.connection.requests.get())),
    Variable::new("connection_time", connection_time),
    Variable::new("nginx_version", |_, _, out| put(out, b"1.23.4")),
    Variable::new("hostname", hostname),
    Variable::new("pid", |_, _, out| number(out, u64::from(std::process::id()))),
    Variable::new("msec", msec),
    Variable::new("time_iso8601", |r, _, out| put(out, r.event_loop().clock.forms().iso.as_bytes())),
    Variable::new("time_local", |r, _, out| put(out, r.event_loop().clock.forms().common.as_bytes())),
    Variable::new("sent_http_content_type", |r, _, out| some(out, &r.response.content_type)),
    Variable::new("sent_http_content_length", sent_content_length),
    Variable::new("sent_http_location", |r, _, out| encode::sent_location(r, out)),
    Variable::new("sent_http_last_modified", sent_last_modified),
    Variable::new("sent_http_connection", sent_connection),
    Variable::new("sent_http_transfer_encoding", |r, _, out| {
        some(out, if r.response.chunked { b"chunked" } else { b"" })
    }),
    Variable::new("sent_http_keep_alive", |r, _, out| response_header(r, b"keep_alive", out)),
    Variable::new("sent_http_cache_control", |r, _, out| response_header(r, b"cache_control", out)),
    Variable::new("sent_http_link", |r, _, out| response_header(r, b"link", out)),
    Variable::new("sent_http_etag", |r, _, out| some(out, &r.response.etag)),
    Variable::new("limit_conn_status", |r, _, out| some(out, r.limit_conn_status.as_bytes())),
];

/// Names by prefix.
pub static FAMILIES: [Family<Request>; 9] = [
    Family { prefix: "http_", get: request_header },
    Family { prefix: "sent_http_", get: response_header },
    Family { prefix: "sent_trailer_", get: response_trailer },
    Family { prefix: "upstream_http_", get: |r, name, out| r.attempts.header(name, out) },
    Family { prefix: "upstream_trailer_", get: upstream_trailer },
    Family { prefix: "upstream_cookie_", get: |r, name, out| r.attempts.cookie(name, out) },
    Family { prefix: "cookie_", get: cookie },
    Family { prefix: "arg_", get: argument },
    Family { prefix: "proxy_protocol_tlv_", get: proxy_protocol_option },
];

/// A number the kernel knows of the client's connection.
fn tcp(request: &Request, of: fn(&TcpFacts) -> u32, out: &mut Vec<u8>) -> bool {
    let facts = tcp_facts(request.connection.stream.socket());
    facts.is_ok_and(|facts| number(out, u64::from(of(&facts))))
}

fn put(out: &mut Vec<u8>, text: &[u8]) -> bool {
    out.extend_from_slice(text);
    true
}

fn some(out: &mut Vec<u8>, text: &[u8]) -> bool {
    out.extend_from_slice(text);
    !text.is_empty()
}

fn number(out: &mut Vec<u8>, value: u64) -> bool {
    put(out, itoa::Buffer::new().format(value).as_bytes())
}

/// Seconds with three places.
pub fn seconds(out: &mut Vec<u8>, time: std::time::Duration) -> bool {
    write!(out, "{}.{:03}", time.as_secs(), time.subsec_millis()).is_ok()
}

fn known(request: &Request, which: u32, out: &mut Vec<u8>) -> bool {
    let names = [Known::Host, Known::UserAgent, Known::Referer, Known::ContentType];
    let Some(known) = names.into_iter().find(|known| *known as u32 == which) else { return false };
    let start = out.len();
    for (_, value, _) in request.head.iter().filter(|(.., header)| *header == Some(known)) {
        if out.len() > start {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(value);
    }
    out.len() > start
}

fn content_length(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    if let Some(value) = request.header(Known::ContentLength) {
        return put(out, value);
    }
    request.body.is_chunked() && request.body.saved.as_ref().is_some_and(|saved| number(out, saved.len()))
}

fn host(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    put(out, if request.host.is_empty() { &request.server.name } else { &request.host })
}

fn binary_remote_addr(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    match request.client() {
        Address::Ip(address) => match address.ip() {
            std::net::IpAddr::V4(ip) => put(out, &ip.octets()),
            std::net::IpAddr::V6(ip) => put(out, &ip.octets()),
        },
        Address::Unix(_) => put(out, b"unix:"),
    }
}

fn remote_addr(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    match request.client() {
        Address::Ip(address) => write!(out, "{}", address.ip()).is_ok(),
        Address::Unix(_) => put(out, b"unix:"),
    }
}

fn remote_port(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    match request.client() {
        Address::Ip(address) if address.port() > 0 => number(out, u64::from(address.port())),
        _ => true,
    }
}

/// The user of an Authorization header with the Basic scheme (RFC 7617).
fn remote_user(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    credentials(request).is_some_and(|(user, _)| put(out, &user))
}

/// A port; 0 is shown as an empty text.
fn port(port: u16, out: &mut Vec<u8>) -> bool {
    port == 0 || number(out, u64::from(port))
}

fn proxy_protocol(request: &Request, which: u32, out: &mut Vec<u8>) -> bool {
    let proxied = request.connection.proxied.borrow();
    let Some(header) = proxied.as_ref() else { return false };
    match which {
        0 => put(out, header.source.as_bytes()),
        1 => port(header.source_port, out),
        2 => put(out, header.destination.as_bytes()),
        _ => port(header.destination_port, out),
    }
}

fn proxy_protocol_option(request: &Request, name: &[u8], out: &mut Vec<u8>) -> bool {
    let header = request.connection.proxied.borrow();
    header.as_ref().and_then(|header| header.option(name)).is_some_and(|value| put(out, &value))
}

fn server_addr(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    match request.connection.local() {
        Some(local) => write!(out, "{}", local.ip()).is_ok(),
        None => put(out, request.connection.bound.to_string().as_bytes()),
    }
}

fn server_port(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    request.connection.local().is_none_or(|local| number(out, u64::from(local.port())))
}

fn server_protocol(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    match (request.version(), request.bad_line) {
        (_, Some(LineError::Version | LineError::Protocol)) => true,
        (0..1000, _) | (_, Some(_)) => false,
        (version, _) => write!(out, "HTTP/{}.{}", version / 1000, version % 1000).is_ok(),
    }
}

fn document_root(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    request.location.settings.root.path.write(request, out);
    true
}

fn realpath_root(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    let path = request.location.settings.root.path.text(request);
    std::fs::canonicalize(OsStr::from_bytes(&path)).is_ok_and(|real| put(out, real.as_os_str().as_bytes()))
}

/// Not known while the request line has not been understood.
fn uri(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(&request.uri);
    !request.head.line.method_name.is_empty()
}

fn args(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(&request.args);
    request.has_args
}

fn set_args(request: &mut Request, value: &[u8]) {
    request.args = value.to_vec();
    request.has_args = true;
    request.uri_as_sent = false;
}

fn limit_rate(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    number(out, request.pace.rate())
}

fn set_limit_rate(request: &mut Request, value: &[u8]) {
    match crate::conf::value::size(value, false) {
        Some(rate) => request.pace.set(rate),
        None => {
            let shown = crate::conf::bytes::text(value);
            request.log(Level::Error, &format!("invalid $limit_rate \"{shown}\""));
        }
    }
}

fn completion(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    put(out, if request.response.head_made && !request.response.broken { b"OK" } else { b"" })
}

fn request_body(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    match &request.body.saved {
        Some(crate::http::heart::body::Saved::Memory(bytes)) => put(out, bytes),
        _ => false,
    }
}

fn request_body_file(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    match &request.body.saved {
        Some(crate::http::heart::body::Saved::File(file, _)) => put(out, &crate::conf::bytes::raw(&file.path)),
        _ => false,
    }
}

fn request_time(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    request.event_loop().clock.update();
    seconds(out, request.event_loop().clock.now().saturating_sub(request.started))
}

/// 32 hexadecimal digits that differ for every request.
fn request_id(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    use std::hash::{BuildHasher as _, Hasher as _};
    let mut hasher = request.connection.loop_state.random.build_hasher();
    hasher.write_u64(request.connection.number);
    hasher.write_u64(request.serial);
    let high = hasher.finish();
    hasher.write_u64(request.started.as_nanos() as u64);
    write!(out, "{high:016x}{:016x}", hasher.finish()).is_ok()
}

fn status(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    match request.response.final_status() {
        0 if request.version() < 1000 => put(out, b"009"),
        status => write!(out, "{status:03}").is_ok(),
    }
}

fn connection_time(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    seconds(out, request.connection.since.elapsed())
}

fn hostname(_: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    nix::unistd::gethostname().is_ok_and(|name| put(out, name.to_string_lossy().to_lowercase().as_bytes()))
}

fn msec(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    seconds(out, request.event_loop().clock.now())
}

fn sent_content_length(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    request.response.length.is_some_and(|length| number(out, length))
}

fn sent_last_modified(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    if request.response.last_modified_passed {
        return response_header(request, b"last_modified", out);
    }
    request.response.last_modified.is_some_and(|time| put(out, crate::http::heart::response::date(time).as_bytes()))
}

fn sent_connection(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    let text: &[u8] = match (request.response.upgrade, request.keepalive) {
        (true, _) => b"upgrade",
        (_, true) => b"keep-alive",
        _ => b"close",
    };
    put(out, text)
}

/// `$http_name`: all values, joined as nginx joins them (cookies with `; `).
fn request_header(request: &Request, name: &[u8], out: &mut Vec<u8>) -> bool {
    let separator: &[u8] = if name == b"cookie" { b"; " } else { b", " };
    join(request.head.named(name), separator, out)
}

fn response_header(request: &Request, name: &[u8], out: &mut Vec<u8>) -> bool {
    let headers = request.response.headers.iter().filter(|(header, _)| variable_name_is(header, name));
    join(headers.map(|(_, value)| value), b", ", out)
}

fn response_trailer(request: &Request, name: &[u8], out: &mut Vec<u8>) -> bool {
    let trailers = request.response.trailers.iter().filter(|(field, _)| variable_name_is(field, name));
    join(trailers.map(|(_, value)| value), b", ", out)
}

fn upstream_trailer(request: &Request, name: &[u8], out: &mut Vec<u8>) -> bool {
    let trailers = request.attempts.trailers.iter().filter(|(field, _)| variable_name_is(field, name));
    join(trailers.map(|(_, value)| value), b", ", out)
}

fn join<'a>(values: impl Iterator<Item = &'a [u8]>, separator: &[u8], out: &mut Vec<u8>) -> bool {
    let mut found = false;
    for value in values {
        if found {
            out.extend_from_slice(separator);
        }
        out.extend_from_slice(value);
        found = true;
    }
    found
}

fn cookie(request: &Request, name: &[u8], out: &mut Vec<u8>) -> bool {
    let value = request.head.named(b"cookie").find_map(|line| cookie_of(line, name));
    value.is_some_and(|value| put(out, value))
}

fn argument(request: &Request, name: &[u8], out: &mut Vec<u8>) -> bool {
    request.argument(name).is_some_and(|value| put(out, value))
}

impl Request {
    /// The first argument of this name, as it was sent.
    pub fn argument(&self, name: &[u8]) -> Option<&[u8]> {
        let mut parts = self.args.split(|byte| *byte == b'&');
        parts.find_map(|part| match part.split_at_checked(name.len()) {
            Some((head, [b'=', value @ ..])) if head.eq_ignore_ascii_case(name) => Some(value),
            _ => None,
        })
    }
}
