//! The load generator: one thread, epoll, every answer checked byte by byte.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::time::{ClockId, clock_gettime};

/// What is asked again and again, and what must come back.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The server.
    pub address: SocketAddr,
    /// The bytes of a request.
    pub request: Vec<u8>,
    /// The body of every answer (with `plain`, all of the answer).
    pub body: Arc<Vec<u8>>,
    /// No HTTP: the answer is the body alone.
    pub plain: bool,
    /// How many connections ask at once.
    pub connections: usize,
    /// A connection for each request; the server closes it (with `plain` the client does).
    pub fresh: bool,
}

/// What a run brought.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Right answers.
    pub answers: u64,
    /// Wrong answers.
    pub wrong: u64,
    /// Connections that failed or were cut inside an answer.
    pub failed: u64,
    /// What the first wrong answer or failure was.
    pub complaint: Option<String>,
    /// How long it took.
    pub elapsed: Duration,
    /// Processor time of the generator.
    pub processor: Duration,
    /// Microseconds from a request's first byte to its answer's last, one an answer.
    pub latencies: Vec<u32>,
}

struct Connection {
    stream: TcpStream,
    /// When the request under way began.
    began: Instant,
    sent: usize,
    head: Vec<u8>,
    /// Where in the body we are, once the head is read.
    body: Option<usize>,
    closing: bool,
    idle: bool,
}

enum Next {
    Wait,
    Again,
    Renew,
}

/// A run under way.
struct Run<'a> {
    plan: &'a Plan,
    epoll: Epoll,
    connections: HashMap<u64, Connection>,
    numbers: u64,
    figures: Figures,
}

/// The processor time of the calling thread.
pub fn own_processor() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// Loads the server until the time is over or `stop` is set.
pub fn run(plan: &Plan, time: Duration, stop: &AtomicBool) -> io::Result<Figures> {
    let mut run = Run {
        plan,
        epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
        connections: HashMap::new(),
        numbers: 0,
        figures: Figures::default(),
    };
    let (begin, processor) = (Instant::now(), own_processor());
    for _ in 0..plan.connections {
        run.open();
    }
    let mut events = vec![EpollEvent::empty(); 256];
    let mut buffer = vec![0; 256 * 1024];
    let end = begin + time;
    while Instant::now() < end && !stop.load(Ordering::Relaxed) {
        let count = run.epoll.wait(&mut events, EpollTimeout::from(50_u8)).unwrap_or(0);
        for event in &events[..count] {
            run.event(event.data(), event.events(), &mut buffer);
        }
        while run.connections.len() < plan.connections && run.figures.failed < 1000 {
            run.open();
        }
    }
    run.figures.elapsed = begin.elapsed();
    run.figures.processor = own_processor().saturating_sub(processor);
    Ok(run.figures)
}

impl Run<'_> {
    fn complain(&mut self, what: impl Into<String>) {
        self.figures.complaint.get_or_insert_with(|| what.into());
    }

    fn open(&mut self) {
        let stream = TcpStream::connect_timeout(&self.plan.address, Duration::from_secs(2));
        let opened = stream.and_then(|stream| {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        match opened {
            Ok(stream) => {
                self.numbers += 1;
                let number = self.numbers;
                let _ = self.epoll.add(stream.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, number));
                let connection = Connection {
                    stream,
                    began: Instant::now(),
                    sent: 0,
                    head: Vec::new(),
                    body: None,
                    closing: false,
                    idle: true,
                };
                self.connections.insert(number, connection);
                self.send(number);
            }
            Err(error) => {
                self.figures.failed += 1;
                self.complain(format!("connect: {error}"));
            }
        }
    }

    fn send(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        connection.idle = false;
        if connection.sent == 0 {
            connection.began = Instant::now();
        }
        let waits = connection.sent > 0;
        while connection.sent < self.plan.request.len() {
            match connection.stream.write(&self.plan.request[connection.sent..]) {
                Ok(length) => connection.sent += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT, number);
                    let _ = self.epoll.modify(connection.stream.as_fd(), &mut event);
                    return;
                }
                // Whoever reads will learn it.
                Err(_) => break,
            }
        }
        if waits {
            let mut event = EpollEvent::new(EpollFlags::EPOLLIN, number);
            let _ = self.epoll.modify(connection.stream.as_fd(), &mut event);
        }
    }

    fn event(&mut self, number: u64, flags: EpollFlags, buffer: &mut [u8]) {
        if flags.contains(EpollFlags::EPOLLOUT) {
            self.send(number);
        }
        if !flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
            return;
        }
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let next = match connection.stream.read(buffer) {
            Ok(0) => self.ended(number, "closed"),
            Ok(length) => self.take(number, &buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Next::Wait,
            Err(error) => self.ended(number, &error.to_string()),
        };
        match next {
            Next::Wait => {}
            Next::Again => self.send(number),
            Next::Renew => {
                self.connections.remove(&number);
            }
        }
    }

    /// The server has closed: as it should, or in the middle of something.
    fn ended(&mut self, number: u64, how: &str) -> Next {
        let connection = self.connections.get(&number);
        // An idle connection may be closed, and one that was just reused can lose the race against the server's close.
        if connection.is_some_and(|connection| !connection.idle && !connection.closing) {
            self.figures.failed += 1;
            self.complain(format!("{how} before the answer was there"));
        }
        Next::Renew
    }

    fn take(&mut self, number: u64, bytes: &[u8]) -> Next {
        let Some(connection) = self.connections.get_mut(&number) else { return Next::Wait };
        let mut bytes = bytes;
        let plan = self.plan;
        if connection.body.is_none() && !plan.plain {
            let before = connection.head.len();
            connection.head.extend_from_slice(bytes);
            let from = before.saturating_sub(3);
            let Some(end) = connection.head[from..].windows(4).position(|four| four == b"\r\n\r\n") else {
                return Next::Wait;
            };
            let end = from + end + 4;
            bytes = &bytes[end - before..];
            if let Err(complaint) = check_head(&connection.head[..end], plan.body.len(), &mut connection.closing) {
                self.figures.wrong += 1;
                self.complain(complaint);
                return Next::Renew;
            }
        }
        let at = connection.body.unwrap_or(0);
        let expected = plan.body.get(at..at + bytes.len());
        if expected != Some(bytes) {
            self.figures.wrong += 1;
            self.complain(format!("another body at byte {at}: {}", bytes[..bytes.len().min(60)].escape_ascii()));
            return Next::Renew;
        }
        connection.body = Some(at + bytes.len());
        if at + bytes.len() < plan.body.len() {
            return Next::Wait;
        }
        self.figures.answers += 1;
        self.figures.latencies.push(u32::try_from(connection.began.elapsed().as_micros()).unwrap_or(u32::MAX));
        connection.head.clear();
        connection.body = None;
        connection.sent = 0;
        connection.idle = true;
        match (plan.fresh, plan.plain, connection.closing) {
            (true, true, _) => Next::Renew,
            (true, false, _) | (_, _, true) => {
                connection.closing = true;
                Next::Wait
            }
            _ => Next::Again,
        }
    }
}

/// Whether a head says 200 and the right length; notes whether the server will close.
fn check_head(head: &[u8], length: usize, closing: &mut bool) -> Result<(), String> {
    let complaint = || head.escape_ascii().to_string();
    if !(head.starts_with(b"HTTP/1.1 200") || head.starts_with(b"HTTP/1.0 200")) {
        return Err(complaint());
    }
    let mut announced = None;
    for line in head.split(|byte| *byte == b'\n') {
        if line.len() > 15 && line[..15].eq_ignore_ascii_case(b"content-length:") {
            announced = std::str::from_utf8(&line[15..]).ok().and_then(|text| text.trim().parse::<usize>().ok());
        } else if line.len() > 16 && line[..16].eq_ignore_ascii_case(b"connection: clos") {
            *closing = true;
        }
    }
    if announced == Some(length) { Ok(()) } else { Err(complaint()) }
}
