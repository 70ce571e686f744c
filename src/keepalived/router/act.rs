//! Actions of the machines, done.

use super::{Process, Seat, wanted};
use crate::conf::diagnostic::reason;
use crate::keepalived::blocks::address::Address;
use crate::keepalived::journal::cause;
use crate::keepalived::notify::Occasion;
use crate::vrrp::group;
use crate::vrrp::machine::{Action, Event, StateKind};
use crate::vrrp::neighbour;
use crate::vrrp::note::Note;
use std::io;
use std::net::IpAddr;
use std::time::{Instant, SystemTime};

/// Groups pull their members at most this often in one turn; more would be a circle.
const ROUNDS: usize = 64;

impl Process {
    /// Hands an event to the machine at `at`.
    pub(super) fn send_event(&mut self, at: usize, now: Instant, event: Event) {
        if let Some(seat) = self.seats.get_mut(at) {
            self.recorder.event(now, &seat.instance, &event);
            seat.machine.handle(now, event);
        }
    }

    /// Does what the machines want, in order, until none wants anything.
    pub(super) fn act(&mut self, now: Instant) {
        for _ in 0..ROUNDS {
            let mut idle = true;
            for at in 0..self.seats.len() {
                while let Some(action) = self.seats.get_mut(at).and_then(|seat| seat.machine.poll_action()) {
                    idle = false;
                    self.perform(at, now, action);
                }
            }
            if idle {
                break;
            }
        }
        self.tell_groups();
    }

    /// Tells of groups whose members are all in a new state; after its members, as keepalived does.
    fn tell_groups(&mut self) {
        for (name, state) in std::mem::take(&mut self.changed_groups) {
            let Some(group) = self.site.groups.iter().find(|group| group.name == name) else { continue };
            let members = self.seats.iter().filter(|seat| group.members.contains(&seat.instance.name));
            if group::state(members.map(|seat| seat.machine.state())) == state {
                self.notifier.group(group, state, &self.journal);
            }
        }
    }

    fn perform(&mut self, at: usize, now: Instant, action: Action) {
        let Some(seat) = self.seats.get(at) else { return };
        self.recorder.action(&seat.instance.name, &action);
        match action {
            Action::Advertise(priority) => self.advertise(at, priority),
            Action::AddAddresses => self.add_addresses(at),
            Action::RemoveAddresses => self.remove_addresses(at),
            // What the kernel refused is not here, so nobody is told that it is.
            Action::Announcing(ip) | Action::Announce(ip) if !seat.held.iter().any(|held| held.ip == ip) => {}
            Action::Announcing(ip) => {
                let name = &seat.instance.name;
                let what = if ip.is_ipv6() { "Unsolicited Neighbour Adverts" } else { "gratuitous ARPs" };
                let device = device(seat, ip);
                self.journal.detail(format!("({name}) Sending/queueing {what} on {device} for {ip}"));
            }
            Action::Announce(ip) => {
                let device = device(seat, ip).to_owned();
                self.announce(&device, ip, true);
            }
            Action::AnnounceSource => {
                if let Some(source) = seat.source {
                    let kind = if source.is_ipv4() { "ARP" } else { "NA" };
                    self.journal.detail(format!("{}: sending gratuitous {kind} for {source}", seat.instance.name));
                    let device = seat.instance.interface.clone();
                    self.announce(&device, source, false);
                }
            }
            Action::Note(note) => self.note(at, &note),
            Action::Changed(state) => self.changed(at, now, state),
            Action::HeardLower => {
                self.notify(at, Occasion::HeardLower);
                for other in self.companions(at) {
                    self.send_event(other, now, Event::GroupHeardLower);
                }
            }
            Action::Ready => {
                let ready = |at: &usize| self.seats.get(*at).is_some_and(|seat| seat.machine.is_ready());
                if group::elects(self.companions(at).iter().map(ready)) {
                    self.send_event(at, now, Event::Follow(StateKind::Master));
                }
            }
        }
    }

    /// Differs from keepalived: that priority 0 was sent is said only when it was. [test: a_farewell_that_cannot_be_sent_is_not_claimed]
    fn note(&mut self, at: usize, note: &Note) {
        let Some(seat) = self.seats.get(at) else { return };
        if *note == Note::SentZero && !seat.sent {
            return;
        }
        let line = format!("({}) {note}", seat.instance.name);
        if note.is_detail() {
            self.journal.detail(line);
        } else {
            self.journal.say(line);
        }
        if let Note::PriorityChanged { to, master, .. } = *note
            && seat.instance.notify_priority_changes
        {
            self.notifier.instance(&seat.instance, Occasion::Priority { master }, to, &self.journal);
        }
    }

    /// Puts the addresses of the instance at `at` on their interfaces.
    fn add_addresses(&mut self, at: usize) {
        let Some(seat) = self.seats.get_mut(at) else { return };
        for address in &seat.instance.addresses {
            let Some(wanted) = wanted(&self.world, &seat.instance.interface, address) else { continue };
            match wanted.add(&mut self.commands) {
                Ok(()) if !seat.held.contains(&wanted) => seat.held.push(wanted),
                Ok(()) => {}
                Err(error) => {
                    let (code, words) = cause(&error);
                    let (sequence, pid) = (self.commands.sequence(), std::process::id());
                    let text = format!("type=RTM_NEWADDR(20), seq={sequence}, pid={pid}");
                    self.journal.say(format!("Netlink: error: {words}({code}), {text}"));
                }
            }
        }
    }

    /// Takes away what was put, whatever its interface is called by now.
    fn remove_addresses(&mut self, at: usize) {
        let Some(seat) = self.seats.get_mut(at) else { return };
        if self.start.keep_addresses && seat.machine.state() == StateKind::Initialise {
            return;
        }
        for held in seat.held.drain(..) {
            part(&mut self.parting, held.ip);
            if let Err(error) = held.remove(&mut self.commands) {
                let (name, words) = (&seat.instance.name, reason(&error));
                self.journal.say(format!("({name}) Unable to remove {} - {words}", held.ip));
            }
        }
    }

    /// Static addresses, held from start to stop.
    pub(super) fn hold_static_addresses(&mut self, add: bool) {
        let addresses = self.site.root.addresses.clone();
        self.hold_static(&addresses, add);
    }

    /// Puts some static addresses on their interfaces, or takes them away.
    pub(super) fn hold_static(&mut self, addresses: &[Address], add: bool) {
        let default = self.site.static_device();
        for address in addresses {
            let outcome = match wanted(&self.world, &default, address) {
                Some(wanted) if add => wanted.add(&mut self.commands),
                Some(wanted) => {
                    part(&mut self.parting, wanted.ip);
                    wanted.remove(&mut self.commands)
                }
                None => Err(io::Error::from_raw_os_error(nix::errno::Errno::ENODEV as i32)),
            };
            if let Err(error) = outcome {
                self.journal.say(format!("Static address {}: {}", address.ip, reason(&error)));
            }
        }
    }

    fn announce(&mut self, name: &str, ip: IpAddr, says: bool) {
        let Some(link) = self.world.link(name) else { return };
        // A link without an Ethernet address has no neighbours to tell.
        let Some(mac) = link.mac else { return };
        let frame = match ip {
            IpAddr::V4(ip) => neighbour::gratuitous_arp(mac, ip),
            IpAddr::V6(ip) => neighbour::unsolicited_na(mac, ip, forwards(name)),
        };
        let Some(port) = self.world.port(name) else { return };
        let what = if ip.is_ipv6() { "unsolicited Neighbour Advert" } else { "gratuitous ARP" };
        match self.frames.send(&port, &frame) {
            Ok(()) if says => self.journal.detail(format!("Sending {what} on {name} for {ip}")),
            Ok(()) => {}
            Err(error) => {
                let (code, text) = cause(&error);
                self.journal.say(format!("Error {code} ({text}) sending {what} on {name} for {ip}"));
            }
        }
    }

    fn changed(&mut self, at: usize, now: Instant, state: StateKind) {
        if let Some(seat) = self.seats.get_mut(at) {
            seat.since = SystemTime::now();
            if seat.retired {
                return;
            }
        }
        self.notify(at, Occasion::State(state));
        self.pull(at, now, state);
    }

    /// The other members of the group of the instance at `at`.
    pub(super) fn companions(&self, at: usize) -> Vec<usize> {
        let Some(name) = self.seats.get(at).map(|seat| &seat.instance.name) else { return Vec::new() };
        let Some(group) = self.site.groups.iter().find(|group| group.members.contains(name)) else { return Vec::new() };
        let member = |other: &usize| {
            *other != at && self.seats.get(*other).is_some_and(|seat| group.members.contains(&seat.instance.name))
        };
        (0..self.seats.len()).filter(member).collect()
    }

    /// The other members of the group of the instance at `at` follow it.
    fn pull(&mut self, at: usize, now: Instant, state: StateKind) {
        let Some(name) = self.seats.get(at).map(|seat| seat.instance.name.clone()) else { return };
        let Some(group) = self.site.groups.iter().find(|group| group.members.contains(&name)).cloned() else { return };
        let members = self.companions(at);
        let state_of = |this: &Self, at: usize| this.seats.get(at).map(|seat| seat.machine.state());
        let waits = |this: &Self, at: usize| this.seats.get(at).is_some_and(|seat| seat.machine.has_waited());
        let behind: Vec<usize> = members
            .iter()
            .copied()
            .filter(|one| state_of(self, *one).is_some_and(|own| group::follows((own, waits(self, *one)), state)))
            .collect();
        if !behind.is_empty() {
            let word = Occasion::State(state).word();
            self.journal.say(format!("VRRP_Group({}) Syncing instances to {word} state", group.name));
            for one in behind {
                self.send_event(one, now, Event::Follow(state));
            }
        }
        self.changed_groups.push((group.name, state));
    }
}

/// Remembers that an address is taken away on purpose.
pub(super) fn part(parting: &mut Vec<IpAddr>, ip: IpAddr) {
    if !parting.contains(&ip) {
        parting.push(ip);
    }
}

fn device(seat: &Seat, ip: IpAddr) -> &str {
    let listed = seat.instance.addresses.iter().find(|address| address.ip == ip);
    listed.and_then(dev).unwrap_or(&seat.instance.interface)
}

fn dev(address: &Address) -> Option<&str> {
    address.dev.as_deref()
}

fn forwards(interface: &str) -> bool {
    let path = format!("/proc/sys/net/ipv6/conf/{interface}/forwarding");
    std::fs::read_to_string(path).is_ok_and(|text| text.trim() == "1")
}
