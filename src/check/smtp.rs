//! `SMTP_CHECK`: a server that greets, takes a HELO and a QUIT (RFC 5321) is up.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::report::{Judgement, Known};
use super::schedule::Schedule;

/// The name that is given where none is configured.
pub const HELO: &str = "smtpchecker.keepalived.org";
/// The longest line.
const LONGEST: usize = 511;

/// A conversation.
#[derive(Debug)]
pub struct Dialogue<'a> {
    helo: &'a str,
    awaited: Awaited,
    line: Vec<u8>,
}

/// The answer that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Banner,
    Helo,
    Quit,
}

/// What comes next in a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// More of the answer.
    Read,
    /// This is sent, and its answer read.
    Send(String),
    /// The server is up.
    Done,
    /// It is not; what is wrong.
    Failed(&'static str),
}

impl<'a> Dialogue<'a> {
    /// A conversation that begins with the server's greeting.
    pub const fn new(helo: &'a str) -> Self {
        Self { helo, awaited: Awaited::Banner, line: Vec::new() }
    }

    /// Takes bytes of the server.
    pub fn take(&mut self, bytes: &[u8]) -> Next {
        if self.line.len() >= LONGEST {
            self.line.clear();
        }
        self.line.extend(bytes.iter().take(LONGEST.saturating_sub(self.line.len())));
        let Some(end) = self.line.iter().position(|byte| *byte == b'\n') else { return Next::Read };
        let code = code(self.line.get(..end).unwrap_or_default());
        self.line.clear();
        match (self.awaited, code) {
            (Awaited::Banner, Some(220)) => {
                self.awaited = Awaited::Helo;
                Next::Send(format!("HELO {}\r\n", self.helo))
            }
            (Awaited::Banner, _) => Next::Failed("Bad greeting banner from server"),
            (Awaited::Helo, Some(250)) => {
                self.awaited = Awaited::Quit;
                Next::Send("QUIT\r\n".to_owned())
            }
            (Awaited::Helo, _) => Next::Failed("Bad HELO response from server"),
            (Awaited::Quit, _) => Next::Done,
        }
    }
}

/// The three digits an answer begins with, if a blank or nothing follows.
fn code(line: &[u8]) -> Option<u16> {
    let (digits, rest) = line.split_at_checked(3)?;
    let ends = rest.first().is_none_or(|byte| *byte == b' ');
    std::str::from_utf8(digits).ok().filter(|_| ends)?.parse().ok()
}

/// Judges an attempt; of a failed one it is told what is wrong.
pub fn judge(schedule: &mut Schedule, known: Known<'_>, outcome: Result<(), String>) -> Judgement {
    let mut judged = Judgement { wait: schedule.timing().delay, ..Judgement::default() };
    let Err(failure) = outcome else {
        schedule.reset();
        if known.is_news(true) {
            judged.lines.push(format!("Remote SMTP server {} succeed on service.", known.real));
            judged.verdict = Some(true);
            judged.mail = (!known.up).then(|| "=> CHECK succeed on service <=".to_owned());
        }
        return judged;
    };
    let last = schedule.is_exhausted();
    let news = known.is_news(false);
    if news && (known.log_all || last) {
        judged.lines.push(format!("SMTP_CHECK {failure}"));
    }
    if !last {
        judged.wait = schedule.retry();
        return judged;
    }
    schedule.reset();
    if news {
        judged.verdict = Some(false);
        judged.mail = known.up.then(|| format!("=> CHECK failed on service : {failure} <="));
    }
    judged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::schedule::Timing;
    use std::time::Duration;

    #[test]
    fn a_conversation_is_greeting_helo_and_quit() {
        let mut dialogue = Dialogue::new("me");
        assert_eq!(dialogue.take(b"220 ma"), Next::Read);
        assert_eq!(dialogue.take(b"il\r\n"), Next::Send("HELO me\r\n".to_owned()));
        assert_eq!(dialogue.take(b"250 hello\r\n"), Next::Send("QUIT\r\n".to_owned()));
        assert_eq!(dialogue.take(b"500 what\r\n"), Next::Done);
    }

    #[test]
    fn other_answers_end_it() {
        for banner in [&b"421 no\r\n"[..], b"220-more\r\n", b"22\r\n", b"\r\n"] {
            assert_eq!(Dialogue::new("me").take(banner), Next::Failed("Bad greeting banner from server"), "{banner:?}");
        }
        let mut dialogue = Dialogue::new("me");
        dialogue.take(b"220 mail\n");
        assert_eq!(dialogue.take(b"550 no\n"), Next::Failed("Bad HELO response from server"));
    }

    #[test]
    fn failures_are_repeated_from_the_first_on() {
        let second = Duration::from_secs(1);
        let timing = Timing { delay: 6 * second, retry: 1, delay_before_retry: second, warmup: Duration::ZERO };
        let known = Known { up: true, has_run: false, log_all: false, real: "r", server: "v" };
        let mut schedule = Schedule::resume(timing, 0);
        let failed = || Err("Read timeout from server [a]:25".to_owned());
        let first = judge(&mut schedule, known, failed());
        assert_eq!((first.verdict, first.wait, first.lines.len()), (None, second, 0));
        let next = judge(&mut schedule, known, failed());
        assert_eq!(
            (next.verdict, next.lines),
            (Some(false), vec!["SMTP_CHECK Read timeout from server [a]:25".into()])
        );
        let good = judge(&mut schedule, Known { up: false, has_run: true, ..known }, Ok(()));
        assert_eq!(good.lines, ["Remote SMTP server r succeed on service."]);
    }
}
