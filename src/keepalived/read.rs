//! From a configuration file to a checked site, with everything there is to complain about.

use super::blocks::MODULES;
use super::blocks::{file::File, global::Global, group::Group, instance::Instance, root::Root, script::Script};
use super::contexts::{FILE, GLOBAL, GROUP, INSTANCE, ROOT, SCRIPT};
use super::site::{self, Blocks, Site};
use crate::conf::diagnostic::{At, Diagnostic, Severity};
use crate::conf::directive::Contexts;
use crate::conf::expand::{self, Environment};
use crate::conf::lex;
use crate::conf::registry::Registry;
use crate::conf::source::{Loader, Sources};
use crate::conf::walk::{Bases, Dialect, Level, Walk, Wording};
use std::any::Any;
use std::io;

/// What a configuration file came to.
pub struct Reading {
    /// What it says, as far as it could be understood.
    pub site: Site,
    /// Everything that is wrong, as the lines to print.
    pub complaints: Vec<Complaint>,
}

/// One line about a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// How bad it is.
    pub kind: Kind,
    /// The line.
    pub text: String,
}

/// How bad a complaint is, by what the exit code will say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// What would help.
    Help,
    /// Worth a line at a run, and nothing else.
    Notice,
    /// Wrong: a configuration test fails because of it.
    Error,
    /// Known and not served: neither a test nor a run goes on.
    Unserved,
    /// The configuration cannot be run.
    Fatal,
    /// A keyword lacks its argument.
    Missing,
}

impl Reading {
    /// The worst that was found.
    pub fn worst(&self) -> Option<Kind> {
        self.complaints.iter().map(|complaint| complaint.kind).max()
    }
}

/// keepalived's words.
struct Words;

impl Wording for Words {
    fn unknown(&self, name: &str) -> String {
        format!("Unknown keyword '{name}'")
    }

    fn not_allowed(&self, name: &str) -> String {
        format!("Unknown keyword '{name}'")
    }

    fn unterminated(&self, name: &str) -> String {
        format!("Unexpected '{{' after '{name}' - ignoring")
    }

    fn no_block(&self, name: &str) -> String {
        format!("Missing '{{' after '{name}'")
    }

    fn arity(&self, name: &str) -> String {
        format!("{LACKS}{name}` is missing a parameter after keyword `{name}` at word position 2")
    }

    fn unserved(&self, what: &str) -> String {
        format!("keyword {what}{UNSERVED}")
    }
}

const LACKS: &str = "*** Configuration line starting `";
const UNSERVED: &str = " is known but not supported yet";

/// Every keyword.
pub fn registry() -> Registry {
    Registry::new(MODULES)
}

/// Reads `path`.
///
/// # Errors
/// The file could not be read.
pub fn read(
    loader: &dyn Loader,
    path: &str,
    environment: &Environment,
    has_interface: &dyn Fn(&str) -> bool,
) -> io::Result<Reading> {
    let mut sources = Sources::default();
    let expanded = expand::read((loader, &mut sources), path, environment)?;
    let registry = registry();
    let dialect = Dialect { lex: |_, _| crate::conf::tree::Block::default(), stop: false, wording: &Words };
    let mut walk = Walk::new(&registry, dialect, (loader, &mut sources), Bases::default(), ROOT);
    let outcome = walk.tree(&lex::keepalived::tree(&expanded.lines));
    let walked = walk.finish(outcome.err());
    let (site, finishing) = site::complete(blocks(&walked.level), has_interface);
    let found =
        walked.complaints.into_iter().chain(walked.unserved).chain(walked.fatal).map(|complaint| (false, complaint));
    let complaints = expanded
        .complaints
        .into_iter()
        .map(|complaint| (false, complaint))
        .chain(found)
        .chain(finishing.into_iter().map(|complaint| (true, complaint)))
        .flat_map(|(finishing, complaint)| lines(&sources, finishing, &complaint))
        .collect();
    Ok(Reading { site, complaints })
}

fn lines(sources: &Sources, finishing: bool, complaint: &Diagnostic) -> Vec<Complaint> {
    let kind = match complaint.severity {
        Severity::Notice | Severity::Warn => Kind::Notice,
        _ if complaint.message.starts_with(LACKS) => Kind::Missing,
        _ if complaint.message.ends_with(UNSERVED) => Kind::Unserved,
        Severity::Emerg if finishing => Kind::Fatal,
        Severity::Emerg | Severity::Crit | Severity::Alert | Severity::Error => Kind::Error,
    };
    let place = match complaint.at {
        At::Nowhere | At::Unlined => String::new(),
        At::Span(span) => {
            let name = sources.text(span.source).map(|source| source.name.clone()).unwrap_or_default();
            format!("({name}: Line {}) ", sources.position(span.source, span.start).0)
        }
    };
    let mut lines = vec![Complaint { kind, text: format!("{place}{}", without_secrets(&complaint.message)) }];
    // A near miss is our own addition; the line before it stays keepalived's.
    lines.extend(complaint.help.iter().map(|help| Complaint { kind: Kind::Help, text: format!("{place}{help}") }));
    lines
}

/// A complaint that quotes a whole line must not quote a password.
fn without_secrets(message: &str) -> String {
    const KEYWORD: &str = "auth_pass";
    match message.find(KEYWORD) {
        Some(at) if message.contains("quote") => {
            format!("{}{KEYWORD} …'", message.get(..at).unwrap_or_default())
        }
        _ => message.to_owned(),
    }
}

fn blocks(level: &Level) -> Blocks {
    Blocks {
        root: level.own::<Root>().cloned().unwrap_or_default(),
        global: each::<Global>(level, GLOBAL).pop().unwrap_or_default(),
        scripts: each::<Script>(level, SCRIPT),
        files: each::<File>(level, FILE),
        instances: each::<Instance>(level, INSTANCE),
        groups: each::<Group>(level, GROUP),
    }
}

fn each<C: Any + Clone>(level: &Level, context: Contexts) -> Vec<C> {
    let of = level.children.iter().filter(|child| child.context == context);
    of.filter_map(|child| child.own::<C>().cloned()).collect()
}

#[cfg(test)]
mod tests;
