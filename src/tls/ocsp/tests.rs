use super::*;
use crate::tls::facts;
use crate::tls::testing::{certificates, fixture};

/// The middle of the year after the fixtures were made.
const NOW: i64 = 1_830_000_000;

fn facts_of(name: &str) -> Facts {
    facts::of(&certificates(&format!("{name}.crt"))).remove(0)
}

fn answer(response: &str, name: &str, verify: bool, now: i64) -> Result<Status, Fault> {
    let response = fixture(&format!("{response}.response"));
    read(&response, &facts_of(name), &facts_of("root"), verify, now).map(|answer| answer.status)
}

#[test]
fn requests_are_openssls() {
    for name in ["server", "revoked"] {
        assert_eq!(request(&facts_of(name), &facts_of("root")), fixture(&format!("{name}.request")));
    }
}

#[test]
fn responders_are_asked_as_nginx_asks_them() {
    assert_eq!(http_request("/ocsp", "h", b"\xfb\xff"), "GET /ocsp/%2B%2F8%3D HTTP/1.0\r\nHost: h\r\n\r\n");
    assert_eq!(http_request("/", "h:80", b"abc"), "GET /YWJj HTTP/1.0\r\nHost: h:80\r\n\r\n");
}

#[test]
fn responses_say_what_a_certificate_is() {
    for verify in [true, false] {
        assert_eq!(answer("server", "server", verify, NOW), Ok(Status::Good));
        assert_eq!(answer("revoked", "revoked", verify, NOW), Ok(Status::Revoked));
        assert_eq!(answer("unknown", "server", verify, NOW), Ok(Status::Unknown));
        assert_eq!(answer("delegated", "server", verify, NOW), Ok(Status::Good));
        assert_eq!(answer("server", "revoked", verify, NOW), Err(Fault::NotFound));
        assert_eq!(answer("server", "server", verify, 1_000_000_000), Err(Fault::NotValid));
        assert_eq!(answer("server", "server", verify, 6_000_000_000), Err(Fault::NotValid));
    }
    assert_eq!(answer("other", "server", true, NOW), Err(Fault::NotSigned));
    assert_eq!(answer("other", "server", false, NOW), Ok(Status::Good));
    // Nobody may sign with a certificate that has expired.
    assert_eq!(answer("delegated", "server", true, 6_000_000_000), Err(Fault::NotSigned));
}

#[test]
fn a_changed_response_does_not_hold() {
    let (server, root) = (facts_of("server"), facts_of("root"));
    let whole = fixture("server.response");
    let good = read(&whole, &server, &root, true, NOW);
    let signed = whole.len() - fixture("root.crt").len() / 2;
    for at in 0..signed {
        let mut spoiled = whole.clone();
        spoiled[at] ^= 1;
        // The certificates behind the signature do not count where the issuer has signed.
        let now = read(&spoiled, &server, &root, true, NOW);
        assert!(now.is_err() || now == good, "byte {at}: {now:?}");
    }
    for at in 0..whole.len() {
        assert!(read(&whole[..at], &server, &root, true, NOW).is_err(), "cut at {at}");
    }
}

#[test]
fn refusals_are_nginxs() {
    let said = |status| refusal(Ok(Answer { status, until: None }));
    assert_eq!(said(Status::Good), None);
    assert_eq!(said(Status::Revoked), Some("certificate revoked"));
    assert_eq!(said(Status::Unknown), Some("certificate status unknown"));
    assert_eq!(refusal(Err(Fault::NotFound)), Some("certificate status request failed"));
    let busy = [0x30, 3, ENUMERATED, 1, 3];
    let fault = read(&busy, &facts_of("server"), &facts_of("root"), true, NOW);
    assert_eq!(fault, Err(Fault::NotSuccessful(3)));
    assert_eq!(Fault::NotSuccessful(3).to_string(), "OCSP response not successful (3: trylater)");
}

#[test]
fn the_whole_chain_is_asked_for_or_the_leaf_alone() {
    let chain = facts::of(&[certificates("below.crt"), certificates("inner.crt"), certificates("root.crt")].concat());
    let serials = |leaf| {
        to_ask(&chain, leaf).map(|(one, issuer)| (one.serial == chain[0].serial, issuer.is_ca())).collect::<Vec<_>>()
    };
    assert_eq!(serials(false), [(true, true), (false, true)]);
    assert_eq!(serials(true), [(true, true)]);
}

#[test]
fn times_are_counted_from_1970() {
    for (text, wanted) in [
        ("19700101000000Z", Some(0)),
        ("20000229123456Z", Some(951_827_696)),
        ("20261129215539Z", Some(1_795_989_339)),
        ("21000301000000Z", Some(4_107_542_400)),
        ("2026112921553Z", None),
        ("20261129215539", None),
    ] {
        assert_eq!(time(text.as_bytes()), wanted, "{text}");
    }
}
