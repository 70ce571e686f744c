//! `ngx_http_gzip_filter_module`, with the rows of the core that only it reads: responses compressed on their way out.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Merged as _, Scope, inherit};
use crate::conf::slot::{Buffers, Choice, Custom, Flag, Mask, Number, Size};
use crate::conf::tree::Statement;
use crate::conf::value;
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::filter::{BodyFilter, Failed, Filter, Pieces, Slot, Then};
use crate::http::heart::head::Known;
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::request::Request;
use crate::http::heart::response::{Coding, Compressed};
use crate::http::modules::coding;
use crate::http::route::encode::is_msie6;
use crate::log::Level;
use crate::log::clock::parse_http_date;
use crate::script::regex::Expression;
use crate::script::variable::Variable;
use crate::session::contexts::{HTTP_ANY, HTTP_ANY_IF, HTTP_LEVELS};
use crate::session::pattern;
use crate::session::slot::{MimeTypes, free, is_among};
use crate::sys::zlib::{Deflate, Flush, ZlibError};
use std::sync::Arc;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).variables(VARIABLES).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_gzip_filter_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Gzip>(HTTP_LEVELS)],
};

const VARIABLES: &[Variable<Request>] = &[Variable::new("gzip_ratio", gzip_ratio)];

const DIRECTIVES: &[Directive] = &[
    Directive::new("gzip", HTTP_ANY_IF, Arity::Flag, &Flag(|c: &mut Gzip| &mut c.gzip))
        .default("off")
        .doc("Compresses responses."),
    Directive::new("gzip_buffers", HTTP_ANY, Arity::Exactly(2), &Buffers(|c: &mut Gzip| &mut c.buffers))
        .default("32 4k")
        .doc("Sets the number and size of buffers for compressing."),
    Directive::new("gzip_types", HTTP_ANY, Arity::AtLeast(1), &MimeTypes(|c: &mut Gzip| &mut c.types, "text/html"))
        .doc("Sets the MIME types that are compressed beside text/html; an asterisk stands for any."),
    Directive::new("gzip_comp_level", HTTP_ANY, Arity::Exactly(1), &Number(|c: &mut Gzip| &mut c.comp_level, 1..=9))
        .default("1")
        .doc("Sets how hard to compress."),
    Directive::new("gzip_window", HTTP_ANY, Arity::Exactly(1), &Custom(gzip_window))
        .doc("Sets the window of the compression."),
    Directive::new("gzip_hash", HTTP_ANY, Arity::Exactly(1), &Custom(gzip_hash))
        .doc("Sets the memory of the compression."),
    Directive::new("postpone_gzipping", HTTP_ANY, Arity::Exactly(1), &Size(|c: &mut Gzip| &mut c.postpone_gzipping))
        .default("0")
        .doc("Holds the compression back until there are so many bytes."),
    Directive::new("gzip_no_buffer", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Gzip| &mut c.no_buffer))
        .default("off")
        .doc("Passes on what is compressed at once."),
    Directive::new("gzip_min_length", HTTP_ANY, Arity::Exactly(1), &Size(|c: &mut Gzip| &mut c.min_length))
        .default("20")
        .doc("Sets the least length of a response that is compressed."),
    Directive::new("gzip_vary", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Gzip| &mut c.vary))
        .default("off")
        .doc("Adds a Vary header to responses that could be compressed."),
    Directive::new(
        "gzip_http_version",
        HTTP_ANY,
        Arity::Exactly(1),
        &Choice(|c: &mut Gzip| &mut c.http_version, VERSIONS),
    )
    .default("1.1")
    .doc("Sets the least HTTP version of requests whose responses are compressed."),
    Directive::new("gzip_proxied", HTTP_ANY, Arity::AtLeast(1), &Mask(|c: &mut Gzip| &mut c.proxied, PROXIED))
        .default("off")
        .doc("Sets which responses to requests from proxies are compressed."),
    Directive::new("gzip_disable", HTTP_ANY, Arity::AtLeast(1), &Custom(gzip_disable))
        .doc("Compresses nothing for browsers whose names match."),
];

const VERSIONS: &[(&str, u8)] = &[("1.0", 10), ("1.1", 11)];
const PROXIED: &[(&str, u32)] = &[
    ("off", 1),
    ("expired", 1 << 1),
    ("no-cache", 1 << 2),
    ("no-store", 1 << 3),
    ("private", 1 << 4),
    ("no_last_modified", 1 << 5),
    ("no_etag", 1 << 6),
    ("auth", 1 << 7),
    ("any", 1 << 8),
];

/// Settings of the module.
#[derive(Default)]
struct Gzip {
    gzip: Option<bool>,
    buffers: Option<(u64, u64)>,
    types: Vec<Box<[u8]>>,
    comp_level: Option<u64>,
    postpone_gzipping: Option<u64>,
    no_buffer: Option<bool>,
    min_length: Option<u64>,
    vary: Option<bool>,
    http_version: Option<u8>,
    proxied: Option<u32>,
    window: Option<u64>,
    hash: Option<u64>,
    disabled: Vec<String>,
}

impl Conf for Gzip {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list types; gzip, buffers, comp_level, postpone_gzipping, no_buffer, min_length, vary, http_version, proxied);
        inherit!(self, outer; list disabled; window, hash);
    }
}

/// A size that is a power of two between 512 and `most`.
fn power(cx: &Setting<'_>, statement: &Statement, most: u64, words: &str) -> Result<u64, Diagnostic> {
    let size = statement.arguments().first().and_then(|word| value::size(&word.bytes, false));
    let size = size.ok_or_else(|| cx.complain("invalid value"))?;
    if size.is_power_of_two() && (512..=most).contains(&size) { Ok(size) } else { Err(cx.complain(words)) }
}

fn gzip_window(cx: &mut Setting<'_>, conf: &mut Gzip, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.window)?;
    conf.window = Some(power(cx, statement, 32 << 10, "must be 512, 1k, 2k, 4k, 8k, 16k, or 32k")?);
    Ok(())
}

fn gzip_hash(cx: &mut Setting<'_>, conf: &mut Gzip, statement: &Statement) -> Result<(), Diagnostic> {
    free(cx, &conf.hash)?;
    conf.hash = Some(power(cx, statement, 128 << 10, "must be 512, 1k, 2k, 4k, 8k, 16k, 32k, 64k, or 128k")?);
    Ok(())
}

fn gzip_disable(_: &mut Setting<'_>, conf: &mut Gzip, statement: &Statement) -> Result<(), Diagnostic> {
    for word in statement.arguments() {
        if !word.is("msie6") {
            pattern::compile(word, &word.text(), true)?;
        }
        conf.disabled.push(word.text().into_owned());
    }
    Ok(())
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<Gzip>().filter(|conf| conf.gzip == Some(true)) else { return Ok(()) };
    place.filter(Compressor {
        types: conf.types.clone(),
        level: u8::try_from(conf.comp_level.merged()?).unwrap_or(1),
        window: conf.window.map_or(15, |window| window.trailing_zeros() as u8),
        // A hash of a size has as many bits as its memory level, and 7.
        memory: conf.hash.map_or(8, |hash| hash.trailing_zeros() as u8 - 8),
        postpone: conf.postpone_gzipping.merged()?,
        min_length: conf.min_length.merged()?,
        clients: clients(levels, cx)?,
    });
    Ok(())
}

/// The clients that are given compressed responses at a place.
///
/// # Errors
/// An expression that cannot be compiled.
pub fn clients(levels: &Levels<'_>, cx: &mut Compile<'_, '_>) -> Result<Arc<Clients>, Diagnostic> {
    let empty = Gzip::default();
    let conf = levels.get::<Gzip>().unwrap_or(&empty);
    cx.once(conf, |_| {
        let mut disabled = Vec::new();
        for text in conf.disabled.iter().filter(|text| *text != "msie6") {
            disabled.push(Expression::compile(text, true).map_err(Diagnostic::emerg)?);
        }
        Ok(Clients {
            vary: conf.vary.merged()?,
            version: if conf.http_version.merged()? == 10 { 1000 } else { 1001 },
            proxied: conf.proxied.merged()?,
            msie6: conf.disabled.iter().any(|text| text == "msie6"),
            disabled,
        })
    })
}

/// Which clients are given compressed responses.
pub struct Clients {
    /// Whether all are told that the response depends on Accept-Encoding.
    pub vary: bool,
    version: u16,
    proxied: u32,
    msie6: bool,
    disabled: Vec<Expression>,
}

/// `gzip on` at a place.
struct Compressor {
    types: Vec<Box<[u8]>>,
    level: u8,
    window: u8,
    memory: u8,
    postpone: u64,
    min_length: u64,
    clients: Arc<Clients>,
}

impl Filter for Compressor {
    fn slot(&self) -> Slot {
        Slot::Gzip
    }

    fn head(&self, request: &mut Request) -> Option<Box<dyn BodyFilter>> {
        let response = &request.response;
        let short = response.length.is_some_and(|length| length < self.min_length);
        if !matches!(response.status, 200 | 403 | 404)
            || short
            || response.header(b"Content-Encoding").is_some()
            || !is_among(&self.types, "text/html", &response.content_type)
        {
            return None;
        }
        request.response.vary |= self.clients.vary;
        if !self.clients.suit(request) {
            return None;
        }
        let response = &mut request.response;
        let (window, memory) = sizes(self.window, self.memory, response.length);
        response.headers.add(b"Content-Encoding", b"gzip");
        response.change_body();
        response.weaken_etag();
        let how = How { level: self.level, window, memory, postpone: self.postpone };
        Some(Box::new(Stream { how, stream: None, held: Vec::new(), holds: self.postpone > 0 }))
    }
}

impl Clients {
    /// Whether the request's client takes gzip, and may be given it; found once for a request.
    pub fn suit(&self, request: &mut Request) -> bool {
        if let Some(known) = request.response.may_gzip {
            return known;
        }
        let may = self.suits(request);
        request.response.may_gzip = Some(may);
        may
    }

    fn suits(&self, request: &Request) -> bool {
        if request.is_subrequest() {
            return false;
        }
        let Some(accepted) = request.header(Known::AcceptEncoding) else { return false };
        let agent = request.header(Known::UserAgent).unwrap_or_default();
        accepts_gzip(accepted)
            && !(self.msie6 && is_msie6(agent))
            && request.version() >= self.version
            && (request.header(Known::Via).is_none() || self.suits_proxy(request))
            && !self.disabled.iter().any(|expression| expression.matches(agent).unwrap_or(true))
    }

    /// The same for a request that a proxy passed on.
    fn suits_proxy(&self, request: &Request) -> bool {
        let asks = |word: &str| PROXIED.iter().any(|(name, bit)| *name == word && self.proxied & bit != 0);
        if asks("off") {
            return false;
        }
        if asks("any") || asks("auth") && request.header(Known::Authorization).is_some() {
            return true;
        }
        let response = &request.response;
        if let Some(expires) = response.header(b"Expires") {
            let clock = || Some(request.event_loop().clock.now().as_secs() as i64);
            let now = response.header(b"Date").map_or_else(clock, parse_http_date);
            return asks("expired") && parse_http_date(expires).zip(now).is_some_and(|(expires, now)| expires < now);
        }
        if response.header(b"Cache-Control").is_some() {
            let lines = response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"Cache-Control"));
            return lines.flat_map(|(_, value)| value.split(|byte| *byte == b',')).any(|word| {
                let word = word.trim_ascii();
                ["no-cache", "no-store", "private"].iter().any(|known| {
                    asks(known) && word.get(..known.len()).is_some_and(|w| w.eq_ignore_ascii_case(known.as_bytes()))
                })
            });
        }
        !(asks("no_last_modified") && response.last_modified.is_some() || asks("no_etag") && !response.etag.is_empty())
    }
}

/// Whether an Accept-Encoding header takes gzip with a quality above 0.
pub fn accepts_gzip(header: &[u8]) -> bool {
    if header.starts_with(b"gzip,") {
        return true;
    }
    let mut at = 0;
    while let Some(found) = header.get(at..).and_then(|rest| find_caseless(rest, b"gzip")) {
        let start = at + found;
        let before = start.checked_sub(1).and_then(|before| header.get(before));
        let end = start + 4;
        at = end;
        if !matches!(before, None | Some(b',' | b' ')) {
            continue;
        }
        let rest = header.get(end..).unwrap_or_default();
        let rest = rest.get(rest.iter().take_while(|byte| **byte == b' ').count()..).unwrap_or_default();
        match rest.split_first() {
            None | Some((b',', _)) => return true,
            Some((b';', rest)) => return has_quality(rest),
            Some(_) => {}
        }
    }
    false
}

/// Where `word` begins in `text`, in capitals or not.
pub fn find_caseless(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|part| part.eq_ignore_ascii_case(word))
}

/// Whether the parameter behind an encoding is a quality above 0.
fn has_quality(text: &[u8]) -> bool {
    let text = text.get(text.iter().take_while(|byte| **byte == b' ').count()..).unwrap_or_default();
    let Some(value) = text.get(..2).filter(|name| name.eq_ignore_ascii_case(b"q=")).and_then(|_| text.get(2..)) else {
        return false;
    };
    let end = value.iter().position(|byte| matches!(byte, b',' | b' ')).unwrap_or(value.len());
    match value.get(..end).unwrap_or_default() {
        [b'1', ..] => true,
        [b'0', b'.', digits @ ..] => digits.len() <= 3 && digits.iter().any(|digit| (b'1'..=b'9').contains(digit)),
        _ => false,
    }
}

/// Window and memory level for a response: smaller ones where its length is known and needs no more.
fn sizes(mut window: u8, memory: u8, length: Option<u64>) -> (u8, u8) {
    let mut memory = i32::from(memory);
    if let Some(length) = length.filter(|length| *length > 0) {
        // zlib uses 262 bytes less than its window.
        while window > 1 && length + 262 < 1 << (window - 1) {
            window -= 1;
            memory -= 1;
        }
    }
    (window, memory.clamp(1, 9) as u8)
}

/// How a response is compressed.
struct How {
    level: u8,
    window: u8,
    memory: u8,
    postpone: u64,
}

/// A response on its way through the compression.
struct Stream {
    how: How,
    /// None before its first bytes are compressed.
    stream: Option<Deflate>,
    /// What is held back until it is more than `postpone_gzipping` says.
    held: Vec<u8>,
    /// Whether anything is held back.
    holds: bool,
}

impl BodyFilter for Stream {
    fn body(&mut self, request: &mut Request, bytes: &[u8], then: Then, out: &mut Pieces<'_>) -> Result<(), Failed> {
        if self.holds {
            self.held.extend_from_slice(bytes);
            if then == Then::More && self.held.len() as u64 <= self.how.postpone {
                return Ok(());
            }
            self.holds = false;
            let held = std::mem::take(&mut self.held);
            return self.deflate(request, &held, then, out.bytes());
        }
        if bytes.is_empty() && then == Then::More {
            return Ok(());
        }
        self.deflate(request, bytes, then, out.bytes())
    }
}

impl Stream {
    fn deflate(&mut self, request: &mut Request, bytes: &[u8], then: Then, out: &mut Vec<u8>) -> Result<(), Failed> {
        let flush = match then {
            Then::Last => Flush::Finish,
            Then::Flush => Flush::Sync,
            Then::More => Flush::None,
        };
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => match Deflate::new(self.how.level, self.how.window, self.how.memory) {
                Ok(stream) => none.insert(stream),
                Err(ZlibError(code)) => {
                    request.log_filter(Level::Alert, &format!("deflateInit2() failed: {code}"));
                    return Err(Failed);
                }
            },
        };
        if let Err(ZlibError(code)) = stream.run(bytes, flush, out) {
            request.log_filter(Level::Alert, &format!("deflate() failed: {}, {code}", flush as u8));
            return Err(Failed);
        }
        if then == Then::Last {
            let (before, after) = stream.total;
            request.response.compressed = Some(Compressed { coding: Coding::Gzip, before, after });
            self.stream = None;
        }
        Ok(())
    }
}

/// How many times larger the response was, with two digits.
fn gzip_ratio(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    coding::ratio(request, Coding::Gzip).is_some_and(|ratio| coding::write_hundredths(ratio, out))
}

#[cfg(test)]
mod tests;
