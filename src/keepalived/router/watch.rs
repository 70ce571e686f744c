//! What happens outside, turned into events: netlink, packets, scripts, files.

use super::{InstanceState, Process};
use crate::keepalived::interfaces::{InterfaceEvent, Interfaces};
use crate::keepalived::site::{Tracking, What};
use crate::kernel::address::Address;
use crate::kernel::link::Link;
use crate::kernel::monitor::Change;
use crate::sys::inotify::Inotify;
use crate::sys::time::monotonic;
use crate::vrrp::machine::StateKind;
use crate::vrrp::node::{Fact, Reading, RouterId, ThingId};
use crate::vrrp::weight::{Tracked, is_fault, of_value};
use std::time::Instant;

/// What is known about a thing that is well or not.
const fn verdict_of(good: bool) -> Reading {
    if good { Reading::Good } else { Reading::Bad }
}

impl Process {
    /// Takes what netlink has told.
    pub(super) fn hear_netlink(&mut self) {
        let mut changes = Vec::new();
        self.monitor.read(&mut changes);
        for change in changes {
            if change == Change::Lost {
                // Too much happened at once: the kernel's state now tells what was missed.
                let missed = Interfaces::ask(&mut self.commands).map(|now| self.interfaces.missed(&now));
                missed.unwrap_or_default().into_iter().for_each(|change| self.change(change));
            } else {
                self.change(change);
            }
        }
    }

    pub(super) fn change(&mut self, change: Change) {
        match &change {
            Change::Route(seen) => return self.route_came(seen),
            Change::RouteGone(seen) => return self.route_gone(seen),
            Change::RuleGone(seen) => return self.rule_gone(seen),
            _ => {}
        }
        let change = self.delayed(change);
        self.take_change(change);
    }

    /// Takes a change that counts.
    pub(super) fn take_change(&mut self, change: Change) {
        if let Some(turn) = self.interfaces.apply(change) {
            let ours = |address: &Address| self.moving.contains(&address.ip);
            // No router speaks from an address that moves, unless it is told to.
            let trivial = match &turn {
                InterfaceEvent::Assigned(address, _) | InterfaceEvent::Deassigned(address, _) => ours(address),
                _ => false,
            };
            self.changed |= !trivial || self.seats.iter().any(|seat| seat.instance.track_source);
            self.turn(turn);
        }
    }

    fn turn(&mut self, turn: InterfaceEvent) {
        match turn {
            InterfaceEvent::Added(link) => self.added(&link),
            InterfaceEvent::Deleted(link) => {
                self.link_down(link.index);
                self.vmac_gone(&link);
                self.pool.retain(|channel| channel.key.port.index != link.index);
                self.changed = true;
                if self.uses(&link.name) {
                    self.log.say(format!("Interface {} deleted", link.name));
                } else {
                    self.log.detail(format!("Interface {} deleted", link.name));
                }
            }
            InterfaceEvent::Renamed(before, link) => {
                self.log.say(format!("Interface name has changed from {before} to {}", link.name));
                // Routers on the old name resign while their sockets still work; see `InstanceState::held`.
                self.settle(Instant::now());
                self.pool.retain(|channel| channel.key.port.index != link.index);
                self.changed = true;
                self.added(&link);
            }
            InterfaceEvent::Moved(link) => {
                if self.uses(&link.name) {
                    self.say_moved(&link.name, link.up);
                }
                if !link.up {
                    self.link_down(link.index);
                } else if self.static_device(&link.name) {
                    self.hold_static_all();
                }
            }
            InterfaceEvent::Assigned(address, name) => {
                let first = self.interfaces.source(&name, address.ip.is_ipv6(), &self.moving);
                if first == Some(address.ip) && self.uses(&name) {
                    self.log.detail(format!("Assigned address {} for interface {name}", address.ip));
                } else if self.start.watch_addresses {
                    self.log.say(format!("Netlink reflector reports IP {} added to {name}", address.ip));
                }
            }
            InterfaceEvent::Deassigned(address, name) => self.deassigned(&address, &name),
        }
    }

    fn added(&mut self, link: &Link) {
        self.log.detail(format!("Interface {} added", link.name));
        if self.uses(&link.name) {
            self.say_moved(&link.name, link.up);
        }
        if self.static_device(&link.name) {
            self.hold_static_all();
        }
        self.vmacs.missing |= self.seats.iter().any(|seat| seat.instance.interface == link.name);
    }

    fn deassigned(&mut self, address: &Address, name: &str) {
        let parted = self.parting.iter().position(|ip| *ip == address.ip).map(|at| self.parting.swap_remove(at));
        if !self.moving.contains(&address.ip) {
            if parted.is_some() {
                return;
            }
            const LINK: u8 = 253;
            let ipv6 = address.ip.is_ipv6();
            if ipv6 {
                self.vmac_lost_address(name);
            }
            let last = (!ipv6 || address.scope == LINK) && self.interfaces.source(name, ipv6, &self.moving).is_none();
            if last && self.uses(name) {
                self.log.detail(format!("Deassigned address {} from interface {name}", address.ip));
            } else if self.start.watch_addresses {
                self.log.say(format!("Netlink reflector reports IP {} removed from {name}", address.ip));
            }
            if self.site.root.addresses.iter().any(|one| one.ip == address.ip) {
                self.log.say(format!("Restoring deleted static address {}", address.ip));
                self.hold_static_all();
            }
            return;
        }
        let losers: Vec<usize> = (0..self.seats.len()).filter(|at| self.holds(*at, address, name)).collect();
        // Ours, or somebody else's doing? Only what is really gone while we are master was taken away.
        let there = |all: Vec<Address>| all.iter().any(|one| one.index == address.index && one.ip == address.ip);
        if losers.is_empty() || self.commands.addresses().is_ok_and(there) {
            return;
        }
        let now = Instant::now();
        for at in losers {
            if self.is_master(at) {
                self.log.say(format!("Netlink reflector reports IP {} removed from {name}", address.ip));
                if let Some(seat) = self.seats.get_mut(at) {
                    seat.history.expect(StateKind::Backup, format!("address {} was removed", address.ip));
                }
                self.node.tell(now, Fact::AddressLost(RouterId(at)));
                self.perform_acts();
            }
        }
    }

    /// Whether the instance at `at` holds an address on the interface called `name`, and must notice its loss.
    fn holds(&self, at: usize, address: &Address, name: &str) -> bool {
        let Some(seat) = self.seats.get(at) else { return false };
        let listed = seat.instance.addresses.iter().any(|one| {
            one.track && one.ip == address.ip && one.dev.as_deref().unwrap_or_else(|| seat.instance.device()) == name
        });
        // One the kernel refused, or that a reload took away, cannot be lost.
        let held = seat.held.addresses.iter().any(|held| (held.index, held.ip) == (address.index, address.ip));
        // What goes with its interface is a fault already, where that is tracked.
        let what = What::Interface(name.to_owned());
        let there = self.interfaces.is_up(name) || seat.instance.tracking.iter().all(|one| one.what != what);
        listed && held && there && self.is_master(at)
    }

    pub(super) fn is_master(&self, at: usize) -> bool {
        self.node.router(RouterId(at)).is_some_and(|router| router.state() == StateKind::Master)
    }

    pub(super) fn say_moved(&self, name: &str, up: bool) {
        self.log.say(format!("Netlink reports {name} {}", if up { "up" } else { "down" }));
    }

    pub(super) fn uses(&self, name: &str) -> bool {
        self.seats.iter().any(|seat| {
            let instance = &seat.instance;
            instance.interface == name
                || instance.device() == name
                || instance.tracking.iter().any(|one| one.what == What::Interface(name.to_owned()))
                || instance.addresses.iter().any(|one| one.dev.as_deref() == Some(name))
        })
    }

    fn static_device(&self, name: &str) -> bool {
        let default = self.site.global.default_interface.as_deref().unwrap_or("eth0");
        let routes = self.site.root.routes.iter().filter_map(|given| given.route.dev.as_deref());
        self.site
            .root
            .addresses
            .iter()
            .map(|one| one.dev.as_deref().unwrap_or(default))
            .chain(routes)
            .any(|dev| dev == name)
    }

    /// Starts and ends scripts, looks at files; `folders` when something happened in theirs.
    pub(super) fn track(&mut self, now: Instant, folders: bool) {
        for at in 0..self.scripts.len() {
            let Some(script) = self.scripts.get_mut(at) else { continue };
            let (before, mut lines) = (script.verdict(), Vec::new());
            script.reap(&mut lines);
            script.handle_timeout(now, &mut lines);
            let changed = script.verdict() != before;
            lines.iter().for_each(|line| self.log.say(line));
            if changed {
                self.tell_readings(now);
                self.settle(now);
            }
        }
        self.notifier.reap(&self.log);
        let changed = folders && self.folders.as_ref().is_some_and(Inotify::drain);
        self.look_at_files(now, changed);
    }

    /// Tells each router its tracked state, if that changed.
    pub(super) fn settle(&mut self, now: Instant) {
        let looked = self.look_at_kernel(now);
        self.node.settle(now);
        self.perform_acts();
        if looked {
            self.close_channels();
        }
    }

    /// Tells the node what scripts and files have come to.
    pub(super) fn tell_readings(&mut self, now: Instant) {
        for at in 0..self.things.len() {
            let reading = match self.things.get(at) {
                Some(What::Script(name)) => self.scripts.iter().find(|one| one.script.name == *name).map(|runner| {
                    let disabled = runner.is_disabled() && !self.start.fault_on_disabled_script;
                    if disabled { Reading::Unused } else { runner.reading() }
                }),
                Some(What::File(name)) => {
                    let file = self.files.iter().find(|one| one.name == *name);
                    Some(Reading::Value(file.map_or(0, |file| file.value())))
                }
                Some(What::Process(name)) => {
                    let process = self.processes.iter().find(|one| one.process.name == *name);
                    process.map(|process| verdict_of(process.has_quorum()))
                }
                Some(What::Session(name)) => Some(verdict_of(self.sessions.get(name) == Some(&true))),
                Some(What::Interface(_)) | None => continue,
            };
            let reading = reading.unwrap_or(Reading::Unused);
            if self.node.reading(ThingId(at)) != reading {
                self.reporting.note_change();
            }
            self.node.tell(now, Fact::Reading(ThingId(at), reading));
        }
    }

    /// Takes what the BFD process has told.
    pub(super) fn hear_sessions(&mut self, now: Instant) {
        let Some(events) = self.start.sessions.clone() else { return };
        let mut changed = false;
        while let Some(event) = events.next() {
            let (name, up) = (event.name, event.up);
            let tracked =
                |seat: &InstanceState| seat.instance.tracking.iter().any(|one| one.what == What::Session(name.clone()));
            // One that nobody has heard of is down.
            let same = self.sessions.insert(name.clone(), up).unwrap_or_default() == up;
            let (state, took) = (if up { "Up" } else { "Down" }, monotonic().as_micros() as u64);
            if event.fresh || !same {
                let took = took.saturating_sub(event.at);
                let text = format!("instance {name} is in state {state} (delivered in {took} usec)");
                self.log.detail(format!("Received BFD event: {text}"));
            }
            if same {
                continue;
            }
            changed = true;
            let state = state.to_uppercase();
            for seat in self.seats.iter().filter(|seat| tracked(seat)) {
                self.log.say(format!("VRRP_Instance({}) Tracked BFD instance {name} is {state}", seat.instance.name));
            }
        }
        if changed {
            self.tell_readings(now);
        }
    }

    /// What a tracked thing comes to; nothing for one that does not count.
    pub(super) fn tracked(&self, tracking: &Tracking) -> Option<Tracked> {
        let thing = self.things.iter().position(|what| *what == tracking.what)?;
        self.node.reading(ThingId(thing)).tracked(tracking.weight, tracking.reverse)
    }

    /// Looks at the tracked files, and says which instances enter or leave fault because of them.
    fn look_at_files(&mut self, now: Instant, changed: bool) {
        let mut told = false;
        for at in 0..self.files.len() {
            let Some(file) = self.files.get_mut(at) else { continue };
            let before = file.value();
            file.look(now, changed);
            let (name, after) = (&file.name, file.value());
            told |= before != after;
            for seat in &self.seats {
                for tracking in seat.instance.tracking.iter().filter(|one| one.what == What::File(name.clone())) {
                    let fault = |value| is_fault(of_value(value, tracking.weight, tracking.reverse));
                    let how = match (fault(before), fault(after)) {
                        (false, true) => "now",
                        (true, false) => "leaving",
                        _ => continue,
                    };
                    self.log.detail(format!("({}): tracked file {name} {how} FAULT state", seat.instance.name));
                }
            }
        }
        if told {
            self.tell_readings(now);
        }
    }
}
