//! `vrrp_script`: a script whose result virtual routers may track.

use super::probe::{self, Probe};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive, Support};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::Custom;
use crate::conf::source::Span;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::SCRIPT;
use crate::keepalived::slot::{self, Command, Positive, Present, Unsigned, complain, first, whole};

/// The keywords of scripts.
pub const MODULE: Module =
    Module { name: "vrrp_script", directives: DIRECTIVES, scopes: &[Scope::of::<Script>(SCRIPT)] };

const DIRECTIVES: &[Directive] = &[
    Directive::new("script", SCRIPT, Arity::AtLeast(0), &slot::Script(|c: &mut Script| &mut c.command))
        .doc("Sets the command, in one word; quotes keep arguments with it. No shell is involved."),
    Directive::new(
        "interval",
        SCRIPT,
        Arity::AtLeast(1),
        &Positive(
            |c: &mut Script| &mut c.interval,
            4294,
            "({n}): vrrp script interval '{v}' must be between 1 and 4294 - ignoring",
            "({n}): vrrp script interval must be greater than 0, setting to 1",
        ),
    )
    .implied("1").doc("Sets the seconds between two runs."),
    Directive::new(
        "timeout",
        SCRIPT,
        Arity::AtLeast(1),
        &Positive(
            |c: &mut Script| &mut c.timeout,
            4294,
            "({n}): vrrp script timeout '{v}' invalid - ignoring",
            "({n}): vrrp script timeout must be greater than 0, setting to 1",
        ),
    )
    .doc("Sets the seconds after which a run counts as failed and is ended."),
    Directive::new("weight", SCRIPT, Arity::AtLeast(1), &Custom(weight))
        .implied("0").doc("Sets what is added to the priority while the script succeeds, or taken away while it fails."),
    Directive::new(
        "rise",
        SCRIPT,
        Arity::AtLeast(1),
        &Unsigned(
            |c: &mut Script| &mut c.rise,
            1..=i32::MAX as i64,
            "({n}): vrrp script rise value '{v}' invalid, defaulting to 1",
        ),
    )
    .implied("1").doc("Sets how many successes in a row make a failed script good again."),
    Directive::new(
        "fall",
        SCRIPT,
        Arity::AtLeast(1),
        &Unsigned(
            |c: &mut Script| &mut c.fall,
            1..=i32::MAX as i64,
            "({n}): vrrp script fall value '{v}' invalid, defaulting to 1",
        ),
    )
    .implied("1").doc("Sets how many failures in a row make a good script bad."),
    Directive::new("user", SCRIPT, Arity::AtLeast(1), &Custom(user))
        .doc("Sets the user and the group the script runs as."),
    Directive::new("init_fail", SCRIPT, Arity::AtLeast(0), &Present(|c: &mut Script| &mut c.init_fail, true))
        .support(Support::Inert("a first result decides alone, with keepalived 2.1.5 and 2.2.7 too"))
        .doc("Takes the script for failed until its first result."),
    Directive::new(probe::MARK, SCRIPT, Arity::AtLeast(0), &Custom(probe::probe))
        .words(&["check", "tcp", "http", "rnginx", "interval", "timeout", "host", "status"])
        .doc(
            "check tcp ADDRESS:PORT, check http http://ADDRESS[:PORT]/PATH [status CODE[-CODE]] [host NAME] or check rnginx \
             PIDFILE, each with [interval SECONDS] and [timeout SECONDS] from 0.01 to 3600: rkeepalived asks this itself and \
             starts no script. keepalived takes the line for a comment and runs the script.",
        ),
];

/// A script as configured.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Its name.
    pub name: String,
    /// `script`.
    pub command: Option<Command>,
    /// `interval`, in seconds.
    pub interval: Option<i64>,
    /// `timeout`, in seconds.
    pub timeout: Option<i64>,
    /// `weight`.
    pub weight: Option<i32>,
    /// `weight … reverse`.
    pub reverse: bool,
    /// `rise`.
    pub rise: Option<i64>,
    /// `fall`.
    pub fall: Option<i64>,
    /// `user`.
    pub user: Option<(String, Option<String>)>,
    /// Where the user is named.
    pub user_span: Option<Span>,
    /// `#@rkeepalived check`.
    pub probe: Option<Probe>,
    /// `init_fail`.
    pub init_fail: Option<bool>,
    /// Where it begins.
    pub span: Option<Span>,
}

impl Conf for Script {
    fn inherit(&mut self, _: &Self) {}
}

/// `vrrp_script NAME {`.
///
/// # Errors
/// The name is missing or taken.
pub fn open(cx: &mut Setting<'_>, script: &mut Script, statement: &Statement) -> Result<(), Diagnostic> {
    script.name = super::root::name(cx, statement)?;
    script.span = Some(statement.span);
    Ok(())
}

/// `}` of a script.
///
/// # Errors
/// There is nothing to run.
pub fn close(cx: &mut Setting<'_>) -> Result<(), Diagnostic> {
    match cx.seen::<Script>() {
        Some(script) if script.command.is_none() => {
            Err(complain(format!("No script set for vrrp_script {} - removing", script.name)))
        }
        None => {
            let name = cx.level().and_then(|level| level.words.get(1)).map(|word| word.text().into_owned());
            Err(complain(format!("No script set for vrrp_script {} - removing", name.unwrap_or_default())))
        }
        _ => Ok(()),
    }
}

fn weight(cx: &mut Setting<'_>, script: &mut Script, statement: &Statement) -> Result<(), Diagnostic> {
    let text = first(statement);
    match whole(&text, &(-253..=253)) {
        Ok(weight) => script.weight = Some(weight as i32),
        Err(complaint) => {
            cx.report(complaint.at(statement.span));
            // keepalived counts it all the same.
            script.weight = text.parse::<i32>().ok();
            let text = format!("vrrp_script {} weight {text} must be in [-253, 253]", script.name);
            cx.report(complain(text).at(statement.span));
        }
    }
    match statement.arguments().get(1) {
        None => {}
        Some(word) if word.is("reverse") => script.reverse = true,
        Some(word) => {
            return Err(complain(format!("vrrp_script {} unknown weight option {}", script.name, word.text())));
        }
    }
    Ok(())
}

fn user(_: &mut Setting<'_>, script: &mut Script, statement: &Statement) -> Result<(), Diagnostic> {
    script.user_span = Some(statement.span);
    let group = statement.arguments().get(1).map(|word| word.text().into_owned());
    script.user = Some((first(statement), group));
    Ok(())
}
