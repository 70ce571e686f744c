//! What leaving out a row that is not served changes, judged in the file that has it.
//!
//! The walk notes every occurrence of such a row. When the file is read and merged, [`judge`] follows each occurrence
//! through the levels that receive its value, down to those that give the row anew. An occurrence has an effect if its
//! value asks for something that is not done anyway, and one of these levels has what the row works on.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::contexts::Contexts;
use super::diagnostic::Diagnostic;
use super::directive::Directive;
use super::level::{Level, Levels};
use super::registry::Registry;
use super::setting::Occurrence;

pub use super::omission::{Need, Omission};

/// What leaving out an occurrence comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A start is refused; with `--allow-unserved`, what else happens.
    Refused(Option<&'static str>),
    /// Nothing: why.
    Nothing(String),
}

/// An occurrence of a row, or of part of one, that is not served.
#[derive(Clone, Debug)]
pub struct Unserved {
    /// The quoted name, or which part of it.
    pub what: String,
    /// The complaint, with its place.
    pub complaint: Diagnostic,
    /// What leaving it out comes to.
    pub effect: Effect,
}

impl Unserved {
    /// Something found while compiling that refuses a start.
    pub fn refused(what: String, complaint: Diagnostic) -> Self {
        Self { what, complaint, effect: Effect::Refused(None) }
    }

    /// Whether a start is refused because of it.
    pub const fn refuses(&self) -> bool {
        matches!(self.effect, Effect::Refused(_))
    }
}

impl Occurrence {
    /// Whether its value asks for what is done without it.
    fn is_neutral(&self) -> bool {
        if self.part {
            return false;
        }
        let text = self.words.iter().map(|word| &*word.bytes).collect::<Vec<_>>().join(&b' ');
        let mut known = self.row.default.into_iter().chain(self.row.neutral.iter().copied());
        known.any(|known| known.as_bytes().eq_ignore_ascii_case(&text))
    }

    /// Whether the blocks inside receive its value.
    const fn is_inherited(&self) -> bool {
        !self.part && !matches!(self.omission, Omission::ClosesHere(_))
    }

    const fn closes(&self) -> bool {
        matches!(self.omission, Omission::Closes(_) | Omission::ClosesHere(_))
    }
}

/// The rows given in a file, and where levels only pass settings on.
struct Judge<'a> {
    registry: &'a Registry,
    occurrences: &'a [Occurrence],
    neutral: Vec<bool>,
    groups: Contexts,
    effective: Vec<bool>,
    /// Whether each level answers nobody, in the order levels begin.
    closed: Vec<bool>,
}

/// Judges every occurrence, and closes the levels that must not answer without what is left out.
pub fn judge(root: &mut Level, registry: &Registry, occurrences: Vec<Occurrence>, groups: Contexts) -> Vec<Unserved> {
    if occurrences.is_empty() {
        return Vec::new();
    }
    let neutral: Vec<bool> = occurrences.iter().map(Occurrence::is_neutral).collect();
    let effective = occurrences.iter().map(|one| one.part).collect();
    let mut judge = Judge { registry, occurrences: &occurrences, neutral, groups, effective, closed: Vec::new() };
    judge.level(&Levels::of(root), &[]);
    let Judge { neutral, effective, closed, .. } = judge;
    close(root, &mut closed.into_iter());
    let judged = occurrences.into_iter().zip(neutral).zip(effective);
    judged.map(|((one, neutral), effective)| conclude(one, neutral, effective)).collect()
}

/// Takes over which levels are closed, in the order of the judgement.
fn close(level: &mut Level, closed: &mut impl Iterator<Item = bool>) {
    level.closed = closed.next().unwrap_or_default();
    for child in &mut level.children {
        close(child, closed);
    }
}

fn conclude(one: Occurrence, neutral: bool, effective: bool) -> Unserved {
    let effect = match one.omission {
        _ if neutral => Effect::Nothing("it asks for what is done without it".to_owned()),
        Omission::Tunes(why) => Effect::Nothing(why.to_owned()),
        _ if !effective => Effect::Nothing(lacks(one.row)),
        Omission::Changes => Effect::Refused(None),
        Omission::Closes(instead) | Omission::ClosesHere(instead) | Omission::Withholds(instead) => {
            Effect::Refused(Some(instead))
        }
    };
    Unserved { what: one.what, complaint: one.complaint, effect }
}

/// Why a row has no effect in this file.
fn lacks(row: &Directive) -> String {
    match row.need {
        Need::Nothing => "every block gives it anew".to_owned(),
        Need::Where(_, why) | Need::AnyOf(_, why) => why.to_owned(),
        Need::Rows(names) => {
            let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
            format!("nothing has {} where it holds", names.join(" or "))
        }
    }
}

impl Judge<'_> {
    fn level(&mut self, levels: &Levels<'_>, inherited: &[usize]) {
        let own = &levels.level.unserved;
        let anew = |id: &&usize| {
            let name = self.occurrences.get(**id).map(|one| one.row.name);
            !own.iter().any(|own| self.occurrences.get(*own).is_some_and(|one| !one.part && Some(one.row.name) == name))
        };
        let mut active: Vec<usize> = inherited.iter().filter(anew).copied().collect();
        active.extend(own.iter().copied());
        let acting: Vec<usize> = active.iter().copied().filter(|id| self.acts(*id, &active, levels)).collect();
        for id in &acting {
            if let Some(effective) = self.effective.get_mut(*id) {
                *effective = true;
            }
        }
        let closes = |id: &usize| self.occurrences.get(*id).is_some_and(Occurrence::closes);
        self.closed.push(acting.iter().any(closes));
        active.retain(|id| self.occurrences.get(*id).is_some_and(Occurrence::is_inherited));
        for child in &levels.level.children {
            self.level(&levels.inside(child), &active);
        }
    }

    /// Whether an occurrence does something at a level it reaches.
    fn acts(&self, id: usize, active: &[usize], levels: &Levels<'_>) -> bool {
        let is_neutral = |id: usize| self.neutral.get(id) != Some(&false);
        let Some(one) = self.occurrences.get(id).filter(|_| !is_neutral(id)) else { return false };
        let further = one.row.contexts.0 & !self.groups.0 != 0;
        if !one.part && further && self.groups.meets(levels.level.context) {
            return false;
        }
        let named = |names: &[&str], id: usize| {
            self.occurrences.get(id).is_some_and(|one| names.contains(&one.row.name)) && !is_neutral(id)
        };
        match one.row.need {
            _ if one.part => true,
            Need::Where(is_there, _) => is_there(levels),
            Need::Rows(names) | Need::AnyOf(names, _) => active.iter().any(|other| named(names, *other)),
            Need::Nothing => {
                let scope = self.registry.scopes().of(one.row.set.target());
                let contexts = scope.map_or(one.row.contexts, |scope| scope.contexts.or(one.row.contexts));
                contexts.meets(levels.level.context)
            }
        }
    }
}

/// The last line of a start that is refused, of a test that fails for the same reason, and of a survey.
pub fn refusal(count: usize, kind: &str) -> String {
    let (plural, verb, whom) = if count == 1 { ("", "is", "it") } else { ("s", "are", "them") };
    format!("will not start: {count} {kind}{plural} {verb} not served; --allow-unserved leaves {whom} out")
}
