//! Request bodies: read in pieces, kept in memory, in a pipe or in a file, or thrown away.
//!
//! A body over client_body_buffer_size of known length that fits goes through a pipe: what is only passed on is not copied.
//!
//! Differs from nginx: a body over client_body_buffer_size stays in memory while the loop's budget allows. [test: connections_and_bodies_are_kept_as_nginx_keeps_them]

use super::codec::h1::{Chunked, Piece};
use super::head::Known;
use super::request::Request;
use crate::conf::bytes;
use crate::log::Level;
use crate::net::pipes::{self, Lent};
use crate::net::stream::Stream;
use crate::net::turn::Buffer;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

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
}

/// Where a body that was read is kept.
pub enum Saved {
    /// In memory.
    Memory(Vec<u8>),
    /// In a file without a name, of this length.
    File(File, u64),
    /// What came with the head in memory, the rest in a pipe: bytes that are only passed on need not be copied.
    Piped(Vec<u8>, Lent),
}

impl Saved {
    /// Its length.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_, length) => *length,
            Self::Piped(first, rest) => (first.len() + rest.held()) as u64,
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
    /// The body, once read.
    pub saved: Option<Saved>,
}

impl Body {
    /// A body of known length.
    pub const fn of_length(length: u64) -> Self {
        Self {
            framing: Framing::Length(length),
            announced: Some(length),
            chunked: false,
            received: 0,
            raw: 0,
            expects: false,
            saved: None,
        }
    }

    /// A body in chunks.
    pub fn in_chunks() -> Self {
        Self { framing: Framing::Chunked(Chunked::default()), chunked: true, ..Self::default() }
    }

    /// The length the client announced.
    pub const fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// Bytes still to come of a body of known length; without end for others.
    fn left(&self) -> usize {
        match &self.framing {
            Framing::Length(left) => usize::try_from(*left).unwrap_or(usize::MAX),
            Framing::None | Framing::Chunked(_) => usize::MAX,
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
        }
    }

    /// The client sent `Expect: 100-continue`.
    pub const fn expect(&mut self) {
        self.expects = true;
    }

    /// Whether the client waits for `100 Continue`.
    pub const fn expects(&self) -> bool {
        self.expects
    }
}

/// What a client waits for that sent `Expect: 100-continue`.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Bytes of a body read at a time.
const PIECE: usize = 64 * 1024;

/// Bytes behind a body that are read with it.
const BEYOND: usize = 64;

/// Bytes still to come from which a body is taken through a pipe.
const BULK: usize = 32 * 1024;

/// Pipes that bodies of one loop may hold, a fixed sum beside the loop's budget: a client that sends slowly holds one for long.
const PIPES: usize = 32;

/// Why a body could not be read: the status to answer with.
pub type Refused = u16;

impl Request {
    /// Answers `Expect: 100-continue`, once, as soon as somebody wants the body.
    async fn welcome(&mut self) {
        if !std::mem::take(&mut self.body.expects) || self.version() < 1001 {
            return;
        }
        let timeout = self.location.settings.send_timeout;
        let sent = super::response::send_all(&self.connection.stream, CONTINUE, false, timeout).await;
        self.response.sent += sent.unwrap_or(0);
    }

    /// Appends the next bytes of the body; false when it has ended.
    ///
    /// # Errors
    /// The status to answer with: 400, 408 or 413.
    pub async fn body_piece(&mut self, out: &mut Vec<u8>) -> Result<bool, Refused> {
        self.welcome().await;
        let most = match self.location.settings.client_max_body_size {
            0 => u64::MAX,
            most => most,
        };
        loop {
            let before = out.len();
            let at = self.head.bytes.start;
            let more = self.take_input(out, most)?;
            self.body.received += (out.len() - before) as u64;
            self.body.raw += (self.head.bytes.start - at) as u64;
            if !more || out.len() > before {
                return Ok(more);
            }
            self.read_input().await?;
        }
    }

    /// Decodes what is at hand, of a body in chunks no more than `most` bytes in all.
    fn take_input(&mut self, out: &mut Vec<u8>, most: u64) -> Result<bool, Refused> {
        let mut received = self.body.received;
        let bytes = &mut self.head.bytes;
        match &mut self.body.framing {
            Framing::None => Ok(false),
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
                        self.log(Level::Info, "client sent invalid chunked body");
                        return Err(400);
                    }
                }
            },
        }
    }

    /// Whether all of a chunked body has arrived already.
    pub fn body_is_at_hand(&self) -> bool {
        let Framing::Chunked(chunked) = &self.body.framing else { return false };
        let mut chunked = chunked.clone();
        let bytes = self.head.bytes.filled();
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
    pub fn skip_buffered(&mut self) -> Result<(), Refused> {
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
    pub fn forget_body(&mut self) -> Result<(), Refused> {
        if self.is_subrequest() {
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
    async fn read_input(&mut self) -> Result<(), Refused> {
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
        let mut bytes = std::mem::replace(&mut self.head.bytes, Buffer::new(0));
        let limit = self.body.left();
        let size = bytes.room().len().min(limit);
        let got = self.receive(bytes.room().get_mut(..size).unwrap_or_default()).await;
        self.head.bytes = bytes;
        self.head.bytes.end += got?;
        Ok(())
    }

    /// Reads what the client sends next: at least a byte.
    async fn receive(&mut self, into: &mut [u8]) -> Result<usize, Refused> {
        self.input(|stream| stream.try_read(into)).await
    }

    /// Runs a read-like call until it has something.
    async fn input(&mut self, mut read: impl FnMut(&Stream) -> io::Result<usize>) -> Result<usize, Refused> {
        let timeout = self.location.settings.client_body_timeout;
        loop {
            match read(&self.connection.stream) {
                Ok(0) => {
                    self.log(Level::Info, "client prematurely closed connection");
                    self.response.broken = true;
                    return Err(400);
                }
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if tokio::time::timeout(timeout, self.connection.stream.readable()).await.is_err() {
                        self.log(Level::Info, "client timed out (110: Connection timed out)");
                        return Err(408);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.log(Level::Info, &format!("recv() failed ({})", crate::conf::walk::errno(&error)));
                    self.response.broken = true;
                    return Err(400);
                }
            }
        }
    }

    /// Takes what is left of a large body of known length through a pipe; what is at hand, or what no pipe is to be had
    /// for, is appended to `out`.
    async fn body_piped(&mut self, out: &mut Vec<u8>) -> Result<Option<Lent>, Refused> {
        let left = self.body.left().saturating_sub(self.head.bytes.filled().len());
        let pipes = self.turn().pipes.clone();
        let is_large =
            self.body.announced.is_some_and(|size| size > self.location.settings.client_body_buffer_size as u64);
        if !is_large || !(BULK..=pipes::SIZE).contains(&left) || pipes.lent() >= PIPES {
            return Ok(None);
        }
        let Some(mut pipe) = pipes.lend() else { return Ok(None) };
        if !self.head.bytes.filled().is_empty() {
            self.body_piece(out).await?;
        }
        self.welcome().await;
        while self.body.left() > 0 {
            let left = self.body.left();
            let mut full = false;
            let count = self.input(|stream| match pipe.fill(stream, left) {
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                    full = true;
                    Ok(1)
                }
                other => other,
            });
            let count = count.await?;
            if full {
                // Small pieces fill a pipe's places before its bytes.
                if let Err(error) = pipe.read(out) {
                    self.log(Level::Alert, &format!("read() failed ({})", crate::conf::walk::errno(&error)));
                    return Err(500);
                }
                return Ok(None);
            }
            self.body.received += count as u64;
            self.body.raw += count as u64;
            if let Framing::Length(left) = &mut self.body.framing {
                *left -= count as u64;
            }
        }
        Ok(Some(pipe))
    }

    /// Appends the next bytes of a body of known length, read where they will stay, at most [`PIECE`] at a time.
    async fn body_straight(&mut self, out: &mut Vec<u8>) -> Result<bool, Refused> {
        if !self.head.bytes.filled().is_empty() || !matches!(self.body.framing, Framing::Length(1..)) {
            return self.body_piece(out).await;
        }
        self.welcome().await;
        let (before, size) = (out.len(), self.body.left().min(PIECE));
        // A little more than there is: a read that fills all it was given would leave open whether something is left.
        out.resize(before + size + BEYOND, 0);
        let got = self.receive(out.get_mut(before..).unwrap_or_default()).await;
        let received = *got.as_ref().unwrap_or(&0);
        let count = received.min(self.body.left());
        let bytes = &mut self.head.bytes;
        for byte in out.get(before + count..before + received).unwrap_or_default() {
            bytes.push(*byte);
        }
        out.truncate(before + count);
        got?;
        self.body.received += count as u64;
        self.body.raw += count as u64;
        if let Framing::Length(left) = &mut self.body.framing {
            *left -= count as u64;
        }
        Ok(self.body.left() > 0)
    }

    /// Reads the whole body and keeps it, in memory while the loop's budget allows.
    ///
    /// # Errors
    /// The status to answer with.
    pub async fn save_body(&mut self) -> Result<(), Refused> {
        if self.body.saved.is_some() {
            return Ok(());
        }
        if matches!(self.body.framing, Framing::None) {
            self.welcome().await;
            return Ok(());
        }
        let front = self.connection.front.clone();
        let own = self.location.settings.client_body_buffer_size;
        let mut memory = self.turn().body();
        memory.reserve(usize::try_from(self.body.announced.unwrap_or(0)).unwrap_or(0).min(PIECE) + BEYOND);
        let mut held = front.hold(0);
        if let Some(pipe) = self.body_piped(&mut memory).await? {
            self.connection.bulky.set(true);
            self.body.saved = Some(Saved::Piped(memory, pipe));
            return Ok(());
        }
        let mut file: Option<(File, u64)> = None;
        while self.body_straight(&mut memory).await? || !memory.is_empty() && file.is_some() {
            let within = memory.len() <= own || held.grow(memory.len());
            if file.is_none() && within {
                continue;
            }
            let (target, length) = match &mut file {
                Some(open) => (&open.0, &mut open.1),
                None => {
                    let opened = self.temp_file()?;
                    let entry = file.insert((opened, 0));
                    (&entry.0, &mut entry.1)
                }
            };
            let mut target: &File = target;
            if let Err(error) = target.write_all(&memory) {
                self.log(Level::Crit, &format!("pwrite() failed ({})", crate::conf::walk::errno(&error)));
                return Err(500);
            }
            *length += memory.len() as u64;
            memory.clear();
        }
        self.held.push(Box::new(held));
        self.body.saved = Some(match file {
            Some((file, length)) => Saved::File(file, length),
            None => Saved::Memory(memory),
        });
        Ok(())
    }

    /// A file in `client_body_temp_path` that has lost its name already.
    fn temp_file(&self) -> Result<File, Refused> {
        let temp = &self.location.settings.body_temp;
        let serial = self.connection.front.next_temp();
        let name = format!("{serial:010}");
        let mut path = temp.path.clone();
        let mut end = name.len();
        for digits in &temp.levels {
            let start = end.saturating_sub(*digits);
            path = format!("{path}/{}", name.get(start..end).unwrap_or_default());
            end = start;
        }
        let _ = std::fs::create_dir_all(bytes::path(&path));
        let path = format!("{path}/{name}");
        let opened =
            std::fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(bytes::path(&path));
        match opened {
            Ok(file) => {
                let _ = std::fs::remove_file(bytes::path(&path));
                self.log(Level::Warn, &format!("a client request body is buffered to a temporary file {path}"));
                Ok(file)
            }
            Err(error) => {
                let text = crate::conf::walk::errno(&error);
                self.log(Level::Crit, &format!("open() \"{path}\" failed ({text})"));
                Err(500)
            }
        }
    }

    /// Reads and forgets what is left of the body, so that the next request can be read. False when it cannot be.
    pub async fn discard_body(&mut self) -> bool {
        let mut sink = Vec::new();
        let limit = self.location.settings.lingering_time;
        let patience = self.location.settings.lingering_timeout;
        let work = async {
            while self.body.is_pending() {
                sink.clear();
                match tokio::time::timeout(patience, self.body_piece(&mut sink)).await {
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
        if let Some(coding) = self.header(Known::TransferEncoding) {
            if self.version() < 1001 {
                return Err((400, "client sent HTTP/1.0 request with \"Transfer-Encoding\" header".to_owned()));
            }
            if !coding.eq_ignore_ascii_case(b"chunked") {
                let text = String::from_utf8_lossy(coding);
                return Err((501, format!("client sent unknown \"Transfer-Encoding\": \"{text}\"")));
            }
            if announced.is_some() {
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
