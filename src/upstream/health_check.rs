//! What `health_check` of http and of stream have in common: the words of every check, and the block they name.

use super::health::Check;
use crate::check::health::Rule;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::Word;
use crate::conf::value;
use std::sync::Arc;
use std::time::Duration;

/// A `health_check` as written: what does not depend on what is asked.
pub struct Settings {
    interval: Duration,
    jitter: Duration,
    rule: Rule,
    port: Option<u16>,
    /// The name of a `match` block.
    pub matching: Option<Word>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            jitter: Duration::ZERO,
            rule: Rule { fails: 1, passes: 1, mandatory: false, persistent: false, down: false },
            port: None,
            matching: None,
        }
    }
}

/// The error of a word that is no parameter, or has no good value.
pub fn invalid(word: &Word) -> Diagnostic {
    Diagnostic::emerg(format!("invalid parameter \"{}\"", word.text())).point(word.span)
}

impl Settings {
    /// Reads a word; nothing for one that is none of these, or has no good value.
    pub fn read(&mut self, word: &Word) -> Option<()> {
        let time = |value: &[u8]| value::time(value, false);
        let count = |value: &[u8]| u32::try_from(value::number(value)?).ok().filter(|count| *count > 0);
        if let Some(value) = word.after("interval=") {
            self.interval = time(value).filter(|time| !time.is_zero())?;
        } else if let Some(value) = word.after("jitter=") {
            self.jitter = time(value)?;
        } else if let Some(value) = word.after("fails=") {
            self.rule.fails = count(value)?;
        } else if let Some(value) = word.after("passes=") {
            self.rule.passes = count(value)?;
        } else if word.is("mandatory") {
            self.rule.mandatory = true;
        } else if word.is("persistent") {
            self.rule.persistent = true;
        } else if let Some(value) = word.after("match=") {
            let value = Some(value).filter(|name| !name.is_empty())?;
            self.matching = Some(Word { bytes: value.into(), ..word.clone() });
        } else {
            let port = value::number(word.after("port=")?)?;
            self.port = Some(u16::try_from(port).ok().filter(|port| *port > 0)?);
        }
        Some(())
    }

    /// Checks the words against each other.
    ///
    /// # Errors
    /// `persistent` without `mandatory`.
    pub fn complete(&self) -> Result<(), Diagnostic> {
        match self.rule.persistent && !self.rule.mandatory {
            true => Err(Diagnostic::emerg("\"persistent\" requires \"mandatory\"")),
            false => Ok(()),
        }
    }

    /// The check; `question` tells what is asked, without the block and the port.
    pub fn check(&self, question: &str) -> Arc<Check> {
        let name = self.matching.as_ref().map(Word::text).unwrap_or_default();
        let key = format!("{question} {name} {}", self.port.unwrap_or_default());
        let Self { rule, interval, jitter, port, .. } = *self;
        Arc::new(Check { key, rule, interval, jitter, port })
    }
}

/// The `match` blocks of a configuration, in their order.
pub struct Matches<T>(Vec<(Word, T)>);

impl<T> Default for Matches<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Matches<T> {
    /// Whether `name` is free.
    ///
    /// # Errors
    /// A block of that name, with its place.
    pub fn declare(&self, name: &Word) -> Result<(), Diagnostic> {
        let Some((first, _)) = self.0.iter().find(|(known, _)| known.bytes == name.bytes) else { return Ok(()) };
        let text = format!("duplicate match \"{}\"", name.text());
        Err(Diagnostic::emerg(text).point(name.span).earlier(Some(first.span)))
    }

    /// Adds a block.
    pub fn add(&mut self, name: &Word, block: T) {
        self.0.push((name.clone(), block));
    }
}

/// The block called `name`, of those that a configuration has.
///
/// # Errors
/// There is none.
pub fn find<'a, T>(all: Option<&'a Matches<T>>, name: &Word) -> Result<&'a T, Diagnostic> {
    let all = all.map(|all| all.0.as_slice()).unwrap_or_default();
    let found = all.iter().find(|(known, _)| known.bytes == name.bytes).map(|(_, block)| block);
    found.ok_or_else(|| {
        let text = name.text();
        let names: Vec<_> = all.iter().map(|(known, _)| known.text().into_owned()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Diagnostic::emerg(format!("unknown match \"{text}\"")).at(name.span).among("match blocks", &text, &names)
    })
}

/// The error of a group without `zone`.
pub fn without_zone(group: &str) -> Diagnostic {
    Diagnostic::emerg(format!("health checks require upstream \"{group}\" to be in shared memory"))
}
