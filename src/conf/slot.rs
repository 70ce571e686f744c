//! The stock setters: the argument shapes two thirds of all rows have, with nginx's own complaints.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::diagnostic::Diagnostic;
use super::directive::Set;
use super::tree::{Statement, Word};
use super::value;
use super::walk::Setting;
use std::any::{Any, TypeId};
use std::ops::RangeInclusive;
use std::time::Duration;

/// `on` or `off`.
pub struct Flag<C>(pub fn(&mut C) -> &mut Option<bool>);
/// A decimal number in a range.
pub struct Number<C>(pub fn(&mut C) -> &mut Option<u64>, pub RangeInclusive<u64>);
/// Bytes, with `k` and `m`.
pub struct Size<C>(pub fn(&mut C) -> &mut Option<u64>);
/// Bytes, with `k`, `m` and `g`.
pub struct Offset<C>(pub fn(&mut C) -> &mut Option<u64>);
/// A time in milliseconds' precision.
pub struct Time<C>(pub fn(&mut C) -> &mut Option<Duration>);
/// A time in whole seconds.
pub struct Seconds<C>(pub fn(&mut C) -> &mut Option<Duration>);
/// One word of a fixed set.
pub struct Choice<C, T: 'static>(pub fn(&mut C) -> &mut Option<T>, pub &'static [(&'static str, T)]);
/// Words of a fixed set, each a bit; the first argument gives the words' bits.
pub struct Mask<C>(pub fn(&mut C) -> &mut Option<u32>, pub &'static [(&'static str, u32)]);
/// Any text.
pub struct Text<C>(pub fn(&mut C) -> &mut Option<Word>);
/// A number and a size: `4 8k`.
pub struct Buffers<C>(pub fn(&mut C) -> &mut Option<(u64, u64)>);
/// Two words a statement, as often as wanted.
pub struct Pairs<C>(pub fn(&mut C) -> &mut Vec<(Word, Word)>);
/// One word a statement, as often as wanted.
pub struct List<C>(pub fn(&mut C) -> &mut Vec<Word>);
/// Whatever the module says.
pub struct Custom<C>(pub fn(&mut Setting<'_>, &mut C, &Statement) -> Result<(), Diagnostic>);
/// A block that opens a context: what to do at its `{` and at its `}`.
pub struct Block<C>(
    pub fn(&mut Setting<'_>, &mut C, &Statement) -> Result<(), Diagnostic>,
    pub fn(&mut Setting<'_>) -> Result<(), Diagnostic>,
);
/// A block that only opens a context.
pub struct Plain;
/// `include`.
pub struct Include;

fn first(statement: &Statement) -> &[u8] {
    statement.words.get(1).map(|word| &*word.bytes).unwrap_or_default()
}

fn free<T>(cx: &Setting<'_>, slot: &Option<T>) -> Result<(), Diagnostic> {
    if slot.is_some() { Err(cx.duplicate()) } else { Ok(()) }
}

/// Says which words there are, and which of them may have been meant.
fn one_of(complaint: Diagnostic, given: &str, words: impl Iterator<Item = &'static str>) -> Diagnostic {
    complaint.among("values", given, &words.collect::<Vec<_>>())
}

fn point(complaint: Diagnostic, statement: &Statement) -> Diagnostic {
    match statement.words.get(1) {
        Some(word) => complaint.point(word.span),
        None => complaint,
    }
}

/// Implements `Set` for a slot whose closure finds an `Option` to fill once.
macro_rules! once {
    ($slot:ident, |$cx:ident, $self:ident, $statement:ident| $value:expr) => {
        impl<C: 'static> Set for $slot<C> {
            fn target(&self) -> TypeId {
                TypeId::of::<C>()
            }

            fn set(&self, $cx: &mut Setting<'_>, conf: &mut dyn Any, $statement: &Statement) -> Result<(), Diagnostic> {
                let Some(conf) = conf.downcast_mut() else { return Ok(()) };
                let slot = (self.0)(conf);
                free($cx, slot)?;
                let $self = self;
                let value = $value;
                *slot = Some(value.map_err(|complaint: Diagnostic| point(complaint, $statement))?);
                Ok(())
            }
        }
    };
}

once!(Flag, |cx, _this, statement| match first(statement) {
    word if word.eq_ignore_ascii_case(b"on") => Ok(true),
    word if word.eq_ignore_ascii_case(b"off") => Ok(false),
    word => Err(Diagnostic::emerg(format!(
        "invalid value \"{}\" in \"{}\" directive, it must be \"on\" or \"off\"",
        crate::conf::bytes::text(word),
        cx.row.name
    ))),
});
once!(Number, |cx, this, statement| match value::number(first(statement)) {
    Some(value) if this.1.contains(&value) => Ok(value),
    Some(_) if *this.1.end() == u64::MAX => {
        Err(Diagnostic::emerg(format!("value must be equal to or greater than {}", this.1.start())))
    }
    Some(_) => Err(Diagnostic::emerg(format!("value must be between {} and {}", this.1.start(), this.1.end()))),
    None => Err(cx.complain("invalid number")),
});
once!(Size, |cx, _this, statement| value::size(first(statement), false).ok_or_else(|| cx.complain("invalid value")));
once!(Offset, |cx, _this, statement| value::size(first(statement), true).ok_or_else(|| cx.complain("invalid value")));
once!(Time, |cx, _this, statement| value::time(first(statement), false).ok_or_else(|| cx.complain("invalid value")));
once!(Seconds, |cx, _this, statement| value::time(first(statement), true).ok_or_else(|| cx.complain("invalid value")));
once!(Text, |cx, _this, statement| statement.words.get(1).cloned().ok_or_else(|| cx.complain("invalid value")));
once!(Buffers, |cx, _this, statement| {
    let second = statement.words.get(2).map(|word| &*word.bytes).unwrap_or_default();
    match (value::number(first(statement)), value::size(second, false)) {
        (Some(count), Some(size)) if count > 0 && size > 0 => Ok((count, size)),
        _ => Err(cx.complain("invalid value")),
    }
});

impl<C: 'static, T: Copy + Sync + 'static> Set for Choice<C, T> {
    fn target(&self) -> TypeId {
        TypeId::of::<C>()
    }

    fn set(&self, cx: &mut Setting<'_>, conf: &mut dyn Any, statement: &Statement) -> Result<(), Diagnostic> {
        let Some(conf) = conf.downcast_mut() else { return Ok(()) };
        let slot = (self.0)(conf);
        free(cx, slot)?;
        let word = first(statement);
        let known = self.1.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word));
        let Some((_, value)) = known else {
            let text = crate::conf::bytes::text(word);
            let complaint = Diagnostic::emerg(format!("invalid value \"{text}\""));
            return Err(point(one_of(complaint, &text, self.1.iter().map(|(name, _)| *name)), statement));
        };
        *slot = Some(*value);
        Ok(())
    }
}

impl<C: 'static> Set for Mask<C> {
    fn target(&self) -> TypeId {
        TypeId::of::<C>()
    }

    fn set(&self, cx: &mut Setting<'_>, conf: &mut dyn Any, statement: &Statement) -> Result<(), Diagnostic> {
        let Some(conf) = conf.downcast_mut() else { return Ok(()) };
        let slot = (self.0)(conf);
        for word in statement.arguments() {
            let known = self.1.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(&word.bytes));
            let Some((_, bit)) = known else {
                let complaint = Diagnostic::emerg(format!("invalid value \"{}\"", word.text())).point(word.span);
                return Err(one_of(complaint, &word.text(), self.1.iter().map(|(name, _)| *name)));
            };
            let bits = slot.unwrap_or_default();
            let first = cx.first_here(cx.row.name, &bit.to_be_bytes(), word.span);
            if bits & bit != 0 {
                let text = format!("duplicate value \"{}\"", word.text());
                cx.report(Diagnostic::warn(text).at(statement.span).point(word.span).earlier(first));
            }
            *slot = Some(bits | bit);
        }
        Ok(())
    }
}

impl<C: 'static> Set for Pairs<C> {
    fn target(&self) -> TypeId {
        TypeId::of::<C>()
    }

    fn set(&self, _: &mut Setting<'_>, conf: &mut dyn Any, statement: &Statement) -> Result<(), Diagnostic> {
        if let (Some(conf), [_, name, value, ..]) = (conf.downcast_mut(), statement.words.as_slice()) {
            let list = (self.0)(conf);
            if list.is_empty() {
                list.reserve_exact(1);
            }
            list.push((name.clone(), value.clone()));
        }
        Ok(())
    }
}

impl<C: 'static> Set for List<C> {
    fn target(&self) -> TypeId {
        TypeId::of::<C>()
    }

    fn set(&self, _: &mut Setting<'_>, conf: &mut dyn Any, statement: &Statement) -> Result<(), Diagnostic> {
        if let Some(conf) = conf.downcast_mut() {
            (self.0)(conf).extend(statement.arguments().iter().cloned());
        }
        Ok(())
    }
}

impl<C: 'static> Set for Custom<C> {
    fn target(&self) -> TypeId {
        TypeId::of::<C>()
    }

    fn set(&self, cx: &mut Setting<'_>, conf: &mut dyn Any, statement: &Statement) -> Result<(), Diagnostic> {
        conf.downcast_mut().map_or(Ok(()), |conf| (self.0)(cx, conf, statement))
    }
}

impl<C: 'static> Set for Block<C> {
    fn target(&self) -> TypeId {
        TypeId::of::<C>()
    }

    fn set(&self, cx: &mut Setting<'_>, conf: &mut dyn Any, statement: &Statement) -> Result<(), Diagnostic> {
        conf.downcast_mut().map_or(Ok(()), |conf| (self.0)(cx, conf, statement))
    }

    fn close(&self, cx: &mut Setting<'_>) -> Result<(), Diagnostic> {
        (self.1)(cx)
    }
}

impl Set for Plain {
    fn target(&self) -> TypeId {
        TypeId::of::<()>()
    }

    fn set(&self, _: &mut Setting<'_>, _: &mut dyn Any, _: &Statement) -> Result<(), Diagnostic> {
        Ok(())
    }
}

impl Set for Include {
    fn target(&self) -> TypeId {
        TypeId::of::<()>()
    }

    fn set(&self, _: &mut Setting<'_>, _: &mut dyn Any, _: &Statement) -> Result<(), Diagnostic> {
        Ok(())
    }

    fn includes(&self) -> bool {
        true
    }
}
