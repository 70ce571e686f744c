//! What becomes of a request or a connection, told by the objects that would serve it.

use super::generation::{self, Generation, Reading};
use super::view::inputs;
use crate::conf::print;
use crate::conf::source::{Loader, Sources, Span};
use crate::session::build::Resolve;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

pub use crate::http::explain::Question;
pub use crate::http::trace::{Chosen, Passed, Trace};
pub use crate::stream::Ending;
pub use crate::stream::explain::Trace as StreamStory;
pub use crate::upstream::group::Choice;

/// A configuration that can be asked.
pub struct Oracle {
    generation: Generation,
    sources: Sources,
    /// What is not served, with its place: where a request would meet it, the answer says nothing of it.
    pub unserved: Vec<String>,
    /// Host names without an address here; a made-up one takes its place.
    pub unknown: Vec<String>,
}

impl Oracle {
    /// Compiles a configuration.
    ///
    /// # Errors
    /// What is wrong with it, in nginx's words.
    pub fn new(loader: &dyn Loader, path: &str) -> Result<Self, String> {
        let hosts = Hosts::default();
        let Reading { sources, unserved, outcome, .. } =
            generation::compile(&inputs(path), loader, &hosts, &Arc::default());
        let refusing = unserved.iter().filter(|one| one.refuses());
        let unserved = refusing.map(|one| print::nginx(&one.complaint, &sources)).collect();
        match outcome {
            Ok(generation) => {
                Ok(Self { generation, sources, unserved, unknown: hosts.unknown.into_inner().into_iter().collect() })
            }
            Err((complaint, _)) => Err(print::nginx(&complaint, &sources)),
        }
    }

    /// Calls a file by another name from now on.
    pub fn rename(&mut self, from: &str, to: &str) {
        self.sources.rename(from, to);
        self.unserved.iter_mut().for_each(|line| *line = line.replace(from, to));
    }

    /// What becomes of an http request.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn http(&self, question: Question) -> Result<Trace, String> {
        let to = question.to;
        let site = self.generation.http.as_ref().ok_or("there is no http server in it")?;
        crate::http::explain::explain(site, question).map_err(|error| nobody(&error, to))
    }

    /// What becomes of a connection to the stream server; with `udp`, of datagrams.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn stream(&self, from: SocketAddr, to: SocketAddr, udp: bool) -> Result<StreamStory, String> {
        let site = self.generation.stream.as_ref().ok_or("there is no stream server in it")?;
        crate::stream::explain::explain(site, from, to, udp).map_err(|error| nobody(&error, to))
    }

    /// `file:line` of a place.
    pub fn place(&self, span: Option<Span>) -> String {
        let Some((span, source)) = span.and_then(|span| Some((span, self.sources.text(span.source)?))) else {
            return String::new();
        };
        format!("{}:{}", source.name, self.sources.position(span.source, span.start).0)
    }
}

fn nobody(error: &std::io::Error, to: SocketAddr) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => format!("nobody listens on {to}"),
        std::io::ErrorKind::Unsupported => {
            format!("who listens on {to} does not speak TLS: there is no \"ssl\" in its listen")
        }
        _ => crate::conf::walk::errno(error),
    }
}

/// The system's resolver; names it does not know have a made-up address, and are remembered.
#[derive(Default)]
struct Hosts {
    system: super::bundle::SystemResolver,
    unknown: RefCell<BTreeSet<String>>,
}

impl Resolve for Hosts {
    fn resolve(&self, host: &str) -> Vec<IpAddr> {
        let found = self.system.resolve(host);
        if !found.is_empty() {
            return found;
        }
        self.unknown.borrow_mut().insert(host.to_owned());
        vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))]
    }

    fn is_elsewhere(&self) -> bool {
        true
    }
}
