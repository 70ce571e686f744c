//! Complaints as data, for programs that read them.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::nginx::line;
use crate::conf::diagnostic::{At, Diagnostic};
use crate::conf::source::{Sources, Span};
use serde_json::{Value, json};

/// One complaint. `line` is the line the original names; `span` is what the long form underlines.
pub fn data(complaint: &Diagnostic, sources: &Sources) -> Value {
    let named = match complaint.at {
        At::Span(span) => sources.text(span.source).map(|source| (source.name.as_str(), line(span, sources))),
        At::Nowhere | At::Unlined => None,
    };
    let labels: Vec<Value> = complaint
        .earlier
        .iter()
        .map(|first| json!({ "message": "first defined here", "span": span(**first, sources) }))
        .collect();
    json!({
        "severity": complaint.severity.word(),
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
pub fn report(program: &str, file: &str, fine: bool, diagnostics: Vec<Value>) -> String {
    let verdict = if fine { "ok" } else { "failed" };
    let whole = json!({ "program": program, "file": file, "verdict": verdict, "diagnostics": diagnostics });
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
