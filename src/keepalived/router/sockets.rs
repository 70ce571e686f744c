//! The routers' sockets: opened when needed, closed when nobody needs them, and what goes through them.
//!
//! A router without sockets is in fault: it can neither hear another master nor tell of itself.

use super::{InstanceState, PACKETS_A_TURN, Process, Source};
use crate::keepalived::channel::{Channel, Key, clock};
use crate::keepalived::log::cause;
use crate::keepalived::site::What;
use crate::kernel::packet::{Interface, Listen, OpenError};
use crate::vrrp::node::{Fact, Node, Reading, RouterId, Socket, ThingId};
use crate::vrrp::wire::{self, Datagram, Numbers};
use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

/// Between two attempts to open sockets.
const RETRY: Duration = Duration::from_secs(1);

impl Process {
    /// The sockets the router of `seat` needs; nothing while its interface or its address is missing.
    fn key(&self, seat: &InstanceState) -> Option<Key> {
        Key::of(&seat.instance, self.interfaces.port(seat.instance.port())?, seat.source)
    }

    /// Whether the router of `seat` can speak.
    ///
    /// Differs from keepalived: `track_src_ip` is looked at from the start. [test: a_source_that_is_tracked_must_be_there]
    fn socket(&self, seat: &InstanceState) -> Socket {
        let instance = &seat.instance;
        let there = match instance.source {
            Some(source) if instance.track_source => self.interfaces.holds(&instance.interface, source),
            _ => seat.source.is_some(),
        };
        let open = seat.key.as_ref().is_some_and(|key| self.pool.get(key).is_some());
        match () {
            () if instance.closed || instance.lacks_peers => Socket::Missing,
            () if seat.refused.is_some() => Socket::Refused,
            () if there && open => Socket::Open,
            () => Socket::Missing,
        }
    }

    /// Finds the routers' addresses and opens their sockets, where links and addresses changed or it is time to try again;
    /// tells the node of both, and of tracked interfaces. Whether anything was looked at.
    pub(super) fn look_at_kernel(&mut self, now: Instant) -> bool {
        let due = self.retry_at.is_none_or(|at| at <= now);
        if !std::mem::take(&mut self.changed) && (self.retry_at.is_none() || !due) {
            return false;
        }
        self.reporting.note_change();
        self.find_sources(now);
        self.open_channels(now, due);
        for (at, seat) in self.seats.iter().enumerate() {
            self.node.tell(now, Fact::Socket(RouterId(at), self.socket(seat)));
        }
        for (at, what) in self.things.iter().enumerate() {
            if let What::Interface(name) = what {
                let reading = if self.interfaces.is_up(name) { Reading::Good } else { Reading::Bad };
                self.node.tell(now, Fact::Reading(ThingId(at), reading));
            }
        }
        true
    }

    /// Tells the node the address each router's adverts carry, if that changed.
    fn find_sources(&mut self, now: Instant) {
        for at in 0..self.seats.len() {
            let source = self.seats.get(at).and_then(|seat| self.source(&seat.instance));
            let Some(seat) = self.seats.get_mut(at).filter(|seat| seat.source != source) else { continue };
            seat.source = source;
            seat.last_source = source.or(seat.last_source);
            self.node.tell(now, Fact::Source(RouterId(at), source));
        }
    }

    /// Opens the sockets that are missing; those that could not be opened are tried again, at most once a second.
    ///
    /// Differs from keepalived: it never tries again. [test: a_router_whose_sockets_cannot_be_opened_is_in_fault]
    fn open_channels(&mut self, now: Instant, due: bool) {
        for at in 0..self.seats.len() {
            let key = self.seats.get(at).and_then(|seat| self.key(seat));
            let Some(seat) = self.seats.get_mut(at) else { continue };
            let Some(key) = key else { continue };
            if seat.key.as_ref() != Some(&key) {
                // The old sockets stay for a farewell, until the next `close_channels`.
                seat.key = Some(key.clone());
                seat.refused = None;
            }
            if self.pool.get(&key).is_some() {
                seat.refused = None;
            } else if seat.refused.is_none() || due {
                let outcome = Channel::open(key.clone()).map(|channel| self.pool.insert(channel));
                self.opened(at, &key, outcome);
            }
        }
        let waiting = self.seats.iter().any(|seat| seat.refused.is_some());
        self.retry_at = waiting.then(|| self.retry_at.filter(|at| *at > now).unwrap_or(now + RETRY));
        self.pool.iter_mut().for_each(|channel| channel.routers.clear());
        for (at, seat) in self.seats.iter().enumerate() {
            if let Some(channel) = seat.key.as_ref().and_then(|key| self.pool.get_mut(key)) {
                channel.routers.insert(seat.instance.router.vrid, RouterId(at));
            }
        }
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
        self.log.say(match error {
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
        let used: BTreeSet<&Key> = self.seats.iter().filter_map(|seat| seat.key.as_ref()).collect();
        self.pool.retain(|channel| used.contains(&channel.key));
    }

    /// keepalived's lines about the sockets, those that could not be opened included.
    pub(super) fn describe_channels(&self) {
        let mut seen: Vec<Key> = Vec::new();
        for seat in &self.seats {
            let absent = || Interface { name: seat.instance.port().to_owned(), index: 0 };
            let port = self.interfaces.port(seat.instance.port()).unwrap_or_else(absent);
            let Some(key) = Key::of(&seat.instance, port, seat.source).filter(|key| !seen.contains(key)) else {
                continue;
            };
            let open = self.pool.get(&key);
            self.log.detail(key.describe(open.map_or((-1, -1), Channel::descriptors)));
            seen.push(key);
        }
    }

    /// Takes the packets that have come on the sockets that are ready.
    pub(super) fn hear_packets(&mut self, ready: &[Source]) {
        let mut heard = Vec::new();
        for source in ready {
            let Source::Channel(serial) = source else { continue };
            let Some(channel) = self.pool.numbered(*serial) else { continue };
            for _ in 0..PACKETS_A_TURN {
                let Some(received) = channel.receive() else { break };
                match received {
                    Ok(datagram) => heard.push((*serial, datagram)),
                    Err(refusal) => self.log.say(refusal.to_string()),
                }
            }
        }
        let now = Instant::now();
        for (serial, datagram) in heard {
            self.hear(now, serial, datagram);
        }
    }

    fn hear(&mut self, now: Instant, serial: u64, datagram: Datagram) {
        if self.start.detect_conflicts
            && let Some(interface) = self.pool.numbered(serial).map(|channel| channel.key.port.name.clone())
        {
            self.look_for_conflict(now, &interface, &datagram);
        }
        let Some(channel) = self.pool.numbered(serial) else { return };
        let vrid = wire::vrid(&datagram.payload).unwrap_or_default();
        let Some(router) = channel.routers.get(&vrid).copied() else {
            if self.site.global.log_unknown_vrids == Some(true) {
                let name = &channel.key.port.name;
                self.log.say(format!("Unknown VRID({vrid}) received on interface({name}). ignoring..."));
            }
            return;
        };
        let group = matches!(channel.key.listen, Listen::Group(_));
        if channel.key.is_ipv6() && datagram.destination.is_some_and(|to| to.is_multicast() != group) {
            // An IPv6 socket gets both kinds, whatever it is bound to.
            let name = self.seats.get(router.0).map_or("", |seat| &seat.instance.name);
            let (own, other) = if group { ("mult", "un") } else { ("un", "mult") };
            self.log.detail_of(name, format_args!("discarding {other}icast packet on {own}icast instance"));
            return;
        }
        let master = |node: &Node| node.router(router).and_then(|one| one.heard().map(|it| (it.source, it.priority)));
        let before = master(&self.node);
        self.node.tell(now, Fact::Heard(router, datagram));
        if master(&self.node) != before {
            self.reporting.note_change_of(router.0);
        }
        self.perform_acts();
    }

    /// Sends an advert. Priority 0 still goes out from an address that has just been taken away.
    ///
    /// Differs from keepalived: an error of sending that stays the same is said once. [test: an_error_of_sending_is_said_once]
    pub(super) fn advertise(&mut self, at: usize, priority: u8, sequence: u32) {
        let Some(seat) = self.seats.get_mut(at) else { return };
        seat.sent = false;
        let source = seat.source.or_else(|| seat.last_source.filter(|_| priority == 0));
        let channel = seat.key.as_ref().and_then(|key| self.pool.get(key));
        let (Some(channel), Some(source)) = (channel, source) else { return };
        seat.id = seat.id.wrapping_add(1).max(1);
        if let Some(hmac) = &seat.instance.router.hmac {
            seat.trailer = hmac.next(seat.trailer, clock());
        }
        let numbers = Numbers { ah: sequence, hmac: seat.trailer };
        let failures = channel.advertise(&seat.instance, source, (priority, seat.id, numbers));
        let destinations = seat.instance.router.peers.len().max(1);
        seat.sent = failures.len() < destinations;
        seat.history.failed += u64::from(!failures.is_empty());
        let codes: Vec<i32> = failures.iter().map(|(_, error)| error.raw_os_error().unwrap_or_default()).collect();
        if seat.failing != codes {
            let name = &seat.instance.name;
            let up = self.interfaces.is_up(seat.instance.device());
            for (peer, error) in failures.iter().filter(|(_, error)| priority != 0 || up || !is_unreachable(error)) {
                let (number, text) = cause(error);
                self.log.say(match seat.instance.group {
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
