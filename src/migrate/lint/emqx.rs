//! EMQX beside the nginx in front of it, and in its own cluster.

use super::node::{Emqx, Node};
use super::peers::{Peer, groups};
use super::{Found, Rule};
use crate::conf::value;
use crate::migrate::report::Severity;
use std::collections::BTreeSet;
use std::time::Duration;

/// The rules.
pub const RULES: [Rule; 7] = [
    rule("emqx-peers", Severity::Warning, "nginx asks other brokers than the cluster has", peers),
    rule("emqx-not-in-seeds", Severity::Error, "a node is not in the list that makes the cluster", not_in_seeds),
    rule("emqx-seeds-differ", Severity::Warning, "nodes list different clusters", seeds_differ),
    rule("emqx-name-twice", Severity::Error, "two nodes have one name", name_twice),
    rule("emqx-cookie-differs", Severity::Error, "nodes have different cookies", cookie_differs),
    rule("emqx-default-cookie", Severity::Warning, "the cookie is the one everybody knows", default_cookie),
    rule("emqx-open", Severity::Warning, "what no rule forbids is allowed", open),
];

const fn rule(id: &'static str, severity: Severity, title: &'static str, check: fn(&[Node], &mut Found<'_>)) -> Rule {
    Rule { id, severity, title, check }
}

fn files(nodes: &[Node]) -> impl Iterator<Item = &Emqx> {
    nodes.iter().flat_map(|node| &node.emqx)
}

impl Emqx {
    /// The host in the node's name.
    fn host(&self) -> Option<&str> {
        self.values.word("node.name").and_then(|name| name.split_once('@')).map(|(_, host)| host)
    }

    /// Listeners: port, whether each expects the PROXY header, and where that is said.
    fn listeners(&self) -> Vec<(u16, bool, String)> {
        let mut out = Vec::new();
        for (kind, port) in [("tcp", 1883), ("ssl", 8883), ("ws", 8083), ("wss", 8084)] {
            let mut names: BTreeSet<String> = BTreeSet::from([format!("listeners.{kind}.default")]);
            for prefix in [format!("listeners.{kind}."), format!("listener.{kind}.")] {
                let own = self.values.keys().filter_map(|key| key.strip_prefix(&prefix));
                let named = own.filter_map(|rest| rest.split('.').next()).map(|name| format!("{prefix}{name}"));
                names.extend(named.collect::<Vec<_>>());
            }
            for name in names {
                let given = self.values.word(&format!("{name}.bind")).or_else(|| self.values.word(&name));
                let ends = |text: &str| text.rsplit(':').next().and_then(|port| port.parse().ok());
                let port = given.and_then(ends).unwrap_or(port);
                let off = |key: &str| matches!(self.values.word(&format!("{name}.{key}")), Some("false" | "off"));
                if !off("enable") && !off("enabled") {
                    let key = format!("{name}.proxy_protocol");
                    let on = matches!(self.values.word(&key), Some("true" | "on"));
                    let place = if self.values.line(&key).is_some() { key } else { format!("{name}.bind") };
                    out.push((port, on, self.place(&place)));
                }
            }
        }
        out
    }
}

/// The listeners an address leads to: whether each expects the PROXY header, and its place.
pub fn listening(nodes: &[Node], peer: &Peer) -> Vec<(bool, String)> {
    let mut out = Vec::new();
    for node in nodes {
        for file in &node.emqx {
            let own = node.address.is_some() && node.address == peer.ip() && file.host().is_none();
            // A configuration that says nothing of its host is every broker's.
            let any = nodes.len() == 1 && file.host().is_none_or(|host| host == "127.0.0.1");
            if own || any || file.host() == Some(&peer.host) {
                let fits = file.listeners().into_iter().filter(|(port, ..)| *port == peer.port);
                out.extend(fits.map(|(_, on, place)| (on, place)));
            }
        }
    }
    out
}

/// The keep-alive the brokers tell their clients to have, and where.
pub fn keep_alive(nodes: &[Node]) -> Option<(Duration, String)> {
    let of = |file: &Emqx| {
        let key = "mqtt.server_keepalive";
        let time = file.values.word(key).and_then(|word| value::time(word.as_bytes(), false))?;
        Some((time, file.place(key)))
    };
    files(nodes).filter_map(of).max_by_key(|(time, _)| *time)
}

/// The hosts of a node's cluster; nothing where they are not listed.
fn seeds(file: &Emqx) -> BTreeSet<&str> {
    let listed = file.values.list("cluster.static.seeds");
    listed.into_iter().filter_map(|name| name.split_once('@')).map(|(_, host)| host).collect()
}

fn peers(nodes: &[Node], found: &mut Found<'_>) {
    let Some(file) = files(nodes).find(|file| !seeds(file).is_empty()) else { return };
    let ports: BTreeSet<u16> = files(nodes).flat_map(Emqx::listeners).map(|(port, ..)| port).collect();
    let listed = seeds(file);
    for group in nodes.iter().flat_map(|node| &node.nginx).flat_map(groups) {
        let hosts: BTreeSet<&str> =
            group.peers.iter().filter(|peer| ports.contains(&peer.port)).map(|peer| peer.host.as_str()).collect();
        if hosts.is_empty() || hosts.len() < group.peers.len() {
            continue;
        }
        let places = [group.place.clone(), file.place("cluster.static.seeds")];
        let outside: Vec<&str> = hosts.difference(&listed).copied().collect();
        if !outside.is_empty() {
            let text = format!("upstream {}: {} is no broker of the cluster", group.name, outside.join(", "));
            found.add(&places, text, "clients there do not get the others' messages");
        }
        let unasked: Vec<&str> = listed.difference(&hosts).copied().collect();
        if !unasked.is_empty() {
            let text = format!("upstream {}: the broker {} is never asked", group.name, unasked.join(", "));
            found.add(&places, text, "name all brokers of the cluster");
        }
    }
}

fn not_in_seeds(nodes: &[Node], found: &mut Found<'_>) {
    for file in files(nodes).filter(|file| !seeds(file).is_empty()) {
        if let Some(host) = file.host().filter(|host| !seeds(file).contains(host)) {
            let text = format!("{host} is this node, and not one of the seeds");
            found.add(
                &[file.place("node.name"), file.place("cluster.static.seeds")],
                text,
                "list all nodes on all nodes",
            );
        }
    }
}

/// Looks at each two of the files.
fn each_two<'a>(nodes: &'a [Node], mut look: impl FnMut(&'a Emqx, &'a Emqx)) {
    let all: Vec<&Emqx> = files(nodes).collect();
    for (at, one) in all.iter().enumerate() {
        all.iter().skip(at + 1).for_each(|other| look(one, other));
    }
}

fn seeds_differ(nodes: &[Node], found: &mut Found<'_>) {
    each_two(nodes, |one, other| {
        if seeds(one) != seeds(other) {
            let key = "cluster.static.seeds";
            found.add(
                &[one.place(key), other.place(key)],
                "two nodes list different seeds",
                "list all nodes on all nodes",
            );
        }
    });
}

fn name_twice(nodes: &[Node], found: &mut Found<'_>) {
    each_two(nodes, |one, other| {
        if let Some(name) = one.values.word("node.name").filter(|name| other.values.word("node.name") == Some(name)) {
            let text = format!("{name} is the name of two nodes: they form no cluster");
            found.add(
                &[one.place("node.name"), other.place("node.name")],
                text,
                "a name ends with the node's own address",
            );
        }
    });
}

fn cookie_differs(nodes: &[Node], found: &mut Found<'_>) {
    each_two(nodes, |one, other| {
        let key = "node.cookie";
        if one.values.word(key) != other.values.word(key) {
            found.add(
                &[one.place(key), other.place(key)],
                "two nodes have different cookies: they refuse each other",
                "",
            );
        }
    });
}

fn default_cookie(nodes: &[Node], found: &mut Found<'_>) {
    for file in files(nodes) {
        let cookie = file.values.word("node.cookie");
        if matches!(cookie, Some("emqxsecretcookie" | "emqx50elixir")) {
            let text =
                "node.cookie is the one that EMQX is delivered with: who reaches the cluster's port commands the node";
            found.add(&[file.place("node.cookie")], text, "a long random word, the same on all nodes");
        }
    }
}

fn open(nodes: &[Node], found: &mut Found<'_>) {
    for file in files(nodes) {
        if file.values.word("authorization.no_match") == Some("allow") {
            let text = "authorization.no_match = allow: every client may publish and subscribe what no rule names";
            found.add(&[file.place("authorization.no_match")], text, "deny, and rules for what devices need");
        }
    }
}
