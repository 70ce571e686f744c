//! Two configurations as named things: what is added, removed and changed. What only moved is not changed.

mod keepalived;
mod model;
mod nginx;
mod order;

use super::dialect::Dialect;
use super::input::{Given, Text};
use super::report::{Failure, Report, Section, Table};
use super::secret;
use crate::conf::registry::Registry;
use model::{Change, compare};
use similar::TextDiff;
use std::collections::BTreeMap;

/// What `diff` is asked.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration as it was, or that of one node.
    old: String,
    /// The configuration as it will be, or that of the other node.
    new: String,
    /// The files are those of two nodes of a pair: what has to differ between them is told apart, and does not count.
    #[arg(long)]
    nodes: bool,
    /// Also shows the lines that differ, without secrets.
    #[arg(long)]
    text: bool,
}

/// Compares the two.
///
/// # Errors
/// A file cannot be read, or the two are for different programs.
pub fn run(args: &Args, given: &Given) -> Result<Report, Failure> {
    let (old, new) = (given.read(&args.old)?, given.read(&args.new)?);
    if old.dialect != new.dialect {
        let (one, other) = (old.dialect.name(), new.dialect.name());
        return Err(Failure(format!("{} is for {one}, and {} is for {other}", args.old, args.new)));
    }
    let changes = folded(changes(&old, &new));
    let mut report = Report::new(format!("Differences between {} and {}", args.old, args.new));
    let remarks: Vec<_> = [&old, &new].into_iter().filter_map(Text::remark).collect();
    if !remarks.is_empty() {
        report.section(Section::new("Parts of configurations").findings(remarks));
    }
    let (expected, telling): (Vec<_>, Vec<_>) =
        changes.into_iter().partition(|(change, _)| args.nodes && why(old.dialect, change).is_some());
    let title = if args.nodes { "Suspicious: nodes of a pair should agree here" } else { "Semantic differences" };
    report.section(Section::new(title).table(table(&telling, |_| None)));
    report
        .section(Section::new("Expected between two nodes").table(table(&expected, |change| why(old.dialect, change))));
    if args.text {
        report.section(Section::new("Lines").verbatim(hunks(&old, &new)));
    }
    let count = |wanted: fn(&Change) -> bool| telling.iter().filter(|(change, _)| wanted(change)).count();
    let added = count(|change| change.old.is_none());
    let removed = count(|change| change.new.is_none());
    let changed = telling.len() - added - removed;
    let text = match (telling.len(), args.nodes) {
        (0, false) => "No semantic difference".to_owned(),
        (0, true) => format!("Nothing suspicious; {} expected differences", expected.len()),
        (_, false) => format!("{added} added, {removed} removed, {changed} changed"),
        (_, true) => format!("{added} added, {removed} removed, {changed} changed, {} expected", expected.len()),
    };
    report.conclude(!telling.is_empty(), text);
    Ok(report)
}

/// What holds in the server or location that begins at `place`: name, value and where it is given.
pub fn effective(text: &Text, place: &str) -> Vec<(String, String, String)> {
    fn find<'a>(things: &'a [model::Thing], place: &str) -> Option<&'a model::Thing> {
        let here = |thing: &&model::Thing| thing.place == place && thing.kind != "listener";
        things.iter().find(here).or_else(|| things.iter().find_map(|thing| find(&thing.inside, place)))
    }
    let things = nginx::things(text);
    let found = find(&things, place).map(|thing| &thing.settings);
    let settings = found.into_iter().flatten();
    settings.map(|(name, value)| (name.clone(), value.shown.clone(), value.place.clone())).collect()
}

/// What the block that begins at `place` gives by itself.
pub fn given(text: &Text, place: &str) -> Vec<(String, String, String)> {
    let settings = nginx::given_at(text, place).settings.into_iter();
    settings.map(|(name, value)| (name, value.shown, value.place)).collect()
}

fn changes(old: &Text, new: &Text) -> Vec<Change> {
    let (registry, _) = old.registry();
    let things = |text: &Text| match text.dialect {
        Dialect::Keepalived => keepalived::things(text),
        Dialect::Nginx | Dialect::Emqx => nginx::things(text),
    };
    let mut out = Vec::new();
    let defaults = |kind: &str, name: &str| match old.dialect {
        Dialect::Keepalived => crate::keepalived::view::implied(&registry, kind, name),
        Dialect::Nginx | Dialect::Emqx => default(&registry, name),
    };
    compare(&things(old), &things(new), &[], &defaults, &mut out);
    out
}

/// What a setting is where it is not given.
fn default(registry: &Registry, name: &str) -> Option<String> {
    registry.named(name.as_bytes()).find_map(|row| row.default).map(|text| nginx::normal(name, text))
}

/// One entry for a setting that changed at one place and holds in many.
fn folded(changes: Vec<Change>) -> Vec<(Change, Vec<String>)> {
    let mut order = Vec::new();
    let mut by: BTreeMap<Change, Vec<String>> = BTreeMap::new();
    for change in changes {
        let place = change.path.join(", ");
        let key = Change { path: Vec::new(), ..change.clone() };
        // A whole thing is told by itself.
        let key = if change.setting.is_empty() { change } else { key };
        if !by.contains_key(&key) {
            order.push(key.clone());
        }
        by.entry(key).or_default().push(place);
    }
    order
        .into_iter()
        .map(|key| by.remove(&key).map(|places| (key.clone(), places)).unwrap_or((key, Vec::new())))
        .collect()
}

fn why(dialect: Dialect, change: &Change) -> Option<&'static str> {
    if dialect != Dialect::Keepalived || change.setting.is_empty() {
        return None;
    }
    if let (Some((old, _)), Some((new, _))) = (&change.old, &change.new)
        && keepalived::without_interfaces(old) == keepalived::without_interfaces(new)
        && old != secret::HIDDEN
    {
        return Some("interfaces may be called otherwise");
    }
    keepalived::expected(&change.setting)
}

fn table(changes: &[(Change, Vec<String>)], why: impl Fn(&Change) -> Option<&'static str>) -> Table {
    let explained = changes.iter().any(|(change, _)| why(change).is_some());
    let mut table = Table::new(&["change", "setting", "in", "old", "new", "old place", "new place"]);
    if explained {
        table.columns.push("why".to_owned());
    }
    for (change, places) in changes {
        let kind = match (&change.old, &change.new) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        let within = match places.as_slice() {
            [] | [_] => places.concat(),
            [first, rest @ ..] => format!("{first} and {} more", rest.len()),
        };
        let part = |side: &Option<(String, String)>| side.clone().unwrap_or_default();
        let ((old, old_place), (new, new_place)) = (part(&change.old), part(&change.new));
        let why = why(change).unwrap_or_default().to_owned();
        table.row([kind.to_owned(), change.setting.clone(), within, old, new, old_place, new_place, why]);
    }
    table
}

/// The lines that differ, file by file in the order they are read, without secrets.
fn hunks(old: &Text, new: &Text) -> String {
    let mut seen = Vec::new();
    let mut lines = |text: &Text| -> String {
        let all = text.sources.iter().map(|source| String::from_utf8_lossy(&source.text).into_owned());
        let all: Vec<String> = all.collect();
        all.iter().flat_map(|text| text.lines()).map(|line| format!("{}\n", secret::line(line, &mut seen))).collect()
    };
    let (before, after) = (lines(old), lines(new));
    TextDiff::from_lines(&before, &after).unified_diff().context_radius(2).header(&old.name, &new.name).to_string()
}
