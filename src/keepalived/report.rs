//! What the VRRP process and that of health checks report to the parent, which alone speaks with the service manager and
//! answers queries.
//!
//! Messages go over a pair of sockets that keep their boundaries, and nobody waits: a parent that does not read is told
//! later. The other way the parent sends one thing only: that somebody asks for the counters.

use super::status::server::{RealServer, VirtualServer};
use super::status::{Group, Instance, Lateness, Script};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};

/// The longest message.
const LONGEST: usize = 64 * 1024;
/// A piece of the configuration in one message; JSON may make it six times as long.
const PIECE: usize = 8 * 1024;

/// What is reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Report {
    /// The configuration is in use.
    Running,
    /// A new configuration cannot be run; the previous one is in use.
    Refused,
    /// The configuration was read, and is in use or refused.
    Read,
    /// Part of the text of the configuration in use.
    Configuration {
        /// It begins here.
        first: bool,
        /// The text.
        text: String,
    },
    /// How many instances, groups and scripts there are.
    Count(usize, usize, usize),
    /// How late the loop is.
    Lateness(Lateness),
    /// An instance, by its place.
    Instance(usize, Box<Instance>),
    /// A group, by its place.
    Group(usize, Group),
    /// A script, by its place.
    Script(usize, Script),
    /// How many virtual servers there are.
    Servers(usize),
    /// A virtual server by its place, without its real servers, and how many those are.
    Server(usize, usize, Box<VirtualServer>),
    /// A real server, by the place of its virtual server and its own.
    Real(usize, usize, Box<RealServer>),
    /// The process has ended.
    Ended,
}

/// The VRRP process's end.
#[derive(Debug, Default)]
pub struct Reporter {
    socket: Option<Socket>,
    /// Messages that must arrive and found no room; whether one is part of the configuration.
    waiting: RefCell<VecDeque<(bool, Vec<u8>)>>,
}

/// The parent's end.
#[derive(Debug)]
pub struct Receiver {
    socket: Socket,
    buffer: Vec<u8>,
}

/// Both ends, closed on exec; neither waits.
///
/// # Errors
/// What socketpair(2) said.
pub fn channel() -> io::Result<(Reporter, Receiver)> {
    let (reporter, receiver) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
    reporter.set_nonblocking(true)?;
    receiver.set_nonblocking(true)?;
    let receiver = Receiver { socket: receiver, buffer: vec![0; LONGEST] };
    Ok((Reporter { socket: Some(reporter), waiting: RefCell::default() }, receiver))
}

impl Reporter {
    /// Tells the parent, now or as soon as there is room.
    pub fn tell(&self, report: &Report) {
        self.push(false, report);
        self.flush();
    }

    /// Tells the parent the text of the configuration in use.
    pub fn tell_configuration(&self, text: &str) {
        self.waiting.borrow_mut().retain(|(configuration, _)| !configuration);
        let mut rest = text;
        loop {
            let end = rest.floor_char_boundary(PIECE);
            let (piece, after) = rest.split_at(end);
            self.push(true, &Report::Configuration { first: rest.len() == text.len(), text: piece.to_owned() });
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        self.flush();
    }

    fn push(&self, configuration: bool, report: &Report) {
        if self.socket.is_some()
            && let Ok(bytes) = serde_json::to_vec(report)
        {
            self.waiting.borrow_mut().push_back((configuration, bytes));
        }
    }

    /// Sends what waits; whether nothing waits any more.
    fn flush(&self) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        while let Some((_, bytes)) = waiting.front() {
            if !self.send(bytes) {
                return false;
            }
            waiting.pop_front();
        }
        true
    }

    /// Where the parent asks, if it can.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// Whether the parent has asked for a report since the last call.
    pub fn is_asked(&mut self) -> bool {
        let mut asked = false;
        while let Some(mut socket) = self.socket.as_ref() {
            match socket.read(&mut [0; 8]) {
                // Nobody is there any more.
                Ok(0) => self.socket = None,
                Ok(_) => asked = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        asked
    }

    /// Sends a message that may be left out, for a newer one follows; whether it was sent.
    pub fn offer(&self, message: &[u8]) -> bool {
        self.flush() && self.send(message)
    }

    /// Whether a message was sent, or can never be.
    fn send(&self, bytes: &[u8]) -> bool {
        let Some(mut socket) = self.socket.as_ref() else { return true };
        // A parent that is gone takes this process with it.
        !matches!(socket.write(bytes), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

impl Receiver {
    /// Asks for a report of everything that has changed, counters included.
    pub fn ask(&self) {
        // One that finds no room follows others that are not read yet.
        let _ = (&self.socket).write(b"?");
    }

    /// The next report, if one has come.
    pub fn next(&mut self) -> Option<Report> {
        loop {
            let length = match (&self.socket).read(&mut self.buffer) {
                Ok(0) => return Some(Report::Ended),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(_) => return Some(Report::Ended),
            };
            // One that was longer than the buffer is cut off, and left out: a newer one follows.
            if let Some(report) = self.buffer.get(..length).and_then(|bytes| serde_json::from_slice(bytes).ok()) {
                return Some(report);
            }
        }
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_come_in_their_order_and_the_end_last() {
        let (reporter, mut receiver) = channel().unwrap();
        assert_eq!(receiver.next(), None);
        reporter.tell(&Report::Running);
        reporter.tell(&Report::Refused);
        drop(reporter);
        let all = [receiver.next(), receiver.next(), receiver.next()];
        assert_eq!(all, [Report::Running, Report::Refused, Report::Ended].map(Some));
    }

    #[test]
    fn many_questions_are_one_and_a_parent_that_is_gone_asks_nothing() {
        let (mut reporter, receiver) = channel().unwrap();
        assert!(!reporter.is_asked());
        (0..10_000).for_each(|_| receiver.ask());
        assert!(reporter.is_asked() && !reporter.is_asked());
        drop(receiver);
        assert!(!reporter.is_asked() && reporter.descriptor().is_none());
    }

    #[test]
    fn a_parent_that_does_not_read_is_told_later_and_nothing_piles_up() {
        let (reporter, mut receiver) = channel().unwrap();
        let big = vec![b' '; LONGEST / 2];
        let sent = (0..1000).take_while(|_| reporter.offer(&big)).count();
        assert!(sent < 1000, "nobody reads, and everything was sent");
        for round in 0..3 {
            reporter.tell_configuration(&format!("{round} {}", "ä".repeat(3 * PIECE)));
        }
        reporter.tell(&Report::Running);
        assert!(reporter.waiting.borrow().len() < 10, "{}", reporter.waiting.borrow().len());
        let mut text = String::new();
        loop {
            match receiver.next() {
                Some(Report::Configuration { first, text: piece }) => {
                    text = if first { piece } else { text + &piece };
                }
                Some(Report::Running) => break,
                Some(other) => panic!("{other:?}"),
                None => {
                    reporter.offer(b"{}");
                }
            }
        }
        assert_eq!(text, format!("2 {}", "ä".repeat(3 * PIECE)));
    }
}
