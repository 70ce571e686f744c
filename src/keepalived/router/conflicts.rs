//! `--detect-conflicts`: other hosts that hold the addresses of a master, found in adverts, ARP packets and neighbour
//! advertisements.
//!
//! Nothing here changes who is master: a conflict is logged, written to FIFOs, and part of the status.

use super::Process;
use crate::conf::diagnostic::reason;
use crate::keepalived::log::Log;
use crate::kernel::advertisement::AdvertisementListener;
use crate::kernel::arp::{ArpListener, Claim};
use crate::vrrp::conflict::Sign;
use crate::vrrp::node::RouterId;
use crate::vrrp::wire::Datagram;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// A sign that comes again after this time is a conflict: one alone may be the last of a master that has just resigned.
const CONFIRMED: Duration = Duration::from_millis(500);
/// A conflict of which nothing was seen for this time is over.
const OVER: Duration = Duration::from_secs(60);
/// Conflicts of one instance that are kept.
const MOST: usize = 16;
/// Packets of neighbours that are read before other work gets its turn.
const PACKETS: usize = 256;

/// The conflicts of an instance, by the other host.
#[derive(Clone, Debug, Default)]
pub(super) struct Conflicts(BTreeMap<String, Conflict>);

#[derive(Clone, Debug)]
struct Conflict {
    what: String,
    first: Instant,
    last: Instant,
    told: bool,
}

/// What is to be told of conflicts.
#[derive(Clone, Debug, PartialEq, Eq)]
enum News {
    Began(String),
    Over(String),
}

impl Conflicts {
    /// Takes a sign of another host.
    fn see(&mut self, now: Instant, other: &str, what: String) -> Option<News> {
        if self.0.len() >= MOST && !self.0.contains_key(other) {
            return None;
        }
        let fresh = || Conflict { what: String::new(), first: now, last: now, told: false };
        let conflict = self.0.entry(other.to_owned()).or_insert_with(fresh);
        (conflict.what, conflict.last) = (what, now);
        if conflict.told || now < conflict.first + CONFIRMED {
            return None;
        }
        conflict.told = true;
        Some(News::Began(format!("{other} {}", conflict.what)))
    }

    /// Forgets what was not seen for long.
    fn expire(&mut self, now: Instant) -> Vec<News> {
        let old = self.0.extract_if(.., |_, conflict| conflict.last + OVER <= now);
        old.filter(|(_, conflict)| conflict.told).map(|(other, _)| News::Over(other)).collect()
    }

    /// The conflicts there are, in words.
    pub(super) fn shown(&self) -> Vec<String> {
        let told = self.0.iter().filter(|(_, conflict)| conflict.told);
        told.map(|(other, conflict)| format!("{other} {}", conflict.what)).collect()
    }

    /// When one may be over.
    fn poll_timeout(&self) -> Option<Instant> {
        self.0.values().map(|conflict| conflict.last + OVER).min()
    }
}

/// Where other hosts say which addresses they hold.
#[derive(Debug, Default)]
pub(super) struct ClaimListeners {
    arp: Option<ArpListener>,
    advertisements: Option<AdvertisementListener>,
}

impl ClaimListeners {
    fn open(log: &Log) -> Self {
        let refused = |what: &str, error: &io::Error| {
            log.say(format!("Unable to listen for {what} - {}", reason(error)));
        };
        let arp = ArpListener::open().inspect_err(|error| refused("ARP packets", error));
        let advertisements = AdvertisementListener::open();
        let advertisements = advertisements.inspect_err(|error| refused("neighbour advertisements", error));
        Self { arp: arp.ok(), advertisements: advertisements.ok() }
    }

    /// What is to be waited for.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let arp = self.arp.iter().map(AsFd::as_fd);
        arp.chain(self.advertisements.iter().map(AsFd::as_fd))
    }

    /// The next claim, if a packet has come; `None` inside for one that claims nothing.
    fn receive(&self) -> Option<Option<Claim>> {
        let advertised = || self.advertisements.as_ref().and_then(AdvertisementListener::receive);
        self.arp.as_ref().and_then(ArpListener::receive).or_else(advertised)
    }
}

impl Process {
    /// Hears ARP packets and neighbour advertisements from now on, if conflicts are to be found.
    pub(super) fn start_conflicts(&mut self) {
        if self.start.detect_conflicts {
            self.claims = ClaimListeners::open(&self.log);
        }
    }

    /// When a conflict may be over.
    pub(super) fn poll_conflicts(&self) -> Option<Instant> {
        let seats = self.seats.iter().filter(|_| self.start.detect_conflicts);
        seats.filter_map(|seat| seat.conflicts.poll_timeout()).min()
    }

    /// Looks whether an advert shows a conflict. `interface` is where it came in.
    pub(super) fn look_for_conflict(&mut self, now: Instant, interface: &str, datagram: &Datagram) {
        if self.seats.iter().any(|seat| seat.source == Some(datagram.source)) {
            return;
        }
        for at in 0..self.seats.len() {
            let Some(seat) = self.seats.get(at).filter(|_| self.is_master(at)) else { continue };
            let on = [seat.instance.port(), &seat.instance.interface, seat.instance.device()].contains(&interface);
            let same = seat.instance.router.is_ipv6() == datagram.source.is_ipv6();
            if let Some(sign) = (on && same).then(|| Sign::of(datagram, &seat.instance.router)).flatten() {
                self.see_conflict(at, now, (&datagram.source.to_string(), sign.to_string()));
            }
        }
    }

    /// Takes what other hosts claim, if packets have come, and what is over.
    pub(super) fn hear_claims(&mut self, now: Instant, ready: bool) {
        if !self.start.detect_conflicts {
            return;
        }
        for _ in 0..if ready { PACKETS } else { 0 } {
            let Some(received) = self.claims.receive() else { break };
            if let Some(claim) = received {
                self.hear_claim(now, &claim);
            }
        }
        for at in 0..self.seats.len() {
            let master = self.is_master(at);
            let Some(seat) = self.seats.get_mut(at) else { continue };
            if !master {
                seat.conflicts = Conflicts::default();
                continue;
            }
            for news in seat.conflicts.expire(now) {
                self.tell_conflict(at, &news);
            }
        }
    }

    fn hear_claim(&mut self, now: Instant, claim: &Claim) {
        // A frame of our own may come back to another interface of this host.
        if self.interfaces.links().any(|link| link.mac == Some(claim.mac)) {
            return;
        }
        let ip = claim.ip;
        let bases = |index: u32| {
            let link = self.interfaces.links().find(|link| link.index == index);
            [Some(index), link.map(|link| self.interfaces.base(link))]
        };
        let held = |at: &usize| {
            let seat = self.seats.get(*at).filter(|_| self.is_master(*at));
            let mut addresses = seat.into_iter().flat_map(|seat| &seat.held.addresses);
            addresses.any(|held| held.ip == ip && bases(held.index).contains(&Some(claim.index)))
        };
        let Some(at) = (0..self.seats.len()).find(held) else { return };
        let by = if ip.is_ipv6() { "neighbour advertisement" } else { "ARP" };
        let mac: Vec<String> = claim.mac.iter().map(|byte| format!("{byte:02x}")).collect();
        self.see_conflict(at, now, (&mac.join(":"), format!("has {ip} too, by {by}")));
    }

    fn see_conflict(&mut self, at: usize, now: Instant, (other, what): (&str, String)) {
        let news = self.seats.get_mut(at).and_then(|seat| seat.conflicts.see(now, other, what));
        if let Some(news) = news {
            self.tell_conflict(at, &news);
        }
    }

    fn tell_conflict(&mut self, at: usize, news: &News) {
        self.reporting.note_change_of(at);
        let (Some(seat), Some(router)) = (self.seats.get(at), self.node.router(RouterId(at))) else { return };
        let name = &seat.instance.name;
        match news {
            News::Began(what) => {
                self.log.say(format!("({name}) Conflict: {what}"));
                self.notifier.write_conflict(name, router.priority(), &self.log);
            }
            News::Over(other) => self.log.say(format!("({name}) Conflict with {other} is over")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sign_is_no_conflict_and_one_that_stays_is_told_once() {
        let (mut conflicts, now) = (Conflicts::default(), Instant::now());
        let mut see = |after| conflicts.see(now + Duration::from_millis(after), "192.0.2.12", "advertises".to_owned());
        assert_eq!((see(0), see(100)), (None, None));
        assert_eq!(see(1000), Some(News::Began("192.0.2.12 advertises".to_owned())));
        assert_eq!(see(2000), None);
        assert_eq!(conflicts.shown(), ["192.0.2.12 advertises"]);
        let last = now + Duration::from_secs(2);
        assert_eq!(conflicts.poll_timeout(), Some(last + OVER));
        assert_eq!(conflicts.expire(last + OVER / 2), []);
        assert_eq!(conflicts.expire(last + OVER), [News::Over("192.0.2.12".to_owned())]);
        assert_eq!(conflicts.shown(), [""; 0]);
    }
}
