//! The times of a server that `least_time` chooses by, and what of an attempt is measured.

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
    pub(super) average: u64,
    /// The average age of attempts in flight.
    pub(super) inflight_average: u64,
    /// The sum of their ages when their number changed last.
    pub(super) inflight_age: u64,
    /// When that was.
    pub(super) changed: Option<Instant>,
    /// Their number.
    pub(super) inflight: u64,
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

    /// Adds the average age of the attempts in flight to its average.
    pub fn average_inflight(&mut self, now: Instant) {
        if let Some(age) = self.inflight_age.checked_div(self.inflight) {
            self.inflight_average = averaged(self.inflight_average, age + self.since_change(now));
        }
    }

    /// Notes that an attempt begins.
    pub fn begin(&mut self, now: Instant) {
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
    pub fn expected(&self, idle: u64, fail_timeout: u64) -> u64 {
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
