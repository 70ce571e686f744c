//! tree × registry → findings: every directive of a configuration, and how much of it is served.

use crate::conf::directive::{Contexts, Directive, Opens, Support};
use crate::conf::disk::Disk;
use crate::conf::lex;
use crate::conf::registry::Registry;
use crate::conf::source::{Kind, Loader as _, Sources};
use crate::conf::tree::{Block, Node, Statement};
use crate::conf::walk::full;
use crate::session::contexts::MAIN;

/// How much of a directive is served.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As nginx.
    Served,
    /// With a difference.
    Differs(&'static str),
    /// Accepted, without effect, and why that is harmless.
    Inert(&'static str),
    /// Known, and refused.
    NotServed,
    /// Nobody knows it here.
    Unknown,
    /// The text cannot be read.
    Broken(String),
}

/// One finding.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The directive.
    pub name: String,
    /// `file:line`.
    pub place: String,
    /// What was found.
    pub verdict: Verdict,
}

/// Files inside files, at most.
const DEPTH: usize = 50;

struct Survey {
    registry: Registry,
    sources: Sources,
    base: String,
    findings: Vec<Finding>,
}

/// Looks at a configuration file and all it includes.
///
/// # Errors
/// What the system said of the file itself.
pub fn nginx(path: &str) -> std::io::Result<Vec<Finding>> {
    let base = path.rsplit_once('/').map_or_else(String::new, |(folder, _)| format!("{folder}/"));
    let registry = Registry::new(&crate::nginx::modules::modules());
    let mut survey = Survey { registry, sources: Sources::default(), base, findings: Vec::new() };
    survey.file(path, MAIN, 0)?;
    Ok(survey.findings)
}

impl Survey {
    fn file(&mut self, path: &str, context: Contexts, depth: usize) -> std::io::Result<()> {
        let text = Disk.load(path)?;
        let id = self.sources.add(path, Kind::File, text.clone());
        self.block(&lex::nginx::file(&text, id), context, depth);
        Ok(())
    }

    fn block(&mut self, block: &Block, context: Contexts, depth: usize) {
        for node in &block.nodes {
            match node {
                Node::Statement(statement) => self.statement(statement, context, depth),
                Node::Broken(complaint) => self.findings.push(Finding {
                    name: String::new(),
                    place: String::new(),
                    verdict: Verdict::Broken(crate::conf::print::nginx(complaint, &self.sources)),
                }),
            }
        }
    }

    fn statement(&mut self, statement: &Statement, context: Contexts, depth: usize) {
        let Some(word) = statement.words.first() else { return };
        let found = self.registry.find(&word.bytes, context).map(|(_, row)| row);
        self.note(statement, found);
        match (found, &statement.block) {
            (Some(row), None) if row.set.includes() && depth < DEPTH => self.include(statement, context, depth),
            (Some(row), Some(block)) => {
                if let Some(Opens::Context(inner)) = row.arity.opens() {
                    self.block(block, inner, depth);
                }
            }
            _ => {}
        }
    }

    fn include(&mut self, statement: &Statement, context: Contexts, depth: usize) {
        let pattern = statement.arguments().first().map(|word| word.text().into_owned()).unwrap_or_default();
        let path = full(&self.base, &pattern);
        let names = if path.contains(['*', '?', '[']) { Disk.glob(&path).unwrap_or_default() } else { vec![path] };
        for name in names {
            if let Err(error) = self.file(&name, context, depth + 1) {
                let text = format!("open() \"{name}\" failed ({})", crate::conf::walk::errno(&error));
                self.findings.push(Finding {
                    name: String::new(),
                    place: String::new(),
                    verdict: Verdict::Broken(text),
                });
            }
        }
    }

    fn note(&mut self, statement: &Statement, row: Option<&'static Directive>) {
        let verdict = match row.map(|row| row.support) {
            None => Verdict::Unknown,
            Some(Support::Full) => Verdict::Served,
            Some(Support::Partial(how)) => Verdict::Differs(how),
            Some(Support::Inert(why)) => Verdict::Inert(why),
            Some(Support::Missing) => Verdict::NotServed,
        };
        let file = self.sources.text(statement.span.source).map_or("", |source| source.name.as_str());
        let line = crate::conf::print::line(statement.span, &self.sources);
        self.findings.push(Finding { name: statement.name().into_owned(), place: format!("{file}:{line}"), verdict });
    }
}
