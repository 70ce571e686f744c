//! Actions of the machines, done.

use super::{Process, Seat, wanted};
use crate::keepalived::blocks::address::Address;
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
                return;
            }
        }
    }

    fn perform(&mut self, at: usize, now: Instant, action: Action) {
        let Some(seat) = self.seats.get(at) else { return };
        self.recorder.action(&seat.instance.name, &action);
        match action {
            Action::Advertise(priority) => self.advertise(at, priority),
            Action::AddAddresses => self.addresses(at, true),
            Action::RemoveAddresses => self.addresses(at, false),
            Action::Announcing(ip) => {
                let name = &seat.instance.name;
                let what = if ip.is_ipv6() { "unsolicited Neighbour Adverts" } else { "gratuitous ARPs" };
                let device = device(seat, ip);
                self.journal.detail(format!("({name}) Sending/queueing {what} on {device} for {ip}"));
            }
            Action::Announce(ip) => {
                let device = device(seat, ip).to_owned();
                self.announce(&device, ip, true);
            }
            Action::AnnounceSource => {
                if let Some(source) = seat.source.filter(IpAddr::is_ipv4) {
                    self.journal.detail(format!("{}: sending gratuitous ARP for {source}", seat.instance.name));
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

    fn note(&mut self, at: usize, note: &Note) {
        let Some(seat) = self.seats.get(at) else { return };
        let line = format!("({}) {note}", seat.instance.name);
        if note.is_detail() {
            self.journal.detail(line);
        } else {
            self.journal.say(line);
        }
        if matches!(note, Note::PriorityChanged { .. }) && seat.instance.notify_priority_changes {
            let state = seat.machine.state();
            self.notify(at, Occasion::Priority(state));
        }
    }

    /// Differs from keepalived: an error of sending that stays the same is said once. [test: an_error_of_sending_is_said_once]
    fn advertise(&mut self, at: usize, priority: u8) {
        let Some(seat) = self.seats.get_mut(at) else { return };
        let ipv6 = seat.instance.router.is_ipv6();
        let name = &seat.instance.interface;
        let channel = self.channels.iter().find(|channel| channel.port.name == *name && channel.ipv6 == ipv6);
        let (Some(channel), Some(source)) = (channel, seat.source) else { return };
        seat.id = seat.id.wrapping_add(1).max(1);
        let outcome = channel.advertise(&seat.instance, source, (priority, seat.id));
        let code = outcome.as_ref().err().map(|error| error.raw_os_error().unwrap_or_default());
        if let Err(error) = outcome
            && seat.failing != code
        {
            let (number, text) = cause(&error);
            self.journal.say(format!("({}): send advert error {number} ({text})", seat.instance.name));
        }
        seat.failing = code;
    }

    fn addresses(&mut self, at: usize, add: bool) {
        let Some(seat) = self.seats.get(at) else { return };
        if !add && self.start.keep_addresses && seat.machine.state() == StateKind::Initialise {
            return;
        }
        for address in &seat.instance.addresses {
            let Some(wanted) = wanted(&self.world, &seat.instance.interface, address) else { continue };
            let outcome = if add {
                wanted.add(&mut self.commands)
            } else {
                part(&mut self.parting, address.ip);
                wanted.remove(&mut self.commands)
            };
            if let Err(error) = outcome {
                let verb = if add { "add" } else { "remove" };
                self.journal.say(format!("({}) Unable to {verb} {} - {error}", seat.instance.name, address.ip));
            }
        }
    }

    /// Static addresses, held from start to stop.
    pub(super) fn hold_static_addresses(&mut self, add: bool) {
        let default = self.site.global.default_interface.clone().unwrap_or_else(|| "eth0".to_owned());
        for address in &self.site.root.addresses {
            let outcome = match wanted(&self.world, &default, address) {
                Some(wanted) if add => wanted.add(&mut self.commands),
                Some(wanted) => wanted.remove(&mut self.commands),
                None => Err(io::Error::from_raw_os_error(nix::errno::Errno::ENODEV as i32)),
            };
            if let Err(error) = outcome {
                self.journal.say(format!("Static address {}: {error}", address.ip));
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
        let whole = group::state(members.into_iter().chain([at]).filter_map(|one| state_of(self, one)));
        if whole == state {
            self.notifier.group(&group, whole, &self.journal);
        }
    }
}

/// An error's number and words, as keepalived tells them.
fn cause(error: &io::Error) -> (i32, String) {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    (error.raw_os_error().unwrap_or_default(), words.to_owned())
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
