//! `ngx_http_slice_filter_module`: large responses fetched in slices, one after the other.
//!
//! `$slice_range` begins it: a request that asks for that variable gets the slice the client's range begins in. Its
//! response becomes that of the whole; the slices behind it are fetched by requests of the server's own, each when the
//! one before it is sent.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Scope, inherit};
use crate::conf::slot::Size;
use crate::conf::walk::Levels;
use crate::http::heart::filter::{BodyFilter, Failed, Filter, Include, Pieces, Slot, Then};
use crate::http::heart::head::Known;
use crate::http::heart::module::{Compile, LocationBuilder, Module};
use crate::http::heart::notes::Slices;
use crate::http::heart::request::Request;
use crate::http::route::range;
use crate::log::Level;
use crate::script::variable::Variable;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};
use std::rc::Rc;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).variables(VARIABLES).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_slice_filter_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Slice>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] =
    &[Directive::new("slice", HTTP_ANY, Arity::Exactly(1), &Size(|c: &mut Slice| &mut c.slice))
        .default("0")
        .since("1.9.8")
        .doc("Sets the size of a slice; 0 for the whole.")];

static VARIABLES: &[Variable<Request>] = &[Variable::new("slice_range", slice_range)];

/// Settings of the module.
#[derive(Default)]
struct Slice {
    slice: Option<u64>,
}

impl Conf for Slice {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; slice);
    }
}

/// The size of the slices of a place.
#[derive(Clone, Copy)]
struct SliceSize(u64);

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, _: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let size = levels.get::<Slice>().and_then(|conf| conf.slice).filter(|size| *size > 0);
    if let Some(size) = size {
        place.attach(SliceSize(size));
        place.filter(SliceSize(size));
    }
    Ok(())
}

/// The getter of `$slice_range`: the slice that is asked for now.
fn slice_range(request: &Request, _: u32, out: &mut Vec<u8>) -> bool {
    if request.slices.get().is_none() {
        let size = request.location.attached::<SliceSize>();
        let Some(SliceSize(size)) = size.filter(|_| !request.is_subrequest() && request.response.status == 0) else {
            return false;
        };
        let slices = Slices::default();
        slices.start.set(size * (first(request) / size));
        slices.ask(*size);
        let _ = request.slices.set(Rc::new(slices));
    }
    let Some(slices) = request.slices.get().filter(|slices| !slices.is_over.get()) else { return false };
    out.extend_from_slice(slices.range.borrow().as_bytes());
    true
}

/// The first byte the client asks for; 0 where that cannot be told beforehand.
fn first(request: &Request) -> u64 {
    let Some(header) = request.header(Known::Range).filter(|_| request.header(Known::IfRange).is_none()) else {
        return 0;
    };
    let Some((unit, list)) = header.split_at_checked(6) else { return 0 };
    if !unit.eq_ignore_ascii_case(b"bytes=") || list.contains(&b',') {
        return 0;
    }
    let digits = list.trim_ascii_start();
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end).and_then(crate::conf::value::number).unwrap_or(0)
}

/// A range of a whole, as a backend tells it.
#[derive(Debug, PartialEq, Eq)]
struct ContentRange {
    start: u64,
    end: u64,
    /// Nothing for `*`.
    whole: Option<u64>,
}

impl ContentRange {
    /// Reads `bytes 0-1/16`, with blanks between.
    fn of(value: &[u8]) -> Option<Self> {
        let rest = value.strip_prefix(b"bytes ")?;
        let dash = memchr::memchr(b'-', rest)?;
        let slash = memchr::memchr(b'/', rest).filter(|slash| *slash > dash)?;
        let number = |text: &[u8]| {
            let is_blank = |byte: &u8| *byte == b' ';
            let start = text.iter().position(|byte| !is_blank(byte))?;
            let end = text.iter().rposition(|byte| !is_blank(byte))?;
            Some(text.get(start..=end).unwrap_or_default().to_vec())
        };
        let at = |from: usize, to: usize| number(rest.get(from..to)?);
        let decimal = |text: Vec<u8>| crate::conf::value::number(&text);
        let (start, end) = (decimal(at(0, dash)?)?, decimal(at(dash + 1, slash)?)?.checked_add(1)?);
        let whole = at(slash + 1, rest.len())?;
        let whole = if whole == b"*" { None } else { Some(decimal(whole)?) };
        Some(Self { start, end, whole })
    }
}

impl SliceSize {
    /// Takes the head of a slice.
    fn judge(self, request: &Request, slices: &Slices) -> Result<ContentRange, String> {
        let response = &request.response;
        if response.status != 206 {
            return Err(format!("unexpected status code {} in slice response", response.status));
        }
        let etag = response.header(b"ETag");
        if slices.etag.borrow().as_deref().is_some_and(|first| etag != Some(first)) {
            return Err("etag mismatch in slice response".to_owned());
        }
        if let Some(etag) = etag {
            *slices.etag.borrow_mut() = Some(etag.to_vec());
        }
        let range = response.header(b"Content-Range").and_then(ContentRange::of);
        let range = range.ok_or("invalid range in slice response")?;
        let whole = range.whole.ok_or("no complete length in slice response")?;
        let end = range.start.saturating_add(self.0).min(whole);
        if range.start != slices.start.get() || range.end != end {
            return Err(format!("unexpected range in slice response: {}-{}", range.start, range.end));
        }
        slices.start.set(end);
        slices.whole.set(whole);
        slices.is_there.set(true);
        Ok(range)
    }
}

impl Filter for SliceSize {
    fn slot(&self) -> Slot {
        Slot::Slice
    }

    /// Makes the head of the first slice that of the whole, and leaves of every slice what is asked for.
    ///
    /// Differs from nginx: a range of a response whose bytes other filters change is answered with the whole; nginx answers with a part, as if it were the whole. [test: ranges_of_a_changed_body_are_ignored]
    fn head(&self, request: &mut Request) -> Option<Box<dyn BodyFilter>> {
        let slices = request.slices.get()?.clone();
        if request.response.status != 206 && !request.is_subrequest() {
            request.slices.take();
            return None;
        }
        let range = match self.judge(request, &slices) {
            Ok(range) => range,
            Err(text) => {
                request.log(Level::Error, &format!("{text} while reading response header from upstream"));
                request.cut();
                return None;
            }
        };
        if request.is_subrequest() {
            let part = slices.part.borrow().clone();
            if let Some(part) = part {
                let here = |at: u64| at.saturating_sub(range.start);
                range::clip(request, here(part.start)..here(part.end));
            }
            return None;
        }
        let response = &mut request.response;
        (response.status, response.length, response.offset) = (200, range.whole, range.start);
        response.reason.clear();
        response.headers.remove(b"Content-Range");
        response.headers.remove(b"Accept-Ranges");
        (response.ranges, response.single_range) = (true, true);
        if range::is_unsatisfiable(request) {
            slices.is_over.set(true);
            return None;
        }
        Some(Box::new(Slicer { slices, size: self.0, has_begun: false, waits: false }))
    }
}

/// The slices of a response.
///
/// Differs from nginx: what a slice brought is sent before the next is asked for, however little it is. [test: what_came_is_sent_before_the_next_slice_is_asked_for]
struct Slicer {
    slices: Rc<Slices>,
    size: u64,
    has_begun: bool,
    /// Whether a slice was asked for and is on its way.
    waits: bool,
}

impl Slicer {
    /// Finds where the slices end, and the next begins.
    fn begin(&self, request: &Request) {
        let response = &request.response;
        self.slices.end.set(self.slices.whole.get());
        if response.status != 206 {
            return;
        }
        let (start, end) = (response.offset, response.offset + response.length.unwrap_or(0));
        if self.slices.start.get().saturating_add(self.size) <= start {
            self.slices.start.set(self.size * (start / self.size));
        }
        self.slices.end.set(end);
        *self.slices.part.borrow_mut() = Some(start..end);
    }
}

impl BodyFilter for Slicer {
    fn body(&mut self, request: &mut Request, bytes: &[u8], then: Then, out: &mut Pieces<'_>) -> Result<(), Failed> {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.begin(request);
        }
        out.bytes().extend_from_slice(bytes);
        self.waits = false;
        if then != Then::Last {
            return Ok(());
        }
        if !self.slices.is_there.get() {
            request.log_filter(Level::Error, "missing slice response");
            return Err(Failed);
        }
        if self.slices.start.get() < self.slices.end.get() {
            self.slices.ask(self.size);
            out.include(Include { repeats: true, ..Include::default() });
            self.waits = true;
        } else {
            self.slices.is_over.set(true);
        }
        Ok(())
    }

    fn holds(&self) -> bool {
        self.waits
    }
}

#[cfg(test)]
mod tests;
