//! Two nodes on one fake clock: the machines of both configurations exchange adverts while things fail and come back.
//!
//! Nothing is computed by formula: who becomes master, and when, is what the machines of `crate::vrrp` do. Where a time
//! depends on the moment of a failure, it is tried right after an advert (or a script's run) and right before one.

use super::blocks::daemon::INCLUDE_CHECK;
use super::blocks::probe::MARK;
use super::read::{self, read};
use super::site::{Instance, Script, Site, What};
use super::slot::Machine;
use super::track::script::Tally;
use crate::conf::expand::Environment;
use crate::conf::source::Loader;
use crate::vrrp::machine::{Router, StateKind};
use crate::vrrp::network::{Attachment, Network};
use crate::vrrp::node::{Fact, Node, NodeConfig, Reading, RouterId, Socket, ThingId};
use crate::vrrp::wire::HOPS;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// What may happen to a node, or between the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
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

/// What became of one instance after a failure.
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
        let machine = Machine { has_interface: &|_| true, has_user: &|_, _| true, read_secret: &|_| None };
        let environment = Environment {
            id: id.to_owned(),
            instance: id.to_owned(),
            seed: 1,
            checks: Some(INCLUDE_CHECK),
            mark: Some(MARK),
        };
        let one = |path: &str| read(loader, path, &environment, &machine).map_err(|error| (path.to_owned(), error));
        let [a, b] = paths;
        let (a, b) = (one(a)?, one(b)?);
        let said =
            |reading: &read::Reading| reading.complaints.iter().map(|complaint| complaint.text.clone()).collect();
        Ok(Self { complaints: [said(&a), said(&b)], sites: [a.site, b.site] })
    }

    /// The tracked scripts of a node that bear on an instance.
    pub fn scripts(&self, node: usize) -> Vec<String> {
        let site = self.sites.get(node);
        let tracked = |script: &&Script| {
            let of =
                |instance: &Instance| instance.tracking.iter().any(|one| one.what == What::Script(script.name.clone()));
            site.is_some_and(|site| site.instances.iter().any(|instance| of(instance)))
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
    pub fn after(&self, earlier: &[Failure], failure: Option<&Failure>) -> Vec<Outcome> {
        let one = |when: When| {
            let mut lab = Lab::new(&self.sites);
            let settle_time = lab.settle_time();
            earlier.iter().for_each(|failure| {
                lab.run_until(lab.network.now() + settle_time);
                lab.apply(failure);
            });
            lab.measure(failure, when, settle_time)
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

/// The moment of a failure.
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

struct Running<'a> {
    script: &'a Script,
    tally: Tally,
    next: Instant,
    good: bool,
}

/// A node as the laboratory knows it; its routers are in the network.
struct Side<'a> {
    site: &'a Site,
    config: NodeConfig,
    /// What the node tracks, by number.
    things: Vec<What>,
    scripts: Vec<Running<'a>>,
}

struct Lab<'a> {
    network: Network,
    sides: [Side<'a>; 2],
    /// Every change of who is master: when, and the masters of each router.
    history: Vec<(Instant, Vec<Vec<usize>>)>,
    /// The routers: number and family, and a name.
    routers: Vec<((u8, bool), String)>,
}

impl<'a> Lab<'a> {
    fn new(sites: &'a [Site; 2]) -> Self {
        let mut routers: Vec<((u8, bool), String)> = Vec::new();
        for instance in sites.iter().flat_map(|site| &site.instances) {
            let key = (instance.router.vrid, instance.router.is_ipv6());
            if !routers.iter().any(|(known, _)| *known == key) {
                routers.push((key, instance.name.clone()));
            }
        }
        let [a, b] = sites;
        let network = Network::new(Instant::now(), 1);
        let mut lab = Self { network, sides: [Side::new(a), Side::new(b)], history: Vec::new(), routers };
        for (at, other) in [b, a].into_iter().enumerate() {
            let Some(side) = lab.sides.get(at) else { continue };
            let attachments = side.site.instances.iter().map(|instance| attachment(instance, other, at as u8 + 1));
            lab.network.add(side.config.clone(), attachments.collect(), lab.held_until(side));
            lab.begin(at);
        }
        lab.note_masters();
        lab
    }

    /// `vrrp_startup_delay`.
    fn held_until(&self, side: &Side<'_>) -> Option<Instant> {
        side.site.global.startup_delay.map(|delay| self.network.now() + delay)
    }

    /// Tells a node that has just started what its surroundings are like: everything is well.
    fn begin(&mut self, at: usize) {
        let now = self.network.now();
        let Some(side) = self.sides.get_mut(at) else { return };
        side.scripts = side
            .site
            .scripts
            .iter()
            .map(|script| Running { script, tally: Tally::default(), next: now, good: true })
            .collect();
        for router in (0..side.config.routers.len()).map(RouterId) {
            self.network.tell(at, Fact::Socket(router, Socket::Open));
        }
        for (thing, what) in side.things.iter().enumerate() {
            let reading = match what {
                What::Interface(_) | What::Process(_) | What::Session(_) => Reading::Good,
                What::Script(_) => Reading::Unknown,
                // A file holds nothing that changes anything.
                What::File(_) => Reading::Unused,
            };
            self.network.tell(at, Fact::Reading(ThingId(thing), reading));
        }
        self.network.settle(at);
    }

    /// Longer than anything takes to settle.
    fn settle_time(&self) -> Duration {
        let node = |at| self.network.node(at).into_iter().flat_map(Node::routers);
        let down = [0, 1].into_iter().flat_map(node).map(|(_, router)| router.master_down() * 5).max();
        let instances = self.sides.iter().flat_map(|side| &side.site.instances);
        let delay = instances.map(|instance| instance.router.preempt_delay).max();
        let scripts = self.sides.iter().flat_map(|side| &side.site.scripts);
        let scripts = scripts.map(|script| script.interval * (script.rise + script.fall + 2)).max();
        let held = self.sides.iter().filter_map(|side| side.site.global.startup_delay).max();
        [down, delay, scripts, held].into_iter().flatten().sum::<Duration>() + Duration::from_secs(10)
    }

    /// Lets a failure happen (or only the start), and measures what comes of it.
    fn measure(mut self, failure: Option<&Failure>, when: When, settle_time: Duration) -> Vec<Outcome> {
        let from = match failure {
            None => self.network.now(),
            Some(failure) => {
                self.run_until(self.network.now() + settle_time);
                self.wait_for(failure, when);
                self.network.now()
            }
        };
        let before = self.masters();
        self.history = vec![(from, before.clone())];
        if let Some(failure) = failure {
            self.apply(failure);
        }
        self.run_until(from + settle_time);
        let end = self.network.now();
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

    /// Goes on until the moment a failure is worst, or best.
    fn wait_for(&mut self, failure: &Failure, when: When) {
        let due = match failure {
            Failure::ScriptFails(node, name) | Failure::ScriptRecovers(node, name) => {
                let scripts = self.sides.get(*node).map(|side| &side.scripts);
                scripts.into_iter().flatten().find(|one| one.script.name == *name).map(|one| one.next)
            }
            Failure::Dies(node) | Failure::Stops(node) | Failure::LinkDown(node, _) => self.next_advert(*node),
            Failure::Split => self.next_advert(0).or_else(|| self.next_advert(1)),
            Failure::Returns(_) | Failure::LinkUp(..) | Failure::Heals => None,
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
    fn next_advert(&self, at: usize) -> Option<Instant> {
        let routers = self.network.node(at).into_iter().flat_map(Node::routers).map(|(_, router)| router);
        routers.filter(|router| router.state() == StateKind::Master).filter_map(Router::poll_timeout).min()
    }

    /// Lets a failure happen, or its end.
    fn apply(&mut self, failure: &Failure) {
        match failure {
            Failure::Dies(at) => self.network.kill(*at),
            Failure::Stops(at) => self.network.stop(*at),
            Failure::Returns(at) => {
                if let Some(side) = self.sides.get(*at) {
                    let held = self.held_until(side);
                    self.network.restart(*at, side.config.clone(), held);
                    self.begin(*at);
                }
            }
            Failure::ScriptFails(at, name) => self.set_script(*at, name, false),
            Failure::ScriptRecovers(at, name) => self.set_script(*at, name, true),
            Failure::LinkDown(at, name) => self.set_link(*at, name, false),
            Failure::LinkUp(at, name) => self.set_link(*at, name, true),
            Failure::Split => self.network.set_part(1, 1),
            Failure::Heals => self.network.set_part(1, 0),
        }
        self.note_masters();
    }

    fn set_script(&mut self, at: usize, name: &str, good: bool) {
        let scripts = self.sides.get_mut(at).into_iter().flat_map(|side| &mut side.scripts);
        scripts.filter(|one| one.script.name == name).for_each(|one| one.good = good);
    }

    fn set_link(&mut self, at: usize, name: &str, up: bool) {
        let Some(side) = self.sides.get(at) else { return };
        for (router, instance) in side.site.instances.iter().enumerate() {
            if instance.interface == name {
                self.network.set_cut(at, RouterId(router), !up);
            }
        }
        if let Some(thing) = side.things.iter().position(|what| *what == What::Interface(name.to_owned())) {
            let reading = if up { Reading::Good } else { Reading::Bad };
            self.network.tell(at, Fact::Reading(ThingId(thing), reading));
        }
        self.network.settle(at);
    }

    fn run_until(&mut self, until: Instant) {
        for _ in 0..MOST {
            let alive = self.sides.iter().enumerate().filter(|(at, _)| self.network.is_alive(*at));
            let scripts = alive.flat_map(|(_, side)| side.scripts.iter().map(|one| one.next));
            let Some(due) = scripts.chain(self.network.poll_timeout()).min().filter(|due| *due <= until) else { break };
            let due = due.max(self.network.now());
            // Scripts first: their results change the priorities of the routers.
            (0..self.sides.len()).for_each(|at| self.run_scripts(at, due));
            self.network.step(due);
            self.note_masters();
        }
        self.network.step(until.max(self.network.now()));
        self.note_masters();
    }

    /// Runs the scripts of a node that are due.
    fn run_scripts(&mut self, at: usize, now: Instant) {
        let Some(side) = self.sides.get_mut(at).filter(|_| self.network.is_alive(at)) else { return };
        let mut told = false;
        for one in side.scripts.iter_mut().filter(|one| one.next <= now) {
            one.next += one.script.interval.max(MOMENT);
            if one.tally.add(one.good, (one.script.rise, one.script.fall)) {
                let what = What::Script(one.script.name.clone());
                if let Some(thing) = side.things.iter().position(|known| *known == what) {
                    self.network.tell(at, Fact::Reading(ThingId(thing), one.tally.reading()));
                    told = true;
                }
            }
        }
        if told {
            self.network.advance(now);
            self.network.settle(at);
        }
    }

    fn note_masters(&mut self) {
        let masters = self.masters();
        if self.history.last().is_none_or(|(_, last)| *last != masters) {
            self.history.push((self.network.now(), masters));
        }
    }

    /// The masters of each router.
    fn masters(&self) -> Vec<Vec<usize>> {
        let master = |node: usize, at: usize| self.state(node, at) == Some(StateKind::Master);
        (0..self.routers.len()).map(|at| [0, 1].into_iter().filter(|node| master(*node, at)).collect()).collect()
    }

    /// The state of a node's router; nothing where there is none, or the node is gone.
    fn state(&self, node: usize, at: usize) -> Option<StateKind> {
        let (key, _) = self.routers.get(at)?;
        let of = |instance: &Instance| (instance.router.vrid, instance.router.is_ipv6()) == *key;
        let router = self.sides.get(node)?.site.instances.iter().position(|instance| of(instance))?;
        self.network.state(node, RouterId(router))
    }
}

impl<'a> Side<'a> {
    fn new(site: &'a Site) -> Self {
        let (config, things) = site.node();
        Self { site, config, things, scripts: Vec::new() }
    }
}

/// How an instance speaks on the node of this number.
fn attachment(instance: &Instance, other: &Site, number: u8) -> Attachment {
    let hops = if instance.group.is_some() { HOPS } else { instance.unicast_ttl.unwrap_or(HOPS) };
    Attachment { source: source(instance, other, number), group: instance.group, hops }
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
