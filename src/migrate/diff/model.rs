//! A configuration as named things with settings, and what differs between two of them; moved is not changed.

use super::order;
use std::collections::{BTreeMap, BTreeSet};

/// A thing with a name: a server, a location, a virtual router.
#[derive(Debug, Default)]
pub struct Thing {
    /// What it is, in the operator's word.
    pub kind: &'static str,
    /// How a reader knows it.
    pub name: String,
    /// What it is recognised by; two things that share one may be the same.
    pub ids: BTreeSet<String>,
    /// `file:line`.
    pub place: String,
    /// What is set, by name.
    pub settings: BTreeMap<String, Value>,
    /// The directives whose settings come from around it: compared, but no part of what it is.
    pub inherited: BTreeSet<String>,
    /// What is inside it.
    pub inside: Vec<Self>,
}

/// A setting's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// What a reader may see.
    pub shown: String,
    /// What is compared.
    pub meaning: Meaning,
    /// `file:line`.
    pub place: String,
}

/// What a value comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Equal texts mean the same.
    Text(String),
    /// The order of what both sides have; what only one has is told elsewhere.
    Order(Vec<String>),
    /// The same of regular expressions, of which some exclude each other.
    Expressions(Vec<String>),
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The setting, or nothing when it is the whole thing.
    pub setting: String,
    /// Before: what is shown and where; nothing when it was not there.
    pub old: Option<(String, String)>,
    /// After.
    pub new: Option<(String, String)>,
    /// The names of the enclosing things, outermost first, and the thing itself.
    pub path: Vec<String>,
}

/// A default where a setting is not given, by the kind of thing and the setting's name.
pub type Defaults<'a> = &'a dyn Fn(&str, &str) -> Option<String>;

/// What differs between two lists of things.
pub fn compare(old: &[Thing], new: &[Thing], path: &[String], defaults: Defaults<'_>, out: &mut Vec<Change>) {
    let mut taken = BTreeSet::new();
    let mut pairs = Vec::new();
    for after in new {
        let overlap = |before: &Thing| before.ids.intersection(&after.ids).count();
        let best = old
            .iter()
            .enumerate()
            .filter(|(index, before)| before.kind == after.kind && !taken.contains(index) && overlap(before) > 0)
            .max_by_key(|(index, before)| (overlap(before), std::cmp::Reverse(*index)));
        if let Some((index, _)) = best {
            taken.insert(index);
        }
        pairs.push((best.map(|(_, before)| before), after));
    }
    for (_, before) in old.iter().enumerate().filter(|(index, _)| !taken.contains(index)) {
        out.push(whole(path, before, |place| (Some(place), None)));
    }
    for (before, after) in pairs {
        match before {
            None => out.push(whole(path, after, |place| (None, Some(place)))),
            Some(before) => {
                let inner = joined(path, after);
                settings(before, after, &inner, defaults, out);
                compare(&before.inside, &after.inside, &inner, defaults, out);
            }
        }
    }
}

/// A place in words, and the value there.
type Side = Option<(String, String)>;

fn whole(path: &[String], thing: &Thing, side: impl Fn((String, String)) -> (Side, Side)) -> Change {
    let own = |name: &str| !thing.inherited.contains(name.split(' ').next().unwrap_or_default());
    let told = thing.settings.iter().filter(|(name, value)| own(name) && matches!(value.meaning, Meaning::Text(_)));
    let shown: Vec<String> =
        told.map(|(name, value)| format!("{name} {}", value.shown).trim_end().to_owned()).collect();
    let (old, new) = side((shown.join("; "), thing.place.clone()));
    Change { setting: String::new(), old, new, path: joined(path, thing) }
}

fn joined(path: &[String], thing: &Thing) -> Vec<String> {
    let name = format!("{} {}", thing.kind, thing.name);
    path.iter().cloned().chain([name.trim_end().to_owned()]).collect()
}

fn settings(old: &Thing, new: &Thing, path: &[String], defaults: Defaults<'_>, out: &mut Vec<Change>) {
    let names: BTreeSet<&String> = old.settings.keys().chain(new.settings.keys()).collect();
    for name in names {
        let (before, after) = (old.settings.get(name), new.settings.get(name));
        if same(before, after, defaults(new.kind, name)) {
            continue;
        }
        let side = |value: Option<&Value>, other: &Thing| {
            value.map(|value| {
                (value.shown.clone(), if value.place.is_empty() { other.place.clone() } else { value.place.clone() })
            })
        };
        out.push(Change { setting: name.clone(), old: side(before, old), new: side(after, new), path: path.to_vec() });
    }
}

fn same(old: Option<&Value>, new: Option<&Value>, default: Option<String>) -> bool {
    match (old.map(|value| &value.meaning), new.map(|value| &value.meaning)) {
        (Some(Meaning::Order(old)), Some(Meaning::Order(new))) => {
            let common = |one: &[String], other: &[String]| -> Vec<String> {
                one.iter().filter(|item| other.contains(item)).cloned().collect()
            };
            common(old, new) == common(new, old)
        }
        (Some(Meaning::Expressions(old)), Some(Meaning::Expressions(new))) => !order::differs(old, new),
        (Some(Meaning::Order(_) | Meaning::Expressions(_)), None)
        | (None, Some(Meaning::Order(_) | Meaning::Expressions(_))) => true,
        (Some(Meaning::Text(text)), None) | (None, Some(Meaning::Text(text))) => Some(text) == default.as_ref(),
        (old, new) => old == new,
    }
}

impl Thing {
    /// A thing recognised by its name.
    pub fn new(kind: &'static str, name: impl Into<String>, place: impl Into<String>) -> Self {
        let name = name.into();
        Self { kind, ids: [name.clone()].into(), name, place: place.into(), ..Self::default() }
    }

    /// Gives a setting; a later one of the same name replaces it.
    pub fn set(&mut self, name: impl Into<String>, value: Value) {
        self.settings.insert(name.into(), value);
    }
}

impl Value {
    /// A value that means its text.
    pub fn text(text: impl Into<String>, place: impl Into<String>) -> Self {
        let text = text.into();
        Self { shown: text.clone(), meaning: Meaning::Text(text), place: place.into() }
    }

    /// The order of regular expressions.
    pub fn expressions(items: Vec<String>) -> Self {
        Self { meaning: Meaning::Expressions(items.clone()), ..Self::order(items) }
    }

    /// The order of things.
    pub fn order(items: Vec<String>) -> Self {
        Self { shown: items.join(", "), meaning: Meaning::Order(items), place: String::new() }
    }
}
