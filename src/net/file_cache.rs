//! Files that are kept open between requests, with what is known of folders and of what is not there (`open_file_cache`).
//!
//! Each event loop has a cache of its own for every place in the configuration that asks for one. Times are whole seconds,
//! as nginx counts them.

use crate::net::open_file::Opened;
use crate::net::symlinks::{self, Failed, Walk};
use hashbrown::HashMap;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// `open_file_cache`. Places with the same [`Arc`] share a cache.
#[derive(Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Entries at most.
    pub most: u64,
    /// Seconds after which an entry nobody used is dropped.
    pub inactive: u64,
}

/// How a place uses a cache.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Which cache.
    pub capacity: Arc<Capacity>,
    /// Seconds for which nobody looks whether a file has changed.
    pub valid: u64,
    /// How often a file is used before it stays open.
    pub min_uses: u64,
    /// Whether errors are kept.
    pub errors: bool,
}

/// How a path is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Which symbolic links are not followed.
    pub walk: Option<Walk>,
    /// Whether a folder is expected, which then need not be opened.
    pub is_folder: bool,
}

impl Look {
    /// Opens a path.
    ///
    /// # Errors
    /// The call that failed.
    pub fn open(self, path: &[u8]) -> Result<Opened, Failed> {
        match self.walk {
            None => Opened::open(path).map_err(|error| Failed { call: "open()", error }),
            walk => Opened::of(path, symlinks::read(path, walk)?).map_err(|error| Failed { call: "fstat()", error }),
        }
    }

    /// Asks what a path is.
    ///
    /// # Errors
    /// The call that failed.
    pub fn info(self, path: &[u8]) -> Result<Metadata, Failed> {
        let (call, about) = match self.walk {
            None => ("stat()", std::fs::metadata(OsStr::from_bytes(path))),
            walk => ("fstat()", symlinks::read(path, walk)?.metadata()),
        };
        about.map_err(|error| Failed { call, error })
    }
}

/// What a path is.
#[derive(Clone)]
pub enum Found {
    /// No folder: open.
    File(Rc<Opened>),
    /// A folder.
    Folder(Metadata),
}

impl Found {
    /// What `fstat(2)` or `stat(2)` said of it.
    pub fn about(&self) -> &Metadata {
        match self {
            Self::File(opened) => &opened.about,
            Self::Folder(about) => about,
        }
    }
}

/// What an entry keeps.
enum State {
    /// An open file.
    Open(Rc<Opened>),
    /// A file that was not used often enough: it is open as long as a response needs it.
    Lent(Weak<Opened>),
    /// A folder.
    Folder(Metadata),
    /// The number of an error.
    Error(i32),
}

impl State {
    /// The file, if it is open.
    fn file(&self) -> Option<Rc<Opened>> {
        match self {
            Self::Open(opened) => Some(opened.clone()),
            Self::Lent(opened) => opened.upgrade(),
            Self::Folder(_) | Self::Error(_) => None,
        }
    }

    /// What was found, where nobody needs to look again.
    fn outcome(&self, walk: Option<Walk>) -> Option<Result<Found, Failed>> {
        Some(match self {
            Self::Open(_) | Self::Lent(_) => Ok(Found::File(self.file()?)),
            Self::Folder(about) => Ok(Found::Folder(about.clone())),
            Self::Error(code) => {
                let call = if walk.is_some() { "openat()" } else { "open()" };
                Err(Failed { call, error: io::Error::from_raw_os_error(*code) })
            }
        })
    }
}

/// What is known of a path.
struct Entry {
    state: State,
    walk: Option<Walk>,
    uses: u64,
    /// When it was looked at.
    created: u64,
    /// When it was used.
    accessed: u64,
    /// Its place in the order of use.
    event_loop: u64,
}

/// One cache.
#[derive(Default)]
struct FileCache {
    entries: HashMap<Rc<[u8]>, Entry>,
    /// The paths, the one used longest ago first.
    order: BTreeMap<u64, Rc<[u8]>>,
    turns: u64,
}

impl FileCache {
    fn find(&mut self, path: &[u8], look: Look, rules: &Rules, now: u64) -> Result<Found, Failed> {
        let Some((name, entry)) = self.entries.remove_entry(path) else {
            let outcome = look_again(path, look, None);
            return self.settle(path.into(), look, rules, (outcome, None, now));
        };
        self.order.remove(&entry.event_loop);
        let uses = entry.uses + 1;
        let outcome = entry.state.outcome(entry.walk);
        let is_valid = now.saturating_sub(entry.created) < rules.valid && entry.walk == look.walk;
        if let Some(outcome) = outcome.filter(|_| is_valid) {
            let state = match &outcome {
                Ok(Found::File(opened)) => kept(opened, uses, rules),
                _ => entry.state,
            };
            self.insert(name, Entry { state, uses, accessed: now, ..entry });
            if matches!(outcome, Ok(Found::File(_))) {
                self.expire(rules, now);
            }
            return outcome;
        }
        let outcome = look_again(path, look, Some(&entry.state));
        // One that is replaced while it is used begins anew.
        let is_replaced = entry.state.file().is_some_and(|old| {
            let is_same = matches!(&outcome, Ok(Found::File(new)) if new.about.ino() == old.about.ino());
            // This reference, and that of the entry.
            !is_same && Rc::strong_count(&old) > 1 + usize::from(matches!(entry.state, State::Open(_)))
        });
        self.settle(name, look, rules, (outcome, (!is_replaced).then_some(uses), now))
    }

    /// Keeps what was found out of a path, that was used so many times.
    fn settle(
        &mut self,
        name: Rc<[u8]>,
        look: Look,
        rules: &Rules,
        (outcome, uses, now): (Result<Found, Failed>, Option<u64>, u64),
    ) -> Result<Found, Failed> {
        let code = outcome.as_ref().err().and_then(|failed| failed.error.raw_os_error());
        let state = match (&outcome, code) {
            (Ok(Found::File(opened)), _) => kept(opened, uses.unwrap_or(1), rules),
            (Ok(Found::Folder(about)), _) => State::Folder(about.clone()),
            (Err(_), Some(code)) if rules.errors => State::Error(code),
            (Err(_), _) => return outcome,
        };
        if uses.is_none() && self.entries.len() as u64 >= rules.capacity.most {
            self.drop_oldest();
            self.expire(rules, now);
        }
        let is_file = matches!(outcome, Ok(Found::File(_)));
        let entry =
            Entry { state, walk: look.walk, uses: uses.unwrap_or(1), created: now, accessed: now, event_loop: 0 };
        self.insert(name, entry);
        if is_file {
            self.expire(rules, now);
        }
        outcome
    }

    fn insert(&mut self, name: Rc<[u8]>, mut entry: Entry) {
        self.turns += 1;
        entry.event_loop = self.turns;
        self.order.insert(entry.event_loop, name.clone());
        self.entries.insert(name, entry);
    }

    fn drop_oldest(&mut self) {
        if let Some((_, name)) = self.order.pop_first() {
            self.entries.remove(&name);
        }
    }

    /// Drops up to two entries that nobody used for long.
    fn expire(&mut self, rules: &Rules, now: u64) {
        for _ in 0..2 {
            let oldest = self.order.first_key_value().and_then(|(_, name)| self.entries.get(name));
            if oldest.is_none_or(|oldest| now.saturating_sub(oldest.accessed) <= rules.capacity.inactive) {
                return;
            }
            self.drop_oldest();
        }
    }
}

/// How a file is kept that was used so many times.
fn kept(opened: &Rc<Opened>, uses: u64, rules: &Rules) -> State {
    if uses >= rules.min_uses { State::Open(opened.clone()) } else { State::Lent(Rc::downgrade(opened)) }
}

/// Looks at a path of which something may be known. A file that is still the same stays open.
fn look_again(path: &[u8], look: Look, known: Option<&State>) -> Result<Found, Failed> {
    if let Some(opened) = known.and_then(State::file) {
        let about = look.info(path)?;
        if about.ino() == opened.about.ino() {
            return opened.with(about).map(Found::File).map_err(|error| Failed { call: "dup()", error });
        }
    } else if look.is_folder || matches!(known, Some(State::Folder(_))) {
        let about = look.info(path)?;
        if about.is_dir() {
            return Ok(Found::Folder(about));
        }
    }
    let opened = look.open(path)?;
    Ok(if opened.about.is_dir() { Found::Folder(opened.about) } else { Found::File(Rc::new(opened)) })
}

/// The caches of an event loop.
#[derive(Default)]
pub struct FileCaches {
    caches: RefCell<Vec<(std::sync::Weak<Capacity>, FileCache)>>,
}

impl FileCaches {
    /// Looks at a path through the cache of a place.
    ///
    /// # Errors
    /// The call that failed, or failed when the path was looked at last.
    pub fn find(&self, path: &[u8], look: Look, rules: &Rules, now: u64) -> Result<Found, Failed> {
        let mut caches = self.caches.borrow_mut();
        let own = Arc::as_ptr(&rules.capacity);
        let at = match caches.iter().position(|(capacity, _)| capacity.as_ptr() == own) {
            Some(at) => at,
            None => {
                caches.push((Arc::downgrade(&rules.capacity), FileCache::default()));
                caches.len() - 1
            }
        };
        match caches.get_mut(at) {
            Some((_, cache)) => cache.find(path, look, rules, now),
            None => look_again(path, look, None),
        }
    }

    /// Drops the caches of configurations that are no longer there.
    pub fn forget(&self) {
        let mut caches = self.caches.borrow_mut();
        if !caches.is_empty() {
            caches.retain(|(capacity, _)| capacity.strong_count() > 0);
        }
    }
}

#[cfg(test)]
mod tests;
