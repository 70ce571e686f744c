//! Where keepalived's lines go: syslog, and standard error with `-l`.

use crate::conf::bytes;
use crate::conf::diagnostic::reason;
use crate::log::Level;
use crate::log::clock::ctime_stamp;
use crate::log::event::{self, Line, Prints};
use crate::log::journal::Journal;
use crate::log::syslog::{Server, Syslog};
use nix::sys::resource::{UsageWho, getrusage};
use std::fmt::Display;
use std::io::Write as _;
use tracing::Dispatch;

/// The place of `daemon` among syslog's facilities.
pub const DAEMON: u8 = 3;

/// How lines are written, chosen on the command line.
#[derive(Clone, Debug)]
pub struct Style {
    /// To standard error as well.
    pub console: bool,
    /// Say the details too (`-D`).
    pub detail: bool,
    /// The syslog facility; `None` for no syslog.
    pub facility: Option<u8>,
}

/// One process's log.
pub struct Log {
    ident: String,
    style: Style,
    lines: Dispatch,
}

impl Log {
    /// The log of the process that calls itself `ident`.
    pub fn new(ident: &str, style: &Style) -> Self {
        let tag = format!("{ident}[{}]", std::process::id());
        let server = || Server::Unix("/dev/log".to_owned());
        let syslog = style.facility.map(|facility| Syslog::new(server(), facility, Level::Info, tag, None));
        let journal = style.facility.and_then(|facility| Journal::open(ident, facility));
        let lines = event::to(Printer { console: style.console, journal, syslog });
        Self { ident: ident.to_owned(), style: style.clone(), lines }
    }

    /// The same log for another thread.
    pub fn another(&self) -> Self {
        Self::new(&self.ident, &self.style)
    }

    /// A line; its parts of several lines are lines of their own.
    pub fn say(&self, text: impl AsRef<str>) {
        self.write(Level::Info, None, text.as_ref());
    }

    /// A line about an instance, whose name it begins with.
    pub fn say_of(&self, instance: &str, text: impl Display) {
        self.write(Level::Info, Some(instance), &format!("({instance}) {text}"));
    }

    /// The same for those who asked for detail.
    pub fn detail_of(&self, instance: &str, text: impl Display) {
        if self.style.detail {
            self.say_of(instance, text);
        }
    }

    /// A line for those who asked for detail.
    pub fn detail(&self, text: impl AsRef<str>) {
        if self.style.detail {
            self.write(Level::Info, None, text.as_ref());
        }
    }

    /// The last line of a process; with detail, what it has used of the processor.
    pub fn say_stopped(&self) {
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok().filter(|_| self.style.detail);
        self.say(match usage {
            None => "Stopped".to_owned(),
            Some(usage) => {
                let (user, system) = (usage.user_time(), usage.system_time());
                let decimal = |seconds: i64, micros: i64| format!("{seconds}.{micros:06}");
                let user = decimal(user.tv_sec(), user.tv_usec());
                let system = decimal(system.tv_sec(), system.tv_usec());
                format!("Stopped - used {user} user time, {system} system time")
            }
        });
    }

    /// A line somebody should act on at once.
    pub fn alert(&self, text: impl AsRef<str>) {
        self.write(Level::Alert, None, text.as_ref());
    }

    fn write(&self, level: Level, instance: Option<&str>, text: &str) {
        for line in text.lines() {
            event::send(&self.lines, Line { level, connection: None, instance, message: &bytes::raw(line) });
        }
    }
}

/// Prints keepalived's lines.
struct Printer {
    console: bool,
    /// Where the journal is who hears syslog's lines, it is given the instance too.
    journal: Option<Journal>,
    syslog: Option<Syslog>,
}

impl Prints for Printer {
    fn print(&self, line: Line<'_>) {
        if self.console {
            let stamp = format!("{}: ", ctime_stamp());
            let _ = std::io::stderr().write_all(&[stamp.as_bytes(), line.message, b"\n"].concat());
        }
        let fields = line.instance.map(|instance| ("VRRP_INSTANCE", instance));
        let heard =
            self.journal.as_ref().is_some_and(|to| to.send(line.level, line.message, fields.as_slice()).is_ok());
        if let Some(syslog) = self.syslog.as_ref().filter(|_| !heard) {
            syslog.send(line.level, line.message);
        }
    }
}

/// An error's number and words, as keepalived tells them.
pub fn cause(error: &std::io::Error) -> (i32, String) {
    (error.raw_os_error().unwrap_or_default(), reason(error))
}
