//! One conversation with a backend: its connection, the request on its way out, the head on its way in.
//!
//! Differs from nginx: 100 before an answer is not taken for the answer. [test: backends_see_what_nginx_shows_them]
//! Differs from nginx: an answer without a head ends the connection. [test: backends_see_what_nginx_shows_them]

use super::conf::Gateway;
use super::engine::note;
use super::reply::{self, Reply};
use crate::http::body::Saved;
use crate::http::request::Request;
use crate::http::upstream::Parked;
use crate::log::Level;
use crate::net::address::Address;
use crate::net::pipes::Lent;
use crate::net::stream::{self, Deadline, Outgoing, Stream};
use crate::net::turn::{Buffer, Turn};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt as _;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Why a conversation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server could not be reached.
    Connect,
    /// The connection broke or ended early.
    Error,
    /// The server took too long.
    Timeout,
    /// The response cannot be understood.
    InvalidHead,
    /// A status that the configuration takes as a failure.
    Status(u16),
    /// The client has gone.
    Aborted,
    /// Something on our side.
    Local(u16),
}

impl Failure {
    /// The status the client gets when nobody else is asked.
    pub const fn status(self) -> u16 {
        match self {
            Self::Timeout => 504,
            Self::Connect | Self::Error | Self::InvalidHead => 502,
            Self::Status(status) | Self::Local(status) => status,
            Self::Aborted => 499,
        }
    }

    /// Whether it speaks against the server.
    pub const fn counts(self) -> bool {
        !matches!(self, Self::Aborted | Self::Local(_) | Self::Status(403 | 404))
    }
}

/// A conversation.
pub struct Exchange {
    /// The connection.
    pub stream: Stream,
    /// What was read and not used yet.
    pub buffer: Buffer,
    /// Whether the connection was established.
    pub connected: bool,
    /// Whether anything was received.
    pub received: bool,
    /// Whether the connection may serve another request.
    pub reusable: bool,
    deadline: Deadline,
    requests: u64,
    opened: Instant,
}

/// Waits for the server with a time limit.
async fn timed<T>(time: Duration, work: impl Future<Output = T>) -> io::Result<T> {
    tokio::time::timeout(time, work).await.map_err(|_| io::ErrorKind::TimedOut.into())
}

impl Exchange {
    /// Goes on with an idle connection.
    pub fn reuse(parked: Parked, turn: &Turn) -> Self {
        Self::new(parked.stream, (parked.requests, parked.opened), turn, true)
    }

    fn new(stream: Stream, (requests, opened): (u64, Instant), turn: &Turn, connected: bool) -> Self {
        let deadline = turn.deadline();
        Self { stream, buffer: Buffer::new(0), connected, received: false, reusable: true, deadline, requests, opened }
    }

    /// The connection for the next request.
    pub fn into_parts(self, turn: &Turn) -> (Stream, u64, Instant) {
        turn.give_deadline(self.deadline);
        (self.stream, self.requests, self.opened)
    }

    /// Begins to connect. A connection still on its way is waited for only when nothing can be sent yet: on loopback it
    /// stands when connect(2) returns.
    ///
    /// # Errors
    /// Why it failed, logged.
    pub fn open(request: &Request, gateway: &Gateway, address: &Address) -> Result<Self, Failure> {
        let bind = gateway.local(request);
        let how = Outgoing { bind, keepalive: gateway.socket_keepalive, nodelay: false, speaks: true };
        let (stream, _) = stream::connect(address, &how).map_err(|error| {
            let text = crate::conf::walk::errno(&error);
            let level = if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ECONNREFUSED)) {
                Level::Error
            } else {
                Level::Crit
            };
            request.log(level, &format!("connect() to {address} failed ({text}) while connecting to upstream"));
            Failure::Connect
        })?;
        let now = request.turn().clock.instant();
        Ok(Self::new(stream, (0, now), request.turn(), false))
    }

    /// Waits for the handshake.
    async fn await_connection(&mut self, request: &mut Request, gateway: &Gateway) -> Result<(), Failure> {
        if timed(gateway.connect_timeout, self.stream.writable()).await.is_err() {
            request.log(Level::Error, "upstream timed out (110: Connection timed out) while connecting to upstream");
            return Err(Failure::Timeout);
        }
        let outcome = self.stream.socket().take_error().and_then(|error| error.map_or(Ok(()), Err));
        outcome.map_err(|error| not_connected(request, &error))?;
        self.established(request);
        Ok(())
    }

    /// The connection stands.
    fn established(&mut self, request: &mut Request) {
        self.connected = true;
        let time = request.turn().clock.since(self.opened);
        note(request, |attempt| attempt.connect = Some(time));
    }

    /// Small pieces are sent as they come, where the location says so.
    pub fn hurry(&self, request: &Request) {
        if request.location.settings.tcp_nodelay {
            let _ = self.stream.socket().set_tcp_nodelay(true);
        }
    }

    /// Sends the request: its head, and the body from memory, from a file, or as it comes from the client.
    ///
    /// # Errors
    /// Why it failed, logged.
    pub async fn send(&mut self, request: &mut Request, gateway: &Gateway, head: &[u8]) -> Result<(), Failure> {
        let mut saved = request.body.saved.take();
        let outcome = match (&mut saved, gateway.pass_body) {
            (Some(Saved::Memory(body)), true) => self.write(request, gateway, head, body).await,
            (Some(Saved::File(file, length)), true) => self.send_file(request, gateway, head, (file, *length)).await,
            (Some(Saved::Piped(first, rest)), true) => self.send_piped(request, gateway, head, (first, rest)).await,
            (None, true) if request.body.is_pending() => self.send_stream(request, gateway, head).await,
            _ => self.write(request, gateway, head, b"").await,
        };
        request.body.saved = saved;
        outcome.map(|_| ())
    }

    /// Writes two runs of bytes; false when the server answers already and reads no more.
    async fn write(
        &mut self,
        request: &mut Request,
        gateway: &Gateway,
        head: &[u8],
        body: &[u8],
    ) -> Result<bool, Failure> {
        self.write_with(request, gateway, (head, body), libc::MSG_NOSIGNAL).await
    }

    async fn write_with(
        &mut self,
        request: &mut Request,
        gateway: &Gateway,
        (head, body): (&[u8], &[u8]),
        flags: i32,
    ) -> Result<bool, Failure> {
        let put = |stream: &Stream, sent: usize| {
            let first = head.get(sent..).unwrap_or_default();
            let second = body.get(sent.saturating_sub(head.len())..).unwrap_or_default();
            if first.is_empty() || second.is_empty() {
                let bytes = if first.is_empty() { second } else { first };
                stream.try_output(|socket| socket.send_with_flags(bytes, flags))
            } else {
                let pieces = [IoSlice::new(first), IoSlice::new(second)];
                stream.try_output(|socket| socket.send_vectored_with_flags(&pieces, flags))
            }
        };
        self.put(request, gateway, head.len() + body.len(), put).await
    }

    /// Sends a body from a pipe, of which a copy goes out: it may be wanted again.
    async fn send_piped(
        &mut self,
        request: &mut Request,
        gateway: &Gateway,
        head: &[u8],
        (first, rest): (&mut Vec<u8>, &mut Lent),
    ) -> Result<bool, Failure> {
        let Ok(mut copy) = rest.copy() else {
            rest.read(first).map_err(|error| {
                let text = crate::conf::walk::errno(&error);
                request.log(Level::Alert, &format!("read() failed ({text}) while sending request to upstream"));
                Failure::Local(500)
            })?;
            return self.write(request, gateway, head, first).await;
        };
        let flags = libc::MSG_NOSIGNAL | libc::MSG_MORE;
        if !self.write_with(request, gateway, (head, first), flags).await? {
            return Ok(false);
        }
        self.put(request, gateway, copy.held(), |stream, _| copy.drain(stream)).await
    }

    /// Runs a write-like call, told how much of `total` is done, until all is.
    async fn put(
        &mut self,
        request: &mut Request,
        gateway: &Gateway,
        total: usize,
        mut write: impl FnMut(&Stream, usize) -> io::Result<usize>,
    ) -> Result<bool, Failure> {
        let mut sent = 0;
        while sent < total {
            let outcome = write(&self.stream, sent);
            match outcome {
                Ok(count) => {
                    if !self.connected {
                        self.established(request);
                    }
                    sent += count;
                    note(request, |attempt| attempt.sent += count as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.connected => {
                    self.await_connection(request, gateway).await?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.writable_or_answer(request, gateway).await? {
                        self.reusable = false;
                        return Ok(false);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if !self.connected => return Err(not_connected(request, &error)),
                Err(error) => {
                    // The server may have answered before it closed.
                    self.reusable = false;
                    if self.stream.is_readable() && sent > 0 {
                        return Ok(false);
                    }
                    let text = crate::conf::walk::errno(&error);
                    request.log(Level::Error, &format!("send() failed ({text}) while sending request to upstream"));
                    return Err(Failure::Error);
                }
            }
        }
        Ok(true)
    }

    async fn writable_or_answer(&self, request: &mut Request, gateway: &Gateway) -> Result<bool, Failure> {
        let stream = &self.stream;
        let wait = poll_fn(|cx| {
            if stream.poll_writable(cx).is_ready() {
                return Poll::Ready(true);
            }
            stream.poll_readable(cx).map(|()| false)
        });
        match timed(gateway.send_timeout, wait).await {
            Ok(writable) => Ok(writable),
            Err(_) => {
                request.log(
                    Level::Error,
                    "upstream timed out (110: Connection timed out) while sending request to upstream",
                );
                Err(Failure::Timeout)
            }
        }
    }

    async fn send_file(
        &mut self,
        request: &mut Request,
        gateway: &Gateway,
        head: &[u8],
        (file, length): (&std::fs::File, u64),
    ) -> Result<bool, Failure> {
        let mut piece = vec![0; 64 * 1024];
        let mut at = 0;
        let mut before = head;
        while at < length || !before.is_empty() {
            let count = file.read_at(&mut piece, at).map_err(|_| Failure::Local(500))?;
            if count == 0 && at < length {
                return Err(Failure::Local(500));
            }
            at += count as u64;
            if !self.write(request, gateway, before, piece.get(..count).unwrap_or_default()).await? {
                return Ok(false);
            }
            before = b"";
        }
        Ok(true)
    }

    /// `*_request_buffering off`: passes the body on as it comes.
    async fn send_stream(&mut self, request: &mut Request, gateway: &Gateway, head: &[u8]) -> Result<bool, Failure> {
        let chunked = request.body.is_chunked();
        self.hurry(request);
        let mut out = head.to_vec();
        let mut piece = Vec::new();
        loop {
            let more = request.body_piece(&mut piece).await.map_err(Failure::Local)?;
            if chunked {
                if !piece.is_empty() {
                    out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                    out.append(&mut piece);
                    out.extend_from_slice(b"\r\n");
                }
                if !more {
                    out.extend_from_slice(b"0\r\n\r\n");
                }
            } else {
                out.append(&mut piece);
            }
            if !self.write(request, gateway, &out, b"").await? {
                return Ok(false);
            }
            out.clear();
            if !more {
                return Ok(true);
            }
        }
    }

    /// Reads up to the end of the response's head, watching for a client that leaves.
    ///
    /// # Errors
    /// Why it failed, logged.
    pub async fn read_head(&mut self, request: &mut Request, gateway: &Gateway) -> Result<Reply, Failure> {
        let begun = request.turn().clock.instant();
        let mut watch = !gateway.ignore_client_abort && !request.is_subrequest();
        loop {
            self.ready(request, gateway, &mut watch).await?;
            if self.buffer.size() == 0 {
                self.buffer = request.turn().buffer();
            }
            if self.buffer.room().is_empty() {
                let size = self.buffer.size() * 2;
                self.buffer.grow(size);
            }
            match self.stream.try_read(self.buffer.room()) {
                Ok(0) => {
                    let text = "upstream prematurely closed connection while reading response header from upstream";
                    request.log(Level::Error, text);
                    return Err(Failure::Error);
                }
                Ok(count) => {
                    self.buffer.end += count;
                    self.received = true;
                    note(request, |attempt| attempt.received += count as u64);
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    continue;
                }
                Err(error) => {
                    let text = crate::conf::walk::errno(&error);
                    request.log(
                        Level::Error,
                        &format!("recv() failed ({text}) while reading response header from upstream"),
                    );
                    return Err(Failure::Error);
                }
            }
            match self.parse(request) {
                Ok(Some(reply)) if reply.head as usize <= gateway.buffer_size => {
                    let time = request.turn().clock.since(begun);
                    note(request, |attempt| attempt.header = Some(time));
                    return Ok(reply);
                }
                Ok(None) if self.buffer.filled().len() < gateway.buffer_size => {}
                Ok(_) => {
                    request
                        .log(Level::Error, "upstream sent too big header while reading response header from upstream");
                    return Err(Failure::InvalidHead);
                }
                Err(text) => {
                    request.log(Level::Error, &format!("{text} while reading response header from upstream"));
                    return Err(Failure::InvalidHead);
                }
            }
        }
    }

    /// Parses what is there; interim responses (RFC 9110 §15.2) are passed over.
    fn parse(&mut self, request: &Request) -> Result<Option<Reply>, String> {
        loop {
            match reply::parse(request, self.buffer.filled())? {
                Some(reply) if matches!(reply.status, 100 | 102..=199) => self.buffer.start += reply.head as usize,
                other => return Ok(other),
            }
        }
    }

    async fn ready(&mut self, request: &mut Request, gateway: &Gateway, watch: &mut bool) -> Result<(), Failure> {
        let client = &request.connection.stream;
        self.deadline.set(request.turn().clock.instant(), gateway.read_timeout);
        let Self { stream, deadline, .. } = self;
        let mut gone = false;
        let wait = poll_fn(|cx| {
            if stream.poll_readable(cx).is_ready() {
                return Poll::Ready(false);
            }
            if *watch && client.poll_readable(cx).is_ready() {
                match left(client) {
                    Left::Gone => {
                        gone = true;
                        return Poll::Ready(false);
                    }
                    Left::Sent => *watch = false,
                    Left::No => {
                        // Readiness was cleared; register for the next change.
                        let _ = client.poll_readable(cx);
                    }
                }
            }
            deadline.poll(cx).map(|()| true)
        });
        let over = wait.await;
        if gone {
            request.log(
                Level::Info,
                "epoll_wait() reported that client prematurely closed connection, so upstream connection is closed too while sending request to upstream",
            );
            request.response.broken = true;
            return Err(Failure::Aborted);
        }
        if over {
            request.log(
                Level::Error,
                "upstream timed out (110: Connection timed out) while reading response header from upstream",
            );
            return Err(Failure::Timeout);
        }
        Ok(())
    }
}

/// A connection that did not come to stand.
fn not_connected(request: &Request, error: &io::Error) -> Failure {
    let text = crate::conf::walk::errno(error);
    request.log(Level::Error, &format!("connect() failed ({text}) while connecting to upstream"));
    Failure::Connect
}

/// What a client that became readable did.
enum Left {
    No,
    Sent,
    Gone,
}

fn left(client: &Stream) -> Left {
    match client.try_peek() {
        Ok(0) => Left::Gone,
        Ok(_) => Left::Sent,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Left::No,
        Err(_) => Left::Gone,
    }
}
