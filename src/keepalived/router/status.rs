//! What the parent is told of this process, so that it can answer queries alone: nobody who asks disturbs a router.
//!
//! A report is sent soon after a change of state, within a second of another change, and when the parent asks because
//! somebody asks it: counters alone are no reason. Only what changed is sent, and what finds no room is sent with the next
//! report.

use super::{InstanceState, Process};
use crate::keepalived::dump::word;
use crate::keepalived::report::Report;
use crate::keepalived::secret::Key;
use crate::keepalived::site::{Tracking, What};
use crate::keepalived::status::{
    Contribution, Counters, Errors, Group, Instance, Lateness, Master, Script, TRANSITIONS, Transition, Word,
    now as wall, reason, seconds,
};
use crate::keepalived::track::script::ScriptRunner;
use crate::sys::memory::end_start;
use crate::sys::process::trim_memory;
use crate::vrrp::machine::{Router, StateKind};
use crate::vrrp::node::{GroupId, Reading, RouterId, ThingId};
use crate::vrrp::note::Note;
use crate::vrrp::weight::{Verdict, is_fault};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant, SystemTime};

/// Between two reports while something changes.
const INTERVAL: Duration = Duration::from_secs(1);
/// The least time between two reports, however much changes.
const LEAST: Duration = Duration::from_millis(100);
/// Instances whose changes at one time leave memory that is worth giving back.
const MANY: usize = 64;
/// A deadline that is reached later than this counts as late.
const LATE: Duration = Duration::from_millis(10);

/// A change of state.
#[derive(Debug)]
struct Change {
    at: f64,
    from: StateKind,
    to: StateKind,
    reason: Word,
}

impl Change {
    fn shown(&self) -> Transition {
        let (from, to) = (word(self.from).into(), word(self.to).into());
        Transition { at: self.at, from, to, reason: self.reason.clone() }
    }
}

/// The latest changes of an instance.
#[derive(Debug, Default)]
pub(super) struct History {
    state: Option<StateKind>,
    /// The next change to this state has this reason.
    expected: Option<(StateKind, Word)>,
    transitions: VecDeque<Change>,
    changes: u64,
    /// Announcements of its addresses.
    pub(super) announced: u64,
    /// Adverts that could not be sent, to all or some of their receivers.
    pub(super) failed: u64,
}

impl History {
    /// Gives a reason to the next change, if it is one to `state`.
    pub(super) fn expect(&mut self, state: StateKind, reason: impl Into<Word>) {
        self.expected = Some((state, reason.into()));
    }

    /// Takes the reason from what the router says before it changes.
    pub(super) fn hear(&mut self, note: &Note) {
        match note {
            Note::AdvertTimeout => self.expect(StateKind::Master, reason::TIMEOUT),
            Note::Higher { .. } | Note::HigherAddress { .. } => self.expect(StateKind::Backup, note.to_string()),
            _ => {}
        }
    }

    /// Notes a change; `otherwise` is its reason where none was expected.
    fn change(&mut self, state: StateKind, otherwise: Word) {
        let reason = match self.expected.take() {
            Some((expected, reason)) if expected == state => reason,
            _ => otherwise,
        };
        let from = self.state.replace(state).unwrap_or(StateKind::Initialise);
        if self.transitions.len() == TRANSITIONS {
            self.transitions.pop_front();
        }
        self.transitions.reserve_exact(1);
        self.transitions.push_back(Change { at: wall(), from, to: state, reason });
        self.changes += 1;
    }
}

/// What was reported, and when there is more.
#[derive(Debug, Default)]
pub(super) struct Reporting {
    /// When the last report was sent.
    last: Option<Instant>,
    /// A router has changed its state.
    urgent: bool,
    /// Something else than counters has changed.
    changed: bool,
    /// The parent asks for everything, counters included.
    asked: bool,
    /// The instances that have changed.
    stale: BTreeSet<usize>,
    /// Any instance may have changed.
    all_stale: bool,
    lateness: Lateness,
    /// What the parent knows, by hash.
    known: HashMap<(u8, usize), u64>,
}

impl Reporting {
    /// Takes the time at which the loop woke up whose nearest deadline was `due`.
    pub(super) fn woke(&mut self, now: Instant, due: Option<Instant>) {
        let Some(late) = due.and_then(|due| now.checked_duration_since(due)) else { return };
        let lateness = &mut self.lateness;
        lateness.deadlines += 1;
        lateness.late += u64::from(late > LATE);
        lateness.seconds += late.as_secs_f64();
        lateness.worst = lateness.worst.max(late.as_secs_f64());
    }

    /// When there is to be a report, if there is to be one.
    fn next(&self, now: Instant) -> Option<Instant> {
        let Some(last) = self.last.filter(|_| !self.asked) else { return Some(now) };
        match (self.urgent, self.changed) {
            (true, _) => Some(last + LEAST),
            (false, true) => Some(last + INTERVAL),
            (false, false) => None,
        }
    }

    /// Something else than counters has changed, of any instance.
    pub(super) const fn note_change(&mut self) {
        (self.changed, self.all_stale) = (true, true);
    }

    /// Something else than counters has changed of the instance at `at`.
    pub(super) fn note_change_of(&mut self, at: usize) {
        self.changed = true;
        self.stale.insert(at);
    }

    /// Whether a message is new to the parent, and was sent.
    fn offer(&mut self, key: (u8, usize), report: &Report, send: &impl Fn(&[u8]) -> bool) -> bool {
        let Ok(bytes) = serde_json::to_vec(report) else { return true };
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let hash = hasher.finish();
        if self.known.get(&key) == Some(&hash) {
            return true;
        }
        let sent = send(&bytes);
        if sent {
            self.known.insert(key, hash);
        }
        sent
    }
}

impl Process {
    /// When the parent is to be told more.
    pub(super) fn poll_report(&self, now: Instant) -> Option<Instant> {
        self.reporting.next(now).filter(|_| self.start.reports_status)
    }

    /// Takes the parent's question.
    pub(super) fn hear_parent(&mut self) {
        self.reporting.asked |= self.start.reporter.is_asked();
    }

    /// Tells the parent the text of the configuration in use.
    pub(super) fn report_configuration(&self, text: &str) {
        if self.start.reports_status {
            self.start.reporter.tell_configuration(&Key::new().masked(text));
        }
    }

    /// An instance has changed its state.
    pub(super) fn changed_state(&mut self, at: usize, state: StateKind) {
        self.reporting.urgent = true;
        self.reporting.note_change_of(at);
        let reason: Word = match (state, self.seats.get(at)) {
            (StateKind::Fault, Some(seat)) => {
                let faults: Vec<String> = self.faults(seat).iter().map(ToString::to_string).collect();
                if faults.is_empty() { reason::GROUP.into() } else { faults.join(", ").into() }
            }
            (StateKind::Backup, Some(seat)) => match seat.history.state {
                None | Some(StateKind::Initialise) => reason::START.into(),
                Some(StateKind::Fault) => reason::RECOVERED.into(),
                Some(StateKind::Backup | StateKind::Master) => reason::RESIGNED.into(),
            },
            (StateKind::Master, _) => reason::OWNER.into(),
            (StateKind::Initialise, _) => reason::STOP.into(),
            (_, None) => return,
        };
        if let Some(seat) = self.seats.get_mut(at) {
            seat.since = SystemTime::now();
            seat.history.change(state, reason);
        }
    }

    /// Tells the parent what changed since the last report, when it is time to.
    pub(super) fn report_status(&mut self, now: Instant) {
        if self.poll_report(now).is_none_or(|at| at > now) {
            return;
        }
        let mut reporting = std::mem::take(&mut self.reporting);
        let is_first = reporting.last.is_none();
        let all = is_first || reporting.asked || reporting.all_stale;
        (reporting.last, reporting.urgent, reporting.changed) = (Some(now), false, false);
        (reporting.asked, reporting.all_stale) = (false, false);
        let stale = std::mem::take(&mut reporting.stale);
        let counts = (self.seats.len(), self.site.groups.len(), self.scripts.len());
        let count = Report::Count(counts.0, counts.1, counts.2);
        let instances = self.seats.iter().enumerate().filter(|(at, _)| all || stale.contains(at));
        let instances =
            instances.map(|(at, seat)| ((1, at), Report::Instance(at, Box::new(self.instance_status(at, seat, now)))));
        let groups = (0..counts.1).map(|at| ((2, at), Report::Group(at, self.group_status(at))));
        let scripts = self.scripts.iter().enumerate();
        let scripts = scripts.map(|(at, script)| ((3, at), Report::Script(at, script_status(script))));
        let lateness = ((4, 0), Report::Lateness(reporting.lateness));
        let all = std::iter::once(((0, 0), count)).chain(instances).chain(groups).chain(scripts);
        let send = |bytes: &[u8]| self.start.reporter.offer(bytes);
        // The lateness goes last: with it the parent knows that the report is whole.
        for (key, report) in all.chain([lateness]) {
            if key.0 == 4 {
                reporting.known.remove(&key);
            }
            if !reporting.offer(key, &report, &send) {
                reporting.note_change();
                break;
            }
        }
        self.reporting = reporting;
        if is_first {
            end_start();
        } else if stale.len() >= MANY {
            // So many changes leave much free memory between what stays.
            trim_memory();
        }
    }

    fn group_status(&self, at: usize) -> Group {
        let group = self.site.groups.get(at);
        let state = self.node.group_state(GroupId(at)).unwrap_or(StateKind::Initialise);
        Group {
            name: group.map(|group| group.name.clone()).unwrap_or_default(),
            state: word(state).into(),
            members: group.map(|group| group.members.clone()).unwrap_or_default(),
        }
    }

    fn instance_status(&self, at: usize, seat: &InstanceState, now: Instant) -> Instance {
        let Some(machine) = self.node.router(RouterId(at)) else { return Instance::default() };
        let instance = &seat.instance;
        let heard = machine.heard().filter(|_| machine.state() == StateKind::Backup);
        Instance {
            name: instance.name.clone(),
            state: word(machine.state()).into(),
            since: seconds(seat.since),
            vrid: instance.router.vrid,
            version: instance.router.version.number(),
            interface: instance.interface.clone(),
            source: seat.source.map(|ip| ip.to_string()),
            base_priority: instance.router.priority,
            priority: machine.priority(),
            tracks: instance.tracking.iter().map(|one| self.contribution(one)).collect(),
            master: heard.map(|heard| Master { address: heard.source.to_string(), priority: heard.priority }),
            addresses: instance.addresses.iter().map(|address| format!("{}/{}", address.ip, address.prefix)).collect(),
            held: seat.held.addresses.len(),
            obstacles: self.obstacles(seat, machine, now),
            conflicts: seat.conflicts.shown(),
            changes: seat.history.changes,
            transitions: seat.history.transitions.iter().map(Change::shown).collect(),
            counters: counters(machine, &seat.history),
        }
    }

    /// What a tracked thing does to a router's priority.
    fn contribution(&self, tracking: &Tracking) -> Contribution {
        let (kind, name) = match &tracking.what {
            What::Interface(name) => ("interface", name),
            What::Script(name) => ("script", name),
            What::File(name) => ("file", name),
            What::Process(name) => ("process", name),
            What::Session(name) => ("bfd", name),
        };
        let thing = self.things.iter().position(|what| *what == tracking.what);
        let reading = thing.map_or(Reading::Unknown, |at| self.node.reading(ThingId(at)));
        let tracked = reading.tracked(tracking.weight, tracking.reverse);
        Contribution {
            kind: kind.into(),
            name: name.clone(),
            reading: match reading {
                Reading::Unknown => "unknown".into(),
                Reading::Good => "good".into(),
                Reading::Bad => "bad".into(),
                Reading::Value(value) => value.to_string().into(),
                Reading::Unused => "unused".into(),
            },
            weight: tracking.weight,
            reverse: tracking.reverse,
            adds: tracked.map_or(0, |tracked| tracked.adds()),
            fault: tracked.is_some_and(|tracked| tracked.verdict != Verdict::Unknown && is_fault(tracked)),
        }
    }

    /// Logs what keeps each instance from being master.
    pub(super) fn explain_start(&self, now: Instant) {
        for (seat, (_, machine)) in self.seats.iter().zip(self.node.routers()) {
            let obstacles = self.obstacles(seat, machine, now);
            if !obstacles.is_empty() {
                self.log.say(format!("({}) not master because {}", seat.instance.name, obstacles.join(", ")));
            }
        }
    }

    /// What keeps a router from being master.
    fn obstacles(&self, seat: &InstanceState, machine: &Router, now: Instant) -> Vec<String> {
        let grouped = || self.site.groups.iter().any(|group| group.members.contains(&seat.instance.name));
        match machine.state() {
            StateKind::Master => Vec::new(),
            StateKind::Fault => {
                let faults = self.faults(seat);
                if faults.is_empty() && grouped() {
                    return vec![reason::GROUP.to_owned()];
                }
                faults.iter().map(ToString::to_string).collect()
            }
            StateKind::Initialise if self.node.held_until().is_some_and(|until| until > now) => {
                vec!["the start is delayed".to_owned()]
            }
            StateKind::Initialise => {
                let unknown = seat.instance.tracking.iter().map(|one| self.contribution(one));
                let unknown = unknown.filter(|one| one.reading == "unknown" && one.weight == 0);
                unknown.map(|one| format!("{} {} has no result yet", one.kind, one.name)).collect()
            }
            StateKind::Backup => vec![backup_obstacle(machine, &seat.instance.router, now)],
        }
    }
}

/// What keeps a backup from being master.
fn backup_obstacle(machine: &Router, config: &crate::vrrp::config::Config, now: Instant) -> String {
    let own = machine.priority();
    if machine.is_ready() {
        return "the other members of its group are not ready".to_owned();
    }
    let Some(heard) = machine.heard() else {
        return "it waits whether a master advertises".to_owned();
    };
    let master = format!("master {} has priority {}", heard.source, heard.priority);
    if heard.priority >= own {
        return format!("{master}, this router {own}");
    }
    if !config.preempt {
        return format!("{master}, and nopreempt leaves it there");
    }
    match machine.preempt_at().map(|at| at.saturating_duration_since(now)) {
        Some(left) if !left.is_zero() => {
            format!("{master}, and preempt_delay leaves it there for {} s", left.as_secs())
        }
        _ => format!("{master}; it is replaced when no accepted advert comes in time"),
    }
}

fn counters(machine: &Router, history: &History) -> Counters {
    let counters = machine.counters();
    Counters {
        adverts_received: counters.received,
        adverts_sent: counters.sent,
        adverts_failed: history.failed,
        priority_zero_received: counters.zero_received,
        priority_zero_sent: counters.zero_sent,
        became_master: counters.became_master,
        released_master: counters.released_master,
        announcements: history.announced,
        errors: Errors {
            packet_length: counters.length,
            ttl: counters.ttl,
            invalid_type: counters.invalid_type,
            advertise_interval: counters.interval,
            address_list: counters.address_list,
            authentication_invalid: counters.auth_invalid,
            authentication_mismatch: counters.auth_mismatch,
            authentication_failure: counters.auth_failure,
        },
    }
}

fn script_status(runner: &ScriptRunner) -> Script {
    let runs = runner.runs();
    let reading = match (runner.is_disabled(), runner.verdict()) {
        (true, _) => "disabled",
        (_, Verdict::Unknown) => "unknown",
        (_, Verdict::Good) => "good",
        (_, Verdict::Bad) => "bad",
    };
    let last = runs.last.as_ref();
    Script {
        name: runner.script.name.clone(),
        reading: reading.into(),
        running: runner.is_running(),
        runs: runs.ended,
        failures: runs.failed,
        timeouts: runs.timed_out,
        last_result: last.map(|(how, ..)| how.clone()),
        last_duration: last.map(|(.., took)| took.as_secs_f64()),
        last_at: last.map(|(_, at, _)| seconds(*at)),
    }
}

#[cfg(test)]
mod tests {
    use super::{INTERVAL, Instant, LEAST, Reporting};

    #[test]
    fn counters_wait_longer_than_changes_and_those_longer_than_a_state() {
        let now = Instant::now();
        let mut reporting = Reporting::default();
        assert_eq!(reporting.next(now), Some(now));
        reporting.last = Some(now);
        assert_eq!(reporting.next(now), None);
        reporting.note_change_of(0);
        assert_eq!(reporting.next(now), Some(now + INTERVAL));
        reporting.urgent = true;
        assert_eq!(reporting.next(now), Some(now + LEAST));
        reporting.asked = true;
        assert_eq!(reporting.next(now), Some(now));
    }
}
