//! Where things were given first, for complaints about a second one; kept only where such complaints are shown in full.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::level::Level;
use super::source::Span;
use hashbrown::HashMap;

/// What was given, in which block (anywhere where there is none), under which name.
type Key = (&'static str, Option<(u32, u32)>, Box<[u8]>);

/// The places of a walk.
#[derive(Default)]
pub struct Firsts {
    kept: bool,
    known: HashMap<Key, Span>,
    /// The statement whose setter runs.
    here: Option<Span>,
}

impl Firsts {
    /// Nothing yet; nothing ever unless `kept`.
    pub fn new(kept: bool) -> Self {
        Self { kept, ..Self::default() }
    }

    /// Where a row was given before in a block; noted if it was not.
    pub fn row(&mut self, row: &'static str, level: Option<&Level>, here: Span) -> Option<Span> {
        self.here = Some(here);
        self.note((row, level.map(place), Box::default()), here)
    }

    /// Where a thing was given before; noted if it was not.
    pub fn note(&mut self, key: Key, here: Span) -> Option<Span> {
        if !self.kept {
            return None;
        }
        match self.known.entry(key) {
            hashbrown::hash_map::Entry::Occupied(first) => Some(*first.get()),
            hashbrown::hash_map::Entry::Vacant(place) => {
                place.insert(here);
                None
            }
        }
    }

    /// Where a row was given first in a block.
    pub fn given(&self, row: &'static str, level: Option<&Level>) -> Option<Span> {
        self.known.get(&(row, level.map(place), Box::default())).copied()
    }

    /// The statement whose setter runs.
    pub const fn here(&self) -> Option<Span> {
        self.here
    }
}

/// What tells a block from all others.
pub fn place(level: &Level) -> (u32, u32) {
    level.span.map_or((u32::MAX, u32::MAX), |span| (span.source.0, span.start))
}
