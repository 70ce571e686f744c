//! What a configuration declares while it compiles, for the product to open afterwards.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::source::Loader;
use crate::log::file::File;
use hashbrown::HashMap;
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
    /// Looks up host names.
    pub resolver: &'a dyn Resolve,
    /// Log files by path; opened once however often they are named.
    pub logs: HashMap<String, Arc<File>>,
    /// Folders that must exist before serving.
    pub folders: Vec<String>,
    /// Warnings found while compiling.
    pub complaints: Vec<Diagnostic>,
    /// Warnings nginx gives after it has said that the syntax is fine.
    pub late: Vec<Diagnostic>,
    /// What was found while compiling that is checked and not served.
    pub unserved: Vec<Diagnostic>,
    /// The zones that outlive a configuration.
    pub zones: &'a crate::zone::registry::Registry,
    /// The zones this configuration names.
    pub declared: crate::zone::registry::Declared,
}

impl Build<'_> {
    /// The log file at `path`, kept back until `keep` bytes are there.
    pub fn log(&mut self, path: &str, keep: usize) -> Arc<File> {
        self.logs.entry(path.to_owned()).or_insert_with(|| Arc::new(File::new(path, keep))).clone()
    }

    /// The access log at `path`.
    pub fn access_log(&mut self, path: &str, keep: usize, flush: Option<Duration>) -> Arc<File> {
        let fresh = || {
            let mut file = File::new(path, keep);
            file.flush_every(flush);
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

    /// `path`, starting at the prefix unless it is absolute.
    pub fn full(&self, path: &str) -> String {
        crate::conf::walk::full(&self.prefix, path)
    }
}
