//! A report for a terminal: headings, aligned columns, wrapped paragraphs.

use super::{counted, visible};
use crate::migrate::report::{Finding, Part, Report, Section, Table};

/// Columns a paragraph may take.
const WIDTH: usize = 100;

/// The report as text.
pub fn render(report: &Report) -> String {
    let mut out = format!("{}\n{}\n", visible(&report.title), "=".repeat(width(&report.title)));
    report.sections.iter().for_each(|section| one(&mut out, section));
    let counts = counted(report);
    let counts = if counts.is_empty() { counts } else { format!(" ({counts})") };
    out.push_str(&format!("\n{}{counts}\n", visible(&report.verdict.text)));
    out
}

fn one(out: &mut String, section: &Section) {
    out.push_str(&format!("\n{}\n{}\n", visible(&section.title), "-".repeat(width(&section.title))));
    for part in &section.parts {
        match part {
            Part::Text { text } => out.push_str(&wrapped(text, "", "")),
            Part::List { items } => items.iter().for_each(|item| out.push_str(&wrapped(item, "  - ", "    "))),
            Part::Table(table) => out.push_str(&aligned(table)),
            Part::Findings { findings } => findings.iter().for_each(|finding| out.push_str(&found(finding))),
            Part::Drawing(_) => {}
            Part::Verbatim { text } => {
                text.lines().for_each(|line| out.push_str(&format!("    {}\n", visible(line))));
            }
        }
    }
}

fn found(finding: &Finding) -> String {
    let place = finding.places.first().map_or_else(String::new, |place| format!("{place}: "));
    let head = format!("{place}{}: {} [{}]", finding.severity.word(), finding.text, finding.rule);
    let mut out = wrapped(&head, "", "    ");
    if let Some(others) = finding.places.get(1..).filter(|others| !others.is_empty()) {
        out.push_str(&wrapped(&format!("also {}", others.join(", ")), "    ", "         "));
    }
    if let Some(help) = &finding.help {
        out.push_str(&wrapped(&format!("help: {help}"), "    ", "    "));
    }
    out
}

/// Columns padded to their widest cell; the last one is left ragged.
fn aligned(table: &Table) -> String {
    let heads = std::iter::once(&table.columns);
    let lines: Vec<Vec<String>> = heads
        .chain(&table.rows)
        .map(|row| row.iter().map(|cell| visible(cell).replace('\n', "; ")).collect())
        .collect();
    let widths: Vec<usize> = (0..table.columns.len())
        .map(|column| lines.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or_default())
        .collect();
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let mut out = String::new();
    for row in lines.iter().take(1).chain([&rule]).chain(lines.iter().skip(1)) {
        let mut line = String::from(" ");
        for (cell, wide) in row.iter().zip(&widths) {
            line.push_str(&format!(" {cell}{} ", " ".repeat(wide.saturating_sub(width(cell)))));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// A paragraph in lines of at most `WIDTH` columns.
fn wrapped(text: &str, first: &str, rest: &str) -> String {
    let mut out = String::new();
    let mut line = first.to_owned();
    let mut bare = true;
    let shown = visible(text);
    for word in shown.split_whitespace() {
        if !bare && width(&line) + 1 + width(word) > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line = rest.to_owned();
            bare = true;
        }
        if !bare {
            line.push(' ');
        }
        line.push_str(word);
        bare = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
    out
}

fn width(text: &str) -> usize {
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

/// Whether a terminal gives a character two columns: the scripts of East Asia, where configurations have comments too.
const fn wide(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}')
}
