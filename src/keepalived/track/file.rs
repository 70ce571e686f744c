//! A tracked file: a number somebody else writes.

use crate::keepalived::blocks::file::File;
use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

/// Between two looks at a file.
const INTERVAL: Duration = Duration::from_millis(250);

/// A file that is being tracked.
pub struct FileRunner {
    /// Its name in the configuration.
    pub name: String,
    path: String,
    value: i64,
    next: Instant,
}

impl FileRunner {
    /// A file that is looked at from now on; one that `init_file` asks for is made.
    pub fn new(file: &File, now: Instant, starting: bool) -> Self {
        let path = file.path.clone().unwrap_or_default();
        if let Some((value, overwrite)) = file.init
            && (fs::symlink_metadata(&path).is_err() || (overwrite && starting))
        {
            // Never through a link: the file may lie where others can write.
            let mut options = fs::OpenOptions::new();
            options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o644)
                .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits());
            let written = options
                .open(&path)
                .and_then(|mut file| std::io::Write::write_all(&mut file, format!("{value}\n").as_bytes()));
            // A file that cannot be made counts as one that is not there.
            let _ = written;
        }
        let value = number(&path);
        Self { name: file.name.clone(), path, value, next: now + INTERVAL }
    }

    /// The number.
    pub const fn value(&self) -> i64 {
        self.value
    }

    /// When to look again.
    pub const fn poll_timeout(&self) -> Instant {
        self.next
    }

    /// Looks again if it is time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.next <= now {
            self.next = now + INTERVAL;
            self.value = number(&self.path);
        }
    }
}

/// The number in a file; no file and no number are 0.
fn number(path: &str) -> i64 {
    let mut bytes = Vec::new();
    // A pipe must not hold the router up, nor an endless file.
    let opened = fs::OpenOptions::new().read(true).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits()).open(path);
    let _ = opened.and_then(|file| file.take(64).read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    text.split_ascii_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}
