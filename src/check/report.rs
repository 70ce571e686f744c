//! What an attempt of a check comes to: the same shape for all kinds.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::schedule::Schedule;
use std::time::Duration;

/// What is known of a check before an attempt is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known<'a> {
    /// Its last result was good, or there is none.
    pub up: bool,
    /// It has been made before.
    pub has_run: bool,
    /// Every failed attempt is told.
    pub log_all: bool,
    /// The real server.
    pub real: &'a str,
    /// The virtual server.
    pub server: &'a str,
}

/// When a check counts as having been made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ran {
    /// Once the result is taken.
    #[default]
    After,
    /// Before the result is taken.
    Before,
    /// Not yet.
    Not,
}

/// What an attempt comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// The weight the real server has from now on.
    pub weight: Option<i64>,
    /// What is said.
    pub lines: Vec<String>,
    /// The result of the check, if there is one.
    pub verdict: Option<bool>,
    /// The text of the mail, if one is to be sent.
    pub mail: Option<String>,
    /// When it counts as made.
    pub ran: Ran,
    /// The time until the next attempt.
    pub wait: Duration,
}

/// What is said of results; `{rs}` is the real server, `{vs}` the virtual one, `{n}` the number of retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// A success.
    pub good: &'static str,
    /// A failure.
    pub bad: &'static str,
    /// A failure after retries.
    pub bad_after: &'static str,
    /// The mail about a success.
    pub good_mail: &'static str,
    /// The mail about a failure.
    pub bad_mail: &'static str,
    /// A check that has failed is repeated after failures like others.
    pub retries_when_down: bool,
}

impl Known<'_> {
    /// Whether a result is news.
    pub const fn is_news(&self, good: bool) -> bool {
        !self.has_run || self.up != good
    }

    /// A text about the servers.
    pub fn fill(&self, template: &str) -> String {
        template.replace("{rs}", self.real).replace("{vs}", self.server)
    }
}

impl Words {
    /// Judges an attempt; `failure` is what is said of a failed one to those who asked for all of them.
    pub fn judge(&self, schedule: &mut Schedule, known: Known<'_>, good: bool, failure: Option<&str>) -> Judgement {
        let mut judged = Judgement { wait: schedule.timing().delay, ..Judgement::default() };
        let told = failure.filter(|_| known.up && known.log_all);
        judged.lines.extend(told.map(|template| known.fill(template)));
        let waiting = !good && known.has_run && !known.up;
        if waiting && !self.retries_when_down {
            return judged;
        }
        if !good && !schedule.is_exhausted() {
            judged.wait = schedule.retry();
            return judged;
        }
        schedule.reset();
        if !known.is_news(good) {
            return judged;
        }
        let retries = schedule.timing().retry;
        let template = match (good, known.has_run && retries > 0) {
            (true, _) => self.good,
            (false, true) => self.bad_after,
            (false, false) => self.bad,
        };
        judged.lines.push(known.fill(template).replace("{n}", &retries.to_string()));
        judged.verdict = Some(good);
        let mail = if good { self.good_mail } else { self.bad_mail };
        judged.mail = (known.up != good).then(|| mail.to_owned());
        judged
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::schedule::Timing;
    use crate::check::{ping, tcp, udp};

    const TIMING: Timing = Timing {
        delay: Duration::from_secs(6),
        retry: 2,
        delay_before_retry: Duration::from_secs(1),
        warmup: Duration::ZERO,
    };

    fn known(up: bool, has_run: bool) -> Known<'static> {
        Known { up, has_run, log_all: false, real: "[a]:tcp:1", server: "[v]:tcp:1" }
    }

    #[test]
    fn the_first_failure_decides_and_later_ones_are_repeated() {
        let mut schedule = Schedule::new(TIMING);
        let first = tcp::WORDS.judge(&mut schedule, known(true, false), false, None);
        assert_eq!((first.verdict, first.wait), (Some(false), TIMING.delay));
        assert_eq!(first.lines, ["TCP_CHECK on service [a]:tcp:1 failed."]);
        for _ in 0..2 {
            let again = tcp::WORDS.judge(&mut schedule, known(true, true), false, None);
            assert_eq!((again.verdict, again.wait, again.lines.len()), (None, TIMING.delay_before_retry, 0));
        }
        let last = tcp::WORDS.judge(&mut schedule, known(true, true), false, None);
        assert_eq!(last.lines, ["TCP_CHECK on service [a]:tcp:1 failed after 2 retries."]);
        assert_eq!(last.mail.as_deref(), Some("=> TCP CHECK failed on service <="));
    }

    #[test]
    fn only_changes_are_told() {
        let mut schedule = Schedule::resume(TIMING, 0);
        let good = tcp::WORDS.judge(&mut schedule, known(true, true), true, None);
        assert_eq!((good.verdict, good.lines.len(), good.wait), (None, 0, TIMING.delay));
        let good = tcp::WORDS.judge(&mut schedule, known(false, true), true, None);
        assert_eq!(good.lines, ["TCP connection to [a]:tcp:1 success."]);
        // A first success of a server that was taken to be up is no reason for mail.
        assert_eq!(tcp::WORDS.judge(&mut schedule, known(true, false), true, None).mail, None);
    }

    #[test]
    fn failed_attempts_are_told_to_those_who_want_all() {
        let mut schedule = Schedule::resume(TIMING, 0);
        let all = Known { log_all: true, ..known(true, true) };
        let failed = tcp::WORDS.judge(&mut schedule, all, false, Some("TCP connection to {rs} timeout."));
        assert_eq!(failed.lines, ["TCP connection to [a]:tcp:1 timeout."]);
    }

    #[test]
    fn some_kinds_wait_the_whole_time_while_a_server_is_down() {
        for (words, wait) in
            [(tcp::WORDS, TIMING.delay_before_retry), (udp::WORDS, TIMING.delay), (ping::WORDS, TIMING.delay)]
        {
            let mut schedule = Schedule::resume(TIMING, 0);
            assert_eq!(words.judge(&mut schedule, known(false, true), false, None).wait, wait);
        }
    }
}
