//! Pipes as a way for bytes from socket to socket that never leaves the kernel.

use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// A pipe that never blocks.
pub struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
}

impl Pipe {
    /// A pipe of `size` bytes, or of what an unprivileged user may have.
    ///
    /// # Errors
    /// When there are no descriptors or no memory left for pipes.
    pub fn new(size: i32) -> io::Result<Self> {
        let (out, into) = nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        // Past the user's limit (pipe-user-pages-soft) the pipe stays as small as it was born; it still works.
        let _ = fcntl(&into, FcntlArg::F_SETPIPE_SZ(size));
        Ok(Self { out, into })
    }

    /// Moves up to `most` bytes from a socket into the pipe.
    ///
    /// # Errors
    /// What splice(2) said.
    pub fn fill(&self, from: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
        Ok(splice(from, None, &self.into, None, most, flags())?)
    }

    /// Moves up to `most` bytes from the pipe into a socket.
    ///
    /// # Errors
    /// What splice(2) said.
    pub fn drain(&self, to: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
        Ok(splice(&self.out, None, to, None, most, flags())?)
    }

    /// Reads bytes out of the pipe.
    ///
    /// # Errors
    /// What read(2) said.
    pub fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        Ok(nix::unistd::read(&self.out, into)?)
    }
}

fn flags() -> SpliceFFlags {
    SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE
}

#[cfg(test)]
mod tests;
