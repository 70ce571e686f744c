//! The `location` row.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::http::heart::location::Pattern;
use crate::http::modules::core::{Opened, opened};
use crate::session::pattern;

/// The setter of `location`.
pub fn location(cx: &mut Setting<'_>, conf: &mut Opened, statement: &Statement) -> Result<(), Diagnostic> {
    let pattern = match statement.arguments() {
        [modifier, name] => match &*modifier.bytes {
            b"=" => Pattern::Exact(name.bytes.clone()),
            b"^~" => Pattern::Prefix(name.bytes.clone(), true),
            b"~" => Pattern::Regex(name.text().into_owned(), false),
            b"~*" => Pattern::Regex(name.text().into_owned(), true),
            _ => {
                let text = format!("invalid location modifier \"{}\"", modifier.text());
                return Err(Diagnostic::emerg(text).point(modifier.span));
            }
        },
        [name] => glued(&name.bytes),
        _ => return Ok(()),
    };
    if let Pattern::Regex(text, caseless) = &pattern {
        let word = statement.arguments().last();
        word.map(|word| pattern::compile(word, text, *caseless)).transpose()?;
    }
    if let Some(outer) = cx.around().and_then(opened) {
        nested(&pattern, outer)?;
    }
    conf.pattern = Some(pattern);
    Ok(())
}

fn glued(name: &[u8]) -> Pattern {
    let text = |rest: &[u8]| String::from_utf8_lossy(rest).into_owned();
    match name {
        [b'=', rest @ ..] => Pattern::Exact(rest.into()),
        [b'^', b'~', rest @ ..] => Pattern::Prefix(rest.into(), true),
        [b'~', b'*', rest @ ..] => Pattern::Regex(text(rest), true),
        [b'~', rest @ ..] => Pattern::Regex(text(rest), false),
        [b'@', ..] => Pattern::Named(name.into()),
        _ => Pattern::Prefix(name.into(), false),
    }
}

fn nested(inner: &Pattern, outer: &Pattern) -> Result<(), Diagnostic> {
    let (name, around) = (crate::conf::bytes::text(inner.name()), crate::conf::bytes::text(outer.name()));
    let fail = |text: String| Err(Diagnostic::emerg(text));
    match (inner, outer) {
        (_, Pattern::Exact(_)) => fail(format!("location \"{name}\" cannot be inside the exact location \"{around}\"")),
        (_, Pattern::Named(_)) => fail(format!("location \"{name}\" cannot be inside the named location \"{around}\"")),
        (Pattern::Named(_), _) => fail(format!("named location \"{name}\" can be on the server level only")),
        (Pattern::Exact(_) | Pattern::Prefix(..), _) if !inner.name().starts_with(outer.name()) => {
            fail(format!("location \"{name}\" is outside location \"{around}\""))
        }
        _ => Ok(()),
    }
}
