use super::*;

fn line(text: &str) -> Result<Option<RequestLine>, LineError> {
    request_line(text.as_bytes())
}

fn of<'a>(text: &'a str, part: &Part) -> &'a str {
    &text[part.start as usize..part.end as usize]
}

#[test]
fn request_lines_are_taken_apart() {
    let text = "GET /a/b?x=1 HTTP/1.1\r\nHost: x\r\n";
    let got = line(text).expect("well-formed").expect("complete");
    assert_eq!((of(text, &got.uri), of(text, &got.path), got.version, got.end), ("/a/b?x=1", "/a/b", 1001, 23));
    assert_eq!(of(text, &got.line), "GET /a/b?x=1 HTTP/1.1");
    let text = "GET http://h:80?q HTTP/1.0\n";
    let got = line(text).expect("well-formed").expect("complete");
    assert_eq!((of(text, got.host.as_ref().expect("a host")), of(text, &got.path), got.version), ("h", "", 1000));
}

#[test]
fn wrong_request_lines_are_refused_at_the_first_wrong_byte() {
    for (text, error) in [
        ("get / HTTP/1.1\r\n", LineError::Method),
        ("\x16\x03", LineError::Method),
        ("GET * HTTP/1.1\r\n", LineError::Request),
        ("GET /\x01", LineError::Request),
        ("GET / HTTP/2.0\r\n", LineError::Version),
        ("GET / HTTP/0.9\r\n", LineError::Protocol),
        ("GET /a b HTTP/1.1\r\n", LineError::Request),
        ("POST /\r\n", LineError::Http09Method),
        ("GET / HTTP/1.1x\r\n", LineError::Protocol),
    ] {
        assert_eq!(line(text), Err(error), "{text:?}");
    }
    for text in ["", "GE", "GET ", "GET /abc", "GET / HTTP/1.", "GET / HTTP/1.1", "GET / HTTP/1.1\r"] {
        assert_eq!(line(text), Ok(None), "{text:?}");
    }
}

#[test]
fn paths_are_normalised_as_nginx_does() {
    let mut out = Vec::new();
    for (path, merge, wanted) in [
        ("/a//b/./c/../d", true, "/a/b/d"),
        ("/a//b", false, "/a//b"),
        ("/%41%2f..%2fb", true, "/b"),
        ("/a/..", true, "/"),
        ("/a/.", true, "/a/"),
        ("/a#frag", true, "/a"),
        ("/a%23b%3fc", true, "/a#b?c"),
        ("/...", true, "/..."),
    ] {
        normalise(path.as_bytes(), merge, &mut out).expect(path);
        assert_eq!(String::from_utf8_lossy(&out), wanted, "{path}");
    }
    for path in ["/..", "/a/../..", "/%00", "/%4", "/%zz"] {
        assert!(normalise(path.as_bytes(), true, &mut out).is_err(), "{path}");
    }
}

#[test]
fn segments_are_left_as_nginx_does_with_and_without_merge_slashes() {
    let mut out = Vec::new();
    for (path, merged, unmerged) in [
        ("/./", Some("/"), Some("/")),
        ("/./adm/x", Some("/adm/x"), Some("/adm/x")),
        ("/x/../adm/x", Some("/adm/x"), Some("/adm/x")),
        ("/foo//../bar", Some("/bar"), Some("/foo/bar")),
        ("//..", None, Some("/")),
        ("/x//..", Some("/"), Some("/x/")),
        ("/.//", Some("/"), Some("//")),
        ("/a/../../index.html", None, None),
        ("/a/%2e%2e/%2E./b", None, None),
        ("/.%23", Some("/.#"), Some("/.#")),
        ("/a/..#/b", Some("/"), Some("/")),
    ] {
        for (merge, wanted) in [(true, merged), (false, unmerged)] {
            let got =
                normalise(path.as_bytes(), merge, &mut out).ok().map(|()| String::from_utf8_lossy(&out).into_owned());
            assert_eq!(got.as_deref(), wanted, "{path} {merge}");
        }
    }
}

#[test]
fn versions_are_numbers_of_up_to_three_digits() {
    let text = "GET / HTTP/1.999  \r\n";
    let got = line(text).expect("well-formed").expect("complete");
    assert_eq!((got.version, of(text, &got.line)), (1999, "GET / HTTP/1.999  "));
    for (text, error) in [
        ("GET / HTTP/01.1\r\n", LineError::Protocol),
        ("GET / HTTP/11", LineError::Version),
        ("GET / HTTP/1.1000\r\n", LineError::Protocol),
        ("GET / HTTP/1.\r\n", LineError::Protocol),
    ] {
        assert_eq!(line(text), Err(error), "{text:?}");
    }
    assert_eq!(status_line(b"HTTP/999.999 200 OK\r\n").map(|line| line.map(|line| line.status)), Ok(Some(200)));
    for text in
        ["HTTP/1.1 200 O\rK\r\n", "HTTP/1.1 200\rSet-Cookie: x\r\n", "HTTP/01.1 200 OK\r\n", "HTTP/1.1 200 OK\r\r\n"]
    {
        assert_eq!(status_line(text.as_bytes()), Err(LineError::Request), "{text:?}");
    }
    assert_eq!(status_line(b"HTTP/1.1 200 OK\r"), Ok(None));
}

#[test]
fn a_cr_in_chunk_lines_is_followed_by_a_line_feed() {
    for text in [
        "5\r\r\nhello\r\n0\r\n\r\n",
        "5\rXYZ\nhello\r\n0\r\n\r\n",
        "5;a\rb\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\r\n0\r\n\r\n",
        "0\r\r\n\r\n",
        "0;x\ry\n\r\n",
        "0\r\n\r\r\n",
        "0\r\n\rX\n\n",
        "0\r\nA: b\rc\r\n\r\n",
        "0\r\nA: b\r\r\n\r\n",
    ] {
        let mut chunked = Chunked::default();
        let mut at = 0;
        let end = loop {
            match chunked.step(text.as_bytes(), at) {
                Ok(Piece::Data(range)) => at = range.end,
                other => break other,
            }
        };
        assert_eq!(end, Err(BadChunk), "{text:?}");
    }
}

#[test]
fn header_lines_are_taken_apart() {
    let text = b"Host:  a b \r\nX_y: 1\r\n\r\n";
    let Ok(Next::Header(first)) = header_line(text, 0, false) else { panic!("a header") };
    assert_eq!((&text[5 + 2..10], first.value, first.odd), (&b"a b"[..], 7..10, false));
    let Ok(Next::Header(second)) = header_line(text, first.end, false) else { panic!("a header") };
    assert!(second.odd);
    assert_eq!(header_line(text, second.end, false), Ok(Next::End(text.len() as u32)));
    assert_eq!(header_line(b" x: y\r\n", 0, false), Err(0));
    assert_eq!(header_line(b"x y: y\r\n", 0, false), Err(1));
    assert_eq!(header_line(b"x: \0\r\n", 0, false), Err(3));
    assert_eq!(header_line(b"x: y\r", 0, false), Ok(Next::More));
}

#[test]
fn chunked_bodies_are_cut_at_any_place_with_the_same_result() {
    let text = b"5;ext\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\nGET /";
    for cut in 0..text.len() {
        let mut chunked = Chunked::keeping(true);
        let mut body = Vec::new();
        let mut end = None;
        for (base, piece) in [(0, &text[..cut]), (cut, &text[cut..])] {
            let mut at = 0;
            while end.is_none() {
                match chunked.step(piece, at).expect("well-formed") {
                    Piece::Data(range) => {
                        body.extend_from_slice(&piece[range.clone()]);
                        at = range.end;
                    }
                    Piece::More => break,
                    Piece::End(place) => end = Some(base + place),
                }
            }
        }
        assert_eq!((body.as_slice(), end), (&b"hello!"[..], Some(text.len() - 5)), "cut at {cut}");
        assert_eq!(chunked.trailers(), b"Trailer: x\r\n\r\n", "cut at {cut}");
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_taken_without_a_panic(text: Vec<u8>) {
        let _ = request_line(&text);
        let _ = status_line(&text);
        let _ = header_line(&text, 0, true);
        let mut chunked = Chunked::default();
        let mut at = 0;
        while let Ok(Piece::Data(range)) = chunked.step(&text, at) { at = range.end; }
        let _ = normalise(&text, true, &mut Vec::new());
    }

    #[test]
    fn nearly_valid_requests_are_taken_without_a_panic(text in "(GET|POST|X) (/|http://a)[a-z%0-9./?#]{0,20} HTTP/1.[01]\r\n([a-z:_ ]{0,9}\r?\n){0,4}") {
        if let Ok(Some(line)) = request_line(text.as_bytes()) {
            let mut at = line.end;
            while let Ok(Next::Header(header)) = header_line(text.as_bytes(), at, false) { at = header.end; }
        }
    }
}
