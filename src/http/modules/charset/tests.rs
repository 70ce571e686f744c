use super::{Character, Converted, Table, decode, narrow, parameter, wide};
use std::sync::Arc;

fn converted(table: Arc<Table>, pieces: &[&[u8]]) -> Vec<u8> {
    let (mut converted, mut out) = (Converted { table, part: Vec::new() }, Vec::new());
    for piece in pieces {
        converted.convert(piece, &mut out);
    }
    out
}

#[test]
fn texts_are_converted_wherever_the_pieces_end() {
    let rows: Vec<(u8, Vec<u8>)> = vec![(0xe1, "б".into()), (0xe2, "€".into())];
    let (there, back) = wide(&rows);
    let (there, back) = (Arc::new(there), Arc::new(back));
    let (one, other) = narrow(&[(0xe1, vec![0xc2]), (0xe3, vec![0x41])]);
    let cases: [(Arc<Table>, &[u8], &[u8]); 6] = [
        (there, b"a\xe1\xe2\xe9z", "aб€?z".as_bytes()),
        (back.clone(), "aб€ж😀z".as_bytes(), b"a\xe1\xe2&#1078;&#128512;z"),
        (back.clone(), b"\xff\xc0\x80\xe2\x82A\xf4\x90\x80\x80", b"?????"),
        (back, b"a\xe2\x82", b"a"),
        (Arc::new(one), b"A\xe1\xe2\xe3", b"A\xc2?A"),
        (Arc::new(other), b"A\xc2\xe2", b"\xe3\xe1?"),
    ];
    for (table, text, expected) in cases {
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let pieces = [&text[..first], &text[first..second], &text[second..]];
                let got = converted(table.clone(), &pieces);
                assert_eq!(got, expected, "{text:x?} {first} {second}");
            }
        }
    }
}

#[test]
fn characters_are_read_as_nginx_reads_them() {
    for (text, expected) in [
        (&b"a"[..], Character::Known(97, 1)),
        (b"\xed\xa0\x80", Character::Known(0xd800, 3)),
        (b"\xc1\x81", Character::Invalid(1)),
        (b"\xe0\x80\x80", Character::Invalid(3)),
        (b"\xe2\x41\x80", Character::Invalid(2)),
        (b"\xe2\x82", Character::Part),
        (b"\xf8", Character::Invalid(1)),
    ] {
        assert_eq!(decode(text), expected, "{text:x?}");
    }
}

#[test]
fn the_charset_of_a_content_type_is_found() {
    for (text, expected) in [
        ("text/html", None),
        ("text/html; charset=utf-8", Some((9, "utf-8"))),
        ("text/html;CHARSET=\"koi8-r\"", Some((9, "koi8-r"))),
        ("text/html; a=b;  charset=x", Some((14, "x"))),
        ("text/html; a=charset=x", None),
        ("text/html;", None),
    ] {
        let expected = expected.map(|(at, name): (usize, &str)| (at, name.as_bytes()));
        assert_eq!(parameter(text.as_bytes()), expected, "{text}");
    }
}
