use super::*;

/// Files nginx 1.23.4 wrote, with their names.
const PLAIN: &[u8] = include_bytes!("../../../../fixtures/nginx/cache/841aea6ab0df3aaa7a3fdfc63b55fe43");
const MAIN: &[u8] = include_bytes!("../../../../fixtures/nginx/cache/e9bf6b8ed66eb68d9bc97dd4c7d4a983");
const OTHER: &[u8] = include_bytes!("../../../../fixtures/nginx/cache/12c1bcdb558111256e1c8f8bf1edb9d8");

fn plain() -> Key {
    Key::new(b"http://127.0.0.1:18081/a?b=c".to_vec())
}

fn varied() -> Key {
    Key::new(b"vary/vary".to_vec())
}

/// A client that sends these headers.
fn sends(headers: &'static [(&str, &str)]) -> impl Fn(&[u8]) -> Vec<&'static [u8]> {
    move |name| {
        let same = |(own, _): &&(&str, &str)| own.as_bytes().eq_ignore_ascii_case(name);
        headers.iter().filter(same).map(|(_, value)| value.as_bytes()).collect()
    }
}

#[test]
fn files_of_nginx_are_read_and_written_byte_for_byte() {
    for (file, key) in [(PLAIN, plain()), (MAIN, varied()), (OTHER, varied())] {
        let header = Header::decode(file, &key, 4096).expect("a header");
        let encoded = header.encode(&key);
        assert_eq!(encoded, file[..encoded.len()]);
        assert_eq!(encoded.len(), key.head_start());
        assert!(file[key.head_start()..].starts_with(b"HTTP/1.1 200 OK\r\n"));
        assert!(file[..usize::from(header.body_start)].ends_with(b"\r\n\r\n"));
    }
    let header = Header::decode(PLAIN, &plain(), 4096).expect("a header");
    assert_eq!((header.valid - header.date, header.last_modified, header.vary.len()), (60, -1, 0));
    let header = Header::decode(MAIN, &varied(), 4096).expect("a header");
    assert_eq!((header.updating, header.error, header.last_modified), (10, 20, 23_349_600));
    assert_eq!((&*header.etag, &*header.vary), (&b"\"tag\""[..], &b"Accept-Encoding, X-Who"[..]));
}

#[test]
fn variants_are_nginxs() {
    let header = Header::decode(MAIN, &varied(), 4096).expect("a header");
    let first = sends(&[("Accept-Encoding", "gzip ,br"), ("X-Who", "a"), ("x-who", "b")]);
    assert_eq!(varied().variant(&header.vary, first), header.variant);
    let again = sends(&[("Accept-Encoding", "gzip"), ("accept-encoding", "br, "), ("X-Who", "a,b")]);
    assert_eq!(varied().variant(&header.vary, again), header.variant);
    let other = Header::decode(OTHER, &varied(), 4096).expect("a header");
    assert_eq!(varied().variant(&other.vary, sends(&[("X-Who", "c")])), other.variant);
}

#[test]
fn what_cannot_be_used_is_named() {
    let broken = |change: fn(&mut Vec<u8>)| {
        let mut file = PLAIN.to_vec();
        change(&mut file);
        Header::decode(&file, &plain(), 4096).expect_err("no header")
    };
    assert_eq!(broken(|file| file.truncate(300)), Unusable::TooSmall);
    assert_eq!(broken(|file| file[0] = 4), Unusable::Version);
    assert_eq!(broken(|file| file[48] ^= 1), Unusable::Collision);
    assert_eq!(broken(|file| file[345] ^= 1), Unusable::Collision);
    assert_eq!(broken(|file| file[57] = 255), Unusable::TooLongHeader);
    assert_eq!(broken(|file| file[187] = 200), Unusable::Vary);
    let key = Key::new(b"http://127.0.0.1:18081/a?b=d".to_vec());
    assert_eq!(Header::decode(PLAIN, &key, 4096), Err(Unusable::Collision));
}
