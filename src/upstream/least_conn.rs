//! `least_conn`: the fewest connections for its weight; round robin among equals.

use super::group::{Tried, View};
use super::peer::Peer;
use super::round_robin;
use std::cmp::Ordering;

/// The next peer of the set.
pub fn choose(view: &mut View<'_>, tried: &mut Tried) -> Option<usize> {
    if view.set.single {
        return round_robin::choose(view, tried);
    }
    let mut best: Option<(usize, &Peer)> = None;
    let mut many = false;
    for (index, peer) in view.set.peers.iter().enumerate() {
        if !view.is_free(index, tried) {
            continue;
        }
        match best.map_or(Ordering::Less, |(_, best)| load(peer, best)) {
            Ordering::Less => {
                best = Some((index, peer));
                many = false;
            }
            Ordering::Equal => many = true,
            Ordering::Greater => {}
        }
    }
    let (mut index, peer) = best?;
    if many {
        index = equals(view, (index, peer), tried).unwrap_or(index);
    }
    view.ask(index, tried);
    Some(index)
}

/// How busy `a` is for its weight, against `b`.
pub fn load(a: &Peer, b: &Peer) -> Ordering {
    let weighed = |peer: &Peer, by: &Peer| peer.connections() as u64 * u64::from(by.weight);
    weighed(a, b).cmp(&weighed(b, a))
}

/// Round robin among those as busy as `best`, from `best` on.
fn equals(view: &mut View<'_>, (first, best): (usize, &Peer), tried: &Tried) -> Option<usize> {
    let mut richest: Option<(usize, i64)> = None;
    let mut total = 0;
    for (index, peer) in view.set.peers.iter().enumerate().skip(first) {
        if !view.is_free(index, tried) || load(peer, best) != Ordering::Equal {
            continue;
        }
        let Some(standing) = view.standings.get_mut(index) else { continue };
        total += standing.turn(peer);
        if richest.is_none_or(|(_, current)| standing.current > current) {
            richest = Some((index, standing.current));
        }
    }
    let (index, _) = richest?;
    if let Some(standing) = view.standings.get_mut(index) {
        standing.current -= total;
    }
    Some(index)
}
