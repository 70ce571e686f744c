//! Asks the installed nginx and rnginx the same, with one configuration, and tells where their answers differ.
//!
//! The configuration is rewritten into a sandbox (`sandbox`): its servers listen on other ports of 127.0.0.1, what they
//! write goes into a folder of its own, and the servers they ask are stand-ins that say what they were asked
//! (`backend`). The programs run one after the other, so that ports and paths are the same for both.

mod backend;
mod client;
mod compare;
mod requests;
mod run;
mod sandbox;
mod text;

use super::dialect::Dialect;
use super::input::Given;
use super::report::{Failure, Finding, Report, Section, Severity, Table};
use crate::conf::diagnostic::reason;
use compare::{Difference, differences};
use requests::Ask;
use run::Trial;
use sandbox::Sandbox;

/// What `probe` is asked.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration.
    conf: String,
    /// Requests, one a line: METHOD URL, then headers in brackets, then < and a body: POST http://host/path [Cookie: a=b] < body; for the stream server TCP tcp://host:port < line and UDP udp://host:port < datagram
    #[arg(long, value_name = "FILE", conflicts_with = "log")]
    requests: Option<String>,
    /// An access log in the common or combined format, whose requests are asked again.
    #[arg(long, value_name = "FILE")]
    log: Option<String>,
    /// The host of the log's requests.
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    host: String,
    /// The most requests that are asked.
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    most: usize,
    /// The original.
    #[arg(long, value_name = "PROGRAM", default_value = "/usr/sbin/nginx")]
    nginx: String,
    /// Ours; the one beside this program where nothing is said.
    #[arg(long, value_name = "PROGRAM")]
    rnginx: Option<String>,
    /// Asks the real servers behind nginx instead of stand-ins; requests that change something change it twice.
    #[arg(long)]
    live: bool,
}

/// Asks both.
///
/// # Errors
/// The configuration or the requests cannot be read, a program cannot be started, the sandbox cannot be made.
pub fn run(args: &Args, given: &Given) -> Result<Report, Failure> {
    if given.root.is_some() {
        return Err(Failure("probe runs programs on this machine's files and takes no --root".to_owned()));
    }
    if given.dialect(&args.conf)? != Dialect::Nginx {
        return Err(Failure(format!("{}: this needs a file of nginx", args.conf)));
    }
    let text = given.read(&args.conf)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure(format!("no event loop: {}", reason(&error))))?;
    runtime.block_on(async {
        let backends = backend::Backends::new();
        let sandbox = Sandbox::make(&text, &backends, args.live)?;
        let mut requests = requests::collect(args, given, &text, said(&sandbox))?;
        let left_out = requests.len().saturating_sub(args.most);
        requests.truncate(args.most);
        let ours = args.rnginx.clone().unwrap_or_else(beside);
        let (registry, _) = crate::nginx::view::registry();
        let served = |name: &str| registry.named(name.as_bytes()).any(|row| row.support.is_served());
        let original = run::trial((&args.nginx, &|_| true), &sandbox, &requests, &backends).await?;
        let ours = run::trial((&ours, &served), &sandbox, &requests, &backends).await?;
        Ok(report(args, &sandbox, (&original, &ours), left_out))
    })
}

/// What the stream servers are asked where no requests are given.
fn said(sandbox: &Sandbox) -> Vec<Ask> {
    let lines = sandbox.streams.keys().map(|port| Ask::line(*port, "rmigrate"));
    lines.chain(sandbox.datagrams.keys().map(|port| Ask::datagram(*port, "rmigrate"))).collect()
}

/// rnginx where this program is, or else in PATH.
fn beside() -> String {
    let own = std::env::current_exe().ok();
    let near = own.and_then(|path| Some(path.parent()?.join("rnginx"))).filter(|path| path.is_file());
    near.map_or_else(|| "rnginx".to_owned(), |path| path.to_string_lossy().into_owned())
}

fn report(args: &Args, sandbox: &Sandbox, (original, ours): (&Trial, &Trial), left_out: usize) -> Report {
    let mut report = Report::new(format!("Probe of {}", args.conf));
    let mut findings = Vec::new();
    for (name, trial, other) in [("nginx", original, ours), ("rnginx", ours, original)] {
        if let Err(said) = &trial.answers {
            let alone = if other.answers.is_ok() { ", and the other one does" } else { "" };
            let text = format!("{name} does not start with this configuration{alone}: {}", sandbox.plain(said));
            findings.push(Finding::new(Severity::Error, "does-not-start", text).at(&args.conf));
        }
    }
    let empty = Vec::new();
    let both = (original.answers.as_ref().unwrap_or(&empty), ours.answers.as_ref().unwrap_or(&empty));
    let found: Vec<Difference> = differences(both.0, both.1);
    let mut table = Table::new(&["request", "what", "nginx", "rnginx"]);
    for one in &found {
        table.row([one.request.clone(), one.part.clone(), sandbox.plain(&one.original), sandbox.plain(&one.ours)]);
    }
    report.section(Section::new("Findings").findings(findings.clone()));
    report.section(Section::new("Differences").table(table));
    let asked = both.0.len().min(both.1.len());
    let mut statuses = Table::new(&["status", "answers of nginx", "answers of rnginx"]);
    for (status, [one, other]) in compare::statuses(both.0, both.1) {
        statuses.row([status, one.to_string(), other.to_string()]);
    }
    report.section(Section::new("Answers").table(statuses));
    let mut notes = sandbox.notes.clone();
    if left_out > 0 {
        notes.push(format!("{left_out} requests beyond --most were not asked"));
    }
    notes.push(
        "not compared: Date, the version in Server and in error pages, values that are random or the time, the case of \
         header names"
            .to_owned(),
    );
    report.section(Section::new("What was changed for the sandbox").list(notes));
    let failed = !findings.is_empty() || !found.is_empty();
    let differing: std::collections::BTreeSet<&String> = found.iter().map(|one| &one.request).collect();
    let verdict = match (findings.is_empty(), differing.len()) {
        (false, _) => "The programs could not be compared".to_owned(),
        (true, 0) => format!("{asked} requests, no difference"),
        (true, count) => format!("{count} of {asked} requests are answered differently"),
    };
    report.conclude(failed, verdict);
    report
}
