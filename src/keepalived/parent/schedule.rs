//! `reload_time_file`: a file with the time of the next reload. The file and the clock are looked at by the parent.

use crate::keepalived::blocks::global::Global;
use crate::keepalived::log::Log;
use crate::log::clock::{Civil, civil, unix};
use crate::sys::inotify::Inotify;
use crate::sys::time::offset;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is read of the file at most.
const LENGTH: usize = 20;
/// A day.
const DAY: i64 = 86_400;

/// A time for a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Time {
    /// In seconds since 1970.
    at: i64,
    /// It has a date: it comes once.
    dated: bool,
}

/// Why a time is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unusable {
    /// It has another length than times have.
    Format,
    /// It is no time.
    Invalid,
    /// The calendar does not have it.
    Impossible,
    /// It is over.
    Past,
}

/// The file that is watched, and what it asks for.
#[derive(Debug)]
pub struct ReloadSchedule {
    path: PathBuf,
    folder: PathBuf,
    /// A time without a date comes again each day.
    repeat: bool,
    watch: Inotify,
    time: Option<Time>,
}

impl ReloadSchedule {
    /// Watches the file of a configuration, if it has one.
    pub fn start(global: &Global, log: &Log) -> Option<Self> {
        let path = global.reload_time_file.as_ref()?;
        let folder = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
        let watch = Inotify::new().and_then(|watch| watch.watch(Path::new(folder)).map(|()| watch));
        let Ok(watch) = watch else {
            log.say(format!("Unable to monitor reload timer file directory {folder}- ignoring"));
            return None;
        };
        let repeat = global.reload_repeat == Some(true);
        let mut schedule = Self { path: PathBuf::from(path), folder: PathBuf::from(folder), repeat, watch, time: None };
        schedule.read(SystemTime::now(), log);
        Some(schedule)
    }

    /// Looks at the file where it changed; whether it can still be watched.
    pub fn look(&mut self, log: &Log) -> bool {
        if !self.watch.drain() {
            return true;
        }
        if !self.folder.is_dir() {
            self.cancel(log);
            log.say("Directory of reload timer file has disappeared. Monitoring stopped.");
            return false;
        }
        self.read(SystemTime::now(), log);
        true
    }

    /// How long it is until the reload.
    pub fn poll_timeout(&self, now: SystemTime) -> Option<Duration> {
        let at = UNIX_EPOCH.checked_add(Duration::from_secs(self.time?.at.unsigned_abs()))?;
        Some(at.duration_since(now).unwrap_or_default())
    }

    /// Whether it is time for the reload; a file whose time does not come again is removed.
    pub fn is_due(&self, now: SystemTime) -> bool {
        let due = self.poll_timeout(now).is_some_and(|left| left.is_zero());
        if due && (!self.repeat || self.time.is_some_and(|time| time.dated)) {
            // One that is gone already asks for nothing.
            let _ = fs::remove_file(&self.path);
        }
        due
    }

    fn cancel(&mut self, log: &Log) {
        if let Some(time) = self.time.take() {
            log.say(format!("Cancelling reload scheduled for {}", shown(time.at)));
        }
    }

    fn read(&mut self, now: SystemTime, log: &Log) {
        let bytes = fs::read(&self.path).unwrap_or_default();
        let line = bytes.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = line.get(..line.len().min(LENGTH)).unwrap_or_default();
        if line.is_empty() {
            return self.cancel(log);
        }
        let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line)).into_owned();
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
        let time = match parse(&text, now, &|at| i64::from(offset(at))) {
            Ok(time) => time,
            Err(why) => {
                let (first, second) = match why {
                    Unusable::Format => (format!("Reload time {text} format is incorrect - ignoring"), false),
                    Unusable::Invalid => (format!("Reload date/time {text} invalid - ignoring"), false),
                    Unusable::Impossible => (format!("Reload time {text} is not valid - ignoring"), false),
                    Unusable::Past => (format!("Reload time {text} is in the past - ignoring"), true),
                };
                log.say(first);
                log.say(match second {
                    true => "Reload date/time is in the past - ignoring".to_owned(),
                    false => format!("Invalid reload time '{text}' specified - ignoring"),
                });
                return self.cancel(log);
            }
        };
        match self.time.replace(time) {
            Some(before) if before.at == time.at => {}
            Some(before) => {
                log.say(format!("Reload time updated from {} to {}", shown(before.at), shown(time.at)));
            }
            None => log.say(format!("Scheduling reload for {}", shown(time.at))),
        }
    }
}

impl AsFd for ReloadSchedule {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

/// A time in the local time zone.
fn shown(at: i64) -> String {
    let one = civil(at + i64::from(offset(at)));
    let (year, month, day, hour, minute, second) = (one.year, one.month, one.day, one.hour, one.minute, one.second);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// `[[YY]YY-MM-DD ]hh:mm:ss[Z]`; `east` is how many seconds local time is before UTC at a moment.
fn parse(text: &str, now: i64, east: &dyn Fn(i64) -> i64) -> Result<Time, Unusable> {
    let (text, utc) = text.strip_suffix('Z').map_or((text, false), |text| (text, true));
    let east = |at: i64| if utc { 0 } else { east(at) };
    let dated = match text.len() {
        8 => false,
        17 | 19 => true,
        _ => return Err(Unusable::Format),
    };
    let today = civil(now + east(now));
    let (date, time) = match text.split_once(' ').filter(|_| dated) {
        Some((date, time)) => (Some(date), time),
        None if dated => return Err(Unusable::Invalid),
        None => (None, text),
    };
    let [hour, minute, second] = numbers(time, ':', [(2, 0..=23), (2, 0..=59), (2, 0..=61)])?;
    let (year, month, day) = match date {
        None => (today.year, today.month, today.day),
        Some(date) => {
            let digits = text.len() - 15;
            let [year, month, day] = numbers(date, '-', [(digits, 0..=9999), (2, 1..=12), (2, 1..=31)])?;
            let century = if digits == 4 {
                0
            } else if year < 69 {
                2000
            } else {
                1900
            };
            (century + year, month as u8, day as u8)
        }
    };
    let at = |day: u8| {
        let wanted = unix(year, month, day, (hour as u8, minute as u8, second as u8));
        wanted - east(wanted - east(wanted))
    };
    let found = civil(at(day) + east(at(day)));
    let same = |one: Civil| {
        (one.year, one.month, one.day, i64::from(one.hour), i64::from(one.minute), i64::from(one.second))
            == (year, month, day, hour, minute, second)
    };
    match (same(found), at(day) > now, dated) {
        (false, ..) => Err(Unusable::Impossible),
        (true, true, _) => Ok(Time { at: at(day), dated }),
        (true, false, true) => Err(Unusable::Past),
        // The same time tomorrow, whatever the offset is then.
        (true, false, false) => {
            let wanted = at(day) + east(at(day)) + DAY;
            Ok(Time { at: wanted - east(wanted - east(wanted)), dated })
        }
    }
}

/// Three numbers of so many digits at most, between these bounds.
fn numbers(
    text: &str,
    between: char,
    parts: [(usize, std::ops::RangeInclusive<i64>); 3],
) -> Result<[i64; 3], Unusable> {
    let mut numbers = [0; 3];
    let mut words = text.split(between);
    for (slot, (digits, bounds)) in numbers.iter_mut().zip(parts) {
        let word = words.next().map(str::trim_start).ok_or(Unusable::Invalid)?;
        let plain = !word.is_empty() && word.len() <= digits && word.bytes().all(|byte| byte.is_ascii_digit());
        *slot = word.parse().ok().filter(|number| plain && bounds.contains(number)).ok_or(Unusable::Invalid)?;
    }
    if words.next().is_some() { Err(Unusable::Invalid) } else { Ok(numbers) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-30 11:00:00 UTC.
    const NOW: i64 = 1_796_036_400;

    fn at(text: &str, hours: i64) -> Result<i64, Unusable> {
        parse(text, NOW, &|_| hours * 3600).map(|time| time.at - NOW)
    }

    #[test]
    fn a_time_is_today_or_tomorrow_and_a_date_is_once() {
        assert_eq!(at("11:00:01", 0), Ok(1));
        assert_eq!(at("11:00:00", 0), Ok(DAY));
        assert_eq!(at("12:00:01", 1), Ok(1));
        assert_eq!(at("11:00:01Z", 1), Ok(1));
        assert_eq!(at("2026-11-30 11:00:05", 0), Ok(5));
        assert_eq!(at("26-12-01 11:00:00Z", 5), Ok(DAY));
        assert_eq!(at("26-11-30 10:59:59", 0), Err(Unusable::Past));
        assert!(parse("26-12-01 11:00:00", NOW, &|_| 0).is_ok_and(|time| time.dated));
    }

    #[test]
    fn what_is_no_time_is_told_apart_by_how() {
        assert_eq!(at("11:00", 0), Err(Unusable::Format));
        assert_eq!(at("11-00-00", 0), Err(Unusable::Invalid));
        assert_eq!(at("24:00:00", 0), Err(Unusable::Invalid));
        assert_eq!(at("2026-11-30T11:00:05", 0), Err(Unusable::Invalid));
        assert_eq!(at("2026-11-31 11:00:05", 0), Err(Unusable::Impossible));
        assert_eq!(at("11:00:60", 0), Err(Unusable::Impossible));
        // The hour that summer time leaves out.
        let summer = |at: i64| if at < NOW + 3600 { 0 } else { 3600 };
        assert_eq!(parse("12:30:00", NOW, &summer), Err(Unusable::Impossible));
    }
}
