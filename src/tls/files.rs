//! Files of certificates and keys whose names have variables, kept as `ssl_certificate_cache` and its kin say: read once,
//! looked at again when they have been kept for `valid`, dropped when nobody asked for them for `inactive`. Keys under a
//! passphrase are not kept.
//!
//! One cache belongs to the level with the directive and to all levels that inherit it.

use super::directives::TlsConf;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::disk::Disk;
use crate::conf::source::Loader;
use crate::conf::tree::Statement;
use crate::conf::value;
use crate::conf::walk::Setting;
use hashbrown::HashMap;
use parking_lot::Mutex;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Instant;

/// The words of the rows.
pub const WORDS: &[&str] = &["off", "max=", "inactive=", "valid="];

/// How many files are kept, and how long, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `max=`.
    pub max: usize,
    /// `inactive=`.
    pub inactive: u64,
    /// `valid=`.
    pub valid: u64,
}

/// A value of the rows: a cache, or `off`.
pub type CacheText = Option<Arc<FileTexts>>;

/// Which version of a file was read: its number and when it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version(u64, i64);

impl Version {
    fn of(path: &str) -> Option<Self> {
        let about = fs::metadata(crate::conf::bytes::path(path)).ok()?;
        Some(Self(about.ino(), about.mtime()))
    }
}

/// A file that was read; it may be a private key.
struct Text {
    bytes: Vec<u8>,
    version: Option<Version>,
    /// When it was last known to be as it is, in seconds.
    checked: u64,
    /// When it was last asked for.
    used: u64,
    /// In which order it was asked for.
    turn: u64,
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Text").field("version", &self.version).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Texts {
    all: HashMap<String, Text>,
    turn: u64,
}

impl Texts {
    /// Drops the least recently used text if it is inactive or `forced`; whether it did.
    fn drop_oldest(&mut self, forced: bool, now: u64, limits: Limits) -> bool {
        let oldest = self.all.iter().min_by_key(|(_, text)| text.turn);
        let Some((path, used)) = oldest.map(|(path, text)| (path.clone(), text.used)) else { return false };
        let drops = forced || now.saturating_sub(used) > limits.inactive;
        if drops {
            self.all.remove(&path);
        }
        drops
    }

    /// Makes room for one text more, as nginx does: two inactive ones go, and where there is no room the oldest.
    fn make_room(&mut self, now: u64, limits: Limits) {
        let _ = self.drop_oldest(false, now, limits) && self.drop_oldest(false, now, limits);
        if self.all.len() >= limits.max {
            let _ = self.drop_oldest(true, now, limits)
                && self.drop_oldest(false, now, limits)
                && self.drop_oldest(false, now, limits);
        }
    }
}

/// The files that were read, by their full names.
#[derive(Debug)]
pub struct FileTexts {
    limits: Limits,
    began: Instant,
    texts: Mutex<Texts>,
}

impl FileTexts {
    /// An empty cache.
    pub fn new(limits: Limits) -> Self {
        Self { limits, began: Instant::now(), texts: Mutex::default() }
    }

    /// Forgets a file: what it held does not go with what another holds.
    pub fn forget(&self, path: &str) {
        self.texts.lock().all.remove(path);
    }

    /// A file's bytes at a time in seconds.
    fn at(&self, path: &str, now: u64) -> io::Result<Vec<u8>> {
        let mut texts = self.texts.lock();
        texts.turn += 1;
        let turn = texts.turn;
        if let Some(text) = texts.all.get_mut(path) {
            let is_valid = now.saturating_sub(text.checked) <= self.limits.valid;
            if is_valid || (text.version.is_some() && text.version == Version::of(path)) {
                (text.used, text.turn) = (now, turn);
                if !is_valid {
                    text.checked = now;
                }
                return Ok(text.bytes.clone());
            }
            texts.all.remove(path);
        }
        let version = Version::of(path);
        let bytes = Disk.load(path)?;
        // Keys under a passphrase are opened for those alone who have it.
        if memchr::memmem::find(&bytes, b"ENCRYPTED").is_some() {
            return Ok(bytes);
        }
        texts.make_room(now, self.limits);
        texts.all.insert(path.to_owned(), Text { bytes: bytes.clone(), version, checked: now, used: now, turn });
        Ok(bytes)
    }
}

impl Loader for FileTexts {
    fn load(&self, path: &str) -> io::Result<Vec<u8>> {
        self.at(path, self.began.elapsed().as_secs())
    }

    fn glob(&self, pattern: &str) -> io::Result<Vec<String>> {
        Disk.glob(pattern)
    }
}

/// Reads a row's arguments.
///
/// # Errors
/// nginx's words for a word that is no good, and where `max=` is missing.
pub fn parse(cx: &Setting<'_>, slot: &mut Option<CacheText>, statement: &Statement) -> Result<(), Diagnostic> {
    if slot.is_some() {
        return Err(cx.duplicate());
    }
    let (mut max, mut inactive, mut valid, mut off) = (None, 10, 60, false);
    for word in statement.arguments() {
        let seconds = |text: &[u8]| value::time(text, true).map(|time| time.as_secs());
        let taken = if let Some(count) = word.after("max=") {
            max = value::number(count).and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
            max.map(drop)
        } else if let Some(time) = word.after("inactive=") {
            seconds(time).map(|time| inactive = time)
        } else if let Some(time) = word.after("valid=") {
            seconds(time).map(|time| valid = time)
        } else {
            word.is("off").then(|| off = true)
        };
        taken.ok_or_else(|| Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span))?;
    }
    if off {
        *slot = Some(None);
        return Ok(());
    }
    let Some(max) = max else {
        return Err(Diagnostic::emerg(format!("\"{}\" must have the \"max\" parameter", cx.row.name)));
    };
    *slot = Some(Some(Arc::new(FileTexts::new(Limits { max, inactive, valid }))));
    Ok(())
}

/// The setter of `ssl_certificate_cache`.
///
/// # Errors
/// Those of [`parse`].
pub fn certificate_cache(cx: &mut Setting<'_>, conf: &mut TlsConf, statement: &Statement) -> Result<(), Diagnostic> {
    parse(cx, &mut conf.certificate_cache, statement)
}

#[cfg(test)]
mod tests;
