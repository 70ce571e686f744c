//! tree × registry → findings: every directive of a configuration, and how much of it is served.

use super::dialect::{self, Dialect};
use super::report::{self, Failure, Report, Section, Severity, Table};
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
enum Verdict {
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
struct Finding {
    /// The directive.
    pub name: String,
    /// `file:line`.
    pub place: String,
    /// What was found.
    pub verdict: Verdict,
}

/// What `survey` is asked.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The files; what they include is looked at too.
    #[arg(required = true)]
    files: Vec<String>,
}

/// Looks at the files.
///
/// # Errors
/// A file cannot be read, or is not nginx's.
pub fn run(args: &Args, kind: Option<Dialect>) -> Result<Report, Failure> {
    let mut report = Report::new(format!("Survey of {}", args.files.join(", ")));
    let mut refused = 0;
    for file in &args.files {
        let (dialect, _) = dialect::read(file, kind)?;
        if dialect != Dialect::Nginx {
            return Err(Failure(format!("{file}: files of {} cannot be surveyed", dialect.name())));
        }
        let uses = nginx(file).map_err(|error| Failure::file(file, &error))?;
        let found: Vec<report::Finding> = uses.iter().filter_map(told).collect();
        refused += found.iter().filter(|finding| finding.severity == Severity::Error).count();
        let served = uses.len() - found.len();
        let places = uses.iter().filter_map(|used| used.place.rsplit_once(':').map(|(file, _)| file.to_owned()));
        let files = places.collect::<std::collections::BTreeSet<_>>().into_iter().collect();
        let mut counts = Table::new(&["directive", "uses"]);
        for name in uses.iter().map(|used| used.name.as_str()).collect::<std::collections::BTreeSet<_>>() {
            counts.row([name.to_owned(), uses.iter().filter(|used| used.name == name).count().to_string()]);
        }
        let broken = uses.iter().filter_map(|used| match &used.verdict {
            Verdict::Broken(text) => Some(text.as_str()),
            _ => None,
        });
        report.section(
            Section::new(file)
                .text(format!("{served} are served as nginx serves them."))
                .list(files)
                .findings(found)
                .table(counts)
                .verbatim(broken.collect::<Vec<_>>().join("\n")),
        );
    }
    report.conclude(refused > 0, format!("{refused} not served"));
    Ok(report)
}

fn told(used: &Finding) -> Option<report::Finding> {
    let Finding { name, place, verdict } = used;
    let (severity, rule, text) = match verdict {
        Verdict::Served => return None,
        Verdict::Differs(how) => (Severity::Warning, "differs", format!("{name} differs: {how}")),
        Verdict::Inert(why) => (Severity::Note, "inert", format!("{name} has no effect: {why}")),
        Verdict::NotServed => (Severity::Error, "not-served", format!("{name} is known but not supported yet")),
        Verdict::Unknown => (Severity::Error, "unknown", format!("{name} is unknown here")),
        Verdict::Broken(text) => (Severity::Error, "broken", text.clone()),
    };
    let finding = report::Finding::new(severity, rule, text).at(place);
    let origin = crate::nginx::origin(name).filter(|_| *verdict == Verdict::Unknown);
    Some(match origin {
        Some(origin) => finding.help(origin),
        None => finding,
    })
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
fn nginx(path: &str) -> std::io::Result<Vec<Finding>> {
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
