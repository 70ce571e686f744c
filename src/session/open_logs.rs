//! `open_log_file_cache`: log files whose names have variables, kept open between lines.

use crate::net::symlinks::Failed;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What `open_log_file_cache` allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Files at once.
    pub most: usize,
    /// How long a file stays that is not used.
    pub inactive: Duration,
    /// After how long a name is looked at anew.
    pub valid: Duration,
    /// Lines after which a file is kept open.
    pub min_uses: u64,
}

/// How the file of a name is opened and looked at.
pub trait Files {
    /// Opens the file for appending; one that is missing is made.
    ///
    /// # Errors
    /// The call that failed.
    fn open(&self, path: &[u8]) -> Result<File, Failed>;

    /// Looks at what has the name now.
    ///
    /// # Errors
    /// The call that failed.
    fn info(&self, path: &[u8]) -> Result<Metadata, Failed>;
}

/// A name that was used.
#[derive(Debug)]
struct Entry {
    /// Its file, once it was used often enough.
    file: Option<Arc<File>>,
    inode: u64,
    uses: u64,
    /// When its name was looked at.
    created: Instant,
    accessed: Instant,
    /// Its place among those by age.
    event_loop: u64,
}

/// The names, and those of them that were used longest ago first.
#[derive(Debug, Default)]
struct Names {
    by_name: HashMap<Box<[u8]>, Entry>,
    by_age: BTreeMap<u64, Box<[u8]>>,
    event_loop: u64,
}

/// The files of one `open_log_file_cache`.
#[derive(Debug)]
pub struct OpenLogs {
    limits: Limits,
    names: Mutex<Names>,
}

impl OpenLogs {
    /// Nothing is open yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, names: Mutex::default() }
    }

    /// The file of a name, to be written one line to: the one that is open, as long as the name is valid or still that
    /// file's, or else a new one.
    ///
    /// # Errors
    /// The call that failed; the name is forgotten.
    pub fn file(&self, path: &[u8], now: Instant, files: &dyn Files) -> Result<Arc<File>, Failed> {
        let known = self.take(path);
        let uses = known.as_ref().map_or(0, |entry| entry.uses) + 1;
        let (file, inode, created) = match known {
            Some(Entry { file: Some(file), inode, created, .. }) => {
                self.valid((file, inode, created), path, now, files)?
            }
            _ => opened(path, now, files)?,
        };
        let kept = (uses >= self.limits.min_uses).then(|| file.clone());
        self.put(path, Entry { file: kept, inode, uses, created, accessed: now, event_loop: 0 });
        Ok(file)
    }

    /// A file that is open, if it is still that of its name.
    fn valid(
        &self,
        (file, inode, created): (Arc<File>, u64, Instant),
        path: &[u8],
        now: Instant,
        files: &dyn Files,
    ) -> Result<(Arc<File>, u64, Instant), Failed> {
        if now.saturating_duration_since(created) < self.limits.valid {
            return Ok((file, inode, created));
        }
        if files.info(path)?.ino() == inode { Ok((file, inode, now)) } else { opened(path, now, files) }
    }

    fn take(&self, path: &[u8]) -> Option<Entry> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = names.by_name.remove(path)?;
        names.by_age.remove(&entry.event_loop);
        Some(entry)
    }

    /// Keeps a name as the newest. A full table loses its oldest name, and names that nobody uses go one by one.
    fn put(&self, path: &[u8], entry: Entry) {
        let now = entry.accessed;
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.event_loop += 1;
        let event_loop = names.event_loop;
        if let Some(other) = names.by_name.insert(path.into(), Entry { event_loop, ..entry }) {
            // Another event loop was faster.
            names.by_age.remove(&other.event_loop);
        }
        names.by_age.insert(event_loop, path.into());
        while names.by_name.len() > self.limits.most && names.drop_oldest(|_| true) {}
        let inactive = self.limits.inactive;
        names.drop_oldest(|entry| now.saturating_duration_since(entry.accessed) > inactive);
    }
}

impl Names {
    /// Forgets the name that was used longest ago, if it may go.
    fn drop_oldest(&mut self, may_go: impl Fn(&Entry) -> bool) -> bool {
        let Some((event_loop, path)) =
            self.by_age.first_key_value().map(|(event_loop, path)| (*event_loop, path.clone()))
        else {
            return false;
        };
        if self.by_name.get(&path).is_some_and(|entry| !may_go(entry)) {
            return false;
        }
        self.by_age.remove(&event_loop);
        self.by_name.remove(&path).is_some()
    }
}

fn opened(path: &[u8], now: Instant, files: &dyn Files) -> Result<(Arc<File>, u64, Instant), Failed> {
    let file = files.open(path)?;
    let about = file.metadata().map_err(|error| Failed { call: "fstat()", error })?;
    Ok((Arc::new(file), about.ino(), now))
}

#[cfg(test)]
mod tests;
