//! A tracked file: a number somebody else writes.
//!
//! Its folder is watched, so that a change counts at once; a file whose folder cannot be watched is looked at again and
//! again.

use crate::keepalived::blocks::file::File;
use crate::sys::inotify::Inotify;
use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Between two looks at a file whose folder is not watched.
const INTERVAL: Duration = Duration::from_millis(250);

/// A file that is being tracked.
pub struct FileRunner {
    /// Its name in the configuration.
    pub name: String,
    path: PathBuf,
    value: i64,
    /// When to look again, unless its folder is watched.
    next: Option<Instant>,
}

impl FileRunner {
    /// A file that is looked at from now on; one that `init_file` asks for is made.
    pub fn new(file: &File, now: Instant, (starting, folders): (bool, Option<&Inotify>)) -> Self {
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
        let path = resolved(Path::new(&path));
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let watched = folders.is_some_and(|folders| folders.watch(folder).is_ok());
        // Watched first, so that no change is missed in between.
        let value = number(&path);
        Self { name: file.name.clone(), path, value, next: (!watched).then(|| now + INTERVAL) }
    }

    /// The number.
    pub const fn value(&self) -> i64 {
        self.value
    }

    /// When to look again.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// Looks again if something changed in a watched folder, or if it is time.
    pub fn look(&mut self, now: Instant, changed: bool) {
        if let Some(next) = &mut self.next {
            if *next > now {
                return;
            }
            *next = now + INTERVAL;
        } else if !changed {
            return;
        }
        self.value = number(&self.path);
    }
}

/// The path without symbolic links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let folder = || Some(fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?));
    fs::canonicalize(path).ok().or_else(folder).unwrap_or_else(|| path.to_owned())
}

/// The number in a file; no file and no number are 0.
fn number(path: &Path) -> i64 {
    let mut bytes = Vec::new();
    // A pipe must not hold the router up, nor an endless file.
    let opened = fs::OpenOptions::new().read(true).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits()).open(path);
    let _ = opened.and_then(|file| file.take(64).read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    text.split_ascii_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watched_file_is_read_when_its_folder_changed() {
        let folder = std::env::temp_dir().join(format!("rha-track-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("value").display().to_string();
        let given = File { name: "f".to_owned(), path: Some(path.clone()), ..File::default() };
        let now = Instant::now();
        let folders = Inotify::new().unwrap();
        let mut file = FileRunner::new(&given, now, (true, Some(&folders)));
        assert_eq!((file.value(), file.poll_timeout(), folders.drain()), (0, None, false));
        fs::write(&path, "7\n").unwrap();
        let changed = folders.drain();
        file.look(now, changed);
        assert_eq!((changed, file.value()), (true, 7));
        fs::remove_file(&path).unwrap();
        let changed = folders.drain();
        file.look(now, changed);
        assert_eq!((changed, file.value()), (true, 0));
        fs::remove_dir(&folder).unwrap();
    }

    #[test]
    fn a_file_in_a_folder_that_cannot_be_watched_is_looked_at_again_and_again() {
        let now = Instant::now();
        let given = File { name: "f".to_owned(), path: Some("/proc/none/value".to_owned()), ..File::default() };
        let folders = Inotify::new().unwrap();
        let file = FileRunner::new(&given, now, (true, Some(&folders)));
        assert_eq!(file.poll_timeout(), Some(now + INTERVAL));
    }
}
