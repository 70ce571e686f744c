use super::{accepts_gzip, sizes};

#[test]
fn accept_encoding_is_read_as_nginx_reads_it() {
    for (header, taken) in [
        ("gzip", true),
        ("gzip, deflate", true),
        ("deflate, gzip", true),
        ("x-gzip", false),
        ("deflate", false),
        ("gzip;q=0", false),
        ("gzip;q=0.0", false),
        ("gzip;q=0.001", true),
        ("gzip;q=0.0001", false),
        ("gzip; q=1.0", true),
        ("deflate, GZIP ;q=0.5", true),
        ("gzipped", false),
        ("*", false),
        ("", false),
    ] {
        assert_eq!(accepts_gzip(header.as_bytes()), taken, "{header}");
    }
}

#[test]
fn a_short_response_takes_little_memory() {
    for (length, expected) in [
        (None, (15, 8)),
        (Some(0), (15, 8)),
        (Some(1 << 20), (15, 8)),
        (Some(16_122), (15, 8)),
        (Some(16_121), (14, 7)),
        (Some(5_000), (13, 6)),
        (Some(20), (9, 2)),
    ] {
        let (window, memory) = sizes(15, 8, length);
        assert_eq!((window.max(9), memory), expected, "{length:?}");
    }
}
