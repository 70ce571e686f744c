//! Opening files without following symbolic links: each part of a path is opened inside the one before it.

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstat, fstatat};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;

/// Which links are not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refuse {
    /// All.
    All,
    /// Those whose owner is not that of what they lead to.
    ForeignOwner,
}

/// How a path is opened part by part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// Which links are not followed.
    pub refuse: Refuse,
    /// The length of the path's beginning that is opened as it is; 0 for none.
    pub from: usize,
}

/// Why a file could not be opened.
#[derive(Debug)]
pub struct Failed {
    /// The call that failed.
    pub call: &'static str,
    /// What it said.
    pub error: io::Error,
}

impl Failed {
    fn openat(errno: Errno) -> Self {
        Self { call: "openat()", error: errno.into() }
    }
}

/// Opens a file for reading, without waiting for what is no file; without a walk, links are followed.
///
/// # Errors
/// The call that failed.
pub fn read(path: &[u8], walk: Option<Walk>) -> Result<File, Failed> {
    open(path, walk, OFlag::O_RDONLY | OFlag::O_NONBLOCK)
}

/// Opens a file for appending, which is made if need be; without a walk, links are followed.
///
/// # Errors
/// The call that failed.
pub fn append(path: &[u8], walk: Option<Walk>) -> Result<File, Failed> {
    open(path, walk, OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT)
}

fn open(path: &[u8], walk: Option<Walk>, flags: OFlag) -> Result<File, Failed> {
    match walk {
        None => plain(path, flags).map_err(|error| Failed { call: "open()", error }),
        Some(walk) => walked(path, walk, flags | OFlag::O_CLOEXEC),
    }
}

fn plain(path: &[u8], flags: OFlag) -> io::Result<File> {
    let mut options = OpenOptions::new();
    if flags.contains(OFlag::O_APPEND) {
        options.append(true).create(true).mode(0o644);
    } else {
        options.read(true).custom_flags(libc::O_NONBLOCK);
    }
    options.open(OsStr::from_bytes(path))
}

/// How the folders on the way are opened.
const FOLDER: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_NONBLOCK).union(OFlag::O_CLOEXEC);

fn walked(path: &[u8], walk: Walk, flags: OFlag) -> Result<File, Failed> {
    if path.contains(&0) {
        return Err(Failed::openat(Errno::ENOENT));
    }
    let (mut folder, mut rest) = start(path, walk)?;
    loop {
        rest = rest.get(rest.iter().take_while(|byte| **byte == b'/').count()..).unwrap_or_default();
        let Some(slash) = memchr::memchr(b'/', rest) else { break };
        let name = rest.get(..slash).unwrap_or_default();
        let inside = match walk.refuse {
            Refuse::ForeignOwner => owned(at(&folder), name, FOLDER),
            Refuse::All => part(at(&folder), name, FOLDER | OFlag::O_NOFOLLOW),
        };
        folder = Some(inside.map_err(Failed::openat)?);
        rest = rest.get(slash + 1..).unwrap_or_default();
    }
    let last = match (rest, walk.refuse) {
        (b"", _) => part(at(&folder), b".", flags),
        (name, Refuse::ForeignOwner) if !flags.contains(OFlag::O_CREAT) => owned(at(&folder), name, flags),
        (name, _) => part(at(&folder), name, flags | OFlag::O_NOFOLLOW),
    };
    last.map(File::from).map_err(Failed::openat)
}

/// The folder the walk begins in, none for the one the process is in; and the path behind it.
fn start(path: &[u8], walk: Walk) -> Result<(Option<OwnedFd>, &[u8]), Failed> {
    let (begin, rest) = match path.split_at_checked(walk.from) {
        Some((begin, rest)) if walk.from > 0 => (begin, rest),
        _ if path.starts_with(b"/") => (&b"/"[..], path),
        _ => return Ok((None, path)),
    };
    match part(AT_FDCWD, begin, FOLDER) {
        Ok(folder) => Ok((Some(folder), rest)),
        Err(errno) if walk.from > 0 => Err(Failed { call: "open()", error: errno.into() }),
        Err(errno) => Err(Failed::openat(errno)),
    }
}

fn at(folder: &Option<OwnedFd>) -> BorrowedFd<'_> {
    folder.as_ref().map_or(AT_FDCWD, |folder| folder.as_fd())
}

fn part(folder: BorrowedFd<'_>, name: &[u8], flags: OFlag) -> Result<OwnedFd, Errno> {
    openat(folder, OsStr::from_bytes(name), flags, Mode::from_bits_truncate(0o644))
}

/// Opens what may be a link. The owners are compared whatever it is now: it may have been a link a moment ago.
fn owned(folder: BorrowedFd<'_>, name: &[u8], flags: OFlag) -> Result<OwnedFd, Errno> {
    let opened = part(folder, name, flags)?;
    let entry = fstatat(folder, OsStr::from_bytes(name), AtFlags::AT_SYMLINK_NOFOLLOW)?;
    if fstat(&opened)?.st_uid == entry.st_uid { Ok(opened) } else { Err(Errno::ELOOP) }
}

#[cfg(test)]
mod tests {
    use super::{Refuse, Walk, append, read};
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_only_before_the_walk_begins() -> std::io::Result<()> {
        let root = std::env::temp_dir().join(format!("rha-symlinks-{}", std::process::id()));
        std::fs::create_dir_all(root.join("real/inner"))?;
        std::fs::write(root.join("real/inner/file"), "text")?;
        symlink("real", root.join("folder"))?;
        symlink("file", root.join("real/inner/link"))?;
        let outcome = |name: &str, refuse: Option<Refuse>, from: &str| {
            let path = root.join(name);
            let from = if from.is_empty() { 0 } else { root.join(from).as_os_str().len() };
            match read(path.as_os_str().as_encoded_bytes(), refuse.map(|refuse| Walk { refuse, from })) {
                Ok(mut file) => {
                    let mut text = String::new();
                    file.read_to_string(&mut text).map_or(21, |_| 0)
                }
                Err(failed) => failed.error.raw_os_error().unwrap_or(-1),
            }
        };
        for (name, refuse, from, code) in [
            ("real/inner/file", Some(Refuse::All), "", 0),
            ("real//inner///file", Some(Refuse::All), "", 0),
            ("real/inner/", Some(Refuse::All), "", libc::EISDIR),
            ("real/inner/link", Some(Refuse::All), "", libc::ELOOP),
            ("folder/inner/file", Some(Refuse::All), "", libc::ENOTDIR),
            ("folder/inner/file", Some(Refuse::All), "folder", 0),
            ("folder/inner/link", Some(Refuse::All), "folder", libc::ELOOP),
            ("folder/inner/link", Some(Refuse::ForeignOwner), "", 0),
            ("folder/inner/none", Some(Refuse::ForeignOwner), "", libc::ENOENT),
            ("folder/inner/link", None, "", 0),
        ] {
            assert_eq!(outcome(name, refuse, from), code, "{name} {refuse:?} from {from:?}");
        }
        let link = root.join("real/inner/link");
        let walk = |refuse| Some(Walk { refuse, from: 0 });
        for refuse in [Refuse::All, Refuse::ForeignOwner] {
            let failed = append(link.as_os_str().as_encoded_bytes(), walk(refuse)).err();
            assert_eq!(failed.and_then(|failed| failed.error.raw_os_error()), Some(libc::ELOOP), "{refuse:?}");
        }
        std::fs::remove_dir_all(&root)
    }
}
