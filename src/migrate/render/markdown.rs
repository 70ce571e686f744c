//! A report for tickets and wikis: markdown with tables.

use super::{counted, visible};
use crate::migrate::report::{Finding, Part, Report, Section, Table};

/// The report as markdown.
pub fn render(report: &Report) -> String {
    let mut out = format!("# {}\n\n**{}**", plain(&report.title), plain(&report.verdict.text));
    let counts = counted(report);
    if !counts.is_empty() {
        out.push_str(&format!(" ({counts})"));
    }
    out.push('\n');
    report.sections.iter().for_each(|section| one(&mut out, section));
    out
}

fn one(out: &mut String, section: &Section) {
    out.push_str(&format!("\n## {}\n", plain(&section.title)));
    for part in &section.parts {
        if !matches!(part, Part::Drawing(_)) {
            out.push('\n');
        }
        match part {
            Part::Text { text } => out.push_str(&format!("{}\n", plain(text))),
            Part::List { items } => items.iter().for_each(|item| out.push_str(&format!("- {}\n", plain(item)))),
            Part::Table(table) => columns(out, table),
            Part::Findings { findings } => findings.iter().for_each(|finding| found(out, finding)),
            Part::Drawing(_) => {}
            Part::Verbatim { text } => {
                let fence = "`".repeat(longest_run(text).max(2) + 1);
                out.push_str(&format!("{fence}\n{}\n{fence}\n", visible(text.trim_end_matches('\n'))));
            }
        }
    }
}

fn columns(out: &mut String, table: &Table) {
    let line =
        |cells: &[String]| format!("| {} |\n", cells.iter().map(|cell| plain(cell)).collect::<Vec<_>>().join(" | "));
    out.push_str(&line(&table.columns));
    out.push_str(&format!("|{}\n", " --- |".repeat(table.columns.len())));
    table.rows.iter().for_each(|row| out.push_str(&line(row)));
}

fn found(out: &mut String, finding: &Finding) {
    let places: Vec<String> = finding.places.iter().map(|place| plain(place)).collect();
    let places = if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) };
    let word = finding.severity.word();
    out.push_str(&format!("- **{word}** {}: {}{places}\n", plain(&finding.rule), plain(&finding.text)));
    if let Some(help) = &finding.help {
        out.push_str(&format!("  - help: {}\n", plain(help)));
    }
}

/// A text that stays what it is in markdown, also in a table's cell.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '\n' => out.push_str("<br>"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}
