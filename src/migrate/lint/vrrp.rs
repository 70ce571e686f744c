//! A keepalived configuration as the rules see it: virtual routers and check scripts with their places.

use super::lvs::{self, VirtualServer};
use crate::conf::tree::{Block, Statement};
use crate::migrate::input::{Gravity, Text};
use std::net::IpAddr;

/// What a file says of VRRP.
#[derive(Default)]
pub struct Vrrp {
    /// `router_id`.
    pub router_id: Option<Set>,
    /// `vrrp_garp_interval` and `vrrp_gna_interval`.
    pub intervals: Vec<Set>,
    /// Whether scripts are watched.
    pub security: bool,
    /// `script_user`, where it is given.
    pub user: Option<String>,
    /// `vrrp_strict`.
    pub strict: Option<String>,
    /// Whether a group of virtual routers tracks something.
    pub groups_track: bool,
    /// `vrrp_version`, where it is given.
    version: Option<String>,
    /// The virtual routers.
    pub instances: Vec<Instance>,
    /// The check scripts.
    pub scripts: Vec<Script>,
    /// The virtual servers.
    pub servers: Vec<VirtualServer>,
    /// What keepalived's test of the file fails for, though it starts.
    pub complaints: Vec<String>,
    /// Why keepalived does not start with the file.
    pub refused: Option<String>,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Set {
    /// The keyword.
    pub name: String,
    /// The first argument.
    pub value: String,
    /// `file:line`.
    pub place: String,
}

/// A `vrrp_instance`.
#[derive(Default)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// Where it begins.
    pub place: String,
    /// Its keywords with one argument, the last of each.
    sets: Vec<Set>,
    /// Its addresses.
    pub addresses: Vec<Address>,
    /// What it tracks: script and the weight given there.
    pub tracked: Vec<(Set, Option<i64>)>,
    /// Whether it tracks processes, files or BFD.
    pub tracks_more: bool,
    /// Its unicast peers.
    pub peers: Vec<IpAddr>,
    /// The node's own address, where it is said.
    pub source: Option<IpAddr>,
    /// The version of VRRP it speaks: its own, or that of `global_defs`; IPv6 has version 3 alone.
    pub version: i64,
}

/// A virtual address.
#[derive(Clone)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Its prefix as written.
    pub prefix: Option<u8>,
    /// The interface it is put on, where it is not the instance's.
    pub dev: Option<String>,
    /// `file:line`.
    pub place: String,
}

/// A `vrrp_script`.
#[derive(Default)]
pub struct Script {
    /// Its name.
    pub name: String,
    /// Where it begins.
    pub place: String,
    /// The command.
    pub command: Option<Set>,
    /// Seconds between runs.
    pub interval: f64,
    /// Failures until it counts.
    pub fall: f64,
    /// Its weight.
    pub weight: Option<i64>,
    /// Whether it names its user.
    pub has_user: bool,
}

impl Instance {
    /// A keyword's value.
    pub fn get(&self, name: &str) -> Option<&Set> {
        self.sets.iter().rev().find(|set| set.name == name)
    }

    /// The place of a keyword, or of the whole.
    pub fn at(&self, name: &str) -> String {
        self.get(name).map_or_else(|| self.place.clone(), |set| set.place.clone())
    }

    /// A keyword's number, or its default.
    pub fn number(&self, name: &str, default: f64) -> f64 {
        self.get(name).and_then(|set| set.value.parse().ok()).unwrap_or(default)
    }

    /// Whether it begins as master.
    pub fn is_master(&self) -> bool {
        self.get("state").is_some_and(|set| set.value == "MASTER")
    }

    /// Its priority: where none is given, a node that begins as master is the owner of the addresses.
    pub fn priority(&self) -> i64 {
        let given = self.get("priority").map(|set| set.value.parse().ok());
        let default = if given.is_none() && self.is_master() { 255 } else { 100 };
        given.flatten().filter(|number| (1..=255).contains(number)).unwrap_or(default)
    }

    /// The addresses, sorted.
    pub fn ips(&self) -> Vec<IpAddr> {
        let mut ips: Vec<IpAddr> = self.addresses.iter().map(|address| address.ip).collect();
        ips.sort_unstable();
        ips
    }
}

/// Takes what the rules need from the statements.
pub fn read(text: &Text) -> Vrrp {
    let mut out = Vrrp::default();
    for statement in text.tree.statements() {
        let Some(block) = &statement.block else { continue };
        match &*statement.name() {
            "global_defs" => globals(text, block, &mut out),
            "vrrp_instance" => out.instances.push(instance(text, statement, block)),
            "vrrp_sync_group" => {
                out.groups_track |= block.statements().any(|inner| inner.name().starts_with("track_"));
            }
            "virtual_server" => out.servers.push(lvs::read(text, statement, block)),
            "vrrp_script" => out.scripts.push(script(text, statement, block)),
            _ => {}
        }
    }
    for one in &mut out.instances {
        let given = one.get("version").map(|set| set.value.clone()).or_else(|| out.version.clone());
        let v6 = one.addresses.first().is_some_and(|address| address.ip.is_ipv6());
        one.version = if v6 || given.as_deref() == Some("3") { 3 } else { 2 };
    }
    let failing = text.complaints.iter().filter(|complaint| complaint.gravity == Gravity::Here);
    out.complaints = failing.map(|complaint| complaint.text.clone()).collect();
    out.refused = text.refusals().next().map(|complaint| complaint.text.clone());
    out
}

/// A keyword with its first argument.
pub fn set(text: &Text, statement: &Statement) -> Set {
    let value = statement.arguments().first().map(|word| word.text().into_owned()).unwrap_or_default();
    Set { name: statement.name().into_owned(), value, place: text.place(statement.span) }
}

fn globals(text: &Text, block: &Block, out: &mut Vrrp) {
    for statement in block.statements() {
        let set = set(text, statement);
        match set.name.as_str() {
            "router_id" => out.router_id = Some(set),
            "vrrp_garp_interval" | "vrrp_gna_interval" => out.intervals.push(set),
            "enable_script_security" => out.security = true,
            "script_user" => out.user = Some(set.value),
            "vrrp_version" => out.version = Some(set.value),
            "vrrp_strict" => out.strict = Some(set.place),
            _ => {}
        }
    }
}

fn instance(text: &Text, statement: &Statement, block: &Block) -> Instance {
    let head = set(text, statement);
    let mut out = Instance { name: head.value, place: head.place, ..Instance::default() };
    for statement in block.statements() {
        let one = set(text, statement);
        let inside = || statement.block.iter().flat_map(Block::statements);
        match one.name.as_str() {
            "authentication" => out.sets.extend(inside().map(|inner| set(text, inner))),
            "virtual_ipaddress" | "virtual_ipaddress_excluded" => {
                out.addresses.extend(inside().filter_map(|inner| address(text, inner)));
            }
            "unicast_peer" => out.peers.extend(inside().filter_map(|inner| inner.name().parse::<IpAddr>().ok())),
            "track_script" => out.tracked.extend(inside().map(|inner| tracked(text, inner))),
            "track_process" | "track_file" | "track_bfd" => out.tracks_more = true,
            "unicast_src_ip" | "mcast_src_ip" => out.source = one.value.parse().ok(),
            _ => out.sets.push(one),
        }
    }
    out
}

fn address(text: &Text, statement: &Statement) -> Option<Address> {
    let name = statement.name();
    let (ip, prefix) = name.split_once('/').map_or((&*name, None), |(ip, prefix)| (ip, prefix.parse().ok()));
    let words = statement.arguments();
    let dev = words.iter().skip_while(|word| !word.is("dev")).nth(1).map(|word| word.text().into_owned());
    Some(Address { ip: ip.parse().ok()?, prefix, dev, place: text.place(statement.span) })
}

fn tracked(text: &Text, statement: &Statement) -> (Set, Option<i64>) {
    let words: Vec<String> = statement.words.iter().map(|word| word.text().into_owned()).collect();
    let weight = words.iter().skip_while(|word| *word != "weight").nth(1).and_then(|word| word.parse().ok());
    let name = words.first().cloned().unwrap_or_default();
    (Set { value: name.clone(), name, place: text.place(statement.span) }, weight)
}

fn script(text: &Text, statement: &Statement, block: &Block) -> Script {
    let head = set(text, statement);
    let mut out = Script { name: head.value, place: head.place, interval: 1.0, fall: 1.0, ..Script::default() };
    for statement in block.statements() {
        let mut one = set(text, statement);
        match one.name.as_str() {
            "script" => {
                let words: Vec<_> = statement.arguments().iter().map(|word| word.text().into_owned()).collect();
                one.value = words.join(" ");
                out.command = Some(one);
            }
            "interval" => out.interval = one.value.parse().unwrap_or(1.0),
            "fall" => out.fall = one.value.parse().unwrap_or(1.0),
            "weight" => out.weight = one.value.parse().ok(),
            "user" => out.has_user = true,
            _ => {}
        }
    }
    out
}
