//! A deadline of something an event loop waits for.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// A deadline that is moved often and fires rarely: the timer below it is armed again only when it goes off early.
#[derive(Default)]
pub struct Deadline {
    at: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// No deadline.
    pub const fn new() -> Self {
        Self { at: None, sleep: None }
    }

    /// Moves the deadline to so long after `now`, which may be the loop's idea of it.
    pub fn set(&mut self, now: std::time::Instant, after: Duration) {
        // Far deadlines are capped, so that the sum cannot overflow.
        self.at = Some(Instant::from_std(now) + after.min(Duration::from_secs(86_400 * 365)));
    }

    /// Takes the deadline away; the timer stays for the next one.
    pub const fn clear(&mut self) {
        self.at = None;
    }

    /// Ready when the deadline has passed.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
        Poll::Pending
    }
}
