use super::*;
use crate::net::address::Address;

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
