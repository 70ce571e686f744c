//! Zones by name: which a configuration declares, and which a worker keeps over reloads.

use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use std::any::{Any, TypeId};
use std::sync::Arc;

/// The zones one configuration declares.
#[derive(Debug, Default)]
pub struct Declared {
    zones: Vec<(String, u64, &'static str)>,
    /// Zone, row and key of those that keep their entries by the value of a text.
    keys: Vec<(String, &'static str, String)>,
    /// Zone, folder and levels of those whose entries are files.
    folders: Vec<(String, String, Vec<usize>)>,
}

impl Declared {
    /// Declares a zone for `kind` (the module that uses it); a size of 0 refers to one declared elsewhere.
    ///
    /// # Errors
    /// nginx's words when the name is taken by another kind or size.
    pub fn declare(&mut self, name: &str, size: u64, kind: &'static str) -> Result<(), String> {
        let Some((_, have, of)) = self.zones.iter_mut().find(|(known, ..)| known == name) else {
            self.zones.push((name.to_owned(), size, kind));
            return Ok(());
        };
        if *of != kind {
            return Err(format!("the shared memory zone \"{name}\" is already declared for a different use"));
        }
        if *have == 0 {
            *have = size;
        }
        if size != 0 && size != *have {
            return Err(format!(
                "the size {size} of shared memory zone \"{name}\" conflicts with already declared size {have}"
            ));
        }
        Ok(())
    }

    /// Notes that a zone keeps its entries by the value of `key`; `row` names it in complaints.
    pub fn bind(&mut self, name: &str, row: &'static str, key: &str) {
        if !self.keys.iter().any(|(known, ..)| known == name) {
            self.keys.push((name.to_owned(), row, key.to_owned()));
        }
    }

    /// Notes that the entries of a zone are files below `folder`.
    pub fn keep_below(&mut self, name: &str, folder: &str, levels: &[usize]) {
        if !self.folders.iter().any(|(known, ..)| known == name) {
            self.folders.push((name.to_owned(), folder.to_owned(), levels.to_vec()));
        }
    }

    /// Compares the keys of zones that outlive a reload with those of the configuration before.
    ///
    /// # Errors
    /// nginx's words for a zone whose entries were kept by another key.
    pub fn follows(&self, earlier: &Self) -> Result<(), String> {
        let zone = |of: &Self, name: &str| of.zones.iter().find(|(known, ..)| known == name).cloned();
        for (name, row, key) in &self.keys {
            let before = earlier.keys.iter().find(|(known, ..)| known == name);
            let Some((_, _, before)) = before.filter(|_| zone(self, name) == zone(earlier, name)) else { continue };
            if before != key {
                return Err(format!(
                    "{row} \"{name}\" uses the \"{key}\" key while previously it used the \"{before}\" key"
                ));
            }
        }
        for (name, folder, levels) in &self.folders {
            let before = earlier.folders.iter().find(|(known, ..)| known == name);
            let Some((_, before, with)) = before.filter(|_| zone(self, name) == zone(earlier, name)) else { continue };
            if before != folder {
                return Err(format!(
                    "cache \"{name}\" uses the \"{folder}\" cache path while previously it used the \"{before}\" cache path"
                ));
            }
            if with != levels {
                return Err(format!("cache \"{name}\" had previously different levels"));
            }
        }
        Ok(())
    }

    /// nginx's words for a zone that is used and nowhere given a size.
    ///
    /// # Errors
    /// When there is one.
    pub fn finish(&self) -> Result<(), String> {
        match self.zones.iter().find(|(_, size, _)| *size == 0) {
            Some((name, ..)) => Err(format!("zero size shared memory zone \"{name}\"")),
            None => Ok(()),
        }
    }

    /// All names.
    pub fn names(&self) -> HashSet<String> {
        self.zones.iter().map(|(name, ..)| name.clone()).collect()
    }
}

struct Zone {
    size: u64,
    kind: &'static str,
    table: Arc<dyn Any + Send + Sync>,
}

/// The zones of a worker process; one with the same name, size and kind is the same zone, whoever asks.
#[derive(Default)]
pub struct Registry {
    zones: Mutex<HashMap<String, Zone>>,
    kept: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

impl Registry {
    /// The zone of that name, size and kind, made when there is none; another of the name is let go.
    pub fn open<T: Any + Send + Sync>(
        &self,
        name: &str,
        size: u64,
        kind: &'static str,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        let mut zones = self.zones.lock();
        let kept = zones.get(name).filter(|zone| zone.size == size && zone.kind == kind);
        if let Some(table) = kept.and_then(|zone| zone.table.clone().downcast().ok()) {
            return table;
        }
        let table = Arc::new(make());
        zones.insert(name.to_owned(), Zone { size, kind, table: table.clone() });
        table
    }

    /// The one thing of its kind that every configuration of the process uses.
    pub fn kept<T: Any + Send + Sync + Default>(&self) -> Arc<T> {
        let mut kept = self.kept.lock();
        let entry = kept.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default()));
        entry.clone().downcast().unwrap_or_default()
    }

    /// Lets go of the zones a new configuration does not name.
    pub fn retain(&self, names: &HashSet<String>) {
        self.zones.lock().retain(|name, _| names.contains(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_survives_while_name_size_and_kind_stay() {
        let registry = Registry::default();
        let first = registry.open("a", 10, "k", || 1);
        assert!(Arc::ptr_eq(&first, &registry.open("a", 10, "k", || 2)));
        assert_eq!(*registry.open("a", 20, "k", || 3), 3);
        registry.retain(&HashSet::new());
        assert_eq!(*registry.open("a", 20, "k", || 4), 4);
    }

    #[test]
    fn a_zone_that_stays_keeps_its_key() {
        let declared = |size, key: &str| {
            let mut declared = Declared::default();
            assert_eq!(declared.declare("a", size, "limit_req"), Ok(()));
            declared.bind("a", "limit_req", key);
            declared
        };
        let before = declared(10, "$host");
        assert_eq!(declared(10, "$host").follows(&before), Ok(()));
        assert_eq!(declared(20, "$uri").follows(&before), Ok(()));
        let text = "limit_req \"a\" uses the \"$uri\" key while previously it used the \"$host\" key";
        assert_eq!(declared(10, "$uri").follows(&before), Err(text.to_owned()));
    }

    #[test]
    fn a_cache_that_stays_keeps_its_folder() {
        let declared = |size, folder: &str, levels: &[usize]| {
            let mut declared = Declared::default();
            assert_eq!(declared.declare("a", size, "proxy cache"), Ok(()));
            declared.keep_below("a", folder, levels);
            declared
        };
        let before = declared(10, "/c", &[1, 2]);
        assert_eq!(declared(10, "/c", &[1, 2]).follows(&before), Ok(()));
        assert_eq!(declared(20, "/d", &[2]).follows(&before), Ok(()));
        let text = "cache \"a\" uses the \"/d\" cache path while previously it used the \"/c\" cache path";
        assert_eq!(declared(10, "/d", &[1, 2]).follows(&before), Err(text.to_owned()));
        let text = "cache \"a\" had previously different levels";
        assert_eq!(declared(10, "/c", &[1]).follows(&before), Err(text.to_owned()));
    }

    #[test]
    fn conflicting_declarations_get_nginxs_words() {
        let mut declared = Declared::default();
        assert_eq!(declared.declare("a", 0, "limit_conn"), Ok(()));
        assert_eq!(declared.finish(), Err("zero size shared memory zone \"a\"".to_owned()));
        assert_eq!(declared.declare("a", 10, "limit_conn"), Ok(()));
        assert!(declared.declare("a", 20, "limit_conn").is_err_and(|text| text.contains("already declared size 10")));
        assert!(declared.declare("a", 10, "limit_req").is_err_and(|text| text.contains("a different use")));
        assert_eq!((declared.names().len(), declared.finish()), (1, Ok(())));
    }
}
