//! The command line and the parent process: test, daemonise, keep the VRRP process alive.
//!
//! Differs from keepalived: a first word status, watch, explain or plan asks a running daemon. [test: a_daemon_tells_its_status]
//! Differs from keepalived: the first word genhash asks for the digest of a page; there that is a program of its own, which this one is too where it is called by that name. [test: genhash_prints_what_keepaliveds_prints]
//! Differs from keepalived: a configuration that cannot be run ends the program with code 3. [test: a_configuration_that_cannot_be_run_ends_with_code_3]

use super::blocks::daemon::INCLUDE_CHECK;
use super::blocks::instance::Notify;
use super::blocks::probe::MARK;
use super::genhash;
use super::interfaces::Interfaces;
use super::log::{DAEMON, Log, Style};
use super::namespace::{self, Namespace};
use super::options::{Form, Options, Wish, parse, usage};
use super::parent;
use super::query;
use super::read::{self, Gravity, Pass, Reading};
use super::secret;
use super::site::{Script, Site};
use super::slot::{Command, Machine};
use super::track::security::{self, Policy, Unusable};
use crate::conf::brace;
use crate::conf::diagnostic::{Diagnostic, Kind, Severity, reason};
use crate::conf::disk::Disk;
use crate::conf::effect::refusal;
use crate::conf::expand::{Environment, Input};
use crate::conf::print;
use crate::conf::source::{Loader as _, Named, Sources};
use crate::kernel::netlink::Commands;
use crate::run::terminal::takes_colours;
use crate::sys::memory::map_large_blocks;
use crate::sys::signal::{realtime_first, realtime_last};
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// The version whose behaviour this program has.
const VERSION: &str = "2.1.5";

/// What glob(3) returns when nothing matches.
const NO_MATCH: u8 = 3;

/// The file that is read unless another is given.
pub const DEFAULT_FILE: &str = "/etc/keepalived/keepalived.conf";

/// The codes keepalived's manual documents.
pub mod code {
    /// All is well.
    pub const OK: u8 = 0;
    /// The command line, or the system.
    pub const FAILED: u8 = 1;
    /// The system lacks what the configuration needs.
    pub const FATAL: u8 = 2;
    /// The configuration cannot be run.
    pub const CONFIG: u8 = 3;
    /// A configuration test found mistakes.
    pub const TEST: u8 = 4;
    /// A configuration test found insecure scripts.
    pub const SECURITY: u8 = 5;
    /// There is no configuration file.
    pub const NO_FILE: u8 = 6;
}

/// Runs the program with these arguments.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let mut words = arguments.into_iter().map(|word| word.to_string_lossy().into_owned());
    let program = words.next().unwrap_or_else(|| "keepalived".to_owned());
    let words: Vec<String> = words.collect();
    if Path::new(&program).file_name().is_some_and(|name| name == genhash::NAME) {
        return ExitCode::from(genhash::main(&program, &words));
    }
    if let Some(own) = words.strip_prefix(&[genhash::NAME.to_owned()]) {
        return ExitCode::from(genhash::main(genhash::NAME, own));
    }
    if words.first().is_some_and(|word| query::WORDS.contains(&word.as_str())) {
        return ExitCode::from(query::main(&words));
    }
    ExitCode::from(match parse(&words) {
        Wish::Run(options) => run(&program, &words, *options),
        Wish::Version => say(&format!("{}\n", version())),
        Wish::Help => say(&usage(&program)),
        Wish::Signal(name) => signal(&name),
        Wish::Usage(complaint) => {
            say(&format!("{program}: {complaint}\n{}", usage(&program)));
            code::FAILED
        }
    })
}

/// What `-v` prints.
pub fn version() -> String {
    format!("Keepalived v{VERSION} (rkeepalived {})", env!("CARGO_PKG_VERSION"))
}

fn say(text: &str) -> u8 {
    // With standard error closed there is nobody to tell.
    let _ = std::io::stderr().write_all(text.as_bytes());
    code::OK
}

fn signal(name: &str) -> u8 {
    let number = match name {
        "STOP" => 15,
        "RELOAD" => 1,
        "DATA" => 10,
        "STATS" => 12,
        "STATS_CLEAR" => realtime_last() - 1,
        "JSON" => realtime_first() + 2,
        _ => {
            say(&format!("Unknown sigfunc {name}\n"));
            return code::FAILED;
        }
    };
    // With standard output closed there is nobody to tell.
    let _ = writeln!(std::io::stdout(), "{number}");
    code::OK
}

fn run(program: &str, words: &[String], mut options: Options) -> u8 {
    let given = options.file.clone().unwrap_or_else(|| DEFAULT_FILE.to_owned());
    let inputs = files(&given);
    let environment = environment(options.id.clone());
    if let Some(target) = options.test.take() {
        let inputs = inputs.map(|inputs| (inputs, options.namespace));
        return match options.form {
            Form::Lines => test((&given, inputs), &environment, target, options.allow_unserved),
            Form::Pictures | Form::Data(_) => {
                explain((&given, inputs), &environment, options.form, options.allow_unserved)
            }
        };
    }
    map_large_blocks();
    let facility = (!options.no_syslog).then_some(options.facility.unwrap_or(DAEMON));
    let style = Style { console: options.console && options.foreground, detail: options.detail, facility };
    let log = Log::new("Keepalived", &style);
    log.say(format!("Starting {}", version()));
    let line: Vec<String> =
        std::iter::once(program).chain(words.iter().map(String::as_str)).map(|word| format!("'{word}'")).collect();
    log.say(format!("Command line: {}", line.join(" ")));
    for word in &options.stray {
        log.say(format!("Unexpected argument(s): {word}"));
    }
    let inputs = match inputs {
        Ok(inputs) => inputs,
        Err(complaint) => return refuse(&log, &style, &complaint),
    };
    if let Some(warning) = several(&given, &inputs) {
        log.say(warning);
    }
    let read = || look(&inputs, &environment).map_err(|error| unreadable(&given, &error));
    let (log, outcome) = enter_namespace(read, (log, &style), options.namespace.as_deref());
    let (reading, namespace) = match outcome {
        Ok(both) => both,
        Err(Refusal::NoFile(complaint)) => return refuse(&log, &style, &complaint),
        Err(Refusal::Namespace) => return code::FAILED,
    };
    let unserved: &[String] = if options.allow_unserved { &[] } else { &reading.unserved };
    if reading.worst() >= Some(Gravity::Fatal) || !unserved.is_empty() {
        for line in reading.complaints.iter().map(|complaint| &complaint.text).chain(unserved) {
            log.say(line);
            if !style.console {
                say(&format!("{line}\n"));
            }
        }
        if let Some(summary) = summary(&given, unserved) {
            log.say(&summary);
            if !style.console {
                say(&format!("{summary}\n"));
            }
        }
        log.say("The configuration cannot be run. Terminating");
        return if reading.worst() == Some(Gravity::NoFile) { code::NO_FILE } else { code::CONFIG };
    }
    parent::tell(&reading, &inputs, &log);
    parent::tell_left_out(&reading, options.allow_unserved, &log);
    let invocation = parent::Invocation { inputs, environment, options, style, namespace };
    parent::run(invocation, reading.into_site(), log)
}

/// What is said of a file that cannot be read.
fn unreadable(given: &str, error: &std::io::Error) -> String {
    format!("Unable to read configuration file {given} - {}", reason(error))
}

/// Why a start ends before its configuration is judged.
enum Refusal {
    /// The file cannot be read.
    NoFile(String),
    /// The network namespace cannot be entered; that is said.
    Namespace,
}

/// Reads the configuration and enters the network namespace it names, or `given`, which counts before it; in one the
/// configuration is read once more, as the interfaces are others there.
///
/// Differs from keepalived: it ends with code 0 where there is no such namespace. [test: a_daemon_runs_in_a_network_namespace]
fn enter_namespace(
    read: impl Fn() -> Result<Reading, String>,
    (log, style): (Log, &Style),
    given: Option<&str>,
) -> (Log, Result<(Reading, Option<Namespace>), Refusal>) {
    let mut reading = match read() {
        Ok(reading) => reading,
        Err(complaint) => return (log, Err(Refusal::NoFile(complaint))),
    };
    let root = &mut reading.site.root;
    let own = given.and_then(|given| root.net_namespace.replace(given.to_owned()));
    if let (Some(own), Some(given)) = (own, given) {
        log.say(format!("Overriding config net_namespace '{own}' with command line namespace '{given}'"));
    }
    let name = root.net_namespace.clone();
    let log = parent::renamed(&reading.site, log, style);
    let Some(name) = name else { return (log, Ok((reading, None))) };
    let namespace = match Namespace::open(&name, &log) {
        Ok(namespace) => namespace,
        Err(line) => {
            log.say(line);
            log.say(format!("Unable to set network namespace {name} - exiting"));
            log.say(format!("Stopped {}", version()));
            return (log, Err(Refusal::Namespace));
        }
    };
    let again = read().map_err(Refusal::NoFile);
    let again = again.map(|mut reading| {
        reading.site.root.net_namespace = Some(name);
        (reading, Some(namespace))
    });
    (log, again)
}

/// Ends a start without a configuration.
fn refuse(log: &Log, style: &Style, complaint: &str) -> u8 {
    log.say(complaint);
    if !style.console {
        say(&format!("{complaint}\n"));
    }
    log.say(format!("Stopped {}", version()));
    code::NO_FILE
}

/// The files a name or pattern stands for, by their full paths: the daemon leaves its folder. What there is to say of
/// them is said with the complaints of the reading.
pub fn files(given: &str) -> Result<Vec<Input>, String> {
    let missing = |why: &str| Err(format!("Unable to find configuration file {given}{why}"));
    let found = brace::glob(&Disk, given);
    if found.is_empty() {
        return missing(&format!(" (glob returned {NO_MATCH})"));
    }
    let mut inputs = Vec::new();
    for shown in found {
        match Disk.named(&shown) {
            Named::Folder => continue,
            Named::Other => return Err(format!("Configuration file '{shown}' is not a regular non-executable file")),
            Named::Text => {}
        }
        let path =
            std::path::absolute(&shown).map_or_else(|_| shown.clone(), |path| path.to_string_lossy().into_owned());
        inputs.push(Input { path, shown });
    }
    if inputs.is_empty() { missing("") } else { Ok(inputs) }
}

/// What there is to say of a pattern that stands for several files.
pub fn several(given: &str, inputs: &[Input]) -> Option<String> {
    let first = inputs.first().filter(|_| inputs.len() > 1)?;
    Some(format!("WARNING, more than one file matches configuration file {given}, using {}", first.shown))
}

/// What the text of a configuration depends on; `id` is that of `-i`.
pub fn environment(id: Option<String>) -> Environment {
    let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let short = host.split('.').next().unwrap_or_default().to_owned();
    let id = id.unwrap_or(short);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Environment {
        instance: id.clone(),
        id,
        seed: since.as_nanos() as u64 | 1,
        checks: Some(INCLUDE_CHECK),
        mark: Some(MARK),
    }
}

/// Reads a configuration, held against the interfaces and users of this machine.
///
/// # Errors
/// Which file cannot be read.
pub fn look(inputs: &[Input], environment: &Environment) -> std::io::Result<Reading> {
    let interfaces = Commands::open().and_then(|mut commands| Interfaces::ask(&mut commands)).unwrap_or_default();
    let has_interface = |name: &str| interfaces.link(name).is_some();
    let machine = Machine { has_interface: &has_interface, has_user: &security::is_known, read_secret: &secret::read };
    read::read_all(&Disk, inputs, environment, &machine)
}

/// `--explain` and `--json`: every complaint with its place, and the code of `-t`.
#[expect(clippy::print_stdout, reason = "the data goes to standard output")]
fn explain(
    (given, inputs): (&str, Result<Tested, String>),
    environment: &Environment,
    form: Form,
    allowed: bool,
) -> u8 {
    let outcome = read_for_test(given, inputs, environment);
    let (said, sources, code) = match &outcome {
        Err(text) => (vec![Diagnostic::new(Severity::Error, text)], &Sources::default(), code::CONFIG),
        Ok(reading) => {
            let judged = judged(reading);
            let lines = judged.iter().flat_map(|judged| &judged.lines);
            let scripts = lines.map(|line| Diagnostic::new(Severity::Error, line));
            (
                reading.diagnostics.iter().cloned().chain(scripts).collect(),
                &reading.sources,
                code_of(reading, &judged, allowed),
            )
        }
    };
    if let Form::Data(format) = form {
        let data: Vec<_> = said.iter().map(|complaint| format.one(complaint, sources)).collect();
        print!("{}", format.whole("rkeepalived", given, code == code::OK, &data));
        return code;
    }
    for complaint in &said {
        say(&print::picture(complaint, sources, takes_colours()));
    }
    say(&print::count(&said.iter().map(|complaint| complaint.severity).collect::<Vec<_>>()));
    code
}

/// What is wrong with the scripts, where keepalived comes to look at them.
fn judged(reading: &Reading) -> Vec<Judged> {
    if reading.worst() == Some(Gravity::Missing) { Vec::new() } else { scripts(reading) }
}

/// What ends the lines about keywords that refuse a start.
fn summary(file: &str, unserved: &[String]) -> Option<String> {
    let count = unserved.len();
    (count > 0).then(|| format!("configuration file {file} {}", refusal(count, "keyword")))
}

/// The code of a test.
///
/// Differs from keepalived: a test fails where a start is refused for what is not served. [test: a_test_of_keepalived_fails_where_a_start_fails]
fn code_of(reading: &Reading, scripts: &[Judged], allowed: bool) -> u8 {
    let counted = || scripts.iter().filter(|judged| judged.after >= Pass::Router);
    match reading.worst_of_test() {
        _ if !allowed && !reading.unserved.is_empty() => code::CONFIG,
        Some(Gravity::Missing) => code::CONFIG,
        Some(Gravity::NoFile) => code::NO_FILE,
        _ if counted().any(|judged| judged.violated) => code::SECURITY,
        Some(Gravity::Fatal | Gravity::Error) => code::TEST,
        _ if counted().any(|judged| !judged.lines.is_empty()) => code::TEST,
        None | Some(Gravity::Notice | Gravity::Warning) => code::OK,
    }
}

/// The files of a test, and the network namespace of the command line.
type Tested = (Vec<Input>, Option<String>);

/// Reads what is to be tested, in the network namespace it names.
///
/// Differs from keepalived: a file that is not read because somebody may execute it fails the test, as it fails the start. [test: a_file_that_cannot_be_read_fails_the_test]
/// Differs from keepalived: a test fails where there is no such network namespace, as the start fails. [test: a_daemon_runs_in_a_network_namespace]
fn read_for_test(given: &str, inputs: Result<Tested, String>, environment: &Environment) -> Result<Reading, String> {
    let (inputs, option) = inputs?;
    let read = || look(&inputs, environment).map_err(|error| unreadable(given, &error));
    let reading = read()?;
    let Some(name) = option.as_ref().or(reading.site.root.net_namespace.as_ref()) else { return Ok(reading) };
    namespace::enter(name)
        .map_err(|line| format!("{line}\nUnable to set network namespace {name} - exiting"))
        .and_then(|()| read())
}

/// `-t`: every complaint, and a code for the worst of them.
fn test(
    (given, inputs): (&str, Result<Tested, String>),
    environment: &Environment,
    target: Option<String>,
    allowed: bool,
) -> u8 {
    let warning = inputs.as_ref().ok().and_then(|(inputs, _)| several(given, inputs));
    write_outcome((given, warning), read_for_test(given, inputs, environment), target, allowed)
}

/// Tests the configuration before a reload, in the network namespace the daemon is in; whether it is right. What is
/// wrong is written to `target`.
pub fn is_valid(inputs: &[Input], environment: &Environment, (target, allowed): (&str, bool)) -> bool {
    let given = inputs.first().map_or(DEFAULT_FILE, |input| &input.shown);
    let outcome = look(inputs, environment).map_err(|error| unreadable(given, &error));
    write_outcome((given, None), outcome, Some(target.to_owned()), allowed) == code::OK
}

/// Writes what a test found; its code.
fn write_outcome(
    (given, warning): (&str, Option<String>),
    outcome: Result<Reading, String>,
    target: Option<String>,
    allowed: bool,
) -> u8 {
    let (lines, code) = match outcome {
        Err(text) => (vec![text], code::CONFIG),
        Ok(reading) => {
            let scripts = judged(&reading);
            let code = code_of(&reading, &scripts, allowed);
            let told = reading.told().into_iter().filter(|(_, complaint)| complaint.gravity != Gravity::Notice);
            let mut told: Vec<(Pass, String)> = told.map(|(pass, complaint)| (pass, complaint.text.clone())).collect();
            for judged in scripts {
                let at = told.iter().position(|(pass, _)| *pass > judged.after).unwrap_or(told.len());
                told.splice(at..at, judged.lines.into_iter().map(|line| (judged.after, line)));
            }
            let end = if allowed { ", left out" } else { "" };
            let unserved = reading.unserved.iter().map(|line| format!("rkeepalived: {line}{end}"));
            let summary = summary(given, &reading.unserved).filter(|_| !allowed);
            let summary = summary.map(|line| format!("rkeepalived: {line}"));
            let told = told.into_iter().map(|(_, line)| line);
            (warning.into_iter().chain(told).chain(unserved).chain(summary).collect(), code)
        }
    };
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let written = target.map(|path| std::fs::write(path, &text));
    if !matches!(written, Some(Ok(()))) {
        say(&text);
    }
    code
}

/// What is wrong with the scripts of one process.
struct Judged {
    /// Behind whose complaints it is said.
    after: Pass,
    lines: Vec<String>,
    /// A script would run as root, unwatched.
    violated: bool,
}

/// What is wrong with the scripts: those of the start, of virtual servers, of virtual routers.
fn scripts(reading: &Reading) -> Vec<Judged> {
    let site = &reading.site;
    let absent = reading.complaints.iter().any(|complaint| complaint.kind == Kind::Interface);
    let own: Vec<Command> =
        [&site.global.startup_script, &site.global.shutdown_script].into_iter().flatten().cloned().collect();
    let mut all = vec![
        judge(site, (Pass::Parent, "start/shutdown "), &own, &[]),
        judge(site, (Pass::CheckersEnd, "check "), &reading.checks, &[]),
    ];
    if site.configured && !absent {
        let notify = site.instances.iter().map(|one| one.notify()).chain(site.groups.iter().map(|one| &one.notify));
        let mut commands: Vec<Command> = notify.flat_map(Notify::commands).cloned().collect();
        commands.extend(site.global.fifo_scripts.iter().map(|(_, command)| command.clone()));
        all.push(judge(site, (Pass::Router, ""), &commands, &site.scripts));
    }
    all
}

fn judge(site: &Site, (after, whose): (Pass, &str), commands: &[Command], tracked: &[Script]) -> Judged {
    let global = &site.global;
    let policy = Policy::of(global);
    let (mut lines, mut violated, mut insecure) = (Vec::new(), false, false);
    let named = tracked.iter().map(|script| (&script.command, Some(&script.name)));
    for (command, name) in named.chain(commands.iter().map(|command| (command, None))) {
        let judged = policy.judge(command);
        insecure |= judged.insecure;
        violated |= judged.insecure || judged.program.as_ref().is_some_and(|program| program.uid == 0);
        if let (Some(Unusable::User | Unusable::Missing | Unusable::Insecure), Some(name)) = (judged.unusable, name) {
            let why = if judged.insecure { "due to insecure" } else { "since not found/accessible" };
            lines.push(format!("Disabling track script {name} {why}"));
        }
    }
    violated &= !policy.enforced;
    if violated {
        let also = if insecure { " There are insecure scripts." } else { "" };
        lines.push(format!(
            "SECURITY VIOLATION - {whose}scripts are being executed but script_security not enabled.{also}"
        ));
    }
    Judged { after, lines, violated }
}
