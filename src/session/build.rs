//! What a configuration declares while it compiles, for the product to open afterwards.

use crate::conf::bytes;
use crate::conf::diagnostic::{Diagnostic, MOST};
use crate::conf::effect::Unserved;
use crate::conf::source::{Loader, Span};
use crate::conf::tree::Word;
use crate::log::file::File;
use crate::script::template::{Piece, pieces};
use hashbrown::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Host names to addresses: the system's resolver in the parent, what the parent found in the worker.
pub trait Resolve {
    /// The addresses of `host`, in the resolver's order; none when there is no such host.
    fn resolve(&self, host: &str) -> Vec<IpAddr>;

    /// Whether the configuration is another machine's, whose certificates and keys need not be here.
    fn is_elsewhere(&self) -> bool {
        false
    }
}

/// Stands in for a resolver: every name has the same address (RFC 5737), so that nothing depends on the names known here.
pub struct Anywhere {
    /// Whether the configuration is another machine's.
    pub elsewhere: bool,
}

impl Resolve for Anywhere {
    fn resolve(&self, _: &str) -> Vec<IpAddr> {
        vec![IpAddr::from([192, 0, 2, 1])]
    }

    fn is_elsewhere(&self) -> bool {
        self.elsewhere
    }
}

/// Collected over all rooms of a product.
pub struct Build<'a> {
    /// Where relative paths start, ending in a slash.
    pub prefix: String,
    /// Where relative paths of the configuration's own files start, ending in a slash.
    pub folder: &'a str,
    /// Reads the files settings name, as certificates.
    pub files: &'a dyn Loader,
    /// The access log of servers that name none.
    pub access_log_path: &'a str,
    /// The folder of temporary files the configuration names no place for; without one they are below the prefix.
    pub temp: Option<&'a str>,
    /// Looks up host names.
    pub resolver: &'a dyn Resolve,
    /// Log files by path; opened once however often they are named.
    pub logs: HashMap<String, Arc<File>>,
    /// Folders that must exist before serving.
    pub folders: Vec<String>,
    /// Every complaint is wanted, not only the first.
    pub every: bool,
    /// Warnings found while compiling, and errors where every one is wanted.
    pub complaints: Vec<Diagnostic>,
    /// Warnings nginx gives after it has said that the syntax is fine.
    pub late: Vec<Diagnostic>,
    /// What was found while compiling that is checked and not served.
    pub unserved: Vec<Unserved>,
    /// The zones that outlive a configuration.
    pub zones: &'a crate::zone::registry::Registry,
    /// The zones this configuration names.
    pub declared: crate::zone::registry::Declared,
    /// Where variables are used that the reading took no note of, kept where every complaint is wanted.
    pub used: HashMap<String, Span>,
    /// The errors that were noted and left out.
    pub noted: HashSet<(String, Option<Span>)>,
    /// Where zones were named first.
    pub named_at: HashMap<String, Span>,
    /// Whether connections come from addresses that are not this machine's.
    pub transparent: bool,
}

impl Build<'_> {
    /// The outcome of one part. Where every complaint is wanted, one that failed is noted and left out, so that the
    /// others are looked at as well.
    ///
    /// # Errors
    /// The part's own, where the first complaint ends the run.
    pub fn part<T>(&mut self, outcome: Result<T, Diagnostic>) -> Result<Option<T>, Diagnostic> {
        match outcome {
            Ok(made) => Ok(Some(made)),
            Err(complaint) if self.every && self.noted.len() < MOST => {
                // What is inherited is found wrong at every level it comes to.
                if self.noted.insert((complaint.message.clone(), complaint.place())) {
                    self.complaints.push(complaint);
                }
                Ok(None)
            }
            Err(complaint) => Err(complaint),
        }
    }

    /// Notes the variables of a text that compiles.
    pub fn uses(&mut self, word: &Word) {
        let names = pieces(&word.bytes).filter_map(Result::ok).filter(|_| self.every);
        for piece in names {
            if let Piece::Name(name) = piece {
                self.used.entry(name.to_ascii_lowercase()).or_insert(word.span);
            }
        }
    }

    /// Whether what must not answer without what is left out stays closed; a file of another machine's is only asked what
    /// it would do.
    pub fn closes(&self) -> bool {
        !self.resolver.is_elsewhere()
    }

    /// How many errors were noted and left out.
    pub fn failed(&self) -> usize {
        self.noted.len()
    }

    /// Declares a zone named at `at`.
    ///
    /// # Errors
    /// nginx's words when the name is taken by another kind or size, with the place that took it.
    pub fn declare(&mut self, name: &str, size: u64, kind: &'static str, at: Span) -> Result<(), Diagnostic> {
        let first = *self.named_at.entry(name.to_owned()).or_insert(at);
        let earlier = Some(first).filter(|first| *first != at);
        self.declared.declare(name, size, kind).map_err(|text| Diagnostic::emerg(text).at(at).earlier(earlier))
    }

    /// The log file at `path`, kept back until `keep` bytes are there.
    pub fn log(&mut self, path: &str, keep: usize) -> Arc<File> {
        self.logs.entry(path.to_owned()).or_insert_with(|| Arc::new(File::new(path, bytes::path(path), keep))).clone()
    }

    /// The access log at `path`, with the level its lines are compressed with.
    pub fn access_log(&mut self, path: &str, keep: usize, flush: Option<Duration>, level: Option<u8>) -> Arc<File> {
        let fresh = || {
            let mut file = File::new(path, bytes::path(path), keep);
            file.flush_every(flush);
            file.compress_with(level);
            Arc::new(file)
        };
        self.logs.entry(path.to_owned()).or_insert_with(fresh).clone()
    }

    /// Declares a folder that must be there before serving.
    pub fn folder(&mut self, path: &str) {
        if !self.folders.iter().any(|known| known == path) {
            self.folders.push(path.to_owned());
        }
    }

    /// The folder for temporary files of this kind (`client_body`, `proxy`, ...) where the configuration names none: that of
    /// a build from source, or the one distributions configure.
    pub fn default_temp(&self, kind: &str) -> String {
        self.temp.map_or_else(
            || self.full(&format!("{kind}_temp")),
            |folder| format!("{folder}/{}", if kind == "client_body" { "body" } else { kind }),
        )
    }

    /// `path`, starting at the prefix unless it is absolute.
    pub fn full(&self, path: &str) -> String {
        crate::conf::walk::full(&self.prefix, path)
    }
}
