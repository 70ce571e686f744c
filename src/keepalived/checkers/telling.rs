//! Telling others of real and virtual servers: scripts, FIFOs and mail.

use crate::check::server::Event;
use crate::conf::diagnostic::reason;
use crate::keepalived::fifo::Fifos;
use crate::keepalived::log::Log;
use crate::keepalived::mail::{Mail, Mailer, Settings};
use crate::keepalived::site::Site;
use crate::keepalived::site::server::VirtualServer;
use crate::keepalived::slot::Command as Given;
use crate::keepalived::track::script::command;
use crate::keepalived::track::security::Policy;
use std::process::Child;
use std::time::Duration;

/// How long the end waits for one more mail, and for those who read FIFOs.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who is told.
#[derive(Default)]
pub struct Teller {
    policy: Policy,
    fifos: Fifos,
    children: Vec<Child>,
    settings: Option<Settings>,
    mailer: Mailer,
}

impl Teller {
    /// Tells by the rules, FIFOs and mail settings of `site` from now on.
    pub fn adopt(&mut self, site: &Site, log: &Log) {
        self.policy = Policy::of(&site.global);
        self.settings = site.mail();
        let common = site.global.fifo_scripts.iter().find(|(row, _)| *row == "notify_fifo_script");
        let wanted: Vec<(&String, Option<&Given>)> = [
            (&site.global.notify_fifo, common.map(|(_, script)| script)),
            (&site.lvs.fifo, site.lvs.fifo_script.as_ref()),
        ]
        .into_iter()
        .filter_map(|(path, script)| Some((path.as_ref()?, script)))
        .collect();
        self.children.extend(self.fifos.adopt(&wanted, &self.policy, log));
    }

    /// Tells of a change of a virtual server or one of its real servers.
    pub fn tell(&mut self, server: &VirtualServer, event: Event, log: &Log) {
        let of = &server.config.name;
        match event {
            Event::Real { real, up } => {
                let (Some(own), Some(named)) = (server.reals.get(real), server.config.reals.get(real)) else { return };
                let script = if up { own.up.as_deref() } else { own.down.as_deref() };
                let state = if up { "UP" } else { "DOWN" };
                self.notify(script, &format!("RS {} {of} {state}", named.name), log);
            }
            Event::Quorum { up, text } => {
                let script = if up { &server.up } else { &server.down };
                let state = if up { "UP" } else { "DOWN" };
                self.notify(script.as_ref(), &format!("VS {of} {state}"), log);
                if server.mails {
                    self.mail(format!("Virtualserver {of} - {state}"), text, log);
                }
            }
            Event::RealGone { real, text } => {
                if server.reals.get(real).is_some_and(|real| real.mails) {
                    self.mail_real(server, real, false, text, log);
                }
            }
        }
    }

    /// Mails that a real server is up or down.
    pub fn mail_real(&mut self, server: &VirtualServer, real: usize, up: bool, text: &str, log: &Log) {
        let Some(named) = server.config.reals.get(real) else { return };
        let state = if up { "UP" } else { "DOWN" };
        let (name, of) = (&named.name, &server.config.name);
        self.mail(format!("Realserver {name} of virtual server {of} - {state}"), text.to_owned(), log);
    }

    fn mail(&mut self, subject: String, body: String, log: &Log) {
        if let Some(settings) = &self.settings {
            self.mailer.send(settings, Mail { subject, body }, log);
        }
    }

    fn notify(&mut self, script: Option<&Given>, line: &str, log: &Log) {
        // What is wrong with a script was said at the start.
        if let Some(program) = script.and_then(|script| self.policy.judge(script).program) {
            match command(&program).spawn() {
                Ok(child) => self.children.push(child),
                Err(error) => log.say(format!("Couldn't run {program}: {}", reason(&error))),
            }
        }
        self.fifos.write(&format!("{line}\n"), line, log);
    }

    /// Forgets the scripts that have ended.
    pub fn reap(&mut self, log: &Log) {
        self.fifos.reap("lvs", log);
        self.children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    /// Waits a moment for mail that is being sent, and closes the FIFOs.
    ///
    /// Differs from keepalived: the mails of the end, which `omega` asks for, are sent; there the process ends before it has sent any. [test: the_end_is_mailed_where_omega_asks_for_it]
    pub fn close(&mut self) {
        self.mailer.finish(PATIENCE);
        self.children.extend(self.fifos.finish(PATIENCE));
    }
}
