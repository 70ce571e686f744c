//! A virtual router checked and completed: every default, and what is ignored or corrected, with a complaint.

use super::{ABSENT, GROUPED, Instance, Script, Tracking, Vmac, What, one, session};
use crate::conf::diagnostic::{Diagnostic, Kind, Severity};
use crate::keepalived::blocks::address::Address;
use crate::keepalived::blocks::bfd::Bfd;
use crate::keepalived::blocks::file::File;
use crate::keepalived::blocks::global::Global;
use crate::keepalived::blocks::instance::Instance as Given;
use crate::keepalived::blocks::interface::Pace;
use crate::keepalived::blocks::process::Process;
use crate::keepalived::slot::{SecretFile, complain};
use crate::vrrp::config::{Announcing, Authentication, Checksum, Config, Peer, Version};
use crate::vrrp::wire::hmac::Hmac;
use std::net::IpAddr;
use std::time::Duration;

/// What an instance is completed from.
pub(super) struct Completion<'a> {
    pub(super) global: &'a Global,
    pub(super) scripts: &'a [Script],
    pub(super) files: &'a [File],
    pub(super) processes: &'a [Process],
    pub(super) sessions: &'a [Bfd],
    pub(super) paces: &'a [Pace],
    pub(super) complaints: &'a mut Vec<Diagnostic>,
    /// There are firewall rules.
    pub(super) firewall: &'a mut bool,
    /// Reads the file of a key.
    pub(super) read_secret: &'a dyn Fn(&str) -> Option<SecretFile>,
}

/// The packet size that decides how many addresses an advert has room for.
const MTU: usize = 1500;

impl Completion<'_> {
    pub(super) fn error(&mut self, text: String) {
        self.complaints.push(complain(text));
    }

    fn fatal(&mut self, text: String) {
        self.complaints.push(Diagnostic::emerg(text));
    }

    pub(super) fn instance(&mut self, given: Given, has_interface: &dyn Fn(&str) -> bool) -> Option<Instance> {
        let name = given.name.clone();
        let Some(vrid) = given.vrid else {
            self.fatal(format!("({name}) the virtual router id must be set"));
            return None;
        };
        let Some(interface) = given.interface.clone() else {
            self.fatal(format!("({name}) Unknown interface!"));
            return None;
        };
        let dynamic = self.global.dynamic_interfaces == Some(true);
        let (mut own, mut excluded) = self.addresses(&given, has_interface, dynamic);
        let ipv6 = own.first().map_or_else(|| given.native_ipv6 == Some(true), |address| address.ip.is_ipv6());
        let version = self.version(&given, ipv6);
        let strict = self.strict(&given);
        if own.is_empty() && given.no_addresses != Some(true) && (dynamic || has_interface(&interface)) {
            if version == Version::V3 || strict {
                self.fatal(format!("({name}) No VIP specified; at least one is required"));
                return None;
            }
            // What goes on is checked twice.
            for _ in 0..2 {
                self.error(format!("({name}) No VIP specified; at least one is sensible"));
            }
        }
        if strict && !given.peers.is_empty() && has_interface(&interface) {
            self.fatal(format!("({name}) Unicast peers are not supported in strict mode"));
            return None;
        }
        let hmac = self.hmac(&given, strict);
        let trailer = hmac.as_ref().map_or(0, Hmac::trailer_length);
        self.spread(&given, (version, trailer), (&mut own, &mut excluded));
        let mut router = self.router(&given, vrid as u8, (version, ipv6));
        let listed = |list: &[Address]| -> Vec<IpAddr> { list.iter().map(|address| address.ip).collect() };
        (router.addresses, router.excluded) = (listed(&own), listed(&excluded));
        (router.has_routes, router.has_rules) = (!given.routes.is_empty(), !given.rules.is_empty());
        let addresses = [own, excluded].concat();
        router.elsewhere = elsewhere(&addresses, &interface);
        self.interval(&given, &mut router);
        self.protect(&mut router, hmac, &given);
        self.odd_interfaces(&given, ipv6);
        let group = self.group(&given, ipv6);
        let vmac = self.vmac(&given, (router.vrid, ipv6), strict);
        let mut tracking = self.tracking(&given, (&interface, router.priority));
        let lacks_peers = self.lacks_peers(&given);
        if self.paces.iter().any(|pace| pace.needs.iter().any(|need| need.dev == interface)) {
            // Its group's pace counts instead.
            (router.announcing.arp_interval, router.announcing.na_interval) = (Duration::ZERO, Duration::ZERO);
        }
        track_devices(&given, (&interface, &addresses), &mut tracking);
        let has_scripts = given.notify.commands().next().is_some();
        Some(Instance {
            wants_master: given.master == Some(true)
                && (router.priority == 255 || !matches!(router.authentication, Authentication::Ah(_))),
            source: given.source,
            track_source: given.track_source == Some(true),
            group: router.peers.is_empty().then_some(group),
            unicast_ttl: given.unicast_ttl.map(|ttl| ttl as u8),
            routes: given.routes,
            rules: given.rules,
            mails: given.smtp_alert.or(self.global.smtp_alert_vrrp).or(self.global.smtp_alert) == Some(true),
            scripts: has_scripts.then(|| Box::new(given.notify)),
            notify_deleted: given.notify_deleted,
            notify_priority_changes: given
                .notify_priority_changes
                .or(self.global.notify_priority_changes)
                .unwrap_or(false),
            promote_secondaries: given.promote_secondaries == Some(true) && given.virtual_interface != Some(true),
            linkbeat: given.linkbeat,
            closed: given.virtual_interface == Some(true) && given.vmac.is_none(),
            vmac,
            lacks_peers,
            name,
            interface,
            router: router.into(),
            addresses,
            tracking,
        })
    }

    /// The multicast group of its adverts.
    fn group(&self, given: &Given, ipv6: bool) -> IpAddr {
        let all = if ipv6 {
            IpAddr::V6(self.global.mcast_group6.unwrap_or(std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)))
        } else {
            IpAddr::V4(self.global.mcast_group4.unwrap_or(std::net::Ipv4Addr::new(224, 0, 0, 18)))
        };
        given.group.filter(|group| group.is_ipv6() == ipv6).unwrap_or(all)
    }

    /// Whether it is for unicast only and has no peers.
    fn lacks_peers(&mut self, given: &Given) -> bool {
        let lacks = given.fault_without_peers == Some(true) && given.peers.is_empty();
        if lacks {
            self.error(format!("({}) Cannot use unicast without any peers - going to fault state", given.name));
        }
        lacks
    }

    fn strict(&self, given: &Given) -> bool {
        given.strict.or(self.global.strict) == Some(true)
    }

    /// The protocol's version: as said for the instance, else 3 over IPv6, else as said for all.
    fn version(&mut self, given: &Given, ipv6: bool) -> Version {
        match given.version {
            Some(2) if ipv6 && self.strict(given) => {
                let text = "cannot use IPv6 with VRRP version 2; setting version 3";
                self.error(format!("({}) {text}", given.name));
                Version::V3
            }
            Some(2) => Version::V2,
            Some(_) => Version::V3,
            None if ipv6 || self.global.version == Some(3) => Version::V3,
            None => Version::V2,
        }
    }

    /// Moves addresses that have no room in an advert to the excluded ones.
    fn spread(
        &mut self,
        given: &Given,
        (version, trailer): (Version, usize),
        (own, excluded): (&mut Vec<Address>, &mut Vec<Address>),
    ) {
        let name = &given.name;
        let Some(first) = own.first() else { return };
        let ipv6 = first.ip.is_ipv6();
        if ipv6 && given.peers.is_empty() && !is_link_local(first.ip) {
            self.error(format!("({name}) the first IPv6 VIP address must be link local"));
        }
        let protected = version == Version::V2 && given.auth_pass_type == Some(false);
        let header = if protected { crate::vrrp::wire::ah::HEADER } else { 0 };
        let authentication = if version == Version::V2 { 8 + header } else { 0 };
        let room = MTU - 14 - 8 - trailer;
        let most = if ipv6 { (room - 40) / 16 } else { (room - 20 - authentication) / 4 }.min(255);
        let count = own.len();
        if count > most {
            let room = format!("exceeds maximum/space available in packet (max {most} addresses)");
            self.error(format!("({name}) Number of VIPs ({count}) {room} - excess moved to eVIPs"));
            // keepalived keeps one less than it says.
            excluded.extend(own.drain(most - 1..));
        }
    }

    fn router(&mut self, given: &Given, vrid: u8, (version, ipv6): (Version, bool)) -> Config {
        let name = &given.name;
        let global = self.global;
        let master = given.master == Some(true);
        let priority = given.priority.map_or(if master { 255 } else { 100 }, |priority| priority as u8);
        let mut router = Config::new(vrid, priority, Vec::new());
        router.version = version;
        router.interval = given.interval.unwrap_or(Duration::from_secs(1));
        router.preempt = given.preempt != Some(false);
        router.preempt_delay = given.preempt_delay.unwrap_or_default();
        router.peers =
            given.peers.iter().map(|peer| Peer { address: peer.address, hops: peer.least..=peer.most }).collect();
        let both = |own: Option<bool>, all: Option<bool>| own.or(all) == Some(true);
        let strict = self.strict(given);
        router.checksum = given.checksum.unwrap_or_default();
        if given.checksum_as_v2.or(global.checksum_as_v2) == Some(true) {
            router.checksum = Checksum::WithoutAddresses;
        }
        router.group = match given.group {
            Some(IpAddr::V4(group)) => group,
            _ => global.mcast_group4.unwrap_or(router.group),
        };
        router.check_unicast_src = both(given.check_unicast_src, global.check_unicast_src);
        router.skip_check_adv_addr = both(given.skip_check_adv_addr, global.skip_check_adv_addr);
        router.lower_prio_no_advert = strict || both(given.lower_prio_no_advert, global.lower_prio_no_advert);
        router.higher_prio_send_advert = !strict && both(given.higher_prio_send_advert, global.higher_prio_send_advert);
        router.down_timer_adverts =
            given.down_timer_adverts.or(global.down_timer_adverts).map_or(3, |adverts| adverts as u32);
        router.announcing = announcing(given, global, strict);
        let owner = priority == 255;
        if strict && master != owner {
            self.error(format!("({name}) State MASTER must match being address owner"));
        }
        // Without a state the owner is master too.
        router.owner = owner && given.master != Some(false);
        let master = if strict { owner } else { master || router.owner };
        router.authentication = self.authentication(given, strict, (version, ipv6));
        // The number of the other's last advert must be known before the first of our own.
        let protected = matches!(router.authentication, Authentication::Ah(_));
        let clears = protected && master && !owner;
        if clears {
            self.error(format!("({name}) Initial state master is incompatible with AH authentication - clearing"));
        }
        let master = master && !clears;
        self.preemption(given, (strict, master), &mut router);
        router.owner_ignores_adverts = self.ignores_adverts(given, strict, owner);
        router.highest_other_priority = given.highest_other_priority.map(|priority| priority as u8);
        if router.preempt && router.highest_other_priority.take().is_some() {
            self.error(format!("({name}) expired_timer_backup requires nopreempt - resetting"));
        }
        router.no_accept = self.no_accept(given, strict, (version, owner));
        if strict {
            self.strictness(given, router.version);
        }
        router
    }

    fn preemption(&mut self, given: &Given, (strict, master): (bool, bool), router: &mut Config) {
        let name = &given.name;
        if !router.preempt && router.priority == 255 {
            self.error(format!("({name}) nopreempt is incompatible with priority 255. resetting nopreempt"));
            router.preempt = true;
        } else if !router.preempt && master {
            self.error(format!("({name}) Warning - nopreempt will not work with initial state MASTER - clearing"));
            router.preempt = true;
        }
        if router.preempt_delay.is_zero() {
            return;
        }
        if master {
            self.error(format!("({name}) Warning - preempt delay will not work with initial state MASTER - clearing"));
        } else {
            if strict {
                self.error(format!("({name}) preempt_delay is incompatible with strict mode - resetting"));
            }
            if !router.preempt {
                self.error(format!("({name}) preempt_delay is incompatible with nopreempt mode - resetting"));
            }
        }
        if strict || master || !router.preempt {
            router.preempt_delay = Duration::ZERO;
        }
    }

    /// Whether an address owner drops the adverts of others.
    ///
    /// Differs from keepalived: strict mode alone does not make it so, as in 2.1.5, and `off` counts outside of it. [test: an_owner_ignores_adverts_if_it_is_to]
    fn ignores_adverts(&mut self, given: &Given, strict: bool, owner: bool) -> bool {
        let name = &given.name;
        match given.owner_ignore_adverts {
            Some(true) if !owner => {
                self.error(format!("({name}) ignoring owner_ignore_adverts since priority is not 255"));
                false
            }
            Some(false) if owner && strict => {
                self.error(format!("({name}) strict_mode with priority 255 requires owner_ignore_adverts"));
                true
            }
            Some(ignores) => ignores,
            None => owner && self.global.owner_ignore_adverts == Some(true),
        }
    }

    /// What strict mode refuses.
    fn strictness(&mut self, given: &Given, version: Version) {
        let (name, global) = (&given.name, self.global);
        let rules = [
            (
                given.down_timer_adverts.or(global.down_timer_adverts).is_some_and(|adverts| adverts != 3),
                "down_timer_adverts is incompatible with strict mode - resetting",
            ),
            (
                given.accept == Some(true) && version == Version::V2,
                "warning - accept mode for VRRP version 2 does not comply with RFC3768 - resetting",
            ),
            (
                given.garp_lower_repeat.or(global.garp_lower_repeat).is_some(),
                "Strict mode requires no repeat garps. resetting",
            ),
            (
                given.garp_lower_delay.or(global.garp_lower_delay).is_some(),
                "Strict mode requires no repeat garp delay. resetting",
            ),
            (
                given.lower_prio_no_advert.or(global.lower_prio_no_advert) == Some(false),
                "Strict mode requires no lower priority advert. resetting",
            ),
            (
                given.higher_prio_send_advert.or(global.higher_prio_send_advert) == Some(true),
                "strict mode requires higher_prio_send_advert to be clear. resetting",
            ),
        ];
        for (_, text) in rules.into_iter().filter(|(broken, _)| *broken) {
            self.error(format!("({name}) {text}"));
        }
    }

    /// How adverts prove where they come from. keepalived judges in this order.
    fn authentication(&mut self, given: &Given, strict: bool, (version, ipv6): (Version, bool)) -> Authentication {
        let name = &given.name;
        let Some(pass) = given.auth_pass_type else { return Authentication::None };
        let mut padded = [0; 8];
        let password = given.auth_pass.as_ref().map(|password| password.0.as_slice()).unwrap_or_default();
        padded.iter_mut().zip(password).for_each(|(slot, byte)| *slot = *byte);
        let wrong = match () {
            () if strict => "Strict mode does not support authentication. Ignoring.",
            () if version == Version::V3 => "VRRP version 3 does not support authentication. Ignoring.",
            () if password.is_empty() => "Authentication specified but no password given. Ignoring",
            () if ipv6 && !pass => "Cannot use AH authentication with IPv6. ignoring",
            // VRRP over IPv6 has no room for a password.
            () if ipv6 => return Authentication::None,
            () if pass => return Authentication::Pass(padded),
            () => return Authentication::Ah(padded),
        };
        self.error(format!("({name}) {wrong}"));
        Authentication::None
    }

    /// What is wrong with interfaces of its own.
    fn odd_interfaces(&mut self, given: &Given, ipv6: bool) {
        let name = &given.name;
        let virtual_one = given.virtual_interface == Some(true);
        if given.xmit_base == Some(true) && !virtual_one {
            self.error(format!("({name}) vmac_xmit_base is only valid with a vmac"));
        }
        if virtual_one && !given.ipvlan_lacks_address && given.promote_secondaries == Some(true) {
            self.error(format!("({name}) promote_secondaries is automatically set for vmacs - ignoring"));
        }
        if given.ipvlan_lacks_address && !ipv6 && given.source.is_none() {
            self.error(format!(
                "({name}) IPv4 ipvlan requires a source ip address to be configured. setting instance to fault state"
            ));
        }
    }

    /// Says once that nftables is used though the file does not ask for it.
    fn needs_firewall(&mut self) {
        if !std::mem::replace(self.firewall, true) {
            let text = "use_vmac or no_accept/strict specified, but no firewall configured - using nftables";
            self.complaints.push(Diagnostic::new(Severity::Notice, text));
        }
    }

    /// Whether packets to its addresses are dropped: not those of an address owner.
    fn no_accept(&mut self, given: &Given, strict: bool, (version, owner): (Version, bool)) -> bool {
        let accept = match given.accept {
            None => owner || !strict,
            Some(true) => owner || !strict || version == Version::V3,
            Some(false) => false,
        };
        if !accept {
            self.needs_firewall();
        }
        !accept && !owner
    }

    /// The interface of its own, with the Ethernet address RFC 9568 §7.3 gives it.
    fn vmac(&mut self, given: &Given, (vrid, ipv6): (u8, bool), strict: bool) -> Option<Vmac> {
        let vmac = given.vmac.as_ref()?;
        self.needs_firewall();
        let mut xmit_base = given.xmit_base == Some(true);
        if strict && xmit_base {
            self.error(format!("({}) xmit_base is incompatible with strict mode - resetting", given.name));
            xmit_base = false;
        }
        let standard = [0x00, 0x00, 0x5e, 0x00, if ipv6 { 2 } else { 1 }, vrid];
        Some(Vmac { name: vmac.name.clone(), mac: vmac.mac.unwrap_or(standard), xmit_base })
    }

    /// VRRPv2 counts in whole seconds, VRRPv3 in hundredths; what is beyond either's range is corrected.
    fn interval(&mut self, given: &Given, router: &mut Config) {
        let name = &given.name;
        let (unit, most, number, what) = match router.version {
            Version::V2 => (1_000_000, Duration::from_secs(255), 2, "an integer."),
            Version::V3 => (10_000, Duration::from_millis(40_950), 3, "in units of 10ms -"),
        };
        let (interval, unit) = (router.interval, u128::from(unit as u32));
        let shown = interval.as_secs_f64();
        let begin = format!("({name}) VRRPv{number} advertisement interval");
        if interval.as_micros() >= most.as_micros() + unit {
            let (limit, set) = match router.version {
                Version::V2 => ("256s", "255s"),
                Version::V3 => ("40.96s", "40.95s"),
            };
            self.error(format!("{begin} {shown:.2}s is out of range. Must be less than {limit}. Setting to {set}"));
            router.interval = most;
        } else if !interval.as_micros().is_multiple_of(unit) {
            self.error(format!("{begin} {shown:.6}s must be {what} rounding"));
            let units = ((interval.as_micros() + unit / 2) / unit).max(1);
            router.interval = Duration::from_micros((units * unit) as u64);
        }
    }

    /// The addresses on the wire, and the excluded ones.
    fn addresses(&mut self, given: &Given, has: &dyn Fn(&str) -> bool, dynamic: bool) -> (Vec<Address>, Vec<Address>) {
        let ipv6 = given.addresses.first().map(|address| address.ip.is_ipv6());
        let (mut own, mut other) = (Vec::new(), Vec::new());
        for (address, excluded) in
            given.addresses.iter().map(|a| (a, false)).chain(given.excluded.iter().map(|a| (a, true)))
        {
            if !excluded && Some(address.ip.is_ipv6()) != ipv6 {
                let text = format!(
                    "({}): address family must match VRRP instance [{}] - ignoring",
                    given.name,
                    address.shown()
                );
                self.complaints.push(complain(text).at(address.span));
                continue;
            }
            if let Some(dev) = &address.dev
                && !has(dev)
                && !dynamic
            {
                self.complaints.push(
                    complain(format!("WARNING - interface {dev} for ip address {} doesn't exist", address.shown()))
                        .at(address.span),
                );
                self.complaints.push(Diagnostic::emerg(ABSENT).kind(Kind::Interface));
            }
            if excluded { &mut other } else { &mut own }.push(address.clone());
        }
        (own, other)
    }

    /// What an instance depends on.
    ///
    /// Differs from keepalived: in a group it forgets a member's scripts of weight zero (2.1.5). [test: a_members_script_counts]
    fn tracking(&mut self, given: &Given, (interface, priority): (&str, u8)) -> Vec<Tracking> {
        let mut all = Vec::new();
        if given.track_primary != Some(false) {
            all.push(Tracking { what: What::Interface(interface.to_owned()), weight: 0, reverse: false });
        }
        for track in &given.interfaces {
            if track.name == interface {
                self.error(format!("({}) Ignoring track_interface {} since own interface", given.name, track.name));
            } else {
                all.push(one(track, What::Interface(track.name.clone()), (0, false)));
            }
        }
        for track in &given.scripts {
            // One that is not defined has been complained of.
            if let Some(script) = self.scripts.iter().find(|script| script.name == track.name) {
                all.push(one(track, What::Script(track.name.clone()), (script.weight, script.reverse)));
            }
        }
        for track in &given.files {
            if let Some(file) = self.files.iter().find(|file| file.name == track.name) {
                let default = (file.weight.unwrap_or(1), file.reverse);
                all.push(one(track, What::File(track.name.clone()), default));
            }
        }
        for track in &given.processes {
            if let Some(process) = self.processes.iter().find(|process| process.name == track.name) {
                let default = (process.weight, process.reverse);
                all.push(one(track, What::Process(track.name.clone()), default));
            }
        }
        all.extend(given.sessions.iter().filter_map(|track| session(track, self.sessions)));
        let reason = match given.grouped {
            Some(false) => Some(GROUPED),
            _ if priority == 255 => Some("address_owner"),
            _ => None,
        };
        if let Some(reason) = reason {
            all.retain(|tracking| tracking.weight == 0 || self.unweighted(given, tracking, reason));
        }
        if priority == 255 {
            // As in keepalived, only interfaces and processes can keep an address owner from being master.
            all.retain(|tracking| matches!(tracking.what, What::Interface(_) | What::Process(_)));
        }
        all.shrink_to_fit();
        all
    }
}

impl Completion<'_> {
    /// Says that a weight does not count, and that what has it is left out.
    ///
    /// As in keepalived, a member's weighted interface and a process count nevertheless: that decides who is master.
    fn unweighted(&mut self, given: &Given, tracking: &Tracking, reason: &str) -> bool {
        let name = &given.name;
        self.error(match &tracking.what {
            What::Process(_) => return true,
            What::Interface(one) if reason == GROUPED => {
                let text = format!("({name}) ignoring {one} tracked interface weight due to {reason}");
                let line = complain(text).help("keepalived says so, and counts the weight nevertheless");
                self.complaints.push(line);
                return true;
            }
            What::Interface(one) => {
                format!("({name}) ignoring {one} tracked interface due to {}", reason.replace('_', " "))
            }
            What::Script(one) => format!("({name}) ignoring tracked script {one} with weights due to {reason}"),
            What::Session(one) => {
                format!("({name}) ignoring tracked bfd {one} with weight {} due to {reason}", tracking.weight)
            }
            What::File(one) => {
                format!("({name}) ignoring weight from tracked file {one} due to {reason}. specify weight 0")
            }
        });
        false
    }
}

/// The interface of an address, a route or a rule counts for its instance as a tracked one does.
fn track_devices(given: &Given, (interface, addresses): (&str, &[Address]), tracking: &mut Vec<Tracking>) {
    let routes = given.routes.iter().filter(|given| given.tracked).filter_map(|given| given.route.dev.as_ref());
    let rules = given.rules.iter().filter(|given| given.tracked);
    let rules = rules.flat_map(|given| [&given.rule.input, &given.rule.output]).flatten();
    let own = addresses.iter().filter(|address| address.track).filter_map(|address| address.dev.as_ref());
    for dev in own.chain(routes).chain(rules) {
        let what = What::Interface(dev.clone());
        if dev != interface && !tracking.iter().any(|one| one.what == what && one.weight == 0) {
            tracking.push(Tracking { what, weight: 0, reverse: false });
        }
    }
}

fn announcing(given: &Given, global: &Global, strict: bool) -> Announcing {
    let minimal = global.min_garp == Some(true);
    let count = |own: Option<i64>, all: Option<i64>, default: u32| {
        own.or(all).map_or(default, |value| u32::try_from(value).unwrap_or(u32::MAX))
    };
    let time = |own, all, default| Duration::from_secs(u64::from(count(own, all, default)));
    let (repeat, delay) = if minimal { (1, 0) } else { (5, 5) };
    let repeat = count(given.garp_repeat, global.garp_repeat, repeat).max(1);
    let delay = time(given.garp_delay, global.garp_delay, delay);
    // What an instance says of becoming master is not the default of what it does on lower priorities; the global is.
    let (lower_repeat, lower_delay) = if minimal { (1, 0) } else { (5, 5) };
    let lower_repeat = count(global.garp_lower_repeat, global.garp_repeat, lower_repeat);
    let lower_delay = count(global.garp_lower_delay, global.garp_delay, lower_delay);
    let mut announcing = Announcing {
        repeat,
        delay,
        refresh: time(given.garp_refresh, global.garp_refresh, 0),
        refresh_repeat: count(given.garp_refresh_repeat, global.garp_refresh_repeat, 1).max(1),
        lower_repeat: count(given.garp_lower_repeat, None, lower_repeat),
        lower_delay: time(given.garp_lower_delay, None, lower_delay),
        arp_interval: global.garp_interval.unwrap_or_default(),
        na_interval: global.gna_interval.unwrap_or_default(),
        extra: given
            .extra_garp
            .or(global.extra_garp)
            .filter(|extra| extra.all)
            .map_or(Duration::ZERO, |it| it.interval),
    };
    if strict {
        (announcing.lower_repeat, announcing.lower_delay) = (0, Duration::ZERO);
    }
    announcing
}

/// The first address of each interface but this one.
fn elsewhere(addresses: &[Address], interface: &str) -> Vec<IpAddr> {
    let mut seen = vec![interface];
    let others = addresses.iter().filter_map(|address| Some((address.dev.as_deref()?, address.ip)));
    let mut first = Vec::new();
    for (dev, ip) in others {
        if !seen.contains(&dev) {
            seen.push(dev);
            first.push(ip);
        }
    }
    first
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}
