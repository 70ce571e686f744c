//! When which address is announced: batches, their second rounds, refreshes, and the interval between two frames.
//!
//! Differs from keepalived: every repeat is sent when a pace is set; there they collapse. [test: paced_announcements_do_not_collapse]
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::config::{Announcing, Config};
use super::machine::Action;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// More than this many frames never wait: a second batch on top of an unsent one replaces it.
const WAITING: usize = 4096;
/// More than this many second batches never wait.
const BATCHES: usize = 64;

/// What is still to be announced while a router is master.
#[derive(Debug)]
pub struct Announcer {
    queue: VecDeque<IpAddr>,
    /// The earliest time for the next frame.
    free_at: Instant,
    /// The second batches, each at its time.
    again: Vec<(Instant, u32)>,
    refresh_at: Option<Instant>,
    /// When the interfaces that adverts do not use are due.
    extra_at: Option<Instant>,
}

impl Announcer {
    /// An announcer with nothing queued.
    pub fn new(now: Instant, config: &Announcing) -> Self {
        let refresh_at = (!config.refresh.is_zero()).then(|| now + config.refresh);
        let extra_at = (!config.extra.is_zero()).then(|| now + config.extra);
        Self { queue: VecDeque::new(), free_at: now, again: Vec::new(), refresh_at, extra_at }
    }

    /// Queues `repeat` rounds of all addresses, and the same again after `delay` unless that is zero.
    pub fn batch(&mut self, now: Instant, (repeat, delay): (u32, Duration), config: &Config) {
        if repeat == 0 {
            return;
        }
        self.rounds(repeat, config);
        if !delay.is_zero() && self.again.len() < BATCHES {
            self.again.push((now + delay, repeat));
        }
    }

    /// A refresh, if one is due. To be called when an advert is: no other time will do, as with keepalived.
    pub fn refresh(&mut self, now: Instant, config: &Config, actions: &mut VecDeque<Action>) {
        if let Some(at) = self.refresh_at
            && at <= now
        {
            // A late turn does not make the next refresh miss its advert.
            let (refresh, next) = (config.announcing.refresh, at + config.announcing.refresh);
            self.refresh_at = (!refresh.is_zero()).then(|| if next <= now { now + refresh } else { next });
            actions.extend(config.all_addresses().map(Action::Announcing));
            self.rounds(config.announcing.refresh_repeat, config);
        }
    }

    /// Emits the announcements that are due at `now`.
    pub fn run(&mut self, now: Instant, config: &Config, actions: &mut VecDeque<Action>) {
        for (_, repeat) in self.again.extract_if(.., |(at, _)| *at <= now).collect::<Vec<_>>() {
            actions.extend(config.all_addresses().map(Action::Announcing));
            self.rounds(repeat, config);
        }
        if let Some(at) = self.extra_at.filter(|at| *at <= now) {
            let (extra, next) = (config.announcing.extra, at + config.announcing.extra);
            self.extra_at = (!extra.is_zero()).then(|| if next <= now { now + extra } else { next });
            actions.extend(config.elsewhere.iter().copied().map(Action::Announcing));
            self.queue.extend(&config.elsewhere);
        }
        while self.free_at <= now
            && let Some(address) = self.queue.pop_front()
        {
            actions.push_back(Action::Announce(address));
            let pace = if address.is_ipv6() { config.announcing.na_interval } else { config.announcing.arp_interval };
            if !pace.is_zero() {
                self.free_at = now + pace;
            }
        }
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        if self.again.is_empty() {
            self.again = Vec::new();
        }
    }

    /// When [`Announcer::run`] has something to do.
    pub fn next(&self) -> Option<Instant> {
        let queued = (!self.queue.is_empty()).then_some(self.free_at);
        queued.into_iter().chain(self.again.iter().map(|(at, _)| *at)).chain(self.extra_at).min()
    }

    fn rounds(&mut self, repeat: u32, config: &Config) {
        let waiting = self.queue.len();
        for _ in 0..repeat {
            self.queue.extend(config.all_addresses());
            if self.queue.len() > WAITING {
                self.queue.drain(..waiting);
                return;
            }
        }
    }
}
