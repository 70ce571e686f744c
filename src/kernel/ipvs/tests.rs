use super::table::Table;
use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn service() -> Service {
    Service {
        key: Key::Address(Protocol::Tcp, "10.9.9.1".parse().unwrap(), 80),
        scheduler: "rr".to_owned(),
        engine: String::new(),
        flags: 0,
        timeout: 0,
        netmask: WHOLE_ADDRESS,
    }
}

fn destination() -> Destination {
    let ip = "127.0.0.1".parse().unwrap();
    Destination { ip, port: 8081, method: Method::Nat, weight: 1, upper: 0, lower: 0 }
}

/// Recorded from keepalived 2.1.5.
#[test]
fn messages_are_byte_for_byte_keepaliveds() {
    let service_part = "5400018006000100020000000600020006000000140003000a0909010000000000000000000000000600040000500000\
                        07000600727200000c00070000000000ffffffff080008000000000008000900ffffffff";
    let destination_part = "4800028006000b0002000000140001007f000001000000000000000000000000060002001f9100000800030000000000\
                            080004000100000008000500000000000800060000000000";
    let (one, two) = (service(), destination());
    for (request, expected) in [
        (Request::AddService(one.clone()), format!("01010000{service_part}")),
        (Request::DeleteService(one.clone()), format!("03010000{service_part}")),
        (Request::AddDestination(one.clone(), two.clone()), format!("05010000{service_part}{destination_part}")),
        (Request::DeleteDestination(one, two), format!("07010000{service_part}{destination_part}")),
    ] {
        assert_eq!(hex(request.body().bytes()), expected, "{request:?}");
    }
}

/// Recorded from keepalived 2.1.5.
#[test]
fn services_of_every_kind_are_byte_for_byte_keepaliveds() {
    let [port, fallback] = [SCHEDULER_FLAGS[1], SCHEDULER_FLAGS[0]];
    let six = Service {
        key: Key::Address(Protocol::Tcp, "fd00::1".parse().unwrap(), 443),
        scheduler: "sh".to_owned(),
        engine: String::new(),
        flags: PERSISTENT | port | fallback,
        timeout: 300,
        netmask: 64,
    };
    let mark = Service {
        key: Key::Mark(9, false),
        scheduler: "wlc".to_owned(),
        flags: PERSISTENT,
        timeout: 360,
        netmask: u32::from_ne_bytes([255, 255, 255, 0]),
        ..six.clone()
    };
    let calls = Service {
        key: Key::Address(Protocol::Udp, "10.9.9.3".parse().unwrap(), 5060),
        scheduler: "rr".to_owned(),
        engine: "sip".to_owned(),
        flags: PERSISTENT | ONE_PACKET,
        timeout: 60,
        netmask: WHOLE_ADDRESS,
    };
    for (service, expected) in [
        (
            six,
            "0101000054000180060001000a000000060002000600000014000300fd0000000000000000000000000000010600040001bb00000700\
             0600736800000c00070019000000ffffffff080008002c0100000800090040000000",
        ),
        (
            mark,
            "01010000380001800600010002000000080005000900000008000600776c63000c00070001000000ffffffff08000800680100000800\
             0900ffffff00",
        ),
        (
            calls,
            "010100005c00018006000100020000000600020011000000140003000a0909030000000000000000000000000600040013c400000700\
             06007272000008000b00736970000c00070005000000ffffffff080008003c00000008000900ffffffff",
        ),
    ] {
        assert_eq!(hex(Request::AddService(service).body().bytes()), expected);
    }
}

/// Recorded from keepalived 2.1.5.
#[test]
fn destinations_of_every_kind_are_byte_for_byte_keepaliveds() {
    let through =
        |ip: &str, method| Destination { ip: ip.parse().unwrap(), port: 5060, method, weight: 1, upper: 0, lower: 0 };
    let limited = Destination { port: 443, weight: 5, upper: 100, lower: 10, ..through("fd00::2", Method::Nat) };
    let marked = Destination { port: 0, ..through("10.0.0.1", Method::Direct) };
    let gue = Method::Tunnel(Tunnel::Gue(6635, Checksum::Remote));
    for (destination, expected) in [
        (
            limited,
            "4800028006000b000a00000014000100fd0000000000000000000000000000020600020001bb00000800030000000000080004000500\
             00000800050064000000080006000a000000",
        ),
        (
            marked,
            "4800028006000b0002000000140001000a00000100000000000000000000000006000200000000000800030003000000080004000100\
             0000080005000000000008000600 00000000",
        ),
        (
            through("10.0.0.3", Method::Tunnel(Tunnel::Ipip)),
            "5000028006000b0002000000140001000a0000030000000000000000000000000600020013c400000800030002000000080004000100\
             000005000d000000000008000500000000000800060000000000",
        ),
        (
            through("10.0.0.2", Method::Tunnel(Tunnel::Gre(Checksum::Full))),
            "5800028006000b0002000000140001000a0000020000000000000000000000000600020013c400000800030002000000080004000100\
             000005000d000200000006000f000100000008000500000000000800060000000000",
        ),
        (
            through("10.0.0.1", gue),
            "6000028006000b0002000000140001000a0000010000000000000000000000000600020013c400000800030002000000080004000100\
             000005000d000100000006000e0019eb000006000f000200000008000500000000000800060000000000",
        ),
    ] {
        let mut body = Body::new(&[]);
        destination.write(&mut body);
        assert_eq!(hex(body.bytes()), expected.replace(' ', ""), "{destination:?}");
    }
}

/// Recorded from keepalived 2.1.5.
#[test]
fn timeouts_and_the_flush_are_byte_for_byte_keepaliveds() {
    let timeouts = Request::SetTimeouts(Timeouts { tcp: 100, tcp_fin: 20, udp: 30 });
    assert_eq!(hex(timeouts.body().bytes()), "0c01000008000400640000000800050014000000080006001e000000");
    assert_eq!(hex(Request::Flush.body().bytes()), "11010000");
}

/// Recorded from keepalived 2.1.5.
#[test]
fn the_sync_daemon_is_asked_for_byte_for_byte_as_keepalived_does() {
    let daemon = SyncDaemon {
        interface: "lo".to_owned(),
        id: 7,
        longest: Some(1400),
        port: Some(8848),
        ttl: Some(3),
        group: "224.0.0.81".parse().ok(),
    };
    assert_eq!(
        hex(Request::StartDaemon(SyncState::Backup, daemon).body().bytes()),
        "090100003c0003800800010002000000070002006c6f0000080003000700000006000400780500000600070090220000050008000300000008\
         000500e0000051"
    );
    let stop = Request::StopDaemon(SyncState::Master, 0);
    assert_eq!(hex(stop.body().bytes()), "0a0100001400038008000100010000000800030000000000");
}

#[test]
fn the_table_answers_as_the_kernel_does() {
    let mut table = Table::default();
    let mut ask = |request: Request| table.request(&request).err().and_then(|error| error.raw_os_error());
    let (one, two) = (service(), destination());
    assert_eq!(ask(Request::AddDestination(one.clone(), two.clone())), Some(Errno::ESRCH as i32));
    assert_eq!(ask(Request::AddService(one.clone())), None);
    assert_eq!(ask(Request::AddService(one.clone())), Some(Errno::EEXIST as i32));
    assert_eq!(ask(Request::EditDestination(one.clone(), two.clone())), Some(Errno::ENOENT as i32));
    assert_eq!(ask(Request::AddDestination(one.clone(), two.clone())), None);
    assert_eq!(ask(Request::AddDestination(one.clone(), two.clone())), Some(Errno::EEXIST as i32));
    assert_eq!(ask(Request::DeleteDestination(one.clone(), two.clone())), None);
    assert_eq!(ask(Request::DeleteDestination(one.clone(), two)), Some(Errno::ENOENT as i32));
    assert_eq!(ask(Request::Flush), None);
    assert_eq!(ask(Request::DeleteService(one)), Some(Errno::ESRCH as i32));
}

#[test]
fn failures_are_told_in_keepaliveds_words() {
    let request = Request::AddService(service());
    assert_eq!(request.words(Errno::EEXIST), "Service already exists");
    assert_eq!(Request::Flush.words(Errno::ESRCH), "No such service");
    assert_eq!(request.shown(), ("IP_VS_SO_SET_ADD", 1154));
}
