//! `least_conn`: the fewest connections for its weight; round robin among equals.

use super::group::{Tried, View};
use super::round_robin;
use std::cmp::Ordering;

/// The next peer of the set.
pub fn choose(view: &mut View<'_>, tried: &mut Tried) -> Option<usize> {
    if view.set.single {
        return round_robin::choose(view, tried);
    }
    let mut best: Option<usize> = None;
    let mut many = false;
    for index in 0..view.set.peers.len() {
        if !view.is_free(index, tried) {
            continue;
        }
        match best.map_or(Ordering::Less, |best| load(view, index, best)) {
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
        index = equals(view, index, tried).unwrap_or(index);
    }
    view.ask(index, tried);
    Some(index)
}

/// How busy the peer at `a` is for its weight, against the one at `b`.
pub fn load(view: &View<'_>, a: usize, b: usize) -> Ordering {
    let of = |index: usize| {
        let weight = view.set.peers.get(index).map_or(1, |peer| u64::from(peer.weight));
        (view.standings.get(index).map_or(0, |standing| standing.connections() as u64), weight)
    };
    let ((a, a_weight), (b, b_weight)) = (of(a), of(b));
    (a * b_weight).cmp(&(b * a_weight))
}

/// Round robin among those as busy as the peer at `first`, from there on.
fn equals(view: &mut View<'_>, first: usize, tried: &Tried) -> Option<usize> {
    let mut richest: Option<(usize, i64)> = None;
    let mut total = 0;
    for index in first..view.set.peers.len() {
        if !view.is_free(index, tried) || load(view, index, first) != Ordering::Equal {
            continue;
        }
        let (Some(peer), Some(standing)) = (view.set.peers.get(index), view.standings.get_mut(index)) else { continue };
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
