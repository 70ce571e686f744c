//! What the parent is told of virtual servers, so that it can answer queries alone.
//!
//! Only what changed is sent: a virtual server and the real servers of it that changed. What finds no room is sent a moment
//! later.

use super::{Place, Running, Start, State};
use crate::check::server::RealState;
use crate::keepalived::report::Report;
use crate::keepalived::site::server::Probe;
use crate::keepalived::status::now;
use crate::keepalived::status::server::{Failure, RealServer, VirtualServer};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The least time between two reports.
const LEAST: Duration = Duration::from_millis(100);

/// What is to be reported, and why checks failed.
#[derive(Default)]
pub struct Reporting {
    /// Somebody asks for the status.
    wanted: bool,
    /// Virtual servers and, with one more than their place, real servers that changed.
    changed: BTreeSet<(usize, usize)>,
    /// Told when something has changed.
    news: Rc<Notify>,
    /// When there was a report.
    last: Option<Instant>,
    /// The number of virtual servers is to be told.
    recount: bool,
    /// Of checks whose last attempt failed: since when, and why.
    failures: HashMap<Place, (f64, String)>,
}

impl Reporting {
    /// Reports where somebody asks for it.
    pub fn new(wanted: bool) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// Told when something has changed.
    pub fn news(&self) -> Rc<Notify> {
        self.news.clone()
    }

    /// When there is something to report.
    pub fn next(&self) -> Option<Instant> {
        let pending = self.recount || !self.changed.is_empty();
        pending.then(|| self.last.map_or_else(Instant::now, |last| last + LEAST))
    }

    fn mark(&mut self, server: usize, real: Option<usize>) {
        if self.wanted {
            self.changed.insert((server, 0));
            self.changed.extend(real.map(|real| (server, real + 1)));
            self.news.notify_one();
        }
    }

    /// Takes what an attempt came to: `why` is what was wrong.
    pub fn attempted(&mut self, place: Place, why: Option<String>) {
        if !self.wanted {
            return;
        }
        match why {
            None => {
                if self.failures.remove(&place).is_none() {
                    return;
                }
            }
            Some(why) => match self.failures.get_mut(&place) {
                Some((_, known)) if *known == why => return,
                Some((_, known)) => *known = why,
                None => {
                    self.failures.insert(place, (now(), why));
                }
            },
        }
        self.mark(place.0, Some(place.1));
    }

    /// Virtual servers are others than before: all are reported, and nothing is known of their checks.
    pub fn begin(&mut self, servers: &[Running]) {
        self.failures.clear();
        if !self.wanted {
            return;
        }
        (self.recount, self.changed) = (true, BTreeSet::new());
        for (at, running) in servers.iter().enumerate() {
            self.changed.extend((0..=running.given.reals.len()).map(|place| (at, place)));
        }
        self.news.notify_one();
    }
}

impl State {
    /// Lets a virtual server act on one of its real servers, and notes what that changes.
    pub(super) fn with_real<T>(
        &mut self,
        (at, real): (usize, usize),
        act: impl FnOnce(&mut crate::check::server::VirtualServer, &mut super::ServerActions<'_>) -> T,
    ) -> Option<T> {
        let before = self.real_state(at, real);
        let outcome = self.with(at, act);
        if before != self.real_state(at, real) {
            self.reporting.mark(at, Some(real));
        }
        outcome
    }

    fn real_state(&self, at: usize, real: usize) -> Option<RealState> {
        self.servers.get(at)?.machine.real(real)
    }

    /// The checks of a virtual server are made, or no longer.
    pub(super) fn mark_server(&mut self, at: usize) {
        self.reporting.mark(at, None);
    }

    /// Tells the parent what changed since the last report, when it is time to.
    pub(super) fn report(&mut self, start: &Start) {
        let time = Instant::now();
        if self.reporting.next().is_none_or(|at| at > time) {
            return;
        }
        self.reporting.last = Some(time);
        let offer = |report: &Report| serde_json::to_vec(report).is_ok_and(|bytes| start.reporter.offer(&bytes));
        if self.reporting.recount {
            let reals = self.servers.iter().map(|running| running.given.reals.len()).collect();
            if !offer(&Report::Servers(reals)) {
                return;
            }
            self.reporting.recount = false;
        }
        while let Some((server, place)) = self.reporting.changed.first().copied() {
            let report = match place.checked_sub(1) {
                None => self.server_status(server).map(|one| Report::Server(server, Box::new(one))),
                Some(real) => self.real_status(server, real).map(|one| Report::Real(server, real, Box::new(one))),
            };
            if report.is_some_and(|report| !offer(&report)) {
                return;
            }
            self.reporting.changed.pop_first();
        }
    }

    /// A virtual server without its real servers.
    fn server_status(&self, at: usize) -> Option<VirtualServer> {
        let running = self.servers.get(at)?;
        let (given, machine, config) = (&running.given, &running.machine, &running.given.config);
        Some(VirtualServer {
            name: config.name.clone(),
            quorum_up: machine.has_quorum(),
            quorum: config.quorum,
            hysteresis: config.hysteresis,
            weight: machine.weight(),
            sorry: config.sorry.as_ref().map(|sorry| sorry.name.clone()),
            sorry_answers: machine.is_sorry(),
            quorum_up_script: given.up.is_some(),
            quorum_down_script: given.down.is_some(),
            mails: given.mails,
            suspended: !running.is_enabled(),
            real_servers: Vec::new(),
        })
    }

    fn real_status(&self, server: usize, real: usize) -> Option<RealServer> {
        let running = self.servers.get(server)?;
        let (own, config) = (running.given.reals.get(real)?, running.given.config.reals.get(real)?);
        let state = running.machine.real(real)?;
        let checks = own.checks.iter().enumerate();
        let failed = checks.filter_map(|(at, check)| Some((at, check, running.machine.check(real, at)?)));
        let failed = failed.filter(|(.., known)| !known.up);
        let failures = failed.map(|(at, check, known)| {
            let known_why = self.reporting.failures.get(&(server, real, at));
            let reason = known_why.map_or_else(|| self.told(&check.probe, known.has_run), |(_, why)| why.clone());
            Failure { check: check.probe.name().to_owned(), reason, since: known_why.map(|(since, _)| *since) }
        });
        Some(RealServer {
            name: config.name.to_string(),
            up: state.alive,
            weight: state.weight,
            inhibit_on_failure: config.inhibit,
            notify_up_script: own.up.is_some(),
            notify_down_script: own.down.is_some(),
            mails: own.mails,
            checks: own.checks.len(),
            failures: failures.collect(),
        })
    }

    /// What is wrong with a check of which no attempt is known.
    fn told(&self, probe: &Probe, has_run: bool) -> String {
        match probe {
            Probe::File(name, _) => format!("the number in {name} is {}", self.files.seen(name).0),
            Probe::Session(name) => format!("BFD session {name} is down"),
            _ if has_run => "it failed before the last reload".to_owned(),
            _ => "it has not succeeded yet".to_owned(),
        }
    }
}
