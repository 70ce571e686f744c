//! Cropping a track's tables to a part of the video, as nginx does it: counts are of 32 bits and wrap around, as in the
//! file format; places are checked.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::fault::Fault;
use super::track::{Kind, Track};
use super::{Asked, HEADER, Part, get32, get64, put, set32};
use std::ops::Range;

/// What is cropped.
pub struct Crop {
    /// The part.
    pub asked: Asked,
    /// Whether it begins at a key frame.
    pub key_frame: bool,
    /// The size of the file.
    pub size: u64,
    /// The end of the media data.
    pub media_end: u64,
}

impl Crop {
    /// Puts a part of a video together from the atoms in a buffer.
    pub fn part(
        &self,
        mut buffer: Vec<u8>,
        ftyp: Vec<u8>,
        mvhd: Range<usize>,
        tracks: Vec<Track>,
    ) -> Result<Part, Fault> {
        let mut cropped = Vec::new();
        let mut data = self.size..0;
        let mut moov = HEADER + mvhd.len();
        for track in tracks {
            let mut cut = TrackCut::new(self, &mut buffer, track);
            moov += cut.crop()?;
            data = data.start.min(cut.data.start)..data.end.max(cut.data.end);
            cropped.push((cut.track, cut.added));
        }
        data.end = data.end.max(data.start);
        if data.start > self.media_end {
            return Err(Fault::Out("start", "mdat atom"));
        }
        let length = data.end - data.start;
        let mut media = Vec::new();
        match u32::try_from(length + HEADER as u64) {
            Ok(size) => media.extend_from_slice(&[&size.to_be_bytes(), b"mdat".as_slice()].concat()),
            Err(_) => {
                let size = length + 16;
                media.extend_from_slice(&[&1_u32.to_be_bytes(), b"mdat".as_slice(), &size.to_be_bytes()].concat());
            }
        }
        let moved = ((ftyp.len() + moov + media.len()) as u64).wrapping_sub(data.start);
        for (track, _) in &cropped {
            move_chunks(&mut buffer, track, moved)?;
        }
        let mut head = ftyp;
        head.extend_from_slice(&(moov as u32).to_be_bytes());
        head.extend_from_slice(b"moov");
        head.extend_from_slice(buffer.get(mvhd).unwrap_or_default());
        for (track, added) in cropped {
            write(&buffer, track, &added, &mut head);
        }
        head.extend_from_slice(&media);
        Ok(Part { head, data })
    }
}

/// Adds to the places of a track's chunks how far their data moves.
fn move_chunks(buffer: &mut [u8], track: &Track, moved: u64) -> Result<(), Fault> {
    if let Some(table) = track.get(Kind::Co64Table) {
        for at in table.step_by(8) {
            let place = get64(buffer, at)?.wrapping_add(moved);
            put(buffer, at, &place.to_be_bytes())?;
        }
    } else if let Some(table) = track.get(Kind::StcoTable) {
        for at in table.step_by(4) {
            let place = get32(buffer, at)?.wrapping_add(moved as u32);
            set32(buffer, at, place)?;
        }
    }
    Ok(())
}

/// Writes a track's atoms.
fn write(buffer: &[u8], track: Track, added: &Added, head: &mut Vec<u8>) {
    let mut copy = |span: Range<usize>, before: &[u8], after: &[u8]| {
        head.extend_from_slice(before);
        head.extend_from_slice(buffer.get(span).unwrap_or_default());
        head.extend_from_slice(after);
    };
    copy(track.at..track.at + HEADER, b"", b"");
    for (kind, span) in track.in_order() {
        match kind {
            Kind::Mdia => copy(span, &added.edit_list, b""),
            Kind::StscTable => copy(span, &added.first, &added.last),
            _ => copy(span, b"", b""),
        }
    }
}

/// What is sent of a track that is not in the file.
#[derive(Default)]
struct Added {
    /// The `edts` atom.
    edit_list: Vec<u8>,
    /// The entry of `stsc` for what is left of the first chunk.
    first: Vec<u8>,
    /// The entry of `stsc` for what is left of the last chunk.
    last: Vec<u8>,
}

/// A chunk of a track in which the part begins or ends.
#[derive(Clone, Copy, Default)]
struct Chunk {
    /// Its number.
    number: u64,
    /// How many of its samples count.
    samples: u64,
    /// Their size.
    size: u64,
}

/// A track that is cropped.
struct TrackCut<'a> {
    crop: &'a Crop,
    buffer: &'a mut [u8],
    track: Track,
    added: Added,
    /// How long the samples take that precede the start, back to a key frame.
    prefix: u64,
    start_sample: u64,
    end_sample: u64,
    first: Chunk,
    last: Chunk,
    /// Where in the file the samples are.
    data: Range<u64>,
}

/// Which end of the part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Start,
    Stop,
}

impl End {
    const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "end",
        }
    }
}

impl<'a> TrackCut<'a> {
    fn new(crop: &'a Crop, buffer: &'a mut [u8], track: Track) -> Self {
        Self {
            crop,
            buffer,
            track,
            added: Added::default(),
            prefix: 0,
            start_sample: 0,
            end_sample: 0,
            first: Chunk::default(),
            last: Chunk::default(),
            data: 0..0,
        }
    }

    /// Crops the tables and sets the sizes of the atoms; the size of the track.
    fn crop(&mut self) -> Result<usize, Fault> {
        self.stts()?;
        self.stss()?;
        self.ctts()?;
        self.stsc()?;
        self.stsz()?;
        match self.track.get(Kind::Co64Table) {
            Some(table) => self.chunks((Kind::Co64, table), (8, "co64 chunks"), get64)?,
            None => {
                let table = self.track.get(Kind::StcoTable).ok_or(Fault::NoAtoms("stco"))?;
                self.chunks((Kind::Stco, table), (4, "stco chunks"), |buffer, at| get32(buffer, at).map(u64::from))?;
            }
        }
        self.media_header()?;
        self.edit_list();
        self.sizes()
    }

    fn get(&self, at: usize) -> Result<u32, Fault> {
        get32(self.buffer, at)
    }

    fn set(&mut self, at: usize, value: u32) -> Result<(), Fault> {
        set32(self.buffer, at, value)
    }

    /// Whether the part has an end.
    const fn has_end(&self) -> bool {
        self.crop.asked.length != 0
    }

    /// The ends at which a table is cropped.
    fn ends(&self) -> impl Iterator<Item = End> + use<> {
        [Some(End::Start), self.has_end().then_some(End::Stop)].into_iter().flatten()
    }

    /// Sets the size and the count of a table's atom, whose entries are `each` bytes long.
    fn close(&mut self, kind: Kind, (more, each): (usize, usize)) -> Result<(), Fault> {
        let (Some(atom), Some(table)) = (self.track.get(kind), self.track.get(kind.table())) else { return Ok(()) };
        let bytes = table.len() + more;
        self.set(atom.start, (atom.len() + bytes) as u32)?;
        self.set(atom.end - 4, (bytes / each) as u32)
    }

    fn stts(&mut self) -> Result<(), Fault> {
        for end in self.ends() {
            let table = self.track.get(Kind::SttsTable).ok_or(Fault::NoAtoms("stts"))?;
            let table = self.crop_stts(table, end)?;
            self.track.set(Kind::SttsTable, table);
        }
        self.close(Kind::Stts, (0, 8))
    }

    fn crop_stts(&mut self, table: Range<usize>, end: End) -> Result<Range<usize>, Fault> {
        let asked = if end == End::Start { self.crop.asked.start } else { self.crop.asked.length };
        let mut time = (asked.wrapping_mul(u64::from(self.track.timescale)) / 1000).wrapping_add(self.prefix);
        let mut sample = 0_u64;
        for at in table.clone().step_by(8) {
            let (count, duration) = (self.get(at)?, self.get(at + 4)?);
            let all = u64::from(count) * u64::from(duration);
            if time >= all {
                sample += u64::from(count);
                time -= all;
                continue;
            }
            let rest = (time / u64::from(duration)) as u32;
            sample += u64::from(rest);
            if end == End::Stop {
                self.set(at, rest)?;
                self.end_sample = self.start_sample.wrapping_add(sample);
                return Ok(table.start..at + 8);
            }
            return Ok(self.start_at_key_frame(&table, at, (sample, rest))?..table.end);
        }
        if end == End::Start {
            return Err(Fault::Out("start", "stts samples"));
        }
        self.end_sample = self.start_sample.wrapping_add(sample);
        Ok(table)
    }

    /// Goes back from a sample, the `rest`th of the entry at `at`, to its key frame; where the table then begins.
    ///
    /// Differs from nginx: a list of key frames that begins with sample 0 is refused; nginx reads before the table. [test: entries_outside_a_table_are_refused]
    fn start_at_key_frame(
        &mut self,
        table: &Range<usize>,
        mut at: usize,
        (sample, mut rest): (u64, u32),
    ) -> Result<usize, Fault> {
        let mut before = self.samples_before(sample as u32)?;
        self.start_sample = sample.wrapping_sub(u64::from(before));
        let (mut count, mut duration) = (self.get(at)?, self.get(at + 4)?);
        while rest < before {
            self.prefix = self.prefix.wrapping_add(u64::from(rest.wrapping_mul(duration)));
            before -= rest;
            at = at.checked_sub(8).filter(|at| *at >= table.start).ok_or(Fault::Outside)?;
            (count, duration) = (self.get(at)?, self.get(at + 4)?);
            rest = count;
        }
        self.prefix = self.prefix.wrapping_add(u64::from(before.wrapping_mul(duration)));
        self.track.duration = self.track.duration.wrapping_add(self.prefix);
        self.set(at, count - (rest - before))?;
        Ok(at)
    }

    /// How many samples there are from the key frame before a sample up to it.
    fn samples_before(&self, sample: u32) -> Result<u32, Fault> {
        let Some(table) = self.track.get(Kind::StssTable).filter(|_| self.crop.key_frame) else { return Ok(0) };
        // Key frames are counted from 1.
        let sample = sample.wrapping_add(1);
        let mut before = 0;
        for at in table.step_by(4) {
            let key = self.get(at)?;
            if key > sample {
                break;
            }
            before = sample - key;
        }
        Ok(before)
    }

    fn stss(&mut self) -> Result<(), Fault> {
        for end in self.ends() {
            let Some(mut table) = self.track.get(Kind::StssTable) else { return Ok(()) };
            let first = if end == End::Start { self.start_sample } else { self.end_sample } as u32;
            let first = first.wrapping_add(1);
            let mut at = table.start;
            while at < table.end && self.get(at)? < first {
                at += 4;
            }
            match end {
                End::Start => table.start = at,
                End::Stop => table.end = at,
            }
            self.track.set(Kind::StssTable, table);
        }
        let Some(table) = self.track.get(Kind::StssTable) else { return Ok(()) };
        for at in table.step_by(4) {
            let sample = self.get(at)?.wrapping_sub(self.start_sample as u32);
            self.set(at, sample)?;
        }
        self.close(Kind::Stss, (0, 4))
    }

    fn ctts(&mut self) -> Result<(), Fault> {
        for end in self.ends() {
            let Some(table) = self.track.get(Kind::CttsTable) else { return Ok(()) };
            let table = self.crop_ctts(table, end)?;
            self.track.set(Kind::CttsTable, table);
        }
        if self.track.get(Kind::CttsTable).is_some_and(|table| table.is_empty()) {
            self.track.remove(Kind::Ctts);
            self.track.remove(Kind::CttsTable);
        }
        self.close(Kind::Ctts, (0, 8))
    }

    fn crop_ctts(&mut self, table: Range<usize>, end: End) -> Result<Range<usize>, Fault> {
        let sample = match end {
            End::Start => self.start_sample,
            End::Stop => self.end_sample.wrapping_sub(self.start_sample),
        };
        let mut sample = (sample as u32).wrapping_add(1);
        for at in table.clone().step_by(8) {
            let count = self.get(at)?;
            if sample > count {
                sample -= count;
                continue;
            }
            let rest = sample.wrapping_sub(1);
            return Ok(match end {
                End::Start => {
                    self.set(at, count.wrapping_sub(rest))?;
                    at..table.end
                }
                End::Stop => {
                    self.set(at, rest)?;
                    table.start..at + 8
                }
            });
        }
        Ok(if end == End::Start { table.end..table.end } else { table })
    }

    fn stsc(&mut self) -> Result<(), Fault> {
        let table = self.track.get(Kind::StscTable).ok_or(Fault::NoAtoms("stsc"))?;
        if table.is_empty() {
            return Err(Fault::NoEntries);
        }
        for end in self.ends() {
            let table = self.track.get(Kind::StscTable).ok_or(Fault::NoAtoms("stsc"))?;
            let table = self.crop_stsc(table, end)?;
            self.track.set(Kind::StscTable, table);
        }
        let table = self.track.get(Kind::StscTable).unwrap_or_default();
        for at in table.step_by(12) {
            let chunk = self.get(at)?.wrapping_sub(self.first.number as u32);
            self.set(at, chunk)?;
        }
        self.close(Kind::Stsc, (self.added.first.len() + self.added.last.len(), 12))
    }

    /// The sample of `stsc` at an end; what is left of the first chunk counts already.
    fn sample_in_chunks(&mut self, end: End) -> Result<u32, Fault> {
        if end == End::Start {
            return Ok(self.start_sample as u32);
        }
        let sample = self.end_sample.wrapping_sub(self.start_sample) as u32;
        if self.added.first.is_empty() {
            return Ok(sample);
        }
        let samples = get32(&self.added.first, 4)?.min(sample);
        set32(&mut self.added.first, 4, samples)?;
        Ok(sample - samples)
    }

    /// Differs from nginx: chunks out of order are refused, as by its later versions. [test: chunks_out_of_order_are_refused]
    fn crop_stsc(&mut self, mut table: Range<usize>, end: End) -> Result<Range<usize>, Fault> {
        let mut sample = self.sample_in_chunks(end)?;
        let mut at = table.start;
        let (mut chunk, mut samples, mut id) = (self.get(at)?, self.get(at + 4)?, self.get(at + 8)?);
        let mut samples_before = 0;
        let next = loop {
            at += 12;
            let is_last = at >= table.end;
            let next = if is_last { self.chunk_count().wrapping_add(1) } else { self.get(at)? };
            if next < chunk && !is_last {
                return Err(Fault::Unordered);
            }
            let count = u64::from(next.wrapping_sub(chunk)) * u64::from(samples);
            if u64::from(sample) < count {
                break next;
            }
            if is_last {
                if u64::from(sample) > count {
                    return Err(Fault::Out(end.name(), "stsc chunks"));
                }
                break next;
            }
            sample -= count as u32;
            samples_before = samples;
            (chunk, samples, id) = (next, self.get(at + 4)?, self.get(at + 8)?);
        };
        at -= 12;
        if samples == 0 {
            return Err(Fault::NoSamples);
        }
        let target = u64::from(chunk.wrapping_sub(1)) + u64::from(sample / samples);
        let left = sample % samples;
        let (next, count) = match end {
            End::Start => {
                table.start = at;
                (self.first.number, self.first.samples) = (target, u64::from(left));
                self.set(at, (target as u32).wrapping_add(1))?;
                (next, samples - left)
            }
            End::Stop => {
                table.end = if sample > 0 { at + 12 } else { at };
                self.last.samples = u64::from(if sample > 0 { samples } else { samples_before });
                self.last.number = target;
                if left > 0 {
                    (self.last.number, self.last.samples) = (target + 1, u64::from(left));
                }
                (chunk.wrapping_add(1), left)
            }
        };
        if left > 0 {
            self.add_chunk(end, at, u64::from(next).wrapping_sub(target) == 2, (count, id))?;
        }
        Ok(table)
    }

    /// Has a chunk of which a part of the samples is left described: by the entry at `at` where that is for this chunk
    /// `alone`, by one of its own otherwise.
    fn add_chunk(&mut self, end: End, at: usize, alone: bool, (samples, id): (u32, u32)) -> Result<(), Fault> {
        if alone {
            return self.set(at + 4, samples);
        }
        let entry = |chunk: u32| [chunk, samples, id].map(u32::to_be_bytes).concat();
        match end {
            End::Start => {
                self.added.first = entry(1);
                self.set(at, (self.first.number as u32).wrapping_add(2))
            }
            End::Stop => {
                self.added.last = entry(self.last.number.wrapping_sub(self.first.number) as u32);
                Ok(())
            }
        }
    }

    fn chunk_count(&self) -> u32 {
        let count = |kind, each| self.track.get(kind).map(|table| table.len() / each);
        count(Kind::StcoTable, 4).or_else(|| count(Kind::Co64Table, 8)).unwrap_or(0) as u32
    }

    fn stsz(&mut self) -> Result<(), Fault> {
        let Some(whole) = self.track.get(Kind::StszTable) else { return Ok(()) };
        let entries = (whole.len() / 4) as u64;
        if self.start_sample > entries {
            return Err(Fault::Out("start", "stsz samples"));
        }
        let mut table = whole.clone();
        table.start += self.start_sample as usize * 4;
        self.first.size = self.sizes_before(whole.start, table.start, self.first.samples)?;
        if self.first.size > self.crop.size {
            return Err(Fault::SamplesTooLarge("start"));
        }
        if self.has_end() {
            let count = self.end_sample.wrapping_sub(self.start_sample);
            if count > entries - self.start_sample {
                return Err(Fault::Out("end", "stsz samples"));
            }
            table.end = table.start + count as usize * 4;
            self.last.size = self.sizes_before(whole.start, table.end, self.last.samples)?;
            if self.last.size > self.crop.size {
                return Err(Fault::SamplesTooLarge("end"));
            }
        }
        self.track.set(Kind::StszTable, table);
        self.close(Kind::Stsz, (0, 4))
    }

    /// The sum of so many sizes before a place in a table that begins at `begin`.
    fn sizes_before(&self, begin: usize, end: usize, samples: u64) -> Result<u64, Fault> {
        if samples > ((end - begin) / 4) as u64 {
            return Err(Fault::Outside);
        }
        let mut sum = 0;
        for at in (end - samples as usize * 4..end).step_by(4) {
            sum += u64::from(self.get(at)?);
        }
        Ok(sum)
    }

    /// The place of a chunk's samples, if it is in the file and fits into an entry.
    fn place(&self, offset: u64, size: u64, each: usize) -> Result<u64, Fault> {
        if offset > self.crop.size - size || each == 4 && offset + size > u64::from(u32::MAX) {
            return Err(Fault::ChunkOffset);
        }
        Ok(offset + size)
    }

    fn chunks(
        &mut self,
        (kind, mut table): (Kind, Range<usize>),
        (each, name): (usize, &'static str),
        get: fn(&[u8], usize) -> Result<u64, Fault>,
    ) -> Result<(), Fault> {
        let count = (table.len() / each) as u64;
        if self.first.number > count {
            return Err(Fault::Out("start", name));
        }
        table.start += self.first.number as usize * each;
        // Behind the last chunk nginx takes what follows the table.
        let offset = get(self.buffer, table.start).unwrap_or(0);
        self.data.start = self.place(offset, self.first.size, each)?;
        if !table.is_empty() {
            let bytes = self.data.start.to_be_bytes();
            put(self.buffer, table.start, bytes.get(8 - each..).unwrap_or_default())?;
        }
        if self.has_end() {
            if self.last.number > count {
                return Err(Fault::Out("end", name));
            }
            let left = self.last.number.checked_sub(self.first.number).ok_or(Fault::Outside)?;
            table.end = table.start + left as usize * each;
            if left > 0 {
                let offset = get(self.buffer, table.end - each)?;
                self.data.end = self.place(offset, self.last.size, each)?;
            }
        } else {
            self.data.end = self.crop.media_end;
        }
        if table.is_empty() {
            self.data = self.crop.size..0;
        }
        self.track.set(kind.table(), table);
        self.close(kind, (0, each))
    }

    /// Sets the media's duration.
    fn media_header(&mut self) -> Result<(), Fault> {
        let Some(atom) = self.track.get(Kind::Mdhd) else { return Ok(()) };
        let duration = self.track.duration;
        match self.buffer.get(atom.start + HEADER) {
            Some(0) => self.set(atom.start + 24, duration as u32),
            _ => put(self.buffer, atom.start + 32, &duration.to_be_bytes()),
        }
    }

    /// Has players skip the samples between the key frame and the start.
    fn edit_list(&mut self) {
        if self.prefix == 0 {
            return;
        }
        let out = &mut self.added.edit_list;
        for (size, name) in [(44_u32, b"edts"), (36, b"elst")] {
            out.extend_from_slice(&size.to_be_bytes());
            out.extend_from_slice(name);
        }
        // Version 1, one entry.
        out.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 1]);
        out.extend_from_slice(&self.track.movie_duration.to_be_bytes());
        out.extend_from_slice(&self.prefix.to_be_bytes());
        // The rate, 1.
        out.extend_from_slice(&[0, 1, 0, 0]);
    }

    /// Sets the sizes of the atoms that hold others, from the innermost out; the size of the track.
    fn sizes(&mut self) -> Result<usize, Fault> {
        let length = |kinds: &[Kind]| -> usize {
            kinds.iter().filter_map(|kind| self.track.get(*kind)).map(|span| span.len()).sum()
        };
        let tables = [Kind::Stts, Kind::Stss, Kind::Ctts, Kind::Stsc, Kind::Stsz, Kind::Stco, Kind::Co64];
        let entries = tables.map(Kind::table);
        let added = self.added.first.len() + self.added.last.len();
        let stbl = HEADER + length(&[Kind::Stsd]) + length(&tables) + length(&entries) + added;
        let minf = HEADER + stbl + length(&[Kind::Vmhd, Kind::Smhd, Kind::Dinf]);
        let mdia = HEADER + minf + length(&[Kind::Mdhd, Kind::Hdlr]);
        let trak = HEADER + mdia + length(&[Kind::Tkhd]) + self.added.edit_list.len();
        for (kind, size) in [(Kind::Stbl, stbl), (Kind::Minf, minf), (Kind::Mdia, mdia)] {
            let atom = self.track.get(kind).ok_or(Fault::Outside)?;
            self.set(atom.start, size as u32)?;
        }
        self.set(self.track.at, trak as u32)?;
        Ok(trak)
    }
}
