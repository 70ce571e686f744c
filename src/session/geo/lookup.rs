//! `geo` at work: an address's value, by the longest network or the range that holds it.

use super::ranges::Ranges;
use super::{Geo, Table};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::source::Span;
use crate::conf::value::Network;
use crate::net::address::Address;
use crate::script::template::Template;
use crate::script::variable::{Compute, Names, Subject};
use crate::session::forwarded::Believed;
use hashbrown::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What an address has where there is none: that of this one.
const NONE: IpAddr = IpAddr::V4(Ipv4Addr::BROADCAST);

/// A block at work.
pub struct Lookup<S: Subject> {
    source: Source<S>,
    table: Found,
}

/// Whose address is looked up.
pub enum Source<S: Subject> {
    /// The client's.
    Client(Template<S>),
    /// The one that a trusted proxy names, for others the client's: its address, and the header.
    Forwarded(Template<S>, Template<S>, Believed),
    /// The one in a text.
    Text(Template<S>),
}

enum Found {
    Networks(Networks),
    Ranges(Ranges),
}

/// Networks by length, the longest first.
#[derive(Default)]
struct Networks {
    by_length: Vec<(u8, HashMap<IpAddr, Box<str>>)>,
}

impl<S: Subject> Lookup<S> {
    /// Compiles a block.
    ///
    /// # Errors
    /// A text that does not compile.
    pub fn new(geo: &Geo, names: &mut Names<S>) -> Result<Self, Diagnostic> {
        let source = match &geo.source {
            Some(source) => Source::text(&source.bytes, names)?,
            None => Source::client(geo.table.proxies.clone(), names)?,
        };
        let table = match &geo.table {
            Table { ranges: Some(ranges), .. } => Found::Ranges(ranges.clone()),
            Table { networks, .. } => Found::Networks(Networks::new(networks.as_deref().unwrap_or_default())),
        };
        Ok(Self { source, table })
    }
}

impl<S: Subject> Compute<S> for Lookup<S> {
    fn compute(&self, subject: &S, out: &mut Vec<u8>) -> bool {
        let address = self.source.address(subject).unwrap_or(NONE).to_canonical();
        let value = match &self.table {
            Found::Networks(networks) => networks.value(address),
            Found::Ranges(ranges) => match address {
                IpAddr::V4(ip) => ranges.value(ip),
                IpAddr::V6(_) => ranges.value(Ipv4Addr::BROADCAST),
            },
        };
        out.extend_from_slice(value.unwrap_or_default().as_bytes());
        true
    }
}

impl<S: Subject> Source<S> {
    /// The client, or the address a trusted proxy names.
    ///
    /// # Errors
    /// A name that is no variable.
    pub fn client(proxies: Believed, names: &mut Names<S>) -> Result<Self, Diagnostic> {
        let mut text = |bytes: &[u8]| Template::compile(bytes, names).map_err(Diagnostic::emerg);
        let client = text(b"$binary_remote_addr")?;
        if proxies.networks.is_empty() {
            return Ok(Self::Client(client));
        }
        Ok(Self::Forwarded(client, text(b"$http_x_forwarded_for")?, proxies))
    }

    /// The address in a text.
    ///
    /// # Errors
    /// A text that cannot be compiled.
    pub fn text(bytes: &[u8], names: &mut Names<S>) -> Result<Self, Diagnostic> {
        Template::compile(bytes, names).map(Self::Text).map_err(Diagnostic::emerg)
    }

    /// The address; nothing for a client of a unix socket.
    pub fn address(&self, subject: &S) -> Option<IpAddr> {
        match self {
            Self::Client(bytes) => binary(&bytes.text(subject)),
            Self::Text(text) => std::str::from_utf8(&text.text(subject)).ok()?.parse().ok(),
            Self::Forwarded(bytes, header, believed) => {
                let client = binary(&bytes.text(subject))?;
                let line = header.text(subject);
                let peer = Address::Ip(SocketAddr::new(client, 0));
                Some(believed.client(&peer, std::iter::once(line.as_slice())).map_or(client, |named| named.ip()))
            }
        }
    }
}

/// An address in four or sixteen bytes.
fn binary(bytes: &[u8]) -> Option<IpAddr> {
    let four = || <[u8; 4]>::try_from(bytes).ok().map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
    let sixteen = || <[u8; 16]>::try_from(bytes).ok().map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)));
    four().or_else(sixteen)
}

impl Networks {
    fn new(all: &[(Network, String, Span)]) -> Self {
        let mut networks = Self::default();
        for (network, value, _) in all {
            let length = match networks.by_length.iter().position(|(bits, _)| *bits == network.bits) {
                Some(at) => at,
                None => {
                    networks.by_length.push((network.bits, HashMap::new()));
                    networks.by_length.len() - 1
                }
            };
            if let Some((_, table)) = networks.by_length.get_mut(length) {
                table.insert(network.address, value.as_str().into());
            }
        }
        networks.by_length.sort_by_key(|(bits, _)| std::cmp::Reverse(*bits));
        networks
    }

    fn value(&self, address: IpAddr) -> Option<&str> {
        let at = |bits: u8| match address {
            IpAddr::V4(_) if bits > 32 => None,
            address => Some(Network { address, bits }.first()),
        };
        self.by_length.iter().find_map(|(bits, table)| table.get(&at(*bits)?).map(|value| &**value))
    }
}
