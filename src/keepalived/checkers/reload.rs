//! A reload: what stays the same keeps its state, and the kernel hears only of what changed.

use super::attempt::CheckState;
use super::{Running, ServerActions, Start, State, load};
use crate::check::schedule::Schedule;
use crate::check::server::{Attempts, Before, Change, Config, Flush, Pool, Pools, RealConfig};
use crate::keepalived::blocks::server::{Entry, trio};
use crate::keepalived::dump::servers::Kept;
use crate::keepalived::site::server::{Check, Identity, RealServer, VirtualServer};
use std::collections::HashMap;
use std::rc::Rc;

impl State {
    /// Reads the configuration again; one that cannot be run leaves everything as it is.
    ///
    /// Differs from keepalived: a file that cannot be run ends nothing. [test: a_reload_that_cannot_be_run_keeps_the_virtual_servers]
    ///
    /// Differs from keepalived: neither does the first virtual server where the kernel has no IPVS, once this process runs; there all of keepalived ends. [test: a_reload_without_ipvs_is_refused_and_routers_go_on]
    pub(super) fn reload(&mut self, start: &Start) {
        self.log.say("Reloading");
        self.log.say("Got SIGHUP, reloading checker configuration");
        let Some(mut site) = load(start, &self.log) else {
            return self.log.say("The configuration cannot be run - keeping the old one");
        };
        let wanted = std::mem::take(&mut site.servers);
        let secure = super::tls::is_needed(&wanted);
        let tls = if secure { super::tls::client(site.tls.as_ref(), &self.log) } else { None };
        if secure && tls.is_none() {
            return self.log.say("The configuration cannot be run - keeping the old one");
        }
        if self.servers.is_empty() && !wanted.is_empty() && !self.open_kernel(start) {
            return self.log.say("The configuration cannot be run - keeping the old one");
        }
        self.save("pre");
        self.tls = tls;
        self.kernel.set_timeouts(site.lvs.timeouts, &self.log);
        if !self.servers.is_empty() || !wanted.is_empty() {
            self.log.say("Reinitializing ipvs");
        }
        self.kernel.carry(self.servers.iter().map(|running| &*running.given), wanted.iter());
        self.teller.adopt(&site, &self.log);
        let before = self.own_sync().cloned();
        self.site = site;
        self.scheduling.apply(&self.site.global.checkers, &self.log);
        self.start_sync(before.as_ref());
        let before = std::mem::take(&mut self.files);
        self.replace(wanted);
        self.settle_files(before);
        self.watch_addresses();
        self.ping_groups.open(self.servers.iter().map(|running| &*running.given), &self.log);
        self.reporting.begin();
        self.save("post");
    }

    fn replace(&mut self, wanted: Vec<VirtualServer>) {
        let places: HashMap<Identity, usize> =
            wanted.iter().zip(0..).map(|(server, at)| (server.identity.clone(), at)).collect();
        let mut next: Vec<Option<Running>> = Vec::new();
        next.resize_with(wanted.len(), || None);
        let wanted: Vec<Rc<VirtualServer>> = wanted.into_iter().map(Rc::new).collect();
        let mut previous: Vec<Option<Config>> = vec![None; wanted.len()];
        for old in std::mem::take(&mut self.servers) {
            let found = places.get(&old.given.identity).and_then(|at| Some((*at, wanted.get(*at)?.clone())));
            match found {
                None => self.remove(old),
                Some((at, given)) => {
                    let before = old.machine.config().clone();
                    let running = self.carry_over(old, given);
                    if let (Some(slot), Some(config)) = (next.get_mut(at), previous.get_mut(at)) {
                        (*slot, *config) = (Some(running), Some(before));
                    }
                }
            }
        }
        for (given, running) in wanted.into_iter().zip(next) {
            self.servers.push(running.unwrap_or_else(|| Running::new(given)));
        }
        self.open_files(false);
        self.kernel.set_carrying(false);
        for (at, before) in previous.into_iter().enumerate() {
            match before {
                Some(before) => {
                    let members = self.with(at, |machine, _| machine.members()).unwrap_or_default();
                    self.fill_entries(at, &members);
                    self.with(at, |machine, actions| machine.refill(&before, actions));
                }
                None => {
                    self.begin_files(at);
                    self.with(at, |machine, actions| machine.start(actions));
                }
            }
        }
        self.kernel.settle();
    }

    /// Takes a virtual server away that the file has no more.
    fn remove(&mut self, old: Running) {
        let Running { given, mut machine, .. } = old;
        let name = &given.config.name;
        self.log.say(match &given.identity {
            Identity::Group(group, _) => format!("Removing Virtual Server Group [{group}]"),
            Identity::Key(_) => format!("Removing Virtual Server {name}"),
        });
        let flush = if self.site.lvs.flush_on_stop.is_some() { Flush::Service } else { Flush::Each };
        let Self { kernel, teller, log, .. } = self;
        // Its own entries still have their services.
        kernel.set_carrying(false);
        machine.stop(flush, false, &mut ServerActions { given: &given, kernel, teller, log });
        self.kernel.set_carrying(true);
    }

    /// Puts the state of a virtual server under its new configuration.
    fn carry_over(&mut self, old: Running, given: Rc<VirtualServer>) -> Running {
        let before = compare(&old.given, &given);
        self.drop_entries(&old, &given);
        let Running { given: previous, machine, check_states, .. } = old;
        let Self { kernel, teller, log, .. } = self;
        let actions = ServerActions { given: &previous, kernel, teller, log };
        let mut pools = Both { old: &previous, new: &given, actions };
        let (machine, attempts) = machine.reload(given.config.clone(), &before, &mut pools);
        let old_places: HashMap<&str, usize> = previous.config.reals.iter().map(|real| &*real.name).zip(0..).collect();
        let check_states =
            given.reals.iter().zip(&given.config.reals).zip(attempts).map(|((real, named), attempts)| {
                let before = old_places.get(&*named.name).and_then(|at| check_states.get(*at));
                let check_state = |(check, attempts): (&Check, Attempts)| {
                    let known = |at| before.and_then(|all| all.get(at));
                    let (attempts, known) = match attempts {
                        Attempts::None => (0, None),
                        Attempts::All => (check.timing.retry, None),
                        Attempts::Of(at) => {
                            (known(at).map_or(0, |check_state| check_state.schedule.attempts()), known(at))
                        }
                    };
                    let fresh = CheckState::new(check);
                    let status = known.map_or(0, |check_state| check_state.status);
                    CheckState { schedule: Schedule::resume(check.timing.clone(), attempts), status, ..fresh }
                };
                real.checks.iter().zip(attempts).map(check_state).collect()
            });
        let check_states = check_states.collect();
        let weight = |named: &RealConfig| Some(previous.config.reals.get(*old_places.get(&*named.name)?)?.weight);
        let weights = given.config.reals.iter().map(weight).collect();
        let entries = given.entries.iter().filter(|entry| previous.entries.contains(entry)).copied().collect();
        Running { given, machine, check_states, held: 0, kept: Some(Box::new(Kept { weights, entries })) }
    }

    /// Takes entries away that the group has no more, with what they serve.
    fn drop_entries(&mut self, old: &Running, given: &VirtualServer) {
        let Identity::Group(group, _) = &old.given.identity else { return };
        let members = old.machine.members();
        for entry in old.given.entries.iter().filter(|entry| !given.entries.contains(entry)) {
            let shown = match entry {
                Entry::Mark(mark, _) => mark.to_string(),
                Entry::Addresses(ip, more, port) => format!("{}:{more}", trio(*ip, old.given.protocol, *port)),
            };
            self.log.say(format!("VS [{shown}] in group {group} no longer exists"));
            self.kernel.drop_entry(&old.given, entry, &members, &self.log);
        }
    }

    /// Gives new entries of a group the real servers that are there already.
    fn fill_entries(&mut self, at: usize, members: &[Change]) {
        let Self { servers, kernel, log, .. } = self;
        let Some(Running { given, .. }) = servers.get(at) else { return };
        let Identity::Group(group, _) = &given.identity else { return };
        let new: Vec<&Entry> = given.entries.iter().filter(|entry| !kernel.was_there(group, entry)).collect();
        for entry in new {
            let shown = match entry {
                Entry::Mark(mark, _) => format!("{mark}"),
                Entry::Addresses(ip, more, port) => format!("{}:{more}:0", trio(*ip, given.protocol, *port)),
            };
            log.say(format!("VS [{shown}] added into group {group}"));
            kernel.fill_entry(given, entry, members, log);
        }
    }
}

/// Carries out changes by old and by new places.
struct Both<'a> {
    old: &'a VirtualServer,
    new: &'a VirtualServer,
    actions: ServerActions<'a>,
}

impl Pools for Both<'_> {
    fn of_old(&mut self) -> &mut dyn Pool {
        self.actions.given = self.old;
        &mut self.actions
    }

    fn of_new(&mut self) -> &mut dyn Pool {
        self.actions.given = self.new;
        &mut self.actions
    }
}

/// What is different between two configurations of a virtual server.
fn compare(old: &VirtualServer, new: &VirtualServer) -> Before {
    let places: HashMap<&str, &RealServer> = old.config.reals.iter().map(|real| &*real.name).zip(&old.reals).collect();
    let pairs = new.reals.iter().zip(&new.config.reals).map(|(real, named)| (places.get(&*named.name), real));
    let same =
        |before: &RealServer, check: &Check| before.checks.iter().position(|old| old.probe.is_same(&check.probe));
    Before {
        service_changed: old.service != new.service,
        rerouted: pairs
            .clone()
            .map(|(before, real)| before.is_some_and(|one| one.destination.method != real.destination.method))
            .collect(),
        checks: pairs
            .map(|(before, real)| {
                real.checks.iter().map(|check| before.and_then(|before| same(before, check))).collect()
            })
            .collect(),
    }
}
