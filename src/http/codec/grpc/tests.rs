use super::*;

const REQUEST: &[u8] = b"\x82";

/// A request on a connection of its own, sent.
fn begun() -> Frames {
    let mut frames = Frames::new(Link::default());
    frames.begin(REQUEST, true, &mut Vec::new());
    frames
}

fn made(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame(kind, flags, stream, payload, &mut out);
    out
}

/// A head's fields: `:status: 200`, and one of its own.
const FIELDS: &[u8] = b"\x88\x00\x01a\x01b";

fn head(flags: u8) -> Vec<u8> {
    made(kind::HEADERS, flags | flag::END_HEADERS, 1, FIELDS)
}

/// Takes bytes in as they come, in pieces of a size: the body, or the fault.
fn read(frames: &mut Frames, bytes: &[u8], size: usize) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    for piece in bytes.chunks(size) {
        let mut rest = piece.to_vec();
        if !frames.in_body {
            let Some(used) = frames.take_head(&rest)? else { continue };
            rest.drain(..used);
        }
        let count = frames.take_body(&mut rest)?;
        body.extend_from_slice(&rest[..count]);
    }
    Ok(body)
}

#[test]
fn informational_answers_end_like_heads_where_they_are_taken() {
    let hints = made(kind::HEADERS, flag::END_HEADERS, 1, b"\x08\x03103\x00\x01a\x01b");
    let bytes = [hints.clone(), head(flag::END_STREAM)].concat();
    for size in 1..=bytes.len() {
        let mut frames = begun();
        frames.informs = true;
        let mut heads = Vec::new();
        for piece in bytes.chunks(size) {
            let mut at = 0;
            while let Some(used) = frames.take_head(&piece[at..]).expect("well-formed") {
                at += used;
                let is_last = !frames.is_informational();
                let head = frames.answer();
                heads.push((head.status, head.text, is_last));
                if is_last {
                    break;
                }
            }
        }
        let wanted =
            [(103, b":status: 103\r\na: b\r\n".to_vec(), false), (200, b":status: 200\r\na: b\r\n".to_vec(), true)];
        assert_eq!(heads, wanted, "{size}");
    }
    let fault = begun().take_head(&hints).expect_err("a fault").0;
    assert_eq!(fault, ["upstream sent unexpected :status \"103\""]);
}

#[test]
fn an_answer_is_the_same_however_it_is_cut() {
    let mut bytes = made(kind::SETTINGS, 0, 0, b"\0\x03\0\0\0\x64\0\x04\0\x01\0\0");
    bytes.extend(made(kind::SETTINGS, flag::ACK, 0, b""));
    bytes.extend(made(kind::HEADERS, flag::PADDED | flag::PRIORITY, 1, b"\x02\0\0\0\0\x10\x88\x00\x01\0\0"));
    bytes.extend(made(kind::CONTINUATION, 0, 1, b""));
    bytes.extend(made(kind::CONTINUATION, flag::END_HEADERS, 1, b"a\x01b"));
    bytes.extend(made(kind::PING, 0, 0, b"12345678"));
    bytes.extend(made(kind::DATA, flag::PADDED, 1, b"\x03Hello \0\0\0"));
    bytes.extend(made(kind::DATA, 0, 1, b""));
    bytes.extend(made(0xfe, 0, 0, b"of an extension"));
    bytes.extend(made(kind::DATA, 0, 1, b"world"));
    bytes.extend(made(kind::WINDOW_UPDATE, 0, 0, b"\0\0\0\x05"));
    let trailers = b"\x00\x0bgrpc-status\x010";
    bytes.extend(made(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, trailers));
    bytes.extend(made(kind::RST_STREAM, 0, 1, &[0; 4]));
    for size in 1..=bytes.len() {
        let mut frames = begun();
        assert_eq!(read(&mut frames, &bytes, size), Ok(b"Hello world".to_vec()), "{size}");
        let head = frames.answer();
        assert_eq!(head.text, b":status: 200\r\na: b\r\n");
        assert_eq!((head.status, head.fields, head.ends), (200, vec![(14..15, 17..18)], false));
        assert_eq!(frames.trailers, [Field { name: b"grpc-status".to_vec(), value: b"0".to_vec() }]);
        let mut control = made(kind::SETTINGS, flag::ACK, 0, b"");
        control.extend(made(kind::PING, flag::ACK, 0, b"12345678"));
        assert_eq!(frames.control(), control);
        assert!(frames.is_over() && !frames.is_clean(), "frames wait");
        frames.sent_control(control.len());
        assert!(frames.is_clean());
        let link = Link { initial: 65_536, send: DEFAULT_WINDOW + 5, receive: WINDOW - 15, last: 1 };
        assert_eq!(frames.link(), link);
    }
}

#[test]
fn a_request_keeps_to_the_servers_windows() {
    let mut frames = Frames::new(Link::default());
    let mut out = Vec::new();
    frames.begin(&[b'x'; 40_000], false, &mut out);
    let rest = out.strip_prefix(BEGINNING).expect("the preface");
    let (first, rest) = rest.split_at(9 + MOST);
    assert_eq!(&first[..9], &made(kind::HEADERS, 0, 1, &[0; MOST])[..9]);
    let (second, third) = rest.split_at(9 + MOST);
    assert_eq!(&second[..9], &made(kind::CONTINUATION, 0, 1, &[0; MOST])[..9]);
    assert_eq!(third, made(kind::CONTINUATION, flag::END_HEADERS, 1, &[b'x'; 40_000 - 2 * MOST]));

    assert_eq!(frames.window(), 65_535);
    out.clear();
    frames.data(&[b'y'; 65_535], false, &mut out);
    assert_eq!(out.len(), 4 * 9 + 65_535);
    assert_eq!(frames.window(), 0);
    let control = |frames: &mut Frames, bytes: Vec<u8>| frames.take_head(&bytes).expect("frames");
    control(&mut frames, made(kind::WINDOW_UPDATE, 0, 1, b"\0\0\0\x0a"));
    assert_eq!(frames.window(), 0, "the connection's is closed");
    assert!(std::mem::take(&mut frames.moved));
    control(&mut frames, made(kind::WINDOW_UPDATE, 0, 0, b"\0\0\0\x14"));
    assert_eq!(frames.window(), 10);
    control(&mut frames, made(kind::SETTINGS, 0, 0, b"\0\x04\0\0\0\0"));
    assert_eq!(frames.window(), 0, "below nothing");
    control(&mut frames, made(kind::SETTINGS, 0, 0, b"\0\x04\0\0\xff\xff"));
    assert_eq!(frames.window(), 10);
    out.clear();
    frames.data(b"", true, &mut out);
    assert_eq!(out, made(kind::DATA, flag::END_STREAM, 1, b""));
    // The next request on the connection has the next stream, and no preface.
    let mut next = Frames::new(frames.link());
    out.clear();
    next.begin(REQUEST, true, &mut out);
    assert_eq!(out, made(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, 3, REQUEST));
    assert_eq!(next.window(), 20);
}

#[test]
fn our_windows_open_anew() {
    let mut frames = Frames::new(Link { receive: WINDOW / 4 + 4, ..Link::default() });
    let mut bytes = head(0);
    bytes.extend(made(kind::DATA, 0, 1, b"12345"));
    assert_eq!(read(&mut frames, &bytes, 64), Ok(b"12345".to_vec()));
    let opened = |stream: u32, by: i64| made(kind::WINDOW_UPDATE, 0, stream, &(by as u32).to_be_bytes());
    assert_eq!(frames.control(), [opened(0, WINDOW - WINDOW / 4 + 1), opened(1, 5)].concat());
    assert!(frames.moved);
}

/// Faults of `bytes` before the head has ended, and behind it.
fn faults(bytes: &[u8]) -> (Vec<String>, Vec<String>) {
    let fault = |before: &[u8]| {
        let (mut once, mut cut) = (begun(), begun());
        let bytes = [before, bytes].concat();
        let lines = |outcome: Result<Vec<u8>, Fault>| outcome.err().map_or_else(Vec::new, |Fault(lines)| lines);
        let lines = (lines(read(&mut once, &bytes, bytes.len())), lines(read(&mut cut, &bytes, 1)));
        assert_eq!(lines.0, lines.1, "cut in bytes");
        lines.0
    };
    (fault(b""), fault(&head(0)))
}

#[test]
fn faults_of_frames_have_nginxs_words() {
    let rows: &[(Vec<u8>, &str)] = &[
        (made(kind::SETTINGS, 0, 0, &[0; MOST + 1]), "upstream sent too large http2 frame: 16385"),
        (made(kind::CONTINUATION, 0, 1, b""), "upstream sent unexpected http2 frame: 9"),
        (made(kind::HEADERS, 0, 3, b""), "upstream sent frame for unknown stream 3"),
        (made(kind::PUSH_PROMISE, 0, 1, b""), "upstream sent unexpected push promise frame"),
        (made(kind::RST_STREAM, 0, 1, b"\0\0\0\x08"), "upstream rejected request with error 8"),
        (made(kind::RST_STREAM, 0, 1, b"\0\0\0"), "upstream sent rst stream frame with invalid length: 3"),
        (made(kind::RST_STREAM, 0, 1, b"\0\0\0\0"), "upstream rejected request with error 0"),
        (made(kind::WINDOW_UPDATE, 0, 1, b""), "upstream sent window update frame with invalid length: 0"),
        (made(kind::WINDOW_UPDATE, 0, 1, b"\x7f\xff\xff\xff"), "upstream sent too large window update"),
        (made(kind::WINDOW_UPDATE, 0, 0, b"\xff\xff\xff\xff"), "upstream sent too large window update"),
        (made(kind::GOAWAY, 0, 1, &[0; 8]), "upstream sent goaway frame with non-zero stream id: 1"),
        (made(kind::GOAWAY, 0, 0, &[0; 7]), "upstream sent goaway frame with invalid length: 7"),
        (made(kind::GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\x05why"), "upstream sent goaway with error 5"),
        (made(kind::SETTINGS, 0, 1, b""), "upstream sent settings frame with non-zero stream id: 1"),
        (
            made(kind::SETTINGS, flag::ACK, 0, &[0; 6]),
            "upstream sent settings frame with ack flag and non-zero length: 6",
        ),
        (made(kind::SETTINGS, 0, 0, &[0; 7]), "upstream sent settings frame with invalid length: 7"),
        (
            made(kind::SETTINGS, 0, 0, b"\0\x04\x80\0\0\0"),
            "upstream sent settings frame with too large initial window size: 2147483648",
        ),
        (made(kind::PING, 0, 1, &[0; 8]), "upstream sent ping frame with non-zero stream id: 1"),
        (made(kind::PING, 0, 0, &[0; 7]), "upstream sent ping frame with invalid length: 7"),
        (made(kind::PING, flag::ACK, 0, &[0; 8]), "upstream sent ping frame with ack flag"),
        (made(kind::PING, 0, 0, &[0; 8]).repeat(1002), "upstream sent too many ping frames"),
        (made(kind::SETTINGS, 0, 0, b"").repeat(1002), "upstream sent too many settings frames"),
    ];
    for (bytes, wanted) in rows {
        assert_eq!(faults(bytes), (vec![(*wanted).to_owned()], vec![(*wanted).to_owned()]));
    }
    let fine = [
        made(kind::GOAWAY, 0, 0, b"\0\0\0\x01\0\0\0\0"),
        made(kind::PING, 0, 0, &[0; 8]).repeat(1000),
        made(0xff, 0xff, 1, b"of an extension"),
        made(2, 0, 1, b"\0\0\0\0\0"),
    ];
    for bytes in fine {
        assert_eq!(faults(&bytes), (Vec::new(), Vec::new()));
    }
}

#[test]
fn faults_of_a_head_have_nginxs_words() {
    let block = |fields: &[u8]| made(kind::HEADERS, flag::END_HEADERS, 1, fields);
    let both = |text: &str| vec![text.to_owned(), "upstream sent invalid header".to_owned()];
    let one = |text: &str| vec![text.to_owned()];
    let rows = [
        (made(kind::DATA, 0, 1, b"x"), one("upstream sent unexpected http2 frame: 0")),
        (block(b""), one("upstream sent no :status header")),
        (block(b"\x84"), one("upstream sent invalid header \":path: /\"")),
        (block(b"\x00\x01a\x01b"), one("upstream sent no :status header")),
        (block(b"\x88\x88"), one("upstream sent duplicate :status header")),
        (block(b"\x08\x0220"), one("upstream sent invalid :status \"20\"")),
        (block(b"\x08\x0320x"), one("upstream sent invalid :status \"20x\"")),
        (block(b"\x08\x03100"), one("upstream sent unexpected :status \"100\"")),
        (block(b"\x88\xbe"), both("upstream sent invalid http2 table index: 62")),
        (block(b"\x88\x00\x05"), both("upstream sent truncated http2 header")),
        (made(kind::HEADERS, flag::PRIORITY, 1, b"\0"), both("upstream sent headers frame with invalid length: 1")),
        (
            made(kind::HEADERS, flag::PADDED | flag::END_HEADERS, 1, b"\x02\x88"),
            both("upstream sent http2 frame with too long padding: 2 in frame 1"),
        ),
        (
            [made(kind::HEADERS, 0, 1, FIELDS), made(kind::PING, 0, 0, &[0; 8])].concat(),
            one("upstream sent unexpected http2 frame: 6"),
        ),
    ];
    for (bytes, wanted) in rows {
        assert_eq!(faults(&bytes).0, wanted);
    }
}

#[test]
fn faults_of_a_body_have_nginxs_words() {
    let end = || made(kind::DATA, flag::END_STREAM, 1, b"x");
    let reset = |error: &[u8; 4]| made(kind::RST_STREAM, 0, 1, error);
    let block = |flags: u8, fields: &[u8]| made(kind::HEADERS, flags | flag::END_HEADERS, 1, fields);
    let one = |text: &str| vec![text.to_owned()];
    let rows = [
        (made(kind::DATA, 0, 3, b"x"), one("upstream sent data frame for unknown stream 3")),
        (made(kind::DATA, 0, 0, b"x"), one("upstream sent data frame for unknown stream 0")),
        (made(kind::DATA, flag::PADDED, 1, b""), one("upstream sent too short http2 frame")),
        (
            made(kind::DATA, flag::PADDED, 1, b"\x02x"),
            one("upstream sent http2 frame with too long padding: 2 in frame 1"),
        ),
        (block(0, b"\x00\x01a\x01b"), one("upstream sent trailer without end stream flag")),
        (block(flag::END_STREAM, b"\x88"), one("upstream sent invalid trailer \":status: 200\"")),
        (
            block(flag::END_STREAM, b"\x80"),
            vec!["upstream sent invalid http2 table index: 0".to_owned(), "upstream sent invalid trailer".to_owned()],
        ),
        ([end(), end()].concat(), one("upstream sent frame for closed stream 1")),
        ([end(), reset(b"\0\0\0\0"), reset(b"\0\0\0\0")].concat(), one("upstream sent frame for closed stream 1")),
        ([end(), reset(b"\0\0\0\x02")].concat(), one("upstream rejected request with error 2")),
        ([end(), made(kind::WINDOW_UPDATE, 0, 1, b"\0\0\0\x01"), reset(b"\0\0\0\0")].concat(), Vec::new()),
    ];
    for (bytes, wanted) in rows {
        assert_eq!(faults(&bytes).1, wanted);
    }
}

#[test]
fn trailers_have_a_bound() {
    let field = [&b"\x00\x01a\x7f\x81\x7e"[..], &[b'x'; 127 + 1 + 126 * 128]].concat();
    assert_eq!(field.len(), 6 + 16_256);
    let mut frames = begun();
    let mut bytes = head(0);
    bytes.extend(made(kind::HEADERS, flag::END_STREAM, 1, &field));
    bytes.extend(made(kind::CONTINUATION, 0, 1, &field).repeat(15));
    assert_eq!(read(&mut frames, &bytes, 4096), Ok(Vec::new()));
    assert_eq!(frames.trailers.len(), 16);
    let more = made(kind::CONTINUATION, 0, 1, &field);
    let fault = Fault::of("upstream sent too big trailer");
    assert_eq!(read(&mut frames, &more, 4096), Err(fault));
}

#[test]
fn a_connection_is_kept_only_when_both_have_ended() {
    let mut frames = Frames::new(Link::default());
    frames.begin(REQUEST, false, &mut Vec::new());
    assert_eq!(read(&mut frames, &head(flag::END_STREAM), 99), Ok(Vec::new()));
    assert!(frames.is_over() && !frames.is_clean(), "the request goes on");
    frames.data(b"", true, &mut Vec::new());
    assert!(frames.is_clean());
    let mut cut = begun();
    let mut bytes = head(flag::END_STREAM);
    bytes.extend(&made(kind::PING, 0, 0, &[0; 8])[..10]);
    assert_eq!(read(&mut cut, &bytes, 99), Ok(Vec::new()));
    assert!(!cut.is_over() && !cut.is_clean(), "inside a frame");
    let mut left = begun();
    let mut bytes = made(kind::GOAWAY, 0, 0, b"\0\0\0\x01\0\0\0\0");
    bytes.extend(head(flag::END_STREAM));
    assert_eq!(read(&mut left, &bytes, 99), Ok(Vec::new()));
    assert!(left.is_over() && !left.is_clean(), "the server leaves");
    let mut last = Frames::new(Link { last: LAST_STREAM - 2, ..Link::default() });
    last.begin(REQUEST, true, &mut Vec::new());
    let answer = made(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, LAST_STREAM, b"\x88");
    assert_eq!(read(&mut last, &answer, 99), Ok(Vec::new()));
    assert!(last.is_over() && !last.is_clean(), "no stream is left");
}
