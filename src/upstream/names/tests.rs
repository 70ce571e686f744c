use super::*;
use crate::conf::source::{SourceId, Span};
use crate::net::address;
use crate::net::resolver::NameServers;
use crate::upstream::Inputs;

fn server(text: &str, service: Option<&str>, backup: bool, weight: u32) -> Server {
    Server {
        text: text.to_owned(),
        endpoint: address::parse(text, false).expect("an address"),
        at: Span { source: SourceId(0), start: 0, end: 0 },
        weight,
        max_conns: 0,
        max_fails: 1,
        fail_timeout: 10,
        down: false,
        backup,
        needs_port: false,
        drain: false,
        route: None,
        resolve: true,
        service: service.map(str::to_owned),
        slow_start: 0,
    }
}

fn names(fixed: &[&str], servers: Vec<Server>) -> Names {
    let peers =
        fixed.iter().map(|text| server(text, None, false, 1).peer(Address::Ip(text.parse().expect("an address"))));
    let all = NameServers { addresses: Box::default(), valid: 0, ipv4: true, ipv6: true };
    let lookup = Lookup::new(Arc::new(all), Duration::from_secs(30));
    Names::new("group", [peers.collect(), Vec::new()], servers, None, (80, lookup))
}

fn hosts(names: &Names, at: usize, addresses: &[&str]) -> Vec<Found> {
    let ips = addresses.iter().map(|text| text.parse().expect("an address"));
    ips.map(|ip| of_host(&names.servers[at], ip, names.port)).collect()
}

/// Each peer: address, server, weight, and whether it is a backup.
fn shown(group: &Group) -> Vec<String> {
    let peers = group.peers().map(|(peer, backup)| {
        let role = if backup { " backup" } else { "" };
        format!("{} {} {}{role}", peer.name, peer.server, peer.weight)
    });
    peers.collect()
}

#[test]
fn a_changed_answer_makes_another_group() {
    let names = names(&["10.0.0.9:80"], vec![server("a.ex:8080", None, false, 5)]);
    assert_eq!(shown(&names.now()), ["10.0.0.9:80 10.0.0.9:80 1"]);
    let first = names.set(0, hosts(&names, 0, &["10.0.0.1", "10.0.0.2"])).expect("another group");
    let two = ["10.0.0.9:80 10.0.0.9:80 1", "10.0.0.1:8080 a.ex:8080 5", "10.0.0.2:8080 a.ex:8080 5"];
    assert_eq!(shown(&first), two);
    // The order of an answer is no change.
    assert!(names.set(0, hosts(&names, 0, &["10.0.0.2", "10.0.0.1"])).is_none());
    let second = names.set(0, hosts(&names, 0, &["10.0.0.3", "10.0.0.2"])).expect("another group");
    let changed = ["10.0.0.9:80 10.0.0.9:80 1", "10.0.0.2:8080 a.ex:8080 5", "10.0.0.3:8080 a.ex:8080 5"];
    assert_eq!(shown(&second), changed);
    let none = names.set(0, Vec::new()).expect("another group");
    assert_eq!(shown(&none), ["10.0.0.9:80 10.0.0.9:80 1"]);
}

#[test]
fn a_group_without_addresses_has_nobody_to_ask() {
    for balancer in [None, Some(Balancer::LeastConn), Some(Balancer::IpHash), Some(Balancer::Random(true))] {
        let names = Names { balancer, ..names(&[], vec![server("a.ex", None, false, 1)]) };
        let group = names.now();
        let mut pick = group.pick(Inputs::default());
        assert_eq!(group.select(&mut pick, 0), None);
    }
}

#[test]
fn servers_of_a_service_have_its_ports_weights_and_backups() {
    let names = names(&[], vec![server("a.ex", Some("http"), false, 1)]);
    let located = |address: &str, name: &str, priority, weight| Located {
        address: address.parse().expect("an address"),
        name: name.to_owned(),
        priority,
        weight,
    };
    let all = [located("10.0.0.1:81", "b.ex", 1, 7), located("10.0.0.2:82", "c.ex", 2, 1)];
    let group = names.set(0, of_service(&names.servers[0], &all)).expect("another group");
    assert_eq!(shown(&group), ["10.0.0.1:81 b.ex 7", "10.0.0.2:82 c.ex 1 backup"]);
    // The configuration's own weight counts for all.
    let heavy = Names { servers: vec![server("a.ex", Some("http"), false, 3)], ..names };
    assert_eq!(shown(&heavy.now()), ["10.0.0.1:81 b.ex 3", "10.0.0.2:82 c.ex 3 backup"]);
    // A backup has no backups.
    assert_eq!(of_service(&server("a.ex", Some("http"), true, 1), &all).len(), 1);
}

#[test]
fn a_reload_takes_addresses_over() {
    let old = names(&[], vec![server("b.ex", None, false, 1), server("a.ex:8080", None, false, 1)]);
    old.set(1, hosts(&old, 1, &["10.0.0.1"]));
    let new = names(&[], vec![server("a.ex:9090", None, true, 2), server("c.ex", None, false, 1)]);
    new.adopt(&old);
    assert_eq!(shown(&new.now()), ["10.0.0.1:9090 a.ex:9090 2 backup"]);
}
