//! The error log: lines in nginx's form to files, standard error and syslog.

use super::clock;
use super::event::{self, Line, Prints};
use super::file::File;
use super::level::Level;
use super::syslog::Syslog;
use std::io::Write as _;
use std::sync::Arc;
use tracing::Dispatch;

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

/// The sinks of a log, each with the least bad level it takes.
type Sinks = Arc<[(Level, Sink)]>;

/// An error log.
#[derive(Clone)]
pub struct Log {
    sinks: Sinks,
    lines: Dispatch,
}

impl Default for Log {
    fn default() -> Self {
        Self { sinks: Sinks::default(), lines: Dispatch::none() }
    }
}

impl Log {
    /// A log of these sinks.
    pub fn new(sinks: Vec<(Level, Sink)>) -> Self {
        let sinks: Sinks = sinks.into();
        let lines = if sinks.is_empty() { Dispatch::none() } else { event::to(Printer(sinks.clone())) };
        Self { sinks, lines }
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
        Self::new(self.sinks.iter().filter(|(_, sink)| !matches!(sink, Sink::Stderr)).cloned().collect())
    }

    /// The same log without the file at `path`.
    pub fn without(&self, path: &str) -> Self {
        let other = |sink: &Sink| !matches!(sink, Sink::File(file) if file.name() == path);
        Self::new(self.sinks.iter().filter(|(_, sink)| other(sink)).cloned().collect())
    }

    /// Writes a line; `connection` is nginx's `*7`. What it says need not be UTF-8: names of files and hosts are not.
    pub fn write(&self, level: Level, connection: Option<u64>, message: &(impl AsRef<[u8]> + ?Sized)) {
        if self.takes(level) {
            event::send(&self.lines, Line { level, connection, instance: None, message: message.as_ref() });
        }
    }
}

/// Prints nginx's lines.
struct Printer(Sinks);

impl Prints for Printer {
    fn print(&self, line: Line<'_>) {
        let pid = std::process::id();
        let tid = nix::unistd::gettid();
        let star = line.connection.map(|number| format!("*{number} ")).unwrap_or_default();
        let head = format!("{} [{}] {pid}#{tid}: {star}", clock::error_stamp(), line.level.word());
        let text = [head.as_bytes(), line.message, b"\n"].concat();
        for (least, sink) in self.0.iter() {
            if line.level > *least {
                continue;
            }
            match sink {
                // There is nowhere to report it to.
                Sink::File(file) => drop(file.write_now(&text)),
                Sink::Stderr => {
                    let _ = std::io::stderr().write_all(&text);
                }
                Sink::Syslog(syslog) => syslog.send(line.level, text.strip_suffix(b"\n").unwrap_or(&text)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
