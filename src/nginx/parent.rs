//! The parent: opens, forks, waits for signals, and ships reloads to the running worker.
//!
//! It is one loop over poll(2) with deadlines. A reload whose verdict is awaited and workers that must end are states of
//! it, so that it acts on every signal at once, whatever a worker does.

use super::bundle::{Bundle, Recorder, SystemResolver};
use super::channel::{self, Channel, Kind};
use super::generation::{self, Generation, Inputs, Reading};
use super::open::{self, Listeners};
use super::unserved::Judged;
use super::{liveness, verdict, worker};
use crate::conf::bytes;
use crate::conf::disk::Disk;
use crate::log::{Level, Log};
use crate::net::listen;
use crate::run::service::ServiceManager;
use crate::sys::process::{Side, Title, fork};
use crate::sys::signal::SignalQueue;
use crate::zone::registry::Registry as Zones;
use nix::fcntl::{FcntlArg, OFlag};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// What is logged of every configuration that is put to use.
pub const EPOLL: &str = "using the \"epoll\" event method";

/// Names sockets for a new binary, as nginx names them.
pub const INHERIT: &str = "NGINX";

/// A worker process.
struct Worker {
    pid: Pid,
    channel: Channel,
    /// It was told to end.
    leaving: bool,
}

/// A reload whose verdict the worker has not given yet.
struct Pending {
    worker: Pid,
    next: Generation,
    /// Listening sockets that were opened for it.
    opened: Vec<String>,
    /// When those who wait for the verdict are told that there is none.
    until: Instant,
    askers: Vec<verdict::Asker>,
}

/// How long those who wait for a verdict wait.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long workers that must end at once have for it, as nginx's have.
const TO_END: Duration = Duration::from_secs(3);

/// The parent's state.
pub struct Parent {
    /// What the run was asked to do.
    pub inputs: Inputs,
    /// The configuration at work.
    pub generation: Generation,
    /// Listening sockets.
    pub listeners: Listeners,
    /// The program and its arguments, for USR2.
    pub arguments: Vec<std::ffi::OsString>,
    workers: Vec<Worker>,
    title: Title,
    /// The new binary started by USR2.
    upgrade: Option<Pid>,
    /// The process that started this one: an older binary, or what ran the starter of a daemon.
    started_by: u32,
    /// It left the terminal, or an older binary did.
    daemonized: bool,
    /// WINCH: no workers until HUP.
    resting: bool,
    stopping: bool,
    pending: Option<Pending>,
    /// Those who asked for another reload while one is under way.
    again: Option<Vec<verdict::Asker>>,
    /// When workers that were told to end at once are killed.
    kill_at: Option<Instant>,
    manager: ServiceManager,
    /// Where the worker says that it is alive.
    liveness: Option<UnixListener>,
    /// It follows an older binary, which is the service's main process until it ends.
    follows: bool,
}

/// What the service manager shows while all is well.
const SERVING: &str = "Serving";

/// Signals the parent acts upon.
const SIGNALS: [Signal; 8] = [
    Signal::SIGHUP,
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGCHLD,
];

impl Parent {
    /// A parent of an opened generation.
    pub fn new(
        inputs: Inputs,
        generation: Generation,
        listeners: Listeners,
        arguments: Vec<std::ffi::OsString>,
        title: Title,
        manager: ServiceManager,
    ) -> Self {
        Self {
            manager,
            liveness: None,
            follows: std::env::var_os(INHERIT).is_some(),
            started_by: std::os::unix::process::parent_id(),
            daemonized: generation.process.daemon || std::env::var_os(INHERIT).is_some(),
            inputs,
            generation,
            listeners,
            arguments,
            title,
            workers: Vec::new(),
            upgrade: None,
            resting: false,
            stopping: false,
            pending: None,
            again: None,
            kill_at: None,
        }
    }

    fn log(&self) -> &Log {
        &self.generation.log
    }

    /// Runs until told to stop.
    pub fn run(mut self, ready: impl FnOnce()) -> ExitCode {
        let numbers: Vec<i32> = SIGNALS.iter().map(|signal| *signal as i32).collect();
        let Ok(signals) = SignalQueue::new(&numbers) else { return ExitCode::FAILURE };
        self.log().write(Level::Notice, None, "start worker processes");
        let words: Vec<_> = self.arguments.iter().map(|word| word.to_string_lossy()).collect();
        self.title.set(&format!("nginx: master process {}", words.join(" ")));
        let asked = verdict::listen();
        self.liveness = liveness::listen();
        if !self.start_worker(&signals) {
            return ExitCode::FAILURE;
        }
        ready();
        if self.follows {
            self.manager.ready_beside();
        } else {
            self.manager.ready(SERVING);
        }
        let mut waiting = Vec::new();
        loop {
            self.wait(&signals, asked.as_ref());
            self.manager.sign_of_life(Instant::now());
            let askers = || asked.as_ref().map(verdict::accept).unwrap_or_default();
            waiting.extend(askers());
            while let Some(arrived) = signals.next() {
                // Whoever sent the signal asked before it did.
                waiting.extend(askers());
                if let Ok(signal) = Signal::try_from(arrived.number) {
                    self.signal(signal, arrived.pid, &mut waiting);
                }
            }
            self.hear();
            self.reap(&signals);
            self.end_waits();
            if self.stopping && self.workers.is_empty() {
                break;
            }
            if self.pending.is_none()
                && let Some(askers) = self.again.take()
            {
                self.reload(askers);
            }
        }
        self.log().write(Level::Notice, None, "exit");
        self.end();
        ExitCode::SUCCESS
    }

    fn wait(&self, signals: &SignalQueue, asked: Option<&UnixListener>) {
        let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if let Some(asked) = asked {
            fds.push(PollFd::new(asked.as_fd(), PollFlags::POLLIN));
        }
        let pending = self.pending.as_ref();
        let worker = pending.and_then(|pending| self.workers.iter().find(|worker| worker.pid == pending.worker));
        if let Some(worker) = worker {
            fds.push(PollFd::new(worker.channel.0.as_fd(), PollFlags::POLLIN));
        }
        let patience = pending.filter(|pending| !pending.askers.is_empty()).map(|pending| pending.until);
        let deadlines = patience.into_iter().chain(self.kill_at).chain(self.manager.poll_timeout());
        let timeout = match deadlines.min() {
            Some(at) => {
                let left = at.saturating_duration_since(Instant::now()).as_millis() + 1;
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
            None => PollTimeout::NONE,
        };
        let _ = poll(&mut fds, timeout);
    }

    /// Acts on deadlines that have passed.
    fn end_waits(&mut self) {
        let now = Instant::now();
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill_at = None;
            for worker in &self.workers {
                let text = format!("worker process {} did not end in time and is killed", worker.pid);
                self.log().write(Level::Alert, None, &text);
                let _ = kill(worker.pid, Signal::SIGKILL);
            }
        }
        if let Some(pending) = &mut self.pending
            && pending.until <= now
            && !pending.askers.is_empty()
        {
            let text = "the worker process has not answered yet: the reload is under way";
            pending.askers.drain(..).for_each(|asker| asker.answer(text));
            self.log().write(Level::Alert, None, text);
        }
    }

    fn end(&mut self) {
        if let Some(successor) = self.upgrade {
            self.manager.hand_over(successor.as_raw());
        }
        self.close_listeners();
        let _ = std::fs::remove_file(self.pid_file());
    }

    /// Closes the listening sockets, so that nobody connects to a server that ends. A new binary has its own.
    fn close_listeners(&mut self) {
        for name in std::mem::take(&mut self.listeners).into_keys() {
            if self.upgrade.is_none() {
                open::unlink(&name);
            }
        }
    }

    /// The pid file: `.oldbin` while a new binary runs.
    fn pid_file(&self) -> String {
        let pid = &self.generation.process.pid;
        if self.upgrade.is_some() { format!("{pid}.oldbin") } else { pid.clone() }
    }

    fn start_worker(&mut self, _: &SignalQueue) -> bool {
        let Ok((mine, theirs)) = channel::pair() else { return false };
        match fork() {
            Ok(Side::Child) => {
                drop(mine);
                self.title.set("nginx: worker process");
                let code = worker::run(
                    &self.generation,
                    std::mem::take(&mut self.listeners),
                    (Some(theirs), self.liveness.take()),
                    ServiceManager::default(),
                );
                worker::leave(code);
            }
            Ok(Side::Parent(pid)) => {
                // A worker that does not read must not hold the parent up.
                let _ = nix::fcntl::fcntl(&mine.0, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
                self.log().write(Level::Notice, None, &format!("start worker process {pid}"));
                self.workers.push(Worker { pid, channel: mine, leaving: false });
                true
            }
            Err(error) => {
                let text = crate::conf::walk::errno(&error);
                self.log().write(
                    Level::Alert,
                    None,
                    &format!("fork() failed while spawning \"worker process\" ({text})"),
                );
                false
            }
        }
    }

    fn reap(&mut self, signals: &SignalQueue) {
        while let Ok(status) = waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
            let (pid, text, level) = match status {
                WaitStatus::Exited(pid, code) => (pid, format!("exited with code {code}"), Level::Notice),
                WaitStatus::Signaled(pid, signal, dumped) => {
                    let dumped = if dumped { " (core dumped)" } else { "" };
                    (pid, format!("exited on signal {}{dumped}", signal as i32), Level::Alert)
                }
                WaitStatus::StillAlive => break,
                _ => continue,
            };
            if self.upgrade == Some(pid) {
                self.upgrade_ended(pid, level, &text);
                continue;
            }
            let Some(at) = self.workers.iter().position(|worker| worker.pid == pid) else { continue };
            let worker = self.workers.remove(at);
            if self.pending.as_ref().is_some_and(|pending| pending.worker == pid) {
                self.settle(Err("the worker process ended".to_owned()));
            }
            self.log().write(level, None, &format!("worker process {pid} {text}"));
            // A worker that cannot begin would fail again at once.
            if matches!(status, WaitStatus::Exited(_, 2)) {
                let text = format!("worker process {pid} exited with fatal code 2 and cannot be respawned");
                self.log().write(Level::Alert, None, &text);
                continue;
            }
            if !worker.leaving && !self.stopping && !self.resting {
                self.start_worker(signals);
            }
        }
    }

    fn tell(&mut self, signal: Signal) {
        for worker in &mut self.workers {
            worker.leaving |= matches!(signal, Signal::SIGTERM | Signal::SIGQUIT);
            let _ = kill(worker.pid, signal);
        }
    }

    fn signal(&mut self, signal: Signal, from: u32, waiting: &mut Vec<verdict::Asker>) {
        let upgrading = self.upgrade.is_some();
        let may_change = !upgrading && std::os::unix::process::parent_id() != self.started_by;
        let action = match signal {
            Signal::SIGHUP => ", reconfiguring",
            Signal::SIGTERM | Signal::SIGINT => ", exiting",
            Signal::SIGQUIT => ", shutting down",
            Signal::SIGUSR1 => ", reopening logs",
            Signal::SIGUSR2 if may_change => ", changing binary",
            Signal::SIGUSR2 => ", ignoring",
            Signal::SIGWINCH if self.daemonized => ", stop accepting connections",
            _ => "",
        };
        let text = received(signal, from, action);
        self.log().write(Level::Notice, None, &text);
        match signal {
            Signal::SIGUSR2 if !may_change => {
                let text = "the changing binary signal is ignored: you should shutdown or terminate before either old or \
                            new binary's process";
                self.log().write(Level::Crit, None, text);
                return;
            }
            Signal::SIGWINCH if !self.daemonized => return,
            Signal::SIGHUP if upgrading => {}
            Signal::SIGHUP => self.log().write(Level::Notice, None, "reconfiguring"),
            Signal::SIGUSR1 => self.log().write(Level::Notice, None, "reopening logs"),
            Signal::SIGUSR2 => self.log().write(Level::Notice, None, "changing binary"),
            _ => {}
        }
        match signal {
            Signal::SIGTERM | Signal::SIGINT => {
                self.stop();
                self.tell(Signal::SIGTERM);
                self.kill_at.get_or_insert_with(|| Instant::now() + TO_END);
            }
            Signal::SIGQUIT => {
                self.stop();
                self.tell(Signal::SIGQUIT);
                self.close_listeners();
            }
            Signal::SIGWINCH => {
                self.resting = true;
                self.tell(Signal::SIGQUIT);
            }
            Signal::SIGUSR1 => {
                let _ = open::logs(&self.generation)
                    .map_err(|(severity, text)| self.log().write(open::level(severity), None, &text));
                open::hand_over_logs(&self.generation, self.log());
                self.tell(Signal::SIGUSR1);
            }
            Signal::SIGUSR2 => self.change_binary(),
            Signal::SIGHUP if upgrading => self.work_again(waiting),
            Signal::SIGHUP => {
                let askers = std::mem::take(waiting);
                match &mut self.again {
                    Some(others) => others.extend(askers),
                    None if self.pending.is_some() => self.again = Some(askers),
                    None => self.reload(askers),
                }
            }
            _ => {}
        }
    }

    /// Begins to end. The service goes on where a new binary runs.
    fn stop(&mut self) {
        self.stopping = true;
        self.liveness = None;
        if self.upgrade.is_none() {
            self.manager.stopping();
        }
    }

    /// HUP while a new binary runs: the way back to this one. Workers serve the configuration that is known; the file may
    /// be the new binary's.
    fn work_again(&mut self, waiting: &mut Vec<verdict::Asker>) {
        self.resting = false;
        self.log().write(Level::Notice, None, "start worker processes");
        if self.workers.iter().all(|worker| worker.leaving)
            && let Ok(signals) = SignalQueue::new(&[])
        {
            self.start_worker(&signals);
        }
        answer(std::mem::take(waiting), self.log(), "");
    }

    /// Builds beside, then swaps inside the running worker; any error leaves the old generation serving.
    fn reload(&mut self, askers: Vec<verdict::Asker>) {
        self.manager.reloading();
        let before: BTreeSet<String> = self.listeners.keys().cloned().collect();
        let outcome = self.begin_reload();
        let opened = self.listeners.keys().filter(|name| !before.contains(*name)).cloned().collect();
        match outcome {
            Ok((next, Some(worker))) => {
                let until = Instant::now() + PATIENCE;
                self.pending = Some(Pending { worker, next, opened, until, askers });
            }
            Ok((next, None)) => {
                // Another user or number of loops needs another process; connections finish in the old one.
                self.resting = false;
                self.tell(Signal::SIGQUIT);
                self.generation = next;
                self.log().write(Level::Notice, None, "start worker processes");
                let text = match SignalQueue::new(&[]).map(|signals| self.start_worker(&signals)) {
                    Ok(true) => String::new(),
                    _ => "could not start a worker process".to_owned(),
                };
                open::trim(&self.generation, &mut self.listeners);
                self.answer(askers, &text);
            }
            Err(text) => {
                self.close(&opened);
                self.answer(askers, &text);
            }
        }
    }

    /// Closes sockets that were opened for a reload that failed.
    fn close(&mut self, opened: &[String]) {
        for name in opened {
            if self.listeners.remove(name).is_some() {
                open::unlink(name);
            }
        }
    }

    /// Takes the verdict of the worker that has a reload.
    fn hear(&mut self) {
        let Some(pending) = &self.pending else { return };
        let Some(worker) = self.workers.iter().find(|worker| worker.pid == pending.worker) else { return };
        let outcome = match worker.channel.receive() {
            Ok(Some(message)) if message.kind == Kind::Verdict && message.text.is_empty() => Ok(()),
            Ok(Some(message)) if message.kind == Kind::Verdict => {
                Err(String::from_utf8_lossy(&message.text).into_owned())
            }
            Ok(Some(_)) => return,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
            Ok(None) => Err("the worker process ended".to_owned()),
            Err(error) => Err(format!("the worker process cannot be reached ({})", crate::conf::walk::errno(&error))),
        };
        self.settle(outcome);
    }

    /// Ends a reload: the next generation is the current one, or nothing of it stays.
    fn settle(&mut self, outcome: Result<(), String>) {
        let Some(pending) = self.pending.take() else { return };
        let text = match outcome {
            Ok(()) => {
                self.generation = pending.next;
                if !self.stopping {
                    open::trim(&self.generation, &mut self.listeners);
                }
                String::new()
            }
            Err(text) => {
                self.close(&pending.opened);
                text
            }
        };
        self.answer(pending.askers, &text);
    }

    /// Tells the outcome of a reload to everybody.
    fn answer(&self, askers: Vec<verdict::Asker>, text: &str) {
        if !self.stopping {
            let status = format!("Serving the previous configuration; the reload failed: {text}");
            self.manager.ready(if text.is_empty() { SERVING } else { &status });
        }
        answer(askers, self.log(), text);
    }

    /// Compiles and opens the next generation, and sends it to the worker that can take it, if one can.
    fn begin_reload(&mut self) -> Result<(Generation, Option<Pid>), String> {
        let disk = Disk;
        let recorder = Recorder::new(&disk);
        let resolver = SystemResolver::default();
        let zones = std::sync::Arc::new(Zones::default());
        let Reading { tree: _, sources, complaints, late, unserved, outcome } =
            generation::compile(&self.inputs, &recorder, &resolver, &zones);
        for complaint in complaints.iter().chain(&late) {
            self.log().write(Level::Warn, None, &bytes::raw(&crate::conf::print::nginx(complaint, &sources)));
        }
        let next = outcome.map_err(|(complaint, _)| crate::conf::print::nginx(&complaint, &sources))?;
        let judged = Judged::new(&unserved, self.inputs.allow_unserved);
        for (level, complaints) in [(Level::Emerg, &judged.refusals), (Level::Warn, &judged.warnings)] {
            for complaint in complaints {
                self.log().write(level, None, &bytes::raw(&crate::conf::print::nginx(complaint, &sources)));
            }
        }
        if let Some(summary) = judged.summary(&self.inputs.conf) {
            return Err(summary);
        }
        let log = self.log().clone();
        let say = |severity, text: &str| log.write(open::level(severity), None, text);
        open::folders(&next).map_err(|(_, text)| text)?;
        open::logs(&next).map_err(|(_, text)| text)?;
        next.declared.follows(&self.generation.declared)?;
        open::sockets(&next, &mut self.listeners, false, &say).map_err(|(_, text)| text)?;
        next.log.write(Level::Notice, None, EPOLL);
        let process = (&next.process, &self.generation.process);
        let same = process.0.loops == process.1.loops
            && process.0.user == process.1.user
            && process.0.rlimit_nofile == process.1.rlimit_nofile
            && process.0.priority == process.1.priority
            && process.0.transparent == process.1.transparent;
        let bundle = Bundle {
            inputs: self.inputs.clone(),
            memory: recorder.memory.into_inner(),
            hosts: resolver.hosts.into_inner(),
            descriptors: Vec::new(),
        };
        let worker = self.workers.iter().find(|worker| !worker.leaving);
        let Some(worker) = worker.filter(|_| same && !self.resting) else { return Ok((next, None)) };
        self.ship(worker, bundle, &next)?;
        let pid = worker.pid;
        Ok((next, Some(pid)))
    }

    /// Sends a bundle to a worker.
    fn ship(&self, worker: &Worker, mut bundle: Bundle, next: &Generation) -> Result<(), String> {
        let mut descriptors = Vec::new();
        let files: Vec<_> = next.logs.iter().map(|log| (log.name().to_owned(), log.duplicate())).collect();
        for (path, file) in &files {
            if let Some(file) = file {
                bundle.descriptors.push(format!("log {path}"));
                descriptors.push(file.as_fd());
            }
        }
        for (name, fd) in &self.listeners {
            bundle.descriptors.push(format!("listen {name}"));
            descriptors.push(fd.as_fd());
        }
        worker
            .channel
            .send_bundle(&bundle.encode(), &descriptors)
            .map_err(|error| format!("the worker process cannot be reached ({})", crate::conf::walk::errno(&error)))
    }

    /// USR2: starts the binary of this path on our sockets.
    fn change_binary(&mut self) {
        if self.upgrade.is_some() {
            return;
        }
        let pid = self.generation.process.pid.clone();
        let old = format!("{pid}.oldbin");
        if let Err(error) = std::fs::rename(&pid, &old) {
            let text = crate::conf::walk::errno(&error);
            self.log().write(
                Level::Alert,
                None,
                &format!("rename() {pid} to {old} failed ({text}) before executing new binary process"),
            );
            return;
        }
        match self.spawn_binary() {
            Ok(child) => {
                self.log().write(Level::Notice, None, &format!("start new binary process {child}"));
                self.upgrade = Some(Pid::from_raw(child as i32));
            }
            Err(error) => {
                let _ = std::fs::rename(&old, &pid);
                let text = crate::conf::walk::errno(&error);
                self.log().write(
                    Level::Alert,
                    None,
                    &format!("execve() failed while executing new binary process ({text})"),
                );
            }
        }
    }

    fn spawn_binary(&self) -> std::io::Result<u32> {
        use std::os::fd::AsRawFd as _;
        let mut kept = Vec::new();
        let mut names = String::new();
        for fd in self.listeners.values() {
            let copy = nix::unistd::dup(fd.as_fd())?;
            names.push_str(&format!("{};", copy.as_raw_fd()));
            kept.push(copy);
        }
        let mut command = Command::new(self.arguments.first().cloned().unwrap_or_default());
        command.args(self.arguments.iter().skip(1)).env(INHERIT, names).envs(self.manager.variables());
        crate::sys::process::unblocked(&mut command);
        Ok(command.spawn()?.id())
    }

    fn upgrade_ended(&mut self, pid: Pid, level: Level, text: &str) {
        self.log().write(level, None, &format!("new binary process {pid} {text}"));
        self.upgrade = None;
        let path = self.generation.process.pid.clone();
        let _ = std::fs::rename(format!("{path}.oldbin"), &path);
        if self.resting && !self.stopping {
            self.resting = false;
            self.log().write(Level::Notice, None, "start worker processes");
            if let Ok(signals) = SignalQueue::new(&[]) {
                self.start_worker(&signals);
            }
        }
    }
}

/// The line of a signal, its sender and what it leads to. A sender that this process cannot see has no number.
pub fn received(signal: Signal, from: u32, action: &str) -> String {
    let sender = if from == 0 { String::new() } else { format!(" from {from}") };
    format!("signal {} ({}) received{sender}{action}", signal as i32, signal.as_str())
}

/// Tells a reload's outcome to the log and to those who wait for it.
fn answer(askers: Vec<verdict::Asker>, log: &Log, text: &str) {
    if !text.is_empty() {
        log.write(Level::Emerg, None, &bytes::raw(text));
    }
    askers.into_iter().for_each(|asker| asker.answer(text));
}

/// Sockets an older binary left us, an nginx or an rnginx, by name: their numbers, each with a semicolon.
pub fn inherited() -> Listeners {
    let Some(text) = std::env::var_os(INHERIT) else { return Listeners::new() };
    let text = text.to_string_lossy().into_owned();
    let mut found = Listeners::new();
    let numbers: Vec<_> = text.split([';', ':']).filter_map(|number| number.parse().ok()).collect();
    for fd in crate::sys::socket::inherited(&numbers) {
        if let Some((address, udp)) = listen::bound(&fd) {
            // Several sockets of one address are those of reuseport, in their order.
            let name = (0..).map(|index| open::name(&address, udp, index)).find(|name| !found.contains_key(name));
            found.extend(name.map(|name| (name, fd)));
        }
    }
    found
}
