//! `"$a-${b}c"` compiled: one loop over parts when it is written.

use super::variable::{self, Get, GetNamed, Meaning, Names, SlotId, Subject};

/// One part of a template.
pub enum Part<S: 'static> {
    /// Literal bytes.
    Text(Box<[u8]>),
    /// A built-in.
    Get(Get<S>, u32),
    /// One of a family.
    Named(GetNamed<S>, Box<[u8]>),
    /// A name the configuration defines.
    Slot(SlotId),
    /// `$1` to `$9`.
    Capture(usize),
}

impl<S: Subject> Part<S> {
    /// Appends the part's value and tells whether there is one.
    pub fn write(&self, subject: &S, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Text(text) => {
                out.extend_from_slice(text);
                true
            }
            Self::Get(get, data) => get(subject, *data, out),
            Self::Named(get, name) => get(subject, name, out),
            Self::Slot(id) => variable::read(subject, *id, out),
            Self::Capture(number) => subject.captures().borrow().write(*number, out),
        }
    }
}

impl<S: 'static> From<Meaning<S>> for Part<S> {
    fn from(meaning: Meaning<S>) -> Self {
        match meaning {
            Meaning::Builtin(variable) => Self::Get(variable.get, variable.data),
            Meaning::Named(get, name) => Self::Named(get, name),
            Meaning::Slot(id) => Self::Slot(id),
        }
    }
}

/// Text with variables in it.
pub struct Template<S: 'static> {
    parts: Box<[Part<S>]>,
}

impl<S: Subject> Template<S> {
    /// Compiles `text`.
    ///
    /// # Errors
    /// nginx's words for a `$` without a name or a `${` without its `}`.
    pub fn compile(text: &[u8], names: &mut Names<S>) -> Result<Self, String> {
        let mut parts = Vec::with_capacity(pieces(text).count().max(1));
        for piece in pieces(text) {
            parts.push(match piece? {
                Piece::Text(text) => Part::Text(text.into()),
                Piece::Capture(number) => Part::Capture(number),
                Piece::Name(name) => Part::from(names.meaning(name)),
            });
        }
        if parts.is_empty() {
            parts.push(Part::Text(Box::default()));
        }
        Ok(Self { parts: parts.into() })
    }

    /// The parts, in order.
    pub fn parts(&self) -> &[Part<S>] {
        &self.parts
    }

    /// Appends the text.
    pub fn write(&self, subject: &S, out: &mut Vec<u8>) {
        for part in &self.parts {
            part.write(subject, out);
        }
    }

    /// The text, by itself.
    pub fn text(&self, subject: &S) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(subject, &mut out);
        out
    }
}

/// A piece of a text as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Literal bytes.
    Text(&'a [u8]),
    /// `$1` to `$9`.
    Capture(usize),
    /// A variable, without its `$` and braces.
    Name(&'a str),
}

/// The pieces of a text; a `$` without a name or a `${` without its `}` is told in nginx's words, and ends them.
pub fn pieces(text: &[u8]) -> impl Iterator<Item = Result<Piece<'_>, String>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let at = memchr::memchr(b'$', rest).unwrap_or(rest.len());
        if at > 0 {
            let (before, after) = rest.split_at(at);
            rest = after;
            return Some(Ok(Piece::Text(before)));
        }
        let after = rest.get(1..)?;
        let found = reference(after);
        rest = found.as_ref().map(|(_, next)| *next).unwrap_or_default();
        Some(found.map(|(piece, _)| piece))
    })
}

/// What follows a `$`, and the rest.
fn reference(text: &[u8]) -> Result<(Piece<'_>, &[u8]), String> {
    if let [digit @ b'1'..=b'9', rest @ ..] = text {
        return Ok((Piece::Capture(usize::from(digit - b'0')), rest));
    }
    let (braced, body) = match text {
        [b'{', body @ ..] => (true, body),
        body => (false, body),
    };
    let end = body.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_').unwrap_or(body.len());
    let (name, mut rest) = body.split_at(end);
    if braced && !body.is_empty() {
        match rest {
            [b'}', after @ ..] => rest = after,
            _ => {
                let shown = crate::conf::bytes::text(name);
                return Err(format!("the closing bracket in \"{shown}\" variable is missing"));
            }
        }
    }
    if name.is_empty() {
        return Err("invalid variable name".to_owned());
    }
    // Letters, digits and underscores only.
    Ok((Piece::Name(std::str::from_utf8(name).unwrap_or_default()), rest))
}
