//! nginx's line.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::conf::diagnostic::{At, Diagnostic};
use crate::conf::source::{Kind, Sources, Span};

/// `message in file:line`, as nginx writes it behind the level.
pub fn nginx(complaint: &Diagnostic, sources: &Sources) -> String {
    match complaint.at {
        At::Nowhere | At::Unlined => complaint.message.clone(),
        At::Span(span) => format!("{}{}", complaint.message, place(span, sources)),
    }
}

fn place(span: Span, sources: &Sources) -> String {
    let Some(source) = sources.text(span.source) else { return String::new() };
    match source.kind {
        Kind::File => format!(" in {}:{}", source.name, line(span, sources)),
        Kind::CommandLine => " in command line".to_owned(),
    }
}

/// The line nginx counts for a statement: that of its last byte.
pub fn line(span: Span, sources: &Sources) -> u32 {
    sources.position(span.source, span.end.saturating_sub(1).max(span.start.min(span.end))).0
}
