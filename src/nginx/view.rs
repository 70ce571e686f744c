//! What other rooms may see of an nginx configuration: plain data, nothing that runs.

use super::generation::{self, DIALECT, Inputs, Reading};
use super::layout::Layout;
use crate::conf::diagnostic::{At, Diagnostic};
use crate::conf::directive::Contexts;
use crate::conf::effect::Unserved;
use crate::conf::registry::Registry;
use crate::conf::source::{Loader, Sources};
use crate::conf::walk::{Bases, Dialect, Walk};
use crate::session::build::Anywhere;
use crate::session::contexts::MAIN;
use std::path::Path;
use std::sync::Arc;

/// What compiling a configuration came to, short of running it.
pub struct View {
    /// The texts that were read.
    pub sources: Sources,
    /// What is checked and not served.
    pub unserved: Vec<Unserved>,
    /// Warnings.
    pub complaints: Vec<Said>,
    /// What ended the reading, if it did not come to an end by itself.
    pub fatal: Option<Said>,
}

/// A complaint with its place in words, whatever texts are read afterwards.
pub struct Said {
    /// `file:line` of where the statement begins; empty where it has none.
    pub place: String,
    /// The complaint.
    pub complaint: Diagnostic,
}

impl Said {
    fn new(complaint: Diagnostic, sources: &Sources) -> Self {
        let place = match complaint.at {
            At::Span(span) => sources.text(span.source).map_or_else(String::new, |source| {
                format!("{}:{}", source.name, sources.position(span.source, span.start).0)
            }),
            At::Nowhere | At::Unlined => String::new(),
        };
        Self { place, complaint }
    }
}

/// Compiles a configuration as far as that goes without running it; every host name has an address.
pub fn view(loader: &dyn Loader, path: &str) -> View {
    read(loader, path, inputs(path))
}

/// The same, with every complaint in place of the first one that ends the reading.
pub fn every(loader: &dyn Loader, path: &str) -> View {
    read(loader, path, Inputs { every: true, ..inputs(path) })
}

fn read(loader: &dyn Loader, path: &str, inputs: Inputs) -> View {
    let Reading { sources, mut complaints, late, unserved, outcome, .. } =
        generation::compile(&inputs, loader, &Anywhere { elsewhere: false }, &Arc::default());
    complaints.extend(late);
    let complaints = complaints.into_iter().map(|one| Said::new(one, &sources)).collect();
    let fatal = outcome.err().map(|(complaint, _)| Said::new(complaint, &sources));
    let view = View { sources, unserved, complaints, fatal };
    // Statements after a mistake are read all the same.
    if view.fatal.is_some() { beyond(loader, path, view) } else { view }
}

/// Reads a configuration on behind its mistakes, for what of it is not served.
fn beyond(loader: &dyn Loader, path: &str, view: View) -> View {
    let (registry, context) = registry();
    let mut sources = Sources::default();
    let inputs = inputs(path);
    let folder = path.rsplit_once('/').map_or_else(String::new, |(folder, _)| format!("{folder}/"));
    let bases = Bases { conf: folder, prefix: inputs.prefix };
    let dialect = Dialect { stop: false, ..DIALECT };
    let mut walk = Walk::new(&registry, dialect, (loader, &mut sources), bases, context);
    // It goes on; what it complains of is known, or comes of going on.
    let _ = walk.file(path);
    let unserved = walk.finish(None).unserved;
    // Only what was found while compiling, up to the mistake, is lost: both readings open the same files in one order.
    if unserved.len() < view.unserved.len() { view } else { View { unserved, sources, ..view } }
}

/// The paths a run with this configuration file has.
pub fn inputs(path: &str) -> Inputs {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let prefix = match folder.strip_suffix("conf") {
        Some(above) if above.ends_with('/') || above.is_empty() => above.to_owned(),
        _ if folder == "/etc/nginx" => "/usr/share/nginx/".to_owned(),
        _ => format!("{folder}/"),
    };
    let layout = Layout::of(Path::new("nginx"));
    let full = |path: &str| crate::conf::walk::full(&prefix, path);
    Inputs {
        conf: path.to_owned(),
        parameters: String::new(),
        error_log: full(&layout.error_log),
        pid: full(&layout.pid),
        access_log: full(&layout.access_log),
        temp: layout.temp,
        allow_unserved: true,
        every: false,
        prefix,
    }
}

/// Every directive, and the context a file begins in.
pub fn registry() -> (Registry, Contexts) {
    (Registry::new(&super::modules::modules()), MAIN)
}

/// Where a directive that nginx 1.23.4 does not have is from, in a sentence's words.
pub fn origin(name: &str) -> Option<String> {
    super::foreign::origin(name)
}

/// Of a directive that is served although no nginx of its own knows it: where it is from.
pub fn borrowed(name: &str) -> Option<String> {
    super::foreign::borrowed(name)
}
