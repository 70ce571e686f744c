//! `ngx_stream_upstream_hc_module`, a module of NGINX Plus: checks of the servers of a server's group.
//!
//! There is no program to compare with: nginx.org's description of the module decides. `health_check mqtt` is rnginx's own.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Opens};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Custom, Time};
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::{Levels, Setting};
use crate::session::contexts::{STREAM, STREAM_ANY, STREAM_SERVER};
use crate::session::pattern;
use crate::session::rows::each;
use crate::stream::module::{Compile, Module, ServerBuilder};
use crate::stream::modules::proxy;
use crate::stream::site::{Expect, HealthCheck, Question, Tests};
use crate::upstream::health_check::{Matches, Settings, find, invalid, without_zone};
use std::time::Duration;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_stream_upstream_hc_module",
    directives: &[
        Directive::new("health_check", STREAM_SERVER, Arity::AtLeast(0), &Custom(health_check)).words(WORDS).doc(
            "Checks the servers of the group that connections are passed to; a directive of NGINX Plus. \"mqtt\", which \
             only rnginx knows, asks an MQTT broker for its CONNACK; with mqtt_code= that may have another return code \
             than 0.",
        ),
        Directive::new(
            "health_check_timeout",
            STREAM_ANY,
            Arity::Exactly(1),
            &Time(|c: &mut CheckConf| &mut c.timeout),
        )
        .default("5s")
        .doc("Sets how long a health check may take; a directive of NGINX Plus."),
        Directive::new("match", STREAM, Arity::Block(1, 1, Opens::Rows), &Custom(match_)).doc(
            "Names what a health check sends and what it expects; a directive of NGINX Plus. A literal is what an answer \
             begins with.",
        ),
    ],
    scopes: &[Scope::of::<CheckConf>(STREAM_ANY), Scope::of::<MatchConf>(STREAM)],
};

const WORDS: &[&str] = &[
    "interval=",
    "jitter=",
    "fails=",
    "passes=",
    "mandatory",
    "persistent",
    "match=",
    "port=",
    "udp",
    "mqtt",
    "mqtt_code=",
];

/// Settings of the module.
#[derive(Default)]
struct CheckConf {
    given: Option<CheckText>,
    timeout: Option<Duration>,
}

impl Conf for CheckConf {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; timeout);
    }
}

/// What is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Tcp,
    Udp,
    Mqtt,
}

/// A `health_check` as written.
#[derive(Default)]
struct CheckText {
    common: Settings,
    kind: Kind,
    code: Option<u8>,
}

/// The `match` blocks of stream.
#[derive(Default)]
struct MatchConf {
    all: Matches<MatchText>,
}

impl Conf for MatchConf {
    fn inherit(&mut self, _: &Self) {}
}

/// A `match` block as written.
#[derive(Default)]
struct MatchText {
    send: Option<Vec<u8>>,
    expect: Option<ExpectText>,
}

enum ExpectText {
    Literal(Vec<u8>),
    /// An expression, and whether letters' case is ignored.
    Matches(Word, bool),
}

fn health_check(cx: &mut Setting<'_>, conf: &mut CheckConf, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.given.is_some() {
        return Err(cx.duplicate());
    }
    let mut text = CheckText::default();
    for word in statement.arguments() {
        parameter(&mut text, word).ok_or_else(|| invalid(word))?;
    }
    text.common.complete()?;
    if text.kind == Kind::Mqtt && text.common.matching.is_some() {
        return Err(Diagnostic::emerg("\"mqtt\" is not compatible with \"match\""));
    }
    if text.kind != Kind::Mqtt && text.code.is_some() {
        return Err(Diagnostic::emerg("\"mqtt_code\" requires \"mqtt\""));
    }
    conf.given = Some(text);
    Ok(())
}

/// Reads a word; nothing for one that is no good.
fn parameter(text: &mut CheckText, word: &Word) -> Option<()> {
    if word.is("udp") && text.kind == Kind::Tcp {
        text.kind = Kind::Udp;
    } else if word.is("mqtt") && text.kind == Kind::Tcp {
        text.kind = Kind::Mqtt;
    } else if let Some(value) = word.after("mqtt_code=") {
        text.code = Some(u8::try_from(value::number(value)?).ok().filter(|code| (1..=5).contains(code))?);
    } else {
        text.common.read(word)?;
    }
    Some(())
}

fn match_(cx: &mut Setting<'_>, conf: &mut MatchConf, statement: &Statement) -> Result<(), Diagnostic> {
    let Some(name) = statement.arguments().first() else { return Ok(()) };
    conf.all.declare(name)?;
    let mut text = MatchText::default();
    each(cx, statement, &mut |_, row| {
        let again = |kind: &Word| Err(Diagnostic::emerg(format!("\"{}\" directive is duplicate", kind.text())));
        match row.words.as_slice() {
            [kind, _] if kind.is("send") && text.send.is_some() => again(kind),
            [kind, ..] if kind.is("expect") && text.expect.is_some() => again(kind),
            [kind, value] if kind.is("send") => {
                text.send = Some(unescaped(value)?);
                Ok(())
            }
            [kind, value] if kind.is("expect") => {
                text.expect = Some(ExpectText::Literal(unescaped(value)?));
                Ok(())
            }
            [kind, how, value] if kind.is("expect") && (how.is("~") || how.is("~*")) => {
                pattern::compile(value, &value.text(), how.is("~*"))?;
                text.expect = Some(ExpectText::Matches(value.clone(), how.is("~*")));
                Ok(())
            }
            [kind, how, _] if kind.is("expect") => Err(invalid(how)),
            [kind, ..] if kind.is("send") || kind.is("expect") => {
                Err(Diagnostic::emerg(format!("invalid number of arguments in \"{}\" directive", kind.text())))
            }
            [kind, ..] => {
                let text = kind.text();
                let complaint = Diagnostic::emerg(format!("unknown directive \"{text}\"")).point(kind.span);
                Err(complaint.among("tests", &text, &["send", "expect"]))
            }
            [] => Ok(()),
        }
    })?;
    conf.all.add(name, text);
    Ok(())
}

/// A text with its `\x80`.
fn unescaped(word: &Word) -> Result<Vec<u8>, Diagnostic> {
    let mut out = Vec::with_capacity(word.bytes.len());
    let mut rest = &*word.bytes;
    while let Some((byte, after)) = rest.split_first() {
        rest = match after.split_first_chunk::<3>() {
            Some(([b'x', high, low], after)) if *byte == b'\\' => {
                let digit = |digit: u8| char::from(digit).to_digit(16);
                let Some((high, low)) = digit(*high).zip(digit(*low)) else {
                    return Err(Diagnostic::emerg(format!("invalid hexadecimal literal in \"{}\"", word.text())));
                };
                out.push((high * 16 + low) as u8);
                after
            }
            _ => {
                out.push(*byte);
                after
            }
        };
    }
    Ok(out)
}

fn install(levels: &Levels<'_>, place: &mut ServerBuilder, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.level.own::<CheckConf>() else { return Ok(()) };
    let Some(text) = &conf.given else { return Ok(()) };
    let at = |complaint: Diagnostic| match levels.level.span {
        Some(span) => complaint.at(span),
        None => complaint,
    };
    let pool = place.content.as_ref().and_then(|content| content.checks()).and_then(|checks| checks.pool());
    let Some(pool) = pool.cloned() else {
        let text = "\"health_check\" directive requires a group of servers that the server passes connections to";
        return Err(at(Diagnostic::emerg(text)));
    };
    if !pool.zoned {
        return Err(at(without_zone(&pool.group.name)));
    }
    let tests = text.common.matching.as_ref().map(|name| tests(name, levels)).transpose()?.unwrap_or_default();
    let question = match text.kind {
        Kind::Tcp => Question::Tcp(tests),
        Kind::Udp => Question::Udp(tests),
        Kind::Mqtt => Question::Mqtt(text.code),
    };
    let check = text.common.check(&format!("stream {:?}", text.kind));
    pool.group.add_check(&check);
    let timeout = levels.get::<CheckConf>().and_then(|conf| conf.timeout).unwrap_or(Duration::from_secs(5));
    place.health = Some(HealthCheck { check, pool, timeout, most: proxy::buffer_size(levels), question });
    Ok(())
}

/// The tests of a `match` block.
fn tests(name: &Word, levels: &Levels<'_>) -> Result<Tests, Diagnostic> {
    let found = find(levels.get::<MatchConf>().map(|conf| &conf.all), name)?;
    let expect = match &found.expect {
        None => None,
        Some(ExpectText::Literal(text)) => Some(Expect::Literal(text.clone())),
        Some(ExpectText::Matches(word, caseless)) => {
            Some(Expect::Matches(pattern::compile(word, &word.text(), *caseless)?))
        }
    };
    Ok(Tests { name: name.text().into_owned(), send: found.send.clone().unwrap_or_default(), expect })
}
