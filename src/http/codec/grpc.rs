//! HTTP/2 as a client, of gRPC and of HTTP servers, that has one request at a time on a connection (RFC 9113): frames into what a server answers, a
//! request into frames.
//!
//! ```text
//! begin ──> HEADERS, DATA … ──>        <── SETTINGS, PING, WINDOW_UPDATE: answered in `control`, window
//!                                      <── HEADERS: head(), to its end
//!                                      <── DATA, HEADERS: body(), trailers, is_over()
//! ```
//!
//! Frames are held to what nginx expects of them, and faults have its words.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::hpack::{self, Field};
use crate::conf::bytes::text;
use std::ops::Range;

/// Types of frames (RFC 9113 §6).
mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
mod flag {
    pub const END_STREAM: u8 = 1;
    pub const ACK: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
    pub const PRIORITY: u8 = 32;
}

/// What begins a connection: the preface, SETTINGS (no table, no pushes, the largest window) and the connection's window.
const BEGINNING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x04\x7f\xff\xff\xff\
    \x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xff\x00\x00";

/// The most a frame carries: SETTINGS_MAX_FRAME_SIZE as it is without being set.
const MOST: usize = 16_384;
/// The largest window, which is ours.
const WINDOW: i64 = (1 << 31) - 1;
/// The window of a server that has set none.
const DEFAULT_WINDOW: i64 = 65_535;
/// The last stream a connection can have (RFC 9113 §5.1.1).
const LAST_STREAM: u32 = (1 << 31) - 1;
/// Answers to SETTINGS and PING that wait for the connection.
const UNSENT: u32 = 1000;
/// Bytes of trailers.
const TRAILERS: usize = 256 * 1024;
/// SETTINGS_INITIAL_WINDOW_SIZE.
const INITIAL_WINDOW_SIZE: u16 = 4;

/// What a connection is to the requests on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The window streams begin with, as the server wants it.
    initial: i64,
    /// Bytes that may be sent.
    send: i64,
    /// Bytes that may be received.
    receive: i64,
    /// The last stream; 0 before the first.
    last: u32,
}

impl Default for Link {
    fn default() -> Self {
        Self { initial: DEFAULT_WINDOW, send: DEFAULT_WINDOW, receive: WINDOW, last: 0 }
    }
}

/// Why what a server sent cannot be: the lines for the log.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault(pub Vec<String>);

impl Fault {
    fn of(text: impl Into<String>) -> Self {
        Self(vec![text.into()])
    }
}

/// The head of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// `:status`.
    pub status: u16,
    /// The fields as text, one a line.
    pub text: Vec<u8>,
    /// Where names and values are in the text.
    pub fields: Vec<(Range<u32>, Range<u32>)>,
    /// Whether nothing follows.
    pub ends: bool,
}

/// A request on a connection.
#[derive(Debug)]
pub struct Frames {
    link: Link,
    stream: u32,
    send: i64,
    receive: i64,
    /// The head of the frame that is read.
    head: [u8; 9],
    /// Bytes of it that are there.
    known: usize,
    /// Whether its payload is read.
    inside: bool,
    kind: u8,
    flags: u8,
    /// The stream it belongs to.
    of: u32,
    /// Bytes of its payload still to come.
    left: usize,
    /// Bytes before its content that are.
    prelude: usize,
    /// Bytes of padding at its end.
    padding: usize,
    /// Whether these were just told.
    is_padded: bool,
    /// The payload of a frame that is not of a stream's content.
    payload: Vec<u8>,
    /// Whether a block of fields has begun, and not ended.
    in_block: bool,
    /// The part of a field that is there.
    field: Vec<u8>,
    /// Whether a HEADERS frame ended the stream.
    ends: bool,
    answer: Head,
    /// Whether the answer's head has ended.
    in_body: bool,
    /// Whether the answer has ended.
    done: bool,
    /// Whether the stream was reset behind its end.
    reset: bool,
    goaway: bool,
    /// Bytes taken in since the answer's head began, or the last read before.
    held: usize,
    /// Bytes of all frames up to the end of the answer's head, and so far.
    heads: u64,
    taken: u64,
    /// The fields behind the body.
    pub trailers: Vec<Field>,
    trailers_size: usize,
    /// Frames that answer the server's.
    control: Vec<u8>,
    unsent: u32,
    /// Whether something came that lets more be sent.
    pub moved: bool,
    /// Whether the request has been sent to its end.
    closed: bool,
    /// Whether informational answers may come before the answer.
    pub informs: bool,
    /// Whether one has just ended.
    informed: bool,
}

impl Frames {
    /// The next request on a connection.
    pub fn new(link: Link) -> Self {
        let stream = if link.last == 0 { 1 } else { link.last.wrapping_add(2) };
        Self {
            link: Link { last: stream, ..link },
            stream,
            send: link.initial,
            receive: WINDOW,
            head: [0; 9],
            known: 0,
            inside: false,
            kind: 0,
            flags: 0,
            of: 0,
            left: 0,
            prelude: 0,
            padding: 0,
            is_padded: false,
            payload: Vec::new(),
            in_block: false,
            field: Vec::new(),
            ends: false,
            answer: Head::default(),
            in_body: false,
            done: false,
            reset: false,
            goaway: false,
            held: 0,
            heads: 0,
            taken: 0,
            trailers: Vec::new(),
            trailers_size: 0,
            control: Vec::new(),
            unsent: 0,
            moved: false,
            closed: false,
            informs: false,
            informed: false,
        }
    }

    /// Appends what begins the request: the connection's preface before its first, and the fields.
    pub fn begin(&mut self, fields: &[u8], ends: bool, out: &mut Vec<u8>) {
        if self.stream == 1 {
            out.extend_from_slice(BEGINNING);
        }
        let (mut kind, mut flags) = (kind::HEADERS, if ends { flag::END_STREAM } else { 0 });
        let mut rest = fields;
        loop {
            let (piece, behind) = rest.split_at(rest.len().min(MOST));
            if behind.is_empty() {
                flags |= flag::END_HEADERS;
            }
            frame(kind, flags, self.stream, piece, out);
            (kind, flags, rest) = (kind::CONTINUATION, 0, behind);
            if rest.is_empty() {
                break;
            }
        }
        self.closed = ends;
    }

    /// How many bytes of a body the server takes now.
    pub fn window(&self) -> usize {
        usize::try_from(self.send.min(self.link.send)).unwrap_or(0)
    }

    /// Appends bytes of a body, no more than the window takes; with its end behind them or not.
    pub fn data(&mut self, bytes: &[u8], ends: bool, out: &mut Vec<u8>) {
        let flags = |is_last: bool| if ends && is_last { flag::END_STREAM } else { 0 };
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(MOST));
            frame(kind::DATA, flags(behind.is_empty()), self.stream, piece, out);
            rest = behind;
        }
        if bytes.is_empty() && ends {
            frame(kind::DATA, flag::END_STREAM, self.stream, b"", out);
        }
        self.send -= bytes.len() as i64;
        self.link.send -= bytes.len() as i64;
        self.closed |= ends;
    }

    /// The frames that answer the server's.
    pub fn control(&self) -> &[u8] {
        &self.control
    }

    /// Forgets so many bytes of them: they were sent.
    pub fn sent_control(&mut self, count: usize) {
        self.control.drain(..count);
        if self.control.is_empty() {
            self.unsent = 0;
        }
    }

    /// Takes bytes in up to the end of the answer's head, or of an informational answer's; how many that were, once it
    /// has ended.
    ///
    /// # Errors
    /// What no server may send.
    pub fn take_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        self.held += bytes.len();
        let mut at = 0;
        while at < bytes.len() {
            let (count, _) = self.step(bytes.get(at..).unwrap_or_default())?;
            at += count;
            if self.in_body {
                self.taken += at as u64;
                self.heads = self.taken;
                return Ok(Some(at));
            }
            if std::mem::take(&mut self.informed) {
                self.taken += at as u64;
                self.held = 0;
                return Ok(Some(at));
            }
        }
        self.taken += at as u64;
        if !self.in_block && !self.inside {
            self.held = 0;
        }
        Ok(None)
    }

    /// Bytes of what came that are kept until the answer's head has ended.
    pub const fn held(&self) -> usize {
        self.held
    }

    /// Whether the head that has ended is an informational answer's.
    pub const fn is_informational(&self) -> bool {
        !self.in_body
    }

    /// The answer's head.
    pub fn answer(&mut self) -> Head {
        std::mem::take(&mut self.answer)
    }

    /// Takes bytes in behind the head, and moves what they hold of the body to their beginning; how many these are.
    ///
    /// # Errors
    /// What no server may send.
    pub fn take_body(&mut self, bytes: &mut [u8]) -> Result<usize, Fault> {
        let (mut at, mut body) = (0, 0);
        while at < bytes.len() {
            let (count, data) = self.step(bytes.get(at..).unwrap_or_default())?;
            if data {
                bytes.copy_within(at..at + count, body);
                body += count;
            }
            at += count;
        }
        self.taken += at as u64;
        Ok(body)
    }

    /// Whether the answer has ended, and no frame behind it is cut.
    ///
    /// Differs from nginx: an answer that has ended is whole, although its server closes the connection before its frames are answered. [test: an_answer_that_ended_is_whole_though_its_server_closes]
    pub const fn is_over(&self) -> bool {
        self.done && !self.inside
    }

    /// Whether the connection may carry another request.
    pub const fn is_clean(&self) -> bool {
        let more = self.link.last < LAST_STREAM;
        more && self.done && self.known == 0 && !self.inside && !self.goaway && self.closed && self.control.is_empty()
    }

    /// What the connection is to its next request.
    pub const fn link(&self) -> Link {
        self.link
    }

    /// Bytes that came before the end of the answer's head.
    pub const fn heads(&self) -> u64 {
        self.heads
    }

    /// Takes one run of bytes in; whether it is of the body.
    fn step(&mut self, bytes: &[u8]) -> Result<(usize, bool), Fault> {
        if !self.inside {
            return self.frame_head(bytes).map(|count| (count, false));
        }
        let mut is_data = false;
        let count = if self.prelude > 0 {
            self.prelude(bytes)
        } else if self.left > self.padding {
            let count = (self.left - self.padding).min(bytes.len());
            let piece = bytes.get(..count).unwrap_or_default();
            is_data = self.kind == kind::DATA;
            self.content(piece)?;
            count
        } else {
            self.left.min(bytes.len())
        };
        self.left -= count;
        if std::mem::take(&mut self.is_padded) && self.padding > self.left {
            let text =
                format!("upstream sent http2 frame with too long padding: {} in frame {}", self.padding, self.left);
            return Err(if self.kind == kind::DATA { Fault::of(text) } else { self.wrong_field(text) });
        }
        if self.left == 0 {
            self.end_frame()?;
        }
        Ok((count, is_data))
    }

    /// Takes in a piece of a frame's content that is not of the body.
    fn content(&mut self, piece: &[u8]) -> Result<(), Fault> {
        match self.kind {
            kind::HEADERS | kind::CONTINUATION => self.fields(piece)?,
            kind::RST_STREAM | kind::SETTINGS | kind::PING | kind::WINDOW_UPDATE => {
                self.payload.extend_from_slice(piece);
            }
            kind::GOAWAY => {
                let wanted = 8_usize.saturating_sub(self.payload.len()).min(piece.len());
                self.payload.extend_from_slice(piece.get(..wanted).unwrap_or_default());
            }
            // DATA, PRIORITY, and what is not known.
            _ => {}
        }
        Ok(())
    }

    /// Takes bytes of a frame's head in.
    fn frame_head(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let count = (self.head.len() - self.known).min(bytes.len());
        if let Some(place) = self.head.get_mut(self.known..self.known + count) {
            place.copy_from_slice(bytes.get(..count).unwrap_or_default());
        }
        self.known += count;
        let [high, middle, low, kind, flags, stream @ ..] = self.head;
        self.left = u32::from_be_bytes([0, high, middle, low]) as usize;
        if self.known >= 3 && self.left > MOST {
            return Err(Fault::of(format!("upstream sent too large http2 frame: {}", self.left)));
        }
        if self.known == self.head.len() {
            (self.kind, self.flags) = (kind, flags);
            self.of = u32::from_be_bytes(stream) & !(1 << 31);
            self.known = 0;
            self.padding = 0;
            self.prelude = 0;
            self.payload.clear();
            self.inside = true;
            self.place()?;
            self.begin_frame()?;
            if self.left == 0 {
                self.end_frame()?;
            }
        }
        Ok(count)
    }

    /// Judges where a frame is: in which stream, and behind which others.
    fn place(&mut self) -> Result<(), Fault> {
        let Self { kind, of, stream, .. } = *self;
        let is_own = of == stream;
        if (kind == kind::CONTINUATION) != self.in_block || kind == kind::DATA && !self.in_body {
            return Err(Fault::of(format!("upstream sent unexpected http2 frame: {kind}")));
        }
        if kind == kind::DATA && !is_own {
            return Err(Fault::of(format!("upstream sent data frame for unknown stream {of}")));
        }
        if of != 0 && !is_own {
            return Err(Fault::of(format!("upstream sent frame for unknown stream {of}")));
        }
        if of != 0 && self.done && !matches!(kind, kind::RST_STREAM | kind::WINDOW_UPDATE) {
            return Err(Fault::of(format!("upstream sent frame for closed stream {of}")));
        }
        Ok(())
    }

    /// Judges a frame by its head.
    fn begin_frame(&mut self) -> Result<(), Fault> {
        let Self { kind, flags, left, of, .. } = *self;
        let length = |what: &str| Err(Fault::of(format!("upstream sent {what} frame with invalid length: {left}")));
        let stream = |what: &str| Err(Fault::of(format!("upstream sent {what} frame with non-zero stream id: {of}")));
        match kind {
            kind::DATA => {
                self.receive(left);
                if flags & flag::PADDED != 0 {
                    self.prelude = 1;
                    if left == 0 {
                        return Err(Fault::of("upstream sent too short http2 frame"));
                    }
                }
            }
            kind::HEADERS => {
                self.in_block = true;
                self.field.clear();
                self.ends |= flags & flag::END_STREAM != 0;
                let padded = usize::from(flags & flag::PADDED != 0);
                self.prelude = padded + if flags & flag::PRIORITY != 0 { 5 } else { 0 };
                if left < self.prelude {
                    let text = format!("upstream sent headers frame with invalid length: {left}");
                    return Err(self.wrong_field(text));
                }
            }
            kind::RST_STREAM if left != 4 => return length("rst stream"),
            kind::WINDOW_UPDATE if left != 4 => return length("window update"),
            kind::GOAWAY if of != 0 => return stream("goaway"),
            kind::GOAWAY if left < 8 => return length("goaway"),
            kind::SETTINGS if of != 0 => return stream("settings"),
            kind::SETTINGS if flags & flag::ACK != 0 && left != 0 => {
                let text = format!("upstream sent settings frame with ack flag and non-zero length: {left}");
                return Err(Fault::of(text));
            }
            kind::SETTINGS if left % 6 != 0 => return length("settings"),
            kind::SETTINGS if self.unsent > UNSENT => {
                return Err(Fault::of("upstream sent too many settings frames"));
            }
            kind::PING if of != 0 => return stream("ping"),
            kind::PING if left != 8 => return length("ping"),
            kind::PING if flags & flag::ACK != 0 => {
                return Err(Fault::of("upstream sent ping frame with ack flag"));
            }
            kind::PING if self.unsent > UNSENT => return Err(Fault::of("upstream sent too many ping frames")),
            kind::PUSH_PROMISE => return Err(Fault::of("upstream sent unexpected push promise frame")),
            _ => {}
        }
        Ok(())
    }

    /// Counts a DATA frame, and opens the windows anew when they get small.
    fn receive(&mut self, count: usize) {
        self.receive -= count as i64;
        self.link.receive -= count as i64;
        if self.receive.min(self.link.receive) >= WINDOW / 4 {
            return;
        }
        for (stream, window) in [(0, &mut self.link.receive), (self.stream, &mut self.receive)] {
            let opened = u32::try_from(WINDOW - *window).unwrap_or(0);
            *window = WINDOW;
            frame(kind::WINDOW_UPDATE, 0, stream, &opened.to_be_bytes(), &mut self.control);
        }
        self.moved = true;
    }

    /// Takes in what comes before a frame's content: the length of the padding, and a priority nobody needs.
    fn prelude(&mut self, bytes: &[u8]) -> usize {
        let count = self.prelude.min(bytes.len());
        if self.flags & flag::PADDED != 0 {
            self.flags &= !flag::PADDED;
            self.padding = usize::from(bytes.first().copied().unwrap_or_default());
        }
        self.prelude -= count;
        self.is_padded = self.prelude == 0;
        count
    }

    /// A fault in a block of fields.
    fn wrong_field(&self, text: String) -> Fault {
        let what = if self.in_body { "upstream sent invalid trailer" } else { "upstream sent invalid header" };
        Fault(vec![text, what.to_owned()])
    }

    /// Takes in a piece of a block of fields.
    fn fields(&mut self, piece: &[u8]) -> Result<(), Fault> {
        self.field.extend_from_slice(piece);
        let mut at = 0;
        loop {
            let rest = self.field.get(at..).unwrap_or_default();
            match hpack::field(rest) {
                Ok(None) => break,
                Ok(Some((length, field))) => {
                    at += length;
                    if let Some(field) = field {
                        self.take_field(field)?;
                    }
                }
                Err(text) => return Err(self.wrong_field(text)),
            }
        }
        self.field.drain(..at);
        if self.in_body && self.trailers_size + self.field.len() > TRAILERS {
            return Err(Fault::of("upstream sent too big trailer"));
        }
        Ok(())
    }

    /// Takes a field of the head, or a trailer.
    ///
    /// Differs from nginx: trailers of more than 256k end the answer; nginx keeps any number. [test: trailers_have_a_bound]
    fn take_field(&mut self, field: Field) -> Result<(), Fault> {
        let is_pseudo = field.name.first() == Some(&b':');
        let shown = |field: &Field| format!("\"{}: {}\"", text(&field.name), text(&field.value));
        if self.in_body {
            if is_pseudo {
                return Err(Fault::of(format!("upstream sent invalid trailer {}", shown(&field))));
            }
            self.trailers_size += field.name.len() + field.value.len();
            self.trailers.push(field);
            return Ok(());
        }
        if !is_pseudo {
            if self.answer.status == 0 {
                return Err(Fault::of(NO_STATUS));
            }
            self.answer.push(&field.name, &field.value);
            return Ok(());
        }
        if field.name != b":status" {
            return Err(Fault::of(format!("upstream sent invalid header {}", shown(&field))));
        }
        if self.answer.status != 0 {
            return Err(Fault::of("upstream sent duplicate :status header"));
        }
        let value = &*field.value;
        let status = crate::conf::value::number(value).filter(|_| value.len() == 3);
        match status.and_then(|status| u16::try_from(status).ok()) {
            Some(status @ 200..) => self.answer.status = status,
            Some(status @ (100 | 102..=199)) if self.informs => self.answer.status = status,
            Some(_) => return Err(Fault::of(format!("upstream sent unexpected :status \"{}\"", text(value)))),
            None => return Err(Fault::of(format!("upstream sent invalid :status \"{}\"", text(value)))),
        }
        self.answer.add(b":status", b": ");
        self.answer.add(value, b"\r\n");
        Ok(())
    }

    /// What the end of a frame means.
    fn end_frame(&mut self) -> Result<(), Fault> {
        self.inside = false;
        match self.kind {
            kind::DATA => self.done |= self.flags & flag::END_STREAM != 0,
            kind::HEADERS | kind::CONTINUATION if self.flags & flag::END_HEADERS != 0 => self.end_block()?,
            kind::RST_STREAM => {
                let error = self.number(0);
                if !self.in_body || error != 0 || !self.done {
                    return Err(Fault::of(format!("upstream rejected request with error {error}")));
                }
                if std::mem::replace(&mut self.reset, true) {
                    return Err(Fault::of(format!("upstream sent frame for closed stream {}", self.of)));
                }
            }
            kind::GOAWAY => {
                let (last, error) = (self.number(0) & !(1 << 31), self.number(4));
                if last < self.stream {
                    return Err(Fault::of(format!("upstream sent goaway with error {error}")));
                }
                self.goaway = true;
            }
            kind::WINDOW_UPDATE => {
                let more = i64::from(self.number(0) & !(1 << 31));
                let window = if self.of == 0 { &mut self.link.send } else { &mut self.send };
                if more > WINDOW - *window {
                    return Err(Fault::of("upstream sent too large window update"));
                }
                *window += more;
                self.moved = true;
            }
            kind::SETTINGS if self.flags & flag::ACK == 0 => {
                self.settings()?;
                self.answer_with(kind::SETTINGS);
            }
            kind::PING => self.answer_with(kind::PING),
            _ => {}
        }
        Ok(())
    }

    /// Ends a block of fields: the answer's head, or its trailers.
    ///
    /// Differs from nginx: a head without any field is refused like one whose first field is not the status. [test: faults_of_a_head_have_nginxs_words]
    fn end_block(&mut self) -> Result<(), Fault> {
        if !self.field.is_empty() {
            return Err(self.wrong_field("upstream sent truncated http2 header".to_owned()));
        }
        self.in_block = false;
        if self.in_body {
            if !self.ends {
                return Err(Fault::of("upstream sent trailer without end stream flag"));
            }
            self.done = true;
            return Ok(());
        }
        if self.answer.status == 0 {
            return Err(Fault::of(NO_STATUS));
        }
        if self.answer.status < 200 {
            self.informed = true;
            return if self.ends { Err(Fault::of("upstream prematurely closed stream")) } else { Ok(()) };
        }
        self.answer.ends = self.ends;
        (self.in_body, self.done) = (true, self.ends);
        Ok(())
    }

    /// Answers a frame of the connection with the same, as seen.
    fn answer_with(&mut self, kind: u8) {
        let payload = if kind == kind::PING { self.payload.as_slice() } else { b"" };
        frame(kind, flag::ACK, 0, payload, &mut self.control);
        self.unsent += 1;
        self.moved = true;
    }

    /// Takes the settings of a server.
    fn settings(&mut self) -> Result<(), Fault> {
        let payload = std::mem::take(&mut self.payload);
        for setting in payload.chunks_exact(6) {
            let [high, low, value @ ..] = setting else { continue };
            if u16::from_be_bytes([*high, *low]) != INITIAL_WINDOW_SIZE {
                continue;
            }
            let size = i64::from(value.first_chunk().copied().map_or(0, u32::from_be_bytes));
            let more = size - self.link.initial;
            if size > WINDOW || self.send > 0 && more > WINDOW - self.send {
                let text = format!("upstream sent settings frame with too large initial window size: {size}");
                return Err(Fault::of(text));
            }
            self.link.initial = size;
            self.send += more;
        }
        Ok(())
    }

    /// The number at this place of the payload.
    fn number(&self, at: usize) -> u32 {
        let bytes = self.payload.get(at..).and_then(|bytes| bytes.first_chunk().copied());
        bytes.map_or(0, u32::from_be_bytes)
    }
}

const NO_STATUS: &str = "upstream sent no :status header";

impl Head {
    /// Appends a field.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let name = self.add(name, b": ");
        let value = self.add(value, b"\r\n");
        self.fields.push((name, value));
    }

    /// Appends a part of a line; where it is.
    fn add(&mut self, part: &[u8], behind: &[u8]) -> Range<u32> {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(part);
        let end = self.text.len() as u32;
        self.text.extend_from_slice(behind);
        start..end
    }
}

/// Appends a frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    let [_, high, middle, low] = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    out.extend_from_slice(&[high, middle, low, kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests;
