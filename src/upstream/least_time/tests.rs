use super::*;
use crate::net::address::Address;
use crate::upstream::group::Method;
use crate::upstream::measured::Measured;
use crate::upstream::names::{Changing, Live};
use crate::upstream::times::{Point, Times};
use crate::upstream::{Group, Inputs};
use std::sync::Arc;
use std::time::Duration;

struct Pool(Group);

impl Changing for Pool {
    fn group(&self) -> &Group {
        &self.0
    }

    fn live(&self) -> Option<&Live<Self>> {
        None
    }

    fn with(&self, group: Group) -> Self {
        Self(group)
    }
}

fn peer(port: u16, weight: u32) -> Peer {
    let text = format!("127.0.0.1:{port}");
    Peer { weight, ..Peer::new(Address::Ip(text.parse().expect("an address")), &text) }
}

fn pool(weights: [u32; 2], point: Point, inflight: bool) -> Arc<Pool> {
    let peers = vec![peer(1, weights[0]), peer(2, weights[1])];
    Arc::new(Pool(Group::new("u", peers, vec![], Method::LeastTime(Rule { point, inflight }))))
}

/// One request that is answered after a time that depends on the port; the port.
fn ask(pool: &Arc<Pool>, slow: &str, seconds: u64) -> String {
    let group = &pool.0;
    let mut pick = group.pick(Inputs::default());
    let at = group.select(&mut pick, seconds).expect("a peer");
    let name = group.peer(at).expect("a peer").name.to_string();
    let mut measured = Measured::new(pool, at, Instant::now()).expect("times are measured");
    let time = if name.ends_with(slow) { 400 } else { 10 };
    measured.reached(Point::Header, Duration::from_millis(time));
    drop(measured);
    group.free(at, false, &mut pick, seconds);
    name
}

#[test]
fn the_average_moves_by_a_twentieth() {
    let mut times = Times::default();
    times.add(Duration::from_millis(100));
    assert_eq!(times.average, 100);
    times.add(Duration::from_millis(300));
    assert_eq!(times.average, 110);
    times.add(Duration::from_millis(300));
    assert_eq!(times.average, 120, "119.5 rounded");
}

#[test]
fn times_are_equal_in_steps_and_halve_while_a_server_is_not_asked() {
    let times = |average| Times { average, ..Times::default() };
    assert_eq!(
        [0, 19, 20, 39, 5000, 5001, 90_000].map(|time| times(time).expected(0, 10)),
        [20, 20, 40, 40, 5020, 5000, 5000]
    );
    assert_eq!([10, 11, 21, 22, 1000].map(|idle| times(400).expected(idle, 10)), [420, 220, 220, 120, 20]);
}

#[test]
fn the_slow_server_is_asked_once() {
    let pool = pool([1, 1], Point::Header, false);
    let asked: Vec<String> = (0..12).map(|_| ask(&pool, ":2", 1000)).collect();
    assert_eq!(asked.iter().filter(|name| name.ends_with(":2")).count(), 1, "{asked:?}");
    let later: Vec<String> = (0..12).map(|_| ask(&pool, ":2", 1100)).collect();
    assert!(later.iter().any(|name| name.ends_with(":2")), "after a time it is asked again: {later:?}");
}

#[test]
fn equal_servers_are_asked_by_weight() {
    let pool = pool([3, 1], Point::Header, false);
    let asked: Vec<String> = (0..8).map(|_| ask(&pool, "none", 1000)).collect();
    let first = asked.iter().filter(|name| name.ends_with(":1")).count();
    assert!(first >= 6, "{asked:?}");
}

#[test]
fn attempts_in_flight_count_by_their_age() {
    let now = Instant::now();
    let mut times = Times::default();
    times.begin(now);
    times.begin(now + Duration::from_millis(100));
    assert_eq!((times.inflight, times.inflight_age), (2, 100));
    // The first ends after 300 ms: only the age of the second, 200 ms, stays.
    times.end(Duration::from_millis(300), now + Duration::from_millis(300));
    assert_eq!((times.inflight, times.inflight_age), (1, 200));
    times.end(Duration::from_millis(300), now + Duration::from_millis(400));
    assert_eq!((times.inflight, times.inflight_age), (0, 0));
}

#[test]
fn a_server_that_does_not_answer_is_left_alone_with_inflight() {
    let pool = pool([1, 1], Point::Header, true);
    let group = &pool.0;
    let mut pick = group.pick(Inputs::default());
    let silent = group.select(&mut pick, 1000).expect("a peer");
    let waiting = Measured::new(&pool, silent, Instant::now());
    group.measured(silent, |times| times.inflight_age = 9000);
    let name = group.peer(silent).expect("a peer").name.to_string();
    assert!((0..6).all(|_| ask(&pool, "none", 1000) != name));
    drop(waiting);
    group.measured(silent, |times| assert_eq!((times.inflight, times.inflight_age), (0, 0)));
}

#[test]
fn failures_and_attempts_without_an_answer_do_not_count() {
    let pool = pool([1, 1], Point::LastByte, false);
    let at = pool.0.select(&mut pool.0.pick(Inputs::default()), 1000).expect("a peer");
    let began = Instant::now().checked_sub(Duration::from_secs(1)).expect("a clock that has run");
    let measure = || Measured::new(&pool, at, began).expect("times are measured");
    drop(measure());
    let mut failed = measure();
    failed.reached(Point::Header, Duration::from_millis(1));
    failed.failed();
    drop(failed);
    pool.0.measured(at, |times| assert_eq!(times.average, 0));
    let mut answered = measure();
    answered.reached(Point::Header, Duration::from_millis(1));
    drop(answered);
    pool.0.measured(at, |times| assert!(times.average >= 1000));
}

#[test]
fn a_reload_keeps_the_averages() {
    let old = pool([1, 1], Point::Header, false);
    ask(&old, ":1", 1000);
    ask(&old, ":1", 1000);
    let new = pool([1, 1], Point::Header, false);
    new.0.carry_over(&old.0);
    let asked: Vec<String> = (0..6).map(|_| ask(&new, ":1", 1000)).collect();
    assert!(asked.iter().all(|name| name.ends_with(":2")), "{asked:?}");
}
