//! What may be wrong with a video, in nginx's words.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::io;

/// The name of an atom, or of two that exclude each other.
pub type Atom = &'static str;

/// What is wrong with a video.
#[derive(Debug)]
pub enum Fault {
    /// It could not be read.
    Read(io::Error),
    /// Fewer bytes than the file's size says.
    Short {
        /// How many there were.
        read: usize,
        /// How many were asked for.
        wanted: usize,
    },
    /// It ends inside an atom's header.
    Truncated,
    /// An atom is smaller than its header.
    TooSmall(u64),
    /// An atom is larger than what it is in.
    TooLarge(u64),
    /// The `ftyp` atom is too large.
    FtypTooLarge(u64),
    /// The `moov` atom is larger than `mp4_max_buffer_size`.
    MoovTooLarge(u64),
    /// An atom that may be there once only.
    Duplicate(Atom),
    /// There are no atoms of this name.
    NoAtoms(Atom),
    /// There is no `mdat` atom.
    NoMdat,
    /// The `moov` atom is compressed.
    Compressed,
    /// An atom is too small for its fields.
    TooShort(Atom),
    /// The part begins behind the end of the video.
    StartBehindEnd,
    /// The part's `start` or `end` is in none of the entries.
    Out(&'static str, &'static str),
    /// The `stsc` atom has no entries.
    NoEntries,
    /// The chunks of the `stsc` atom are out of order.
    Unordered,
    /// A chunk has no samples.
    NoSamples,
    /// The samples of a chunk before the part's `start` or `end` are larger than the file.
    SamplesTooLarge(&'static str),
    /// A chunk is outside the file.
    ChunkOffset,
    /// An entry refers to what no table has.
    Outside,
}

impl Fault {
    /// What is logged.
    pub fn text(&self, path: &str) -> String {
        match self {
            Self::Read(error) => format!("pread() \"{path}\" failed ({})", crate::conf::walk::errno(error)),
            Self::Short { read, wanted } => format!("read() read only {read} of {wanted} from \"{path}\""),
            Self::Truncated => format!("\"{path}\" mp4 file truncated"),
            Self::TooSmall(size) => format!("\"{path}\" mp4 atom is too small:{size}"),
            Self::TooLarge(size) => format!("\"{path}\" mp4 atom too large:{size}"),
            Self::FtypTooLarge(size) => format!("\"{path}\" mp4 ftyp atom is too large:{size}"),
            Self::MoovTooLarge(size) => {
                format!("\"{path}\" mp4 moov atom is too large:{size}, you may want to increase mp4_max_buffer_size")
            }
            Self::Duplicate(atom) => format!("duplicate mp4 {atom} atom in \"{path}\""),
            Self::NoAtoms(atom) => format!("no mp4 {atom} atoms were found in \"{path}\""),
            Self::NoMdat => format!("no mp4 mdat atom was found in \"{path}\""),
            Self::Compressed => format!("\"{path}\" mp4 compressed moov atom (cmov) is not supported"),
            Self::TooShort(atom) => format!("\"{path}\" mp4 {atom} atom too small"),
            Self::StartBehindEnd => format!("\"{path}\" mp4 start time exceeds file duration"),
            Self::Out(end, entries) => format!("{end} time is out mp4 {entries} in \"{path}\""),
            Self::NoEntries => format!("zero number of entries in stsc atom in \"{path}\""),
            Self::Unordered => format!("unordered mp4 stsc chunks in \"{path}\""),
            Self::NoSamples => format!("zero number of samples in \"{path}\""),
            Self::SamplesTooLarge(end) => format!("too large mp4 {end} samples size in \"{path}\""),
            Self::ChunkOffset => format!("too large chunk offset in \"{path}\""),
            Self::Outside => format!("an mp4 table refers to entries outside itself in \"{path}\""),
        }
    }

    /// Whether the system is to blame, not the file.
    pub const fn is_of_system(&self) -> bool {
        matches!(self, Self::Read(_) | Self::Short { .. })
    }
}
