//! What a reload with a file would change: block by block, and what becomes of each virtual router.

use super::Failure;
use crate::conf::expand::Input;
use crate::conf::source::Memory;
use crate::conf::tree::{Block, Statement};
use crate::keepalived::cli::{environment, files, look, several};
use crate::keepalived::plan::{Change, plan};
use crate::keepalived::read::{Gravity, Reading, read};
use crate::keepalived::secret::Key;
use crate::keepalived::secret::covered;
use crate::keepalived::slot::Machine;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// What a reload would change.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// Why the file cannot be run: the reload would change nothing.
    pub refused: Vec<String>,
    /// The changes.
    pub changes: Vec<Item>,
}

/// One block that changes.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// The block, by its first line; nothing for what is outside all blocks.
    pub block: String,
    /// added, removed or changed.
    pub change: &'static str,
    /// What becomes of the virtual router.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<String>,
    /// Lines that go, with `- ` before them, and lines that come, with `+ `.
    pub lines: Vec<String>,
}

impl fmt::Display for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.refused.is_empty() {
            writeln!(f, "A reload would be refused, and nothing would change:")?;
            return self.refused.iter().try_for_each(|line| writeln!(f, "  {line}"));
        }
        if self.changes.is_empty() {
            return writeln!(f, "A reload would change nothing.");
        }
        for item in &self.changes {
            let block = if item.block.is_empty() { "outside all blocks" } else { &item.block };
            writeln!(f, "{block}: {}", item.change)?;
            item.effects.iter().try_for_each(|effect| writeln!(f, "  {effect}"))?;
            item.lines.iter().try_for_each(|line| writeln!(f, "    {line}"))?;
        }
        Ok(())
    }
}

/// Compares the text that is in use with the file `given`.
///
/// # Errors
/// The file cannot be read.
pub fn preview(running: &str, given: &str, id: Option<String>) -> Result<Preview, Failure> {
    let environment = environment(id);
    let inputs: Vec<Input> = files(given).map_err(Failure::File)?;
    let unreadable = |error: std::io::Error| {
        let reason = crate::conf::diagnostic::reason(&error);
        Failure::File(format!("Unable to read configuration file {given} - {reason}"))
    };
    let warning = several(given, &inputs);
    let after = look(&inputs, &environment).map_err(unreadable)?;
    let refused = after.complaints.iter().filter(|complaint| complaint.gravity >= Gravity::Fatal);
    let refused: Vec<String> =
        refused.map(|complaint| complaint.text.clone()).chain(after.unserved.iter().cloned()).collect();
    if !refused.is_empty() {
        return Ok(Preview { refused: warning.into_iter().chain(refused).collect(), changes: Vec::new() });
    }
    let machine = Machine { has_interface: &|_| true, has_user: &|_, _| true, read_secret: &|_| None };
    let before = read(&Memory::of("running", running), "running", &environment, &machine).map_err(unreadable)?;
    // Both as the daemon shows its own: with digests in the place of passwords.
    let key = Key::of(running).ok_or_else(|| Failure::Answer("the configuration has no key".to_owned()))?;
    let given = Memory::of("given", &key.masked(&after.text));
    let after = read(&given, "given", &environment, &machine).map_err(unreadable)?;
    Ok(Preview { refused, changes: compare(&before, &after) })
}

/// The block of virtual routers.
const INSTANCE: &str = "vrrp_instance";

fn compare(before: &Reading, after: &Reading) -> Vec<Item> {
    let (mut old, mut new) = (blocks(&before.tree), blocks(&after.tree));
    let mut items = Vec::new();
    let name = |reading: &Reading, at: usize| {
        reading.site.instances.get(at).map(|one| format!("{INSTANCE} {}", one.name)).unwrap_or_default()
    };
    for change in plan(&before.site, &after.site) {
        let (block, change, effects, old_lines, new_lines) = match change {
            Change::Remove { old: at } => {
                let block = name(before, at);
                let lines = old.remove(&block).unwrap_or_default();
                (
                    block,
                    "removed",
                    vec!["gives up with an advert of priority 0 if it is master".to_owned()],
                    lines,
                    Vec::new(),
                )
            }
            Change::Add { new: at } => {
                let block = name(after, at);
                let lines = new.remove(&block).unwrap_or_default();
                (block, "added", vec!["starts, as a backup unless it owns its addresses".to_owned()], Vec::new(), lines)
            }
            Change::Keep { old: from, new: to, gone, more } => {
                let (was, block) = (name(before, from), name(after, to));
                let mut effects = vec!["keeps its state".to_owned()];
                if was != block {
                    effects.push(format!("was {was}"));
                }
                effects.extend(gone.iter().map(|one| format!("address {}/{} goes", one.ip, one.prefix)));
                if more {
                    effects.push("new addresses come, and are announced".to_owned());
                }
                let (old_lines, new_lines) = (old.remove(&was), new.remove(&block));
                (block, "changed", effects, old_lines.unwrap_or_default(), new_lines.unwrap_or_default())
            }
        };
        let lines = difference(&old_lines, &new_lines);
        if change != "changed" || effects.len() > 1 || !lines.is_empty() {
            items.push(Item { block, change, effects, lines });
        }
    }
    let mut names: Vec<String> = old.keys().chain(new.keys()).cloned().collect();
    names.sort();
    names.dedup();
    for block in names {
        let (was, is) = (old.remove(&block), new.remove(&block));
        let change = match (&was, &is) {
            (Some(_), None) => "removed",
            (None, _) => "added",
            (Some(_), Some(_)) => "changed",
        };
        let lines = difference(&was.unwrap_or_default(), &is.unwrap_or_default());
        if change != "changed" || !lines.is_empty() {
            items.push(Item { block, change, effects: Vec::new(), lines });
        }
    }
    items
}

/// Lines that only one of the two has; where both have the same in another order, all of them.
fn difference(old: &[String], new: &[String]) -> Vec<String> {
    let mut counts: BTreeMap<&String, i64> = BTreeMap::new();
    old.iter().for_each(|line| *counts.entry(line).or_default() -= 1);
    new.iter().for_each(|line| *counts.entry(line).or_default() += 1);
    let reordered = old != new && counts.values().all(|count| *count == 0);
    let mut only = |line: &String, sign: i64| {
        let Some(count) = counts.get_mut(line).filter(|count| count.signum() == sign) else { return reordered };
        *count -= sign;
        true
    };
    let mut all: Vec<String> =
        old.iter().filter(|line| only(line, -1)).map(|line| format!("- {}", covered(line))).collect();
    all.extend(new.iter().filter(|line| only(line, 1)).map(|line| format!("+ {}", covered(line))));
    all
}

/// Each block of a file and the lines inside it, by its first line; what is outside all blocks has an empty one.
fn blocks(tree: &Block) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for statement in tree.statements() {
        match &statement.block {
            Some(block) => lines(block, "", all.entry(line(statement)).or_default()),
            None => all.entry(String::new()).or_default().push(line(statement)),
        }
    }
    all
}

fn lines(block: &Block, indent: &str, out: &mut Vec<String>) {
    for statement in block.statements() {
        out.push(format!("{indent}{}", line(statement)));
        if let Some(inner) = &statement.block {
            lines(inner, &format!("{indent}{} > ", statement.name()), out);
        }
    }
}

/// A statement as a line.
fn line(statement: &Statement) -> String {
    let words: Vec<String> = statement.words.iter().map(|word| word.text().into_owned()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::expand::Environment;

    fn reading(text: &str) -> Reading {
        let machine = Machine { has_interface: &|_| true, has_user: &|_, _| true, read_secret: &|_| None };
        read(&Memory::of("k", text), "k", &Environment::default(), &machine).unwrap()
    }

    fn instance(name: &str, vrid: u8, more: &str) -> String {
        format!(
            "vrrp_instance {name} {{\n interface e\n virtual_router_id {vrid}\n{more}\n virtual_ipaddress {{\n 10.0.0.{vrid}\n }}\n}}\n"
        )
    }

    #[test]
    fn what_changes_is_told_block_by_block() {
        let before =
            format!("global_defs {{\n router_id a\n}}\n{}{}", instance("A", 1, " priority 100"), instance("B", 2, ""));
        let after =
            format!("global_defs {{\n router_id b\n}}\n{}{}", instance("A", 1, " priority 120"), instance("C", 3, ""));
        let shown = Preview { refused: Vec::new(), changes: compare(&reading(&before), &reading(&after)) }.to_string();
        let expected = "vrrp_instance B: removed\n  gives up with an advert of priority 0 if it is master\n    - interface e\n    \
                        - virtual_router_id 2\n    - virtual_ipaddress\n    - virtual_ipaddress > 10.0.0.2\n\
                        vrrp_instance A: changed\n  keeps its state\n    - priority 100\n    + priority 120\n\
                        vrrp_instance C: added\n  starts, as a backup unless it owns its addresses\n    + interface e\n    \
                        + virtual_router_id 3\n    + virtual_ipaddress\n    + virtual_ipaddress > 10.0.0.3\n\
                        global_defs: changed\n    - router_id a\n    + router_id b\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_stays_the_same_is_not_told_and_an_order_is() {
        let text = instance("A", 1, "");
        assert_eq!(compare(&reading(&text), &reading(&text)), []);
        let lines = |all: [&str; 2]| all.map(str::to_owned);
        assert_eq!(difference(&lines(["a", "b"]), &lines(["b", "a"])), ["- a", "- b", "+ b", "+ a"]);
        assert_eq!(difference(&lines(["a", "a"]), &lines(["a", "b"])), ["- a", "+ b"]);
    }

    #[test]
    fn a_password_is_not_shown_and_its_change_is() {
        let with = |password: &str| {
            instance("A", 1, &format!(" authentication {{\n auth_type PASS\n auth_pass {password}\n }}"))
        };
        let items = compare(&reading(&with("one")), &reading(&with("two")));
        let lines = items.iter().flat_map(|item| &item.lines).collect::<Vec<_>>();
        assert!(lines.len() == 2 && lines.iter().all(|line| line.contains("auth_pass ********")), "{lines:?}");
        assert!(lines.iter().all(|line| !line.contains("one") && !line.contains("two")), "{lines:?}");
    }
}
