//! `random`: a random server by weight; `random two` draws two and takes the less busy one.

use super::view::{Pick, View};
use super::{least_conn, round_robin};
use std::cmp::Ordering;
use std::hash::{BuildHasher as _, Hasher as _};

/// The seed of a group's random numbers.
pub fn seed() -> u64 {
    std::hash::RandomState::new().build_hasher().finish() | 1
}

/// The next number (xorshift64*, Vigna 2016).
fn next(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
}

/// The next peer of the set.
pub fn choose(view: &mut View<'_>, pick: &mut Pick, random: &mut u64) -> Option<usize> {
    while pick.hash.tries <= 20 && view.set.peers.len() > 1 {
        let index = view.set.at_weight(next(random) % view.set.total_weight.max(1));
        if view.is_free(index, &pick.tried) {
            view.ask(index, &mut pick.tried);
            return Some(index);
        }
        pick.hash.tries += 1;
    }
    round_robin::choose(view, &mut pick.tried)
}

/// The next peer of the set: of two different ones the one with fewer connections for its weight.
pub fn choose_two(view: &mut View<'_>, pick: &mut Pick, random: &mut u64) -> Option<usize> {
    let mut first: Option<usize> = None;
    while pick.hash.tries <= 20 && view.set.peers.len() > 1 {
        let index = view.set.at_weight(next(random) % view.set.total_weight.max(1));
        if first == Some(index) || !view.is_free(index, &pick.tried) {
            pick.hash.tries += 1;
            continue;
        }
        let Some(before) = first else {
            first = Some(index);
            continue;
        };
        let busier = least_conn::load(view, index, before) == Ordering::Greater;
        let index = if busier { before } else { index };
        view.ask(index, &mut pick.tried);
        return Some(index);
    }
    round_robin::choose(view, &mut pick.tried)
}
