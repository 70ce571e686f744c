use super::*;
use crate::tls::testing::{ALL, client};
use proptest::prelude::*;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use std::sync::Arc;

/// What a client sends first.
fn hello(name: &str, protocols: &[&[u8]], versions: &[&'static rustls::SupportedProtocolVersion]) -> Vec<u8> {
    let mut config = client(versions, None, |_| ());
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut wire = Vec::new();
    client.write_tls(&mut wire).expect("memory");
    wire
}

fn found(bytes: &[u8]) -> (String, String, &'static str) {
    let Preread::Hello(hello) = read(bytes) else { panic!("{:?}", read(bytes)) };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (text(&hello.server_name), text(&hello.protocols), hello.protocol())
}

#[test]
fn a_hello_is_found() {
    let whole = hello("a.test", &[b"h2", b"http/1.1"], ALL);
    assert_eq!(found(&whole), ("a.test".to_owned(), "h2,http/1.1".to_owned(), "TLSv1.3"));
    let old = hello("a.test", &[], &[&rustls::version::TLS12]);
    // rustls lists the versions it supports in any case.
    assert_eq!(found(&old), ("a.test".to_owned(), String::new(), "TLSv1.3"));
    assert_eq!(found(&hello("127.0.0.1", &[], ALL)).0, "");
}

#[test]
fn it_is_found_with_its_last_byte() {
    let whole = hello("a.test", &[b"h2"], ALL);
    for at in 0..whole.len() {
        assert_eq!(read(&whole[..at]), Preread::More, "{at}");
    }
    assert!(matches!(read(&[&whole[..], b"more"].concat()), Preread::Hello(_)));
}

/// The same message in records of `size` bytes.
fn split(whole: &[u8], size: usize) -> Vec<u8> {
    let record = |part: &[u8]| [&[0x16, 3, 1], &(part.len() as u16).to_be_bytes()[..], part].concat();
    whole[5..].chunks(size).flat_map(record).collect()
}

#[test]
fn every_split_into_records_reads_the_same() {
    let whole = hello("a.test", &[b"h2", b"http/1.1"], ALL);
    for size in 1..whole.len() {
        assert_eq!(found(&split(&whole, size)), found(&whole), "{size}");
    }
}

#[test]
fn a_hello_without_extensions_is_of_its_version() {
    for (version, name) in [(0, "SSLv3"), (1, "TLSv1"), (2, "TLSv1.1"), (3, "TLSv1.2"), (9, "")] {
        let mut body = vec![3, version];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0, 47, 1, 0]);
        let message = [&[1, 0, 0, body.len() as u8], &body[..]].concat();
        let bytes = [&[0x16, 3, 0, 0, message.len() as u8], &message[..]].concat();
        assert_eq!(found(&bytes).2, name);
    }
    assert_eq!(found(&[0x80, 46, 1, 3, 1]).2, "TLSv1");
    assert_eq!(found(&[0x80, 46, 1, 0, 2]).2, "SSLv2");
}

#[test]
fn other_protocols_are_none() {
    assert_eq!(read(b"GET / HTTP/1.1\r\n"), Preread::NotTls);
    assert_eq!(read(b"GET "), Preread::More);
    assert_eq!(read(&[0x16, 2, 0, 0, 1]), Preread::NotTls);
    assert_eq!(read(&[0x16, 3, 1, 0, 1, 2]), Preread::NotTls);
    // A name that is no host, a list of protocols with an empty one, and a length beyond the message.
    let with = |extension: &[u8]| {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0, 47, 1, 0, 0, extension.len() as u8]);
        body.extend(extension);
        let message = [&[1, 0, 0, body.len() as u8], &body[..]].concat();
        [&[0x16, 3, 1, 0, message.len() as u8], &message[..]].concat()
    };
    assert_eq!(read(&with(&[0, 0, 0, 6, 0, 4, 1, 0, 1, b'a'])), Preread::NotTls);
    assert_eq!(read(&with(&[0, 0, 0, 6, 0, 3, 0, 0, 1, b'a'])), Preread::NotTls);
    assert_eq!(read(&with(&[0, 16, 0, 3, 0, 1, 0])), Preread::NotTls);
    assert_eq!(read(&with(&[0, 99, 0, 9])), Preread::NotTls);
    assert_eq!(found(&with(&[0, 0, 0, 6, 0, 4, 0, 0, 1, b'a'])).0, "a");
}

proptest! {
    #[test]
    fn no_bytes_make_it_fail(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0_usize..300) {
        read(&bytes);
        let mut spoiled = hello("a.test", &[b"h2"], ALL);
        let length = spoiled.len();
        for (index, byte) in bytes.iter().enumerate().take(3) {
            spoiled[(at + index * 7) % length] ^= byte;
        }
        read(&spoiled);
    }
}
