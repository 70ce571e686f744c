//! `encap` of routes: the header before their packets.

use super::line::{Words, address, number, tos};
use crate::conf::diagnostic::Diagnostic;
use crate::keepalived::slot::complain;
use crate::kernel::encap::{Addresses, Encap, Labels, Tunnel};
use std::net::IpAddr;

/// Reads the words behind `encap`; nothing for a kind that is unknown, which is said. What is wrong with a value ends its
/// words and leaves the header without addresses, which the kernel refuses.
pub fn read(words: &mut Words<'_>, said: &mut Vec<Diagnostic>) -> Option<Encap> {
    let Some(kind) = words.next() else {
        said.push(complain("Missing encap type"));
        return None;
    };
    match kind.as_str() {
        "ip" => Some(Encap::Tunnel(tunnel(words, (false, "ip"), said))),
        "ip6" => Some(Encap::Tunnel(tunnel(words, (true, "ip6"), said))),
        "mpls" => {
            let value = value(words, "address for MPLS", said);
            let labels = value.as_ref().map(|text| labels(text).ok_or(text)).transpose().unwrap_or_else(|text| {
                said.push(complain(format!("invalid mpls address {text} for encapsulation")));
                None
            });
            Some(Encap::Mpls(labels.unwrap_or_default()))
        }
        "ila" => {
            let value = value(words, "locator for ILA", said);
            let locator = value.as_ref().map(|text| locator(text).ok_or(text)).transpose().unwrap_or_else(|text| {
                said.push(complain(format!("invalid locator {text} for ila encapsulation")));
                None
            });
            Some(Encap::Ila(locator.unwrap_or_default()))
        }
        other => {
            said.push(complain(format!("Unknown encap type - {other}")));
            // keepalived skips the word behind it.
            words.next();
            None
        }
    }
}

/// The word behind the kind.
fn value(words: &mut Words<'_>, what: &str, said: &mut Vec<Diagnostic>) -> Option<String> {
    let value = words.next();
    if value.is_none() {
        said.push(complain(format!("missing {what} encapsulation")));
    }
    value
}

/// Labels between slashes, in any base of C.
fn labels(text: &str) -> Option<Labels> {
    let label = |text: &str| {
        let text = text.strip_prefix('+').unwrap_or(text);
        let (digits, base) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(digits) => (digits, 16),
            None if text.starts_with('0') => (text, 8),
            None => (text, 10),
        };
        // The standard library takes a sign of its own.
        u32::from_str_radix(digits, base).ok().filter(|_| !digits.starts_with('+'))
    };
    Labels::new(&text.split('/').map(label).collect::<Option<Vec<u32>>>()?)
}

/// Four groups of sixteen bits, as the upper half of an IPv6 address has them.
fn locator(text: &str) -> Option<[u8; 8]> {
    let group = |text: &str| {
        let digits = text.starts_with(|first: char| first.is_ascii_hexdigit());
        let text = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        u32::from_str_radix(text, 16).ok().and_then(|number| u16::try_from(number).ok()).filter(|_| digits)
    };
    let groups: [u16; 4] = text.split(':').map(group).collect::<Option<Vec<u16>>>()?.try_into().ok()?;
    <[u8; 8]>::try_from(groups.map(u16::to_be_bytes).as_flattened()).ok()
}

/// The header of a tunnel over IPv4 or IPv6.
fn tunnel(words: &mut Words<'_>, (ipv6, kind): (bool, &str), said: &mut Vec<Diagnostic>) -> Tunnel {
    let none = if ipv6 { Addresses::Ipv6 { dst: None, src: None } } else { Addresses::Ipv4 { dst: None, src: None } };
    let mut encap = Tunnel { addresses: none, id: None, tos: None, ttl: None, flags: None };
    while let Some((word, value)) = words.peek_two() {
        match option(&mut encap, (&word, &value), said) {
            Ok(true) => {
                words.next();
                words.next();
            }
            Ok(false) => break,
            Err(text) => {
                said.push(complain(text));
                encap.addresses = none;
                return encap;
            }
        }
    }
    let has_dst =
        matches!(encap.addresses, Addresses::Ipv4 { dst: Some(_), .. } | Addresses::Ipv6 { dst: Some(_), .. });
    if !has_dst && encap.id.is_none() {
        said.push(complain(format!("address or id missing for {kind} encapsulation")));
        encap.addresses = none;
    }
    encap
}

/// A number of 64 bits, of which keepalived keeps the lower 32; or what is wrong with it.
fn wide(text: &str) -> Result<u64, String> {
    let digits = text.trim_start();
    if digits.starts_with('-') {
        return Err(format!("negative number '{text}'"));
    }
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("invalid number '{text}'"));
    }
    let number = digits.parse::<u64>().map_err(|_| format!("number '{text}' outside unsigned 64 bit range"))?;
    Ok(number & u64::from(u32::MAX))
}

/// Takes an option and its value; false for a word that is none.
fn option(encap: &mut Tunnel, (word, value): (&str, &str), said: &mut Vec<Diagnostic>) -> Result<bool, String> {
    let ipv6 = matches!(encap.addresses, Addresses::Ipv6 { .. });
    let mut small = |most: u16, wrong: String| {
        number(value, i64::from(most), || wrong).map_err(|found| {
            said.extend(found.before.map(complain));
            found.text
        })
    };
    match (word, ipv6) {
        ("id", _) => {
            let what = if ipv6 {
                format!("id {value} value invalid for IPv6 encapsulation")
            } else {
                format!("encap id {value} value is invalid")
            };
            encap.id = Some(wide(value).map_err(|wrong| {
                said.push(complain(wrong));
                what
            })?);
        }
        ("dst" | "src", _) => {
            let ip = address(value, said)
                .ok_or_else(|| format!("Invalid encap {} {word} {value}", if ipv6 { "ip6" } else { "ip" }))?;
            set(&mut encap.addresses, word == "dst", ip, value)?;
        }
        ("tos", false) => {
            encap.tos = Some(tos(value).map_err(|_| format!("dsfield {value} not valid for ip encapsulation"))?);
        }
        ("tc", true) => {
            encap.tos = Some(tos(value).map_err(|_| format!("tc value {word} is invalid for ip6 encapsulation"))?);
        }
        ("ttl", false) => {
            encap.ttl = Some(small(255, format!("ttl {value} is not valid for ip encapsulation"))? as u8);
        }
        ("hoplimit", true) => {
            encap.ttl = Some(small(255, format!("Invalid hoplimit {value} specified for ip6 encapsulation"))? as u8);
        }
        ("flags", _) => {
            let kind = if ipv6 { "ip6" } else { "ip" };
            encap.flags = Some(small(u16::MAX, format!("flags {value} is not valid for {kind} encapsulation"))? as u16);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn set(addresses: &mut Addresses, is_dst: bool, ip: IpAddr, text: &str) -> Result<(), String> {
    match (addresses, ip) {
        (Addresses::Ipv4 { dst, src }, IpAddr::V4(ip)) => *(if is_dst { dst } else { src }) = Some(ip),
        (Addresses::Ipv6 { dst, src }, IpAddr::V6(ip)) => *(if is_dst { dst } else { src }) = Some(ip),
        (Addresses::Ipv4 { .. }, _) => return Err(format!("IPv6 address {text} not valid for ip encapsulation")),
        (Addresses::Ipv6 { .. }, _) => return Err(format!("IPv4 address {text} not valid for ip6 encapsulation")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::expand::Environment;
    use crate::conf::source::Memory;
    use crate::keepalived::read;
    use crate::keepalived::slot::Machine;

    /// The complaints about a route with these words, and the routes.
    fn said(words: &str) -> (Vec<String>, Vec<Option<Encap>>) {
        let text = format!(
            "vrrp_instance V {{\n interface eth0\n virtual_router_id 5\n virtual_ipaddress {{\n 10.1.2.3\n }}\n \
             virtual_routes {{\n 10.9.0.0/24 {words} dev eth0\n }}\n}}\n"
        );
        let machine = Machine { has_interface: &|_| true, has_user: &|_, _| true, read_secret: &|_| None };
        let reading = read::read(&Memory::of("k", &text), "k", &Environment::default(), &machine).unwrap();
        let lines = reading.complaints.into_iter().map(|one| one.text.replacen("(k: Line 8) ", "", 1)).collect();
        (lines, reading.site.instances[0].routes.iter().map(|one| one.route.encap).collect())
    }

    /// What keepalived 2.1.5 says of the same lines.
    #[test]
    fn wrong_words_get_keepaliveds_complaints() {
        let again = |word: &str| {
            vec![format!("VRRP parsed invalid IP {word}. skipping IP..."), format!("unknown route keyword {word}")]
        };
        for (words, first, stopped) in [
            ("ip id x", vec!["invalid number 'x'", "encap id x value is invalid"], "id"),
            ("ip id -1", vec!["negative number '-1'", "encap id -1 value is invalid"], "id"),
            ("ip dst fe80::1", vec!["IPv6 address fe80::1 not valid for ip encapsulation"], "dst"),
            ("ip tos zz", vec!["dsfield zz not valid for ip encapsulation"], ""),
            ("ip6 tc zz", vec!["tc value tc is invalid for ip6 encapsulation"], "tc"),
            ("foo", vec!["Unknown encap type - foo"], "eth0"),
            ("mpls 1048576", vec!["invalid mpls address 1048576 for encapsulation"], ""),
            ("mpls 1/2/3", vec!["invalid mpls address 1/2/3 for encapsulation"], ""),
            ("mpls 1/", vec!["invalid mpls address 1/ for encapsulation"], ""),
            ("mpls 08", vec!["invalid mpls address 08 for encapsulation"], ""),
            ("ila 1:2:3", vec!["invalid locator 1:2:3 for ila encapsulation"], ""),
            ("ila 1:2:3:4:5", vec!["invalid locator 1:2:3:4:5 for ila encapsulation"], ""),
            ("ila 1:2:3:10000", vec!["invalid locator 1:2:3:10000 for ila encapsulation"], ""),
        ] {
            let (lines, _) = said(&format!("encap {words}"));
            let mut wanted: Vec<String> = first.into_iter().map(str::to_owned).collect();
            if !stopped.is_empty() {
                wanted.extend(again(stopped));
            }
            assert_eq!(lines.get(..wanted.len()), Some(wanted.as_slice()), "{words}: {lines:?}");
        }
        assert_eq!(said("encap ip src 1.2.3.4").0, ["address or id missing for ip encapsulation"]);
    }

    #[test]
    fn a_header_has_what_is_given() {
        let (lines, routes) = said("encap ip6 id 99999999999 dst fd00::1 tc 0x10 hoplimit 5 flags 3");
        let addresses = Addresses::Ipv6 { dst: Some("fd00::1".parse().unwrap()), src: None };
        let tunnel = Tunnel { addresses, id: Some(1_215_752_191), tos: Some(16), ttl: Some(5), flags: Some(3) };
        assert_eq!((lines, routes), (Vec::new(), vec![Some(Encap::Tunnel(tunnel))]));
        let (lines, routes) = said("encap mpls 0x64/012");
        let labels = Labels::new(&[100, 10]).unwrap();
        assert_eq!((lines, routes), (Vec::new(), vec![Some(Encap::Mpls(labels))]));
        let (lines, routes) = said("encap ila 2001:db8:1:0");
        assert_eq!((lines, routes), (Vec::new(), vec![Some(Encap::Ila([0x20, 1, 0x0d, 0xb8, 0, 1, 0, 0]))]));
    }
}
