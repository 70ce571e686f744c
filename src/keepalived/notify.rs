//! Telling others of changes: scripts and FIFOs.

use super::log::Log;
use super::mail::{self, Mail, Mailer};
use super::site::{Instance, Site};
use super::slot::Command as Given;
use super::track::script::command;
use super::track::security::Policy;
use crate::conf::diagnostic::reason;
use crate::sys::process::on_its_own;
use crate::vrrp::machine::StateKind;
use crate::vrrp::node::Occasion;
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Child;
use std::time::Duration;

/// A FIFO, and the script that reads it.
struct Fifo {
    file: File,
    path: String,
    /// It was made here.
    made: bool,
    /// The script as configured.
    given: Option<Given>,
    /// The script while it runs.
    reader: Option<Child>,
}

/// How long the end waits for one more mail.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who is told.
#[derive(Default)]
pub struct Notifier {
    policy: Policy,
    fifos: Vec<Fifo>,
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
        let stays = |fifo: &Fifo| wanted.contains(&(&fifo.path, fifo.given.as_ref()));
        let (kept, gone) = std::mem::take(&mut self.fifos).into_iter().partition(stays);
        self.fifos = gone;
        self.close();
        self.fifos = kept;
        for (path, given) in wanted {
            if self.fifos.iter().any(|fifo| fifo.path == *path) {
                continue;
            }
            let made = nix::unistd::mkfifo(path.as_str(), Mode::from_bits_truncate(0o600)).is_ok();
            // Read and write: a line written before the reader comes stays in the pipe.
            let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
            match OpenOptions::new().read(true).write(true).custom_flags(flags).open(path) {
                Ok(file) => {
                    let reader = given.and_then(|given| self.reader(given, path, log));
                    let (path, given) = (path.clone(), given.cloned());
                    self.fifos.push(Fifo { file, path, made, given, reader });
                }
                Err(error) => log.say(format!("Unable to open fifo {path} - {}", reason(&error))),
            }
        }
    }

    /// Starts the script that reads a FIFO, whose path is its last argument.
    fn reader(&self, given: &Given, path: &str, log: &Log) -> Option<Child> {
        // What is wrong with it was said at the start.
        let program = self.policy.judge(given).program?;
        let mut command = command(&program);
        command.arg(path);
        on_its_own(&mut command, Signal::SIGTERM);
        match command.spawn() {
            Ok(child) => Some(child),
            Err(error) => {
                log.say(format!("Unable to execute FIFO notify script {program}: {}", reason(&error)));
                None
            }
        }
    }

    /// Tells of a change of an instance.
    pub fn instance(&mut self, instance: &Instance, occasion: Occasion, priority: u8, log: &Log) {
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

    fn tell(
        &mut self,
        (kind, name): (&str, &str),
        (own, any): (&Option<Given>, &Option<Given>),
        (occasion, priority): (Occasion, u8),
        log: &Log,
    ) {
        let line = format!("{kind} \"{name}\" {} {priority}\n", occasion.word());
        for Fifo { file, path, .. } in &mut self.fifos {
            // A pipe nobody empties is full some day; the daemon must not wait for it.
            if let Err(error) = file.write_all(line.as_bytes()) {
                let words = reason(&error);
                log.say(format!("Failed to write fifo {path} for {kind} {name} - {words}"));
            }
        }
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
        for fifo in &mut self.fifos {
            if fifo.reader.as_mut().is_some_and(|reader| !matches!(reader.try_wait(), Ok(None))) {
                fifo.reader = None;
                log.say("vrrp notify fifo script terminated");
            }
        }
        self.children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    /// Waits a moment for mail that is being sent.
    pub fn finish_mail(&mut self) {
        self.mailer.finish(PATIENCE);
    }

    /// Takes away the FIFOs that were made here.
    pub fn close(&mut self) {
        for Fifo { path, made, reader, .. } in std::mem::take(&mut self.fifos) {
            if let Some(reader) = reader {
                // A group that is gone already has nothing left to end.
                let _ = killpg(Pid::from_raw(reader.id() as i32), Signal::SIGTERM);
                self.children.push(reader);
            }
            if made {
                // One that is gone already is as good.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}
