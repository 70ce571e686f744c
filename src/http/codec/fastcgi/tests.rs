use super::*;

/// A server's answer, with what it says on the error stream in the middle.
fn answer() -> Vec<u8> {
    let mut bytes = Vec::new();
    record(kind::STDOUT, b"Status: 200\r\n\r\nfirst ", &mut bytes);
    record(kind::STDERR, b"a warning.\n", &mut bytes);
    record(kind::STDOUT, b"second", &mut bytes);
    header(kind::STDOUT, 0, 0, &mut bytes);
    header(kind::END_REQUEST, 8, 0, &mut bytes);
    bytes.extend_from_slice(&[0; 8]);
    bytes
}

#[test]
fn an_answer_is_the_same_however_it_is_cut() {
    let whole = answer();
    for size in 1..=whole.len() {
        let mut records = Records::default();
        let (mut body, mut errors) = (Vec::new(), Vec::new());
        for piece in whole.chunks(size) {
            let mut piece = piece.to_vec();
            let found = records.take(&mut piece).expect("records");
            body.extend_from_slice(&piece[..found.answer]);
            errors.extend(found.errors.into_iter().flat_map(|(_, error)| error));
        }
        assert_eq!(body, b"Status: 200\r\n\r\nfirst second");
        assert_eq!(errors, b"a warning.\n");
        assert!(records.is_closed && records.is_ended && records.is_clean(), "{size}");
    }
}

#[test]
fn the_end_of_the_head_is_found_in_what_came() {
    let mut bytes = answer();
    let mut records = Records::default();
    records.take(&mut bytes).expect("records");
    assert_eq!(records.place(15), 8 + 15);
    let (mut records, mut bytes) = (Records::default(), answer());
    records.take(&mut bytes).expect("records");
    // The first record has 21 bytes and 3 of padding, the error 11 and 5.
    assert_eq!(records.place(22), 8 + 24 + 8 + 16 + 8 + 1);
}

#[test]
fn what_follows_the_end_is_told() {
    let mut bytes = answer();
    bytes.push(1);
    let mut records = Records::default();
    assert!(records.take(&mut bytes).is_ok());
    assert!(records.is_ended && !records.is_clean());
}

#[test]
fn records_that_cannot_be_are_named_in_nginxs_words() {
    for (bytes, words) in [
        ([2, 6, 0, 1], "upstream sent unsupported FastCGI protocol version: 2"),
        ([1, 9, 0, 1], "upstream sent invalid FastCGI record type: 9"),
        ([1, 6, 3, 1], "upstream sent unexpected FastCGI request id high byte: 3"),
        ([1, 6, 0, 7], "upstream sent unexpected FastCGI request id low byte: 7"),
    ] {
        assert_eq!(Records::default().take(&mut bytes.clone()), Err(words.to_owned()));
    }
}

#[test]
fn lengths_over_127_take_four_bytes() {
    let mut out = Vec::new();
    param(b"A", &[b'x'; 128], &mut out);
    assert_eq!(out[..6], [1, 0x80, 0, 0, 128, b'A']);
    assert_eq!(out.len(), 1 + 4 + 1 + 128);
    out.clear();
    param(b"AB", b"c", &mut out);
    assert_eq!(out, b"\x02\x01ABc");
}

#[test]
fn bodies_are_cut_and_padded() {
    let mut out = Vec::new();
    stdin(&vec![b'x'; PIECE + 3], &mut out);
    assert_eq!(out[..8], [1, 5, 0, 1, 0x80, 0, 0, 0]);
    assert_eq!(out[8 + PIECE..8 + PIECE + 8], [1, 5, 0, 1, 0, 3, 5, 0]);
    assert_eq!(out.len(), 8 + PIECE + 8 + 8);
}

#[test]
fn ends_of_sentences_are_not_shown() {
    for (error, text) in
        [(&b"PHP message: a.\n"[..], &b"PHP message: a"[..]), (b"\n", b"\n"), (b"", b""), (b"a b", b"a b")]
    {
        assert_eq!(shown(error), text);
    }
}
