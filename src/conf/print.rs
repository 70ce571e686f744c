//! Complaints as the operator sees them: nginx's line, keepalived's line, and the long form with a caret.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::diagnostic::{At, Diagnostic};
use super::source::{Kind, Sources, Span};
use std::fmt::Write as _;

/// `message in file:line`, as nginx writes it behind the level.
pub fn nginx(complaint: &Diagnostic, sources: &Sources) -> String {
    match complaint.at {
        At::Nowhere => complaint.message.clone(),
        At::Span(span) => format!("{}{}", complaint.message, place(span, sources)),
    }
}

fn place(span: Span, sources: &Sources) -> String {
    let Some(source) = sources.text(span.source) else { return String::new() };
    match source.kind {
        Kind::File => format!(" in {}:{}", source.name, line(span, sources)),
        Kind::CommandLine => " in command line".to_owned(),
        Kind::Default => String::new(),
    }
}

/// The line nginx counts for a statement: that of its last byte.
pub fn line(span: Span, sources: &Sources) -> u32 {
    sources.position(span.source, span.end.saturating_sub(1).max(span.start.min(span.end))).0
}

/// The complaint with the text it is about and a mark below the word.
pub fn caret(complaint: &Diagnostic, sources: &Sources) -> String {
    let mut out = format!("[{}] {}\n", complaint.severity.word(), nginx(complaint, sources));
    let span = complaint.point.or(match complaint.at {
        At::Span(span) => Some(span),
        At::Nowhere => None,
    });
    if let Some(span) = span
        && let Some(source) = sources.text(span.source)
    {
        let (line, column) = sources.position(span.source, span.start);
        let text = source.text.split(|byte| *byte == b'\n').nth(line as usize - 1).unwrap_or_default();
        let width = (span.end.saturating_sub(span.start) as usize).clamp(1, text.len().max(1));
        let _ = writeln!(out, "{line:>5} | {}", String::from_utf8_lossy(text).trim_end().replace('\t', " "));
        let _ = writeln!(out, "      | {:>1$}{2}", "", column as usize - 1, "^".repeat(width));
    }
    for note in &complaint.notes {
        let _ = writeln!(out, "  note: {note}");
    }
    if let Some(help) = &complaint.help {
        let _ = writeln!(out, "  help: {help}");
    }
    out
}
