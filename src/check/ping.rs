//! `PING_CHECK`: a server that answers an echo request (RFC 792, RFC 4443) is up.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::report::Words;

/// What is said of its results.
pub const WORDS: Words = Words {
    good: "ICMP connection to {rs} success.",
    bad: "ICMP CHECK on service {rs} failed.",
    bad_after: "ICMP CHECK on service {rs} of {vs} failed after {n} retries.",
    good_mail: "=> ICMP CHECK succeed on service <=",
    bad_mail: "=> ICMP CHECK failed on service <=",
    retries_when_down: false,
};

/// What is said of an attempt without an answer.
pub const SILENCE: &str = "ICMP connection to address {rs} timeout.";
/// What is said of an attempt that failed in another way.
pub const FAILURE: &str = "ICMP connection to {rs} of {vs} failed.";

/// The longest answer that is looked at.
pub const LONGEST: usize = 8 + DATA;
/// The bytes behind the header.
const DATA: usize = 128;

/// An echo request; the kernel sets identifier and checksum.
pub fn request(ipv6: bool, sequence: u16) -> Vec<u8> {
    let text = b"keepalived check - ";
    let [high, low] = sequence.to_be_bytes();
    let mut packet = vec![if ipv6 { 128 } else { 8 }, 0, 0, 0, 0, 0, high, low];
    packet.extend(text.iter().cycle().take(DATA));
    packet
}

/// Whether a packet is an answer; what is said where it is none.
///
/// # Errors
/// It is none.
pub fn answer(packet: &[u8], ipv6: bool) -> Result<(), String> {
    let version = if ipv6 { "ICMPv6" } else { "ICMP" };
    match packet.first() {
        Some(kind) if packet.len() >= 8 => {
            let reply = if ipv6 { 129 } else { 0 };
            if *kind == reply { Ok(()) } else { Err(format!("Got {version} packet with type 0x{kind:x}")) }
        }
        _ => Err(format!("Error, got short {version} packet, {} bytes", packet.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_echo_replies_are_answers() {
        assert_eq!(request(false, 0x0102).get(..8), Some(&[8, 0, 0, 0, 0, 0, 1, 2][..]));
        assert_eq!(answer(&[0; 8], false), Ok(()));
        assert_eq!(answer(&[129, 0, 0, 0, 0, 0, 0, 0], true), Ok(()));
        assert_eq!(answer(&[3; 8], false), Err("Got ICMP packet with type 0x3".to_owned()));
        assert_eq!(answer(&[0; 3], true), Err("Error, got short ICMPv6 packet, 3 bytes".to_owned()));
    }
}
