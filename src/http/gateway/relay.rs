//! A reply's body on its way to the client: straight through (a large one by a pipe) while the client keeps up, else into
//! a [`Buffer`], so that the backend is free as soon as it has answered.
//!
//! What is left of the request is sent meanwhile. Once a reply's head has been accepted nothing that happens to its body
//! counts against the server, as in nginx.

mod ends;
mod wakes;

use super::buffer::Buffer;
use super::cache::{Keep, Saving};
use super::conf::Gateway;
use super::exchange::{Exchange, said};
use super::upload::Upload;
use super::upstream_response::{Framing, UpstreamResponse};
use crate::http::codec::h1::{Chunked, Method, Piece};
use crate::http::heart::filter::Then;
use crate::http::heart::pace::allowance;
use crate::http::heart::request::Request;
use crate::http::heart::response::Content;
use crate::http::heart::upstream::InUse;
use crate::http::heart::wire::Carries as _;
use crate::log::Level;
use crate::net::budget::{self, Direction};
use crate::net::deadline::Deadline;
use crate::net::pipes;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Sleep;
use wakes::{Wakes, Woken};

/// Bytes still to come from which a response goes through a pipe.
const BULK: u64 = 32 * 1024;
/// A piece of a response that is cheaper to copy.
const SMALL: usize = 8 * 1024;

/// What a step did.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Moved,
    Stuck,
    Over,
}

/// A deadline that runs while something is awaited.
#[derive(Default)]
struct Patience {
    deadline: Deadline,
    runs: bool,
}

impl Patience {
    /// Ready when nothing came for `time` since the wait began.
    fn poll(&mut self, cx: &mut Context<'_>, request: &Request, time: Duration) -> Poll<()> {
        if !std::mem::replace(&mut self.runs, true) {
            self.deadline.set(request.event_loop().clock.instant(), time);
        }
        self.deadline.poll(cx)
    }
}

/// A relay at work.
struct Relay<'a, 'h> {
    request: &'a mut Request,
    /// The backend's side, until the reply is over.
    source: Option<(Exchange, InUse)>,
    upload: Option<Upload<'h>>,
    /// Keeps the body in a cache.
    saving: Option<Saving>,
    /// The client is gone, and the reply is read for the cache alone.
    detached: bool,
    gateway: &'a Gateway,
    framing: Framing,
    chunks: Chunked,
    buffer: Buffer,
    woken: Wakes,
    buffering: bool,
    /// The file took no more: what is in memory must leave first.
    file_failed: bool,
    /// The backend sent all it announced.
    complete: bool,
    /// It sent more than that.
    leftover: bool,
    plain: bool,
    /// Where the body began in what a server sent in records or frames: nginx counts these too.
    raw: Option<u64>,
    /// Little comes at a time, or there are no pipes.
    copies: bool,
    from_source: Patience,
    to_client: Patience,
    /// Until when the backend is not read, as its rate is limited.
    held: Option<Pin<Box<Sleep>>>,
    /// The second in which the reply began, and the bytes of its body read since.
    begun: (u64, u64),
}

/// Relays the body of `reply`, whose head is in the response already.
pub async fn run(
    request: &mut Request,
    source: (Exchange, InUse),
    (mut reply, upload): (UpstreamResponse, Option<Upload<'_>>),
    gateway: &Gateway,
    keep: Option<Keep<'_>>,
) {
    let mut source = source;
    let head = match (&reply.framing, &source.0.frames) {
        (Framing::Records(_), _) => Some(u64::from(reply.head)),
        (_, Some(frames)) => Some(frames.heads()),
        _ => None,
    };
    request.response.content = Content::Streamed;
    request.start();
    if request.is_for_its_head() {
        request.response.head_only = true;
    }
    let buffering = reply.buffering.filter(|_| gateway.ignore_headers & 8 == 0).unwrap_or(gateway.buffering);
    let saving = keep.filter(|_| buffering).and_then(|keep| {
        let (start, buffer) = (source.0.buffer.start, &source.0.buffer);
        let head = buffer.at(start.saturating_sub(reply.head as usize), start);
        keep.save(request, gateway, &reply, head)
    });
    let is_over = matches!(reply.framing, Framing::None | Framing::Value(_) | Framing::Frames(_, true));
    let is_head = request.method == Method::Head && !is_over;
    if saving.is_none() && is_head {
        // The body was only asked for to be kept.
        (reply.framing, source.0.reusable) = (Framing::None, false);
    }
    let plain = request.response.is_plain();
    let begun = (request.event_loop().clock.now().as_secs(), 0);
    let mut relay = Relay {
        request,
        source: Some(source),
        upload,
        saving,
        detached: false,
        gateway,
        framing: reply.framing,
        chunks: Chunked::keeping(gateway.pass_trailers),
        buffer: Buffer::default(),
        woken: Wakes::default(),
        buffering,
        file_failed: false,
        complete: false,
        leftover: false,
        plain,
        raw: None,
        copies: false,
        from_source: Patience::default(),
        to_client: Patience::default(),
        held: None,
        begun,
    };
    relay.raw = head
        .and_then(|head| Some(relay.source.as_mut()?.0.records.as_mut().map_or(head, |records| records.place(head))));
    relay.begin();
    let is_unread = relay.source.is_none() && !relay.complete && !relay.request.response.head_only;
    if is_unread && matches!(relay.framing, Framing::Chunked | Framing::Frames(..)) {
        // What cannot be understood from its first bytes on is no answer: nothing of it has been sent.
        relay.request.response.out.clear();
        relay.request.response.broken = true;
    }
    // Most answers are whole by now, and go out at once.
    if relay.write() != Step::Over && (relay.source.is_some() || relay.is_pending()) {
        Box::pin(poll_fn(|cx| relay.poll(cx))).await;
    }
    relay.end(false);
    let complete = relay.complete;
    if !complete {
        request.keepalive = false;
        request.malformed = true;
    } else if !request.response.broken {
        request.finish().await;
    }
}

impl Relay<'_, '_> {
    /// Takes what came with the head.
    fn begin(&mut self) {
        let Some((exchange, _)) = &mut self.source else { return };
        let mut buffer = std::mem::replace(&mut exchange.buffer, crate::net::event_loop::Buffer::new(0));
        let is_unread = matches!(self.framing, Framing::Value(_) | Framing::Frames(..));
        // What is kept in a cache is read for a client that wants its head alone, too.
        let is_read = !(self.request.response.head_only && is_unread && self.saving.is_none());
        if !is_read || matches!(self.framing, Framing::None | Framing::Length(0)) {
            let is_left = !buffer.filled().is_empty();
            if self.request.response.head_only || self.request.response.status == 101 {
                self.leftover = is_left;
            } else {
                self.note_leftover(is_left);
            }
            self.give(b"", Then::Last);
            self.end(true);
        } else {
            self.begun.1 += buffer.filled().len() as u64;
            if exchange.frames.is_some() {
                let (start, end) = (buffer.start, buffer.end);
                let bytes = buffer.all().get_mut(start..end).unwrap_or_default();
                match exchange.take_apart(self.request, bytes, "reading response header from upstream") {
                    Ok(found) => self.take(bytes.get(..found.answer).unwrap_or_default()),
                    Err(_) => self.end(false),
                }
            } else {
                self.take(buffer.filled());
            }
        }
        self.request.event_loop().give(buffer);
    }

    /// Body bytes from the backend: decoded, framed for the client, put into the output.
    fn take(&mut self, bytes: &[u8]) {
        match &mut self.framing {
            Framing::None => {}
            Framing::Length(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= take as u64;
                let over = *left == 0;
                self.note_leftover(take < bytes.len());
                self.give(bytes.get(..take).unwrap_or_default(), if over { Then::Last } else { self.then() });
                if over {
                    self.end(true);
                }
            }
            Framing::Close => self.give(bytes, self.then()),
            Framing::Value(value) => {
                let (body, state) = value.take(bytes);
                let rest = (bytes.len() - body.len()) as u64;
                // nginx counts the trailer as a part of the response.
                self.request.attempts.update(|attempt| attempt.length += rest);
                self.give(body, self.then());
                self.end_of_value(state);
            }
            Framing::Chunked => self.take_chunks(bytes),
            Framing::Frames(left, _) => {
                let count = bytes.len() as u64;
                let more = left.is_some_and(|left| left < count);
                *left = left.map(|left| left.saturating_sub(count));
                self.take_frames(bytes, more);
            }
            Framing::Records(left) => {
                let take =
                    left.map_or(bytes.len(), |left| usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len()));
                if let Some(left) = left {
                    *left -= take as u64;
                }
                self.give(bytes.get(..take).unwrap_or_default(), self.then());
                if take < bytes.len() {
                    self.note_leftover(true);
                    self.end_of_records(true);
                } else {
                    self.end_of_records(false);
                }
            }
        }
    }

    /// More than was announced: the connection cannot be kept.
    fn note_leftover(&mut self, is_left: bool) {
        if is_left {
            self.leftover = true;
            self.request.log(
                Level::Warn,
                "upstream sent more data than specified in \"Content-Length\" header while reading upstream",
            );
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
                Ok(Piece::More) => {
                    self.give(&body, self.then());
                    return self.bound_trailers();
                }
                Ok(Piece::End(end)) => {
                    self.leftover |= end < bytes.len();
                    if !self.take_trailers() {
                        self.give(&body, Then::Flush);
                        return self.end(false);
                    }
                    self.give(&body, Then::Last);
                    return self.end(true);
                }
                Err(_) => {
                    self.give(&body, Then::Flush);
                    let action = self.action();
                    self.request.log(Level::Error, &format!("upstream sent invalid chunked response while {action}"));
                    return self.end(false);
                }
            }
        }
    }

    /// What follows bytes in the middle of a reply: without buffering they go on at once.
    const fn then(&self) -> Then {
        if self.buffering { Then::More } else { Then::Flush }
    }

    fn give(&mut self, bytes: &[u8], then: Then) {
        self.request.attempts.update(|attempt| attempt.length += bytes.len() as u64);
        if let Some(saving) = &mut self.saving {
            saving.write(self.request, bytes);
        }
        let bytes = self.request.response.select(bytes);
        self.request.take(bytes, then);
    }

    /// The backend's part is over: its connection is kept or closed, its server is free for others.
    fn end(&mut self, complete: bool) {
        let Some((exchange, used)) = self.source.take() else { return };
        self.complete = complete;
        if let Some(saving) = self.saving.take() {
            saving.finish(self.request, complete);
        }
        let elapsed = self.request.event_loop().clock.since(used.since);
        let raw = self.raw;
        self.request.attempts.update(|attempt| {
            attempt.response = Some(elapsed);
            attempt.length = raw.map_or(attempt.length, |raw| attempt.received.saturating_sub(raw));
        });
        let mut exchange = exchange;
        let keep =
            complete && exchange.reusable && !self.leftover && self.upload.is_none() && exchange.settle(self.request);
        self.upload = None;
        let secured = exchange.secured.take();
        let reusable = exchange.into_parts(self.request.event_loop());
        if keep {
            let loop_state = &self.request.connection.loop_state;
            let now = loop_state.event_loop.clock.instant();
            loop_state.idle.put_idle(&used, reusable, secured, now);
        }
    }

    /// Moves bytes until both sides are done.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // What is read can be written in the same run: nothing is kept because this task must pause.
            ready!(budget::poll_proceed(Direction::Output, cx));
            let out = self.write();
            if out == Step::Over {
                return Poll::Ready(());
            }
            if out == Step::Moved {
                self.woken.by(Woken::Client);
            }
            self.poll_upload(cx);
            let input = self.read();
            if self.source.is_none() && !self.is_pending() {
                return Poll::Ready(());
            }
            if input == Step::Moved {
                self.from_source.runs = false;
            }
            let brought = self.bring(cx);
            if out == Step::Moved {
                self.to_client.runs = false;
            }
            if out != Step::Moved && input != Step::Moved && !brought && ready!(self.poll_wait(cx)) == Step::Over {
                return Poll::Ready(());
            }
        }
    }

    /// Sends what is left of the request.
    fn poll_upload(&mut self, cx: &mut Context<'_>) {
        let Some((exchange, _)) = &mut self.source else { return };
        let Some(upload) = &mut self.upload else {
            if exchange.poll_control(cx, self.request).is_err() {
                exchange.reusable = false;
            }
            return;
        };
        match upload.poll(cx, self.request, self.gateway, exchange) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.upload = None,
            // The answer may be complete all the same; the connection serves no other request.
            Poll::Ready(Err(_)) => {
                exchange.reusable = false;
                self.upload = None;
            }
        }
    }

    fn is_pending(&self) -> bool {
        self.has_output() || self.request.response.later.is_some() && !self.detached
    }

    /// Whether there is something to send.
    fn has_output(&self) -> bool {
        !self.detached && (!self.request.response.out.is_empty() || !self.buffer.is_empty())
    }

    /// Takes on what waits for requests of the server's own; whether that brought something.
    fn bring(&mut self, cx: &mut Context<'_>) -> bool {
        self.request.response.later.is_some() && !self.has_output() && self.request.poll_later(cx).is_ready()
    }

    /// The client gets no more. What is kept in a cache is read on.
    fn give_up(&mut self) -> Step {
        if self.saving.is_none() || self.source.is_none() {
            return Step::Over;
        }
        self.detached = true;
        self.request.response.broken = true;
        self.request.response.out.clear();
        self.request.response.later = None;
        self.buffer = Buffer::default();
        Step::Stuck
    }

    /// Writes what is there.
    fn write(&mut self) -> Step {
        if self.detached {
            return Step::Stuck;
        }
        if self.request.response.broken {
            return self.give_up();
        }
        let mut moved = Step::Stuck;
        loop {
            let out = std::mem::take(&mut self.request.response.out);
            let outcome = if self.buffer.is_empty() {
                if out.is_empty() {
                    self.request.event_loop().give_out(out);
                    return moved;
                }
                // Nothing older waits: send straight from the output.
                let outcome = self.send(&out);
                self.keep(out.get(*outcome.as_ref().unwrap_or(&0)..).unwrap_or_default());
                outcome
            } else {
                self.keep(&out);
                let mut file = false;
                let outcome = self.buffer.send(self.request, &mut file);
                self.sent(outcome, if file { "sendfile" } else { "writev" })
            };
            self.request.event_loop().give_out(out);
            match outcome {
                Ok(_) => moved = Step::Moved,
                Err(Step::Stuck) => return moved,
                Err(_) => return self.give_up(),
            }
        }
    }

    /// Keeps bytes the client does not take yet, in memory as `proxy_buffers` say, the rest in the file.
    fn keep(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.buffer.push(bytes);
        if self.buffer.memory() <= self.gateway.memory || !self.may_spill() {
            return;
        }
        let folder = &self.gateway.temp_path;
        if !self.buffer.has_file() {
            if let Err(error) = self.buffer.open(folder) {
                return self.file_failed("open", &error);
            }
            let text = "an upstream response is buffered to a temporary file in";
            self.request.log(Level::Warn, &format!("{text} {folder} while reading upstream"));
        }
        if let Err(error) = self.buffer.spill(self.gateway.memory) {
            self.file_failed("pwrite", &error);
        }
    }

    /// Whether the file may take more.
    fn may_spill(&self) -> bool {
        self.buffering && !self.file_failed && self.buffer.file_size() < self.gateway.max_temp
    }

    /// The response goes on at the client's pace.
    ///
    /// Differs from nginx: a file that cannot be written does not end the response. [test: a_response_goes_on_when_its_file_takes_no_more]
    fn file_failed(&mut self, call: &str, error: &io::Error) {
        self.file_failed = true;
        let (text, folder) = (crate::conf::walk::errno(error), &self.gateway.temp_path);
        self.request.log(
            Level::Crit,
            &format!("{call}() of a temporary file in \"{folder}\" failed ({text}) while reading upstream"),
        );
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, Step> {
        let then = if self.request.response.complete { Then::Last } else { Then::Flush };
        let outcome = self.request.try_send(bytes, then);
        self.sent(outcome, "writev")
    }

    /// What a write to the client means.
    fn sent(&mut self, outcome: io::Result<usize>, call: &str) -> Result<usize, Step> {
        match outcome {
            Ok(count) => {
                if !self.request.is_subrequest() {
                    self.request.response.sent += count as u64;
                }
                Ok(count)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Err(Step::Stuck)
            }
            Err(error) => {
                let text = crate::conf::walk::errno(&error);
                self.request.log(Level::Info, &format!("{call}() failed ({text}) while sending to client"));
                self.request.response.broken = true;
                Err(Step::Over)
            }
        }
    }

    /// Whether the backend may be read: nothing waits, or more may wait in memory or in the file.
    fn may_read(&self) -> bool {
        self.source.is_some()
            && (self.detached || self.request.response.later.is_none())
            && (!self.is_pending()
                || self.buffering && (self.buffer.memory() < self.gateway.memory || self.may_spill()))
    }

    fn read(&mut self) -> Step {
        if !self.may_read() {
            return Step::Stuck;
        }
        let Some(most) = self.allowance() else { return Step::Stuck };
        if let Some(step) = self.splice() {
            return step;
        }
        let Some((exchange, _)) = &mut self.source else { return Step::Stuck };
        if !exchange.stream.is_readable() {
            return Step::Stuck;
        }
        self.woken.by(Woken::Server);
        let mut scratch = self.request.event_loop().scratch();
        let most = most.min(scratch.len());
        let step = match exchange.stream.try_read(scratch.get_mut(..most).unwrap_or_default()) {
            Ok(count) if count > 0 => {
                self.begun.1 += count as u64;
                self.request.attempts.update(|attempt| attempt.received += count as u64);
                let bytes = scratch.get_mut(..count).unwrap_or_default();
                let action = if self.buffering { "reading upstream" } else { self.woken.action(self.request) };
                let found = exchange.take_apart(self.request, bytes, action);
                if let Some(records) = &mut exchange.records {
                    records.forget();
                }
                self.rest(count);
                match found {
                    Ok(found) => {
                        for (_, error) in &found.errors {
                            said(self.request, error, "reading upstream");
                        }
                        self.input(scratch.get(..found.answer).unwrap_or_default());
                    }
                    Err(_) => self.end(false),
                }
                Step::Moved
            }
            other => self.trouble(other),
        };
        self.request.event_loop().give_scratch(scratch);
        step
    }

    /// How many bytes may be read now under `*_limit_rate`, which holds for buffered replies.
    fn allowance(&mut self) -> Option<usize> {
        let rate = self.gateway.limit_rate;
        if rate == 0 || !self.buffering {
            return Some(usize::MAX);
        }
        if self.held.is_some() {
            return None;
        }
        let now = self.request.event_loop().clock.now().as_secs();
        match allowance(rate, 0, self.begun.1, now.saturating_sub(self.begun.0)) {
            Ok(limit) => Some(usize::try_from(limit).unwrap_or(usize::MAX)),
            Err(millis) => {
                self.hold(millis);
                None
            }
        }
    }

    /// After a read nothing is read for as long as its bytes take at the rate.
    fn rest(&mut self, count: usize) {
        if self.gateway.limit_rate > 0 && self.buffering {
            self.hold((count as u64).saturating_mul(1000) / self.gateway.limit_rate);
        }
    }

    fn hold(&mut self, millis: u64) {
        if millis > 0 {
            self.held = Some(Box::pin(tokio::time::sleep(Duration::from_millis(millis))));
        }
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
        self.plain
            && self.saving.is_none()
            && self.request.response.part.is_none()
            && !self.is_pending()
            && !self.request.response.head_only
    }

    /// Moves a piece of a large response through a pipe: it is not copied here. Nothing where that is not the way.
    fn splice(&mut self) -> Option<Step> {
        let Framing::Length(left) = self.framing else { return None };
        if left < BULK || self.copies || !self.is_direct() || self.gateway.limit_rate > 0 {
            return None;
        }
        let (exchange, _) = self.source.as_mut()?;
        let from = exchange.stream.direct()?;
        self.request.direct()?;
        if !from.is_readable() {
            return Some(Step::Stuck);
        }
        let Some(mut pipe) = self.request.event_loop().pipes.acquire() else {
            self.copies = true;
            return None;
        };
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(pipes::SIZE);
        let count = match pipe.fill(from, most) {
            Ok(count) if count > 0 => count,
            other => return Some(self.trouble(other)),
        };
        self.copies = count < SMALL;
        let left = left - count as u64;
        self.framing = Framing::Length(left);
        self.request.attempts.update(|attempt| {
            attempt.received += count as u64;
            attempt.length += count as u64;
        });
        while pipe.held() > 0 {
            let outcome = pipe.drain(self.request.connection.stream.tcp());
            match self.sent(outcome, "splice") {
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
                    self.keep(&rest);
                }
            }
        }
        if left == 0 {
            let more =
                self.source.as_ref().is_some_and(|(exchange, _)| exchange.stream.tcp().try_peek().is_ok_and(|n| n > 0));
            self.note_leftover(more);
            self.end(true);
        }
        Some(Step::Moved)
    }

    /// Bytes just read: sent at once where nothing is in their way, without a copy.
    fn input(&mut self, bytes: &[u8]) {
        let direct = self.is_direct();
        let body = match &self.framing {
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
        self.request.attempts.update(|attempt| attempt.length += body as u64);
        self.keep(piece.get(sent..).unwrap_or_default());
        if let Framing::Length(left) = &mut self.framing {
            *left -= body as u64;
            if *left == 0 {
                self.note_leftover(body < bytes.len());
                self.end(true);
            }
        }
    }

    /// What nginx's log lines say it is at.
    fn action(&self) -> &'static str {
        if self.buffering { "reading upstream" } else { self.woken.action(self.request) }
    }

    fn source_closed(&mut self) {
        match self.framing {
            Framing::Close => {
                self.give(b"", Then::Last);
                self.leftover = true;
                self.end(true);
            }
            // Without a connection to keep its end is the answer's.
            Framing::Records(None | Some(0)) if !self.gateway.keep => self.end_of_records(true),
            _ => {
                let action = self.action();
                self.request.log(Level::Error, &format!("upstream prematurely closed connection while {action}"));
                self.end(false);
            }
        }
    }

    /// Waits until one side can go on; over when the client left or took too long.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if let Some(held) = &mut self.held
            && held.as_mut().poll(cx).is_ready()
        {
            self.held = None;
            self.from_source.runs = false;
            return Poll::Ready(Step::Moved);
        }
        let want_read = self.may_read() && self.held.is_none();
        let want_write = self.has_output();
        if self.request.pace.waits() {
            self.to_client.runs = false;
        }
        if let Some((exchange, _)) = self.source.as_ref().filter(|_| want_read)
            && exchange.stream.poll_readable(cx).is_ready()
        {
            return Poll::Ready(Step::Moved);
        }
        if want_write && self.request.poll_sendable(cx).is_ready() {
            return Poll::Ready(Step::Moved);
        }
        let watches = !self.gateway.ignore_client_abort && !self.detached;
        if watches && self.request.poll_gone(cx).is_ready() {
            self.client_left();
            return Poll::Ready(self.give_up());
        }
        let awaited = want_write && !self.request.pace.waits();
        if awaited && self.to_client.poll(cx, self.request, self.request.location.settings.send_timeout).is_ready() {
            self.request.log(Level::Info, "client timed out (110: Connection timed out) while sending to client");
            self.request.blame_client();
            self.request.response.broken = true;
            return Poll::Ready(self.give_up());
        }
        if want_read && self.from_source.poll(cx, self.request, self.gateway.read_timeout).is_ready() {
            let text = "upstream timed out (110: Connection timed out) while reading upstream";
            self.request.log(Level::Error, text);
            self.end(false);
            return Poll::Ready(Step::Moved);
        }
        self.woken.waits = true;
        Poll::Pending
    }

    fn client_left(&mut self) {
        let text = if self.saving.is_some() && self.source.is_some() {
            "epoll_wait() reported that client prematurely closed connection while sending to client"
        } else if self.source.is_some() {
            "epoll_wait() reported that client prematurely closed connection, so upstream connection is closed too while sending to client"
        } else {
            "client prematurely closed connection while sending to client"
        };
        self.request.log(Level::Info, text);
        self.request.response.broken = true;
        if self.request.response.sent == 0 {
            self.request.response.status = 499;
            self.request.response.error = 0;
        }
    }
}
