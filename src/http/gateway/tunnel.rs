//! An upgraded connection: bytes both ways until one side ends; no buffer is held while nothing moves, and of the request
//! only what its log line will ask for.

use super::conf::Gateway;
use super::engine::note;
use super::exchange::Exchange;
use crate::http::request::Request;
use crate::http::upstream::Pool;
use crate::log::Level;
use crate::net::stream::{Deadline, Stream};
use crate::net::turn::{Buffer, Turn};
use crate::upstream::PeerRef;
use crate::upstream::group::Pick;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// One direction.
#[derive(Default)]
struct Way {
    held: Option<Buffer>,
    over: bool,
    moved: u64,
}

/// A tunnel, from the server's 101 on.
pub struct Tunnel {
    server: Stream,
    down: Way,
    up: Way,
    timeout: Duration,
    pool: Arc<Pool>,
    peer: PeerRef,
    pick: Pick,
    begun: Instant,
}

impl Tunnel {
    /// The tunnel of a request whose answer's head is in the output, and that needs nothing else any more.
    pub fn new(
        request: &mut Request,
        mut exchange: Exchange,
        gateway: &Gateway,
        (pool, peer, pick, begun): (&Arc<Pool>, PeerRef, &Pick, Instant),
    ) -> Self {
        exchange.hurry(request);
        let out = std::mem::take(&mut request.response.out);
        let down = Way { held: Some(filled(request.turn(), &[&out, exchange.buffer.filled()])), ..Way::default() };
        request.turn().give_out(out);
        let rest = request.head.bytes.filled();
        let mut up = Way::default();
        if !rest.is_empty() {
            up.held = Some(filled(request.turn(), &[rest]));
        }
        request.head.bytes.start = request.head.bytes.end;
        request.turn().give(std::mem::replace(&mut exchange.buffer, Buffer::new(0)));
        request.shrink();
        let (server, ..) = exchange.into_parts(request.turn());
        Self { server, down, up, timeout: gateway.read_timeout, pool: pool.clone(), peer, pick: pick.clone(), begun }
    }

    /// Relays until both sides have ended, one fails, or nothing moves for the read timeout.
    pub async fn run(mut self: Box<Self>, request: &mut Request) {
        let turn = request.turn().clone();
        let connection = request.connection.clone();
        let outcome = self.relay(&connection.stream, &turn).await;
        turn.clock.update();
        let (sent, received) = (self.down.moved, self.up.moved);
        request.response.sent += sent;
        let head = request.response.head_bytes;
        let time = self.begun.elapsed();
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
                .log(Level::Error, "upstream timed out (110: Connection timed out) while proxying upgraded connection");
        }
        request.attempts.url = None;
        self.pool.group.free(self.peer, false, &mut self.pick, turn.clock.now().as_secs());
    }

    async fn relay(&mut self, client: &Stream, turn: &Turn) -> io::Result<()> {
        let mut deadline = Deadline::new();
        deadline.set(turn.clock.instant(), self.timeout);
        let mut before = 0;
        let Self { server, down, up, timeout, .. } = self;
        poll_fn(|cx| {
            let mut over = false;
            for (way, from, to) in [(&mut *down, &*server, client), (&mut *up, client, &*server)] {
                match shift(way, from, to, turn, cx) {
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Ready(Ok(())) => over = true,
                    Poll::Pending => {}
                }
            }
            if over && (down.over && down.held.is_none() || up.over && up.held.is_none()) {
                return Poll::Ready(Ok(()));
            }
            let moved = down.moved + up.moved;
            if moved != before {
                before = moved;
                deadline.set(turn.clock.instant(), *timeout);
            }
            deadline.poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
        })
        .await
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
fn shift(way: &mut Way, from: &Stream, to: &Stream, turn: &Turn, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    for _ in 0..16 {
        if let Some(buffer) = &mut way.held {
            match to.try_write(buffer.filled()) {
                Ok(count) => {
                    buffer.start += count;
                    way.moved += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if to.poll_writable(cx).is_pending() {
                        return Poll::Pending;
                    }
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Poll::Ready(Err(error)),
            }
            if !buffer.filled().is_empty() {
                continue;
            }
            if let Some(buffer) = way.held.take() {
                turn.give(buffer);
            }
        }
        if way.over {
            return Poll::Ready(Ok(()));
        }
        match from.poll_readable(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(()) => {}
        }
        let mut buffer = turn.buffer();
        match from.try_read(buffer.room()) {
            Ok(0) => {
                way.over = true;
                turn.give(buffer);
            }
            Ok(count) => {
                buffer.end = count;
                way.held = Some(buffer);
            }
            Err(error) => {
                turn.give(buffer);
                match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                    _ => return Poll::Ready(Err(error)),
                }
            }
        }
    }
    // Others are due; come back in the next turn.
    cx.waker().wake_by_ref();
    Poll::Pending
}
