//! What a virtual router counts, by keepalived's names.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::refusal::Refusal;

/// Adverts that were refused for their trailer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrailerErrors {
    /// There was none.
    pub missing: u64,
    /// Of no known kind.
    pub malformed: u64,
    /// No key had its number.
    pub unknown_key: u64,
    /// The hash of another key.
    pub invalid_hmac: u64,
    /// Its time was too far away.
    pub stale: u64,
    /// Its sequence was seen before.
    pub replayed: u64,
}

/// What a router has counted, by keepalived's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that were adverts of our kind, whatever their addresses and sender.
    pub received: u64,
    /// Adverts sent.
    pub sent: u64,
    /// Times it became master.
    pub became_master: u64,
    /// Times it stopped being master.
    pub released_master: u64,
    /// Packets of a wrong length.
    pub length: u64,
    /// Packets that crossed a router.
    pub ttl: u64,
    /// Packets that were no adverts.
    pub invalid_type: u64,
    /// Adverts in another rhythm.
    pub interval: u64,
    /// Adverts about other addresses.
    pub address_list: u64,
    /// Unknown authentication types.
    pub auth_invalid: u64,
    /// Other authentication types than ours.
    pub auth_mismatch: u64,
    /// Wrong passwords.
    pub auth_failure: u64,
    /// What was wrong with trailers.
    pub trailers: TrailerErrors,
    /// Adverts of priority zero received.
    pub zero_received: u64,
    /// Adverts of priority zero sent.
    pub zero_sent: u64,
}

impl Counters {
    /// Counts a packet that was refused.
    pub fn refuse(&mut self, refusal: &Refusal) {
        match refusal {
            Refusal::Packet { .. } | Refusal::Short { .. } | Refusal::Long { .. } => self.length += 1,
            Refusal::Hops { .. } | Refusal::Range { .. } => self.ttl += 1,
            Refusal::Type { .. } => self.invalid_type += 1,
            Refusal::Interval { .. } => self.interval += 1,
            Refusal::Count { .. } | Refusal::Address { .. } | Refusal::Kind { .. } => self.address_list += 1,
            Refusal::AuthenticationType { .. } => self.auth_invalid += 1,
            Refusal::AuthenticationMismatch { .. } | Refusal::Header { .. } => self.auth_mismatch += 1,
            Refusal::Password | Refusal::CheckValue | Refusal::Index { .. } | Refusal::Replayed { .. } => {
                self.auth_failure += 1;
            }
            Refusal::NoTrailer { .. } => self.trailers.missing += 1,
            Refusal::Trailer { .. } => self.trailers.malformed += 1,
            Refusal::Key { .. } => self.trailers.unknown_key += 1,
            Refusal::Hash { .. } => self.trailers.invalid_hmac += 1,
            Refusal::Stale { .. } => self.trailers.stale += 1,
            Refusal::Repeated { .. } => self.trailers.replayed += 1,
            Refusal::Version { .. }
            | Refusal::Stranger { .. }
            | Refusal::Checksum { .. }
            | Refusal::Peer { .. }
            | Refusal::Owner { .. }
            | Refusal::Foreign => {}
        }
        // keepalived counts an advert before it compares addresses and peers.
        self.received += u64::from(refusal.is_advert());
    }
}
