//! What an event loop owns: its number, clock, buffers, open files, and the log files to flush before it sleeps.

use super::budget;
use super::deadline::Deadline;
use super::open_file::OpenFiles;
use super::pipes::Pipes;
use super::resolver::Resolvers;
use crate::log::Log;
use crate::log::clock::Clock;
use crate::log::file::File;
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use send_wrapper::SendWrapper;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::task::JoinHandle;

/// Bytes in a pooled buffer.
pub const BUFFER: usize = 16 * 1024;
/// Free buffers a loop keeps.
const SPARE: usize = 64;

/// Bytes read from a peer that sends much, at a time.
pub const SCRATCH: usize = 128 * 1024;

/// A pooled buffer with a filled part.
pub struct Buffer {
    bytes: Box<[u8]>,
    /// First filled byte.
    pub start: usize,
    /// One past the last filled byte.
    pub end: usize,
}

impl Buffer {
    /// A buffer of `size` bytes.
    pub fn new(size: usize) -> Self {
        Self { bytes: vec![0; size].into(), start: 0, end: 0 }
    }

    /// What is filled.
    pub fn filled(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// What is free behind the filled part.
    pub fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Everything.
    pub fn all(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Bytes from the buffer's first.
    pub fn at(&self, start: usize, end: usize) -> &[u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Its size.
    pub const fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Appends a byte, in more memory if it must.
    pub fn push(&mut self, byte: u8) {
        if self.room().is_empty() {
            self.grow(self.size() + BUFFER);
        }
        if let Some(room) = self.room().first_mut() {
            *room = byte;
            self.end += 1;
        }
    }

    /// Moves the filled part to the front.
    pub fn compact(&mut self) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }

    /// The same bytes at the same places, in no more memory than they need.
    pub fn fitted(&self) -> Self {
        Self { bytes: self.at(0, self.end).into(), start: self.start, end: self.end }
    }

    /// Makes room for at least `size` bytes in all.
    pub fn grow(&mut self, size: usize) {
        if size > self.bytes.len() {
            let mut bytes = vec![0; size];
            let filled = self.bytes.get(..self.end).unwrap_or_default();
            if let Some(head) = bytes.get_mut(..filled.len()) {
                head.copy_from_slice(filled);
            }
            self.bytes = bytes.into();
        }
    }
}

/// Log files with lines to write when the loop goes to sleep.
pub type Unwritten = Arc<Mutex<Vec<Arc<File>>>>;

/// One event loop's own things.
pub struct EventLoop {
    /// The loop's number.
    pub number: usize,
    /// `worker_connections`.
    pub connections: Cell<usize>,
    /// How many of them listening takes.
    pub listening: Cell<usize>,
    /// Its clock, looked at once for each batch of work.
    pub clock: Clock,
    spare: RefCell<Vec<Buffer>>,
    deadlines: RefCell<Vec<Deadline>>,
    out: Cell<Vec<u8>>,
    line: Cell<Vec<u8>>,
    scratch: Cell<Vec<u8>>,
    texts: RefCell<Vec<Vec<u8>>>,
    unwritten: Unwritten,
    /// What ends when the logs are written.
    ending: RefCell<Vec<Rc<dyn Any>>>,
    /// Where failed writes of access logs go.
    pub errors: RefCell<Log>,
    /// Files opened for what is served now.
    pub files: OpenFiles,
    /// Its pipes.
    pub pipes: Rc<Pipes>,
    /// Its resolvers.
    pub resolvers: Resolvers,
}

impl EventLoop {
    /// Loop `number`, whose runtime writes `unwritten` before it sleeps.
    pub fn new(number: usize, unwritten: Unwritten) -> Self {
        Self {
            files: OpenFiles::default(),
            pipes: Rc::default(),
            resolvers: Resolvers::default(),
            errors: RefCell::default(),
            number,
            connections: Cell::new(usize::MAX),
            listening: Cell::new(0),
            clock: Clock::new(),
            spare: RefCell::default(),
            deadlines: RefCell::default(),
            out: Cell::default(),
            line: Cell::default(),
            scratch: Cell::default(),
            texts: RefCell::default(),
            ending: RefCell::default(),
            unwritten,
        }
    }

    /// An empty buffer of the usual size.
    pub fn buffer(&self) -> Buffer {
        self.spare.borrow_mut().pop().unwrap_or_else(|| Buffer::new(BUFFER))
    }

    /// Takes a buffer back.
    pub fn give(&self, mut buffer: Buffer) {
        let mut spare = self.spare.borrow_mut();
        if buffer.size() == BUFFER && spare.len() < SPARE {
            buffer.start = 0;
            buffer.end = 0;
            spare.push(buffer);
        }
    }

    /// A deadline whose timer may be armed already, for waits too short to arm one each.
    pub fn deadline(&self) -> Deadline {
        self.deadlines.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a deadline back.
    pub fn give_deadline(&self, mut deadline: Deadline) {
        let mut deadlines = self.deadlines.borrow_mut();
        if deadlines.len() < SPARE {
            deadline.clear();
            deadlines.push(deadline);
        }
    }

    /// Makes it the loop of this thread.
    pub fn enter(self: &Rc<Self>) {
        LOOP.set(Rc::downgrade(self));
    }

    /// Looks at the clock, and forgets what was opened before: both go out of date while the loop sleeps.
    fn refresh(&self) {
        self.clock.update();
        self.files.forget();
    }

    /// The loop's output vector; give it back with [`Self::give_out`].
    pub fn out(&self) -> Vec<u8> {
        self.out.take()
    }

    /// Takes the output vector back, unless it grew large, or has no memory to use again.
    pub fn give_out(&self, mut out: Vec<u8>) {
        if (1..=4 * BUFFER).contains(&out.capacity()) {
            out.clear();
            self.out.set(out);
        }
    }

    /// A vector of [`SCRATCH`] bytes to read large pieces into; give it back with [`Self::give_scratch`].
    pub fn scratch(&self) -> Vec<u8> {
        let scratch = self.scratch.take();
        if scratch.is_empty() { vec![0; SCRATCH] } else { scratch }
    }

    /// Takes the scratch vector back.
    pub fn give_scratch(&self, scratch: Vec<u8>) {
        self.scratch.set(scratch);
    }

    /// An empty vector for a short text, as a head to send; give it back with [`Self::give_text`].
    pub fn text(&self) -> Vec<u8> {
        self.texts.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(512))
    }

    /// Takes a text's vector back, unless it grew large.
    pub fn give_text(&self, mut text: Vec<u8>) {
        let mut texts = self.texts.borrow_mut();
        if texts.len() < SPARE && text.capacity() <= BUFFER {
            text.clear();
            texts.push(text);
        }
    }

    /// An empty vector for a log line; give it back with [`Self::give_line`].
    pub fn line(&self) -> Vec<u8> {
        self.line.take()
    }

    /// Takes a log line's vector back.
    pub fn give_line(&self, mut line: Vec<u8>) {
        line.clear();
        self.line.set(line);
    }

    /// Appends a line to a log; it is written before the loop sleeps.
    pub fn log(&self, file: &Arc<File>, line: &[u8]) {
        if file.append(self.number, line, &self.errors.borrow()) && !file.buffered() {
            self.unwritten.lock().push(file.clone());
        }
    }

    /// Writes what was logged, where a client is told that nothing follows before its connection ends.
    pub fn write_logs(&self) {
        write_logs(self.number, &self.unwritten);
    }

    /// Lets go of a connection when what was logged is written: a client that sees its end finds its line, as in nginx.
    pub fn end_logged(&self, connection: Rc<dyn Any>) {
        if !self.unwritten.lock().is_empty() {
            self.ending.borrow_mut().push(connection);
        }
    }
}

/// Writes what loop `number` logged since it last slept.
pub fn write_logs(number: usize, unwritten: &Unwritten) {
    let mut files = unwritten.lock();
    if files.is_empty() {
        return;
    }
    let event_loop = LOOP.with_borrow(Weak::upgrade);
    let errors = event_loop.as_ref().map(|event_loop| event_loop.errors.borrow().clone()).unwrap_or_default();
    for file in files.drain(..) {
        file.flush(number, false, &errors);
    }
    drop(files);
    drop(event_loop.map(|event_loop| event_loop.ending.take()));
}

/// To be called when a loop's runtime wakes up, before its tasks run.
pub fn woken() {
    RUNS.set(0);
    if let Some(event_loop) = LOOP.with_borrow(Weak::upgrade) {
        event_loop.refresh();
    }
}

/// Runs of tasks after which a loop that never sleeps looks at the clock and writes its logs.
const RUNS_AWAKE: u32 = 256;

/// Counts a run of a task.
fn count_run() {
    let runs = RUNS.get() + 1;
    RUNS.set(runs);
    if runs >= RUNS_AWAKE {
        RUNS.set(0);
        if let Some(event_loop) = LOOP.with_borrow(Weak::upgrade) {
            write_logs(event_loop.number, &event_loop.unwritten);
            event_loop.refresh();
        }
    }
}

thread_local! {
    /// This thread's loop.
    static LOOP: RefCell<Weak<EventLoop>> = const { RefCell::new(Weak::new()) };
    /// Runs of tasks since the loop last slept.
    static RUNS: Cell<u32> = const { Cell::new(0) };
}

pin_project! {
    /// A task of a loop; each run has a budget of its own.
    struct Task<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Task<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        count_run();
        budget::with_fresh(|| self.project().future.poll(cx))
    }
}

/// Starts a task on this loop. Its future stays on the thread it was made on, as every loop has one thread; said to the
/// runtime this way it is queued without the lock and the wake-up that tasks from elsewhere need.
pub fn spawn(future: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
    tokio::task::spawn(SendWrapper::new(Task { future }))
}
