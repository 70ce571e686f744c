//! The parent: opens, forks, waits for signals, and ships reloads to the running worker.

use super::bundle::{Bundle, Recorder, SystemResolver};
use super::channel::{self, Channel, Kind};
use super::generation::{self, Generation, Inputs, Reading};
use super::open::{self, Listeners};
use super::unserved::Judged;
use super::{verdict, worker};
use crate::conf::disk::Disk;
use crate::log::{Level, Log};
use crate::sys::process::{Side, fork};
use crate::sys::signal::SignalQueue;
use crate::zone::registry::Registry as Zones;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::fd::AsFd as _;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// Names sockets for a new binary, as nginx names them.
pub const INHERIT: &str = "NGINX";

/// A worker process.
struct Worker {
    pid: Pid,
    channel: Channel,
    /// It was told to end.
    leaving: bool,
}

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
    /// The new binary started by USR2.
    upgrade: Option<Pid>,
    /// WINCH: no workers until HUP.
    resting: bool,
    stopping: bool,
}

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
    pub const fn new(
        inputs: Inputs,
        generation: Generation,
        listeners: Listeners,
        arguments: Vec<std::ffi::OsString>,
    ) -> Self {
        Self {
            inputs,
            generation,
            listeners,
            arguments,
            workers: Vec::new(),
            upgrade: None,
            resting: false,
            stopping: false,
        }
    }

    fn log(&self) -> &Log {
        &self.generation.log
    }

    /// Runs until told to stop.
    pub fn run(mut self, ready: impl FnOnce()) -> ExitCode {
        let numbers: Vec<i32> = SIGNALS.iter().map(|signal| *signal as i32).collect();
        let Ok(signals) = SignalQueue::new(&numbers) else { return ExitCode::FAILURE };
        self.log().write(Level::Notice, None, "using the \"epoll\" event method");
        self.log().write(
            Level::Notice,
            None,
            &format!("{} (rnginx/{})", crate::http::SERVER, env!("CARGO_PKG_VERSION")),
        );
        self.log().write(Level::Notice, None, "start worker processes");
        let asked = verdict::listen();
        if !self.start_worker(&signals) {
            return ExitCode::FAILURE;
        }
        ready();
        let mut waiting = Vec::new();
        loop {
            self.wait(&signals, asked.as_ref());
            let askers = || asked.as_ref().map(verdict::accept).unwrap_or_default();
            waiting.extend(askers());
            while let Some(arrived) = signals.next() {
                // Whoever sent the signal asked before it did.
                waiting.extend(askers());
                if let Ok(signal) = Signal::try_from(arrived.number) {
                    self.signal(signal, arrived.pid, &mut waiting);
                }
            }
            self.reap(&signals);
            if self.stopping && self.workers.is_empty() {
                break;
            }
        }
        self.log().write(Level::Notice, None, "exit");
        self.end();
        ExitCode::SUCCESS
    }

    fn wait(&self, signals: &SignalQueue, asked: Option<&std::os::fd::OwnedFd>) {
        let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if let Some(asked) = asked {
            fds.push(PollFd::new(asked.as_fd(), PollFlags::POLLIN));
        }
        let _ = poll(&mut fds, PollTimeout::NONE);
    }

    fn end(&self) {
        for name in self.listeners.keys() {
            if self.upgrade.is_none() {
                open::unlink(name);
            }
        }
        let _ = std::fs::remove_file(self.pid_file());
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
                let code = worker::run(&self.generation, &self.listeners, Some(theirs));
                worker::leave(code);
            }
            Ok(Side::Parent(pid)) => {
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
                WaitStatus::Signaled(pid, signal, _) => {
                    (pid, format!("exited on signal {}", signal as i32), Level::Alert)
                }
                WaitStatus::StillAlive => break,
                _ => continue,
            };
            if self.upgrade == Some(pid) {
                self.upgrade_ended(&text);
                continue;
            }
            let Some(at) = self.workers.iter().position(|worker| worker.pid == pid) else { continue };
            let worker = self.workers.remove(at);
            self.log().write(level, None, &format!("worker process {pid} {text}"));
            // A worker that cannot begin would fail again at once.
            if text == "exited with code 2" {
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
        let name = signal.as_str();
        let action = match signal {
            Signal::SIGHUP => ", reconfiguring",
            Signal::SIGTERM | Signal::SIGINT => ", exiting",
            Signal::SIGQUIT => ", shutting down",
            Signal::SIGUSR1 => ", reopening logs",
            Signal::SIGUSR2 => ", changing binary",
            Signal::SIGWINCH => "",
            _ => "",
        };
        if signal != Signal::SIGCHLD {
            let text = format!("signal {} ({name}) received from {from}{action}", signal as i32);
            self.log().write(Level::Notice, None, &text);
        }
        match signal {
            Signal::SIGTERM | Signal::SIGINT => {
                self.stopping = true;
                self.tell(Signal::SIGTERM);
            }
            Signal::SIGQUIT => {
                self.stopping = true;
                self.tell(Signal::SIGQUIT);
            }
            Signal::SIGWINCH => {
                self.resting = true;
                self.tell(Signal::SIGQUIT);
            }
            Signal::SIGUSR1 => {
                let _ = open::logs(&self.generation).map_err(|(level, text)| self.log().write(level, None, &text));
                open::hand_over_logs(&self.generation, self.log());
                self.tell(Signal::SIGUSR1);
            }
            Signal::SIGUSR2 => self.change_binary(),
            Signal::SIGHUP => {
                let outcome = self.reload();
                let text = outcome.as_ref().err().cloned().unwrap_or_default();
                if let Err(text) = outcome {
                    self.log().write(Level::Emerg, None, &text);
                }
                for asker in waiting.drain(..) {
                    asker.answer(&text);
                }
            }
            _ => {}
        }
    }

    /// Builds beside, then swaps inside the running worker; any error leaves the old generation serving.
    fn reload(&mut self) -> Result<(), String> {
        let disk = Disk;
        let recorder = Recorder::new(&disk);
        let resolver = SystemResolver::default();
        let zones = std::sync::Arc::new(Zones::default());
        let Reading { tree: _, sources, complaints, late, unserved, outcome } =
            generation::compile(&self.inputs, &recorder, &resolver, &zones);
        for complaint in complaints.iter().chain(&late) {
            self.log().write(Level::Warn, None, &crate::conf::print::nginx(complaint, &sources));
        }
        let next = outcome.map_err(|(complaint, _)| crate::conf::print::nginx(&complaint, &sources))?;
        let judged = Judged::new(&unserved, self.inputs.allow_unserved);
        for (level, complaints) in [(Level::Emerg, &judged.refusals), (Level::Warn, &judged.warnings)] {
            for complaint in complaints {
                self.log().write(level, None, &crate::conf::print::nginx(complaint, &sources));
            }
        }
        if let Some(summary) = judged.summary(&self.inputs.conf) {
            return Err(summary);
        }
        let log = self.log().clone();
        let say = |level, text: &str| log.write(level, None, text);
        open::folders(&next).map_err(|(_, text)| text)?;
        open::logs(&next).map_err(|(_, text)| text)?;
        open::sockets(&next, &mut self.listeners, false, &say).map_err(|(_, text)| text)?;
        let process = (&next.process, &self.generation.process);
        let same = process.0.loops == process.1.loops
            && process.0.user == process.1.user
            && process.0.rlimit_nofile == process.1.rlimit_nofile
            && process.0.priority == process.1.priority;
        let bundle = Bundle {
            inputs: self.inputs.clone(),
            memory: recorder.memory.into_inner(),
            hosts: resolver.hosts.into_inner(),
            descriptors: Vec::new(),
        };
        if same && !self.resting && !self.workers.is_empty() {
            self.ship(bundle, &next)?;
            self.generation = next;
        } else {
            // Another user or number of loops needs another process; connections finish in the old one.
            self.resting = false;
            self.tell(Signal::SIGQUIT);
            self.generation = next;
            let Ok(signals) = SignalQueue::new(&[]) else { return Err("signalfd() failed".to_owned()) };
            if !self.start_worker(&signals) {
                return Err("could not start a worker process".to_owned());
            }
        }
        open::trim(&self.generation, &mut self.listeners);
        Ok(())
    }

    /// Sends a bundle to the worker and waits for its verdict.
    fn ship(&self, mut bundle: Bundle, next: &Generation) -> Result<(), String> {
        let Some(worker) = self.workers.iter().find(|worker| !worker.leaving) else {
            return Err("there is no worker process".to_owned());
        };
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
        let broken = |error: std::io::Error| format!("the worker process cannot be reached ({error})");
        worker.channel.send_bundle(&bundle.encode(), &descriptors).map_err(broken)?;
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(worker.channel.0.as_fd(), PollFlags::POLLIN)];
            let timeout = PollTimeout::try_from(left.as_millis().min(60_000) as u64).unwrap_or(PollTimeout::ZERO);
            match poll(&mut fds, timeout) {
                Ok(0) => return Err("the worker process did not answer".to_owned()),
                Err(nix::errno::Errno::EINTR) => continue,
                _ => {}
            }
            match worker.channel.receive().map_err(broken)? {
                Some(message) if message.kind == Kind::Verdict => {
                    return if message.text.is_empty() {
                        Ok(())
                    } else {
                        Err(String::from_utf8_lossy(&message.text).into_owned())
                    };
                }
                Some(_) => {}
                None => return Err("the worker process ended".to_owned()),
            }
        }
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
            Ok(child) => self.upgrade = Some(Pid::from_raw(child as i32)),
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
        for (name, fd) in &self.listeners {
            let copy = nix::unistd::dup(fd.as_fd())?;
            names.push_str(&format!("{}={name};", copy.as_raw_fd()));
            kept.push(copy);
        }
        let mut command = Command::new(self.arguments.first().cloned().unwrap_or_default());
        command.args(self.arguments.iter().skip(1)).env(INHERIT, names);
        crate::sys::process::unblocked(&mut command);
        Ok(command.spawn()?.id())
    }

    fn upgrade_ended(&mut self, text: &str) {
        self.log().write(Level::Notice, None, &format!("new binary process {text}"));
        self.upgrade = None;
        let pid = self.generation.process.pid.clone();
        let _ = std::fs::rename(format!("{pid}.oldbin"), &pid);
        if self.resting && !self.stopping {
            self.resting = false;
            if let Ok(signals) = SignalQueue::new(&[]) {
                self.start_worker(&signals);
            }
        }
    }
}

/// Sockets an older binary left us, by name.
pub fn inherited() -> Listeners {
    let Some(text) = std::env::var_os(INHERIT) else { return Listeners::new() };
    let text = text.to_string_lossy().into_owned();
    let mut found = Listeners::new();
    for entry in text.split(';').filter(|entry| !entry.is_empty()) {
        if let Some((number, name)) = entry.split_once('=')
            && let Ok(number) = number.parse()
            && let Some(fd) = crate::sys::socket::inherited(number)
        {
            found.insert(name.to_owned(), fd);
        }
    }
    found
}
