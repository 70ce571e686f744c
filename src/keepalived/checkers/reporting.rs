//! What the parent is told of virtual servers, so that it can answer queries alone.
//!
//! Only what changed is sent: a virtual server and the real servers of it that changed. What finds no room is sent a moment
//! later.

use super::{Place, Start, State};
use crate::check::server::RealState;
use crate::keepalived::report::Report;
use crate::keepalived::site::server::Probe;
use crate::keepalived::status::now as wall;
use crate::keepalived::status::server::{Failure, RealServer, VirtualServer};
use crate::sys::process::trim_memory;
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
    /// Where a report of all of them goes on, in the same numbers.
    whole: Option<(usize, usize)>,
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

    /// When there is something to report, which may be over.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        let pending = self.recount || self.whole.is_some() || !self.changed.is_empty();
        pending.then(|| self.last.map_or(now, |last| last + LEAST))
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
                    self.failures.insert(place, (wall(), why));
                }
            },
        }
        self.mark(place.0, Some(place.1));
    }

    /// Virtual servers are others than before: all are reported, and nothing is known of their checks.
    pub fn begin(&mut self) {
        self.failures = HashMap::new();
        if self.wanted {
            (self.recount, self.whole, self.changed) = (true, Some((0, 0)), BTreeSet::new());
            self.news.notify_one();
        }
    }
}

/// Tells the parent, unless there is no room.
fn offer(start: &Start, report: &Report) -> bool {
    serde_json::to_vec(report).is_ok_and(|bytes| start.reporter.offer(&bytes))
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
        let now = Instant::now();
        if self.reporting.next(now).is_none_or(|at| at > now) {
            return;
        }
        self.reporting.last = Some(now);
        if self.reporting.recount {
            if !offer(start, &Report::Servers(self.servers.len())) {
                return;
            }
            self.reporting.recount = false;
        }
        while let Some((server, place)) = self.reporting.whole {
            let Some(running) = self.servers.get(server) else {
                self.reporting.whole = None;
                // The reports of all leave free memory between what stays.
                trim_memory();
                break;
            };
            let last = place >= running.given.reals.len();
            if !self.offer_place(start, (server, place)) {
                return;
            }
            self.reporting.whole = Some(if last { (server + 1, 0) } else { (server, place + 1) });
        }
        while let Some(place) = self.reporting.changed.first().copied() {
            if !self.offer_place(start, place) {
                return;
            }
            self.reporting.changed.pop_first();
        }
    }

    /// Reports a virtual server or a real server; false where there is no room.
    fn offer_place(&self, start: &Start, (server, place): (usize, usize)) -> bool {
        let report = match place.checked_sub(1) {
            None => self.server_status(server),
            Some(real) => self.real_status(server, real).map(|one| Report::Real(server, real, Box::new(one))),
        };
        report.is_none_or(|report| offer(start, &report))
    }

    /// A virtual server without its real servers.
    fn server_status(&self, at: usize) -> Option<Report> {
        let running = self.servers.get(at)?;
        let (given, machine, config) = (&running.given, &running.machine, &running.given.config);
        let server = VirtualServer {
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
        };
        Some(Report::Server(at, given.reals.len(), Box::new(server)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_due_at_once_and_what_follows_a_moment_later() {
        let now = Instant::now();
        let mut reporting = Reporting::new(true);
        assert_eq!(reporting.next(now), None);
        reporting.begin();
        assert_eq!(reporting.next(now), Some(now));
        (reporting.recount, reporting.whole, reporting.last) = (false, None, Some(now));
        assert_eq!(reporting.next(now), None);
        reporting.attempted((0, 1, 0), Some("refused".to_owned()));
        assert_eq!((reporting.next(now), reporting.changed.len()), (Some(now + LEAST), 2));
        reporting.changed.clear();
        // A failure for the same reason, and a success of a check that had not failed, change nothing.
        reporting.attempted((0, 1, 0), Some("refused".to_owned()));
        reporting.attempted((0, 2, 0), None);
        assert_eq!(reporting.next(now), None);
        reporting.attempted((0, 1, 0), None);
        assert!(reporting.next(now).is_some() && reporting.failures.is_empty());
        let mut unwanted = Reporting::new(false);
        unwanted.begin();
        unwanted.attempted((0, 0, 0), Some("refused".to_owned()));
        assert!(unwanted.next(now).is_none() && unwanted.failures.is_empty());
    }
}
