//! Texts of a configuration, places in them, and where they come from.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

/// Which text of a [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

/// A run of bytes in one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The text.
    pub source: SourceId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// The argument of `-g`; complaints name no line.
    CommandLine,
}

/// One text that was read.
#[derive(Debug)]
pub struct Source {
    /// The name it was opened by, as the operator will see it.
    pub name: String,
    /// Its bytes.
    pub text: Rc<[u8]>,
    /// What it is.
    pub kind: Kind,
    /// Offset of each line's first byte.
    lines: Vec<u32>,
}

/// Every text a configuration consists of, in the order they were opened.
#[derive(Debug, Default)]
pub struct Sources {
    texts: Vec<Source>,
}

impl Sources {
    /// Adds a text.
    pub fn add(&mut self, name: &str, kind: Kind, text: Vec<u8>) -> SourceId {
        let lines = std::iter::once(0).chain(memchr::memchr_iter(b'\n', &text).map(|at| at as u32 + 1)).collect();
        self.texts.push(Source { name: name.to_owned(), text: text.into(), kind, lines });
        SourceId(self.texts.len() as u32 - 1)
    }

    /// Calls texts by another name from now on.
    pub fn rename(&mut self, from: &str, to: &str) {
        for text in self.texts.iter_mut().filter(|text| text.name == from) {
            to.clone_into(&mut text.name);
        }
    }

    /// The text `id` names, if this collection made it.
    pub fn text(&self, id: SourceId) -> Option<&Source> {
        self.texts.get(id.0 as usize)
    }

    /// All texts, in the order they were opened.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Source> {
        self.texts.iter()
    }

    /// Line (from 1) and column (from 1, in bytes) of the byte at `offset`.
    pub fn position(&self, id: SourceId, offset: u32) -> (u32, u32) {
        let Some(source) = self.text(id) else { return (0, 0) };
        let line = source.lines.partition_point(|&start| start <= offset);
        let start = line.checked_sub(1).and_then(|index| source.lines.get(index)).copied().unwrap_or_default();
        (line as u32, offset - start + 1)
    }
}

/// What a path names, to somebody who wants to read it as a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A file, or nothing: reading it tells.
    Text,
    /// A folder.
    Folder,
    /// A device or an executable file.
    Other,
}

/// Where texts come from: the disk, a bundle, or a test's memory.
pub trait Loader {
    /// The bytes of the file `path` names.
    ///
    /// # Errors
    /// What the system said, to be shown as `open() "path" failed (…)`.
    fn load(&self, path: &str) -> io::Result<Vec<u8>>;

    /// The files that match `pattern`, sorted; a pattern without wildcards may come back as itself.
    ///
    /// # Errors
    /// What the system said, to be shown as `glob() "pattern" failed (…)`.
    fn glob(&self, pattern: &str) -> io::Result<Vec<String>>;

    /// What `path` names.
    fn named(&self, _path: &str) -> Named {
        Named::Text
    }
}

/// Texts by name: a bundle shipped between processes, or a test.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Name to bytes.
    pub texts: BTreeMap<String, Vec<u8>>,
    /// Pattern to names, for patterns that were asked for.
    pub globs: BTreeMap<String, Vec<String>>,
}

impl Memory {
    /// One text under one name.
    pub fn of(name: &str, text: &str) -> Self {
        Self { texts: [(name.to_owned(), text.as_bytes().to_vec())].into(), globs: BTreeMap::new() }
    }
}

impl Loader for Memory {
    fn load(&self, path: &str) -> io::Result<Vec<u8>> {
        self.texts.get(path).cloned().ok_or_else(|| io::Error::from_raw_os_error(2))
    }

    fn glob(&self, pattern: &str) -> io::Result<Vec<String>> {
        if let Some(names) = self.globs.get(pattern) {
            return Ok(names.clone());
        }
        Ok(if self.texts.contains_key(pattern) { vec![pattern.to_owned()] } else { Vec::new() })
    }
}
