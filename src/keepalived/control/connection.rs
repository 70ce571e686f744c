//! One client: HTTP by hyper, run whenever the parent's loop wakes up, and ended when its time is over.

use super::answer::{Answers, Reply};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use nix::poll::PollFlags;
use socket2::{SockRef, Socket};
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, ready};
use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// How long a request may take to come.
const REQUEST: Duration = Duration::from_secs(5);
/// How long a client may leave an answer unread.
const STALL: Duration = Duration::from_secs(5);
/// How long an answer may take as a whole, one without an end excepted.
const ANSWER: Duration = Duration::from_secs(30);
/// The longest head of a request, and what is read at once.
const HEAD: usize = 8 * 1024;

/// What clients may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything.
    Control,
    /// The numbers alone.
    Metrics,
}

/// What the parent's loop must know of a socket that hyper uses.
#[derive(Debug)]
struct Progress {
    /// hyper waits for bytes to come.
    reads: Cell<bool>,
    /// Since when hyper waits for room, and nothing was taken.
    blocked: Cell<Option<Instant>>,
}

/// The future that serves one connection.
type Serving = Pin<Box<dyn Future<Output = hyper::Result<()>>>>;

/// A client.
pub struct Connection {
    socket: Rc<Socket>,
    kind: Kind,
    serving: Serving,
    progress: Rc<Progress>,
    accepted: Instant,
    /// When its request was answered, and whether that answer has an end.
    answered: Rc<Cell<Option<(Instant, bool)>>>,
}

impl Connection {
    /// Serves a client that has just been accepted.
    pub fn new(socket: Socket, kind: Kind, answers: &Rc<RefCell<Answers>>, now: Instant) -> Self {
        let socket = Rc::new(socket);
        let progress = Rc::new(Progress { reads: Cell::new(true), blocked: Cell::new(None) });
        let answered = Rc::new(Cell::new(None));
        let (answers, noted) = (Rc::clone(answers), Rc::clone(&answered));
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let response = answers.borrow_mut().answer(request.method(), request.uri().path(), kind);
            noted.set(Some((Instant::now(), response.body().has_end())));
            ready(Ok::<hyper::Response<Reply>, Infallible>(response))
        });
        let stream = Stream { socket: Rc::clone(&socket), progress: Rc::clone(&progress) };
        let serving = http1::Builder::new().keep_alive(false).max_buf_size(HEAD).serve_connection(stream, service);
        Self { socket, kind, serving: Box::pin(serving), progress, accepted: now, answered }
    }

    /// What it may ask for.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What is to be waited for. Without any, the end of the connection would be told again and again.
    pub fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, self.progress.reads.get());
        flags.set(PollFlags::POLLOUT, self.progress.blocked.get().is_some());
        (!flags.is_empty()).then(|| (self.socket.as_fd(), flags))
    }

    /// When its time is over, unless something comes.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.answered.get() {
            None => Some(self.accepted + REQUEST),
            Some((at, ends)) => {
                let stalled = self.progress.blocked.get().map(|since| since + STALL);
                ends.then(|| at + ANSWER).into_iter().chain(stalled).min()
            }
        }
    }

    /// Goes on with it; whether it stays.
    pub fn run(&mut self, now: Instant) -> bool {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            return false;
        }
        self.progress.reads.set(false);
        // The loop asks again whenever it wakes up, so nobody needs to be woken.
        self.serving.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }
}

/// The socket, as hyper uses it.
struct Stream {
    socket: Rc<Socket>,
    progress: Rc<Progress>,
}

impl Stream {
    fn written(&self, outcome: io::Result<usize>) -> Poll<io::Result<usize>> {
        let blocked = &self.progress.blocked;
        match outcome {
            Err(error) if is_busy(&error) => {
                blocked.set(blocked.get().or_else(|| Some(Instant::now())));
                Poll::Pending
            }
            outcome => {
                blocked.set(None);
                Poll::Ready(outcome)
            }
        }
    }
}

fn is_busy(error: &io::Error) -> bool {
    [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted].contains(&error.kind())
}

impl Read for Stream {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0; HEAD];
        let room = bytes.len().min(buffer.remaining());
        match self.socket.as_ref().read(bytes.get_mut(..room).unwrap_or_default()) {
            Ok(length) => {
                buffer.put_slice(bytes.get(..length).unwrap_or_default());
                Poll::Ready(Ok(()))
            }
            Err(error) if is_busy(&error) => {
                self.progress.reads.set(true);
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written(self.socket.as_ref().write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.written(self.socket.as_ref().write_vectored(parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A client that is gone has nothing to shut down.
        let _ = SockRef::from(self.socket.as_ref()).shutdown(Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}
