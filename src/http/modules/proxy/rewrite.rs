//! `proxy_redirect`, `proxy_cookie_domain` and `proxy_cookie_path`: what backends say of themselves, told to clients.

use super::ProxyConf;
use super::request::{Destination, Proxy};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::Setting;
use crate::http::heart::module::{Compile, Text};
use crate::http::heart::request::Request;
use crate::log::Level;
use crate::script::regex::{Captures, Expression, Invalid, MatchError};
use crate::session::used;

/// A `proxy_redirect` as written.
#[derive(Clone, Debug)]
pub enum RedirectText {
    /// `default`.
    Default,
    /// From, to.
    Pair(Word, Word),
}

/// What a value must begin with, or match.
pub enum From {
    /// A text.
    Text(Text),
    /// An expression.
    Expression(Expression),
}

/// From, to.
pub struct Pair {
    from: From,
    to: Text,
}

/// A `proxy_redirect` at work.
pub enum Redirect {
    /// `default`.
    Default,
    /// From, to.
    Pair(Pair),
}

/// The setter of `proxy_redirect`.
pub fn redirect(cx: &mut Setting<'_>, conf: &mut ProxyConf, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.redirects.as_ref().is_some_and(Vec::is_empty) {
        return Err(cx.duplicate());
    }
    let row = match statement.arguments() {
        [word] if word.is("off") => {
            if conf.redirects.is_some() {
                return Err(cx.duplicate());
            }
            conf.redirects = Some(Vec::new());
            return Ok(());
        }
        [word] if word.is("default") => {
            let Some(pass) = &conf.pass else {
                return Err(Diagnostic::emerg(
                    "\"proxy_redirect default\" should be placed after the \"proxy_pass\" directive",
                ));
            };
            if pass.bytes.contains(&b'$') {
                let text = "\"proxy_redirect default\" cannot be used with \"proxy_pass\" directive with variables";
                return Err(Diagnostic::emerg(text));
            }
            RedirectText::Default
        }
        [word] => return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span)),
        [from, to] => {
            check(cx, from)?;
            used::word(cx, to)?;
            RedirectText::Pair(from.clone(), to.clone())
        }
        _ => return Ok(()),
    };
    conf.redirects.get_or_insert_with(Vec::new).push(row);
    Ok(())
}

fn check(cx: &mut Setting<'_>, from: &Word) -> Result<(), Diagnostic> {
    let Some(pattern) = from.after("~") else { return used::word(cx, from) };
    expression(pattern).map(|_| ()).map_err(|invalid| crate::session::pattern::complaint(from, invalid))
}

fn expression(pattern: &[u8]) -> Result<Expression, Invalid> {
    let (pattern, caseless) = pattern.strip_prefix(b"*").map_or((pattern, false), |rest| (rest, true));
    Expression::compile(&String::from_utf8_lossy(pattern), caseless)
}

fn cookie_pair(
    cx: &mut Setting<'_>,
    slot: &mut Option<Vec<(Word, Word)>>,
    statement: &Statement,
) -> Result<(), Diagnostic> {
    if slot.as_ref().is_some_and(Vec::is_empty) {
        return Err(cx.duplicate());
    }
    match statement.arguments() {
        [word] if word.is("off") => {
            if slot.is_some() {
                return Err(cx.duplicate());
            }
            *slot = Some(Vec::new());
        }
        [word] => return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span)),
        [from, to] => {
            check(cx, from)?;
            used::word(cx, to)?;
            slot.get_or_insert_with(Vec::new).push((from.clone(), to.clone()));
        }
        _ => {}
    }
    Ok(())
}

/// The setter of `proxy_cookie_domain`.
pub fn cookie_domain(cx: &mut Setting<'_>, conf: &mut ProxyConf, statement: &Statement) -> Result<(), Diagnostic> {
    cookie_pair(cx, &mut conf.cookie_domains, statement)
}

/// The setter of `proxy_cookie_path`.
pub fn cookie_path(cx: &mut Setting<'_>, conf: &mut ProxyConf, statement: &Statement) -> Result<(), Diagnostic> {
    cookie_pair(cx, &mut conf.cookie_paths, statement)
}

/// Compiles pairs of words.
pub fn pairs(texts: Option<&[(Word, Word)]>, cx: &mut Compile<'_, '_>) -> Result<Vec<Pair>, Diagnostic> {
    texts.unwrap_or_default().iter().map(|(from, to)| pair(from, to, cx)).collect()
}

/// Compiles pairs of `proxy_cookie_domain`: expressions ignore case, and a dot in front of a replacement is dropped.
pub fn domains(texts: Option<&[(Word, Word)]>, cx: &mut Compile<'_, '_>) -> Result<Vec<Pair>, Diagnostic> {
    let pair = |(from, to): &(Word, Word)| match from.after("~") {
        Some(pattern) => {
            let pattern = pattern.strip_prefix(b"*").unwrap_or(pattern);
            let expression = Expression::compile(&String::from_utf8_lossy(pattern), true);
            let expression = expression.map_err(|text| Diagnostic::emerg(text).at(from.span))?;
            Ok(Pair { from: From::Expression(expression), to: cx.text(to)? })
        }
        None => {
            let bare = to.bytes.strip_prefix(b".").unwrap_or(&to.bytes);
            pair(from, &Word { bytes: bare.into(), ..to.clone() }, cx)
        }
    };
    texts.unwrap_or_default().iter().map(pair).collect()
}

fn pair(from: &Word, to: &Word, cx: &mut Compile<'_, '_>) -> Result<Pair, Diagnostic> {
    let from = match from.after("~") {
        Some(pattern) => From::Expression(expression(pattern).map_err(|text| Diagnostic::emerg(text).at(from.span))?),
        None => From::Text(cx.text(from)?),
    };
    Ok(Pair { from, to: cx.text(to)? })
}

/// Compiles `proxy_redirect`.
pub fn redirects(texts: &[RedirectText], cx: &mut Compile<'_, '_>) -> Result<Box<[Redirect]>, Diagnostic> {
    let compile = |text: &RedirectText| match text {
        RedirectText::Pair(from, to) => pair(from, to, cx).map(Redirect::Pair),
        RedirectText::Default => Ok(Redirect::Default),
    };
    texts.iter().map(compile).collect()
}

impl Redirect {
    fn apply(&self, request: &Request, proxy: &Proxy, value: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Pair(pair) => pair.apply(request, value),
            Self::Default => default(proxy, value),
        }
    }
}

/// `proxy_redirect default`: what `proxy_pass` names becomes the location's name.
fn default(proxy: &Proxy, value: &[u8]) -> Option<Vec<u8>> {
    let around = proxy.around.as_ref().map(|around| (&around.0, &around.1));
    let (destination, location) = around.unwrap_or((&proxy.destination, &proxy.location));
    let Destination::Fixed { uri, url, .. } = destination else { return None };
    let rest = value.strip_prefix(&**url)?;
    match uri {
        Some(_) => Some([location, rest].concat()),
        None => rest.strip_prefix(b"/").map(|rest| [b"/", rest].concat()),
    }
}

/// Rewrites a Location, if a pair fits.
pub fn apply(request: &Request, proxy: &Proxy, value: &[u8]) -> Option<Vec<u8>> {
    match &proxy.redirects {
        Some(all) => all.iter().find_map(|redirect| redirect.apply(request, proxy, value)),
        None => default(proxy, value),
    }
}

/// Rewrites the URL of a Refresh header.
pub fn refresh(request: &Request, proxy: &Proxy, value: &[u8]) -> Option<Vec<u8>> {
    let lower = value.to_ascii_lowercase();
    let at = memchr::memmem::find(&lower, b"url=")? + 4;
    let (head, url) = value.split_at_checked(at)?;
    let url = apply(request, proxy, url)?;
    Some([head, &url].concat())
}

impl Pair {
    /// The value with the fitting beginning (or match) replaced.
    fn apply(&self, request: &Request, value: &[u8]) -> Option<Vec<u8>> {
        match &self.from {
            From::Text(from) => {
                let from = from.text(request);
                let rest = value.strip_prefix(from.as_slice())?;
                Some([self.to.text(request).as_slice(), rest].concat())
            }
            From::Expression(expression) => self.by_expression(request, expression, value),
        }
    }

    fn by_expression(&self, request: &Request, expression: &Expression, value: &[u8]) -> Option<Vec<u8>> {
        let mut captures = Captures::default();
        if !hit(request, expression.capture(value, &mut captures)) {
            return None;
        }
        let saved = request.captures.replace(captures);
        let text = self.to.text(request);
        request.captures.replace(saved);
        Some(text)
    }
}

/// Whether an expression matches; one that PCRE2 gives up leaves the header as it is.
fn hit(request: &Request, hit: Result<bool, MatchError>) -> bool {
    hit.unwrap_or_else(|error| {
        request.log(Level::Alert, &error.to_string());
        false
    })
}

/// One flag of a cookie: its name, and what it becomes; none takes it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flag {
    name: &'static str,
    attribute: Option<(&'static str, Option<&'static str>)>,
}

/// The words of `proxy_cookie_flags`; of several about one flag, the first in this list counts.
const FLAGS: &[(&str, Flag)] = &[
    ("secure", Flag { name: "secure", attribute: Some(("Secure", None)) }),
    ("nosecure", Flag { name: "secure", attribute: None }),
    ("httponly", Flag { name: "httponly", attribute: Some(("HttpOnly", None)) }),
    ("nohttponly", Flag { name: "httponly", attribute: None }),
    ("samesite=strict", Flag { name: "samesite", attribute: Some(("SameSite", Some("Strict"))) }),
    ("samesite=lax", Flag { name: "samesite", attribute: Some(("SameSite", Some("Lax"))) }),
    ("samesite=none", Flag { name: "samesite", attribute: Some(("SameSite", Some("None"))) }),
    ("nosamesite", Flag { name: "samesite", attribute: None }),
];

/// A cookie's name, and what becomes of its flags.
pub struct Flags {
    cookie: From,
    /// The words, which may be variables.
    flags: Vec<Text>,
}

/// The setter of `proxy_cookie_flags`.
pub fn cookie_flags(cx: &mut Setting<'_>, conf: &mut ProxyConf, statement: &Statement) -> Result<(), Diagnostic> {
    let [cookie, words @ ..] = statement.arguments() else { return Ok(()) };
    if words.is_empty() {
        if !cookie.is("off") {
            return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", cookie.text())).point(cookie.span));
        }
        if conf.cookie_flags.is_some() {
            return Err(cx.duplicate());
        }
        conf.cookie_flags = Some(Vec::new());
        return Ok(());
    }
    if conf.cookie_flags.as_ref().is_some_and(Vec::is_empty) {
        return Err(cx.duplicate());
    }
    check(cx, cookie)?;
    // What the words are is looked at while serving, as in nginx.
    words.iter().try_for_each(|word| used::word(cx, word))?;
    conf.cookie_flags.get_or_insert_with(Vec::new).push((cookie.clone(), words.to_vec()));
    Ok(())
}

/// Compiles `proxy_cookie_flags`.
pub fn flags(texts: Option<&[(Word, Vec<Word>)]>, cx: &mut Compile<'_, '_>) -> Result<Vec<Flags>, Diagnostic> {
    let compiled = texts.unwrap_or_default().iter().map(|(word, flags)| {
        let cookie = match word.after("~") {
            Some(pattern) => {
                // Names of cookies have no case here, as in nginx.
                let expression = Expression::compile(&String::from_utf8_lossy(pattern), true);
                From::Expression(expression.map_err(|text| Diagnostic::emerg(text).at(word.span))?)
            }
            None => From::Text(cx.text(word)?),
        };
        Ok(Flags { cookie, flags: flags.iter().map(|word| cx.text(word)).collect::<Result<_, _>>()? })
    });
    compiled.collect()
}

/// An attribute of a cookie; the first is the cookie itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Attribute {
    name: Vec<u8>,
    /// What follows the equals sign, if there is one.
    value: Option<Vec<u8>>,
}

impl Attribute {
    fn parse(part: &[u8]) -> Self {
        let (name, value) = match memchr::memchr(b'=', part) {
            Some(at) => (part.get(..at).unwrap_or_default(), part.get(at + 1..)),
            None => (part, None),
        };
        Self { name: blanks_off(name).to_vec(), value: value.map(|value| blanks_off(value).to_vec()) }
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// A text without the blanks around it.
fn blanks_off(text: &[u8]) -> &[u8] {
    let start = text.iter().take_while(|byte| **byte == b' ').count();
    let text = text.get(start..).unwrap_or_default();
    let end = text.iter().rev().take_while(|byte| **byte == b' ').count();
    text.get(..text.len() - end).unwrap_or_default()
}

/// Gives a cookie a flag, or takes it away.
fn set_flag(cookie: &mut Vec<Attribute>, flag: Flag) {
    let Some((name, value)) = flag.attribute else {
        let mut number = 0;
        cookie.retain(|attribute| {
            number += 1;
            number == 1 || !attribute.is(flag.name)
        });
        return;
    };
    let value = value.map(|value| value.as_bytes().to_vec());
    match cookie.iter_mut().skip(1).find(|attribute| attribute.is(flag.name)) {
        Some(have) => {
            let same = |value: &Vec<u8>| have.value.as_ref().is_some_and(|have| have.eq_ignore_ascii_case(value));
            if value.as_ref().is_some_and(|value| !same(value)) {
                *have = Attribute { name: name.as_bytes().to_vec(), value };
            }
        }
        None => cookie.push(Attribute { name: name.as_bytes().to_vec(), value }),
    }
}

/// Rewrites domain, path and flags of a Set-Cookie; nothing where nothing fits.
pub fn cookie(request: &Request, proxy: &Proxy, text: &[u8]) -> Option<Vec<u8>> {
    if proxy.cookie_domains.is_empty() && proxy.cookie_paths.is_empty() && proxy.cookie_flags.is_empty() {
        return None;
    }
    let mut cookie: Vec<Attribute> = text.split(|byte| *byte == b';').map(Attribute::parse).collect();
    cookie.first().filter(|first| first.value.is_some())?;
    let mut rewritten = false;
    for attribute in cookie.iter_mut().skip(1) {
        let Some(value) = &attribute.value else { continue };
        let new = if attribute.is("domain") {
            domain(request, &proxy.cookie_domains, value)
        } else if attribute.is("path") {
            proxy.cookie_paths.iter().find_map(|pair| pair.apply(request, value))
        } else {
            None
        };
        if new.is_some() {
            attribute.value = new;
            rewritten = true;
        }
    }
    let name = cookie.first().map(|first| first.name.clone()).unwrap_or_default();
    let fits = |flags: &&Flags| match &flags.cookie {
        From::Text(text) => text.text(request).eq_ignore_ascii_case(&name),
        From::Expression(expression) => hit(request, expression.matches(&name)),
    };
    if let Some(flags) = proxy.cookie_flags.iter().find(fits) {
        let wanted: Vec<Flag> = flags.flags.iter().filter_map(|text| flag(request, text)).collect();
        for about in ["secure", "httponly", "samesite"] {
            let counts = |flag: &Flag| flag.name == about && wanted.contains(flag);
            if let Some((_, flag)) = FLAGS.iter().find(|(_, flag)| counts(flag)) {
                set_flag(&mut cookie, *flag);
                rewritten = true;
            }
        }
    }
    rewritten.then(|| joined(&cookie))
}

/// The flag a word of `proxy_cookie_flags` is for this request.
fn flag(request: &Request, text: &Text) -> Option<Flag> {
    let word = text.text(request);
    // A word that is no flag changes nothing.
    FLAGS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes())).map(|(_, flag)| *flag)
}

/// A cookie as it is sent.
fn joined(cookie: &[Attribute]) -> Vec<u8> {
    let mut out = Vec::new();
    for attribute in cookie {
        if !out.is_empty() {
            out.extend_from_slice(b"; ");
        }
        out.extend_from_slice(&attribute.name);
        if let Some(value) = &attribute.value {
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
    out
}

/// A domain must fit whole, whatever its case and a leading dot.
fn domain(request: &Request, pairs: &[Pair], text: &[u8]) -> Option<Vec<u8>> {
    let (dot, bare) = text.strip_prefix(b".").map_or((&b""[..], text), |bare| (&b"."[..], bare));
    pairs.iter().find_map(|pair| match &pair.from {
        From::Text(from) => {
            let from = from.text(request);
            let from = from.strip_prefix(b".").unwrap_or(&from);
            bare.eq_ignore_ascii_case(from).then(|| [dot, &pair.to.text(request)].concat())
        }
        From::Expression(expression) => pair.by_expression(request, expression, text),
    })
}
