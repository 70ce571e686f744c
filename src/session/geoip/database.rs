//! MaxMind's old databases (`.dat`): a tree of an address's bits, and records behind it. Files may be broken anywhere:
//! every offset is checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

/// The editions that the module knows, by their numbers.
pub mod edition {
    /// Countries.
    pub const COUNTRY: u8 = 1;
    /// Countries of IPv6 addresses.
    pub const COUNTRY_V6: u8 = 12;
    /// Cities with the codes of the United States.
    pub const CITY_REV1: u8 = 2;
    /// Cities.
    pub const CITY_REV0: u8 = 6;
    /// Cities of IPv6 addresses with the codes of the United States.
    pub const CITY_REV1_V6: u8 = 30;
    /// Cities of IPv6 addresses.
    pub const CITY_REV0_V6: u8 = 31;
    /// Providers, organisations, domains and numbers of autonomous systems.
    pub const NAMES: [u8; 4] = [4, 5, 11, 9];
    /// The same of IPv6 addresses.
    pub const NAMES_V6: [u8; 4] = [22, 23, 24, 21];
}

/// Where the records of databases of countries begin.
const COUNTRY_BEGIN: u32 = 16_776_960;
/// Editions whose file says where its records begin.
const SEGMENTED: [u8; 24] = [2, 4, 5, 6, 9, 11, 13, 14, 21, 22, 23, 24, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37];
/// Editions with the longer records.
const LONG: [u8; 6] = [5, 23, 11, 24, 4, 22];
/// How far from the end the description of a file is looked for.
const STEPS: usize = 20;

/// A database in memory.
pub struct Database {
    bytes: Vec<u8>,
    /// Which kind it is.
    pub edition: u8,
    segments: u32,
    record: usize,
}

/// A country as the databases number them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Country {
    /// Two letters.
    pub code: &'static str,
    /// Three letters.
    pub code3: &'static str,
    /// Two letters of its continent.
    pub continent: &'static str,
    name: &'static str,
    utf8: &'static str,
}

impl Country {
    /// Its name; empty for no country.
    pub const fn name(&self, utf8: bool) -> &'static str {
        if utf8 { self.utf8 } else { self.name }
    }
}

/// The record of a city.
#[derive(Debug)]
pub struct City<'d> {
    /// Its country.
    pub country: Country,
    /// The number or letters of its region.
    pub region: &'d [u8],
    /// Its name.
    pub city: &'d [u8],
    /// Its postal code.
    pub postal: &'d [u8],
    /// Degrees north.
    pub latitude: f32,
    /// Degrees east.
    pub longitude: f32,
    /// The code of the market area, of the United States.
    pub metro: u32,
    /// The telephone area, of the United States.
    pub area: u32,
}

static COUNTRIES: LazyLock<Vec<Country>> = LazyLock::new(|| {
    let country = |line: &'static str| {
        let mut cells = line.split('\t');
        let mut cell = || cells.next();
        let (code, code3, continent) =
            (cell().unwrap_or_default(), cell().unwrap_or_default(), cell().unwrap_or_default());
        let name = cell().unwrap_or_default();
        Country { code, code3, continent, name, utf8: cell().unwrap_or(name) }
    };
    include_str!("countries.txt").lines().map(country).collect()
});

const REGIONS: &str = include_str!("regions.txt");

/// The name of a region by the codes of its country and its own.
pub fn region_name(country: &str, region: &[u8]) -> Option<&'static str> {
    if country.len() != 2 || region.len() != 2 || !region.iter().all(u8::is_ascii_alphanumeric) {
        return None;
    }
    let key = format!("\n{country}{}\t", String::from_utf8_lossy(region));
    let first = REGIONS.strip_prefix(key.trim_start_matches('\n'));
    let rest = first.or_else(|| REGIONS.split_once(key.as_str()).map(|(_, rest)| rest))?;
    rest.split('\n').next()
}

/// The little-endian number at the beginning of some bytes.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

/// The bytes up to the next zero, and those behind it.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(0, bytes)?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

impl Database {
    /// A database of a file's bytes; nothing where they are none.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        let (edition, behind) = described(&bytes)?;
        let segments = match edition {
            7 => 16_700_000,
            3 => 16_000_000,
            1 | 8 | 10 | 12 => COUNTRY_BEGIN,
            17 | 18 => 16_515_072,
            edition if SEGMENTED.contains(&edition) => number(bytes.get(behind..behind + 3)?),
            _ => return None,
        };
        let record = if LONG.contains(&edition) { 4 } else { 3 };
        if SEGMENTED.contains(&edition) && segments as usize * record * 2 > bytes.len() {
            return None;
        }
        Some(Self { bytes, edition, segments, record })
    }

    /// The record of an address, by its bits from the highest on.
    fn seek(&self, bits: u128, depth: u32) -> Option<u32> {
        let mut at = 0;
        for bit in (0..depth).rev() {
            let node = (at as usize).checked_mul(self.record * 2)?;
            let side = node + if bits >> bit & 1 == 1 { self.record } else { 0 };
            self.bytes.get(node..node + self.record * 2)?;
            at = number(self.bytes.get(side..side + self.record)?);
            if at >= self.segments {
                return Some(at);
            }
        }
        None
    }

    fn find(&self, address: Option<IpAddr>) -> Option<u32> {
        if self.is_v6() {
            let address = match address {
                Some(IpAddr::V4(address)) => address.to_ipv6_mapped(),
                Some(IpAddr::V6(address)) => address,
                None => Ipv6Addr::UNSPECIFIED,
            };
            return self.seek(without_teredo(address).to_bits(), 128);
        }
        let address = match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => address,
            Some(IpAddr::V6(_)) | None => Ipv4Addr::BROADCAST,
        };
        self.seek(address.to_bits().into(), 32)
    }

    fn is_v6(&self) -> bool {
        let cities = [edition::CITY_REV0_V6, edition::CITY_REV1_V6];
        self.edition == edition::COUNTRY_V6
            || cities.contains(&self.edition)
            || edition::NAMES_V6.contains(&self.edition)
    }

    /// What is behind the tree for an address.
    fn record(&self, address: Option<IpAddr>) -> Option<&[u8]> {
        let found = self.find(address).filter(|found| *found != self.segments)? as usize;
        let begin = (self.segments as usize).checked_mul(self.record * 2 - 1)?.checked_add(found)?;
        self.bytes.get(begin..)
    }

    /// The country of an address.
    pub fn country(&self, address: Option<IpAddr>) -> Option<Country> {
        if address == Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) && !self.is_v6() {
            return None;
        }
        let number = self.find(address)? - self.segments;
        COUNTRIES.get(number as usize).filter(|_| number > 0).copied()
    }

    /// The provider, organisation, domain or system of an address.
    pub fn name(&self, address: Option<IpAddr>) -> Option<&[u8]> {
        text(self.record(address)?).map(|(name, _)| name)
    }

    /// The city of an address.
    pub fn city(&self, address: Option<IpAddr>) -> Option<City<'_>> {
        let (number_of_country, rest) = self.record(address)?.split_first()?;
        let (region, rest) = text(rest)?;
        let (city, rest) = text(rest)?;
        let (postal, rest) = text(rest)?;
        let degrees = |bytes: &[u8]| (f64::from(number(bytes)) / 10_000.0 - 180.0) as f32;
        let (latitude, longitude) = (degrees(rest.get(..3)?), degrees(rest.get(3..6)?));
        let country = COUNTRIES.get(usize::from(*number_of_country)).copied().unwrap_or_default();
        let has_codes = [edition::CITY_REV1, edition::CITY_REV1_V6].contains(&self.edition) && country.code == "US";
        let codes = if has_codes { number(rest.get(6..9)?) } else { 0 };
        Some(City { country, region, city, postal, latitude, longitude, metro: codes / 1000, area: codes % 1000 })
    }
}

/// The edition of a file, and where its description goes on: behind three bytes 0xff near the end. A file without them
/// is one of countries.
fn described(bytes: &[u8]) -> Option<(u8, usize)> {
    let mut at = bytes.len().checked_sub(3)?;
    for _ in 0..STEPS {
        if bytes.get(at..at + 3)? == [0xff; 3] {
            let edition = *bytes.get(at + 3)?;
            return Some((if edition >= 106 { edition - 105 } else { edition }, at + 4));
        }
        at = at.checked_sub(1)?;
    }
    Some((edition::COUNTRY, 0))
}

/// The IPv4 address in an address of a Teredo tunnel.
fn without_teredo(address: Ipv6Addr) -> Ipv6Addr {
    let octets = address.octets();
    if !octets.starts_with(&[0x20, 0x01, 0, 0]) {
        return address;
    }
    Ipv6Addr::from_bits(address.to_bits() & 0xffff_ffff ^ 0xffff_ffff)
}

#[cfg(test)]
mod tests;
