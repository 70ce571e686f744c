//! The condition of `if`: a variable alone, compared or matched, or a test of a file.

use super::{Pattern, Rule, Rules, What, expression};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::Setting;
use crate::session::contexts::{IF_IN_LOCATION, IF_IN_SERVER};
use crate::session::used;

/// A condition as written.
pub struct Condition {
    /// What is tested.
    pub test: Test,
    /// Whether it must not be so.
    pub not: bool,
    /// The words between the brackets, for a reader.
    pub text: String,
}

/// What a condition tests.
pub enum Test {
    /// Whether a variable is neither empty nor `0`.
    Holds(Word),
    /// Whether a variable has a value.
    Equals(Word, Word),
    /// Whether a variable matches an expression.
    Matches(Word, Pattern),
    /// Whether a path is what the letter says: `f`, `d`, `e`, `x`.
    File(u8, Word),
}

/// The setter of `if`: the text between the brackets, and the `if`'s place among the rules around it.
pub fn if_(cx: &mut Setting<'_>, rules: &mut Rules, statement: &Statement) -> Result<(), Diagnostic> {
    let words = unwrapped(statement.arguments())?;
    let [first, rest @ ..] = words.as_slice() else { return Err(invalid(b")")) };
    let (test, not) = match first.bytes.as_ref() {
        [b'$', _, ..] => variable(cx, first, rest)?,
        [b'-', _] | [b'!', b'-', _] => {
            let [path] = rest else { return Err(invalid(&first.bytes)) };
            used::word(cx, path)?;
            match &*first.bytes {
                [b'!', b'-', letter @ (b'f' | b'd' | b'e' | b'x')] => (Test::File(*letter, path.clone()), true),
                [b'-', letter @ (b'f' | b'd' | b'e' | b'x')] => (Test::File(*letter, path.clone()), false),
                _ => return Err(invalid(&first.bytes)),
            }
        }
        bytes => return Err(invalid(bytes)),
    };
    let text = words.iter().map(Word::text).collect::<Vec<_>>().join(" ");
    rules.condition = Some(Condition { test, not, text });
    let is_if = |context| context == IF_IN_LOCATION || context == IF_IN_SERVER;
    let number = cx.around().map_or(0, |around| around.children.iter().filter(|level| is_if(level.context)).count());
    if let Some(around) = cx.conf_around::<Rules>() {
        around.rules.push(Rule { what: What::If(number), span: statement.span });
    }
    Ok(())
}

fn invalid(text: &[u8]) -> Diagnostic {
    Diagnostic::emerg(format!("invalid condition \"{}\"", crate::conf::bytes::text(text)))
}

/// The words without the brackets around them.
fn unwrapped(words: &[Word]) -> Result<Vec<Word>, Diagnostic> {
    let mut words = words.to_vec();
    let opens = words.first().and_then(|word| word.bytes.strip_prefix(b"(")).map(<[u8]>::to_vec);
    let Some(first) = opens else { return Err(invalid(words.first().map(|word| &*word.bytes).unwrap_or_default())) };
    if let Some(word) = words.first_mut() {
        word.bytes = first.into();
    }
    let closes = |word: &Word| word.bytes.ends_with(b")");
    if !words.last().is_some_and(closes) {
        return Err(invalid(words.last().map(|word| &*word.bytes).unwrap_or_default()));
    }
    let alone = words.len() == 1;
    if let Some(word) = words.last_mut() {
        let inner = word.bytes.strip_suffix(b")").unwrap_or(&word.bytes).to_vec();
        if alone && inner.is_empty() {
            return Err(invalid(b")"));
        }
        word.bytes = inner.into();
    }
    // A bracket that stood by itself is no word.
    if !alone && words.last().is_some_and(|word| word.bytes.is_empty() && !word.quoted) {
        words.pop();
    }
    if words.first().is_some_and(|word| word.bytes.is_empty()) {
        words.remove(0);
    }
    Ok(words)
}

fn variable(cx: &mut Setting<'_>, name: &Word, rest: &[Word]) -> Result<(Test, bool), Diagnostic> {
    let (operator, value) = match rest {
        [] => (None, None),
        [operator, value] => (Some(operator), Some(value)),
        _ => return Err(invalid(&name.bytes)),
    };
    used::uses(cx, &String::from_utf8_lossy(name.after("$").unwrap_or_default()));
    let (Some(operator), Some(value)) = (operator, value) else { return Ok((Test::Holds(name.clone()), false)) };
    let not = operator.bytes.starts_with(b"!");
    match &*operator.bytes {
        b"=" | b"!=" => {
            used::word(cx, value)?;
            Ok((Test::Equals(name.clone(), value.clone()), not))
        }
        b"~" | b"~*" | b"!~" | b"!~*" => {
            let pattern = expression(value, operator.bytes.ends_with(b"*"))?;
            Ok((Test::Matches(name.clone(), pattern), not))
        }
        _ => Err(Diagnostic::emerg(format!("unexpected \"{}\" in condition", operator.text()))),
    }
}
