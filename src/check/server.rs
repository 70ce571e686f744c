//! A virtual server: which of its real servers are in its pool, with which weight, and whether they are enough.
//!
//! Each step applies its changes through [`Pool`] at once and in keepalived's order, as later ones depend on whether
//! earlier ones were taken.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod reload;

pub use self::reload::{Attempts, Before, Pools};
use std::collections::HashMap;
use std::sync::Arc;

/// The largest weight.
pub const MOST_WEIGHT: i64 = i32::MAX as i64;

/// A real server as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealConfig {
    /// As log lines name it, which is also what makes it the same one across a reload.
    pub name: Box<str>,
    /// Its weight.
    pub weight: i64,
    /// A failure sets its weight to 0 and leaves it in the pool.
    pub inhibit: bool,
    /// Of each check, whether it counts as failed until it has succeeded.
    pub alphas: Arc<[bool]>,
}

/// The server that answers while the others are not enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SorryConfig {
    /// As log lines name it.
    pub name: String,
    /// It stays in the pool with weight 0 while it is not needed.
    pub inhibit: bool,
    /// It is one of the real servers as well.
    pub duplicates: bool,
}

/// A virtual server as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// As log lines name it.
    pub name: String,
    /// Its addresses are those of a group.
    pub group: bool,
    /// The weight that is enough.
    pub quorum: i64,
    /// How far the weight must be above it, or below.
    pub hysteresis: i64,
    /// The scripts of what goes down are run at the end too.
    pub omega: bool,
    /// Real servers that are up from the start are told of.
    pub init_notifies: bool,
    /// The real servers.
    pub reals: Vec<RealConfig>,
    /// The sorry server.
    pub sorry: Option<SorryConfig>,
}

/// A member of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// A real server by its place.
    Real(usize),
    /// The sorry server.
    Sorry,
}

/// What is done with a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// It enters the pool.
    Add,
    /// It changes.
    Edit,
    /// It leaves the pool.
    Delete,
}

/// A change of the kernel's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The service itself.
    Service(Verb),
    /// A member.
    Member {
        /// What is done.
        verb: Verb,
        /// Which one.
        member: Member,
        /// Its weight.
        weight: i64,
        /// It was alive before.
        alive: bool,
    },
}

/// What others are told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A real server came up or went down.
    Real {
        /// Which one.
        real: usize,
        /// It is up.
        up: bool,
    },
    /// A real server that was up is taken away.
    RealGone {
        /// Which one.
        real: usize,
        /// The text of the mail.
        text: &'static str,
    },
    /// The quorum is there again, or not any more.
    Quorum {
        /// It is there.
        up: bool,
        /// The text of the mail.
        text: String,
    },
}

/// Who carries out what a virtual server decides.
pub trait Pool {
    /// Changes the kernel's table; false where that failed.
    fn apply(&mut self, change: Change) -> bool;
    /// Writes a line.
    fn say(&mut self, line: String);
    /// Tells scripts, FIFOs and receivers of mail.
    fn tell(&mut self, event: Event);
}

/// How much of the kernel's table is taken down at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flush {
    /// Each destination, then the service.
    #[default]
    Each,
    /// The service, which takes its destinations with it.
    Service,
}

/// A member's state.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    /// It counts for the quorum.
    alive: bool,
    /// The kernel has it.
    set: bool,
    weight: i64,
    /// The weight it would have if it could be less than 1.
    effective: i64,
    /// What is added to the configured weight at the start.
    offset: i64,
    /// How many of its checks have failed.
    failed: u32,
    checks: Box<[Check]>,
}

/// A check's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its last result was good, or there is none.
    pub up: bool,
    /// There is a result.
    pub has_run: bool,
}

/// What is known of a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RealState {
    /// It counts for the quorum.
    pub alive: bool,
    /// The kernel has it.
    pub set: bool,
    /// Its weight.
    pub weight: i64,
    /// The weight it would have if it could be less than 1.
    pub effective: i64,
    /// How many of its checks have failed.
    pub failed: u32,
}

/// A virtual server.
#[derive(Clone, Debug)]
pub struct VirtualServer {
    config: Arc<Config>,
    alive: bool,
    quorum_up: bool,
    reals: Vec<State>,
    sorry: State,
}

impl State {
    fn new(weight: i64, checks: usize) -> Self {
        let checks = vec![Check { up: true, has_run: false }; checks].into();
        Self { alive: false, set: false, weight, effective: weight, offset: 0, failed: 0, checks }
    }

    fn set_check(&mut self, check: usize, up: bool) {
        let Some(check) = self.checks.get_mut(check).filter(|check| check.up != up) else { return };
        check.up = up;
        self.failed = if up { self.failed.saturating_sub(1) } else { self.failed + 1 };
    }
}

/// `Adding`, or `Enabling` of a server that is only inhibited.
const fn verb(inhibit: bool, up: bool) -> &'static str {
    match (inhibit, up) {
        (true, true) => "Enabling",
        (true, false) => "Disabling",
        (false, true) => "Adding",
        (false, false) => "Removing",
    }
}

impl VirtualServer {
    /// A virtual server whose real servers are not in the pool yet.
    pub fn new(config: Arc<Config>) -> Self {
        let reals = config.reals.iter().map(|real| {
            let mut state = State::new(real.weight, real.alphas.len());
            (0..).zip(&*real.alphas).filter(|(_, alpha)| **alpha).for_each(|(at, _)| state.set_check(at, false));
            state
        });
        let reals = reals.collect();
        Self { config, alive: false, quorum_up: false, reals, sorry: State::new(1, 0) }
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The state of a check.
    pub fn check(&self, real: usize, check: usize) -> Option<Check> {
        self.reals.get(real)?.checks.get(check).copied()
    }

    /// Whether a real server counts.
    pub fn is_alive(&self, real: usize) -> bool {
        self.reals.get(real).is_some_and(|state| state.alive)
    }

    /// What is known of a real server.
    pub fn real(&self, real: usize) -> Option<RealState> {
        let &State { alive, set, weight, effective, failed, .. } = self.reals.get(real)?;
        Some(RealState { alive, set, weight, effective, failed })
    }

    /// Whether its service is in the kernel's table.
    pub const fn is_set(&self) -> bool {
        self.alive
    }

    /// Whether its real servers are enough.
    pub const fn has_quorum(&self) -> bool {
        self.quorum_up
    }

    /// Whether the sorry server answers.
    pub const fn is_sorry(&self) -> bool {
        self.sorry.alive
    }

    /// Puts the service and the real servers that are up into the kernel's table.
    pub fn start(&mut self, pool: &mut dyn Pool) {
        self.fill(&HashMap::new(), pool);
    }

    fn fill(&mut self, kept: &HashMap<usize, i64>, pool: &mut dyn Pool) {
        if !self.alive || self.config.group {
            pool.apply(Change::Service(Verb::Add));
            self.alive = true;
        }
        let config = self.config.clone();
        for (at, real) in config.reals.iter().enumerate() {
            if let Some(previous) = kept.get(&at) {
                if *previous != real.weight {
                    self.set_weight(at, real.weight, false, pool);
                }
                continue;
            }
            let Some(state) = self.reals.get_mut(at) else { continue };
            state.effective = real.weight.saturating_add(state.offset);
            state.weight = state.effective.clamp(1, MOST_WEIGHT - 1);
            let up = state.failed == 0;
            if up && !state.alive || real.inhibit && !state.set {
                self.command(Verb::Add, Member::Real(at), pool);
                if up {
                    self.set_alive(at, true);
                    if config.init_notifies {
                        pool.tell(Event::Real { real: at, up: true });
                    }
                }
            }
        }
        self.update_quorum(true, pool);
        if let Some(sorry) = config.sorry.as_ref().filter(|sorry| sorry.inhibit && !self.sorry.set) {
            if sorry.duplicates {
                self.sorry.set = true;
            } else {
                // It begins with weight 0.
                self.sorry.failed = 1;
                self.command(Verb::Add, Member::Sorry, pool);
                self.sorry.failed = 0;
            }
        }
    }

    fn set_alive(&mut self, real: usize, alive: bool) {
        if let Some(state) = self.reals.get_mut(real) {
            state.alive = alive;
        }
    }

    fn state(&mut self, member: Member) -> Option<&mut State> {
        match member {
            Member::Real(at) => self.reals.get_mut(at),
            Member::Sorry => Some(&mut self.sorry),
        }
    }

    fn inhibits(&self, member: Member) -> bool {
        match member {
            Member::Real(at) => self.config.reals.get(at).is_some_and(|real| real.inhibit),
            Member::Sorry => self.config.sorry.as_ref().is_some_and(|sorry| sorry.inhibit),
        }
    }

    fn command(&mut self, verb: Verb, member: Member, pool: &mut dyn Pool) -> bool {
        let inhibit = self.inhibits(member);
        self.command_as(verb, member, inhibit, pool)
    }

    /// Changes a member; one that inhibits is edited where another would be added or deleted.
    fn command_as(&mut self, mut verb: Verb, member: Member, inhibit: bool, pool: &mut dyn Pool) -> bool {
        let Some(state) = self.state(member) else { return false };
        let mut weight = state.weight;
        match verb {
            Verb::Delete if inhibit => (verb, weight) = (Verb::Edit, 0),
            Verb::Add if inhibit && state.set => verb = Verb::Edit,
            Verb::Add if !state.set => {
                state.set = true;
                if inhibit && state.failed > 0 {
                    weight = 0;
                }
            }
            Verb::Delete => state.set = false,
            Verb::Add | Verb::Edit => {}
        }
        let alive = state.alive;
        pool.apply(Change::Member { verb, member, weight, alive })
    }

    /// The weight of the real servers that count.
    pub fn weight(&self) -> i64 {
        self.reals.iter().filter(|state| state.alive).map(|state| state.weight).sum()
    }

    fn update_quorum(&mut self, init: bool, pool: &mut dyn Pool) {
        let config = self.config.clone();
        let (name, quorum, hysteresis) = (&config.name, config.quorum, config.hysteresis);
        let sum = self.weight();
        let threshold = if self.quorum_up { quorum - hysteresis } else { quorum + hysteresis };
        let waiting = init && config.sorry.is_some() && !self.sorry.alive;
        if !self.quorum_up && sum >= threshold {
            self.quorum_up = true;
            pool.say(format!("Gained quorum {quorum}+{hysteresis}={threshold} <= {sum} for VS {name}"));
            if let Some(sorry) = config.sorry.as_ref().filter(|_| self.sorry.alive) {
                let verb = verb(sorry.inhibit, false);
                pool.say(format!("{verb} sorry server {} from VS {name}", sorry.name));
                self.command(Verb::Delete, Member::Sorry, pool);
                self.sorry.alive = false;
                self.move_alive(true, pool);
            }
        } else if self.quorum_up && (sum == 0 || sum < threshold) || !self.quorum_up && waiting {
            self.quorum_up = false;
            let how = if init { "Starting with quorum down" } else { "Lost quorum" };
            pool.say(format!("{how} {quorum}-{hysteresis}={threshold} > {sum} for VS {name}"));
            if let Some(sorry) = config.sorry.as_ref().filter(|_| !self.sorry.alive) {
                let verb = verb(sorry.inhibit, true);
                pool.say(format!("{verb} sorry server {} to VS {name}", sorry.name));
                self.move_alive(false, pool);
                self.command(Verb::Add, Member::Sorry, pool);
                self.sorry.alive = true;
            }
        } else {
            return;
        }
        let how = match (self.quorum_up, init) {
            (true, true) => "Starting with quorum up",
            (true, false) => "Gained quorum",
            (false, true) => "Starting with quorum down",
            (false, false) => "Lost quorum",
        };
        let text = format!("=> {how} {quorum}+{hysteresis}={threshold} <= {sum} <=");
        pool.tell(Event::Quorum { up: self.quorum_up, text });
    }

    /// Puts the real servers that count into the pool, or takes them out of it.
    fn move_alive(&mut self, add: bool, pool: &mut dyn Pool) {
        let what = if add { "Adding alive servers to" } else { "Removing alive servers from" };
        pool.say(format!("{what} the pool for VS {}", self.config.name));
        for at in 0..self.reals.len() {
            if !self.is_alive(at) {
                continue;
            }
            self.set_alive(at, !add);
            self.command(if add { Verb::Add } else { Verb::Delete }, Member::Real(at), pool);
            self.set_alive(at, true);
        }
    }

    /// Whether changes of real servers reach the kernel: not while the sorry server answers.
    const fn is_open(&self) -> bool {
        self.quorum_up || !self.sorry.alive
    }

    /// A real server comes into the pool or leaves it; false where the kernel refused.
    fn set_real(&mut self, at: usize, up: bool, pool: &mut dyn Pool) -> bool {
        let config = self.config.clone();
        let Some(real) = config.reals.get(at) else { return false };
        if self.is_alive(at) == up {
            return true;
        }
        pool.say(format!("{} service {} to VS {}", verb(real.inhibit, up), real.name, config.name));
        let order = if up { Verb::Add } else { Verb::Delete };
        if self.is_open() && !self.command(order, Member::Real(at), pool) {
            return false;
        }
        self.set_alive(at, up);
        pool.tell(Event::Real { real: at, up });
        self.update_quorum(false, pool);
        true
    }

    /// Takes the result of a check.
    pub fn result(&mut self, real: usize, check: usize, up: bool, alpha: bool, pool: &mut dyn Pool) {
        let Some(state) = self.reals.get_mut(real) else { return };
        let failed = state.failed;
        let Some(known) = state.checks.get_mut(check) else { return };
        let first = !std::mem::replace(&mut known.has_run, true);
        if known.up == up {
            if first && (alpha || !up) {
                let alive = state.alive;
                pool.tell(Event::Real { real, up: alive });
            }
            return;
        }
        let decides = if up { failed <= 1 } else { failed == 0 };
        if decides && !self.set_real(real, up, pool) {
            return;
        }
        if let Some(state) = self.reals.get_mut(real) {
            state.set_check(check, up);
        }
    }

    /// Notes that a check has been made, with no result yet.
    pub fn attempted(&mut self, real: usize, check: usize) {
        if let Some(check) = self.reals.get_mut(real).and_then(|state| state.checks.get_mut(check)) {
            check.has_run = true;
        }
    }

    /// Sets what a check knows before the start, as it is not made: what is added to the weight, and whether it failed.
    pub fn begin_check(&mut self, real: usize, check: usize, weight: i64, down: bool) {
        self.attempted(real, check);
        let Some(state) = self.reals.get_mut(real) else { return };
        state.offset = state.offset.saturating_add(weight);
        if down {
            state.set_check(check, false);
        }
    }

    /// Changes the weight of a real server by so much.
    pub fn shift_weight(&mut self, real: usize, by: i64, pool: &mut dyn Pool) {
        if let Some(effective) = self.reals.get(real).map(|state| state.effective) {
            self.set_weight(real, effective.saturating_add(by), true, pool);
        }
    }

    /// Changes the weight of a real server.
    pub fn set_weight(&mut self, real: usize, weight: i64, quorum: bool, pool: &mut dyn Pool) {
        let open = self.is_open();
        let config = self.config.clone();
        let (Some(state), Some(own)) = (self.reals.get_mut(real), config.reals.get(real)) else { return };
        state.effective = weight;
        let weight = weight.clamp(1, MOST_WEIGHT);
        if weight == state.weight {
            return;
        }
        let kind = if state.alive { "" } else { "in" };
        let old = std::mem::replace(&mut state.weight, weight);
        let (name, of) = (&own.name, &config.name);
        pool.say(format!("Changing weight from {old} to {weight} for {kind}active service {name} of VS {of}"));
        if state.set && state.alive && open {
            self.command(Verb::Edit, Member::Real(real), pool);
        }
        if quorum {
            self.update_quorum(false, pool);
        }
    }

    /// Takes everything out of the kernel's table, at the end or because the file has it no more.
    pub fn stop(&mut self, flush: Flush, stopping: bool, pool: &mut dyn Pool) {
        if flush == Flush::Each {
            if self.sorry.set {
                if self.config.sorry.as_ref().is_some_and(|sorry| sorry.duplicates) {
                    self.sorry.set = false;
                } else {
                    self.command_as(Verb::Delete, Member::Sorry, false, pool);
                }
                self.sorry.alive = false;
            }
            for at in 0..self.reals.len() {
                self.remove(at, self.config.omega, stopping, pool);
            }
            self.update_end(self.config.omega, stopping, pool);
        } else if self.sorry.set {
            self.sorry.alive = false;
        }
        pool.apply(Change::Service(Verb::Delete));
        self.alive = false;
    }

    /// Takes a real server away for good.
    fn remove(&mut self, at: usize, omega: bool, stopping: bool, pool: &mut dyn Pool) {
        let config = self.config.clone();
        let (Some(state), Some(real)) = (self.reals.get(at), config.reals.get(at)) else { return };
        let (set, alive) = (state.set, state.alive);
        if set || stopping {
            let verb = if stopping { "Shutting down" } else { "Removing" };
            let inhibited = if real.inhibit && !alive { "(inhibited) " } else { "" };
            pool.say(format!("{verb} {inhibited}service {} from VS {}", real.name, config.name));
        }
        if !set {
            return;
        }
        self.command_as(Verb::Delete, Member::Real(at), false, pool);
        if !alive {
            return;
        }
        self.set_alive(at, false);
        if !omega && stopping {
            return;
        }
        pool.tell(Event::Real { real: at, up: false });
        let text = if stopping { "=> Shutting down <=" } else { "=> Removing <=" };
        pool.tell(Event::RealGone { real: at, text });
    }

    /// The quorum after real servers were taken away; no sorry server is put in.
    fn update_end(&mut self, omega: bool, stopping: bool, pool: &mut dyn Pool) {
        let threshold = self.config.quorum - self.config.hysteresis;
        let sum = self.weight();
        if !stopping && !(self.quorum_up && (sum == 0 || sum < threshold)) {
            return;
        }
        self.quorum_up = false;
        if stopping && !omega {
            return;
        }
        let text = if stopping {
            "=> Shutting down <=".to_owned()
        } else {
            let Config { quorum, hysteresis, .. } = &*self.config;
            format!("=> Lost quorum {quorum}+{hysteresis}={threshold} <= {sum} <=")
        };
        pool.tell(Event::Quorum { up: false, text });
    }
}

#[cfg(test)]
mod tests;
