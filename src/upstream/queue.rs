//! `queue`: requests that wait until a server of their group can be asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The queue of a group.
#[derive(Debug)]
pub struct Queue {
    most: usize,
    /// How long a request waits.
    timeout: Duration,
    waiting: AtomicUsize,
    freed: Notify,
}

/// How often a waiting request looks again although nothing was freed: a server may be available by time alone.
const LOOK: Duration = Duration::from_secs(1);

impl Queue {
    /// A queue for so many requests.
    pub fn new(most: u64, timeout: Duration) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { most, timeout, waiting: AtomicUsize::new(0), freed: Notify::new() }
    }

    /// A place in it; nothing where it is full.
    pub fn enter(self: &Arc<Self>) -> Option<Place> {
        let more = |count: usize| (count < self.most).then_some(count + 1);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Place { queue: self.clone(), until: Instant::now() + self.timeout })
    }

    /// A server can take a request more: the first that waits looks again.
    pub fn freed_one(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.freed.notify_one();
        }
    }

    /// A server can take requests again: all that wait look again.
    pub fn freed_all(&self) {
        self.freed.notify_waiters();
    }
}

/// A request's place in a queue, until this is dropped.
#[derive(Debug)]
pub struct Place {
    queue: Arc<Queue>,
    until: Instant,
}

impl Place {
    /// Waits until it is worth to look again; false when the time is over.
    pub async fn wait(&self) -> bool {
        let now = Instant::now();
        if now >= self.until {
            return false;
        }
        let _ = tokio::time::timeout_at(self.until.min(now + LOOK), self.queue.freed.notified()).await;
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
