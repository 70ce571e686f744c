//! Events and actions as lines: a bug report, and a test that `replay` can run.

use super::secret::covered;
use super::site::Instance;
use crate::vrrp::machine::{Action, Event, StateKind};
use crate::vrrp::wire;
use std::fs::File;
use std::io::Write;
use std::net::IpAddr;
use std::time::Instant;

/// Where the lines go, if anywhere.
pub struct Recorder {
    file: Option<File>,
    began: Instant,
}

impl Recorder {
    /// Records to `path`, if given, a run with the configuration `text`: that comes first, its passwords covered, so that
    /// `replay` can take every step again. Packets that are no adverts are not written.
    pub fn open(path: Option<&str>, text: &str) -> Self {
        let began = Instant::now();
        let file = path.and_then(|path| File::create(path).ok());
        let recorder = Self { file, began };
        if recorder.file.is_some() {
            recorder.line(&head(text));
        }
        recorder
    }

    /// An event of an instance.
    pub fn event(&self, now: Instant, instance: &Instance, event: &Event) {
        if self.file.is_none() {
            return;
        }
        let text = event_text(event, instance);
        match event {
            // What is no advert cannot be made again.
            Event::Received(datagram)
                if wire::receive(datagram, &instance.router, false, &mut wire::Memory::default()).is_err() =>
            {
                self.line(&format!("# {} {text}", instance.name));
            }
            _ => self.at(now, &instance.name, &text),
        }
    }

    /// A deadline of an instance that was reached.
    pub fn timeout(&self, now: Instant, name: &str) {
        self.at(now, name, "timeout");
    }

    /// Whether anything is written.
    pub const fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Nothing more is written, for this reason.
    pub fn end(&mut self, why: &str) {
        self.line(&format!("# {why}: the recording ends"));
        self.file = None;
    }

    fn at(&self, now: Instant, name: &str, what: &str) {
        if self.file.is_some() {
            let seconds = now.saturating_duration_since(self.began).as_secs_f64();
            self.line(&format!("at {seconds:.9} {name} {what}"));
        }
    }

    /// An action of an instance.
    pub fn action(&self, name: &str, action: &Action) {
        if self.file.is_some() {
            self.line(&format!("> {name} {}", action_text(action)));
        }
    }

    fn line(&self, text: &str) {
        if let Some(mut file) = self.file.as_ref() {
            // A full disk must not stop a router.
            let _ = writeln!(file, "{text}");
        }
    }
}

/// The configuration a recording begins with, what there is to say about it, and that the clock is the recording's own.
fn head(text: &str) -> String {
    let covered: Vec<String> = text.lines().map(covered).collect();
    let configuration = covered.join("\n");
    let complaints = super::replay::complaints(&configuration);
    format!("{configuration}\n----\n{complaints}{RECORDED}")
}

/// The line that says that deadlines stand where they were met.
pub const RECORDED: &str = "recorded";

fn shown(source: Option<IpAddr>) -> String {
    source.map_or_else(|| "none".to_owned(), |ip| ip.to_string())
}

/// An event as a line.
pub fn event_text(event: &Event, instance: &Instance) -> String {
    match event {
        Event::Eligibility(eligibility) => {
            let fault = if eligibility.fault { " fault" } else { "" };
            let waiting = if eligibility.waiting { " waiting" } else { "" };
            format!("standing {}{fault}{waiting}", eligibility.priority)
        }
        Event::Received(datagram) => {
            match wire::receive(datagram, &instance.router, false, &mut wire::Memory::default()) {
                Ok(advert) => format!("advert {} prio {}", datagram.source, advert.priority),
                Err(refusal) => format!("packet {} refused: {refusal}", datagram.source),
            }
        }
        Event::Source(source) => format!("source {}", shown(*source)),
        Event::AddressLost => "address lost".to_owned(),
        Event::Follow(state) => format!("follow {}", state_text(*state)),
        Event::GroupHeardLower => "group heard lower".to_owned(),
        Event::Reconfigure { announce, .. } => format!("reconfigure{}", if *announce { " announce" } else { "" }),
        Event::Stop => "stop".to_owned(),
    }
}

/// An action as a line.
pub fn action_text(action: &Action) -> String {
    match action {
        Action::Advertise(priority, _) => format!("advert prio {priority}"),
        Action::Hold => "add addresses".to_owned(),
        Action::Release => "remove addresses".to_owned(),
        Action::Announcing(ip) => format!("announcing {ip}"),
        Action::Announce(ip) => format!("announce {ip}"),
        Action::Note(note) => format!("say {note}"),
        Action::Changed(state) => format!("state {}", state_text(*state)),
        Action::HeardLower => "heard lower".to_owned(),
        Action::Ready => "ready".to_owned(),
        Action::OldChecksum => "old checksum".to_owned(),
        Action::AnnounceSource => "announce source".to_owned(),
    }
}

const fn state_text(state: StateKind) -> &'static str {
    match state {
        StateKind::Initialise => "initialise",
        StateKind::Backup => "backup",
        StateKind::Master => "master",
        StateKind::Fault => "fault",
    }
}
