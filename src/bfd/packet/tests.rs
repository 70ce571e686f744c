use super::*;

fn packet() -> Packet {
    Packet {
        diagnostic: Diagnostic::EXPIRED,
        state: State::Up,
        poll: true,
        last: false,
        authenticated: false,
        demand: false,
        multiplier: 5,
        mine: 0x0102_0304,
        yours: 0x0506_0708,
        min_tx: 10_000,
        min_rx: 20_000,
    }
}

#[test]
fn a_packet_is_its_bytes() {
    let bytes = packet().emit();
    assert_eq!(bytes[..12], [0x21, 0xe0, 5, 24, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(bytes[12..], [0, 0, 0x27, 0x10, 0, 0, 0x4e, 0x20, 0, 0, 0, 0]);
    assert_eq!(Packet::parse(&bytes), Ok(packet()));
}

#[test]
fn what_is_no_packet_is_told_apart() {
    let bytes = packet().emit();
    let with = |at: usize, value: u8| {
        let mut bytes = bytes;
        bytes[at] = value;
        Packet::parse(&bytes)
    };
    assert_eq!(Packet::parse(&bytes[..23]), Err(Invalid::Short(23)));
    assert_eq!(with(3, 26), Err(Invalid::Length { field: 26, received: 24 }));
    assert_eq!(with(0, 0x41), Err(Invalid::Version(2)));
    assert_eq!(with(2, 0), Err(Invalid::Multiplier));
    assert_eq!(with(1, 0xe1), Err(Invalid::Multipoint));
    assert_eq!(with(1, 0xf0), Err(Invalid::PollAndFinal));
    assert_eq!(with(0, 0x29), Err(Invalid::Diagnostic(9)));
    assert_eq!(Packet::parse(&Packet { mine: 0, ..packet() }.emit()), Err(Invalid::Mine));
    assert_eq!(Packet::parse(&Packet { yours: 0, ..packet() }.emit()), Err(Invalid::Yours));
    let down = Packet { yours: 0, state: State::Down, ..packet() };
    assert_eq!(Packet::parse(&down.emit()), Ok(down));
}
