//! The condition of `if`: a variable alone, compared or matched, or a test of a file.

use super::Rules;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::{Statement, Word};
use crate::conf::walk::Setting;
use crate::session::used;

/// The setter of `if`: checks what stands between the brackets.
pub fn if_(cx: &mut Setting<'_>, rules: &mut Rules, statement: &Statement) -> Result<(), Diagnostic> {
    let words = unwrapped(statement.arguments())?;
    let [first, rest @ ..] = words.as_slice() else { return Err(invalid(b")")) };
    match first.bytes.as_ref() {
        [b'$', _, ..] => variable(cx, rules, first, rest),
        [b'-', _] | [b'!', b'-', _] => {
            let [path] = rest else { return Err(invalid(&first.bytes)) };
            used::word(cx, path)?;
            match first.bytes.strip_prefix(b"!").unwrap_or(&first.bytes) {
                b"-f" | b"-d" | b"-e" | b"-x" => Ok(()),
                _ => Err(invalid(&first.bytes)),
            }
        }
        bytes => Err(invalid(bytes)),
    }
}

fn invalid(text: &[u8]) -> Diagnostic {
    Diagnostic::emerg(format!("invalid condition \"{}\"", String::from_utf8_lossy(text)))
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

fn variable(cx: &mut Setting<'_>, rules: &mut Rules, name: &Word, rest: &[Word]) -> Result<(), Diagnostic> {
    let (operator, value) = match rest {
        [] => (None, None),
        [operator, value] => (Some(operator), Some(value)),
        _ => return Err(invalid(&name.bytes)),
    };
    used::uses(cx, &String::from_utf8_lossy(name.after("$").unwrap_or_default()));
    let (Some(operator), Some(value)) = (operator, value) else { return Ok(()) };
    match &*operator.bytes {
        b"=" | b"!=" => used::word(cx, value),
        b"~" | b"~*" | b"!~" | b"!~*" => rules.expression(value, operator.bytes.ends_with(b"*")),
        _ => Err(Diagnostic::emerg(format!("unexpected \"{}\" in condition", operator.text()))),
    }
}
