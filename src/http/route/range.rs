//! Byte ranges (RFC 9110 §14): one as 206, several as multipart/byteranges, none that fits as 416.

use crate::http::heart::head::Known;
use crate::http::heart::request::Request;
use crate::http::heart::response::Content;
use crate::log::clock::parse_http_date;
use std::ops::Range;

/// Bytes, and the part of a file behind them.
type Part = (Vec<u8>, Range<u64>);

/// The length of a response of which ranges may be asked for, and how many.
fn allowed(request: &Request) -> Option<(u64, u64)> {
    let response = &request.response;
    let length = response.length?;
    if request.version() < 1000 || response.status != 200 || !response.ranges || request.is_subrequest() {
        return None;
    }
    let most = request.location.settings.max_ranges;
    (most > 0).then_some((length, if response.single_range { 1 } else { most }))
}

/// Whether the request asks for ranges of which the response has none.
pub fn is_unsatisfiable(request: &Request) -> bool {
    allowed(request).is_some_and(|(length, most)| matches!(wanted(request, length, most), Wanted::Nothing))
}

/// Says how long the response would be that has none of the ranges.
pub fn say_length(request: &mut Request) {
    if let Some(length) = request.response.length {
        let value = format!("bytes */{length}");
        request.response.headers.remove(b"Content-Range");
        request.response.headers.add(b"Content-Range", value.as_bytes());
    }
}

/// Applies the Range header to a response that allows it, or tells that it may be asked for.
pub fn head(request: &mut Request) {
    let Some((length, most)) = allowed(request) else { return };
    match wanted(request, length, most) {
        Wanted::Whole => request.response.headers.add(b"Accept-Ranges", b"bytes"),
        Wanted::Nothing => {
            let body = crate::http::route::finish::page(request, 416);
            say_length(request);
            let response = &mut request.response;
            response.clear_last_modified();
            response.clear_etag();
            response.reason.clear();
            response.set(416, b"text/html", body.into());
        }
        Wanted::Ranges(ranges) => apply(request, ranges, length),
    }
}

enum Wanted {
    Whole,
    Nothing,
    Ranges(Vec<Range<u64>>),
}

fn wanted(request: &Request, length: u64, most: u64) -> Wanted {
    let Some(header) = request.header(Known::Range) else { return Wanted::Whole };
    let Some((unit, list)) = header.split_at_checked(6) else { return Wanted::Whole };
    if !unit.eq_ignore_ascii_case(b"bytes=") || list.is_empty() {
        return Wanted::Whole;
    }
    if let Some(condition) = request.header(Known::IfRange)
        && !still_the_same(request, condition)
    {
        return Wanted::Whole;
    }
    parse(list, length, most)
}

fn still_the_same(request: &Request, condition: &[u8]) -> bool {
    if condition.len() >= 2 && condition.ends_with(b"\"") {
        return request.response.etag == condition;
    }
    match request.response.last_modified {
        Some(time) => parse_http_date(condition) == Some(time),
        None => false,
    }
}

fn parse(list: &[u8], length: u64, most: u64) -> Wanted {
    let mut ranges = Vec::new();
    let mut sum = 0_u64;
    for part in list.split(|byte| *byte == b',') {
        let part = part.trim_ascii();
        let Some(dash) = memchr::memchr(b'-', part) else { return Wanted::Nothing };
        let (first, last) = part.split_at(dash);
        let last = last.get(1..).unwrap_or_default();
        let (first, last) = (first.trim_ascii_end(), last.trim_ascii_start());
        let number = |text: &[u8]| crate::conf::value::number(text);
        let range = match (first.is_empty(), last.is_empty()) {
            (true, true) => return Wanted::Nothing,
            (true, false) => match number(last) {
                Some(suffix) => length.saturating_sub(suffix)..length,
                None => return Wanted::Nothing,
            },
            (false, empty) => match (number(first), if empty { Some(length) } else { number(last) }) {
                (Some(first), Some(last)) => first..if empty { length } else { last.saturating_add(1).min(length) },
                _ => return Wanted::Nothing,
            },
        };
        if range.start < range.end && range.start < length {
            sum = sum.saturating_add(range.end - range.start);
            ranges.push(range);
            if ranges.len() as u64 > most {
                return Wanted::Whole;
            }
        } else if range.start == 0 {
            return Wanted::Whole;
        }
    }
    match ranges.is_empty() {
        true => Wanted::Nothing,
        false if sum > length => Wanted::Whole,
        false => Wanted::Ranges(ranges),
    }
}

/// The ranges of a body that is made of parts of a file, each behind some bytes; each range comes behind bytes of its own.
fn cut(whole: &[Part], ranges: Vec<Part>) -> Vec<Part> {
    let mut out = Vec::new();
    for (mut before, range) in ranges {
        let mut at = 0;
        for (bytes, of_file) in whole {
            let end = at + bytes.len() as u64;
            let of_bytes = range.start.clamp(at, end) - at..range.end.clamp(at, end) - at;
            before.extend_from_slice(bytes.get(of_bytes.start as usize..of_bytes.end as usize).unwrap_or_default());
            at = end;
            let end = at + (of_file.end - of_file.start);
            let (first, last) = (range.start.clamp(at, end), range.end.clamp(at, end));
            if first < last {
                let start = of_file.start + (first - at);
                out.push((std::mem::take(&mut before), start..start + (last - first)));
            }
            at = end;
        }
        if !before.is_empty() {
            out.push((before, 0..0));
        }
    }
    out
}

fn apply(request: &mut Request, ranges: Vec<Range<u64>>, length: u64) {
    let serial = request.connection.loop_state.next_boundary();
    let response = &mut request.response;
    let offset = std::mem::take(&mut response.offset);
    let here = |range: &Range<u64>| range.start.saturating_sub(offset)..range.end.saturating_sub(offset);
    response.headers.remove(b"Content-Range");
    response.status = 206;
    response.reason.clear();
    let mut parts = Vec::new();
    let mut tail = Vec::new();
    let single = ranges.first().map(here);
    if let [range] = ranges.as_slice() {
        let value = format!("bytes {}-{}/{length}", range.start, range.end - 1);
        response.headers.add(b"Content-Range", value.as_bytes());
        response.length = Some(range.end - range.start);
        response.offset = range.start;
        parts.push((Vec::new(), here(range)));
    } else {
        let boundary = format!("{serial:020}");
        let mut before = format!("\r\n--{boundary}\r\n").into_bytes();
        if !response.content_type.is_empty() {
            before.extend_from_slice(b"Content-Type: ");
            before.extend_from_slice(&response.content_type);
            before.extend_from_slice(b"\r\n");
        }
        for range in ranges {
            let mut head = before.clone();
            let line = format!("Content-Range: bytes {}-{}/{length}\r\n\r\n", range.start, range.end - 1);
            head.extend_from_slice(line.as_bytes());
            parts.push((head, range));
        }
        tail = format!("\r\n--{boundary}--\r\n").into_bytes();
        let total: u64 = parts.iter().map(|(head, range)| head.len() as u64 + range.end - range.start).sum();
        response.length = Some(total + tail.len() as u64);
        response.content_type = format!("multipart/byteranges; boundary={boundary}").into_bytes();
    }
    take_parts(request, (parts, single), tail);
}

/// Leaves of a response's content only these bytes.
pub fn clip(request: &mut Request, range: Range<u64>) {
    take_parts(request, (vec![(Vec::new(), range.clone())], Some(range)), Vec::new());
}

/// Makes parts of the content the content, with `tail` behind the last; of one that is streamed, `single`.
fn take_parts(request: &mut Request, (parts, single): (Vec<Part>, Option<Range<u64>>), tail: Vec<u8>) {
    let response = &mut request.response;
    response.content = match std::mem::take(&mut response.content) {
        Content::File(file, whole, _) => Content::File(file, cut(&whole, parts), tail),
        Content::Bytes(bytes) => {
            let mut out = Vec::new();
            for (head, range) in parts {
                out.extend_from_slice(&head);
                let length = bytes.len() as u64;
                let (start, end) = (range.start.min(length), range.end.min(length));
                out.extend_from_slice(bytes.get(start as usize..end as usize).unwrap_or_default());
            }
            out.extend_from_slice(&tail);
            Content::Bytes(out.into())
        }
        // What has no content yet is streamed later.
        streamed @ (Content::Streamed | Content::None) => {
            response.part = single;
            streamed
        }
        other => other,
    };
}
