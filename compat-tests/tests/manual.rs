//! The manuals, the completions and README's table are what the rows and options say. `BLESS=1` writes them anew.

use std::fmt::Write as _;
use std::fs;
use std::io;

use compat_tests::root;
use rha::migrate::manual;

/// What stands around the table in README.
const MARKS: [&str; 2] = ["<!-- support -->\n", "<!-- end of support -->"];

fn bless() -> bool {
    std::env::var_os("BLESS").is_some()
}

#[test]
fn manuals_and_completions_are_what_the_rows_say() -> io::Result<()> {
    let mut stale = Vec::new();
    for (path, text) in manual::files() {
        let place = root().join(&path);
        if fs::read_to_string(&place).unwrap_or_default() == text {
            continue;
        }
        stale.push(path);
        if bless() {
            fs::create_dir_all(place.parent().unwrap_or(&place))?;
            fs::write(place, text)?;
        }
    }
    assert!(stale.is_empty() || bless(), "stale, write them anew with BLESS=1: {stale:#?}");
    Ok(())
}

#[test]
fn no_file_of_the_manual_is_left_from_earlier() -> io::Result<()> {
    let rendered: Vec<String> = manual::files().into_iter().map(|(path, _)| path).collect();
    for folder in ["man", "completions"] {
        for entry in fs::read_dir(root().join(folder))? {
            let path = format!("{folder}/{}", entry?.file_name().to_string_lossy());
            assert!(rendered.contains(&path), "{path} is rendered by nothing");
        }
    }
    Ok(())
}

#[test]
fn the_table_of_what_is_served_is_what_the_rows_say() -> io::Result<()> {
    let place = root().join("SUPPORT.md");
    let wanted = manual::support_page();
    if bless() {
        fs::write(&place, &wanted)?;
    }
    assert_eq!(fs::read_to_string(&place)?, wanted, "write it anew with BLESS=1");
    let readme = fs::read_to_string(root().join("README.md"))?;
    let (before, rest) = readme.split_once(MARKS[0]).expect("the table's beginning in README");
    let (table, after) = rest.split_once(MARKS[1]).expect("the table's end in README");
    let counts = manual::support_counts();
    if bless() {
        fs::write(root().join("README.md"), format!("{before}{}{counts}{}{after}", MARKS[0], MARKS[1]))?;
    } else {
        assert_eq!(table, counts, "write it anew with BLESS=1");
    }
    Ok(())
}

/// DIFFERENCES.md: the marks of the sources by the original they speak of, each with the test that shows it.
fn differences() -> String {
    let mut out = String::from(
        "# What differs from the originals on purpose\n\nMade from the marks in the sources. What is not served yet is in \
         [SUPPORT.md](SUPPORT.md).\n",
    );
    for original in ["nginx", "keepalived"] {
        let _ = write!(out, "\n## {original}\n\n");
        let mark = format!("Differs from {original}: ");
        crate::house::sources(&mut |path, text| {
            if !path.starts_with("src/") {
                return;
            }
            for line in text.lines() {
                let Some((_, rest)) = line.split_once(&mark) else { continue };
                let Some((what, test)) = rest.split_once(" [test: ") else { continue };
                let what = what.split_at(1);
                let test = test.trim_end_matches(']');
                let _ = writeln!(out, "- {}{} (`{path}`, test `{test}`)", what.0.to_uppercase(), what.1);
            }
        });
    }
    out
}

#[test]
fn the_differences_are_those_the_sources_mark() -> io::Result<()> {
    let place = root().join("DIFFERENCES.md");
    let wanted = differences();
    if bless() {
        fs::write(&place, &wanted)?;
    }
    assert!(wanted.lines().filter(|line| line.starts_with("- ")).count() > 10, "{wanted}");
    assert_eq!(fs::read_to_string(&place)?, wanted, "write it anew with BLESS=1");
    Ok(())
}

#[test]
fn every_page_is_read_by_man_without_a_warning() -> io::Result<()> {
    for (path, text) in manual::files().into_iter().filter(|(path, _)| path.starts_with("man/")) {
        assert!(text.starts_with(".TH ") || text.starts_with(".ie"), "{path}");
        let bad = text.lines().filter(|line| line.starts_with('.')).find(|line| {
            let request = line.split(' ').next().unwrap_or_default();
            ![".TH", ".SH", ".SS", ".TP", ".B", ".br", ".ie", ".el", ".RS", ".RE", ".sp", ".nf", ".fi", ".PP", ".IP"]
                .contains(&request)
        });
        assert_eq!(bad, None, "{path}");
        assert!(text.contains(".SH NAME") && text.contains(".SH SEE ALSO"), "{path}");
    }
    Ok(())
}

#[test]
fn every_row_has_a_sentence() {
    let bad = manual::undocumented();
    assert!(bad.is_empty(), "{} rows without one paragraph that ends in a full stop: {bad:#?}", bad.len());
}
