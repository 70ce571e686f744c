//! What happens outside, turned into events: netlink, packets, scripts, files.

use super::{Process, Seat};
use crate::keepalived::site::{Tracking, What};
use crate::keepalived::world::{Turn, World};
use crate::kernel::address::Address;
use crate::kernel::link::Link;
use crate::kernel::netlink::Change;
use crate::sys::inotify::Inotify;
use crate::vrrp::group;
use crate::vrrp::machine::{Event, StateKind};
use crate::vrrp::weight::{Standing, Tracked, Verdict, standing};
use nix::errno::Errno;
use std::time::Instant;

impl Process {
    /// Takes what netlink has told.
    pub(super) fn hear_netlink(&mut self) {
        let mut changes = Vec::new();
        self.monitor.read(&mut changes);
        for change in changes {
            if change == Change::Lost {
                // Too much happened at once: the kernel's state now tells what was missed.
                let missed = World::ask(&mut self.commands).map(|now| self.world.missed(&now));
                missed.unwrap_or_default().into_iter().for_each(|change| self.change(change));
            } else {
                self.change(change);
            }
        }
    }

    fn change(&mut self, change: Change) {
        if let Some(turn) = self.world.apply(change) {
            self.turn(turn);
        }
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Added(link) => self.added(&link),
            Turn::Deleted(link) => {
                self.channels.retain(|channel| channel.key.port.index != link.index);
                if self.uses(&link.name) {
                    self.journal.say(format!("Interface {} deleted", link.name));
                } else {
                    self.journal.detail(format!("Interface {} deleted", link.name));
                }
            }
            Turn::Renamed(before, link) => {
                self.journal.say(format!("Interface name has changed from {before} to {}", link.name));
                // Routers on the old name resign while their sockets still work; see `Seat::held`.
                self.settle(Instant::now());
                self.channels.retain(|channel| channel.key.port.index != link.index);
                self.added(&link);
            }
            Turn::Moved(link) if self.uses(&link.name) => self.say_moved(&link.name, link.up),
            Turn::Moved(_) => {}
            Turn::Assigned(address, name) => {
                let first = self.world.source(&name, address.ip.is_ipv6(), &self.virtual_addresses());
                if first == Some(address.ip) && self.uses(&name) {
                    self.journal.detail(format!("Assigned address {} for interface {name}", address.ip));
                } else if self.start.watch_addresses {
                    self.journal.say(format!("Netlink reflector reports IP {} added to {name}", address.ip));
                }
            }
            Turn::Deassigned(address, name) => self.deassigned(&address, &name),
        }
    }

    fn added(&mut self, link: &Link) {
        self.journal.detail(format!("Interface {} added", link.name));
        if self.uses(&link.name) {
            self.say_moved(&link.name, link.up);
        }
        self.open_channels(Instant::now());
        if self.static_device(&link.name) {
            self.hold_static_addresses(true);
        }
    }

    fn deassigned(&mut self, address: &Address, name: &str) {
        let parted = self.parting.iter().position(|ip| *ip == address.ip).map(|at| self.parting.swap_remove(at));
        if !self.is_virtual(address) {
            if parted.is_some() {
                return;
            }
            const LINK: u8 = 253;
            let (ipv6, moving) = (address.ip.is_ipv6(), self.virtual_addresses());
            let last = (!ipv6 || address.scope == LINK) && self.world.source(name, ipv6, &moving).is_none();
            if last && self.uses(name) {
                self.journal.detail(format!("Deassigned address {} from interface {name}", address.ip));
            } else if self.start.watch_addresses {
                self.journal.say(format!("Netlink reflector reports IP {} removed from {name}", address.ip));
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
            // One the kernel refused, or that a reload took away, cannot be lost.
            let held = seat.held.iter().any(|held| (held.index, held.ip) == (address.index, address.ip));
            // What goes with its interface is a fault already, where that is tracked.
            let what = What::Interface(name.to_owned());
            let there = self.world.is_up(name) || seat.instance.tracking.iter().all(|one| one.what != what);
            if listed && held && seat.machine.state() == StateKind::Master && there {
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
        let changed = self.folders.as_ref().is_some_and(Inotify::drain);
        self.look_at_files(now, changed);
    }

    /// Tells each machine where it stands, if that changed.
    pub(super) fn settle(&mut self, now: Instant) {
        self.find_sources(now);
        self.open_channels(now);
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
        self.tell_first_states(&standings);
        for (_, at) in order {
            let (Some(seat), Some(standing)) = (self.seats.get_mut(at), standings.get(at).copied()) else { continue };
            if seat.standing != Some(standing) {
                let socketless = standing.fault && seat.refused.is_some();
                if seat.standing.replace(standing).is_none() && socketless {
                    // keepalived opens the sockets after it has judged everything tracked: the start is over by then.
                    self.send_event(at, now, Event::Standing(Standing { fault: false, waiting: true, ..standing }));
                }
                self.send_event(at, now, Event::Standing(standing));
                self.act(now);
            }
        }
        self.act(now);
        self.close_channels();
    }

    /// At the start keepalived tells of groups first, if they begin as backup or in fault.
    fn tell_first_states(&mut self, standings: &[Standing]) {
        for group in &self.site.groups {
            let all =
                || self.seats.iter().zip(standings).filter(|(seat, _)| group.members.contains(&seat.instance.name));
            if !all().all(|(seat, _)| seat.standing.is_none() && seat.machine.state() == StateKind::Initialise) {
                continue;
            }
            if all().any(|(_, standing)| standing.fault) {
                self.notifier.group(group, StateKind::Fault, &self.journal);
            } else if !all().any(|(seat, standing)| standing.waiting || seat.instance.router.owner) {
                self.notifier.group(group, StateKind::Backup, &self.journal);
            }
        }
    }

    /// Tells each machine the address its adverts carry, if that changed.
    pub(super) fn find_sources(&mut self, now: Instant) {
        for at in 0..self.seats.len() {
            let source = self.seats.get(at).and_then(|seat| self.source(&seat.instance));
            let Some(seat) = self.seats.get_mut(at).filter(|seat| seat.source != source) else { continue };
            seat.source = source;
            seat.last_source = source.or(seat.last_source);
            seat.machine.handle(now, Event::Source(source));
        }
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
        if seat.refused == Some(Errno::EADDRNOTAVAIL as i32) {
            self.journal.say(format!("({name}): entering FAULT state (src address not configured)"));
        }
        for tracking in &seat.instance.tracking {
            let Some(tracked) = self.tracked(tracking) else { continue };
            let bad = is_fault(tracked);
            match &tracking.what {
                What::Script(script) if bad && tracked.verdict != Verdict::Unknown => {
                    self.journal.say(format!("({name}): entering FAULT state due to script {script}"));
                }
                What::Interface(interface) if bad => {
                    self.journal.say(format!("({name}): entering FAULT state (interface {interface} down)"));
                }
                What::File(file) if bad => {
                    let status = self.files.iter().find(|one| one.name == *file).map_or(0, |one| one.value());
                    let text = format!("entering FAULT state (tracked file {file} has status {status})");
                    self.journal.say(format!("({name}): {text}"));
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
        let usable = there && self.has_channel(seat) && !instance.closed;
        let source = Tracked { weight: 0, reverse: false, verdict: verdict(usable) };
        let all = instance.tracking.iter().filter_map(|tracking| self.tracked(tracking));
        standing(instance.router.priority, std::iter::once(source).chain(all))
    }

    /// What a tracked thing comes to; nothing for a script that keepalived disables.
    fn tracked(&self, tracking: &Tracking) -> Option<Tracked> {
        let Tracking { weight, reverse, .. } = *tracking;
        Some(match &tracking.what {
            What::Interface(name) => Tracked { weight, reverse, verdict: verdict(self.world.is_up(name)) },
            What::Script(name) => {
                let runner = self.scripts.iter().find(|runner| runner.script.name == *name)?;
                if runner.program().is_none() && !self.start.fault_on_disabled_script {
                    return None;
                }
                Tracked { weight, reverse, verdict: runner.verdict() }
            }
            What::File(name) => {
                let value = self.files.iter().find(|file| file.name == *name).map_or(0, |file| file.value());
                of_file(value, weight, reverse)
            }
        })
    }

    /// Looks at the tracked files, and says which instances enter or leave fault because of them.
    fn look_at_files(&mut self, now: Instant, changed: bool) {
        for at in 0..self.files.len() {
            let Some(file) = self.files.get_mut(at) else { continue };
            let before = file.value();
            file.look(now, changed);
            let (name, after) = (&file.name, file.value());
            for seat in &self.seats {
                for tracking in seat.instance.tracking.iter().filter(|one| one.what == What::File(name.clone())) {
                    let fault = |value| is_fault(of_file(value, tracking.weight, tracking.reverse));
                    let how = match (fault(before), fault(after)) {
                        (false, true) => "now",
                        (true, false) => "leaving",
                        _ => continue,
                    };
                    self.journal.detail(format!("({}): tracked file {name} {how} FAULT state", seat.instance.name));
                }
            }
        }
    }
}

/// Whether a tracked thing puts the routers that track it into fault.
fn is_fault(tracked: Tracked) -> bool {
    tracked.weight == 0 && (tracked.verdict == Verdict::Bad) != tracked.reverse
}

const fn verdict(good: bool) -> Verdict {
    if good { Verdict::Good } else { Verdict::Bad }
}

/// A file's number times its weight is added to the priority; -254, or any number with weight 0, is a fault.
fn of_file(value: i64, weight: i32, reverse: bool) -> Tracked {
    let sign = if reverse { -1 } else { 1 };
    let product = value.saturating_mul(i64::from(weight)).saturating_mul(sign).clamp(-254, 253) as i32;
    let fault = if weight == 0 { (value != 0) != reverse } else { product == -254 };
    match product {
        _ if fault => Tracked { weight: 0, reverse: false, verdict: Verdict::Bad },
        0 => Tracked { weight: 0, reverse: false, verdict: Verdict::Good },
        product => Tracked { weight: product, reverse: false, verdict: verdict(product > 0) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_number_is_a_weight_or_a_fault() {
        let of = |value, weight, reverse| standing(100, [of_file(value, weight, reverse)]);
        for (value, weight, reverse, priority) in
            [(0, 1, false, 100), (7, 1, false, 107), (7, -2, false, 86), (7, 2, true, 86), (900, 1, false, 254)]
        {
            let standing = of(value, weight, reverse);
            assert_eq!((standing.priority, standing.fault), (priority, false), "{value} {weight} {reverse}");
        }
        for (value, weight, reverse, fault) in
            [(-254, 1, false, true), (0, 0, false, false), (1, 0, false, true), (0, 0, true, true), (1, 0, true, false)]
        {
            assert_eq!(of(value, weight, reverse).fault, fault, "{value} {weight} {reverse}");
        }
    }
}
