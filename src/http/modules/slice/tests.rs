use super::*;

#[test]
fn ranges_are_read_as_nginx_reads_them() {
    let of = |start, end, whole| Some(ContentRange { start, end, whole });
    let rows: &[(&[u8], Option<ContentRange>)] = &[
        (b"bytes 0-1/16", of(0, 2, Some(16))),
        (b"bytes   2 - 3 / 16 ", of(2, 4, Some(16))),
        (b"bytes 0-1/*", of(0, 2, None)),
        (b"bytes", None),
        (b"bytes ", None),
        (b"bytes -1/16", None),
        (b"bytes 0-/16", None),
        (b"bytes 0-1", None),
        (b"bytes 0-1/", None),
        (b"bytes 0-1/16x", None),
        (b"bytes 0 1-1/16", None),
        (b"bytes 0-9223372036854775808/16", None),
        (b"items 0-1/16", None),
    ];
    for (value, range) in rows {
        assert_eq!(ContentRange::of(value), *range, "{:?}", String::from_utf8_lossy(value));
    }
}
