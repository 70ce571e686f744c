//! A cache's zone: what is known of the files below its folder, who fetches which of them, and how long they stay.
//!
//! A zone lives as long as the worker, and over reloads that keep its name and size; what a configuration says of it is in
//! [`Cache`]. Entries are by digest. A visitor of an entry holds a [`Visit`], which counts it until it is dropped.

pub mod files;
mod keeper;

pub use keeper::Keeper;

use super::table::{Full, Oldest, Table};
use crate::log::{Level, Log};
use files::Digest;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Bytes nginx takes for an entry beside its key.
const OVERHEAD: usize = 104;

/// How many files are looked at before a pause, how long that is, and after which time it comes in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Files.
    pub files: u64,
    /// The pause.
    pub sleep: Duration,
    /// The time.
    pub threshold: Duration,
}

impl Default for Steps {
    fn default() -> Self {
        Self { files: 100, sleep: Duration::from_millis(50), threshold: Duration::from_millis(200) }
    }
}

/// What a configuration says of a cache.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The zone's name.
    pub name: String,
    /// The zone's size.
    pub size: u64,
    /// The folder.
    pub folder: String,
    /// Digits a level of folders.
    pub levels: Vec<usize>,
    /// Whether files are written where other temporary files are.
    pub use_temp_path: bool,
    /// How long an entry stays that nobody asks for.
    pub inactive: Duration,
    /// Bytes all files may take.
    pub max_size: Option<u64>,
    /// Bytes that stay free on the file system.
    pub min_free: u64,
    /// How files are removed.
    pub manager: Steps,
    /// How files are found at the start.
    pub loader: Steps,
}

impl Settings {
    /// What holds for a folder unless it is said otherwise.
    pub fn new(folder: String) -> Self {
        Self {
            name: String::new(),
            size: 0,
            folder,
            levels: Vec::new(),
            use_temp_path: true,
            inactive: Duration::from_secs(600),
            max_size: None,
            min_free: 0,
            manager: Steps::default(),
            loader: Steps::default(),
        }
    }
}

/// Entries, and what they come to.
pub struct Zone {
    entries: Table<Entry>,
    /// Blocks of all files.
    blocks: AtomicU64,
    /// Whether files may be there that are not known yet.
    cold: AtomicBool,
    /// Whether they are being looked for.
    loading: AtomicBool,
    /// From how many entries on the oldest are removed, once the zone was full.
    watermark: AtomicU64,
    /// Numbers of locks.
    locks: AtomicU64,
}

impl Zone {
    /// An empty zone of so many bytes.
    pub fn new(size: u64) -> Self {
        Self {
            entries: Table::new(size, OVERHEAD),
            blocks: AtomicU64::new(0),
            cold: AtomicBool::new(true),
            loading: AtomicBool::new(false),
            watermark: AtomicU64::new(u64::MAX),
            locks: AtomicU64::new(0),
        }
    }

    /// Replaces what a file takes in the sum.
    fn count(&self, before: u64, after: u64) {
        self.blocks.fetch_add(after, Ordering::Relaxed);
        self.blocks.fetch_sub(before, Ordering::Relaxed);
    }
}

/// Who fetches what an entry stands for.
#[derive(Clone, Copy)]
struct Lock {
    number: u64,
    /// Until when nobody else may.
    until: Instant,
}

/// What is known of a file.
struct Entry {
    /// How often it was asked for.
    uses: u64,
    /// Visitors now.
    visitors: u32,
    /// Whether there is a file.
    exists: bool,
    /// Its blocks.
    blocks: u64,
    /// When it is removed if nobody asks for it.
    expires: Instant,
    /// The status to answer with instead, and until which second; 0 for none.
    error: (u16, i64),
    lock: Option<Lock>,
    /// Wakes those who wait for the lock.
    unlocked: Option<Arc<Notify>>,
}

impl Entry {
    const fn new(expires: Instant) -> Self {
        let (uses, visitors, blocks) = (0, 0, 0);
        Self { uses, visitors, exists: false, blocks, expires, error: (0, 0), lock: None, unlocked: None }
    }

    fn unlock(&mut self) {
        self.lock = None;
        if let Some(unlocked) = self.unlocked.take() {
            unlocked.notify_waiters();
        }
    }
}

/// What an entry is to somebody who asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It has not been asked for before.
    New,
    /// It has not been asked for often enough.
    Scarce,
    /// There may be a file.
    Known {
        /// Whether one was written or found.
        exists: bool,
    },
    /// A failure is remembered: its status.
    Failed(u16),
}

/// A cache of a configuration.
pub struct Cache {
    /// What is said of it.
    pub settings: Settings,
    zone: Arc<Zone>,
}

impl Cache {
    /// A cache with these entries.
    pub const fn new(settings: Settings, zone: Arc<Zone>) -> Self {
        Self { settings, zone }
    }

    /// The file of a digest.
    pub fn path(&self, digest: &Digest) -> String {
        files::path(&self.settings.folder, &self.settings.levels, digest)
    }

    /// Whether files may be there that are not known yet.
    pub fn is_cold(&self) -> bool {
        self.zone.cold.load(Ordering::Relaxed)
    }

    /// Asks for an entry, which is made where there is none; `second` is the time since 1970.
    ///
    /// # Errors
    /// When there is no room and nothing can be removed; logged.
    pub fn enter(
        self: &Arc<Self>,
        digest: Digest,
        min_uses: u64,
        (now, second): (Instant, i64),
        log: &Log,
    ) -> Result<(Visit, Found), Full> {
        let expires = now + self.settings.inactive;
        let enter = || {
            self.zone.entries.update(
                &digest,
                || Entry::new(expires),
                |entry| {
                    let is_new = entry.uses == 0;
                    entry.uses += 1;
                    entry.visitors += 1;
                    entry.expires = expires;
                    if entry.error.0 != 0 {
                        if entry.error.1 >= second {
                            return Found::Failed(entry.error.0);
                        }
                        entry.error = (0, 0);
                        self.zone.count(std::mem::take(&mut entry.blocks), 0);
                        entry.exists = false;
                        return Found::New;
                    }
                    match entry.exists || entry.uses >= min_uses {
                        _ if is_new => Found::New,
                        true => Found::Known { exists: entry.exists },
                        false => Found::Scarce,
                    }
                },
            )
        };
        let found = enter().or_else(|Full| {
            let count = self.zone.entries.len() as u64;
            self.zone.watermark.store(count - count / 8, Ordering::Relaxed);
            self.remove_oldest(None, log);
            enter()
        });
        let found = found.inspect_err(|Full| self.complain(log))?;
        Ok((Visit { cache: self.clone(), digest, min_uses, lock: None, counted: true }, found))
    }

    fn complain(&self, log: &Log) {
        let name = &self.settings.name;
        log.write(Level::Alert, None, &format!("could not allocate node in cache keys zone \"{name}\""));
    }

    /// Notes a file that was found; whether there was room for it.
    fn add(&self, digest: &Digest, blocks: u64, now: Instant) -> bool {
        let expires = now + self.settings.inactive;
        let add = |entry: &mut Entry| {
            entry.expires = expires;
            if entry.uses == 0 {
                (entry.uses, entry.exists, entry.blocks) = (1, true, blocks);
                self.zone.count(0, blocks);
            }
        };
        self.zone.entries.update(digest, || Entry::new(expires), add).is_ok()
    }

    /// Removes the oldest entry and its file, if it is older than its time (where `now` is given) and nobody visits it.
    fn remove_oldest(&self, now: Option<Instant>, log: &Log) -> Removed {
        let mut outcome = Removed::Nothing;
        let mut victim = None;
        self.zone.entries.for_oldest(|key, entry| {
            if matches!(outcome, Removed::One) {
                return Oldest::Keep;
            }
            let left = now.map_or(Duration::ZERO, |now| entry.expires.saturating_duration_since(now));
            let digest = <Digest>::try_from(key).unwrap_or_default();
            if !left.is_zero() {
                outcome = Removed::Young(left);
            } else if entry.visitors > 0 {
                outcome = Removed::Busy(digest, entry.visitors);
            } else if entry.exists {
                entry.visitors += 1;
                victim = Some(digest);
            } else {
                outcome = Removed::One;
                return Oldest::Remove;
            }
            Oldest::Keep
        });
        let Some(digest) = victim else { return outcome };
        let path = self.path(&digest);
        if let Err(error) = std::fs::remove_file(&path) {
            let text = crate::conf::walk::errno(&error);
            log.write(Level::Crit, None, &format!("unlink() \"{path}\" failed ({text})"));
        }
        self.zone.entries.release(&digest, |entry| {
            entry.visitors -= 1;
            entry.exists = false;
            self.zone.count(std::mem::take(&mut entry.blocks), 0);
            entry.visitors == 0
        });
        Removed::One
    }

    /// Makes an entry the newest, and says so.
    fn touch(&self, (digest, visitors): (&Digest, u32), now: Instant, log: &Log) {
        let expires = now + self.settings.inactive;
        let _ = self.zone.entries.update(digest, || Entry::new(expires), |entry| entry.expires = expires);
        let name = files::hex(digest);
        let text = format!("ignore long locked inactive cache entry {name}, count:{visitors}");
        log.write(Level::Alert, None, &text);
    }
}

/// What became of the oldest entry.
enum Removed {
    /// There is none.
    Nothing,
    /// It was removed.
    One,
    /// It stays for so long.
    Young(Duration),
    /// Somebody visits it: its digest and how many.
    Busy(Digest, u32),
}

/// Somebody who asked for an entry, and may fetch what it stands for.
pub struct Visit {
    cache: Arc<Cache>,
    digest: Digest,
    min_uses: u64,
    /// The number of the lock it holds.
    lock: Option<u64>,
    counted: bool,
}

impl Visit {
    /// The file.
    pub fn path(&self) -> String {
        self.cache.path(&self.digest)
    }

    fn update<R>(&self, work: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        let mut outcome = None;
        self.cache.zone.entries.release(&self.digest, |entry| {
            outcome = Some(work(entry));
            false
        });
        outcome
    }

    /// Notes the file, which was there although no entry said so.
    pub fn found(&self, blocks: u64) {
        self.update(|entry| {
            if !entry.exists {
                (entry.exists, entry.blocks) = (true, blocks);
                self.cache.zone.count(0, blocks);
            }
        });
    }

    /// Takes the lock for `age`, unless another visitor holds one that is younger; what wakes those who wait for it then.
    pub fn lock(&mut self, now: Instant, age: Duration) -> Option<Arc<Notify>> {
        let number = self.cache.zone.locks.fetch_add(1, Ordering::Relaxed);
        let waits = self.update(|entry| match entry.lock {
            Some(lock) if lock.until > now => Some(entry.unlocked.get_or_insert_default().clone()),
            _ => {
                entry.lock = Some(Lock { number, until: now + age });
                None
            }
        });
        let waits = waits.flatten();
        if waits.is_none() {
            self.lock = Some(number);
        }
        waits
    }

    /// How long another visitor may still hold the lock; nothing when nobody does.
    pub fn locked(&self, now: Instant) -> Option<Duration> {
        let lock = self.update(|entry| entry.lock).flatten()?;
        Some(lock.until.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }

    /// Takes the lock of an entry that is to be fetched anew, if nobody holds it.
    pub fn renew(&mut self, now: Instant) -> bool {
        let number = self.cache.zone.locks.fetch_add(1, Ordering::Relaxed);
        let taken = self.update(|entry| {
            let free = entry.lock.is_none();
            if free {
                entry.lock = Some(Lock { number, until: now });
            }
            free
        });
        let taken = taken.unwrap_or(true);
        if taken {
            self.lock = Some(number);
        }
        taken
    }

    /// Ends the visit: the file is in its place, and takes so many blocks; nothing where it could not be put there.
    pub fn stored(mut self, blocks: Option<u64>) {
        self.update(|entry| {
            entry.error = (0, 0);
            if let Some(blocks) = blocks {
                self.cache.zone.count(entry.blocks, blocks);
                (entry.blocks, entry.exists) = (blocks, true);
            }
            entry.unlock();
        });
        self.lock = None;
        self.leave(true);
    }

    /// Ends the visit: until that second others get this status.
    pub fn failed(self, status: u16, until: i64) {
        self.update(|entry| entry.error = (status, until));
    }

    fn leave(&mut self, stored: bool) {
        if !std::mem::take(&mut self.counted) {
            return;
        }
        let (own, min_uses) = (self.lock.take(), self.min_uses);
        self.cache.zone.entries.release(&self.digest, |entry| {
            entry.visitors = entry.visitors.saturating_sub(1);
            if own.is_some() && entry.lock.map(|lock| lock.number) == own {
                entry.unlock();
            }
            !stored && entry.error.0 == 0 && !entry.exists && entry.visitors == 0 && min_uses == 1
        });
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.leave(false);
    }
}

#[cfg(test)]
mod tests;
