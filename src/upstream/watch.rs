//! Active checks at work: who is asked when.
//!
//! One task of the worker's first loop asks each server; all loops see the result in the group. What is asked is another
//! module's, behind [`Ask`].

use super::group::Group;
use super::health::Check;
use super::names::Changing;
use super::peer::Peer;
use crate::check::health::State;
use crate::net::event_loop::{EventLoop, spawn};
use hashbrown::{HashMap, HashSet};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::task::JoinHandle;

/// The answer to a check: whether it passed, or nothing where this side could not ask.
pub type Outcome = Option<bool>;

/// Asks a server.
pub trait Ask: 'static {
    /// What is kept from one check of a server to the next, as a connection.
    type Kept: Default + 'static;

    /// Asks it once.
    fn ask<'a>(&'a self, peer: &'a Peer, kept: &'a mut Self::Kept) -> Pin<Box<dyn Future<Output = Outcome> + 'a>>;

    /// Is told of a change that the last check of a server came to.
    fn changed(&self, peer: &Peer, kept: &mut Self::Kept, state: State);
}

/// A task that ends with this.
pub struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How often a group whose servers may change is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// First checks of servers follow each other by this, so that many servers are not asked at once.
const APART: Duration = Duration::from_millis(1);

/// Checks the servers of a pool for as long as the result is held; to be called on one loop.
pub fn watch<P: Changing, A: Ask>(
    pool: &Arc<P>,
    check: &Arc<Check>,
    ask: Rc<A>,
    event_loop: &Rc<EventLoop>,
) -> Running {
    let task = Task { pool: Arc::downgrade(pool), check: check.clone(), ask, event_loop: event_loop.clone() };
    Running(spawn(follow(Rc::new(task))))
}

/// A check at work.
struct Task<P, A> {
    pool: Weak<P>,
    check: Arc<Check>,
    ask: Rc<A>,
    event_loop: Rc<EventLoop>,
}

/// The name and the server of a peer, by which it is known again.
type Identity = (Arc<str>, String);

async fn follow<P: Changing, A: Ask>(task: Rc<Task<P, A>>) {
    let mut tasks: HashMap<Identity, Running> = HashMap::new();
    let mut seen: Weak<P> = Weak::new();
    loop {
        let Some(pool) = task.pool.upgrade() else { return };
        let changes = pool.live().is_some();
        let current = pool.now();
        if !std::ptr::eq(seen.as_ptr(), Arc::as_ptr(&current)) {
            seen = Arc::downgrade(&current);
            let peers: Vec<Peer> = current.group().checked_peers().cloned().collect();
            let identity = |peer: &Peer| (peer.name.clone(), peer.server.clone());
            let wanted: HashSet<Identity> = peers.iter().map(identity).collect();
            tasks.retain(|known, _| wanted.contains(known));
            for (number, peer) in (0..).zip(peers) {
                let first = (APART * number).min(task.check.interval);
                let begin = || Running(spawn(repeat(task.clone(), peer.clone(), first)));
                tasks.entry(identity(&peer)).or_insert_with(begin);
            }
        }
        drop((pool, current));
        if !changes {
            // The tasks end with this one.
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn repeat<P: Changing, A: Ask>(task: Rc<Task<P, A>>, peer: Peer, first: Duration) {
    let random = RandomState::new();
    let Task { pool, check, ask, event_loop } = &*task;
    let mut kept = A::Kept::default();
    let mut wait = first;
    for round in 0_u64.. {
        tokio::time::sleep(wait + random_below(&random, round, check.jitter)).await;
        let outcome = ask.ask(&peer, &mut kept).await;
        let Some(pool) = pool.upgrade() else { return };
        let now = event_loop.clock.now().as_secs();
        let changed = outcome.and_then(|good| pool.now().group().judge(&peer, check, good, now));
        drop(pool);
        if let Some(state) = changed {
            ask.changed(&peer, &mut kept, state);
        }
        wait = check.interval;
    }
}

/// A random time below `most`.
fn random_below(random: &RandomState, round: u64, most: Duration) -> Duration {
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    if most == 0 {
        return Duration::ZERO;
    }
    let mut hasher = random.build_hasher();
    hasher.write_u64(round);
    Duration::from_millis(hasher.finish() % most)
}

impl Group {
    /// The peers that checks are for.
    fn checked_peers(&self) -> impl Iterator<Item = &Peer> {
        self.all_peers().filter(|peer| !peer.down || peer.drains)
    }
}
