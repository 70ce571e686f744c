//! Tracked processes: the kernel's events, or the list of processes read again and again.

use super::Process;
use crate::conf::diagnostic::reason;
use crate::keepalived::track::process::{INTERVAL, ProcessRunner, identity, running};
use crate::kernel::connector::{ProcessEvent, ProcessMonitor};
use std::io;
use std::time::Instant;

impl Process {
    /// Counts the processes of the configuration from now on.
    pub(super) fn track_processes(&mut self, now: Instant) {
        if self.site.processes.is_empty() {
            (self.process_monitor, self.recount_at) = (None, None);
            self.processes.clear();
            return;
        }
        if self.process_monitor.is_none() && self.recount_at.is_none() {
            let inherited = self.start.process_monitor.as_ref().map(ProcessMonitor::renewed);
            match inherited.map_or_else(ProcessMonitor::open, Ok) {
                Ok(monitor) => self.process_monitor = Some(monitor),
                Err(error) => {
                    self.say_refused(&error);
                    self.recount_at = self.start.read_processes.then(|| now + INTERVAL);
                }
            }
        }
        // Read after the kernel began to report, so that no change is missed. Where it refuses, nothing is counted, as in
        // 2.1.5, unless the list is to be read.
        let is_read = self.process_monitor.is_some() || self.recount_at.is_some();
        let running = if is_read { running(self.compares_commands()) } else { Vec::new() };
        let new = |process: &_| ProcessRunner::new(Clone::clone(process), &running);
        self.processes = self.site.processes.iter().map(new).collect();
    }

    /// As keepalived says it.
    fn say_refused(&self, error: &io::Error) {
        let errno = error.raw_os_error().unwrap_or_default();
        self.log.say(format!("Failed to set/clear process event listen - errno {errno} - {}", reason(error)));
    }

    /// Whether command lines are compared, and not names alone.
    fn compares_commands(&self) -> bool {
        self.site.processes.iter().any(|process| process.full_command)
    }

    /// Takes the events there are, if there are any, or reads the list of processes when that is due.
    pub(super) fn hear_processes(&mut self, now: Instant, ready: bool) {
        if self.processes.is_empty() {
            return;
        }
        let before: Vec<bool> = self.processes.iter().map(ProcessRunner::has_quorum).collect();
        let mut events = Vec::new();
        if let Some(monitor) = self.process_monitor.as_mut().filter(|_| ready) {
            monitor.read(&mut events);
        }
        let with_command = self.compares_commands();
        let look = |pid| identity(pid, with_command);
        if self.recount_at.is_some_and(|at| at <= now) || events.contains(&ProcessEvent::Lost) {
            let running = running(with_command);
            self.processes.iter_mut().for_each(|process| process.recount(now, &running));
            self.recount_at = self.recount_at.map(|_| now + INTERVAL);
        } else {
            for event in &events {
                self.processes.iter_mut().for_each(|process| process.handle_event(now, event, &look));
            }
        }
        self.processes.iter_mut().for_each(|process| process.handle_timeout(now));
        let mut changed = false;
        for (process, before) in self.processes.iter().zip(before) {
            if process.has_quorum() != before {
                changed = true;
                let how = if before { "lost" } else { "gained" };
                self.log.say(format!("Quorum {how} for tracked process {}", process.process.name));
            }
        }
        if changed {
            self.tell_readings(now);
        }
    }
}
