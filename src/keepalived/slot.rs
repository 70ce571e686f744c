//! The argument shapes keepalived's keywords have, with keepalived's complaints. A later value replaces an earlier one.

use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::directive::Set;
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::Setting;
use std::any::{Any, TypeId};
use std::ops::RangeInclusive;
use std::time::Duration;

/// A whole number in a range; what follows the complaint about the number itself.
pub struct Signed<C>(pub fn(&mut C) -> &mut Option<i64>, pub RangeInclusive<i64>, pub &'static str);
/// The same for numbers that know no sign.
pub struct Unsigned<C>(pub fn(&mut C) -> &mut Option<i64>, pub RangeInclusive<i64>, pub &'static str);
/// A number without sign of which 0 is taken for 1: up to which, what follows a complaint, what is said of 0.
pub struct Positive<C>(pub fn(&mut C) -> &mut Option<i64>, pub i64, pub &'static str, pub &'static str);
/// Seconds with up to six places, in a range of microseconds; what follows a complaint.
pub struct Seconds<C>(pub fn(&mut C) -> &mut Option<Duration>, pub RangeInclusive<u64>, pub &'static str);
/// `true`, `on`, `yes`, `false`, `off`, `no`; the bare keyword means `on`; the complaint about anything else.
pub struct Switch<C>(pub fn(&mut C) -> &mut Option<bool>, pub &'static str);
/// A keyword whose number is judged and makes no difference here.
pub struct Judged(pub Kind, pub RangeInclusive<i64>, pub &'static str, pub &'static str);
/// A switch that is judged and makes no difference here.
pub struct JudgedSwitch(pub &'static str);
/// One word; the complaint when there is none.
pub struct Text<C>(pub fn(&mut C) -> &mut Option<String>, pub &'static str);
/// A keyword that needs a word, whatever it is; the complaint when there is none.
pub struct Needed(pub &'static str);
/// A bare keyword that means this.
pub struct Present<C>(pub fn(&mut C) -> &mut Option<bool>, pub bool);
/// A command, and the user and group it runs as; the complaint about a second one.
pub struct Run<C>(pub fn(&mut C) -> &mut Option<Command>, pub &'static str);
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

/// What a configuration is held against besides its own words.
pub struct Machine<'a> {
    /// Whether there is an interface of this name.
    pub has_interface: &'a dyn Fn(&str) -> bool,
    /// Whether there is a user of this name, and a group of that.
    pub has_user: &'a dyn Fn(&str, Option<&str>) -> bool,
}

/// A complaint after which reading goes on.
pub fn complain(message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(Severity::Error, message)
}

/// A complaint about a block that was read, at its end.
pub fn at_end(statement: &Statement, message: impl Into<String>) -> Diagnostic {
    let complaint = complain(message);
    match statement.block.as_ref().and_then(|block| block.end) {
        Some(end) => complaint.at(end),
        None => complaint,
    }
}

/// The text of the first argument.
pub fn first(statement: &Statement) -> String {
    statement.arguments().first().map(|word| word.text().into_owned()).unwrap_or_default()
}

/// How a keyword's number is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// With a sign.
    Signed,
    /// Without one.
    Unsigned,
}

/// A whole number, or what keepalived says of it; it reads as C does: blanks and a `+` before it, nothing behind it.
///
/// # Errors
/// It is no number, or outside `range`.
pub fn number(kind: Kind, text: &str, range: &RangeInclusive<i64>) -> Result<i64, Diagnostic> {
    let trimmed = text.trim_start_matches(|c: char| c.is_ascii_whitespace());
    if kind == Kind::Unsigned && trimmed.starts_with('-') {
        return Err(complain(format!("negative number '{text}'")));
    }
    let (negative, digits) = match trimmed.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || (digits.is_empty() && !text.is_empty()) {
        return Err(complain(format!("invalid number '{text}'")));
    }
    let size = digits.bytes().fold(0_i64, |sum, digit| sum.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    let value = if negative { -size } else { size };
    let (fits, sort) = match kind {
        Kind::Signed => (i32::try_from(value).is_ok(), "integer"),
        Kind::Unsigned => (u32::try_from(value).is_ok(), "unsigned integer"),
    };
    if !fits {
        return Err(complain(format!("number '{text}' outside {sort} range")));
    }
    if range.contains(&value) {
        return Ok(value);
    }
    Err(complain(format!("number '{text}' outside range [{}, {}]", range.start(), range.end())))
}

/// A number with a sign.
///
/// # Errors
/// It is no number, or outside `range`.
pub fn whole(text: &str, range: &RangeInclusive<i64>) -> Result<i64, Diagnostic> {
    number(Kind::Signed, text, range)
}

/// A number without one.
///
/// # Errors
/// It is no number, or outside `range`.
pub fn count(text: &str, range: &RangeInclusive<i64>) -> Result<i64, Diagnostic> {
    number(Kind::Unsigned, text, range)
}

/// What is wrong with a decimal number.
#[derive(Debug)]
pub struct Wrong {
    /// What keepalived says.
    pub complaint: Diagnostic,
    /// Whether the keyword is ignored, which is said as well.
    pub ignored: bool,
}

/// A decimal number in units of its last place.
///
/// # Errors
/// It is no number, has too many places, or is outside `range`.
pub fn decimal(text: &str, range: &RangeInclusive<u64>, places: u32) -> Result<u64, Wrong> {
    let wrong = |message: String, ignored| Wrong { complaint: complain(message), ignored };
    if text.starts_with('-') {
        return Err(wrong(format!("negative number '{text}'"), true));
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().take_while(u8::is_ascii_digit).count();
    if fraction.len() > places as usize {
        return Err(wrong(format!("number '{text}' has too many decimal places"), false));
    }
    if digits(whole) < whole.len() || digits(fraction) < fraction.len() || text.is_empty() {
        // What was read so far is what the range is held against.
        let read: String = text.chars().filter(|c| *c != '.').take_while(char::is_ascii_digit).collect();
        let ignored = read.parse::<u64>().unwrap_or(0) < *range.start();
        return Err(wrong(format!("invalid number '{text}'"), ignored));
    }
    let scale = 10_u64.saturating_pow(places);
    let value = format!("{whole}{fraction:0<width$}", width = places as usize).parse().unwrap_or(u64::MAX);
    if range.contains(&value) {
        return Ok(value);
    }
    let shown = |units: &u64| format!("{}.{:0width$}", units / scale, units % scale, width = places as usize);
    Err(wrong(format!("number '{text}' outside range [{}, {}]", shown(range.start()), shown(range.end())), true))
}

/// Seconds, or what keepalived says of them, in one complaint.
///
/// # Errors
/// They are no number, or outside `range` (in microseconds).
pub fn seconds(text: &str, range: &RangeInclusive<u64>) -> Result<Duration, Wrong> {
    decimal(text, range, 6).map(Duration::from_micros)
}

/// A complaint with what it is about put in: `{v}` the value, `{k}` the keyword, `{n}` the block's name.
pub fn worded(template: &str, cx: &Setting<'_>, value: &str) -> String {
    let block = || {
        let word = cx.level().and_then(|level| level.words.get(1));
        word.map(|word| word.text().into_owned()).unwrap_or_default()
    };
    let mut text = template.replace("{k}", cx.row.name);
    if text.contains("{n}") {
        text = text.replace("{n}", &block());
    }
    text.replace("{v}", value)
}

/// Reports what is wrong with a number, then says what that means for the keyword.
pub fn also(cx: &mut Setting<'_>, statement: &Statement, complaint: Diagnostic, template: &str) -> Diagnostic {
    if template.is_empty() {
        return complaint;
    }
    cx.report(complaint.at(statement.span));
    complain(worded(template, cx, &first(statement)))
}

/// An address where keepalived drops what follows a `/`.
pub fn address(text: &str) -> Option<std::net::IpAddr> {
    text.split('/').next()?.parse().ok()
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
    let words =
        split(&word.text()).map_err(|end| complain(format!("String '{}': missing terminating {end}", word.text())))?;
    let text = |at: usize| arguments.get(at).map(|word| word.text().into_owned());
    Ok((!words.is_empty()).then(|| Command { words, user: text(1).map(|user| (user, text(2))) }))
}

/// Splits as a shell would, without being one: quotes and backslashes, nothing else.
///
/// # Errors
/// The quote that is not closed.
pub fn split(text: &str) -> Result<Vec<String>, char> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\\', Some('"') | None) => word.get_or_insert_default().push(escaped(chars.next().ok_or('\\')?)),
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
    quote.map_or(Ok(words), Err)
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

slot!(Signed, |this, cx, statement| number(Kind::Signed, &first(statement), &this.1)
    .map_err(|complaint| also(cx, statement, complaint, this.2))?);
slot!(Unsigned, |this, cx, statement| number(Kind::Unsigned, &first(statement), &this.1)
    .map_err(|complaint| also(cx, statement, complaint, this.2))?);
slot!(Positive, |this, cx, statement| {
    let value = number(Kind::Unsigned, &first(statement), &(0..=this.1))
        .map_err(|complaint| also(cx, statement, complaint, this.2))?;
    if value == 0 {
        cx.report(complain(worded(this.3, cx, "0")).at(statement.span));
    }
    value.max(1)
});
slot!(Seconds, |this, cx, statement| seconds(&first(statement), &this.1).map_err(|wrong| {
    let template = if wrong.ignored { this.2 } else { "" };
    also(cx, statement, wrong.complaint, template)
})?);
slot!(Switch, |this, cx, statement| match truth(statement.arguments().first()) {
    Some(value) => value,
    None => return Err(complain(worded(this.1, cx, &first(statement)))),
});
slot!(Text, |this, cx, statement| match statement.arguments().first() {
    Some(word) => word.text().into_owned(),
    None => return Err(complain(worded(this.1, cx, ""))),
});
slot!(Present, |this, _cx, _statement| this.1);

impl<C: 'static> Set for Run<C> {
    fn target(&self) -> TypeId {
        TypeId::of::<C>()
    }

    fn set(&self, cx: &mut Setting<'_>, conf: &mut dyn Any, statement: &Statement) -> Result<(), Diagnostic> {
        let Some(conf) = conf.downcast_mut() else { return Ok(()) };
        let slot = (self.0)(conf);
        if slot.is_some() && !self.1.is_empty() {
            return Err(complain(worded(self.1, cx, &first(statement))));
        }
        *slot = command(statement.arguments())?;
        Ok(())
    }
}

/// Implements `Set` for a slot that only judges.
macro_rules! judge {
    ($slot:ident, |$self:ident, $cx:ident, $statement:ident| $outcome:expr) => {
        impl Set for $slot {
            fn target(&self) -> TypeId {
                TypeId::of::<()>()
            }

            fn set(&self, $cx: &mut Setting<'_>, _: &mut dyn Any, $statement: &Statement) -> Result<(), Diagnostic> {
                let $self = self;
                $outcome
            }
        }
    };
}

judge!(Judged, |this, cx, statement| {
    if statement.arguments().is_empty() {
        return Err(complain(worded(this.3, cx, "")));
    }
    let judged = number(this.0, &first(statement), &this.1);
    judged.map(|_| ()).map_err(|complaint| also(cx, statement, complaint, this.2))
});
judge!(JudgedSwitch, |this, cx, statement| match truth(statement.arguments().first()) {
    Some(_) => Ok(()),
    None => Err(complain(worded(this.0, cx, &first(statement)))),
});
judge!(Needed, |this, cx, statement| match statement.arguments().first() {
    Some(_) => Ok(()),
    None => Err(complain(worded(this.0, cx, ""))),
});

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
        let words = |text: &str| split(text).ok().map(|words| words.join("|"));
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
        let message = seconds("2000", &range).unwrap_err().complaint.message;
        assert_eq!(message, "number '2000' outside range [0.000000, 1000.000000]");
        assert_eq!(seconds("0.001", &range).unwrap(), Duration::from_millis(1));
    }
}
