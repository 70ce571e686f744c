//! Where two lists of answers differ, apart from what has to.

use super::client::Answer;
use std::collections::BTreeMap;

/// One difference.
pub struct Difference {
    /// The request.
    pub request: String,
    /// What differs: status, a header, the body, what a stand-in was asked.
    pub part: String,
    /// What nginx says.
    pub original: String,
    /// What rnginx says.
    pub ours: String,
}

/// All differences, request by request.
pub fn differences(original: &[Answer], ours: &[Answer]) -> Vec<Difference> {
    original.iter().zip(ours).flat_map(|(original, ours)| of(original, ours)).collect()
}

/// How many answers of each status both gave.
pub fn statuses(original: &[Answer], ours: &[Answer]) -> BTreeMap<String, [usize; 2]> {
    let mut out: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    for answer in original {
        let [count, _] = out.entry(answer.status.clone()).or_default();
        *count += 1;
    }
    for answer in ours {
        let [_, count] = out.entry(answer.status.clone()).or_default();
        *count += 1;
    }
    out
}

/// Headers whose values are the time.
const TIMES: [&str; 2] = ["date", "expires"];

fn of(original: &Answer, ours: &Answer) -> Vec<Difference> {
    let mut out = Vec::new();
    let mut add = |part: &str, one: String, other: String| {
        if one != other {
            out.push(Difference {
                request: original.request.clone(),
                part: part.to_owned(),
                original: one,
                ours: other,
            });
        }
    };
    add("status", original.status.clone(), ours.status.clone());
    let values = |answer: &Answer| {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in &answer.headers {
            let value = match name.as_str() {
                "set-cookie" => masked(&cookie(value)),
                name if TIMES.contains(&name) => "(a time)".to_owned(),
                _ => masked(value),
            };
            all.entry(name.clone()).or_default().push(value);
        }
        all
    };
    let (mine, theirs) = (values(original), values(ours));
    for name in mine.keys().chain(theirs.keys().filter(|name| !mine.contains_key(*name))) {
        let shown =
            |all: &BTreeMap<String, Vec<String>>| all.get(name).map_or_else(|| "-".to_owned(), |all| all.join(", "));
        add(&format!("header {name}"), shown(&mine), shown(&theirs));
    }
    let asked = |answer: &Answer| masked(&without_port(&answer.asked.join("\n"), answer.own));
    let (one, other) = around(&asked(original), &asked(ours));
    add("request to the server behind", one, other);
    let body = |answer: &Answer| masked(&without_port(&String::from_utf8_lossy(&answer.body), answer.own));
    // What a stand-in was asked is also what it answers, and is told already.
    if asked(original) == asked(ours) {
        let (one, other) = around(&body(original), &body(ours));
        add("body", one, other);
    }
    out
}

/// The first lines in which two texts differ.
fn around(one: &str, other: &str) -> (String, String) {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (mine, theirs) = (lines(one), lines(other));
    let same = mine.iter().zip(&theirs).take_while(|(one, other)| one == other).count();
    let at = |lines: &[String]| {
        let line = lines.get(same).cloned().unwrap_or_else(|| "(ends)".to_owned());
        if line.chars().count() > 160 { format!("{}...", line.chars().take(160).collect::<String>()) } else { line }
    };
    match () {
        () if one == other => (String::new(), String::new()),
        () if mine == theirs => (format!("{} bytes", one.len()), format!("{} bytes", other.len())),
        () => (at(&mine), at(&theirs)),
    }
}

/// A text without the port it was asked from.
fn without_port(text: &str, own: Option<u16>) -> String {
    own.map_or_else(|| text.to_owned(), |own| text.replace(&own.to_string(), "(a port)"))
}

/// A text without the version of the program and without words that are drawn by lot.
fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("nginx/") {
        let (before, after) = rest.split_at(at + "nginx/".len());
        out.push_str(before);
        let end = after.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(after.len());
        out.push_str(if end > 0 { "(version)" } else { "" });
        rest = after.get(end..).unwrap_or_default();
    }
    out.push_str(rest);
    without_lots(&out)
}

/// A cookie without the time it ends at, and without the number `userid` gives a client: 16 bytes in base64.
fn cookie(text: &str) -> String {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    let is_number = |value: &str| value.len() == 24 && value.ends_with("==") && value.chars().all(is_base64);
    let part = |part: &str| match part.split_once('=') {
        Some((name, _)) if name.eq_ignore_ascii_case("expires") => format!("{name}=(a time)"),
        Some((name, value)) if is_number(value) => format!("{name}=(drawn by lot)"),
        _ => part.to_owned(),
    };
    text.split("; ").map(part).collect::<Vec<_>>().join("; ")
}

/// Replaces runs of exactly 32 hexadecimal digits, as $request_id has.
fn without_lots(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut run = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_ascii_alphanumeric() {
            run.push(c);
            continue;
        }
        let drawn = run.len() == 32 && run.chars().all(|c| c.is_ascii_hexdigit());
        out.push_str(if drawn { "(drawn by lot)" } else { &run });
        run.clear();
        out.push(c);
    }
    out.pop();
    out
}

#[cfg(test)]
mod tests {
    use super::{Answer, cookie, differences, masked};

    #[test]
    fn the_number_of_a_client_and_the_end_of_a_cookie_are_not_compared() {
        let given =
            |number: &str, date: &str, path: &str| cookie(&format!("uid={number}; expires={date}; path={path}"));
        let one = given("fwAAAWsNSnqI/XWFAwMDAg==", "Tue, 30-Nov-27 10:05:46 GMT", "/");
        assert_eq!(one, given("fwAAAWsNSnqN8nWmAwMDAg==", "Tue, 30-Nov-27 10:05:47 GMT", "/"));
        assert_ne!(one, given("fwAAAWsNSnqI/XWFAwMDAg==", "Tue, 30-Nov-27 10:05:46 GMT", "/x"));
        assert_ne!(cookie("session=one"), cookie("session=two"));
    }

    #[test]
    fn what_has_to_differ_is_not_seen_and_the_rest_is() {
        assert_eq!(masked("<hr>nginx/1.22.1</hr> nginx/"), masked("<hr>nginx/1.23.4</hr> nginx/"));
        assert_eq!(masked("id 0123456789abcdef0123456789abcdef."), masked("id ffffffffffffffff0123456789abcdef."));
        assert_ne!(masked("1234"), masked("1235"));
        let answer = |date: &str, kind: &str, body: &str, asked: &str| Answer {
            request: "GET /".to_owned(),
            status: "200".to_owned(),
            headers: vec![("date".to_owned(), date.to_owned()), ("content-type".to_owned(), kind.to_owned())],
            body: body.as_bytes().to_vec(),
            asked: vec![asked.to_owned()],
            own: asked.len().try_into().ok(),
        };
        let told = |one: Answer, other: Answer| -> Vec<String> {
            differences(&[one], &[other]).into_iter().map(|one| one.part).collect()
        };
        assert_eq!(told(answer("1", "t", "b", "a"), answer("2", "t", "b", "a")), Vec::<String>::new());
        assert_eq!(told(answer("1", "t", "b", "a"), answer("1", "u", "c", "a")), ["header content-type", "body"]);
        assert_eq!(told(answer("1", "t", "b", "a"), answer("1", "t", "b\n", "x")), ["request to the server behind"]);
        assert_eq!(told(answer("1", "t", "b", "a"), answer("1", "t", "b\n", "a")), ["body"]);
        // The port it was asked from, which here is the length of what was asked.
        assert_eq!(told(answer("1", "t", "from 4", "at 4"), answer("1", "t", "from 4", "at 4")), Vec::<String>::new());
        assert_eq!(
            told(answer("1", "t", "b", "4 aa"), answer("1", "t", "b", "5 aaa")),
            ["request to the server behind"]
        );
        assert_eq!(super::without_port("from 40000 to 80", Some(40000)), "from (a port) to 80");
    }
}
