//! The VRRP process: netlink messages, packets and script results become events; actions become system calls, in order.
//!
//! One thread, one loop, no timers but the machines' own deadlines: the loop sleeps until the nearest of them.

mod act;
mod conflicts;
mod faults;
mod firewall;
mod holding;
mod link_delays;
mod linkbeat;
mod pace;
mod process;
mod processes;
mod reload;
mod sockets;
mod status;
mod sync;
mod vmac;
mod watch;

use self::conflicts::{ClaimListeners, Conflicts};
use self::firewall::Firewall;
use self::holding::Held;
use self::link_delays::LinkDelays;
use self::linkbeat::Linkbeat;
use self::pace::Pacer;
use self::status::{History, Reporting};
use self::vmac::Vmacs;
use super::bfd::EventSocket;
use super::channel::{Key, SocketPool};
use super::interfaces::Interfaces;
use super::log::Log;
use super::notify::Notifier;
use super::read::{self, Complaint, Gravity, Pass};
use super::record::Recorder;
use super::report::{Report, Reporter};
use super::secret;
use super::site::{Instance, Site, What};
use super::slot::Machine;
use super::track::file::FileRunner;
use super::track::process::ProcessRunner;
use super::track::script::ScriptRunner;
use super::track::security::{self, Policy};
use crate::conf::diagnostic::reason;
use crate::conf::disk::Disk;
use crate::conf::expand::{Environment, Input};
use crate::kernel::address::Wanted;
use crate::kernel::connector::ProcessMonitor;
use crate::kernel::monitor::Monitor;
use crate::kernel::netlink::Commands;
use crate::kernel::packet::Frames;
use crate::sys::inotify::Inotify;
use crate::sys::memory::end_start;
use crate::sys::process::trim_memory;
use crate::sys::signal::SignalQueue;
use crate::vrrp::node::{Node, NodeConfig};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sched::CpuSet;
use nix::sys::signal::SigSet;
use nix::sys::time::TimeSpec;
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// What the process is started with.
pub struct Start {
    /// The configuration file.
    pub inputs: Vec<Input>,
    /// What its text depends on.
    pub environment: Environment,
    /// Keep the addresses at the end (`-V`).
    pub keep_addresses: bool,
    /// Log every address change (`-a`).
    pub watch_addresses: bool,
    /// Dump the configuration to the log (`-d`).
    pub dump: bool,
    /// Run although some keywords are not served.
    pub allow_unserved: bool,
    /// Keep virtual servers in memory and program no kernel.
    pub simulate_ipvs: bool,
    /// A router whose tracked script may not be run is in fault.
    pub fault_on_disabled_script: bool,
    /// `--read-processes`: the list of processes is read where the kernel does not report them.
    pub read_processes: bool,
    /// `--detect-conflicts`: other hosts that hold the addresses of a master are reported.
    pub detect_conflicts: bool,
    /// `--explain-start`: what keeps each instance from being master is logged at the start.
    pub explain_start: bool,
    /// The umask, where one is given.
    pub umask: Option<u32>,
    /// Write events and actions to this file.
    pub record: Option<String>,
    /// Tells the parent how it goes.
    pub reporter: Reporter,
    /// The parent answers queries: it is told everything.
    pub reports_status: bool,
    /// Where the BFD process tells of its sessions.
    pub sessions: Option<EventSocket>,
    /// The network namespace the process runs in.
    pub namespace: Option<String>,
    /// Which processes the kernel reports, where it reports none in that namespace.
    pub process_monitor: Option<ProcessMonitor>,
}

/// How the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was told to.
    Stopped,
    /// Its configuration cannot be run.
    Config,
    /// The system does not let it work.
    System,
    /// It lacks what the configuration needs, and always will.
    Fatal,
}

/// An instance, and what the process knows about it; its router is the one of the same place in the node.
struct InstanceState {
    instance: Arc<Instance>,
    /// The address its adverts carry, while there is one.
    source: Option<IpAddr>,
    /// The last there was.
    last_source: Option<IpAddr>,
    /// The sockets it uses, if there are any.
    key: Option<Key>,
    /// Why they could not be opened.
    refused: Option<i32>,
    /// The IP id of the last advert, one more each time.
    id: u16,
    /// The sequence in the trailer of the last advert.
    trailer: u64,
    /// The last advert left this host.
    sent: bool,
    /// The last errors of sending, each said once.
    failing: Vec<i32>,
    /// What it has put into the kernel.
    held: Held,
    /// When its state changed last.
    since: SystemTime,
    /// Its latest changes, for the status.
    history: History,
    /// Other hosts that hold its addresses as well.
    conflicts: Conflicts,
}

/// What the loop waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Signals,
    Netlink,
    /// The folders of tracked files.
    Folders,
    Processes,
    /// ARP packets and neighbour advertisements of other hosts.
    Claims,
    /// The BFD process.
    Sessions,
    /// A script that is a question to another host.
    Probe,
    Parent,
    /// The sockets of routers, by serial number.
    Channel(u64),
}

/// The process.
pub struct Process {
    start: Start,
    log: Log,
    site: Site,
    policy: Policy,
    seats: Vec<InstanceState>,
    node: Node,
    /// What the node's things are.
    things: Vec<What>,
    /// The addresses that move with routers.
    moving: HashSet<IpAddr>,
    pool: SocketPool,
    /// Links or addresses changed in a way that may matter to sources, sockets or tracked interfaces.
    changed: bool,
    scripts: Vec<ScriptRunner>,
    files: Vec<FileRunner>,
    processes: Vec<ProcessRunner>,
    /// The kernel tells of processes, if any is tracked.
    process_monitor: Option<ProcessMonitor>,
    /// When the list of processes is read again, where the kernel does not tell.
    recount_at: Option<Instant>,
    /// The folders of the tracked files.
    folders: Option<Inotify>,
    interfaces: Interfaces,
    commands: Commands,
    monitor: Monitor,
    frames: Frames,
    notifier: Notifier,
    /// The sync daemon of IPVS, where it follows a virtual router.
    sync: sync::SyncFollower,
    recorder: Recorder,
    /// Static routes and rules that are in the kernel.
    static_held: Held,
    /// The loss of routes and rules is heard of.
    watches_ways: bool,
    /// Addresses this process took away itself, whose end is no news.
    parting: Vec<IpAddr>,
    /// Interfaces whose promote_secondaries was set, and what it was before.
    promoted: Vec<(String, String)>,
    /// When sockets that could not be opened are tried again.
    retry_at: Option<Instant>,
    /// What was changed for interfaces of `use_vmac`.
    vmacs: Vmacs,
    /// The nftables rules.
    firewall: Firewall,
    /// The paces of groups of interfaces.
    pacers: Vec<Pacer>,
    /// igmp_link_local_mcast_reports as it was.
    igmp: Option<String>,
    /// The processors the process could run on before it was told which.
    processors: Option<CpuSet>,
    /// Reloads so far.
    reloads: u32,
    /// Lines about what was removed at the start, by instance, until they are said.
    cleared: Vec<(String, &'static str)>,
    /// What was reported, and when there is more.
    reporting: Reporting,
    /// The interfaces whose drivers are asked.
    linkbeat: Linkbeat,
    /// Where other hosts say which addresses they hold, if conflicts are to be found.
    claims: ClaimListeners,
    /// The links whose new state does not count yet.
    link_delays: LinkDelays,
    /// The BFD sessions that were heard of, and whether they are up.
    sessions: BTreeMap<String, bool>,
}

impl InstanceState {
    /// An instance about which nothing is known yet.
    fn new(instance: Arc<Instance>) -> Self {
        Self {
            instance,
            source: None,
            last_source: None,
            key: None,
            refused: None,
            id: 0,
            trailer: 0,
            sent: false,
            failing: Vec::new(),
            held: Held::default(),
            since: SystemTime::now(),
            history: History::default(),
            conflicts: Conflicts::default(),
        }
    }
}

/// Runs until told to stop.
pub fn run(start: Start, log: Log, signals: &SignalQueue) -> End {
    match Process::open(start, log) {
        Ok(mut process) => {
            process.start.reporter.tell(&Report::Running);
            process.serve(signals)
        }
        Err(end) => end,
    }
}

impl Process {
    fn open(start: Start, log: Log) -> Result<Self, End> {
        let failed = |log: &Log, error: io::Error| {
            log.say(format!("Unable to set up the kernel's channels - {}", reason(&error)));
            End::System
        };
        set_umask(start.umask.unwrap_or(UMASK));
        log.detail("Registering Kernel netlink reflector");
        let monitor = Monitor::open().map_err(|error| failed(&log, error))?;
        log.detail("Registering Kernel netlink command channel");
        let mut commands = Commands::open().map_err(|error| failed(&log, error))?;
        let interfaces = Interfaces::ask(&mut commands).map_err(|error| failed(&log, error))?;
        let (site, text) = load(&start, &log, &interfaces).ok_or(End::Config)?;
        trim_memory();
        let frames = Frames::open().map_err(|error| failed(&log, error))?;
        let recorder = Recorder::open(start.record.as_deref(), &text);
        let policy = Policy::of(&site.global);
        let notifier = Notifier::open(&site, policy.clone(), &log);
        let mut process = Self {
            start,
            log,
            policy,
            seats: Vec::new(),
            node: Node::new(NodeConfig::default(), None),
            things: Vec::new(),
            moving: HashSet::new(),
            pool: SocketPool::default(),
            changed: true,
            scripts: Vec::new(),
            files: Vec::new(),
            processes: Vec::new(),
            process_monitor: None,
            recount_at: None,
            folders: None,
            interfaces,
            commands,
            monitor,
            frames,
            notifier,
            sync: sync::SyncFollower::default(),
            recorder,
            static_held: Held::default(),
            watches_ways: false,
            parting: Vec::new(),
            promoted: Vec::new(),
            retry_at: None,
            vmacs: Vmacs::default(),
            firewall: Firewall::default(),
            pacers: Vec::new(),
            igmp: None,
            reloads: 0,
            cleared: Vec::new(),
            processors: None,
            reporting: Reporting::default(),
            linkbeat: Linkbeat::default(),
            claims: ClaimListeners::default(),
            link_delays: LinkDelays::default(),
            sessions: BTreeMap::new(),
            site,
        };
        process.report_configuration(&text);
        let wanted = process.site.lvs.sync.clone();
        if !process.sync.adopt(wanted.as_ref(), process.start.simulate_ipvs, &process.log) {
            process.log.say_stopped();
            return Err(End::Fatal);
        }
        process.begin();
        end_start();
        Ok(process)
    }

    fn begin(&mut self) {
        let now = Instant::now();
        self.apply_runtime(&Site::default());
        self.moving = self.site.virtual_addresses();
        self.greet();
        self.seats = self.site.instances.iter().cloned().map(InstanceState::new).collect();
        self.configure_firewall();
        self.pacers = Pacer::all(&self.site, Vec::new());
        let made = self.make_vmacs();
        self.log.detail("Registering gratuitous ARP shared channel");
        let delay = self.site.global.startup_delay.into_iter().chain(self.after_boot()).max();
        let delay = delay.filter(|delay| !delay.is_zero());
        let (config, things) = self.site.node();
        self.node = Node::new(config, delay.map(|delay| now + delay));
        self.things = things;
        if self.recorder.is_open() {
            self.node.trace();
        }
        for seat in self.seats.iter().zip(0..).filter(|(_, at)| !made.contains(at)).map(|(seat, _)| seat) {
            let instance = &seat.instance;
            let lines = [
                (instance.router.has_rules, "removing Virtual Rules"),
                (instance.router.has_routes, "removing Virtual Routes"),
                (true, "removing VIPs."),
                (!instance.router.excluded.is_empty(), "removing E-VIPs."),
                (instance.router.no_accept, "removing firewall drop rule"),
            ];
            let lines = lines.into_iter().filter(|(said, _)| *said).map(|(_, line)| line);
            self.cleared.extend(lines.map(|line| (instance.name.clone(), line)));
            for given in &instance.rules {
                // What an earlier life left behind; mostly nothing.
                let _ = given.rule.remove(&mut self.commands);
            }
            for wanted in
                seat.instance.addresses.iter().filter_map(|one| wanted(&self.interfaces, seat.instance.device(), one))
            {
                // What an earlier life left behind; mostly nothing.
                let _ = wanted.remove(&mut self.commands);
            }
        }
        self.watch_ways();
        self.hold_static_all();
        self.scripts = self.script_runners(now + delay.unwrap_or_default());
        self.track_files(now, true);
        self.track_processes(now);
        self.start_linkbeat(now);
        self.start_conflicts();
        self.tell_readings(now);
        if let Some(delay) = delay {
            self.log.say(format!("Delaying startup for {} seconds", delay.as_secs_f64()));
        }
        if self.start.dump {
            for line in super::dump::data(&self.view()).lines() {
                self.log.say(line);
            }
        }
        self.settle(now);
        self.say_cleared();
        self.describe_channels();
        if self.start.explain_start {
            self.explain_start(now);
        }
    }

    /// Says what was removed at the start: after the faults, and before any router listens.
    fn say_cleared(&mut self) {
        for (name, line) in std::mem::take(&mut self.cleared) {
            self.log.detail_of(&name, line);
        }
    }

    /// The loop.
    fn serve(&mut self, signals: &SignalQueue) -> End {
        loop {
            let ready = self.sleep(signals);
            let is_ready = |source| ready.contains(&source);
            if is_ready(Source::Netlink) {
                self.hear_netlink();
            }
            self.restore_vmacs();
            self.hear_packets(&ready);
            let now = Instant::now();
            // Before scripts are looked at: the end of one that comes later then wakes the next turn.
            while is_ready(Source::Signals)
                && let Some(signal) = signals.next()
            {
                if self.obey(signal.number, now) {
                    self.stop();
                    return End::Stopped;
                }
            }
            self.track(now, is_ready(Source::Folders));
            self.hear_processes(now, is_ready(Source::Processes));
            if is_ready(Source::Sessions) {
                self.hear_sessions(now);
            }
            self.run_linkbeat(now);
            self.run_link_delays(now);
            self.hear_claims(now, is_ready(Source::Claims));
            if is_ready(Source::Parent) {
                self.hear_parent();
            }
            self.settle(now);
            self.node.handle_timeout(now);
            self.perform_acts();
            self.run_pacers();
            self.report_status(Instant::now());
        }
    }

    /// Waits for something to do; what there is to read.
    fn sleep(&mut self, signals: &SignalQueue) -> Vec<Source> {
        let scripts = self.scripts.iter().filter_map(ScriptRunner::poll_timeout);
        let files = self.files.iter().filter_map(FileRunner::poll_timeout);
        let processes = self.processes.iter().filter_map(ProcessRunner::poll_timeout).chain(self.recount_at);
        let pacers = self.pacers.iter().filter_map(Pacer::poll_timeout);
        let due = scripts
            .chain(files)
            .chain(pacers)
            .chain(processes)
            .chain(self.node.poll_timeout())
            .chain(self.retry_at)
            .chain(self.linkbeat.poll_timeout())
            .chain(self.link_delays.poll_timeout())
            .chain(self.poll_conflicts())
            .min();
        let now = Instant::now();
        let wake = due.into_iter().chain(self.poll_report(now)).min();
        let wait = wake.map(|due| due.saturating_duration_since(now));
        let (sources, mut fds): (Vec<Source>, Vec<PollFd<'_>>) = self.interests(signals).unzip();
        // An interrupted sleep is a short one.
        let _ = ppoll(&mut fds, wait.map(TimeSpec::from_duration), None::<SigSet>);
        let is_ready = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
        let ready = sources.into_iter().zip(&fds).filter(|(_, fd)| is_ready(fd)).map(|(source, _)| source).collect();
        self.reporting.woke(Instant::now(), due);
        ready
    }

    /// What is waited for.
    fn interests<'a>(&'a self, signals: &'a SignalQueue) -> impl Iterator<Item = (Source, PollFd<'a>)> {
        let one = |source| move |fd| (source, PollFd::new(fd, PollFlags::POLLIN));
        let fixed = [one(Source::Signals)(signals.as_fd()), one(Source::Netlink)(self.monitor.as_fd())];
        let folders = self.folders.as_ref().map(AsFd::as_fd).map(one(Source::Folders));
        let processes = self.process_monitor.as_ref().map(AsFd::as_fd).map(one(Source::Processes));
        // Without a session there is nobody who tells of any.
        let sessions = self.start.sessions.as_ref().filter(|_| self.site.has_sessions);
        let sessions = sessions.map(AsFd::as_fd).map(one(Source::Sessions));
        let parent = self.start.reporter.descriptor().map(one(Source::Parent));
        let optional = [folders, processes, sessions, parent].into_iter().flatten();
        let probes = self.scripts.iter().filter_map(ScriptRunner::descriptor).map(|fd| (Source::Probe, fd));
        let channels = self.pool.iter().map(move |(at, channel)| one(Source::Channel(at))(channel.receiver.as_fd()));
        let claims = self.claims.descriptors().map(one(Source::Claims));
        fixed.into_iter().chain(optional).chain(claims).chain(probes).chain(channels)
    }

    /// The address an instance's adverts carry.
    fn source(&self, instance: &Instance) -> Option<IpAddr> {
        let ipv6 = instance.router.is_ipv6();
        let name = if ipv6 { instance.port() } else { &instance.interface };
        instance.source.or_else(|| self.interfaces.source(name, ipv6, &self.moving))
    }

    /// Ends the routers: their last adverts, what they hold in the kernel, their scripts.
    ///
    /// Differs from keepalived: it ends when its last adverts are sent; 2.1.5 waits for a second. [test: a_master_that_stops_is_followed_and_takes_over_again]
    fn stop(&mut self) {
        let now = Instant::now();
        self.sync.stop(&self.log);
        self.node.stop(now);
        self.perform_acts();
        self.release_static_all();
        if !self.start.keep_addresses {
            self.remove_vmacs();
        }
        self.demote_secondaries();
        self.restore_igmp();
        let outcome = self.firewall.remove();
        self.firewall_refused(outcome);
        self.scripts.iter_mut().for_each(ScriptRunner::abandon);
        self.notifier.close();
        self.notifier.finish_mail();
        self.log.say_stopped();
    }

    /// The addresses of the interfaces that are used.
    fn greet(&self) {
        let mut seen: Vec<&str> = Vec::new();
        let instances = self.site.instances.iter();
        for name in instances.flat_map(|instance| [instance.interface.as_str(), instance.device()]) {
            if seen.contains(&name) {
                continue;
            }
            seen.push(name);
            for ip in [false, true].iter().filter_map(|ipv6| self.interfaces.source(name, *ipv6, &self.moving)) {
                self.log.detail(format!("Assigned address {ip} for interface {name}"));
            }
        }
    }

    fn view(&self) -> super::dump::View<'_> {
        let instances = self
            .seats
            .iter()
            .zip(self.node.routers())
            .map(|(seat, (_, machine))| super::dump::Seen {
                instance: &seat.instance,
                machine,
                source: seat.source,
                since: seat.since,
            })
            .collect();
        let channels = self.pool.iter().map(|(_, channel)| channel).collect();
        let (scripts, files, processes) = (&self.scripts, &self.files, &self.processes);
        super::dump::View { site: &self.site, instances, scripts, files, processes, channels }
    }
}

/// Reads the configuration and says what is wrong with it; `None` when it cannot be run. With its whole text.
fn load(start: &Start, log: &Log, interfaces: &Interfaces) -> Option<(Site, String)> {
    for input in &start.inputs {
        log.say(format!("Opening file '{}'.", input.shown));
    }
    let has_interface = |name: &str| interfaces.link(name).is_some();
    let machine = Machine { has_interface: &has_interface, has_user: &security::is_known, read_secret: &secret::read };
    match read::read_all(&Disk, &start.inputs, &start.environment, &machine) {
        Ok(reading) => {
            // What is wrong with virtual servers the process of their checks says, and the parent what is neither's.
            let own = |pass, complaint: &Complaint| match pass {
                Pass::Parent => false,
                Pass::Checkers | Pass::CheckersEnd => {
                    !reading.site.has_servers && !complaint.also.contains(&Pass::Router)
                }
                _ => true,
            };
            let told = reading.told();
            told.iter().filter(|(pass, one)| own(*pass, one)).for_each(|(_, one)| log.say(&one.text));
            let unserved = !start.allow_unserved && !reading.unserved.is_empty();
            reading.unserved.iter().filter(|_| unserved).for_each(|line| log.say(line));
            if start.umask.is_some() && reading.site.global.umask.is_some() {
                log.say("umask command line option specified, ignoring config option");
            }
            if reading.worst() >= Some(Gravity::Fatal) || unserved {
                return None;
            }
            let mut site = reading.site;
            // The command line may name another one, and neither changes while the daemon runs.
            site.root.net_namespace.clone_from(&start.namespace);
            vmac::choose_names(&mut site, interfaces, log);
            Some((site, reading.text))
        }
        Err(error) => {
            log.say(format!("Unable to read the configuration - {}", reason(&error)));
            None
        }
    }
}

/// What the kernel is to hold for an address of an instance at `interface`; `None` while its interface is missing.
fn wanted(interfaces: &Interfaces, interface: &str, address: &super::blocks::address::Address) -> Option<Wanted> {
    let name = address.dev.as_deref().unwrap_or(interface);
    Some(Wanted {
        index: interfaces.link(name)?.index,
        ip: address.ip,
        prefix: address.prefix,
        scope: if address.ip.is_ipv6() { 0 } else { address.scope },
        label: address.label.clone(),
        broadcast: address.broadcast,
        peer: address.peer,
        home: address.home,
        nodad: address.nodad,
        manage_temporary: address.manage_temporary,
        no_prefix_route: address.no_prefix_route,
        auto_join: address.auto_join,
        preferred: address.preferred,
    })
}

/// Sets the umask of this process and of the scripts it starts.
pub fn set_umask(mask: u32) {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(mask));
}

/// keepalived's umask, unless another is given: what scripts write is for their user alone.
pub const UMASK: u32 = 0o177;
/// Packets of one channel that are taken before everybody else has a turn.
const PACKETS_A_TURN: usize = 256;
