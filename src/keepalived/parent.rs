//! The parent: it holds the pid file, passes signals on, and starts its processes again when they die.

mod mark;
mod part;
mod schedule;
mod script;

use self::mark::ReloadMark;
use self::part::{Child, Part, Role};
use self::schedule::ReloadSchedule;
use self::script::{Phase, ProcessScript};
use super::bfd::{self, EventSocket};
use super::checkers;
use super::cli::{code, is_valid, look, version};
use super::control::{self, Control};
use super::dump;
use super::log::{Log, Style, cause};
use super::namespace::{self, Namespace};
use super::options::Options;
use super::read::{Gravity, Pass, Reading};
use super::report::{self, Report, Reporter};
use super::router::{self, End, Start};
use super::site::Site;
use crate::conf::diagnostic::reason;
use crate::conf::expand::{Environment, Input};
use crate::run::pidfile::{Named, PidFile, named};
use crate::run::service::ServiceManager;
use crate::run::supervise;
use crate::sys::memory::end_start;
use crate::sys::process::{self, Daemon, Ready, Side};
use crate::sys::signal::{self, SignalQueue, realtime_first, realtime_last};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::time::TimeSpec;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::fs::DirBuilder;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// What the program was started with.
pub struct Invocation {
    /// The configuration files.
    pub inputs: Vec<Input>,
    /// What its text depends on.
    pub environment: Environment,
    /// The command line.
    pub options: Options,
    /// How lines are written.
    pub style: Style,
    /// The network namespace the daemon runs in, if it is one of its own.
    pub namespace: Option<Namespace>,
}

struct Parent<'a> {
    invocation: &'a Invocation,
    site: Site,
    log: Log,
    /// The processes, in the order of [`Role::ALL`].
    parts: [Part; 3],
    /// The way from the BFD process to the VRRP process, kept open for those that are started again.
    sessions: Option<(EventSocket, EventSocket)>,
    /// The same from the BFD process to the process of health checks.
    check_sessions: Option<(EventSocket, EventSocket)>,
    manager: ServiceManager,
    /// The startup script while it runs: the VRRP process starts after it.
    startup: Option<ProcessScript>,
    /// The status, and who asks for it.
    control: Option<Control>,
    /// The time of the next reload.
    schedule: Option<ReloadSchedule>,
    /// The file that is there while the configuration is read.
    reload_file: Option<ReloadMark>,
    /// Configurations that were kept in `config_save_dir`.
    saved: u32,
}

/// Reports that are taken before everybody else has a turn.
const REPORTS: usize = 4096;

/// What the service manager shows while all is well.
const RUNNING: &str = "Running";

/// What a process calls itself in the log: network namespace and instance have their names in it.
fn ident(site: &Site, process: &str) -> String {
    let names = [&site.root.net_namespace, &site.root.instance];
    names.into_iter().flatten().fold(process.to_owned(), |ident, name| format!("{ident}_{name}"))
}

/// The log under the name that network namespace and instance give it.
pub fn renamed(site: &Site, log: Log, style: &Style) -> Log {
    let ident = ident(site, "Keepalived");
    if ident == "Keepalived" {
        return log;
    }
    log.say(format!("Changing syslog ident to {ident}"));
    Log::new(&ident, style)
}

/// Says what the first process has to say of a configuration; each process behind it says what is its own.
pub fn tell(reading: &Reading, inputs: &[Input], log: &Log) {
    for input in inputs {
        log.say(format!("Opening file '{}'.", input.shown));
    }
    reading.told().iter().filter(|(pass, _)| *pass == Pass::Parent).for_each(|(_, complaint)| log.say(&complaint.text));
}

/// Names what a configuration asks for and does not get, where that is allowed.
pub fn tell_left_out(reading: &Reading, allowed: bool, log: &Log) {
    reading.unserved.iter().filter(|_| allowed).for_each(|line| log.say(format!("{line}, left out")));
}

/// Runs the daemon; the code is the process's.
pub fn run(invocation: Invocation, site: Site, log: Log) -> u8 {
    let options = &invocation.options;
    let pid = path(options.pid.as_deref(), &site, "keepalived");
    let parts = Role::ALL.map(|role| {
        let pid_file = path(role.given_pid_file(options), &site, role.names().pid_file);
        Part::new(role, role.is_wanted(&site, options), pid_file)
    });
    let allowed = parts.iter().filter(|part| part.role.is_allowed(options));
    for file in std::iter::once(&pid).chain(allowed.map(|part| &part.pid_file)) {
        if is_running(file, &mut |line| log.say(line)) {
            log.say("daemon is already running");
            return code::OK;
        }
    }
    let manager = ServiceManager::take();
    let (ready, log) = if invocation.options.foreground {
        (Ready::nobody(), log)
    } else {
        match process::daemonise() {
            Ok(Daemon::Starter(code)) => return code,
            // The log lines of a daemon carry the daemon's own number.
            Ok(Daemon::Daemon(ready)) => (ready, Log::new(&ident(&site, "Keepalived"), &invocation.style)),
            Err(error) => {
                log.say(format!("Unable to daemonise - {}", reason(&error)));
                return code::FAILED;
            }
        }
    };
    if let Some(mask) = invocation.options.umask.or(site.global.umask) {
        router::set_umask(mask);
    }
    if invocation.options.core {
        let unlimited = nix::sys::resource::RLIM_INFINITY;
        // A hard limit below stays what it is.
        let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, unlimited, unlimited);
    }
    script::check(&site, &log);
    let file = match PidFile::write(&pid) {
        Ok(file) => file,
        Err(error) => {
            log.say(format!("pidfile_write : Cannot open {} pidfile - {}", pid.display(), reason(&error)));
            ready.tell(code::FAILED);
            return code::FAILED;
        }
    };
    if let Some(name) = &site.global.process_name {
        process::rename(name);
    }
    // A process of its own reads and keeps what virtual routers are; what this one keeps, that one gets as well.
    let name = ident(&site, "Keepalived");
    let site = site.without_routers();
    process::trim_memory();
    let parent = Parent {
        invocation: &invocation,
        site,
        parts,
        sessions: bfd::channel().ok(),
        check_sessions: bfd::channel().ok(),
        manager,
        startup: None,
        control: open_control(&invocation, &pid, &log),
        schedule: None,
        reload_file: None,
        saved: 0,
        log,
    };
    let own = std::process::id();
    let code = parent.live(ready);
    drop(file);
    // A child that ends comes by here too.
    if std::process::id() == own {
        let log = Log::new(&name, &invocation.style);
        invocation.namespace.iter().for_each(|namespace| namespace.close(&log));
        // Another daemon may have its files there.
        let _ = std::fs::remove_dir(namespace::PID_FOLDER);
    }
    code
}

/// Whether the process a pid file names is alive, and another one.
///
/// Differs from keepalived: a pid file without a number is removed and does not stop the start. [test: a_pid_file_without_a_number_does_not_stop_the_start]
fn is_running(pid_file: &Path, say: &mut dyn FnMut(String)) -> bool {
    let line = match named(pid_file) {
        Named::Nobody => return false,
        Named::Alive(other) => return other != std::process::id() as i32,
        Named::Garbage => format!("Error reading pid file {}", pid_file.display()),
        Named::Dead => format!("Remove a zombie pid file {}", pid_file.display()),
    };
    say(line);
    // One that cannot be removed is replaced by ours.
    let _ = std::fs::remove_file(pid_file);
    false
}

/// The status of this daemon, and where it is asked for.
fn open_control(invocation: &Invocation, pid: &Path, log: &Log) -> Option<Control> {
    let options = &invocation.options;
    let mut control = Control::new(env!("CARGO_PKG_VERSION"));
    if !options.no_control_socket {
        let path = options.control_socket.as_ref().map_or_else(|| control::path(pid), PathBuf::from);
        control.listen_at(&path, log);
    }
    if let Some(address) = options.metrics {
        control.tell_metrics_at(address, log);
    }
    control.is_open().then_some(control)
}

/// A pid file's path: an instance has its name in the file's, in the folder of pid files.
fn path(given: Option<&str>, site: &Site, name: &str) -> PathBuf {
    let root = &site.root;
    let own = root.instance.is_some() || root.net_namespace.is_some() || root.use_pid_dir == Some(true);
    let folder = if own { namespace::PID_FOLDER } else { "/run" };
    let suffix = root.instance.as_ref().map(|instance| format!("_{instance}")).unwrap_or_default();
    given.map_or_else(|| Path::new(folder).join(format!("{name}{suffix}.pid")), PathBuf::from)
}

fn signals() -> [i32; 8] {
    let known = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGCHLD];
    let [hup, int, term, usr1, usr2, chld] = known.map(|signal| signal as i32);
    [hup, int, term, usr1, usr2, chld, realtime_last() - 1, realtime_first() + 2]
}

impl Parent<'_> {
    fn live(mut self, ready: Ready) -> u8 {
        let queue = match SignalQueue::new(&signals()) {
            Ok(queue) => queue,
            Err(error) => {
                self.log.say(format!("Unable to queue signals - {}", reason(&error)));
                ready.tell(code::FAILED);
                return code::FAILED;
            }
        };
        if self.site.global.config_save_dir.is_some()
            && let Ok(reading) = look(&self.invocation.inputs, &self.invocation.environment)
        {
            self.save(&reading);
        }
        self.startup = self.run_script(Phase::Startup);
        if self.startup.is_none()
            && let Some(code) = self.begin()
        {
            return code;
        }
        if !self.invocation.options.foreground
            && let Err(error) = process::silence()
        {
            self.log.say(format!("Unable to leave the terminal - {}", reason(&error)));
        }
        ready.tell(code::OK);
        loop {
            self.sleep(&queue);
            self.manager.sign_of_life(Instant::now());
            self.hear();
            self.answer();
            while let Some(signal) = queue.next() {
                match signal.number {
                    n if n == Signal::SIGTERM as i32 || n == Signal::SIGINT as i32 => return self.stop(&queue),
                    n if n == Signal::SIGHUP as i32 => self.reload(),
                    n if n == Signal::SIGCHLD as i32 => {}
                    other => self.pass(other),
                }
            }
            if self.schedule.as_mut().is_some_and(|schedule| !schedule.look(&self.log)) {
                self.schedule = None;
            }
            if self.schedule.as_ref().is_some_and(|schedule| schedule.is_due(SystemTime::now())) {
                self.reload();
            }
            if self.startup.as_mut().is_some_and(|script| script.has_ended(Instant::now(), &self.log)) {
                self.startup = None;
                if let Some(code) = self.begin() {
                    return code;
                }
            }
            for at in 0..self.parts.len() {
                if let Some(code) = self.reap(at) {
                    return code;
                }
                let due = self.parts.get(at).and_then(Part::poll_timeout);
                if due.is_some_and(|until| until <= Instant::now())
                    && let Some(code) = self.fork(at)
                {
                    return code;
                }
            }
        }
    }

    /// Starts what the configuration asks for, after the startup script; in a process of its own, the code that ends with.
    fn begin(&mut self) -> Option<u8> {
        let mut idle = true;
        for role in Role::START {
            let options = &self.invocation.options;
            let wanted = |part: &Part| part.role == role && part.wanted && role.is_allowed(options);
            let Some(at) = self.parts.iter().position(wanted) else { continue };
            idle = false;
            if let Some(code) = self.fork(at) {
                return Some(code);
            }
        }
        if !self.runs(Role::Vrrp) && !idle {
            self.manager.ready(RUNNING);
        }
        self.schedule = ReloadSchedule::start(&self.site.global, &self.log);
        if idle {
            self.log.say("Warning - keepalived has no configuration to run");
            self.manager.ready("No configuration to run");
        }
        self.log.say("Startup complete");
        end_start();
        None
    }

    fn run_script(&self, phase: Phase) -> Option<ProcessScript> {
        let mask = self.invocation.options.umask.or(self.site.global.umask);
        ProcessScript::start(phase, &self.site, mask, &self.log)
    }

    /// Waits for the end of a script; signals that arrive meanwhile change nothing.
    fn await_script(&mut self, mut script: ProcessScript, queue: &SignalQueue) {
        while !script.has_ended(Instant::now(), &self.log) {
            let due = self.manager.poll_timeout().into_iter().chain([script.poll_timeout()]).min();
            let wait = due.map(|due| due.saturating_duration_since(Instant::now()));
            let mut fds = [PollFd::new(queue.as_fd(), PollFlags::POLLIN)];
            // An interrupted sleep is a short one.
            let _ = ppoll(&mut fds, wait.map(TimeSpec::from_duration), None::<SigSet>);
            while queue.next().is_some() {}
            self.manager.sign_of_life(Instant::now());
        }
    }

    fn sleep(&self, queue: &SignalQueue) {
        let restart = self.parts.iter().filter_map(Part::poll_timeout);
        let script = self.startup.as_ref().map(ProcessScript::poll_timeout);
        let now = Instant::now();
        let clients = self.control.as_ref().and_then(|control| control.poll_timeout(now));
        let due = restart.chain(script).chain(self.manager.poll_timeout()).chain(clients);
        let reload = self.schedule.as_ref().and_then(|schedule| schedule.poll_timeout(SystemTime::now()));
        let due = due.chain(reload.map(|left| now + left)).min();
        let wait = due.map(|due| due.saturating_duration_since(Instant::now()));
        let mut fds = vec![PollFd::new(queue.as_fd(), PollFlags::POLLIN)];
        let reports = self.parts.iter().filter_map(|part| part.reports.as_ref());
        fds.extend(reports.map(|reports| PollFd::new(reports.as_fd(), PollFlags::POLLIN)));
        fds.extend(self.schedule.as_ref().map(|schedule| PollFd::new(schedule.as_fd(), PollFlags::POLLIN)));
        let clients = self.control.iter().flat_map(|control| control.interests(now));
        fds.extend(clients.map(|(fd, flags)| PollFd::new(fd, flags)));
        // An interrupted sleep is a short one.
        let _ = ppoll(&mut fds, wait.map(TimeSpec::from_duration), None::<SigSet>);
    }

    /// Takes what processes have reported, for the service manager and those who ask.
    fn hear(&mut self) {
        for part in &mut self.parts {
            for _ in 0..REPORTS {
                let Some(report) = part.reports.as_mut().and_then(report::Receiver::next) else { break };
                part.reading &= !matches!(report, Report::Running | Report::Refused | Report::Read | Report::Ended);
                match &report {
                    Report::Running => self.manager.ready(RUNNING),
                    Report::Refused => {
                        self.manager.ready("Running with the previous configuration; the new one cannot be run");
                    }
                    Report::Ended => part.reports = None,
                    _ => {}
                }
                if let Some(control) = &mut self.control {
                    control.take(report, Instant::now());
                }
            }
        }
        if !self.parts.iter().any(|part| part.reading) {
            self.reload_file = None;
        }
    }

    /// Answers clients; where the status is old, the VRRP process is asked for a newer one first.
    fn answer(&mut self) {
        let Some(control) = &mut self.control else { return };
        if control.run(Instant::now()) {
            let vrrp = self.parts.iter().filter(|part| part.role == Role::Vrrp);
            vrrp.filter_map(|part| part.reports.as_ref()).for_each(report::Receiver::ask);
        }
    }

    /// Whether a process runs.
    fn runs(&self, role: Role) -> bool {
        self.parts.iter().any(|part| part.role == role && part.pid().is_some())
    }

    /// Starts a process; in that process, the code it ends with.
    fn fork(&mut self, at: usize) -> Option<u8> {
        let role = self.parts.get(at).map(|part| part.role)?;
        let before = std::process::id();
        // Without a channel it runs all the same, and nothing is sent to the service manager.
        let (reporter, reports) = report::channel().ok().unzip();
        let reporter = reporter.unwrap_or_default();
        if let Some(part) = self.parts.get_mut(at) {
            (part.reading, part.reports) = (reports.is_some() && role.reports_reading(), reports);
        }
        match process::fork() {
            Ok(Side::Parent(pid)) => {
                self.log.say(format!("Starting {} child process, pid={pid}", role.names().line));
                self.set(at, Child::Running { pid, since: Instant::now() });
                self.note_process(role, Some(pid.as_raw()));
                None
            }
            Ok(Side::Child) => {
                let reports_status = self.control.is_some();
                self.parts.iter_mut().for_each(|part| part.reports = None);
                (self.control, self.schedule) = (None, None);
                Some(self.become_child(at, before, (reporter, reports_status)))
            }
            Err(error) => {
                self.log.say(format!("{} child process: fork error({})", role.names().line, reason(&error)));
                self.set(at, Child::Waiting { until: Instant::now() + Duration::from_secs(1) });
                None
            }
        }
    }

    /// A process runs with this number, or does not run.
    fn note_process(&mut self, role: Role, pid: Option<i32>) {
        match (&mut self.control, role) {
            (Some(control), Role::Vrrp) => control.set_process(pid),
            (Some(control), Role::Checkers) => control.set_checkers(pid),
            _ => {}
        }
    }

    fn set(&mut self, at: usize, child: Child) {
        if let Some(part) = self.parts.get_mut(at) {
            part.child = child;
        }
    }

    fn become_child(&self, at: usize, parent: u32, (reporter, reports_status): (Reporter, bool)) -> u8 {
        let Some(part) = self.parts.get(at) else { return code::FAILED };
        let names = part.role.names();
        let log = Log::new(&ident(&self.site, names.program), &self.invocation.style);
        if let Some(name) = part.role.process_name(&self.site.global) {
            process::rename(name);
        }
        // A parent that died before this line would never be noticed otherwise.
        let orphan =
            process::die_with_parent(Signal::SIGTERM).is_err() || nix::unistd::getppid().as_raw() as u32 != parent;
        let Ok(queue) = SignalQueue::new(&signals()) else { return code::FAILED };
        if orphan {
            return code::FAILED;
        }
        if !self.invocation.options.foreground {
            // The parent's pipes and terminal are not the child's.
            let _ = process::silence();
        }
        let file = PidFile::write(&part.pid_file);
        if let Err(error) = &file {
            log.say(format!("{} child process: cannot write pidfile - {}", names.line, reason(error)));
        }
        let code = match part.role {
            Role::Vrrp => self.run_routers(log, &queue, (reporter, reports_status)),
            Role::Checkers => self.run_checkers(log, &queue, (reporter, reports_status)),
            Role::Bfd => self.run_sessions(log, &queue, reporter),
        };
        drop(file);
        code
    }

    fn run_checkers(&self, log: Log, queue: &SignalQueue, (reporter, reports_status): (Reporter, bool)) -> u8 {
        let options = &self.invocation.options;
        let start = checkers::Start {
            dump: options.dump,
            inputs: self.invocation.inputs.clone(),
            environment: self.invocation.environment.clone(),
            allow_unserved: options.allow_unserved,
            simulate: options.simulate_ipvs,
            keep_servers: options.keep_servers,
            sessions: self.check_sessions.as_ref().map(|(_, sessions)| sessions.clone()),
            reporter,
            reports_status,
        };
        match checkers::run(&start, log, queue) {
            checkers::End::Stopped => code::OK,
            checkers::End::Config => code::CONFIG,
            checkers::End::Fatal => code::FATAL,
        }
    }

    fn run_sessions(&self, log: Log, queue: &SignalQueue, reporter: Reporter) -> u8 {
        let Some((events, _)) = &self.sessions else { return code::FAILED };
        let start = bfd::Start {
            dump: self.invocation.options.dump,
            inputs: self.invocation.inputs.clone(),
            environment: self.invocation.environment.clone(),
            allow_unserved: self.invocation.options.allow_unserved,
            events: events.clone(),
            check_events: self.check_sessions.as_ref().map(|(events, _)| events.clone()),
            reporter,
        };
        match bfd::run(start, log, queue) {
            bfd::End::Stopped => code::OK,
            bfd::End::Config => code::CONFIG,
            bfd::End::System => code::FAILED,
        }
    }

    fn run_routers(&self, log: Log, queue: &SignalQueue, (reporter, reports_status): (Reporter, bool)) -> u8 {
        let options = &self.invocation.options;
        let start = Start {
            inputs: self.invocation.inputs.clone(),
            environment: self.invocation.environment.clone(),
            keep_addresses: options.keep_addresses,
            watch_addresses: options.watch_addresses,
            dump: options.dump,
            allow_unserved: options.allow_unserved,
            simulate_ipvs: options.simulate_ipvs,
            fault_on_disabled_script: options.fault_on_disabled_script,
            read_processes: options.read_processes,
            detect_conflicts: options.detect_conflicts,
            explain_start: options.explain_start,
            umask: options.umask,
            record: options.record.clone(),
            reporter,
            reports_status,
            sessions: self.sessions.as_ref().map(|(_, sessions)| sessions.clone()),
            namespace: self.site.root.net_namespace.clone(),
            process_monitor: self.invocation.namespace.as_ref().and_then(Namespace::process_monitor),
        };
        match router::run(start, log, queue) {
            End::Stopped => code::OK,
            End::Config => code::CONFIG,
            End::System => code::FAILED,
            End::Fatal => code::FATAL,
        }
    }

    fn pass(&self, number: i32) {
        for pid in self.parts.iter().filter(|part| part.role.takes(number)).filter_map(Part::pid) {
            // A child that is gone is noticed by its own signal.
            let _ = process::signal(pid, number);
        }
    }

    /// Has the VRRP process read the configuration again, and takes the scripts of the parent from it.
    ///
    /// Differs from keepalived: a reload during the startup script does not start the VRRP process before that script ends. [test: a_reload_during_the_startup_script_waits_for_it]
    fn reload(&mut self) {
        self.reload_file = ReloadMark::set(&self.site, &self.log);
        if let Some(target) = &self.site.global.reload_check {
            self.log.detail("validate conf before Reload");
            let Invocation { inputs, environment, options, .. } = self.invocation;
            if !is_valid(inputs, environment, (target, options.allow_unserved)) {
                self.log.say(format!("New config failed validation, see {target} for details"));
                self.reload_file = None;
                return;
            }
        }
        self.log.say("Reloading ...");
        self.manager.reloading();
        self.schedule = None;
        // One that cannot be read is refused by the process that runs it.
        if let Ok(reading) = look(&self.invocation.inputs, &self.invocation.environment) {
            self.save(&reading);
            tell(&reading, &self.invocation.inputs, &self.log);
            tell_left_out(&reading, self.invocation.options.allow_unserved, &self.log);
            if self.is_unsupported_change(&reading.site) {
                self.schedule = ReloadSchedule::start(&self.site.global, &self.log);
                return self.manager.ready(RUNNING);
            }
            self.adopt_scripts(reading);
        }
        if self.startup.is_none() {
            self.schedule = ReloadSchedule::start(&self.site.global, &self.log);
        }
        self.pass(Signal::SIGHUP as i32);
        for part in &mut self.parts {
            part.reading = part.role.reports_reading() && part.pid().is_some();
        }
        // A process reads the configuration when it starts.
        if self.startup.is_some() {
            return;
        }
        let options = &self.invocation.options;
        let idle = self.parts.iter().all(|part| matches!(part.child, Child::None));
        for part in &mut self.parts {
            // Perhaps there is something to run now; where nothing runs, one process says what is wrong.
            let wanted = part.wanted || idle && part.role == Role::Vrrp;
            if matches!(part.child, Child::None) && wanted && part.role.is_allowed(options) {
                part.child = Child::Waiting { until: Instant::now() };
            }
        }
        if self.parts.iter().all(|part| matches!(part.child, Child::None)) {
            self.manager.ready("No configuration to run");
        }
    }

    /// Keeps the text of a configuration, where it asks for that; the passwords in it are for its owner alone.
    fn save(&mut self, reading: &Reading) {
        let Some(folder) = &reading.site.global.config_save_dir else { return };
        let folder = folder.strip_suffix('/').unwrap_or(folder);
        let made = DirBuilder::new().mode(0o700).create(folder);
        if let Err(error) = made.or_else(|error| if Path::new(folder).is_dir() { Ok(()) } else { Err(error) }) {
            let (number, text) = cause(&error);
            self.log.say(format!("Unable to create config_save_dir {folder} (error {number} - {text})"));
            return;
        }
        let path = format!("{folder}/keepalived.conf.{}.{}", std::process::id(), self.saved);
        self.saved += 1;
        if let Err(error) = dump::write(&path, &reading.text) {
            self.log.say(format!("Failed to open config_save file {path} - {}", reason(&error)));
        }
    }

    /// Whether the configuration as it is now has what no reload can change, which is logged: nothing is reloaded then.
    fn is_unsupported_change(&self, new: &Site) -> bool {
        let old = &self.site;
        let namespace = self.invocation.options.namespace.as_ref().or(new.root.net_namespace.as_ref());
        let table = |site: &Site| site.global.nftables.clone();
        let changes = [
            (old.root.net_namespace.as_ref() != namespace, "network namespace"),
            (old.root.instance != new.root.instance, "instance name"),
            (table(old) != table(new), "nftables table name"),
        ];
        for (_, what) in changes.iter().filter(|(changed, _)| *changed) {
            self.log.say(format!("Cannot change {what} at a reload - please restart keepalived"));
        }
        changes.iter().any(|(changed, _)| *changed)
    }

    /// Takes the scripts of the configuration as it is now, unless it cannot be run.
    fn adopt_scripts(&mut self, reading: Reading) {
        let refused = !self.invocation.options.allow_unserved && !reading.unserved.is_empty();
        if refused || reading.worst() >= Some(Gravity::Fatal) {
            return;
        }
        let site = reading.into_site();
        for part in &mut self.parts {
            part.wanted = part.role.is_wanted(&site, &self.invocation.options);
        }
        self.site.global = site.global;
        process::trim_memory();
    }

    /// Looks whether a process has ended; a code when the daemon must end with it.
    fn reap(&mut self, at: usize) -> Option<u8> {
        let part = self.parts.get(at)?;
        let (Child::Running { pid, since }, role) = (part.child, part.role) else { return None };
        let status = waitpid(pid, Some(WaitPidFlag::WNOHANG)).ok()?;
        match status {
            WaitStatus::StillAlive => return None,
            WaitStatus::Exited(_, status) if status == i32::from(code::CONFIG) => {
                self.log.alert(format!("pid {pid} exited with permanent error CONFIG. Terminating"));
                return Some(code::CONFIG);
            }
            WaitStatus::Exited(_, status) if status == i32::from(code::FATAL) => {
                self.log.alert(format!("pid {pid} exited with permanent error FATAL. Terminating"));
                self.log.say(format!("Stopped {}", version()));
                // As keepalived does, without an error in the exit code.
                return Some(code::OK);
            }
            WaitStatus::Signaled(_, Signal::SIGSEGV, _) => {
                let name = role.names().program;
                self.log.alert(format!("{name} exited due to segmentation fault (SIGSEGV)."));
            }
            WaitStatus::Signaled(_, signal, _) => {
                let number = signal as i32;
                self.log.say(format!("pid {pid} exited due to signal {number} ({})", signal::text(number)));
            }
            WaitStatus::Exited(_, status) if status != 0 => {
                self.log.say(format!("pid {pid} exited with status {status}"));
            }
            _ => {}
        }
        let name = role.names().line;
        if let Some(part) = self.parts.get_mut(at) {
            part.reading = false;
        }
        self.note_process(role, None);
        if self.invocation.options.no_respawn {
            self.log.alert(format!("{name} child process({pid}) died: Exiting"));
            return Some(code::FAILED);
        }
        let now = Instant::now();
        let wait = self.parts.get_mut(at)?.respawn.after(since, now);
        self.log.alert(format!("{name} child process({pid}) died: Respawning"));
        if now.duration_since(since) < supervise::LONG {
            let seconds = wait.as_secs();
            self.log.alert(format!("Restart of {name} process delayed {seconds} seconds to limit respawn rate"));
        }
        self.set(at, Child::Waiting { until: now + wait });
        None
    }

    /// Stops all processes, then runs the shutdown script.
    ///
    /// Differs from keepalived: a startup script that still runs is ended first. [test: a_startup_script_ends_before_the_shutdown_script_is_run]
    fn stop(&mut self, queue: &SignalQueue) -> u8 {
        self.log.say("Stopping");
        self.manager.stopping();
        (self.control, self.schedule) = (None, None);
        if let Some(mut script) = self.startup.take() {
            script.terminate(Instant::now());
            self.await_script(script, queue);
        }
        let running: Vec<(&'static str, Pid)> =
            self.parts.iter().filter_map(|part| Some((part.role.names().short, part.pid()?))).collect();
        for (_, pid) in &running {
            // A child that is gone already has stopped.
            let _ = kill(*pid, Signal::SIGTERM);
        }
        for (name, pid) in running {
            let patience = self.site.root.child_wait_time.unwrap_or(5).max(0) as u64;
            let until = Instant::now() + Duration::from_secs(patience);
            while matches!(waitpid(pid, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive)) {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    self.log.say(format!("{name} process failed to die - forcing termination"));
                    let _ = kill(pid, Signal::SIGKILL);
                    let _ = waitpid(pid, None);
                    break;
                }
                let mut fds = [PollFd::new(queue.as_fd(), PollFlags::POLLIN)];
                let _ = ppoll(&mut fds, Some(TimeSpec::from_duration(left)), None::<SigSet>);
                while queue.next().is_some() {}
            }
        }
        if let Some(script) = self.run_script(Phase::Shutdown) {
            self.await_script(script, queue);
        }
        self.log.say(format!("Stopped {}", version()));
        code::OK
    }
}

#[cfg(test)]
mod tests;
