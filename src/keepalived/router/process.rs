//! What the configuration says about the process itself, and about the interfaces as a whole.

use super::Process;
use crate::conf::diagnostic::reason;
use crate::keepalived::site::Site;
use crate::sys::process;
use nix::sys::mman::{MlockAllFlags, mlockall, munlockall};
use std::fs;
use std::io;

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
        self.promote_secondaries();
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

fn switch(interface: &str) -> String {
    format!("/proc/sys/net/ipv4/conf/{interface}/promote_secondaries")
}
