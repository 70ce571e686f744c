use super::*;
use crate::migrate::report::{Finding, Section, Severity, Table};

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
            .verbatim("+added ```\n-removed\n same\n"),
    );
    report.conclude(true, "1 thing was found");
    report
}

#[test]
fn no_format_lets_a_configuration_command_the_reader() {
    let report = nasty();
    for format in [Format::Text, Format::Json, Format::Markdown, Format::Html] {
        let text = render(&report, format);
        assert!(!text.contains('\u{1b}'), "{format:?}: {text}");
        assert!(format == Format::Json || !text.contains('\u{202e}'), "{format:?}: {text}");
    }
    for format in [Format::Markdown, Format::Html] {
        assert!(!render(&report, format).contains("<script>"), "{format:?}");
    }
}

#[test]
fn json_is_the_report_with_named_cells_and_counts() {
    let value: serde_json::Value = serde_json::from_str(&render(&nasty(), Format::Json)).unwrap();
    assert_eq!(value["verdict"]["exit"], 1);
    assert_eq!(value["counts"]["warning"], 1);
    let parts = &value["sections"][0]["parts"];
    assert_eq!(parts[2]["rows"][0]["what | it is"], "<script>alert(1)</script>");
    assert_eq!(parts[3]["findings"][0]["places"][1], "b.conf:2");
}

#[test]
fn text_is_wrapped_and_aligned() {
    let text = render(&nasty(), Format::Text);
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(text.contains("  name  what | it is\n  ----  -"), "{text}");
    assert!(text.contains("  短    \\u{1b}[31mred\\u{202e}\n"), "{text}");
    assert!(text.ends_with("\n1 thing was found (1 warning)\n"), "{text}");
}

#[test]
fn markdown_cells_stay_in_their_columns_and_fences_hold() {
    let text = render(&nasty(), Format::Markdown);
    assert!(text.contains("| a\\|b | &lt;script&gt;"), "{text}");
    assert!(text.contains("````\n+added ```\n"), "{text}");
}

#[test]
fn a_page_asks_for_nothing_from_anywhere() {
    let text = render(&nasty(), Format::Html);
    for word in ["src=", "href=", "url(", "@import", "<script", "http://", "https://"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
    assert!(text.contains("<span class=\"ins\">+added"), "{text}");
}
