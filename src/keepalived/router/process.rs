//! What the configuration says about the process itself, and about the interfaces as a whole.

use super::{Process, set_umask};
use crate::conf::diagnostic::reason;
use crate::keepalived::site::Site;
use crate::sys::process;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::mman::{MlockAllFlags, mlockall, munlockall};
use nix::unistd::Pid;
use std::fs;
use std::io;
use std::time::Duration;

/// Whether membership reports of 224.0.0.0/24 are sent.
const IGMP: &str = "/proc/sys/net/ipv4/igmp_link_local_mcast_reports";

impl Process {
    /// Niceness, real-time priority and memory, where they differ from those of the site `before`; what the system
    /// refuses is said.
    pub(super) fn apply_runtime(&mut self, before: &Site) {
        let (old, new) = (&before.global, &self.site.global);
        if old.nice != new.nice {
            self.refused("the process priority", process::nice(new.nice.unwrap_or_default() as i32));
        }
        if old.realtime != new.realtime {
            let priority = new.realtime.map(|priority| priority as i32);
            self.refused("the realtime priority", priority.map_or_else(process::ordinary, process::realtime));
        }
        if old.no_swap.unwrap_or_default() != new.no_swap.unwrap_or_default() {
            let all = MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE;
            let outcome = if new.no_swap == Some(true) { mlockall(all) } else { munlockall() };
            self.refused("locked memory", outcome.map_err(io::Error::from));
        }
        // As in keepalived, a file without a umask leaves the last one.
        if let Some(mask) = new.umask.filter(|mask| self.start.umask.is_none() && old.umask != Some(*mask)) {
            set_umask(mask);
        }
        if old.processors != new.processors {
            let outcome = self.choose_processors();
            self.refused("cpu affinity", outcome);
        }
        self.disable_igmp();
        self.promote_secondaries();
    }

    /// Restricts the process to some processors, or lets it run on those it started with.
    fn choose_processors(&mut self) -> io::Result<()> {
        let this = Pid::from_raw(0);
        if self.processors.is_none() {
            self.processors = Some(sched_getaffinity(this)?);
        }
        let mut set = CpuSet::new();
        for processor in &self.site.global.processors {
            set.set(*processor)?;
        }
        let all = self.processors.unwrap_or_default();
        sched_setaffinity(this, if self.site.global.processors.is_empty() { &all } else { &set })?;
        Ok(())
    }

    /// Keeps the kernel from sending reports of groups that only reach the own link, from now on.
    fn disable_igmp(&mut self) {
        if self.site.global.disable_local_igmp == Some(true) && self.igmp.is_none() {
            let before = fs::read_to_string(IGMP).unwrap_or_default();
            self.refused("igmp_link_local_mcast_reports", fs::write(IGMP, "0"));
            self.igmp = Some(before);
        } else if self.site.global.disable_local_igmp != Some(true) {
            self.restore_igmp();
        }
    }

    /// Gives the setting back the value it had.
    pub(super) fn restore_igmp(&mut self) {
        if let Some(before) = self.igmp.take() {
            self.refused("igmp_link_local_mcast_reports", fs::write(IGMP, before));
        }
    }

    /// How long the machine must still be up before routers start.
    pub(super) fn after_boot(&self) -> Option<Duration> {
        let wanted = self.site.global.delay_after_boot?;
        remaining(wanted, &fs::read_to_string("/proc/uptime").ok()?)
    }

    pub(super) fn refused(&self, what: &str, outcome: io::Result<()>) {
        if let Err(error) = outcome {
            self.log.say(format!("Unable to set {what} - {}", reason(&error)));
        }
    }

    fn promote_secondaries(&mut self) {
        for instance in self.site.instances.iter().filter(|instance| instance.promote_secondaries) {
            let name = &instance.interface;
            if self.promoted.iter().any(|(known, _)| known == name) {
                continue;
            }
            let path = switch(name);
            let before = fs::read_to_string(&path).unwrap_or_default();
            self.refused("promote_secondaries", fs::write(&path, "1"));
            self.promoted.push((name.clone(), before));
        }
    }

    /// Gives promote_secondaries back the values it had.
    pub(super) fn demote_secondaries(&mut self) {
        for (name, before) in self.promoted.drain(..) {
            // An interface that is gone has no such switch any more.
            let _ = fs::write(switch(&name), before);
        }
    }
}

/// What is left of a time since the boot; `uptime` is the text of `/proc/uptime`.
fn remaining(wanted: Duration, uptime: &str) -> Option<Duration> {
    let up: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    Some(wanted.saturating_sub(Duration::try_from_secs_f64(up).ok()?))
}

fn switch(interface: &str) -> String {
    format!("/proc/sys/net/ipv4/conf/{interface}/promote_secondaries")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_has_been_up_for_long_delays_nothing() {
        let wanted = Duration::from_secs(60);
        assert_eq!(remaining(wanted, "12.50 40.10\n"), Some(Duration::from_millis(47_500)));
        assert_eq!(remaining(wanted, "4000.00 40.10\n"), Some(Duration::ZERO));
        assert_eq!(remaining(wanted, ""), None);
    }
}
