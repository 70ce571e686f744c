//! What waits for a client that is slower than its backend: a little in memory, then a file, then a little in memory.
//!
//! Bytes leave in the order they came. The file has no name; it is filled while its first bytes are sent already, and is
//! emptied when the client has caught up.

use crate::http::heart::filter::Then;
use crate::http::heart::wire::Carries;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};

/// Bytes gathered before they are written to the file.
const PIECE: usize = 64 * 1024;
/// Bytes of the file sent at a time.
const SENT: u64 = 1 << 20;

/// What waits.
#[derive(Default)]
pub struct Buffer {
    /// The oldest bytes.
    loop_state: VecDeque<u8>,
    file: Option<File>,
    /// The part of the file that is not sent yet.
    read: u64,
    written: u64,
    /// The newest bytes; empty while the file is.
    back: Vec<u8>,
}

impl Buffer {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.loop_state.is_empty() && self.read == self.written && self.back.is_empty()
    }

    /// Bytes that wait in memory.
    pub fn memory(&self) -> usize {
        self.loop_state.len() + self.back.len()
    }

    /// Bytes the file has had since it was last empty.
    pub const fn file_size(&self) -> u64 {
        self.written
    }

    /// Whether there is a file.
    pub const fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Opens the file.
    ///
    /// # Errors
    /// What open(2) said.
    pub fn open(&mut self, folder: &str) -> io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_TMPFILE).mode(0o600);
        self.file = Some(options.open(crate::conf::bytes::path(folder))?);
        Ok(())
    }

    /// Takes bytes in, in memory.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.read == self.written && self.back.is_empty() {
            self.loop_state.extend(bytes);
        } else {
            self.back.extend_from_slice(bytes);
        }
    }

    /// Moves what is in memory beyond `most` bytes to the file.
    ///
    /// # Errors
    /// What pwrite(2) said; the bytes stay.
    pub fn spill(&mut self, most: usize) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        if self.read == self.written && self.back.is_empty() && self.loop_state.len() > most {
            self.back.extend(self.loop_state.drain(most..));
        }
        if self.loop_state.len() + self.back.len() <= most && self.back.len() < PIECE {
            return Ok(());
        }
        file.write_all_at(&self.back, self.written)?;
        self.written += self.back.len() as u64;
        self.back.clear();
        Ok(())
    }

    /// Sends a run of the oldest bytes; 0 when nothing waits. `file` tells whether it came from the file.
    ///
    /// # Errors
    /// What the write said.
    pub fn send(&mut self, to: &impl Carries, file: &mut bool) -> io::Result<usize> {
        *file = false;
        if self.loop_state.is_empty() && self.read == self.written {
            self.loop_state = std::mem::take(&mut self.back).into();
        }
        if !self.loop_state.is_empty() {
            let (run, _) = self.loop_state.as_slices();
            let count = to.try_send(run, Then::Flush)?;
            self.loop_state.drain(..count);
            return Ok(count);
        }
        let Some(opened) = &self.file else { return Ok(0) };
        if self.read == self.written {
            return Ok(0);
        }
        *file = true;
        let size = usize::try_from((self.written - self.read).min(SENT)).unwrap_or_default();
        let count = to.try_send_file(opened, &mut self.read, size)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if self.read == self.written {
            (self.read, self.written) = (0, 0);
            // The space is wanted again only if the client falls behind once more.
            let _ = opened.set_len(0);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
