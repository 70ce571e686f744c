//! Complaints as SARIF 2.1.0, which forges and editors show beside the lines of a change.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::source::{Sources, Span};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// How much a result matters, in SARIF's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// It does not work.
    Error,
    /// It may not be what was meant.
    Warning,
    /// It is worth knowing.
    Note,
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One complaint as a result, its columns counted in characters.
pub fn complaint(complaint: &Diagnostic, sources: &Sources) -> Value {
    let level = match complaint.severity {
        _ if complaint.is_error() => Level::Error,
        Severity::Notice => Level::Note,
        _ => Level::Warning,
    };
    let beside = complaint.notes.iter().map(String::as_str).chain(complaint.help.as_deref());
    let text = std::iter::once(complaint.message.as_str()).chain(beside).collect::<Vec<_>>().join("\n");
    let others =
        complaint.beside.iter().filter_map(|one| Some(with_text(location(one.span, sources)?, one.mark.label())));
    let others: Vec<Value> = others.collect();
    let places: Vec<Value> = complaint.place().and_then(|place| location(place, sources)).into_iter().collect();
    whole(complaint.code(), level, &text, (places, others))
}

/// A result of which only files and lines are known, the most telling place first.
pub fn finding(rule: &str, level: Level, text: &str, places: &[(&str, Option<u64>)]) -> Value {
    let mut places: Vec<Value> = places.iter().map(|(file, line)| of_line(file, *line)).collect();
    let others = if places.is_empty() { Vec::new() } else { places.split_off(1) };
    whole(rule, level, text, (places, others))
}

fn whole(rule: &str, level: Level, text: &str, (places, others): (Vec<Value>, Vec<Value>)) -> Value {
    json!({
        "ruleId": rule,
        "level": level.word(),
        "message": { "text": text },
        "locations": places,
        "relatedLocations": others,
    })
}

fn with_text(mut place: Value, text: &str) -> Value {
    if let Some(fields) = place.as_object_mut() {
        fields.insert("message".to_owned(), json!({ "text": text }));
    }
    place
}

fn of_line(file: &str, line: Option<u64>) -> Value {
    let artifact = json!({ "uri": uri(file) });
    match line {
        Some(line) => {
            json!({ "physicalLocation": { "artifactLocation": artifact, "region": { "startLine": line } } })
        }
        None => json!({ "physicalLocation": { "artifactLocation": artifact } }),
    }
}

fn location(span: Span, sources: &Sources) -> Option<Value> {
    let source = sources.text(span.source)?;
    let position = |offset: u32| {
        let (line, column) = sources.position(span.source, offset);
        let start = (offset + 1).saturating_sub(column) as usize;
        let before = source.text.get(start..offset as usize).unwrap_or_default();
        (line, String::from_utf8_lossy(before).chars().count() + 1)
    };
    let ((line, column), (end_line, end_column)) = (position(span.start), position(span.end));
    Some(json!({
        "physicalLocation": {
            "artifactLocation": { "uri": uri(&source.name) },
            "region": {
                "startLine": line,
                "startColumn": column,
                "endLine": end_line,
                "endColumn": end_column,
            },
        },
    }))
}

/// A file's name as the reference of RFC 3986 that SARIF wants.
fn uri(file: &str) -> String {
    let mut out = String::with_capacity(file.len());
    for byte in file.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The whole log of one run, ending in a line end.
pub fn log(program: &str, results: &[Value]) -> String {
    let rules: BTreeSet<&str> = results.iter().filter_map(|result| result.get("ruleId")?.as_str()).collect();
    let rules: Vec<Value> = rules.into_iter().map(|id| json!({ "id": id })).collect();
    let whole = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": program, "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    crate::conf::bytes::shown(&format!("{whole:#}\n")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::source::Kind;

    #[test]
    fn columns_are_characters_and_names_are_references() {
        let mut sources = Sources::default();
        let source = sources.add("/etc/a b/é.conf", Kind::File, "x;\n  é bad;\n".as_bytes().to_vec());
        let wrong = Diagnostic::warn("unknown").at(Span { source, start: 8, end: 11 }).help("leave it out");
        let result = complaint(&wrong, &sources);
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "/etc/a%20b/%C3%A9.conf");
        assert_eq!(place["region"], json!({ "startLine": 2, "startColumn": 5, "endLine": 2, "endColumn": 8 }));
        assert_eq!(
            (&result["level"], &result["message"]["text"]),
            (&json!("warning"), &json!("unknown\nleave it out"))
        );
        let log: Value = serde_json::from_str(&log("rnginx", &[result])).expect("JSON");
        assert_eq!(log["runs"][0]["tool"]["driver"]["rules"], json!([{ "id": "value" }]));
    }

    #[test]
    fn a_finding_has_its_first_place_and_the_others_beside_it() {
        let one = finding("rule", Level::Note, "text", &[("a", Some(3)), ("b", None)]);
        assert_eq!(one["locations"][0]["physicalLocation"]["region"]["startLine"], 3);
        assert_eq!(one["relatedLocations"][0]["physicalLocation"], json!({ "artifactLocation": { "uri": "b" } }));
    }
}
