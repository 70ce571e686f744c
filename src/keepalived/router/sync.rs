//! The sync daemon of IPVS, which has the state of a virtual router.

use crate::conf::diagnostic::reason;
use crate::keepalived::blocks::sync::Sync;
use crate::keepalived::checkers::ipvs::Kernel;
use crate::keepalived::log::Log;
use crate::kernel::ipvs::{Request, SyncState};
use crate::vrrp::machine::StateKind;

/// The sync daemon, where it follows a virtual router.
#[derive(Default)]
pub struct SyncFollower {
    wanted: Option<Sync>,
    kernel: Option<Kernel>,
    runs: Option<SyncState>,
}

impl SyncFollower {
    /// Follows what a configuration says from now on; false where the kernel has no IPVS.
    pub fn adopt(&mut self, wanted: Option<&Sync>, simulate: bool, log: &Log) -> bool {
        let wanted = wanted.filter(|sync| sync.instance.is_some());
        if self.wanted.as_ref() != wanted {
            self.stop(log);
            self.wanted = wanted.cloned();
        }
        if self.wanted.is_none() || self.kernel.is_some() {
            return true;
        }
        log.say("Initializing ipvs");
        match Kernel::open(simulate) {
            Ok(kernel) => {
                self.kernel = Some(kernel);
                true
            }
            Err(error) => {
                log.say(format!("IPVS: Can't initialize ipvs: {}", reason(&error)));
                false
            }
        }
    }

    /// Takes the new state of a virtual router.
    pub fn follow(&mut self, instance: &str, state: StateKind, log: &Log) {
        let Some(sync) = self.wanted.as_ref().filter(|sync| sync.instance.as_deref() == Some(instance)) else { return };
        let Some(kernel) = &mut self.kernel else { return };
        let start = if state == StateKind::Master { SyncState::Master } else { SyncState::Backup };
        if self.runs == Some(start) {
            return;
        }
        if let Some(stop) = self.runs {
            kernel.sync(Request::StopDaemon(stop, sync.daemon.id), log);
        }
        kernel.sync(Request::StartDaemon(start, sync.daemon.clone()), log);
        self.runs = Some(start);
    }

    /// Stops what runs.
    pub fn stop(&mut self, log: &Log) {
        if let (Some(kernel), Some(sync), Some(state)) = (&mut self.kernel, &self.wanted, self.runs.take()) {
            kernel.sync(Request::StopDaemon(state, sync.daemon.id), log);
        }
    }
}
