//! Pid files: made whole, found stale, taken away.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A pid file that is ours; it is taken away when this is dropped by the process that made it.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    owner: u32,
}

/// Who is named in a pid file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// No file.
    Nobody,
    /// A process that has ended.
    Dead,
    /// No number.
    Garbage,
    /// A process that lives.
    Alive(i32),
}

/// Who the file at `path` names.
pub fn named(path: &Path) -> Named {
    let Ok(text) = fs::read_to_string(path) else { return Named::Nobody };
    let Some(pid) = text.trim().parse().ok().filter(|pid: &i32| *pid > 0) else { return Named::Garbage };
    match nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None) {
        Err(nix::errno::Errno::ESRCH) => Named::Dead,
        _ => Named::Alive(pid),
    }
}

impl PidFile {
    /// Writes this process's id to `path`. Readers see the old text or the new one, never a half.
    ///
    /// # Errors
    /// What the system said.
    pub fn write(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let owner = std::process::id();
        let draft = path.with_extension(format!("{owner}.tmp"));
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&draft)?;
        writeln!(file, "{owner}")?;
        fs::rename(&draft, path)?;
        Ok(Self { path: path.to_owned(), owner })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // A forked child holds a copy of this, and the file is not its own.
        if self.owner == std::process::id() {
            // One that is gone already is as good.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_names_its_process_and_goes_with_it() {
        let path = std::env::temp_dir().join(format!("rha-pidfile-{}.pid", std::process::id()));
        let file = PidFile::write(&path).unwrap();
        assert_eq!(named(&path), Named::Alive(std::process::id() as i32));
        drop(file);
        assert_eq!(named(&path), Named::Nobody);
    }
}
