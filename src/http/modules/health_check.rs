//! `ngx_http_upstream_hc_module`, a module of NGINX Plus: checks of the servers a location passes requests to.
//!
//! There is no program to compare with: nginx.org's description of the module decides.

mod status;

use crate::check::health::Rule;
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
use crate::upstream::health::Check;
use std::sync::Arc;
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
    scopes: &[Scope::of::<CheckConf>(LOCATION), Scope::of::<Matches>(HTTP)],
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
struct CheckText {
    interval: Duration,
    jitter: Duration,
    rule: Rule,
    uri: Option<Box<[u8]>>,
    matching: Option<Word>,
    port: Option<u16>,
    grpc: Option<(String, Option<u32>)>,
    keepalive: Option<Duration>,
}

/// The `match` blocks of http.
#[derive(Default)]
struct Matches {
    all: Vec<MatchText>,
}

impl Conf for Matches {
    fn inherit(&mut self, _: &Self) {}
}

/// A `match` block as written.
struct MatchText {
    name: Word,
    rows: Vec<TestText>,
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

fn invalid(word: &Word) -> Diagnostic {
    Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span)
}

fn health_check(cx: &mut Setting<'_>, conf: &mut CheckConf, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.given.is_some() {
        return Err(cx.duplicate());
    }
    let mut text = CheckText {
        interval: Duration::from_secs(5),
        jitter: Duration::ZERO,
        rule: Rule { fails: 1, passes: 1, mandatory: false, persistent: false, down: false },
        uri: None,
        matching: None,
        port: None,
        grpc: None,
        keepalive: None,
    };
    for word in statement.arguments() {
        if text.grpc.is_some() {
            grpc_word(&mut text, word).ok_or_else(|| invalid(word))?;
        } else {
            general_word(&mut text, word).ok_or_else(|| invalid(word))?;
        }
    }
    let last = statement.arguments().last();
    if let (true, Some(word)) = (text.rule.persistent && !text.rule.mandatory, last) {
        return Err(Diagnostic::emerg("\"persistent\" requires \"mandatory\"").point(word.span));
    }
    if text.grpc.is_some() && (text.uri.is_some() || text.matching.is_some()) {
        return Err(Diagnostic::emerg("\"type=grpc\" is not compatible with \"uri\" and \"match\""));
    }
    conf.given = Some(text);
    Ok(())
}

/// A word of any check; nothing for one that is no good.
fn general_word(text: &mut CheckText, word: &Word) -> Option<()> {
    let time = |value: &[u8]| value::time(value, false);
    let count = |value: &[u8]| u32::try_from(value::number(value)?).ok().filter(|count| *count > 0);
    if let Some(value) = word.after("interval=") {
        text.interval = time(value).filter(|time| !time.is_zero())?;
    } else if let Some(value) = word.after("jitter=") {
        text.jitter = time(value)?;
    } else if let Some(value) = word.after("fails=") {
        text.rule.fails = count(value)?;
    } else if let Some(value) = word.after("passes=") {
        text.rule.passes = count(value)?;
    } else if let Some(value) = word.after("uri=") {
        text.uri = Some(Some(value).filter(|uri| is_uri(uri))?.into());
    } else if word.is("mandatory") {
        text.rule.mandatory = true;
    } else if word.is("persistent") {
        text.rule.persistent = true;
    } else if let Some(value) = word.after("match=") {
        let value = Some(value).filter(|name| !name.is_empty())?;
        text.matching = Some(Word { bytes: value.into(), ..word.clone() });
    } else if let Some(value) = word.after("port=") {
        text.port = Some(u16::try_from(value::number(value)?).ok().filter(|port| *port > 0)?);
    } else if let Some(value) = word.after("keepalive_time=") {
        text.keepalive = Some(time(value)?);
    } else if word.is("type=grpc") {
        text.grpc = Some((String::new(), None));
    } else {
        return None;
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

fn match_(cx: &mut Setting<'_>, conf: &mut Matches, statement: &Statement) -> Result<(), Diagnostic> {
    let Some(name) = statement.arguments().first() else { return Ok(()) };
    if let Some(first) = conf.all.iter().find(|known| known.name.bytes == name.bytes) {
        let text = format!("duplicate match \"{}\"", name.text());
        return Err(Diagnostic::emerg(text).point(name.span).earlier(Some(first.name.span)));
    }
    let mut rows = Vec::new();
    each(cx, statement, &mut |cx, row| {
        rows.push(test(cx, row)?);
        Ok(())
    })?;
    conf.all.push(MatchText { name: name.clone(), rows });
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
        let text = format!("health checks require upstream \"{}\" to be in shared memory", pool.group.name);
        return Err(Diagnostic::emerg(text));
    }
    let question = match &text.grpc {
        Some((service, status)) => Question::Grpc { service: service.clone(), status: *status },
        None => {
            let tests = text.matching.as_ref().map(|name| tests(name, levels, cx)).transpose()?;
            Question::Get { uri: text.uri.clone().unwrap_or_else(|| b"/"[..].into()), tests }
        }
    };
    let (uri, name) = (text.uri.as_deref().unwrap_or(b"/"), text.matching.as_ref().map(Word::text));
    let port = text.port.unwrap_or_default();
    let key = format!("http {} {} {:?} {port}", bytes::text(uri), name.unwrap_or_default(), text.grpc);
    let check = Arc::new(Check { key, rule: text.rule, interval: text.interval, jitter: text.jitter, port: text.port });
    pool.group.add_check(&check);
    place.attach(HealthCheck { check, pool, question, keepalive: text.keepalive });
    Ok(())
}

/// The tests of a `match` block.
fn tests(name: &Word, levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<Tests, Diagnostic> {
    let all = levels.get::<Matches>().map(|matches| matches.all.as_slice()).unwrap_or_default();
    let Some(found) = all.iter().find(|known| known.name.bytes == name.bytes) else {
        let text = name.text();
        let names: Vec<_> = all.iter().map(|known| known.name.text().into_owned()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let complaint = Diagnostic::emerg(format!("unknown match \"{text}\"")).at(name.span);
        return Err(complaint.among("match blocks", &text, &names));
    };
    let expression = |word: &Word| pattern::compile(word, &word.text(), false);
    let mut list = Vec::new();
    for row in &found.rows {
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
