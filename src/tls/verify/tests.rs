use super::*;
use crate::tls::testing::{certificates, fixture};

/// The middle of the year after the fixtures were made.
const NOW: i64 = 1_830_000_000;

fn facts(names: &str) -> Vec<Facts> {
    names.split(',').flat_map(|name| facts::of(&certificates(&format!("{name}.crt")))).collect()
}

fn lists(name: &str) -> Vec<Crl> {
    let text = fixture(name);
    crate::tls::pem::blocks(&text).map(|block| Crl::read(&block.expect("PEM").contents).expect("a CRL")).collect()
}

/// What `$ssl_client_verify` says.
fn shown(verdict: Result<(), Failure>) -> String {
    verdict.map_or_else(|failure| format!("FAILED:{}", failure.text()), |()| "SUCCESS".to_owned())
}

fn chain(names: &str) -> Vec<CertificateDer<'static>> {
    names.split(',').flat_map(|name| certificates(&format!("{name}.crt"))).collect()
}

/// Each line was recorded with nginx 1.23.4 and OpenSSL 3.0: trusted issuers, depth, CRLs, more trusted issuers, chain.
#[test]
fn verdicts_are_openssls() {
    for line in include_str!("../../../fixtures/tls/verdicts.txt").lines() {
        let (case, wanted) = line.split_once(" => ").expect("a case and its verdict");
        let [ca, depth, crl, more, names] = case.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let mut anchors = facts(ca.trim_end_matches(".crt"));
        if more != "-" {
            anchors.extend(facts(more.trim_end_matches(".crt")));
        }
        let crls = (crl != "-").then(|| Arc::new(lists(crl)));
        let trust = Trust {
            anchors: vec![Arc::new(anchors)],
            crls,
            depth: depth.parse().expect("a number"),
            role: Role::Client,
            level: 2,
        };
        assert_eq!(shown(trust.verify(&chain(names), NOW)), wanted, "{line}");
    }
}

fn trusting(anchors: &str, role: Role) -> Trust {
    Trust { anchors: vec![Arc::new(facts(anchors))], crls: None, depth: 1, role, level: 2 }
}

#[test]
fn times_and_levels_count() {
    let trust = trusting("root", Role::Client);
    assert_eq!(trust.verify(&chain("good"), 1_000_000_000), Err(Failure::NOT_YET_VALID));
    assert_eq!(trust.verify(&chain("good"), 6_000_000_000), Err(Failure::EXPIRED));
    let trust = Trust { level: 3, role: Role::Server, ..trust };
    assert_eq!(trust.verify(&chain("rsa"), NOW), Err(Failure::WEAK_LEAF_KEY));
    assert_eq!(trust.verify(&[], NOW), Err(Failure::NO_LOCAL_ISSUER));
    // A leaf that cannot be read does not give way to the one behind it.
    let behind = [CertificateDer::from(vec![1, 2]), chain("rsa").remove(0)];
    assert_eq!(trust.verify(&behind, NOW), Err(Failure::NO_LOCAL_ISSUER));
    assert_eq!(trust.verify(&[CertificateDer::from(vec![1, 2])], NOW), Err(Failure::NO_LOCAL_ISSUER));
}

#[test]
fn a_servers_certificate_is_none_of_a_client() {
    assert_eq!(trusting("root", Role::Server).verify(&chain("server"), NOW), Ok(()));
    assert_eq!(trusting("root", Role::Client).verify(&chain("server"), NOW), Err(Failure::PURPOSE));
}

#[test]
fn a_changed_byte_is_seen() {
    let whole = certificates("good.crt")[0].to_vec();
    let trust = trusting("root", Role::Client);
    for at in 0..whole.len() {
        let mut spoiled = whole.clone();
        spoiled[at] ^= 1;
        assert_ne!(trust.verify(&[CertificateDer::from(spoiled)], NOW), Ok(()), "byte {at}");
    }
}

#[test]
fn only_missing_issuers_are_optional() {
    for code in 0..=255 {
        assert_eq!(Failure(code).is_optional(), [18, 19, 20, 21, 27].contains(&code), "{code}");
    }
}

#[test]
fn constraints_cover_what_they_name() {
    let dns = |name: &str| Name::Dns(name.to_owned());
    let email = |name: &str| Name::Email(name.to_owned());
    let uri = |name: &str| Name::Uri(name.to_owned());
    let cases = [
        (dns("a.test"), dns("a.test"), Some(true)),
        (dns("x.A.test"), dns("a.test"), Some(true)),
        (dns("xa.test"), dns("a.test"), Some(false)),
        (dns("a.test"), dns(".a.test"), Some(false)),
        (dns("a.test"), dns(""), Some(true)),
        (email("u@a.test"), email("a.test"), Some(true)),
        (email("u@x.a.test"), email("a.test"), Some(false)),
        (email("u@x.a.test"), email(".a.test"), Some(true)),
        (email("u@a.test"), email("v@a.test"), Some(false)),
        (uri("http://u@a.test:80/x"), uri("a.test"), Some(true)),
        (uri("http://b.test/a.test"), uri("a.test"), Some(false)),
        (Name::Ip(vec![10, 1, 2, 3]), Name::Ip(vec![10, 1, 0, 0, 255, 255, 0, 0]), Some(true)),
        (Name::Ip(vec![10, 2, 2, 3]), Name::Ip(vec![10, 1, 0, 0, 255, 255, 0, 0]), Some(false)),
        (Name::Ip(vec![0; 16]), Name::Ip(vec![10, 1, 0, 0, 255, 255, 0, 0]), Some(false)),
        (Name::Directory(vec![1, 2, 3]), Name::Directory(vec![1, 2]), Some(true)),
        (dns("a.test"), email("a.test"), None),
        (Name::Other, Name::Other, None),
    ];
    for (name, base, wanted) in cases {
        assert_eq!(is_within(&name, &base), wanted, "{name:?} {base:?}");
    }
}

#[test]
fn hosts_match_as_openssl_matches_them() {
    let server = facts("server").remove(0);
    for (host, wanted) in [
        ("a.test", true),
        ("A.TEST", true),
        ("x.w.test", true),
        ("x.y.w.test", false),
        ("w.test", false),
        (".w.test", false),
        ("127.0.0.1", true),
        ("127.0.0.2", false),
        ("server", false),
        ("", false),
    ] {
        assert_eq!(server.is_for_host(host), wanted, "{host}");
    }
    let named = facts("named").remove(0);
    assert!(named.is_for_host("n.test") && !named.is_for_host("m.test"));
}

#[test]
fn without_any_list_nobody_is_known_not_to_be_revoked() {
    let trust = Trust { crls: Some(Arc::default()), ..trusting("root", Role::Client) };
    assert_eq!(trust.verify(&chain("good"), NOW), Err(Failure::NO_CRL));
}

#[test]
fn the_path_leads_from_the_leaf_to_the_root() {
    let path = trusting("root", Role::Client).path(&chain("below,inner"), NOW);
    assert_eq!(
        path.iter().map(|one| one.common_name.as_deref()).collect::<Vec<_>>(),
        [Some("below"), Some("inner"), Some("root")]
    );
    assert!(trusting("root", Role::Client).path(&[], NOW).is_empty());
}

#[test]
fn issuers_that_name_each_other_end() {
    let (mut one, mut other) = (facts("inner").remove(0), facts("deep").remove(0));
    one.issuer_form.clone_from(&other.subject_form);
    other.issuer_form.clone_from(&one.subject_form);
    (one.issuer_key_id, other.issuer_key_id) = (None, None);
    let anchors = vec![Arc::new(vec![one, other])];
    let trust = Trust { anchors, crls: None, depth: usize::MAX, role: Role::Client, level: 2 };
    assert_eq!(trust.path(&chain("below"), NOW).len(), 3);
    assert!(trust.verify(&chain("below"), NOW).is_err());
}
