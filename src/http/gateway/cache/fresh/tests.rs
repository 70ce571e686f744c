use super::Fresh;

const NOW: i64 = 1_000_000_000;

/// What headers say: until when from now on, 0 for nothing said, -1 for an answer that is not kept.
fn says(headers: &[(&str, &str)], ignore: u32) -> i64 {
    let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let fresh = Fresh::new(headers, ignore, 0, NOW);
    match (fresh.refused, fresh.valid) {
        (true, _) => -1,
        (_, 0) => 0,
        (_, valid) => valid - NOW,
    }
}

#[test]
fn headers_say_how_long_an_answer_is_fresh() {
    let (accel, control, expires) = ("X-Accel-Expires", "Cache-Control", "expires");
    let (past, future) = ("Sun, 09 Sep 2001 01:46:39 GMT", "Sun, 09 Sep 2001 01:47:40 GMT");
    for (headers, seconds) in [
        (&[][..], 0),
        (&[(control, "max-age=10")], 10),
        (&[(control, "public, Max-Age=10, s-maxage=5")], 5),
        (&[(control, "max-age=0")], -1),
        (&[(control, "max-age=1x")], -1),
        (&[(control, "max-age=5;x")], 5),
        (&[(control, "no-cache")], -1),
        (&[(control, "PRIVATE=\"x\"")], -1),
        (&[(control, "no-store"), (control, "max-age=7")], -1),
        (&[(expires, future)], 60),
        (&[(expires, past)], -1),
        (&[(expires, "0")], -1),
        (&[(expires, past), (control, "max-age=7")], 7),
        (&[(control, "max-age=7"), (expires, past)], 7),
        (&[(accel, "5"), (control, "no-cache"), (expires, past)], 5),
        (&[(control, "no-cache"), (expires, past), (accel, "5")], 5),
        (&[(accel, "0")], -1),
        (&[(accel, "five")], 0),
        (&[(accel, "@1000000007")], 7),
        (&[(accel, "5"), (control, "max-age=9")], 5),
        (&[("Set-Cookie", "a=b"), (accel, "5")], -1),
        (&[("Vary", "*"), (control, "max-age=9")], -1),
        (&[("Vary", "Accept"), (control, "max-age=9")], 9),
    ] {
        assert_eq!(says(headers, 0), seconds, "{headers:?}");
    }
    for (header, bit) in [
        ((accel, "5"), 2),
        ((expires, past), 32),
        ((control, "no-cache"), 64),
        (("Set-Cookie", "a"), 128),
        (("Vary", "*"), 256),
    ] {
        assert_eq!(says(&[header], bit), 0, "{header:?}");
        assert_ne!(says(&[header], !bit), 0, "{header:?}");
    }
}

#[test]
fn extensions_and_vary_are_kept() {
    let of = |headers: &[(&str, &str)]| {
        let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        Fresh::new(headers, 0, 0, NOW)
    };
    let fresh = of(&[("Cache-Control", "max-age=1, stale-while-revalidate=10")]);
    assert_eq!((fresh.valid, fresh.updating, fresh.error), (NOW + 1, 10, 10));
    let fresh = of(&[("Cache-Control", "stale-if-error=20, stale-while-revalidate=10")]);
    assert_eq!((fresh.valid, fresh.updating, fresh.error), (0, 10, 20));
    let fresh = of(&[("X-Accel-Expires", "3"), ("Cache-Control", "no-cache, stale-if-error=4")]);
    assert_eq!((fresh.valid, fresh.error, fresh.refused), (NOW + 3, 4, false));
    assert_eq!(of(&[("Vary", "a"), ("Vary", "b")]).vary, b"a, b");
    assert!(of(&[("Vary", &"a".repeat(129))]).refused && !of(&[("Vary", &"a".repeat(128))]).refused);
}
