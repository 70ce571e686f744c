use super::*;
use crate::migrate::drawing::{Bar, Drawing, Span, Station};
use crate::migrate::report::{Finding, Section, Severity, Table};

fn rendered(report: &Report, format: Format) -> String {
    let lines = |file: &str| (file == "a.conf").then(|| ["listen <80>;", "root /\u{1b}x;"].map(str::to_owned).into());
    render(report, format, &Beside { made: None, lines: &lines })
}

/// Everything a report can hold, with texts that mean something to each of the formats.
fn nasty() -> Report {
    let mut table = Table::new(&["name", "what | it is"]);
    table.row(["a|b", "<script>alert(1)</script>"]);
    table.row(["短", "\u{1b}[31mred\u{202e}"]);
    let finding =
        Finding::new(Severity::Warning, "a-rule", "`code` *stars* & \"quotes\"").at("a.conf:1").at("b.conf:2");
    let mut report = Report::new("A <title>");
    report.section(Section::new("Empty"));
    report.section(
        Section::new("Full")
            .text("word ".repeat(40))
            .list(vec!["one".to_owned(), "two\nlines".to_owned()])
            .table(table)
            .findings(vec![finding.help("do [this]")])
            .verbatim("+added ```\n-removed\n same\n")
            .drawing(Drawing::Path { stations: vec![Station::new("<script>", "\u{1b}[31m")] })
            .drawing(Drawing::Timeline {
                states: vec!["<script>".to_owned(), "\u{202e}".to_owned()],
                bars: vec![Bar {
                    title: "\u{1b} <script>".to_owned(),
                    spans: vec![
                        Span { from: -1.0, until: 0.0, state: 0 },
                        Span { from: 0.0, until: 2.5, state: 1 },
                        Span { from: 2.5, until: 4.0, state: 0 },
                    ],
                }],
            }),
    );
    report.conclude(true, "1 thing was found");
    report
}

#[test]
fn no_format_lets_a_configuration_command_the_reader() {
    let report = nasty();
    for format in [Format::Text, Format::Json, Format::Markdown, Format::Html, Format::Sarif] {
        let text = rendered(&report, format);
        assert!(!text.contains('\u{1b}'), "{format:?}: {text}");
        assert!(matches!(format, Format::Json | Format::Sarif) || !text.contains('\u{202e}'), "{format:?}: {text}");
    }
    for format in [Format::Markdown, Format::Html] {
        assert!(!rendered(&report, format).contains("<script>"), "{format:?}");
    }
}

#[test]
fn json_is_the_report_with_named_cells_and_counts() {
    let value: serde_json::Value = serde_json::from_str(&rendered(&nasty(), Format::Json)).unwrap();
    assert_eq!(value["verdict"]["exit"], 1);
    assert_eq!(value["counts"]["warning"], 1);
    let parts = &value["sections"][0]["parts"];
    assert_eq!(parts[2]["rows"][0]["what | it is"], "<script>alert(1)</script>");
    let place = &parts[3]["findings"][0]["places"][1];
    assert_eq!((&place["file"], &place["line"]), (&"b.conf".into(), &2.into()));
    assert_eq!(value["format"], 1);
}

#[test]
fn text_is_wrapped_and_aligned() {
    let text = rendered(&nasty(), Format::Text);
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(text.contains("  name  what | it is\n  ----  -"), "{text}");
    assert!(text.contains("  短    \\u{1b}[31mred\\u{202e}\n"), "{text}");
    assert!(text.ends_with("\n1 thing was found (1 warning)\n"), "{text}");
}

#[test]
fn markdown_cells_stay_in_their_columns_and_fences_hold() {
    let text = rendered(&nasty(), Format::Markdown);
    assert!(text.contains("| a\\|b | &lt;script&gt;"), "{text}");
    assert!(text.contains("````\n+added ```\n"), "{text}");
}

#[test]
fn a_page_asks_for_nothing_from_anywhere() {
    let text = rendered(&nasty(), Format::Html);
    for word in ["src=", "url(", "@import", "<script", "http://", "https://"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
    assert!(text.matches("href=").count() == text.matches("href=\"#").count(), "{text}");
    assert!(text.contains("<span class=\"ins\">+added"), "{text}");
}

#[test]
fn a_page_shows_the_worst_severity_the_lines_and_the_pictures() {
    let text = rendered(&nasty(), Format::Html);
    for word in ["class=\"verdict warning\"", "listen &lt;80&gt;;", "root /\\u{1b}x;", "<svg", "2.5 s"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let sarif: serde_json::Value = serde_json::from_str(&rendered(&nasty(), Format::Sarif)).unwrap();
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "a-rule");
}
