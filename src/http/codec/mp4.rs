//! MP4 videos cut in time (ISO/IEC 14496-12): the atoms that describe a video are read into one buffer, each track's
//! tables are cropped there, and what is left is put before the part of the media data that it describes.
//!
//! The buffer has the sizes nginx gives it, because its errors depend on them. Positions are indices into the buffer;
//! each access is checked, so that a file whose sizes lie ends in a [`Fault`].

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod crop;
mod fault;
mod track;

pub use fault::Fault;

use fault::Atom;
use std::io;
use std::ops::Range;
use track::{Kind, Track};

/// What is kept of a buffer behind the `moov` atom, for the atoms that follow.
const EXCESS: usize = 4096;
/// The longest `ftyp` atom.
const FTYP: u64 = 1024;
/// The length of an atom's size and name.
const HEADER: usize = 8;

/// Where a video is read from.
pub trait Source {
    /// Reads bytes from a place on; fewer only at the end.
    ///
    /// # Errors
    /// What the system said.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// What part of a video is asked for, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Where it begins.
    pub start: u64,
    /// How long it is; 0 for the rest.
    pub length: u64,
}

/// The settings of the module that matter here.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The first size of the buffer.
    pub buffer: u64,
    /// The largest `moov` atom.
    pub largest: u64,
    /// Whether a part begins at a key frame.
    pub key_frame: bool,
}

/// A part of a video: new bytes, and the bytes of the file that follow them.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// The atoms, up to the header of the media data.
    pub head: Vec<u8>,
    /// The media data in the file.
    pub data: Range<u64>,
}

/// Cuts a part out of a video of `size` bytes; nothing where the file is to be sent as it is.
///
/// # Errors
/// What is wrong with the file.
pub fn cut(source: &dyn Source, size: u64, asked: Asked, limits: Limits) -> Result<Option<Part>, Fault> {
    let mut movie = Movie::new(source, size, asked, limits);
    if movie.atoms(Level::File, size)? == Read::Unchanged {
        return Ok(None);
    }
    movie.part().map(Some)
}

/// Which atoms are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    File,
    Moov,
    Trak,
    Mdia,
    Minf,
    Stbl,
}

/// What came of reading an atom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    /// It was read.
    Done,
    /// The track ends before the part begins.
    Skipped,
    /// The file is to be sent as it is.
    Unchanged,
}

/// A video that is being read.
struct Movie<'a> {
    source: &'a dyn Source,
    asked: Asked,
    limits: Limits,
    /// The size of the file.
    size: u64,
    /// Where in the file the next atom begins.
    offset: u64,
    buffer: Vec<u8>,
    /// Where in the buffer bytes are read to.
    start: usize,
    /// The next atom in the buffer.
    position: usize,
    /// The end of what is in the buffer.
    end: usize,
    /// How much is read at once.
    chunk: usize,
    /// The buffer with the `moov` atom, where another took its place.
    kept: Option<Vec<u8>>,
    ftyp: Option<Vec<u8>>,
    has_moov: bool,
    /// The end of the media data in the file.
    media_end: Option<u64>,
    mvhd: Option<Range<usize>>,
    timescale: u32,
    tracks: Vec<Track>,
}

impl<'a> Movie<'a> {
    fn new(source: &'a dyn Source, size: u64, asked: Asked, limits: Limits) -> Self {
        Self {
            source,
            asked,
            limits,
            size,
            offset: 0,
            buffer: Vec::new(),
            start: 0,
            position: 0,
            end: 0,
            chunk: usize::try_from(limits.buffer).unwrap_or(usize::MAX),
            kept: None,
            ftyp: None,
            has_moov: false,
            media_end: None,
            mvhd: None,
            timescale: 0,
            tracks: Vec::new(),
        }
    }

    /// Sees to it that so many bytes of the next atom are in the buffer.
    fn need(&mut self, count: usize) -> Result<(), Fault> {
        if self.end > 0 && self.position.saturating_add(count) <= self.end {
            return Ok(());
        }
        let left = usize::try_from(self.size.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        self.chunk = self.chunk.min(left);
        if self.chunk < count {
            return Err(Fault::Truncated);
        }
        let end = self.start + self.chunk;
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        let room = self.buffer.get_mut(self.start..end).unwrap_or_default();
        let read = self.source.read_at(room, self.offset).map_err(Fault::Read)?;
        if read != self.chunk {
            return Err(Fault::Short { read, wanted: self.chunk });
        }
        (self.position, self.end) = (self.start, end);
        Ok(())
    }

    /// Goes on behind so many bytes.
    fn skip(&mut self, count: u64) {
        let inside = (self.end - self.position) as u64;
        self.position += count.min(inside) as usize;
        self.offset = self.offset.saturating_add(count);
    }

    /// Reads the atoms in the next so many bytes.
    fn atoms(&mut self, level: Level, size: u64) -> Result<Read, Fault> {
        let end = self.offset + size;
        while self.offset < end {
            self.need(4)?;
            let mut atom = u64::from(get32(&self.buffer, self.position)?);
            let mut header = HEADER;
            match atom {
                0 => return Ok(Read::Done),
                1 => {
                    self.need(16)?;
                    atom = get64(&self.buffer, self.position + HEADER)?;
                    header = 16;
                    if atom < 16 {
                        return Err(Fault::TooSmall(atom));
                    }
                }
                2..8 => return Err(Fault::TooSmall(atom)),
                _ => {}
            }
            self.need(HEADER)?;
            let name: [u8; 4] = array(&self.buffer, self.position + 4)?;
            if atom > end - self.offset {
                return Err(Fault::TooLarge(atom));
            }
            let Some(handler) = handler(level, &name) else {
                self.skip(atom);
                continue;
            };
            self.skip(header as u64);
            match handler(self, atom - header as u64)? {
                Read::Done => {}
                other => return Ok(other),
            }
        }
        Ok(Read::Done)
    }

    fn ftyp(&mut self, size: u64) -> Result<Read, Fault> {
        if size > FTYP || size > (self.end - self.position) as u64 {
            return Err(Fault::FtypTooLarge(size));
        }
        if self.ftyp.is_some() {
            return Err(Fault::Duplicate("ftyp"));
        }
        let data = self.buffer.get(self.position..self.position + size as usize).unwrap_or_default();
        self.ftyp = Some([&(HEADER as u32 + size as u32).to_be_bytes(), b"ftyp".as_slice(), data].concat());
        self.skip(size);
        Ok(Read::Done)
    }

    fn moov(&mut self, size: u64) -> Result<Read, Fault> {
        let is_first = self.media_end.is_none();
        if is_first && self.asked.start == 0 && self.asked.length == 0 {
            return Ok(Read::Unchanged);
        }
        if std::mem::replace(&mut self.has_moov, true) {
            return Err(Fault::Duplicate("moov"));
        }
        if size > self.chunk as u64 {
            if size > self.limits.largest {
                return Err(Fault::MoovTooLarge(size));
            }
            self.buffer = Vec::new();
            (self.start, self.position, self.end) = (0, 0, 0);
            self.chunk = size as usize + if is_first { EXCESS } else { 0 };
        }
        self.need(size as usize)?;
        let read = self.atoms(Level::Moov, size)?;
        if is_first {
            (self.start, self.chunk) = (self.position, EXCESS);
            if self.start + EXCESS > self.end {
                self.kept = Some(std::mem::take(&mut self.buffer));
                (self.start, self.position, self.end) = (0, 0, 0);
            }
        } else {
            self.offset = self.size;
        }
        Ok(read)
    }

    fn mdat(&mut self, size: u64) -> Result<Read, Fault> {
        if self.media_end.is_some() {
            return Err(Fault::Duplicate("mdat"));
        }
        self.media_end = Some(self.offset + size);
        if self.tracks.is_empty() {
            self.skip(size);
        } else {
            self.offset = self.size;
        }
        Ok(Read::Done)
    }

    /// Where the header of the atom begins whose data comes next.
    const fn header(&self) -> usize {
        self.position.saturating_sub(HEADER)
    }

    fn name(&mut self, name: Atom) -> Result<(), Fault> {
        let at = self.header() + 4;
        put(&mut self.buffer, at, name.as_bytes())
    }

    fn mvhd(&mut self, size: u64) -> Result<Read, Fault> {
        if self.mvhd.is_some() {
            return Err(Fault::Duplicate("mvhd"));
        }
        self.name("mvhd")?;
        let at = self.header();
        let durations = self.durations("mvhd", size, [(100, 20, 24), (112, 28, 32)])?;
        self.timescale = durations.timescale;
        let start = self.asked.start.wrapping_mul(u64::from(self.timescale)) / 1000;
        let left = durations.duration.checked_sub(start).ok_or(Fault::StartBehindEnd)?;
        let left = self.shortened(left, self.timescale);
        durations.set(&mut self.buffer, left)?;
        self.mvhd = Some(self.close(at, size)?);
        Ok(Read::Done)
    }

    /// The time scale and the duration in an atom whose fields are 32 or 64 bits long, by its version: for each the least
    /// size of the data, and where both are.
    fn durations(&self, name: Atom, size: u64, forms: [(u64, usize, usize); 2]) -> Result<Durations, Fault> {
        let [(least, ..), (least_long, ..)] = forms;
        if size < least {
            return Err(Fault::TooShort(name));
        }
        let at = self.header();
        let is_long = array::<1>(&self.buffer, at + HEADER)? != [0];
        if is_long && size < least_long {
            return Err(Fault::TooShort(name));
        }
        let [short, long] = forms;
        let (_, timescale, duration) = if is_long { long } else { short };
        let place = at + duration;
        let duration = if is_long { get64(&self.buffer, place)? } else { u64::from(get32(&self.buffer, place)?) };
        Ok(Durations { timescale: get32(&self.buffer, at + timescale)?, duration, place, is_long })
    }

    /// A duration, or that of the part.
    fn shortened(&self, duration: u64, timescale: u32) -> u64 {
        match self.asked.length {
            0 => duration,
            length => duration.min(length.wrapping_mul(u64::from(timescale)) / 1000),
        }
    }

    /// Sets the size of the atom that begins at `at`, goes on behind it, and says where it is.
    fn close(&mut self, at: usize, size: u64) -> Result<Range<usize>, Fault> {
        let end = self.position + size as usize;
        set32(&mut self.buffer, at, (end - at) as u32)?;
        self.skip(size);
        Ok(at..end)
    }

    fn trak(&mut self, size: u64) -> Result<Read, Fault> {
        self.name("trak")?;
        self.tracks.push(Track::new(self.header()));
        let (position, offset) = (self.position + size as usize, self.offset + size);
        let read = self.atoms(Level::Trak, size)?;
        if read == Read::Skipped {
            self.tracks.pop();
            (self.position, self.offset) = (position, offset);
            return Ok(Read::Done);
        }
        Ok(read)
    }

    fn cmov(&mut self, _: u64) -> Result<Read, Fault> {
        Err(Fault::Compressed)
    }

    /// The track that is read.
    fn track(&mut self) -> Result<&mut Track, Fault> {
        self.tracks.last_mut().ok_or(Fault::Outside)
    }

    /// What is left of a track's duration behind the start of the part, or less; nothing where the track is over.
    fn rest(&self, duration: u64, timescale: u32) -> Option<u64> {
        let start = self.asked.start.wrapping_mul(u64::from(timescale)) / 1000;
        let left = duration.checked_sub(start).filter(|left| *left > 0)?;
        Some(self.shortened(left, timescale))
    }

    fn tkhd(&mut self, size: u64) -> Result<Read, Fault> {
        self.name("tkhd")?;
        let at = self.header();
        let durations = self.durations("tkhd", size, [(84, 0, 28), (96, 0, 36)])?;
        let Some(left) = self.rest(durations.duration, self.timescale) else { return Ok(Read::Skipped) };
        durations.set(&mut self.buffer, left)?;
        let span = self.close(at, size)?;
        let track = self.track()?;
        track.movie_duration = left;
        track.add_once(Kind::Tkhd, span)?;
        Ok(Read::Done)
    }

    fn mdhd(&mut self, size: u64) -> Result<Read, Fault> {
        self.name("mdhd")?;
        let at = self.header();
        let durations = self.durations("mdhd", size, [(24, 20, 24), (36, 28, 32)])?;
        let Some(left) = self.rest(durations.duration, durations.timescale) else { return Ok(Read::Skipped) };
        let span = self.close(at, size)?;
        let track = self.track()?;
        (track.timescale, track.duration) = (durations.timescale, left);
        track.add_once(Kind::Mdhd, span)?;
        Ok(Read::Done)
    }

    /// An atom that holds others.
    fn container(&mut self, size: u64, kind: Kind, level: Level) -> Result<Read, Fault> {
        self.name(kind.name())?;
        let span = self.header()..self.position;
        self.track()?.add_once(kind, span)?;
        self.atoms(level, size)
    }

    fn mdia(&mut self, size: u64) -> Result<Read, Fault> {
        self.container(size, Kind::Mdia, Level::Mdia)
    }

    fn minf(&mut self, size: u64) -> Result<Read, Fault> {
        self.container(size, Kind::Minf, Level::Minf)
    }

    fn stbl(&mut self, size: u64) -> Result<Read, Fault> {
        self.container(size, Kind::Stbl, Level::Stbl)
    }

    /// An atom that is copied.
    fn copied(&mut self, size: u64, kind: Kind) -> Result<Read, Fault> {
        self.name(kind.name())?;
        let at = self.header();
        let span = self.close(at, size)?;
        self.track()?.add_once(kind, span)?;
        Ok(Read::Done)
    }

    fn hdlr(&mut self, size: u64) -> Result<Read, Fault> {
        self.copied(size, Kind::Hdlr)
    }

    fn dinf(&mut self, size: u64) -> Result<Read, Fault> {
        self.copied(size, Kind::Dinf)
    }

    fn vmhd(&mut self, size: u64) -> Result<Read, Fault> {
        self.copied(size, Kind::Vmhd)
    }

    fn smhd(&mut self, size: u64) -> Result<Read, Fault> {
        self.copied(size, Kind::Smhd)
    }

    fn stsd(&mut self, size: u64) -> Result<Read, Fault> {
        if size < 16 {
            return Err(Fault::TooShort("stsd"));
        }
        self.copied(size, Kind::Stsd)
    }

    /// An atom with a table of entries of `each` bytes, whose count is before them, `before` bytes behind the header.
    fn table(&mut self, size: u64, kind: Kind, before: usize, each: u64) -> Result<Read, Fault> {
        self.name(kind.name())?;
        let least = before as u64 + 4;
        if size < least {
            return Err(Fault::TooShort(kind.name()));
        }
        let at = self.header();
        let table = self.position + before + 4;
        let bytes = u64::from(get32(&self.buffer, table - 4)?) * each;
        let track = self.track()?;
        if matches!(kind, Kind::Stss | Kind::Ctts | Kind::Stsz) {
            track.is_without(kind)?;
        }
        if least + bytes > size {
            return Err(Fault::TooShort(kind.name()));
        }
        track.add_once(kind, at..table)?;
        track.set(kind.table(), table..table + bytes as usize);
        self.skip(size);
        Ok(Read::Done)
    }

    fn stts(&mut self, size: u64) -> Result<Read, Fault> {
        self.table(size, Kind::Stts, 4, 8)
    }

    fn stss(&mut self, size: u64) -> Result<Read, Fault> {
        self.table(size, Kind::Stss, 4, 4)
    }

    fn ctts(&mut self, size: u64) -> Result<Read, Fault> {
        self.table(size, Kind::Ctts, 4, 8)
    }

    fn stsc(&mut self, size: u64) -> Result<Read, Fault> {
        self.table(size, Kind::Stsc, 4, 12)
    }

    fn stco(&mut self, size: u64) -> Result<Read, Fault> {
        self.table(size, Kind::Stco, 4, 4)
    }

    fn co64(&mut self, size: u64) -> Result<Read, Fault> {
        self.table(size, Kind::Co64, 4, 8)
    }

    /// The sizes of samples; one that all have is followed by no table.
    ///
    /// Differs from nginx: an atom without a table is copied whole; nginx leaves out what follows its fields, and counts it. [test: a_size_that_all_samples_have_needs_no_table]
    fn stsz(&mut self, size: u64) -> Result<Read, Fault> {
        if size >= 12 && get32(&self.buffer, self.position + 4)? != 0 {
            return self.copied(size, Kind::Stsz);
        }
        self.table(size, Kind::Stsz, 8, 4)
    }

    /// Crops the tables, and puts the atoms together.
    fn part(mut self) -> Result<Part, Fault> {
        if self.tracks.is_empty() {
            return Err(Fault::NoAtoms("trak"));
        }
        let Some(media_end) = self.media_end else { return Err(Fault::NoMdat) };
        let buffer = self.kept.take().unwrap_or_else(|| std::mem::take(&mut self.buffer));
        let mvhd = self.mvhd.take().unwrap_or_default();
        let crop = crop::Crop { asked: self.asked, key_frame: self.limits.key_frame, size: self.size, media_end };
        crop.part(buffer, self.ftyp.unwrap_or_default(), mvhd, self.tracks)
    }
}

/// A time scale and a duration, and where the duration is.
struct Durations {
    timescale: u32,
    duration: u64,
    place: usize,
    is_long: bool,
}

impl Durations {
    fn set(&self, buffer: &mut [u8], duration: u64) -> Result<(), Fault> {
        match self.is_long {
            true => put(buffer, self.place, &duration.to_be_bytes()),
            false => set32(buffer, self.place, duration as u32),
        }
    }
}

/// Reads the data of an atom whose size is given.
type Handler<'a> = fn(&mut Movie<'a>, u64) -> Result<Read, Fault>;

/// Who reads an atom of this name there; nobody where it is left out.
fn handler<'a>(level: Level, name: &[u8; 4]) -> Option<Handler<'a>> {
    Some(match (level, name) {
        (Level::File, b"ftyp") => Movie::ftyp,
        (Level::File, b"moov") => Movie::moov,
        (Level::File, b"mdat") => Movie::mdat,
        (Level::Moov, b"mvhd") => Movie::mvhd,
        (Level::Moov, b"trak") => Movie::trak,
        (Level::Moov, b"cmov") => Movie::cmov,
        (Level::Trak, b"tkhd") => Movie::tkhd,
        (Level::Trak, b"mdia") => Movie::mdia,
        (Level::Mdia, b"mdhd") => Movie::mdhd,
        (Level::Mdia, b"hdlr") => Movie::hdlr,
        (Level::Mdia, b"minf") => Movie::minf,
        (Level::Minf, b"vmhd") => Movie::vmhd,
        (Level::Minf, b"smhd") => Movie::smhd,
        (Level::Minf, b"dinf") => Movie::dinf,
        (Level::Minf, b"stbl") => Movie::stbl,
        (Level::Stbl, b"stsd") => Movie::stsd,
        (Level::Stbl, b"stts") => Movie::stts,
        (Level::Stbl, b"stss") => Movie::stss,
        (Level::Stbl, b"ctts") => Movie::ctts,
        (Level::Stbl, b"stsc") => Movie::stsc,
        (Level::Stbl, b"stsz") => Movie::stsz,
        (Level::Stbl, b"stco") => Movie::stco,
        (Level::Stbl, b"co64") => Movie::co64,
        _ => return None,
    })
}

/// So many bytes at a place.
fn array<const N: usize>(buffer: &[u8], at: usize) -> Result<[u8; N], Fault> {
    buffer.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(Fault::Outside)
}

fn get32(buffer: &[u8], at: usize) -> Result<u32, Fault> {
    array(buffer, at).map(u32::from_be_bytes)
}

fn get64(buffer: &[u8], at: usize) -> Result<u64, Fault> {
    array(buffer, at).map(u64::from_be_bytes)
}

fn put(buffer: &mut [u8], at: usize, bytes: &[u8]) -> Result<(), Fault> {
    let end = at.checked_add(bytes.len()).ok_or(Fault::Outside)?;
    buffer.get_mut(at..end).ok_or(Fault::Outside)?.copy_from_slice(bytes);
    Ok(())
}

fn set32(buffer: &mut [u8], at: usize, value: u32) -> Result<(), Fault> {
    put(buffer, at, &value.to_be_bytes())
}

#[cfg(test)]
mod tests;
