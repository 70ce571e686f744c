use super::*;

/// Hashes that other programs made of [`PASSWORD`].
const HASHES: &[&str] = &[
    "ab6bn52rB/6Pw",
    "$1$saltsalt$l9DZeVHz063701QV2eroq0",
    "$5$saltstring$MnVybaaYCGPaP15/hditmo6OVcsbo6YmI9rxMy2TNcB",
    "$5$rounds=1400$anotherlongsalts$q7068M4dNwyaYuTK7Pr5teS0stHHFuEEVHbm04Vcw8.",
    "$6$saltstring$gG2N/l/rQHvQx2d8A45FhAlCZ4qpeAfrZL/FAINaKYk9F9/ylhjDg76lV1RuCKp.ts3w/YY.Mbid38fv7gzMI0",
    "$6$rounds=1000$x$/6M8p1c8fG4TkZDMb/rzCR2k2xK8rRb8N9BBby4AMENwd5.T/l4NlbqVtFch.J4OUYu8XJWnEkRAewKcDXne21",
    "$2b$05$abcdefghijklmnopqrstuu3ze7T1k4MXAKL5De8MP1ZRbziEIQt4W",
    "$2y$04$abcdefghijklmnopqrstuuvt96MOaoEqG/uIOjsfD8sO6d73/qUau",
    "$2a$04$abcdefghijklmnopqrstuuvt96MOaoEqG/uIOjsfD8sO6d73/qUau",
    "_J9..rasmPoRqnzou5sk",
    "$y$j75$abcdefghijkl$0s9DKseKTvTaoXWJMv1/ufVvt6nNbl4hejBUm1DvJy8",
    "$sha1$100$abcdef$wvToga3RpsxSNV/xSnvlOrPDFPlQ",
    "$apr1$saltsalt$bo826J7g9r5LteJMKgRVh/",
    "{PLAIN}pa s:éwörd",
];
const PASSWORD: &str = "pa s:éwörd";

#[test]
fn hashes_of_other_programs_are_checked() {
    for hash in HASHES {
        assert!(verify(hash.as_bytes(), PASSWORD.as_bytes()), "{hash}");
        assert!(!verify(hash.as_bytes(), b"pa s:"), "{hash}");
        assert!(!verify(&hash.as_bytes()[..hash.len() - 1], PASSWORD.as_bytes()), "{hash} without its end");
    }
    assert!(verify(b"$apr1$s$e2aCb9PLCjZ2t55SoAxXn.", b""));
    assert!(verify(b"$1$s$/qU56AV814za6ztngbplW.", &[b'x'; 40]));
}

#[test]
fn hashes_of_sha1_are_compared_as_they_are_written() {
    assert!(verify(b"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", b"password"));
    assert!(!verify(b"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g", b"password"), "without its padding");
    assert!(!verify(b"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", b"Password"));
    let salted = salted_sha1(&BASE64.encode(&[&[0; 20][..], b"salt"].concat()).into_bytes(), b"password");
    let entry = [b"{SSHA}", salted.as_slice()].concat();
    assert!(verify(&entry, b"password"));
    assert!(!verify(&entry, b"passwort"));
    assert!(!verify(b"{SSHA}", b""), "an entry without a hash lets nobody in");
    assert!(!verify(b"{SSHA}!", b""));
}

#[test]
fn what_is_no_hash_lets_nobody_in() {
    for entry in [
        "",
        "*",
        "!",
        "x",
        "*0",
        "*1",
        "$",
        "$1",
        "$1$",
        "$2y$",
        "$2y$10$short",
        "$6$",
        "$y$",
        "$y$j9T$",
        "$3$$970841dd",
        "\u{e9}",
    ] {
        for password in ["", "*0", "x", entry] {
            assert!(!verify(entry.as_bytes(), password.as_bytes()), "{entry:?} and {password:?}");
        }
    }
    // Nor do hashes of random bytes end the program.
    for seed in 0..2000_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let bytes: Vec<u8> = (0..seed % 70)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                b"$./09azAZ{}=\xc3\xa9"[(state >> 33) as usize % 14]
            })
            .collect();
        for prefix in [&b"$1$"[..], b"$apr1$", b"{SSHA}", b"{SHA}", b"a", b"_"] {
            assert!(!verify(&[prefix, &bytes].concat(), b"password"));
        }
    }
}

#[test]
fn slow_hashes_are_known_by_their_beginning() {
    assert!(HASHES.iter().filter(|hash| is_quick(hash.as_bytes())).count() == 4);
}
