//! Signals as a descriptor, real-time ones included.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A signal and who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// The signal's number.
    pub number: i32,
    /// The sender.
    pub pid: u32,
}

/// Signals that no longer interrupt but wait to be read.
#[derive(Debug)]
pub struct SignalQueue(OwnedFd);

/// The number of the first real-time signal a program may use.
pub fn realtime_first() -> i32 {
    libc::SIGRTMIN()
}

/// The number of the last real-time signal.
pub fn realtime_last() -> i32 {
    libc::SIGRTMAX()
}

/// The system's words for a signal: "Killed".
#[expect(unsafe_code, reason = "strsignal has no safe form")]
pub fn text(number: i32) -> String {
    // SAFETY: strsignal(3) returns a string that stays until the next call in this thread, or null; it is copied at once.
    unsafe {
        let text = libc::strsignal(number);
        if text.is_null() { String::new() } else { std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned() }
    }
}

impl SignalQueue {
    /// Blocks `numbers` and queues them.
    ///
    /// # Errors
    /// What sigprocmask(2) or signalfd(2) said.
    #[expect(unsafe_code, reason = "nix's signal sets know no real-time signals")]
    pub fn new(numbers: &[i32]) -> io::Result<Self> {
        // SAFETY: a zeroed sigset_t is valid memory for sigemptyset, which then makes it a valid set; every pointer is to
        // this live local, and the descriptor signalfd returns is owned by nobody else.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for number in numbers {
                libc::sigaddset(&raw mut set, *number);
            }
            if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            match libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
                -1 => Err(io::Error::last_os_error()),
                fd => Ok(Self(OwnedFd::from_raw_fd(fd))),
            }
        }
    }

    /// The next signal, if one has come.
    #[expect(unsafe_code, reason = "the kernel fills a plain struct")]
    pub fn next(&self) -> Option<Arrived> {
        // SAFETY: signalfd_siginfo is integers only, so zeroes are a valid value; read gets its exact size.
        unsafe {
            let mut info: libc::signalfd_siginfo = std::mem::zeroed();
            let size = size_of::<libc::signalfd_siginfo>();
            let got = libc::read(self.0.as_raw_fd(), (&raw mut info).cast(), size);
            (usize::try_from(got) == Ok(size)).then_some(Arrived { number: info.ssi_signo as i32, pid: info.ssi_pid })
        }
    }
}

impl AsFd for SignalQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests;
