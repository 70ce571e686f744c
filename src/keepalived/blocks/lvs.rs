//! What `global_defs` says about virtual servers and their checks.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::Custom;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::GLOBAL;
use crate::keepalived::slot::{Command, CommandLine, Switch, Text, again, command, complain, count, first, worded};
use crate::kernel::ipvs::Timeouts;

/// The keywords.
pub const MODULE: Module = Module { name: "lvs", directives: DIRECTIVES, scopes: &[Scope::of::<Lvs>(GLOBAL)] };

const BARE: Arity = Arity::AtLeast(0);

const DIRECTIVES: &[Directive] = &[
    Directive::new(
        "smtp_alert_checker",
        GLOBAL,
        BARE,
        &Switch(|c: &mut Lvs| &mut c.smtp_alert, "Invalid value '{v}' for global smtp_alert_checker specified"),
    )
    .doc("Sets whether mail is sent for real and virtual servers that say nothing of it."),
    Directive::new(
        "checker_log_all_failures",
        GLOBAL,
        BARE,
        &Switch(|c: &mut Lvs| &mut c.log_all_failures, "Invalid value for {k} specified"),
    )
    .doc("Logs each failed check."),
    Directive::new(
        "rs_init_notifies",
        GLOBAL,
        BARE,
        &Switch(|c: &mut Lvs| &mut c.init_notifies, "Invalid value '{v}' for global {k} specified"),
    )
    .doc("Runs the scripts of real servers that are up from the start."),
    Directive::new(
        "no_checker_emails",
        GLOBAL,
        BARE,
        &Switch(|c: &mut Lvs| &mut c.no_checker_mails, "Invalid value '{v}' for global {k} specified"),
    )
    .doc("Sends mail of a check only where it changes the state of its real server."),
    Directive::new("lvs_timeouts", GLOBAL, BARE, &Custom(timeouts))
        .doc("Sets how long IPVS keeps connections: tcp, tcpfin and udp, each with its seconds."),
    Directive::new("lvs_flush", GLOBAL, BARE, &Custom(flush)).doc("Removes what IPVS holds at the start."),
    Directive::new("lvs_flush_onstop", GLOBAL, BARE, &Custom(flush_on_stop))
        .doc("Removes everything from IPVS at the end at once, or, with VS, each virtual server at once."),
    Directive::new("lvs_flush_on_stop", GLOBAL, BARE, &Custom(flush_on_stop))
        .doc("Removes everything from IPVS at the end at once, or, with VS, each virtual server at once."),
    Directive::new("lvs_sync_daemon", GLOBAL, BARE, &Custom(super::sync::lvs_sync_daemon)).doc(
        "Lets IPVS tell its connections to other directors over an interface: as master and as backup, or as the state of \
         a virtual router says.",
    ),
    Directive::new("lvs_notify_fifo", GLOBAL, BARE, &Text(|c: &mut Lvs| &mut c.fifo, "No {k} name specified"))
        .doc("A FIFO that every change of real and virtual servers is written to."),
    Directive::new("lvs_notify_fifo_script", GLOBAL, BARE, &CommandLine(script))
        .doc("A script that is started to read the notify FIFO of real servers, with its path as last argument."),
];

/// What `global_defs` says; what was not given is `None`.
#[derive(Clone, Debug, Default)]
pub struct Lvs {
    /// `smtp_alert_checker`.
    pub smtp_alert: Option<bool>,
    /// `checker_log_all_failures`.
    pub log_all_failures: Option<bool>,
    /// `rs_init_notifies`.
    pub init_notifies: Option<bool>,
    /// `no_checker_emails`.
    pub no_checker_mails: Option<bool>,
    /// `lvs_timeouts`.
    pub timeouts: Timeouts,
    /// `lvs_flush`.
    pub flush: bool,
    /// `lvs_flush_on_stop`.
    pub flush_on_stop: Option<FlushOnStop>,
    /// `lvs_sync_daemon`.
    pub sync: Option<super::sync::Sync>,
    /// `lvs_notify_fifo`.
    pub fifo: Option<String>,
    /// `lvs_notify_fifo_script`.
    pub fifo_script: Option<Command>,
    /// It was given, whether or not it is any good.
    fifo_script_given: bool,
}

/// What is removed at once at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushOnStop {
    /// Everything IPVS holds.
    Everything,
    /// Each virtual server.
    Servers,
}

impl Conf for Lvs {
    fn inherit(&mut self, _: &Self) {}
}

type Outcome = Result<(), Diagnostic>;

/// `lvs_timeouts [tcp S] [tcpfin S] [udp S]`.
fn timeouts(cx: &mut Setting<'_>, lvs: &mut Lvs, statement: &Statement) -> Outcome {
    if statement.arguments().len() < 2 {
        return Err(complain("lvs_timeouts requires at least one option"));
    }
    let mut words = statement.arguments().iter();
    while let Some(word) = words.next() {
        let name = word.text();
        let slot = match &*name {
            "tcp" => &mut lvs.timeouts.tcp,
            "tcpfin" => &mut lvs.timeouts.tcp_fin,
            "udp" => &mut lvs.timeouts.udp,
            _ => {
                cx.report(complain(format!("Unknown option {name} specified for lvs_timeouts")).at(statement.span));
                continue;
            }
        };
        let Some(value) = words.next() else {
            return Err(complain(format!("No value specified for lvs_timeout {name} - ignoring")));
        };
        match count(&value.text(), &(0..=2_678_400)) {
            Ok(seconds) => *slot = seconds as u32,
            Err(complaint) => {
                cx.report(complaint.at(statement.span));
                let text = format!("Invalid lvs_timeout {name} ({}) - ignoring", value.text());
                cx.report(complain(text).at(statement.span));
            }
        }
    }
    Ok(())
}

fn flush(_: &mut Setting<'_>, lvs: &mut Lvs, _: &Statement) -> Outcome {
    lvs.flush = true;
    Ok(())
}

/// `lvs_flush_on_stop [VS]`.
fn flush_on_stop(_: &mut Setting<'_>, lvs: &mut Lvs, statement: &Statement) -> Outcome {
    lvs.flush_on_stop = Some(match statement.arguments().first() {
        None => FlushOnStop::Everything,
        Some(word) if word.is("VS") => FlushOnStop::Servers,
        Some(word) => return Err(complain(format!("Unknown lvs_flush_on_stop type {}", word.text()))),
    });
    Ok(())
}

fn script(cx: &mut Setting<'_>, lvs: &mut Lvs, statement: &Statement) -> Outcome {
    if statement.arguments().is_empty() {
        return Err(complain(worded("No {k} specified", cx, "")));
    }
    if std::mem::replace(&mut lvs.fifo_script_given, true) {
        return Err(again(worded("{k} already specified - ignoring {v}", cx, &first(statement))));
    }
    lvs.fifo_script = command(statement.arguments())?;
    Ok(())
}
