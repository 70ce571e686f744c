//! `startup_script` and `shutdown_script`: scripts the parent runs before the VRRP process starts and after it has
//! stopped. One that overruns its time gets SIGTERM, then SIGKILL.

use crate::keepalived::log::{Log, cause};
use crate::keepalived::router::UMASK;
use crate::keepalived::site::Site;
use crate::keepalived::track::script::start;
use crate::keepalived::track::security::{Judged, NO_DEFAULT_USER, Policy};
use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::{Mode, umask};
use nix::unistd::Pid;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// When a script is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before the VRRP process starts.
    Startup,
    /// After it has stopped.
    Shutdown,
}

/// What was done to a script that overran its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Running,
    Terminated,
    Killed,
    /// It was killed twice.
    KilledAgain,
}

/// A script that runs.
#[derive(Debug)]
pub struct ProcessScript {
    phase: Phase,
    child: Child,
    step: Step,
    due: Instant,
}

/// How long a script may run where no timeout is given.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a signal may take to end it.
const GRACE: Duration = Duration::from_secs(2);
/// How long the second SIGKILL may take.
const LAST_GRACE: Duration = Duration::from_secs(10);

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Startup => "startup",
            Self::Shutdown => "shutdown",
        })
    }
}

/// Logs what is wrong with the scripts of `site`.
pub fn check(site: &Site, log: &Log) {
    let (global, policy) = (&site.global, Policy::of(&site.global));
    let scripts = [&global.startup_script, &global.shutdown_script];
    let judged: Vec<Judged> = scripts.into_iter().flatten().map(|command| policy.judge(command)).collect();
    if judged.iter().any(|judged| judged.no_default_user) {
        log.say(NO_DEFAULT_USER);
    }
    judged.iter().flat_map(|judged| &judged.lines).for_each(|line| log.say(line));
    if !policy.enforced && judged.iter().any(|judged| judged.root) {
        let also = if judged.iter().any(|judged| judged.insecure) { " There are insecure scripts." } else { "" };
        let text = "SECURITY VIOLATION - start/shutdown scripts are being executed but script_security not enabled.";
        log.say(format!("{text}{also}"));
    }
}

impl ProcessScript {
    /// Starts the script of a phase; `None` where there is none, or none that may be run.
    pub fn start(phase: Phase, site: &Site, mask: Option<u32>, log: &Log) -> Option<Self> {
        let global = &site.global;
        let (command, timeout) = match phase {
            Phase::Startup => (&global.startup_script, global.startup_script_timeout),
            Phase::Shutdown => (&global.shutdown_script, global.shutdown_script_timeout),
        };
        let program = Policy::of(&site.global).judge(command.as_ref()?).program?;
        log.detail(format!("Running {phase} script {}", program.path.display()));
        // The umask of this process is the one of its pid files.
        let before = umask(Mode::from_bits_truncate(mask.unwrap_or(UMASK)));
        let started = start(&program);
        umask(before);
        match started {
            Ok(child) => {
                let due = Instant::now() + timeout.unwrap_or(TIMEOUT);
                Some(Self { phase, child, step: Step::Running, due })
            }
            Err(error) => {
                let (code, text) = cause(&error);
                log.alert(format!("Error exec-ing command '{}', error {code}: {text}", program.path.display()));
                None
            }
        }
    }

    /// When it overruns its time.
    pub const fn poll_timeout(&self) -> Instant {
        self.due
    }

    /// Ends it where it overruns its time; whether it has ended, or cannot be ended.
    pub fn has_ended(&mut self, now: Instant, log: &Log) -> bool {
        match self.child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => {
                self.report(status, log);
                return true;
            }
            Err(_) => return true,
        }
        if now < self.due {
            return false;
        }
        let (phase, pid) = (self.phase, self.child.id());
        match self.step {
            Step::Running => {
                log.say(format!("{phase} script timed out"));
                self.terminate(now);
            }
            Step::Terminated => self.signal(Signal::SIGKILL, (Step::Killed, now + GRACE)),
            Step::Killed => {
                log.say(format!("{phase} script (PID {pid}) failed to terminate after kill"));
                self.signal(Signal::SIGKILL, (Step::KilledAgain, now + LAST_GRACE));
            }
            Step::KilledAgain => return true,
        }
        false
    }

    /// Asks it to end.
    pub fn terminate(&mut self, now: Instant) {
        self.signal(Signal::SIGTERM, (Step::Terminated, now + GRACE));
    }

    fn signal(&mut self, signal: Signal, (step, due): (Step, Instant)) {
        // A group that is gone already has nothing left to end.
        let _ = killpg(Pid::from_raw(self.child.id() as i32), signal);
        (self.step, self.due) = (step, due);
    }

    fn report(&self, status: ExitStatus, log: &Log) {
        let phase = self.phase;
        match (status.code(), status.signal()) {
            (Some(0), _) => log.detail(format!("{phase} script succeeded")),
            (Some(code), _) => log.say(format!("{phase} script failed, status {code}")),
            // What it started may have ignored the signal.
            (None, Some(signal)) if signal == Signal::SIGTERM as i32 && self.step == Step::Terminated => {
                let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
            }
            (None, _) => {}
        }
    }
}
