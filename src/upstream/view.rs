//! What a balancer sees of a group: one set of peers and their states, and what a request has asked already.

use super::peer::{Peer, PeerState};
use std::net::IpAddr;
use std::sync::OnceLock;

/// Peers that are asked together.
pub struct Set {
    /// In the order of the configuration.
    pub peers: Box<[Peer]>,
    /// The sum of all weights.
    pub total_weight: u64,
    /// Whether the set is one peer and there is no other set: it is then never taken out.
    pub single: bool,
    /// Peers that are not down.
    pub(super) live: u32,
    /// The peers' ids for `sticky`, made when they are first asked for.
    ids: OnceLock<Box<[Box<str>]>>,
}

impl Set {
    /// The set of these peers; `single` where there is no other.
    pub(super) fn new(mut peers: Vec<Peer>, single: bool) -> Self {
        if !single && peers.iter().any(|peer| peer.slow_start > 0) {
            peers.iter_mut().for_each(|peer| peer.scale = PARTS);
        }
        Self {
            total_weight: peers.iter().map(|peer| u64::from(peer.weight)).sum(),
            single,
            live: peers.iter().filter(|peer| !peer.down).count() as u32,
            peers: peers.into(),
            ids: OnceLock::new(),
        }
    }

    /// The peers' ids for `sticky`.
    pub(super) fn ids(&self) -> &[Box<str>] {
        self.ids.get_or_init(|| self.peers.iter().map(Peer::id).collect())
    }

    /// The peer at `weight` of the sum of weights, walking in order.
    pub fn at_weight(&self, mut weight: u64) -> usize {
        for (index, peer) in self.peers.iter().enumerate() {
            match weight.checked_sub(u64::from(peer.weight)) {
                Some(rest) => weight = rest,
                None => return index,
            }
        }
        0
    }
}

/// Parts of a weight where it grows with time.
const PARTS: i64 = 1000;

/// What the choice may depend on.
#[derive(Clone, Copy, Default)]
pub struct Inputs<'a> {
    /// The client's address, for `ip_hash`; none for unix sockets.
    pub client: Option<IpAddr>,
    /// The value of the key of `hash`.
    pub key: &'a [u8],
    /// The id of the server the session belongs to; empty where none is known.
    pub session: &'a [u8],
}

/// What a hashing balancer remembers of one request.
#[derive(Clone, Debug, Default)]
pub struct HashState {
    /// The hash so far, or the place on the ring.
    pub value: u32,
    /// Peers that could not be asked.
    pub tries: u32,
    /// The client's address, for `ip_hash`.
    pub address: ([u8; 16], u8),
    /// The crc and length of the key.
    pub(super) key: (u32, u64),
    /// Rounds of hashing.
    pub(super) rounds: u32,
}

/// A chosen peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerRef {
    pub(super) set: u8,
    pub(super) index: u32,
}

/// The peers one request has asked already.
#[derive(Clone, Debug, Default)]
pub struct Tried {
    small: u64,
    large: Vec<u64>,
}

impl Tried {
    /// Whether the peer at `index` was asked.
    pub fn has(&self, index: usize) -> bool {
        let word = if index < 64 { Some(&self.small) } else { self.large.get(index / 64 - 1) };
        word.is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    /// Notes that it was.
    pub fn add(&mut self, index: usize) {
        if index < 64 {
            self.small |= 1 << index;
            return;
        }
        let at = index / 64 - 1;
        if self.large.len() <= at {
            self.large.resize(at + 1, 0);
        }
        if let Some(word) = self.large.get_mut(at) {
            *word |= 1 << (index % 64);
        }
    }

    /// Forgets whom it asked.
    pub(super) fn clear(&mut self) {
        self.small = 0;
        self.large.clear();
    }
}

/// One request's choices within a group.
#[derive(Clone, Debug)]
pub struct Pick {
    /// Which set is asked: 0 the primary servers, 1 the backups.
    pub(super) set: u8,
    /// Who of that set was asked.
    pub(super) tried: Tried,
    /// What the hashing balancers remember.
    pub(super) hash: HashState,
    pub(super) left: u32,
    /// The id of the server to prefer; empty for none.
    pub(super) session: Box<[u8]>,
}

impl Pick {
    /// How many more attempts there may be.
    pub const fn left(&self) -> u32 {
        self.left
    }

    /// Allows one attempt more: a kept connection that breaks is not a whole one.
    pub const fn allow_another(&mut self) {
        self.left += 1;
    }

    /// Limits the attempts (`proxy_next_upstream_tries`); 0 is no limit.
    pub fn limit(&mut self, tries: u32) {
        if tries > 0 {
            self.left = self.left.min(tries);
        }
    }
}

/// A set and the states of its peers, with the lock held.
pub struct View<'a> {
    /// The peers.
    pub set: &'a Set,
    /// Their states, in the same order.
    pub peer_states: &'a mut [PeerState],
    /// Whole seconds.
    pub now: u64,
}

impl View<'_> {
    /// Whether the peer at `index` may be asked.
    pub fn is_free(&self, index: usize, tried: &Tried) -> bool {
        let (Some(peer), Some(peer_state)) = (self.set.peers.get(index), self.peer_states.get(index)) else {
            return false;
        };
        !tried.has(index)
            && !peer.down
            && peer_state.is_healthy()
            && !peer_state.is_out(peer, self.now)
            && !peer_state.is_full(peer)
    }

    /// Notes that the peer at `index` is asked.
    pub fn ask(&mut self, index: usize, tried: &mut Tried) {
        if let (Some(peer), Some(peer_state)) = (self.set.peers.get(index), self.peer_states.get_mut(index)) {
            peer_state.asked(peer, self.now);
            tried.add(index);
        }
    }

    /// The peer the session belongs to, if it may be asked.
    pub(super) fn of_session(&self, pick: &Pick) -> Option<usize> {
        if pick.session.is_empty() {
            return None;
        }
        let index = self.set.ids().iter().position(|id| id.as_bytes() == &*pick.session)?;
        let (peer, peer_state) = (self.set.peers.get(index)?, self.peer_states.get(index)?);
        let allowed = (!peer.down || peer.drains) && peer_state.is_healthy();
        let free = !pick.tried.has(index) && !peer_state.is_out(peer, self.now) && !peer_state.is_full(peer);
        (allowed && free).then_some(index)
    }

    /// Charges a peer for a request of its session, as if it had been its turn; but for one in a row only, so that what
    /// others are asked afterwards stays bounded.
    pub(super) fn charge(&mut self, index: usize, tried: &Tried) {
        let others = self.set.peers.iter().enumerate().filter(|(at, _)| *at != index);
        let limit: i64 = others.map(|(_, peer)| i64::from(peer.weight) * peer.scale).sum();
        if self.peer_states.get(index).is_none_or(|peer_state| peer_state.current <= -limit) {
            return;
        }
        let mut total = 0;
        for at in 0..self.set.peers.len() {
            if self.is_free(at, tried)
                && let (Some(peer), Some(peer_state)) = (self.set.peers.get(at), self.peer_states.get_mut(at))
            {
                total += peer_state.take_turn(peer, self.now);
            }
        }
        if let Some(peer_state) = self.peer_states.get_mut(index) {
            peer_state.current -= total;
        }
    }

    /// One round of smooth weighted round robin among `candidates`.
    pub fn rotate(&mut self, candidates: impl Iterator<Item = usize>) -> Option<usize> {
        let mut best: Option<(usize, i64)> = None;
        let mut total = 0;
        for index in candidates {
            let (Some(peer), Some(peer_state)) = (self.set.peers.get(index), self.peer_states.get_mut(index)) else {
                continue;
            };
            total += peer_state.take_turn(peer, self.now);
            if best.is_none_or(|(_, current)| peer_state.current > current) {
                best = Some((index, peer_state.current));
            }
        }
        let (index, _) = best?;
        if let Some(peer_state) = self.peer_states.get_mut(index) {
            peer_state.current -= total;
        }
        Some(index)
    }
}
