//! Random schedules: nodes start, die, are cut off and come back, adverts get lost and late; then it is calm, and the
//! network must have come to rest as the protocol says.

use super::*;
use crate::vrrp::config::{Config, Version};
use crate::vrrp::node::{Reading, RouterConfig, Socket, ThingId, Tracking};
use std::net::{IpAddr, Ipv4Addr};

/// Schedules of an ordinary run; RHA_SCHEDULES says otherwise.
const SCHEDULES: u64 = 4_000;
/// Intervals between adverts in which a calm network comes to rest, and in which it is then looked at.
const CALM: (u32, u32) = (60, 20);
/// More than twice the longest preempt_delay, which is none of the interval's business.
const DELAYS: Duration = Duration::from_secs(5);
/// Routers of a node.
const ROUTERS: usize = 2;

const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18));

fn source(host: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 11 + host as u8))
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Network {
    /// How adverts travel from now on.
    fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// Whether the addresses of a router are on their interfaces.
    fn holds(&self, host: usize, router: RouterId) -> bool {
        self.hosts[host].ports[router.0].holds
    }
}

/// One schedule.
struct Schedule {
    seed: u64,
    random: Random,
    network: Network,
    nodes: Vec<NodeConfig>,
    interval: Duration,
    /// Whether the routers of each host can speak, and whether what they track is well.
    well: Vec<(bool, bool)>,
    log: Vec<String>,
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let hosts = 2 + random.below(3) as usize;
        let common = Common::new(&mut random);
        let nodes: Vec<NodeConfig> = (0..hosts).map(|host| common.node(host, hosts, &mut random)).collect();
        let network = Network::new(Instant::now(), seed);
        let interval = common.interval;
        let well = vec![(true, true); hosts];
        let mut schedule = Self { seed, random, network, nodes, interval, well, log: Vec::new() };
        for host in 0..hosts {
            let node = schedule.nodes[host].clone();
            let group = common.multicast.then_some(GROUP);
            let attachment = Attachment { source: source(host), group, hops: 255 };
            schedule.network.add(node, vec![attachment; ROUTERS], None);
            schedule.begin(host);
        }
        schedule
    }

    /// Tells a node that has just started what is known.
    fn begin(&mut self, host: usize) {
        let (speaks, good) = self.well[host];
        for router in (0..ROUTERS).map(RouterId) {
            let socket = if speaks { Socket::Open } else { Socket::Missing };
            self.network.tell(host, Fact::Socket(router, socket));
        }
        self.network.tell(host, Fact::Reading(ThingId(0), if good { Reading::Good } else { Reading::Bad }));
        self.network.settle(host);
    }

    /// Something happens.
    fn disturb(&mut self) {
        let host = self.random.below(self.nodes.len() as u64) as usize;
        let what = self.random.below(9);
        self.log.push(format!("{what} at {host}"));
        match what {
            0 => self.network.kill(host),
            1 => self.network.stop(host),
            2 if !self.network.is_alive(host) => {
                self.network.restart(host, self.nodes[host].clone(), None);
                self.begin(host);
            }
            3 => {
                let part = self.random.below(2) as usize;
                self.network.set_part(host, part);
            }
            4 => {
                let router = RouterId(self.random.below(ROUTERS as u64) as usize);
                let cut = self.random.below(2) == 0;
                self.network.set_cut(host, router, cut);
            }
            5 => {
                self.well[host].0 = !self.well[host].0;
                self.begin(host);
            }
            6 => {
                self.well[host].1 = !self.well[host].1;
                self.begin(host);
            }
            7 => {
                let loss = self.random.below(4) * 200;
                let delay = millis(self.random.below(800));
                self.network.set_conditions(Conditions { loss, delay });
            }
            _ => {}
        }
    }

    /// Runs up to a time, and checks after every step what must hold at any time.
    fn run(&mut self, rest: Duration) {
        let until = self.network.now() + rest;
        while self.network.step(until) {
            self.check();
        }
        self.check();
    }

    fn check(&self) {
        for host in 0..self.nodes.len() {
            for router in (0..ROUTERS).map(RouterId) {
                let master = self.network.state(host, router) == Some(StateKind::Master);
                assert_eq!(
                    self.network.holds(host, router),
                    master,
                    "seed {}: {host} {router:?} holds its addresses exactly while it is master: {:?}",
                    self.seed,
                    self.log
                );
                let speaks = self.well[host].0;
                assert!(speaks || !master, "seed {}: {host} {router:?} cannot speak: {:?}", self.seed, self.log);
            }
        }
    }

    /// Everything is whole again; who is dead stays dead.
    fn calm(&mut self) {
        self.network.set_conditions(Conditions { loss: 0, delay: millis(1) });
        for host in 0..self.nodes.len() {
            self.network.set_part(host, 0);
            (0..ROUTERS).for_each(|router| self.network.set_cut(host, RouterId(router), false));
        }
    }

    fn masters(&self, router: RouterId) -> Vec<usize> {
        let master = |host: &usize| self.network.state(*host, router) == Some(StateKind::Master);
        (0..self.nodes.len()).filter(master).collect()
    }

    fn all(mut self) {
        for _ in 0..self.random.below(12) {
            self.disturb();
            let rest = millis(self.random.below(6_000));
            self.run(rest);
        }
        self.calm();
        self.run(self.interval * CALM.0 + DELAYS);
        let settled: Vec<Vec<usize>> = (0..ROUTERS).map(|router| self.masters(RouterId(router))).collect();
        for (router, masters) in settled.iter().enumerate() {
            let able = (0..self.nodes.len())
                .filter(|host| self.network.state(*host, RouterId(router)).is_some_and(|one| one != StateKind::Fault));
            let wanted = usize::from(able.count() > 0);
            assert_eq!(masters.len(), wanted, "seed {}: masters of {router} in the end: {:?}", self.seed, self.log);
        }
        // A calm network changes nothing any more.
        let until = self.network.now() + self.interval * CALM.1 + DELAYS;
        while self.network.step(until) {
            let now: Vec<Vec<usize>> = (0..ROUTERS).map(|router| self.masters(RouterId(router))).collect();
            assert_eq!(now, settled, "seed {}: it flaps: {:?}", self.seed, self.log);
        }
    }
}

/// What the nodes of a network have in common.
struct Common {
    version: Version,
    interval: Duration,
    multicast: bool,
    grouped: bool,
    preempt: bool,
    delayed: bool,
    silent: bool,
    owner: bool,
    weight: i32,
}

impl Common {
    fn new(random: &mut Random) -> Self {
        let mut toss = || random.below(2) == 0;
        let version = if toss() { Version::V2 } else { Version::V3 };
        let interval = if version == Version::V2 { millis(1000) } else { millis(100) };
        let (multicast, grouped, preempt, delayed) = (toss(), toss(), toss(), toss());
        let (silent, owner) = (toss(), toss() && toss());
        let weight = [0, -30, 20][random.below(3) as usize];
        Self { version, interval, multicast, grouped, preempt, delayed, silent, owner: owner && !grouped, weight }
    }

    fn node(&self, host: usize, hosts: usize, random: &mut Random) -> NodeConfig {
        // Few, so that equal ones are common.
        let priority = 90 + 10 * random.below(3) as u8;
        let delay = if self.delayed && self.preempt { millis(random.below(3) * 1000) } else { Duration::ZERO };
        let router = |vrid: u8| {
            let mut config = Config::new(vrid, priority, vec![IpAddr::V4(Ipv4Addr::new(198, 51, 100, vrid))]);
            (config.version, config.interval, config.preempt) = (self.version, self.interval, self.preempt);
            (config.preempt_delay, config.lower_prio_no_advert) = (delay, self.silent);
            config.grouped = self.grouped;
            if self.owner && host == 0 {
                (config.priority, config.owner, config.preempt) = (255, true, true);
                config.preempt_delay = Duration::ZERO;
            }
            if !self.multicast {
                let peers = (0..hosts).filter(|other| *other != host).map(source);
                config.peers = peers.map(|address| crate::vrrp::config::Peer { address, hops: 0..=255 }).collect();
            }
            let tracking = vec![Tracking { thing: ThingId(0), weight: self.weight, reverse: false }];
            RouterConfig { machine: config.into(), tracking }
        };
        let groups = if self.grouped { vec![(0..ROUTERS).map(RouterId).collect()] } else { Vec::new() };
        NodeConfig { routers: (1..=ROUTERS as u8).map(router).collect(), groups, things: 1 }
    }
}

#[test]
fn a_calm_network_has_one_master_and_only_masters_hold_addresses() {
    let schedules = std::env::var("RHA_SCHEDULES").ok().and_then(|text| text.parse().ok()).unwrap_or(SCHEDULES);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let seeds = (0..schedules).skip(worker).step_by(workers);
            scope.spawn(|| seeds.for_each(|seed| Schedule::new(seed).all()));
        }
    });
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut schedule = Schedule::new(seed);
        schedule.network.set_conditions(Conditions { loss: 300, delay: millis(300) });
        schedule.run(millis(20_000));
        schedule.network.sent
    };
    assert_eq!([run(1), run(2), run(3)], [run(1), run(2), run(3)]);
}
