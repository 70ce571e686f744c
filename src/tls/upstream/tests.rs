use super::*;
use crate::tls::context::ServerContext;
use crate::tls::directives::Verify;
use crate::tls::testing::{Ends, World, files, server, shake_with, word};
use rustls::HandshakeKind;

/// The middle of the year after the fixtures were made.
const NOW: i64 = 1_830_000_000;

fn context(change: impl FnOnce(&mut ClientConf)) -> ClientContext {
    let mut conf = ClientConf::default();
    change(&mut conf);
    ClientContext::new(&conf.settings(), &files(), &Kept::default(), &mut |warning| panic!("{}", warning.message))
        .unwrap_or_else(|error| panic!("{}", error.message))
}

fn shake(client: &ClientContext, name: &str, sessions: Option<&PeerSessions>, server: &ServerContext) -> Ends {
    let connection = client.connect(name, sessions).expect("a connection");
    shake_with(connection, |hello| server.config(hello)).expect("a handshake")
}

fn verified(client: &ClientContext, name: &str, pair: &str) -> Result<(), String> {
    let (connection, _) = shake(client, name, None, &World::default().good(&server(&[pair])));
    client.verify(connection.peer_certificates(), name, NOW).map_err(|fault| fault.to_string())
}

fn verifying(trusted: &str) -> ClientContext {
    context(|conf| {
        conf.verify = Some(true);
        conf.trusted_certificate = Some(word(trusted));
    })
}

#[test]
fn servers_are_verified_when_asked_for() {
    let client = verifying("root.crt");
    assert_eq!(verified(&client, "a.test", "server"), Ok(()));
    assert_eq!(verified(&client, "x.w.test:443", "rsa"), Ok(()));
    assert_eq!(verified(&client, "n.test", "named"), Ok(()));
    let name = Err("upstream SSL certificate does not match \"b.test\"".to_owned());
    assert_eq!(verified(&client, "b.test:8443", "server"), name);
    let own = Err("upstream SSL certificate verify error: (18:self-signed certificate)".to_owned());
    assert_eq!(verified(&client, "self", "self"), own);
    let alone = "upstream SSL certificate verify error: (21:unable to verify the first certificate)";
    assert_eq!(verified(&verifying("other.crt"), "a.test", "server"), Err(alone.to_owned()));
    assert_eq!(verified(&context(|_| ()), "a.test", "self"), Ok(()));
}

#[test]
fn an_address_matches_an_address() {
    assert_eq!(verified(&verifying("root.crt"), "127.0.0.1", "server"), Ok(()));
    assert!(verified(&verifying("root.crt"), "127.0.0.2", "server").is_err());
}

#[test]
fn the_name_is_told_when_asked_for() {
    let server = World::default().good(&server(&["server"]));
    let told = |on: bool, name: &str| {
        let client = context(|conf| conf.server_name = Some(on));
        shake(&client, name, None, &server).1.server_name().map(str::to_owned)
    };
    assert_eq!(told(true, "a.test:443").as_deref(), Some("a.test"));
    assert_eq!(told(false, "a.test"), None);
    assert_eq!(told(true, "127.0.0.1"), None);
    assert_eq!(told(true, "[::1]:80"), None);
    assert_eq!(told(true, "not a name"), None);
}

#[test]
fn ports_are_cut_off() {
    for (name, wanted) in [("a:1", "a"), ("[::1]:1", "[::1]"), ("[::1]", "[::1]"), ("a", "a"), ("[a:1", "[a"), ("", "")]
    {
        assert_eq!(without_port(name), wanted);
    }
}

#[test]
fn sessions_are_resumed_unless_off() {
    let server = World::default().good(&server(&["server"]));
    for protocols in [32, 64] {
        let resumed = |reuse: Option<bool>| {
            let client = context(|conf| (conf.session_reuse, conf.protocols) = (reuse, Some(protocols)));
            let sessions = PeerSessions::default();
            shake(&client, "a.test", Some(&sessions), &server);
            shake(&client, "a.test", Some(&sessions), &server).1.handshake_kind() == Some(HandshakeKind::Resumed)
        };
        assert_eq!((resumed(None), resumed(Some(false))), (true, false));
    }
}

#[test]
fn a_certificate_is_shown() {
    let mut conf = server(&["server"]);
    conf.verify = Some(Verify::Optional);
    conf.client_certificate = Some(word("root.crt"));
    let server = World::default().good(&conf);
    let client = context(|conf| (conf.certificate, conf.key) = (Some(word("good.crt")), Some(word("good.key"))));
    let leaf = crate::tls::testing::certificates("good.crt");
    assert_eq!(shake(&client, "a.test", None, &server).1.peer_certificates(), Some(&leaf[..]));
    let pair =
        files().pair(&word("self.crt"), &word("self.key"), None, 2).map_err(|error| error.message).expect("a pair");
    let pair = pairs::certified(pair, None).map_err(|error| error.message).expect("ECDSA");
    let plain = context(|_| ());
    assert_eq!(shake(&plain, "a.test", None, &server).1.peer_certificates(), None);
    let connection = plain.connect_with("a.test", pair).expect("a connection");
    let (_, end) = shake_with(connection, |hello| server.config(hello)).expect("a handshake");
    assert_eq!(end.peer_certificates(), Some(&crate::tls::testing::certificates("self.crt")[..]));
}

#[test]
fn versions_ciphers_and_protocols_are_as_set() {
    let server = World::default().good(&server(&["server"])).protocols(&[b"h2"]);
    let client = context(|conf| {
        conf.protocols = Some(32);
        conf.ciphers = Some(word("ECDHE+CHACHA20"));
    })
    .protocols(&[b"h2"]);
    let (end, _) = shake(&client, "a.test", None, &server);
    assert_eq!(crate::tls::info::cipher(&end), "ECDHE-ECDSA-CHACHA20-POLY1305");
    assert_eq!(end.alpn_protocol(), Some(&b"h2"[..]));
}

#[test]
fn bad_settings_are_refused() {
    let refused = |change: &dyn Fn(&mut ClientConf)| {
        let mut conf = ClientConf::default();
        change(&mut conf);
        ClientContext::new(&conf.settings(), &files(), &Kept::default(), &mut |_| ())
            .map(|_| ())
            .map_err(|error| error.message)
    };
    let text = "no proxy_ssl_trusted_certificate for proxy_ssl_verify";
    assert_eq!(refused(&|conf| conf.verify = Some(true)), Err(text.to_owned()));
    let text = "\"proxy_ssl_protocols\" leaves no version: TLSv1.2 and TLSv1.3 are supported";
    assert_eq!(refused(&|conf| conf.protocols = Some(8)), Err(text.to_owned()));
    let text = "\"proxy_ssl_conf_command\" VerifyMode \"Peer\" is not supported";
    assert_eq!(refused(&|conf| conf.commands = vec![(word("VerifyMode"), word("Peer"))]), Err(text.to_owned()));
}
