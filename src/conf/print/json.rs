//! Complaints as data, for programs that read them.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::nginx::line;
use super::sarif;
use crate::conf::diagnostic::{At, Diagnostic};
use crate::conf::source::{Sources, Span};
use serde_json::{Value, json};

/// The version of the form; a field that is added does not change it.
const FORMAT: u32 = 1;

/// How complaints are written down for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The form of this project, which tells everything.
    Json,
    /// The form that forges and editors read.
    Sarif,
}

impl Format {
    /// One complaint.
    pub fn one(self, complaint: &Diagnostic, sources: &Sources) -> Value {
        match self {
            Self::Json => data(complaint, sources),
            Self::Sarif => sarif::complaint(complaint, sources),
        }
    }

    /// The whole answer of a test, ending in a line end.
    pub fn whole(self, program: &str, file: &str, fine: bool, each: &[Value]) -> String {
        match self {
            Self::Json => report(program, file, fine, each),
            Self::Sarif => sarif::log(program, each),
        }
    }
}

/// One complaint. `line` is the line the original names; `span` is what the long form underlines.
fn data(complaint: &Diagnostic, sources: &Sources) -> Value {
    let named = match complaint.at {
        At::Span(span) => sources.text(span.source).map(|source| (source.name.as_str(), line(span, sources))),
        At::Nowhere | At::Unlined => None,
    };
    let labels: Vec<Value> = complaint
        .beside
        .iter()
        .map(|one| json!({ "message": one.mark.label(), "span": span(one.span, sources) }))
        .collect();
    json!({
        "severity": complaint.severity.word(),
        "code": complaint.code(),
        "message": complaint.message,
        "file": named.map(|(file, _)| file),
        "line": named.map(|(_, line)| line),
        "span": complaint.place().map(|place| span(place, sources)),
        "labels": labels,
        "notes": complaint.notes,
        "help": complaint.help,
    })
}

/// The whole answer of a test, ending in a line end.
fn report(program: &str, file: &str, fine: bool, diagnostics: &[Value]) -> String {
    let verdict = if fine { "ok" } else { "failed" };
    let whole = json!({
        "format": FORMAT,
        "program": program,
        "version": env!("CARGO_PKG_VERSION"),
        "file": file,
        "verdict": verdict,
        "diagnostics": diagnostics,
    });
    crate::conf::bytes::shown(&format!("{whole:#}\n")).into_owned()
}

/// Lines and columns from 1, columns in bytes; the end is the place behind the last byte.
fn span(span: Span, sources: &Sources) -> Value {
    let (line, column) = sources.position(span.source, span.start);
    let (end_line, end_column) = sources.position(span.source, span.end);
    json!({
        "file": sources.text(span.source).map(|source| source.name.as_str()),
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
    })
}
