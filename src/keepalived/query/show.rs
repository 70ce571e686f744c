//! The status as tables for people.

pub mod servers;

use crate::keepalived::status::{Contribution, Instance, Script, Status, now};
use crate::log::clock::civil;
use serde_json::Value;
use std::fmt::Write as _;

/// A VRRP process reports every five seconds at least; one that has not for so many seconds is worth a line.
const SILENCE: f64 = 12.0;

/// A time as people read it, in UTC.
fn time(seconds: f64) -> String {
    let at = civil(seconds as i64);
    let (date, time) = ((at.year, at.month, at.day), (at.hour, at.minute, at.second));
    format!("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", date.0, date.1, date.2, time.0, time.1, time.2)
}

/// Rows under a head, each column as wide as its widest cell.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or_default()).collect();
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}", width = *width)).collect();
        let _ = writeln!(out, "{}", cells.join("  ").trim_end());
    }
    out
}

fn head(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

/// `rkeepalived status`.
pub fn status(status: &Status) -> String {
    let mut out = String::new();
    let process = match (status.vrrp.pid, status.vrrp.serving) {
        (Some(pid), true) => format!("VRRP process {pid} runs"),
        (Some(pid), false) => format!("VRRP process {pid} starts"),
        (None, _) => "no VRRP process".to_owned(),
    };
    let (version, pid, started) = (&status.version, status.pid, time(status.started));
    let _ = writeln!(out, "rkeepalived {version}, process {pid}, started {started} UTC; {process}");
    if let Some(pid) = status.checkers {
        let _ = writeln!(out, "the process of health checks {pid} runs");
    }
    if let Some(at) = status.reloads.at {
        let how = if status.reloads.last_refused { "refused" } else { "used" };
        let _ = writeln!(out, "last reload {how} {} UTC", time(at));
    }
    let silence = status.updated.filter(|_| status.vrrp.serving).map(|at| now() - at);
    if let Some(silence) = silence.filter(|silence| *silence > SILENCE) {
        let _ = writeln!(out, "the VRRP process has not reported for {silence:.0} s: what follows may be over");
    }
    let late = &status.lateness;
    if late.late > 0 {
        let worst = late.worst * 1000.0;
        let _ = writeln!(
            out,
            "{} of {} deadlines missed by more than 10 ms, at worst by {worst:.1} ms",
            late.late, late.deadlines
        );
    }
    if !status.instances.is_empty() {
        let mut rows =
            vec![head(&["INSTANCE", "STATE", "SINCE", "PRIORITY", "MASTER", "ADDRESSES", "CHANGES", "OBSTACLE"])];
        rows.extend(status.instances.iter().map(row));
        let _ = write!(out, "\n{}", table(&rows));
    }
    if !status.groups.is_empty() {
        let mut rows = vec![head(&["GROUP", "STATE", "MEMBERS"])];
        let row =
            |name: &str, state: &str, members: &[String]| vec![name.to_owned(), state.to_owned(), members.join(", ")];
        rows.extend(status.groups.iter().map(|group| row(&group.name, &group.state, &group.members)));
        let _ = write!(out, "\n{}", table(&rows));
    }
    if !status.scripts.is_empty() {
        let mut rows = vec![head(&["SCRIPT", "RESULT", "LAST RUN", "TOOK", "RUNS", "FAILED", "TIMED OUT"])];
        rows.extend(status.scripts.iter().map(script));
        let _ = write!(out, "\n{}", table(&rows));
    }
    out.push_str(&servers::tables(&status.virtual_servers));
    out
}

fn priority(instance: &Instance) -> String {
    if instance.priority == instance.base_priority {
        instance.priority.to_string()
    } else {
        format!("{} ({} configured)", instance.priority, instance.base_priority)
    }
}

fn master(instance: &Instance) -> String {
    match &instance.master {
        Some(master) => format!("{} ({})", master.address, master.priority),
        None if instance.state == "MASTER" => "this host".to_owned(),
        None => "-".to_owned(),
    }
}

fn row(instance: &Instance) -> Vec<String> {
    vec![
        instance.name.clone(),
        instance.state.to_string(),
        time(instance.since),
        priority(instance),
        master(instance),
        format!("{} of {}", instance.held, instance.addresses.len()),
        instance.changes.to_string(),
        instance.obstacles.join(", "),
    ]
}

fn script(script: &Script) -> Vec<String> {
    let took = script.last_duration.map_or_else(|| "-".to_owned(), |took| format!("{took:.3} s"));
    vec![
        script.name.clone(),
        script.reading.to_string(),
        script.last_result.clone().unwrap_or_else(|| "-".to_owned()),
        took,
        script.runs.to_string(),
        script.failures.to_string(),
        script.timeouts.to_string(),
    ]
}

/// `rkeepalived explain`.
pub fn instance(instance: &Instance) -> String {
    let mut out = String::new();
    let (name, state, since) = (&instance.name, &instance.state, time(instance.since));
    let _ = writeln!(out, "{name} is {state} since {since} UTC");
    let (vrid, version, interface) = (instance.vrid, instance.version, &instance.interface);
    let source = instance.source.as_deref().unwrap_or("no address");
    let _ = writeln!(out, "virtual router {vrid}, VRRP version {version}, on {interface} from {source}");
    let _ = writeln!(out, "addresses: {} ({} held)", instance.addresses.join(", "), instance.held);
    let _ = writeln!(out, "priority {}", priority(instance));
    for track in &instance.tracks {
        let _ = writeln!(out, "  {}", contribution(track));
    }
    if instance.state != "MASTER" {
        let _ = writeln!(out, "master: {}", master(instance));
        for obstacle in &instance.obstacles {
            let _ = writeln!(out, "not master because {obstacle}");
        }
    }
    for conflict in &instance.conflicts {
        let _ = writeln!(out, "conflict: {conflict}");
    }
    let counters = &instance.counters;
    let (received, sent, failed) = (counters.adverts_received, counters.adverts_sent, counters.adverts_failed);
    let _ = writeln!(out, "adverts: {received} received, {sent} sent, {failed} not sent to everybody");
    let _ = writeln!(out, "announcements of addresses: {}", counters.announcements);
    for (kind, count) in counters.errors.each().iter().filter(|(_, count)| *count > 0) {
        let _ = writeln!(out, "packets refused, {}: {count}", kind.replace('_', " "));
    }
    if !instance.transitions.is_empty() {
        let _ = writeln!(out, "changes: {}, the latest", instance.changes);
        for change in instance.transitions.iter().rev() {
            let _ = writeln!(out, "  {} UTC  {} -> {}: {}", time(change.at), change.from, change.to, change.reason);
        }
    }
    out
}

fn contribution(track: &Contribution) -> String {
    let Contribution { kind, name, reading, weight, adds, .. } = track;
    let reverse = if track.reverse { ", reversed" } else { "" };
    let effect = match (track.fault, *weight) {
        (true, _) => "puts it in fault".to_owned(),
        (false, 0) => "no fault".to_owned(),
        (false, _) => format!("{adds:+}"),
    };
    format!("{kind} {name}: {reading}, weight {weight}{reverse}: {effect}")
}

/// Lines of JSON that come in pieces, as lines for people.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// The lines that are complete with this piece.
    pub fn add(&mut self, bytes: &[u8]) -> String {
        self.rest.extend_from_slice(bytes);
        let mut out = String::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let Ok(event) = serde_json::from_slice::<Value>(&line) else { continue };
            let word = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let at = time(event.get("at").and_then(Value::as_f64).unwrap_or_default());
            let reason = Some(word("reason")).filter(|reason| !reason.is_empty());
            let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            let from = Some(word("from")).filter(|from| !from.is_empty());
            let from = from.map(|from| format!("{from} -> ")).unwrap_or_default();
            let subject = format!("{} {}", word("subject"), word("name"));
            let _ = writeln!(out, "{at} UTC  {}  {from}{}{reason}", subject.trim_end(), word("to"));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_in_pieces_become_lines() {
        let mut lines = Lines::default();
        assert_eq!(
            lines.add(b"{\"at\":86400.5,\"subject\":\"instance\",\"name\":\"V\",\"from\":\"BACKUP\",\"to\""),
            ""
        );
        let rest = b":\"MASTER\",\"reason\":\"r\"}\n{\"at\":0,\"subject\":\"reload\",\"from\":\"\",\"to\":\"used\"}\n";
        assert_eq!(
            lines.add(rest),
            "1970-01-02 00:00:00 UTC  instance V  BACKUP -> MASTER: r\n1970-01-01 00:00:00 UTC  reload  used\n"
        );
    }

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let rows = [vec!["A".to_owned(), "B".to_owned()], vec!["long".to_owned(), String::new()]];
        assert_eq!(table(&rows), "A     B\nlong\n");
    }
}
