//! Files and folders removed, copied and renamed, with all that is in them.
//!
//! Differs from nginx: a link in a folder that is deleted is removed itself; nginx deletes the files of the folder it leads to. [test: links_in_deleted_folders_are_not_followed]

use super::failed;
use crate::http::heart::request::Request;
use crate::http::route::rename::{Failed, copy_file, date, folder_access, log_failure, make_folder, os};
use crate::log::Level;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;

/// Removes a file, or a folder with all that is in it.
///
/// # Errors
/// The status to answer with.
pub fn delete(request: &Request, path: &[u8], is_folder: bool) -> Result<(), u16> {
    if !is_folder {
        return std::fs::remove_file(os(path)).map_err(|error| failed(request, "unlink()", path, &error, 404));
    }
    delete_inside(request, path).map_err(|Failed| 500_u16)?;
    std::fs::remove_dir(os(path)).map_err(|error| failed(request, "rmdir()", path, &error, 404))
}

fn delete_inside(request: &Request, path: &[u8]) -> Result<(), Failed> {
    for inner in inside(request, path)? {
        let is_folder = std::fs::symlink_metadata(os(&inner)).is_ok_and(|about| about.is_dir());
        let (call, removed) = if is_folder {
            // What cannot be removed is logged there, and stays.
            let _ = delete_inside(request, &inner);
            ("rmdir()", std::fs::remove_dir(os(&inner)))
        } else {
            ("unlink()", std::fs::remove_file(os(&inner)))
        };
        if let Err(error) = removed {
            failed(request, call, &inner, &error, 0);
        }
    }
    Ok(())
}

/// The paths of what is in a folder.
fn inside(request: &Request, path: &[u8]) -> Result<Vec<Vec<u8>>, Failed> {
    let wrong = |call: &str, error: &io::Error| {
        log_failure(request, Level::Crit, call, path, error);
        Failed
    };
    let entries = std::fs::read_dir(os(path)).map_err(|error| wrong("opendir()", &error))?;
    let path = |entry: io::Result<std::fs::DirEntry>| {
        let entry = entry.map_err(|error| wrong("readdir()", &error))?;
        Ok(entry.path().as_os_str().as_bytes().to_vec())
    };
    entries.map(path).collect()
}

/// Copies all that is in a folder into another.
///
/// # Errors
/// When the folder cannot be read; what else fails is logged, and left out.
pub fn copy_inside(request: &Request, from: &[u8], to: &[u8]) -> Result<(), Failed> {
    for inner in inside(request, from)? {
        let about = match std::fs::metadata(os(&inner)) {
            Ok(about) => about,
            Err(error) => {
                log_failure(request, Level::Crit, "stat()", &inner, &error);
                continue;
            }
        };
        let target = [to, inner.get(from.len()..).unwrap_or_default()].concat();
        if about.is_file() {
            let _ = copy_file(request, &inner, &target, &about);
        } else if about.is_dir() {
            if let Err(error) = make_folder(&target, folder_access(about.permissions().mode() & 0o777)) {
                failed(request, "mkdir()", &target, &error, 0);
            }
            let _ = copy_inside(request, &inner, &target);
            let dated = File::open(os(&target)).and_then(|folder| date(&folder, &about));
            if let Err(error) = dated {
                log_failure(request, Level::Alert, "utimes()", &target, &error);
            }
        }
    }
    Ok(())
}
