//! The lines of `virtual_routes` and `static_routes`: judged word by word, and made into routes.

use super::encap;
use super::instance::Instance;
use super::line::{Found, Need, Words};
use super::root::Root;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive};
use crate::conf::module::Module;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::{STATIC_ROUTE, TRACK_GROUP, VIRTUAL_ROUTE};
use crate::keepalived::slot::{Nothing, complain};
use crate::kernel::encap::Encap;
use crate::kernel::route::{KEEPALIVED, NextHop, Route, everywhere};
use std::net::IpAddr;

/// The words of route lines.
pub const MODULE: Module = Module { name: "routes", directives: DIRECTIVES, scopes: &[] };

const LINES: Contexts = VIRTUAL_ROUTE.or(STATIC_ROUTE);

const fn word(name: &'static str) -> Directive {
    Directive::new(name, LINES, Arity::AtLeast(0), &Nothing)
}

const DIRECTIVES: &[Directive] = &[
    word("inet inet6").doc("The family of addresses."),
    word("to").doc("The destination network."),
    word("via").doc("The router the route goes through, with its family."),
    word("gw").doc("The router the route goes through."),
    word("dev").doc("The interface the route goes through."),
    word("oif").doc("The interface the route goes through, in the older spelling."),
    word("src").doc("The address packets are sent from."),
    word("from").doc("The source network."),
    word("as").doc("Where the packet is encapsulated to."),
    word("tos").doc("The type of service, in the older spelling."),
    word("dsfield").doc("The type of service."),
    word("table").doc("The routing table."),
    word("protocol").doc("Which routing protocol made the route."),
    word("scope").doc("How far the destination is."),
    word("metric").doc("The metric among routes to the same destination."),
    word("priority").doc("The priority among others."),
    word("preference").doc("The preference, as priority says it."),
    word("onlink").doc("The router counts as reachable on the interface."),
    word("encap")
        .words(&["ip", "ip6", "mpls", "ila", "id", "dst", "src", "tos", "tc", "ttl", "hoplimit", "flags"])
        .doc("The header before packets: ip or ip6, with id, dst, src, tos or tc, ttl or hoplimit, flags; mpls with a label or two between slashes, as in `100/200`; ila with four groups of an IPv6 address."),
    word("expires").doc("Seconds after which an IPv6 route goes."),
    word("mtu").doc("The MTU of the path, with lock where it is not to be discovered."),
    word("hoplimit").doc("The hop limit of packets."),
    word("advmss").doc("The segment size told to peers."),
    word("rtt").doc("The first guess of the round trip time."),
    word("rttvar").doc("The first guess of its variance."),
    word("reordering").doc("How much reordering is not loss."),
    word("window").doc("The largest window told to peers."),
    word("cwnd").doc("The congestion window."),
    word("ssthresh").doc("The first threshold of slow start."),
    word("realms").doc("The realms traffic is counted by."),
    word("rto_min").doc("The least retransmission time."),
    word("initcwnd").doc("The first congestion window."),
    word("initrwnd").doc("The first receive window."),
    word("features").doc("Features of TCP, such as ecn."),
    word("quickack").doc("Whether every packet is acknowledged at once."),
    word("congctl").doc("The congestion control."),
    word("pref").doc("The preference of an IPv6 router: low, medium or high."),
    word("ttl-propagate").doc("Whether MPLS passes the time to live on."),
    word("fastopen_no_cookie").doc("TCP fast open without a cookie."),
    word("or").doc("Begins the alternative to what stands before it."),
    word("nexthop").doc("One of several ways to the destination."),
    word("no_track").doc("The loss of it does not matter to the router."),
    Directive::new("track_group", STATIC_ROUTE, Arity::AtLeast(0), &Nothing)
        .doc("Names the group of instances that track its interface."),
];

/// `virtual_routes {`.
///
/// # Errors
/// None; complaints are about single lines.
pub fn virtual_routes(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Result<(), Diagnostic> {
    instance.routes.extend(read(cx, statement, &mut instance.needs));
    Ok(())
}

/// `static_routes {`.
///
/// # Errors
/// None; complaints are about single lines.
pub fn static_routes(cx: &mut Setting<'_>, root: &mut Root, statement: &Statement) -> Result<(), Diagnostic> {
    root.routes.extend(read(cx, statement, &mut root.needs));
    Ok(())
}

/// A route as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The route.
    pub route: Route<String>,
    /// Its loss matters.
    pub tracked: bool,
    /// `track_group`.
    pub group: Option<String>,
}

fn read(cx: &mut Setting<'_>, statement: &Statement, needs: &mut Vec<Need>) -> Vec<Given> {
    let fixed = cx.row.name == "static_routes";
    let mut routes = Vec::new();
    for line in super::track::lines(cx, statement) {
        let mut reader = Reader::new(fixed);
        let mut words = Words::of(&line);
        let mut outcome = Ok(());
        while let (Ok(()), Some(word)) = (&outcome, words.next()) {
            outcome = reader.word(&word, &mut words);
        }
        let unknown = reader.group.take_if(|group| !super::track::defined(cx, TRACK_GROUP, group));
        let outcome = outcome.and_then(|()| reader.finish());
        reader.said.into_iter().for_each(|complaint| cx.report(complaint.at(line.span)));
        match outcome {
            Ok(given) => {
                let devs = std::iter::once(&given.route.dev).chain(given.route.next_hops.iter().map(|hop| &hop.dev));
                let devs = devs.flatten().cloned();
                needs.extend(devs.map(|dev| Need::vital(dev, "VROUTE nexthop", line.span)));
                routes.push(given);
            }
            Err(found) => found.report(cx, line.span),
        }
        if let Some(group) = unknown {
            cx.report(complain(format!("track_group {group} not found")).at(line.span));
        }
    }
    routes
}

/// What a line has said so far.
struct Reader {
    /// In `static_routes`.
    fixed: bool,
    ipv6: Option<bool>,
    /// The destination as it is written.
    destination: Option<String>,
    route: Route<String>,
    untracked: bool,
    /// Another protocol's.
    foreign: bool,
    group: Option<String>,
    said: Vec<Diagnostic>,
}

/// The bits of `features`: ECN is the first.
const FEATURES: u16 = 12;
/// What becomes of packets; the kernel numbers the first five so.
const TYPES: [&str; 10] =
    ["unicast", "local", "broadcast", "anycast", "multicast", "throw", "unreachable", "prohibit", "blackhole", "nat"];
/// Numbers of TCP: the kernel's number of each, how keepalived calls it, and the largest.
const NUMBERS: [(&str, u16, &str, i64); 6] = [
    ("hoplimit", 10, "hoplimit", 255),
    ("window", 3, "window value", u32::MAX as i64),
    ("initcwnd", 11, "initcwnd value", u32::MAX as i64),
    ("initrwnd", 14, "initrwnd value", u32::MAX as i64),
    ("quickack", 15, "quickack value", 1),
    ("fastopen_no_cookie", 17, "fastopen_no_cookie value", 1),
];
/// Numbers that may be locked: the kernel's number of each, and how keepalived calls it.
const LOCKABLE: [(&str, u16, &str); 10] = [
    ("mtu", 2, "MTU"),
    ("advmss", 8, "advmss"),
    ("reordering", 9, "reordering value"),
    ("cwnd", 7, "cwnd value"),
    ("ssthresh", 6, "ssthresh value"),
    ("rtt", 4, "rtt"),
    ("rttvar", 5, "rttvar"),
    ("rto_min", 13, "rto_min value"),
    ("congctl", 16, ""),
    ("lock", 0, ""),
];

impl Reader {
    fn new(fixed: bool) -> Self {
        Self {
            fixed,
            ipv6: None,
            destination: None,
            route: Route::to(false, everywhere(false)),
            untracked: false,
            foreign: false,
            group: None,
            said: Vec::new(),
        }
    }

    fn family(&mut self, ipv6: bool) -> Result<(), Found> {
        match self.ipv6.replace(ipv6) {
            Some(other) if other != ipv6 => Err("Cannot mix IPv4 and IPv6 addresses for route".into()),
            _ => Ok(()),
        }
    }

    fn address(&mut self, words: &mut Words<'_>, what: &str) -> Result<IpAddr, Found> {
        let mut text = words.need()?;
        if text == "inet" || text == "inet6" {
            text = words.need()?;
        }
        let address = super::line::address(&text, &mut self.said);
        let address = address.ok_or_else(|| Found::from(format!("invalid route {what} address {text}")))?;
        self.family(address.is_ipv6())?;
        Ok(address)
    }

    fn word(&mut self, word: &str, words: &mut Words<'_>) -> Result<(), Found> {
        const WIDE: i64 = u32::MAX as i64;
        if let Some((_, kind, shown, most)) = NUMBERS.iter().find(|(name, ..)| *name == word) {
            let text = words.need()?;
            let wrong = || format!("Invalid {shown} {text} specified for route");
            self.route.metrics.push((*kind, super::line::number(&text, *most, wrong)?));
            return Ok(());
        }
        if let Some((name, kind, shown)) = LOCKABLE.iter().find(|(name, ..)| *name == word) {
            return self.lockable((name, *kind), shown, words);
        }
        match word {
            "inet" | "inet6" => {
                // As in keepalived, which does not look at the word that follows.
                words.next();
                return self.family(word == "inet6");
            }
            "to" => {
                let text = words.need()?;
                return self.to(&text);
            }
            "gw" | "via" => {
                if word == "gw" {
                    self.said.push(complain("\"gw\" for routes is deprecated. Please use \"via\""));
                }
                self.route.via = Some(self.address(words, "via")?);
            }
            "src" => self.route.preferred_source = Some(self.address(words, "src")?),
            "from" => {
                let address = self.address(words, "from")?;
                self.route.source = Some((address, if address.is_ipv6() { 128 } else { 32 }));
            }
            "as" => return Err("'as [to]' (nat) not supported".into()),
            "dev" | "oif" => self.route.dev = Some(words.need()?),
            "tos" | "dsfield" => self.route.tos = super::line::tos(&words.need()?)?,
            "table" => self.route.table = super::line::table(&words.need()?, "route")?,
            "protocol" => {
                let text = words.need()?;
                let number = super::line::named(&text, &super::line::PROTOCOLS)
                    .ok_or_else(|| Found::from(format!("Protocol {text} not found or invalid for route")))?;
                self.foreign = number != KEEPALIVED;
                self.route.protocol = Some(number);
            }
            "scope" => {
                let text = words.need()?;
                let scope = super::line::named(&text, &super::line::SCOPES)
                    .ok_or_else(|| Found::from(format!("Scope {text} not found or invalid for route")))?;
                self.route.scope = Some(scope);
            }
            "metric" | "priority" | "preference" => {
                let text = words.need()?;
                let metric = super::line::number(&text, WIDE, || format!("Invalid metric {text} specified for route"))?;
                self.route.metric = Some(metric);
            }
            "onlink" => self.route.onlink = true,
            _ => return self.rarer(word, words),
        }
        Ok(())
    }

    /// Words that are seldom seen, and whatever is no word.
    fn rarer(&mut self, word: &str, words: &mut Words<'_>) -> Result<(), Found> {
        match word {
            "expires" => {
                if self.ipv6 != Some(true) {
                    return Err("expires is only valid for IPv6".into());
                }
                let text = words.need()?;
                let wrong = || format!("Invalid expires time {text} specified for route");
                self.route.expires = Some(super::line::number(&text, i64::from(u32::MAX), wrong)?);
            }
            "realms" => {
                let text = words.need()?;
                let realms = super::line::realms(&text);
                self.route.realms =
                    Some(realms.ok_or_else(|| Found::from(format!("Invalid realms {text} for route")))?);
            }
            "features" => {
                let text = words.need()?;
                if text != "ecn" {
                    return Err(format!("feature {text} not supported").into());
                }
                self.route.metrics.push((FEATURES, 1));
            }
            "pref" => return self.pref(words),
            "ttl-propagate" => {
                let text = words.need()?;
                if text != "enabled" && text != "disabled" {
                    return Err(format!("ttl-propagate value {text} not recognised").into());
                }
                self.route.ttl_propagate = Some(text == "enabled");
            }
            "encap" => self.route.encap = self.encap(words),
            "or" => return self.or(words),
            "nexthop" => return self.next_hops(words),
            "no_track" => self.untracked = true,
            "track_group" if self.fixed => self.group = Some(words.need()?),
            kind if let Some(number) = TYPES.iter().position(|name| *name == kind) => {
                let number = number as u8 + 1;
                self.route.kind = Some(match kind {
                    "blackhole" => 6,
                    "unreachable" => 7,
                    "prohibit" => 8,
                    "throw" => 9,
                    "nat" => 10,
                    _ => number,
                });
            }
            other if self.destination.is_none() => return self.to(other),
            other => return self.stranger(other),
        }
        Ok(())
    }

    /// `or ADDRESS`: the way so far, and another.
    fn or(&mut self, words: &mut Words<'_>) -> Result<(), Found> {
        self.said.push(complain("\"or\" for routes is deprecated. Please use \"nexthop\""));
        let text = words.need()?;
        let Some(other) = super::line::address(&text, &mut self.said) else {
            return Err(format!("Invalid \"or\" address {text}").into());
        };
        let hop = |via| NextHop { via, ..NextHop::default() };
        self.route.next_hops = vec![hop(self.route.via.take()), hop(Some(other))];
        Ok(())
    }

    fn stranger(&mut self, text: &str) -> Result<(), Found> {
        self.said.push(complain(format!("VRRP parsed invalid IP {text}. skipping IP...")));
        Err(format!("unknown route keyword {text}").into())
    }

    fn to(&mut self, text: &str) -> Result<(), Found> {
        match text {
            "default" | "any" | "all" => self.route.destination = everywhere(self.ipv6 == Some(true)),
            "default6" => {
                self.family(true)?;
                self.route.destination = everywhere(true);
            }
            _ => match super::address::ip_and_prefix(text, &mut self.said) {
                Some((ip, length)) => {
                    self.family(ip.is_ipv6())?;
                    self.route.destination = (ip, length);
                }
                None => return self.stranger(text),
            },
        }
        self.destination = Some(text.to_owned());
        Ok(())
    }

    fn lockable(&mut self, (name, kind): (&str, u16), shown: &str, words: &mut Words<'_>) -> Result<(), Found> {
        let mut text = words.need()?;
        if text == "lock" {
            text = words.need()?;
            self.route.locked |= 1_u32.checked_shl(u32::from(kind)).unwrap_or_default();
        }
        let number = match name {
            "congctl" => {
                self.route.congestion = Some(text);
                return Ok(());
            }
            "lock" => return Err(format!("unknown route keyword {name}").into()),
            "rtt" | "rttvar" | "rto_min" => {
                let end = if name == "rto_min" { " specified for route" } else { " for route" };
                let (number, bare) = time(&text, || format!("Invalid {shown} {text}{end}"))?;
                // The kernel counts in parts of a millisecond; as in keepalived, only what has no unit is converted.
                number.saturating_mul(match name {
                    "rtt" if bare => 8,
                    "rttvar" if bare => 4,
                    _ => 1,
                })
            }
            _ => super::line::number(&text, i64::from(u32::MAX), || {
                format!("Invalid {shown} {text} specified for route")
            })?,
        };
        self.route.metrics.push((kind, number));
        Ok(())
    }

    fn pref(&mut self, words: &mut Words<'_>) -> Result<(), Found> {
        let text = words.need()?;
        if self.ipv6 != Some(true) {
            return Err("pref is only valid for IPv6".into());
        }
        self.route.preference = Some(match text.as_str() {
            "low" => 3,
            "medium" => 0,
            "high" => 1,
            _ => return Err(format!("Invalid pref value {text} specified for route").into()),
        });
        Ok(())
    }

    fn encap(&mut self, words: &mut Words<'_>) -> Option<Encap> {
        encap::read(words, &mut self.said)
    }

    fn next_hops(&mut self, words: &mut Words<'_>) -> Result<(), Found> {
        let mut hop = NextHop::default();
        while let Some(word) = words.next() {
            match word.as_str() {
                "nexthop" => self.route.next_hops.push(std::mem::take(&mut hop)),
                "onlink" => hop.onlink = true,
                "via" => {
                    let mut text = words.need()?;
                    if text == "inet" || text == "inet6" {
                        text = words.need()?;
                    }
                    let address = super::line::address(&text, &mut self.said);
                    let address = address.ok_or_else(|| Found::from(format!("invalid nexthop address {text}")))?;
                    self.ipv6.get_or_insert_with(|| address.is_ipv6());
                    if self.ipv6 != Some(address.is_ipv6()) {
                        return Err("IPv4/6 mismatch for nexthop".into());
                    }
                    hop.via = Some(address);
                }
                "dev" | "oif" => hop.dev = Some(words.need()?),
                "weight" => {
                    let text = words.need()?;
                    let wrong = || format!("Invalid weight {text} specified for route");
                    match super::line::number(&text, 256, wrong) {
                        Ok(0) => return Err("Invalid weight 0 specified for route".into()),
                        Ok(weight) => hop.weight = Some(u8::try_from(weight - 1).unwrap_or(u8::MAX)),
                        Err(found) => {
                            self.said.extend(found.before.into_iter().chain([found.text]).map(complain));
                        }
                    }
                }
                "encap" => hop.encap = self.encap(words),
                "realms" => hop.realms = super::line::realms(&words.need()?),
                other => return Err(format!("Route has trailing nonsense after nexthops - {other}").into()),
            }
        }
        self.route.next_hops.push(hop);
        Ok(())
    }

    fn finish(&mut self) -> Result<Given, Found> {
        let Some(destination) = &self.destination else { return Err("Route must have a destination".into()) };
        if self.foreign && !self.untracked {
            let text = format!(
                "Route cannot be tracked if protocol is not RTPROT_KEEPALIVED({KEEPALIVED}), resetting protocol"
            );
            self.said.push(complain(text));
        }
        if !self.untracked {
            self.route.protocol = Some(KEEPALIVED);
        }
        let tracked = !self.untracked && self.route.dev.is_some();
        if self.route.dev.is_none() && !self.untracked {
            if self.group.is_some() {
                self.said.push(complain("Static route cannot have track group if no oif specified"));
            }
            let text = format!("Warning - cannot track route {destination} with no interface specified, not tracking");
            self.said.push(complain(text));
        }
        let ipv6 = self.ipv6 == Some(true);
        let mut route = self.route.clone();
        route.ipv6 = ipv6;
        if destination == "default" || destination == "any" || destination == "all" {
            route.destination = everywhere(ipv6);
        }
        Ok(Given { route, tracked, group: self.group.clone() })
    }
}

/// Milliseconds: a number with `s` or `ms` behind it; whether there is neither.
fn time(text: &str, wrong: impl FnOnce() -> String) -> Result<(u32, bool), Found> {
    let (digits, factor, bare) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => (digits, 1, false),
        (None, Some(digits)) => (digits, 1000, false),
        (None, None) => (text, 1, true),
    };
    let number = super::line::number(digits, i64::from(u32::MAX), wrong)?;
    Ok((number.saturating_mul(factor), bare))
}
