//! The trailer behind an advert that `auth_hmac` protects: HMAC-SHA256 (RFC 2104) truncated to 128 bits, and a 64-bit
//! sequence made of the time of day, against replay.
//!
//! ```text
//!  kind   key id   zero       seconds since 1970        1/2^16 s   counter     HMAC
//!  1 byte 1 byte   2 bytes    4 bytes                   2 bytes    2 bytes     16 bytes
//! ```
//! The hash covers a pseudo header (family, version, VRID, source), the advert with a checksum of zero, and the trailer
//! with a hash of zero. The destination is not covered, so every peer gets the same trailer. The advert's own checksum
//! does not cover the trailer over IPv4; over IPv6 the kernel's does.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::vrrp::config::Version;
use crate::vrrp::refusal::Refusal;
use aws_lc_rs::hmac;
use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// The bytes of a trailer.
pub const TRAILER: usize = 28;
/// The bytes of a trailer before its hash.
const PREFIX: usize = 12;
/// The only kind there is: HMAC-SHA256 truncated to 128 bits.
const KIND: u8 = 1;
/// Where the checksum of an advert is.
const CHECKSUM_AT: usize = 6;
/// Multicast senders whose sequences are remembered: more than one is master of a virtual router only for a moment.
const SENDERS: usize = 4;

/// What is done with and without a trailer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Trailers are judged, and none is sent; adverts without one are accepted.
    ReceiveOnly,
    /// Trailers are judged and sent; adverts without one are accepted.
    Permissive,
    /// Trailers are demanded.
    #[default]
    Enforce,
}

impl Mode {
    /// keepalived's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ReceiveOnly => "receive-only",
            Self::Permissive => "permissive",
            Self::Enforce => "enforce",
        }
    }
}

/// A key.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Its number on the wire.
    pub id: u8,
    /// 32 to 64 bytes.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, …)", self.id)
    }
}

/// How adverts are protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hmac {
    /// The keys that are accepted.
    pub keys: Vec<Key>,
    /// The number of the key that signs.
    pub active: u8,
    /// What is done with and without a trailer.
    pub mode: Mode,
    /// How many seconds the clocks of two routers may be apart; `None` where sequences need only grow.
    pub window: Option<u32>,
}

/// The advert a trailer belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// Its version.
    pub version: Version,
    /// Its virtual router.
    pub vrid: u8,
    /// Its sender.
    pub source: IpAddr,
    /// Its bytes.
    pub advert: &'a [u8],
}

/// The greatest sequence of each sender, the one heard last at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Senders(VecDeque<(IpAddr, u64)>);

/// The sequence that a time of day, as the time since 1970, stands for.
pub fn clock(since: Duration) -> u64 {
    let fraction = (u64::from(since.subsec_nanos()) << 16) / 1_000_000_000;
    (since.as_secs() & u64::from(u32::MAX)) << 32 | fraction << 16
}

/// Whether a sequence follows another one (RFC 1982).
const fn follows(sequence: u64, other: u64) -> bool {
    sequence.wrapping_sub(other) as i64 > 0
}

/// How many seconds a sequence is behind a clock.
const fn skew(clock: u64, sequence: u64) -> i32 {
    ((clock >> 32) as u32).wrapping_sub((sequence >> 32) as u32) as i32
}

impl Hmac {
    /// The bytes behind each advert that is sent.
    pub const fn trailer_length(&self) -> usize {
        match self.mode {
            Mode::ReceiveOnly => 0,
            Mode::Permissive | Mode::Enforce => TRAILER,
        }
    }

    /// The key of a number.
    pub fn key(&self, id: u8) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Whether two times in seconds are too far apart.
    fn is_outside(&self, skew: i32) -> bool {
        self.window.is_some_and(|window| skew.unsigned_abs() > window)
    }

    /// The sequence of the next advert: that of the clock, or one more than the last where the clock has not moved on.
    /// After a step back of the clock by more than the window it begins again at the clock, or no receiver would accept it.
    pub fn next(&self, last: u64, clock: u64) -> u64 {
        let ahead = self.window.is_some_and(|window| i64::from(skew(last, clock)) > i64::from(window));
        if follows(clock, last) || ahead { clock } else { last.wrapping_add(1) }
    }

    /// The trailer of an advert; none where none is sent.
    pub fn trailer(&self, signed: &Signed<'_>, sequence: u64) -> Option<[u8; TRAILER]> {
        let key = self.key(self.active).filter(|_| self.mode != Mode::ReceiveOnly)?;
        let mut trailer = [0; TRAILER];
        (trailer[0], trailer[1]) = (KIND, key.id);
        trailer[4..PREFIX].copy_from_slice(&sequence.to_be_bytes());
        let value = hash(key, signed, &trailer);
        trailer[PREFIX..].copy_from_slice(&value);
        Some(trailer)
    }

    /// Judges the trailer of an advert that came at `clock`, and remembers its sequence; how far the sender's clock is
    /// away where that is more than half of the window.
    ///
    /// # Errors
    /// The first check it does not pass.
    pub fn judge(
        &self,
        signed: &Signed<'_>,
        trailer: &[u8; TRAILER],
        (clock, unicast): (u64, bool),
        senders: &mut Senders,
    ) -> Result<Option<i32>, Refusal> {
        let source = signed.source;
        let [kind, id, zero @ ..] = trailer;
        let sequence =
            zero.get(2..10).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u64::from_be_bytes(*bytes));
        if *kind != KIND || zero.first_chunk() != Some(&[0, 0]) {
            return Err(Refusal::Trailer { source });
        }
        // Before the costly hash: an old advert that is sent again costs nothing.
        let skew = skew(clock, sequence);
        if self.is_outside(skew) {
            return Err(Refusal::Stale { source, skew, window: self.window.unwrap_or_default() });
        }
        let key = self.key(*id).ok_or(Refusal::Key { source, id: *id })?;
        let expected = hash(key, signed, trailer);
        // Every byte is compared, so that the time tells nothing.
        let received = trailer.iter().skip(PREFIX);
        if expected.iter().zip(received).fold(0, |sum, (a, b)| sum | (a ^ b)) != 0 {
            return Err(Refusal::Hash { source });
        }
        if !senders.admit(source, sequence, unicast, |last| self.is_outside(self::skew(clock, last))) {
            return Err(Refusal::Repeated { source });
        }
        let warns = self.window.is_some_and(|window| skew.unsigned_abs() > window / 2);
        Ok(warns.then_some(skew))
    }
}

impl Senders {
    /// Whether a sequence follows the sender's last one; then it is remembered. A last one that `expired` names counts as
    /// none: after its clock was set back, a sender begins again.
    fn admit(&mut self, source: IpAddr, sequence: u64, unicast: bool, expired: impl Fn(u64) -> bool) -> bool {
        let known = self.0.iter().position(|(sender, _)| *sender == source);
        if known.and_then(|at| self.0.get(at)).is_some_and(|(_, last)| !expired(*last) && !follows(sequence, *last)) {
            return false;
        }
        match known {
            Some(at) => drop(self.0.remove(at)),
            // Unicast peers are those of the configuration, so there cannot be too many.
            None if !unicast && self.0.len() >= SENDERS => drop(self.0.pop_front()),
            None => {}
        }
        self.0.push_back((source, sequence));
        true
    }
}

/// The truncated hash over an advert and the beginning of its trailer.
fn hash(key: &Key, signed: &Signed<'_>, trailer: &[u8; TRAILER]) -> [u8; TRAILER - PREFIX] {
    let mut pseudo = [0; 20];
    (pseudo[1], pseudo[2]) = (signed.version.number(), signed.vrid);
    match signed.source {
        IpAddr::V4(source) => {
            pseudo[0] = 4;
            pseudo[4..8].copy_from_slice(&source.octets());
        }
        IpAddr::V6(source) => {
            pseudo[0] = 6;
            pseudo[4..].copy_from_slice(&source.octets());
        }
    }
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key.bytes));
    let (before, behind) = signed.advert.split_at(CHECKSUM_AT.min(signed.advert.len()));
    let prefix = trailer.first_chunk::<PREFIX>().map_or(&[][..], |prefix| prefix);
    let parts = [&pseudo, before, &[0; 2], behind.get(2..).unwrap_or_default(), prefix, &[0; TRAILER - PREFIX]];
    parts.iter().for_each(|part| context.update(part));
    let mut value = [0; TRAILER - PREFIX];
    value.iter_mut().zip(context.sign().as_ref()).for_each(|(slot, byte)| *slot = *byte);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The wire images of the draft's appendix: key 00..1f, VRID 51, priority 200.
    const IMAGES: [(&str, &str); 2] = [
        ("198.51.100.10", "3133c80100644402c00002640101000068000000800000001b84bc4e8e43892dc6d98448f8ee2265"),
        (
            "fe80::10",
            "3133c8010064a2e9fe800000000000000000000000000100010100006800000080000000c8c56146ebfd66ee10ec4d8186461b78",
        ),
    ];

    fn settings(window: Option<u32>) -> Hmac {
        Hmac { keys: vec![Key { id: 1, bytes: (0..32).collect() }], active: 1, mode: Mode::Enforce, window }
    }

    fn image(hex: &str) -> (Vec<u8>, [u8; TRAILER]) {
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let (advert, trailer) = bytes.split_last_chunk().unwrap();
        (advert.to_vec(), *trailer)
    }

    fn signed(source: &str, advert: &'static [u8]) -> Signed<'static> {
        Signed { version: Version::V3, vrid: 51, source: source.parse().unwrap(), advert }
    }

    fn judged(hmac: &Hmac, signed: &Signed<'_>, trailer: &[u8; TRAILER], clock: u64) -> Result<Option<i32>, String> {
        let outcome = hmac.judge(signed, trailer, (clock, false), &mut Senders::default());
        outcome.map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn the_images_of_the_draft_are_made_and_accepted() {
        for (source, hex) in IMAGES {
            let (advert, trailer) = image(hex);
            let hmac = settings(None);
            let signed = Signed { version: Version::V3, vrid: 51, source: source.parse().unwrap(), advert: &advert };
            assert_eq!(hmac.trailer(&signed, 0x6800_0000_8000_0000), Some(trailer));
            assert_eq!(judged(&hmac, &signed, &trailer, 0), Ok(None));
            for at in 0..advert.len() {
                let mut changed = advert.clone();
                changed[at] ^= 1;
                let outcome = judged(&hmac, &Signed { advert: &changed, ..signed }, &trailer, 0);
                // The checksum is not covered.
                assert_eq!(outcome.is_ok(), at == 6 || at == 7, "byte {at}: {outcome:?}");
            }
            for at in 0..TRAILER {
                let mut changed = trailer;
                changed[at] ^= 1;
                let words = match at {
                    0 | 2 | 3 => "malformed authentication trailer",
                    1 => "unknown authentication key id 0",
                    _ => "invalid authentication HMAC",
                };
                assert_eq!(judged(&hmac, &signed, &changed, 0), Err(format!("{words} from {source}")), "byte {at}");
            }
            let invalid = Err(format!("invalid authentication HMAC from {source}"));
            assert_eq!(judged(&hmac, &Signed { vrid: 52, ..signed }, &trailer, 0), invalid);
            assert_eq!(judged(&hmac, &Signed { version: Version::V2, ..signed }, &trailer, 0), invalid);
        }
    }

    #[test]
    fn a_clock_that_is_too_far_away_makes_a_trailer_stale() {
        let hmac = settings(Some(5));
        let signed = signed("192.0.2.1", &[0x31, 51, 100, 1, 0, 100, 0, 0, 192, 0, 2, 9]);
        let sent = clock(Duration::from_secs(1_000));
        let trailer = hmac.trailer(&signed, sent).unwrap();
        let at = |seconds| judged(&hmac, &signed, &trailer, clock(Duration::from_secs(seconds)));
        let stale = |skew| {
            let what = "stale authentication trailer from 192.0.2.1";
            Err(format!("{what}, clock skew {skew} sec exceeds window 5 sec"))
        };
        assert_eq!(
            [994, 995, 998, 1_002, 1_003, 1_005].map(at),
            [stale(-6), Ok(Some(-5)), Ok(None), Ok(None), Ok(Some(3)), Ok(Some(5))]
        );
        assert_eq!(at(1_006), stale(6));
    }

    #[test]
    fn a_sequence_that_was_seen_is_refused_until_it_is_outside_the_window() {
        let (hmac, mut senders) = (settings(Some(5)), Senders::default());
        let signed = signed("192.0.2.1", &[0x31, 51, 100, 1, 0, 100, 0, 0, 192, 0, 2, 9]);
        let mut hear = |source: &str, sequence: u64, clock: u64| {
            let signed = Signed { source: source.parse().unwrap(), ..signed };
            let trailer = hmac.trailer(&signed, sequence).unwrap();
            hmac.judge(&signed, &trailer, (clock, false), &mut senders).is_ok()
        };
        let at = |seconds| clock(Duration::from_secs(seconds));
        assert!(hear("192.0.2.1", at(100), at(100)));
        assert!(!hear("192.0.2.1", at(100), at(101)));
        assert!(!hear("192.0.2.1", at(99), at(101)));
        assert!(hear("192.0.2.2", at(99), at(101)));
        assert!(hear("192.0.2.1", at(100) + 1, at(101)));
        // The sender's clock, and the receiver's, were set back.
        assert!(hear("192.0.2.1", at(50), at(50)));
        // A fifth sender takes the place of the one heard longest ago.
        assert!(["192.0.2.3", "192.0.2.4", "192.0.2.5"].into_iter().all(|source| hear(source, at(50), at(50))));
        assert!(!hear("192.0.2.1", at(50), at(50)));
        assert!(hear("192.0.2.2", at(50), at(50)));
    }

    #[test]
    fn sequences_grow_whatever_the_clock_does() {
        let (timed, growing) = (settings(Some(5)), settings(None));
        let at = |seconds| clock(Duration::from_secs(seconds));
        assert_eq!(timed.next(0, at(100)), at(100));
        assert_eq!(timed.next(at(100), at(100)), at(100) + 1);
        assert_eq!(timed.next(at(100), at(95)), at(100) + 1);
        assert_eq!(timed.next(at(100), at(94)), at(94));
        assert_eq!(growing.next(at(100), at(1)), at(100) + 1);
        assert_eq!(clock(Duration::new(1, 500_000_000)), 0x1_8000_0000);
        assert!(follows(1, u64::MAX) && !follows(u64::MAX, 1));
    }
}
