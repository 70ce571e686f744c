//! The parent: it holds the pid file, passes signals on, and starts the VRRP process again when that dies.

mod script;

use self::script::{Phase, ProcessScript};
use super::cli::{code, look, version};
use super::log::{Log, Style};
use super::options::Options;
use super::read::Gravity;
use super::report::{self, Report, Reporter};
use super::router::{self, End, Start};
use super::site::Site;
use crate::conf::diagnostic::reason;
use crate::conf::expand::{Environment, Input};
use crate::run::pidfile::{Named, PidFile, named};
use crate::run::service::ServiceManager;
use crate::run::supervise::Respawn;
use crate::sys::process::{self, Daemon, Ready, Side};
use crate::sys::signal::{SignalQueue, realtime_first, realtime_last};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::time::TimeSpec;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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
}

/// The VRRP process.
enum Child {
    /// There is nothing for it to do.
    None,
    Running {
        pid: Pid,
        since: Instant,
    },
    /// It died and is started again then.
    Waiting {
        until: Instant,
    },
}

struct Parent<'a> {
    invocation: &'a Invocation,
    site: Site,
    /// There are virtual routers to run.
    routers: bool,
    log: Log,
    child: Child,
    respawn: Respawn,
    vrrp_pid: PathBuf,
    manager: ServiceManager,
    /// The startup script while it runs: the VRRP process starts after it.
    startup: Option<ProcessScript>,
    /// What the VRRP process reports.
    reports: Option<report::Receiver>,
}

/// What the service manager shows while all is well.
const RUNNING: &str = "Running";

/// What a process calls itself in the log: an instance has its name in it.
fn ident(site: &Site, process: &str) -> String {
    site.root.instance.as_ref().map_or_else(|| process.to_owned(), |instance| format!("{process}_{instance}"))
}

/// Runs the daemon; the code is the process's.
pub fn run(invocation: Invocation, site: Site, mut log: Log) -> u8 {
    if site.root.instance.is_some() {
        let ident = ident(&site, "Keepalived");
        log.say(format!("Changing syslog ident to {ident}"));
        log = Log::new(&ident, &invocation.style);
    }
    let pid = path(invocation.options.pid.as_deref(), &site, "keepalived");
    let vrrp_pid = path(invocation.options.vrrp_pid.as_deref(), &site, "vrrp");
    for file in [&pid, &vrrp_pid] {
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
    let (routers, site) = (!site.instances.is_empty(), site.without_routers());
    process::trim_memory();
    let parent = Parent {
        invocation: &invocation,
        site,
        routers,
        log,
        child: Child::None,
        respawn: Respawn::default(),
        vrrp_pid,
        manager,
        startup: None,
        reports: None,
    };
    let code = parent.live(ready);
    drop(file);
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

/// A pid file's path: an instance has its name in the file's, in the folder of pid files.
fn path(given: Option<&str>, site: &Site, name: &str) -> PathBuf {
    let root = &site.root;
    let folder = if root.instance.is_some() || root.use_pid_dir == Some(true) { "/run/keepalived" } else { "/run" };
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
            while let Some(signal) = queue.next() {
                match signal.number {
                    n if n == Signal::SIGTERM as i32 || n == Signal::SIGINT as i32 => return self.stop(&queue),
                    n if n == Signal::SIGHUP as i32 => self.reload(),
                    n if n == Signal::SIGCHLD as i32 => {}
                    other => self.pass(other),
                }
            }
            if self.startup.as_mut().is_some_and(|script| script.has_ended(Instant::now(), &self.log)) {
                self.startup = None;
                if let Some(code) = self.begin() {
                    return code;
                }
            }
            if let Some(code) = self.reap() {
                return code;
            }
            if let Child::Waiting { until } = self.child
                && until <= Instant::now()
                && let Some(code) = self.fork()
            {
                return code;
            }
        }
    }

    /// Starts what the configuration asks for, after the startup script; in the VRRP process, the code it ends with.
    fn begin(&mut self) -> Option<u8> {
        if !self.routers || !self.invocation.options.vrrp {
            self.log.say("Warning - keepalived has no configuration to run");
            self.manager.ready("No configuration to run");
        } else if let Some(code) = self.fork() {
            return Some(code);
        }
        self.log.say("Startup complete");
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
        let restart = match self.child {
            Child::Waiting { until } => Some(until),
            Child::None | Child::Running { .. } => None,
        };
        let script = self.startup.as_ref().map(ProcessScript::poll_timeout);
        let due = restart.into_iter().chain(script).chain(self.manager.poll_timeout()).min();
        let wait = due.map(|due| due.saturating_duration_since(Instant::now()));
        let mut fds = vec![PollFd::new(queue.as_fd(), PollFlags::POLLIN)];
        fds.extend(self.reports.as_ref().map(|reports| PollFd::new(reports.as_fd(), PollFlags::POLLIN)));
        // An interrupted sleep is a short one.
        let _ = ppoll(&mut fds, wait.map(TimeSpec::from_duration), None::<SigSet>);
    }

    /// Tells the service manager what the VRRP process has reported.
    fn hear(&mut self) {
        match self.reports.as_ref().and_then(report::Receiver::next) {
            None => {}
            Some(Report::Running) => self.manager.ready(RUNNING),
            Some(Report::Refused) => {
                self.manager.ready("Running with the previous configuration; the new one cannot be run");
            }
            Some(Report::Ended) => self.reports = None,
        }
    }

    /// Starts the VRRP process; in that process, the code it ends with.
    fn fork(&mut self) -> Option<u8> {
        let before = std::process::id();
        // Without a channel the VRRP process runs all the same, and nothing is sent to the service manager.
        let (reporter, reports) =
            report::channel().map_or_else(|_| (Reporter::default(), None), |(to, from)| (to, Some(from)));
        self.reports = reports;
        match process::fork() {
            Ok(Side::Parent(pid)) => {
                self.log.say(format!("Starting VRRP child process, pid={pid}"));
                self.child = Child::Running { pid, since: Instant::now() };
                None
            }
            Ok(Side::Child) => {
                self.reports = None;
                Some(self.become_child(before, reporter))
            }
            Err(error) => {
                self.log.say(format!("VRRP child process: fork error({})", reason(&error)));
                self.child = Child::Waiting { until: Instant::now() + Duration::from_secs(1) };
                None
            }
        }
    }

    fn become_child(&self, parent: u32, reporter: Reporter) -> u8 {
        let log = Log::new(&ident(&self.site, "Keepalived_vrrp"), &self.invocation.style);
        if let Some(name) = &self.site.global.vrrp_process_name {
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
        let file = PidFile::write(&self.vrrp_pid);
        if let Err(error) = &file {
            log.say(format!("VRRP child process: cannot write pidfile - {}", reason(error)));
        }
        let options = &self.invocation.options;
        let start = Start {
            inputs: self.invocation.inputs.clone(),
            environment: self.invocation.environment.clone(),
            keep_addresses: options.keep_addresses,
            watch_addresses: options.watch_addresses,
            dump: options.dump,
            allow_unserved: options.allow_unserved,
            fault_on_disabled_script: options.fault_on_disabled_script,
            read_processes: options.read_processes,
            umask: options.umask,
            record: options.record.clone(),
            reporter,
        };
        let end = router::run(start, log, &queue);
        drop(file);
        match end {
            End::Stopped => code::OK,
            End::Config => code::CONFIG,
            End::System => code::FAILED,
        }
    }

    fn pass(&self, number: i32) {
        if let Child::Running { pid, .. } = self.child {
            // A child that is gone is noticed by its own signal.
            let _ = process::signal(pid, number);
        }
    }

    /// Has the VRRP process read the configuration again, and takes the scripts of the parent from it.
    ///
    /// Differs from keepalived: a reload during the startup script does not start the VRRP process before that script ends. [test: a_reload_during_the_startup_script_waits_for_it]
    fn reload(&mut self) {
        self.log.say("Reloading ...");
        self.manager.reloading();
        self.adopt_scripts();
        match self.child {
            // The process reads the configuration when it starts.
            Child::None if self.startup.is_some() => {}
            Child::Running { .. } => self.pass(Signal::SIGHUP as i32),
            // Perhaps there is something to run now.
            Child::None if self.invocation.options.vrrp => self.child = Child::Waiting { until: Instant::now() },
            Child::None => self.manager.ready("No configuration to run"),
            Child::Waiting { .. } => {}
        }
    }

    /// Takes the scripts of the configuration as it is now, unless it cannot be run.
    fn adopt_scripts(&mut self) {
        let Ok(reading) = look(&self.invocation.inputs, &self.invocation.environment) else { return };
        let refused = !self.invocation.options.allow_unserved && !reading.unserved.is_empty();
        if refused || reading.worst() >= Some(Gravity::Fatal) {
            return;
        }
        let Site { global, instances, .. } = reading.into_site();
        self.routers = !instances.is_empty();
        self.site.global = global;
        process::trim_memory();
    }

    /// Looks whether the child has ended; a code when the daemon must end with it.
    fn reap(&mut self) -> Option<u8> {
        let Child::Running { pid, since } = self.child else { return None };
        let status = waitpid(pid, Some(WaitPidFlag::WNOHANG)).ok()?;
        match status {
            WaitStatus::StillAlive => return None,
            WaitStatus::Exited(_, status) if status == i32::from(code::CONFIG) => {
                self.log.alert(format!("pid {pid} exited with permanent error CONFIG. Terminating"));
                return Some(code::CONFIG);
            }
            WaitStatus::Signaled(_, Signal::SIGSEGV, _) => {
                self.log.alert("Keepalived_vrrp exited due to segmentation fault (SIGSEGV).");
            }
            _ => {}
        }
        if self.invocation.options.no_respawn {
            self.log.alert(format!("VRRP child process({pid}) died: Exiting"));
            return Some(code::FAILED);
        }
        let now = Instant::now();
        let wait = self.respawn.after(since, now);
        self.log.alert(format!("VRRP child process({pid}) died: Respawning"));
        if !wait.is_zero() {
            let seconds = wait.as_secs();
            self.log.alert(format!("Restart of VRRP process delayed {seconds} seconds to limit respawn rate"));
        }
        self.child = Child::Waiting { until: now + wait };
        None
    }

    /// Stops the VRRP process, then runs the shutdown script.
    ///
    /// Differs from keepalived: a startup script that still runs is ended first. [test: a_startup_script_ends_before_the_shutdown_script_is_run]
    fn stop(&mut self, queue: &SignalQueue) -> u8 {
        self.log.say("Stopping");
        self.manager.stopping();
        if let Some(mut script) = self.startup.take() {
            script.terminate(Instant::now());
            self.await_script(script, queue);
        }
        if let Child::Running { pid, .. } = self.child {
            // A child that is gone already has stopped.
            let _ = kill(pid, Signal::SIGTERM);
            let patience = self.site.root.child_wait_time.unwrap_or(5).max(0) as u64;
            let until = Instant::now() + Duration::from_secs(patience);
            while matches!(waitpid(pid, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive)) {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    self.log.say("vrrp process failed to die - forcing termination");
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
