//! Bytes both ways between two sockets until one side ends.
//!
//! A direction copies through a pooled 16 KiB buffer. When it has filled 256 KiB of buffers it changes to a pooled
//! pipe, and the bytes never leave the kernel; when little comes at a time it goes back, for small pieces are cheaper
//! to copy. Neither buffer nor pipe is held while nothing moves. With a rate limit it copies.

use super::pace::Pace;
use super::session::{LoopState, Session};
use crate::net::deadline::Deadline;
use crate::net::event_loop::{BUFFER, Buffer};
use crate::net::pipes::{self, PooledPipe};
use crate::net::transport::Transport;
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
pub struct RelayOptions {
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
enum Pending {
    Nothing,
    Bytes(Buffer),
    Piped(PooledPipe),
}

/// One direction.
struct Direction {
    held: Pending,
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
    pace: Pace,
    /// Bytes read.
    taken: u64,
    /// Bytes written.
    given: u64,
}

impl Direction {
    const fn new(rate: u64, copies: bool) -> Self {
        Self {
            held: Pending::Nothing,
            ended: false,
            unsent: false,
            told: false,
            copies: copies || rate > 0,
            splices: false,
            bulk: 0,
            pace: Pace::new(rate),
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
        matches!(self.held, Pending::Nothing)
    }

    /// Whether everything the sender had to say was passed on.
    const fn is_over(&self) -> bool {
        self.ended && self.is_empty() && !self.unsent
    }
}

/// A relay at work.
pub struct Relay<'a> {
    session: &'a mut Session,
    client: &'a Transport,
    server: &'a Transport,
    options: RelayOptions,
    since: Instant,
    up: Direction,
    down: Direction,
    /// The client has ended; the server will be the last to.
    down_last: bool,
}

impl<'a> Relay<'a> {
    /// A relay between a session's client and a server; `first` goes to the server before anything else.
    pub fn new(
        session: &'a mut Session,
        (client, server): (&'a Transport, &'a Transport),
        options: RelayOptions,
        first: &[u8],
    ) -> Self {
        let copies = server.direct().is_none() || client.direct().is_none();
        let mut up = Direction::new(options.upload, copies);
        if !first.is_empty() {
            let mut buffer = session.event_loop().buffer();
            if let Some(room) = buffer.room().get_mut(..first.len()) {
                room.copy_from_slice(first);
                buffer.end = first.len();
            }
            up.held = Pending::Bytes(buffer);
        }
        let down = Direction::new(options.download, copies);
        Self { session, client, server, options, since: Instant::now(), up, down, down_last: false }
    }

    /// Runs it to its end; the session's counts and its last attempt are kept up to date.
    pub async fn run(mut self, mut idle: Deadline) -> End {
        let event_loop = self.session.event_loop().clone();
        idle.set(event_loop.clock.instant(), self.options.timeout);
        let mut before = 0;
        let end = poll_fn(|cx| {
            if let Some(end) = self.take_turn(cx) {
                return Poll::Ready(end);
            }
            let moved = self.up.taken + self.up.given + self.down.taken + self.down.given;
            // While a rate limit holds a side back, the connection is not idle.
            if moved != before || self.up.pace.is_resting() || self.down.pace.is_resting() {
                before = moved;
                idle.set(event_loop.clock.instant(), self.options.timeout);
            }
            idle.poll(cx).map(|()| End::TimedOut)
        })
        .await;
        self.release();
        end
    }

    /// Moves what can be moved, first up, then down; a side that has ended ends it before the other is looked at.
    fn take_turn(&mut self, cx: &mut Context<'_>) -> Option<End> {
        let loop_state = self.session.loop_state.clone();
        let seen = (self.up.taken, self.down.taken);
        let outcome = shift(&mut self.up, self.client, self.server, &loop_state, (cx, self.since));
        self.count(seen);
        if let Some(end) = self.judge(outcome, ("client", "upstream")) {
            return Some(end);
        }
        let seen = (self.up.taken, self.down.taken);
        let outcome = shift(&mut self.down, self.server, self.client, &loop_state, (cx, self.since));
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
        if !self.options.half_close {
            return match (up, down) {
                (_, true) => Some(End::Server),
                (true, _) => Some(End::Client),
                _ => None,
            };
        }
        for (direction, to) in [(&mut self.up, self.server), (&mut self.down, self.client)] {
            if direction.is_over() && !direction.told {
                to.shutdown();
                direction.told = true;
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
            if received > down {
                attempt.note_first_byte();
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
        for direction in [&mut self.up, &mut self.down] {
            if let Pending::Bytes(buffer) = std::mem::replace(&mut direction.held, Pending::Nothing) {
                self.session.event_loop().give(buffer);
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
    direction: &mut Direction,
    from: &Transport,
    to: &Transport,
    loop_state: &LoopState,
    (cx, since): (&mut Context<'_>, Instant),
) -> Result<(), Trouble> {
    let mut moved = 0;
    for _ in 0..CALLS {
        if !direction.is_empty() {
            match pass_on(direction, to, loop_state) {
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
        direction.unsent = to.poll_flush(cx).is_pending();
        if direction.ended {
            return Ok(());
        }
        let Some(most) = direction.pace.allowance(cx, direction.taken, since) else { return Ok(()) };
        match from.poll_readable(cx) {
            Poll::Pending => return Ok(()),
            Poll::Ready(()) => {}
        }
        match take(direction, from, loop_state, most) {
            Ok(0) => direction.ended = true,
            Ok(count) => {
                direction.taken += count as u64;
                direction.learn(count);
                moved += count;
                direction.pace.moved(count);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(end_of(direction, error)),
        }
        if moved >= FAIR {
            break;
        }
    }
    cx.waker().wake_by_ref();
    Ok(())
}

/// A side that fails has ended.
fn end_of(direction: &mut Direction, error: io::Error) -> Trouble {
    direction.ended = true;
    Trouble::Read(error)
}

/// Reads once, into a buffer or a pipe; what was taken for it is given back when nothing came.
fn take(direction: &mut Direction, from: &Transport, loop_state: &LoopState, most: usize) -> io::Result<usize> {
    if direction.splices {
        if let Some(mut pipe) = loop_state.event_loop.pipes.acquire() {
            let count = pipe.fill(from.tcp(), pipes::SIZE)?;
            if count > 0 {
                direction.held = Pending::Piped(pipe);
            }
            return Ok(count);
        }
        (direction.copies, direction.splices) = (true, false);
    }
    let mut buffer = loop_state.event_loop.buffer();
    let room = buffer.room();
    let size = room.len().min(most);
    match from.try_read(room.get_mut(..size).unwrap_or_default()) {
        Ok(count) if count > 0 => {
            buffer.end = count;
            direction.held = Pending::Bytes(buffer);
            Ok(count)
        }
        other => {
            loop_state.event_loop.give(buffer);
            other
        }
    }
}

/// Writes once what is held.
fn pass_on(direction: &mut Direction, to: &Transport, loop_state: &LoopState) -> io::Result<()> {
    match &mut direction.held {
        Pending::Nothing => return Ok(()),
        Pending::Bytes(buffer) => {
            let count = to.try_write(buffer.filled())?;
            buffer.start += count;
            direction.given += count as u64;
            if !buffer.filled().is_empty() {
                return Ok(());
            }
        }
        Pending::Piped(pipe) => {
            direction.given += pipe.drain(to.tcp())? as u64;
            if pipe.held() > 0 {
                return Ok(());
            }
        }
    }
    if let Pending::Bytes(buffer) = std::mem::replace(&mut direction.held, Pending::Nothing) {
        loop_state.event_loop.give(buffer);
    }
    Ok(())
}
