//! A bounded table: byte keys, least-recently-used order, a byte budget, sharded short locks.
//!
//! No lock is held across a wait or a system call. The budget counts what nginx's slab would take for a node, so that
//! a zone of a given size holds at least as many entries as nginx's.

use hashbrown::{DefaultHashBuilder, HashTable};
use parking_lot::Mutex;
use slab::Slab;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};

const SHARDS: usize = 16;
const NONE: usize = usize::MAX;

/// There is no room for another entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

struct Entry<V> {
    key: Box<[u8]>,
    value: V,
    newer: usize,
    older: usize,
}

struct Shard<V> {
    entries: Slab<Entry<V>>,
    index: HashTable<usize>,
    newest: usize,
    oldest: usize,
}

/// A bounded table of `V` by bytes.
pub struct Table<V> {
    shards: Box<[Mutex<Shard<V>>]>,
    hasher: DefaultHashBuilder,
    budget: u64,
    used: AtomicU64,
    /// Bytes of an entry beside its key.
    overhead: usize,
}

impl<V> Table<V> {
    /// A table of `budget` bytes whose entries take `overhead` bytes and their key.
    pub fn new(budget: u64, overhead: usize) -> Self {
        let shard = || Shard { entries: Slab::new(), index: HashTable::new(), newest: NONE, oldest: NONE };
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(),
            hasher: DefaultHashBuilder::default(),
            budget,
            used: AtomicU64::new(0),
            overhead,
        }
    }

    /// What nginx's slab takes for an entry: the next power of two up to half a page, whole pages above.
    fn cost(&self, key: &[u8]) -> u64 {
        let size = (self.overhead + key.len()).max(8);
        let taken = if size <= 2048 { size.next_power_of_two() } else { size.next_multiple_of(4096) };
        taken as u64
    }

    fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard<V>> {
        let index = (hash >> 48) as usize % SHARDS;
        // The fallback is never reached: the index is below the number of shards.
        self.shards.get(index).unwrap_or(&self.shards[0])
    }

    /// Runs `work` on the entry of `key`, made by `make` when there is none; it becomes the newest.
    ///
    /// # Errors
    /// When it would have to be made and the budget is spent.
    pub fn update<R>(&self, key: &[u8], make: impl FnOnce() -> V, work: impl FnOnce(&mut V) -> R) -> Result<R, Full> {
        let hash = self.hash(key);
        let mut shard = self.shard(hash).lock();
        let at = match shard.find(hash, key) {
            Some(at) => {
                shard.unlink(at);
                at
            }
            None => {
                let cost = self.cost(key);
                let fits = |used: u64| used.checked_add(cost).filter(|sum| *sum <= self.budget);
                self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map_err(|_| Full)?;
                shard.insert(hash, key, make(), |key| self.hasher.hash_one(key))
            }
        };
        shard.link(at);
        shard.entries.get_mut(at).map(|entry| work(&mut entry.value)).ok_or(Full)
    }

    /// Runs `work` on the entry of `key`, if there is one, without making it newer; true removes the entry.
    pub fn release(&self, key: &[u8], work: impl FnOnce(&mut V) -> bool) {
        let hash = self.hash(key);
        let mut shard = self.shard(hash).lock();
        let Some(at) = shard.find(hash, key) else { return };
        if shard.entries.get_mut(at).is_some_and(|entry| work(&mut entry.value)) {
            shard.remove(at, hash);
            self.used.fetch_sub(self.cost(key), Ordering::Relaxed);
        }
    }

    /// Removes up to `most` of the oldest entries that share `key`'s lock, as long as `may` agrees; tells how many.
    #[cfg_attr(not(test), expect(dead_code, reason = "the caches and limits that evict are not served yet"))]
    pub fn evict(&self, key: &[u8], most: usize, mut may: impl FnMut(&V) -> bool) -> usize {
        let mut shard = self.shard(self.hash(key)).lock();
        let mut gone = 0;
        while gone < most {
            let at = shard.oldest;
            let Some(entry) = shard.entries.get(at).filter(|entry| may(&entry.value)) else { break };
            let (hash, cost) = (self.hash(&entry.key), self.cost(&entry.key));
            shard.remove(at, hash);
            self.used.fetch_sub(cost, Ordering::Relaxed);
            gone += 1;
        }
        gone
    }

    /// How many entries there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().entries.len()).sum()
    }
}

impl<V> Shard<V> {
    fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let same = |at: &usize| self.entries.get(*at).is_some_and(|entry| *entry.key == *key);
        self.index.find(hash, same).copied()
    }

    fn insert(&mut self, hash: u64, key: &[u8], value: V, rehash: impl Fn(&[u8]) -> u64) -> usize {
        let at = self.entries.insert(Entry { key: key.into(), value, newer: NONE, older: NONE });
        let entries = &self.entries;
        let hash_of = |at: &usize| entries.get(*at).map_or(0, |entry| rehash(&entry.key));
        self.index.insert_unique(hash, at, hash_of);
        at
    }

    fn link(&mut self, at: usize) {
        let before = std::mem::replace(&mut self.newest, at);
        if let Some(entry) = self.entries.get_mut(at) {
            entry.newer = NONE;
            entry.older = before;
        }
        match self.entries.get_mut(before) {
            Some(entry) => entry.newer = at,
            None => self.oldest = at,
        }
    }

    fn unlink(&mut self, at: usize) {
        let Some(entry) = self.entries.get(at) else { return };
        let (newer, older) = (entry.newer, entry.older);
        match self.entries.get_mut(newer) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
        match self.entries.get_mut(older) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn remove(&mut self, at: usize, hash: u64) {
        self.unlink(at);
        if let Ok(found) = self.index.find_entry(hash, |have| *have == at) {
            found.remove();
        }
        self.entries.try_remove(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn the_budget_is_nginxs() {
        // 64-byte nodes: nginx's documentation promises about 16 thousand to the megabyte.
        let table = Table::new(1 << 20, 56);
        let fitting = (0..20_000_u32).take_while(|n| table.update(&n.to_be_bytes(), || (), |()| ()).is_ok()).count();
        assert_eq!(fitting, 16_384);
        assert_eq!(table.len(), fitting);
        assert_eq!(table.evict(b"anything", 2, |()| true), 2);
        assert_eq!(table.update(b"new", || (), |()| ()), Ok(()));
    }

    #[test]
    fn the_oldest_goes_first() {
        let table = Table::new(1 << 20, 8);
        let keys: Vec<[u8; 2]> = (0..200_u16).map(u16::to_be_bytes).collect();
        for key in &keys {
            let _ = table.update(key, || u16::from_be_bytes(*key), |_| ());
        }
        let _ = table.update(&keys[0], || 0, |_| ());
        let mut seen = Vec::new();
        while table.evict(&keys[0], 1, |value| {
            seen.push(*value);
            true
        }) > 0
        {}
        assert_eq!(seen.last(), Some(&0));
        assert!(seen[..seen.len() - 1].is_sorted());
    }

    proptest! {
        #[test]
        fn a_table_is_a_map(steps in proptest::collection::vec((0_u8..3, 0_u8..40), 0..400)) {
            let table = Table::new(1 << 20, 16);
            let mut model: HashMap<u8, u32> = HashMap::new();
            for (step, key) in steps {
                match step {
                    0 | 1 => {
                        let count = table.update(&[key], || 0_u32, |count| { *count += 1; *count });
                        let expected = model.entry(key).or_default();
                        *expected += 1;
                        prop_assert_eq!(count, Ok(*expected));
                    }
                    _ => {
                        table.release(&[key], |count| { *count -= 1; *count == 0 });
                        if let Some(count) = model.get_mut(&key) {
                            *count -= 1;
                            if *count == 0 { model.remove(&key); }
                        }
                    }
                }
                prop_assert_eq!(table.len(), model.len());
            }
        }
    }
}
