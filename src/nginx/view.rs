//! What other rooms may see of an nginx configuration: plain data, nothing that runs.

use super::generation::{self, Inputs, Reading};
use super::layout::Layout;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::Contexts;
use crate::conf::registry::Registry;
use crate::conf::source::{Loader, Sources};
use crate::session::build::Resolve;
use crate::session::contexts::MAIN;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

/// What compiling a configuration came to, short of running it.
pub struct View {
    /// The texts that were read.
    pub sources: Sources,
    /// What is checked and not served.
    pub unserved: Vec<Diagnostic>,
    /// Warnings.
    pub complaints: Vec<Diagnostic>,
    /// What ended the reading, if it did not come to an end by itself.
    pub fatal: Option<Diagnostic>,
}

/// Compiles a configuration as far as that goes without running it; every host name has an address.
pub fn view(loader: &dyn Loader, path: &str) -> View {
    let Reading { sources, mut complaints, late, unserved, outcome, .. } =
        generation::compile(&inputs(path), loader, &Anywhere, &Arc::default());
    complaints.extend(late);
    View { sources, unserved, complaints, fatal: outcome.err().map(|(complaint, _)| complaint) }
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
        allow_unserved: true,
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

/// A resolver that knows every name, so that nothing depends on the names known here.
struct Anywhere;

impl Resolve for Anywhere {
    fn resolve(&self, _: &str) -> Vec<IpAddr> {
        vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))]
    }
}
