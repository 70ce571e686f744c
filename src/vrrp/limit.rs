//! Bounds on what packets from outside can make a router write and send.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::note::Note;
use super::refusal::Refusal;
use std::mem::{Discriminant, discriminant};
use std::time::{Duration, Instant};

/// Lines of one kind that are written in a second.
const LINES: u32 = 10;
/// The second.
const WINDOW: Duration = Duration::from_secs(1);

/// Lines of one kind within a second.
#[derive(Debug)]
struct Window {
    kind: (Discriminant<Note>, Option<Discriminant<Refusal>>),
    since: Instant,
    written: u32,
    /// The last line that was not written, and how many were not.
    left_out: Option<(Note, u32)>,
}

/// Counts lines by kind.
#[derive(Debug, Default)]
pub struct Lines {
    windows: Vec<Window>,
}

impl Lines {
    /// Takes a line; gives it back if it is to be written now.
    pub fn admit(&mut self, now: Instant, note: Note) -> Option<Note> {
        let reason = if let Note::Refused(refusal) = &note { Some(discriminant(refusal)) } else { None };
        let kind = (discriminant(&note), reason);
        let Some(window) = self.windows.iter_mut().find(|window| window.kind == kind) else {
            self.windows.push(Window { kind, since: now, written: 1, left_out: None });
            return Some(note);
        };
        if window.left_out.is_none() && now >= window.since + WINDOW {
            (window.since, window.written) = (now, 0);
        }
        if window.written < LINES {
            window.written += 1;
            return Some(note);
        }
        let count = window.left_out.take().map_or(0, |(_, count)| count);
        window.left_out = Some((note, count.saturating_add(1)));
        None
    }

    /// When lines that were left out are to be told of.
    pub fn next(&self) -> Option<Instant> {
        self.windows.iter().filter(|window| window.left_out.is_some()).map(|window| window.since + WINDOW).min()
    }

    /// The lines that were left out until now.
    pub fn overdue(&mut self, now: Instant) -> Vec<Note> {
        let due = self.windows.iter_mut().filter(|window| now >= window.since + WINDOW);
        due.filter_map(|window| {
            let (last, count) = window.left_out.take()?;
            (window.since, window.written) = (now, 0);
            Some(Note::Repeated { last: Box::new(last), count })
        })
        .collect()
    }
}

/// Answers a master gives in one of its intervals.
const ANSWERS: u32 = 10;

/// Counts answers.
#[derive(Debug)]
pub struct Answers {
    since: Instant,
    given: u32,
}

impl Answers {
    /// None given yet.
    pub const fn new(now: Instant) -> Self {
        Self { since: now, given: 0 }
    }

    /// Whether one more may be given.
    pub fn admit(&mut self, now: Instant, interval: Duration) -> bool {
        if now >= self.since + interval {
            (self.since, self.given) = (now, 0);
        }
        self.given += 1;
        self.given <= ANSWERS
    }
}
