//! `reload_file`: a file that is there, and empty, from the beginning of a reload until every process has read the
//! configuration, so that who writes the configuration can wait for that.

use super::path;
use crate::keepalived::blocks::daemon::ReloadFile;
use crate::keepalived::log::{Log, cause};
use crate::keepalived::site::Site;
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// The file; it is removed when this is dropped.
#[derive(Debug)]
pub struct ReloadMark {
    path: PathBuf,
    owner: u32,
}

impl ReloadMark {
    /// Makes the file that the configuration in use names, or empties it.
    pub fn set(site: &Site, log: &Log) -> Option<Self> {
        let path = match site.global.reload_file.as_ref()? {
            ReloadFile::At(path) => PathBuf::from(path),
            ReloadFile::Usual => path(None, site, "keepalived").with_extension("reload"),
        };
        let made = OpenOptions::new().write(true).create(true).truncate(true).open(&path);
        // Every user may test whether the file exists, whatever the umask.
        match made.and_then(|file| file.set_permissions(Permissions::from_mode(0o644))) {
            Ok(()) => {}
            Err(error) => {
                let (number, text) = cause(&error);
                log.say(format!("Failed to create reload file ({}) {number} - {text}", path.display()));
            }
        }
        Some(Self { path, owner: std::process::id() })
    }
}

impl Drop for ReloadMark {
    fn drop(&mut self) {
        // A process that was started meanwhile has a copy of this.
        if self.owner == std::process::id() {
            // One that somebody else removed is gone as well.
            let _ = fs::remove_file(&self.path);
        }
    }
}
