//! inotify(7): whether files in some folders were written, moved or deleted.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Folders that are watched.
#[derive(Debug)]
pub struct Inotify(File);

impl Inotify {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// What inotify_init1(2) said.
    #[expect(unsafe_code, reason = "nix's inotify is behind a feature nothing else needs")]
    pub fn new() -> io::Result<Self> {
        // SAFETY: the call takes an integer; what it returns is a descriptor nobody else owns.
        let fd = unsafe {
            match libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) {
                -1 => return Err(io::Error::last_os_error()),
                fd => OwnedFd::from_raw_fd(fd),
            }
        };
        Ok(Self(File::from(fd)))
    }

    /// Watches the files in a folder.
    ///
    /// # Errors
    /// What inotify_add_watch(2) said.
    #[expect(unsafe_code, reason = "nix's inotify is behind a feature nothing else needs")]
    pub fn watch(&self, folder: &Path) -> io::Result<()> {
        let path = CString::new(folder.as_os_str().as_bytes())?;
        let mask = libc::IN_CLOSE_WRITE | libc::IN_DELETE | libc::IN_MOVE;
        // SAFETY: the pointer is to a live string that ends with a zero byte, and the kernel only reads it.
        let outcome = unsafe { libc::inotify_add_watch(self.0.as_raw_fd(), path.as_ptr(), mask) };
        if outcome >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Whether anything changed since the last call.
    pub fn drain(&self) -> bool {
        let (mut any, mut buffer) = (false, [0; 4096]);
        while matches!((&self.0).read(&mut buffer), Ok(length) if length > 0) {
            any = true;
        }
        any
    }
}

impl AsFd for Inotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests;
