//! Leaky buckets by key: how many thousandths of a request a key is ahead of its rate, in whole milliseconds as nginx counts.

use crate::zone::table::{Full, Oldest, Table};
use std::time::{Duration, Instant};

/// Bytes of nginx's node beside the key.
const NODE: usize = 80;
/// Milliseconds after which an empty bucket may be removed.
const IDLE: i64 = 60_000;

/// How a limit fills and empties its buckets.
#[derive(Clone, Copy)]
pub struct Pace {
    /// Thousandths of requests a second.
    pub rate: i64,
    /// Thousandths of requests a key may be ahead.
    pub burst: i64,
}

/// What became of a request at a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// It is counted; the excess.
    Now(i64),
    /// It fits, and is counted later ([`Buckets::account`]) or not at all ([`Buckets::leave`]).
    Early,
    /// It does not fit; the excess.
    Busy(i64),
}

/// The bucket of a key.
#[derive(Default)]
struct Bucket {
    excess: i64,
    /// Milliseconds since the zone was made; nothing before the first request is counted.
    last: Option<i64>,
    /// Requests that are looked up and not counted yet.
    held: u32,
    is_new: bool,
}

impl Bucket {
    /// The milliseconds since the last request. Clocks of other loops may be ahead a little; more is taken for a change.
    fn elapsed(&self, now: i64) -> i64 {
        match self.last.map(|last| now.saturating_sub(last)) {
            None => i64::MAX,
            Some(..-60_000) => 1,
            Some(elapsed) => elapsed.max(0),
        }
    }

    /// The excess with one more request at `now`, and the milliseconds since the last.
    fn with_another(&self, now: i64, rate: i64) -> (i64, i64) {
        let elapsed = self.elapsed(now);
        let left = self.excess.saturating_sub(rate.saturating_mul(elapsed) / 1000);
        (left.saturating_add(1000).max(0), elapsed)
    }

    fn count(&mut self, excess: i64, elapsed: i64, now: i64) {
        self.excess = excess;
        if elapsed > 0 {
            self.last = Some(now);
        }
    }
}

/// A zone.
pub struct Buckets {
    table: Table<Bucket>,
    made: Instant,
}

impl Buckets {
    /// A zone of so many bytes.
    pub fn new(size: u64) -> Self {
        Self { table: Table::new(size, NODE), made: Instant::now() }
    }

    fn millis(&self, now: Instant) -> i64 {
        now.checked_duration_since(self.made).unwrap_or(Duration::ZERO).as_millis() as i64
    }

    /// Looks a request of `key` up, and counts it where `account` says so. A new key first removes up to two buckets that
    /// have been empty for a minute, and in a full zone the oldest one whatever it holds.
    ///
    /// # Errors
    /// When there is no room for another key.
    pub fn enter(&self, key: &[u8], now: Instant, pace: Pace, account: bool) -> Result<Counted, Full> {
        let now = self.millis(now);
        let judge = |short: bool, removed: usize, bucket: &Bucket| {
            let spent = if short { 3 } else { 2 };
            if bucket.held > 0 || removed >= spent {
                return Oldest::Keep;
            }
            let idle = bucket.last.map_or(i64::MAX, |last| now.saturating_sub(last).saturating_abs());
            let empty = bucket.excess.saturating_sub(pace.rate.saturating_mul(idle) / 1000) <= 0;
            if short && removed == 0 || idle >= IDLE && empty { Oldest::Remove } else { Oldest::Keep }
        };
        self.table.update_evicting(
            key,
            judge,
            || Bucket { is_new: true, ..Bucket::default() },
            |bucket| {
                if std::mem::take(&mut bucket.is_new) {
                    if account {
                        bucket.last = Some(now);
                        return Counted::Now(0);
                    }
                    bucket.held = 1;
                    return Counted::Early;
                }
                let (excess, elapsed) = bucket.with_another(now, pace.rate);
                if excess > pace.burst {
                    return Counted::Busy(excess);
                }
                if account {
                    bucket.count(excess, elapsed, now);
                    return Counted::Now(excess);
                }
                bucket.held += 1;
                Counted::Early
            },
        )
    }

    /// Counts a request that was [`Counted::Early`]; the excess.
    pub fn account(&self, key: &[u8], now: Instant, pace: Pace) -> i64 {
        let now = self.millis(now);
        let mut counted = 0;
        self.table.release(key, |bucket| {
            let (excess, elapsed) = bucket.with_another(now, pace.rate);
            bucket.count(excess, elapsed, now);
            bucket.held = bucket.held.saturating_sub(1);
            counted = excess;
            false
        });
        counted
    }

    /// Forgets a request that was [`Counted::Early`].
    pub fn leave(&self, key: &[u8]) {
        self.table.release(key, |bucket| {
            bucket.held = bucket.held.saturating_sub(1);
            false
        });
    }
}

#[cfg(test)]
mod tests;
