//! A group at work: primary and backup peers, who is next, and what became of an attempt.
//!
//! PeerStates are shared by all loops behind one short lock; an attempt's own memory is its `Pick`. Nothing is
//! allocated for groups of up to 64 peers, and time is an argument.

use super::hash::{self, Points};
use super::health::{Check, Checked};
use super::peer::{Peer, PeerState};
use super::times::{Rule, Times};
use super::view::{HashState, Inputs, PeerRef, Pick, Set, Tried, View};
use super::{ip_hash, least_conn, least_time, random, round_robin};
use crate::check::health::{Results, State};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// How a group chooses.
pub enum Method {
    /// Smooth weighted round robin.
    RoundRobin,
    /// `least_conn`.
    LeastConn,
    /// `least_time`.
    LeastTime(Rule),
    /// `ip_hash`.
    IpHash,
    /// `hash`.
    Hash,
    /// `hash … consistent`.
    Consistent(Points),
    /// `random`.
    Random,
    /// `random two`.
    RandomTwo,
}

struct PeerStates {
    sets: [Vec<PeerState>; 2],
    random: u64,
}

/// A group of servers.
pub struct Group {
    /// The name of the `upstream`, or the address `proxy_pass` gave.
    pub name: String,
    /// What log lines and `$upstream_addr` call it where none of its servers is asked: the name, without a port.
    pub host: String,
    sets: [Set; 2],
    method: Method,
    peer_states: Mutex<PeerStates>,
    /// The active checks of its peers.
    checks: Mutex<Vec<Arc<Check>>>,
}

/// How a group would choose, for a reader.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The method in the configuration's words.
    pub method: &'static str,
    /// The peers in the order they would be asked, each after the failure of those before it.
    pub order: Vec<String>,
    /// Whom one request after the other would be sent to, from the start of a cycle; for round robin.
    pub turns: Vec<String>,
    /// The value of the key of `hash`.
    pub key: Option<String>,
}

/// Turns of round robin a reader wants to see at most.
const LONGEST: u64 = 64;

impl Choice {
    /// The same with the key it was made by.
    pub fn keyed(self, key: Option<&[u8]>) -> Self {
        Self { key: key.map(|key| String::from_utf8_lossy(key).into_owned()), ..self }
    }

    /// Whether the same client is always sent to the same peer.
    pub fn sticks(&self) -> bool {
        matches!(self.method, "ip_hash" | "hash" | "hash consistent") || self.order.len() < 2
    }
}

impl Group {
    /// A group of primary servers and backups.
    pub fn new(name: &str, peers: Vec<Peer>, backups: Vec<Peer>, method: Method) -> Self {
        let single = peers.len() == 1 && backups.is_empty();
        let sets = [Set::new(peers, single), Set::new(backups, false)];
        let peer_states = sets.each_ref().map(|set| set.peers.iter().map(PeerState::new).collect());
        Self {
            name: name.to_owned(),
            host: name.to_owned(),
            sets,
            method,
            peer_states: Mutex::new(PeerStates { sets: peer_states, random: random::seed() }),
            checks: Mutex::default(),
        }
    }

    /// The group of the addresses a `proxy_pass` names.
    pub fn implicit(name: &str, addresses: impl Iterator<Item = crate::net::address::Address>) -> Self {
        let peers = addresses.map(|address| Peer::new(address, name)).collect();
        let port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let host = name.rsplit_once(':').filter(|(_, rest)| port(rest)).map_or(name, |(host, _)| host);
        Self { host: host.to_owned(), ..Self::new(name, peers, Vec::new(), Method::RoundRobin) }
    }

    /// The choices of a new request.
    pub fn pick(&self, inputs: Inputs<'_>) -> Pick {
        Pick {
            set: 0,
            tried: Tried::default(),
            hash: HashState::new(&self.method, inputs),
            left: self.sets.iter().map(|set| set.live).sum(),
            session: inputs.session.into(),
        }
    }

    /// The peer to ask next, counted as in use until [`Self::free`]; none when all are out (`no live upstreams`).
    pub fn select(&self, pick: &mut Pick, now: u64) -> Option<PeerRef> {
        let mut peer_states = self.peer_states.lock();
        loop {
            let set = self.sets.get(usize::from(pick.set))?;
            let PeerStates { sets, random } = &mut *peer_states;
            let mut view = View { set, peer_states: sets.get_mut(usize::from(pick.set))?, now };
            if let Some(index) = self.choose(&mut view, pick, random) {
                view.peer_states.get(index)?.conns.fetch_add(1, Ordering::Relaxed);
                return Some(PeerRef { set: pick.set, index: u32::try_from(index).ok()? });
            }
            let backups = self.sets.get(1)?;
            if pick.set == 1 || backups.peers.is_empty() {
                return None;
            }
            pick.set = 1;
            pick.tried.clear();
        }
    }

    fn choose(&self, view: &mut View<'_>, pick: &mut Pick, random: &mut u64) -> Option<usize> {
        if let Some(index) = view.of_session(pick) {
            if matches!(self.method, Method::RoundRobin) && !view.set.single {
                view.charge(index, &pick.tried);
            }
            view.ask(index, &mut pick.tried);
            if let Method::LeastTime(rule) = self.method {
                least_time::begin(view, index, rule, Instant::now());
            }
            return Some(index);
        }
        match &self.method {
            Method::LeastConn => least_conn::choose(view, &mut pick.tried),
            Method::LeastTime(rule) => least_time::choose(view, &mut pick.tried, *rule, Instant::now()),
            Method::RoundRobin => round_robin::choose(view, &mut pick.tried),
            // The others know primary servers only; among backups the fallback goes on.
            _ if pick.set == 1 => round_robin::choose(view, &mut pick.tried),
            Method::IpHash => ip_hash::choose(view, pick),
            Method::Hash => hash::choose(view, pick),
            Method::Consistent(points) => points.choose(view, pick),
            Method::Random => random::choose(view, pick, random),
            Method::RandomTwo => random::choose_two(view, pick, random),
        }
    }

    /// Ends an attempt of a pick; true when the failure took the server out (nginx then warns
    /// `upstream server temporarily disabled`).
    pub fn free(&self, at: PeerRef, failed: bool, pick: &mut Pick, now: u64) -> bool {
        let Some(set) = self.sets.get(usize::from(at.set)) else { return false };
        pick.left = if set.single { 0 } else { pick.left.saturating_sub(1) };
        self.settle(at, failed, now)
    }

    /// The same where there is no other attempt to be made, and nothing speaks against the server.
    pub fn release(&self, at: PeerRef) {
        self.settle(at, false, 0);
    }

    fn settle(&self, at: PeerRef, failed: bool, now: u64) -> bool {
        let Some(set) = self.sets.get(usize::from(at.set)) else { return false };
        let Some(peer) = set.peers.get(at.index as usize) else { return false };
        let mut peer_states = self.peer_states.lock();
        let of_set = peer_states.sets.get_mut(usize::from(at.set));
        let Some(peer_state) = of_set.and_then(|peer_states| peer_states.get_mut(at.index as usize)) else {
            return false;
        };
        peer_state.conns.fetch_sub(1, Ordering::Relaxed);
        if set.single {
            return false;
        }
        if failed {
            return peer_state.failed(peer, now);
        }
        peer_state.worked();
        false
    }

    /// Notes that a stream connection to the peer stands: a check that went well forgives at once.
    pub fn connected(&self, at: PeerRef) {
        let mut peer_states = self.peer_states.lock();
        let of_set = peer_states.sets.get_mut(usize::from(at.set));
        if let Some(peer_state) = of_set.and_then(|peer_states| peer_states.get_mut(at.index as usize)) {
            peer_state.worked();
        }
    }

    /// The rule the attempts at a peer are measured by; nothing where no time decides.
    pub fn measures(&self, at: PeerRef) -> Option<Rule> {
        match self.method {
            Method::LeastTime(rule) => self.sets.get(usize::from(at.set)).filter(|set| !set.single).map(|_| rule),
            _ => None,
        }
    }

    /// Changes what is known of a peer's times.
    pub fn measured(&self, at: PeerRef, change: impl FnOnce(&mut Times)) {
        let mut peer_states = self.peer_states.lock();
        let of_set = peer_states.sets.get_mut(usize::from(at.set));
        if let Some(peer_state) = of_set.and_then(|peer_states| peer_states.get_mut(at.index as usize)) {
            change(&mut peer_state.times);
        }
    }

    /// A peer's id for `sticky`.
    pub fn id(&self, at: PeerRef) -> Option<&str> {
        self.sets.get(usize::from(at.set))?.ids().get(at.index as usize).map(|id| &**id)
    }

    /// The peer a reference names.
    pub fn peer(&self, at: PeerRef) -> Option<&Peer> {
        self.sets.get(usize::from(at.set))?.peers.get(at.index as usize)
    }

    /// How this group would choose for a client, from the states of its peers as they are. It moves them on: for groups that serve
    /// nobody.
    pub fn explain(&self, inputs: Inputs<'_>, tries: u32) -> Choice {
        let shown = |at: PeerRef| {
            self.peer(at).map_or_else(String::new, |peer| match *peer.server == *peer.name {
                true => peer.name.to_string(),
                false => format!("{} ({})", peer.server, peer.name),
            })
        };
        let cycle: u64 = self.sets.iter().take(1).map(|set| set.total_weight).sum();
        let mut turns = Vec::new();
        // After as many turns as there is weight, round robin is where it began.
        if matches!(self.method, Method::RoundRobin) && cycle <= LONGEST {
            turns.extend((0..cycle).filter_map(|_| self.select(&mut self.pick(inputs), 0).map(shown)));
        }
        let mut pick = self.pick(inputs);
        pick.limit(tries);
        let mut order = Vec::new();
        for _ in 0..pick.left() {
            order.extend(self.select(&mut pick, 0).map(shown));
        }
        let method = match &self.method {
            Method::RoundRobin => "round robin",
            Method::LeastConn => "least_conn",
            Method::LeastTime(rule) => rule.text(),
            Method::IpHash => "ip_hash",
            Method::Hash => "hash",
            Method::Consistent(_) => "hash consistent",
            Method::Random => "random",
            Method::RandomTwo => "random two",
        };
        Choice { method, order, turns, key: None }
    }

    /// All peers, backups last.
    pub fn all_peers(&self) -> impl Iterator<Item = &Peer> {
        self.sets.iter().flat_map(|set| set.peers.iter())
    }

    /// All peers, backups last, each with whether it is one.
    #[cfg(test)]
    pub fn peers(&self) -> impl Iterator<Item = (&Peer, bool)> {
        self.sets.iter().zip([false, true]).flat_map(|(set, backup)| set.peers.iter().map(move |peer| (peer, backup)))
    }

    /// Adds an active check of all peers.
    pub fn add_check(&self, check: &Arc<Check>) {
        self.checks.lock().push(check.clone());
        let mut peer_states = self.peer_states.lock();
        for peer_state in peer_states.sets.iter_mut().flatten() {
            peer_state.health.push(Checked::new(check.clone()));
        }
    }

    /// Adds the active checks of another group.
    pub fn add_checks_of(&self, other: &Self) {
        if !std::ptr::eq(self, other) {
            let checks = other.checks.lock().clone();
            checks.iter().for_each(|check| self.add_check(check));
        }
    }

    /// Takes the result of a check of a peer; the state the check changes to, if it does. A peer that is not in the group any
    /// more has none.
    pub fn judge(&self, peer: &Peer, check: &Arc<Check>, good: bool, now: u64) -> Option<State> {
        let mut peer_states = self.peer_states.lock();
        let mut all = self.sets.iter().zip(&mut peer_states.sets).flat_map(|(set, all)| set.peers.iter().zip(all));
        let (own, peer_state) = all.find(|(own, _)| own.name == peer.name && own.server == peer.server)?;
        let checked = peer_state.health.iter_mut().find(|checked| Arc::ptr_eq(&checked.check, check))?;
        let changed = checked.results.take(check.rule, good)?;
        if changed == State::Healthy && peer_state.is_healthy() {
            peer_state.recover(own, now);
        }
        Some(changed)
    }

    /// What an active check has found of each peer, by its address.
    pub fn checked(&self, check: &Arc<Check>) -> Vec<(Arc<str>, Results)> {
        let peer_states = self.peer_states.lock();
        let all = self.sets.iter().zip(&peer_states.sets).flat_map(|(set, all)| set.peers.iter().zip(all));
        let found = all.filter_map(|(peer, state)| {
            let checked = state.health.iter().find(|checked| Arc::ptr_eq(&checked.check, check))?;
            Some((peer.name.clone(), checked.results))
        });
        found.collect()
    }

    /// Takes over, by name, what an earlier generation of the group knew of its peers: failures and open connections.
    ///
    /// Differs from nginx: a reload does not forget which servers are down. [test: health_carries_over_by_name]
    /// Differs from nginx: a reload does not forget which servers an active check has found unhealthy. [test: an_unhealthy_server_stays_so_over_a_reload]
    pub fn carry_over(&self, old: &Self) {
        if std::ptr::eq(self, old) {
            return;
        }
        let known = old.peer_states.lock();
        let mut mine = self.peer_states.lock();
        for (set, peer_states) in self.sets.iter().zip(&mut mine.sets) {
            for (peer, peer_state) in set.peers.iter().zip(peer_states) {
                let mut before = old.sets.iter().zip(&known.sets).flat_map(|(set, all)| set.peers.iter().zip(all));
                let same = before.find(|(was, _)| was.name == peer.name && was.server == peer.server);
                let Some((_, known)) = same else { continue };
                let effective = known.effective.min(i64::from(peer.weight));
                let times = known.times.averages();
                let mut health = std::mem::take(&mut peer_state.health);
                health.iter_mut().for_each(|checked| checked.carry_over(&known.health));
                *peer_state = PeerState { effective, current: 0, times, health, ..known.clone() };
            }
        }
    }

    /// Connections in use, in the order of [`Self::peers`].
    #[cfg(test)]
    fn connections(&self) -> Vec<usize> {
        self.peer_states.lock().sets.iter().flatten().map(PeerState::connections).collect()
    }
}

#[cfg(test)]
mod tests;
