//! Request bodies: read in pieces, kept in memory or in a file, or thrown away.
//!
//! Differs from nginx: a body over client_body_buffer_size stays in memory while the loop's budget allows. [test: connections_and_bodies_are_kept_as_nginx_keeps_them]
//! Differs from nginx: a body that does not come whole leaves no file. [test: half_a_body_leaves_no_file]

use crate::conf::bytes;
use crate::http::codec::h1::{Chunked, Piece};
use crate::http::heart::head::Known;
use crate::http::heart::request::Request;
use crate::http::heart::settings::FileOnly;
use crate::http::heart::wire::Wire;
use crate::log::Level;
use crate::net::deadline::Deadline;
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

/// How the end of a body is known.
#[derive(Default)]
enum Framing {
    /// There is none (or no more).
    #[default]
    None,
    /// So many bytes are still to come.
    Length(u64),
    /// Chunks.
    Chunked(Chunked),
    /// It comes on a stream of its own, which has an end.
    Stream,
}

/// A body's file.
pub struct BodyFile {
    /// The file, open for reading and writing.
    pub file: File,
    /// The name it has, or had.
    pub path: String,
    removed: bool,
}

impl Drop for BodyFile {
    fn drop(&mut self) {
        if self.removed {
            let _ = std::fs::remove_file(bytes::path(&self.path));
        }
    }
}

/// Where a body that was read is kept.
#[derive(Clone)]
pub enum Saved {
    /// In memory.
    Memory(Rc<Vec<u8>>),
    /// In a file, of this length.
    File(Rc<BodyFile>, u64),
}

impl Saved {
    /// Its length.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_, length) => *length,
        }
    }
}

/// A request's body.
#[derive(Default)]
pub struct Body {
    framing: Framing,
    announced: Option<u64>,
    chunked: bool,
    /// Bytes received so far.
    pub received: u64,
    /// Bytes received with the framing of chunks.
    pub raw: u64,
    /// Whether the client waits for `100 Continue`.
    expects: bool,
    /// How much of `100 Continue` has been sent.
    continued: usize,
    /// Whether somebody has begun to read it, or wants none of it: that is done once.
    begun: bool,
    /// Whether somebody is given it as it comes.
    read: bool,
    /// Whether it was passed on as it came, so that nobody else can have it.
    pub streamed: bool,
    /// When the client has been silent for too long.
    deadline: Deadline,
    /// Whether the deadline runs.
    waits: bool,
    /// The body, once read.
    pub saved: Option<Saved>,
}

/// What is left of a request without a body.
pub struct ReadBody {
    received: u64,
    raw: u64,
    begun: bool,
}

/// A temporary file's name, which is removed with this unless it was taken out: also when the request ends in between.
struct Named(Option<String>);

impl Drop for Named {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(bytes::path(path));
        }
    }
}

impl Body {
    /// A body of known length.
    pub fn of_length(length: u64) -> Self {
        Self { framing: Framing::Length(length), announced: Some(length), ..Self::default() }
    }

    /// A body in chunks.
    pub fn in_chunks() -> Self {
        Self { framing: Framing::Chunked(Chunked::default()), chunked: true, ..Self::default() }
    }

    /// A body on a stream of its own.
    pub fn on_stream(announced: Option<u64>, is_over: bool) -> Self {
        let framing = if is_over { Framing::None } else { Framing::Stream };
        Self { framing, announced, chunked: announced.is_none() && !is_over, ..Self::default() }
    }

    /// The same body for another request, as far as it has been read.
    pub fn shared(&self) -> Self {
        Self {
            announced: self.announced,
            chunked: self.chunked,
            begun: true,
            saved: self.saved.clone(),
            ..Self::default()
        }
    }

    /// What is known of a request without a body; nothing where there is or was one.
    pub const fn ended(&self) -> Option<ReadBody> {
        let Self { framing, announced, chunked, received, raw, expects, begun, saved, .. } = self;
        if matches!(framing, Framing::None) && announced.is_none() && !*chunked && !*expects && saved.is_none() {
            return Some(ReadBody { received: *received, raw: *raw, begun: *begun });
        }
        None
    }

    /// A body of which this is known.
    pub fn read(ended: &ReadBody) -> Self {
        Self { received: ended.received, raw: ended.raw, begun: ended.begun, ..Self::default() }
    }

    /// The length the client announced.
    pub const fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// Bytes still to come of a body of known length; without end for others.
    fn left(&self) -> usize {
        match &self.framing {
            Framing::Length(left) => usize::try_from(*left).unwrap_or(usize::MAX),
            Framing::None | Framing::Chunked(_) | Framing::Stream => usize::MAX,
        }
    }

    /// Whether there is one, or was.
    pub const fn is_announced(&self) -> bool {
        self.announced.is_some() || self.chunked
    }

    /// Whether it comes in chunks.
    pub const fn is_chunked(&self) -> bool {
        self.chunked
    }

    /// Whether bytes of it may still come.
    pub const fn is_pending(&self) -> bool {
        match &self.framing {
            Framing::None => false,
            Framing::Length(left) => *left > 0,
            Framing::Chunked(chunked) => !chunked.is_ended(),
            Framing::Stream => true,
        }
    }

    /// The client sent `Expect: 100-continue`.
    pub const fn expect(&mut self) {
        self.expects = true;
    }

    /// Whether somebody has begun to read it, or wants none of it.
    pub const fn is_begun(&self) -> bool {
        self.begun
    }

    /// Somebody is given it as it comes.
    pub const fn promise(&mut self) {
        self.read = true;
    }

    /// Whether somebody was to have it as it comes, and waits for the rest.
    pub const fn is_cut(&self) -> bool {
        self.read && self.is_pending()
    }

    /// Nobody wants it, and the client is not told to send it.
    pub const fn refuse(&mut self) {
        self.begun = true;
        self.expects = false;
    }

    /// Whether the client waits for `100 Continue`.
    pub const fn expects(&self) -> bool {
        self.expects
    }
}

/// What a client waits for that sent `Expect: 100-continue`.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Bytes behind a body that are read with it: a read that fills all it was given would leave open whether more is there.
const BEYOND: usize = 64;

/// Why a body could not be read: the status to answer with.
pub type BodyError = u16;

impl Request {
    /// Answers `Expect: 100-continue`, once, as soon as somebody wants the body.
    pub fn poll_continue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.body.continued == CONTINUE.len() || !self.body.expects || self.version() < 1001 {
            return Poll::Ready(());
        }
        loop {
            let rest = CONTINUE.get(self.body.continued..).unwrap_or_default();
            match self.connection.stream.try_write(rest) {
                Ok(count) => {
                    self.body.continued += count;
                    self.response.sent += count as u64;
                    if count == rest.len() {
                        self.body.expects = false;
                        return Poll::Ready(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.connection.stream.poll_writable(cx));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The read that follows finds the connection broken.
                Err(_) => {
                    self.body.expects = false;
                    return Poll::Ready(());
                }
            }
        }
    }

    /// Appends the next bytes of the body; false when it has ended.
    ///
    /// # Errors
    /// The status to answer with: 400, 408 or 413.
    pub fn poll_body(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Result<bool, BodyError>> {
        let most = match self.location.settings.client_max_body_size {
            0 => u64::MAX,
            most => most,
        };
        self.body.promise();
        self.poll_body_within(cx, out, most)
    }

    fn poll_body_within(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut Vec<u8>,
        most: u64,
    ) -> Poll<Result<bool, BodyError>> {
        self.body.begun = true;
        if matches!(self.body.framing, Framing::Stream) {
            return self.poll_stream(cx, out, most);
        }
        ready!(self.poll_continue(cx));
        loop {
            let before = out.len();
            let at = self.head.bytes.start;
            let more = self.take_input(out, most)?;
            self.body.received += (out.len() - before) as u64;
            self.body.raw += (self.head.bytes.start - at) as u64;
            if !more || out.len() > before {
                return Poll::Ready(Ok(more));
            }
            let outcome = match self.body.framing {
                Framing::Length(_) => self.read_straight(out),
                Framing::None | Framing::Chunked(_) | Framing::Stream => self.read_input(),
            };
            match outcome {
                Ok(0) => {
                    self.log(Level::Info, "client prematurely closed connection");
                    self.response.broken = true;
                    return Poll::Ready(Err(400));
                }
                Ok(_) => {
                    self.body.waits = false;
                    if out.len() > before {
                        return Poll::Ready(Ok(self.body.left() > 0));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.poll_client(cx))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.log(Level::Info, &format!("recv() failed ({})", crate::conf::walk::errno(&error)));
                    self.response.broken = true;
                    return Poll::Ready(Err(400));
                }
            }
        }
    }

    /// The same for a body on a stream of its own.
    fn poll_stream(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>, most: u64) -> Poll<Result<bool, BodyError>> {
        let Wire::H2(stream) = &self.wire else { return Poll::Ready(Ok(false)) };
        let data = match stream.poll_data(cx) {
            Poll::Ready(data) => data,
            Poll::Pending => return self.poll_patience(cx).map(Err),
        };
        let over = stream.is_received();
        self.body.waits = false;
        match data {
            None => {
                self.body.framing = Framing::None;
                Poll::Ready(Ok(false))
            }
            Some(Ok(bytes)) => {
                let (received, size) = (self.body.received, bytes.len() as u64);
                if size > most.saturating_sub(received) {
                    let text = "client intended to send too large chunked body";
                    self.log(Level::Error, &format!("{text}: {received}+{size} bytes"));
                    return Poll::Ready(Err(413));
                }
                self.body.received += size;
                self.body.raw += size;
                out.extend_from_slice(&bytes);
                if over {
                    self.body.framing = Framing::None;
                }
                Poll::Ready(Ok(!over))
            }
            Some(Err(_)) => {
                self.log(Level::Info, "client prematurely closed stream");
                self.response.broken = true;
                Poll::Ready(Err(400))
            }
        }
    }

    /// Ready when the client sent something; 408 when it was silent for `client_body_timeout`.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        if self.connection.stream.poll_readable(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        self.poll_patience(cx).map(Err)
    }

    /// 408 when the client was silent for `client_body_timeout`.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        if !std::mem::replace(&mut self.body.waits, true) {
            let now = self.event_loop().clock.instant();
            self.body.deadline.set(now, self.location.settings.client_body_timeout);
        }
        ready!(self.body.deadline.poll(cx));
        self.body.waits = false;
        self.log(Level::Info, "client timed out (110: Connection timed out)");
        Poll::Ready(408)
    }

    /// Appends the next bytes of the body; false when it has ended.
    ///
    /// # Errors
    /// The status to answer with: 400, 408 or 413.
    pub async fn body_piece(&mut self, out: &mut Vec<u8>) -> Result<bool, BodyError> {
        poll_fn(|cx| self.poll_body(cx, out)).await
    }

    /// Decodes what is at hand, of a body in chunks no more than `most` bytes in all.
    fn take_input(&mut self, out: &mut Vec<u8>, most: u64) -> Result<bool, BodyError> {
        let mut received = self.body.received;
        let bytes = &mut self.head.bytes;
        match &mut self.body.framing {
            Framing::None => Ok(false),
            Framing::Stream => Ok(true),
            Framing::Length(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.filled().len());
                out.extend_from_slice(bytes.filled().get(..take).unwrap_or_default());
                bytes.start += take;
                *left -= take as u64;
                Ok(*left > 0)
            }
            Framing::Chunked(chunked) => loop {
                let filled = bytes.filled();
                match chunked.step(filled, 0) {
                    Ok(Piece::Data(range)) => {
                        let end = range.end;
                        let start = range.start;
                        let size = (end - start) as u64;
                        let announced = size.saturating_add(chunked.left());
                        if announced > most.saturating_sub(received) {
                            self.lingering = true;
                            self.malformed = true;
                            let text = "client intended to send too large chunked body";
                            self.log(Level::Error, &format!("{text}: {received}+{announced} bytes"));
                            return Err(413);
                        }
                        received += size;
                        out.extend_from_slice(filled.get(start..end).unwrap_or_default());
                        bytes.start += end;
                    }
                    Ok(Piece::More) => {
                        bytes.start = bytes.end;
                        return Ok(true);
                    }
                    Ok(Piece::End(at)) => {
                        bytes.start += at;
                        return Ok(false);
                    }
                    Err(_) => {
                        self.malformed = true;
                        self.log(Level::Error, "client sent invalid chunked body");
                        return Err(400);
                    }
                }
            },
        }
    }

    /// Whether all of a body has arrived with its head.
    pub fn body_is_at_hand(&self) -> bool {
        let bytes = self.head.bytes.filled();
        let mut chunked = match &self.body.framing {
            Framing::None => return true,
            Framing::Stream => return false,
            Framing::Length(left) => return bytes.len() as u64 >= *left,
            Framing::Chunked(chunked) => chunked.clone(),
        };
        let mut at = 0;
        loop {
            match chunked.step(bytes, at) {
                Ok(Piece::Data(range)) => at = range.end,
                Ok(Piece::End(_)) | Err(_) => return true,
                Ok(Piece::More) => return false,
            }
        }
    }

    /// Forgets the part of the body that is at hand.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn skip_buffered(&mut self) -> Result<(), BodyError> {
        if self.malformed {
            return Err(400);
        }
        let mut sink = Vec::new();
        while self.body.is_pending() && !self.head.bytes.filled().is_empty() {
            sink.clear();
            self.take_input(&mut sink, u64::MAX)?;
        }
        Ok(())
    }

    /// Answers without the body: the client may send it, and what of it is at hand is checked and forgotten.
    ///
    /// # Errors
    /// 400 when it is malformed.
    pub fn skip_body(&mut self) -> Result<(), BodyError> {
        if self.is_subrequest() || std::mem::replace(&mut self.body.begun, true) {
            return Ok(());
        }
        if std::mem::take(&mut self.body.expects) && self.version() > 1000 {
            // A socket that takes nothing now is about to give the client the answer itself; behind a part of the line it
            // could not be told from it.
            let said = self.connection.stream.try_write(CONTINUE).unwrap_or(0);
            self.response.sent += said as u64;
            if (1..CONTINUE.len()).contains(&said) {
                self.response.broken = true;
                return Err(500);
            }
        }
        self.skip_buffered()
    }

    /// The same for an error's page, which says nothing before itself and nothing of a malformed body.
    pub fn drop_body(&mut self) {
        self.body.expects = false;
        if !self.is_subrequest() && self.skip_buffered().is_err() {
            self.keepalive = false;
        }
    }

    /// Reads more input behind the head.
    fn read_input(&mut self) -> io::Result<usize> {
        let keep = self.head.end as usize;
        let bytes = &mut self.head.bytes;
        if bytes.start == bytes.end {
            bytes.start = keep;
            bytes.end = keep;
        }
        if bytes.room().len() < 4096 {
            let size = bytes.size() + 16 * 1024;
            bytes.grow(size);
        }
        let count = self.connection.stream.try_read(bytes.room())?;
        bytes.end += count;
        Ok(count)
    }

    /// Reads a body of known length, with nothing of it behind the head any more, and appends it to `out`. It is read into
    /// memory of the loop's first, so that a slow client holds no more than it has sent.
    fn read_straight(&mut self, out: &mut Vec<u8>) -> io::Result<usize> {
        let event_loop = self.event_loop().clone();
        let mut scratch = event_loop.scratch();
        let size = self.body.left().min(scratch.len() - BEYOND) + BEYOND;
        let outcome = self.connection.stream.try_read(scratch.get_mut(..size).unwrap_or_default());
        if let Ok(received) = outcome {
            let count = received.min(self.body.left());
            out.extend_from_slice(scratch.get(..count).unwrap_or_default());
            for byte in scratch.get(count..received).unwrap_or_default() {
                self.head.bytes.push(*byte);
            }
            self.body.received += count as u64;
            self.body.raw += count as u64;
            if let Framing::Length(left) = &mut self.body.framing {
                *left -= count as u64;
            }
        }
        event_loop.give_scratch(scratch);
        outcome
    }

    /// Reads the whole body and keeps it, in memory while the loop's budget allows, or in a file in any case.
    ///
    /// # Errors
    /// The status to answer with.
    pub async fn save_body(&mut self, only: FileOnly) -> Result<(), BodyError> {
        if self.body.saved.is_some() {
            return Ok(());
        }
        if matches!(self.body.framing, Framing::None) {
            poll_fn(|cx| self.poll_continue(cx)).await;
            return Ok(());
        }
        let loop_state = self.connection.loop_state.clone();
        let own = self.location.settings.client_body_buffer_size;
        let mut memory = Vec::new();
        let mut held = loop_state.hold(0);
        let mut file: Option<(BodyFile, u64)> = None;
        while self.body_piece(&mut memory).await? || !memory.is_empty() && file.is_some() {
            let within = memory.len() <= own || held.grow(memory.len());
            if file.is_none() && within {
                continue;
            }
            self.write_body(&mut file, &mut memory, only)?;
        }
        if file.is_none() && only != FileOnly::Off {
            self.write_body(&mut file, &mut memory, only)?;
        }
        self.held.push(Box::new(held));
        self.body.saved = Some(match file {
            Some((mut file, length)) => {
                file.removed = only == FileOnly::Clean;
                Saved::File(Rc::new(file), length)
            }
            None => Saved::Memory(Rc::new(memory)),
        });
        Ok(())
    }

    /// Moves what was read to the end of the body's file.
    fn write_body(
        &self,
        file: &mut Option<(BodyFile, u64)>,
        memory: &mut Vec<u8>,
        only: FileOnly,
    ) -> Result<(), BodyError> {
        let (target, length) = match file {
            Some(open) => open,
            None => file.insert((self.temp_file(only)?, 0)),
        };
        if let Err(error) = target.file.write_all(memory) {
            self.log(Level::Crit, &format!("pwrite() failed ({})", crate::conf::walk::errno(&error)));
            return Err(500);
        }
        *length += memory.len() as u64;
        memory.clear();
        Ok(())
    }

    /// Reads the whole body into a file in `client_body_temp_path`; the file and its name.
    ///
    /// # Errors
    /// The status to answer with; the file is gone then.
    pub async fn body_in_file(&mut self) -> Result<(File, String), BodyError> {
        let (mut file, path) = self.open_temp()?;
        let mut named = Named(Some(path.clone()));
        let mut piece = Vec::new();
        loop {
            piece.clear();
            let outcome = self.body_piece(&mut piece).await.and_then(|more| match file.write_all(&piece) {
                Ok(()) => Ok(more),
                Err(error) => {
                    let text = crate::conf::walk::errno(&error);
                    self.log(Level::Crit, &format!("pwrite() \"{path}\" failed ({text})"));
                    Err(500)
                }
            });
            match outcome {
                Ok(true) => {}
                Ok(false) => {
                    named.0 = None;
                    return Ok((file, path));
                }
                Err(status) => return Err(status),
            }
        }
    }

    /// A file in `client_body_temp_path`, which loses its name at once unless it is asked for.
    fn temp_file(&self, only: FileOnly) -> Result<BodyFile, BodyError> {
        let (file, path) = self.open_temp()?;
        let level = if only == FileOnly::Off {
            let _ = std::fs::remove_file(bytes::path(&path));
            Level::Warn
        } else {
            Level::Notice
        };
        self.log(level, &format!("a client request body is buffered to a temporary file {path}"));
        Ok(BodyFile { file, path, removed: only != FileOnly::Off })
    }

    /// A new file in `client_body_temp_path`, and its name.
    fn open_temp(&self) -> Result<(File, String), BodyError> {
        loop {
            let path = self.temp_path();
            let mut options = std::fs::OpenOptions::new();
            let outcome = options.read(true).write(true).create_new(true).mode(0o600).open(bytes::path(&path));
            match outcome {
                Ok(file) => return Ok((file, path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.connection.loop_state.skip_temps(),
                Err(error) => {
                    let text = crate::conf::walk::errno(&error);
                    self.log(Level::Crit, &format!("open() \"{path}\" failed ({text})"));
                    return Err(500);
                }
            }
        }
    }

    /// A name in `client_body_temp_path`, whose folder is there.
    fn temp_path(&self) -> String {
        let temp = &self.location.settings.body_temp;
        let name = format!("{:010}", self.connection.loop_state.next_temp());
        let mut path = temp.path.clone();
        let mut end = name.len();
        for digits in &temp.levels {
            let start = end.saturating_sub(*digits);
            path = format!("{path}/{}", name.get(start..end).unwrap_or_default());
            end = start;
        }
        let _ = std::fs::create_dir_all(bytes::path(&path));
        format!("{path}/{name}")
    }

    /// Reads and forgets what is left of the body, so that the next request can be read. False when it cannot be.
    pub async fn discard_body(&mut self) -> bool {
        let mut sink = Vec::new();
        let limit = self.location.settings.lingering_time;
        let patience = self.location.settings.lingering_timeout;
        let work = async {
            while self.body.is_pending() {
                sink.clear();
                let piece = poll_fn(|cx| self.poll_body_within(cx, &mut sink, u64::MAX));
                match tokio::time::timeout(patience, piece).await {
                    Ok(Ok(true)) => {}
                    Ok(Ok(false)) => break,
                    _ => return false,
                }
            }
            true
        };
        tokio::time::timeout(limit, work).await.unwrap_or(false)
    }

    /// Whether the head announces a body, and how; errors as nginx answers them.
    ///
    /// # Errors
    /// The status and nginx's words.
    pub fn frame_body(&mut self) -> Result<(), (u16, String)> {
        let length = self.header(Known::ContentLength).map(<[u8]>::to_vec);
        let announced = match &length {
            None => None,
            Some(text) => match crate::conf::value::number(text) {
                Some(length) => Some(length),
                None => return Err((400, "client sent invalid \"Content-Length\" header".to_owned())),
            },
        };
        if let Wire::H2(stream) = &self.wire {
            self.body = Body::on_stream(announced, stream.is_received());
            return Ok(());
        }
        if let Some(coding) = self.header(Known::TransferEncoding) {
            if self.version() < 1001 {
                return Err((400, "client sent HTTP/1.0 request with \"Transfer-Encoding\" header".to_owned()));
            }
            if !coding.eq_ignore_ascii_case(b"chunked") {
                let text = String::from_utf8_lossy(coding);
                return Err((501, format!("client sent unknown \"Transfer-Encoding\": \"{text}\"")));
            }
            if announced.is_some() {
                // What is forgotten of it goes by the length.
                self.body = announced.map(Body::of_length).unwrap_or_default();
                let text = "client sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time";
                return Err((400, text.to_owned()));
            }
            self.body = Body::in_chunks();
        } else if let Some(length) = announced {
            self.body = Body::of_length(length);
        }
        if self.header(Known::Expect).is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue")) {
            self.body.expect();
        }
        self.lingering = self.body.is_pending();
        Ok(())
    }
}

/// Memory that request and response bodies may take on one loop.
pub struct Budget {
    left: AtomicU64,
}

impl Budget {
    /// A budget of `bytes`.
    pub const fn new(bytes: u64) -> Self {
        Self { left: AtomicU64::new(bytes) }
    }

    /// Takes `bytes` if they are left.
    pub fn take(&self, bytes: u64) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }

    /// Gives `bytes` back.
    pub fn give(&self, bytes: u64) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}
