//! `garp_group`: interfaces that share a least time between two announcements. `vrrp_garp_interval` is that of each other
//! interface, for all instances on it.

use super::Process;
use crate::keepalived::blocks::interface::Pace;
use crate::keepalived::site::Site;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// More announcements never wait.
const WAITING: usize = 4096;

/// The pace of one family on the interfaces of a group.
#[derive(Debug)]
pub(super) struct Pacer {
    interfaces: Vec<String>,
    ipv6: bool,
    interval: Duration,
    /// The earliest time for the next announcement.
    free_at: Option<Instant>,
    /// The announcements that wait: by which interface, of which address.
    queue: VecDeque<(String, IpAddr)>,
}

/// Interfaces, and the least times between two of their ARP packets and of their neighbour advertisements.
type Set = (Vec<String>, Option<Duration>, Option<Duration>);

impl Pacer {
    /// The paces a configuration sets; announcements that wait in `before` go on waiting.
    pub(super) fn all(site: &Site, before: Vec<Self>) -> Vec<Self> {
        let names = |pace: &Pace| pace.needs.iter().map(|need| need.dev.clone()).collect::<Vec<_>>();
        let mut sets: Vec<Set> = site.paces.iter().map(|pace| (names(pace), pace.arp, pace.na)).collect();
        for instance in &site.instances {
            let name = &instance.interface;
            if !sets.iter().any(|(interfaces, ..)| interfaces.contains(name)) {
                sets.push((vec![name.clone()], site.global.garp_interval, site.global.gna_interval));
            }
        }
        Self::of(sets, before)
    }

    fn of(sets: Vec<Set>, before: Vec<Self>) -> Vec<Self> {
        let mut before = before;
        let both = sets.into_iter().flat_map(|(names, arp, na)| [(names.clone(), false, arp), (names, true, na)]);
        let set =
            both.filter_map(|(names, ipv6, interval)| Some((names, ipv6, interval.filter(|time| !time.is_zero())?)));
        set.map(|(interfaces, ipv6, interval)| {
            let same = before.iter_mut().find(|one| one.ipv6 == ipv6 && one.interfaces == interfaces);
            let (free_at, queue) = same.map(|one| (one.free_at, std::mem::take(&mut one.queue))).unwrap_or_default();
            Self { interfaces, ipv6, interval, free_at, queue }
        })
        .collect()
    }

    /// Whether it is the pace of this family on this interface.
    fn governs(&self, interface: &str, ip: IpAddr) -> bool {
        self.ipv6 == ip.is_ipv6() && self.interfaces.iter().any(|one| one == interface)
    }

    /// Whether an announcement may be sent at once; otherwise it waits.
    fn admit(&mut self, now: Instant, device: &str, ip: IpAddr) -> bool {
        if self.free_at.is_some_and(|at| at > now) || !self.queue.is_empty() {
            if self.queue.len() < WAITING {
                self.queue.push_back((device.to_owned(), ip));
            }
            return false;
        }
        self.free_at = Some(now + self.interval);
        true
    }

    /// The announcement whose turn has come; those of addresses that are not held any more are dropped.
    fn due(&mut self, now: Instant, held: impl Fn(IpAddr) -> bool) -> Option<(String, IpAddr)> {
        while self.poll_timeout().is_some_and(|at| at <= now) {
            let next = self.queue.pop_front().filter(|(_, ip)| held(*ip));
            if next.is_some() {
                self.free_at = Some(now + self.interval);
                return next;
            }
        }
        None
    }

    /// When the next announcement that waits may be sent.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.free_at.filter(|_| !self.queue.is_empty())
    }
}

impl Process {
    /// Announces an address by the interface called `device`, or has it wait for its turn. `interface` is the one a pace
    /// is set for: that below a VMAC.
    pub(super) fn announce_in_turn(&mut self, (interface, device): (&str, &str), ip: IpAddr) {
        let pacer = self.pacers.iter_mut().find(|pacer| pacer.governs(interface, ip));
        if pacer.is_none_or(|pacer| pacer.admit(Instant::now(), device, ip)) {
            self.announce(device, ip, true);
        }
    }

    /// Sends the announcements whose turn has come; of addresses that are gone by now none is sent.
    pub(super) fn run_pacers(&mut self) {
        let now = Instant::now();
        for at in 0..self.pacers.len() {
            let held = |ip: IpAddr| self.seats.iter().any(|seat| seat.held.addresses.iter().any(|held| held.ip == ip));
            let Some(pacer) = self.pacers.get_mut(at) else { continue };
            let due: Vec<(String, IpAddr)> = std::iter::from_fn(|| pacer.due(now, held)).collect();
            due.into_iter().for_each(|(device, ip)| self.announce(&device, ip, true));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::expand::Environment;
    use crate::conf::source::Memory;
    use crate::keepalived::read::read;
    use crate::keepalived::slot::Machine;

    fn pacers(before: Vec<Pacer>) -> Vec<Pacer> {
        let interfaces = ["eth0", "eth1"].map(str::to_owned).to_vec();
        Pacer::of(vec![(interfaces, Some(Duration::from_millis(100)), Some(Duration::ZERO))], before)
    }

    #[test]
    fn instances_on_one_interface_share_the_pace_of_all() {
        let instance = |name: &str, vrid: u8, interface: &str| {
            format!(
                "vrrp_instance {name} {{\n interface {interface}\n virtual_router_id {vrid}\n virtual_ipaddress {{\n \
                 192.0.2.{vrid}\n }}\n}}\n"
            )
        };
        let instances = [instance("A", 1, "eth0"), instance("B", 2, "eth0"), instance("C", 3, "eth1")].concat();
        let group = "garp_group {\n garp_interval 2\n interface eth1\n}\n";
        let text = format!("global_defs {{\n vrrp_garp_interval 0.5\n}}\n{group}{instances}");
        let machine = Machine { has_interface: &|_| true, has_user: &|_, _| true, read_secret: &|_| None };
        let site = read(&Memory::of("k", &text), "k", &Environment::default(), &machine).unwrap().site;
        let all = Pacer::all(&site, Vec::new());
        let shown: Vec<_> =
            all.iter().map(|one| (one.interfaces.join(","), one.ipv6, one.interval.as_millis())).collect();
        assert_eq!(shown, [("eth1".to_owned(), false, 2000), ("eth0".to_owned(), false, 500)]);
    }

    #[test]
    fn interfaces_of_a_group_share_one_pace() {
        let (start, step) = (Instant::now(), Duration::from_millis(100));
        let [first, second, third]: [IpAddr; 3] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|ip| ip.parse().unwrap());
        let mut all = pacers(Vec::new());
        // An interval of zero sets no pace.
        assert!(
            all.len() == 1 && all[0].governs("eth1", first) && !all[0].governs("eth1", "2001:db8::1".parse().unwrap())
        );
        let pacer = &mut all[0];
        assert!(!pacer.governs("eth2", first));
        assert!(pacer.admit(start, "eth0", first));
        assert!(!pacer.admit(start, "eth1", second) && !pacer.admit(start + step, "eth0", third));
        assert_eq!(pacer.poll_timeout(), Some(start + step));
        // One waits on through a reload; one whose address went meanwhile takes no turn.
        let mut all = pacers(all);
        let pacer = &mut all[0];
        assert_eq!(pacer.due(start, |_| true), None);
        assert_eq!(pacer.due(start + step, |ip| ip != second), Some(("eth0".to_owned(), third)));
        assert_eq!((pacer.due(start + step, |_| true), pacer.poll_timeout()), (None, None));
        assert!(!pacer.admit(start + step, "eth0", first) && pacer.due(start + 2 * step, |_| true).is_some());
    }
}
