use super::{Preface, head, preface, text};

#[test]
fn the_preface_is_told_from_http1_at_its_first_byte_that_differs() {
    for (bytes, told) in [
        (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], Preface::Whole),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0", Preface::Whole),
        (b"PRI * HTTP/2.0\r\n\r\nSM", Preface::Part),
        (b"P", Preface::Part),
        (b"POST / HTTP/1.1\r\n", Preface::Other),
        (b"GET / HTTP/1.1\r\n", Preface::Other),
    ] {
        assert_eq!(preface(bytes), told);
    }
}

#[test]
fn a_head_is_written_as_http1_would_have_it() {
    let request = http::Request::builder()
        .method("POST")
        .uri("https://a.example/x?y=1")
        .header("cookie", "a=1")
        .header("te", "trailers")
        .header("cookie", "b=2")
        .body(())
        .expect("a request");
    let (parts, ()) = request.into_parts();
    let text = String::from_utf8(text(&parts)).expect("text");
    assert_eq!(text, "POST /x?y=1 HTTP/1.1\r\nhost: a.example\r\nte: trailers\r\ncookie: a=1; b=2\r\n\r\n");
}

#[test]
fn a_response_has_no_fields_of_the_connection() {
    let text = b"HTTP/1.1 204 No Content\r\nServer: nginx\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\
        X-Two: a\r\nX-Two: b\r\n\r\n";
    let response = head(text);
    assert_eq!(response.status(), 204);
    let fields: Vec<String> =
        response.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect();
    assert_eq!(fields, ["server: nginx", "x-two: a", "x-two: b"]);
}
