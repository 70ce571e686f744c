//! Stock setters beyond those of `conf`: the shapes that need variables or that only nginx's modules have.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::Set;
use crate::conf::module::Conf;
use crate::conf::tree::Statement;
use crate::conf::tree::Word;
use crate::conf::value;
use crate::conf::walk::Setting;
use crate::session::used;
use std::any::{Any, TypeId};

/// Text with variables.
pub struct Value<C>(pub fn(&mut C) -> &mut Option<Word>);
/// A size, or text with variables.
pub struct SizeValue<C>(pub fn(&mut C) -> &mut Option<Word>);
/// Texts with variables, as often as wanted (`proxy_no_cache`).
pub struct Predicates<C>(pub fn(&mut C) -> &mut Vec<Word>);
/// MIME types; the text is the one that is always among them.
pub struct MimeTypes<C>(pub fn(&mut C) -> &mut Vec<Box<[u8]>>, pub &'static str);
/// Whether a response's type is among those of such a row; without the row only `usual` is. A charset is no part of the
/// type, other parameters are.
pub fn is_among(types: &[Box<[u8]>], usual: &str, content_type: &[u8]) -> bool {
    let end = charset_at(content_type).unwrap_or(content_type.len());
    let bare = content_type.get(..end).unwrap_or_default();
    match types {
        [] => bare.eq_ignore_ascii_case(usual.as_bytes()),
        types => types.iter().any(|known| **known == *b"*" || bare.eq_ignore_ascii_case(known)),
    }
}

/// Where the charset parameter of a Content-Type begins, with its semicolon.
pub fn charset_at(content_type: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b';', content_type).find(|at| {
        let rest = content_type.get(at + 1..).unwrap_or_default();
        let blanks = rest.iter().take_while(|byte| **byte == b' ').count();
        rest.get(blanks..blanks + 8).is_some_and(|name| name.eq_ignore_ascii_case(b"charset="))
    })
}

/// All MIME types such rows name, whose lengths nginx limits.
#[derive(Default)]
pub struct MimeLists {
    kinds: Vec<Box<[u8]>>,
}

impl Conf for MimeLists {
    fn inherit(&mut self, _: &Self) {}
}

impl MimeLists {
    /// The types, some several times.
    pub fn kinds(&self) -> &[Box<[u8]>] {
        &self.kinds
    }
}

/// `user:rw group:r all:r`.
pub struct Access<C>(pub fn(&mut C) -> &mut Option<u32>);
/// A number that must be a power of two.
pub struct PowerOfTwo<C>(pub fn(&mut C) -> &mut Option<u64>);
/// A row that is not read any more: it only warns, and names the row to use instead.
pub struct Obsolete(pub &'static str);
/// A size the platform has no use for: any but 0 is warned of.
pub struct Lowat<C>(pub fn(&mut C) -> &mut Option<u64>);

fn first(statement: &Statement) -> Option<&Word> {
    statement.arguments().first()
}

/// Implements `Set` for a slot of a conf.
macro_rules! slot {
    ($slot:ident, |$cx:ident, $this:ident, $conf:ident, $statement:ident| $body:expr) => {
        impl<C: 'static> Set for $slot<C> {
            fn target(&self) -> TypeId {
                TypeId::of::<C>()
            }

            fn set(&self, $cx: &mut Setting<'_>, conf: &mut dyn Any, $statement: &Statement) -> Result<(), Diagnostic> {
                let Some(conf) = conf.downcast_mut() else { return Ok(()) };
                let ($this, $conf) = (self, (self.0)(conf));
                $body
            }
        }
    };
}

slot!(Value, |cx, _this, slot, statement| {
    free(cx, slot)?;
    let Some(word) = first(statement) else { return Ok(()) };
    used::word(cx, word)?;
    *slot = Some(word.clone());
    Ok(())
});
slot!(SizeValue, |cx, _this, slot, statement| {
    free(cx, slot)?;
    let Some(word) = first(statement) else { return Ok(()) };
    used::word(cx, word)?;
    if !used::varies(&word.bytes) && value::size(&word.bytes, false).is_none() {
        return Err(cx.complain("invalid value"));
    }
    *slot = Some(word.clone());
    Ok(())
});
slot!(Predicates, |cx, _this, slot, statement| {
    for word in statement.arguments() {
        used::word(cx, word)?;
        slot.push(word.clone());
    }
    Ok(())
});
slot!(MimeTypes, |cx, this, slot, statement| {
    if slot.iter().any(|kind| **kind == *b"*") {
        return Ok(());
    }
    if slot.is_empty() {
        slot.push(this.1.as_bytes().into());
    }
    for word in statement.arguments() {
        let kind = word.bytes.to_ascii_lowercase();
        if kind == b"*" {
            *slot = vec![kind.into()];
            return Ok(());
        }
        let first = cx.first_here(cx.row.name, &kind, word.span);
        if slot.iter().any(|known| **known == *kind) {
            let text = format!("duplicate MIME type \"{}\"", crate::conf::bytes::text(&kind));
            cx.report(Diagnostic::warn(text).at(statement.span).point(word.span).earlier(first));
        } else {
            if let Some(lists) = cx.conf::<MimeLists>() {
                lists.kinds.push(kind.as_slice().into());
            }
            slot.push(kind.into());
        }
    }
    Ok(())
});
slot!(Access, |cx, _this, slot, statement| {
    free(cx, slot)?;
    let mut access = 0o600;
    for word in statement.arguments() {
        let bits = |rights: &[u8]| match rights {
            b"rw" => Some(6),
            b"r" => Some(4),
            _ => None,
        };
        let user = word.after("user:").and_then(bits).map(|bits| bits << 6);
        let group = word.after("group:").and_then(bits).map(|bits| bits << 3);
        let all = word.after("all:").and_then(bits);
        let Some(bits) = user.or(group).or(all) else {
            return Err(Diagnostic::emerg(format!("invalid value \"{}\"", word.text())).point(word.span));
        };
        access |= bits;
    }
    *slot = Some(access);
    Ok(())
});
slot!(PowerOfTwo, |cx, _this, slot, statement| {
    free(cx, slot)?;
    let number = first(statement).and_then(|word| value::number(&word.bytes));
    let number = number.ok_or_else(|| cx.complain("invalid number"))?;
    if !number.is_power_of_two() {
        return Err(cx.complain("must be a power of two"));
    }
    *slot = Some(number);
    Ok(())
});
slot!(Lowat, |cx, _this, slot, statement| {
    free(cx, slot)?;
    let size = first(statement).and_then(|word| value::size(&word.bytes, false));
    let size = size.ok_or_else(|| cx.complain("invalid value"))?;
    cx.warn(statement, format!("\"{}\" is not supported, ignored", cx.row.name));
    *slot = Some(size);
    Ok(())
});

impl Set for Obsolete {
    fn target(&self) -> TypeId {
        TypeId::of::<()>()
    }

    fn set(&self, cx: &mut Setting<'_>, _: &mut dyn Any, statement: &Statement) -> Result<(), Diagnostic> {
        let (name, instead) = (cx.row.name, self.0);
        cx.warn(statement, format!("the \"{name}\" directive is obsolete, use the \"{instead}\" directive instead"));
        Ok(())
    }
}

/// Refuses a second value.
///
/// # Errors
/// `"x" directive is duplicate`.
pub fn free<T>(cx: &Setting<'_>, slot: &Option<T>) -> Result<(), Diagnostic> {
    if slot.is_some() { Err(cx.duplicate()) } else { Ok(()) }
}
