//! What a reading that goes on left out, to tell what is wrong by itself from what only follows from that.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::conf::diagnostic::Diagnostic;
use crate::conf::source::{Sources, Span};
use crate::conf::tree::Statement;
use hashbrown::{DefaultHashBuilder, HashSet};
use std::cell::RefCell;
use std::hash::BuildHasher as _;

/// The places that were left out.
#[derive(Default)]
pub struct Faults {
    spans: Vec<Span>,
    /// The blocks something was left out of, by what opens them.
    blocks: Vec<Span>,
    /// What a name that is not known may have been meant for.
    meant: Vec<&'static str>,
    /// What the names of another module's directives begin with: its variables are unknown with them.
    foreign: Vec<String>,
    /// A file or the rest of one was not read: anything might stand there.
    unread: bool,
    /// The words of the places, as far as they were looked for.
    words: RefCell<Words>,
}

/// Which words the first so many places hold, by hash: a text is searched only for what may be in it.
#[derive(Default)]
struct Words {
    places: usize,
    hasher: DefaultHashBuilder,
    hashes: HashSet<u64>,
}

impl Words {
    /// Adds the words of more places.
    fn add<'a>(&mut self, places: &[Span], text: impl Fn(&Span) -> Option<&'a [u8]>) {
        for words in places.iter().skip(self.places).filter_map(text).map(words) {
            self.hashes.extend(words.map(|word| self.hasher.hash_one(word.to_ascii_lowercase())));
        }
        self.places = places.len();
    }

    /// Whether all words of a text may be among them.
    fn may_hold(&self, text: &[u8]) -> bool {
        words(text).all(|word| self.hashes.contains(&self.hasher.hash_one(word.to_ascii_lowercase())))
    }
}

/// A statement with its block.
pub fn whole(statement: &Statement) -> Span {
    let end = statement.block.as_ref().and_then(|block| block.end).filter(|end| end.source == statement.span.source);
    Span { end: end.map_or(statement.span.end, |end| end.end), ..statement.span }
}

/// A broken place: all that is between what was read before it and what is read next.
pub fn around(before: Option<Span>, place: Span, next: Option<Span>) -> Span {
    let here = |span: &Span| span.source == place.source;
    let start = before.filter(here).map_or(0, |before| before.end.min(place.start));
    let end = next.filter(here).map_or(place.end, |next| next.start.max(place.end));
    Span { start, end, ..place }
}

impl Faults {
    /// Whether nothing was left out.
    pub const fn none(&self) -> bool {
        self.spans.is_empty() && !self.unread
    }

    /// Leaves out a place in a block.
    pub fn leave(&mut self, span: Option<Span>, block: Option<Span>) {
        self.spans.extend(span);
        self.blocks.extend(block);
    }

    /// A directive that is not known was probably meant for this one.
    pub fn meant(&mut self, name: Option<&'static str>) {
        self.meant.extend(name);
    }

    /// Leaves out what could not be read at all.
    pub const fn unread(&mut self) {
        self.unread = true;
    }

    /// Leaves out a directive of a module that is not known here.
    pub fn foreign(&mut self, name: &str) {
        let module = name.split('_').next().unwrap_or(name);
        self.foreign.push(module.to_ascii_lowercase());
    }

    /// Whether a complaint about what was not left out is true whatever stood in the rest. A conflict is between two
    /// that are both there. What is missing or does not fit may be so because of what was left out, where that stood in
    /// the block of the complaint, or names what the complaint names.
    pub fn stands(&self, complaint: &Diagnostic, sources: &Sources) -> bool {
        if complaint.is_conflict() {
            return true;
        }
        let block = complaint.place().is_some_and(|place| self.blocks.contains(&place));
        let mut names = complaint.message.split('"').skip(1).step_by(2);
        !self.unread && !block && !names.any(|name| self.names(name, sources))
    }

    fn names(&self, name: &str, sources: &Sources) -> bool {
        let host = name.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        let forms = [Some(name), host.map(|(host, _)| host)];
        let forms = || forms.into_iter().flatten().filter(|form| !form.is_empty()).map(str::as_bytes);
        let text = |span: &Span| sources.text(span.source)?.text.get(span.start as usize..span.end as usize);
        self.words.borrow_mut().add(&self.spans, text);
        let known = self.words.borrow();
        let likely: Vec<&[u8]> = forms().filter(|form| known.may_hold(form)).collect();
        self.meant.contains(&name)
            || (!likely.is_empty()
                && self.spans.iter().filter_map(text).any(|text| likely.iter().any(|form| holds(text, form))))
            || self.foreign.iter().any(|module| name.split('_').next().unwrap_or(name).eq_ignore_ascii_case(module))
    }
}

/// The words of a text.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_').filter(|word| !word.is_empty())
}

/// Whether `text` holds `word`, in whatever case, and not as a part of a longer one.
fn holds(text: &[u8], word: &[u8]) -> bool {
    let inside = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let ends = |at: usize| !inside(text.get(at.wrapping_sub(1))) && !inside(text.get(at + word.len()));
    text.windows(word.len()).enumerate().any(|(at, have)| have.eq_ignore_ascii_case(word) && ends(at))
}

#[cfg(test)]
mod tests;
