use super::PIECE;
use crate::sys::zlib::{Deflate, Flush, Inflate};

/// A piece that grows a thousandfold comes out in pieces of bounded size, all of it.
#[test]
fn what_grows_is_taken_piece_by_piece() {
    let plain = vec![0_u8; 20 << 20];
    let mut packed = Vec::new();
    let mut deflate = Deflate::new(9, 15, 9).unwrap();
    deflate.run(&plain, Flush::Finish, &mut packed).unwrap();
    assert!(packed.len() < 64 << 10);
    let (mut inflate, mut at, mut total) = (Inflate::new().unwrap(), 0, 0);
    while at < packed.len() || !inflate.is_ended() {
        let mut out = Vec::new();
        at += inflate.run(&packed[at..], PIECE, &mut out).unwrap();
        assert!(out.len() <= 2 * PIECE && out.capacity() <= 4 * PIECE, "{}", out.capacity());
        total += out.len();
    }
    assert_eq!(total, plain.len());
}
