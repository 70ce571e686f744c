//! A keepalived configuration as named things.

use super::model::{Meaning, Thing, Value};
use crate::conf::tree::{Block, Statement};
use crate::migrate::input::Text;
use crate::migrate::secret;

/// Blocks of the outermost level that have no name: there is one of each.
const ONCE: [&str; 8] = [
    "global_defs",
    "static_ipaddress",
    "static_routes",
    "static_rules",
    "SSL",
    "linkbeat_interfaces",
    "interface_up_down_delays",
    "static_track_group",
];

/// Blocks whose lines are items of a list, each recognised by its first word.
const LISTS: [&str; 17] = [
    "virtual_ipaddress",
    "virtual_ipaddress_excluded",
    "unicast_peer",
    "virtual_routes",
    "virtual_rules",
    "static_ipaddress",
    "static_routes",
    "static_rules",
    "track_script",
    "track_interface",
    "track_process",
    "track_file",
    "track_bfd",
    "group",
    "notification_email",
    "linkbeat_interfaces",
    "track_srcip",
];

/// The things of a configuration.
pub fn things(text: &Text) -> Vec<Thing> {
    let mut root = Thing::new("file", "", "");
    let mut things = Vec::new();
    for statement in text.tree.statements() {
        let name = statement.name().into_owned();
        let Some(block) = &statement.block else {
            setting(&mut root, "", statement, text);
            continue;
        };
        let (kind, title) = match name.as_str() {
            "vrrp_instance" => ("vrrp_instance", arguments(statement)),
            "vrrp_sync_group" => ("vrrp_sync_group", arguments(statement)),
            "vrrp_script" => ("vrrp_script", arguments(statement)),
            "vrrp_track_process" => ("vrrp_track_process", arguments(statement)),
            "track_file" | "vrrp_track_file" => ("track_file", arguments(statement)),
            "virtual_server" => ("virtual_server", arguments(statement)),
            "virtual_server_group" => ("virtual_server_group", arguments(statement)),
            "bfd_instance" => ("bfd_instance", arguments(statement)),
            "global_defs" => ("global_defs", String::new()),
            _ if ONCE.contains(&name.as_str()) => ("block", name.clone()),
            _ => ("block", words(statement)),
        };
        let mut thing = Thing::new(kind, title, text.place(statement.span));
        let prefix = if kind == "block" && LISTS.contains(&name.as_str()) { name.as_str() } else { "" };
        inside(&mut thing, prefix, block, text);
        if kind == "vrrp_instance" {
            family(&mut thing, block, text);
        }
        things.push(thing);
    }
    things.push(root);
    things
}

/// The first address decides whether a virtual router is one of IPv4 or of IPv6.
fn family(thing: &mut Thing, block: &Block, text: &Text) {
    let lists = block.statements().filter(|statement| statement.name() == "virtual_ipaddress");
    let mut addresses = lists.filter_map(|statement| statement.block.as_ref()).flat_map(Block::statements);
    if let Some(first) = addresses.next() {
        let family = if first.name().contains(':') { "IPv6" } else { "IPv4" };
        thing.set("family of the first address", Value::text(family, text.place(first.span)));
    }
}

fn inside(thing: &mut Thing, prefix: &str, block: &Block, text: &Text) {
    let list = LISTS.contains(&prefix.rsplit(' ').next().unwrap_or_default());
    for statement in block.statements() {
        match &statement.block {
            Some(inner) if statement.name() == "real_server" => {
                let mut real = Thing::new("real_server", arguments(statement), text.place(statement.span));
                inside(&mut real, "", inner, text);
                thing.inside.push(real);
            }
            Some(inner) => {
                let name = format!("{prefix} {}", words(statement));
                // An empty block says something too, as a check without parameters does.
                thing.set(
                    name.trim(),
                    Value {
                        shown: "{}".to_owned(),
                        meaning: Meaning::Text("{}".to_owned()),
                        place: text.place(statement.span),
                    },
                );
                inside(thing, name.trim(), inner, text);
            }
            None if list => item(thing, prefix, statement, text),
            None => setting(thing, prefix, statement, text),
        }
    }
}

/// A line of a list: its first word names it, what follows is its value.
fn item(thing: &mut Thing, prefix: &str, statement: &Statement, text: &Text) {
    let name = format!("{prefix} {}", statement.name());
    thing.set(name, Value::text(arguments(statement), text.place(statement.span)));
}

fn setting(thing: &mut Thing, prefix: &str, statement: &Statement, text: &Text) {
    let words: Vec<String> = statement.words.iter().map(|word| word.text().into_owned()).collect();
    let name = format!("{prefix} {}", statement.name());
    let value = arguments(statement);
    let shown = if secret::visible(&words) < words.len() { secret::HIDDEN.to_owned() } else { value.clone() };
    let meaning = Meaning::Text(switched(&value));
    thing.set(name.trim(), Value { shown, meaning, place: text.place(statement.span) });
}

/// The words for yes and no are many.
fn switched(value: &str) -> String {
    match value {
        "on" | "yes" | "true" => "true".to_owned(),
        "off" | "no" | "false" => "false".to_owned(),
        // Seconds may have places that say nothing.
        other => match other.parse::<f64>() {
            Ok(number) => number.to_string(),
            Err(_) => other.to_owned(),
        },
    }
}

fn arguments(statement: &Statement) -> String {
    statement.arguments().iter().map(|word| word.text().into_owned()).collect::<Vec<_>>().join(" ")
}

fn words(statement: &Statement) -> String {
    statement.words.iter().map(|word| word.text().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Why two nodes of a pair may differ in a setting; nothing where a difference is suspicious.
pub fn expected(setting: &str) -> Option<&'static str> {
    let first = setting.split(' ').next().unwrap_or_default();
    match first {
        "state" => Some("one node begins as master"),
        "priority" => Some("the priorities decide who is master"),
        "router_id" | "lvs_id" => Some("each node has its own name"),
        "unicast_src_ip" | "mcast_src_ip" => Some("each node has its own address"),
        "unicast_peer" => Some("each node names the other"),
        "interface" | "track_interface" => Some("interfaces may be called otherwise"),
        "smtp_server" | "notification_email_from" | "smtp_helo_name" => Some("each node sends its own mail"),
        _ => None,
    }
}

/// A line of addresses or routes without the names of interfaces, which may differ between nodes.
pub fn without_interfaces(value: &str) -> String {
    let mut words = value.split(' ').peekable();
    let mut out = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "dev" | "label" => drop(words.next()),
            word => out.push(word),
        }
    }
    out.join(" ")
}
