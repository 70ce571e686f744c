//! The machines of a configuration on a fake clock: `.steps` files are read, run and written again.
//!
//! ```text
//! vrrp_instance V {                 a configuration, up to the line of dashes
//! ...
//! ----
//! host 192.168.110.12               whose adverts these are
//! at 0 V standing 100               an event
//! > V say Entering BACKUP STATE     what came of it
//! at 3.609375 V timeout             a deadline; the machine's own, written by the replay
//! ```
//! A recording of a run (`--record`) has the line `recorded` before its steps: its deadlines and actions are taken where
//! they stand. What a replay gives back is the whole file as it should be, so a test compares texts.

use super::blocks::probe::MARK;
use super::read::{Reading, read};
use super::record::{RECORDED, action_text, event_text};
use super::site::Instance;
use super::slot::Machine;
use crate::conf::expand::Environment;
use crate::conf::source::Memory;
use crate::vrrp::config::Config;
use crate::vrrp::machine::{Event, Router, StateKind};
use crate::vrrp::weight::Eligibility;
use crate::vrrp::wire::{self, HOPS};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Deadlines between two events; more would never end.
const MOST: usize = 100_000;

/// Runs a `.steps` file and gives it back with what really came of its events.
///
/// # Errors
/// A line that cannot be understood, and why.
pub fn replay(text: &str) -> Result<String, String> {
    let (configuration, steps) = text.split_once("\n----\n").ok_or("no line of four dashes ends the configuration")?;
    let reading = reading(configuration).map_err(|error| error.to_string())?;
    let head = format!("{configuration}\n----\n{}", said(&reading));
    let recorded = steps.lines().any(|line| line == RECORDED);
    let mut replay = Replay { start: Instant::now(), seats: Vec::new(), out: head, recorded, sequence: 0 };
    replay.seats = reading.site.instances.into_iter().map(|one| (Router::new(one.router.clone(), None), one)).collect();
    // The machines say these themselves, unless the recording says when.
    let own = |line: &str| !recorded && (line.starts_with("> ") || line.ends_with(" timeout"));
    for line in steps.lines().filter(|line| !own(line)) {
        if line.starts_with('#') && reading.complaints.iter().any(|one| line == format!("# {}", one.text)) {
            continue;
        }
        replay.line(line).map_err(|why| format!("{line}: {why}"))?;
    }
    replay.drain();
    Ok(replay.out)
}

fn reading(configuration: &str) -> std::io::Result<Reading> {
    let memory = Memory::of("steps", configuration);
    let anywhere = Machine { has_interface: &|_| true, has_user: &|_, _| true, read_secret: &|_| None };
    let environment = Environment { mark: Some(MARK), ..Environment::default() };
    read(&memory, "steps", &environment, &anywhere)
}

/// What there is to say about a configuration, as the lines behind its dashes.
pub fn complaints(configuration: &str) -> String {
    reading(configuration).as_ref().map(said).unwrap_or_default()
}

fn said(reading: &Reading) -> String {
    reading.complaints.iter().map(|complaint| format!("# {}\n", complaint.text)).collect()
}

struct Replay {
    start: Instant,
    seats: Vec<(Router, Arc<Instance>)>,
    out: String,
    /// Deadlines and actions are taken where the text has them.
    recorded: bool,
    /// The number of the step, and of the advert's authentication header where it has one.
    sequence: u32,
}

impl Replay {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] | ["#", ..] | [RECORDED] => self.write(line),
            [">", name, ..] => {
                let at = self.seat(name)?;
                let action = self.seats.get_mut(at).and_then(|(router, _)| router.poll_action());
                let text = action.map_or_else(|| "nothing".to_owned(), |action| action_text(&action));
                self.write(&format!("> {name} {text}"));
            }
            ["host", ip] => {
                let source = ip.parse().map_err(|_| "no address")?;
                self.seats.iter_mut().for_each(|(router, _)| router.handle(self.start, Event::Source(Some(source))));
                self.write(line);
            }
            ["at", seconds, "end"] => {
                self.run_until(time(self.start, seconds)?);
                self.write(line);
            }
            ["at", seconds, name, rest @ ..] => {
                let now = time(self.start, seconds)?;
                if !self.recorded {
                    self.run_until(now);
                }
                let at = self.seat(name)?;
                self.write(line);
                self.sequence += 1;
                if let Some((router, instance)) = self.seats.get_mut(at) {
                    match rest {
                        ["timeout"] => router.handle_timeout(now),
                        rest => router.handle(now, event(rest, instance, self.sequence)?),
                    }
                }
                if !self.recorded {
                    self.drain();
                }
            }
            _ => return Err("not a step".to_owned()),
        }
        Ok(())
    }

    fn seat(&self, name: &str) -> Result<usize, String> {
        self.seats.iter().position(|(_, one)| one.name == name).ok_or_else(|| "no such instance".to_owned())
    }

    fn run_until(&mut self, until: Instant) {
        for _ in 0..MOST {
            let due =
                self.seats.iter().enumerate().filter_map(|(at, (router, _))| Some((router.poll_timeout()?, at))).min();
            let Some((due, at)) = due.filter(|(due, _)| *due <= until) else { return };
            let Some((router, instance)) = self.seats.get_mut(at) else { return };
            router.handle_timeout(due);
            let seconds = due.saturating_duration_since(self.start).as_secs_f64();
            let line = format!("at {seconds} {} timeout", instance.name);
            self.write(&line);
            self.drain();
        }
    }

    fn drain(&mut self) {
        for (router, instance) in &mut self.seats {
            while let Some(action) = router.poll_action() {
                self.out.push_str(&format!("> {} {}\n", instance.name, action_text(&action)));
            }
        }
    }

    fn write(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }
}

fn time(start: Instant, seconds: &str) -> Result<Instant, String> {
    let seconds: f64 = seconds.parse().map_err(|_| "no time")?;
    let since = Duration::try_from_secs_f64(seconds).map_err(|_| "no time")?;
    start.checked_add(since).ok_or_else(|| "no time".to_owned())
}

/// An address, or none.
fn known(source: &str) -> Result<Option<IpAddr>, String> {
    if source == "none" { Ok(None) } else { source.parse().map(Some).map_err(|_| "no address".to_owned()) }
}

fn event(words: &[&str], instance: &Instance, sequence: u32) -> Result<Event, String> {
    let event = match words {
        ["standing", priority, flags @ ..] => Event::Eligibility(Eligibility {
            priority: priority.parse().map_err(|_| "no priority")?,
            fault: flags.contains(&"fault"),
            waiting: flags.contains(&"waiting"),
        }),
        ["advert", source, "prio", priority, changes @ ..] => advert(instance, (source, priority), changes, sequence)?,
        ["source", source] => Event::Source(known(source)?),
        ["address", "lost"] => Event::AddressLost,
        ["follow", "master"] => Event::Follow(StateKind::Master),
        ["follow", "backup"] => Event::Follow(StateKind::Backup),
        ["follow", "fault"] => Event::Follow(StateKind::Fault),
        ["follow", "initialise"] => Event::Follow(StateKind::Initialise),
        ["group", "heard", "lower"] => Event::GroupHeardLower,
        ["stop"] => Event::Stop,
        _ => return Err("no such event".to_owned()),
    };
    // What a recorder would write is what stands in the file, so that both are one language.
    debug_assert!(!event_text(&event, instance).is_empty());
    Ok(event)
}

/// An advert of the instance's own kind, with `ttl N`, `vip IP` or `byte OFFSET VALUE` to spoil it; `sequence` is the number in its
/// authentication header.
fn advert(
    instance: &Instance,
    (source, priority): (&str, &str),
    changes: &[&str],
    sequence: u32,
) -> Result<Event, String> {
    let source: IpAddr = source.parse().map_err(|_| "no address")?;
    let priority = priority.parse().map_err(|_| "no priority")?;
    let mut router = Config::clone(&instance.router);
    let destination =
        instance.group.or_else(|| router.peers.first().map(|peer| peer.address)).ok_or("no destination")?;
    let (mut hops, mut spoilt) = (HOPS, Vec::new());
    let mut changes = changes.iter();
    while let Some(change) = changes.next() {
        let mut value = || changes.next().copied().ok_or("a change without its value");
        match *change {
            "ttl" => hops = value()?.parse().map_err(|_| "no TTL")?,
            "vip" => router.addresses = vec![value()?.parse().map_err(|_| "no address")?],
            "byte" => {
                let offset: usize = value()?.parse().map_err(|_| "no offset")?;
                spoilt.push((offset, value()?.parse::<u8>().map_err(|_| "no byte")?));
            }
            _ => return Err("no such change".to_owned()),
        }
    }
    let numbers = wire::Numbers { ah: sequence, hmac: u64::from(sequence) };
    let mut datagram =
        wire::datagram(&router, priority, (source, destination), (hops, numbers)).ok_or("families do not match")?;
    for (offset, byte) in spoilt {
        *datagram.payload.get_mut(offset).ok_or("no such offset")? = byte;
    }
    Ok(Event::Received(datagram))
}
