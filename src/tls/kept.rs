//! What lasts longer than a configuration: keys of tickets, and files that were read, each for as long as it is unchanged.

use super::check::Files;
use super::facts::{Crl, Facts};
use super::sessions::{SessionZone, TicketKeys};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::Word;
use aws_lc_rs::digest::{SHA256, digest};
use hashbrown::HashMap;
use parking_lot::Mutex;
use rustls::sign::CertifiedKey;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// How many pairs are kept whose names had variables.
const NAMED: usize = 256;

/// What is kept from one configuration to the next.
///
/// Before a configuration is built, [`Kept::mark`] is taken; when it serves, [`Kept::drop_unused_since`] is called.
#[derive(Debug)]
pub struct Kept {
    /// The keys of tickets where neither a file nor a zone has them.
    pub tickets: Arc<TicketKeys>,
    /// The sessions of servers that take early data without a zone.
    pub early: OnceLock<Arc<SessionZone>>,
    /// Certificates with their keys.
    pub pairs: Cache<CertifiedKey>,
    /// Those whose names had variables.
    pub named: Cache<CertifiedKey>,
    /// Files of trusted certificates.
    pub anchors: Cache<Vec<Facts>>,
    /// Files of revoked certificates.
    pub crls: Cache<Vec<Crl>>,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            tickets: Arc::default(),
            early: OnceLock::new(),
            pairs: Cache::new(usize::MAX),
            named: Cache::new(NAMED),
            anchors: Cache::new(usize::MAX),
            crls: Cache::new(usize::MAX),
        }
    }
}

/// A point in the life of the caches.
#[derive(Clone, Copy, Debug)]
pub struct Mark([u64; 3]);

impl Kept {
    /// The present.
    pub fn mark(&self) -> Mark {
        Mark([self.pairs.now(), self.anchors.now(), self.crls.now()])
    }

    /// Drops what no configuration has asked for since.
    pub fn drop_unused_since(&self, mark: Mark) {
        let Mark([pairs, anchors, crls]) = mark;
        self.pairs.drop_unused_since(pairs);
        self.anchors.drop_unused_since(anchors);
        self.crls.drop_unused_since(crls);
    }
}

/// Which version of a file was read: the SHA-256 of what it held. A worker reads what the parent read for it, which the
/// disk may be ahead of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp([u8; 32]);

impl Stamp {
    /// The stamp of a file; nothing where it cannot be read, which keeps it out of the cache.
    fn of(files: &Files<'_>, path: &str) -> Option<Self> {
        let bytes = files.loader.load(path).ok()?;
        digest(&SHA256, &bytes).as_ref().try_into().ok().map(Self)
    }
}

#[derive(Debug)]
struct Loaded<T> {
    stamps: Vec<Stamp>,
    value: Arc<T>,
    /// When it was last asked for, counted in requests.
    used: u64,
}

/// What was read from files, by their names; the least recently used goes when there are too many.
#[derive(Debug)]
pub struct Cache<T> {
    entries: Mutex<HashMap<Vec<u8>, Loaded<T>>>,
    most: usize,
    clock: AtomicU64,
}

impl<T> Cache<T> {
    /// Room for that many.
    pub fn new(most: usize) -> Self {
        Self { entries: Mutex::default(), most, clock: AtomicU64::new(0) }
    }

    /// What these files hold (or texts after `data:`), loaded unless they are as they were; `with` is what else that
    /// depends on.
    ///
    /// # Errors
    /// Those of `load`.
    pub fn get(
        &self,
        (words, with): (&[&Word], &[u8]),
        files: &Files<'_>,
        load: impl FnOnce() -> Result<Arc<T>, Diagnostic>,
    ) -> Result<Arc<T>, Diagnostic> {
        let paths = words.iter().filter(|word| word.after("data:").is_none()).map(|word| files.path(word));
        let paths: Vec<_> = paths.collect();
        let stamps: Option<Vec<_>> = paths.iter().map(|path| Stamp::of(files, path)).collect();
        let texts = words.iter().filter(|word| word.after("data:").is_some()).map(|word| &*word.bytes);
        let name = paths.iter().map(String::as_bytes).chain(texts).chain([with]).collect::<Vec<_>>().join(&0);
        let used = self.clock.fetch_add(1, Ordering::Relaxed) + 1;
        let mut entries = self.entries.lock();
        if let Some(loaded) = entries.get_mut(&name).filter(|loaded| Some(&loaded.stamps) == stamps.as_ref()) {
            loaded.used = used;
            return Ok(loaded.value.clone());
        }
        drop(entries);
        let value = load()?;
        if let Some(stamps) = stamps {
            let mut entries = self.entries.lock();
            entries.insert(name, Loaded { stamps, value: value.clone(), used });
            if entries.len() > self.most {
                let oldest = entries.iter().min_by_key(|(_, loaded)| loaded.used).map(|(name, _)| name.clone());
                oldest.map(|name| entries.remove(&name));
            }
        }
        Ok(value)
    }

    /// The present, in requests.
    fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    fn drop_unused_since(&self, mark: u64) {
        self.entries.lock().retain(|_, loaded| loaded.used > mark);
    }
}

#[cfg(test)]
mod tests;
