//! The error log: levels, and lines in nginx's form to files, standard error and syslog.

use super::clock;
use super::file::File;
use super::syslog::Syslog;
use std::io::Write as _;
use std::sync::Arc;

/// How bad a line is; the order is nginx's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The system is unusable.
    Emerg = 1,
    /// Action must be taken at once.
    Alert,
    /// Critical conditions.
    Crit,
    /// Errors.
    Error,
    /// Warnings.
    Warn,
    /// Normal but significant.
    Notice,
    /// Information.
    Info,
    /// For development.
    Debug,
}

/// The words `error_log` takes, with their levels.
pub const LEVELS: &[(&str, Level)] = &[
    ("emerg", Level::Emerg),
    ("alert", Level::Alert),
    ("crit", Level::Crit),
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("notice", Level::Notice),
    ("info", Level::Info),
    ("debug", Level::Debug),
];

impl Level {
    /// The word in square brackets.
    pub fn word(self) -> &'static str {
        LEVELS.iter().find(|(_, level)| *level == self).map_or("", |(word, _)| word)
    }
}

/// Where lines go.
#[derive(Clone)]
pub enum Sink {
    /// A file, written at once.
    File(Arc<File>),
    /// Standard error.
    Stderr,
    /// A syslog server.
    Syslog(Arc<Syslog>),
}

/// An error log: sinks, each with the least bad level it takes.
#[derive(Clone, Default)]
pub struct Log {
    sinks: Arc<[(Level, Sink)]>,
}

impl Log {
    /// A log of these sinks.
    pub fn new(sinks: Vec<(Level, Sink)>) -> Self {
        Self { sinks: sinks.into() }
    }

    /// Whether any sink takes `level`.
    pub fn takes(&self, level: Level) -> bool {
        self.sinks.iter().any(|(least, _)| level <= *least)
    }

    /// Whether a line of `level` reaches standard error.
    pub fn on_stderr(&self, level: Level) -> bool {
        self.sinks.iter().any(|(least, sink)| level <= *least && matches!(sink, Sink::Stderr))
    }

    /// The same log without standard error.
    pub fn without_stderr(&self) -> Self {
        Self { sinks: self.sinks.iter().filter(|(_, sink)| !matches!(sink, Sink::Stderr)).cloned().collect() }
    }

    /// The same log without the file at `path`.
    pub fn without(&self, path: &str) -> Self {
        let other = |sink: &Sink| !matches!(sink, Sink::File(file) if file.name() == path);
        Self { sinks: self.sinks.iter().filter(|(_, sink)| other(sink)).cloned().collect() }
    }

    /// Writes a line; `connection` is nginx's `*7`. What it says need not be UTF-8: names of files and hosts are not.
    pub fn write(&self, level: Level, connection: Option<u64>, message: &(impl AsRef<[u8]> + ?Sized)) {
        if !self.takes(level) {
            return;
        }
        let pid = std::process::id();
        let tid = nix::unistd::gettid();
        let star = connection.map(|number| format!("*{number} ")).unwrap_or_default();
        let head = format!("{} [{}] {pid}#{tid}: {star}", clock::error_stamp(), level.word());
        let line = [head.as_bytes(), message.as_ref(), b"\n"].concat();
        for (least, sink) in self.sinks.iter() {
            if level > *least {
                continue;
            }
            match sink {
                // There is nowhere to report it to.
                Sink::File(file) => drop(file.write_now(&line)),
                Sink::Stderr => {
                    let _ = std::io::stderr().write_all(&line);
                }
                Sink::Syslog(syslog) => syslog.send(level, line.strip_suffix(b"\n").unwrap_or(&line)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
