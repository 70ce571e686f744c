//! `ip_hash`: three bytes of an IPv4 address or all sixteen of an IPv6 one, hashed as nginx does it.
//!
//! A server that cannot be asked sends the client on by hashing again, twenty times at most; then round robin.

use super::round_robin;
use super::view::{Pick, View};
use std::net::IpAddr;

/// Where nginx's hash begins.
pub const SEED: u32 = 89;

/// What of an address counts, in the first bytes, and how many.
pub fn bytes(client: Option<IpAddr>) -> ([u8; 16], u8) {
    match client {
        Some(IpAddr::V4(ip)) => {
            let [a, b, c, _] = ip.octets();
            let mut bytes = [0; 16];
            bytes[..3].copy_from_slice(&[a, b, c]);
            (bytes, 3)
        }
        Some(IpAddr::V6(ip)) => (ip.octets(), 16),
        None => ([0; 16], 3),
    }
}

/// The next peer of the set.
pub fn choose(view: &mut View<'_>, pick: &mut Pick) -> Option<usize> {
    if pick.hash.tries > 20 || view.set.single || view.set.total_weight == 0 {
        return round_robin::choose(view, &mut pick.tried);
    }
    let mut hash = pick.hash.value;
    loop {
        let (bytes, count) = pick.hash.address;
        for byte in bytes.iter().take(usize::from(count)) {
            hash = (hash * 113 + u32::from(*byte)) % 6271;
        }
        let index = view.set.at_weight(u64::from(hash) % view.set.total_weight);
        if view.is_free(index, &pick.tried) {
            pick.hash.value = hash;
            view.ask(index, &mut pick.tried);
            return Some(index);
        }
        pick.hash.tries += 1;
        if pick.hash.tries > 20 {
            return round_robin::choose(view, &mut pick.tried);
        }
    }
}
