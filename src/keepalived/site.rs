//! A configuration checked and completed: what the router process runs.

use super::blocks::address::Address;
use super::blocks::file::File;
use super::blocks::global::Global;
use super::blocks::group::Group;
use super::blocks::instance::{Instance as Given, Notify};
use super::blocks::interface::Pace;
use super::blocks::root::Root;
use super::blocks::script::Script as GivenScript;
use super::blocks::track::Track;
use super::slot::{Command, Machine, complain};
use crate::conf::diagnostic::{At, Diagnostic, Severity};
use crate::conf::source::Span;
use crate::vrrp::config::{Announcing, Authentication, Config, Peer, Version};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Everything a configuration comes to.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// `global_defs`.
    pub global: Global,
    /// What stands outside all blocks.
    pub root: Root,
    /// The scripts somebody tracks.
    pub scripts: Vec<Script>,
    /// The files somebody tracks.
    pub files: Vec<File>,
    /// The virtual routers, in order.
    pub instances: Vec<Instance>,
    /// The groups, in order.
    pub groups: Vec<Group>,
    /// There is a virtual router in the file, whether or not it can be run.
    pub configured: bool,
}

/// A script with every default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Its name.
    pub name: String,
    /// What is run, and as whom.
    pub command: Command,
    /// Between two runs.
    pub interval: Duration,
    /// How long a run may take.
    pub timeout: Duration,
    /// What it weighs unless said otherwise.
    pub weight: i32,
    /// Good and bad change places.
    pub reverse: bool,
    /// Successes that make it good again.
    pub rise: u32,
    /// Failures that make it bad.
    pub fall: u32,
}

/// Something that bears on an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// An interface, by name.
    Interface(String),
    /// A script, by name.
    Script(String),
    /// A file, by name.
    File(String),
}

/// Something tracked, and what it weighs for an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracking {
    /// The thing.
    pub what: What,
    /// Its weight.
    pub weight: i32,
    /// Good and bad change places.
    pub reverse: bool,
}

/// A virtual router with every default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// Where it speaks.
    pub interface: String,
    /// `state MASTER`.
    pub wants_master: bool,
    /// What the machine needs to know.
    pub router: Config,
    /// Its addresses in order, excluded ones last.
    pub addresses: Vec<Address>,
    /// The configured source of adverts.
    pub source: Option<IpAddr>,
    /// It faults while that is absent.
    pub track_source: bool,
    /// The group adverts are sent to, or `None` for unicast.
    pub group: Option<IpAddr>,
    /// The TTL of unicast adverts.
    pub unicast_ttl: u8,
    /// Everything that bears on it, its own interface included unless that is ignored.
    pub tracking: Vec<Tracking>,
    /// What is run when its state changes.
    pub notify: Notify,
    /// Say DELETED where keepalived says FAULT when a reload removes it.
    pub notify_deleted: bool,
    /// Say when its priority changes.
    pub notify_priority_changes: bool,
    /// Keep other addresses of a network when the first goes.
    pub promote_secondaries: bool,
    /// It asks for something that is not served and must not be left out: it stays in fault.
    pub closed: bool,
}

impl Instance {
    /// What makes two instances the same one across a reload; the name plays no part.
    pub fn identity(&self) -> (u8, bool, &str, bool) {
        (self.router.vrid, self.router.is_ipv6(), &self.interface, self.group.is_some())
    }
}

/// What a configuration says, block by block.
#[derive(Debug, Default)]
pub struct Blocks {
    /// `global_defs`.
    pub global: Global,
    /// Outside all blocks.
    pub root: Root,
    /// `vrrp_script`.
    pub scripts: Vec<GivenScript>,
    /// `track_file`.
    pub files: Vec<File>,
    /// `vrrp_instance`.
    pub instances: Vec<Given>,
    /// `vrrp_sync_group`.
    pub groups: Vec<Group>,
    /// `garp_group`.
    pub paces: Vec<Pace>,
}

/// Why weights of a member do not count.
const GROUPED: &str = "SYNC group";

/// Said once, after everything about single interfaces.
pub const ABSENT: &str = "Non-existent interface specified in configuration";

/// Checks and completes a configuration. A complaint of severity `Emerg` means that it cannot be run.
pub fn complete(mut given: Blocks, machine: &Machine<'_>) -> (Site, Vec<Diagnostic>) {
    let mut complaints = Vec::new();
    let has_interface = machine.has_interface;
    users(&mut given, machine, &mut complaints);
    let Blocks { global, root, scripts, files, instances, groups, paces } = given;
    let mut vital = false;
    for address in &root.addresses {
        if let Some(dev) = address.dev.as_ref().filter(|dev| !has_interface(dev)) {
            vital = true;
            let text = format!("WARNING - interface {dev} for ip address {} doesn't exist", address.shown());
            complaints.push(complain(text).at(address.span));
        }
    }
    let paced = paces.iter().flat_map(|pace| &pace.needs);
    let owned = instances.iter().flat_map(|instance| &instance.needs);
    for need in root.needs.iter().chain(paced).chain(owned).filter(|need| !has_interface(&need.dev)) {
        vital |= need.vital;
        complaints.push(complain(need.text.clone()).at(need.span));
    }
    let configured = !instances.is_empty();
    let scripts: Vec<Script> = scripts.into_iter().filter_map(script).collect();
    if global.dynamic_interfaces != Some(true) {
        let own = instances.iter().map(|one| (&one.name, &one.interfaces));
        for (name, tracks) in own.chain(groups.iter().map(|one| (&one.name, &one.interfaces))) {
            for track in tracks.iter().filter(|track| !has_interface(&track.name)) {
                vital = true;
                let text = format!("({name}) tracked interface {} doesn't exist", track.name);
                complaints.push(complain(text).at(track.span));
            }
        }
    }
    for given in &instances {
        let Some(name) = given.interface.as_ref().filter(|name| !has_interface(name)) else { continue };
        if global.dynamic_interfaces == Some(true) {
            let text =
                format!("Configuration specifies interface {name} which doesn't currently exist - will use if created");
            complaints.push(Diagnostic::new(Severity::Notice, text));
        } else {
            vital = true;
            let text = format!("WARNING - interface {name} for vrrp_instance {} doesn't exist", given.name);
            complaints.push(placed(complain(text), given.interface_span));
        }
    }
    let groups = membership(groups, &instances, &mut complaints);
    let mut instances = instances;
    let mut about_groups = grouped(&groups, &mut instances);
    let places: BTreeMap<String, Option<Span>> = instances.iter().map(|one| (one.name.clone(), one.span)).collect();
    let instances: Vec<Instance> = instances
        .into_iter()
        .filter_map(|given| {
            let mut cx = Completion { global: &global, scripts: &scripts, files: &files, complaints: &mut complaints };
            cx.instance(given, has_interface)
        })
        .collect();
    vital |= complaints.iter().any(|complaint| complaint.message == ABSENT);
    if vital {
        // keepalived ends here, and says nothing about the routers themselves.
        complaints.retain(|complaint| complaint.at != At::Nowhere || complaint.severity == Severity::Notice);
        complaints.push(Diagnostic::emerg(ABSENT));
    }
    if !vital {
        duplicates(&instances, &places, &mut complaints);
    }
    let mut site = Site { global, root, scripts, files, instances, groups, configured };
    site.groups(&mut about_groups);
    if !vital {
        complaints.append(&mut about_groups);
    }
    for script in &site.scripts {
        let used = |tracking: &Tracking| tracking.what == What::Script(script.name.clone());
        if !site.instances.iter().any(|instance| instance.tracking.iter().any(used)) {
            complaints.push(Diagnostic::new(Severity::Notice, format!("Warning - script {} is not used", script.name)));
        }
    }
    (site, complaints)
}

/// What is said of a `script_user` there is not.
pub const NO_USER: &str = "Error setting global script uid/gid";

/// Users that are named are there.
fn users(given: &mut Blocks, machine: &Machine<'_>, complaints: &mut Vec<Diagnostic>) {
    let missing = |(user, group): &(String, Option<String>)| !(machine.has_user)(user, group.as_deref());
    if given.global.script_user.as_ref().is_some_and(missing) {
        complaints.push(placed(complain(NO_USER), given.global.script_user_span));
    }
    for script in &mut given.scripts {
        if script.user.as_ref().is_some_and(missing) {
            let program = script.command.as_ref().and_then(|command| command.words.first().cloned());
            let text = format!("Unable to set uid/gid for script '{}'", program.unwrap_or_default());
            complaints.push(placed(complain(text), script.user_span));
            script.command = None;
            for one in &given.instances {
                for track in one.scripts.iter().filter(|track| track.name == script.name) {
                    let text = format!("({}) track script {} not found, ignoring...", one.name, script.name);
                    complaints.push(complain(text).at(track.span));
                }
            }
        }
    }
}

/// Members exist, and in one group only; what is left of the groups.
fn membership(groups: Vec<Group>, instances: &[Given], complaints: &mut Vec<Diagnostic>) -> Vec<Group> {
    let mut taken: Vec<(String, Option<Span>)> = Vec::new();
    let mut kept = Vec::new();
    for mut group in groups {
        let name = group.name.clone();
        if group.members.is_empty() {
            complaints.push(complain(format!("Sync group {name} has no virtual router(s). removing")));
            continue;
        }
        group.members.retain(|member| {
            if !instances.iter().any(|instance| instance.name == *member) {
                let text = format!("Virtual router {member} specified in sync group {name} doesn't exist - ignoring");
                complaints.push(complain(text));
                return false;
            }
            if let Some((_, first)) = taken.iter().find(|(known, _)| known == member) {
                let text = format!("Virtual router {member} cannot exist in more than one sync group; ignoring {name}");
                complaints.push(complain(text).beside(group.span, *first));
                return false;
            }
            taken.push((member.clone(), group.span));
            true
        });
        match group.members.len() {
            0 => {
                let text = "no matching virtual router found in group declaration - removing";
                complaints.push(complain(format!("Sync group {name}, {text}")));
                continue;
            }
            1 => {
                let text = "has only 1 virtual router(s) - this probably isn't what you want - removing";
                complaints.push(complain(format!("Sync group {name} {text}")));
                taken.retain(|(known, _)| !group.members.contains(known));
                continue;
            }
            _ => {}
        }
        kept.push(group);
    }
    kept
}

/// Tells the members of groups that they are; what both a member and its group track is said.
fn grouped(groups: &[Group], instances: &mut [Given]) -> Vec<Diagnostic> {
    let mut complaints = Vec::new();
    for given in instances {
        let Some(group) = groups.iter().find(|group| group.members.contains(&given.name)) else { continue };
        given.grouped = Some(group.weighted == Some(true));
        for track in given.interfaces.iter().filter(|own| group.interfaces.iter().any(|one| one.name == own.name)) {
            let text = "is configured on VRRP instance and sync group. Remove vrrp instance or sync group config";
            complaints.push(complain(format!("({}) track_interface {} {text}", given.name, track.name)));
        }
    }
    complaints
}

impl Site {
    /// Members must exist; what a group tracks all its members track.
    fn groups(&mut self, complaints: &mut Vec<Diagnostic>) {
        let names: Vec<String> = self.instances.iter().map(|instance| instance.name.clone()).collect();
        for group in &mut self.groups {
            group.members.retain(|member| names.contains(member));
            for script in group.scripts.iter().filter(|_| group.weighted != Some(true)) {
                let weighs = script.weight.map(i64::from).or_else(|| {
                    self.scripts.iter().find(|one| one.name == script.name).map(|one| i64::from(one.weight))
                });
                let owner =
                    self.instances.iter().any(|one| group.members.contains(&one.name) && one.router.priority == 255);
                if owner && weighs.is_some_and(|weight| weight != 0) {
                    let text = format!(
                        "({}) Cannot have weighted track script '{}' with member having priority 255 - clearing weight",
                        group.name, script.name
                    );
                    complaints.push(complain(text));
                }
            }
            let script = |name: &str| {
                self.scripts.iter().find(|one| one.name == name).map_or((0, false), |one| (one.weight, one.reverse))
            };
            let interfaces =
                group.interfaces.iter().map(|track| one(track, What::Interface(track.name.clone()), (0, false)));
            let scripts =
                group.scripts.iter().map(|track| one(track, What::Script(track.name.clone()), script(&track.name)));
            let files = group.files.iter().map(|track| one(track, What::File(track.name.clone()), (0, false)));
            let all: Vec<Tracking> = interfaces.chain(scripts).chain(files).collect();
            for instance in self.instances.iter_mut().filter(|one| group.members.contains(&one.name)) {
                instance.router.grouped = true;
                instance.tracking.extend(all.iter().cloned());
            }
            owners(group, &mut self.instances, complaints);
        }
        self.groups.retain(|group| !group.members.is_empty());
    }
}

/// A group begins as master only if all its members own their addresses.
fn owners(group: &Group, instances: &mut [Instance], complaints: &mut Vec<Diagnostic>) {
    let mut members: Vec<&mut Instance> =
        instances.iter_mut().filter(|one| group.members.contains(&one.name)).collect();
    if members.iter().any(|one| one.router.owner && one.wants_master)
        && members.iter().any(|one| one.router.priority != 255)
    {
        let text = "has some member(s) as address owner and some not as address owner. This won't work.";
        complaints.push(complain(format!("Sync group {} {text}", group.name)));
    }
    if !members.iter().all(|one| one.router.owner) {
        members.iter_mut().for_each(|one| one.router.owner = false);
    }
}

fn script(given: GivenScript) -> Option<Script> {
    let mut command = given.command?;
    command.user = given.user.or(command.user);
    let seconds = |value: Option<i64>| Duration::from_secs(value.unwrap_or(1).max(1) as u64);
    let count = |value: Option<i64>| u32::try_from(value.unwrap_or(1)).unwrap_or(1).max(1);
    Some(Script {
        name: given.name,
        command,
        interval: seconds(given.interval),
        timeout: seconds(given.timeout.or(given.interval)),
        weight: given.weight.unwrap_or(0),
        reverse: given.reverse,
        rise: count(given.rise),
        fall: count(given.fall),
    })
}

fn duplicates(instances: &[Instance], places: &BTreeMap<String, Option<Span>>, complaints: &mut Vec<Diagnostic>) {
    let mut seen: BTreeMap<(u8, bool, &str), &str> = BTreeMap::new();
    for instance in instances {
        let (vrid, ipv6, interface, _) = instance.identity();
        if let Some(other) = seen.insert((vrid, ipv6, interface), &instance.name) {
            let family = if ipv6 { "IPv6" } else { "IPv4" };
            let text =
                format!("{other} and {} both use VRID {vrid} with {family} on interface {interface}", instance.name);
            let place = |name: &str| places.get(name).copied().flatten();
            complaints.push(Diagnostic::emerg(text).beside(place(&instance.name), place(other)));
        }
    }
}

struct Completion<'a> {
    global: &'a Global,
    scripts: &'a [Script],
    files: &'a [File],
    complaints: &'a mut Vec<Diagnostic>,
}

impl Completion<'_> {
    fn error(&mut self, text: String) {
        self.complaints.push(complain(text));
    }

    fn fatal(&mut self, text: String) {
        self.complaints.push(Diagnostic::emerg(text));
    }

    fn instance(&mut self, given: Given, has_interface: &dyn Fn(&str) -> bool) -> Option<Instance> {
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
        let addresses = self.addresses(&given, has_interface, dynamic);
        let newer = given.version.or(self.global.version) == Some(3) || given.family() == Some(true);
        if addresses.is_empty() && has_interface(&interface) {
            let need = if newer { "required" } else { "sensible" };
            self.error(format!("({name}) No VIP specified; at least one is {need}"));
            // What goes on is checked twice.
            if !newer {
                self.error(format!("({name}) No VIP specified; at least one is {need}"));
            }
        }
        let mut router = self.router(&given, vrid as u8);
        let listed = |list: &[Address]| -> Vec<IpAddr> { list.iter().map(|address| address.ip).collect() };
        let (own, excluded) = addresses.split_at(given.addresses.len().min(addresses.len()));
        (router.addresses, router.excluded) = (listed(own), listed(excluded));
        let ipv6 = router.is_ipv6() || given.native_ipv6 == Some(true);
        if ipv6 {
            router.version = Version::V3;
        }
        self.version_rules(&given, &mut router);
        self.odd_interfaces(&given, ipv6);
        let group = if ipv6 {
            IpAddr::V6(self.global.mcast_group6.unwrap_or(std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)))
        } else {
            IpAddr::V4(self.global.mcast_group4.unwrap_or(std::net::Ipv4Addr::new(224, 0, 0, 18)))
        };
        let mut tracking = self.tracking(&given, (&interface, router.priority));
        // The interface an address is on bears on its instance as a tracked one does.
        for dev in addresses.iter().filter(|address| address.track).filter_map(|address| address.dev.as_ref()) {
            let what = What::Interface(dev.clone());
            if *dev != interface && !tracking.iter().any(|one| one.what == what && one.weight == 0) {
                tracking.push(Tracking { what, weight: 0, reverse: false });
            }
        }
        Some(Instance {
            wants_master: given.master == Some(true),
            source: given.source,
            track_source: given.track_source == Some(true),
            group: router.peers.is_empty().then_some(group),
            unicast_ttl: given.unicast_ttl.map_or(255, |ttl| ttl as u8),
            notify: given.notify,
            notify_deleted: given.notify_deleted,
            notify_priority_changes: given
                .notify_priority_changes
                .or(self.global.notify_priority_changes)
                .unwrap_or(false),
            promote_secondaries: given.promote_secondaries == Some(true),
            closed: given.virtual_interface == Some(true) || given.auth_pass_type == Some(false),
            name,
            interface,
            router,
            addresses,
            tracking,
        })
    }

    fn router(&mut self, given: &Given, vrid: u8) -> Config {
        let name = &given.name;
        let global = self.global;
        let master = given.master == Some(true);
        let priority = given.priority.map_or(if master { 255 } else { 100 }, |priority| priority as u8);
        let mut router = Config::new(vrid, priority, Vec::new());
        router.version = if given.version.or(global.version) == Some(3) { Version::V3 } else { Version::V2 };
        router.interval = given.interval.unwrap_or(Duration::from_secs(1));
        router.preempt = given.preempt != Some(false);
        router.preempt_delay = given.preempt_delay.unwrap_or_default();
        router.peers =
            given.peers.iter().map(|peer| Peer { address: peer.address, hops: peer.least..=peer.most }).collect();
        let both = |own: Option<bool>, all: Option<bool>| own.or(all) == Some(true);
        let strict = both(given.strict, global.strict);
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
        let newer = router.version == Version::V3 || given.family() == Some(true);
        router.authentication = self.authentication(given, strict, newer);
        self.preemption(given, (strict, master), &mut router);
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

    /// What strict mode does not bear with.
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

    fn authentication(&mut self, given: &Given, strict: bool, newer: bool) -> Authentication {
        match (given.auth_pass_type, &given.auth_pass) {
            (Some(true), _) if newer && !strict => {
                self.error(format!("({}) VRRP version 3 does not support authentication. Ignoring.", given.name));
                Authentication::None
            }
            (Some(true), _) if strict => {
                self.error(format!("({}) Strict mode does not support authentication. Ignoring.", given.name));
                Authentication::None
            }
            (Some(true), Some(password)) => {
                let mut padded = [0; 8];
                padded.iter_mut().zip(&password.0).for_each(|(slot, byte)| *slot = *byte);
                Authentication::Pass(padded)
            }
            (Some(true), None) => {
                self.error(format!("({}) Authentication specified but no password given. Ignoring", given.name));
                Authentication::None
            }
            _ => Authentication::None,
        }
    }

    /// What is wrong with interfaces of its own, and with keywords about peers it has not got.
    fn odd_interfaces(&mut self, given: &Given, ipv6: bool) {
        let name = &given.name;
        let virtual_one = given.virtual_interface == Some(true);
        if given.says_unicast && given.peers.is_empty() {
            self.error(format!(
                "({name}) A unicast keyword has been specified without any unicast peers. Defaulting to multicast. This usage is \
                 deprecated - please update your configuration."
            ));
        }
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

    /// VRRPv2 counts in whole seconds; VRRPv3 in hundredths and without authentication.
    fn version_rules(&mut self, given: &Given, router: &mut Config) {
        let name = &given.name;
        match router.version {
            Version::V2 => {
                let interval = router.interval;
                if interval.subsec_nanos() != 0 {
                    let decimal = format!("{}.{:06}", interval.as_secs(), interval.subsec_micros());
                    self.error(format!(
                        "({name}) VRRPv2 advertisement interval {decimal}s must be an integer. rounding"
                    ));
                    let rounded = (interval + Duration::from_millis(500)).as_secs().max(1);
                    router.interval = Duration::from_secs(rounded);
                }
            }
            Version::V3 => {
                router.authentication = Authentication::None;
                let most = Duration::from_millis(40_950);
                let shown = router.interval.as_secs_f64();
                if router.interval > most {
                    self.error(format!(
                        "({name}) VRRPv3 advertisement interval {shown:.2}s is out of range. Must be less than 40.96s. Setting to 40.95s"
                    ));
                    router.interval = most;
                } else if !router.interval.as_micros().is_multiple_of(10_000) {
                    self.error(format!(
                        "({name}) VRRPv3 advertisement interval {shown:.6}s must be in units of 10ms - rounding"
                    ));
                    let hundredths = (router.interval.as_micros() + 5_000) / 10_000;
                    router.interval = Duration::from_millis(10 * hundredths.max(1) as u64);
                }
            }
        }
    }

    fn addresses(&mut self, given: &Given, has: &dyn Fn(&str) -> bool, dynamic: bool) -> Vec<Address> {
        let ipv6 = given.addresses.first().map(|address| address.ip.is_ipv6());
        let mut kept = Vec::new();
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
                self.fatal(ABSENT.to_owned());
            }
            kept.push(address.clone());
        }
        kept
    }

    /// What bears on an instance.
    ///
    /// Differs from keepalived: in a group it forgets a member's scripts of weight zero (2.1.5). [test: a_members_script_counts]
    fn tracking(&mut self, given: &Given, (interface, priority): (&str, u8)) -> Vec<Tracking> {
        let mut all = Vec::new();
        if given.track_primary != Some(false) {
            all.push(Tracking { what: What::Interface(interface.to_owned()), weight: 0, reverse: false });
        }
        all.extend(given.interfaces.iter().map(|track| one(track, What::Interface(track.name.clone()), (0, false))));
        for track in &given.scripts {
            // One that was removed is not tracked.
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
        let reason = match given.grouped {
            Some(false) => Some(GROUPED),
            _ if priority == 255 => Some("address_owner"),
            _ => None,
        };
        for own in given.interfaces.iter().filter(|track| track.name == interface) {
            self.error(format!("({}) Ignoring track_interface {} since own interface", given.name, own.name));
        }
        if let Some(reason) = reason {
            all.retain(|tracking| tracking.weight == 0 || self.unweighted(given, tracking, reason));
            for (track, weight) in given.sessions.iter().filter_map(|track| Some((track, track.weight?))) {
                let text = format!("ignoring tracked bfd {} with weight {weight} due to {reason}", track.name);
                self.error(format!("({}) {text}", given.name));
            }
        }
        all
    }
}

impl Completion<'_> {
    /// Says that a weight does not count, and that what has it is left out.
    ///
    /// A member's weighted interface is not in keepalived's priority at first, and yet added and taken away with each change.
    /// Differs from keepalived: it does not count, as is said. [test: a_weight_that_is_ignored_does_not_count]
    fn unweighted(&mut self, given: &Given, tracking: &Tracking, reason: &str) -> bool {
        let name = &given.name;
        self.error(match &tracking.what {
            What::Interface(one) if reason == GROUPED => {
                format!("({name}) ignoring {one} tracked interface weight due to {reason}")
            }
            What::Interface(one) => {
                format!("({name}) ignoring {one} tracked interface due to {}", reason.replace('_', " "))
            }
            What::Script(one) => format!("({name}) ignoring tracked script {one} with weights due to {reason}"),
            What::File(one) => {
                format!("({name}) ignoring weight from tracked file {one} due to {reason}. specify weight 0")
            }
        });
        false
    }
}

fn placed(complaint: Diagnostic, span: Option<Span>) -> Diagnostic {
    match span {
        Some(span) => complaint.at(span),
        None => complaint,
    }
}

fn one(track: &Track, what: What, (weight, reverse): (i32, bool)) -> Tracking {
    Tracking { what, weight: track.weight.unwrap_or(weight), reverse: track.reverse.unwrap_or(reverse) }
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
    };
    if strict {
        announcing.refresh = Duration::ZERO;
        (announcing.repeat, announcing.delay) = (1, Duration::ZERO);
        (announcing.lower_repeat, announcing.lower_delay) = (1, Duration::ZERO);
    }
    announcing
}
