//! A track of a video: where its atoms are in the buffer.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::fault::{Atom, Fault};
use std::ops::Range;

/// The atoms of a track, in the order they are sent; a table follows the fields of its atom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The track's header.
    Tkhd,
    /// The header of what is in `mdia`.
    Mdia,
    /// The media's header.
    Mdhd,
    /// The media's kind.
    Hdlr,
    /// The header of what is in `minf`.
    Minf,
    /// A video's header.
    Vmhd,
    /// A sound's header.
    Smhd,
    /// Where the data is.
    Dinf,
    /// The header of the tables.
    Stbl,
    /// How samples are encoded.
    Stsd,
    /// Time to sample.
    Stts,
    /// Its table.
    SttsTable,
    /// Key frames.
    Stss,
    /// Its table.
    StssTable,
    /// Composition offsets.
    Ctts,
    /// Its table.
    CttsTable,
    /// Sample to chunk.
    Stsc,
    /// Its table.
    StscTable,
    /// Sizes of samples.
    Stsz,
    /// Its table.
    StszTable,
    /// Where chunks begin.
    Stco,
    /// Its table.
    StcoTable,
    /// Where chunks begin, in 64 bits.
    Co64,
    /// Its table.
    Co64Table,
}

impl Kind {
    /// The name of the atom, or of the two that exclude each other.
    const fn exclusive(self) -> (Self, Atom) {
        match self {
            Self::Vmhd => (Self::Smhd, "vmhd/smhd"),
            Self::Smhd => (Self::Vmhd, "vmhd/smhd"),
            Self::Stco => (Self::Co64, "stco/co64"),
            Self::Co64 => (Self::Stco, "stco/co64"),
            other => (other, other.name()),
        }
    }

    /// The atom's name.
    pub const fn name(self) -> Atom {
        match self {
            Self::Tkhd => "tkhd",
            Self::Mdia => "mdia",
            Self::Mdhd => "mdhd",
            Self::Hdlr => "hdlr",
            Self::Minf => "minf",
            Self::Vmhd => "vmhd",
            Self::Smhd => "smhd",
            Self::Dinf => "dinf",
            Self::Stbl => "stbl",
            Self::Stsd => "stsd",
            Self::Stts | Self::SttsTable => "stts",
            Self::Stss | Self::StssTable => "stss",
            Self::Ctts | Self::CttsTable => "ctts",
            Self::Stsc | Self::StscTable => "stsc",
            Self::Stsz | Self::StszTable => "stsz",
            Self::Stco | Self::StcoTable => "stco",
            Self::Co64 | Self::Co64Table => "co64",
        }
    }

    /// The table behind an atom's fields.
    pub const fn table(self) -> Self {
        match self {
            Self::Stts => Self::SttsTable,
            Self::Stss => Self::StssTable,
            Self::Ctts => Self::CttsTable,
            Self::Stsc => Self::StscTable,
            Self::Stsz => Self::StszTable,
            Self::Stco => Self::StcoTable,
            Self::Co64 => Self::Co64Table,
            other => other,
        }
    }
}

/// A track. A hostile file has one in 8 bytes, so it is small while nothing is known of it.
#[derive(Debug)]
pub struct Track {
    /// Where its header is.
    pub at: usize,
    /// Units a second.
    pub timescale: u32,
    /// How long the part is, in these units.
    pub duration: u64,
    /// How long the part is, in units of the movie.
    pub movie_duration: u64,
    atoms: Vec<(Kind, Range<usize>)>,
}

impl Track {
    /// A track whose header is there.
    pub const fn new(at: usize) -> Self {
        Self { at, timescale: 0, duration: 0, movie_duration: 0, atoms: Vec::new() }
    }

    /// Where an atom is.
    pub fn get(&self, kind: Kind) -> Option<Range<usize>> {
        self.atoms.iter().find(|(own, _)| *own == kind).map(|(_, span)| span.clone())
    }

    /// Says where an atom is.
    pub fn set(&mut self, kind: Kind, span: Range<usize>) {
        match self.atoms.iter_mut().find(|(own, _)| *own == kind) {
            Some((_, own)) => *own = span,
            None => self.atoms.push((kind, span)),
        }
    }

    /// Leaves an atom out.
    pub fn remove(&mut self, kind: Kind) {
        self.atoms.retain(|(own, _)| *own != kind);
    }

    /// Looks that an atom is not there.
    ///
    /// # Errors
    /// It is, or the one that excludes it.
    pub fn is_without(&self, kind: Kind) -> Result<(), Fault> {
        let (other, name) = kind.exclusive();
        if self.get(kind).is_some() || self.get(other).is_some() { Err(Fault::Duplicate(name)) } else { Ok(()) }
    }

    /// Says where an atom is that was not there.
    ///
    /// # Errors
    /// It was.
    pub fn add_once(&mut self, kind: Kind, span: Range<usize>) -> Result<(), Fault> {
        self.is_without(kind)?;
        self.atoms.push((kind, span));
        Ok(())
    }

    /// Its atoms in the order they are sent.
    pub fn in_order(mut self) -> Vec<(Kind, Range<usize>)> {
        self.atoms.sort_by_key(|(kind, _)| *kind);
        self.atoms
    }
}
