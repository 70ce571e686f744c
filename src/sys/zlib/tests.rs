use super::{Deflate, Flush, Inflate};

fn text() -> Vec<u8> {
    (0..40_000_u32).flat_map(|number| format!("{} ", number.wrapping_mul(2_654_435_761) >> 20).into_bytes()).collect()
}

fn compressed(text: &[u8], level: u8) -> Vec<u8> {
    let mut out = Vec::new();
    let mut deflate = Deflate::new(level, 15, 8).expect("a stream");
    deflate.run(text, Flush::Finish, &mut out).expect("deflate");
    assert_eq!(deflate.total, (text.len() as u64, out.len() as u64));
    out
}

fn inflated(pieces: &[&[u8]], most: usize) -> Vec<u8> {
    let (mut inflate, mut out) = (Inflate::new().expect("a stream"), Vec::new());
    for mut piece in pieces.iter().copied() {
        while !piece.is_empty() {
            let mut some = Vec::new();
            let read = inflate.run(piece, most, &mut some).expect("inflate");
            piece = &piece[read..];
            out.extend(some);
        }
        loop {
            let mut some = Vec::new();
            inflate.run(b"", most, &mut some).expect("inflate");
            if some.is_empty() {
                break;
            }
            out.extend(some);
        }
    }
    assert!(inflate.is_ended());
    out
}

#[test]
fn what_is_compressed_is_decompressed_at_every_level_and_split() {
    let text = text();
    for level in 1..=9 {
        let whole = compressed(&text, level);
        assert_eq!(inflated(&[&whole], usize::MAX), text);
        for at in [1, 9, 10, 11, 4096, whole.len() - 8, whole.len() - 1] {
            assert_eq!(inflated(&[&whole[..at], &whole[at..]], 1000), text, "{level} {at}");
        }
    }
}

#[test]
fn streams_follow_each_other() {
    let both = [compressed(b"one ", 1), compressed(b"two", 9)].concat();
    for at in 1..both.len() {
        assert_eq!(inflated(&[&both[..at], &both[at..]], 1), b"one two", "{at}");
    }
}

#[test]
fn a_flush_lets_everything_out_once() {
    let (mut deflate, mut out) = (Deflate::new(1, 9, 1).expect("a stream"), Vec::new());
    deflate.run(b"hello", Flush::None, &mut out).expect("deflate");
    deflate.run(b"", Flush::Sync, &mut out).expect("deflate");
    let mut plain = Vec::new();
    Inflate::new().expect("a stream").run(&out, 100, &mut plain).expect("inflate");
    assert_eq!(plain, b"hello");
    let length = out.len();
    deflate.run(b"", Flush::Sync, &mut out).expect("deflate");
    assert_eq!(out.len(), length);
}

#[test]
fn what_is_no_gzip_is_refused() {
    assert!(Inflate::new().expect("a stream").run(b"plain text", 100, &mut Vec::new()).is_err());
}
