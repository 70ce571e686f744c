//! What a process asks of the system: niceness, real-time priority, memory, processors.

use super::blocks::global::Runtime;
use super::log::Log;
use crate::conf::diagnostic::reason;
use crate::sys::process;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::mman::{MlockAllFlags, mlockall, munlockall};
use nix::unistd::Pid;
use std::io;

/// How this process is scheduled.
pub struct Scheduling {
    runtime: Runtime,
    /// The processors it could run on when it started.
    processors: Option<CpuSet>,
}

impl Scheduling {
    /// As the process was started.
    pub fn new() -> Self {
        Self { runtime: Runtime::default(), processors: sched_getaffinity(Pid::from_raw(0)).ok() }
    }

    /// Niceness, real-time priority, memory and processors, where they change; what the system refuses is said.
    pub fn apply(&mut self, new: &Runtime, log: &Log) {
        let old = std::mem::replace(&mut self.runtime, new.clone());
        let mut outcomes = Vec::new();
        if old.nice != new.nice {
            outcomes.push(("the process priority", process::nice(new.nice.unwrap_or_default() as i32)));
        }
        if old.realtime != new.realtime {
            let priority = new.realtime.map(|priority| priority as i32);
            outcomes.push(("the realtime priority", priority.map_or_else(process::ordinary, process::realtime)));
        }
        if old.no_swap.unwrap_or_default() != new.no_swap.unwrap_or_default() {
            let all = MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE;
            let outcome = if new.no_swap == Some(true) { mlockall(all) } else { munlockall() };
            outcomes.push(("locked memory", outcome.map_err(io::Error::from)));
        }
        if old.processors != new.processors {
            outcomes.push(("cpu affinity", choose_processors(&new.processors, self.processors.as_ref())));
        }
        for (what, outcome) in outcomes {
            if let Err(error) = outcome {
                log.say(format!("Unable to set {what} - {}", reason(&error)));
            }
        }
    }
}

/// Restricts the process to some processors, or lets it run on `all`.
fn choose_processors(wanted: &[usize], all: Option<&CpuSet>) -> io::Result<()> {
    let mut set = CpuSet::new();
    for processor in wanted {
        set.set(*processor)?;
    }
    let set = all.filter(|_| wanted.is_empty()).unwrap_or(&set);
    Ok(sched_setaffinity(Pid::from_raw(0), set)?)
}
