//! tree × registry → findings: every directive of a configuration, and how much of it is served.

use super::dialect::Dialect;
use super::input::{Given, Gravity, Text};
use super::report::{Failure, Finding, Report, Section, Severity, Table};
use crate::conf::directive::{Contexts, Directive, Opens, Support};
use crate::conf::effect::{Effect, Unserved};
use crate::conf::registry::Registry;
use crate::conf::tree::{Block, Node, Statement};
use clap::ValueEnum;
use std::collections::BTreeMap;

/// What `survey` is asked.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files of nginx or keepalived; what they include is looked at too.
    #[arg(required = true)]
    files: Vec<String>,
    /// The least that makes the exit code 1.
    #[arg(long, value_enum, default_value = "not-served")]
    fail_on: FailOn,
}

/// What makes a survey fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Something that is not served, unknown or unreadable.
    NotServed,
    /// The same, or something that is served with a difference.
    Differs,
}

/// How much of a directive is served.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// The text cannot be read.
    Broken(String),
    /// Nobody knows it, or not there.
    Unknown(String),
    /// Known, and refused, as a whole or in part: what.
    NotServed(String),
    /// With a difference.
    Differs(&'static str),
    /// Without effect, and why that is harmless.
    Inert(String),
    /// As the original.
    Served,
}

impl Verdict {
    const fn word(&self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Differs(_) => "differs",
            Self::Inert(_) => "inert",
            Self::NotServed(_) => "not-served",
            Self::Unknown(_) => "unknown",
            Self::Broken(_) => "broken",
        }
    }
}

/// One directive at its place.
struct Use {
    name: String,
    place: String,
    verdict: Verdict,
    /// What would help.
    help: Option<String>,
    /// Of a directive that nginx itself does not know: where it is from.
    beyond: Option<String>,
}

/// The heads of the columns that count verdicts.
const COUNTED: [&str; 6] = ["served", "differs", "inert", "not-served", "unknown", "broken"];

/// Looks at the files.
///
/// # Errors
/// A file cannot be read, or is neither program's.
pub fn run(args: &Args, given: &Given) -> Result<Report, Failure> {
    let mut report = Report::new(format!("Survey of {}", args.files.join(", ")));
    let mut totals = BTreeMap::new();
    let mut refusing = Vec::new();
    for file in &args.files {
        let text = given.read(file)?;
        let uses = Survey::of(&text);
        uses.iter().for_each(|used| *totals.entry(used.verdict.word()).or_insert(0_usize) += 1);
        sections(&mut report, &text, &uses);
        refusing.extend(text.refusals().next().map(|_| format!("{} refuses {file}", text.dialect.name())));
    }
    let count = |word: &str| totals.get(word).copied().unwrap_or_default();
    let refused = count("not-served") + count("unknown") + count("broken");
    let failed = refused > 0 || !refusing.is_empty() || args.fail_on == FailOn::Differs && count("differs") > 0;
    let all: usize = totals.values().sum();
    let text = format!(
        "{all} directives: {} served, {} served with a difference, {} without effect, {refused} not served",
        count("served"),
        count("differs"),
        count("inert")
    );
    let text = std::iter::once(text).chain(refusing).collect::<Vec<_>>().join("; ");
    report.conclude(failed, text);
    Ok(report)
}

fn sections(report: &mut Report, text: &Text, uses: &[Use]) {
    let program = text.dialect.name();
    let remarks = text.remark().into_iter().chain(findings(uses)).collect();
    report.section(Section::new(format!("{} ({program}): what differs", text.name)).findings(remarks));
    let complaints = text.complaints.iter().map(|complaint| {
        let (severity, rule) = match complaint.gravity {
            Gravity::Refused => (Severity::Error, "refused"),
            Gravity::Here => (Severity::Warning, "refused"),
            Gravity::Warned => (Severity::Note, "warned"),
        };
        let finding = Finding::new(severity, rule, &complaint.text);
        if complaint.place.is_empty() { finding } else { finding.at(&complaint.place) }
    });
    let title = format!("{}: what {program} itself would say", text.name);
    report.section(Section::new(title).findings(complaints.collect()));
    report.section(Section::new(format!("{} ({program}): by place", text.name)).table(by_place(text, uses)));
    report.section(Section::new(format!("{}: by directive", text.name)).table(by_directive(uses)));
}

/// One finding for all uses of which the same is to be said.
fn findings(uses: &[Use]) -> Vec<Finding> {
    let mut found: BTreeMap<(&Verdict, &str), Finding> = BTreeMap::new();
    for used in uses {
        let name = &used.name;
        let (severity, text) = match (&used.verdict, &used.beyond) {
            (Verdict::Served, None) => continue,
            (Verdict::Served, Some(from)) => (Severity::Note, from.clone()),
            (Verdict::Differs(how), _) => (Severity::Warning, format!("{name} differs: {how}")),
            (Verdict::Inert(why), _) => (Severity::Note, format!("{name} has no effect: {why}")),
            (Verdict::NotServed(text) | Verdict::Unknown(text) | Verdict::Broken(text), _) => {
                (Severity::Error, text.clone())
            }
        };
        let entry = found.entry((&used.verdict, name)).or_insert_with(|| Finding {
            help: used.help.clone(),
            ..Finding::new(severity, used.verdict.word(), text)
        });
        if !used.place.is_empty() {
            entry.places.push(used.place.clone());
        }
    }
    found.into_values().collect()
}

fn by_place(text: &Text, uses: &[Use]) -> Table {
    let mut table = Table::new(&[&["file", "directives"][..], &COUNTED].concat());
    let mut names = text.files();
    names.dedup();
    for name in names {
        let here = |used: &&Use| used.place.rsplit_once(':').is_some_and(|(file, _)| file == name);
        let count = |word: &str| uses.iter().filter(here).filter(|used| used.verdict.word() == word).count();
        let counts = COUNTED.map(|word| count(word).to_string());
        table.row([name.clone(), uses.iter().filter(here).count().to_string()].into_iter().chain(counts));
    }
    table
}

fn by_directive(uses: &[Use]) -> Table {
    let mut rows: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for used in uses.iter().filter(|used| !used.name.is_empty()) {
        rows.entry((&used.name, used.verdict.word())).or_default().push(&used.place);
    }
    let mut table = Table::new(&["directive", "verdict", "uses", "where"]);
    for ((name, verdict), places) in rows {
        table.row([name.to_owned(), verdict.to_owned(), places.len().to_string(), folded(&places)]);
    }
    table
}

/// `a:1, 2, 5; b:3` for places that stand in files one after the other.
fn folded(places: &[&str]) -> String {
    let mut out = String::new();
    let mut last = "";
    for place in places {
        let (file, line) = place.rsplit_once(':').unwrap_or((place, ""));
        if file == last {
            out.push_str(&format!(", {line}"));
        } else {
            let between = if out.is_empty() { "" } else { "; " };
            out.push_str(&format!("{between}{place}"));
            last = file;
        }
    }
    out
}

/// A look at one text.
struct Survey<'a> {
    text: &'a Text,
    registry: Registry,
    uses: Vec<Use>,
}

impl<'a> Survey<'a> {
    fn of(text: &'a Text) -> Vec<Use> {
        let (registry, context) = text.registry();
        let mut survey = Self { text, registry, uses: Vec::new() };
        survey.block(&text.tree, context);
        survey.parts();
        survey.uses
    }

    fn block(&mut self, block: &Block, context: Contexts) {
        for node in &block.nodes {
            match node {
                Node::Statement(statement) => self.statement(statement, context),
                Node::Broken(complaint) => {
                    let place = node.place().map(|span| self.text.place(span)).unwrap_or_default();
                    let verdict = Verdict::Broken(complaint.message.clone());
                    self.uses.push(Use { name: String::new(), place, verdict, help: None, beyond: None });
                }
            }
        }
    }

    fn statement(&mut self, statement: &Statement, context: Contexts) {
        let Some(word) = statement.words.first() else { return };
        let row = self.registry.find(&word.bytes, context);
        let name = word.text().into_owned();
        let (verdict, help) = match row {
            Some(row) => (of_row(row), None),
            None => self.unknown(&name, context),
        };
        if self.text.is_own(statement) {
            let beyond = crate::nginx::view::borrowed(&name).filter(|_| self.text.dialect == Dialect::Nginx);
            self.uses.push(Use { name, place: self.text.place(statement.span), verdict, help, beyond });
        }
        if let (Some(Opens::Context(inner)), Some(block)) = (row.and_then(|row| row.arity.opens()), &statement.block) {
            self.block(block, inner);
        }
    }

    fn unknown(&self, name: &str, context: Contexts) -> (Verdict, Option<String>) {
        if self.registry.named(name.as_bytes()).next().is_some() {
            return (Verdict::Unknown(format!("\"{name}\" does not belong in this block")), None);
        }
        let origin = crate::nginx::view::origin(name).filter(|_| self.text.dialect == Dialect::Nginx);
        let near = || self.registry.nearest(name, context).map(|near| format!("did you mean \"{near}\"?"));
        (
            Verdict::Unknown(format!("\"{name}\" is not a directive of {}", self.text.dialect.name())),
            origin.or_else(near),
        )
    }

    /// What the product itself judges: parts of served rows, wholes it is asked to be, and rows without effect here.
    fn parts(&mut self) {
        for (place, one) in &self.text.unserved {
            let what =
                ["directive ", "keyword "].iter().find_map(|kind| one.what.strip_prefix(kind)).unwrap_or(&one.what);
            let quoted = |used: &Use| !used.name.is_empty() && what.contains(&format!("\"{}\"", used.name));
            let here = |used: &&mut Use| {
                used.place == *place && !matches!(used.verdict, Verdict::Unknown(_) | Verdict::Broken(_))
            };
            let mut found: Vec<&mut Use> = self.uses.iter_mut().filter(here).collect();
            let open = |used: &Use| quoted(used) && (one.refuses() || matches!(used.verdict, Verdict::NotServed(_)));
            let at = found.iter().position(|used| open(used));
            let at = at.or_else(|| found.iter().position(|used| quoted(used))).unwrap_or_default();
            match found.get_mut(at) {
                Some(used) => used.verdict.judge(what, one),
                None if one.refuses() => self.uses.push(Use {
                    name: String::new(),
                    place: place.clone(),
                    verdict: Verdict::NotServed(format!("{what}{WHOLE}")),
                    help: None,
                    beyond: None,
                }),
                None => {}
            }
        }
    }
}

impl Verdict {
    /// Takes over what leaving out an occurrence comes to.
    fn judge(&mut self, what: &str, one: &Unserved) {
        match (&one.effect, &mut *self) {
            (Effect::Nothing(why), _) => *self = Self::Inert(why.clone()),
            (Effect::Refused(_), Self::NotServed(text)) => {
                let what = format!("{what}{WHOLE}");
                if !text.split("; ").any(|known| known.starts_with(&what)) {
                    text.push_str(&format!("; {what}"));
                }
            }
            (Effect::Refused(_), _) => *self = Self::NotServed(format!("{what}{WHOLE}")),
        }
    }
}

const WHOLE: &str = " is not served";

fn of_row(row: &'static Directive) -> Verdict {
    match row.support {
        Support::Full | Support::Parts(_) => Verdict::Served,
        Support::Partial(how) => Verdict::Differs(how),
        Support::Inert(why) => Verdict::Inert(why.to_owned()),
        Support::Missing => Verdict::NotServed(format!("\"{}\"{WHOLE}", row.name)),
        Support::Refused(why) => Verdict::NotServed(format!("\"{}\"{WHOLE}, and never will be: {why}", row.name)),
    }
}
