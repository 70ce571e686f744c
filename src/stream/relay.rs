//! Bytes both ways between two sockets until one side ends.
//!
//! A direction copies through a pooled 16 KiB buffer. When it has filled 256 KiB of buffers it goes over to a pooled
//! pipe, and the bytes never leave the kernel; when little comes at a time it goes back, for small pieces are cheaper
//! to copy. Neither buffer nor pipe is held while nothing moves. With a rate limit it copies.

use super::session::{Front, Session};
use crate::net::deadline::Deadline;
use crate::net::pipes::{self, Lent};
use crate::net::transport::Transport;
use crate::net::turn::{BUFFER, Buffer};
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Bytes in full buffers after which a direction splices.
const BULK: u64 = 256 * 1024;
/// What a small piece takes off that sum.
const SMALL: u64 = 32 * 1024;
/// Bytes moved before others get their turn.
const FAIR: usize = 1 << 20;
/// Calls made before others get their turn.
const CALLS: usize = 64;

/// How a relay behaves.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// `proxy_timeout`.
    pub timeout: Duration,
    /// `proxy_half_close`.
    pub half_close: bool,
    /// Bytes a second from the client; 0 is no limit.
    pub upload: u64,
    /// Bytes a second from the server; 0 is no limit.
    pub download: u64,
}

/// How a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client ended first.
    Client,
    /// The server ended first.
    Server,
    /// Nothing moved for too long.
    TimedOut,
    /// A side could not be written to.
    Failed,
}

/// What a direction holds between two calls.
enum Held {
    Nothing,
    Bytes(Buffer),
    Piped(Lent),
}

/// One direction.
struct Way {
    held: Held,
    /// The sender has ended.
    ended: bool,
    /// Bytes the receiver has taken wait for its socket.
    unsent: bool,
    /// The receiver was told.
    told: bool,
    /// No pipe was to be had, a side is encrypted, or there is a rate limit.
    copies: bool,
    /// Whether it splices now.
    splices: bool,
    /// Bytes that came in large pieces, less what small ones took off.
    bulk: u64,
    rate: u64,
    pause: Option<Box<Deadline>>,
    /// Bytes read.
    taken: u64,
    /// Bytes written.
    given: u64,
}

impl Way {
    const fn new(rate: u64, copies: bool) -> Self {
        Self {
            held: Held::Nothing,
            ended: false,
            unsent: false,
            told: false,
            copies: copies || rate > 0,
            splices: false,
            bulk: 0,
            rate,
            pause: None,
            taken: 0,
            given: 0,
        }
    }

    /// Learns from a piece of `count` bytes how the next one should be moved.
    fn learn(&mut self, count: usize) {
        if count >= BUFFER {
            self.bulk = (self.bulk + count as u64).min(2 * BULK);
        } else {
            self.bulk = self.bulk.saturating_sub(SMALL);
        }
        self.splices = !self.copies && self.bulk >= if self.splices { BULK / 2 } else { BULK };
    }

    const fn is_empty(&self) -> bool {
        matches!(self.held, Held::Nothing)
    }

    /// Whether everything the sender had to say was passed on.
    const fn is_over(&self) -> bool {
        self.ended && self.is_empty() && !self.unsent
    }
}

/// A relay at work.
pub struct Relay<'a> {
    session: &'a mut Session,
    server: &'a Transport,
    manner: Manner,
    since: Instant,
    up: Way,
    down: Way,
    /// The client has ended; the server will be the last to.
    down_last: bool,
}

impl<'a> Relay<'a> {
    /// A relay between a session's client and `server`; `first` goes to the server before anything else.
    pub fn new(session: &'a mut Session, server: &'a Transport, manner: Manner, first: &[u8]) -> Self {
        let copies = server.direct().is_none() || session.stream.direct().is_none();
        let mut up = Way::new(manner.upload, copies);
        if !first.is_empty() {
            let mut buffer = session.turn().buffer();
            if let Some(room) = buffer.room().get_mut(..first.len()) {
                room.copy_from_slice(first);
                buffer.end = first.len();
            }
            up.held = Held::Bytes(buffer);
        }
        let down = Way::new(manner.download, copies);
        Self { session, server, manner, since: Instant::now(), up, down, down_last: false }
    }

    /// Runs it to its end; the session's counts and its last attempt are kept up to date.
    pub async fn run(mut self, mut idle: Deadline) -> End {
        let turn = self.session.turn().clone();
        idle.set(turn.clock.instant(), self.manner.timeout);
        let mut before = 0;
        let end = poll_fn(|cx| {
            if let Some(end) = self.turn(cx) {
                return Poll::Ready(end);
            }
            let moved = self.up.taken + self.up.given + self.down.taken + self.down.given;
            // While a rate limit holds a side back, the connection is not idle.
            if moved != before || self.up.pause.is_some() || self.down.pause.is_some() {
                before = moved;
                idle.set(turn.clock.instant(), self.manner.timeout);
            }
            idle.poll(cx).map(|()| End::TimedOut)
        })
        .await;
        self.release();
        end
    }

    /// Moves what can be moved, first up, then down; a side that has ended ends it before the other is looked at.
    fn turn(&mut self, cx: &mut Context<'_>) -> Option<End> {
        let front = self.session.front.clone();
        let seen = (self.up.taken, self.down.taken);
        let outcome = shift(&mut self.up, &self.session.stream, self.server, &front, (cx, self.since));
        self.count(seen);
        if let Some(end) = self.judge(outcome, ("client", "upstream")) {
            return Some(end);
        }
        let seen = (self.up.taken, self.down.taken);
        let outcome = shift(&mut self.down, self.server, &self.session.stream, &front, (cx, self.since));
        self.count(seen);
        self.judge(outcome, ("upstream", "client"))
    }

    /// What a direction's outcome means for the whole.
    fn judge(&mut self, outcome: Result<(), Trouble>, (from, to): (&str, &str)) -> Option<End> {
        match outcome {
            Ok(()) => {}
            Err(Trouble::Read(error)) => self.complain("recv", &error, &format!("reading from {from}"), from),
            Err(Trouble::Write(error)) => {
                self.complain("writev", &error, &format!("sending to {to}"), to);
                return Some(End::Failed);
            }
        }
        let (up, down) = (self.up.is_over(), self.down.is_over());
        if !self.manner.half_close {
            return match (up, down) {
                (_, true) => Some(End::Server),
                (true, _) => Some(End::Client),
                _ => None,
            };
        }
        for (way, to) in [(&mut self.up, self.server), (&mut self.down, &self.session.stream)] {
            if way.is_over() && !way.told {
                to.shutdown();
                way.told = true;
            }
        }
        match (up, down) {
            (true, true) if self.down_last => Some(End::Server),
            (true, true) => Some(End::Client),
            _ => {
                self.down_last = up;
                None
            }
        }
    }

    /// Brings the session's counts up to date.
    fn count(&mut self, (up, down): (u64, u64)) {
        self.session.received += self.up.taken - up;
        self.session.sent = self.down.given;
        let (sent, received) = (self.up.given, self.down.taken);
        if let Some(attempt) = self.session.attempts.last_mut() {
            if attempt.first_byte.is_none() && received > down {
                attempt.first_byte = Some(attempt.began.elapsed());
            }
            attempt.sent = sent;
            attempt.received = received;
        }
    }

    fn complain(&self, call: &str, error: &io::Error, doing: &str, whose: &str) {
        // A peer that is gone is the client's affair, but the server's fault.
        let level = if whose == "client" { crate::log::Level::Info } else { crate::log::Level::Error };
        let text = format!("{call}() failed ({}) while proxying and {doing}", crate::conf::walk::errno(error));
        super::modules::proxy::log(self.session, level, &text);
    }

    fn release(&mut self) {
        for way in [&mut self.up, &mut self.down] {
            if let Held::Bytes(buffer) = std::mem::replace(&mut way.held, Held::Nothing) {
                self.session.turn().give(buffer);
            }
        }
    }
}

/// Which side a failed call concerned.
enum Trouble {
    Read(io::Error),
    Write(io::Error),
}

/// Moves bytes one way until it would block.
fn shift(
    way: &mut Way,
    from: &Transport,
    to: &Transport,
    front: &Front,
    (cx, since): (&mut Context<'_>, Instant),
) -> Result<(), Trouble> {
    let mut moved = 0;
    for _ in 0..CALLS {
        if !way.is_empty() {
            match pass_on(way, to, front) {
                Ok(()) => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match to.poll_writable(cx) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(()) => {}
                },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Trouble::Write(error)),
            }
            continue;
        }
        way.unsent = to.poll_flush(cx).is_pending();
        if way.ended {
            return Ok(());
        }
        let Some(most) = allowance(way, cx, since) else { return Ok(()) };
        match from.poll_readable(cx) {
            Poll::Pending => return Ok(()),
            Poll::Ready(()) => {}
        }
        match take(way, from, front, most) {
            Ok(0) => way.ended = true,
            Ok(count) => {
                way.taken += count as u64;
                way.learn(count);
                moved += count;
                pause(way, count);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(end_of(way, error)),
        }
        if moved >= FAIR {
            break;
        }
    }
    cx.waker().wake_by_ref();
    Ok(())
}

/// A side that fails has ended.
fn end_of(way: &mut Way, error: io::Error) -> Trouble {
    way.ended = true;
    Trouble::Read(error)
}

/// Reads once, into a buffer or a pipe; what was taken for it is given back when nothing came.
fn take(way: &mut Way, from: &Transport, front: &Front, most: usize) -> io::Result<usize> {
    if way.splices {
        if let Some(mut pipe) = front.turn.pipes.lend() {
            let count = pipe.fill(from.tcp(), pipes::SIZE)?;
            if count > 0 {
                way.held = Held::Piped(pipe);
            }
            return Ok(count);
        }
        (way.copies, way.splices) = (true, false);
    }
    let mut buffer = front.turn.buffer();
    let room = buffer.room();
    let size = room.len().min(most);
    match from.try_read(room.get_mut(..size).unwrap_or_default()) {
        Ok(count) if count > 0 => {
            buffer.end = count;
            way.held = Held::Bytes(buffer);
            Ok(count)
        }
        other => {
            front.turn.give(buffer);
            other
        }
    }
}

/// Writes once what is held.
fn pass_on(way: &mut Way, to: &Transport, front: &Front) -> io::Result<()> {
    match &mut way.held {
        Held::Nothing => return Ok(()),
        Held::Bytes(buffer) => {
            let count = to.try_write(buffer.filled())?;
            buffer.start += count;
            way.given += count as u64;
            if !buffer.filled().is_empty() {
                return Ok(());
            }
        }
        Held::Piped(pipe) => {
            way.given += pipe.drain(to.tcp())? as u64;
            if pipe.held() > 0 {
                return Ok(());
            }
        }
    }
    if let Held::Bytes(buffer) = std::mem::replace(&mut way.held, Held::Nothing) {
        front.turn.give(buffer);
    }
    Ok(())
}

/// How many bytes may be read now; nothing while a rate limit holds the side back.
fn allowance(way: &mut Way, cx: &mut Context<'_>, since: Instant) -> Option<usize> {
    if way.rate == 0 {
        return Some(usize::MAX);
    }
    loop {
        if let Some(pause) = &mut way.pause {
            if pause.poll(cx).is_pending() {
                return None;
            }
            way.pause = None;
        }
        let due = way.rate.saturating_mul(since.elapsed().as_secs() + 1);
        match due.checked_sub(way.taken) {
            Some(limit) if limit > 0 => return Some(usize::try_from(limit).unwrap_or(usize::MAX)),
            _ => rest(way, way.taken.saturating_sub(due) * 1000 / way.rate + 1),
        }
    }
}

/// After a piece of a limited side, the time it may take.
fn pause(way: &mut Way, count: usize) {
    if let Some(time) = (count as u64 * 1000).checked_div(way.rate).filter(|time| *time > 0) {
        rest(way, time);
    }
}

fn rest(way: &mut Way, milliseconds: u64) {
    let mut deadline = Deadline::new();
    deadline.set(Instant::now(), Duration::from_millis(milliseconds));
    way.pause = Some(Box::new(deadline));
}
