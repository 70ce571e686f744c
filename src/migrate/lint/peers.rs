//! Where an nginx configuration listens and whom it asks, as addresses.

use super::levels::{Levels, Line};
use std::net::IpAddr;

/// A `listen`.
pub struct Listener<'a> {
    /// The address; nothing is every address of `v6` or not.
    pub ip: Option<IpAddr>,
    /// Whether it is of IPv6.
    pub v6: bool,
    /// The port.
    pub port: u16,
    /// What else it says.
    pub options: &'a [String],
    /// `file:line`.
    pub place: &'a str,
    /// The server's level.
    pub server: usize,
}

/// A server that is asked.
#[derive(Clone)]
pub struct Peer {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Its parameters.
    pub options: Vec<String>,
    /// `file:line`.
    pub place: String,
}

/// An `upstream`.
pub struct Group {
    /// Its level.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Where it begins.
    pub place: String,
    /// Whether it is the stream module's.
    pub stream: bool,
    /// Its servers.
    pub peers: Vec<Peer>,
}

impl Listener<'_> {
    /// Whether connections to `ip` arrive here.
    pub fn covers(&self, ip: IpAddr) -> bool {
        self.ip.map_or_else(|| self.v6 == ip.is_ipv6() || self.v6 && self.has("ipv6only=off"), |own| own == ip)
    }

    /// Whether it has an option.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|word| word == option)
    }
}

impl Peer {
    /// The address, where the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.trim_matches(['[', ']']).parse().ok()
    }

    /// Whether it is this machine, whichever that is.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.ip().is_some_and(|ip| ip.is_loopback())
    }

    /// A parameter's value.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    /// `host:port`.
    pub fn title(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Whether it is asked at all, and not only when others fail.
    pub fn is_active(&self) -> bool {
        !self.options.iter().any(|word| word == "backup" || word == "down")
    }

    fn new(text: &str, port: u16, options: &[String], place: &str) -> Self {
        let (host, port) = split(text, port);
        Self { host, port, options: options.to_vec(), place: place.to_owned() }
    }
}

/// Host and port of an address as the configuration writes it.
fn split(text: &str, default: u16) -> (String, u16) {
    match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') && !text.starts_with("unix:") => {
            (host.to_owned(), port.parse().unwrap_or(default))
        }
        _ => (text.to_owned(), default),
    }
}

/// Where the servers listen.
pub fn listeners(levels: &Levels) -> Vec<Listener<'_>> {
    let mut out = Vec::new();
    for (server, _) in levels.kind("server") {
        for line in levels.own(server, "listen") {
            out.extend(listener(line, server));
        }
    }
    out
}

fn listener(line: &Line, server: usize) -> Option<Listener<'_>> {
    let at = line.first();
    if at.starts_with("unix:") {
        return None;
    }
    let (host, port) = match at.parse() {
        Ok(port) => ("*".to_owned(), port),
        Err(_) => split(at, 80),
    };
    let v6 = host.starts_with('[');
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>().ok().filter(|ip| !ip.is_unspecified());
    let options = line.words.get(1..).unwrap_or_default();
    let named = ip.is_none() && !v6 && host != "*" && host != "0.0.0.0";
    (!named).then_some(Listener { ip, v6, port, options, place: &line.place, server })
}

/// The groups.
pub fn groups(levels: &Levels) -> Vec<Group> {
    let group = |(index, level): (usize, &super::levels::Level)| {
        let peer = |line: &Line| Peer::new(line.first(), 80, line.words.get(1..).unwrap_or_default(), &line.place);
        Group {
            index,
            name: level.words.first().cloned().unwrap_or_default(),
            place: level.place.clone(),
            stream: levels.in_stream(index),
            peers: levels.own(index, "server").map(peer).collect(),
        }
    };
    levels.kind("upstream").map(group).collect()
}

/// Whom a `proxy_pass` asks: the group of that name, or the one server it says.
pub fn targets(levels: &Levels, stream: bool, pass: &Line) -> Vec<Peer> {
    let url = pass.first();
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('$') || authority.starts_with("unix:") {
        return Vec::new();
    }
    match groups(levels).into_iter().find(|group| group.stream == stream && group.name == authority) {
        Some(group) => group.peers,
        None => vec![Peer::new(authority, if scheme == "https" { 443 } else { 80 }, &[], &pass.place)],
    }
}
