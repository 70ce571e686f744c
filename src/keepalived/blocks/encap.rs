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
}

/// Reads the words behind `encap`. What is wrong with a value ends its words and leaves the header without addresses.
///
/// # Errors
/// The kind is missing or unknown.
pub fn read(words: &mut Words<'_>, said: &mut Vec<Diagnostic>) -> Result<Read, String> {
    let kind = words.next().ok_or("Missing encap type")?;
    let ipv6 = match kind.as_str() {
        "ip" => false,
        "ip6" => true,
        "mpls" | "ila" => {
            if words.next().is_none() {
                let what = if kind == "mpls" { "address for MPLS" } else { "locator for ILA" };
                said.push(complain(format!("missing {what} encapsulation")));
            }
            return Ok(Read::Unserved(if kind == "mpls" { "encap mpls" } else { "encap ila" }));
        }
        other => return Err(format!("Unknown encap type - {other}")),
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
                return Ok(Read::Header(encap));
            }
        }
    }
    let has_dst =
        matches!(encap.addresses, Addresses::Ipv4 { dst: Some(_), .. } | Addresses::Ipv6 { dst: Some(_), .. });
    if !has_dst && encap.id.is_none() {
        said.push(complain(format!("address or id missing for {kind} encapsulation")));
        encap.addresses = none;
    }
    Ok(Read::Header(encap))
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
            // keepalived keeps the lower 32 bits.
            let id = value.parse::<u64>().map_err(|_| what.clone());
            encap.id = Some(match id {
                Ok(id) => id & u64::from(u32::MAX),
                Err(what) => {
                    said.push(complain(format!("invalid number '{value}'")));
                    return Err(what);
                }
            });
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
