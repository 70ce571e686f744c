use super::{Asked, Fault, Limits, Part, Source, cut};
use std::io;

impl Source for Vec<u8> {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = self.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// An atom of words.
fn atom(name: &str, words: &[u32]) -> Vec<u8> {
    let data: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    holder(name, &[data])
}

/// An atom of others.
fn holder(name: &str, parts: &[Vec<u8>]) -> Vec<u8> {
    let data = parts.concat();
    [&(data.len() as u32 + 8).to_be_bytes(), name.as_bytes(), data.as_slice()].concat()
}

/// A video of ten samples, one a second, in chunks of two; these are the words of `stss` and `stsz`.
fn video(stss: &[u32], stsz: &[u32]) -> Vec<u8> {
    video_of(stss, stsz, &[0, 1, 1, 2, 1])
}

/// The same with these words of `stsc`.
fn video_of(stss: &[u32], stsz: &[u32], stsc: &[u32]) -> Vec<u8> {
    let made = |at: u32| {
        let stbl = holder(
            "stbl",
            &[
                atom("stts", &[0, 1, 10, 1000]),
                atom("stss", stss),
                atom("ctts", &[0, 2, 4, 1, 6, 2]),
                atom("stsc", stsc),
                atom("stsz", stsz),
                atom("stco", &[0, 5, at, at + 8, at + 16, at + 24, at + 32]),
            ],
        );
        let mdhd = atom("mdhd", &[0, 0, 0, 1000, 10_000, 0]);
        let trak = holder("trak", &[holder("mdia", &[mdhd, holder("minf", &[stbl])])]);
        let mut mvhd = vec![0; 25];
        mvhd[3..5].copy_from_slice(&[1000, 10_000]);
        holder("moov", &[atom("mvhd", &mvhd), trak])
    };
    let at = made(0).len() as u32 + 8;
    [made(at), holder("mdat", &[(0..40).collect()])].concat()
}

const SIZES: [u32; 13] = [0, 0, 10, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4];

fn cut_of(video: &Vec<u8>, start: u64, length: u64) -> Result<Option<Part>, Fault> {
    let limits = Limits { buffer: 128, largest: 1 << 20, key_frame: true };
    cut(video, video.len() as u64, Asked { start, length }, limits)
}

#[test]
fn a_part_begins_at_the_key_frame_before_it() {
    let video = video(&[0, 3, 1, 5, 9], &SIZES);
    let place = |sample: u64| video.len() as u64 - 40 + sample * 4;
    for (start, length, first, last) in
        [(1000, 0, 0, 10), (4000, 0, 4, 10), (6500, 2000, 4, 8), (0, 3000, 0, 3), (8000, 1000, 8, 9), (9000, 0, 8, 10)]
    {
        let part = cut_of(&video, start, length).expect("a part").expect("a part");
        assert_eq!(part.data, place(first)..place(last), "{start} {length}");
        assert!(part.head.ends_with(b"mdat"), "{start} {length}");
        let edits = part.head.windows(4).filter(|window| *window == b"elst").count();
        assert_eq!(edits, usize::from(first * 1000 != start - start % 1000), "{start} {length}");
    }
    assert_eq!(cut_of(&video, 0, 0).expect("no fault"), None, "a whole video is sent as it is");
}

#[test]
fn a_size_that_all_samples_have_needs_no_table() {
    let video = video(&[0, 1, 1], &[0, 4, 10, 7, 7]);
    let part = cut_of(&video, 4000, 0).expect("a part").expect("a part");
    let atom = atom("stsz", &[0, 4, 10, 7, 7]);
    assert!(part.head.windows(atom.len()).any(|window| window == atom), "the atom is not whole");
    let moov = u32::from_be_bytes(part.head[..4].try_into().expect("four bytes"));
    assert_eq!(moov as usize, part.head.len() - 8, "the sizes do not fit what is sent");
}

#[test]
fn entries_outside_a_table_are_refused() {
    let outcome = cut_of(&video(&[0, 1, 0], &SIZES), 4000, 0);
    assert!(matches!(outcome, Err(Fault::Outside)), "{outcome:?}");
}

#[test]
fn chunks_out_of_order_are_refused() {
    let outcome = cut_of(&video_of(&[0, 1, 1], &SIZES, &[0, 2, 3, 2, 1, 1, 2, 1]), 1000, 0);
    assert!(matches!(outcome, Err(Fault::Unordered)), "{outcome:?}");
    // Behind the last there is no other.
    let outcome = cut_of(&video_of(&[0, 1, 1], &SIZES, &[0, 2, 1, 0, 1, 9, 2, 1]), 1000, 0);
    assert!(matches!(outcome, Err(Fault::Out("start", "stco chunks"))), "{outcome:?}");
}

#[test]
fn no_number_in_a_file_leads_out_of_it() {
    let whole = video(&[0, 3, 1, 5, 9], &SIZES);
    for at in 0..whole.len() - 44 {
        for number in [0, 1, 2, 8, 16, 24, 0x7fff_ffff, 0x8000_0000, u32::MAX - 7, u32::MAX] {
            let mut file = whole.clone();
            file[at..at + 4].copy_from_slice(&u32::to_be_bytes(number));
            for (start, length) in [(0, 0), (0, 3000), (4500, 0), (4500, 3000), (u64::MAX / 2, u64::MAX / 2)] {
                if let Ok(Some(part)) = cut_of(&file, start, length) {
                    assert!(part.head.len() <= whole.len() + 100, "{} bytes at {at} {number}", part.head.len());
                    assert!(part.data.start <= part.data.end && part.data.end <= file.len() as u64, "{at} {number}");
                }
            }
        }
        assert!(cut_of(&whole[..at].to_vec(), 1000, 0).is_err(), "cut off at {at}");
    }
}
