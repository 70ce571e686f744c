//! Who of two nodes is master when what fails, and after how long: the machines of both, on a fake clock.

use crate::keepalived::failover::{self, Outcome, Pair};
use crate::migrate::dialect::Dialect;
use crate::migrate::drawing::{Bar, Drawing, Span};
use crate::migrate::input::Given;
use crate::migrate::report::{Failure, Finding, Report, Section, Severity, Table};
use std::time::Duration;

const NODES: [&str; 2] = ["A", "B"];

/// A question: what happened before, what happens, and how that is told.
struct Case {
    earlier: Vec<failover::Failure>,
    failure: failover::Failure,
    text: String,
}

/// Explains a pair of nodes.
///
/// # Errors
/// As [`super::run`].
pub fn run(paths: &[String], given: &Given) -> Result<Report, Failure> {
    let [a, b] = paths else { return Err(Failure("--vrrp takes the files of two nodes".to_owned())) };
    for path in paths {
        if given.dialect(path)? != Dialect::Keepalived {
            return Err(Failure(format!("{path}: this needs a file of keepalived")));
        }
    }
    let pair = Pair::read(given, [a, b], &given.id).map_err(|(path, error)| Failure::file(&path, &error))?;
    let mut report = Report::new(format!("Mastership of A = {a} and B = {b}"));
    let start = pair.after(&[], None);
    if start.is_empty() {
        return Err(Failure("there is no virtual router in these files".to_owned()));
    }
    report.section(Section::new("After both have started").table(started(&pair, &start)));
    let mut findings = wishes(&pair);
    findings.extend(start.iter().filter(|one| one.after.len() > 1).map(|one| {
        let text = format!(
            "{}: both nodes are master at once and stay so: they do not accept each other's adverts",
            one.instance
        );
        Finding::new(Severity::Error, "both-master", text)
            .help("compare VRID, password, interval, addresses and version")
    }));
    let (table, sentences, bars) = told(&pair, &start);
    let states = ["A is master", "B is master", "nobody", "both"].map(str::to_owned).to_vec();
    let failures = Section::new("When something fails, and when it is well again").table(table);
    report.section(failures.drawing(Drawing::Timeline { states, bars }));
    report.section(Section::new("In words").list(sentences));
    report.section(Section::new("Findings").findings(findings));
    for (node, said) in pair.complaints.iter().enumerate() {
        let title = format!("What keepalived says of {}", NODES.get(node).copied().unwrap_or_default());
        report.section(Section::new(title).list(said.clone()));
    }
    report.section(Section::new("How this was found").text(
        "Both configurations were run by rkeepalived's own machines on a fake clock, exchanging adverts without delay. \
         Two times are the best and the worst moment: right before an advert (or a run of the script), and right after. \
         Interfaces, users and, where nothing names them, addresses are made up; of two equal priorities B's address is \
         taken to be the higher.",
    ));
    let each: Vec<String> = start.iter().map(|one| format!("{}: {}", one.instance, who(&one.after))).collect();
    report
        .conclude(start.iter().any(|one| one.after.len() != 1), format!("Master after the start: {}", each.join(", ")));
    Ok(report)
}

fn started(pair: &Pair, start: &[Outcome]) -> Table {
    let mut table = Table::new(&["virtual router", "master", "after", "priority of A", "priority of B"]);
    for one in start {
        let priority = |node| pair.priority(node, &one.instance).map_or_else(|| "-".to_owned(), |own| own.to_string());
        table.row([one.instance.clone(), who(&one.after), span(one.settled), priority(0), priority(1)]);
    }
    table
}

/// A state that does not end by itself.
const EVER: &str = "as long as this lasts";

/// What becomes of every instance in every case, as rows and in words.
fn told(pair: &Pair, start: &[Outcome]) -> (Table, Vec<String>, Vec<Bar>) {
    let mut table = Table::new(&[
        "when",
        "virtual router",
        "before",
        "after",
        "settled after",
        "nobody is master for",
        "both are for",
    ]);
    let (mut sentences, mut bars) = (Vec::new(), Vec::new());
    for case in cases(pair, start) {
        for outcome in pair.after(&case.earlier, Some(&case.failure)) {
            let doubled = match outcome.doubled {
                time if time.is_zero() => "-".to_owned(),
                _ if outcome.after.len() > 1 => EVER.to_owned(),
                time => seconds(time),
            };
            let vacant = match outcome.vacant.1 {
                time if time.is_zero() => "-".to_owned(),
                _ if outcome.after.is_empty() => EVER.to_owned(),
                _ => span(outcome.vacant),
            };
            table.row([
                case.text.clone(),
                outcome.instance.clone(),
                who(&outcome.before),
                who(&outcome.after),
                span(outcome.settled),
                vacant,
                doubled,
            ]);
            sentences.push(sentence(&case, &outcome));
            bars.push(bar(&case, &outcome, start.len() > 1));
        }
    }
    (table, sentences, bars)
}

/// The worst moment of a case over time: who was master, the time in which nobody or both are, who is master then.
fn bar(case: &Case, outcome: &Outcome, several: bool) -> Bar {
    let seconds = |time: Duration| time.as_secs_f64();
    let settled = seconds(outcome.settled.1);
    let until = |state: usize, from: f64, until: f64| Span { from, until, state };
    // What lasts is after the change, and not a time of its own.
    let vacant = if outcome.after.is_empty() { 0.0 } else { seconds(outcome.vacant.1).min(settled) };
    let both = if outcome.after.len() > 1 { 0.0 } else { seconds(outcome.doubled).min(settled - vacant) };
    let all = [
        until(state(&outcome.before), -1.0, settled - vacant - both),
        until(BOTH, settled - vacant - both, settled - vacant),
        until(NOBODY, settled - vacant, settled),
        until(state(&outcome.after), settled, settled + 2.0),
    ];
    let which = if several { format!("{}: ", outcome.instance) } else { String::new() };
    Bar {
        title: format!("{which}{}", case.text),
        spans: all.into_iter().filter(|span| span.until > span.from).collect(),
    }
}

/// The numbers of the states in a timeline.
const NOBODY: usize = 2;
const BOTH: usize = 3;

fn state(masters: &[usize]) -> usize {
    match masters {
        [] => NOBODY,
        [node] => *node,
        _ => BOTH,
    }
}

/// What is asked about a pair: the same for every node that is master of something.
fn cases(pair: &Pair, start: &[Outcome]) -> Vec<Case> {
    let mut cases = Vec::new();
    for node in [0, 1] {
        if !start.iter().any(|one| one.after == [node]) {
            continue;
        }
        let name = NODES.get(node).copied().unwrap_or_default();
        let mut add = |earlier: &[failover::Failure], failure: failover::Failure, text: String| {
            cases.push(Case { earlier: earlier.to_vec(), failure, text });
        };
        add(&[], failover::Failure::Dies(node), format!("the host {name} dies"));
        add(
            &[failover::Failure::Dies(node)],
            failover::Failure::Returns(node),
            format!("{name} comes back after that"),
        );
        add(&[], failover::Failure::Stops(node), format!("keepalived is stopped on {name}"));
        add(
            &[failover::Failure::Stops(node)],
            failover::Failure::Returns(node),
            format!("keepalived is started on {name} after that"),
        );
        for script in pair.scripts(node) {
            let fails = failover::Failure::ScriptFails(node, script.clone());
            add(&[], fails.clone(), format!("script {script} fails on {name}"));
            let recovers = failover::Failure::ScriptRecovers(node, script.clone());
            add(std::slice::from_ref(&fails), recovers, format!("script {script} recovers on {name}"));
            if pair.scripts(1 - node).contains(&script) {
                let other = failover::Failure::ScriptFails(1 - node, script.clone());
                add(&[fails], other, format!("script {script} fails on the other node as well"));
            }
        }
        for interface in pair.interfaces(node) {
            let down = failover::Failure::LinkDown(node, interface.clone());
            add(&[], down.clone(), format!("interface {interface} of {name} goes down"));
            add(
                &[down],
                failover::Failure::LinkUp(node, interface.clone()),
                format!("interface {interface} of {name} comes up again"),
            );
        }
    }
    cases.push(Case {
        earlier: Vec::new(),
        failure: failover::Failure::Split,
        text: "the nodes no longer hear each other".to_owned(),
    });
    cases.push(Case {
        earlier: vec![failover::Failure::Split],
        failure: failover::Failure::Heals,
        text: "they hear each other again".to_owned(),
    });
    cases
}

fn wishes(pair: &Pair) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (node, name) in NODES.iter().enumerate() {
        let said = pair.complaints.get(node);
        let cleared = |text: &&String| text.contains("nopreempt will not work with initial state MASTER");
        for line in said.into_iter().flatten().filter(cleared) {
            let text = format!(
                "{name}: keepalived ignores nopreempt because state is MASTER: this node does take over when it returns ({line})"
            );
            let finding = Finding::new(Severity::Warning, "nopreempt-ignored", text);
            findings.push(finding.help("nopreempt works with state BACKUP on both nodes; the priorities decide"));
        }
    }
    findings
}

fn sentence(case: &Case, outcome: &Outcome) -> String {
    let (name, text) = (&outcome.instance, &case.text);
    if outcome.before == outcome.after && outcome.settled.1.is_zero() {
        return format!("When {text}: nothing changes, {}.", verb(&outcome.after, name));
    }
    let gone = match outcome.vacant.1 {
        time if time.is_zero() => String::new(),
        _ if outcome.after.is_empty() => ", and it stays so".to_owned(),
        _ => format!("; for {} nobody holds its addresses", span(outcome.vacant)),
    };
    let both = if outcome.doubled.is_zero() || outcome.after.len() > 1 {
        String::new()
    } else {
        format!("; for {} both do", seconds(outcome.doubled))
    };
    let when = match outcome.settled.1 {
        time if time.is_zero() => "at once".to_owned(),
        _ => format!("after {}", span(outcome.settled)),
    };
    format!("When {text}: {} {when}{gone}{both}.", verb(&outcome.after, name))
}

fn verb(masters: &[usize], name: &str) -> String {
    match masters {
        [] => format!("nobody is master of {name}"),
        [_] => format!("{} is master of {name}", who(masters)),
        _ => format!("both nodes are master of {name}"),
    }
}

fn who(masters: &[usize]) -> String {
    let names: Vec<&str> = masters.iter().filter_map(|node| NODES.get(*node).copied()).collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(" and ") }
}

fn span((best, worst): (Duration, Duration)) -> String {
    let (low, high) = (seconds(best), seconds(worst));
    match worst {
        _ if worst.is_zero() => "at once".to_owned(),
        _ if low == high => high,
        _ => format!("{low} to {high}"),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
