//! `sticky` of `upstream {}`: what tells the server a session belongs to, as written.

use super::settings::Upstream;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::source::Span;
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::Setting;
use crate::session::{shared, used};
use std::time::Duration;

/// The words of a row.
pub const WORDS: &[&str] = &[
    "cookie",
    "route",
    "learn",
    "domain=",
    "path=",
    "expires=",
    "httponly",
    "secure",
    "samesite=",
    "create=",
    "lookup=",
    "zone=",
    "timeout=",
    "header",
];
/// What a zone of sessions is called.
pub const KIND: &str = "sticky";
/// The longest id of a server.
pub const LONGEST: usize = 32;

/// What tells the server of a session.
#[derive(Clone, Debug)]
pub enum StickyText {
    /// The first of these variables that is not empty.
    Route(Vec<Word>),
    /// A cookie that clients are given.
    Cookie(CookieText),
    /// Sessions that servers begin.
    Learn(LearnText),
}

/// `sticky learn`.
#[derive(Clone, Debug)]
pub struct LearnText {
    /// The variables with the session of a request, `lookup=`.
    pub lookups: Vec<Word>,
    /// The variables with the session of a response, `create=`.
    pub creates: Vec<Word>,
    /// The name of the zone with the sessions.
    pub zone: String,
    /// Its size in bytes.
    pub size: u64,
    /// Where it is named.
    pub at: Span,
    /// How long a session is remembered that is not used.
    pub timeout: Duration,
    /// `header`: sessions begin with the head of a response, not with its end.
    pub header: bool,
}

/// The cookie of `sticky cookie`.
#[derive(Clone, Debug)]
pub struct CookieText {
    /// Its name.
    pub name: Word,
    /// `domain=`.
    pub domain: Option<Word>,
    /// `path=`.
    pub path: Option<Word>,
    /// `expires=`.
    pub expires: Option<Expires>,
    /// `httponly`.
    pub httponly: bool,
    /// `secure`.
    pub secure: bool,
    /// `samesite=`.
    pub samesite: Option<Word>,
}

/// How long a cookie is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expires {
    /// For good.
    Max,
    /// So many seconds.
    After(u64),
}

/// Whether a value of `samesite=` is one.
pub fn is_samesite(value: &[u8]) -> bool {
    ["strict", "lax", "none"].iter().any(|known| value.eq_ignore_ascii_case(known.as_bytes()))
}

/// Reads a `sticky` row.
///
/// # Errors
/// nginx's words.
pub fn set(cx: &mut Setting<'_>, conf: &mut Upstream, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.sticky.is_some() {
        return Err(cx.duplicate());
    }
    let [kind, words @ ..] = statement.arguments() else { return Ok(()) };
    conf.sticky = Some(match &*kind.bytes {
        b"cookie" => StickyText::Cookie(cookie(cx, words)?),
        b"route" => {
            for word in words {
                used::name(word)?;
                used::word(cx, word)?;
            }
            StickyText::Route(words.to_vec())
        }
        b"learn" => {
            let learn = learn(cx, words)?;
            shared::declare(cx, &learn.zone, learn.size, KIND)?;
            StickyText::Learn(learn)
        }
        _ => return Err(unknown(kind)),
    });
    Ok(())
}

fn unknown(word: &Word) -> Diagnostic {
    Diagnostic::emerg(format!("unknown parameter \"{}\"", word.text())).point(word.span)
}

fn cookie(cx: &mut Setting<'_>, words: &[Word]) -> Result<CookieText, Diagnostic> {
    let [name, rest @ ..] = words else { return Err(cx.complain("empty cookie name")) };
    if name.bytes.is_empty() {
        return Err(cx.complain("empty cookie name"));
    }
    let mut cookie = CookieText {
        name: name.clone(),
        domain: None,
        path: None,
        expires: None,
        httponly: false,
        secure: false,
        samesite: None,
    };
    for word in rest {
        let part = |value: &[u8]| Word { bytes: value.into(), ..word.clone() };
        if let Some(value) = word.after("domain=") {
            given(cx, &mut cookie.domain, "domain", part(value))?;
            used::word(cx, word)?;
        } else if let Some(value) = word.after("path=") {
            given(cx, &mut cookie.path, "path", part(value))?;
        } else if let Some(value) = word.after("expires=") {
            let expires = match value {
                b"max" => Some(Expires::Max),
                value => value::time(value, true).map(|time| Expires::After(time.as_secs())),
            };
            once(cx, cookie.expires.is_some(), "expires")?;
            cookie.expires = Some(expires.ok_or_else(|| cx.complain("invalid \"expires\" parameter value"))?);
        } else if word.is("httponly") {
            once(cx, std::mem::replace(&mut cookie.httponly, true), "httponly")?;
        } else if word.is("secure") {
            once(cx, std::mem::replace(&mut cookie.secure, true), "secure")?;
        } else if let Some(value) = word.after("samesite=") {
            once(cx, cookie.samesite.is_some(), "samesite")?;
            if !used::varies(value) && !is_samesite(value) {
                return Err(cx.complain("invalid \"samesite\" parameter value"));
            }
            used::word(cx, word)?;
            cookie.samesite = Some(part(value));
        } else {
            return Err(unknown(word));
        }
    }
    Ok(cookie)
}

/// The least size of a zone of sessions.
const LEAST: u64 = 8 * 4096;

fn learn(cx: &mut Setting<'_>, words: &[Word]) -> Result<LearnText, Diagnostic> {
    let (mut lookups, mut creates, mut zone, mut timeout, mut header) = (Vec::new(), Vec::new(), None, None, false);
    for word in words {
        let variable = |cx: &mut Setting<'_>, value: &[u8], name: &str| {
            if !value.starts_with(b"$") {
                return Err(cx.complain(&format!("missing variable in the \"{name}\" parameter")));
            }
            used::word(cx, word)?;
            Ok(Word { bytes: value.into(), ..word.clone() })
        };
        if let Some(value) = word.after("zone=") {
            if zone.is_some() {
                return Err(cx.complain("duplicate zone"));
            }
            zone = Some((sessions(cx, value)?, word.span));
        } else if let Some(value) = word.after("timeout=") {
            if timeout.is_some() {
                return Err(cx.complain("duplicate timeout"));
            }
            let time = value::time(value, false).filter(|time| !time.is_zero());
            timeout = Some(time.ok_or_else(|| cx.complain("invalid timeout"))?);
        } else if let Some(value) = word.after("create=") {
            creates.push(variable(cx, value, "create")?);
        } else if let Some(value) = word.after("lookup=") {
            lookups.push(variable(cx, value, "lookup")?);
        } else if word.is("header") {
            header = true;
        } else {
            return Err(unknown(word));
        }
    }
    let lacks = |cx: &Setting<'_>, name: &str| cx.complain(&format!("\"{name}\" parameter is not specified"));
    if lookups.is_empty() {
        return Err(lacks(cx, "lookup"));
    }
    if creates.is_empty() {
        return Err(lacks(cx, "create"));
    }
    let Some(((zone, size), at)) = zone else { return Err(lacks(cx, "zone")) };
    Ok(LearnText { lookups, creates, zone, size, at, timeout: timeout.unwrap_or(Duration::from_mins(10)), header })
}

/// Name and size of a zone.
fn sessions(cx: &Setting<'_>, text: &[u8]) -> Result<(String, u64), Diagnostic> {
    let text = crate::conf::bytes::text(text);
    let Some((name, size)) = text.split_once(':') else { return Err(cx.complain("zone size is not specified")) };
    if name.is_empty() {
        return Err(cx.complain("zone name is not specified"));
    }
    let size = value::size(size.as_bytes(), false).ok_or_else(|| cx.complain("invalid zone size"))?;
    if size < LEAST { Err(cx.complain("zone is too small")) } else { Ok((name.to_owned(), size)) }
}

fn once(cx: &Setting<'_>, is_given: bool, name: &str) -> Result<(), Diagnostic> {
    if is_given { Err(cx.complain(&format!("parameter \"{name}\" is duplicate"))) } else { Ok(()) }
}

/// A parameter with a value that must not be empty.
fn given(cx: &Setting<'_>, slot: &mut Option<Word>, name: &str, value: Word) -> Result<(), Diagnostic> {
    once(cx, slot.is_some(), name)?;
    if value.bytes.is_empty() {
        return Err(cx.complain(&format!("no value for \"{name}\"")));
    }
    *slot = Some(value);
    Ok(())
}

#[cfg(test)]
mod tests;
