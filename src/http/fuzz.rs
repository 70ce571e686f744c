//! What the fuzzer of the HTTP/1 codec runs.

use crate::http::codec::h1::{Chunked, Next, Piece, header_line, normalise, request_line, status_line};

/// Reads any bytes as a request's head, a response's head, header lines and a chunked body, each to its end.
pub fn codec(text: &[u8]) {
    let mut at = match request_line(text) {
        Ok(Some(line)) => {
            let path = text.get(line.path.start as usize..line.path.end as usize).unwrap_or_default();
            let _ = (normalise(path, true, &mut Vec::new()), normalise(path, false, &mut Vec::new()));
            line.end
        }
        Ok(None) | Err(_) => 0,
    };
    while let Ok(Next::Header(header)) = header_line(text, at, false) {
        assert!(header.end > at, "a header line is longer than nothing");
        at = header.end;
    }
    let _ = status_line(text);
    let (mut chunked, mut at) = (Chunked::default(), 0);
    while let Ok(Piece::Data(range)) = chunked.step(text, at) {
        assert!(range.end > at && range.end <= text.len(), "a piece of the body is one of the text");
        at = range.end;
    }
}
