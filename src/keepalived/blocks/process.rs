//! `vrrp_track_process`: a process whose number of copies virtual routers may track.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::Custom;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::PROCESS;
use crate::keepalived::slot::{MICROSECOND, again, also, complain, count, first, seconds, whole};
use std::time::Duration;

/// The keywords of watched processes.
pub const MODULE: Module =
    Module { name: "vrrp_track_process", directives: DIRECTIVES, scopes: &[Scope::of::<Process>(PROCESS)] };

const BARE: Arity = Arity::AtLeast(0);
const ONE: Arity = Arity::AtLeast(1);
const DELAY: &str = "{k} ({v}) for vrrp_track_process {n} must be between [0.000001..3600] inclusive. Ignoring...";

const DIRECTIVES: &[Directive] = &[
    Directive::new("process", PROCESS, ONE, &Custom(process)).doc("Sets the name of the program, and its arguments."),
    Directive::new("param_match", PROCESS, BARE, &Custom(param_match))
        .words(&["initial", "partial"])
        .doc("Sets how the arguments must match: all, or more may follow (partial), or the last may go on (initial)."),
    Directive::new("weight", PROCESS, BARE, &Custom(weight))
        .implied("0")
        .doc("Sets what is added to the priority while enough processes run; 0 is a fault while they do not."),
    Directive::new("quorum", PROCESS, ONE, &Custom(quorum)).implied("1").doc("Sets how many processes must run."),
    Directive::new("quorum_max", PROCESS, ONE, &Custom(quorum_max)).doc("Sets how many processes may run."),
    Directive::new("delay", PROCESS, ONE, &Custom(delay)).doc("Sets both delays."),
    Directive::new("terminate_delay", PROCESS, ONE, &Custom(terminate_delay))
        .doc("Sets the seconds before the end of processes counts."),
    Directive::new("fork_delay", PROCESS, ONE, &Custom(fork_delay))
        .doc("Sets the seconds before forked processes count."),
    Directive::new("full_command", PROCESS, BARE, &Custom(full_command))
        .doc("Compares the first word of the command line instead of the short name."),
];

/// How the arguments of a process must match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamMatch {
    /// All, and no more.
    Exact,
    /// More may follow.
    Partial,
    /// The last one may go on, and more may follow.
    Initial,
}

/// A watched process as configured.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its name here.
    pub name: String,
    /// `process`: its program.
    pub path: String,
    /// The arguments, each with a zero byte behind it.
    pub parameters: Vec<u8>,
    /// `param_match`.
    pub param_match: Option<ParamMatch>,
    /// `weight`.
    pub weight: i32,
    /// `weight … reverse`.
    pub reverse: bool,
    /// `quorum`.
    pub quorum: i64,
    /// `quorum_max`.
    pub quorum_max: Option<i64>,
    /// `terminate_delay`, or `delay`.
    pub terminate_delay: Duration,
    /// `fork_delay`, or `delay`.
    pub fork_delay: Duration,
    /// `full_command`, or arguments are compared.
    pub full_command: bool,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            name: String::new(),
            path: String::new(),
            parameters: Vec::new(),
            param_match: None,
            weight: 0,
            reverse: false,
            quorum: 1,
            quorum_max: None,
            terminate_delay: Duration::ZERO,
            fork_delay: Duration::ZERO,
            full_command: false,
        }
    }
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
        Some(process) if process.path.is_empty() => {
            Err(complain(format!("track process '{}' process name not specified", process.name)))
        }
        _ => Ok(()),
    }
}

type Outcome = Result<(), Diagnostic>;

fn process(_: &mut Setting<'_>, process: &mut Process, statement: &Statement) -> Outcome {
    if !process.path.is_empty() {
        let text = format!("Process already set for track process {} - ignoring {}", process.name, first(statement));
        return Err(again(text));
    }
    process.path = first(statement);
    let parameters = statement.arguments().get(1..).unwrap_or_default();
    process.parameters = parameters.iter().flat_map(|word| word.bytes.iter().copied().chain([0])).collect();
    if !parameters.is_empty() {
        process.param_match.get_or_insert(ParamMatch::Exact);
        process.full_command = true;
    }
    Ok(())
}

fn param_match(_: &mut Setting<'_>, process: &mut Process, statement: &Statement) -> Outcome {
    process.param_match = Some(match statement.arguments().first() {
        None => ParamMatch::Exact,
        Some(word) if word.is("initial") => ParamMatch::Initial,
        Some(word) if word.is("partial") => ParamMatch::Partial,
        Some(word) => return Err(complain(format!("Invalid param_match type {} - ignoring", word.text()))),
    });
    process.full_command = true;
    Ok(())
}

fn full_command(_: &mut Setting<'_>, process: &mut Process, _: &Statement) -> Outcome {
    process.full_command = true;
    Ok(())
}

fn seconds_of(cx: &mut Setting<'_>, statement: &Statement) -> Result<Duration, Diagnostic> {
    seconds(&first(statement), &(MICROSECOND..=3600.0)).map_err(|wrong| also(cx, statement, wrong, DELAY))
}

fn delay(cx: &mut Setting<'_>, process: &mut Process, statement: &Statement) -> Outcome {
    process.terminate_delay = seconds_of(cx, statement)?;
    process.fork_delay = process.terminate_delay;
    Ok(())
}

fn terminate_delay(cx: &mut Setting<'_>, process: &mut Process, statement: &Statement) -> Outcome {
    process.terminate_delay = seconds_of(cx, statement)?;
    Ok(())
}

fn fork_delay(cx: &mut Setting<'_>, process: &mut Process, statement: &Statement) -> Outcome {
    process.fork_delay = seconds_of(cx, statement)?;
    Ok(())
}

fn weight(cx: &mut Setting<'_>, process: &mut Process, statement: &Statement) -> Outcome {
    let (name, text) = (process.name.clone(), first(statement));
    if statement.arguments().is_empty() {
        return Err(complain(format!("No weight specified for track process {name} - ignoring")));
    }
    if process.weight != 0 {
        return Err(again(format!("Weight already set for track process {name} - ignoring {text}")));
    }
    let template = "Weight ({v}) for vrrp_track_process {n} must be between [-254..254] inclusive. Ignoring...";
    let value = whole(&text, &(-254..=254)).map_err(|wrong| also(cx, statement, wrong, template))?;
    let option = statement.arguments().get(1);
    process.weight = value as i32;
    process.reverse |= option.is_some_and(|word| word.is("reverse"));
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
    process.quorum = value;
    Ok(())
}

fn quorum_max(cx: &mut Setting<'_>, process: &mut Process, statement: &Statement) -> Outcome {
    let template = "quorum_max ({v}) for vrrp_track_process {n} must be between [0..65535] inclusive. Ignoring...";
    let judged = count(&first(statement), &(0..=65_535));
    let value = judged.map_err(|wrong| also(cx, statement, wrong, template))?;
    if (value != 0 || process.quorum > 1) && value < process.quorum {
        return Err(complain("quorum_max is less than quorum - ignoring"));
    }
    process.quorum_max = Some(value);
    // None at all: 0 of them are enough.
    process.quorum = if value == 0 { 0 } else { process.quorum.max(1) };
    Ok(())
}
