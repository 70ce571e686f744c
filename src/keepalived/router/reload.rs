//! Signals, and the reload among them.
//!
//! Differs from keepalived: a broken file is refused at a reload, and the old one stays. [test: a_broken_file_is_refused_at_a_reload]

use super::act::part;
use super::{Process, Seat, load, policy, wanted};
use crate::keepalived::dump;
use crate::keepalived::notify::Occasion;
use crate::keepalived::plan::{Change, plan};
use crate::keepalived::site::Site;
use crate::keepalived::track::file::FileRunner;
use crate::keepalived::track::script::ScriptRunner;
use crate::sys::signal::{realtime_first, realtime_last};
use crate::vrrp::machine::{Event, StateKind};
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
                self.journal.say(format!("Printing VRRP data for process({pid}) on signal"));
                let text = dump::data(&self.view());
                self.write("/tmp/keepalived.data", &text);
            }
            n if n == Signal::SIGUSR2 as i32 || n == realtime_last() - 1 => {
                self.journal.say(format!("Printing VRRP stats for process({pid}) on signal"));
                let text = dump::stats(&self.view());
                self.write("/tmp/keepalived.stats", &text);
                if n == realtime_last() - 1 {
                    self.seats.iter_mut().for_each(|seat| seat.machine.clear_counters());
                }
            }
            n if n == realtime_first() + 2 => {
                self.journal.say(format!("Printing VRRP as json for process({pid}) on signal"));
                let text = dump::json(&self.view());
                self.write("/tmp/keepalived.json", &text);
            }
            // A child's end is noticed by whoever started it.
            _ => {}
        }
        false
    }

    fn write(&self, path: &str, text: &str) {
        if let Err(error) = dump::write(path, text) {
            self.journal.say(format!("Can't open dump file {path} ({error})"));
        }
    }

    /// A new configuration, if it can be run: what stays the same instance stays what it is.
    fn reload(&mut self, now: Instant) {
        self.journal.say("Reloading");
        let Some((site, _)) = load(&self.start, &self.journal, &self.world) else {
            self.journal.say("The configuration cannot be run - keeping the old one");
            return;
        };
        self.recorder.end("the configuration was changed here");
        let changes = plan(&self.site, &site);
        let mut old: Vec<Option<Seat>> = std::mem::take(&mut self.seats).into_iter().map(Some).collect();
        let mut seats: Vec<(usize, Seat)> = Vec::new();
        let mut kept = Vec::new();
        for change in &changes {
            match change {
                Change::Remove { old: at } => {
                    if let Some(seat) = old.get_mut(*at).and_then(Option::take) {
                        self.retire(seat, now);
                    }
                }
                Change::Keep { old: at, new, gone, more } => {
                    if let Some(seat) = old.get_mut(*at).and_then(Option::take) {
                        self.forget(&seat, gone);
                        kept.push((*new, *more));
                        seats.push((*new, seat));
                    }
                }
                Change::Add { .. } => {}
            }
        }
        self.adopt(site, now);
        for change in &changes {
            if let Change::Add { new } = change
                && let Some(instance) = self.site.instances.get(*new).cloned()
            {
                let seat = self.seat(instance);
                seats.push((*new, seat));
            }
        }
        seats.sort_by_key(|(new, _)| *new);
        self.seats = seats.into_iter().map(|(_, seat)| seat).collect();
        // All of them first: where one stands depends on what the others of its group track now.
        for (new, _) in &kept {
            if let (Some(seat), Some(instance)) = (self.seats.get_mut(*new), self.site.instances.get(*new)) {
                seat.instance = instance.clone();
            }
        }
        for (new, more) in kept {
            self.reconfigure(new, now, more);
        }
        self.greet();
        self.open_channels();
        self.channels.iter().for_each(|channel| self.journal.say(channel.describe()));
        self.explain_faults(|seat| seat.faulty);
        self.settle(now);
    }

    /// The new site's scripts, files, rules and FIFOs; what was known stays known.
    fn adopt(&mut self, site: Site, now: Instant) {
        self.hold_static_addresses(false);
        self.site = site;
        self.policy = policy(&self.site);
        self.hold_static_addresses(true);
        let mut before = std::mem::take(&mut self.scripts);
        before.iter_mut().for_each(ScriptRunner::abandon);
        self.scripts = self.script_runners(now);
        for runner in &mut self.scripts {
            let same = before.iter().find(|one| one.script.name == runner.script.name);
            if let Some(line) = same.and_then(|one| runner.resume(one)) {
                self.journal.say(line);
            }
        }
        self.files = self.site.files.iter().map(|file| FileRunner::new(file, now, false)).collect();
        self.notifier.adopt(&self.site, self.policy.clone(), &self.journal);
    }

    fn reconfigure(&mut self, at: usize, now: Instant, announce: bool) {
        let Some(config) = self.seats.get(at).map(|seat| Box::new(seat.instance.router.clone())) else { return };
        // A changed priority counts before the next advert goes out.
        let standing = self.standing_in_group(at);
        if let (Some(standing), Some(seat)) = (standing, self.seats.get_mut(at)) {
            seat.standing = Some(standing);
        }
        if let Some(standing) = standing {
            self.send_event(at, now, Event::Standing(standing));
        }
        self.send_event(at, now, Event::Reconfigure { config, announce });
        self.act(now);
    }

    /// An instance that is no more: it gives up, and says so.
    fn retire(&mut self, seat: Seat, now: Instant) {
        let occasion = if seat.instance.notify_deleted { Occasion::Deleted } else { Occasion::State(StateKind::Fault) };
        let instance = seat.instance.clone();
        let priority = seat.machine.priority();
        self.seats.push(seat);
        let at = self.seats.len() - 1;
        let mut silent = instance.clone();
        silent.notify = crate::keepalived::blocks::instance::Notify::default();
        if let Some(seat) = self.seats.get_mut(at) {
            seat.instance = silent;
        }
        self.send_event(at, now, Event::Stop);
        self.act(now);
        self.seats.pop();
        self.notifier.instance(&instance, occasion, priority, &self.journal);
    }

    /// Takes away addresses a master no longer has.
    fn forget(&mut self, seat: &Seat, gone: &[crate::keepalived::blocks::address::Address]) {
        if seat.machine.state() != StateKind::Master {
            return;
        }
        for address in gone {
            let Some(wanted) = wanted(&self.world, &seat.instance.interface, address) else { continue };
            let device = address.dev.as_deref().unwrap_or(&seat.instance.interface);
            let (name, ip, prefix) = (&seat.instance.name, address.ip, address.prefix);
            self.journal.say(format!("({name}) ip address {ip}/{prefix} dev {device}, no longer exist"));
            part(&mut self.parting, ip);
            if let Err(error) = wanted.remove(&mut self.commands) {
                self.journal.say(format!("({name}) Unable to remove {ip} - {error}"));
            }
        }
    }

    /// The scripts somebody tracks, judged by the rules.
    pub(super) fn script_runners(&self, now: Instant) -> Vec<ScriptRunner> {
        let used = |name: &str| {
            let what = crate::keepalived::site::What::Script(name.to_owned());
            self.site.instances.iter().any(|instance| instance.tracking.iter().any(|one| one.what == what))
        };
        let mut violation = None;
        let runners = self
            .site
            .scripts
            .iter()
            .filter(|script| used(&script.name))
            .map(|script| {
                let judged = self.policy.judge(&script.command);
                judged.lines.iter().for_each(|line| self.journal.say(line));
                if judged.program.is_none() {
                    let why = if judged.insecure { "due to insecure" } else { "since not found/accessible" };
                    let name = &script.name;
                    self.journal.say(format!("Disabling track script {name} {why} - it counts as failed"));
                }
                let root = judged.program.as_ref().is_some_and(|program| program.uid == 0);
                if root && !self.policy.enforced {
                    *violation.get_or_insert(false) |= judged.insecure;
                }
                ScriptRunner::new(script.clone(), judged.program, now)
            })
            .collect();
        if let Some(insecure) = violation {
            let also = if insecure { " There are insecure scripts." } else { "" };
            let text = "SECURITY VIOLATION - scripts are being executed but script_security not enabled.";
            self.journal.say(format!("{text}{also}"));
        }
        runners
    }
}
