use super::*;
use proptest::prelude::*;

fn article(priority: u8) -> Config {
    let mut config = Config::new(51, priority, vec!["192.168.110.10".parse().unwrap()]);
    config.authentication = Authentication::Pass(*b"123456\0\0");
    config
}

const HOST: &str = "192.168.110.11";
const GROUP: &str = "224.0.0.18";

fn datagram(payload: Vec<u8>) -> Datagram {
    Datagram {
        source: HOST.parse().unwrap(),
        destination: Some(GROUP.parse().unwrap()),
        hops: 255,
        header: IPV4_HEADER,
        ah: None,
        payload,
        clock: 0,
    }
}

/// The advert captured from keepalived 2.1.5 with the article's configuration.
const CAPTURED: [u8; 40] = [
    0x45, 0xc0, 0x00, 0x28, 0x00, 0x02, 0x00, 0x00, 0xff, 0x70, 0xab, 0xdd, 0xc0, 0xa8, 0x6e, 0x0b, 0xe0, 0x00, 0x00,
    0x12, 0x21, 0x33, 0x78, 0x01, 0x01, 0x01, 0x9d, 0x7a, 0xc0, 0xa8, 0x6e, 0x0a, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36,
    0x00, 0x00,
];

#[test]
fn an_advert_is_byte_for_byte_the_one_keepalived_sends() {
    let (from, to) = (HOST.parse().unwrap(), GROUP.parse().unwrap());
    let payload = emit(&article(120), 120, HOST.parse().unwrap(), GROUP.parse().unwrap());
    let mut packet = ipv4_header(from, to, (PROTOCOL, 255, 2), payload.len()).to_vec();
    packet.extend(&payload);
    assert_eq!(packet, CAPTURED);
    let lower = emit(&article(100), 100, HOST.parse().unwrap(), GROUP.parse().unwrap());
    assert_eq!(lower[6..8], [0xb1, 0x7a]);
}

#[test]
fn a_captured_advert_is_understood() {
    let datagram = ipv4_packet(&CAPTURED).unwrap();
    assert_eq!((datagram.hops, vrid(&datagram.payload)), (255, Some(51)));
    let advert = receive(&datagram, &article(100), false, &mut Memory::default()).unwrap();
    assert_eq!((advert.priority, advert.interval), (120, Duration::from_secs(1)));
    assert_eq!(advert.addresses, ["192.168.110.10".parse::<IpAddr>().unwrap()]);
}

#[test]
fn a_third_version_advert_comes_back_as_it_went() {
    let mut config = Config::new(7, 200, vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()]);
    config.version = Version::V3;
    config.interval = Duration::from_millis(250);
    let payload = emit(&config, 200, HOST.parse().unwrap(), GROUP.parse().unwrap());
    let advert = receive(&datagram(payload), &config, false, &mut Memory::default()).unwrap();
    assert_eq!((advert.priority, advert.interval), (200, Duration::from_millis(250)));
}

#[test]
fn checks_come_in_keepaliveds_order() {
    let config = article(100);
    let good = emit(&config, 120, HOST.parse().unwrap(), GROUP.parse().unwrap());
    let refused = |change: &dyn Fn(&mut Datagram)| {
        let mut packet = datagram(good.clone());
        change(&mut packet);
        receive(&packet, &config, false, &mut Memory::default()).unwrap_err().to_string()
    };
    assert_eq!(refused(&|p| p.payload.truncate(19)), "vrrp packet too short, length 39 and expect 40");
    assert_eq!(refused(&|p| p.payload.push(0)), "vrrp packet too long, length 41 and expect 40");
    assert_eq!(refused(&|p| p.hops = 64), "invalid TTL/HL. Received 64 and expect 255");
    // The length is judged by the packet's own version, which comes after it.
    assert_eq!(refused(&|p| p.payload[0] = 0x31), "vrrp packet too long, length 40 and expect 32");
    let newer = |p: &mut Datagram| {
        p.payload[0] = 0x31;
        p.payload.truncate(12);
    };
    assert_eq!(refused(&newer), "wrong version. Received 3 and expect 2");
    assert_eq!(refused(&|p| p.payload[4] = 3), "Invalid auth type: 3");
    assert_eq!(refused(&|p| p.payload[4] = 0), "received a 0 auth, expecting 1!");
    assert_eq!(refused(&|p| p.payload[12] = b'x'), "received an invalid passwd!");
    assert_eq!(refused(&|p| p.payload[5] = 2), "advertisement interval mismatch mine=1 sec rcv'd=2 sec");
    assert_eq!(refused(&|p| p.payload[0] = 0x22), "Invalid packet type. 2 and expect 1");
    assert_eq!(refused(&|p| p.payload[2] = 121), "Invalid VRRPv2 checksum");
    assert_eq!(
        refused(&|p| p.destination = Some("192.168.110.12".parse().unwrap())),
        "Expected multicast packet but received unicast packet"
    );
    let mut other = config.clone();
    other.addresses = vec!["192.168.110.9".parse().unwrap()];
    let payload = emit(&other, 120, HOST.parse().unwrap(), GROUP.parse().unwrap());
    assert_eq!(
        refused(&|p| p.payload.clone_from(&payload)),
        "ip address associated with VRID 51 not present in MASTER advert : 192.168.110.10"
    );
    other.addresses.push("192.168.110.10".parse().unwrap());
    let payload = emit(&other, 120, HOST.parse().unwrap(), GROUP.parse().unwrap());
    assert_eq!(refused(&|p| p.payload.clone_from(&payload)), "received an unexpected ip number count 2, expected 1!");
}

#[test]
fn the_password_never_shows_in_debug_output() {
    assert!(!format!("{:?}", article(100)).contains("49"));
    assert!(!format!("{:?}", article(100)).contains("1234"));
}

proptest! {
    #[test]
    fn no_packet_whatever_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), v3: bool, v6: bool) {
        let mut config = article(100);
        if v3 { config.version = Version::V3; }
        if v6 { config.addresses = vec!["fe80::1".parse().unwrap()]; }
        if let Ok(packet) = ipv4_packet(&bytes) {
            let _ = receive(&packet, &config, true, &mut Memory::default());
        }
        let _ = (vrid(&bytes), receive(&datagram(bytes), &config, false, &mut Memory::default()));
    }

    #[test]
    fn one_flipped_bit_is_always_noticed(bit in 0_usize..160) {
        let config = article(100);
        let mut payload = emit(&config, 120, HOST.parse().unwrap(), GROUP.parse().unwrap());
        payload[bit / 8] ^= 1 << (bit % 8);
        // The VRID decides whose packet it is before it is judged; the checksum still covers it.
        prop_assert!(receive(&datagram(payload), &config, false, &mut Memory::default()).is_err());
    }
}

fn protected() -> Config {
    Config { authentication: Authentication::Ah(*b"secret\0\0"), ..article(100) }
}

#[test]
fn a_protected_advert_is_taken_once_and_only_with_the_password() {
    let config = protected();
    let (host, group): (IpAddr, IpAddr) = (HOST.parse().unwrap(), GROUP.parse().unwrap());
    let send = |config: &Config, sequence| {
        super::datagram(config, 120, (host, group), (255, Numbers { ah: sequence, hmac: 1 })).unwrap()
    };
    let mut last = Memory::default();
    let mut judge = |datagram: &Datagram| {
        let advert = receive(datagram, &config, false, &mut last);
        advert.map(|advert| advert.sequence).map_err(|refusal| refusal.to_string())
    };
    assert_eq!(judge(&send(&config, 5)), Ok(Some(5)));
    let seen = "IPSEC-AH : sequence number 5 already processed. Packet dropped. Local(5)";
    assert_eq!(judge(&send(&config, 5)), Err(seen.to_owned()));
    assert_eq!(judge(&send(&config, 9)), Ok(Some(9)));
    let wrong = Config { authentication: Authentication::Ah(*b"other\0\0\0"), ..config.clone() };
    let value = "IPSEC-AH : invalid IPSEC HMAC-MD5 value. Due to fields mutation or bad password !";
    assert_eq!(judge(&send(&wrong, 10)), Err(value.to_owned()));
    let mut spoilt = send(&config, 10);
    spoilt.payload[2] = 121;
    assert_eq!(judge(&spoilt), Err(value.to_owned()));
    assert_eq!(judge(&send(&article(100), 0)), Err("No AH header but auth type is AH".to_owned()));
    let plain = receive(&send(&config, 11), &article(100), false, &mut Memory::default()).unwrap_err();
    assert_eq!(plain.to_string(), "Received AH header but auth type not AH");
    assert_eq!(judge(&send(&config, 10)), Ok(Some(10)));
}

#[test]
fn the_ttl_is_covered_unless_the_advert_is_unicast() {
    let (host, group): (IpAddr, IpAddr) = (HOST.parse().unwrap(), GROUP.parse().unwrap());
    let mut config = protected();
    let Ok(packet) = (match (host, group) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            Ok(ipv4_advert(&config, 120, (from, to), (255, 1, Numbers { ah: 1, hmac: 1 })))
        }
        _ => Err(()),
    }) else {
        panic!("IPv4")
    };
    let mut changed = packet.clone();
    changed[1] = 0;
    let accepted = |bytes: &[u8], config: &Config| {
        receive(&ipv4_packet(bytes).unwrap(), config, false, &mut Memory::default()).is_ok()
    };
    assert!(accepted(&packet, &config) && accepted(&changed, &config), "the type of service may change");
    changed[8] = 254;
    assert!(!accepted(&changed, &config));
    let peer: IpAddr = "192.168.110.12".parse().unwrap();
    config.peers = vec![crate::vrrp::config::Peer { address: host, hops: 0..=255 }];
    let (IpAddr::V4(from), IpAddr::V4(to)) = (host, peer) else { panic!("IPv4") };
    let mut packet = ipv4_advert(&config, 120, (from, to), (255, 1, Numbers { ah: 1, hmac: 1 }));
    packet[8] = 61;
    assert!(accepted(&packet, &config));
}

#[test]
fn a_checksum_without_addresses_is_that_of_version_2() {
    let mut config = Config::new(51, 100, vec!["192.168.110.10".parse().unwrap()]);
    (config.version, config.checksum) = (Version::V3, Checksum::WithoutAddresses);
    let (host, group) = (HOST.parse().unwrap(), "224.0.0.18".parse().unwrap());
    let sent = super::datagram(&config, 120, (host, group), (255, Numbers { ah: 0, hmac: 1 })).unwrap();
    assert_eq!(checksum(&[&sent.payload]), 0);
    assert!(receive(&sent, &config, false, &mut Memory::default()).is_ok());
    config.checksum = Checksum::Standard;
    let refusal = receive(&sent, &config, false, &mut Memory::default()).map_err(|why| why.to_string());
    assert_eq!(refusal.map(|_| ()), Err("Invalid VRRPv3 checksum".to_owned()));
}

#[test]
fn a_checksum_over_the_group_is_noticed_unless_it_is_never_right() {
    let mut config = Config::new(51, 100, vec!["192.168.110.10".parse().unwrap()]);
    let (host, peer): (IpAddr, IpAddr) = (HOST.parse().unwrap(), "192.168.110.12".parse().unwrap());
    config.version = Version::V3;
    config.peers = vec![crate::vrrp::config::Peer { address: host, hops: 0..=255 }];
    let with = |checksum| Config { checksum, ..config.clone() };
    let sent =
        |checksum| super::datagram(&with(checksum), 120, (host, peer), (255, Numbers { ah: 0, hmac: 1 })).unwrap();
    let judged = |sent: &Datagram, own| {
        receive(sent, &with(own), false, &mut Memory::default())
            .map(|advert| advert.old_checksum)
            .map_err(|why| why.to_string())
    };
    let refused = Err("Invalid VRRPv3 checksum".to_owned());
    let (new, old) = (sent(Checksum::Adaptive), sent(Checksum::Group));
    assert_eq!([judged(&new, Checksum::Adaptive), judged(&old, Checksum::Adaptive)], [Ok(false), Ok(true)]);
    assert_eq!([judged(&new, Checksum::Standard), judged(&old, Checksum::Standard)], [Ok(false), refused.clone()]);
    assert_eq!([judged(&new, Checksum::Group), judged(&old, Checksum::Detected)], [refused, Ok(false)]);
}
