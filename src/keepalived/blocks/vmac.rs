//! The keywords of an instance about interfaces of its own, and about announcements on other interfaces.

use super::instance::{INVALID, Instance};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::slot::{again, also, complain, count, worded};
use std::net::IpAddr;
use std::time::Duration;

type Outcome = Result<(), Diagnostic>;

/// `use_vmac` as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vmac {
    /// The name of its interface.
    pub name: Option<String>,
    /// Its Ethernet address, if not the standard's.
    pub mac: Option<[u8; 6]>,
}

/// `garp_extra_if`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtraGarp {
    /// On other interfaces than VMACs as well.
    pub all: bool,
    /// Between two announcements; zero for none.
    pub interval: Duration,
}

/// `use_vmac [NAME] [MAC]`.
///
/// # Errors
/// A name or an address is none.
pub fn use_vmac(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    instance.virtual_interface = Some(true);
    let vmac = instance.vmac.get_or_insert_default();
    let mut named = false;
    for word in statement.arguments() {
        let text = word.text();
        if text.contains(':') {
            let Some(mac) = ethernet_address(&text) else {
                return Err(complain(format!("VMAC invalid MAC address {text} - ignored")));
            };
            vmac.mac = Some(mac);
        } else if named {
            return Err(again("VMAC interface name already specified"));
        } else if text.len() > 15 || text.contains('/') {
            let text = format!("VMAC interface name '{text}' too long or invalid characters - ignoring");
            cx.report(complain(text).at(statement.span));
        } else {
            named = true;
            vmac.name = Some(text.into_owned());
        }
    }
    Ok(())
}

/// Six numbers of two hexadecimal digits.
fn ethernet_address(text: &str) -> Option<[u8; 6]> {
    let byte = |part: &str| {
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u8::from_str_radix(part, 16).ok()).flatten()
    };
    text.split(':').map(byte).collect::<Option<Vec<u8>>>()?.try_into().ok()
}

/// `use_ipvlan [TYPE] [ADDRESS] [NAME]`.
///
/// # Errors
/// It was given before.
pub fn use_ipvlan(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    if instance.virtual_interface == Some(true) {
        return Err(again(format!("({}) use_ipvlan already specified", instance.name)));
    }
    instance.virtual_interface = Some(true);
    instance.ipvlan_lacks_address = true;
    let (mut sort, mut named) = (false, false);
    for word in statement.arguments() {
        let text = word.text();
        let name = &instance.name;
        let taken = |what: &str| again(format!("({name}) {what} already specified - ignoring '{text}'"));
        let address = text.split('/').next().and_then(|ip| ip.parse::<IpAddr>().ok());
        let outcome = if matches!(&*text, "private" | "vepa" | "bridge") {
            if std::mem::replace(&mut sort, true) { Err(taken("ipvlan type")) } else { Ok(()) }
        } else if let Some(address) = address {
            if instance.family().is_some_and(|ipv6| ipv6 != address.is_ipv6()) {
                let text = format!("({name}) ipvlan address[{text}] MUST match vrrp instance family !!! Skipping...");
                Err(complain(text))
            } else {
                instance.ipvlan_lacks_address = false;
                Ok(())
            }
        } else if std::mem::replace(&mut named, true) {
            Err(taken("IPVLAN interface"))
        } else {
            Ok(())
        };
        if let Err(complaint) = outcome {
            cx.report(complaint.at(statement.span));
        }
    }
    Ok(())
}

/// `vrf NAME`.
///
/// # Errors
/// There is an interface already.
pub fn vrf(_: &mut Setting<'_>, instance: &mut Instance, _: &Statement) -> Outcome {
    match instance.interface {
        Some(_) => Err(complain(format!("({}) Cannot specify VRF interface and interface - ignoring", instance.name))),
        None => Ok(()),
    }
}

/// `garp_extra_if [all] SECONDS`.
///
/// # Errors
/// There are no seconds, or too many.
pub fn extra_garp(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let Some(value) = statement.arguments().iter().find(|word| !word.is("all")) else {
        return Err(complain(worded("({n}): {k} specified without time - ignoring", cx, "")));
    };
    let judged = count(&value.text(), &(0..=86_400));
    let seconds = judged.map_err(|wrong| also(cx, statement, wrong, INVALID))?;
    let interval = Duration::from_secs(seconds.unsigned_abs());
    instance.extra_garp = Some(ExtraGarp { all: statement.arguments().iter().any(|word| word.is("all")), interval });
    Ok(())
}

/// `vmac_garp_intvl`, the older name.
///
/// # Errors
/// As with the newer one.
pub fn vmac_garp(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let old = "Keyword \"vmac_garp_intvl\" is deprecated - please use \"garp_extra_if\"";
    cx.report(complain(old).at(statement.span));
    extra_garp(cx, instance, statement)
}
