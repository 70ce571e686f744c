//! A server of a group, and what a balancer remembers of it.

use super::health::Checked;
use super::times::Times;
use crate::check::health::State;
use crate::net::address::Address;
use md5::{Digest as _, Md5};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One address of a server.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address as text: what logs and `$upstream_addr` show.
    pub name: Arc<str>,
    /// The `server` as written.
    pub server: String,
    /// Where to connect.
    pub address: Address,
    /// `weight=`.
    pub weight: u32,
    /// `max_conns=`; 0 is no limit.
    pub max_conns: usize,
    /// `max_fails=`; 0 never takes the server out.
    pub max_fails: u32,
    /// `fail_timeout=` in seconds.
    pub fail_timeout: u64,
    /// `down`, or `drain`.
    pub down: bool,
    /// `drain`: it is asked for its own sessions all the same.
    pub drains: bool,
    /// `route=`: its id for `sticky`.
    pub route: Option<String>,
    /// `slow_start=` in seconds: how long its weight grows when it is available again; 0 for at once.
    pub slow_start: u64,
    /// What weights are counted in: parts of one where a peer of the set has `slow_start=`.
    pub scale: i64,
}

impl Peer {
    /// A peer with the parameters of a bare `server address;`.
    pub fn new(address: Address, server: &str) -> Self {
        Self {
            name: address.to_string().into(),
            server: server.to_owned(),
            address,
            weight: 1,
            max_conns: 0,
            max_fails: 1,
            fail_timeout: 10,
            down: false,
            drains: false,
            route: None,
            slow_start: 0,
            scale: 1,
        }
    }
}

impl Peer {
    /// Its id for `sticky`: that of the configuration, or the digest of its address.
    pub fn id(&self) -> Box<str> {
        match &self.route {
            Some(route) => route.as_str().into(),
            None => data_encoding::HEXLOWER.encode(&Md5::digest(self.name.as_bytes())).into(),
        }
    }
}

/// What a balancer remembers of a peer. Times are whole seconds, as nginx counts them.
#[derive(Clone, Debug, Default)]
pub struct PeerState {
    /// The current weight of smooth weighted round robin.
    pub current: i64,
    /// The weight, lowered by failures and regained by one a turn.
    pub effective: i64,
    /// Failures since it was last known to work.
    pub fails: u32,
    /// When it last failed.
    pub accessed: u64,
    /// When it last failed or was tried again.
    pub checked: u64,
    /// Connections in use; shared with the same peer of earlier generations.
    pub conns: Arc<AtomicUsize>,
    /// The times of its attempts, for `least_time`.
    pub times: Times,
    /// What each active check of the group has found.
    pub health: Vec<Checked>,
    /// The second in which it became available again, for `slow_start`.
    pub available: Option<u64>,
}

impl PeerState {
    /// The state of a peer nobody has asked.
    pub fn new(peer: &Peer) -> Self {
        Self { effective: i64::from(peer.weight), ..Self::default() }
    }

    /// Connections in use.
    pub fn connections(&self) -> usize {
        self.conns.load(Ordering::Relaxed)
    }

    /// Whether `max_conns` is reached.
    pub fn is_full(&self, peer: &Peer) -> bool {
        peer.max_conns > 0 && self.connections() >= peer.max_conns
    }

    /// Whether no active check keeps it out.
    pub fn is_healthy(&self) -> bool {
        self.health.iter().all(|checked| checked.results.state == State::Healthy)
    }

    /// Notes that it is available again since `now`: its failures are forgotten, and its weight grows.
    pub fn recover(&mut self, peer: &Peer, now: u64) {
        self.fails = 0;
        self.grow(peer, now);
    }

    /// Its weight grows from now on, where `slow_start` says so.
    fn grow(&mut self, peer: &Peer, now: u64) {
        if peer.slow_start > 0 {
            self.available = Some(now);
            self.effective = i64::from(peer.weight);
        }
    }

    /// So much of a weight as it has at `now`, in parts of one.
    pub fn grown(&self, peer: &Peer, weight: i64, now: u64) -> i64 {
        let full = weight.saturating_mul(peer.scale);
        let age = self.available.map_or(u64::MAX, |since| now.saturating_sub(since));
        if age >= peer.slow_start {
            return full;
        }
        let part = i128::from(full) * i128::from(age) / i128::from(peer.slow_start.max(1));
        i64::try_from(part).unwrap_or(full)
    }

    /// Whether failures keep the peer out at `now`.
    pub fn is_out(&self, peer: &Peer, now: u64) -> bool {
        peer.max_fails > 0 && self.fails >= peer.max_fails && now.saturating_sub(self.checked) <= peer.fail_timeout
    }

    /// Notes that the peer is asked at `now`: the first attempt after `fail_timeout` is a check.
    pub fn asked(&mut self, peer: &Peer, now: u64) {
        if now.saturating_sub(self.checked) > peer.fail_timeout {
            if peer.max_fails > 0 && self.fails >= peer.max_fails {
                self.grow(peer, now);
            }
            self.checked = now;
        }
    }

    /// A turn of smooth weighted round robin.
    pub fn take_turn(&mut self, peer: &Peer, now: u64) -> i64 {
        let added = self.grown(peer, self.effective, now);
        self.current += added;
        if self.effective < i64::from(peer.weight) {
            self.effective += 1;
        }
        added
    }

    /// Notes a failure; true when it takes the peer out.
    pub fn failed(&mut self, peer: &Peer, now: u64) -> bool {
        self.fails = self.fails.saturating_add(1);
        self.accessed = now;
        self.checked = now;
        if peer.max_fails == 0 {
            return false;
        }
        self.effective = (self.effective - i64::from(peer.weight / peer.max_fails)).max(0);
        self.fails >= peer.max_fails
    }

    /// Notes a success: a check that went well forgives.
    pub fn worked(&mut self) {
        if self.accessed < self.checked {
            self.fails = 0;
        }
    }
}
