//! Mistakes in configurations that are well-formed: of one file, of a node, and between the nodes of a cluster.

mod cluster;
mod emqx;
mod hocon;
mod keepalived;
mod levels;
mod lvs;
mod nginx;
mod node;
mod peers;
mod script;
mod security;
mod vrrp;

use super::input::Given;
use super::report::{Failure, Finding, Report, Section, Severity, Table};
use clap::ValueEnum;
use node::Node;

/// What `lint` is asked.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files of one node: nginx.conf, keepalived.conf, emqx.conf and check scripts, told apart by their content.
    #[arg(required_unless_present_any = ["nodes", "rules"])]
    files: Vec<String>,
    /// The files of one node of several; where NAME is an address, it is the node's own.
    #[arg(long = "node", value_name = "NAME=FILE[,FILE...]", conflicts_with = "files")]
    nodes: Vec<String>,
    /// A rule that is not asked for; once for each.
    #[arg(long = "allow", value_name = "RULE")]
    allowed: Vec<String>,
    /// The least that makes the exit code 1.
    #[arg(long, value_enum, default_value = "warning")]
    fail_on: FailOn,
    /// Lists the rules instead.
    #[arg(long)]
    rules: bool,
}

/// What makes a lint fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// What will not work.
    Error,
    /// What will work otherwise than it looks, too.
    Warning,
    /// Whatever is found.
    Note,
}

/// One thing that is looked for.
struct Rule {
    /// Its name in findings, exceptions and fixtures.
    id: &'static str,
    /// How much a finding of it matters.
    severity: Severity,
    /// What is looked for, in a line.
    title: &'static str,
    /// Looks at all nodes and says what it finds.
    check: fn(&[Node], &mut Found<'_>),
}

/// Where a rule puts what it finds.
struct Found<'a> {
    rule: &'a Rule,
    findings: Vec<Finding>,
}

impl Found<'_> {
    /// Says that something is so, at these places.
    fn add(&mut self, places: &[String], text: impl Into<String>, help: &str) {
        let mut finding = Finding::new(self.rule.severity, self.rule.id, text);
        for place in places.iter().filter(|place| !place.is_empty()) {
            finding = finding.at(place);
        }
        self.findings.push(if help.is_empty() { finding } else { finding.help(help) });
    }
}

/// The groups of rules and the headings over what they find.
const GROUPS: [(&str, &[Rule]); 7] = [
    ("Between the nodes", &cluster::RULES),
    ("keepalived", &keepalived::RULES),
    ("Virtual servers", &lvs::RULES),
    ("Check scripts", &script::RULES),
    ("nginx", &nginx::RULES),
    ("EMQX", &emqx::RULES),
    ("Security", &security::RULES),
];

/// Looks at the nodes.
///
/// # Errors
/// A file cannot be read, nothing tells what it is, or a rule is unknown.
pub fn run(args: &Args, given: &Given) -> Result<Report, Failure> {
    if args.rules {
        return Ok(list());
    }
    if let Some(unknown) = args.allowed.iter().find(|id| rules().all(|(_, rule)| rule.id != id.as_str())) {
        return Err(Failure(format!("there is no rule \"{unknown}\"; --rules lists them")));
    }
    let nodes = nodes(args, given)?;
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).filter(|name| !name.is_empty()).collect();
    let subject = if names.is_empty() { args.files.join(", ") } else { format!("the nodes {}", names.join(", ")) };
    let mut report = Report::new(format!("Lint of {subject}"));
    let remarks: Vec<_> = nodes.iter().flat_map(|node| node.remarks.clone()).collect();
    if !remarks.is_empty() {
        report.section(Section::new("Parts of configurations").findings(merged(remarks)));
    }
    let refused: Vec<_> = nodes.iter().flat_map(|node| node.refused.clone()).collect();
    report.section(Section::new("What nginx refuses").findings(merged(refused)));
    for (title, rules) in GROUPS {
        let mut findings = Vec::new();
        for rule in rules.iter().filter(|rule| !args.allowed.iter().any(|id| id == rule.id)) {
            let mut found = Found { rule, findings: Vec::new() };
            (rule.check)(&nodes, &mut found);
            findings.extend(merged(found.findings));
        }
        findings.sort_by_key(|finding| finding.severity);
        report.section(Section::new(title).findings(findings));
    }
    let counts = report.counts();
    let count = |severity| counts.get(&severity).copied().unwrap_or_default();
    let (errors, warnings, notes) = (count(Severity::Error), count(Severity::Warning), count(Severity::Note));
    let failed = match args.fail_on {
        FailOn::Error => errors,
        FailOn::Warning => errors + warnings,
        FailOn::Note => errors + warnings + notes,
    };
    let files = nodes.iter().map(Node::files).sum::<usize>();
    let text = format!("{files} file{} looked at", if files == 1 { "" } else { "s" });
    let none = if errors + warnings + notes == 0 { ": nothing found" } else { "" };
    report.conclude(failed > 0, format!("{text}{none}"));
    Ok(report)
}

fn rules() -> impl Iterator<Item = (&'static str, &'static Rule)> {
    GROUPS.into_iter().flat_map(|(title, rules)| rules.iter().map(move |rule| (title, rule)))
}

fn list() -> Report {
    let mut table = Table::new(&["rule", "severity", "what is looked for"]);
    rules().for_each(|(_, rule)| table.row([rule.id, rule.severity.word(), rule.title]));
    let mut report = Report::new("The rules of lint");
    let count = table.rows.len();
    report.section(Section::new("Rules").table(table));
    report.conclude(false, format!("{count} rules"));
    report
}

fn nodes(args: &Args, given: &Given) -> Result<Vec<Node>, Failure> {
    if args.nodes.is_empty() {
        return Ok(vec![Node::read("", &args.files, given)?]);
    }
    let split = |text: &String| {
        let (name, files) =
            text.split_once('=').ok_or_else(|| Failure(format!("--node takes NAME=FILE,FILE and not \"{text}\"")))?;
        let files: Vec<String> = files.split(',').map(str::to_owned).collect();
        Node::read(name, &files, given)
    };
    args.nodes.iter().map(split).collect()
}

/// One finding for what is said more than once, with all places: nodes often have equal files.
fn merged(findings: Vec<Finding>) -> Vec<Finding> {
    let mut out: Vec<Finding> = Vec::new();
    for finding in findings {
        match out.iter_mut().find(|known| known.text == finding.text && known.help == finding.help) {
            Some(known) => {
                let fresh: Vec<String> =
                    finding.places.into_iter().filter(|place| !known.places.contains(place)).collect();
                known.places.extend(fresh);
            }
            None => out.push(finding),
        }
    }
    out
}
