//! `least_conn`: the fewest connections for its weight; round robin among equals.

use super::peer::{Peer, PeerState};
use super::round_robin;
use super::view::{Tried, View};
use std::cmp::Ordering;

/// The next peer of the set.
pub fn choose(view: &mut View<'_>, tried: &mut Tried) -> Option<usize> {
    if view.set.single {
        return round_robin::choose(view, tried);
    }
    cheapest(view, tried, connections)
}

/// What a peer costs at a time in whole seconds; the least for its weight is asked.
pub type Cost = fn(&Peer, &PeerState, u64) -> u64;

fn connections(_: &Peer, peer_state: &PeerState, _: u64) -> u64 {
    peer_state.connections() as u64
}

/// The peer with the least cost for its weight; round robin among equals.
pub fn cheapest(view: &mut View<'_>, tried: &mut Tried, cost: Cost) -> Option<usize> {
    let mut best: Option<usize> = None;
    let mut many = false;
    for index in 0..view.set.peers.len() {
        if !view.is_free(index, tried) {
            continue;
        }
        match best.map_or(Ordering::Less, |best| compare(view, index, best, cost)) {
            Ordering::Less => {
                best = Some(index);
                many = false;
            }
            Ordering::Equal => many = true,
            Ordering::Greater => {}
        }
    }
    let mut index = best?;
    if many {
        index = equals(view, index, tried, cost).unwrap_or(index);
    }
    view.ask(index, tried);
    Some(index)
}

/// How busy the peer at `a` is for its weight, against the one at `b`.
pub fn load(view: &View<'_>, a: usize, b: usize) -> Ordering {
    compare(view, a, b, connections)
}

/// What the peer at `a` costs for its weight, against the one at `b`.
fn compare(view: &View<'_>, a: usize, b: usize, cost: Cost) -> Ordering {
    let of = |index: usize| match (view.set.peers.get(index), view.peer_states.get(index)) {
        (Some(peer), Some(peer_state)) => {
            let weight = peer_state.grown(peer, i64::from(peer.weight), view.now);
            (cost(peer, peer_state, view.now), weight.unsigned_abs())
        }
        _ => (0, 1),
    };
    let ((a, a_weight), (b, b_weight)) = (of(a), of(b));
    a.saturating_mul(b_weight).cmp(&b.saturating_mul(a_weight))
}

/// Round robin among those that cost as much as the peer at `first`, from there on.
fn equals(view: &mut View<'_>, first: usize, tried: &Tried, cost: Cost) -> Option<usize> {
    let mut richest: Option<(usize, i64)> = None;
    let mut total = 0;
    for index in first..view.set.peers.len() {
        if !view.is_free(index, tried) || compare(view, index, first, cost) != Ordering::Equal {
            continue;
        }
        let (Some(peer), Some(peer_state)) = (view.set.peers.get(index), view.peer_states.get_mut(index)) else {
            continue;
        };
        total += peer_state.take_turn(peer, view.now);
        if richest.is_none_or(|(_, current)| peer_state.current > current) {
            richest = Some((index, peer_state.current));
        }
    }
    let (index, _) = richest?;
    if let Some(peer_state) = view.peer_states.get_mut(index) {
        peer_state.current -= total;
    }
    Some(index)
}
