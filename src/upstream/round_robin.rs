//! Smooth weighted round robin: each turn adds its weight to every server's current one; the highest is chosen, and the sum is
//! taken from it.

use super::view::{Tried, View};

/// The next peer of the set. A lone server is asked whatever its failures, unless it is down, unhealthy or full.
pub fn choose(view: &mut View<'_>, tried: &mut Tried) -> Option<usize> {
    if view.set.single {
        let (peer, peer_state) = (view.set.peers.first()?, view.peer_states.first()?);
        return (!peer.down && peer_state.is_healthy() && !peer_state.is_full(peer)).then_some(0);
    }
    let index = match view.set.peers.len() {
        0..=64 => {
            let mut free = 0_u64;
            for index in 0..view.set.peers.len() {
                free |= u64::from(view.is_free(index, tried)) << index;
            }
            view.rotate((0..64).filter(|index| free & (1 << index) != 0))
        }
        count => {
            let free: Vec<usize> = (0..count).filter(|index| view.is_free(*index, tried)).collect();
            view.rotate(free.into_iter())
        }
    }?;
    view.ask(index, tried);
    Some(index)
}
