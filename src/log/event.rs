//! Lines as `tracing` events: a log is a subscriber of its own, and its layer prints the daemon's exact lines.
//!
//! What an event carries: `severity` (a [`Level`]), `connection` or `instance` where there is one, and `message`, which
//! need not be UTF-8. Events of libraries are nobody's lines.

use super::level::Level;
use std::fmt::Debug;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Metadata, Subscriber};

/// The target of the daemons' own lines.
const TARGET: &str = "rha";

/// One line.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// How bad it is.
    pub level: Level,
    /// nginx's `*7`.
    pub connection: Option<u64>,
    /// The VRRP instance it is about.
    pub instance: Option<&'a str>,
    /// What it says.
    pub message: &'a [u8],
}

/// Prints lines in a daemon's form.
pub trait Prints: Send + Sync + 'static {
    /// Prints one line.
    fn print(&self, line: Line<'_>);
}

/// The subscriber that prints.
struct Printer<P>(P);

/// Where lines for `printer` are sent.
pub fn to(printer: impl Prints) -> Dispatch {
    Dispatch::new(Printer(printer))
}

/// Sends a line.
pub fn send(to: &Dispatch, line: Line<'_>) {
    macro_rules! at {
        ($level:ident) => {
            tracing::event!(
                target: TARGET,
                tracing::Level::$level,
                severity = line.level as u64,
                connection = line.connection,
                instance = line.instance,
                message = line.message
            )
        };
    }
    tracing::dispatcher::with_default(to, || match line.level {
        Level::Emerg | Level::Alert | Level::Crit | Level::Error => at!(ERROR),
        Level::Warn => at!(WARN),
        Level::Notice | Level::Info => at!(INFO),
        Level::Debug => at!(DEBUG),
    });
}

impl<P: Prints> Subscriber for Printer<P> {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET && metadata.is_event()
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Some(level) = fields.severity.and_then(Level::of) else { return };
        self.0.print(Line {
            level,
            connection: fields.connection,
            instance: fields.instance.as_deref(),
            message: &fields.message,
        });
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What an event carries.
#[derive(Default)]
struct Fields {
    severity: Option<u64>,
    connection: Option<u64>,
    instance: Option<String>,
    message: Vec<u8>,
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "severity" => self.severity = Some(value),
            "connection" => self.connection = Some(value),
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "instance" {
            self.instance = Some(value.to_owned());
        }
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        if field.name() == "message" {
            self.message = value.to_vec();
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

#[cfg(test)]
mod tests;
