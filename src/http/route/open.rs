//! Opening the files a request asks for, as `disable_symlinks` and `open_file_cache` of its location say.

use crate::conf::bytes;
use crate::http::heart::request::Request;
use crate::log::Level;
use crate::net::file_cache::{Found, Look};
use crate::net::open_file::Opened;
use crate::net::symlinks::{Failed, Walk};
use std::fs::Metadata;
use std::rc::Rc;

impl Request {
    /// How a path is opened here; nothing where links are followed.
    pub fn walk(&self, path: &[u8]) -> Option<Walk> {
        let rule = self.location.files.symlinks.as_ref()?;
        let from = rule.from.as_ref().map(|text| text.text(self)).unwrap_or_default();
        let refuse = rule.refuse;
        let from = match path.strip_prefix(from.as_slice()) {
            Some([]) => return None,
            Some([b'/', ..]) => from.len(),
            Some(_) if from.ends_with(b"/") => from.len() - 1,
            _ => 0,
        };
        Some(Walk { refuse, from })
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// The call that failed.
    pub fn open_file(&self, path: &[u8]) -> Result<Rc<Opened>, Failed> {
        let look = self.look(path, false);
        if let Some(found) = self.find(path, look) {
            return match found? {
                Found::File(opened) => Ok(opened),
                Found::Folder(about) => {
                    Opened::folder(about).map(Rc::new).map_err(|error| Failed { call: "open()", error })
                }
            };
        }
        match look.walk {
            None => self.event_loop().files.open(path).map_err(|error| Failed { call: "open()", error }),
            Some(_) => look.open(path).map(Rc::new),
        }
    }

    /// Asks what a path is.
    ///
    /// # Errors
    /// The call that failed.
    pub fn file_info(&self, path: &[u8]) -> Result<Metadata, Failed> {
        self.info(path, self.look(path, false))
    }

    /// Asks what a path is that is thought to be a folder.
    ///
    /// # Errors
    /// The call that failed.
    pub fn folder_info(&self, path: &[u8]) -> Result<Metadata, Failed> {
        self.info(path, self.look(path, true))
    }

    fn look(&self, path: &[u8], is_folder: bool) -> Look {
        Look { walk: self.walk(path), is_folder }
    }

    fn info(&self, path: &[u8], look: Look) -> Result<Metadata, Failed> {
        match self.find(path, look) {
            Some(found) => found.map(|found| found.about().clone()),
            None => look.info(path),
        }
    }

    /// Looks at a path through the location's cache; nothing where it has none.
    fn find(&self, path: &[u8], look: Look) -> Option<Result<Found, Failed>> {
        let rules = self.location.files.cache.as_ref()?;
        let event_loop = self.event_loop();
        Some(event_loop.files.caches.find(path, look, rules, event_loop.clock.now().as_secs()))
    }

    /// Logs why a path could not be opened.
    pub fn log_failed(&self, level: Level, path: &[u8], Failed { call, error }: &Failed) {
        self.log(level, &format!("{call} \"{}\" failed ({})", bytes::text(path), crate::conf::walk::errno(error)));
    }
}
