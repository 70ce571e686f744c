use super::*;
use crate::bfd::packet::State;
use std::time::Duration;

fn ends(neighbour: &str, source: Option<&str>) -> Ends {
    Ends {
        neighbour: neighbour.parse().unwrap(),
        source: source.map(|ip| ip.parse().unwrap()),
        hops: 255,
        max_hops: Some(0),
        multihop: false,
    }
}

fn config() -> Config {
    Config { min_rx: 10_000, min_tx: 10_000, idle_tx: 1_000_000, multiplier: 5, passive: false }
}

fn packet(yours: u32) -> Datagram {
    let bytes = Packet {
        diagnostic: crate::bfd::packet::Diagnostic::NONE,
        state: State::Down,
        poll: false,
        last: false,
        authenticated: false,
        demand: false,
        multiplier: 5,
        mine: 1,
        yours,
        min_tx: 10_000,
        min_rx: 10_000,
    };
    Datagram {
        source: "10.0.0.2".parse().unwrap(),
        destination: "10.0.0.1".parse().ok(),
        hops: Some(255),
        bytes: bytes.emit().to_vec(),
        multihop: false,
    }
}

fn sessions(now: Instant) -> Sessions {
    let mut sessions = Sessions::default();
    let wanted = vec![
        ("a".to_owned(), ends("10.0.0.2", Some("10.0.0.9")), config()),
        ("b".to_owned(), ends("10.0.0.2", Some("10.0.0.1")), config()),
    ];
    sessions.replace(now, wanted, || 5);
    sessions
}

#[test]
fn a_packet_finds_its_session_by_both_ends_or_by_number() {
    let now = Instant::now();
    let mut sessions = sessions(now);
    let state = |sessions: &Sessions, at| sessions.each().nth(at).map(|(_, one)| one.state());
    assert_eq!(sessions.receive(now, &packet(0)), Ok(()));
    assert_eq!([state(&sessions, 0), state(&sessions, 1)], [Some(State::Down), Some(State::Init)]);
    let over_hops = Datagram { multihop: true, ..packet(0) };
    assert!(matches!(sessions.receive(now, &over_hops), Err(Dropped::NoSession(0))), "another port is another session");
    let stranger = Datagram { source: "10.0.0.3".parse().unwrap(), ..packet(0) };
    assert_eq!(sessions.receive(now, &stranger), Err(Dropped::NoSession(0)));
    let number = sessions.each().nth(1).map(|(_, one)| one.number()).unwrap();
    assert_eq!(sessions.receive(now, &packet(number)), Ok(()));
    let other = number.wrapping_add(1).max(1);
    assert_eq!(sessions.receive(now, &packet(other)), Err(Dropped::NoSession(other)));
    let line = "Discarding packet from x (session is not found - your discriminator field is 258)";
    assert_eq!(Dropped::NoSession(0x0102).lines("x"), [line]);
}

#[test]
fn what_came_from_afar_or_is_authenticated_is_dropped() {
    let now = Instant::now();
    let mut sessions = sessions(now);
    let far = Datagram { hops: Some(254), ..packet(0) };
    let dropped = sessions.receive(now, &far).unwrap_err();
    assert_eq!(dropped.lines("x"), ["Packet ttl(254) < 255 - discarding"]);
    let mut signed = packet(0);
    signed.bytes[1] |= 0x04;
    assert_eq!(sessions.receive(now, &signed), Err(Dropped::Authenticated));
    let short = Datagram { bytes: vec![0x20; 3], ..packet(0) };
    let lines = sessions.receive(now, &short).unwrap_err().lines("10.0.0.2");
    assert_eq!(lines, ["Packet is too small: 3 bytes", "Discarding bogus packet from 10.0.0.2"]);
}

#[test]
fn a_session_that_stays_goes_on() {
    let now = Instant::now();
    let mut sessions = sessions(now);
    sessions.receive(now, &packet(0)).unwrap();
    let wanted = vec![("b".to_owned(), ends("10.0.0.2", Some("10.0.0.1")), config())];
    sessions.replace(now + Duration::from_millis(1), wanted, || 9);
    assert_eq!(sessions.each().map(|(name, one)| (name, one.state())).collect::<Vec<_>>(), [("b", State::Init)]);
}
