//! A loop's pipes: bytes on their way from socket to socket that never leave the kernel.

use super::tcp::Tcp;
use crate::sys::pipe::Pipe;
use std::cell::{OnceCell, RefCell};
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::rc::Rc;

/// Empty pipes a loop keeps.
const SPARE: usize = 16;
/// Bytes a pipe holds.
pub const SIZE: usize = 256 * 1024;

/// The pipes of a loop.
#[derive(Default)]
pub struct Pipes {
    spare: RefCell<Vec<Pipe>>,
    nowhere: OnceCell<Option<File>>,
}

impl Pipes {
    /// An empty pipe; none when the system has no more to give.
    pub fn acquire(self: &Rc<Self>) -> Option<PooledPipe> {
        let pipe = self.spare.borrow_mut().pop().or_else(|| Pipe::new(SIZE as i32).ok())?;
        Some(PooledPipe { pipe: Some(pipe), held: 0, pipes: self.clone() })
    }

    fn give(&self, pipe: Pipe, held: usize) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE && self.forget(&pipe, held) {
            spare.push(pipe);
        }
    }

    /// Empties a pipe; false when that cannot be done.
    fn forget(&self, pipe: &Pipe, mut held: usize) -> bool {
        let open = || File::options().write(true).open("/dev/null").ok();
        while held > 0 {
            let Some(nowhere) = self.nowhere.get_or_init(open) else { return false };
            match pipe.drain(nowhere.as_fd(), held) {
                Ok(count) if count > 0 => held = held.saturating_sub(count),
                _ => return false,
            }
        }
        true
    }
}

/// A pipe that is given back, emptied, when it is dropped.
pub struct PooledPipe {
    pipe: Option<Pipe>,
    held: usize,
    pipes: Rc<Pipes>,
}

impl PooledPipe {
    /// How many bytes it holds.
    pub const fn held(&self) -> usize {
        self.held
    }

    /// Moves up to `most` bytes from a socket into the pipe; 0 when the socket has ended.
    ///
    /// # Errors
    /// `WouldBlock` when the socket has nothing, `StorageFull` when the pipe takes no more; what splice(2) said otherwise.
    pub fn fill(&mut self, from: &Tcp, most: usize) -> io::Result<usize> {
        let Some(pipe) = &self.pipe else { return Ok(0) };
        let count = if self.held == 0 {
            from.try_input(|_| pipe.fill(from.fd(), most))?
        } else if from.try_peek()? == 0 {
            return Ok(0);
        } else {
            // The socket has something: what blocks is the pipe.
            let count = pipe.fill(from.fd(), most).map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => io::ErrorKind::StorageFull.into(),
                _ => error,
            })?;
            super::budget::spend(super::budget::Direction::Input, count);
            count
        };
        self.held += count;
        Ok(count)
    }

    /// Moves what it holds into a socket.
    ///
    /// # Errors
    /// `WouldBlock` when the socket is full; what splice(2) said otherwise.
    pub fn drain(&mut self, to: &Tcp) -> io::Result<usize> {
        let Some(pipe) = &self.pipe else { return Ok(0) };
        let count = to.try_output(|_| pipe.drain(to.fd(), self.held))?;
        self.held = self.held.saturating_sub(count);
        Ok(count)
    }

    /// Appends what it holds to `into`, which stays in memory.
    ///
    /// # Errors
    /// What read(2) said.
    pub fn read(&mut self, into: &mut Vec<u8>) -> io::Result<()> {
        let Some(pipe) = &self.pipe else { return Ok(()) };
        while self.held > 0 {
            let before = into.len();
            into.resize(before + self.held, 0);
            let outcome = pipe.read(into.get_mut(before..).unwrap_or_default());
            into.truncate(before + *outcome.as_ref().unwrap_or(&0));
            match outcome? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.held = self.held.saturating_sub(count),
            }
        }
        Ok(())
    }
}

impl Drop for PooledPipe {
    fn drop(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            self.pipes.give(pipe, self.held);
        }
    }
}
