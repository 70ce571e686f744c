use super::*;
use crate::check::health::{Rule, State};
use crate::net::address::Address;
use std::net::IpAddr;
use std::time::Duration;

fn peer(port: u16, weight: u32) -> Peer {
    let text = format!("127.0.0.1:{port}");
    Peer { weight, ..Peer::new(Address::Ip(text.parse().expect("an address")), &text) }
}

fn ports(group: &Group, count: usize, inputs: Inputs<'_>) -> Vec<u16> {
    let port = |at| group.peer(at).and_then(|peer| peer.name.rsplit(':').next()?.parse().ok()).unwrap_or(0);
    (0..count)
        .map(|_| {
            let mut pick = group.pick(inputs);
            let at = group.select(&mut pick, 1000).expect("a peer");
            group.free(at, false, &mut pick, 1000);
            port(at)
        })
        .collect()
}

#[test]
fn health_carries_over_by_name() {
    let old = Group::new("u", vec![peer(1, 1), peer(2, 1)], vec![], Method::RoundRobin);
    let mut pick = old.pick(Inputs::default());
    let at = old.select(&mut pick, 1000).expect("a peer");
    assert!(old.free(at, true, &mut pick, 1000));
    let held = old.select(&mut pick, 1000).expect("the other");
    let new = Group::new("u", vec![peer(3, 1), peer(1, 1), peer(2, 1)], vec![], Method::RoundRobin);
    new.carry_over(&old);
    assert_eq!(new.connections(), [0, 0, 1]);
    let mut seen: Vec<u16> = ports(&new, 20, Inputs::default());
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, [2, 3], "127.0.0.1:1 failed a moment ago");
    old.free(held, false, &mut pick, 1000);
    assert!(new.connections().iter().all(|count| *count == 0));
}

#[test]
fn a_lone_server_is_never_taken_out() {
    let group = Group::new("u", vec![peer(1, 1)], vec![], Method::RoundRobin);
    for _ in 0..5 {
        let mut pick = group.pick(Inputs::default());
        let at = group.select(&mut pick, 7).expect("the server");
        assert!(!group.free(at, true, &mut pick, 7));
        assert_eq!(pick.left(), 0);
    }
}

#[test]
fn backups_are_asked_when_all_others_were() {
    let group = Group::new("u", vec![peer(1, 1), peer(2, 1)], vec![peer(9, 1)], Method::LeastConn);
    let mut pick = group.pick(Inputs::default());
    assert_eq!(pick.left(), 3);
    let mut seen = Vec::new();
    while let Some(at) = group.select(&mut pick, 5) {
        seen.push(group.peer(at).map(|peer| peer.name.clone()).unwrap_or_default());
        group.free(at, true, &mut pick, 5);
    }
    assert_eq!(seen.last().map(|name| &**name), Some("127.0.0.1:9"));
    assert_eq!((seen.len(), pick.left()), (3, 0));
    let mut after = group.pick(Inputs::default());
    assert!(group.select(&mut after, 15).is_none(), "all are out for fail_timeout");
    assert!(group.select(&mut group.pick(Inputs::default()), 16).is_some(), "and checked again after it");
}

#[test]
fn full_servers_are_passed_over() {
    let full = Peer { max_conns: 1, ..peer(1, 1) };
    let group = Group::new("u", vec![full, peer(2, 1)], vec![], Method::RoundRobin);
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut pick = group.pick(Inputs::default());
        held.push(group.select(&mut pick, 1).expect("a peer"));
    }
    assert_eq!(held.iter().filter(|at| at.index == 0).count(), 1);
}

#[test]
fn random_two_prefers_the_less_busy() {
    let group = Group::new("u", (1..=4).map(|port| peer(port, 1)).collect(), vec![], Method::RandomTwo);
    for _ in 0..400 {
        let mut pick = group.pick(Inputs::default());
        group.select(&mut pick, 1).expect("a peer");
    }
    let most = group.connections().into_iter().max();
    assert!(most.is_some_and(|most| most < 120), "{most:?}");
}

#[test]
fn groups_of_more_than_64_peers_rotate_too() {
    let group = Group::new("u", (1..=100).map(|port| peer(port, 1)).collect(), vec![], Method::RoundRobin);
    assert_eq!(ports(&group, 100, Inputs::default()), (1..=100).collect::<Vec<_>>());
}

/// The digest of `127.0.0.1:2`.
const DIGEST: &str = "abf7a7b4e5522108bc46650d856ec400";

#[test]
fn a_session_is_sent_to_its_own_server() {
    let group = Group::new("u", (1..=3).map(|port| peer(port, 1)).collect(), vec![], Method::RoundRobin);
    let id = peer(2, 1).id();
    assert_eq!(&*id, DIGEST);
    let inputs = Inputs { session: id.as_bytes(), ..Inputs::default() };
    assert_eq!(ports(&group, 5, inputs), [2, 2, 2, 2, 2]);
    // What it was asked for its sessions counts as a turn of its own, once.
    assert_eq!(ports(&group, 3, Inputs::default()).iter().filter(|port| **port == 2).count(), 0);
    let unknown = Inputs { session: b"nobody", ..Inputs::default() };
    assert_eq!(ports(&group, 1, unknown).len(), 1);
}

#[test]
fn a_draining_server_has_its_own_sessions_alone() {
    let leaving = Peer { down: true, drains: true, route: Some("b".to_owned()), ..peer(2, 1) };
    let gone = Peer { down: true, route: Some("c".to_owned()), ..peer(3, 1) };
    for method in [Method::RoundRobin, Method::LeastConn, Method::IpHash, Method::Hash, Method::Random] {
        let group = Group::new("u", vec![peer(1, 1), leaving.clone(), gone.clone()], vec![], method);
        assert_eq!(ports(&group, 3, Inputs::default()), [1, 1, 1]);
        assert_eq!(ports(&group, 2, Inputs { session: b"b", ..Inputs::default() }), [2, 2]);
        assert_eq!(ports(&group, 2, Inputs { session: b"c", ..Inputs::default() }), [1, 1]);
    }
}

#[test]
fn a_session_whose_server_fails_goes_on_elsewhere() {
    let group = Group::new("u", vec![peer(1, 1), peer(2, 1)], vec![], Method::RoundRobin);
    let id = peer(2, 1).id();
    let mut pick = group.pick(Inputs { session: id.as_bytes(), ..Inputs::default() });
    let first = group.select(&mut pick, 1).expect("a peer");
    assert_eq!(group.id(first), Some(&*id));
    group.free(first, true, &mut pick, 1);
    let second = group.select(&mut pick, 1).expect("a peer");
    assert_eq!(second.index, 0);
}

/// How many of so many requests at `now` the server at port 1 gets.
fn share(group: &Group, count: usize, now: u64) -> usize {
    let is_first = |at| group.peer(at).is_some_and(|peer| peer.name.ends_with(":1"));
    let turns = (0..count).map(|_| {
        let mut pick = group.pick(Inputs::default());
        let at = group.select(&mut pick, now).expect("a peer");
        group.free(at, false, &mut pick, now);
        is_first(at)
    });
    turns.filter(|first| *first).count()
}

#[test]
fn a_weight_grows_when_a_server_is_available_again() {
    for method in [Method::RoundRobin, Method::LeastConn] {
        let slow = Peer { slow_start: 10, ..peer(1, 2) };
        let group = Group::new("u", vec![slow, peer(2, 2)], vec![], method);
        assert_eq!(share(&group, 20, 999), 10);
        let mut pick = group.pick(Inputs::default());
        let mut at = group.select(&mut pick, 1000).expect("a peer");
        while group.peer(at).is_some_and(|peer| peer.name.ends_with(":2")) {
            group.free(at, false, &mut pick, 1000);
            at = group.select(&mut pick, 1000).expect("a peer");
        }
        assert!(group.free(at, true, &mut pick, 1000));
        assert_eq!(share(&group, 20, 1005), 0);
        assert_eq!(share(&group, 20, 1011), 1, "the attempt that finds it available");
        // Half of its weight: one of three requests; then all of it.
        assert_eq!((share(&group, 30, 1016), share(&group, 20, 1021)), (10, 10));
    }
}

fn check(mandatory: bool) -> Arc<Check> {
    let rule = Rule { fails: 1, passes: 1, mandatory, persistent: false, down: false };
    let (interval, jitter) = (Duration::from_secs(5), Duration::ZERO);
    Arc::new(Check { key: "http /".to_owned(), rule, interval, jitter, port: None })
}

#[test]
fn an_unhealthy_server_is_not_chosen_by_any_method() {
    let peers = || vec![peer(1, 1), peer(2, 1)];
    let methods = [
        Method::RoundRobin,
        Method::LeastConn,
        Method::IpHash,
        Method::Hash,
        Method::Consistent(Points::new(&peers())),
        Method::Random,
        Method::RandomTwo,
    ];
    for method in methods {
        let group = Group::new("u", peers(), vec![], method);
        let check = check(false);
        group.add_check(&check);
        assert_eq!(group.judge(&peer(1, 1), &check, true, 1000), None);
        assert_eq!(group.judge(&peer(1, 1), &check, false, 1000), Some(State::Unhealthy));
        let clients = (0..32_u8).map(|last| IpAddr::from([last, 2, 3, 4]));
        let seen: Vec<u16> = clients
            .flat_map(|client| {
                let key = client.to_string();
                ports(&group, 1, Inputs { client: Some(client), key: key.as_bytes(), session: b"" })
            })
            .collect();
        assert!(seen.iter().all(|port| *port == 2), "{seen:?}");
        assert_eq!(group.judge(&peer(1, 1), &check, true, 1000), Some(State::Healthy));
        assert_eq!(group.judge(&peer(9, 1), &check, false, 1000), None, "nobody knows it");
    }
}

#[test]
fn a_lone_server_is_out_while_it_is_unhealthy_and_each_check_counts() {
    let group = Group::new("u", vec![peer(1, 1)], vec![], Method::RoundRobin);
    let (one, other) = (check(false), check(true));
    group.add_check(&one);
    let asked = || group.select(&mut group.pick(Inputs::default()), 7).is_some();
    assert!(asked());
    group.add_check(&other);
    assert!(!asked(), "it must be checked first");
    assert_eq!(group.judge(&peer(1, 1), &other, true, 7), Some(State::Healthy));
    assert!(asked());
    assert_eq!(group.judge(&peer(1, 1), &one, false, 7), Some(State::Unhealthy));
    assert!(!asked(), "one check that fails is enough");
    // The next configuration asks the same.
    let next = Group::new("u", vec![peer(1, 1)], vec![], Method::RoundRobin);
    next.add_check(&check(false));
    next.carry_over(&group);
    assert!(next.select(&mut next.pick(Inputs::default()), 7).is_none());
}
