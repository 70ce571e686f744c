//! A report for programs: its own shape, with the counts.

use crate::migrate::report::{Report, Severity};
use serde::Serialize;
use std::collections::BTreeMap;

/// A report and what can be counted in it.
#[derive(Serialize)]
struct Counted<'a> {
    #[serde(flatten)]
    report: &'a Report,
    counts: BTreeMap<Severity, usize>,
}

/// The report as JSON.
pub fn render(report: &Report) -> String {
    let counted = Counted { report, counts: report.counts() };
    // A report holds strings and numbers only: writing it down cannot fail.
    let text = serde_json::to_string_pretty(&counted).unwrap_or_default();
    format!("{text}\n")
}
