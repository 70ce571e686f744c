//! The VRRP process: netlink messages, packets and script results become events; actions become system calls, in order.
//!
//! One thread, one loop, no timers but the machines' own deadlines: the loop sleeps until the nearest of them.

mod act;
mod process;
mod reload;
mod sockets;
mod watch;

use super::channel::{Channel, Key};
use super::journal::Journal;
use super::notify::{Notifier, Occasion};
use super::read::{self, Gravity};
use super::record::Recorder;
use super::site::{Instance, Site};
use super::slot::Machine;
use super::track::file::FileRunner;
use super::track::script::ScriptRunner;
use super::track::security::{self, Policy};
use super::world::World;
use crate::conf::diagnostic::reason;
use crate::conf::disk::Disk;
use crate::conf::expand::{Environment, Input};
use crate::kernel::address::Wanted;
use crate::kernel::netlink::{Commands, Monitor};
use crate::kernel::packet::Frames;
use crate::sys::inotify::Inotify;
use crate::sys::signal::SignalQueue;
use crate::vrrp::machine::{Event, Router, StateKind};
use crate::vrrp::weight::Standing;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::SigSet;
use nix::sys::time::TimeSpec;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
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
    /// The umask, where one is given.
    pub umask: Option<u32>,
    /// Write events and actions to this file.
    pub record: Option<String>,
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

/// An instance and its machine.
struct Seat {
    instance: Instance,
    machine: Router,
    /// The last standing the machine was told.
    standing: Option<Standing>,
    /// Whether what it tracks itself, not its group, keeps it from taking part.
    faulty: bool,
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
    /// The addresses it has put on interfaces.
    held: Vec<Wanted>,
    /// A reload removes it.
    retired: bool,
    /// When its state changed last.
    since: SystemTime,
}

/// The process.
pub struct Process {
    start: Start,
    journal: Journal,
    site: Site,
    policy: Policy,
    seats: Vec<Seat>,
    channels: Vec<Channel>,
    scripts: Vec<ScriptRunner>,
    files: Vec<FileRunner>,
    /// The folders of the tracked files.
    folders: Option<Inotify>,
    world: World,
    commands: Commands,
    monitor: Monitor,
    frames: Frames,
    notifier: Notifier,
    recorder: Recorder,
    /// Addresses this process took away itself, whose end is no news.
    parting: Vec<IpAddr>,
    /// Nothing is sent before this.
    held_until: Option<Instant>,
    /// Interfaces whose promote_secondaries was set, and what it was before.
    promoted: Vec<(String, String)>,
    /// Groups to be told of, and the state of the member that changed.
    changed_groups: Vec<(String, StateKind)>,
    /// When sockets that could not be opened are tried again.
    retry_at: Option<Instant>,
}

/// Runs until told to stop.
pub fn run(start: Start, journal: Journal, signals: &SignalQueue) -> End {
    match Process::open(start, journal) {
        Ok(mut process) => process.serve(signals),
        Err(end) => end,
    }
}

impl Process {
    fn open(start: Start, journal: Journal) -> Result<Self, End> {
        let failed = |journal: &Journal, error: io::Error| {
            journal.say(format!("Unable to set up the kernel's channels - {}", reason(&error)));
            End::System
        };
        // keepalived's own, unless told otherwise: what scripts write is for their user alone.
        let mask = start.umask.unwrap_or(0o177);
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(mask));
        journal.detail("Registering Kernel netlink reflector");
        let monitor = Monitor::open().map_err(|error| failed(&journal, error))?;
        journal.detail("Registering Kernel netlink command channel");
        let mut commands = Commands::open().map_err(|error| failed(&journal, error))?;
        let world = World::ask(&mut commands).map_err(|error| failed(&journal, error))?;
        let (site, text) = load(&start, &journal, &world).ok_or(End::Config)?;
        journal.detail("Registering gratuitous ARP shared channel");
        let frames = Frames::open().map_err(|error| failed(&journal, error))?;
        let recorder = Recorder::open(start.record.as_deref(), &text);
        let policy = policy(&site);
        let notifier = Notifier::open(&site, policy.clone(), &journal);
        let mut process = Self {
            start,
            journal,
            policy,
            seats: Vec::new(),
            channels: Vec::new(),
            scripts: Vec::new(),
            files: Vec::new(),
            folders: None,
            world,
            commands,
            monitor,
            frames,
            notifier,
            recorder,
            parting: Vec::new(),
            held_until: None,
            promoted: Vec::new(),
            changed_groups: Vec::new(),
            retry_at: None,
            site,
        };
        process.begin();
        Ok(process)
    }

    fn begin(&mut self) {
        let now = Instant::now();
        self.tune(&Site::default());
        self.greet();
        let instances = self.site.instances.clone();
        self.seats = instances.into_iter().map(|instance| self.seat(instance)).collect();
        for seat in &self.seats {
            self.journal.detail(format!("({}) removing VIPs.", seat.instance.name));
            if !seat.instance.router.excluded.is_empty() {
                self.journal.detail(format!("({}) removing E-VIPs.", seat.instance.name));
            }
            for wanted in
                seat.instance.addresses.iter().filter_map(|one| wanted(&self.world, &seat.instance.interface, one))
            {
                // What an earlier life left behind; mostly nothing.
                let _ = wanted.remove(&mut self.commands);
            }
        }
        self.hold_static_addresses(true);
        let delay = self.site.global.startup_delay.unwrap_or_default();
        self.scripts = self.script_runners(now + delay);
        self.track_files(now, true);
        if let Some(delay) = self.site.global.startup_delay.filter(|delay| !delay.is_zero()) {
            self.journal.say(format!("Delaying startup for {} seconds", delay.as_secs_f64()));
            self.held_until = Some(now + delay);
        }
        if self.start.dump {
            for line in super::dump::data(&self.view()).lines() {
                self.journal.say(line);
            }
        }
        self.open_channels(now);
        self.settle(now);
        self.describe_channels();
    }

    /// The loop.
    fn serve(&mut self, signals: &SignalQueue) -> End {
        loop {
            self.sleep(signals);
            self.hear_netlink();
            self.hear_packets();
            let now = Instant::now();
            // Before scripts are looked at: the end of one that comes later then wakes the next turn.
            while let Some(signal) = signals.next() {
                if self.obey(signal.number, now) {
                    self.stop();
                    return End::Stopped;
                }
            }
            self.track(now);
            self.settle(now);
            for at in 0..self.seats.len() {
                if let Some(seat) = self.seats.get_mut(at)
                    && seat.machine.poll_timeout().is_some_and(|due| due <= now)
                {
                    self.recorder.timeout(now, &seat.instance.name);
                    seat.machine.handle_timeout(now);
                    self.act(now);
                }
            }
        }
    }

    fn sleep(&self, signals: &SignalQueue) {
        let machines = self.seats.iter().filter_map(|seat| seat.machine.poll_timeout());
        let scripts = self.scripts.iter().filter_map(ScriptRunner::poll_timeout);
        let files = self.files.iter().filter_map(FileRunner::poll_timeout);
        let due = machines.chain(scripts).chain(files).chain(self.held_until).chain(self.retry_at).min();
        let wait = due.map(|due| due.saturating_duration_since(Instant::now()));
        let mut fds =
            vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN), PollFd::new(self.monitor.as_fd(), PollFlags::POLLIN)];
        fds.extend(self.channels.iter().map(|channel| PollFd::new(channel.inlet.as_fd(), PollFlags::POLLIN)));
        fds.extend(self.folders.as_ref().map(|folders| PollFd::new(folders.as_fd(), PollFlags::POLLIN)));
        // An interrupted sleep is a short one.
        let _ = ppoll(&mut fds, wait.map(TimeSpec::from_duration), None::<SigSet>);
    }

    fn seat(&self, instance: Instance) -> Seat {
        let source = self.source(&instance);
        self.recorder.seat(Instant::now(), &instance.name, source);
        let machine = Router::new(instance.router.clone(), source);
        Seat {
            instance,
            machine,
            standing: None,
            faulty: false,
            source,
            last_source: source,
            key: None,
            refused: None,
            id: 0,
            sent: false,
            failing: Vec::new(),
            held: Vec::new(),
            retired: false,
            since: SystemTime::now(),
        }
    }

    /// The address an instance's adverts carry.
    fn source(&self, instance: &Instance) -> Option<IpAddr> {
        let ipv6 = instance.router.is_ipv6();
        instance.source.or_else(|| self.world.source(&instance.interface, ipv6, &self.virtual_addresses()))
    }

    fn virtual_addresses(&self) -> Vec<IpAddr> {
        self.site.instances.iter().flat_map(|one| one.addresses.iter().map(|address| address.ip)).collect()
    }

    fn stop(&mut self) {
        let now = Instant::now();
        for at in 0..self.seats.len() {
            self.send_event(at, now, Event::Stop);
        }
        self.act(now);
        self.hold_static_addresses(false);
        self.demote_secondaries();
        self.scripts.iter_mut().for_each(ScriptRunner::abandon);
        self.notifier.close();
        let usage = |who| {
            let usage = nix::sys::resource::getrusage(who).ok()?;
            let (user, system) = (usage.user_time(), usage.system_time());
            let decimal = |seconds: i64, micros: i64| format!("{seconds}.{micros:06}");
            Some((decimal(user.tv_sec(), user.tv_usec()), decimal(system.tv_sec(), system.tv_usec())))
        };
        let (user, system) = usage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap_or_default();
        self.journal.say(format!("Stopped - used {user} user time, {system} system time"));
    }

    /// The addresses of the interfaces that are used.
    fn greet(&self) {
        let mut seen: Vec<&str> = Vec::new();
        let moving = self.virtual_addresses();
        for instance in &self.site.instances {
            let name = instance.interface.as_str();
            if seen.contains(&name) {
                continue;
            }
            seen.push(name);
            for ip in [false, true].iter().filter_map(|ipv6| self.world.source(name, *ipv6, &moving)) {
                self.journal.detail(format!("Assigned address {ip} for interface {name}"));
            }
        }
    }

    fn notify(&mut self, at: usize, occasion: Occasion) {
        if let Some(seat) = self.seats.get(at) {
            self.notifier.instance(&seat.instance, occasion, seat.machine.priority(), &self.journal);
        }
    }

    fn view(&self) -> super::dump::View<'_> {
        let instances = self
            .seats
            .iter()
            .map(|seat| super::dump::Seen {
                instance: &seat.instance,
                machine: &seat.machine,
                source: seat.source,
                since: seat.since,
            })
            .collect();
        super::dump::View { site: &self.site, instances, scripts: &self.scripts, channels: &self.channels }
    }
}

/// Reads the configuration and says what is wrong with it; `None` when it cannot be run. With its whole text.
fn load(start: &Start, journal: &Journal, world: &World) -> Option<(Site, String)> {
    for input in &start.inputs {
        journal.say(format!("Opening file '{}'.", input.shown));
    }
    let has_interface = |name: &str| world.link(name).is_some();
    let machine = Machine { has_interface: &has_interface, has_user: &security::is_known };
    match read::read_all(&Disk, &start.inputs, &start.environment, &machine) {
        Ok(reading) => {
            reading.complaints.iter().for_each(|complaint| journal.say(&complaint.text));
            let unserved = !start.allow_unserved && !reading.unserved.is_empty();
            let end = if unserved { "" } else { ", left out" };
            reading.unserved.iter().for_each(|line| journal.say(format!("{line}{end}")));
            (reading.worst() < Some(Gravity::Fatal) && !unserved).then_some((reading.site, reading.text))
        }
        Err(error) => {
            journal.say(format!("Unable to read the configuration - {}", reason(&error)));
            None
        }
    }
}

fn policy(site: &Site) -> Policy {
    Policy { enforced: site.global.script_security == Some(true), user: site.global.script_user.clone() }
}

/// What the kernel is to hold for an address of an instance at `interface`; `None` while its interface is missing.
fn wanted(world: &World, interface: &str, address: &super::blocks::address::Address) -> Option<Wanted> {
    let name = address.dev.as_deref().unwrap_or(interface);
    Some(Wanted {
        index: world.link(name)?.index,
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

/// Packets of one channel that are taken before everybody else has a turn.
const PACKETS_A_TURN: usize = 256;
