//! An upgraded connection: bytes both ways until one side ends; no buffer is held while nothing moves, and of the request
//! only what its log line will ask for.

use super::conf::Gateway;
use super::exchange::{Exchange, filled};
use crate::http::heart::client::Connection;
use crate::http::heart::request::Request;
use crate::http::heart::upstream::InUse;
use crate::http::heart::wire::Upgraded;
use crate::log::Level;
use crate::net::deadline::Deadline;
use crate::net::event_loop::{Buffer, EventLoop};
use crate::net::transport::Transport;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

/// One direction.
#[derive(Default)]
struct Direction {
    /// What could not be written yet.
    held: Option<Box<Buffer>>,
    over: bool,
    /// Bytes the receiver has taken wait for its socket.
    unsent: bool,
    moved: u64,
}

impl Direction {
    /// Whether everything the sender had to say was passed on.
    const fn is_over(&self) -> bool {
        self.over && self.held.is_none() && !self.unsent
    }
}

/// A tunnel, from the server's 101 on.
pub struct Tunnel {
    server: Transport,
    down: Direction,
    up: Direction,
    timeout: Duration,
    used: InUse,
}

impl Tunnel {
    /// The tunnel of a request whose answer's head is in the output, and that needs nothing else any more.
    pub fn new(request: &mut Request, mut exchange: Exchange, gateway: &Gateway, used: InUse) -> Self {
        exchange.hurry(request);
        let out = std::mem::take(&mut request.response.out);
        let down = Direction {
            held: Some(Box::new(filled(request.event_loop(), &[&out, exchange.buffer.filled()]))),
            ..Direction::default()
        };
        request.event_loop().give_out(out);
        let rest = request.head.bytes.filled();
        let mut up = Direction::default();
        if !rest.is_empty() {
            up.held = Some(Box::new(filled(request.event_loop(), &[rest])));
        }
        request.head.bytes.start = request.head.bytes.end;
        request.event_loop().give(std::mem::replace(&mut exchange.buffer, Buffer::new(0)));
        request.shrink();
        let server = exchange.into_parts(request.event_loop()).stream;
        Self { server, down, up, timeout: gateway.read_timeout, used }
    }
}

impl Upgraded for Tunnel {
    fn begin(&self, event_loop: &EventLoop, deadline: &mut Deadline) {
        deadline.set(event_loop.clock.instant(), self.timeout);
    }

    fn poll(&mut self, client: &Connection, deadline: &mut Deadline, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let event_loop = &client.loop_state.event_loop;
        let Self { server, down, up, timeout, .. } = self;
        let before = down.moved + up.moved;
        let mut over = false;
        for (direction, from, to) in [(&mut *down, &*server, &client.stream), (&mut *up, &client.stream, &*server)] {
            match shift(direction, from, to, event_loop, cx) {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => over = true,
                Poll::Pending => {}
            }
        }
        if over && (down.is_over() || up.is_over()) {
            return Poll::Ready(Ok(()));
        }
        if down.moved + up.moved != before {
            deadline.set(event_loop.clock.instant(), *timeout);
        }
        deadline.poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn finish(&self, request: &mut Request, outcome: io::Result<()>) {
        request.event_loop().clock.update();
        let (sent, received) = (self.down.moved, self.up.moved);
        request.response.sent += sent;
        let time = self.used.since.elapsed();
        request.attempts.update(|attempt| attempt.response = Some(time));
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

/// Moves bytes one way until it would block; Ready when the way has come to its end.
fn shift(
    direction: &mut Direction,
    from: &Transport,
    to: &Transport,
    event_loop: &EventLoop,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    loop {
        let buffer = match direction.held.take() {
            Some(held) => *held,
            None if {
                direction.unsent = to.poll_flush(cx).is_pending();
                direction.unsent && direction.over
            } =>
            {
                return Poll::Pending;
            }
            None if direction.over => return Poll::Ready(Ok(())),
            None if from.poll_readable(cx).is_pending() => return Poll::Pending,
            None => match take(from, event_loop) {
                Ok(Some(buffer)) => buffer,
                Ok(None) => {
                    direction.over = true;
                    continue;
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => continue,
                    _ => return Poll::Ready(Err(error)),
                },
            },
        };
        if put(direction, buffer, to, event_loop, cx)?.is_pending() {
            return Poll::Pending;
        }
    }
}

/// What is there to read; nothing at the end.
fn take(from: &Transport, event_loop: &EventLoop) -> io::Result<Option<Buffer>> {
    let mut buffer = event_loop.buffer();
    match from.try_read(buffer.room()) {
        Ok(count) if count > 0 => {
            buffer.end = count;
            Ok(Some(buffer))
        }
        outcome => {
            event_loop.give(buffer);
            outcome.map(|_| None)
        }
    }
}

/// Writes a buffer; what finds no room is held.
fn put(
    direction: &mut Direction,
    mut buffer: Buffer,
    to: &Transport,
    event_loop: &EventLoop,
    cx: &mut Context<'_>,
) -> io::Result<Poll<()>> {
    while !buffer.filled().is_empty() {
        match to.try_write(buffer.filled()) {
            Ok(count) => {
                buffer.start += count;
                direction.moved += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if to.poll_writable(cx).is_pending() {
                    direction.held = Some(Box::new(buffer));
                    return Ok(Poll::Pending);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    event_loop.give(buffer);
    Ok(Poll::Ready(()))
}
