//! If-Modified-Since, If-Unmodified-Since, If-Match and If-None-Match (RFC 9110 §13), in nginx's order and manner.
//!
//! Differs from nginx: after 412 the connection is kept, as its head says; nginx closes it. [test: files_are_sent_as_nginx_sends_them]

use crate::http::heart::head::Known;
use crate::http::heart::request::Request;
use crate::http::heart::settings::Modified;
use crate::log::clock::parse_http_date;

/// Whether conditions do not count.
const fn is_unconditional(request: &Request) -> bool {
    request.response.status != 200 || request.is_subrequest() || request.response.unconditional
}

/// Whether If-Unmodified-Since or If-Match ask for another response.
pub fn fails(request: &Request) -> bool {
    let unmodified = |since| unmodified(request, since);
    let matching = |tags| matches(request, tags, false);
    !is_unconditional(request)
        && (request.header(Known::IfUnmodifiedSince).is_some_and(|since| !unmodified(since))
            || request.header(Known::IfMatch).is_some_and(|tags| !matching(tags)))
}

/// Turns a 200 into 304 or 412 where the request asks for it.
pub fn not_modified(request: &mut Request) {
    if is_unconditional(request) {
        return;
    }
    if fails(request) {
        return fail(request);
    }
    let since = request.header(Known::IfModifiedSince);
    let tags = request.header(Known::IfNoneMatch);
    if since.is_none() && tags.is_none() {
        return;
    }
    if since.is_some_and(|since| modified(request, since)) {
        return;
    }
    if tags.is_some_and(|tags| !matches(request, tags, true)) {
        return;
    }
    let response = &mut request.response;
    response.status = 304;
    response.reason.clear();
    response.content_type.clear();
    response.length = None;
    response.ranges = false;
    response.content = crate::http::heart::response::Content::None;
}

fn fail(request: &mut Request) {
    let body = crate::http::route::finish::page(request, 412);
    let response = &mut request.response;
    response.clear_headers();
    response.ranges = false;
    response.reason.clear();
    response.set(412, b"text/html", body.into());
}

fn unmodified(request: &Request, since: &[u8]) -> bool {
    match request.response.last_modified {
        Some(time) => parse_http_date(since).is_some_and(|since| since >= time),
        None => false,
    }
}

fn modified(request: &Request, since: &[u8]) -> bool {
    let Some(time) = request.response.last_modified else { return true };
    let rule = request.location.settings.if_modified_since;
    if rule == Modified::Off {
        return true;
    }
    match parse_http_date(since) {
        Some(since) if since == time => false,
        Some(since) => rule == Modified::Exact || since < time,
        None => true,
    }
}

/// Whether the response's ETag is in the list; weak comparison ignores `W/`.
fn matches(request: &Request, list: &[u8], weak: bool) -> bool {
    if list == b"*" {
        return true;
    }
    let own = &request.response.etag;
    if own.is_empty() {
        return false;
    }
    let bare = |tag: &'_ [u8]| -> Vec<u8> {
        if weak { tag.strip_prefix(b"W/").unwrap_or(tag).to_vec() } else { tag.to_vec() }
    };
    if !weak && own.starts_with(b"W/") {
        return false;
    }
    let own = bare(own);
    list.split(|byte| *byte == b',').any(|tag| bare(tag.trim_ascii()) == own)
}
