//! `vrrp_track_process`: a process whose number of copies virtual routers may track. Not served yet.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::Custom;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::PROCESS;
use crate::keepalived::slot::{MICROSECOND, Present, Seconds, again, also, complain, count, first, whole};
use std::time::Duration;

/// The keywords of watched processes.
pub const MODULE: Module =
    Module { name: "vrrp_track_process", directives: DIRECTIVES, scopes: &[Scope::of::<Process>(PROCESS)] };

const BARE: Arity = Arity::AtLeast(0);
const ONE: Arity = Arity::AtLeast(1);
const DELAY: &str = "{k} ({v}) for vrrp_track_process {n} must be between [0.000001..3600] inclusive. Ignoring...";

const DIRECTIVES: &[Directive] = &[
    Directive::missing("process", PROCESS, ONE)
        .judged(&Custom(process))
        .doc("The name of the program, and its arguments."),
    Directive::missing("param_match", PROCESS, BARE)
        .judged(&Custom(param_match))
        .words(&["initial", "partial", "exact"])
        .doc("How the arguments must match."),
    Directive::missing("weight", PROCESS, BARE)
        .judged(&Custom(weight))
        .doc("What is added to the priority while enough processes run."),
    Directive::missing("quorum", PROCESS, ONE).judged(&Custom(quorum)).doc("How many processes must run."),
    Directive::missing("quorum_max", PROCESS, ONE).judged(&Custom(quorum_max)).doc("How many processes may run."),
    Directive::missing("delay", PROCESS, ONE)
        .judged(&Seconds(|c: &mut Process| &mut c.delay, MICROSECOND..=3600.0, DELAY))
        .doc("Seconds before a change counts."),
    Directive::missing("terminate_delay", PROCESS, ONE)
        .judged(&Seconds(|c: &mut Process| &mut c.terminate_delay, MICROSECOND..=3600.0, DELAY))
        .doc("Seconds before the end of processes counts."),
    Directive::missing("fork_delay", PROCESS, ONE)
        .judged(&Seconds(|c: &mut Process| &mut c.fork_delay, MICROSECOND..=3600.0, DELAY))
        .doc("Seconds before the start of processes counts."),
    Directive::missing("full_command", PROCESS, BARE)
        .judged(&Present(|c: &mut Process| &mut c.full_command, true))
        .doc("Looks at the whole command line, and not the short name."),
];

/// A watched process as configured.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// Its name here.
    pub name: String,
    /// `process`: its program and arguments.
    pub words: Vec<String>,
    /// `weight`, and whether it is reversed.
    pub weight: Option<(i64, bool)>,
    /// `quorum`.
    pub quorum: Option<i64>,
    /// `quorum_max`.
    pub quorum_max: Option<i64>,
    /// `delay`.
    pub delay: Option<Duration>,
    /// `terminate_delay`.
    pub terminate_delay: Option<Duration>,
    /// `fork_delay`.
    pub fork_delay: Option<Duration>,
    /// `full_command`.
    pub full_command: Option<bool>,
}

impl Conf for Process {
    fn inherit(&mut self, _: &Self) {}
}

/// `vrrp_track_process NAME {`.
///
/// # Errors
/// None; it is judged at its end.
pub fn open(_: &mut Setting<'_>, process: &mut Process, statement: &Statement) -> Result<(), Diagnostic> {
    process.name = first(statement);
    Ok(())
}

/// `}` of a watched process.
///
/// # Errors
/// It names no program.
pub fn close(cx: &mut Setting<'_>) -> Result<(), Diagnostic> {
    match cx.seen::<Process>() {
        Some(process) if process.words.is_empty() => {
            Err(complain(format!("track process '{}' process name not specified", process.name)))
        }
        _ => Ok(()),
    }
}

type Outcome = Result<(), Diagnostic>;

fn process(_: &mut Setting<'_>, process: &mut Process, statement: &Statement) -> Outcome {
    if !process.words.is_empty() {
        let text = format!("Process already set for track process {} - ignoring {}", process.name, first(statement));
        return Err(again(text));
    }
    process.words = statement.arguments().iter().map(|word| word.text().into_owned()).collect();
    Ok(())
}

fn param_match(_: &mut Setting<'_>, _: &mut Process, statement: &Statement) -> Outcome {
    match statement.arguments().first() {
        Some(word) if !["initial", "partial", "exact"].iter().any(|kind| word.is(kind)) => {
            Err(complain(format!("Invalid param_match type {} - ignoring", word.text())))
        }
        _ => Ok(()),
    }
}

fn weight(cx: &mut Setting<'_>, process: &mut Process, statement: &Statement) -> Outcome {
    let (name, text) = (process.name.clone(), first(statement));
    if statement.arguments().is_empty() {
        return Err(complain(format!("No weight specified for track process {name} - ignoring")));
    }
    if process.weight.is_some() {
        return Err(again(format!("Weight already set for track process {name} - ignoring {text}")));
    }
    let template = "Weight ({v}) for vrrp_track_process {n} must be between [-254..254] inclusive. Ignoring...";
    let value = whole(&text, &(-254..=254)).map_err(|wrong| also(cx, statement, wrong, template))?;
    let option = statement.arguments().get(1);
    process.weight = Some((value, option.is_some_and(|word| word.is("reverse"))));
    match option {
        Some(word) if !word.is("reverse") => {
            Err(complain(format!("vrrp_track_process {name} unknown weight option {}", word.text())))
        }
        _ => Ok(()),
    }
}

fn quorum(cx: &mut Setting<'_>, process: &mut Process, statement: &Statement) -> Outcome {
    let template = "Quorum ({v}) for vrrp_track_process {n} must be between [1..65535] inclusive. Ignoring...";
    let judged = count(&first(statement), &(1..=65_535));
    let value = judged.map_err(|wrong| also(cx, statement, wrong, template))?;
    if process.quorum_max.is_some_and(|most| value > most) {
        return Err(complain("Quorum is greater than quorum_max - ignoring"));
    }
    process.quorum = Some(value);
    Ok(())
}

fn quorum_max(cx: &mut Setting<'_>, process: &mut Process, statement: &Statement) -> Outcome {
    let template = "quorum_max ({v}) for vrrp_track_process {n} must be between [0..65535] inclusive. Ignoring...";
    let judged = count(&first(statement), &(0..=65_535));
    let value = judged.map_err(|wrong| also(cx, statement, wrong, template))?;
    if process.quorum.is_some_and(|least| value < least) {
        return Err(complain("quorum_max is less than quorum - ignoring"));
    }
    process.quorum_max = Some(value);
    Ok(())
}
