//! A node of a cluster: what its files say.

use super::hocon::{self, Hocon};
use super::levels::Levels;
use super::vrrp::{self, Vrrp};
use crate::conf::source::Loader;
use crate::migrate::dialect::Dialect;
use crate::migrate::input::{Given, Text};
use crate::migrate::report::{Failure, Finding, Severity};
use std::net::IpAddr;

/// A machine and its files.
pub struct Node {
    /// What it is called; nothing when it is the only one.
    pub name: String,
    /// Its own address, where that is known.
    pub address: Option<IpAddr>,
    /// Its nginx configurations.
    pub nginx: Vec<Levels>,
    /// Its keepalived configurations.
    pub keepalived: Vec<Vrrp>,
    /// Its EMQX configurations.
    pub emqx: Vec<Emqx>,
    /// Check scripts that were given as files: name and text.
    pub scripts: Vec<(String, String)>,
    /// What is to be said of how its files were read.
    pub remarks: Vec<Finding>,
    /// Why nginx runs none of its files.
    pub refused: Vec<Finding>,
    /// Where the machine's files lie.
    pub given: Given,
}

/// An EMQX configuration.
pub struct Emqx {
    /// The file.
    pub name: String,
    /// What it sets.
    pub values: Hocon,
}

impl Node {
    /// Reads the files of a node.
    ///
    /// # Errors
    /// A file cannot be read, or nothing tells what it is.
    pub fn read(name: &str, files: &[String], given: &Given) -> Result<Self, Failure> {
        let mut node = Self {
            name: name.to_owned(),
            address: name.parse().ok(),
            nginx: Vec::new(),
            keepalived: Vec::new(),
            emqx: Vec::new(),
            scripts: Vec::new(),
            remarks: Vec::new(),
            refused: Vec::new(),
            given: given.clone(),
        };
        for file in files {
            let bytes = given.load(file).map_err(|error| Failure::file(file, &error))?;
            let text = || String::from_utf8_lossy(&bytes).into_owned();
            if bytes.starts_with(b"#!") {
                node.scripts.push((file.clone(), text()));
                continue;
            }
            match given.dialect(file)? {
                Dialect::Nginx => {
                    let text = given.read(file)?;
                    node.remarks.extend(text.remark());
                    node.refuse(&text, file);
                    node.nginx.push(Levels::of(&text));
                }
                Dialect::Keepalived => node.keepalived.push(vrrp::read(&given.read(file)?)),
                Dialect::Emqx => node.emqx.push(Emqx { name: file.clone(), values: hocon::read(&text()) }),
            }
        }
        let own = node.keepalived.iter().flat_map(|file| &file.instances).find_map(|one| one.source);
        node.address = node.address.or(own);
        Ok(node)
    }

    /// Takes over why nginx does not run a file.
    fn refuse(&mut self, text: &Text, file: &str) {
        self.refused.extend(text.refusals().map(|refusal| {
            let finding = Finding::new(Severity::Error, "refused", format!("nginx refuses the file: {}", refusal.text));
            if refusal.place.is_empty() { finding.at(file) } else { finding.at(&refusal.place) }
        }));
    }

    /// How many files were read.
    pub fn files(&self) -> usize {
        self.nginx.len() + self.keepalived.len() + self.emqx.len() + self.scripts.len()
    }

    /// The virtual routers.
    pub fn instances(&self) -> impl Iterator<Item = &vrrp::Instance> {
        self.keepalived.iter().flat_map(|file| &file.instances)
    }

    /// How the node is called in a sentence.
    pub fn title(&self) -> &str {
        if self.name.is_empty() { "the node" } else { &self.name }
    }
}

impl Emqx {
    /// `file:line` of a key, or the file where it is not set.
    pub fn place(&self, key: &str) -> String {
        self.values.line(key).map_or_else(|| self.name.clone(), |line| format!("{}:{line}", self.name))
    }
}
