use super::*;

/// A response to a question, with these records: owner, type, time to live, data.
fn response(id: u16, flags: u16, question: (&[u8], u16), records: &[(&[u8], u16, u32, &[u8])]) -> Vec<u8> {
    let mut message = Vec::new();
    for field in [id, flags, 1, records.len() as u16, 0, 0] {
        message.extend_from_slice(&field.to_be_bytes());
    }
    message.extend_from_slice(question.0);
    message.extend_from_slice(&question.1.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    for (owner, kind, ttl, data) in records {
        message.extend_from_slice(owner);
        message.extend_from_slice(&kind.to_be_bytes());
        message.extend_from_slice(&[0, 1]);
        message.extend_from_slice(&ttl.to_be_bytes());
        message.extend_from_slice(&(data.len() as u16).to_be_bytes());
        message.extend_from_slice(data);
    }
    message
}

const NAME: &[u8] = b"\x01A\x02ex\x00";
const OWNER: &[u8] = &[0xc0, 12];

fn read(message: &[u8]) -> Result<(Records, Vec<Fault>), Fault> {
    let mut skipped = Vec::new();
    let response = Response::parse(message, false)?;
    let records = response.records(&mut |fault| skipped.push(fault))?;
    Ok((records, skipped))
}

#[test]
fn a_query_is_laid_out_as_nginx_sends_it() {
    let expected = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x02ex\x00\x00\x1c\x00\x01";
    assert_eq!(query(0x1234, Kind::Aaaa, b"a.ex").as_deref(), Some(&expected[..]));
}

#[test]
fn names_that_no_message_can_carry_are_not_asked() {
    for name in ["".to_owned(), ".".to_owned(), "a..b".to_owned(), ".a".to_owned(), "a".repeat(64)] {
        assert_eq!(query(1, Kind::A, name.as_bytes()), None, "{name}");
    }
    assert!(query(1, Kind::A, "a".repeat(63).as_bytes()).is_some());
}

#[test]
fn addresses_of_the_family_asked_for_are_read() {
    let message = response(7, 0x8180, (NAME, 1), &[(OWNER, 1, 60, &[10, 0, 0, 1]), (OWNER, 1, 9, &[10, 0, 0, 2])]);
    let parsed = Response::parse(&message, false).expect("a response");
    assert_eq!((parsed.id, parsed.code, parsed.kind, parsed.name), (7, 0, Kind::A, b"a.ex".to_vec()));
    let (records, skipped) = read(&message).expect("records");
    assert_eq!(records.addresses, [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])]);
    assert_eq!((records.ttl, skipped), (9, Vec::new()));
}

#[test]
fn aliases_and_services_are_read() {
    let alias = response(7, 0x8180, (NAME, 28), &[(OWNER, 5, 3, b"\x01B\xc0\x0e")]);
    let parsed = Response::parse(&alias, false).expect("a response");
    let records = parsed.records(&mut |_| {}).expect("records");
    assert_eq!(parsed.alias(&records), Some(Ok(b"b.ex".to_vec())));
    let first = b"\x00\x02\x00\x00\x1f\x90\x01x\xc0\x0e";
    let second = b"\x00\x01\x00\x05\x1f\x91\x01y\xc0\x0e";
    let services = response(7, 0x8180, (NAME, 33), &[(OWNER, 33, 3, first), (OWNER, 33, 3, second)]);
    let (records, _) = read(&services).expect("records");
    let service = |priority, weight, port, name: &[u8]| Service { priority, weight, port, name: name.to_vec() };
    assert_eq!(records.services, [service(1, 5, 8081, b"y.ex"), service(2, 1, 8080, b"x.ex")]);
}

#[test]
fn what_is_wrong_is_said_in_nginxs_words() {
    let a: &[(&[u8], u16, u32, &[u8])] = &[(OWNER, 1, 60, &[10, 0, 0, 1])];
    let cases: &[(Vec<u8>, &str)] = &[
        (vec![0; 11], "short DNS response"),
        (response(7, 0x0100, (NAME, 1), &[]), "invalid UDP DNS response 7 fl:0100"),
        (response(7, 0x8181, (NAME, 1), &[]), "DNS error (1: Format error), query id:7"),
        (response(7, 0x8186, (NAME, 1), &[]), "DNS error (6: Unknown error), query id:7"),
        (response(7, 0x8180, (OWNER, 1), &[]), "unexpected compression pointer in DNS response"),
        (response(7, 0x8180, (b"\0", 1), &[]), "zero-length domain name in DNS response"),
        (response(7, 0x8180, (NAME, 15), &[]), "unknown query type 15 in DNS response"),
        (response(7, 0x8180, (NAME, 28), a), "unexpected A record in DNS response"),
        (response(7, 0x8180, (NAME, 1), &[(OWNER, 1, 1, &[10, 0, 0])]), "invalid A record in DNS response"),
        (response(7, 0x8180, (NAME, 1), &[(b"\0\0\0", 1, 1, &[1, 2, 3, 4])]), "invalid name in DNS response"),
        (
            response(7, 0x8180, (NAME, 33), &[(OWNER, 33, 1, b"\0\0\0\0\0\0\xc0\x28")]),
            "compression pointers loop in DNS response",
        ),
        (
            response(7, 0x8180, (NAME, 33), &[(OWNER, 33, 1, b"\0\0\0\0\0\0\x80\0")]),
            "invalid label type in DNS response",
        ),
        (response(7, 0x8180, (NAME, 33), &[(OWNER, 33, 1, b"\0\0\0\0\0\0\x09a")]), "name is out of DNS response"),
    ];
    for (message, expected) in cases {
        assert_eq!(read(message).map_err(|fault| fault.to_string()), Err((*expected).to_owned()));
    }
    let truncated = response(7, 0x8380, (NAME, 1), &[]);
    let fault = Response::parse(&truncated, true).map(|_| ()).map_err(|fault| fault.to_string());
    assert_eq!(fault, Err("invalid TCP DNS response 7 fl:8380".to_owned()));
}

#[test]
fn unknown_records_are_skipped_and_a_negative_ttl_is_none() {
    let message = response(7, 0x8180, (NAME, 1), &[(OWNER, 16, 60, b"\x01x"), (OWNER, 1, u32::MAX, &[10, 0, 0, 1])]);
    let (records, skipped) = read(&message).expect("records");
    assert_eq!((records.ttl, records.addresses.len()), (0, 1));
    assert_eq!(skipped.iter().map(Fault::to_string).collect::<Vec<_>>(), ["unexpected RR type 16 in DNS response"]);
}

#[test]
fn any_bytes_are_read_without_harm() {
    let whole =
        response(7, 0x8180, (NAME, 33), &[(OWNER, 33, 1, b"\0\0\0\0\0\0\x01x\xc0\x0e"), (OWNER, 5, 1, b"\xc0\x0c")]);
    for length in 0..whole.len() {
        let _ = read(&whole[..length]);
    }
    for at in 0..whole.len() {
        for byte in [0, 0x3f, 0x40, 0x80, 0xc0, 0xff] {
            let mut changed = whole.clone();
            changed[at] = byte;
            if let Ok(parsed) = Response::parse(&changed, false)
                && let Ok(records) = parsed.records(&mut |_| {})
            {
                let _ = parsed.alias(&records);
            }
        }
    }
}

#[test]
fn a_cached_answer_begins_anywhere_in_either_family() {
    let four = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
    let six = [Ipv6Addr::LOCALHOST];
    let plain = order(&four, &six, None);
    assert_eq!(plain, [IpAddr::from(four[0]), four[1].into(), six[0].into()]);
    let turned = order(&four, &six, Some(&mut || 1));
    assert_eq!(turned, [IpAddr::from(six[0]), four[1].into(), four[0].into()]);
}
