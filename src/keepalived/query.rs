//! `rkeepalived status`, `watch`, `explain` and `plan`: what a running daemon says through its control socket.
//!
//! Exit codes: 0 it was answered, 1 nobody answers or there is no such instance, 2 the command line is wrong, 3 the file of
//! `plan` cannot be run.

mod ask;
mod preview;
mod show;

use self::ask::{Failure, ask};
use super::cli::code;
use super::control::DEFAULT;
use super::status::Status;
use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use std::io::Write as _;
use std::path::PathBuf;

/// The first words that make a command line a query.
pub const WORDS: [&str; 4] = ["status", "watch", "explain", "plan"];

/// Asks a running rkeepalived.
#[derive(Debug, Parser)]
#[command(name = "rkeepalived", version)]
struct Arguments {
    #[command(subcommand)]
    query: Query,
}

/// What is asked.
#[derive(Debug, Subcommand)]
enum Query {
    /// Shows the state of every instance, group, script and virtual server.
    Status(Common),
    /// Shows each change from now on, until it is interrupted.
    Watch(Common),
    /// Shows how the priority of an instance comes about, and what keeps it from being master; of a virtual server, why
    /// which real servers are down, and what happens when which fails.
    Explain(Explain),
    /// Shows what a reload with a file would change.
    Plan(Plan),
}

/// What all of them have.
#[derive(Debug, Args)]
struct Common {
    /// The control socket of the daemon.
    #[arg(long, value_name = "PATH", default_value = DEFAULT)]
    socket: PathBuf,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// What `explain` has.
#[derive(Debug, Args)]
struct Explain {
    #[command(flatten)]
    common: Common,
    /// The instance's name, or a virtual server: ADDRESS:PORT, its group, or its name in log lines.
    instance: String,
}

/// What `plan` has.
#[derive(Debug, Args)]
struct Plan {
    #[command(flatten)]
    common: Common,
    /// The file a reload would read.
    #[arg(short = 'f', long, value_name = "FILE", default_value = super::cli::DEFAULT_FILE)]
    file: String,
    /// The id of conditional lines, as with the daemon.
    #[arg(short = 'i', long, value_name = "ID")]
    config_id: Option<String>,
}

/// Runs a query; the code is the program's.
pub fn main(words: &[String]) -> u8 {
    let program = std::iter::once("rkeepalived").chain(words.iter().map(String::as_str));
    let query = match Arguments::try_parse_from(program) {
        Ok(arguments) => arguments.query,
        Err(error) => {
            // With its output closed there is nobody to tell.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    match run(&query) {
        Ok(code) => code,
        Err(failure) => {
            // With standard error closed there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "rkeepalived: {failure}");
            code::FAILED
        }
    }
}

fn run(query: &Query) -> Result<u8, Failure> {
    match query {
        Query::Status(common) => {
            let status = status(common)?;
            print(common, &status, || show::status(&status));
        }
        Query::Explain(Explain { common, instance }) => {
            let status = status(common)?;
            if let Some(found) = status.instances.iter().find(|one| one.name == *instance) {
                print(common, found, || show::instance(found));
                return Ok(code::OK);
            }
            let found = status.virtual_servers.iter().find(|one| one.is_called(instance));
            let found = found.ok_or_else(|| Failure::Instance(instance.clone()))?;
            print(common, found, || show::servers::explain(found));
        }
        Query::Watch(common) => {
            let mut lines = show::Lines::default();
            ask(&common.socket, "/watch", |bytes| {
                let text = if common.json { bytes.to_vec() } else { lines.add(bytes).into_bytes() };
                write(&text)
            })?;
        }
        Query::Plan(Plan { common, file, config_id }) => {
            let mut text = Vec::new();
            ask(&common.socket, "/configuration", |bytes| {
                text.extend_from_slice(bytes);
                true
            })?;
            let preview = preview::preview(&String::from_utf8_lossy(&text), file, config_id.clone())?;
            print(common, &preview, || preview.to_string());
            return Ok(if preview.refused.is_empty() { code::OK } else { code::CONFIG });
        }
    }
    Ok(code::OK)
}

fn status(common: &Common) -> Result<Status, Failure> {
    let mut text = Vec::new();
    ask(&common.socket, "/status", |bytes| {
        text.extend_from_slice(bytes);
        true
    })?;
    serde_json::from_slice(&text).map_err(|error| Failure::Answer(error.to_string()))
}

fn print(common: &Common, data: &impl Serialize, text: impl FnOnce() -> String) {
    let json = || serde_json::to_string_pretty(data).map(|text| text + "\n").unwrap_or_default();
    write(if common.json { json() } else { text() }.as_bytes());
}

/// Writes to standard output; whether somebody still reads it.
fn write(bytes: &[u8]) -> bool {
    let mut out = std::io::stdout();
    out.write_all(bytes).and_then(|()| out.flush()).is_ok()
}
