//! Lists of addresses that proxies write (`X-Forwarded-For`), and whom of them to believe.

use crate::conf::value::Network;
use crate::net::address::Address;
use std::net::{IpAddr, SocketAddr};

/// Whose word is taken.
#[derive(Clone, Debug, Default)]
pub struct Believed {
    /// Proxies by network.
    pub networks: Vec<Network>,
    /// Whether those that come over a unix socket are.
    pub unix: bool,
    /// Whether a believed proxy's word on another believed one counts.
    pub recursive: bool,
}

/// What a list of addresses names.
enum Named {
    /// Nobody: whoever wrote it is not believed, or wrote no address.
    Nobody,
    /// An address whose word on those before it is believed too.
    Further(SocketAddr),
    /// An address that ends the search.
    Last(SocketAddr),
}

impl Believed {
    /// Whether a peer is believed.
    pub fn holds(&self, address: &Address) -> bool {
        match address {
            Address::Ip(address) => self.networks.iter().any(|network| network.holds(address.ip())),
            Address::Unix(_) => self.unix,
        }
    }

    /// The client that lines of addresses name, the last line first.
    pub fn client<'a>(&self, peer: &Address, lines: impl Iterator<Item = &'a [u8]>) -> Option<SocketAddr> {
        let mut found = None;
        for line in lines {
            match self.named(found.map_or_else(|| peer.clone(), Address::Ip), line) {
                Named::Nobody => break,
                Named::Last(address) => return Some(address),
                Named::Further(address) => found = Some(address),
            }
            if !self.recursive {
                break;
            }
        }
        found
    }

    /// What a line names, read from its end.
    fn named(&self, mut writer: Address, mut rest: &[u8]) -> Named {
        let between = |byte: &u8| matches!(byte, b' ' | b',');
        let mut found = None;
        loop {
            let end = rest.iter().rposition(|byte| !between(byte)).map_or(0, |at| at + 1);
            let text = rest.get(..end).unwrap_or_default();
            let start = text.iter().rposition(between).map_or(0, |at| at + 1);
            let address = text.get(start..).filter(|_| self.holds(&writer)).and_then(parsed);
            let Some(address) = address else {
                return found.map_or(Named::Nobody, Named::Last);
            };
            if !self.recursive || start == 0 {
                return Named::Further(address);
            }
            found = Some(address);
            writer = Address::Ip(address);
            rest = text.get(..start - 1).unwrap_or_default();
        }
    }
}

/// An address, perhaps with a port.
fn parsed(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = |text: &str| text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 0));
    let bracketed = || bare(text.strip_prefix('[')?.strip_suffix(']')?);
    text.parse().ok().or_else(|| bare(text)).or_else(bracketed)
}
