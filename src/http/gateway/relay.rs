//! A reply's body on its way to the client: straight through (a large one by a pipe) while the client keeps up, else into
//! memory within the loop's budget, then into a file, so that the backend is free as soon as it has answered.

use super::conf::Gateway;
use super::engine::note;
use super::exchange::Exchange;
use super::reply::{Framing, Reply};
use crate::http::codec::h1::{Chunked, Piece};
use crate::http::request::Request;
use crate::http::response::Content;
use crate::log::Level;
use crate::net::pipes;
use crate::net::stream::Deadline;
use crate::net::turn::Buffer;
use std::collections::VecDeque;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::task::Poll;

/// How a relay ended.
pub struct End {
    /// The backend sent all it announced.
    pub complete: bool,
    /// And its connection may serve another request.
    pub reusable: bool,
}

/// Bytes read from a backend at a time.
const SCRATCH: usize = 128 * 1024;
/// Bytes still to come from which a response goes through a pipe.
const BULK: u64 = 32 * 1024;
/// A piece of a response that is cheaper to copy.
const SMALL: usize = 8 * 1024;
/// Bytes a response may keep in memory when its client is slow.
const MEMORY: usize = 1 << 20;

/// What waits for the client.
#[derive(Default)]
struct Queue {
    bytes: VecDeque<u8>,
    file: Option<File>,
    read: u64,
    written: u64,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.read == self.written
    }

    /// Brings bytes back from the file when memory is empty.
    fn refill(&mut self) -> io::Result<()> {
        if !self.bytes.is_empty() || self.read == self.written {
            return Ok(());
        }
        let Some(file) = &self.file else { return Ok(()) };
        let mut piece = vec![0; usize::try_from(self.written - self.read).unwrap_or(SCRATCH).min(SCRATCH)];
        let count = file.read_at(&mut piece, self.read)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read += count as u64;
        self.bytes.extend(piece.get(..count).unwrap_or_default());
        Ok(())
    }
}

/// What a step did.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Moved,
    Stuck,
    Over,
}

/// A relay at work.
struct Relay<'a> {
    request: &'a mut Request,
    exchange: &'a mut Exchange,
    gateway: &'a Gateway,
    framing: Framing,
    chunks: Chunked,
    queue: Queue,
    buffering: bool,
    source_over: bool,
    complete: bool,
    leftover: bool,
    plain: bool,
    /// Little comes at a time, or there are no pipes.
    copies: bool,
}

/// Relays the body of `reply`, whose head is in the response already.
pub async fn run(request: &mut Request, exchange: &mut Exchange, gateway: &Gateway, reply: Reply) -> End {
    request.response.content = Content::Streamed;
    request.start();
    if request.is_subrequest() {
        request.response.head_only = true;
    }
    let buffering = reply.buffering.filter(|_| gateway.ignore_headers & 8 == 0).unwrap_or(gateway.buffering);
    let plain = !request.response.chunked && request.response.filters.is_empty();
    let mut relay = Relay {
        request,
        exchange,
        gateway,
        framing: reply.framing,
        chunks: Chunked::default(),
        queue: Queue::default(),
        buffering,
        source_over: false,
        complete: false,
        leftover: false,
        plain,
        copies: false,
    };
    relay.begin();
    // Most answers are whole by now, and go out at once.
    if relay.write() != Step::Over && !(relay.source_over && relay.pending() == 0) {
        Box::pin(relay.work()).await;
    }
    let end = End { complete: relay.complete, reusable: relay.complete && !relay.leftover };
    if !relay.complete {
        relay.request.keepalive = false;
        relay.request.malformed = true;
    }
    let buffer = std::mem::replace(&mut exchange.buffer, Buffer::new(0));
    request.turn().give(buffer);
    end
}

impl Relay<'_> {
    /// Takes what came with the head.
    fn begin(&mut self) {
        if matches!(self.framing, Framing::None | Framing::Length(0)) {
            self.source_over = true;
            self.complete = true;
            self.leftover = !self.exchange.buffer.filled().is_empty();
            self.finish_output();
            return;
        }
        let mut buffer = std::mem::replace(&mut self.exchange.buffer, Buffer::new(0));
        self.take(buffer.filled());
        buffer.start = buffer.end;
        self.exchange.buffer = buffer;
    }

    /// Body bytes from the backend: decoded, framed for the client, queued.
    fn take(&mut self, bytes: &[u8]) {
        match &mut self.framing {
            Framing::None => {}
            Framing::Length(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= take as u64;
                self.leftover |= take < bytes.len();
                let over = *left == 0;
                self.give(bytes.get(..take).unwrap_or_default(), over);
                if over {
                    self.end(true);
                }
            }
            Framing::Close => self.give(bytes, false),
            Framing::Chunked => self.take_chunks(bytes),
        }
    }

    fn take_chunks(&mut self, bytes: &[u8]) {
        let mut at = 0;
        let mut body = Vec::new();
        loop {
            match self.chunks.step(bytes, at) {
                Ok(Piece::Data(range)) => {
                    at = range.end;
                    body.extend_from_slice(bytes.get(range).unwrap_or_default());
                }
                Ok(Piece::More) => return self.give(&body, false),
                Ok(Piece::End(end)) => {
                    self.leftover |= end < bytes.len();
                    self.give(&body, true);
                    return self.end(true);
                }
                Err(_) => {
                    self.give(&body, false);
                    self.request.log(Level::Error, "upstream sent invalid chunked response while reading upstream");
                    return self.end(false);
                }
            }
        }
    }

    fn give(&mut self, bytes: &[u8], last: bool) {
        note(self.request, |attempt| attempt.length += bytes.len() as u64);
        if self.request.response.head_only {
            return;
        }
        self.request.take(bytes, last);
    }

    fn end(&mut self, complete: bool) {
        self.source_over = true;
        self.complete = complete;
    }

    fn finish_output(&mut self) {
        if !self.request.response.head_only {
            self.request.take(b"", true);
        }
    }

    /// Moves bytes until both sides are done.
    async fn work(&mut self) {
        let mut scratch = Vec::new();
        let mut source = Deadline::new();
        let mut client = Deadline::new();
        let mut moved_since_yield = 0;
        loop {
            let out = self.write();
            if out == Step::Over {
                return;
            }
            let input = self.read(&mut scratch);
            if self.source_over && self.pending() == 0 {
                return;
            }
            if out == Step::Moved || input == Step::Moved {
                moved_since_yield += 1;
                if moved_since_yield >= 8 {
                    moved_since_yield = 0;
                    tokio::task::yield_now().await;
                }
                continue;
            }
            moved_since_yield = 0;
            if !self.wait(&mut source, &mut client).await {
                return;
            }
        }
    }

    fn pending(&self) -> usize {
        self.request.response.out.len() + usize::from(!self.queue.is_empty())
    }

    /// Writes what is at hand.
    fn write(&mut self) -> Step {
        if self.request.response.broken || self.request.is_subrequest() {
            self.request.response.out.clear();
            return if self.request.is_subrequest() { Step::Stuck } else { Step::Over };
        }
        let mut moved = Step::Stuck;
        loop {
            if self.queue.is_empty() && !self.request.response.out.is_empty() {
                // Nothing older waits: send straight from the output.
                let out = std::mem::take(&mut self.request.response.out);
                let outcome = self.send(&out);
                match outcome {
                    Ok(count) => {
                        moved = Step::Moved;
                        if count < out.len() {
                            self.queue.bytes.extend(out.get(count..).unwrap_or_default());
                        }
                        self.request.turn().give_out(out);
                    }
                    Err(step) => {
                        self.queue.bytes.extend(&out);
                        self.request.turn().give_out(out);
                        return if step == Step::Stuck { moved } else { step };
                    }
                }
                continue;
            }
            if !self.request.response.out.is_empty() {
                let out = std::mem::take(&mut self.request.response.out);
                self.queue.bytes.extend(&out);
                self.request.turn().give_out(out);
            }
            if self.queue.is_empty() {
                return moved;
            }
            if self.queue.refill().is_err() {
                self.request.response.broken = true;
                return Step::Over;
            }
            let (front, _) = self.queue.bytes.as_slices();
            let front = front.to_vec();
            match self.send(&front) {
                Ok(count) => {
                    self.queue.bytes.drain(..count);
                    moved = Step::Moved;
                }
                Err(Step::Stuck) => return moved,
                Err(step) => return step,
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, Step> {
        let stream = &self.request.connection.stream;
        let outcome = stream.try_output(|socket| socket.send_with_flags(bytes, libc::MSG_NOSIGNAL));
        self.sent(outcome)
    }

    /// What a write to the client means.
    fn sent(&mut self, outcome: io::Result<usize>) -> Result<usize, Step> {
        match outcome {
            Ok(count) => {
                self.request.response.sent += count as u64;
                Ok(count)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Err(Step::Stuck)
            }
            Err(error) => {
                let text = crate::conf::walk::errno(&error);
                self.request.log(Level::Info, &format!("send() failed ({text}) while sending to client"));
                self.request.response.broken = true;
                Err(Step::Over)
            }
        }
    }

    /// Whether the backend may be read: nothing waits, or it may wait in memory or in a file.
    fn may_read(&mut self) -> bool {
        if self.source_over {
            return false;
        }
        if self.queue.is_empty() && self.request.response.out.is_empty() {
            return true;
        }
        self.buffering && (self.queue.bytes.len() < MEMORY || self.spill())
    }

    /// Moves what is in memory to the file, if it may grow.
    fn spill(&mut self) -> bool {
        if self.queue.written - self.queue.read + self.queue.bytes.len() as u64 > self.gateway.max_temp {
            return false;
        }
        if self.queue.file.is_none() {
            match temp_file(&self.gateway.temp_path) {
                Ok(file) => {
                    let path = &self.gateway.temp_path;
                    self.request.log(
                        Level::Warn,
                        &format!(
                            "an upstream response is buffered to a temporary file in {path} while reading upstream"
                        ),
                    );
                    self.queue.file = Some(file);
                }
                Err(_) => return false,
            }
        }
        // Bytes in memory are older than none in the file here only while the file is empty or drained.
        if self.queue.read < self.queue.written {
            return false;
        }
        let Some(file) = &self.queue.file else { return false };
        let (a, b) = self.queue.bytes.as_slices();
        let mut at = 0;
        for run in [a, b] {
            if file.write_all_at(run, at).is_err() {
                return false;
            }
            at += run.len() as u64;
        }
        self.queue.bytes.clear();
        (self.queue.read, self.queue.written) = (0, at);
        true
    }

    fn read(&mut self, scratch: &mut Vec<u8>) -> Step {
        if !self.may_read() {
            return Step::Stuck;
        }
        if !self.exchange.stream.is_readable() {
            return Step::Stuck;
        }
        if let Some(step) = self.splice() {
            return step;
        }
        if scratch.is_empty() {
            *scratch = self.request.turn().scratch(SCRATCH);
        }
        let outcome = self.exchange.stream.try_read(scratch);
        let step = match outcome {
            Ok(count) if count > 0 => {
                note(self.request, |attempt| attempt.received += count as u64);
                let bytes = std::mem::take(scratch);
                self.input(bytes.get(..count).unwrap_or_default());
                *scratch = bytes;
                Step::Moved
            }
            other => self.trouble(other),
        };
        if step == Step::Stuck || self.source_over {
            self.request.turn().give_scratch(std::mem::take(scratch));
        }
        step
    }

    /// A read that brought nothing.
    fn trouble(&mut self, outcome: io::Result<usize>) -> Step {
        match outcome {
            Ok(_) => self.source_closed(),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Step::Stuck;
            }
            Err(error) => {
                let text = crate::conf::walk::errno(&error);
                self.request.log(Level::Error, &format!("recv() failed ({text}) while reading upstream"));
                self.end(false);
            }
        }
        Step::Moved
    }

    /// Whether bytes may go straight from the backend to the client.
    fn is_direct(&self) -> bool {
        self.plain && self.queue.is_empty() && self.request.response.out.is_empty() && !self.request.response.head_only
    }

    /// Moves a piece of a large response through a pipe: it is not copied here. Nothing where that is not the way.
    fn splice(&mut self) -> Option<Step> {
        let Framing::Length(left) = self.framing else { return None };
        if left < BULK || self.copies || !self.is_direct() {
            return None;
        }
        let Some(mut pipe) = self.request.turn().pipes.lend() else {
            self.copies = true;
            return None;
        };
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(pipes::SIZE);
        let count = match pipe.fill(&self.exchange.stream, most) {
            Ok(count) if count > 0 => count,
            other => return Some(self.trouble(other)),
        };
        self.copies = count < SMALL;
        let left = left - count as u64;
        self.framing = Framing::Length(left);
        note(self.request, |attempt| {
            attempt.received += count as u64;
            attempt.length += count as u64;
        });
        while pipe.held() > 0 {
            let outcome = pipe.drain(&self.request.connection.stream);
            match self.sent(outcome) {
                Ok(_) => {}
                Err(Step::Over) => {
                    self.end(false);
                    return Some(Step::Moved);
                }
                Err(_) => {
                    let mut rest = Vec::new();
                    if let Err(error) = pipe.read(&mut rest) {
                        let text = crate::conf::walk::errno(&error);
                        self.request.log(Level::Alert, &format!("read() failed ({text}) while reading upstream"));
                        self.end(false);
                        return Some(Step::Moved);
                    }
                    self.queue.bytes.extend(rest);
                }
            }
        }
        if left == 0 {
            // What else there is shows that the connection cannot be kept.
            self.leftover |= self.exchange.stream.try_peek().is_ok();
            self.end(true);
        }
        Some(Step::Moved)
    }

    /// Bytes just read: sent at once where nothing is in their way, without a copy.
    fn input(&mut self, bytes: &[u8]) {
        let direct = self.is_direct();
        let body = match &mut self.framing {
            Framing::Length(left) if direct => usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len()),
            Framing::Close if direct => bytes.len(),
            _ => return self.take(bytes),
        };
        let piece = bytes.get(..body).unwrap_or_default();
        let sent = match self.send(piece) {
            Ok(count) => count,
            Err(Step::Over) => return self.end(false),
            Err(_) => 0,
        };
        note(self.request, |attempt| attempt.length += body as u64);
        self.queue.bytes.extend(piece.get(sent..).unwrap_or_default());
        if let Framing::Length(left) = &mut self.framing {
            *left -= body as u64;
            if *left == 0 {
                self.leftover |= body < bytes.len();
                self.end(true);
            }
        }
    }

    fn source_closed(&mut self) {
        match self.framing {
            Framing::Close => {
                self.give(b"", true);
                self.end(true);
                self.leftover = true;
            }
            _ => {
                self.request.log(Level::Error, "upstream prematurely closed connection while reading upstream");
                self.end(false);
            }
        }
    }

    /// Waits until one side can go on; false when it took too long.
    async fn wait(&mut self, source: &mut Deadline, client: &mut Deadline) -> bool {
        let want_read = self.may_read();
        let want_write = self.pending() > 0 && !self.request.is_subrequest();
        let now = self.request.turn().clock.instant();
        source.set(now, self.gateway.read_timeout);
        client.set(now, self.request.location.settings.send_timeout);
        let (from, to) = (&self.exchange.stream, &self.request.connection.stream);
        let outcome = poll_fn(|cx| {
            if want_read && from.poll_readable(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            if want_write && to.poll_writable(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            if want_read && source.poll(cx).is_ready() {
                return Poll::Ready(Err("upstream timed out (110: Connection timed out) while reading upstream"));
            }
            if want_write && client.poll(cx).is_ready() {
                return Poll::Ready(Err("client timed out (110: Connection timed out) while sending to client"));
            }
            Poll::Pending
        })
        .await;
        if let Err(text) = outcome {
            let level = if text.starts_with("client") { Level::Info } else { Level::Error };
            self.request.log(level, text);
            self.request.response.broken = true;
            return false;
        }
        true
    }
}

fn temp_file(folder: &str) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .mode(0o600)
        .open(crate::conf::bytes::path(folder))
}
