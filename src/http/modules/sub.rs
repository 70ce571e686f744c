//! `ngx_http_sub_filter_module`: strings replaced in responses.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Merged as _, Scope, inherit};
use crate::conf::slot::{Custom, Flag};
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::{Levels, Setting};
use crate::http::heart::filter::{BodyFilter, Failed, Filter, Pieces, Slot, Then};
use crate::http::heart::module::{Compile, LocationBuilder, Module, Text};
use crate::http::heart::request::Request;
use crate::script::template::Part;
use crate::session::contexts::{HTTP_ANY, HTTP_LEVELS};
use crate::session::slot::{MimeTypes, is_among};
use crate::session::used;
use std::borrow::Cow;
use std::sync::Arc;

/// Pairs a place may have.
const MOST: usize = 255;

/// The module.
pub fn modules() -> Vec<Module> {
    vec![Module::new(MODULE).install(install)]
}

const MODULE: crate::conf::module::Module = crate::conf::module::Module {
    name: "ngx_http_sub_filter_module",
    directives: DIRECTIVES,
    scopes: &[Scope::of::<Sub>(HTTP_LEVELS)],
};

const DIRECTIVES: &[Directive] = &[
    Directive::new("sub_filter", HTTP_ANY, Arity::Exactly(2), &Custom(sub_filter)).doc("Replaces a string by another."),
    Directive::new(
        "sub_filter_types",
        HTTP_ANY,
        Arity::AtLeast(1),
        &MimeTypes(|c: &mut Sub| &mut c.types, "text/html"),
    )
    .doc("Sets the MIME types that are looked into beside text/html."),
    Directive::new("sub_filter_once", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Sub| &mut c.once))
        .default("on")
        .doc("Replaces the first only."),
    Directive::new("sub_filter_last_modified", HTTP_ANY, Arity::Flag, &Flag(|c: &mut Sub| &mut c.last_modified))
        .default("off")
        .since("1.5.1")
        .doc("Keeps the Last-Modified header."),
];

/// Settings of the module.
#[derive(Default)]
struct Sub {
    types: Vec<Box<[u8]>>,
    once: Option<bool>,
    last_modified: Option<bool>,
    pairs: Vec<(Word, Word)>,
}

impl Conf for Sub {
    fn inherit(&mut self, outer: &Self) {
        inherit!(self, outer; list pairs, types; once, last_modified);
    }
}

fn sub_filter(cx: &mut Setting<'_>, conf: &mut Sub, statement: &Statement) -> Result<(), Diagnostic> {
    let [search, replacement] = statement.arguments() else { return Ok(()) };
    if search.bytes.is_empty() {
        return Err(Diagnostic::emerg("empty search pattern").point(search.span));
    }
    if conf.pairs.len() == MOST {
        return Err(Diagnostic::emerg(format!("number of search patterns exceeds {MOST}")));
    }
    used::word(cx, search)?;
    used::word(cx, replacement)?;
    conf.pairs.push((search.clone(), replacement.clone()));
    Ok(())
}

fn install(levels: &Levels<'_>, place: &mut LocationBuilder, cx: &mut Compile<'_, '_>) -> Result<(), Diagnostic> {
    let Some(conf) = levels.get::<Sub>().filter(|conf| !conf.pairs.is_empty()) else { return Ok(()) };
    let pairs = cx.once(conf, |cx| {
        let mut texts = Vec::new();
        for (search, replacement) in &conf.pairs {
            texts.push((cx.text(search)?, cx.text(replacement)?));
        }
        let constant = texts.iter().map(|(search, _)| constant(search)).collect::<Option<Vec<&[u8]>>>();
        let searcher = constant.map(|list| Arc::new(Searcher::new(&list)));
        Ok(Pairs { texts, searcher })
    })?;
    place.filter(Substitute {
        pairs,
        types: conf.types.clone(),
        once: conf.once.merged()?,
        last_modified: conf.last_modified.merged()?,
    });
    Ok(())
}

/// A text without variables.
fn constant(text: &Text) -> Option<&[u8]> {
    match text.parts() {
        [Part::Text(bytes)] => Some(bytes),
        _ => None,
    }
}

/// What is sought, and what it becomes.
struct Pairs {
    texts: Vec<(Text, Text)>,
    /// Where no text that is sought has variables.
    searcher: Option<Arc<Searcher>>,
}

/// `sub_filter` at a place.
struct Substitute {
    pairs: Arc<Pairs>,
    types: Vec<Box<[u8]>>,
    once: bool,
    last_modified: bool,
}

impl Filter for Substitute {
    fn slot(&self) -> Slot {
        Slot::Sub
    }

    fn head(&self, request: &mut Request) -> Option<Box<dyn BodyFilter>> {
        let response = &request.response;
        if response.length == Some(0) || !is_among(&self.types, "text/html", &response.content_type) {
            return None;
        }
        let (mut numbers, searcher) = (Vec::new(), self.pairs.searcher.clone());
        let searcher = match searcher {
            Some(searcher) => {
                numbers.extend(0..self.pairs.texts.len());
                searcher
            }
            None => {
                let mut patterns = Vec::new();
                for (number, (search, _)) in self.pairs.texts.iter().enumerate() {
                    let text = search.text(request);
                    if !text.is_empty() {
                        numbers.push(number);
                        patterns.push(text);
                    }
                }
                if patterns.is_empty() {
                    return None;
                }
                let patterns: Vec<&[u8]> = patterns.iter().map(Vec::as_slice).collect();
                Arc::new(Searcher::new(&patterns))
            }
        };
        if !request.is_subrequest() {
            let response = &mut request.response;
            response.length = None;
            if self.last_modified {
                response.weaken_etag();
            } else {
                response.clear_last_modified();
                response.clear_etag();
            }
        }
        let values = numbers.iter().map(|_| None).collect();
        let replacements = Replacements { pairs: self.pairs.clone(), numbers, values };
        Some(Box::new(Substituted { search: Search::new(searcher, self.once), replacements }))
    }
}

/// What the patterns of a response become.
struct Replacements {
    pairs: Arc<Pairs>,
    /// The pair of each pattern.
    numbers: Vec<usize>,
    /// Their texts, once they are known.
    values: Vec<Option<Vec<u8>>>,
}

impl Replacements {
    /// Appends what a pattern becomes; its variables are read when it is found first.
    fn put(&mut self, which: usize, request: &Request, out: &mut Vec<u8>) {
        let pair = self.numbers.get(which).and_then(|number| self.pairs.texts.get(*number));
        let (Some((_, text)), Some(value)) = (pair, self.values.get_mut(which)) else { return };
        out.extend_from_slice(value.get_or_insert_with(|| text.text(request)));
    }
}

/// A response in which texts are replaced.
struct Substituted {
    search: Search,
    replacements: Replacements,
}

impl BodyFilter for Substituted {
    fn body(&mut self, request: &mut Request, bytes: &[u8], then: Then, out: &mut Pieces<'_>) -> Result<(), Failed> {
        if bytes.is_empty() && then != Then::Last {
            return Ok(());
        }
        let replacements = &mut self.replacements;
        self.search.run(bytes, then == Then::Last, out.bytes(), |which, out| replacements.put(which, request, out));
        Ok(())
    }
}

/// Finds the patterns in a text, whatever their case: at each place the first of the list.
struct Searcher {
    /// In lower case.
    patterns: Vec<Vec<u8>>,
    /// The length of the shortest.
    least: usize,
    /// How far to go from a place by the byte at its `least`th place; 0 where a pattern may begin.
    shifts: Vec<usize>,
    /// The patterns that have a byte at their `least`th place.
    by_byte: Vec<Vec<usize>>,
}

/// What a place of a text is.
enum Found {
    /// The pattern of this number.
    Whole(usize),
    /// Perhaps the begin of one: the text ends in it.
    Part,
    /// Nothing.
    Nothing,
}

impl Searcher {
    /// Patterns, none of which is empty.
    fn new(patterns: &[&[u8]]) -> Self {
        let patterns: Vec<Vec<u8>> = patterns.iter().map(|pattern| pattern.to_ascii_lowercase()).collect();
        let least = patterns.iter().map(Vec::len).min().unwrap_or(1).max(1);
        let (mut shifts, mut by_byte) = (vec![least; 256], vec![Vec::new(); 256]);
        for (number, pattern) in patterns.iter().enumerate() {
            for (distance, byte) in pattern.iter().take(least).rev().enumerate() {
                if let Some(shift) = shifts.get_mut(usize::from(*byte)) {
                    *shift = (*shift).min(distance);
                }
            }
            let last = pattern.get(least - 1).copied().unwrap_or_default();
            if let Some(list) = by_byte.get_mut(usize::from(last)) {
                list.push(number);
            }
        }
        Self { patterns, least, shifts, by_byte }
    }

    /// How a pattern matches the start of a text.
    fn try_at(&self, number: usize, text: &[u8]) -> Found {
        let pattern = self.patterns.get(number).map(Vec::as_slice).unwrap_or_default();
        let length = pattern.len().min(text.len());
        let same = text.get(..length).zip(pattern.get(..length)).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b));
        match same {
            true if length == pattern.len() => Found::Whole(number),
            true => Found::Part,
            false => Found::Nothing,
        }
    }
}

/// A search through a response, piece by piece.
struct Search {
    searcher: Arc<Searcher>,
    /// Whether each pattern is found once only.
    once: bool,
    /// Those found, where that matters.
    used: Vec<bool>,
    /// Bytes that may begin a pattern.
    held: Vec<u8>,
}

impl Search {
    fn new(searcher: Arc<Searcher>, once: bool) -> Self {
        let used = vec![false; searcher.patterns.len()];
        Self { searcher, once, used, held: Vec::new() }
    }

    /// Appends to `out` the bytes of the text so far, with `put` where a pattern was.
    fn run(&mut self, bytes: &[u8], last: bool, out: &mut Vec<u8>, mut put: impl FnMut(usize, &mut Vec<u8>)) {
        let held = std::mem::take(&mut self.held);
        let text: Cow<'_, [u8]> = if held.is_empty() { bytes.into() } else { [&held, bytes].concat().into() };
        let searcher = self.searcher.clone();
        let (mut copied, mut at) = (0, 0);
        while let Some(byte) = text.get(at + searcher.least - 1) {
            let byte = usize::from(byte.to_ascii_lowercase());
            let shift = searcher.shifts.get(byte).copied().unwrap_or(1);
            if shift > 0 {
                at += shift;
                continue;
            }
            match self.find(&searcher, byte, text.get(at..).unwrap_or_default()) {
                Found::Whole(number) => {
                    out.extend_from_slice(text.get(copied..at).unwrap_or_default());
                    put(number, out);
                    at += searcher.patterns.get(number).map_or(1, Vec::len);
                    copied = at;
                    if let Some(used) = self.used.get_mut(number) {
                        *used = self.once;
                    }
                    if self.used.iter().all(|used| *used) {
                        at = text.len();
                    }
                }
                Found::Part => break,
                Found::Nothing => at += 1,
            }
        }
        let rest = text.get(copied..).unwrap_or_default();
        let sure = if last { text.len() } else { self.first_part(&searcher, &text, at) };
        let (rest, held) = rest.split_at_checked(sure.saturating_sub(copied)).unwrap_or((rest, b""));
        out.extend_from_slice(rest);
        self.held = held.to_vec();
    }

    /// What begins at the begin of a text whose `least`th byte is `byte`.
    fn find(&self, searcher: &Searcher, byte: usize, text: &[u8]) -> Found {
        for number in searcher.by_byte.get(byte).into_iter().flatten() {
            if self.used.get(*number) == Some(&true) {
                continue;
            }
            match searcher.try_at(*number, text) {
                Found::Nothing => {}
                found => return found,
            }
        }
        Found::Nothing
    }

    /// The first place from `at` on where a pattern may begin; the end of the text where there is none.
    fn first_part(&self, searcher: &Searcher, text: &[u8], at: usize) -> usize {
        let part = |at: &usize| {
            let text = text.get(*at..).unwrap_or_default();
            let mut numbers = (0..searcher.patterns.len()).filter(|number| self.used.get(*number) != Some(&true));
            numbers.any(|number| matches!(searcher.try_at(number, text), Found::Part))
        };
        (at.min(text.len())..text.len()).find(part).unwrap_or(text.len())
    }
}

#[cfg(test)]
mod tests;
