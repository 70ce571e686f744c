//! Times as logs and headers write them, formatted once a second.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// A moment in the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Year.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 (Sunday) to 6.
    pub weekday: u8,
}

/// The calendar's view of seconds since 1970.
pub fn civil(unix: i64) -> Civil {
    let days = unix.div_euclid(86_400);
    let rest = unix.rem_euclid(86_400);
    // Days since 0000-03-01, in 400-year eras (H. Hinnant, "chrono-compatible low-level date algorithms").
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    Civil {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month: month as u8,
        day: (of_year - (153 * shifted_month + 2) / 5 + 1) as u8,
        hour: (rest / 3600) as u8,
        minute: (rest / 60 % 60) as u8,
        second: (rest % 60) as u8,
        weekday: (days + 4).rem_euclid(7) as u8,
    }
}

/// Seconds since 1970 of a calendar date in GMT.
pub fn unix(year: i64, month: u8, day: u8, (hour, minute, second): (u8, u8, u8)) -> i64 {
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let shifted_month = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let of_year = (153 * shifted_month + 2) / 5 + i64::from(day) - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    let days = era * 146_097 + of_era - 719_468;
    days * 86_400 + i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second)
}

fn month_name(civil: &Civil) -> &'static str {
    MONTHS.get(usize::from(civil.month) - 1).copied().unwrap_or_default()
}

/// `Thu, 31-Dec-37 23:55:55 GMT`, with all digits of years that are not of this epoch.
pub fn cookie_date(unix: i64) -> String {
    let date = http_date(unix);
    match date.split(' ').collect::<Vec<_>>().as_slice() {
        [weekday, day, month, year, time, zone] => {
            let year =
                if year.parse::<u32>().is_ok_and(|year| year > 2037) { year } else { year.get(2..).unwrap_or(year) };
            format!("{weekday} {day}-{month}-{year} {time} {zone}")
        }
        _ => date,
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
pub fn http_date(unix: i64) -> String {
    let at = civil(unix);
    let day = DAYS.get(usize::from(at.weekday)).copied().unwrap_or_default();
    format!(
        "{day}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        at.day,
        month_name(&at),
        at.year,
        at.hour,
        at.minute,
        at.second
    )
}

/// Reads the three date forms of RFC 9110 §5.6.7.
pub fn parse_http_date(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let body = text.split_once(' ')?.1;
    let fields: Vec<&str> = body.split([' ', '-', ':']).filter(|field| !field.is_empty()).collect();
    let (day, month, year, time) = match fields.as_slice() {
        [month, day, hour, minute, second, year] if month.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            (*day, *month, *year, [*hour, *minute, *second])
        }
        [day, month, year, hour, minute, second, ..] => (*day, *month, *year, [*hour, *minute, *second]),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| *name == month)? as u8 + 1;
    let year = match (year.len(), year.parse::<i64>().ok()?) {
        (2, short) if short < 70 => short + 2000,
        (2, short) => short + 1900,
        (_, year) => year,
    };
    let day = day.parse::<u8>().ok().filter(|day| (1..=31).contains(day))?;
    let [hour, minute, second] = time.map(|part| part.parse::<u8>().ok());
    let (hour, minute, second) = (hour?, minute?, second?);
    (hour < 24 && minute < 60 && second < 60 && year >= 1970).then(|| unix(year, month, day, (hour, minute, second)))
}

/// The current time in every form that is written often.
pub struct Clock {
    now: Cell<Duration>,
    instant: Cell<Instant>,
    second: Cell<u64>,
    forms: RefCell<Forms>,
}

/// The forms of one second.
#[derive(Default)]
pub struct Forms {
    /// For `Date:`.
    pub http: String,
    /// `06/Nov/1994:08:49:37 +0000`.
    pub common: String,
    /// `1994-11-06T08:49:37+00:00`.
    pub iso: String,
}

impl Clock {
    /// A clock that shows the present.
    pub fn new() -> Self {
        let clock = Self {
            now: Cell::default(),
            instant: Cell::new(Instant::now()),
            second: Cell::new(u64::MAX),
            forms: RefCell::default(),
        };
        clock.update();
        clock
    }

    /// Looks at the system's clock.
    pub fn update(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.now.set(now);
        self.instant.set(Instant::now());
        if self.second.replace(now.as_secs()) != now.as_secs() {
            *self.forms.borrow_mut() = forms(now.as_secs() as i64);
        }
    }

    /// Time since 1970 at the last update.
    pub fn now(&self) -> Duration {
        self.now.get()
    }

    /// How long ago something was, as the loop sees it.
    pub fn since(&self, earlier: Instant) -> Duration {
        self.instant().saturating_duration_since(earlier)
    }

    /// The moment of [`Self::now`] on the clock that only goes forward.
    pub fn instant(&self) -> Instant {
        self.instant.get()
    }

    /// The forms of the current second.
    pub fn forms(&self) -> std::cell::Ref<'_, Forms> {
        self.forms.borrow()
    }
}

fn forms(unix: i64) -> Forms {
    let offset = crate::sys::time::offset(unix);
    let at = civil(unix + i64::from(offset));
    let sign = if offset < 0 { '-' } else { '+' };
    let (hours, minutes) = (offset.abs() / 3600, offset.abs() / 60 % 60);
    let Civil { year, month, day, hour, minute, second, .. } = at;
    let month_name = month_name(&at);
    Forms {
        http: http_date(unix),
        common: format!("{day:02}/{month_name}/{year}:{hour:02}:{minute:02}:{second:02} {sign}{hours:02}{minutes:02}"),
        iso: format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{sign}{hours:02}:{minutes:02}"),
    }
}

/// `1994/11/06 08:49:37` in local time: the head of an error log line.
pub fn error_stamp() -> String {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
    let at = civil(unix + i64::from(crate::sys::time::offset(unix)));
    let Civil { year, month, day, hour, minute, second, .. } = at;
    format!("{year}/{month:02}/{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// `Nov  6 08:49:37` in local time: the stamp of RFC 3164 §4.1.2.
pub fn syslog_stamp() -> String {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
    let at = civil(unix + i64::from(crate::sys::time::offset(unix)));
    format!("{} {:2} {:02}:{:02}:{:02}", month_name(&at), at.day, at.hour, at.minute, at.second)
}

/// `Sun Nov  6 08:49:37 1994` in local time, as ctime(3) has it.
pub fn ctime_stamp() -> String {
    ctime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64)
}

/// The same of another second.
pub fn ctime(unix: i64) -> String {
    let at = civil(unix + i64::from(crate::sys::time::offset(unix)));
    let day = DAYS.get(usize::from(at.weekday)).copied().unwrap_or_default();
    let Civil { year, hour, minute, second, .. } = at;
    format!("{day} {} {:2} {hour:02}:{minute:02}:{second:02} {year}", month_name(&at), at.day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_and_read_in_all_forms_of_rfc_9110() {
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        for form in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(parse_http_date(form.as_bytes()), Some(784_111_777), "{form}");
        }
        assert_eq!(parse_http_date(b"yesterday"), None);
        assert_eq!(
            civil(951_782_400),
            Civil { year: 2000, month: 2, day: 29, hour: 0, minute: 0, second: 0, weekday: 2 }
        );
    }
}
