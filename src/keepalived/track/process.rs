//! A tracked process: how many copies of a program run, and whether that is enough.
//!
//! The kernel's process connector reports forks, execs and exits. Where it refuses, as inside a container, the refusal is
//! logged and no process is counted, as in 2.1.5; with `--read-processes` the list of processes is read once a second.
//!
//! keepalived counts a process again each time it runs the same program anew.
//! Differs from keepalived: a process counts once. [test: a_process_that_runs_its_program_anew_counts_once]

use crate::keepalived::blocks::process::{ParamMatch, Process};
use crate::kernel::connector::ProcessEvent;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::time::{Duration, Instant};

/// Between two readings of the list of processes, where the kernel does not tell of them.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// What identifies the program of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its short name.
    pub name: String,
    /// Its command line: each argument ends with a zero byte.
    pub command: Vec<u8>,
}

/// A program whose processes are being counted.
pub struct ProcessRunner {
    /// As configured.
    pub process: Process,
    pids: BTreeSet<i32>,
    quorum: bool,
    /// When a quorum reached by forks counts.
    fork_timer: Option<Instant>,
    /// When a quorum lost by exits counts.
    terminate_timer: Option<Instant>,
}

/// By what a number of processes changed: delays apply to forks and exits alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Fork,
    Exit,
    Exec,
}

impl ProcessRunner {
    /// Counts what runs now.
    pub fn new(process: Process, running: &[(i32, Identity)]) -> Self {
        let pids = matching(&process, running);
        let mut runner = Self { process, pids, quorum: false, fork_timer: None, terminate_timer: None };
        runner.quorum = runner.is_enough();
        runner
    }

    /// Whether enough processes run, and not too many.
    pub const fn has_quorum(&self) -> bool {
        self.quorum
    }

    /// How many processes run.
    pub fn count(&self) -> usize {
        self.pids.len()
    }

    /// Whether a change waits for its delay: of forks, of exits.
    pub const fn delays(&self) -> (bool, bool) {
        (self.fork_timer.is_some(), self.terminate_timer.is_some())
    }

    /// When a delay ends.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.fork_timer.into_iter().chain(self.terminate_timer).min()
    }

    /// Ends the delays that are over.
    pub fn handle_timeout(&mut self, now: Instant) {
        for timer in [&mut self.fork_timer, &mut self.terminate_timer] {
            if timer.is_some_and(|at| at <= now) {
                *timer = None;
                self.quorum = is_enough(&self.process, self.pids.len());
            }
        }
    }

    /// Takes an event; `look` finds what a process runs.
    pub fn handle_event(&mut self, now: Instant, event: &ProcessEvent, look: &dyn Fn(i32) -> Option<Identity>) {
        match event {
            ProcessEvent::Fork { parent, child } => {
                if self.pids.contains(parent) {
                    self.change(now, Cause::Fork, |pids| pids.insert(*child));
                }
            }
            ProcessEvent::Exit(pid) => self.change(now, Cause::Exit, |pids| pids.remove(pid)),
            ProcessEvent::Exec(pid) => {
                // One that is gone already is told of by its exit.
                if let Some(identity) = look(*pid) {
                    let ours = is_match(&self.process, &identity);
                    self.change(now, Cause::Exec, |pids| if ours { pids.insert(*pid) } else { pids.remove(pid) });
                }
            }
            ProcessEvent::Name(pid, name) => {
                if !self.process.full_command {
                    let ours = *name == self.process.path;
                    self.change(now, Cause::Exec, |pids| if ours { pids.insert(*pid) } else { pids.remove(pid) });
                }
            }
            ProcessEvent::Lost => {}
        }
    }

    /// Counts anew what runs now.
    pub fn recount(&mut self, now: Instant, running: &[(i32, Identity)]) {
        let pids = matching(&self.process, running);
        let cause = if pids.len() > self.pids.len() { Cause::Fork } else { Cause::Exit };
        self.change(now, cause, |own| std::mem::replace(own, pids).is_empty());
    }

    fn is_enough(&self) -> bool {
        is_enough(&self.process, self.pids.len())
    }

    /// Changes the set; where that crosses a limit, the quorum changes at once or after the delay.
    fn change(&mut self, now: Instant, cause: Cause, change: impl FnOnce(&mut BTreeSet<i32>) -> bool) {
        let (before, count) = (self.is_enough(), self.pids.len());
        change(&mut self.pids);
        let after = self.is_enough();
        if before == after {
            return;
        }
        let more = self.pids.len() > count;
        let waiting = if more { self.terminate_timer.take() } else { self.fork_timer.take() };
        if waiting.is_none() {
            match cause {
                Cause::Fork if !self.process.fork_delay.is_zero() => {
                    self.fork_timer = Some(now + self.process.fork_delay);
                    return;
                }
                Cause::Exit if !self.process.terminate_delay.is_zero() => {
                    self.terminate_timer = Some(now + self.process.terminate_delay);
                    return;
                }
                _ => {}
            }
        }
        self.quorum = after;
    }
}

fn is_enough(process: &Process, count: usize) -> bool {
    (process.quorum..=process.quorum_max.unwrap_or(i64::MAX)).contains(&(count as i64))
}

fn matching(process: &Process, running: &[(i32, Identity)]) -> BTreeSet<i32> {
    running.iter().filter(|(_, identity)| is_match(process, identity)).map(|(pid, _)| *pid).collect()
}

/// Whether a process runs what is tracked.
fn is_match(process: &Process, identity: &Identity) -> bool {
    if !process.full_command {
        return identity.name == process.path;
    }
    let command = &identity.command;
    let end = command.iter().position(|byte| *byte == 0).unwrap_or(command.len());
    let (path, rest) = command.split_at(end);
    let given = rest.get(1..).unwrap_or_default();
    let wanted = process.parameters.as_slice();
    path == process.path.as_bytes()
        && match process.param_match {
            None => true,
            Some(ParamMatch::Exact) => given == wanted,
            // All of the parameters, and more may follow.
            Some(ParamMatch::Partial) => given.starts_with(wanted),
            // The last parameter may go on.
            Some(ParamMatch::Initial) => {
                given.len() >= wanted.len() && given.starts_with(wanted.strip_suffix(&[0]).unwrap_or(wanted))
            }
        }
}

/// What a process runs; nothing for one that is gone. The command line is read only if asked for, as it may be swapped
/// out.
pub fn identity(pid: i32, with_command: bool) -> Option<Identity> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let (head, state) = stat.rsplit_once(") ")?;
    let (_, name) = head.split_once(" (")?;
    if state.starts_with('Z') {
        return None;
    }
    let mut command = Vec::new();
    if with_command {
        // One that has just gone has no command line, and matches nothing.
        let _ =
            File::open(format!("/proc/{pid}/cmdline")).and_then(|file| file.take(1 << 17).read_to_end(&mut command));
    }
    Some(Identity { name: name.to_owned(), command })
}

/// What all processes run.
pub fn running(with_command: bool) -> Vec<(i32, Identity)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, identity(pid, with_command)?))).collect()
}

#[cfg(test)]
mod tests;
