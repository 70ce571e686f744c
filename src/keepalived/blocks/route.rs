//! The lines of `virtual_routes` and `static_routes`: judged word by word. Not served yet.

use super::instance::Instance;
use super::line::{Found, Need, Words};
use super::root::Root;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive};
use crate::conf::module::Module;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::{STATIC_ROUTE, TRACK_GROUP, VIRTUAL_ROUTE};
use crate::keepalived::slot::complain;

/// The words of route lines.
pub const MODULE: Module = Module { name: "routes", directives: DIRECTIVES, scopes: &[] };

const LINES: Contexts = VIRTUAL_ROUTE.or(STATIC_ROUTE);

const fn word(name: &'static str) -> Directive {
    Directive::missing(name, LINES, Arity::AtLeast(0))
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
    word("encap").doc("How packets are encapsulated."),
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
    Directive::missing("track_group", STATIC_ROUTE, Arity::AtLeast(0)).doc("The group it is tracked with."),
];

/// `virtual_routes {`.
///
/// # Errors
/// None; complaints are about single lines.
pub fn virtual_routes(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Result<(), Diagnostic> {
    read(cx, statement, &mut instance.needs);
    Ok(())
}

/// `static_routes {`.
///
/// # Errors
/// None; complaints are about single lines.
pub fn static_routes(cx: &mut Setting<'_>, root: &mut Root, statement: &Statement) -> Result<(), Diagnostic> {
    read(cx, statement, &mut root.needs);
    Ok(())
}

fn read(cx: &mut Setting<'_>, statement: &Statement, needs: &mut Vec<Need>) {
    let fixed = cx.row.name == "static_routes";
    for line in super::track::lines(cx, statement) {
        let mut route = Route { fixed, ..Route::default() };
        let mut words = Words::of(&line);
        let mut outcome = Ok(());
        while let (Ok(()), Some(word)) = (&outcome, words.next()) {
            outcome = route.word(&word, &mut words);
        }
        let outcome = outcome.and_then(|()| route.finish());
        route.said.into_iter().for_each(|complaint| cx.report(complaint.at(line.span)));
        match outcome {
            Ok(()) => needs.extend(route.dev.map(|dev| Need::vital(dev, "VROUTE nexthop", line.span))),
            Err(found) => found.report(cx, line.span),
        }
        if let Some(group) = route.group
            && !super::track::defined(cx, TRACK_GROUP, &group)
        {
            cx.report(complain(format!("track_group {group} not found")).at(line.span));
        }
    }
}

/// What a line has said so far.
#[derive(Default)]
struct Route {
    /// In `static_routes`.
    fixed: bool,
    ipv6: Option<bool>,
    destination: Option<String>,
    dev: Option<String>,
    untracked: bool,
    /// Another protocol's.
    foreign: bool,
    group: Option<String>,
    said: Vec<Diagnostic>,
}

/// The routing protocol that is keepalived's own.
const OWN: u8 = 18;
const TYPES: [&str; 10] =
    ["unicast", "local", "broadcast", "anycast", "multicast", "throw", "unreachable", "prohibit", "blackhole", "nat"];
const NUMBERS: [(&str, &str, i64); 8] = [
    ("hoplimit", "hoplimit", 255),
    ("window", "window value", u32::MAX as i64),
    ("initcwnd", "initcwnd value", u32::MAX as i64),
    ("initrwnd", "initrwnd value", u32::MAX as i64),
    ("quickack", "quickack value", 1),
    ("fastopen_no_cookie", "fastopen_no_cookie value", 1),
    ("expires", "expires time", u32::MAX as i64),
    ("metric", "metric", u32::MAX as i64),
];
const LOCKABLE: [(&str, &str); 10] = [
    ("mtu", "MTU"),
    ("advmss", "advmss"),
    ("reordering", "reordering value"),
    ("cwnd", "cwnd value"),
    ("ssthresh", "ssthresh value"),
    ("rtt", "rtt"),
    ("rttvar", "rttvar"),
    ("rto_min", "rto_min value"),
    ("congctl", ""),
    ("lock", ""),
];

impl Route {
    fn family(&mut self, ipv6: bool) -> Result<(), Found> {
        match self.ipv6.replace(ipv6) {
            Some(other) if other != ipv6 => Err("Cannot mix IPv4 and IPv6 addresses for route".into()),
            _ => Ok(()),
        }
    }

    fn address(&mut self, words: &mut Words<'_>, what: &str) -> Result<(), Found> {
        let mut text = words.need()?;
        if text == "inet" || text == "inet6" {
            text = words.need()?;
        }
        let address = super::line::address(&text, &mut self.said);
        let address = address.ok_or_else(|| Found::from(format!("invalid route {what} address {text}")))?;
        self.family(address.is_ipv6())
    }

    fn word(&mut self, word: &str, words: &mut Words<'_>) -> Result<(), Found> {
        if let Some((_, shown, most)) = NUMBERS.iter().find(|(name, ..)| *name == word) {
            if word == "expires" && self.ipv6 != Some(true) {
                return Err("expires is only valid for IPv6".into());
            }
            let text = words.need()?;
            return super::line::number(&text, *most, || format!("Invalid {shown} {text} specified for route"));
        }
        if let Some((name, shown)) = LOCKABLE.iter().find(|(name, _)| *name == word) {
            return Self::lockable(name, shown, words);
        }
        match word {
            "inet" | "inet6" => return self.family(word == "inet6"),
            "to" => {
                let text = words.need()?;
                return self.to(&text);
            }
            "gw" => {
                self.said.push(complain("\"gw\" for routes is deprecated. Please use \"via\""));
                return self.address(words, "via");
            }
            "via" => return self.address(words, "via"),
            "src" => return self.address(words, "src"),
            "from" => return self.address(words, "from"),
            "as" => return Err("'as [to]' (nat) not supported".into()),
            "dev" | "oif" => self.dev = Some(words.need()?),
            "tos" | "dsfield" => super::line::tos(&words.need()?)?,
            "table" => super::line::table(&words.need()?, "route")?,
            "protocol" => {
                let text = words.need()?;
                let number = super::line::named(&text, &super::line::PROTOCOLS)
                    .ok_or_else(|| Found::from(format!("Protocol {text} not found or invalid for route")))?;
                self.foreign = number != OWN;
            }
            "scope" => {
                let text = words.need()?;
                super::line::named(&text, &super::line::SCOPES)
                    .ok_or_else(|| Found::from(format!("Scope {text} not found or invalid for route")))?;
            }
            "priority" | "preference" => {
                let text = words.need()?;
                let most = i64::from(u32::MAX);
                super::line::number(&text, most, || format!("Invalid metric {text} specified for route"))?;
            }
            "onlink" => {}
            "realms" => {
                let text = words.need()?;
                if !super::line::realms(&text) {
                    return Err(format!("Invalid realms {text} for route").into());
                }
            }
            "features" => {
                let text = words.need()?;
                if text != "ecn" {
                    return Err(format!("feature {text} not supported").into());
                }
            }
            "pref" => return self.pref(words),
            "ttl-propagate" => {
                let text = words.need()?;
                if text != "enabled" && text != "disabled" {
                    return Err(format!("ttl-propagate value {text} not recognised").into());
                }
            }
            "encap" => return Self::encap(words),
            "or" => {
                self.said.push(complain("\"or\" for routes is deprecated. Please use \"nexthop\""));
                let text = words.need()?;
                if super::line::address(&text, &mut self.said).is_none() {
                    return Err(format!("Invalid \"or\" address {text}").into());
                }
            }
            "nexthop" => return self.nexthops(words),
            "no_track" => self.untracked = true,
            "track_group" if self.fixed => self.group = Some(words.need()?),
            kind if TYPES.contains(&kind) => {}
            other if self.destination.is_none() => return self.to(other),
            other => return self.stranger(other),
        }
        Ok(())
    }

    fn stranger(&mut self, text: &str) -> Result<(), Found> {
        self.said.push(complain(format!("VRRP parsed invalid IP {text}. skipping IP...")));
        Err(format!("unknown route keyword {text}").into())
    }

    fn to(&mut self, text: &str) -> Result<(), Found> {
        match text {
            "default" | "any" | "all" => {}
            "default6" => self.family(true)?,
            _ => match super::address::ip_and_prefix(text, &mut self.said) {
                Some((ip, _)) => self.family(ip.is_ipv6())?,
                None => return self.stranger(text),
            },
        }
        self.destination = Some(text.to_owned());
        Ok(())
    }

    fn lockable(name: &str, shown: &str, words: &mut Words<'_>) -> Result<(), Found> {
        let mut text = words.need()?;
        if text == "lock" {
            text = words.need()?;
        }
        match name {
            "congctl" => Ok(()),
            "lock" => Err(format!("unknown route keyword {name}").into()),
            "rtt" | "rttvar" => {
                let digits = text.trim_end_matches('s').trim_end_matches('m');
                super::line::number(digits, i64::from(u32::MAX), || format!("Invalid {shown} {text} for route"))
            }
            _ => {
                let digits = if name == "rto_min" { text.trim_end_matches('s').trim_end_matches('m') } else { &text };
                super::line::number(digits, i64::from(u32::MAX), || {
                    format!("Invalid {shown} {text} specified for route")
                })
            }
        }
    }

    fn pref(&self, words: &mut Words<'_>) -> Result<(), Found> {
        let text = words.need()?;
        if self.ipv6 != Some(true) {
            return Err("pref is only valid for IPv6".into());
        }
        match text.as_str() {
            "low" | "medium" | "high" => Ok(()),
            _ => Err(format!("Invalid pref value {text} specified for route").into()),
        }
    }

    fn encap(words: &mut Words<'_>) -> Result<(), Found> {
        let kind = words.next().ok_or_else(|| Found::from("Missing encap type".to_owned()))?;
        let options: &[&str] = match kind.as_str() {
            "ip" | "ip6" => &["id", "dst", "src", "tos", "tc", "dsfield", "ttl", "hoplimit", "flags"],
            "mpls" | "ila" => {
                words.need()?;
                return Ok(());
            }
            other => return Err(format!("Unknown encap type - {other}").into()),
        };
        while words.peek().is_some_and(|word| options.contains(&&*word)) {
            words.next();
            words.need()?;
        }
        Ok(())
    }

    fn nexthops(&mut self, words: &mut Words<'_>) -> Result<(), Found> {
        while let Some(word) = words.next() {
            match word.as_str() {
                "nexthop" | "onlink" => {}
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
                }
                "dev" | "oif" => {
                    words.need()?;
                }
                "weight" => {
                    let text = words.need()?;
                    let judged =
                        super::line::number(&text, 256, || format!("Invalid weight {text} specified for route"));
                    match judged {
                        Ok(()) if text == "0" => return Err("Invalid weight 0 specified for route".into()),
                        Ok(()) => {}
                        Err(found) => {
                            self.said.extend(found.before.into_iter().chain([found.text]).map(complain));
                        }
                    }
                }
                "encap" => Self::encap(words)?,
                "realms" => {
                    words.need()?;
                }
                other => return Err(format!("Route has trailing nonsense after nexthops - {other}").into()),
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Found> {
        let Some(destination) = &self.destination else { return Err("Route must have a destination".into()) };
        if self.foreign && !self.untracked {
            let text =
                format!("Route cannot be tracked if protocol is not RTPROT_KEEPALIVED({OWN}), resetting protocol");
            self.said.push(complain(text));
        }
        if self.dev.is_none() && !self.untracked {
            if self.group.is_some() {
                self.said.push(complain("Static route cannot have track group if no oif specified"));
            }
            let text = format!("Warning - cannot track route {destination} with no interface specified, not tracking");
            self.said.push(complain(text));
        }
        Ok(())
    }
}
