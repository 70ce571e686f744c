//! Measures an attempt at a server for `least_time`.

use super::names::Changing;
use super::times::{Point, Rule};
use super::view::PeerRef;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Measures one attempt at a server of a group with `least_time`. The attempt ends when this is dropped.
pub struct Measured<P: Changing> {
    pool: Arc<P>,
    at: PeerRef,
    rule: Rule,
    since: Instant,
    /// Whether it counts as in flight.
    inflight: bool,
    /// The time to the point.
    time: Option<Duration>,
    /// Whether the server answered, so that the attempt counts.
    answered: bool,
    failed: bool,
}

impl<P: Changing> Measured<P> {
    /// An attempt that began at `since`; nothing where the group measures none.
    pub fn new(pool: &Arc<P>, at: PeerRef, since: Instant) -> Option<Box<Self>> {
        let rule = pool.group().measures(at)?;
        let pool = pool.clone();
        let inflight = rule.inflight;
        Some(Box::new(Self { pool, at, rule, since, inflight, time: None, answered: false, failed: false }))
    }

    /// Notes that the attempt has come to a point, after `time`.
    pub fn reached(&mut self, point: Point, time: Duration) {
        self.answered = true;
        if point != self.rule.point {
            return;
        }
        if !self.rule.inflight {
            self.time = Some(time);
            return;
        }
        let is_inflight = std::mem::take(&mut self.inflight);
        self.pool.group().measured(self.at, |times| {
            times.add(time);
            if is_inflight {
                times.end(time, Instant::now());
            }
        });
    }

    /// Notes that the attempt failed: its time says nothing of the server.
    pub const fn failed(&mut self) {
        self.failed = true;
    }
}

impl<P: Changing> Drop for Measured<P> {
    fn drop(&mut self) {
        let now = Instant::now();
        let lasted = now.saturating_duration_since(self.since);
        let time = if self.rule.point == Point::LastByte { Some(lasted) } else { self.time };
        let time = time.filter(|_| self.answered && !self.failed);
        self.pool.group().measured(self.at, |times| {
            if self.inflight {
                times.end(lasted, now);
            }
            time.into_iter().for_each(|time| times.add(time));
        });
    }
}
