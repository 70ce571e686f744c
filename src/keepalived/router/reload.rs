//! Signals, and the reload among them.
//!
//! Differs from keepalived: a broken file is refused at a reload, and the old one stays. [test: a_broken_file_is_refused_at_a_reload]

use super::act::part;
use super::pace::Pacer;
use super::{InstanceState, Process, load, wanted};
use crate::conf::diagnostic::reason;
use crate::keepalived::blocks::address::Address;
use crate::keepalived::blocks::dumps::saved;
use crate::keepalived::blocks::instance::Notify;
use crate::keepalived::dump;
use crate::keepalived::plan::{Change, plan};
use crate::keepalived::report::Report;
use crate::keepalived::site::{Script, Site};
use crate::keepalived::track::file::FileRunner;
use crate::keepalived::track::script::ScriptRunner;
use crate::keepalived::track::security::{Judged, NO_DEFAULT_USER, Policy, Unusable};
use crate::sys::inotify::Inotify;
use crate::sys::process::trim_memory;
use crate::sys::signal::{realtime_first, realtime_last};
use crate::vrrp::machine::StateKind;
use crate::vrrp::node::{GroupId, Kept, Occasion, RouterId};
use nix::sys::signal::Signal;
use std::time::Instant;

impl Process {
    /// Does what a signal asks for; tells whether it asks for the end.
    pub(super) fn obey(&mut self, number: i32, now: Instant) -> bool {
        let pid = std::process::id();
        match number {
            n if n == Signal::SIGTERM as i32 || n == Signal::SIGINT as i32 => return true,
            n if n == Signal::SIGHUP as i32 => self.reload(now),
            n if n == Signal::SIGUSR1 as i32 => {
                self.log.say(format!("Printing VRRP data for process({pid}) on signal"));
                let text = dump::data(&self.view());
                let root = &self.site.root;
                let path =
                    self.site.global.dumps.data_file("", (root.net_namespace.as_deref(), root.instance.as_deref()));
                self.write(&path, &text);
            }
            n if n == Signal::SIGUSR2 as i32 || n == realtime_last() - 1 => {
                self.log.say(format!("Printing VRRP stats for process({pid}) on signal"));
                let text = dump::stats(&self.view());
                self.write(&self.site.global.dumps.stats_file(), &text);
                if n == realtime_last() - 1 {
                    self.node.clear_counters();
                }
            }
            n if n == realtime_first() + 2 => {
                self.log.say(format!("Printing VRRP as json for process({pid}) on signal"));
                let text = dump::json(&self.view());
                self.write(&self.site.global.dumps.json_file(), &text);
            }
            // A child's end is noticed by whoever started it.
            _ => {}
        }
        false
    }

    /// Keeps what is known before and after a reload, where the configuration asks for that.
    fn save(&mut self, when: &str) {
        self.reloads += u32::from(when == "pre");
        if let Some(folder) = &self.site.global.config_save_dir {
            self.write(&saved(folder, "vrrp", self.reloads, when), &dump::data(&self.view()));
        }
    }

    fn write(&self, path: &str, text: &str) {
        if let Err(error) = dump::write(path, text) {
            self.log.say(format!("Can't open dump file {path} ({})", reason(&error)));
        }
    }

    /// A new configuration, if it can be run: what stays the same instance stays what it is.
    fn reload(&mut self, now: Instant) {
        self.log.say("Reloading");
        let Some((site, text)) = load(&self.start, &self.log, &self.interfaces) else {
            self.log.say("The configuration cannot be run - keeping the old one");
            self.start.reporter.tell(&Report::Refused);
            return;
        };
        self.recorder.end("the configuration was changed here");
        self.save("pre");
        let changes = plan(&self.site, &site);
        for change in &changes {
            if let Change::Remove { old } = change {
                self.retire(*old, now);
            }
        }
        let mut old: Vec<Option<InstanceState>> = std::mem::take(&mut self.seats).into_iter().map(Some).collect();
        let mut seats: Vec<(usize, Option<Kept>, InstanceState)> = Vec::new();
        for change in changes {
            match change {
                Change::Remove { .. } => {}
                Change::Keep { old: at, new, gone, more } => {
                    if let (Some(mut seat), Some(instance)) =
                        (old.get_mut(at).and_then(Option::take), site.instances.get(new).cloned())
                    {
                        self.forget(&mut seat, RouterId(at), &gone);
                        self.forget_ways(&mut seat.held, &instance.routes, &instance.rules);
                        self.forget_blocked(&mut seat.held, &instance);
                        let kept = Kept { before: RouterId(at), announce: more };
                        seats.push((new, Some(kept), InstanceState { instance, ..seat }));
                    }
                }
                Change::Add { new } => {
                    seats.extend(
                        site.instances.get(new).cloned().map(|instance| (new, None, InstanceState::new(instance))),
                    );
                }
            }
        }
        seats.sort_by_key(|(new, ..)| *new);
        let kept: Vec<Option<Kept>> = seats.iter().map(|(_, kept, _)| *kept).collect();
        self.seats = seats.into_iter().map(|(.., seat)| seat).collect();
        let groups: Vec<String> = self.site.groups.iter().map(|group| group.name.clone()).collect();
        let states: Vec<Option<StateKind>> = (0..groups.len()).map(|at| self.node.group_state(GroupId(at))).collect();
        let router_states = self.states_before(&kept);
        self.adopt(site, now);
        let (config, things) = self.site.node();
        self.node.replace(config, &kept);
        self.things = things;
        for (at, group) in self.site.groups.iter().enumerate() {
            let before = groups.iter().position(|name| *name == group.name);
            self.node.resume_group(GroupId(at), before.and_then(|at| states.get(at).copied().flatten()));
        }
        self.moving = self.site.virtual_addresses();
        self.configure_firewall();
        self.pacers = Pacer::all(&self.site, std::mem::take(&mut self.pacers));
        self.make_vmacs();
        self.start_linkbeat(now);
        // All facts first: the state of one depends on what the others of its group track now.
        self.changed = true;
        self.tell_readings(now);
        self.look_at_kernel(now);
        self.node.resume(now);
        self.perform_acts();
        self.greet();
        self.describe_channels();
        self.node.explain_faults();
        self.settle(now);
        self.write_unchanged_states((&groups, &states), &router_states);
        self.close_channels();
        self.report_configuration(&text);
        self.save("post");
        trim_memory();
        self.start.reporter.tell(&Report::Running);
    }

    /// The states of the routers that go on, by their new places.
    fn states_before(&self, kept: &[Option<Kept>]) -> Vec<Option<StateKind>> {
        let state = |kept: Kept| Some(self.node.router(kept.before)?.state());
        kept.iter().map(|kept| kept.and_then(state)).collect()
    }

    /// Writes to FIFOs the states that a reload did not change, if the configuration asks for it.
    ///
    /// Differs from keepalived: 2.2.7 leaves out the instances that are master or backup. [test: states_are_written_to_fifos_at_a_reload]
    fn write_unchanged_states(
        &mut self,
        (names, group_states): (&[String], &[Option<StateKind>]),
        router_states: &[Option<StateKind>],
    ) {
        if self.site.global.states_on_reload != Some(true) {
            return;
        }
        for (at, group) in self.site.groups.iter().enumerate() {
            let before = names.iter().position(|name| *name == group.name);
            let before = before.and_then(|at| group_states.get(at).copied().flatten());
            if let Some(state) = self.node.group_state(GroupId(at)).filter(|state| before == Some(*state)) {
                self.notifier.write_state(("GROUP", &group.name), (Occasion::State(state), 0), &self.log);
            }
        }
        for ((seat, (_, router)), before) in self.seats.iter().zip(self.node.routers()).zip(router_states) {
            let state = router.state();
            if *before == Some(state) {
                let what = (Occasion::State(state), router.priority());
                self.notifier.write_state(("INSTANCE", &seat.instance.name), what, &self.log);
            }
        }
    }

    /// The new site's scripts, files, rules and FIFOs; what was known stays known.
    fn adopt(&mut self, site: Site, now: Instant) {
        let gone = gone(&self.site, &site);
        self.hold_static(&gone, false);
        let before = std::mem::replace(&mut self.site, site);
        self.policy = Policy::of(&self.site.global);
        self.apply_runtime(&before);
        // Those that stay are there, and are left as they are.
        self.forget_static_ways();
        self.watch_ways();
        self.hold_static_all();
        let mut before = std::mem::take(&mut self.scripts);
        before.iter_mut().for_each(ScriptRunner::abandon);
        self.scripts = self.script_runners(now);
        for runner in &mut self.scripts {
            let same = before.iter().find(|one| one.script.name == runner.script.name);
            if let Some(line) = same.and_then(|one| runner.resume(one)) {
                self.log.say(line);
            }
        }
        self.track_files(now, false);
        self.track_processes(now);
        self.notifier.adopt(&self.site, self.policy.clone(), &self.log);
        // A kernel without IPVS is said, and the routers go on.
        self.sync.adopt(self.site.lvs.sync.as_ref(), self.start.simulate_ipvs, &self.log);
    }

    /// Stops an instance the new file no longer has: priority 0, then one notification. Its group is not told.
    fn retire(&mut self, at: usize, now: Instant) {
        let router = self.node.router(RouterId(at)).map(|router| (router.state(), router.priority()));
        self.node.retire(now, RouterId(at));
        self.perform_acts();
        let (Some((state, priority)), Some(seat)) = (router, self.seats.get(at)) else { return };
        let instance = &seat.instance;
        if instance.notify_deleted {
            self.notifier.instance(instance, Occasion::Deleted, priority, &self.log);
        } else if state != StateKind::Fault {
            self.notifier.instance(instance, Occasion::State(StateKind::Fault), priority, &self.log);
        }
        self.retire_vmac(at);
    }

    /// Takes away addresses a master no longer has.
    fn forget(&mut self, seat: &mut InstanceState, id: RouterId, gone: &[Address]) {
        if self.node.router(id).is_none_or(|router| router.state() != StateKind::Master) {
            return;
        }
        for address in gone {
            let Some(wanted) = wanted(&self.interfaces, seat.instance.device(), address) else { continue };
            if !seat.held.addresses.contains(&wanted) {
                continue;
            }
            let device = address.dev.as_deref().unwrap_or_else(|| seat.instance.device());
            let (name, ip, prefix) = (&seat.instance.name, address.ip, address.prefix);
            self.log.say_of(name, format_args!("ip address {ip}/{prefix} dev {device}, no longer exist"));
            part(&mut self.parting, ip);
            seat.held.addresses.retain(|held| *held != wanted);
            if let Err(error) = wanted.remove(&mut self.commands) {
                self.log.say_of(name, format_args!("Unable to remove {ip} - {}", reason(&error)));
            }
        }
    }

    /// The files of the configuration, their folders watched anew.
    pub(super) fn track_files(&mut self, now: Instant, starting: bool) {
        let any = !self.site.files.is_empty();
        self.folders = any.then(Inotify::new).and_then(Result::ok);
        let with = (starting, self.folders.as_ref());
        self.files = self.site.files.iter().map(|file| FileRunner::new(file, now, with)).collect();
    }

    /// The scripts somebody tracks, judged by the rules.
    pub(super) fn script_runners(&self, now: Instant) -> Vec<ScriptRunner> {
        let used = |name: &str| {
            let what = crate::keepalived::site::What::Script(name.to_owned());
            self.site.instances.iter().any(|instance| instance.tracking.iter().any(|one| one.what == what))
        };
        let used = self.site.scripts.iter().filter(|script| used(&script.name));
        // What is asked in the loop starts no program.
        let judge = |script: &Script| match script.probe {
            Some(_) => Judged::default(),
            None => self.policy.judge(&script.command),
        };
        let judged: Vec<(&Script, Judged)> = used.map(|script| (script, judge(script))).collect();
        let site = &self.site;
        let notify = site.instances.iter().map(|one| one.notify()).chain(site.groups.iter().map(|one| &one.notify));
        let readers = site.global.fifo_scripts.iter().map(|(_, command)| command);
        let commands = notify.flat_map(Notify::commands).chain(readers);
        let told: Vec<Judged> = commands.map(|one| self.policy.judge(one)).collect();
        let all = || judged.iter().map(|(_, judged)| judged).chain(&told);
        if all().any(|judged| judged.no_default_user) {
            self.log.say(NO_DEFAULT_USER);
        }
        for (script, judged) in &judged {
            judged.lines.iter().for_each(|line| self.log.say(line));
            self.disabled(script, judged.unusable);
        }
        told.iter().flat_map(|judged| &judged.lines).for_each(|line| self.log.say(line));
        let mut violators = all().filter(|judged| judged.root && !self.policy.enforced).peekable();
        if violators.peek().is_some() {
            let also = if violators.any(|judged| judged.insecure) { " There are insecure scripts." } else { "" };
            let text = "SECURITY VIOLATION - scripts are being executed but script_security not enabled.";
            self.log.say(format!("{text}{also}"));
        }
        let runner = |(script, judged): (&Script, Judged)| ScriptRunner::new(script.clone(), judged.program, now);
        judged.into_iter().map(runner).collect()
    }

    /// Says that a tracked script is not run, and what that means for the routers that track it.
    fn disabled(&self, script: &Script, unusable: Option<Unusable>) {
        let name = &script.name;
        let Some(unusable) = unusable else { return };
        self.log.say(match unusable {
            Unusable::User => format!("Unable to set default user for vrrp script {name} - removing"),
            Unusable::Insecure => format!("Disabling track script {name} due to insecure"),
            Unusable::Missing => format!("Disabling track script {name} since not found/accessible"),
            // keepalived has said "disabling" before, and says no more.
            Unusable::NotExecutable if !self.start.fault_on_disabled_script => return,
            Unusable::NotExecutable => format!("Disabling track script {name} since not executable"),
        });
        if self.start.fault_on_disabled_script {
            self.log.say(format!("Track script {name} counts as failed"));
        }
    }
}

/// The static addresses of `old` that `new` has not got, or has in another form or place.
fn gone(old: &Site, new: &Site) -> Vec<Address> {
    let placed = |site: &Site, one: &Address| {
        let dev = Some(one.dev.clone().unwrap_or_else(|| site.static_device()));
        // Who tracks its interface is nothing the kernel holds.
        Address { dev, group: None, ..one.clone() }
    };
    let stays = |one: &&Address| {
        let same = |other: &Address| Address { span: one.span, ..placed(new, other) } == placed(old, one);
        new.root.addresses.iter().any(same)
    };
    old.root.addresses.iter().filter(|one| !stays(one)).map(|one| placed(old, one)).collect()
}
