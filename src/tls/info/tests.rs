use super::*;
use crate::tls::testing::{ALL, World, certificates, client, server, shake, shake_with};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use std::cell::RefCell;
use std::sync::Arc;

#[test]
fn a_connection_is_described_in_openssls_names() {
    let context = World::default().good(&server(&["server"]));
    let offer = RefCell::new(Offer::default());
    let name = ServerName::try_from("a.test").expect("a name");
    let config = Arc::new(client(ALL, None, |provider| {
        provider.kx_groups = suites::client_groups();
        provider.cipher_suites.truncate(4);
    }));
    let end = ClientConnection::new(config, name).expect("a client");
    let (_, end) = shake_with(end, |hello| {
        *offer.borrow_mut() = Offer::of(hello);
        context.config(hello)
    })
    .expect("a handshake");
    assert_eq!(
        (protocol(&end), cipher(&end).as_str(), curve(&end).as_str()),
        ("TLSv1.3", "TLS_AES_256_GCM_SHA384", "X25519")
    );
    assert_eq!(session_reused(&end), ".");
    let ciphers = "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:\
                   ECDHE-ECDSA-AES256-GCM-SHA384:TLS_EMPTY_RENEGOTIATION_INFO_SCSV";
    assert_eq!(offer.borrow().ciphers().replace("0x00ff", "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"), ciphers);
    assert_eq!(offer.borrow().curves(), "X25519:prime256v1:secp384r1");
}

#[test]
fn numbers_without_a_name_are_shown_as_numbers() {
    let offer = Offer {
        ciphers: vec![CipherSuite::Unknown(0x1a1a), CipherSuite::TLS_RSA_WITH_AES_128_CBC_SHA],
        groups: vec![NamedGroup::Unknown(0x1a1a), NamedGroup::X448],
    };
    assert_eq!((offer.ciphers().as_str(), offer.curves().as_str()), ("0x1a1a:AES128-SHA", "0x1a1a:X448"));
}

#[test]
fn a_session_keeps_its_id() {
    for version in [&TLS12, &TLS13] {
        let context = World::default().good(&server(&["server"]));
        let config = Arc::new(client(&[version], None, |_| ()));
        let shake = || {
            let name = ServerName::try_from("a.test").expect("a name");
            let mut end = ClientConnection::new(config.clone(), name).expect("a client");
            let mut acceptor = rustls::server::Acceptor::default();
            let mut wire = Vec::new();
            end.write_tls(&mut wire).expect("memory");
            acceptor.read_tls(&mut &wire[..]).expect("memory");
            let accepted = acceptor.accept().map_err(|(error, _)| error).expect("TLS").expect("a ClientHello");
            let config = context.config(&accepted.client_hello());
            let mut server = accepted.into_connection(config).map_err(|(error, _)| error).expect("a connection");
            let id = session_id(&mut server);
            crate::tls::testing::pump(&mut end, &mut server).expect("a handshake");
            (id, session_reused(&server))
        };
        let (first, second, third) = (shake(), shake(), shake());
        assert_eq!((first.1, second.1, third.1), (".", "r", "r"));
        assert_eq!(first.0.len(), 64);
        let kept = version.version == rustls::ProtocolVersion::TLSv1_3;
        assert_eq!((first.0 == second.0, second.0 == third.0), (kept, kept));
    }
}

#[test]
fn a_certificate_is_described_as_openssl_does() {
    let context = World::default().good(&{
        let mut conf = server(&["server"]);
        conf.verify = Some(crate::tls::directives::Verify::OptionalNoCa);
        conf
    });
    let config = Arc::new(client(ALL, Some("good"), |_| ()));
    let (_, end) = shake(&context, &config, "a.test").expect("a handshake");
    let one = ClientCertificate::of(&end).expect("a certificate");
    assert_eq!((one.subject().as_str(), one.issuer().as_str()), ("CN=good,O=House", "CN=root,O=House,C=DE"));
    assert_eq!(
        (one.subject_legacy().as_str(), one.issuer_legacy().as_str()),
        ("/O=House/CN=good", "/C=DE/O=House/CN=root")
    );
    assert_eq!(one.serial(), "1003");
    assert_eq!(one.fingerprint(), FINGERPRINT);
    assert_eq!((one.starts().as_str(), one.ends().as_str()), (STARTS, ENDS));
    let file = String::from_utf8(crate::tls::testing::fixture("good.crt")).expect("PEM");
    assert_eq!(one.raw(), file);
    assert_eq!(one.tabbed(), file.trim_end().replace('\n', "\n\t"));
    assert!(one.escaped().starts_with("-----BEGIN%20CERTIFICATE-----%0AMII") && one.escaped().ends_with("-----%0A"));
    assert!(!one.escaped().contains(['+', '/', '=']));
    let end = one.facts().expect("facts").ends;
    let remains = |before: i64| one.remains(end - before);
    assert_eq!((remains(86_399), remains(86_400), remains(-5)), ("0".to_owned(), "1".to_owned(), "0".to_owned()));
    assert_eq!(remains(10 * 86_400 - 1), "9");
    assert!(ClientCertificate::read(b"none").is_none());
    assert_eq!(certificates("good.crt").len(), 1);
}

#[test]
fn serial_numbers_are_hexadecimal() {
    assert_eq!((serial(&[0]), serial(&[0, 0x80]), serial(&[1, 0])), ("00".into(), "80".into(), "0100".into()));
    assert_eq!((serial(&[0xff]), serial(&[0x80])), ("-01".into(), "-80".into()));
    assert_eq!(serial(&[1; 36]), format!("{}\\\n01", "01".repeat(35)));
}

/// As OpenSSL prints them.
const FINGERPRINT: &str = "5a71e9ef26ac98de58f5ab7986cff911fcd21e32";
const STARTS: &str = "Nov 29 21:56:04 2026 GMT";
const ENDS: &str = "Nov  5 21:56:04 2126 GMT";
