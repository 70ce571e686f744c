//! Files opened for a batch of work: requests for one file that become ready together share one opening.

use crate::net::file_cache::FileCaches;
use std::cell::RefCell;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::rc::Rc;

/// Files kept at most.
const FILES: usize = 16;

/// An open file and what `fstat(2)` said of it.
pub struct Opened {
    /// The path it was opened by.
    pub path: Vec<u8>,
    /// The file, open for reading.
    pub file: File,
    /// What is known of it.
    pub about: Metadata,
}

impl Opened {
    /// Opens a file as it is now, without following what is no file into a wait.
    ///
    /// # Errors
    /// What `open(2)` or `fstat(2)` said; `ENOENT` for a path with a zero byte.
    pub fn open(path: &[u8]) -> io::Result<Self> {
        if path.contains(&0) {
            return Err(io::Error::from_raw_os_error(libc::ENOENT));
        }
        let file =
            OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(std::ffi::OsStr::from_bytes(path))?;
        Self::of(path, file)
    }

    /// A file that was opened by this path.
    ///
    /// # Errors
    /// What `fstat(2)` said.
    pub fn of(path: &[u8], file: File) -> io::Result<Self> {
        let about = file.metadata()?;
        Ok(Self { path: path.to_vec(), file, about })
    }

    /// A folder, of which only what is known of it counts: the file is another.
    ///
    /// # Errors
    /// What `open(2)` said.
    pub fn folder(about: Metadata) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open("/")?;
        Ok(Self { path: Vec::new(), file, about })
    }

    /// The same file, of which something else is known now.
    ///
    /// # Errors
    /// What `dup(2)` said.
    pub fn with(self: &Rc<Self>, about: Metadata) -> io::Result<Rc<Self>> {
        let known = |about: &Metadata| (about.mtime(), about.mtime_nsec(), about.len(), about.mode());
        if known(&about) == known(&self.about) {
            return Ok(self.clone());
        }
        Ok(Rc::new(Self { path: self.path.clone(), file: self.file.try_clone()?, about }))
    }
}

/// The files opened since the loop last looked for events. What changes in a folder meanwhile is seen from the next look
/// on, as if the requests had been served a moment earlier.
#[derive(Default)]
pub struct OpenFiles {
    files: RefCell<Vec<Rc<Opened>>>,
    /// Files that are kept open for longer.
    pub caches: FileCaches,
}

impl OpenFiles {
    /// Opens a file without following what is no file into a wait.
    ///
    /// # Errors
    /// What `open(2)` or `fstat(2)` said; `ENOENT` for a path with a zero byte.
    pub fn open(&self, path: &[u8]) -> io::Result<Rc<Opened>> {
        if let Some(opened) = self.files.borrow().iter().find(|opened| opened.path == path) {
            return Ok(opened.clone());
        }
        let opened = Rc::new(Opened::open(path)?);
        let mut files = self.files.borrow_mut();
        if files.len() < FILES {
            files.push(opened.clone());
        }
        Ok(opened)
    }

    /// Forgets them; each is closed when its last response is sent.
    pub fn forget(&self) {
        self.files.borrow_mut().clear();
        self.caches.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::OpenFiles;
    use std::rc::Rc;

    #[test]
    fn a_file_is_opened_once_for_a_batch_and_anew_for_the_next() -> std::io::Result<()> {
        let path = std::env::temp_dir().join(format!("rha-open-file-{}", std::process::id()));
        let next = path.with_extension("next");
        let name = path.as_os_str().as_encoded_bytes();
        std::fs::write(&path, "old")?;
        let files = OpenFiles::default();
        let first = files.open(name)?;
        std::fs::write(&next, "newer")?;
        std::fs::rename(&next, &path)?;
        assert!(Rc::ptr_eq(&first, &files.open(name)?));
        files.forget();
        assert_eq!((first.about.len(), files.open(name)?.about.len()), (3, 5));
        std::fs::remove_file(&path)?;
        files.forget();
        assert_eq!(files.open(name).err().and_then(|error| error.raw_os_error()), Some(libc::ENOENT));
        Ok(())
    }
}
