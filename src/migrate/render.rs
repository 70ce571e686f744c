//! A report as text for a terminal, JSON and SARIF for programs, markdown for tickets, or one HTML page for a browser.

mod html;
mod json;
mod markdown;
mod svg;
mod text;

use super::report::Report;
use clap::ValueEnum;
use std::rc::Rc;

/// How a report is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned for a terminal.
    Text,
    /// For programs.
    Json,
    /// For tickets and wikis.
    Markdown,
    /// One page that needs nothing beside it.
    Html,
    /// The findings in the form that forges and editors read (SARIF 2.1.0).
    Sarif,
}

/// What a page shows beside the report.
pub struct Beside<'a> {
    /// Who made it where and when; nothing where it is to be the same every time.
    pub made: Option<String>,
    /// The lines of a file that a finding names.
    pub lines: &'a dyn Fn(&str) -> Option<Rc<[String]>>,
}

/// The report written down.
pub fn render(report: &Report, format: Format, beside: &Beside<'_>) -> String {
    let text = match format {
        Format::Text => text::render(report),
        Format::Json => json::render(report),
        Format::Markdown => markdown::render(report),
        Format::Html => html::render(report, beside),
        Format::Sarif => json::findings(report),
    };
    crate::conf::bytes::shown(&text).into_owned()
}

/// How many findings there are, in words; nothing when there are none.
fn counted(report: &Report) -> String {
    let each = report.counts().into_iter().map(|(severity, count)| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {}{plural}", severity.word())
    });
    each.collect::<Vec<_>>().join(", ")
}

/// A text with control characters made visible: a configuration must not command the reader's terminal.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push(c),
            c if c.is_control() => out.extend(c.escape_default()),
            // Marks that reorder what stands around them.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.extend(c.escape_default())
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
