//! Writing an answer into a cache, or to a file for good: into a file beside, which gets its name when it is whole.
//!
//! Differs from nginx: where the file cannot be written the client gets the answer all the same. [test: a_full_disk_loses_no_answer]
//! Differs from nginx: an answer whose client leaves before its head comes is kept. [test: a_client_that_leaves_does_not_keep_an_answer_from_the_cache]
//! Differs from nginx: an answer whose head has no room behind the key is passed on and not kept. [test: a_head_without_room_behind_its_key_is_passed_on]

use super::fetch::Fetch;
use super::store::{self, Store};
use crate::conf::bytes;
use crate::http::codec::h1::Method;
use crate::http::gateway::conf::Gateway;
use crate::http::gateway::upstream_response::UpstreamResponse;
use crate::http::heart::request::Request;
use crate::http::route::rename::{Rename, os};
use crate::log::Level;
use crate::zone::cache::{Cache, Visit, files};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Bytes gathered before they are written.
const PIECE: usize = 32 * 1024;
/// Names that are tried for a file.
const TRIES: u64 = 100;
/// Rights of files; folders have those to enter too.
const ACCESS: u32 = 0o600;

/// A file with a name of its own until it has its place.
struct Temporary {
    file: File,
    path: Option<String>,
}

impl Temporary {
    /// A new file whose name begins like this.
    fn new(request: &Request, prefix: &str) -> io::Result<Self> {
        for _ in 0..TRIES {
            let number = request.connection.loop_state.next_temp() % 10_000_000_000;
            let path = format!("{prefix}{number:010}");
            let mut opened = open(&path);
            if matches!(&opened, Err(error) if error.kind() == io::ErrorKind::NotFound) {
                if let Some(folder) = Path::new(&path).parent() {
                    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
                }
                opened = open(&path);
            }
            match opened {
                Ok(file) => return Ok(Self { file, path: Some(path) }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    request.connection.loop_state.skip_temps()
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

fn open(path: &str) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(ACCESS).open(bytes::path(path))
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            let _ = std::fs::remove_file(bytes::path(&path));
        }
    }
}

/// What keeps an answer.
pub enum Keep<'a> {
    /// A cache.
    Cache(Box<Fetch>),
    /// A file for good.
    Store(&'a Store),
}

impl Keep<'_> {
    /// Begins to keep an answer, whose head is `head`; nothing where it is not to be kept.
    pub fn save(self, request: &Request, gateway: &Gateway, reply: &UpstreamResponse, head: &[u8]) -> Option<Saving> {
        let store = match self {
            Self::Cache(fetch) => return fetch.save(request, gateway, reply, head),
            Self::Store(store) => store,
        };
        let modified = store::judge(reply, head).filter(|_| request.method != Method::Head)?;
        let to = Place::File { path: store.path(request), access: store.access, modified };
        Saving::open(request, &format!("{}/", gateway.temp_path), to)
    }
}

/// Where a file gets its name.
enum Place {
    /// In a cache.
    Entry(Arc<Cache>, Visit),
    /// Anywhere, for good.
    File { path: Vec<u8>, access: u32, modified: Option<i64> },
}

/// An answer on its way into a cache, or to a file for good. Dropped before it is whole, it leaves nothing behind.
pub struct Saving {
    temporary: Temporary,
    to: Place,
    /// What is not written yet.
    waiting: Vec<u8>,
    failed: bool,
}

impl Saving {
    /// Opens a file for the answer of an entry; nothing where it cannot be opened, which is logged.
    pub fn new(request: &Request, gateway: &Gateway, cache: &Arc<Cache>, visit: Visit) -> Option<Self> {
        let prefix =
            if cache.settings.use_temp_path { format!("{}/", gateway.temp_path) } else { format!("{}.", visit.path()) };
        Self::open(request, &prefix, Place::Entry(cache.clone(), visit))
    }

    fn open(request: &Request, prefix: &str, to: Place) -> Option<Self> {
        match Temporary::new(request, prefix) {
            Ok(temporary) => Some(Self { temporary, to, waiting: Vec::new(), failed: false }),
            Err(error) => {
                let text = crate::conf::walk::errno(&error);
                request.log(Level::Crit, &format!("open() \"{prefix}\" failed ({text}) while reading upstream"));
                None
            }
        }
    }

    /// Takes bytes of the file.
    pub fn write(&mut self, request: &Request, bytes: &[u8]) {
        if self.failed {
            return;
        }
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= PIECE {
            self.flush(request);
        }
    }

    fn flush(&mut self, request: &Request) {
        if let Err(error) = self.temporary.file.write_all(&self.waiting) {
            self.failed = true;
            let (text, path) = (crate::conf::walk::errno(&error), self.temporary.path.as_deref().unwrap_or_default());
            request.log(Level::Crit, &format!("pwrite() \"{path}\" failed ({text}) while reading upstream"));
        }
        self.waiting.clear();
    }

    /// Puts the file in its place, where all of the answer came.
    pub fn finish(mut self, request: &Request, whole: bool) {
        if !whole {
            return;
        }
        self.flush(request);
        if self.failed {
            return;
        }
        let Some(from) = self.temporary.path.clone() else { return };
        let (to, rename) = match &self.to {
            Place::Entry(_, visit) => (visit.path().into_bytes(), Rename { access: None, folders: Some(ACCESS) }),
            Place::File { path, access, modified } => {
                if let Some(modified) = modified.and_then(|time| u64::try_from(time).ok()) {
                    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(modified);
                    let _ = self.temporary.file.set_modified(time);
                }
                (path.clone(), Rename { access: Some(*access), folders: Some(*access) })
            }
        };
        let moved = rename.run(request, from.as_bytes(), &to).is_ok();
        if moved {
            self.temporary.path = None;
        }
        if let Place::Entry(cache, visit) = self.to {
            let block = files::block_size(&cache.settings.folder);
            let about = std::fs::metadata(os(&to)).ok().filter(|_| moved);
            visit.stored(about.map(|about| files::blocks(&about, block)));
        }
    }
}
