//! `ngx_http_upstream_hc_module`, a module of NGINX Plus: checks of the servers a location passes requests to.
//!
//! There is no program to compare with: nginx.org's description of the module decides.

mod status;

use crate::conf::bytes;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Opens};
use crate::conf::module::{Conf, Scope};
use crate::conf::slot::Custom;
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::health::{HeaderTest, HealthCheck, Question, Test, Tests};
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::session::contexts::{HTTP, LOCATION};
use crate::session::rows::each;
use crate::session::{pattern, used};
use crate::upstream::health_check::{Matches, Settings, find, invalid, without_zone};
use std::time::Duration;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install), Module::new(status::MODULE).install(status::install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_upstream_hc_module",
    directives: &[
        Directive::new("health_check", LOCATION, Arity::AtLeast(0), &Custom(health_check)).words(WORDS).doc(
            "Checks the servers of the group that requests of the location are passed to; a directive of NGINX Plus.",
        ),
        Directive::new("match", HTTP, Arity::Block(1, 1, Opens::Rows), &Custom(match_)).doc(
            "Names tests of status, header, body and variables that answers to health checks must pass; a directive of \
             NGINX Plus.",
        ),
    ],
    scopes: &[Scope::of::<CheckConf>(LOCATION), Scope::of::<MatchConf>(HTTP)],
};

const WORDS: &[&str] = &[
    "interval=",
    "jitter=",
    "fails=",
    "passes=",
    "uri=",
    "mandatory",
    "persistent",
    "match=",
    "port=",
    "type=grpc",
    "grpc_service=",
    "grpc_status=",
    "keepalive_time=",
];

/// The `health_check` of a location.
#[derive(Default)]
struct CheckConf {
    given: Option<CheckText>,
}

impl Conf for CheckConf {
    fn inherit(&mut self, _: &Self) {}
}

/// A `health_check` as written.
#[derive(Default)]
struct CheckText {
    common: Settings,
    uri: Option<Box<[u8]>>,
    grpc: Option<(String, Option<u32>)>,
    keepalive: Option<Duration>,
}

/// The `match` blocks of http.
#[derive(Default)]
struct MatchConf {
    all: Matches<Vec<TestText>>,
}

impl Conf for MatchConf {
    fn inherit(&mut self, _: &Self) {}
}

/// A row of `match` as written.
enum TestText {
    Status(Vec<(u16, u16)>, bool),
    Header(Word, HeaderText),
    Body(Word, bool),
    Require(Vec<Word>),
}

enum HeaderText {
    Present,
    Absent,
    Equals(Word, bool),
    Matches(Word, bool),
}

fn health_check(cx: &mut Setting<'_>, conf: &mut CheckConf, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.given.is_some() {
        return Err(cx.duplicate());
    }
    let mut text = CheckText::default();
    for word in statement.arguments() {
        match text.grpc.is_some() {
            true => grpc_word(&mut text, word),
            false => general_word(&mut text, word),
        }
        .ok_or_else(|| invalid(word))?;
    }
    text.common.complete()?;
    if text.grpc.is_some() && (text.uri.is_some() || text.common.matching.is_some()) {
        return Err(Diagnostic::emerg("\"type=grpc\" is not compatible with \"uri\" and \"match\""));
    }
    conf.given = Some(text);
    Ok(())
}

/// A word of a check over HTTP; nothing for one that is no good.
fn general_word(text: &mut CheckText, word: &Word) -> Option<()> {
    if let Some(value) = word.after("uri=") {
        text.uri = Some(Some(value).filter(|uri| is_uri(uri))?.into());
    } else if let Some(value) = word.after("keepalive_time=") {
        text.keepalive = Some(value::time(value, false)?);
    } else if word.is("type=grpc") {
        text.grpc = Some((String::new(), None));
    } else {
        text.common.read(word)?;
    }
    Some(())
}

/// Whether a text may stand in a request line.
fn is_uri(uri: &[u8]) -> bool {
    uri.starts_with(b"/") && uri.iter().all(|byte| *byte > b' ' && *byte != 0x7f)
}

/// A word behind `type=grpc`; nothing for one that is no good.
fn grpc_word(text: &mut CheckText, word: &Word) -> Option<()> {
    let (service, status) = text.grpc.as_mut()?;
    if let Some(value) = word.after("grpc_service=") {
        *service = std::str::from_utf8(value).ok().filter(|name| !name.is_empty())?.to_owned();
    } else {
        let value = word.after("grpc_status=")?;
        *status = Some(u32::try_from(value::number(value)?).ok().filter(|status| (1..=16).contains(status))?);
    }
    Some(())
}

fn match_(cx: &mut Setting<'_>, conf: &mut MatchConf, statement: &Statement) -> Result<(), Diagnostic> {
    let Some(name) = statement.arguments().first() else { return Ok(()) };
    conf.all.declare(name)?;
    let mut rows = Vec::new();
    each(cx, statement, &mut |cx, row| {
        rows.push(test(cx, row)?);
        Ok(())
    })?;
    conf.all.add(name, rows);
    Ok(())
}

/// Reads a row of `match`.
fn test(cx: &mut Setting<'_>, row: &Statement) -> Result<TestText, Diagnostic> {
    match row.words.as_slice() {
        [kind, not, codes @ ..] if kind.is("status") && not.is("!") && !codes.is_empty() => {
            Ok(TestText::Status(codes.iter().map(range).collect::<Result<_, _>>()?, true))
        }
        [kind, codes @ ..] if kind.is("status") && !codes.is_empty() => {
            Ok(TestText::Status(codes.iter().map(range).collect::<Result<_, _>>()?, false))
        }
        [kind, name] if kind.is("header") => Ok(TestText::Header(name.clone(), HeaderText::Present)),
        [kind, not, name] if kind.is("header") && not.is("!") => Ok(TestText::Header(name.clone(), HeaderText::Absent)),
        [kind, name, how, value] if kind.is("header") => {
            let how = match &*how.bytes {
                b"=" => HeaderText::Equals(value.clone(), false),
                b"!=" => HeaderText::Equals(value.clone(), true),
                b"~" | b"!~" => {
                    pattern::compile(value, &value.text(), false)?;
                    HeaderText::Matches(value.clone(), how.is("!~"))
                }
                _ => return Err(invalid(how)),
            };
            Ok(TestText::Header(name.clone(), how))
        }
        [kind, how, value] if kind.is("body") => {
            if !how.is("~") && !how.is("!~") {
                return Err(invalid(how));
            }
            pattern::compile(value, &value.text(), false)?;
            Ok(TestText::Body(value.clone(), how.is("!~")))
        }
        [kind, names @ ..] if kind.is("require") && !names.is_empty() => {
            for name in names {
                used::name(name)?;
                used::word(cx, name)?;
            }
            Ok(TestText::Require(names.to_vec()))
        }
        [kind, ..] if ["status", "header", "body", "require"].iter().any(|known| kind.is(known)) => {
            Err(Diagnostic::emerg(format!("invalid number of arguments in \"{}\" directive", kind.text())))
        }
        [kind, ..] => {
            let text = kind.text();
            let complaint = Diagnostic::emerg(format!("unknown directive \"{text}\"")).point(kind.span);
            Err(complaint.among("tests", &text, &["status", "header", "body", "require"]))
        }
        [] => Err(Diagnostic::emerg("invalid number of arguments")),
    }
}

/// A status, or a range of them.
fn range(word: &Word) -> Result<(u16, u16), Diagnostic> {
    let code = |text: &[u8]| value::number(text).and_then(|code| u16::try_from(code).ok()).filter(|code| *code < 1000);
    let mut parts = word.bytes.splitn(2, |byte| *byte == b'-');
    let first = parts.next().and_then(code);
    let last = parts.next().map_or(first, code);
    let both = first.zip(last).filter(|(first, last)| first <= last);
    both.ok_or_else(|| Diagnostic::emerg(format!("invalid status \"{}\"", word.text())).point(word.span))
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(text) = levels.level.own::<CheckConf>().and_then(|conf| conf.given.as_ref()) else { return Ok(()) };
    let pool = place.content.as_ref().and_then(|content| content.checks()).and_then(|checks| checks.pool());
    let Some(pool) = pool.cloned() else {
        let text = "\"health_check\" directive requires a group of servers that the location passes requests to";
        return Err(Diagnostic::emerg(text));
    };
    if !pool.zoned {
        return Err(without_zone(&pool.group.name));
    }
    let question = match &text.grpc {
        Some((service, status)) => Question::Grpc { service: service.clone(), status: *status },
        None => {
            let tests = text.common.matching.as_ref().map(|name| tests(name, levels, cx)).transpose()?;
            Question::Get { uri: text.uri.clone().unwrap_or_else(|| b"/"[..].into()), tests }
        }
    };
    let check =
        text.common.check(&format!("http {} {:?}", bytes::text(text.uri.as_deref().unwrap_or(b"/")), text.grpc));
    pool.group.add_check(&check);
    place.attach(HealthCheck { check, pool, question, keepalive: text.keepalive });
    Ok(())
}

/// The tests of a `match` block.
fn tests(name: &Word, levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<Tests, Diagnostic> {
    let rows = find(levels.get::<MatchConf>().map(|conf| &conf.all), name)?;
    let expression = |word: &Word| pattern::compile(word, &word.text(), false);
    let mut list = Vec::new();
    for row in rows {
        list.push(match row {
            TestText::Status(ranges, not) => Test::Status(ranges.clone(), *not),
            TestText::Header(name, how) => {
                let how = match how {
                    HeaderText::Present => HeaderTest::Present,
                    HeaderText::Absent => HeaderTest::Absent,
                    HeaderText::Equals(value, not) => HeaderTest::Equals(value.bytes.clone(), *not),
                    HeaderText::Matches(value, not) => HeaderTest::Matches(expression(value)?, *not),
                };
                Test::Header(name.bytes.clone(), how)
            }
            TestText::Body(value, not) => Test::Body(expression(value)?, *not),
            TestText::Require(names) => {
                Test::Require(names.iter().map(|name| cx.text(name)).collect::<Result<_, _>>()?)
            }
        });
    }
    Ok(Tests { name: name.text().into_owned(), list })
}
