//! The virtual router: events and time in, actions out (RFC 9568 §6.4, with what keepalived adds).
//!
//! ```text
//!                 tracking known          3 adverts missed, or follow
//!   Initialise ─────────────────▶ Backup ──────────────────────────────▶ Master
//!        │                         ▲  │ ▲   higher advert, address lost    │
//!        │ fault                   │  │ └──────────────────────────────────┤
//!        ▼        tracking good    │  │ fault                              │ fault
//!      Fault ──────────────────────┘  ▼                                    │
//!        ▲◀───────────────────────────┴────────────────────────────────────┘
//! ```
//! The machine knows no clock, socket or log. It starts as keepalived does: whatever `state` says, every router but an
//! address owner listens for a whole master-down interval before it becomes master.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::announce::Announcer;
use super::config::{Authentication, Checksum, Config, Version};
use super::counters::Counters;
use super::limit::{Answers, Lines};
use super::note::Note;
use super::refusal::Refusal;
use super::weight::{Eligibility, OWNER};
use super::wire::{self, Advert, Datagram, Memory};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What happens to a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its eligibility: at start, and whenever tracked things change.
    Eligibility(Eligibility),
    /// A packet with its VRID came.
    Received(Datagram),
    /// The address its own adverts carry has changed.
    Source(Option<IpAddr>),
    /// Somebody else took one of its addresses away.
    AddressLost,
    /// Another member of its group changed state, or all of them are ready for it to be master.
    Follow(StateKind),
    /// Another member of its group, as master, heard a lower priority.
    GroupHeardLower,
    /// The configuration was read again; `announce` when addresses were added.
    Reconfigure {
        /// What it is from now on.
        config: Arc<Config>,
        /// Its eligibility under that configuration.
        eligibility: Eligibility,
        /// Neighbours must hear of the addresses again.
        announce: bool,
    },
    /// The end.
    Stop,
}

/// What a router wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send an advert of this priority, with this number in its authentication header.
    Advertise(u8, u32),
    /// Put all addresses on their interfaces.
    Hold,
    /// Take all addresses from their interfaces.
    Release,
    /// A batch of announcements of this address begins.
    Announcing(IpAddr),
    /// Tell the neighbours of this address, once.
    Announce(IpAddr),
    /// Write a line.
    Note(Note),
    /// The state changed: scripts, groups and mails may care.
    Changed(StateKind),
    /// A lower priority advert was heard while master.
    HeardLower,
    /// Tell the neighbours of the address its own unicast adverts carry.
    AnnounceSource,
    /// A peer's checksums cover the multicast group: those of the adverts that follow do as well.
    OldChecksum,
    /// It would be master now, if the others of its group are ready as well.
    Ready,
}

/// A state without what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StateKind {
    /// Not started.
    Initialise,
    /// Listening.
    Backup,
    /// Holding the addresses.
    Master,
    /// Not allowed to take part.
    Fault,
}

/// The master a backup last heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Its address.
    pub source: IpAddr,
    /// Its priority.
    pub priority: u8,
}

#[derive(Debug)]
struct Backup {
    /// When the master counts as dead.
    deadline: Instant,
    /// Until when a lower master is tolerated.
    preempt_at: Option<Instant>,
    /// Its master is dead, and it waits for the others of its group.
    ready: bool,
}

#[derive(Debug)]
struct Master {
    next_advert: Instant,
    /// When it advertised last.
    advertised: Instant,
    announcer: Announcer,
    answers: Answers,
}

#[derive(Debug)]
enum State {
    Initialise,
    Backup(Backup),
    Master(Master),
    Fault,
}

/// A virtual router.
#[derive(Debug)]
pub struct Router {
    config: Arc<Config>,
    state: State,
    priority: u8,
    source: Option<IpAddr>,
    /// The interval the master advertises in; VRRPv3 backups adopt it (RFC 9568 §6.4.2).
    master_interval: Duration,
    heard: Option<Heard>,
    waited: bool,
    /// Another owner was heard: until the configuration is read again this one is none.
    demoted: bool,
    /// What it has received and sent, against adverts that are sent again.
    memory: Memory,
    /// The log has a line about adverts that were dropped in this state.
    dropping: bool,
    counters: Counters,
    lines: Lines,
    actions: VecDeque<Action>,
}

impl Router {
    /// A router that has not started: its first `Eligibility` starts it.
    pub fn new(config: impl Into<Arc<Config>>, source: Option<IpAddr>) -> Self {
        let config = config.into();
        Self {
            priority: config.priority,
            master_interval: config.interval,
            config,
            state: State::Initialise,
            source,
            heard: None,
            waited: false,
            demoted: false,
            memory: Memory::default(),
            dropping: false,
            counters: Counters::default(),
            lines: Lines::default(),
            actions: VecDeque::new(),
        }
    }

    /// What it is now.
    pub const fn state(&self) -> StateKind {
        match self.state {
            State::Initialise => StateKind::Initialise,
            State::Backup(_) => StateKind::Backup,
            State::Master(_) => StateKind::Master,
            State::Fault => StateKind::Fault,
        }
    }

    /// Whether nothing but its group keeps it from being master.
    pub const fn is_ready(&self) -> bool {
        match &self.state {
            State::Master(_) => true,
            State::Backup(backup) => backup.ready,
            State::Initialise | State::Fault => false,
        }
    }

    /// Whether it could not start before more was known.
    pub const fn has_waited(&self) -> bool {
        self.waited
    }

    /// The priority that counts now.
    pub const fn priority(&self) -> u8 {
        self.priority
    }

    /// The master last heard.
    pub const fn heard(&self) -> Option<Heard> {
        self.heard
    }

    /// Until when a master of lower priority is tolerated, if one is.
    pub const fn preempt_at(&self) -> Option<Instant> {
        match &self.state {
            State::Backup(backup) => backup.preempt_at,
            State::Initialise | State::Master(_) | State::Fault => None,
        }
    }

    /// What it has counted.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Forgets what it has counted.
    pub fn clear_counters(&mut self) {
        self.counters = Counters::default();
    }

    /// Takes an event.
    pub fn handle(&mut self, now: Instant, event: Event) {
        match event {
            Event::Eligibility(eligibility) => self.judge(now, eligibility),
            Event::Received(datagram) => self.receive(now, &datagram),
            Event::Source(source) => self.source = source,
            Event::AddressLost => self.address_lost(now),
            Event::Follow(state) => self.follow(now, state),
            Event::GroupHeardLower => self.announce_lower(now),
            Event::Reconfigure { config, eligibility, announce } => {
                self.reconfigure(now, config, (eligibility, announce))
            }
            Event::Stop => self.stop(),
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.lines.overdue(now).into_iter().for_each(|note| self.note(note));
        self.give_way_when_late(now);
        match &mut self.state {
            State::Backup(backup) if backup.deadline <= now => {
                self.note(Note::AdvertTimeout);
                if self.config.grouped {
                    self.become_ready(now);
                } else {
                    self.become_master(now);
                }
            }
            State::Master(master) => {
                let due = master.next_advert <= now;
                if due {
                    // A late turn does not make the next one late as well, nor does it send two at once.
                    let next = master.next_advert + self.config.interval;
                    master.next_advert = if next <= now { now + self.config.interval } else { next };
                }
                if due {
                    master.advertised = now;
                    master.announcer.refresh(now, &self.config, &mut self.actions);
                }
                master.announcer.run(now, &self.config, &mut self.actions);
                if due {
                    self.advertise(self.priority);
                }
            }
            State::Initialise | State::Backup(_) | State::Fault => {}
        }
    }

    /// When [`Router::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let state = match &self.state {
            State::Backup(backup) => Some(backup.deadline),
            State::Master(master) => {
                Some(master.announcer.next().map_or(master.next_advert, |next| next.min(master.next_advert)))
            }
            State::Initialise | State::Fault => None,
        };
        state.into_iter().chain(self.lines.next()).min()
    }

    /// The next thing to do, in order.
    pub fn poll_action(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        if action.is_none() {
            // One of a thousand routers, most of which want nothing most of the time.
            self.actions = VecDeque::new();
        }
        action
    }

    /// The interval of the master's adverts.
    pub const fn master_interval(&self) -> Duration {
        self.master_interval
    }

    /// (256 - priority) / 256 of a second in VRRPv2, of the master's interval in VRRPv3 (RFC 9568 §6.1).
    pub fn skew(&self) -> Duration {
        let unit = match self.config.version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => self.master_interval,
        };
        unit * (256 - u32::from(self.priority)) / 256
    }

    /// How long after its last advert a master counts as alive.
    pub fn master_down(&self) -> Duration {
        let interval = match self.config.version {
            Version::V2 => self.config.interval,
            Version::V3 => self.master_interval,
        };
        interval * self.config.down_timer_adverts + self.skew()
    }

    fn judge(&mut self, now: Instant, eligibility: Eligibility) {
        self.set_priority(eligibility.priority);
        match (self.state(), eligibility.fault) {
            (StateKind::Initialise, false) if eligibility.waiting => self.waited = true,
            (StateKind::Initialise | StateKind::Backup | StateKind::Master, true) => self.become_fault(false),
            (StateKind::Initialise, false) => {
                let initial = !self.waited;
                self.become_backup(now, initial);
            }
            (StateKind::Fault, false) if !eligibility.waiting => self.become_backup(now, false),
            (StateKind::Fault | StateKind::Backup | StateKind::Master, _) => {}
        }
    }

    fn set_priority(&mut self, priority: u8) {
        let priority = if self.demoted { priority.min(OWNER - 1) } else { priority };
        if priority == self.priority {
            return;
        }
        self.note(Note::PriorityChanged {
            from: self.priority,
            to: priority,
            master: matches!(self.state, State::Master(_)),
        });
        let before = self.skew();
        self.priority = priority;
        let after = self.skew();
        if let State::Backup(backup) = &mut self.state {
            backup.deadline = (backup.deadline + after).checked_sub(before).unwrap_or(backup.deadline);
        }
    }

    /// A master that comes too late, because the process got no processor, becomes backup before it hears what came
    /// meanwhile.
    fn give_way_when_late(&mut self, now: Instant) {
        let State::Master(master) = &self.state else { return };
        if self.config.expiry().is_some_and(|expiry| master.advertised + expiry <= now) {
            self.note(Note::TimerExpired(now.saturating_duration_since(master.next_advert)));
            self.become_backup(now, false);
        }
    }

    fn receive(&mut self, now: Instant, datagram: &Datagram) {
        self.give_way_when_late(now);
        let trusted = match self.state {
            // Dropped unread: whoever does not take part has nothing to compare.
            State::Initialise | State::Fault => return,
            State::Backup(_) => self.heard.is_some_and(|heard| heard.source == datagram.source),
            State::Master(_) => false,
        };
        let ignores = self.config.owner_ignores_adverts && self.priority == OWNER;
        let advert = match wire::receive(datagram, &self.config, trusted, &mut self.memory) {
            Ok(_) if ignores => return self.drop_advert(datagram.source),
            Err(refusal) if ignores && refusal.is_late() => return self.drop_advert(datagram.source),
            Ok(advert) => advert,
            Err(refusal) => return self.refuse(now, refusal),
        };
        if advert.old_checksum {
            Arc::make_mut(&mut self.config).checksum = Checksum::Detected;
            self.note(Note::OldChecksum);
            self.actions.push_back(Action::OldChecksum);
        }
        if let (Some(skew), Some(hmac)) = (advert.skew, &self.config.hmac) {
            let window = hmac.window.unwrap_or_default();
            self.note_bounded(now, Note::ClockSkew { skew, source: datagram.source, window });
        }
        self.counters.received += 1;
        self.counters.zero_received += u64::from(advert.priority == 0);
        match self.state {
            State::Backup(_) => self.backup_hears(now, datagram.source, &advert),
            State::Master(_) => self.master_hears(now, datagram.source, &advert),
            State::Initialise | State::Fault => {}
        }
    }

    /// Says once in a state that an address owner drops what others advertise.
    fn drop_advert(&mut self, source: IpAddr) {
        if !std::mem::replace(&mut self.dropping, true) {
            self.note(Note::Refused(Refusal::Owner { source }));
        }
    }

    /// RFC 9568 §6.4.2.
    fn backup_hears(&mut self, now: Instant, source: IpAddr, advert: &Advert) {
        let (skew, own, preempt) = (self.skew(), self.priority, self.config.preempt);
        let tolerating = self.tolerates_lower(now);
        let newer = self.config.version == Version::V3 && self.master_interval != advert.interval;
        if newer {
            let (mine, received) = (self.master_interval, advert.interval);
            self.note_bounded(now, Note::IntervalChanged { mine, received });
        }
        let State::Backup(backup) = &mut self.state else { return };
        if advert.priority == 0 {
            backup.deadline = now + skew;
            return self.note_bounded(now, Note::BackupZero);
        }
        if advert.priority < own && preempt && !tolerating {
            return self.note_bounded(now, Note::Discarding { priority: advert.priority, source });
        }
        self.delay_preemption(now, advert.priority);
        self.heard = Some(Heard { source, priority: advert.priority });
        if newer {
            let from = std::mem::replace(&mut self.master_interval, advert.interval);
            self.note_bounded(now, Note::IntervalUpdated { to: advert.interval, from });
        }
        let down = self.master_down();
        if let State::Backup(backup) = &mut self.state {
            backup.deadline = now + down;
            backup.ready = false;
        }
    }

    /// Whether `preempt_delay` makes a lower master acceptable at `now`.
    fn tolerates_lower(&self, now: Instant) -> bool {
        let State::Backup(backup) = &self.state else { return false };
        self.config.preempt_delay > Duration::ZERO && backup.preempt_at.is_none_or(|at| now < at)
    }

    fn delay_preemption(&mut self, now: Instant, priority: u8) {
        let delay = self.config.preempt_delay;
        let own = self.priority;
        let State::Backup(backup) = &mut self.state else { return };
        if delay.is_zero() || !self.config.preempt {
            return;
        }
        if priority >= own {
            if backup.preempt_at.take().is_some() {
                self.note(Note::StopPreemptDelay);
            }
        } else if backup.preempt_at.is_none() {
            backup.preempt_at = Some(now + delay);
            self.note(Note::StartPreemptDelay(delay));
        }
    }

    /// RFC 9568 §6.4.3.
    fn master_hears(&mut self, now: Instant, source: IpAddr, advert: &Advert) {
        let priority = advert.priority;
        if priority == 0 {
            if self.answers(now) {
                self.advertise_now(now);
            }
            return self.note_bounded(now, Note::MasterZero);
        }
        if priority == OWNER && self.priority == OWNER && self.source != Some(source) {
            self.note(Note::TwoOwners);
            self.priority = OWNER - 1;
            self.demoted = true;
        }
        let ours = self.priority;
        if priority < ours || (priority == ours && self.source.is_some_and(|own| source < own)) {
            let advertises = !self.config.lower_prio_no_advert;
            self.note_bounded(now, Note::Lower { priority, ours, source, advertises });
            if let Some(sequence) = advert.sequence {
                self.note_bounded(now, Note::SequenceAdopted);
                self.memory.ah = sequence.saturating_add(1);
            }
            return self.force_election(now);
        }
        if priority == ours && self.source == Some(source) {
            return self.note_bounded(now, Note::OurAddress);
        }
        self.note(if priority > ours {
            Note::Higher { priority, ours, source }
        } else {
            Note::HigherAddress { priority, source }
        });
        if self.config.higher_prio_send_advert {
            self.advertise(ours);
        }
        self.heard = Some(Heard { source, priority });
        let from = std::mem::replace(&mut self.master_interval, advert.interval);
        if self.config.version == Version::V3 && from != advert.interval {
            self.note(Note::IntervalOfHigher { from, to: advert.interval });
        }
        self.become_backup(now, false);
    }

    /// The other master must hear our advert, and the neighbours must learn our addresses anew.
    fn force_election(&mut self, now: Instant) {
        if !self.answers(now) {
            return;
        }
        self.actions.push_back(Action::HeardLower);
        if !self.config.lower_prio_no_advert {
            self.advertise_now(now);
        }
        self.announce_lower(now);
    }

    fn announce_lower(&mut self, now: Instant) {
        let batch = (self.config.announcing.lower_repeat, self.config.announcing.lower_delay);
        self.announce(now, batch);
    }

    fn address_lost(&mut self, now: Instant) {
        if !matches!(self.state, State::Master(_)) {
            return;
        }
        self.state = State::Backup(self.listening(now));
        self.note(Note::EnteringBackup { initial: false });
        self.advertise(0);
        self.note(Note::SentZero);
        self.release();
        self.actions.push_back(Action::Changed(StateKind::Backup));
        let skew = self.skew();
        if let State::Backup(backup) = &mut self.state {
            backup.deadline = now + skew;
        }
    }

    fn follow(&mut self, now: Instant, state: StateKind) {
        match (state, &self.state) {
            (StateKind::Master, State::Backup(_)) => self.become_master(now),
            (StateKind::Backup, State::Master(_) | State::Fault | State::Initialise) => self.become_backup(now, false),
            (StateKind::Fault, State::Backup(_) | State::Master(_)) => self.become_fault(true),
            _ => {}
        }
    }

    /// Differs from keepalived: a backup does not begin to wait anew. [test: a_reload_does_not_make_a_backup_wait_anew]
    fn reconfigure(&mut self, now: Instant, config: Arc<Config>, (eligibility, announce): (Eligibility, bool)) {
        self.demoted = false;
        let before = self.master_down();
        if self.config.interval != config.interval {
            self.master_interval = config.interval;
        }
        // The new rules judge the master last seen anew.
        self.heard = None;
        // A configured priority takes effect without a word; what tracked things make of it is told.
        self.priority = config.priority;
        self.config = config;
        let after = self.master_down();
        if let State::Backup(backup) = &mut self.state {
            backup.deadline = (backup.deadline + after).checked_sub(before).unwrap_or(backup.deadline);
        }
        self.judge(now, eligibility);
        if matches!(self.state, State::Master(_)) {
            self.hold();
            self.advertise_now(now);
            if announce {
                let batch = (self.config.announcing.repeat, self.config.announcing.delay);
                self.announce(now, batch);
            }
        }
    }

    fn stop(&mut self) {
        if matches!(self.state, State::Master(_)) {
            self.advertise(0);
            self.note(Note::SentZero);
            self.release();
        }
        self.state = State::Initialise;
        self.actions.push_back(Action::Changed(StateKind::Initialise));
    }

    /// RFC 9568 §6.4.2: the advert is sent first, so that a second backup stays backup.
    ///
    /// Differs from keepalived: it sends its announcements before the first advert. [test: a_new_master_advertises_before_it_announces]
    fn become_master(&mut self, now: Instant) {
        self.note(Note::EnteringMaster);
        if self.config.version == Version::V3 {
            self.note(Note::OwnInterval(self.config.interval));
        }
        self.hold();
        let announcer = Announcer::new(now, &self.config.announcing);
        let next_advert = now + self.config.interval;
        self.state = State::Master(Master { next_advert, advertised: now, announcer, answers: Answers::new(now) });
        (self.heard, self.dropping) = (None, false);
        self.counters.became_master += 1;
        self.advertise(self.priority);
        let batch = (self.config.announcing.repeat, self.config.announcing.delay);
        self.announce(now, batch);
        self.actions.push_back(Action::Changed(StateKind::Master));
    }

    fn become_backup(&mut self, now: Instant, initial: bool) {
        let was_master = matches!(self.state, State::Master(_));
        let started = matches!(self.state, State::Initialise | State::Fault);
        if started {
            self.heard = None;
            self.master_interval = self.config.interval;
        }
        if matches!(self.state, State::Initialise) && self.config.owner && self.priority == OWNER {
            // The owner does not listen first (RFC 9568 §6.4.1); after a fault, as with keepalived, it does.
            self.note(Note::AdvertTimeout);
            return self.become_master(now);
        }
        self.state = State::Backup(self.listening(now));
        self.dropping = false;
        if initial {
            // keepalived clears rules and routes once more here.
            self.note_removed_ways();
        }
        self.note(Note::EnteringBackup { initial });
        if was_master {
            self.release();
        } else if started && !initial && !self.config.peers.is_empty() {
            // What kept it out may have been a link: switches and peers learn where it is now.
            self.actions.push_back(Action::AnnounceSource);
        }
        self.actions.push_back(Action::Changed(StateKind::Backup));
    }

    fn listening(&self, now: Instant) -> Backup {
        Backup { deadline: now + self.master_down(), preempt_at: None, ready: false }
    }

    /// Its master is dead; until the others of its group are ready as well it listens on.
    fn become_ready(&mut self, now: Instant) {
        let deadline = now + self.master_down();
        if let State::Backup(backup) = &mut self.state {
            (backup.deadline, backup.ready) = (deadline, true);
            self.actions.push_back(Action::Ready);
        }
    }

    /// `follows`: for the fault of another member of its group.
    fn become_fault(&mut self, follows: bool) {
        let was_master = matches!(self.state, State::Master(_));
        let initial = matches!(self.state, State::Initialise) && !self.waited;
        self.state = State::Fault;
        self.note(Note::EnteringFault { initial });
        if was_master {
            self.advertise(0);
            if !follows {
                // keepalived gives up twice here; a second frame costs nothing and survives the loss of the first.
                self.note(Note::SentZero);
                self.advertise(0);
            }
            self.release();
        }
        self.actions.push_back(Action::Changed(StateKind::Fault));
    }

    fn hold(&mut self) {
        if self.config.no_accept {
            self.note(Note::SettingFirewall);
        }
        self.note(Note::SettingAddresses);
        let config = &self.config;
        let notes = [
            (!config.excluded.is_empty(), Note::SettingExcluded),
            (config.has_routes, Note::SettingRoutes),
            (config.has_rules, Note::SettingRules),
        ];
        notes.into_iter().filter(|(any, _)| *any).for_each(|(_, note)| self.note(note));
        self.actions.push_back(Action::Hold);
    }

    fn note_removed_ways(&mut self) {
        if self.config.has_rules {
            self.note(Note::RemovingRules);
        }
        if self.config.has_routes {
            self.note(Note::RemovingRoutes);
        }
    }

    fn release(&mut self) {
        self.note_removed_ways();
        self.note(Note::RemovingAddresses);
        if !self.config.excluded.is_empty() {
            self.note(Note::RemovingExcluded);
        }
        if self.config.no_accept {
            self.note(Note::RemovingFirewall);
        }
        self.actions.push_back(Action::Release);
        self.counters.released_master += 1;
    }

    fn announce(&mut self, now: Instant, (repeat, delay): (u32, Duration)) {
        if let State::Master(master) = &mut self.state {
            master.announcer.batch(now, (repeat, delay), &self.config);
            self.actions.extend(self.config.all_addresses().filter(|_| repeat > 0).map(Action::Announcing));
            master.announcer.run(now, &self.config, &mut self.actions);
        }
    }

    fn advertise_now(&mut self, now: Instant) {
        if let State::Master(master) = &mut self.state {
            (master.next_advert, master.advertised) = (now + self.config.interval, now);
        }
        self.advertise(self.priority);
    }

    fn advertise(&mut self, priority: u8) {
        self.counters.sent += 1;
        self.counters.zero_sent += u64::from(priority == 0);
        if matches!(self.config.authentication, Authentication::Ah(_)) {
            self.memory.ah = wire::ah::next(self.memory.ah);
        }
        self.actions.push_back(Action::Advertise(priority, self.memory.ah));
    }

    fn note(&mut self, note: Note) {
        self.actions.push_back(Action::Note(note));
    }

    /// A line about a packet.
    ///
    /// Differs from keepalived: it writes one for every packet. [test: a_flood_of_packets_writes_a_bounded_number_of_lines]
    fn note_bounded(&mut self, now: Instant, note: Note) {
        if let Some(note) = self.lines.admit(now, note) {
            self.note(note);
        }
    }

    /// Whether a master answers one more packet in this interval.
    ///
    /// Differs from keepalived: it answers all of them. [test: a_flood_of_packets_gets_a_bounded_number_of_answers]
    fn answers(&mut self, now: Instant) -> bool {
        let interval = self.config.interval;
        if let State::Master(master) = &mut self.state { master.answers.admit(now, interval) } else { false }
    }

    fn refuse(&mut self, now: Instant, refusal: Refusal) {
        if refusal == Refusal::Foreign {
            return;
        }
        self.counters.refuse(&refusal);
        self.note_bounded(now, Note::Refused(refusal));
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test starts its clock somewhere")]
mod tests;
