//! `least_time`: the shortest estimated time to finish what a server is at, for its weight; round robin among equals.
//!
//! The estimate is the server's average time to a point of an answer, times the connections it would then have. A time
//! that was measured counts for a twentieth of the average. With `inflight` attempts that have not come to the point
//! count by their age.

use super::group::{Tried, View};
use super::least_conn;
use super::names::Changing;
use super::peer::{Peer, PeerState};
use super::{PeerRef, round_robin};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The point of an attempt up to which its time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// `header`: the response's head has come.
    Header,
    /// `connect`: the connection is established.
    Connect,
    /// `first_byte`: the server's first byte has come.
    FirstByte,
    /// `last_byte`: the attempt has ended.
    LastByte,
}

/// The arguments of `least_time`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What is measured.
    pub point: Point,
    /// `inflight`.
    pub inflight: bool,
}

impl Rule {
    /// The rule in the configuration's words.
    pub const fn text(self) -> &'static str {
        match (self.point, self.inflight) {
            (Point::Header, false) => "least_time header",
            (Point::Header, true) => "least_time header inflight",
            (Point::Connect, false) => "least_time connect",
            (Point::Connect, true) => "least_time connect inflight",
            (Point::FirstByte, false) => "least_time first_byte",
            (Point::FirstByte, true) => "least_time first_byte inflight",
            (Point::LastByte, false) => "least_time last_byte",
            (Point::LastByte, true) => "least_time last_byte inflight",
        }
    }
}

/// What is known of a server's times, in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// The average time to the point; 0 before the first.
    average: u64,
    /// The average age of attempts in flight.
    inflight_average: u64,
    /// The sum of their ages when their number changed last.
    inflight_age: u64,
    /// When that was.
    changed: Option<Instant>,
    /// Their number.
    inflight: u64,
}

/// The longest time that makes a difference.
const LONGEST: u64 = 5000;
/// Times in one step of so many milliseconds are equal.
const STEP: u64 = 20;

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The moving average, rounded.
fn averaged(average: u64, value: u64) -> u64 {
    if average == 0 { value } else { (value.saturating_add(average.saturating_mul(19)).saturating_add(10)) / 20 }
}

impl Times {
    /// Notes the time of an attempt.
    pub fn add(&mut self, time: Duration) {
        self.average = averaged(self.average, millis(time));
    }

    fn since_change(&self, now: Instant) -> u64 {
        self.changed.map_or(0, |changed| millis(now.saturating_duration_since(changed)))
    }

    /// Notes that an attempt begins.
    fn begin(&mut self, now: Instant) {
        self.inflight_age = self.inflight_age.saturating_add(self.since_change(now).saturating_mul(self.inflight));
        self.changed = Some(now);
        self.inflight += 1;
    }

    /// Notes that an attempt has come to the point, or has ended, after `time`.
    pub fn end(&mut self, time: Duration, now: Instant) {
        if self.inflight <= 1 {
            self.inflight_age = 0;
        } else {
            let grown = self.since_change(now).saturating_mul(self.inflight);
            self.inflight_age = self.inflight_age.saturating_add(grown).saturating_sub(millis(time));
            self.changed = Some(now);
        }
        self.inflight = self.inflight.saturating_sub(1);
    }

    /// The averages without the attempts in flight: these end in the generation they began in.
    pub fn averages(&self) -> Self {
        Self { average: self.average, inflight_average: self.inflight_average, ..Self::default() }
    }

    /// The time an attempt at the server takes, rounded up; `idle` is how long ago it was last asked anew, and its
    /// time counts half for every `fail_timeout` of that.
    fn expected(&self, idle: u64, fail_timeout: u64) -> u64 {
        let mut time = self.average;
        if idle > fail_timeout {
            let halvings = u32::try_from(idle / (fail_timeout + 1)).unwrap_or(u32::MAX);
            time = time.checked_shr(halvings).unwrap_or(0);
        }
        if self.inflight > 0 {
            time = time.max(self.inflight_average);
        }
        if time > LONGEST { LONGEST } else { time + STEP - time % STEP }
    }
}

/// The time after which a server would have finished one attempt more.
fn estimate(peer: &Peer, state: &PeerState, now: u64) -> u64 {
    let idle = now.saturating_sub(state.checked);
    state.times.expected(idle, peer.fail_timeout).saturating_mul(1 + state.connections() as u64)
}

/// The next peer of the set.
pub fn choose(view: &mut View<'_>, tried: &mut Tried, rule: Rule, now: Instant) -> Option<usize> {
    if view.set.single {
        return round_robin::choose(view, tried);
    }
    for index in 0..view.set.peers.len() {
        if view.is_free(index, tried)
            && let Some(times) = view.peer_states.get_mut(index).map(|state| &mut state.times)
            && times.inflight > 0
        {
            let age = times.inflight_age / times.inflight + times.since_change(now);
            times.inflight_average = averaged(times.inflight_average, age);
        }
    }
    let index = least_conn::cheapest(view, tried, estimate)?;
    begin(view, index, rule, now);
    Some(index)
}

/// Notes that an attempt at the peer at `index` begins.
pub fn begin(view: &mut View<'_>, index: usize, rule: Rule, now: Instant) {
    if rule.inflight
        && !view.set.single
        && let Some(state) = view.peer_states.get_mut(index)
    {
        state.times.begin(now);
    }
}

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

#[cfg(test)]
mod tests;
