//! MQTT as a check: a broker that answers CONNECT with CONNACK is healthy (MQTT 3.1.1 §3.1, §3.2).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// CONNECT of MQTT 3.1.1: a clean session without a name, alive for ten seconds.
pub const CONNECT: [u8; 14] = [0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 10, 0, 0];
/// DISCONNECT, after which a broker publishes no will.
pub const DISCONNECT: [u8; 2] = [0xe0, 0];

/// What a broker has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// More is needed.
    Partial,
    /// A CONNACK with this return code; 0 accepts the connection.
    Connack(u8),
    /// Something else.
    Invalid,
}

/// Judges the bytes that have come.
pub fn answer(bytes: &[u8]) -> Answer {
    match bytes {
        [0x20, 2, 0 | 1, code, ..] => Answer::Connack(*code),
        [] | [0x20] | [0x20, 2] | [0x20, 2, 0 | 1] => Answer::Partial,
        _ => Answer::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_connack_is_an_answer() {
        assert_eq!(CONNECT.len() - 2, usize::from(CONNECT[1]));
        let whole = [0x20, 2, 0, 5];
        for count in 0..whole.len() {
            assert_eq!(answer(&whole[..count]), Answer::Partial);
        }
        assert_eq!(answer(&whole), Answer::Connack(5));
        assert_eq!(answer(&[0x20, 2, 1, 0, 9]), Answer::Connack(0));
        for bytes in [&[0x30_u8][..], &[0x20, 3], &[0x20, 2, 2], b"HTTP/1.1 400"] {
            assert_eq!(answer(bytes), Answer::Invalid, "{bytes:?}");
        }
    }
}
