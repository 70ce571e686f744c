//! `check_status` and `check_shm_size`, directives of the third-party module upstream_check: a page of what the checks of
//! `check` have found.
//!
//! Differs from nginx: with `status=` the JSON of check_status has no comma behind its last server. [test: the_page_of_checks_is_that_of_the_module]

use crate::check::health::State;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Support};
use crate::conf::module::{Conf, Scope};
use crate::conf::slot::{Custom, Size};
use crate::conf::tree::Statement;
use crate::conf::walk::{Levels, Setting};
use crate::http::codec::h1::Method;
use crate::http::heart::handler::{Flow, Handler};
use crate::http::heart::module::{Compile, LocationBuilder};
use crate::http::heart::request::Request;
use crate::log::Level;
use crate::session::contexts::{HTTP, HTTP_LEVELS, LOCATION, SERVER};
use crate::upstream::names::Changing as _;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;

/// The rows.
pub const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_upstream_check_module",
    directives: &[
        Directive::new("check_shm_size", HTTP, Arity::Exactly(1), &Size(|c: &mut Memory| &mut c.size))
            .support(Support::Inert("the event loops of a worker share what checks have found in any case"))
            .doc("Sizes the memory of checks; a directive of the module upstream_check."),
        Directive::new("check_status", SERVER.or(LOCATION), Arity::Between(0, 1), &Custom(check_status))
            .words(&["html", "csv", "json"])
            .doc("Answers requests with what \"check\" has found of each server; a directive of the module upstream_check."),
    ],
    scopes: &[Scope::of::<Memory>(HTTP), Scope::of::<StatusConf>(HTTP_LEVELS)],
};

#[derive(Default)]
struct Memory {
    size: Option<u64>,
}

impl Conf for Memory {
    fn inherit(&mut self, _: &Self) {}
}

/// How the page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Html,
    Csv,
    Json,
}

impl Format {
    fn of(name: &[u8]) -> Option<Self> {
        match name {
            b"html" => Some(Self::Html),
            b"csv" => Some(Self::Csv),
            b"json" => Some(Self::Json),
            _ => None,
        }
    }

    const fn content_type(self) -> &'static [u8] {
        match self {
            Self::Html => b"text/html",
            Self::Csv => b"text/plain",
            Self::Json => b"application/json",
        }
    }
}

#[derive(Default)]
struct StatusConf {
    format: Option<Format>,
}

impl Conf for StatusConf {
    fn inherit(&mut self, _: &Self) {}
}

fn check_status(_: &mut Setting<'_>, conf: &mut StatusConf, statement: &Statement) -> Result<(), Diagnostic> {
    conf.format = Some(match statement.arguments().first() {
        None => Format::Html,
        Some(word) => Format::of(&word.bytes)
            .ok_or_else(|| Diagnostic::emerg(format!("invalid check format \"{}\"", word.text())).point(word.span))?,
    });
    Ok(())
}

/// Makes the page a place's content.
pub fn install(levels: &Levels<'_>, place: &mut LocationBuilder, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    if let Some(format) = levels.level.own::<StatusConf>().and_then(|conf| conf.format) {
        place.content(Page { format });
    }
    Ok(())
}

struct Page {
    format: Format,
}

/// A server on the page.
struct Row {
    index: usize,
    upstream: String,
    name: String,
    is_down: bool,
    rise: u32,
    fall: u32,
    kind: &'static str,
    port: u16,
}

/// The value of an argument of the request.
fn argument<'a>(args: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    args.split(|byte| *byte == b'&').find_map(|pair| {
        let (own, value) = pair.split_at_checked(name.len())?;
        value.strip_prefix(b"=").filter(|_| own.eq_ignore_ascii_case(name))
    })
}

impl Handler for Page {
    fn run<'r>(&'r self, request: &'r mut Request) -> Flow<'r> {
        if !matches!(request.method, Method::Get | Method::Head) {
            return Flow::Finish(405);
        }
        if let Err(status) = request.skip_body() {
            return Flow::Finish(status);
        }
        let mut format = self.format;
        let mut wanted = None;
        let bad = |request: &Request, value: &[u8]| {
            let text = format!("http upstream check, bad argument: \"{}\"", crate::conf::bytes::text(value));
            request.log(Level::Error, &text);
        };
        if let Some(value) = argument(&request.args, b"format") {
            match Format::of(value) {
                Some(asked) => format = asked,
                None => bad(request, value),
            }
        }
        if let Some(value) = argument(&request.args, b"status") {
            match value.to_ascii_lowercase().as_slice() {
                b"down" => wanted = Some(true),
                b"up" => wanted = Some(false),
                _ => bad(request, value),
            }
        }
        let Some(mut rows) = rows(request) else {
            let text =
                "http upstream check module can not find any check server, make sure you've added the check servers";
            request.log(Level::Error, text);
            return Flow::Finish(500);
        };
        rows.retain(|row| wanted.is_none_or(|down| row.is_down == down));
        let generation = request.connection.loop_state.counters.generation.load(Ordering::Relaxed);
        let page = match format {
            Format::Html => html(&rows, generation),
            Format::Csv => csv(&rows),
            Format::Json => json(&rows, generation),
        };
        request.response.set(200, format.content_type(), page.into_bytes().into());
        Flow::Done
    }
}

/// The servers of all groups with checks; nothing where there is none.
fn rows(request: &Request) -> Option<Vec<Row>> {
    let groups = &request.site.upstreams.checked;
    if groups.is_empty() {
        return None;
    }
    let mut rows = Vec::new();
    for pool in groups {
        let Some(group_check) = &pool.group_check else { continue };
        let kind = group_check.probe.name();
        for (name, checked) in pool.now().group.checked(&group_check.check) {
            rows.push(Row {
                index: rows.len(),
                upstream: pool.group.name.clone(),
                name: name.to_string(),
                is_down: checked.state != State::Healthy,
                rise: checked.passes,
                fall: checked.fails,
                kind,
                port: group_check.check.port.unwrap_or_default(),
            });
        }
    }
    Some(rows)
}

impl Row {
    const fn status(&self) -> &'static str {
        if self.is_down { "down" } else { "up" }
    }
}

const HEAD: &str = r#"<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN
"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">
<html xmlns="http://www.w3.org/1999/xhtml">
<head>
  <title>Nginx http upstream check status</title>
</head>
<body>
<h1>Nginx http upstream check status</h1>
"#;
const COLUMNS: [&str; 8] =
    ["Index", "Upstream", "Name", "Status", "Rise counts", "Fall counts", "Check type", "Check port"];

fn html(rows: &[Row], generation: u64) -> String {
    let mut out = HEAD.to_owned();
    let count = rows.len();
    let _ = writeln!(out, "<h2>Check upstream server number: {count}, generation: {generation}</h2>");
    out.push_str("<table style=\"background-color:white\" cellspacing=\"0\"        cellpadding=\"3\" border=\"1\">\n");
    out.push_str("  <tr bgcolor=\"#C0C0C0\">\n");
    for column in COLUMNS {
        let _ = writeln!(out, "    <th>{column}</th>");
    }
    out.push_str("  </tr>\n");
    for row in rows {
        let color = if row.is_down { " bgcolor=\"#FF0000\"" } else { "" };
        let _ = writeln!(out, "  <tr{color}>");
        let Row { index, upstream, name, rise, fall, kind, port, .. } = row;
        let numbers = [rise.to_string(), fall.to_string()];
        let (index, port) = (index.to_string(), port.to_string());
        let [rise, fall] = &numbers;
        for cell in [&index, upstream, name, row.status(), rise, fall, kind, &port] {
            let _ = writeln!(out, "    <td>{cell}</td>");
        }
        out.push_str("  </tr>\n");
    }
    out.push_str("</table>\n</body>\n</html>\n");
    out
}

fn csv(rows: &[Row]) -> String {
    let line = |row: &Row| {
        let Row { index, upstream, name, rise, fall, kind, port, .. } = row;
        format!("{index},{upstream},{name},{},{rise},{fall},{kind},{port}\n", row.status())
    };
    rows.iter().map(line).collect()
}

fn json(rows: &[Row], generation: u64) -> String {
    let count = rows.len();
    let mut out =
        format!("{{\"servers\": {{\n  \"total\": {count},\n  \"generation\": {generation},\n  \"server\": [\n");
    for (at, row) in rows.iter().enumerate() {
        let Row { index, upstream, name, rise, fall, kind, port, .. } = row;
        let comma = if at + 1 == count { "" } else { "," };
        let _ = writeln!(
            out,
            "    {{\"index\": {index}, \"upstream\": \"{upstream}\", \"name\": \"{name}\", \"status\": \"{}\", \"rise\": {rise}, \
             \"fall\": {fall}, \"type\": \"{kind}\", \"port\": {port}}}{comma}",
            row.status()
        );
    }
    out.push_str("  ]\n}}\n");
    out
}
