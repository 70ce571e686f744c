use super::*;

fn read(mut bytes: &[u8]) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    while let Some((length, field)) = field(bytes).expect("fields") {
        bytes = &bytes[length..];
        fields.extend(field.map(|field| (text(&field.name).into_owned(), text(&field.value).into_owned())));
    }
    assert!(bytes.is_empty(), "{bytes:?}");
    fields
}

#[test]
fn the_examples_of_the_standard_are_read_and_made() {
    // RFC 7541, C.4.1, without the table.
    let mut out = Vec::new();
    indexed(index::METHOD, &mut out);
    indexed(index::HTTP, &mut out);
    indexed(index::PATH, &mut out);
    named(index::AUTHORITY, b"www.example.com", &mut out);
    let wanted = [0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
    assert_eq!(out, wanted);
    let of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let fields = [of(":method", "GET"), of(":scheme", "http"), of(":path", "/"), of(":authority", "www.example.com")];
    assert_eq!(read(&out), fields);
    // RFC 7541, C.2.3: never indexed.
    assert_eq!(read(b"\x10\x08password\x06secret"), [of("password", "secret")]);
}

#[test]
fn every_string_comes_back() {
    let all: Vec<u8> = (0..=255).collect();
    for length in [0, 1, 2, 3, 126, 127, 128, 129, 256] {
        for from in 0..=all.len() - length {
            let value = &all[from..from + length];
            let (mut out, mut at) = (Vec::new(), 0);
            string(value, &mut out);
            let read = string_at(&out, &mut at, "value").expect("a string").expect("the whole");
            assert_eq!(read.text().as_deref(), Ok(value));
            assert_eq!(at, out.len());
        }
    }
    let long = vec![b'a'; 300_000];
    let (mut out, mut at) = (Vec::new(), 0);
    string(&long, &mut out);
    let read = string_at(&out, &mut at, "value").expect("a string").expect("the whole");
    assert_eq!(read.text(), Ok(long));
}

#[test]
fn a_field_waits_for_its_last_byte() {
    let mut out = Vec::new();
    literal(b"X-Name", &[b'v'; 200], &mut out);
    for end in 0..out.len() {
        assert_eq!(field(&out[..end]), Ok(None), "{end}");
    }
    let read = Field { name: b"x-name".to_vec(), value: vec![b'v'; 200] };
    assert_eq!(field(&out), Ok(Some((out.len(), Some(read)))));
}

#[test]
fn what_no_server_may_send_is_named_as_nginx_names_it() {
    let rows: &[(&[u8], &str)] = &[
        (b"\x80", "upstream sent invalid http2 table index: 0"),
        (b"\xbe", "upstream sent invalid http2 table index: 62"),
        (b"\x7e\0", "upstream sent invalid http2 table index: 62"),
        (b"\x0f\x30\0", "upstream sent invalid http2 table index: 63"),
        (b"\x0f\x80", "upstream sent http2 table index with continuation flag"),
        (b"\x3f\xe1\x1f", "upstream sent invalid http2 dynamic table size update: 31"),
        (b"\0\0", "upstream sent zero http2 header name length"),
        (b"\0\x7f\xff\xff\xff", "upstream sent too large http2 header name length"),
        (b"\0\x01a\x7f\xff\xff\xff", "upstream sent too large http2 header value length"),
        // Nothing but padding, zeroes as padding, and the end of a string inside it.
        (b"\0\x81\xff\x01b", "upstream sent invalid header: \": b\""),
        (b"\0\x81\0\0", "upstream sent invalid encoded header"),
        (b"\0\x84\xff\xff\xff\xff\0", "upstream sent invalid encoded header"),
        (b"\0\x01A\x01b", "upstream sent invalid header: \"A: b\""),
        (b"\0\x02a:\x01b", "upstream sent invalid header: \"a:: b\""),
        (b"\0\x02a \x01b", "upstream sent invalid header: \"a : b\""),
        (b"\0\x01a\x03b\r\n", "upstream sent invalid header: \"a: b\r\n\""),
    ];
    for (bytes, error) in rows {
        assert_eq!(field(bytes), Err((*error).to_owned()), "{bytes:?}");
    }
}
