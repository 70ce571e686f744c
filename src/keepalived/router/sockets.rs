//! The routers' sockets: opened when needed, closed when nobody needs them, and what goes through them.
//!
//! A router without sockets is in fault: it can neither hear another master nor tell of itself.

use super::{PACKETS_A_TURN, Process, Seat};
use crate::keepalived::channel::{Channel, Key};
use crate::keepalived::journal::cause;
use crate::kernel::packet::{Listen, OpenError, Port};
use crate::vrrp::machine::Event;
use crate::vrrp::wire::{self, Datagram};
use std::io;
use std::time::{Duration, Instant};

/// Between two attempts to open sockets.
const RETRY: Duration = Duration::from_secs(1);

impl Process {
    /// The sockets the router of `seat` needs; nothing while its interface or its address is missing.
    fn key(&self, seat: &Seat) -> Option<Key> {
        Key::of(&seat.instance, self.world.port(&seat.instance.interface)?, seat.source)
    }

    /// Whether the router of `seat` has the sockets it needs.
    pub(super) fn has_channel(&self, seat: &Seat) -> bool {
        self.key(seat).is_some_and(|key| self.channels.iter().any(|channel| channel.key == key))
    }

    /// Opens the sockets that are missing; those that could not be opened are tried again, at most once a second.
    ///
    /// Differs from keepalived: it never tries again. [test: a_router_whose_sockets_cannot_be_opened_is_in_fault]
    pub(super) fn open_channels(&mut self, now: Instant) {
        let due = self.retry_at.is_none_or(|at| at <= now);
        for at in 0..self.seats.len() {
            let Some(key) = self.seats.get(at).and_then(|seat| self.key(seat)) else { continue };
            if let Some(seat) = self.seats.get_mut(at)
                && seat.key.as_ref() != Some(&key)
            {
                // The old sockets stay for a farewell, until the next `close_channels`.
                seat.key = Some(key.clone());
                seat.refused = None;
            }
            let refused = self.seats.get(at).is_some_and(|seat| seat.refused.is_some());
            if (refused && !due) || self.channels.iter().any(|channel| channel.key == key) {
                continue;
            }
            let outcome = Channel::open(key.clone()).map(|channel| self.channels.push(channel));
            self.opened(at, &key, outcome);
        }
        let waiting = self.seats.iter().any(|seat| seat.refused.is_some());
        self.retry_at = waiting.then(|| self.retry_at.filter(|at| *at > now).unwrap_or(now + RETRY));
    }

    /// Remembers whether a router got its sockets; a reason that stays the same is said once.
    fn opened(&mut self, at: usize, key: &Key, outcome: Result<(), OpenError>) {
        let Some(seat) = self.seats.get_mut(at) else { return };
        let error = match outcome {
            Ok(()) => return seat.refused = None,
            Err(error) => error,
        };
        let (OpenError::Join(reason) | OpenError::Bind(reason) | OpenError::Socket(reason)) = &error;
        let (code, text) = cause(reason);
        if seat.refused.replace(code) == Some(code) {
            return;
        }
        let interface = &key.port.name;
        let (Listen::Group(ip) | Listen::Address(ip)) = key.listen;
        self.journal.say(match error {
            OpenError::Join(_) if ip.is_ipv4() => {
                format!("({interface}) cant do IP_ADD_MEMBERSHIP errno={text} ({code})")
            }
            OpenError::Join(_) => format!("({interface}) cant do IPV6_ADD_MEMBERSHIP errno={text} ({code})"),
            OpenError::Bind(_) => format!("bind unicast_src {ip} failed {code} - {text}"),
            OpenError::Socket(_) => format!("cant open raw socket. errno={code}"),
        });
    }

    /// Closes the sockets no router uses.
    pub(super) fn close_channels(&mut self) {
        let seats = &self.seats;
        self.channels.retain(|channel| seats.iter().any(|seat| seat.key.as_ref() == Some(&channel.key)));
    }

    /// keepalived's lines about the sockets, those that could not be opened included.
    pub(super) fn describe_channels(&self) {
        let mut seen: Vec<Key> = Vec::new();
        for seat in &self.seats {
            let absent = || Port { name: seat.instance.interface.clone(), index: 0 };
            let port = self.world.port(&seat.instance.interface).unwrap_or_else(absent);
            let Some(key) = Key::of(&seat.instance, port, seat.source).filter(|key| !seen.contains(key)) else {
                continue;
            };
            let open = self.channels.iter().find(|channel| channel.key == key);
            self.journal.detail(key.describe(open.map_or((-1, -1), Channel::descriptors)));
            seen.push(key);
        }
    }

    /// Takes the packets that have come.
    pub(super) fn hear_packets(&mut self) {
        let mut heard = Vec::new();
        for channel in &self.channels {
            for _ in 0..PACKETS_A_TURN {
                let Some(received) = channel.receive() else { break };
                match received {
                    Ok(datagram) => heard.push((channel.key.clone(), datagram)),
                    Err(refusal) => self.journal.say(refusal.to_string()),
                }
            }
        }
        let now = Instant::now();
        for (key, datagram) in heard {
            self.hear(now, &key, datagram);
        }
    }

    fn hear(&mut self, now: Instant, key: &Key, datagram: Datagram) {
        let vrid = wire::vrid(&datagram.payload);
        let ours = |seat: &Seat| Some(seat.instance.router.vrid) == vrid && seat.key.as_ref() == Some(key);
        let Some(at) = self.seats.iter().position(ours) else {
            if self.site.global.log_unknown_vrids == Some(true) {
                let (vrid, name) = (vrid.unwrap_or_default(), &key.port.name);
                self.journal.say(format!("Unknown VRID({vrid}) received on interface({name}). ignoring..."));
            }
            return;
        };
        let group = matches!(key.listen, Listen::Group(_));
        if key.is_ipv6() && datagram.destination.is_some_and(|to| to.is_multicast() != group) {
            // An IPv6 socket gets both kinds, whatever it is bound to.
            let name = self.seats.get(at).map_or("", |seat| &seat.instance.name);
            let (own, other) = if group { ("mult", "un") } else { ("un", "mult") };
            self.journal.detail(format!("({name}) discarding {other}icast packet on {own}icast instance"));
            return;
        }
        self.send_event(at, now, Event::Received(datagram));
        self.act(now);
    }

    /// Sends an advert. Priority 0 still goes out from an address that has just been taken away.
    ///
    /// Differs from keepalived: an error of sending that stays the same is said once. [test: an_error_of_sending_is_said_once]
    pub(super) fn advertise(&mut self, at: usize, priority: u8) {
        let Some(seat) = self.seats.get_mut(at) else { return };
        seat.sent = false;
        let source = seat.source.or_else(|| seat.last_source.filter(|_| priority == 0));
        let channel = seat.key.as_ref().and_then(|key| self.channels.iter().find(|channel| channel.key == *key));
        let (Some(channel), Some(source)) = (channel, source) else { return };
        seat.id = seat.id.wrapping_add(1).max(1);
        let failures = channel.advertise(&seat.instance, source, (priority, seat.id));
        let destinations = seat.instance.router.peers.len().max(1);
        seat.sent = failures.len() < destinations;
        let up = self.world.is_up(&seat.instance.interface);
        let codes: Vec<i32> = failures.iter().map(|(_, error)| error.raw_os_error().unwrap_or_default()).collect();
        if seat.failing != codes {
            let name = &seat.instance.name;
            for (peer, error) in failures.iter().filter(|(_, error)| priority != 0 || up || !is_unreachable(error)) {
                let (number, text) = cause(error);
                self.journal.say(match seat.instance.group {
                    Some(_) => format!("({name}): send advert error {number} ({text})"),
                    None => format!("({name}) Cant send advert to {peer} ({text})"),
                });
            }
        }
        seat.failing = codes;
    }
}

fn is_unreachable(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NetworkUnreachable
}
