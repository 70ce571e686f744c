//! Actions of the machines, done.

use super::{InstanceState, Process};
use crate::keepalived::blocks::address::Address;
use crate::keepalived::log::cause;
use crate::keepalived::site::Instance;
use crate::vrrp::config::Checksum;
use crate::vrrp::machine::Action;
use crate::vrrp::neighbour;
use crate::vrrp::node::{Act, Occasion, RouterId, Subject};
use crate::vrrp::note::Note;
use std::net::IpAddr;
use std::sync::Arc;

impl Process {
    /// Does what the node wants, in order.
    pub(super) fn perform_acts(&mut self) {
        while let Some(act) = self.node.poll_act() {
            self.perform(act);
        }
    }

    fn perform(&mut self, act: Act) {
        match act {
            Act::Took(RouterId(at), now, event) => {
                if let Some(seat) = self.seats.get(at) {
                    self.recorder.event(now, &seat.instance, &event);
                }
            }
            Act::Due(RouterId(at), now) => {
                if let Some(seat) = self.seats.get(at) {
                    self.recorder.timeout(now, &seat.instance.name);
                }
            }
            Act::Router(RouterId(at), action) => self.action(at, action),
            Act::Notify(subject, occasion) => self.notify(subject, occasion),
            Act::Faulty(RouterId(at)) => {
                if let Some(seat) = self.seats.get(at) {
                    self.explain_fault(seat);
                }
            }
            Act::GroupFaulty(group, RouterId(at)) => {
                if let (Some(group), Some(seat)) = (self.site.groups.get(group.0), self.seats.get(at)) {
                    let (group, name) = (&group.name, &seat.instance.name);
                    self.log.say(format!("VRRP_Group({group}): Syncing {name} to FAULT state"));
                }
            }
            Act::Syncing(group, state) => {
                if let Some(group) = self.site.groups.get(group.0) {
                    for seat in self.seats.iter_mut().filter(|seat| group.members.contains(&seat.instance.name)) {
                        seat.history.expect(state, format!("group {}", group.name));
                    }
                    let word = Occasion::State(state).word();
                    self.log.say(format!("VRRP_Group({}) Syncing instances to {word} state", group.name));
                }
            }
        }
    }

    fn notify(&mut self, subject: Subject, occasion: Occasion) {
        match (subject, occasion) {
            (Subject::Group(group), Occasion::State(state)) => {
                if let Some(group) = self.site.groups.get(group.0) {
                    self.notifier.group(group, state, self.site.mails(group.smtp_alert), &self.log);
                }
            }
            (Subject::Router(RouterId(at), priority), _) => {
                let wants = |instance: &Instance| {
                    !matches!(occasion, Occasion::Priority { .. }) || instance.notify_priority_changes
                };
                if let Some(seat) = self.seats.get(at).filter(|seat| wants(&seat.instance)) {
                    self.notifier.instance(&seat.instance, occasion, priority, &self.log);
                    if let Occasion::State(state) = occasion {
                        self.sync.follow(&seat.instance.name, state, &self.log);
                    }
                }
            }
            (Subject::Group(_), _) => {}
        }
    }

    fn action(&mut self, at: usize, action: Action) {
        let Some(seat) = self.seats.get_mut(at) else { return };
        self.recorder.action(&seat.instance.name, &action);
        if matches!(action, Action::Hold | Action::Release | Action::Note(Note::PriorityChanged { .. })) {
            self.reporting.note_change_of(at);
        }
        match action {
            Action::Advertise(priority, sequence) => self.advertise(at, priority, sequence),
            Action::Hold => self.hold(at),
            Action::Release => self.release(at),
            // What the kernel refused is not here, so nobody is told that it is.
            Action::Announcing(ip) | Action::Announce(ip) if !seat.held.addresses.iter().any(|held| held.ip == ip) => {}
            Action::Announcing(ip) => {
                let name = &seat.instance.name;
                let what = if ip.is_ipv6() { "Unsolicited Neighbour Adverts" } else { "gratuitous ARPs" };
                let device = device(seat, ip);
                self.log.detail_of(name, format_args!("Sending/queueing {what} on {device} for {ip}"));
            }
            Action::Announce(ip) => {
                seat.history.announced += 1;
                let device = device(seat, ip).to_owned();
                let instance = seat.instance.clone();
                let interface = if device == instance.device() { &instance.interface } else { &device };
                self.announce_in_turn((interface, &device), ip);
            }
            Action::AnnounceSource => {
                if let Some(source) = seat.source {
                    let kind = if source.is_ipv4() { "ARP" } else { "NA" };
                    self.log.detail(format!("{}: sending gratuitous {kind} for {source}", seat.instance.name));
                    let device = seat.instance.interface.clone();
                    self.announce(&device, source, false);
                }
            }
            Action::Note(note) => {
                seat.history.hear(&note);
                if !matches!(note, Note::EnteringFault { .. }) {
                    self.say_cleared();
                }
                self.note(at, &note);
            }
            Action::Changed(state) => self.changed_state(at, state),
            Action::OldChecksum => {
                let instance = Arc::make_mut(&mut seat.instance);
                Arc::make_mut(&mut instance.router).checksum = Checksum::Detected;
            }
            // The node has done what follows from these.
            Action::HeardLower | Action::Ready => {}
        }
    }

    /// Differs from keepalived: that priority 0 was sent is said only when it was. [test: a_farewell_that_cannot_be_sent_is_not_claimed]
    fn note(&self, at: usize, note: &Note) {
        let Some(seat) = self.seats.get(at) else { return };
        if *note == Note::SentZero && !seat.sent {
            return;
        }
        let name = &seat.instance.name;
        if note.is_detail() {
            self.log.detail_of(name, note);
        } else {
            self.log.say_of(name, note);
        }
    }

    pub(super) fn announce(&mut self, name: &str, ip: IpAddr, says: bool) {
        let Some(link) = self.interfaces.link(name) else { return };
        // A link without an Ethernet address has no neighbours to tell.
        let Some(mac) = link.mac else { return };
        let frame = match ip {
            IpAddr::V4(ip) => neighbour::gratuitous_arp(mac, ip),
            IpAddr::V6(ip) => neighbour::unsolicited_na(mac, ip, forwards(name)),
        };
        let Some(port) = self.interfaces.port(name) else { return };
        let what = if ip.is_ipv6() { "unsolicited Neighbour Advert" } else { "gratuitous ARP" };
        match self.frames.send(&port, &frame) {
            Ok(()) if says => self.log.detail(format!("Sending {what} on {name} for {ip}")),
            Ok(()) => {}
            Err(error) => {
                let (code, text) = cause(&error);
                self.log.say(format!("Error {code} ({text}) sending {what} on {name} for {ip}"));
            }
        }
    }
}

/// Remembers that an address is taken away on purpose.
pub(super) fn part(parting: &mut Vec<IpAddr>, ip: IpAddr) {
    if !parting.contains(&ip) {
        parting.push(ip);
    }
}

fn device(seat: &InstanceState, ip: IpAddr) -> &str {
    let listed = seat.instance.addresses.iter().find(|address| address.ip == ip);
    listed.and_then(dev).unwrap_or_else(|| seat.instance.device())
}

fn dev(address: &Address) -> Option<&str> {
    address.dev.as_deref()
}

fn forwards(interface: &str) -> bool {
    let path = format!("/proc/sys/net/ipv6/conf/{interface}/forwarding");
    std::fs::read_to_string(path).is_ok_and(|text| text.trim() == "1")
}
