//! What a status becomes: an error page of the configuration, or nginx's own short page.

use crate::conf::bytes;
use crate::http::codec::uri;
use crate::http::heart::handler::Target;
use crate::http::heart::head::Known;
use crate::http::heart::request::Request;
use crate::http::heart::response::{Content, LOCATION, reason};
use crate::http::heart::settings::{Answer, MsieRefresh};
use crate::http::route::encode;
use crate::log::Level;

/// What follows a status.
pub enum Next {
    /// The response is ready (or sent).
    Send,
    /// The request goes to another location.
    Restart(Target),
}

/// Answers with `status`: through `error_page` where one fits, else with a page of our own.
pub fn special(request: &mut Request, status: u16) -> Next {
    if status == 444 {
        request.blame_client();
        request.abandoned = true;
        request.keepalive = false;
        request.lingering = false;
        request.response.status = 444;
        return Next::Send;
    }
    if request.response.head_made {
        request.keepalive = false;
        return Next::Send;
    }
    if status == 408 || status == 499 || request.response.broken {
        if status == 408 {
            request.blame_client();
        }
        request.abandoned = true;
        request.keepalive = false;
        request.response.status = status;
        return Next::Send;
    }
    request.response.error = status;
    if matches!(status, 400 | 413 | 414 | 495 | 496 | 497 | 500 | 501) {
        request.keepalive = false;
    }
    if matches!(status, 400 | 495..=497) {
        request.lingering = false;
    }
    request.response.content_type.clear();
    let recursive = request.location.settings.recursive_error_pages;
    if !request.error_page && request.uri_changes > 0 {
        if !recursive {
            request.error_page = true;
        }
        let location = request.location.clone();
        if let Some(page) = location.settings.error_pages.iter().find(|page| page.status == status) {
            let target = page.target.text(request);
            return show(request, page.answer, &target);
        }
        if !recursive {
            request.error_page = false;
        }
    }
    own_page(request, status);
    Next::Send
}

fn show(request: &mut Request, answer: Answer, target: &[u8]) -> Next {
    let status = match answer {
        Answer::Kept => request.response.error,
        Answer::Own => 0,
        Answer::Fixed(status) => status,
    };
    request.response.error = status;
    if target.starts_with(b"/") {
        if request.method != crate::http::codec::h1::Method::Head {
            request.method = crate::http::codec::h1::Method::Get;
            request.forced_get = true;
        }
        return redirect(request, target);
    }
    if target.starts_with(b"@") {
        return named(request, target);
    }
    request.response.redirect(target);
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        request.response.error = 302;
    }
    let status = request.response.error;
    match refresh(request) {
        Some(page) => put(request, 200, page),
        None => own_page(request, status),
    }
    Next::Send
}

/// Sends the request to another path, internally.
pub fn redirect(request: &mut Request, target: &[u8]) -> Next {
    let (path, args) = uri::split(target);
    jump(request, path, args)
}

/// The same with path and arguments apart.
pub fn jump(request: &mut Request, path: &[u8], args: Option<&[u8]>) -> Next {
    request.uri_changes = request.uri_changes.saturating_sub(1);
    if request.uri_changes == 0 {
        let shown = bytes::text(path).into_owned();
        request.log(
            Level::Error,
            &format!("rewrite or internal redirection cycle while internally redirecting to \"{shown}\""),
        );
        own_page(request, 500);
        return Next::Send;
    }
    request.set_uri(path, args);
    leave(request);
    Next::Restart(Target::Uri)
}

/// Sends the request to a named location.
pub fn named(request: &mut Request, name: &[u8]) -> Next {
    request.uri_changes = request.uri_changes.saturating_sub(1);
    let shown = bytes::text(name).into_owned();
    if request.uri_changes == 0 {
        request.log(
            Level::Error,
            &format!("rewrite or internal redirection cycle while redirect to named location \"{shown}\""),
        );
        own_page(request, 500);
        return Next::Send;
    }
    if request.uri.is_empty() {
        request.log(Level::Error, &format!("empty URI in redirect to named location \"{shown}\""));
        own_page(request, 500);
        return Next::Send;
    }
    if let Some(location) = request.server.locations.named(name).cloned() {
        leave(request);
        return Next::Restart(Target::Named(location));
    }
    request.log(Level::Error, &format!("could not find named location \"{shown}\""));
    own_page(request, 500);
    Next::Send
}

/// What a location knows of a request ends with an internal redirect: `$proxy_host` and `$proxy_port`.
fn leave(request: &mut Request) {
    request.internal = true;
    request.response.was_held = false;
    request.attempts.host.clear();
}

/// Puts nginx's page for `status` into the response.
pub fn own_page(request: &mut Request, status: u16) {
    match refresh(request).filter(|_| matches!(status, 301 | 302)) {
        Some(page) => put(request, 200, page),
        None => {
            let page = page(request, status);
            put(request, status, page);
        }
    }
}

/// The page that leads Internet Explorer to the redirect's target, under `msie_refresh`.
fn refresh(request: &Request) -> Option<Vec<u8>> {
    request.location.attached::<MsieRefresh>()?;
    let agent = request.header(Known::UserAgent).unwrap_or_default();
    if !is_msie(agent) {
        return None;
    }
    let mut page = b"<html><head><meta http-equiv=\"Refresh\" content=\"0; URL=".to_vec();
    uri::escape(request.response.location()?, uri::REFRESH, &mut page);
    page.extend_from_slice(b"\"></head><body></body></html>\r\n");
    Some(page)
}

/// Whether a User-Agent is Internet Explorer's.
fn is_msie(agent: &[u8]) -> bool {
    let at = memchr::memmem::find(agent, b"MSIE ").filter(|at| at + 7 < agent.len());
    at.is_some() && memchr::memmem::find(agent, b"Opera").is_none()
}

/// Makes a page the response to a status.
fn put(request: &mut Request, status: u16, body: Vec<u8>) {
    request.drop_body();
    let response = &mut request.response;
    response.error = status_shown(status);
    if status == 200 {
        response.headers.remove(LOCATION);
    }
    response.reason.clear();
    response.ranges = false;
    response.unconditional = true;
    response.clear_last_modified();
    response.clear_etag();
    if status == 401 && response.headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case(b"WWW-Authenticate")) {
        response.error = 401;
    }
    if body.is_empty() {
        response.length = Some(0);
        response.content = Content::None;
        response.content_type.clear();
        if matches!(status, 204) {
            response.length = None;
        }
    } else {
        response.content_type.clear();
        response.content_type.extend_from_slice(b"text/html");
        response.length = Some(body.len() as u64);
        response.content = Content::Bytes(body.into());
    }
}

/// 494 to 497 are nginx's own and shown as 400.
const fn status_shown(status: u16) -> u16 {
    match status {
        494..=497 => 400,
        status => status,
    }
}

const PADDING: &str = "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n";

/// nginx's page for a status; empty for those that have none.
pub fn page(request: &Request, status: u16) -> Vec<u8> {
    let title = match status {
        494 => "400 Request Header Or Cookie Too Large".to_owned(),
        495 => "400 The SSL certificate error".to_owned(),
        496 => "400 No required SSL certificate was sent".to_owned(),
        497 => "400 The plain HTTP request was sent to HTTPS port".to_owned(),
        301..=303 | 307..=308 | 400..=406 | 408..=416 | 421 | 429 | 500..=505 | 507 => {
            let words = match status {
                302 => "Found",
                401 => "Authorization Required",
                503 => "Service Temporarily Unavailable",
                408 => "Request Time-out",
                _ => reason(status),
            };
            format!("{status} {words}")
        }
        _ => return Vec::new(),
    };
    let (head, body) = match status {
        494 => ("400 Request Header Or Cookie Too Large", "<center><h1>400 Bad Request</h1></center>\r\n<center>Request Header Or Cookie Too Large</center>\r\n".to_owned()),
        495 => ("400 The SSL certificate error", "<center><h1>400 Bad Request</h1></center>\r\n<center>The SSL certificate error</center>\r\n".to_owned()),
        496 => ("400 No required SSL certificate was sent", "<center><h1>400 Bad Request</h1></center>\r\n<center>No required SSL certificate was sent</center>\r\n".to_owned()),
        497 => ("400 The plain HTTP request was sent to HTTPS port", "<center><h1>400 Bad Request</h1></center>\r\n<center>The plain HTTP request was sent to HTTPS port</center>\r\n".to_owned()),
        _ => (title.as_str(), format!("<center><h1>{title}</h1></center>\r\n")),
    };
    let tokens = encode::server(request.location.settings.server_tokens);
    let mut text = format!(
        "<html>\r\n<head><title>{head}</title></head>\r\n<body>\r\n{body}<hr><center>{tokens}</center>\r\n</body>\r\n</html>\r\n"
    );
    if status >= 400 && request.location.settings.msie_padding && request.version() >= 1000 {
        let agent = request.header(Known::UserAgent).unwrap_or_default();
        let has = |word: &[u8]| memchr::memmem::find(agent, word).is_some();
        if is_msie(agent) || has(b"Chrome/") && !has(b"Opera") && !has(b"Gecko/") {
            text.push_str(&PADDING.repeat(6));
        }
    }
    text.into_bytes()
}
