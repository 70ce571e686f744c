//! The scripts of virtual servers: whether they may be run, and what is said of those that may not.

use crate::keepalived::log::Log;
use crate::keepalived::site::Site;
use crate::keepalived::site::server::{Probe, VirtualServer};
use crate::keepalived::slot::Command;
use crate::keepalived::track::security::{Judged, Policy, Unusable};
use std::sync::Arc;

/// Leaves out the checks whose script may not be run, and says what is wrong with all scripts.
pub fn judge(site: &mut Site, log: &Log) {
    let policy = Policy::of(&site.global);
    let (mut violated, mut insecure) = (false, false);
    let mut look = |command: &Command| {
        let judged = policy.judge(command);
        judged.lines.iter().for_each(|line| log.say(line));
        insecure |= judged.insecure;
        violated |= judged.insecure || judged.program.as_ref().is_some_and(|program| program.uid == 0);
        judged
    };
    for server in &mut site.servers {
        let config = Arc::make_mut(&mut server.config);
        for (real, config) in server.reals.iter_mut().zip(&mut config.reals) {
            let mut checks = std::mem::take(&mut real.checks).into_vec();
            checks.retain(|check| match &check.probe {
                Probe::Misc(misc) => may_run(&misc.command, &look(&misc.command), log),
                _ => true,
            });
            real.checks = checks.into();
            config.alphas = real.checks.iter().map(|check| check.alpha).collect();
        }
    }
    for command in site.servers.iter().flat_map(told) {
        look(command);
    }
    if violated && !policy.enforced {
        let also = if insecure { " There are insecure scripts." } else { "" };
        let text = "check scripts are being executed but script_security not enabled";
        log.say(format!("SECURITY VIOLATION - {text}.{also}"));
    }
}

/// The scripts that are run when something changes.
fn told(server: &VirtualServer) -> Vec<&Command> {
    let reals = server.reals.iter().flat_map(|real| real.up.as_deref().into_iter().chain(real.down.as_deref()));
    server.up.iter().chain(&server.down).chain(reals).collect()
}

fn may_run(command: &Command, judged: &Judged, log: &Log) -> bool {
    let why = match judged.unusable {
        None => return true,
        Some(Unusable::Insecure) => "due to insecure",
        Some(Unusable::Missing | Unusable::User) => "since not found/accessible",
        Some(Unusable::NotExecutable) => return false,
    };
    let words: Vec<String> = command.words.iter().map(|word| format!("'{word}'")).collect();
    log.say(format!("Disabling misc script {} {why}", words.join(" ")));
    false
}
