//! The control socket: HTTP over a Unix socket that only its owner can use, answered by the parent from its own copy of the
//! status. No query reaches the processes that serve: that of virtual routers reports changes by itself, and everything,
//! counters included, when the copy is old as somebody comes, at most once in five seconds. One that does not report is not
//! waited for longer than a second.
//!
//! | request | answer |
//! |---|---|
//! | `GET /status` | everything, as JSON |
//! | `GET /watch` | a line of JSON for each change from now on |
//! | `GET /configuration` | the text of the configuration in use, with digests in the place of passwords |
//! | `GET /metrics` | the numbers, as Prometheus reads them |
//!
//! The numbers are told over TCP as well, where an address is given for that.
//!
//! Clients are bounded: so many at once, so long for a request and for each part of an answer, so much memory. Who comes
//! when all places are taken waits in the listener's queue.

mod answer;
mod connection;
mod listener;
mod metrics;

use self::answer::Answers;
use self::connection::Connection;
use self::listener::Listener;
use super::log::Log;
use super::report::Report;
use super::status::{self, Status};
use crate::conf::diagnostic::reason;
use crate::sys::memory::end_start;
use nix::poll::PollFlags;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Where a daemon is reached unless something else is said.
pub const DEFAULT: &str = "/run/keepalived.sock";

/// Clients at once, of each listener.
const CLIENTS: usize = 16;

/// How old a status may be that clients get.
const FRESH: Duration = Duration::from_secs(5);

/// How long clients wait for a newer one.
const PATIENCE: Duration = Duration::from_secs(1);

/// The parent's copy of the status, and who asks for it.
pub struct Control {
    listeners: Vec<Listener>,
    connections: Vec<Connection>,
    answers: Rc<RefCell<Answers>>,
    /// When the VRRP process last reported, or was asked to.
    updated: Option<Instant>,
    /// Until when clients wait for its report.
    waiting: Option<Instant>,
}

/// The socket of the daemon whose pid file is this.
pub fn path(pid_file: &Path) -> PathBuf {
    pid_file.with_extension("sock")
}

impl Control {
    /// A status that nobody can ask for yet.
    pub fn new(version: &str) -> Self {
        let status = Status {
            version: version.to_owned(),
            pid: std::process::id(),
            started: status::now(),
            ..Status::default()
        };
        let answers = Rc::new(RefCell::new(Answers::new(status)));
        Self { listeners: Vec::new(), connections: Vec::new(), answers, updated: None, waiting: None }
    }

    /// Answers at a Unix socket, which goes when this is dropped. Where that is impossible, it is said.
    pub fn listen_at(&mut self, path: &Path, log: &Log) {
        match Listener::unix(path) {
            Ok(listener) => self.listeners.push(listener),
            Err(error) => log.say(format!("Unable to open control socket {} - {}", path.display(), reason(&error))),
        }
    }

    /// Tells the numbers at a TCP address. Where that is impossible, it is said.
    pub fn tell_metrics_at(&mut self, address: SocketAddr, log: &Log) {
        match Listener::tcp(address) {
            Ok(listener) => self.listeners.push(listener),
            Err(error) => log.say(format!("Unable to open metrics address {address} - {}", reason(&error))),
        }
    }

    /// Whether anybody can ask.
    pub fn is_open(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// What is to be waited for.
    pub fn interests(&self, now: Instant) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let full = |kind| self.connections.iter().filter(|one| one.kind() == kind).count() >= CLIENTS;
        let listeners = self.listeners.iter().filter(|one| !one.is_paused(now) && !full(one.kind()));
        let listeners = listeners.map(|one| (one.as_fd(), PollFlags::POLLIN));
        let connections = self.connections.iter().filter(|_| self.waiting.is_none());
        listeners.chain(connections.filter_map(Connection::interest)).collect()
    }

    /// When there is something to do though nothing came.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let paused = self.listeners.iter().filter_map(|one| one.paused_until(now));
        self.connections.iter().filter_map(Connection::poll_timeout).chain(paused).chain(self.waiting).min()
    }

    /// Takes new clients, goes on with the others, and closes those whose time is over; whether the VRRP process is to be
    /// asked for a report.
    pub fn run(&mut self, now: Instant) -> bool {
        let before = self.connections.len();
        for listener in &mut self.listeners {
            let kind = listener.kind();
            while self.connections.iter().filter(|one| one.kind() == kind).count() < CLIENTS {
                let Some(stream) = listener.accept(now) else { break };
                self.connections.push(Connection::new(stream, kind, &self.answers, now));
            }
        }
        let is_old = self.updated.is_some_and(|at| at + FRESH <= now);
        let asks = is_old && self.connections.len() > before;
        if asks {
            (self.updated, self.waiting) = (Some(now), Some(now + PATIENCE));
        }
        self.waiting.take_if(|until| *until <= now);
        if self.waiting.is_none() {
            self.connections.retain_mut(|connection| connection.run(now));
        }
        asks
    }

    /// Takes a report of the VRRP process.
    pub fn take(&mut self, report: Report, now: Instant) {
        if matches!(report, Report::Lateness(_)) {
            if self.updated.is_none() {
                // With the first report the start is over.
                end_start();
            }
            // It is the last of a report.
            (self.updated, self.waiting) = (Some(now), None);
        }
        self.answers.borrow_mut().take(report);
    }

    /// The VRRP process runs with this number, or does not run.
    pub fn set_process(&mut self, pid: Option<i32>) {
        // One that does not run is not asked, and one that has just started reports.
        (self.updated, self.waiting) = (None, None);
        self.answers.borrow_mut().set_process(pid);
    }

    /// The process of health checks runs with this number, or does not run.
    pub fn set_checkers(&mut self, pid: Option<i32>) {
        self.answers.borrow_mut().set_checkers(pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keepalived::status::Lateness;
    use std::net::{Ipv4Addr, TcpStream};

    #[test]
    fn clients_wait_for_a_report_where_the_last_is_old_and_not_for_long() {
        let mut control = Control::new("0");
        let listener = Listener::tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.address().unwrap();
        control.listeners.push(listener);
        let (start, report) = (Instant::now(), || Report::Lateness(Lateness::default()));
        let come = |control: &mut Control, after: u64| {
            let _client = TcpStream::connect(address).unwrap();
            control.run(start + Duration::from_millis(after))
        };
        // Before its first report nobody is asked: it is about to report.
        assert!(!come(&mut control, 0) && control.waiting.is_none());
        control.take(report(), start);
        assert!(!come(&mut control, 4_900) && control.waiting.is_none());
        assert!(come(&mut control, 5_000) && control.waiting.is_some());
        assert_eq!(control.poll_timeout(start), control.waiting);
        // Others wait for the same report.
        assert!(!come(&mut control, 5_100));
        control.take(report(), start + Duration::from_millis(5_200));
        assert!(control.waiting.is_none());
        // Where none comes, they get what is known, and nobody is asked again at once.
        assert!(come(&mut control, 10_200));
        assert!(!control.run(start + Duration::from_millis(11_199)) && control.waiting.is_some());
        assert!(!control.run(start + Duration::from_millis(11_200)) && control.waiting.is_none());
        assert!(!come(&mut control, 12_000));
    }
}
