//! `DNS_CHECK`: a server that answers a question without an error is up.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::report::{Judgement, Known};
use super::schedule::Schedule;

/// The names and numbers of record types that may be asked for.
pub const TYPES: [(&str, u16); 9] = [
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("RRSIG", 46),
    ("DNSKEY", 48),
];
/// The type where none is named.
pub const SOA: u16 = 6;
/// The longest answer.
pub const LONGEST: usize = 768;

/// The question for a name, which is cut into labels of at most 255 bytes as it is.
pub fn query(id: u16, kind: u16, name: &str) -> Vec<u8> {
    const RECURSION_DESIRED: u16 = 0x0100;
    const INTERNET: u16 = 1;
    let mut message = Vec::new();
    for field in [id, RECURSION_DESIRED, 1, 0, 0, 0] {
        message.extend(field.to_be_bytes());
    }
    for label in name.split_terminator('.') {
        message.push(label.len().min(255) as u8);
        message.extend(label.bytes().take(255));
    }
    message.push(0);
    message.extend(kind.to_be_bytes());
    message.extend(INTERNET.to_be_bytes());
    message
}

/// What an answer says; `None` where it belongs to another question.
pub fn answer(message: &[u8], id: u16) -> Option<Result<(), String>> {
    const RESPONSE: u8 = 0x80;
    let [first, second, flags, code, ..] = *message else { return None };
    if message.len() < 8 || [first, second] != id.to_be_bytes() || flags & RESPONSE == 0 {
        return None;
    }
    Some(match code & 0x0f {
        0 => Ok(()),
        code => Err(format!("read error occurred. (rcode = {code})")),
    })
}

/// Judges an attempt.
pub fn judge(schedule: &mut Schedule, known: Known<'_>, outcome: Result<(), String>) -> Judgement {
    let mut judged = Judgement { wait: schedule.timing().delay, ..Judgement::default() };
    let good = outcome.is_ok();
    if let Err(failure) = outcome.as_ref()
        && known.is_news(false)
    {
        let (last, retries) = (schedule.is_exhausted(), schedule.timing().retry);
        if known.log_all || last {
            let after = if known.has_run && last { format!(" after {retries} retries") } else { String::new() };
            judged.lines.push(format!("DNS_CHECK ({}) {failure}{after}", known.real));
        }
        if !last {
            judged.wait = schedule.retry();
            return judged;
        }
    }
    schedule.reset();
    if known.is_news(good) {
        judged.verdict = Some(good);
        let how = if good { "succeed" } else { "failed" };
        judged.mail = (known.up != good).then(|| format!("=> DNS_CHECK: {how} on service <="));
    }
    judged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::schedule::Timing;
    use std::time::Duration;

    #[test]
    fn questions_and_answers_are_dns() {
        let question = query(0x1234, SOA, "example.com");
        assert_eq!(question, b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x06\x00\x01");
        assert_eq!(query(1, SOA, "").get(12..), Some(&b"\x00\x00\x06\x00\x01"[..]));
        let reply = |flags: u8, code: u8| [0x12, 0x34, flags, code, 0, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(answer(&reply(0x81, 0x80), 0x1234), Some(Ok(())));
        assert_eq!(answer(&reply(0x81, 0x83), 0x1234), Some(Err("read error occurred. (rcode = 3)".to_owned())));
        assert_eq!((answer(&reply(0x01, 0), 0x1234), answer(&reply(0x81, 0), 7), answer(&[1], 1)), (None, None, None));
    }

    #[test]
    fn a_failure_is_told_with_its_reason() {
        let timing = Timing {
            delay: Duration::from_secs(6),
            retry: 1,
            delay_before_retry: Duration::from_secs(2),
            warmup: Duration::ZERO,
        };
        let known = Known { up: true, has_run: true, log_all: false, real: "[a]:udp:53", server: "v" };
        let mut schedule = Schedule::resume(timing, 0);
        let failed = || Err("read timeout from socket".to_owned());
        let first = judge(&mut schedule, known, failed());
        assert_eq!((first.verdict, first.lines.len(), first.wait), (None, 0, timing.delay_before_retry));
        let second = judge(&mut schedule, known, failed());
        assert_eq!(second.lines, ["DNS_CHECK ([a]:udp:53) read timeout from socket after 1 retries"]);
        assert_eq!((second.verdict, second.wait), (Some(false), timing.delay));
        let good = judge(&mut schedule, Known { up: false, ..known }, Ok(()));
        assert_eq!((good.verdict, good.lines.len()), (Some(true), 0));
    }
}
