//! How long a request is held back, and how fast its response is sent (`limit_rate`).
//!
//! nginx counts what a response may have sent in whole seconds since the request began, and after each write waits for as
//! long as the bytes written take at the rate.

use crate::conf::bytes;
use crate::conf::value;
use crate::http::heart::module::Text;
use crate::http::heart::request::Request;
use crate::http::heart::wire::Wire;
use crate::log::Level;
use std::cell::{Cell, RefCell};
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

/// `limit_rate` or `limit_rate_after`.
pub enum Rate {
    /// So many bytes.
    Fixed(u64),
    /// As many as a text says.
    Text(Text),
}

impl Rate {
    fn value(&self, request: &Request) -> u64 {
        match self {
            Self::Fixed(size) => *size,
            Self::Text(text) => {
                let text = text.text(request);
                value::size(&text, false).unwrap_or_else(|| {
                    request.log_filter(Level::Error, &format!("invalid size \"{}\"", bytes::text(&text)));
                    0
                })
            }
        }
    }
}

/// The rates of a place.
#[derive(Default)]
pub struct Rates {
    /// Bytes a second.
    pub rate: Option<Rate>,
    /// Bytes before that holds.
    pub after: Option<Rate>,
}

/// How fast the response to a request is sent.
#[derive(Default)]
pub struct Pace {
    /// Bytes a second, 0 for any number; not known before the first is sent.
    rate: Cell<Option<u64>>,
    after: Cell<Option<u64>>,
    sent: Cell<u64>,
    wait: RefCell<Option<Pin<Box<Sleep>>>>,
}

impl Pace {
    /// Bytes a second, as far as they are known.
    pub fn rate(&self) -> u64 {
        self.rate.get().unwrap_or(0)
    }

    /// Whether there is no rate, and nothing waits for it.
    pub fn is_unlimited(&self) -> bool {
        self.rate() == 0 && self.wait.borrow().is_none()
    }

    /// Sets the bytes a second, whatever the configuration says.
    pub fn set(&self, rate: u64) {
        self.rate.set(Some(rate));
    }

    /// Whether the next byte waits.
    pub fn waits(&self) -> bool {
        self.wait.borrow().is_some()
    }

    fn delay(&self, millis: u64) {
        if millis > 0 {
            *self.wait.borrow_mut() = Some(Box::pin(tokio::time::sleep(Duration::from_millis(millis))));
        }
    }
}

/// What may be sent under a rate: by whole seconds, or else the milliseconds until a byte may be.
pub fn allowance(rate: u64, after: u64, sent: u64, seconds: u64) -> Result<u64, u64> {
    let limit = i128::from(rate) * (i128::from(seconds) + 1) + i128::from(after) - i128::from(sent);
    match u64::try_from(limit) {
        Ok(limit) if limit > 0 => Ok(limit),
        _ => Err(u64::try_from(-limit * 1000 / i128::from(rate.max(1)) + 1).unwrap_or(u64::MAX)),
    }
}

/// The milliseconds that bytes just sent take at a rate.
fn taken(rate: u64, after: u64, before: u64, now: u64) -> u64 {
    (now.saturating_sub(after) - before.saturating_sub(after)).saturating_mul(1000) / rate.max(1)
}

impl Request {
    /// Waits for so long; false when the client leaves meanwhile, which is logged.
    pub async fn stays(&mut self, time: Duration) -> bool {
        let gone = tokio::time::timeout(time, poll_fn(|cx| self.poll_gone(cx))).await;
        if gone.is_ok() {
            self.log(Level::Info, "client prematurely closed connection");
        }
        gone.is_err()
    }

    /// Whether a rate holds for the response; the first call settles it.
    pub fn is_paced(&self) -> bool {
        let rate = self.pace.rate.get().unwrap_or_else(|| {
            let rates = self.location.rates.as_deref().filter(|_| !matches!(self.wire, Wire::Sub(_)));
            let rate = rates.and_then(|rates| rates.rate.as_ref()).map_or(0, |rate| rate.value(self));
            self.pace.set(rate);
            rate
        });
        rate > 0 && !matches!(self.wire, Wire::Sub(_))
    }

    fn pace_after(&self) -> u64 {
        self.pace.after.get().unwrap_or_else(|| {
            let rates = self.location.rates.as_deref();
            let after = rates.and_then(|rates| rates.after.as_ref()).map_or(0, |after| after.value(self));
            self.pace.after.set(Some(after));
            after
        })
    }

    /// How many of `wanted` bytes may be sent now.
    ///
    /// # Errors
    /// `WouldBlock` where none may.
    pub fn pace_allows(&self, wanted: usize) -> io::Result<usize> {
        if !self.is_paced() {
            return Ok(wanted);
        }
        if self.pace.waits() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let seconds = self.event_loop().clock.now().as_secs().saturating_sub(self.started.as_secs());
        match allowance(self.pace.rate(), self.pace_after(), self.pace.sent.get(), seconds) {
            Ok(limit) => Ok(usize::try_from(limit).unwrap_or(usize::MAX).min(wanted)),
            Err(millis) => {
                self.pace.delay(millis);
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
    }

    /// Notes that bytes were sent.
    pub fn pace_sent(&self, count: usize) {
        let before = self.pace.sent.get();
        let now = before + count as u64;
        self.pace.sent.set(now);
        if self.is_paced() {
            self.pace.delay(taken(self.pace.rate(), self.pace_after(), before, now));
        }
    }

    /// Ready when the rate allows another byte.
    pub fn poll_pace(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut wait = self.pace.wait.borrow_mut();
        let Some(sleep) = wait.as_mut() else { return Poll::Ready(()) };
        if sleep.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        *wait = None;
        Poll::Ready(())
    }

    /// Waits until the rate allows another byte.
    ///
    /// # Errors
    /// `ConnectionAborted` when the client leaves meanwhile.
    pub async fn paced(&self) -> io::Result<()> {
        if !self.pace.waits() {
            return Ok(());
        }
        poll_fn(|cx| {
            if self.poll_pace(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            self.poll_gone(cx).map(|()| Err(io::ErrorKind::ConnectionAborted.into()))
        })
        .await
    }
}

#[cfg(test)]
mod tests;
