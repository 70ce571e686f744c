//! Adverts on the wire: VRRPv2 (RFC 3768 §5) with keepalived's authentication, VRRPv3 (RFC 9568 §5), IPv4 headers.
//!
//! [`receive`] judges a packet whole, in keepalived's order of checks, before anything about the router may change.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use self::ah::Ah;
use super::config::{Authentication, Checksum, Config, Version};
use super::refusal::Refusal;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

pub mod ah;
pub mod hmac;

/// The IP protocol number of VRRP.
pub const PROTOCOL: u8 = 112;

/// The hop count every multicast advert carries (RFC 9568 §5.1.1.3).
pub const HOPS: u8 = 255;

/// The only packet type there is (RFC 9568 §5.2.2).
const ADVERTISEMENT: u8 = 1;

/// The authentication data behind a VRRPv2 packet over IPv4, always present.
const AUTHENTICATION: usize = 8;

/// The bytes of an IPv4 header without options, as ours are.
pub const IPV4_HEADER: usize = 20;

/// The fields before the addresses, both versions.
const HEAD: usize = 8;

/// A packet as the IP layer hands it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Who sent it.
    pub source: IpAddr,
    /// Where it was sent to; `None` when the socket does not tell.
    pub destination: Option<IpAddr>,
    /// Its TTL or hop limit on arrival.
    pub hops: u8,
    /// The bytes of IP header the socket handed up before the payload (none over IPv6); keepalived counts them as length.
    pub header: usize,
    /// The authentication header before the payload.
    pub ah: Option<Box<Ah>>,
    /// What follows the headers.
    pub payload: Vec<u8>,
    /// When it came, as a sequence of [`hmac::clock`].
    pub clock: u64,
}

/// What a router remembers against adverts that are sent again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The number of the last advert in an authentication header, sent or received.
    pub ah: u32,
    /// The greatest sequence of each sender of trailers.
    pub senders: hmac::Senders,
}

/// The numbers of an advert that is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// In its authentication header.
    pub ah: u32,
    /// In its trailer.
    pub hmac: u64,
}

/// An advert that passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advert {
    /// The sender's priority; 0 when it gives up.
    pub priority: u8,
    /// The sender's interval.
    pub interval: Duration,
    /// The addresses it stands for.
    pub addresses: Vec<IpAddr>,
    /// The number in its authentication header.
    pub sequence: Option<u32>,
    /// Its checksum covers the multicast group, not the address it was sent to.
    pub old_checksum: bool,
    /// The seconds its sender's clock is behind ours, where they are more than half of the window.
    pub skew: Option<i32>,
}

/// The virtual router a packet is about, before it is judged.
pub fn vrid(payload: &[u8]) -> Option<u8> {
    payload.get(1).copied()
}

/// The addresses a packet lists, of one family, whether or not it is an advert.
pub fn listed(payload: &[u8], ipv6: bool) -> Vec<IpAddr> {
    addresses(payload, payload.get(3).copied().map_or(0, usize::from), ipv6)
}

/// Judges a packet for the router `config` describes.
///
/// `trusted` tells that the sender is the master last seen, whose addresses `skip_check_adv_addr` neither counts nor compares;
/// `memory` is what was received so far.
///
/// # Errors
/// The first check, in keepalived's order, that the packet does not pass.
pub fn receive(datagram: &Datagram, config: &Config, trusted: bool, memory: &mut Memory) -> Result<Advert, Refusal> {
    let bytes = &datagram.payload;
    let head: [u8; HEAD] = bytes.first_chunk().copied().ok_or(Refusal::Packet { ipv6: true, length: bytes.len() })?;
    let expected = matches!(config.authentication, Authentication::Ah(_));
    if datagram.ah.is_some() != expected {
        return Err(Refusal::Header { expected });
    }
    let (bytes, trailer) = length(config, datagram, &head)?;
    if config.peers.is_empty() && datagram.hops != HOPS {
        return Err(Refusal::Hops { received: datagram.hops });
    }
    let version = head[0] >> 4;
    if version != config.version.number() {
        return Err(Refusal::Version { received: version, expected: config.version.number() });
    }
    let skew = protected(config, datagram, (bytes, trailer), &mut memory.senders)?;
    if config.version == Version::V2 {
        authenticate(config, head[4], datagram, &mut memory.ah)?;
        let (mine, theirs) = (config.interval.as_secs(), u64::from(head[5]));
        if mine != theirs {
            return Err(Refusal::Interval { mine, theirs });
        }
    }
    if head[0] & 0x0f != ADVERTISEMENT {
        return Err(Refusal::Type { received: head[0] & 0x0f });
    }
    let expected = config.advertised().count();
    let unseen = trusted && config.skip_check_adv_addr;
    if usize::from(head[3]) != expected && !unseen {
        return Err(Refusal::Count { received: head[3], expected });
    }
    let old_checksum = checksum_holds((datagram, bytes), config)?;
    kind(datagram, config)?;
    let addresses = addresses(bytes, usize::from(head[3]), config.is_ipv6());
    if !unseen {
        compare(config, &addresses)?;
        peer(datagram, config)?;
    }
    let interval = match config.version {
        Version::V2 => Duration::from_secs(u64::from(head[5])),
        Version::V3 => Duration::from_millis(u64::from(u16::from_be_bytes([head[4] & 0x0f, head[5]])) * 10),
    };
    let sequence = datagram.ah.as_ref().map(|ah| ah.sequence());
    Ok(Advert { priority: head[2], interval, addresses, sequence, old_checksum, skew })
}

/// The bytes of an advert from `source`.
///
/// An IPv6 advert's checksum is left zero: the kernel fills it in (`IPV6_CHECKSUM`).
pub fn emit(config: &Config, priority: u8, source: IpAddr, destination: IpAddr) -> Vec<u8> {
    let count = config.advertised().count().min(255) as u8;
    let mut bytes = vec![config.version.number() << 4 | ADVERTISEMENT, config.vrid, priority, count];
    match config.version {
        Version::V2 => {
            bytes.push(config.authentication.number());
            bytes.push(config.interval.as_secs().min(255) as u8);
        }
        Version::V3 => {
            let centiseconds = (config.interval.as_millis() / 10).min(0x0fff) as u16;
            bytes.extend(centiseconds.to_be_bytes());
        }
    }
    bytes.extend([0, 0]);
    for address in config.advertised().take(255) {
        match address {
            IpAddr::V4(address) => bytes.extend(address.octets()),
            IpAddr::V6(address) => bytes.extend(address.octets()),
        }
    }
    if config.version == Version::V2 && source.is_ipv4() {
        bytes.extend(config.authentication.data());
    }
    let sum = match (config.version, source, destination) {
        (Version::V2, IpAddr::V4(_), _) => checksum(&[&bytes]),
        (Version::V3, IpAddr::V4(_), _) if config.checksum == Checksum::WithoutAddresses => checksum(&[&bytes]),
        (Version::V3, IpAddr::V4(from), IpAddr::V4(to)) => {
            let to = if config.checksum.covers_group() { config.group } else { to };
            checksum(&[&pseudo_header(from, to, bytes.len()), &bytes])
        }
        (Version::V2 | Version::V3, _, _) => 0,
    };
    if let Some(slot) = bytes.get_mut(6..8) {
        slot.copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

/// An advert with its trailer, where there is one.
pub fn signed(config: &Config, priority: u8, (source, destination): (IpAddr, IpAddr), sequence: u64) -> Vec<u8> {
    let mut bytes = emit(config, priority, source, destination);
    if let Some(hmac) = &config.hmac {
        let signed = hmac::Signed { version: config.version, vrid: config.vrid, source, advert: &bytes };
        let trailer = hmac.trailer(&signed, sequence);
        bytes.extend(trailer.iter().flatten());
    }
    bytes
}

/// An IPv4 packet with an advert: its header, the authentication header where there is one, and the advert.
pub fn ipv4_advert(
    config: &Config,
    priority: u8,
    (source, destination): (Ipv4Addr, Ipv4Addr),
    (ttl, id, numbers): (u8, u16, Numbers),
) -> Vec<u8> {
    let payload = signed(config, priority, (source.into(), destination.into()), numbers.hmac);
    let Authentication::Ah(key) = &config.authentication else {
        return [&ipv4_header(source, destination, (PROTOCOL, ttl, id), payload.len()), payload.as_slice()].concat();
    };
    let mut ip = ipv4_header(source, destination, (ah::PROTOCOL, ttl, id), ah::HEADER + payload.len());
    let header = ah::header(&ip, numbers.ah, (key, !config.peers.is_empty()), &payload);
    // The kernel fills it in.
    (ip[10], ip[11]) = (0, 0);
    [ip.as_slice(), &header, &payload].concat()
}

/// An advert as a router on the other side of the wire gets it.
pub fn datagram(
    config: &Config,
    priority: u8,
    (source, destination): (IpAddr, IpAddr),
    (hops, numbers): (u8, Numbers),
) -> Option<Datagram> {
    let datagram = match (source, destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            ipv4_packet(&ipv4_advert(config, priority, (from, to), (hops, 1, numbers)))
        }
        _ => {
            let payload = signed(config, priority, (source, destination), numbers.hmac);
            ipv6_payload((source, Some(destination)), hops, payload)
        }
    };
    Some(Datagram { clock: numbers.hmac, ..datagram.ok()? })
}

/// The IPv4 header before an advert of `length` bytes: TOS 0xc0, no fragment flags; the kernel fills in the checksum.
pub fn ipv4_header(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    (protocol, ttl, id): (u8, u8, u16),
    length: usize,
) -> [u8; 20] {
    let total = (20 + length).min(usize::from(u16::MAX)) as u16;
    let [l0, l1] = total.to_be_bytes();
    let [i0, i1] = id.to_be_bytes();
    let [s0, s1, s2, s3] = source.octets();
    let [d0, d1, d2, d3] = destination.octets();
    let mut header = [0x45, 0xc0, l0, l1, i0, i1, 0, 0, ttl, protocol, 0, 0, s0, s1, s2, s3, d0, d1, d2, d3];
    let [c0, c1] = checksum(&[&header]).to_be_bytes();
    (header[10], header[11]) = (c0, c1);
    header
}

/// A raw IPv4 packet taken apart; what a raw socket hands up begins with the IP header.
///
/// # Errors
/// The packet is shorter than its headers say.
pub fn ipv4_packet(bytes: &[u8]) -> Result<Datagram, Refusal> {
    let short = Refusal::Packet { ipv6: false, length: bytes.len() };
    let Some(head) = bytes.first_chunk::<20>() else { return Err(short) };
    let ip = usize::from(head[0] & 0x0f) * 4;
    let protected = head[9] == ah::PROTOCOL;
    let header = if protected { ip + ah::HEADER } else { ip };
    let total = usize::from(u16::from_be_bytes([head[2], head[3]]));
    if ip < IPV4_HEADER || total < header + HEAD {
        return Err(short);
    }
    let payload = bytes.get(header..total).ok_or(short)?.to_vec();
    Ok(Datagram {
        source: Ipv4Addr::new(head[12], head[13], head[14], head[15]).into(),
        destination: Some(Ipv4Addr::new(head[16], head[17], head[18], head[19]).into()),
        hops: head[8],
        header,
        ah: if protected { Ah::read(bytes, ip).map(Box::new) } else { None },
        payload,
        clock: 0,
    })
}

/// A packet of an IPv6 raw socket, which hands up no IP header: its sender, destination and hop limit come beside it.
///
/// # Errors
/// The packet is shorter than a VRRP header.
pub fn ipv6_payload(
    (source, destination): (IpAddr, Option<IpAddr>),
    hops: u8,
    payload: Vec<u8>,
) -> Result<Datagram, Refusal> {
    if payload.len() < HEAD {
        return Err(Refusal::Packet { ipv6: true, length: payload.len() });
    }
    Ok(Datagram { source, destination, hops, header: 0, ah: None, payload, clock: 0 })
}

/// The advert, and its trailer: the length the packet's own version and address count demand; whether that is our version
/// is judged later.
fn length<'a>(
    config: &Config,
    datagram: &'a Datagram,
    head: &[u8; HEAD],
) -> Result<(&'a [u8], Option<&'a [u8; hmac::TRAILER]>), Refusal> {
    let (each, tail) = match (config.is_ipv6(), head[0] >> 4) {
        (true, _) => (16, 0),
        (false, 2) => (4, AUTHENTICATION),
        (false, _) => (4, 0),
    };
    let expected = datagram.header + HEAD + usize::from(head[3]) * each + tail;
    let length = datagram.header + datagram.payload.len();
    if config.hmac.is_some()
        && length == expected + hmac::TRAILER
        && let Some((advert, trailer)) = datagram.payload.split_last_chunk()
    {
        return Ok((advert, Some(trailer)));
    }
    match length.cmp(&expected) {
        std::cmp::Ordering::Less => Err(Refusal::Short { length, expected }),
        std::cmp::Ordering::Greater => Err(Refusal::Long { length, expected }),
        std::cmp::Ordering::Equal => Ok((&datagram.payload, None)),
    }
}

/// Judges the trailer of an advert; how far the sender's clock is away, if that is worth a line.
fn protected(
    config: &Config,
    datagram: &Datagram,
    (advert, trailer): (&[u8], Option<&[u8; hmac::TRAILER]>),
    senders: &mut hmac::Senders,
) -> Result<Option<i32>, Refusal> {
    let Some(hmac) = &config.hmac else { return Ok(None) };
    let source = datagram.source;
    let Some(trailer) = trailer else {
        return if hmac.mode == hmac::Mode::Enforce { Err(Refusal::NoTrailer { source }) } else { Ok(None) };
    };
    let unicast = !config.peers.is_empty();
    if unicast && !config.peers.iter().any(|peer| peer.address == source) {
        return Err(Refusal::Stranger { source });
    }
    let signed = hmac::Signed { version: config.version, vrid: config.vrid, source, advert };
    hmac.judge(&signed, trailer, (datagram.clock, unicast), senders)
}

fn authenticate(config: &Config, kind: u8, datagram: &Datagram, last: &mut u32) -> Result<(), Refusal> {
    if kind > 2 {
        return Err(Refusal::AuthenticationType { received: kind });
    }
    let expected = config.authentication.number();
    if kind != expected {
        return Err(Refusal::AuthenticationMismatch { received: kind, expected });
    }
    match (&config.authentication, datagram.payload.last_chunk::<AUTHENTICATION>(), &datagram.ah) {
        (Authentication::Pass(password), Some(data), _) if password != data => Err(Refusal::Password),
        (Authentication::Ah(key), _, Some(ah)) => ah.judge(&datagram.payload, key, !config.peers.is_empty(), last),
        _ => Ok(()),
    }
}

/// Whether the checksum is right, and then whether it is an old one.
fn checksum_holds((datagram, bytes): (&Datagram, &[u8]), config: &Config) -> Result<bool, Refusal> {
    let over = |from, to| checksum(&[&pseudo_header(from, to, bytes.len()), bytes]) == 0;
    let right = match (config.version, datagram.source, datagram.destination) {
        (Version::V2, IpAddr::V4(_), _) => checksum(&[bytes]) == 0,
        (Version::V3, IpAddr::V4(_), _) if config.checksum == Checksum::WithoutAddresses => checksum(&[bytes]) == 0,
        (Version::V3, IpAddr::V4(from), Some(IpAddr::V4(_))) if config.checksum.covers_group() => {
            over(from, config.group)
        }
        (Version::V3, IpAddr::V4(from), Some(IpAddr::V4(to))) => {
            let adaptive = config.checksum == Checksum::Adaptive && !config.peers.is_empty();
            if adaptive && !over(from, to) && over(from, config.group) {
                return Ok(true);
            }
            over(from, to)
        }
        // The kernel has judged it.
        (Version::V2 | Version::V3, _, _) => true,
    };
    if right { Ok(false) } else { Err(Refusal::Checksum { version: config.version.number() }) }
}

fn kind(datagram: &Datagram, config: &Config) -> Result<(), Refusal> {
    let Some(destination) = datagram.destination else { return Ok(()) };
    match (destination.is_multicast(), config.peers.is_empty()) {
        (true, false) => Err(Refusal::Kind { expected: "uni", received: "multi" }),
        (false, true) => Err(Refusal::Kind { expected: "multi", received: "uni" }),
        _ => Ok(()),
    }
}

fn compare(config: &Config, addresses: &[IpAddr]) -> Result<(), Refusal> {
    match config.advertised().find(|address| !addresses.contains(address)) {
        Some(address) => Err(Refusal::Address { vrid: config.vrid, address }),
        None => Ok(()),
    }
}

fn peer(datagram: &Datagram, config: &Config) -> Result<(), Refusal> {
    if config.peers.is_empty() {
        return Ok(());
    }
    match config.peers.iter().find(|peer| peer.address == datagram.source) {
        None if config.check_unicast_src => Err(Refusal::Peer { source: datagram.source }),
        Some(peer) if !(peer.hops.contains(&datagram.hops)) => {
            Err(Refusal::Range { received: datagram.hops, low: *peer.hops.start(), high: *peer.hops.end() })
        }
        _ => Ok(()),
    }
}

fn addresses(bytes: &[u8], count: usize, ipv6: bool) -> Vec<IpAddr> {
    let list = bytes.get(HEAD..).unwrap_or_default();
    if ipv6 {
        list.as_chunks::<16>().0.iter().take(count).map(|octets| IpAddr::from(*octets)).collect()
    } else {
        list.as_chunks::<4>().0.iter().take(count).map(|octets| IpAddr::from(*octets)).collect()
    }
}

fn pseudo_header(source: Ipv4Addr, destination: Ipv4Addr, length: usize) -> [u8; 12] {
    let [s0, s1, s2, s3] = source.octets();
    let [d0, d1, d2, d3] = destination.octets();
    let [l0, l1] = (length.min(usize::from(u16::MAX)) as u16).to_be_bytes();
    [s0, s1, s2, s3, d0, d1, d2, d3, 0, PROTOCOL, l0, l1]
}

/// The Internet checksum (RFC 1071) over the parts, each but the last of even length.
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        let (pairs, odd) = part.as_chunks::<2>();
        sum += pairs.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).sum::<u32>();
        sum += odd.first().map_or(0, |byte| u32::from(*byte) << 8);
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests;
