//! The command line of rmigrate.
//!
//! Exit codes: 0 there is nothing to say (all served, no difference, nothing found), 1 something was found, 2 the
//! command line is wrong or an input cannot be read.

use super::input::Given;
use super::render::{Beside, Format, render};
use super::report::{Failure, Report};
use super::secret;
use super::{diff, explain, lint, probe, survey};
use crate::conf::source::Loader as _;
use crate::log::clock;
use clap::{CommandFactory as _, Parser, Subcommand};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

/// Tells before a switch what will be the same and what will differ.
///
/// Exit codes: 0 nothing to say, 1 something was found, 2 wrong usage or unreadable input.
#[derive(Debug, Parser)]
#[command(name = "rmigrate", version)]
struct Arguments {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    given: Given,
    #[command(subcommand)]
    command: Command,
}

/// Where a report goes, and how.
#[derive(Debug, clap::Args)]
struct Output {
    /// How the report is written.
    #[arg(long, global = true, value_enum, default_value = "text")]
    format: Format,
    /// The file to write it to, instead of the standard output.
    #[arg(short = 'o', long, global = true, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What is asked for.
#[derive(Debug, Subcommand)]
enum Command {
    /// Lists every directive used and how it is served.
    Survey(survey::Args),
    /// Tells what differs between two configurations of one program.
    Diff(diff::Args),
    /// Tells what becomes of a request, or who becomes master when what fails.
    Explain(explain::Args),
    /// Finds mistakes in files that are well-formed, alone and between the nodes of a cluster.
    Lint(lint::Args),
    /// Asks the installed nginx and rnginx the same and compares the answers.
    Probe(probe::Args),
}

/// The options and subcommands, for the manual and the completions.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the program with these arguments.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let parsed = match Arguments::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match report(&parsed).and_then(|report| write(&report, &parsed).map(|()| report.verdict.exit)) {
        Ok(exit) => ExitCode::from(exit),
        Err(Failure(text)) => {
            let _ = writeln!(std::io::stderr(), "rmigrate: {text}");
            ExitCode::from(2)
        }
    }
}

/// What the program would print, and its exit code, without printing it.
pub fn answer(arguments: &[&str]) -> (String, u8) {
    let parsed = match Arguments::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(error) => return (error.to_string(), u8::try_from(error.exit_code()).unwrap_or(2)),
    };
    match report(&parsed) {
        Ok(report) => (rendered(&report, &parsed, None), report.verdict.exit),
        Err(Failure(text)) => (format!("rmigrate: {text}\n"), 2),
    }
}

fn report(parsed: &Arguments) -> Result<Report, Failure> {
    match &parsed.command {
        Command::Survey(args) => survey::run(args, &parsed.given),
        Command::Diff(args) => diff::run(args, &parsed.given),
        Command::Explain(args) => explain::run(args, &parsed.given),
        Command::Lint(args) => lint::run(args, &parsed.given),
        Command::Probe(args) => probe::run(args, &parsed.given),
    }
}

/// The report in its format, with lines of the files that its findings name.
fn rendered(report: &Report, parsed: &Arguments, made: Option<String>) -> String {
    let known = RefCell::new(BTreeMap::new());
    let lines = |file: &str| {
        let mut known = known.borrow_mut();
        let lines: &Option<Rc<[String]>> = known.entry(file.to_owned()).or_insert_with(|| {
            let text = parsed.given.load(file).ok()?;
            let mut seen = Vec::new();
            Some(String::from_utf8_lossy(&text).lines().map(|line| secret::line(line, &mut seen)).collect())
        });
        lines.clone()
    };
    render(report, parsed.output.format, &Beside { made, lines: &lines })
}

/// Who makes a report, where and when.
fn made() -> String {
    let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let date = clock::http_date(i64::try_from(since.as_secs()).unwrap_or_default());
    format!("rmigrate {} on {host}, {date}", env!("CARGO_PKG_VERSION"))
}

fn write(report: &Report, parsed: &Arguments) -> Result<(), Failure> {
    let text = rendered(report, parsed, Some(made()));
    match &parsed.output.output {
        Some(path) => std::fs::write(path, text).map_err(|error| Failure::file(&path.to_string_lossy(), &error)),
        // A reader that has seen enough (`| head`) is no failure.
        None => std::io::stdout().write_all(text.as_bytes()).or_else(closed),
    }
}

fn closed(error: std::io::Error) -> Result<(), Failure> {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(Failure::file("standard output", &error)),
    }
}
