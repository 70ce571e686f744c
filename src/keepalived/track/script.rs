//! A tracked script: when it runs, how long it may, and what its results come to.

use super::probe::{Answer, ProbeRunner};
use super::security::Program;
use crate::conf::diagnostic::reason;
use crate::keepalived::site::Script;
use crate::sys::process::{on_its_own, unblocked, with_groups};
use crate::vrrp::node::Reading;
use crate::vrrp::weight::Verdict;
use nix::poll::PollFd;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// A script that was told to end gets this long.
const GRACE: Duration = Duration::from_secs(2);

/// A script that is being tracked.
///
/// Differs from keepalived: a check of a `#@rkeepalived` line is asked in the daemon's own loop, and no script is started. [test: a_check_in_the_loop_moves_the_address]
/// Differs from keepalived: an overrunning script gets no second copy. [test: an_overrunning_script_gets_no_second_copy]
pub struct ScriptRunner {
    /// What is to be run.
    pub script: Script,
    /// How, if it may.
    program: Option<Program>,
    /// What is asked instead.
    probe: Option<ProbeRunner>,
    next: Instant,
    run: Option<Run>,
    tally: Tally,
    runs: Runs,
}

/// What the runs of a script came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Runs {
    /// How often it ended.
    pub ended: u64,
    /// How often it failed, timeouts included.
    pub failed: u64,
    /// How often it took too long.
    pub timed_out: u64,
    /// How its last run ended, when, and how long it took.
    pub last: Option<(String, SystemTime, Duration)>,
}

struct Run {
    child: Child,
    began: Instant,
    term_at: Instant,
    /// It was told to end.
    ending: bool,
}

/// Results in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    verdict: Verdict,
    /// Results in a row that speak against the verdict.
    against: u32,
    /// The last exit status.
    status: i32,
}

impl Default for Tally {
    fn default() -> Self {
        Self { verdict: Verdict::Unknown, against: 0, status: 0 }
    }
}

impl Tally {
    /// What is known, for the routers that track it.
    pub const fn reading(&self) -> Reading {
        match self.verdict {
            Verdict::Unknown => Reading::Unknown,
            Verdict::Good => Reading::Good,
            Verdict::Bad => Reading::Bad,
        }
    }

    /// Takes a result; tells whether the verdict changed. The very first result decides alone.
    pub fn add(&mut self, good: bool, (rise, fall): (u32, u32)) -> bool {
        let verdict = if good { Verdict::Good } else { Verdict::Bad };
        if verdict == self.verdict {
            self.against = 0;
            return false;
        }
        self.against += 1;
        let needed = match self.verdict {
            Verdict::Unknown => 1,
            Verdict::Good => fall,
            Verdict::Bad => rise,
        };
        if self.against < needed {
            return false;
        }
        (self.verdict, self.against) = (verdict, 0);
        true
    }
}

impl Runs {
    fn add(&mut self, how: &str, good: bool, took: Duration) {
        self.ended += 1;
        self.failed += u64::from(!good);
        self.last = Some((how.to_owned(), SystemTime::now(), took));
    }
}

impl ScriptRunner {
    /// A script whose first run is due at once; one that may not be run counts as failed, for those who count it.
    pub fn new(script: Script, program: Option<Program>, now: Instant) -> Self {
        let mut tally = Tally::default();
        let probe = script.probe.clone().map(|target| ProbeRunner::new(target, script.timeout));
        if program.is_none() && probe.is_none() {
            tally.verdict = Verdict::Bad;
        }
        Self { script, program, probe, next: now, run: None, tally, runs: Runs::default() }
    }

    /// What is known, taken over from the same script before a reload.
    pub fn resume(&mut self, before: &Self) -> Option<String> {
        self.runs = before.runs.clone();
        if self.is_disabled() || before.tally.verdict == Verdict::Unknown {
            return None;
        }
        self.tally = before.tally;
        let how = if self.tally.verdict == Verdict::Good { "successful" } else { "unsuccessful" };
        Some(format!("VRRP_Script({}) considered {how} on reload", self.script.name))
    }

    /// What is known.
    pub const fn verdict(&self) -> Verdict {
        self.tally.verdict
    }

    /// The same, for the routers that track it.
    pub const fn reading(&self) -> Reading {
        self.tally.reading()
    }

    /// What its runs came to.
    pub const fn runs(&self) -> &Runs {
        &self.runs
    }

    /// Whether it runs, or is asked, now.
    pub fn is_running(&self) -> bool {
        self.run.is_some() || self.probe.as_ref().is_some_and(ProbeRunner::is_busy)
    }

    /// Whether it may not be run, and nothing is asked instead.
    pub const fn is_disabled(&self) -> bool {
        self.program.is_none() && self.probe.is_none()
    }

    /// What to wait for beside its next time.
    pub fn descriptor(&self) -> Option<PollFd<'_>> {
        self.probe.as_ref()?.descriptor()
    }

    /// How it would be run.
    pub const fn program(&self) -> Option<&Program> {
        self.program.as_ref()
    }

    /// When there is something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if let Some(probe) = &self.probe {
            return Some(probe.poll_timeout().unwrap_or(self.next));
        }
        self.program.as_ref()?;
        Some(self.run.as_ref().map_or(self.next, |run| run.term_at.min(self.next)))
    }

    /// Starts what is due, ends what overruns; the lines are for the log.
    pub fn handle_timeout(&mut self, now: Instant, lines: &mut Vec<String>) {
        if self.probe.is_some() {
            return self.ask(now, lines);
        }
        self.overrun(now);
        if self.next > now {
            return;
        }
        self.schedule(now);
        let name = &self.script.name;
        if let Some(run) = &self.run {
            let state = if run.ending { "being timed out" } else { "already running" };
            lines.push(format!("Track script {name} is {state}, expect idle - skipping run"));
            return;
        }
        let Some(program) = &self.program else { return };
        match start(program) {
            Ok(child) => {
                self.run = Some(Run { child, began: now, term_at: now + self.script.timeout, ending: false });
            }
            Err(error) => {
                lines.push(format!("Couldn't start {name}: {}", reason(&error)));
                self.runs.add("could not be started", false, Duration::ZERO);
                self.judge(false, "failed (could not be started)", lines);
            }
        }
    }

    /// Asks when it is time to, and takes the answer.
    fn ask(&mut self, now: Instant, lines: &mut Vec<String>) {
        let Some(probe) = &mut self.probe else { return };
        let mut answer = probe.advance(now);
        if answer.is_none() && !probe.is_busy() && self.next <= now {
            answer = probe.start(now);
            self.schedule(now);
        }
        let Some(Answer { failure, timed_out, took }) = answer else { return };
        self.runs.timed_out += u64::from(timed_out);
        self.runs.add(failure.as_deref().unwrap_or("answered"), failure.is_none(), took);
        match failure {
            None => self.judge(true, "", lines),
            Some(_) if timed_out => self.judge(false, "timed_out", lines),
            Some(failure) => self.judge(false, &format!("failed ({failure})"), lines),
        }
    }

    /// Sets the time after this one.
    fn schedule(&mut self, now: Instant) {
        // A run that was late does not make the next one late.
        let next = self.next + self.script.interval;
        self.next = if next <= now { now + self.script.interval } else { next };
    }

    fn overrun(&mut self, now: Instant) {
        let Some(run) = self.run.as_mut().filter(|run| run.term_at <= now) else { return };
        let signal = if run.ending { Signal::SIGKILL } else { Signal::SIGTERM };
        // A group that is gone already has nothing left to end.
        let _ = killpg(Pid::from_raw(run.child.id() as i32), signal);
        run.term_at = now + GRACE;
        run.ending = true;
    }

    /// Takes the result of a run that has ended; the lines are for the log.
    pub fn reap(&mut self, lines: &mut Vec<String>) {
        let Some(run) = self.run.as_mut() else { return };
        let Ok(Some(status)) = run.child.try_wait() else { return };
        let (ending, took) = (run.ending, run.began.elapsed());
        self.run = None;
        if ending {
            self.runs.timed_out += 1;
            self.runs.add("timed out", false, took);
            return self.judge(false, "timed_out", lines);
        }
        let how = match status.signal() {
            Some(signal) => format!("signal {signal}"),
            None => format!("status {}", status.code().unwrap_or_default()),
        };
        self.runs.add(&how, status.success(), took);
        self.report(status, lines);
    }

    fn report(&mut self, status: ExitStatus, lines: &mut Vec<String>) {
        let name = &self.script.name;
        match (status.code(), status.signal()) {
            (Some(code), _) => {
                if code != self.tally.status {
                    lines.push(format!("Script `{name}` now returning {code}"));
                    self.tally.status = code;
                }
                self.judge(code == 0, &format!("failed (exited with status {code})"), lines);
            }
            (None, signal) => {
                self.judge(false, &format!("failed (due to signal {})", signal.unwrap_or_default()), lines)
            }
        }
    }

    fn judge(&mut self, good: bool, how: &str, lines: &mut Vec<String>) {
        if !self.tally.add(good, (self.script.rise, self.script.fall)) {
            return;
        }
        let name = &self.script.name;
        lines.push(format!("VRRP_Script({name}) {}", if good { "succeeded" } else { how }));
    }

    /// Ends a run at once, at a reload or at the end.
    pub fn abandon(&mut self) {
        self.probe.iter_mut().for_each(ProbeRunner::abandon);
        if let Some(mut run) = self.run.take() {
            let group = Pid::from_raw(run.child.id() as i32);
            // A group that is gone already has nothing left to end.
            let _ = killpg(group, Signal::SIGTERM).and_then(|()| killpg(group, Signal::SIGKILL));
            let _ = run.child.wait();
        }
    }
}

/// Starts `program` as its user, leading a group of its own, hearing and saying nothing.
///
/// # Errors
/// What the system said.
pub fn start(program: &Program) -> std::io::Result<Child> {
    let mut command = command(program);
    on_its_own(&mut command, Signal::SIGTERM);
    command.spawn()
}

/// The command a program is started by.
pub fn command(program: &Program) -> Command {
    let mut command = Command::new(&program.path);
    command.args(&program.arguments).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if !program.groups.is_empty() {
        with_groups(&mut command, (program.uid, program.gid), &program.groups);
    } else if program.uid != 0 || program.gid != 0 {
        command.uid(program.uid).gid(program.gid);
    }
    // The daemon blocks the signals it queues; a script must be able to end, and so must what it starts.
    unblocked(&mut command);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keepalived::slot::Command as Given;

    fn script(name: &str) -> Script {
        Script {
            name: name.to_owned(),
            command: Given { words: Vec::new(), user: None },
            probe: None,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
            weight: 0,
            reverse: false,
            rise: 3,
            fall: 2,
        }
    }

    fn program(path: &str, arguments: &[&str]) -> Option<Program> {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let (uid, gid) = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
        Some(Program { path: path.into(), arguments, uid, gid, groups: Vec::new() })
    }

    fn finish(runner: &mut ScriptRunner, lines: &mut Vec<String>) {
        for _ in 0..1000 {
            runner.reap(lines);
            if runner.run.is_none() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_script_that_may_not_be_run_counts_as_failed() {
        let runner = ScriptRunner::new(script("s"), None, Instant::now());
        assert_eq!((runner.verdict(), runner.poll_timeout()), (Verdict::Bad, None));
    }

    #[test]
    fn an_overrunning_script_gets_no_second_copy() {
        let now = Instant::now();
        let mut lines = Vec::new();
        let mut runner = ScriptRunner::new(script("s"), program("/bin/sleep", &["60"]), now);
        runner.handle_timeout(now, &mut lines);
        let first = runner.run.as_ref().map(|run| run.child.id());
        runner.handle_timeout(now + Duration::from_secs(1), &mut lines);
        assert_eq!(runner.run.as_ref().map(|run| run.child.id()), first);
        assert_eq!(lines, ["Track script s is already running, expect idle - skipping run"]);
        runner.handle_timeout(now + Duration::from_secs(6), &mut lines);
        finish(&mut runner, &mut lines);
        assert!(lines.contains(&"VRRP_Script(s) timed_out".to_owned()), "{lines:?}");
        assert_eq!(runner.verdict(), Verdict::Bad);
    }

    #[test]
    fn results_in_a_row_make_the_verdict() {
        let mut tally = Tally::default();
        assert!(tally.add(true, (3, 2)) && tally.verdict == Verdict::Good);
        assert!(!tally.add(false, (3, 2)) && !tally.add(true, (3, 2)) && !tally.add(false, (3, 2)));
        assert!(tally.add(false, (3, 2)) && tally.verdict == Verdict::Bad);
        assert!(!tally.add(true, (3, 2)) && !tally.add(true, (3, 2)) && tally.add(true, (3, 2)));
    }

    #[test]
    fn exits_are_reported_in_keepaliveds_words() {
        let now = Instant::now();
        let mut lines = Vec::new();
        let mut runner = ScriptRunner::new(script("s"), program("/bin/false", &[]), now);
        runner.handle_timeout(now, &mut lines);
        finish(&mut runner, &mut lines);
        assert_eq!(lines, ["Script `s` now returning 1", "VRRP_Script(s) failed (exited with status 1)"]);
    }
}
