use super::{Responder, body};

#[test]
fn a_url_names_who_is_asked_for_what() {
    for (url, told) in [
        ("http://a.example", Some(("a.example", None, "/"))),
        ("HTTP://a.example:8888/ocsp/x?y", Some(("a.example", Some(8888), "/ocsp/x?y"))),
        ("http://127.0.0.1?y", Some(("127.0.0.1", None, "/?y"))),
        ("http://[::1]:80/", Some(("::1", Some(80), "/"))),
        ("https://a.example/", None),
        ("a.example", None),
        ("http://unix:/x", None),
        ("http://", None),
    ] {
        let responder = Responder::parse(url);
        let have = responder.as_ref().map(|one| (one.host.as_str(), one.endpoint.port, one.uri.as_str()));
        assert_eq!(have, told, "{url}");
    }
}

#[test]
fn a_body_is_taken_where_it_is_whole_and_of_the_right_kind() {
    let whole = b"HTTP/1.0 200 OK\r\nContent-type: application/ocsp-response\r\nContent-Length: 3\r\n\r\nabc";
    for length in 0..whole.len() {
        assert_eq!(body(&whole[..length], false), Ok(None), "{length}");
    }
    assert_eq!(body(whole, false), Ok(Some(&b"abc"[..])));
    let open = b"HTTP/1.1 200 OK\r\n\r\nabc";
    assert_eq!(body(open, false), Ok(None));
    assert_eq!(body(open, true), Ok(Some(&b"abc"[..])));
    let bare = b"HTTP/1.1 200 OK\nContent-Type: application/ocsp-response\n\nabc";
    assert_eq!(body(bare, true), Ok(Some(&b"abc"[..])));
    let invalid = Err("OCSP responder sent invalid response".to_owned());
    assert_eq!(body(b"HTTP/1.0 404 Not Found\r\n\r\n", true), invalid);
    assert_eq!(body(b"SSH-2.0\r\n\r\n", true), invalid);
    let kind = "OCSP responder sent invalid \"Content-Type\" header: \"text/html\"";
    assert_eq!(body(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n", true), Err(kind.to_owned()));
}
