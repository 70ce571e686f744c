use super::*;
use crate::vrrp::wire::{HOPS, IPV4_HEADER, emit};
use std::time::Duration;

const OWN: &str = "192.0.2.11";
const OTHER: &str = "192.0.2.12";

fn router(vrid: u8, priority: u8, tracking: &[(usize, i32)]) -> RouterConfig {
    let machine = Config::new(vrid, priority, vec![format!("198.51.100.{vrid}").parse().unwrap()]);
    let tracked = |(thing, weight): &(usize, i32)| Tracking { thing: ThingId(*thing), weight: *weight, reverse: false };
    RouterConfig { machine: machine.into(), tracking: tracking.iter().map(tracked).collect() }
}

fn config(routers: Vec<RouterConfig>, groups: &[&[usize]], things: usize) -> NodeConfig {
    let groups: Vec<Vec<RouterId>> = groups.iter().map(|ids| ids.iter().copied().map(RouterId).collect()).collect();
    let mut config = NodeConfig { routers, groups, things };
    for id in config.groups.concat() {
        Arc::make_mut(&mut config.routers[id.0].machine).grouped = true;
    }
    config
}

/// A node all of whose routers can speak.
fn open(config: NodeConfig) -> (Node, Instant) {
    let now = Instant::now();
    let count = config.routers.len();
    let mut node = Node::new(config, None);
    for id in (0..count).map(RouterId) {
        node.tell(now, Fact::Source(id, OWN.parse().ok()));
        node.tell(now, Fact::Socket(id, Socket::Open));
    }
    (node, now)
}

fn acts(node: &mut Node) -> Vec<Act> {
    std::iter::from_fn(|| node.poll_act()).collect()
}

fn states(node: &Node) -> Vec<StateKind> {
    node.routers().map(|(_, router)| router.state()).collect()
}

/// Who is notified of which state, in order.
fn notified(acts: &[Act]) -> Vec<(Option<usize>, StateKind)> {
    let one = |act: &Act| match act {
        Act::Notify(Subject::Router(id, _), Occasion::State(state)) => Some((Some(id.0), *state)),
        Act::Notify(Subject::Group(_), Occasion::State(state)) => Some((None, *state)),
        _ => None,
    };
    acts.iter().filter_map(one).collect()
}

/// Lets time pass until nothing is due for `rest`.
fn run(node: &mut Node, mut now: Instant, rest: Duration) -> Instant {
    let end = now + rest;
    while let Some(due) = node.poll_timeout().filter(|due| *due <= end) {
        now = now.max(due);
        node.settle(now);
        node.handle_timeout(now);
    }
    end
}

#[test]
fn a_router_that_cannot_speak_holds_nothing() {
    for socket in [Socket::Missing, Socket::Refused] {
        let (mut node, now) = open(config(vec![router(1, 100, &[]), router(2, 255, &[])], &[], 0));
        node.tell(now, Fact::Socket(RouterId(0), socket));
        node.tell(now, Fact::Socket(RouterId(1), socket));
        node.settle(now);
        run(&mut node, now, Duration::from_secs(20));
        assert_eq!(states(&node), [StateKind::Fault; 2], "{socket:?}");
        let holds = |act: &Act| matches!(act, Act::Router(_, Action::Hold | Action::Advertise(..)));
        assert!(!acts(&mut node).iter().any(holds));
    }
}

#[test]
fn a_master_whose_sockets_go_gives_up() {
    let (mut node, now) = open(config(vec![router(1, 100, &[])], &[], 0));
    node.settle(now);
    let now = run(&mut node, now, Duration::from_secs(5));
    assert_eq!(states(&node), [StateKind::Master]);
    acts(&mut node);
    node.tell(now, Fact::Socket(RouterId(0), Socket::Missing));
    node.settle(now);
    assert!(acts(&mut node).contains(&Act::Router(RouterId(0), Action::Release)));
    assert_eq!(states(&node), [StateKind::Fault]);
}

#[test]
fn readings_count_together_and_only_for_those_who_track_them() {
    let routers = vec![router(1, 100, &[(0, -20), (1, 0)]), router(2, 100, &[(1, 0)]), router(3, 100, &[])];
    let (mut node, now) = open(config(routers, &[], 2));
    node.settle(now);
    // The first two wait for what they track.
    assert_eq!(states(&node), [StateKind::Initialise, StateKind::Initialise, StateKind::Backup]);
    node.tell(now, Fact::Reading(ThingId(0), Reading::Bad));
    node.tell(now, Fact::Reading(ThingId(1), Reading::Good));
    node.settle(now);
    assert_eq!(states(&node), [StateKind::Backup; 3]);
    let priority = |node: &Node, at| node.router(RouterId(at)).map(Router::priority);
    assert_eq!((priority(&node, 0), priority(&node, 1)), (Some(80), Some(100)));
    acts(&mut node);
    node.tell(now, Fact::Reading(ThingId(0), Reading::Value(5)));
    node.settle(now);
    assert_eq!(priority(&node, 0), Some(1));
    assert!(acts(&mut node).iter().all(|act| matches!(act, Act::Router(RouterId(0), _) | Act::Notify(..))));
    node.tell(now, Fact::Reading(ThingId(1), Reading::Bad));
    node.settle(now);
    assert_eq!(states(&node), [StateKind::Fault, StateKind::Fault, StateKind::Backup]);
    node.tell(now, Fact::Reading(ThingId(1), Reading::Unused));
    node.settle(now);
    assert_eq!(states(&node), [StateKind::Backup; 3]);
}

#[test]
fn a_group_moves_as_one_and_is_notified_after_its_members() {
    let routers = vec![router(1, 100, &[]), router(2, 150, &[(0, 0)])];
    let (mut node, now) = open(config(routers, &[&[0, 1]], 1));
    node.tell(now, Fact::Reading(ThingId(0), Reading::Good));
    node.settle(now);
    let begin = notified(&acts(&mut node));
    assert_eq!(begin, [(None, StateKind::Backup), (Some(0), StateKind::Backup), (Some(1), StateKind::Backup)]);
    let now = run(&mut node, now, Duration::from_secs(10));
    assert_eq!(states(&node), [StateKind::Master; 2]);
    let up = notified(&acts(&mut node));
    assert_eq!(up.last(), Some(&(None, StateKind::Master)), "{up:?}");
    node.tell(now, Fact::Reading(ThingId(0), Reading::Bad));
    node.settle(now);
    assert_eq!(states(&node), [StateKind::Fault; 2]);
    let down = acts(&mut node);
    // Who changes by itself is first, the other follows.
    assert_eq!(notified(&down), [(Some(1), StateKind::Fault), (Some(0), StateKind::Fault), (None, StateKind::Fault)]);
    assert!(down.contains(&Act::Syncing(GroupId(0), StateKind::Fault)));
}

#[test]
fn nothing_starts_before_the_startup_delay_is_over() {
    let now = Instant::now();
    let until = now + Duration::from_secs(7);
    let mut node = Node::new(config(vec![router(1, 100, &[])], &[], 0), Some(until));
    node.tell(now, Fact::Socket(RouterId(0), Socket::Open));
    node.settle(now);
    assert_eq!((states(&node), node.poll_timeout()), (vec![StateKind::Initialise], Some(until)));
    node.settle(until);
    assert_eq!(states(&node), [StateKind::Backup]);
}

#[test]
fn a_router_that_goes_on_keeps_its_state_and_the_others_start() {
    let (mut node, now) = open(config(vec![router(1, 100, &[]), router(2, 100, &[])], &[], 0));
    node.settle(now);
    let now = run(&mut node, now, Duration::from_secs(5));
    assert_eq!(states(&node), [StateKind::Master; 2]);
    node.retire(now, RouterId(0));
    acts(&mut node);
    let kept = Kept { before: RouterId(1), announce: false };
    node.replace(config(vec![router(3, 100, &[]), router(2, 120, &[(0, 0)])], &[], 1), &[None, Some(kept)]);
    node.tell(now, Fact::Reading(ThingId(0), Reading::Good));
    node.tell(now, Fact::Socket(RouterId(0), Socket::Open));
    node.resume(now);
    let resumed = acts(&mut node);
    assert!(resumed.contains(&Act::Router(RouterId(1), Action::Advertise(120, 0))), "{resumed:?}");
    node.settle(now);
    assert_eq!(states(&node), [StateKind::Backup, StateKind::Master]);
}

#[test]
fn an_advert_moves_the_deadline_of_its_router_alone() {
    let routers = vec![router(1, 100, &[]), router(2, 100, &[])];
    let peer = routers[0].machine.clone();
    let (mut node, start) = open(config(routers, &[], 0));
    node.settle(start);
    let (source, group): (IpAddr, IpAddr) = (OTHER.parse().unwrap(), "224.0.0.18".parse().unwrap());
    for second in 1..30 {
        let now = run(&mut node, start + Duration::from_secs(second - 1), Duration::from_secs(1));
        let payload = emit(&peer, 150, source, group);
        let datagram =
            Datagram { source, destination: Some(group), hops: HOPS, header: IPV4_HEADER, ah: None, payload, clock: 0 };
        node.tell(now, Fact::Heard(RouterId(0), datagram));
    }
    assert_eq!(states(&node), [StateKind::Backup, StateKind::Master]);
    assert!(node.deadlines.len() < 10, "{} deadlines", node.deadlines.len());
}
