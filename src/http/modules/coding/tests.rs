use super::accepts;

#[test]
fn a_coding_is_accepted_unless_its_quality_is_0() {
    for (header, taken) in [
        ("br", true),
        ("BR", true),
        ("gzip, br", true),
        ("gzip,br;q=0.5", true),
        ("br;q=1", true),
        ("br ; q = 0.001", true),
        ("br;x=1", true),
        ("br;q=0", false),
        ("br;q=0.", false),
        ("br;q=0.0", false),
        ("br;q=0.000", false),
        ("br;q=0.0001", false),
        ("br ; q = 0, gzip", false),
        ("xbr", false),
        ("brx, xbr", false),
        ("brx, br", true),
        ("", false),
        ("gzip", false),
        ("b", false),
    ] {
        assert_eq!(accepts(header.as_bytes(), b"br"), taken, "{header}");
    }
}
