//! What every subcommand returns: one document of sections, tables and findings, with a verdict that is the exit code.

use super::drawing::Drawing;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// A whole answer.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What this is, in a line.
    pub title: String,
    /// What the exit code says, in words.
    pub verdict: Verdict,
    /// The body, in reading order.
    pub sections: Vec<Section>,
}

/// The end of a run in words and as exit code.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// What an operator should take away.
    pub text: String,
    /// The program's exit code: 0 nothing to say, 1 something was found.
    pub exit: u8,
}

/// A part of a report under its own heading.
#[derive(Clone, Debug, Serialize)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// What stands under it, in reading order.
    pub parts: Vec<Part>,
}

/// One thing under a heading.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Part {
    /// A paragraph.
    Text {
        /// The sentences.
        text: String,
    },
    /// Short items, in order.
    List {
        /// One line each.
        items: Vec<String>,
    },
    /// Rows under named columns.
    Table(Table),
    /// What was found.
    Findings {
        /// In the order they are to be read.
        findings: Vec<Finding>,
    },
    /// A picture of what is told beside it.
    Drawing(Drawing),
    /// Lines shown as they are: a hunk, a piece of configuration.
    Verbatim {
        /// The lines.
        text: String,
    },
}

/// Rows under named columns.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Table {
    /// The heads; a JSON row has them as keys.
    pub columns: Vec<String>,
    /// The cells, as many in a row as there are columns.
    #[serde(skip)]
    pub rows: Vec<Vec<String>>,
    /// The rows with their names, for programs.
    #[serde(rename = "rows")]
    named: Vec<BTreeMap<String, String>>,
}

impl Table {
    /// An empty table.
    pub fn new(columns: &[&str]) -> Self {
        Self { columns: columns.iter().map(|name| (*name).to_owned()).collect(), ..Self::default() }
    }

    /// Adds a row; cells that are missing stay empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.resize(self.columns.len(), String::new());
        self.named.push(self.columns.iter().cloned().zip(cells.iter().cloned()).collect());
        self.rows.push(cells);
    }
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It will not work, or not as written.
    Error,
    /// It will work otherwise than the author most likely thinks.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The word a reader sees.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// A name that stays the same from version to version, for programs and exceptions.
    pub rule: String,
    /// Where: `file:line`, the most telling place first.
    #[serde(serialize_with = "as_fields")]
    pub places: Vec<String>,
    /// What is so.
    pub text: String,
    /// What would help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// A place in fields.
#[derive(Serialize)]
struct Place<'a> {
    file: &'a str,
    line: Option<u64>,
}

/// A place's file, and its line where it has one.
pub fn place(text: &str) -> (&str, Option<u64>) {
    let parts = text.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?)));
    parts.map_or((text, None), |(file, line)| (file, Some(line)))
}

fn as_fields<S: Serializer>(places: &[String], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(places.iter().map(|text| {
        let (file, line) = place(text);
        Place { file, line }
    }))
}

impl Finding {
    /// A finding without a place and without help.
    pub fn new(severity: Severity, rule: impl Into<String>, text: impl Into<String>) -> Self {
        Self { severity, rule: rule.into(), places: Vec::new(), text: text.into(), help: None }
    }

    /// The same finding with one place more.
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.places.push(place.into());
        self
    }

    /// The same finding with a hint.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
}

/// What ended a subcommand before it had an answer: exit code 2, the words go to the standard error output.
#[derive(Debug)]
pub struct Failure(pub String);

impl Failure {
    /// A file that cannot be read.
    pub fn file(path: &str, error: &std::io::Error) -> Self {
        Self(format!("open() \"{path}\" failed ({})", crate::conf::walk::errno(error)))
    }
}

impl Report {
    /// An empty report that has nothing to say yet.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), verdict: Verdict { text: String::new(), exit: 0 }, sections: Vec::new() }
    }

    /// Says how it ended: exit code 1 when something was `found`.
    pub fn conclude(&mut self, found: bool, text: impl Into<String>) {
        self.verdict = Verdict { text: text.into(), exit: u8::from(found) };
    }

    /// Adds a section, if there is something in it.
    pub fn section(&mut self, section: Section) {
        if !section.parts.is_empty() {
            self.sections.push(section);
        }
    }

    /// All findings, in reading order.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.sections.iter().flat_map(|section| &section.parts).flat_map(|part| match part {
            Part::Findings { findings } => findings.as_slice(),
            _ => &[],
        })
    }

    /// How many findings there are of each severity, over all sections.
    pub fn counts(&self) -> BTreeMap<Severity, usize> {
        let mut counts = BTreeMap::new();
        self.findings().for_each(|finding| *counts.entry(finding.severity).or_default() += 1);
        counts
    }
}

impl Section {
    /// An empty section.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), parts: Vec::new() }
    }

    /// The same section with a paragraph more.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.parts.push(Part::Text { text: text.into() });
        self
    }

    /// The same section with a list more, if it has items.
    pub fn list(mut self, items: Vec<String>) -> Self {
        if !items.is_empty() {
            self.parts.push(Part::List { items });
        }
        self
    }

    /// The same section with a table more, if it has rows.
    pub fn table(mut self, table: Table) -> Self {
        if !table.rows.is_empty() {
            self.parts.push(Part::Table(table));
        }
        self
    }

    /// The same section with findings more, if there are any.
    pub fn findings(mut self, findings: Vec<Finding>) -> Self {
        if !findings.is_empty() {
            self.parts.push(Part::Findings { findings });
        }
        self
    }

    /// The same section with a picture more.
    pub fn drawing(mut self, drawing: Drawing) -> Self {
        self.parts.push(Part::Drawing(drawing));
        self
    }

    /// The same section with lines as they are, if there are any.
    pub fn verbatim(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        if !text.is_empty() {
            self.parts.push(Part::Verbatim { text });
        }
        self
    }
}
