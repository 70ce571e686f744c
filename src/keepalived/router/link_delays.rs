//! `interface_up_down_delays`: the new state of a link counts when it has lasted.

use super::Process;
use crate::kernel::link::Link;
use crate::kernel::monitor::Change;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// The links whose state has changed and does not count yet, by their numbers.
#[derive(Debug, Default)]
pub(super) struct LinkDelays {
    pending: BTreeMap<u32, (Link, Instant)>,
    /// Links that were up once; the first time one comes up is not delayed.
    seen_up: BTreeSet<u32>,
}

impl LinkDelays {
    /// When a state begins to count.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.pending.values().map(|(_, due)| *due).min()
    }

    /// Takes what the kernel tells of a link that is `known` in another form; what counts of it now, and a line for the
    /// log.
    fn take(&mut self, known: &Link, told: Link, delay: Duration, now: Instant) -> (Link, Option<String>) {
        if known.up {
            self.seen_up.insert(known.index);
        }
        let counts = Link { up: known.up, flags: known.flags, ..told.clone() };
        if known.up == told.up {
            let pending = self.pending.remove(&told.index).is_some();
            let line =
                (pending && known.flags != told.flags).then(|| format!("Delay timer for {} cancelled", told.name));
            return (told, line);
        }
        if let Some((pending, _)) = self.pending.get_mut(&told.index) {
            *pending = told;
            return (counts, None);
        }
        if delay.is_zero() || !self.seen_up.contains(&told.index) {
            return (told, None);
        }
        let (from, to, micros) = (known.flags, told.flags, delay.as_micros());
        let line = format!("{}: Adding flags change from 0x{from:x} to 0x{to:x} delay by {micros}", told.name);
        self.pending.insert(told.index, (told, now + delay));
        (counts, Some(line))
    }

    /// The links whose state counts from now on.
    fn due(&mut self, now: Instant) -> Vec<Link> {
        let due = self.pending.extract_if(.., |_, (_, at)| *at <= now);
        due.map(|(_, (link, _))| link).collect()
    }

    fn forget(&mut self, index: u32) {
        self.pending.remove(&index);
        self.seen_up.remove(&index);
    }
}

impl Process {
    /// What counts now of a change that the kernel tells of.
    pub(super) fn delayed(&mut self, change: Change) -> Change {
        let told = match change {
            Change::Link(link) => link,
            Change::LinkGone(link) => {
                self.link_delays.forget(link.index);
                return Change::LinkGone(link);
            }
            other => return other,
        };
        let Some(known) = self.interfaces.links().find(|link| link.index == told.index).cloned() else {
            return Change::Link(told);
        };
        let delay = self.link_delay(&told);
        let (link, line) = self.link_delays.take(&known, told, delay, Instant::now());
        line.into_iter().for_each(|line| self.log.say(line));
        Change::Link(link)
    }

    /// How long a link must have its new state. A macvlan has the delays of the interface below it, and none is so long
    /// that a backup on it could miss the adverts after which it would be master.
    fn link_delay(&self, link: &Link) -> Duration {
        let base = self.interfaces.base(link);
        let below = self.interfaces.links().find(|one| one.index == base).map_or(&link.name, |base| &base.name);
        let Some(delay) = self.site.root.delays.iter().rfind(|delay| delay.name == *below) else {
            return Duration::ZERO;
        };
        let routers = self.seats.iter().zip(self.node.routers());
        let own = routers.filter(|(seat, _)| seat.instance.interface == *below);
        let delay = own.fold(delay.clone(), |delay, (seat, (_, router))| {
            delay.bounded(seat.instance.router.down_timer_adverts, router.master_interval())
        });
        if link.up { delay.up } else { delay.down }
    }

    /// Takes the states that have lasted.
    pub(super) fn run_link_delays(&mut self, now: Instant) {
        if self.link_delays.pending.is_empty() {
            return;
        }
        for link in self.link_delays.due(now) {
            self.take_change(Change::Link(link));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::link::Kind;

    fn link(up: bool, flags: u32) -> Link {
        let name = "eth0".to_owned();
        Link { index: 2, name, flags, up, loopback: false, mac: None, mtu: 1500, base: None, kind: Kind::Other }
    }

    #[test]
    fn a_link_that_comes_back_in_time_was_never_down() {
        let (mut delays, now) = (LinkDelays::default(), Instant::now());
        let (up, down, delay) = (link(true, 0x1043), link(false, 0x1003), Duration::from_secs(1));
        let line = "eth0: Adding flags change from 0x1043 to 0x1003 delay by 1000000".to_owned();
        assert_eq!(delays.take(&up, down.clone(), delay, now), (up.clone(), Some(line)));
        assert_eq!(delays.take(&up, up.clone(), delay, now), (up.clone(), None));
        assert_eq!((delays.poll_timeout(), delays.due(now + delay)), (None, Vec::new()));
        // With other flags it is told.
        delays.take(&up, down.clone(), delay, now);
        let back = link(true, 0x11043);
        let line = "Delay timer for eth0 cancelled".to_owned();
        assert_eq!(delays.take(&up, back.clone(), delay, now), (back, Some(line)));
        // What lasts counts.
        delays.take(&up, down.clone(), delay, now);
        assert_eq!(delays.poll_timeout(), Some(now + delay));
        assert_eq!(delays.due(now + delay / 2), Vec::new());
        assert_eq!(delays.due(now + delay), [down]);
    }

    #[test]
    fn a_link_that_was_never_up_comes_up_at_once() {
        let (mut delays, now) = (LinkDelays::default(), Instant::now());
        let (up, down, delay) = (link(true, 0x1043), link(false, 0x1003), Duration::from_secs(1));
        assert_eq!(delays.take(&down, up.clone(), delay, now), (up.clone(), None));
        delays.take(&up, down.clone(), Duration::ZERO, now);
        assert_eq!(delays.take(&down, up, delay, now).0, down);
    }
}
