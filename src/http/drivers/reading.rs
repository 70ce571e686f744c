//! Reading a request's head: its bytes, nginx's limits on them, and what is wrong with them in nginx's words.

use crate::http::codec::h1;
use crate::http::codec::h1::{LineError, Next};
use crate::http::drivers::connection::wait;
use crate::http::heart::head::Known;
use crate::http::heart::port::Virtual;
use crate::http::heart::request::Request;
use crate::http::heart::wire::Wire;
use crate::http::modules::requests::MaxHeaders;
use crate::log::Level;
use crate::net::deadline::Deadline;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Why there is no request to run.
pub enum HeadError {
    /// The connection ends without a word.
    Silent,
    /// The connection ends, and the access log says this status.
    Logged(u16),
    /// The client is told.
    Answer(u16),
}

/// Reads and checks a request head, and finds its server.
pub async fn read_head(request: &mut Request, entry: &Arc<Virtual>, deadline: &mut Deadline) -> Result<(), HeadError> {
    let settings = request.server.head.clone();
    let mut room = Room::new(&settings);
    let mut at = None;
    let mut timed = false;
    loop {
        if advance(request, entry, &mut at, &mut room)? {
            break;
        }
        if !timed {
            deadline.set(request.event_loop().clock.instant(), settings.timeout);
            timed = true;
        }
        more(request, deadline).await?;
    }
    request.head.bytes.start = request.head.end as usize;
    request.head_length = u64::from(request.head.end - request.head.line.method_name.start);
    crate::http::route::target::locate(request, entry).map_err(|(status, message)| {
        request.log(Level::Info, &message);
        HeadError::Answer(status)
    })?;
    match crate::http::drivers::handshake::check(request, entry) {
        None => Ok(()),
        Some((status, message)) => {
            request.log(Level::Info, &format!("{message} while reading client request headers"));
            Err(HeadError::Answer(status))
        }
    }
}

/// How much of nginx's header buffers the lines seen so far would take.
struct Room {
    capacity: usize,
    used: usize,
    left: usize,
    large: usize,
}

impl Room {
    const fn new(settings: &crate::http::heart::site::HeadSettings) -> Self {
        Self { capacity: settings.first, used: 0, left: settings.large_count, large: settings.large_size }
    }

    /// Whether a (partial) line of `length` fits, and if `whole`, counts it.
    const fn fits(&mut self, length: usize, whole: bool) -> bool {
        let (mut capacity, mut used, mut left) = (self.capacity, self.used, self.left);
        if used + length > capacity {
            if left == 0 || length > self.large {
                return false;
            }
            left -= 1;
            capacity = self.large;
            used = 0;
        }
        if whole {
            (self.capacity, self.used, self.left) = (capacity, used + length, left);
        }
        true
    }
}

/// Parses what is there; true when the head is complete.
fn advance(request: &mut Request, entry: &Virtual, at: &mut Option<u32>, room: &mut Room) -> Result<bool, HeadError> {
    if at.is_none() {
        match h1::request_line(request.head.bytes.filled()) {
            Ok(Some(line)) => {
                let length = line.end as usize;
                *at = Some(line.end);
                request.head_length = u64::from(line.end - line.method_name.start);
                request.head.line = line;
                if matches!(request.wire, Wire::H2(_)) {
                    request.head.say_http2();
                }
                request.method = request.head.line.method;
                if !room.fits(length, true) {
                    return Err(too_long(request, room));
                }
                request.connection.requests.set(request.connection.requests.get() + 1);
                request.connection.loop_state.counters.requests.fetch_add(1, Ordering::Relaxed);
                if let Err((status, text)) = crate::http::route::target::path(request) {
                    request.uri.clear();
                    request.has_args = false;
                    request.log(Level::Info, &text);
                    return Err(HeadError::Answer(status));
                }
                if let Some(host) = request.head.line.host.clone()
                    && !serve(request, entry, &host, "line")?
                {
                    let text = "client sent invalid host in request line while reading client request line";
                    request.log(Level::Info, text);
                    return Err(HeadError::Answer(400));
                }
                if request.version() < 1000 {
                    request.head.end = length as u32;
                    return Ok(true);
                }
            }
            Ok(None) => {
                if !room.fits(request.head.bytes.filled().len() + 1, false) {
                    return Err(too_long(request, room));
                }
                return Ok(false);
            }
            Err(error) => {
                let start = request.head.bytes.filled().get(..room.large.max(room.capacity));
                // What is wrong lies behind what nginx has room for.
                let beyond = start.is_some_and(|start| matches!(h1::request_line(start), Ok(None)));
                return Err(if beyond { too_long(request, room) } else { bad_line(request, error) });
            }
        }
    }
    let Some(from) = at else { return Ok(false) };
    headers(request, entry, from, room)
}

/// [`crate::http::route::target::serve`]; without a server, nobody says what to answer.
///
/// Differs from nginx: a misdirected request of HTTP/2 is logged with its request line. [test: requests_over_tls_are_answered_and_logged_as_by_nginx]
fn serve(request: &mut Request, entry: &Virtual, host: &h1::Part, read: &str) -> Result<bool, HeadError> {
    let served = crate::http::route::target::serve(request, entry, host).map_err(|error| {
        request.log(Level::Alert, &format!("{error} while reading client request {read}"));
        HeadError::Logged(500)
    })?;
    if served && crate::http::route::target::is_misdirected(request) {
        let text = "client attempted to request the server name different from the one that was negotiated";
        request.log(Level::Info, &format!("{text} while reading client request {read}"));
        return Err(HeadError::Answer(421));
    }
    Ok(served)
}

fn bad_line(request: &mut Request, error: LineError) -> HeadError {
    let (status, text) = match error {
        LineError::Method => (400, "client sent invalid method while reading client request line"),
        LineError::Request | LineError::Protocol => {
            (400, "client sent invalid request while reading client request line")
        }
        LineError::Version => (505, "client sent invalid version while reading client request line"),
        LineError::Http09Method => {
            (400, "client sent invalid method in HTTP/0.9 request while reading client request line")
        }
    };
    let bytes = request.head.bytes.filled();
    let end = memchr::memchr2(b'\r', b'\n', bytes).unwrap_or(bytes.len());
    request.head.line.line = 0..end as u32;
    request.head.line.version = if error == LineError::Http09Method { 9 } else { 1000 };
    request.method = h1::method_of_broken(request.head.bytes.filled());
    request.bad_line = Some(error);
    request.connection.requests.set(request.connection.requests.get() + 1);
    request.connection.loop_state.counters.requests.fetch_add(1, Ordering::Relaxed);
    request.log(Level::Info, text);
    HeadError::Answer(status)
}

fn headers(request: &mut Request, entry: &Virtual, at: &mut u32, room: &mut Room) -> Result<bool, HeadError> {
    loop {
        // The host changes what its server's settings let pass behind it.
        let (ignore, underscores) = (request.server.head.ignore_invalid, request.server.head.underscores);
        let parsed = h1::header_line(request.head.bytes.filled(), *at, underscores);
        match parsed {
            Ok(Next::Header(line)) => {
                if !room.fits((line.end - *at) as usize, true) {
                    return Err(too_large(request, *at, room));
                }
                *at = line.end;
                if line.odd && ignore {
                    let whole = line.name.start..line.value.end.max(line.name.end);
                    let shown = String::from_utf8_lossy(request.head.text(&whole)).into_owned();
                    let text = format!("client sent invalid header line: \"{shown}\"");
                    request.log(Level::Info, &format!("{text} while reading client request headers"));
                    continue;
                }
                let most = request.server.base.attached::<MaxHeaders>();
                if most.is_some_and(|most| request.head.headers.len() >= most.0) {
                    request.lingering = true;
                    let text = "client sent too many header lines while reading client request headers";
                    request.log(Level::Info, text);
                    return Err(HeadError::Answer(494));
                }
                request.head_length = u64::from(line.end - request.head.line.method_name.start);
                let value = line.value.clone();
                if let Some((known, earlier)) = request.head.add(line.name, line.value) {
                    return Err(duplicate(request, known, &earlier, &value));
                }
                if request.head.headers.last().is_some_and(|header| header.known == Some(Known::Host))
                    && !match request.head.line.host {
                        Some(_) => crate::http::route::target::validate(request.head.text(&value)),
                        None => serve(request, entry, &value, "headers")?,
                    }
                {
                    request.log(Level::Info, "client sent invalid host header while reading client request headers");
                    return Err(HeadError::Answer(400));
                }
            }
            Ok(Next::End(end)) => {
                request.head.end = end;
                return Ok(true);
            }
            Ok(Next::More) => {
                let partial = request.head.bytes.filled().len() - *at as usize;
                return if room.fits(partial + 1, false) { Ok(false) } else { Err(too_large(request, *at, room)) };
            }
            Err(place) => {
                if !room.fits((place - *at) as usize + 1, false) {
                    return Err(too_large(request, *at, room));
                }
                let bytes = request.head.bytes.filled();
                let shown = bytes.get(*at as usize..place as usize).unwrap_or_default();
                let odd = bytes.get(place as usize).copied().unwrap_or_default();
                let shown = format!("{}\\x{odd:02x}...", String::from_utf8_lossy(shown));
                let text = format!("client sent invalid header line: \"{shown}\" while reading client request headers");
                request.log(Level::Info, &text);
                return Err(HeadError::Answer(400));
            }
        }
    }
}

/// A request line that fits no buffer; nginx has read no more of it than its buffers hold.
fn too_long(request: &mut Request, room: &Room) -> HeadError {
    let shown = request.head.bytes.filled().len().min(room.large.max(room.capacity));
    request.head.line = h1::RequestLine { line: 0..shown as u32, version: 1000, ..h1::RequestLine::default() };
    request.head_length = 0;
    request.method = h1::method_of_broken(request.head.bytes.filled());
    request.bad_line = Some(LineError::Request);
    request.connection.requests.set(request.connection.requests.get() + 1);
    request.connection.loop_state.counters.requests.fetch_add(1, Ordering::Relaxed);
    request.log(Level::Info, "client sent too long URI while reading client request line");
    HeadError::Answer(414)
}

/// A header line at `from` that fits no buffer; the log shows what nginx has read of it, as far as a line of the log holds.
fn too_large(request: &mut Request, from: u32, room: &Room) -> HeadError {
    request.lingering = true;
    let line = request.head.bytes.filled().get(from as usize..).unwrap_or_default();
    // Where no buffer is left, the line shares its buffer with those before it.
    let read = if room.left == 0 { room.capacity.saturating_sub(room.used) } else { room.large };
    let shown = line.get(..line.len().min(read).min(1748)).unwrap_or_default();
    let shown = String::from_utf8_lossy(shown).into_owned();
    let text = format!("client sent too long header line: \"{shown}...\"");
    request.log(Level::Info, &format!("{text} while reading client request headers"));
    HeadError::Answer(494)
}

fn duplicate(request: &Request, known: Known, earlier: &h1::Part, value: &h1::Part) -> HeadError {
    let text = |part: &h1::Part| String::from_utf8_lossy(request.head.text(part)).into_owned();
    let name = request.head.headers.iter().find(|header| header.known == Some(known)).map(|header| text(&header.name));
    let name = name.unwrap_or_default();
    let message = if known == Known::Host {
        format!(
            "client sent duplicate host header: \"{name}: {}\", previous value: \"{name}: {}\"",
            text(value),
            text(earlier)
        )
    } else {
        format!(
            "client sent duplicate header line: \"{name}: {}\", previous value: \"{name}: {}\"",
            text(value),
            text(earlier)
        )
    };
    request.log(Level::Info, &format!("{message} while reading client request headers"));
    HeadError::Answer(400)
}

/// What a line of the log says a connection is at while its head is read.
const fn action(request: &Request) -> &'static str {
    let line = &request.head.line.line;
    if line.start == line.end { "while reading client request line" } else { "while reading client request headers" }
}

/// Reads more of a head.
async fn more(request: &mut Request, deadline: &mut Deadline) -> Result<(), HeadError> {
    if request.head.bytes.room().is_empty() {
        let size = request.head.bytes.size() * 2;
        request.head.bytes.grow(size);
    }
    loop {
        let room = request.head.bytes.room();
        match request.connection.stream.try_read(room) {
            Ok(0) => {
                request.log(Level::Info, &format!("client prematurely closed connection {}", action(request)));
                return Err(HeadError::Logged(400));
            }
            Ok(count) => {
                request.head.bytes.end += count;
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if wait(&request.connection.stream, deadline).await.is_err() {
                    let text = format!("client timed out (110: Connection timed out) {}", action(request));
                    request.log(Level::Info, &text);
                    return Err(HeadError::Logged(408));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(HeadError::Silent),
        }
    }
}
