use super::*;

/// One request a second, two ahead.
const SLOW: Pace = Pace { rate: 1000, burst: 2000 };

fn at(zone: &Buckets, millis: u64) -> Instant {
    zone.made + Duration::from_millis(millis)
}

#[test]
fn a_bucket_counts_thousandths_and_milliseconds() {
    let zone = Buckets::new(1 << 20);
    let enter = |millis| zone.enter(b"key", at(&zone, millis), SLOW, true);
    assert_eq!(enter(0), Ok(Counted::Now(0)));
    assert_eq!(enter(1), Ok(Counted::Now(999)));
    assert_eq!(enter(1), Ok(Counted::Now(1999)));
    assert_eq!(enter(1), Ok(Counted::Busy(2999)));
    // A refused request is not counted.
    assert_eq!(enter(1000), Ok(Counted::Now(2000)));
    assert_eq!(enter(100_000), Ok(Counted::Now(0)));
}

#[test]
fn a_request_of_several_zones_is_counted_when_all_agree() {
    let zone = Buckets::new(1 << 20);
    assert_eq!(zone.enter(b"key", at(&zone, 5), SLOW, false), Ok(Counted::Early));
    zone.leave(b"key");
    assert_eq!(zone.enter(b"key", at(&zone, 5), SLOW, false), Ok(Counted::Early));
    // As if the first request had come a long time ago.
    assert_eq!(zone.account(b"key", at(&zone, 5), SLOW), 0);
    assert_eq!(zone.enter(b"key", at(&zone, 6), SLOW, true), Ok(Counted::Now(999)));
}

#[test]
fn a_full_zone_removes_its_oldest_bucket_unless_a_request_holds_it() {
    // Room for two buckets of 128 bytes.
    let zone = Buckets::new(256);
    let enter = |key: &[u8], account| zone.enter(key, at(&zone, 1), SLOW, account);
    assert_eq!(enter(b"one", true), Ok(Counted::Now(0)));
    assert_eq!(enter(b"two", true), Ok(Counted::Now(0)));
    assert_eq!(enter(b"three", true), Ok(Counted::Now(0)));
    assert_eq!(enter(b"two", true), Ok(Counted::Now(1000)));
    assert_eq!(enter(b"one", true), Ok(Counted::Now(0)), "the first bucket was removed");
    assert_eq!(enter(b"two", false), Ok(Counted::Early));
    assert_eq!(enter(b"one", false), Ok(Counted::Early));
    assert_eq!(enter(b"four", true), Err(Full));
    zone.leave(b"two");
    assert_eq!(enter(b"four", true), Ok(Counted::Now(0)));
}

#[test]
fn buckets_that_are_empty_for_a_minute_make_room_two_at_a_time() {
    let zone = Buckets::new(1 << 20);
    for key in [b"a", b"b", b"c"] {
        assert_eq!(zone.enter(key, at(&zone, 0), SLOW, true), Ok(Counted::Now(0)));
    }
    assert_eq!(zone.enter(b"d", at(&zone, 59_999), SLOW, true), Ok(Counted::Now(0)));
    assert_eq!(zone.table.len(), 4);
    assert_eq!(zone.enter(b"e", at(&zone, 60_000), SLOW, true), Ok(Counted::Now(0)));
    assert_eq!(zone.table.len(), 3);
}

#[test]
fn a_clock_that_is_behind_adds_nothing() {
    let zone = Buckets::new(1 << 20);
    assert_eq!(zone.enter(b"key", at(&zone, 500), SLOW, true), Ok(Counted::Now(0)));
    assert_eq!(zone.enter(b"key", at(&zone, 400), SLOW, true), Ok(Counted::Now(1000)));
    assert_eq!(zone.enter(b"key", at(&zone, 1500), SLOW, true), Ok(Counted::Now(1000)));
}
