//! The one writer: how a response's head and body reach the client, through filters, chunks and sockets.

use crate::http::codec::h1::Method;
use crate::http::heart::client::Standing;
use crate::http::heart::filter::{Failed, Include, Piece, Pieces, Then};
use crate::http::heart::request::Request;
use crate::http::heart::response::Content;
use crate::http::heart::response::Playing;
use crate::http::heart::wire::{Carries as _, Sink, Spout, Wire};
use crate::log::Level;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A file up to this size is sent together with the head.
const TOGETHER: u64 = 32 * 1024;
/// What nginx reads of a file before it writes, without `sendfile`; a rate holds after each write.
const PIECE: usize = 32 * 1024;

impl Request {
    /// Sends the response, if a handler has not sent it already.
    pub async fn respond(&mut self) {
        if self.abandoned || self.response.head_made || self.is_for_its_head() {
            return;
        }
        self.start();
        let content = std::mem::take(&mut self.response.content);
        if !self.response.head_only {
            match content {
                Content::Bytes(bytes) => self.take(&bytes, Then::Last),
                Content::Shared(bytes) => self.take(&bytes, Then::Last),
                Content::File(opened, parts, tail) => return self.send_file(&opened.file, parts, &tail).await,
                Content::None if !self.response.is_plain() => self.take(b"", Then::Last),
                Content::None | Content::Streamed => {}
            }
        }
        self.response.complete |= self.response.later.is_none();
        self.flush().await;
    }

    /// Puts the head into the output, after the filters have seen it.
    pub fn start(&mut self) {
        if self.response.head_made {
            return;
        }
        self.response.head_made = true;
        if self.response.error != 0 {
            self.response.status = self.response.error;
            self.response.reason.clear();
        }
        crate::http::route::conditional::not_modified(self);
        if self.connection.standing.get() == Standing::Retired {
            self.keepalive = false;
        }
        let location = self.location.clone();
        for filter in &location.filters {
            let body = filter.head(self);
            let response = &mut self.response;
            let list = if filter.slot().is_last() { &mut response.coders } else { &mut response.filters };
            list.extend(body);
        }
        crate::http::route::range::head(self);
        if self.is_subrequest() {
            return;
        }
        self.frame();
        if (self.keepalive || self.response.upgrade)
            && matches!(self.wire, Wire::H1)
            && self.location.settings.tcp_nodelay
            && !self.connection.nodelay.replace(true)
        {
            let _ = self.connection.stream.socket().set_tcp_nodelay(true);
        }
        let mut out = self.turn().out();
        crate::http::route::encode::head(self, &mut out);
        self.response.head_bytes = out.len() as u64;
        if let Wire::H2(stream) = &self.wire {
            let response = &self.response;
            let ends = response.head_only || matches!(response.content, Content::None) && response.is_plain();
            let sent = stream.send_head(&out, ends).map(|()| out.len() as u64);
            out.clear();
            self.count(sent.map_err(|error| (0, error)));
        }
        self.response.out = out;
    }

    /// Decides about body, chunks and keep-alive.
    fn frame(&mut self) {
        let version = self.version();
        if version < 1000 {
            // A body alone, even for HEAD.
            return;
        }
        let response = &mut self.response;
        match response.status {
            // With a status line of its own a backend's 204 keeps its headers.
            204 if !response.reason.is_empty() => response.head_only = true,
            204 => {
                response.head_only = true;
                response.content_type.clear();
                response.clear_last_modified();
                response.length = None;
            }
            304 => response.head_only = true,
            200 | 206 => {}
            _ if !response.last_modified_passed => response.last_modified = None,
            _ => {}
        }
        if self.method == Method::Head {
            response.head_only = true;
        }
        if response.head_only || response.status < 200 {
            return;
        }
        if (response.length.is_none() || response.expects_trailers) && version < 2000 {
            if version >= 1001 && self.location.settings.chunked && matches!(self.wire, Wire::H1) {
                response.length = response.length.filter(|_| !response.expects_trailers);
                response.chunked = true;
            } else if response.length.is_none() {
                self.keepalive = false;
            }
        }
    }

    /// Takes body bytes into the output, through filters and chunks.
    pub fn take(&mut self, bytes: &[u8], then: Then) {
        if self.response.head_only || self.response.broken {
            return;
        }
        let outcome = if self.response.filters.is_empty() && self.response.later.is_none() {
            self.code(bytes, then)
        } else {
            self.filter(bytes, then)
        };
        if outcome.is_err() {
            self.cut();
        }
    }

    /// The response ends here, whatever its head promised.
    fn cut(&mut self) {
        self.keepalive = false;
        self.malformed = true;
        self.response.broken = true;
    }

    /// Takes bytes through the filters before other responses come in.
    fn filter(&mut self, bytes: &[u8], then: Then) -> Result<(), Failed> {
        let mut filters = std::mem::take(&mut self.response.filters);
        let mut pieces = Pieces::of(bytes);
        for filter in &mut filters {
            let list = pieces.into_list();
            pieces = Pieces::default();
            let mut left = list.len();
            let mut told = false;
            for piece in list {
                left -= 1;
                match piece {
                    Piece::Bytes(bytes) => {
                        told = left == 0;
                        filter.body(self, &bytes, if told { then } else { Then::More }, &mut pieces)?;
                    }
                    Piece::Include(include) => pieces.push(Piece::Include(include)),
                }
            }
            if !told {
                filter.body(self, b"", then, &mut pieces)?;
            }
        }
        self.response.filters = filters;
        for piece in pieces.into_list() {
            match (&mut self.response.later, piece) {
                (None, Piece::Bytes(bytes)) => self.code(&bytes, Then::More)?,
                (later, Piece::Bytes(bytes)) => {
                    let bytes = Piece::Bytes(bytes.into_owned().into());
                    later.get_or_insert_default().queue.push_back(bytes);
                }
                (later, Piece::Include(include)) => {
                    later.get_or_insert_default().queue.push_back(Piece::Include(include));
                }
            }
        }
        match &mut self.response.later {
            None => self.code(b"", then),
            Some(later) => {
                later.last |= then == Then::Last;
                Ok(())
            }
        }
    }

    /// Takes bytes through the last filters, and frames them.
    fn code(&mut self, bytes: &[u8], then: Then) -> Result<(), Failed> {
        if self.response.coders.is_empty() {
            self.put(bytes, then);
            return Ok(());
        }
        let mut coders = std::mem::take(&mut self.response.coders);
        let mut held: Option<Vec<u8>> = None;
        for coder in &mut coders {
            let mut out = Pieces::default();
            coder.body(self, held.as_deref().unwrap_or(bytes), then, &mut out)?;
            held = Some(out.into_list().into_iter().next().map(Piece::into_bytes).unwrap_or_default());
        }
        self.response.coders = coders;
        self.put(held.as_deref().unwrap_or(bytes), then);
        Ok(())
    }

    /// Frames bytes for the client.
    fn put(&mut self, bytes: &[u8], then: Then) {
        let response = &mut self.response;
        response.complete |= then == Then::Last;
        if let Wire::H2(stream) = &self.wire
            && then == Then::Last
            && response.expects_trailers
        {
            stream.set_trailers(response.trailers.iter());
        }
        if !response.chunked {
            return response.out.extend_from_slice(bytes);
        }
        if !bytes.is_empty() {
            let mut digits = [0_u8; 16];
            response.out.extend_from_slice(hex(bytes.len(), &mut digits));
            response.out.extend_from_slice(b"\r\n");
            response.out.extend_from_slice(bytes);
            response.out.extend_from_slice(b"\r\n");
        }
        if then == Then::Last {
            response.out.extend_from_slice(b"0\r\n");
            for (name, value) in response.trailers.iter() {
                for part in [name, b": ", value, b"\r\n"] {
                    response.out.extend_from_slice(part);
                }
            }
            response.out.extend_from_slice(b"\r\n");
        }
    }

    /// Brings in what waits for other requests; ready when there is output, or nothing waits any more.
    pub fn poll_later(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if !self.response.out.is_empty() || self.response.broken {
                return Poll::Ready(());
            }
            let Some(later) = &mut self.response.later else { return Poll::Ready(()) };
            let outcome = match &mut later.playing {
                None => match later.queue.pop_front() {
                    Some(Piece::Bytes(bytes)) => self.code(&bytes, Then::More),
                    Some(Piece::Include(include)) => {
                        self.play(&include);
                        Ok(())
                    }
                    None => {
                        let then = if later.last { Then::Last } else { Then::More };
                        self.response.later = None;
                        self.code(b"", then)
                    }
                },
                Some(playing) => {
                    let over = playing.request.as_mut().poll(cx).is_ready();
                    let bytes = playing.spout.take();
                    if over {
                        later.playing = None;
                    } else if bytes.is_empty() {
                        return Poll::Pending;
                    }
                    self.code(&bytes, Then::More)
                }
            };
            if outcome.is_err() {
                self.cut();
            }
        }
    }

    /// Begins another request, whose response comes into this one.
    fn play(&mut self, include: &Include) {
        let mut sub = self.made_for(&include.uri);
        // All of it is the path, as in nginx.
        sub.set_uri(&include.uri, None);
        if sub.is_too_deep() {
            let shown = String::from_utf8_lossy(&include.uri).into_owned();
            return self.log(Level::Error, &format!("subrequests cycle while processing \"{shown}\""));
        }
        let spout = Rc::new(Spout::default());
        sub.wire = Wire::Sub(Sink::Into(spout.clone()));
        let request: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async move {
            sub.run_inner().await;
        });
        if let Some(later) = &mut self.response.later {
            later.playing = Some(Playing { request, spout });
        }
    }

    /// Sends what is in the output, and what waits for other requests; with the last of a body, its end.
    pub async fn flush(&mut self) {
        let timeout = self.location.settings.send_timeout;
        loop {
            let out = std::mem::take(&mut self.response.out);
            if !out.is_empty() && !self.response.broken {
                let then = if self.response.complete { Then::Last } else { Then::Flush };
                let sent = self.send_all(&out, then, timeout).await;
                self.count(sent);
            }
            self.turn().give_out(out);
            if self.response.broken || self.response.later.is_none() && self.response.out.is_empty() {
                break;
            }
            poll_fn(|cx| self.poll_brought(cx)).await;
        }
        if self.response.complete && !self.response.broken {
            self.finish().await;
        }
    }

    /// [`Self::poll_later`], unless the client leaves.
    fn poll_brought(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.poll_later(cx).is_ready() {
            return Poll::Ready(());
        }
        if self.poll_gone(cx).is_ready() {
            self.log(Level::Info, "client prematurely closed connection while sending response to client");
            self.cut();
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Waits until the system has all of the response.
    pub async fn finish(&mut self) {
        if poll_fn(|cx| Poll::Ready(self.poll_ended(cx))).await.is_ready() {
            return;
        }
        let timeout = self.location.settings.send_timeout;
        if tokio::time::timeout(timeout, poll_fn(|cx| self.poll_ended(cx))).await.is_err() {
            self.count(Err((0, io::ErrorKind::TimedOut.into())));
        }
    }

    fn count(&mut self, sent: Result<u64, (u64, io::Error)>) {
        match sent {
            Ok(bytes) => self.response.sent += bytes,
            Err((bytes, error)) => {
                self.response.sent += bytes;
                self.response.broken = true;
                self.keepalive = false;
                self.lingering = false;
                self.client_lost(&error);
            }
        }
    }

    fn client_lost(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::TimedOut {
            self.blame_client();
            if self.location.settings.reset_timedout && matches!(self.wire, Wire::H1) {
                let _ = self.connection.stream.socket().set_linger(Some(Duration::ZERO));
            }
            self.log(Level::Info, "client timed out (110: Connection timed out) while sending response to client");
        } else if error.kind() == io::ErrorKind::ConnectionAborted && error.raw_os_error().is_none() {
            self.log(Level::Info, "client prematurely closed connection while sending response to client");
        } else {
            let text = crate::conf::walk::errno(error);
            self.log(Level::Info, &format!("send() failed ({text}) while sending response to client"));
        }
    }

    async fn send_file(&mut self, file: &File, parts: Vec<(Vec<u8>, Range<u64>)>, tail: &[u8]) {
        let total: u64 = parts.iter().map(|(before, range)| before.len() as u64 + (range.end - range.start)).sum();
        if total <= TOGETHER || !self.response.is_plain() {
            for (before, range) in &parts {
                self.take(before, Then::More);
                self.read_file(file, range.clone()).await;
            }
            self.take(tail, Then::Last);
            return self.flush().await;
        }
        let timeout = self.location.settings.send_timeout;
        let settings = &self.location.settings;
        let read = if self.is_paced() && !settings.sendfile { PIECE } else { usize::MAX };
        let chunk = settings.sendfile_max_chunk.min(read);
        for (before, range) in parts {
            self.response.out.extend_from_slice(&before);
            let out = std::mem::take(&mut self.response.out);
            // A short packet of its own for the head would cost the client up to twice the work for the pages behind it.
            let sent = self.send_all(&out, Then::More, timeout).await;
            self.turn().give_out(out);
            self.count(sent);
            if self.response.broken {
                return;
            }
            let sent = self.send_range(file, range, chunk, timeout).await;
            self.count(sent);
            if self.response.broken {
                return;
            }
        }
        self.response.out.extend_from_slice(tail);
        self.response.complete = true;
        self.flush().await;
    }

    /// Takes a file's bytes into the output, flushing between large pieces.
    async fn read_file(&mut self, file: &File, range: Range<u64>) {
        let mut at = range.start;
        while at < range.end && !self.response.broken {
            let mut buffer = self.turn().buffer();
            let size = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(buffer.size());
            let room = buffer.all().get_mut(..size).unwrap_or_default();
            match file.read_at(room, at) {
                Ok(count) if count > 0 => {
                    at += count as u64;
                    self.take(buffer.at(0, count), Then::More);
                }
                _ => {
                    self.log(Level::Alert, "file was truncated while it was sent");
                    self.cut();
                }
            }
            self.turn().give(buffer);
            if self.response.out.len() > 2 * TOGETHER as usize || self.response.later.is_some() {
                self.flush().await;
            }
        }
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// What was sent before it went wrong, and how.
    async fn send_all(&self, bytes: &[u8], then: Then, timeout: Duration) -> Result<u64, (u64, io::Error)> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let sent = (bytes.len() - rest.len()) as u64;
            match self.try_send(rest, then) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.sendable(timeout).await.map_err(|error| (sent, error))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((sent, error)),
            }
        }
        Ok(bytes.len() as u64)
    }

    /// Sends a part of a file, giving way to other connections after each chunk.
    async fn send_range(
        &self,
        file: &File,
        range: Range<u64>,
        chunk: usize,
        timeout: Duration,
    ) -> Result<u64, (u64, io::Error)> {
        let mut offset = range.start;
        let end = range.end;
        let mut since_yield = 0;
        while offset < end {
            let sent = offset - range.start;
            let count = usize::try_from(end - offset).unwrap_or(usize::MAX).min(chunk);
            match self.try_send_file(file, &mut offset, count) {
                Ok(0) => return Err((sent, io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => {
                    since_yield += count;
                    if since_yield >= chunk {
                        since_yield = 0;
                        tokio::task::yield_now().await;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    since_yield = 0;
                    self.sendable(timeout).await.map_err(|error| (sent, error))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((sent, error)),
            }
        }
        Ok(range.end - range.start)
    }

    /// Waits until bytes are taken, or the time is over.
    async fn sendable(&self, timeout: Duration) -> io::Result<()> {
        self.paced().await?;
        let ready = poll_fn(|cx| self.poll_sendable(cx));
        tokio::time::timeout(timeout, ready).await.map_err(|_| io::ErrorKind::TimedOut.into())
    }
}

fn hex(mut value: usize, digits: &mut [u8; 16]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        if let Some(slot) = digits.get_mut(at) {
            *slot = b"0123456789abcdef".get(value & 15).copied().unwrap_or_default();
        }
        value >>= 4;
        if value == 0 || at == 0 {
            return digits.get(at..).unwrap_or_default();
        }
    }
}
