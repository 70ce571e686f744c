use super::{Database, edition, region_name};
use std::net::IpAddr;

/// A database whose tree has 10.0.0.0/8 (or its mapped form) at `found` records behind the tree, all else at none.
fn tree(edition: u8, record: usize, depth: usize, records: &[u8]) -> Vec<u8> {
    let bits: Vec<bool> = match depth {
        32 => (0..8).rev().map(|bit| 10 >> bit & 1 == 1).collect(),
        _ => {
            let mapped = [vec![false; 80], vec![true; 16], (0..8).rev().map(|bit| 10 >> bit & 1 == 1).collect()];
            mapped.concat()
        }
    };
    let nodes = bits.len() as u32;
    let mut file = Vec::new();
    for (at, bit) in bits.iter().enumerate() {
        let next = at as u32 + 1;
        let inside = if next == nodes { nodes + 1 } else { next };
        let pair = if *bit { [nodes, inside] } else { [inside, nodes] };
        for side in pair {
            file.extend_from_slice(&side.to_le_bytes()[..record]);
        }
    }
    file.push(0);
    file.extend_from_slice(records);
    file.extend_from_slice(&[0xff, 0xff, 0xff, edition]);
    file.extend_from_slice(&nodes.to_le_bytes()[..3]);
    file
}

fn ip(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

const US: u8 = 225;

fn city_record() -> Vec<u8> {
    let mut record = vec![US];
    record.extend_from_slice(b"CA\0S\xe3o Jos\xe9\095113\0");
    for degrees in [217.3353_f64, 58.1062] {
        record.extend_from_slice(&((degrees * 10_000.0).round() as u32).to_le_bytes()[..3]);
    }
    record.extend_from_slice(&807_408_u32.to_le_bytes()[..3]);
    record
}

#[test]
fn a_city_is_found_with_all_that_is_known_of_it() {
    for (number, depth) in [(edition::CITY_REV1, 32), (edition::CITY_REV1_V6, 128)] {
        let database = Database::new(tree(number, 3, depth, &city_record())).expect("a database");
        let city = database.city(ip("10.1.2.3")).expect("a city");
        assert_eq!((city.country.code, city.country.code3, city.country.continent), ("US", "USA", "NA"));
        assert_eq!((city.region, city.city, city.postal), (&b"CA"[..], &b"S\xe3o Jos\xe9"[..], &b"95113"[..]));
        assert_eq!((city.metro, city.area), (807, 408));
        assert!((city.latitude - 37.3353).abs() < 0.001 && (city.longitude + 121.8938).abs() < 0.001, "{city:?}");
        assert!(database.city(ip("11.1.2.3")).is_none() && database.city(None).is_none());
    }
}

#[test]
fn a_name_is_found() {
    let database = Database::new(tree(edition::NAMES[1], 4, 32, b"MaxMind\0")).expect("a database");
    assert_eq!(database.name(ip("10.0.0.1")), Some(&b"MaxMind"[..]));
    assert_eq!(database.name(ip("::ffff:10.0.0.1")), Some(&b"MaxMind"[..]));
    assert_eq!(database.name(ip("2001:db8::1")), None);
}

#[test]
fn no_truncation_of_a_file_is_read_beyond_its_end() {
    for (number, record, depth) in
        [(edition::CITY_REV1, 3, 32), (edition::NAMES[0], 4, 32), (edition::CITY_REV1_V6, 3, 128)]
    {
        let whole = tree(number, record, depth, &city_record());
        let tail = whole.len() - 7;
        for length in 0..whole.len() {
            let mut parts = vec![whole[..length].to_vec()];
            // The same without some bytes before the description, which stays.
            parts.extend((length < tail).then(|| [&whole[..length], &whole[tail..]].concat()));
            for file in parts {
                if let Some(database) = Database::new(file) {
                    for address in [ip("10.0.0.1"), ip("255.255.255.255"), ip("::1"), None] {
                        let _ = (database.city(address), database.name(address), database.country(address));
                    }
                }
            }
        }
    }
}

#[test]
fn files_that_are_no_databases_are_refused() {
    assert!(Database::new(Vec::new()).is_none());
    assert!(Database::new(b"text".to_vec()).is_none());
    assert!(Database::new(vec![0xff, 0xff, 0xff, 99, 0, 0, 0]).is_none());
    assert!(Database::new(vec![0xff, 0xff, 0xff, 2, 0xff, 0xff, 0xff]).is_none());
    assert_eq!(Database::new(vec![7; 100]).map(|database| database.edition), Some(edition::COUNTRY));
}

#[test]
fn regions_have_names() {
    assert_eq!(region_name("US", b"CA"), Some("California"));
    assert_eq!(region_name("AD", b"03"), Some("Encamp"));
    assert_eq!(region_name("US", b"ZZ"), None);
    assert_eq!(region_name("--", b""), None);
}
