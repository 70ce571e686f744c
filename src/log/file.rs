//! Log files: opened once, reopened on USR1, shared by all loops.
//!
//! Access-log lines are collected per loop and written before the loop sleeps, so they are seen as soon as nginx's
//! unbuffered ones at a fraction of the system calls. A failed write of them is reported once a minute, never fatal.

use super::error::Log;
use super::level::Level;
use crate::sys::zlib::{Deflate, Flush, ZlibError};
use parking_lot::{Mutex, RwLock};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Lines collected past this many bytes are written at once.
const FULL: usize = 60_000;
/// Loops with buffers of their own; more loops share.
const LOOPS: usize = 64;
/// How long further failed writes of a file are not reported.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// A log file.
pub struct File {
    name: String,
    path: PathBuf,
    handle: RwLock<Option<fs::File>>,
    pending: Box<[Mutex<Vec<u8>>]>,
    /// When a failed write was last reported.
    reported: Mutex<Option<Instant>>,
    /// `buffer=`: lines are kept until so many bytes are there.
    keep: usize,
    /// `flush=`: and for so long at most.
    flush: Option<Duration>,
    /// `gzip=`: the level written lines are compressed with.
    compress: Option<u8>,
}

impl File {
    /// A file to be opened later at `path`, which messages call `name`; `keep` is the size `buffer=` names, 0 for none.
    pub fn new(name: &str, path: PathBuf, keep: usize) -> Self {
        Self {
            name: name.to_owned(),
            path,
            handle: RwLock::new(None),
            pending: (0..LOOPS).map(|_| Mutex::default()).collect(),
            reported: Mutex::default(),
            keep,
            flush: None,
            compress: None,
        }
    }

    /// Its path, as messages have it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path it is opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sets how long lines wait for a `buffer=` to fill.
    pub const fn flush_every(&mut self, time: Option<Duration>) {
        self.flush = time;
    }

    /// Sets the level written lines are compressed with.
    pub const fn compress_with(&mut self, level: Option<u8>) {
        self.compress = level;
    }

    /// How long lines wait at most.
    pub const fn flush_time(&self) -> Option<Duration> {
        self.flush
    }

    /// Whether lines wait for a `buffer=` to fill.
    pub const fn buffered(&self) -> bool {
        self.keep > 0
    }

    /// Opens (or opens again) the path for appending, mode 0644.
    ///
    /// # Errors
    /// What open(2) said; the file opened before stays in use.
    pub fn open(&self) -> io::Result<()> {
        let file = fs::OpenOptions::new().append(true).create(true).mode(0o644).open(&self.path)?;
        *self.handle.write() = Some(file);
        Ok(())
    }

    /// Uses a file somebody else opened.
    pub fn adopt(&self, file: fs::File) {
        *self.handle.write() = Some(file);
    }

    /// A second handle on the open file.
    pub fn duplicate(&self) -> Option<fs::File> {
        self.handle.read().as_ref().and_then(|file| file.try_clone().ok())
    }

    /// Writes now.
    ///
    /// # Errors
    /// What write(2) said.
    pub fn write_now(&self, bytes: &[u8]) -> io::Result<()> {
        match self.handle.read().as_ref() {
            Some(mut file) => file.write_all(bytes),
            None => Ok(()),
        }
    }

    /// Collects a line for loop `number`; true when it was the first since the last flush. Failed writes go to `errors`.
    pub fn append(&self, number: usize, line: &[u8], errors: &Log) -> bool {
        let Some(slot) = self.pending.get(number % LOOPS) else { return false };
        let mut pending = slot.lock();
        let first = pending.is_empty();
        if self.keep > 0 && !first && pending.len() + line.len() > self.keep {
            self.write_lines(&mut pending, errors);
        }
        pending.extend_from_slice(line);
        if pending.len() >= FULL.max(self.keep) {
            self.write_lines(&mut pending, errors);
        }
        first
    }

    /// Writes what loop `number` collected; buffered files only when `all`. Failed writes go to `errors`.
    pub fn flush(&self, number: usize, all: bool, errors: &Log) {
        if self.keep > 0 && !all {
            return;
        }
        let Some(slot) = self.pending.get(number % LOOPS) else { return };
        let mut pending = slot.lock();
        if !pending.is_empty() {
            self.write_lines(&mut pending, errors);
        }
    }

    /// Writes collected lines. They are gone when that fails.
    ///
    /// Differs from nginx: the alert names no connection and no request, as one write has the lines of many [test: a_full_disk_under_the_access_log_is_an_alert].
    fn write_lines(&self, lines: &mut Vec<u8>, errors: &Log) {
        let written = match self.compress {
            None => self.write_now(lines),
            Some(level) => compressed(lines, level).and_then(|bytes| self.write_now(&bytes)),
        };
        if let Err(error) = written
            && self.may_report()
        {
            let text = match error.raw_os_error() {
                Some(number) => format!("{number}: {}", nix::errno::Errno::from_raw(number).desc()),
                None => error.to_string(),
            };
            let text = format!("write() to \"{}\" failed ({text}) while logging request", self.name);
            errors.write(Level::Alert, None, &text);
        }
        lines.clear();
    }

    /// Whether a failed write is reported now.
    fn may_report(&self) -> bool {
        let mut reported = self.reported.lock();
        let due = reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY);
        if due {
            *reported = Some(Instant::now());
        }
        due
    }
}

/// Lines as a gzip stream of their own, in the smallest window they fit into.
fn compressed(lines: &[u8], level: u8) -> io::Result<Vec<u8>> {
    let (mut window, mut memory) = (15_u8, 8_u8);
    // zlib uses 262 bytes less than its window.
    while window > 9 && lines.len() + 262 < 1 << (window - 1) {
        window -= 1;
        memory -= 1;
    }
    let failed = |ZlibError(code): ZlibError| io::Error::other(format!("deflate() failed: {code}"));
    let mut out = Vec::new();
    let mut stream = Deflate::new(level, window, memory).map_err(failed)?;
    stream.run(lines, Flush::Finish, &mut out).map_err(failed)?;
    Ok(out)
}

#[cfg(test)]
mod tests;
