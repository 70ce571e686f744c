//! What keepalived takes otherwise than it is written.

use super::node::Node;
use super::vrrp::{Address, Instance, Set, Vrrp};
use super::{Found, Rule};
use crate::migrate::report::Severity;
use std::net::IpAddr;

/// The rules.
pub const RULES: [Rule; 15] = [
    rule("keepalived-refuses", Severity::Error, "keepalived does not start with a file", refused),
    rule("keepalived-complains", Severity::Warning, "keepalived's own test of a file fails", complains),
    rule("nopreempt-master", Severity::Warning, "nopreempt with state MASTER has no effect", nopreempt),
    rule("auth-pass-cut", Severity::Warning, "a password is longer than the 8 characters that count", auth_cut),
    rule("auth-clear-text", Severity::Note, "a password travels in clear text", auth_clear),
    rule("garp-interval", Severity::Warning, "an interval makes repeated gratuitous ARPs collapse", garp),
    rule("strict-auth", Severity::Warning, "vrrp_strict drops authentication and unicast", strict),
    rule("vrid-twice", Severity::Error, "a VRID is used twice on one interface", vrid_twice),
    rule("no-address", Severity::Warning, "a virtual router holds no address", no_address),
    rule("vip-is-network", Severity::Error, "a virtual address is a network's own or its broadcast address", network),
    rule("vip-elsewhere", Severity::Warning, "a virtual address is outside the network of its interface", elsewhere),
    rule("script-unknown", Severity::Error, "a script is tracked that is not defined", unknown),
    rule("script-not-tracked", Severity::Warning, "a script is defined that nobody tracks", untracked),
    rule("nothing-tracked", Severity::Warning, "nginx may be down and the address stays", nothing_tracked),
    rule("advert-fraction", Severity::Warning, "version 2 rounds advert_int to whole seconds", fraction),
];

const fn rule(id: &'static str, severity: Severity, title: &'static str, check: fn(&[Node], &mut Found<'_>)) -> Rule {
    Rule { id, severity, title, check }
}

fn files(nodes: &[Node]) -> impl Iterator<Item = &Vrrp> {
    nodes.iter().flat_map(|node| &node.keepalived)
}

fn instances(nodes: &[Node]) -> impl Iterator<Item = &Instance> {
    nodes.iter().flat_map(Node::instances)
}

fn refused(nodes: &[Node], found: &mut Found<'_>) {
    for line in files(nodes).filter_map(|file| file.refused.as_ref()) {
        found.add(&[], format!("keepalived ends at this: {line}"), "");
    }
}

fn complains(nodes: &[Node], found: &mut Found<'_>) {
    for file in files(nodes) {
        for line in &file.complaints {
            found.add(&[], format!("keepalived says: {line}"), "");
        }
    }
}

fn nopreempt(nodes: &[Node], found: &mut Found<'_>) {
    for one in instances(nodes).filter(|one| one.is_master() && one.get("nopreempt").is_some()) {
        let text = format!(
            "{}: keepalived clears nopreempt because state is MASTER: this node takes the addresses back when it returns, \
             and does so with or without nopreempt",
            one.name
        );
        let help =
            "to keep the addresses where they are, give every node state BACKUP; to take them back, drop nopreempt";
        found.add(&[one.at("nopreempt"), one.at("state")], text, help);
    }
}

fn auth_cut(nodes: &[Node], found: &mut Found<'_>) {
    for one in instances(nodes) {
        if let Some(pass) = one.get("auth_pass").filter(|pass| pass.value.len() > 8) {
            let text = format!("{}: auth_pass has {} characters, of which 8 count", one.name, pass.value.len());
            found.add(std::slice::from_ref(&pass.place), text, "cut it, so that nobody trusts in the rest");
        }
    }
}

fn auth_clear(nodes: &[Node], found: &mut Found<'_>) {
    for one in instances(nodes) {
        if let Some(kind) = one.get("auth_type").filter(|kind| kind.value.eq_ignore_ascii_case("PASS")) {
            let text = format!(
                "{}: auth_type PASS sends the password in every advert, readable for the whole network",
                one.name
            );
            let help =
                "it tells clusters apart and keeps nobody out; VRRP belongs in a network of its own, or unicast_peer";
            found.add(std::slice::from_ref(&kind.place), text, help);
        }
    }
}

fn garp(nodes: &[Node], found: &mut Found<'_>) {
    for file in files(nodes) {
        let has = |v6: bool| file.instances.iter().flat_map(|one| &one.addresses).any(|at| at.ip.is_ipv6() == v6);
        let repeats = |one: &Instance| one.number("garp_master_repeat", 5.0) > 1.0;
        let paced = |set: &&Set| set.value.parse::<f64>().is_ok_and(|seconds| seconds > 0.0);
        for set in file.intervals.iter().filter(paced) {
            let (what, v6) = match set.name.as_str() {
                "vrrp_garp_interval" => ("gratuitous ARPs", false),
                _ => ("unsolicited neighbour advertisements", true),
            };
            if has(v6) && file.instances.iter().any(repeats) {
                let text = format!(
                    "{} {}: of the {what} a new master repeats, only the first and one more go out each time, since the \
                     queue holds one of each address",
                    set.name, set.value
                );
                found.add(
                    std::slice::from_ref(&set.place),
                    text,
                    "without the line all of them are sent, which is the default",
                );
            }
        }
    }
}

fn strict(nodes: &[Node], found: &mut Found<'_>) {
    for file in files(nodes) {
        let Some(place) = &file.strict else { continue };
        for one in &file.instances {
            let what = match () {
                () if one.get("auth_type").is_some() => "authentication",
                () if !one.peers.is_empty() => "unicast_peer",
                () => continue,
            };
            let text = format!("{}: vrrp_strict does not allow {what}", one.name);
            found.add(
                &[place.clone(), one.at("auth_type")],
                text,
                "drop vrrp_strict, which also makes the address unreachable",
            );
        }
    }
}

fn vrid_twice(nodes: &[Node], found: &mut Found<'_>) {
    for node in nodes {
        let all: Vec<_> = node.instances().collect();
        for (at, one) in all.iter().enumerate() {
            let key = |one: &Instance| {
                let value = |name| one.get(name).map(|set| set.value.clone());
                let v6 = one.addresses.first().is_some_and(|at| at.ip.is_ipv6());
                value("virtual_router_id").map(|vrid| (vrid, value("interface"), v6))
            };
            let same = |other: &&&Instance| key(one).is_some() && key(other) == key(one);
            if let Some(other) = all.get(..at).unwrap_or_default().iter().find(same) {
                let text = format!("{} and {} have one VRID on one interface: keepalived stops", other.name, one.name);
                found.add(&[other.at("virtual_router_id"), one.at("virtual_router_id")], text, "give each its own");
            }
        }
    }
}

fn no_address(nodes: &[Node], found: &mut Found<'_>) {
    for one in instances(nodes).filter(|one| one.addresses.is_empty()) {
        let text = format!("{}: there is no virtual_ipaddress that keepalived could hold", one.name);
        found.add(std::slice::from_ref(&one.place), text, "");
    }
}

fn network(nodes: &[Node], found: &mut Found<'_>) {
    for address in instances(nodes).flat_map(|one| &one.addresses) {
        let (IpAddr::V4(ip), Some(prefix @ 1..=30)) = (address.ip, address.prefix) else { continue };
        let hosts = u32::MAX >> prefix;
        let rest = ip.to_bits() & hosts;
        if rest == 0 || rest == hosts {
            let text = format!("{ip}/{prefix} is no host's address: it is its network's first or last");
            found.add(std::slice::from_ref(&address.place), text, "");
        }
    }
}

/// A network as the addresses of an instance say it: first address, prefix, and who says so.
type Network = (u32, u8, String);

fn elsewhere(nodes: &[Node], found: &mut Found<'_>) {
    for one in instances(nodes) {
        let local = one.addresses.iter().filter(|address| is_on(address, one));
        let wide: Vec<Network> = local.clone().filter_map(own_network).collect();
        for address in local {
            let IpAddr::V4(ip) = address.ip else { continue };
            let fixed = [one.source, one.peers.first().copied()].into_iter().flatten();
            let fixed = fixed.filter_map(|ip| if let IpAddr::V4(ip) = ip { Some(ip) } else { None }).next();
            let text = match (own_network(address), fixed) {
                (Some((_, prefix, _)), Some(node)) if !within(node.to_bits(), ip.to_bits(), prefix) => {
                    format!("{}: {ip}/{prefix} is not of the network of the nodes' own address {node}", one.name)
                }
                (None, _)
                    if !wide.is_empty() && !wide.iter().any(|(net, prefix, _)| within(ip.to_bits(), *net, *prefix)) =>
                {
                    let (_, _, other) = wide.first().cloned().unwrap_or_default();
                    format!("{}: {ip} is not of the network of {other} beside it", one.name)
                }
                _ => continue,
            };
            let help = "clients find it only through a router that sends it there; where it lies on another interface, say dev";
            found.add(std::slice::from_ref(&address.place), text, help);
        }
    }
}

/// Whether an address is put on the instance's own interface.
fn is_on(address: &Address, one: &Instance) -> bool {
    let own = one.get("interface").map(|set| set.value.as_str());
    address.dev.as_deref().is_none_or(|dev| Some(dev) == own)
}

/// The network an address with a prefix says it is in.
fn own_network(address: &Address) -> Option<Network> {
    match (address.ip, address.prefix) {
        (IpAddr::V4(ip), Some(prefix @ 8..=30)) => Some((ip.to_bits(), prefix, format!("{ip}/{prefix}"))),
        _ => None,
    }
}

const fn within(ip: u32, net: u32, prefix: u8) -> bool {
    (ip ^ net) >> (32 - prefix as u32) == 0
}

fn unknown(nodes: &[Node], found: &mut Found<'_>) {
    for node in nodes {
        let known = |name: &str| node.keepalived.iter().flat_map(|file| &file.scripts).any(|one| one.name == name);
        for (set, _) in node.instances().flat_map(|one| &one.tracked).filter(|(set, _)| !known(&set.value)) {
            let text = format!("there is no vrrp_script {}: keepalived runs without the check", set.value);
            found.add(std::slice::from_ref(&set.place), text, "define it above the instance");
        }
    }
}

fn untracked(nodes: &[Node], found: &mut Found<'_>) {
    for file in files(nodes).filter(|file| !file.instances.is_empty()) {
        let tracks = |name: &str| file.instances.iter().flat_map(|one| &one.tracked).any(|(set, _)| set.value == name);
        // Groups of virtual routers track scripts too, and are not looked into.
        for script in file.scripts.iter().filter(|script| !tracks(&script.name) && !file.groups_track) {
            let text = format!("vrrp_script {} is run for nobody: no virtual router tracks it", script.name);
            found.add(std::slice::from_ref(&script.place), text, "name it in the instance's track_script");
        }
    }
}

fn nothing_tracked(nodes: &[Node], found: &mut Found<'_>) {
    for node in nodes.iter().filter(|node| !node.nginx.is_empty()) {
        for file in node.keepalived.iter().filter(|file| !file.groups_track) {
            for one in file.instances.iter().filter(|one| one.tracked.is_empty() && !one.tracks_more) {
                let text =
                    format!("{}: nothing is tracked: when nginx is down, the addresses stay on this node", one.name);
                found.add(std::slice::from_ref(&one.place), text, "track a script or a process");
            }
        }
    }
}

fn fraction(nodes: &[Node], found: &mut Found<'_>) {
    for one in instances(nodes).filter(|one| one.version == 2) {
        let seconds = one.number("advert_int", 1.0);
        if seconds > 0.0 && seconds.fract() != 0.0 {
            let text = format!("{}: advert_int {seconds} is rounded, because version 2 counts whole seconds", one.name);
            found.add(&[one.at("advert_int")], text, "version 3 has fractions");
        }
    }
}
