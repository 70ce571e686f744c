//! Two nodes on one fake clock: the machines of both configurations exchange adverts while things fail and come back.
//!
//! Nothing is computed by formula: who becomes master, and when, is what the machines of `crate::vrrp` do. Where a time
//! depends on the moment of a failure, it is tried right after an advert (or a script's run) and right before one.

use super::read::{Reading, read};
use super::site::{Instance, Script, Site, What};
use super::slot::Machine;
use super::track::script::Tally;
use crate::conf::expand::Environment;
use crate::conf::source::Loader;
use crate::vrrp::group;
use crate::vrrp::machine::{Action, Event, Router, StateKind};
use crate::vrrp::weight::{Standing, Tracked, Verdict, standing};
use crate::vrrp::wire::{self, Datagram, HOPS};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// What may happen to a node, or between the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// The machine loses power.
    Dies(usize),
    /// keepalived is told to end.
    Stops(usize),
    /// It is started, after either.
    Returns(usize),
    /// A tracked script fails from now on.
    ScriptFails(usize, String),
    /// It succeeds again.
    ScriptRecovers(usize, String),
    /// The interface goes down.
    LinkDown(usize, String),
    /// It comes up again.
    LinkUp(usize, String),
    /// The nodes no longer hear each other.
    Split,
    /// They do again.
    Heals,
}

/// What became of one instance after a mishap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The virtual router: its name on the first node that has it.
    pub instance: String,
    /// Which nodes are master before.
    pub before: Vec<usize>,
    /// Which nodes are master in the end.
    pub after: Vec<usize>,
    /// Until that is so: at best and at worst.
    pub settled: (Duration, Duration),
    /// How long nobody is master: at best and at worst.
    pub vacant: (Duration, Duration),
    /// How long more than one is, at worst.
    pub doubled: Duration,
    /// How each node's machine ends up.
    pub states: [Option<StateKind>; 2],
}

/// Two nodes.
pub struct Pair {
    sites: [Site; 2],
    /// What keepalived complains of, node by node.
    pub complaints: [Vec<String>; 2],
}

impl Pair {
    /// Reads the configurations of two nodes; `ids` are what their @ conditions are compared with.
    ///
    /// # Errors
    /// Which file cannot be read, and what the system said.
    pub fn read(loader: &dyn Loader, paths: [&str; 2], id: &str) -> Result<Self, (String, io::Error)> {
        let machine = Machine { has_interface: &|_| true, has_user: &|_, _| true };
        let environment = Environment { id: id.to_owned(), instance: id.to_owned(), seed: 1 };
        let one = |path: &str| read(loader, path, &environment, &machine).map_err(|error| (path.to_owned(), error));
        let [a, b] = paths;
        let (a, b) = (one(a)?, one(b)?);
        let said = |reading: &Reading| reading.complaints.iter().map(|complaint| complaint.text.clone()).collect();
        Ok(Self { complaints: [said(&a), said(&b)], sites: [a.site, b.site] })
    }

    /// The tracked scripts of a node that bear on an instance.
    pub fn scripts(&self, node: usize) -> Vec<String> {
        let site = self.sites.get(node);
        let tracked = |script: &&Script| {
            let of =
                |instance: &Instance| instance.tracking.iter().any(|one| one.what == What::Script(script.name.clone()));
            site.is_some_and(|site| site.instances.iter().any(of))
        };
        site.into_iter().flat_map(|site| &site.scripts).filter(tracked).map(|script| script.name.clone()).collect()
    }

    /// The interfaces a node's instances speak on.
    pub fn interfaces(&self, node: usize) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for instance in self.sites.get(node).into_iter().flat_map(|site| &site.instances) {
            if !names.contains(&instance.interface) {
                names.push(instance.interface.clone());
            }
        }
        names
    }

    /// The configured priority of an instance on a node.
    pub fn priority(&self, node: usize, instance: &str) -> Option<u8> {
        let mut instances = self.sites.get(node).into_iter().flat_map(|site| &site.instances);
        instances.find(|one| one.name == instance).map(|one| one.router.priority)
    }

    /// What becomes of every instance when, after what was `earlier`, this happens.
    pub fn after(&self, earlier: &[Mishap], mishap: Option<&Mishap>) -> Vec<Outcome> {
        let one = |when: When| {
            let mut lab = Lab::new(&self.sites);
            let calm = lab.calm();
            earlier.iter().for_each(|mishap| {
                lab.run_until(lab.now + calm);
                lab.befall(mishap);
            });
            lab.told(mishap, when, calm)
        };
        let (late, soon) = (one(When::AfterAdvert), one(When::BeforeAdvert));
        let join = |(worst, best): (Outcome, Outcome)| Outcome {
            settled: (best.settled.0.min(worst.settled.0), best.settled.1.max(worst.settled.1)),
            vacant: (best.vacant.0.min(worst.vacant.0), best.vacant.1.max(worst.vacant.1)),
            doubled: best.doubled.max(worst.doubled),
            ..worst
        };
        late.into_iter().zip(soon).map(join).collect()
    }
}

/// The moment of a mishap.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// Right after an advert, or a run of the script.
    AfterAdvert,
    /// Right before one.
    BeforeAdvert,
}

/// No time at all, as clocks go.
const MOMENT: Duration = Duration::from_micros(1);
/// Things that happen at most in a run; more would never end.
const MOST: usize = 2_000_000;

struct Seat<'a> {
    instance: &'a Instance,
    router: Router,
    source: IpAddr,
    standing: Option<Standing>,
}

struct Running<'a> {
    script: &'a Script,
    tally: Tally,
    next: Instant,
    good: bool,
}

struct Node<'a> {
    site: &'a Site,
    alive: bool,
    seats: Vec<Seat<'a>>,
    scripts: Vec<Running<'a>>,
    down: Vec<String>,
    /// `vrrp_startup_delay`.
    held_until: Instant,
}

struct Lab<'a> {
    now: Instant,
    nodes: [Node<'a>; 2],
    split: bool,
    /// Every change of who is master: when, and the masters of each router.
    history: Vec<(Instant, Vec<Vec<usize>>)>,
    /// The routers: number and family, and a name.
    routers: Vec<((u8, bool), String)>,
}

impl<'a> Lab<'a> {
    fn new(sites: &'a [Site; 2]) -> Self {
        let now = Instant::now();
        let mut routers: Vec<((u8, bool), String)> = Vec::new();
        for instance in sites.iter().flat_map(|site| &site.instances) {
            let key = (instance.router.vrid, instance.router.is_ipv6());
            if !routers.iter().any(|(known, _)| *known == key) {
                routers.push((key, instance.name.clone()));
            }
        }
        let [a, b] = sites;
        let nodes = [Node::new(a, b, 1, now), Node::new(b, a, 2, now)];
        let mut lab = Self { now, nodes, split: false, history: Vec::new(), routers };
        lab.settle();
        lab
    }

    /// Longer than anything takes to settle.
    fn calm(&self) -> Duration {
        let seats = || self.nodes.iter().flat_map(|node| &node.seats);
        let routers = seats().map(|seat| seat.router.master_down() * 5 + seat.instance.router.preempt_delay).max();
        let scripts = self.nodes.iter().flat_map(|node| &node.scripts);
        let scripts = scripts.map(|one| one.script.interval * (one.script.rise + one.script.fall + 2)).max();
        let held = self.nodes.iter().filter_map(|node| node.site.global.startup_delay).max();
        let sum = routers.unwrap_or_default() + scripts.unwrap_or_default() + held.unwrap_or_default();
        sum + Duration::from_secs(10)
    }

    /// Lets a mishap happen (or only the start), and measures what comes of it.
    fn told(mut self, mishap: Option<&Mishap>, when: When, calm: Duration) -> Vec<Outcome> {
        let from = match mishap {
            None => self.now,
            Some(mishap) => {
                self.run_until(self.now + calm);
                self.wait_for(mishap, when);
                self.now
            }
        };
        let before = self.masters();
        self.history = vec![(from, before.clone())];
        if let Some(mishap) = mishap {
            self.befall(mishap);
        }
        self.run_until(from + calm);
        let end = self.now;
        let last = self.masters();
        let routers = self.routers.clone();
        let one = |at: usize| {
            let of = |all: &[Vec<usize>]| all.get(at).cloned().unwrap_or_default();
            let after = of(&last);
            let mut outcome = Outcome {
                instance: routers.get(at).map(|(_, name)| name.clone()).unwrap_or_default(),
                before: of(&before),
                after,
                settled: Default::default(),
                vacant: Default::default(),
                doubled: Duration::ZERO,
                states: [0, 1].map(|node| self.state(node, at)),
            };
            let mut settled = Duration::ZERO;
            let mut vacant = Duration::ZERO;
            let mut held = of(&before);
            for (index, (since, all)) in self.history.iter().enumerate() {
                let until = self.history.get(index + 1).map_or(end, |(next, _)| *next);
                let now = of(all);
                if now != held {
                    settled = since.saturating_duration_since(from);
                    held.clone_from(&now);
                }
                let length = until.saturating_duration_since(*since);
                match now.len() {
                    0 => vacant += length,
                    1 => {}
                    _ => outcome.doubled += length,
                }
            }
            outcome.settled = (settled, settled);
            outcome.vacant = (vacant, vacant);
            outcome
        };
        (0..self.routers.len()).map(one).collect()
    }

    /// Goes on until the moment a mishap is worst, or best.
    fn wait_for(&mut self, mishap: &Mishap, when: When) {
        let due = match mishap {
            Mishap::ScriptFails(node, name) | Mishap::ScriptRecovers(node, name) => {
                let scripts = self.nodes.get(*node).map(|node| &node.scripts);
                scripts.into_iter().flatten().find(|one| one.script.name == *name).map(|one| one.next)
            }
            Mishap::Dies(node) | Mishap::Stops(node) | Mishap::LinkDown(node, _) => self.next_advert(*node),
            Mishap::Split => self.next_advert(0).or_else(|| self.next_advert(1)),
            Mishap::Returns(_) | Mishap::LinkUp(..) | Mishap::Heals => None,
        };
        let Some(due) = due else { return };
        match when {
            When::AfterAdvert => {
                self.run_until(due);
                self.run_until(due + MOMENT);
            }
            When::BeforeAdvert => self.run_until(due.checked_sub(MOMENT).unwrap_or(due)),
        }
    }

    /// When a node that is master of something sends its next advert.
    fn next_advert(&self, node: usize) -> Option<Instant> {
        let seats = self.nodes.get(node).into_iter().flat_map(|node| &node.seats);
        seats
            .filter(|seat| seat.router.state() == StateKind::Master)
            .filter_map(|seat| seat.router.poll_timeout())
            .min()
    }

    fn befall(&mut self, mishap: &Mishap) {
        let now = self.now;
        let fails = |nodes: &mut [Node<'a>; 2], at: usize, name: &str, good: bool| {
            let scripts = nodes.get_mut(at).map(|node| &mut node.scripts);
            scripts.into_iter().flatten().filter(|one| one.script.name == name).for_each(|one| one.good = good);
        };
        match mishap {
            Mishap::Dies(at) => self.nodes.get_mut(*at).into_iter().for_each(|node| node.alive = false),
            Mishap::Stops(at) => {
                let count = self.nodes.get(*at).map_or(0, |node| node.seats.len());
                (0..count).for_each(|seat| self.send(*at, seat, Event::Stop));
                self.act();
                self.nodes.get_mut(*at).into_iter().for_each(|node| node.alive = false);
            }
            Mishap::Returns(at) => {
                let number = if *at == 0 { 1 } else { 2 };
                let other = self.nodes.get(1 - at.min(&1)).map(|node| node.site);
                if let (Some(node), Some(other)) = (self.nodes.get_mut(*at), other) {
                    *node = Node::new(node.site, other, number, now);
                }
            }
            Mishap::ScriptFails(at, name) => fails(&mut self.nodes, *at, name, false),
            Mishap::ScriptRecovers(at, name) => fails(&mut self.nodes, *at, name, true),
            Mishap::LinkDown(at, name) => {
                self.nodes.get_mut(*at).into_iter().for_each(|node| node.down.push(name.clone()))
            }
            Mishap::LinkUp(at, name) => {
                self.nodes.get_mut(*at).into_iter().for_each(|node| node.down.retain(|down| down != name));
            }
            Mishap::Split => self.split = true,
            Mishap::Heals => self.split = false,
        }
        self.settle();
    }

    fn run_until(&mut self, until: Instant) {
        for _ in 0..MOST {
            let due = self.nodes.iter().filter(|node| node.alive).filter_map(Node::due).min();
            let Some(due) = due.filter(|due| *due <= until) else { break };
            self.now = self.now.max(due);
            for at in 0..self.nodes.len() {
                self.turn(at);
            }
            self.settle();
        }
        self.now = self.now.max(until);
    }

    /// Does what is due on a node: scripts first, as their results bear on the machines.
    fn turn(&mut self, at: usize) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(at).filter(|node| node.alive) else { return };
        for one in node.scripts.iter_mut().filter(|one| one.next <= now) {
            one.next += one.script.interval.max(MOMENT);
            one.tally.add(one.good, (one.script.rise, one.script.fall));
        }
        for seat in &mut node.seats {
            if seat.router.poll_timeout().is_some_and(|due| due <= now) {
                seat.router.handle_timeout(now);
            }
        }
    }

    /// Tells every machine where it stands, lets all act, and notes who is master.
    fn settle(&mut self) {
        for at in 0..self.nodes.len() {
            let standings = match self.nodes.get(at) {
                Some(node) if node.alive && node.held_until <= self.now => node.standings(),
                _ => continue,
            };
            for (seat, standing) in standings.into_iter().enumerate() {
                let known = self.nodes.get_mut(at).and_then(|node| node.seats.get_mut(seat));
                if known.is_some_and(|known| known.standing.replace(standing) != Some(standing)) {
                    self.send(at, seat, Event::Standing(standing));
                }
            }
        }
        self.act();
        let masters = self.masters();
        if self.history.last().is_none_or(|(_, last)| *last != masters) {
            self.history.push((self.now, masters));
        }
    }

    fn send(&mut self, at: usize, seat: usize, event: Event) {
        let now = self.now;
        if let Some(seat) = self.nodes.get_mut(at).and_then(|node| node.seats.get_mut(seat)) {
            seat.router.handle(now, event);
        }
    }

    fn act(&mut self) {
        for _ in 0..MOST {
            let mut idle = true;
            for at in 0..self.nodes.len() {
                let count = self.nodes.get(at).map_or(0, |node| node.seats.len());
                for seat in 0..count {
                    let of = |lab: &mut Self| lab.nodes.get_mut(at)?.seats.get_mut(seat)?.router.poll_action();
                    while let Some(action) = of(self) {
                        idle = false;
                        match action {
                            Action::Advertise(priority) => self.advertise(at, seat, priority),
                            Action::Changed(state) => self.pull(at, seat, state),
                            Action::Ready => self.elect(at, seat),
                            _ => {}
                        }
                    }
                }
            }
            if idle {
                return;
            }
        }
    }

    /// An advert reaches the other node, if both are there to send and to hear it.
    fn advertise(&mut self, at: usize, seat: usize, priority: u8) {
        let other = 1 - at.min(1);
        let Some(sender) = self.nodes.get(at).filter(|node| node.alive) else { return };
        let Some(from) = sender.seats.get(seat).filter(|from| sender.hears(from.instance)) else { return };
        let key = (from.instance.router.vrid, from.instance.router.is_ipv6());
        let peers =
            from.instance.router.peers.iter().map(|peer| (peer.address, from.instance.unicast_ttl.unwrap_or(HOPS)));
        let destinations: Vec<(IpAddr, u8)> =
            from.instance.group.map(|group| (group, HOPS)).into_iter().chain(peers).collect();
        let (config, source, group) = (&from.instance.router, from.source, from.instance.group);
        let mut heard = Vec::new();
        let Some(receiver) = self.nodes.get(other).filter(|node| node.alive && !self.split) else { return };
        for (destination, hops) in destinations {
            for (index, to) in receiver.seats.iter().enumerate() {
                let same = (to.instance.router.vrid, to.instance.router.is_ipv6()) == key;
                let reaches =
                    if group == Some(destination) { to.instance.group == group } else { to.source == destination };
                if same && reaches && receiver.hears(to.instance) {
                    let payload = wire::emit(config, priority, source, destination);
                    heard.push((
                        index,
                        Datagram { source, destination: Some(destination), hops, header: wire::IPV4_HEADER, payload },
                    ));
                }
            }
        }
        heard.into_iter().for_each(|(index, datagram)| self.send(other, index, Event::Received(datagram)));
    }

    /// The other members of its group.
    fn companions(&self, at: usize, seat: usize) -> Vec<usize> {
        let Some(node) = self.nodes.get(at) else { return Vec::new() };
        let Some(name) = node.seats.get(seat).map(|seat| &seat.instance.name) else { return Vec::new() };
        let Some(group) = node.site.groups.iter().find(|group| group.members.contains(name)) else { return Vec::new() };
        let member = |other: &(usize, &Seat<'_>)| other.0 != seat && group.members.contains(&other.1.instance.name);
        node.seats.iter().enumerate().filter(member).map(|(index, _)| index).collect()
    }

    fn router(&self, at: usize, seat: usize) -> Option<&Router> {
        self.nodes.get(at)?.seats.get(seat).map(|seat| &seat.router)
    }

    /// An instance whose master is dead becomes master, if its group lets it.
    fn elect(&mut self, at: usize, seat: usize) {
        let others = self.companions(at, seat);
        if group::elects(others.into_iter().map(|other| self.router(at, other).is_some_and(Router::is_ready))) {
            self.send(at, seat, Event::Follow(StateKind::Master));
        }
    }

    /// The other members of its group follow an instance.
    fn pull(&mut self, at: usize, seat: usize, state: StateKind) {
        for other in self.companions(at, seat) {
            let own = self.router(at, other).map(|router| (router.state(), router.has_waited()));
            if own.is_some_and(|own| group::follows(own, state)) {
                self.send(at, other, Event::Follow(state));
            }
        }
    }

    /// The masters of each router.
    fn masters(&self) -> Vec<Vec<usize>> {
        let master = |node: usize, at: usize| self.state(node, at) == Some(StateKind::Master);
        (0..self.routers.len()).map(|at| [0, 1].into_iter().filter(|node| master(*node, at)).collect()).collect()
    }

    /// How a node's machine for a router is; nothing where there is none, or the node is gone.
    fn state(&self, node: usize, at: usize) -> Option<StateKind> {
        let (key, _) = self.routers.get(at)?;
        let node = self.nodes.get(node).filter(|node| node.alive)?;
        let of = |seat: &&Seat<'_>| (seat.instance.router.vrid, seat.instance.router.is_ipv6()) == *key;
        node.seats.iter().find(of).map(|seat| seat.router.state())
    }
}

impl<'a> Node<'a> {
    fn new(site: &'a Site, other: &Site, number: u8, now: Instant) -> Self {
        let seats = site.instances.iter().map(|instance| {
            let source = source(instance, other, number);
            Seat { instance, router: Router::new(instance.router.clone(), Some(source)), source, standing: None }
        });
        let scripts =
            site.scripts.iter().map(|script| Running { script, tally: Tally::default(), next: now, good: true });
        let held_until = now + site.global.startup_delay.unwrap_or_default();
        Self { site, alive: true, seats: seats.collect(), scripts: scripts.collect(), down: Vec::new(), held_until }
    }

    fn due(&self) -> Option<Instant> {
        let machines = self.seats.iter().filter_map(|seat| seat.router.poll_timeout());
        let waits = self.seats.iter().any(|seat| seat.standing.is_none()).then_some(self.held_until);
        machines.chain(self.scripts.iter().map(|one| one.next)).chain(waits).min()
    }

    /// Whether adverts of an instance can come and go.
    fn hears(&self, instance: &Instance) -> bool {
        !self.down.contains(&instance.interface)
    }

    fn standings(&self) -> Vec<Standing> {
        let tracked = |what: &What| match what {
            What::Interface(name) => {
                if self.down.contains(name) {
                    Verdict::Bad
                } else {
                    Verdict::Good
                }
            }
            What::Script(name) => {
                let found = self.scripts.iter().find(|one| one.script.name == *name);
                found.map_or(Verdict::Bad, |one| one.tally.verdict())
            }
            // A file holds nothing that changes anything.
            What::File(_) => Verdict::Good,
        };
        let of = |seat: &Seat<'_>| {
            let all = seat.instance.tracking.iter().map(|one| match one.what {
                What::File(_) => Tracked { weight: 0, reverse: false, verdict: Verdict::Good },
                _ => Tracked { weight: one.weight, reverse: one.reverse, verdict: tracked(&one.what) },
            });
            standing(seat.instance.router.priority, all)
        };
        let mut standings: Vec<Standing> = self.seats.iter().map(of).collect();
        for group in &self.site.groups {
            let member: Vec<bool> = self.seats.iter().map(|seat| group.members.contains(&seat.instance.name)).collect();
            let of = || standings.iter().zip(&member).filter(|(_, member)| **member).map(|(standing, _)| *standing);
            let (fault, waiting) = (group::held(of().map(|one| one.fault)), of().any(|one| one.waiting));
            for (standing, _) in standings.iter_mut().zip(&member).filter(|(_, member)| **member) {
                (standing.fault, standing.waiting) = (fault, waiting);
            }
        }
        standings
    }
}

/// The address an instance's adverts come from: the configured one, the one the other node expects, or one made up of
/// which the second node's is the higher.
fn source(instance: &Instance, other: &Site, number: u8) -> IpAddr {
    let (vrid, ipv6) = (instance.router.vrid, instance.router.is_ipv6());
    let twin = other.instances.iter().find(|one| (one.router.vrid, one.router.is_ipv6()) == (vrid, ipv6));
    let expected = || twin.and_then(|twin| twin.router.peers.first()).map(|peer| peer.address);
    instance.source.or_else(expected).unwrap_or_else(|| match ipv6 {
        true => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(number))),
        false => IpAddr::V4(Ipv4Addr::new(192, 0, 2, number)),
    })
}

#[cfg(test)]
mod tests;
