//! `proxy_redirect`, `proxy_cookie_domain` and `proxy_cookie_path`: what backends say of themselves, told to clients.

use super::ProxyConf;
use super::request::Destination;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::Setting;
use crate::http::module::{Compile, Text};
use crate::http::request::Request;
use crate::script::regex::{Captures, Expression};

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
pub type Redirect = Pair;

/// The setter of `proxy_redirect`.
pub fn redirect(cx: &mut Setting<'_>, conf: &mut ProxyConf, statement: &Statement) -> Result<(), Diagnostic> {
    let row = match statement.arguments() {
        [word] if word.is("off") => {
            if conf.redirects.is_some() {
                return Err(cx.complain("is duplicate"));
            }
            conf.redirects = Some(Vec::new());
            return Ok(());
        }
        [word] if word.is("default") => {
            let Some(pass) = &conf.pass else {
                return Err(Diagnostic::emerg("\"proxy_redirect default\" should be placed after the \"proxy_pass\" directive"));
            };
            if pass.bytes.contains(&b'$') {
                let text = "\"proxy_redirect default\" cannot be used with \"proxy_pass\" directive with variables";
                return Err(Diagnostic::emerg(text));
            }
            RedirectText::Default
        }
        [word] => return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span)),
        [from, to] => {
            check(from)?;
            RedirectText::Pair(from.clone(), to.clone())
        }
        _ => return Ok(()),
    };
    conf.redirects.get_or_insert_with(Vec::new).push(row);
    Ok(())
}

fn check(from: &Word) -> Result<(), Diagnostic> {
    let Some(pattern) = from.after("~") else { return Ok(()) };
    expression(pattern).map(|_| ()).map_err(|text| Diagnostic::emerg(text).point(from.span))
}

fn expression(pattern: &[u8]) -> Result<Expression, String> {
    let (pattern, caseless) = pattern.strip_prefix(b"*").map_or((pattern, false), |rest| (rest, true));
    Expression::compile(&String::from_utf8_lossy(pattern), caseless)
}

fn cookie_pair(
    cx: &Setting<'_>,
    slot: &mut Option<Vec<(Word, Word)>>,
    statement: &Statement,
) -> Result<(), Diagnostic> {
    match statement.arguments() {
        [word] if word.is("off") => {
            if slot.is_some() {
                return Err(cx.complain("is duplicate"));
            }
            *slot = Some(Vec::new());
        }
        [word] => return Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span)),
        [from, to] => {
            check(from)?;
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

fn pair(from: &Word, to: &Word, cx: &mut Compile<'_, '_>) -> Result<Pair, Diagnostic> {
    let from = match from.after("~") {
        Some(pattern) => From::Expression(expression(pattern).map_err(|text| Diagnostic::emerg(text).at(from.span))?),
        None => From::Text(cx.text(from)?),
    };
    Ok(Pair { from, to: cx.text(to)? })
}

/// Compiles `proxy_redirect`; where none is given, the default of a fixed destination.
pub fn redirects(
    texts: Option<&[RedirectText]>,
    destination: &Destination,
    location: &[u8],
    cx: &mut Compile<'_, '_>,
) -> Result<Vec<Redirect>, Diagnostic> {
    let default = [RedirectText::Default];
    let mut all = Vec::new();
    for text in texts.unwrap_or(&default) {
        match (text, destination) {
            (RedirectText::Pair(from, to), _) => all.push(pair(from, to, cx)?),
            (RedirectText::Default, Destination::Fixed { uri, url, .. }) => {
                let (from, to) = match uri {
                    Some(_) => (url.clone(), location.to_vec()),
                    None => ([url.as_slice(), b"/"].concat(), b"/".to_vec()),
                };
                all.push(Pair { from: From::Text(literal(&from, cx)?), to: literal(&to, cx)? });
            }
            (RedirectText::Default, Destination::Variable(_)) => {}
        }
    }
    Ok(all)
}

fn literal(text: &[u8], cx: &mut Compile<'_, '_>) -> Result<Text, Diagnostic> {
    Text::compile(text, &mut cx.names).map_err(Diagnostic::emerg)
}

/// Rewrites a Location, if a pair fits.
pub fn apply(request: &Request, pairs: &[Pair], value: &[u8]) -> Option<Vec<u8>> {
    pairs.iter().find_map(|pair| pair.apply(request, value))
}

/// Rewrites the URL of a Refresh header.
pub fn refresh(request: &Request, pairs: &[Pair], value: &[u8]) -> Option<Vec<u8>> {
    let lower = value.to_ascii_lowercase();
    let at = memchr::memmem::find(&lower, b"url=")? + 4;
    let (head, url) = value.split_at_checked(at)?;
    let url = apply(request, pairs, url)?;
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
        if !expression.capture(value, &mut captures) {
            return None;
        }
        let saved = request.captures.replace(captures);
        let text = self.to.text(request);
        request.captures.replace(saved);
        Some(text)
    }
}

/// Rewrites domain and path of a Set-Cookie, if pairs fit.
pub fn cookie(request: &Request, domains: &[Pair], paths: &[Pair], value: &[u8]) -> Option<Vec<u8>> {
    if domains.is_empty() && paths.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(value.len() + 16);
    let mut changed = false;
    for (index, attribute) in value.split(|byte| *byte == b';').enumerate() {
        if index > 0 {
            out.push(b';');
        }
        let body = attribute.trim_ascii_start();
        let blank = attribute.len() - body.len();
        let (name, text) = match memchr::memchr(b'=', body) {
            Some(at) => (body.get(..at).unwrap_or_default(), body.get(at + 1..).unwrap_or_default()),
            None => (body, &b""[..]),
        };
        let new = if index == 0 {
            None
        } else if name.eq_ignore_ascii_case(b"domain") {
            domain(request, domains, text)
        } else if name.eq_ignore_ascii_case(b"path") {
            apply(request, paths, text)
        } else {
            None
        };
        match new {
            Some(new) => {
                changed = true;
                out.extend_from_slice(attribute.get(..blank + name.len() + 1).unwrap_or_default());
                out.extend_from_slice(&new);
            }
            None => out.extend_from_slice(attribute),
        }
    }
    changed.then_some(out)
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
