//! The rate limit of one direction of a session.

use crate::net::deadline::Deadline;
use std::task::Context;
use std::time::{Duration, Instant};

/// How fast a direction may move.
pub struct Pace {
    /// Bytes a second; 0 is no limit.
    rate: u64,
    pause: Option<Box<Deadline>>,
}

impl Pace {
    /// So many bytes a second; 0 is no limit.
    pub const fn new(rate: u64) -> Self {
        Self { rate, pause: None }
    }

    /// Whether the direction rests now.
    pub const fn is_resting(&self) -> bool {
        self.pause.is_some()
    }

    /// How many bytes may be read now, where `taken` were since `since`; nothing while the direction rests.
    pub fn allowance(&mut self, cx: &mut Context<'_>, taken: u64, since: Instant) -> Option<usize> {
        if self.rate == 0 {
            return Some(usize::MAX);
        }
        loop {
            if let Some(pause) = &mut self.pause {
                if pause.poll(cx).is_pending() {
                    return None;
                }
                self.pause = None;
            }
            let due = self.rate.saturating_mul(since.elapsed().as_secs() + 1);
            match due.checked_sub(taken) {
                Some(limit) if limit > 0 => return Some(usize::try_from(limit).unwrap_or(usize::MAX)),
                _ => self.rest(taken.saturating_sub(due) * 1000 / self.rate + 1),
            }
        }
    }

    /// Rests after `count` bytes for the time they may take.
    pub fn moved(&mut self, count: usize) {
        if let Some(time) = (count as u64 * 1000).checked_div(self.rate).filter(|time| *time > 0) {
            self.rest(time);
        }
    }

    fn rest(&mut self, milliseconds: u64) {
        let mut deadline = Deadline::new();
        deadline.set(Instant::now(), Duration::from_millis(milliseconds));
        self.pause = Some(Box::new(deadline));
    }
}
