//! A report for programs: its own shape, with the counts; its findings as SARIF.

use crate::conf::print::sarif::{self, Level};
use crate::migrate::report::{Report, Severity, place};
use serde::Serialize;
use std::collections::BTreeMap;

/// The version of the form; a field that is added does not change it.
const FORMAT: u32 = 1;

/// A report and what can be counted in it.
#[derive(Serialize)]
struct Counted<'a> {
    format: u32,
    program: &'static str,
    version: &'static str,
    #[serde(flatten)]
    report: &'a Report,
    counts: BTreeMap<Severity, usize>,
}

/// The report as JSON.
pub fn render(report: &Report) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let counted = Counted { format: FORMAT, program: "rmigrate", version, report, counts: report.counts() };
    // A report holds strings and numbers only: writing it down cannot fail.
    let text = serde_json::to_string_pretty(&counted).unwrap_or_default();
    format!("{text}\n")
}

/// The findings of the report as SARIF.
pub fn findings(report: &Report) -> String {
    let results = report.findings().map(|finding| {
        let level = match finding.severity {
            Severity::Error => Level::Error,
            Severity::Warning => Level::Warning,
            Severity::Note => Level::Note,
        };
        let text = std::iter::once(finding.text.as_str()).chain(finding.help.as_deref()).collect::<Vec<_>>().join("\n");
        let places: Vec<_> = finding.places.iter().map(|text| place(text)).collect();
        sarif::finding(&finding.rule, level, &text, &places)
    });
    sarif::log("rmigrate", &results.collect::<Vec<_>>())
}
