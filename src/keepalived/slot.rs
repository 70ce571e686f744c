//! The argument shapes keepalived's keywords have, with keepalived's complaints. A later value replaces an earlier one.

use crate::conf::bytes;
use crate::conf::diagnostic::{self, Diagnostic, Severity};
use crate::conf::directive::Set;
use crate::conf::lex::command::{self, unterminated};
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
/// Seconds with a fraction, in a range of seconds; what follows a complaint.
pub struct Seconds<C>(pub fn(&mut C) -> &mut Option<Duration>, pub RangeInclusive<f64>, pub &'static str);
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
/// A command whose user is set by a keyword of its own; words behind it are ignored.
pub struct Script<C>(pub fn(&mut C) -> &mut Option<Command>);
/// A command that is stored by a rule of its own.
pub struct CommandLine<C>(pub fn(&mut Setting<'_>, &mut C, &Statement) -> Result<(), Diagnostic>);
/// A keyword that has nothing to say here.
pub struct Nothing;

/// The shortest time there is, in seconds.
pub const MICROSECOND: f64 = 0.000_001;

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
    /// What is in the file of a key; nothing where it cannot be opened.
    pub read_secret: &'a dyn Fn(&str) -> Option<SecretFile>,
}

/// The file of a key.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretFile {
    /// What is in it, at most one byte more than [`LONGEST_SECRET`].
    pub bytes: Vec<u8>,
    /// Others than its owner may open it.
    pub exposed: bool,
}

/// The longest file of a key.
pub const LONGEST_SECRET: usize = 139;

impl std::fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretFile(…)")
    }
}

/// A complaint after which reading goes on.
pub fn complain(message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(Severity::Error, message)
}

/// A complaint about something that was given before.
pub fn again(message: impl Into<String>) -> Diagnostic {
    complain(message).kind(diagnostic::Kind::Again)
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

/// A decimal number, read as strtod(3) does; 0 for no text.
///
/// # Errors
/// It is no number, or outside `range`.
pub fn decimal(text: &str, range: &RangeInclusive<f64>) -> Result<f64, Diagnostic> {
    let trimmed = text.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let value = match trimmed.parse::<f64>() {
        Ok(value) => value,
        Err(_) if text.is_empty() => 0.0,
        Err(_) => return Err(complain(format!("invalid number '{text}'"))),
    };
    match () {
        () if value.is_nan() => Err(complain(format!("not a number '{text}'"))),
        () if value.is_infinite() && trimmed.contains(|c: char| c.is_ascii_digit()) => {
            Err(complain(format!("number '{text}' out of range")))
        }
        () if value.is_infinite() => Err(complain(format!("infinite number '{text}'"))),
        () if range.contains(&value) => Ok(value),
        () => {
            let (least, most) = (general(*range.start()), general(*range.end()));
            Err(complain(format!("number '{text}' outside range [{least}, {most}]")))
        }
    }
}

/// A number as printf(3) shows it with `%g`: six digits, without zeros at the end.
pub fn general(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    // Rounded first, as rounding may add a digit before the point.
    let scientific = format!("{value:.5e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..6).contains(&exponent) {
        return trimmed(&format!("{value:.*}", usize::try_from(5 - exponent).unwrap_or_default()));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(digits), exponent.abs())
}

/// Seconds, or what keepalived says of them, in one complaint.
///
/// # Errors
/// They are no number, or outside `range` (in seconds).
pub fn seconds(text: &str, range: &RangeInclusive<f64>) -> Result<Duration, Diagnostic> {
    // A microsecond is the smallest part that counts; the cast stops at the largest number there is.
    decimal(text, range).map(|seconds| Duration::from_micros((seconds * 1e6) as u64))
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

/// A command keyword's arguments: the command in one word, which is split once more, then user and group.
///
/// # Errors
/// The quotes in the command do not match.
pub fn command(arguments: &[Word]) -> Result<Option<Command>, Diagnostic> {
    let Some(word) = arguments.first() else { return Ok(None) };
    let words = command::words(&word.bytes).map_err(|open| unterminated(&word.text(), open))?;
    let words: Vec<String> = words.iter().map(|word| bytes::text(&word.bytes).into_owned()).collect();
    let text = |at: usize| arguments.get(at).map(|word| word.text().into_owned());
    Ok((!words.is_empty()).then(|| Command { words, user: text(1).map(|user| (user, text(2))) }))
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
slot!(Seconds, |this, cx, statement| seconds(&first(statement), &this.1)
    .map_err(|complaint| also(cx, statement, complaint, this.2))?);
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
            return Err(again(worded(self.1, cx, &first(statement))));
        }
        *slot = command(statement.arguments())?;
        Ok(())
    }

    fn is_command(&self) -> bool {
        true
    }
}

impl<C: 'static> Set for Script<C> {
    fn target(&self) -> TypeId {
        TypeId::of::<C>()
    }

    fn set(&self, _: &mut Setting<'_>, conf: &mut dyn Any, statement: &Statement) -> Result<(), Diagnostic> {
        let Some(conf) = conf.downcast_mut() else { return Ok(()) };
        if let Some(command) = command(statement.arguments().get(..1).unwrap_or_default())? {
            *(self.0)(conf) = Some(command);
        }
        Ok(())
    }

    fn is_command(&self) -> bool {
        true
    }
}

impl<C: 'static> Set for CommandLine<C> {
    fn target(&self) -> TypeId {
        TypeId::of::<C>()
    }

    fn set(&self, cx: &mut Setting<'_>, conf: &mut dyn Any, statement: &Statement) -> Result<(), Diagnostic> {
        conf.downcast_mut().map_or(Ok(()), |conf| (self.0)(cx, conf, statement))
    }

    fn is_command(&self) -> bool {
        true
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
    fn numbers_get_keepaliveds_complaints() {
        assert_eq!(whole("300", &(1..=255)).unwrap_err().message, "number '300' outside range [1, 255]");
        assert_eq!(whole("x", &(1..=255)).unwrap_err().message, "invalid number 'x'");
        let range = 0.0..=1000.0;
        let message = |text: &str| seconds(text, &range).unwrap_err().message;
        assert_eq!(message("2000"), "number '2000' outside range [0, 1000]");
        assert_eq!(message("-1"), "number '-1' outside range [0, 1000]");
        assert_eq!(message("1s"), "invalid number '1s'");
        assert_eq!(message("inf"), "infinite number 'inf'");
        assert_eq!(message("1e999"), "number '1e999' out of range");
        assert_eq!(seconds("0.001", &range).unwrap(), Duration::from_millis(1));
        assert_eq!(seconds(" 1e-3", &range).unwrap(), Duration::from_millis(1));
        assert_eq!(seconds("0.1234567", &range).unwrap(), Duration::from_micros(123_456));
    }

    #[test]
    fn numbers_are_shown_in_six_digits() {
        let shown = [0.0, 0.01, 0.000_001, 255.0, 4294.0, 4_294_967.0, u64::MAX as f64 / 1e6, 999_999.5, 0.000_1];
        let want = ["0", "0.01", "1e-06", "255", "4294", "4.29497e+06", "1.84467e+13", "1e+06", "0.0001"];
        assert_eq!(shown.map(general), want);
    }
}
