//! The one writer: how a response's head and body reach the client, through filters, chunks and sockets.

use crate::conf::bytes;
use crate::http::codec::h1::Method;
use crate::http::heart::client::Lifecycle;
use crate::http::heart::filter::{BodyFilter, Failed, Include, Piece, Pieces, Slot, Then};
use crate::http::heart::request::Request;
use crate::http::heart::response::{Content, Ended, Later, Playing, Waiting};
use crate::http::heart::wire::{Carries as _, Sink, Spout, Wire};
use crate::log::Level;
use crate::net::open_file::Opened;
use std::collections::VecDeque;
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
                Content::File(opened, parts, tail) => return self.send_file(&opened, parts, &tail).await,
                Content::None if !self.response.is_plain() => self.take(b"", Then::Last),
                Content::None | Content::Streamed => {}
            }
        }
        self.response.complete |= self.response.later.is_none();
        self.flush().await;
    }

    /// Makes a response that is the first slice of a whole that whole's, before ranges and conditions are looked at.
    pub fn begin_slices(&mut self) {
        if std::mem::replace(&mut self.response.is_slice_seen, true) {
            return;
        }
        let location = self.location.clone();
        for filter in location.filters.iter().filter(|filter| filter.slot() == Slot::Slice) {
            let body = filter.head(self);
            self.response.filters.extend(body);
        }
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
        self.begin_slices();
        if self.response.broken {
            return;
        }
        crate::http::route::conditional::not_modified(self);
        if self.connection.lifecycle.get() == Lifecycle::Retired {
            self.keepalive = false;
        }
        self.filter_head(|slot| slot > Slot::Slice && slot <= Slot::Sub);
        if !self.hold() {
            self.send_head();
        }
    }

    /// Lets the filters of some slots see the head.
    fn filter_head(&mut self, is_one: impl Fn(Slot) -> bool) {
        let location = self.location.clone();
        for filter in location.filters.iter().filter(|filter| is_one(filter.slot())) {
            let body = filter.head(self);
            let response = &mut self.response;
            let list = if filter.slot().is_last() { &mut response.coders } else { &mut response.filters };
            list.extend(body);
        }
    }

    /// Puts the head into the output, after the filters behind those of a whole body have seen it.
    pub fn send_head(&mut self) {
        self.filter_head(|slot| slot > Slot::Sub);
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
        let mut out = self.event_loop().out();
        crate::http::route::encode::head(self, &mut out);
        self.response.head_bytes = out.len() as u64;
        if let Wire::H2(stream) = &self.wire {
            let response = &self.response;
            let is_empty = match response.content {
                Content::None => true,
                Content::Streamed => response.length == Some(0) && !response.expects_trailers,
                _ => false,
            };
            let ends = response.head_only || is_empty && response.is_plain();
            let sent = stream.send_head(&out, ends).map(|()| out.len() as u64);
            out.clear();
            self.count(sent.map_err(|error| (0, error)));
        }
        let hints = std::mem::replace(&mut self.response.out, out);
        if !hints.is_empty() {
            // Early hints that the connection has not taken yet.
            self.response.out.splice(..0, hints);
        }
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
    pub fn cut(&mut self) {
        self.keepalive = false;
        self.malformed = true;
        self.response.broken = true;
    }

    /// Takes bytes through the filters before other responses come in.
    fn filter(&mut self, bytes: &[u8], then: Then) -> Result<(), Failed> {
        if let Some(later) = self.response.later.as_mut().filter(|later| later.has_input()) {
            later.queue.push_back(Waiting::Input { from: 0, bytes: bytes.to_vec(), then });
            return Ok(());
        }
        let mut queue = self.response.later.take().map(|later| later.queue).unwrap_or_default();
        self.filter_from(0, bytes, then, &mut queue)?;
        if !queue.is_empty() {
            self.response.later = Some(Box::new(Later { queue }));
        }
        Ok(())
    }

    /// Takes bytes through the filters from `from` on; what cannot go out yet goes to the end of `queue`.
    fn filter_from(
        &mut self,
        from: usize,
        bytes: &[u8],
        then: Then,
        queue: &mut VecDeque<Waiting>,
    ) -> Result<(), Failed> {
        let mut filters = std::mem::take(&mut self.response.filters);
        let outcome = self.filter_with(&mut filters, from, (bytes, then), queue);
        // Those whose heads were made meanwhile come behind.
        filters.append(&mut self.response.filters);
        self.response.filters = filters;
        outcome
    }

    fn filter_with(
        &mut self,
        filters: &mut [Box<dyn BodyFilter>],
        from: usize,
        (bytes, then): (&[u8], Then),
        queue: &mut VecDeque<Waiting>,
    ) -> Result<(), Failed> {
        let Some(filter) = filters.get_mut(from) else {
            if queue.is_empty() {
                return self.code(bytes, then);
            }
            queue.push_back(Waiting::Bytes(bytes.to_vec(), then));
            return Ok(());
        };
        let mut out = Pieces::default();
        filter.body(self, bytes, then, &mut out)?;
        let holds = filter.holds();
        let end = if holds { Then::More } else { then };
        let list = out.into_list();
        let (mut left, mut ended, mut stopped) = (list.len(), false, false);
        for piece in list {
            left -= 1;
            match piece {
                Piece::Bytes(bytes) => {
                    ended = left == 0;
                    let part = (&*bytes, if ended { end } else { Then::More });
                    stopped = self.pass(filters, from + 1, part, (queue, stopped))?;
                }
                Piece::Include(include) => queue.push_back(Waiting::Include(include)),
            }
        }
        if !ended && end != Then::More {
            self.pass(filters, from + 1, (b"", end), (queue, stopped))?;
        }
        if holds {
            queue.push_back(Waiting::Input { from, bytes: Vec::new(), then });
        }
        Ok(())
    }

    /// Gives bytes to the next filter, unless an earlier part waits for it; whether one waits afterwards.
    fn pass(
        &mut self,
        filters: &mut [Box<dyn BodyFilter>],
        from: usize,
        (bytes, then): (&[u8], Then),
        (queue, stopped): (&mut VecDeque<Waiting>, bool),
    ) -> Result<bool, Failed> {
        if stopped {
            queue.push_back(Waiting::Input { from, bytes: bytes.to_vec(), then });
            return Ok(true);
        }
        let before = queue.len();
        self.filter_with(filters, from, (bytes, then), queue)?;
        Ok(queue.iter().skip(before).any(|waiting| matches!(waiting, Waiting::Input { .. })))
    }

    /// Takes bytes through the last filters, and frames them.
    fn code(&mut self, bytes: &[u8], then: Then) -> Result<(), Failed> {
        if let Some(held) = self.response.held.take() {
            self.keep_held(held, bytes, then);
            return Ok(());
        }
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
        if self.overflows(bytes.len()) {
            return;
        }
        let response = &mut self.response;
        response.complete |= then == Then::Last;
        if let Wire::H2(stream) = &self.wire
            && then == Then::Last
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

    /// Whether so many bytes more are too many for a response that is kept in memory: then it ends.
    ///
    /// Differs from nginx: the head of the page it is for may have been sent. [test: a_response_that_does_not_fit_into_a_variable_ends_the_page]
    fn overflows(&mut self, more: usize) -> bool {
        let Wire::Sub(Sink::Memory(spout)) = &self.wire else { return false };
        let most = self.location.files.subrequest_output_buffer_size;
        let shown = match self.response.length {
            Some(length) if length > most => format!(": {length}"),
            _ if (spout.len() + self.response.out.len() + more) as u64 > most => String::new(),
            _ => return false,
        };
        self.log(Level::Error, &format!("too big subrequest response{shown}"));
        self.response.overflowed = true;
        self.cut();
        true
    }

    /// Brings in what waits for other requests; ready when there is output, or nothing waits any more.
    pub fn poll_later(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if !self.response.out.is_empty() || self.response.broken {
                return Poll::Ready(());
            }
            let Some(mut later) = self.response.later.take() else { return Poll::Ready(()) };
            self.poll_includes(&mut later, cx);
            let Some(next) = later.queue.pop_front() else { continue };
            let outcome = match next {
                Waiting::Bytes(bytes, then) => self.code(&bytes, then),
                Waiting::Input { from, bytes, then } => {
                    let rest = std::mem::take(&mut later.queue);
                    let outcome = self.filter_from(from, &bytes, then, &mut later.queue);
                    later.queue.extend(rest);
                    outcome
                }
                Waiting::Playing(playing) => {
                    let outcome = self.bring(playing, &mut later);
                    if matches!(outcome, Ok(false)) {
                        self.response.later = Some(later);
                        return Poll::Pending;
                    }
                    outcome.map(|_| ())
                }
                Waiting::Include(_) => Ok(()),
            };
            if !later.queue.is_empty() {
                self.response.later = Some(later);
            }
            if outcome.is_err() {
                self.response.later = None;
                self.cut();
            }
        }
    }

    /// Begins the requests that have not begun, and lets all of them go on.
    fn poll_includes(&mut self, later: &mut Later, cx: &mut Context<'_>) {
        for waiting in &mut later.queue {
            if let Waiting::Include(include) = waiting {
                match self.play(std::mem::take(include)) {
                    Some(playing) => *waiting = Waiting::Playing(playing),
                    None => *waiting = Waiting::Bytes(Vec::new(), Then::More),
                }
                // nginx runs those of an inner request after the others of the outer one.
                if self.is_subrequest() {
                    cx.waker().wake_by_ref();
                    continue;
                }
            }
            if let Waiting::Playing(playing) = waiting {
                playing.poll(cx);
            }
        }
    }

    /// Takes what there is of another request's response, whose turn it is; whether there was any, or its end.
    fn bring(&mut self, mut playing: Playing, later: &mut Later) -> Result<bool, Failed> {
        let Some(ended) = playing.ended else {
            let bytes = if playing.keep.is_none() { playing.spout.take() } else { Vec::new() };
            later.queue.push_front(Waiting::Playing(playing));
            if bytes.is_empty() {
                return Ok(false);
            }
            self.code(&bytes, Then::More)?;
            return Ok(true);
        };
        if ended.failed {
            return Err(Failed);
        }
        let bytes = playing.spout.take();
        match playing.keep.take() {
            None => self.code(&bytes, Then::More)?,
            Some(keep) if ended.status < 300 => keep(bytes),
            Some(_) => {}
        }
        Ok(true)
    }

    /// Begins another request, whose response comes into this one; nothing where they are nested too deeply.
    fn play(&mut self, include: Include) -> Option<Playing> {
        let Include { uri, args, stub, keep, repeats } = include;
        let mut sub = if repeats { self.repeated() } else { self.made_for(&uri) };
        if !repeats {
            sub.set_uri(&uri, args.as_deref());
        }
        if sub.is_too_deep() {
            let shown = String::from_utf8_lossy(&uri).into_owned();
            self.log(Level::Error, &format!("subrequests cycle while processing \"{shown}\""));
            return None;
        }
        let spout = Rc::new(Spout::default());
        sub.wire = Wire::Sub(match keep {
            None => Sink::Into(spout.clone()),
            Some(_) => Sink::Memory(spout.clone()),
        });
        if let Some(parent) = &mut sub.parent {
            parent.stub = stub.map(|bytes| (self.response.content_type.clone(), bytes));
        }
        let request: Pin<Box<dyn Future<Output = Ended>>> = Box::pin(async move {
            if repeats {
                sub.run_content().await;
            } else {
                sub.run_inner().await;
            }
            let cut = repeats && sub.response.broken | sub.malformed;
            Ended { status: sub.response.final_status(), failed: sub.response.overflowed || cut }
        });
        Some(Playing { request, spout, ended: None, keep })
    }

    /// Sends the stub of a subrequest whose response was empty.
    pub async fn send_stub(&mut self) {
        if self.response.sent > 0 || self.response.broken {
            return;
        }
        let Some((_, bytes)) = self.take_stub() else { return };
        self.response.complete = false;
        self.take(&bytes, Then::Last);
        self.flush().await;
    }

    /// The stub of this subrequest and its type; once.
    pub fn take_stub(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        self.parent.as_mut().and_then(|parent| parent.stub.take())
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
            self.event_loop().give_out(out);
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
        if self.response.held.is_some() {
            return;
        }
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

    async fn send_file(&mut self, opened: &Opened, parts: Vec<(Vec<u8>, Range<u64>)>, tail: &[u8]) {
        let total: u64 = parts.iter().map(|(before, range)| before.len() as u64 + (range.end - range.start)).sum();
        if total <= TOGETHER || !self.response.is_plain() {
            // What filters make of a body depends on whether they know that it ends.
            let ends = tail.is_empty() && parts.last().is_some_and(|(_, range)| !range.is_empty());
            let mut left = parts.len();
            for (before, range) in &parts {
                left -= 1;
                if !before.is_empty() {
                    self.take(before, Then::More);
                }
                let then = if ends && left == 0 { Then::Last } else { Then::More };
                self.read_file(opened, range.clone(), then).await;
            }
            if !ends {
                self.take(tail, Then::Last);
            }
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
            self.event_loop().give_out(out);
            self.count(sent);
            if self.response.broken {
                return;
            }
            let start = range.start;
            match self.send_range(&opened.file, range, chunk, timeout).await {
                Err((sent, error))
                    if error.kind() == io::ErrorKind::UnexpectedEof && error.raw_os_error().is_none() =>
                {
                    self.response.sent += sent;
                    let (path, at) = (bytes::text(&opened.path), start + sent);
                    let text = format!("sendfile() reported that \"{path}\" was truncated at {at}");
                    self.log(Level::Alert, &format!("{text} while sending response to client"));
                    self.cut();
                }
                sent => self.count(sent),
            }
            if self.response.broken {
                return;
            }
        }
        self.response.out.extend_from_slice(tail);
        self.response.complete = true;
        self.flush().await;
    }

    /// Takes a file's bytes into the output, flushing between large pieces; `then` follows them.
    async fn read_file(&mut self, opened: &Opened, range: Range<u64>, then: Then) {
        let mut at = range.start;
        while at < range.end && !self.response.broken {
            let mut buffer = self.event_loop().buffer();
            let size = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(buffer.size());
            let room = buffer.all().get_mut(..size).unwrap_or_default();
            match opened.file.read_at(room, at) {
                Ok(count) if count == size => {
                    at += count as u64;
                    self.take(buffer.at(0, count), if at == range.end { then } else { Then::More });
                }
                Ok(count) => {
                    let path = bytes::text(&opened.path);
                    let text = format!("pread() read only {count} of {size} from \"{path}\"");
                    self.log(Level::Alert, &format!("{text} while sending response to client"));
                    self.cut();
                }
                Err(error) => {
                    let (path, text) = (bytes::text(&opened.path), crate::conf::walk::errno(&error));
                    self.log(
                        Level::Crit,
                        &format!("pread() \"{path}\" failed ({text}) while sending response to client"),
                    );
                    self.cut();
                }
            }
            self.event_loop().give(buffer);
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
