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
