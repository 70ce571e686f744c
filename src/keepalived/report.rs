//! What the VRRP process tells the parent, which alone speaks with the service manager: it runs, or it refused a reload.

use nix::fcntl::OFlag;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// What is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The configuration is in use.
    Running,
    /// A new configuration cannot be run; the previous one is in use.
    Refused,
    /// The process has ended.
    Ended,
}

/// The VRRP process's end.
#[derive(Clone, Debug, Default)]
pub struct Reporter(Option<Arc<File>>);

/// The parent's end.
#[derive(Debug)]
pub struct Receiver(File);

/// Both ends, closed on exec; neither waits.
///
/// # Errors
/// What pipe2(2) said.
pub fn channel() -> io::Result<(Reporter, Receiver)> {
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    Ok((Reporter(Some(Arc::new(File::from(writer)))), Receiver(File::from(reader))))
}

impl Reporter {
    /// Tells the parent.
    pub fn tell(&self, report: Report) {
        let byte = match report {
            Report::Running => b'+',
            Report::Refused => b'-',
            Report::Ended => return,
        };
        if let Some(pipe) = &self.0 {
            // A parent that is gone takes this process with it.
            let _ = pipe.as_ref().write_all(&[byte]);
        }
    }
}

impl Receiver {
    /// The next report, if one has come.
    pub fn next(&self) -> Option<Report> {
        let mut byte = [0];
        match (&self.0).read(&mut byte) {
            Ok(0) => Some(Report::Ended),
            Ok(_) if byte == [b'+'] => Some(Report::Running),
            Ok(_) => Some(Report::Refused),
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::Interrupted].contains(&error.kind()) => None,
            Err(_) => Some(Report::Ended),
        }
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_come_in_their_order_and_the_end_last() {
        let (reporter, receiver) = channel().unwrap();
        assert_eq!(receiver.next(), None);
        reporter.tell(Report::Running);
        reporter.tell(Report::Refused);
        drop(reporter);
        let all = [receiver.next(), receiver.next(), receiver.next()];
        assert_eq!(all, [Report::Running, Report::Refused, Report::Ended].map(Some));
    }
}
