//! A valid virtual router: what the machine and the wire need to know, checked before it gets here.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::wire::hmac::Hmac;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

/// The protocol's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// RFC 3768.
    V2,
    /// RFC 9568.
    V3,
}

impl Version {
    /// As the wire has it.
    pub const fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

/// How adverts prove where they come from (VRRPv2 only; RFC 3768 dropped it, keepalived kept it).
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Authentication {
    /// Not at all.
    #[default]
    None,
    /// A password in clear text, padded with zeros.
    Pass([u8; 8]),
    /// An authentication header whose key is this password, padded with zeros.
    Ah([u8; 8]),
}

impl Authentication {
    /// As the wire has it.
    pub const fn number(&self) -> u8 {
        match self {
            Self::None => 0,
            Self::Pass(_) => 1,
            Self::Ah(_) => 2,
        }
    }

    /// The eight bytes behind the addresses.
    pub const fn data(&self) -> [u8; 8] {
        match self {
            Self::None | Self::Ah(_) => [0; 8],
            Self::Pass(password) => *password,
        }
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "None"),
            Self::Pass(_) => write!(f, "Pass(…)"),
            Self::Ah(_) => write!(f, "Ah(…)"),
        }
    }
}

/// Which addresses of the IP header the checksum of an advert covers (VRRPv3 over IPv4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// Those of the packet, until a unicast peer covers the multicast group as keepalived did up to 1.3.6.
    #[default]
    Adaptive,
    /// Those of the packet, always.
    Standard,
    /// The multicast group as destination.
    Group,
    /// The multicast group, as a peer does.
    Detected,
    /// None, as in VRRPv2.
    WithoutAddresses,
}

impl Checksum {
    /// Whether it covers the multicast group.
    pub const fn covers_group(self) -> bool {
        matches!(self, Self::Group | Self::Detected)
    }
}

/// A peer that gets its adverts by unicast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// The TTLs its adverts may arrive with.
    pub hops: RangeInclusive<u8>,
}

/// How often addresses are announced, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcing {
    /// Announcements per address on becoming master.
    pub repeat: u32,
    /// Until the second batch; zero for none.
    pub delay: Duration,
    /// Between refreshes while master; zero for none.
    pub refresh: Duration,
    /// Announcements per address in a refresh.
    pub refresh_repeat: u32,
    /// Announcements per address after a lower priority advert.
    pub lower_repeat: u32,
    /// Until the second batch after a lower priority advert.
    pub lower_delay: Duration,
    /// Between two announcements of IPv4 addresses.
    pub arp_interval: Duration,
    /// Between two announcements of IPv6 addresses.
    pub na_interval: Duration,
    /// Between announcements on interfaces that adverts do not use; zero for none.
    pub extra: Duration,
}

impl Default for Announcing {
    fn default() -> Self {
        Self {
            repeat: 5,
            delay: Duration::from_secs(5),
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_repeat: 5,
            lower_delay: Duration::from_secs(5),
            arp_interval: Duration::ZERO,
            na_interval: Duration::ZERO,
            extra: Duration::ZERO,
        }
    }
}

/// A virtual router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its number, 1 to 255.
    pub vrid: u8,
    /// Which protocol it speaks.
    pub version: Version,
    /// The configured priority.
    pub priority: u8,
    /// It owns its addresses: it begins as master (priority 255, unless `state BACKUP` or its group says otherwise).
    pub owner: bool,
    /// It becomes master only together with others.
    pub grouped: bool,
    /// Between two adverts of ours.
    pub interval: Duration,
    /// Whether a backup takes over from a master of lower priority.
    pub preempt: bool,
    /// How long a backup tolerates a master of lower priority before it takes over.
    pub preempt_delay: Duration,
    /// How adverts prove where they come from.
    pub authentication: Authentication,
    /// The trailer behind adverts.
    pub hmac: Option<Hmac>,
    /// The addresses on the wire, in order.
    pub addresses: Vec<IpAddr>,
    /// Addresses that move with the router and are not on the wire.
    pub excluded: Vec<IpAddr>,
    /// The first address of each interface that adverts do not use.
    pub elsewhere: Vec<IpAddr>,
    /// Whether it holds routes.
    pub has_routes: bool,
    /// Whether it holds routing rules.
    pub has_rules: bool,
    /// Packets to its addresses are dropped (RFC 9568 §6.1, Accept_Mode).
    pub no_accept: bool,
    /// Unicast peers; none means multicast.
    pub peers: Vec<Peer>,
    /// Which addresses the checksum of an advert covers.
    pub checksum: Checksum,
    /// The multicast group over IPv4, for that.
    pub group: Ipv4Addr,
    /// Unicast adverts from others than the peers are dropped.
    pub check_unicast_src: bool,
    /// The master last seen is believed without a look at its addresses.
    pub skip_check_adv_addr: bool,
    /// A master that hears a lower priority stays silent.
    pub lower_prio_no_advert: bool,
    /// A master that hears a higher priority sends one more advert.
    pub higher_prio_send_advert: bool,
    /// An address owner drops the adverts of others.
    pub owner_ignores_adverts: bool,
    /// A master whose adverts are so late that another of this priority may have taken over becomes backup.
    pub highest_other_priority: Option<u8>,
    /// Missed adverts that make a master dead, three unless configured.
    pub down_timer_adverts: u32,
    /// How addresses are announced.
    pub announcing: Announcing,
}

impl Config {
    /// A router with every default.
    pub fn new(vrid: u8, priority: u8, addresses: Vec<IpAddr>) -> Self {
        Self {
            vrid,
            version: Version::V2,
            priority,
            owner: false,
            grouped: false,
            interval: Duration::from_secs(1),
            preempt: true,
            preempt_delay: Duration::ZERO,
            authentication: Authentication::None,
            hmac: None,
            addresses,
            excluded: Vec::new(),
            elsewhere: Vec::new(),
            has_routes: false,
            has_rules: false,
            no_accept: false,
            peers: Vec::new(),
            checksum: Checksum::Adaptive,
            group: Ipv4Addr::new(224, 0, 0, 18),
            check_unicast_src: false,
            skip_check_adv_addr: false,
            lower_prio_no_advert: false,
            higher_prio_send_advert: false,
            owner_ignores_adverts: false,
            highest_other_priority: None,
            down_timer_adverts: 3,
            announcing: Announcing::default(),
        }
    }

    /// How long after the last advert of this router another may have become master: three intervals and the skew of the
    /// highest other priority.
    pub fn expiry(&self) -> Option<Duration> {
        let unit = match self.version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => self.interval,
        };
        self.highest_other_priority.map(|priority| self.interval * 3 + unit * (256 - u32::from(priority)) / 256)
    }

    /// Whether it speaks IPv6: its first address decides.
    pub fn is_ipv6(&self) -> bool {
        self.addresses.first().is_some_and(IpAddr::is_ipv6)
    }

    /// The addresses on the wire: those of the router's own family.
    pub fn advertised(&self) -> impl Iterator<Item = IpAddr> {
        let ipv6 = self.is_ipv6();
        self.addresses.iter().copied().filter(move |address| address.is_ipv6() == ipv6)
    }

    /// Every address that moves with the router.
    pub fn all_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().chain(&self.excluded).copied()
    }
}
