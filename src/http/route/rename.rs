//! Files that get another name, on another file system by a copy, in folders that may be made for them.

use crate::conf::bytes;
use crate::http::heart::request::Request;
use crate::log::Level;
use std::ffi::OsStr;
use std::fs::{File, FileTimes, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt};
use std::path::Path;
use std::time::SystemTime;

/// What could not be done; why has been logged.
#[derive(Clone, Copy, Debug)]
pub struct Failed;

/// A path as the system takes it.
pub fn os(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

/// The rights of a folder whose files have these.
pub const fn folder_access(access: u32) -> u32 {
    access | (access & 0o444) >> 2
}

/// Makes a folder.
///
/// # Errors
/// What mkdir(2) said.
pub fn make_folder(path: &[u8], access: u32) -> io::Result<()> {
    std::fs::DirBuilder::new().mode(access).create(os(path))
}

/// Logs a call that failed as nginx does.
pub fn log_failure(request: &Request, level: Level, call: &str, path: &[u8], error: &io::Error) {
    let text = crate::conf::walk::errno(error);
    request.log(level, &format!("{call} \"{}\" failed ({text})", bytes::text(path)));
}

/// Gives a file the time of change of another.
///
/// # Errors
/// What the system said.
pub fn date(file: &File, about: &Metadata) -> io::Result<()> {
    file.set_times(FileTimes::new().set_accessed(SystemTime::now()).set_modified(about.modified()?))
}

/// Copies a file with its rights and its time of change.
///
/// # Errors
/// When not all of it could be copied.
pub fn copy_file(request: &Request, from: &[u8], to: &[u8], about: &Metadata) -> Result<(), Failed> {
    let wrong = |level: Level, call: &str, path: &[u8], error: &io::Error| {
        log_failure(request, level, call, path, error);
        Failed
    };
    let mut source = File::open(os(from)).map_err(|error| wrong(Level::Crit, "open()", from, &error))?;
    let mode = about.permissions().mode() & 0o777;
    let target = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(os(to));
    let mut target = target.map_err(|error| wrong(Level::Crit, "open()", to, &error))?;
    let mut piece = vec![0; 64 * 1024];
    loop {
        let count = source.read(&mut piece).map_err(|error| wrong(Level::Alert, "read()", from, &error))?;
        let Some(bytes) = piece.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        target.write_all(bytes).map_err(|error| wrong(Level::Alert, "write()", to, &error))?;
    }
    date(&target, about).map_err(|error| wrong(Level::Alert, "utimes()", to, &error))
}

/// How a file gets another name.
pub struct Rename {
    /// The rights it gets before.
    pub access: Option<u32>,
    /// The rights of the files in the folders that are made for it; none are made otherwise.
    pub folders: Option<u32>,
}

impl Rename {
    /// Gives a file another name, on another file system by a copy.
    ///
    /// # Errors
    /// When it still has its old name.
    pub fn run(&self, request: &Request, from: &[u8], to: &[u8]) -> Result<(), Failed> {
        if let Some(access) = self.access
            && let Err(error) = std::fs::set_permissions(os(from), PermissionsExt::from_mode(access))
        {
            log_failure(request, Level::Crit, "chmod()", from, &error);
            return Err(Failed);
        }
        let mut renamed = std::fs::rename(os(from), os(to));
        if let (Err(error), Some(access)) = (&renamed, self.folders)
            && error.raw_os_error() == Some(libc::ENOENT)
        {
            make_folders(to, folder_access(access)).map_err(|(path, error)| {
                log_failure(request, Level::Crit, "mkdir()", path, &error);
                Failed
            })?;
            renamed = std::fs::rename(os(from), os(to));
        }
        let Err(error) = renamed else { return Ok(()) };
        if error.raw_os_error() == Some(libc::EXDEV) {
            return copy_over(request, from, to);
        }
        log_rename(request, from, to, &error);
        Err(Failed)
    }
}

fn log_rename(request: &Request, from: &[u8], to: &[u8], error: &io::Error) {
    let (from, to, text) = (bytes::text(from), bytes::text(to), crate::conf::walk::errno(error));
    request.log(Level::Crit, &format!("rename() \"{from}\" to \"{to}\" failed ({text})"));
}

/// Makes the folders a file lies in; what could not be made, where that is so.
fn make_folders(path: &[u8], access: u32) -> Result<(), (&[u8], io::Error)> {
    let mut last = Ok(());
    for end in memchr::memchr_iter(b'/', path).skip_while(|at| *at == 0) {
        let folder = path.get(..end).unwrap_or_default();
        last = match make_folder(folder, access) {
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
            // It may be there all the same.
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => Err((path, error)),
            Err(error) => return Err((folder, error)),
            Ok(()) => Ok(()),
        };
    }
    last
}

/// Copies a file beside the path it is to have, gives the copy that name and removes the file.
fn copy_over(request: &Request, from: &[u8], to: &[u8]) -> Result<(), Failed> {
    let copy = [to, format!(".{:010}", request.connection.loop_state.next_temp()).as_bytes()].concat();
    let about = std::fs::metadata(os(from)).map_err(|error| {
        log_failure(request, Level::Alert, "stat()", from, &error);
        Failed
    })?;
    copy_file(request, from, &copy, &about)?;
    if let Err(error) = std::fs::rename(os(&copy), os(to)) {
        log_rename(request, &copy, to, &error);
        if let Err(error) = std::fs::remove_file(os(&copy)) {
            log_failure(request, Level::Crit, "unlink()", &copy, &error);
        }
        return Err(Failed);
    }
    std::fs::remove_file(os(from)).map_err(|error| {
        log_failure(request, Level::Crit, "unlink()", from, &error);
        Failed
    })
}
