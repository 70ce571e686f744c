use super::accepts_gzip;

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
