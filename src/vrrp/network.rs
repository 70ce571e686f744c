//! Several nodes on one fake clock: their adverts travel with delay, get lost, and do not cross partitions.
//!
//! The same seed gives the same run. No clock, socket or thread is used.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::machine::{Action, StateKind};
use super::node::{Act, Fact, Node, NodeConfig, RouterId};
use super::wire::hmac;
use super::wire::{self, Datagram, Numbers};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Numbers that look random and are the same for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, or 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next().checked_rem(limit).unwrap_or_default()
    }
}

/// Where a router's adverts come from and go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The address its adverts carry.
    pub source: IpAddr,
    /// The group they are sent to; none for unicast, to the peers.
    pub group: Option<IpAddr>,
    /// The TTL of its adverts.
    pub hops: u8,
}

/// A router of a host: how it is attached, and what it holds.
#[derive(Clone, Debug)]
struct Port {
    attachment: Attachment,
    /// Its link is down: no advert is sent or received.
    cut: bool,
    /// Its addresses are on their interfaces.
    holds: bool,
}

/// A host and its node.
#[derive(Debug)]
struct Host {
    node: Node,
    ports: Vec<Port>,
    alive: bool,
    /// Hosts of different parts do not hear each other.
    part: usize,
}

/// An advert on its way.
#[derive(Debug)]
struct Transit {
    host: usize,
    router: RouterId,
    datagram: Datagram,
}

/// How adverts travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Adverts that get lost, of a thousand.
    pub loss: u64,
    /// The longest time one takes.
    pub delay: Duration,
}

/// Hosts and what is between them.
#[derive(Debug)]
pub struct Network {
    start: Instant,
    now: Instant,
    hosts: Vec<Host>,
    conditions: Conditions,
    transit: BTreeMap<(Instant, u64), Transit>,
    sent: u64,
    random: Random,
}

impl Network {
    /// A network without hosts.
    pub const fn new(now: Instant, seed: u64) -> Self {
        let conditions = Conditions { loss: 0, delay: Duration::ZERO };
        Self {
            start: now,
            now,
            hosts: Vec::new(),
            conditions,
            transit: BTreeMap::new(),
            sent: 0,
            random: Random::new(seed),
        }
    }

    /// Adds a host that starts now; its routers know their addresses, and nothing else yet.
    pub fn add(&mut self, config: NodeConfig, attachments: Vec<Attachment>, held_until: Option<Instant>) -> usize {
        self.hosts.push(Host { node: Node::new(config, held_until), ports: Vec::new(), alive: true, part: 0 });
        let host = self.hosts.len() - 1;
        self.attach(host, attachments);
        host
    }

    /// Starts a host anew, in the part it was in.
    pub fn restart(&mut self, host: usize, config: NodeConfig, held_until: Option<Instant>) {
        let Some(known) = self.hosts.get_mut(host) else { return };
        let attachments = known.ports.iter().map(|port| port.attachment.clone()).collect();
        (known.node, known.alive) = (Node::new(config, held_until), true);
        self.attach(host, attachments);
    }

    fn attach(&mut self, host: usize, attachments: Vec<Attachment>) {
        let now = self.now;
        let Some(known) = self.hosts.get_mut(host) else { return };
        for (at, attachment) in attachments.iter().enumerate() {
            known.node.tell(now, Fact::Source(RouterId(at), Some(attachment.source)));
        }
        let port = |attachment| Port { attachment, cut: false, holds: false };
        known.ports = attachments.into_iter().map(port).collect();
    }

    /// The time.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Puts a host into a part of the network.
    pub fn set_part(&mut self, host: usize, part: usize) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.part = part;
        }
    }

    /// Takes the link of a router down or up.
    pub fn set_cut(&mut self, host: usize, router: RouterId, cut: bool) {
        if let Some(port) = self.hosts.get_mut(host).and_then(|host| host.ports.get_mut(router.0)) {
            port.cut = cut;
        }
    }

    /// The host stops at once.
    pub fn kill(&mut self, host: usize) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.alive = false;
            host.ports.iter_mut().for_each(|port| port.holds = false);
        }
    }

    /// The daemon is told to end.
    pub fn stop(&mut self, host: usize) {
        let now = self.now;
        if let Some(known) = self.hosts.get_mut(host).filter(|host| host.alive) {
            known.node.stop(now);
            self.perform(host);
            self.kill(host);
        }
    }

    /// Whether a host is running.
    pub fn is_alive(&self, host: usize) -> bool {
        self.hosts.get(host).is_some_and(|host| host.alive)
    }

    /// The node of a host.
    pub fn node(&self, host: usize) -> Option<&Node> {
        self.hosts.get(host).map(|host| &host.node)
    }

    /// The state of a router; nothing of a host that is not running.
    pub fn state(&self, host: usize, router: RouterId) -> Option<StateKind> {
        let host = self.hosts.get(host).filter(|host| host.alive)?;
        host.node.router(router).map(|router| router.state())
    }

    /// Tells the node of a host something that counts from the next [`Network::settle`] on.
    pub fn tell(&mut self, host: usize, fact: Fact) {
        let now = self.now;
        if let Some(host) = self.hosts.get_mut(host).filter(|host| host.alive) {
            host.node.tell(now, fact);
        }
    }

    /// Lets the node of a host apply what it was told.
    pub fn settle(&mut self, host: usize) {
        let now = self.now;
        if let Some(known) = self.hosts.get_mut(host).filter(|host| host.alive) {
            known.node.settle(now);
            self.perform(host);
        }
    }

    /// Lets time pass in which nothing happens.
    pub fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// When something happens next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let nodes = self.hosts.iter().filter(|host| host.alive).filter_map(|host| host.node.poll_timeout());
        nodes.chain(self.transit.keys().next().map(|(at, _)| *at)).min()
    }

    /// Lets time pass up to `until`, not beyond the next thing that happens; whether something did.
    pub fn step(&mut self, until: Instant) -> bool {
        let Some(due) = self.poll_timeout().filter(|due| *due <= until) else {
            self.now = self.now.max(until);
            return false;
        };
        self.now = self.now.max(due);
        let now = self.now;
        while let Some(first) = self.transit.first_entry().filter(|first| first.key().0 <= now) {
            let Transit { host, router, datagram } = first.remove();
            self.tell(host, Fact::Heard(router, datagram));
            self.perform(host);
        }
        for at in 0..self.hosts.len() {
            let Some(host) = self.hosts.get_mut(at).filter(|host| host.alive) else { continue };
            if host.node.poll_timeout().is_some_and(|due| due <= now) {
                host.node.settle(now);
                host.node.handle_timeout(now);
                self.perform(at);
            }
        }
        true
    }

    fn perform(&mut self, host: usize) {
        while let Some(act) = self.hosts.get_mut(host).and_then(|host| host.node.poll_act()) {
            let Act::Router(router, action) = act else { continue };
            match action {
                Action::Advertise(priority, sequence) => self.advertise(host, router, (priority, sequence)),
                Action::Hold | Action::Release => {
                    let port = self.hosts.get_mut(host).and_then(|host| host.ports.get_mut(router.0));
                    if let Some(port) = port {
                        port.holds = action == Action::Hold;
                    }
                }
                _ => {}
            }
        }
    }

    /// Sends an advert to every router that would hear it, unless it gets lost.
    fn advertise(&mut self, at: usize, router: RouterId, (priority, sequence): (u8, u32)) {
        let Some(sender) = self.hosts.get(at) else { return };
        let Some(port) = sender.ports.get(router.0).filter(|port| !port.cut) else { return };
        let Some(config) = sender.node.config(router).map(|config| &config.machine) else { return };
        let Attachment { source, group, hops } = port.attachment;
        let clock = hmac::clock(self.now.saturating_duration_since(self.start));
        // As a sender counts on within one reading of its clock.
        let numbers = Numbers { ah: sequence, hmac: clock | self.sent & 0xffff };
        let destinations: Vec<IpAddr> = group.into_iter().chain(config.peers.iter().map(|peer| peer.address)).collect();
        let mut heard = Vec::new();
        for destination in destinations {
            // One packet for all that hear it.
            let mut sent = None;
            for (other, host) in self.hosts.iter().enumerate() {
                if other == at || !host.alive || host.part != sender.part {
                    continue;
                }
                for (place, port) in host.ports.iter().enumerate().filter(|(_, port)| !port.cut) {
                    let Some(to) = host.node.config(RouterId(place)).map(|config| &config.machine) else { continue };
                    let same = (to.vrid, to.is_ipv6()) == (config.vrid, config.is_ipv6());
                    let reaches = if group == Some(destination) {
                        port.attachment.group == group
                    } else {
                        port.attachment.source == destination
                    };
                    if same && reaches {
                        let made = || wire::datagram(config, priority, (source, destination), (hops, numbers));
                        sent = sent.or_else(made);
                        let Some(datagram) = sent.clone() else { continue };
                        heard.push(Transit { host: other, router: RouterId(place), datagram });
                    }
                }
            }
        }
        for transit in heard {
            if self.random.below(1000) < self.conditions.loss {
                continue;
            }
            let most = u64::try_from(self.conditions.delay.as_micros()).unwrap_or(u64::MAX);
            let delay = Duration::from_micros(self.random.below(most.saturating_add(1)));
            self.sent += 1;
            self.transit.insert((self.now + delay, self.sent), transit);
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test starts its clock somewhere")]
mod tests;
