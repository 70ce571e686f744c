//! The interfaces of `use_vmac`: macvlans with the virtual router's Ethernet address, on the interface it is configured on.
//!
//! They are made at start and at a reload, made again when somebody removes them or the interface below comes back, and
//! removed at the end.

use super::Process;
use super::firewall::Redirection;
use super::holding::old_table;
use crate::keepalived::interfaces::Interfaces;
use crate::keepalived::log::{Log, cause};
use crate::keepalived::site::{Instance, Site, Tracking, Vmac, What};
use crate::kernel::address::Wanted;
use crate::kernel::link::{self, Ipv4Setting, Kind, Link, Macvlan};
use crate::kernel::monitor::Change;
use crate::kernel::netlink::Request;
use crate::kernel::nftables::Family;
use nix::errno::Errno;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// An interface below VMACs, and its settings before they were changed.
#[derive(Debug)]
struct Base {
    index: u32,
    arp_ignore: u32,
    arp_filter: u32,
    /// The VMACs on it that need the change.
    users: usize,
}

/// A value of rp_filter that was changed: whose, from what.
#[derive(Debug)]
struct RpFilter {
    name: String,
    before: u32,
}

/// What was changed for VMACs.
#[derive(Debug, Default)]
pub(super) struct Vmacs {
    bases: Vec<Base>,
    /// The former value of the setting for all interfaces, and the single ones that were changed instead.
    rp_filter: Option<(u32, Vec<RpFilter>)>,
    /// The VMACs whose membership reports leave by the interface below.
    redirections: Vec<(Vec<Family>, Redirection)>,
    /// One is gone, or its interface came back.
    pub(super) missing: bool,
}

/// Chooses the names of the VMACs: of one that is there already, else the configured one, else one that is free.
///
/// Differs from keepalived: of two instances with one name for their VMACs the first gets it. [test: two_instances_cannot_have_one_vmac]
pub(super) fn choose_names(site: &mut Site, interfaces: &Interfaces, log: &Log) {
    let mut taken: Vec<String> = Vec::new();
    let prefix = site.global.vmac_prefix.as_deref().unwrap_or("vrrp");
    for instance in &mut site.instances {
        if instance.vmac.is_none() {
            continue;
        }
        let instance = Arc::make_mut(instance);
        let name = choose_name(instance, (interfaces, prefix), &taken, log);
        taken.push(name.clone());
        let own = What::Interface(instance.interface.clone());
        if instance.tracking.iter().any(|tracking| tracking.what == own) {
            instance.tracking.push(Tracking { what: What::Interface(name.clone()), weight: 0, reverse: false });
        }
        instance.vmac = instance.vmac.take().map(|vmac| Vmac { name: Some(name), ..vmac });
    }
}

fn choose_name(instance: &Instance, (interfaces, prefix): (&Interfaces, &str), taken: &[String], log: &Log) -> String {
    let name = &instance.name;
    let vmac = instance.vmac.as_ref();
    let usable = |wanted: &&String| {
        let kind = interfaces.link(wanted).map(|link| link.kind);
        if kind.is_some_and(|kind| kind != Kind::PrivateMacvlan) {
            let text = format!("interface {wanted} already exists and is not a private macvlan; ignoring vmac if_name");
            log.say_of(name, format_args!("{text}"));
            return false;
        }
        if taken.contains(wanted) {
            log.say_of(name, format_args!("VMAC {wanted} is another instance's; ignoring vmac if_name"));
            return false;
        }
        true
    };
    let configured = vmac.and_then(|vmac| vmac.name.as_ref()).filter(usable);
    if let Some(found) = interfaces.links().find(|link| matches(instance, link, interfaces)) {
        log.say_of(name, format_args!("Found matching interface {}", found.name));
        if let Some(wanted) = configured.filter(|wanted| **wanted != found.name) {
            let found = &found.name;
            log.say_of(name, format_args!("vmac name mismatch {wanted} <=> {found}. changing to {found}."));
        }
        return found.name.clone();
    }
    if let Some(wanted) = configured {
        if interfaces.link(wanted).is_some() {
            log.say_of(name, format_args!("VMAC {wanted} already exists but is incompatible. It will be deleted"));
        }
        return wanted.clone();
    }
    let vrid = instance.router.vrid;
    let numbers: Vec<u32> = if instance.router.is_ipv6() {
        std::iter::once(6).chain((1..=1000).filter(|number| *number != 6)).collect()
    } else {
        (1..=1000).collect()
    };
    let numbered = numbers.iter().map(|at| format!("{prefix}{at}.{vrid}"));
    let mut names = std::iter::once(format!("{prefix}.{vrid}")).chain(numbered);
    let free = |name: &String| interfaces.link(name).is_none() && !taken.contains(name);
    names.find(free).unwrap_or_else(|| format!("{prefix}.{vrid}"))
}

/// Whether an interface is the VMAC of an instance.
fn matches(instance: &Instance, link: &Link, interfaces: &Interfaces) -> bool {
    let Some(vmac) = &instance.vmac else { return false };
    let Some(base) = interfaces.link(&instance.interface).map(|link| interfaces.base(link)) else { return false };
    link.kind == Kind::PrivateMacvlan && link.mac == Some(vmac.mac) && link.base == Some(base)
}

/// Whether a change is one of this interface.
fn concerns(change: &Change, index: u32) -> bool {
    match change {
        Change::Link(link) | Change::LinkGone(link) => link.index == index,
        Change::Address(address) | Change::AddressGone(address) => address.index == index,
        _ => false,
    }
}

/// Whether IPv6 adverts are sent by the VMAC.
fn speaks_ipv6(instance: &Instance) -> bool {
    instance.router.is_ipv6() && instance.vmac.as_ref().is_some_and(|vmac| !vmac.xmit_base)
}

/// The families whose packets leave by the VMAC of an instance.
fn families(instance: &Instance) -> Vec<Family> {
    let ipv6 = instance.router.is_ipv6();
    let own = if ipv6 { Family::Ipv6 } else { Family::Ipv4 };
    let other = if ipv6 { Family::Ipv4 } else { Family::Ipv6 };
    std::iter::once(own).chain(instance.has_other_family().then_some(other)).collect()
}

impl Process {
    /// Makes the VMACs that are missing, where the interface below is there; the places of the instances whose were made.
    ///
    /// Differs from keepalived: the rules of a VMAC that was left behind are made anew. [test: a_vmac_that_was_left_behind_is_used]
    pub(super) fn make_vmacs(&mut self) -> Vec<usize> {
        self.vmacs.missing = false;
        let mut made = Vec::new();
        for at in 0..self.seats.len() {
            let Some(instance) = self.seats.get(at).map(|seat| seat.instance.clone()) else { continue };
            let (Some(vmac), Some(below)) = (&instance.vmac, self.interfaces.link(&instance.interface).cloned()) else {
                continue;
            };
            match self.interfaces.link(instance.device()).cloned() {
                Some(link) if matches(&instance, &link, &self.interfaces) => {
                    if !self.redirected(link.index) {
                        self.redirect(&instance, link.index);
                    }
                    if self.interfaces.source(&link.name, true, &self.moving).is_none() {
                        self.give_link_local(&instance, &below, &link);
                    }
                    continue;
                }
                Some(link) if link.kind == Kind::PrivateMacvlan => {
                    let text = "due to conflicting interface or MAC for vrrp_instance";
                    self.log
                        .say(format!("vmac: Removing old VMAC interface {} {text} {}!!!", link.name, instance.name));
                    let outcome = link::remove(&mut self.commands, link.index);
                    if self.refused_link(outcome) {
                        let text = format!("Error removing VMAC interface {} for vrrp_instance", link.name);
                        self.log.say(format!("vmac: {text} {}!!!", instance.name));
                        continue;
                    }
                    self.interfaces.apply(Change::LinkGone(link));
                }
                Some(link) => {
                    self.log.say(format!("VMAC {} conflicts with existing interface", link.name));
                    continue;
                }
                None => {}
            }
            let name = instance.device().to_owned();
            let outcome = Macvlan { name, base: below.index, mac: vmac.mac }.add(&mut self.commands);
            let gone = outcome.as_ref().is_err_and(|error| error.raw_os_error() == Some(Errno::ENODEV as i32));
            if gone || self.refused_link(outcome) {
                if !gone {
                    let text = format!("Unable to create VMAC interface {}", instance.device());
                    self.log.say(format!("({}): {text}", instance.name));
                }
                continue;
            }
            self.log.say(format!("({}): Success creating VMAC interface {}", instance.name, instance.device()));
            self.prepare(&instance, &below);
            made.push(at);
        }
        made
    }

    /// Makes missing VMACs while running.
    pub(super) fn restore_vmacs(&mut self) {
        if self.vmacs.missing {
            // Routers without their interface give up first.
            self.settle(std::time::Instant::now());
            for at in self.make_vmacs() {
                let name = self.seats.get(at).map(|seat| seat.instance.device().to_owned()).unwrap_or_default();
                if self.interfaces.is_up(&name) {
                    self.say_moved(&name, true);
                }
            }
        }
    }

    /// Sets a new VMAC up: its settings, its link-local address, its rules.
    fn prepare(&mut self, instance: &Instance, below: &Link) {
        let Some(link) = self.look_up(instance.device()) else { return };
        let ipv6 = instance.router.is_ipv6();
        if !ipv6 {
            self.clear_rp_filter();
            self.set_parameters(&link, below);
        }
        let runs_ipv6 = ipv6 || instance.has_other_family();
        let path = format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", link.name);
        // A host without IPv6 has no such switch.
        let _ = fs::write(path, if runs_ipv6 { "0" } else { "1" });
        if runs_ipv6 && link::no_generated_address(&mut self.commands, link.index).is_err() {
            self.log.say("vmac: Error setting ADDR_GEN_MODE to NONE");
        }
        self.give_link_local(instance, below, &link);
        let outcome = link::set_up(&mut self.commands, link.index);
        let _ = self.refused_link(outcome);
        self.redirect(instance, link.index);
        self.look_up(instance.device());
        self.changed = true;
    }

    /// Gives a VMAC that sends IPv6 adverts the address they carry.
    ///
    /// Differs from keepalived: a router whose VMAC lost its link-local address stays in fault. [test: a_vmac_that_loses_its_address_gets_it_back]
    fn give_link_local(&mut self, instance: &Instance, below: &Link, link: &Link) {
        if !speaks_ipv6(instance) {
            return;
        }
        let wanted = self.link_local(instance, below, link.index);
        match wanted.add(&mut self.commands) {
            Ok(()) => self.log.detail(format!("Assigned address {} for interface {}", wanted.ip, link.name)),
            Err(error) => {
                self.refused_request(Request::NewLink, &error);
                self.log.say("Adding link-local address to vmac failed");
            }
        }
    }

    /// The address adverts of a VMAC carry: the configured one, else that of the interface below, else one made from
    /// its Ethernet address. It is no virtual address (RFC 9568 §7.4).
    fn link_local(&self, instance: &Instance, below: &Link, index: u32) -> Wanted {
        let found = instance.source.or_else(|| self.interfaces.source(&below.name, true, &self.moving));
        let ip = found.unwrap_or_else(|| IpAddr::V6(generated(below.mac.unwrap_or_default())));
        Wanted {
            index,
            ip,
            prefix: 64,
            scope: 0,
            label: None,
            broadcast: None,
            peer: None,
            home: false,
            nodad: true,
            manage_temporary: false,
            no_prefix_route: false,
            auto_join: false,
            preferred: Some(0),
        }
    }

    /// Asks the kernel for an interface. What the monitor has still to tell of it is older, and is dropped.
    fn look_up(&mut self, name: &str) -> Option<Link> {
        let mut changes = Vec::new();
        let now = Interfaces::ask(&mut self.commands).ok()?;
        let index = now.link(name)?.index;
        self.monitor.read(&mut changes);
        changes.retain(|change| !concerns(change, index));
        changes.into_iter().for_each(|change| self.change(change));
        for change in self.interfaces.missed(&now).into_iter().filter(|change| concerns(change, index)) {
            self.interfaces.apply(change);
        }
        self.interfaces.link(name).cloned()
    }

    /// A VMAC must answer for its own addresses only, and take packets whose source is here; the interface below must
    /// not answer for the VMAC.
    fn set_parameters(&mut self, link: &Link, below: &Link) {
        let own = [
            (Ipv4Setting::ArpIgnore, 1),
            (Ipv4Setting::AcceptLocal, 1),
            (Ipv4Setting::RpFilter, 0),
            (Ipv4Setting::PromoteSecondaries, 1),
        ];
        let outcome = link::set_ipv4(&mut self.commands, link.index, &own);
        if self.refused_link(outcome) {
            self.log.say(format!("Unable to set parameters for {}", link.name));
            return;
        }
        if let Some(base) = self.vmacs.bases.iter_mut().find(|base| base.index == below.index) {
            base.users += 1;
            return;
        }
        let (arp_ignore, arp_filter) = (ipv4(&below.name, "arp_ignore"), ipv4(&below.name, "arp_filter"));
        let (Some(arp_ignore), Some(arp_filter)) = (arp_ignore, arp_filter) else { return };
        if (arp_ignore, arp_filter) == (1, 1) {
            return;
        }
        let settings = [(Ipv4Setting::ArpIgnore, 1), (Ipv4Setting::ArpFilter, 1)];
        let outcome = link::set_ipv4(&mut self.commands, below.index, &settings);
        if self.refused_link(outcome) {
            self.log.say(format!("Set base flags on {} failed for VMAC {}", below.name, link.name));
            return;
        }
        self.vmacs.bases.push(Base { index: below.index, arp_ignore, arp_filter, users: 1 });
    }

    /// Gives an interface below its settings back when its last VMAC goes.
    ///
    /// Differs from keepalived: it leaves arp_ignore and arp_filter changed. [test: a_master_with_a_vmac_holds_what_keepalived_holds]
    fn reset_parameters(&mut self, index: u32) {
        let Some(at) = self.vmacs.bases.iter().position(|base| base.index == index) else { return };
        let Some(base) = self.vmacs.bases.get_mut(at) else { return };
        base.users = base.users.saturating_sub(1);
        if base.users > 0 {
            return;
        }
        let base = self.vmacs.bases.swap_remove(at);
        let settings = [(Ipv4Setting::ArpIgnore, base.arp_ignore), (Ipv4Setting::ArpFilter, base.arp_filter)];
        let outcome = link::set_ipv4(&mut self.commands, index, &settings);
        let _ = self.refused_link(outcome);
    }

    /// The larger of an interface's rp_filter and that of all interfaces counts, and a VMAC needs 0: the value of all
    /// is given to each, and then set to 0.
    fn clear_rp_filter(&mut self) {
        if self.vmacs.rp_filter.is_some() {
            return;
        }
        let Some(all) = ipv4("all", "rp_filter").filter(|all| *all > 0) else { return };
        let mut changed = Vec::new();
        let names: Vec<String> = self.interfaces.links().map(|link| link.name.clone()).collect();
        for name in std::iter::once("default".to_owned()).chain(names) {
            let Some(before) = ipv4(&name, "rp_filter").filter(|value| *value < all) else { continue };
            if name == "default" {
                let text = "setting sysctl net.ipv4.conf.default.rp_filter";
                self.log.say(format!("NOTICE: {text} from {before} to {all}"));
            }
            let outcome = set_ipv4(&name, "rp_filter", all);
            self.refused(&format!("rp_filter of {name}"), outcome);
            changed.push(RpFilter { name, before });
        }
        self.log.say(format!("NOTICE: setting sysctl net.ipv4.conf.all.rp_filter from {all} to 0"));
        let outcome = set_ipv4("all", "rp_filter", 0);
        self.refused("rp_filter of all interfaces", outcome);
        self.vmacs.rp_filter = Some((all, changed));
    }

    /// Undoes that, where nobody else has changed the values since.
    fn restore_rp_filter(&mut self) {
        let Some((all, changed)) = self.vmacs.rp_filter.take() else { return };
        if ipv4("all", "rp_filter") == Some(0) {
            self.log.say(format!("NOTICE: resetting sysctl net.ipv4.conf.all.rp_filter to {all}"));
            let outcome = set_ipv4("all", "rp_filter", all);
            self.refused("rp_filter of all interfaces", outcome);
        }
        for RpFilter { name, before } in changed {
            if ipv4(&name, "rp_filter") != Some(all) {
                continue;
            }
            if name == "default" {
                let text = "resetting sysctl net.ipv4.conf.default.rp_filter";
                self.log.say(format!("NOTICE: {text} to {before}"));
            }
            let outcome = set_ipv4(&name, "rp_filter", before);
            self.refused(&format!("rp_filter of {name}"), outcome);
        }
    }

    fn redirected(&self, index: u32) -> bool {
        self.vmacs.redirections.iter().any(|(_, redirection)| redirection.vmac == index)
    }

    fn redirect(&mut self, instance: &Instance, index: u32) {
        let Some(below) = self.interfaces.link(&instance.interface) else { return };
        let redirection = Redirection { vmac: index, base: self.interfaces.base(below) };
        let families = families(instance);
        let mut old = |family: Family, table: &str| old_table(&self.log, family, table);
        let outcome = self.firewall.redirect(&families, redirection, &mut old);
        self.vmacs.redirections.push((families, redirection));
        self.rules_changed(outcome);
    }

    /// Makes the rules of all VMACs again.
    pub(super) fn redirect_again(&mut self) {
        for (families, redirection) in &self.vmacs.redirections {
            let mut old = |family: Family, table: &str| old_table(&self.log, family, table);
            let outcome = self.firewall.redirect(families, *redirection, &mut old);
            self.firewall_refused(outcome.map(|_| ()));
        }
    }

    /// Differs from keepalived: at a reload it leaves the number of a removed VMAC among the rules. [test: a_reload_adds_and_removes_vmacs]
    fn forget_redirection(&mut self, index: u32) {
        let gone = self.vmacs.redirections.extract_if(.., |(_, redirection)| redirection.vmac == index);
        let gone: Vec<_> = gone.collect();
        for (families, redirection) in gone {
            let outcome = self.firewall.forget(&families, redirection);
            self.firewall_refused(outcome);
        }
    }

    /// keepalived's line about rules the kernel refused.
    pub(super) fn firewall_refused(&self, outcome: io::Result<()>) {
        if let Err(error) = outcome {
            self.log.say(format!("mnl_socket_recvfrom error - {}", cause(&error).0));
        }
    }

    fn refused_link(&self, outcome: io::Result<()>) -> bool {
        if let Err(error) = &outcome {
            self.refused_request(Request::NewLink, error);
        }
        outcome.is_err()
    }

    /// An interface is gone: what was changed for it is forgotten, and a VMAC is to be made again.
    pub(super) fn vmac_gone(&mut self, link: &Link) {
        self.vmacs.bases.retain(|base| base.index != link.index);
        self.forget_redirection(link.index);
        self.vmacs.missing |=
            self.seats.iter().any(|seat| seat.instance.vmac.is_some() && seat.instance.device() == link.name);
    }

    /// An address of an interface is gone: that of IPv6 adverts is to be added again.
    pub(super) fn vmac_lost_address(&mut self, name: &str) {
        self.vmacs.missing |=
            self.seats.iter().any(|seat| speaks_ipv6(&seat.instance) && seat.instance.device() == name);
    }

    /// Removes the VMAC of an instance that a reload ends.
    pub(super) fn retire_vmac(&mut self, at: usize) {
        if let Some(link) = self.remove_vmac(at) {
            let mut changes = Vec::new();
            self.monitor.read(&mut changes);
            changes.retain(|change| !concerns(change, link.index));
            changes.into_iter().for_each(|change| self.change(change));
            self.log.detail(format!("Interface {} deleted", link.name));
        }
    }

    /// Removes the VMAC of an instance.
    fn remove_vmac(&mut self, at: usize) -> Option<Link> {
        let instance = self.seats.get(at).map(|seat| seat.instance.clone()).filter(|one| one.vmac.is_some())?;
        if !instance.router.is_ipv6()
            && let Some(base) = self.interfaces.link(&instance.interface).map(|link| link.index)
        {
            self.reset_parameters(base);
        }
        let link = self.interfaces.link(instance.device()).cloned();
        let link = link.filter(|link| matches(&instance, link, &self.interfaces))?;
        let (device, name) = (&link.name, &instance.name);
        if let Err(error) = link::remove(&mut self.commands, link.index) {
            self.refused_request(Request::DeleteLink, &error);
            self.log.say(format!("vmac: Error removing VMAC interface {device} for vrrp_instance {name}!!!"));
            return None;
        }
        self.forget_redirection(link.index);
        self.log.say(format!("vmac: Success removing VMAC interface {device} for vrrp_instance {name}"));
        self.interfaces.apply(Change::LinkGone(link.clone()));
        Some(link)
    }

    /// Removes all VMACs.
    pub(super) fn remove_vmacs(&mut self) {
        self.restore_rp_filter();
        (0..self.seats.len()).for_each(|at| drop(self.remove_vmac(at)));
    }
}

/// The address the kernel would make from an Ethernet address (RFC 4291, appendix A).
fn generated(mac: [u8; 6]) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac;
    let pair = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(0xfe80, 0, 0, 0, pair(a ^ 2, b), pair(c, 0xff), pair(0xfe, d), pair(e, f))
}

fn ipv4_path(interface: &str, setting: &str) -> String {
    format!("/proc/sys/net/ipv4/conf/{interface}/{setting}")
}

fn ipv4(interface: &str, setting: &str) -> Option<u32> {
    fs::read_to_string(ipv4_path(interface, setting)).ok()?.trim().parse().ok()
}

fn set_ipv4(interface: &str, setting: &str, value: u32) -> io::Result<()> {
    fs::write(ipv4_path(interface, setting), value.to_string())
}
