//! Sizes, times, numbers and networks as configurations write them.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use nom::bytes::complete::take_while1;
use nom::character::complete::{char, digit1, one_of};
use nom::combinator::{all_consuming, map_opt, opt};
use nom::sequence::{pair, preceded, terminated};
use nom::{IResult, Parser};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

fn number_of(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

fn unsigned(input: &[u8]) -> IResult<&[u8], u64> {
    map_opt(digit1, number_of).parse(input)
}

/// A decimal number and nothing else.
pub fn number(text: &[u8]) -> Option<u64> {
    all_consuming(unsigned)
        .parse(text)
        .ok()
        .map(|(_, value): (_, u64)| value)
        .filter(|value| i64::try_from(*value).is_ok())
}

/// A decimal number with up to `places` places, in units of the last place (`ngx_atofp`).
pub fn fixed_point(text: &[u8], places: u32) -> Option<u64> {
    let parts = pair(unsigned, opt(preceded(char('.'), opt(digit1))));
    let (_, (whole, fraction)) = all_consuming(parts).parse(text).ok()?;
    let fraction: &[u8] = fraction.flatten().unwrap_or_default();
    let missing = places.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    let low = if fraction.is_empty() { 0 } else { number_of(fraction)? };
    whole.checked_mul(10_u64.checked_pow(places)?)?.checked_add(low.checked_mul(10_u64.checked_pow(missing)?)?)
}

/// Bytes: digits and `k` or `m`; with `giga`, also `g` (`ngx_parse_size`, `ngx_parse_offset`).
pub fn size(text: &[u8], giga: bool) -> Option<u64> {
    let (_, (value, unit)) = all_consuming(pair(unsigned, opt(one_of("kKmMgG")))).parse(text).ok()?;
    let scale = match unit {
        None => 1,
        Some('k' | 'K') => 1 << 10,
        Some('m' | 'M') => 1 << 20,
        Some(_) if giga => 1 << 30,
        Some(_) => return None,
    };
    value.checked_mul(scale).filter(|bytes| i64::try_from(*bytes).is_ok())
}

/// A time: `1d 2h 30m 10s 500ms`, units falling, a bare number last. `seconds` refuses `ms` (`ngx_parse_time`).
pub fn time(text: &[u8], seconds: bool) -> Option<Duration> {
    let unit = take_while1(|byte: u8| byte.is_ascii_alphabetic());
    let mut part = terminated(pair(unsigned, opt(unit)), opt(take_while1(|byte| byte == b' ')));
    let mut rest = text;
    let mut total = 0_u64;
    // Years and months belong to times in seconds only.
    let mut last = if seconds { 0 } else { 2 };
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (after, (value, unit)) = part.parse(rest).ok()?;
        let (rank, scale) = match unit.unwrap_or(b"s") {
            b"y" => (1, 31_536_000_000),
            b"M" => (2, 2_592_000_000),
            b"w" => (3, 604_800_000),
            b"d" => (4, 86_400_000),
            b"h" => (5, 3_600_000),
            b"m" => (6, 60_000),
            b"s" => (7, 1_000),
            b"ms" if !seconds => (8, 1),
            _ => return None,
        };
        if rank <= last || (unit.is_none() && !after.is_empty()) {
            return None;
        }
        last = rank;
        total = total.checked_add(value.checked_mul(scale)?)?;
        rest = after;
    }
    (total / 1000 < i64::MAX as u64).then(|| Duration::from_millis(total))
}

/// A network of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The address, host bits cleared.
    pub address: IpAddr,
    /// How many leading bits count.
    pub bits: u8,
}

impl Network {
    /// Its first address.
    pub fn first(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(ip) => IpAddr::V4(masked4(ip, self.bits)),
            IpAddr::V6(ip) => IpAddr::V6(masked6(ip, self.bits)),
        }
    }

    /// Whether `address` lies in the network. An IPv4-mapped IPv6 address is taken as IPv4.
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => masked4(ip, self.bits) == net,
            (IpAddr::V6(net), IpAddr::V6(ip)) => masked6(ip, self.bits) == net,
            _ => false,
        }
    }
}

/// An IPv4 address as nginx reads it: four decimal numbers, leading zeros and missing digits allowed.
pub fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = text.split(|byte| *byte == b'.');
    for octet in &mut octets {
        *octet = parts.next()?.iter().try_fold(0_u8, |sum, byte| {
            let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
            sum.checked_mul(10)?.checked_add(digit)
        })?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

/// An IPv4 or IPv6 address.
pub fn ip(text: &[u8]) -> Option<IpAddr> {
    let v6 = || std::str::from_utf8(text).ok()?.parse().map(IpAddr::V6).ok();
    ipv4(text).map(IpAddr::V4).or_else(v6)
}

/// An address with or without `/bits` or (IPv4) `/mask`; the flag tells that host bits were set (`ngx_ptocidr`).
pub fn network(text: &[u8]) -> Option<(Network, bool)> {
    let text = std::str::from_utf8(text).ok()?;
    let (address, mask) = match text.split_once('/') {
        Some((address, mask)) => (ip(address.as_bytes())?, Some(mask)),
        None => (ip(text.as_bytes())?, None),
    };
    let bits = match (address, mask) {
        (IpAddr::V4(_), None) => 32,
        (IpAddr::V6(_), None) => 128,
        (IpAddr::V4(_), Some(mask)) => prefix4(mask)?,
        (IpAddr::V6(_), Some(mask)) => mask.parse().ok().filter(|bits| *bits <= 128)?,
    };
    let clean = match address {
        IpAddr::V4(ip) => IpAddr::V4(masked4(ip, bits)),
        IpAddr::V6(ip) => IpAddr::V6(masked6(ip, bits)),
    };
    Some((Network { address: clean, bits }, clean != address))
}

fn prefix4(mask: &str) -> Option<u8> {
    mask.parse::<u8>().ok().filter(|bits| *bits <= 32)
}

fn masked4(ip: Ipv4Addr, bits: u8) -> Ipv4Addr {
    let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or_default();
    Ipv4Addr::from_bits(ip.to_bits() & mask)
}

fn masked6(ip: Ipv6Addr, bits: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or_default();
    Ipv6Addr::from_bits(ip.to_bits() & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_add_up_from_large_units_to_small() {
        assert_eq!(time(b"1h 30m", false), Some(Duration::from_secs(5400)));
        assert_eq!(time(b"60", false), Some(Duration::from_secs(60)));
        assert_eq!(time(b"1s500ms", false), Some(Duration::from_millis(1500)));
        assert_eq!(time(b"500ms", true), None);
        assert_eq!((time(b"30m1h", false), time(b"", false), time(b"1x", false)), (None, None, None));
    }

    #[test]
    fn sizes_have_their_units() {
        assert_eq!(
            (size(b"3M", false), size(b"8k", false), size(b"1g", true)),
            (Some(3 << 20), Some(8192), Some(1 << 30))
        );
        assert_eq!((size(b"1g", false), size(b"", false), size(b"-1", false)), (None, None, None));
        assert_eq!((fixed_point(b"1.5", 2), fixed_point(b"1.555", 2), fixed_point(b".5", 2)), (Some(150), None, None));
    }

    #[test]
    fn addresses_are_read_as_nginx_reads_them() {
        let v4 = |text: &str| ipv4(text.as_bytes()).map(|ip| ip.to_string());
        assert_eq!(v4("01.2.003.4").as_deref(), Some("1.2.3.4"));
        assert_eq!(v4("10..1.").as_deref(), Some("10.0.1.0"));
        for odd in ["1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.4 ", "a.b.c.d", ""] {
            assert_eq!(v4(odd), None, "{odd}");
        }
        assert_eq!(ip(b"::1").map(|ip| ip.to_string()).as_deref(), Some("::1"));
        assert_eq!(network(b"010.0.0.0/8").map(|(net, _)| net.address.to_string()).as_deref(), Some("10.0.0.0"));
    }

    #[test]
    fn networks_tell_of_host_bits() {
        let (net, odd) = network(b"10.0.0.1/8").expect("a network");
        assert!(odd && net.holds("10.9.9.9".parse().expect("ip")) && !net.holds("11.0.0.1".parse().expect("ip")));
        assert!(network(b"::1/129").is_none() && network(b"0.0.0.0/0").is_some());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_valued_without_a_panic(text: Vec<u8>) {
            let _ = (number(&text), fixed_point(&text, 3), size(&text, true), time(&text, false), network(&text));
        }
    }
}
