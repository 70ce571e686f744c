//! Telling others of changes: scripts and FIFOs.

use super::journal::Journal;
use super::mail::{self, Mail, Mailer};
use super::site::{Instance, Site};
use super::slot::Command as Given;
use super::track::script::command;
use super::track::security::Policy;
use crate::conf::diagnostic::reason;
use crate::vrrp::machine::StateKind;
use crate::vrrp::node::Occasion;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Child;
use std::time::Duration;

/// How long the end waits for one more mail.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who is told.
#[derive(Default)]
pub struct Notifier {
    policy: Policy,
    fifos: Vec<(File, String, bool)>,
    children: Vec<Child>,
    /// How mail is sent, if any is.
    settings: Option<mail::Settings>,
    mailer: Mailer,
    /// What was last mailed about each instance and group, so that nothing is mailed twice.
    mailed: BTreeMap<(&'static str, String), &'static str>,
}

impl Notifier {
    /// The scripts' rules and the FIFOs of `site`.
    pub fn open(site: &Site, policy: Policy, journal: &Journal) -> Self {
        let mut notifier = Self::default();
        notifier.adopt(site, policy, journal);
        notifier
    }

    /// The rules and FIFOs of `site` from now on; a FIFO that stays keeps what nobody has read yet.
    pub fn adopt(&mut self, site: &Site, policy: Policy, journal: &Journal) {
        self.policy = policy;
        self.settings = site.mail();
        let wanted: Vec<&String> =
            [&site.global.notify_fifo, &site.global.vrrp_notify_fifo].into_iter().flatten().collect();
        let (kept, gone) = std::mem::take(&mut self.fifos).into_iter().partition(|(_, path, _)| wanted.contains(&path));
        self.fifos = gone;
        self.close();
        self.fifos = kept;
        for path in wanted {
            if self.fifos.iter().any(|(_, open, _)| open == path) {
                continue;
            }
            let made = nix::unistd::mkfifo(path.as_str(), Mode::from_bits_truncate(0o600)).is_ok();
            // Read and write: a line written before the reader comes stays in the pipe.
            let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
            match OpenOptions::new().read(true).write(true).custom_flags(flags).open(path) {
                Ok(fifo) => self.fifos.push((fifo, path.clone(), made)),
                Err(error) => journal.say(format!("Unable to open fifo {path} - {}", reason(&error))),
            }
        }
    }

    /// Tells of a change of an instance.
    pub fn instance(&mut self, instance: &Instance, occasion: Occasion, priority: u8, journal: &Journal) {
        let notify = &instance.notify;
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
        self.tell(("INSTANCE", &instance.name), (own, any), (occasion, priority), journal);
        if let Some(words) = mail::instance(occasion).filter(|_| instance.mails) {
            self.mail(("Instance", &instance.name), words, occasion, journal);
        }
    }

    /// Tells of a change of a group.
    pub fn group(&mut self, group: &super::blocks::group::Group, state: StateKind, mails: bool, journal: &Journal) {
        let notify = &group.notify;
        let own = match state {
            StateKind::Master => &notify.master,
            StateKind::Backup => &notify.backup,
            StateKind::Fault => &notify.fault,
            StateKind::Initialise => &notify.stop,
        };
        self.tell(("GROUP", &group.name), (own, &notify.any), (Occasion::State(state), 0), journal);
        if mails {
            self.mail(("Group", &group.name), mail::group(state), Occasion::State(state), journal);
        }
    }

    /// Mails a change, unless it was the last that was mailed.
    fn mail(
        &mut self,
        (kind, name): (&'static str, &str),
        (end, body): (&'static str, &str),
        occasion: Occasion,
        journal: &Journal,
    ) {
        let Some(settings) = &self.settings else { return };
        let silent = settings.no_faults && occasion == Occasion::State(StateKind::Fault);
        if silent || self.mailed.insert((kind, name.to_owned()), end) == Some(end) {
            return;
        }
        let mail = Mail { subject: format!("VRRP {kind} {name} - {end}"), body: body.to_owned() };
        self.mailer.send(settings, mail, journal);
    }

    fn tell(
        &mut self,
        (kind, name): (&str, &str),
        (own, any): (&Option<Given>, &Option<Given>),
        (occasion, priority): (Occasion, u8),
        journal: &Journal,
    ) {
        let line = format!("{kind} \"{name}\" {} {priority}\n", occasion.word());
        for (fifo, path, _) in &mut self.fifos {
            // A pipe nobody empties is full some day; the daemon must not wait for it.
            if let Err(error) = fifo.write_all(line.as_bytes()) {
                let words = reason(&error);
                journal.say(format!("Failed to write fifo {path} for {kind} {name} - {words}"));
            }
        }
        if let Some(own) = own {
            self.run(own, &[], journal);
        }
        if let Some(any) = any {
            let priority = priority.to_string();
            self.run(any, &[kind, name, occasion.word(), &priority], journal);
        }
    }

    fn run(&mut self, given: &Given, extra: &[&str], journal: &Journal) {
        // What is wrong with it was said at the start.
        let Some(program) = self.policy.judge(given).program else { return };
        match command(&program).args(extra).spawn() {
            Ok(child) => self.children.push(child),
            Err(error) => journal.say(format!("Couldn't run {program}: {}", reason(&error))),
        }
    }

    /// Forgets the scripts that have ended.
    pub fn reap(&mut self) {
        self.children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    /// Waits a moment for mail that is being sent.
    pub fn finish_mail(&mut self) {
        self.mailer.finish(PATIENCE);
    }

    /// Takes away the FIFOs that were made here.
    pub fn close(&mut self) {
        for (_, path, made) in self.fifos.drain(..) {
            if made {
                // One that is gone already is as good.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}
