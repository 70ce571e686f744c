use super::*;
use crate::tls::key::Passwords;
use crate::tls::testing::{ALL, World, client, plain_client, pump, server, shake, shake_with, span, word};
use rustls::crypto::aws_lc_rs::{cipher_suite as suite, kx_group};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, NamedGroup, ProtocolVersion, SupportedCipherSuite};
use std::io::{Read as _, Write as _};

fn only(suites: &[SupportedCipherSuite]) -> Arc<ClientConfig> {
    Arc::new(client(ALL, None, |provider| provider.cipher_suites = suites.to_vec()))
}

/// The suite and version a client gets.
fn agreed(context: &ServerContext, config: &Arc<ClientConfig>) -> Option<(String, ProtocolVersion)> {
    let (_, server) = shake(context, config, "a.test").ok()?;
    Some((suites::name(server.negotiated_cipher_suite()?.suite()), server.protocol_version()?))
}

#[test]
fn bytes_go_both_ways() {
    let context = World::default().good(&server(&["server"]));
    let (mut client, mut server) = shake(&context, &plain_client(), "a.test").expect("a handshake");
    client.writer().write_all(b"ping").expect("memory");
    pump(&mut client, &mut server).expect("records");
    let mut read = [0; 4];
    server.reader().read_exact(&mut read).expect("four bytes");
    assert_eq!((&read, server.server_name()), (b"ping", Some("a.test")));
    assert_eq!(client.peer_certificates().map(<[_]>::len), Some(1));
}

#[test]
fn the_order_is_the_clients_or_the_servers() {
    let mut conf = server(&["server"]);
    conf.protocols = Some(32);
    conf.ciphers = Some(word("ECDHE+CHACHA20:ECDHE+AESGCM"));
    let aes = suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
    let config = only(&[aes, suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]);
    let mut world = World::default();
    let name = |context: &ServerContext| agreed(context, &config).map(|(name, _)| name);
    assert_eq!(name(&world.good(&conf)).as_deref(), Some("ECDHE-ECDSA-AES128-GCM-SHA256"));
    conf.prefer_server_ciphers = Some(true);
    assert_eq!(name(&world.good(&conf)).as_deref(), Some("ECDHE-ECDSA-CHACHA20-POLY1305"));
    assert!(world.warnings.is_empty(), "{:?}", world.warnings);
}

#[test]
fn chacha_comes_first_for_clients_that_want_it() {
    let mut conf = server(&["server"]);
    conf.prefer_server_ciphers = Some(true);
    conf.commands = vec![(word("Options"), word("PrioritizeChaCha,KTLS"))];
    let context = World::default().good(&conf);
    let (aes, chacha) = (suite::TLS13_AES_128_GCM_SHA256, suite::TLS13_CHACHA20_POLY1305_SHA256);
    let name = |suites: &[SupportedCipherSuite]| agreed(&context, &only(suites)).map(|(name, _)| name);
    assert_eq!(name(&[chacha, aes]).as_deref(), Some("TLS_CHACHA20_POLY1305_SHA256"));
    assert_eq!(name(&[aes, chacha, suite::TLS13_AES_256_GCM_SHA384]).as_deref(), Some("TLS_AES_256_GCM_SHA384"));
}

#[test]
fn versions_and_suites_follow_the_settings() {
    let mut world = World::default();
    let mut conf = server(&["server"]);
    conf.protocols = Some(8 | 16 | 32);
    let context = world.good(&conf);
    let version = |context: &ServerContext| agreed(context, &plain_client()).map(|(_, version)| version);
    assert_eq!(version(&context), Some(ProtocolVersion::TLSv1_2));
    assert_eq!(world.warnings.len(), 1);
    assert!(world.warnings[0].ends_with("ignored: TLSv1, TLSv1.1"), "{:?}", world.warnings);
    conf.protocols = None;
    conf.commands =
        vec![(word("MinProtocol"), word("TLSv1.3")), (word("Ciphersuites"), word("TLS_AES_128_GCM_SHA256"))];
    let context = world.good(&conf);
    let wanted = ("TLS_AES_128_GCM_SHA256".to_owned(), ProtocolVersion::TLSv1_3);
    assert_eq!(agreed(&context, &plain_client()), Some(wanted));
    conf.commands = vec![(word("Protocol"), word("-TLSv1.3"))];
    assert_eq!(version(&world.good(&conf)), Some(ProtocolVersion::TLSv1_2));
    conf.commands = vec![(word("MaxProtocol"), word("TLSv1.2"))];
    assert_eq!(version(&world.good(&conf)), Some(ProtocolVersion::TLSv1_2));
}

#[test]
fn what_is_not_spoken_is_said_once_or_refused() {
    let mut world = World::default();
    let mut conf = server(&["server"]);
    conf.ciphers = Some(word("ECDHE-ECDSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256:AES128-SHA:HIGH:kEDH"));
    conf.ecdh_curve = Some(word("X448:prime256v1"));
    world.good(&conf);
    assert_eq!(world.warnings.len(), 1);
    assert!(world.warnings[0].ends_with(": DHE-RSA-AES128-GCM-SHA256, AES128-SHA, X448"), "{:?}", world.warnings);
    let refused =
        |world: &mut World, conf: &TlsConf| world.build(conf).map(|_| ()).map_err(|error| (error.message, error.at));
    let at = crate::conf::diagnostic::At::Span(span());
    let text = |text: &str| Err((text.to_owned(), at));
    conf.ecdh_curve = Some(word("secp521r1"));
    let groups = "\"ssl_ecdh_curve\" leaves no group: X25519, prime256v1 and secp384r1 are supported";
    assert_eq!(refused(&mut world, &conf), text(groups));
    conf.protocols = Some(4 | 8);
    let versions = "\"ssl_protocols\" leaves no version: TLSv1.2 and TLSv1.3 are supported";
    assert_eq!(refused(&mut world, &conf), text(versions));
    conf.protocols = Some(32);
    conf.ciphers = Some(word("DHE+AESGCM"));
    let ciphers = "\"ssl_ciphers\" leaves no cipher: ECDHE with AES-GCM or ChaCha20-Poly1305 is supported";
    assert_eq!(refused(&mut world, &conf), text(ciphers));
    let mut conf = server(&["server"]);
    conf.commands = vec![(word("RecordPadding"), word("512"))];
    assert_eq!(refused(&mut world, &conf), text("\"ssl_conf_command\" RecordPadding \"512\" is not supported"));
    let mut conf = server(&["server"]);
    conf.keys = vec![word("engine:e:k")];
    assert_eq!(
        world.build(&conf).map(|_| ()).map_err(|error| error.message),
        Err("cannot load certificate key \"engine:e:k\": keys of engines are not supported".to_owned())
    );
}

#[test]
fn a_client_gets_the_certificate_it_can_verify() {
    let mut conf = server(&["server", "rsa"]);
    let context = World::default().good(&conf);
    let (rsa, ecdsa) = (suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256);
    let name = |context: &ServerContext, suite| agreed(context, &only(&[suite])).map(|(name, _)| name);
    assert_eq!(name(&context, rsa).as_deref(), Some("ECDHE-RSA-AES128-GCM-SHA256"));
    assert_eq!(name(&context, ecdsa).as_deref(), Some("ECDHE-ECDSA-AES128-GCM-SHA256"));
    conf.certificates.pop();
    let context = World::default().good(&conf);
    assert_eq!(name(&context, rsa), None);
    let refused = shake(&context, &only(&[rsa]), "a.test").map(|_| ());
    assert!(matches!(refused, Err(rustls::Error::PeerIncompatible(_))), "{refused:?}");
}

#[test]
fn pairs_come_from_files_texts_and_by_name() {
    let mut conf = server(&["server"]);
    let text =
        |name: &str| word(&format!("data:{}", String::from_utf8(crate::tls::testing::fixture(name)).expect("PEM")));
    (conf.certificates, conf.keys) = (vec![text("server.crt")], vec![text("server.key")]);
    let context = World::default().good(&conf);
    assert!(shake(&context, &plain_client(), "a.test").is_ok());
    (conf.certificates, conf.keys) = (vec![word("$ssl_server_name.crt")], vec![word("$ssl_server_name.key")]);
    let mut world = World { variables: true, ..World::default() };
    let context = world.good(&conf);
    assert!(shake(&context, &plain_client(), "a.test").is_err());
    let (certificate, key) = (word("rsa.crt"), word("rsa.key"));
    let wanted = Wanted { certificate: &certificate, key: &key, passwords: None, level: 2 };
    let pair = pairs::load(&wanted, &crate::tls::testing::files(), &world.kept.named).map_err(|error| error.message);
    let pair = pair.expect("RSA");
    let name = ServerName::try_from("a.test").expect("a name");
    let client = ClientConnection::new(plain_client(), name).expect("a client");
    let (client, _) = shake_with(client, |hello| context.with_pairs(hello, vec![pair.clone()])).expect("a handshake");
    assert_eq!(client.peer_certificates(), Some(&crate::tls::testing::certificates("rsa.crt")[..]));
}

#[test]
fn encrypted_keys_are_opened_by_the_password_file() {
    let mut conf = server(&["self"]);
    conf.password_file = Some(Passwords::read(b"wrong\r\nsecret\r\n"));
    for key in ["legacy-aes256.key", "hmacWithSHA256.pkcs8"] {
        conf.keys = vec![word(key)];
        let context = World::default().good(&conf);
        assert!(shake(&context, &plain_client(), "a.test").is_ok(), "{key}");
    }
    conf.password_file = Some(Passwords::read(b"wrong\n"));
    let refused = World::default().build(&conf).map(|_| ()).map_err(|error| error.message);
    let decrypt = "error:1C800064:Provider routines::bad decrypt error:11800074:PKCS12 routines::pkcs12 cipherfinal \
                   error:maybe wrong password";
    let path = format!("{}hmacWithSHA256.pkcs8", crate::tls::testing::FOLDER);
    let text = "PEM_read_bio_PrivateKey() failed";
    assert_eq!(refused, Err(format!("cannot load certificate key \"{path}\": {text} (SSL: {decrypt} {decrypt})")));
}

#[test]
fn alpn_is_the_servers_choice_and_refuses_others() {
    let context = World::default().good(&server(&["server"])).protocols(&[b"h2", b"http/1.1"]);
    let with = |names: &[&[u8]]| {
        let mut config = client(ALL, None, |_| ());
        config.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
        shake(&context, &Arc::new(config), "a.test").map(|(_, server)| server.alpn_protocol().map(<[u8]>::to_vec))
    };
    assert_eq!(with(&[b"http/1.1", b"h2"]), Ok(Some(b"h2".to_vec())));
    assert_eq!(with(&[]), Ok(None));
    assert!(with(&[b"spdy/1"]).is_err());
}

/// What `ssl_ecdh_curve auto` offers.
#[test]
fn a_client_with_a_hybrid_gets_it() {
    let context = World::default().good(&server(&["server"]));
    let group = |groups: Vec<&'static dyn rustls::crypto::SupportedKxGroup>| {
        let config = Arc::new(client(&[&TLS13], None, |provider| provider.kx_groups = groups));
        let (_, server) = shake(&context, &config, "a.test").expect("a handshake");
        server.negotiated_key_exchange_group().map(|group| group.name())
    };
    assert_eq!(group(vec![kx_group::X25519MLKEM768, kx_group::X25519]), Some(NamedGroup::X25519MLKEM768));
    assert_eq!(group(vec![kx_group::SECP384R1]), Some(NamedGroup::secp384r1));
}

/// Whether the second handshake of a client with `first` resumes at `second`.
fn resumes(first: &ServerContext, second: &ServerContext, config: &Arc<ClientConfig>) -> bool {
    shake(first, config, "a.test").expect("a handshake");
    let (_, server) = shake(second, config, "a.test").expect("a second handshake");
    server.handshake_kind() == Some(HandshakeKind::Resumed)
}

fn of(version: &'static rustls::SupportedProtocolVersion, tickets: bool) -> Arc<ClientConfig> {
    let mut config = client(&[version], None, |_| ());
    if !tickets {
        config.resumption = config.resumption.tls12_resumption(rustls::client::Tls12Resumption::SessionIdOnly);
    }
    Arc::new(config)
}

#[test]
fn tickets_resume_also_after_a_reload() {
    for version in [&TLS12, &TLS13] {
        let mut world = World::default();
        let mut conf = server(&["server"]);
        let (before, after) = (world.good(&conf), world.good(&conf));
        assert!(resumes(&before, &after, &of(version, true)));
        conf.session_tickets = Some(false);
        let none = world.good(&conf);
        assert!(!resumes(&none, &none, &of(version, true)));
        let other = World::default().good(&server(&["server"]));
        assert!(!resumes(&before, &other, &of(version, true)));
    }
}

#[test]
fn sessions_are_kept_in_their_zone() {
    let zone = crate::tls::directives::ZoneText { name: "s".to_owned(), size: 1 << 20, span: span() };
    for version in [&TLS12, &TLS13] {
        let mut world = World::default();
        let mut conf = server(&["server"]);
        conf.session_tickets = Some(false);
        conf.session_cache = Some(SessionCache::Shared(zone.clone()));
        let (before, after) = (world.good(&conf), world.good(&conf));
        assert!(resumes(&before, &after, &of(version, false)));
        conf.session_cache = Some(SessionCache::Builtin(10));
        let (before, after) = (world.good(&conf), world.good(&conf));
        assert!(resumes(&before, &before, &of(version, false)));
        assert!(!resumes(&before, &after, &of(version, false)));
        for cache in [SessionCache::Off, SessionCache::Pretend] {
            conf.session_cache = Some(cache);
            let context = world.good(&conf);
            assert!(!resumes(&context, &context, &of(version, false)));
        }
    }
}

#[test]
fn a_session_of_one_server_is_none_of_another() {
    let mut world = World::default();
    let one = world.good(&server(&["server"]));
    let other = world.good(&server(&["named"]));
    for version in [&TLS12, &TLS13] {
        assert!(!resumes(&one, &other, &of(version, true)));
        for purpose in [Purpose::Stream, Purpose::Mail] {
            world.purpose = Some(purpose);
            assert!(!resumes(&one, &world.good(&server(&["server"])), &of(version, true)));
        }
    }
}

#[test]
fn early_data_is_read_of_stored_sessions() {
    let mut world = World { early_data: true, ..World::default() };
    let context = world.good(&server(&["server"]));
    let mut config = client(&[&TLS13], None, |_| ());
    config.enable_early_data = true;
    let config = Arc::new(config);
    shake(&context, &config, "a.test").expect("a handshake");
    let name = ServerName::try_from("a.test").expect("a name");
    let mut client = ClientConnection::new(config, name).expect("a client");
    client.early_data().expect("a ticket that allows it").write_all(b"early").expect("memory");
    let (client, mut server) = shake_with(client, |hello| context.config(hello)).expect("a handshake");
    let mut read = Vec::new();
    server.early_data().expect("early data").read_to_end(&mut read).expect("its end");
    assert_eq!((client.is_early_data_accepted(), &read[..]), (true, &b"early"[..]));
}

#[test]
fn a_stapled_response_reaches_the_client() {
    let mut conf = server(&["server"]);
    conf.stapling = Some(true);
    conf.stapling_file = Some(word("server.response"));
    let context = World::default().good(&conf);
    assert!(shake(&context, &plain_client(), "a.test").is_ok());
    assert!(alert(112).starts_with(&[21, 3, 3]));
}

#[test]
fn records_are_as_long_as_asked() {
    let context = World::default().good(&server(&["server"])).record_size(4096);
    let (_, mut server) = shake(&context, &plain_client(), "a.test").expect("a handshake");
    server.writer().write_all(&[0; 10_000]).expect("memory");
    let mut wire = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut wire).expect("memory");
    }
    let mut lengths = Vec::new();
    let mut rest = &wire[..];
    while let [_, _, _, high, low, after @ ..] = rest {
        let length = usize::from(*high) << 8 | usize::from(*low);
        lengths.push(length);
        rest = &after[length..];
    }
    assert_eq!(lengths, [4096 + 17, 4096 + 17, 1808 + 17]);
}

#[test]
fn a_key_of_another_kind_is_never_presented() {
    let mut conf = server(&["rsa"]);
    conf.keys = vec![word("self.key")];
    let context = World::default().good(&conf);
    assert!(shake(&context, &plain_client(), "a.test").is_err());
}

#[test]
fn stapling_names_whom_to_ask() {
    let mut conf = server(&["server", "self"]);
    conf.stapling = Some(true);
    conf.stapling_verify = Some(true);
    conf.trusted_certificate = Some(word("root.crt"));
    let mut world = World::default();
    let context = world.good(&conf);
    let [staple] = context.staples() else { panic!("{:?}", context.staples()) };
    let failure = staple.responder.failure("refused", None).to_string();
    assert_eq!(failure, "refused while requesting certificate status, responder: 127.0.0.1");
    assert!(staple.verify);
    staple.certificates.staple(&staple.certificate.der, Some(b"another"));
    staple.certificates.staple(b"no such leaf", None);
    assert!(shake(&context, &plain_client(), "a.test").is_ok());
    assert!(staple.is_due(1000) && !staple.is_due(1000), "one request at a time");
    assert_eq!(staple.issuer.common_name.as_deref(), Some("root"));
    assert_eq!(staple.certificate.common_name.as_deref(), Some("server"));
    conf.stapling = None;
    assert!(world.good(&conf).staples().is_empty());
}

#[test]
fn keys_of_tickets_in_files_are_shared_by_machines() {
    let path = |name: &str| std::env::temp_dir().join(format!("rha-ticket-{name}-{}", std::process::id()));
    std::fs::write(path("one"), [1; 80]).expect("a file");
    std::fs::write(path("two"), [2; 48]).expect("a file");
    let keys = |names: &[&str]| {
        let mut conf = server(&["server"]);
        conf.ticket_keys = names.iter().map(|name| word(&path(name).to_string_lossy())).collect();
        World::default().good(&conf)
    };
    for version in [&TLS12, &TLS13] {
        let old = keys(&["one"]);
        assert!(resumes(&old, &keys(&["two", "one"]), &of(version, true)));
        assert!(!resumes(&old, &keys(&["two"]), &of(version, true)));
    }
    std::fs::write(path("two"), [2; 47]).expect("a file");
    let mut conf = server(&["server"]);
    conf.ticket_keys = vec![word(&path("two").to_string_lossy())];
    let said = World::default().build(&conf).map(|_| ()).map_err(|error| error.message);
    assert!(said.is_err_and(|text| text.ends_with("\" must be 48 or 80 bytes")));
    std::fs::remove_file(path("one")).expect("the file");
    std::fs::remove_file(path("two")).expect("the file");
}

#[test]
fn commands_decide_about_tickets() {
    let mut world = World::default();
    for (name, value, resumed) in
        [("NumTickets", "0", false), ("NumTickets", "1", true), ("Options", "-SessionTicket", false)]
    {
        let mut conf = server(&["server"]);
        conf.commands = vec![(word(name), word(value))];
        let context = world.good(&conf);
        assert_eq!(resumes(&context, &context, &of(&TLS13, true)), resumed, "{name} {value}");
    }
}
