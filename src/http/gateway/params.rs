//! What FastCGI, uwsgi and SCGI have in common: parameters of a request, and where it goes.

use super::cache;
use super::conf::Gateway;
use super::lookup::Servers;
use super::pass;
use super::protocol::Target;
use crate::conf::bytes;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::Word;
use crate::http::heart::module::{Compile, Text};
use crate::http::heart::request::Request;
use crate::http::heart::upstream::Pool;
use crate::log::Level;
use crate::net::address;
use crate::session::used;
use std::sync::Arc;

/// The parameters of a location.
pub struct Params {
    rows: Vec<Param>,
    /// Whether the client's headers are passed on.
    pass_headers: bool,
    /// Whether answers may be kept, so that some are not.
    kept: bool,
}

/// A parameter whose value is a variable's.
type Getter = fn(&Request, u32, &mut Vec<u8>) -> bool;

/// Parameters of requests whose answers may be kept, where none of the name is written: conditions of a cache, and nothing in
/// place of the client's.
const OF_CACHE: [(&[u8], Option<Getter>); 6] = [
    (b"HTTP_IF_MODIFIED_SINCE", Some(cache::last_modified)),
    (b"HTTP_IF_UNMODIFIED_SINCE", None),
    (b"HTTP_IF_NONE_MATCH", Some(cache::etag)),
    (b"HTTP_IF_MATCH", None),
    (b"HTTP_RANGE", None),
    (b"HTTP_IF_RANGE", None),
];

/// One parameter.
struct Param {
    name: Box<[u8]>,
    value: Text,
    /// Whether an empty value leaves it out.
    skips_empty: bool,
}

/// A parameter as written: name, value, and whether `if_not_empty` was given.
pub type Written = (Word, Word, bool);

/// Reads a `*_param`.
///
/// # Errors
/// A third word that is not `if_not_empty`.
pub fn written(words: &[Word]) -> Result<Option<Written>, Diagnostic> {
    let [name, value, rest @ ..] = words else { return Ok(None) };
    match rest.first() {
        Some(word) if !word.is("if_not_empty") => {
            Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span))
        }
        condition => Ok(Some((name.clone(), value.clone(), condition.is_some()))),
    }
}

impl Params {
    /// The parameters of merged settings.
    ///
    /// # Errors
    /// Texts that do not compile.
    pub fn new(written: &[Written], gateway: &Gateway, cx: &mut Compile<'_, '_>) -> Result<Self, Diagnostic> {
        let rows = written.iter().map(|(name, value, skips_empty)| {
            Ok(Param { name: name.bytes.clone(), value: cx.text(value)?, skips_empty: *skips_empty })
        });
        Ok(Self { rows: rows.collect::<Result<_, Diagnostic>>()?, pass_headers: gateway.pass_headers, kept: false })
    }

    /// The same for a place whose answers may be kept.
    pub const fn kept(mut self, kept: bool) -> Self {
        self.kept = kept;
        self
    }

    /// The parameters of a request, one a line.
    pub fn lines(&self, request: &Request) -> Vec<u8> {
        let mut lines = Vec::new();
        self.each(request, |name, value| lines.extend([name, b"=", value, b"\n"].concat()));
        lines
    }

    /// Whether a parameter of this name is written.
    fn has(&self, name: &[u8]) -> bool {
        self.rows.iter().any(|row| row.name.eq_ignore_ascii_case(name))
    }

    /// Gives `put` the parameters of a request: those written, then the client's headers that none of them replaces.
    pub fn each(&self, request: &Request, mut put: impl FnMut(&[u8], &[u8])) {
        let mut value = request.event_loop().text();
        for row in &self.rows {
            value.clear();
            row.value.write(request, &mut value);
            if !(row.skips_empty && value.is_empty()) {
                put(&row.name, &value);
            }
        }
        let kept = self.kept && request.attempts.cache.keeps;
        for (name, getter) in OF_CACHE.iter().filter(|(name, _)| kept && !self.has(name)) {
            value.clear();
            if getter.is_some_and(|getter| getter(request, 0, &mut value)) {
                put(name, &value);
            }
        }
        request.event_loop().give_text(value);
        if !self.pass_headers {
            return;
        }
        let mut headers: Vec<(Vec<u8>, Vec<u8>)> = Vec::with_capacity(request.head.headers.len());
        for (header, text, _) in request.head.iter() {
            let name = [b"HTTP_", header].concat().iter().map(|byte| upper(*byte)).collect::<Vec<u8>>();
            if self.has(&name) || kept && OF_CACHE.iter().any(|(own, _)| **own == *name) {
                continue;
            }
            let same = |(own, _): &&mut (Vec<u8>, Vec<u8>)| *own == name;
            match headers.iter_mut().find(same) {
                Some((_, value)) => {
                    value.extend_from_slice(if header.eq_ignore_ascii_case(b"Cookie") { b"; " } else { b", " });
                    value.extend_from_slice(text);
                }
                None => headers.push((name, text.to_vec())),
            }
        }
        for (name, value) in &headers {
            put(name, value);
        }
    }
}

const fn upper(byte: u8) -> u8 {
    if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() }
}

/// Where a location's requests go.
pub enum Destination {
    /// A group known beforehand, and its name as written.
    Fixed(Arc<Pool>, Box<[u8]>, bool),
    /// A text with variables.
    Variable(Text),
}

/// The rest of an address behind its scheme, and whether that asks for TLS.
pub type Split = fn(&[u8]) -> (&[u8], bool);

impl Destination {
    /// Where a `*_pass` leads.
    ///
    /// # Errors
    /// What [`pass::look_up`] complains about, or a text that does not compile.
    pub fn new(word: &Word, split: Split, cx: &mut Compile<'_, '_>) -> Result<Self, Diagnostic> {
        if used::varies(&word.bytes) {
            return Ok(Self::Variable(cx.text(word)?));
        }
        let (rest, secure) = split(&word.bytes);
        Self::fixed(word, rest, secure, cx)
    }

    /// Where an address without variables leads; `rest` is what follows the scheme of `word`.
    ///
    /// # Errors
    /// What [`pass::look_up`] complains about.
    pub fn fixed(word: &Word, rest: &[u8], secure: bool, cx: &mut Compile<'_, '_>) -> Result<Self, Diagnostic> {
        pass::look_up(word, rest, None, cx)?;
        let name = String::from_utf8_lossy(rest).into_owned();
        let pool = match cx.upstreams.get(&name) {
            Some(pool) => pool.clone(),
            None => {
                let endpoint = address::parse(&name, false).map_err(|what| Diagnostic::emerg(what).at(word.span))?;
                cx.upstreams.implicit(&name, &endpoint, 0, cx.build).map_err(|complaint| complaint.at(word.span))?
            }
        };
        Ok(Self::Fixed(pool, rest.into(), secure))
    }

    /// The group that is known beforehand.
    pub const fn pool(&self) -> Option<&Arc<Pool>> {
        match self {
            Self::Fixed(pool, ..) => Some(pool),
            Self::Variable(_) => None,
        }
    }

    /// Where a request goes.
    ///
    /// # Errors
    /// The status to answer with, when there is no such place.
    pub fn target(&self, request: &Request, split: Split) -> Result<Target, u16> {
        let text = match self {
            Self::Fixed(pool, name, secure) => {
                let servers = Servers::Known(pool.clone());
                return Ok(Target { servers, uri: Vec::new(), host: name.to_vec(), secure: *secure });
            }
            Self::Variable(text) => text.text(request),
        };
        let (rest, secure) = split(&text);
        let name = String::from_utf8_lossy(rest).into_owned();
        let to = |servers| Target { servers, uri: Vec::new(), host: rest.to_vec(), secure };
        if let Some(pool) = request.site.upstreams.get(&name) {
            return Ok(to(Servers::Known(pool.clone())));
        }
        let fail = |what: &str| {
            request.log(Level::Error, &format!("{what} in upstream \"{}\"", bytes::text(rest)));
            500_u16
        };
        let endpoint = address::parse(&name, false).map_err(fail)?;
        if let Some(pool) = endpoint.port.and_then(|port| request.site.upstreams.of_address(&endpoint, port)) {
            return Ok(to(Servers::Known(pool.clone())));
        }
        Servers::of(&name, endpoint, None).map(to).ok_or_else(|| fail("no port"))
    }
}
