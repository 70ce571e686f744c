//! Lists of addresses that proxies write (`X-Forwarded-For`), and which of them are trusted.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::{Statement, Word};
use crate::conf::value::{self, Network};
use crate::conf::walk::Setting;
use crate::net::address::Address;
use crate::session::build::Resolve;
use std::net::{IpAddr, SocketAddr};

/// `set_real_ip_from` as written.
#[derive(Clone, Debug)]
pub enum Trusted {
    /// Whoever comes over a unix socket.
    Unix,
    /// A network.
    Network(Network),
    /// A host, to be looked up.
    Host(Word),
}

/// The argument of `set_real_ip_from`.
pub fn trusted(cx: &mut Setting<'_>, statement: &Statement) -> Option<Trusted> {
    let word = statement.arguments().first()?;
    if word.is("unix:") {
        return Some(Trusted::Unix);
    }
    let Some((network, odd)) = value::network(&word.bytes) else { return Some(Trusted::Host(word.clone())) };
    if odd {
        cx.warn(statement, format!("low address bits of {} are meaningless", word.text()));
    }
    Some(Trusted::Network(network))
}

/// Trusted proxies.
#[derive(Clone, Debug, Default)]
pub struct Believed {
    /// Proxies by network.
    pub networks: Vec<Network>,
    /// Whether those that come over a unix socket are.
    pub unix: bool,
    /// Whether the search goes on past a trusted address (`real_ip_recursive`).
    pub recursive: bool,
}

/// What a list of addresses names.
enum Named {
    /// Nobody: the sender is not trusted, or the text is no address.
    Nobody,
    /// An address that is trusted itself: the one before it counts.
    Further(SocketAddr),
    /// An address that ends the search.
    Last(SocketAddr),
}

impl Believed {
    /// Looks up who is trusted.
    ///
    /// # Errors
    /// nginx's words for a host that has no address.
    pub fn new(all: &[Trusted], resolver: &dyn Resolve) -> Result<Self, Diagnostic> {
        let whole = |address: IpAddr| Network { address, bits: if address.is_ipv4() { 32 } else { 128 } };
        let mut believed = Self::default();
        for trusted in all {
            match trusted {
                Trusted::Unix => believed.unix = true,
                Trusted::Network(network) => believed.networks.push(*network),
                Trusted::Host(word) => {
                    let found = resolver.resolve(&word.text());
                    if found.is_empty() {
                        let text = format!("host not found in set_real_ip_from \"{}\"", word.text());
                        return Err(Diagnostic::emerg(text).at(word.span));
                    }
                    believed.networks.extend(found.into_iter().map(whole));
                }
            }
        }
        Ok(believed)
    }

    /// Whether a peer is trusted.
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
    if let Some(ip) = value::ip(text) {
        return Some(SocketAddr::new(ip, 0));
    }
    let (host, port) = match text.strip_prefix(b"[") {
        Some(rest) => {
            let end = memchr::memchr(b']', rest)?;
            (rest.get(..end)?, rest.get(end + 1..)?.strip_prefix(b":")?)
        }
        None => {
            let colon = memchr::memchr(b':', text)?;
            (text.get(..colon)?, text.get(colon + 1..)?)
        }
    };
    let port = value::number(port).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)?;
    Some(SocketAddr::new(value::ip(host)?, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_proxies_are_read_as_nginx_reads_them() {
        let read = |text: &str| parsed(text.as_bytes()).map(|address| address.to_string());
        for (text, wanted) in [
            ("01.2.3.4", Some("1.2.3.4:0")),
            ("1.2.3.4:080", Some("1.2.3.4:80")),
            ("::1", Some("[::1]:0")),
            ("[::1]:99", Some("[::1]:99")),
            ("[1.2.3.4]:99", Some("1.2.3.4:99")),
            ("[::1]", None),
            ("1.2.3.4:0", None),
            ("1.2.3.4:65536", None),
            ("1.2.3.4:", None),
            ("unknown", None),
        ] {
            assert_eq!(read(text).as_deref(), wanted, "{text}");
        }
    }
}
