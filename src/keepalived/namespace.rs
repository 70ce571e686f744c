//! The network namespace everything runs in (`net_namespace`, `-s`), and a folder of pid files of its own there.

use super::log::Log;
use crate::conf::diagnostic::reason;
use crate::kernel::connector::ProcessMonitor;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Where network namespaces have their names.
const NAMES: &str = "/run/netns";
/// The folder of pid files.
pub const PID_FOLDER: &str = "/run/keepalived";

/// The network namespace of this process.
pub struct Namespace {
    /// The folder that this process sees as the one of pid files.
    folder: PathBuf,
    /// Which processes the kernel reports; opened before the namespace was entered, as the kernel reports nothing in it.
    process_monitor: Option<ProcessMonitor>,
}

/// Enters a network namespace.
///
/// # Errors
/// The line that keepalived logs.
pub fn enter(name: &str) -> Result<(), String> {
    let path = Path::new(NAMES).join(name);
    let file = File::open(&path).map_err(|_| format!("Failed to open {}", path.display()))?;
    setns(&file, CloneFlags::CLONE_NEWNET).map_err(|error| format!("setns() failed with error {}", error as i32))
}

impl Namespace {
    /// Enters a network namespace, and from then on has a folder of pid files of its own: several daemons have the same
    /// file names there. A folder that cannot be had is logged.
    ///
    /// # Errors
    /// The line that keepalived logs: the namespace cannot be entered.
    pub fn open(name: &str, log: &Log) -> Result<Self, String> {
        // Who tracks no process does not miss it; others say what the system said.
        let process_monitor = ProcessMonitor::open().ok();
        // One that cannot be made is told of with the folder in it.
        let _ = fs::create_dir(PID_FOLDER);
        enter(name)?;
        let folder = Path::new(PID_FOLDER).join(name);
        mount_folder(&folder, log);
        Ok(Self { folder, process_monitor })
    }

    /// Which processes the kernel reports, for a new reader.
    pub fn process_monitor(&self) -> Option<ProcessMonitor> {
        self.process_monitor.as_ref().map(ProcessMonitor::renewed)
    }

    /// Removes the folder of pid files, where it is empty.
    pub fn close(&self, log: &Log) {
        if let Err(error) = umount(PID_FOLDER) {
            log.say(format!("unmount of {PID_FOLDER}/ failed - errno {}", error as i32));
        }
        match fs::remove_dir(&self.folder) {
            Err(error) if !is_in_use(&error) => {
                let (number, words) = (error.raw_os_error().unwrap_or_default(), reason(&error));
                log.say(format!("unlink of {} failed - error ({number}) '{words}'", self.folder.display()));
            }
            _ => {}
        }
    }
}

/// Puts a folder in the place of the folder of pid files, for this process and its children alone.
fn mount_folder(folder: &Path, log: &Log) {
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return log.say(format!("Unable to create directory {}", folder.display()));
        }
        _ => {}
    }
    let shown = |error: Errno| format!("({}) '{}'", error as i32, error.desc());
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNS) {
        return log.say(format!("mount unshare failed {}", shown(error)));
    }
    let none: Option<&str> = None;
    if let Err(error) = mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none) {
        log.say(format!("Mount slave failed, error {}", shown(error)));
    }
    if let Err(error) = mount(Some(folder), PID_FOLDER, none, MsFlags::MS_BIND, none) {
        log.say(format!("Mount failed, error {}", shown(error)));
    }
}

/// Whether a folder was not removed because of what is in it.
fn is_in_use(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::ResourceBusy)
}
