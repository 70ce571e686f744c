//! Telling others of changes: scripts and FIFOs.

use super::fifo::Fifos;
use super::log::Log;
use super::mail::{self, Mail, Mailer};
use super::site::{Instance, Site};
use super::slot::Command as Given;
use super::track::script::command;
use super::track::security::Policy;
use crate::conf::diagnostic::reason;
use crate::vrrp::machine::StateKind;
use crate::vrrp::node::Occasion;
use std::collections::BTreeMap;
use std::process::Child;
use std::time::Duration;

/// How long the end waits for one more mail.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who is told.
#[derive(Default)]
pub struct Notifier {
    policy: Policy,
    fifos: Fifos,
    children: Vec<Child>,
    /// How mail is sent, if any is.
    settings: Option<mail::Settings>,
    mailer: Mailer,
    /// What was last mailed about each instance and group, so that nothing is mailed twice.
    mailed: BTreeMap<(&'static str, String), &'static str>,
}

impl Notifier {
    /// The scripts' rules and the FIFOs of `site`.
    pub fn open(site: &Site, policy: Policy, log: &Log) -> Self {
        let mut notifier = Self::default();
        notifier.adopt(site, policy, log);
        notifier
    }

    /// The rules and FIFOs of `site` from now on; a FIFO that stays keeps what nobody has read yet.
    pub fn adopt(&mut self, site: &Site, policy: Policy, log: &Log) {
        self.policy = policy;
        self.settings = site.mail();
        let global = &site.global;
        let script = |name: &str| global.fifo_scripts.iter().find(|(row, _)| *row == name).map(|(_, script)| script);
        let wanted: Vec<(&String, Option<&Given>)> = [
            (&global.notify_fifo, script("notify_fifo_script")),
            (&global.vrrp_notify_fifo, script("vrrp_notify_fifo_script")),
        ]
        .into_iter()
        .filter_map(|(path, script)| Some((path.as_ref()?, script)))
        .collect();
        self.children.extend(self.fifos.adopt(&wanted, &self.policy, log));
    }

    /// Tells of a change of an instance.
    pub fn instance(&mut self, instance: &Instance, occasion: Occasion, priority: u8, log: &Log) {
        let notify = instance.notify();
        let own = match occasion {
            Occasion::State(StateKind::Master) => &notify.master,
            Occasion::State(StateKind::Backup) => &notify.backup,
            Occasion::State(StateKind::Fault) => &notify.fault,
            Occasion::State(StateKind::Initialise) => &notify.stop,
            Occasion::Deleted => &notify.deleted,
            Occasion::HeardLower => &notify.master_rx_lower_pri,
            Occasion::Priority { .. } => &None,
        };
        // Changes of priority are for FIFOs only.
        let any =
            if matches!(occasion, Occasion::HeardLower | Occasion::Priority { .. }) { &None } else { &notify.any };
        self.tell(("INSTANCE", &instance.name), (own, any), (occasion, priority), log);
        if let Some(words) = mail::instance(occasion).filter(|_| instance.mails) {
            self.mail(("Instance", &instance.name), words, occasion, log);
        }
    }

    /// Tells of a change of a group.
    pub fn group(&mut self, group: &super::blocks::group::Group, state: StateKind, mails: bool, log: &Log) {
        let notify = &group.notify;
        let own = match state {
            StateKind::Master => &notify.master,
            StateKind::Backup => &notify.backup,
            StateKind::Fault => &notify.fault,
            StateKind::Initialise => &notify.stop,
        };
        self.tell(("GROUP", &group.name), (own, &notify.any), (Occasion::State(state), 0), log);
        if mails {
            self.mail(("Group", &group.name), mail::group(state), Occasion::State(state), log);
        }
    }

    /// Mails a change, unless it was the last that was mailed.
    fn mail(
        &mut self,
        (kind, name): (&'static str, &str),
        (end, body): (&'static str, &str),
        occasion: Occasion,
        log: &Log,
    ) {
        let Some(settings) = &self.settings else { return };
        let silent = settings.no_faults && occasion == Occasion::State(StateKind::Fault);
        if silent || self.mailed.insert((kind, name.to_owned()), end) == Some(end) {
            return;
        }
        let mail = Mail { subject: format!("VRRP {kind} {name} - {end}"), body: body.to_owned() };
        self.mailer.send(settings, mail, log);
    }

    /// Writes a state to the FIFOs alone.
    pub fn write_state(&mut self, (kind, name): (&str, &str), (occasion, priority): (Occasion, u8), log: &Log) {
        self.write_line((kind, name), &format!("{} {priority}", occasion.word()), log);
    }

    fn write_line(&mut self, (kind, name): (&str, &str), what: &str, log: &Log) {
        let line = format!("{kind} \"{name}\" {what}\n");
        self.fifos.write(&line, &format!("{kind} {name}"), log);
    }

    /// Writes to the FIFOs that another host holds the addresses of an instance.
    pub fn write_conflict(&mut self, name: &str, priority: u8, log: &Log) {
        self.write_line(("INSTANCE", name), &format!("CONFLICT {priority}"), log);
    }

    fn tell(
        &mut self,
        (kind, name): (&str, &str),
        (own, any): (&Option<Given>, &Option<Given>),
        (occasion, priority): (Occasion, u8),
        log: &Log,
    ) {
        self.write_state((kind, name), (occasion, priority), log);
        if let Some(own) = own {
            self.run(own, &[], log);
        }
        if let Some(any) = any {
            let priority = priority.to_string();
            self.run(any, &[kind, name, occasion.word(), &priority], log);
        }
    }

    fn run(&mut self, given: &Given, extra: &[&str], log: &Log) {
        // What is wrong with it was said at the start.
        let Some(program) = self.policy.judge(given).program else { return };
        match command(&program).args(extra).spawn() {
            Ok(child) => self.children.push(child),
            Err(error) => log.say(format!("Couldn't run {program}: {}", reason(&error))),
        }
    }

    /// Forgets the scripts that have ended.
    pub fn reap(&mut self, log: &Log) {
        self.fifos.reap("vrrp", log);
        self.children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    /// Waits a moment for mail that is being sent.
    pub fn finish_mail(&mut self) {
        self.mailer.finish(PATIENCE);
    }

    /// Takes away the FIFOs that were made here.
    pub fn close(&mut self) {
        self.children.extend(self.fifos.close());
    }
}
