use super::*;
use crate::tls::context::ServerContext;
use crate::tls::testing::{World, client, fixture, plain_client, server, shake, word};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, SupportedProtocolVersion};

/// The middle of the year after the fixtures were made.
const NOW: i64 = 1_830_000_000;

fn asking(mode: Verify) -> TlsConf {
    let mut conf = server(&["server"]);
    conf.verify = Some(mode);
    conf.client_certificate = Some(word("root.crt"));
    conf
}

/// What is said of a client with that certificate, and what its requests get.
fn judged(
    context: &ServerContext,
    pair: Option<&str>,
    version: &'static SupportedProtocolVersion,
) -> (String, Option<u16>) {
    let config = Arc::new(client(&[version], pair, |_| ()));
    let (_, server) = shake(context, &config, "a.test").expect("a handshake");
    let verdict = context.clients().verdict(server.peer_certificates(), NOW);
    (verdict.text(), context.clients().refusal(verdict).map(Refusal::status))
}

#[test]
fn the_handshake_succeeds_and_the_request_is_judged() {
    let good = ("SUCCESS".to_owned(), None);
    let none = |status| ("NONE".to_owned(), status);
    let own = |status| ("FAILED:self-signed certificate".to_owned(), status);
    let late = ("FAILED:certificate has expired".to_owned(), Some(495));
    for version in [&TLS12, &TLS13] {
        for (mode, missing, selfsigned) in [
            (Verify::On, Some(496), Some(495)),
            (Verify::Optional, None, Some(495)),
            (Verify::OptionalNoCa, None, None),
        ] {
            let context = World::default().good(&asking(mode));
            assert_eq!(judged(&context, Some("good"), version), good);
            assert_eq!(judged(&context, None, version), none(missing));
            assert_eq!(judged(&context, Some("self"), version), own(selfsigned));
            assert_eq!(judged(&context, Some("expired"), version), late);
            // A certificate of X.509's version 1, as `openssl x509 -req` makes it.
            assert_eq!(judged(&context, Some("old"), version), good);
        }
        let context = World::default().good(&asking(Verify::Off));
        assert_eq!(judged(&context, Some("self"), version), none(None));
    }
}

#[test]
fn revoked_ones_are_refused() {
    let mut conf = asking(Verify::On);
    conf.crl = Some(word("root.crl"));
    let context = World::default().good(&conf);
    assert_eq!(judged(&context, Some("revoked"), &TLS13), ("FAILED:certificate revoked".to_owned(), Some(495)));
    assert_eq!(judged(&context, Some("good"), &TLS13).1, None);
}

#[test]
fn issuers_are_told_and_trusted_ones_are_not() {
    let mut conf = asking(Verify::On);
    conf.trusted_certificate = Some(word("other.crt"));
    let context = World::default().good(&conf);
    assert_eq!(context.clients().hints.len(), 1);
    assert_eq!(judged(&context, Some("foreign"), &TLS13).0, "SUCCESS");
    assert_eq!(context.clients().chain(&crate::tls::testing::certificates("good.crt"), NOW).len(), 2);
}

#[test]
fn the_words_are_nginxs() {
    assert_eq!(Refusal::Missing.to_string(), "client sent no required SSL certificate");
    let text = "client SSL certificate verify error: (21:unable to verify the first certificate)";
    assert_eq!(Refusal::Bad(Failure::UNVERIFIED_LEAF).to_string(), text);
}

/// CVE-2025-23419: a session made at one server is none at another that trusts other issuers.
#[test]
fn a_session_ends_where_other_clients_are_trusted() {
    let zone = |conf: &mut TlsConf| {
        let size = 1 << 20;
        let zone = crate::tls::directives::ZoneText { name: "s".to_owned(), size, span: crate::tls::testing::span() };
        conf.session_cache = Some(crate::tls::directives::SessionCache::Shared(zone));
    };
    for tickets in [true, false] {
        for version in [&TLS12, &TLS13] {
            let mut world = World::default();
            let mut build = |change: &dyn Fn(&mut TlsConf)| {
                let mut conf = asking(Verify::On);
                conf.session_tickets = Some(tickets);
                zone(&mut conf);
                change(&mut conf);
                world.good(&conf)
            };
            let first = build(&|_| ());
            let same = build(&|_| ());
            let others = [
                build(&|conf| conf.client_certificate = Some(word("other.crt"))),
                build(&|conf| conf.trusted_certificate = Some(word("other.crt"))),
                build(&|conf| conf.crl = Some(word("root.crl"))),
                build(&|conf| conf.verify_depth = Some(2)),
                build(&|conf| conf.verify = Some(Verify::Optional)),
                build(&|conf| conf.verify = Some(Verify::Off)),
            ];
            let resumed = |second: &ServerContext| {
                let config = Arc::new(client(&[version], Some("good"), |_| ()));
                shake(&first, &config, "a.test").expect("a handshake");
                let (_, server) = shake(second, &config, "a.test").expect("a second handshake");
                // What was shown is judged again.
                let shown = context_verdict(second, &server);
                (server.handshake_kind() == Some(HandshakeKind::Resumed), shown)
            };
            assert_eq!(resumed(&same), (true, Verdict::Accepted));
            for other in &others {
                assert!(!resumed(other).0);
            }
        }
    }
}

fn context_verdict(context: &ServerContext, server: &rustls::ServerConnection) -> Verdict {
    context.clients().verdict(server.peer_certificates(), NOW)
}

#[test]
fn a_client_without_the_key_does_not_get_in() {
    let context = World::default().good(&asking(Verify::On));
    let key = crate::tls::key::read(&fixture("other.key"), None).expect("a key");
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).expect("ECDSA");
    let stolen = rustls::sign::CertifiedKey::new(crate::tls::testing::certificates("good.crt"), key);
    for version in [&TLS12, &TLS13] {
        let mut config = client(&[version], None, |_| ());
        config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(stolen.clone()));
        assert!(shake(&context, &Arc::new(config), "a.test").is_err());
    }
    assert!(shake(&context, &plain_client(), "a.test").is_ok());
}
