//! When a check is made: one rhythm for all kinds.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::sync::Arc;
use std::time::Duration;

/// The rhythm of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between two checks.
    pub delay: Duration,
    /// Attempts after a failed one before the check counts as failed.
    pub retry: u32,
    /// Between two attempts.
    pub delay_before_retry: Duration,
    /// The longest random time before the first check.
    pub warmup: Duration,
}

/// The attempts of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Checks of one rhythm share it.
    timing: Arc<Timing>,
    attempts: u32,
}

impl Schedule {
    /// A check that has not run: its first failure decides.
    pub fn new(timing: impl Into<Arc<Timing>>) -> Self {
        let timing = timing.into();
        Self { attempts: timing.retry, timing }
    }

    /// A check that goes on where an earlier one was.
    pub fn resume(timing: impl Into<Arc<Timing>>, attempts: u32) -> Self {
        Self { timing: timing.into(), attempts }
    }

    /// Its rhythm.
    pub fn timing(&self) -> Timing {
        *self.timing
    }

    /// The failed attempts since the last result.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How long after the start the first attempt is made; `random` is between 0 and 1.
    pub fn first(&self, random: f64) -> Duration {
        /// All checks wait for it, so that what the start does is done.
        const BOOTSTRAP: Duration = Duration::from_secs(1);
        BOOTSTRAP + self.timing.warmup.mul_f64(random)
    }

    /// Whether a failed attempt is the last.
    pub fn is_exhausted(&self) -> bool {
        self.attempts >= self.timing.retry
    }

    /// Takes a failed attempt that is not the last; the time until the next one.
    pub fn retry(&mut self) -> Duration {
        self.attempts += 1;
        self.timing.delay_before_retry
    }

    /// Forgets the failed attempts.
    pub const fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Lets the next failure decide.
    pub fn exhaust(&mut self) {
        self.attempts = self.timing.retry;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_start_at_random_times_behind_the_start() {
        let second = Duration::from_secs(1);
        let schedule =
            Schedule::new(Timing { delay: second, retry: 0, delay_before_retry: second, warmup: 4 * second });
        assert_eq!([schedule.first(0.0), schedule.first(0.5), schedule.first(1.0)], [second, 3 * second, 5 * second]);
    }
}
