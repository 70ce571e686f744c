use super::*;

#[test]
fn a_rate_allows_a_seconds_bytes_at_once() {
    assert_eq!(allowance(1000, 0, 0, 0), Ok(1000));
    assert_eq!(allowance(1000, 500, 0, 0), Ok(1500));
    assert_eq!(allowance(1000, 0, 400, 0), Ok(600));
    assert_eq!(allowance(1000, 0, 1000, 1), Ok(1000));
}

#[test]
fn what_was_sent_too_early_is_waited_for() {
    assert_eq!(allowance(1000, 0, 1000, 0), Err(1));
    assert_eq!(allowance(1000, 0, 1500, 0), Err(501));
    assert_eq!(allowance(1000, 500, 1500, 0), Err(1));
    assert_eq!(allowance(u64::MAX, u64::MAX, 0, u64::MAX), Err(1), "more than can be counted");
}

#[test]
fn bytes_take_their_time_once_the_rate_holds() {
    assert_eq!(taken(1000, 0, 0, 250), 250);
    assert_eq!(taken(1000, 500, 0, 500), 0);
    assert_eq!(taken(1000, 500, 400, 700), 200);
    assert_eq!(taken(1_000_000, 0, 0, 500), 0);
}
