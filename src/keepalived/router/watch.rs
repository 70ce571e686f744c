//! What happens outside, turned into events: netlink, packets, scripts, files.

use super::{PACKETS_A_TURN, Process, Seat};
use crate::keepalived::channel::Channel;
use crate::keepalived::site::{Tracking, What};
use crate::keepalived::track::script::ScriptRunner;
use crate::keepalived::world::{Turn, World};
use crate::kernel::address::Address;
use crate::kernel::netlink::Change;
use crate::vrrp::group;
use crate::vrrp::machine::{Event, StateKind};
use crate::vrrp::weight::{Standing, Tracked, Verdict, standing};
use crate::vrrp::wire;
use std::time::Instant;

impl Process {
    /// Takes what netlink has told.
    pub(super) fn hear_netlink(&mut self) {
        let mut changes = Vec::new();
        self.monitor.read(&mut changes);
        for change in changes {
            if change == Change::Lost {
                // Too much happened at once: look at everything anew.
                if let Ok(world) = World::ask(&mut self.commands) {
                    self.world = world;
                    self.open_channels();
                }
                continue;
            }
            if let Some(turn) = self.world.apply(change) {
                self.turn(turn);
            }
        }
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Added(link) => {
                if self.uses(&link.name) {
                    self.journal.say(format!("Interface {} added", link.name));
                    self.say_moved(&link.name, link.up);
                }
                // Sockets are bound to the number an interface had; a new one needs new ones.
                self.channels.retain(|channel| channel.port.name != link.name || channel.port.index == link.index);
                self.open_channels();
                if self.static_device(&link.name) {
                    self.hold_static_addresses(true);
                }
            }
            Turn::Deleted(link) => {
                self.channels.retain(|channel| channel.port.index != link.index);
                if self.uses(&link.name) {
                    self.journal.say(format!("Interface {} deleted", link.name));
                }
            }
            Turn::Moved(link) if self.uses(&link.name) => self.say_moved(&link.name, link.up),
            Turn::Moved(_) => {}
            Turn::Assigned(address, name) => {
                let own = self.is_virtual(&address);
                if self.start.watch_addresses || (self.uses(&name) && !own) {
                    self.journal.detail(format!("Assigned address {} for interface {name}", address.ip));
                }
            }
            Turn::Deassigned(address, name) => self.deassigned(&address, &name),
        }
    }

    fn deassigned(&mut self, address: &Address, name: &str) {
        let parted = self.parting.iter().position(|ip| *ip == address.ip).map(|at| self.parting.swap_remove(at));
        if !self.is_virtual(address) {
            if parted.is_some() {
                return;
            }
            if self.start.watch_addresses || self.uses(name) {
                self.journal.detail(format!("Deassigned address {} from interface {name}", address.ip));
            }
            if self.site.root.addresses.iter().any(|one| one.ip == address.ip) {
                self.journal.say(format!("Restoring deleted static address {}", address.ip));
                self.hold_static_addresses(true);
            }
            return;
        }
        // Ours, or somebody else's doing? Only what is really gone while we are master was taken away.
        if self
            .commands
            .addresses()
            .is_ok_and(|all| all.iter().any(|one| one.index == address.index && one.ip == address.ip))
        {
            return;
        }
        let now = Instant::now();
        for at in 0..self.seats.len() {
            let Some(seat) = self.seats.get(at) else { continue };
            let listed = seat.instance.addresses.iter().any(|one| {
                one.track && one.ip == address.ip && one.dev.as_deref().unwrap_or(&seat.instance.interface) == name
            });
            // What goes with its interface is a fault already, where that is tracked.
            let what = What::Interface(name.to_owned());
            let there = self.world.is_up(name) || seat.instance.tracking.iter().all(|one| one.what != what);
            if listed && seat.machine.state() == StateKind::Master && there {
                self.journal.say(format!("Netlink reflector reports IP {} removed from {name}", address.ip));
                // Its group gives up with it.
                for one in std::iter::once(at).chain(self.companions(at)) {
                    self.send_event(one, now, Event::AddressLost);
                }
                self.act(now);
            }
        }
    }

    fn say_moved(&self, name: &str, up: bool) {
        self.journal.say(format!("Netlink reports {name} {}", if up { "up" } else { "down" }));
    }

    fn is_virtual(&self, address: &Address) -> bool {
        self.seats.iter().any(|seat| seat.instance.addresses.iter().any(|one| one.ip == address.ip))
    }

    fn uses(&self, name: &str) -> bool {
        self.seats.iter().any(|seat| {
            let instance = &seat.instance;
            instance.interface == name
                || instance.tracking.iter().any(|one| one.what == What::Interface(name.to_owned()))
                || instance.addresses.iter().any(|one| one.dev.as_deref() == Some(name))
        })
    }

    fn static_device(&self, name: &str) -> bool {
        let default = self.site.global.default_interface.as_deref().unwrap_or("eth0");
        self.site.root.addresses.iter().any(|one| one.dev.as_deref().unwrap_or(default) == name)
    }

    /// Opens the sockets that are missing.
    pub(super) fn open_channels(&mut self) {
        for at in 0..self.seats.len() {
            let Some(instance) = self.seats.get(at).map(|seat| &seat.instance) else { continue };
            let Some(port) = self.world.port(&instance.interface) else { continue };
            let ipv6 = instance.router.is_ipv6();
            let group = instance.group;
            let fits = |channel: &Channel| {
                channel.port == port && channel.ipv6 == ipv6 && (group.is_none() || channel.group == group)
            };
            if self.channels.iter().any(fits) {
                continue;
            }
            self.channels.retain(|channel| channel.port != port || channel.ipv6 != ipv6);
            match Channel::open(port, instance) {
                Ok(channel) => {
                    self.journal.say(channel.describe());
                    self.channels.push(channel);
                }
                Err(error) => {
                    let (name, interface) = (&instance.name, &instance.interface);
                    self.journal.say(format!("({name}) Unable to open sockets on {interface} - {error}"));
                }
            }
        }
    }

    /// Takes the packets that have come.
    pub(super) fn hear_packets(&mut self) {
        let mut heard = Vec::new();
        for channel in &self.channels {
            for _ in 0..PACKETS_A_TURN {
                let Some(received) = channel.receive() else { break };
                match received {
                    Ok(datagram) => heard.push((channel.port.name.clone(), channel.ipv6, datagram)),
                    Err(refusal) => self.journal.say(refusal.to_string()),
                }
            }
        }
        let now = Instant::now();
        for (name, ipv6, datagram) in heard {
            let vrid = wire::vrid(&datagram.payload);
            let ours = self.seats.iter().position(|seat| {
                let instance = &seat.instance;
                instance.interface == name && instance.router.is_ipv6() == ipv6 && Some(instance.router.vrid) == vrid
            });
            match ours {
                Some(at) => {
                    self.send_event(at, now, Event::Received(datagram));
                    self.act(now);
                }
                None if self.site.global.log_unknown_vrids == Some(true) => {
                    let vrid = vrid.unwrap_or_default();
                    self.journal.say(format!("Unknown VRID({vrid}) received on interface({name}). ignoring..."));
                }
                None => {}
            }
        }
    }

    /// Starts and ends scripts, looks at files.
    pub(super) fn track(&mut self, now: Instant) {
        for at in 0..self.scripts.len() {
            let Some(script) = self.scripts.get_mut(at) else { continue };
            let (before, mut lines) = (script.verdict(), Vec::new());
            script.reap(&mut lines);
            script.handle_timeout(now, &mut lines);
            let changed = script.verdict() != before;
            lines.iter().for_each(|line| self.journal.say(line));
            if changed {
                self.settle(now);
            }
        }
        self.notifier.reap();
        self.files.iter_mut().for_each(|file| file.handle_timeout(now));
    }

    /// Tells each machine where it stands, if that changed.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.held_until.is_some_and(|until| now < until) {
            return;
        }
        self.held_until = None;
        let mut standings: Vec<Standing> = (0..self.seats.len()).map(|at| self.standing(at)).collect();
        // Who changes by itself comes before those of its group that follow.
        let mut order: Vec<(bool, usize)> = Vec::new();
        for (at, own) in standings.iter().enumerate() {
            if let Some(seat) = self.seats.get_mut(at) {
                let before = std::mem::replace(&mut seat.faulty, own.fault);
                order.push((before == own.fault, at));
            }
        }
        order.sort_unstable();
        self.explain_faults(|seat| seat.standing.is_none() && seat.faulty);
        self.hold_groups(&mut standings);
        for (_, at) in order {
            let source = self.seats.get(at).and_then(|seat| self.source(&seat.instance));
            let (Some(seat), Some(standing)) = (self.seats.get_mut(at), standings.get(at).copied()) else { continue };
            if seat.source != source {
                seat.source = source;
                seat.machine.handle(now, Event::Source(source));
            }
            if seat.standing != Some(standing) {
                seat.standing = Some(standing);
                self.send_event(at, now, Event::Standing(standing));
                self.act(now);
            }
        }
        self.act(now);
    }

    /// Why instances begin in fault, and whom they take with them.
    pub(super) fn explain_faults(&self, which: impl Fn(&Seat) -> bool) {
        let seats = || self.seats.iter().filter(|seat| which(seat));
        seats().for_each(|seat| self.explain_fault(seat));
        for group in &self.site.groups {
            if let Some(first) = seats().find(|seat| group.members.contains(&seat.instance.name)) {
                self.journal.say(format!("VRRP_Group({}): Syncing {} to FAULT state", group.name, first.instance.name));
            }
        }
    }

    fn explain_fault(&self, seat: &Seat) {
        let name = &seat.instance.name;
        if seat.instance.closed {
            self.journal.say(format!("({name}) entering FAULT state (what it asks for is not served)"));
        }
        if seat.source.is_none() && self.world.is_up(&seat.instance.interface) {
            let family = if seat.instance.router.is_ipv6() { "IPv6" } else { "IPv4" };
            self.journal.say(format!("({name}) entering FAULT state (no {family} address for interface)"));
        }
        for tracking in &seat.instance.tracking {
            let tracked = self.tracked(tracking);
            let bad = tracked.weight == 0 && (tracked.verdict == Verdict::Bad) != tracked.reverse;
            match &tracking.what {
                What::Script(script) if bad && tracked.verdict != Verdict::Unknown => {
                    self.journal.say(format!("({name}): entering FAULT state due to script {script}"));
                }
                What::Interface(interface) if bad => {
                    self.journal.say(format!("({name}): entering FAULT state (interface {interface} down)"));
                }
                _ => {}
            }
        }
    }

    /// A fault of one member is a fault of all, and all wait for each.
    fn hold_groups(&self, standings: &mut [Standing]) {
        for group in &self.site.groups {
            let member = |at: usize| self.seats.get(at).is_some_and(|seat| group.members.contains(&seat.instance.name));
            let of = || standings.iter().enumerate().filter(|(at, _)| member(*at));
            let fault = group::held(of().map(|(_, standing)| standing.fault));
            let waiting = of().any(|(_, standing)| standing.waiting);
            for (at, standing) in standings.iter_mut().enumerate() {
                if member(at) {
                    (standing.fault, standing.waiting) = (fault, waiting);
                }
            }
        }
    }

    /// Where the instance at `at` stands, its group counted.
    pub(super) fn standing_in_group(&self, at: usize) -> Option<Standing> {
        let mut standings: Vec<Standing> = (0..self.seats.len()).map(|at| self.standing(at)).collect();
        self.hold_groups(&mut standings);
        standings.get(at).copied()
    }

    /// Differs from keepalived: `track_src_ip` is looked at from the start. [test: a_source_that_is_tracked_must_be_there]
    fn standing(&self, at: usize) -> Standing {
        let Some(seat) = self.seats.get(at) else {
            return Standing { priority: 0, fault: true, waiting: false };
        };
        let instance = &seat.instance;
        let there = match instance.source {
            Some(source) if instance.track_source => self.world.holds(&instance.interface, source),
            _ => self.source(instance).is_some(),
        };
        let link = self.world.link(&instance.interface).is_some();
        let usable = there && link && !instance.closed;
        let source = Tracked { weight: 0, reverse: false, verdict: verdict(usable) };
        let all = instance.tracking.iter().map(|tracking| self.tracked(tracking));
        standing(instance.router.priority, std::iter::once(source).chain(all))
    }

    fn tracked(&self, tracking: &Tracking) -> Tracked {
        let Tracking { weight, reverse, .. } = *tracking;
        match &tracking.what {
            What::Interface(name) => Tracked { weight, reverse, verdict: verdict(self.world.is_up(name)) },
            What::Script(name) => {
                let runner = self.scripts.iter().find(|runner| runner.script.name == *name);
                // A script nobody defined can never succeed.
                let verdict = runner.map_or(Verdict::Bad, ScriptRunner::verdict);
                Tracked { weight, reverse, verdict }
            }
            What::File(name) => {
                let value = self.files.iter().find(|file| file.name == *name).map_or(0, |file| file.value());
                of_file(value, weight, reverse)
            }
        }
    }
}

const fn verdict(good: bool) -> Verdict {
    if good { Verdict::Good } else { Verdict::Bad }
}

/// A file's number times its weight is added to the priority; -254, or any number with weight 0, is a fault.
fn of_file(value: i64, weight: i32, reverse: bool) -> Tracked {
    let sign = if reverse { -1 } else { 1 };
    let product = value.saturating_mul(i64::from(weight)).saturating_mul(sign).clamp(-254, 254) as i32;
    let fault = if weight == 0 { value != 0 } else { product == -254 };
    match product {
        _ if fault => Tracked { weight: 0, reverse: false, verdict: Verdict::Bad },
        0 => Tracked { weight: 0, reverse: false, verdict: Verdict::Good },
        product => Tracked { weight: product, reverse: false, verdict: verdict(product > 0) },
    }
}
