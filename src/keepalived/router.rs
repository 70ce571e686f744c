//! The VRRP process: netlink messages, packets and script results become events; actions become system calls, in order.
//!
//! One thread, one loop, no timers but the machines' own deadlines: the loop sleeps until the nearest of them.

mod act;
mod firewall;
mod holding;
mod pace;
mod process;
mod processes;
mod reload;
mod sockets;
mod vmac;
mod watch;

use self::firewall::Firewall;
use self::holding::Held;
use self::pace::Pacer;
use self::vmac::Vmacs;
use super::channel::{Key, SocketPool};
use super::interfaces::Interfaces;
use super::log::Log;
use super::notify::Notifier;
use super::read::{self, Gravity};
use super::record::Recorder;
use super::report::{Report, Reporter};
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
use crate::kernel::netlink::{Commands, Monitor};
use crate::kernel::packet::Frames;
use crate::sys::inotify::Inotify;
use crate::sys::process::trim_memory;
use crate::sys::signal::SignalQueue;
use crate::vrrp::node::{Node, NodeConfig};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sched::CpuSet;
use nix::sys::signal::SigSet;
use nix::sys::time::TimeSpec;
use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// What the process is started with.
#[derive(Clone, Debug)]
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
    /// A router whose tracked script may not be run is in fault.
    pub fault_on_disabled_script: bool,
    /// `--read-processes`: the list of processes is read where the kernel does not report them.
    pub read_processes: bool,
    /// The umask, where one is given.
    pub umask: Option<u32>,
    /// Write events and actions to this file.
    pub record: Option<String>,
    /// Tells the parent how it goes.
    pub reporter: Reporter,
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
    /// The last advert left this host.
    sent: bool,
    /// The last errors of sending, each said once.
    failing: Vec<i32>,
    /// What it has put into the kernel.
    held: Held,
    /// When its state changed last.
    since: SystemTime,
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
            sent: false,
            failing: Vec::new(),
            held: Held::default(),
            since: SystemTime::now(),
        }
    }
}

/// Runs until told to stop.
pub fn run(start: Start, log: Log, signals: &SignalQueue) -> End {
    match Process::open(start, log) {
        Ok(mut process) => {
            process.start.reporter.tell(Report::Running);
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
        let policy = policy(&site);
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
            processors: None,
            site,
        };
        process.begin();
        Ok(process)
    }

    fn begin(&mut self) {
        let now = Instant::now();
        self.apply_runtime(&Site::default());
        self.moving = self.site.virtual_addresses();
        self.greet();
        self.seats = self.site.instances.iter().cloned().map(InstanceState::new).collect();
        self.configure_firewall();
        self.pacers = Pacer::all(&self.site.paces, Vec::new());
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
            if instance.router.has_rules {
                self.log.detail(format!("({}) removing Virtual Rules", instance.name));
            }
            for given in &instance.rules {
                // What an earlier life left behind; mostly nothing.
                let _ = given.rule.remove(&mut self.commands);
            }
            if instance.router.has_routes {
                self.log.detail(format!("({}) removing Virtual Routes", instance.name));
            }
            self.log.detail(format!("({}) removing VIPs.", seat.instance.name));
            if !seat.instance.router.excluded.is_empty() {
                self.log.detail(format!("({}) removing E-VIPs.", seat.instance.name));
            }
            if seat.instance.router.no_accept {
                self.log.detail(format!("({}) removing firewall drop rule", seat.instance.name));
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
        self.describe_channels();
    }

    /// The loop.
    fn serve(&mut self, signals: &SignalQueue) -> End {
        loop {
            let ready = self.sleep(signals);
            self.hear_netlink();
            self.hear_packets(&ready);
            let now = Instant::now();
            // Before scripts are looked at: the end of one that comes later then wakes the next turn.
            while let Some(signal) = signals.next() {
                if self.obey(signal.number, now) {
                    self.stop();
                    return End::Stopped;
                }
            }
            self.track(now);
            self.hear_processes(now);
            self.settle(now);
            self.node.handle_timeout(now);
            self.perform_acts();
            self.run_pacers();
        }
    }

    /// Waits for something to do; the sockets on which packets have come.
    fn sleep(&self, signals: &SignalQueue) -> Vec<u64> {
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
            .min();
        let wait = due.map(|due| due.saturating_duration_since(Instant::now()));
        let mut fds =
            vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN), PollFd::new(self.monitor.as_fd(), PollFlags::POLLIN)];
        fds.extend(self.folders.as_ref().map(|folders| PollFd::new(folders.as_fd(), PollFlags::POLLIN)));
        fds.extend(self.process_monitor.as_ref().map(|monitor| PollFd::new(monitor.as_fd(), PollFlags::POLLIN)));
        let others = fds.len();
        fds.extend(self.pool.iter().map(|(_, channel)| PollFd::new(channel.receiver.as_fd(), PollFlags::POLLIN)));
        // An interrupted sleep is a short one.
        let _ = ppoll(&mut fds, wait.map(TimeSpec::from_duration), None::<SigSet>);
        let sockets = self.pool.iter().map(|(serial, _)| serial).zip(fds.iter().skip(others));
        sockets
            .filter(|(_, fd)| fd.revents().is_some_and(|events| !events.is_empty()))
            .map(|(serial, _)| serial)
            .collect()
    }

    /// The address an instance's adverts carry.
    fn source(&self, instance: &Instance) -> Option<IpAddr> {
        let ipv6 = instance.router.is_ipv6();
        let name = if ipv6 { instance.port() } else { &instance.interface };
        instance.source.or_else(|| self.interfaces.source(name, ipv6, &self.moving))
    }

    fn stop(&mut self) {
        let now = Instant::now();
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
        let usage = |who| {
            let usage = nix::sys::resource::getrusage(who).ok()?;
            let (user, system) = (usage.user_time(), usage.system_time());
            let decimal = |seconds: i64, micros: i64| format!("{seconds}.{micros:06}");
            Some((decimal(user.tv_sec(), user.tv_usec()), decimal(system.tv_sec(), system.tv_usec())))
        };
        let (user, system) = usage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap_or_default();
        self.log.say(format!("Stopped - used {user} user time, {system} system time"));
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
        super::dump::View { site: &self.site, instances, scripts: &self.scripts, processes: &self.processes, channels }
    }
}

/// Reads the configuration and says what is wrong with it; `None` when it cannot be run. With its whole text.
fn load(start: &Start, log: &Log, interfaces: &Interfaces) -> Option<(Site, String)> {
    for input in &start.inputs {
        log.say(format!("Opening file '{}'.", input.shown));
    }
    let has_interface = |name: &str| interfaces.link(name).is_some();
    let machine = Machine { has_interface: &has_interface, has_user: &security::is_known };
    match read::read_all(&Disk, &start.inputs, &start.environment, &machine) {
        Ok(reading) => {
            reading.complaints.iter().for_each(|complaint| log.say(&complaint.text));
            let unserved = !start.allow_unserved && !reading.unserved.is_empty();
            let end = if unserved { "" } else { ", left out" };
            reading.unserved.iter().for_each(|line| log.say(format!("{line}{end}")));
            if start.umask.is_some() && reading.site.global.umask.is_some() {
                log.say("umask command line option specified, ignoring config option");
            }
            if reading.worst() >= Some(Gravity::Fatal) || unserved {
                return None;
            }
            let mut site = reading.site;
            vmac::choose_names(&mut site, interfaces, log);
            Some((site, reading.text))
        }
        Err(error) => {
            log.say(format!("Unable to read the configuration - {}", reason(&error)));
            None
        }
    }
}

/// The rules for the scripts of `site`.
pub fn policy(site: &Site) -> Policy {
    Policy { enforced: site.global.script_security == Some(true), user: site.global.script_user.clone() }
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
