//! `auth_hmac` of an instance: the keys and rules of the trailer behind its adverts.

use super::instance::Instance;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::slot::{also, complain, count, first};
use crate::vrrp::wire::hmac::Mode;
use std::fmt;
use std::ops::RangeInclusive;

type Outcome = Result<(), Diagnostic>;

/// How long a key may be, in bytes.
pub const LENGTH: RangeInclusive<usize> = 32..=64;
/// The numbers of keys.
const IDS: RangeInclusive<i64> = 1..=255;
/// The seconds two clocks may be apart.
const WINDOW: RangeInclusive<i64> = 1..=300;

/// Where a key comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// The configuration: its text.
    Text(Vec<u8>),
    /// A file.
    File(String),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => write!(f, "…"),
            Self::File(path) => write!(f, "file:{path}"),
        }
    }
}

/// The block as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hmac {
    /// `key`.
    pub keys: Vec<(u8, Source)>,
    /// `active_key`.
    pub active: Option<u8>,
    /// `anti_replay monotonic`.
    pub monotonic: bool,
    /// `time_window`.
    pub window: Option<u32>,
    /// `mode`.
    pub mode: Mode,
}

/// The bytes a text stands for: `hex:` and hexadecimal digits, or itself.
pub fn decode(text: &[u8]) -> Vec<u8> {
    let Some(digits) = text.strip_prefix(b"hex:") else { return text.to_vec() };
    let value = |digit: &u8| char::from(*digit).to_digit(16).map(|value| value as u8);
    let words = digits.split(|byte| matches!(byte, b' ' | b'\t'));
    let bytes = words
        .flat_map(|word| word.chunks(2))
        .map(|pair| pair.iter().try_fold(0_u8, |sum, digit| value(digit).map(|value| sum << 4 | value)));
    // As in keepalived, a digit that is none leaves nothing.
    bytes.collect::<Option<Vec<u8>>>().unwrap_or_default()
}

/// `auth_hmac { ... }`.
///
/// # Errors
/// None.
#[expect(clippy::unnecessary_wraps, reason = "the shape of every keyword")]
pub fn block(_: &mut Setting<'_>, instance: &mut Instance, _: &Statement) -> Outcome {
    instance.hmac.get_or_insert_default();
    Ok(())
}

/// `key ID VALUE`.
///
/// # Errors
/// The number is none, or there is no value.
pub fn key(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let [_, value, ..] = statement.arguments() else {
        return Err(complain(format!("({}) auth_hmac key needs an id and a value", instance.name)));
    };
    let template = "({n}) auth_hmac key id '{v}' must be between 1 and 255";
    let id = count(&first(statement), &IDS).map_err(|wrong| also(cx, statement, wrong, template))?;
    let source = match value.bytes.strip_prefix(b"file:") {
        Some(path) => Source::File(String::from_utf8_lossy(path).into_owned()),
        None => Source::Text(value.bytes.to_vec()),
    };
    instance.hmac.get_or_insert_default().keys.push((id as u8, source));
    Ok(())
}

/// `active_key ID`.
///
/// # Errors
/// It is no number of a key.
pub fn active(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let template = "({n}) auth_hmac active_key '{v}' must be between 1 and 255";
    let id = count(&first(statement), &IDS).map_err(|wrong| also(cx, statement, wrong, template))?;
    instance.hmac.get_or_insert_default().active = Some(id as u8);
    Ok(())
}

/// `time_window SECONDS`.
///
/// # Errors
/// It is out of range.
pub fn window(cx: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let template = "({n}) auth_hmac time_window '{v}' must be between 1 and 300 seconds";
    let seconds = count(&first(statement), &WINDOW).map_err(|wrong| also(cx, statement, wrong, template))?;
    instance.hmac.get_or_insert_default().window = Some(seconds as u32);
    Ok(())
}

/// `anti_replay time|monotonic`.
///
/// # Errors
/// Another word.
pub fn anti_replay(_: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let monotonic = match first(statement).as_str() {
        "time" => false,
        "monotonic" => true,
        other => {
            let name = &instance.name;
            return Err(complain(format!("({name}) auth_hmac anti_replay '{other}' must be time or monotonic")));
        }
    };
    instance.hmac.get_or_insert_default().monotonic = monotonic;
    Ok(())
}

/// `mode enforce|permissive|receive-only`.
///
/// # Errors
/// Another word.
pub fn mode(_: &mut Setting<'_>, instance: &mut Instance, statement: &Statement) -> Outcome {
    let word = first(statement);
    let known = [Mode::Enforce, Mode::Permissive, Mode::ReceiveOnly].into_iter().find(|mode| mode.word() == word);
    let Some(mode) = known else {
        let name = &instance.name;
        return Err(complain(format!("({name}) auth_hmac mode '{word}' must be enforce, permissive or receive-only")));
    };
    instance.hmac.get_or_insert_default().mode = mode;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_text_or_hexadecimal() {
        assert_eq!(decode(b"hex:000a0B ff"), [0, 10, 11, 255]);
        assert_eq!(decode(b"hex:00f"), [0, 15]);
        assert_eq!(decode(b"hex:0g"), b"");
        assert_eq!(decode(b"plain"), b"plain");
    }
}
