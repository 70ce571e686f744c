//! An upgraded connection: bytes both ways until one side ends; no buffer is held while nothing moves, and of the request
//! only what its log line will ask for.

use super::conf::Gateway;
use super::engine::note;
use super::exchange::Exchange;
use crate::http::heart::client::Connection;
use crate::http::heart::request::Request;
use crate::http::heart::upstream::InUse;
use crate::http::heart::wire::Upgraded;
use crate::log::Level;
use crate::net::deadline::Deadline;
use crate::net::transport::Transport;
use crate::net::turn::{Buffer, Turn};
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

/// One direction.
#[derive(Default)]
struct Way {
    /// What could not be written yet.
    held: Option<Box<Buffer>>,
    over: bool,
    /// Bytes the receiver has taken wait for its socket.
    unsent: bool,
    moved: u64,
}

impl Way {
    /// Whether everything the sender had to say was passed on.
    const fn is_over(&self) -> bool {
        self.over && self.held.is_none() && !self.unsent
    }
}

/// A tunnel, from the server's 101 on.
pub struct Tunnel {
    server: Transport,
    down: Way,
    up: Way,
    timeout: Duration,
    used: InUse,
}

impl Tunnel {
    /// The tunnel of a request whose answer's head is in the output, and that needs nothing else any more.
    pub fn new(request: &mut Request, mut exchange: Exchange, gateway: &Gateway, used: InUse) -> Self {
        exchange.hurry(request);
        let out = std::mem::take(&mut request.response.out);
        let down =
            Way { held: Some(Box::new(filled(request.turn(), &[&out, exchange.buffer.filled()]))), ..Way::default() };
        request.turn().give_out(out);
        let rest = request.head.bytes.filled();
        let mut up = Way::default();
        if !rest.is_empty() {
            up.held = Some(Box::new(filled(request.turn(), &[rest])));
        }
        request.head.bytes.start = request.head.bytes.end;
        request.turn().give(std::mem::replace(&mut exchange.buffer, Buffer::new(0)));
        request.shrink();
        let (server, ..) = exchange.into_parts(request.turn());
        Self { server, down, up, timeout: gateway.read_timeout, used }
    }
}

impl Upgraded for Tunnel {
    fn begin(&self, turn: &Turn, deadline: &mut Deadline) {
        deadline.set(turn.clock.instant(), self.timeout);
    }

    fn poll(&mut self, client: &Connection, deadline: &mut Deadline, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let turn = &client.front.turn;
        let Self { server, down, up, timeout, .. } = self;
        let before = down.moved + up.moved;
        let mut over = false;
        for (way, from, to) in [(&mut *down, &*server, &client.stream), (&mut *up, &client.stream, &*server)] {
            match shift(way, from, to, turn, cx) {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => over = true,
                Poll::Pending => {}
            }
        }
        if over && (down.is_over() || up.is_over()) {
            return Poll::Ready(Ok(()));
        }
        if down.moved + up.moved != before {
            deadline.set(turn.clock.instant(), *timeout);
        }
        deadline.poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn finish(&self, request: &mut Request, outcome: io::Result<()>) {
        request.turn().clock.update();
        let (sent, received) = (self.down.moved, self.up.moved);
        request.response.sent += sent;
        let head = request.response.head_bytes;
        let time = self.used.since.elapsed();
        note(request, |attempt| {
            attempt.length += sent.saturating_sub(head);
            attempt.response = Some(time);
        });
        request.body.received += received;
        request.keepalive = false;
        if let Err(error) = outcome
            && error.kind() == io::ErrorKind::TimedOut
        {
            request
                .log(Level::Info, "upstream timed out (110: Connection timed out) while proxying upgraded connection");
        }
        request.attempts.url = None;
    }
}

fn filled(turn: &Turn, runs: &[&[u8]]) -> Buffer {
    let mut buffer = turn.buffer();
    let total = runs.iter().map(|run| run.len()).sum();
    buffer.grow(total);
    for run in runs {
        if let Some(room) = buffer.room().get_mut(..run.len()) {
            room.copy_from_slice(run);
        }
        buffer.end += run.len();
    }
    buffer
}

/// Moves bytes one way until it would block; Ready when the way has come to its end.
fn shift(way: &mut Way, from: &Transport, to: &Transport, turn: &Turn, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    loop {
        let buffer = match way.held.take() {
            Some(held) => *held,
            None if {
                way.unsent = to.poll_flush(cx).is_pending();
                way.unsent && way.over
            } =>
            {
                return Poll::Pending;
            }
            None if way.over => return Poll::Ready(Ok(())),
            None if from.poll_readable(cx).is_pending() => return Poll::Pending,
            None => match take(from, turn) {
                Ok(Some(buffer)) => buffer,
                Ok(None) => {
                    way.over = true;
                    continue;
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => continue,
                    _ => return Poll::Ready(Err(error)),
                },
            },
        };
        if put(way, buffer, to, turn, cx)?.is_pending() {
            return Poll::Pending;
        }
    }
}

/// What is there to read; nothing at the end.
fn take(from: &Transport, turn: &Turn) -> io::Result<Option<Buffer>> {
    let mut buffer = turn.buffer();
    match from.try_read(buffer.room()) {
        Ok(count) if count > 0 => {
            buffer.end = count;
            Ok(Some(buffer))
        }
        outcome => {
            turn.give(buffer);
            outcome.map(|_| None)
        }
    }
}

/// Writes a buffer; what finds no room is held.
fn put(way: &mut Way, mut buffer: Buffer, to: &Transport, turn: &Turn, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
    while !buffer.filled().is_empty() {
        match to.try_write(buffer.filled()) {
            Ok(count) => {
                buffer.start += count;
                way.moved += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if to.poll_writable(cx).is_pending() {
                    way.held = Some(Box::new(buffer));
                    return Ok(Poll::Pending);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    turn.give(buffer);
    Ok(Poll::Ready(()))
}
