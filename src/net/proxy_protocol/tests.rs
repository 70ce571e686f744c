use super::*;
use proptest::prelude::*;

/// A version 2 header for TCP.
fn version_2_of(client: SocketAddr, server: SocketAddr, options: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for ip in [client.ip(), server.ip()] {
        match ip {
            IpAddr::V4(ip) => body.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => body.extend_from_slice(&ip.octets()),
        }
    }
    body.extend_from_slice(&client.port().to_be_bytes());
    body.extend_from_slice(&server.port().to_be_bytes());
    body.extend_from_slice(options);
    let mut out = SIGNATURE.to_vec();
    out.extend_from_slice(&[0x21, if client.is_ipv4() { 0x11 } else { 0x21 }]);
    out.extend_from_slice(&(body.len() as u16).to_be_bytes());
    out.extend_from_slice(&body);
    out
}

fn accepts(text: &str) -> Option<usize> {
    parse(text.as_bytes()).ok().map(|(length, _)| length)
}

#[test]
fn version_1_is_read_as_nginx_reads_it() {
    let (length, header) = parse(b"PROXY TCP4 192.0.2.1 198.51.100.2 5000 80\r\nGET").expect("a header");
    let header = header.expect("addresses");
    assert_eq!((length, &*header.source, header.source_port, header.destination_port), (43, "192.0.2.1", 5000, 80));
    assert_eq!(accepts("PROXY UNKNOWN\r\n"), Some(15));
    assert_eq!(accepts("PROXY UNKNOWN ffff:: ffff:: 1 2\r\nx"), Some(33));
    assert_eq!(accepts("PROXY TCP6 ::1 ::2 1 2\r\n"), Some(24));
    for bad in [
        "PROXY UNKNOWN",
        "PROXY TCP5 ::1 ::2 1 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n",
        "PROXY TCP4 1.1.1.x 2.2.2.2 1 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2  2\r\n",
        "proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "",
    ] {
        assert_eq!(accepts(bad), None, "{bad}");
    }
    let broken = parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect_err("no header");
    assert_eq!(broken.message().as_deref(), Some("broken header: \"GET / HTTP/1.1\""));
}

#[test]
fn version_2_names_tcp_clients_only() {
    let mut local = SIGNATURE.to_vec();
    local.extend_from_slice(&[0x20, 0, 0, 3, 1, 2, 3, 9]);
    assert_eq!(parse(&local), Ok((19, None)));
    let mut unix = SIGNATURE.to_vec();
    unix.extend_from_slice(&[0x21, 0x31, 0, 216]);
    unix.resize(16 + 216, 0);
    assert_eq!(parse(&unix), Ok((232, None)));
    let mut short = SIGNATURE.to_vec();
    short.extend_from_slice(&[0x21, 0x11, 0, 4, 1, 2, 3, 4]);
    assert_eq!(parse(&short), Err(Broken::Short));
    let mut version = SIGNATURE.to_vec();
    version.extend_from_slice(&[0x31, 0x11, 0, 0]);
    assert_eq!(parse(&version), Err(Broken::Version(3)));
    assert_eq!(parse(&unix[..40]), Err(Broken::TooLarge));
}

#[test]
fn options_are_found_by_nginxs_names() {
    let options = [&[1, 0, 2][..], b"h2", &[0x20, 0, 11, 1, 0, 0, 1, 0, 0x22, 0, 3], b"me!", &[0xe0, 0, 0]].concat();
    let at = "127.0.0.1:1".parse().expect("address");
    let (_, header) = parse(&version_2_of(at, at, &options)).expect("a header");
    let header = header.expect("addresses");
    let shown = |name: &str| header.option(name.as_bytes()).map(|value| String::from_utf8_lossy(&value).into_owned());
    assert_eq!(
        [shown("alpn"), shown("ssl_cn"), shown("ssl_0x22")],
        ["h2", "me!", "me!"].map(|text| Some(text.to_owned()))
    );
    assert_eq!((shown("0xe0").as_deref(), shown("netns"), shown("ssl_0x2")), (Some(""), None, None));
    assert_eq!(shown("ssl_verify").as_deref(), Some("256"));
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_without_a_panic(bytes: Vec<u8>, which in 0_u8..4) {
        let head: &[u8] = [&b""[..], b"PROXY ", b"PROXY TCP4 ", SIGNATURE][usize::from(which)];
        if let Ok((length, header)) = parse(&[head, &bytes].concat()) {
            prop_assert!(length <= head.len() + bytes.len());
            if let Some(header) = header {
                let _ = (header.option(b"ssl_cn"), header.option(b"0x1"), header.option(b"alpn"));
            }
        }
    }

    #[test]
    fn what_is_written_is_read_back(a: [u8; 16], b: [u8; 16], four: bool, ports: (u16, u16), rest: Vec<u8>) {
        let ip = |bytes: [u8; 16]| -> IpAddr {
            if four { Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into() } else { Ipv6Addr::from(bytes).into() }
        };
        let (client, server) = (SocketAddr::new(ip(a), ports.0), SocketAddr::new(ip(b), ports.1));
        let mut first = Vec::new();
        write(Some(client), Some(server), &mut first);
        prop_assert!(first.len() <= 107);
        for mut bytes in [first, version_2_of(client, server, &rest[..rest.len().min(200)])] {
            let length = bytes.len();
            bytes.extend_from_slice(&rest);
            let (used, header) = parse(&bytes).expect("a header");
            let header = header.expect("addresses");
            prop_assert_eq!(used, length);
            prop_assert_eq!(header.source.parse::<IpAddr>().expect("an address"), client.ip());
            prop_assert_eq!((header.source_port, header.destination_port), ports);
        }
    }
}
