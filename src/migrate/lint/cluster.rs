//! What has to agree between the nodes of a cluster, and between the programs of a node.

use super::node::Node;
use super::peers::{groups, listeners};
use super::vrrp::Instance;
use super::{Found, Rule};
use crate::migrate::report::Severity;
use std::collections::BTreeSet;

/// The rules.
pub const RULES: [Rule; 19] = [
    rule("router-id-equal", Severity::Note, "two nodes have one router_id", router_id),
    rule("both-master", Severity::Warning, "two nodes begin as master of one virtual router", both_master),
    rule("priority-equal", Severity::Warning, "two nodes have one priority", priority_equal),
    rule("priority-crossing", Severity::Warning, "the node that begins as master has the lower priority", crossing),
    rule("vrid-mismatch", Severity::Error, "nodes share an address and not the VRID", vrid),
    rule("auth-mismatch", Severity::Error, "nodes have different authentication", auth),
    rule("interval-mismatch", Severity::Error, "nodes have different advert_int", interval),
    rule("version-mismatch", Severity::Error, "nodes speak different versions of VRRP", version),
    rule("vip-mismatch", Severity::Error, "nodes hold different addresses under one VRID", vips),
    rule("vip-prefix-mismatch", Severity::Warning, "nodes give one address different prefixes", prefixes),
    rule("unicast-mismatch", Severity::Error, "one node sends to its peers alone and the other to all", unicast),
    rule("weight-too-small", Severity::Error, "a failing script leaves the master's priority the highest", weight),
    rule("all-in-fault", Severity::Note, "one failure on every node leaves the address with nobody", all_in_fault),
    rule("vip-not-listened", Severity::Warning, "nginx does not listen on an address keepalived holds", not_listened),
    rule("vip-bound", Severity::Warning, "nginx binds an address that only the master has", bound),
    rule("vip-as-peer", Severity::Warning, "nginx asks the cluster's own address", vip_as_peer),
    rule("loopback-peer", Severity::Warning, "127.0.0.1 is another server on each node", loopback),
    rule("peers-differ", Severity::Warning, "an upstream has other servers on another node", peers_differ),
    rule("ports-differ", Severity::Warning, "nodes listen on different ports", ports_differ),
];

const fn rule(id: &'static str, severity: Severity, title: &'static str, check: fn(&[Node], &mut Found<'_>)) -> Rule {
    Rule { id, severity, title, check }
}

/// Pairs of nodes.
fn pairs(nodes: &[Node]) -> impl Iterator<Item = (&Node, &Node)> {
    nodes.iter().enumerate().flat_map(|(at, one)| nodes.iter().skip(at + 1).map(move |other| (one, other)))
}

/// The virtual routers that two nodes share: by address, by name, by VRID.
pub fn shared(nodes: &[Node]) -> Vec<(&Instance, &Instance)> {
    let mut out = Vec::new();
    for (one, other) in pairs(nodes) {
        for mine in one.instances() {
            let overlap = |theirs: &&Instance| theirs.addresses.iter().any(|at| mine.ips().contains(&at.ip));
            let named = |theirs: &&Instance| theirs.name == mine.name;
            let vrid = |set: &Instance| set.get("virtual_router_id").map(|set| set.value.clone());
            let numbered = |theirs: &&Instance| vrid(mine).is_some() && vrid(theirs) == vrid(mine);
            let found = other.instances().find(overlap).or_else(|| other.instances().find(named));
            out.extend(found.or_else(|| other.instances().find(numbered)).map(|theirs| (mine, theirs)));
        }
    }
    out
}

fn router_id(nodes: &[Node], found: &mut Found<'_>) {
    for (one, other) in pairs(nodes) {
        let id = |node: &Node| node.keepalived.iter().find_map(|file| file.router_id.clone());
        if let (Some(mine), Some(theirs)) = (id(one), id(other))
            && mine.value == theirs.value
        {
            let text = format!("router_id {} is the name of two nodes", mine.value);
            found.add(&[mine.place, theirs.place], text, "a name of its own tells in mails and logs which node speaks");
        }
    }
}

fn both_master(nodes: &[Node], found: &mut Found<'_>) {
    for (mine, theirs) in shared(nodes).into_iter().filter(|(mine, theirs)| mine.is_master() && theirs.is_master()) {
        let text = format!("{}: two nodes have state MASTER and claim the addresses when they start", mine.name);
        found.add(&[mine.at("state"), theirs.at("state")], text, "give all but one state BACKUP");
    }
}

fn priority_equal(nodes: &[Node], found: &mut Found<'_>) {
    for (mine, theirs) in shared(nodes).into_iter().filter(|(mine, theirs)| mine.priority() == theirs.priority()) {
        let text = format!(
            "{}: two nodes have priority {}; the higher address decides who is master",
            mine.name,
            mine.priority()
        );
        found.add(&[mine.at("priority"), theirs.at("priority")], text, "give each node a priority of its own");
    }
}

fn crossing(nodes: &[Node], found: &mut Found<'_>) {
    for (mine, theirs) in shared(nodes) {
        for (master, backup) in [(mine, theirs), (theirs, mine)] {
            if master.is_master() && !backup.is_master() && master.priority() < backup.priority() {
                let text = format!(
                    "{}: the node with state MASTER has priority {} and the one with state BACKUP {}: it is master for a \
                     moment after its start only",
                    master.name,
                    master.priority(),
                    backup.priority()
                );
                found.add(
                    &[master.at("priority"), backup.at("priority")],
                    text,
                    "the master's priority must be higher",
                );
            }
        }
    }
}

/// Looks for a keyword that two nodes give different values.
fn differ(nodes: &[Node], found: &mut Found<'_>, keyword: &str, default: &str, words: (&str, &str)) {
    for (mine, theirs) in shared(nodes) {
        differ_in(mine, theirs, found, keyword, default, words);
    }
}

fn differ_in(
    mine: &Instance,
    theirs: &Instance,
    found: &mut Found<'_>,
    keyword: &str,
    default: &str,
    (says, help): (&str, &str),
) {
    let value = |one: &Instance| one.get(keyword).map_or_else(|| default.to_owned(), |set| set.value.clone());
    let same = match (value(mine).parse::<f64>(), value(theirs).parse::<f64>()) {
        (Ok(mine), Ok(theirs)) => (mine - theirs).abs() < f64::EPSILON,
        _ => value(mine) == value(theirs),
    };
    if !same {
        let text = format!("{}: {keyword} is {} and {}: {says}", mine.name, value(mine), value(theirs));
        found.add(&[mine.at(keyword), theirs.at(keyword)], text, help);
    }
}

const BOTH: &str = "neither node accepts the other's adverts, and both become master";

fn vrid(nodes: &[Node], found: &mut Found<'_>) {
    differ(nodes, found, "virtual_router_id", "51", (BOTH, "one virtual router has one VRID"));
}

fn interval(nodes: &[Node], found: &mut Found<'_>) {
    // In version 3 a backup takes the interval from the adverts.
    let says = "version 2 discards adverts with another interval, and both become master";
    for (mine, theirs) in shared(nodes).into_iter().filter(|(mine, theirs)| mine.version == 2 || theirs.version == 2) {
        differ_in(mine, theirs, found, "advert_int", "1", (says, "give all nodes one advert_int"));
    }
}

fn version(nodes: &[Node], found: &mut Found<'_>) {
    for (mine, theirs) in shared(nodes).into_iter().filter(|(mine, theirs)| mine.version != theirs.version) {
        let text = format!("{}: version is {} and {}: {BOTH}", mine.name, mine.version, theirs.version);
        found.add(&[mine.at("version"), theirs.at("version")], text, "give all nodes one version");
    }
}

fn auth(nodes: &[Node], found: &mut Found<'_>) {
    for (mine, theirs) in shared(nodes) {
        let kind = |one: &Instance| one.get("auth_type").map_or_else(|| "none".to_owned(), |set| set.value.clone());
        let pass = |one: &Instance| one.get("auth_pass").map(|set| set.value.chars().take(8).collect::<String>());
        let what = match () {
            () if kind(mine) != kind(theirs) => format!("auth_type is {} and {}", kind(mine), kind(theirs)),
            () if pass(mine) != pass(theirs) => "auth_pass differs".to_owned(),
            () => continue,
        };
        let places = [mine.at("auth_pass"), theirs.at("auth_pass")];
        found.add(
            &places,
            format!("{}: {what}: {BOTH}", mine.name),
            "give all nodes one password of at most 8 characters",
        );
    }
}

fn vips(nodes: &[Node], found: &mut Found<'_>) {
    for (mine, theirs) in shared(nodes).into_iter().filter(|(mine, theirs)| mine.ips() != theirs.ips()) {
        let list = |one: &Instance| one.ips().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let text = format!("{}: the nodes hold different addresses: {} and {}", mine.name, list(mine), list(theirs));
        found.add(&[mine.place.clone(), theirs.place.clone()], text, "what one node leaves the other must take over");
    }
}

fn prefixes(nodes: &[Node], found: &mut Found<'_>) {
    for (mine, theirs) in shared(nodes) {
        for address in &mine.addresses {
            let whole = if address.ip.is_ipv6() { 128 } else { 32 };
            let of = |prefix: Option<u8>| prefix.unwrap_or(whole);
            let same = |at: &&super::vrrp::Address| at.ip == address.ip && of(at.prefix) != of(address.prefix);
            if let Some(other) = theirs.addresses.iter().find(same) {
                let (one, two) = (of(address.prefix), of(other.prefix));
                let text =
                    format!("{}: {} has the prefix /{one} on one node and /{two} on another", mine.name, address.ip);
                let help = "without a prefix keepalived takes the address alone; a wider one also makes a route";
                found.add(&[address.place.clone(), other.place.clone()], text, help);
            }
        }
    }
}

fn unicast(nodes: &[Node], found: &mut Found<'_>) {
    for (mine, theirs) in shared(nodes) {
        let places = [mine.place.clone(), theirs.place.clone()];
        if mine.peers.is_empty() != theirs.peers.is_empty() {
            let text =
                format!("{}: one node sends adverts to its unicast_peer and another to everybody: {BOTH}", mine.name);
            found.add(&places, text, "give both a unicast_peer, or neither");
        }
        for (from, to) in [(mine, theirs), (theirs, mine)] {
            if let Some(own) = from.source.filter(|own| !to.peers.is_empty() && !to.peers.contains(own)) {
                let text = format!("{}: {own} is not among the unicast_peer of the other node", from.name);
                found.add(&[to.place.clone(), from.place.clone()], text, "each node names the others");
            }
        }
    }
}

fn weight(nodes: &[Node], found: &mut Found<'_>) {
    let scripts = |instance: &Instance| -> Vec<(String, i64, String)> {
        let own = nodes.iter().find(|node| node.instances().any(|one| std::ptr::eq(one, instance)));
        let known = |name: &str| {
            own.into_iter()
                .flat_map(|node| &node.keepalived)
                .flat_map(|file| &file.scripts)
                .find(|one| one.name == name)
        };
        let weighed = instance.tracked.iter().map(|(set, weight)| {
            let weight = weight.or_else(|| known(&set.value)?.weight).unwrap_or(0);
            (set.value.clone(), weight, set.place.clone())
        });
        weighed.collect()
    };
    for (mine, theirs) in shared(nodes) {
        let (high, low) = if mine.priority() >= theirs.priority() { (mine, theirs) } else { (theirs, mine) };
        let bonus = |one: &Instance| scripts(one).iter().map(|(_, weight, _)| (*weight).max(0)).sum::<i64>();
        for (name, weight, place) in scripts(high).into_iter().filter(|(_, weight, _)| *weight != 0) {
            let failing = high.priority() + bonus(high) - weight.abs();
            let other = low.priority() + bonus(low);
            if failing >= other && high.priority() != low.priority() {
                let text = format!(
                    "{}: when {name} fails on the master its priority falls to {failing}, and the other node has {other}: \
                     the address stays where it is",
                    high.name
                );
                found.add(&[place, low.at("priority")], text, "the weight must be more than the priorities are apart");
            }
        }
    }
}

fn all_in_fault(nodes: &[Node], found: &mut Found<'_>) {
    for (mine, theirs) in shared(nodes) {
        let hard = |one: &Instance| {
            let own = nodes.iter().find(|node| node.instances().any(|known| std::ptr::eq(known, one)));
            let files = || own.into_iter().flat_map(|node| &node.keepalived);
            let light = |name: &str| {
                files().flat_map(|file| &file.scripts).any(|known| known.name == name && known.weight.unwrap_or(0) != 0)
            };
            let first = one.tracked.iter().find(|(set, weight)| weight.unwrap_or(0) == 0 && !light(&set.value));
            first.map(|(set, _)| set.clone())
        };
        if let (Some(one), Some(other)) = (hard(mine), hard(theirs)) {
            let text = format!(
                "{}: a failing script puts a node in FAULT; when {} fails on every node, nobody holds the addresses",
                mine.name, one.value
            );
            found.add(&[one.place, other.place], text, "a negative weight on the last node lets it keep them");
        }
    }
}

fn not_listened(nodes: &[Node], found: &mut Found<'_>) {
    for node in nodes {
        let all: Vec<_> = node.nginx.iter().flat_map(listeners).collect();
        if all.is_empty() {
            continue;
        }
        for address in node.instances().flat_map(|one| &one.addresses) {
            if !all.iter().any(|listener| listener.covers(address.ip)) {
                let places: Vec<String> =
                    [address.place.clone()].into_iter().chain(all.iter().map(|one| one.place.to_owned())).collect();
                let text = format!("nginx listens on other addresses only: connections to {} are refused", address.ip);
                found.add(&places, text, "listen on a port alone, or on the address with ip_nonlocal_bind");
            }
        }
    }
}

fn bound(nodes: &[Node], found: &mut Found<'_>) {
    for node in nodes {
        let all: Vec<_> = node.nginx.iter().flat_map(listeners).collect();
        for address in node.instances().flat_map(|one| &one.addresses) {
            for listener in all.iter().filter(|listener| listener.ip == Some(address.ip)) {
                let wide = |one: &&super::peers::Listener<'_>| one.ip.is_none() && one.port == listener.port;
                if all.iter().find(wide).is_none_or(|one| !one.covers(address.ip)) {
                    let text = format!(
                        "nginx binds {}:{}, which a node has only while it is master: it does not start on the others",
                        address.ip, listener.port
                    );
                    let help =
                        "listen on the port alone, or set net.ipv4.ip_nonlocal_bind (net.ipv6 too) to 1 on all nodes";
                    found.add(&[listener.place.to_owned(), address.place.clone()], text, help);
                }
            }
        }
    }
}

fn vip_as_peer(nodes: &[Node], found: &mut Found<'_>) {
    let addresses: Vec<_> = nodes.iter().flat_map(Node::instances).flat_map(|one| &one.addresses).collect();
    for levels in nodes.iter().flat_map(|node| &node.nginx) {
        for peer in groups(levels).into_iter().flat_map(|group| group.peers) {
            if let Some(address) = addresses.iter().find(|at| Some(at.ip) == peer.ip()) {
                let text = format!(
                    "{} is the address the cluster itself holds: the master asks itself, the others it",
                    peer.title()
                );
                found.add(&[peer.place.clone(), address.place.clone()], text, "name the nodes' own addresses");
            }
        }
    }
}

fn loopback(nodes: &[Node], found: &mut Found<'_>) {
    if nodes.iter().filter(|node| !node.nginx.is_empty()).count() < 2 {
        return;
    }
    for levels in nodes.iter().flat_map(|node| &node.nginx) {
        for group in groups(levels).into_iter().filter(|group| group.peers.len() > 1) {
            let Some(local) = group.peers.iter().find(|peer| peer.is_loopback()) else { continue };
            let hashed = ["ip_hash", "hash"].iter().any(|name| levels.own(group.index, name).next().is_some());
            let hashed = if hashed { ", and a client changes its server when the address moves" } else { "" };
            // A node that is also named by its address is asked twice, and the other one only once.
            let mut serving = nodes.iter().filter(|node| !node.nginx.is_empty() && node.address.is_some());
            let twice = serving.find_map(|node| group.peers.iter().find(|peer| peer.ip() == node.address));
            let twice = twice.map_or_else(String::new, |peer| {
                format!("; on {} both it and {} are the node itself", peer.host, peer.title())
            });
            let text = format!(
                "upstream {}: {} is another server on each node, so that the nodes share no list of servers{hashed}{twice}",
                group.name,
                local.title()
            );
            found.add(
                std::slice::from_ref(&local.place),
                text,
                "name the nodes by their own addresses, equally on all nodes",
            );
        }
    }
}

fn peers_differ(nodes: &[Node], found: &mut Found<'_>) {
    for (one, other) in pairs(nodes) {
        let theirs: Vec<_> = other.nginx.iter().flat_map(groups).collect();
        for mine in one.nginx.iter().flat_map(groups) {
            let Some(same) = theirs.iter().find(|group| group.name == mine.name && group.stream == mine.stream) else {
                continue;
            };
            // A node's own loopback peer is told by its own rule.
            let set = |group: &super::peers::Group| -> BTreeSet<String> {
                group.peers.iter().filter(|peer| !peer.is_loopback()).map(super::peers::Peer::title).collect()
            };
            let odd: Vec<String> = set(&mine).symmetric_difference(&set(same)).cloned().collect();
            if !odd.is_empty() {
                let text = format!("upstream {}: only one of two nodes asks {}", mine.name, odd.join(", "));
                found.add(
                    &[mine.place.clone(), same.place.clone()],
                    text,
                    "after a failover clients should find the same servers",
                );
            }
        }
    }
}

fn ports_differ(nodes: &[Node], found: &mut Found<'_>) {
    for (one, other) in pairs(nodes).filter(|(one, other)| !one.nginx.is_empty() && !other.nginx.is_empty()) {
        let ports = |node: &Node| -> BTreeSet<u16> {
            node.nginx.iter().flat_map(listeners).map(|listener| listener.port).collect()
        };
        for (missing, there) in [(one, other), (other, one)] {
            let odd: Vec<u16> = ports(there).difference(&ports(missing)).copied().collect();
            for listener in there.nginx.iter().flat_map(listeners).filter(|listener| odd.contains(&listener.port)) {
                let text = format!("port {} is served on one node and not on {}", listener.port, missing.title());
                found.add(&[listener.place.to_owned()], text, "after a failover connections to it are refused");
            }
        }
    }
}
