//! When a child that died is started again.

use std::time::{Duration, Instant};

/// A child that lived this long is started again at once.
pub const LONG: Duration = Duration::from_secs(60);

/// How long to wait before a child is started again: at once after a long life, else longer each time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Respawn {
    delay: Duration,
}

impl Respawn {
    /// The wait after a child that lived from `started` to `died`: 0, 1, 2, 4 … 60 seconds.
    pub fn after(&mut self, started: Instant, died: Instant) -> Duration {
        if died.saturating_duration_since(started) >= LONG {
            self.delay = Duration::ZERO;
            return Duration::ZERO;
        }
        let wait = self.delay;
        self.delay = if wait.is_zero() { Duration::from_secs(1) } else { (wait * 2).min(LONG) };
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lives_are_followed_by_longer_and_longer_waits() {
        let mut respawn = Respawn::default();
        let start = Instant::now();
        let waits: Vec<u64> = (0..9).map(|_| respawn.after(start, start).as_secs()).collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(respawn.after(start, start + LONG), Duration::ZERO);
        assert_eq!(respawn.after(start, start), Duration::ZERO);
    }
}
