//! The argument shapes keepalived's keywords have, with keepalived's complaints. A later value replaces an earlier one.

use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::directive::Set;
use crate::conf::tree::{Statement, Word};
use crate::conf::value;
use crate::conf::walk::Setting;
use std::any::{Any, TypeId};
use std::ops::RangeInclusive;
use std::time::Duration;

/// A whole number in a range.
pub struct Whole<C>(pub fn(&mut C) -> &mut Option<i64>, pub RangeInclusive<i64>);
/// Seconds with up to six places, in a range of microseconds.
pub struct Seconds<C>(pub fn(&mut C) -> &mut Option<Duration>, pub RangeInclusive<u64>);
/// `true`, `on`, `yes`, `false`, `off`, `no`; the bare keyword means `on`.
pub struct Switch<C>(pub fn(&mut C) -> &mut Option<bool>);
/// A bare keyword that means this.
pub struct Present<C>(pub fn(&mut C) -> &mut Option<bool>, pub bool);
/// One word.
pub struct Name<C>(pub fn(&mut C) -> &mut Option<String>);
/// A command, and the user and group it runs as.
pub struct Run<C>(pub fn(&mut C) -> &mut Option<Command>);
/// A keyword that has nothing to say here.
pub struct Nothing;

/// A second of microseconds.
pub const SECOND: u64 = 1_000_000;

/// A command as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// User and group, if given.
    pub user: Option<(String, Option<String>)>,
}

/// A complaint after which reading goes on.
pub fn complain(message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(Severity::Error, message)
}

/// The text of the first argument.
pub fn first(statement: &Statement) -> String {
    statement.arguments().first().map(|word| word.text().into_owned()).unwrap_or_default()
}

/// A whole number, or what keepalived says of it.
///
/// # Errors
/// It is no number, or outside `range`.
pub fn whole(text: &str, range: &RangeInclusive<i64>) -> Result<i64, Diagnostic> {
    let Ok(number) = text.parse::<i64>() else { return Err(complain(format!("invalid number '{text}'"))) };
    if range.contains(&number) {
        return Ok(number);
    }
    Err(complain(format!("number '{text}' outside range [{}, {}]", range.start(), range.end())))
}

/// Seconds, or what keepalived says of them.
///
/// # Errors
/// They are no number, or outside `range` (in microseconds).
pub fn seconds(text: &str, range: &RangeInclusive<u64>) -> Result<Duration, Diagnostic> {
    let Some(micros) = value::fixed_point(text.as_bytes(), 6) else {
        return Err(complain(format!("invalid number '{text}'")));
    };
    if range.contains(&micros) {
        return Ok(Duration::from_micros(micros));
    }
    let decimal = |micros: &u64| format!("{}.{:06}", micros / SECOND, micros % SECOND);
    Err(complain(format!("number '{text}' outside range [{}, {}]", decimal(range.start()), decimal(range.end()))))
}

/// A truth value; no word means true.
pub fn truth(word: Option<&Word>) -> Option<bool> {
    match word.map(|word| &*word.bytes) {
        None | Some(b"true" | b"on" | b"yes") => Some(true),
        Some(b"false" | b"off" | b"no") => Some(false),
        Some(_) => None,
    }
}

/// A command keyword's arguments: the command in one word, then user and group.
///
/// # Errors
/// The quotes in the command do not match.
pub fn command(arguments: &[Word]) -> Result<Option<Command>, Diagnostic> {
    let Some(word) = arguments.first() else { return Ok(None) };
    let Some(words) = split(&word.text()) else {
        return Err(complain(format!("Unmatched quote: '{}'", word.text())));
    };
    let text = |at: usize| arguments.get(at).map(|word| word.text().into_owned());
    Ok((!words.is_empty()).then(|| Command { words, user: text(1).map(|user| (user, text(2))) }))
}

/// Splits as a shell would, without being one: quotes and backslashes, nothing else.
pub fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\\', Some('"') | None) => word.get_or_insert_default().push(escaped(chars.next()?)),
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

const fn escaped(c: char) -> char {
    match c {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'v' => '\x0b',
        'e' => '\x1b',
        other => other,
    }
}

/// Implements `Set` for a slot whose closure finds an `Option` to fill.
macro_rules! slot {
    ($slot:ident, |$self:ident, $cx:ident, $statement:ident| $value:expr) => {
        impl<C: 'static> Set for $slot<C> {
            fn target(&self) -> TypeId {
                TypeId::of::<C>()
            }

            fn set(&self, $cx: &mut Setting<'_>, conf: &mut dyn Any, $statement: &Statement) -> Result<(), Diagnostic> {
                let Some(conf) = conf.downcast_mut() else { return Ok(()) };
                let $self = self;
                let value = $value;
                *(self.0)(conf) = Some(value);
                Ok(())
            }
        }
    };
}

slot!(Whole, |this, _cx, statement| whole(&first(statement), &this.1)?);
slot!(Seconds, |this, _cx, statement| seconds(&first(statement), &this.1)?);
slot!(Switch, |_this, cx, statement| match truth(statement.arguments().first()) {
    Some(value) => value,
    None => {
        let name = cx.row.name;
        return Err(complain(format!("Invalid value '{}' for {name} specified", first(statement))));
    }
});
slot!(Present, |this, _cx, _statement| this.1);
slot!(Name, |_this, _cx, statement| first(statement));

impl<C: 'static> Set for Run<C> {
    fn target(&self) -> TypeId {
        TypeId::of::<C>()
    }

    fn set(&self, cx: &mut Setting<'_>, conf: &mut dyn Any, statement: &Statement) -> Result<(), Diagnostic> {
        let Some(conf) = conf.downcast_mut() else { return Ok(()) };
        let slot = (self.0)(conf);
        if slot.is_some() {
            let text = first(statement);
            return Err(complain(format!("{} script already specified - ignoring {text}", cx.row.name)));
        }
        *slot = command(statement.arguments())?;
        Ok(())
    }
}

impl Set for Nothing {
    fn target(&self) -> TypeId {
        TypeId::of::<()>()
    }

    fn set(&self, _: &mut Setting<'_>, _: &mut dyn Any, _: &Statement) -> Result<(), Diagnostic> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_as_a_shell_would_without_being_one() {
        let words = |text: &str| split(text).map(|words| words.join("|"));
        assert_eq!(words("/bin/echo 'a b' \"c\" d").as_deref(), Some("/bin/echo|a b|c|d"));
        assert_eq!(words("/bin/sh -c \"x > y | z\"").as_deref(), Some("/bin/sh|-c|x > y | z"));
        assert_eq!(words("a\\ b '' c").as_deref(), Some("a b||c"));
        assert_eq!(words("a 'b"), None);
    }

    #[test]
    fn numbers_get_keepaliveds_complaints() {
        assert_eq!(whole("300", &(1..=255)).unwrap_err().message, "number '300' outside range [1, 255]");
        assert_eq!(whole("x", &(1..=255)).unwrap_err().message, "invalid number 'x'");
        let range = 0..=1000 * SECOND;
        let message = seconds("2000", &range).unwrap_err().message;
        assert_eq!(message, "number '2000' outside range [0.000000, 1000.000000]");
        assert_eq!(seconds("0.001", &range).unwrap(), Duration::from_millis(1));
    }
}
