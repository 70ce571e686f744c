//! A response head as nginx writes it: the same lines in the same order.

use crate::http::codec::h1::Method;
use crate::http::heart::client::Lifecycle;
use crate::http::heart::head::Known;
use crate::http::heart::request::Request;
use crate::http::heart::response::{LOCATION, reason};
use crate::http::heart::settings::Tokens;

/// What `Server:` says with `server_tokens on`; the one place that says so.
pub const SERVER: &str = "nginx/1.23.4";
/// What it says with `server_tokens build`.
pub const SERVER_BUILD: &str = concat!("nginx/1.23.4 (rnginx/", env!("CARGO_PKG_VERSION"), ")");

/// The product's name under a `server_tokens` setting.
pub const fn server(tokens: Tokens) -> &'static str {
    match tokens {
        Tokens::Off => "nginx",
        Tokens::On => SERVER,
        Tokens::Build => SERVER_BUILD,
    }
}

/// Appends the head.
pub fn head(request: &Request, out: &mut Vec<u8>) {
    if request.version() < 1000 {
        return;
    }
    let response = &request.response;
    let settings = &request.location.settings;
    let mut number = itoa::Buffer::new();
    out.extend_from_slice(b"HTTP/1.1 ");
    if response.reason.is_empty() {
        let status = response.status;
        if status < 100 {
            out.extend_from_slice(if status < 10 { b"00" } else { b"0" });
        }
        out.extend_from_slice(number.format(status).as_bytes());
        out.push(b' ');
        out.extend_from_slice(reason(status).as_bytes());
    } else {
        out.extend_from_slice(&response.reason);
    }
    out.extend_from_slice(b"\r\n");
    if !response.server_passed {
        line(out, b"Server", server(settings.server_tokens).as_bytes());
    }
    if !response.date_passed {
        line(out, b"Date", request.event_loop().clock.forms().http.as_bytes());
    }
    if !response.content_type.is_empty() {
        line(out, b"Content-Type", &response.content_type);
    }
    if let Some(length) = response.length {
        line(out, b"Content-Length", number.format(length).as_bytes());
    }
    if let Some(modified) = response.last_modified
        && !response.last_modified_passed
    {
        line(out, b"Last-Modified", crate::http::heart::response::date(modified).as_bytes());
    }
    let first = relative_location(request);
    if let Some(target) = first {
        out.extend_from_slice(b"Location: ");
        location(request, target, out);
        out.extend_from_slice(b"\r\n");
    }
    if response.chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    connection(request, out);
    if response.vary {
        out.extend_from_slice(b"Vary: Accept-Encoding\r\n");
    }
    for (name, value) in response.headers.iter() {
        if first.is_none() || !name.eq_ignore_ascii_case(LOCATION) {
            line(out, name, value);
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn connection(request: &Request, out: &mut Vec<u8>) {
    if request.response.upgrade {
        out.extend_from_slice(b"Connection: upgrade\r\n");
    } else if request.keepalive {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
        let seconds = request.location.settings.keepalive_header;
        if seconds > 0 {
            out.extend_from_slice(b"Keep-Alive: timeout=");
            out.extend_from_slice(itoa::Buffer::new().format(seconds).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    } else {
        out.extend_from_slice(b"Connection: close\r\n");
    }
}

/// The path of a Location that is sent as a whole URL.
fn relative_location(request: &Request) -> Option<&[u8]> {
    let response = &request.response;
    let absolute = request.location.settings.absolute_redirect && !response.location_as_is;
    response.location().filter(|target| absolute && target.starts_with(b"/"))
}

/// Appends Location as the client got it, or would get it now; tells whether there is one.
pub fn sent_location(request: &Request, out: &mut Vec<u8>) -> bool {
    match relative_location(request).filter(|_| request.response.head_made && request.version() >= 1000) {
        Some(target) => location(request, target, out),
        None => out.extend_from_slice(request.response.location().unwrap_or_default()),
    }
    request.response.location().is_some_and(|target| !target.is_empty())
}

/// A path in Location becomes a whole URL.
fn location(request: &Request, target: &[u8], out: &mut Vec<u8>) {
    let settings = &request.location.settings;
    let secure = request.connection.secure.get();
    out.extend_from_slice(if secure { b"https://" } else { b"http://" });
    if settings.server_name_in_redirect {
        out.extend_from_slice(&request.server.name);
    } else if !request.host.is_empty() {
        out.extend_from_slice(&request.host);
    } else {
        match request.connection.local() {
            Some(local) => out.extend_from_slice(ip_text(local.ip()).as_bytes()),
            None => out.extend_from_slice(b"localhost"),
        }
    }
    let port = request.connection.local().map_or(0, |local| local.port());
    let own = if secure { 443 } else { 80 };
    if settings.port_in_redirect && port != own && port != 0 {
        out.push(b':');
        out.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
    }
    out.extend_from_slice(target);
}

/// An address in a URL.
fn ip_text(ip: std::net::IpAddr) -> String {
    match ip {
        std::net::IpAddr::V4(ip) => ip.to_string(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// Whether the client lets the connection be kept, by its version and Connection header.
pub fn wants_keepalive(request: &Request) -> bool {
    if request.connection.lifecycle.get() == Lifecycle::Retired {
        return false;
    }
    let mut wanted = request.version() > 1000;
    for (_, value, known) in request.head.iter() {
        if known == Some(Known::Connection) {
            let has = |word: &[u8]| value.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
            wanted = !has(b"close") && (wanted || has(b"keep-alive"));
        }
    }
    wanted
}

/// Whether `keepalive_disable` of the location names the client's browser.
pub fn is_disabled(request: &Request) -> bool {
    let disabled = request.location.settings.keepalive_disable;
    let agent = request.header(Known::UserAgent).unwrap_or_default();
    let names = |word: &[u8]| memchr::memmem::find(agent, word).is_some();
    if disabled & 2 != 0 && request.method == Method::Post && is_msie6(agent) {
        return true;
    }
    let safari = || names(b"Safari/") && names(b"Mac OS X");
    let other = || [&b"MSIE "[..], b"Opera", b"Gecko/", b"Chrome/"].iter().any(|word| names(word));
    disabled & 4 != 0 && safari() && !other()
}

/// Whether a User-Agent is MSIE 4, 5 or 6 without its second service pack.
pub fn is_msie6(agent: &[u8]) -> bool {
    let Some(at) = memchr::memmem::find(agent, b"MSIE ") else { return false };
    let old = match agent.get(at + 5..).unwrap_or_default() {
        [b'4' | b'5', b'.', _, ..] => true,
        [b'6', b'.', _, rest @ ..] => memchr::memmem::find(rest, b"SV1").is_none(),
        _ => false,
    };
    old && memchr::memmem::find(agent, b"Opera").is_none()
}

#[cfg(test)]
mod tests {
    use super::is_msie6;

    #[test]
    fn old_versions_of_msie_are_found_as_nginx_does() {
        for (agent, old) in [
            ("Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)", true),
            ("Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)", false),
            ("Mozilla/4.0 (compatible; MSIE 5.5; Windows 98)", true),
            ("Mozilla/4.0 (compatible; MSIE 4.01)", true),
            ("Mozilla/4.0 (compatible; MSIE 7.0)", false),
            ("Mozilla/4.0 (compatible; MSIE 6.0; Windows NT) Opera 8.5", false),
            ("MSIE 6.", false),
        ] {
            assert_eq!(is_msie6(agent.as_bytes()), old, "{agent}");
        }
    }
}
