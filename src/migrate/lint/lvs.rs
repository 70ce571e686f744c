//! Virtual servers whose checks or quorum cannot do what they are there for.

use super::node::Node;
use super::vrrp::{Vrrp, set};
use super::{Found, Rule};
use crate::conf::tree::{Block, Statement};
use crate::migrate::input::Text;
use crate::migrate::report::Severity;
use std::net::IpAddr;

/// The rules.
pub const RULES: [Rule; 5] = [
    rule("quorum-unreachable", Severity::Error, "a quorum is larger than all weights together", quorum),
    rule("check-without-retry", Severity::Note, "one lost packet takes a real server out", retry),
    rule("sorry-is-real", Severity::Warning, "the sorry server is one of the real servers", sorry),
    rule("persistence-short", Severity::Warning, "clients lose their server while they are connected", persistence),
    rule("vip-not-held", Severity::Warning, "no virtual router holds the address of a virtual server", held),
];

const fn rule(id: &'static str, severity: Severity, title: &'static str, check: fn(&[Node], &mut Found<'_>)) -> Rule {
    Rule { id, severity, title, check }
}

/// A `virtual_server`.
#[derive(Default)]
pub struct VirtualServer {
    /// How it is written.
    name: String,
    /// Where it begins.
    place: String,
    /// Its address, where it has one.
    ip: Option<IpAddr>,
    quorum: i64,
    quorum_place: Option<String>,
    /// Seconds, and where they are said.
    persistence: Option<(i64, String)>,
    /// Address and port as written, and where.
    sorry: Option<(String, String)>,
    reals: Vec<Real>,
}

/// A `real_server`.
#[derive(Default)]
struct Real {
    /// Address and port as written.
    name: String,
    weight: i64,
    /// Checks that are not repeated: their kind and place.
    single: Vec<(String, String)>,
}

/// A number that a keyword gives.
fn number(statement: &Statement) -> Option<i64> {
    statement.arguments().first()?.text().parse().ok()
}

fn words(statement: &Statement) -> String {
    let words: Vec<String> = statement.arguments().iter().map(|word| word.text().into_owned()).collect();
    words.join(" ")
}

/// Takes what the rules need from a `virtual_server`.
pub fn read(text: &Text, statement: &Statement, block: &Block) -> VirtualServer {
    let head = set(text, statement);
    let mut out = VirtualServer {
        name: words(statement),
        place: head.place,
        ip: head.value.parse().ok(),
        quorum: 1,
        ..VirtualServer::default()
    };
    let get = |name: &str| block.statements().filter(|one| one.name() == name).last();
    let weight = get("weight").and_then(number).unwrap_or(1);
    let repeated = get("retry").is_some();
    for one in block.statements() {
        let place = || text.place(one.span);
        match &*one.name() {
            "quorum" => (out.quorum, out.quorum_place) = (number(one).unwrap_or(1), Some(place())),
            "persistence_timeout" => out.persistence = Some((number(one).unwrap_or(360), place())),
            "sorry_server" => out.sorry = Some((words(one), place())),
            "real_server" => out.reals.push(real(text, one, (weight, repeated))),
            _ => {}
        }
    }
    out
}

fn real(text: &Text, statement: &Statement, (weight, repeated): (i64, bool)) -> Real {
    let mut out = Real { name: words(statement), weight, single: Vec::new() };
    let Some(block) = &statement.block else { return out };
    let repeated = repeated || block.statements().any(|one| one.name() == "retry");
    for one in block.statements() {
        if one.name() == "weight" {
            out.weight = number(one).unwrap_or(weight);
        }
        let Some(inner) = one.block.as_ref().filter(|_| one.name().ends_with("_CHECK") || one.name().ends_with("_GET"))
        else {
            continue;
        };
        let own = inner.statements().filter(|one| matches!(&*one.name(), "retry" | "nb_get_retry")).last();
        // Scripts are not repeated unless that is asked for; files and sessions are not asked again and again.
        let single = match (own.and_then(number), &*one.name()) {
            (_, "FILE_CHECK" | "BFD_CHECK") => false,
            (Some(retry), _) => retry == 0,
            (None, "MISC_CHECK") => !repeated,
            (None, _) => false,
        };
        if single {
            out.single.push((one.name().into_owned(), text.place(one.span)));
        }
    }
    out
}

fn servers(nodes: &[Node]) -> impl Iterator<Item = (&Vrrp, &VirtualServer)> {
    let files = nodes.iter().flat_map(|node| &node.keepalived);
    files.flat_map(|file| file.servers.iter().map(move |server| (file, server)))
}

fn quorum(nodes: &[Node], found: &mut Found<'_>) {
    for (_, server) in servers(nodes) {
        let weight: i64 = server.reals.iter().map(|real| real.weight).sum();
        if !server.reals.is_empty() && server.quorum > weight {
            let text = format!(
                "virtual server {}: its quorum {} is more than the {weight} all real servers weigh; keepalived reduces it \
                 to {weight}, so that one failure loses it",
                server.name, server.quorum
            );
            let place = server.quorum_place.as_ref().unwrap_or(&server.place);
            found.add(std::slice::from_ref(place), text, "lower the quorum, or raise the weights");
        }
    }
}

fn retry(nodes: &[Node], found: &mut Found<'_>) {
    for (_, server) in servers(nodes) {
        for real in &server.reals {
            for (kind, place) in &real.single {
                let text =
                    format!("real server {}: its {kind} is not repeated before the server is taken out", real.name);
                found.add(std::slice::from_ref(place), text, "retry 1, or more");
            }
        }
    }
}

fn sorry(nodes: &[Node], found: &mut Found<'_>) {
    for (_, server) in servers(nodes) {
        let Some((sorry, place)) = &server.sorry else { continue };
        if server.reals.iter().any(|real| real.name == *sorry) {
            let text = format!(
                "virtual server {}: its sorry server {sorry} is one of its real servers, and most likely down when it is \
                 needed",
                server.name
            );
            found.add(std::slice::from_ref(place), text, "");
        }
    }
}

/// How long nginx keeps an idle connection where nothing else is said.
const KEEP_ALIVE: i64 = 75;

fn persistence(nodes: &[Node], found: &mut Found<'_>) {
    for (_, server) in servers(nodes) {
        let Some((seconds, place)) = server.persistence.as_ref().filter(|(seconds, _)| *seconds < KEEP_ALIVE) else {
            continue;
        };
        let text = format!(
            "virtual server {}: clients stay with a server for {seconds} s, less than the {KEEP_ALIVE} s for which nginx \
             keeps idle connections",
            server.name
        );
        found.add(std::slice::from_ref(place), text, "");
    }
}

fn held(nodes: &[Node], found: &mut Found<'_>) {
    for (file, server) in servers(nodes) {
        let Some(ip) = server.ip.filter(|_| !file.instances.is_empty()) else { continue };
        let held = file.instances.iter().any(|one| one.addresses.iter().any(|address| address.ip == ip));
        if !held {
            let text = format!("virtual server {}: no vrrp_instance of its file holds {ip}", server.name);
            found.add(std::slice::from_ref(&server.place), text, "");
        }
    }
}
