//! `ngx_http_headers_module`: `add_header`, `add_trailer` and `expires`.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::{Choice, Custom};
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::filter::{BodyFilter, Failed, Filter, Pieces, Slot, Then};
use crate::http::heart::module::{Compile, LocationBuilder, Module, Text};
use crate::http::heart::request::Request;
use crate::log::clock;
use crate::session::contexts::{HTTP_ANY_IF, HTTP_LEVELS};
use crate::session::used;
use std::sync::Arc;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_headers_filter_module",
    directives: &[
        Directive::new("add_header", HTTP_ANY_IF, Arity::Between(2, 3), &Custom(add_header))
            .words(&["always"])
            .doc("Adds a header to responses of usual statuses, or with always to all."),
        Directive::new("add_trailer", HTTP_ANY_IF, Arity::Between(2, 3), &Custom(add_trailer))
            .words(&["always"])
            .since("1.13.2")
            .doc("Adds a field after the body of responses of usual statuses, or with always of all."),
        Directive::new(
            "add_header_inherit",
            HTTP_ANY_IF,
            Arity::Exactly(1),
            &Choice(|c: &mut Headers| &mut c.header_inherit, INHERIT),
        )
        .default("on")
        .since("1.29.3")
        .doc("Takes the headers of the blocks around where a block has none of its own, never, or behind its own."),
        Directive::new(
            "add_trailer_inherit",
            HTTP_ANY_IF,
            Arity::Exactly(1),
            &Choice(|c: &mut Headers| &mut c.trailer_inherit, INHERIT),
        )
        .default("on")
        .since("1.29.3")
        .doc("The same of the fields after the body."),
        Directive::new("expires", HTTP_ANY_IF, Arity::Between(1, 2), &Custom(expires))
            .words(&["off", "epoch", "max", "modified"])
            .default("off")
            .doc("Adds Expires and Cache-Control headers."),
    ],
    scopes: &[Scope::of::<Headers>(HTTP_LEVELS)],
};

/// `expires` as written.
#[derive(Clone)]
enum Expires {
    Off,
    Fixed(When),
    /// A text that is read for each response; from the file's last change with `modified`.
    Variable(Word, bool),
}

/// When a response expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Off,
    Epoch,
    Max,
    /// Seconds from now, or from the file's last change.
    After(i64, bool),
    /// A second of the day.
    Daily(i64),
}

/// What a block takes of the fields of the blocks around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inherit {
    /// Nothing.
    Off,
    /// All where it has none of its own.
    On,
    /// All, behind its own.
    Merge,
}

const INHERIT: &[(&str, Inherit)] = &[("off", Inherit::Off), ("on", Inherit::On), ("merge", Inherit::Merge)];

impl Inherit {
    fn apply(self, own: &mut Vec<(Word, Word, bool)>, outer: &[(Word, Word, bool)]) {
        if self == Self::Merge || self == Self::On && own.is_empty() {
            own.extend_from_slice(outer);
        }
    }
}

#[derive(Default)]
struct Headers {
    added: Vec<(Word, Word, bool)>,
    trailers: Vec<(Word, Word, bool)>,
    header_inherit: Option<Inherit>,
    trailer_inherit: Option<Inherit>,
    expires: Option<Expires>,
}

impl Conf for Headers {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; expires, header_inherit, trailer_inherit);
        self.header_inherit.unwrap_or(Inherit::On).apply(&mut self.added, &outer.added);
        self.trailer_inherit.unwrap_or(Inherit::On).apply(&mut self.trailers, &outer.trailers);
    }
}

enum Expiry {
    Fixed(When),
    Variable(Text, bool),
}

/// Names, values, and whether they are added always.
type Fields = Vec<(Vec<u8>, Text, bool)>;

struct AddHeaders {
    added: Fields,
    trailers: Arc<Fields>,
    expires: Option<Expiry>,
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<Headers>() else { return Ok(()) };
    let mut fields = |list: &[(Word, Word, bool)]| {
        let mut fields = Fields::new();
        for (name, value, always) in list {
            fields.push((name.bytes.to_vec(), cx.text(value)?, *always));
        }
        Ok(fields)
    };
    let (added, trailers) = (fields(&conf.added)?, Arc::new(fields(&conf.trailers)?));
    let expires = match &conf.expires {
        None | Some(Expires::Off) => None,
        Some(Expires::Fixed(when)) => Some(Expiry::Fixed(*when)),
        Some(Expires::Variable(word, modified)) => Some(Expiry::Variable(cx.text(word)?, *modified)),
    };
    if !added.is_empty() || !trailers.is_empty() || expires.is_some() {
        place.filter(AddHeaders { added, trailers, expires });
    }
    Ok(())
}

impl Filter for AddHeaders {
    fn slot(&self) -> Slot {
        Slot::Headers
    }

    fn head(&self, request: &mut Request) -> Option<Box<dyn BodyFilter>> {
        if request.is_subrequest() {
            return None;
        }
        let usual = is_usual(request.response.status);
        if usual {
            match &self.expires {
                Some(Expiry::Fixed(when)) => set_expires(request, *when),
                Some(Expiry::Variable(text, modified)) => {
                    let text = text.text(request);
                    if let Ok(when) = parse(&text, *modified) {
                        set_expires(request, when);
                    }
                }
                None => {}
            }
        }
        for (name, value, always) in &self.added {
            if !usual && !always {
                continue;
            }
            let value = value.text(request);
            add(request, name, &value);
        }
        if !self.trailers.iter().any(|(.., always)| usual || *always) {
            return None;
        }
        request.response.expects_trailers = true;
        Some(Box::new(AddTrailers(self.trailers.clone())))
    }
}

/// Whether fields without `always` are added to responses of a status.
const fn is_usual(status: u16) -> bool {
    matches!(status, 200 | 201 | 204 | 206 | 301 | 302 | 303 | 304 | 307 | 308)
}

/// The trailers of a response, read when its body has ended.
///
/// Differs from nginx: with `add_after_body` they are sent once, not twice. [test: trailers_are_sent_once]
struct AddTrailers(Arc<Fields>);

impl BodyFilter for AddTrailers {
    fn body(&mut self, request: &mut Request, bytes: &[u8], then: Then, out: &mut Pieces<'_>) -> Result<(), Failed> {
        out.bytes().extend_from_slice(bytes);
        if then != Then::Last {
            return Ok(());
        }
        let usual = is_usual(request.response.status);
        for (name, value, _) in self.0.iter().filter(|(.., always)| usual || *always) {
            let value = value.text(request);
            if !value.is_empty() {
                request.response.trailers.add(name, &value);
            }
        }
        Ok(())
    }
}

/// Adds a header; the names nginx treats specially replace what is there.
fn add(request: &mut Request, name: &[u8], value: &[u8]) {
    let response = &mut request.response;
    if name.eq_ignore_ascii_case(b"Last-Modified") {
        response.clear_last_modified();
        response.headers.remove(b"Last-Modified");
        if !value.is_empty() {
            response.last_modified = clock::parse_http_date(value);
            response.last_modified_passed = true;
            response.headers.add(name, value);
        }
        return;
    }
    if name.eq_ignore_ascii_case(b"ETag") {
        response.clear_etag();
        if !value.is_empty() {
            response.set_etag(value);
        }
        return;
    }
    if !value.is_empty() {
        response.headers.add(name, value);
    }
}

fn set_expires(request: &mut Request, when: When) {
    let now = request.event_loop().clock.now().as_secs() as i64;
    let modified = request.response.last_modified;
    let (date, control) = match when {
        When::Off => return,
        When::Epoch => ("Thu, 01 Jan 1970 00:00:01 GMT".to_owned(), "no-cache".to_owned()),
        When::Max => ("Thu, 31 Dec 2037 23:55:55 GMT".to_owned(), "max-age=315360000".to_owned()),
        When::After(0, false) => (clock::http_date(now), "max-age=0".to_owned()),
        When::After(seconds, from_change) => {
            let base = if from_change { modified.unwrap_or(now) } else { now };
            until(now, base + seconds)
        }
        When::Daily(second) => {
            let offset = i64::from(crate::sys::time::offset(now));
            let midnight = (now + offset).div_euclid(86_400) * 86_400 - offset;
            let at = midnight + second;
            until(now, if at > now { at } else { at + 86_400 })
        }
    };
    let headers = &mut request.response.headers;
    headers.remove(b"Expires");
    headers.remove(b"Cache-Control");
    headers.add(b"Expires", date.as_bytes());
    headers.add(b"Cache-Control", control.as_bytes());
}

fn until(now: i64, at: i64) -> (String, String) {
    let control = if at < now { "no-cache".to_owned() } else { format!("max-age={}", at - now) };
    (clock::http_date(at), control)
}

fn add_header(cx: &mut Setting<'_>, conf: &mut Headers, statement: &Statement) -> Result<(), Diagnostic> {
    conf.added.extend(added(cx, statement)?);
    Ok(())
}

fn add_trailer(cx: &mut Setting<'_>, conf: &mut Headers, statement: &Statement) -> Result<(), Diagnostic> {
    conf.trailers.extend(added(cx, statement)?);
    Ok(())
}

/// A name, its value, and whether it is added always.
fn added(cx: &mut Setting<'_>, statement: &Statement) -> Result<Option<(Word, Word, bool)>, Diagnostic> {
    let [name, value, rest @ ..] = statement.arguments() else { return Ok(None) };
    used::word(cx, value)?;
    match rest.first() {
        Some(word) if !word.is("always") => {
            Err(Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span))
        }
        always => Ok(Some((name.clone(), value.clone(), always.is_some()))),
    }
}

fn expires(cx: &mut Setting<'_>, conf: &mut Headers, statement: &Statement) -> Result<(), Diagnostic> {
    if conf.expires.is_some() {
        return Err(cx.duplicate());
    }
    let (word, modified) = match statement.arguments() {
        [word] => (word, false),
        [first, word] if first.is("modified") => (word, true),
        _ => return Err(cx.complain("invalid value")),
    };
    if word.bytes.contains(&b'$') {
        used::word(cx, word)?;
        conf.expires = Some(Expires::Variable(word.clone(), modified));
        return Ok(());
    }
    conf.expires = Some(match parse(&word.bytes, modified) {
        Ok(When::Off) => Expires::Off,
        Ok(when) => Expires::Fixed(when),
        Err(what) => return Err(cx.complain(what)),
    });
    Ok(())
}

fn parse(text: &[u8], modified: bool) -> Result<When, &'static str> {
    if !modified {
        match text {
            b"epoch" => return Ok(When::Epoch),
            b"max" => return Ok(When::Max),
            b"off" => return Ok(When::Off),
            _ => {}
        }
    }
    if let [b'@', rest @ ..] = text {
        if modified {
            return Err("daily time cannot be used with \"modified\" parameter");
        }
        let second = value::time(rest, true).ok_or("invalid value")?.as_secs() as i64;
        if second > 86_400 {
            return Err("daily time value must be less than 24 hours");
        }
        return Ok(When::Daily(second));
    }
    let (sign, digits) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        rest => (1, rest),
    };
    let seconds = value::time(digits, true).ok_or("invalid value")?.as_secs() as i64;
    Ok(When::After(sign * seconds, modified))
}
