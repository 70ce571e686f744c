//! `geoip` and `geoip2` beside Debian's modules: databases made here and Debian's own of countries, in http and in stream.

use std::io;
use std::net::IpAddr;

use compat_tests::peer::PREFIX;
use compat_tests::program::Program;
use compat_tests::testbed::{LIMIT, TestBed, local};
use compat_tests::{client, mount};

/// A tree over the bits of addresses: two sides each node, a side is a node or what is found.
struct Tree {
    nodes: Vec<[Side; 2]>,
}

#[derive(Clone, Copy)]
enum Side {
    Nothing,
    Node(usize),
    Found(usize),
}

impl Tree {
    fn new() -> Self {
        Self { nodes: vec![[Side::Nothing; 2]] }
    }

    /// What is found for the addresses that begin with these bits.
    fn insert(&mut self, bits: &[bool], found: usize) {
        let Some((last, way)) = bits.split_last() else { return };
        let mut at = 0;
        for bit in way {
            at = match self.nodes[at][usize::from(*bit)] {
                Side::Node(next) => next,
                before => {
                    self.nodes.push([before; 2]);
                    let next = self.nodes.len() - 1;
                    self.nodes[at][usize::from(*bit)] = Side::Node(next);
                    next
                }
            };
        }
        self.nodes[at][usize::from(*last)] = Side::Found(found);
    }
}

/// The bits of a network, of an IPv4 one behind `before`.
fn bits(network: &str, before: &[bool]) -> Vec<bool> {
    let (address, length) = network.split_once('/').expect("a network");
    let length: usize = length.parse().expect("a length");
    let (octets, before) = match address.parse().expect("an address") {
        IpAddr::V4(ip) => (ip.octets().to_vec(), before),
        IpAddr::V6(ip) => (ip.octets().to_vec(), &[][..]),
    };
    let all = octets.iter().flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1 == 1));
    before.iter().copied().chain(all.take(length)).collect()
}

/// An old database: its edition, the bytes of a side, and the records of networks.
fn dat(edition: u8, side: usize, is_v6: bool, networks: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mapped = [vec![false; 80], vec![true; 16]].concat();
    let (mut tree, mut records) = (Tree::new(), vec![0]);
    for (network, record) in networks {
        tree.insert(&bits(network, if is_v6 { &mapped } else { &[] }), records.len());
        records.extend_from_slice(record);
    }
    let count = tree.nodes.len();
    let mut file = Vec::new();
    for node in &tree.nodes {
        for part in node {
            let number = match part {
                Side::Nothing => count,
                Side::Node(next) => *next,
                Side::Found(at) => count + at,
            };
            file.extend_from_slice(&(number as u32).to_le_bytes()[..side]);
        }
    }
    file.extend_from_slice(&records);
    file.extend_from_slice(&[0xff, 0xff, 0xff, edition]);
    file.extend_from_slice(&(count as u32).to_le_bytes()[..3]);
    file
}

/// The record of a city.
fn city(country: u8, texts: [&[u8]; 3], degrees: [f64; 2], codes: u32) -> Vec<u8> {
    let mut record = vec![country];
    for text in texts {
        record.extend_from_slice(text);
        record.push(0);
    }
    for degrees in degrees {
        record.extend_from_slice(&(((degrees + 180.0) * 10_000.0).round() as u32).to_le_bytes()[..3]);
    }
    record.extend_from_slice(&codes.to_le_bytes()[..3]);
    record
}

fn old_databases() -> Vec<(&'static str, Vec<u8>)> {
    let cities: Vec<(&str, Vec<u8>)> = vec![
        ("10.0.0.0/8", city(225, [b"CA", b"San Jos\xe9", b"95113"], [37.3353, -121.8938], 807_408)),
        ("10.20.0.0/16", city(38, [b"ON", b"Ottawa", b"K1A"], [45.4215, -75.6972], 807_408)),
        ("10.30.0.0/16", city(56, [b"07", b"", b""], [51.0, 9.0], 0)),
        ("10.40.1.0/24", city(0, [b"", b"Nowhere", b""], [-0.00004, 0.00005], 0)),
        ("10.50.0.0/16", city(151, [b"", b"Willemstad", b""], [-89.99999, 179.9999], 0)),
    ];
    let names = vec![("10.0.0.0/8", b"An ISP\0".to_vec()), ("10.20.0.0/16", b"Soci\xe9t\xe9\0".to_vec())];
    let v6 = |mut networks: Vec<(&'static str, Vec<u8>)>, record: Vec<u8>| {
        networks.push(("2001:db8::/32", record.clone()));
        networks.push(("::/104", record));
        networks
    };
    let record = city(75, [b"A8", b"Paris", b"75001"], [48.8534, 2.3488], 1);
    vec![
        ("city.dat", dat(2, 3, false, &cities)),
        ("city0.dat", dat(6, 3, false, &cities)),
        ("city6.dat", dat(30, 3, true, &v6(cities, record))),
        ("org.dat", dat(5, 4, false, &names)),
        ("asnum.dat", dat(9, 3, false, &[("10.0.0.0/8", b"AS64500\0".to_vec())])),
        ("isp6.dat", dat(22, 4, true, &v6(names, b"IPv6\0".to_vec()))),
    ]
}

/// Something in a new database.
enum Data {
    Text(&'static str),
    Bytes(&'static [u8]),
    Double(f64),
    Float(f32),
    /// An unsigned number, by the number of its type and the bytes it has.
    Number(u8, u128, usize),
    Signed(i32),
    Bool(bool),
    Map(Vec<(&'static str, Self)>),
    List(Vec<Self>),
}

impl Data {
    fn write(&self, out: &mut Vec<u8>) {
        let mut head = |kind: u8, size: usize| {
            let (first, second) = if kind > 7 { (0, Some(kind - 7)) } else { (kind << 5, None) };
            out.push(first | size.min(29) as u8);
            out.extend(second);
            out.extend((size >= 29).then(|| (size - 29) as u8));
        };
        match self {
            Self::Text(text) => {
                head(2, text.len());
                out.extend_from_slice(text.as_bytes());
            }
            Self::Bytes(bytes) => {
                head(4, bytes.len());
                out.extend_from_slice(bytes);
            }
            Self::Double(number) => {
                head(3, 8);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Float(number) => {
                head(15, 4);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Number(kind, number, size) => {
                head(*kind, *size);
                out.extend_from_slice(&number.to_be_bytes()[16 - size..]);
            }
            Self::Signed(number) => {
                head(8, 4);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Bool(value) => head(14, usize::from(*value)),
            Self::Map(entries) => {
                head(7, entries.len());
                for (key, value) in entries {
                    Self::Text(key).write(out);
                    value.write(out);
                }
            }
            Self::List(entries) => {
                head(11, entries.len());
                entries.iter().for_each(|value| value.write(out));
            }
        }
    }
}

/// A new database.
fn mmdb(networks: &[(&str, Data)]) -> Vec<u8> {
    let (mut tree, mut records) = (Tree::new(), Vec::new());
    for (network, data) in networks {
        tree.insert(&bits(network, &[false; 96]), records.len());
        data.write(&mut records);
    }
    let count = tree.nodes.len();
    let mut file = Vec::new();
    for part in tree.nodes.iter().flatten() {
        let number = match part {
            Side::Nothing => count,
            Side::Node(next) => *next,
            Side::Found(at) => count + 16 + at,
        };
        file.extend_from_slice(&(number as u32).to_be_bytes()[1..]);
    }
    file.extend_from_slice(&[0; 16]);
    file.extend_from_slice(&records);
    file.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    Data::Map(vec![
        ("binary_format_major_version", Data::Number(5, 2, 1)),
        ("binary_format_minor_version", Data::Number(5, 0, 0)),
        ("build_epoch", Data::Number(9, 1_700_000_000, 4)),
        ("database_type", Data::Text("Test")),
        ("description", Data::Map(vec![("en", Data::Text("a test"))])),
        ("ip_version", Data::Number(5, 6, 1)),
        ("languages", Data::List(vec![Data::Text("en")])),
        ("node_count", Data::Number(6, count as u128, 4)),
        ("record_size", Data::Number(5, 24, 1)),
    ])
    .write(&mut file);
    file
}

fn place(code: &'static str) -> Data {
    Data::Map(vec![
        ("country", Data::Map(vec![("iso_code", Data::Text(code)), ("is_in_european_union", Data::Bool(true))])),
        ("location", Data::Map(vec![("latitude", Data::Double(-52.515_65)), ("accuracy", Data::Float(0.125))])),
        ("subdivisions", Data::List(vec![Data::Map(vec![("iso_code", Data::Text("BE"))]), Data::Text("second")])),
        ("7", Data::Text("seven")),
        ("port", Data::Number(5, 65_535, 2)),
        ("geoname_id", Data::Number(6, 2_921_044, 3)),
        ("large", Data::Number(9, 1 << 40, 8)),
        ("huge", Data::Number(10, 0xfeed_0000_0000_0000_0001, 16)),
        ("offset", Data::Signed(-7200)),
        ("raw", Data::Bytes(b"raw bytes")),
        ("empty", Data::Text("")),
    ])
}

const MODULES: &str = "worker_processes 1;
load_module /usr/lib/nginx/modules/ngx_http_geoip_module.so;
load_module /usr/lib/nginx/modules/ngx_http_geoip2_module.so;
STREAM
events { }
";

/// Modules of stream, behind stream's own, which the test's host loads first.
const STREAM: &str = "load_module /usr/lib/nginx/modules/ngx_stream_geoip_module.so;
load_module /usr/lib/nginx/modules/ngx_stream_geoip2_module.so;";

const OLD: &str = "$geoip_country_code|$geoip_country_code3|$geoip_country_name|$geoip_org|$geoip_city_continent_code|\
$geoip_city_country_code|$geoip_city_country_code3|$geoip_city_country_name|$geoip_region|$geoip_region_name|$geoip_city|\
$geoip_postal_code|$geoip_latitude|$geoip_longitude|$geoip_dma_code|$geoip_area_code";

const CLIENTS: &[&str] = &[
    "",
    "10.1.2.3",
    "10.20.0.1",
    "10.30.0.1",
    "10.40.1.1",
    "10.50.1.1",
    "11.0.0.1",
    "8.8.8.8",
    "193.0.6.139",
    "0.0.0.0",
    "255.255.255.255",
    "2001:db8::1",
    "2001:4860:4860::8888",
    "2001:0:53aa:64c::f5ff:ffff",
    "::ffff:10.20.0.1",
    "10.20.0.1, 127.0.0.9",
    "10.20.0.1, 11.0.0.1",
    "nobody",
];

fn database(name: &str, bytes: &[u8]) -> io::Result<()> {
    mount::file(&format!("{PREFIX}/{name}"), bytes, 0o644)
}

fn started(program: Program, conf: &str, files: Vec<(&'static str, Vec<u8>)>) -> io::Result<TestBed> {
    let testbed = TestBed::new(program)?;
    testbed.write(conf)?;
    testbed.host().run(move || files.iter().try_for_each(|(name, bytes)| database(name, bytes)))??;
    testbed.command(&[])?;
    Ok(testbed)
}

/// What each client is told.
fn told(testbed: &TestBed, target: &str) -> io::Result<Vec<String>> {
    let target = target.to_owned();
    testbed.host().run(move || {
        let ask = |client: &&str| {
            let header = [("X-Forwarded-For", *client)];
            let headers = if client.is_empty() { &[][..] } else { &header[..] };
            let answer = client::get(local(8080), &target, headers, LIMIT)?;
            Ok(format!("{client}: {} {}", answer.status, answer.body.escape_ascii()))
        };
        CLIENTS.iter().map(ask).collect()
    })?
}

/// The answers of both programs, which must be the same.
fn same(what: &str, answers: impl Fn(Program) -> io::Result<Vec<String>>) -> Vec<String> {
    let [original, ours] = [Program::Original, Program::Ours]
        .map(|program| answers(program).unwrap_or_else(|error| panic!("{what}: {program:?}: {error}")));
    assert_eq!(original, ours, "{what}");
    ours
}

#[test]
fn old_databases_tell_what_they_tell_nginx() {
    let debian = ["/usr/share/GeoIP/GeoIP.dat", "/usr/share/GeoIP/GeoIPv6.dat"];
    for (country, city, org, utf8) in [
        (debian[0], "city.dat", "org.dat", ""),
        (debian[0], "city0.dat", "asnum.dat", " utf8"),
        (debian[1], "city6.dat", "isp6.dat", " utf8"),
    ] {
        let conf = format!(
            "{}http {{ geoip_country {country}{utf8}; geoip_city {PREFIX}/{city}{utf8}; geoip_org {PREFIX}/{org}{utf8};
             geoip_proxy 127.0.0.0/8; geoip_proxy_recursive on;
             map $geoip_country_code $mapped {{ default other; US \"from US\"; \"\" none; }}
             server {{ listen 127.0.0.1:8080; default_type text/plain; return 200 '{OLD}|$mapped'; }} }}",
            MODULES.replace("STREAM", "")
        );
        let what = format!("{country} {city} {org}{utf8}");
        let ours = same(&what, |program| told(&started(program, &conf, old_databases())?, "/"));
        let with = |text: &str| ours.iter().any(|line| line.contains(text));
        assert!(with("Ontario") && with("|37.3353|-121.8938|"), "{what}: {ours:#?}");
    }
}

#[test]
fn new_databases_tell_what_they_tell_nginx() {
    let fields = [
        ("code", "country iso_code"),
        ("eu", "country is_in_european_union"),
        ("given", "default=none country iso_code"),
        ("other", "source=$http_x_forwarded_for default=unknown country iso_code"),
        ("latitude", "location latitude"),
        ("accuracy", "location accuracy"),
        ("first", "subdivisions 0 iso_code"),
        ("second", "subdivisions 1"),
        ("third", "default=third subdivisions 2"),
        ("seven", "7"),
        ("port", "port"),
        ("number", "geoname_id"),
        ("large", "large"),
        ("offset", "offset"),
        ("raw", "raw"),
        ("empty", "default=x empty"),
        ("map", "default=a_map country"),
        ("lost", "country none"),
        ("built", "metadata build_epoch"),
        ("unknown", "metadata whatever"),
    ];
    let rows: String = fields.iter().map(|(name, path)| format!("$geo_{name} {path};\n")).collect();
    let text: Vec<String> = fields.iter().map(|(name, _)| format!("{name}=$geo_{name}")).collect();
    let conf = format!(
        "{}http {{ geoip2 {PREFIX}/place.mmdb {{ auto_reload 5m; {rows} }} geoip2_proxy 127.0.0.0/8;
         server {{ listen 127.0.0.1:8080; default_type text/plain; return 200 '{}'; }} }}",
        MODULES.replace("STREAM", ""),
        text.join(" ")
    );
    let file = || mmdb(&[("10.0.0.0/8", place("US")), ("10.20.0.0/16", place("CA")), ("2001:db8::/32", place("DE"))]);
    let ours = same("geoip2", |program| told(&started(program, &conf, vec![("place.mmdb", file())])?, "/"));
    assert!(ours.iter().any(|line| line.contains("code=CA eu=1 given=CA other=CA latitude=-52.51565")), "{ours:#?}");
}

#[test]
fn numbers_of_128_bits_are_told_whole() {
    let conf = format!(
        "{}http {{ geoip2 {PREFIX}/place.mmdb {{ $huge huge; }} server {{ listen 127.0.0.1:8080; return 200 $huge; }} }}",
        MODULES.replace("STREAM", "")
    );
    let file = mmdb(&[("127.0.0.0/8", place("US"))]);
    let testbed = started(Program::Ours, &conf, vec![("place.mmdb", file)]).expect("a host");
    testbed.wait_for_text(8080, "/", "0x000000000000feed0000000000000001").expect("the number");
}

#[test]
fn a_new_file_is_read_while_it_is_used() {
    let conf = format!(
        "{}http {{ geoip2 {PREFIX}/place.mmdb {{ auto_reload 1s; $code country iso_code; }} geoip2_proxy 127.0.0.1;
         server {{ listen 127.0.0.1:8080; return 200 \"$code\"; }} }}",
        MODULES.replace("STREAM", "")
    );
    for program in [Program::Original, Program::Ours] {
        let file = |code| mmdb(&[("127.0.0.0/8", place(code))]);
        let testbed = started(program, &conf, vec![("place.mmdb", file("US"))]).expect("a host");
        testbed.wait_for_text(8080, "/", "US").expect("the first file");
        let put = move || {
            let path = format!("{PREFIX}/place.mmdb");
            mount::file(&format!("{path}.new"), &file("DE"), 0o644)?;
            let later = std::time::SystemTime::now() + std::time::Duration::from_secs(100);
            std::fs::File::options().write(true).open(format!("{path}.new"))?.set_modified(later)?;
            std::fs::rename(format!("{path}.new"), path)
        };
        testbed.host().run(put).expect("a host").expect("a new file");
        testbed.wait_for_text(8080, "/", "DE").expect("the second file");
    }
}

#[test]
fn streams_are_told_the_same() {
    let conf = format!(
        "{}stream {{ geoip_country /usr/share/GeoIP/GeoIP.dat; geoip_city {PREFIX}/city.dat utf8; geoip_org {PREFIX}/org.dat;
         geoip2 {PREFIX}/place.mmdb {{ $code default=none country iso_code; $other source=$server_addr country iso_code; }}
         server {{ listen 127.0.0.1:8081; return '{OLD}|$code|$other'; }} }}",
        MODULES.replace("STREAM", STREAM)
    );
    let ours = same("stream", |program| {
        let networks =
            vec![("127.0.0.0/8", city(225, [b"CA", b"San Jos\xe9", b"95113"], [37.3353, -121.8938], 807_408))];
        let files = vec![
            ("city.dat", dat(2, 3, false, &networks)),
            ("org.dat", dat(5, 4, false, &[("127.0.0.0/8", b"Local\0".to_vec())])),
            ("place.mmdb", mmdb(&[("127.0.0.0/8", place("US"))])),
        ];
        let testbed = started(program, &conf, files)?;
        let answer = testbed.host().run(|| client::raw(local(8081), b"", LIMIT))??;
        Ok(vec![answer.escape_ascii().to_string()])
    });
    assert!(ours[0].contains("Local|NA|US|USA|United States|CA|California|San Jos"), "{ours:?}");
}

#[test]
fn broken_databases_are_refused_as_by_nginx() {
    let files = || {
        let mut files = old_databases();
        files.push(("text.dat", b"this is no database at all, but it is long enough to be one".to_vec()));
        files.push(("tiny.dat", b"x".to_vec()));
        files.push(("short.dat", vec![0xff, 0xff, 0xff, 2, 0xff, 0xff, 0x7f]));
        files.push(("bad.mmdb", b"no database".to_vec()));
        files.push(("place.mmdb", mmdb(&[("127.0.0.0/8", place("US"))])));
        files
    };
    for rows in [
        "geoip_country P/city.dat;",
        "geoip_country P/none.dat;",
        "geoip_country P/tiny.dat;",
        "geoip_country P/text.dat;",
        "geoip_country /usr/share/GeoIP/GeoIP.dat latin;",
        "geoip_country /usr/share/GeoIP/GeoIP.dat; geoip_country /usr/share/GeoIP/GeoIP.dat;",
        "geoip_city P/short.dat;",
        "geoip_city P/org.dat;",
        "geoip_city P/text.dat utf8;",
        "geoip_org P/city.dat;",
        "geoip_org P/asnum.dat; geoip_proxy 10.0.0.1/8; geoip_proxy nobody;",
        "set $geoip_city x;",
        "map x $geoip_country_code { default x; }",
        "geoip2 P/none.mmdb { $x a; }",
        "geoip2 P/bad.mmdb { $x a; }",
        "geoip2 P/place.mmdb { $x a; } geoip2 P/place.mmdb { $y a; }",
        "geoip2 P/place.mmdb { x a; }",
        "geoip2 P/place.mmdb { auto_reload; }",
        "geoip2 P/place.mmdb { auto_reload soon; }",
        "geoip2 P/place.mmdb { $x default=a default=b a; }",
        "geoip2 P/place.mmdb { $x source=$uri source=$uri a; }",
        "geoip2 P/place.mmdb { $x source=uri a; }",
        "geoip2 P/place.mmdb { $x other=b a; }",
        "geoip2 P/place.mmdb { $uri a; }",
        "geoip2_proxy nobody;",
    ] {
        let place = if rows.starts_with("set") {
            format!("server {{ {rows} }}")
        } else {
            rows.replace("P/", &format!("{PREFIX}/"))
        };
        let conf = format!("{}http {{ {place} server {{ listen 127.0.0.1:8080; }} }}", MODULES.replace("STREAM", ""));
        let said = |program| -> io::Result<String> {
            let testbed = TestBed::new(program)?;
            testbed.write(&conf)?;
            let files = files();
            testbed.host().run(move || files.iter().try_for_each(|(name, bytes)| database(name, bytes)))??;
            Ok(testbed.command(&["-t"]).unwrap_or_else(|error| error.to_string()))
        };
        let severe = |line: &str| {
            let (_, text) = line.split_once("[emerg] ").or_else(|| line.split_once("[warn] "))?;
            // What is said of a configuration once its log is open has a process's number.
            let (number, rest) = text.split_once('#').unwrap_or((text, ""));
            let behind = rest.split_once(": ").filter(|_| number.parse::<u32>().is_ok());
            Some(behind.map_or(text, |(_, text)| text).to_owned())
        };
        let [original, ours] = [Program::Original, Program::Ours].map(|program| said(program).expect("a test"));
        let lines = |text: &str| text.lines().filter_map(severe).collect::<Vec<_>>();
        // The module ends in a crash where it is to name some faults.
        if original.contains("signal: 11") {
            assert_eq!(lines(&ours).len(), 1, "{rows}: {ours}");
        } else {
            assert_eq!(lines(&original), lines(&ours), "{rows}");
        }
    }
}
