//! Checks nobody makes: numbers in files, and BFD sessions, which tell when they change.

use super::{Place, Running, State};
use crate::check::file::Change;
use crate::keepalived::bfd::EventSocket;
use crate::keepalived::log::Log;
use crate::keepalived::site::server::{Probe, VirtualServer};
use crate::keepalived::track::file::FileRunner;
use crate::sys::inotify::Inotify;
use crate::sys::time::monotonic;
use std::collections::{BTreeMap, HashSet};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

/// The files checks depend on.
#[derive(Default)]
pub struct Files {
    folders: Option<Inotify>,
    files: Vec<FileRunner>,
    /// Those that were there before the last reload, by name.
    kept: HashSet<String>,
}

impl Files {
    /// What is in a file, and whether it was there before the last reload.
    pub fn seen(&self, name: &str) -> (i64, bool) {
        (self.value(name), self.kept.contains(name))
    }

    /// What is in a file.
    fn value(&self, name: &str) -> i64 {
        self.files.iter().find(|file| file.name == name).map_or(0, FileRunner::value)
    }
}

/// The places of the checks of a virtual server, with what each does.
fn probes(server: &VirtualServer) -> impl Iterator<Item = ((usize, usize), &Probe)> {
    server
        .reals
        .iter()
        .enumerate()
        .flat_map(|(real, own)| own.checks.iter().enumerate().map(move |(check, one)| ((real, check), &one.probe)))
}

impl Probe {
    /// Whether somebody else tells when its result changes.
    pub const fn is_told(&self) -> bool {
        matches!(self, Self::File(..) | Self::Session(_))
    }
}

impl State {
    /// Looks at the files of all checks; one of before keeps its value until it is looked at again.
    pub(super) fn open_files(&mut self, starting: bool) {
        let needed = |name: &str| {
            let all = self.servers.iter().flat_map(|running| probes(&running.given));
            all.into_iter().any(|(_, probe)| matches!(probe, Probe::File(own, _) if own == name))
        };
        let wanted: Vec<_> = self.site.files.iter().filter(|file| needed(&file.name)).collect();
        if wanted.is_empty() {
            self.files = Files::default();
            return;
        }
        let folders = Inotify::new().ok();
        let now = Instant::now();
        let files = wanted.iter().map(|file| FileRunner::new(file, now, (starting, folders.as_ref()))).collect();
        self.files = Files { folders, files, kept: HashSet::new() };
    }

    /// Gives a virtual server that has not started what its files say.
    pub(super) fn begin_files(&mut self, at: usize) {
        let Self { servers, files, .. } = self;
        let Some(Running { given, machine, .. }) = servers.get_mut(at) else { return };
        for ((real, check), probe) in probes(given) {
            let Probe::File(name, factor) = probe else { continue };
            let (weight, down) = factor.start(files.value(name));
            machine.begin_check(real, check, weight, down);
        }
    }

    /// After a reload: checks that stay see what changed since, and real servers that stay see their new checks.
    pub(super) fn settle_files(&mut self, before: Files) {
        let changed: Vec<(String, i64, i64)> = before
            .files
            .iter()
            .map(|file| (file.name.clone(), file.value(), self.files.value(&file.name)))
            .filter(|(_, before, now)| before != now)
            .collect();
        let known = |name: &str| before.files.iter().any(|file| file.name == name);
        self.files.kept = before.files.iter().map(|file| file.name.clone()).collect();
        let new = self.places(|probe| match probe {
            Probe::File(name, factor) if !known(name) && factor.start(self.files.value(name)).1 => Some(()),
            _ => None,
        });
        for ((server, real, check), ()) in new {
            self.with(server, |machine, actions| machine.result(real, check, false, false, actions));
        }
        for (name, before, now) in changed {
            self.follow_file(&name, before, now);
        }
    }

    /// A descriptor that is readable when a file has changed.
    pub(super) fn changes_of_files(&self) -> Option<OwnedFd> {
        self.files.folders.as_ref()?.as_fd().try_clone_to_owned().ok()
    }

    /// When a file whose folder is not watched is looked at again.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.files.files.iter().filter_map(FileRunner::poll_timeout).min()
    }

    /// Looks at the files, and does what their changes come to.
    pub(super) fn follow_files(&mut self) {
        let changed = self.files.folders.as_ref().is_some_and(Inotify::drain);
        let now = Instant::now();
        let mut changes = Vec::new();
        for file in &mut self.files.files {
            let before = file.value();
            file.look(now, changed);
            if file.value() != before {
                changes.push((file.name.clone(), before, file.value()));
            }
        }
        for (name, before, now) in changes {
            self.follow_file(&name, before, now);
        }
    }

    fn follow_file(&mut self, name: &str, before: i64, now: i64) {
        for (place, change) in self.places(|probe| match probe {
            Probe::File(own, factor) if own == name => Some(factor.change(before, now)),
            _ => None,
        }) {
            let (server, real, check) = place;
            let Some(shown) = self.name(place) else { continue };
            let up = match change {
                Change::None => continue,
                Change::Weight(by) => {
                    self.with_real((server, real), |machine, actions| machine.shift_weight(real, by, actions));
                    continue;
                }
                Change::Up => true,
                Change::Down => false,
            };
            let how = if up { "leaving" } else { "now" };
            self.log.detail(format!("({shown}): tracked file {name} {how} FAULT state"));
            self.with_real((server, real), |machine, actions| machine.result(real, check, up, false, actions));
        }
    }

    /// What comes of each check that an answer is found for.
    fn places<T>(&self, find: impl Fn(&Probe) -> Option<T>) -> Vec<(Place, T)> {
        let of = |(server, running): (usize, &Running)| {
            let found =
                probes(&running.given).filter_map(|((real, check), probe)| Some(((server, real, check), find(probe)?)));
            found.collect::<Vec<_>>()
        };
        self.servers.iter().enumerate().flat_map(of).collect()
    }

    /// Takes what the BFD process tells.
    pub(super) fn hear_sessions(&mut self, events: &EventSocket) {
        while let Some(event) = events.next() {
            let (name, up) = (event.name, event.up);
            let known = self.sessions.insert(name.clone(), up);
            if event.fresh || known != Some(up) {
                say(&self.log, &name, up, event.at);
            }
            for (place, ()) in self.places(|probe| matches!(probe, Probe::Session(own) if *own == name).then_some(())) {
                self.follow_session(place, &name, up);
            }
        }
    }

    fn follow_session(&mut self, place: Place, name: &str, up: bool) {
        let (server, real, number) = place;
        let known = self.servers.get(server).and_then(|running| running.machine.check(real, number));
        let (Some(known), Some(shown), Some(check)) = (known, self.name(place), self.check(place)) else { return };
        if known.up == up && known.has_run {
            return;
        }
        let state = if up { "UP" } else { "DOWN" };
        self.log.say(format!("BFD check of [{name}] RS({shown}) is {state}"));
        let how = if up { "succeeded" } else { "failed" };
        let text = format!("=> BFD CHECK {name} {how} on service <=");
        self.decide(place, up, check.alpha, (known.up != up).then_some(text.as_str()));
    }
}

/// Says what was told of a session, and how long that took.
fn say(log: &Log, name: &str, up: bool, at: u64) {
    let state = if up { "Up" } else { "Down" };
    let took = (monotonic().as_micros() as u64).saturating_sub(at);
    log.detail(format!("Received BFD event: instance {name} is in state {state} (delivered in {took} usec)"));
}

/// What is known of sessions.
pub type Sessions = BTreeMap<String, bool>;
