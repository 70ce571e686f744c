//! `encap` of routes: the header before their packets.

use super::line::{Words, address, number, tos};
use crate::conf::diagnostic::Diagnostic;
use crate::keepalived::slot::complain;
use crate::kernel::encap::{Addresses, Encap};
use std::net::IpAddr;

/// What `encap` stands for.
pub enum Read {
    /// A header this program can ask for.
    Header(Encap),
    /// A kind that is not served.
    Unserved(&'static str),
    /// A kind that is unknown, which has been said.
    Unknown,
}

/// Reads the words behind `encap`. What is wrong with a value ends its words and leaves the header without addresses.
pub fn read(words: &mut Words<'_>, said: &mut Vec<Diagnostic>) -> Read {
    let Some(kind) = words.next() else {
        said.push(complain("Missing encap type"));
        return Read::Unknown;
    };
    let ipv6 = match kind.as_str() {
        "ip" => false,
        "ip6" => true,
        "mpls" | "ila" => {
            if words.next().is_none() {
                let what = if kind == "mpls" { "address for MPLS" } else { "locator for ILA" };
                said.push(complain(format!("missing {what} encapsulation")));
            }
            return Read::Unserved(if kind == "mpls" { "encap mpls" } else { "encap ila" });
        }
        other => {
            said.push(complain(format!("Unknown encap type - {other}")));
            // keepalived skips the word behind it.
            words.next();
            return Read::Unknown;
        }
    };
    let none = if ipv6 { Addresses::Ipv6 { dst: None, src: None } } else { Addresses::Ipv4 { dst: None, src: None } };
    let mut encap = Encap { addresses: none, id: None, tos: None, ttl: None, flags: None };
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
                return Read::Header(encap);
            }
        }
    }
    let has_dst =
        matches!(encap.addresses, Addresses::Ipv4 { dst: Some(_), .. } | Addresses::Ipv6 { dst: Some(_), .. });
    if !has_dst && encap.id.is_none() {
        said.push(complain(format!("address or id missing for {kind} encapsulation")));
        encap.addresses = none;
    }
    Read::Header(encap)
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
fn option(encap: &mut Encap, (word, value): (&str, &str), said: &mut Vec<Diagnostic>) -> Result<bool, String> {
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
        let encap = Encap { addresses, id: Some(1_215_752_191), tos: Some(16), ttl: Some(5), flags: Some(3) };
        assert_eq!((lines, routes), (Vec::new(), vec![Some(encap)]));
    }
}
