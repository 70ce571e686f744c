//! Early hints of a server (RFC 8297): passed on to the client before the response.

use super::conf::Gateway;
use super::upstream_response::UpstreamResponse;
use crate::http::heart::module::Text;
use crate::http::heart::request::Request;
use crate::http::heart::wire::Wire;
use crate::log::Level;

/// For which requests hints are passed on: those for which a text is neither empty nor 0.
pub struct EarlyHints(pub Vec<Text>);

/// Fields of one connection, or of a body.
const FRAMING: [&[u8]; 5] = [b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"upgrade"];

/// Whether a field frames a body, or is one of a connection.
pub fn frames_a_body(name: &[u8]) -> bool {
    FRAMING.iter().any(|framing| name.eq_ignore_ascii_case(framing))
}

/// Passes the hints of a head on that begins `bytes`; `sum` is the length of those that came before.
///
/// Hints of a server that are longer in all than the buffer of a head are left out.
///
/// Differs from nginx: fields that frame a body or are the connection's own are no hints (RFC 9110 §8.6). [test: hints_do_not_frame_a_body]
pub fn pass(request: &mut Request, gateway: &Gateway, (reply, bytes): (&UpstreamResponse, &[u8]), sum: &mut usize) {
    let location = request.location.clone();
    let Some(EarlyHints(texts)) = location.attached::<EarlyHints>() else { return };
    *sum += reply.head as usize;
    if *sum > gateway.buffer_size {
        request.log(Level::Info, "upstream sent too big early hints while reading response header from upstream");
        return;
    }
    if request.is_subrequest() || request.version() < 1001 {
        return;
    }
    if texts.iter().all(|text| matches!(&*text.text(request), b"" | b"0")) {
        return;
    }
    let mut head = b"HTTP/1.1 103 Early Hints\r\n".to_vec();
    let line = head.len();
    for (name, value) in reply.fields(bytes) {
        if !gateway.hides(name) && !frames_a_body(name) {
            for part in [name, b": ", value, b"\r\n"] {
                head.extend_from_slice(part);
            }
        }
    }
    if head.len() == line {
        return;
    }
    head.extend_from_slice(b"\r\n");
    match &request.wire {
        Wire::H1 => {
            // What the connection does not take now goes out with the response.
            let waits = &mut request.response.out;
            let sent = if waits.is_empty() { request.connection.stream.try_write(&head).unwrap_or(0) } else { 0 };
            waits.extend_from_slice(head.get(sent..).unwrap_or_default());
            request.response.sent += sent as u64;
        }
        // A stream that is gone is found when the response is sent.
        Wire::H2(stream) => drop(stream.send_hints(&head)),
        Wire::Sub(_) => {}
    }
}
