//! A bounded table: byte keys, one least-recently-used order over the whole zone, a byte budget, one short lock.
//!
//! The lock is not held across a wait or a system call; values that are used outside it are `Arc`s. The budget counts what
//! nginx's slab would take for a node, so that a zone of a given size holds at least as many entries as nginx's.

use hashbrown::{DefaultHashBuilder, HashTable};
use parking_lot::Mutex;
use slab::Slab;
use std::hash::BuildHasher as _;

const NONE: usize = usize::MAX;

/// There is no room for another entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// What becomes of the oldest entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oldest {
    /// It stays, and so do all newer ones.
    Keep,
    /// It is removed, and the next oldest is looked at.
    Remove,
}

struct Entry<V> {
    key: Box<[u8]>,
    value: V,
    newer: usize,
    older: usize,
}

struct Entries<V> {
    slab: Slab<Entry<V>>,
    index: HashTable<usize>,
    newest: usize,
    oldest: usize,
    /// Bytes of the budget that are taken.
    used: u64,
}

/// A bounded table of `V` by bytes.
pub struct Table<V> {
    entries: Mutex<Entries<V>>,
    hasher: DefaultHashBuilder,
    budget: u64,
    /// Bytes of an entry beside its key.
    overhead: usize,
}

impl<V> Table<V> {
    /// A table of `budget` bytes whose entries take `overhead` bytes and their key.
    pub fn new(budget: u64, overhead: usize) -> Self {
        let entries = Entries { slab: Slab::new(), index: HashTable::new(), newest: NONE, oldest: NONE, used: 0 };
        Self { entries: Mutex::new(entries), hasher: DefaultHashBuilder::default(), budget, overhead }
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

    /// Runs `work` on the entry of `key`, made by `make` when there is none; it becomes the newest.
    ///
    /// # Errors
    /// When it would have to be made and the budget is spent.
    pub fn update<R>(&self, key: &[u8], make: impl FnOnce() -> V, work: impl FnOnce(&mut V) -> R) -> Result<R, Full> {
        let hash = self.hash(key);
        let mut entries = self.entries.lock();
        let at = match entries.find(hash, key) {
            Some(at) => {
                entries.unlink(at);
                at
            }
            None => {
                let used = entries.used.saturating_add(self.cost(key));
                if used > self.budget {
                    return Err(Full);
                }
                entries.used = used;
                entries.insert(hash, key, make(), |key| self.hash(key))
            }
        };
        entries.link(at);
        entries.slab.get_mut(at).map(|entry| work(&mut entry.value)).ok_or(Full)
    }

    /// [`Self::update`], which asks `judge` about the oldest entries before it makes another: once while there may be room,
    /// and again where there is none. `judge` gets whether room lacks, and how many entries it has removed in this round.
    ///
    /// # Errors
    /// When the budget is spent all the same.
    pub fn update_evicting<R>(
        &self,
        key: &[u8],
        mut judge: impl FnMut(bool, usize, &V) -> Oldest,
        make: impl FnOnce() -> V,
        work: impl FnOnce(&mut V) -> R,
    ) -> Result<R, Full> {
        let hash = self.hash(key);
        let mut entries = self.entries.lock();
        let at = match entries.find(hash, key) {
            Some(at) => {
                entries.unlink(at);
                at
            }
            None => {
                self.evict(&mut entries, |removed, _, value| judge(false, removed, value));
                if entries.used.saturating_add(self.cost(key)) > self.budget {
                    self.evict(&mut entries, |removed, _, value| judge(true, removed, value));
                }
                let used = entries.used.saturating_add(self.cost(key));
                if used > self.budget {
                    return Err(Full);
                }
                entries.used = used;
                entries.insert(hash, key, make(), |key| self.hash(key))
            }
        };
        entries.link(at);
        entries.slab.get_mut(at).map(|entry| work(&mut entry.value)).ok_or(Full)
    }

    /// Runs `work` on the entry of `key`, if there is one, without making it newer; true removes the entry.
    pub fn release(&self, key: &[u8], work: impl FnOnce(&mut V) -> bool) {
        let hash = self.hash(key);
        let mut entries = self.entries.lock();
        let Some(at) = entries.find(hash, key) else { return };
        if entries.slab.get_mut(at).is_some_and(|entry| work(&mut entry.value)) {
            entries.remove(at, hash);
            entries.used = entries.used.saturating_sub(self.cost(key));
        }
    }

    /// Shows `judge` the entry that was longest not updated, and the next while it removes them; tells how many it removed.
    pub fn for_oldest(&self, mut judge: impl FnMut(&[u8], &mut V) -> Oldest) -> usize {
        self.evict(&mut self.entries.lock(), |_, key, value| judge(key, value))
    }

    fn evict(&self, entries: &mut Entries<V>, mut judge: impl FnMut(usize, &[u8], &mut V) -> Oldest) -> usize {
        let mut removed = 0;
        loop {
            let at = entries.oldest;
            let Some(entry) = entries.slab.get_mut(at) else { return removed };
            if judge(removed, &entry.key, &mut entry.value) == Oldest::Keep {
                return removed;
            }
            let (hash, cost) = (self.hash(&entry.key), self.cost(&entry.key));
            entries.remove(at, hash);
            entries.used = entries.used.saturating_sub(cost);
            removed += 1;
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.lock().slab.len()
    }
}

impl<V> Entries<V> {
    fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let same = |at: &usize| self.slab.get(*at).is_some_and(|entry| *entry.key == *key);
        self.index.find(hash, same).copied()
    }

    fn insert(&mut self, hash: u64, key: &[u8], value: V, rehash: impl Fn(&[u8]) -> u64) -> usize {
        let at = self.slab.insert(Entry { key: key.into(), value, newer: NONE, older: NONE });
        let entries = &self.slab;
        let hash_of = |at: &usize| entries.get(*at).map_or(0, |entry| rehash(&entry.key));
        self.index.insert_unique(hash, at, hash_of);
        at
    }

    fn link(&mut self, at: usize) {
        let before = std::mem::replace(&mut self.newest, at);
        if let Some(entry) = self.slab.get_mut(at) {
            entry.newer = NONE;
            entry.older = before;
        }
        match self.slab.get_mut(before) {
            Some(entry) => entry.newer = at,
            None => self.oldest = at,
        }
    }

    fn unlink(&mut self, at: usize) {
        let Some(entry) = self.slab.get(at) else { return };
        let (newer, older) = (entry.newer, entry.older);
        match self.slab.get_mut(newer) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
        match self.slab.get_mut(older) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn remove(&mut self, at: usize, hash: u64) {
        self.unlink(at);
        if let Ok(found) = self.index.find_entry(hash, |have| *have == at) {
            found.remove();
        }
        self.slab.try_remove(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn up_to<V>(mut most: usize) -> impl FnMut(&[u8], &mut V) -> Oldest {
        move |_, _| {
            let Some(left) = most.checked_sub(1) else { return Oldest::Keep };
            most = left;
            Oldest::Remove
        }
    }

    #[test]
    fn the_budget_is_nginxs() {
        // 64-byte nodes: nginx's documentation promises about 16 thousand to the megabyte.
        let table = Table::new(1 << 20, 56);
        let fitting = (0..20_000_u32).take_while(|n| table.update(&n.to_be_bytes(), || (), |()| ()).is_ok()).count();
        assert_eq!(fitting, 16_384);
        assert_eq!(table.len(), fitting);
        assert_eq!(table.for_oldest(up_to(2)), 2);
        assert_eq!(table.update(b"new", || (), |()| ()), Ok(()));
    }

    #[test]
    fn a_full_zone_makes_room_by_its_oldest_entry_whatever_the_new_key_is() {
        // Room for two entries: each new key replaces the entry that was longest not used.
        let table = Table::new(128, 56);
        let have = |key: u32| {
            let mut found = false;
            table.release(&key.to_be_bytes(), |_| {
                found = true;
                false
            });
            found
        };
        for key in 0..1000_u32 {
            if table.update(&key.to_be_bytes(), || key, |_| ()) == Err(Full) {
                assert_eq!(table.for_oldest(up_to(1)), 1);
                assert_eq!(table.update(&key.to_be_bytes(), || key, |_| ()), Ok(()));
            }
            assert!(have(key) && (key == 0 || have(key - 1)) && (key < 2 || !have(key - 2)), "{key}");
        }
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
        let removed = table.for_oldest(|key, value| {
            assert_eq!(key, value.to_be_bytes());
            seen.push(*value);
            if *value == 100 { Oldest::Keep } else { Oldest::Remove }
        });
        assert_eq!((removed, table.len()), (99, 101));
        assert_eq!(seen, (1..=100).collect::<Vec<u16>>());
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
