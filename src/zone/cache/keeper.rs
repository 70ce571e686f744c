//! The threads that look after caches: one removes what is old or too much, one finds the files of earlier runs.

use super::{Cache, Removed, files};
use crate::log::{Level, Log};
use parking_lot::{Condvar, Mutex};
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Bytes of the header every file has.
const LEAST: u64 = 336;
/// How long after a start files are looked for.
const LOADER_DELAY: Duration = Duration::from_secs(60);
/// How long the manager sleeps at most.
const MANAGER_SLEEP: Duration = Duration::from_secs(10);
/// Entries in use that are passed over to find one that is not.
const TRIES: u32 = 20;

/// Tells threads to end.
#[derive(Default)]
struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Waits for `time`; whether the thread must end.
    fn wait(&self, time: Duration) -> bool {
        let mut stopped = self.stopped.lock();
        if !*stopped {
            self.changed.wait_for(&mut stopped, time);
        }
        *stopped
    }

    fn is_set(&self) -> bool {
        *self.stopped.lock()
    }
}

/// Looks after the caches of a configuration until it is dropped.
pub struct Keeper {
    stop: Arc<Stop>,
}

impl Keeper {
    /// Starts the threads.
    pub fn start(caches: &[Arc<Cache>], log: &Log) -> Self {
        let stop = Arc::new(Stop::default());
        if !caches.is_empty() {
            let work = (caches.to_vec(), stop.clone(), log.clone());
            spawn("cache manager", log, move || manage(&work.0, &work.1, &work.2));
        }
        if caches.iter().any(|cache| cache.is_cold()) {
            let work = (caches.to_vec(), stop.clone(), log.clone());
            spawn("cache loader", log, move || load(&work.0, &work.1, &work.2));
        }
        Self { stop }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        *self.stop.stopped.lock() = true;
        self.stop.changed.notify_all();
    }
}

fn spawn(name: &str, log: &Log, work: impl FnOnce() + Send + 'static) {
    if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(work) {
        let text = crate::conf::walk::errno(&error);
        log.write(Level::Alert, None, &format!("pthread_create() of the {name} failed ({text})"));
    }
}

fn manage(caches: &[Arc<Cache>], stop: &Stop, log: &Log) {
    loop {
        let next = caches.iter().map(|cache| cache.manage(stop, log)).min().unwrap_or(MANAGER_SLEEP);
        if stop.wait(next.max(Duration::from_millis(1))) {
            return;
        }
    }
}

fn load(caches: &[Arc<Cache>], stop: &Stop, log: &Log) {
    if !stop.wait(LOADER_DELAY) {
        caches.iter().for_each(|cache| cache.load(stop, log));
    }
}

impl Cache {
    /// Removes entries nobody asked for in their time, then the oldest while there are too many; how long to sleep then.
    fn manage(&self, stop: &Stop, log: &Log) -> Duration {
        let steps = self.settings.manager;
        let begun = Instant::now();
        let mut done = 0;
        let mut pauses = || {
            done += 1;
            done >= steps.files || begun.elapsed() >= steps.threshold
        };
        let sleep = loop {
            let now = Instant::now();
            if stop.is_set() {
                return Duration::from_secs(1);
            }
            match self.remove_oldest(Some(now), log) {
                Removed::Nothing => break MANAGER_SLEEP,
                // A moment later than its time: entries expire in whole seconds.
                Removed::Young(left) => break left.max(Duration::from_secs(1)).min(MANAGER_SLEEP),
                Removed::Busy(digest, visitors) => self.touch((&digest, visitors), now, log),
                Removed::One => {}
            }
            if pauses() {
                return steps.sleep;
            }
        };
        while self.is_too_large() {
            if let Some(wait) = self.force(log) {
                return wait;
            }
            if stop.is_set() || pauses() {
                return steps.sleep;
            }
        }
        sleep
    }

    /// Whether there are more entries or blocks than may be, or less is free.
    fn is_too_large(&self) -> bool {
        let block = files::block_size(&self.settings.folder);
        let most = self.settings.max_size.map_or(u64::MAX, |size| size / block);
        let (count, blocks) = (self.zone.entries.len() as u64, self.zone.blocks.load(Ordering::Relaxed));
        if blocks >= most || count >= self.zone.watermark.load(Ordering::Relaxed) {
            return true;
        }
        self.settings.min_free > 0 && files::free(&self.settings.folder) <= self.settings.min_free
    }

    /// Removes the oldest entry that nobody visits; how long to wait where there is none.
    fn force(&self, log: &Log) -> Option<Duration> {
        for _ in 0..TRIES {
            match self.remove_oldest(None, log) {
                Removed::One => return None,
                Removed::Busy(digest, visitors) => self.touch((&digest, visitors), Instant::now(), log),
                Removed::Nothing | Removed::Young(_) => return Some(MANAGER_SLEEP),
            }
        }
        Some(Duration::from_secs(1))
    }

    /// Finds the files of earlier runs, and deletes what is none of the cache's.
    fn load(&self, stop: &Stop, log: &Log) {
        let zone = &self.zone;
        if !self.is_cold() || zone.loading.swap(true, Ordering::Relaxed) {
            return;
        }
        let block = files::block_size(&self.settings.folder);
        let mut walk = Walk { cache: self, stop, log, block, done: 0, begun: Instant::now() };
        let whole = walk.folder(Path::new(&self.settings.folder));
        zone.loading.store(false, Ordering::Relaxed);
        if !whole {
            return;
        }
        zone.cold.store(false, Ordering::Relaxed);
        let megabytes = (zone.blocks.load(Ordering::Relaxed) * block) as f64 / (1024.0 * 1024.0);
        let text = format!("http file cache: {} {megabytes:.3}M, bsize: {block}", self.settings.folder);
        log.write(Level::Notice, None, &text);
    }
}

/// A walk through the folder of a cache.
struct Walk<'a> {
    cache: &'a Cache,
    stop: &'a Stop,
    log: &'a Log,
    block: u64,
    /// Files since the last pause.
    done: u64,
    /// When that was.
    begun: Instant,
}

impl Walk<'_> {
    /// Looks at all there is in a folder; false when it was told to end.
    fn folder(&mut self, folder: &Path) -> bool {
        let wrong = |call: &str, path: &Path, error: &std::io::Error| {
            let text = crate::conf::walk::errno(error);
            self.log.write(Level::Crit, None, &format!("{call} \"{}\" failed ({text})", path.display()));
        };
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                wrong("opendir()", folder, &error);
                return true;
            }
        };
        let paths: Vec<_> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        for path in paths {
            let about = match std::fs::symlink_metadata(&path) {
                Ok(about) => about,
                Err(error) => {
                    if error.kind() != std::io::ErrorKind::NotFound {
                        let text = crate::conf::walk::errno(&error);
                        self.log.write(Level::Crit, None, &format!("stat() \"{}\" failed ({text})", path.display()));
                    }
                    continue;
                }
            };
            let goes_on = if about.is_dir() {
                path.as_os_str().as_bytes().ends_with(b"/temp") || self.folder(&path)
            } else {
                self.file(&path, &about)
            };
            if !goes_on {
                return false;
            }
        }
        true
    }

    /// Notes a file, or deletes it; false when the walk was told to end.
    fn file(&mut self, path: &Path, about: &Metadata) -> bool {
        if !about.is_file() || !self.add(path.as_os_str().as_bytes(), about) {
            if let Err(error) = std::fs::remove_file(path) {
                let text = crate::conf::walk::errno(&error);
                self.log.write(Level::Crit, None, &format!("unlink() \"{}\" failed ({text})", path.display()));
            }
            if !about.is_file() {
                return true;
            }
        }
        let steps = self.cache.settings.loader;
        self.done += 1;
        if self.done >= steps.files || self.begun.elapsed() >= steps.threshold {
            (self.done, self.begun) = (0, Instant::now() + steps.sleep);
            return !self.stop.wait(steps.sleep);
        }
        !self.stop.is_set()
    }

    /// Whether a file stays.
    fn add(&self, path: &[u8], about: &Metadata) -> bool {
        if files::is_temporary(path) {
            return true;
        }
        if path.len() >= 32 && about.len() < LEAST {
            let shown = crate::conf::bytes::text(path);
            self.log.write(Level::Crit, None, &format!("cache file \"{shown}\" is too small"));
            return false;
        }
        let Some(digest) = files::digest_of(path) else { return false };
        let fits = self.cache.add(&digest, files::blocks(about, self.block), Instant::now());
        if !fits {
            self.cache.complain(self.log);
        }
        fits
    }
}

/// Looks for files at once.
#[cfg(test)]
pub fn load_now(cache: &Cache) {
    cache.load(&Stop::default(), &Log::default());
}

/// Removes what is too much at once.
#[cfg(test)]
pub fn manage_now(cache: &Cache) {
    cache.manage(&Stop::default(), &Log::default());
}
