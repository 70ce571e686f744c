//! Signs that another router holds the addresses of a master, in packets that do not end its mastership.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::config::Config;
use super::refusal::Refusal;
use super::wire::{self, Datagram};
use std::fmt;
use std::net::IpAddr;

/// What shows that the sender of an advert is master as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It has our virtual router id, and its adverts are refused.
    Refused(Refusal),
    /// It has another virtual router id, and one of our addresses.
    OtherRouter {
        /// Its virtual router id.
        vrid: u8,
        /// The address.
        address: IpAddr,
    },
}

impl Sign {
    /// What an advert shows to a master of this configuration. Adverts that it accepts decide who is master.
    pub fn of(datagram: &Datagram, config: &Config) -> Option<Self> {
        let vrid = wire::vrid(&datagram.payload)?;
        if datagram.payload.get(2).is_none_or(|priority| *priority == 0) {
            return None;
        }
        if vrid != config.vrid {
            let listed = wire::listed(&datagram.payload, config.is_ipv6());
            let address = config.advertised().find(|address| listed.contains(address))?;
            return Some(Self::OtherRouter { vrid, address });
        }
        match wire::receive(datagram, config, false, &mut wire::Memory::default()) {
            Err(Refusal::Foreign) | Ok(_) => None,
            Err(refusal) => Some(Self::Refused(refusal)),
        }
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "advertises too, and its adverts are refused: {refusal}"),
            Self::OtherRouter { vrid, address } => write!(f, "advertises {address} too, as virtual router {vrid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrrp::config::Authentication;
    use std::time::Duration;

    fn advert(config: &Config, priority: u8) -> Datagram {
        let ends = ("192.0.2.12".parse().unwrap(), "224.0.0.18".parse().unwrap());
        wire::datagram(config, priority, ends, (wire::HOPS, wire::Numbers { ah: 1, hmac: 1 })).unwrap()
    }

    #[test]
    fn an_advert_that_is_refused_shows_another_master() {
        let own = Config::new(51, 120, vec!["192.0.2.10".parse().unwrap()]);
        let sign = |other: &Config, priority| Sign::of(&advert(other, priority), &own).map(|sign| sign.to_string());
        assert_eq!(sign(&own, 100), None);
        let pass = Config { authentication: Authentication::Pass(*b"12345678"), ..own.clone() };
        let refused = "advertises too, and its adverts are refused: ";
        assert_eq!(sign(&pass, 100), Some(format!("{refused}received a 1 auth, expecting 0!")));
        assert_eq!(sign(&pass, 0), None);
        let slow = Config { interval: Duration::from_secs(3), ..own.clone() };
        assert_eq!(sign(&slow, 1), Some(format!("{refused}advertisement interval mismatch mine=1 sec rcv'd=3 sec")));
        let other = Config { vrid: 52, ..own.clone() };
        assert_eq!(sign(&other, 1).as_deref(), Some("advertises 192.0.2.10 too, as virtual router 52"));
        let elsewhere = Config { vrid: 52, addresses: vec!["192.0.2.9".parse().unwrap()], ..own.clone() };
        assert_eq!(sign(&elsewhere, 1), None);
    }
}
