//! `least_time`: the shortest estimated time to finish what a server is at, for its weight; round robin among equals.
//!
//! The estimate is the server's average time to a point of an answer, times the connections it would then have. A time
//! that was measured counts for a twentieth of the average. With `inflight` attempts that have not come to the point
//! count by their age.

use super::peer::{Peer, PeerState};
use super::times::Rule;
use super::view::{Tried, View};
use super::{least_conn, round_robin};
use std::time::Instant;

/// The time after which a server would have finished one attempt more.
fn estimate(peer: &Peer, state: &PeerState, now: u64) -> u64 {
    let idle = now.saturating_sub(state.checked);
    state.times.expected(idle, peer.fail_timeout).saturating_mul(1 + state.connections() as u64)
}

/// The next peer of the set.
pub fn choose(view: &mut View<'_>, tried: &mut Tried, rule: Rule, now: Instant) -> Option<usize> {
    if view.set.single {
        return round_robin::choose(view, tried);
    }
    for index in 0..view.set.peers.len() {
        if view.is_free(index, tried)
            && let Some(state) = view.peer_states.get_mut(index)
        {
            state.times.average_inflight(now);
        }
    }
    let index = least_conn::cheapest(view, tried, estimate)?;
    begin(view, index, rule, now);
    Some(index)
}

/// Notes that an attempt at the peer at `index` begins.
pub fn begin(view: &mut View<'_>, index: usize, rule: Rule, now: Instant) {
    if rule.inflight
        && !view.set.single
        && let Some(state) = view.peer_states.get_mut(index)
    {
        state.times.begin(now);
    }
}

#[cfg(test)]
mod tests;
