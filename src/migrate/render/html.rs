//! A report as one HTML page: its style is inside, and it asks for nothing from anywhere.

use super::{counted, visible};
use crate::migrate::report::{Finding, Part, Report, Section, Table};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:78rem;margin:2rem auto;padding:0 1rem;\
color:#1b1f24;background:#fff}h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid #d0d7de}\
table{border-collapse:collapse;display:block;overflow-x:auto}th,td{text-align:left;vertical-align:top;padding:.25rem .7rem;\
border:1px solid #d0d7de;white-space:pre-wrap}th{background:#f6f8fa}pre{background:#f6f8fa;padding:.7rem;overflow-x:auto}\
.verdict{padding:.6rem 1rem;border-radius:.3rem;background:#dafbe1}.verdict.found{background:#fff1c9}\
.finding{border-left:.3rem solid #8c959f;padding:.1rem .8rem;margin:.6rem 0}.error{border-color:#cf222e}\
.warning{border-color:#bf8700}.place,.rule{font-family:ui-monospace,monospace;font-size:.88em;color:#57606a}\
.ins{background:#dafbe1}.del{background:#ffebe9}\
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}th,pre{background:#161b22}th,td,h2{border-color:#30363d}\
.verdict,.ins{background:#12361f}.verdict.found{background:#4b3a06}.del{background:#4a1a1d}.place,.rule{color:#9aa4af}}";

/// The report as a page.
pub fn render(report: &Report) -> String {
    let counts = counted(report);
    let class = if report.verdict.exit == 0 { "verdict" } else { "verdict found" };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (visible(&report.title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (visible(&report.title)) }
                p class=(class) {
                    (visible(&report.verdict.text))
                    @if !counts.is_empty() { " (" (counts) ")" }
                }
                @for section in &report.sections { (one(section)) }
            }
        }
    };
    format!("{}\n", page.into_string())
}

fn one(section: &Section) -> Markup {
    html! {
        section {
            h2 { (visible(&section.title)) }
            @for part in &section.parts {
                @match part {
                    Part::Text { text } => { p { (visible(text)) } }
                    Part::List { items } => { ul { @for item in items { li { (visible(item)) } } } }
                    Part::Table(table) => { (columns(table)) }
                    Part::Findings { findings } => { @for finding in findings { (found(finding)) } }
                    Part::Verbatim { text } => { pre { @for line in text.lines() { (verbatim(line)) } } }
                }
            }
        }
    }
}

fn columns(table: &Table) -> Markup {
    html! {
        table {
            thead { tr { @for name in &table.columns { th { (visible(name)) } } } }
            tbody { @for row in &table.rows { tr { @for cell in row { td { (visible(cell)) } } } } }
        }
    }
}

fn found(finding: &Finding) -> Markup {
    html! {
        div class={ "finding " (finding.severity.word()) } {
            p {
                strong { (finding.severity.word()) } " " (visible(&finding.text)) " "
                span class="rule" { "[" (visible(&finding.rule)) "]" }
                @for place in &finding.places { br; span class="place" { (visible(place)) } }
                @if let Some(help) = &finding.help { br; "help: " (visible(help)) }
            }
        }
    }
}

/// A line as it is; the lines of a hunk get their colours.
fn verbatim(line: &str) -> Markup {
    let class = match line.bytes().next() {
        Some(b'+') => "ins",
        Some(b'-') => "del",
        _ => "",
    };
    html! { span class=[(!class.is_empty()).then_some(class)] { (visible(line)) } "\n" }
}
