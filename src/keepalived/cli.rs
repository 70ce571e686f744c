//! The command line and the parent process: test, daemonise, keep the VRRP process alive.
//!
//! Differs from keepalived: a configuration that cannot be run ends the program with code 3. [test: a_configuration_that_cannot_be_run_ends_with_code_3]

use super::blocks::instance::Notify;
use super::journal::{DAEMON, Journal, Style};
use super::options::{Form, Options, Wish, parse, usage};
use super::parent;
use super::read::{self, Kind, Pass, Reading};
use super::site::{Script, Site};
use super::slot::{Command, Machine};
use super::track::security::{self, Policy, Unusable};
use super::world::World;
use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::disk::Disk;
use crate::conf::expand::Environment;
use crate::conf::print;
use crate::conf::source::{Loader, Sources};
use crate::kernel::netlink::Commands;
use crate::sys::signal::{realtime_first, realtime_last};
use std::ffi::OsString;
use std::io::{IsTerminal as _, Write};
use std::process::ExitCode;

/// The version whose behaviour this program has.
const VERSION: &str = "2.1.5";

const DEFAULT_FILE: &str = "/etc/keepalived/keepalived.conf";

/// The codes keepalived's manual documents.
pub mod code {
    /// All is well.
    pub const OK: u8 = 0;
    /// The command line, or the system.
    pub const FAILED: u8 = 1;
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
    let Ok(file) = file(&options) else {
        say("Config file must be exactly one file\n");
        return code::NO_FILE;
    };
    let environment = environment(&options);
    if let Some(target) = options.test.take() {
        return match options.form {
            Form::Lines => test(&file, &environment, target),
            Form::Pictures | Form::Data => explain(&file, &environment, options.form),
        };
    }
    let facility = (!options.no_syslog).then_some(options.facility.unwrap_or(DAEMON));
    let style = Style { console: options.console && options.foreground, detail: options.detail, facility };
    let journal = Journal::new("Keepalived", &style);
    journal.say(format!("Starting {}", version()));
    let line: Vec<String> =
        std::iter::once(program).chain(words.iter().map(String::as_str)).map(|word| format!("'{word}'")).collect();
    journal.say(format!("Command line: {}", line.join(" ")));
    for word in &options.stray {
        journal.say(format!("Unexpected argument(s): {word}"));
    }
    journal.say(format!("Configuration file {file}"));
    let reading = match look(&file, &environment) {
        Ok(reading) => reading,
        Err(error) => {
            journal.say(format!("Unable to find configuration file {file} - {error}"));
            say(&format!("Unable to find configuration file {file}\n"));
            return code::NO_FILE;
        }
    };
    let unserved: &[String] = if options.allow_unserved { &[] } else { &reading.unserved };
    if reading.worst() >= Some(Kind::Fatal) || !unserved.is_empty() {
        for line in reading.complaints.iter().map(|complaint| &complaint.text).chain(unserved) {
            journal.say(line);
            if !style.console {
                say(&format!("{line}\n"));
            }
        }
        journal.say("The configuration cannot be run. Terminating");
        return code::CONFIG;
    }
    let invocation = parent::Invocation { file, environment, options, style };
    parent::run(invocation, reading.site, journal)
}

/// The configuration file's full path: the daemon leaves its folder.
fn file(options: &Options) -> std::io::Result<String> {
    let given = options.file.as_deref().unwrap_or(DEFAULT_FILE);
    let mut name = given.to_owned();
    if given.contains(['*', '?', '[']) {
        let mut names = Disk.glob(given)?.into_iter();
        name = names.next().filter(|_| names.next().is_none()).ok_or(std::io::ErrorKind::NotFound)?;
    }
    Ok(std::path::absolute(&name)?.to_string_lossy().into_owned())
}

fn environment(options: &Options) -> Environment {
    let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let short = host.split('.').next().unwrap_or_default().to_owned();
    let id = options.id.clone().unwrap_or(short);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Environment { instance: id.clone(), id, seed: since.as_nanos() as u64 | 1 }
}

fn look(file: &str, environment: &Environment) -> std::io::Result<Reading> {
    let world = Commands::open().and_then(|mut commands| World::ask(&mut commands)).unwrap_or_default();
    let has_interface = |name: &str| world.link(name).is_some();
    read::read(&Disk, file, environment, &Machine { has_interface: &has_interface, has_user: &security::is_known })
}

/// `--explain` and `--json`: every complaint with its place, and the code of `-t`.
#[expect(clippy::print_stdout, reason = "the data goes to standard output")]
fn explain(file: &str, environment: &Environment, form: Form) -> u8 {
    let outcome = look(file, environment);
    let (said, sources, code) = match &outcome {
        Err(error) => {
            let text = format!("Unable to open configuration file '{file}' - {error}");
            (vec![Diagnostic::new(Severity::Error, text)], &Sources::default(), code::CONFIG)
        }
        Ok(reading) => {
            let judged = judged(reading);
            let lines = judged.iter().flat_map(|judged| &judged.lines);
            let scripts = lines.map(|line| Diagnostic::new(Severity::Error, line));
            (reading.diagnostics.iter().cloned().chain(scripts).collect(), &reading.sources, code_of(reading, &judged))
        }
    };
    if form == Form::Data {
        let data = said.iter().map(|complaint| print::data(complaint, sources)).collect();
        print!("{}", print::report("rkeepalived", file, code == code::OK, data));
        return code;
    }
    for complaint in &said {
        say(&print::picture(complaint, sources, std::io::stderr().is_terminal()));
    }
    code
}

/// What is wrong with the scripts, where keepalived comes to look at them.
fn judged(reading: &Reading) -> Vec<Judged> {
    if reading.worst() == Some(Kind::Missing) { Vec::new() } else { scripts(reading) }
}

/// The code of a test.
fn code_of(reading: &Reading, scripts: &[Judged]) -> u8 {
    match reading.worst() {
        Some(Kind::Missing) => code::CONFIG,
        _ if scripts.iter().any(|judged| judged.violated) => code::SECURITY,
        Some(Kind::Fatal | Kind::Error) => code::TEST,
        _ if scripts.iter().any(|judged| !judged.lines.is_empty()) => code::TEST,
        None | Some(Kind::Notice | Kind::Warning) => code::OK,
    }
}

/// `-t`: every complaint, and a code for the worst of them.
fn test(file: &str, environment: &Environment, target: Option<String>) -> u8 {
    let (lines, code) = match look(file, environment) {
        Err(error) => (vec![format!("Unable to open configuration file '{file}' - {error}")], code::CONFIG),
        Ok(reading) => {
            let scripts = judged(&reading);
            let code = code_of(&reading, &scripts);
            let mut told: Vec<(Pass, String)> = reading
                .complaints
                .iter()
                .filter(|complaint| complaint.kind != Kind::Notice)
                .map(|complaint| (complaint.pass, complaint.text.clone()))
                .collect();
            for judged in scripts {
                let at = told.iter().position(|(pass, _)| *pass > judged.after).unwrap_or(told.len());
                told.splice(at..at, judged.lines.into_iter().map(|line| (judged.after, line)));
            }
            let unserved = reading.unserved.iter().map(|line| format!("rkeepalived: {line}"));
            (told.into_iter().map(|(_, line)| line).chain(unserved).collect(), code)
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
    let absent = reading.complaints.iter().any(|complaint| complaint.text == super::site::ABSENT);
    let mut all = vec![
        judge(site, (Pass::Parent, "start/shutdown "), &site.global.start_scripts, &[]),
        judge(site, (Pass::CheckersEnd, "check "), &reading.checks, &[]),
    ];
    if site.configured && !absent {
        let notify = site.instances.iter().map(|one| &one.notify).chain(site.groups.iter().map(|one| &one.notify));
        let mut commands: Vec<Command> = notify.flat_map(Notify::commands).cloned().collect();
        commands.extend(site.global.fifo_scripts.iter().cloned());
        all.push(judge(site, (Pass::Router, ""), &commands, &site.scripts));
    }
    all
}

fn judge(site: &Site, (after, whose): (Pass, &str), commands: &[Command], tracked: &[Script]) -> Judged {
    let global = &site.global;
    let policy = Policy { enforced: global.script_security == Some(true), user: global.script_user.clone() };
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
