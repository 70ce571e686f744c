//! What other rooms may see of a keepalived configuration: plain data, nothing that runs.

use super::blocks::daemon::INCLUDE_CHECK;
use super::blocks::probe::MARK;
use super::contexts::ROOT;
use super::read::{self, Complaint, Gravity};
use super::slot::Machine;
use crate::conf::directive::Contexts;
use crate::conf::effect::Unserved;
use crate::conf::expand::Environment;
use crate::conf::registry::Registry;
use crate::conf::source::{Loader, Sources};
use crate::conf::tree::Block;

/// A configuration as it was read.
pub struct View {
    /// The statements, with everything put in.
    pub tree: Block,
    /// The texts they stand in.
    pub sources: Sources,
    /// What is known and not served.
    pub unserved: Vec<Unserved>,
    /// What keepalived complains of, in its words, and whether the configuration fails because of it.
    pub complaints: Vec<(String, bool)>,
    /// The complaint because of which keepalived does not start.
    pub refused: Option<String>,
}

/// Reads a configuration for a machine that has every interface and every user it names.
///
/// # Errors
/// The file cannot be read.
pub fn view(loader: &dyn Loader, path: &str, id: &str) -> std::io::Result<View> {
    let environment = Environment {
        id: id.to_owned(),
        instance: id.to_owned(),
        seed: 1,
        checks: Some(INCLUDE_CHECK),
        mark: Some(MARK),
    };
    let machine = Machine { has_interface: &|_| true, has_user: &|_, _| true, read_secret: &|_| None };
    let reading = read::read(loader, path, &environment, &machine)?;
    let fatal = |complaint: &&Complaint| complaint.gravity >= Gravity::Fatal;
    let refused = reading.complaints.iter().find(fatal).map(|complaint| complaint.text.clone());
    let complaints = reading.complaints.into_iter().filter(|complaint| complaint.gravity > Gravity::Notice);
    Ok(View {
        tree: reading.tree,
        sources: reading.sources,
        unserved: reading.places,
        refused,
        complaints: complaints.map(|complaint| (complaint.text, complaint.gravity >= Gravity::Error)).collect(),
    })
}

/// Every keyword, and the context a file begins in.
pub fn registry() -> (Registry, Contexts) {
    (read::registry(), ROOT)
}

/// Whether keepalived has a keyword of this name, anywhere.
pub fn is_keyword(name: &str) -> bool {
    read::registry().named(name.as_bytes()).next().is_some()
}
