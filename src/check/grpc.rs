//! The gRPC Health Checking Protocol: a request for a service, and what its answer says.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// The path of the method.
pub const PATH: &str = "/grpc.health.v1.Health/Check";
/// `SERVING`.
const SERVING: u64 = 1;

/// The message that asks for a service; an empty name asks for the server as a whole.
pub fn question(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        push_varint(service.len() as u64, &mut message);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend_from_slice(&message);
    framed
}

fn push_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * at).min(63);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(at + 1..)?));
        }
    }
    None
}

/// The last `grpc-status` among fields.
pub fn status<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Option<u32> {
    let named = fields.filter(|(name, _)| name.eq_ignore_ascii_case(b"grpc-status")).map(|(_, value)| value);
    std::str::from_utf8(named.last()?).ok()?.parse().ok()
}

/// Whether a server with this status and this body is healthy; `good` is another status that says so.
pub fn is_healthy(status: Option<u32>, body: &[u8], good: Option<u32>) -> bool {
    match (status, good) {
        (None, _) => false,
        (Some(status), Some(good)) if status == good => true,
        (Some(0), _) => serving(body),
        (Some(_), _) => false,
    }
}

/// Whether a message says `SERVING`.
fn serving(framed: &[u8]) -> bool {
    let Some((prefix, rest)) = framed.split_first_chunk::<5>() else { return false };
    let [compressed, length @ ..] = *prefix;
    let Some(mut message) = rest.get(..u32::from_be_bytes(length) as usize).filter(|_| compressed == 0) else {
        return false;
    };
    let mut found = 0;
    while let Some((tag, rest)) = varint(message) {
        let skipped = match tag & 7 {
            0 => varint(rest).map(|(value, rest)| {
                found = if tag >> 3 == 1 { value } else { found };
                rest
            }),
            1 => rest.get(8..),
            2 => varint(rest).and_then(|(length, rest)| rest.get(usize::try_from(length).ok()?..)),
            5 => rest.get(4..),
            _ => None,
        };
        match skipped {
            Some(rest) => message = rest,
            None => return false,
        }
    }
    message.is_empty() && found == SERVING
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_its_service() {
        assert_eq!(question(""), [0, 0, 0, 0, 0]);
        assert_eq!(question("a.B"), [0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B']);
        assert_eq!(question(&"x".repeat(200)).get(..8), Some(&[0, 0, 0, 0, 203, 0x0a, 0xc8, 1][..]));
    }

    #[test]
    fn only_serving_is_healthy() {
        let serving: &[u8] = &[0, 0, 0, 0, 2, 8, 1];
        let fields: [(&[u8], &[u8]); 2] = [(b"grpc-status", b"12"), (b"Grpc-Status", b"0")];
        assert_eq!((status(fields.into_iter()), status([].into_iter())), (Some(0), None));
        assert!(is_healthy(Some(0), serving, None) && is_healthy(Some(12), b"", Some(12)));
        // Fields this side does not know are passed over.
        assert!(is_healthy(Some(0), &[0, 0, 0, 0, 6, 0x12, 2, 1, 1, 8, 1], None));
        for (status, body, good) in [
            (None, serving, None),
            (Some(5), serving, None),
            (Some(12), serving, None),
            (Some(0), &[0, 0, 0, 0, 2, 8, 2][..], Some(12)),
            (Some(0), &[0, 0, 0, 0, 0], None),
            (Some(0), &[1, 0, 0, 0, 2, 8, 1], None),
            (Some(0), &[0, 0, 0, 0, 9, 8, 1], None),
            (Some(0), &[0, 0, 0, 0, 2, 8, 0x80], None),
            (Some(0), b"", None),
        ] {
            assert!(!is_healthy(status, body, good), "{status:?} {body:?} {good:?}");
        }
    }
}
