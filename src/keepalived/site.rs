//! A configuration checked and completed: what the router process runs.

pub mod compact;
mod hmac;
mod instance;
pub mod server;
pub mod stated;

use self::instance::Completion;
use super::bfd::Session;
use super::blocks::address::Address;
use super::blocks::bfd::Bfd;
use super::blocks::file::File;
use super::blocks::global::Global;
use super::blocks::group::Group;
use super::blocks::instance::{Instance as Given, Notify};
use super::blocks::interface::Pace;
use super::blocks::lvs::Lvs;
use super::blocks::probe::Target;
use super::blocks::process::Process;
use super::blocks::root::Root;
use super::blocks::script::Script as GivenScript;
use super::blocks::server::Tls;
use super::blocks::track::Track;
use super::blocks::{bfd, fixed, route, rule};
use super::mail::Settings;
use super::slot::{Command, Machine, complain};
use crate::conf::diagnostic::{At, Diagnostic, Kind, Severity};
use crate::conf::source::Span;
use crate::vrrp::config::Config;
use crate::vrrp::node;
use crate::vrrp::node::{NodeConfig, RouterConfig, RouterId, ThingId};
use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
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
    /// The processes somebody may track.
    pub processes: Vec<Process>,
    /// The virtual routers, in order.
    pub instances: Vec<Arc<Instance>>,
    /// The groups, in order.
    pub groups: Vec<Group>,
    /// The paces of announcements.
    pub paces: Vec<Pace>,
    /// The BFD sessions.
    pub sessions: Vec<Session>,
    /// What `global_defs` says about virtual servers.
    pub lvs: Lvs,
    /// `SSL`.
    pub tls: Option<Tls>,
    /// The virtual servers, in order.
    pub servers: Vec<server::VirtualServer>,
    /// There is a BFD session in the file, whether or not it can be run.
    pub has_sessions: bool,
    /// There is a virtual server in the file, whether or not it can be run.
    pub has_servers: bool,
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
    /// What is asked instead of running it.
    pub probe: Option<Target>,
    /// Between two runs, or questions.
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// An interface, by name.
    Interface(String),
    /// A script, by name.
    Script(String),
    /// A file, by name.
    File(String),
    /// A process, by name.
    Process(String),
    /// A BFD session, by name.
    Session(String),
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
    /// The interface it is configured on.
    pub interface: String,
    /// The interface of its own that it has there.
    pub vmac: Option<Vmac>,
    /// `state MASTER`.
    pub wants_master: bool,
    /// What the machine needs to know.
    pub router: Arc<Config>,
    /// Its addresses in order, excluded ones last.
    pub addresses: Vec<Address>,
    /// The routes it holds as master.
    pub routes: Vec<route::Given>,
    /// The routing rules it holds as master.
    pub rules: Vec<rule::Given>,
    /// The configured source of adverts.
    pub source: Option<IpAddr>,
    /// It faults while that is absent.
    pub track_source: bool,
    /// The group adverts are sent to, or `None` for unicast.
    pub group: Option<IpAddr>,
    /// The TTL of unicast adverts; without one, 255 over IPv4 and the kernel's default over IPv6.
    pub unicast_ttl: Option<u8>,
    /// Everything that bears on it, its own interface included unless that is ignored.
    pub tracking: Vec<Tracking>,
    /// What is run when its state changes, if anything is.
    pub scripts: Option<Box<Notify>>,
    /// Send mail when its state changes.
    pub mails: bool,
    /// Say DELETED where keepalived says FAULT when a reload removes it.
    pub notify_deleted: bool,
    /// Say when its priority changes.
    pub notify_priority_changes: bool,
    /// Keep other addresses of a network when the first goes.
    pub promote_secondaries: bool,
    /// The driver of its interface is asked for the state of the link.
    pub linkbeat: bool,
    /// It is for unicast and has no peers: it stays in fault.
    pub lacks_peers: bool,
    /// It asks for something that is not served and must not be left out: it stays in fault.
    pub closed: bool,
}

/// The interface with a virtual router's Ethernet address (RFC 9568 §7.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vmac {
    /// Its name: the configured one, until the one in use is chosen.
    pub name: Option<String>,
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Adverts are sent and heard on the interface below.
    pub xmit_base: bool,
}

impl Instance {
    /// What makes two instances the same one across a reload; the name plays no part.
    pub fn identity(&self) -> (u8, bool, &str, bool, bool) {
        (self.router.vrid, self.router.is_ipv6(), &self.interface, self.group.is_some(), self.vmac.is_some())
    }

    /// What is run when its state changes.
    pub fn notify(&self) -> &Notify {
        self.scripts.as_deref().unwrap_or(&NO_SCRIPTS)
    }

    /// The interface of addresses that name none.
    pub fn device(&self) -> &str {
        self.vmac.as_ref().and_then(|vmac| vmac.name.as_deref()).unwrap_or(&self.interface)
    }

    /// The interface adverts are sent and heard on.
    pub fn port(&self) -> &str {
        if self.vmac.as_ref().is_some_and(|vmac| vmac.xmit_base) { &self.interface } else { self.device() }
    }

    /// Whether it has addresses of the family its adverts are not of.
    pub fn has_other_family(&self) -> bool {
        self.addresses.iter().any(|address| address.ip.is_ipv6() != self.router.is_ipv6())
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
    /// `vrrp_track_process`.
    pub processes: Vec<Process>,
    /// `vrrp_instance`.
    pub instances: Vec<Given>,
    /// `vrrp_sync_group`.
    pub groups: Vec<Group>,
    /// `garp_group`.
    pub paces: Vec<Pace>,
    /// `bfd_instance`.
    pub sessions: Vec<Bfd>,
}

/// Nothing is run.
static NO_SCRIPTS: Notify = Notify::none();

/// Why weights of a member do not count.
const GROUPED: &str = "SYNC group";

/// Said once, after everything about single interfaces.
const ABSENT: &str = "Non-existent interface specified in configuration";

/// Checks and completes a configuration. A complaint of severity `Emerg` means that it cannot be run.
pub fn complete(mut given: Blocks, machine: &Machine<'_>) -> (Site, Vec<Diagnostic>) {
    let mut complaints = Vec::new();
    let has_interface = machine.has_interface;
    users(&mut given, machine, &mut complaints);
    let Blocks { global, root, scripts, files, mut processes, instances, groups, mut paces, sessions } = given;
    // One without a program has been complained of.
    processes.retain(|process| !process.path.is_empty());
    let mut vital = static_addresses(&root, has_interface, &mut complaints);
    one_pace_each(&mut paces, &mut complaints);
    let paced = paces.iter().flat_map(|pace| &pace.needs);
    let owned = instances.iter().flat_map(|instance| &instance.needs);
    for need in root.needs.iter().chain(paced).chain(owned).filter(|need| !has_interface(&need.dev)) {
        vital |= need.vital;
        complaints.push(complain(need.text.clone()).at(need.span));
    }
    paces.retain(|pace| pace.arp.is_some() || pace.na.is_some());
    let configured = !instances.is_empty();
    let scripts: Vec<Script> = scripts.into_iter().filter_map(script).collect();
    vital |= absent_interfaces((&global, &instances, &groups), has_interface, &mut complaints);
    let groups = membership(groups, &instances, &mut complaints);
    let mut instances = instances;
    let mut about_groups = grouped(&groups, &mut instances);
    let places: BTreeMap<String, Option<Span>> = instances.iter().map(|one| (one.name.clone(), one.span)).collect();
    let mut firewall = global.nftables.is_some();
    let mut instances: Vec<Instance> = instances
        .into_iter()
        .filter_map(|given| {
            let (scripts, files, processes, sessions) = (&scripts, &files, &processes, &sessions);
            let (complaints, firewall) = (&mut complaints, &mut firewall);
            let (global, paces) = (&global, &paces);
            let read_secret = machine.read_secret;
            let mut cx =
                Completion { global, scripts, files, processes, sessions, paces, complaints, firewall, read_secret };
            let instance = cx.instance(given, has_interface)?;
            let timers = (instance.router.down_timer_adverts, instance.router.interval);
            let own = root.delays.iter().filter(|delay| delay.name == instance.interface);
            let long = own.filter_map(|delay| delay.complaint(&instance.name, timers));
            complaints.extend(long.map(|text| Diagnostic::new(Severity::Notice, text)));
            Some(instance)
        })
        .collect();
    vital |= complaints.iter().any(|complaint| complaint.kind == Kind::Interface);
    if vital {
        // keepalived ends here, and says nothing about the routers themselves.
        complaints.retain(|complaint| complaint.at != At::Nowhere || complaint.severity == Severity::Notice);
        complaints.push(Diagnostic::emerg(ABSENT).kind(Kind::Interface));
    }
    if !vital {
        duplicates(&instances, &places, &mut complaints);
    }
    let has_sessions = !sessions.is_empty();
    let mut site = Site {
        global,
        root,
        scripts,
        files,
        processes,
        instances: Vec::new(),
        groups,
        paces,
        sessions: bfd::sessions(&sessions),
        lvs: Lvs::default(),
        tls: None,
        servers: Vec::new(),
        has_servers: false,
        has_sessions,
        configured,
    };
    site.groups(&mut instances, &sessions, &mut about_groups);
    site.track_groups(&mut instances, &mut about_groups);
    site.instances = instances.into_iter().map(Arc::new).collect();
    // The list is collected in the room of what it is made of, which is a hundred times as large.
    site.instances.shrink_to_fit();
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

/// The interfaces that instances are on and that they and groups track are there; whether one is missing and must not be.
fn absent_interfaces(
    (global, instances, groups): (&Global, &[Given], &[Group]),
    has_interface: &dyn Fn(&str) -> bool,
    complaints: &mut Vec<Diagnostic>,
) -> bool {
    let mut vital = false;
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
    for given in instances {
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
    vital
}

/// Static addresses are on interfaces that are there; whether one is not.
fn static_addresses(root: &Root, has_interface: &dyn Fn(&str) -> bool, complaints: &mut Vec<Diagnostic>) -> bool {
    let mut vital = false;
    for address in &root.addresses {
        if let Some(dev) = address.dev.as_ref().filter(|dev| !has_interface(dev)) {
            vital = true;
            let text = format!("WARNING - interface {dev} for ip address {} doesn't exist", address.shown());
            complaints.push(complain(text).at(address.span));
        }
    }
    vital
}

/// The first group an interface is in sets its pace.
fn one_pace_each(paces: &mut [Pace], complaints: &mut Vec<Diagnostic>) {
    let mut taken: HashSet<String> = HashSet::new();
    for pace in paces {
        pace.needs.retain(|need| {
            let first = taken.insert(need.dev.clone());
            if !first {
                let text = format!("garp_group already specified for {} - ignoring", need.dev);
                complaints.push(complain(text).at(need.span));
            }
            first
        });
    }
}

/// Users that are named are there.
fn users(given: &mut Blocks, machine: &Machine<'_>, complaints: &mut Vec<Diagnostic>) {
    let missing = |(user, group): &(String, Option<String>)| !(machine.has_user)(user, group.as_deref());
    if given.global.script_user.as_ref().is_some_and(missing) {
        let complaint = complain("Error setting global script uid/gid").kind(Kind::User);
        complaints.push(placed(complaint, given.global.script_user_span));
    }
    let global = &mut given.global;
    for (which, slot, span) in [
        ("startup", &mut global.startup_script, global.startup_script_span),
        ("shutdown", &mut global.shutdown_script, global.shutdown_script_span),
    ] {
        if slot.take_if(|command| command.user.as_ref().is_some_and(missing)).is_some() {
            complaints.push(placed(complain(format!("Invalid {which} script")).kind(Kind::User), span));
        }
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
    /// What concerns all processes, without the virtual routers.
    pub fn without_routers(self) -> Self {
        let Self { global, root, configured, has_sessions, has_servers, .. } = self;
        Self { global, root, configured, has_sessions, has_servers, ..Self::default() }
    }

    /// Gives the sync daemon the number of the virtual router it follows; what is said where there is none of that name.
    pub fn follow_router(&mut self) -> Option<Diagnostic> {
        let name = self.lvs.sync.as_ref()?.instance.clone()?;
        let Some(instance) = self.instances.iter().find(|instance| instance.name == name) else {
            self.lvs.sync = None;
            let text = format!("Unable to find vrrp instance {name} for lvs_syncd - clearing lvs_syncd config");
            return Some(complain(text));
        };
        if let Some(sync) = self.lvs.sync.as_mut().filter(|sync| !sync.has_id) {
            sync.daemon.id = u32::from(instance.router.vrid);
        }
        None
    }

    /// How mail is sent, if anybody is to get any.
    pub fn mail(&self) -> Option<Settings> {
        let global = &self.global;
        let host = || nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let user = || {
            let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
            format!("{}@{}", user.map_or_else(|| "root".to_owned(), |user| user.name), host())
        };
        Some(Settings {
            server: global.smtp_server.clone()?,
            timeout: global.smtp_timeout.unwrap_or(Duration::from_secs(30)),
            helo: global.smtp_helo.clone().unwrap_or_else(host),
            from: global.mail_from.clone().unwrap_or_else(user),
            to: Some(global.mail_to.clone()).filter(|to| !to.is_empty())?,
            router_id: global.router_id.clone().unwrap_or_else(host),
            no_faults: global.no_email_faults == Some(true),
        })
    }

    /// Whether a group's or an instance's changes are mailed.
    pub fn mails(&self, own: Option<bool>) -> bool {
        own.or(self.global.smtp_alert_vrrp).or(self.global.smtp_alert) == Some(true)
    }

    /// What the routers' node is made of, and the tracked things in the order of their numbers.
    pub fn node(&self) -> (NodeConfig, Vec<What>) {
        let mut things: Vec<What> = Vec::new();
        let mut numbers: BTreeMap<What, usize> = BTreeMap::new();
        let mut number = |what: &What| {
            *numbers.entry(what.clone()).or_insert_with(|| {
                things.push(what.clone());
                things.len() - 1
            })
        };
        let routers = self.instances.iter().map(|instance| {
            let tracking = instance.tracking.iter().map(|one| node::Tracking {
                thing: ThingId(number(&one.what)),
                weight: one.weight,
                reverse: one.reverse,
            });
            RouterConfig { machine: instance.router.clone(), tracking: tracking.collect() }
        });
        let routers = routers.collect();
        let places: BTreeMap<&str, usize> = self.instances.iter().map(|one| one.name.as_str()).zip(0..).collect();
        let members = |group: &Group| {
            group.members.iter().filter_map(|name| places.get(name.as_str())).map(|at| RouterId(*at)).collect()
        };
        let groups = self.groups.iter().map(members).collect();
        (NodeConfig { routers, groups, things: things.len() }, things)
    }

    /// The addresses that move with virtual routers.
    pub fn virtual_addresses(&self) -> HashSet<IpAddr> {
        self.instances.iter().flat_map(|one| one.addresses.iter().map(|address| address.ip)).collect()
    }

    /// The interface of static addresses that name none.
    pub fn static_device(&self) -> String {
        self.global.default_interface.clone().unwrap_or_else(|| "eth0".to_owned())
    }

    /// What static addresses, routes and rules are on matters to the instances of their groups.
    fn track_groups(&self, instances: &mut [Instance], complaints: &mut Vec<Diagnostic>) {
        let mut say = |text: String| complaints.push(Diagnostic::new(Severity::Notice, text));
        for group in &self.root.track_groups {
            let name = &group.name;
            let known = |member: &&String| instances.iter().any(|one| one.name == **member);
            if group.members.is_empty() {
                say(format!("Static track group {name} has no virtual router(s)"));
            } else {
                for member in group.members.iter().filter(|member| !known(member)) {
                    say(format!("vrrp instance {member} specified in track group {name} doesn't exist - ignoring"));
                }
                if group.members.iter().any(|member| known(&member)) {
                    continue;
                }
                say(format!("Static track group {name} has no VRRP instance(s)"));
            }
            say(format!("Static track group {name} init fails - removing"));
        }
        for (name, dev) in fixed::tracked(&self.root, &self.static_device(), complaints) {
            let group = self.root.track_groups.iter().find(|group| group.name == name);
            for instance in instances.iter_mut() {
                let what = What::Interface(dev.clone());
                let member = group.is_some_and(|group| group.members.contains(&instance.name));
                if member && !instance.tracking.iter().any(|one| one.what == what && one.weight == 0) {
                    instance.tracking.push(Tracking { what, weight: 0, reverse: false });
                }
            }
        }
    }

    /// Members must exist; what a group tracks all its members track.
    fn groups(&mut self, instances: &mut [Instance], sessions: &[Bfd], complaints: &mut Vec<Diagnostic>) {
        let names: Vec<String> = instances.iter().map(|instance| instance.name.clone()).collect();
        for group in &mut self.groups {
            group.members.retain(|member| names.contains(member));
            let owner = instances.iter().any(|one| group.members.contains(&one.name) && one.router.priority == 255);
            let scripts = group.scripts.iter().filter_map(|track| {
                // One that is not defined has been complained of.
                let script = self.scripts.iter().find(|script| script.name == track.name)?;
                Some(one(track, What::Script(track.name.clone()), (script.weight, script.reverse)))
            });
            let files = group.files.iter().filter_map(|track| {
                let file = self.files.iter().find(|file| file.name == track.name)?;
                Some(one(track, What::File(track.name.clone()), (file.weight.unwrap_or(1), file.reverse)))
            });
            let interfaces =
                group.interfaces.iter().map(|track| one(track, What::Interface(track.name.clone()), (0, false)));
            let bfd = group.sessions.iter().filter_map(|track| session(track, sessions));
            // As in 2.1.5, the processes of a group are read, and nobody tracks them.
            let mut all: Vec<Tracking> = scripts.chain(files).chain(bfd).chain(interfaces).collect();
            for tracking in all.iter_mut().filter(|tracking| owner && tracking.weight != 0) {
                tracking.weight = 0;
                complaints.push(complain(unweighted(&group.name, &tracking.what)));
            }
            for instance in instances.iter_mut().filter(|one| group.members.contains(&one.name)) {
                Arc::make_mut(&mut instance.router).grouped = true;
                instance.tracking.extend(all.iter().cloned());
            }
            owners(group, instances, complaints);
        }
        self.groups.retain(|group| !group.members.is_empty());
    }
}

/// What is said of a group with an address owner, whose weights do not count.
fn unweighted(group: &str, what: &What) -> String {
    let (kind, name, end) = match what {
        What::Script(name) => ("script", name, "clearing weight"),
        What::File(name) => ("file", name, "setting weight 0"),
        What::Interface(name) => ("interface", name, "clearing weight"),
        What::Process(name) => ("process", name, "clearing weight"),
        What::Session(name) => ("bfd", name, "setting weight 0"),
    };
    format!("({group}) Cannot have weighted track {kind} '{name}' with member having priority 255 - {end}")
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
        members.iter_mut().for_each(|one| Arc::make_mut(&mut one.router).owner = false);
    }
}

fn script(given: GivenScript) -> Option<Script> {
    let mut command = given.command?;
    command.user = given.user.or(command.user);
    let seconds = |value: Option<i64>| Duration::from_secs(value.unwrap_or(1).max(1) as u64);
    let count = |value: Option<i64>| u32::try_from(value.unwrap_or(1)).unwrap_or(1).max(1);
    let (interval, timeout) = match &given.probe {
        None => (seconds(given.interval), seconds(given.timeout.or(given.interval))),
        Some(probe) => {
            let interval = probe.interval.unwrap_or_else(|| seconds(given.interval));
            (interval, probe.timeout.unwrap_or(interval))
        }
    };
    Some(Script {
        name: given.name,
        command,
        interval,
        timeout,
        probe: given.probe.map(|probe| probe.target),
        weight: given.weight.unwrap_or(0),
        reverse: given.reverse,
        rise: count(given.rise),
        fall: count(given.fall),
    })
}

fn duplicates(instances: &[Instance], places: &BTreeMap<String, Option<Span>>, complaints: &mut Vec<Diagnostic>) {
    let mut seen: BTreeMap<(u8, bool, &str, Option<IpAddr>), &str> = BTreeMap::new();
    for instance in instances {
        let (vrid, ipv6, interface, ..) = instance.identity();
        if let Some(other) = seen.insert((vrid, ipv6, interface, instance.group), &instance.name) {
            let family = if ipv6 { "IPv6" } else { "IPv4" };
            let text =
                format!("{other} and {} both use VRID {vrid} with {family} on interface {interface}", instance.name);
            let place = |name: &str| places.get(name).copied().flatten();
            complaints.push(Diagnostic::emerg(text).beside(place(&instance.name), place(other)));
        }
    }
}

fn placed(complaint: Diagnostic, span: Option<Span>) -> Diagnostic {
    match span {
        Some(span) => complaint.at(span),
        None => complaint,
    }
}

/// A tracked session, with the weight it has where it is defined.
fn session(track: &Track, sessions: &[Bfd]) -> Option<Tracking> {
    let session = sessions.iter().find(|session| session.name == track.name)?;
    Some(one(track, What::Session(track.name.clone()), session.weight()))
}

fn one(track: &Track, what: What, (weight, reverse): (i32, bool)) -> Tracking {
    Tracking { what, weight: track.weight.unwrap_or(weight), reverse: track.reverse.unwrap_or(reverse) }
}
