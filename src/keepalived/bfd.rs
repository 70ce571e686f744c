//! The BFD process: packets and deadlines become events for the sessions, and what sessions tell goes to the
//! processes of virtual routers and of health checks.
//!
//! The VRRP process gets each change at once, and once a second all that is known, so that one that was started again knows
//! it too.

use super::blocks::dumps::saved;
use super::cli::look;
use super::dump::{self, sessions};
use super::log::Log;
use super::read::Gravity;
use super::report::{Report, Reporter};
use super::scheduling::Scheduling;
use super::site::Site;
use crate::bfd::packet::{MULTIHOP_PORT, PORT, State};
use crate::bfd::session::{Action, Config, Random};
use crate::bfd::sessions::{Datagram, Ends, Sessions};
use crate::conf::diagnostic::reason;
use crate::conf::expand::{Environment, Input};
use crate::kernel::udp::{UdpReceiver, UdpSender};
use crate::sys::process::trim_memory;
use crate::sys::signal::SignalQueue;
use crate::sys::time::monotonic;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::time::TimeSpec;
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two tellings of all that is known.
const REFRESH: Duration = Duration::from_secs(1);
/// Packets that are taken before everybody else has a turn.
const PACKETS: usize = 256;
/// Where the ports packets may come from begin (RFC 5881 §4).
const FIRST_PORT: u16 = 49_152;
/// The longest message about a session.
const LONGEST: usize = 512;

/// A session as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its name.
    pub name: String,
    /// Its two ends.
    pub ends: Ends,
    /// Its times.
    pub config: Config,
    /// The VRRP process is told of it.
    pub for_routers: bool,
    /// Health checks are to be told of it.
    pub for_checkers: bool,
}

/// What the VRRP process is told of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// It is up.
    pub up: bool,
    /// It has just come about, and is not told once more.
    pub fresh: bool,
    /// When it was told, by the monotonic clock, in microseconds.
    pub at: u64,
}

/// One end of the way from the BFD process to the VRRP process. Nobody waits at it.
#[derive(Clone, Debug)]
pub struct EventSocket(Arc<Socket>);

/// Both ends: for the BFD process and for the VRRP process. Neither end closes when a process ends, for the parent keeps
/// both.
///
/// # Errors
/// What socketpair(2) said.
pub fn channel() -> io::Result<(EventSocket, EventSocket)> {
    let (to, from) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
    to.set_nonblocking(true)?;
    from.set_nonblocking(true)?;
    Ok((EventSocket(Arc::new(to)), EventSocket(Arc::new(from))))
}

impl EventSocket {
    /// Tells the VRRP process; one that does not read is told again within a second.
    ///
    /// Differs from keepalived: a VRRP process that was started again learns which sessions are up; there it takes them to be down until they change. [test: each_process_is_started_again_and_learns_what_the_other_knows]
    fn tell(&self, name: &str, up: bool, fresh: bool) {
        let event = Event { name: name.to_owned(), up, fresh, at: monotonic().as_micros() as u64 };
        if let Ok(bytes) = serde_json::to_vec(&event) {
            let _ = self.0.as_ref().write(&bytes);
        }
    }

    /// The next event, if one has come.
    pub fn next(&self) -> Option<Event> {
        let mut bytes = [0; LONGEST];
        let length = self.0.as_ref().read(&mut bytes).ok().filter(|length| *length > 0)?;
        serde_json::from_slice(bytes.get(..length)?).ok()
    }
}

impl AsFd for EventSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What the process is started with.
#[derive(Debug)]
pub struct Start {
    /// The configuration file.
    pub inputs: Vec<Input>,
    /// What its text depends on.
    pub environment: Environment,
    /// Run although some keywords are not served.
    pub allow_unserved: bool,
    /// Say at the start what is configured.
    pub dump: bool,
    /// Where events for the VRRP process are written.
    pub events: EventSocket,
    /// Where those for the process of health checks are.
    pub check_events: Option<EventSocket>,
    /// Where the parent is told what was read.
    pub reporter: Reporter,
}

impl Start {
    /// Tells the processes that want to know of a session.
    fn tell(&self, session: &Session, up: bool, fresh: bool) {
        let checkers = self.check_events.as_ref().filter(|_| session.for_checkers);
        for events in Some(&self.events).filter(|_| session.for_routers).into_iter().chain(checkers) {
            events.tell(&session.name, up, fresh);
        }
    }
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

/// The process.
struct Process {
    start: Start,
    log: Log,
    /// The configuration, its sessions aside.
    site: Site,
    configured: Vec<Session>,
    sessions: Sessions,
    receivers: Receivers,
    /// A sender for each session, where it could be opened.
    senders: Vec<Option<UdpSender>>,
    /// The sessions whose last packet could not be sent.
    failing: BTreeSet<String>,
    /// What was last told of each session.
    told: BTreeMap<String, bool>,
    refresh_at: Instant,
    random: Random,
    /// What the process asked of the system.
    scheduling: Scheduling,
    /// Reloads so far.
    reloads: u32,
}

/// Where packets come in.
#[derive(Debug, Default)]
struct Receivers {
    /// Of sessions over one link.
    near: Option<UdpReceiver>,
    /// Of sessions over several hops.
    far: Option<UdpReceiver>,
}

impl Receivers {
    /// Opens what the sessions need, and closes what they do not need. Without sessions it is what most of them need.
    fn listen(&mut self, sessions: &[Session], log: &Log) {
        let far = sessions.iter().any(|session| session.ends.multihop);
        let near = !far || sessions.iter().any(|session| !session.ends.multihop);
        let slots = [(near, &mut self.near, PORT, ""), (far, &mut self.far, MULTIHOP_PORT, "multihop ")];
        for (needed, slot, port, kind) in slots {
            if !needed {
                *slot = None;
            } else if slot.is_none() {
                *slot = UdpReceiver::open(port)
                    .inspect_err(|error| {
                        let number = error.raw_os_error().unwrap_or_default();
                        log.say(format!("bind() error {number} ({})", reason(error)));
                        log.say(format!("Unable to open {kind}listening socket"));
                    })
                    .ok();
            }
        }
    }

    /// That of sessions over one link, or over several hops.
    const fn of(&self, multihop: bool) -> Option<&UdpReceiver> {
        if multihop { self.far.as_ref() } else { self.near.as_ref() }
    }

    /// The descriptors, for one hop and for several.
    fn numbers(&self) -> (Option<i32>, Option<i32>) {
        let number = |receiver: &UdpReceiver| receiver.as_fd().as_raw_fd();
        (self.near.as_ref().map(number), self.far.as_ref().map(number))
    }
}

/// Runs until told to stop.
pub fn run(start: Start, log: Log, signals: &SignalQueue) -> End {
    let Some(mut site) = load(&start, &log) else { return End::Config };
    let configured = std::mem::take(&mut site.sessions);
    let mut receivers = Receivers::default();
    receivers.listen(&configured, &log);
    if receivers.near.is_none() && receivers.far.is_none() {
        return End::System;
    }
    let now = Instant::now();
    let mut process = Process {
        start,
        log,
        site,
        configured: Vec::new(),
        sessions: Sessions::default(),
        receivers,
        senders: Vec::new(),
        failing: BTreeSet::new(),
        told: BTreeMap::new(),
        refresh_at: now + REFRESH,
        random: Random::new(monotonic().as_nanos() as u64 ^ u64::from(std::process::id()) << 40),
        scheduling: Scheduling::new(),
        reloads: 0,
    };
    process.scheduling.apply(&process.site.global.bfd, &process.log);
    process.adopt(now, configured);
    if process.start.dump {
        process.text().lines().for_each(|line| process.log.say(line));
    }
    trim_memory();
    process.serve(signals)
}

/// Reads the configuration; what is wrong with it the VRRP process and the parent say.
fn load(start: &Start, log: &Log) -> Option<Site> {
    for input in &start.inputs {
        log.say(format!("Opening file '{}'.", input.shown));
    }
    let reading = look(&start.inputs, &start.environment);
    start.reporter.tell(&Report::Read);
    let reading = reading.ok()?;
    let unserved = !start.allow_unserved && !reading.unserved.is_empty();
    (reading.worst() < Some(Gravity::Fatal) && !unserved).then(|| reading.into_site())
}

impl Process {
    /// The loop.
    fn serve(&mut self, signals: &SignalQueue) -> End {
        loop {
            let due = self.sessions.poll_timeout().into_iter().chain([self.refresh_at]).min();
            let wait = due.map(|due| due.saturating_duration_since(Instant::now()));
            let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
            let receivers = [false, true].into_iter().filter_map(|multihop| self.receivers.of(multihop));
            fds.extend(receivers.map(|receiver| PollFd::new(receiver.as_fd(), PollFlags::POLLIN)));
            // An interrupted sleep is a short one.
            let _ = ppoll(&mut fds, wait.map(TimeSpec::from_duration), None::<SigSet>);
            while let Some(signal) = signals.next() {
                match signal.number {
                    n if n == Signal::SIGTERM as i32 || n == Signal::SIGINT as i32 => {
                        self.log.say_stopped();
                        return End::Stopped;
                    }
                    n if n == Signal::SIGHUP as i32 => self.reload(),
                    n if n == Signal::SIGUSR1 as i32 => self.dump(),
                    _ => {}
                }
            }
            // What has come counts before what has not: a late turn is not the other end's silence.
            self.hear();
            self.sessions.handle_timeout(Instant::now());
            self.perform();
            self.refresh(Instant::now());
        }
    }

    /// Writes keepalived_bfd.data.
    fn dump(&self) {
        self.log.say(format!("Printing BFD data for process({}) on signal", std::process::id()));
        let root = &self.site.root;
        let names = (root.net_namespace.as_deref(), root.instance.as_deref());
        self.write(&self.site.global.dumps.data_file("_bfd", names));
    }

    /// Keeps what is known before and after a reload, where the configuration asks for that.
    fn save(&mut self, when: &str) {
        self.reloads += u32::from(when == "pre");
        if let Some(folder) = &self.site.global.config_save_dir {
            self.write(&saved(folder, "bfd", self.reloads, when));
        }
    }

    fn write(&self, path: &str) {
        if let Err(error) = dump::write(path, &self.text()) {
            self.log.say(format!("Can't open dump file {path} ({})", reason(&error)));
        }
    }

    /// Everything there is to see.
    fn text(&self) -> String {
        let known: Vec<sessions::Seen<'_>> = self
            .configured
            .iter()
            .zip(self.sessions.facts())
            .zip(&self.senders)
            .map(|((session, facts), sender)| sessions::Seen {
                session,
                facts,
                sender: sender.as_ref().map(|sender| sender.as_fd().as_raw_fd()),
                failing: self.failing.contains(&session.name),
            })
            .collect();
        sessions::data(&self.site, self.receivers.numbers(), &known)
    }

    fn reload(&mut self) {
        self.log.say("Reloading");
        match load(&self.start, &self.log) {
            Some(mut site) => {
                self.save("pre");
                let configured = std::mem::take(&mut site.sessions);
                // The command line may name another one, and neither changes while the daemon runs.
                site.root.net_namespace.clone_from(&self.site.root.net_namespace);
                self.site = site;
                self.scheduling.apply(&self.site.global.bfd, &self.log);
                self.adopt(Instant::now(), configured);
                self.save("post");
            }
            None => self.log.say("The configuration cannot be run - keeping the old one"),
        }
        trim_memory();
    }

    /// Takes the sessions of a configuration; those that stay go on.
    fn adopt(&mut self, now: Instant, configured: Vec<Session>) {
        self.receivers.listen(&configured, &self.log);
        let gone: Vec<String> = self
            .configured
            .iter()
            .filter(|one| !configured.iter().any(|other| (&other.name, &other.ends) == (&one.name, &one.ends)))
            .map(|one| one.name.clone())
            .collect();
        self.told.retain(|name, _| !gone.contains(name));
        let mut before: Vec<(Ends, Option<UdpSender>)> =
            self.configured.iter().map(|one| one.ends.clone()).zip(self.senders.drain(..)).collect();
        for session in &configured {
            let kept = before.iter().position(|(ends, _)| *ends == session.ends).map(|at| before.swap_remove(at).1);
            let sender = kept.flatten().or_else(|| self.open(session));
            self.senders.push(sender);
        }
        let wanted = configured.iter().map(|one| (one.name.clone(), one.ends.clone(), one.config.clone())).collect();
        let random = &mut self.random;
        self.sessions.replace(now, wanted, || u64::from(random.next()) << 32 | u64::from(random.next()));
        self.configured = configured;
        // As in keepalived, a session is down until it is up, whatever an earlier process told.
        for session in self.configured.iter().filter(|session| session.for_routers || session.for_checkers) {
            if !self.told.contains_key(&session.name) {
                self.start.tell(session, false, true);
                self.told.insert(session.name.clone(), false);
            }
        }
        self.perform();
    }

    fn open(&mut self, session: &Session) -> Option<UdpSender> {
        let ports = u16::MAX - FIRST_PORT;
        let first = (self.random.next() % u32::from(ports)) as u16;
        let ports = (0..ports).map(|port| FIRST_PORT + (first + port) % ports);
        let port = if session.ends.multihop { MULTIHOP_PORT } else { PORT };
        let to = SocketAddr::new(session.ends.neighbour, port);
        match UdpSender::open(to, session.ends.source, ports, session.ends.hops) {
            Ok(sender) => Some(sender),
            Err(error) => {
                let name = &session.name;
                self.log.say(format!("BFD_Instance({name}) bind() error ({})", reason(&error)));
                let what = "Unable to open output socket, disabling instance";
                self.log.say(format!("BFD_Instance({name}) {what}"));
                self.log.say(format!("BFD_Instance({name}) Entering {} state", State::AdminDown));
                None
            }
        }
    }

    /// Takes the packets that have come, so many of each socket that none keeps the other's waiting.
    fn hear(&mut self) {
        for multihop in [false, true] {
            for _ in 0..PACKETS {
                let Some(received) = self.receivers.of(multihop).and_then(UdpReceiver::receive) else { break };
                let from = received.source;
                let (destination, hops, bytes) = (received.destination, received.hops, received.bytes);
                let datagram = Datagram { source: from.ip(), destination, hops, multihop, bytes };
                if let Err(dropped) = self.sessions.receive(Instant::now(), &datagram) {
                    let from = format!("[{}]:{}", from.ip(), from.port());
                    dropped.lines(&from).iter().for_each(|line| self.log.detail(line));
                }
                self.perform();
            }
        }
    }

    /// Does what the sessions want.
    fn perform(&mut self) {
        while let Some((at, action)) = self.sessions.poll_action() {
            let Some(session) = self.configured.get(at) else { continue };
            let name = session.name.clone();
            match action {
                Action::Send(packet) => {
                    let Some(sender) = self.senders.get(at).and_then(Option::as_ref) else { continue };
                    match sender.send(&packet.emit()) {
                        Ok(()) => {
                            self.failing.remove(&name);
                        }
                        Err(error) if self.failing.insert(name.clone()) => {
                            self.log.say(format!("sendto() error ({})", reason(&error)));
                            self.log.say(format!("BFD_Instance({name}) Error sending packet"));
                        }
                        Err(_) => {}
                    }
                }
                Action::Event(up) => {
                    if session.for_routers || session.for_checkers {
                        self.start.tell(session, up, true);
                        self.told.insert(name, up);
                    }
                }
                Action::Note(note) => {
                    for line in note.to_string().lines() {
                        let line = format!("BFD_Instance({name}) {line}");
                        if note.is_detail() { self.log.detail(line) } else { self.log.say(line) }
                    }
                }
            }
        }
    }

    /// Tells the other processes of all sessions once more, when it is time to.
    fn refresh(&mut self, now: Instant) {
        if self.refresh_at > now {
            return;
        }
        self.refresh_at = now + REFRESH;
        for session in &self.configured {
            if let Some(up) = self.told.get(&session.name) {
                self.start.tell(session, *up, false);
            }
        }
    }
}
