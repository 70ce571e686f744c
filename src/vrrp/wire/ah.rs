//! The authentication header before an advert (RFC 2402), as keepalived uses it: HMAC-MD5-96 (RFC 2403) with the
//! password as key, and the sender's address as index.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::vrrp::refusal::Refusal;
use md5::{Digest, Md5};

/// The IP protocol number of authentication headers.
pub const PROTOCOL: u8 = 51;
/// The bytes of one.
pub const HEADER: usize = 24;
/// The check value, truncated.
const VALUE: usize = 12;
/// Where it is.
const VALUE_AT: usize = 12;
/// The bytes MD5 works on at a time.
const BLOCK: usize = 64;
/// The length of the header in words of four bytes, less two (RFC 2402 §2.2).
const WORDS: u8 = 4;
/// No greater number is sent: a receiver could not take the next one.
const LAST: u32 = 0xffff_fffd;

/// A header that was received, and what its check value covers before the advert itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ah {
    /// The IP header and this one, as they came.
    covered: Vec<u8>,
    /// The bytes of the IP header.
    ip: usize,
}

impl Ah {
    /// The header that begins at `ip` in a packet; `None` where it is cut short.
    pub fn read(packet: &[u8], ip: usize) -> Option<Self> {
        Some(Self { covered: packet.get(..ip.checked_add(HEADER)?)?.to_vec(), ip })
    }

    fn field(&self, at: usize) -> u32 {
        let bytes = self.covered.get(self.ip + at..).and_then(|bytes| bytes.first_chunk());
        bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
    }

    /// Its number, one more with each advert.
    pub fn sequence(&self) -> u32 {
        self.field(8)
    }

    /// Judges it for an advert `payload`, and keeps its number in `last`.
    ///
    /// # Errors
    /// The check it does not pass.
    pub fn judge(&self, payload: &[u8], key: &[u8], unicast: bool, last: &mut u32) -> Result<(), Refusal> {
        if self.covered.get(self.ip).copied() != Some(super::PROTOCOL) {
            return Err(Refusal::Foreign);
        }
        let mut covered = self.covered.clone();
        let value = self.ip + VALUE_AT;
        let received = covered.get(value..value + VALUE).unwrap_or_default().to_vec();
        covered.iter_mut().skip(value).for_each(|byte| *byte = 0);
        clear_mutable(&mut covered, unicast);
        let expected = hmac(key, &[&covered, payload]);
        // Every byte is compared, so that the time tells nothing.
        let differences = expected.iter().zip(&received).fold(0, |sum, (a, b)| sum | (a ^ b));
        if differences != 0 || received.len() != VALUE {
            return Err(Refusal::CheckValue);
        }
        let source = self.covered.get(12..16).and_then(|bytes| bytes.first_chunk());
        let (source, index) = (source.map_or(0, |bytes| u32::from_be_bytes(*bytes)), self.field(4));
        if source != index {
            return Err(Refusal::Index { received: source.swap_bytes(), expected: index.swap_bytes() });
        }
        let sequence = self.sequence();
        if sequence <= *last {
            return Err(Refusal::Replayed { sequence, last: *last });
        }
        *last = sequence;
        Ok(())
    }
}

/// The header for an advert `payload` behind the IP header `ip`.
pub fn header(ip: &[u8; 20], sequence: u32, (key, unicast): (&[u8], bool), payload: &[u8]) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    (header[0], header[1]) = (super::PROTOCOL, WORDS);
    header[4..8].copy_from_slice(&ip[12..16]);
    header[8..12].copy_from_slice(&sequence.to_be_bytes());
    let mut covered = ip.to_vec();
    clear_mutable(&mut covered, unicast);
    let value = hmac(key, &[&covered, &header, payload]);
    header[VALUE_AT..].copy_from_slice(&value);
    header
}

/// The number of the next advert.
pub const fn next(sequence: u32) -> u32 {
    if sequence > LAST { sequence } else { sequence + 1 }
}

/// Zeroes what may change on the way: the type of service, fragments, the checksum; the TTL only of unicast, as no router
/// passes the others on.
fn clear_mutable(ip: &mut [u8], unicast: bool) {
    let changes = [1, 6, 7, 10, 11].into_iter().chain(unicast.then_some(8));
    for at in changes {
        if let Some(byte) = ip.get_mut(at) {
            *byte = 0;
        }
    }
}

/// HMAC-MD5 (RFC 2104) over the parts, truncated to 96 bits.
fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; VALUE] {
    let mut block = [0_u8; BLOCK];
    block.iter_mut().zip(key).for_each(|(slot, byte)| *slot = *byte);
    let mut inner = Md5::new_with_prefix(block.map(|byte| byte ^ 0x36));
    parts.iter().for_each(|part| inner.update(part));
    let outer = Md5::new_with_prefix(block.map(|byte| byte ^ 0x5c)).chain_update(inner.finalize());
    let mut value = [0; VALUE];
    value.iter_mut().zip(outer.finalize()).for_each(|(slot, byte)| *slot = byte);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_2202_come_out() {
        let value = hmac(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(value, [0x75, 0x0c, 0x78, 0x3e, 0x6a, 0xb0, 0xb5, 0x03, 0xea, 0xa8, 0x6e, 0x31]);
        let value = hmac(&[0x0b; 16], &[b"Hi There"]);
        assert_eq!(value, [0x92, 0x94, 0x72, 0x7a, 0x36, 0x38, 0xbb, 0x1c, 0x13, 0xf4, 0x8e, 0xf8]);
    }
}
