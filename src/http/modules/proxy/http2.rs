//! The request an HTTP/2 backend gets, as fields (RFC 9113 §8.3.1).

use super::request::{Line, Proxy};
use crate::http::codec::hpack::{self, index};
use crate::http::gateway::cache;
use crate::http::gateway::protocol::{BodyLength, Target};
use crate::http::heart::request::Request;

/// Fields of an HTTP/1 connection (RFC 9113 §8.2.2).
const OF_CONNECTION: [&[u8]; 5] = [b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"];

fn is_of_connection(name: &[u8]) -> bool {
    OF_CONNECTION.iter().any(|own| name.eq_ignore_ascii_case(own))
}

fn is_host(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"host")
}

impl Proxy {
    /// Appends the fields of a request.
    ///
    /// Differs from nginx: fields of an HTTP/1 connection are left out, also those of `proxy_set_header`. [test: a_request_over_http2_has_no_fields_of_a_connection]
    pub fn fields(&self, request: &Request, target: &Target, body: BodyLength, out: &mut Vec<u8>) {
        let mut value = request.event_loop().text();
        match &self.method {
            _ if request.attempts.cache.as_get => value.extend_from_slice(b"GET"),
            Some(method) => method.write(request, &mut value),
            None => value.extend_from_slice(request.method_name()),
        }
        match value.as_slice() {
            b"GET" => hpack::indexed(index::METHOD, out),
            b"POST" => hpack::indexed(index::POST, out),
            method => hpack::named(index::METHOD, method, out),
        }
        hpack::indexed(if target.secure { index::HTTPS } else { index::HTTP }, out);
        match target.uri.as_slice() {
            b"/" => hpack::indexed(index::PATH, out),
            path => hpack::named(index::PATH, path, out),
        }
        let headers = self.headers(request);
        value.clear();
        for line in &*headers.lines {
            if let Line::Set(name, host) = line
                && is_host(name)
            {
                value.clear();
                host.write(request, &mut value);
            }
        }
        hpack::named(index::AUTHORITY, if value.is_empty() { &target.host } else { &value }, out);
        for line in &*headers.lines {
            value.clear();
            let name: &[u8] = match line {
                Line::Set(name, _) if is_host(name) || is_of_connection(name) => continue,
                Line::Set(name, text) => {
                    text.write(request, &mut value);
                    name
                }
                Line::Host | Line::Close | Line::Coding => continue,
                Line::Length => {
                    if let BodyLength::Known(length) = body {
                        value.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
                    }
                    b"Content-Length"
                }
                Line::Since => {
                    cache::last_modified(request, 0, &mut value);
                    b"If-Modified-Since"
                }
                Line::NoneMatch => {
                    cache::etag(request, 0, &mut value);
                    b"If-None-Match"
                }
            };
            if !value.is_empty() {
                hpack::literal(name, &value, out);
            }
        }
        request.event_loop().give_text(value);
        if self.pass_request_headers {
            for (name, value, _) in request.head.iter() {
                if !headers.replace(name) && !is_of_connection(name) {
                    hpack::literal(name, value, out);
                }
            }
        }
    }
}
