//! Addresses as configurations write them: `1.2.3.4:80`, `[::1]:80`, `*:80`, `80`, `unix:/path`, `host:port`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A place to connect to or listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// An IP address and port.
    Ip(SocketAddr),
    /// A socket in the file system.
    Unix(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

impl Address {
    /// The IP address, if it is one.
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::Unix(_) => None,
        }
    }

    /// The IP address as text, without a port; `unix:` for other peers.
    pub fn host_text(&self) -> String {
        match self {
            Self::Ip(address) => address.ip().to_string(),
            Self::Unix(_) => "unix:".to_owned(),
        }
    }
}

/// What an address text names before any host name is resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The host.
    pub host: Host,
    /// The first port; `None` where none was written.
    pub port: Option<u16>,
    /// The last port of a range (`80-90`).
    pub last_port: Option<u16>,
}

/// The host part of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// A name to resolve.
    Name(String),
    /// `*` or no host at all (in `listen`).
    Any,
    /// A path in the file system.
    Unix(String),
}

/// Parses an address in nginx's manner (`ngx_parse_url`); `listen` allows ports without host, `*` and port ranges.
///
/// # Errors
/// nginx's words: `invalid port`, `no host`, `invalid host`, …
pub fn parse(text: &str, listen: bool) -> Result<Endpoint, &'static str> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = if listen { path } else { path.split(':').next().unwrap_or_default() };
        return match path {
            "" => Err("no path in the unix domain socket"),
            path if path.len() > 107 => Err("too long path in the unix domain socket"),
            path => Ok(Endpoint { host: Host::Unix(path.to_owned()), port: None, last_port: None }),
        };
    }
    // Paths are cut off before, where there may be one.
    if text.contains(['/', '?']) {
        return Err("invalid host");
    }
    if text.starts_with('[') {
        return bracketed(text, listen);
    }
    match text.split_once(':') {
        Some((host, port)) => {
            let (port, last_port) = ports(port, listen)?;
            host_of(host, listen).map(|host| Endpoint { host, port: Some(port), last_port })
        }
        None if listen && is_number(text.split('-').next().unwrap_or_default()) => {
            let (port, last_port) = ports(text, listen)?;
            Ok(Endpoint { host: Host::Any, port: Some(port), last_port })
        }
        None => host_of(text, listen).map(|host| Endpoint { host, port: None, last_port: None }),
    }
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<i64>().is_ok()
}

fn bracketed(text: &str, listen: bool) -> Result<Endpoint, &'static str> {
    let (host, rest) = text.strip_prefix('[').and_then(|text| text.split_once(']')).ok_or("invalid host")?;
    let host = host.parse::<Ipv6Addr>().map_err(|_| "invalid IPv6 address")?;
    let (port, last_port) = match rest.strip_prefix(':') {
        Some(port) => {
            let (port, last) = ports(port, listen)?;
            (Some(port), last)
        }
        None if rest.is_empty() => (None, None),
        None => return Err("invalid host"),
    };
    Ok(Endpoint { host: Host::Ip(IpAddr::V6(host)), port, last_port })
}

fn ports(text: &str, ranges: bool) -> Result<(u16, Option<u16>), &'static str> {
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 && text.starts_with(|c: char| c.is_ascii_digit()) => Ok(port),
        _ => Err("invalid port"),
    };
    match text.split_once('-') {
        Some((first, last)) if ranges => {
            let (first, last) = (port(first)?, port(last)?);
            if last < first { Err("invalid port range") } else { Ok((first, (last > first).then_some(last))) }
        }
        _ => port(text).map(|port| (port, None)),
    }
}

fn host_of(text: &str, listen: bool) -> Result<Host, &'static str> {
    match text {
        "" => Err("no host"),
        "*" if listen => Ok(Host::Any),
        _ => Ok(text.parse::<Ipv4Addr>().map_or_else(|_| Host::Name(text.to_owned()), |ip| Host::Ip(IpAddr::V4(ip)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_listen_is_understood() {
        let any = |port| Endpoint { host: Host::Any, port: Some(port), last_port: None };
        assert_eq!(parse("8880", true), Ok(any(8880)));
        assert_eq!(parse("*:80", true), Ok(any(80)));
        assert_eq!(parse("80-82", true).map(|at| at.last_port), Ok(Some(82)));
        assert_eq!(parse("127.0.0.1", true).map(|at| at.port), Ok(None));
        assert_eq!(parse("[::]:80", true).map(|at| at.host), Ok(Host::Ip(Ipv6Addr::UNSPECIFIED.into())));
        assert_eq!(parse("unix:/tmp/a", true).map(|at| at.host), Ok(Host::Unix("/tmp/a".into())));
        assert_eq!((parse("0", true), parse("1.2.3.4:x", true)), (Err("invalid port"), Err("invalid port")));
        assert_eq!(parse("90-80", true), Err("invalid port range"));
    }
}
