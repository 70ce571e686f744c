//! A report as one HTML page: its style is inside, and it asks for nothing from anywhere.

use super::{Beside, counted, svg, visible};
use crate::migrate::report::{Finding, Part, Report, Section, Severity, Table, place};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:78rem;margin:2rem auto;padding:0 1rem;\
color:#1b1f24;background:#fff}h1{font-size:1.5rem;overflow-wrap:anywhere}.place{overflow-wrap:anywhere}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid #d0d7de}\
table{border-collapse:collapse;display:block;overflow-x:auto}th,td{text-align:left;vertical-align:top;padding:.25rem .7rem;\
border:1px solid #d0d7de;white-space:pre-wrap}th{background:#f6f8fa}pre{background:#f6f8fa;padding:.7rem;overflow-x:auto}\
.made,nav{color:#57606a;font-size:.9em}nav ol{columns:18rem;padding-left:1.4rem}a{color:inherit}\
.verdict{padding:.6rem 1rem;border-radius:.3rem;background:#dafbe1}.verdict.warning,.verdict.found{background:#fff1c9}\
.verdict.error{background:#ffdcd9}.verdict.note{background:#ddf4ff}\
.finding{border-left:.3rem solid #8c959f;padding:.1rem .8rem;margin:.6rem 0}.finding.error{border-color:#cf222e}\
.finding.warning{border-color:#bf8700}.badge{border-radius:.7rem;padding:0 .5rem;color:#fff;background:#57606a;font-size:.85em}\
.error .badge{background:#cf222e}.warning .badge{background:#9a6700}code,.place,.rule,.lines{font-family:ui-monospace,monospace;\
font-size:.88em}.place,.rule{color:#57606a}.lines{margin:.2rem 0;padding:.3rem .7rem}.lines b{display:block;background:#fff1c9}\
.ins{background:#dafbe1}.del{background:#ffebe9}svg{width:100%;max-width:42rem;height:auto;display:block;margin:.8rem 0}\
svg text{font:11px system-ui,sans-serif;fill:currentColor}svg .name{font-size:12px}svg .detail{font-size:10px;opacity:.75}\
svg .second{font-size:9px;fill:#1b1f24}svg path{fill:none;stroke:currentColor}svg .now{stroke-dasharray:2 2}\
.path rect{fill:#f6f8fa;stroke:#8c959f}.state-0{fill:#54aeff}.state-1{fill:#6fdd8b}.state-2{fill:#ff8182}.state-3{fill:#d4a72c}\
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}th,pre{background:#161b22}th,td,h2{border-color:#30363d}\
.verdict,.ins{background:#12361f}.verdict.found,.verdict.warning,.lines b{background:#4b3a06}.verdict.error,.del{background:#4a1a1d}\
.verdict.note{background:#0c2d48}.place,.rule,.made,nav{color:#9aa4af}.path rect{fill:#161b22}}\
@media print{nav{display:none}}";

/// The report as a page.
pub fn render(report: &Report, beside: &Beside<'_>) -> String {
    let counts = counted(report);
    let worst = report.findings().map(|finding| finding.severity).min();
    let class = match (worst, report.verdict.exit) {
        (Some(Severity::Error), _) => "verdict error",
        (Some(Severity::Warning), _) => "verdict warning",
        (_, exit) if exit > 0 => "verdict found",
        (Some(Severity::Note), _) => "verdict note",
        (None, _) => "verdict",
    };
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
                @if let Some(made) = &beside.made { p class="made" { (visible(made)) } }
                @if report.sections.len() > 2 {
                    nav { ol {
                        @for (number, section) in report.sections.iter().enumerate() {
                            li { a href={ "#section-" (number + 1) } { (visible(&section.title)) } }
                        }
                    } }
                }
                @for (number, section) in report.sections.iter().enumerate() { (one(section, number + 1, beside)) }
            }
        }
    };
    format!("{}\n", page.into_string())
}

fn one(section: &Section, number: usize, beside: &Beside<'_>) -> Markup {
    html! {
        section id={ "section-" (number) } {
            h2 { (visible(&section.title)) }
            @for part in &section.parts {
                @match part {
                    Part::Text { text } => { p { (visible(text)) } }
                    Part::List { items } => { ul { @for item in items { li { (visible(item)) } } } }
                    Part::Table(table) => { (columns(table)) }
                    Part::Findings { findings } => { @for finding in findings { (found(finding, beside)) } }
                    Part::Drawing(drawing) => { (svg::draw(drawing)) }
                    Part::Verbatim { text } => { pre { @for line in text.lines() { (verbatim(line)) } } }
                }
            }
        }
    }
}

/// Columns that hold pieces of configurations and of requests.
const CODE: [&str; 13] = [
    "directive",
    "where",
    "file",
    "setting",
    "value",
    "place",
    "location",
    "header",
    "peer",
    "old",
    "new",
    "nginx",
    "rnginx",
];

fn columns(table: &Table) -> Markup {
    let code: Vec<bool> = table.columns.iter().map(|name| CODE.contains(&name.as_str())).collect();
    let cell = |(at, text): (usize, &String)| match code.get(at) {
        Some(true) => html! { td { code { (visible(text)) } } },
        _ => html! { td { (visible(text)) } },
    };
    html! {
        table {
            thead { tr { @for name in &table.columns { th { (visible(name)) } } } }
            tbody { @for row in &table.rows { tr { @for part in row.iter().enumerate() { (cell(part)) } } } }
        }
    }
}

/// Lines shown around the one a finding names.
const AROUND: usize = 1;

/// The line a finding names, and those around it.
fn lines(text: &str, beside: &Beside<'_>) -> Markup {
    let (file, line) = place(text);
    let Some((line, all)) = line.and_then(|line| Some((line as usize, (beside.lines)(file)?))) else { return html! {} };
    let from = line.saturating_sub(1 + AROUND);
    let shown = all.iter().enumerate().skip(from).take(line + AROUND - from);
    html! {
        pre class="lines" {
            @for (at, text) in shown {
                @if at + 1 == line { b { (at + 1) "  " (visible(text)) } } @else { (at + 1) "  " (visible(text)) "\n" }
            }
        }
    }
}

fn found(finding: &Finding, beside: &Beside<'_>) -> Markup {
    html! {
        div class={ "finding " (finding.severity.word()) } {
            p {
                strong class="badge" { (finding.severity.word()) } " " (visible(&finding.text)) " "
                span class="rule" { "[" (visible(&finding.rule)) "]" }
                @if let Some(help) = &finding.help { br; "help: " (visible(help)) }
            }
            @for place in finding.places.iter().take(MOST_PLACES) {
                span class="place" { (visible(place)) }
                (lines(place, beside))
            }
            @if finding.places.len() > MOST_PLACES {
                details {
                    summary { (finding.places.len() - MOST_PLACES) " more" }
                    @for place in finding.places.iter().skip(MOST_PLACES) { span class="place" { (visible(place)) } br; }
                }
            }
        }
    }
}

/// Places of a finding that are shown with their lines.
const MOST_PLACES: usize = 3;

/// A line as it is; the lines of a hunk get their colours.
fn verbatim(line: &str) -> Markup {
    let class = match line.bytes().next() {
        Some(b'+') => "ins",
        Some(b'-') => "del",
        _ => "",
    };
    html! { span class=[(!class.is_empty()).then_some(class)] { (visible(line)) } "\n" }
}
