//! A reload: a virtual server under its new configuration, with what stays the same untouched.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{Change, Config, Member, Pool, State, Verb, VirtualServer};
use std::collections::HashMap;
use std::sync::Arc;

/// What the caller has compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// The service has other settings.
    pub service_changed: bool,
    /// By the real server's new place: packets reach it in another way.
    pub rerouted: Vec<bool>,
    /// By the real server's new place, of each check the old one that is the same.
    pub checks: Vec<Vec<Option<usize>>>,
}

/// How many attempts of a check have failed, as the reload leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempts {
    /// None.
    None,
    /// So many that the next failure decides.
    All,
    /// As many as of the old check in that place.
    Of(usize),
}

/// Those who carry out changes of members by their places in the old configuration, and in the new one.
pub trait Pools {
    /// By old places.
    fn of_old(&mut self) -> &mut dyn Pool;
    /// By new places.
    fn of_new(&mut self) -> &mut dyn Pool;
}

impl VirtualServer {
    /// Puts the state of `self` under a new configuration; then [`VirtualServer::refill`] puts in what is new.
    pub fn reload(mut self, config: Arc<Config>, before: &Before, pools: &mut dyn Pools) -> (Self, Vec<Vec<Attempts>>) {
        let previous = self.config.clone();
        let mut next = Self::new(config.clone());
        next.reals.iter_mut().for_each(|state| *state = State::new(state.weight, state.checks.len()));
        (next.alive, next.quorum_up) = (self.alive, self.quorum_up);
        if before.service_changed {
            pools.of_new().apply(Change::Service(Verb::Edit));
        }
        let places: HashMap<&str, usize> = config.reals.iter().map(|real| &*real.name).zip(0..).collect();
        let mut attempts: Vec<Vec<Attempts>> =
            config.reals.iter().map(|real| vec![Attempts::None; real.alphas.len()]).collect();
        let mut kept = vec![false; config.reals.len()];
        for (at, real) in previous.reals.iter().enumerate() {
            let Some(place) = places.get(&*real.name).copied() else {
                pools.of_old().say(format!("service {} no longer exist", real.name));
                self.remove(at, true, false, pools.of_old());
                continue;
            };
            let Some(state) = self.reals.get(at) else { continue };
            next.adopt(place, state);
            kept.iter_mut().skip(place).take(1).for_each(|kept| *kept = true);
            let same = before.checks.get(place).map(Vec::as_slice).unwrap_or_default();
            next.migrate((place, state), same, &mut attempts, pools.of_new());
            if before.rerouted.get(place).copied().unwrap_or_default() {
                next.command(Verb::Edit, Member::Real(place), pools.of_new());
            }
        }
        self.update_end(true, false, pools.of_old());
        next.take_sorry(&mut self, pools.of_old());
        // New real servers with such checks are down until those succeed.
        for (at, real) in config.reals.iter().enumerate().filter(|(at, _)| kept.get(*at) != Some(&true)) {
            let Some(state) = next.reals.get_mut(at) else { continue };
            (0..).zip(&*real.alphas).filter(|(_, alpha)| **alpha).for_each(|(check, _)| state.set_check(check, false));
        }
        (next, attempts)
    }

    /// Puts what is new into the kernel's table, and weights that changed; `previous` is the configuration before.
    pub fn refill(&mut self, previous: &Config, pool: &mut dyn Pool) {
        let weights: HashMap<&str, i64> = previous.reals.iter().map(|real| (&*real.name, real.weight)).collect();
        let config = self.config.clone();
        let kept = (0..).zip(&config.reals).filter_map(|(at, real)| Some((at, *weights.get(&*real.name)?)));
        self.fill(&kept.collect(), pool);
    }

    /// The real servers the kernel has, as changes that put them where they are not yet.
    pub fn members(&self) -> Vec<Change> {
        let of = self.reals.iter().zip(&self.config.reals).enumerate();
        let there = of.filter(|(_, (state, real))| state.alive || real.inhibit && state.set);
        let change = |(at, (state, _)): (usize, (&State, _))| Change::Member {
            verb: Verb::Add,
            member: Member::Real(at),
            weight: if state.alive { state.weight } else { 0 },
            alive: false,
        };
        there.map(change).collect()
    }

    fn adopt(&mut self, place: usize, old: &State) {
        let Some(state) = self.reals.get_mut(place) else { return };
        (state.alive, state.set, state.weight) = (old.alive, old.set, old.weight);
        (state.effective, state.offset) = (old.effective, old.offset);
    }

    /// Takes over the state of the checks that are the same.
    fn migrate(
        &mut self,
        (place, old): (usize, &State),
        same: &[Option<usize>],
        attempts: &mut [Vec<Attempts>],
        pool: &mut dyn Pool,
    ) {
        let config = self.config.clone();
        let (Some(state), Some(real)) = (self.reals.get_mut(place), config.reals.get(place)) else { return };
        let Some(attempts) = attempts.get_mut(place) else { return };
        for (check, from) in same.iter().enumerate() {
            let Some((from, known)) = from.and_then(|from| Some((from, old.checks.get(from)?))) else { continue };
            if let (Some(check), Some(attempts)) = (state.checks.get_mut(check), attempts.get_mut(check)) {
                *attempts = Attempts::Of(from);
                check.has_run = known.has_run;
                check.up = !known.has_run || known.up;
            }
        }
        state.failed = state.checks.iter().filter(|check| check.has_run && !check.up).count() as u32;
        let has_run = state.checks.iter().any(|check| check.has_run);
        if state.failed > 0 || !state.alive && !has_run {
            for (check, alpha) in real.alphas.iter().enumerate() {
                if state.checks.get(check).is_some_and(|check| check.has_run) {
                    continue;
                }
                if *alpha {
                    state.set_check(check, false);
                }
                attempts.iter_mut().skip(check).take(1).for_each(|attempts| *attempts = Attempts::All);
            }
        }
        if state.failed == 0 && !state.alive {
            self.set_real(place, true, pool);
        } else if state.failed > 0 && state.set != real.inhibit {
            let verb = if real.inhibit { Verb::Add } else { Verb::Delete };
            self.command(verb, Member::Real(place), pool);
        }
    }

    /// Takes over the sorry server, or takes an old one away.
    fn take_sorry(&mut self, old: &mut Self, pool: &mut dyn Pool) {
        let before = old.config.clone();
        let Some(sorry) = &before.sorry else { return };
        if self.config.sorry.as_ref().is_some_and(|new| new.name == sorry.name) {
            self.sorry = old.sorry.clone();
            return;
        }
        if old.sorry.alive || sorry.inhibit && old.sorry.set {
            pool.say(format!("Removing sorry server {} from VS {}", sorry.name, before.name));
            old.command_as(Verb::Delete, Member::Sorry, false, pool);
        }
    }
}
