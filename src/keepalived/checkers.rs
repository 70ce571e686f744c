//! The process of health checks: it keeps the kernel's IPVS as the checks say.
//!
//! Each check is a task; all tasks share one state, as nothing in it takes time.

mod attempt;
mod drive;
pub mod ipvs;
mod ping;
mod reload;
mod reporting;
mod scripts;
mod showing;
mod suspend;
mod telling;
mod tls;
mod tracked;

use self::attempt::{CheckState, Due, repeat};
use self::ipvs::Kernel;
use self::ping::PingGroups;
use self::reporting::Reporting;
use self::suspend::Addresses;
use self::telling::Teller;
use self::tracked::{Files, Sessions};
use super::bfd::EventSocket;
use super::blocks::sync::Sync;
use super::cli::look;
use super::dump::servers::Kept;
use super::log::Log;
use super::read::{Gravity, Pass, Reading};
use super::report::Reporter;
use super::scheduling::Scheduling;
use super::site::Site;
use super::site::compact::compact;
use super::site::server::VirtualServer;
use crate::bfd::session::Random;
use crate::check::server::{self as machine, Change, Event, Flush, Pool};
use crate::conf::diagnostic::reason;
use crate::conf::expand::{Environment, Input};
use crate::kernel::ipvs::{Request, SyncState};
use crate::sys::process::trim_memory;
use crate::sys::signal::SignalQueue;
use crate::sys::socket::{Watched, watch};
use crate::sys::time::monotonic;
use crate::tls::upstream::ClientContext;
use nix::sys::signal::Signal;
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::thread;
use std::time::Instant;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinHandle, LocalSet, spawn_local};

/// What the process is started with.
#[derive(Debug)]
pub struct Start {
    /// The configuration files.
    pub inputs: Vec<Input>,
    /// What their text depends on.
    pub environment: Environment,
    /// Run although some keywords are not served.
    pub allow_unserved: bool,
    /// Keep the virtual servers in memory and program no kernel.
    pub simulate: bool,
    /// Say at the start what is configured.
    pub dump: bool,
    /// Leave the virtual servers in the kernel at the end.
    pub keep_servers: bool,
    /// Where the BFD process tells of its sessions.
    pub sessions: Option<EventSocket>,
    /// Tells the parent of virtual servers.
    pub reporter: Reporter,
    /// Somebody may ask for them.
    pub reports_status: bool,
}

/// How the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was told to.
    Stopped,
    /// Its configuration cannot be run.
    Config,
    /// The system does not let it work, and never will.
    Fatal,
}

/// Where a check is: virtual server, real server, check.
type Place = (usize, usize, usize);

/// A virtual server that is kept.
struct Running {
    given: Rc<VirtualServer>,
    machine: machine::VirtualServer,
    /// By real server and check.
    check_states: Vec<Box<[CheckState]>>,
    /// How many of its addresses this host has, where its checks depend on that.
    held: usize,
    /// What it had before the last reload, where it was there.
    kept: Option<Box<Kept>>,
}

/// What all checks share.
struct State {
    log: Log,
    site: Site,
    servers: Vec<Running>,
    kernel: Kernel,
    teller: Teller,
    random: Random,
    /// TLS towards real servers; none where no check needs it.
    tls: Option<ClientContext>,
    /// The addresses of this host, where checks depend on them.
    addresses: Option<Addresses>,
    /// The attempts that are being made.
    attempts: HashMap<Place, AbortHandle>,
    /// The files checks depend on.
    files: Files,
    /// The BFD sessions that were heard of, and whether they are up.
    sessions: Sessions,
    /// Who may send echo requests.
    ping_groups: PingGroups,
    /// Told when a script may have ended.
    children: Rc<Notify>,
    scheduling: Scheduling,
    /// The reloads there were.
    reloads: u32,
    reporting: Reporting,
}

/// Carries out what a virtual server decides.
struct ServerActions<'a> {
    given: &'a VirtualServer,
    kernel: &'a mut Kernel,
    teller: &'a mut Teller,
    log: &'a Log,
}

impl Pool for ServerActions<'_> {
    fn apply(&mut self, change: Change) -> bool {
        self.kernel.apply(self.given, change, self.log)
    }

    fn say(&mut self, line: String) {
        self.log.say(line);
    }

    fn tell(&mut self, event: Event) {
        self.teller.tell(self.given, event, self.log);
    }
}

/// Runs until told to stop.
pub fn run(start: &Start, log: Log, signals: &SignalQueue) -> End {
    let Some(site) = load(start, &log) else { return End::Config };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            log.say(format!("Unable to start the event loop - {}", reason(&error)));
            return End::Fatal;
        }
    };
    let mut state = State {
        log,
        site,
        servers: Vec::new(),
        kernel: Kernel::absent(),
        teller: Teller::default(),
        tls: None,
        addresses: None,
        attempts: HashMap::new(),
        files: Files::default(),
        sessions: Sessions::new(),
        ping_groups: PingGroups::default(),
        children: Rc::new(Notify::new()),
        scheduling: Scheduling::new(),
        reloads: 0,
        reporting: Reporting::new(start.reports_status),
        random: Random::new(monotonic().as_nanos() as u64 ^ u64::from(std::process::id()) << 40),
    };
    state.scheduling.apply(&state.site.global.checkers, &state.log);
    if !state.begin(start) {
        state.end(start);
        return End::Fatal;
    }
    trim_memory();
    let state = Rc::new(RefCell::new(state));
    LocalSet::new().block_on(&runtime, serve(&state, start, signals))
}

/// Reads the configuration and says what is wrong with its virtual servers.
fn load(start: &Start, log: &Log) -> Option<Site> {
    for input in &start.inputs {
        log.say(format!("Opening file '{}'.", input.shown));
    }
    // Read by a thread of its own: what reading leaves behind lies in that thread's part of the heap and is given back.
    let given = (&start.inputs[..], &start.environment, start.allow_unserved);
    let (lines, site) = thread::scope(|scope| scope.spawn(move || read(given)).join()).ok()??;
    lines.iter().for_each(|line| log.say(line));
    let mut site = site?;
    scripts::judge(&mut site, log);
    site.servers = compact(&site.servers);
    Some(site)
}

/// What is to be said of the configuration, and the configuration if it can be run.
fn read((inputs, environment, allow_unserved): (&[Input], &Environment, bool)) -> Option<(Vec<String>, Option<Site>)> {
    let reading: Reading = look(inputs, environment).ok()?;
    let own = |pass| matches!(pass, Pass::Checkers | Pass::CheckersEnd);
    let told = reading.told().into_iter().filter(|(pass, _)| own(*pass));
    let lines = told.map(|(_, complaint)| complaint.text.clone()).collect();
    let refused = !allow_unserved && !reading.unserved.is_empty();
    let runs = !refused && reading.worst() < Some(Gravity::Fatal);
    Some((lines, runs.then(|| reading.into_site())))
}

/// The loop: signals, while the checks are made.
async fn serve(state: &Rc<RefCell<State>>, start: &Start, signals: &SignalQueue) -> End {
    let waiting = signals.as_fd().try_clone_to_owned().and_then(watch);
    let Ok(waiting) = waiting else { return End::Fatal };
    let mut checks = State::launch(state);
    let mut changes = state.borrow().changes_of_addresses().and_then(|fd| watch(fd).ok());
    let mut files = state.borrow().changes_of_files().and_then(|fd| watch(fd).ok());
    let sessions = start.sessions.as_ref().and_then(|events| events.as_fd().try_clone_to_owned().ok());
    let sessions = sessions.and_then(|fd| watch(fd).ok());
    let news = state.borrow().reporting.news();
    loop {
        state.borrow_mut().report(start);
        let (look, report) = (state.borrow().next_look(), state.borrow().reporting.next(Instant::now()));
        tokio::select! {
            () = ready(Some(&waiting)) => {}
            () = ready(changes.as_ref()) => state.borrow_mut().follow_addresses(),
            () = ready(files.as_ref()) => state.borrow_mut().follow_files(),
            () = until(look) => state.borrow_mut().follow_files(),
            () = until(report) => {}
            () = news.notified() => {}
            () = ready(sessions.as_ref()) => {
                if let Some(events) = &start.sessions {
                    state.borrow_mut().hear_sessions(events);
                }
            }
        }
        while let Some(signal) = signals.next() {
            match signal.number {
                n if n == Signal::SIGTERM as i32 || n == Signal::SIGINT as i32 => {
                    checks.abort();
                    state.borrow_mut().abort_attempts();
                    state.borrow_mut().end(start);
                    return End::Stopped;
                }
                n if n == Signal::SIGHUP as i32 => {
                    checks.abort();
                    state.borrow_mut().abort_attempts();
                    state.borrow_mut().reload(start);
                    trim_memory();
                    checks = State::launch(state);
                    changes = state.borrow().changes_of_addresses().and_then(|fd| watch(fd).ok());
                    files = state.borrow().changes_of_files().and_then(|fd| watch(fd).ok());
                }
                n if n == Signal::SIGUSR1 as i32 => state.borrow().dump(),
                n if n == Signal::SIGCHLD as i32 => state.borrow().children.notify_waiters(),
                _ => {}
            }
        }
        state.borrow_mut().reap();
    }
}

/// Waits until a descriptor is readable; without one, for ever.
async fn ready(fd: Option<&Watched<OwnedFd>>) {
    let Some(fd) = fd else { return std::future::pending().await };
    if let Ok(mut ready) = fd.readable().await {
        ready.clear_ready();
    }
}

/// Waits until then; without a time, for ever.
async fn until(time: Option<Instant>) {
    let Some(time) = time else { return std::future::pending().await };
    tokio::time::sleep_until(time.into()).await;
}

impl State {
    /// Puts the virtual servers into the kernel; false where it has no IPVS, or a file of `SSL` cannot be read.
    fn begin(&mut self, start: &Start) -> bool {
        let secure = tls::is_needed(&self.site.servers);
        self.servers = std::mem::take(&mut self.site.servers).into_iter().map(Rc::new).map(Running::new).collect();
        if !self.servers.is_empty() && !self.begin_kernel(start) {
            return false;
        }
        self.kernel.set_timeouts(self.site.lvs.timeouts, &self.log);
        self.start_sync(None);
        self.ping_groups.open(self.servers.iter().map(|running| &*running.given), &self.log);
        self.teller.adopt(&self.site, &self.log);
        if self.site.lvs.flush {
            self.kernel.flush(&self.log);
        }
        if secure {
            self.tls = tls::client(self.site.tls.as_ref(), &self.log);
            if self.tls.is_none() {
                return false;
            }
        }
        self.watch_addresses();
        self.open_files(true);
        for at in 0..self.servers.len() {
            self.begin_files(at);
            self.with(at, |machine, actions| machine.start(actions));
        }
        self.reporting.begin();
        if start.dump {
            self.text().lines().for_each(|line| self.log.say(line));
        }
        true
    }

    /// The sync daemon, where it follows no virtual router.
    fn own_sync(&self) -> Option<&Sync> {
        self.site.lvs.sync.as_ref().filter(|sync| sync.instance.is_none())
    }

    /// Runs the sync daemon as master and backup, unless it did `before`.
    ///
    /// Differs from keepalived: one whose settings stay is left alone at a reload; there it is started once more, which the kernel refuses. [test: a_reload_changes_only_what_changed_in_the_kernel]
    fn start_sync(&mut self, before: Option<&Sync>) {
        let wanted = self.own_sync().cloned();
        if wanted.as_ref() == before {
            return;
        }
        self.kernel.stop_sync();
        for sync in wanted.iter() {
            for state in [SyncState::Master, SyncState::Backup] {
                self.kernel.sync(Request::StartDaemon(state, sync.daemon.clone()), &self.log);
            }
        }
    }

    fn begin_kernel(&mut self, start: &Start) -> bool {
        self.log.say("Initializing ipvs");
        self.open_kernel(start)
    }

    /// Finds the kernel's IPVS.
    fn open_kernel(&mut self, start: &Start) -> bool {
        match Kernel::open(start.simulate) {
            Ok(kernel) => {
                self.kernel = kernel;
                true
            }
            Err(error) => {
                self.log.say(format!("IPVS: Can't initialize ipvs: {}", reason(&error)));
                false
            }
        }
    }

    /// Lets a virtual server act.
    fn with<T>(
        &mut self,
        at: usize,
        act: impl FnOnce(&mut machine::VirtualServer, &mut ServerActions<'_>) -> T,
    ) -> Option<T> {
        let Self { servers, kernel, teller, log, .. } = self;
        let Running { given, machine, .. } = servers.get_mut(at)?;
        Some(act(machine, &mut ServerActions { given, kernel, teller, log }))
    }

    /// Ends the attempts that are being made, without a result.
    fn abort_attempts(&mut self) {
        self.attempts.drain().for_each(|(_, attempt)| attempt.abort());
    }

    /// Starts the task that makes the checks.
    fn launch(state: &Rc<RefCell<Self>>) -> JoinHandle<()> {
        let mut own = state.borrow_mut();
        let Self { servers, log, random, .. } = &mut *own;
        let (mut due, now) = (Due::new(), Instant::now());
        for (server, running) in servers.iter().enumerate() {
            let config = running.machine.config();
            for (real, (check_states, named)) in running.check_states.iter().zip(&config.reals).enumerate() {
                for (check, check_state) in check_states.iter().enumerate() {
                    let probe = running.given.reals.get(real).and_then(|real| real.checks.get(check));
                    if probe.is_some_and(|check| check.probe.is_told()) {
                        continue;
                    }
                    let (name, of) = (&named.name, &config.name);
                    let how = if running.is_enabled() { "A" } else { "Dea" };
                    log.say(format!("{how}ctivating healthchecker for service {name} for VS {of}"));
                    let first = check_state.schedule.first(f64::from(random.next()) / f64::from(u32::MAX));
                    due.push(Reverse((now + first, (server, real, check))));
                }
            }
        }
        // As many stay.
        due.shrink_to_fit();
        spawn_local(repeat(state.clone(), due))
    }

    fn reap(&mut self) {
        self.teller.reap(&self.log);
    }

    /// Takes everything down at the end.
    fn end(&mut self, start: &Start) {
        let how = self.site.lvs.flush_on_stop;
        if !start.keep_servers && !self.kernel.flush_at_end(how, &self.log) {
            let flush = if how.is_some() { Flush::Service } else { Flush::Each };
            for at in 0..self.servers.len() {
                self.with(at, |machine, actions| machine.stop(flush, true, actions));
            }
        }
        self.teller.close();
        self.ping_groups.close();
        if self.own_sync().is_some() {
            self.kernel.stop_sync();
        }
        self.kernel.set_timeouts(crate::kernel::ipvs::Timeouts::default(), &self.log);
        self.log.say_stopped();
    }
}

impl Running {
    /// A virtual server that has not started.
    fn new(given: Rc<VirtualServer>) -> Self {
        let machine = machine::VirtualServer::new(given.config.clone());
        let check_states = given.reals.iter().map(|real| real.checks.iter().map(CheckState::new).collect()).collect();
        Self { given, machine, check_states, held: 0, kept: None }
    }
}
