//! `MISC_CHECK`: a script whose exit status says whether a server is up, or which weight it has.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::report::{Judgement, Known};
use super::schedule::Schedule;
use std::time::Duration;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With a status.
    Status(u32),
    /// By a signal.
    Signal(i32),
    /// It took too long, and was ended.
    TimedOut,
}

impl Exit {
    /// What is wrong with it, where something is; `dynamic` are statuses that set a weight.
    pub fn failure(self, dynamic: bool) -> Option<String> {
        match self {
            Self::Status(0) => None,
            Self::Status(2..=255) if dynamic => None,
            Self::Status(status) => Some(format!("exited with status {status}")),
            Self::Signal(signal) => Some(format!("was ended by signal {signal}")),
            Self::TimedOut => Some("took too long".to_owned()),
        }
    }
}

/// What a run is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<'a> {
    /// How it ended.
    pub exit: Exit,
    /// The program.
    pub program: &'a str,
    /// The status sets the weight.
    pub dynamic: bool,
    /// The weight that is configured.
    pub weight: i64,
    /// How long it took.
    pub took: Duration,
}

/// Judges a run; `last` is the status that was last taken.
pub fn judge(schedule: &mut Schedule, last: &mut u32, known: Known<'_>, run: Run<'_>) -> Judgement {
    let mut judged = Judgement::default();
    let news = known.up || !known.has_run;
    let (mut how, mut why) = (None, None);
    let mut good = false;
    match run.exit {
        Exit::Status(status) if status == 0 || run.dynamic && (2..=255).contains(&status) => {
            good = true;
            if status != *last {
                judged.weight = Some(if status >= 2 { i64::from(status - 2) } else { run.weight });
                *last = status;
            }
            how = known.is_news(true).then_some("succeeded");
            schedule.reset();
        }
        exit if news => {
            (how, why) = match exit {
                Exit::Status(status) => (Some("failed"), Some(format!(" (exited with status {status})"))),
                Exit::Signal(signal) => (Some("failed"), Some(format!(" (due to signal {signal})"))),
                Exit::TimedOut => (Some("timed out"), None),
            };
        }
        _ => {}
    }
    let retries = schedule.timing().retry;
    let mut message = String::new();
    let mut last_attempt = true;
    if how.is_some() && !good {
        last_attempt = schedule.is_exhausted();
        if last_attempt {
            schedule.reset();
            if let Exit::Status(status) = run.exit {
                *last = status;
            }
        } else {
            schedule.retry();
        }
        let plural = if retries == 1 { "retry" } else { "retries" };
        message = match schedule.attempts() {
            _ if retries == 0 => " with retry disabled".to_owned(),
            0 => format!(" after {retries} {plural}"),
            1 => format!(", will do {retries} {plural}"),
            attempts => format!(" on retry {}/{retries}", attempts - 1),
        };
    }
    if let Some(how) = how.filter(|_| last_attempt || known.log_all) {
        let (real, server, program) = (known.real, known.server, run.program);
        let why = why.unwrap_or_default();
        judged.lines.push(format!("Misc check for [{real} VS {server}] by [{program}] {how}{message}{why}."));
        if last_attempt {
            judged.verdict = Some(good);
            judged.mail = Some(format!("=> MISC CHECK {how} on service <="));
        }
    }
    let timing = schedule.timing();
    let every = if schedule.attempts() > 0 { timing.delay_before_retry } else { timing.delay };
    judged.wait = every.saturating_sub(run.took).max(Duration::from_micros(1));
    judged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::schedule::Timing;

    const TIMING: Timing = Timing {
        delay: Duration::from_secs(6),
        retry: 2,
        delay_before_retry: Duration::from_secs(1),
        warmup: Duration::ZERO,
    };

    fn known(up: bool, has_run: bool) -> Known<'static> {
        Known { up, has_run, log_all: false, real: "r", server: "v" }
    }

    fn run(exit: Exit, dynamic: bool) -> Run<'static> {
        Run { exit, program: "/x", dynamic, weight: 5, took: Duration::from_secs(2) }
    }

    #[test]
    fn failures_are_repeated_and_told_with_their_reason() {
        let (mut schedule, mut last) = (Schedule::resume(TIMING, 0), 0);
        let failed = run(Exit::Status(1), false);
        for _ in 0..2 {
            let judged = judge(&mut schedule, &mut last, known(true, true), failed);
            assert_eq!((judged.verdict, judged.lines.len(), judged.wait), (None, 0, Duration::from_micros(1)));
        }
        let judged = judge(&mut schedule, &mut last, known(true, true), failed);
        assert_eq!(judged.lines, ["Misc check for [r VS v] by [/x] failed after 2 retries (exited with status 1)."]);
        assert_eq!((judged.verdict, judged.wait), (Some(false), Duration::from_secs(4)));
        let judged = judge(&mut schedule, &mut last, known(false, true), failed);
        assert_eq!((judged.verdict, judged.lines.len()), (None, 0));
        let judged = judge(&mut schedule, &mut last, known(false, true), run(Exit::Status(0), false));
        assert_eq!(judged.lines, ["Misc check for [r VS v] by [/x] succeeded."]);
    }

    #[test]
    fn all_failures_are_numbered() {
        let (mut schedule, mut last) = (Schedule::resume(TIMING, 0), 0);
        let mut line = |exit| {
            let all = Known { log_all: true, ..known(true, true) };
            judge(&mut schedule, &mut last, all, run(exit, false)).lines.concat()
        };
        let start = "Misc check for [r VS v] by [/x]";
        assert_eq!(line(Exit::Signal(9)), format!("{start} failed, will do 2 retries (due to signal 9)."));
        assert_eq!(line(Exit::TimedOut), format!("{start} timed out on retry 1/2."));
        assert_eq!(line(Exit::TimedOut), format!("{start} timed out after 2 retries."));
    }

    #[test]
    fn a_status_can_be_a_weight() {
        let (mut schedule, mut last) = (Schedule::new(TIMING), 0);
        let mut weight =
            |status| judge(&mut schedule, &mut last, known(true, true), run(Exit::Status(status), true)).weight;
        assert_eq!([weight(12), weight(12), weight(0), weight(2)], [Some(10), None, Some(5), Some(0)]);
    }
}
