//! A response: its head, and how head and body reach the client.

use super::filter::BodyFilter;
use super::request::Request;
use super::site::Kept;
use crate::log::clock;
use crate::net::open_file::Opened;
use crate::net::stream::Stream;
use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What a response's body is.
#[derive(Default)]
pub enum Content {
    /// Nothing.
    #[default]
    None,
    /// Bytes.
    Bytes(Cow<'static, [u8]>),
    /// Bytes of the configuration.
    Shared(Arc<[u8]>),
    /// Parts of a file, each behind some bytes (multipart ranges), and bytes behind the last.
    File(Rc<Opened>, Vec<(Vec<u8>, Range<u64>)>, Vec<u8>),
    /// It is sent piece by piece by its handler.
    Streamed,
}

/// Extra headers, in one run of bytes.
#[derive(Default)]
pub struct Headers {
    bytes: Vec<u8>,
    entries: Vec<(u32, u32, u32)>,
}

/// Names whose place in the head depends on their value.
pub const LOCATION: &[u8] = b"Location";

impl Headers {
    /// Adds a header.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(name);
        let middle = self.bytes.len() as u32;
        self.bytes.extend_from_slice(value);
        self.entries.push((start, middle, self.bytes.len() as u32));
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let at = |from: u32, to: u32| self.bytes.get(from as usize..to as usize).unwrap_or_default();
        self.entries.iter().map(move |(start, middle, end)| (at(*start, *middle), at(*middle, *end)))
    }

    /// Takes every header called `name` out.
    pub fn remove(&mut self, name: &[u8]) {
        let bytes = &self.bytes;
        self.entries.retain(|(start, middle, _)| {
            !bytes.get(*start as usize..*middle as usize).unwrap_or_default().eq_ignore_ascii_case(name)
        });
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }
}

/// A response.
#[derive(Default)]
pub struct Response {
    /// The status; 0 until known.
    pub status: u16,
    /// The error's status, which wins over `status`.
    pub error: u16,
    /// A backend's own status line (`200 Fine`).
    pub reason: Vec<u8>,
    /// Content-Type.
    pub content_type: Vec<u8>,
    /// Content-Length, when known.
    pub length: Option<u64>,
    /// Last-Modified.
    pub last_modified: Option<i64>,
    /// Whether Last-Modified is among `headers` already (a backend's).
    pub last_modified_passed: bool,
    /// ETag; it stands among `headers` too.
    pub etag: Vec<u8>,
    /// Whether Location is a backend's own and stays as it is.
    pub location_as_is: bool,
    /// Whether a backend's Server is among `headers`.
    pub server_passed: bool,
    /// Whether a backend's Date is among `headers`.
    pub date_passed: bool,
    /// Everything else.
    pub headers: Headers,
    /// Whether ranges of it may be asked for.
    pub ranges: bool,
    /// Whether it stands whatever the conditions of the request say.
    pub unconditional: bool,
    /// The body.
    pub content: Content,
    /// Whether the connection becomes a tunnel.
    pub upgrade: bool,
    /// Whether the head was given to the connection.
    pub head_made: bool,
    /// Whether no body follows the head.
    pub head_only: bool,
    /// Whether the body is sent in chunks.
    pub chunked: bool,
    /// Bytes of the head.
    pub head_bytes: u64,
    /// Bytes given to the client.
    pub sent: u64,
    /// Whether the client is gone.
    pub broken: bool,
    /// Body filters of this response.
    pub filters: Vec<Box<dyn BodyFilter>>,
    /// Bytes made and not sent yet.
    pub out: Vec<u8>,
}

impl Response {
    /// Makes the response ready for another request, in its allocations.
    pub fn reset(&mut self) {
        let Self {
            status,
            error,
            reason,
            content_type,
            length,
            last_modified,
            last_modified_passed,
            etag,
            location_as_is,
            server_passed,
            date_passed,
            headers,
            ranges,
            unconditional,
            content,
            upgrade,
            head_made,
            head_only,
            chunked,
            head_bytes,
            sent,
            broken,
            filters,
            out,
        } = self;
        (*status, *error, *length, *last_modified) = (0, 0, None, None);
        for text in [reason, content_type, etag, out] {
            text.clear();
        }
        for flag in [last_modified_passed, location_as_is, server_passed, date_passed, ranges, unconditional] {
            *flag = false;
        }
        for flag in [upgrade, head_made, head_only, chunked, broken] {
            *flag = false;
        }
        headers.clear();
        *content = Content::None;
        (*head_bytes, *sent) = (0, 0);
        filters.clear();
    }

    /// Lets go of memory that is not filled.
    pub fn shrink(&mut self, kept: Kept) {
        if !kept.sent {
            self.headers = Headers::default();
        }
        for text in [&mut self.content_type, &mut self.etag, &mut self.reason, &mut self.headers.bytes] {
            text.shrink_to_fit();
        }
        self.headers.entries.shrink_to_fit();
    }

    /// The status as sent.
    pub const fn final_status(&self) -> u16 {
        if self.error != 0 { self.error } else { self.status }
    }

    /// Sets a whole body.
    pub fn set(&mut self, status: u16, content_type: &[u8], body: Cow<'static, [u8]>) {
        self.status = status;
        self.content_type.clear();
        self.content_type.extend_from_slice(content_type);
        self.length = Some(body.len() as u64);
        self.content = Content::Bytes(body);
    }

    /// Sets the redirect target.
    pub fn redirect(&mut self, target: &[u8]) {
        self.headers.remove(LOCATION);
        self.headers.add(LOCATION, target);
        self.location_as_is = false;
    }

    /// The redirect target.
    pub fn location(&self) -> Option<&[u8]> {
        self.headers.iter().find(|(name, _)| *name == LOCATION).map(|(_, value)| value)
    }

    /// Sets the ETag.
    pub fn set_etag(&mut self, etag: &[u8]) {
        self.etag.clear();
        self.etag.extend_from_slice(etag);
        self.headers.add(b"ETag", etag);
    }

    /// Takes the ETag back.
    pub fn clear_etag(&mut self) {
        self.etag.clear();
        self.headers.remove(b"ETag");
    }

    /// Takes Last-Modified back.
    pub fn clear_last_modified(&mut self) {
        self.last_modified = None;
        if std::mem::take(&mut self.last_modified_passed) {
            self.headers.remove(b"Last-Modified");
        }
    }

    /// Takes WWW-Authenticate back, when another check granted.
    pub fn forget_challenge(&mut self) {
        self.headers.remove(b"WWW-Authenticate");
    }
}

/// `200 OK` and so on; nothing for statuses nginx has no words for.
pub const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Time-out",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Large",
        415 => "Unsupported Media Type",
        416 => "Requested Range Not Satisfiable",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "",
    }
}

/// A file up to this size is sent together with the head.
const TOGETHER: u64 = 32 * 1024;

impl Request {
    /// Sends the response, if a handler has not sent it already.
    pub async fn respond(&mut self) {
        if self.abandoned || self.is_subrequest() {
            return;
        }
        if self.response.head_made {
            return;
        }
        self.start();
        let content = std::mem::take(&mut self.response.content);
        if self.response.head_only || matches!(content, Content::None) {
            self.flush().await;
            return;
        }
        match content {
            Content::Bytes(bytes) => {
                self.take(&bytes, true);
                self.flush().await;
            }
            Content::Shared(bytes) => {
                self.take(&bytes, true);
                self.flush().await;
            }
            Content::File(opened, parts, tail) => self.send_file(&opened.file, parts, &tail).await,
            Content::None | Content::Streamed => self.flush().await,
        }
    }

    /// Puts the head into the output, after the filters have seen it.
    pub fn start(&mut self) {
        if self.response.head_made {
            return;
        }
        self.response.head_made = true;
        if self.response.error != 0 {
            self.response.status = self.response.error;
            self.response.reason.clear();
        }
        super::conditional::not_modified(self);
        if self.connection.standing.get() == super::connection::Standing::Retired {
            self.keepalive = false;
        }
        let location = self.location.clone();
        for filter in &location.filters {
            if let Some(body) = filter.head(self) {
                self.response.filters.push(body);
            }
        }
        super::range::head(self);
        self.frame();
        if (self.keepalive || self.response.upgrade)
            && self.location.settings.tcp_nodelay
            && !self.connection.nodelay.replace(true)
        {
            let _ = self.connection.stream.socket().set_tcp_nodelay(true);
        }
        let mut out = self.turn().out();
        super::encode::head(self, &mut out);
        self.response.head_bytes = out.len() as u64;
        self.response.out = out;
    }

    /// Decides about body, chunks and keep-alive.
    fn frame(&mut self) {
        let version = self.version();
        if version < 1000 {
            // A body alone, even for HEAD.
            return;
        }
        let response = &mut self.response;
        match response.status {
            // With a status line of its own a backend's 204 keeps its headers.
            204 if !response.reason.is_empty() => response.head_only = true,
            204 => {
                response.head_only = true;
                response.content_type.clear();
                response.clear_last_modified();
                response.length = None;
            }
            304 => response.head_only = true,
            200 | 206 => {}
            _ if !response.last_modified_passed => response.last_modified = None,
            _ => {}
        }
        if self.method == super::codec::h1::Method::Head {
            response.head_only = true;
        }
        if response.head_only || response.status < 200 {
            return;
        }
        if response.length.is_none() {
            if version >= 1001 && self.location.settings.chunked {
                response.chunked = true;
            } else {
                self.keepalive = false;
            }
        }
    }

    /// Takes body bytes into the output, through filters and chunks.
    pub fn take(&mut self, bytes: &[u8], last: bool) {
        if self.response.head_only {
            return;
        }
        let mut filters = std::mem::take(&mut self.response.filters);
        let mut held: Option<Vec<u8>> = None;
        for filter in &mut filters {
            let mut next = Vec::new();
            filter.body(held.as_deref().unwrap_or(bytes), last, &mut next);
            held = Some(next);
        }
        let current = held.as_deref().unwrap_or(bytes);
        let response = &mut self.response;
        if response.chunked {
            if !current.is_empty() {
                let mut digits = [0_u8; 16];
                response.out.extend_from_slice(hex(current.len(), &mut digits));
                response.out.extend_from_slice(b"\r\n");
                response.out.extend_from_slice(current);
                response.out.extend_from_slice(b"\r\n");
            }
            if last {
                response.out.extend_from_slice(b"0\r\n\r\n");
            }
        } else {
            response.out.extend_from_slice(current);
        }
        self.response.filters = filters;
    }

    /// Sends what is in the output.
    pub async fn flush(&mut self) {
        let out = std::mem::take(&mut self.response.out);
        if !out.is_empty() && !self.response.broken {
            let timeout = self.location.settings.send_timeout;
            let sent = send_all(&self.connection.stream, &out, false, timeout).await;
            self.count(sent);
        }
        self.turn().give_out(out);
    }

    fn count(&mut self, sent: Result<u64, (u64, io::Error)>) {
        match sent {
            Ok(bytes) => self.response.sent += bytes,
            Err((bytes, error)) => {
                self.response.sent += bytes;
                self.response.broken = true;
                self.keepalive = false;
                self.lingering = false;
                self.client_lost(&error);
            }
        }
    }

    fn client_lost(&self, error: &io::Error) {
        use crate::log::Level;
        if error.kind() == io::ErrorKind::TimedOut {
            if self.location.settings.reset_timedout {
                let _ = self.connection.stream.socket().set_linger(Some(Duration::ZERO));
            }
            self.log(Level::Info, "client timed out (110: Connection timed out) while sending response to client");
        } else {
            let text = crate::conf::walk::errno(error);
            self.log(Level::Info, &format!("send() failed ({text}) while sending response to client"));
        }
    }

    async fn send_file(&mut self, file: &File, parts: Vec<(Vec<u8>, Range<u64>)>, tail: &[u8]) {
        let total: u64 = parts.iter().map(|(before, range)| before.len() as u64 + (range.end - range.start)).sum();
        let plain = self.response.filters.is_empty() && !self.response.chunked;
        if total <= TOGETHER || !plain {
            for (before, range) in &parts {
                self.take(before, false);
                self.read_file(file, range.clone()).await;
            }
            self.take(tail, true);
            return self.flush().await;
        }
        let timeout = self.location.settings.send_timeout;
        let chunk = self.location.settings.sendfile_max_chunk;
        for (before, range) in parts {
            self.response.out.extend_from_slice(&before);
            let out = std::mem::take(&mut self.response.out);
            // A short packet of its own for the head would cost the client up to twice the work for the pages behind it.
            let sent = send_all(&self.connection.stream, &out, true, timeout).await;
            self.turn().give_out(out);
            self.count(sent);
            if self.response.broken {
                return;
            }
            let sent = send_range(&self.connection.stream, file, range, chunk, timeout).await;
            self.count(sent);
            if self.response.broken {
                return;
            }
        }
        self.response.out.extend_from_slice(tail);
        self.flush().await;
    }

    /// Takes a file's bytes into the output, flushing between large pieces.
    async fn read_file(&mut self, file: &File, range: Range<u64>) {
        let mut at = range.start;
        while at < range.end && !self.response.broken {
            let mut buffer = self.turn().buffer();
            let size = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(buffer.size());
            let room = buffer.all().get_mut(..size).unwrap_or_default();
            match file.read_at(room, at) {
                Ok(count) if count > 0 => {
                    at += count as u64;
                    let bytes = buffer.at(0, count).to_vec();
                    self.take(&bytes, false);
                }
                _ => {
                    self.log(crate::log::Level::Alert, "file was truncated while it was sent");
                    self.keepalive = false;
                    self.response.broken = true;
                }
            }
            self.turn().give(buffer);
            if self.response.out.len() > 2 * TOGETHER as usize {
                self.flush().await;
            }
        }
    }
}

fn hex(mut value: usize, digits: &mut [u8; 16]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        if let Some(slot) = digits.get_mut(at) {
            *slot = b"0123456789abcdef".get(value & 15).copied().unwrap_or_default();
        }
        value >>= 4;
        if value == 0 || at == 0 {
            return digits.get(at..).unwrap_or_default();
        }
    }
}

/// Waits until the socket takes bytes, or the time is over.
///
/// # Errors
/// `TimedOut`.
pub async fn writable(stream: &Stream, timeout: Duration) -> io::Result<()> {
    tokio::time::timeout(timeout, stream.writable()).await.map_err(|_| io::ErrorKind::TimedOut.into())
}

/// Sends all of `bytes`; `more` tells the kernel that there is more to come.
///
/// # Errors
/// What was sent before it went wrong, and how.
pub async fn send_all(stream: &Stream, bytes: &[u8], more: bool, timeout: Duration) -> Result<u64, (u64, io::Error)> {
    let flags = libc::MSG_NOSIGNAL | if more { libc::MSG_MORE } else { 0 };
    let mut rest = bytes;
    while !rest.is_empty() {
        let sent = (bytes.len() - rest.len()) as u64;
        match stream.try_output(|socket| socket.send_with_flags(rest, flags)) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                writable(stream, timeout).await.map_err(|error| (sent, error))?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((sent, error)),
        }
    }
    Ok(bytes.len() as u64)
}

/// Sends a part of a file, giving way to other connections after each chunk.
async fn send_range(
    stream: &Stream,
    file: &File,
    range: Range<u64>,
    chunk: usize,
    timeout: Duration,
) -> Result<u64, (u64, io::Error)> {
    let mut offset = range.start as i64;
    let end = range.end as i64;
    let mut since_yield = 0;
    while offset < end {
        let sent = (offset as u64) - range.start;
        let count = usize::try_from(end - offset).unwrap_or(usize::MAX).min(chunk);
        let outcome = stream.try_output(|socket| {
            nix::sys::sendfile::sendfile(socket.as_fd(), file.as_fd(), Some(&mut offset), count)
                .map_err(io::Error::from)
        });
        match outcome {
            Ok(0) => return Err((sent, io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => {
                since_yield += count;
                if since_yield >= chunk {
                    since_yield = 0;
                    tokio::task::yield_now().await;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                since_yield = 0;
                writable(stream, timeout).await.map_err(|error| (sent, error))?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((sent, error)),
        }
    }
    Ok(range.end - range.start)
}

/// A date for a header.
pub fn date(unix: i64) -> String {
    clock::http_date(unix)
}
