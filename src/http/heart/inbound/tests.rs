use super::{Flood, Inbound};
use std::time::{Duration, Instant};

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a length").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn begun() -> Inbound {
    let inbound = Inbound::new(128);
    inbound.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    inbound
}

#[test]
fn a_head_is_open_from_its_first_frame_to_the_last_byte_of_its_last() {
    let inbound = begun();
    let bytes = [frame(1, 0, 1, b"abc"), frame(9, 0, 1, b"d"), frame(9, 4, 1, b"ef")].concat();
    let open: Vec<bool> = bytes
        .iter()
        .map(|byte| {
            inbound.read(&[*byte]);
            inbound.is_head_open()
        })
        .collect();
    let (first, last) = (8, bytes.len() - 1);
    let told: Vec<bool> = (0..bytes.len()).map(|at| at >= first && at < last).collect();
    assert_eq!(open, told);
    inbound.read(&frame(1, 5, 3, b""));
    assert!(!inbound.is_head_open(), "an empty head ends with its frame");
}

#[test]
fn frames_without_payload_are_a_flood_after_8_mib() {
    let now = Instant::now();
    for (kind, length) in [(6, 8), (4, 6), (8, 4), (0, 0), (3, 4), (2, 5)] {
        let inbound = begun();
        let one = frame(kind, 0, 0, &vec![0; length]);
        let mut sent = 0;
        // Resets are counted by the second as well.
        let mut time = now;
        while inbound.flood(time).is_none() {
            inbound.read(&one);
            sent += one.len();
            time += Duration::from_secs(2);
            assert!(sent < 9 << 20, "frames of kind {kind}");
        }
        assert!(sent + super::PREFACE > 8 << 20, "frames of kind {kind}: {sent}");
        assert_eq!(inbound.flood(time), Some(Flood::Overhead));
    }
}

#[test]
fn payload_of_either_side_makes_up_for_overhead() {
    let now = Instant::now();
    let inbound = begun();
    for _ in 0..2_000_000 {
        inbound.read(&frame(8, 0, 0, &[0; 4]));
        inbound.add_response(16_384);
    }
    assert_eq!(inbound.flood(now), None);
    let inbound = begun();
    for _ in 0..1000 {
        inbound.read(&frame(0, 0, 1, &[0; 16_384]));
    }
    assert_eq!(inbound.flood(now), None);
}

#[test]
fn streams_given_up_are_a_flood_beyond_twice_the_limit_in_a_second() {
    let now = Instant::now();
    let inbound = begun();
    assert_eq!(inbound.flood(now), None);
    for number in 0..256 {
        inbound.read(&frame(1, 5, number * 2 + 1, b"x"));
        inbound.accepted.set(u64::from(number) + 1);
        inbound.read(&frame(3, 0, number * 2 + 1, &[0; 4]));
        assert_eq!(inbound.flood(now), None);
    }
    assert_eq!(inbound.flood(now + Duration::from_secs(1)), None, "another second");
    for _ in 0..257 {
        inbound.read(&frame(3, 0, 1, &[0; 4]));
    }
    assert_eq!(inbound.flood(now + Duration::from_secs(9)), Some(Flood::Streams), "at once, after a pause");
    let inbound = begun();
    for _ in 0..257 {
        inbound.read(&frame(3, 0, 1, &[0; 4]));
    }
    assert_eq!(inbound.flood(now), Some(Flood::Streams), "at once, at the beginning");
    // Streams that were refused count as well; trailers open none.
    let inbound = begun();
    assert_eq!(inbound.flood(now), None);
    for number in 0..300 {
        inbound.read(&frame(1, 4, 1, b"x"));
        inbound.accepted.set(1);
        assert_eq!(inbound.flood(now), None, "trailers {number}");
    }
    for number in 0..257 {
        inbound.read(&frame(1, 5, number * 2 + 3, b"x"));
    }
    assert_eq!(inbound.flood(now), Some(Flood::Streams));
}
