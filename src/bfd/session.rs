//! One session: packets and time in, actions out (RFC 5880 §6.8, asynchronous mode, without authentication and echo).
//!
//! ```text
//!            Down heard              Init or Up heard
//!   Down ───────────────▶ Init ───────────────────────▶ Up
//!    ▲ │                   │                            │
//!    │ └── Init heard ─────┼──────────────────────────▶ │
//!    └── silence, or the other end is down ◀────────────┘
//! ```
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::packet::{Diagnostic, Packet, State};
use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

/// A session as configured. Times are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The least time between packets this end can receive.
    pub min_rx: u32,
    /// The least time between packets while the session is up.
    pub min_tx: u32,
    /// The least time between packets while it is not; a second at least.
    pub idle_tx: u32,
    /// Packets that may be lost, times the interval, before the other end takes the session for failed.
    pub multiplier: u8,
    /// Nothing is sent before the other end has sent.
    pub passive: bool,
}

/// What a session wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a packet.
    Send(Packet),
    /// Tell the trackers of the session that it is up, or down.
    Event(bool),
    /// Write a line.
    Note(Note),
}

/// What a session has to say, in keepalived's words; the line's `BFD_Instance(<name>) ` is the logger's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// It is up.
    Up,
    /// It was up, and is down.
    Down {
        /// Why.
        local: Diagnostic,
        /// What the other end said last.
        remote: Diagnostic,
    },
    /// No packet came in time.
    Expired {
        /// Since the last packet.
        silence: Duration,
        /// How much later than it should this was noticed.
        overdue: Duration,
    },
    /// Its detection time has changed.
    Detection {
        /// The time now.
        now: Duration,
        /// The time before.
        before: Duration,
    },
    /// Its times change: the other end is asked to confirm.
    Poll,
    /// Its times and the other end's, once they have changed.
    Timers(Timers),
}

/// The times of both ends, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// This end: least send, least receive, in use, multiplier, detection.
    pub local: (u32, u32, u32, u8, u64),
    /// The other end.
    pub remote: (u32, u32, u32, u8, u64),
}

impl Note {
    /// Whether it is said only to those who ask for detail (`-D`).
    pub const fn is_detail(&self) -> bool {
        matches!(self, Self::Poll | Self::Timers(_))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up => write!(f, "Entering Up state"),
            Self::Down { local, remote } => {
                write!(f, "Entering Down state (Local diagnostic - {local}, Remote diagnostic - {remote})")
            }
            Self::Expired { silence, overdue } => {
                write!(f, "Expired after {} ms ({} usec overdue)", silence.as_millis(), overdue.as_micros())
            }
            Self::Detection { now, before } => {
                write!(f, "Detection time is {} ms (was {} ms)", now.as_millis(), before.as_millis())
            }
            Self::Poll => write!(f, "Starting poll sequence"),
            Self::Timers(timers) => timers.fmt(f),
        }
    }
}

impl fmt::Display for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "--------------< Session parameters >-------------")?;
        writeln!(f, "       min_tx  min_rx  tx_intv  mult  detect_time")?;
        let (tx, rx, used, multiplier, detection) = self.local;
        let millis = |micros: u32| micros / 1000;
        let (tx, rx, used) = (millis(tx), millis(rx), millis(used));
        writeln!(f, "local {tx:7} {rx:7} {used:8} {multiplier:5} {:12}", detection / 1000)?;
        let (tx, rx, used, multiplier, detection) = self.remote;
        let (tx, rx, used) = (millis(tx), millis(rx), millis(used));
        write!(f, "remote {tx:6} {rx:7} {used:8} {multiplier:5} {:12}", detection / 1000)
    }
}

/// What the other end said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Remote {
    state: State,
    /// Its number of the session; zero while it is not known.
    number: u32,
    diagnostic: Diagnostic,
    min_tx: u32,
    min_rx: u32,
    multiplier: u8,
    demand: bool,
}

const UNKNOWN: Remote = Remote {
    state: State::Down,
    number: 0,
    diagnostic: Diagnostic::NONE,
    min_tx: 0,
    min_rx: 0,
    multiplier: 0,
    demand: false,
};

/// What a session knows, for those who want to see it. Times are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The states of this end and the other.
    pub states: (State, State),
    /// The numbers of this end and the other.
    pub numbers: (u32, u32),
    /// The diagnostics of this end and the other.
    pub diagnostics: (Diagnostic, Diagnostic),
    /// The other end: least send, least receive, multiplier.
    pub remote: (u32, u32, u8),
    /// The other end asks for demand mode.
    pub demand: bool,
    /// A poll sequence is not finished.
    pub poll: bool,
    /// The times between packets, of this end and the other.
    pub intervals: (u32, u32),
    /// The detection times of this end and the other.
    pub detection: (u64, u64),
    /// When the other end was heard last.
    pub heard: Option<Instant>,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    config: Config,
    state: State,
    diagnostic: Diagnostic,
    /// This end's number of the session, never zero.
    number: u32,
    remote: Remote,
    /// A poll sequence is not finished.
    poll: bool,
    /// The time between packets this end sends, without jitter.
    interval: u32,
    /// The time between packets of the other end, as agreed.
    expected: u32,
    /// After so many microseconds of silence the session fails.
    detection: u64,
    /// After so many the other end takes it for failed.
    remote_detection: u64,
    heard: Option<Instant>,
    send_at: Option<Instant>,
    expires_at: Option<Instant>,
    /// When the other end is forgotten.
    reset_at: Option<Instant>,
    random: Random,
    actions: VecDeque<Action>,
}

/// Numbers that need not be secret, from a seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers that follow from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// The next one (xorshift64*).
    pub const fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// A number for a session.
    const fn number(&mut self) -> u32 {
        loop {
            let number = self.next();
            if number != 0 {
                return number;
            }
        }
    }
}

impl Session {
    /// A session that is down; unless it is passive, its first packet is due within an interval.
    pub fn new(config: Config, now: Instant, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut session = Self {
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            number: random.number(),
            remote: UNKNOWN,
            poll: false,
            interval: config.idle_tx,
            expected: 0,
            detection: 0,
            remote_detection: 0,
            heard: None,
            send_at: None,
            expires_at: None,
            reset_at: None,
            random,
            actions: VecDeque::new(),
            config,
        };
        if !session.config.passive {
            session.schedule(now);
        }
        session
    }

    /// Takes a new configuration; the session goes on.
    pub fn reconfigure(&mut self, now: Instant, config: Config) {
        let before = std::mem::replace(&mut self.config, config);
        if before == self.config {
            return;
        }
        if self.state == State::Up {
            self.interval = self.config.min_tx.max(self.remote.min_rx);
            self.start_poll();
        } else {
            self.interval = self.idle_interval();
        }
        self.agree();
        if self.send_at.is_none() && (!self.config.passive || self.state != State::Down) {
            self.schedule(now);
        }
    }

    /// What it knows.
    pub const fn facts(&self) -> Facts {
        let remote = &self.remote;
        Facts {
            states: (self.state, remote.state),
            numbers: (self.number, remote.number),
            diagnostics: (self.diagnostic, remote.diagnostic),
            remote: (remote.min_tx, remote.min_rx, remote.multiplier),
            demand: remote.demand,
            poll: self.poll,
            intervals: (self.interval, self.expected),
            detection: (self.detection, self.remote_detection),
            heard: self.heard,
        }
    }

    /// This end's number of the session.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// What it is now.
    #[cfg(test)]
    pub const fn state(&self) -> State {
        self.state
    }

    /// When [`Session::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.send_at, self.expires_at, self.reset_at].into_iter().flatten().min()
    }

    /// The next thing to do, in order.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.expires_at.is_some_and(|at| at <= now) {
            self.expires_at = None;
            let silence = self.heard.map(|heard| now.saturating_duration_since(heard)).unwrap_or_default();
            if self.state == State::Up {
                let overdue = silence.saturating_sub(Duration::from_micros(self.detection));
                self.actions.push_back(Action::Note(Note::Expired { silence, overdue }));
            }
            self.remote.number = 0;
            self.fall(now, Diagnostic::EXPIRED);
        }
        if self.reset_at.is_some_and(|at| at <= now) {
            self.reset_at = None;
            (self.state, self.poll) = (State::Down, false);
            let Remote { min_tx, min_rx, multiplier, .. } = self.remote;
            self.remote = Remote { min_tx, min_rx, multiplier, ..UNKNOWN };
            self.interval = self.idle_interval();
        }
        if self.send_at.is_some_and(|at| at <= now) {
            self.send(false);
            self.schedule(now);
        }
    }

    /// Takes a valid packet of the other end.
    pub fn handle(&mut self, now: Instant, packet: &Packet) {
        let (before, interval, detection) = (self.remote, self.interval, self.detection);
        self.remote = Remote {
            state: packet.state,
            number: packet.mine,
            diagnostic: packet.diagnostic,
            min_tx: packet.min_tx,
            min_rx: packet.min_rx,
            multiplier: packet.multiplier,
            demand: packet.demand,
        };
        self.poll &= !packet.last;
        // New times count at once while the session is not up, else once both ends have them.
        if self.state != State::Up || packet.poll || packet.last {
            let both = self.remote.state == State::Up && matches!(self.state, State::Init | State::Up);
            self.interval = if both { self.config.min_tx.max(self.remote.min_rx) } else { self.idle_interval() };
            self.expected = self.config.min_rx.max(self.remote.min_tx);
        }
        self.agree();
        let times = |one: &Remote| (one.min_tx, one.min_rx, one.multiplier);
        if times(&before) != times(&self.remote) || interval != self.interval {
            self.actions.push_back(Action::Note(Note::Timers(self.timers())));
        }
        if self.interval < interval && self.send_at.is_some() {
            self.schedule(now);
        }
        if self.detection != detection {
            let (now, before) = (Duration::from_micros(self.detection), Duration::from_micros(detection));
            self.actions.push_back(Action::Note(Note::Detection { now, before }));
        }
        self.step(now);
        let silent = self.remote.demand && self.state == State::Up && self.remote.state == State::Up;
        if silent {
            self.send_at = None;
        } else if self.send_at.is_none() {
            self.schedule(now);
        }
        if packet.poll {
            self.send(true);
        }
        self.heard = Some(now);
        if self.state == State::Up && self.expires_at.is_some() {
            self.expires_at = Some(now + Duration::from_micros(self.detection));
        }
    }

    /// The state machine (RFC 5880 §6.8.6).
    fn step(&mut self, now: Instant) {
        match (self.state, self.remote.state) {
            (State::Init | State::Up, State::AdminDown) | (State::Up, State::Down) => {
                self.fall(now, Diagnostic::NEIGHBOUR_DOWN);
            }
            (State::Down, State::Down) => {
                self.state = State::Init;
                self.rise(now);
                if self.config.passive && self.send_at.is_none() {
                    self.schedule(now);
                }
            }
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => {
                self.state = State::Up;
                self.actions.push_back(Action::Note(Note::Up));
                self.rise(now);
                if self.config.idle_tx != self.config.min_tx {
                    self.start_poll();
                }
                self.actions.push_back(Action::Event(true));
            }
            _ => {}
        }
    }

    /// Common to Init and Up.
    fn rise(&mut self, now: Instant) {
        self.diagnostic = Diagnostic::NONE;
        self.reset_at = None;
        let detection = Duration::from_micros(self.detection);
        self.expires_at = self.expires_at.or_else(|| Some(now + detection));
    }

    fn fall(&mut self, now: Instant, why: Diagnostic) {
        let was_up = self.state == State::Up;
        if was_up {
            self.number = self.random.number();
            let remote = self.remote.diagnostic;
            self.actions.push_back(Action::Note(Note::Down { local: why, remote }));
        }
        (self.state, self.diagnostic) = (State::Down, why);
        self.reset_at = Some(now + Duration::from_micros(self.detection));
        if self.config.passive {
            self.send_at = None;
        }
        self.interval = self.idle_interval();
        self.expires_at = None;
        // An end in AdminDown has not failed.
        if was_up && self.remote.state != State::AdminDown {
            self.actions.push_back(Action::Event(false));
        }
    }

    fn start_poll(&mut self) {
        self.actions.push_back(Action::Note(Note::Poll));
        self.poll = true;
    }

    /// Not less than a second unless both ends are up (RFC 5880 §6.8.3).
    fn idle_interval(&self) -> u32 {
        self.config.idle_tx.max(self.remote.min_rx)
    }

    fn agree(&mut self) {
        self.detection = u64::from(self.remote.multiplier) * u64::from(self.expected);
        self.remote_detection = u64::from(self.config.multiplier) * u64::from(self.interval);
    }

    fn timers(&self) -> Timers {
        let config = &self.config;
        let tx = if self.state == State::Up { config.min_tx } else { config.idle_tx };
        Timers {
            local: (tx, config.min_rx, self.interval, config.multiplier, self.detection),
            remote: (
                self.remote.min_tx,
                self.remote.min_rx,
                self.expected,
                self.remote.multiplier,
                self.remote_detection,
            ),
        }
    }

    /// The next packet is due in an interval less 10 to 25 per cent (RFC 5880 §6.8.7).
    fn schedule(&mut self, now: Instant) {
        let (least, most) = (self.interval / 10, self.interval / 4);
        let jitter = least + self.random.next() % (most - least + 1);
        self.send_at = Some(now + Duration::from_micros(u64::from(self.interval - jitter)));
    }

    fn send(&mut self, last: bool) {
        // An answer carries the times, so nothing more needs to be asked.
        self.poll &= !last;
        let up = self.state == State::Up;
        self.actions.push_back(Action::Send(Packet {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: self.poll,
            last,
            authenticated: false,
            demand: false,
            multiplier: self.config.multiplier,
            mine: self.number,
            yours: self.remote.number,
            min_tx: if up { self.config.min_tx } else { self.config.idle_tx },
            min_rx: self.config.min_rx,
        }));
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test starts its clock somewhere")]
mod tests;
