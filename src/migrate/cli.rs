//! The command line of rmigrate.

use super::survey::{self, Finding, Verdict};
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

/// Tells before a switch what will be the same and what will differ.
#[derive(Debug, Parser)]
#[command(name = "rmigrate", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What is asked for.
#[derive(Debug, Subcommand)]
enum Command {
    /// Counts the directives of nginx.conf files by how they are served; exit code 1 when any is not.
    Survey {
        /// The files; what they include is looked at too.
        #[arg(required = true)]
        files: Vec<String>,
    },
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
    let Command::Survey { files } = parsed.command;
    let mut refused = false;
    for file in &files {
        match survey::nginx(file) {
            Ok(findings) => refused |= report(file, &findings),
            Err(error) => {
                let text = crate::conf::walk::errno(&error);
                let _ = writeln!(std::io::stderr(), "rmigrate: open() \"{file}\" failed ({text})");
                refused = true;
            }
        }
    }
    if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Prints the findings of a file; true when something of it is not served.
fn report(file: &str, findings: &[Finding]) -> bool {
    let mut out = std::io::stdout();
    let count = |wanted: fn(&Verdict) -> bool| findings.iter().filter(|finding| wanted(&finding.verdict)).count();
    let served = count(|verdict| *verdict == Verdict::Served);
    let differs = count(|verdict| matches!(verdict, Verdict::Differs(_)));
    let inert = count(|verdict| matches!(verdict, Verdict::Inert(_)));
    let refused = findings.len() - served - differs - inert;
    let _ = writeln!(out, "{file}: {served} served, {differs} differ, {inert} without effect, {refused} not served");
    for Finding { name, place, verdict } in findings {
        let _ = match verdict {
            Verdict::Served => Ok(()),
            Verdict::Differs(how) => writeln!(out, "  {place}: {name} differs: {how}"),
            Verdict::Inert(why) => writeln!(out, "  {place}: {name} has no effect: {why}"),
            Verdict::NotServed => writeln!(out, "  {place}: {name} is known but not supported yet"),
            Verdict::Unknown => writeln!(out, "  {place}: {name} is unknown here"),
            Verdict::Broken(text) => writeln!(out, "  {text}"),
        };
    }
    refused > 0
}
