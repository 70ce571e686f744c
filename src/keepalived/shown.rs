//! Routes and rules as keepalived shows them, in its log and its dumps.

use super::blocks::{route, rule};
use super::slot::general;
use crate::kernel::encap::{Addresses, Encap, Tunnel};
use crate::kernel::route::{MAIN_TABLE, NextHop};
use crate::kernel::rule::Action;
use std::fmt;
use std::net::IpAddr;

/// A network; the length of a host's is left out.
fn network((ip, length): (IpAddr, u8)) -> String {
    let host = if ip.is_ipv6() { 128 } else { 32 };
    if length == host { ip.to_string() } else { format!("{ip}/{length}") }
}

const fn family(ip: IpAddr) -> &'static str {
    if ip.is_ipv6() { "inet6" } else { "inet" }
}

/// What becomes of packets, as the kernel numbers it.
const fn kind(number: u8) -> &'static str {
    match number {
        2 => "local",
        3 => "broadcast",
        4 => "anycast",
        5 => "multicast",
        6 => "blackhole",
        7 => "unreachable",
        8 => "prohibit",
        9 => "throw",
        10 => "nat",
        _ => "unicast",
    }
}

/// `realm DESTINATION`, or `realms SOURCE/DESTINATION`.
fn realms(number: u32) -> String {
    match (number >> 16, number & 0xffff) {
        (0, destination) => format!(" realm {destination}"),
        (source, destination) => format!(" realms {source}/{destination}"),
    }
}

/// Milliseconds, of which `unit` make one.
fn time(number: u32, unit: u32) -> String {
    if number >= unit * 1000 {
        format!("{}s", general(f64::from(number) / f64::from(unit * 1000)))
    } else {
        format!("{}ms", number / unit)
    }
}

/// The numbers of a route, in keepalived's order: the kernel's number, a name, and how it is shown.
const METRICS: [(u16, &str, Style); 14] = [
    (4, "rtt", Style::Time(8)),
    (5, "rttvar", Style::Time(4)),
    (13, "rto_min", Style::Time(1)),
    (12, "features", Style::Features),
    (2, "mtu", Style::Number),
    (3, "window", Style::Number),
    (6, "ssthresh", Style::Number),
    (7, "cwnd", Style::Number),
    (8, "advmss", Style::Number),
    (9, "reordering", Style::Number),
    (10, "hoplimit", Style::Number),
    (11, "initcwnd", Style::Number),
    (14, "initrwnd", Style::Number),
    (15, "quickack", Style::Number),
];

/// TCP fast open, which is shown behind the preference.
const FASTOPEN: u16 = 17;

/// How a number of a route is shown.
#[derive(Clone, Copy)]
enum Style {
    Time(u32),
    Features,
    Number,
}

impl fmt::Display for route::Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let route = &self.route;
        if let Some(number) = route.kind.filter(|number| *number != 1) {
            write!(f, "{} ", kind(number))?;
        }
        write!(f, "{}", network(route.destination))?;
        if let Some(source) = route.source {
            write!(f, " from {}", network(source))?;
        }
        if let Some(source) = route.preferred_source {
            write!(f, " src {source}")?;
        }
        if route.tos != 0 {
            write!(f, " tos {}", route.tos)?;
        }
        route.encap.as_ref().map_or(Ok(()), |header| encap(f, header))?;
        if let Some(via) = route.via {
            write!(f, " via {} {via}", family(via))?;
        }
        if let Some(dev) = &route.dev {
            write!(f, " dev {dev}")?;
        }
        let table = (route.table != MAIN_TABLE).then_some(route.table);
        let numbers = [
            ("table", table),
            ("proto", route.protocol.map(u32::from)),
            ("scope", route.scope.map(u32::from)),
            ("metric", route.metric),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                write!(f, " {name} {number}")?;
            }
        }
        if route.onlink && !route.ipv6 {
            write!(f, " onlink")?;
        }
        write!(f, "{}", route.realms.map(realms).unwrap_or_default())?;
        if let Some(expires) = route.expires {
            write!(f, " expires {expires}sec")?;
        }
        self.metrics(f)?;
        route.next_hops.iter().try_for_each(|hop| next_hop(f, hop))?;
        if !self.tracked {
            write!(f, " no_track")?;
        }
        self.group.as_ref().map_or(Ok(()), |group| write!(f, " track_group {group}"))
    }
}

impl route::Given {
    fn metrics(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let route = &self.route;
        let locked = |number: u16| route.locked >> number & 1 == 1;
        let value = |number: u16| route.metrics.iter().find(|(kind, _)| *kind == number).map(|(_, value)| *value);
        if let Some(name) = &route.congestion {
            write!(f, " congctl {name}{}", if locked(16) { "lock " } else { "" })?;
        }
        for (number, name, style) in METRICS {
            let Some(value) = value(number) else { continue };
            let lock = if locked(number) { "lock " } else { "" };
            match style {
                Style::Time(unit) => write!(f, " {name}{} {}", lock.trim_end(), time(value, unit))?,
                Style::Features => write!(f, " {name} ecn")?,
                Style::Number => write!(f, " {name} {lock}{value}")?,
            }
        }
        if let Some(preference) = route.preference {
            let word = match preference {
                0 => "medium",
                1 => "high",
                3 => "low",
                _ => "unknown",
            };
            write!(f, " pref {word}")?;
        }
        if let Some(value) = value(FASTOPEN) {
            write!(f, " fastopen_no_cookie {value}")?;
        }
        match route.ttl_propagate {
            Some(propagate) => write!(f, " ttl-propagate {}abled", if propagate { "en" } else { "dis" }),
            None => Ok(()),
        }
    }
}

fn next_hop(f: &mut fmt::Formatter<'_>, hop: &NextHop<String>) -> fmt::Result {
    f.write_str(" nexthop")?;
    if let Some(via) = hop.via {
        write!(f, " via {} {via}", family(via))?;
    }
    if let Some(dev) = &hop.dev {
        write!(f, " dev {dev}")?;
    }
    if let Some(weight) = hop.weight {
        write!(f, " weight {}", u32::from(weight) + 1)?;
    }
    if hop.onlink {
        f.write_str(" onlink")?;
    }
    f.write_str(&hop.realms.map(realms).unwrap_or_default())?;
    hop.encap.as_ref().map_or(Ok(()), |header| encap(f, header))
}

fn encap(f: &mut fmt::Formatter<'_>, header: &Encap) -> fmt::Result {
    match header {
        Encap::Tunnel(header) => tunnel(f, header),
        Encap::Mpls(labels) => {
            // Whole entries of the stack, in keepalived's way.
            let entries: Vec<String> = labels.entries().iter().map(|entry| format!("{entry:x}")).collect();
            let between = if entries.is_empty() { "" } else { " " };
            write!(f, " encap mpls{between}{}", entries.join("/"))
        }
        Encap::Ila(locator) => write!(f, " encap ila {}", u64::from_ne_bytes(*locator)),
    }
}

fn tunnel(f: &mut fmt::Formatter<'_>, header: &Tunnel) -> fmt::Result {
    let (kind, dst, src, tos, ttl) = match header.addresses {
        Addresses::Ipv4 { dst, src } => ("ip", dst.map(IpAddr::V4), src.map(IpAddr::V4), "tos", "ttl"),
        Addresses::Ipv6 { dst, src } => ("ip6", dst.map(IpAddr::V6), src.map(IpAddr::V6), "tc", "hoplimit"),
    };
    write!(f, " encap {kind}")?;
    if let Some(id) = header.id {
        write!(f, " id {id}")?;
    }
    for (name, ip) in [("dst", dst), ("src", src)] {
        ip.map_or(Ok(()), |ip| write!(f, " {name} {ip}"))?;
    }
    for (name, number) in [(tos, header.tos), (ttl, header.ttl)] {
        number.map_or(Ok(()), |number| write!(f, " {name} {number}"))?;
    }
    header.flags.map_or(Ok(()), |flags| write!(f, " flags 0x{flags:x}"))
}

impl fmt::Display for rule::Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = &self.rule;
        if rule.from.is_none() && rule.to.is_none() && rule.ipv6 {
            f.write_str("inet6 ")?;
        }
        let not = if rule.invert { "not " } else { "" };
        write!(f, "{not}from {}", rule.from.map_or_else(|| "all".to_owned(), network))?;
        if let Some(to) = rule.to {
            write!(f, " to {}", network(to))?;
        }
        if let Some(priority) = rule.priority {
            write!(f, " priority {priority}")?;
        }
        write!(f, " tos 0x{:x}", rule.tos)?;
        if let Some((mark, mask)) = rule.mark {
            write!(f, " fwmark 0x{mark:x}")?;
            if let Some(mask) = mask.filter(|mask| *mask != u32::MAX) {
                write!(f, "/0x{mask:x}")?;
            }
        }
        for (name, interface) in [("iif", &rule.input), ("oif", &rule.output)] {
            if let Some(interface) = interface {
                write!(f, " {name} {interface}")?;
            }
        }
        for (name, number) in [("suppress_prefixlen", rule.suppress_prefix), ("suppress_ifgroup", rule.suppress_group)]
        {
            if let Some(number) = number {
                write!(f, " {name} {number}")?;
            }
        }
        if let Some(tunnel) = rule.tunnel {
            write!(f, " tunnel-id {tunnel}")?;
        }
        if let Some((first, last)) = rule.users {
            write!(f, " uidrange {first}-{last}")?;
        }
        if rule.action == Action::L3mdev {
            f.write_str(" l3mdev")?;
        }
        for (name, number) in [("protocol", rule.protocol), ("ipproto", rule.ip_protocol)] {
            if let Some(number) = number {
                write!(f, " {name} {number}")?;
            }
        }
        for (name, ports) in [("sport", rule.source_ports), ("dport", rule.destination_ports)] {
            if let Some((first, last)) = ports {
                write!(f, " {name} {first}-{last}")?;
            }
        }
        if let Some(realms) = rule.realms {
            write!(f, " realms {}/{}", realms >> 16, realms & 0xffff)?;
        }
        match rule.action {
            Action::Table(table) => write!(f, " lookup {table}")?,
            Action::L3mdev => write!(f, " lookup 0")?,
            Action::Goto(target) => write!(f, " goto {target}")?,
            Action::Nop => write!(f, " nop")?,
            Action::Blackhole => write!(f, " type blackhole")?,
            Action::Unreachable => write!(f, " type unreachable")?,
            Action::Prohibit => write!(f, " type prohibit")?,
        }
        if self.tracked { Ok(()) } else { f.write_str(" no_track") }
    }
}

#[cfg(test)]
mod tests {
    use crate::conf::expand::Environment;
    use crate::conf::source::Memory;
    use crate::keepalived::read::read;
    use crate::keepalived::slot::Machine;

    /// Lines, and how a dump of keepalived 2.1.5 shows them.
    const ROUTES: [(&str, &str); 9] = [
        (
            "203.0.113.0/24 via 10.1.0.254 dev e0 metric 50",
            "203.0.113.0/24 via inet 10.1.0.254 dev e0 proto 18 metric 50",
        ),
        (
            "src 10.1.0.10 to 203.0.114.0/24 dev e1 table 100 mtu lock 1400 advmss 1300",
            "203.0.114.0/24 src 10.1.0.10 dev e1 table 100 proto 18 mtu lock 1400 advmss 1300",
        ),
        ("192.0.2.0/24 gw 10.1.0.253 no_track", "192.0.2.0/24 via inet 10.1.0.253 no_track"),
        ("default via 10.2.0.254 dev e1 table 100", "0.0.0.0/0 via inet 10.2.0.254 dev e1 table 100 proto 18"),
        ("blackhole 203.0.115.0/24", "blackhole 203.0.115.0/24 proto 18 no_track"),
        (
            "203.0.116.0/24 nexthop via 10.1.0.251 weight 3 nexthop via 10.1.0.252 dev e0 weight 2",
            "203.0.116.0/24 proto 18 nexthop via inet 10.1.0.251 weight 3 nexthop via inet 10.1.0.252 dev e0 weight 2 no_track",
        ),
        ("unreachable 203.0.117.0/24 metric 7", "unreachable 203.0.117.0/24 proto 18 metric 7 no_track"),
        ("2001:db8:5::/48 via fe80::99 dev e0", "2001:db8:5::/48 via inet6 fe80::99 dev e0 proto 18"),
        (
            "203.0.118.0/24 dev e0 scope link rtt 100 rttvar 30ms initcwnd 5 hoplimit 9 quickack 1 protocol 5 no_track",
            "203.0.118.0/24 dev e0 proto 5 scope 253 rtt 100ms rttvar 7ms hoplimit 9 initcwnd 5 quickack 1 no_track",
        ),
    ];
    const RULES: [(&str, &str); 6] = [
        ("from 10.1.0.10 table 100 preference 1000", "from 10.1.0.10 priority 1000 tos 0x0 protocol 18 lookup 100"),
        ("to 203.0.114.0/24 lookup 100", "from all to 203.0.114.0/24 priority 16384 tos 0x0 protocol 18 lookup 100"),
        ("fwmark 0x10/0xff table 100", "from all priority 16383 tos 0x0 fwmark 0x10/0xff protocol 18 lookup 100"),
        (
            "not from 10.1.0.0/16 iif e0 unreachable preference 1500",
            "not from 10.1.0.0/16 priority 1500 tos 0x0 iif e0 protocol 18 type unreachable",
        ),
        ("from 10.3.0.0/16 goto 2100 preference 2050", "from 10.3.0.0/16 priority 2050 tos 0x0 protocol 18 goto 2100"),
        (
            "from 10.4.0.0/16 tos 0x10 ipproto tcp dport 80-90 table 100",
            "from 10.4.0.0/16 priority 16382 tos 0x10 protocol 18 ipproto 6 dport 80-90 lookup 100",
        ),
    ];

    #[test]
    fn routes_and_rules_are_shown_as_keepalived_shows_them() {
        let lines = |list: &[(&str, &str)]| list.iter().map(|(line, _)| format!("{line}\n")).collect::<String>();
        let text = format!(
            "vrrp_instance V {{\n interface e0\n virtual_router_id 5\n virtual_ipaddress {{\n 10.1.0.10\n }}\n \
             virtual_routes {{\n{}}}\n virtual_rules {{\n{}}}\n}}\n",
            lines(&ROUTES),
            lines(&RULES)
        );
        let machine = Machine { has_interface: &|_| true, has_user: &|_, _| true, read_secret: &|_| None };
        let reading = read(&Memory::of("k", &text), "k", &Environment::default(), &machine).unwrap();
        assert!(reading.unserved.is_empty(), "{:?}", reading.unserved);
        let instance = &reading.site.instances[0];
        let routes: Vec<String> = instance.routes.iter().map(ToString::to_string).collect();
        let rules: Vec<String> = instance.rules.iter().map(ToString::to_string).collect();
        assert_eq!(routes, ROUTES.map(|(_, shown)| shown));
        assert_eq!(rules, RULES.map(|(_, shown)| shown));
    }

    #[test]
    fn labels_and_locators_are_shown_as_keepalived_has_them_in_memory() {
        let shown = |encap: &str| {
            let text = format!("static_routes {{\n 203.0.113.0/24 via 10.1.0.254 dev e0 encap {encap}\n}}\n");
            let machine = Machine { has_interface: &|_| true, has_user: &|_, _| true, read_secret: &|_| None };
            let reading = read(&Memory::of("k", &text), "k", &Environment::default(), &machine).unwrap();
            assert!(reading.unserved.is_empty(), "{:?}", reading.unserved);
            reading.site.root.routes[0].to_string()
        };
        assert!(shown("mpls 100/200").contains(" encap mpls 64000/c8100"), "{}", shown("mpls 100/200"));
        let number = u64::from_ne_bytes([0x20, 1, 0x0d, 0xb8, 0, 1, 0, 2]);
        assert!(shown("ila 2001:db8:1:2").contains(&format!(" encap ila {number}")), "{}", shown("ila 2001:db8:1:2"));
    }
}
