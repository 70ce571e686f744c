//! A node: all virtual routers of one host, their groups and what they track. Facts and time in, acts out.
//!
//! The node decides what needs more than one router: eligibility, who follows whom in a group, and the order of
//! notifications. Facts about tracked things, addresses and sockets count together, from the next
//! [`Node::settle`] on; adverts and deadlines count at once. Only routers that a fact concerns are looked at again.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::config::Config;
use super::group;
use super::machine::{Action, Event, Router, StateKind};
use super::note::Note;
use super::weight::{Eligibility, Tracked, Verdict, eligibility, of_value, verdict};
use super::wire::Datagram;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// A virtual router, by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId(pub usize);

/// A group, by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub usize);

/// Something that is tracked, by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThingId(pub usize);

/// What a node is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeConfig {
    /// The virtual routers.
    pub routers: Vec<RouterConfig>,
    /// The members of each group.
    pub groups: Vec<Vec<RouterId>>,
    /// How many things are tracked.
    pub things: usize,
}

/// A router and what it tracks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterConfig {
    /// The router alone.
    pub machine: Arc<Config>,
    /// What decides about its priority or faults it.
    pub tracking: Vec<Tracking>,
}

/// Something a router tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracking {
    /// What.
    pub thing: ThingId,
    /// Its weight; 0 faults the router while the thing is bad.
    pub weight: i32,
    /// Good and bad are swapped.
    pub reverse: bool,
}

/// What is known about a tracked thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Nothing yet: a router that depends on it does not start.
    Unknown,
    /// It is well.
    Good,
    /// It is not.
    Bad,
    /// A number that is multiplied by the weight.
    Value(i64),
    /// It is not looked at, and counts for nothing.
    Unused,
}

impl Reading {
    /// What it comes to for a router that gives it this weight.
    pub fn tracked(self, weight: i32, reverse: bool) -> Option<Tracked> {
        let verdict = match self {
            Self::Unknown => Verdict::Unknown,
            Self::Good => Verdict::Good,
            Self::Bad => Verdict::Bad,
            Self::Value(value) => return Some(of_value(value, weight, reverse)),
            Self::Unused => return None,
        };
        Some(Tracked { weight, reverse, verdict })
    }
}

/// Whether a router can send and receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Socket {
    /// It has no interface or no address to speak from.
    Missing,
    /// The system refused its sockets.
    Refused,
    /// It can.
    Open,
}

/// What happened outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A tracked thing is like this now.
    Reading(ThingId, Reading),
    /// The address a router's adverts carry.
    Source(RouterId, Option<IpAddr>),
    /// A router can speak, or not: then it is in fault, and holds nothing.
    Socket(RouterId, Socket),
    /// A packet for a router came.
    Heard(RouterId, Datagram),
    /// Somebody else took one of a router's addresses away.
    AddressLost(RouterId),
}

/// What changed, for those who are notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The state is this now; `Initialise` is the end.
    State(StateKind),
    /// A reload took the instance away.
    Deleted,
    /// The priority changed.
    Priority {
        /// The router is master.
        master: bool,
    },
    /// A master heard a lower priority.
    HeardLower,
}

impl Occasion {
    /// The word scripts and FIFOs get.
    pub const fn word(self) -> &'static str {
        match self {
            Self::State(StateKind::Master) => "MASTER",
            Self::State(StateKind::Backup) => "BACKUP",
            Self::State(StateKind::Fault) => "FAULT",
            Self::State(StateKind::Initialise) => "STOP",
            Self::Deleted => "DELETED",
            Self::Priority { master: true } => "MASTER_PRIORITY",
            Self::Priority { master: false } => "BACKUP_PRIORITY",
            Self::HeardLower => "MASTER_RX_LOWER_PRI",
        }
    }
}

/// Who changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A router, with its priority then.
    Router(RouterId, u8),
    /// A group.
    Group(GroupId),
}

/// What a node wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A router took an event; only of a node that is traced.
    Took(RouterId, Instant, Box<Event>),
    /// A deadline of a router was met; only of a node that is traced.
    Due(RouterId, Instant),
    /// A router wants this.
    Router(RouterId, Action),
    /// Run notify scripts, and write to FIFOs and mail.
    Notify(Subject, Occasion),
    /// A router begins in fault because of what it tracks itself.
    Faulty(RouterId),
    /// A group begins in fault because of this member.
    GroupFaulty(GroupId, RouterId),
    /// The other members of a group follow one of them into this state.
    Syncing(GroupId, StateKind),
}

/// A router of the configuration before that goes on under the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its place before.
    pub before: RouterId,
    /// It has addresses it did not have: neighbours must hear of them.
    pub announce: bool,
}

/// Groups pull their members at most this often in one turn; more would be a circle.
const ROUNDS: usize = 64;

/// Acts whose memory is kept while there are none.
const ROOM: usize = 32;

/// One router and what the node knows about it.
#[derive(Debug)]
struct Member {
    machine: Router,
    config: RouterConfig,
    group: Option<GroupId>,
    socket: Socket,
    /// Its eligibility by what it tracks itself.
    own: Eligibility,
    /// Whether that kept it from taking part when it was last looked at.
    faulty: bool,
    /// The last eligibility the machine was told, its group counted.
    told: Option<Eligibility>,
    /// The deadline that is in the heap.
    due: Option<Instant>,
    /// It was reconfigured and has not been told so; whether it is to announce.
    changed: Option<bool>,
    /// A reload removes it: nobody is notified, and its group does not follow.
    retired: bool,
}

impl Member {
    fn new(config: RouterConfig) -> Self {
        Self {
            machine: Router::new(Arc::clone(&config.machine), None),
            own: Eligibility { priority: config.machine.priority, fault: true, waiting: false },
            config,
            group: None,
            socket: Socket::Missing,
            faulty: false,
            told: None,
            due: None,
            changed: None,
            retired: false,
        }
    }
}

/// Something that is tracked.
#[derive(Clone, Debug)]
struct Thing {
    reading: Reading,
    /// The routers that track it.
    routers: Vec<RouterId>,
}

/// All virtual routers of a host.
#[derive(Debug)]
pub struct Node {
    members: Vec<Member>,
    groups: Vec<Vec<RouterId>>,
    /// The state each group was last notified of.
    group_states: Vec<Option<StateKind>>,
    things: Vec<Thing>,
    /// Nothing starts before this (`vrrp_startup_delay`).
    held_until: Option<Instant>,
    /// Routers whose eligibility must be found anew.
    stale: BTreeSet<RouterId>,
    /// Routers whose machines may want something.
    busy: BTreeSet<RouterId>,
    /// Deadlines; one that is not its router's `due` no longer counts.
    deadlines: BinaryHeap<Reverse<(Instant, RouterId)>>,
    /// Groups a member of which changed its state, and that state.
    changed_groups: Vec<(GroupId, StateKind)>,
    /// Whether what the machines take is an act as well.
    traced: bool,
    acts: VecDeque<Act>,
}

impl Node {
    /// A node that knows nothing of its surroundings yet, and starts nothing before `held_until`.
    pub fn new(config: NodeConfig, held_until: Option<Instant>) -> Self {
        let mut node = Self {
            members: Vec::new(),
            groups: Vec::new(),
            group_states: Vec::new(),
            things: Vec::new(),
            held_until,
            stale: BTreeSet::new(),
            busy: BTreeSet::new(),
            deadlines: BinaryHeap::new(),
            changed_groups: Vec::new(),
            traced: false,
            acts: VecDeque::new(),
        };
        node.replace(config, &[]);
        node
    }

    /// Tells from now on what each machine takes, for a recording.
    pub const fn trace(&mut self) {
        self.traced = true;
    }

    /// The router at a place.
    pub fn router(&self, id: RouterId) -> Option<&Router> {
        self.members.get(id.0).map(|member| &member.machine)
    }

    /// Every router, in order.
    pub fn routers(&self) -> impl Iterator<Item = (RouterId, &Router)> {
        self.members.iter().enumerate().map(|(at, member)| (RouterId(at), &member.machine))
    }

    /// A router's configuration.
    pub fn config(&self, id: RouterId) -> Option<&RouterConfig> {
        self.members.get(id.0).map(|member| &member.config)
    }

    /// What is known about a tracked thing.
    pub fn reading(&self, id: ThingId) -> Reading {
        self.things.get(id.0).map_or(Reading::Unknown, |thing| thing.reading)
    }

    /// Until when nothing starts.
    pub const fn held_until(&self) -> Option<Instant> {
        self.held_until
    }

    /// Forgets what the routers have counted.
    pub fn clear_counters(&mut self) {
        self.members.iter_mut().for_each(|member| member.machine.clear_counters());
    }

    /// When [`Node::handle_timeout`] or [`Node::settle`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let held = self.held_until.filter(|_| !self.stale.is_empty());
        self.deadlines.peek().map(|Reverse((at, _))| *at).into_iter().chain(held).min()
    }

    /// The next thing to do, in order.
    pub fn poll_act(&mut self) -> Option<Act> {
        let act = self.acts.pop_front();
        if act.is_none() {
            self.acts.shrink_to(ROOM);
        }
        act
    }

    /// Takes a fact. What it means for eligibility counts from the next [`Node::settle`] on.
    pub fn tell(&mut self, now: Instant, fact: Fact) {
        match fact {
            Fact::Reading(id, reading) => {
                if let Some(thing) = self.things.get_mut(id.0)
                    && std::mem::replace(&mut thing.reading, reading) != reading
                {
                    self.stale.extend(&thing.routers);
                }
            }
            Fact::Source(id, source) => {
                self.send(id, now, Event::Source(source));
                self.drain(now);
            }
            Fact::Socket(id, socket) => {
                if let Some(member) = self.members.get_mut(id.0)
                    && std::mem::replace(&mut member.socket, socket) != socket
                {
                    self.stale.insert(id);
                }
            }
            Fact::Heard(id, datagram) => {
                self.send(id, now, Event::Received(datagram));
                self.drain(now);
            }
            Fact::AddressLost(id) => {
                // Its group gives up with it.
                for one in std::iter::once(id).chain(self.group_peers(id)) {
                    self.send(one, now, Event::AddressLost);
                }
                self.drain(now);
            }
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut due = Vec::new();
        while let Some(Reverse((at, id))) = self.deadlines.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.deadlines.pop();
            if let Some(member) = self.members.get_mut(id.0).filter(|member| member.due == Some(at)) {
                member.due = None;
                due.push(id);
            }
        }
        for id in due {
            let Some(member) = self.members.get_mut(id.0) else { continue };
            // Another's deadline may have moved this one.
            if member.machine.poll_timeout().is_some_and(|at| at <= now) {
                if self.traced {
                    self.acts.push_back(Act::Due(id, now));
                }
                member.machine.handle_timeout(now);
                self.busy.insert(id);
            }
            self.note_deadline(id);
            self.drain(now);
        }
    }

    /// Tells each router its eligibility, if that changed.
    pub fn settle(&mut self, now: Instant) {
        if self.held_until.is_some_and(|until| now < until) {
            return;
        }
        self.held_until = None;
        if self.stale.is_empty() {
            return;
        }
        let stale = std::mem::take(&mut self.stale);
        // Who changes by itself comes before those of its group that follow.
        let mut own_changes = BTreeSet::new();
        let mut concerned = BTreeSet::new();
        for id in stale {
            let own = self.own_standing(id);
            let Some(member) = self.members.get_mut(id.0) else { continue };
            member.own = own;
            if std::mem::replace(&mut member.faulty, own.fault) != own.fault {
                own_changes.insert(id);
            }
            concerned.insert(id);
            concerned.extend(member.group.and_then(|group| self.groups.get(group.0)).into_iter().flatten());
        }
        self.explain(&concerned, |member| member.told.is_none() && member.faulty);
        self.notify_first_states(&concerned);
        let mut order: Vec<(bool, RouterId)> =
            concerned.into_iter().map(|id| (!own_changes.contains(&id), id)).collect();
        order.sort_unstable();
        for (_, id) in order {
            let Some(eligibility) = self.standing_in_group(id) else { continue };
            let Some(member) = self.members.get_mut(id.0) else { continue };
            let before = member.told.replace(eligibility);
            if before == Some(eligibility) {
                continue;
            }
            if before.is_none() && eligibility.fault && member.socket == Socket::Refused {
                // keepalived opens the sockets after it has judged everything tracked: the start is over by then.
                self.send(id, now, Event::Eligibility(Eligibility { fault: false, waiting: true, ..eligibility }));
            }
            self.send(id, now, Event::Eligibility(eligibility));
            self.drain(now);
        }
    }

    /// Stops every router: the masters among them give up.
    pub fn stop(&mut self, now: Instant) {
        for at in 0..self.members.len() {
            self.send(RouterId(at), now, Event::Stop);
        }
        self.drain(now);
    }

    /// Stops a router that the new configuration no longer has. Nobody is notified, and its group does not follow.
    pub fn retire(&mut self, now: Instant, id: RouterId) {
        if let Some(member) = self.members.get_mut(id.0) {
            member.retired = true;
        }
        self.send(id, now, Event::Stop);
        self.drain(now);
    }

    /// Takes a new configuration; `kept` has, for each new router, the one before that it goes on as. What is tracked is
    /// unknown until it is told again. Those that go on take effect with [`Node::resume`], new ones with
    /// [`Node::settle`].
    pub fn replace(&mut self, config: NodeConfig, kept: &[Option<Kept>]) {
        let mut before: Vec<Option<Member>> = std::mem::take(&mut self.members).into_iter().map(Some).collect();
        self.things = vec![Thing { reading: Reading::Unknown, routers: Vec::new() }; config.things];
        self.deadlines.clear();
        self.busy.clear();
        self.members.reserve_exact(config.routers.len());
        for (at, new) in config.routers.into_iter().enumerate() {
            for one in &new.tracking {
                if let Some(thing) = self.things.get_mut(one.thing.0) {
                    thing.routers.push(RouterId(at));
                }
            }
            let kept = kept.get(at).copied().flatten();
            let known = kept.and_then(|kept| Some((kept, before.get_mut(kept.before.0)?.take()?)));
            self.members.push(match known {
                Some((kept, member)) => {
                    Member { config: new, group: None, due: None, changed: Some(kept.announce), ..member }
                }
                None => Member::new(new),
            });
        }
        self.group_states = vec![None; config.groups.len()];
        self.groups = config.groups;
        for (at, members) in self.groups.iter().enumerate() {
            for id in members {
                if let Some(member) = self.members.get_mut(id.0) {
                    member.group = Some(GroupId(at));
                }
            }
        }
        self.stale = (0..self.members.len()).map(RouterId).collect();
        (0..self.members.len()).for_each(|at| self.note_deadline(RouterId(at)));
    }

    /// Takes over what was last notified of a group that stays.
    pub fn resume_group(&mut self, id: GroupId, state: Option<StateKind>) {
        if let Some(known) = self.group_states.get_mut(id.0) {
            *known = state;
        }
    }

    /// The state a group was last notified of.
    pub fn group_state(&self, id: GroupId) -> Option<StateKind> {
        self.group_states.get(id.0).copied().flatten()
    }

    /// Tells the routers that go on their new configurations, all facts about them being known.
    pub fn resume(&mut self, now: Instant) {
        for at in 0..self.members.len() {
            let own = self.own_standing(RouterId(at));
            if let Some(member) = self.members.get_mut(at) {
                member.own = own;
            }
        }
        for at in 0..self.members.len() {
            let id = RouterId(at);
            let Some(eligibility) = self.standing_in_group(id) else { continue };
            let Some(member) = self.members.get_mut(at) else { continue };
            let Some(announce) = member.changed.take() else { continue };
            member.told = Some(eligibility);
            let config = Arc::clone(&member.config.machine);
            self.send(id, now, Event::Reconfigure { config, eligibility, announce });
            self.drain(now);
        }
    }

    /// Tells once more which routers are in fault because of what they track themselves.
    pub fn explain_faults(&mut self) {
        let all = (0..self.members.len()).map(RouterId).collect();
        self.explain(&all, |member| member.faulty);
    }

    fn explain(&mut self, among: &BTreeSet<RouterId>, which: impl Fn(&Member) -> bool) {
        let faulty = |id: &RouterId| self.members.get(id.0).is_some_and(&which);
        let routers: Vec<RouterId> = among.iter().copied().filter(faulty).collect();
        let mut groups = Vec::new();
        for (at, members) in self.groups.iter().enumerate() {
            // The first in the order of the configuration, not of the group.
            let first = members.iter().filter(|id| among.contains(id) && faulty(id)).min();
            groups.extend(first.map(|first| Act::GroupFaulty(GroupId(at), *first)));
        }
        self.acts.extend(routers.into_iter().map(Act::Faulty).chain(groups));
    }

    /// At the start keepalived tells of groups first, if they begin as backup or in fault.
    fn notify_first_states(&mut self, concerned: &BTreeSet<RouterId>) {
        for at in 0..self.groups.len() {
            let ids = self.groups.get(at).map(Vec::as_slice).unwrap_or_default();
            if !ids.iter().any(|id| concerned.contains(id)) {
                continue;
            }
            let all = || ids.iter().filter_map(|id| Some((self.members.get(id.0)?, self.standing_in_group(*id)?)));
            let begins = |member: &Member| member.told.is_none() && member.machine.state() == StateKind::Initialise;
            if !all().all(|(member, _)| begins(member)) {
                continue;
            }
            if all().any(|(_, eligibility)| eligibility.fault) {
                self.notify_group(GroupId(at), StateKind::Fault);
            } else if !all().any(|(member, eligibility)| eligibility.waiting || member.config.machine.owner) {
                self.notify_group(GroupId(at), StateKind::Backup);
            }
        }
    }

    /// A router's eligibility by what it tracks itself; one that cannot send is in fault.
    fn own_standing(&self, id: RouterId) -> Eligibility {
        let Some(member) = self.members.get(id.0) else {
            return Eligibility { priority: 0, fault: true, waiting: false };
        };
        let socket = Tracked { weight: 0, reverse: false, verdict: verdict(member.socket == Socket::Open) };
        let reading = |one: &Tracking| self.reading(one.thing).tracked(one.weight, one.reverse);
        let tracked = member.config.tracking.iter().filter_map(reading);
        eligibility(member.config.machine.priority, std::iter::once(socket).chain(tracked))
    }

    /// A fault of one member is a fault of all, and all wait for each.
    fn standing_in_group(&self, id: RouterId) -> Option<Eligibility> {
        let member = self.members.get(id.0)?;
        let Some(group) = member.group.and_then(|group| self.groups.get(group.0)) else { return Some(member.own) };
        let of = || group.iter().filter_map(|id| self.members.get(id.0)).map(|member| member.own);
        let fault = group::held(of().map(|own| own.fault));
        Some(Eligibility { fault, waiting: of().any(|own| own.waiting), ..member.own })
    }

    /// The other members of a router's group, in the order of the configuration.
    fn group_peers(&self, id: RouterId) -> Vec<RouterId> {
        let group = self.members.get(id.0).filter(|member| !member.retired).and_then(|member| member.group);
        let members = group.and_then(|group| self.groups.get(group.0)).into_iter().flatten();
        let mut peers: Vec<RouterId> = members.copied().filter(|other| *other != id).collect();
        peers.sort_unstable();
        peers
    }

    fn send(&mut self, id: RouterId, now: Instant, event: Event) {
        let Some(member) = self.members.get_mut(id.0) else { return };
        if self.traced {
            self.acts.push_back(Act::Took(id, now, Box::new(event.clone())));
        }
        member.machine.handle(now, event);
        self.busy.insert(id);
        self.note_deadline(id);
    }

    /// Keeps the heap in step with a router's deadline.
    fn note_deadline(&mut self, id: RouterId) {
        if let Some(member) = self.members.get_mut(id.0) {
            let due = member.machine.poll_timeout();
            if member.due != due {
                member.due = due;
                self.deadlines.extend(due.map(|due| Reverse((due, id))));
            }
        }
        let members = &self.members;
        let counts = |at, id: RouterId| members.get(id.0).is_some_and(|member| member.due == Some(at));
        while let Some(Reverse((at, id))) = self.deadlines.peek().copied()
            && !counts(at, id)
        {
            self.deadlines.pop();
        }
    }

    /// Collects what the machines want, in order, until none wants anything.
    fn drain(&mut self, now: Instant) {
        let mut from = RouterId(0);
        for _ in 0..ROUNDS * self.members.len().max(1) {
            let next = self.busy.range(from..).next().or_else(|| self.busy.first()).copied();
            let Some(id) = next else { break };
            self.busy.remove(&id);
            while let Some(action) = self.members.get_mut(id.0).and_then(|member| member.machine.poll_action()) {
                self.take(id, now, action);
            }
            from = RouterId(id.0 + 1);
        }
        self.notify_groups();
    }

    fn take(&mut self, id: RouterId, now: Instant, action: Action) {
        let Some(member) = self.members.get(id.0) else { return };
        let (priority, retired) = (member.machine.priority(), member.retired);
        self.acts.push_back(Act::Router(id, action.clone()));
        match action {
            Action::Changed(state) if !retired => {
                self.acts.push_back(Act::Notify(Subject::Router(id, priority), Occasion::State(state)));
                self.propagate(id, now, state);
            }
            Action::Note(Note::PriorityChanged { to, master, .. }) => {
                self.acts.push_back(Act::Notify(Subject::Router(id, to), Occasion::Priority { master }));
            }
            Action::HeardLower => {
                self.acts.push_back(Act::Notify(Subject::Router(id, priority), Occasion::HeardLower));
                for peer in self.group_peers(id) {
                    self.send(peer, now, Event::GroupHeardLower);
                }
            }
            Action::Ready => {
                let ready = |peer: &RouterId| self.router(*peer).is_some_and(Router::is_ready);
                if group::elects(self.group_peers(id).iter().map(ready)) {
                    self.send(id, now, Event::Follow(StateKind::Master));
                }
            }
            _ => {}
        }
    }

    /// The other members of a router's group follow it.
    fn propagate(&mut self, id: RouterId, now: Instant, state: StateKind) {
        let Some(group) = self.members.get(id.0).and_then(|member| member.group) else { return };
        let follows = |peer: &RouterId| {
            let machine = self.router(*peer);
            machine.is_some_and(|machine| group::follows((machine.state(), machine.has_waited()), state))
        };
        let behind: Vec<RouterId> = self.group_peers(id).into_iter().filter(follows).collect();
        if !behind.is_empty() {
            self.acts.push_back(Act::Syncing(group, state));
            for peer in behind {
                self.send(peer, now, Event::Follow(state));
            }
        }
        self.changed_groups.push((group, state));
    }

    /// Notifies of groups whose members are all in a new state; after its members, as keepalived does.
    fn notify_groups(&mut self) {
        for (group, state) in std::mem::take(&mut self.changed_groups) {
            let members = self.groups.get(group.0).into_iter().flatten();
            let states = members.filter_map(|id| self.router(*id)).map(Router::state);
            if group::state(states) == state {
                self.notify_group(group, state);
            }
        }
    }

    fn notify_group(&mut self, group: GroupId, state: StateKind) {
        if self.group_states.get_mut(group.0).is_some_and(|known| known.replace(state) != Some(state)) {
            self.acts.push_back(Act::Notify(Subject::Group(group), Occasion::State(state)));
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test starts its clock somewhere")]
mod tests;
