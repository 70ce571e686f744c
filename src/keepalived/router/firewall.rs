//! The nftables rules of the process: they drop packets to and from addresses that are not accepted, and keep a VMAC's
//! multicast membership reports off the VMAC.
//!
//! A report that left by the VMAC would teach switches that the virtual router's Ethernet address is here, master or not;
//! it leaves by the interface below instead. The tables are made when they are first needed and removed at the end.

use crate::keepalived::blocks::address::Address;
use crate::keepalived::blocks::global::Global;
use crate::keepalived::interfaces::Interfaces;
use crate::keepalived::site::{Instance, What};
use crate::kernel::nftables::{Batch, Family, Header, Hook, HookPoint, KeyType, Meta, Register, Set, Step, has_table};
use nix::errno::Errno;
use std::io;
use std::net::IpAddr;

/// From VMACs to the interfaces below them.
const VMACS: Set = Set { name: "vmac_map", keys: KeyType::InterfaceIndex, map: true, constant: false };
/// Neighbour discovery, which goes on for addresses that are not accepted.
const DISCOVERY: Set = Set { name: "neighbor-discovery", keys: KeyType::Icmpv6Type, map: false, constant: true };
const LOCAL_BY_INDEX: Set =
    Set { name: "vips_link_local", keys: KeyType::Ipv6AddressAndIndex, map: false, constant: false };
const LOCAL_BY_NAME: Set =
    Set { name: "vips_link_local_name", keys: KeyType::Ipv6AddressAndName, map: false, constant: false };
const IN: &str = "in";
const OUT: &str = "out";
const IN_LOCAL: &str = "in_link_local";
const OUT_LOCAL: &str = "out_link_local";

/// How the rules are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// The name of the tables.
    table: String,
    /// The place of their chains among others.
    priority: i32,
    /// Rules count what they match.
    counters: bool,
    /// Link-local addresses are matched with the number of their interface, never with its name.
    by_index: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self::of(&Global::default())
    }
}

impl Settings {
    /// What a configuration says.
    pub(super) fn of(global: &Global) -> Self {
        let priority = global.nftables_priority.and_then(|priority| i32::try_from(priority).ok());
        Self {
            table: global.nftables.clone().unwrap_or_else(|| "keepalived".to_owned()),
            priority: priority.unwrap_or(-1),
            counters: global.nftables_counters == Some(true),
            by_index: global.nftables_ifindex == Some(true),
        }
    }
}

/// What has been set up in a family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Parts {
    table: bool,
    vmacs: bool,
    addresses: bool,
    local_by_index: bool,
    local_by_name: bool,
}

/// The rules as far as they are in the kernel.
#[derive(Debug, Default)]
pub(super) struct Firewall {
    settings: Settings,
    ipv4: Parts,
    ipv6: Parts,
}

/// A VMAC by number, and the interface below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Redirection {
    /// The VMAC.
    pub(super) vmac: u32,
    /// The interface below.
    pub(super) base: u32,
}

/// An address whose packets are dropped, as an element of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blocked {
    family: Family,
    set: Set,
    key: Vec<u8>,
}

/// The set of addresses of a family that are not link-local.
const fn addresses(family: Family) -> Set {
    let keys = match family {
        Family::Ipv4 => KeyType::Ipv4Address,
        Family::Ipv6 => KeyType::Ipv6Address,
    };
    Set { name: "vips", keys, map: false, constant: false }
}

impl Firewall {
    /// Takes other settings; whether they differ from those the rules were made with.
    pub(super) fn configure(&mut self, settings: Settings) -> io::Result<bool> {
        let differs = self.settings != settings;
        if differs {
            self.remove()?;
            self.settings = settings;
        }
        Ok(differs)
    }

    /// What an address is to be blocked by; nothing while its interface is missing.
    ///
    /// Differs from keepalived: it cannot block link-local addresses by the name of an interface. [test: addresses_that_are_not_accepted_are_unreachable]
    pub(super) fn blocked(&self, instance: &Instance, address: &Address, interfaces: &Interfaces) -> Option<Blocked> {
        let ip = match address.ip {
            IpAddr::V4(ip) => {
                let (family, key) = (Family::Ipv4, ip.octets().to_vec());
                return Some(Blocked { family, set: addresses(family), key });
            }
            IpAddr::V6(ip) => ip,
        };
        let (family, mut key) = (Family::Ipv6, ip.octets().to_vec());
        if !ip.is_unicast_link_local() {
            return Some(Blocked { family, set: addresses(family), key });
        }
        let dev = address.dev.as_deref().unwrap_or_else(|| instance.device());
        let own = What::Interface(instance.interface.clone());
        let tracks = instance.tracking.iter().any(|tracking| tracking.what == own);
        if !self.settings.by_index && !tracks && (dev == instance.device() || !address.track) {
            const LENGTH: usize = 16;
            let end = key.len() + LENGTH;
            key.extend(dev.as_bytes());
            key.resize(end, 0);
            return Some(Blocked { family, set: LOCAL_BY_NAME, key });
        }
        key.extend(interfaces.link(dev)?.index.to_ne_bytes());
        Some(Blocked { family, set: LOCAL_BY_INDEX, key })
    }

    fn parts(&mut self, family: Family) -> &mut Parts {
        match family {
            Family::Ipv4 => &mut self.ipv4,
            Family::Ipv6 => &mut self.ipv6,
        }
    }

    /// A rule that ends with a verdict, and counts before it if that is asked for.
    fn rule(&self, batch: &mut Batch, family: Family, chain: &str, (steps, verdict): (&[Step], Step)) {
        let count = self.settings.counters.then_some(Step::Count);
        let steps: Vec<Step> = steps.iter().cloned().chain(count).chain([verdict]).collect();
        batch.add_rule(family, chain, &steps);
    }

    /// Adds the table of a family; tables an earlier process left behind are removed first, and named to `old`.
    fn table(&mut self, batch: &mut Batch, family: Family, old: &mut dyn FnMut(Family, &str)) -> io::Result<()> {
        if self.parts(family).table {
            return Ok(());
        }
        if !self.ipv4.table && !self.ipv6.table {
            for family in [Family::Ipv4, Family::Ipv6] {
                if has_table(family, &self.settings.table)? {
                    old(family, &self.settings.table);
                    batch.remove_table(family);
                }
            }
        }
        batch.add_table(family);
        batch.add_chain(family, OUT, Some(Hook { at: HookPoint::Output, priority: self.settings.priority }));
        self.parts(family).table = true;
        Ok(())
    }

    /// Adds what drops packets of a family.
    fn drops(&mut self, batch: &mut Batch, family: Family, old: &mut dyn FnMut(Family, &str)) -> io::Result<()> {
        if self.parts(family).addresses {
            return Ok(());
        }
        self.table(batch, family, old)?;
        let vips = addresses(family);
        batch.add_chain(family, IN, Some(Hook { at: HookPoint::Input, priority: self.settings.priority }));
        if family == Family::Ipv6 {
            batch.add_chain(family, IN_LOCAL, None);
            batch.add_chain(family, OUT_LOCAL, None);
        }
        batch.add_set(family, vips);
        if family == Family::Ipv6 {
            const SOLICITATION: u8 = 135;
            const ADVERTISEMENT: u8 = 136;
            batch.add_set(family, DISCOVERY);
            batch.add_elements(family, DISCOVERY.name, &[(vec![SOLICITATION], None), (vec![ADVERTISEMENT], None)]);
            for (chain, side, local) in [(IN, Side::Destination, IN_LOCAL), (OUT, Side::Source, OUT_LOCAL)] {
                self.rule(batch, family, chain, (&discovery(), Step::Accept));
                self.rule(batch, family, chain, (&link_local(side), Step::GoTo(local)));
            }
        }
        for (chain, side) in [(IN, Side::Destination), (OUT, Side::Source)] {
            let steps = [address(family, side), Step::Member(Register::One, vips.name)];
            self.rule(batch, family, chain, (&steps, Step::Drop));
        }
        self.parts(family).addresses = true;
        Ok(())
    }

    /// Adds a set of link-local addresses and the rules that use it.
    fn local(&self, batch: &mut Batch, set: Set) {
        let by_name = set == LOCAL_BY_NAME;
        batch.add_set(Family::Ipv6, set);
        let metas = if by_name { (Meta::InputName, Meta::OutputName) } else { (Meta::InputIndex, Meta::OutputIndex) };
        for (chain, side, meta) in [(IN_LOCAL, Side::Destination, metas.0), (OUT_LOCAL, Side::Source, metas.1)] {
            let load = Step::LoadMeta(Register::Two, meta);
            let steps = [address(Family::Ipv6, side), load, Step::Member(Register::One, set.name)];
            self.rule(batch, Family::Ipv6, chain, (&steps, Step::Drop));
        }
    }

    /// Drops the packets to and from these addresses. Tells whether nothing but this is left in the tables, because
    /// somebody had removed them.
    pub(super) fn block(&mut self, all: &[Blocked], old: &mut dyn FnMut(Family, &str)) -> io::Result<bool> {
        self.change(|firewall, batch| {
            for Blocked { family, set, key } in all {
                firewall.drops(batch, *family, old)?;
                if *set == LOCAL_BY_INDEX && !std::mem::replace(&mut firewall.ipv6.local_by_index, true) {
                    firewall.local(batch, *set);
                }
                if *set == LOCAL_BY_NAME && !std::mem::replace(&mut firewall.ipv6.local_by_name, true) {
                    firewall.local(batch, *set);
                }
                batch.add_elements(*family, set.name, &[(key.clone(), None)]);
            }
            Ok(())
        })
    }

    /// Makes changes that may set something up first. Where somebody has removed the tables they are made again; tells
    /// whether that was so.
    ///
    /// Differs from keepalived: after the tables were removed it makes no more rules. [test: tables_that_somebody_removes_are_made_again]
    fn change(&mut self, mut fill: impl FnMut(&mut Self, &mut Batch) -> io::Result<()>) -> io::Result<bool> {
        let outcome = self.attempt(&mut fill);
        if !outcome.as_ref().is_err_and(is_gone) {
            return outcome.map(|()| false);
        }
        (self.ipv4, self.ipv6) = (Parts::default(), Parts::default());
        self.attempt(&mut fill).map(|()| true)
    }

    fn attempt(&mut self, fill: &mut dyn FnMut(&mut Self, &mut Batch) -> io::Result<()>) -> io::Result<()> {
        let mut batch = Batch::new(&self.settings.table);
        let (ipv4, ipv6) = (self.ipv4, self.ipv6);
        let outcome = fill(self, &mut batch).and_then(|()| batch.commit());
        if outcome.is_err() {
            // Nothing of the batch was done.
            (self.ipv4, self.ipv6) = (ipv4, ipv6);
        }
        outcome
    }

    /// Accepts packets to and from these addresses again.
    pub(super) fn unblock(&self, all: &[Blocked]) -> io::Result<()> {
        let mut batch = Batch::new(&self.settings.table);
        for Blocked { family, set, key } in all {
            batch.remove_elements(*family, set.name, &[(key.clone(), None)]);
        }
        unless_gone(batch.commit())
    }

    /// Has the membership reports of a VMAC leave by the interface below; tells the same as [`Firewall::block`].
    pub(super) fn redirect(
        &mut self,
        families: &[Family],
        redirection: Redirection,
        old: &mut dyn FnMut(Family, &str),
    ) -> io::Result<bool> {
        self.change(|firewall, batch| {
            for family in families.iter().copied() {
                firewall.table(batch, family, old)?;
                if !std::mem::replace(&mut firewall.parts(family).vmacs, true) {
                    batch.add_set(family, VMACS);
                    firewall.rule(batch, family, OUT, (&reports(family), Step::Drop));
                }
                let element = (redirection.vmac.to_ne_bytes().to_vec(), Some(redirection.base));
                batch.add_elements(family, VMACS.name, &[element]);
            }
            Ok(())
        })
    }

    /// Forgets a VMAC.
    pub(super) fn forget(&mut self, families: &[Family], redirection: Redirection) -> io::Result<()> {
        let mut batch = Batch::new(&self.settings.table);
        for family in families.iter().copied().filter(|family| self.parts(*family).vmacs).collect::<Vec<_>>() {
            let element = (redirection.vmac.to_ne_bytes().to_vec(), Some(redirection.base));
            batch.remove_elements(family, VMACS.name, &[element]);
        }
        unless_gone(batch.commit())
    }

    /// Removes the tables.
    pub(super) fn remove(&mut self) -> io::Result<()> {
        let mut batch = Batch::new(&self.settings.table);
        for family in [Family::Ipv4, Family::Ipv6] {
            if std::mem::take(self.parts(family)).table {
                batch.remove_table(family);
            }
        }
        unless_gone(batch.commit())
    }
}

/// Whether what was to be changed is not there.
fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::ENOENT as i32)
}

/// The outcome of a removal: what is gone already is removed.
fn unless_gone(outcome: io::Result<()>) -> io::Result<()> {
    outcome.or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) })
}

/// An end of a packet.
#[derive(Clone, Copy)]
enum Side {
    Source,
    Destination,
}

/// Loads an address of a packet.
const fn address(family: Family, side: Side) -> Step {
    let (offset, length) = match (family, side) {
        (Family::Ipv4, Side::Source) => (12, 4),
        (Family::Ipv4, Side::Destination) => (16, 4),
        (Family::Ipv6, Side::Source) => (8, 16),
        (Family::Ipv6, Side::Destination) => (24, 16),
    };
    Step::Load(Register::One, Header::Network, offset, length)
}

/// Matches neighbour discovery.
fn discovery() -> [Step; 4] {
    const NEXT_HEADER: u32 = 6;
    const ICMPV6: u8 = 58;
    [
        Step::Load(Register::One, Header::Network, NEXT_HEADER, 1),
        Step::Equal(Register::One, vec![ICMPV6]),
        Step::Load(Register::One, Header::Transport, 0, 1),
        Step::Member(Register::One, DISCOVERY.name),
    ]
}

/// Matches link-local addresses, fe80::/10.
fn link_local(side: Side) -> [Step; 3] {
    let begin = |bytes: [u8; 2]| bytes.into_iter().chain([0; 14]).collect::<Vec<u8>>();
    [
        address(Family::Ipv6, side),
        Step::Mask(Register::One, begin([0xff, 0xc0])),
        Step::Equal(Register::One, begin([0xfe, 0x80])),
    ]
}

/// Matches membership reports of VMACs and copies them to the interfaces below.
fn reports(family: Family) -> [Step; 6] {
    // IGMPv3 (RFC 3376 §4.2.14) and MLDv2 (RFC 3810 §5.2.14).
    let group = match family {
        Family::Ipv4 => vec![224, 0, 0, 22],
        Family::Ipv6 => vec![0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x16],
    };
    [
        address(family, Side::Destination),
        Step::Equal(Register::One, group.clone()),
        Step::Put(Register::One, group),
        Step::LoadMeta(Register::Two, Meta::OutputIndex),
        Step::Translate(Register::Two, VMACS.name),
        Step::Duplicate(Register::One, Register::Two),
    ]
}
